//! Golden pairs: the request that each operation sends by the documented routes, and the answers of the documentation read.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use serde_json::json;

use crate::{
    Code, Error, Secret, Session, Smalt,
    backend::*,
    http::ScriptedTransport,
    model::*,
    operations::Operation,
    plugin::HttpRequest,
    remote::{Poll, Retries},
};

const BASE: &str = "https://hosted.test/backend";
const KEY: &str = "tk00000000-0000-4000-8000-000000000001";

/// A server that answers each request by method and path, and otherwise as a router does.
fn answering(answers: Vec<(&'static str, u16, Json)>) -> ScriptedTransport {
    ScriptedTransport::answering(move |request| {
        let what = format!("{} {}", request.method, request.url.path().strip_prefix("/backend").unwrap());
        let found = answers.iter().find(|(route, ..)| *route == what);
        Ok(match found {
            Some((_, status, body)) => ScriptedTransport::json(*status, body),
            None => ScriptedTransport::json(404, &json!({"message": "Cannot GET"})),
        })
    })
}

fn organisation(answers: Vec<(&'static str, u16, Json)>) -> (Smalt, ScriptedTransport) {
    let transport = answering(answers);
    let smalt = Smalt::remote(BASE).api_key(KEY).retries(Retries::none()).poll(quick()).transport(transport.clone()).open().unwrap();
    (smalt, transport)
}

fn session(answers: Vec<(&'static str, u16, Json)>) -> (Session, ScriptedTransport) {
    let transport = answering(answers);
    let session = Session::remote(BASE).token("t0").retries(Retries::none()).poll(quick()).transport(transport.clone()).open().unwrap();
    (session, transport)
}

fn quick() -> Poll {
    Poll { first: Duration::from_millis(5), longest: Duration::from_millis(10), give_up: Duration::from_secs(600) }
}

/// Everything of a request but its id: the line, the headers that count, the body.
fn shown(request: &HttpRequest) -> Json {
    let url = request.url.as_str().strip_prefix(BASE).unwrap();
    let headers: BTreeMap<&str, &str> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !["accept", "user-agent", "x-request-id", "content-type"].contains(name))
        .collect();
    let body: Json = serde_json::from_slice(&request.body.0).unwrap_or_default();
    json!([request.method, url, headers, body])
}

/// What was sent, without the question which API answers.
fn sent(transport: &ScriptedTransport) -> Vec<Json> {
    transport.requests().iter().filter(|request| !request.url.path().ends_with("/smalt/v1/capabilities")).map(shown).collect()
}

fn account() -> Json {
    json!({
        "_id": "65f0c0ffee0000000000aaaa", "associated_org": "65f0c0ffee0000000000bbbb", "account_id": "u@e.com", "name": "Acme",
        "environment": "test", "udf": [{"key_name": "plan", "key_value": "gold", "_id": "1", "createdAt": "2026-01-31T08:15:00.000Z", "updatedAt": "2026-01-31T08:15:00.000Z"}],
        "integrations": [{"_id": "2", "type": "slack", "name": "Slack", "icon": null, "app_id": null, "identifier": {"team": 1}, "reauth_required": false, "createdAt": "2026-01-31T08:15:00.000Z", "updatedAt": "2026-01-31T08:15:00.000Z"}],
        "createdAt": "2026-01-31T08:15:00.000Z", "updatedAt": "2026-02-01T00:00:00.000Z", "__v": 0
    })
}

/// With a connection per status; `at` is the day of the month on which it was made.
fn slack(connections: &[(&str, &str, u32)]) -> Json {
    let accounts: Vec<Json> = connections
        .iter()
        .map(|(auth_type, status, at)| json!({"identifier": "NA", "auth_type": auth_type, "connectedAt": format!("2026-01-{at:02}T00:00:00.000Z"), "status": status}))
        .collect();
    json!({
        "app_id": "65f0c0ffee0000000000cccc", "name": "Slack", "description": "Chat", "icon": "https://cdn.test/slack.png", "slug": "slack", "type": "slack",
        "tags": ["communication"], "auth_type": "oauth2",
        "auth_type_options": {"oauth2": [], "keybased": [{"name": "token", "label": "Token", "placeholder": "xoxb", "type": "password", "required": "true", "options": ["a", {"value": "b"}]}]},
        "auth_input_map": [], "connected": !connections.is_empty(), "reauth_required": false, "connected_accounts": accounts
    })
}

fn config() -> Json {
    json!({
        "slug": "slack", "config_id": "u@e.com",
        "fields": [{"id": "f1", "name": "Channel", "field_type": "select", "required": true, "multiple": false, "options": [{"name": "General", "value": "C1"}], "value": "C1"}, {"id": "f2", "name": "Odd", "field_type": "signature"}],
        "workflows": [{"id": "w1", "name": "Notify", "description": "", "enabled": true}],
        "field_errors": [{"id": "f1", "name": "Channel", "error": {"message": "Could not load"}}]
    })
}

const BY_KEY: [(&str, &str); 2] = [("linked_account_id", "u@e.com"), ("x-api-key", KEY)];

fn key() -> Json {
    json!({"x-api-key": KEY})
}

fn for_account() -> Json {
    json!(BTreeMap::from(BY_KEY))
}

fn bearer() -> Json {
    json!({"authorization": "Bearer t0"})
}

#[tokio::test]
async fn accounts_and_tokens() {
    let listed = json!({"docs": [account()], "totalDocs": 3, "limit": 1, "totalPages": 3, "page": 2});
    let (smalt, transport) = organisation(vec![
        ("POST /api/v2/public/linked-account", 200, account()),
        ("PUT /api/v2/public/linked-account", 200, account()),
        ("GET /api/v2/public/linked-account", 200, listed),
        ("GET /api/v2/public/linked-account/u%40e.com", 200, account()),
        ("DELETE /api/v2/public/linked-account/u%40e.com", 200, json!({"message": "User deleted successfully"})),
        ("POST /api/v2/public/session-token", 200, json!({"token": "t1"})),
        ("GET /api/v2/public/session/active-linked-account", 200, account()),
        ("POST /api/v2/public/session-token/revoke", 200, json!({"success": true, "revoked_count": 1})),
    ]);
    let update = AccountUpdate { name: Some("Acme".into()), properties: Some(BTreeMap::from([("plan".into(), "gold".into())])) };
    let made = smalt.create_account("u@e.com", update.clone()).await.unwrap();
    assert_eq!((made.id.as_str(), &*made.properties["plan"], made.record_id.len()), ("u@e.com", "gold", 24));
    assert!(!smalt.upsert_account("u@e.com", update).await.unwrap().is_new);
    assert_eq!(smalt.account("u@e.com").get().await.unwrap().name.as_deref(), Some("Acme"));
    let page = smalt
        .list_accounts(ListAccounts { limit: Some(1), skip: Some(1), search: Some("a&b".into()), ..ListAccounts::default() })
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("page:3/1")));
    let page = smalt.list_accounts(ListAccounts { limit: Some(1), cursor: page.next, ..ListAccounts::default() }).await.unwrap();
    assert_eq!(page.next, None);
    assert_eq!(smalt.count_accounts(None).await.unwrap(), 3);
    smalt.delete_account("u@e.com").await.unwrap();
    let session = smalt.account("u@e.com").session_with(true).await.unwrap();
    assert_eq!(session.token().expose(), "t1");
    assert_eq!(session.info().await.unwrap().account_id, "u@e.com");
    assert!(session.revoke().await.unwrap());
    let written = json!({"linked_account_id": "u@e.com", "name": "Acme", "udf": {"plan": "gold"}});
    assert_eq!(
        sent(&transport),
        [
            json!(["POST", "/api/v2/public/linked-account", key(), written]),
            json!(["PUT", "/api/v2/public/linked-account", key(), written]),
            json!(["GET", "/api/v2/public/linked-account/u%40e.com", key(), null]),
            json!(["GET", "/api/v2/public/linked-account?page=2&limit=1&search=a%26b", key(), null]),
            json!(["GET", "/api/v2/public/linked-account?page=3&limit=1", key(), null]),
            json!(["GET", "/api/v2/public/linked-account?page=1&limit=1", key(), null]),
            json!(["DELETE", "/api/v2/public/linked-account/u%40e.com", key(), null]),
            json!(["POST", "/api/v2/public/session-token?force_refresh=true", key(), {"linked_account_id": "u@e.com"}]),
            json!(["GET", "/api/v2/public/session/active-linked-account", {"authorization": "Bearer t1"}, null]),
            json!(["POST", "/api/v2/public/session-token/revoke", {"authorization": "Bearer t1"}, null]),
        ]
    );
}

