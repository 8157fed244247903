//! Credentials in memory, for the ready path. A cached credential never outlives this process's own changes, and other
//! processes' changes by one second at most: then the cache stops answering until the store was looked at again.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::OnceCell;

use crate::{Timestamp, model::Credential, store::rows::ConnectionRow};

/// Milliseconds after which an unwatched store makes the cache silent.
const STALE_AFTER: i64 = 1000;
const SLOTS: usize = 1024;
/// Keys per slot above which those whose entries are gone are dropped.
const KEYS: usize = 64;

/// One audit row that counts reads or calls; see `Inner::note_use_of_secret`.
pub(super) struct ReadWindow {
    /// The audit row's number, once it is durable.
    pub(super) row: OnceCell<i64>,
    /// Boot time at which another row is due.
    pub(super) until: i64,
    /// Reads that are not in the row yet.
    pub(super) count: AtomicU64,
}

pub(super) struct Cached {
    pub(super) credential: Arc<Credential>,
    /// Time of day at which it is due for renewal.
    due: i64,
    /// The same by the boot clock, which nobody sets.
    due_boot: i64,
    slot: usize,
    generation: u64,
    window: Arc<ReadWindow>,
}

/// When a credential is due for renewal.
pub(super) struct Due {
    pub(super) wall: i64,
    pub(super) boot: i64,
}

/// How long tokens live by the boot clock, from when this process first saw them: a wall clock that is set back
/// afterwards lengthens no token's life. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lives(Marks);

/// A few numbers by id. One type for all who keep some: the code of a cache is made for each type anew.
pub(super) type Marks = moka::sync::Cache<String, (u32, i64, i64)>;

impl Lives {
    pub(super) fn new(capacity: u64) -> Self {
        Self(moka::sync::Cache::new(capacity))
    }

    /// The time of day by which the row's token must be judged: the clock's, or later where the clock was set back.
    pub(super) fn time_for(&self, row: &ConnectionRow, now: Timestamp, boot: i64) -> Timestamp {
        let Some(expires_at) = row.expires_at else { return now };
        let (_, known, ends) = self.0.get(&row.id).filter(|(_, known, _)| *known == expires_at).unwrap_or_else(|| {
            let seen = (0, expires_at, boot.saturating_add(expires_at.saturating_sub(now.millis())));
            self.0.insert(row.id.clone(), seen);
            seen
        });
        let left = ends.saturating_sub(boot);
        now.max(Timestamp::from_millis(known.saturating_sub(left)))
    }
}

pub(super) struct CredentialCache {
    map: moka::sync::Cache<String, Arc<Cached>>,
    /// A slot per hash of account and application; a change moves it, and older entries stop counting.
    generations: Vec<AtomicU64>,
    /// The keys of a slot's entries: a change drops them at once, and their secrets are cleared with them.
    keys: Vec<Mutex<Vec<String>>>,
    hasher: RandomState,
    /// Boot time when the store was last looked at for foreign changes.
    checked: AtomicI64,
    windows: Mutex<HashMap<(String, String), Arc<ReadWindow>>>,
}

/// What a cached credential is asked for.
pub(super) struct CacheKey<'a> {
    pub(super) actor: &'a str,
    pub(super) account: &'a str,
    pub(super) application: &'a str,
    pub(super) connection: Option<&'a str>,
}

impl CacheKey<'_> {
    fn text(&self) -> String {
        let connection = self.connection.unwrap_or("");
        let mut text = String::with_capacity(self.actor.len() + self.account.len() + self.application.len() + connection.len() + 3);
        for part in [self.actor, self.account, self.application] {
            text.push_str(part);
            text.push('\0');
        }
        text.push_str(connection);
        text
    }
}

impl CredentialCache {
    /// Entries are dropped, and their secrets cleared, after `lifetime` at the latest.
    pub(super) fn new(capacity: u64, lifetime: Duration) -> Self {
        Self {
            map: moka::sync::Cache::builder().max_capacity(capacity).time_to_live(lifetime).build(),
            generations: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            keys: (0..SLOTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            checked: AtomicI64::new(i64::MIN),
            windows: Mutex::default(),
        }
    }

    fn slot(&self, account: &str, application: &str) -> usize {
        #[allow(clippy::cast_possible_truncation)]
        let hash = self.hasher.hash_one((account, application)) as usize;
        hash % SLOTS
    }

    fn keys(&self, slot: usize) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.keys[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot's entries out of play, and out of memory.
    fn empty(&self, slot: usize) {
        self.generations[slot].fetch_add(1, Ordering::AcqRel);
        let keys = std::mem::take(&mut *self.keys(slot));
        keys.iter().for_each(|key| self.map.invalidate(key));
    }

    /// Read it before reading the store, and hand it to [`Self::insert`].
    pub(super) fn generation(&self, account: &str, application: &str) -> u64 {
        self.generations[self.slot(account, application)].load(Ordering::Acquire)
    }

    pub(super) fn insert(&self, key: &CacheKey<'_>, generation: u64, credential: Arc<Credential>, due: Due, window: Arc<ReadWindow>) {
        let (text, slot) = (key.text(), self.slot(key.account, key.application));
        let mut keys = self.keys(slot);
        if generation != self.generations[slot].load(Ordering::Acquire) {
            // It changed meanwhile: this one would never count.
            return;
        }
        if keys.len() >= KEYS {
            keys.retain(|key| self.map.contains_key(key));
        }
        if !keys.contains(&text) {
            keys.push(text.clone());
        }
        self.map.insert(text, Arc::new(Cached { credential, due: due.wall, due_boot: due.boot, slot, generation, window }));
    }

    /// What is kept under the key, if it still counts at this time of day and this boot time. Counts the read.
    pub(super) fn get(&self, key: &CacheKey<'_>, now: i64, boot: i64) -> Option<Arc<Cached>> {
        if self.is_stale(boot) {
            return None;
        }
        let text = key.text();
        let cached = self.map.get(&text)?;
        if !self.counts(&cached, now, boot) {
            self.map.invalidate(&text);
            return None;
        }
        Some(cached)
    }

    fn is_stale(&self, boot: i64) -> bool {
        boot.saturating_sub(self.checked.load(Ordering::Acquire)) > STALE_AFTER
    }

    /// Whether what was found before still counts. Counts the read.
    pub(super) fn counts(&self, cached: &Cached, now: i64, boot: i64) -> bool {
        // First whether the store is being watched, then what the watcher found.
        let counts = !self.is_stale(boot)
            && now < cached.due
            && boot < cached.due_boot
            && boot < cached.window.until
            && cached.generation == self.generations[cached.slot].load(Ordering::Acquire);
        if counts {
            cached.window.count.fetch_add(1, Ordering::Relaxed);
        }
        counts
    }

    pub(super) fn forget(&self, account: &str, application: &str) {
        self.empty(self.slot(account, application));
        // The cache keeps what was removed until it tidies up.
        self.map.run_pending_tasks();
    }

    pub(super) fn forget_account(&self, account: &str) {
        tracing::trace!(account, "all cached credentials are looked up again");
        self.forget_all();
    }

    pub(super) fn forget_all(&self) {
        (0..SLOTS).for_each(|slot| self.empty(slot));
        self.map.run_pending_tasks();
    }

    /// The store was looked at, at this boot time.
    pub(super) fn mark_checked(&self, boot: i64) {
        self.checked.store(boot, Ordering::Release);
    }

    pub(super) fn windows(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Arc<ReadWindow>>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
