//! Renewing a token: exactly once, whoever asks.
//!
//! Inside the process callers share one flight per connection. Between processes a lease stands in the connection's own
//! row; a call's deadline is shorter than the lease. Before the refresh token goes out, the row says so ("presented"):
//! a holder that dies after that leaves a token that may be spent, and nobody presents it again. An answer, however
//! late, is stored while the row still holds the refresh token that was presented.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{
    About, Inner,
    apps::App,
    connections::NewConnection,
    credential::{self, reauth},
    exchange::{self, expire, note_error},
    millis, outbox,
    sealed::{self, Grant},
};
use crate::{
    Error, Timestamp,
    error::{Result, bail, err},
    http::protocol::{self, TokenFailure, TokenSet},
    manifest::{Rotation, template::Values},
    model::{AuthType, ConnectionStatus, EventType},
    plugin::{BootTime, Tx},
    store::rows::ConnectionRow,
    vault::Vault,
};

/// One refresh under way in this process; all callers wait for the same answer.
pub(super) type Flight = Shared<BoxFuture<'static, Result<Arc<ConnectionRow>>>>;

/// No refusal keeps a connection from being tried again for longer.
const LONGEST_COOLDOWN: Duration = Duration::from_secs(3600);

/// What the row allows.
enum Step {
    /// Somebody renewed it, or it is good enough for now.
    Done(Box<ConnectionRow>),
    /// Another holder is at it.
    Wait,
    /// It is ours.
    Leased(Box<(ConnectionRow, Grant)>),
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
                    let landing = Landing { engine: self.clone(), id: id.clone() };
                    let work = async move {
                        let _landing = landing;
                        engine.renew(&app, &row).await.map(Arc::new)
                    };
                    let flight = self.detached(work).boxed().shared();
                    flights.insert(id, flight.clone());
                    flight
                }
            }
        };
        flight.await.map(|row| (*row).clone())
    }

    async fn renew(self: &Arc<Self>, app: &App, seen: &ConnectionRow) -> Result<ConnectionRow> {
        let holder = format!("{}-{}", self.owner, crate::ids::new_id(self.now())?);
        loop {
            match self.lease(app, seen, &holder).await? {
                Step::Done(row) => return Ok(*row),
                // Another process's write is noticed by looking.
                Step::Wait => tokio::time::sleep(Duration::from_millis(40 + u64::from(crate::ids::random::<1>()?[0]) / 4)).await,
                Step::Leased(leased) => {
                    let (row, grant) = *leased;
                    crate::failpoint::failpoint!("refresh-leased");
                    match self.present(app, &row, &grant, &holder).await? {
                        Some(row) => return Ok(row),
                        // The lease ran out before anything was sent: begin again.
                        None => continue,
                    }
                }
            }
        }
    }

    /// Decides in one transaction what may be done with the row.
    async fn lease(&self, app: &App, seen: &ConnectionRow, holder: &str) -> Result<Step> {
        let about = self.about(self.owner.clone(), &seen.account_id, Some(&seen.application));
        let (clock, lease, vault, lives) = (self.clock.clone(), millis(self.timings.lease), self.vault.clone(), self.lives.clone());
        let (app, id, version, holder) = (app.clone(), seen.id.clone(), seen.secret_version, holder.to_owned());
        self.write(move |tx| {
            // Read here: the job may have waited for the store.
            let boot = clock.boot();
            let Some(mut row) = tx.connection(&about.tenant, &id)? else {
                return Ok(Err(super::connections::not_connected(&about.account, app.slug())));
            };
            if row.status != ConnectionStatus::Active.as_str() {
                return Ok(Err(reauth(&row)));
            }
            let judged = lives.time_for(&row, about.now, boot.millis);
            if row.secret_version != version && credential::is_fresh(&app, &row, judged) {
                return Ok(Ok(Step::Done(Box::new(row))));
            }
            if is_leased(&row, &boot) {
                return Ok(Ok(Step::Wait));
            }
            let still_valid = row.expires_at.is_none_or(|end| judged.millis() < end) && judged.millis() >= row.refreshed_at - 60_000;
            // One that is longer than any can be was written before the clock was set back.
            let longest = millis(LONGEST_COOLDOWN);
            if let Some(until) = row.cooldown_until.filter(|until| (1..=longest).contains(&(until - about.now.millis()))) {
                if still_valid {
                    return Ok(Ok(Step::Done(Box::new(row))));
                }
                let wait = Timestamp::from_millis(until).since(about.now);
                return Ok(Err(
                    err!(RefreshFailed, "the last try to renew failed; the next one is due in {} s", wait.as_secs() + 1).retry_after(wait)
                ));
            }
            let grant = sealed::open_grant(&vault, &about.tenant, &row)?;
            let by_values = row.auth_type == AuthType::Keybased.as_str();
            if grant.refresh_token.is_none() && !by_values {
                if still_valid {
                    return Ok(Ok(Step::Done(Box::new(row))));
                }
                let error = reauth(&row);
                expire(tx, &about, &mut row, &error)?;
                return Ok(Err(error));
            }
            // A former holder presented the token and never came back: it may be spent.
            let interrupted = row.presented.is_some() && row.presented == row.refresh_print;
            if interrupted && !may_present_again(&app, &row, about.now) {
                let error = reauth(&row).with("cause", "refresh_interrupted");
                (row.lease_owner, row.lease_boot, row.lease_until) = (None, None, None);
                expire(tx, &about, &mut row, &error)?;
                return Ok(Err(error));
            }
            row.lease_owner = Some(holder);
            row.lease_boot = Some(boot.boot_id);
            row.lease_until = Some(boot.millis + lease);
            row.row_version += 1;
            tx.put_connection(&about.tenant, &row)?;
            Ok(Ok(Step::Leased(Box::new((row, grant)))))
        })
        .await?
    }

    /// Sends the refresh token, once. `None`: the lease was over before anything was sent.
    async fn present(self: &Arc<Self>, app: &App, row: &ConnectionRow, grant: &Grant, holder: &str) -> Result<Option<ConnectionRow>> {
        let about = self.about(self.owner.clone(), &row.account_id, Some(&row.application));
        let request = match self.refresh_request(app, row, grant) {
            Ok(request) => request,
            Err(error) => {
                self.give_up(&about, row, holder, &error, None).await?;
                return Err(error);
            }
        };
        let (tenant, id, print, owner) = (self.tenant.clone(), row.id.clone(), row.refresh_print.clone(), holder.to_owned());
        let (clock, margin) = (self.clock.clone(), millis(self.timings.provider));
        let marked = self
            .write(move |tx| {
                let boot = clock.boot();
                let ours = tx.connection(&tenant, &id)?.filter(|row| {
                    row.lease_owner.as_ref() == Some(&owner)
                        && row.refresh_print == print
                        && row.lease_until.is_some_and(|until| boot.millis + margin <= until)
                });
                let Some(mut row) = ours else { return Ok(false) };
                row.presented.clone_from(&row.refresh_print);
                tx.put_connection(&tenant, &row)?;
                Ok(true)
            })
            .await?;
        if !marked {
            return Ok(None);
        }
        crate::failpoint::failpoint!("refresh-presented");
        let answer = self.transport.send(request).await;
        crate::failpoint::failpoint!("refresh-answered");
        let now = self.now();
        let failure = match answer {
            Ok(answer) => match super::key_token::read_answer(app, auth_type(row), &answer, now)? {
                Ok(tokens) => return self.store_tokens(app, about, row, grant, tokens, holder).await.map(Some),
                Err(failure) => failure,
            },
            Err(error) => TokenFailure::Passing { error },
        };
        self.refused(app, about, row, holder, failure).await.map(Some)
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
        let values = app.values(Values::new().one("scope", &scope).map(&properties).secrets(&grant.values));
        let mut request = protocol::refresh_request(oauth, &values, &client, token, &[])?;
        request.timeout = self.timings.provider;
        Ok(request)
    }

    /// Stores an answer, however late, while the row still holds the refresh token that was presented.
    async fn store_tokens(
        &self,
        app: &App,
        about: About,
        presented: &ConnectionRow,
        grant: &Grant,
        tokens: TokenSet,
        holder: &str,
    ) -> Result<ConnectionRow> {
        let (vault, app, presented, grant, holder) = (self.vault.clone(), app.clone(), presented.clone(), grant.clone(), holder.to_owned());
        let answer = self
            .write_until_stored({
                let about = about.clone();
                move |tx| store(tx, &about, &vault, &app, &presented, &grant, &tokens, &holder)
            })
            .await?;
        self.cache.forget(&about.account, about.application.as_deref().unwrap_or_default());
        self.outbox.notify_one();
        answer
    }

    /// Decides what a refusal means, and keeps a lost race from poisoning a newer token.
    async fn refused(&self, app: &App, about: About, row: &ConnectionRow, holder: &str, failure: TokenFailure) -> Result<ConnectionRow> {
        let now = about.now;
        let (error, is_final, wait) = match failure {
            TokenFailure::Final { provider_error } => (reauth(row).with("provider_error", provider_error), true, None),
            TokenFailure::Client { provider_error } => {
                let error = err!(ClientRejected, "`{}` refused the organisation's client with `{provider_error}`", app.slug());
                (error.with("provider_error", provider_error), false, None)
            }
            TokenFailure::Refused { provider_error } => {
                (err!(RefreshFailed, "`{}` answered `{provider_error}`", app.slug()).with("provider_error", provider_error), false, None)
            }
            TokenFailure::Passing { error } => {
                let wait = error.info().retry_after;
                (err!(RefreshFailed, "`{}` could not be asked now", app.slug()).with("cause", error.code().as_str()), false, wait)
            }
        };
        if is_final {
            let (tenant_about, id, print, holder, error) = (about, row.id.clone(), row.refresh_print.clone(), holder.to_owned(), error);
            let answer = error.clone();
            let newer = self
                .write_until_stored(move |tx| {
                    let Some(mut row) = tx.connection(&tenant_about.tenant, &id)? else { return Ok(None) };
                    if row.refresh_print != print {
                        return Ok(Some(row));
                    }
                    release(&mut row, &holder);
                    row.presented = None;
                    expire(tx, &tenant_about, &mut row, &error)?;
                    Ok(None)
                })
                .await?;
            self.cache.forget(&row.account_id, &row.application);
            return newer.filter(|row| credential::is_fresh(app, row, now)).ok_or(answer);
        }
        let wait = self.timings.cooldown.max(wait.unwrap_or_default()).min(LONGEST_COOLDOWN);
        let error = error.retry_after(wait);
        let current = self.give_up(&about, row, holder, &error, Some(now.plus(wait))).await?;
        match current {
            // Renewed early: the old token is still good.
            Some(row)
                if row.expires_at.is_none_or(|end| self.judged(&row).millis() < end) && row.status == ConnectionStatus::Active.as_str() =>
            {
                Ok(row)
            }
            _ => Err(error),
        }
    }

    /// Ends a try that changes nothing about the grant.
    async fn give_up(
        &self,
        about: &About,
        row: &ConnectionRow,
        holder: &str,
        error: &Error,
        cooldown: Option<Timestamp>,
    ) -> Result<Option<ConnectionRow>> {
        let (about, id, print, holder, error) =
            (about.clone(), row.id.clone(), row.refresh_print.clone(), holder.to_owned(), error.clone());
        self.write_until_stored(move |tx| {
            let Some(mut row) = tx.connection(&about.tenant, &id)? else { return Ok(None) };
            if row.refresh_print == print {
                release(&mut row, &holder);
                row.presented = None;
                row.cooldown_until = cooldown.map(Timestamp::millis);
                note_error(&mut row, &error, about.now);
                row.row_version += 1;
                tx.put_connection(&about.tenant, &row)?;
            }
            Ok(Some(row))
        })
        .await
    }
}

