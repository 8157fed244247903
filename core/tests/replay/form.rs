//! A replay file: what a provider documents, as requests that must leave and the answers that it gives.

use std::collections::BTreeMap;

use serde::Deserialize;
use smalt::model::Json;

/// `core/apps/replays/<slug>.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The form's version: 1.
    pub replay: u32,
    /// The provider's pages that show these requests and answers.
    pub sources: Vec<String>,
    /// What the project sets for the manifest's `[variables]`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Keys of the manifest that no request can show, and why (JSON pointers).
    #[serde(default)]
    pub unplayed: BTreeMap<String, String>,
    /// The way through OAuth 2.0.
    pub oauth2: Option<Oauth2>,
    /// The way through OAuth 1.0a.
    pub oauth1: Option<Oauth1>,
    /// The way with keys.
    pub keybased: Option<Keybased>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2 {
    /// What the user enters first.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The scopes that are asked for; absent: the manifest's own.
    pub scopes: Option<Vec<String>>,
    /// What is asked before that, where a client is registered: its answer names `client-1` and `secret-1`.
    #[serde(default)]
    pub registration: Vec<Exchange>,
    /// The authorize URL: exactly these parameters.
    pub authorize: Authorize,
    /// The callback's parameter that signs the others with the client's secret, where there is one.
    pub sign: Option<String>,
    /// What comes back beside `state`.
    pub callback: BTreeMap<String, String>,
    /// The code for tokens. The answer names them `access-1` and `refresh-1`.
    pub exchange: Exchange,
    /// What is asked after that: identity and the like.
    #[serde(default)]
    pub after: Vec<Exchange>,
    /// The connection that this makes: exactly so.
    pub connection: Connection,
    /// A call of the API with `access-1`.
    pub call: Call,
    /// `refresh-1` for `access-2`, and `refresh-2` where the token rotates.
    pub refresh: Option<Exchange>,
    /// The end of the grant, as if nothing had been renewed.
    #[serde(default)]
    pub disconnect: Vec<Exchange>,
    /// The receipt's word for it.
    pub revocation: String,
    /// The provider's ways to say no.
    pub errors: Vec<Refusal>,
    /// The same with a code that is entered on another device.
    pub device: Option<Device>,
}

/// The device flow. What comes after the tokens is the code flow's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The request for the codes; `device-1` is the device code.
    pub start: Exchange,
    /// What the user is shown: exactly so.
    pub prompt: Json,
    /// A poll before the user has decided.
    pub pending: Exchange,
    /// The poll that brings the tokens.
    pub exchange: Exchange,
    /// Answers to a poll that end the flow, and the flow's error code.
    pub errors: Vec<Poll>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    pub answer: Answer,
    pub code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth1 {
    /// What the user enters first.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The request for temporary credentials; the answer names them `temporary-1` and `temporary-secret-1`.
    pub temporary: Exchange,
    /// The authorize URL: exactly these parameters.
    pub authorize: Authorize,
    /// What comes back.
    pub callback: BTreeMap<String, String>,
    /// The verifier for the token. The answer names it `access-1` and `access-secret-1`.
    pub exchange: Exchange,
    #[serde(default)]
    pub after: Vec<Exchange>,
    pub connection: Connection,
    pub call: Call,
    #[serde(default)]
    pub disconnect: Vec<Exchange>,
    pub revocation: String,
    /// At `temporary`, `callback`, `exchange` and `revoke`.
    pub errors: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keybased {
    /// What the user enters; `@rsa.pem` is a private key.
    pub inputs: BTreeMap<String, String>,
    /// The request for a token, where the manifest has one. The answer names it `access-1`.
    pub token: Option<Exchange>,
    /// The request that proves it, where the manifest has one.
    pub verify: Option<Exchange>,
    /// What is asked next where the keys are refused, and the last word on it.
    #[serde(default)]
    pub alternatives: Vec<Exchange>,
    /// The connection that this makes: exactly so.
    pub connection: Connection,
    /// A call of the API.
    pub call: Call,
    /// The end of the token, where the provider offers that.
    #[serde(default)]
    pub disconnect: Vec<Exchange>,
    /// The receipt's word for it.
    #[serde(default = "nothing")]
    pub revocation: String,
    /// The provider's ways to say no; `at` is `token`, `renewal`, `verify` or `revoke`.
    #[serde(default)]
    pub errors: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorize {
    /// Without the query.
    pub url: String,
    /// `*` stands for any value.
    pub params: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub request: Request,
    pub answer: Answer,
}

/// What must leave. Every header counts but `user-agent`, and `accept` and `content-type` where they are the usual ones.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub url: String,
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// `user:password` of HTTP Basic, decoded.
    pub basic: Option<String>,
    /// The body as a form; `*` stands for any value.
    pub form: Option<BTreeMap<String, String>>,
    /// The body as JSON; `*` stands for any value of a member on top.
    pub json: Option<Json>,
    /// The body as XML, letter by letter.
    pub xml: Option<String>,
    /// JWTs among the form's fields, by field: header, claims without those of time and `jti`, and the lifetime in seconds.
    #[serde(default)]
    pub jwt: BTreeMap<String, Jwt>,
    /// The OAuth 1.0a header: exactly these parameters, beside time, nonce and the signature, which must fit.
    pub signed: Option<Signed>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    pub header: Json,
    pub claims: Json,
    pub lifetime: i64,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    pub params: BTreeMap<String, String>,
    /// `client secret&token secret`.
    pub key: String,
}

fn nothing() -> String {
    "nothing_to_revoke".to_owned()
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub json: Option<Json>,
    pub text: Option<String>,
}

impl Answer {
    /// An access token is in it, which whoever refuses the answer must end at the provider.
    pub fn issues_a_token(&self) -> bool {
        let json = self.json.as_ref().map(ToString::to_string);
        json.iter().chain(&self.text).any(|answer| answer.contains("access-1"))
    }
}

fn ok() -> u16 {
    200
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    pub identity: Option<Identity>,
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Seconds; absent: the token has no end that is known.
    pub expires_in: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub id: String,
    pub label: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// What the host passes to `request`; the method is the request's.
    pub path: String,
    pub request: Request,
    pub answer: Answer,
}

impl Call {
    pub fn exchange(&self) -> Exchange {
        Exchange { request: self.request.clone(), answer: self.answer.clone() }
    }
}

/// One answer in place of the good one, and what becomes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub at: At,
    /// Absent at `callback`.
    pub answer: Option<Answer>,
    /// At `callback`: the parameters that come back in place of the good ones.
    pub params: Option<BTreeMap<String, String>>,
    /// The error code; at `revoke` the receipt's word.
    pub code: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// The last request of a registration.
    Registration,
    Callback,
    Exchange,
    /// The first request after the exchange.
    After,
    Refresh,
    Revoke,
    Verify,
    /// The request for a token of entered values.
    Token,
    /// The same when the token has ended.
    Renewal,
    /// The request for temporary credentials.
    Temporary,
}
