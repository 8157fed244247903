//! How the organisation's clients stand at their providers, and what may be sent to them when.
//!
//! A client that is refused is the organisation's fault, not any user's: it is noted once, in a row of the client, and all
//! its connections show it. While it is refused one holder among all processes tries it, later and later; another id or
//! secret in the project is tried at once. The same row holds the rate at which tokens are renewed, so that all processes
//! on the store keep it together.

use std::{sync::PoisonError, time::Duration};

use super::{About, Inner, ahead, apps::App, millis};
use crate::{
    Error, Timestamp,
    error::{Result, err},
    http::protocol::ClientCredentials,
    ids,
    manifest::{
        KeyToken, Oauth2,
        template::{self, Values},
    },
    model::{AuthType, Connection, ConnectionError, ConnectionHealth, ConnectionStatus, EventType, Tenant},
    plugin::{BootTime, ClientIdentity, Tx},
    store::rows::{AuditRow, ClientRow, ConnectionRow, NewEvent},
};

/// No provider and no refused client keeps renewals waiting for longer.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Stands for the client where there is none of the organisation.
const BY_VALUES: &str = "values";

/// The client that renews a connection's tokens, and where.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) application: String,
    pub(super) client_key: String,
    /// The origin of the token URL.
    pub(super) authority: String,
    /// Tells one pair of id and secret from another; absent where the project names none.
    pub(super) print: Option<String>,
}

impl Place {
    /// Whether what is asked for here is each user's own: what one of them is told concerns no other.
    pub(super) fn is_each_ones_own(&self) -> bool {
        self.client_key == BY_VALUES
    }
}

/// Whether a renewal may go out.
pub(super) enum Leave {
    Go,
    /// Not before so long, and why.
    Wait(Duration, Error),
    /// The rate is used up; more goes out after so long.
    Slot(Duration),
}

fn known(tx: &mut dyn Tx, about: &About, place: &Place) -> Result<Option<ClientRow>> {
    tx.client(&about.tenant, &place.application, &place.client_key, &place.authority)
}

fn empty(place: &Place) -> ClientRow {
    ClientRow {
        application: place.application.clone(),
        client_key: place.client_key.clone(),
        authority: place.authority.clone(),
        rejected_at: None,
        error_json: None,
        client_print: None,
        tries: 0,
        next_at: 0,
        probe_owner: None,
        probe_boot: None,
        probe_until: None,
        slot: 0,
        closed_until: None,
    }
}

/// Asks for leave to send one renewal, and takes what it costs. Part of the transaction that takes the lease.
pub(super) fn leave(
    tx: &mut dyn Tx,
    about: &About,
    place: &Place,
    holder: &str,
    boot: &BootTime,
    lease: i64,
    per_minute: u32,
) -> Result<Leave> {
    let found = known(tx, about, place)?;
    if found.is_none() && per_minute == 0 {
        return Ok(Leave::Go);
    }
    let now = about.now.millis();
    let mut row = found.unwrap_or_else(|| empty(place));
    // A wait that is longer than any can be was written before the clock was set back.
    let ahead_of = |until: i64| Some(until - now).filter(|wait| (1..=millis(LONGEST_WAIT)).contains(wait)).map(span);
    if let Some(wait) = row.closed_until.and_then(ahead_of) {
        let error = err!(ProviderLimited, "`{}` asked for a pause of its renewals", place.application);
        return Ok(Leave::Wait(wait, error.retry_after(wait)));
    }
    if row.rejected_at.is_some() {
        let probing = row.probe_owner.is_some() && row.probe_boot.as_ref() == Some(&boot.boot_id);
        if let Some(until) = row.probe_until.filter(|until| probing && boot.millis < *until) {
            let wait = span(until - boot.millis);
            return Ok(Leave::Wait(wait, rejected(&row, wait)));
        }
        // Another id or secret has not been refused yet.
        if row.client_print == place.print
            && let Some(wait) = ahead_of(row.next_at)
        {
            return Ok(Leave::Wait(wait, rejected(&row, wait)));
        }
    }
    if let Some(wait) = take_slot(&mut row, about.now, per_minute) {
        return Ok(Leave::Slot(wait));
    }
    if row.rejected_at.is_some() {
        row.probe_owner = Some(holder.to_owned());
        row.probe_boot = Some(boot.boot_id.clone());
        row.probe_until = Some(boot.millis + lease);
    }
    tx.put_client(&about.tenant, &row)?;
    Ok(Leave::Go)
}

