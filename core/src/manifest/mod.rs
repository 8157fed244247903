//! An application as data: what a manifest says, how one is read, checked and found.

/// Derives of every manifest type; an unknown key is a mistake that lint names.
macro_rules! manifest {
    ($($item:item)*) => { $(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $item
    )* };
}

mod catalog;
pub(crate) mod document;
pub mod draft;
pub(crate) mod family;
mod finding;
mod flow;
mod grants;
pub(crate) mod hosts;
pub mod inputs;
pub mod lint;
pub mod pattern;
pub(crate) mod schema;
pub(crate) mod shape;

pub mod template;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Brand, InputField, Json};

pub use catalog::{Catalog, SANDBOX_SLUGS};
pub(crate) use catalog::{file_finding, read_text};
pub use finding::{Finding, Severity};
pub use flow::{AuthorizeCallback, Copied, CopiedFrom, Pick, StateIn, Step};
pub use grants::{
    Device, Jwt, JwtAlgorithm, KeyGrant, KeyToken, MtlsAliases, Oauth1, Oauth1Revoke, Oauth1Signature, Registration, TokenClient,
};
pub use lint::{lint, lint_file};
pub use schema::schema;

manifest! {
    /// One application. Texts marked *template* may hold `{placeholders}`: see `manifest::template`.
    pub struct AppManifest {
        /// The manifest language's version: 1.
        pub manifest: u32,
        /// The manifest that this one is a variant of, by its slug: what is not said here is as it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["google"]))]
        pub extends: Option<String>,
        /// Keys of the manifest above that do not hold here, e.g. `oauth2.revoke`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(extend("examples" = [["oauth2.revoke"]]))]
        pub without: Vec<String>,
        /// Whether this is no application of its own but what others extend; default false. Never inherited.
        #[serde(default, rename = "abstract", skip_serializing_if = "std::ops::Not::not")]
        pub is_abstract: bool,
        /// The stable name: lower-case letters, digits and `-`.
        #[schemars(extend("examples" = ["acme"]))]
        pub slug: String,
        /// The name for people.
        pub name: String,
        /// One sentence about it.
        pub description: String,
        /// Sorting words.
        #[serde(default)]
        pub categories: Vec<String>,
        /// Help shown above the connect form.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub help: Option<String>,
        /// Pages for the developer: `docs`, `console` (where OAuth clients are made), `status`.
        #[serde(default)]
        pub links: BTreeMap<String, String>,
        /// How it looks.
        #[serde(default)]
        pub brand: Brand,
        /// How its API is called.
        #[serde(default)]
        pub api: Api,
        /// OAuth 2.0, when it offers that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub oauth2: Option<Oauth2>,
        /// OAuth 1.0a with three legs, when it offers that in place of OAuth 2.0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub oauth1: Option<Oauth1>,
        /// Keys, when it offers that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub keybased: Option<Keybased>,
        /// Values that are the same for everyone, which the project may set under `apps.<slug>.variables`.
        #[serde(default)]
        pub variables: BTreeMap<String, Variable>,
        /// Where the facts above come from.
        #[serde(default)]
        pub facts: Vec<Fact>,
    }

    /// Where facts come from.
    pub struct Fact {
        /// The keys it speaks of, e.g. `oauth2.token_url`, `brand.color`.
        pub about: Vec<String>,
        /// The page that says so.
        pub source: String,
        /// When it was read there, `YYYY-MM-DD`.
        pub date: String,
        /// What is worth knowing beside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub note: Option<String>,
    }

    /// A value that is the same for everyone of one organisation.
    pub struct Variable {
        /// What it is, for the developer.
        pub description: String,
        /// Used where the project sets none; without it the project must.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub default: Option<String>,
        /// What a value must match: see `manifest::pattern`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pattern: Option<String>,
    }

    /// How the API is called.
    #[derive(Default)]
    pub struct Api {
        /// Template, ends with `/`. Relative paths of `request` are resolved against it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["https://api.example.com/v1/", "https://{shop}.example.com/api/"]))]
        pub base_url: Option<String>,
        /// Templates: headers of every call, e.g. a version.
        #[serde(default)]
        pub headers: BTreeMap<String, String>,
        /// Where the access token goes; default `Authorization: Bearer {access_token}`. Key-based placement stands under `keybased`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub placement: Option<Placements>,
        /// When to wait and try again.
        #[serde(default)]
        pub rate_limit: RateLimit,
        /// Whether calls present the client's certificate, as tokens that are bound to it demand (RFC 8705 section 3). Default false.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub client_certificate: bool,
        /// How its lists come in pages; a call may say otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pagination: Option<Pagination>,
    }

    /// How a list comes in pages.
    pub struct Pagination {
        /// How the next page is named.
        pub style: PageStyle,
        /// JSON pointer of the list in a page, `""` for the page itself. Absent: the page itself, or the only list in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub items: Option<String>,
        /// JSON pointer of the next page's cursor, or of its URL with style `link`, which otherwise reads the `Link` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
        /// JSON pointer of a boolean: `false` says that this page is the last one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub more: Option<String>,
        /// The parameter that names the page; default `cursor`, `offset` or `page`. It goes into the body of a call that has a JSON
        /// object there, else into the query.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub param: Option<String>,
        /// The number of the first page or item; default 1 for `page`, 0 for `offset`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub start: Option<u64>,
        /// The parameter that says how many items a page has; sent with `size`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub size_param: Option<String>,
        /// How many items a page has; a page with fewer is the last one with `offset` and `page`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub size: Option<u64>,
    }

    /// One place or several.
    #[serde(untagged)]
    pub enum Placements {
        /// One place.
        One(Placement),
        /// Several places, filled in this order.
        Several(Vec<Placement>),
    }

    /// Where a credential goes in a request.
    #[serde(tag = "in", rename_all = "snake_case")]
    pub enum Placement {
        /// A header; `value` is a template.
        Header {
            /// The header's name.
            name: String,
            /// Template, e.g. `Bearer {access_token}`.
            value: String,
        },
        /// A query parameter; `value` is a template.
        Query {
            /// The parameter's name.
            name: String,
            /// Template.
            value: String,
        },
        /// HTTP Basic; both are templates.
        Basic {
            /// Template.
            username: String,
            /// Template; may be empty.
            password: String,
        },
        /// A member of the body: of a JSON object or a form, as the call's body is; without a body it becomes a JSON object.
        /// Calls that carry no body (GET, HEAD) stay without it.
        Body {
            /// The member's name.
            name: String,
            /// Template.
            value: String,
        },
        /// An element of the XML document that the call sends: what it held before is replaced. A call without such an element is
        /// refused; those that carry no body (GET, HEAD) stay without it.
        Xml {
            /// The element, by the names that lead to it, e.g. `/request/operation/authentication/sessionid`.
            path: String,
            /// Template.
            value: String,
        },
        /// OAuth 1.0a: every request is signed (RFC 5849); all are templates.
        Oauth1 {
            /// Template: the client's key.
            consumer_key: String,
            /// Template: the client's secret.
            consumer_secret: String,
            /// Template.
            token: String,
            /// Template.
            token_secret: String,
            /// How requests are signed; default `HMAC-SHA1`.
            #[serde(default)]
            signature: Oauth1Signature,
            /// Template: the realm of the Authorization header.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            realm: Option<String>,
        },
    }

    /// When to wait and try again.
    #[derive(Default)]
    pub struct RateLimit {
        /// Statuses that mean "too many"; default 429 and 503.
        #[serde(default)]
        pub statuses: Vec<u16>,
        /// The header with seconds or an HTTP date; default `retry-after`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retry_after: Option<String>,
        /// The header with the time of the next window: seconds or milliseconds since 1970, or a date.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reset_at: Option<String>,
        /// The header with the calls that are left; 0 on an answer of 400 or above means "too many".
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub remaining: Option<String>,
        /// Error codes that mean "too many" whatever the status, and that nothing was done.
        #[serde(default)]
        pub errors: Vec<String>,
        /// JSON pointer of those codes; default `/error`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<String>,
    }

    /// OAuth 2.0 authorization code.
    #[derive(Default)]
    pub struct Oauth2 {
        /// Template: the page where the user consents. Absent where the provider offers the device flow alone.
        #[schemars(extend("examples" = ["https://id.example.com/oauth/authorize"]))]
        #[serde(default, skip_serializing_if = "String::is_empty")]
        pub authorize_url: String,
        /// Template: where codes and refresh tokens are exchanged. May name values of `copy_from_callback`.
        #[schemars(extend("examples" = ["https://id.example.com/oauth/token", "https://{accounts_host}/oauth/v2/token"]))]
        pub token_url: String,
        /// Template; default `token_url`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub refresh_url: Option<String>,
        /// The issuer, where the provider states it in the callback (RFC 9207); then it is required there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub issuer: Option<String>,
        /// Templates: more parameters of the authorize URL. An empty text leaves a parameter of Smalt's own out.
        #[schemars(extend("examples" = [{"access_type": "offline"}]))]
        #[serde(default)]
        pub authorize_params: BTreeMap<String, String>,
        /// Templates: more parameters of the token request. An empty text leaves a parameter of Smalt's own out, so that it can go by
        /// another name: `{ code = "", auth_code = "{code}" }`.
        #[schemars(extend("examples" = [{"audience": "api"}, {"client_id": "", "client_key": "{client_id}"}]))]
        #[serde(default)]
        pub token_params: BTreeMap<String, String>,
        /// Templates: more parameters of the refresh request; an empty text as in `token_params`.
        #[serde(default)]
        pub refresh_params: BTreeMap<String, String>,
        /// Templates: more headers of both.
        #[serde(default)]
        pub token_headers: BTreeMap<String, String>,
        /// PKCE; default `S256`.
        #[serde(default)]
        pub pkce: Pkce,
        /// How the client proves itself at the token URL; default `basic`.
        #[serde(default)]
        pub client_auth: ClientAuth,
        /// The client's JWT, for `private_key_jwt` and `client_secret_jwt`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub client_assertion: Option<Jwt>,
        /// The device flow, where the provider offers it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub device: Option<Device>,
        /// Other URLs for clients that prove themselves by a certificate (RFC 8705 section 5).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub mtls_endpoint_aliases: Option<MtlsAliases>,
        /// How a client is registered, where the provider wants one for each who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub registration: Option<Registration>,
        /// The token request's form; default `form`.
        #[serde(default)]
        pub token_body: TokenBody,
        /// The method of token and refresh requests: `POST` (default), or `GET`, which puts the parameters into the query.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("enum" = ["POST", "GET", null]))]
        pub token_method: Option<String>,
        /// What is asked for.
        #[serde(default)]
        pub scopes: Scopes,
        /// Where the values stand in the token answer.
        #[serde(default)]
        pub answer: TokenAnswer,
        /// How tokens are renewed.
        #[serde(default)]
        pub refresh: Refresh,
        /// How a grant is ended; absent where the provider offers nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub revoke: Option<Revoke>,
        /// How the provider's callback differs from RFC 6749.
        #[serde(default, skip_serializing_if = "is_default")]
        pub callback: AuthorizeCallback,
        /// Values to keep from the token answer: property name to JSON pointer, or with a check.
        #[serde(default)]
        #[schemars(extend("examples" = [{"team_id": "/team/id"}]))]
        pub copy_from_token: BTreeMap<String, Copied>,
        /// Values to keep from the callback's query: property name to parameter, or with a check.
        #[serde(default)]
        #[schemars(extend("examples" = [{"realm_id": {"from": "realmId", "pattern": "\\d+"}}]))]
        pub copy_from_callback: BTreeMap<String, Copied>,
        /// Requests that follow the exchange, in this order: look something up, or swap the token for another one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub steps: Vec<Step>,
        /// What the user must enter first, e.g. a shop's name.
        #[serde(default)]
        pub inputs: Vec<InputField>,
        /// Who the user is at the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub identity: Option<IdentityRequest>,
    }

    /// What is asked for.
    #[derive(Default)]
    pub struct Scopes {
        /// Asked for when the project names none.
        #[serde(default)]
        pub default: Vec<String>,
        /// Always asked for; the connection fails with `scope_missing` without them.
        #[serde(default)]
        pub required: Vec<String>,
        /// Not asked for unless the project or the caller names them; for those who read what there is.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub suggested: Vec<String>,
        /// What a scope is needed for: scope to reason.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(extend("examples" = [{"chat:write": "posts notifications"}]))]
        pub reasons: BTreeMap<String, String>,
        /// Between them; default one space.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub separator: Option<String>,
        /// The parameter's name; default `scope`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub param: Option<String>,
    }

    /// Where the values stand in the token answer; JSON pointers, RFC 6749's places by default.
    #[derive(Default)]
    pub struct TokenAnswer {
        /// Default `/access_token`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub access_token: Option<String>,
        /// Default `/refresh_token`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub refresh_token: Option<String>,
        /// Default `/expires_in`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires_in: Option<String>,
        /// Default `/scope`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub scope: Option<String>,
        /// Default `/token_type`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub token_type: Option<String>,
        /// Default `/error`. A value there is an error whatever the status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<String>,
        /// Default `/error_description`. Read for `refresh.errors` only; never shown or kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error_description: Option<String>,
        /// An answer is an error unless the value at this pointer equals `equals`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub success: Option<Success>,
        /// How answers are written; default `auto`. In XML a pointer leads from the outermost element to the inner ones, e.g.
        /// `/response/session/id`; an attribute is `@name`. Of elements that stand there several times the first is meant, unless a
        /// number follows the name, from 0.
        #[serde(default, skip_serializing_if = "is_default")]
        #[schemars(extend("default" = "auto"))]
        pub format: AnswerFormat,
        /// How `expires_in` is to be read; default `auto`.
        #[serde(default, skip_serializing_if = "is_default")]
        #[schemars(extend("default" = "auto"))]
        pub expires_unit: ExpiresUnit,
        /// The lifetime in seconds when the answer states none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub default_expires_in: Option<u64>,
    }

    /// What a good answer holds.
    pub struct Success {
        /// JSON pointer.
        pub pointer: String,
        /// The value there.
        pub equals: Json,
    }

    /// How tokens are renewed.
    #[derive(Default)]
    pub struct Refresh {
        /// What happens to the refresh token; default `rotates`, the careful choice.
        #[serde(default)]
        pub rotation: Rotation,
        /// Seconds during which the provider takes the old refresh token once more; default 0.
        #[serde(default)]
        pub grace: u64,
        /// Renew this many seconds before the end; default 60.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub early: Option<u64>,
        /// Provider error codes that mean the grant is dead; default `invalid_grant`.
        #[serde(default)]
        pub final_errors: Vec<String>,
        /// Provider error codes that mean the organisation's client is refused; default `invalid_client`, `unauthorized_client`.
        #[serde(default)]
        pub client_errors: Vec<String>,
        /// What refusals mean that their code alone does not tell; the first rule that fits goes before the lists above.
        #[serde(default)]
        pub errors: Vec<RefusalRule>,
        /// Renewals per minute that the provider takes from one client; default the project's `refresh.per_minute`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub per_minute: Option<u32>,
        /// Seconds after which a refresh token that nobody used is dead. A connection is renewed in time, also where nobody uses it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub unused_life: Option<u64>,
    }

    /// What one refusal of the token URL means. All that is given must fit.
    pub struct RefusalRule {
        /// The provider's error code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<String>,
        /// A part of its description, in any case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub description: Option<String>,
        /// What it means.
        pub means: RefusalMeaning,
    }

    /// How a grant is ended.
    #[derive(Default)]
    pub struct Revoke {
        /// Template.
        #[schemars(extend("examples" = ["https://id.example.com/oauth/revoke"]))]
        pub url: String,
        /// Which token; default `refresh`.
        #[serde(default)]
        pub token: RevokeToken,
        /// `POST` by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub method: Option<String>,
        /// Templates (`{token}` is the token): the body's or query's parameters; default `token`, `token_type_hint`,
        /// or none where the URL or a header names `{token}`.
        #[serde(default)]
        pub params: BTreeMap<String, String>,
        /// How the client proves itself; default as at the token URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub client_auth: Option<ClientAuth>,
        /// The body's form; default `form`.
        #[serde(default)]
        pub body: TokenBody,
        /// Templates: more headers.
        #[serde(default)]
        pub headers: BTreeMap<String, String>,
        /// A good answer holds this; for providers that answer 200 to everything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub success: Option<Success>,
        /// Provider error codes (at `answer.error`) that mean the grant was dead already, which is as good.
        #[serde(default)]
        pub gone_errors: Vec<String>,
        /// Statuses that mean the grant was dead already.
        #[serde(default)]
        pub gone_statuses: Vec<u16>,
        /// Whether ending one connection's grant ends those of the same user and client too.
        #[serde(default)]
        pub shared_grant: bool,
    }

    /// Who the user is at the provider.
    pub struct IdentityRequest {
        /// Template, or a path below the API's base URL. Absent: read from the token answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub url: Option<String>,
        /// `GET` by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub method: Option<String>,
        /// JSON pointer of the stable id; or a template of copied values, e.g. `{realm_id}`.
        #[schemars(extend("examples" = ["/id", "{realm_id}"]))]
        pub id: String,
        /// JSON pointer of what people recognise, or a template of copied values.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub label: Option<String>,
    }

    /// Keys.
    pub struct Keybased {
        /// What the user must enter.
        pub inputs: Vec<InputField>,
        /// Where the values go in a request; templates name the inputs, and `{access_token}` where there is a `token`.
        pub placement: Placements,
        /// How the values become an access token; absent where they are sent themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub token: Option<KeyToken>,
        /// The request that proves them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub verify: Option<VerifyRequest>,
    }

    /// The request that proves entered values.
    pub struct VerifyRequest {
        /// Template, or a path below the API's base URL.
        pub url: String,
        /// `GET` by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub method: Option<String>,
        /// More URLs like `url`: the values are good as soon as one of them takes them, for keys that may reach only a part of the API.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub alternatives: Vec<String>,
        /// Templates: more headers.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub headers: BTreeMap<String, String>,
        /// Templates: the body's parameters, or the query's of a `GET`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub params: BTreeMap<String, String>,
        /// The body's form; default `form`.
        #[serde(default, skip_serializing_if = "is_default")]
        #[schemars(extend("default" = "form"))]
        pub body: TokenBody,
        /// Values to keep from the answer: property name to JSON pointer, or with a check.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub copy: BTreeMap<String, Copied>,
        /// Statuses that mean "refused"; default 401 and 403.
        #[serde(default)]
        pub rejected: Vec<u16>,
        /// A good answer holds this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub success: Option<Success>,
        /// JSON pointer of the stable id of who it is; or a template of inputs that are no secrets, e.g. `{account_id}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub id: Option<String>,
        /// The same of what people recognise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub label: Option<String>,
    }
}

