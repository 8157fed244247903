//! Schedules of renewals, disconnects and reconnects, explored (S-82). The decisions are the engine's own (`renewal`,
//! `disconnect`, `outbox`, `connections`) on the engine's own store; only who comes next, what time it is, what the
//! provider answers and who dies is made up. Every schedule is checked against.
//!
//! A schedule is a list of numbers, so that one that breaks something can be made smaller and played again. That the checks
//! can fail is shown by mutations: the same schedules with one step left out or bent.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    About,
    ahead::Plan,
    apps::App,
    cache::Lives,
    connections::{self, NewConnection},
    credential,
    disconnect::Remover,
    health::Place,
    outbox::{self, Asked, Tries},
    refresh::Mode,
    renewal::{self, Holder, Left, Refusal, Step, Waits},
    sealed::{self, Grant},
};
use crate::{
    Secret, Timestamp,
    error::err,
    http::protocol::{RawAnswer, TokenFailure, TokenSet},
    manifest::Catalog,
    model::{AuthType, ConnectionStatus, Environment, RevocationOutcome, SiblingPolicy, Tenant},
    plugin::{BootTime, Store, StoreExt, SystemClock, Tx},
    project::Project,
    store::{
        SqliteStore, StoreOptions,
        rows::{AccountRow, ConnectionRow, RevocationRow},
    },
    vault::{LocalKey, Vault},
};

const SLUG: &str = "sandbox-oauth";
const HOUR: i64 = 3_600_000;
const START: i64 = 1_800_000_000_000;
const WAITS: Waits = Waits {
    lease: Duration::from_secs(14),
    provider: Duration::from_secs(10),
    cooldown: Duration::from_secs(30),
    suspended: Duration::from_secs(300),
};
/// Decisions of one schedule; what is left then ends without further trouble.
const STEPS: usize = 60;

/// One part of the engine bent, to see that it is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// The refresh token goes out without a word in the row.
    SkipMark,
    /// Leases keep nobody out.
    IgnoreLease,
    /// An answer is stored whatever stands in the row.
    StoreBlindly,
    /// Tokens that come for a connection that is gone are forgotten.
    DropOrphan,
    /// A disconnect queues no revocation.
    ForgetRevocation,
}

/// What everybody's store and keys are.
struct Ground {
    runtime: tokio::runtime::Runtime,
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    tenant: Tenant,
    app: App,
    lives: Lives,
    schedules: usize,
}

impl Ground {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::memory(StoreOptions::default()).unwrap());
        let tenant = Tenant { org: "acme".to_owned(), environment: Environment::Test };
        let key = Arc::new(LocalKey::generate().unwrap());
        let vault = runtime.block_on(Vault::unlock(store.clone(), key, &tenant.org, Arc::new(SystemClock::default()))).unwrap();
        let app = App::fixture(Catalog::builtin().get(SLUG).unwrap(), Project::default());
        Self { runtime, store, vault: Arc::new(vault), tenant, app, lives: Lives::new(100_000), schedules: 0 }
    }

    fn write<T: Send + 'static>(&self, job: impl FnOnce(&mut dyn Tx) -> crate::Result<T> + Send + 'static) -> T {
        self.runtime.block_on(self.store.write_with(job)).unwrap()
    }
}

/// A provider whose refresh tokens work once: one that comes again ends its grant. Revoking a token that is used up does
/// nothing, which is the harder sort.
#[derive(Default)]
struct Provider {
    /// Grant to its current refresh token; dead ones are gone.
    live: HashMap<usize, String>,
    owner: HashMap<String, usize>,
    presented: BTreeMap<String, u32>,
    /// Presentations that a living holder knows to have failed: those may be repeated.
    excused: BTreeMap<String, u32>,
    refreshes: u32,
    serial: usize,
}

impl Provider {
    fn issue(&mut self, grant: usize) -> (String, String) {
        self.serial += 1;
        let refresh = format!("refresh-{grant}-{}", self.serial);
        self.owner.insert(refresh.clone(), grant);
        self.live.insert(grant, refresh.clone());
        (format!("access-{grant}-{}", self.serial), refresh)
    }

    fn grant(&mut self) -> (usize, String, String) {
        self.serial += 1;
        let grant = self.serial;
        let (access, refresh) = self.issue(grant);
        (grant, access, refresh)
    }

