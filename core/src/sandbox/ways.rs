use std::collections::BTreeMap;

use super::Mistake;
use crate::model::{JsonMap, words};

words! {
    /// The form of `expires_in` in token answers. The token's true life is always [`Ways::expires_in`].
    #[derive(Default)]
    pub enum ExpiresForm {
        /// A number of seconds.
        #[default]
        Number = "number",
        /// Not there.
        Missing = "missing",
        /// A number, one less than the true life.
        Short = "short",
        /// A number in a string.
        String = "string",
        /// `0`.
        Zero = "zero",
        /// `-1`.
        Negative = "negative",
        /// `1000000000000`.
        Huge = "huge",
    }
    /// The scope of a token, and how the answer states it.
    #[derive(Default)]
    pub enum ScopeForm {
        /// What was granted.
        #[default]
        Granted = "granted",
        /// What was granted, but the answer does not say it.
        Missing = "missing",
        /// Without the last one of what was granted.
        Narrower = "narrower",
        /// With `sandbox.extra`, which nobody asked for.
        Wider = "wider",
    }
    /// The whole form of token answers.
    #[derive(Default)]
    pub enum TokenForm {
        /// A JSON object (RFC 6749 section 5.1).
        #[default]
        Json = "json",
        /// `application/x-www-form-urlencoded`.
        Form = "form",
        /// JSON with everything one level down: `{"ok": true, "authed_user": {…}}`.
        Nested = "nested",
    }
    /// What a refresh does to the refresh token.
    #[derive(Default)]
    pub enum Rotation {
        /// A new one; the old one is used up.
        #[default]
        Rotate = "rotate",
        /// It stays, and the answer repeats it.
        Same = "same",
        /// It stays, and the answer does not have it.
        Omit = "omit",
    }
    /// The `iss` parameter of callbacks (RFC 9207).
    #[derive(Default)]
    pub enum IssuerForm {
        /// The issuer of the metadata.
        #[default]
        Right = "right",
        /// Not there.
        Missing = "missing",
        /// Another server's.
        Wrong = "wrong",
        /// The right one, twice.
        Doubled = "doubled",
        /// The right one with `/` at its end.
        TrailingSlash = "trailing_slash",
    }
    /// The style of errors of the token endpoint.
    #[derive(Default)]
    pub enum ErrorStyle {
        /// RFC 6749 section 5.2.
        #[default]
        Standard = "standard",
        /// `400 unauthorized_client` for every failure of client, code and refresh token, as Gitea does.
        UnauthorizedClient = "unauthorized_client",
    }
}

/// How a server of its own kind refuses a mistake; what is not there stays as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Refused {
    /// The HTTP status; at the authorize page it has no meaning.
    pub status: Option<u16>,
    /// The OAuth error code.
    pub error: Option<String>,
    /// The `error_description`; the empty text leaves it out.
    pub description: Option<String>,
}

