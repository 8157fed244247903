//! Errors as bodies: every key that a client of any age reads, and Smalt's own code and facts beside them.

use std::collections::BTreeMap;

use super::body;
use crate::{Code, Error, Kind, Retry};

body! {
    /// What every failed call answers.
    pub struct Failure {
        /// The HTTP status.
        pub status_code: u16,
        /// The status in words: `BAD_REQUEST`, `NOT_FOUND`, …
        pub http_error_type: String,
        /// The same, for old clients.
        pub error_type: String,
        /// A machine's code, as the hosted service has it.
        pub error_code: String,
        /// The same.
        pub error: String,
        /// For people; never empty.
        pub message: String,
        /// Also in the header `x-request-id`.
        pub request_id: String,
        /// The code of Smalt's own error table.
        pub code: String,
        /// Whether trying again can help.
        pub retry: Retry,
        /// Seconds to wait before that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retry_after: Option<f64>,
        /// Named facts.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub context: BTreeMap<String, String>,
    }
}

/// The status that the hosted service's clients expect, where it differs from the table's.
fn status(error: &Error) -> u16 {
    match error.code() {
        // Conflicts that its documentation calls bad requests.
        Code::LinkedAccountExists | Code::NotConnected | Code::WorkflowDisabled => 400,
        // 499 is no registered status.
        Code::Cancelled => 400,
        Code::FieldNotFound => 400,
        _ => error.code().row().http_status,
    }
}

fn words(status: u16) -> &'static str {
    match status {
        400 => "BAD_REQUEST",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        408 => "REQUEST_TIMEOUT",
        409 => "CONFLICT",
        410 => "GONE",
        413 => "PAYLOAD_TOO_LARGE",
        424 => "FAILED_DEPENDENCY",
        429 => "TOO_MANY_REQUESTS",
        431 => "REQUEST_HEADER_FIELDS_TOO_LARGE",
        501 => "NOT_IMPLEMENTED",
        502 => "BAD_GATEWAY",
        503 => "SERVICE_UNAVAILABLE",
        504 => "GATEWAY_TIMEOUT",
        _ => "INTERNAL_SERVER_ERROR",
    }
}

fn code(error: &Error) -> &'static str {
    match error.code() {
        Code::InvalidToken => "INVALID_TOKEN",
        Code::ApplicationNotFound => "INVALID_APP_ID",
        Code::ProviderLimited | Code::RateLimited => "RATE_LIMITED",
        Code::ReceiptNotFound
        | Code::ConnectionNotFound
        | Code::FlowNotFound
        | Code::ApiKeyNotFound
        | Code::OwnCredentialsNotFound
        | Code::ExecutionNotFound
        | Code::WebhookNotFound
        | Code::DeliveryNotFound => "RESOURCE_NOT_FOUND",
        _ if matches!(error.kind(), Kind::Provider) => "EXTERNAL_API_FAILURE",
        _ => "SERVER_ERROR",
    }
}

/// An error as a body, with its status inside.
pub fn failure(error: &Error, request_id: &str) -> Failure {
    let status = status(error);
    let message = match error.code() {
        Code::InvalidToken => "Invalid token".to_owned(),
        Code::InvalidApiKey => "Invalid Credentials".to_owned(),
        Code::CredentialsRejected => format!("Failed to verify credentials: {}", error.reason()),
        _ => error.reason().to_owned(),
    };
    Failure::new(status, code(error), message, request_id).of(error)
}

impl Failure {
    /// A body for trouble that no operation answered: of the transport, or of a route.
    pub fn new(status: u16, code: &str, message: impl Into<String>, request_id: &str) -> Self {
        Self {
            status_code: status,
            http_error_type: words(status).to_owned(),
            error_type: words(status).to_owned(),
            error_code: code.to_owned(),
            error: code.to_owned(),
            message: message.into(),
            request_id: request_id.to_owned(),
            code: Code::InvalidRequest.as_str().to_owned(),
            retry: Retry::Never,
            retry_after: None,
            context: BTreeMap::new(),
        }
    }

    fn of(self, error: &Error) -> Self {
        let info = error.info();
        Self {
            code: info.code.as_str().to_owned(),
            retry: info.retry,
            retry_after: info.retry_after.map(|wait| wait.as_secs_f64()),
            context: info.context.clone(),
            ..self
        }
    }
}
