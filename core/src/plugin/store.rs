use std::any::Any;

use async_trait::async_trait;

use crate::{
    Result,
    error::err,
    model::Tenant,
    store::rows::{
        AccountRow, ApiKeyRow, AuditRow, ClientRow, ConfigRow, ConnectionRow, DataKeyRow, DeliveryRow, EventRow, ExecutionRow, FlowRow,
        NewEvent, OwnCredentialsRow, PortalLinkRow, PortalPropertiesRow, ReceiptRow, RegistrationRow, RevocationRow, SealedPage,
        SealedTable, SessionRow, SigningKeyRow, WebhookRow,
    },
};

/// What a job answers, with its type erased.
pub type JobAnswer = Box<dyn Any + Send>;
/// Work inside one writing transaction.
pub type WriteJob = Box<dyn FnOnce(&mut dyn Tx) -> Result<JobAnswer> + Send>;
/// Work on one consistent snapshot.
pub type ReadJob = Box<dyn FnOnce(&mut dyn Tx) -> Result<JobAnswer> + Send>;

/// Where everything is kept. Default: SQLite.
///
/// A write job sees and changes the store as if it ran alone (serialisable), all or nothing, and its answer leaves only
/// after the commit is durable. Jobs hold no host code and do no other I/O. A store keeps sealed bytes; it never sees a secret.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Runs a job in a writing transaction.
    ///
    /// # Errors
    /// The job's own; `store_busy`, `store_unavailable`, `store_corrupt`.
    async fn write(&self, job: WriteJob) -> Result<JobAnswer>;

    /// Runs a job that only reads.
    ///
    /// # Errors
    /// The job's own; `store_unavailable`, `store_corrupt`.
    async fn read(&self, job: ReadJob) -> Result<JobAnswer>;

    /// A number that differs from the last answer when another process has written since. Cheap.
    ///
    /// # Errors
    /// `store_unavailable`.
    async fn foreign_version(&self) -> Result<i64>;

    /// Ends outstanding work and releases the store.
    async fn close(&self);
}

/// Typed calls over the boxed jobs.
#[async_trait]
pub trait StoreExt {
    /// [`Store::write`] with a typed answer.
    ///
    /// # Errors
    /// As [`Store::write`].
    async fn write_with<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static;

    /// [`Store::read`] with a typed answer.
    ///
    /// # Errors
    /// As [`Store::read`].
    async fn read_with<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static;
}

pub(crate) fn boxed<T: Send + 'static>(job: impl FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static) -> WriteJob {
    Box::new(move |tx| job(tx).map(|answer| Box::new(answer) as JobAnswer))
}

pub(crate) fn typed<T: 'static>(answer: JobAnswer) -> Result<T> {
    answer.downcast().map(|b| *b).map_err(|_| err!(Internal, "a store answered a job with another job's type"))
}

/// A job's answer once it is there: one future for all jobs that answer alike, where an `async` function would have one for each.
pub(crate) async fn answered<T: 'static>(work: impl Future<Output = Result<JobAnswer>>) -> Result<T> {
    typed(work.await?)
}

#[async_trait]
impl StoreExt for dyn Store {
    async fn write_with<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static,
    {
        answered(self.write(boxed(job))).await
    }

    async fn read_with<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static,
    {
        answered(self.read(boxed(job))).await
    }
}

/// The rows, by transaction. Every call names the tenant: there is no way to read across.
#[allow(missing_docs)] // the names say it; semantics where they are not obvious stand beside the method
pub trait Tx {
    // Facts about the store itself.
    fn meta(&mut self, key: &str) -> Result<Option<Vec<u8>>>;
    fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<()>;

    // Keys. The newest row is the one to seal and sign with.
    fn data_keys(&mut self, org: &str) -> Result<Vec<DataKeyRow>>;
    fn insert_data_key(&mut self, row: &DataKeyRow) -> Result<()>;
    fn signing_keys(&mut self, tenant: &Tenant) -> Result<Vec<SigningKeyRow>>;
    fn insert_signing_key(&mut self, tenant: &Tenant, row: &SigningKeyRow) -> Result<()>;
    /// Those that sign now are good until the last session under them has ended, and for `grace` milliseconds more.
    fn retire_signing_keys(&mut self, tenant: &Tenant, now: i64, grace: i64) -> Result<()>;
    /// Erases those that counted no more before this time, of every tenant.
    fn delete_signing_keys_before(&mut self, retired_before: i64) -> Result<u64>;

