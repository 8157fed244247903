use std::sync::Arc;

use serde::Deserialize;

use super::{ServerKind, Shared, Stats, TokenInfo, Ways};
use crate::{
    Result, Secret,
    error::err,
    model::{Json, JsonMap, model, words},
};

words! {
    /// A place that can misbehave.
    pub enum Endpoint {
        /// `GET /authorize`.
        Authorize = "authorize",
        /// `POST /token` with a code.
        Token = "token",
        /// `POST /token` with a refresh token.
        Refresh = "refresh",
        /// `POST /revoke`.
        Revoke = "revoke",
        /// `POST /introspect`.
        Introspect = "introspect",
        /// `GET /userinfo`.
        Userinfo = "userinfo",
        /// `/api/items`, `/api/echo` and `/api/channels`.
        Api = "api",
        /// `GET /api/key-check`.
        KeyCheck = "key_check",
        /// `POST /login`.
        Login = "login",
        /// `POST /device`.
        Device = "device",
        /// `POST /oauth1/access_token`.
        Oauth1 = "oauth1",
        /// `/inbox/{name}`, which takes webhooks.
        Inbox = "inbox",
        /// `POST /register`.
        Register = "register",
    }
    /// A body that a client does not expect.
    #[derive(Default)]
    pub enum BodyKind {
        /// None.
        #[default]
        Empty = "empty",
        /// An error page.
        Html = "html",
        /// Text that says it is JSON and is not.
        BadJson = "bad_json",
        /// The beginning of a JSON object; then the connection is cut.
        Truncated = "truncated",
        /// 64 MiB of spaces that say they are JSON.
        Oversize = "oversize",
    }
}

model! {
    /// One way to misbehave. `after_work`: the endpoint does what it was asked first, so that only the answer is lost; default false.
    #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
    pub enum Misbehaviour {
        /// Answers this status.
        Status {
            /// The HTTP status.
            status: u16,
            /// The body.
            #[serde(default)]
            body: BodyKind,
            /// The value of a `Retry-After` header: seconds, or a date.
            #[serde(default)]
            retry_after: Option<String>,
            /// Whether the work is done first.
            #[serde(default)]
            after_work: bool,
        },
        /// Answers an OAuth error; on the authorize page it goes to the redirect URI.
        Error {
            /// The error code, e.g. `invalid_grant`.
            error: String,
            /// The HTTP status; 200 is possible. Default 400.
            #[serde(default = "bad_request")]
            status: u16,
            /// The `error_description`.
            #[serde(default)]
            description: Option<String>,
        },
        /// Answers as usual, but later.
        Delay {
            /// How much later, in milliseconds.
            millis: u64,
            /// Whether the work is done before the wait.
            #[serde(default)]
            after_work: bool,
        },
        /// Closes the connection without an answer.
        Drop {
            /// Whether the work is done first.
            #[serde(default)]
            after_work: bool,
        },
        /// Keeps the connection open and never answers.
        Hang {
            /// Whether the work is done first.
            #[serde(default)]
            after_work: bool,
        },
    }
}

fn ada() -> String {
    "ada".to_owned()
}

fn allow() -> String {
    "allow".to_owned()
}

fn bad_request() -> u16 {
    400
}

