//! Errors on their way to the host and back.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use smalt::{Code, Error};

/// An error of a function that answers at once.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum Failed {
    /// An error of Smalt, as JSON.
    #[error("an error of Smalt")]
    Smalt {
        /// As messages have it.
        json: Vec<u8>,
    },
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Smalt { json: to_json(&error) }
    }
}

// No library that is given away has it.
#[cfg(any(test, debug_assertions))]
thread_local!(pub static PANIC: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });

/// Every function that the host can call is this or [`quiet`]: a panic in it is an error. Tests let the next one of their thread panic.
pub fn raised<T>(work: impl FnOnce() -> smalt::Result<T>) -> Result<T, Failed> {
    let work = || {
        #[cfg(any(test, debug_assertions))]
        assert!(!PANIC.take(), "on purpose");
        work()
    };
    Ok(smalt_bridge::contained(work)?)
}

/// The same where the host can be told no error: UniFFI's Swift ends the process when such a function panics.
pub fn quiet<T: Default>(work: impl FnOnce() -> T) -> T {
    raised(|| Ok(work())).unwrap_or_default()
}

/// An error as JSON, with whatever a package shows of it.
#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    code: &'static str,
    reason: &'a str,
    retry: smalt::Retry,
    retry_after: Option<f64>,
    http_status: Option<u16>,
    request_id: &'a Option<String>,
    context: &'a BTreeMap<String, String>,
    trace: &'a Option<String>,
}

/// The error as a message has it.
pub fn to_json(error: &Error) -> Vec<u8> {
    let info = error.info();
    let written = Written {
        kind: error.kind().as_str(),
        code: info.code.as_str(),
        reason: &info.reason,
        retry: info.retry,
        retry_after: info.retry_after.map(|wait| wait.as_secs_f64()),
        http_status: info.http_status,
        request_id: &info.request_id,
        context: &info.context,
        trace: &info.trace,
    };
    serde_json::to_vec(&written).unwrap_or_default()
}

/// An error of Smalt that passed through a plugin.
#[derive(Deserialize)]
pub struct Received {
    code: String,
    reason: String,
    #[serde(default)]
    retry_after: Option<f64>,
    #[serde(default)]
    context: BTreeMap<String, String>,
    #[serde(default)]
    trace: Option<String>,
}

impl From<Received> for Error {
    fn from(received: Received) -> Self {
        let Received { code, reason, retry_after, context, trace } = received;
        let mut error = Error::received(Code::parse(&code).unwrap_or(Code::PluginFailed), reason);
        for (name, value) in context {
            error = error.with(&name, value);
        }
        if let Some(wait) = retry_after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            error = error.retry_after(wait);
        }
        match trace {
            Some(trace) => error.trace(trace),
            None => error,
        }
    }
}

/// An answer of core as JSON.
pub fn written<T: Serialize + ?Sized>(answer: &T) -> smalt::Result<Vec<u8>> {
    serde_json::to_vec(answer).map_err(|_| Error::new(Code::Internal, "an answer has no JSON form"))
}
