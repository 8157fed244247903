//! Ways to authorise beside the authorization code: how entered values become a token, the device flow, OAuth 1.0a, and
//! the JWTs that prove a client or ask for a token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClientAuth, Copied, IdentityRequest, Oauth2, Pkce, Placement, Refresh, Revoke, Rotation, Scopes, TokenAnswer, TokenBody};
use crate::model::InputField;

/// Derives of every type here; an unknown key is a mistake that lint names.
macro_rules! grants {
    ($($item:item)*) => { $(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $item
    )* };
}

/// Enums of unit variants with a fixed text.
macro_rules! words {
    ($($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)* })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant,)* }
    )* };
}

words! {
    /// How entered values become an access token.
    pub enum KeyGrant {
        /// OAuth 2.0 client credentials (RFC 6749 section 4.4).
        #[default] ClientCredentials = "client_credentials",
        /// A JWT that the values sign (RFC 7523 section 2.1), e.g. of a service account.
        JwtBearer = "jwt_bearer",
        /// A login request of the application's own form.
        Login = "login",
    }
    /// Whose client asks for the token.
    pub enum TokenClient {
        /// The organisation's, of the project file.
        #[default] Project = "project",
        /// The end customer's own: the inputs `client_id` and `client_secret`.
        Inputs = "inputs",
        /// None: the request proves itself otherwise.
        None = "none",
    }
    /// How a JWT is signed (RFC 7518 section 3.1).
    pub enum JwtAlgorithm {
        /// RSA PKCS #1 v1.5 with SHA-256.
        #[default] Rs256 = "RS256",
        /// RSA PKCS #1 v1.5 with SHA-384.
        Rs384 = "RS384",
        /// RSA PKCS #1 v1.5 with SHA-512.
        Rs512 = "RS512",
        /// RSA PSS with SHA-256.
        Ps256 = "PS256",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// ECDSA on P-384 with SHA-384.
        Es384 = "ES384",
        /// HMAC with SHA-256: the key is the secret text itself.
        Hs256 = "HS256",
    }
    /// How OAuth 1.0a requests are signed (RFC 5849 section 3.4).
    pub enum Oauth1Signature {
        /// HMAC-SHA1, which the RFC defines.
        #[default] HmacSha1 = "HMAC-SHA1",
        /// HMAC-SHA256, which some providers demand.
        HmacSha256 = "HMAC-SHA256",
    }
}

