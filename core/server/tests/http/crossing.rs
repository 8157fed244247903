//! S-35 over HTTP, for what lies under `/smalt/v1`: every operation that the OpenAPI document describes, with another account's or another
//! environment's id in each place of its request, and the streams, whose ids stand in paths and headers. The routes of the hosted service's
//! clients are in `tenants.rs`; every set of places at once, and other organisations, in `tests/security/tenants`.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::json;
use smalt::{
    backend::{GetPortalUrl, StartConnect},
    model::Json,
};
use smalt_server::{Access, ApiOptions};

use crate::{
    endpoints::{document, endpoints, operations},
    matrix::{empty, value},
    nodes::size,
    tenants::{Victim, alike},
    world::World,
};

/// Someone with an id of every kind, who is a victim in one round and an attacker in another.
struct Person {
    is: Victim,
    app: &'static str,
    is_live: bool,
    /// By the kind of id; what the environment cannot have is missing.
    ids: BTreeMap<&'static str, String>,
}

impl Person {
    async fn new(world: &World, account: &str, app: &'static str) -> Person {
        let is_live = app == "twilio";
        let smalt = if is_live { &world.production } else { &world.test };
        let is = Victim::new(smalt, account, app).await;
        let handle = smalt.account(account);
        let mut ids: BTreeMap<&str, String> = [
            ("account", is.account.clone()),
            ("new_account", is.account.clone()),
            ("config_id", is.config.clone()),
            ("webhook", is.webhook.clone()),
            ("token", handle.session().await.unwrap().token().expose().to_owned()),
        ]
        .into();
        ids.insert("receipt", handle.disconnect(app).await.unwrap().id);
        // The disconnect took config and connection away: the victim has them anew, the config under the same name.
        let is = Victim::new(smalt, account, app).await;
        ids.insert("webhook", is.webhook.clone());
        ids.insert("connection", handle.connections(None).await.unwrap()[0].id.clone());
        let key = smalt.create_api_key(is.canary.clone()).await.unwrap();
        ids.insert("api_key", key.info.id);
        ids.insert("key", key.key.expose().to_owned());
        if !is_live {
            ids.insert("execution", is.execution.clone());
            ids.insert("flow", handle.start_connect("sandbox-oauth", StartConnect::default()).await.unwrap().flow_id);
            let ticket = handle.hand_off_connect("sandbox-oauth", StartConnect::default()).await.unwrap().ticket;
            ids.insert("handoff", ticket.expose().to_owned());
        }
        let link = handle.portal_url(GetPortalUrl::default()).await.unwrap();
        ids.insert("portal", link.url.expose().rsplit('/').next().unwrap().to_owned());
        Person { is, app, is_live, ids }
    }

    /// Everything that it has, and that its credentials are still good.
    async fn stands(&self) -> String {
        let smalt = &self.is.smalt;
        let account = smalt.account(&self.is.account);
        let flow = match self.ids.get("flow") {
            Some(flow) => format!("{:?}", account.flow(flow).status().await),
            None => String::new(),
        };
        let handoff = match self.ids.get("handoff") {
            Some(ticket) => smalt.handoff(&**ticket).await.is_ok(),
            None => true,
        };
        let (session, keys) = (smalt.verify_session(&*self.ids["token"]).await.is_ok(), smalt.api_keys().await.unwrap());
        let mine = keys.iter().find(|key| key.id == self.ids["api_key"]).map(|key| key.name.clone());
        format!(
            "{} {flow} {handoff} {session} {mine:?} {:?}",
            self.is.stands(self.app).await,
            account.receipt(&*self.ids["receipt"]).await.unwrap()
        )
    }
}

