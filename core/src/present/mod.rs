//! Ways to show the authorize page to the user, and to catch the callback.

mod html;

pub use html::html_escape;
pub(crate) use html::page;
