//! The connect flow: begun, parked, claimed, ended. A flow is a row, so it survives restarts and any process can go on
//! with it. Whoever begins is who ends: the code is exchanged only for the account and the browser that began.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use url::Url;

use super::{
    About, Inner,
    apps::{App, CLIENT_KEY},
    device, end_of,
    exchange::Redemption,
    handoff, millis, require_account,
    sealed::{self, FlowSecrets},
};
use crate::{
    Code, Error, Secret, Timestamp,
    backend::{FinishConnect, GetFlow, ParkCallback, ParkedCallback, StartConnect, WaitFlow},
    error::{Result, bail, err},
    http::protocol::{self, Callback},
    ids::{self, fingerprint},
    manifest::{
        Pkce, StateIn,
        template::{self, Values},
    },
    model::{AuthType, ConnectFlow, Connection, DevicePrompt, EventType, FlowFailure, FlowStatus, StartedConnect, StateCookie, Tenant},
    plugin::Tx,
    project::urls,
    store::rows::FlowRow,
};

/// A row as callers see it. Times that have passed count even before the reaper has written them down.
pub(super) fn to_model(row: &FlowRow, now: Timestamp, exchange_limit: Duration) -> Result<ConnectFlow> {
    let stored = stored(row).ok_or_else(|| err!(StoreCorrupt, "flow {} has no known status", row.id))?;
    let mut error = row.error_code.clone().map(|code| FlowFailure { code, reason: row.error_reason.clone().unwrap_or_default() });
    let status = match stored {
        FlowStatus::Pending | FlowStatus::Parked if now.millis() > row.expires_at => FlowStatus::Expired,
        FlowStatus::Exchanging if now.millis() > row.changed_at + millis(exchange_limit) => {
            error = Some(interrupted());
            FlowStatus::Failed
        }
        status => status,
    };
    let ended = status.is_final().then(|| with_outcome(row, status.as_str(), None, error.as_ref().map(|error| error.code.as_str())));
    Ok(ConnectFlow {
        return_url: ended.flatten(),
        id: row.id.clone(),
        account_id: row.account_id.clone(),
        application: row.application.clone(),
        status,
        connection_id: row.connection_id.clone(),
        error,
        return_to: row.return_to.clone(),
        created_at: Timestamp::from_millis(row.created_at),
        expires_at: Timestamp::from_millis(row.expires_at),
    })
}

/// The process that exchanged the code went away: the code may be spent, so nobody sends it again.
fn interrupted() -> FlowFailure {
    let error = err!(ExchangeFailed, "the exchange was interrupted; try again");
    FlowFailure { code: error.code().as_str().to_owned(), reason: error.reason().to_owned() }
}

/// What a callback must be checked against before its code counts.
struct Proof {
    account: Option<String>,
    cookie: Option<Secret>,
    callback: Callback,
    /// What the caller passed: a whole URL, or what a web framework knows of it (path and query).
    arrived: String,
    issuer: Option<String>,
    /// The application states no issuer, and the callback's is another application's.
    mixed_up: bool,
    /// The redirect URI as it was sent, where the state stands in it.
    sent_to: Option<String>,
    /// What the manifest says about the callback beyond RFC 6749: errors that mean "no", and whether it is as it should be.
    denied: Vec<String>,
    verdict: Result<()>,
    /// The values to keep.
    copied: BTreeMap<String, String>,
}

