//! The kinds of secrets that the sandbox's own two applications do not bring, in use: those of other grants, and Smalt's own.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64ct::{Base64, Encoding};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use smalt::{
    Account, Error, Secret, Session, Smalt,
    backend::{GetPortalUrl, ListDeliveries, RotateWebhookSecret, StartConnect, WebhookSettings},
    manifest::AppManifest,
    model::{Environment, FlowStatus, StartedConnect, WebhookEvent},
    sandbox::{Control, Endpoint, Misbehaviour, SandboxControl},
};
use smalt_server::{Answered, Api, ApiOptions, Observer};

use super::common::{consent, param, to_app};

/// What was seen of the secrets that must not spread, and where they could have: in what types show, and in errors.
#[derive(Default)]
pub struct Seen {
    /// By kind.
    pub secrets: BTreeMap<&'static str, Vec<Vec<u8>>>,
    pub said: String,
    pub errors: Vec<Error>,
}

impl Seen {
    pub fn add(&mut self, kind: &'static str, value: &str) {
        self.secrets.entry(kind).or_default().push(value.as_bytes().to_vec());
    }

    /// A flow that was begun: its state and its cookie.
    pub fn begun(&mut self, started: &StartedConnect) {
        self.add("cookie", started.cookie.value.expose());
        if let Some(state) = param(&started.authorize_url, "state") {
            self.add("state", &state);
        }
        writeln!(self.said, "{started:?}").unwrap();
    }

    /// What travelled in a form or in JSON, under the names that protocols have for it.
    pub fn travelled(&mut self, body: &[u8]) {
        const KINDS: [(&str, &str); 7] = [
            ("access_token", "access token"),
            ("refresh_token", "refresh token"),
            ("id_token", "id token"),
            ("code_verifier", "verifier"),
            ("device_code", "device code"),
            ("oauth_token", "token of OAuth 1.0a"),
            ("oauth_token_secret", "token secret of OAuth 1.0a"),
        ];
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        for (name, kind) in KINDS {
            let in_form = url::form_urlencoded::parse(body).filter(|(n, _)| n == name).map(|(_, value)| value.into_owned());
            for value in in_form.chain(json[name].as_str().map(ToOwned::to_owned)) {
                self.add(kind, &value);
            }
        }
    }
}

/// An application of OAuth 1.0a, and one whose users enter a code on another device; both at the sandbox.
pub fn manifests(sandbox: &str) -> [AppManifest; 2] {
    let common = |slug: &str| json!({"manifest": 1, "slug": slug, "name": slug, "description": "A test application at the sandbox."});
    let mut old = common("old");
    old["api"] = json!({"base_url": format!("{sandbox}/oauth1/api/")});
    old["oauth1"] = json!({
        "request_token_url": format!("{sandbox}/oauth1/request_token"),
        "authorize_url": format!("{sandbox}/oauth1/authorize"),
        "access_token_url": format!("{sandbox}/oauth1/access_token"),
        "identity": {"url": "me", "id": "/id", "label": "/email"},
        "revoke": {"url": format!("{sandbox}/oauth1/revoke")},
        "signature": "HMAC-SHA256",
        "realm": "sandbox"
    });
    let mut tv = common("tv");
    tv["api"] = json!({"base_url": format!("{sandbox}/api/")});
    tv["oauth2"] = json!({
        "authorize_url": format!("{sandbox}/authorize"),
        "token_url": format!("{sandbox}/token"),
        "issuer": sandbox,
        "scopes": {"default": ["profile", "items.read"]},
        "identity": {"url": format!("{sandbox}/userinfo"), "id": "/sub", "label": "/email"},
        "revoke": {"url": format!("{sandbox}/revoke")},
        "client_auth": "body",
        "device": {"url": format!("{sandbox}/device")}
    });
    [old, tv].map(|manifest| serde_json::from_value(manifest).unwrap())
}

