//! Opening an engine: the store is unlocked, keys are loaded or made, background work begins.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use tokio::sync::{Notify, OnceCell, watch};
use zeroize::Zeroizing;

use super::{
    Engine, Inner, Timings,
    cache::{CredentialCache, Lives},
    signing::Signing,
    upkeep,
};
use crate::{
    error::{Result, bail},
    http::{AddressPolicy, HostPort, ReqwestTransport},
    ids,
    manifest::{AppManifest, Catalog},
    model::{Environment, Tenant},
    plugin::{Clock, Connector, HttpTransport, KeyProvider, Presenter, Store, WorkflowRunner},
    project::{LoadedProject, ProjectSource, secrets::Secrets},
    sandbox::SandboxConnector,
    vault::{Aad, Vault},
};

/// Everything that an engine is made of.
pub struct EngineParts {
    /// Test or production.
    pub environment: Environment,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The master keys.
    pub keys: Arc<dyn KeyProvider>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// HTTP out; absent: the default one.
    pub transport: Option<Arc<dyn HttpTransport>>,
    /// The organisation's project.
    pub project: ProjectSource,
    /// Behaviour of applications as code.
    pub connectors: Vec<Arc<dyn Connector>>,
    /// Applications as data, beside the built-in ones and the project's folders.
    pub manifests: Vec<AppManifest>,
    /// Opens authorize pages.
    pub presenter: Option<Arc<dyn Presenter>>,
    /// Runs workflows.
    pub runner: Option<Arc<dyn WorkflowRunner>>,
    /// How long things take.
    pub timings: Timings,
    /// Where it is reached from outside, in place of the project's word.
    pub public_url: Option<String>,
    /// Whether deliveries to webhooks are sent from here.
    pub deliver_webhooks: bool,
}

impl Engine {
    /// Opens the engine.
    ///
    /// # Errors
    /// `key_wrong` (nothing is written), `project_invalid`, `manifest_invalid`, and the store's own.
    pub async fn open(parts: EngineParts) -> Result<Self> {
        let project = parts.project.current();
        let tenant = Tenant { org: project.project.org.id.clone(), environment: parts.environment };
        let vault = Vault::unlock(parts.store.clone(), parts.keys, &tenant.org, parts.clock.clone()).await.map(Arc::new)?;
        let signing = Signing::open(&*parts.store, &vault, &tenant, &*parts.clock).await?;
        let cursor_key = cursor_key(&*parts.store, &vault, &tenant).await?;
        let mut manifests = parts.manifests;
        let mut connectors: HashMap<String, Arc<dyn Connector>> = HashMap::new();
        for connector in parts.connectors {
            manifests.extend(connector.manifest());
            let slug = connector.slug().to_owned();
            if connectors.insert(slug.clone(), connector).is_some() {
                bail!(InvalidRequest, "two connectors are registered for `{slug}`");
            }
        }
        for builtin in SandboxConnector::all() {
            connectors.entry(builtin.slug().to_owned()).or_insert(builtin);
        }
        let catalog = Catalog::new(project.manifest_folders(), manifests)?;
        let (transport, policy): (Arc<dyn HttpTransport>, _) = match parts.transport {
            Some(transport) => (transport, None),
            None => {
                let transport = Arc::new(ReqwestTransport::new(AddressPolicy::default())?);
                (transport.clone(), Some(transport))
            }
        };
        let mut timings = parts.timings;
        // A call that could outlast its lease would never be begun.
        timings.provider = timings.provider.min(timings.lease * 3 / 4);
        let owner = ids::hex(&ids::random::<8>()?);
        let inner = Arc::new(Inner {
            tenant,
            owner,
            store: parts.store,
            vault,
            clock: parts.clock,
            transport,
            policy,
            project: parts.project,
            secrets: Secrets::default(),
            catalog,
            apps: super::apps::Apps::default(),
            connectors,
            presenter: parts.presenter,
            runner: parts.runner,
            cache: CredentialCache::new(timings.cached_credentials, timings.read_window),
            lives: Lives::new(timings.cached_credentials),
            ahead: super::ahead::Ahead::default(),
            forced: moka::sync::Cache::new(10_000),
            timings,
            delivers: parts.deliver_webhooks,
            public_url: parts.public_url,
            signing,
            cursor_key,
            sandbox: OnceCell::new(),
            flights: std::sync::Mutex::default(),
            authorities: std::sync::Mutex::default(),
            under_way: watch::Sender::new(0),
            changed: watch::Sender::new(0),
            outbox: Arc::new(Notify::new()),
            devices: Arc::new(Notify::new()),
            closed: AtomicBool::new(false),
            rotating: AtomicBool::new(false),
        });
        inner.apply_policy(&project);
        upkeep::start(&inner);
        super::ahead::start(&inner);
        Ok(Self(inner))
    }
}

impl Inner {
    /// Private addresses that may be called: the project's list, and the sandbox's own port.
    pub(super) fn address_policy(&self, project: &LoadedProject) -> Result<AddressPolicy> {
        let own = self.sandbox.get().map(crate::sandbox::Sandbox::origin);
        let sandbox = project.project.sandbox.url.as_deref().or(own.as_deref());
        let sandbox = sandbox.filter(|_| project.project.sandbox.enabled && self.tenant.environment == Environment::Test);
        let own_port = sandbox.and_then(|origin| HostPort::of(&url::Url::parse(origin).ok()?));
        Ok(own_port.into_iter().fold(AddressPolicy::new(&project.project.network)?, AddressPolicy::with))
    }

    /// Puts that policy into force.
    pub(super) fn apply_policy(&self, project: &LoadedProject) {
        if let Some(transport) = &self.policy {
            match self.address_policy(project) {
                Ok(policy) => transport.set_policy(policy),
                Err(error) => tracing::warn!(reason = error.reason(), "the address policy stays as it was"),
            }
        }
    }
}

/// What the key of cursors is bound to.
pub(super) fn cursor_key_aad(tenant: &Tenant) -> Aad {
    Aad::new(tenant, "meta").part("cursor_key")
}

/// Where the key of cursors stands in the store's meta rows.
pub(super) fn cursor_key_name(tenant: &Tenant) -> String {
    format!("cursor_key:{}:{}", tenant.org, tenant.environment)
}

/// The key that authenticates cursors, one per tenant, made once.
async fn cursor_key(store: &dyn Store, vault: &Arc<Vault>, tenant: &Tenant) -> Result<Zeroizing<[u8; 32]>> {
    let (aad, name) = (cursor_key_aad(tenant), cursor_key_name(tenant));
    let made = vault.seal(&aad, &*Zeroizing::new(ids::random::<32>()?))?;
    let known = {
        let name = name.clone();
        vault.read(store, move |tx| tx.meta(&name)).await?
    };
    let sealed = match known {
        Some(sealed) => sealed,
        None => {
            vault
                .write(store, move |tx| match tx.meta(&name)? {
                    Some(sealed) => Ok(sealed),
                    None => tx.set_meta(&name, &made).map(|()| made),
                })
                .await?
        }
    };
    let plain = vault.open(&aad, &sealed)?;
    let mut key = Zeroizing::new([0; 32]);
    if plain.len() != key.len() {
        bail!(StoreCorrupt, "the key of cursors is damaged");
    }
    key.copy_from_slice(&plain);
    Ok(key)
}
