//! What people hold: cheap to clone, no I/O until a verb is called.

mod account;
mod connect;
mod host;
mod session;
mod smalt;
mod verbs;

pub use account::Account;
pub use connect::{ConnectBuilder, ConnectHandle};
pub use host::Host;
pub use session::Session;
pub use smalt::{EventStream, Smalt, SmaltBuilder};