/// How the connection was authorised; OAuth where nobody can read it.
fn auth_type(row: &ConnectionRow) -> AuthType {
    AuthType::parse(&row.auth_type).unwrap_or(AuthType::Oauth2)
}

/// Whether a holder is at it; a lease of another boot is void.
fn is_leased(row: &ConnectionRow, boot: &BootTime) -> bool {
    row.lease_owner.is_some() && row.lease_boot.as_ref() == Some(&boot.boot_id) && row.lease_until.is_some_and(|until| boot.millis < until)
}

/// A lease is released by its owner only.
fn release(row: &mut ConnectionRow, holder: &str) {
    if row.lease_owner.as_deref() == Some(holder) {
        (row.lease_owner, row.lease_boot, row.lease_until) = (None, None, None);
    }
}

/// Whether a refresh token that may have been spent can be tried once more.
fn may_present_again(app: &App, row: &ConnectionRow, now: Timestamp) -> bool {
    // What a user entered is not spent by being used.
    if auth_type(row) == AuthType::Keybased {
        return true;
    }
    let Ok(oauth) = app.oauth() else { return false };
    // The lease's end is the latest moment at which it was presented; a grace shorter than that is of no use.
    let within_grace =
        oauth.refresh.grace > 0 && now.since(Timestamp::from_millis(row.refreshed_at)) < Duration::from_secs(oauth.refresh.grace);
    oauth.refresh.rotation == Rotation::Stays || within_grace
}

