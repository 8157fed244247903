#[cfg(feature = "embedded")]
use std::path::PathBuf;
use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::Account;
#[cfg(feature = "embedded")]
use super::Host;
use crate::{
    Result,
    backend::{
        Backend, Caller, Capabilities, CountAccounts, CreateApiKey, GetAccount, GetPortalProperties, GetProject, HandoffPreview,
        ListAccounts, ListApiKeys, ListAudit, ListEvents, OpenPortal, ParkCallback, ParkedCallback, PutAccount, RevokeApiKey, RotateKeys,
        TakeHandoff, VerifyApiKey, VerifySession,
    },
    model::{
        AccountUpdate, ApiKey, AuditEntry, Event, Json, KeyRotation, LinkedAccount, NewApiKey, Page, Portal, SessionInfo, StartedConnect,
        UpsertedAccount,
    },
    plugin::Presenter,
    project::{LoadedProject, Project},
    secret::Secret,
};
#[cfg(feature = "embedded")]
use crate::{
    engine::{Engine, EngineParts, Timings},
    manifest::AppManifest,
    model::Environment,
    plugin::{Clock, Connector, HttpTransport, KeyProvider, Store, SystemClock, WorkflowRunner},
    project::ProjectSource,
    store::{SqliteStore, StoreOptions},
    vault::{KeyRing, LocalKey},
};

/// One organisation in one environment. Cheap to clone.
#[derive(Clone)]
pub struct Smalt {
    backend: Arc<dyn Backend>,
    presenter: Option<Arc<dyn Presenter>>,
    pub(super) caller: Caller,
}

#[cfg(feature = "embedded")]
enum Place {
    File(PathBuf),
    Memory,
    Store(Arc<dyn Store>),
}

#[cfg(feature = "embedded")]
enum ProjectFrom {
    None,
    File(PathBuf),
    Value(Box<Project>),
}

/// Settings of an embedded engine; `open` makes it.
#[cfg(feature = "embedded")]
pub struct SmaltBuilder {
    place: Place,
    project: ProjectFrom,
    organisation: Option<String>,
    environment: Environment,
    keys: Option<Arc<dyn KeyProvider>>,
    clock: Arc<dyn Clock>,
    transport: Option<Arc<dyn HttpTransport>>,
    connectors: Vec<Arc<dyn Connector>>,
    manifests: Vec<AppManifest>,
    presenter: Option<Arc<dyn Presenter>>,
    runner: Option<Arc<dyn WorkflowRunner>>,
    timings: Timings,
    store_options: StoreOptions,
    public_url: Option<String>,
    deliver_webhooks: bool,
}

#[cfg(feature = "embedded")]
impl SmaltBuilder {
    fn new(place: Place) -> Self {
        Self {
            place,
            project: ProjectFrom::None,
            organisation: None,
            environment: Environment::Test,
            keys: None,
            clock: Arc::new(SystemClock::default()),
            transport: None,
            connectors: Vec::new(),
            manifests: Vec::new(),
            presenter: None,
            runner: None,
            timings: Timings::default(),
            store_options: StoreOptions::default(),
            public_url: None,
            deliver_webhooks: false,
        }
    }

    /// The project file; read again when it changes.
    #[must_use]
    pub fn project(mut self, path: impl Into<PathBuf>) -> Self {
        self.project = ProjectFrom::File(path.into());
        self
    }

    /// The project as a value.
    #[must_use]
    pub fn project_value(mut self, project: Project) -> Self {
        self.project = ProjectFrom::Value(Box::new(project));
        self
    }

    /// The organisation, in the place of the project's `org.id`: one project for several organisations on one store.
    #[must_use]
    pub fn organisation(mut self, id: impl Into<String>) -> Self {
        self.organisation = Some(id.into());
        self
    }

    /// Test (the default) or production.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Where master keys come from; default `SMALT_KEY`, then the file that `SMALT_KEY_FILE` names; see [`KeyRing::discover`].
    #[must_use]
    pub fn keys(mut self, keys: impl KeyProvider) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// Another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another way out.
    #[must_use]
    pub fn transport(mut self, transport: impl HttpTransport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Registers an application's behaviour.
    #[must_use]
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connectors.push(Arc::new(connector));
        self
    }

