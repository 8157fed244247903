//! S-35 and the field-level half of S-38. Every operation of the table, with every id place of its request, made from the
//! requests' own schema: an operation or a field that is new is in here by itself, or the test says what it lacks.

use std::collections::BTreeMap;

use serde_json::json;
use smalt::{
    Code, Error,
    backend::{Caller, schema},
    model::{Json, JsonMap},
    operations::{Operation, Scope},
};
use smalt_tests::size;

use super::{SHARED, Seeded, Tenant, Tenants, callback, http::Served, project, started};

/// Kinds of ids that prove something by themselves: whoever has one is meant to use it. Within a tenant that is not a
/// foreign id but a stolen one, which S-04 and decision 0006 are about.
const BEARER: [&str; 6] = ["token", "key", "claim", "ticket", "callback_url", "cookie"];
/// Places in lists, and keys of backends: of the tenant, not of an account.
const TENANTS: [&str; 5] = ["cursor", "since", "api_key", "webhook", "delivery"];

/// The kind of id that a field holds; `None`: the field names nothing that belongs to anybody.
fn kind(operation: Operation, field: &str) -> Option<&'static str> {
    let plain = [
        "application",
        "name",
        // A key's id, of the whole organisation's rotation.
        "watch",
        "update",
        "limit",
        "search",
        "force",
        "inputs",
        "scopes",
        "return_to",
        "device",
        "redirect_uri",
        "timeout",
        "auth_type",
        "values",
        "expires_in",
        "method",
        "path",
        "pagination",
        "query",
        "headers",
        "body",
        "max_body",
        "siblings",
        "wait",
        "labels",
        "seed",
        "without_options",
        "workflow",
        "field",
        "parent_value",
        "value",
        "lhs",
        "payload",
        "version",
        "sessions",
        "network",
        "sandbox",
        "manifests",
        "apps",
        "refresh",
        "skip",
        "or_empty",
        "workflow_runner",
        "server",
        "url",
        "events",
        "enabled",
        "kind",
        "description",
        "group",
        "workflows",
        "settings",
        "overlap",
        "properties",
        "once",
        "portal",
    ];
    Some(match field {
        "account" => "account",
        "id" if operation == Operation::RevokeApiKey => "api_key",
        "id" => "new_account",
        "connection" => "connection",
        "flow" => "flow",
        "receipt" => "receipt",
        "config_id" => "config_id",
        "token" => "token",
        "key" => "key",
        "claim" => "claim",
        "ticket" => "ticket",
        "callback_url" => "callback_url",
        "cookie" => "cookie",
        "cursor" if operation == Operation::RequestPage => "page",
        "cursor" if operation == Operation::ListExecutions => "executions_cursor",
        "cursor" => "cursor",
        "since" => "since",
        "org" => "org",
        "webhook" => "webhook",
        "delivery" => "delivery",
        "execution" => "execution",
        _ if plain.contains(&field) => return None,
        _ => panic!("{operation:?} has the field `{field}`: say here what kind of id it holds, or that it holds none"),
    })
}

/// Whether the field holds an id.
pub fn names_something(operation: Operation, field: &str) -> bool {
    kind(operation, field).is_some()
}

/// A value for a field that names nothing, where the operation needs one.
fn value(operation: Operation, field: &str) -> Option<Json> {
    Some(match (operation, field) {
        (Operation::ConnectKey, "application") => json!("keys"),
        (_, "application") => json!("crm"),
        (Operation::UpdateConfig, "update") => json!({"fields": {"note": "mine"}}),
        (Operation::ConnectKey, "inputs") => json!({"key": "mine"}),
        (_, "values") => json!({"access_token": "mine"}),
        (_, "method") => json!("GET"),
        (_, "path") => json!("things"),
        (_, "redirect_uri") => json!(super::CALLBACK),
        (_, "workflow") if matches!(operation, Operation::RunWorkflow | Operation::ExecuteWorkflow) => json!("digest"),
        (Operation::RuleColumns, "field") => json!("rule"),
        (_, "field") => json!("note"),
        (Operation::SetConfigField, "value") => json!("mine"),
        (_, "lhs") => json!("stage"),
        (Operation::CreateApiKey, "name") => json!("mine"),
        (Operation::CreateWebhook, "url") => json!("https://hooks.example/mine"),
        (Operation::CreateWebhook, "events") => json!(["connection.created"]),
        (Operation::SetOwnCredential, "name" | "value") => json!("mine"),
        (_, "settings") => json!({"description": "mine"}),
        // To look at a rotation that there is not, rather than to begin one: that changes rows of the whole organisation.
        (Operation::RotateKeys, "watch") => json!("0011223344556677"),
        (_, "payload") => json!({"mine": true}),
        _ => return None,
    })
}

