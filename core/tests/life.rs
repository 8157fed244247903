//! One life, end to end, as a program that uses the crate would write it.
#![allow(clippy::unwrap_used)]

use smalt::{
    Code, Error, Smalt,
    backend::Disconnect,
    model::*,
    plugin::{Fault, PresentRequest, Presenter},
    vault::LocalKey,
};

#[tokio::test]
async fn one_life_from_session_to_disconnect() {
    let smalt = Smalt::sandbox().await.unwrap();
    let account = smalt.account("customer-42");
    assert_eq!(account.app("sandbox-oauth").await.unwrap_err().code(), Code::LinkedAccountNotFound);
    account.ensure().await.unwrap();
    let session = account.session().await.unwrap();
    assert_eq!(session.apps().await.unwrap().len(), 2);
    assert_eq!(smalt.portal_properties(session.token().clone()).await.unwrap(), serde_json::json!({}), "nothing was stored");
    assert_eq!(smalt.portal_properties("wrong").await.unwrap_err().code(), Code::InvalidToken);

    let connection = account.connect("sandbox-oauth").await.unwrap();
    assert_eq!(connection.status, ConnectionStatus::Active);
    assert_eq!(connection.identity.as_ref().unwrap().label, "ada@sandbox.example");
    let key = account.connect("sandbox-key").input("key", smalt::sandbox::API_KEY).input("workspace", "acme").await.unwrap();
    assert_eq!(key.auth_type, AuthType::Keybased);
    let refused = account.connect("sandbox-key").input("key", "wrong").input("workspace", "other").await.unwrap_err();
    assert_eq!(refused.code(), Code::CredentialsRejected);

    let credential = account.credential("sandbox-oauth").await.unwrap();
    assert!(credential.access_token.is_some());
    let answer = account.request("sandbox-oauth", "GET", "items").await.unwrap();
    assert_eq!(answer.status, 200);
    let config = account.config("sandbox-oauth").await.unwrap();
    assert_eq!(config.version, 1);

    let receipt = account.disconnect_with(Disconnect { application: "sandbox-oauth".into(), ..Disconnect::default() }).await.unwrap();
    assert_eq!(receipt.revocation, RevocationOutcome::Revoked);
    assert_eq!(receipt.deleted_configs, ["customer-42"]);
    assert_eq!(account.credential("sandbox-oauth").await.unwrap_err().code(), Code::NotConnected);
    smalt.close().await;
}

/// A presenter of the host, whose user does not come back.
struct Ends(Code);

#[async_trait::async_trait]
impl Presenter for Ends {
    fn name(&self) -> &str {
        "ends"
    }

    async fn present(&self, _: PresentRequest) -> Result<Option<String>, Fault> {
        Err(Error::new(self.0, "the host says so").into())
    }
}

/// What a presenter says of the page is what `connect` answers; nothing is left of the flow.
#[tokio::test]
async fn presenters_say_how_the_page_ended() {
    let smalt = Smalt::sandbox().await.unwrap();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    for code in [Code::UserCancelled, Code::OutcomeUnknown] {
        let error = account.connect("sandbox-oauth").present(Ends(code)).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.reason().starts_with("the host says so"), "{error}");
    }
    assert!(account.connections(None).await.unwrap().is_empty());
    smalt.close().await;

    let mut project = smalt::project::Project::default();
    project.sandbox.enabled = true;
    let silent = Smalt::in_memory().keys(LocalKey::generate().unwrap()).project_value(project).open().await.unwrap();
    let account = silent.account("customer-42");
    account.ensure().await.unwrap();
    assert_eq!(account.connect("sandbox-oauth").await.unwrap_err().code(), Code::PresenterRequired);
    silent.close().await;
}
