//! One error shape for everything: a kind, and one record with a stable code and what to do next.

mod codes;

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use codes::{Code, Row};

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same call will fail the same way.
    Never,
    /// The same call may succeed later; see `retry_after`.
    Later,
    /// Only after the user has authorised again.
    AfterReauth,
}

/// What every error holds.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorInfo {
    /// Which row of the error table this is.
    pub code: Code,
    /// What happened and what to do next, for people; holds no secret and no provider body.
    pub reason: String,
    /// Whether trying again can help.
    pub retry: Retry,
    /// How long to wait before trying again, if known.
    pub retry_after: Option<Duration>,
    /// The status that a server answered or should answer with.
    pub http_status: Option<u16>,
    /// The id of the request at the server, if there was one.
    pub request_id: Option<String>,
    /// Named facts: `field`, `application`, `provider_error`, … Holds no secret.
    pub context: BTreeMap<String, String>,
    /// The trace that a plugin's host language gave, kept apart from the reason.
    pub trace: Option<String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The sort of trouble; a host language has one exception class per kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// The stable string form.
            pub const fn as_str(self) -> &'static str { match self { $(Kind::$name => $text,)* } }
        }

        /// Everything that can go wrong, by kind. All variants hold the same record.
        #[derive(Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Error { $($(#[$doc])* $name(Box<ErrorInfo>),)* }

        impl Error {
            fn of(kind: Kind, info: ErrorInfo) -> Self {
                match kind { $(Kind::$name => Error::$name(Box::new(info)),)* }
            }

            /// The kind, as a value.
            pub fn kind(&self) -> Kind { match self { $(Error::$name(_) => Kind::$name,)* } }

            /// The record.
            pub fn info(&self) -> &ErrorInfo { match self { $(Error::$name(i) => i,)* } }

            fn info_mut(&mut self) -> &mut ErrorInfo { match self { $(Error::$name(i) => i,)* } }
        }
    };
}

kinds! {
    /// The caller's argument is wrong.
    Invalid = "invalid",
    /// No valid session token or key.
    Unauthenticated = "unauthenticated",
    /// Known, but not allowed.
    Forbidden = "forbidden",
    /// The thing does not exist.
    NotFound = "not_found",
    /// The thing's state stands against it.
    Conflict = "conflict",
    /// A connect flow ended without a connection.
    Flow = "flow",
    /// The user must authorise again.
    Reauth = "reauth",
    /// The application's server failed.
    Provider = "provider",
    /// Time ran out.
    Timeout = "timeout",
    /// The organisation's own settings are wrong.
    Configuration = "configuration",
    /// Something Smalt needs is not available now.
    Unavailable = "unavailable",
    /// A plugin failed.
    Plugin = "plugin",
    /// This backend or set-up cannot do that.
    Unsupported = "unsupported",
    /// The caller cancelled.
    Cancelled = "cancelled",
    /// A fault in Smalt itself.
    Internal = "internal",
}

impl Error {
    /// An error of this code; `reason` says what happened, the table's next step is added to it.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        let row = code.row();
        let mut reason = reason.into();
        if !reason.ends_with(['.', '!', '?']) {
            reason.push('.');
        }
        reason.push(' ');
        reason.push_str(row.next);
        Self::of(
            row.kind,
            ErrorInfo {
                code,
                reason,
                retry: row.retry,
                retry_after: None,
                http_status: Some(row.http_status),
                request_id: None,
                context: BTreeMap::new(),
                trace: None,
            },
        )
    }

    /// An error of this code in the table's own words.
    pub fn code_only(code: Code) -> Self {
        Self::new(code, code.row().meaning)
    }

    /// An error in the words of another Smalt, which end with what to do next.
    pub fn received(code: Code, reason: impl Into<String>) -> Self {
        let mut error = Self::code_only(code);
        error.info_mut().reason = reason.into();
        error
    }

    /// States whether trying again can help, where that is not as the table has it.
    #[must_use]
    pub(crate) fn with_retry(mut self, retry: Retry) -> Self {
        self.info_mut().retry = retry;
        self
    }

    /// States the status that a server answered.
    #[must_use]
    pub(crate) fn http_status(mut self, status: u16) -> Self {
        self.info_mut().http_status = Some(status);
        self
    }

    /// States the id under which the server knows the request.
    #[must_use]
    pub(crate) fn request_id(mut self, id: impl Into<String>) -> Self {
        self.info_mut().request_id = Some(id.into());
        self
    }

    /// Adds a named fact. Never pass a secret or a provider's body.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.info_mut().context.insert(key.to_owned(), value.to_string());
        self
    }

    /// States how long to wait before trying again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.info_mut().retry_after = Some(wait);
        self
    }

    /// Keeps a plugin's trace.
    #[must_use]
    pub fn trace(mut self, trace: impl Into<String>) -> Self {
        self.info_mut().trace = Some(trace.into());
        self
    }

    /// Takes texts of secrets out of what a plugin said. Short ones stay: they would tear words apart.
    #[must_use]
    pub(crate) fn without<'a>(mut self, secrets: impl Iterator<Item = &'a str>) -> Self {
        let info = self.info_mut();
        for secret in secrets.filter(|secret| secret.len() >= 6) {
            let texts = info.context.values_mut().chain([&mut info.reason]).chain(&mut info.trace);
            texts.filter(|text| text.contains(secret)).for_each(|text| *text = text.replace(secret, "…"));
        }
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.info().code
    }

    /// Whether this is that code.
    pub fn is(&self, code: Code) -> bool {
        self.code() == code
    }

    /// The text for people.
    pub fn reason(&self) -> &str {
        &self.info().reason
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        self.info().retry
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason(), self.code().as_str())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info();
        let mut shown = f.debug_struct("Error");
        shown
            .field("kind", &self.kind())
            .field("code", &info.code.as_str())
            .field("reason", &info.reason)
            .field("retry", &info.retry)
            .field("context", &info.context);
        if let Some(id) = &info.request_id {
            shown.field("request_id", id);
        }
        shown.finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}

/// `bail!(Code::X, "format {}", args)`: returns an error of this code.
macro_rules! bail {
    ($code:ident, $($arg:tt)+) => {
        return Err($crate::Error::new($crate::Code::$code, format!($($arg)+)))
    };
}
/// `err!(X, "format {}", args)`: an error of this code.
macro_rules! err {
    ($code:ident, $($arg:tt)+) => { $crate::Error::new($crate::Code::$code, format!($($arg)+)) };
}
pub(crate) use {bail, err};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_round_trip() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} twice", code.as_str());
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(code.row().next.ends_with('.'), "{}", code.as_str());
        }
    }

    #[test]
    fn an_error_says_what_to_do_next() {
        let error = err!(LinkedAccountNotFound, "no linked account `{}`", "customer-42");
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.reason().contains("customer-42") && error.reason().contains("accounts.upsert"));
    }
}