/// What is as it is anyway is not written out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

macro_rules! choices {
    ($($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant,)* }
    )* };
}

choices! {
    /// How the next page of a list is named.
    pub enum PageStyle {
        /// By a value in the page.
        #[default] Cursor = "cursor",
        /// By a URL: in the `Link` header (RFC 8288), or in the page.
        Link = "link",
        /// By how many items to skip.
        Offset = "offset",
        /// By a number.
        Page = "page",
    }
    /// Proof key for code exchange (RFC 7636).
    pub enum Pkce {
        /// On.
        #[default] S256 = "S256",
        /// On, with the verifier itself as challenge, for providers that know no other: weaker than S256.
        Plain = "plain",
        /// Off, for providers that refuse it.
        Off = "off",
    }
    /// How the client proves itself (RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 8705 section 2).
    pub enum ClientAuth {
        /// HTTP Basic.
        #[default] Basic = "basic",
        /// `client_id` and `client_secret` in the body.
        Body = "body",
        /// `client_id` only: a public client.
        None = "none",
        /// A JWT that the client's private key signs.
        PrivateKeyJwt = "private_key_jwt",
        /// A JWT that the client's secret signs.
        ClientSecretJwt = "client_secret_jwt",
        /// The client's certificate, which an authority signed (RFC 8705 section 2.1).
        TlsClientAuth = "tls_client_auth",
        /// The client's certificate, which it signed itself (RFC 8705 section 2.2).
        SelfSignedTlsClientAuth = "self_signed_tls_client_auth",
    }
    /// The form of a token request.
    pub enum TokenBody {
        /// `application/x-www-form-urlencoded`.
        #[default] Form = "form",
        /// `application/json`.
        Json = "json",
        /// No body: the parameters stand in the URL.
        Query = "query",
    }
    /// How answers are written.
    pub enum AnswerFormat {
        /// JSON, or a form.
        #[default] Auto = "auto",
        /// XML.
        Xml = "xml",
    }
    /// How a stated end of a token is to be read.
    pub enum ExpiresUnit {
        /// Seconds from now; more than ten years is taken for a time, in seconds or milliseconds since 1970.
        #[default] Auto = "auto",
        /// Seconds from now.
        Seconds = "seconds",
        /// Minutes from now.
        Minutes = "minutes",
        /// Milliseconds from now.
        Milliseconds = "milliseconds",
        /// A time, in seconds since 1970.
        AtSeconds = "at_seconds",
        /// A time, in milliseconds since 1970.
        AtMilliseconds = "at_milliseconds",
        /// A time as RFC 3339 writes it, e.g. `2026-11-25T12:00:00Z`.
        AtDate = "at_date",
    }
    /// What a refresh does to the refresh token.
    pub enum Rotation {
        /// Each works once.
        #[default] Rotates = "rotates",
        /// It stays.
        Stays = "stays",
        /// There are no refresh tokens; the access token lives until it is revoked.
        Never = "never",
    }
    /// Whose fault a refusal is, and whether it passes.
    pub enum RefusalMeaning {
        /// The grant is dead: the user must authorise again.
        #[default] Final = "final",
        /// The organisation's client is refused; grants are untouched.
        Client = "client",
        /// The grant is refused for now, e.g. while the user is switched off at the provider. It is kept and tried again, rarely.
        Suspended = "suspended",
        /// Trouble of the provider that passes.
        Passing = "passing",
    }
    /// Which token a revocation names.
    pub enum RevokeToken {
        /// The refresh token, or the access token where there is none.
        #[default] Refresh = "refresh",
        /// The access token.
        Access = "access",
        /// Both, one request each.
        Both = "both",
    }
}