    fn refresh(&mut self, token: &str) -> Result<TokenSet, TokenFailure> {
        let grant = self.owner[token];
        if self.live.get(&grant).map(String::as_str) != Some(token) {
            self.live.remove(&grant);
            return Err(TokenFailure::Final { provider_error: "invalid_grant".to_owned() });
        }
        self.refreshes += 1;
        let (access, refresh) = self.issue(grant);
        Ok(TokenSet {
            access_token: Secret::new(access),
            refresh_token: Some(Secret::new(refresh)),
            token_type: "Bearer".to_owned(),
            expires_in: Some(Duration::from_secs(3600)),
            scopes: None,
            copied: crate::http::protocol::Copies::default(),
            raw: RawAnswer::default(),
        })
    }

    fn revoke(&mut self, token: &str) {
        let grant = self.owner[token];
        if self.live.get(&grant).map(String::as_str) == Some(token) {
            self.live.remove(&grant);
        }
    }
}

/// Where a worker is.
enum Work {
    /// About to look whether the token is good.
    Look,
    /// It is not: about to take the connection's lease.
    Renew(Box<ConnectionRow>),
    /// It holds the lease.
    Leased(Box<(Holder, ConnectionRow, Grant)>),
    /// The row says that the token is about to go out.
    Marked(Box<(Holder, ConnectionRow, Grant)>),
    /// The provider was asked, and this is what arrived.
    Answered(Box<(Holder, ConnectionRow, Grant)>, Result<TokenSet, TokenFailure>),
    Disconnect,
    /// About to send a revocation.
    Revoke(Box<RevocationRow>, String),
    /// The provider did it.
    Revoked(Box<RevocationRow>, String),
    /// The user consented anew; the tokens are not stored yet.
    Reconnect,
    Save(usize, Grant),
    /// Looks for revocations.
    Outbox,
    Ended,
}

/// What a schedule did, so that nothing is explored in vain.
#[derive(Default, Debug)]
struct Seen {
    crashes: u32,
    died_marked: bool,
    lost: bool,
    passing: bool,
    slept_marked: bool,
    taken_over: u32,
    waited: u32,
    disconnected: bool,
    reconnected: bool,
    orphaned: u32,
    late: u32,
    recovered: u32,
    calm: bool,
}

struct World<'g> {
    ground: &'g Ground,
    mutation: Mutation,
    provider: Provider,
    now: i64,
    boot: i64,
    names: usize,
    account: String,
    connection: String,
    place: Place,
    workers: Vec<Work>,
    /// The grant that the connection was last authorised with, as the store has it.
    newest: usize,
    jumped: bool,
    seen: Seen,
}

type Violation = String;

macro_rules! must {
    ($holds:expr, $($text:tt)*) => { if !$holds { return Err(format!($($text)*)); } };
}

impl<'g> World<'g> {
    fn new(ground: &'g mut Ground, mutation: Mutation, workers: Vec<Work>) -> Self {
        ground.schedules += 1;
        let n = ground.schedules;
        let mut provider = Provider::default();
        let (grant, access, refresh) = provider.grant();
        let place = Place {
            application: SLUG.to_owned(),
            client_key: "default".to_owned(),
            authority: format!("https://{n}.example"),
            print: Some("print".to_owned()),
        };
        let mut world = Self {
            ground,
            mutation,
            provider,
            now: START,
            boot: 0,
            names: 0,
            account: format!("account-{n}"),
            connection: String::new(),
            place,
            workers,
            newest: grant,
            jumped: false,
            seen: Seen::default(),
        };
        let (about, vault, app) = (world.about(), world.ground.vault.clone(), world.ground.app.clone());
        let account = AccountRow {
            id: world.account.clone(),
            record_id: format!("{n:024x}"),
            name: None,
            properties_json: "{}".to_owned(),
            created_at: START,
            updated_at: START,
        };
        let tokens = world.tokens(access, refresh);
        world.connection = world.ground.write(move |tx| {
            tx.put_account(&about.tenant, &account)?;
            connections::save(tx, &about, &vault, SLUG, fresh(&app, tokens, about.now)).map(|row| row.id)
        });
        // It has just ended.
        world.now += HOUR;
        world.boot += HOUR;
        world
    }

    fn about(&self) -> About {
        About {
            tenant: self.ground.tenant.clone(),
            now: Timestamp::from_millis(self.now),
            actor: "explorer".to_owned(),
            account: self.account.clone(),
            application: Some(SLUG.to_owned()),
        }
    }

