//! What a server's answer means.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::{
    Error,
    error::{Code, Retry},
    expose::Received,
    http::protocol,
    manifest::RateLimit,
    model::Json,
    plugin::HttpResponse,
    remote::{link::Call, retry::Effect},
    time::Timestamp,
};

/// The longest text of a server that is repeated.
const LONGEST_TEXT: usize = 300;

/// A body that came whole, with a good status.
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
    content_type: String,
    pub(super) request_id: String,
}

/// What to do about an answer.
pub(super) enum Verdict {
    Good(Got),
    /// The call has failed, and trying again changes nothing.
    Failed(Error),
    /// The caller's credential is not good (any more).
    Refused(Error),
    /// It may be tried again, after this wait if the server named one.
    Again(Error, Option<Duration>),
}

/// Takes an answer apart.
pub(super) fn judge(mut response: HttpResponse, call: &Call, sent_id: &str, now: Timestamp) -> Verdict {
    let status = response.status;
    let request_id = response.header("x-request-id").filter(|id| fits(id)).unwrap_or(sent_id).to_owned();
    let body = Zeroizing::new(std::mem::take(&mut response.body));
    // The most usual one first: what follows is about answers that are none.
    if (200..300).contains(&status) || (call.any_status && (400..500).contains(&status) && status != 429 && status != 408) {
        let content_type = response.header("content-type").unwrap_or_default().to_ascii_lowercase();
        return Verdict::Good(Got { status, body, content_type, request_id });
    }
    let asked = protocol::retry_after(&response.headers, &RateLimit::default(), now);
    let told: Option<Json> = serde_json::from_slice(&body).ok();
    let told = told.as_ref().filter(|told| told.is_object());
    let request_id = match told.and_then(|told| told["request_id"].as_str()).filter(|id| fits(id)) {
        Some(id) => id.to_owned(),
        None => request_id,
    };
    let own = told.and_then(|told| in_own_words(told, status));
    let is_own = own.is_some();
    let error = match own.or_else(|| told.and_then(|told| in_known_words(told, status))) {
        Some(error) => error,
        None if (300..400).contains(&status) => redirected(response.header("location")),
        None => in_general(status, told, call),
    };
    let error = error.http_status(status).request_id(request_id);
    let error = match asked {
        Some(wait) if error.info().retry_after.is_none() && error.retry() != Retry::Never => error.retry_after(wait),
        _ => error,
    };
    let wait = error.info().retry_after;
    match status {
        401 => Verdict::Refused(error),
        // Smalt's own errors were thought about: what helps stands in them.
        _ if is_own && !matches!(error.code(), Code::RateLimited | Code::Overloaded) => Verdict::Failed(error),
        408 | 429 | 502 | 503 | 504 => Verdict::Again(error, wait),
        _ => Verdict::Failed(error),
    }
}