impl Placements {
    /// The places, in order.
    pub fn all(&self) -> &[Placement] {
        match self {
            Placements::One(one) => std::slice::from_ref(one),
            Placements::Several(some) => some,
        }
    }
}

impl Placement {
    /// Its templates, each with its key.
    pub(crate) fn templates(&self) -> Vec<(&'static str, &String)> {
        match self {
            Placement::Header { value, .. }
            | Placement::Query { value, .. }
            | Placement::Body { value, .. }
            | Placement::Xml { value, .. } => {
                vec![("value", value)]
            }
            Placement::Basic { username, password } => vec![("username", username), ("password", password)],
            Placement::Oauth1 { consumer_key, consumer_secret, token, token_secret, realm, .. } => {
                let keys = [
                    ("consumer_key", consumer_key),
                    ("consumer_secret", consumer_secret),
                    ("token", token),
                    ("token_secret", token_secret),
                ];
                keys.into_iter().chain(realm.iter().map(|realm| ("realm", realm))).collect()
            }
        }
    }

    /// Whether any of its templates names one of these, also as the key of a function.
    pub(crate) fn names(&self, wanted: &[&str]) -> bool {
        self.templates().iter().any(|(_, text)| template::names(text, wanted))
    }
}

impl ClientAuth {
    /// Whether the proof is a certificate, below HTTP.
    pub fn is_mutual_tls(self) -> bool {
        matches!(self, ClientAuth::TlsClientAuth | ClientAuth::SelfSignedTlsClientAuth)
    }
}