/// Grants of other sorts, well and badly.
pub async fn other_grants(account: &Account, session: &Session, control: &SandboxControl, seen: &mut Seen) {
    let broken = Misbehaviour::Error { error: "token_rejected".into(), status: 401, description: Some("canary".into()) };
    for fault in [Some(broken), None] {
        if let Some(fault) = &fault {
            control.misbehave(Endpoint::Oauth1, Some(1), fault.clone());
        }
        let started = session.start_connect("old", to_app()).await.unwrap();
        seen.begun(&started);
        let callback = consent(&started).await;
        for (name, kind) in [("oauth_verifier", "verifier of OAuth 1.0a"), ("state", "state")] {
            seen.add(kind, &param(&callback, name).unwrap());
        }
        let ended = session.finish_connect(callback, started.cookie.value).await;
        writeln!(seen.said, "{ended:?}").unwrap();
        assert_eq!(ended.is_err(), fault.is_some(), "{ended:?}");
        seen.errors.extend(ended.err());
    }
    let credential = account.credential("old").await.unwrap();
    seen.add("token secret of OAuth 1.0a", credential.values["token_secret"].expose());
    writeln!(seen.said, "{credential:?} {:?}", account.request("old", "GET", "me").await.unwrap()).unwrap();

    control.apply_json(json!({"do": "set_device", "ways": {"interval": 1}})).unwrap();
    let started = session.start_connect("tv", StartConnect { device: true, ..StartConnect::default() }).await.unwrap();
    seen.begun(&started);
    let user_code = Secret::new(&started.device.unwrap().user_code);
    control.apply(Control::DecideDevice { user_code, user: "ada".into(), decision: "allow".into() }).unwrap();
    let flow = session.flow(&started.flow_id).wait(Some(Duration::from_secs(120))).await.unwrap();
    assert_eq!(flow.status, FlowStatus::Connected, "{flow:?}");
    writeln!(seen.said, "{flow:?} {:?}", account.credential("tv").await.unwrap()).unwrap();
}

const OWN: &str = "canary/own credential+\"&<%>é";
const HEADER: &str = "canary/webhook-header+&<%>";

/// What Smalt hands out itself: API keys, tickets, secrets of webhooks; and what it keeps for the organisation's own application.
/// Answers an API key and a ticket of the hosted page that are good.
pub async fn own_secrets(smalt: &Smalt, account: &Account, session: &Session, inbox: &str, seen: &mut Seen) -> (Secret, Secret) {
    let api_key = smalt.create_api_key("backend").await.unwrap();
    seen.add("API key of Smalt", api_key.key.expose());
    let known = smalt.verify_api_key(api_key.key.clone()).await.unwrap();
    writeln!(seen.said, "{api_key:?} {known:?} {:?}", smalt.api_keys().await.unwrap()).unwrap();
    for wrong in [format!("{}0", api_key.key.expose()), api_key.key.expose().to_uppercase()] {
        seen.errors.push(smalt.verify_api_key(wrong).await.unwrap_err());
    }

    let handoff = session.hand_off_connect("sandbox-oauth", to_app()).await.unwrap();
    seen.add("hand-off ticket", handoff.ticket.expose());
    writeln!(seen.said, "{handoff:?} {:?}", smalt.handoff(handoff.ticket.clone()).await.unwrap()).unwrap();
    let started = smalt.take_handoff(handoff.ticket.clone()).await.unwrap();
    seen.begun(&started);
    seen.errors.push(smalt.take_handoff(handoff.ticket).await.unwrap_err());

    let ticket = |url: &Secret| url.expose().rsplit('/').next().unwrap().to_owned();
    let once = account.portal_url(GetPortalUrl { once: true, ..GetPortalUrl::default() }).await.unwrap();
    let spent = ticket(&once.url);
    seen.add("ticket of the hosted page", &spent);
    let portal = smalt.open_portal(&*spent).await.unwrap();
    let kept = portal.ticket.clone().unwrap();
    seen.add("ticket of the hosted page", kept.expose());
    seen.add("session token", portal.session.token.expose());
    writeln!(seen.said, "{once:?} {portal:?}").unwrap();
    seen.errors.push(smalt.open_portal(spent).await.unwrap_err());

    seen.add("own credential", OWN);
    seen.add("header of a webhook", HEADER);
    account.put_own_credentials(BTreeMap::from([("token".to_owned(), OWN.into())])).await.unwrap();
    writeln!(seen.said, "{:?}", account.own_credentials().await.unwrap()).unwrap();

    let settings = WebhookSettings {
        url: Some(inbox.to_owned()),
        events: Some(vec![WebhookEvent::ConnectionCreated]),
        headers: Some(BTreeMap::from([("x-canary".to_owned(), HEADER.into())])),
        ..WebhookSettings::default()
    };
    writeln!(seen.said, "{settings:?}").unwrap();
    let made = smalt.create_webhook(settings).await.unwrap();
    let request = RotateWebhookSecret { webhook: made.webhook.id.clone(), overlap: None };
    let rotated = smalt.rotate_webhook_secret(request).await.unwrap();
    for secret in [&made.secret, &rotated.secret] {
        seen.add("secret of a webhook", secret.expose());
        let bytes = Base64::decode_vec(secret.expose().strip_prefix("whsec_").unwrap()).unwrap();
        seen.secrets.entry("secret of a webhook").or_default().push(bytes);
    }
    writeln!(seen.said, "{made:?} {rotated:?} {:?}", smalt.webhooks().await.unwrap()).unwrap();
    (api_key.key, kept)
}