/// The kind of id that a field holds; `None`: the field names nothing that belongs to anybody.
fn kind(operation: &str, field: &str) -> Option<&'static str> {
    Some(match field {
        "id" if operation == "revoke_api_key" => "api_key",
        "id" => "new_account",
        "ticket" if operation == "open_portal" => "portal",
        "ticket" => "handoff",
        "account" => "account",
        "connection" => "connection",
        "flow" => "flow",
        "receipt" => "receipt",
        "config_id" => "config_id",
        "webhook" => "webhook",
        "execution" => "execution",
        "token" => "token",
        "key" => "key",
        _ => return None,
    })
}

/// Kinds that belong to a whole environment, or prove something by themselves: foreign in another environment only.
const OF_ENVIRONMENT: [&str; 7] = ["new_account", "webhook", "api_key", "key", "token", "portal", "handoff"];

/// What nobody has.
fn nobodys(kind: &str, of: &str) -> String {
    match kind {
        "account" | "new_account" => "only-nobody".to_owned(),
        "config_id" => "config-of-nobody".to_owned(),
        // Of the same form, and of the same environment.
        "key" => format!("{}00000000-0000-4000-8000-000000000000", &of[..2]),
        "token" => format!("{}x.{}", of.split('.').next().unwrap(), of.split('.').skip(1).collect::<Vec<_>>().join(".")),
        "portal" | "handoff" => "0".repeat(of.len()),
        _ => "0123456789abcdef01234567".to_owned(),
    }
}

/// What is told of an id must be told of nobody's, too.
struct Told {
    what: String,
    foreign: (u16, String, String),
    unknown: (u16, String),
}

impl Told {
    fn deviations(&self, victim: &Person) -> Vec<String> {
        let (status, text, raw) = &self.foreign;
        let mut found = Vec::new();
        if (*status, text) != (self.unknown.0, &self.unknown.1) {
            found.push(format!("{}: foreign {status} {text}, unknown {} {}", self.what, self.unknown.0, self.unknown.1));
        }
        if raw.contains(&victim.is.canary) {
            found.push(format!("{} shows {raw}", self.what));
        }
        if *status >= 500 {
            found.push(format!("{}: a fault: {raw}", self.what));
        }
        found
    }
}

async fn people(world: &World) -> [Person; 4] {
    [
        Person::new(world, "ada", "sandbox-key").await,
        Person::new(world, "bob", "sandbox-key").await,
        Person::new(world, "cleo", "twilio").await,
        Person::new(world, "dan", "twilio").await,
    ]
}

async fn world() -> World {
    World::with(ApiOptions::default(), |project| {
        let settings = project.apps["sandbox-key"].clone();
        project.apps.insert("twilio".into(), settings);
        project.server.stream_time = 0.1;
    })
    .await
}

