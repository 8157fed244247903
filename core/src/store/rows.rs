//! The rows that a store keeps. Times are milliseconds since 1970; `*_json` columns hold JSON text; `sealed*` columns
//! hold what the vault made. Everything that is secret stands in a sealed column.
#![allow(missing_docs)] // plain columns; the model's types document their meaning

use crate::model::Environment;

/// A data key of an organisation, wrapped by a master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKeyRow {
    pub org: String,
    pub key_id: String,
    pub master_key_id: String,
    pub wrapped: Vec<u8>,
    pub created_at: i64,
}

/// The tables whose rows are walked when a data key is replaced. Signing keys are few and are taken all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedTable {
    Connections,
    Flows,
    Configs,
    Revocations,
    Webhooks,
    Registrations,
    OwnCredentials,
}

impl SealedTable {
    /// All of them, in the order in which they are walked.
    pub const ALL: [SealedTable; 7] =
        [Self::Connections, Self::Flows, Self::Configs, Self::Revocations, Self::Webhooks, Self::Registrations, Self::OwnCredentials];

    /// The table's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Flows => "flows",
            Self::Configs => "configs",
            Self::Revocations => "revocations",
            Self::Webhooks => "webhooks",
            Self::Registrations => "registrations",
            Self::OwnCredentials => "own_credentials",
        }
    }
}

/// A row with a sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedRow {
    Connection(ConnectionRow),
    Flow(FlowRow),
    Config(ConfigRow),
    Revocation(RevocationRow),
    Webhook(WebhookRow),
    Registration(RegistrationRow),
    OwnCredentials(OwnCredentialsRow),
}

/// A stretch of a table: the rows in it whose value begins otherwise than was asked for, each with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedPage {
    pub rows: Vec<(i64, Environment, SealedRow)>,
    /// Where the stretch ends; absent when there was nothing left to look at.
    pub end: Option<i64>,
}

/// A backend's key for the HTTP API; only its hash is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    pub id: String,
    pub hash: String,
    pub name: String,
    /// Its last four characters, by which people tell keys apart.
    pub ending: String,
    pub created_at: i64,
    pub revoked_at: Option<i64>,
}

/// A key that signs session tokens, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRow {
    pub kid: String,
    pub sealed: Vec<u8>,
    pub created_at: i64,
    pub retired_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    pub id: String,
    pub record_id: String,
    pub name: Option<String>,
    pub properties_json: String,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: String,
    pub account_id: String,
    pub kid: String,
    pub issued_at: i64,
    pub expires_at: i64,
    pub revoked_at: Option<i64>,
}

/// A link to the hosted page; only the hash of its ticket is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalLinkRow {
    pub hash: String,
    pub account_id: String,
    pub session_id: String,
    pub config_id: Option<String>,
    pub once: bool,
    pub created_at: i64,
    pub expires_at: i64,
}

/// What the hosted page of a session is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalPropertiesRow {
    pub session_id: String,
    pub account_id: String,
    pub properties_json: String,
    pub changed_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRow {
    pub id: String,
    pub account_id: String,
    pub application: String,
    /// Which client of the organisation: part of the redirect path and of the state (S-05).
    pub client_key: String,
    pub status: String,
    pub state_hash: String,
    pub state_used: bool,
    pub cookie_hash: String,
    pub claim_hash: Option<String>,
    pub redirect_uri: String,
    pub return_to: Option<String>,
    /// Verifier, inputs, parked code.
    pub sealed: Vec<u8>,
    /// What the caller asked for beside: scopes, the connection to renew.
    pub options_json: String,
    pub connection_id: Option<String>,
    pub error_code: Option<String>,
    pub error_reason: Option<String>,
    pub created_at: i64,
    pub expires_at: i64,
    pub changed_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    pub id: String,
    pub account_id: String,
    pub application: String,
    pub client_key: String,
    pub auth_type: String,
    pub status: String,
    pub is_default: bool,
    pub identity_id: Option<String>,
    pub identity_label: Option<String>,
    /// Which grant at the provider it stands for; equal for siblings.
    pub grant_key: Option<String>,
    pub scopes_json: String,
    pub properties_json: String,
    /// Tokens or entered values.
    pub sealed: Vec<u8>,
    /// Grows with every new `sealed`; part of its AAD.
    pub secret_version: i64,
    pub created_at: i64,
    pub connected_at: i64,
    pub expires_at: Option<i64>,
    /// When the token came, for lifetimes that the provider does not state.
    pub refreshed_at: i64,
    pub last_error_json: Option<String>,
    /// Fingerprint of the refresh token in `sealed`.
    pub refresh_print: Option<String>,
    /// Fingerprint of the refresh token that was last sent out; equal to `refresh_print` while the answer is outstanding.
    pub presented: Option<String>,
    pub lease_owner: Option<String>,
    pub lease_boot: Option<String>,
    /// Milliseconds since that boot.
    pub lease_until: Option<i64>,
    /// No refresh before this time of day.
    pub cooldown_until: Option<i64>,
    /// When the background looks at it next: to renew it, to announce its end, or to try a suspended one again.
    pub renew_at: Option<i64>,
    /// When it was last used, give or take an hour.
    pub used_at: Option<i64>,
    /// What its log says about it, beside the status: `expiring` or `suspended`.
    pub trouble: Option<String>,
    /// Renewals in a row that failed.
    pub tries: i64,
    pub row_version: i64,
}

