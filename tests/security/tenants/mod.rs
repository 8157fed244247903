//! Two organisations in both environments on one store, with the same ids in all four, and what each must not see of the
//! others.

mod cursors;
mod http;
mod matrix;
mod races;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::json;
use smalt::{
    Code, Host, Result, Smalt,
    backend::{Caller, ListDeliveries, WebhookSettings, call_json},
    engine::Timings,
    http::ScriptedTransport,
    manifest::AppManifest,
    model::{DeliveryStatus, Environment, Json},
    operations::Operation,
    plugin::{Fault, HttpRequest, HttpResponse, WorkflowRun, WorkflowRunner},
    project::Project,
    vault::LocalKey,
};
use tempfile::TempDir;

use super::common::{CALLBACK, RETURN_TO};

/// An organisation in an environment, open on the shared store.
pub struct Tenant {
    pub org: &'static str,
    pub environment: Environment,
    pub smalt: Smalt,
    /// A webhook that was told of two events, and is disabled since: nothing of it moves any more.
    pub webhook: String,
    pub delivery: String,
    /// Where the first page of its deliveries ends.
    pub deliveries_cursor: String,
}

impl Tenant {
    pub fn name(&self) -> String {
        format!("{}-{}", self.org, self.environment)
    }

    pub fn organisation() -> Caller {
        Caller::Organisation("test".into())
    }

    /// An operation in its JSON form.
    pub async fn call(&self, caller: &Caller, operation: Operation, request: Json) -> Result<Json> {
        call_json(&**self.smalt.backend(), caller, operation, request).await
    }

    /// On the organisation's authority, where it must work.
    pub async fn done(&self, operation: Operation, request: Json) -> Json {
        let answer = self.call(&Self::organisation(), operation, request.clone()).await;
        answer.unwrap_or_else(|error| panic!("{} {operation:?} {request}: {error}", self.name()))
    }
}

pub struct Tenants {
    folder: TempDir,
    pub host: Host,
    pub all: Vec<Tenant>,
    pub transport: ScriptedTransport,
}

/// Hands back what it was given.
struct Echo;

#[async_trait::async_trait]
impl WorkflowRunner for Echo {
    async fn run(&self, run: WorkflowRun) -> std::result::Result<Json, Fault> {
        Ok(json!({"account": run.account_id, "fields": run.fields, "payload": run.payload}))
    }
}

impl Tenants {
    pub async fn new() -> Tenants {
        let folder = tempfile::tempdir().unwrap();
        let transport = ScriptedTransport::answering(provider);
        let day = Duration::from_secs(86_400);
        let key = LocalKey::generate().unwrap().text();
        let builder = || {
            let builder = Smalt::embedded(folder.path().join("smalt.db")).keys(LocalKey::parse(&key).unwrap());
            builder.transport(transport.clone()).manifest(crm()).manifest(keys())
        };
        let sender =
            builder().deliver_webhooks().timings(Timings { poll: Duration::from_millis(20), ..Timings::default() }).host().unwrap();
        let host = builder()
            .workflow_runner(Echo)
            // Nothing ends by itself while rows are compared.
            .timings(Timings { flow_lifetime: day, park: day, ..Timings::default() })
            .host()
            .unwrap();
        let mut all = Vec::new();
        for org in ["acme", "globex"] {
            for environment in [Environment::Test, Environment::Production] {
                let smalt = host.organisation(project(org), environment).await.unwrap();
                let (webhook, delivery, deliveries_cursor) = {
                    let canary = format!("canary-of-the-tenant-{org}-{environment}");
                    delivered(&sender.organisation(project(org), environment).await.unwrap(), &canary).await
                };
                all.push(Tenant { org, environment, smalt, webhook, delivery, deliveries_cursor });
            }
        }
        sender.close().await;
        Tenants { folder, host, all, transport }
    }

    /// The store's file, read beside the engine.
    pub fn file(&self) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        rusqlite::Connection::open_with_flags(self.folder.path().join("smalt.db"), flags).unwrap()
    }
}

