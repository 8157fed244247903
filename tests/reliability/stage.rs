//! What the rows share: a store in a folder that several engines and processes open, a clock that can be set, and a
//! child process that does what it is told.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use smalt::{
    Secret, Smalt, Timestamp,
    backend::{Disconnect, RotateKeys, StartConnect},
    engine::Timings,
    manifest::AppManifest,
    model::{AccountUpdate, Connection, Credential},
    plugin::{BootTime, Clock, SystemClock},
    project::Project,
    sandbox::{Sandbox, SandboxControl, SandboxOptions},
    store::StoreOptions,
    vault::LocalKey,
};
use smalt_tests::{
    child::{Role, report, role},
    counterpart::{Provider, User},
};
use tempfile::TempDir;

/// The slug of the provider that others wrote.
pub const COUNTERPART: &str = "counterpart";
/// The sandbox's OAuth application.
pub const SANDBOX: &str = "sandbox-oauth";
/// Longer than any token lives here, in milliseconds.
pub const HOUR: i64 = 3_600_000;

/// The system's clock, set off by as much as the test says. The boot clock goes on undisturbed.
#[derive(Clone, Default)]
pub struct Shifted {
    system: SystemClock,
    by: Arc<AtomicI64>,
}

impl Shifted {
    pub fn shift(&self, millis: i64) {
        self.by.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.system.now().millis() + self.by.load(Ordering::SeqCst))
    }

    fn boot(&self) -> BootTime {
        self.system.boot()
    }
}

/// Short enough for a test, long enough for a busy machine.
pub fn timings() -> Timings {
    Timings {
        provider: Duration::from_secs(3),
        lease: Duration::from_millis(4500),
        cooldown: Duration::from_millis(400),
        poll: Duration::from_millis(50),
        revoke_backoff: Duration::from_millis(100),
        revoke_attempts: 10_000,
        // What these look at happens when it is asked for.
        ahead: None,
        ..Timings::default()
    }
}

/// A folder with a store, its key, a project and manifests.
pub struct Stage {
    pub folder: TempDir,
    pub clock: Shifted,
}

impl Stage {
    /// With a provider that others wrote.
    pub fn at(provider: &Provider) -> Stage {
        Self::with(&provider.manifest(), provider)
    }

    /// The same, by another manifest.
    pub fn with(manifest: &AppManifest, provider: &Provider) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let project = provider.project(folder.path());
        Self::new(folder, &project, &[manifest])
    }

    /// With a sandbox that runs in this process.
    pub fn sandbox(sandbox: &Sandbox) -> Stage {
        let project = serde_json::from_value(json!({
            "version": 1,
            "org": {"redirect_uris": ["http://127.0.0.1/callback"]},
            "sandbox": {"enabled": true, "url": sandbox.origin()},
            "apps": {"sandbox-key": {"fields": [{"id": "colour", "name": "Colour", "type": "text"}]}}
        }));
        Self::new(tempfile::tempdir().unwrap(), &project.unwrap(), &[])
    }

    /// With these applications.
    pub fn new(folder: TempDir, project: &Project, manifests: &[&AppManifest]) -> Stage {
        let write = |name: &str, value: Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
        write("project.json", json!(project));
        write("manifests.json", json!(manifests));
        LocalKey::generate().unwrap().write_file(folder.path().join("key")).unwrap();
        Stage { folder, clock: Shifted::default() }
    }

    /// One more engine on the store.
    pub async fn open(&self) -> Smalt {
        self.open_with(timings()).await
    }

    pub async fn open_with(&self, timings: Timings) -> Smalt {
        open(self.folder.path(), self.clock.clone(), timings, StoreOptions::default()).await
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("smalt.db")
    }

    /// Another connection to the file, beside all engines.
    pub fn sql(&self) -> rusqlite::Connection {
        let sql = rusqlite::Connection::open(self.store()).unwrap();
        sql.busy_timeout(Duration::from_secs(30)).unwrap();
        sql
    }

    /// One number out of the file.
    pub fn count(&self, query: &str) -> i64 {
        self.sql().query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// The receipt of an account's first disconnect.
    pub fn receipt_of(&self, account: &str) -> String {
        self.sql()
            .query_row("SELECT id FROM receipts WHERE account_id = ?1 ORDER BY created_at, rowid LIMIT 1", [account], |row| row.get(0))
            .unwrap()
    }

    /// A child with an engine of its own on the store; see [`as_a_child`].
    pub fn child(&self, environment: &[(&str, &str)]) -> Role {
        let folder = self.folder.path().to_str().unwrap();
        let mut child = Role::start("stage::as_a_child", "engine", &[environment, &[("SMALT_TEST_FOLDER", folder)]].concat());
        assert_eq!(child.line().as_deref(), Some("ready"));
        child
    }
}

