//! What a renewal decides, step by step, each inside one transaction. No I/O and no waiting here: `refresh` does those in
//! between, and `explore` (tests) puts other holders, crashes and clocks in between.

use std::time::Duration;

use super::{
    About, ahead,
    ahead::Plan,
    apps::App,
    cache::Lives,
    connections::{NewConnection, auth_type},
    credential::{self, reauth, standing},
    exchange::{self, expire, note_error},
    health::{self, Leave, Place},
    millis, outbox,
    refresh::Mode,
    registration,
    sealed::{self, Grant},
};
use crate::{
    Code, Error, Timestamp,
    error::{Result, err},
    http::protocol::{TokenFailure, TokenSet},
    manifest::Rotation,
    model::{AuthType, ConnectionError, ConnectionStatus, EventType},
    plugin::{BootTime, Tx},
    store::rows::ConnectionRow,
    vault::Vault,
};

/// No refusal keeps an active connection from being tried again for longer.
pub(super) const LONGEST_COOLDOWN: Duration = Duration::from_secs(3600);

/// Who renews what, for whom.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) about: About,
    pub(super) app: App,
    pub(super) place: Place,
    /// Names this try among all processes.
    pub(super) name: String,
    pub(super) mode: Mode,
}

/// What the row allows.
pub(super) enum Step {
    /// Somebody renewed it, or it is good enough for now.
    Done(Box<ConnectionRow>),
    /// Another holder is at it.
    Wait,
    /// It belongs to another client than it did.
    Changed(Box<ConnectionRow>),
    /// Nothing goes out before so long, and why.
    NotNow(Duration, Error),
    /// It is ours.
    Leased(Box<(ConnectionRow, Grant)>),
}

/// How long things take, in a renewal.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    pub(super) lease: Duration,
    pub(super) provider: Duration,
    pub(super) cooldown: Duration,
    pub(super) suspended: Duration,
}