/// A webhook, a delivery of it, and a cursor of its deliveries.
async fn delivered(smalt: &Smalt, canary: &str) -> (String, String, String) {
    let account = smalt.account("told-of");
    account.ensure().await.unwrap();
    let settings = json!({"url": "https://hooks.example/a", "events": ["connection.created", "connection.deleted"], "description": canary});
    let webhook = smalt.create_webhook(serde_json::from_value(settings).unwrap()).await.unwrap().webhook.id;
    account.connect("keys").input("key", "told").await.unwrap();
    account.disconnect("keys").await.unwrap();
    let request = |limit| ListDeliveries { webhook: webhook.clone(), limit, ..ListDeliveries::default() };
    loop {
        let all = smalt.deliveries(request(None)).await.unwrap().items;
        if all.len() == 2 && all.iter().all(|one| one.status == DeliveryStatus::Delivered) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let off = WebhookSettings { enabled: Some(false), ..WebhookSettings::default() };
    smalt.update_webhook(&webhook, off).await.unwrap();
    smalt.delete_account("told-of").await.unwrap();
    let first = smalt.deliveries(request(Some(1))).await.unwrap();
    (webhook.clone(), first.items[0].id.clone(), first.next.unwrap())
}

pub fn project(org: &str) -> Project {
    serde_json::from_value(json!({
        "version": 1,
        "org": {"id": org, "public_url": "https://app.example", "return_to": ["https://app.example"], "redirect_uris": [CALLBACK]},
        "apps": {
            "crm": {
                "client": {"test": {"id": format!("{org}-test")}, "production": {"id": format!("{org}-production")}},
                "fields": [{"id": "note", "name": "Note"}, {"id": "rule", "name": "Rule", "type": "rule_engine"}],
                "workflows": [{"id": "digest", "name": "Digest", "enabled": true, "fields": [{"id": "hour", "name": "Hour"}]}]
            },
            "keys": {}
        }
    }))
    .unwrap()
}

fn crm() -> AppManifest {
    serde_json::from_value(json!({
        "manifest": 1,
        "slug": "crm",
        "name": "CRM",
        "description": "Customers",
        "categories": [],
        "api": {"base_url": "https://api.crm.example/v1", "pagination": {"style": "cursor", "next": "/next"}},
        "oauth2": {
            "authorize_url": "https://crm.example/authorize",
            "token_url": "https://crm.example/token",
            "client_auth": "none",
            "identity": {"url": "me", "id": "/id", "label": "/label"}
        }
    }))
    .unwrap()
}

fn keys() -> AppManifest {
    serde_json::from_value(json!({
        "manifest": 1,
        "slug": "keys",
        "name": "Keys",
        "description": "Keys",
        "categories": [],
        "api": {"base_url": "https://api.keys.example"},
        "keybased": {
            "inputs": [{"name": "key", "label": "Key", "secret": true}],
            "placement": {"in": "header", "name": "x-api-key", "value": "{key}"}
        }
    }))
    .unwrap()
}

/// Answers with what it was shown, so that a credential that crosses shows itself.
fn provider(request: &HttpRequest) -> Result<HttpResponse> {
    if request.url.path() == "/token" {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(&request.body.0).into_owned().collect();
        let from = form.get("refresh_token").or(form.get("code")).cloned().unwrap_or_default();
        let token = json!({"access_token": format!("new-{from}"), "refresh_token": from, "token_type": "Bearer", "expires_in": 3600});
        return Ok(ScriptedTransport::json(200, &token));
    }
    let shown: Vec<&str> =
        request.headers.iter().filter(|(name, _)| name == "authorization" || name == "x-api-key").map(|(_, v)| &***v).collect();
    let shown = shown.join(" ");
    // Each page names another one as the next.
    static PAGES: AtomicU64 = AtomicU64::new(0);
    let next = PAGES.fetch_add(1, Ordering::Relaxed);
    Ok(ScriptedTransport::json(200, &json!({"id": shown.trim_start_matches("Bearer "), "label": shown, "next": format!("page-{next}")})))
}

/// A linked account with one of everything: its ids by kind, and the canaries that nobody else may see.
pub struct Seeded {
    pub account: String,
    pub ids: BTreeMap<&'static str, String>,
    pub canary: String,
}

/// The account that exists in every tenant.
pub const SHARED: &str = "shared";

impl Seeded {
    pub async fn new(tenant: &Tenant, account: &str) -> Seeded {
        static CONFIGS: AtomicU64 = AtomicU64::new(0);
        let canary = format!("canary-{}-{account}-end", tenant.name());
        let of = |application: &str| json!({"account": account, "application": application});
        let with = |mut base: Json, more: Json| {
            base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            base
        };
        let text = |answer: &Json, name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{name}: {answer}")).to_owned();
        tenant.done(Operation::UpsertAccount, json!({"id": account, "update": {"name": canary, "properties": {"k": canary}}})).await;
        let connection = tenant
            .done(
                Operation::ImportConnection,
                with(
                    of("crm"),
                    json!({"values": {"access_token": canary, "refresh_token": format!("refresh-{canary}")}, "expires_in": 86_400}),
                ),
            )
            .await;
        // Keys are connected twice: the one disconnected for its receipt, the other stays.
        tenant.done(Operation::ConnectKey, with(of("keys"), json!({"inputs": {"key": format!("key-{canary}")}}))).await;
        let receipt = tenant.done(Operation::Disconnect, of("keys")).await;
        tenant.done(Operation::ConnectKey, with(of("keys"), json!({"inputs": {"key": format!("key-{canary}")}}))).await;
        let config_id = format!("config-{}", CONFIGS.fetch_add(1, Ordering::Relaxed));
        tenant.done(Operation::Config, with(of("crm"), json!({"config_id": config_id, "seed": {"fields": {"note": canary}}}))).await;
        tenant.done(Operation::PutOwnCredentials, json!({"account": account, "values": {"token": canary}})).await;
        let run = with(of("crm"), json!({"config_id": config_id, "workflow": "digest", "payload": canary, "wait": true}));
        tenant.done(Operation::ExecuteWorkflow, run.clone()).await;
        let execution = tenant.done(Operation::ExecuteWorkflow, run).await;
        let executions = tenant.done(Operation::ListExecutions, json!({"account": account, "limit": 1})).await;
        let flow = started(tenant, account).await;
        let session = tenant.done(Operation::CreateSession, json!({"account": account})).await;
        let ids = BTreeMap::from([
            ("account", account.to_owned()),
            ("connection", text(&connection, "id")),
            ("receipt", text(&receipt, "id")),
            ("config_id", config_id),
            ("flow", text(&flow, "flow_id")),
            ("token", text(&session, "token")),
            ("execution", text(&execution["execution"], "id")),
            ("executions_cursor", text(&executions, "next")),
        ]);
        Seeded { account: account.to_owned(), ids, canary }
    }

    /// A session of the account.
    pub fn session(&self) -> Caller {
        Caller::Session(self.ids["token"].as_str().into())
    }
}

/// A connect flow that was begun.
pub async fn started(tenant: &Tenant, account: &str) -> Json {
    let request = json!({"account": account, "application": "crm", "redirect_uri": CALLBACK, "return_to": RETURN_TO});
    tenant.done(Operation::StartConnect, request).await
}

/// The callback of a flow, as the provider would send it.
pub fn callback(started: &Json) -> String {
    let state = super::common::param(started["authorize_url"].as_str().unwrap(), "state").unwrap();
    format!("{CALLBACK}?state={state}&code=code-of-a-test")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_store_serves_several_organisations_and_both_environments() {
    let world = Tenants::new().await;
    let [acme, live, ..] = &world.all[..] else { panic!("four tenants") };
    assert_eq!(world.host.tenants().await.len(), 4);

    // The same again is the same engine; with another project it is refused.
    let again = world.host.organisation(project("acme"), Environment::Test).await.unwrap();
    assert!(again.set_project(project("globex")).await.unwrap_err().is(Code::ProjectInvalid));
    let mut other = project("acme");
    other.org.name = "Other".to_owned();
    assert!(world.host.organisation(other.clone(), Environment::Test).await.err().unwrap().is(Code::ProjectInvalid));
    again.set_project(other.clone()).await.unwrap();
    assert_eq!(acme.smalt.project().await.unwrap().org.name, "Other");
    assert_eq!(live.smalt.project().await.unwrap().org.name, "", "an environment has a project of its own");

    // Each environment has its client.
    for tenant in &world.all {
        tenant.smalt.account(SHARED).ensure().await.unwrap();
        let url = started(tenant, SHARED).await["authorize_url"].as_str().unwrap().to_owned();
        assert_eq!(super::common::param(&url, "client_id").unwrap(), tenant.name());
    }

    // One that is closed leaves the others alone, and can be opened again.
    acme.smalt.close().await;
    assert!(acme.smalt.account(SHARED).get().await.unwrap_err().is(Code::Closed));
    assert!(live.smalt.account(SHARED).get().await.is_ok());
    assert_eq!(world.host.tenants().await.len(), 3);
    let reopened = world.host.organisation(project("acme"), Environment::Test).await.unwrap();
    assert!(reopened.account(SHARED).get().await.is_ok());
    world.host.close().await;
    for smalt in [&reopened, &live.smalt] {
        assert!(smalt.account(SHARED).get().await.unwrap_err().is(Code::Closed));
    }
    assert!(world.host.organisation(project("acme"), Environment::Test).await.err().unwrap().is(Code::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_project_serves_both_environments_and_the_sandbox_only_one() {
    let mut project = Project::default();
    project.sandbox.enabled = true;
    let host = Smalt::in_memory().keys(LocalKey::generate().unwrap()).project_value(project).organisation("acme").host().unwrap();
    let (test, live) = (host.environment(Environment::Test).await.unwrap(), host.environment(Environment::Production).await.unwrap());
    assert_eq!(test.project().await.unwrap().org.id, "acme");
    for smalt in [&test, &live] {
        smalt.account(SHARED).ensure().await.unwrap();
    }
    assert!(test.account(SHARED).app("sandbox-key").await.is_ok());
    let slugs: Vec<String> = live.account(SHARED).apps().await.unwrap().into_iter().map(|app| app.slug).collect();
    assert!(slugs.is_empty(), "{slugs:?}");
    for slug in ["sandbox-key", "sandbox-oauth"] {
        assert!(live.account(SHARED).app(slug).await.unwrap_err().is(Code::SandboxRefused));
        assert!(live.account(SHARED).start_connect(slug, super::common::to_app()).await.unwrap_err().is(Code::SandboxRefused));
        let key = live.account(SHARED).connect(slug).input("key", "k").await;
        assert!(key.unwrap_err().is(Code::SandboxRefused));
    }
    host.close().await;
}