#[tokio::test]
async fn applications_and_connections() {
    let both = slack(&[("keybased", "active", 2), ("oauth2", "expired", 1)]);
    let (smalt, transport) = organisation(vec![
        ("GET /api/v2/public/application", 200, json!([both])),
        ("GET /api/v2/public/application/slack", 200, both.clone()),
        ("PUT /api/v2/public/linked-account/integration/save-key-credentials/slack", 200, json!({"success": true})),
        ("PUT /api/v2/public/migrate-token", 200, json!({"success": true, "message": "Token migrated successfully"})),
        ("DELETE /api/v2/public/linked-account/integration/slack", 200, account()),
    ]);
    let account = smalt.account("u@e.com");
    let app = account.app("slack").await.unwrap();
    assert_eq!((app.auth_types[0], app.status), (AuthType::Oauth2, AppStatus::ReauthRequired));
    let field = &app.inputs[&AuthType::Keybased][0];
    assert_eq!((field.required, field.secret, &*field.options[0].name, &*field.options[1].value), (true, true, "a", "b"));
    assert_eq!(account.apps().await.unwrap().len(), 1);
    let connections = account.connections(None).await.unwrap();
    let ids: Vec<_> = connections.iter().map(|one| (one.id.as_str(), one.is_default, one.status)).collect();
    assert_eq!(ids, [("slack:oauth2", true, ConnectionStatus::Expired), ("slack:keybased", false, ConnectionStatus::Active)]);
    assert_eq!(account.connection("slack:keybased").await.unwrap().identity, None);
    assert!(account.connection("slack:nothing").await.unwrap_err().is(Code::ConnectionNotFound));
    let made = account.connect("slack").auth_type(AuthType::Keybased).input("token", "xoxb-1").await.unwrap();
    assert_eq!(made.auth_type, AuthType::Keybased);
    let values = BTreeMap::from([("access_token".to_owned(), Secret::new("a")), ("refresh_token".to_owned(), Secret::new("r"))]);
    let import = ImportConnection { application: "slack".into(), auth_type: Some(AuthType::Oauth2), values, ..ImportConnection::default() };
    assert_eq!(account.import(import).await.unwrap().auth_type, AuthType::Oauth2);
    let receipt = account
        .disconnect_with(Disconnect { application: "slack".into(), connection: Some("slack:keybased".into()), ..Disconnect::default() })
        .await
        .unwrap();
    assert_eq!((receipt.revocation, receipt.connections.len()), (RevocationOutcome::Queued, 1));
    let (app, path) = ("/api/v2/public/application/slack?linked_account_id=u%40e.com", "?linked_account_id=u%40e.com");
    let writes: Vec<_> = sent(&transport).into_iter().filter(|request| request[0] != "GET").collect();
    assert_eq!(sent(&transport)[0], json!(["GET", app, for_account(), null]));
    assert_eq!(
        writes,
        [
            json!(["PUT", format!("/api/v2/public/linked-account/integration/save-key-credentials/slack{path}"), for_account(), {"token": "xoxb-1"}]),
            json!(["PUT", format!("/api/v2/public/migrate-token{path}"), for_account(), {
                "linked_account_id": "u@e.com", "slug": "slack", "auth_object": {"oauth2": {"access_token": "a", "refresh_token": "r"}}
            }]),
            json!(["DELETE", format!("/api/v2/public/linked-account/integration/slack{path}&auth_type=keybased"), for_account(), null]),
        ]
    );
}

