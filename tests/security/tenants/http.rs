//! S-35 over HTTP: every route of `/smalt/v1` that asks who calls, with another's id in every place where one may stand: body, path, query,
//! header, and the request that stands in one. Routes, operations and fields are those of the OpenAPI document.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::body::Body;
use base64ct::{Base64UrlUnpadded, Encoding};
use http::Request;
use http_body_util::BodyExt;
use serde_json::json;
use smalt::{
    backend::Caller,
    model::{Json, JsonMap},
    operations::Operation,
    project::RateSettings,
};
use smalt_server::{Api, ApiOptions};
use smalt_tests::size;

use super::{
    SHARED, Seeded, Tenant, Tenants,
    matrix::{Pair, Refused, alike, fields, nobodys, own},
    project,
};

/// The servers of the organisations: each has both environments, on the one store.
pub struct Served {
    apis: BTreeMap<&'static str, Api>,
    /// An API key of each tenant.
    keys: BTreeMap<String, String>,
}

/// What was answered, headers included.
struct Said {
    status: u16,
    text: String,
}

impl Said {
    /// The same as an operation's end.
    fn end(self) -> Result<String, Refused> {
        if self.status == 200 {
            return Ok(self.text);
        }
        let (head, body) = self.text.split_once("\n\n").unwrap();
        let mut body: Json = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {}", self.text));
        // It is new with each request.
        body.as_object_mut().unwrap().remove("request_id");
        let code = body["code"].as_str().unwrap().to_owned();
        Err(Refused { code, said: format!("{} {head} {body}", self.status), status: Some(self.status) })
    }
}

impl Served {
    async fn new(world: &Tenants) -> Served {
        let (mut engines, mut keys) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for tenant in &world.all {
            let mut project = project(tenant.org);
            // It is called as fast as it goes.
            project.server.rates = RateSettings::off();
            tenant.smalt.set_project(project).await.unwrap();
            engines.entry(tenant.org).or_default().push((tenant.environment, tenant.smalt.clone()));
            keys.insert(tenant.name(), tenant.smalt.create_api_key("backend").await.unwrap().key.expose().to_owned());
        }
        let apis = engines.into_iter().map(|(org, engines)| (org, Api::new(engines, ApiOptions::default())));
        Served { apis: apis.collect(), keys }
    }

    /// The OpenAPI document, as anybody gets it.
    async fn document(&self) -> Json {
        let (api, headers) = (self.apis.values().next().unwrap(), BTreeMap::new());
        let said = self.send(api, "GET", "/smalt/v1/openapi.json", &headers, &Json::Null).await;
        serde_json::from_str(said.text.split_once("\n\n").unwrap().1).unwrap()
    }

    fn credential(&self, tenant: &Tenant, caller: &Caller) -> (String, String) {
        match caller {
            Caller::Session(token) => ("authorization".to_owned(), format!("Bearer {}", token.expose())),
            Caller::Organisation(_) => ("x-api-key".to_owned(), self.keys[&tenant.name()].clone()),
            _ => panic!("no caller of this test"),
        }
    }

    async fn send(&self, api: &Api, method: &str, target: &str, headers: &BTreeMap<String, String>, body: &Json) -> Said {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = api.answer(request.header("content-type", "application/json").body(Body::from(body)).unwrap()).await;
        let (head, body) = response.into_parts();
        let is_events = head.headers.get("content-type").is_some_and(|form| form.as_bytes().starts_with(b"text/event-stream"));
        let body = if is_events { begun(body).await } else { body.collect().await.unwrap().to_bytes().to_vec() };
        let mut text = String::new();
        for (name, value) in head.headers.iter().filter(|(name, _)| !["x-request-id", "content-length"].contains(&name.as_str())) {
            let value = value.to_str().unwrap();
            // What stands packed in a header is looked at, too.
            let packed = Base64UrlUnpadded::decode_vec(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
            text += &format!("{name}: {value} {packed}\n");
        }
        Said { status: head.status.as_u16(), text: format!("{text}\n{}", String::from_utf8(body).unwrap()) }
    }

    /// An operation's route, at the server of the caller's organisation.
    pub async fn operate(&self, tenant: &Tenant, caller: &Caller, operation: Operation, request: JsonMap) -> Result<String, Refused> {
        self.operate_at(tenant.org, tenant, caller, operation, request).await
    }

    async fn operate_at(
        &self,
        org: &str,
        tenant: &Tenant,
        caller: &Caller,
        operation: Operation,
        request: JsonMap,
    ) -> Result<String, Refused> {
        let headers = BTreeMap::from([self.credential(tenant, caller)]);
        let path = format!("/smalt/v1/{}", operation.row().name);
        self.send(&self.apis[org], "POST", &path, &headers, &Json::Object(request)).await.end()
    }
}

/// What a stream that does not end has to say at first.
async fn begun(mut body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_millis(20), body.frame()).await {
        bytes.extend_from_slice(frame.unwrap().data_ref().unwrap());
    }
    bytes
}