/// How the organisation's client stands at the place that renews its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    pub application: String,
    pub client_key: String,
    /// The origin of the token URL: where hosts are the user's, one may refuse what another takes.
    pub authority: String,
    /// Since when it is refused; absent: it is not.
    pub rejected_at: Option<i64>,
    pub error_json: Option<String>,
    /// Fingerprint of id and secret that were refused, under a key of the store.
    pub client_print: Option<String>,
    /// Refusals in a row.
    pub tries: i64,
    /// While it is refused, no try before this time of day.
    pub next_at: i64,
    pub probe_owner: Option<String>,
    pub probe_boot: Option<String>,
    pub probe_until: Option<i64>,
    /// The rate limit: microseconds since 1970 at which the allowance is whole again.
    pub slot: i64,
    /// The provider asked to wait until this time of day.
    pub closed_until: Option<i64>,
}

/// A client that was registered at a provider by protocol; or, where `client_key` is empty, what is known of the place itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationRow {
    pub application: String,
    /// The origin of the registration endpoint.
    pub authority: String,
    /// Names the client in flows, connections and revocations; empty for the place.
    pub client_key: String,
    /// Id, secret, and what opens the client's own page. Empty for the place.
    pub sealed: Vec<u8>,
    /// Grows with every new `sealed`; part of its AAD.
    pub secret_version: i64,
    /// The redirect URIs and scopes that it was registered with.
    pub made_json: String,
    pub secret_expires_at: Option<i64>,
    /// When the provider first exchanged a code for it.
    pub proven_at: Option<i64>,
    /// When the provider said that it does not know it any more.
    pub ended_at: Option<i64>,
    pub created_at: i64,
    /// Of the place: the client that counts.
    pub current: Option<String>,
    /// Of the place: why the last registration failed.
    pub error_json: Option<String>,
    /// Of the place: failures in a row.
    pub tries: i64,
    /// Of the place: no registration before this time of day.
    pub next_at: i64,
    /// Of the place: who registers a client now.
    pub lease_owner: Option<String>,
    pub lease_boot: Option<String>,
    pub lease_until: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRow {
    pub id: String,
    pub account_id: String,
    pub application: String,
    pub config_id: String,
    pub version: i64,
    /// Field values, workflow switches and values, labels.
    pub sealed: Vec<u8>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    pub id: String,
    pub account_id: String,
    pub application: String,
    pub body_json: String,
    pub created_at: i64,
    pub finished_at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRow {
    pub id: String,
    pub receipt_id: String,
    pub account_id: String,
    pub application: String,
    pub client_key: String,
    pub connection_id: String,
    pub grant_key: Option<String>,
    /// `queued`, or how it ended.
    pub status: String,
    /// The tokens to end; emptied when it has ended.
    pub sealed: Vec<u8>,
    pub secret_version: i64,
    pub attempts: i64,
    /// Not before this time of day.
    pub next_at: i64,
    pub lease_owner: Option<String>,
    pub lease_boot: Option<String>,
    pub lease_until: Option<i64>,
    pub created_at: i64,
}

/// A linked account's credentials for the organisation's own application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCredentialsRow {
    pub account_id: String,
    pub sealed: Vec<u8>,
    /// Grows with every new `sealed`; part of its AAD.
    pub secret_version: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

/// One run of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionRow {
    pub id: String,
    pub account_id: String,
    pub application: String,
    pub config_id: String,
    pub workflow: String,
    /// Whether somebody waited for its end.
    pub waited: bool,
    /// `running`, or how it ended.
    pub status: String,
    pub error_code: Option<String>,
    pub created_at: i64,
    pub ended_at: Option<i64>,
}

/// A place that is told what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    pub id: String,
    pub enabled: bool,
    /// What it is told.
    pub events_json: String,
    /// Where to and with what, and the secrets that sign.
    pub sealed: Vec<u8>,
    /// Grows with every new `sealed`; part of its AAD.
    pub secret_version: i64,
    /// The log was looked through for it up to this number.
    pub seen: i64,
    /// Since when every try failed.
    pub failing_since: Option<i64>,
    /// The last try that failed.
    pub failed_at: Option<i64>,
    /// Why it was disabled, where it was not by hand.
    pub disabled_json: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
}

/// One event on its way to one webhook, and afterwards what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    pub id: String,
    pub webhook_id: String,
    /// The event's number in the log.
    pub seq: i64,
    pub event: String,
    pub payload_json: String,
    /// `queued`, `delivered` or `failed`.
    pub status: String,
    /// How often it was sent.
    pub attempts: i64,
    /// Of these, since it was last queued.
    pub tries: i64,
    /// Not before this time of day.
    pub next_at: i64,
    pub lease_owner: Option<String>,
    pub lease_boot: Option<String>,
    pub lease_until: Option<i64>,
    /// What the last try was answered.
    pub http_status: Option<i64>,
    pub error_code: Option<String>,
    pub created_at: i64,
    pub changed_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    pub id: String,
    pub event_type: String,
    pub account_id: Option<String>,
    pub application: Option<String>,
    pub data_json: String,
    pub at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    pub seq: i64,
    pub event: NewEvent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// 0 before it is appended.
    pub seq: i64,
    pub action: String,
    pub actor: String,
    pub account_id: Option<String>,
    pub application: Option<String>,
    pub connection_id: Option<String>,
    pub count: i64,
    pub detail_json: String,
    pub at: i64,
}