/// Waits until the first webhook was told something, which is signed with its secrets.
pub async fn delivered(smalt: &Smalt, seen: &mut Seen) {
    let webhook = smalt.webhooks().await.unwrap()[0].id.clone();
    for _ in 0..600 {
        let request = ListDeliveries { webhook: webhook.clone(), ..ListDeliveries::default() };
        let deliveries = smalt.deliveries(request).await.unwrap().items;
        if deliveries.iter().any(|delivery| delivery.http_status == Some(200)) {
            writeln!(seen.said, "{deliveries:?}").unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no webhook was told");
}

/// What observers of the server are told.
#[derive(Default)]
struct Told(Mutex<String>);

impl Observer for Told {
    fn answered(&self, request: &Answered<'_>) {
        writeln!(self.0.lock().unwrap(), "{request:?}").unwrap();
    }
}

/// Calls the HTTP API with good and bad credentials in every place of a request: what it counted, what its observer was told, and the
/// answers of the calls that were refused.
pub async fn over_http(smalt: &Smalt, key: &Secret, token: &Secret, ticket: &Secret) -> [(&'static str, String); 3] {
    let told = Arc::new(Told::default());
    let options = ApiOptions { observer: Some(told.clone()), ..ApiOptions::default() };
    let api = Api::new([(Environment::Test, smalt.clone())], options);
    let (mut refused, mut statuses) = (String::new(), Vec::new());
    let bad = format!("{}0", key.expose());
    let wrong = json!({"account": {"key": key.expose(), "token": token.expose()}, "nonsense": ticket.expose()}).to_string();
    let of = |name: &str| json!({"account": name}).to_string();
    let (key, token, ticket) = (key.expose(), token.expose(), ticket.expose());
    let bearer = format!("Bearer {token}");
    // Last, whether a secret stands where something is named that is asked for (a path, an account): whoever asks is told which one it was.
    for (method, path, header, body, is_name) in [
        ("POST", "/smalt/v1/get_account".to_owned(), ("x-api-key", key), of("customer-42"), false),
        ("POST", "/smalt/v1/list_apps".to_owned(), ("authorization", &*bearer), of("customer-42"), false),
        ("POST", "/smalt/v1/get_account".to_owned(), ("x-api-key", &*bad), of("customer-42"), false),
        ("POST", "/smalt/v1/get_account".to_owned(), ("x-api-key", token), of("customer-42"), false),
        ("POST", "/smalt/v1/get_account".to_owned(), ("x-api-key", key), wrong.clone(), false),
        ("POST", "/smalt/v1/get_account".to_owned(), ("x-api-key", key), of(ticket), true),
        ("POST", format!("/smalt/v1/{key}"), ("x-api-key", key), wrong.clone(), true),
        ("GET", format!("/api/v2/public/linked-account/nobody?token={token}&ticket={ticket}"), ("x-api-key", key), String::new(), false),
        ("GET", format!("/api/v2/public/linked-account/{token}"), ("x-api-key", key), String::new(), true),
        ("GET", format!("/nowhere?token={token}&key={key}"), ("authorization", &*bearer), String::new(), false),
        ("GET", format!("/nowhere/{ticket}/{key}"), ("authorization", &*bearer), String::new(), true),
        ("PUT", format!("/connect/{ticket}"), ("authorization", ticket), wrong, false),
        ("POST", "/connect/open".to_owned(), ("authorization", &*bearer), json!({"ticket": token}).to_string(), false),
    ] {
        let request = http::Request::builder().method(method).uri(path).header(header.0, header.1);
        let request = request.header("content-type", "application/json").header("traceparent", "00-1-2-03").body(body).unwrap();
        let (head, body) = api.answer(request).await.into_parts();
        statuses.push(head.status.as_u16());
        if head.status.as_u16() >= 400 && !is_name {
            writeln!(refused, "{head:?} {}", String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes())).unwrap();
        }
    }
    assert_eq!(statuses[..2], [200, 200], "{refused}");
    assert!(statuses[2..].iter().all(|status| (400..500).contains(status)), "{statuses:?} {refused}");
    let (metrics, told) = (api.metrics(), told.0.lock().unwrap().clone());
    assert!(refused.lines().count() >= 6, "{refused}");
    assert!(metrics.contains("smalt_http_requests_total") && told.lines().count() == statuses.len(), "{metrics} {told}");
    [("metrics", metrics), ("what observers are told", told), ("answers to refused calls", refused)]
}
