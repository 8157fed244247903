//! The whole OAuth life against a provider that others wrote, with people at Chromium, through the public API.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;
use smalt::{
    Account, Code, Smalt,
    backend::{GetCredential, StartConnect},
    model::{ConnectionStatus, FlowStatus, RevocationOutcome},
    plugin::{Clock, Fault, FixedClock, PresentRequest, Presenter, SystemClock},
    vault::LocalKey,
};
use smalt_tests::counterpart::{Provider, User};
use tempfile::TempDir;

/// An engine beside a running `oidc-provider`.
pub struct Counterpart {
    pub provider: Provider,
    pub clock: FixedClock,
    _folder: TempDir,
    pub smalt: Smalt,
}

impl Counterpart {
    pub async fn start() -> Counterpart {
        let provider = Provider::start(&["--access-token-ttl", "600"]);
        let clock = FixedClock::at(SystemClock::default().now());
        let folder = tempfile::tempdir().unwrap();
        let smalt = Smalt::embedded(folder.path().join("smalt.db"))
            .keys(LocalKey::generate().unwrap())
            .project_value(provider.project(folder.path()))
            .manifest(provider.manifest())
            .clock(clock.clone())
            .open()
            .await
            .unwrap();
        Counterpart { provider, clock, _folder: folder, smalt }
    }

    pub async fn account(&self, id: &str) -> Account {
        let account = self.smalt.account(id);
        account.ensure().await.unwrap();
        account
    }
}

/// Opens the page in Chromium, logs in, consents, and lets Chromium go to wherever the provider sends it.
struct ChromiumPresenter {
    user: Arc<User>,
    seen: Arc<Mutex<Option<std::thread::JoinHandle<Value>>>>,
}

#[async_trait]
impl Presenter for ChromiumPresenter {
    fn name(&self) -> &str {
        "chromium"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        let user = self.user.clone();
        // The page waits for the outcome, so the visit goes on while the flow ends.
        *self.seen.lock().unwrap() = Some(std::thread::spawn(move || user.follow(&request.authorize_url, "ada")));
        Ok(None)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_a_life_with_chromium_over_the_loopback_listener() {
    let counterpart = Counterpart::start().await;
    let provider = &counterpart.provider;
    let account = counterpart.account("customer-42").await;
    let seen = Arc::new(Mutex::new(None));
    let user = Arc::new(User::with_chromium());
    let connection = account.connect("counterpart").present(ChromiumPresenter { user, seen: seen.clone() }).await.unwrap();
    assert_eq!(connection.identity.as_ref().unwrap().id, "ada");

    let visit = seen.lock().unwrap().take().unwrap();
    let visit = tokio::task::spawn_blocking(move || visit.join().unwrap()).await.unwrap();
    let page = &visit["page"];
    let callback = url::Url::parse(visit["callback_url"].as_str().unwrap()).unwrap();
    let secret = |name: &str| callback.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
    assert_eq!(page["title"], "Connected");
    assert!(page["text"].as_str().unwrap().contains("You can close this window"), "{page}");
    let shown = url::Url::parse(page["url"].as_str().unwrap()).unwrap();
    assert_eq!((shown.path(), shown.query(), shown.fragment()), ("/callback/done", None, None));
    assert_eq!(shown.origin(), callback.origin());
    // Nothing that was requested afterwards carries them, not even as its referrer; and nobody else was asked.
    let requests = page["requests"].as_array().unwrap();
    assert!(!requests.is_empty());
    for request in requests {
        let text = request.to_string();
        assert!(!text.contains(&secret("code")) && !text.contains(&secret("state")), "{text}");
        assert_eq!(url::Url::parse(request["url"].as_str().unwrap()).unwrap().origin(), callback.origin());
    }

    // Renewed when the engine's clock says so, with rotation.
    let first = account.credential("counterpart").await.unwrap();
    counterpart.clock.advance_millis(598_000);
    let second = account.credential("counterpart").await.unwrap();
    let renewed = second.access_token.as_ref().unwrap().expose();
    assert_ne!(first.access_token.as_ref().unwrap().expose(), renewed);
    assert!(provider.is_active(renewed));
    let stats = provider.stats();
    assert_eq!((&stats["refresh_tokens"]["consumed"], &stats["grants_revoked"]), (&1.into(), &0.into()), "{stats}");

    let receipt = account.disconnect("counterpart").await.unwrap();
    assert_eq!(receipt.revocation, RevocationOutcome::Revoked);
    assert!(!provider.is_active(renewed));
    let error = account.credential_of(GetCredential { application: "counterpart".into(), ..GetCredential::default() }).await.unwrap_err();
    assert_eq!(error.code(), Code::NotConnected);
}

/// The host's own callback route, with a user who denies first and allows then.
#[tokio::test(flavor = "multi_thread")]
async fn s13_a_life_with_chromium_over_a_host_route() {
    let counterpart = Counterpart::start().await;
    let account = counterpart.account("customer-42").await;
    let session = account.session().await.unwrap();
    let user = User::with_chromium();
    let started = session.start_connect("counterpart", StartConnect::default()).await.unwrap();
    let denied = user.visit(&started.authorize_url, "ada", false, Some("ada"));
    let error = session.finish_connect(denied, started.cookie.value).await.unwrap_err();
    assert_eq!(error.code(), Code::UserDenied);
    assert_eq!(session.flow(&started.flow_id).status().await.unwrap().status, FlowStatus::Failed);
    let started = session.start_connect("counterpart", StartConnect::default()).await.unwrap();
    let allowed = user.visit(&started.authorize_url, "ada", true, Some("ada"));
    let connection = session.finish_connect(allowed, started.cookie.value).await.unwrap();
    assert_eq!((connection.status, connection.identity.unwrap().id.as_str()), (ConnectionStatus::Active, "ada"));
}