/// The standing ways of the provider. The JSON form has the same names; absent ones keep their value, unknown ones are refused.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ways {
    /// Consents at once as this user (`ada`, `grace`, `linus`), without a page. Default none: the page is shown.
    pub auto_consent: Option<String>,
    /// Whether a user who consented to this client in this browser is sent back at once the next time, with another code. The parameter
    /// `sandbox_browser` of the authorize URL tells browsers apart; `prompt=consent` asks all the same. Default false.
    pub remembers_consent: bool,
    /// The scopes that the user leaves on, of those asked for. Default none: all.
    pub granted_scopes: Option<Vec<String>>,
    /// The scopes that exist; others are `invalid_scope`. Default none: every scope exists.
    pub known_scopes: Option<Vec<String>>,
    /// Scopes that every token gets beside the granted ones, as Keycloak does. Default none.
    pub default_scopes: Vec<String>,
    /// Whether the authorize page demands PKCE. Default true.
    pub pkce_required: bool,
    /// Whether the challenge method `plain` is taken, too. Default false: S256 only.
    pub pkce_plain: bool,
    /// The life of a code in seconds. Default 60.
    pub code_lifetime: u64,
    /// How many characters a code has, 16 to 100,000. Default 43.
    pub code_length: usize,
    /// Whether a token request must repeat the redirect URI. Default true.
    pub redirect_uri_required: bool,
    /// Whether an exchange with a wrong verifier spends the code. Default false.
    pub wrong_verifier_spends: bool,
    /// The true life of an access token in seconds. Default 3600.
    pub expires_in: u64,
    /// For so many seconds after its end an access token still works. Default 0.
    pub access_leeway: u64,
    /// The true life of a refresh token in seconds, stated as `refresh_expires_in`. Default none: no end.
    pub refresh_expires_in: Option<u64>,
    /// Whether the scope `offline_access` gives refresh tokens without an end, stated as `refresh_expires_in` of 0. Default false.
    pub offline_access: bool,
    /// How many characters an access token has, 16 to 100,000. Default 43.
    pub access_token_length: usize,
    /// How many characters a refresh token has, 16 to 100,000. Default 43.
    pub refresh_token_length: usize,
    /// How token answers state `expires_in`.
    pub expires_form: ExpiresForm,
    /// How token answers state `token_type`; `null` leaves it out. Default `Bearer`.
    pub token_type: Option<String>,
    /// The scope of tokens against the granted one.
    pub scope_form: ScopeForm,
    /// The form of token answers.
    pub token_form: TokenForm,
    /// More keys of token answers, which no client knows. Default none.
    pub answer_extras: JsonMap,
    /// Whether token answers bear an `id_token`; nobody signed it. Default false.
    pub id_tokens: bool,
    /// Whether callbacks and token answers name the user's session in `session_state`. Default false.
    pub session_state: bool,
    /// The `Cache-Control` of token answers. Default `no-store`.
    pub cache_control: String,
    /// Whether a refresh token comes with the code's tokens at all. Default true.
    pub refresh_tokens: bool,
    /// What a refresh does to the refresh token.
    pub rotation: Rotation,
    /// For so many seconds after its use an old refresh token still works. Default 0.
    pub rotation_grace: u64,
    /// Whether a used refresh token that comes again kills the grant. Default true.
    pub reuse_kills: bool,
    /// Whether a used code that comes again kills its grant. Default true.
    pub replay_kills: bool,
    /// Whether a refresh ends older access tokens of the grant, as Django OAuth Toolkit does. Default false.
    pub refresh_ends_access: bool,
    /// Whether a refresh takes any `scope` and keeps the granted one. Default false: a wider one is `invalid_scope`.
    pub refresh_scope_ignored: bool,
    /// Whether one user's consents to one client in one browser share one grant, so that revoking one kills all, as
    /// Keycloak and oidc-provider do. The parameter `sandbox_browser` of the authorize URL tells browsers apart. Default false.
    pub shared_grants: bool,
    /// Whether a user's new consent ends the refresh tokens of the older ones at the same client, as Gitea does. Default false.
    pub one_refresh_token: bool,
    /// Whether there is a revocation endpoint. Default true.
    pub revocation: bool,
    /// Whether revoking an access token ends its grant. Default false: that token only.
    pub access_revocation_kills: bool,
    /// Whether revoking a token that is dead or unknown is answered with 200 and the error `invalid_token`, as Keycloak does. Default
    /// false: 200 and nothing.
    pub revoke_tells_unknown: bool,
    /// Whether clients are registered by protocol (RFC 7591), and the metadata name the endpoint. Default true.
    pub registration: bool,
    /// The token without which no client is registered. Default none: anybody may.
    pub registration_token: Option<String>,
    /// Whether a registered client has a page of its own (RFC 7592). Default true.
    pub registration_management: bool,
    /// How long the secret of a client lives that is registered, in seconds. Default none: for ever.
    pub client_secret_expires_in: Option<u64>,
    /// Whether a look at a client's page gives it another secret, where secrets end. Default false.
    pub secrets_renewed: bool,
    /// The `iss` of callbacks.
    pub issuer_form: IssuerForm,
    /// The errors of the token endpoint.
    pub error_style: ErrorStyle,
    /// Refusals that differ from the usual ones. Default none.
    pub refusals: BTreeMap<Mistake, Refused>,
    /// The scheme of the `WWW-Authenticate` beside a 401 of the token, revocation and introspection endpoints; `null` leaves it out.
    /// Default `Basic`.
    pub challenge: Option<String>,
    /// Whether a 401 of the API bears a `WWW-Authenticate`. Default true.
    pub api_challenge: bool,
    /// Whether errors of the token endpoint repeat the client's secret and the refresh token, as some servers do. Default false.
    pub echo_secrets: bool,
    /// Clients that are switched off: `401 invalid_client`, until taken off this list.
    pub disabled_clients: Vec<String>,
    /// Users that are switched off: `400 invalid_grant`, until taken off this list; their grants live on.
    pub disabled_users: Vec<String>,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            auto_consent: None,
            remembers_consent: false,
            granted_scopes: None,
            known_scopes: None,
            default_scopes: Vec::new(),
            pkce_required: true,
            pkce_plain: false,
            code_lifetime: 60,
            code_length: 43,
            redirect_uri_required: true,
            wrong_verifier_spends: false,
            expires_in: 3600,
            access_leeway: 0,
            refresh_expires_in: None,
            offline_access: false,
            access_token_length: 43,
            refresh_token_length: 43,
            expires_form: ExpiresForm::default(),
            token_type: Some("Bearer".to_owned()),
            scope_form: ScopeForm::default(),
            token_form: TokenForm::default(),
            answer_extras: JsonMap::new(),
            id_tokens: false,
            session_state: false,
            cache_control: "no-store".to_owned(),
            refresh_tokens: true,
            rotation: Rotation::default(),
            rotation_grace: 0,
            reuse_kills: true,
            replay_kills: true,
            refresh_ends_access: false,
            refresh_scope_ignored: false,
            shared_grants: false,
            one_refresh_token: false,
            revocation: true,
            access_revocation_kills: false,
            revoke_tells_unknown: false,
            registration: true,
            registration_token: None,
            registration_management: true,
            client_secret_expires_in: None,
            secrets_renewed: false,
            issuer_form: IssuerForm::default(),
            error_style: ErrorStyle::default(),
            refusals: BTreeMap::new(),
            challenge: Some("Basic".to_owned()),
            api_challenge: true,
            echo_secrets: false,
            disabled_clients: Vec::new(),
            disabled_users: Vec::new(),
        }
    }
}

impl Ways {
    /// What is out of bounds, as a reason for people.
    pub(super) fn trouble(&self) -> Option<String> {
        let lengths = [self.code_length, self.access_token_length, self.refresh_token_length];
        if lengths.iter().any(|length| !(16..=100_000).contains(length)) {
            return Some("a code or token has 16 to 100,000 characters".to_owned());
        }
        let statuses = self.refusals.values().filter_map(|refused| refused.status);
        if statuses.into_iter().any(|status| !(200..600).contains(&status)) {
            return Some("a refusal's status is one of 200 to 599".to_owned());
        }
        None
    }
}
