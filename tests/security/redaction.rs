//! Secrets stand in sealed columns and in the answer that is meant for them, and nowhere else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::{Debug, Write},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding};
use serde_json::json;
use smalt::{
    Code, Result, Secret,
    backend::{ConfigField, ListAudit, ListEvents, ParkCallback},
    engine::Timings,
    http::{AddressPolicy, HostPort, ReqwestTransport},
    model::{ConfigUpdate, FieldOption, Identity},
    plugin::{Connector, ConnectorContext, Fault, HttpRequest, HttpResponse, HttpTransport, OptionsRequest},
    sandbox::{BodyKind, Control, Endpoint, Misbehaviour},
    vault::LocalKey,
};

use super::{
    common::{World, consent, engine, param, to_app},
    kinds::{self, Seen},
};

/// Everything that this process logs, at any level, over `tracing` and over `log`.
struct Capture;

static LOGGED: Mutex<String> = Mutex::new(String::new());

fn capture() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        tracing::subscriber::set_global_default(Capture).unwrap();
        log::set_logger(&Capture).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

impl tracing::field::Visit for Capture {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        writeln!(LOGGED.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Capture {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut Capture);
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut Capture);
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Capture);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        writeln!(LOGGED.lock().unwrap(), "{}: {}", record.target(), record.args()).unwrap();
    }
    fn flush(&self) {}
}

/// The forms in which a secret could stand somewhere.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.to_vec()];
    for before in 0..3 {
        // The characters that hold bits of the secret only, whatever stands around it.
        let padded = [vec![b'x'; before], secret.to_vec()].concat();
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for text in [Base64Unpadded::encode_string(&padded), Base64UrlUnpadded::encode_string(&padded)] {
            forms.push(text.as_bytes()[from..to].to_vec());
        }
    }
    let hex: String = secret.iter().fold(String::new(), |mut hex, b| {
        let _ = write!(hex, "{b:02x}");
        hex
    });
    let percent: String = secret.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "%{b:02X}");
        text
    });
    forms.extend([hex.to_uppercase(), hex, percent.to_lowercase(), percent].map(String::into_bytes));
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.push(url::form_urlencoded::byte_serialize(secret).collect::<String>().into_bytes());
        forms.push(json!(text).to_string().trim_matches('"').as_bytes().to_vec());
        forms.push(format!("{text:?}").trim_matches('"').as_bytes().to_vec());
    }
    forms.sort();
    forms.dedup();
    forms
}

fn contains(text: &[u8], form: &[u8]) -> bool {
    text.windows(form.len()).any(|window| window == form)
}

/// Looks for every form of every secret at once: each place is read once, and compared where four bytes fit.
fn search(secrets: &BTreeMap<&str, Vec<Vec<u8>>>, places: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut wanted: HashMap<[u8; 4], Vec<(&str, Vec<u8>)>> = HashMap::new();
    for (name, values) in secrets {
        for secret in values {
            assert!(secret.len() >= 16, "{name} is too short to be told from other bytes");
            for form in forms(secret) {
                wanted.entry(*form.first_chunk().unwrap()).or_default().push((*name, form));
            }
        }
    }
    let mut hits = BTreeSet::new();
    for (place, text) in places {
        for at in 0..text.len() {
            let Some(found) = text[at..].first_chunk().and_then(|start| wanted.get(start)) else { continue };
            hits.extend(found.iter().filter(|(_, form)| text[at..].starts_with(form)).map(|(name, _)| format!("{name} in {place}")));
        }
    }
    hits.into_iter().collect()
}

