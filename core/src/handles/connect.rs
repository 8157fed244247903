use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    Code, Error, Result, Secret,
    backend::{Backend, Caller, ConnectKey, FinishConnect, GetApp, GetConnection, GetFlow, StartConnect, WaitFlow},
    error::{bail, err},
    model::{AuthType, ConnectFlow, Connection, FlowStatus, GrantKind, StartedConnect},
    operations::Operation,
    plugin::{PresentRequest, Presenter, Scope, guarded, label},
    present::LoopbackListener,
    project::urls,
};

/// How long a flow is asked for again whose server cannot be asked.
const OUTAGE: Duration = Duration::from_secs(60);
/// Between two of these tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one look at a flow waits for its end.
const LOOK: Duration = Duration::from_secs(20);

/// A connect that is being put together; await it.
pub struct ConnectBuilder {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) presenter: Option<Arc<dyn Presenter>>,
    pub(super) caller: Caller,
    pub(super) account: String,
    pub(super) application: String,
    pub(super) inputs: BTreeMap<String, Secret>,
    pub(super) auth_type: Option<AuthType>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) connection: Option<String>,
    pub(super) device: bool,
    pub(super) within: Option<Duration>,
}

/// A time that no call lives to see.
const FOREVER: Duration = Duration::from_secs(86_400 * 365);
/// How long a callback that has come in may take to be exchanged, when the window has closed meanwhile.
const COMING_BACK: Duration = Duration::from_secs(10);

/// A flow whose call may be dropped before its end. Whoever goes away leaves no open flow: it is cancelled, and an ended one stays as it is.
struct Begun {
    flow: ConnectHandle,
    is_watched: bool,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.is_watched {
            let flow = self.flow.clone();
            crate::runtime::spawn(async move {
                let _ = flow.cancel().await;
            });
        }
    }
}

impl Begun {
    /// The call to its end.
    async fn lives_through<T>(mut self, call: impl Future<Output = T>) -> T {
        let ended = call.await;
        self.is_watched = false;
        ended
    }
}

/// Whether the server, or the store, could not be asked.
fn is_away(error: &Error) -> bool {
    use Code::{Overloaded, RateLimited, ServerError, ServerTimeout, ServerUnreachable, StoreBusy, StoreUnavailable};
    matches!(error.code(), ServerUnreachable | ServerTimeout | ServerError | Overloaded | RateLimited | StoreBusy | StoreUnavailable)
}

impl super::Smalt {
    /// A connect on another caller's authority, e.g. of a session that a binding or a server holds as a token. For others:
    /// [`Account::connect`](crate::Account::connect) and [`Session::connect`](crate::Session::connect).
    pub fn connect_as(&self, caller: Caller, account: impl Into<String>, application: impl Into<String>) -> ConnectBuilder {
        ConnectBuilder {
            backend: self.backend().clone(),
            presenter: self.registered_presenter(),
            caller,
            account: account.into(),
            application: application.into(),
            inputs: BTreeMap::new(),
            auth_type: None,
            scopes: None,
            connection: None,
            device: false,
            within: None,
        }
    }

    /// A handle on a connect flow, on another caller's authority; as [`Self::connect_as`]. No I/O.
    pub fn flow_as(&self, caller: Caller, account: impl Into<String>, flow: impl Into<String>) -> ConnectHandle {
        ConnectHandle { backend: self.backend().clone(), caller, account: account.into(), id: flow.into() }
    }
}