/// The fields of an operation's request.
pub fn fields(schema: &Json, operation: Operation) -> Vec<String> {
    let request = &schema["operations"][operation.row().name]["request"];
    let name = request["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    let properties = schema["$defs"][name]["properties"].as_object();
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// The value of an id of this kind that is `who`'s own. What works once is made anew.
pub async fn own(tenant: &Tenant, who: &Seeded, operation: Operation, kind: &str) -> Json {
    match kind {
        "new_account" => who.account.as_str().into(),
        "claim" => {
            let flow = started(tenant, &who.account).await;
            let request = json!({"callback_url": callback(&flow), "cookie": flow["cookie"]["value"]});
            tenant.done(Operation::ParkCallback, request).await["claim"].clone()
        }
        "ticket" if operation == Operation::OpenPortal => {
            let url = tenant.done(Operation::PortalUrl, json!({"account": who.account})).await["url"].clone();
            url.as_str().unwrap().rsplit('/').next().unwrap().into()
        }
        "ticket" => {
            let request = json!({"account": who.account, "application": "crm", "redirect_uri": super::CALLBACK});
            tenant.done(Operation::HandOffConnect, request).await["ticket"].clone()
        }
        "callback_url" => callback(&started(tenant, &who.account).await).into(),
        "cookie" => started(tenant, &who.account).await["cookie"]["value"].clone(),
        "page" => {
            let request = json!({"account": who.account, "application": "crm", "method": "GET", "path": "things"});
            tenant.done(Operation::RequestPage, request).await["next"].clone()
        }
        "cursor" if operation == Operation::ListDeliveries => tenant.deliveries_cursor.clone().into(),
        "webhook" => tenant.webhook.clone().into(),
        "delivery" => tenant.delivery.clone().into(),
        "cursor" => {
            let list = if operation == Operation::Audit { Operation::Audit } else { Operation::ListAccounts };
            tenant.done(list, json!({"limit": 1})).await["next"].clone()
        }
        "api_key" => tenant.done(Operation::CreateApiKey, json!({"name": tenants_canary(tenant)})).await["info"]["id"].clone(),
        "key" => tenant.done(Operation::CreateApiKey, json!({"name": tenants_canary(tenant)})).await["key"].clone(),
        "since" => tenant.done(Operation::Events, json!({"limit": 1})).await["next"].clone(),
        "org" => json!({"id": tenant.org}),
        // A session that may be ended is not the one that calls.
        "token" => tenant.done(Operation::CreateSession, json!({"account": who.account, "force": true})).await["token"].clone(),
        kind => who.ids[kind].as_str().into(),
    }
}

/// Stands in what belongs to a tenant and to none of its accounts.
pub fn tenants_canary(tenant: &Tenant) -> String {
    format!("canary-of-the-tenant-{}", tenant.name())
}

/// One of this kind that nobody has.
pub fn nobodys(kind: &str) -> Json {
    match kind {
        "account" | "new_account" => "only-nobody".into(),
        "config_id" => "config-nobody".into(),
        "org" => json!({"id": "nobody"}),
        "token" | "key" | "claim" | "ticket" | "cookie" | "cursor" | "page" | "since" => "nobody".into(),
        "callback_url" => format!("{}?state=nobody&code=code-of-a-test", super::CALLBACK).into(),
        _ => "0123456789abcdef01234567".into(),
    }
}

/// Everything an error says.
fn told(error: &Error) -> String {
    format!("{} {error} {error:?} {:?}", error.code().as_str(), error.info().context)
}

/// An answer without the ids that it was asked with, and without numbers that are made anew each time.
pub fn alike(text: &str, asked: &[&Json]) -> String {
    let mut text = text.to_owned();
    for asked in asked {
        for part in asked.as_str().into_iter().chain(asked["id"].as_str()) {
            text = text.replace(part, "(id)");
        }
    }
    let is_id = |word: &str| word.len() == 24 && word.bytes().all(|b| b.is_ascii_hexdigit());
    text.split_inclusive(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| {
            let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_id(bare) { word.replace(bare, "(id)") } else { word.to_owned() }
        })
        .collect()
}

/// Every row of the victim, as the file has it.
pub fn rows(world: &Tenants, tenant: &Tenant, account: Option<&str>) -> BTreeMap<String, Vec<String>> {
    let file = world.file();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = file.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let environment = i64::from(tenant.environment == smalt::model::Environment::Production);
    let mut dumped = BTreeMap::new();
    for table in names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
        let mut columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
        if table == "audit" {
            // What the victim itself did with its secrets is counted in memory, and added to its rows now and then.
            columns.retain(|column| column != "count");
        }
        let has = |column: &str| columns.iter().any(|c| c == column);
        let mut wanted = Vec::new();
        if has("org") {
            wanted.push(format!("org = '{}'", tenant.org));
        } else if table == "meta" {
            wanted.push(format!("key LIKE '%:{}:{}'", tenant.org, tenant.environment));
        }
        if has("environment") {
            wanted.push(format!("environment = {environment}"));
        }
        if let Some(account) = account {
            match (table.as_str(), has("account_id")) {
                ("accounts", _) => wanted.push(format!("id = '{account}'")),
                (_, true) => wanted.push(format!("account_id = '{account}'")),
                _ => continue,
            }
        }
        let shown: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let condition = if wanted.is_empty() { "0".to_owned() } else { wanted.join(" AND ") };
        let mut found = names(&format!("SELECT {} FROM {table} WHERE {condition}", shown.join(" || '|' || ")));
        found.sort();
        dumped.insert(table, found);
    }
    dumped
}

/// Who asks, for whom, about whom.
pub struct Pair<'a> {
    pub world: &'a Tenants,
    pub schema: &'a Json,
    pub tenant: &'a Tenant,
    pub attacker: &'a Seeded,
    pub caller: Caller,
    pub victims: &'a Tenant,
    pub victim: &'a Seeded,
    /// Asked over HTTP; else the operation itself is.
    pub served: Option<&'a Served>,
}

