//! The `smalt` command and its HTTP API.
