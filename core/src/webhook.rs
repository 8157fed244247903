//! Signatures of webhooks: made where deliveries leave, checked where they arrive.
//!
//! A delivery carries two, over the bytes of its body:
//!
//! - `webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`, as [Standard
//!   Webhooks](https://www.standardwebhooks.com) has them: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`,
//!   once for each secret that counts, with spaces between. [`verify`] checks these: nothing late, nothing repeated.
//! - `x-cobalt-signature`, which receivers of the hosted service know: the lower-case hex of HMAC-SHA256 over the body.
//!   There is no time in it, so whoever saw a delivery can send it again; [`verify_compatible`] cannot tell.

use std::time::Duration;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    Secret, Timestamp,
    error::{Result, bail, err},
    ids,
};

/// The header that names a delivery. Equal for all tries of one, so that a receiver can pass over what it has seen.
pub const ID: &str = "webhook-id";
/// The header with the time at which it was sent, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";
/// The header with the signature that receivers of the hosted service know.
pub const COMPATIBLE: &str = "x-cobalt-signature";
/// How far the sender's clock and the receiver's may lie apart, and how old a delivery may be: 5 minutes.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// How many signatures are looked at.
const MOST: usize = 16;

/// A new secret: `whsec_` and 256 random bits in base64.
pub(crate) fn new_secret() -> Result<Secret> {
    let bytes = Zeroizing::new(ids::random::<32>()?);
    Ok(Secret::new(format!("{PREFIX}{}", Zeroizing::new(Base64::encode_string(&*bytes)).as_str())))
}

/// The key that a secret stands for: what follows the prefix in base64, or the text itself where it has none.
fn key(secret: &Secret) -> Result<Zeroizing<Vec<u8>>> {
    match secret.expose().strip_prefix(PREFIX) {
        Some(encoded) => Base64::decode_vec(encoded)
            .map(Zeroizing::new)
            .map_err(|_| err!(InvalidRequest, "a webhook's secret is no base64 after `{PREFIX}`")),
        None if secret.is_empty() => bail!(InvalidRequest, "a webhook's secret is empty"),
        None => Ok(Zeroizing::new(secret.expose().as_bytes().to_vec())),
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

fn signed(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> Result<Hmac<Sha256>> {
    Ok(mac(&key(secret)?, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]))
}

/// The value of [`SIGNATURE`] for these secrets.
///
/// # Errors
/// `invalid_request` for a secret that is none.
pub fn sign(secrets: &[Secret], id: &str, at: Timestamp, body: &[u8]) -> Result<String> {
    let timestamp = at.seconds().to_string();
    let one = |secret: &Secret| {
        let tag = signed(secret, id, &timestamp, body)?.finalize().into_bytes();
        Ok(format!("v1,{}", Base64::encode_string(&tag)))
    };
    Ok(secrets.iter().map(one).collect::<Result<Vec<_>>>()?.join(" "))
}

/// The value of [`COMPATIBLE`]. The key is the secret's whole text, as it was shown.
pub fn sign_compatible(secret: &Secret, body: &[u8]) -> String {
    ids::hex(&mac(secret.expose().as_bytes(), &[body]).finalize().into_bytes())
}

/// A delivery that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its id: remember it for as long as the tolerance, to pass over what comes twice.
    pub id: String,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// Checks a delivery: that its body came from whoever has one of these secrets, and lately. Give it the bytes as they came,
/// before anything reads them as JSON, and both secrets while one replaces the other. All comparisons take the same time
/// wherever the first difference lies.
///
/// # Errors
/// `webhook_unverified` when a header is missing or malformed, when it was sent more than `tolerance` before or after `now`,
/// or when no signature fits; `invalid_request` for a secret that is none.
pub fn verify<N: AsRef<str>, V: AsRef<str>>(
    headers: &[(N, V)],
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
    tolerance: Duration,
) -> Result<Verified> {
    let header = |name: &str| {
        let mut found = headers.iter().filter(|(n, _)| n.as_ref().eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref().trim());
        match (found.next(), found.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            (Some(_), Some(_)) => Err(err!(WebhookUnverified, "the header `{name}` came twice")),
            _ => Err(err!(WebhookUnverified, "there is no header `{name}`")),
        }
    };
    let (id, timestamp, signatures) = (header(ID)?, header(TIMESTAMP)?, header(SIGNATURE)?);
    let digits = !timestamp.is_empty() && timestamp.len() <= 12 && timestamp.bytes().all(|b| b.is_ascii_digit());
    let Some(sent) = timestamp.parse::<i64>().ok().filter(|_| digits) else {
        bail!(WebhookUnverified, "`{TIMESTAMP}` is no number of seconds");
    };
    let sent_at = Timestamp::from_millis(sent * 1000);
    if now.since(sent_at).max(sent_at.since(now)) > tolerance {
        bail!(WebhookUnverified, "it was sent at {sent_at}, which is too far from now: it is late, repeated, or a clock is wrong");
    }
    let mut fits = false;
    for secret in secrets {
        let mac = signed(secret, id, timestamp, body)?;
        for signature in signatures.split(' ').take(MOST) {
            let Some(tag) = signature.strip_prefix("v1,").and_then(|text| Base64::decode_vec(text).ok()) else { continue };
            // Constant time; and which of them fits does not show either.
            fits |= mac.clone().verify_slice(&tag).is_ok();
        }
    }
    if !fits {
        bail!(WebhookUnverified, "no signature fits: it was not sent with one of these secrets, or its bytes were changed on the way");
    }
    Ok(Verified { id: id.to_owned(), sent_at })
}

/// Checks the signature that receivers of the hosted service know: that the body came from whoever has one of these
/// secrets, at whatever time. While a secret is replaced, it is made with the old one: give both.
///
/// # Errors
/// `webhook_unverified` when it does not fit.
pub fn verify_compatible(signature: &str, body: &[u8], secrets: &[Secret]) -> Result<()> {
    let tag: Option<Vec<u8>> = (signature.len() == 64 && signature.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
        .then(|| (0..32).filter_map(|at| u8::from_str_radix(signature.get(2 * at..2 * at + 2)?, 16).ok()).collect());
    let Some(tag) = tag else { bail!(WebhookUnverified, "the signature is no 64 lower-case hex digits") };
    let fits = secrets.iter().fold(false, |fits, secret| fits | mac(secret.expose().as_bytes(), &[body]).verify_slice(&tag).is_ok());
    if fits { Ok(()) } else { Err(err!(WebhookUnverified, "the signature does not fit these secrets and this body")) }
}