    /// Adds an application as data.
    #[must_use]
    pub fn manifest(mut self, manifest: AppManifest) -> Self {
        self.manifests.push(manifest);
        self
    }

    /// Opens authorize pages in `connect`.
    #[must_use]
    pub fn presenter(mut self, presenter: impl Presenter) -> Self {
        self.presenter = Some(Arc::new(presenter));
        self
    }

    /// Runs the organisation's workflows.
    #[must_use]
    pub fn workflow_runner(mut self, runner: impl WorkflowRunner) -> Self {
        self.runner = Some(Arc::new(runner));
        self
    }

    /// How long things take.
    #[must_use]
    pub fn timings(mut self, timings: Timings) -> Self {
        self.timings = timings;
        self
    }

    /// Where this engine is reached from outside, in place of the project's `org.public_url`; redirect URIs are built on it.
    #[must_use]
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Sends the organisation's webhooks from this engine, for as long as it is open. `smalt serve` does; of several engines on
    /// one store one is enough, and more share the work.
    #[must_use]
    pub fn deliver_webhooks(mut self) -> Self {
        self.deliver_webhooks = true;
        self
    }

    /// Settings of the SQLite store.
    #[must_use]
    pub fn store_options(mut self, options: StoreOptions) -> Self {
        self.store_options = options;
        self
    }

    /// Opens the engine.
    ///
    /// # Errors
    /// `key_missing`, `key_invalid`, `key_wrong`, `project_invalid`, `manifest_invalid`, `store_foreign`, `store_newer`,
    /// `store_corrupt`, `store_unavailable`.
    pub async fn open(self) -> Result<Smalt> {
        let (environment, parts) = (self.environment, self.parts()?);
        parts.engine(parts.project.source()?, environment, parts.store.clone()).await.map(Smalt::of)
    }

    /// Opens the store for several organisations and both environments; see [`Host`].
    ///
    /// # Errors
    /// As [`Self::open`], except those of the project and the keys' fit.
    pub fn host(self) -> Result<Host> {
        self.parts().map(Host::new)
    }

    fn parts(self) -> Result<Parts> {
        let keys = match self.keys {
            Some(keys) => keys,
            None => Arc::new(KeyRing::discover()?),
        };
        let project = OwnProject { from: self.project, organisation: self.organisation };
        // What is wrong with the project is said before a file is made.
        project.source()?;
        let store: Arc<dyn Store> = match self.place {
            Place::File(path) => Arc::new(SqliteStore::open(path, self.store_options)?),
            Place::Memory => Arc::new(SqliteStore::memory(self.store_options)?),
            Place::Store(store) => store,
        };
        Ok(Parts {
            store,
            project,
            keys,
            clock: self.clock,
            transport: self.transport,
            connectors: self.connectors,
            manifests: self.manifests,
            presenter: self.presenter,
            runner: self.runner,
            timings: self.timings,
            public_url: self.public_url,
            deliver_webhooks: self.deliver_webhooks,
        })
    }
}

/// The project that the builder was given.
#[cfg(feature = "embedded")]
pub(super) struct OwnProject {
    from: ProjectFrom,
    organisation: Option<String>,
}

#[cfg(feature = "embedded")]
impl OwnProject {
    /// Each engine has a source of its own: `set_project` of one changes no other.
    pub(super) fn source(&self) -> Result<ProjectSource> {
        let source = match &self.from {
            ProjectFrom::None => ProjectSource::value(Project::default(), "."),
            ProjectFrom::File(path) => ProjectSource::file(path),
            ProjectFrom::Value(project) => ProjectSource::value((**project).clone(), "."),
        }?;
        match &self.organisation {
            Some(id) => source.of_organisation(id),
            None => Ok(source),
        }
    }
}

