use std::collections::BTreeMap;

use napi::{Env, Unknown};
use serde::Serialize;
use smalt::{Error, error::Retry};

use crate::write::{Classes, Writer};

/// An error of core as TypeScript gets it; `SmaltError` is made of it there.
#[derive(Serialize)]
struct Record<'a> {
    code: &'a str,
    kind: &'a str,
    reason: &'a str,
    retry: Retry,
    /// Milliseconds.
    retry_after: Option<f64>,
    http_status: Option<u16>,
    request_id: Option<&'a str>,
    context: &'a BTreeMap<String, String>,
    trace: Option<&'a str>,
}

/// Writes an error out.
pub fn record<'env>(env: &'env Env, classes: &Classes<'env>, error: &Error) -> napi::Result<Unknown<'env>> {
    let info = error.info();
    let record = Record {
        code: info.code.as_str(),
        kind: error.kind().as_str(),
        reason: &info.reason,
        retry: info.retry,
        retry_after: info.retry_after.map(|wait| wait.as_secs_f64() * 1000.0),
        http_status: info.http_status,
        request_id: info.request_id.as_deref(),
        context: &info.context,
        trace: info.trace.as_deref(),
    };
    Writer::new(env, classes).write(&record)
}