#[test]
fn s40_the_search_finds_what_it_is_for() {
    let secret = b"a secret/with+\"odd\" signs";
    for before in 0..4 {
        let raw = [vec![b'y'; before], secret.to_vec(), b"tail".to_vec()].concat();
        let hidden = [
            raw.clone(),
            Base64Unpadded::encode_string(&raw).into_bytes(),
            Base64UrlUnpadded::encode_string(&raw).into_bytes(),
            json!({"a": String::from_utf8(raw.clone()).unwrap()}).to_string().into_bytes(),
            url::form_urlencoded::byte_serialize(&raw).collect::<String>().into_bytes(),
        ];
        for text in hidden {
            assert!(forms(secret).iter().any(|form| contains(&text, form)), "{:?}", String::from_utf8_lossy(&text));
        }
    }
    assert!(!forms(secret).iter().any(|form| contains(b"a secret is not here", form)));
}

type Sent = std::sync::Arc<Mutex<Vec<(HttpRequest, Option<HttpResponse>)>>>;

/// The default transport, and what passed through it.
struct Recorder(ReqwestTransport, Sent);

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let answer = self.0.send(request.clone()).await;
        self.1.lock().unwrap().push((request, answer.clone().ok()));
        answer
    }
}

/// A connector that writes its credential into whatever it can.
struct Faulty;

static FAULT: AtomicU8 = AtomicU8::new(0);

impl Faulty {
    async fn act<T>(ctx: &ConnectorContext) -> Result<Option<T>, Fault> {
        let text = format!("{:?}", ctx.credential.as_ref().and_then(|c| c.access_token.as_ref()).map(|t| t.expose().to_owned()));
        match FAULT.load(Ordering::Relaxed) {
            1 => Err(Fault::Failed { message: format!("no: {text}"), trace: Some(format!("at line 1: {text}")) }),
            2 => Err(Fault::Rejected(format!("no: {text}"))),
            3 => panic!("the plugin's own words: {text}"),
            4 => std::future::pending().await,
            5 => Err(ctx.send(ctx.request("GET", "https://127.0.0.1:1/")?).await.unwrap_err().into()),
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl Connector for Faulty {
    fn slug(&self) -> &str {
        "sandbox-oauth"
    }
    fn verifies(&self) -> bool {
        FAULT.load(Ordering::Relaxed) > 0
    }
    async fn verify(&self, ctx: ConnectorContext) -> Result<Option<Identity>, Fault> {
        Self::act(&ctx).await
    }
    async fn options(&self, ctx: ConnectorContext, _: OptionsRequest) -> Result<Option<Vec<FieldOption>>, Fault> {
        Self::act(&ctx).await
    }
}

/// Where this process panicked, and with which words.
static PANICKED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Keeps what panics say, and lets them be said.
fn keep_panics() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map(|at| at.file().to_owned()).unwrap_or_default();
            PANICKED.lock().unwrap().push((file, info.to_string()));
            before(info);
        }));
    });
}

/// Of each there is one at least.
const KINDS: [&str; 23] = [
    "API key",
    "API key of Smalt",
    "access token",
    "claim",
    "client secret",
    "code",
    "config password",
    "cookie",
    "device code",
    "hand-off ticket",
    "header of a webhook",
    "id token",
    "master key",
    "own credential",
    "refresh token",
    "secret of a webhook",
    "session token",
    "state",
    "ticket of the hosted page",
    "token of OAuth 1.0a",
    "token secret of OAuth 1.0a",
    "verifier",
    "verifier of OAuth 1.0a",
];

const CLIENT_SECRET: &str = "canary/client secret+\"&<%>é";
const API_KEY: &str = "canary/api-key+\"&<%>=canary";
const PASSWORD: &str = "canary/config password+\"&<%>é";