/// What all engines of one store are made of.
#[cfg(feature = "embedded")]
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) project: OwnProject,
    keys: Arc<dyn KeyProvider>,
    clock: Arc<dyn Clock>,
    transport: Option<Arc<dyn HttpTransport>>,
    connectors: Vec<Arc<dyn Connector>>,
    manifests: Vec<AppManifest>,
    presenter: Option<Arc<dyn Presenter>>,
    runner: Option<Arc<dyn WorkflowRunner>>,
    timings: Timings,
    public_url: Option<String>,
    deliver_webhooks: bool,
}

#[cfg(feature = "embedded")]
impl Parts {
    pub(super) async fn engine(&self, project: ProjectSource, environment: Environment, store: Arc<dyn Store>) -> Result<Engine> {
        Engine::open(EngineParts {
            environment,
            store,
            keys: self.keys.clone(),
            clock: self.clock.clone(),
            transport: self.transport.clone(),
            project,
            connectors: self.connectors.clone(),
            manifests: self.manifests.clone(),
            presenter: self.presenter.clone(),
            runner: self.runner.clone(),
            timings: self.timings.clone(),
            public_url: self.public_url.clone(),
            deliver_webhooks: self.deliver_webhooks,
        })
        .await
    }
}

#[cfg(feature = "embedded")]
impl Smalt {
    /// The engine in this process, on an encrypted SQLite file that is made when it is missing.
    pub fn embedded(path: impl Into<PathBuf>) -> SmaltBuilder {
        SmaltBuilder::new(Place::File(path.into()))
    }

    /// The engine in this process, in memory: everything is gone when it is dropped.
    pub fn in_memory() -> SmaltBuilder {
        SmaltBuilder::new(Place::Memory)
    }

    /// The engine in this process, on a store of the host's.
    pub fn on_store(store: Arc<dyn Store>) -> SmaltBuilder {
        SmaltBuilder::new(Place::Store(store))
    }

    /// Offline and ready: memory, a throw-away key and the sandbox applications.
    ///
    /// # Errors
    /// Only when the operating system gives no random bytes or no loopback port.
    pub async fn sandbox() -> Result<Smalt> {
        let mut project = Project::default();
        project.sandbox.enabled = true;
        Self::in_memory()
            .project_value(project)
            .keys(LocalKey::generate()?)
            .presenter(crate::present::ScriptedConsent::allow("ada"))
            .open()
            .await
    }

    pub(super) fn of(engine: Engine) -> Smalt {
        let presenter = engine.presenter();
        Smalt { backend: Arc::new(engine), presenter, caller: Caller::Organisation("organisation".into()) }
    }
}

impl Smalt {
    pub(super) fn registered_presenter(&self) -> Option<Arc<dyn Presenter>> {
        self.presenter.clone()
    }

    /// Over any backend.
    pub fn over(backend: Arc<dyn Backend>) -> Smalt {
        Smalt { backend, presenter: None, caller: Caller::Organisation("organisation".into()) }
    }

    /// Over a backend that was made with a presenter.
    pub(crate) fn at(backend: Arc<dyn Backend>, presenter: Option<Arc<dyn Presenter>>) -> Smalt {
        Smalt { presenter, ..Self::over(backend) }
    }

    /// The same, with a name for the audit: who asks, e.g. `worker-3`.
    #[must_use]
    pub fn acting_as(&self, actor: &str) -> Smalt {
        Smalt { caller: Caller::Organisation(actor.into()), ..self.clone() }
    }

    /// What this backend can do.
    pub fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    /// Whether operations can work now: the store takes writes, and the keys seal and open.
    ///
    /// # Errors
    /// `store_busy`, `store_unavailable`, `closed`; what the key provider answers.
    pub async fn ready(&self) -> Result<()> {
        self.backend.ready().await
    }

    /// The doorway itself, for servers and bindings.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The organisation's authority over one linked account. No I/O: an unknown account is an error of the first verb.
    pub fn account(&self, id: impl Into<String>) -> Account {
        Account::new(self.backend.clone(), self.presenter.clone(), self.caller.clone(), id.into())
    }

    /// Makes a linked account.
    ///
    /// # Errors
    /// `linked_account_exists`, `invalid_id`.
    pub async fn create_account(&self, id: impl Into<String>, update: AccountUpdate) -> Result<LinkedAccount> {
        self.backend.create_account(&self.caller, PutAccount { id: id.into(), update }).await
    }