#[tokio::test]
async fn a_session_uses_the_routes_of_the_web_sdk() {
    let (session, transport) = session(vec![
        ("GET /api/v2/f-sdk/application", 200, json!([slack(&[])])),
        ("GET /api/v2/f-sdk/application/slack", 200, slack(&[("keybased", "active", 2)])),
        ("POST /api/v2/app/slack/save", 200, json!({"success": true})),
        ("DELETE /api/v1/linked-acc/integration/slack", 200, json!({"success": true})),
        ("POST /api/v2/f-sdk/config", 200, config()),
        ("PUT /api/v2/f-sdk/config", 200, config()),
        ("GET /api/v2/f-sdk/slug/slack/config", 200, config()),
        ("GET /api/v2/f-sdk/slug/slack/config/my%20id", 200, config()),
        ("DELETE /api/v2/f-sdk/slug/slack/config", 200, json!({"message": "Installation Deleted Success"})),
        ("GET /api/v2/public/slug/slack/configs", 200, json!([{"config_id": "u@e.com", "_id": "1"}])),
    ]);
    session.apps().await.unwrap();
    session.connect("slack").auth_type(AuthType::Keybased).input("token", "x").await.unwrap();
    session.disconnect("slack").await.unwrap();
    let labels =
        Labels::ByObject(BTreeMap::from([("Deal".to_owned(), vec![Label { name: Some("A".into()), value: json!("a"), multiple: false }])]));
    let found = session
        .find_config(FindConfig { application: "slack".into(), labels: Some(labels), without_options: true, ..FindConfig::default() })
        .await
        .unwrap();
    assert_eq!(
        (found.fields[0].value.clone(), found.fields[1].field_type, found.workflows[0].enabled),
        (Some(json!("C1")), FieldType::Text, true)
    );
    assert_eq!((found.field_errors[0].message.as_str(), found.account_id.as_str()), ("Could not load", ""));
    session.get_config("slack", None).await.unwrap();
    session.get_config("slack", Some("my id")).await.unwrap();
    let update = ConfigUpdate {
        fields: BTreeMap::from([("f1".into(), json!("C2")), ("f2".into(), Json::Null)]),
        workflows: BTreeMap::from([("w1".into(), WorkflowUpdate::Switch(false))]),
        ..ConfigUpdate::default()
    };
    session.update_config("slack", update).await.unwrap();
    assert_eq!(session.configs("slack").await.unwrap(), ["u@e.com"]);
    session.delete_config("slack", None).await.unwrap();
    let requests = sent(&transport);
    assert!(requests.iter().all(|request| request[2]["authorization"] == "Bearer t0" && request[2]["x-api-key"].is_null()));
    let told: Vec<_> = requests.into_iter().filter(|request| !request[1].as_str().unwrap().contains("application")).collect();
    assert_eq!(
        told,
        [
            json!(["POST", "/api/v2/app/slack/save", bearer(), {"token": "x"}]),
            json!(["DELETE", "/api/v1/linked-acc/integration/slack", bearer(), null]),
            json!(["POST", "/api/v2/f-sdk/config", {"authorization": "Bearer t0", "disable_field_options": "true"}, {"slug": "slack", "labels": {"Deal": [{"name": "A", "value": "a", "multiple": false}]}}]),
            json!(["GET", "/api/v2/f-sdk/slug/slack/config", bearer(), null]),
            json!(["GET", "/api/v2/f-sdk/slug/slack/config/my%20id", bearer(), null]),
            json!(["PUT", "/api/v2/f-sdk/config", bearer(), {"slug": "slack", "fields": {"f1": "C2", "f2": null}, "workflows": [{"id": "w1", "enabled": false}]}]),
            json!(["GET", "/api/v2/public/slug/slack/configs", bearer(), null]),
            json!(["DELETE", "/api/v2/f-sdk/slug/slack/config", bearer(), null]),
        ]
    );
}

