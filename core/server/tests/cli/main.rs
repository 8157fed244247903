//! The command as people and scripts use it: the built binary, in a folder of its own.
#![allow(clippy::unwrap_used)]

#[cfg(unix)]
mod apps;
mod deploy;
mod folder;
#[cfg(unix)]
mod life;
#[cfg(unix)]
mod serve;
mod setup;
mod show;
#[cfg(unix)]
mod stop;
#[cfg(unix)]
mod upkeep;
#[cfg(unix)]
mod variables;
