use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// When a host counts as dead.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// So many calls in a row without a connection or an answer in time. Default 5.
    pub failures: u32,
    /// How long calls then fail at once. After it one call at a time may try. Default 10 s.
    pub cool_down: Duration,
    /// A call with less time than this says nothing about the host when it runs out. Default 2 s.
    pub shortest_timeout: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, cool_down: Duration::from_secs(10), shortest_timeout: Duration::from_secs(2) }
    }
}

/// Remembers hosts that do not answer, so that callers need not wait for them one by one.
pub(super) struct Breaker {
    settings: BreakerSettings,
    hosts: Mutex<HashMap<String, Host>>,
}

struct Host {
    failures: u32,
    last: Instant,
    probing: bool,
}

/// So many failing hosts are remembered; beyond that the old ones are forgotten.
const MOST_HOSTS: usize = 1024;

/// A call's leave to go out. Without a verdict (the caller went away) nothing is learned.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    host: &'a str,
    probe: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, hosts: Mutex::new(HashMap::new()) }
    }

    /// Leave to call the host, or how long to wait.
    pub(super) fn enter<'a>(&'a self, host: &'a str) -> Result<Pass<'a>, Duration> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut probe = false;
        if let Some(state) = hosts.get_mut(host).filter(|state| state.failures >= self.settings.failures) {
            let rest = self.settings.cool_down.saturating_sub(state.last.elapsed());
            if !rest.is_zero() {
                return Err(rest);
            }
            if state.probing {
                return Err(self.settings.cool_down / 10);
            }
            state.probing = true;
            probe = true;
        }
        Ok(Pass { breaker: self, host, probe })
    }

    pub(super) fn shortest_timeout(&self) -> Duration {
        self.settings.shortest_timeout
    }
}

impl Pass<'_> {
    /// The host answered.
    pub(super) fn alive(self) {
        self.breaker.hosts.lock().unwrap_or_else(PoisonError::into_inner).remove(self.host);
    }

    /// The host did not answer.
    pub(super) fn dead(self) {
        let mut hosts = self.breaker.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if hosts.len() >= MOST_HOSTS && !hosts.contains_key(self.host) {
            hosts.retain(|_, state| state.probing || now.duration_since(state.last) < self.breaker.settings.cool_down);
            if hosts.len() >= MOST_HOSTS {
                return;
            }
        }
        let state = hosts.entry(self.host.to_owned()).or_insert(Host { failures: 0, last: now, probing: false });
        state.failures = state.failures.saturating_add(1);
        state.last = now;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe
            && let Some(state) = self.breaker.hosts.lock().unwrap_or_else(PoisonError::into_inner).get_mut(self.host)
        {
            state.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings { failures: 3, cool_down: Duration::from_secs(10), ..BreakerSettings::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn r31_a_dead_host_is_left_alone() {
        let breaker = breaker();
        for _ in 0..2 {
            breaker.enter("a").unwrap().dead();
        }
        breaker.enter("a").unwrap().alive();
        for _ in 0..3 {
            breaker.enter("a").unwrap().dead();
        }
        assert_eq!(breaker.enter("a").err(), Some(Duration::from_secs(10)));
        assert!(breaker.enter("b").is_ok(), "others are unharmed");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(breaker.enter("a").err(), Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;

        let probe = breaker.enter("a").unwrap();
        assert_eq!((0..1000).filter(|_| breaker.enter("a").is_ok()).count(), 0, "one probe at a time");
        drop(probe);
        breaker.enter("a").unwrap().dead();
        assert!(breaker.enter("a").is_err());
        tokio::time::advance(Duration::from_secs(10)).await;
        breaker.enter("a").unwrap().alive();
        assert_eq!((0..1000).filter(|_| breaker.enter("a").is_ok()).count(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn it_remembers_so_many_hosts_only() {
        let breaker = breaker();
        let names: Vec<String> = (0..MOST_HOSTS * 2).map(|n| n.to_string()).collect();
        for name in &names {
            breaker.enter(name).unwrap().dead();
        }
        assert_eq!(breaker.hosts.lock().unwrap().len(), MOST_HOSTS);
        tokio::time::advance(Duration::from_secs(11)).await;
        breaker.enter("new").unwrap().dead();
        assert_eq!(breaker.hosts.lock().unwrap().len(), 1);
    }
}