#[tokio::test]
async fn fields_and_rules() {
    let field = json!({"id": "f1", "name": "Channel", "field_type": "text", "required": false, "value": 0});
    let column = json!({"name": "Value", "type": "text", "options": []});
    let (smalt, transport) = organisation(vec![
        ("POST /api/v2/public/config/field/f1", 200, field.clone()),
        ("PUT /api/v2/public/config/field/f1", 200, field.clone()),
        ("DELETE /api/v2/public/config/field/f1", 200, field),
        ("POST /api/v2/public/config/rule-engine/f1", 200, json!({"rule_column": {"rhs": column, "operator": column}})),
        ("POST /api/v2/public/config/field", 200, config()),
    ]);
    let account = smalt.account("u@e.com");
    let of = ConfigField {
        application: "slack".into(),
        field: "f1".into(),
        workflow: Some("w1".into()),
        parent_value: Some(json!([1])),
        ..ConfigField::default()
    };
    assert_eq!(account.config_field(of).await.unwrap().value, Some(json!(0)));
    let set = SetConfigField {
        application: "slack".into(),
        field: "f1".into(),
        config_id: Some("c".into()),
        value: Some(json!(false)),
        ..SetConfigField::default()
    };
    account.set_config_field(set.clone()).await.unwrap();
    account.set_config_field(SetConfigField { value: None, ..set }).await.unwrap();
    let rule = GetRuleColumns { application: "slack".into(), field: "f1".into(), lhs: json!("stage"), ..GetRuleColumns::default() };
    assert_eq!(account.rule_columns(rule).await.unwrap().rhs.name, "Value");
    let empty = GetConfig { account: "u@e.com".into(), application: "slack".into(), or_empty: true, ..GetConfig::default() };
    smalt.backend().get_config(&Caller::Organisation("o".into()), empty).await.unwrap();
    let headers = json!({"linked_account_id": "u@e.com", "slug": "slack", "x-api-key": KEY});
    let query = "linked_account_id=u%40e.com";
    assert_eq!(
        sent(&transport),
        [
            json!(["POST", format!("/api/v2/public/config/field/f1?{query}&workflow_id=w1"), headers, {"value": [1]}]),
            json!(["PUT", format!("/api/v2/public/config/field/f1?{query}&config_id=c"), headers, {"value": false}]),
            json!(["DELETE", format!("/api/v2/public/config/field/f1?{query}&config_id=c"), headers, null]),
            json!(["POST", format!("/api/v2/public/config/rule-engine/f1?{query}"), headers, {"rule_column": {"lhs": "stage"}}]),
            json!(["POST", format!("/api/v2/public/config/field?{query}"), headers, {}]),
        ]
    );
}

