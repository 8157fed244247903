//! What the server's process may do, set once at its start. The library never does this to a host.

/// File handles for everything that is no connection: the store, calls to providers, logs.
const OTHERS: usize = 128;

/// No core dumps, and no other process of the same user may look into this one's memory (S-48).
pub fn harden() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let done = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        #[cfg(target_os = "linux")]
        let done = done.and(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
        if done.is_err() {
            tracing::warn!("core dumps could not be switched off");
        }
    }
}

/// Asks for as many file handles as so many connections need. Answers how many connections there can be, if that is fewer.
pub fn raise_handles(connections: usize) -> Option<usize> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let now = getrlimit(Resource::Nofile);
        let wanted = u64::try_from(connections + OTHERS).unwrap_or(u64::MAX);
        let allowed = now.maximum.unwrap_or(u64::MAX).min(wanted);
        let mut current = now.current.unwrap_or(u64::MAX);
        if current < allowed && setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: now.maximum }).is_ok() {
            current = allowed;
        }
        let possible = usize::try_from(current).unwrap_or(usize::MAX).saturating_sub(OTHERS).max(16);
        (possible < connections).then_some(possible)
    }
    #[cfg(not(unix))]
    {
        let _ = connections;
        None
    }
}
