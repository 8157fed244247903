//! The real server behind the bad network: the HTTP API over an engine with a sandbox.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use smalt::{
    Secret, Smalt,
    model::Environment,
    sandbox::{Sandbox, SandboxOptions},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions, Limits, Server};
use tokio::{
    sync::{Mutex, oneshot, watch},
    task::JoinHandle,
};

use crate::Problem;

/// The standard project of the conformance cases.
const PROJECT: &str = include_str!("../../conformance/project.json");

pub(crate) struct Upstream {
    sandbox: Sandbox,
    folder: tempfile::TempDir,
    key: Secret,
    running: Mutex<Option<Running>>,
    /// Where it listens; `None` while it is down.
    address: watch::Sender<Option<SocketAddr>>,
    /// Of the organisation.
    pub(crate) api_key: String,
}

struct Running {
    smalt: Smalt,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Upstream {
    /// A server with one account, `acme-1`.
    pub(crate) async fn start() -> Result<Arc<Upstream>, Problem> {
        let upstream = Upstream {
            sandbox: Sandbox::start(SandboxOptions::default()).await?,
            folder: tempfile::tempdir()?,
            key: LocalKey::generate()?.text(),
            running: Mutex::new(None),
            address: watch::Sender::new(None),
            api_key: String::new(),
        };
        let running = upstream.run().await?;
        running.smalt.account("acme-1").ensure().await?;
        let api_key = running.smalt.create_api_key("faults").await?.key.expose().to_owned();
        *upstream.running.lock().await = Some(running);
        Ok(Arc::new(Upstream { api_key, ..upstream }))
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("smalt.db")
    }

    async fn run(&self) -> Result<Running, Problem> {
        let mut project: Value = serde_json::from_str(PROJECT)?;
        project["sandbox"]["url"] = json!(self.sandbox.origin());
        let engine = Smalt::embedded(self.file()).keys(LocalKey::parse(&self.key)?).project_value(serde_json::from_value(project)?);
        let smalt = engine.open().await?;
        let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).await?;
        let address = server.address()?;
        let api = Api::new([(Environment::Test, smalt.clone())], ApiOptions::default());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            server
                .serve(api, async move {
                    let _ = stopped.await;
                })
                .await;
        });
        self.address.send_replace(Some(address));
        Ok(Running { smalt, stop, serving })
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        *self.address.borrow()
    }

    /// Tells when it goes down, and when it is back.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.address.subscribe()
    }

    /// Ends it, with what it holds in memory, and starts another one on the same store and at another address.
    pub(crate) async fn restart(&self) -> Result<(), Problem> {
        let mut running = self.running.lock().await;
        self.address.send_replace(None);
        if let Some(Running { smalt, stop, serving }) = running.take() {
            drop(stop);
            serving.await?;
            smalt.close().await;
        }
        *running = Some(self.run().await?);
        Ok(())
    }

    /// What the provider counted.
    pub(crate) fn provider(&self) -> Value {
        serde_json::to_value(self.sandbox.control().stats()).unwrap_or_default()
    }
}