/// The redirect URI with the state in it, for providers that do not give `state` back.
fn with_state(how: StateIn, redirect_uri: &str, state: &str) -> Result<String> {
    let mut url = Url::parse(redirect_uri).map_err(|_| err!(RedirectNotAllowed, "the redirect URI is not an absolute URI"))?;
    match how {
        StateIn::Param => return Ok(redirect_uri.to_owned()),
        StateIn::RedirectQuery => drop(url.query_pairs_mut().append_pair("state", state)),
        StateIn::RedirectPath => {
            let path = format!("{}/{state}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
    }
    Ok(url.into())
}

impl Inner {
    pub(super) fn redirect_uri(&self, app: &App, asked: Option<&str>) -> Result<String> {
        let org = &app.project.project.org;
        let client = app.settings().client.get(&self.tenant.environment);
        let own = match client.and_then(|client| client.redirect_uri.clone()) {
            Some(uri) => Some(uri),
            None => self.public_base(org).map(|base| format!("{base}/api/v1/{}/callback", app.slug())),
        };
        match (asked, own) {
            (Some(asked), Some(own)) if asked == own => Ok(own),
            (Some(asked), _) => urls::redirect_allowed(org, client, asked).map(|_| asked.to_owned()),
            (None, Some(own)) => Ok(own),
            (None, None) => {
                bail!(ProjectInvalid, "`org.public_url` is not set, so there is no redirect URI; set it, or pass `redirect_uri`")
            }
        }
    }

    pub(super) async fn start_connect(self: &std::sync::Arc<Self>, actor: String, request: StartConnect) -> Result<StartedConnect> {
        let app = self.app(&request.application).await?;
        let given = request.inputs.iter().map(|(name, value)| (name.clone(), Secret::new(value.as_str()))).collect();
        let return_to = match &request.return_to {
            // The hosted page is ours.
            Some(url) if self.portal_page(&app.project.project.org).as_ref() == Some(url) => Some(url.clone()),
            Some(url) => Some(urls::return_to_allowed(&app.project.project.org, url)?.to_string()),
            None => None,
        };
        let inputs = |app: &App| crate::manifest::inputs::check(app.inputs(AuthType::Oauth2), &given);
        if request.device {
            let scopes = scopes(&app, request.scopes.as_deref())?;
            let inputs = inputs(&app)?;
            self.require(&request).await?;
            let app = self.with_client_to_connect(app, &inputs, None, &scopes).await?;
            return self.start_device(actor, &app, &request, return_to, inputs, scopes).await;
        }
        let mut beginning = Beginning { return_to, state: ids::new_token()?, ..Beginning::default() };
        if let Some(oauth) = app.oauth1() {
            beginning.redirect_uri = self.redirect_uri(&app, request.redirect_uri.as_deref())?;
            beginning.secrets.inputs = inputs(&app)?;
            self.require(&request).await?;
            beginning.authorize_url = self.ask_temporary(&app, oauth, &mut beginning).await?;
            return self.begin_flow(actor, &request, beginning).await;
        }
        if !app.oauth()?.has_page() {
            bail!(
                WrongAuthType,
                "`{}` is connected with a code on a device and has no page: call `start_connect` with `device`",
                app.slug()
            );
        }
        // What the organisation left out is told first; a client that the provider registers is known only with the redirect URI.
        let own = match app.registration() {
            Some(_) => None,
            None => Some(self.client(&app)?),
        };
        let redirect_uri = self.redirect_uri(&app, request.redirect_uri.as_deref())?;
        let inputs = inputs(&app)?;
        let scopes = scopes(&app, request.scopes.as_deref())?;
        let (app, client) = match own {
            Some(client) => (app, client),
            None => {
                self.require(&request).await?;
                let app = self.with_client_to_connect(app, &inputs, Some(&redirect_uri), &scopes).await?;
                let client = self.client(&app)?;
                (app, client)
            }
        };
        let oauth = app.oauth()?;
        let (verifier, challenge) = match oauth.pkce {
            Pkce::S256 => protocol::pkce().map(|(verifier, challenge)| (Some(verifier), Some(challenge)))?,
            Pkce::Plain => protocol::pkce().map(|(verifier, _)| (Some(verifier.clone()), Some(verifier.expose().to_owned())))?,
            Pkce::Off => (None, None),
        };
        let values = app.values(Values::new().secrets(&inputs));
        let sent_to = with_state(oauth.callback.state, &redirect_uri, &beginning.state)?;
        let challenge = challenge.as_deref();
        beginning.authorize_url =
            protocol::authorize_url(oauth, &values, &client.id, &sent_to, &beginning.state, challenge, &scopes)?.into();
        (beginning.redirect_uri, beginning.scopes, beginning.sent_to) = (redirect_uri, scopes, Some(sent_to));
        beginning.secrets = FlowSecrets { verifier, inputs, ..FlowSecrets::default() };
        app.client_key().clone_into(&mut beginning.client_key);
        self.begin_flow(actor, &request, beginning).await
    }

    /// Whether account and connection are there, before a provider is asked for anything.
    pub(super) async fn require(&self, request: &StartConnect) -> Result<()> {
        let (tenant, request) = (self.tenant.clone(), request.clone());
        self.read(move |tx| {
            require_account(tx, &tenant, &request.account)?;
            match &request.connection {
                Some(id) => super::connections::choose(tx, &tenant, &request.account, &request.application, Some(id)).map(drop),
                None => Ok(()),
            }
        })
        .await
    }

    /// Writes a flow down and answers what its caller needs.
    pub(super) async fn begin_flow(&self, actor: String, request: &StartConnect, beginning: Beginning) -> Result<StartedConnect> {
        let cookie = ids::new_token()?;
        let about = self.about(actor, &request.account, Some(&request.application));
        let now = about.now;
        let expires_at = beginning.expires_at.unwrap_or_else(|| now.plus(self.timings.flow_lifetime));
        let mut options = serde_json::json!({"scopes": beginning.scopes, "connection": request.connection});
        let status = match &beginning.device {
            Some((_, polls)) => {
                options["device"] = polls.clone();
                options["actor"] = about.actor.clone().into();
                device::POLLING
            }
            None => FlowStatus::Pending.as_str(),
        };
        let mut row = FlowRow {
            id: ids::new_id(now)?,
            account_id: request.account.clone(),
            application: request.application.clone(),
            client_key: if beginning.client_key.is_empty() { CLIENT_KEY.to_owned() } else { beginning.client_key },
            status: status.to_owned(),
            state_hash: fingerprint(&beginning.state),
            // Nobody comes back from a device flow.
            state_used: beginning.device.is_some(),
            cookie_hash: fingerprint(&cookie),
            claim_hash: None,
            redirect_uri: beginning.redirect_uri.clone(),
            return_to: beginning.return_to,
            sealed: Vec::new(),
            options_json: options.to_string(),
            connection_id: None,
            error_code: None,
            error_reason: None,
            created_at: now.millis(),
            expires_at: expires_at.millis(),
            changed_at: now.millis(),
        };
        sealed::seal_flow(&self.vault, &self.tenant, &mut row, &beginning.secrets)?;
        let flow_id = row.id.clone();
        let (connection, application) = (request.connection.clone(), request.application.clone());
        self.write(move |tx| {
            require_account(tx, &about.tenant, &about.account)?;
            if let Some(id) = &connection {
                super::connections::choose(tx, &about.tenant, &about.account, &application, Some(id))?;
            }
            tx.put_flow(&about.tenant, &row)?;
            about.event(tx, EventType::FlowStarted, &serde_json::json!({"flow": row.id}))
        })
        .await?;
        Ok(StartedConnect {
            cookie: StateCookie { name: StateCookie::name_of(&flow_id), value: cookie.into(), max_age: expires_at.since(now).as_secs() },
            flow_id,
            authorize_url: beginning.authorize_url,
            redirect_uri: beginning.sent_to.unwrap_or(beginning.redirect_uri),
            expires_at,
            device: beginning.device.map(|(prompt, _)| prompt),
        })
    }

    /// Takes the state out of play and checks everything that hangs on it, in one transaction. The state is spent
    /// whatever comes of it. An error of the flow itself ends the flow with that error.
    async fn accept(&self, actor: String, proof: Proof, park: bool) -> Result<Accepted> {
        let Some(state) = proof.callback.state.clone() else { bail!(InvalidState, "the callback carries no state") };
        let hash = fingerprint(state.expose());
        let (tenant, vault, now) = (self.tenant.clone(), self.vault.clone(), self.now());
        let park_time = self.timings.park;
        self.write(move |tx| {
            let Some(mut row) = tx.consume_state(&tenant, &hash)? else {
                return Err(match tx.flow_by_state(&tenant, &hash)? {
                    Some(row) => err!(StateReplayed, "the callback of flow {} came before", row.id).with("flow", row.id),
                    None => err!(InvalidState, "no flow was begun with this state"),
                });
            };
            row.state_used = true;
            let about = About { tenant, now, actor, account: row.account_id.clone(), application: Some(row.application.clone()) };
            if let Err(error) = check(&row, &proof, now) {
                let error = error.with("flow", &row.id);
                if !status(&row).is_final() {
                    fail(tx, &about, &mut row, &error)?;
                }
                // Written down and answered: an error here must not undo the spending of the state.
                return Ok(Accepted::Refused { error, row });
            }
            let mut secrets = sealed::open_flow(&vault, &about.tenant, &row)?;
            secrets.code = proof.callback.code;
            secrets.copied = proof.copied;
            secrets.redirect_uri = proof.sent_to.map(Secret::new);
            row.changed_at = now.millis();
            if !park {
                begin_exchange(tx, &about, &mut row)?;
                return Ok(Accepted::Redeem { row, secrets: Box::new(secrets) });
            }
            let claim = ids::new_token()?;
            row.status = FlowStatus::Parked.as_str().to_owned();
            row.claim_hash = Some(fingerprint(&claim));
            row.expires_at = now.plus(park_time).millis();
            sealed::seal_flow(&vault, &about.tenant, &mut row, &secrets)?;
            tx.put_flow(&about.tenant, &row)?;
            Ok(Accepted::Parked { row, claim: claim.into() })
        })
        .await
    }

    /// What an application's callback must state as its issuer, for the flow of this state.
    async fn proof(&self, callback_url: &str, account: Option<String>, cookie: Option<Secret>) -> Result<Proof> {
        let callback = protocol::callback(callback_url)?;
        let in_path = protocol::last_part(callback_url).filter(|_| callback.state.is_none()).map(Secret::new);
        let mut proof = Proof {
            account,
            cookie,
            callback,
            arrived: callback_url.to_owned(),
            issuer: None,
            mixed_up: false,
            sent_to: None,
            denied: Vec::new(),
            verdict: Ok(()),
            copied: BTreeMap::new(),
        };
        let Some(state) = proof.callback.state.clone().or_else(|| in_path.clone()) else { return Ok(proof) };
        let (tenant, hash) = (self.tenant.clone(), fingerprint(state.expose()));
        let row = self.read(move |tx| tx.flow_by_state(&tenant, &hash)).await?;
        let Some(row) = row else { return Ok(proof) };
        let app = match self.app(&row.application).await {
            Ok(app) => app,
            // A state that is spent already says more than an application that is gone.
            Err(_) if row.state_used || status(&row).is_final() => return Ok(proof),
            Err(error) => return Err(error),
        };
        if app.oauth1().is_some() {
            if in_path.is_none() && !row.state_used && !status(&row).is_final() {
                let temporary = sealed::open_flow(&self.vault, &self.tenant, &row)?.temporary;
                super::oauth1::adopt(&mut proof.callback, temporary.as_ref());
            }
            return Ok(proof);
        }
        let oauth = app.oauth()?;
        if in_path.is_some() && oauth.callback.state != StateIn::RedirectPath {
            return Ok(proof);
        }
        proof.callback.state = Some(state.clone());
        if row.state_used || status(&row).is_final() {
            return Ok(proof);
        }
        proof.callback.adapt(&oauth.callback);
        // It may be made of what the user entered at the start.
        let inputs = sealed::open_flow(&self.vault, &self.tenant, &row)?.inputs;
        let values = app.values(Values::new().secrets(&inputs));
        proof.issuer = oauth.issuer.as_ref().map(|template| template::text(template, &values)).transpose()?;
        if let (None, Some(iss)) = (&proof.issuer, &proof.callback.iss) {
            proof.mixed_up = self.is_anothers(iss, &template::text(&oauth.token_url, &values)?).await;
        }
        if oauth.callback.state != StateIn::Param {
            proof.sent_to = Some(with_state(oauth.callback.state, &row.redirect_uri, state.expose())?);
        }
        proof.denied.clone_from(&oauth.callback.denied);
        if let Some(param) = &oauth.callback.hmac {
            let own = self.with_client_of(app.clone(), &row.client_key, Values::new().secrets(&inputs)).await?;
            proof.verdict = protocol::check_hmac(callback_url, param, self.client(&own)?.secret.as_ref());
        }
        let copies = protocol::copy(&oauth.copy_from_callback, |param| proof.callback.params.get(param).cloned());
        proof.copied = copies.values;
        if let (Some(trouble), Ok(())) = (copies.trouble, &proof.verdict) {
            proof.verdict = Err(err!(AuthorizeFailed, "the callback's value {trouble}"));
        }
        Ok(proof)
    }

    /// Whether an issuer is another application's, whose codes belong to another token URL than this one. An application
    /// that states no issuer must not be handed a code that says whose it is (S-05).
    async fn is_anothers(&self, iss: &str, token_url: &str) -> bool {
        for manifest in self.catalog.all() {
            let Some(oauth) = manifest.oauth2.as_ref().filter(|oauth| oauth.issuer.is_some()) else { continue };
            let Ok(other) = self.app(&manifest.slug).await else { continue };
            let text = |template: &str| template::text(template, &other.values(Values::new())).ok();
            if oauth.issuer.as_deref().and_then(text).as_deref() == Some(iss) && text(&oauth.token_url).as_deref() != Some(token_url) {
                return true;
            }
        }
        false
    }

    pub(super) async fn park_callback(&self, request: ParkCallback) -> Result<ParkedCallback> {
        let proof = self.proof(&request.callback_url, None, request.cookie).await?;
        match self.accept("callback".to_owned(), proof, true).await? {
            Accepted::Parked { row, claim } => Ok(ParkedCallback {
                return_to: with_outcome(&row, "claim", Some(&claim), None),
                handed_off: handoff::is_handed_off(&row),
                account_id: row.account_id,
                flow_id: row.id,
                claim: Some(claim),
                error: None,
            }),
            Accepted::Refused { row, error } if row.return_to.is_some() && !error.is(Code::BrowserMismatch) => Ok(ParkedCallback {
                return_to: with_outcome(&row, FlowStatus::Failed.as_str(), None, Some(error.code().as_str())),
                handed_off: handoff::is_handed_off(&row),
                account_id: row.account_id,
                flow_id: row.id,
                claim: None,
                error: Some(error.code().as_str().to_owned()),
            }),
            Accepted::Refused { error, .. } => Err(error),
            Accepted::Redeem { .. } => Err(err!(Internal, "a parked callback was to be redeemed")),
        }
    }

    pub(super) async fn finish_connect(self: &std::sync::Arc<Self>, actor: String, request: FinishConnect) -> Result<Connection> {
        let (row, secrets) = match (request.callback_url, request.claim) {
            (Some(url), None) => {
                // A callback without the cookie of the browser that began proves nothing (S-03).
                let cookie = request.cookie.unwrap_or_default();
                let proof = self.proof(&url, Some(request.account), Some(cookie)).await?;
                match self.accept(actor.clone(), proof, false).await? {
                    Accepted::Redeem { row, secrets } => (row, *secrets),
                    Accepted::Refused { error, .. } => return Err(error),
                    Accepted::Parked { .. } => bail!(Internal, "a callback that was to be redeemed was parked"),
                }
            }
            (None, Some(claim)) => self.claim(actor.clone(), request.account, claim).await?,
            _ => bail!(InvalidRequest, "pass either `callback_url` with `cookie`, or `claim`"),
        };
        self.redeem(Redemption { actor, row, secrets }).await
    }

    async fn claim(&self, actor: String, account: String, claim: Secret) -> Result<(FlowRow, FlowSecrets)> {
        let hash = fingerprint(claim.expose());
        let (tenant, vault, now) = (self.tenant.clone(), self.vault.clone(), self.now());
        self.write(move |tx| {
            // A ticket of a flow that was handed off is no claim.
            let parked = tx
                .flow_by_claim(&tenant, &hash)?
                .is_some_and(|row| !handoff::is_handed_off(&row) || row.status != FlowStatus::Pending.as_str());
            let claimed = if parked { tx.consume_claim(&tenant, &hash)? } else { None };
            let Some(mut row) = claimed else { bail!(ClaimInvalid, "no parked callback has this claim") };
            row.claim_hash = None;
            let about = About { tenant, now, actor, account: row.account_id.clone(), application: Some(row.application.clone()) };
            let fits = status(&row) == FlowStatus::Parked && row.account_id == account && now.millis() <= row.expires_at;
            if !fits {
                let error = err!(ClaimInvalid, "the claim is late, or of another linked account").with("flow", &row.id);
                if !status(&row).is_final() {
                    fail(tx, &about, &mut row, &error)?;
                }
                return Ok(Err(error));
            }
            let secrets = sealed::open_flow(&vault, &about.tenant, &row)?;
            row.changed_at = now.millis();
            begin_exchange(tx, &about, &mut row)?;
            Ok(Ok((row, secrets)))
        })
        .await?
    }

    /// How long an exchange may take before it counts as interrupted.
    pub(super) fn exchange_limit(&self) -> Duration {
        self.timings.provider * 2 + self.timings.plugin + self.timings.lease
    }

    pub(super) async fn get_flow(&self, request: GetFlow) -> Result<ConnectFlow> {
        let tenant = self.tenant.clone();
        let (account, id) = (request.account, request.flow);
        let row = self
            .read(move |tx| {
                let row = tx.flow(&tenant, &id)?.filter(|row| row.account_id == account);
                row.ok_or_else(|| err!(FlowNotFound, "no connect flow `{}`", id.escape_debug()))
            })
            .await?;
        to_model(&row, self.now(), self.exchange_limit())
    }

    /// Watches only. Woken by whatever is written here; other processes' writes are noticed by polling.
    pub(super) async fn wait_flow(&self, request: WaitFlow) -> Result<ConnectFlow> {
        let until = request.timeout.map(end_of);
        let mut changed = self.changed.subscribe();
        loop {
            let flow = self.get_flow(GetFlow { account: request.account.clone(), flow: request.flow.clone() }).await?;
            let over = until.is_some_and(|until| Instant::now() >= until);
            if flow.status.is_final() || over {
                return Ok(flow);
            }
            // A pending flow also ends by the clock, which writes nothing.
            let longest = Duration::from_secs(1);
            let left = until.map_or(longest, |until| until.saturating_duration_since(Instant::now()).min(longest));
            let _ = tokio::time::timeout(left, changed.changed()).await;
        }
    }

    /// Ends a flow that nobody has come back to; one that is being exchanged goes on.
    pub(super) async fn cancel_flow(&self, actor: String, request: GetFlow) -> Result<ConnectFlow> {
        let about = self.about(actor, &request.account, None);
        let limit = self.exchange_limit();
        self.write(move |tx| {
            let Some(mut row) = tx.flow(&about.tenant, &request.flow)?.filter(|row| row.account_id == request.account) else {
                bail!(FlowNotFound, "no connect flow `{}`", request.flow.escape_debug())
            };
            if matches!(status(&row), FlowStatus::Pending | FlowStatus::Parked) && about.now.millis() <= row.expires_at {
                end(&mut row, FlowStatus::Cancelled, about.now);
                tx.put_flow(&about.tenant, &row)?;
                let about = About { application: Some(row.application.clone()), ..about.clone() };
                about.event(tx, EventType::FlowCancelled, &serde_json::json!({"flow": row.id}))?;
            }
            to_model(&row, about.now, limit)
        })
        .await
    }
}

/// How long something is still good.
pub(super) fn seconds_left(until: Timestamp, now: Timestamp) -> u64 {
    until.since(now).as_secs()
}

/// What a flow begins with.
#[derive(Default)]
pub(super) struct Beginning {
    /// The client that it goes with; default the project's own.
    pub(super) client_key: String,
    pub(super) return_to: Option<String>,
    pub(super) redirect_uri: String,
    /// The redirect URI as it was sent, where that is another one.
    pub(super) sent_to: Option<String>,
    pub(super) authorize_url: String,
    pub(super) state: String,
    pub(super) scopes: Vec<String>,
    pub(super) secrets: FlowSecrets,
    /// Default: the engine's own time for a user.
    pub(super) expires_at: Option<Timestamp>,
    /// What to show, and how to poll.
    pub(super) device: Option<(DevicePrompt, crate::model::Json)>,
}

enum Accepted {
    Redeem { row: FlowRow, secrets: Box<FlowSecrets> },
    Parked { row: FlowRow, claim: Secret },
    Refused { row: FlowRow, error: Error },
}

fn status(row: &FlowRow) -> FlowStatus {
    stored(row).unwrap_or(FlowStatus::Failed)
}

/// A device flow has a word of its own in the store, so that the ones to poll are found; to callers it is pending.
fn stored(row: &FlowRow) -> Option<FlowStatus> {
    if row.status == device::POLLING { Some(FlowStatus::Pending) } else { FlowStatus::parse(&row.status) }
}

/// This flow's cookie, out of a whole `Cookie` header; a bare value is taken as it is.
fn own_cookie<'a>(given: &'a str, flow: &str) -> &'a str {
    let name = StateCookie::name_of(flow);
    let mut pairs = given.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(n, _)| *n == name).map_or(given, |(_, value)| value)
}

