//! A span per request, sent to an OpenTelemetry collector (OTLP/HTTP 1.x with JSON). No path, query or header is in one.
//! Spans are sent in bulk from a queue with an end; where a collector is slow or gone, requests go on and spans are lost.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use smalt::{
    Code, Error, Result,
    http::{AddressPolicy, HostPort, ReqwestTransport},
    model::Json,
    plugin::{HttpRequest, HttpTransport},
};
use smalt_server::Answered;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinHandle,
};
use url::Url;

/// Spans that may wait to be sent.
const QUEUE: usize = 4096;
/// Spans of one bulk.
const BULK: usize = 512;
/// How long a span waits for others.
const WAIT: Duration = Duration::from_secs(1);
/// How long a collector may take; also at the end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Takes spans.
pub struct Traces {
    spans: Sender<Json>,
}

/// Sends them; ends when their taker is gone.
pub struct Sending(JoinHandle<()>);

/// Begins to send to the collector at this base URL (`/v1/traces` is added).
///
/// # Errors
/// `invalid_request` when it is no http(s) URL.
pub fn begin(collector: &str) -> Result<(Traces, Sending)> {
    let wrong = || Error::new(Code::InvalidRequest, "`--traces` is no http(s) URL, e.g. `http://127.0.0.1:4318`");
    let url = Url::parse(&format!("{}/v1/traces", collector.trim_end_matches('/'))).map_err(|_| wrong())?;
    let host = HostPort::of(&url).filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?;
    // It is the operator's own, wherever it is.
    let transport = Arc::new(ReqwestTransport::new(AddressPolicy::default().with(host))?);
    let (spans, queue) = channel(QUEUE);
    Ok((Traces { spans }, Sending(tokio::spawn(send_all(queue, url, transport)))))
}

impl Sending {
    /// What is left is sent.
    pub async fn end(self) {
        let _ = tokio::time::timeout(PATIENCE, self.0).await;
    }
}

/// `version-trace-parent-flags` (W3C Trace Context, section 3.2.2): the trace, the parent and whether it is recorded.
fn parent(header: &str) -> Option<(&str, &str, bool)> {
    let mut parts = header.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |text: &str, len: usize| is_hex(text, len) && text.bytes().any(|b| b != b'0');
    let is_whole = version != "00" || parts.next().is_none();
    let fits = is_hex(version, 2) && version != "ff" && is_whole && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2);
    fits.then(|| (trace, span, u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)))
}

fn random_id(bytes: usize) -> Option<String> {
    let mut id = vec![0; bytes];
    getrandom::fill(&mut id).ok()?;
    Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

/// The span of a request; none where the caller says that it records nothing.
fn span(request: &Answered<'_>) -> Option<Json> {
    let parent = request.traceparent.and_then(parent);
    if parent.is_some_and(|(.., is_recorded)| !is_recorded) {
        return None;
    }
    let trace = match parent {
        Some((trace, ..)) => trace.to_owned(),
        None => random_id(16)?,
    };
    let route = request.route.unwrap_or_default();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let mut attributes = vec![
        text("http.request.method", request.method),
        json!({"key": "http.response.status_code", "value": {"intValue": request.status.to_string()}}),
        text("smalt.request_id", request.request_id),
    ];
    if !route.is_empty() {
        attributes.push(text("http.route", route));
    }
    let mut span = json!({
        "traceId": trace,
        "spanId": random_id(8)?,
        "name": format!("{} {route}", request.method).trim_end(),
        // A server's.
        "kind": 2,
        "startTimeUnixNano": nanos(request.began),
        "endTimeUnixNano": nanos(request.began + request.took),
        "attributes": attributes,
        "status": if request.status >= 500 { json!({"code": 2}) } else { json!({}) },
    });
    if let Some((_, parent, _)) = parent {
        span["parentSpanId"] = parent.into();
    }
    Some(span)
}

impl Traces {
    /// Takes a request's span, if there is room.
    pub fn take(&self, request: &Answered<'_>) {
        if let Some(span) = span(request) {
            let _ = self.spans.try_send(span);
        }
    }
}

async fn send_all(mut queue: Receiver<Json>, url: Url, transport: Arc<ReqwestTransport>) {
    let mut is_failing = false;
    while let Some(first) = queue.recv().await {
        let mut spans = vec![first];
        let until = tokio::time::Instant::now() + WAIT;
        let mut is_over = false;
        while spans.len() < BULK && !is_over {
            match tokio::time::timeout_at(until, queue.recv()).await {
                Ok(Some(span)) => spans.push(span),
                // No more come: the rest goes at once.
                Ok(None) => is_over = true,
                Err(_) => break,
            }
        }
        let failed = send(spans, &url, &*transport).await;
        // Once, not for every bulk.
        if let (Some(why), false) = (&failed, is_failing) {
            tracing::warn!(why, "spans could not be sent to the collector");
        }
        is_failing = failed.is_some();
        if is_over {
            return;
        }
    }
}

/// Why it failed, if it did.
async fn send(spans: Vec<Json>, url: &Url, transport: &dyn HttpTransport) -> Option<String> {
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "smalt"}},
            {"key": "service.version", "value": {"stringValue": env!("CARGO_PKG_VERSION")}},
        ]},
        "scopeSpans": [{"scope": {"name": "smalt-server", "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
    }]});
    let mut request = HttpRequest::new("POST", url.clone());
    request.timeout = PATIENCE;
    request.set_body("application/json", body.to_string());
    match transport.send(request).await {
        Ok(answer) if answer.status < 300 => None,
        Ok(answer) => Some(format!("it answered {}", answer.status)),
        Err(error) => Some(error.code().as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_one_of_the_standards_form() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        assert_eq!(parent(&format!("00-{trace}-{span}-01")), Some((trace, span, true)));
        assert_eq!(parent(&format!("00-{trace}-{span}-00")), Some((trace, span, false)));
        assert_eq!(parent(&format!("cc-{trace}-{span}-01-later")), Some((trace, span, true)));
        for wrong in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}x-{span}-01"),
        ] {
            assert_eq!(parent(&wrong), None, "{wrong}");
        }
    }
}
