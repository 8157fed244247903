//! The way out: which addresses may be called, the client that calls them, and the messages of OAuth 2.0.

pub mod protocol;