/// Everything that must hold before the code counts; who, where and when come before what the provider says.
fn check(row: &FlowRow, proof: &Proof, now: Timestamp) -> Result<()> {
    match status(row) {
        FlowStatus::Pending => {}
        FlowStatus::Cancelled => bail!(FlowCancelled, "the connect flow was cancelled"),
        _ => bail!(StateReplayed, "the connect flow has gone on already"),
    }
    if now.millis() > row.expires_at {
        bail!(FlowExpired, "the user took too long");
    }
    // The path carries application and client (S-05). Host and scheme are those of the public URL, which a server behind
    // a proxy does not see.
    let expected = Url::parse(proof.sent_to.as_deref().unwrap_or(&row.redirect_uri)).ok();
    let arrived = expected.as_ref().and_then(|expected| expected.join(&proof.arrived).ok());
    if expected.is_none() || expected.map(|url| url.path().to_owned()) != arrived.map(|url| url.path().to_owned()) {
        bail!(FlowContextMismatch, "the callback arrived elsewhere than the flow's redirect URI");
    }
    if proof.account.as_ref().is_some_and(|account| *account != row.account_id) {
        bail!(FlowAccountMismatch, "the flow was begun for another linked account");
    }
    let cookie = proof.cookie.as_ref().map(|cookie| fingerprint(own_cookie(cookie.expose(), &row.id)));
    if cookie.as_deref().is_some_and(|hash| hash != row.cookie_hash)
        || (cookie.is_none() && (proof.account.is_some() || handoff::is_handed_off(row)))
    {
        bail!(BrowserMismatch, "the cookie is missing or of another flow");
    }
    protocol::check_issuer(proof.issuer.as_deref(), proof.callback.iss.as_deref())?;
    if proof.mixed_up {
        bail!(IssuerMismatch, "the callback's issuer is another application's");
    }
    if let Some(error) = &proof.callback.error {
        let denied = if proof.denied.is_empty() { error == "access_denied" } else { proof.denied.contains(error) };
        let code = if denied { Code::UserDenied } else { Code::AuthorizeFailed };
        return Err(Error::new(code, format!("the provider answered `{error}`")).with("provider_error", error));
    }
    if proof.callback.code.is_none() {
        bail!(AuthorizeFailed, "the callback carries neither a code nor an error");
    }
    proof.verdict.clone()
}

