//! S-29: every route and every operation, with every kind of credential. The rows are those of the OpenAPI document, and who may call them is
//! what it says: one that is new is in here by itself. What only embedded engines offer does not stand there, and is tried beside.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::json;
use smalt::{
    Smalt,
    backend::schema,
    model::{Environment, Json},
    operations::{Operation, Scope},
};
use smalt_server::{Access, Api, ApiOptions};

use crate::{
    endpoints::{Endpoint, document, endpoints, operations},
    world::{Said, World, is_page},
};

const WHO: [&str; 10] = [
    "nobody",
    "session",
    "key",
    "revoked key",
    "revoked session",
    "expired session",
    "production key",
    "other session",
    "foreign key",
    "foreign session",
];

/// A session of 24 hours that was made so long ago is over; the 30 s of leeway are, too.
const LONG_AGO: Duration = Duration::from_secs(25 * 3600);

/// A word that only the account of a row knows.
const CANARY: &str = "canary-of-the-account";

struct Matrix {
    world: World,
    other: String,
    revoked_session: String,
    revoked_key: String,
    /// Makes sessions whose time is over by now.
    earlier: Smalt,
    /// Another organisation on the same store, under the same key: what it issues is good there, and there only.
    foreign: Smalt,
    foreign_key: String,
    rows: usize,
}

/// An account with a connection and a config, made for one cell: what one cell changes no other one sees.
struct Row {
    account: String,
    session: String,
    expired_session: String,
    /// Of the foreign organisation's account of this name.
    foreign_session: String,
    /// A run of its workflow.
    execution: String,
    flow: String,
}

impl Matrix {
    async fn new() -> Matrix {
        // The production environment refuses sandbox applications: what is asked there is asked of another one.
        let world = World::with(ApiOptions::default(), |project| {
            let settings = project.apps["sandbox-key"].clone();
            project.apps.insert("twilio".into(), settings);
            // Streams end soon.
            project.server.stream_time = 0.1;
        })
        .await;
        let other = world.account("other").await;
        let revoked_session = world.account("other-too").await;
        world.call("POST", "/api/v2/public/session-token/revoke", &[("authorization", &revoked_session)], Json::Null).await.expect(200);
        let ended = world.test.create_api_key("ended").await.unwrap();
        world.test.revoke_api_key(ended.info.id).await.unwrap();
        let earlier = world.earlier(LONG_AGO).await;
        let foreign = world.beside(|builder| builder.organisation("umbrella")).await;
        let foreign_key = foreign.create_api_key("backend").await.unwrap().key.expose().to_owned();
        let revoked_key = ended.key.expose().to_owned();
        Matrix { world, other, revoked_session, revoked_key, earlier, foreign, foreign_key, rows: 0 }
    }

    async fn row(&mut self) -> Row {
        self.rows += 1;
        let account = format!("account-{}", self.rows);
        let session = self.world.account(&account).await;
        self.world.backend("PUT", "/api/v2/public/linked-account", json!({"linked_account_id": account, "name": CANARY})).await.expect(200);
        self.world.connect_key(&session).await.expect(200);
        let fields = json!({"slug": "sandbox-key", "fields": {"colour": CANARY}, "workflows": [{"id": "digest", "enabled": true}]});
        self.world.call("POST", "/api/v2/f-sdk/config", &[("authorization", &session)], fields).await.expect(200);
        let own = json!({"linked_account_id": account, "your_app": {"auth_credentials": {"token": CANARY}}});
        self.world.backend("PUT", "/api/v2/public/linked-account", own).await.expect(200);
        let headers = [("authorization", &*session), ("sync_execution", "true"), ("slug", "sandbox-key")];
        let run = self.world.call("POST", "/api/v2/public/workflow/digest/execute", &headers, Json::Null).await.expect(200).json();
        let execution = run["execution_id"].as_str().unwrap().to_owned();
        let begun =
            self.world.backend("POST", "/smalt/v1/start_connect", json!({"account": account, "application": "sandbox-oauth"})).await;
        let flow = begun.expect(200).json()["flow_id"].as_str().unwrap().to_owned();
        let bearer = async |smalt: &Smalt| {
            let session = smalt.account(&account).session_with(true).await.unwrap();
            format!("Bearer {}", session.token().expose())
        };
        let expired_session = bearer(&self.earlier).await;
        self.foreign.account(&account).ensure().await.unwrap();
        let foreign_session = bearer(&self.foreign).await;
        Row { account, session, expired_session, foreign_session, execution, flow }
    }

