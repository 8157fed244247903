//! Clients that are registered by protocol (RFC 7591): once for all callers and processes, kept sealed, renewed when they must be.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::json;
use smalt::{
    Account, Code, Error, Secret, Smalt,
    backend::{ImportConnection, RotateKeys, StartConnect},
    engine::Timings,
    http::ScriptedTransport,
    manifest::AppManifest,
    model::{Connection, Environment, Json, StartedConnect},
    plugin::{FixedClock, HttpRequest},
    project::Project,
    sandbox::{Sandbox, SandboxControl, SandboxOptions, visit},
    vault::LocalKey,
};

struct Stage {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    control: SandboxControl,
    clock: FixedClock,
    key: Secret,
    /// More of `oauth2.registration`, and of the application in the project.
    registration: Json,
    settings: Json,
}

fn merged(mut into: Json, more: &Json) -> Json {
    into.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    into
}

impl Stage {
    async fn new(registration: Json) -> Self {
        let clock = FixedClock::at("2026-01-01T00:00:00.000Z".parse().unwrap());
        let options = SandboxOptions { clock: Arc::new(clock.clone()), ..SandboxOptions::default() };
        let sandbox = Sandbox::start(options).await.unwrap();
        let control = sandbox.control();
        control.auto_consent(Some("ada"));
        let folder = tempfile::tempdir().unwrap();
        Self { folder, sandbox, control, clock, key: LocalKey::generate().unwrap().text(), registration, settings: json!({}) }
    }

    fn manifest(&self) -> AppManifest {
        let origin = self.sandbox.origin();
        let at = |path: &str| format!("{origin}{path}");
        let registration = merged(json!({"url": at("/register")}), &self.registration);
        let registration: BTreeMap<String, Json> =
            registration.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        serde_json::from_value(json!({
            "manifest": 1, "slug": "club", "name": "Club", "description": "Registers its clients.",
            "api": {"base_url": at("/api/")},
            "oauth2": {
                "authorize_url": at("/authorize"), "token_url": at("/token"), "registration": registration,
                "scopes": {"default": ["profile", "items.read"]}, "refresh": {"early": 5}, "revoke": {"url": at("/revoke")},
                "identity": {"url": at("/userinfo"), "id": "/sub", "label": "/email"},
            },
        }))
        .unwrap()
    }

    async fn open_as(&self, org: &str, environment: Environment) -> Smalt {
        let project: Project = serde_json::from_value(json!({
            "version": 1,
            "org": {"id": org, "name": "Acme", "public_url": "https://app.acme.example", "redirect_uris": ["https://app.acme.example/other"]},
            "network": {"allow": [self.sandbox.address().to_string()]},
            "apps": {"club": self.settings},
        }))
        .unwrap();
        let timings = Timings {
            poll: std::time::Duration::from_millis(20),
            revoke_backoff: std::time::Duration::from_millis(50),
            ahead: None,
            ..Timings::default()
        };
        Smalt::embedded(self.file())
            .keys(LocalKey::parse(&self.key).unwrap())
            .clock(self.clock.clone())
            .environment(environment)
            .project_value(project)
            .manifest(self.manifest())
            .timings(timings)
            .open()
            .await
            .unwrap()
    }

    async fn open(&self) -> Smalt {
        self.open_as("acme", Environment::Test).await
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("smalt.db")
    }
}

async fn account(smalt: &Smalt, id: &str) -> Account {
    let account = smalt.account(id);
    account.ensure().await.unwrap();
    account
}

async fn start(account: &Account) -> smalt::Result<StartedConnect> {
    account.start_connect("club", StartConnect::default()).await
}

fn client_of(started: &StartedConnect) -> String {
    let url: url::Url = started.authorize_url.parse().unwrap();
    url.query_pairs().find(|(name, _)| name == "client_id").unwrap().1.into_owned()
}

async fn finish(account: &Account, started: StartedConnect) -> smalt::Result<Connection> {
    let callback = visit(&started.authorize_url).await.unwrap();
    account.finish_connect(callback, Secret::new(started.cookie.value.expose())).await
}

