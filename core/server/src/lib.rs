//! Smalt's HTTP API: a service that is compatible with the hosted service's clients, and can be mounted below any prefix.
//!
//! Routes translate, the engine decides: each one turns a request into a call of the doorway and its answer into a body.
#![forbid(unsafe_code)]

mod answer;
mod api;
mod assets;
mod call;
mod path;
mod routes;
#[cfg(feature = "cli")]
mod serve;
mod who;

pub use api::{Api, ApiOptions};
pub use routes::{Access, Route, routes};
#[cfg(feature = "cli")]
pub use serve::{Limits, Server};