    /// Makes a linked account or changes it; tells whether it is new.
    ///
    /// # Errors
    /// `invalid_id`.
    pub async fn upsert_account(&self, id: impl Into<String>, update: AccountUpdate) -> Result<UpsertedAccount> {
        self.backend.upsert_account(&self.caller, PutAccount { id: id.into(), update }).await
    }

    /// Lists linked accounts, newest first.
    ///
    /// # Errors
    /// `invalid_cursor`.
    pub async fn list_accounts(&self, request: ListAccounts) -> Result<Page<LinkedAccount>> {
        self.backend.list_accounts(&self.caller, request).await
    }

    /// How many linked accounts there are; with a search, how many it finds.
    ///
    /// # Errors
    /// `closed`.
    pub async fn count_accounts(&self, search: Option<&str>) -> Result<u64> {
        self.backend.count_accounts(&self.caller, CountAccounts { search: search.map(ToOwned::to_owned) }).await
    }

    /// Deletes a linked account with everything of it, and queues the revocation of its grants.
    ///
    /// # Errors
    /// `linked_account_not_found`.
    pub async fn delete_account(&self, id: impl Into<String>) -> Result<()> {
        self.backend.delete_account(&self.caller, GetAccount { account: id.into() }).await
    }

    /// Makes an API key for a backend that speaks HTTP. The key is shown this once.
    ///
    /// # Errors
    /// `invalid_request` for a name that is empty or too long.
    pub async fn create_api_key(&self, name: impl Into<String>) -> Result<NewApiKey> {
        self.backend.create_api_key(&self.caller, CreateApiKey { name: name.into() }).await
    }

