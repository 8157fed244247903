use std::{fmt, time::Duration};

use async_trait::async_trait;
use url::Url;
use zeroize::Zeroizing;

use super::{ClientIdentity, HttpStream, StreamRequest};
use crate::Result;

/// The only way out. Default: reqwest over rustls with an address policy in its resolver, no redirects, no retries,
/// and caps on time and bytes. Secrets travel in headers and body, so neither is ever printed.
#[async_trait]
pub trait HttpTransport: Send + Sync + 'static {
    /// Sends once, and never again by itself.
    ///
    /// # Errors
    /// `address_refused` before anything is sent; `provider_unreachable` when no byte of the request went out;
    /// `provider_timeout`, `provider_error` or `malformed_answer` when it may have; `answer_too_large`.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse>;

    /// Sends once, the body as it is read, and answers as soon as the head has come. Default: `unsupported`.
    ///
    /// # Errors
    /// As [`Self::send`]; `provider_timeout` when one side was silent for too long; what the upload's source answered.
    async fn stream(&self, request: StreamRequest) -> Result<HttpStream> {
        let _ = request;
        Err(crate::error::err!(Unsupported, "this transport does not stream"))
    }
}

/// One request. Debug shows method and host: some applications have their key in the path.
#[derive(Clone)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The full URL; checked against the address policy by the transport.
    pub url: Url,
    /// Name and value; both are checked against injection when added.
    pub headers: Vec<(String, Zeroizing<String>)>,
    /// The body.
    pub body: HttpBody,
    /// The whole call's time, name resolution and body included. Default 10 s.
    pub timeout: Duration,
    /// The answer's largest size in bytes. Default 1 MiB.
    pub max_body: usize,
    /// What the client proves itself with when the connection is made (RFC 8705). Default none. A transport that cannot do it
    /// answers `unsupported`, since the call would go out unproven.
    pub identity: Option<ClientIdentity>,
}

/// A request's body; cleared on drop.
#[derive(Clone, Default)]
pub struct HttpBody(pub Zeroizing<Vec<u8>>);

/// One answer. Debug shows the status only: bodies of providers bear secrets.
#[derive(Clone)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Name (lower case) and value.
    pub headers: Vec<(String, String)>,
    /// The body, at most `max_body` bytes.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A request without headers and body.
    pub fn new(method: &str, url: Url) -> Self {
        Self {
            method: method.to_ascii_uppercase(),
            url,
            headers: Vec::new(),
            body: HttpBody::default(),
            timeout: Duration::from_secs(10),
            max_body: 1024 * 1024,
            identity: None,
        }
    }

    /// Adds or replaces a header.
    ///
    /// # Errors
    /// `invalid_request` when name or value could inject another header (S-54): the value may hold visible ASCII,
    /// spaces and tabs only.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<()> {
        let name_fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        let value_fits = value.bytes().all(|b| (0x20..0x7f).contains(&b) || b == b'\t') && value.trim() == value;
        if !name_fits || !value_fits {
            crate::error::bail!(InvalidRequest, "the header `{}` holds characters that no header can carry", name.escape_default());
        }
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        Ok(())
    }

    /// Sets the body and its content type.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Vec<u8>>) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case("content-type"));
        self.headers.push(("content-type".to_owned(), Zeroizing::new(content_type.to_owned())));
        self.body = HttpBody(Zeroizing::new(body.into()));
    }
}

impl HttpResponse {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as JSON, if it is JSON.
    pub fn json(&self) -> Option<crate::model::Json> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpRequest({} {}/…)", self.method, self.url.origin().ascii_serialization())
    }
}

impl fmt::Debug for HttpBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpBody({} bytes)", self.0.len())
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpResponse({}, {} bytes)", self.status, self.body.len())
    }
}
