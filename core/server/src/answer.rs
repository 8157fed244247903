//! What routes answer, as HTTP.

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE},
};
use serde::Serialize;
use smalt::{
    Error, Secret,
    model::Json,
    wire::{Failure, failure},
};

use crate::assets::File;

/// A good answer.
pub(crate) enum Answer {
    /// 200 with a body that is never empty: some clients fail on less.
    Json(Json),
    /// The same, written already.
    Written(Vec<u8>),
    /// A page of ours.
    Page(Page),
    /// 200 with a body of another sort, or one that comes piece by piece.
    Raw { content_type: &'static str, headers: Vec<(&'static str, String)>, body: Body },
    /// The hosted page.
    Hosted(Hosted),
    /// A file that is built in.
    File(&'static File, Cache),
    /// An application's picture.
    Picture(Picture),
    /// 303, for pages only: API routes never redirect.
    Redirect { location: String, cookie: Option<Secret> },
}

/// A page of ours: text and at most one button.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) html: String,
    /// Where its form may lead, beside ourselves.
    pub(crate) form_action: Option<String>,
    /// The one script or style that it has is known by this.
    pub(crate) nonce: String,
}

/// The hosted page: it may stand in frames of listed origins, and its scripts call us.
pub(crate) struct Hosted {
    pub(crate) html: String,
    pub(crate) nonce: String,
    /// Origins whose pages may show it in a frame.
    pub(crate) embed: Vec<String>,
}

/// An application's picture.
pub(crate) struct Picture {
    pub(crate) content_type: String,
    pub(crate) bytes: Vec<u8>,
}

/// How long a file may be kept.
#[derive(Clone, Copy)]
pub(crate) enum Cache {
    /// What stands at this address never changes.
    Forever,
    /// Something newer may stand there soon.
    Briefly,
}

/// Why a route has no answer.
pub(crate) enum Trouble {
    /// What an operation answered.
    Smalt(Box<Error>),
    /// The same, in the code and words that users of the hosted service know.
    Known(Box<Error>, &'static str, String),
    /// What the transport or a route found: status, code and text.
    Plain(u16, &'static str, String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Smalt(Box::new(error))
    }
}

impl Trouble {
    /// A request that lacks something.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Trouble::Plain(400, "SERVER_ERROR", message.into())
    }

    /// Whether the credential that was presented is not good.
    pub(crate) fn is_wrong_credential(&self) -> bool {
        match self {
            Trouble::Smalt(error) | Trouble::Known(error, ..) => {
                [smalt::Code::InvalidToken, smalt::Code::InvalidApiKey].contains(&error.code())
            }
            Trouble::Plain(..) => false,
        }
    }

    /// Its code among Smalt's own, as near as there is one.
    pub(crate) fn code(&self) -> smalt::Code {
        match self {
            Trouble::Smalt(error) | Trouble::Known(error, ..) => error.code(),
            Trouble::Plain(504, ..) => smalt::Code::ServerTimeout,
            Trouble::Plain(500.., ..) => smalt::Code::ServerError,
            Trouble::Plain(..) => smalt::Code::InvalidRequest,
        }
    }

    /// Its body.
    pub(crate) fn body(&self, request_id: &str) -> Failure {
        match self {
            Trouble::Smalt(error) => failure(error, request_id),
            Trouble::Known(error, code, message) => {
                let body = failure(error, request_id);
                Failure { error_code: (*code).to_owned(), error: (*code).to_owned(), message: message.clone(), ..body }
            }
            Trouble::Plain(status, code, message) => Failure::new(*status, code, message.clone(), request_id),
        }
    }
}