/// A final status: the secrets are dead.
pub(super) fn end(row: &mut FlowRow, status: FlowStatus, now: Timestamp) {
    status.as_str().clone_into(&mut row.status);
    row.sealed = Vec::new();
    row.claim_hash = None;
    row.changed_at = now.millis();
}

/// The code is in memory only from here on: a crash must not leave it to be sent twice.
pub(super) fn begin_exchange(tx: &mut dyn Tx, about: &About, row: &mut FlowRow) -> Result<()> {
    end(row, FlowStatus::Exchanging, about.now);
    tx.put_flow(&about.tenant, row)
}

/// The flow whose code was exchanged; nothing when it went with its account meanwhile, also when an account of the same
/// name was made since: what the old one's user granted is not the new one's.
pub(super) fn still_there(tx: &mut dyn Tx, tenant: &Tenant, row: &FlowRow) -> Result<Option<FlowRow>> {
    Ok(tx.flow(tenant, &row.id)?.map(|_| row.clone()))
}

/// Ends a flow with an error. One whose time was over before is and stays expired.
pub(super) fn fail(tx: &mut dyn Tx, about: &About, row: &mut FlowRow, error: &Error) -> Result<()> {
    let expired = matches!(status(row), FlowStatus::Pending | FlowStatus::Parked) && about.now.millis() > row.expires_at;
    end(row, if expired { FlowStatus::Expired } else { FlowStatus::Failed }, about.now);
    row.error_code = Some(error.code().as_str().to_owned());
    row.error_reason = Some(error.reason().to_owned());
    tx.put_flow(&about.tenant, row)?;
    about.event(tx, EventType::FlowFailed, &serde_json::json!({"flow": row.id, "code": error.code().as_str()}))
}

