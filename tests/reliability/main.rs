//! What must survive: see `docs/reliability.md`.
#![allow(clippy::unwrap_used)]

mod audit;
mod clocks;
mod crash;
mod disconnect;
mod exchange;
mod failures;
mod grants;
mod life;
mod refresh;
mod stage;
