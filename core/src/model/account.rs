use std::collections::BTreeMap;

use super::{model, words};
use crate::{expose::exposes, secret::Secret, time::Timestamp};

words! {
    /// Everything is kept apart by environment; test and production never mix.
    pub enum Environment {
        /// For development and tests; the sandbox applications live here only.
        Test = "test",
        /// The real thing.
        Production = "production",
    }
}

/// An organisation in one environment: the outermost key of every row, lock, cache entry and cursor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant {
    /// The organisation's id.
    pub org: String,
    /// The environment.
    pub environment: Environment,
}

model! {
    /// An end customer of the organisation, keyed by the id that the organisation chose.
    pub struct LinkedAccount {
        /// The organisation's own id for the customer.
        pub id: String,
        /// Smalt's id of the record, 24 hex digits.
        pub record_id: String,
        /// The environment it lives in.
        pub environment: Environment,
        /// A name for people.
        pub name: Option<String>,
        /// The organisation's own facts about the customer.
        pub properties: BTreeMap<String, String>,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it last changed.
        pub updated_at: Timestamp,
    }

    /// What an upsert did.
    pub struct UpsertedAccount {
        /// The linked account as it is now.
        pub account: LinkedAccount,
        /// Whether it was made just now.
        pub is_new: bool,
    }

    /// What to set on a linked account; absent keys stay as they are.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    pub struct AccountUpdate {
        /// A name for people.
        pub name: Option<String>,
        /// Replaces the whole set when present.
        pub properties: Option<BTreeMap<String, String>>,
    }
}

model! {
    /// A key that a backend of the organisation uses at the HTTP API; the key itself is kept as a hash only.
    pub struct ApiKey {
        /// 24 hex digits.
        pub id: String,
        /// What people tell it apart by.
        pub name: String,
        /// The environment it opens.
        pub environment: Environment,
        /// Its last four characters.
        pub ending: String,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it was revoked.
        pub revoked_at: Option<Timestamp>,
    }
}

/// A new API key.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct NewApiKey {
    /// What is kept of it.
    pub info: ApiKey,
    /// The key: `tk` or `pk` and a UUID. It is never shown again.
    pub key: Secret,
}

/// A session token of one linked account, for browsers, phones and SDKs.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct SessionInfo {
    /// The session's id, 24 hex digits.
    pub id: String,
    /// The linked account it speaks for.
    pub account_id: String,
    /// The bearer token.
    pub token: Secret,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// The seconds until then, when this was answered.
    #[serde(default)]
    pub expires_in: u64,
}

exposes! {
    SessionInfo { id, account_id, token, created_at, expires_at, expires_in }
    NewApiKey { info, key }
}
