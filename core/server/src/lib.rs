//! Smalt's HTTP API: a service that is compatible with the hosted service's clients, and can be mounted below any prefix.
//!
//! Routes translate, the engine decides: each one turns a request into a call of the doorway and its answer into a body.
#![forbid(unsafe_code)]

mod address;
mod answer;
mod api;
mod assets;
mod call;
mod feed;
mod guard;
mod metrics;
mod path;
mod rates;
mod routes;
#[cfg(feature = "cli")]
mod serve;
mod settings;
mod waits;
mod who;

pub use address::Peer;
pub use api::{Answered, Api, ApiOptions, Observer};
pub use routes::{Access, Route, routes};
#[cfg(feature = "cli")]
pub use serve::{Limits, Server};
