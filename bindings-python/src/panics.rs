//! Panics on purpose, in builds for tests only: each function that Python can call asks here first.

use std::cell::Cell;

use pyo3::prelude::*;

thread_local!(static NEXT: Cell<bool> = const { Cell::new(false) });

/// Panics where a test asked for it. Nothing in a release.
pub fn here() {
    #[cfg(debug_assertions)]
    assert!(!NEXT.take(), "on purpose");
}

/// What a call does that panics while it waits.
#[cfg(debug_assertions)]
pub fn in_a_call<T>() -> T {
    panic!("on purpose")
}

/// Lets this thread's next call into the module panic; false in a release, where nothing does.
#[pyfunction]
pub fn panic_next() -> bool {
    NEXT.set(cfg!(debug_assertions));
    cfg!(debug_assertions)
}
