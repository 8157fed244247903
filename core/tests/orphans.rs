//! Tokens that came and that no connection holds in the end: they are ended at the provider, whatever went wrong.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde_json::json;
use smalt::{
    Account, Code, Secret, Smalt, backend::StartConnect, engine::Timings, http::ScriptedTransport, model::Json, project::Project,
    vault::LocalKey,
};

struct Stage {
    smalt: Smalt,
    account: Account,
    transport: ScriptedTransport,
    secret: PathBuf,
    _folder: tempfile::TempDir,
}

/// What the provider does when it is asked for a token.
type Asked = Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>;

impl Stage {
    async fn new(manifest: Json, token: Json, asked: Asked) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret.txt");
        std::fs::write(&secret, "client-secret").unwrap();
        let transport = ScriptedTransport::answering(move |request| {
            Ok(match request.url.path() {
                "/token" => {
                    if let Some(asked) = asked.get() {
                        asked();
                    }
                    ScriptedTransport::json(200, &token)
                }
                "/revoke" => ScriptedTransport::json(200, &json!({})),
                _ => ScriptedTransport::json(404, &json!({})),
            })
        });
        let project: Project = serde_json::from_value(json!({
            "version": 1, "org": {"public_url": "https://app.example"},
            "apps": {"crm": {"client": {"test": {"id": "us", "secret": {"file": secret}}}}},
        }))
        .unwrap();
        let timings =
            Timings { revoke_backoff: Duration::from_millis(20), poll: Duration::from_millis(20), ahead: None, ..Timings::default() };
        let smalt = Smalt::in_memory()
            .keys(LocalKey::generate().unwrap())
            .transport(transport.clone())
            .manifest(serde_json::from_value(manifest).unwrap())
            .project_value(project)
            .timings(timings)
            .open()
            .await
            .unwrap();
        let account = smalt.account("a");
        account.ensure().await.unwrap();
        Self { smalt, account, transport, secret, _folder: folder }
    }

    /// Waits until the token's end was asked for.
    async fn revoked(&self, token: &str) {
        let wanted = format!("token={token}");
        for _ in 0..3000 {
            let requests = self.transport.requests();
            let mut revocations = requests.iter().filter(|request| request.url.path() == "/revoke");
            if revocations.any(|request| String::from_utf8_lossy(&request.body.0).contains(&wanted)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("`{token}` was never revoked");
    }
}

fn with_keys(token: &Json) -> Json {
    let mut keys = json!({
        "inputs": [{"name": "client_id", "label": "Id"}, {"name": "client_secret", "label": "Secret", "secret": true}],
        "placement": {"in": "header", "name": "Authorization", "value": "Bearer {access_token}"},
        "token": {
            "grant": "client_credentials", "url": "https://crm.example/token", "client": "inputs",
            "revoke": {"url": "https://crm.example/revoke", "token": "access"},
        },
    });
    keys["token"].as_object_mut().unwrap().extend(token.as_object().unwrap().clone());
    json!({
        "manifest": 1, "slug": "crm", "name": "CRM", "description": "Customers", "api": {"base_url": "https://api.crm.example/"},
        "keybased": keys,
    })
}

async fn connect(account: &Account) -> smalt::Result<smalt::model::Connection> {
    account.connect("crm").input("client_id", "theirs").input("client_secret", "their-secret").await
}

/// A token with too few scopes, or without what the manifest keeps of it, is not left alive.
#[tokio::test]
async fn a_token_of_values_that_will_not_do_is_ended() {
    for (rules, token, code) in [
        (json!({"scopes": {"required": ["write"]}}), json!({"access_token": "narrow", "scope": "read"}), Code::ScopeMissing),
        (
            json!({"copy_from_token": {"site": {"from": "/site", "pattern": "[a-z]+"}}}),
            json!({"access_token": "bare"}),
            Code::MalformedAnswer,
        ),
    ] {
        let name = token["access_token"].as_str().unwrap().to_owned();
        let stage = Stage::new(with_keys(&rules), token, Asked::default()).await;
        let error = connect(&stage.account).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        stage.revoked(&name).await;
        assert!(stage.account.connections(Some("crm")).await.unwrap().is_empty());
    }
}

/// The account goes while its token is on the way: nobody holds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_account_went_is_ended() {
    let asked = Asked::default();
    let stage = Stage::new(with_keys(&json!({})), json!({"access_token": "late"}), asked.clone()).await;
    let (smalt, runtime) = (stage.smalt.clone(), tokio::runtime::Handle::current());
    let deleting = move || {
        // The engine's own runtime is in the middle of a call: this one waits beside it.
        std::thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(smalt.delete_account("a"))).join().unwrap().unwrap();
        });
    };
    assert!(asked.set(Box::new(deleting)).is_ok());
    let error = connect(&stage.account).await.unwrap_err();
    assert_eq!(error.code(), Code::LinkedAccountNotFound, "{error}");
    stage.revoked("late").await;
}

/// The project's secret cannot be read any more when the tokens are there: they are ended as soon as it can be again.
#[tokio::test]
async fn tokens_of_a_code_whose_client_cannot_be_named_are_ended() {
    let asked = Asked::default();
    let manifest = json!({
        "manifest": 1, "slug": "crm", "name": "CRM", "description": "Customers", "api": {"base_url": "https://api.crm.example/"},
        "oauth2": {
            "authorize_url": "https://crm.example/authorize", "token_url": "https://crm.example/token",
            "revoke": {"url": "https://crm.example/revoke"},
        },
    });
    let stage = Stage::new(manifest, json!({"access_token": "first", "refresh_token": "orphan", "expires_in": 3600}), asked.clone()).await;
    let gone = stage.secret.clone();
    assert!(asked.set(Box::new(move || std::fs::remove_file(&gone).unwrap())).is_ok());
    let started = stage.account.start_connect("crm", StartConnect::default()).await.unwrap();
    let page: url::Url = started.authorize_url.parse().unwrap();
    let state = page.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let callback = format!("{}?code=c&state={state}", started.redirect_uri);
    let error = stage.account.finish_connect(callback, Secret::new(started.cookie.value.expose())).await.unwrap_err();
    assert_eq!(error.code(), Code::SecretMissing, "{error}");
    std::fs::write(Path::new(&stage.secret), "client-secret").unwrap();
    stage.revoked("orphan").await;
}
