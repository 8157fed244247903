//! What the remote backend sends to the hosted service's routes, held against the service's published description (`contract/upstream.json`:
//! routes, parameters and bodies of its OpenAPI document, without its texts). Where that document is narrower than what the service's own
//! SDKs send, `contract/deviations.json` says so, one by one; a line there that no request needs any more fails.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use smalt::{
    Smalt,
    backend::{Caller, call_json},
    http::ScriptedTransport,
    model::Json,
    operations::{Operation, Scope},
    plugin::HttpRequest,
};

const BASE: &str = "https://hosted.test/backend";
const ACCOUNT: &str = "u@e.com";

fn upstream() -> Json {
    serde_json::from_str(include_str!("contract/upstream.json")).unwrap()
}

fn account() -> Json {
    json!({
        "_id": "65f0c0ffee0000000000aaaa", "associated_org": "o", "account_id": ACCOUNT, "name": "Acme", "environment": "test", "udf": [],
        "integrations": [], "createdAt": "2026-01-31T08:15:00.000Z", "updatedAt": "2026-02-01T00:00:00.000Z"
    })
}

fn slack() -> Json {
    let connected = |auth_type: &str| json!({"identifier": "NA", "auth_type": auth_type, "connectedAt": "2026-01-02T00:00:00.000Z", "status": "active"});
    json!({
        "app_id": "1", "name": "Slack", "description": "Chat", "icon": "https://cdn.test/s.png", "slug": "slack", "type": "slack", "tags": [],
        "auth_type": "oauth2", "auth_type_options": {"oauth2": [], "keybased": []}, "auth_input_map": [], "connected": true,
        "reauth_required": false, "connected_accounts": [connected("oauth2"), connected("keybased")]
    })
}

/// What the service would answer; the requests are looked at, not this.
fn answer(request: &HttpRequest) -> Json {
    let path = request.url.path().strip_prefix("/backend").unwrap();
    let column = json!({"name": "Value", "type": "text", "options": []});
    match path {
        path if path.ends_with("/application") => json!([slack()]),
        path if path.contains("/application/") => slack(),
        path if path.ends_with("/session-token") => json!({"token": "t1"}),
        path if path.ends_with("/session-token/revoke") => json!({"success": true, "revoked_count": 1}),
        path if path.contains("/oauth-url/") || path.ends_with("/integrate") => json!({"auth_url": "https://provider.test/"}),
        path if path.contains("/save") || path.ends_with("/migrate-token") => json!({"success": true}),
        path if path.ends_with("/configs") => json!([{"config_id": ACCOUNT}]),
        path if path.contains("/rule-engine/") => json!({"rule_column": {"rhs": column, "operator": column}}),
        path if path.contains("/config/field/") => json!({"id": "f1", "name": "F", "field_type": "text", "required": false, "value": 1}),
        path if path.contains("/config") => {
            json!({"slug": "slack", "config_id": ACCOUNT, "fields": [], "workflows": [], "field_errors": []})
        }
        "/api/v2/public/linked-account" if request.method == "GET" => {
            json!({"docs": [account()], "totalDocs": 3, "limit": 1, "totalPages": 3, "page": 1})
        }
        _ => account(),
    }
}