    /// The API keys, newest first, revoked ones included; without the keys themselves.
    ///
    /// # Errors
    /// `closed`.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        self.backend.list_api_keys(&self.caller, ListApiKeys {}).await
    }

    /// Ends an API key at once. False when it had ended already.
    ///
    /// # Errors
    /// `api_key_not_found`.
    pub async fn revoke_api_key(&self, id: impl Into<String>) -> Result<bool> {
        self.backend.revoke_api_key(&self.caller, RevokeApiKey { id: id.into() }).await
    }

    /// Which API key it is.
    ///
    /// # Errors
    /// `invalid_api_key`: one answer for every way a key can be wrong.
    pub async fn verify_api_key(&self, key: impl Into<Secret>) -> Result<ApiKey> {
        self.backend.verify_api_key(&self.caller, VerifyApiKey { key: key.into() }).await
    }

    /// Whose session token it is.
    ///
    /// # Errors
    /// `invalid_token`: one answer for every way a token can be wrong.
    pub async fn verify_session(&self, token: impl Into<Secret>) -> Result<SessionInfo> {
        self.backend.verify_session(&self.caller, VerifySession { token: token.into() }).await
    }

    /// The same, with the session's authority for the calls that follow at once: they do not look the token up again.
    ///
    /// # Errors
    /// As [`Self::verify_session`].
    pub async fn prove_session(&self, token: impl Into<Secret>) -> Result<(SessionInfo, Caller)> {
        self.backend.prove_session(&self.caller, VerifySession { token: token.into() }).await
    }

    /// Whether a session token says that it is under a signing key that is known here, from memory: for servers with several engines,
    /// so that they ask the right one first. It proves nothing; `false` where the backend would have to ask.
    pub fn knows_key_of(&self, token: &Secret) -> bool {
        self.backend.knows_key_of(token)
    }

    /// What a session token says, from memory, if its signature is good, and the session's authority: for servers that call an operation
    /// with it, which asks whether the session still counts. Until then it proves nothing; `None` where the backend would have to ask.
    pub fn try_session(&self, token: &Secret) -> Option<(SessionInfo, Caller)> {
        self.backend.try_session(token)
    }

    /// The project in force, from memory and not copied; absent where the backend would have to ask for it.
    pub fn try_project(&self) -> Option<Arc<LoadedProject>> {
        self.backend.try_project()
    }

    /// Whose handed-off connect a ticket stands for.
    ///
    /// # Errors
    /// `claim_invalid` for a ticket that is unknown, used or late.
    pub async fn handoff(&self, ticket: impl Into<Secret>) -> Result<HandoffPreview> {
        self.backend.get_handoff(&self.caller, TakeHandoff { ticket: ticket.into() }).await
    }

    /// Spends the ticket of a handed-off connect: set the answer's cookie in the browser that asked, and send it to the page.
    ///
    /// # Errors
    /// `claim_invalid` for a ticket that is unknown, used or late.
    pub async fn take_handoff(&self, ticket: impl Into<Secret>) -> Result<StartedConnect> {
        self.backend.take_handoff(&self.caller, TakeHandoff { ticket: ticket.into() }).await
    }

    /// Trades the ticket of a link to the hosted page for its session, as a server does that serves the page.
    ///
    /// # Errors
    /// `portal_link_invalid`: one answer for every way in which a link can be wrong.
    pub async fn open_portal(&self, ticket: impl Into<Secret>) -> Result<Portal> {
        self.backend.open_portal(&self.caller, OpenPortal { ticket: ticket.into() }).await
    }

    /// What was stored for the hosted page of a session; an empty object where nothing was.
    ///
    /// # Errors
    /// `invalid_token`: one answer for every way a token can be wrong.
    pub async fn portal_properties(&self, token: impl Into<Secret>) -> Result<Json> {
        self.backend.portal_properties(&self.caller, GetPortalProperties { token: token.into() }).await
    }

    /// Parks a provider's callback for a user who has yet to prove who it is.
    ///
    /// # Errors
    /// Those of a connect flow.
    pub async fn park_callback(&self, request: ParkCallback) -> Result<ParkedCallback> {
        self.backend.park_callback(&self.caller, request).await
    }

    /// One page of what happened since a cursor.
    ///
    /// # Errors
    /// `invalid_cursor`.
    pub async fn events_page(&self, request: ListEvents) -> Result<Page<Event>> {
        self.backend.events(&self.caller, request).await
    }

    /// What happened since a cursor, and what happens from now on.
    pub fn events(&self, since: Option<String>) -> EventStream {
        EventStream { smalt: self.clone(), since, ready: VecDeque::new() }
    }

    /// Who did what with secrets, newest first.
    ///
    /// # Errors
    /// `invalid_cursor`.
    pub async fn audit(&self, request: ListAudit) -> Result<Page<AuditEntry>> {
        self.backend.audit(&self.caller, request).await
    }

    /// Replaces the organisation's data keys, of both environments: new values have the new key at once, in every process;
    /// everything else is sealed anew while others go on working; then the replaced keys are dropped. Joins a rotation that is
    /// under way. It goes on when the caller goes away, and any process that has the store open carries it on after a kill.
    ///
    /// # Errors
    /// The key provider's, before anything was changed; the store's.
    pub async fn rotate_keys(&self, request: RotateKeys) -> Result<KeyRotation> {
        self.backend.rotate_keys(&self.caller, request).await
    }

    /// The project in force.
    ///
    /// # Errors
    /// `closed`.
    pub async fn project(&self) -> Result<Project> {
        self.backend.get_project(&self.caller, GetProject {}).await
    }

    /// Replaces the project of this engine until it is closed.
    ///
    /// # Errors
    /// `project_invalid`.
    pub async fn set_project(&self, project: Project) -> Result<()> {
        self.backend.set_project(&self.caller, project).await
    }

    /// Writes what is outstanding and releases the store. Later calls answer `closed`.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}

/// The log as a stream, at least once, in order. Keep an event's `cursor` to go on after a restart.
pub struct EventStream {
    smalt: Smalt,
    since: Option<String>,
    ready: VecDeque<Event>,
}

impl EventStream {
    /// The next event; waits for it.
    ///
    /// # Errors
    /// `invalid_cursor`, `closed`, and the store's.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.since = Some(event.cursor.clone());
                return Ok(event);
            }
            let request = ListEvents { since: self.since.clone(), limit: None, wait: Some(Duration::from_secs(20)) };
            self.ready.extend(self.smalt.events_page(request).await?.items);
        }
    }
}
