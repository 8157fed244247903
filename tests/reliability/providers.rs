//! One provider that is dead beside one that lives.

use std::time::Duration;

use serde_json::json;
use smalt::{
    Code, Secret, Smalt,
    backend::ImportConnection,
    engine::Timings,
    manifest::AppManifest,
    sandbox::{Endpoint, Misbehaviour, Sandbox, SandboxControl},
};
use smalt_tests::size;

use crate::stage::{HOUR, SANDBOX, Stage, connect_sandbox, sandbox, timings, until};

/// The slug of the provider that dies.
const DYING: &str = "dying";

fn manifest(sandbox: &Sandbox) -> AppManifest {
    let origin = sandbox.origin();
    serde_json::from_value(json!({
        "manifest": 1, "slug": DYING, "name": "Dying", "description": "A provider that does not answer.",
        "api": {"base_url": format!("{origin}/api/")},
        "oauth2": {
            "authorize_url": format!("{origin}/authorize"), "token_url": format!("{origin}/token"), "issuer": origin,
            "scopes": {"default": ["items.read"]}, "refresh": {"early": 5}
        }
    }))
    .unwrap()
}

fn stage(living: &Sandbox, dying: &Sandbox) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, smalt::sandbox::CLIENT_SECRET).unwrap();
    let project = serde_json::from_value(json!({
        "version": 1,
        "org": {"redirect_uris": ["http://127.0.0.1/callback"]},
        "sandbox": {"enabled": true, "url": living.origin()},
        "network": {"allow": [dying.address().to_string()]},
        "apps": {"dying": {"client": {"test": {"id": smalt::sandbox::CLIENT_ID, "secret": {"file": secret}}}}}
    }));
    Stage::new(folder, &project.unwrap(), &[&manifest(dying)])
}

/// A connection to the provider that dies, whose token is over.
async fn link(smalt: &Smalt, account: &str) {
    let account = smalt.account(account);
    account.ensure().await.unwrap();
    let values = [("access_token", "a"), ("refresh_token", "r")].map(|(name, value)| (name.to_owned(), Secret::new(value)));
    let import =
        ImportConnection { application: DYING.to_owned(), values: values.into(), expires_in: Some(1), ..ImportConnection::default() };
    account.import(import).await.unwrap();
}

/// Requests to refresh that came in; one that hangs counts as lost from its beginning.
fn asked(control: &SandboxControl) -> u64 {
    control.stats().answers.iter().filter(|(what, _)| what.starts_with("refresh ")).map(|(_, count)| count).sum()
}

/// Callers of a dead provider wait for a few calls, not for one each; callers of others do not wait for them; and it comes
/// back without anybody's doing.
#[tokio::test(flavor = "multi_thread")]
async fn r31_a_dead_provider_harms_nobody_else() {
    let ((living, _), (dying, control)) = (sandbox().await, sandbox().await);
    let stage = stage(&living, &dying);
    let provider = Duration::from_secs(3);
    let smalt = stage.open_with(Timings { provider, lease: Duration::from_secs(4), ..timings() }).await;
    let callers = size(50, 1_000);
    for n in 0..callers {
        link(&smalt, &format!("customer-{n}")).await;
    }
    for n in 0..10 {
        connect_sandbox(&smalt, &format!("customer-{n}")).await;
    }
    stage.clock.shift(HOUR);
    control.misbehave(Endpoint::Refresh, None, Misbehaviour::Hang { after_work: false });

    // The first ones hang. Beside them the living provider's tokens are renewed and its API is called.
    let ask = |account: String| {
        let account = smalt.account(account);
        tokio::spawn(async move { account.credential(DYING).await.map(drop) })
    };
    let first: Vec<_> = (0..8).map(|n| ask(format!("customer-{n}"))).collect();
    until("the first ones hang", async || asked(&control) == 8).await;
    let (mut renewed, mut served) = (0, 0);
    for n in 0..10 {
        let account = smalt.account(format!("customer-{n}"));
        renewed += usize::from(account.credential(SANDBOX).await.is_ok());
        served += usize::from(account.request(SANDBOX, "GET", "items").await.unwrap().status == 200);
    }
    assert_eq!((renewed, served), (10, 10));
    for hanging in first {
        assert_eq!(hanging.await.unwrap().unwrap_err().code(), Code::RefreshFailed);
    }

    // From here on it is known to be dead: of all others hardly a call goes out.
    let all: Vec<_> = (8..callers).map(|n| ask(format!("customer-{n}"))).collect();
    let mut others = 0;
    for call in all {
        let error = call.await.unwrap().unwrap_err();
        assert!([Code::RefreshFailed, Code::ProviderLimited].contains(&error.code()), "{error}");
        let account = smalt.account(format!("customer-{}", others % 10));
        assert_eq!(account.request(SANDBOX, "GET", "items").await.unwrap().status, 200);
        others += 1;
    }
    assert_eq!(others, callers - 8);
    let reached = asked(&control);
    // A probe per cool-down of the breaker is what may be added; a slow machine has time for some.
    assert!(reached <= 16, "{reached} calls reached the dead provider");
    let broken = stage.count("SELECT count(*) FROM connections WHERE status <> 'active'");
    assert_eq!(broken, 0, "a dead provider ends no connection");

    // It lives again, and takes imported tokens for what they are.
    control.clear(None);
    until("it is asked again, and answers", async || {
        let _ = smalt.account("customer-49").credential(DYING).await;
        control.stats().answers.contains_key("refresh 400")
    })
    .await;
    smalt.close().await;
}
