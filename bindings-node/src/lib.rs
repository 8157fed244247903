//! The native addon of the npm package `smalt`. It only converts: JavaScript's objects to requests of core and back. What is
//! decided is decided in core; what a language needs once is in `smalt_bridge`; what people see is TypeScript (`ts/`).
//!
//! - [`room`]: one per JavaScript environment (main thread or worker): completions come out of it in batches.
//! - [`engine`]: an engine on one authority; [`ask`]: its operations.
//! - [`read`], [`write`]: serde over JavaScript values, without a text between.
//! - [`host`]: plugins in JavaScript.
//! - [`http`]: the HTTP API in the user's process; [`upload`]: bodies that come part by part, of its requests and of calls.
//! - [`testing`]: the sandbox provider and a clock that stands still.

// Its functions are exported where it is not compiled as a test.
#![cfg_attr(test, allow(dead_code))]

mod ask;
mod engine;
mod failure;
mod host;
mod http;
mod kept;
mod panics;
mod read;
mod ready;
mod room;
mod testing;
mod upload;
mod webhook;
mod write;