#[allow(clippy::too_many_arguments)] // one transaction's facts
fn store(
    tx: &mut dyn Tx,
    about: &About,
    vault: &Vault,
    app: &App,
    presented: &ConnectionRow,
    grant: &Grant,
    tokens: &TokenSet,
    holder: &str,
) -> Result<Result<ConnectionRow>> {
    let now = about.now;
    let new = Grant {
        access_token: Some(tokens.access_token.clone()),
        // Values are asked for a new token themselves; a refresh token beside it (RFC 6749 section 4.4.3 wants none) is not kept.
        refresh_token: match auth_type(presented) {
            AuthType::Oauth2 => tokens.refresh_token.clone().or_else(|| grant.refresh_token.clone()),
            AuthType::Keybased => None,
        },
        token_type: Some(tokens.token_type.clone()),
        values: grant.values.clone(),
        by_values: grant.by_values || auth_type(presented) == AuthType::Keybased,
    };
    let Some(mut row) = tx.connection(&about.tenant, &presented.id)? else {
        // Disconnected meanwhile: what was just issued must not stay alive.
        let orphan = NewConnection {
            auth_type: auth_type(presented),
            grant: new,
            identity: None,
            grant_key: presented.grant_key.clone(),
            scopes: Vec::new(),
            properties: serde_json::from_str(&presented.properties_json).unwrap_or_default(),
            expires_at: None,
            shares_grants: app.shares_grants(),
            renew: Some(presented.id.clone()),
        };
        outbox::queue_orphan(tx, about, vault, app.slug(), &orphan)?;
        return Ok(Err(super::connections::not_connected(&about.account, app.slug())));
    };
    if row.refresh_print != presented.refresh_print {
        // Authorised again meanwhile: that grant is newer.
        return Ok(if row.status == ConnectionStatus::Active.as_str() { Ok(row) } else { Err(reauth(&row)) });
    }
    sealed::seal_grant(vault, &about.tenant, &mut row, &new)?;
    release(&mut row, holder);
    let recovered = row.status != ConnectionStatus::Active.as_str();
    ConnectionStatus::Active.as_str().clone_into(&mut row.status);
    (row.presented, row.cooldown_until, row.last_error_json) = (None, None, None);
    row.refreshed_at = now.millis();
    row.expires_at = tokens.expires_in.or_else(|| exchange::default_lifetime(app)).map(|lifetime| now.plus(lifetime).millis());
    if let Some(scopes) = &tokens.scopes {
        row.scopes_json = serde_json::json!(scopes).to_string();
    }
    row.row_version += 1;
    tx.put_connection(&about.tenant, &row)?;
    let event = if recovered { EventType::ConnectionRecovered } else { EventType::ConnectionRefreshed };
    about.event(tx, event, &serde_json::json!({"connection": row.id}))?;
    about.audit(tx, "refresh", Some(&row.id), &serde_json::json!({}))?;
    Ok(Ok(row))
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