/// Ends a flow with its connection.
pub(super) fn succeed(tx: &mut dyn Tx, about: &About, row: &mut FlowRow, connection: &str) -> Result<()> {
    end(row, FlowStatus::Connected, about.now);
    row.connection_id = Some(connection.to_owned());
    tx.put_flow(&about.tenant, row)
}

/// The stored return URL with what the page there needs to know.
fn with_outcome(row: &FlowRow, outcome: &str, claim: Option<&Secret>, error: Option<&str>) -> Option<String> {
    let mut url = Url::parse(row.return_to.as_deref()?).ok()?;
    url.query_pairs_mut().append_pair("flow", &row.id).append_pair("application", &row.application).append_pair("outcome", outcome);
    if let Some(claim) = claim {
        url.query_pairs_mut().append_pair("claim", claim.expose());
    }
    if let Some(error) = error {
        url.query_pairs_mut().append_pair("error", error);
    }
    Some(url.into())
}

/// What to ask for: the caller's choice, the project's or the manifest's, and always what is required.
fn scopes(app: &App, asked: Option<&[String]>) -> Result<Vec<String>> {
    let declared = &app.oauth()?.scopes;
    let mut scopes: Vec<String> = match (asked, &app.settings().scopes) {
        (Some(asked), _) => asked.to_vec(),
        (None, Some(project)) => project.clone(),
        (None, None) => declared.default.clone(),
    };
    for required in &declared.required {
        if !scopes.contains(required) {
            scopes.push(required.clone());
        }
    }
    Ok(scopes)
}

/// Inputs that are no secrets stay readable beside the connection; the others are sealed.
pub(super) fn split_inputs(
    app: &App,
    auth_type: AuthType,
    inputs: BTreeMap<String, Secret>,
) -> (BTreeMap<String, String>, BTreeMap<String, Secret>) {
    let fields = app.inputs(auth_type);
    let is_secret = |name: &str| fields.iter().find(|field| field.name == name).is_none_or(|field| field.secret);
    let plain = inputs.iter().filter(|(name, _)| !is_secret(name)).map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    (plain, inputs)
}
