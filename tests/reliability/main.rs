//! What must survive: see `docs/reliability.md`.
#![allow(clippy::unwrap_used)]

mod ahead;
mod audit;
mod backup;
mod bomb;
mod calls;
mod clocks;
mod crash;
mod disconnect;
mod exchange;
mod failures;
mod faults;
mod flows;
mod grants;
mod life;
mod memory;
mod providers;
mod refresh;
mod rotation;
mod stage;