/// Every operation that these routes can express, with whatever options they can express.
fn requests() -> Vec<(Operation, Json)> {
    use Operation as O;
    let of = |more: Json| {
        let mut request = json!({"account": ACCOUNT, "application": "slack"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let update = json!({"fields": {"f1": "C2", "f2": null}, "workflows": {"w1": {"enabled": true, "fields": {"h": 9}}, "w2": false}});
    let by_object = json!({"Deal": [{"name": "A", "value": "a", "multiple": false}]});
    vec![
        (O::CreateAccount, json!({"id": ACCOUNT, "update": {"name": "Acme", "properties": {"plan": "gold"}}})),
        (O::CreateAccount, json!({"id": ACCOUNT, "update": {}})),
        (O::UpsertAccount, json!({"id": ACCOUNT, "update": {"name": "Acme", "properties": {"plan": "gold"}}})),
        (O::Account, json!({"account": ACCOUNT})),
        (O::ListAccounts, json!({"limit": 1})),
        (O::ListAccounts, json!({"limit": 1, "cursor": "page:2/1", "search": "a&b"})),
        (O::CountAccounts, json!({"search": "a"})),
        (O::CreateSession, json!({"account": ACCOUNT})),
        (O::CreateSession, json!({"account": ACCOUNT, "force": true})),
        (O::VerifySession, json!({"token": "t0"})),
        (O::RevokeSession, json!({"token": "t0"})),
        (O::ListApps, json!({"account": ACCOUNT})),
        (O::App, of(json!({}))),
        (O::HandOffConnect, of(json!({}))),
        (O::HandOffConnect, of(json!({"inputs": {"shop": "my shop"}}))),
        (O::ConnectKey, of(json!({"inputs": {"token": "xoxb"}}))),
        (O::ImportConnection, of(json!({"auth_type": "oauth2", "values": {"access_token": "a", "refresh_token": "r"}}))),
        (O::ImportConnection, of(json!({"values": {"access_token": "a"}}))),
        (O::ListConnections, json!({"account": ACCOUNT})),
        (O::ListConnections, of(json!({}))),
        (O::Connection, json!({"account": ACCOUNT, "connection": "slack:oauth2"})),
        (O::Disconnect, of(json!({}))),
        (O::Disconnect, of(json!({"connection": "slack:keybased"}))),
        (O::Config, of(json!({}))),
        (O::Config, of(json!({"config_id": "c", "labels": by_object, "seed": update, "without_options": true}))),
        (O::Config, of(json!({"labels": [{"name": "A", "value": "a", "multiple": false}]}))),
        (O::GetConfig, of(json!({}))),
        (O::GetConfig, of(json!({"config_id": "my id", "without_options": true}))),
        (O::GetConfig, of(json!({"or_empty": true, "config_id": "c"}))),
        (O::UpdateConfig, of(json!({"update": update}))),
        (O::UpdateConfig, of(json!({"config_id": "c", "update": {}, "without_options": true}))),
        (O::DeleteConfig, of(json!({}))),
        (O::DeleteConfig, of(json!({"config_id": "my id"}))),
        (O::ListConfigs, of(json!({}))),
        (O::ConfigField, of(json!({"field": "f1"}))),
        (O::ConfigField, of(json!({"field": "f1", "workflow": "w1", "config_id": "c", "parent_value": [1]}))),
        (O::SetConfigField, of(json!({"field": "f1", "config_id": "c", "value": false}))),
        (O::SetConfigField, of(json!({"field": "f1", "workflow": "w1"}))),
        (O::RuleColumns, of(json!({"field": "f1", "lhs": "stage", "workflow": "w1"}))),
        (O::DeleteAccount, json!({"account": ACCOUNT})),
    ]
}

/// Whether a value has the form, as OpenAPI 3.0 has it; what is wrong goes into the list.
fn check(value: &Json, form: &Json, at: &str, wrong: &mut Vec<String>) {
    if value.is_null() && form["nullable"] == true {
        return;
    }
    for all in form["allOf"].as_array().into_iter().flatten() {
        check(value, all, at, wrong);
    }
    for name in ["oneOf", "anyOf"] {
        if let Some(forms) = form[name].as_array() {
            let fits = forms.iter().filter(|form| {
                let mut wrong = Vec::new();
                check(value, form, at, &mut wrong);
                wrong.is_empty()
            });
            let fits = fits.count();
            if fits == 0 || name == "oneOf" && fits > 1 {
                wrong.push(format!("{at} fits {fits} forms"));
            }
        }
    }
    let fits = match form["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("a type that nobody reads here: {other}"),
    };
    if !fits {
        wrong.push(format!("{at} is no {}", form["type"].as_str().unwrap()));
        return;
    }
    if form["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        wrong.push(format!("{at} is none of the words"));
    }
    for item in value.as_array().into_iter().flatten() {
        check(item, &form["items"], &format!("{at}[]"), wrong);
    }
    let Some(fields) = value.as_object() else { return };
    for name in form["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if !fields.contains_key(name) {
            wrong.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        match (form["properties"].get(name), &form["additionalProperties"]) {
            (Some(form), _) => check(value, form, &at, wrong),
            (None, Json::Bool(true)) => {}
            (None, Json::Object(_)) => check(value, &form["additionalProperties"], &at, wrong),
            // A form that names its fields means these.
            (None, _) if form["properties"].is_object() => wrong.push(format!("{at} is not described")),
            (None, _) => {}
        }
    }
}

/// A text of a header or a query, as its form reads it.
fn read(text: &str, form: &Json) -> Json {
    match form["type"].as_str() {
        Some("integer" | "number" | "boolean") => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

/// The described path that this one is an instance of; one that is written out goes before one with a place.
fn described<'d>(document: &'d Json, path: &str) -> Option<(&'d str, &'d Json)> {
    let fits = |pattern: &str| {
        let (mine, other): (Vec<_>, Vec<_>) = (path.split('/').collect(), pattern.split('/').collect());
        mine.len() == other.len()
            && mine.iter().zip(other).all(|(mine, other)| other.starts_with('{') && !mine.is_empty() || *mine == other)
    };
    let found = document["paths"].as_object().unwrap().iter().filter(|(pattern, _)| fits(pattern));
    found.min_by_key(|(pattern, _)| pattern.matches('{').count()).map(|(pattern, methods)| (pattern.as_str(), methods))
}

/// What of a request is not as the document describes it: where, and what.
fn judge(document: &Json, request: &HttpRequest) -> (String, Vec<String>) {
    let path = request.url.path().strip_prefix("/backend").unwrap();
    let headers: BTreeMap<String, &str> = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
    let by_key = headers.contains_key("x-api-key");
    assert!(by_key != headers.contains_key("authorization"), "one credential, and always one");
    let Some((pattern, methods)) = described(document, path) else {
        let path = path.replace("/slack", "/{slug}").replace("/my%20id", "/{config}");
        return (format!("{} {path}", request.method), vec!["the route is not described".into()]);
    };
    let mut wrong = Vec::new();
    let place = format!("{} {pattern}", request.method);
    let Some(item) = methods.get(request.method.to_ascii_lowercase()) else {
        return (place, vec!["the method is not described".into()]);
    };
    let schemes = &document["components"]["securitySchemes"];
    let may = item["security"].as_array().unwrap().iter().flat_map(|one| one.as_object().unwrap().keys()).any(|name| {
        let scheme = &schemes[name];
        let is_key = scheme["type"] == "apiKey" && scheme["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("x-api-key"));
        is_key == by_key
    });
    if !may {
        wrong.push(format!("{} is not described as enough", if by_key { "an API key" } else { "a session" }));
    }
    let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
    let parameters = item["parameters"].as_array().unwrap();
    let parameter = |place: &str, name: &str| {
        parameters.iter().find(|one| one["in"] == place && one["name"].as_str().unwrap().eq_ignore_ascii_case(name))
    };
    for (name, value) in &query {
        match parameter("query", name) {
            Some(one) => check(&read(value, &one["schema"]), &one["schema"], &format!("query `{name}`"), &mut wrong),
            None => wrong.push(format!("query `{name}` is not described")),
        }
    }
    // Those that every client sends, and those of HTTP itself.
    let usual = ["x-api-key", "authorization", "accept", "user-agent", "x-request-id", "content-type", "accept-encoding"];
    for (name, value) in headers.iter().filter(|(name, _)| !usual.contains(&name.as_str())) {
        match parameter("header", name) {
            Some(one) => check(&read(value, &one["schema"]), &one["schema"], &format!("header `{name}`"), &mut wrong),
            None => wrong.push(format!("header `{name}` is not described")),
        }
    }
    for one in parameters.iter().filter(|one| one["required"] == true) {
        let name = one["name"].as_str().unwrap();
        let is_there = match one["in"].as_str().unwrap() {
            "query" => query.iter().any(|(n, _)| n == name),
            "header" => headers.contains_key(&name.to_ascii_lowercase()),
            _ => true,
        };
        if !is_there {
            wrong.push(format!("{} `{name}` is missing", one["in"].as_str().unwrap()));
        }
    }
    match (&item["requestBody"], request.body.0.is_empty()) {
        (Json::Null, false) => wrong.push("a body is not described".into()),
        (described, true) if described["required"] == true => wrong.push("the body is missing".into()),
        (_, true) => {}
        (described, false) => {
            let body: Json = serde_json::from_slice(&request.body.0).unwrap();
            check(&body, &described["content"]["application/json"]["schema"], "body", &mut wrong);
        }
    }
    (place, wrong)
}

#[tokio::test]
async fn requests_are_as_the_published_description_has_them() {
    let transport = ScriptedTransport::answering(|request| Ok(ScriptedTransport::json(200, &answer(request))));
    let smalt = Smalt::remote(BASE).api_key("tk-1").compatible_routes().transport(transport.clone()).open().unwrap();
    let callers = [Caller::Organisation("organisation".into()), Caller::Session("t0".into())];
    let mut called = BTreeSet::new();
    for caller in &callers {
        let is_session = matches!(caller, Caller::Session(_));
        for (operation, request) in requests() {
            if is_session && operation.row().scope == Scope::Organisation {
                continue;
            }
            let before = transport.requests().len();
            let done = call_json(&**smalt.backend(), caller, operation, request.clone()).await;
            let sent = transport.requests().len() - before;
            assert!(done.is_ok() && sent > 0, "{operation:?} {request} {is_session}: {sent} requests, {done:?}");
            called.insert(operation.row().name.to_owned());
        }
    }
    let offered: BTreeSet<String> = smalt.capabilities().operations.into_iter().collect();
    // They ask for the application, as others do, or for nothing at all.
    let flows = ["get_flow", "wait_flow", "cancel_flow"].map(str::to_owned);
    let wanted: BTreeSet<String> = offered.into_iter().filter(|name| !flows.contains(name)).collect();
    assert_eq!(called, wanted, "left: what is called here; right: what is offered");

    let document = upstream();
    let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut checked = 0;
    for request in transport.requests() {
        checked += 1;
        let (place, wrong) = judge(&document, &request);
        for what in wrong {
            *found.entry((place.clone(), what)).or_default() += 1;
        }
    }
    assert!(checked > 80, "{checked}");
    let written: Vec<BTreeMap<String, String>> = serde_json::from_str(include_str!("contract/deviations.json")).unwrap();
    let known: BTreeSet<(String, String)> = written.iter().map(|one| (one["request"].clone(), one["what"].clone())).collect();
    assert!(written.iter().all(|one| one["why"].len() > 20) && known.len() == written.len(), "each with a reason, each once");
    let found: BTreeSet<(String, String)> = found.into_keys().collect();
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(new.is_empty(), "not as described, and nobody said why:\n{}", serde_json::to_string_pretty(&new).unwrap());
    assert!(gone.is_empty(), "no request needs these any more: {gone:#?}");
}

/// What is compared can be told apart: each of these changes to a good request is noticed.
#[test]
fn a_request_that_is_not_as_described_is_noticed() {
    let document = upstream();
    let request = |method: &str, target: &str, headers: &[(&str, &str)], body: Json| {
        let mut request = HttpRequest::new(method, format!("{BASE}{target}").parse().unwrap());
        for (name, value) in headers {
            request.set_header(name, value).unwrap();
        }
        if !body.is_null() {
            request.set_body("application/json", body.to_string().into_bytes());
        }
        judge(&document, &request).1
    };
    let key = ("x-api-key", "k");
    let rule = "/api/v2/public/config/rule-engine/f1";
    let good = json!({"rule_column": {"lhs": "a"}});
    assert!(request("POST", rule, &[key, ("slug", "slack")], good.clone()).is_empty());
    for (method, target, headers, body) in [
        ("PATCH", rule, vec![key, ("slug", "slack")], good.clone()),
        ("POST", "/api/v2/public/nothing", vec![key], Json::Null),
        ("POST", "/api/v2/public/config/rule-engine/", vec![key, ("slug", "slack")], good.clone()),
        ("POST", rule, vec![key], good.clone()),
        ("POST", rule, vec![key, ("slug", "slack"), ("x-other", "1")], good.clone()),
        ("POST", &format!("{rule}?other=1"), vec![key, ("slug", "slack")], good.clone()),
        ("POST", rule, vec![key, ("slug", "slack")], Json::Null),
        ("POST", rule, vec![key, ("slug", "slack")], json!({})),
        ("POST", rule, vec![key, ("slug", "slack")], json!({"rule_column": []})),
        ("POST", rule, vec![key, ("slug", "slack")], json!({"rule_column": {}, "other": 1})),
        ("GET", "/api/v2/public/linked-account?page=x", vec![key], Json::Null),
        ("GET", "/api/v2/public/linked-account", vec![("authorization", "Bearer t")], Json::Null),
        ("GET", "/api/v2/public/session/active-linked-account", vec![key], Json::Null),
        ("POST", "/api/v2/public/session-token/revoke", vec![("authorization", "Bearer t")], json!({"a": 1})),
    ] {
        assert!(!request(method, target, &headers, body.clone()).is_empty(), "{method} {target} {headers:?} {body}");
    }
}
