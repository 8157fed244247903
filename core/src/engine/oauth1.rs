//! OAuth 1.0a with three legs (RFC 5849 section 2).

/// Where the token's secret stands among a connection's values.
pub(super) const TOKEN_SECRET: &str = "token_secret";