#[tokio::test]
async fn documented_errors_have_their_codes() {
    let told = |code: &str, message: &str| json!({"status_code": 400, "http_error_type": "X", "error": code, "message": message});
    for (status, body, code) in [
        (
            404,
            told("SERVER_ERROR", "Linked Account with account id u for org o in environment test not found"),
            Code::LinkedAccountNotFound,
        ),
        (404, told("INVALID_APP_ID", "Application with app_type 'slack' not found for org o"), Code::ApplicationNotFound),
        (500, told("EXTERNAL_API_FAILURE", "Application with app_type 'slack' not found for org o"), Code::ApplicationNotFound),
        (404, told("SERVER_ERROR", "Config with config id c not found"), Code::ConfigNotFound),
        (401, told("INVALID_TOKEN", "Invalid token"), Code::InvalidToken),
        (401, told("SERVER_ERROR", "Invalid Credentials"), Code::InvalidApiKey),
        (400, told("SERVER_ERROR", "Failed to verify credentials: no"), Code::CredentialsRejected),
        (403, told("SERVER_ERROR", "not yours"), Code::Forbidden),
        (429, told("RATE_LIMITED", "slow down"), Code::RateLimited),
        (400, told("SERVER_ERROR", "Missing Slug"), Code::InvalidRequest),
        (404, json!({"message": "Cannot GET /x"}), Code::Unsupported),
        (500, told("SERVER_ERROR", "boom"), Code::ServerError),
    ] {
        let (smalt, _) = organisation(vec![("GET /api/v2/public/application/slack", status, body.clone())]);
        let error = smalt.account("u").app("slack").await.unwrap_err();
        assert_eq!(error.code(), code, "{body} {error:?}");
        assert_eq!((error.info().http_status, &*error.info().context["server"]), (Some(status), "hosted.test"));
    }
}

