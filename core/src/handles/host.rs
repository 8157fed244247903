use std::{collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{Smalt, smalt::Parts};
use crate::{
    Result,
    backend::Backend,
    engine::Engine,
    error::bail,
    model::{Environment, Tenant},
    plugin::{JobAnswer, ReadJob, Store, WriteJob},
    project::{Project, ProjectSource},
};

/// One store in this process, and the organisations and environments that are open on it: what a server needs that serves
/// several. They share the store with its threads, the master keys, connectors and the clock, and nothing else: each
/// has an engine of its own, with its project, address policy, caches and locks. Cheap to clone.
///
/// ```no_run
/// # async fn f() -> smalt::Result<()> {
/// use smalt::{Smalt, model::Environment};
/// let host = Smalt::embedded("smalt.db").project("smalt.toml").host()?;
/// let test = host.environment(Environment::Test).await?;
/// let production = host.environment(Environment::Production).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    parts: Parts,
    /// `None` once closed.
    open: Mutex<Option<HashMap<Tenant, Engine>>>,
}

impl Host {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, open: Mutex::new(Some(HashMap::new())) }))
    }

    /// The organisation of the builder's project, in this environment. One that is open already is answered as it is.
    ///
    /// # Errors
    /// As [`SmaltBuilder::open`](crate::SmaltBuilder::open); `closed`.
    pub async fn environment(&self, environment: Environment) -> Result<Smalt> {
        self.open(self.0.parts.project.source()?, environment, false).await
    }

    /// The organisation of this project (its `org.id`), in this environment.
    ///
    /// # Errors
    /// `project_invalid`, also when the organisation is open here with another project: [`Smalt::set_project`] changes it.
    /// As [`SmaltBuilder::open`](crate::SmaltBuilder::open); `closed`.
    pub async fn organisation(&self, project: Project, environment: Environment) -> Result<Smalt> {
        self.open(ProjectSource::value(project, ".")?, environment, true).await
    }

    async fn open(&self, source: ProjectSource, environment: Environment, same: bool) -> Result<Smalt> {
        let project = source.peek();
        let tenant = Tenant { org: project.project.org.id.clone(), environment };
        let mut open = self.0.open.lock().await;
        let Some(engines) = open.as_mut() else { bail!(Closed, "the store was closed") };
        if let Some(engine) = engines.get(&tenant).filter(|engine| !engine.is_closed()) {
            if same && engine.project() != project.project {
                bail!(ProjectInvalid, "the organisation `{}` is open in {environment} with another project", tenant.org);
            }
            return Ok(Smalt::of(engine.clone()));
        }
        let store = Arc::new(Lent(self.0.parts.store.clone()));
        let engine = self.0.parts.engine(source, environment, store).await?;
        engines.insert(tenant, engine.clone());
        Ok(Smalt::of(engine))
    }

    /// Which organisations and environments are open, in order.
    pub async fn tenants(&self) -> Vec<Tenant> {
        let open = self.0.open.lock().await;
        let mut tenants: Vec<Tenant> =
            open.iter().flatten().filter(|(_, engine)| !engine.is_closed()).map(|(tenant, _)| tenant.clone()).collect();
        tenants.sort();
        tenants
    }

    /// Closes all of them, then the store. [`Smalt::close`] closes one and leaves the store to the others.
    pub async fn close(&self) {
        // Taken out first, so that none is opened meanwhile.
        let Some(engines) = self.0.open.lock().await.take() else { return };
        futures_util::future::join_all(engines.values().map(Backend::close)).await;
        self.0.parts.store.close().await;
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// A store that is lent to one engine among several: closing the engine leaves it open.
struct Lent(Arc<dyn Store>);

#[async_trait]
impl Store for Lent {
    async fn write(&self, job: WriteJob) -> Result<JobAnswer> {
        self.0.write(job).await
    }

    async fn read(&self, job: ReadJob) -> Result<JobAnswer> {
        self.0.read(job).await
    }

    async fn foreign_version(&self) -> Result<i64> {
        self.0.foreign_version().await
    }

    async fn close(&self) {}
}