/// The usual answer of a route.
pub(crate) fn json(value: impl Serialize) -> Result<Answer, Trouble> {
    serde_json::to_vec(&value)
        .map(Answer::Written)
        .map_err(|_| Trouble::Plain(500, "SERVER_ERROR", "an answer could not be written".into()))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

const JSON: &str = "application/json; charset=utf-8";

fn with_body(status: u16, content_type: &str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(response.headers_mut(), CONTENT_TYPE, content_type);
    response
}

/// A body as JSON; what cannot be written is a fault of ours.
fn json_body(status: u16, body: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(bytes) => with_body(status, JSON, bytes),
        Err(_) => with_body(500, JSON, br#"{"message":"an answer could not be written"}"#.to_vec()),
    }
}

impl Answer {
    pub(crate) fn into_response(self) -> Response<Body> {
        match self {
            Answer::Json(body) => no_store(json_body(200, &body)),
            Answer::Written(body) => no_store(with_body(200, JSON, body)),
            Answer::Page(page) => page.into_response(),
            Answer::Raw { content_type, headers, body } => {
                let mut response = Response::new(body);
                set(response.headers_mut(), CONTENT_TYPE, content_type);
                for (name, value) in headers {
                    set(response.headers_mut(), HeaderName::from_static(name), &value);
                }
                no_store(response)
            }
            Answer::Hosted(page) => page.into_response(),
            Answer::File(file, cache) => {
                let mut response = for_everybody(with_body(200, file.content_type, file.bytes.to_vec()));
                let headers = response.headers_mut();
                let keep = match cache {
                    Cache::Forever => "public, max-age=31536000, immutable",
                    Cache::Briefly => "public, max-age=300",
                };
                set(headers, CACHE_CONTROL, keep);
                response
            }
            Answer::Picture(picture) => {
                let mut response = for_everybody(with_body(200, &picture.content_type, picture.bytes));
                let headers = response.headers_mut();
                // Opened by itself, a drawing is a document of our origin: it may do nothing.
                let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";
                set(headers, HeaderName::from_static("content-security-policy"), policy);
                set(headers, CACHE_CONTROL, "public, max-age=86400");
                response
            }
            Answer::Redirect { location, cookie } => {
                let mut response = with_body(303, "text/plain; charset=utf-8", Vec::new());
                set(response.headers_mut(), LOCATION, &location);
                if let Some(cookie) = cookie {
                    set(response.headers_mut(), SET_COOKIE, cookie.expose());
                }
                quiet(no_store(response))
            }
        }
    }
}

impl Page {
    /// No cross-origin opener policy: it would cut a popup off from the page that opened it.
    fn into_response(self) -> Response<Body> {
        let form = self.form_action.map_or_else(String::new, |origin| format!(" {origin}"));
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src 'self' data:; form-action 'self'{form}; base-uri 'none'; frame-ancestors 'none'",
            self.nonce
        );
        let mut response = with_body(self.status, "text/html; charset=utf-8", self.html.into_bytes());
        set(response.headers_mut(), HeaderName::from_static("content-security-policy"), &policy);
        quiet(no_store(response))
    }
}

impl Hosted {
    /// Windows that it opens stay connected to it; windows that open it do not.
    fn into_response(self) -> Response<Body> {
        let ancestors = if self.embed.is_empty() { "'none'".to_owned() } else { self.embed.join(" ") };
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src 'self' data: https:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors {ancestors}",
            self.nonce
        );
        let mut response = with_body(200, "text/html; charset=utf-8", self.html.into_bytes());
        set(response.headers_mut(), HeaderName::from_static("content-security-policy"), &policy);
        set(response.headers_mut(), HeaderName::from_static("cross-origin-opener-policy"), "same-origin-allow-popups");
        quiet(no_store(response))
    }
}

/// Nothing of the address goes elsewhere with the next request.
fn quiet(mut response: Response<Body>) -> Response<Body> {
    set(response.headers_mut(), REFERRER_POLICY, "no-referrer");
    response
}

/// Public, and the same for everybody: any page may load it, and compare it with a hash.
fn for_everybody(mut response: Response<Body>) -> Response<Body> {
    set(response.headers_mut(), ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(response.headers_mut(), HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    response
}

fn no_store(mut response: Response<Body>) -> Response<Body> {
    set(response.headers_mut(), CACHE_CONTROL, "no-store");
    response
}

/// A failure as a response.
pub(crate) fn failed(body: &Failure) -> Response<Body> {
    let mut response = no_store(json_body(body.status_code, body));
    if let Some(wait) = body.retry_after {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        set(response.headers_mut(), RETRY_AFTER, &(wait.ceil().max(1.0) as u64).to_string());
    }
    response
}
