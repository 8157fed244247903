//! Blocking a thread of the host until a call has ended, in such a way that a signal can end it.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Why [`Bell::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It was rung.
    Rung,
    /// A signal came in: look at it, then wait on.
    Signal,
    /// The time is over.
    Late,
}

/// What a blocked thread waits for. Clones are the same bell; it stays rung until a waiter takes it.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rung: Mutex<bool>,
    changed: Condvar,
    #[cfg(unix)]
    descriptor: Option<crate::Descriptor>,
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

impl Bell {
    /// One that was not rung. On Unix it has a descriptor, so that signals end a wait at once; where none is left it waits in
    /// slices.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            rung: Mutex::new(false),
            changed: Condvar::new(),
            #[cfg(unix)]
            descriptor: crate::Descriptor::new().ok(),
        }))
    }

    /// Rings it, from any thread.
    pub fn ring(&self) {
        *self.0.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
        #[cfg(unix)]
        if let Some(descriptor) = &self.0.descriptor {
            crate::Wake::wake(descriptor);
        }
    }

    fn taken(&self) -> bool {
        #[cfg(unix)]
        if let Some(descriptor) = &self.0.descriptor {
            descriptor.clear();
        }
        std::mem::take(&mut *self.0.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it is rung, a signal comes in, or the time is over; one thread at a time.
    pub fn wait(&self, time: Duration) -> Waited {
        let until = Instant::now() + time;
        loop {
            if self.taken() {
                return Waited::Rung;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::Late;
            }
            #[cfg(unix)]
            if let Some(descriptor) = &self.0.descriptor {
                use rustix::event::{PollFd, PollFlags, Timespec, poll};
                // A day is as good as for ever, since the loop goes on.
                let left = left.min(Duration::from_secs(86_400));
                let time = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(86_400), tv_nsec: left.subsec_nanos().into() };
                match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&time)) {
                    Err(rustix::io::Errno::INTR) => return Waited::Signal,
                    _ => continue,
                }
            }
            let rung = self.0.rung.lock().unwrap_or_else(PoisonError::into_inner);
            if !*rung {
                let slice = left.min(Duration::from_millis(50));
                let (rung, _) = self.0.changed.wait_timeout(rung, slice).unwrap_or_else(PoisonError::into_inner);
                if !*rung && left > slice {
                    return Waited::Signal;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_was_rung_before_is_heard_once() {
        let bell = Bell::new();
        bell.ring();
        bell.ring();
        assert_eq!(bell.wait(Duration::from_secs(60)), Waited::Rung);
        assert_eq!(bell.wait(Duration::ZERO), Waited::Late);
    }

    #[test]
    fn a_bell_wakes_its_waiter() {
        let bell = Bell::new();
        let ringer = bell.clone();
        let thread = std::thread::spawn(move || ringer.ring());
        while bell.wait(Duration::from_secs(60)) != Waited::Rung {}
        assert!(thread.join().is_ok());
    }
}
