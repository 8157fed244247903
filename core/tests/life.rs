//! One life, end to end, as a program that uses the crate would write it.
#![allow(clippy::unwrap_used)]

use std::{future::IntoFuture, task::Poll, time::Duration};

use smalt::{
    Code, Error, Smalt,
    backend::{Disconnect, ListEvents},
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

/// A presenter whose user never comes back.
struct Waits;

#[async_trait::async_trait]
impl Presenter for Waits {
    fn name(&self) -> &str {
        "waits"
    }

    fn redirect_uri(&self) -> Option<String> {
        Some("http://127.0.0.1/callback".into())
    }

    async fn present(&self, _: PresentRequest) -> Result<Option<String>, Fault> {
        std::future::pending().await
    }
}

/// Whoever goes away at whatever moment leaves no open flow, also while it begins.
#[tokio::test]
async fn a_connect_that_is_dropped_at_any_moment_leaves_no_open_flow() {
    let smalt = Smalt::sandbox().await.unwrap();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    for moment in 0..30 {
        let mut connect = account.connect("sandbox-oauth").present(Waits).into_future();
        for _ in 0..moment {
            assert!(std::future::poll_fn(|context| Poll::Ready(connect.as_mut().poll(context).is_pending())).await);
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }
    // Both come without whoever went away.
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let events = smalt.events_page(ListEvents::default()).await.unwrap().items;
        let count = |event_type| events.iter().filter(|event| event.event_type == event_type).count();
        let (started, cancelled) = (count(EventType::FlowStarted), count(EventType::FlowCancelled));
        if started > 0 && started == cancelled {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{started} were begun, {cancelled} cancelled");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    smalt.close().await;
}
