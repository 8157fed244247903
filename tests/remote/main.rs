//! The remote backend against servers on real sockets: one that misbehaves, and a real one.
#![allow(clippy::unwrap_used)]

mod connect;
mod contract;
mod faults;
mod load;
mod server;
mod streams;
mod tls;
