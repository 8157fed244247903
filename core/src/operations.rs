//! The operations table: one row per operation of the doorway. Backends, routes, bindings and docs are checked against it.

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Anyone; the operation brings its own proof.
    Public,
    /// A session token, for its own linked account; and the organisation.
    Account,
    /// The organisation only: an embedded handle, or an API key.
    Organisation,
}

impl Scope {
    /// The stable string form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Public => "public",
            Scope::Account => "account",
            Scope::Organisation => "organisation",
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct OperationRow {
    /// The name, the same in every language.
    pub name: &'static str,
    /// Who may call it.
    pub scope: Scope,
    /// Whether it has a synchronous twin that answers from memory.
    pub ready: bool,
    /// The version that brought it.
    pub since: &'static str,
    /// What it does.
    pub about: &'static str,
}

macro_rules! operations {
    ($($name:ident = $text:literal, $scope:ident, $ready:literal, $since:literal, $about:literal;)*) => {
        /// Every operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Operation { $(#[doc = $about] $name,)* }

        impl Operation {
            /// All operations, in the table's order.
            pub const ALL: &'static [Operation] = &[$(Operation::$name,)*];

            /// The operation of this name.
            pub fn named(name: &str) -> Option<Operation> {
                match name { $($text => Some(Operation::$name),)* _ => None }
            }

            /// The row of the table.
            pub const fn row(self) -> OperationRow {
                match self { $(Operation::$name => OperationRow {
                    name: $text, scope: Scope::$scope, ready: $ready, since: $since, about: $about,
                },)* }
            }
        }
    };
}

impl Operation {
    /// Why an engine in the caller's own process alone offers it; `None` where every backend does.
    pub const fn embedded_only(self) -> Option<&'static str> {
        match self {
            Operation::RotateKeys => Some("it needs the master keys, which stay where the engine runs: `smalt keys rotate` does it there"),
            Operation::SetProject => {
                Some("the project says where a server may go and whom it trusts: change its file where the engine runs")
            }
            _ => None,
        }
    }

    /// The answer of everything that is no engine in the caller's own process, if this operation has none there.
    ///
    /// # Errors
    /// `unsupported`, with the reason.
    pub fn offered_remotely(self) -> crate::Result<()> {
        match self.embedded_only() {
            None => Ok(()),
            Some(why) => Err(crate::error::err!(Unsupported, "an embedded engine alone offers `{}`; {why}", self.row().name)
                .with("operation", self.row().name)),
        }
    }
}

