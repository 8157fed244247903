//! What ended on the runtime's threads, on its way to the host's: many at a time, with one wake-up.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tells the host's thread that there is something to take. Called from any thread; must not wait and not call into the host.
pub trait Wake: Send + Sync + 'static {
    /// Tells it.
    fn wake(&self);
}

impl<F: Fn() + Send + Sync + 'static> Wake for F {
    fn wake(&self) {
        self();
    }
}

/// A queue into one thread or event loop of the host. It wakes once for everything that was put in since the last [`Port::take`].
pub struct Port<T> {
    queue: Mutex<Queue<T>>,
    wake: Box<dyn Wake>,
}

struct Queue<T> {
    items: Vec<T>,
    open: bool,
}

impl<T> Port<T> {
    /// An empty one.
    pub fn new(wake: impl Wake) -> Self {
        Self { queue: Mutex::new(Queue { items: Vec::new(), open: true }), wake: Box::new(wake) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in.
    ///
    /// # Errors
    /// Gives it back when the port was closed: its loop is gone.
    pub fn put(&self, item: T) -> Result<(), T> {
        let first = {
            let mut queue = self.queue();
            if !queue.open {
                return Err(item);
            }
            queue.items.push(item);
            queue.items.len() == 1
        };
        if first {
            self.wake.wake();
        }
        Ok(())
    }

    /// Takes everything out. Clear what woke you before, not after: then nothing is missed.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.queue().items)
    }

    /// Takes no more; what was in it is given back.
    pub fn close(&self) -> Vec<T> {
        let mut queue = self.queue();
        queue.open = false;
        std::mem::take(&mut queue.items)
    }
}

impl<T> std::fmt::Debug for Port<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Port({} waiting)", self.queue().items.len())
    }
}

#[cfg(unix)]
pub use descriptor::Descriptor;

#[cfg(unix)]
mod descriptor {
    use std::{
        os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        sync::Arc,
    };

    use rustix::io::Errno;

    use super::Wake;

    /// Wakes an event loop that watches file descriptors: an eventfd on Linux, a pipe elsewhere. Clones are the same.
    #[derive(Clone, Debug)]
    pub struct Descriptor(Arc<Ends>);

    #[derive(Debug)]
    struct Ends {
        reading: OwnedFd,
        /// The pipe's other end.
        writing: Option<OwnedFd>,
    }

    impl Descriptor {
        /// Makes one.
        ///
        /// # Errors
        /// The operating system's: no descriptor is left.
        pub fn new() -> std::io::Result<Self> {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            let ends = {
                use rustix::event::{EventfdFlags, eventfd};
                Ends { reading: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?, writing: None }
            };
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            let ends = {
                let (reading, writing) = rustix::pipe::pipe()?;
                for end in [&reading, &writing] {
                    rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
                    rustix::io::ioctl_fionbio(end, true)?;
                }
                Ends { reading, writing: Some(writing) }
            };
            Ok(Self(Arc::new(ends)))
        }

        /// What the loop watches for reading.
        pub fn number(&self) -> RawFd {
            self.0.reading.as_raw_fd()
        }

        /// Takes the wake-up back; then take what is in the port.
        pub fn clear(&self) {
            let mut buffer = [0; 64];
            // An eventfd is empty after one reading, a pipe when a reading does not fill the buffer.
            while let Ok(64) | Err(Errno::INTR) = rustix::io::read(&self.0.reading, &mut buffer) {}
        }
    }

    impl AsFd for Descriptor {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.reading.as_fd()
        }
    }

    impl Wake for Descriptor {
        fn wake(&self) {
            let to = self.0.writing.as_ref().unwrap_or(&self.0.reading);
            // Full is as good as written: the loop is awake.
            while let Err(Errno::INTR) = rustix::io::write(to, &1_u64.to_ne_bytes()) {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn a_batch_wakes_once() {
        let woken = Arc::new(AtomicUsize::new(0));
        let counted = woken.clone();
        let port = Port::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        (0..10).for_each(|n| port.put(n).unwrap());
        assert_eq!((woken.load(Ordering::SeqCst), port.take().len()), (1, 10));
        port.put(10).unwrap();
        assert_eq!((woken.load(Ordering::SeqCst), port.close()), (2, vec![10]));
        assert_eq!(port.put(11), Err(11));
        assert!(port.take().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_descriptor_is_readable_until_it_is_cleared() {
        use rustix::event::{PollFd, PollFlags, poll};
        let descriptor = Descriptor::new().unwrap();
        let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let readable = || poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&none)).unwrap() == 1;
        assert!(!readable());
        (0..3).for_each(|_| descriptor.wake());
        assert!(readable());
        descriptor.clear();
        assert!(!readable());
    }
}
