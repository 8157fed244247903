use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use smalt::{Code, Error, Result};

/// The process that something was made in. Threads do not survive a fork, so what needs them stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u32);

/// The process that was asked for last, and in which millisecond or so; 0: none.
static SEEN: AtomicU64 = AtomicU64::new(0);
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Process {
    /// This one.
    pub fn here() -> Self {
        Self(std::process::id())
    }

    /// Whether this is still that process.
    pub fn is_here(self) -> bool {
        std::process::id() == self.0
    }

    /// As [`Process::is_here`], for what is asked a million times a second: the system, whose answer costs more than a ready call's
    /// other work, is asked once in a millisecond. Within it a forked child takes itself for its parent, unless its host tells by
    /// [`Process::forked`].
    pub fn is_still_here(self) -> bool {
        #[allow(clippy::cast_possible_truncation)] // only its change matters
        let tick = (BEGINNING.elapsed().as_nanos() >> 20) as u32;
        let seen = u64::from(self.0) << 32 | u64::from(tick);
        if SEEN.load(Ordering::Relaxed) == seen {
            return true;
        }
        let here = self.is_here();
        if here {
            SEEN.store(seen, Ordering::Relaxed);
        }
        here
    }

    /// Called first in a forked child, by hosts that have a hook there.
    pub fn forked() {
        SEEN.store(0, Ordering::Relaxed);
    }

    /// # Errors
    /// `closed` in a forked child.
    pub fn check(self) -> Result<()> {
        Self::checked(self.is_here())
    }

    /// As [`Process::check`], by [`Process::is_still_here`].
    ///
    /// # Errors
    /// `closed` in a forked child.
    pub fn check_still(self) -> Result<()> {
        Self::checked(self.is_still_here())
    }

    fn checked(here: bool) -> Result<()> {
        if here {
            return Ok(());
        }
        Err(Error::new(Code::Closed, "the engine was opened before this process was forked; each process opens its own"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_not_here() {
        let (own, other) = (Process::here(), Process(std::process::id() + 1));
        for _ in 0..3 {
            assert!(own.is_still_here() && !other.is_still_here());
            assert!(own.check_still().is_ok() && other.check_still().is_err_and(|error| error.is(Code::Closed)));
            Process::forked();
        }
    }
}
