//! How the endpoints say no: the usual answer to each mistake, and a server's own.

use std::borrow::Cow;

use super::{ErrorStyle, state::State};
use crate::model::words;

words! {
    /// Something that is refused. A server's own answer to it can be set: see [`super::Ways::refusals`].
    pub enum Mistake {
        /// At the authorize page: no challenge where one is demanded.
        NoPkce = "no_pkce",
        /// At the authorize page: a challenge of the method `plain`, where that is not taken.
        PlainPkce = "plain_pkce",
        /// At the authorize page: a scope that does not exist.
        UnknownScope = "unknown_scope",
        /// At the authorize page: `prompt=none`, and nobody is there to consent.
        LoginRequired = "login_required",
        /// At the authorize page: the user does not consent.
        Denied = "denied",
        /// The client's secret is wrong or missing.
        WrongSecret = "wrong_secret",
        /// The client is switched off.
        DisabledClient = "disabled_client",
        /// The code was never issued, or not to this client.
        UnknownCode = "unknown_code",
        /// The code was redeemed before.
        UsedCode = "used_code",
        /// The code's time is over.
        ExpiredCode = "expired_code",
        /// The redirect URI is not the one of the authorize request.
        WrongRedirect = "wrong_redirect",
        /// The redirect URI is missing.
        NoRedirect = "no_redirect",
        /// The PKCE verifier does not match.
        WrongVerifier = "wrong_verifier",
        /// The PKCE verifier is missing.
        NoVerifier = "no_verifier",
        /// The refresh token is unknown, revoked or expired.
        DeadRefreshToken = "dead_refresh_token",
        /// The refresh token was used before.
        UsedRefreshToken = "used_refresh_token",
        /// A refresh asks for more than was granted.
        WiderScope = "wider_scope",
        /// The user is switched off.
        DisabledUser = "disabled_user",
        /// The JWT that is to prove a client proves nothing: signature, time, audience, or who it speaks of.
        WrongAssertion = "wrong_assertion",
        /// The `jti` of the JWT that is to prove a client came before.
        UsedAssertion = "used_assertion",
        /// The device code was never issued, or not to this client.
        UnknownDeviceCode = "unknown_device_code",
        /// The device code's tokens were fetched before.
        UsedDeviceCode = "used_device_code",
    }
}

/// What is said about it, unless the ways say otherwise.
pub(super) struct Refusal {
    mistake: Option<Mistake>,
    status: u16,
    error: &'static str,
    text: &'static str,
}

impl Refusal {
    /// One that is the same at every server.
    pub const fn plain(status: u16, error: &'static str, text: &'static str) -> Self {
        Self { mistake: None, status, error, text }
    }

    /// The same in other words, where the ways say none.
    pub fn saying(self, text: &'static str) -> Self {
        Self { text, ..self }
    }
}

impl From<Mistake> for Refusal {
    fn from(mistake: Mistake) -> Self {
        let (status, error, text) = match mistake {
            Mistake::NoPkce => (400, "invalid_request", "Missing parameter: code_challenge"),
            Mistake::PlainPkce => (400, "invalid_request", "The code challenge method must be S256"),
            Mistake::UnknownScope => (400, "invalid_scope", "A requested scope does not exist"),
            Mistake::LoginRequired => (400, "login_required", "End-user interaction is needed"),
            Mistake::Denied => (400, "access_denied", "The user did not consent"),
            Mistake::WrongSecret => (401, "invalid_client", "Client authentication failed"),
            Mistake::DisabledClient => (401, "invalid_client", "Client authentication failed"),
            Mistake::UnknownCode => (400, "invalid_grant", "Code not valid"),
            Mistake::UsedCode => (400, "invalid_grant", "Code was already used"),
            Mistake::ExpiredCode => (400, "invalid_grant", "Code expired"),
            Mistake::WrongRedirect => (400, "invalid_grant", "Incorrect redirect_uri"),
            Mistake::NoRedirect => (400, "invalid_grant", "Missing redirect_uri"),
            Mistake::WrongVerifier => (400, "invalid_grant", "PKCE verification failed"),
            Mistake::NoVerifier => (400, "invalid_grant", "PKCE code verifier not specified"),
            Mistake::DeadRefreshToken => (400, "invalid_grant", "Invalid refresh token"),
            Mistake::UsedRefreshToken => (400, "invalid_grant", "Refresh token was already used"),
            Mistake::WiderScope => (400, "invalid_scope", "The scope is wider than what was granted"),
            Mistake::DisabledUser => (400, "invalid_grant", "User disabled"),
            Mistake::WrongAssertion => (401, "invalid_client", "Client authentication failed"),
            Mistake::UsedAssertion => (401, "invalid_client", "The JWT was used before"),
            Mistake::UnknownDeviceCode | Mistake::UsedDeviceCode => (400, "invalid_grant", "Device code not valid"),
        };
        Self { mistake: Some(mistake), status, error, text }
    }
}

impl State {
    /// Status, error and description as this server says them.
    pub fn own_form(&self, refusal: &Refusal) -> (u16, Cow<'static, str>, Cow<'static, str>) {
        let one_code = self.ways.error_style == ErrorStyle::UnauthorizedClient
            && matches!(refusal.error, "invalid_client" | "invalid_grant" | "invalid_scope");
        let (status, error) = if one_code { (400, "unauthorized_client") } else { (refusal.status, refusal.error) };
        let own = refusal.mistake.and_then(|mistake| self.ways.refusals.get(&mistake)).cloned().unwrap_or_default();
        (own.status.unwrap_or(status), own.error.map_or(error.into(), Into::into), own.description.map_or(refusal.text.into(), Into::into))
    }
}