fn span(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Takes one renewal of the rate (a leaky bucket kept as one moment), or says how long to wait. In no minute do more than
/// `per_minute` go out, of which a sixtieth may go at once.
fn take_slot(row: &mut ClientRow, now: Timestamp, per_minute: u32) -> Option<Duration> {
    const MINUTE: i64 = 60_000_000;
    if per_minute == 0 {
        return None;
    }
    let burst = i64::from((per_minute / 60).max(1));
    let most = (i64::from(per_minute) - burst).max(1);
    let each = (MINUTE + most - 1) / most;
    let now = now.millis().saturating_mul(1000);
    // Further off than it can get: the clock was set back.
    if row.slot - now > (burst + 1) * each {
        row.slot = now;
    }
    let early = row.slot - (burst - 1) * each - now;
    if early > 0 {
        return Some(Duration::from_micros(u64::try_from(early).unwrap_or(0)));
    }
    row.slot = row.slot.max(now) + each;
    None
}

fn rejected(row: &ClientRow, wait: Duration) -> Error {
    let provider_error = error_of(row).and_then(|(_, provider_error)| provider_error).unwrap_or_else(|| "unknown_error".to_owned());
    err!(ClientRejected, "`{}` refuses the organisation's client with `{provider_error}`", row.application)
        .with("application", &row.application)
        .with("provider_error", provider_error)
        .retry_after(wait)
}

/// What is kept about a refusal: as connections show it, and the provider's code.
fn error_of(row: &ClientRow) -> Option<(ConnectionError, Option<String>)> {
    let json: crate::model::Json = serde_json::from_str(row.error_json.as_deref()?).ok()?;
    let provider_error = json.get("provider_error").and_then(|code| code.as_str()).map(str::to_owned);
    Some((serde_json::from_value(json).ok()?, provider_error))
}

/// What stands against a client that is refused: the error, or nothing where the project names another one since. Absent
/// while it is not refused.
pub(super) fn refusal(tx: &mut dyn Tx, about: &About, place: &Place) -> Result<Option<Option<Error>>> {
    let Some(row) = known(tx, about, place)?.filter(|row| row.rejected_at.is_some()) else { return Ok(None) };
    let wait = Timestamp::from_millis(row.next_at).since(about.now).min(LONGEST_WAIT);
    Ok(Some((row.client_print == place.print).then(|| rejected(&row, wait))))
}

/// The clients that are refused, of one application or of all; read in the transaction that reads the connections.
pub(super) fn refused(tx: &mut dyn Tx, tenant: &Tenant, application: Option<&str>) -> Result<Vec<ClientRow>> {
    let mut clients = tx.clients(tenant, application)?;
    clients.retain(|client| client.rejected_at.is_some());
    Ok(clients)
}

/// The provider refused the client: noted once for all of its connections.
pub(super) fn client_refused(tx: &mut dyn Tx, about: &About, place: &Place, holder: &str, error: &Error, first: Duration) -> Result<()> {
    let mut row = known(tx, about, place)?.unwrap_or_else(|| empty(place));
    let is_news = row.rejected_at.is_none();
    let probed = row.probe_owner.as_deref() == Some(holder);
    // Those that were under way when it was noted say nothing new.
    if !is_news && !probed && row.client_print == place.print {
        return Ok(());
    }
    if is_news || row.client_print != place.print {
        row.tries = 0;
    }
    row.tries += 1;
    row.rejected_at.get_or_insert(about.now.millis());
    row.client_print.clone_from(&place.print);
    // Exactly after the first wait, as callers are told; later ones are spread.
    let spread = if row.tries == 1 { 0 } else { ahead::draw() };
    row.next_at = about.now.plus(ahead::backoff(first, row.tries, LONGEST_WAIT, spread).min(LONGEST_WAIT)).millis();
    (row.probe_owner, row.probe_boot, row.probe_until) = (None, None, None);
    let provider_error = error.info().context.get("provider_error").cloned();
    let noted =
        serde_json::json!({"code": error.code().as_str(), "reason": error.reason(), "at": about.now, "provider_error": provider_error});
    row.error_json = Some(noted.to_string());
    tx.put_client(&about.tenant, &row)?;
    if is_news {
        client_event(tx, about, EventType::ClientRejected, &row, provider_error.as_deref())?;
    }
    Ok(())
}

/// The provider took the client. `holder` is whoever tried it; without one any success counts.
pub(super) fn client_taken(tx: &mut dyn Tx, about: &About, place: &Place, holder: Option<&str>) -> Result<()> {
    let Some(mut row) = known(tx, about, place)?.filter(|row| row.rejected_at.is_some()) else { return Ok(()) };
    // An answer to what was sent before the refusal says nothing about now.
    if holder.is_some_and(|holder| row.probe_owner.as_deref() != Some(holder)) {
        return Ok(());
    }
    (row.rejected_at, row.error_json, row.client_print, row.tries, row.next_at) = (None, None, None, 0, 0);
    (row.probe_owner, row.probe_boot, row.probe_until) = (None, None, None);
    tx.put_client(&about.tenant, &row)?;
    client_event(tx, about, EventType::ClientRecovered, &row, None)
}

/// A try that says nothing about the client: the next one may be made after `wait`.
pub(super) fn client_unknown(tx: &mut dyn Tx, about: &About, place: &Place, holder: &str, wait: Duration) -> Result<()> {
    let probed = |row: &ClientRow| row.rejected_at.is_some() && row.probe_owner.as_deref() == Some(holder);
    let Some(mut row) = known(tx, about, place)?.filter(probed) else { return Ok(()) };
    (row.probe_owner, row.probe_boot, row.probe_until) = (None, None, None);
    row.next_at = about.now.plus(wait).millis();
    tx.put_client(&about.tenant, &row)
}

/// The provider asked for a pause: nothing is renewed there until then.
pub(super) fn pause(tx: &mut dyn Tx, about: &About, place: &Place, wait: Duration) -> Result<()> {
    let mut row = known(tx, about, place)?.unwrap_or_else(|| empty(place));
    let until = about.now.plus(wait.min(LONGEST_WAIT)).millis();
    row.closed_until = Some(row.closed_until.unwrap_or(0).max(until));
    tx.put_client(&about.tenant, &row)
}

/// Of no linked account, since it is all of theirs.
fn client_event(tx: &mut dyn Tx, about: &About, event_type: EventType, row: &ClientRow, provider_error: Option<&str>) -> Result<()> {
    let data = serde_json::json!({"client": row.client_key, "at": row.authority, "provider_error": provider_error});
    let event = NewEvent {
        id: ids::new_id(about.now)?,
        event_type: event_type.as_str().to_owned(),
        account_id: None,
        application: Some(row.application.clone()),
        data_json: data.to_string(),
        at: about.now.millis(),
    };
    tx.append_event(&about.tenant, &event)?;
    let audit = AuditRow {
        seq: 0,
        action: "client".to_owned(),
        actor: about.actor.clone(),
        account_id: None,
        application: Some(row.application.clone()),
        connection_id: None,
        count: 1,
        detail_json: serde_json::json!({"change": event_type.as_str()}).to_string(),
        at: about.now.millis(),
    };
    tx.append_audit(&about.tenant, &audit).map(drop)
}

/// How a row stands by itself, without the client.
pub(super) fn of_row(row: &ConnectionRow) -> ConnectionHealth {
    let trouble = row.trouble.as_deref();
    match (row.status == ConnectionStatus::Active.as_str(), trouble) {
        (true, Some(ahead::EXPIRING)) => ConnectionHealth::Expiring,
        (true, _) => ConnectionHealth::Healthy,
        (false, Some(ahead::SUSPENDED)) => ConnectionHealth::Suspended,
        (false, _) => ConnectionHealth::Expired,
    }
}

impl Inner {
    /// Names the client of a connection and the place that renews its tokens.
    pub(super) fn place(&self, app: &App, row: &ConnectionRow) -> Place {
        let properties = serde_json::from_str(&row.properties_json).unwrap_or_default();
        self.place_of(app, super::connections::auth_type(row), &row.client_key, Values::new().map(&properties))
    }

    /// The same before there is a row.
    pub(super) fn place_of(&self, app: &App, auth_type: AuthType, client_key: &str, values: Values<'_>) -> Place {
        let key_token = app.key_token().filter(|_| auth_type == AuthType::Keybased);
        let url = match key_token {
            Some(token) => Some(token.url.as_str()),
            None => app.oauth().ok().map(Oauth2::refresh_endpoint),
        };
        // Where the values prove the request, the organisation's client has no part in it: its trouble is not theirs.
        let own = key_token.is_some_and(KeyToken::proves_by_values);
        Place {
            application: app.slug().to_owned(),
            client_key: if own { BY_VALUES.to_owned() } else { client_key.to_owned() },
            authority: url.map_or_else(String::new, |url| self.authority(app, url, values)),
            print: if own { None } else { self.client(app).ok().map(|client| self.client_print(&client)) },
        }
    }

    /// The origin of a token URL.
    fn authority(&self, app: &App, url: &str, values: Values<'_>) -> String {
        let origin = || template::url(url, &app.values(values)).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization());
        if url.contains('{') {
            return origin();
        }
        // The same for all connections: as many as there are manifests.
        let mut known = self.authorities.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(url.to_owned()).or_insert_with(origin).clone()
    }

    /// Under a key of the store: what stands in the row cannot be guessed at.
    fn client_print(&self, client: &ClientCredentials) -> String {
        let secret = client.secret.as_ref().map_or("", |secret| secret.expose());
        let certificate = client.identity.as_ref().map(ClientIdentity::print);
        let proof = [client.id.as_bytes(), secret.as_bytes()];
        self.keyed_print("client", &proof.into_iter().chain(certificate.as_ref().map(<[u8; 32]>::as_slice)).collect::<Vec<_>>())
    }

    /// Connections as callers see them: what is the organisation's fault shows at each. `refused`: see [`refused`].
    pub(super) async fn shown(&self, rows: &[ConnectionRow], refused: &[ClientRow]) -> Result<Vec<Connection>> {
        let mut found = rows.iter().map(super::connections::to_model).collect::<Result<Vec<Connection>>>()?;
        if refused.is_empty() {
            return Ok(found);
        }
        for (shown, row) in found.iter_mut().zip(rows) {
            let is_active = shown.status == ConnectionStatus::Active;
            if !is_active || !refused.iter().any(|client| client.application == row.application) {
                continue;
            }
            let Ok(app) = self.app(&row.application).await else { continue };
            // Keys that are sent themselves need no client.
            if row.auth_type == AuthType::Keybased.as_str() && app.key_token().is_none() {
                continue;
            }
            let place = self.place(&app, row);
            let fits = |client: &&ClientRow| {
                client.application == row.application && client.client_key == place.client_key && client.authority == place.authority
            };
            if let Some(client) = refused.iter().find(fits) {
                shown.health = ConnectionHealth::ClientRejected;
                shown.last_error = error_of(client).map(|(error, _)| error).or(shown.last_error.take());
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn place() -> Place {
        Place { application: "a".into(), client_key: "default".into(), authority: "https://a.example".into(), print: None }
    }

    /// In any 60 seconds at most the stated number goes out, at every rate, however eager the callers are.
    #[test]
    fn r26_a_minute_holds_what_the_rate_allows() {
        for per_minute in [1, 2, 7, 60, 61, 600, 1200, 60_000] {
            let mut row = empty(&place());
            let (mut sent, mut now) = (Vec::new(), 1_800_000_000_000_i64);
            let end = now + 200_000;
            while now < end {
                match take_slot(&mut row, Timestamp::from_millis(now), per_minute) {
                    None => sent.push(now),
                    Some(wait) => now += i64::try_from(wait.as_millis()).unwrap().max(1),
                }
            }
            let most = (0..sent.len()).map(|at| sent.partition_point(|other| *other < sent[at] + 60_000) - at).max().unwrap();
            assert!(most <= per_minute as usize, "{per_minute}: {most}");
            // And not much less: nobody waits for nothing.
            assert!(per_minute < 10 || sent.len() * 100 >= per_minute as usize * 200 / 60 * 95, "{per_minute}: {}", sent.len());
        }
    }

    /// A clock that is set back by a day holds up nothing.
    #[test]
    fn r27_a_clock_that_is_set_back_holds_up_no_renewal() {
        let mut row = empty(&place());
        assert!(take_slot(&mut row, Timestamp::from_millis(1_800_086_400_000), 60).is_none());
        assert!(take_slot(&mut row, Timestamp::from_millis(1_800_000_000_000), 60).is_none());
        assert!(take_slot(&mut row, Timestamp::from_millis(1_800_000_000_001), 60).is_some());
    }
}