    fn credential<'a>(&'a self, who: &str, row: &'a Row) -> Option<(&'static str, &'a str)> {
        Some(match who {
            "session" => ("authorization", &*row.session),
            "key" => ("x-api-key", &*self.world.key),
            "revoked key" => ("x-api-key", &*self.revoked_key),
            "revoked session" => ("authorization", &*self.revoked_session),
            "production key" => ("x-api-key", &*self.world.production_key),
            "other session" => ("authorization", &*self.other),
            "expired session" => ("authorization", &*row.expired_session),
            "foreign key" => ("x-api-key", &*self.foreign_key),
            "foreign session" => ("authorization", &*row.foreign_session),
            _ => return None,
        })
    }

    /// The one webhook that there is, made anew.
    async fn webhook(&self) -> String {
        for smalt in [&self.world.test, &self.world.production] {
            for webhook in smalt.webhooks().await.unwrap() {
                smalt.delete_webhook(webhook.id).await.unwrap();
            }
        }
        let settings =
            serde_json::from_value(json!({"url": "https://hooks.example/a", "events": ["connection.created"], "description": CANARY}));
        self.world.test.create_webhook(settings.unwrap()).await.unwrap().webhook.id
    }

    /// The account as it stands, so that a call that was refused can be shown to have changed nothing.
    async fn stands(&self, row: &Row) -> String {
        let read = async |path: &str| self.world.backend("GET", &format!("{path}{}", row.account), Json::Null).await.text;
        let account = read("/api/v2/public/linked-account/").await;
        let webhooks = self.world.backend("GET", "/api/v2/public/webhook", Json::Null).await.text;
        let own = self.world.test.account(&row.account).own_credentials().await.map(|own| own.values["token"].expose().to_owned());
        format!("{own:?} {account} {} {webhooks}", read("/api/v2/public/slug/sandbox-key/config?linked_account_id=").await)
    }
}

/// What a credential of each row is refused for is what its column says, and nothing else.
#[tokio::test]
async fn the_columns_of_the_matrix_are_what_they_say() {
    let mut matrix = Matrix::new().await;
    let row = matrix.row().await;
    let elsewhere = Api::new([(Environment::Test, matrix.foreign.clone())], ApiOptions::default());
    let ask = async |api: &Api, path: &str, who: &str| {
        let (name, value) = matrix.credential(who, &row).unwrap();
        let request = http::Request::get(path).header(name, value).body(axum::body::Body::empty()).unwrap();
        api.answer(request).await.status().as_u16()
    };
    let (accounts, apps) = ("/api/v2/public/linked-account", "/api/v2/f-sdk/application");
    for (path, who, here, there) in [
        (accounts, "key", 200, 401),
        (accounts, "foreign key", 401, 200),
        (apps, "session", 200, 401),
        (apps, "foreign session", 401, 200),
        (apps, "expired session", 401, 401),
    ] {
        assert_eq!((ask(&matrix.world.api, path, who).await, ask(&elsewhere, path, who).await), (here, there), "{who}");
    }
    // The expired one is refused for its age alone: for whom it is still that day it is good.
    assert!(matrix.earlier.verify_session(row.expired_session.strip_prefix("Bearer ").unwrap()).await.is_ok());
}

/// A request that this route can answer, were it not for the credential.
async fn request(matrix: &Matrix, route: &Endpoint, row: &Row, who: &str) -> (String, Json) {
    let (path, body) = if route.path.contains("/webhook") {
        let id = matrix.webhook().await;
        (route.path.replace("{id}", &id), webhook_body(route, &id))
    } else {
        request_in_test(route, row)
    };
    // An icon is everybody's: there, nothing of a credential counts.
    if who != "production key" || path.ends_with("/icon") {
        return (path, body);
    }
    let elsewhere = |text: &str| text.replace("sandbox-key", "twilio").replace("sandbox-oauth", "twilio");
    (elsewhere(&path), serde_json::from_str(&elsewhere(&body.to_string())).unwrap())
}

