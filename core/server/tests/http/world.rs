//! Two engines on one store in memory, one per environment, a sandbox that the test holds in its hand, and the API over them.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::json;
use smalt::{
    Secret, Smalt, SmaltBuilder,
    engine::Timings,
    model::{Environment, Json},
    plugin::{Clock, Fault, FixedClock, Store, SystemClock, WorkflowRun, WorkflowRunner},
    project::{Project, RateSettings},
    sandbox::{Sandbox, SandboxOptions},
    store::{SqliteStore, StoreOptions},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions, Peer};

/// Where the API is reached from outside: below a prefix that a proxy takes away.
pub const PUBLIC: &str = "https://smalt.example/backend";

pub struct World {
    /// What both engines, and those beside them, work on.
    pub store: Arc<dyn Store>,
    pub master: Secret,
    pub sandbox: Sandbox,
    pub test: Smalt,
    pub production: Smalt,
    pub api: Api,
    /// API keys of both environments.
    pub key: String,
    pub production_key: String,
}

/// Says what it ran; or never, if it is asked for that.
struct Echo;

#[async_trait::async_trait]
impl WorkflowRunner for Echo {
    async fn run(&self, run: WorkflowRun) -> Result<Json, Fault> {
        if run.payload["hang"] == true {
            std::future::pending::<()>().await;
        }
        Ok(json!({"ran": run.workflow, "payload": run.payload}))
    }
}

