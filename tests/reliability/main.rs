//! What must survive: see `docs/reliability.md`.
#![allow(clippy::unwrap_used)]

mod clocks;
mod disconnect;
mod exchange;
mod failures;
mod life;
mod refresh;
mod stage;
