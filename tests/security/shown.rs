//! What types with a secret show of themselves: nothing of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Debug, Display},
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use serde_json::json;
use smalt::{
    Secret, Smalt,
    backend::*,
    http::protocol,
    model::*,
    plugin::{ClientIdentity, HttpBody, HttpRequest, HttpResponse, OptionsRequest, PresentRequest, SystemClock, WorkflowRun},
    sandbox::{Control, Sandbox, SandboxOptions},
    store::{SqliteStore, StoreOptions},
    vault::{LocalKey, Vault},
};

use super::holders::public_holders;

/// What a type can do, without a value of it: a constant of the type itself comes before one of the trait.
struct Can<T>(PhantomData<T>);

trait Cannot {
    const DEBUG: bool = false;
    const DISPLAY: bool = false;
    const SERIALIZE: bool = false;
}

impl<T> Cannot for Can<T> {}
impl<T: Debug> Can<T> {
    const DEBUG: bool = true;
}
impl<T: Display> Can<T> {
    const DISPLAY: bool = true;
}
impl<T: Serialize> Can<T> {
    const SERIALIZE: bool = true;
}

/// A type's own name, and whether it has Debug, Display and Serialize.
type Row = (&'static str, bool, bool, bool);

macro_rules! rows {
    ($($holder:ty),* $(,)?) => { vec![$((std::any::type_name::<$holder>(), Can::<$holder>::DEBUG, Can::<$holder>::DISPLAY, Can::<$holder>::SERIALIZE)),*] };
}

/// Every public type that holds a secret, as the source has them.
fn holders() -> Vec<Row> {
    rows![
        Secret,
        smalt::Account,
        smalt::ConnectBuilder,
        smalt::ConnectHandle,
        smalt::EventStream,
        smalt::Host,
        smalt::Pages,
        smalt::Session,
        smalt::Smalt,
        smalt::engine::Engine,
        smalt::remote::RemoteSession,
        smalt::remote::RemoteSmalt,
        Caller,
        SessionProof,
        ConnectKey,
        FinishConnect,
        GetPortalProperties,
        ImportConnection,
        OpenPortal,
        ParkCallback,
        PutOwnCredentials,
        RevokeSession,
        SetOwnCredential,
        TakeHandoff,
        UpdateWebhook,
        VerifyApiKey,
        VerifySession,
        WebhookSettings,
        Credential,
        Handoff,
        NewApiKey,
        NewWebhook,
        OwnCredentials,
        ParkedCallback,
        Portal,
        PortalLink,
        SessionInfo,
        StartedConnect,
        StateCookie,
        Webhook,
        smalt::wire::SessionToken,
        smalt::http::ReqwestTransport,
        smalt::http::ScriptedTransport,
        smalt::http::ServerTransport,
        protocol::Callback,
        protocol::ClientCredentials,
        protocol::DeviceAnswer,
        protocol::Oauth1Keys,
        protocol::RegisteredClient,
        protocol::TokenSet,
        smalt::manifest::template::Values<'static>,
        smalt::plugin::ClientIdentity,
        smalt::plugin::ConnectorContext,
        HttpBody,
        HttpRequest,
        smalt::plugin::StreamRequest,
        smalt::plugin::WebhookRunner,
        Control,
        smalt::sandbox::Sandbox,
        smalt::sandbox::SandboxControl,
        LocalKey,
        Vault,
    ]
}

/// Without path and lifetimes.
fn own_name(path: &str) -> String {
    let path = path.split('<').next().unwrap_or_default();
    path.rsplit("::").next().unwrap_or_default().to_owned()
}

/// A type that comes to hold a secret comes into the list above, and so into the test below. None shows itself to users or to a
/// serializer; the one that is written out is the body of the answer that hands a session's token out.
#[test]
fn s41_the_list_of_types_with_a_secret_is_whole() {
    let rows = holders();
    let listed: BTreeSet<String> = rows.iter().map(|(path, ..)| own_name(path)).collect();
    assert_eq!(listed.len(), rows.len());
    assert_eq!(listed, public_holders());
    for (path, _, display, serialize) in rows {
        assert!(!display, "{path} has Display");
        assert_eq!(serialize, path.ends_with("::SessionToken"), "{path} and Serialize");
    }
    // The question can be answered either way.
    assert!(rows![String] == [("alloc::string::String", true, true, true)] && !rows![Can<u8>][0].1);
}

const S: &str = "canary-0123456789";

/// Every public type that holds a secret and has Debug, with one in each place, and those that hold what a user or a provider wrote.
#[tokio::test(flavor = "multi_thread")]
async fn s41_debug_of_every_type_with_a_secret_shows_none() {
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
        "id": "hook", "name": "Hook", "field_type": "text", "required": false, "hidden": false, "multiple": false,
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
    let prompt = DevicePrompt {
        user_code: text(),
        verification_uri: "https://app.example/device".into(),
        verification_uri_complete: Some(url()),
        interval: 5,
    };
    let mut request = HttpRequest::new("POST", format!("https://user:{S}@app.example/bot{S}/x?key={S}#{S}").parse().unwrap());
    request.set_header("authorization", S).unwrap();
    request.set_body("text/plain", S);
    let response = HttpResponse { status: 200, headers: vec![("set-cookie".into(), text())], body: S.into() };
    let client = protocol::ClientCredentials { id: "id".into(), secret: Some(secret()), identity: None, now: at };
    let callback = protocol::callback(&format!("https://app.example/?state={S}&code={S}&x={S}")).unwrap();
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
    let tokens = protocol::parse_token_answer(&oauth, &answer, at).unwrap();
    // What makes its secrets itself.
    let own = LocalKey::generate().unwrap();
    let plain = || serde_json::from_value(json!({"version": 1, "org": {"id": "acme"}})).unwrap();
    let smalt = Smalt::in_memory().keys(LocalKey::parse(&own.text()).unwrap()).project_value(plain()).open().await.unwrap();
    smalt.account("customer-42").ensure().await.unwrap();
    let token = smalt.account("customer-42").session().await.unwrap().token().clone();
    let (_, proved) = smalt.prove_session(token.clone()).await.unwrap();
    let Caller::Proved(proof) = &proved else { panic!("a proved caller") };
    let host = Smalt::in_memory().keys(LocalKey::parse(&own.text()).unwrap()).project_value(plain()).host().unwrap();
    let store = Arc::new(SqliteStore::memory(StoreOptions::default()).unwrap());
    let master = Arc::new(LocalKey::parse(&own.text()).unwrap());
    let vault = Vault::unlock(store, master, "acme", Arc::new(SystemClock::default())).await.unwrap();
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().apply(Control::AddKey { key: secret(), workspace: None }).unwrap();
    let certified = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    let pem = certified.signing_key.serialize_pem();
    let identity = ClientIdentity::from_pem(&certified.cert.pem().into(), Some(&Secret::new(&pem))).unwrap();
    let api_key: ApiKey = serde_json::from_value(json!({
        "id": "i", "name": "n", "environment": "test", "ending": "6789", "created_at": at
    }))
    .unwrap();
    let webhook: Webhook = serde_json::from_value(json!({
        "id": "i", "url": url(), "events": ["connection.created"], "enabled": true, "method": "POST", "kind": "custom",
        "headers": {"authorization": S}, "body": {"a": S}, "workflows": [], "created_at": at, "updated_at": at
    }))
    .unwrap();
    let settings = WebhookSettings { url: Some(url()), headers: Some(secrets()), body: Some(json()), ..WebhookSettings::default() };
    let properties = json().as_object().unwrap().clone();
    let portal = Portal {
        session: info.clone(),
        environment: Environment::Test,
        config_id: None,
        properties: properties.clone(),
        return_to: Some(url()),
        ticket: Some(secret()),
    };
    let registered = protocol::RegisteredClient {
        client_id: "c".into(),
        client_secret: Some(secret()),
        expires_at: None,
        access_token: Some(secret()),
        page: None,
    };
    let device = protocol::DeviceAnswer {
        device_code: secret(),
        user_code: text(),
        verification_uri: url(),
        verification_uri_complete: Some(url()),
        expires_in: None,
        interval: Duration::from_secs(5),
    };
    let signing =
        protocol::Oauth1Keys { consumer_key: "c".into(), consumer_secret: secret(), token: Some(secret()), token_secret: secret() };
    let own_values = OwnCredentials { account_id: "a".into(), values: secrets(), created_at: at, updated_at: at };
    let executed: Executed = serde_json::from_value(json!({
        "execution": {
            "id": "i", "account_id": "a", "application": "b", "config_id": "c", "workflow": "w", "waited": true, "status": "completed",
            "created_at": at
        },
        "answer": json(), "reason": S
    }))
    .unwrap();
    let runner = smalt::plugin::WebhookRunner::new(&url(), secret()).unwrap();
    let shown: Vec<(&str, String)> = [
        ("Secret", &secret() as &dyn Debug),
        ("Credential", &credential),
        ("SessionInfo", &info),
        ("StateCookie", &cookie),
        ("StartedConnect", &started),
        ("Caller", &Caller::Session(secret())),
        ("Caller", &proved),
        ("SessionProof", &**proof),
        ("LocalKey", &own),
        ("Host", &host),
        ("Vault", &vault),
        ("Sandbox", &sandbox),
        ("SandboxControl", &sandbox.control()),
        ("ClientIdentity", &identity),
        ("ReqwestTransport", &smalt::http::ReqwestTransport::new(smalt::http::AddressPolicy::default()).unwrap()),
        ("ServerTransport", &smalt::http::ServerTransport::new(&smalt::http::ServerOptions::default()).unwrap()),
        ("WebhookRunner", &runner),
        ("NewApiKey", &NewApiKey { info: api_key, key: secret() }),
        ("NewWebhook", &NewWebhook { webhook: webhook.clone(), secret: secret() }),
        ("Webhook", &webhook),
        ("WebhookSettings", &settings),
        ("UpdateWebhook", &UpdateWebhook { webhook: "w".into(), settings: settings.clone() }),
        ("OwnCredentials", &own_values),
        ("PutOwnCredentials", &PutOwnCredentials { account: "a".into(), values: secrets() }),
        ("SetOwnCredential", &SetOwnCredential { account: "a".into(), name: "n".into(), value: Some(secret()) }),
        ("PortalLink", &PortalLink { url: secret(), expires_at: at, once: true }),
        ("Portal", &portal),
        ("GetPortalUrl", &GetPortalUrl { properties: Some(properties), ..GetPortalUrl::default() }),
        ("OpenPortal", &OpenPortal { ticket: secret() }),
        ("GetPortalProperties", &GetPortalProperties { token: secret() }),
        ("Handoff", &Handoff { flow_id: "f".into(), ticket: secret(), page: Some(secret()), expires_at: at }),
        ("TakeHandoff", &TakeHandoff { ticket: secret() }),
        ("VerifyApiKey", &VerifyApiKey { key: secret() }),
        ("DeviceAnswer", &device),
        ("Oauth1Keys", &signing),
        ("RegisteredClient", &registered),
        ("ExecuteWorkflow", &ExecuteWorkflow { payload: json(), ..ExecuteWorkflow::default() }),
        ("Executed", &executed),
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
        ("Callback", &callback),
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
    let seen: BTreeSet<&str> = shown.iter().map(|(name, _)| *name).collect();
    for (path, ..) in holders().iter().filter(|(_, debug, ..)| *debug) {
        assert!(seen.contains(own_name(path).as_str()), "there is no {path} among those that are looked at");
    }
    let key_text = pem.lines().nth(1).unwrap();
    for (name, shown) in shown {
        for secret in ["canary", token.expose(), &own.text().expose()[11..], key_text] {
            assert!(!shown.contains(secret), "{name}: {shown}");
        }
    }
    smalt.close().await;
    host.close().await;
}

#[test]
fn s41_a_secret_of_another_type_is_not_repeated() {
    for json in ["123456789", "[\"123456789\"]", "{\"123456789\": 123456789}", "123456789.5"] {
        let error = serde_json::from_str::<Secret>(json).unwrap_err();
        assert!(!error.to_string().contains("123456789"), "{error}");
    }
}
