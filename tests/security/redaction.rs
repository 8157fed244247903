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
use serde_json::{Value, json};
use smalt::{
    Code, Error, Result, Secret,
    backend::*,
    engine::Timings,
    http::{AddressPolicy, HostPort, ReqwestTransport},
    model::*,
    plugin::{Connector, ConnectorContext, Fault, HttpRequest, HttpResponse, HttpTransport, OptionsRequest, PresentRequest, WorkflowRun},
    sandbox::{BodyKind, Control, Endpoint, Misbehaviour},
    vault::LocalKey,
};

use super::common::{World, consent, engine, param, to_app};

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
            3 => panic!("the plugin's own fault"),
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

const CLIENT_SECRET: &str = "canary/client secret+\"&<%>é";
const API_KEY: &str = "canary/api-key+\"&<%>=canary";
const PASSWORD: &str = "canary/config password+\"&<%>é";

#[tokio::test(flavor = "multi_thread")]
async fn s40_s42_secrets_are_nowhere_else() {
    capture();
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
    let smalt = engine(&file, &world.key, &origin)
        .project_value(project)
        .timings(timings)
        .transport(Recorder(ReqwestTransport::new(policy).unwrap(), sent.clone()))
        .connector(Faulty)
        .open()
        .await
        .unwrap();
    let control = world.sandbox.control();
    let client = Control::RegisterClient {
        client_id: "canary-client".into(),
        client_secret: Some(CLIENT_SECRET.into()),
        redirect_uris: Vec::new(),
        public_key: None,
    };
    control.apply(client).unwrap();
    control.apply(Control::AddKey { key: API_KEY.into(), workspace: None }).unwrap();

    let mut secrets: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    let mut said = String::new();
    let mut errors: Vec<Error> = Vec::new();
    let mut add = |name: &'static str, value: &str| secrets.entry(name).or_default().push(value.as_bytes().to_vec());
    for (name, value) in [("client secret", CLIENT_SECRET), ("API key", API_KEY), ("config password", PASSWORD), ("master key", &world.key)]
    {
        add(name, value);
    }
    let bytes = Base64UrlUnpadded::decode_vec(&world.key[world.key.len() - 43..]).ok();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    let session = account.session().await.unwrap();
    add("session token", session.token().expose());

    // Good and bad ends of flows. The sandbox repeats what it was sent in every error.
    control.change(|ways| ways.echo_secrets = true);
    let html = Misbehaviour::Status { status: 502, body: BodyKind::Html, retry_after: None, after_work: false };
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
        add("cookie", started.cookie.value.expose());
        add("state", &param(&started.authorize_url, "state").unwrap());
        writeln!(said, "{started:?}").unwrap();
        let callback = consent(&started).await;
        add("code", &param(&callback, "code").unwrap());
        let ended = session.finish_connect(&*callback, started.cookie.value.clone()).await;
        writeln!(said, "{ended:?} {:?}", session.flow(&started.flow_id).status().await).unwrap();
        errors.extend(ended.err());
        errors.extend(session.finish_connect(callback, started.cookie.value).await.err());
    }
    FAULT.store(0, Ordering::Relaxed);
    let started = session.start_connect("sandbox-oauth", to_app()).await.unwrap();
    let parked = ParkCallback { callback_url: consent(&started).await, cookie: None };
    add("code", &param(&parked.callback_url, "code").unwrap());
    let parked = smalt.park_callback(parked).await.unwrap();
    add("claim", parked.claim.as_ref().unwrap().expose());
    writeln!(said, "{parked:?}").unwrap();
    session.claim_connect(parked.claim.unwrap()).await.unwrap();

    // Keys.
    let key = |value: &str| BTreeMap::from([("key".to_owned(), Secret::new(value)), ("workspace".to_owned(), "acme".into())]);
    writeln!(said, "{:?}", session.connect("sandbox-key").inputs(key(API_KEY)).await.unwrap()).unwrap();
    control.apply(Control::RevokeKey { key: API_KEY.into() }).unwrap();
    errors.push(session.connect("sandbox-key").inputs(key(API_KEY)).await.unwrap_err());
    errors.push(session.connect("sandbox-key").inputs(BTreeMap::from([("nonsense".into(), API_KEY.into())])).await.unwrap_err());
    errors.push(session.connect("sandbox-key").inputs(key(&API_KEY.repeat(1000))).await.unwrap_err());

    // Configs with a password.
    let update = |value: &str| serde_json::from_value::<ConfigUpdate>(json!({"fields": {"hook": value}})).unwrap();
    session.config("sandbox-oauth").await.unwrap();
    let config = session.update_config("sandbox-oauth", update(PASSWORD)).await.unwrap();
    assert_eq!(config.fields[0].value, Some(json!(PASSWORD)), "the answer that is meant for it");
    writeln!(said, "{config:?} {:?}", update(PASSWORD)).unwrap();
    let nonsense = serde_json::from_value::<ConfigUpdate>(json!({"fields": {"hook": [PASSWORD], "what": PASSWORD}})).unwrap();
    errors.extend(session.update_config("sandbox-oauth", nonsense).await.err());
    for fault in 1..6 {
        FAULT.store(fault, Ordering::Relaxed);
        let asked = ConfigField { application: "sandbox-oauth".into(), field: "channel".into(), ..ConfigField::default() };
        let field = session.config_field(asked).await;
        writeln!(said, "{field:?}").unwrap();
        errors.extend(field.err());
        writeln!(said, "{:?}", session.config("sandbox-oauth").await.unwrap().field_errors).unwrap();
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
        writeln!(said, "{used:?} {:?} {:?}", account.credential("sandbox-oauth").await, session.connections(None).await.unwrap()).unwrap();
        errors.extend(used.err());
    }
    writeln!(said, "{:?} {:?}", account.credential("sandbox-key").await.unwrap(), session.apps().await.unwrap()).unwrap();
    control.misbehave(Endpoint::Revoke, Some(1), html);
    control.misbehave(Endpoint::Revoke, None, echo("invalid_token"));
    for app in ["sandbox-oauth", "sandbox-key"] {
        writeln!(said, "{:?}", session.disconnect(app).await).unwrap();
    }
    session.revoke().await.unwrap();
    errors.push(session.apps().await.unwrap_err());
    assert!(errors.len() >= 20, "{errors:?}");

    // Tokens and verifiers as they travelled, and no secret in a URL (S-07, S-16).
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    let mut urls = String::new();
    for (request, answer) in &sent {
        writeln!(urls, "{}", request.url).unwrap();
        writeln!(said, "{request:?} {answer:?} {:?}", request.body).unwrap();
        for (name, value) in url::form_urlencoded::parse(&request.body.0) {
            match &*name {
                "code_verifier" => add("verifier", &value),
                "refresh_token" => add("refresh token", &value),
                _ => {}
            }
        }
        let body = answer.as_ref().and_then(HttpResponse::json).unwrap_or_default();
        for (name, kind) in [("access_token", "access token"), ("refresh_token", "refresh token")] {
            if let Some(value) = body.get(name).and_then(Value::as_str) {
                add(kind, value);
            }
        }
    }
    writeln!(said, "{:?}", smalt.project().await.unwrap()).unwrap();
    writeln!(said, "{:?} {:?}", LocalKey::parse(&world.key.as_str().into()).unwrap(), smalt.capabilities()).unwrap();
    secrets.entry("master key").or_default().extend(bytes);
    for kind in ["access token", "refresh token", "verifier", "code", "state", "cookie", "session token", "claim"] {
        assert!(secrets.contains_key(kind), "{kind}");
    }

    let mut places = BTreeMap::new();
    let mut shown = String::new();
    for error in &errors {
        writeln!(shown, "{error} {error:?} {:?} {:?} {}", error.info().context, error.info().trace, error.reason()).unwrap();
    }
    assert!(errors.iter().any(|error| error.is(Code::PluginFailed)) && errors.iter().any(|error| error.is(Code::PluginPanicked)));
    let events = smalt.events_page(ListEvents { limit: Some(1000), ..ListEvents::default() }).await.unwrap();
    let audit = smalt.audit(ListAudit { limit: Some(500), cursor: None }).await.unwrap();
    assert!(events.items.len() > 10 && audit.items.len() > 5);
    places.insert("events".to_owned(), format!("{:?} {}", events.items, json!(events.items)).into_bytes());
    places.insert("audit".to_owned(), format!("{:?} {}", audit.items, json!(audit.items)).into_bytes());
    places.insert("errors".to_owned(), shown.into_bytes());
    places.insert("Debug".to_owned(), said.into_bytes());
    places.insert("URLs".to_owned(), urls.into_bytes());
    let files = |places: &mut BTreeMap<String, Vec<u8>>, when: &str| {
        for entry in std::fs::read_dir(world.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            places.insert(format!("{} {when}", path.file_name().unwrap().to_string_lossy()), std::fs::read(path).unwrap());
        }
    };
    files(&mut places, "while open");
    assert!(places.keys().any(|place| place.starts_with("canary.db-wal")), "{:?}", places.keys());
    smalt.close().await;
    files(&mut places, "after close");
    let logged = LOGGED.lock().unwrap().clone();
    assert!(logged.len() > 1000, "something is logged at TRACE: {logged}");
    places.insert("logs".to_owned(), logged.into_bytes());
    let told = BTreeMap::from([("an answer".to_owned(), json!(config).to_string().into_bytes())]);
    assert_eq!(search(&secrets, &told), ["config password in an answer"], "what is there is found");
    let hits = search(&secrets, &places);
    assert!(hits.is_empty(), "{hits:#?}");
}

