//! The embedded engine: everything decided in the caller's process, on a store.
//!
//! Each file holds one subject. Rules that all of them keep: whatever has an effect outside runs detached from the
//! caller; whatever must not happen twice is decided inside one writing transaction; host code runs under `guarded`,
//! never inside a transaction.

mod accounts;
mod ahead;
mod api_keys;
mod apps;
mod cache;
mod configs;
mod connect;
mod connections;
mod credential;
mod deliveries;
mod device;
mod disconnect;
mod doorway;
#[cfg(test)]
mod elsewhere;
mod events;
mod exchange;
mod executions;
#[cfg(test)]
mod explore;
mod handoff;
mod health;
mod key_token;
mod oauth1;
mod open;
mod outbox;
mod own_credentials;
mod pages;
mod portal;
mod ready;
mod refresh;
mod registration;
mod renewal;
mod request;
mod rotation;
mod sealed;
mod sessions;
mod signing;
mod steps;
mod stream;
mod token;
#[cfg(test)]
mod unreached;
mod upkeep;
mod webhooks;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, OnceCell, oneshot, watch};

pub use events::event_position;
pub use open::EngineParts;

use crate::{
    Timestamp,
    backend::Caller,
    error::{Result, bail, err},
    expose::Seconds,
    ids,
    model::{EventType, Json, Tenant},
    operations::{Operation, Scope},
    plugin::{Clock, Connector, HttpTransport, JobAnswer, Presenter, Store, Tx, WorkflowRunner, WriteJob, answered, boxed, inherit},
    project::{ProjectSource, secrets::Secrets},
    runtime,
    sandbox::Sandbox,
    store::rows::{AuditRow, NewEvent},
    vault::Vault,
};

/// How long things take. The defaults are for production; tests shorten them. In JSON each is a number of seconds, and what is
/// left out keeps its default.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timings {
    /// How long a user may stay at the provider. Default 10 minutes.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub flow_lifetime: Duration,
    /// How long a parked code waits for its claim. Default 60 s.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub park: Duration,
    /// A provider's time for one call. Default 10 s; shorter than the lease.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub provider: Duration,
    /// How long a refresh may hold its connection. Default 14 s.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub lease: Duration,
    /// No second refresh within this time after a failed one. Default 30 s.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub cooldown: Duration,
    /// How often due connections are looked for, to renew them before their tokens end. Default once a second; `None` looks never in
    /// this engine. How they are renewed stands in the project: [`crate::project::RefreshSettings`].
    #[serde(deserialize_with = "Seconds::read")]
    #[schemars(with = "Option<Seconds>")]
    pub ahead: Option<Duration>,
    /// The first wait before a grant that the provider refuses for now is tried again; it doubles, up to a day. Default 5 minutes.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub suspended: Duration,
    /// A plugin's time for one call. Default 10 s.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub plugin: Duration,
    /// How often other processes' changes are looked for. Default 250 ms.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub poll: Duration,
    /// The first wait before a revocation is tried again; it doubles. Default 5 s.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub revoke_backoff: Duration,
    /// How often a revocation is tried. Default 14 (about 45 hours).
    pub revoke_attempts: u32,
    /// The first wait before a delivery to a webhook is tried again; it doubles, up to 6 hours, and is spread. Default 5 s.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub webhook_backoff: Duration,
    /// How often a delivery is tried. Default 14 (about 45 hours).
    pub webhook_attempts: u32,
    /// A webhook to which every try failed for so long is disabled. Default 3 days.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub webhook_patience: Duration,
    /// Reads of a credential within this time share one audit row, and so do calls with it. Default 60 s.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub read_window: Duration,
    /// How long events, the log of deliveries and runs of workflows are kept. Default 30 days.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub event_retention: Duration,
    /// How long ended flows and sessions are kept. Default 24 hours.
    #[serde(deserialize_with = "Seconds::read_some")]
    #[schemars(with = "Seconds")]
    pub flow_retention: Duration,
    /// How many credentials are kept in memory. Default 20,000.
    pub cached_credentials: u64,
}

impl Default for Timings {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            flow_lifetime: Duration::from_secs(600),
            park: Duration::from_secs(60),
            provider: Duration::from_secs(10),
            lease: Duration::from_secs(14),
            cooldown: Duration::from_secs(30),
            ahead: Some(Duration::from_secs(1)),
            suspended: Duration::from_secs(300),
            plugin: Duration::from_secs(10),
            poll: Duration::from_millis(250),
            revoke_backoff: Duration::from_secs(5),
            revoke_attempts: 14,
            webhook_backoff: Duration::from_secs(5),
            webhook_attempts: 14,
            webhook_patience: Duration::from_secs(3 * DAY),
            read_window: Duration::from_secs(60),
            event_retention: Duration::from_secs(30 * DAY),
            flow_retention: Duration::from_secs(DAY),
            cached_credentials: 20_000,
        }
    }
}