impl ConnectBuilder {
    /// One value that the user entered.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.inputs.insert(name.into(), value.into());
        self
    }

    /// All values that the user entered.
    #[must_use]
    pub fn inputs(mut self, inputs: BTreeMap<String, Secret>) -> Self {
        self.inputs = inputs;
        self
    }

    /// Which way to authorise, where the application offers several; default its first.
    #[must_use]
    pub fn auth_type(mut self, auth_type: AuthType) -> Self {
        self.auth_type = Some(auth_type);
        self
    }

    /// The scopes to ask for; default the project's.
    #[must_use]
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// The connection to authorise again.
    #[must_use]
    pub fn connection(mut self, id: impl Into<String>) -> Self {
        self.connection = Some(id.into());
        self
    }

    /// Takes the device flow (RFC 8628), where the application offers it: the presenter shows a code, and the user enters it on
    /// any device. Not needed where it offers nothing else.
    #[must_use]
    pub fn device(mut self) -> Self {
        self.device = true;
        self
    }

    /// How long the user may take, above zero; then the flow is cancelled and the call ends as `connect_timeout`. Default, and at most:
    /// as long as the flow lives, which ends as `flow_expired`: 10 minutes for a page, and for a code what the provider says. It counts
    /// where a page or a code is shown.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Opens the authorize page for the user; default the presenter of the engine.
    #[must_use]
    pub fn present(mut self, presenter: impl Presenter) -> Self {
        self.presenter = Some(Arc::new(presenter));
        self
    }

    async fn run(self) -> Result<Connection> {
        if self.within.is_some_and(|time| time.is_zero()) {
            bail!(InvalidRequest, "`timeout` takes a time above zero");
        }
        let app =
            self.backend.get_app(&self.caller, GetApp { account: self.account.clone(), application: self.application.clone() }).await?;
        let grants = app.grants.get(&AuthType::Oauth2).map(Vec::as_slice).unwrap_or_default();
        let is_device_only = !grants.is_empty() && grants.iter().all(|grant| *grant == GrantKind::DeviceCode);
        match self.auth_type.or_else(|| if self.device { Some(AuthType::Oauth2) } else { app.auth_types.first().copied() }) {
            Some(AuthType::Oauth2) if self.device || is_device_only => self.on_a_device(app.name).await,
            Some(AuthType::Keybased) => {
                let request =
                    ConnectKey { account: self.account, application: self.application, inputs: self.inputs, connection: self.connection };
                self.backend.connect_key(&self.caller, request).await
            }
            Some(AuthType::Oauth2) if self.is_handed_off() => self.handed_off(app.name).await,
            Some(AuthType::Oauth2) => self.oauth(app.name).await,
            None => bail!(WrongAuthType, "`{}` offers no way to authorise", self.application),
        }
    }

    /// Begins a flow. Whoever goes away meanwhile leaves no open one either: the beginning goes on without them, and what it began is cancelled.
    async fn begin<T, F>(&self, start: impl FnOnce(Arc<dyn Backend>, Caller) -> F, id: fn(&T) -> &String) -> Result<(T, Begun)>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (backend, caller, account) = (self.backend.clone(), self.caller.clone(), self.account.clone());
        let start = Scope::current().run(start(backend.clone(), caller.clone()));
        let (tell, told) = oneshot::channel();
        crate::runtime::spawn(async move {
            let begun = start.await.map(|started| {
                let flow = ConnectHandle { backend, caller, account, id: id(&started).clone() };
                (started, Begun { flow, is_watched: true })
            });
            // With nobody to take it, it is dropped.
            let _ = tell.send(begun);
        });
        told.await.unwrap_or_else(|_| Err(Error::code_only(Code::Internal)))
    }

    /// What is asked of every flow.
    fn wanted(&self) -> StartConnect {
        StartConnect {
            account: self.account.clone(),
            application: self.application.clone(),
            inputs: self.inputs.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
            scopes: self.scopes.clone(),
            connection: self.connection.clone(),
            ..StartConnect::default()
        }
    }

    /// Begins a flow whose callback comes to this process, or that needs none.
    async fn start(&self, request: StartConnect) -> Result<(StartedConnect, Begun)> {
        self.begin(|backend, caller| async move { backend.start_connect(&caller, request).await }, |started| &started.flow_id).await
    }

    /// Starts the device flow, shows the code, and waits for its end.
    async fn on_a_device(self, name: String) -> Result<Connection> {
        let Some(presenter) = self.presenter.clone() else {
            return Err(Error::code_only(Code::PresenterRequired).with("application", &self.application));
        };
        let (started, begun) = self.start(StartConnect { device: true, ..self.wanted() }).await?;
        let shown = PresentRequest {
            authorize_url: started.authorize_url,
            redirect_uri: started.redirect_uri,
            application: name,
            device: started.device,
        };
        let flow = begun.flow.clone();
        begun.lives_through(self.watched(&flow, presenter, shown)).await
    }

    /// Whether the server's own page asks the user, and the provider sends them back there. A presenter that catches the
    /// callback itself does not need that, where the server lets it.
    fn is_handed_off(&self) -> bool {
        let backend = self.backend.capabilities();
        let catches = self.presenter.as_ref().is_some_and(|presenter| presenter.redirect_uri().is_some());
        backend.backend == "remote" && !(catches && backend.operations.iter().any(|name| name == Operation::StartConnect.row().name))
    }

    /// Shows the server's page and watches the flow until it ends, the window closes, or the time is over.
    async fn handed_off(self, name: String) -> Result<Connection> {
        let Some(presenter) = self.presenter.clone() else {
            return Err(Error::code_only(Code::PresenterRequired).with("application", &self.application));
        };
        let request = self.wanted();
        let (started, begun) = self
            .begin(|backend, caller| async move { backend.hand_off_connect(&caller, request).await }, |started| &started.flow_id)
            .await?;
        let Some(page) = started.page else {
            bail!(Unsupported, "the server does not know where its pages are reached: set `org.public_url` there");
        };
        let shown =
            PresentRequest { authorize_url: page.expose().to_owned(), redirect_uri: String::new(), application: name, device: None };
        let flow = begun.flow.clone();
        begun.lives_through(self.watched(&flow, presenter, shown)).await
    }

    /// A page that needs no callback in this process, from its opening to the flow's end.
    async fn watched(&self, flow: &ConnectHandle, presenter: Arc<dyn Presenter>, shown: PresentRequest) -> Result<Connection> {
        let label = label::presenter(presenter.name());
        let mut presenting = std::pin::pin!(guarded(&label, "present", FOREVER, async move { presenter.present(shown).await }));
        let mut watching = std::pin::pin!(flow.outwait());
        let mut late = std::pin::pin!(tokio::time::sleep(self.within.unwrap_or(FOREVER)));
        let mut shows = true;
        let stopped = loop {
            tokio::select! {
                ended = &mut watching => match ended {
                    Ok(ended) => return flow.end_of(ended).await,
                    // Its user may be done with the page all the same: the flow stays.
                    Err(error) if is_away(&error) => return Err(error.with("flow", flow.id())),
                    Err(error) => break error,
                },
                // It has opened the page, and that is all that is asked of it here.
                opened = &mut presenting, if shows => match opened {
                    Ok(_) => shows = false,
                    Err(error) => break error,
                },
                () = &mut late => break Error::code_only(Code::ConnectTimeout).with("application", &self.application),
            }
        };
        // A window closes when all is done, too: what has come back counts.
        let come_back = async {
            let last = flow.wait(Some(Duration::ZERO)).await?;
            if matches!(last.status, FlowStatus::Parked | FlowStatus::Exchanging) { flow.wait(None).await } else { Ok(last) }
        };
        match tokio::time::timeout(COMING_BACK, come_back).await {
            Ok(Ok(last)) if last.status == FlowStatus::Connected => flow.end_of(last).await,
            _ => {
                flow.give_up().await;
                Err(stopped)
            }
        }
    }

    /// Starts the flow, shows the page, catches the callback in this process, and ends the flow.
    async fn oauth(self, name: String) -> Result<Connection> {
        let Some(presenter) = self.presenter.clone() else {
            return Err(Error::code_only(Code::PresenterRequired).with("application", &self.application));
        };
        let listener = match presenter.redirect_uri() {
            Some(_) => None,
            None => Some(LoopbackListener::bind(urls::LOOPBACK_PATH).await?),
        };
        let redirect_uri = presenter.redirect_uri().or_else(|| listener.as_ref().map(LoopbackListener::redirect_uri));
        let (started, begun) = self.start(StartConnect { redirect_uri, ..self.wanted() }).await?;
        let shown = PresentRequest {
            authorize_url: started.authorize_url.clone(),
            redirect_uri: started.redirect_uri.clone(),
            application: name,
            device: None,
        };
        let state = url::Url::parse(&started.authorize_url).ok();
        let state = state.and_then(|url| url.query_pairs().find(|(name, _)| name == "state").map(|(_, value)| value.into_owned()));
        if let (Some(listener), Some(state)) = (&listener, state) {
            listener.expect_state(&state);
        }
        let label = label::presenter(presenter.name());
        let presented = guarded(&label, "present", FOREVER, async move { presenter.present(shown).await });
        let finish = |callback_url: String| {
            let request = FinishConnect {
                account: self.account.clone(),
                callback_url: Some(callback_url),
                cookie: Some(started.cookie.value.clone()),
                claim: None,
            };
            self.backend.finish_connect(&self.caller, request)
        };
        // Whoever is back after the flow's life is late by its own clock.
        let life = Duration::from_secs(started.cookie.max_age) + PAUSE;
        let (time, late) = self.within.filter(|time| *time < life).map_or((life, Code::FlowExpired), |time| (time, Code::ConnectTimeout));
        let caught = async {
            let Some(listener) = listener else {
                let callback_url = presented.await?;
                let nowhere = || err!(PresenterRequired, "the {label} neither answered the callback nor let Smalt listen for it");
                return callback_url.map(|url| (url, None)).ok_or_else(nowhere);
            };
            let (mut presenting, mut waiting) = (std::pin::pin!(presented), std::pin::pin!(listener.wait(life, std::future::pending())));
            let mut shows = true;
            loop {
                tokio::select! {
                    // A window closes when all is done, too: a callback that has come counts.
                    biased;
                    caught = &mut waiting => return caught.map(|caught| (caught.url, Some(caught.responder))),
                    opened = &mut presenting, if shows => match opened? {
                        Some(callback_url) => return Ok((callback_url, None)),
                        None => shows = false,
                    },
                }
            }
        };
        let flow = begun.flow.clone();
        begun
            .lives_through(async {
                // The time is the user's: what they came back with is exchanged to the end.
                let caught = tokio::time::timeout(time, caught).await;
                let ended = match caught.unwrap_or_else(|_| Err(Error::code_only(late).with("application", &self.application))) {
                    Ok((callback_url, responder)) => {
                        let ended = finish(callback_url).await;
                        if let Some(responder) = responder {
                            responder.done(ended.is_ok());
                        }
                        ended
                    }
                    Err(error) => Err(error),
                };
                if ended.is_err() {
                    flow.give_up().await;
                }
                ended
            })
            .await
    }
}