/// An id that can stand in a log.
fn fits(id: &str) -> bool {
    !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An error of the engine behind a Smalt server, whole.
fn in_own_words(told: &Json, status: u16) -> Option<Error> {
    let code = Code::parse(told["code"].as_str()?)?;
    // What no operation answered has this code and another status.
    if code == Code::InvalidRequest && status != 400 {
        return None;
    }
    let message = told["message"].as_str().filter(|text| !text.is_empty());
    let mut error = match (code, message) {
        // The texts of these are for older clients.
        (Code::InvalidToken | Code::InvalidApiKey, _) | (_, None) => Error::code_only(code),
        (Code::CredentialsRejected, Some(text)) => {
            Error::received(code, text.strip_prefix("Failed to verify credentials: ").unwrap_or(text))
        }
        (_, Some(text)) => Error::received(code, text),
    };
    if let Ok(retry) = serde_json::from_value(told["retry"].clone()) {
        error = error.with_retry(retry);
    }
    let wait = told["retry_after"].as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    if let Some(wait) = wait {
        error = error.retry_after(wait);
    }
    for (name, value) in told["context"].as_object().into_iter().flatten() {
        if let Some(value) = value.as_str() {
            error = error.with(name, value);
        }
    }
    Some(error)
}

/// An error of the hosted service, by the code and the texts that its documentation has. The text goes to people.
fn in_known_words(told: &Json, status: u16) -> Option<Error> {
    let word = told["error_code"].as_str().or_else(|| told["error"].as_str())?;
    let message = told["message"].as_str()?.trim();
    let code = match (status, word) {
        (401, "INVALID_TOKEN") => Code::InvalidToken,
        (400 | 404 | 500, _) if message.starts_with("Linked Account with account id") => Code::LinkedAccountNotFound,
        (400 | 404 | 500, "INVALID_LINKED_ACCOUNT_ID") if message.starts_with("No linked account found") => Code::LinkedAccountNotFound,
        (400, _) if message.starts_with("Linked account with id") && message.contains("already exists") => Code::LinkedAccountExists,
        (400 | 404 | 500, _) if message.starts_with("Application with app_type") => Code::ApplicationNotFound,
        (404, "INVALID_APP_ID") => Code::ApplicationNotFound,
        (404, _) if message.starts_with("Config with config id") => Code::ConfigNotFound,
        (404, _) if message.starts_with("No workflow with id") => Code::WorkflowNotFound,
        (400 | 404, _) if message.starts_with("Field with id") => Code::FieldNotFound,
        (400 | 500, _) if message.starts_with("Failed to verify credentials") => Code::CredentialsRejected,
        (502, "EXTERNAL_API_FAILURE") => Code::ProviderUnreachable,
        _ => return None,
    };
    let text: String = message.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
    Some(if code == Code::InvalidToken { Error::code_only(code) } else { Error::new(code, text) })
}

fn redirected(to: Option<&str>) -> Error {
    // Query and path could hold anything; the origin helps enough.
    let origin = to.and_then(|to| url::Url::parse(to).ok()).map(|url| url.origin().ascii_serialization());
    let to = origin.unwrap_or_else(|| "another address".to_owned());
    crate::error::err!(ServerAnswer, "the server redirects to `{to}`, which is never followed: name the final address")
}

/// An error of which only the status can be trusted.
fn in_general(status: u16, told: Option<&Json>, call: &Call) -> Error {
    let code = match status {
        400 | 413 | 414 | 415 | 422 | 431 => Code::InvalidRequest,
        401 if call.by_key => Code::InvalidApiKey,
        401 => Code::InvalidToken,
        403 => Code::Forbidden,
        404 | 405 | 501 => Code::Unsupported,
        408 | 502 | 504 if call.effect != Effect::Reads => Code::OutcomeUnknown,
        408 | 504 => Code::ServerTimeout,
        429 => Code::RateLimited,
        500.. => Code::ServerError,
        _ => Code::ServerAnswer,
    };
    match told.and_then(|told| told["message"].as_str()).map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => {
            let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
            Error::new(code, format!("the server answered {status}: {text}"))
        }
        None => Error::new(code, format!("the server answered {status}")),
    }
}

/// What became of a request that has no answer.
pub(super) fn lost(error: &Error, call: &Call, host: &str) -> Option<(Code, String)> {
    let cause = error.info().context.get("cause").map(String::as_str);
    let changes = call.effect != Effect::Reads;
    Some(match error.code() {
        Code::ProviderUnreachable => {
            let text = match cause {
                Some("certificate") => format!("the certificate of `{host}` is not valid for it, or nobody trusts who issued it"),
                Some("dns") => format!("the name of `{host}` could not be resolved"),
                _ => format!("no connection to `{host}` could be made"),
            };
            (Code::ServerUnreachable, text)
        }
        Code::ProviderTimeout if changes => (Code::OutcomeUnknown, format!("`{host}` did not answer in time")),
        Code::ProviderTimeout => (Code::ServerTimeout, format!("`{host}` did not answer in time")),
        Code::AnswerTooLarge => (Code::ServerAnswerTooLarge, format!("the answer of `{host}` is larger than {} bytes", call.max_answer)),
        Code::ProviderError | Code::MalformedAnswer if changes => {
            (Code::OutcomeUnknown, format!("the connection to `{host}` broke before its answer was complete"))
        }
        Code::ProviderError => (Code::ServerError, format!("the connection to `{host}` broke before its answer was complete")),
        Code::MalformedAnswer => (Code::ServerAnswer, format!("`{host}` answered with something that cannot be read")),
        // Nothing was sent, or the transport has words of its own.
        _ => return None,
    })
}

impl Got {
    /// The answer in its form.
    ///
    /// # Errors
    /// `server_answer`.
    pub(super) fn read<T: Received>(&self) -> Result<T, Error> {
        T::read(&self.body).map_err(|error| self.unreadable(&error))
    }

    /// As [`Self::read`], for what is no answer of an operation.
    ///
    /// # Errors
    /// `server_answer`.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        let any: serde_json::Result<Json> = serde_json::from_slice(&self.body);
        any.and_then(serde_json::from_value).map_err(|error| self.unreadable(&error))
    }

    /// Nothing of the body is repeated: it may be a credential.
    fn unreadable(&self, error: &serde_json::Error) -> Error {
        use crate::error::err;
        let begins_like_a_page = self.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
        let error = if self.content_type.starts_with("text/html") || begins_like_a_page {
            err!(ServerAnswer, "a page came in place of JSON")
        } else if self.body.is_empty() || error.is_eof() {
            err!(ServerAnswer, "the JSON that came ends too early")
        } else if error.is_data() {
            err!(ServerAnswer, "the answer has another form than this version knows")
        } else {
            err!(ServerAnswer, "what came is no JSON")
        };
        error.http_status(self.status).request_id(&self.request_id)
    }
}