/// What was answered.
pub struct Said {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Said {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// This status, or the answer is shown.
    #[track_caller]
    pub fn expect(self, status: u16) -> Said {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

pub fn project(sandbox: &str) -> Project {
    serde_json::from_value(json!({
        "version": 1,
        "org": {"id": "acme", "name": "Acme", "public_url": PUBLIC},
        "sandbox": {"enabled": true, "url": sandbox},
        // Tests call as fast as they can; those of rates set their own.
        "server": {"rates": RateSettings::off()},
        "apps": {
            "sandbox-oauth": {"fields": [{"id": "greeting", "name": "Greeting"}]},
            "sandbox-key": {
                "fields": [
                    {"id": "colour", "name": "Colour"},
                    {"id": "amount", "name": "Amount", "type": "number"},
                    {"id": "sync", "name": "Sync", "type": "boolean"},
                    {"id": "map", "name": "Map", "type": "map", "label_object": "lists", "options": [{"name": "One", "value": "1"}]},
                    {"id": "filter", "name": "Filter", "type": "rule_engine", "options": [{"name": "Stage", "value": "stage"}]}
                ],
                "workflows": [{"id": "digest", "name": "Digest", "fields": [{"id": "hour", "name": "Hour", "type": "number"}]}]
            }
        }
    }))
    .unwrap()
}

impl World {
    pub async fn new() -> World {
        Self::with(ApiOptions::default(), |_| {}).await
    }

    pub async fn with(options: ApiOptions, change: impl FnOnce(&mut Project)) -> World {
        Self::made(options, change, |builder| builder).await
    }

    /// With another project, and engines that are opened with more than it says.
    pub async fn made(options: ApiOptions, change: impl FnOnce(&mut Project), opened: impl Fn(SmaltBuilder) -> SmaltBuilder) -> World {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let mut project = project(&sandbox.origin());
        change(&mut project);
        let store: Arc<dyn Store> = Arc::new(SqliteStore::memory(StoreOptions::default()).unwrap());
        let master = LocalKey::generate().unwrap().text();
        let open = async |environment| {
            let builder = Smalt::on_store(store.clone()).keys(LocalKey::parse(&master).unwrap()).project_value(project.clone());
            opened(builder.environment(environment).workflow_runner(Echo)).open().await.unwrap()
        };
        let (test, production) = (open(Environment::Test).await, open(Environment::Production).await);
        let key = async |smalt: &Smalt| smalt.create_api_key("backend").await.unwrap().key.expose().to_owned();
        let (key, production_key) = (key(&test).await, key(&production).await);
        let engines = [(Environment::Test, test.clone()), (Environment::Production, production.clone())];
        World { store, master, sandbox, test, production, api: Api::new(engines, options), key, production_key }
    }

    /// One more engine on the same store and under the same key, which the API knows nothing of.
    pub async fn beside(&self, change: impl FnOnce(SmaltBuilder) -> SmaltBuilder) -> Smalt {
        let builder = Smalt::on_store(self.store.clone()).keys(LocalKey::parse(&self.master).unwrap());
        // It renews nothing by itself: its clock may be a wrong one.
        let timings = Timings { ahead: None, ..Timings::default() };
        change(builder.project_value(project(&self.sandbox.origin())).timings(timings)).open().await.unwrap()
    }

    /// An engine of the test environment for which it is so much earlier: what is made there has been there for so long.
    pub async fn earlier(&self, by: Duration) -> Smalt {
        let clock = FixedClock::at(SystemClock::default().now().minus(by));
        self.beside(|builder| builder.clock(clock)).await
    }

    /// One request. Whatever the answer is, it has what every answer has.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Said {
        self.send_from(None, method, target, headers, body).await
    }

    /// The same from an address.
    pub async fn send_from(&self, peer: Option<&str>, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Said {
        let mut request = Request::builder().method(method).uri(target);
        if let Some(peer) = peer {
            request = request.extension(Peer(peer.parse().unwrap()));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.api.answer(request.body(axum::body::Body::from(body.to_vec())).unwrap()).await;
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let said = Said { status: head.status.as_u16(), headers: head.headers, text };
        has_what_all_have(method, target, &said);
        said
    }

    /// A call with JSON, or with the content type alone where it is null.
    pub async fn call(&self, method: &str, target: &str, headers: &[(&str, &str)], body: Json) -> Said {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, target, &[&[("content-type", "application/json")], headers].concat(), body.as_bytes()).await
    }

    /// A call of the organisation.
    pub async fn backend(&self, method: &str, target: &str, body: Json) -> Said {
        self.call(method, target, &[("x-api-key", &self.key)], body).await
    }

    /// A linked account, and the `authorization` header of a session of it.
    pub async fn account(&self, id: &str) -> String {
        self.backend("PUT", "/api/v2/public/linked-account", json!({"linked_account_id": id, "name": format!("Name of {id}")}))
            .await
            .expect(200);
        let token = self.backend("POST", "/api/v2/public/session-token", json!({"linked_account_id": id})).await.expect(200);
        format!("Bearer {}", token.json()["token"].as_str().unwrap())
    }

    pub async fn connect_key(&self, session: &str) -> Said {
        let body = json!({"key": smalt::sandbox::API_KEY, "workspace": "acme"});
        self.call("POST", "/api/v2/app/sandbox-key/save", &[("authorization", session)], body).await
    }

    /// Begins an OAuth connect; answers the path of the page that asks the user to go on.
    pub async fn integrate(&self, session: &str) -> String {
        let begun = self.call("GET", "/api/v1/sandbox-oauth/integrate?", &[("authorization", session)], Json::Null).await.expect(200);
        begun.json()["auth_url"].as_str().unwrap().strip_prefix(PUBLIC).unwrap().to_owned()
    }

    /// The page that a callback leads to. Nothing that came with it is in that page's address, nor goes there as a referrer (S-08).
    pub async fn ends_on(&self, callback: &str, came: &Said) -> Said {
        let callback = url::Url::parse(callback).unwrap();
        let page = callback.join(came.header("location")).unwrap();
        assert!(page.as_str().starts_with(&format!("{PUBLIC}/connect/done?")), "{page}");
        for (name, value) in callback.query_pairs().filter(|(name, _)| matches!(&**name, "code" | "state")) {
            assert!(!value.is_empty() && !page.as_str().contains(&*value), "{name} is in {page}");
        }
        assert_eq!((came.status, came.header("referrer-policy"), came.text.as_str()), (303, "no-referrer", ""));
        let page = self.send("GET", page.as_str().strip_prefix(PUBLIC).unwrap(), &[], b"").await;
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        page
    }

    /// The user agrees on our page and decides on the provider's; answers the page that the browser ends on.
    pub async fn go_on(&self, ticket: &str, decision: &str) -> Said {
        let gone = self.send("POST", ticket, &[("sec-fetch-site", "same-origin")], b"").await.expect(303);
        let mut url = url::Url::parse(gone.header("location")).unwrap();
        url.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", decision);
        let callback = smalt::sandbox::visit(url.as_str()).await.unwrap();
        let cookie = gone.header("set-cookie").split(';').next().unwrap().to_owned();
        let came = self.send("GET", callback.strip_prefix(PUBLIC).unwrap(), &[("cookie", &cookie)], b"").await;
        self.ends_on(&callback, &came).await
    }

    /// How an application stands, as clients of both generations read it.
    pub async fn state(&self, session: &str, slug: &str) -> (bool, bool, Vec<String>) {
        let app = self
            .call("GET", &format!("/api/v2/f-sdk/application/{slug}"), &[("authorization", session)], Json::Null)
            .await
            .expect(200)
            .json();
        let statuses = app["connected_accounts"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap().to_owned());
        (app["connected"].as_bool().unwrap(), app["reauth_required"].as_bool().unwrap(), statuses.collect())
    }
}

/// Pages speak HTML, everything else JSON.
pub fn is_page(target: &str) -> bool {
    target.contains("/connect/go/")
        || target.contains("/callback")
        || target.ends_with("/openapi")
        || (target.starts_with("/connect") && !target.starts_with("/connect/open"))
}

/// What comes piece by piece is no JSON.
pub fn is_stream(target: &str) -> bool {
    target.contains("/stream")
}

/// Files are built in, the same for everybody, and kept by browsers.
fn is_file(target: &str) -> bool {
    target.contains("/connect/assets/") || target.contains("/client/") || target.ends_with("/icon")
}

fn has_what_all_have(method: &str, target: &str, said: &Said) {
    let what = format!("{method} {target}: {} {}", said.status, said.text);
    assert!(!said.header("x-request-id").is_empty(), "{what}");
    assert_eq!(said.header("x-content-type-options"), "nosniff", "{what}");
    assert!(said.headers.contains_key("access-control-allow-origin") || said.headers.contains_key("vary"), "{what}");
    if is_file(target) && said.status == 200 && said.header("content-type") != "application/json; charset=utf-8" {
        assert!(said.header("cache-control").starts_with("public, max-age="), "{what}");
        assert_eq!(said.header("access-control-allow-origin"), "*", "{what}");
        return;
    }
    if method != "OPTIONS" {
        assert_eq!(said.header("cache-control"), "no-store", "{what}");
    }
    if said.status == 303 {
        assert!(is_page(target), "API routes never redirect: {what}");
        return;
    }
    let is_html = said.header("content-type") == "text/html; charset=utf-8";
    if is_html {
        assert!(is_page(target), "{what}");
        return;
    }
    if said.status == 200 && is_stream(target) {
        return;
    }
    assert_eq!(said.header("content-type"), "application/json; charset=utf-8", "{what}");
    let body = said.json();
    // Smalt's own operations answer in the form of their schema, which may be a number.
    let is_own = target.contains("/smalt/v1/") && !body.is_null();
    assert!(body.is_object() || body.is_array() || is_own, "some clients take anything less for a failure: {what}");
    if said.status >= 400 {
        assert_eq!(body["status_code"], said.status, "{what}");
        for key in ["http_error_type", "error_type", "error_code", "error", "message", "code"] {
            assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "`{key}`: {what}");
        }
        assert_eq!(body["request_id"], said.header("x-request-id"), "{what}");
    } else {
        assert_eq!(said.status, 200, "{what}");
    }
}
