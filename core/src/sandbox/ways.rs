use crate::model::words;

words! {
    /// The form of `expires_in` in token answers. The token's true life is always [`Ways::expires_in`].
    #[derive(Default)]
    pub enum ExpiresForm {
        /// A number of seconds.
        #[default]
        Number = "number",
        /// Not there.
        Missing = "missing",
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

/// The standing ways of the provider. The JSON form has the same names; absent ones keep their value, unknown ones are refused.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ways {
    /// Consents at once as this user (`ada`, `grace`, `linus`), without a page. Default none: the page is shown.
    pub auto_consent: Option<String>,
    /// The scopes that the user leaves on, of those asked for. Default none: all.
    pub granted_scopes: Option<Vec<String>>,
    /// The scopes that exist; others are `invalid_scope`. Default none: every scope exists.
    pub known_scopes: Option<Vec<String>>,
    /// Whether the authorize page demands PKCE with S256. Default true.
    pub pkce_required: bool,
    /// The life of a code in seconds. Default 60.
    pub code_lifetime: u64,
    /// The true life of an access token in seconds. Default 3600.
    pub expires_in: u64,
    /// The true life of a refresh token in seconds, stated as `refresh_expires_in`. Default none: no end.
    pub refresh_expires_in: Option<u64>,
    /// How token answers state `expires_in`.
    pub expires_form: ExpiresForm,
    /// How token answers state `token_type`; `null` leaves it out. Default `Bearer`.
    pub token_type: Option<String>,
    /// The scope of tokens against the granted one.
    pub scope_form: ScopeForm,
    /// The form of token answers.
    pub token_form: TokenForm,
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
    /// Whether one user's consents to one client share one grant, so that revoking one kills all, as Keycloak and
    /// oidc-provider do. Default false.
    pub shared_grants: bool,
    /// Whether a user's new consent ends the refresh tokens of the older ones at the same client, as Gitea does. Default false.
    pub one_refresh_token: bool,
    /// The `iss` of callbacks.
    pub issuer_form: IssuerForm,
    /// The errors of the token endpoint.
    pub error_style: ErrorStyle,
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
            granted_scopes: None,
            known_scopes: None,
            pkce_required: true,
            code_lifetime: 60,
            expires_in: 3600,
            refresh_expires_in: None,
            expires_form: ExpiresForm::default(),
            token_type: Some("Bearer".to_owned()),
            scope_form: ScopeForm::default(),
            token_form: TokenForm::default(),
            refresh_tokens: true,
            rotation: Rotation::default(),
            rotation_grace: 0,
            reuse_kills: true,
            replay_kills: true,
            refresh_ends_access: false,
            shared_grants: false,
            one_refresh_token: false,
            issuer_form: IssuerForm::default(),
            error_style: ErrorStyle::default(),
            echo_secrets: false,
            disabled_clients: Vec::new(),
            disabled_users: Vec::new(),
        }
    }
}