async fn connect(account: &Account) -> smalt::Result<Connection> {
    let started = start(account).await?;
    finish(account, started).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_for_all_callers_and_processes() {
    let stage = Stage::new(json!({})).await;
    let (one, other) = (stage.open().await, stage.open().await);
    let mut starting = Vec::new();
    for n in 0..12 {
        let account = account(if n % 2 == 0 { &one } else { &other }, &format!("a{n}")).await;
        starting.push(tokio::spawn(async move { start(&account).await.map(|started| client_of(&started)) }));
    }
    let mut clients = Vec::new();
    for starting in starting {
        clients.push(starting.await.unwrap().unwrap());
    }
    clients.dedup();
    assert_eq!((clients.len(), stage.control.stats().registrations), (1, 1), "{clients:?}");

    // It serves the whole life of a connection, in another process too.
    let (here, there) = (account(&one, "a0").await, account(&other, "a0").await);
    let connection = connect(&here).await.unwrap();
    assert_eq!(connection.identity.unwrap().id, "sandbox-user-1");
    stage.clock.advance_millis(3_600_000);
    assert_eq!(there.request("club", "GET", "items").await.unwrap().status, 200);
    assert_eq!(stage.control.stats().refreshes, 1);
    assert_eq!(there.disconnect("club").await.unwrap().revocation.as_str(), "revoked");
    assert_eq!(stage.control.stats().registrations, 1);

    // And after a restart.
    one.close().await;
    other.close().await;
    let again = stage.open().await;
    assert_eq!(client_of(&start(&account(&again, "a1").await).await.unwrap()), clients[0]);
    assert_eq!(stage.control.stats().registrations, 1);
}

/// Organisations and environments share nothing, though they share the store.
#[tokio::test]
async fn s24_every_tenant_has_a_client_of_its_own() {
    let stage = Stage::new(json!({})).await;
    let mut clients = std::collections::BTreeSet::new();
    for (org, environment) in [("acme", Environment::Test), ("acme", Environment::Production), ("other", Environment::Test)] {
        let smalt = stage.open_as(org, environment).await;
        clients.insert(client_of(&start(&account(&smalt, "a").await).await.unwrap()));
        smalt.close().await;
    }
    assert_eq!((clients.len(), stage.control.stats().registrations), (3, 3));
}

fn texts_in(folder: &Path, text: &str) -> usize {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.map(|file| file.windows(text.len()).filter(|window| *window == text.as_bytes()).count()).sum()
}

#[tokio::test]
async fn a_client_is_kept_sealed_and_under_every_new_key() {
    let stage = Stage::new(json!({})).await;
    let smalt = stage.open().await;
    let client = client_of(&start(&account(&smalt, "a").await).await.unwrap());
    connect(&account(&smalt, "a").await).await.unwrap();
    assert_eq!(texts_in(stage.folder.path(), &client), 0, "the client's id stands in the store");
    let ended = smalt.rotate_keys(RotateKeys::default()).await.unwrap();
    assert_eq!((ended.unreadable, ended.kept.len()), (0, 0), "{ended:?}");
    smalt.close().await;
    let smalt = stage.open().await;
    assert_eq!(client_of(&start(&account(&smalt, "a").await).await.unwrap()), client);
    assert_eq!(stage.control.stats().registrations, 1);
}

#[tokio::test]
async fn a_secret_that_ends_is_renewed_where_the_client_has_a_page() {
    let stage = Stage::new(json!({})).await;
    stage.control.change(|ways| (ways.client_secret_expires_in, ways.secrets_renewed) = (Some(7200), true));
    let smalt = stage.open().await;
    let account = account(&smalt, "a").await;
    let before = client_of(&start(&account).await.unwrap());
    connect(&account).await.unwrap();
    // The connection outlives its client's secret.
    stage.clock.advance_millis(3 * 3_600_000);
    assert_eq!(account.request("club", "GET", "items").await.unwrap().status, 200);
    let stats = stage.control.stats();
    assert_eq!((stats.registrations, stats.registrations_read, stats.refreshes), (1, 1, 1));
    assert_eq!(client_of(&start(&account).await.unwrap()), before);
}

#[tokio::test]
async fn a_secret_that_ends_for_good_is_followed_by_another_client() {
    let stage = Stage::new(json!({})).await;
    stage.control.change(|ways| (ways.client_secret_expires_in, ways.registration_management) = (Some(7200), false));
    let smalt = stage.open().await;
    let account = account(&smalt, "a").await;
    let before = client_of(&start(&account).await.unwrap());
    let connection = connect(&account).await.unwrap();
    stage.clock.advance_millis(3 * 3_600_000);
    let after = client_of(&start(&account).await.unwrap());
    assert_ne!(before, after);
    assert_eq!(stage.control.stats().registrations, 2);
    // What was granted to the old one died with it, and says so; the user connects again.
    let error = account.credential("club").await.unwrap_err();
    assert_eq!((error.code(), error.info().context.get("cause").map(String::as_str)), (Code::ReauthRequired, Some("client_gone")));
    let renewed = connect(&account).await.unwrap();
    assert_eq!(renewed.id, connection.id);
    stage.clock.advance_millis(3_500_000);
    assert_eq!(account.request("club", "GET", "items").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_the_provider_forgot_is_followed_by_another_one() {
    let stage = Stage::new(json!({})).await;
    let smalt = stage.open().await;
    let account = account(&smalt, "a").await;
    connect(&account).await.unwrap();
    let before = client_of(&start(&account).await.unwrap());
    stage.control.apply_json(json!({"do": "forget_clients"})).unwrap();
    stage.clock.advance_millis(3_600_000);
    let error = account.credential("club").await.unwrap_err();
    assert_eq!(
        (error.code(), error.info().context.get("provider_error").map(String::as_str)),
        (Code::ReauthRequired, Some("invalid_client"))
    );
    let health = account.connections(Some("club")).await.unwrap();
    assert_eq!(health[0].status.as_str(), "expired");
    connect(&account).await.unwrap();
    assert_ne!(client_of(&start(&account).await.unwrap()), before);
    assert_eq!(stage.control.stats().registrations, 2);

    // Forgotten between consent and exchange: this flow fails, the next one has another client.
    let started = start(&account).await.unwrap();
    let callback = visit(&started.authorize_url).await.unwrap();
    stage.control.apply_json(json!({"do": "forget_clients"})).unwrap();
    let error = account.finish_connect(callback, Secret::new(started.cookie.value.expose())).await.unwrap_err();
    assert_eq!(error.code(), Code::ExchangeFailed, "{error}");
    connect(&account).await.unwrap();
    assert_eq!(stage.control.stats().registrations, 3);
}

#[tokio::test]
async fn another_redirect_uri_or_scope_has_a_client_registered_that_serves_all() {
    let stage = Stage::new(json!({})).await;
    let smalt = stage.open().await;
    let account = account(&smalt, "a").await;
    let first = client_of(&start(&account).await.unwrap());
    let other = || StartConnect { redirect_uri: Some("https://app.acme.example/other".into()), ..StartConnect::default() };
    let second = client_of(&account.start_connect("club", other()).await.unwrap());
    let more = StartConnect { scopes: Some(vec!["items.write".into()]), ..StartConnect::default() };
    let third = client_of(&account.start_connect("club", more).await.unwrap());
    assert!(first != second && second != third);
    // From here on one client is enough, whatever is asked.
    for _ in 0..2 {
        assert_eq!(client_of(&start(&account).await.unwrap()), third);
        assert_eq!(client_of(&account.start_connect("club", other()).await.unwrap()), third);
    }
    // Any port of a loopback address is one redirect URI (RFC 8252 section 7.3).
    let local = |port: u16| StartConnect { redirect_uri: Some(format!("http://127.0.0.1:{port}/callback")), ..StartConnect::default() };
    let fourth = client_of(&account.start_connect("club", local(4000)).await.unwrap());
    let started = account.start_connect("club", local(5000)).await.unwrap();
    assert_eq!(client_of(&started), fourth);
    assert_eq!(stage.control.stats().registrations, 4);
    finish(&account, started).await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_told_once_and_asked_for_again_later() {
    let stage = Stage::new(json!({})).await;
    stage.control.change(|ways| ways.registration = false);
    let smalt = stage.open().await;
    let account = account(&smalt, "a").await;
    for wait in [None, Some(30), Some(30)] {
        let error = start(&account).await.unwrap_err();
        assert_eq!(
            (error.code(), error.info().context["provider_error"].as_str()),
            (Code::RegistrationRefused, "access_denied"),
            "{error}"
        );
        assert_eq!(error.info().retry_after.map(|wait| wait.as_secs()), wait);
    }
    assert_eq!(stage.control.stats().registration_requests, 1);
    stage.control.change(|ways| ways.registration = true);
    stage.clock.advance_millis(31_000);
    connect(&account).await.unwrap();
    assert_eq!(stage.control.stats().registration_requests, 2);
}

#[tokio::test]
async fn a_token_of_the_project_opens_the_registration() {
    let mut stage = Stage::new(json!({})).await;
    let file = stage.folder.path().join("initial.txt");
    stage.control.change(|ways| ways.registration_token = Some("initial-token".to_owned()));
    let smalt = stage.open().await;
    let error = start(&account(&smalt, "a").await).await.unwrap_err();
    assert_eq!((error.code(), error.info().context["provider_error"].as_str()), (Code::RegistrationRefused, "invalid_token"));
    smalt.close().await;
    std::fs::write(&file, "initial-token\n").unwrap();
    stage.settings = json!({"registration_token": {"file": file}});
    stage.clock.advance_millis(31_000);
    let smalt = stage.open().await;
    connect(&account(&smalt, "a").await).await.unwrap();
}

#[tokio::test]
async fn metadata_say_where_clients_are_registered() {
    let stage = Stage::new(json!({})).await;
    let discovery = format!("{}/.well-known/oauth-authorization-server", stage.sandbox.origin());
    let stage = Stage { registration: json!({"url": null, "discovery": discovery}), ..stage };
    let smalt = stage.open().await;
    let account = account(&smalt, "a").await;
    connect(&account).await.unwrap();
    assert_eq!(stage.control.stats().registrations, 1);
    // Where they say nothing of it, there is none.
    stage.control.apply_json(json!({"do": "forget_clients"})).unwrap();
    stage.control.change(|ways| ways.registration = false);
    stage.clock.advance_millis(3_600_000);
    assert_eq!(account.credential("club").await.unwrap_err().code(), Code::ReauthRequired);
    let error = start(&account).await.unwrap_err();
    assert_eq!(error.info().context["provider_error"], "no_registration_endpoint");
}

/// A client with which nobody connected is not trusted for longer than the provider keeps it.
#[tokio::test]
async fn a_client_that_lay_unused_is_registered_anew() {
    let stage = Stage::new(json!({"unused_life": 86_400})).await;
    let smalt = stage.open().await;
    let account = account(&smalt, "a").await;
    let first = client_of(&start(&account).await.unwrap());
    stage.clock.advance_millis(86_300_000);
    assert_eq!(client_of(&start(&account).await.unwrap()), first);
    stage.clock.advance_millis(200_000);
    connect(&account).await.unwrap();
    assert_eq!(stage.control.stats().registrations, 2);
    stage.clock.advance_millis(10 * 86_400_000);
    start(&account).await.unwrap();
    assert_eq!(stage.control.stats().registrations, 2);
}

/// A lost answer leaves no client behind that anybody knows of; the next try has one.
#[tokio::test]
async fn a_lost_answer_costs_a_pause() {
    let stage = Stage::new(json!({})).await;
    stage
        .control
        .apply_json(json!({"do": "misbehave", "at": "register", "times": 1, "with": {"kind": "drop", "after_work": true}}))
        .unwrap();
    let smalt = stage.open().await;
    let account = account(&smalt, "a").await;
    assert_eq!(start(&account).await.unwrap_err().code(), Code::ProviderError);
    assert_eq!(start(&account).await.unwrap_err().code(), Code::ProviderError);
    assert_eq!(stage.control.stats().registrations, 1);
    stage.clock.advance_millis(31_000);
    connect(&account).await.unwrap();
    assert_eq!(stage.control.stats().registrations, 2);
}

// ---- Hosts of the user's own.

fn anywhere() -> AppManifest {
    serde_json::from_value(json!({
        "manifest": 1, "slug": "club", "name": "Club", "description": "On any server.",
        "api": {"base_url": "https://{server}/api/"},
        "oauth2": {
            "authorize_url": "https://{server}/authorize", "token_url": "https://{server}/token", "client_auth": "body",
            "registration": {"url": "https://{server}/register"},
            "inputs": [{"name": "server", "label": "Server", "pattern": "[a-z0-9-]+(\\.[a-z0-9-]+)+"}],
            "refresh": {"early": 5},
        },
    }))
    .unwrap()
}

async fn at_any_host(settings: Json, transport: &ScriptedTransport) -> Account {
    let project: Project =
        serde_json::from_value(json!({"version": 1, "org": {"public_url": "https://app.acme.example"}, "apps": {"club": settings}}))
            .unwrap();
    let smalt = Smalt::in_memory()
        .keys(LocalKey::generate().unwrap())
        .project_value(project)
        .manifest(anywhere())
        .transport(transport.clone())
        .open()
        .await
        .unwrap();
    account(&smalt, "a").await
}

fn on(server: &str) -> StartConnect {
    StartConnect { inputs: BTreeMap::from([("server".to_owned(), server.to_owned())]), ..StartConnect::default() }
}

fn sent_to(transport: &ScriptedTransport) -> Vec<String> {
    transport.requests().iter().map(|request: &HttpRequest| request.url.as_str().to_owned()).collect()
}

#[tokio::test]
async fn s50_each_host_has_a_client_of_its_own_and_sees_no_other() {
    let transport = ScriptedTransport::answering(|request| {
        let host = request.url.host_str().unwrap().to_owned();
        Ok(match request.url.path() {
            // The second one answers the first one's id.
            "/register" => ScriptedTransport::json(201, &json!({"client_id": "same", "client_secret": format!("secret-of-{host}")})),
            "/token" => ScriptedTransport::json(200, &json!({"access_token": format!("access-of-{host}"), "expires_in": 3600})),
            _ => ScriptedTransport::json(404, &json!({})),
        })
    });
    let account = at_any_host(json!({}), &transport).await;
    for server in ["one.example", "two.example", "one.example"] {
        let started = account.start_connect("club", on(server)).await.unwrap();
        let page: url::Url = started.authorize_url.parse().unwrap();
        assert_eq!(page.host_str(), Some(server));
        let state = page.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let callback = format!("{}?code=c&state={state}", started.redirect_uri);
        account.finish_connect(callback, Secret::new(started.cookie.value.expose())).await.unwrap();
    }
    let sent = sent_to(&transport);
    let at = |path: &str| sent.iter().filter(|url| url.ends_with(path)).count();
    assert_eq!((at("one.example/register"), at("two.example/register"), at("/token")), (1, 1, 3), "{sent:?}");
    for request in transport.requests().iter().filter(|request| request.url.path() == "/token") {
        let body = String::from_utf8(request.body.0.to_vec()).unwrap();
        let own = format!("client_secret=secret-of-{}", request.url.host_str().unwrap());
        assert!(body.contains(&own) && body.matches("secret-of-").count() == 1, "{body}");
    }
}

/// Nothing of the organisation's own goes to a host that a user names.
#[tokio::test]
async fn s50_no_client_of_the_organisation_goes_to_a_users_host() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret.txt");
    std::fs::write(&file, "the organisation's").unwrap();
    for settings in [json!({"client": {"test": {"id": "ours", "secret": {"file": file}}}}), json!({"registration_token": {"file": file}})] {
        let transport = ScriptedTransport::new();
        let account = at_any_host(settings, &transport).await;
        let error = account.start_connect("club", on("evil.example")).await.unwrap_err();
        assert_eq!(error.code(), Code::ProjectInvalid, "{error}");
        assert!(transport.requests().is_empty());
        // An import is of another client: it is not renewed with one of ours.
        let mut import = ImportConnection { application: "club".into(), ..ImportConnection::default() };
        for (name, value) in [("server", "evil.example"), ("refresh_token", "theirs")] {
            import.values.insert(name.into(), value.into());
        }
        account.import(import).await.unwrap();
        let refused: Error = account.credential("club").await.unwrap_err();
        assert!([Code::ProjectInvalid, Code::ClientMissing].contains(&refused.code()), "{refused}");
        assert!(transport.requests().is_empty());
    }
}

#[tokio::test]
async fn a_host_must_be_one() {
    let transport = ScriptedTransport::new();
    let account = at_any_host(json!({}), &transport).await;
    for server in ["", "evil", "a@evil.example", "evil.example/x", "evil.example:8080", "127.0.0.1", "evil.example#", "EVIL.example?x=y"] {
        let error = account.start_connect("club", on(server)).await.unwrap_err();
        assert!([Code::InvalidInputs, Code::HostMismatch].contains(&error.code()), "{server}: {error}");
    }
    assert!(transport.requests().is_empty());
}
