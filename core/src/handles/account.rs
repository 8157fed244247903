use std::{collections::BTreeMap, sync::Arc};

use super::{ConnectBuilder, ConnectHandle, Pages, Session, verbs::account_verbs};
use crate::{
    Result, Secret,
    backend::{
        ApiPageRequest, ApiRequest, Backend, Caller, ConfigField, CreateSession, Disconnect, ExecuteWorkflow, FindConfig, FinishConnect,
        GetAccount, GetApp, GetConfig, GetConnection, GetCredential, GetExecution, GetPortalUrl, GetReceipt, GetRuleColumns, Handoff,
        ImportConnection, ListConnections, ListExecutions, PutAccount, PutOwnCredentials, RunWorkflow, SetConfigField, SetOwnCredential,
        StartConnect, UpdateConfig,
    },
    model::{
        AccountUpdate, ApiAnswer, ApiPage, Application, Config, ConfigUpdate, Connection, Credential, Executed, Execution, Field, Json,
        LinkedAccount, OwnChange, OwnCredentials, Page, PortalLink, Receipt, RuleColumns, StartedConnect,
    },
    plugin::{HttpStream, Presenter, Upload},
};

/// The organisation's authority over one linked account. Cheap to clone; no I/O until a verb is called.
#[derive(Clone)]
pub struct Account {
    backend: Arc<dyn Backend>,
    presenter: Option<Arc<dyn Presenter>>,
    caller: Caller,
    id: String,
}

impl Account {
    pub(super) fn new(backend: Arc<dyn Backend>, presenter: Option<Arc<dyn Presenter>>, caller: Caller, id: String) -> Self {
        Self { backend, presenter, caller, id }
    }

    /// The organisation's id for the customer.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Reads the linked account.
    ///
    /// # Errors
    /// `linked_account_not_found`.
    pub async fn get(&self) -> Result<LinkedAccount> {
        self.backend.get_account(&self.caller, GetAccount { account: self.id.clone() }).await
    }

    /// Makes the linked account if it is missing.
    ///
    /// # Errors
    /// `invalid_id`.
    pub async fn ensure(&self) -> Result<LinkedAccount> {
        let request = PutAccount { id: self.id.clone(), update: AccountUpdate::default() };
        self.backend.upsert_account(&self.caller, request).await.map(|put| put.account)
    }

    /// A session for a browser, a phone or an SDK: reused while half of its life remains.
    ///
    /// # Errors
    /// `linked_account_not_found`.
    pub async fn session(&self) -> Result<Session> {
        self.session_with(false).await
    }

    /// A session; `force` makes a new one whatever the last has left.
    ///
    /// # Errors
    /// `linked_account_not_found`.
    pub async fn session_with(&self, force: bool) -> Result<Session> {
        let info = self.backend.create_session(&self.caller, CreateSession { account: self.id.clone(), force }).await?;
        Ok(Session::new(self.backend.clone(), self.presenter.clone(), info))
    }

    /// A credential that is valid now: renewed if needed, at most once by anyone.
    ///
    /// # Errors
    /// `not_connected`, `reauth_required`, `refresh_failed`, `client_rejected`.
    pub async fn credential(&self, application: impl Into<String>) -> Result<Arc<Credential>> {
        self.credential_of(GetCredential { application: application.into(), ..GetCredential::default() }).await
    }

    /// As [`Self::credential`], of a chosen connection. The account in the options is this one.
    ///
    /// # Errors
    /// `connection_not_found`, and as [`Self::credential`].
    pub async fn credential_of(&self, options: GetCredential) -> Result<Arc<Credential>> {
        let request = GetCredential { account: self.id.clone(), ..options };
        match self.backend.try_credential(&self.caller, &request) {
            Some(ready) => ready,
            None => self.backend.credential(&self.caller, request).await,
        }
    }

    /// The ready twin of [`Self::credential`]: from memory, without waiting; `None` when the call has to wait.
    pub fn try_credential(&self, application: &str) -> Option<Result<Arc<Credential>>> {
        let request = GetCredential { account: self.id.clone(), application: application.to_owned(), connection: None };
        self.backend.try_credential(&self.caller, &request)
    }