#[tokio::test]
async fn what_these_routes_lack_is_unsupported_by_name() {
    let (smalt, transport) = organisation(vec![]);
    let offered = {
        let _ = smalt.account("u").app("slack").await;
        smalt.capabilities().operations
    };
    let requests = transport.requests().len();
    let caller = Caller::Organisation("o".into());
    for operation in Operation::ALL.iter().filter(|operation| !offered.iter().any(|name| name == operation.row().name)) {
        let name = operation.row().name;
        let request = match *operation {
            Operation::SetProject => json!({"version": 1}),
            _ => request_of(*operation),
        };
        let error = call_json(&**smalt.backend(), &caller, *operation, request).await.unwrap_err();
        assert!(error.is(Code::Unsupported) && error.reason().contains(&format!("`{name}`")), "{name}: {error:?}");
        assert!(operation.embedded_only().is_some() || error.reason().contains("hosted.test"), "{name}: {error:?}");
    }
    // What an operation can and its routes cannot express.
    let account = smalt.account("u");
    let errors: Vec<Error> = vec![
        account
            .disconnect_with(Disconnect { application: "slack".into(), siblings: Some(SiblingPolicy::Kill), ..Disconnect::default() })
            .await
            .unwrap_err(),
        account.update_config("slack", ConfigUpdate { version: Some(1), ..ConfigUpdate::default() }).await.unwrap_err(),
        account.hand_off_connect("slack", StartConnect { scopes: Some(vec!["a".into()]), ..StartConnect::default() }).await.unwrap_err(),
        account
            .config_field(ConfigField {
                application: "slack".into(),
                field: "f".into(),
                search: Some("x".into()),
                ..ConfigField::default()
            })
            .await
            .unwrap_err(),
        account
            .import(ImportConnection { application: "slack".into(), expires_in: Some(1), ..ImportConnection::default() })
            .await
            .unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.is(Code::Unsupported) && error.reason().contains("hosted.test")), "{errors:?}");
    assert_eq!(transport.requests().len(), requests, "nothing was asked for in vain");
    // No segment of a path may lead elsewhere.
    for odd in ["", ".", ".."] {
        assert!(account.app(odd).await.unwrap_err().is(Code::InvalidRequest), "{odd}");
    }
    assert_eq!(transport.requests().len(), requests);
}

/// A request in the operation's form, with `x` wherever a text is needed.
fn request_of(operation: Operation) -> Json {
    let schema = schema();
    value_of(&schema["operations"][operation.row().name]["request"], &schema["$defs"])
}

