//! A transport that notes what was sent and answered, without the secrets in it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use smalt::{
    Result, Secret,
    http::ReqwestTransport,
    model::Json,
    plugin::{HttpRequest, HttpResponse, HttpTransport},
};

/// Keys of answers whose short values say what happened and are no secrets (RFC 6749 sections 5.1 and 5.2, and their kin).
const TELLING: [&str; 8] = ["error", "error_code", "token_type", "scope", "scopes", "status", "type", "reason"];
/// Keys of answers that hold sentences for developers; whatever in them was sent, or looks like a token, is hidden.
const SENTENCES: [&str; 6] = ["error_description", "error_message", "message", "detail", "title", "description"];
/// A word of this length may be a token.
const LONG_WORD: usize = 20;
/// What is shown of a list.
const MOST_ITEMS: usize = 3;

/// One call and its answer.
#[derive(Clone, Serialize)]
pub struct Exchange {
    /// What was being done.
    pub step: &'static str,
    /// The method.
    pub method: String,
    /// Without the values of its query.
    pub url: String,
    /// The names of the body's parameters.
    pub sent: Vec<String>,
    /// The status; absent when no answer came.
    pub status: Option<u16>,
    /// The error's code when no answer came.
    pub failed: Option<&'static str>,
    /// The answer's content type.
    pub content_type: Option<String>,
    /// The answer's shape: names, numbers, and what is no secret.
    pub answer: Json,
}

/// Wraps the usual transport.
#[derive(Clone)]
pub struct Watch(Arc<Inner>);

struct Inner {
    transport: ReqwestTransport,
    hidden: Vec<Secret>,
    step: Mutex<&'static str>,
    seen: Mutex<Vec<Exchange>>,
}

impl Watch {
    /// `hidden`: what must not be shown even in a path.
    pub fn new(transport: ReqwestTransport, hidden: Vec<Secret>) -> Self {
        Self(Arc::new(Inner { transport, hidden, step: Mutex::new(""), seen: Mutex::default() }))
    }

    /// Names what is done from now on.
    pub fn begin(&self, step: &'static str) {
        *self.0.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// Everything that was seen so far.
    pub fn seen(&self) -> Vec<Exchange> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl HttpTransport for Watch {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let mut secrets: Vec<String> = self.0.hidden.iter().map(|secret| secret.expose().to_owned()).collect();
        let (sent, values) = parameters(&request);
        secrets.extend(values);
        secrets.extend(request.url.query_pairs().map(|(_, value)| value.into_owned()));
        secrets.extend(request.headers.iter().flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>()));
        let mut exchange = Exchange {
            step: *self.0.step.lock().unwrap_or_else(PoisonError::into_inner),
            method: request.method.clone(),
            url: shown_url(&request.url, &self.0.hidden),
            sent,
            status: None,
            failed: None,
            content_type: None,
            answer: Json::Null,
        };
        let answered = self.0.transport.send(request).await;
        match &answered {
            Ok(response) => {
                exchange.status = Some(response.status);
                exchange.content_type = response.header("content-type").map(str::to_owned);
                exchange.answer = body(response, &secrets);
            }
            Err(error) => exchange.failed = Some(error.code().as_str()),
        }
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        answered
    }
}

/// Names and values of a body's parameters.
fn parameters(request: &HttpRequest) -> (Vec<String>, Vec<String>) {
    let bytes = &request.body.0;
    match serde_json::from_slice::<Json>(bytes) {
        Ok(Json::Object(map)) => {
            let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (map.keys().cloned().collect(), map.values().map(text).collect())
        }
        _ => url::form_urlencoded::parse(bytes).filter(|_| !bytes.is_empty()).map(|(k, v)| (k.into_owned(), v.into_owned())).unzip(),
    }
}

/// Host and path; query values, secrets in the path and whatever looks like one are hidden.
fn shown_url(url: &url::Url, hidden: &[Secret]) -> String {
    let path: Vec<&str> = url.path().split('/').map(|part| if suspicious(part, hidden) { "…" } else { part }).collect();
    let names: Vec<String> = url.query_pairs().map(|(name, _)| format!("{name}=…")).collect();
    let query = if names.is_empty() { String::new() } else { format!("?{}", names.join("&")) };
    format!("{}{}{query}", url.origin().ascii_serialization(), path.join("/"))
}

fn suspicious(part: &str, hidden: &[Secret]) -> bool {
    let token_like = part.len() >= LONG_WORD && part.bytes().any(|b| b.is_ascii_digit());
    token_like || hidden.iter().any(|secret| !secret.expose().is_empty() && part.contains(secret.expose()))
}

fn body(response: &HttpResponse, secrets: &[String]) -> Json {
    if response.body.is_empty() {
        return Json::Null;
    }
    if let Some(json) = response.json() {
        return shape("", &json, secrets);
    }
    let text = String::from_utf8_lossy(&response.body);
    let form = response.header("content-type").is_some_and(|kind| kind.contains("form-urlencoded"));
    if form {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        return pairs.map(|(name, value)| (name.to_string(), shape(&name, &Json::from(value.as_ref()), secrets))).collect();
    }
    Json::from(format!("({} bytes that are no JSON)", response.body.len()))
}

/// The value without its secrets.
fn shape(key: &str, value: &Json, secrets: &[String]) -> Json {
    match value {
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(key, value, secrets))).collect(),
        Json::Array(items) => {
            let mut shown: Vec<Json> = items.iter().take(MOST_ITEMS).map(|item| shape(key, item, secrets)).collect();
            if items.len() > MOST_ITEMS {
                shown.push(Json::from(format!("(and {} more)", items.len() - MOST_ITEMS)));
            }
            Json::Array(shown)
        }
        Json::String(text) if TELLING.contains(&key) && text.len() < 200 => Json::from(words(text, secrets)),
        Json::String(text) if SENTENCES.contains(&key) => Json::from(words(&text.chars().take(400).collect::<String>(), secrets)),
        Json::String(text) => Json::from(format!("({} characters)", text.chars().count())),
        // Long numbers may be account or card numbers.
        Json::Number(number) if number.to_string().len() > 12 => Json::from("(a number)"),
        other => other.clone(),
    }
}

/// A sentence without what was sent, and without words that look like tokens.
fn words(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret.as_str(), "…");
    }
    let word = |word: &str| {
        let token_like = word.len() >= LONG_WORD && word.bytes().any(|b| b.is_ascii_digit()) && !word.starts_with("https://");
        if token_like { "…".to_owned() } else { word.to_owned() }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_tell_what_happened_and_no_secret() {
        let answer = json!({
            "ok": true, "access_token": "xoxb-1234", "token_type": "bearer", "expires_in": 3600, "team": {"id": "T1"},
            "error": "invalid_grant", "error_description": "code abcd1234 and 0123456789abcdef0123456789 are not valid",
            "items": ["a", "b", "c", "d"], "card": 4111111111111111_i64,
        });
        let shown = shape("", &answer, &["abcd1234".to_owned()]);
        assert_eq!(
            shown,
            json!({
                "ok": true, "access_token": "(9 characters)", "token_type": "bearer", "expires_in": 3600, "team": {"id": "(2 characters)"},
                "error": "invalid_grant", "error_description": "code … and … are not valid",
                "items": ["(1 characters)", "(1 characters)", "(1 characters)", "(and 1 more)"], "card": "(a number)",
            })
        );
        let url = url::Url::parse("https://api.example.com/bot123:SECRET/v1/0123456789abcdef0123456789?key=abc").unwrap();
        assert_eq!(shown_url(&url, &[Secret::new("SECRET")]), "https://api.example.com/…/v1/…?key=…");
    }
}
