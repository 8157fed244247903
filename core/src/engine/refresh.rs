//! Renewing a token: exactly once, whoever asks.
//!
//! Inside the process callers share one flight per connection. Between processes a lease stands in the connection's own
//! row; a call's deadline is shorter than the lease. Before the refresh token goes out, the row says so ("presented"):
//! a holder that dies after that leaves a token that may be spent, and nobody presents it again. An answer, however
//! late, is stored while the row still holds the refresh token that was presented. What each step decides stands in
//! `renewal`; this file waits and sends in between.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{
    Inner,
    ahead::Turn,
    apps::App,
    connections::auth_type,
    credential::{self, reauth},
    key_token,
    renewal::{self, Holder, Left, Refusal, Step, Waits},
    sealed::{self, Grant},
};
use crate::{
    error::{Result, bail, err},
    http::protocol::{self, TokenFailure},
    manifest::template::Values,
    model::{AuthType, ConnectionStatus},
    store::rows::ConnectionRow,
};

/// One refresh under way in this process; all callers wait for the same answer.
pub(super) type Flight = Shared<BoxFuture<'static, Result<Arc<ConnectionRow>>>>;

/// Why a token is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Somebody wants it now, and waits.
    Asked,
    /// Nobody does yet.
    Ahead,
}

/// What became of a try.
pub(super) enum Ended {
    /// The row, with a token that is good.
    Row(Box<ConnectionRow>),
    /// Ahead only: another one is at it (`None`), or the application takes no more for so long.
    NotNow(Option<Duration>),
}

/// Takes a flight off the list when it has ended, also by a panic: the next caller begins another.
struct Landing {
    engine: Arc<Inner>,
    id: String,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.engine.flights().remove(&self.id);
    }
}

impl Inner {
    /// The connection with a token that is valid now.
    pub(super) async fn renewed(self: &Arc<Self>, app: &App, row: ConnectionRow) -> Result<ConnectionRow> {
        let flight = {
            let mut flights = self.flights();
            match flights.get(&row.id) {
                Some(flight) => flight.clone(),
                None => {
                    let (engine, app, id) = (self.clone(), app.clone(), row.id.clone());
                    let row = Arc::new(row);
                    let landing = Landing { engine: self.clone(), id: id.clone() };
                    let work = async move {
                        let _landing = landing;
                        match engine.renew(&app, &row, Mode::Asked, &mut None).await? {
                            Ended::Row(row) => Ok(Arc::new(*row)),
                            Ended::NotNow(_) => Err(err!(Internal, "whoever asks for a token is answered")),
                        }
                    };
                    let flight = self.detached(work).boxed().shared();
                    flights.insert(id, flight.clone());
                    flight
                }
            }
        };
        flight.await.map(|row| (*row).clone())
    }

    fn waits(&self) -> Waits {
        let timings = &self.timings;
        Waits { lease: timings.lease, provider: timings.provider, cooldown: timings.cooldown, suspended: timings.suspended }
    }

