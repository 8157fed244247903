//! The HTTP API as clients meet it: in process, and over sockets where the sockets are what is asked about.
#![allow(clippy::unwrap_used)]

mod endpoints;
mod golden;
mod matrix;
mod pairs;
mod sockets;
mod states;
mod tenants;
mod transport;
mod world;
