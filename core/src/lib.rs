//! Smalt: the auth-flow layer for integrations.
//!
//! The users of your product connect their Slack, QuickBooks, Twilio … to it, configure what should run, and disconnect
//! again. This crate is the whole engine: it decides everything; language packages and the server translate.
#![forbid(unsafe_code)]

pub mod backend;
pub mod config;
pub mod engine;
pub mod error;
mod expose;
mod failpoint;
mod handles;
pub mod http;
mod ids;
mod listen;
pub mod manifest;
pub mod model;
pub mod operations;
pub mod plugin;
pub mod present;
pub mod project;
pub mod remote;
#[doc(hidden)]
pub mod runtime;
pub mod sandbox;
mod secret;
pub mod store;
mod time;
pub mod vault;
pub mod webhook;
pub mod wire;

pub use error::{Code, Error, Kind, Result, Retry};
pub use expose::{Expose, Exposed};
pub use handles::{Account, ConnectBuilder, ConnectHandle, EventStream, Host, Pages, Session, Smalt, SmaltBuilder};
pub use secret::Secret;
pub use time::Timestamp;