grants! {
    /// How entered values become an access token. There is no refresh token: when the token ends, the request is made again.
    pub struct KeyToken {
        /// The kind of request.
        pub grant: KeyGrant,
        /// Template: where the token comes from.
        pub url: String,
        /// Whose client it is; default `project` for `client_credentials`, `none` for the others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub client: Option<TokenClient>,
        /// How the client proves itself; default `basic`.
        #[serde(default)]
        pub client_auth: ClientAuth,
        /// The client's JWT, for `private_key_jwt` and `client_secret_jwt`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub client_assertion: Option<Jwt>,
        /// `jwt_bearer`: the JWT that is exchanged. `login`: its templates may name it as `{assertion}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub assertion: Option<Jwt>,
        /// `POST` by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub method: Option<String>,
        /// Templates: more parameters; of a `login`, all of them.
        #[serde(default)]
        pub params: BTreeMap<String, String>,
        /// Templates: more headers.
        #[serde(default)]
        pub headers: BTreeMap<String, String>,
        /// Where the values go in the request itself, e.g. HTTP Basic; beside `params`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub placement: Option<Placement>,
        /// The request's form; default `form`.
        #[serde(default)]
        pub body: TokenBody,
        /// `login`: template of the XML document that the request sends, in place of `params` and `body`. Values are escaped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["<login><user>{user}</user><password>{password}</password></login>"]))]
        pub xml: Option<String>,
        /// What is asked for.
        #[serde(default)]
        pub scopes: Scopes,
        /// Where the values stand in the answer.
        #[serde(default)]
        pub answer: TokenAnswer,
        /// Renew this many seconds before the end; default 60.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub early: Option<u64>,
        /// Statuses that mean that the values are refused; default 401 and 403, where the values prove the request.
        #[serde(default)]
        pub rejected: Vec<u16>,
        /// Provider error codes that mean that the values are refused; default `invalid_grant`.
        #[serde(default)]
        pub final_errors: Vec<String>,
        /// Provider error codes that mean that the client is refused; default `invalid_client`, `unauthorized_client`.
        #[serde(default)]
        pub client_errors: Vec<String>,
        /// Values to keep from the answer: property name to JSON pointer.
        #[serde(default)]
        pub copy_from_token: BTreeMap<String, Copied>,
        /// JSON pointer, in the answer, of the stable id of who it is; or a template of inputs that are no secrets and copied
        /// values. `keybased.verify` goes before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub id: Option<String>,
        /// The same of what people recognise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub label: Option<String>,
        /// How a token is ended; absent where the provider offers nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub revoke: Option<Revoke>,
    }

    /// A signed JWT (RFC 7519). `iat`, `exp` and a fresh `jti` are set by Smalt, each time anew.
    #[derive(Default)]
    pub struct Jwt {
        /// How it is signed; default `RS256`, and `HS256` for `client_secret_jwt`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub algorithm: Option<JwtAlgorithm>,
        /// Template: the private key in PEM form, or the secret. A client's is its secret of the project file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub key: Option<String>,
        /// Templates: more of the header, e.g. `kid`.
        #[serde(default)]
        pub header: BTreeMap<String, String>,
        /// Templates: `iss`, `sub`, `aud` and others; `{scope}` is what is asked for. One whose optional input was left
        /// empty is left out. `aud` is the token URL by default; a client's `iss` and `sub` are its id.
        #[serde(default)]
        pub claims: BTreeMap<String, String>,
        /// Seconds from `iat` to `exp`; default 300.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub lifetime: Option<u64>,
    }

    /// The device flow (RFC 8628): the user enters a code at the provider's page, on any device.
    pub struct Device {
        /// Template: the device authorization URL.
        pub url: String,
        /// Templates: more parameters of the first request.
        #[serde(default)]
        pub params: BTreeMap<String, String>,
        /// Whether the first request carries a PKCE challenge; default `off`, which RFC 8628 has.
        #[serde(default = "off")]
        pub pkce: Pkce,
        /// How the client proves itself in both requests; default as at the token URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub client_auth: Option<ClientAuth>,
    }

    /// Other URLs for clients that prove themselves by a certificate: servers may listen elsewhere for them (RFC 8705 section 5).
    #[derive(Default)]
    pub struct MtlsAliases {
        /// Template, in place of `token_url`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["https://mtls.id.example.com/oauth/token"]))]
        pub token_url: Option<String>,
        /// Template, in place of `revoke.url`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub revoke_url: Option<String>,
        /// Template, in place of `device.url`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub device_url: Option<String>,
    }

    /// Dynamic client registration (RFC 7591): the provider is asked for a client, once for each organisation, environment and host,
    /// when the first user connects. Where a host is the user's own (a server of one's own), that is the only way to have a client.
    pub struct Registration {
        /// Template: the registration endpoint. It may name variables and inputs that are no secrets.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["https://id.example.com/register"]))]
        pub url: Option<String>,
        /// Template, in place of `url`: metadata that name the endpoint as `registration_endpoint` (RFC 8414, OpenID Connect
        /// Discovery). It must be of the same origin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["https://{instance}/.well-known/oauth-authorization-server"]))]
        pub discovery: Option<String>,
        /// The request's form: `json` (default, RFC 7591) or `form`.
        #[serde(default = "json")]
        #[schemars(extend("default" = "json"))]
        pub body: TokenBody,
        /// Templates: more parameters, or other names for those of RFC 7591, of which an empty text leaves one out. Known are
        /// `{client_name}`, `{redirect_uris}` (a line each), `{scope}` and `{public_url}`; a parameter whose value is not there is
        /// left out.
        #[serde(default)]
        #[schemars(extend("examples" = [{"scope": "", "scopes": "{scope}"}]))]
        pub params: BTreeMap<String, String>,
        /// Templates: more headers.
        #[serde(default)]
        pub headers: BTreeMap<String, String>,
        /// Seconds after which the provider deletes a client with which nobody has connected: an older one is registered anew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub unused_life: Option<u64>,
    }

    /// OAuth 1.0a with three legs (RFC 5849 section 2). The client is that of the project file: consumer key and secret.
    pub struct Oauth1 {
        /// Template: where the temporary credentials come from.
        pub request_token_url: String,
        /// Template.
        pub authorize_url: String,
        /// Template: where the token comes from.
        pub access_token_url: String,
        /// How requests are signed; default `HMAC-SHA1`.
        #[serde(default)]
        pub signature: Oauth1Signature,
        /// Template: the realm of the Authorization header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub realm: Option<String>,
        /// Templates: more parameters of the authorize URL, e.g. the scope.
        #[serde(default)]
        pub authorize_params: BTreeMap<String, String>,
        /// Values to keep from the token answer: property name to JSON pointer.
        #[serde(default)]
        pub copy_from_token: BTreeMap<String, Copied>,
        /// How a token is ended: a signed request; absent where the provider offers nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub revoke: Option<Oauth1Revoke>,
        /// What the user must enter first.
        #[serde(default)]
        pub inputs: Vec<InputField>,
        /// Who the user is at the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub identity: Option<IdentityRequest>,
    }

    /// How an OAuth 1.0a token is ended.
    pub struct Oauth1Revoke {
        /// Template; may name `{token}`.
        pub url: String,
        /// `POST` by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub method: Option<String>,
        /// Statuses that mean that the token was dead already; 401 is one by default.
        #[serde(default)]
        pub gone_statuses: Vec<u16>,
    }
}

fn off() -> Pkce {
    Pkce::Off
}

fn json() -> TokenBody {
    TokenBody::Json
}

impl KeyToken {
    /// Whose client asks.
    pub fn client(&self) -> TokenClient {
        self.client.unwrap_or(match self.grant {
            KeyGrant::ClientCredentials => TokenClient::Project,
            KeyGrant::JwtBearer | KeyGrant::Login => TokenClient::None,
        })
    }

    /// Whether the customer's own certificate proves the client: the inputs `client_certificate` and, where it does not hold
    /// the key, `client_key`.
    pub fn proves_by_own_certificate(&self) -> bool {
        self.client() == TokenClient::Inputs && self.client_auth.is_mutual_tls()
    }

    /// Whether a refusal is about what the user entered, not about the organisation's client.
    pub fn proves_by_values(&self) -> bool {
        self.client() != TokenClient::Project
    }

    /// The rules by which requests are proven, answers read and tokens ended, in the words of OAuth 2.0.
    pub fn rules(&self) -> Oauth2 {
        Oauth2 {
            token_url: self.url.clone(),
            token_headers: self.headers.clone(),
            client_auth: self.client_auth,
            client_assertion: self.client_assertion.clone(),
            token_body: self.body,
            scopes: self.scopes.clone(),
            answer: self.answer.clone(),
            refresh: Refresh {
                rotation: Rotation::Stays,
                grace: 0,
                early: self.early,
                final_errors: self.final_errors.clone(),
                client_errors: self.client_errors.clone(),
                ..Refresh::default()
            },
            revoke: self.revoke.clone(),
            copy_from_token: self.copy_from_token.clone(),
            ..Oauth2::default()
        }
    }
}
