//! The ways of real servers, as measured at unmodified copies of them; a test compares each with the table of what was
//! measured (`tests/servers.json`).

use std::collections::BTreeMap;

use serde_json::json;

use super::{DeviceWays, ErrorStyle, IssuerForm, Mistake, Refused, ScopeForm, UserCodeForm, Ways};
use crate::model::words;

words! {
    /// A server whose ways the sandbox can take on.
    pub enum ServerKind {
        /// Keycloak 26.
        Keycloak = "keycloak",
        /// The npm package `oidc-provider` 9.
        OidcProvider = "oidc-provider",
        /// Django OAuth Toolkit 3.
        DjangoOauthToolkit = "django-oauth-toolkit",
        /// Gitea 1.26.
        Gitea = "gitea",
    }
}

impl ServerKind {
    /// Its ways, from the defaults on. Lives of codes and tokens are every installation's own: they keep the default.
    pub fn ways(self) -> Ways {
        match self {
            Self::Keycloak => keycloak(),
            Self::OidcProvider => oidc_provider(),
            Self::DjangoOauthToolkit => django_oauth_toolkit(),
            Self::Gitea => gitea(),
        }
    }
}

impl ServerKind {
    /// Its ways of the device flow, from the defaults on.
    pub fn device_ways(self) -> DeviceWays {
        let usual = DeviceWays::default();
        match self {
            Self::Keycloak => DeviceWays { pkce_required: true, ..usual },
            Self::OidcProvider => DeviceWays { state_interval: false, slow_down: false, ..usual },
            Self::DjangoOauthToolkit => DeviceWays {
                user_code_form: UserCodeForm::Plain,
                lifetime: 1800,
                complete: false,
                slow_down: false,
                used_again: true,
                ..usual
            },
            Self::Gitea => DeviceWays { offered: false, ..usual },
        }
    }
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn silent(mistakes: &[Mistake]) -> impl Iterator<Item = (Mistake, Refused)> {
    mistakes.iter().map(|mistake| (*mistake, Refused { description: Some(String::new()), ..Refused::default() }))
}

fn described<const N: usize>(all: [(Mistake, &str); N]) -> impl Iterator<Item = (Mistake, Refused)> {
    all.map(|(mistake, text)| (mistake, Refused { description: Some(text.to_owned()), ..Refused::default() })).into_iter()
}

fn said_as(error: &str, mistakes: &[Mistake]) -> impl Iterator<Item = (Mistake, Refused)> {
    mistakes.iter().map(move |mistake| (*mistake, Refused { error: Some(error.to_owned()), ..Refused::default() }))
}

/// Grants live in a browser's session: what ends one ends all that the user made there. A dead grant, a user who is
/// switched off for now, and a wrong secret look alike in status or code and mean different things.
fn keycloak() -> Ways {
    let client = "Invalid client or Invalid client credentials";
    let mut refusals: BTreeMap<Mistake, Refused> = described([
        (Mistake::UsedCode, "Code not valid"),
        (Mistake::WrongVerifier, "PKCE verification failed: Code mismatch"),
        (Mistake::DisabledClient, client),
        (Mistake::UsedRefreshToken, "Maximum allowed refresh token reuse exceeded"),
    ])
    .chain(silent(&[Mistake::LoginRequired, Mistake::Denied]))
    .collect();
    let of_clients = [
        (Mistake::WrongSecret, None, Some("unauthorized_client"), client),
        (Mistake::WrongAssertion, Some(400), None, "Invalid token audience"),
        (Mistake::UsedAssertion, Some(400), None, "Token reuse detected"),
    ];
    for (mistake, status, error, text) in of_clients {
        refusals.insert(mistake, Refused { status, error: error.map(str::to_owned), description: Some(text.to_owned()) });
    }
    Ways {
        known_scopes: Some(texts(&["openid", "email", "profile", "offline_access", "items.read", "items.write"])),
        default_scopes: texts(&["email", "profile"]),
        code_length: 98,
        wrong_verifier_spends: true,
        refresh_expires_in: Some(1800),
        offline_access: true,
        access_token_length: 1321,
        refresh_token_length: 757,
        answer_extras: [("not-before-policy".to_owned(), json!(0))].into_iter().collect(),
        id_tokens: true,
        session_state: true,
        shared_grants: true,
        remembers_consent: true,
        revoke_tells_unknown: true,
        refusals,
        challenge: None,
        ..Ways::default()
    }
}

/// Strict, with one description for everything that is wrong with a grant.
fn oidc_provider() -> Ways {
    let one = "grant request is invalid";
    let of_grants = [
        Mistake::UnknownCode,
        Mistake::UsedCode,
        Mistake::ExpiredCode,
        Mistake::WrongRedirect,
        Mistake::WrongVerifier,
        Mistake::NoVerifier,
        Mistake::DeadRefreshToken,
        Mistake::UsedRefreshToken,
        Mistake::UnknownDeviceCode,
        Mistake::UsedDeviceCode,
    ];
    let of_grants = of_grants.map(|mistake| (mistake, Refused { description: Some(one.to_owned()), ..Refused::default() }));
    let of_clients = described([(Mistake::WrongSecret, "client authentication failed")]);
    let refusals = said_as("invalid_request", &[Mistake::NoRedirect]).chain(of_grants).chain(of_clients);
    Ways {
        remembers_consent: true,
        id_tokens: true,
        shared_grants: true,
        access_revocation_kills: true,
        access_leeway: 15,
        refusals: refusals.collect(),
        ..Ways::default()
    }
}

/// An access token dies with the refresh that replaces it; consents are grants of their own.
fn django_oauth_toolkit() -> Ways {
    let mut refusals: BTreeMap<Mistake, Refused> =
        said_as("invalid_request", &[Mistake::NoVerifier, Mistake::WrongRedirect, Mistake::NoRedirect]).collect();
    let said = [(Mistake::NoVerifier, "Code verifier required."), (Mistake::WrongRedirect, "Mismatching redirect URI.")];
    for (mistake, text) in said {
        refusals.entry(mistake).or_default().description = Some(text.to_owned());
    }
    let no_device = Refused { status: Some(404), error: Some("device_not_found".to_owned()), description: Some(String::new()) };
    refusals.insert(Mistake::UnknownDeviceCode, no_device);
    refusals.extend(silent(&[
        Mistake::UnknownScope,
        Mistake::LoginRequired,
        Mistake::Denied,
        Mistake::WrongSecret,
        Mistake::UnknownCode,
        Mistake::UsedCode,
        Mistake::ExpiredCode,
        Mistake::WrongVerifier,
        Mistake::DeadRefreshToken,
        Mistake::UsedRefreshToken,
        Mistake::WiderScope,
    ]));
    Ways {
        known_scopes: Some(texts(&["read", "write", "profile", "items.read", "items.write"])),
        pkce_plain: true,
        code_length: 30,
        access_token_length: 30,
        refresh_token_length: 30,
        replay_kills: false,
        refresh_ends_access: true,
        access_revocation_kills: true,
        issuer_form: IssuerForm::Missing,
        refusals,
        challenge: Some("Bearer".to_owned()),
        ..Ways::default()
    }
}

/// One error code for everything, which only the description tells apart; no revocation, and one live refresh token per
/// user and client.
fn gitea() -> Ways {
    let refusals = described([
        (Mistake::WrongSecret, "invalid client secret"),
        (Mistake::UnknownCode, "client is not authorized"),
        (Mistake::UsedCode, "client is not authorized"),
        (Mistake::WrongVerifier, "failed PKCE code challenge"),
        (Mistake::NoVerifier, "failed PKCE code challenge"),
        (Mistake::WrongRedirect, "unexpected redirect URI"),
        (Mistake::DeadRefreshToken, "unable to parse refresh token"),
        (Mistake::UsedRefreshToken, "token was already used"),
    ]);
    Ways {
        remembers_consent: true,
        pkce_required: false,
        pkce_plain: true,
        code_length: 56,
        redirect_uri_required: false,
        token_type: Some("bearer".to_owned()),
        scope_form: ScopeForm::Missing,
        access_token_length: 858,
        refresh_token_length: 870,
        id_tokens: true,
        cache_control: "max-age=0, private, must-revalidate, no-transform".to_owned(),
        reuse_kills: false,
        replay_kills: false,
        refresh_scope_ignored: true,
        one_refresh_token: true,
        revocation: false,
        issuer_form: IssuerForm::Missing,
        error_style: ErrorStyle::UnauthorizedClient,
        refusals: refusals.collect(),
        challenge: None,
        api_challenge: false,
        ..Ways::default()
    }
}