operations! {
    CreateAccount = "create_account", Organisation, false, "0.1", "Makes a linked account; an error when it exists.";
    UpsertAccount = "upsert_account", Organisation, false, "0.1", "Makes a linked account or changes it.";
    Account = "get_account", Account, false, "0.1", "Reads a linked account.";
    ListAccounts = "list_accounts", Organisation, false, "0.1", "Lists linked accounts, newest first.";
    CountAccounts = "count_accounts", Organisation, false, "0.1", "Counts linked accounts.";
    DeleteAccount = "delete_account", Organisation, false, "0.1", "Deletes a linked account and everything of it; grants are revoked.";
    CreateSession = "create_session", Organisation, false, "0.1", "Makes or reuses a session token of a linked account.";
    VerifySession = "verify_session", Public, false, "0.1", "Tells whose session token it is, or refuses it.";
    RevokeSession = "revoke_session", Account, false, "0.1", "Ends a session at once.";
    PortalUrl = "portal_url", Account, false, "0.1", "Makes a link to the hosted page for a linked account.";
    OpenPortal = "open_portal", Public, false, "0.1", "Trades the ticket of a link to the hosted page for its session.";
    PortalProperties = "portal_properties", Public, false, "0.1", "Reads what was stored for the hosted page of a session.";
    CreateApiKey = "create_api_key", Organisation, false, "0.1", "Makes an API key for a backend; it is shown this once.";
    ListApiKeys = "list_api_keys", Organisation, false, "0.1", "Lists API keys without the keys themselves.";
    RevokeApiKey = "revoke_api_key", Organisation, false, "0.1", "Ends an API key at once.";
    VerifyApiKey = "verify_api_key", Public, false, "0.1", "Tells which API key it is, or refuses it.";
    ListApps = "list_apps", Account, false, "0.1", "Lists the enabled applications with their status for the linked account.";
    App = "get_app", Account, false, "0.1", "Describes one application for the linked account.";
    StartConnect = "start_connect", Account, false, "0.1", "Begins an OAuth connect flow.";
    HandOffConnect = "hand_off_connect", Account, false, "0.1", "Begins an OAuth connect flow for a browser that the caller does not hold.";
    GetHandoff = "get_handoff", Public, false, "0.1", "Tells whose handed-off connect a ticket stands for.";
    TakeHandoff = "take_handoff", Public, false, "0.1", "Spends the ticket of a handed-off connect for the browser that shows it.";
    ParkCallback = "park_callback", Public, false, "0.1", "Takes a provider's callback and keeps its code, sealed and briefly, until the user claims it.";
    FinishConnect = "finish_connect", Account, false, "0.1", "Ends a connect flow for the user who came back.";
    Flow = "get_flow", Account, false, "0.1", "Reads a connect flow.";
    WaitFlow = "wait_flow", Account, false, "0.1", "Waits for a connect flow's end.";
    CancelFlow = "cancel_flow", Account, false, "0.1", "Cancels a connect flow.";
    ConnectKey = "connect_key", Account, false, "0.1", "Verifies and saves what the user entered.";
    ImportConnection = "import_connection", Organisation, false, "0.1", "Takes over a token that was issued elsewhere.";
    ListConnections = "list_connections", Account, false, "0.1", "Lists connections of a linked account.";
    Connection = "get_connection", Account, false, "0.1", "Reads one connection.";
    SetDefaultConnection = "set_default_connection", Account, false, "0.1", "Makes a connection its application's default one.";
    Credential = "credential", Organisation, true, "0.1", "Answers a credential that is valid now, renewed if needed.";
    Request = "request", Organisation, false, "0.1", "Sends an authenticated call to the application.";
    RequestPage = "request_page", Organisation, false, "0.1", "Sends an authenticated call for one page of a provider's list.";
    Disconnect = "disconnect", Account, false, "0.1", "Removes connections and configs, and queues the revocation.";
    Receipt = "get_receipt", Account, false, "0.1", "Tells how a disconnect's revocations ended.";
    Config = "config", Account, false, "0.1", "Finds or makes a config.";
    GetConfig = "get_config", Account, false, "0.1", "Reads a config; never makes one.";
    UpdateConfig = "update_config", Account, false, "0.1", "Changes values and switches of a config.";
    DeleteConfig = "delete_config", Account, false, "0.1", "Deletes a config; the connection stays.";
    ListConfigs = "list_configs", Account, false, "0.1", "Lists the ids of an application's configs.";
    ConfigField = "config_field", Account, false, "0.1", "Reads one field with its choices resolved afresh.";
    SetConfigField = "set_config_field", Account, false, "0.1", "Sets or clears one field.";
    RuleColumns = "rule_columns", Account, false, "0.1", "Answers the columns of a rule for a left side.";
    PutOwnCredentials = "put_own_credentials", Account, false, "0.1", "Replaces the linked account's credentials for the organisation's own application.";
    SetOwnCredential = "set_own_credential", Account, false, "0.1", "Sets or removes one of these credentials.";
    OwnCredentials = "own_credentials", Organisation, false, "0.1", "Answers these credentials.";
    ExecuteWorkflow = "execute_workflow", Account, false, "0.1", "Runs an enabled workflow, and answers the run.";
    ListExecutions = "list_executions", Account, false, "0.1", "Lists runs of workflows, newest first.";
    GetExecution = "get_execution", Account, false, "0.1", "Reads one run of a workflow.";
    RunWorkflow = "run_workflow", Organisation, false, "0.1", "Hands an enabled workflow to the host's runner.";
    Events = "events", Organisation, false, "0.1", "Reads the durable log of what happened.";
    Audit = "audit", Organisation, false, "0.1", "Reads who did what with secrets.";
    CreateWebhook = "create_webhook", Organisation, false, "0.1", "Makes a webhook; the secret that signs its deliveries is shown this once.";
    ListWebhooks = "list_webhooks", Organisation, false, "0.1", "Lists webhooks, oldest first.";
    UpdateWebhook = "update_webhook", Organisation, false, "0.1", "Changes a webhook.";
    DeleteWebhook = "delete_webhook", Organisation, false, "0.1", "Deletes a webhook with its deliveries.";
    RotateWebhookSecret = "rotate_webhook_secret", Organisation, false, "0.1", "Replaces a webhook's secret; the old one signs on for a while.";
    ListDeliveries = "list_deliveries", Organisation, false, "0.1", "Lists what was and is to be sent to a webhook, newest first.";
    Redeliver = "redeliver", Organisation, false, "0.1", "Sends a delivery again.";
    RotateKeys = "rotate_keys", Organisation, false, "0.1", "Replaces the data keys and seals everything anew while others go on working.";
    Project = "get_project", Organisation, false, "0.1", "Reads the project.";
    SetProject = "set_project", Organisation, false, "0.1", "Replaces the project of this engine.";
}