/// What the sandbox can be told, in process ([`SandboxControl::apply`]) or as the JSON body of `POST /control`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// Changes some of the standing ways; the rest stays. `{"do": "set", "ways": {"expires_in": 60}}`
    Set {
        /// Names and values of [`Ways`].
        ways: JsonMap,
    },
    /// Takes on the ways of a real server, from the defaults on; of the former ways `auto_consent` stays.
    /// `{"do": "behave_as", "server": "keycloak"}`
    BehaveAs {
        /// Which one.
        server: ServerKind,
    },
    /// Misbehaves at an endpoint. Several wait in line; each serves its number of answers.
    Misbehave {
        /// Where.
        at: Endpoint,
        /// How.
        with: Misbehaviour,
        /// For how many answers; absent: until cleared.
        #[serde(default)]
        times: Option<u32>,
    },
    /// Ends misbehaving.
    Clear {
        /// Where; absent: everywhere.
        #[serde(default)]
        at: Option<Endpoint>,
    },
    /// Adds or replaces a client.
    RegisterClient {
        /// Its id.
        client_id: String,
        /// Its secret; absent for a public client.
        #[serde(default)]
        client_secret: Option<Secret>,
        /// Its redirect URIs; empty: any loopback, https or reverse-DNS one.
        #[serde(default)]
        redirect_uris: Vec<String>,
        /// Its public key as a JWK (RSA or P-256), for `private_key_jwt`; then its secret proves nothing.
        #[serde(default)]
        public_key: Option<Json>,
    },
    /// Deletes all clients that were registered by protocol, with their grants.
    ForgetClients {},
    /// Takes JWTs of this issuer as grants (RFC 7523 section 2.1).
    TrustIssuer {
        /// Its `iss`.
        issuer: String,
        /// Its public key as a JWK (RSA or P-256).
        public_key: Json,
    },
    /// Replaces the ways of the device flow.
    SetDevice {
        /// Absent ones have their default.
        ways: super::DeviceWays,
    },
    /// The user's decision about a user code of the device flow.
    DecideDevice {
        /// What the device shows.
        user_code: Secret,
        /// `ada`, `grace` or `linus`; default `ada`.
        #[serde(default = "ada")]
        user: String,
        /// `allow` (the default) or `deny`.
        #[serde(default = "allow")]
        decision: String,
    },
    /// Adds or revives an API key.
    AddKey {
        /// The key.
        key: Secret,
        /// The only workspace that it opens; absent: any.
        #[serde(default)]
        workspace: Option<String>,
    },
    /// Ends an API key.
    RevokeKey {
        /// The key.
        key: Secret,
    },
    /// Ends the grants of a user, as when the user withdraws consent in the product's own settings.
    Withdraw {
        /// `ada`, `grace` or `linus`.
        user: String,
        /// At this client only; absent: at all.
        #[serde(default)]
        client_id: Option<String>,
    },
    /// Ends all access tokens at once; refresh tokens live on.
    ExpireAccessTokens {},
    /// Sets the counters to zero.
    ResetStats {},
    /// Forgets everything: grants, clients, keys, ways, counters.
    Reset {},
}

/// Steers a running sandbox and reads its counters. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct SandboxControl {
    pub(super) shared: Arc<Shared>,
}

impl SandboxControl {
    /// Does what it is told.
    ///
    /// # Errors
    /// `invalid_request` for a way that does not exist or a value that does not fit.
    pub fn apply(&self, order: Control) -> Result<()> {
        self.shared.state().apply(order)
    }

    /// Does what the JSON form of a [`Control`] says.
    ///
    /// # Errors
    /// As [`SandboxControl::apply`], and for an unknown order or name.
    pub fn apply_json(&self, order: Json) -> Result<()> {
        let order = serde_json::from_value(order).map_err(|e| err!(InvalidRequest, "the sandbox does not understand the order: {e}"))?;
        self.apply(order)
    }

    /// Changes the standing ways.
    pub fn change(&self, change: impl FnOnce(&mut Ways)) {
        change(&mut self.shared.state().ways);
    }

    /// Takes on the ways of a real server; see [`Control::BehaveAs`].
    pub fn behave_as(&self, server: ServerKind) {
        self.shared.state().behave_as(server);
    }

    /// Consents at once as this user, or shows the page again.
    pub fn auto_consent(&self, user: Option<&str>) {
        self.change(|ways| ways.auto_consent = user.map(str::to_owned));
    }

    /// Misbehaves for the next `times` answers, or until cleared.
    pub fn misbehave(&self, at: Endpoint, times: Option<u32>, with: Misbehaviour) {
        self.shared.state().misbehave(at, times, with);
    }

    /// Ends misbehaving at an endpoint, or everywhere.
    pub fn clear(&self, at: Option<Endpoint>) {
        self.shared.state().clear(at);
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.state().stats.clone()
    }

    /// Every token that was issued and how it stands, oldest first.
    pub fn tokens(&self) -> Vec<TokenInfo> {
        self.shared.state().tokens()
    }

    /// Sets the counters to zero.
    pub fn reset_stats(&self) {
        self.shared.state().reset_stats();
    }
}

impl std::fmt::Debug for SandboxControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SandboxControl")
    }
}
