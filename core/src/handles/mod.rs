//! What people hold: cheap to clone, no I/O until a verb is called.

mod account;
mod connect;
#[cfg(feature = "embedded")]
mod host;
mod pages;
mod session;
mod smalt;
mod verbs;
mod webhooks;

pub use account::Account;
pub use connect::{ConnectBuilder, ConnectHandle};
#[cfg(feature = "embedded")]
pub use host::Host;
pub use pages::Pages;
pub use session::Session;
#[cfg(feature = "embedded")]
pub use smalt::SmaltBuilder;
pub use smalt::{EventStream, Smalt};
