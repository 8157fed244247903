//! The interpreter may end while daemon threads are in here. When such a thread asks for the interpreter again, CPython ends it by
//! unwinding its stack, which no Rust frame survives. So once the end has begun, threads that are in here stay, parked, without
//! the interpreter, and threads that come in are parked at the door.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread::ThreadId,
    time::{Duration, Instant},
};

use pyo3::prelude::*;

use crate::panics::here;

static LEAVING: AtomicBool = AtomicBool::new(false);
/// Threads that hold the interpreter in here, or are about to ask for it.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static LAST: std::sync::Mutex<Option<ThreadId>> = std::sync::Mutex::new(None);

fn is_last() -> bool {
    LAST.lock().is_ok_and(|last| *last == Some(std::thread::current().id()))
}

/// A Python thread that is in here.
pub struct Inside(());

impl Inside {
    /// At the beginning of whatever can call into Python, which may give the interpreter to another thread meanwhile.
    pub fn enter(py: Python<'_>) -> Self {
        match Self::come() {
            Some(inside) => inside,
            None => py.detach(|| park()),
        }
    }

    fn come() -> Option<Self> {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        if LEAVING.load(Ordering::SeqCst) && !is_last() {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Self(()))
    }

    /// Lets other threads have the interpreter during this work, and does not come back once the end has begun.
    pub fn away<T: Send>(self, py: Python<'_>, work: impl FnOnce() -> T + Send) -> (Self, T) {
        py.detach(move || {
            drop(self);
            let done = work();
            match Self::come() {
                Some(inside) => (inside, done),
                None => park(),
            }
        })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// In a forked child: the parent's threads are not in here.
pub fn forked() {
    INSIDE.store(0, Ordering::SeqCst);
}

/// Called once, by `atexit`: waits until every other thread has left or stays away.
#[pyfunction]
pub fn leave(py: Python<'_>) {
    here();
    if let Ok(mut last) = LAST.lock() {
        *last = Some(std::thread::current().id());
    }
    LEAVING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let until = Instant::now() + Duration::from_secs(5);
        while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
    });
}
