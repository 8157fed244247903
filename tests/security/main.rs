//! What an attacker must not get: the rows `S-..` of the requirements, against the whole engine.
#![allow(clippy::unwrap_used)]

mod answers;
mod binding;
mod common;
mod device;
mod flow;
mod holders;
mod kept;
mod kinds;
mod life;
mod mixup;
mod redaction;
mod shown;
mod sources;
mod tenants;
mod tokens;
