use super::{model, words};
use crate::{expose::exposes, secret::Secret, time::Timestamp};

words! {
    /// Where a connect flow stands.
    pub enum FlowStatus {
        /// The user is at the provider.
        Pending = "pending",
        /// The user came back; the code waits for `finish_connect`.
        Parked = "parked",
        /// The code is being exchanged.
        Exchanging = "exchanging",
        /// Done: there is a connection.
        Connected = "connected",
        /// Done: there is an error.
        Failed = "failed",
        /// Ended by `cancel()`.
        Cancelled = "cancelled",
        /// Its time is over.
        Expired = "expired",
    }
}

impl FlowStatus {
    /// Whether nothing can change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, FlowStatus::Connected | FlowStatus::Failed | FlowStatus::Cancelled | FlowStatus::Expired)
    }
}

model! {
    /// One attempt to connect. It survives restarts, and any process on the store can finish it.
    pub struct ConnectFlow {
        /// 24 hex digits.
        pub id: String,
        /// The linked account that began it.
        pub account_id: String,
        /// The application's slug.
        pub application: String,
        /// Where it stands.
        pub status: FlowStatus,
        /// The connection, once connected.
        pub connection_id: Option<String>,
        /// Why it failed.
        pub error: Option<FlowFailure>,
        /// Where the user goes at the end, as `start_connect` was told.
        pub return_to: Option<String>,
        /// The same once the flow has ended, with what the page there needs to know: `flow`, `application`, `outcome` (the
        /// status) and, if it failed, `error` (the code). Redirect the user to it.
        pub return_url: Option<String>,
        /// When it began.
        pub created_at: Timestamp,
        /// When the user must be back.
        pub expires_at: Timestamp,
    }

    /// Why a flow failed.
    pub struct FlowFailure {
        /// An error code of the table.
        pub code: String,
        /// What to do next.
        pub reason: String,
    }
}

/// What `start_connect` answers: send the user to `authorize_url`, and set the cookie in the user's browser.
#[derive(Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct StartedConnect {
    /// The flow's id.
    pub flow_id: String,
    /// The provider's page, complete with state and challenge; of the device flow, with the user code where the provider can.
    pub authorize_url: String,
    /// Where the provider sends the user back; empty in the device flow.
    pub redirect_uri: String,
    /// Binds the browser that begins to the one that ends.
    pub cookie: StateCookie,
    /// When the user must be back.
    pub expires_at: Timestamp,
    /// The device flow: what to show. Nobody comes back from it; wait for the flow.
    pub device: Option<DevicePrompt>,
}

/// What a user of the device flow (RFC 8628) must be shown.
#[derive(Clone, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
pub struct DevicePrompt {
    /// What the user enters.
    pub user_code: String,
    /// Where, on any device.
    pub verification_uri: String,
    /// The same with the code in it, e.g. for a QR code; not every provider has one.
    pub verification_uri_complete: Option<String>,
    /// How often the provider is asked at most, in seconds.
    pub interval: u64,
}

/// The code stands for the user's consent.
impl std::fmt::Debug for DevicePrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevicePrompt")
            .field("verification_uri", &self.verification_uri)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// The authorize URL holds the state.
impl std::fmt::Debug for StartedConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartedConnect")
            .field("flow_id", &self.flow_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A callback whose code waits to be claimed.
#[derive(Clone, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct ParkedCallback {
    /// The flow's id.
    pub flow_id: String,
    /// The linked account's id.
    pub account_id: String,
    /// Whether the flow was handed off to the browser that came back: it has shown the cookie, and whoever serves the
    /// callback hands the claim in itself.
    pub handed_off: bool,
    /// Where to send the browser: the stored return URL with `flow`, `application`, `outcome`, and `claim` or `error`.
    pub return_to: Option<String>,
    /// The one-time claim for `finish_connect`; absent when the flow failed.
    pub claim: Option<Secret>,
    /// The error code when the flow failed.
    pub error: Option<String>,
}

/// The return URL holds the claim.
impl std::fmt::Debug for ParkedCallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParkedCallback").field("flow_id", &self.flow_id).field("error", &self.error).finish_non_exhaustive()
    }
}

/// A connect flow for a browser that the caller does not hold: send it to a page that shows the preview and takes the ticket.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct Handoff {
    /// The flow's id.
    pub flow_id: String,
    /// Good once, as long as the flow. Empty where the server keeps it to itself and only tells the page.
    pub ticket: Secret,
    /// The page to send the browser to, where a server has one.
    #[serde(default)]
    pub page: Option<Secret>,
    /// When the user must be back.
    pub expires_at: Timestamp,
}

model! {
    /// Whose connect it is, for the page that asks the user to go on.
    pub struct HandoffPreview {
        /// The flow's id.
        pub flow_id: String,
        /// The linked account's id.
        pub account_id: String,
        /// The linked account's name.
        pub account_name: Option<String>,
        /// The application's slug.
        pub application: String,
        /// The application's name.
        pub application_name: String,
        /// Scheme, host and port of the provider's page.
        pub authorize_origin: String,
        /// When the user must be back.
        pub expires_at: Timestamp,
    }
}

exposes! {
    Handoff { flow_id, ticket, page, expires_at }
    StartedConnect { flow_id, authorize_url, redirect_uri, cookie, expires_at, device }
    DevicePrompt { user_code, verification_uri, verification_uri_complete, interval }
    StateCookie { name, value, max_age }
    ParkedCallback { flow_id, account_id, handed_off, return_to, claim, error }
}

/// The cookie that binds a browser to a flow. Random, one per flow.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct StateCookie {
    /// `__Host-smalt-` and the flow's id, so that two tabs do not overwrite each other.
    pub name: String,
    /// 256 random bits.
    pub value: Secret,
    /// Seconds until it may be dropped.
    pub max_age: u64,
}

impl StateCookie {
    pub(crate) fn name_of(flow: &str) -> String {
        format!("__Host-smalt-{flow}")
    }

    /// The `Set-Cookie` header's value for an https site. Browsers also take it on `http://localhost`, Safari excepted.
    pub fn header(&self) -> String {
        format!("{}={}; Max-Age={}; Path=/; Secure; HttpOnly; SameSite=Lax", self.name, self.value.expose(), self.max_age)
    }
}
