//! What must survive: see `docs/reliability.md`.
#![allow(clippy::unwrap_used)]

mod disconnect;
mod exchange;
mod life;
mod refresh;
mod stage;