/// Decides what may be done with the row, and takes its lease. Ahead, the token is marked as presented with it: see [`mark`].
/// `opened` is what `seen` holds, if it was opened before: while the row still holds the same, it need not be opened in here,
/// where others wait.
#[allow(clippy::too_many_arguments, clippy::too_many_lines)] // one decision after the other
pub(super) fn lease(
    tx: &mut dyn Tx,
    holder: &Holder,
    vault: &Vault,
    lives: &Lives,
    boot: &BootTime,
    waits: &Waits,
    seen: &ConnectionRow,
    opened: Option<Grant>,
) -> Result<Result<Step>> {
    let Holder { about, app, place, name, mode } = holder;
    let now = about.now;
    let Some(mut row) = tx.connection(&about.tenant, &seen.id)? else {
        return Ok(Err(super::connections::not_connected(&about.account, app.slug())));
    };
    let is_active = row.status == ConnectionStatus::Active.as_str();
    let is_suspended = credential::is_suspended(&row);
    if !is_active && (!is_suspended || credential::suspended_for(&row, now).is_some()) {
        return Ok(Err(standing(&row, now)));
    }
    let judged = lives.time_for(&row, now, boot.millis);
    let is_renewed = row.secret_version != seen.secret_version && credential::is_fresh(app, &row, judged);
    let is_early = *mode == Mode::Ahead && row.renew_at.is_none_or(|at| at > now.millis());
    if is_active && (is_renewed || is_early) {
        return Ok(Ok(Step::Done(Box::new(row))));
    }
    if is_leased(&row, boot) {
        return Ok(Ok(Step::Wait));
    }
    if row.client_key != seen.client_key {
        return Ok(Ok(Step::Changed(Box::new(row))));
    }
    let still_valid = is_active && row.expires_at.is_none_or(|end| judged.millis() < end) && judged.millis() >= row.refreshed_at - 60_000;
    // One that is longer than any can be was written before the clock was set back.
    let longest = millis(LONGEST_COOLDOWN);
    if let Some(until) = row.cooldown_until.filter(|until| is_active && (1..=longest).contains(&(until - now.millis()))) {
        let wait = Timestamp::from_millis(until).since(now);
        let failed = || err!(RefreshFailed, "the last try to renew failed; the next one is due in {} s", wait.as_secs() + 1);
        match health::refusal(tx, about, place)? {
            None if failed_by_client(&row) => {}
            None => return not_now(tx, holder, row, wait, failed().retry_after(wait), still_valid),
            Some(Some(error)) => return not_now(tx, holder, row, wait, error, still_valid),
            // It was the client's trouble, and the client is another one now; above, it is taken again.
            Some(None) => {}
        }
    }
    let grant = match opened.filter(|_| row.secret_version == seen.secret_version && row.sealed == seen.sealed) {
        Some(grant) => grant,
        None => sealed::open_grant(vault, &about.tenant, &row)?,
    };
    // Values are asked for a token again and again; anything else needs a refresh token.
    if grant.refresh_token.is_none() && auth_type(&row) != AuthType::Keybased {
        if still_valid {
            return Ok(Ok(Step::Done(Box::new(row))));
        }
        let error = reauth(&row);
        expire(tx, about, &mut row, &error)?;
        return Ok(Err(error));
    }
    // A former holder presented the token and never came back: it may be spent.
    let interrupted = row.presented.is_some() && row.presented == row.refresh_print;
    if interrupted && !may_present_again(app, &row, now) {
        let error = reauth(&row).with("cause", "refresh_interrupted");
        (row.lease_owner, row.lease_boot, row.lease_until) = (None, None, None);
        expire(tx, about, &mut row, &error)?;
        return Ok(Err(error));
    }
    match health::leave(tx, about, place, name, boot, millis(waits.lease), per_minute(app, &row))? {
        Leave::Go => {}
        Leave::Wait(wait, error) => return not_now(tx, holder, row, wait, error, still_valid),
        Leave::Slot(wait) => {
            // Whoever waits for the rate waits here, not in the row.
            let error = err!(ProviderLimited, "more tokens of `{}` are due than may be renewed at once", app.slug()).retry_after(wait);
            let done = still_valid && *mode == Mode::Asked;
            return Ok(Ok(if done { Step::Done(Box::new(row)) } else { Step::NotNow(wait, error) }));
        }
    }
    let before = row.clone();
    row.lease_owner = Some(name.clone());
    row.lease_boot = Some(boot.boot_id.clone());
    row.lease_until = Some(boot.millis + millis(waits.lease));
    if *mode == Mode::Ahead {
        // One transaction less for each of many. What is lost by it: a process that dies between this and the call, which
        // follows at once, leaves a token that nobody knows to be unspent.
        row.presented.clone_from(&row.refresh_print);
    }
    row.row_version += 1;
    tx.change_connection(&about.tenant, &before, &row)?;
    Ok(Ok(Step::Leased(Box::new((row, grant)))))
}

/// Whether the last try failed because the organisation's client was refused.
fn failed_by_client(row: &ConnectionRow) -> bool {
    let noted = row.last_error_json.as_deref().and_then(|json| serde_json::from_str::<ConnectionError>(json).ok());
    noted.is_some_and(|error| error.code == Code::ClientRejected.as_str())
}

/// Nothing goes out for now: callers get what is still good, the background looks again later.
fn not_now(
    tx: &mut dyn Tx,
    holder: &Holder,
    mut row: ConnectionRow,
    wait: Duration,
    error: Error,
    still_valid: bool,
) -> Result<Result<Step>> {
    if holder.mode == Mode::Asked {
        return Ok(if still_valid { Ok(Step::Done(Box::new(row))) } else { Err(error) });
    }
    let before = row.clone();
    row.renew_at = Some(holder.about.now.plus(ahead::spread(wait, ahead::draw())).millis() + 1);
    row.row_version += 1;
    tx.change_connection(&holder.about.tenant, &before, &row)?;
    Ok(Ok(Step::NotNow(Duration::ZERO, error)))
}

/// The renewals that the provider takes in a minute; 0 is no limit.
fn per_minute(app: &App, row: &ConnectionRow) -> u32 {
    let stated = app.oauth().ok().filter(|_| auth_type(row) == AuthType::Oauth2).and_then(|oauth| oauth.refresh.per_minute);
    stated.unwrap_or(app.project.project.refresh.per_minute)
}

