//! What must survive: see `docs/reliability.md`.
#![allow(clippy::unwrap_used)]

mod life;
mod refresh;
mod stage;