pub async fn open(folder: &Path, clock: Shifted, timings: Timings, options: StoreOptions) -> Smalt {
    open_at(folder, &folder.join("smalt.db"), clock, timings, options).await
}

/// With the store elsewhere than key and project.
pub async fn open_at(folder: &Path, store: &Path, clock: Shifted, timings: Timings, options: StoreOptions) -> Smalt {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let manifests: Vec<AppManifest> = serde_json::from_slice(&read("manifests.json")).unwrap();
    let mut builder = Smalt::embedded(store)
        .keys(LocalKey::from_file(folder.join("key")).unwrap())
        .project_value(serde_json::from_slice(&read("project.json")).unwrap())
        .clock(clock)
        .store_options(options)
        .timings(timings);
    for manifest in manifests {
        builder = builder.manifest(manifest);
    }
    builder.open().await.unwrap()
}

/// A sandbox whose user consents at once.
pub async fn sandbox() -> (Sandbox, SandboxControl) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    control.auto_consent(Some("ada"));
    (sandbox, control)
}

/// A flow up to its callback: its id, the callback's URL and the cookie.
pub async fn consent(smalt: &Smalt, account: &str, user: Option<(&User, Option<&str>)>) -> (String, String, Secret) {
    let account = smalt.account(account);
    account.ensure().await.unwrap();
    let application = if user.is_some() { COUNTERPART } else { SANDBOX };
    let options = StartConnect { redirect_uri: Some("http://127.0.0.1/callback".to_owned()), ..StartConnect::default() };
    let started = account.start_connect(application, options).await.unwrap();
    let callback = match user {
        Some((user, context)) => user.visit(&started.authorize_url, "ada", true, context),
        None => smalt::sandbox::visit(&started.authorize_url).await.unwrap(),
    };
    (started.flow_id, callback, started.cookie.value)
}

pub async fn connect(smalt: &Smalt, account: &str, user: &User) -> Connection {
    let (_, callback, cookie) = consent(smalt, account, Some((user, None))).await;
    smalt.account(account).finish_connect(callback, cookie).await.unwrap()
}

pub async fn connect_sandbox(smalt: &Smalt, account: &str) -> Connection {
    let (_, callback, cookie) = consent(smalt, account, None).await;
    smalt.account(account).finish_connect(callback, cookie).await.unwrap()
}

pub fn token(credential: &Credential) -> String {
    credential.access_token.as_ref().unwrap().expose().to_owned()
}

/// Waits until something holds; it must at last.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to this: {what}");
}

/// How often the provider was asked to refresh, and how often it did.
pub fn refreshes(provider: &Provider) -> (u64, u64) {
    let counted = &provider.stats()["token"]["refresh_token"];
    (counted["received"].as_u64().unwrap_or(0), counted["success"].as_u64().unwrap_or(0))
}

/// How often a fault drew.
pub fn exchanges(provider: &Provider) -> u64 {
    provider.stats()["token"]["authorization_code"]["received"].as_u64().unwrap_or(0)
}

