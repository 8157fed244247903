//! The engine as a backend: every operation checks its caller, then does its work.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Engine, Inner};
use crate::{
    Secret,
    backend::{
        ApiPageRequest, ApiRequest, Backend, Caller, Capabilities, ConfigField, ConnectKey, CountAccounts, CreateApiKey, CreateSession,
        Disconnect, ExecuteWorkflow, FindConfig, FinishConnect, Found, GetAccount, GetApp, GetConfig, GetConnection, GetCredential,
        GetExecution, GetFlow, GetPortalProperties, GetPortalUrl, GetProject, GetReceipt, GetRuleColumns, GetWebhook, Handoff,
        HandoffPreview, ImportConnection, ListAccounts, ListApiKeys, ListAudit, ListConnections, ListDeliveries, ListEvents,
        ListExecutions, ListWebhooks, OpenPortal, ParkCallback, ParkedCallback, PutAccount, PutOwnCredentials, Redeliver, RevokeApiKey,
        RevokeSession, RotateKeys, RotateWebhookSecret, RunWorkflow, SetConfigField, SetOwnCredential, StartConnect, TakeHandoff,
        UpdateConfig, UpdateWebhook, VerifyApiKey, VerifySession, WaitFlow, WebhookSettings,
    },
    error::{Result, bail},
    model::{
        ApiAnswer, ApiKey, ApiPage, Application, AuditEntry, Config, ConnectFlow, Connection, Credential, Delivery, Event, Executed,
        Execution, Field, Json, KeyRotation, LinkedAccount, NewApiKey, NewWebhook, OwnChange, OwnCredentials, Page, Portal, PortalLink,
        Receipt, RuleColumns, SessionInfo, SiblingPolicy, StartedConnect, UpsertedAccount, Webhook,
    },
    operations::Operation,
    plugin::{HttpStream, Presenter, Upload, refuse_reentry},
    project::{LoadedProject, Project},
};

/// What ends with forgetting cached credentials must come to that end, also when the caller goes away.
macro_rules! to_the_end {
    ($me:ident.$name:ident($($argument:ident),*)) => {{
        let engine = $me.clone();
        $me.detached(async move { engine.$name($($argument),*).await })
    }};
}

/// Every operation on one account is the same: check the caller, then do the work. One that may wait for the application's
/// connector names the application in `waits for`, or `None` where it stands in a row; such a connector may not call
/// it. The others are written out.
macro_rules! doorway {
    ({ $($written_out:tt)* } $($name:ident: $operation:ident($request:ty) -> $answer:ty = $((waits for $app:expr))? |$me:ident, $actor:ident, $req:ident| $work:expr;)*) => {
        #[async_trait]
        impl Backend for Engine {
            $($written_out)*

            $(
                async fn $name(&self, caller: &Caller, $req: $request) -> Result<$answer> {
                    let $me: &Arc<Inner> = &self.0;
                    let $actor = $me.authorize(Operation::$operation, caller, &$req.account).await?;
                    $(refuse_reentry(&$me.tenant, &$req.account, $app)?;)?
                    $work.await
                }
            )*
        }
    };
}

