//! Two providers in one project, one of them hostile: it answers a user who came to connect it by sending the user on to the
//! other one, with client id, redirect path or state exchanged, so that a code or a connection ends up in the wrong place.

use serde_json::{Value, json};
use smalt::{
    Account, Code, Secret, Smalt,
    backend::StartConnect,
    manifest::AppManifest,
    model::{ConnectionStatus, StartedConnect},
    vault::LocalKey,
};
use smalt_tests::{
    counterpart::{Provider, User},
    size,
};
use tempfile::TempDir;
use url::Url;

use super::common::{finish, param};

/// Where native flows of every application come back.
const SHARED: &str = "http://127.0.0.1/callback";

fn own_path(slug: &str) -> String {
    format!("http://127.0.0.1/api/v1/{slug}/callback")
}

/// The worst case: each provider has all of the redirect URIs on its list.
fn provider() -> Provider {
    let [honest, hostile, silent] = ["honest", "hostile", "silent"].map(own_path);
    let flags =
        ["--redirect-uri", &honest, "--redirect-uri", &hostile, "--redirect-uri", &silent, "--redirect-uri", SHARED, "--code-ttl", "600"];
    Provider::start(&flags)
}

/// An engine with the honest provider, and with the hostile one twice: as it says who it is, and as it does not.
struct Scene {
    honest: Provider,
    hostile: Provider,
    user: User,
    smalt: Smalt,
    _folder: TempDir,
}

impl Scene {
    async fn new() -> Scene {
        let (honest, hostile) = (provider(), provider());
        let folder = tempfile::tempdir().unwrap();
        let client = |provider: &Provider, name: &str| {
            let (id, secret) = provider.client();
            std::fs::write(folder.path().join(name), secret).unwrap();
            json!({"client": {"test": {"id": id, "secret": {"file": folder.path().join(name)}}}})
        };
        let allowed = [&honest, &hostile].map(|provider| provider.issuer.trim_start_matches("http://").to_owned());
        let project = json!({
            "version": 1,
            "org": {"public_url": "http://127.0.0.1", "redirect_uris": [SHARED]},
            "network": {"allow": allowed},
            "apps": {"honest": client(&honest, "a"), "hostile": client(&hostile, "b"), "silent": client(&hostile, "b")}
        });
        let named = |provider: &Provider, slug: &str| AppManifest { slug: slug.to_owned(), ..provider.manifest() };
        let mut silent = named(&hostile, "silent");
        silent.oauth2.as_mut().unwrap().issuer = None;
        let smalt = Smalt::in_memory()
            .keys(LocalKey::generate().unwrap())
            .project_value(serde_json::from_value(project).unwrap())
            .manifest(named(&honest, "honest"))
            .manifest(named(&hostile, "hostile"))
            .manifest(silent)
            .open()
            .await
            .unwrap();
        Scene { honest, hostile, user: User::without_browser(), smalt, _folder: folder }
    }

    async fn account(&self, id: &str) -> Account {
        let account = self.smalt.account(id);
        account.ensure().await.unwrap();
        account
    }

    /// Whatever page the browser is sent to, the user signs in and consents there.
    fn consent(&self, url: &str) -> String {
        self.user.visit(url, "victor", true, None)
    }

    /// The page that the hostile provider sends a user on to: a flow's own URL at this provider, as its client and redirect URI.
    fn swapped(&self, started: &StartedConnect, to: &Provider, client: &str, redirect_uri: &str) -> String {
        let mut url = Url::parse(&format!("{}/auth", to.issuer)).unwrap();
        let own = Url::parse(&started.authorize_url).unwrap();
        let kept = own.query_pairs().filter(|(name, _)| name != "client_id" && name != "redirect_uri");
        url.query_pairs_mut().extend_pairs(kept).append_pair("client_id", client).append_pair("redirect_uri", redirect_uri);
        url.into()
    }
}

async fn start(account: &Account, slug: &str) -> StartedConnect {
    account.start_connect(slug, StartConnect::default()).await.unwrap()
}

fn exchanges(provider: &Provider, which: &str) -> u64 {
    provider.stats()["token"]["authorization_code"][which].as_u64().unwrap_or(0)
}

/// What comes back to the victim's browser, with which cookie, and how it must end.
struct Attack {
    what: &'static str,
    callback: String,
    cookie: Secret,
    ends: Code,
}