/// Not a test of its own: what the children of the others run. They read an order per line and answer each with a line.
#[test]
fn as_a_child() {
    if role().as_deref() != Some("engine") {
        return;
    }
    let folder = PathBuf::from(std::env::var_os("SMALT_TEST_FOLDER").unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Shifted::default();
        let smalt = open(&folder, clock.clone(), timings(), StoreOptions::default()).await;
        report("ready");
        for line in std::io::stdin().lines() {
            let order: Value = serde_json::from_str(&line.unwrap()).unwrap();
            report(&obey(&smalt, &clock, &order).await.to_string());
        }
        smalt.close().await;
    });
}

pub async fn obey(smalt: &Smalt, clock: &Shifted, order: &Value) -> Value {
    let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
    let (account, application) = (smalt.account(text("account")), text("application"));
    let ended = match text("do").as_str() {
        "shift" => {
            clock.shift(order["millis"].as_i64().unwrap());
            Ok(json!(null))
        }
        "credential" => return credentials(smalt, &text("account"), &application, order["callers"].as_u64().unwrap_or(1)).await,
        "upsert" => {
            let update = AccountUpdate { name: Some(text("name")), ..AccountUpdate::default() };
            smalt.upsert_account(text("account"), update).await.map(|_| json!(null))
        }
        "set_colour" => {
            let made = account.config("sandbox-key").await;
            let update = json!({"fields": {"colour": text("colour")}});
            match made {
                Ok(_) => {
                    account.update_config("sandbox-key", serde_json::from_value(update).unwrap()).await.map(|config| json!(config.version))
                }
                Err(error) => Err(error),
            }
        }
        "connect_key" => {
            let inputs = [("key", smalt::sandbox::API_KEY), ("workspace", "acme")];
            let inputs: BTreeMap<String, Secret> = inputs.map(|(name, value)| (name.to_owned(), value.into())).into();
            account.connect("sandbox-key").inputs(inputs).await.map(|connection| json!(connection.id))
        }
        "finish" => account.finish_connect(text("url"), text("cookie")).await.map(|connection| json!(connection.id)),
        "disconnect" => {
            let wait = Some(Duration::from_millis(order["wait"].as_u64().unwrap_or(0)));
            let options = Disconnect { application, wait, ..Disconnect::default() };
            account.disconnect_with(options).await.map(|receipt| json!(receipt.id))
        }
        // Nothing of the secret is said, so that nothing of it stands in what this test's own code allocates.
        "use" => match account.credential(&application).await {
            Ok(_) => account.request(&application, "GET", "items").await.map(|answer| json!(answer.status)),
            Err(error) => Err(error),
        },
        "rotate" => smalt.rotate_keys(RotateKeys::default()).await.map(|rotation| json!(rotation.state)),
        "delete_account" => smalt.delete_account(text("account")).await.map(|()| json!(null)),
        other => panic!("unknown order {other}"),
    };
    match ended {
        Ok(value) => json!({"ok": value}),
        Err(error) => json!({"error": error.code().as_str()}),
    }
}

/// So many callers at once: the different tokens that they got, and the errors.
async fn credentials(smalt: &Smalt, account: &str, application: &str, callers: u64) -> Value {
    let calls: Vec<_> = (0..callers)
        .map(|_| {
            let (account, application) = (smalt.account(account), application.to_owned());
            tokio::spawn(async move { account.credential(application).await })
        })
        .collect();
    let (mut tokens, mut errors) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for call in calls {
        match call.await.unwrap() {
            Ok(credential) => tokens.insert(token(&credential)),
            Err(error) => errors.insert(error.code().as_str()),
        };
    }
    json!({"tokens": tokens, "errors": errors})
}

/// Says an order to a child that may die of it: what it answered while it lived.
pub fn ask(child: &mut Role, order: &Value) -> Option<Value> {
    child.say(&order.to_string());
    child.line().map(|line| serde_json::from_str(&line).unwrap())
}

/// Says an order and hands back what the child answered.
pub fn tell(child: &mut Role, order: &Value) -> Value {
    child.say(&order.to_string());
    answer(child)
}

pub fn answer(child: &mut Role) -> Value {
    serde_json::from_str(&child.line().expect("the child lives")).unwrap()
}
