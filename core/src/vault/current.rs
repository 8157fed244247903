//! Which keys count: every job on the store first looks whether the keys changed since they were loaded, in its own
//! transaction. So a value that a job finds was sealed under a key that is loaded, and a new one is sealed under the newest.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{Loaded, Vault};
use crate::{
    Result,
    plugin::{JobAnswer, Store, Tx, WriteJob, answered, boxed, typed},
};

/// How long a key that was dropped from the store still opens what was read before.
const LINGER: Duration = Duration::from_secs(60);
/// How long a failed attempt to load the keys stands for all who want them.
const PAUSE: Duration = Duration::from_millis(500);

/// Under which name the store counts the changes to an organisation's data keys.
pub(super) fn epoch_name(org: &str) -> String {
    format!("key_epoch:{org}")
}

/// Counts one change.
pub(super) fn next_epoch(tx: &mut dyn Tx, org: &str) -> Result<()> {
    let name = epoch_name(org);
    let text = tx.meta(&name)?.and_then(|bytes| String::from_utf8(bytes).ok());
    let next = text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) + 1;
    tx.set_meta(&name, next.to_string().as_bytes())
}

/// A job that ran, or one that did not since the keys changed.
enum Ran {
    Done(JobAnswer),
    NotYet(WriteJob),
}

impl Vault {
    fn is_current(&self, tx: &mut dyn Tx) -> Result<bool> {
        Ok(tx.meta(&epoch_name(&self.org))? == self.loaded().epoch)
    }

    /// Runs a job in a writing transaction, with the keys that count at its time.
    ///
    /// # Errors
    /// As [`Store::write`]; the key provider's, when a key is new and cannot be unwrapped: the job did not run then.
    pub fn write<T, F>(self: &Arc<Self>, store: &dyn Store, job: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static,
    {
        answered(self.run(store, true, boxed(job)))
    }

    /// Runs a job that only reads, with the keys that count at its time.
    ///
    /// # Errors
    /// As [`Vault::write`].
    pub fn read<T, F>(self: &Arc<Self>, store: &dyn Store, job: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T> + Send + 'static,
    {
        answered(self.run(store, false, boxed(job)))
    }

    /// For jobs of every type: what stands here would be made for each of them anew.
    pub(crate) async fn run(self: &Arc<Self>, store: &dyn Store, writes: bool, mut job: WriteJob) -> Result<JobAnswer> {
        loop {
            let vault = self.clone();
            let guarded: WriteJob = Box::new(move |tx| {
                let ran = if vault.is_current(tx)? { Ran::Done(job(tx)?) } else { Ran::NotYet(job) };
                Ok(Box::new(ran))
            });
            let ran = if writes { store.write(guarded).await } else { store.read(guarded).await };
            match typed(ran?)? {
                Ran::Done(answer) => return Ok(answer),
                Ran::NotYet(again) => job = again,
            }
            self.reload(store).await?;
        }
    }

    /// Loads the keys that others made or dropped. One asks the key provider for all who wait.
    ///
    /// # Errors
    /// Those of the store and of the provider; the keys that were loaded stay.
    pub async fn reload(&self, store: &dyn Store) -> Result<()> {
        let before = self.loaded();
        let mut failed = self.loading.lock().await;
        let known = self.loaded();
        if !Arc::ptr_eq(&before, &known) {
            return Ok(());
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let loaded = async { Self::load(&self.master, Self::state(store, &self.org).await?, Some(&known)).await };
        match loaded.await {
            Ok(mut loaded) => {
                *failed = None;
                let gone = known.keys.iter().filter(|(id, _)| loaded.find(id).is_none());
                let gone: Vec<_> = gone.map(|key| (key.clone(), Instant::now())).collect();
                loaded.dropped = known.dropped.iter().cloned().chain(gone).collect();
                self.replace(loaded);
                Ok(())
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Clears keys that were dropped from the store some time ago.
    pub fn forget_dropped(&self) {
        let known = self.loaded();
        if known.dropped.iter().any(|(_, at)| at.elapsed() >= LINGER) {
            let dropped = known.dropped.iter().filter(|(_, at)| at.elapsed() < LINGER).cloned().collect();
            self.replace(Loaded { epoch: known.epoch.clone(), keys: known.keys.clone(), dropped });
        }
    }

    fn replace(&self, loaded: Loaded) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
    }
}