    // Rotation of keys.
    /// The data keys of every organisation in the store.
    fn all_data_keys(&mut self) -> Result<Vec<DataKeyRow>>;
    /// Replaces how a data key is wrapped; false when it is not there as `seen` any more.
    fn rewrap_data_key(&mut self, seen: &DataKeyRow, master_key_id: &str, wrapped: &[u8]) -> Result<bool>;
    /// From now on no value that begins with `head` is taken any more; what is there stays.
    fn close_data_key(&mut self, org: &str, head: &[u8], now: i64) -> Result<()>;
    fn delete_data_key(&mut self, org: &str, key_id: &str) -> Result<()>;
    /// The organisation's rows after this place whose value is not empty and begins otherwise than `head`, out of at most
    /// `limit` rows of any organisation.
    fn sealed_otherwise(&mut self, org: &str, table: SealedTable, head: &[u8], after: i64, limit: u32) -> Result<SealedPage>;
    /// How many rows of the organisation have a sealed value.
    fn count_sealed(&mut self, org: &str) -> Result<u64>;
    /// Replaces the sealed value of the row at this place, and nothing else of it.
    fn reseal(&mut self, table: SealedTable, place: i64, sealed: &[u8]) -> Result<()>;
    fn reseal_signing_key(&mut self, tenant: &Tenant, kid: &str, sealed: &[u8]) -> Result<()>;

    // Keys of backends for the HTTP API.
    fn api_key_by_hash(&mut self, tenant: &Tenant, hash: &str) -> Result<Option<ApiKeyRow>>;
    /// Newest first, revoked ones included.
    fn api_keys(&mut self, tenant: &Tenant) -> Result<Vec<ApiKeyRow>>;
    fn put_api_key(&mut self, tenant: &Tenant, row: &ApiKeyRow) -> Result<()>;

    // Linked accounts.
    fn account(&mut self, tenant: &Tenant, id: &str) -> Result<Option<AccountRow>>;
    /// Inserts or replaces.
    fn put_account(&mut self, tenant: &Tenant, row: &AccountRow) -> Result<()>;
    /// Ordered by `(created_at, id)`, newest first, after the given key; `search` matches a part of id or name.
    fn accounts(
        &mut self,
        tenant: &Tenant,
        after: Option<(i64, String)>,
        skip: u64,
        limit: u32,
        search: Option<&str>,
    ) -> Result<Vec<AccountRow>>;
    fn count_accounts(&mut self, tenant: &Tenant, search: Option<&str>) -> Result<u64>;
    /// Deletes the account with its sessions, flows, connections and configs. Receipts and revocations stay.
    fn delete_account(&mut self, tenant: &Tenant, id: &str) -> Result<bool>;

    // Sessions.
    fn session(&mut self, tenant: &Tenant, id: &str) -> Result<Option<SessionRow>>;
    /// The unrevoked one that ends last.
    fn newest_session(&mut self, tenant: &Tenant, account: &str) -> Result<Option<SessionRow>>;
    fn insert_session(&mut self, tenant: &Tenant, row: &SessionRow) -> Result<()>;
    /// False when it is unknown or was revoked already.
    fn revoke_session(&mut self, tenant: &Tenant, id: &str, now: i64) -> Result<bool>;
    fn delete_sessions_before(&mut self, expired_before: i64, limit: u32) -> Result<u64>;

    // Links to the hosted page. They go with their session.
    fn portal_link(&mut self, tenant: &Tenant, hash: &str) -> Result<Option<PortalLinkRow>>;
    fn insert_portal_link(&mut self, tenant: &Tenant, row: &PortalLinkRow) -> Result<()>;
    /// False when it is not there, or not any more.
    fn delete_portal_link(&mut self, tenant: &Tenant, hash: &str) -> Result<bool>;
    fn portal_properties(&mut self, tenant: &Tenant, session: &str) -> Result<Option<PortalPropertiesRow>>;
    /// Inserts or replaces.
    fn put_portal_properties(&mut self, tenant: &Tenant, row: &PortalPropertiesRow) -> Result<()>;