/// Writes down that the refresh token is about to be sent. False: the lease is not ours, or too short for a call.
pub(super) fn mark(tx: &mut dyn Tx, holder: &Holder, boot: &BootTime, waits: &Waits, leased: &ConnectionRow) -> Result<bool> {
    let ours = tx.connection(&holder.about.tenant, &leased.id)?.filter(|row| {
        row.lease_owner.as_ref() == Some(&holder.name)
            && row.refresh_print == leased.refresh_print
            && row.lease_until.is_some_and(|until| boot.millis + millis(waits.provider) <= until)
    });
    let Some(mut row) = ours else { return Ok(false) };
    let before = row.clone();
    row.presented.clone_from(&row.refresh_print);
    tx.change_connection(&holder.about.tenant, &before, &row)?;
    Ok(true)
}

/// Whether a holder is at it; a lease of another boot is void.
pub(super) fn is_leased(row: &ConnectionRow, boot: &BootTime) -> bool {
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

/// Stores an answer, however late, while the row still holds the refresh token that was presented.
pub(super) fn store(
    tx: &mut dyn Tx,
    holder: &Holder,
    vault: &Vault,
    presented: &ConnectionRow,
    grant: &Grant,
    tokens: &TokenSet,
) -> Result<Result<ConnectionRow>> {
    let Holder { about, app, place, name, mode } = holder;
    let now = about.now;
    health::client_taken(tx, about, place, Some(name))?;
    let auth_type = auth_type(presented);
    let new = Grant {
        access_token: Some(tokens.access_token.clone()),
        // Values are asked for a new token themselves; a refresh token beside it (RFC 6749 section 4.4.3 wants none) is not kept.
        refresh_token: match auth_type {
            AuthType::Oauth2 => tokens.refresh_token.clone().or_else(|| grant.refresh_token.clone()),
            AuthType::Keybased => None,
        },
        token_type: Some(tokens.token_type.clone()),
        values: grant.values.clone(),
        by_values: grant.by_values || auth_type == AuthType::Keybased,
    };
    let Some(mut row) = tx.connection(&about.tenant, &presented.id)? else {
        // Disconnected meanwhile: what was just issued must not stay alive.
        let orphan = NewConnection {
            auth_type,
            client_key: presented.client_key.clone(),
            grant: new,
            identity: None,
            grant_key: presented.grant_key.clone(),
            scopes: Vec::new(),
            properties: serde_json::from_str(&presented.properties_json).unwrap_or_default(),
            expires_at: None,
            shares_grants: app.shares_grants(),
            plan: Plan::default(),
            renew: Some(presented.id.clone()),
        };
        outbox::queue_orphan(tx, about, vault, app.slug(), &orphan)?;
        return Ok(Err(super::connections::not_connected(&about.account, app.slug())));
    };
    if row.refresh_print != presented.refresh_print {
        // Authorised again meanwhile: that grant is newer.
        return Ok(if row.status == ConnectionStatus::Active.as_str() { Ok(row) } else { Err(standing(&row, now)) });
    }
    let before = row.clone();
    sealed::seal_grant(vault, &about.tenant, &mut row, &new)?;
    release(&mut row, name);
    let had_expired = row.status != ConnectionStatus::Active.as_str();
    let recovered = had_expired || row.trouble.is_some();
    ConnectionStatus::Active.as_str().clone_into(&mut row.status);
    (row.presented, row.cooldown_until, row.last_error_json, row.trouble, row.tries) = (None, None, None, None, 0);
    row.refreshed_at = now.millis();
    row.expires_at = tokens
        .expires_in
        .or_else(|| exchange::default_lifetime(app).filter(|_| auth_type == AuthType::Oauth2))
        .map(|lifetime| now.plus(lifetime).millis());
    row.renew_at = Plan::of(app).first_look(&row, ahead::draw());
    if *mode == Mode::Asked {
        // It is used, and the next look need not wait until that is written down by itself.
        row.used_at = Some(now.millis());
    }
    if let Some(scopes) = &tokens.scopes {
        row.scopes_json = serde_json::json!(scopes).to_string();
    }
    row.row_version += 1;
    tx.change_connection(&about.tenant, &before, &row)?;
    let event = if recovered { EventType::ConnectionRecovered } else { EventType::ConnectionRefreshed };
    // Whoever was told of its end learns that it is over.
    let data = if recovered {
        serde_json::json!({"connection": row.id, "had_expired": had_expired})
    } else {
        serde_json::json!({"connection": row.id})
    };
    about.event(tx, event, &data)?;
    about.audit(tx, "refresh", Some(&row.id), &serde_json::json!({}))?;
    Ok(Ok(row))
}

/// What a try that brought no tokens means.
pub(super) struct Refusal {
    /// What callers are told.
    pub(super) error: Error,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The grant is dead.
    Final,
    /// The grant is refused for now.
    Suspended,
    /// The organisation's client is refused.
    Client,
    /// The provider does not know the client that it registered: its grants died with it.
    Gone,
    /// It may work later. The provider may have said when: then for everybody.
    Passing { wait: Option<Duration>, for_all: bool },
    /// Nothing was sent.
    NotSent,
}

impl Refusal {
    /// Reads what the provider said, or that it said nothing.
    pub(super) fn of(app: &App, row: &ConnectionRow, failure: TokenFailure) -> Self {
        let slug = app.slug();
        let (error, verdict) = match failure {
            TokenFailure::Final { provider_error } => (reauth(row).with("provider_error", provider_error), Verdict::Final),
            TokenFailure::Suspended { provider_error } => {
                let error =
                    err!(GrantSuspended, "`{slug}` answered `{provider_error}`").with("application", slug).with("connection", &row.id);
                (error.with("provider_error", provider_error), Verdict::Suspended)
            }
            TokenFailure::Client { provider_error } if app.registered().is_some() && provider_error == "invalid_client" => {
                (reauth(row).with("cause", exchange::CLIENT_GONE).with("provider_error", provider_error), Verdict::Gone)
            }
            TokenFailure::Client { provider_error } => {
                let error = err!(ClientRejected, "`{slug}` refused the organisation's client with `{provider_error}`");
                (error.with("application", slug).with("provider_error", provider_error), Verdict::Client)
            }
            TokenFailure::Refused { provider_error } => {
                let error = err!(RefreshFailed, "`{slug}` answered `{provider_error}`").with("provider_error", provider_error);
                (error, Verdict::Passing { wait: None, for_all: false })
            }
            TokenFailure::Passing { error } => {
                let wait = error.info().retry_after;
                let for_all = wait.is_some() && error.is(Code::ProviderLimited);
                let error = err!(RefreshFailed, "`{slug}` could not be asked now").with("cause", error.code().as_str());
                (error, Verdict::Passing { wait, for_all })
            }
        };
        Self { error, verdict }
    }

    /// Whether the provider was asked at all.
    pub(super) fn was_sent(&self) -> bool {
        self.verdict != Verdict::NotSent
    }

    /// The request could not even be made.
    pub(super) fn not_sent(error: Error) -> Self {
        Self { error, verdict: Verdict::NotSent }
    }
}

/// How a refusal left the row.
pub(super) enum Left {
    /// Deleted meanwhile.
    Gone,
    /// Another token stands there: ours lost a race and says nothing about it.
    Newer(Box<ConnectionRow>),
    /// It says what became of it; the error says when to come again.
    Noted(Box<ConnectionRow>, Error),
}

/// Ends a try that brought no tokens, and keeps a lost race from poisoning a newer token.
pub(super) fn refuse(tx: &mut dyn Tx, holder: &Holder, waits: &Waits, presented: &ConnectionRow, refusal: &Refusal) -> Result<Left> {
    let Holder { about, app, place, name, .. } = holder;
    let (now, error) = (about.now, &refusal.error);
    match refusal.verdict {
        // Whoever is told about the grant was known as the client.
        Verdict::Final | Verdict::Suspended => health::client_taken(tx, about, place, Some(name))?,
        Verdict::Client => health::client_refused(tx, about, place, name, error, waits.cooldown)?,
        Verdict::Gone => {
            if let Some(registered) = app.registered() {
                registration::gone(tx, about, app.slug(), registered)?;
            }
        }
        Verdict::Passing { wait, for_all } => {
            health::client_unknown(tx, about, place, name, waits.cooldown)?;
            if let Some(wait) = wait.filter(|_| for_all && !place.is_each_ones_own()) {
                health::pause(tx, about, place, wait)?;
            }
        }
        Verdict::NotSent => health::client_unknown(tx, about, place, name, waits.cooldown)?,
    }
    let Some(mut row) = tx.connection(&about.tenant, &presented.id)? else { return Ok(Left::Gone) };
    if row.refresh_print != presented.refresh_print {
        return Ok(Left::Newer(Box::new(row)));
    }
    // Another holder took over and may have sent it again: its word stays in the row.
    let taken_over = row.lease_owner.as_deref().is_some_and(|owner| owner != name);
    release(&mut row, name);
    if !taken_over {
        row.presented = None;
    }
    if matches!(refusal.verdict, Verdict::Final | Verdict::Gone) {
        row.cooldown_until = None;
        expire(tx, about, &mut row, error)?;
        return Ok(Left::Noted(Box::new(row), error.clone()));
    }
    if refusal.verdict == Verdict::Suspended {
        let error = suspend(tx, about, &mut row, error, waits.suspended)?;
        return Ok(Left::Noted(Box::new(row), error));
    }
    let stated = if let Verdict::Passing { wait, .. } = refusal.verdict { wait } else { None };
    let wait = waits.cooldown.max(stated.unwrap_or_default()).min(LONGEST_COOLDOWN);
    row.tries += 1;
    // What could not be sent costs the provider nothing: whoever mends it need not wait.
    row.cooldown_until = (refusal.verdict != Verdict::NotSent).then(|| now.plus(wait).millis());
    if row.renew_at.is_some() {
        row.renew_at = Some(ahead::next_look(app, &row, now, wait, ahead::draw()));
    }
    if credential::is_suspended(&row) {
        // Still refused, as far as anybody knows.
        row.cooldown_until = Some(now.plus(waits.suspended.min(credential::LONGEST_SUSPENSION)).millis());
    } else if refusal.verdict != Verdict::Client && now.millis() >= credential::due(app, &row) {
        // The client's trouble is told once for all, by the client.
        ahead::announce(tx, about, &mut row, Some(error.code().as_str()))?;
    }
    note_error(&mut row, error, now);
    row.row_version += 1;
    tx.put_connection(&about.tenant, &row)?;
    let error = if refusal.verdict == Verdict::NotSent { error.clone() } else { error.clone().retry_after(wait) };
    Ok(Left::Noted(Box::new(row), error))
}

/// Lays a connection to rest until the provider takes its grant again: tried later and later, told once.
fn suspend(tx: &mut dyn Tx, about: &About, row: &mut ConnectionRow, error: &Error, first: Duration) -> Result<Error> {
    let is_news = !credential::is_suspended(row);
    row.tries = if is_news { 1 } else { row.tries + 1 };
    let spread = if is_news { 0 } else { ahead::draw() };
    let wait = ahead::backoff(first, row.tries, credential::LONGEST_SUSPENSION, spread).min(credential::LONGEST_SUSPENSION);
    ConnectionStatus::Expired.as_str().clone_into(&mut row.status);
    row.trouble = Some(ahead::SUSPENDED.to_owned());
    let until = about.now.plus(wait).millis();
    (row.cooldown_until, row.renew_at) = (Some(until), Some(until));
    let error = error.clone().retry_after(wait);
    note_error(row, &error, about.now);
    row.row_version += 1;
    tx.put_connection(&about.tenant, row)?;
    if is_news {
        let data = serde_json::json!({"connection": row.id, "code": error.code().as_str(), "recoverable": true});
        about.event(tx, EventType::ConnectionExpired, &data)?;
    }
    Ok(error)
}