    fn boot(&self) -> BootTime {
        BootTime { boot_id: "boot".to_owned(), millis: self.boot }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("holder-{}", self.names)
    }

    fn tokens(&self, access: String, refresh: String) -> Grant {
        Grant {
            access_token: Some(Secret::new(access)),
            refresh_token: Some(Secret::new(refresh)),
            token_type: Some("Bearer".to_owned()),
            values: BTreeMap::new(),
            by_values: false,
        }
    }

    fn row(&self) -> Option<ConnectionRow> {
        let (tenant, id) = (self.ground.tenant.clone(), self.connection.clone());
        self.ground.write(move |tx| tx.connection(&tenant, &id))
    }

    /// One step of one worker. `choice` decides what the provider does.
    fn step(&mut self, at: usize, choice: usize) -> Result<(), Violation> {
        let work = std::mem::replace(&mut self.workers[at], Work::Ended);
        self.workers[at] = match work {
            Work::Look => match self.row() {
                None => Work::Ended,
                Some(row) if row.status != ConnectionStatus::Active.as_str() => Work::Ended,
                Some(row) if credential::is_fresh(&self.ground.app, &row, Timestamp::from_millis(self.now)) => Work::Ended,
                Some(row) => Work::Renew(Box::new(row)),
            },
            // Every other worker is a background, whose lease is the mark as well.
            Work::Renew(seen) => self.lease(*seen, if at % 2 == 1 { Mode::Ahead } else { Mode::Asked })?,
            Work::Leased(held) if self.mutation == Mutation::SkipMark => Work::Marked(held),
            Work::Leased(held) => {
                let (holder, boot, row) = (held.0.clone(), self.boot(), held.1.clone());
                let seen = Box::new(row.clone());
                if self.ground.write(move |tx| renewal::mark(tx, &holder, &boot, &WAITS, &row)) {
                    Work::Marked(held)
                } else {
                    Work::Renew(seen)
                }
            }
            Work::Marked(held) => self.send(held, choice)?,
            Work::Answered(held, answer) => self.write_down(*held, answer)?,
            Work::Disconnect => self.disconnect(),
            Work::Reconnect => {
                let (grant, access, refresh) = self.provider.grant();
                Work::Save(grant, self.tokens(access, refresh))
            }
            Work::Save(grant, tokens) => {
                let (about, vault, app) = (self.about(), self.ground.vault.clone(), self.ground.app.clone());
                let mut new = fresh(&app, tokens, about.now);
                new.renew = Some(self.connection.clone());
                let row = self.ground.write(move |tx| connections::save(tx, &about, &vault, SLUG, new));
                must!(row.id == self.connection, "a reconnect made another connection");
                self.newest = grant;
                self.seen.reconnected = true;
                Work::Ended
            }
            Work::Outbox => self.take_revocation(),
            Work::Revoke(row, owner) => {
                let grant = sealed::open_revocation(&self.ground.vault, &self.ground.tenant, &row).unwrap();
                self.provider.revoke(grant.refresh_token.unwrap().expose());
                Work::Revoked(row, owner)
            }
            Work::Revoked(row, owner) => {
                let (about, tries) = (self.about(), Tries { attempt: 1, attempts: 14, backoff: Duration::from_secs(5) });
                let asked = Asked::Ended(RevocationOutcome::Revoked);
                self.ground.write(move |tx| outbox::end_try(tx, &about, &row.id, &owner, &asked, tries));
                Work::Outbox
            }
            Work::Ended => Work::Ended,
        };
        if self.seen.disconnected {
            must!(self.row().is_none(), "R-41: a row that was disconnected is there again");
        }
        Ok(())
    }