    /// Runs detached. Whoever asked waits for other holders and, for as long as a call may take, for the rate.
    /// Gives `turn` back as soon as the provider has answered.
    pub(super) async fn renew(self: &Arc<Self>, app: &App, seen: &Arc<ConnectionRow>, mode: Mode, turn: &mut Turn) -> Result<Ended> {
        let name = format!("{}-{}", self.owner, crate::ids::new_id(self.now())?);
        let mut seen = seen.clone();
        let mut own = self.with_client_of_row(app.clone(), &seen).await?;
        let mut place = self.place(&own, &seen);
        let patience = Instant::now() + self.timings.provider;
        loop {
            let about = self.about(self.owner.clone(), &seen.account_id, Some(&seen.application));
            let holder = Arc::new(Holder { about, app: own.clone(), place: place.clone(), name: name.clone(), mode });
            match self.lease(&holder, &seen).await? {
                Step::Done(row) => return Ok(Ended::Row(row)),
                Step::Changed(row) => {
                    seen = Arc::from(row);
                    own = self.with_client_of_row(app.clone(), &seen).await?;
                    place = self.place(&own, &seen);
                }
                Step::Wait if mode == Mode::Ahead => return Ok(Ended::NotNow(None)),
                // Another process's write is noticed by looking.
                Step::Wait => tokio::time::sleep(Duration::from_millis(40 + u64::from(crate::ids::random::<1>()?[0]) / 4)).await,
                Step::NotNow(wait, _) if mode == Mode::Ahead => return Ok(Ended::NotNow((!wait.is_zero()).then_some(wait))),
                Step::NotNow(wait, error) => {
                    if Instant::now() + wait > patience {
                        return Err(error);
                    }
                    tokio::time::sleep(wait.max(Duration::from_millis(5))).await;
                }
                Step::Leased(leased) => {
                    crate::failpoint::failpoint!("refresh-leased");
                    match self.present(&holder, Arc::new(*leased), turn).await? {
                        Some(row) => return Ok(Ended::Row(Box::new(row))),
                        // The lease ran out before anything was sent: begin again.
                        None => continue,
                    }
                }
            }
        }
    }

    /// The application with the client that the connection was made with.
    pub(super) async fn with_client_of_row(&self, app: App, row: &ConnectionRow) -> Result<App> {
        let properties = serde_json::from_str(&row.properties_json).unwrap_or_default();
        self.with_client_of(app, &row.client_key, Values::new().map(&properties)).await
    }

    async fn lease(&self, holder: &Arc<Holder>, seen: &Arc<ConnectionRow>) -> Result<Step> {
        let (clock, vault, lives, waits) = (self.clock.clone(), self.vault.clone(), self.lives.clone(), self.waits());
        let (holder, seen) = (holder.clone(), seen.clone());
        let opened = sealed::open_grant(&vault, &self.tenant, &seen).ok();
        // The clock is read in there: the job may have waited for the store.
        self.write(move |tx| renewal::lease(tx, &holder, &vault, &lives, &clock.boot(), &waits, &seen, opened)).await?
    }

    /// Sends the refresh token, once. `None`: the lease was over before anything was sent.
    async fn present(
        self: &Arc<Self>,
        holder: &Arc<Holder>,
        leased: Arc<(ConnectionRow, Grant)>,
        turn: &mut Turn,
    ) -> Result<Option<ConnectionRow>> {
        let (app, row) = (&holder.app, &leased.0);
        let request = match self.refresh_request(app, row, &leased.1) {
            Ok(request) => request,
            Err(error) => return self.refused(holder, &leased, Refusal::not_sent(error)).await.map(Some),
        };
        let (marking, clock, waits, marked) = (holder.clone(), self.clock.clone(), self.waits(), leased.clone());
        // Ahead, it was marked with the lease.
        if holder.mode == Mode::Asked && !self.write(move |tx| renewal::mark(tx, &marking, &clock.boot(), &waits, &marked.0)).await? {
            return Ok(None);
        }
        crate::failpoint::failpoint!("refresh-presented");
        let answer = self.transport.send(request).await;
        drop(turn.take());
        crate::failpoint::failpoint!("refresh-answered");
        let now = self.now();
        // What is written down counts from before the call: no token is thought to live longer than it does.
        let failure = match answer {
            Ok(answer) => match key_token::read_answer(app, auth_type(row), &answer, now)? {
                Ok(tokens) => {
                    let (vault, presented, holder) = (self.vault.clone(), leased.clone(), holder.clone());
                    let stored =
                        self.write_until_stored(move |tx| renewal::store(tx, &holder, &vault, &presented.0, &presented.1, &tokens)).await?;
                    self.cache.forget(&row.account_id, &row.application);
                    if stored.is_err() {
                        // What came for nobody was queued to be ended.
                        self.outbox.notify_one();
                    }
                    return stored.map(Some);
                }
                Err(failure) => failure,
            },
            Err(error) => TokenFailure::Passing { error },
        };
        self.refused(holder, &leased, Refusal::of(app, row, failure)).await.map(Some)
    }