fn webhook_body(route: &Endpoint, id: &str) -> Json {
    match (route.method, route.path.rsplit('/').next().unwrap()) {
        ("POST", "webhook") => json!({"webhook_url": "https://hooks.example/b", "webhook_events": ["Connection Created"]}),
        ("POST", "subscribe") => json!({"webhook_events": ["connection-deleted"]}),
        ("POST", "unsubscribe") => json!({"webhook_event": "connection-created"}),
        ("PUT", "{id}") => json!({"group": "changed"}),
        ("PUT", "edit") => json!({"webhookIds": [id], "group": "changed"}),
        _ => Json::Null,
    }
}

/// Of the workflow that the row has on, and of a run that it had.
fn workflow_request(route: &Endpoint, row: &Row) -> (String, Json) {
    let id = if route.path.contains("/execution") { &*row.execution } else { "digest" };
    (route.path.replace("{id}", id), if route.path.ends_with("/workflow") { json!({"name": "Mine"}) } else { json!({"published": true}) })
}

fn request_in_test(route: &Endpoint, row: &Row) -> (String, Json) {
    if route.path.contains("/workflow") && !route.path.contains("/slug/") || route.path.contains("/execution") {
        return workflow_request(route, row);
    }
    let slug = if route.path.contains("oauth-url") || route.path.contains("integrate") { "sandbox-oauth" } else { "sandbox-key" };
    let field = if route.path.contains("rule-engine") { "filter" } else { "colour" };
    let mut path = route.path.to_owned();
    let of_page = if route.path.contains("{version}") { "smalt.mjs" } else { "portal.mjs" };
    for (name, value) in [
        ("id", &*row.account),
        ("slug", slug),
        ("config", &row.account),
        ("workflow", "digest"),
        ("field", field),
        ("key", "token"),
        ("ticket", "nobodys"),
        ("flow", &row.flow),
        ("version", "latest"),
        ("build", "any"),
        ("file", of_page),
    ] {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    let new = || format!("new-{}", row.account);
    let body = match (route.method, route.path) {
        ("POST", "/api/v2/public/linked-account") => json!({"linked_account_id": new()}),
        ("PUT", "/api/v2/public/linked-account") => json!({"linked_account_id": row.account, "name": "changed"}),
        (_, "/api/v2/public/session-token") => json!({"linked_account_id": row.account}),
        (_, path) if path.contains("/save") => json!({"key": smalt::sandbox::API_KEY, "workspace": "acme"}),
        (_, path) if path.contains("migrate") => {
            json!({"slug": "sandbox-key", "auth_object": {"key": smalt::sandbox::API_KEY, "workspace": "acme"}})
        }
        (_, path) if path.contains("/workflows/") => json!({"enabled": true}),
        ("PUT", path) if path.contains("/field/") || path.contains("/auth-credentials/") => json!({"value": "changed"}),
        (_, path) if path.contains("rule-engine") => json!({"rule_column": {"lhs": "stage"}}),
        ("PUT", path) if path.ends_with("/config") => json!({"slug": "sandbox-key", "fields": {"colour": "changed"}}),
        ("POST", path) if path.ends_with("/config") => json!({"slug": "sandbox-key"}),
        _ => Json::Null,
    };
    (path, body)
}

/// The head of a call whose bodies pass through.
fn passing(row: &Row, application: &str) -> String {
    let call = json!({"account": row.account, "application": application, "method": "GET", "path": "echo"});
    Base64UrlUnpadded::encode_string(call.to_string().as_bytes())
}

/// What must be answered.
fn expected(route: &Endpoint, who: &str) -> u16 {
    use Access::{Account, Backend, Doorway, Organisation, Own, Public, Session};
    match (route.access, who) {
        // Tickets and states are proofs of their own, and these are wrong. A callback leads to the page that says so.
        (Public, _) if route.path.contains("/connect/go/") => 400,
        (Public, _) if route.path.contains("/callback") => 303,
        (Public, _) if matches!(route.path, "/connect/{ticket}" | "/connect/open") => 404,
        (Public, _) => 200,
        (Doorway, _) => unreachable!("operations have a matrix of their own"),
        (_, "nobody" | "revoked key" | "revoked session" | "expired session" | "foreign key" | "foreign session") => 401,
        (Session, "key" | "production key") => 401,
        (Organisation | Backend, "session") => 403,
        // The header names the row's account, which is not theirs.
        (_, "other session") => 403,
        (_, "session" | "key") if !route.about.starts_with("Not offered") => 200,
        // Workflows stand in the project file.
        (_, "session" | "key") if route.about.starts_with("Not offered") => 501,
        // It is a good key, of an environment that has no webhook: what names one, or means the oldest, finds none.
        (Organisation, "production key") if route.path == "/api/v2/public/webhook" => {
            if route.method == "DELETE" {
                404
            } else {
                200
            }
        }
        (Organisation, "production key") if route.path.ends_with("/subscribe") || route.path.ends_with("/unsubscribe") => 404,
        (Organisation, "production key") if route.path.contains("/webhook") => 400,
        // It is a good key, of an environment that has no such account: what names none, or makes one, is answered.
        (Organisation, "production key") if route.path == "/api/v2/public/linked-account" => 200,
        (Own, "production key") if route.method == "PUT" => 200,
        (Organisation | Own | Account | Backend, "production key") => 404,
        (_, who) => unreachable!("{who}"),
    }
}

#[tokio::test]
async fn s29_every_route_with_every_credential() {
    let mut matrix = Matrix::new().await;
    let mut deviations = Vec::new();
    let mut cells = 0;
    let rows = endpoints(&document(&matrix.world).await);
    for route in &rows {
        let mut row = matrix.row().await;
        for who in WHO {
            let expected = expected(route, who);
            let (path, body) = request(&matrix, route, &row, who).await;
            let before = matrix.stands(&row).await;
            let mut headers =
                vec![("linked_account_id", &*row.account), ("slug", if who == "production key" { "twilio" } else { "sandbox-key" })];
            let passing = passing(&row, if who == "production key" { "twilio" } else { "sandbox-key" });
            if route.path.ends_with("/request/stream") {
                headers.push(("smalt-request", &passing));
            }
            headers.extend(matrix.credential(who, &row));
            let said = matrix.world.call(route.method, &path, &headers, body).await;
            cells += 1;
            let is_as_expected = match expected {
                // Any refusal of a page will do: what it is of depends on what was presented.
                400 if is_page(&path) => (400..500).contains(&said.status),
                expected => said.status == expected,
            };
            if !is_as_expected {
                deviations.push(format!("{} {} [{who}]: {} and not {expected}: {}", route.method, route.path, said.status, said.text));
            }
            if !matches!(who, "session" | "key") {
                if said.text.contains(CANARY) {
                    deviations.push(format!("{} {} [{who}] shows what is the account's: {}", route.method, route.path, said.text));
                }
                if matrix.stands(&row).await != before {
                    deviations.push(format!("{} {} [{who}] changed the account", route.method, route.path));
                }
            } else {
                row = matrix.row().await;
            }
        }
    }
    assert_eq!(cells, WHO.len() * rows.len());
    assert!(rows.len() > 80, "{}", rows.len());
    assert!(deviations.is_empty(), "{}", deviations.join("\n"));
}

/// A value for a field that the operation needs, or that makes it concern the account, of which `token` is a session's.
fn value(name: &str, account: &str, token: &str) -> Option<Json> {
    Some(match name {
        "account" => account.into(),
        "application" => "sandbox-key".into(),
        "method" => "GET".into(),
        "path" => "items".into(),
        "field" => "colour".into(),
        "lhs" => "stage".into(),
        "workflow" => "digest".into(),
        "name" => "backend".into(),
        "inputs" | "values" => json!({"key": smalt::sandbox::API_KEY, "workspace": "acme"}),
        "update" | "payload" => json!({}),
        "token" => token.into(),
        "id" | "connection" | "flow" | "receipt" | "key" | "ticket" | "callback_url" | "config_id" | "webhook" | "delivery"
        | "execution" => "nobodys".into(),
        "settings" => json!({}),
        "version" => 1.into(),
        _ => return None,
    })
}

/// What is nothing in particular, of a property's type.
fn empty(property: &Json) -> Option<Json> {
    Some(match property["type"].as_str()? {
        "boolean" => false.into(),
        "object" => json!({}),
        "array" => json!([]),
        _ => return None,
    })
}

fn operations_request(request: &Json, operation: Operation, row: &Row) -> Json {
    let required: Vec<&str> = request["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
    let mut body = serde_json::Map::new();
    for (name, property) in request["properties"].as_object().into_iter().flatten() {
        if name == "account" || required.contains(&&**name) {
            body.insert(
                name.clone(),
                value(name, &row.account, row.session.trim_start_matches("Bearer "))
                    .or_else(|| empty(property))
                    .unwrap_or_else(|| panic!("{operation:?} needs `{name}`: say here what it may be")),
            );
        }
    }
    Json::Object(body)
}

/// What must be answered; `None`: the operation itself says, and it is no refusal of the caller.
fn operations_expected(operation: Operation, is_described: bool, may_session: bool, body: &Json, who: &str) -> Option<u16> {
    match who {
        // Whoever is known is told why not.
        "key" | "production key" | "session" | "other session" if !is_described => Some(501),
        "nobody" | "revoked key" | "revoked session" | "expired session" | "foreign key" | "foreign session" => Some(401),
        "session" | "other session" if !may_session => Some(403),
        "other session" if body.get("account").is_some() => Some(403),
        // A session ends itself only.
        "other session" if operation == Operation::RevokeSession => Some(403),
        _ => None,
    }
}

#[tokio::test]
async fn s29_every_operation_with_every_credential() {
    let mut matrix = Matrix::new().await;
    let described = operations(&document(&matrix.world).await);
    let own = schema();
    let mut deviations = Vec::new();
    let mut found = 0;
    for &operation in Operation::ALL {
        let name = operation.row().name;
        found += usize::from(described.contains_key(name));
        // One that does not stand there is asked for all the same.
        let form = match &own["operations"][name]["request"]["$ref"] {
            Json::String(at) => own["$defs"][at.rsplit('/').next().unwrap()].clone(),
            _ => own["operations"][name]["request"].clone(),
        };
        let (form, may_session) = described.get(name).cloned().unwrap_or((form, false));
        let is_described = described.contains_key(name);
        let mut row = matrix.row().await;
        for who in WHO {
            let body = match operation {
                Operation::SetProject => serde_json::to_value(matrix.world.test.project().await.unwrap()).unwrap(),
                operation => operations_request(&form, operation, &row),
            };
            let before = matrix.stands(&row).await;
            let headers: Vec<_> = matrix.credential(who, &row).into_iter().collect();
            let path = format!("/smalt/v1/{}", operation.row().name);
            let said: Said = matrix.world.call("POST", &path, &headers, body.clone()).await;
            let what = format!("{} [{who}] {body}: {} {}", operation.row().name, said.status, said.text);
            match operations_expected(operation, is_described, may_session, &body, who) {
                Some(expected) if said.status != expected => deviations.push(format!("not {expected}: {what}")),
                None if said.status == 403 && operation.row().scope != Scope::Public => deviations.push(format!("refused: {what}")),
                // Proofs that are no credential of the call: the operation's own.
                None if said.status == 401
                    && !["verify_session", "verify_api_key", "portal_properties"].contains(&operation.row().name) =>
                {
                    deviations.push(format!("refused: {what}"));
                }
                None if said.status >= 500 && said.status != 501 => deviations.push(format!("a fault: {what}")),
                _ => {}
            }
            if matches!(who, "session" | "key") {
                row = matrix.row().await;
            } else {
                if said.text.contains(CANARY) {
                    deviations.push(format!("shows what is the account's: {what}"));
                }
                if matrix.stands(&row).await != before {
                    deviations.push(format!("changed the account: {what}"));
                }
            }
        }
    }
    assert!(found == described.len() && found > 40, "{found}: each that is described was called");
    assert!(deviations.is_empty(), "{}", deviations.join("\n"));
}
