//! What the test suites share: counterparts that others wrote, child processes that can be killed, and sizes.
#![allow(clippy::unwrap_used)] // a test that cannot get what it needs has failed

pub mod child;
pub mod counterpart;
pub mod fuzz;

/// How often a row of `reliability.md` is run: `full` under `make reliability`, `quick` in every test run.
pub fn size(quick: usize, full: usize) -> usize {
    if std::env::var_os("SMALT_FULL").is_some() { full } else { quick }
}
