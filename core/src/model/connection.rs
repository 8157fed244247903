use std::collections::BTreeMap;

use super::{AuthType, model, words};
use crate::{expose::exposes, secret::Secret, time::Timestamp};

words! {
    /// Whether a connection can be used.
    pub enum ConnectionStatus {
        /// It can.
        Active = "active",
        /// It cannot: the user must authorise again, or, where [`ConnectionHealth::Suspended`], be let in again at the provider.
        Expired = "expired",
    }
    /// How a connection stands, and whose turn it is.
    pub enum ConnectionHealth {
        /// Nothing is wrong.
        Healthy = "healthy",
        /// The access token ends soon or has ended, and could not be renewed so far; or it ends soon, and nothing renews it.
        Expiring = "expiring",
        /// The provider refuses the grant for now, e.g. while the user is switched off there. It is kept and tried again, rarely.
        Suspended = "suspended",
        /// The provider refuses the organisation's own client. Grants are untouched; no user can do anything about it.
        ClientRejected = "client_rejected",
        /// The user must authorise again.
        Expired = "expired",
    }
    /// What became of a grant at the provider after a disconnect.
    pub enum RevocationOutcome {
        /// The provider confirmed the end.
        Revoked = "revoked",
        /// Still being tried; ask again with the receipt's id.
        Queued = "queued",
        /// The provider offers no revocation.
        Unsupported = "unsupported",
        /// Left alive on request, since siblings share it.
        KeptShared = "kept_shared",
        /// There was no token, or the grant was dead already.
        NothingToRevoke = "nothing_to_revoke",
        /// All tries were refused or unanswered; the secret is erased.
        Failed = "failed",
    }
    /// What `disconnect` does about other connections that share the provider's grant.
    pub enum SiblingPolicy {
        /// Answer `shared_grant`, naming them, and change nothing (the default).
        Ask = "ask",
        /// Disconnect here, but leave the grant alive at the provider.
        Keep = "keep",
        /// Revoke the grant; the siblings are marked as expired.
        Kill = "kill",
    }
}

model! {
    /// A linked account's authorisation for one application.
    pub struct Connection {
        /// 24 hex digits.
        pub id: String,
        /// The linked account.
        pub account_id: String,
        /// The application's slug.
        pub application: String,
        /// How it was authorised.
        pub auth_type: AuthType,
        /// Whether it can be used.
        pub status: ConnectionStatus,
        /// How it stands, in more words: what is wrong, and whose fault it is.
        pub health: ConnectionHealth,
        /// Whether calls without a selector use it.
        pub is_default: bool,
        /// Who it is at the provider, if the application can tell.
        pub identity: Option<Identity>,
        /// The scopes that the provider granted, if it says.
        pub scopes: Vec<String>,
        /// Values that the provider gave at connect (realm id, instance URL, …) and inputs that are no secrets.
        pub properties: BTreeMap<String, String>,
        /// When the user first authorised.
        pub created_at: Timestamp,
        /// When the user last authorised.
        pub connected_at: Timestamp,
        /// When the access token ends, if it does.
        pub expires_at: Option<Timestamp>,
        /// The last trouble, if the last use had any; while the organisation's client is refused, that.
        pub last_error: Option<ConnectionError>,
    }

    /// Who a connection is at the provider.
    pub struct Identity {
        /// The provider's stable id.
        pub id: String,
        /// What people recognise: an address, a team's name.
        pub label: String,
    }

    /// The last trouble of a connection.
    pub struct ConnectionError {
        /// An error code of the table.
        pub code: String,
        /// What to do about it.
        pub reason: String,
        /// When it happened.
        pub at: Timestamp,
    }

    /// What a disconnect did, kept for later questions.
    pub struct Receipt {
        /// 24 hex digits.
        pub id: String,
        /// The linked account.
        pub account_id: String,
        /// The application's slug.
        pub application: String,
        /// The worst outcome of all connections: what to show.
        pub revocation: RevocationOutcome,
        /// One row per connection that was removed.
        pub connections: Vec<RevokedConnection>,
        /// The ids of the configs that were deleted.
        pub deleted_configs: Vec<String>,
        /// When it was asked for.
        pub created_at: Timestamp,
        /// When the last revocation ended.
        pub finished_at: Option<Timestamp>,
    }

    /// One connection of a receipt.
    pub struct RevokedConnection {
        /// The connection's id.
        pub connection_id: String,
        /// Who it was.
        pub identity: Option<Identity>,
        /// What became of the grant.
        pub revocation: RevocationOutcome,
        /// How often the provider was asked.
        pub attempts: u32,
        /// Ids of the connections that shared the grant.
        pub siblings: Vec<String>,
    }
}

/// What an authenticated call needs; valid now.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct Credential {
    /// The connection it belongs to.
    pub connection_id: String,
    /// The application's slug.
    pub application: String,
    /// How it was authorised.
    pub auth_type: AuthType,
    /// OAuth: the access token.
    pub access_token: Option<Secret>,
    /// OAuth: usually `Bearer`.
    pub token_type: Option<String>,
    /// When the access token ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// The scopes that the provider granted.
    pub scopes: Vec<String>,
    /// Key-based: the values that the user entered.
    pub values: BTreeMap<String, Secret>,
    /// Values that the provider gave at connect.
    pub properties: BTreeMap<String, String>,
}

exposes! {
    Credential { connection_id, application, auth_type, access_token, token_type, expires_at, scopes, values, properties } => busy
}

impl Credential {
    /// An error of host code that had this credential, without it: nobody knows what a plugin writes into its messages.
    pub(crate) fn scrub(&self, error: crate::Error) -> crate::Error {
        error.without(self.access_token.iter().chain(self.values.values()).map(Secret::expose))
    }
}