#[tokio::test(flavor = "multi_thread")]
async fn s40_s42_secrets_are_nowhere_else() {
    capture();
    keep_panics();
    let sent = Sent::default();
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("client-secret");
    std::fs::write(&secret_file, CLIENT_SECRET).unwrap();
    let world = World::new().await;
    let origin = world.sandbox.origin();
    let policy = AddressPolicy::default().with(HostPort::of(&origin.parse().unwrap()).unwrap());
    let mut project = super::common::project(&origin);
    let app = project.apps.get_mut("sandbox-oauth").unwrap();
    app.client = serde_json::from_value(json!({"test": {"id": "canary-client", "secret": {"file": secret_file}}})).unwrap();
    app.fields
        .push(serde_json::from_value(json!({"id": "channel", "name": "Channel", "type": "select", "options_from": "channels"})).unwrap());
    for slug in ["old", "tv"] {
        let client = json!({"client": {"test": {"id": "canary-client", "secret": {"file": secret_file}}}});
        project.apps.insert(slug.to_owned(), serde_json::from_value(client).unwrap());
    }
    let timings = Timings {
        cooldown: Duration::from_millis(1),
        plugin: Duration::from_secs(2),
        revoke_backoff: Duration::from_millis(20),
        revoke_attempts: 3,
        // What these look at happens when it is asked for.
        ahead: None,
        ..Timings::default()
    };
    let file = world.folder.path().join("canary.db");
    let [old, tv] = kinds::manifests(&origin);
    let builder = engine(&file, &world.key, &origin).project_value(project).timings(timings).manifest(old).manifest(tv);
    let transport = Recorder(ReqwestTransport::new(policy).unwrap(), sent.clone());
    let builder = builder.transport(transport).connector(Faulty).public_url("https://app.example").deliver_webhooks();
    let smalt = builder.open().await.unwrap();
    let control = world.sandbox.control();
    let client = Control::RegisterClient {
        client_id: "canary-client".into(),
        client_secret: Some(CLIENT_SECRET.into()),
        redirect_uris: Vec::new(),
        public_key: None,
    };
    control.apply(client).unwrap();
    control.apply(Control::AddKey { key: API_KEY.into(), workspace: None }).unwrap();

    let mut seen = Seen::default();
    for (name, value) in [("client secret", CLIENT_SECRET), ("API key", API_KEY), ("config password", PASSWORD), ("master key", &world.key)]
    {
        seen.add(name, value);
    }
    let bytes = Base64UrlUnpadded::decode_vec(&world.key[world.key.len() - 43..]).ok();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    let session = account.session().await.unwrap();
    seen.add("session token", session.token().expose());

    // Good and bad ends of flows. The sandbox repeats what it was sent in every error.
    control.change(|ways| (ways.echo_secrets, ways.id_tokens) = (true, true));
    let html = Misbehaviour::Status { status: 502, body: BodyKind::Html, retry_after: None, after_work: false };
    let (api_key, ticket) = kinds::own_secrets(&smalt, &account, &session, &format!("{origin}/inbox/canary"), &mut seen).await;
    kinds::other_grants(&account, &session, &control, &mut seen).await;
    let echo = |error: &str| Misbehaviour::Error { error: error.into(), status: 400, description: Some("canary".into()) };
    let bad_json = Misbehaviour::Status { status: 200, body: BodyKind::BadJson, retry_after: None, after_work: true };
    let spoiled = [
        None,
        Some(echo("invalid_grant")),
        Some(echo("invalid_client")),
        Some(html.clone()),
        Some(bad_json),
        None,
        None,
        None,
        None,
        None,
        None,
    ];
    for (n, fault) in spoiled.into_iter().enumerate() {
        // The last ones are the plugin's.
        FAULT.store(u8::try_from(n.saturating_sub(4)).unwrap() % 6, Ordering::Relaxed);
        if let Some(fault) = fault {
            control.misbehave(Endpoint::Token, Some(1), fault);
        }
        let started = session.start_connect("sandbox-oauth", to_app()).await.unwrap();
        seen.begun(&started);
        let callback = consent(&started).await;
        seen.add("code", &param(&callback, "code").unwrap());
        let ended = session.finish_connect(&*callback, started.cookie.value.clone()).await;
        writeln!(seen.said, "{ended:?} {:?}", session.flow(&started.flow_id).status().await).unwrap();
        seen.errors.extend(ended.err());
        seen.errors.extend(session.finish_connect(callback, started.cookie.value).await.err());
    }
    FAULT.store(0, Ordering::Relaxed);
    let started = session.start_connect("sandbox-oauth", to_app()).await.unwrap();
    let parked = ParkCallback { callback_url: consent(&started).await, cookie: None };
    seen.add("code", &param(&parked.callback_url, "code").unwrap());
    let parked = smalt.park_callback(parked).await.unwrap();
    seen.add("claim", parked.claim.as_ref().unwrap().expose());
    writeln!(seen.said, "{parked:?}").unwrap();
    session.claim_connect(parked.claim.unwrap()).await.unwrap();

    // Keys.
    let key = |value: &str| BTreeMap::from([("key".to_owned(), Secret::new(value)), ("workspace".to_owned(), "acme".into())]);
    writeln!(seen.said, "{:?}", session.connect("sandbox-key").inputs(key(API_KEY)).await.unwrap()).unwrap();
    control.apply(Control::RevokeKey { key: API_KEY.into() }).unwrap();
    seen.errors.push(session.connect("sandbox-key").inputs(key(API_KEY)).await.unwrap_err());
    seen.errors.push(session.connect("sandbox-key").inputs(BTreeMap::from([("nonsense".into(), API_KEY.into())])).await.unwrap_err());
    seen.errors.push(session.connect("sandbox-key").inputs(key(&API_KEY.repeat(1000))).await.unwrap_err());

    // Configs with a password.
    let update = |value: &str| serde_json::from_value::<ConfigUpdate>(json!({"fields": {"hook": value}})).unwrap();
    session.config("sandbox-oauth").await.unwrap();
    let config = session.update_config("sandbox-oauth", update(PASSWORD)).await.unwrap();
    assert_eq!(config.fields[0].value, Some(json!(PASSWORD)), "the answer that is meant for it");
    writeln!(seen.said, "{config:?} {:?}", update(PASSWORD)).unwrap();
    let nonsense = serde_json::from_value::<ConfigUpdate>(json!({"fields": {"hook": [PASSWORD], "what": PASSWORD}})).unwrap();
    seen.errors.extend(session.update_config("sandbox-oauth", nonsense).await.err());
    for fault in 1..6 {
        FAULT.store(fault, Ordering::Relaxed);
        let asked = ConfigField { application: "sandbox-oauth".into(), field: "channel".into(), ..ConfigField::default() };
        let field = session.config_field(asked).await;
        writeln!(seen.said, "{field:?}").unwrap();
        seen.errors.extend(field.err());
        writeln!(seen.said, "{:?}", session.config("sandbox-oauth").await.unwrap().field_errors).unwrap();
    }
    FAULT.store(0, Ordering::Relaxed);

    // Use and renewal, well and badly.
    for fault in
        [None, Some(html.clone()), Some(echo("temporarily_unavailable")), Some(echo("invalid_client")), None, Some(echo("invalid_grant"))]
    {
        control.apply(Control::ExpireAccessTokens {}).unwrap();
        if let Some(fault) = fault {
            control.misbehave(Endpoint::Refresh, Some(1), fault);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let used = account.request("sandbox-oauth", "GET", "items?x=1").await;
        writeln!(seen.said, "{used:?} {:?} {:?}", account.credential("sandbox-oauth").await, session.connections(None).await.unwrap())
            .unwrap();
        seen.errors.extend(used.err());
    }
    writeln!(seen.said, "{:?} {:?}", account.credential("sandbox-key").await.unwrap(), session.apps().await.unwrap()).unwrap();
    // As it stands with all of this in it.
    kinds::delivered(&smalt, &mut seen).await;
    let http = kinds::over_http(&smalt, &api_key, session.token(), &ticket).await;
    let backup = smalt::store::backup(&file, world.folder.path().join("canary.backup"), false).unwrap();
    writeln!(seen.said, "{backup:?}").unwrap();
    control.misbehave(Endpoint::Revoke, Some(1), html);
    control.misbehave(Endpoint::Revoke, None, echo("invalid_token"));
    for app in ["sandbox-oauth", "sandbox-key", "old", "tv"] {
        writeln!(seen.said, "{:?}", session.disconnect(app).await).unwrap();
    }
    session.revoke().await.unwrap();
    seen.errors.push(session.apps().await.unwrap_err());
    assert!(seen.errors.len() >= 20, "{:?}", seen.errors);

    // Tokens and verifiers as they travelled, and no secret in a URL (S-07, S-16).
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    let mut urls = String::new();
    for (request, answer) in &sent {
        writeln!(urls, "{}", request.url).unwrap();
        writeln!(seen.said, "{request:?} {answer:?} {:?}", request.body).unwrap();
        seen.travelled(&request.body.0);
        seen.travelled(answer.as_ref().map(|answer| &*answer.body).unwrap_or_default());
    }
    writeln!(seen.said, "{:?}", smalt.project().await.unwrap()).unwrap();
    writeln!(seen.said, "{:?} {:?}", LocalKey::parse(&world.key.as_str().into()).unwrap(), smalt.capabilities()).unwrap();
    seen.secrets.entry("master key").or_default().extend(bytes);
    let kinds: Vec<_> = seen.secrets.keys().copied().collect();
    assert_eq!(kinds, KINDS);

    let mut places = BTreeMap::new();
    let mut shown = String::new();
    for error in &seen.errors {
        writeln!(shown, "{error} {error:?} {:?} {:?} {}", error.info().context, error.info().trace, error.reason()).unwrap();
    }
    assert!(seen.errors.iter().any(|error| error.is(Code::PluginFailed)) && seen.errors.iter().any(|error| error.is(Code::PluginPanicked)));
    let events = smalt.events_page(ListEvents { limit: Some(1000), ..ListEvents::default() }).await.unwrap();
    let audit = smalt.audit(ListAudit { limit: Some(500), cursor: None }).await.unwrap();
    assert!(events.items.len() > 10 && audit.items.len() > 5);
    places.insert("events".to_owned(), format!("{:?} {}", events.items, json!(events.items)).into_bytes());
    places.insert("audit".to_owned(), format!("{:?} {}", audit.items, json!(audit.items)).into_bytes());
    places.insert("errors".to_owned(), shown.into_bytes());
    places.insert("Debug".to_owned(), seen.said.into_bytes());
    places.insert("URLs".to_owned(), urls.into_bytes());
    let files = |places: &mut BTreeMap<String, Vec<u8>>, when: &str| {
        for entry in std::fs::read_dir(world.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            places.insert(format!("{} {when}", path.file_name().unwrap().to_string_lossy()), std::fs::read(path).unwrap());
        }
    };
    files(&mut places, "while open");
    for file in ["canary.db-wal", "canary.backup"] {
        assert!(places.keys().any(|place| place.starts_with(file)), "{:?}", places.keys());
    }
    smalt.close().await;
    files(&mut places, "after close");
    let logged = LOGGED.lock().unwrap().clone();
    assert!(logged.len() > 1000, "something is logged at TRACE: {logged}");
    places.insert("logs".to_owned(), logged.into_bytes());
    places.extend(http.map(|(place, text)| (place.to_owned(), text.into_bytes())));
    // What the plugin says in its own panic, it says to the hook of its process: Smalt has none. Nothing else says it, and nobody repeats it.
    let (own, others): (Vec<_>, Vec<_>) = PANICKED.lock().unwrap().iter().cloned().partition(|(file, _)| file.as_str() == file!());
    let words = |panics: &[(String, String)]| panics.iter().map(|(_, words)| format!("{words}\n")).collect::<String>().into_bytes();
    let told = BTreeMap::from([("the plugin's panic".to_owned(), words(&own))]);
    assert_eq!(search(&seen.secrets, &told), ["access token in the plugin's panic"], "the hook hears it");
    places.insert("panics".to_owned(), words(&others));
    let told = BTreeMap::from([("an answer".to_owned(), json!(config).to_string().into_bytes())]);
    assert_eq!(search(&seen.secrets, &told), ["config password in an answer"], "what is there is found");
    let hits = search(&seen.secrets, &places);
    assert!(hits.is_empty(), "{hits:#?}");
}
