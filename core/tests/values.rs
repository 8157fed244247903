//! Tokens that come of what users entered: what the provider says to one of them concerns no other.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use serde_json::json;
use smalt::{
    Account, Code, Smalt,
    backend::ImportConnection,
    engine::Timings,
    http::ScriptedTransport,
    model::{AuthType, ConnectionHealth},
    plugin::{FixedClock, HttpResponse},
    project::Project,
    vault::LocalKey,
};

/// Who is answered how; the others get a token that lives for an hour.
type Odd = Arc<Mutex<Option<(String, HttpResponse)>>>;

struct Stage {
    smalt: Smalt,
    clock: FixedClock,
    odd: Odd,
    transport: ScriptedTransport,
}

impl Stage {
    /// An application that is connected with the customer's own client, and with OAuth by the organisation's.
    async fn new() -> Self {
        let odd = Odd::default();
        let answers = odd.clone();
        let transport = ScriptedTransport::answering(move |request| {
            let body = String::from_utf8_lossy(&request.body.0).into_owned();
            let proof = request.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.to_string());
            let whole = format!("{body} {}", proof.unwrap_or_default());
            let odd = answers.lock().unwrap().clone();
            Ok(match odd.filter(|(who, _)| whole.contains(who.as_str())) {
                Some((_, answer)) => answer,
                None => ScriptedTransport::json(200, &json!({"access_token": "good", "expires_in": 3600, "refresh_token": "r"})),
            })
        });
        let manifest = json!({
            "manifest": 1, "slug": "crm", "name": "CRM", "description": "Customers", "api": {"base_url": "https://api.crm.example/"},
            "oauth2": {"authorize_url": "https://crm.example/authorize", "token_url": "https://crm.example/token", "client_auth": "body"},
            "keybased": {
                "inputs": [{"name": "client_id", "label": "Id"}, {"name": "client_secret", "label": "Secret", "secret": true}],
                "placement": {"in": "header", "name": "Authorization", "value": "Bearer {access_token}"},
                "token": {"grant": "client_credentials", "url": "https://crm.example/token", "client": "inputs", "client_auth": "body"},
            },
        });
        let project: Project = serde_json::from_value(json!({
            "version": 1, "apps": {"crm": {"client": {"test": {"id": "organisation"}}}},
        }))
        .unwrap();
        let clock = FixedClock::at("2026-01-01T00:00:00.000Z".parse().unwrap());
        let smalt = Smalt::in_memory()
            .keys(LocalKey::generate().unwrap())
            .transport(transport.clone())
            .clock(clock.clone())
            .manifest(serde_json::from_value(manifest).unwrap())
            .project_value(project)
            .timings(Timings { ahead: None, ..Timings::default() })
            .open()
            .await
            .unwrap();
        Self { smalt, clock, odd, transport }
    }

    async fn connected(&self, who: &str) -> Account {
        let account = self.smalt.account(who);
        account.ensure().await.unwrap();
        by_values(&account, "s").await;
        account
    }

    fn answer(&self, who: &str, status: u16, headers: &[(&str, &str)], body: &serde_json::Value) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        *self.odd.lock().unwrap() = Some((who.to_owned(), HttpResponse { status, headers, body: body.to_string().into_bytes() }));
    }

    fn sent(&self) -> usize {
        self.transport.requests().len()
    }
}

/// Connected by the customer's own client.
async fn by_values(account: &Account, secret: &str) {
    let connecting = account.connect("crm").auth_type(AuthType::Keybased);
    connecting.input("client_id", format!("client-of-{}", account.id()).as_str()).input("client_secret", secret).await.unwrap();
}

async fn health(account: &Account) -> ConnectionHealth {
    account.connections(Some("crm")).await.unwrap()[0].health
}

/// A customer's own client that is refused ends this customer's connection; nobody else's is as much as asked about it.
#[tokio::test]
async fn one_customers_refused_client_is_no_others() {
    let stage = Stage::new().await;
    let (one, two) = (stage.connected("one").await, stage.connected("two").await);
    stage.answer("client-of-one", 401, &[], &json!({"error": "invalid_client"}));
    stage.clock.advance_millis(3_600_000);
    let error = one.credential("crm").await.unwrap_err();
    assert_eq!((error.code(), error.info().context["provider_error"].as_str()), (Code::ReauthRequired, "invalid_client"));
    assert_eq!(two.credential("crm").await.unwrap().access_token.as_ref().unwrap().expose(), "good");
    assert_eq!((health(&one).await, health(&two).await), (ConnectionHealth::Expired, ConnectionHealth::Healthy));
    // Entered anew, it is good again.
    *stage.odd.lock().unwrap() = None;
    by_values(&one, "another").await;
    assert_eq!(health(&one).await, ConnectionHealth::Healthy);
}

/// "Too many", said to one customer's client, holds up that customer only.
#[tokio::test]
async fn one_customers_limit_is_no_others() {
    let stage = Stage::new().await;
    let (one, two) = (stage.connected("one").await, stage.connected("two").await);
    stage.answer("client-of-one", 429, &[("retry-after", "1800")], &json!({}));
    stage.clock.advance_millis(3_600_000);
    let error = one.credential("crm").await.unwrap_err();
    assert_eq!((error.code(), error.info().retry_after.map(|wait| wait.as_secs())), (Code::RefreshFailed, Some(1800)));
    two.credential("crm").await.unwrap();
    // The one who was told waits as long as was said, without asking.
    let before = stage.sent();
    stage.clock.advance_millis(1_700_000);
    assert_eq!(one.credential("crm").await.unwrap_err().code(), Code::RefreshFailed);
    assert_eq!(stage.sent(), before);
    *stage.odd.lock().unwrap() = None;
    stage.clock.advance_millis(101_000);
    one.credential("crm").await.unwrap();
}

/// The organisation's client is another matter: its trouble shows at consents, and at no connection of entered values.
#[tokio::test]
async fn the_organisations_refused_client_is_no_customers() {
    let stage = Stage::new().await;
    let one = stage.connected("one").await;
    let two = stage.smalt.account("two");
    two.ensure().await.unwrap();
    let mut import = ImportConnection { application: "crm".into(), auth_type: Some(AuthType::Oauth2), ..ImportConnection::default() };
    import.values.insert("refresh_token".into(), "theirs".into());
    two.import(import).await.unwrap();
    stage.answer("client_id=organisation", 401, &[], &json!({"error": "invalid_client"}));
    stage.clock.advance_millis(3_600_000);
    assert_eq!(two.credential("crm").await.unwrap_err().code(), Code::ClientRejected);
    one.credential("crm").await.unwrap();
    assert_eq!((health(&one).await, health(&two).await), (ConnectionHealth::Healthy, ConnectionHealth::ClientRejected));
}
