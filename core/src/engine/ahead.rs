//! Renewing tokens before they end, so that nobody waits for it and no burst comes of tokens that end together.
//!
//! Every connection has its time (`renew_at`), drawn at random when its token came and kept in its row: all processes on
//! the store see the same times and take turns by the leases of `refresh`. What may go out, and when, is decided with the
//! lease: see `health` for the client's rate and standing.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    About, Inner,
    apps::App,
    connections::auth_type,
    credential::{self, standing},
    exchange::expire,
    millis,
    refresh::{Ended, Mode},
};
use crate::{
    Timestamp,
    error::Result,
    ids,
    manifest::Rotation,
    model::{AuthType, ConnectionStatus, EventType},
    plugin::{StoreExt, Tx},
    runtime,
    store::rows::ConnectionRow,
};

/// Due connections of one application that are read together, for each that may be under way.
const PAGE: usize = 64;
/// Tokens that live shorter than this are renewed ahead only while somebody uses them.
const SHORT_LIVED: i64 = 15 * 60 * 1000;
/// How exactly the last use is known, in milliseconds.
const USE_GRAIN: i64 = 3_600_000;
const HOUR: i64 = 3_600_000;
/// When a connection is looked at again whose renewal failed here, not at the provider. Milliseconds.
const OWN_TROUBLE: i64 = 600_000;

/// What the row's `trouble` says.
pub(super) const EXPIRING: &str = "expiring";
pub(super) const SUSPENDED: &str = "suspended";

/// When an application's connections are looked at, as manifest and project say. Milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    early: i64,
    window: i64,
    notice: i64,
    unused_life: Option<i64>,
    renews: bool,
    /// How early tokens that come of entered values are renewed; absent where the values are sent themselves.
    early_of_keys: Option<i64>,
}

impl Plan {
    pub(super) fn of(app: &App) -> Self {
        let settings = &app.project.project.refresh;
        let common = Self {
            window: millis(Duration::from_secs(settings.window)),
            early_of_keys: app.key_token().map(|_| credential::early(app, AuthType::Keybased)),
            ..Self::default()
        };
        let Ok(oauth) = app.oauth() else { return common };
        Self {
            early: credential::early(app, AuthType::Oauth2),
            notice: i64::try_from(settings.notice).unwrap_or(i64::MAX).saturating_mul(HOUR),
            unused_life: oauth.refresh.unused_life.map(|life| millis(Duration::from_secs(life))),
            renews: oauth.refresh.rotation != Rotation::Never,
            ..common
        }
    }

    /// Whether the grant can be renewed without the user.
    pub(super) fn can_renew(&self, row: &ConnectionRow) -> bool {
        match auth_type(row) {
            AuthType::Oauth2 => self.renews && row.refresh_print.is_some(),
            // What was entered is good for any number of tokens.
            AuthType::Keybased => self.early_of_keys.is_some(),
        }
    }

    /// When the background looks at the connection first. `draw` spreads it: 0 is the latest moment, the largest the earliest.
    pub(super) fn first_look(&self, row: &ConnectionRow, draw: u32) -> Option<i64> {
        let early = match auth_type(row) {
            AuthType::Oauth2 => self.early,
            AuthType::Keybased => self.early_of_keys?,
        };
        let Some(expires_at) = row.expires_at else {
            return if self.can_renew(row) { self.keep_alive(row, draw) } else { None };
        };
        let life = expires_at.saturating_sub(row.refreshed_at).max(0);
        if !self.can_renew(row) {
            return Some(expires_at - self.notice.min(life / 4));
        }
        // Never in the first half of its life, as for those who ask.
        let latest = expires_at - early.min(life / 2);
        let room = self.window.min(latest - (row.refreshed_at + life / 2)).max(0);
        Some(latest - share(room, draw))
    }

    /// When a grant that dies of disuse must be renewed at the latest: about half of that time after it was used.
    fn keep_alive(&self, row: &ConnectionRow, draw: u32) -> Option<i64> {
        // No grant hangs on what was entered.
        let life = self.unused_life.filter(|_| auth_type(row) == AuthType::Oauth2)?;
        Some(row.refreshed_at.saturating_add(life / 2 - share(life / 10, draw)))
    }
}

/// A random number that spreads times.
pub(super) fn draw() -> u32 {
    ids::random::<4>().map_or(u32::MAX / 2, u32::from_le_bytes)
}