/// An error, as far as twins are compared.
#[derive(Debug)]
pub struct Refused {
    pub code: String,
    /// Everything that it says.
    pub said: String,
    /// Over HTTP.
    pub status: Option<u16>,
}

impl Pair<'_> {
    pub fn same_tenant(&self) -> bool {
        self.tenant.name() == self.victims.name()
    }

    /// Whether the victim's id of this kind is foreign to this caller.
    pub fn is_foreign(&self, kind: &str) -> bool {
        match kind {
            "org" => self.tenant.org != self.victims.org,
            // The other account of the tenant is the organisation's own.
            "account" if self.same_tenant() => matches!(self.caller, Caller::Session(_)),
            "account" => self.victim.account != SHARED,
            "new_account" => !self.same_tenant() && self.victim.account != SHARED,
            kind if BEARER.contains(&kind) || TENANTS.contains(&kind) => !self.same_tenant(),
            _ => true,
        }
    }

    /// The request with these fields the victim's, and its twin with these fields nobody's.
    pub async fn requests(&self, operation: Operation, foreign: &[&String]) -> (JsonMap, JsonMap) {
        let mut twins = (JsonMap::new(), JsonMap::new());
        if operation == Operation::SetProject {
            let own = serde_json::to_value(project(self.tenant.org)).unwrap().as_object().unwrap().clone();
            twins = (own.clone(), own);
        }
        let all = fields(self.schema, operation);
        for field in &all {
            let Some(kind) = kind(operation, field) else {
                if let Some(value) = value(operation, field) {
                    twins.0.insert(field.clone(), value.clone());
                    twins.1.insert(field.clone(), value);
                }
                continue;
            };
            // A callback with its cookie, or a claim: never both.
            if kind == "claim" && all.contains(&"callback_url".to_owned()) && !foreign.contains(&field) {
                continue;
            }
            if matches!(kind, "callback_url" | "cookie") && foreign.iter().any(|field| *field == "claim") {
                continue;
            }
            if foreign.contains(&field) {
                twins.0.insert(field.clone(), own(self.victims, self.victim, operation, kind).await);
                twins.1.insert(field.clone(), nobodys(kind));
            } else {
                twins.0.insert(field.clone(), own(self.tenant, self.attacker, operation, kind).await);
                twins.1.insert(field.clone(), own(self.tenant, self.attacker, operation, kind).await);
            }
        }
        twins
    }

    /// What nobody but the victim may see: its canaries, and ids that were not in the question.
    pub fn search(&self, operation: &dyn std::fmt::Debug, asked: &JsonMap, said: &str) {
        let asked = Json::Object(asked.clone()).to_string();
        if !self.same_tenant() {
            assert!(!said.contains(&tenants_canary(self.victims)), "{operation:?} {asked} shows what is the other tenant's: {said}");
        }
        let secret_ids = self.victim.ids.iter().filter(|(kind, id)| **kind != "account" && !asked.contains(id.as_str()));
        for foreign in std::iter::once(&self.victim.canary).chain(secret_ids.map(|(_, id)| id)) {
            assert!(!said.contains(foreign.as_str()), "{operation:?} {asked} shows `{foreign}`: {said}");
        }
    }

    /// The victim's rows: of its tenant, or, within one tenant, of its account.
    pub fn rows(&self) -> BTreeMap<String, Vec<String>> {
        rows(self.world, self.victims, self.same_tenant().then_some(&*self.victim.account))
    }

    async fn ask(&self, operation: Operation, request: JsonMap) -> Result<String, Refused> {
        match self.served {
            Some(served) => served.operate(self.tenant, &self.caller, operation, request).await,
            None => {
                let answer = self.tenant.call(&self.caller, operation, Json::Object(request)).await;
                answer.map(|answer| answer.to_string()).map_err(|error| Refused {
                    code: error.code().as_str().to_owned(),
                    said: told(&error),
                    status: None,
                })
            }
        }
    }

    /// What HTTP's status must be. A token that names another account is told 403; what nobody has of one's own is 404.
    fn has_right_status(&self, operation: Operation, kinds: &[&str], refused: &Refused) -> bool {
        let Some(status) = refused.status else { return true };
        let is_session = matches!(self.caller, Caller::Session(_));
        let is_for_sessions = operation.row().scope != Scope::Organisation;
        match kinds {
            _ if is_session && (!is_for_sessions || kinds.contains(&"account")) => status == 403,
            // Another's list has other cursors than one's own.
            _ if refused.code == Code::InvalidCursor.as_str() => status == 400,
            // In a config that there is not, a workflow is as it is by default.
            ["config_id"] if matches!(operation, Operation::RunWorkflow | Operation::ExecuteWorkflow) => [404, 409].contains(&status),
            // One's own flow, for an account that did not begin it: that is told, whether or not there is such an account.
            ["account"] if operation == Operation::FinishConnect => status == 403,
            ["connection" | "flow" | "receipt" | "execution" | "webhook" | "delivery" | "config_id" | "account"] => status == 404,
            _ => (400..500).contains(&status),
        }
    }

    /// One operation with every combination of the victim's ids. Answers how many calls that were.
    pub async fn attack(&self, operation: Operation) -> usize {
        let places: Vec<String> = fields(self.schema, operation)
            .into_iter()
            .filter(|field| kind(operation, field).is_some_and(|kind| self.is_foreign(kind)))
            .collect();
        let mut calls = 0;
        for chosen in 1..1_usize << places.len() {
            let foreign: Vec<&String> = places.iter().enumerate().filter(|(n, _)| chosen >> n & 1 == 1).map(|(_, field)| field).collect();
            if foreign.iter().any(|field| *field == "claim") && foreign.iter().any(|field| *field == "callback_url" || *field == "cookie") {
                continue;
            }
            let (request, twin) = self.requests(operation, &foreign).await;
            let before = self.rows();
            let answer = self.ask(operation, request.clone()).await;
            let unknown = self.ask(operation, twin.clone()).await;
            assert_eq!(before, self.rows(), "{operation:?} by {} changes rows of {}: {request:?}", self.tenant.name(), self.victims.name());
            calls += 2;
            match (&answer, &unknown) {
                (Ok(answer), Ok(_)) => self.search(&operation, &request, answer),
                (Err(error), Err(unknown)) => {
                    self.search(&operation, &request, &error.said);
                    let asked: Vec<&Json> = request.values().chain(twin.values()).collect();
                    assert_eq!(alike(&error.said, &asked), alike(&unknown.said, &asked), "{operation:?} tells foreign from unknown");
                    assert_ne!(error.code, Code::Internal.as_str(), "{operation:?} {request:?}");
                    assert_ne!(error.code, Code::InvalidRequest.as_str(), "{operation:?} was not asked rightly: {error:?} {request:?}");
                    let kinds: Vec<_> = foreign.iter().filter_map(|field| kind(operation, field)).collect();
                    assert!(self.has_right_status(operation, &kinds, error), "{operation:?} {kinds:?}: {error:?}");
                }
                (answer, unknown) => panic!("{operation:?} {request:?}: a foreign id is answered {answer:?}, an unknown one {unknown:?}"),
            }
            self.repair(operation, &foreign).await;
        }
        calls
    }

    /// Puts back what the calls changed of the attacker's own.
    async fn repair(&self, operation: Operation, foreign: &[&String]) {
        if foreign.iter().any(|field| kind(operation, field) == Some("new_account")) {
            for made in [&self.victim.account, "only-nobody"] {
                let _ = self.tenant.call(&Tenant::organisation(), Operation::DeleteAccount, json!({"account": made})).await;
            }
        }
        if operation == Operation::DeleteConfig || operation == Operation::Config {
            let at = |id: &str| json!({"account": self.attacker.account, "application": "crm", "config_id": id});
            for made in [&self.victim.ids["config_id"], "config-nobody"] {
                let _ = self.tenant.call(&Tenant::organisation(), Operation::DeleteConfig, at(made)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s35_no_operation_crosses_accounts_environments_or_organisations() {
    let world = Tenants::new().await;
    let schema = schema();
    let mut seeded = Vec::new();
    for tenant in &world.all {
        seeded.push([Seeded::new(tenant, SHARED).await, Seeded::new(tenant, &format!("only-{}", tenant.name())).await]);
    }
    let everybody: Vec<(&Tenant, &Seeded)> =
        world.all.iter().zip(&seeded).flat_map(|(tenant, two)| two.iter().map(move |one| (tenant, one))).collect();
    let (mut calls, mut pairs) = (0, 0);
    for (from, (tenant, attacker)) in everybody.iter().enumerate() {
        for (at, (victims, victim)) in everybody.iter().enumerate().filter(|(at, _)| *at != from) {
            // Every pair at full size; else each attacker meets a few, and all operations are met by all kinds of pairs.
            if (from + at) % size(3, 1) != 0 {
                continue;
            }
            pairs += 1;
            // What was counted in memory is written down now, not in between.
            victims.done(Operation::Audit, json!({})).await;
            for caller in [Tenant::organisation(), attacker.session()] {
                let pair = Pair { world: &world, schema: &schema, tenant, attacker, caller, victims, victim, served: None };
                for operation in Operation::ALL {
                    calls += pair.attack(*operation).await;
                }
            }
        }
    }
    assert!(calls >= 1000, "{calls} calls in {pairs} pairs");
    // The victims' own calls still work: nobody was locked out.
    for (tenant, one) in everybody {
        let credential = tenant.done(Operation::Credential, json!({"account": one.account, "application": "crm"})).await;
        assert!(credential["access_token"].as_str().is_some());
        assert!(tenant.smalt.verify_session(one.ids["token"].as_str()).await.is_ok());
    }
}

/// Objects of a request's JSON, by pointer: whatever a caller may write into.
fn objects(at: &str, value: &Json, found: &mut Vec<String>) {
    if let Json::Object(map) = value {
        found.push(at.to_owned());
        for (name, value) in map {
            objects(&format!("{at}/{name}"), value, found);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s38_no_request_takes_a_field_that_is_not_its_own() {
    let world = Tenants::new().await;
    let tenant = &world.all[0];
    let one = Seeded::new(tenant, SHARED).await;
    let schema = schema();
    // What a caller might like to set: everything that any answer holds, and what rows have beside.
    let mut extra: Vec<String> = [
        "org_id",
        "tenant",
        "caller",
        "actor",
        "role",
        "admin",
        "is_admin",
        "sealed",
        "secret_version",
        "row_version",
        "__proto__",
        "$ref",
    ]
    .map(str::to_owned)
    .to_vec();
    for definition in schema["$defs"].as_object().unwrap().values() {
        extra.extend(definition["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    }
    extra.sort();
    extra.dedup();
    let mut refused = 0;
    for operation in Operation::ALL {
        let known = fields(&schema, *operation);
        let mut base = JsonMap::new();
        if *operation == Operation::SetProject {
            base = serde_json::to_value(project(tenant.org)).unwrap().as_object().unwrap().clone();
        }
        for field in &known {
            let value = match kind(*operation, field) {
                Some("claim") => None,
                Some(kind) => Some(own(tenant, &one, *operation, kind).await),
                None => value(*operation, field),
            };
            base.extend(value.map(|value| (field.clone(), value)));
        }
        match *operation {
            Operation::CreateAccount | Operation::UpsertAccount => {
                drop(base.insert("update".into(), json!({"name": "n", "properties": {}})))
            }
            Operation::UpdateConfig => {
                base.insert("update".into(), json!({"workflows": {"digest": {"enabled": true}}}));
            }
            Operation::Request => {
                base.insert("query".into(), json!([{"name": "a", "value": "b"}]));
                base.insert("body".into(), json!({"content_type": "text/plain", "content": ""}));
            }
            _ => {}
        }
        let base = Json::Object(base);
        let mut places = Vec::new();
        objects("", &base, &mut places);
        let before = rows(&world, tenant, None);
        for place in &places {
            for name in &extra {
                let mut request = base.clone();
                let object = request.pointer_mut(place).unwrap().as_object_mut().unwrap();
                if object.contains_key(name) || (place.is_empty() && known.contains(name)) || is_known(&schema, *operation, place, name) {
                    continue;
                }
                object.insert(name.clone(), json!("taken"));
                let answer = tenant.call(&Tenant::organisation(), *operation, request).await;
                let code = answer.as_ref().err().map(smalt::Error::code);
                assert_eq!(code, Some(Code::InvalidRequest), "{operation:?} takes `{name}` at `{place}`: {answer:?}");
                refused += 1;
            }
        }
        assert_eq!(before, rows(&world, tenant, None), "{operation:?}");
    }
    assert!(refused >= 1000, "{refused}");
}

/// Whether a schema says nothing about the value: any JSON.
fn is_any(schema: &Json) -> bool {
    let says = |key: &&str| schema.get(*key).is_some();
    schema.as_bool() == Some(true)
        || schema.is_object() && !["type", "$ref", "anyOf", "oneOf", "allOf", "properties", "enum", "const"].iter().any(says)
}

/// Whether the type of a nested object has a field of this name, or is a map of names that the caller chooses.
fn is_known(schema: &Json, operation: Operation, place: &str, name: &str) -> bool {
    fn resolve<'a>(schema: &'a Json, at: &'a Json, rest: &[&str], name: &str) -> bool {
        if let Some(reference) = at["$ref"].as_str() {
            return resolve(schema, &schema["$defs"][reference.rsplit('/').next().unwrap()], rest, name);
        }
        let either = ["anyOf", "oneOf", "allOf"].iter().flat_map(|key| at[*key].as_array().into_iter().flatten());
        if either.clone().any(|one| resolve(schema, one, rest, name)) {
            return true;
        }
        match rest {
            [] => at["properties"].get(name).is_some() || is_any(at) || at["additionalProperties"].is_object(),
            [first, rest @ ..] => {
                if is_any(at) {
                    return true;
                }
                let next = at["properties"].get(*first).or_else(|| at.get("additionalProperties")).or_else(|| at.get("items"));
                next.is_some_and(|next| resolve(schema, next, rest, name))
            }
        }
    }
    let parts: Vec<&str> = place.split('/').skip(1).collect();
    resolve(schema, &schema["operations"][operation.row().name]["request"], &parts, name)
}