doorway! {
    {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            backend: "embedded".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            operations: Operation::ALL.iter().map(|operation| operation.row().name.to_owned()).collect(),
            workflows: self.0.has_runner(),
            presenter: self.0.presenter.is_some(),
        }
    }

    fn try_project(&self) -> Option<Arc<LoadedProject>> {
        Some(self.0.project.peek())
    }

    fn knows_key_of(&self, token: &Secret) -> bool {
        self.0.knows_key_of(token)
    }

    fn try_session(&self, token: &Secret) -> Option<(SessionInfo, Caller)> {
        self.0.try_session(token)
    }

    fn try_credential(&self, caller: &Caller, request: &GetCredential) -> Option<Result<Arc<Credential>>> {
        // What is refused is refused in words, by the other twin.
        refuse_reentry(&self.0.tenant, &request.account, Some(&request.application)).ok()?;
        self.0.try_credential(caller, request).map(Ok)
    }

    fn find_credential(&self, caller: &Caller, request: &GetCredential) -> Option<(Arc<Credential>, Found)> {
        refuse_reentry(&self.0.tenant, &request.account, Some(&request.application)).ok()?;
        self.0.find_credential(caller, request)
    }

    async fn request_stream(&self, caller: &Caller, request: ApiRequest, upload: Option<Upload>) -> Result<HttpStream> {
        let actor = self.0.authorize(Operation::Request, caller, &request.account).await?;
        refuse_reentry(&self.0.tenant, &request.account, Some(&request.application))?;
        self.0.api_stream(&actor, request, upload).await
    }

    async fn ready(&self) -> Result<()> {
        self.0.ready().await
    }

    async fn close(&self) {
        if !self.0.closed.swap(true, std::sync::atomic::Ordering::AcqRel) {
            // What a provider was asked for must still be stored.
            self.0.quiesce().await;
            if let Err(error) = self.0.flush_reads().await {
                tracing::warn!(code = error.code().as_str(), "counted credential reads could not be written at close");
            }
            self.0.changed.send_modify(|n| *n += 1);
            self.0.outbox.notify_one();
            self.0.store.close().await;
        }
    }

    async fn create_account(&self, caller: &Caller, request: PutAccount) -> Result<LinkedAccount> {
        let actor = self.0.authorize(Operation::CreateAccount, caller, &request.id).await?;
        self.0.put_account(actor, request, true).await.map(|put| put.account)
    }

    async fn upsert_account(&self, caller: &Caller, request: PutAccount) -> Result<UpsertedAccount> {
        let actor = self.0.authorize(Operation::UpsertAccount, caller, &request.id).await?;
        self.0.put_account(actor, request, false).await
    }

    async fn list_accounts(&self, caller: &Caller, request: ListAccounts) -> Result<Page<LinkedAccount>> {
        self.0.authorize(Operation::ListAccounts, caller, "").await?;
        self.0.list_accounts(request).await
    }

    async fn count_accounts(&self, caller: &Caller, request: CountAccounts) -> Result<u64> {
        self.0.authorize(Operation::CountAccounts, caller, "").await?;
        self.0.count_accounts(request).await
    }

    async fn create_api_key(&self, caller: &Caller, request: CreateApiKey) -> Result<NewApiKey> {
        let actor = self.0.authorize(Operation::CreateApiKey, caller, "").await?;
        self.0.create_api_key(actor, request).await
    }

    async fn list_api_keys(&self, caller: &Caller, _request: ListApiKeys) -> Result<Vec<ApiKey>> {
        self.0.authorize(Operation::ListApiKeys, caller, "").await?;
        self.0.list_api_keys().await
    }

    async fn revoke_api_key(&self, caller: &Caller, request: RevokeApiKey) -> Result<bool> {
        let actor = self.0.authorize(Operation::RevokeApiKey, caller, "").await?;
        self.0.revoke_api_key(actor, request).await
    }

    async fn verify_api_key(&self, _caller: &Caller, request: VerifyApiKey) -> Result<ApiKey> {
        self.0.verify_api_key(request).await
    }

    async fn verify_session(&self, _caller: &Caller, request: VerifySession) -> Result<SessionInfo> {
        self.0.verify_session(&request.token).await
    }

    async fn prove_session(&self, _caller: &Caller, request: VerifySession) -> Result<(SessionInfo, Caller)> {
        self.0.prove_session(&request.token).await
    }

    /// A token's holder may end it; so may the organisation.
    async fn revoke_session(&self, caller: &Caller, request: RevokeSession) -> Result<bool> {
        let actor = match (caller, caller.token()) {
            (Caller::Organisation(actor), _) => actor.to_string(),
            (_, Some(token)) if *token == request.token => format!("session:{}", self.0.session_behind(token, caller.proof()).await?.0),
            _ => bail!(Forbidden, "a session can end itself only"),
        };
        self.0.revoke_session(actor, request).await
    }

    async fn portal_url(&self, caller: &Caller, request: GetPortalUrl) -> Result<PortalLink> {
        let actor = self.0.authorize(Operation::PortalUrl, caller, &request.account).await?;
        // The link of a session stands for that session; the organisation's for the account's newest.
        let session = match caller.token() {
            Some(token) => Some(self.0.session_behind(token, caller.proof()).await?.0),
            None => None,
        };
        self.0.portal_url(actor, session, request).await
    }

    async fn open_portal(&self, _caller: &Caller, request: OpenPortal) -> Result<Portal> {
        self.0.open_portal(request).await
    }

    async fn portal_properties(&self, _caller: &Caller, request: GetPortalProperties) -> Result<Json> {
        self.0.portal_properties(request).await
    }

    async fn list_apps(&self, caller: &Caller, request: GetAccount) -> Result<Vec<Application>> {
        let reader = self.0.reader(Operation::ListApps, caller, &request.account).await?;
        self.0.list_apps(reader, request).await
    }

    async fn get_app(&self, caller: &Caller, request: GetApp) -> Result<Application> {
        let reader = self.0.reader(Operation::App, caller, &request.account).await?;
        self.0.get_app(reader, request).await
    }

    async fn disconnect(&self, caller: &Caller, request: Disconnect) -> Result<Receipt> {
        let actor = self.0.authorize(Operation::Disconnect, caller, &request.account).await?;
        refuse_reentry(&self.0.tenant, &request.account, Some(&request.application))?;
        if caller.token().is_some() && request.siblings == Some(SiblingPolicy::Kill) {
            bail!(Forbidden, "a session cannot end other linked accounts' connections");
        }
        let (me, account, wait) = (&self.0, request.account.clone(), request.wait);
        let receipt = match to_the_end!(me.disconnect(actor, request)).await {
            Ok(receipt) => me.settled(&account, receipt, wait).await,
            refused => refused,
        };
        told(caller, receipt)
    }

    async fn get_receipt(&self, caller: &Caller, request: GetReceipt) -> Result<Receipt> {
        self.0.authorize(Operation::Receipt, caller, &request.account).await?;
        told(caller, self.0.get_receipt(request).await)
    }

    async fn get_handoff(&self, _caller: &Caller, request: TakeHandoff) -> Result<HandoffPreview> {
        self.0.get_handoff(request).await
    }

    async fn take_handoff(&self, _caller: &Caller, request: TakeHandoff) -> Result<StartedConnect> {
        self.0.take_handoff(request).await
    }

    async fn park_callback(&self, _caller: &Caller, request: ParkCallback) -> Result<ParkedCallback> {
        self.0.park_callback(request).await
    }

    async fn events(&self, caller: &Caller, request: ListEvents) -> Result<Page<Event>> {
        self.0.authorize(Operation::Events, caller, "").await?;
        self.0.list_events(request).await
    }

    async fn audit(&self, caller: &Caller, request: ListAudit) -> Result<Page<AuditEntry>> {
        self.0.authorize(Operation::Audit, caller, "").await?;
        self.0.list_audit(request).await
    }

    async fn create_webhook(&self, caller: &Caller, request: WebhookSettings) -> Result<NewWebhook> {
        let actor = self.0.authorize(Operation::CreateWebhook, caller, "").await?;
        self.0.create_webhook(actor, request).await
    }

    async fn list_webhooks(&self, caller: &Caller, _request: ListWebhooks) -> Result<Vec<Webhook>> {
        self.0.authorize(Operation::ListWebhooks, caller, "").await?;
        self.0.list_webhooks().await
    }

    async fn update_webhook(&self, caller: &Caller, request: UpdateWebhook) -> Result<Webhook> {
        let actor = self.0.authorize(Operation::UpdateWebhook, caller, "").await?;
        self.0.update_webhook(actor, request).await
    }

    async fn delete_webhook(&self, caller: &Caller, request: GetWebhook) -> Result<()> {
        let actor = self.0.authorize(Operation::DeleteWebhook, caller, "").await?;
        self.0.delete_webhook(actor, request).await
    }

    async fn rotate_webhook_secret(&self, caller: &Caller, request: RotateWebhookSecret) -> Result<NewWebhook> {
        let actor = self.0.authorize(Operation::RotateWebhookSecret, caller, "").await?;
        self.0.rotate_webhook_secret(actor, request).await
    }

    async fn list_deliveries(&self, caller: &Caller, request: ListDeliveries) -> Result<Page<Delivery>> {
        self.0.authorize(Operation::ListDeliveries, caller, "").await?;
        self.0.list_deliveries(request).await
    }

    async fn redeliver(&self, caller: &Caller, request: Redeliver) -> Result<Delivery> {
        let actor = self.0.authorize(Operation::Redeliver, caller, "").await?;
        self.0.redeliver(actor, request).await
    }

    async fn rotate_keys(&self, caller: &Caller, request: RotateKeys) -> Result<KeyRotation> {
        let actor = self.0.authorize(Operation::RotateKeys, caller, "").await?;
        self.0.rotate_keys(actor, request).await
    }

    async fn get_project(&self, caller: &Caller, _request: GetProject) -> Result<Project> {
        self.0.authorize(Operation::Project, caller, "").await?;
        Ok(self.0.project.current().project.clone())
    }

    async fn set_project(&self, caller: &Caller, project: Project) -> Result<()> {
        self.0.authorize(Operation::SetProject, caller, "").await?;
        if project.org.id != self.0.tenant.org {
            bail!(ProjectInvalid, "`org.id` cannot change while the engine is open");
        }
        self.0.project.set(project)?;
        let project = self.0.project.current();
        self.0.apply_policy(&project);
        self.0.cache.forget_all();
        Ok(())
    }

    }

        get_account: Account(GetAccount) -> LinkedAccount = |me, _actor, request| me.get_account(request);
        delete_account: DeleteAccount(GetAccount) -> () = |me, actor, request| to_the_end!(me.delete_account(actor, request));
        create_session: CreateSession(CreateSession) -> SessionInfo = |me, actor, request| me.create_session(actor, request);
        start_connect: StartConnect(StartConnect) -> StartedConnect = |me, actor, request| me.start_connect(actor, request);
        hand_off_connect: HandOffConnect(StartConnect) -> Handoff = |me, actor, request| me.hand_off_connect(actor, request);
        finish_connect: FinishConnect(FinishConnect) -> Connection = (waits for None) |me, actor, request| to_the_end!(me.finish_connect(actor, request));
        get_flow: Flow(GetFlow) -> ConnectFlow = |me, _actor, request| me.get_flow(request);
        wait_flow: WaitFlow(WaitFlow) -> ConnectFlow = (waits for None) |me, _actor, request| me.wait_flow(request);
        cancel_flow: CancelFlow(GetFlow) -> ConnectFlow = |me, actor, request| me.cancel_flow(actor, request);
        connect_key: ConnectKey(ConnectKey) -> Connection = (waits for Some(&request.application)) |me, actor, request| to_the_end!(me.connect_key(actor, request));
        import_connection: ImportConnection(ImportConnection) -> Connection = (waits for Some(&request.application)) |me, actor, request| to_the_end!(me.import_connection(actor, request));
        list_connections: ListConnections(ListConnections) -> Vec<Connection> = |me, _actor, request| me.list_connections(request);
        get_connection: Connection(GetConnection) -> Connection = |me, _actor, request| me.get_connection(request);
        set_default_connection: SetDefaultConnection(GetConnection) -> Connection = |me, actor, request| to_the_end!(me.set_default_connection(actor, request));
        credential: Credential(GetCredential) -> Arc<Credential> = (waits for Some(&request.application)) |me, actor, request| me.credential(actor, request);
        request: Request(ApiRequest) -> ApiAnswer = (waits for Some(&request.application)) |me, actor, request| me.api_request(&actor, request);
        request_page: RequestPage(ApiPageRequest) -> ApiPage = (waits for Some(&request.application)) |me, actor, request| me.api_page(&actor, request);
        config: Config(FindConfig) -> Config = (waits for Some(&request.application)) |me, actor, request| me.find_config(actor, request);
        get_config: GetConfig(GetConfig) -> Config = (waits for Some(&request.application)) |me, _actor, request| me.get_config(request);
        update_config: UpdateConfig(UpdateConfig) -> Config = (waits for Some(&request.application)) |me, actor, request| me.update_config(actor, request);
        delete_config: DeleteConfig(GetConfig) -> () = |me, actor, request| me.delete_config(actor, request);
        list_configs: ListConfigs(GetApp) -> Vec<String> = |me, _actor, request| me.list_configs(request);
        config_field: ConfigField(ConfigField) -> Field = (waits for Some(&request.application)) |me, _actor, request| me.config_field(request);
        set_config_field: SetConfigField(SetConfigField) -> Field = (waits for Some(&request.application)) |me, actor, request| me.set_config_field(actor, request);
        rule_columns: RuleColumns(GetRuleColumns) -> RuleColumns = (waits for Some(&request.application)) |me, _actor, request| me.rule_columns(request);
        put_own_credentials: PutOwnCredentials(PutOwnCredentials) -> () = |me, actor, request| me.put_own_credentials(actor, request);
        set_own_credential: SetOwnCredential(SetOwnCredential) -> OwnChange = |me, actor, request| me.set_own_credential(actor, request);
        own_credentials: OwnCredentials(GetAccount) -> OwnCredentials = |me, actor, request| me.own_credentials(actor, request);
        execute_workflow: ExecuteWorkflow(ExecuteWorkflow) -> Executed = (waits for Some(&request.application)) |me, actor, request| me.execute_workflow(actor, request);
        list_executions: ListExecutions(ListExecutions) -> Page<Execution> = |me, _actor, request| me.list_executions(request);
        get_execution: GetExecution(GetExecution) -> Execution = |me, _actor, request| me.get_execution(request);
        run_workflow: RunWorkflow(RunWorkflow) -> Json = (waits for Some(&request.application)) |me, actor, request| me.run_workflow(actor, request);
}

/// The answer about a disconnect, as this caller may know it.
fn told(caller: &Caller, answer: Result<Receipt>) -> Result<Receipt> {
    match caller {
        Caller::Organisation(_) => answer,
        Caller::Session(_) | Caller::Proved(_) => super::disconnect::for_session(answer),
    }
}

impl Engine {
    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// The project in force.
    pub(crate) fn project(&self) -> Project {
        self.0.project.peek().project.clone()
    }

    /// The presenter that was registered.
    pub(crate) fn presenter(&self) -> Option<Arc<dyn Presenter>> {
        self.0.presenter.clone()
    }
}
