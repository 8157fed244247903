//! What the project says about the server, read again once a second.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use smalt::project::{AddressRange, ServerSettings};

use crate::api::Hosts;

/// As the project's file, it is looked at again after this time.
const FRESH: Duration = Duration::from_secs(1);

/// The settings in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) server: ServerSettings,
    /// Exact origins whose pages may call; empty: any.
    pub(crate) origins: Vec<String>,
    pub(crate) trusted: Vec<AddressRange>,
}

/// A time of the settings; `None` where the limit is off.
pub(crate) fn time(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}

/// A number of the settings; the largest there is where the limit is off.
pub(crate) fn most(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

#[derive(Default)]
pub(crate) struct Current(RwLock<Option<(Instant, Arc<Settings>)>>);

impl Current {
    /// The settings, at most a second old. An engine that is closed says nothing new.
    pub(crate) async fn get(&self, hosts: &Hosts) -> Arc<Settings> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, settings)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return settings.clone();
        }
        let mut settings = Settings::default();
        // Both environments are of one organisation; the first one's project says how the server behaves.
        for (at, (_, smalt)) in hosts.all().enumerate() {
            match (smalt.project().await, &known) {
                (Ok(project), _) => {
                    if at == 0 {
                        settings.trusted = project.server.trusted();
                        settings.server = project.server;
                    }
                    settings.origins.extend(project.org.origins);
                }
                (Err(_), Some((_, known))) => return known.clone(),
                (Err(_), None) => {}
            }
        }
        let settings = Arc::new(settings);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), settings.clone()));
        settings
    }
}