impl IntoFuture for ConnectBuilder {
    type Output = Result<Connection>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A connect flow that was begun: watch it, wait for it, cancel it. Any process can hold one.
#[derive(Clone)]
pub struct ConnectHandle {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) caller: Caller,
    pub(super) account: String,
    pub(super) id: String,
}

impl ConnectHandle {
    /// The flow's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it stands.
    ///
    /// # Errors
    /// `flow_not_found`.
    pub async fn status(&self) -> Result<ConnectFlow> {
        self.backend.get_flow(&self.caller, GetFlow { account: self.account.clone(), flow: self.id.clone() }).await
    }

    /// Waits for its end, also where the server cannot be asked for a while.
    async fn outwait(&self) -> Result<ConnectFlow> {
        let mut away = None;
        loop {
            match self.wait(Some(LOOK)).await {
                Ok(flow) if !flow.status.is_final() => away = None,
                Err(error) if is_away(&error) => {
                    let pause = error.info().retry_after.unwrap_or(PAUSE).max(PAUSE);
                    if away.get_or_insert_with(Instant::now).elapsed() + pause > OUTAGE {
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                }
                ended => return ended,
            }
        }
    }

    /// Cancels a flow that nobody comes back to; an ended one stays as it is.
    async fn give_up(&self) {
        let _ = tokio::time::timeout(COMING_BACK, self.cancel()).await;
    }

    /// Waits for its end, at most so long; answers it as it stands then.
    ///
    /// # Errors
    /// `flow_not_found`.
    pub async fn wait(&self, timeout: Option<Duration>) -> Result<ConnectFlow> {
        self.backend.wait_flow(&self.caller, WaitFlow { account: self.account.clone(), flow: self.id.clone(), timeout }).await
    }

    /// Cancels it, unless it has ended.
    ///
    /// # Errors
    /// `flow_not_found`.
    pub async fn cancel(&self) -> Result<ConnectFlow> {
        self.backend.cancel_flow(&self.caller, GetFlow { account: self.account.clone(), flow: self.id.clone() }).await
    }

    /// The connection that the flow makes, in whatever process it was begun: for an app that was closed while its user was at the
    /// provider. `returned` is where the user came back to, the `return_to` of [`start_connect`](crate::Session::start_connect) with
    /// what the server put into it; its claim is spent. Without it, or when the flow has ended already (a URL may be delivered
    /// twice), the flow's end is waited for, and as long as it lives.
    ///
    /// # Errors
    /// Why the flow made none: `user_denied`, `flow_expired`, `flow_cancelled`, …; `claim_invalid` for what is no return of this flow;
    /// `flow_not_found`.
    pub async fn resume(&self, returned: Option<&str>) -> Result<Connection> {
        // What the URL says of an error is not believed: anyone can send one. The flow says it itself.
        let claim = returned.map(|url| self.claim_in(url)).transpose()?.flatten();
        let is_open = |flow: ConnectFlow| matches!(flow.status, FlowStatus::Pending | FlowStatus::Parked);
        // Asked first: a claim in another account's hands would end its flow.
        if let Some(claim) = claim
            && is_open(self.status().await?)
        {
            let request = FinishConnect { account: self.account.clone(), callback_url: None, cookie: None, claim: Some(claim) };
            match self.backend.finish_connect(&self.caller, request).await {
                // Delivered twice at once: the other one has it.
                Err(error) if error.is(Code::ClaimInvalid) && !is_open(self.status().await?) => {}
                ended => return ended,
            }
        }
        self.end_of(self.wait(None).await?).await
    }

    /// The claim in the URL that this flow's user came back to.
    fn claim_in(&self, returned: &str) -> Result<Option<Secret>> {
        let url = url::Url::parse(returned).map_err(|_| err!(ClaimInvalid, "what the user came back to is no URL"))?;
        let named = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        if named("flow").as_deref() != Some(&*self.id) {
            bail!(ClaimInvalid, "the user came back from another connect flow");
        }
        Ok(named("claim").map(Secret::from))
    }

    /// The connection that an ended flow has made, or why it has made none.
    async fn end_of(&self, ended: ConnectFlow) -> Result<Connection> {
        if let Some(connection) = ended.connection_id {
            return self.backend.get_connection(&self.caller, GetConnection { account: self.account.clone(), connection }).await;
        }
        let code = match (&ended.error, ended.status) {
            (Some(failure), _) => Code::parse(&failure.code).unwrap_or(Code::ExchangeFailed),
            (None, FlowStatus::Connected) => Code::ConnectionNotFound,
            (None, FlowStatus::Cancelled) => Code::FlowCancelled,
            (None, _) => Code::FlowExpired,
        };
        Err(Error::code_only(code).with("flow", ended.id).with("application", ended.application))
    }
}
