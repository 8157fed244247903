//! The way out: which addresses may be called, the client that calls them, and the messages of OAuth 2.0.

mod body;
mod breaker;
mod policy;
pub mod protocol;
mod scripted;
mod server;
mod streaming;
mod transport;
mod trust;

pub use breaker::BreakerSettings;
pub use policy::{AddressPolicy, HostPort, is_public};
pub use scripted::ScriptedTransport;
pub use server::{ServerOptions, ServerTransport};
#[cfg(test)]
pub(crate) use transport::{Looking, Lookup};
pub use transport::{ReqwestTransport, TransportOptions};
