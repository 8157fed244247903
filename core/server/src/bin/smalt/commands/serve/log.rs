//! Log lines of the server, on the standard error output. No secret is ever in one: events have ids and words only.

use smalt_server::{Answered, Observer};
use tracing::Level;

use super::traces::Traces;
use crate::args::{LogForm, LogLevel};

/// Begins to write them.
pub fn begin(form: LogForm, level: LogLevel) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    // It is set once: this process runs one command.
    let _ = match form {
        LogForm::Text => builder.with_ansi(false).try_init(),
        LogForm::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        LogForm::Off => return,
    };
}

/// A line per request, and a span where somebody wants them.
pub struct Requests {
    /// Who takes spans.
    pub traces: Option<Traces>,
}

impl Observer for Requests {
    fn answered(&self, request: &Answered<'_>) {
        tracing::info!(
            target: "smalt_server::request",
            request_id = request.request_id,
            method = request.method,
            route = request.route.unwrap_or_default(),
            status = request.status,
            ms = u64::try_from(request.took.as_millis()).unwrap_or(u64::MAX),
            client = request.client.map(tracing::field::display),
            "answered"
        );
        if let Some(traces) = &self.traces {
            traces.take(request);
        }
    }
}
