//! The HTTP API as clients meet it: in process, and over sockets where the sockets are what is asked about.
#![allow(clippy::unwrap_used)]

mod golden;
mod limits;
mod matrix;
mod sockets;
mod states;
mod transport;
mod world;