/// As much of a span as was drawn: nothing for 0, nearly all for the largest number.
fn share(span: i64, draw: u32) -> i64 {
    i64::try_from((i128::from(span) * i128::from(draw)) >> 32).unwrap_or(0)
}

/// A wait, and up to an eighth more.
pub(super) fn spread(wait: Duration, draw: u32) -> Duration {
    wait + Duration::from_millis(u64::try_from(share(millis(wait) / 8, draw)).unwrap_or(0))
}

/// A wait that doubles with every try, at most `longest`, and is spread by an eighth.
pub(super) fn backoff(first: Duration, tries: i64, longest: Duration, draw: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(u32::try_from(tries.clamp(1, 30) - 1).unwrap_or(0)));
    spread(doubled.min(longest.max(first)), draw)
}

/// When the background tries again after a renewal that failed: later and later, but once more when the token is due.
pub(super) fn next_look(app: &App, row: &ConnectionRow, now: Timestamp, wait: Duration, draw: u32) -> i64 {
    const LONGEST: Duration = Duration::from_secs(3600);
    let again = now.plus(backoff(wait, row.tries, LONGEST.max(wait), draw)).millis();
    let due = credential::due(app, row);
    if now.millis() < due { again.min(due.max(now.plus(wait).millis())) } else { again }
}

/// Whether anybody is likely to want the token: see docs/decisions/0008.
fn is_wanted(app: &App, row: &ConnectionRow, now: Timestamp) -> bool {
    let settings = &app.project.project.refresh;
    if settings.keep_unused {
        return true;
    }
    let life = row.expires_at.map_or(i64::MAX, |end| end.saturating_sub(row.refreshed_at));
    let unused = i64::try_from(settings.unused).unwrap_or(i64::MAX).saturating_mul(24 * HOUR);
    let limit = if life < SHORT_LIVED { (life * 2).min(unused) } else { unused.saturating_add(USE_GRAIN) };
    now.millis().saturating_sub(row.used_at.unwrap_or(row.connected_at)) <= limit
}

/// Whether a grant would die because nobody uses it.
fn would_die(plan: Plan, row: &ConnectionRow, now: Timestamp) -> bool {
    row.status == ConnectionStatus::Active.as_str() && plan.keep_alive(row, u32::MAX).is_some_and(|at| at <= now.millis())
}

/// Notes in the log that a token is about to end, once.
pub(super) fn announce(tx: &mut dyn Tx, about: &About, row: &mut ConnectionRow, code: Option<&str>) -> Result<()> {
    if row.trouble.is_some() || row.status != ConnectionStatus::Active.as_str() {
        return Ok(());
    }
    row.trouble = Some(EXPIRING.to_owned());
    let ends = row.expires_at.map(Timestamp::from_millis);
    about.event(tx, EventType::ConnectionExpiring, &serde_json::json!({"connection": row.id, "expires_at": ends, "code": code}))
}

/// What became of one look.
enum Look {
    Moved,
    Idle,
    /// The application takes no more for so long.
    Pause(Duration),
}

/// Starts the task, unless the engine's timings switch it off.
pub(super) fn start(inner: &Arc<Inner>) {
    let Some(every) = inner.timings.ahead else { return };
    let weak = Arc::downgrade(inner);
    runtime::spawn(async move {
        while let Some(inner) = super::upkeep::alive(&weak) {
            if let Err(error) = inner.renew_ahead().await {
                tracing::debug!(code = error.code().as_str(), "due connections could not be looked for");
            }
            drop(inner);
            tokio::time::sleep(spread(every, draw())).await;
        }
    });
}

/// An application whose due connections are being looked at.
struct Busy {
    engine: Arc<Inner>,
    slug: String,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.engine.ahead.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.slug);
    }
}

/// Leave to have a call under way, given back when the provider has answered; absent where nobody counts.
pub(super) type Turn = Option<OwnedSemaphorePermit>;

/// In which order the connections of one application come to be called for.
struct Turns {
    /// As many as the project allows at once.
    calls: Arc<Semaphore>,
    /// Whoever waits for the rate, before all others.
    gate: tokio::sync::Mutex<()>,
}

/// What the background keeps in mind.
#[derive(Default)]
pub(super) struct Ahead {
    busy: std::sync::Mutex<std::collections::HashSet<String>>,
    /// Uses that are not in the store yet.
    uses: std::sync::Mutex<HashMap<String, i64>>,
}

