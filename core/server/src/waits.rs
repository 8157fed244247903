//! Calls that wait for something to happen: how many there may be, and their end when the server ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
};

use smalt::{Code, Error, project::ServerSettings};
use tokio::sync::watch;

use crate::{answer::Trouble, metrics::Metrics, settings::most};

pub(crate) struct Waits {
    /// How many, by account; and all together under no name.
    waiting: Mutex<HashMap<String, usize>>,
    metrics: Arc<Metrics>,
    ended: watch::Sender<bool>,
}

/// A place among the waiting; free again when dropped.
pub(crate) struct Waiting {
    waits: Arc<Waits>,
    account: String,
    ended: watch::Receiver<bool>,
}

impl Waits {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), metrics, ended: watch::Sender::new(false) })
    }

    fn count(&self) -> std::sync::MutexGuard<'_, HashMap<String, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a call about this account (empty: about none in particular).
    pub(crate) fn enter(self: &Arc<Self>, account: &str, settings: &ServerSettings) -> Result<Waiting, Trouble> {
        let ended = self.ended.subscribe();
        if *ended.borrow() {
            return Err(ending());
        }
        let mut waiting = self.count();
        let of = |name: &str| waiting.get(name).copied().unwrap_or(0);
        // Under no name stand all of them.
        let too_many = of("") >= most(settings.waiters) || (!account.is_empty() && of(account) >= most(settings.waiters_per_account));
        if too_many {
            let error = Error::new(Code::Overloaded, "too many calls wait for something already");
            return Err(error.retry_after(std::time::Duration::from_secs(1)).into());
        }
        *waiting.entry(String::new()).or_default() += 1;
        if !account.is_empty() {
            *waiting.entry(account.to_owned()).or_default() += 1;
        }
        drop(waiting);
        self.metrics.waiters.fetch_add(1, Relaxed);
        Ok(Waiting { waits: self.clone(), account: account.to_owned(), ended })
    }

    /// Ends all of them, and lets no new one in.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn is_ended(&self) -> bool {
        *self.ended.borrow()
    }
}

fn ending() -> Trouble {
    let error = Error::new(Code::Overloaded, "the server is about to end");
    error.retry_after(std::time::Duration::from_secs(1)).into()
}

impl Waiting {
    /// Resolves when the server ends.
    pub(crate) async fn ended(&mut self) {
        // Its sender lives as long as the place does.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// The work, unless the server ends first.
    pub(crate) async fn or_end<T>(mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
        let _aside = Aside::step(self.waits.metrics.clone());
        tokio::select! {
            biased;
            done = work => done.map_err(Trouble::from),
            () = self.ended() => Err(ending()),
        }
    }
}

/// A request that is not busy meanwhile.
struct Aside(Arc<Metrics>);

impl Aside {
    fn step(metrics: Arc<Metrics>) -> Self {
        metrics.under_way.fetch_sub(1, Relaxed);
        Self(metrics)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.under_way.fetch_add(1, Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.waits.count();
        for name in ["", &*self.account] {
            if let Some(count) = waiting.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    waiting.remove(name);
                }
            }
            if self.account.is_empty() {
                break;
            }
        }
        drop(waiting);
        self.waits.metrics.waiters.fetch_sub(1, Relaxed);
    }
}
