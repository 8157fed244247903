//! The doorway: one async method per operation. The embedded engine and the remote client implement it; handles, routes
//! and bindings call it.

mod requests;

use std::sync::Arc;

use async_trait::async_trait;

pub use requests::*;

use crate::{
    Secret,
    error::{Result, err},
    model::{
        ApiKey, Application, AuditEntry, Config, ConnectFlow, Connection, Credential, Event, Field, Json, LinkedAccount, NewApiKey, Page,
        Receipt, RuleColumns, SessionInfo, StartedConnect,
    },
    operations::Operation,
    plugin::HttpResponse,
    project::Project,
};

/// On whose authority a call is made.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The organisation itself. The name goes into the audit.
    Organisation(Arc<str>),
    /// The holder of a session token: one linked account, and fewer operations.
    Session(Secret),
}

/// What a backend can do beyond the operations themselves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Capabilities {
    /// `embedded` or `remote`.
    pub backend: String,
    /// The version of Smalt that does the work.
    pub version: String,
    /// The operations that are offered, by name.
    pub operations: Vec<String>,
    /// Whether `run_workflow` has a runner.
    pub workflows: bool,
    /// Whether `connect` can open the authorize page.
    pub presenter: bool,
}

macro_rules! backend {
    ($($(#[$doc:meta])* $name:ident: $operation:ident($request:ty) -> $answer:ty;)*) => {
        /// One method per row of the operations table. A method that a backend does not implement answers `unsupported`.
        #[async_trait]
        pub trait Backend: Send + Sync + 'static {
            /// What it can do.
            fn capabilities(&self) -> Capabilities;

            /// The ready twin of [`Backend::credential`]: from memory, without waiting; `None` when the call has to wait.
            fn try_credential(&self, caller: &Caller, request: &GetCredential) -> Option<Result<Arc<Credential>>> {
                let _ = (caller, request);
                None
            }

            /// Ends background work and releases the store. Later calls answer `closed`.
            async fn close(&self) {}

            $(
                $(#[$doc])*
                async fn $name(&self, caller: &Caller, request: $request) -> Result<$answer> {
                    let _ = (caller, request);
                    Err(unsupported(Operation::$operation))
                }
            )*
        }
    };
}

fn unsupported(operation: Operation) -> crate::Error {
    err!(Unsupported, "this backend does not offer `{}`", operation.row().name)
}

backend! {
    /// Makes a linked account. Errors: `linked_account_exists`, `invalid_id`.
    create_account: CreateAccount(PutAccount) -> LinkedAccount;
    /// Makes or changes a linked account; tells whether it is new.
    upsert_account: UpsertAccount(PutAccount) -> (LinkedAccount, bool);
    /// Reads a linked account. Errors: `linked_account_not_found`.
    get_account: Account(GetAccount) -> LinkedAccount;
    /// Lists linked accounts, newest first.
    list_accounts: ListAccounts(ListAccounts) -> Page<LinkedAccount>;
    /// Deletes a linked account with everything of it; queues the revocation of its grants.
    delete_account: DeleteAccount(GetAccount) -> ();
    /// Makes or reuses a session token.
    create_session: CreateSession(CreateSession) -> SessionInfo;
    /// Tells whose token it is. Errors: `invalid_token`, one answer for every way a token can be wrong.
    verify_session: VerifySession(VerifySession) -> SessionInfo;
    /// Ends a session at once; false when it had ended.
    revoke_session: RevokeSession(RevokeSession) -> bool;
    /// Makes an API key for a backend of the organisation; the key itself is shown this once.
    create_api_key: CreateApiKey(CreateApiKey) -> NewApiKey;
    /// Lists API keys without the keys themselves, newest first.
    list_api_keys: ListApiKeys(()) -> Vec<ApiKey>;
    /// Ends an API key at once; false when it had ended. Errors: `api_key_not_found`.
    revoke_api_key: RevokeApiKey(RevokeApiKey) -> bool;
    /// Tells which API key it is. Errors: `invalid_api_key`, one answer for every way a key can be wrong.
    verify_api_key: VerifyApiKey(VerifyApiKey) -> ApiKey;
    /// Lists the enabled applications.
    list_apps: ListApps(GetAccount) -> Vec<Application>;
    /// Describes one application. Errors: `application_not_found`.
    get_app: App(GetApp) -> Application;
    /// Begins an OAuth connect flow.
    start_connect: StartConnect(StartConnect) -> StartedConnect;
    /// Takes a provider's callback and parks its code until the user claims it (60 s at most).
    park_callback: ParkCallback(ParkCallback) -> ParkedCallback;
    /// Ends a connect flow for the user who came back.
    finish_connect: FinishConnect(FinishConnect) -> Connection;
    /// Reads a connect flow.
    get_flow: Flow(GetFlow) -> ConnectFlow;
    /// Waits for a connect flow's end, at most so long; answers it as it stands then.
    wait_flow: WaitFlow(WaitFlow) -> ConnectFlow;
    /// Cancels a connect flow.
    cancel_flow: CancelFlow(GetFlow) -> ConnectFlow;
    /// Verifies and saves what the user entered.
    connect_key: ConnectKey(ConnectKey) -> Connection;
    /// Takes over tokens or keys that were issued elsewhere.
    import_connection: ImportConnection(ImportConnection) -> Connection;
    /// Lists connections, default ones first.
    list_connections: ListConnections(ListConnections) -> Vec<Connection>;
    /// Reads one connection.
    get_connection: Connection(GetConnection) -> Connection;
    /// Makes a connection its application's default one.
    set_default_connection: SetDefaultConnection(GetConnection) -> Connection;
    /// A credential that is valid now. Errors: `not_connected`, `reauth_required`, `refresh_failed`.
    credential: Credential(GetCredential) -> Arc<Credential>;
    /// Sends an authenticated call; the provider's answer is returned whatever its status.
    request: Request(ApiRequest) -> HttpResponse;
    /// Removes connections and configs and queues the revocation, in one transaction.
    disconnect: Disconnect(Disconnect) -> Receipt;
    /// How the revocations of a disconnect ended.
    get_receipt: Receipt(GetReceipt) -> Receipt;
    /// Finds or makes a config.
    config: Config(FindConfig) -> Config;
    /// Reads a config; never makes one.
    get_config: GetConfig(GetConfig) -> Config;
    /// Changes a config.
    update_config: UpdateConfig(UpdateConfig) -> Config;
    /// Deletes a config; the connection stays.
    delete_config: DeleteConfig(GetConfig) -> ();
    /// The ids of an application's configs, newest first.
    list_configs: ListConfigs(GetApp) -> Vec<String>;
    /// One field with its choices resolved afresh.
    config_field: ConfigField(ConfigField) -> Field;
    /// Sets or clears one field.
    set_config_field: SetConfigField(SetConfigField) -> Field;
    /// The columns of a rule for a left side.
    rule_columns: RuleColumns(GetRuleColumns) -> RuleColumns;
    /// Hands an enabled workflow to the host's runner.
    run_workflow: RunWorkflow(RunWorkflow) -> Json;
    /// What happened since a cursor, oldest first; waits for the first event at most so long.
    events: Events(ListEvents) -> Page<Event>;
    /// Who did what with secrets, newest first.
    audit: Audit(ListAudit) -> Page<AuditEntry>;
    /// The project in force.
    get_project: Project(()) -> Project;
    /// Replaces the project of this engine until it is closed.
    set_project: SetProject(Project) -> ();
}
