//! The HTTP API as clients meet it: in process, and over sockets where the sockets are what is asked about.
#![allow(clippy::unwrap_used)]

mod endpoints;
mod engines;
#[cfg(unix)]
mod floods;
mod golden;
mod h2;
mod icons;
mod limits;
mod matrix;
mod nodes;
mod origins;
mod pack;
mod pairs;
mod port;
mod sockets;
mod states;
mod streams;
mod tenants;
mod transport;
mod world;
