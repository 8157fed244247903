//! Ways to authorise without a user's code, against a provider that others wrote.

use serde_json::{Value, json};
use smalt::{Smalt, backend::StartConnect, manifest::AppManifest, project::Project, vault::LocalKey};
use smalt_tests::counterpart::{Provider, User};

/// An engine with these applications at the provider, each with its client: id and file of the secret.
async fn open(provider: &Provider, folder: &std::path::Path, apps: &[(Value, Value)]) -> Smalt {
    let mut project = serde_json::to_value(provider.project(folder)).unwrap();
    let mut builder = Smalt::embedded(folder.join("smalt.db")).keys(LocalKey::generate().unwrap());
    for (manifest, client) in apps {
        let manifest: AppManifest = serde_json::from_value(manifest.clone()).unwrap();
        project["apps"][&manifest.slug] = json!({"client": {"test": client}});
        builder = builder.manifest(manifest);
    }
    let project: Project = serde_json::from_value(project).unwrap();
    builder.project_value(project).open().await.unwrap()
}

fn key() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/keys/rsa.pem").to_owned()
}

fn machine(provider: &Provider, slug: &str, token: Value) -> Value {
    let issuer = &provider.issuer;
    let mut all = json!({"grant": "client_credentials", "url": format!("{issuer}/token"), "scopes": {"default": ["read"]}, "early": 5,
        "revoke": {"url": format!("{issuer}/token/revocation"), "token": "access"}});
    all.as_object_mut().unwrap().extend(token.as_object().unwrap().clone());
    json!({
        "manifest": 1, "slug": slug, "name": slug, "description": "oidc-provider", "api": {"base_url": format!("{issuer}/")},
        "keybased": {"inputs": [], "placement": {"in": "header", "name": "Authorization", "value": "Bearer {access_token}"}, "token": all}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn client_credentials_by_secret_and_by_key_against_oidc_provider() {
    let provider = Provider::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let by_key = json!({"client_auth": "private_key_jwt", "client_assertion": {"header": {"kid": "conformance"}}});
    let apps = [
        (
            machine(&provider, "by-secret", json!({})),
            json!({"id": "counterpart-machine", "secret": {"file": folder.path().join("counterpart-secret")}}),
        ),
        (machine(&provider, "by-key", by_key), json!({"id": "counterpart-machine-key", "secret": {"file": key()}})),
    ];
    let smalt = open(&provider, folder.path(), &apps).await;
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    for (n, slug) in ["by-secret", "by-key"].into_iter().enumerate() {
        let connection = account.connect(slug).await.unwrap();
        assert_eq!(connection.scopes, ["read"]);
        assert!(connection.expires_at.is_some());
        let token = account.credential(slug).await.unwrap().access_token.clone().unwrap();
        // A second connect asks again: a JWT that came twice would be refused.
        account.connect(slug).await.unwrap();
        let second = account.credential(slug).await.unwrap().access_token.clone().unwrap();
        assert_ne!(token, second);
        let receipt = account.disconnect(slug).await.unwrap();
        assert_eq!(receipt.revocation.as_str(), "revoked");
        let stats = provider.stats();
        assert_eq!(stats["token"]["client_credentials"], json!({"received": 2 * (n + 1), "success": 2 * (n + 1), "error": 0}));
        assert_eq!(stats["revocations"], json!(n + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_life_of_a_client_with_a_key_against_oidc_provider() {
    let provider = Provider::start(&["--access-token-ttl", "2"]);
    let user = User::without_browser();
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = serde_json::to_value(provider.manifest()).unwrap();
    manifest["slug"] = json!("strong");
    manifest["oauth2"]["client_auth"] = json!("private_key_jwt");
    let client = json!({"id": "counterpart-key", "secret": {"file": key()}, "redirect_uri": "http://127.0.0.1/callback"});
    let mut project = serde_json::to_value(provider.project(folder.path())).unwrap();
    project["apps"]["strong"] = json!({"client": {"test": client}});
    let smalt = Smalt::embedded(folder.path().join("smalt.db"))
        .keys(LocalKey::generate().unwrap())
        .project_value(serde_json::from_value(project).unwrap())
        .manifest(serde_json::from_value(manifest).unwrap())
        .open()
        .await
        .unwrap();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    let started = account.start_connect("strong", StartConnect::default()).await.unwrap();
    let callback = user.visit(&started.authorize_url, "ada", true, None);
    account.finish_connect(callback, started.cookie.value.clone()).await.unwrap();
    let first = account.credential("strong").await.unwrap().access_token.clone().unwrap();
    // The token lives for two seconds only.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let second = loop {
        let now = account.credential("strong").await.unwrap().access_token.clone().unwrap();
        if now != first {
            break now;
        }
        assert!(std::time::Instant::now() < deadline, "the token was never renewed");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let refreshes = provider.stats()["token"]["refresh_token"].clone();
    assert_eq!((refreshes["error"].clone(), &refreshes["success"]), (json!(0), &refreshes["received"]));
    let receipt = account.disconnect("strong").await.unwrap();
    assert_eq!(receipt.revocation.as_str(), "revoked");
    assert!(!provider.is_active(second.expose()));
}