/// The embedded engine for one organisation in one environment. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    tenant: Tenant,
    /// Names this engine in leases: random, so that no two processes share it.
    owner: String,
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    transport: Arc<dyn HttpTransport>,
    /// The default transport's address policy; absent with a transport of the host.
    policy: Option<Arc<crate::http::ReqwestTransport>>,
    project: ProjectSource,
    /// The secrets of the organisation's clients.
    secrets: Secrets,
    catalog: crate::manifest::Catalog,
    apps: apps::Apps,
    connectors: HashMap<String, Arc<dyn Connector>>,
    presenter: Option<Arc<dyn Presenter>>,
    runner: Option<Arc<dyn WorkflowRunner>>,
    public_url: Option<String>,
    timings: Timings,
    /// Whether deliveries to webhooks are sent from here.
    delivers: bool,
    signing: signing::Signing,
    cursor_key: zeroize::Zeroizing<[u8; 32]>,
    sandbox: OnceCell<Sandbox>,
    cache: cache::CredentialCache,
    lives: cache::Lives,
    ahead: ahead::Ahead,
    /// How often a 401 had a connection renewed lately, and when last.
    forced: cache::Marks,
    flights: Mutex<HashMap<String, refresh::Flight>>,
    /// The origins of token URLs without placeholders.
    authorities: Mutex<HashMap<String, String>>,
    /// How much work with an effect is under way; closing waits for it.
    under_way: watch::Sender<usize>,
    /// Moves whenever something was written, here or in another process.
    changed: watch::Sender<u64>,
    /// Wakes the revocation worker.
    outbox: Arc<Notify>,
    /// Wakes whoever polls for device flows.
    devices: Arc<Notify>,
    closed: AtomicBool,
    /// Whether a rotation of keys is being carried on here.
    rotating: AtomicBool,
}

/// Counts work as under way until it is dropped, also by a panic.
struct UnderWay(Arc<Inner>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|n| *n -= 1);
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs work with an effect to its end, whatever becomes of the caller; closing waits for it.
    fn detached<T, W>(self: &Arc<Self>, work: W) -> impl Future<Output = Result<T>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        self.under_way.send_modify(|n| *n += 1);
        let under_way = UnderWay(self.clone());
        let (told, answer) = oneshot::channel();
        // In its place at once: it is large, and every layer around it would move it. And of one type for all: the runtime's part
        // of a task is made for each type of future anew.
        let work: BoxFuture<'static, ()> = Box::pin(async move {
            let _under_way = under_way;
            // Nobody may listen any more.
            let _ = told.send(work.await);
        });
        runtime::spawn(inherit(work));
        async move { answer.await.map_err(|_| err!(Internal, "work that was under way panicked"))? }
    }

    /// Waits for what is under way, for about as long as providers may take.
    async fn quiesce(&self) {
        let mut under_way = self.under_way.subscribe();
        let limit = self.exchange_limit();
        if tokio::time::timeout(limit, under_way.wait_for(|n| *n == 0)).await.is_err() {
            tracing::warn!("work was still under way when the engine was closed");
        }
    }

    /// Writes, then wakes whoever waits for changes.
    fn write<T, F>(&self, job: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static,
    {
        answered(self.do_write(boxed(job)))
    }

    async fn do_write(&self, job: WriteJob) -> Result<JobAnswer> {
        let answer = self.vault.run(&*self.store, true, job).await?;
        self.changed.send_modify(|n| *n += 1);
        Ok(answer)
    }

    fn read<T, F>(&self, job: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static,
    {
        self.vault.read(&*self.store, job)
    }

    /// Whether the caller may do this to that account, and who it is for the audit.
    async fn authorize(&self, operation: Operation, caller: &Caller, account: &str) -> Result<String> {
        if self.closed.load(Ordering::Acquire) {
            bail!(Closed, "the engine was closed");
        }
        let token = match caller {
            Caller::Organisation(actor) => return Ok(actor.to_string()),
            Caller::Session(token) => token,
            Caller::Proved(proof) => &proof.token,
        };
        let (session, own) = self.session_behind(token, caller.proof()).await?;
        if operation.row().scope == Scope::Organisation || own != account {
            return Err(crate::Error::code_only(crate::Code::Forbidden).with("operation", operation.row().name));
        }
        Ok(format!("session:{session}"))
    }

    fn flights(&self) -> std::sync::MutexGuard<'_, HashMap<String, refresh::Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The linked account must exist: a typo must not make a customer.
fn require_account(tx: &mut dyn Tx, tenant: &Tenant, account: &str) -> Result<crate::store::rows::AccountRow> {
    tx.account(tenant, account)?.ok_or_else(|| {
        err!(LinkedAccountNotFound, "no linked account `{}` in the {} environment", account.escape_debug(), tenant.environment)
            .with("account", account.escape_debug())
    })
}

/// What the log and the audit say about one deed.
#[derive(Clone)]
struct About {
    tenant: Tenant,
    now: Timestamp,
    actor: String,
    account: String,
    application: Option<String>,
}

impl About {
    fn event(&self, tx: &mut dyn Tx, event_type: EventType, data: &Json) -> Result<()> {
        let event = NewEvent {
            id: ids::new_id(self.now)?,
            event_type: event_type.as_str().to_owned(),
            // What is about no account names none.
            account_id: Some(self.account.clone()).filter(|account| !account.is_empty()),
            application: self.application.clone(),
            data_json: data.to_string(),
            at: self.now.millis(),
        };
        tx.append_event(&self.tenant, &event).map(drop)
    }

    fn audit(&self, tx: &mut dyn Tx, action: &str, connection: Option<&str>, detail: &Json) -> Result<i64> {
        let row = AuditRow {
            seq: 0,
            action: action.to_owned(),
            actor: self.actor.clone(),
            account_id: Some(self.account.clone()).filter(|account| !account.is_empty()),
            application: self.application.clone(),
            connection_id: connection.map(ToOwned::to_owned),
            count: 1,
            detail_json: detail.to_string(),
            at: self.now.millis(),
        };
        tx.append_audit(&self.tenant, &row)
    }
}

impl Inner {
    fn about(&self, actor: String, account: &str, application: Option<&str>) -> About {
        About {
            tenant: self.tenant.clone(),
            now: self.now(),
            actor,
            account: account.to_owned(),
            application: application.map(ToOwned::to_owned),
        }
    }
}

/// The end of a wait of any length, also of one that no clock can count to.
fn end_of(wait: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    Instant::now() + wait.min(CENTURY)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