impl Inner {
    /// Looks once at what is due. Applications do not wait for each other.
    pub(super) async fn renew_ahead(self: &Arc<Self>) -> Result<()> {
        self.flush_uses().await?;
        if !self.project.current().project.refresh.ahead {
            return Ok(());
        }
        let (tenant, now, slugs) = (self.tenant.clone(), self.now().millis(), self.enabled_slugs());
        let due = self
            .read(move |tx| {
                let mut due = Vec::new();
                for slug in slugs {
                    if !tx.due_connections(&tenant, &slug, now, 1)?.is_empty() {
                        due.push(slug);
                    }
                }
                Ok(due)
            })
            .await?;
        for slug in due {
            if self.ahead.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(slug.clone()) {
                let busy = Busy { engine: self.clone(), slug };
                runtime::spawn(async move {
                    if let Err(error) = busy.engine.renew_app(&busy.slug).await {
                        tracing::debug!(application = busy.slug, code = error.code().as_str(), "due connections could not be renewed");
                    }
                });
            }
        }
        Ok(())
    }

    /// Looks at what is due of one application, until nothing moves.
    async fn renew_app(self: &Arc<Self>, slug: &str) -> Result<()> {
        while !self.is_closed() {
            let app = self.app(slug).await?;
            let settings = &app.project.project.refresh;
            let (tenant, now, boot) = (self.tenant.clone(), self.now().millis(), self.clock.boot());
            let wanted = slug.to_owned();
            let at_once = settings.at_once.clamp(1, 256);
            let page = u32::try_from((PAGE * at_once).min(4096)).unwrap_or(64);
            let mut rows = self.read(move |tx| tx.due_connections(&tenant, &wanted, now, page)).await?;
            rows.retain(|row| !super::renewal::is_leased(row, &boot));
            arrange(&mut rows, ids::random::<4>().map_or(0, u32::from_le_bytes));
            let turns = Turns { calls: Arc::new(Semaphore::new(at_once)), gate: tokio::sync::Mutex::new(()) };
            // While some calls are under way, the answers of others are written down.
            let looks = stream::iter(rows).map(|row| self.look_until(&app, Arc::new(row), &turns));
            let moved: Vec<bool> = looks.buffer_unordered(2 * at_once).collect().await;
            if !moved.contains(&true) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks at one connection. Where the rate is used up, one waits for its turn and the others behind it. False: nothing moved.
    async fn look_until(self: &Arc<Self>, app: &App, row: Arc<ConnectionRow>, turns: &Turns) -> bool {
        while !self.is_closed() {
            let turn = turns.calls.clone().acquire_owned().await.ok();
            match self.look_after(app, &row, turn).await {
                Look::Moved => return true,
                Look::Idle => return false,
                Look::Pause(wait) => {
                    let _first = turns.gate.lock().await;
                    tokio::time::sleep(wait).await;
                }
            }
        }
        false
    }

    async fn look_after(self: &Arc<Self>, app: &App, row: &Arc<ConnectionRow>, mut turn: Turn) -> Look {
        let plan = Plan::of(app);
        let now = self.now();
        // From before there were such times.
        let is_new = row.renew_at == Some(0) && row.expires_at.is_some_and(|_| plan.first_look(row, 0).is_some_and(|at| at > now.millis()));
        let done = if is_new || !plan.can_renew(row) || !(is_wanted(app, row, now) || would_die(plan, row, now)) {
            self.rest(app, plan, row.clone()).await.map(|()| Look::Moved)
        } else {
            let (engine, app, row) = (self.clone(), app.clone(), row.clone());
            self.detached(async move {
                // Closing waits for what began before, and nothing begins after.
                if engine.is_closed() {
                    return Ok(Look::Idle);
                }
                Ok(match engine.renew(&app, &row, Mode::Ahead, &mut turn).await {
                    Ok(Ended::Row(_)) => Look::Moved,
                    Ok(Ended::NotNow(Some(wait))) => Look::Pause(wait),
                    Ok(Ended::NotNow(None)) => Look::Idle,
                    Err(error) if error.kind() == crate::Kind::Unavailable => Look::Idle,
                    Err(_) => {
                        engine.postpone(&row).await?;
                        Look::Moved
                    }
                })
            })
            .await
        };
        done.unwrap_or(Look::Idle)
    }

    /// What failed has its next time already, unless it was trouble of our own, e.g. a damaged row.
    async fn postpone(&self, seen: &ConnectionRow) -> Result<()> {
        let (tenant, id, now) = (self.tenant.clone(), seen.id.clone(), self.now().millis());
        self.write(move |tx| {
            if let Some(mut row) = tx.connection(&tenant, &id)?.filter(|row| row.renew_at.is_some_and(|at| at <= now)) {
                row.renew_at = Some(now + OWN_TROUBLE);
                tx.put_connection(&tenant, &row)?;
            }
            Ok(())
        })
        .await
    }

    /// What is not renewed now: it is announced, it ends, or it is left alone until its time.
    async fn rest(&self, app: &App, plan: Plan, seen: Arc<ConnectionRow>) -> Result<()> {
        let about = self.about("ahead".to_owned(), &seen.account_id, Some(&seen.application));
        let (app, lives, clock) = (app.clone(), self.lives.clone(), self.clock.clone());
        let (account, application) = (seen.account_id.clone(), seen.application.clone());
        let changed =
            self.write(move |tx| rest(tx, &about, &app, plan, &seen, |row| lives.time_for(row, about.now, clock.boot_millis()))).await?;
        if changed {
            self.cache.forget(&account, &application);
        }
        Ok(())
    }

    /// Remembers that a connection is used; written down now and then.
    pub(super) fn note_use(&self, row: &ConnectionRow) {
        let now = self.now().millis();
        let life = row.expires_at.map_or(i64::MAX, |end| end.saturating_sub(row.refreshed_at));
        let grain = USE_GRAIN.min(life / 2).max(5000);
        if row.used_at.is_none_or(|at| (now - at).abs() >= grain) {
            self.ahead.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(row.id.clone(), now);
        }
    }

    /// Writes down when connections were used. What a killed process had not written yet is as if it had not been.
    pub(super) async fn flush_uses(&self) -> Result<()> {
        let uses = std::mem::take(&mut *self.ahead.uses.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return Ok(());
        }
        let tenant = self.tenant.clone();
        // Wakes nobody.
        self.store.write_with(move |tx| uses.iter().try_for_each(|(id, at)| tx.touch_connection(&tenant, id, *at))).await
    }
}

/// True when something changed that callers see.
fn rest(
    tx: &mut dyn Tx,
    about: &About,
    app: &App,
    plan: Plan,
    seen: &ConnectionRow,
    judged: impl Fn(&ConnectionRow) -> Timestamp,
) -> Result<bool> {
    let now = about.now.millis();
    let Some(mut row) = tx.connection(&about.tenant, &seen.id)?.filter(|row| row.renew_at.is_some_and(|at| at <= now)) else {
        return Ok(false);
    };
    let mut changed = false;
    let is_active = row.status == ConnectionStatus::Active.as_str();
    let first = plan.first_look(&row, draw()).filter(|at| *at > now);
    row.renew_at = if !is_active {
        None
    } else if plan.can_renew(&row) {
        match first {
            Some(at) if seen.renew_at == Some(0) => Some(at),
            _ if is_wanted(app, &row, about.now) || would_die(plan, &row, about.now) => return Ok(false),
            // Nobody uses it: only what would die of that is renewed.
            _ => plan.keep_alive(&row, draw()).map(|at| at.max(now + 1)),
        }
    } else {
        match (row.expires_at, first) {
            (_, Some(at)) => Some(at),
            (Some(end), None) if judged(&row).millis() < end => {
                announce(tx, about, &mut row, None)?;
                changed = true;
                Some(end)
            }
            (Some(_), None) => {
                let error = standing(&row, about.now);
                expire(tx, about, &mut row, &error)?;
                return Ok(true);
            }
            (None, None) => None,
        }
    };
    row.row_version += 1;
    tx.put_connection(&about.tenant, &row)?;
    Ok(changed)
}

/// In the order in which they were made, so that what stands together in the store is written together; from a random place
/// on, since another process has the same page before it.
fn arrange(rows: &mut [ConnectionRow], draw: u32) {
    rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let from = (rows.len() as u64 * u64::from(draw)) >> 32;
    rows.rotate_left(usize::try_from(from).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const PLAN: Plan = Plan { early: 60_000, window: 600_000, notice: 72 * HOUR, unused_life: None, renews: true, early_of_keys: None };

    fn row(life: Option<i64>, refresh: bool) -> ConnectionRow {
        super::super::connections::fixture(NOW, life, refresh)
    }

    /// Ten thousand that end together are looked at over ten minutes, evenly, and none in the first half of its life or after it is due.
    #[test]
    fn r26_what_ends_together_is_renewed_apart() {
        const MANY: usize = 10_000;
        let mut minutes = [0_usize; 10];
        for _ in 0..MANY {
            let at = PLAN.first_look(&row(Some(HOUR), true), draw()).unwrap();
            let from = NOW + HOUR - 660_000;
            assert!((from..=from + 600_000).contains(&at));
            minutes[usize::try_from((at - from) / 60_000).unwrap().min(9)] += 1;
        }
        // A tenth each: 1,000, with a standard deviation of 30.
        assert!(minutes.iter().all(|count| (800..=1200).contains(count)), "{minutes:?}");
        for life in [1, 1000, 60_000, 120_000, 300_000, HOUR, 90 * 24 * HOUR] {
            for draw in [0, 1, u32::MAX / 2, u32::MAX] {
                let at = PLAN.first_look(&row(Some(life), true), draw).unwrap();
                assert!((NOW + life / 2..=NOW + life - 60_000.min(life / 2)).contains(&at), "{life} {draw}: {}", at - NOW);
            }
        }
    }

    #[test]
    fn a_page_is_taken_in_order_from_any_place_on() {
        let ids = |draw| {
            let mut rows: Vec<_> =
                ["c", "a", "d", "b"].iter().map(|id| ConnectionRow { id: (*id).to_owned(), ..row(None, true) }).collect();
            arrange(&mut rows, draw);
            rows.into_iter().map(|row| row.id).collect::<String>()
        };
        assert_eq!([0, u32::MAX / 2, u32::MAX].map(ids), ["abcd", "bcda", "dabc"]);
        arrange(&mut [], u32::MAX);
    }

    #[test]
    fn what_nothing_renews_is_announced_before_its_end() {
        assert_eq!(PLAN.first_look(&row(Some(60 * 24 * HOUR), false), 7), Some(NOW + 57 * 24 * HOUR));
        assert_eq!(PLAN.first_look(&row(Some(HOUR), false), 7), Some(NOW + HOUR * 3 / 4));
        assert_eq!(Plan { renews: false, ..PLAN }.first_look(&row(Some(HOUR), true), 7), Some(NOW + HOUR * 3 / 4));
        assert_eq!(PLAN.first_look(&row(None, true), 7), None);
        let dies = Plan { unused_life: Some(100 * 24 * HOUR), ..PLAN };
        assert_eq!(dies.first_look(&row(None, true), 0), Some(NOW + 50 * 24 * HOUR));
        assert!((NOW + 40 * 24 * HOUR..NOW + 41 * 24 * HOUR).contains(&dies.first_look(&row(None, true), u32::MAX).unwrap()));
    }

    /// Tokens of entered values are renewed ahead like others; nothing renews or announces values that are sent themselves.
    #[test]
    fn tokens_of_keys_are_renewed_ahead() {
        let key = |life| ConnectionRow { auth_type: AuthType::Keybased.as_str().to_owned(), ..row(life, false) };
        assert_eq!(PLAN.first_look(&key(Some(HOUR)), 7), None);
        assert!(!PLAN.can_renew(&key(Some(HOUR))));
        let keys = Plan { renews: false, early_of_keys: Some(120_000), unused_life: Some(100 * HOUR), ..PLAN };
        assert!(keys.can_renew(&key(Some(HOUR))) && !keys.can_renew(&row(Some(HOUR), true)));
        assert_eq!(keys.first_look(&key(Some(HOUR)), 0), Some(NOW + HOUR - 120_000));
        assert_eq!(keys.first_look(&key(None), 0), None);
    }

    #[test]
    fn tries_come_later_and_later() {
        let (first, longest) = (Duration::from_secs(30), Duration::from_secs(3600));
        let waits: Vec<u64> = (0..12).map(|tries| backoff(first, tries, longest, 0).as_secs()).collect();
        assert_eq!(waits, [30, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]);
        assert_eq!(backoff(first, i64::MAX, longest, 0), longest);
        let most = backoff(first, 1, longest, u32::MAX);
        assert!(most > first && most <= first * 9 / 8, "{most:?}");
    }
}