/// Whether the pair is met in this run: all at full size; else each attacker meets one of each environment.
fn is_met(from: usize, at: usize) -> bool {
    from != at && (size(0, 1) == 1 || from / 2 == at / 2 || from % 2 == at % 2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s35_no_operation_over_http_crosses_accounts_or_environments() {
    let world = world().await;
    let people = people(&world).await;
    let described = operations(&document(&world).await);
    let (mut deviations, mut calls, mut places) = (Vec::new(), 0, BTreeSet::new());
    for (from, attacker) in people.iter().enumerate() {
        let key = if attacker.is_live { &world.production_key } else { &world.key };
        let bearer = format!("Bearer {}", attacker.ids["token"]);
        for victim in people.iter().enumerate().filter(|(at, _)| is_met(from, *at)).map(|(_, victim)| victim) {
            let is_same = attacker.is_live == victim.is_live;
            for (name, (form, may_session)) in &described {
                let properties: Vec<(&String, &Json)> = form["properties"].as_object().into_iter().flatten().collect();
                let required: Vec<&str> = form["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
                for (place, kind) in properties.iter().filter_map(|(field, _)| kind(name, field).map(|kind| (field.as_str(), kind))) {
                    let Some(foreign) = victim.ids.get(kind) else { continue };
                    for (header, value_of) in [("authorization", &bearer), ("x-api-key", key)] {
                        let is_session = header == "authorization";
                        // What the account's own organisation names is no foreign id to its key.
                        let is_own = is_same && (OF_ENVIRONMENT.contains(&kind) || kind == "account" && !is_session);
                        if is_own || is_session && !may_session {
                            continue;
                        }
                        let before = victim.stands().await;
                        let nobody = nobodys(kind, foreign);
                        let mut said = Vec::new();
                        for id in [foreign, &nobody] {
                            let mut body = serde_json::Map::new();
                            for (field, property) in &properties {
                                let own = match self::kind(name, field) {
                                    // What its environment cannot have, it names as nobody's.
                                    Some(kind) if required.contains(&field.as_str()) => {
                                        Some(attacker.ids.get(kind).map_or("0123456789abcdef01234567", String::as_str).into())
                                    }
                                    Some(_) => None,
                                    // A key application has no such connects, and would be refused for that.
                                    None if field.as_str() == "application" => Some(
                                        if name.ends_with("_connect") && !attacker.is_live { "sandbox-oauth" } else { attacker.app }.into(),
                                    ),
                                    None if field.as_str() == "inputs" && name == "connect_key" && !attacker.is_live => {
                                        value(field, "", "")
                                    }
                                    None if required.contains(&field.as_str()) => {
                                        value(field, &attacker.is.account, &attacker.ids["token"]).or_else(|| empty(property))
                                    }
                                    None => None,
                                };
                                if let Some(own) = own {
                                    body.insert((*field).clone(), own);
                                }
                            }
                            body.insert(place.to_owned(), id.as_str().into());
                            calls += 1;
                            let answer = world.call("POST", &format!("/smalt/v1/{name}"), &[(header, value_of)], Json::Object(body)).await;
                            said.push((answer.status, alike(&answer.text, &[id]), answer.text));
                        }
                        let [foreign, unknown]: [_; 2] = said.try_into().unwrap();
                        let what = format!("{name} [{place}, {header}] by {} of {}", attacker.is.account, victim.is.account);
                        let told = Told { what, foreign, unknown: (unknown.0, unknown.1) };
                        deviations.extend(told.deviations(victim));
                        if is_session && kind == "account" && told.foreign.0 != 403 {
                            deviations.push(format!("{}: {} and not 403", told.what, told.foreign.0));
                        }
                        // A key may make what it names; nobody's must be nobody's for the next one, too.
                        for made in [victim.is.account.as_str(), "only-nobody"].into_iter().filter(|_| kind == "new_account") {
                            let _ = attacker.is.smalt.delete_account(made).await;
                        }
                        for made in [victim.is.config.as_str(), "config-of-nobody"].into_iter().filter(|_| kind == "config_id") {
                            let _ = attacker.is.smalt.account(&attacker.is.account).delete_config(attacker.app, Some(made)).await;
                        }
                        if victim.stands().await != before {
                            deviations.push(format!("{} changes the victim", told.what));
                        }
                        places.insert((name.clone(), place.to_owned()));
                    }
                }
            }
        }
    }
    // Every place that holds an id was tried, but for those that the row is not about (see `docs/reliability.md`).
    for (name, (form, _)) in &described {
        for field in form["properties"].as_object().into_iter().flatten().map(|(field, _)| field) {
            let is_tried = places.contains(&(name.clone(), field.clone()));
            assert!(kind(name, field).is_none() || is_tried, "{name}: `{field}` was not tried");
        }
    }
    assert!(deviations.is_empty(), "{} deviations:\n{}", deviations.len(), deviations.join("\n"));
    assert!(calls >= 500, "{calls} calls");
}

/// What a stream's route takes, with these ids in its places.
fn streams(path: &str, attacker: &Person, account: &str, connection: &str, flow: &str) -> Vec<(String, Vec<(&'static str, String)>)> {
    let named = |account: &str| vec![("linked_account_id", account.to_owned())];
    let own = &attacker.is.account;
    match path {
        "/smalt/v1/events/stream" => {
            vec![(path.to_owned(), named(account)), (format!("{path}?linked_account_id={account}"), Vec::new())]
        }
        "/smalt/v1/flows/{flow}/stream" => {
            vec![(path.replace("{flow}", flow), named(own))]
        }
        "/smalt/v1/request/stream" => {
            let head = |account: &str, connection: Option<&str>| {
                let call =
                    json!({"account": account, "application": attacker.app, "connection": connection, "method": "GET", "path": "echo"});
                vec![("smalt-request", Base64UrlUnpadded::encode_string(call.to_string().as_bytes()))]
            };
            vec![(path.to_owned(), head(account, None)), (path.to_owned(), head(own, Some(connection)))]
        }
        path => panic!("{path}: say here where ids stand in it"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s35_no_stream_crosses_accounts_or_environments() {
    let world = world().await;
    let people = people(&world).await;
    let document = document(&world).await;
    let rows = endpoints(&document);
    let rows: Vec<_> = rows.iter().filter(|row| row.path.starts_with("/smalt/v1/") && row.access != Access::Public).collect();
    assert!(rows.len() >= 3, "{rows:?}");
    let (mut deviations, mut calls) = (Vec::new(), 0);
    for (from, attacker) in people.iter().enumerate() {
        let key = if attacker.is_live { &world.production_key } else { &world.key };
        let bearer = format!("Bearer {}", attacker.ids["token"]);
        for victim in people.iter().enumerate().filter(|(at, _)| is_met(from, *at)).map(|(_, victim)| victim) {
            let is_same = attacker.is_live == victim.is_live;
            for row in &rows {
                let flow = victim.ids.get("flow").map_or("0123456789abcdef01234567", String::as_str);
                let theirs = streams(row.path, attacker, &victim.is.account, &victim.ids["connection"], flow);
                let nobodys = streams(row.path, attacker, "only-nobody", "0123456789abcdef01234567", "76543210fedcba9876543210");
                for (header, value) in [("authorization", &bearer), ("x-api-key", key)] {
                    let is_session = header == "authorization";
                    for (at, (theirs, nobodys)) in theirs.iter().zip(&nobodys).enumerate() {
                        // The organisation's own account is named, which is no foreign one to its key.
                        let names_account = row.path.contains("/events/") || row.path.contains("/request/") && at == 0;
                        if is_same && !is_session && names_account {
                            continue;
                        }
                        let before = victim.stands().await;
                        let mut said = Vec::new();
                        for (path, more) in [theirs, nobodys] {
                            let headers: Vec<(&str, &str)> =
                                more.iter().map(|(name, value)| (*name, value.as_str())).chain([(header, value.as_str())]).collect();
                            calls += 1;
                            let answer = world.send(row.method, path, &headers, b"").await;
                            let asked = [victim.is.account.as_str(), "only-nobody", flow, &victim.ids["connection"]];
                            said.push((answer.status, alike(&answer.text, &asked), answer.text));
                        }
                        let [foreign, unknown]: [_; 2] = said.try_into().unwrap();
                        let what = format!("{} {} [{header}] by {} of {}", row.method, theirs.0, attacker.is.account, victim.is.account);
                        if !matches!(foreign.0, 403 | 404) {
                            deviations.push(format!("{what}: {} {}", foreign.0, foreign.2));
                        }
                        deviations.extend(Told { what: what.clone(), foreign, unknown: (unknown.0, unknown.1) }.deviations(victim));
                        if victim.stands().await != before {
                            deviations.push(format!("{what} changes the victim"));
                        }
                    }
                }
            }
        }
    }
    assert!(deviations.is_empty(), "{} deviations:\n{}", deviations.len(), deviations.join("\n"));
    assert!(calls >= 60, "{calls} calls");
}
