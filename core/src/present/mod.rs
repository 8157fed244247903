//! Ways to show the authorize page to the user, and to catch the callback.

mod browser;
mod html;
mod loopback;
mod print;
#[cfg(feature = "embedded")]
mod scripted;

pub use browser::SystemBrowser;
pub use html::html_escape;
pub(crate) use html::page;
pub use loopback::{Callback, LoopbackListener, Responder};
pub use print::PrintUrl;
#[cfg(feature = "embedded")]
pub use scripted::ScriptedConsent;