    fn lease(&mut self, seen: ConnectionRow, mode: Mode) -> Result<Work, Violation> {
        let waiting = seen.clone();
        let holder = Holder { about: self.about(), app: self.ground.app.clone(), place: self.place.clone(), name: self.name(), mode };
        let (asking, vault, lives, boot) = (holder.clone(), self.ground.vault.clone(), self.ground.lives.clone(), self.boot());
        let ignores = self.mutation == Mutation::IgnoreLease;
        let was_held = self.row().is_some_and(|row| row.lease_owner.is_some());
        let step = self.ground.write(move |tx| {
            if let Some(mut row) = tx.connection(&asking.about.tenant, &seen.id)?.filter(|_| ignores) {
                (row.lease_owner, row.lease_until, row.presented) = (None, None, None);
                tx.put_connection(&asking.about.tenant, &row)?;
            }
            let opened = sealed::open_grant(&vault, &asking.about.tenant, &seen).ok();
            renewal::lease(tx, &asking, &vault, &lives, &boot, &WAITS, &seen, opened)
        });
        Ok(match step {
            Ok(Step::Changed(row)) => Work::Renew(row),
            Ok(Step::Done(row)) => {
                let now = self.now;
                must!(mode == Mode::Ahead || row.expires_at.is_none_or(|end| now < end), "an expired token was handed out");
                Work::Ended
            }
            Ok(Step::Wait) if mode == Mode::Ahead => Work::Ended,
            Ok(Step::Wait) => {
                self.seen.waited += 1;
                Work::Renew(Box::new(waiting))
            }
            Ok(Step::Leased(leased)) => {
                self.seen.taken_over += u32::from(was_held);
                let mut held = Box::new((holder, leased.0, leased.1));
                if mode == Mode::Asked {
                    Work::Leased(held)
                } else {
                    if self.mutation == Mutation::SkipMark {
                        held.1.presented = None;
                        let (tenant, row) = (self.ground.tenant.clone(), held.1.clone());
                        self.ground.write(move |tx| tx.put_connection(&tenant, &row));
                    }
                    Work::Marked(held)
                }
            }
            Ok(Step::NotNow(..)) | Err(_) => Work::Ended,
        })
    }

    fn send(&mut self, held: Box<(Holder, ConnectionRow, Grant)>, choice: usize) -> Result<Work, Violation> {
        let token = held.2.refresh_token.as_ref().unwrap().expose().to_owned();
        let count = self.provider.presented.entry(token.clone()).or_default();
        *count += 1;
        let excused = self.provider.excused.get(&token).copied().unwrap_or(0);
        must!(*count <= 1 + excused, "R-20, R-21: `{token}` was presented {count} times, {excused} of them known to have failed");
        let passing = |what: &str| TokenFailure::Passing { error: err!(ProviderError, "{what}") };
        let answer = match choice % 12 {
            0 => {
                self.seen.passing = true;
                Err(passing("not processed"))
            }
            1 => {
                self.seen.lost = true;
                drop(self.provider.refresh(&token));
                Err(passing("the answer is lost"))
            }
            2 => {
                self.seen.passing = true;
                Err(TokenFailure::Client { provider_error: "invalid_client".to_owned() })
            }
            _ => self.provider.refresh(&token),
        };
        Ok(Work::Answered(held, answer))
    }

    fn write_down(&mut self, held: (Holder, ConnectionRow, Grant), answer: Result<TokenSet, TokenFailure>) -> Result<Work, Violation> {
        let (holder, mut row, grant) = held;
        let before = self.row();
        match answer {
            Ok(tokens) => {
                if before.is_none() {
                    self.seen.orphaned += 1;
                    if self.mutation == Mutation::DropOrphan {
                        return Ok(Work::Ended);
                    }
                }
                if let Some(before) = &before {
                    self.seen.late += u32::from(before.lease_owner.as_ref() != Some(&holder.name));
                    if self.mutation == Mutation::StoreBlindly {
                        row.refresh_print.clone_from(&before.refresh_print);
                    }
                }
                let vault = self.ground.vault.clone();
                let stored = self.ground.write(move |tx| renewal::store(tx, &holder, &vault, &row, &grant, &tokens));
                let was_expired = before.is_some_and(|before| before.status != ConnectionStatus::Active.as_str());
                self.seen.recovered += u32::from(was_expired && stored.is_ok());
            }
            Err(failure) => {
                let is_passing = !matches!(failure, TokenFailure::Final { .. });
                let refusal = Refusal::of(&holder.app, &row, failure);
                let token = grant.refresh_token.as_ref().unwrap().expose().to_owned();
                let left = self.ground.write(move |tx| renewal::refuse(tx, &holder, &WAITS, &row, &refusal));
                if is_passing && matches!(left, Left::Noted(..)) {
                    *self.provider.excused.entry(token).or_default() += 1;
                }
            }
        }
        Ok(Work::Ended)
    }

