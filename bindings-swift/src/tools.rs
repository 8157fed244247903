//! What needs no engine.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use smalt::{
    Code, Error, Secret, Timestamp,
    plugin::{Clock, SystemClock},
};

use crate::error::{Failed, quiet, raised, written};

/// The version of the native half.
#[uniffi::export]
pub fn version() -> String {
    quiet(|| env!("CARGO_PKG_VERSION").to_owned())
}

/// A new master key's text.
///
/// # Errors
/// `internal` where the operating system gives no random bytes.
#[uniffi::export]
pub fn make_key() -> Result<String, Failed> {
    #[cfg(feature = "embedded")]
    return raised(|| Ok(smalt::vault::LocalKey::generate()?.text().expose().to_owned()));
    #[cfg(not(feature = "embedded"))]
    raised(|| Err(Error::new(Code::Unsupported, "there is no engine in this build that could use a key")))
}

/// Reads and checks a manifest file; as JSON.
///
/// # Errors
/// `manifest_invalid`.
#[uniffi::export]
pub fn load_manifest(path: String) -> Result<Vec<u8>, Failed> {
    #[cfg(feature = "embedded")]
    return raised(|| written(&smalt::manifest::AppManifest::load(&path)?));
    #[cfg(not(feature = "embedded"))]
    raised(|| Err(Error::new(Code::Unsupported, format!("there is no engine in this build that could use {path}"))))
}

/// A delivery of a webhook, as its receiver got it.
#[derive(Deserialize)]
struct Delivery {
    headers: Vec<(String, String)>,
    body: String,
    secrets: Vec<Secret>,
    tolerance: Option<f64>,
    /// Milliseconds since 1970; absent: now.
    now: Option<i64>,
    /// The signature that receivers of the hosted service know, instead of the others.
    compatible: Option<String>,
}

#[derive(Serialize)]
struct Verified {
    id: String,
    sent_at: Timestamp,
}

/// Checks a delivery's signature; its id and time as JSON, `null` for a compatible one.
///
/// # Errors
/// Those of [`smalt::webhook::verify`]; `invalid_request`.
#[uniffi::export]
pub fn verify_webhook(delivery: Vec<u8>) -> Result<Vec<u8>, Failed> {
    raised(|| {
        let wrong = |error| smalt_bridge::misread_json("the delivery", error);
        let Delivery { headers, body, secrets, tolerance, now, compatible } =
            serde_json::from_slice(&delivery).and_then(serde_json::from_value).map_err(wrong)?;
        if let Some(signature) = compatible {
            smalt::webhook::verify_compatible(&signature, body.as_bytes(), &secrets)?;
            return Ok(b"null".to_vec());
        }
        let tolerance = match tolerance.map(Duration::try_from_secs_f64) {
            None => smalt::webhook::TOLERANCE,
            Some(tolerance) => tolerance.map_err(|_| Error::new(Code::InvalidRequest, "`tolerance` takes a number of seconds"))?,
        };
        let now = now.map_or_else(|| SystemClock::default().now(), Timestamp::from_millis);
        let verified = smalt::webhook::verify(&headers, body.as_bytes(), &secrets, now, tolerance)?;
        written(&Verified { id: verified.id, sent_at: verified.sent_at })
    })
}
