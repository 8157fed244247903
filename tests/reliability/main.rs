//! What must survive: see `docs/reliability.md`.
#![allow(clippy::unwrap_used)]

mod audit;
mod clocks;
mod crash;
mod disconnect;
mod exchange;
mod failures;
mod faults;
mod flows;
mod grants;
mod life;
mod providers;
mod refresh;
mod stage;