    fn disconnect(&mut self) -> Work {
        let (about, vault, id) = (self.about(), self.ground.vault.clone(), self.connection.clone());
        let forgets = self.mutation == Mutation::ForgetRevocation;
        self.ground.write(move |tx| {
            let rows: Vec<_> = tx.connection(&about.tenant, &id)?.into_iter().collect();
            Remover::revoking(vault, SLUG).remove(tx, &about, rows, SiblingPolicy::Ask)?;
            if forgets {
                for mut queued in tx.queued_revocations(&about.tenant, &about.account, SLUG)? {
                    outbox::finish(tx, &about, &mut queued, RevocationOutcome::Revoked)?;
                }
            }
            Ok(())
        });
        self.seen.disconnected = true;
        Work::Outbox
    }

    fn queued(&self) -> Vec<RevocationRow> {
        let about = self.about();
        self.ground.write(move |tx| tx.queued_revocations(&about.tenant, &about.account, SLUG))
    }

    fn take_revocation(&mut self) -> Work {
        for row in self.queued() {
            let (about, boot, owner) = (self.about(), self.boot(), self.name());
            let taken = owner.clone();
            let lease = super::millis(WAITS.lease);
            let leased = self.ground.write(move |tx| outbox::lease(tx, &about.tenant, &row.id, &taken, &boot, lease, about.now.millis()));
            if let Some(row) = leased {
                return Work::Revoke(Box::new(row), owner);
            }
        }
        Work::Outbox
    }

    /// The process of a worker dies. Another one begins where every process begins.
    fn crash(&mut self, at: usize) {
        let was = std::mem::replace(&mut self.workers[at], Work::Ended);
        self.workers[at] = match was {
            Work::Marked(_) | Work::Answered(..) => {
                self.seen.died_marked = true;
                Work::Look
            }
            Work::Look | Work::Renew(_) | Work::Leased(_) => Work::Look,
            // A code that may be spent is not sent again; the flow failed.
            Work::Save(..) => Work::Ended,
            Work::Revoke(..) | Work::Revoked(..) | Work::Outbox => Work::Outbox,
            other => other,
        };
        self.seen.crashes += 1;
    }

    fn pass_time(&mut self, millis: i64) {
        let out = |work: &Work| matches!(work, Work::Marked(_) | Work::Answered(..));
        self.seen.slept_marked |= millis > 10_000 && self.workers.iter().any(out);
        self.jumped |= millis >= HOUR / 2;
        self.now += millis;
        self.boot += millis;
    }

    /// What is left ends without further trouble, and somebody asks once more.
    fn drain(&mut self) -> Result<(), Violation> {
        for round in 0..200 {
            let busy: Vec<usize> = (0..self.workers.len()).filter(|at| !matches!(self.workers[*at], Work::Ended | Work::Outbox)).collect();
            if busy.is_empty() && self.queued().is_empty() {
                break;
            }
            must!(round < 199, "it never ends");
            for at in busy {
                self.step(at, 11)?;
            }
            if let Some(at) = self.workers.iter().position(|work| matches!(work, Work::Outbox)) {
                self.step(at, 11)?;
            } else if !self.queued().is_empty() {
                self.workers.push(Work::Outbox);
            }
            self.pass_time(1000);
        }
        self.pass_time(40_000);
        if self.workers.len() % 2 == 1 {
            self.workers.push(Work::Ended);
        }
        self.workers.push(Work::Look);
        let last = self.workers.len() - 1;
        for _ in 0..10 {
            self.step(last, 11)?;
        }
        must!(matches!(self.workers[last], Work::Ended), "whoever asks is answered");
        Ok(())
    }

