//! What people hold: cheap to clone, no I/O until a verb is called.

mod account;
mod connect;
mod host;
mod pages;
mod session;
mod smalt;
mod verbs;
mod webhooks;

pub use account::Account;
pub use connect::{ConnectBuilder, ConnectHandle};
pub use host::Host;
pub use pages::Pages;
pub use session::Session;
pub use smalt::{EventStream, Smalt, SmaltBuilder};
