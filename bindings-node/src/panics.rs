//! Panics on purpose, in builds for tests only: each function that JavaScript can call asks here first.

use std::cell::Cell;

thread_local!(static NEXT: Cell<bool> = const { Cell::new(false) });

/// Panics where a test asked for it. Nothing in a release.
pub fn here() {
    #[cfg(debug_assertions)]
    assert!(!NEXT.take(), "on purpose");
}

/// Lets the next call into the addon panic; false in a release, where nothing does.
#[napi_derive::napi]
pub fn panic_next() -> bool {
    NEXT.set(cfg!(debug_assertions));
    cfg!(debug_assertions)
}
