//! Smalt's HTTP API: a service that is compatible with the hosted service's clients, and can be mounted below any prefix.
//!
//! Routes translate, the engine decides: each one turns a request into a call of the doorway and its answer into a body.
#![forbid(unsafe_code)]

#[cfg(feature = "cli")]
extern crate self as smalt_server;

mod address;
mod answer;
mod api;
mod assets;
mod call;
mod feed;
mod guard;
mod metrics;
mod pack;
mod path;
mod port;
mod project;
mod rates;
mod routes;
#[cfg(feature = "cli")]
mod serve;
mod settings;
mod waits;
mod who;

#[cfg(feature = "cli")]
#[path = "bin/smalt/args.rs"]
mod args;
#[cfg(feature = "cli")]
#[path = "bin/smalt/command.rs"]
pub mod command;
#[cfg(feature = "cli")]
#[path = "bin/smalt/commands/mod.rs"]
mod commands;
#[cfg(feature = "cli")]
#[path = "bin/smalt/context.rs"]
mod context;
#[cfg(feature = "cli")]
#[path = "bin/smalt/demo.rs"]
mod demo;
#[cfg(feature = "cli")]
#[path = "bin/smalt/exit.rs"]
mod exit;
#[cfg(feature = "cli")]
#[path = "bin/smalt/output.rs"]
mod output;
#[cfg(feature = "cli")]
#[path = "bin/smalt/prompt.rs"]
mod prompt;

pub use address::Peer;
pub use api::{Answered, Api, ApiOptions, Observer};
pub use port::{PORT_SECRET, port_secret};
pub use routes::{Access, Route, routes};
#[cfg(feature = "cli")]
pub use serve::{Limits, Server};
