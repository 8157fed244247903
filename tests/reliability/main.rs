//! What must survive: see `docs/reliability.md`.
#![allow(clippy::unwrap_used)]

mod audit;
mod backup;
mod clocks;
mod crash;
mod disconnect;
mod exchange;
mod failures;
mod life;
mod memory;
mod refresh;
mod rotation;
mod stage;