fn value_of(form: &Json, defs: &Json) -> Json {
    if let Some(name) = form["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return value_of(&defs[name], defs);
    }
    if let Some(first) = form["enum"].as_array().and_then(|words| words.first()) {
        return first.clone();
    }
    if let Some(first) = form["oneOf"].as_array().or_else(|| form["anyOf"].as_array()).and_then(|forms| forms.first()) {
        return first.get("const").cloned().unwrap_or_else(|| value_of(first, defs));
    }
    match form["type"].as_str() {
        Some("object") => {
            let fields = form["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
            Json::Object(fields.map(|field| (field.to_owned(), value_of(&form["properties"][field], defs))).collect())
        }
        Some("array") => json!([]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        _ => json!("x"),
    }
}

/// The page is at the server, and the application tells when the user has connected.
#[tokio::test]
async fn a_connect_is_seen_in_the_application() {
    // Active already: only a newer connection counts.
    let states = Mutex::new(vec![
        slack(&[("oauth2", "active", 1)]),
        slack(&[("oauth2", "active", 1)]),
        slack(&[("oauth2", "active", 1)]),
        slack(&[("oauth2", "active", 9)]),
    ]);
    let transport = ScriptedTransport::answering(move |request| {
        let path = request.url.path();
        Ok(if path.ends_with("/smalt/v1/capabilities") {
            ScriptedTransport::json(404, &json!({"message": "nothing"}))
        } else if path.ends_with("/api/v1/slack/integrate") {
            assert_eq!(request.url.query(), Some("shop=my+shop"));
            ScriptedTransport::json(200, &json!({"auth_url": "https://provider.test/authorize?state=s"}))
        } else {
            let mut states = states.lock().unwrap();
            let state = if states.len() > 1 { states.remove(0) } else { states[0].clone() };
            ScriptedTransport::json(200, &state)
        })
    });
    let session = Session::remote(BASE).token("t0").poll(quick()).transport(transport).open().unwrap();
    let begun = session
        .hand_off_connect("slack", StartConnect { inputs: BTreeMap::from([("shop".into(), "my shop".into())]), ..StartConnect::default() })
        .await
        .unwrap();
    assert_eq!(begun.page.unwrap().expose(), "https://provider.test/authorize?state=s");
    let flow = session.flow(&begun.flow_id);
    assert_eq!(flow.status().await.unwrap().status, FlowStatus::Pending);
    assert_eq!(flow.wait(Some(Duration::ZERO)).await.unwrap().status, FlowStatus::Pending, "an old connection is none");
    let ended = flow.wait(None).await.unwrap();
    assert_eq!((ended.status, ended.connection_id.as_deref()), (FlowStatus::Connected, Some("slack:oauth2")));
    assert_eq!(flow.cancel().await.unwrap().status, FlowStatus::Connected);
    assert!(session.flow("unknown").status().await.unwrap_err().is(Code::FlowNotFound));
}

#[tokio::test]
async fn a_connect_that_nobody_ends_expires() {
    let transport = answering(vec![
        ("GET /api/v2/public/application/slack", 200, slack(&[])),
        ("GET /api/v2/public/linked-account/integration/oauth-url/slack", 200, json!({"auth_url": "https://provider.test/"})),
    ]);
    let account = |poll| Smalt::remote(BASE).api_key(KEY).poll(poll).transport(transport.clone()).open().unwrap().account("u");
    let patient = account(quick());
    let account = account(Poll { give_up: Duration::from_millis(60), ..quick() });
    let begun = account.hand_off_connect("slack", StartConnect::default()).await.unwrap();
    let ended = account.flow(&begun.flow_id).wait(None).await.unwrap();
    assert_eq!((ended.status, ended.error.unwrap().code.as_str()), (FlowStatus::Expired, "flow_expired"));
    let begun = patient.hand_off_connect("slack", StartConnect::default()).await.unwrap();
    assert_eq!(patient.flow(&begun.flow_id).cancel().await.unwrap().status, FlowStatus::Cancelled);
    let asked = sent(&transport).into_iter().find(|request| request[1].as_str().unwrap().contains("oauth-url")).unwrap();
    assert_eq!(asked[2]["linked_account_id"], "u");
}