    fn judge(&mut self) -> Result<(), Violation> {
        let row = self.row();
        let seen = &self.seen;
        // The token that was issued to a process that died is nobody's; nor is one whose answer was lost.
        let unlucky = seen.died_marked || seen.lost;
        if seen.disconnected {
            must!(row.is_none(), "R-41: the row is there again");
            must!(unlucky || self.provider.live.is_empty(), "R-41: a grant lives on: {:?}", self.provider.live.keys());
            return Ok(());
        }
        let Some(row) = row else { return Err("the connection is gone".to_owned()) };
        let grant = sealed::open_grant(&self.ground.vault, &self.ground.tenant, &row).unwrap();
        let stored = grant.refresh_token.unwrap().expose().to_owned();
        must!(self.provider.owner[&stored] == self.newest, "R-22: an older grant's token stands where a newer one was stored");
        let active = row.status == ConnectionStatus::Active.as_str();
        if !unlucky {
            let current = self.provider.live.get(&self.newest);
            must!(current == Some(&stored), "R-22, R-23: the provider has {current:?}, the store {stored}");
            // A holder that slept too long was given up; an answer that it got in the end says that all is well.
            must!(active || (seen.slept_marked && seen.passing), "R-23: a connection ended although nothing was lost");
        }
        must!(!active || (row.lease_owner.is_none() && row.presented.is_none()), "a lease or a mark stayed behind");
        // One end of a token, one refresh.
        let calm = seen.crashes == 0 && !seen.lost && !seen.passing && !seen.slept_marked && !self.jumped && !seen.reconnected;
        self.seen.calm = calm;
        must!(!calm || self.provider.refreshes == 1, "R-20: {} refreshes for one end", self.provider.refreshes);
        Ok(())
    }
}

/// A connection whose token lives for an hour.
fn fresh(app: &App, grant: Grant, now: Timestamp) -> NewConnection {
    NewConnection {
        auth_type: AuthType::Oauth2,
        client_key: "default".to_owned(),
        grant,
        identity: None,
        grant_key: None,
        shares_grants: false,
        scopes: Vec::new(),
        properties: BTreeMap::new(),
        expires_at: Some(now.plus(Duration::from_secs(3600))),
        plan: Plan::of(app),
        renew: None,
    }
}

/// Plays one schedule: each number decides one thing; when they end, the rest goes straight on.
fn play(ground: &mut Ground, mutation: Mutation, schedule: &[u16]) -> (Seen, Result<(), Violation>) {
    let mut numbers = schedule.iter().map(|n| usize::from(*n));
    let mut next = |below: usize| numbers.next().map(|n| n % below);
    let mut workers = vec![Work::Look, Work::Look];
    match next(3) {
        Some(1) => workers.push(Work::Disconnect),
        Some(2) => workers.push(Work::Reconnect),
        _ => workers.push(Work::Look),
    }
    // A third goes without faults: races alone.
    let calm = next(3) == Some(0);
    let mut world = World::new(ground, mutation, workers);
    let mut ended = Ok(());
    while let Some(what) = next(16) {
        let Some(at) = next(world.workers.len()) else { break };
        match what {
            0 if !calm && world.seen.crashes < 2 => world.crash(at),
            1 => world.pass_time(1000),
            2 if !calm => world.pass_time(20_000),
            3 if !calm => world.pass_time(40_000),
            4 if !calm && next(4) == Some(0) => world.pass_time(HOUR),
            _ => {
                let Some(choice) = next(1 << 16) else { break };
                ended = world.step(at, if calm { 11 } else { choice });
            }
        }
        if ended.is_err() {
            break;
        }
    }
    let ended = ended.and_then(|()| world.drain()).and_then(|()| world.judge());
    (world.seen, ended)
}

/// Schedules by number; always the same ones.
fn schedule(number: u64) -> Vec<u16> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = || {
        // Knuth's MMIX generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u16::try_from(state >> 48).unwrap()
    };
    (0..STEPS * 3).map(|_| random()).collect()
}

fn size(quick: u64, full: u64) -> u64 {
    if std::env::var_os("SMALT_FULL").is_some() { full } else { quick }
}

/// The first schedule that breaks something, and what.
fn search(mutation: Mutation, many: u64) -> Option<(u64, Violation)> {
    let mut ground = Ground::new();
    (0..many).find_map(|number| play(&mut ground, mutation, &schedule(number)).1.err().map(|violation| (number, violation)))
}