/// Operations of the document, in the form of core's schema.
fn operations(document: &Json) -> (Json, Vec<Operation>) {
    let (mut forms, mut all) = (JsonMap::new(), Vec::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        let item = &methods["post"];
        let Some(name) = item["operationId"].as_str() else { continue };
        assert_eq!(*path, format!("/smalt/v1/{name}"));
        all.push(Operation::named(name).unwrap());
        forms.insert(name.to_owned(), json!({"request": item["requestBody"]["content"]["application/json"]["schema"]}));
    }
    (json!({"operations": forms, "$defs": document["components"]["schemas"]}), all)
}

/// Where an id stands in a route that is no operation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Path,
    Header(&'static str),
    Query(&'static str),
    Body(&'static str),
    /// In the JSON that a header holds, as base64url.
    Packed(&'static str),
}

/// A route that is no operation's, and the places in it with the kind of id that each holds.
struct Other {
    method: String,
    path: String,
    places: Vec<(Place, &'static str)>,
}

/// Routes of `/smalt/v1` in the document that ask who calls, without the operations'.
fn others(document: &Json) -> Vec<Other> {
    // Whom a call is about may be said in any of these, whether or not the route asks for it.
    let account = [
        (Place::Header("linked_account_id"), "account"),
        (Place::Header("linked-account-id"), "account"),
        (Place::Query("linked_account_id"), "account"),
        (Place::Body("linked_account_id"), "account"),
        (Place::Body("account_id"), "account"),
    ];
    let since = [(Place::Header("last-event-id"), "since"), (Place::Query("since"), "since")];
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/smalt/v1/")) {
        for (method, item) in methods.as_object().unwrap() {
            if item["operationId"].is_string() || item["security"].as_array().unwrap().is_empty() {
                continue;
            }
            let mut places = account.to_vec();
            let known: BTreeSet<&str> = match path.as_str() {
                "/smalt/v1/events/stream" => {
                    places.extend(since);
                    ["last-event-id"].into()
                }
                "/smalt/v1/flows/{flow}/stream" => {
                    places.push((Place::Path, "flow"));
                    // What it is told there is a state's name, and no id.
                    ["flow", "linked_account_id", "last-event-id"].into()
                }
                "/smalt/v1/request/stream" => {
                    // The body is the application's.
                    places.retain(|(place, _)| !matches!(place, Place::Body(_)));
                    places.extend([(Place::Packed("account"), "account"), (Place::Packed("connection"), "connection")]);
                    ["smalt-request"].into()
                }
                path => panic!("`{path}` is new: say here where it takes ids"),
            };
            let parameters: BTreeSet<&str> =
                item["parameters"].as_array().unwrap().iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
            assert_eq!(parameters, known, "{path}: what each parameter holds is known");
            found.push(Other { method: method.to_uppercase(), path: path.clone(), places });
        }
    }
    found
}

impl Other {
    /// One request: of these places, with these ids.
    async fn send(&self, served: &Served, pair: &Pair<'_>, org: &str, ids: &[(Place, Json)]) -> Said {
        let mut headers = BTreeMap::from([served.credential(pair.tenant, &pair.caller)]);
        let (mut target, mut body) = (self.path.clone(), JsonMap::new());
        let mut query = Vec::new();
        let mut packed = JsonMap::new();
        for (place, id) in ids {
            let text = id.as_str().unwrap();
            match place {
                Place::Path => target = target.replace("{flow}", text),
                Place::Header(name) => drop(headers.insert((*name).to_owned(), text.to_owned())),
                Place::Query(name) => query.push(format!("{name}={text}")),
                Place::Body(name) => drop(body.insert((*name).to_owned(), id.clone())),
                Place::Packed(name) => drop(packed.insert((*name).to_owned(), id.clone())),
            }
        }
        // What no foreign id stands in is one's own.
        target = target.replace("{flow}", &pair.attacker.ids["flow"]);
        let names_account = ids
            .iter()
            .any(|(place, _)| matches!(place, Place::Header(name) | Place::Query(name) | Place::Body(name) if name.contains("account")));
        let is_session = matches!(pair.caller, Caller::Session(_));
        if !is_session && !names_account && target.contains("/flows/") {
            headers.insert("linked_account_id".to_owned(), pair.attacker.account.clone());
        }
        if self.places.iter().any(|(place, _)| matches!(place, Place::Packed(_))) {
            for (name, value) in
                [("application", "crm"), ("method", "GET"), ("path", "things"), ("account", pair.attacker.account.as_str())]
            {
                packed.entry(name).or_insert(value.into());
            }
            headers.insert("smalt-request".to_owned(), Base64UrlUnpadded::encode_string(Json::Object(packed).to_string().as_bytes()));
        }
        if !query.is_empty() {
            target = format!("{target}?{}", query.join("&"));
        }
        let body = if body.is_empty() { Json::Null } else { Json::Object(body) };
        served.send(&served.apis[org], &self.method, &target, &headers, &body).await
    }

    /// With each combination of places that the victim's ids stand in. Answers how many calls that were.
    async fn attack(&self, served: &Served, pair: &Pair<'_>) -> usize {
        let places: Vec<_> = self.places.iter().filter(|(_, kind)| pair.is_foreign(kind)).collect();
        let is_session = matches!(pair.caller, Caller::Session(_));
        let mut calls = 0;
        // One at a time, two at full size: a third one of the same kind is passed over as the second is.
        for chosen in (1..1_usize << places.len()).filter(|chosen| chosen.count_ones() as usize <= size(1, 2)) {
            let (mut foreign, mut unknown) = (Vec::new(), Vec::new());
            for (_, (place, kind)) in places.iter().enumerate().filter(|(n, _)| chosen >> n & 1 == 1) {
                foreign.push((*place, own(pair.victims, pair.victim, Operation::Events, kind).await));
                unknown.push((*place, nobodys(kind)));
            }
            let what = format!("{} {} by {} of {} {foreign:?}", self.method, self.path, pair.attacker.account, pair.victim.account);
            let before = pair.rows();
            let said = self.send(served, pair, pair.tenant.org, &foreign).await.end();
            let twin = self.send(served, pair, pair.tenant.org, &unknown).await.end();
            assert_eq!(before, pair.rows(), "{what} changes rows");
            calls += 2;
            let asked: JsonMap = foreign.iter().enumerate().map(|(n, (_, id))| (n.to_string(), id.clone())).collect();
            let is_told_403 = |(place, _): &(Place, Json)| match place {
                Place::Header(name) | Place::Query(name) => name.contains("account"),
                _ => false,
            };
            match (&said, &twin) {
                (Ok(said), Ok(_)) => pair.search(&self.path, &asked, said),
                (Err(said), Err(twin)) => {
                    pair.search(&self.path, &asked, &said.said);
                    let ids: Vec<&Json> = foreign.iter().chain(&unknown).map(|(_, id)| id).collect();
                    assert_eq!(alike(&said.said, &ids), alike(&twin.said, &ids), "{what} tells foreign from unknown");
                    assert!(said.status.is_some_and(|status| status < 500), "{what}: {said:?}");
                    if foreign.iter().all(|(place, _)| matches!(place, Place::Path)) {
                        assert_eq!(said.status, Some(404), "{what}: {said:?}");
                    }
                }
                _ => panic!("{what}: a foreign id is answered {said:?}, an unknown one {twin:?}"),
            }
            let is_organisations = self.path == "/smalt/v1/request/stream";
            if is_session && (is_organisations || foreign.iter().any(is_told_403)) {
                assert_eq!(said.unwrap_err().status, Some(403), "{what}");
            }
        }
        calls
    }
}

/// At the server of another organisation a credential is one that nobody has, whatever it asks about.
async fn strange(served: &Served, pair: &Pair<'_>, all: &[Operation], others: &[Other]) -> usize {
    let mut calls = 0;
    for operation in all {
        let names = fields(pair.schema, *operation);
        let every: Vec<&String> = names.iter().filter(|name| *name != "claim" || !names.contains(&"callback_url".to_owned())).collect();
        let every: Vec<&String> = every.into_iter().filter(|name| super::matrix::names_something(*operation, name)).collect();
        let (request, twin) = pair.requests(*operation, &every).await;
        let asked: Vec<Json> = request.values().chain(twin.values()).cloned().collect();
        let rows = pair.rows();
        let said = served.operate_at(pair.victims.org, pair.tenant, &pair.caller, *operation, request.clone()).await.unwrap_err();
        let unknown = served.operate_at(pair.victims.org, pair.tenant, &pair.caller, *operation, twin).await.unwrap_err();
        assert_eq!(rows, pair.rows(), "{operation:?} {request:?} changes rows");
        let asked: Vec<&Json> = asked.iter().collect();
        assert_eq!(alike(&said.said, &asked), alike(&unknown.said, &asked), "{operation:?}");
        assert_eq!(said.status, Some(401), "{operation:?} {said:?}");
        pair.search(operation, &request, &said.said);
        calls += 2;
    }
    for other in others {
        for (place, kind) in &other.places {
            let ids = [(*place, own(pair.victims, pair.victim, Operation::Events, kind).await)];
            let said = other.send(served, pair, pair.victims.org, &ids).await;
            assert_eq!(said.status, 401, "{} {place:?}: {}", other.path, said.text);
            calls += 1;
        }
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn s35_no_route_of_our_own_crosses_accounts_environments_or_organisations() {
    let world = Tenants::new().await;
    let mut seeded = Vec::new();
    for tenant in &world.all {
        seeded.push([Seeded::new(tenant, SHARED).await, Seeded::new(tenant, &format!("only-{}", tenant.name())).await]);
    }
    let served = Served::new(&world).await;
    let document = served.document().await;
    let (schema, all) = operations(&document);
    let offered = Operation::ALL.iter().filter(|operation| operation.embedded_only().is_none()).count();
    assert_eq!(all.len(), offered, "each operation that is offered stands in the document");
    let others = others(&document);
    assert_eq!(others.len(), 3, "{:?}", others.iter().map(|other| &other.path).collect::<Vec<_>>());

    // Each caller is known, and sees its own: what is refused below is refused for the ids.
    let everybody: Vec<(&Tenant, &Seeded)> =
        world.all.iter().zip(&seeded).flat_map(|(tenant, two)| two.iter().map(move |one| (tenant, one))).collect();
    for (tenant, one) in &everybody {
        let request = json!({"account": one.account}).as_object().unwrap().clone();
        for caller in [Tenant::organisation(), one.session()] {
            let read = served.operate(tenant, &caller, Operation::Account, request.clone()).await.unwrap();
            assert!(read.contains(&one.canary), "{read}");
        }
    }

    let (mut calls, mut pairs) = (0, 0);
    for (from, (tenant, attacker)) in everybody.iter().enumerate() {
        for (at, (victims, victim)) in everybody.iter().enumerate().filter(|(at, _)| *at != from) {
            if (from + at) % size(5, 1) != 0 {
                continue;
            }
            pairs += 1;
            // What was counted in memory is written down now, not in between.
            victims.done(Operation::Audit, json!({})).await;
            for caller in [Tenant::organisation(), attacker.session()] {
                let pair = Pair { world: &world, schema: &schema, tenant, attacker, caller, victims, victim, served: Some(&served) };
                for operation in &all {
                    calls += pair.attack(*operation).await;
                }
                for other in &others {
                    calls += other.attack(&served, &pair).await;
                }
                if tenant.org != victims.org {
                    calls += strange(&served, &pair, &all, &others).await;
                }
            }
        }
    }
    assert!(calls >= 1000, "{calls} calls in {pairs} pairs");
    // Nobody was locked out.
    for (tenant, one) in &everybody {
        let request = json!({"account": one.account, "application": "crm"}).as_object().unwrap().clone();
        served.operate(tenant, &Tenant::organisation(), Operation::Credential, request).await.unwrap();
        let request = json!({"account": one.account}).as_object().unwrap().clone();
        served.operate(tenant, &one.session(), Operation::Account, request).await.unwrap();
    }
}
