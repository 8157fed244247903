//! What receivers of webhooks need.

use std::time::Duration;

use napi::Unknown;
use serde::{Deserialize, Serialize};
use smalt::{
    Result, Secret, Timestamp,
    plugin::{Clock, SystemClock},
};

use crate::{engine::read, upload::Bytes};

#[derive(Deserialize)]
struct Delivery {
    headers: Vec<(String, String)>,
    body: Bytes,
    secrets: Vec<Secret>,
    /// Milliseconds.
    tolerance: u32,
    /// Milliseconds since 1970.
    now: Option<i64>,
    /// The signature that receivers of the hosted service know, in the place of the headers.
    compatible: Option<String>,
}

/// A delivery that was checked.
#[derive(Serialize)]
pub struct Verified {
    id: String,
    sent_at: Timestamp,
}

pub fn verify(delivery: Unknown<'_>) -> Result<Option<Verified>> {
    let Delivery { headers, body, secrets, tolerance, now, compatible } = read("the delivery", delivery)?;
    if let Some(signature) = compatible {
        smalt::webhook::verify_compatible(&signature, &body.0, &secrets)?;
        return Ok(None);
    }
    let now = now.map_or_else(|| SystemClock::default().now(), Timestamp::from_millis);
    let verified = smalt::webhook::verify(&headers, &body.0, &secrets, now, Duration::from_millis(tolerance.into()))?;
    Ok(Some(Verified { id: verified.id, sent_at: verified.sent_at }))
}