#[test]
fn s82_no_schedule_breaks_a_promise() {
    let mut ground = Ground::new();
    let mut all = Seen::default();
    let (mut disconnects, mut reconnects, mut calm) = (0, 0, 0);
    let many = size(500, 10_000);
    for number in 0..many {
        let (seen, ended) = play(&mut ground, Mutation::None, &schedule(number));
        assert_eq!(ended, Ok(()), "schedule {number}: {seen:?}");
        all.crashes += seen.crashes;
        all.taken_over += seen.taken_over;
        all.waited += seen.waited;
        all.orphaned += seen.orphaned;
        all.late += seen.late;
        all.recovered += seen.recovered;
        all.died_marked |= seen.died_marked;
        all.lost |= seen.lost;
        all.slept_marked |= seen.slept_marked;
        disconnects += u32::from(seen.disconnected);
        reconnects += u32::from(seen.reconnected);
        calm += u32::from(seen.calm);
    }
    // They went through everything that is hard.
    assert!(all.died_marked && all.lost && all.slept_marked, "{all:?}");
    for (what, count) in [
        ("crashes", all.crashes),
        ("leases taken over", all.taken_over),
        ("waits for another holder", all.waited),
        ("tokens for a connection that was gone", all.orphaned),
        ("late answers", all.late),
        ("connections that a late answer brought back", all.recovered),
        ("disconnects", disconnects),
        ("reconnects", reconnects),
        ("calm ones, whose refreshes are counted", calm),
    ] {
        assert!(count >= 3, "{what}: {count} in {many} schedules; {all:?}");
    }
}

/// Each bent part is noticed.
#[test]
fn s82_what_is_bent_is_noticed() {
    for (mutation, broken) in [
        (Mutation::SkipMark, "R-21"),
        (Mutation::IgnoreLease, "R-20"),
        (Mutation::StoreBlindly, "R-22"),
        (Mutation::DropOrphan, "R-41"),
        (Mutation::ForgetRevocation, "R-41"),
    ] {
        let found = search(mutation, 2000);
        assert!(found.as_ref().is_some_and(|(_, violation)| violation.contains(broken)), "{mutation:?}: {found:?}");
    }
}

/// Schedules that a library makes up, and makes smaller: for the engine none breaks anything, for a bent one few numbers do.
#[test]
fn s82_schedules_of_any_form() {
    let config = ProptestConfig { cases: u32::try_from(size(100, 2000)).unwrap(), failure_persistence: None, ..ProptestConfig::default() };
    let any = || proptest::collection::vec(any::<u16>(), 0..STEPS * 3);
    let mut ground = std::cell::RefCell::new(Ground::new());
    let ended = TestRunner::new(config.clone()).run(&any(), |schedule| {
        let ended = play(&mut ground.borrow_mut(), Mutation::None, &schedule).1;
        prop_assert_eq!(ended, Ok(()));
        Ok(())
    });
    assert_eq!(ended, Ok(()));
    let bent = TestRunner::new(ProptestConfig { cases: 5000, ..config }).run(&any(), |schedule| {
        let ended = play(&mut ground.borrow_mut(), Mutation::SkipMark, &schedule).1;
        prop_assert_eq!(ended, Ok(()));
        Ok(())
    });
    ground.get_mut().schedules += 1;
    match bent {
        Err(proptest::test_runner::TestError::Fail(_, smallest)) => assert!(smallest.len() < STEPS * 2, "{smallest:?}"),
        other => panic!("a skipped mark was not noticed: {other:?}"),
    }
}

/// A holder that was given up and is refused late must not take away the mark of the one who took over: if that one dies, nobody
/// would know that the token went out.
#[test]
fn a_late_refusal_leaves_the_mark_of_whoever_took_over() {
    let mut ground = Ground::new();
    // A provider that takes the old token once more for a while, so that another holder may present it again.
    let mut manifest = (*ground.app.manifest).clone();
    manifest.oauth2.as_mut().unwrap().refresh.grace = 86_400;
    ground.app = App::fixture(Arc::new(manifest), Project::default());
    let mut world = World::new(&mut ground, Mutation::None, vec![Work::Look, Work::Ended, Work::Look]);
    world.step(0, 11).unwrap();
    world.step(0, 11).unwrap();
    world.step(0, 11).unwrap();
    let Work::Marked(slow) = std::mem::replace(&mut world.workers[0], Work::Ended) else { panic!("the first one has marked") };
    world.pass_time(20_000);
    for _ in 0..3 {
        world.step(2, 11).unwrap();
    }
    assert!(matches!(world.workers[2], Work::Marked(_)), "the second one took over and has marked");
    let (holder, row, _) = *slow;
    let refusal = Refusal::of(&holder.app, &row, TokenFailure::Passing { error: err!(ProviderError, "late") });
    world.ground.write(move |tx| renewal::refuse(tx, &holder, &WAITS, &row, &refusal));
    let row = world.row().unwrap();
    assert!(row.lease_owner.is_some() && row.presented.is_some() && row.presented == row.refresh_print);
}