    // Connect flows.
    fn flow(&mut self, tenant: &Tenant, id: &str) -> Result<Option<FlowRow>>;
    fn flow_by_state(&mut self, tenant: &Tenant, state_hash: &str) -> Result<Option<FlowRow>>;
    /// Marks the state as used in one statement and answers the row as it was; `None` when unknown or used before.
    fn consume_state(&mut self, tenant: &Tenant, state_hash: &str) -> Result<Option<FlowRow>>;
    /// The flow that can be claimed so, or was handed off so.
    fn flow_by_claim(&mut self, tenant: &Tenant, claim_hash: &str) -> Result<Option<FlowRow>>;
    /// Clears the claim in one statement and answers the row as it was; `None` when unknown or used before.
    fn consume_claim(&mut self, tenant: &Tenant, claim_hash: &str) -> Result<Option<FlowRow>>;
    fn put_flow(&mut self, tenant: &Tenant, row: &FlowRow) -> Result<()>;
    /// Flows of this status that began before; for reaping and for finding interrupted ones.
    fn flows_before(&mut self, status: &str, changed_before: i64, limit: u32) -> Result<Vec<(Tenant, FlowRow)>>;
    fn delete_flows_before(&mut self, created_before: i64, limit: u32) -> Result<u64>;

    // Connections.
    fn connection(&mut self, tenant: &Tenant, id: &str) -> Result<Option<ConnectionRow>>;
    /// Of one account, of one application if given; the default one of each application first, then oldest first.
    fn connections(&mut self, tenant: &Tenant, account: &str, application: Option<&str>) -> Result<Vec<ConnectionRow>>;
    /// All that share a provider's grant, of any account of the tenant.
    fn connections_by_grant(&mut self, tenant: &Tenant, grant_key: &str) -> Result<Vec<ConnectionRow>>;
    fn put_connection(&mut self, tenant: &Tenant, row: &ConnectionRow) -> Result<()>;
    /// [`Tx::put_connection`] of a row that stands in the store as `before` since this transaction read it: only what differs need
    /// be written. Identity (id, account, application) stays.
    fn change_connection(&mut self, tenant: &Tenant, before: &ConnectionRow, after: &ConnectionRow) -> Result<()> {
        let _ = before;
        self.put_connection(tenant, after)
    }
    fn delete_connection(&mut self, tenant: &Tenant, id: &str) -> Result<bool>;
    /// Of one application, those whose `renew_at` has come, the longest due first.
    fn due_connections(&mut self, tenant: &Tenant, application: &str, now: i64, limit: u32) -> Result<Vec<ConnectionRow>>;
    /// Notes when a connection was last used; nothing else of it changes.
    fn touch_connection(&mut self, tenant: &Tenant, id: &str, used_at: i64) -> Result<()>;

    // How the organisation's clients stand.
    fn client(&mut self, tenant: &Tenant, application: &str, client_key: &str, authority: &str) -> Result<Option<ClientRow>>;
    /// All of one application, or of all.
    fn clients(&mut self, tenant: &Tenant, application: Option<&str>) -> Result<Vec<ClientRow>>;
    fn put_client(&mut self, tenant: &Tenant, row: &ClientRow) -> Result<()>;

    // Clients that were registered by protocol.
    /// The client of this key at this place; with an empty key what is known of the place.
    fn registration(&mut self, tenant: &Tenant, application: &str, authority: &str, client_key: &str) -> Result<Option<RegistrationRow>>;
    fn put_registration(&mut self, tenant: &Tenant, row: &RegistrationRow) -> Result<()>;
    /// Places where nothing was ever registered and nothing was tried since; of every tenant.
    fn delete_registrations_before(&mut self, next_before: i64, limit: u32) -> Result<u64>;

    // Configs.
    fn config(&mut self, tenant: &Tenant, account: &str, application: &str, config_id: &str) -> Result<Option<ConfigRow>>;
    /// Newest first.
    fn configs(&mut self, tenant: &Tenant, account: &str, application: &str) -> Result<Vec<ConfigRow>>;
    fn put_config(&mut self, tenant: &Tenant, row: &ConfigRow) -> Result<()>;
    fn delete_config(&mut self, tenant: &Tenant, account: &str, application: &str, config_id: &str) -> Result<bool>;
    /// Every config of the account for the application; answers their ids.
    fn delete_configs(&mut self, tenant: &Tenant, account: &str, application: &str) -> Result<Vec<String>>;

