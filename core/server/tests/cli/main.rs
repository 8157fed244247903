//! The command as people and scripts use it: the built binary, in a folder of its own.
#![allow(clippy::unwrap_used)]

#[cfg(unix)]
mod apps;
mod folder;
#[cfg(unix)]
mod life;
mod setup;
mod show;
#[cfg(unix)]
mod upkeep;
