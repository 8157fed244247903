//! What one case runs in: an engine on a store of its own, and a sandbox. Both are here, or in a server's process.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use smalt::{
    Secret, Smalt,
    engine::Timings,
    manifest::AppManifest,
    model::Json,
    plugin::FixedClock,
    project::Project,
    sandbox::{Sandbox, SandboxOptions},
    vault::LocalKey,
};

use crate::{
    case::{self, Case},
    plugins::{Behaviour, Host, Scripted, ScriptedRunner},
    served::Served,
};

/// Where a case runs.
#[allow(clippy::large_enum_variant)] // there is one of them at a time
pub enum World {
    /// In this process.
    Embedded(Embedded),
    /// In a server's process; this one has a remote backend.
    Served(Served),
    /// Somewhere else, with a remote backend; what is there of a sandbox takes orders and counts.
    Reached { smalt: Smalt, sandbox: String },
}

impl World {
    pub fn smalt(&self) -> Smalt {
        match self {
            World::Embedded(world) => world.smalt(),
            World::Served(served) => served.smalt(),
            World::Reached { smalt, .. } => smalt.clone(),
        }
    }

    pub fn sandbox(&self) -> String {
        match self {
            World::Embedded(world) => world.sandbox.origin(),
            World::Served(served) => served.sandbox.clone(),
            World::Reached { sandbox, .. } => sandbox.clone(),
        }
    }

    /// Values that every case may use.
    pub fn given(&self) -> BTreeMap<String, Json> {
        given(&self.sandbox())
    }

    /// A project that a case states; the sandbox is the one that this driver started.
    pub fn read_project(&self, project: Json) -> Result<Project, String> {
        read_project(project, &self.sandbox())
    }

    pub async fn close(&self) {
        match self {
            World::Embedded(world) => world.close().await,
            World::Served(served) => served.close().await,
            World::Reached { smalt, .. } => smalt.close().await,
        }
    }
}

fn given(sandbox: &str) -> BTreeMap<String, Json> {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/keys");
    BTreeMap::from([("sandbox".to_owned(), sandbox.into()), ("keys".to_owned(), keys.into())])
}

fn read_project(mut project: Json, sandbox: &str) -> Result<Project, String> {
    case::merge(&mut project, serde_json::json!({"sandbox": {"url": sandbox}}));
    serde_json::from_value(project).map_err(|e| format!("the project: {e}"))
}

pub struct Embedded {
    pub sandbox: Sandbox,
    pub clock: Option<FixedClock>,
    pub folder: Option<tempfile::TempDir>,
    pub connectors: BTreeMap<String, Behaviour>,
    pub runner: Option<Behaviour>,
    case: Case,
    standard: Json,
    key: Secret,
    host: Host,
}

/// Short where a case must wait for them, long enough for a busy machine.
fn timings() -> Timings {
    Timings {
        provider: Duration::from_secs(6),
        lease: Duration::from_secs(8),
        plugin: Duration::from_secs(6),
        poll: Duration::from_millis(20),
        revoke_backoff: Duration::from_millis(50),
        webhook_backoff: Duration::from_millis(50),
        webhook_attempts: 5,
        // What these look at happens when it is asked for.
        ahead: None,
        ..Timings::default()
    }
}

impl Embedded {
    /// An empty store and a fresh sandbox.
    pub async fn open(case: &Case, standard: &Json) -> Result<Embedded, String> {
        let clock = match &case.clock {
            Some(time) => Some(FixedClock::at(time.parse().map_err(|e| format!("`clock`: {e}"))?)),
            None => None,
        };
        let connectors = case.does("register_connector").filter_map(|step| step.args["application"].as_str());
        let world = Embedded {
            sandbox: Sandbox::start(SandboxOptions::default()).await.map_err(|e| e.to_string())?,
            clock,
            folder: case.needs_file().then(|| tempfile::tempdir().unwrap()),
            connectors: connectors.map(|slug| (slug.to_owned(), Behaviour::default())).collect(),
            runner: case.does("register_runner").next().map(|_| Behaviour::default()),
            case: case.clone(),
            standard: standard.clone(),
            key: LocalKey::generate().map_err(|e| e.to_string())?.text(),
            host: Arc::new(RwLock::new(None)),
        };
        world.start().await?;
        Ok(world)
    }

    /// The engine.
    pub fn smalt(&self) -> Smalt {
        self.host.read().unwrap().clone().expect("the engine is open while a case runs")
    }

    fn given(&self) -> BTreeMap<String, Json> {
        given(&self.sandbox.origin())
    }

    fn project(&self) -> Result<Project, String> {
        let mut project = self.standard.clone();
        if !self.case.project.is_null() {
            case::merge(&mut project, case::fill(&self.case.project, &self.given())?);
        }
        read_project(project, &self.sandbox.origin())
    }

    async fn start(&self) -> Result<(), String> {
        let mut builder = match self.file() {
            Some(file) => Smalt::embedded(file),
            None => Smalt::in_memory(),
        };
        let key = LocalKey::parse(&self.key).map_err(|e| e.to_string())?;
        builder = builder.keys(key).project_value(self.project()?).timings(timings());
        builder = builder.environment(self.case.environment.unwrap_or(smalt::model::Environment::Test));
        if let Some(clock) = &self.clock {
            builder = builder.clock(clock.clone());
        }
        if self.case.does("create_webhook").next().is_some() {
            builder = builder.deliver_webhooks();
        }
        for manifest in &self.case.manifests {
            let manifest: AppManifest =
                serde_json::from_value(case::fill(manifest, &self.given())?).map_err(|e| format!("a manifest: {e}"))?;
            builder = builder.manifest(manifest);
        }
        for (slug, behaviour) in &self.connectors {
            builder = builder.connector(Scripted { slug: slug.clone(), behaviour: behaviour.clone(), host: self.host.clone() });
        }
        if let Some(behaviour) = &self.runner {
            builder = builder.workflow_runner(ScriptedRunner(behaviour.clone()));
        }
        let smalt = builder.open().await.map_err(|e| e.to_string())?;
        *self.host.write().unwrap() = Some(smalt);
        Ok(())
    }

    fn file(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("smalt.db"))
    }

    pub async fn close(&self) {
        let smalt = self.host.write().unwrap().take();
        if let Some(smalt) = smalt {
            smalt.close().await;
        }
    }

    /// Another engine on the same store.
    pub async fn restart(&self) -> Result<(), String> {
        self.close().await;
        self.start().await
    }
}