async fn attack(scene: &Scene, kind: usize, victim: &Account, attacker: &Account) -> Attack {
    let honest = scene.honest.client().0;
    let at_honest =
        |started: &StartedConnect, redirect_uri: &str| scene.consent(&scene.swapped(started, &scene.honest, honest, redirect_uri));
    let of = |what, started: StartedConnect, callback: String, ends| Attack { what, callback, cookie: started.cookie.value, ends };
    match kind {
        0 => {
            let started = start(victim, "hostile").await;
            let callback = at_honest(&started, &own_path("honest"));
            of("client and path exchanged", started, callback, Code::FlowContextMismatch)
        }
        1 => {
            let started = start(victim, "hostile").await;
            let callback = at_honest(&started, &own_path("hostile"));
            of("client exchanged, at a provider that is known", started, callback, Code::IssuerMismatch)
        }
        2 => {
            let started = start(victim, "silent").await;
            let callback = at_honest(&started, &own_path("silent"));
            of("client exchanged, at a provider that states no issuer", started, callback, Code::IssuerMismatch)
        }
        3 => {
            let options = StartConnect { redirect_uri: Some(SHARED.to_owned()), ..StartConnect::default() };
            let started = victim.start_connect("silent", options).await.unwrap();
            let callback = at_honest(&started, SHARED);
            of("the same, on the path that all native flows share", started, callback, Code::IssuerMismatch)
        }
        4 => {
            // The attacker's own flow with the honest provider, put before the victim.
            let (minted, started) = (start(attacker, "honest").await, start(victim, "hostile").await);
            let callback = scene.consent(&minted.authorize_url);
            of("state exchanged", started, callback, Code::FlowAccountMismatch)
        }
        5 => {
            // The victim's flow with the honest provider, but as a client that the attacker has there.
            let started = start(victim, "honest").await;
            let callback = scene.consent(&scene.swapped(&started, &scene.honest, &format!("{honest}-native"), &own_path("honest")));
            of("client exchanged for the attacker's at the same provider", started, callback, Code::ExchangeFailed)
        }
        _ => {
            // The hostile provider's own code in the honest flow: the victim would be linked to the attacker's user.
            let started = start(victim, "honest").await;
            let hostile = scene.hostile.client().0;
            let callback = scene.consent(&scene.swapped(&started, &scene.hostile, hostile, &own_path("honest")));
            of("a foreign code for an honest flow", started, callback, Code::IssuerMismatch)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s05_a_hostile_provider_gets_no_code_and_no_connection() {
    let scene = Scene::new().await;
    let (victim, attacker) = (scene.account("victim").await, scene.account("attacker").await);
    let (mut tried, mut at_the_same) = (0, 0);
    for n in 0..size(14, 100) {
        let attack = attack(&scene, n % 7, &victim, &attacker).await;
        assert!(param(&attack.callback, "code").is_some(), "{}: the user did consent", attack.what);
        let error = finish(&victim, &scene.smalt, &attack.callback, Some(attack.cookie.clone())).await.unwrap_err();
        assert_eq!(error.code(), attack.ends, "{}: {error}", attack.what);
        // What was tried once is spent.
        let again = finish(&victim, &scene.smalt, &attack.callback, Some(attack.cookie)).await.unwrap_err();
        assert_eq!(again.code(), Code::StateReplayed, "{}", attack.what);
        tried += 1;
        at_the_same += u64::from(attack.ends == Code::ExchangeFailed);
    }
    assert!(tried >= 10);
    assert_eq!(exchanges(&scene.hostile, "received"), 0, "no code reached the hostile token URL");
    // The one that was asked for its own code, by its own client, said no.
    assert_eq!((exchanges(&scene.honest, "received"), exchanges(&scene.honest, "success")), (at_the_same, 0));
    for account in [&victim, &attacker] {
        assert!(account.connections(None).await.unwrap().is_empty());
    }

    // Undisturbed, each of the three connects.
    for slug in ["honest", "hostile", "silent"] {
        let started = start(&victim, slug).await;
        let callback = scene.consent(&started.authorize_url);
        let connection = victim.finish_connect(callback, started.cookie.value).await.unwrap();
        assert_eq!((connection.status, connection.application.as_str()), (ConnectionStatus::Active, slug));
    }
    let requests = scene.hostile.stats()["requests"].clone();
    assert_eq!(requests["POST /token"], Value::from(2), "{requests}");
}