    /// An authenticated call. The provider's answer is returned whatever its status.
    ///
    /// # Errors
    /// As [`Self::credential`]; `host_mismatch`, `provider_unreachable`, `provider_timeout`, `answer_too_large`.
    pub async fn request(&self, application: impl Into<String>, method: &str, path: &str) -> Result<ApiAnswer> {
        let request =
            ApiRequest { application: application.into(), method: method.to_owned(), path: path.to_owned(), ..ApiRequest::default() };
        self.send(request).await
    }

    /// An authenticated call as the options say. The account in them is this one.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn send(&self, options: ApiRequest) -> Result<ApiAnswer> {
        self.backend.request(&self.caller, ApiRequest { account: self.id.clone(), ..options }).await
    }

    /// A provider's list, page by page or item by item; nothing is fetched before it is asked for. How it comes in pages
    /// stands in the application's manifest. The account in the options is this one.
    ///
    /// ```no_run
    /// # async fn f(account: smalt::Account) -> smalt::Result<()> {
    /// use smalt::backend::ApiRequest;
    /// let call = ApiRequest { application: "github".into(), method: "GET".into(), path: "user/repos".into(), ..ApiRequest::default() };
    /// let mut pages = account.pages(call);
    /// while let Some(repository) = pages.next_item().await? {
    ///     println!("{}", repository["full_name"]);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn pages(&self, options: ApiRequest) -> Pages {
        self.pages_of(ApiPageRequest::of(options))
    }

    /// As [`Self::pages`], from a cursor, or of a list that comes in pages in another way.
    pub fn pages_of(&self, options: ApiPageRequest) -> Pages {
        Pages::new(self.clone(), ApiPageRequest { account: self.id.clone(), ..options })
    }

    /// One page of a provider's list; its `next` is the `cursor` of the one that follows. The account in the options is this one.
    ///
    /// # Errors
    /// As [`Self::request`]; `invalid_cursor`, `malformed_answer`, `unsupported` where nothing says how the list comes in pages.
    pub async fn page(&self, options: ApiPageRequest) -> Result<ApiPage> {
        self.backend.request_page(&self.caller, ApiPageRequest { account: self.id.clone(), ..options }).await
    }

    /// An authenticated call whose answer is read as it comes, with constant memory. `timeout` is how long the provider may
    /// be silent, `max_body` the most bytes (default 1 GiB). The account in the options is this one.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn download(&self, options: ApiRequest) -> Result<HttpStream> {
        self.backend.request_stream(&self.caller, ApiRequest { account: self.id.clone(), ..options }, None).await
    }

    /// An authenticated call whose body is sent as it is read, with constant memory; the answer is read as it comes. The
    /// options hold no body. The account in them is this one.
    ///
    /// # Errors
    /// As [`Self::request`]; `upload_not_repeated` when the token died meanwhile: it is renewed then, and the upload can be sent
    /// again.
    pub async fn upload(&self, options: ApiRequest, upload: Upload) -> Result<HttpStream> {
        self.backend.request_stream(&self.caller, ApiRequest { account: self.id.clone(), ..options }, Some(upload)).await
    }

    /// Takes over tokens or keys that were issued elsewhere. The account in the options is this one.
    ///
    /// # Errors
    /// `credential_missing`, `wrong_auth_type`, `credentials_rejected`.
    pub async fn import(&self, options: ImportConnection) -> Result<Connection> {
        self.backend.import_connection(&self.caller, ImportConnection { account: self.id.clone(), ..options }).await
    }

    /// The account's credentials for the organisation's own application.
    ///
    /// # Errors
    /// `own_credentials_not_found`.
    pub async fn own_credentials(&self) -> Result<OwnCredentials> {
        self.backend.own_credentials(&self.caller, GetAccount { account: self.id.clone() }).await
    }

    /// Hands an enabled workflow to the host's runner. The account in the options is this one.
    ///
    /// # Errors
    /// `workflow_disabled`, `not_connected`, `unsupported` without a runner.
    pub async fn run_workflow(&self, options: RunWorkflow) -> Result<Json> {
        self.backend.run_workflow(&self.caller, RunWorkflow { account: self.id.clone(), ..options }).await
    }

    account_verbs!();
}
