//! Ids and random values, always from the operating system's generator: hosts fork, and a generator in user
//! space would repeat itself in the child.

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

use crate::{
    error::{Result, err},
    time::Timestamp,
};

/// Fills a buffer from the operating system.
pub(crate) fn fill(buffer: &mut [u8]) -> Result<()> {
    getrandom::fill(buffer).map_err(|_| err!(Internal, "the operating system gave no random bytes"))
}

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// An opaque id: 24 hex digits, 4 bytes of time and 8 random ones. Sorts roughly by time.
pub(crate) fn new_id(now: Timestamp) -> Result<String> {
    let mut bytes = [0; 12];
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    bytes[..4].copy_from_slice(&(now.seconds() as u32).to_be_bytes());
    fill(&mut bytes[4..])?;
    Ok(hex(&bytes))
}

/// Whether this may be one of [`new_id`]'s.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A random UUID (RFC 9562, version 4), in lower case.
pub(crate) fn new_uuid() -> Result<String> {
    let mut bytes = random::<16>()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend(digits(byte));
    }
    Ok(text)
}

/// A token of 256 random bits, base64url without padding (43 characters): states, verifiers, cookies, claims.
pub(crate) fn new_token() -> Result<String> {
    Ok(Base64UrlUnpadded::encode_string(&random::<32>()?))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(bytes.iter().flat_map(|byte| digits(*byte)));
    text
}

fn digits(byte: u8) -> [char; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 15].map(|four| char::from(DIGITS[usize::from(four)]))
}

/// The form in which one-time values are stored: SHA-256, base64url.
pub(crate) fn fingerprint(value: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(value.as_bytes()))
}
