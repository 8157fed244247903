use std::collections::BTreeMap;

use crate::model::{model, words};

model! {
    /// What happened at the sandbox, counted there, so that a test can judge independently of the client.
    /// Work is counted when it is done, whether or not its answer arrived.
    #[derive(Default)]
    pub struct Stats {
        /// Answers by endpoint and status, e.g. `"refresh 200"`; `"refresh lost"` where no answer was given.
        pub answers: BTreeMap<String, u64>,
        /// Consents that the user gave.
        pub consents: u64,
        /// Consents that the user refused.
        pub denials: u64,
        /// Codes issued.
        pub codes_issued: u64,
        /// Codes exchanged for tokens.
        pub codes_redeemed: u64,
        /// Used codes that came again.
        pub code_replays: u64,
        /// Exchanges refused, replays included.
        pub exchanges_refused: u64,
        /// Requests to refresh, refused ones included.
        pub refresh_requests: u64,
        /// Refreshes done.
        pub refreshes: u64,
        /// Used refresh tokens that came again, outside of the grace.
        pub refresh_reuse: u64,
        /// Used refresh tokens that came again, within the grace.
        pub refresh_grace: u64,
        /// Requests to refresh that are being answered now.
        pub concurrent_refreshes: u64,
        /// The most that were being answered at once.
        pub concurrent_refreshes_max: u64,
        /// Tokens issued for client credentials, JWTs and logins.
        pub key_tokens: u64,
        /// Device flows begun.
        pub device_starts: u64,
        /// Polls for device codes.
        pub device_polls: u64,
        /// Those of them that came before the interval was over.
        pub device_polls_early: u64,
        /// Those of them that came after the code had expired.
        pub device_polls_late: u64,
        /// Device codes exchanged for tokens.
        pub device_tokens: u64,
        /// Tokens of OAuth 1.0a issued.
        pub oauth1_tokens: u64,
        /// JWTs whose `jti` came again.
        pub jti_replays: u64,
        /// Requests to register a client, refused ones included.
        pub registration_requests: u64,
        /// Clients registered by protocol.
        pub registrations: u64,
        /// Looks at a registered client's own page.
        pub registrations_read: u64,
        /// Registered clients that were deleted by protocol.
        pub registrations_deleted: u64,
        /// Requests to revoke.
        pub revoke_requests: u64,
        /// Live tokens that were revoked by request.
        pub revocations: u64,
        /// Grants made.
        pub grants_made: u64,
        /// Grants ended: by revocation, reuse, replay or withdrawal.
        pub grants_ended: u64,
        /// Calls of `/api/items`, `/api/echo` and `/api/channels`.
        pub api_calls: u64,
        /// Those of them that were refused for the token or key.
        pub api_refused: u64,
        /// Calls of `/userinfo`.
        pub userinfo_calls: u64,
        /// Calls of `/api/key-check`.
        pub key_checks: u64,
        /// Those of them that were refused.
        pub key_checks_refused: u64,
    }

    /// One token, without the token.
    pub struct TokenInfo {
        /// SHA-256 of the token, base64url without padding.
        pub fingerprint: String,
        /// Access or refresh.
        pub kind: TokenKind,
        /// Which grant it belongs to.
        pub grant: String,
        /// The client.
        pub client_id: String,
        /// The user.
        pub user: String,
        /// The scope, separated by spaces.
        pub scope: String,
        /// How it stands.
        pub state: TokenState,
    }
}

words! {
    /// The kind of a token.
    pub enum TokenKind {
        /// An access token.
        Access = "access",
        /// A refresh token.
        Refresh = "refresh",
    }
    /// How a token stands.
    pub enum TokenState {
        /// It works.
        Live = "live",
        /// A refresh token that was used up.
        Rotated = "rotated",
        /// Ended before its time.
        Revoked = "revoked",
        /// Its time is over.
        Expired = "expired",
    }
}