    // Disconnects.
    fn receipt(&mut self, tenant: &Tenant, id: &str) -> Result<Option<ReceiptRow>>;
    fn put_receipt(&mut self, tenant: &Tenant, row: &ReceiptRow) -> Result<()>;
    fn put_revocation(&mut self, tenant: &Tenant, row: &RevocationRow) -> Result<()>;
    fn revocation(&mut self, tenant: &Tenant, id: &str) -> Result<Option<RevocationRow>>;
    /// Queued ones of one account for one application, leased or not.
    fn queued_revocations(&mut self, tenant: &Tenant, account: &str, application: &str) -> Result<Vec<RevocationRow>>;
    /// Queued ones that name this grant, leased or not.
    fn queued_revocations_by_grant(&mut self, tenant: &Tenant, grant_key: &str) -> Result<Vec<RevocationRow>>;
    /// Queued ones of this organisation and environment whose time has come, oldest first.
    fn due_revocations(&mut self, tenant: &Tenant, now: i64, limit: u32) -> Result<Vec<RevocationRow>>;

    // Credentials for the organisation's own application.
    fn own_credentials(&mut self, tenant: &Tenant, account: &str) -> Result<Option<OwnCredentialsRow>>;
    fn put_own_credentials(&mut self, tenant: &Tenant, row: &OwnCredentialsRow) -> Result<()>;

    // Runs of workflows.
    fn execution(&mut self, tenant: &Tenant, id: &str) -> Result<Option<ExecutionRow>>;
    /// Of one account, newest first, before the given place.
    fn executions(&mut self, tenant: &Tenant, account: &str, before: Option<(i64, String)>, limit: u32) -> Result<Vec<ExecutionRow>>;
    fn put_execution(&mut self, tenant: &Tenant, row: &ExecutionRow) -> Result<()>;
    /// Running ones that began before, of any tenant: whoever ran them is gone.
    fn lost_executions(&mut self, begun_before: i64, limit: u32) -> Result<Vec<(Tenant, ExecutionRow)>>;
    /// Ended ones only.
    fn delete_executions_before(&mut self, created_before: i64, limit: u32) -> Result<u64>;

    // Webhooks.
    /// Oldest first.
    fn webhooks(&mut self, tenant: &Tenant) -> Result<Vec<WebhookRow>>;
    fn webhook(&mut self, tenant: &Tenant, id: &str) -> Result<Option<WebhookRow>>;
    fn put_webhook(&mut self, tenant: &Tenant, row: &WebhookRow) -> Result<()>;
    /// With its deliveries.
    fn delete_webhook(&mut self, tenant: &Tenant, id: &str) -> Result<bool>;
    fn put_delivery(&mut self, tenant: &Tenant, row: &DeliveryRow) -> Result<()>;
    fn delivery(&mut self, tenant: &Tenant, id: &str) -> Result<Option<DeliveryRow>>;
    /// Queued ones of one webhook whose time has come, the longest due first, then in the log's order.
    fn due_deliveries(&mut self, tenant: &Tenant, webhook: &str, now: i64, limit: u32) -> Result<Vec<DeliveryRow>>;
    /// Of one webhook, newest first, before the given number of the log.
    fn deliveries(&mut self, tenant: &Tenant, webhook: &str, before: Option<i64>, limit: u32) -> Result<Vec<DeliveryRow>>;
    /// Ends all queued ones of a webhook.
    fn fail_deliveries(&mut self, tenant: &Tenant, webhook: &str, error_code: &str, now: i64) -> Result<u64>;
    /// Ended ones only.
    fn delete_deliveries_before(&mut self, created_before: i64, limit: u32) -> Result<u64>;

    // The log.
    fn append_event(&mut self, tenant: &Tenant, event: &NewEvent) -> Result<i64>;
    fn events_after(&mut self, tenant: &Tenant, seq: i64, limit: u32) -> Result<Vec<EventRow>>;
    /// The newest event's number, 0 when there is none.
    fn last_event(&mut self) -> Result<i64>;
    fn delete_events_before(&mut self, at: i64, limit: u32) -> Result<u64>;

    // The audit.
    fn append_audit(&mut self, tenant: &Tenant, row: &AuditRow) -> Result<i64>;
    fn add_audit_count(&mut self, seq: i64, by: u64) -> Result<()>;
    /// Newest first, before the given number.
    fn audit_before(&mut self, tenant: &Tenant, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>>;
}