    /// Without scopes: the grant keeps its own (RFC 6749 section 6).
    fn refresh_request(&self, app: &App, row: &ConnectionRow, grant: &Grant) -> Result<crate::plugin::HttpRequest> {
        if auth_type(row) == AuthType::Keybased {
            return self.key_token_request(app, &grant.values);
        }
        let oauth = app.oauth()?;
        let client = self.client(app)?;
        let properties = serde_json::from_str(&row.properties_json).unwrap_or_default();
        let token = grant.refresh_token.as_ref().ok_or_else(|| reauth(row))?;
        let granted: Vec<String> = serde_json::from_str(&row.scopes_json).unwrap_or_default();
        let scope = granted.join(oauth.scopes.separator.as_deref().unwrap_or(" "));
        // Some providers want the redirect URI once more: the one that the project states.
        let home = self.redirect_uri(app, None).ok();
        let mut values = Values::new().one("scope", &scope);
        if let Some(home) = &home {
            values = values.one("redirect_uri", home);
        }
        let values = app.values(values.map(&properties).secrets(&grant.values));
        let mut request = protocol::refresh_request(oauth, &values, &client, token, &[])?;
        request.timeout = self.timings.provider;
        Ok(request)
    }

    /// Writes a refusal down. A token that is still good is answered all the same.
    async fn refused(&self, holder: &Arc<Holder>, leased: &Arc<(ConnectionRow, Grant)>, refusal: Refusal) -> Result<ConnectionRow> {
        let (ending, waits, presented, error) = (holder.clone(), self.waits(), leased.clone(), refusal.error.clone());
        let (was_sent, row) = (refusal.was_sent(), &leased.0);
        let left = self.write_until_stored(move |tx| renewal::refuse(tx, &ending, &waits, &presented.0, &refusal)).await?;
        let (current, error) = match left {
            Left::Gone => return Err(error),
            Left::Newer(row) => {
                let good = row.status == ConnectionStatus::Active.as_str() && credential::is_fresh(&holder.app, &row, self.judged(&row));
                self.cache.forget(&row.account_id, &row.application);
                return if good { Ok(*row) } else { Err(error) };
            }
            Left::Noted(row, error) => (row, error),
        };
        let is_active = current.status == ConnectionStatus::Active.as_str();
        if !is_active {
            self.cache.forget(&row.account_id, &row.application);
        }
        // Renewed early: the old token is still good.
        let still_good = is_active && current.expires_at.is_none_or(|end| self.judged(&current).millis() < end);
        if still_good && was_sent && holder.mode == Mode::Asked { Ok(*current) } else { Err(error) }
    }
}

/// Used where a call found that the token died early: renew although the clock says that it is good.
impl Inner {
    pub(super) async fn renewed_now(self: &Arc<Self>, app: &App, mut row: ConnectionRow) -> Result<ConnectionRow> {
        if row.refresh_print.is_none() {
            bail!(ReauthRequired, "`{}` refuses the token, and there is none to renew it with", app.slug());
        }
        let (tenant, id, version, now) = (self.tenant.clone(), row.id.clone(), row.secret_version, self.now().millis());
        // Marking the end in the row makes every process see it as due.
        self.write(move |tx| {
            // While a failed refresh cools down nobody could renew it: then the token stays what it is.
            let may_renew = |row: &ConnectionRow| row.secret_version == version && row.cooldown_until.is_none_or(|until| until <= now);
            if let Some(mut current) = tx.connection(&tenant, &id)?.filter(may_renew) {
                current.expires_at = Some(now);
                current.row_version += 1;
                tx.put_connection(&tenant, &current)?;
            }
            Ok(())
        })
        .await?;
        row.expires_at = Some(now);
        self.cache.forget(&row.account_id, &row.application);
        self.renewed(app, row).await
    }
}