/// Every public type that holds a secret, with one in each place.
#[test]
fn s41_debug_of_every_type_with_a_secret_shows_none() {
    const S: &str = "canary-0123456789";
    let secret = || Secret::new(S);
    let text = || S.to_owned();
    let json = || json!({"a": S});
    let secrets = || BTreeMap::from([("name".to_owned(), secret())]);
    let texts = || BTreeMap::from([("name".to_owned(), text())]);
    let url = || format!("https://app.example/{S}?state={S}");
    let at = smalt::Timestamp::from_millis(0);
    let update: ConfigUpdate = serde_json::from_value(json!({
        "fields": {"hook": S, "deep": {"a": [S]}},
        "workflows": {"digest": {"enabled": true, "fields": {"hook": S}}}
    }))
    .unwrap();
    let field: Field = serde_json::from_value(json!({
        "id": "hook", "name": "Hook", "field_type": "password", "required": false, "hidden": false, "multiple": false,
        "value": S, "default_value": S
    }))
    .unwrap();
    let config = Config {
        application: "a".into(),
        account_id: "b".into(),
        config_id: "c".into(),
        version: 1,
        fields: vec![field.clone()],
        workflows: Vec::new(),
        field_errors: Vec::new(),
        created_at: at,
        updated_at: at,
    };
    let credential = Credential {
        connection_id: "c".into(),
        application: "a".into(),
        auth_type: AuthType::Oauth2,
        access_token: Some(secret()),
        token_type: None,
        expires_at: None,
        scopes: Vec::new(),
        values: secrets(),
        properties: BTreeMap::new(),
    };
    let info = SessionInfo { id: "i".into(), account_id: "a".into(), token: secret(), created_at: at, expires_at: at, expires_in: 0 };
    let cookie = StateCookie { name: "n".into(), value: secret(), max_age: 1 };
    let started = StartedConnect {
        flow_id: "f".into(),
        authorize_url: url(),
        redirect_uri: "https://app.example/callback".into(),
        cookie: cookie.clone(),
        expires_at: at,
        device: None,
    };
    let prompt = smalt::model::DevicePrompt {
        user_code: text(),
        verification_uri: "https://app.example/device".into(),
        verification_uri_complete: Some(url()),
        interval: 5,
    };
    let mut request = HttpRequest::new("POST", format!("https://user:{S}@app.example/bot{S}/x?key={S}#{S}").parse().unwrap());
    request.set_header("authorization", S).unwrap();
    request.set_body("text/plain", S);
    let response = HttpResponse { status: 200, headers: vec![("set-cookie".into(), text())], body: S.into() };
    let client = smalt::http::protocol::ClientCredentials { id: "id".into(), secret: Some(secret()), identity: None, now: at };
    let callback = smalt::http::protocol::callback(&format!("https://app.example/?state={S}&code={S}&x={S}")).unwrap();
    let project: smalt::project::Project = serde_json::from_value(
        json!({"version": 1, "apps": {"slack": {"client": {"test": {"id": "i", "secret": {"env": "SLACK_SECRET"}}}}}}),
    )
    .unwrap();
    let run = WorkflowRun {
        account_id: "a".into(),
        application: "b".into(),
        config_id: "c".into(),
        workflow: "w".into(),
        fields: json().as_object().unwrap().clone(),
        workflow_fields: json().as_object().unwrap().clone(),
        payload: json(),
    };
    let transport = smalt::http::ScriptedTransport::new();
    transport.push(Ok(response.clone()));
    let oauth = serde_json::from_str(r#"{"authorize_url": "https://p.example/a", "token_url": "https://p.example/t"}"#).unwrap();
    let answer = HttpResponse {
        status: 200,
        headers: Vec::new(),
        body: json!({"access_token": S, "refresh_token": S, "id_token": S}).to_string().into(),
    };
    let tokens = smalt::http::protocol::parse_token_answer(&oauth, &answer, at).unwrap();
    let shown: Vec<(&str, String)> = [
        ("Secret", &secret() as &dyn Debug),
        ("Credential", &credential),
        ("SessionInfo", &info),
        ("StateCookie", &cookie),
        ("StartedConnect", &started),
        ("Caller", &Caller::Session(secret())),
        ("VerifySession", &VerifySession { token: secret() }),
        ("RevokeSession", &RevokeSession { token: secret() }),
        ("StartConnect", &StartConnect { inputs: texts(), ..StartConnect::default() }),
        ("ParkCallback", &ParkCallback { callback_url: url(), cookie: Some(secret()) }),
        ("ParkedCallback", &ParkedCallback { return_to: Some(url()), claim: Some(secret()), ..ParkedCallback::default() }),
        ("FinishConnect", &FinishConnect { account: "a".into(), callback_url: Some(url()), cookie: Some(secret()), claim: Some(secret()) }),
        ("ConnectKey", &ConnectKey { inputs: secrets(), ..ConnectKey::default() }),
        ("ImportConnection", &ImportConnection { values: secrets(), ..ImportConnection::default() }),
        (
            "ApiRequest",
            &ApiRequest {
                path: url(),
                query: vec![("k", text()).into()],
                headers: vec![("k", text()).into()],
                body: Some(json_body(&json())),
                ..ApiRequest::default()
            },
        ),
        ("ApiAnswer", &smalt::model::ApiAnswer::from(response.clone())),
        ("Field", &field),
        ("Config", &config),
        ("ConfigUpdate", &update),
        ("WorkflowUpdate", &update.workflows),
        ("FindConfig", &FindConfig { seed: Some(update.clone()), ..FindConfig::default() }),
        ("UpdateConfig", &UpdateConfig { update: update.clone(), ..UpdateConfig::default() }),
        ("ConfigField", &ConfigField { parent_value: Some(json()), search: Some(text()), ..ConfigField::default() }),
        ("SetConfigField", &SetConfigField { value: Some(json()), ..SetConfigField::default() }),
        ("GetRuleColumns", &GetRuleColumns { lhs: json(), ..GetRuleColumns::default() }),
        ("RunWorkflow", &RunWorkflow { payload: json(), ..RunWorkflow::default() }),
        ("WorkflowRun", &run),
        ("OptionsRequest", &OptionsRequest { parent_value: Some(json()), search: Some(text()), ..OptionsRequest::default() }),
        ("RuleRequest", &smalt::plugin::RuleRequest { field: "f".into(), workflow: None, lhs: json() }),
        (
            "PresentRequest",
            &PresentRequest {
                authorize_url: url(),
                redirect_uri: "https://app.example".into(),
                application: "a".into(),
                device: Some(prompt.clone()),
            },
        ),
        ("HttpRequest", &request),
        ("HttpBody", &request.body),
        ("HttpResponse", &response),
        ("ScriptedTransport", &transport),
        ("ClientCredentials", &client),
        ("DevicePrompt", &prompt),
        ("protocol::Callback", &callback),
        ("TokenSet", &tokens),
        ("RawAnswer", &tokens.raw),
        ("Project", &project),
        (
            "Control",
            &Control::RegisterClient { client_id: "c".into(), client_secret: Some(secret()), redirect_uris: Vec::new(), public_key: None },
        ),
        ("Control", &Control::AddKey { key: secret(), workspace: None }),
        ("Control", &Control::RevokeKey { key: secret() }),
    ]
    .into_iter()
    .map(|(name, value)| (name, format!("{value:?} {value:#?}")))
    .collect();
    for (name, shown) in shown {
        assert!(!shown.contains("canary"), "{name}: {shown}");
    }
    let key = LocalKey::generate().unwrap();
    assert!(!format!("{key:?}").contains(&key.text().expose()[11..]));
}

#[test]
fn s41_a_secret_of_another_type_is_not_repeated() {
    for json in ["123456789", "[\"123456789\"]", "{\"123456789\": 123456789}", "123456789.5"] {
        let error = serde_json::from_str::<Secret>(json).unwrap_err();
        assert!(!error.to_string().contains("123456789"), "{error}");
    }
}
