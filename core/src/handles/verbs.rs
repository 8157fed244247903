//! What an account and its session have in common.

/// The verbs of one linked account that its own session has too.
macro_rules! account_verbs {
    () => {
        /// The enabled applications with their status.
        ///
        /// # Errors
        /// `linked_account_not_found`.
        pub async fn apps(&self) -> Result<Vec<Application>> {
            self.backend.list_apps(&self.caller, GetAccount { account: self.id.clone() }).await
        }

        /// One application with its status, input fields and brand.
        ///
        /// # Errors
        /// `application_not_found`, `linked_account_not_found`.
        pub async fn app(&self, application: impl Into<String>) -> Result<Application> {
            self.backend.get_app(&self.caller, GetApp { account: self.id.clone(), application: application.into() }).await
        }

        /// A link to the hosted page, on which the user connects, sets and disconnects applications: redirect the user to it, or
        /// embed it in a frame of a page that the project lists. The account in the options is this one.
        ///
        /// # Errors
        /// `return_to_not_allowed`; `project_invalid` when nobody said where the page is.
        pub async fn portal_url(&self, options: GetPortalUrl) -> Result<PortalLink> {
            self.backend.portal_url(&self.caller, GetPortalUrl { account: self.id.clone(), ..options }).await
        }

        /// Connects an application: shows the authorize page with a presenter, or verifies and saves the inputs.
        pub fn connect(&self, application: impl Into<String>) -> ConnectBuilder {
            ConnectBuilder {
                backend: self.backend.clone(),
                presenter: self.presenter.clone(),
                caller: self.caller.clone(),
                account: self.id.clone(),
                application: application.into(),
                inputs: BTreeMap::new(),
                auth_type: None,
                scopes: None,
                connection: None,
                device: false,
                within: None,
            }
        }

        /// Begins a connect flow whose callback comes to a route of the host; or with `device` one that ends by itself, which
        /// `flow(id).wait` sees. The account in the options is this one.
        ///
        /// # Errors
        /// `application_not_found`, `client_missing`, `return_to_not_allowed`, `redirect_not_allowed`, `invalid_inputs`.
        pub async fn start_connect(&self, application: impl Into<String>, options: StartConnect) -> Result<StartedConnect> {
            let request = StartConnect { account: self.id.clone(), application: application.into(), ..options };
            self.backend.start_connect(&self.caller, request).await
        }

        /// Begins a connect flow for a browser that the caller does not hold: send it to a page that shows the ticket's preview
        /// and takes it, as `smalt serve` has one. The account in the options is this one.
        ///
        /// # Errors
        /// As [`Self::start_connect`].
        pub async fn hand_off_connect(&self, application: impl Into<String>, options: StartConnect) -> Result<Handoff> {
            let request = StartConnect { account: self.id.clone(), application: application.into(), ..options };
            self.backend.hand_off_connect(&self.caller, request).await
        }

        /// Ends a connect flow, in the callback route, for the user who is logged in there. `callback_url` is the request's
        /// URL, or its path and query; `cookie` the value of the flow's cookie, or the request's whole `Cookie` header.
        ///
        /// # Errors
        /// Those of a connect flow: `invalid_state`, `state_replayed`, `browser_mismatch`, `user_denied`, …
        pub async fn finish_connect(&self, callback_url: impl Into<String>, cookie: impl Into<Secret>) -> Result<Connection> {
            let request = FinishConnect {
                account: self.id.clone(),
                callback_url: Some(callback_url.into()),
                cookie: Some(cookie.into()),
                claim: None,
            };
            self.backend.finish_connect(&self.caller, request).await
        }

        /// Ends a connect flow whose callback was parked, with the one-time claim that came to `return_to`.
        ///
        /// # Errors
        /// `claim_invalid`, and those of a connect flow.
        pub async fn claim_connect(&self, claim: impl Into<Secret>) -> Result<Connection> {
            let request = FinishConnect { account: self.id.clone(), callback_url: None, cookie: None, claim: Some(claim.into()) };
            self.backend.finish_connect(&self.caller, request).await
        }

        /// A handle on a connect flow. No I/O.
        pub fn flow(&self, id: impl Into<String>) -> ConnectHandle {
            ConnectHandle { backend: self.backend.clone(), caller: self.caller.clone(), account: self.id.clone(), id: id.into() }
        }

        /// Connections, default ones first; of one application, or of all.
        ///
        /// # Errors
        /// `linked_account_not_found`.
        pub async fn connections(&self, application: Option<&str>) -> Result<Vec<Connection>> {
            let request = ListConnections { account: self.id.clone(), application: application.map(ToOwned::to_owned) };
            self.backend.list_connections(&self.caller, request).await
        }

        /// One connection.
        ///
        /// # Errors
        /// `connection_not_found`.
        pub async fn connection(&self, id: impl Into<String>) -> Result<Connection> {
            self.backend.get_connection(&self.caller, GetConnection { account: self.id.clone(), connection: id.into() }).await
        }

        /// Makes a connection its application's default one.
        ///
        /// # Errors
        /// `connection_not_found`.
        pub async fn set_default_connection(&self, id: impl Into<String>) -> Result<Connection> {
            self.backend.set_default_connection(&self.caller, GetConnection { account: self.id.clone(), connection: id.into() }).await
        }

        /// Disconnects an application with all its connections and configs.
        ///
        /// # Errors
        /// `shared_grant` when other connections would die with it.
        pub async fn disconnect(&self, application: impl Into<String>) -> Result<Receipt> {
            self.disconnect_with(Disconnect { application: application.into(), ..Disconnect::default() }).await
        }

        /// Disconnects as the options say. The account in them is this one.
        ///
        /// # Errors
        /// `connection_not_found`, `shared_grant`.
        pub async fn disconnect_with(&self, options: Disconnect) -> Result<Receipt> {
            self.backend.disconnect(&self.caller, Disconnect { account: self.id.clone(), ..options }).await
        }

        /// How the revocations of a disconnect ended.
        ///
        /// # Errors
        /// `receipt_not_found`.
        pub async fn receipt(&self, id: impl Into<String>) -> Result<Receipt> {
            self.backend.get_receipt(&self.caller, GetReceipt { account: self.id.clone(), receipt: id.into() }).await
        }

        /// Finds or makes the application's default config.
        ///
        /// # Errors
        /// `application_not_found`, `linked_account_not_found`.
        pub async fn config(&self, application: impl Into<String>) -> Result<Config> {
            self.find_config(FindConfig { application: application.into(), ..FindConfig::default() }).await
        }

        /// Finds or makes a config as the options say. The account in them is this one.
        ///
        /// # Errors
        /// `application_not_found`, `invalid_id`, `invalid_config` for a wrong seed.
        pub async fn find_config(&self, options: FindConfig) -> Result<Config> {
            self.backend.config(&self.caller, FindConfig { account: self.id.clone(), ..options }).await
        }

        /// Reads a config; never makes one.
        ///
        /// # Errors
        /// `config_not_found`.
        pub async fn get_config(&self, application: impl Into<String>, config_id: Option<&str>) -> Result<Config> {
            self.backend.get_config(&self.caller, self.config_key(application, config_id)).await
        }

        /// Changes values and switches of the default config.
        ///
        /// # Errors
        /// `invalid_config` names every wrong path; `config_conflict`, `config_not_found`, `workflow_not_found`.
        pub async fn update_config(&self, application: impl Into<String>, update: ConfigUpdate) -> Result<Config> {
            self.change_config(UpdateConfig { application: application.into(), update, ..UpdateConfig::default() }).await
        }

        /// Changes a config as the options say. The account in them is this one.
        ///
        /// # Errors
        /// As [`Self::update_config`].
        pub async fn change_config(&self, options: UpdateConfig) -> Result<Config> {
            self.backend.update_config(&self.caller, UpdateConfig { account: self.id.clone(), ..options }).await
        }

        /// Deletes a config; the connection stays.
        ///
        /// # Errors
        /// `config_not_found`.
        pub async fn delete_config(&self, application: impl Into<String>, config_id: Option<&str>) -> Result<()> {
            self.backend.delete_config(&self.caller, self.config_key(application, config_id)).await
        }

        /// The ids of an application's configs, newest first.
        ///
        /// # Errors
        /// `application_not_found`.
        pub async fn configs(&self, application: impl Into<String>) -> Result<Vec<String>> {
            self.backend.list_configs(&self.caller, GetApp { account: self.id.clone(), application: application.into() }).await
        }

        /// One field with its choices resolved afresh. The account in the options is this one.
        ///
        /// # Errors
        /// `field_not_found`, `workflow_not_found`.
        pub async fn config_field(&self, options: ConfigField) -> Result<Field> {
            self.backend.config_field(&self.caller, ConfigField { account: self.id.clone(), ..options }).await
        }

        /// Sets or clears one field. The account in the options is this one.
        ///
        /// # Errors
        /// `field_not_found`, `config_not_found`, `invalid_config`.
        pub async fn set_config_field(&self, options: SetConfigField) -> Result<Field> {
            self.backend.set_config_field(&self.caller, SetConfigField { account: self.id.clone(), ..options }).await
        }

        /// The columns of a rule for a left side. The account in the options is this one.
        ///
        /// # Errors
        /// `field_not_found`, `invalid_config` when the field is no rule engine.
        pub async fn rule_columns(&self, options: GetRuleColumns) -> Result<RuleColumns> {
            self.backend.rule_columns(&self.caller, GetRuleColumns { account: self.id.clone(), ..options }).await
        }

        /// Replaces the account's credentials for the organisation's own application.
        ///
        /// # Errors
        /// `invalid_request` for too many or too long ones.
        pub async fn put_own_credentials(&self, values: BTreeMap<String, Secret>) -> Result<()> {
            self.backend.put_own_credentials(&self.caller, PutOwnCredentials { account: self.id.clone(), values }).await
        }

        /// Sets one of them, or removes it.
        ///
        /// # Errors
        /// `own_credentials_not_found` when the account has none, or none of this name to remove.
        pub async fn set_own_credential(&self, name: impl Into<String>, value: Option<Secret>) -> Result<OwnChange> {
            self.backend.set_own_credential(&self.caller, SetOwnCredential { account: self.id.clone(), name: name.into(), value }).await
        }

        /// Runs a workflow that is on, and answers the run. The account in the options is this one.
        ///
        /// # Errors
        /// `workflow_disabled`, `not_connected`, `unsupported` without a runner. A runner that fails is no error of this call.
        pub async fn execute_workflow(&self, options: ExecuteWorkflow) -> Result<Executed> {
            self.backend.execute_workflow(&self.caller, ExecuteWorkflow { account: self.id.clone(), ..options }).await
        }

        /// Runs of workflows, newest first. The account in the options is this one.
        ///
        /// # Errors
        /// `invalid_cursor`.
        pub async fn executions(&self, options: ListExecutions) -> Result<Page<Execution>> {
            self.backend.list_executions(&self.caller, ListExecutions { account: self.id.clone(), ..options }).await
        }

        /// One run of a workflow.
        ///
        /// # Errors
        /// `execution_not_found`.
        pub async fn execution(&self, execution: impl Into<String>) -> Result<Execution> {
            self.backend.get_execution(&self.caller, GetExecution { account: self.id.clone(), execution: execution.into() }).await
        }

        fn config_key(&self, application: impl Into<String>, config_id: Option<&str>) -> GetConfig {
            GetConfig {
                account: self.id.clone(),
                application: application.into(),
                config_id: config_id.map(ToOwned::to_owned),
                without_options: false,
                or_empty: false,
            }
        }
    };
}
pub(super) use account_verbs;
