//! OAuth 2.0 as pure functions of a manifest: requests are built and answers read here, nothing is sent.
//!
//! RFC 6749 (the framework), RFC 7636 (PKCE), RFC 7009 (revocation), RFC 7523 (JWTs as grants and as proof of the client),
//! RFC 7591 and RFC 7592 (registration of clients), RFC 8628 (the device flow),
//! RFC 8705 (mutual TLS), RFC 9207 (the issuer in the callback).

mod answer;
mod assertion;
mod authorize;
mod callback;
mod device;
mod key_token;
mod lifetime;
mod limits;
mod oauth1;
mod paging;
mod placement;
mod registration;
mod requests;
mod revocation;

use crate::{Secret, Timestamp, plugin::ClientIdentity};

pub use answer::{Copies, RawAnswer, TokenFailure, TokenSet, parse_token_answer, provider_code};
pub(crate) use answer::{copy, scalar};
pub use authorize::{authorize_url, pkce};
pub use callback::{Callback, callback, check_issuer};
pub(crate) use callback::{check_hmac, last_part};
pub use device::{DeviceAnswer, Pending, device_request, parse_device_answer, pending, poll_request};
pub use key_token::{key_token_answer, key_token_request};
pub use lifetime::retry_after;
pub use limits::{Limited, limited};
pub(crate) use oauth1::is_form_type;
pub use oauth1::{Oauth1Keys, sign, sign_placed};
pub use paging::{Asked, Place, ask as ask_page, read as read_page, strip as strip_param};
pub use placement::{bearer, place, place_in_body};
pub use registration::{
    ClientWishes, RegisteredClient, RegistrationFailure, client_page_request, metadata_request, parse_registration, registration_endpoint,
    registration_request,
};
pub use requests::{exchange_request, fill_request, refresh_request, revoke_requests, token_step_request};
pub use revocation::{RevokeOutcome, parse_revoke_answer};

/// The organisation's client at the provider.
#[derive(Clone, Debug, Default)]
pub struct ClientCredentials {
    /// The client's id.
    pub id: String,
    /// The client's secret, or its private key in PEM form; absent for a public client.
    pub secret: Option<Secret>,
    /// Its certificate with the key, for `tls_client_auth` and `self_signed_tls_client_auth`.
    pub identity: Option<ClientIdentity>,
    /// The time by which its assertions are dated.
    pub now: Timestamp,
}

/// What every request of Smalt names itself.
pub const USER_AGENT: &str = concat!("smalt/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod fixture {
    #![allow(clippy::unwrap_used)]
    use crate::manifest::Oauth2;

    /// A manifest with nothing but its URLs.
    pub fn oauth() -> Oauth2 {
        serde_json::from_str(r#"{"authorize_url": "https://provider.example/authorize", "token_url": "https://provider.example/token"}"#)
            .unwrap()
    }
}
