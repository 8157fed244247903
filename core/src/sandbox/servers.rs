//! The ways of real servers, as measured at unmodified copies of them; a test compares each with the table of what was
//! measured (`tests/servers.json`).

use std::collections::BTreeMap;

use serde_json::json;

use super::{ErrorStyle, IssuerForm, Mistake, Refused, ScopeForm, Ways};
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

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn silent(mistakes: &[Mistake]) -> impl Iterator<Item = (Mistake, Refused)> {
    mistakes.iter().map(|mistake| (*mistake, Refused { description: Some(String::new()), ..Refused::default() }))
}

fn said_as(error: &str, mistakes: &[Mistake]) -> impl Iterator<Item = (Mistake, Refused)> {
    mistakes.iter().map(move |mistake| (*mistake, Refused { error: Some(error.to_owned()), ..Refused::default() }))
}

/// Grants live in a browser's session: what ends one ends all that the user made there. A dead grant, a user who is
/// switched off for now, and a wrong secret look alike in status or code and mean different things.
fn keycloak() -> Ways {
    let refusals = said_as("unauthorized_client", &[Mistake::WrongSecret]).chain(silent(&[Mistake::LoginRequired, Mistake::Denied]));
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
        revoke_tells_unknown: true,
        refusals: refusals.collect(),
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
    ];
    let of_grants = of_grants.map(|mistake| (mistake, Refused { description: Some(one.to_owned()), ..Refused::default() }));
    let refusals = said_as("invalid_request", &[Mistake::NoRedirect]).chain(of_grants);
    Ways {
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
    let described = [
        (Mistake::WrongSecret, "invalid client secret"),
        (Mistake::UnknownCode, "client is not authorized"),
        (Mistake::UsedCode, "client is not authorized"),
        (Mistake::WrongVerifier, "failed PKCE code challenge"),
        (Mistake::NoVerifier, "failed PKCE code challenge"),
        (Mistake::WrongRedirect, "unexpected redirect URI"),
        (Mistake::DeadRefreshToken, "unable to parse refresh token"),
        (Mistake::UsedRefreshToken, "token was already used"),
    ];
    let refusals = described.map(|(mistake, text)| (mistake, Refused { description: Some(text.to_owned()), ..Refused::default() }));
    Ways {
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
        refusals: refusals.into(),
        challenge: None,
        api_challenge: false,
        ..Ways::default()
    }
}