impl Oauth2 {
    fn alias(&self, which: impl Fn(&MtlsAliases) -> Option<&String>) -> Option<&str> {
        let aliases = self.mtls_endpoint_aliases.as_ref().filter(|_| self.client_auth.is_mutual_tls())?;
        which(aliases).map(String::as_str)
    }

    /// Template: where codes are exchanged, for the way in which the client proves itself.
    pub fn token_endpoint(&self) -> &str {
        self.alias(|aliases| aliases.token_url.as_ref()).unwrap_or(&self.token_url)
    }

    /// Template: where tokens are renewed.
    pub fn refresh_endpoint(&self) -> &str {
        self.refresh_url.as_deref().unwrap_or_else(|| self.token_endpoint())
    }

    /// Whether the user can consent at a page that sends them back; otherwise only with a code, on a device.
    pub fn has_page(&self) -> bool {
        !self.authorize_url.is_empty()
    }

    /// Template: where a device flow begins.
    pub fn device_endpoint<'a>(&'a self, device: &'a Device) -> &'a str {
        self.alias(|aliases| aliases.device_url.as_ref()).unwrap_or(&device.url)
    }

    /// Template: where grants are ended.
    pub fn revoke_endpoint<'a>(&'a self, revoke: &'a Revoke) -> &'a str {
        self.alias(|aliases| aliases.revoke_url.as_ref()).unwrap_or(&revoke.url)
    }

    /// The names of everything that is kept beside the tokens: from the callback, the token answer and the steps.
    pub fn copied_names(&self) -> impl Iterator<Item = &String> {
        self.copy_from_callback.keys().chain(self.copy_from_token.keys()).chain(self.steps.iter().flat_map(|step| step.copy.keys()))
    }
}
