//! How often somebody may call: one number per counted name, however many calls it stands for (GCRA, "leaky bucket as a meter").
//!
//! Names are kept as keyed hashes, and there is a bound on how many: a flood of names costs no memory, and those that are
//! nearest to being free again go first.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const SHARDS: usize = 16;
/// Names in one shard.
const NAMES: usize = 8192;
const MINUTE: u64 = 60_000_000_000;
/// How long a credential that was good is known as such.
const GOOD: u64 = 10 * MINUTE;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    /// Wrong credentials, from an address.
    GuessesFrom,
    /// Wrong credentials, of keys that begin alike.
    GuessesOf,
    /// Calls without a credential, from an address.
    Address,
    /// Calls of a session.
    Session,
    /// Calls of an API key.
    Key,
    /// Calls of a tenant.
    Tenant,
    /// Polls of a session.
    Polls,
    /// Connects of a linked account.
    Connects,
}

impl Counted {
    /// How many may come at once after silence.
    fn burst(self, per_minute: u64) -> u64 {
        match self {
            // Those that turn out good are given back; many may be on their way.
            Counted::GuessesFrom | Counted::GuessesOf => per_minute,
            _ => (per_minute / 6).max(5),
        }
    }

    /// For metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Counted::GuessesFrom | Counted::GuessesOf => "guesses",
            Counted::Address => "address",
            Counted::Session => "session",
            Counted::Key => "key",
            Counted::Tenant => "tenant",
            Counted::Polls => "polls",
            Counted::Connects => "connects",
        }
    }
}

/// A credential, by a keyed hash that nobody else can tell.
#[derive(Clone, Copy)]
pub(crate) struct Credential(u64);

/// The counters of one server.
pub(crate) struct Rates {
    began: Instant,
    keys: RandomState,
    /// By name: when it is free again, in nanoseconds since `began`.
    taken: [Mutex<HashMap<u64, u64>>; SHARDS],
    /// Credentials that were good: until when that counts.
    good: [Mutex<HashMap<u64, u64>>; SHARDS],
}

impl Rates {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), keys: RandomState::new(), taken: Default::default(), good: Default::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
    }

    fn shard<'a>(&self, all: &'a [Mutex<HashMap<u64, u64>>; SHARDS], name: u64) -> MutexGuard<'a, HashMap<u64, u64>> {
        #[allow(clippy::cast_possible_truncation)]
        all[name as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one call. `Err`: it may not come before this time has passed, and is not counted.
    pub(crate) fn take(&self, what: Counted, who: impl Hash, per_minute: u32) -> Result<(), Duration> {
        self.take_at(self.now(), what, who, per_minute)
    }

    fn take_at(&self, now: u64, what: Counted, who: impl Hash, per_minute: u32) -> Result<(), Duration> {
        if per_minute == 0 {
            return Ok(());
        }
        let per_minute = u64::from(per_minute);
        let step = MINUTE / per_minute;
        let span = step * what.burst(per_minute);
        let name = self.keys.hash_one((what, who));
        let mut taken = self.shard(&self.taken, name);
        let free = taken.get(&name).copied().unwrap_or(0).max(now) + step;
        if free - now > span {
            return Err(Duration::from_nanos(free - now - span));
        }
        if taken.len() >= NAMES && !taken.contains_key(&name) {
            make_room(&mut taken, now);
        }
        taken.insert(name, free);
        Ok(())
    }

    /// Takes a call back that was counted.
    pub(crate) fn give_back(&self, what: Counted, who: impl Hash, per_minute: u32) {
        if per_minute == 0 {
            return;
        }
        let name = self.keys.hash_one((what, who));
        if let Some(free) = self.shard(&self.taken, name).get_mut(&name) {
            *free = free.saturating_sub(MINUTE / u64::from(per_minute));
        }
    }

    /// What a credential is known by here.
    pub(crate) fn credential(&self, credential: impl Hash) -> Credential {
        Credential(self.keys.hash_one(credential))
    }

    /// Whether this credential was good a while ago.
    pub(crate) fn was_good(&self, Credential(name): Credential) -> bool {
        let now = self.now();
        self.shard(&self.good, name).get(&name).is_some_and(|until| *until > now)
    }

    /// Notes whether a credential is good.
    pub(crate) fn note(&self, Credential(name): Credential, is_good: bool) {
        let now = self.now();
        let mut good = self.shard(&self.good, name);
        if !is_good {
            good.remove(&name);
            return;
        }
        if good.len() >= NAMES && !good.contains_key(&name) {
            make_room(&mut good, now);
        }
        good.insert(name, now + GOOD);
    }
}

/// Forgets what is over, else what is nearest to it: at least one name.
fn make_room(names: &mut HashMap<u64, u64>, now: u64) {
    names.retain(|_, until| *until > now);
    if names.len() >= NAMES {
        let sum: u128 = names.values().map(|until| u128::from(*until)).sum();
        let mean = sum / names.len() as u128;
        names.retain(|_, until| u128::from(*until) > mean);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn ten_seconds_at_once_then_the_rate() {
        let rates = Rates::new();
        let take = |now: u64, who: &str| rates.take_at(now, Counted::Session, who, 60);
        // 60 a minute: ten at once.
        assert_eq!((0..100).filter(|_| take(5 * SECOND, "a").is_ok()).count(), 10);
        assert_eq!(take(5 * SECOND, "a").unwrap_err(), Duration::from_secs(1));
        take(5 * SECOND, "b").unwrap();
        take(6 * SECOND, "a").unwrap();
        take(6 * SECOND, "a").unwrap_err();
        // Over an hour of a flood, the rate.
        let passed = (0..36_000_u64).filter(|tenth| take(10 * SECOND + tenth * SECOND / 10, "c").is_ok()).count();
        assert_eq!(passed, 3600 + 9);
        assert!((0..10_000).all(|_| rates.take_at(0, Counted::Session, "off", 0).is_ok()));
    }

    #[test]
    fn what_is_given_back_does_not_count() {
        let rates = Rates::new();
        for _ in 0..1000 {
            rates.take(Counted::GuessesFrom, "a", 10).unwrap();
            rates.give_back(Counted::GuessesFrom, "a", 10);
        }
    }

    #[test]
    fn s63_a_flood_of_names_costs_no_memory_and_frees_nobody_who_floods() {
        let rates = Rates::new();
        while rates.take_at(SECOND, Counted::Address, "flooder", 60).is_ok() {}
        for name in 0..500_000_u32 {
            rates.take_at(SECOND + u64::from(name), Counted::Address, name, 60).unwrap();
        }
        let all: usize = rates.taken.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(all <= SHARDS * NAMES, "{all}");
        rates.take_at(SECOND + 600_000, Counted::Address, "flooder", 60).unwrap_err();
    }

    #[test]
    fn good_credentials_are_known_until_they_are_not() {
        let rates = Rates::new();
        let (key, other) = (rates.credential("key"), rates.credential("other"));
        assert!(!rates.was_good(key));
        rates.note(key, true);
        assert!(rates.was_good(key) && !rates.was_good(other));
        rates.note(key, false);
        assert!(!rates.was_good(key));
    }
}
