//! Smalt: the auth-flow layer for integrations.
//!
//! The users of your product connect their Slack, QuickBooks, Twilio … to it, configure what should run, and disconnect
//! again. This crate is the whole engine: it decides everything; language packages and the server translate.
//!
//! Without the feature `embedded`, which is a default one, there is no engine, no store and no sandbox: the remote backend,
//! for a phone.
#![forbid(unsafe_code)]
// What the engine alone uses is left as it is.
#![cfg_attr(not(feature = "embedded"), allow(dead_code, unused_imports, unused_macros))]

pub mod backend;
pub mod config;
#[cfg(feature = "embedded")]
pub mod engine;
pub mod error;
mod expose;
#[cfg(feature = "embedded")]
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
#[cfg(feature = "embedded")]
pub mod sandbox;
mod secret;
#[cfg(feature = "embedded")]
pub mod store;
mod time;
#[cfg(feature = "embedded")]
pub mod vault;
pub mod webhook;
pub mod wire;
mod xml;

pub use error::{Code, Error, Kind, Result, Retry};
pub use expose::{Expose, Exposed};
pub use handles::{Account, ConnectBuilder, ConnectHandle, EventStream, Pages, Session, Smalt};
#[cfg(feature = "embedded")]
pub use handles::{Host, SmaltBuilder};
pub use secret::Secret;
pub use time::Timestamp;
