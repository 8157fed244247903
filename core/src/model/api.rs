use std::fmt;

use crate::{
    expose::{Bytes, exposes},
    model::Json,
    plugin::HttpResponse,
};

/// A name and its value: a header, a query parameter.
#[derive(Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameValue {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl<N: Into<String>, V: Into<String>> From<(N, V)> for NameValue {
    fn from((name, value): (N, V)) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A request's body with its content type. Debug shows the size only.
#[derive(Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiBody {
    /// The media type, e.g. `application/json`.
    pub content_type: String,
    /// The bytes.
    #[serde(deserialize_with = "Bytes::read")]
    #[schemars(with = "Bytes")]
    pub content: Vec<u8>,
}

/// What a provider answered to an authenticated call, whatever the status. Debug shows status and size only.
#[derive(Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct ApiAnswer {
    /// The status.
    pub status: u16,
    /// Names are in lower case; one that came several times stands here as often.
    pub headers: Vec<NameValue>,
    /// The body.
    #[serde(deserialize_with = "Bytes::read")]
    #[schemars(with = "Bytes")]
    pub body: Vec<u8>,
}

exposes! {
    NameValue { name, value }
    ApiBody { content_type, content }
    ApiAnswer { status, headers, body }
}

impl ApiAnswer {
    /// How many bytes a body may have where the caller does not say: 8 MiB.
    pub const MOST: usize = 8 << 20;

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// The body as JSON, if it is JSON.
    pub fn json(&self) -> Option<Json> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl From<HttpResponse> for ApiAnswer {
    fn from(response: HttpResponse) -> Self {
        Self { status: response.status, headers: response.headers.into_iter().map(NameValue::from).collect(), body: response.body }
    }
}

/// Values of headers and parameters may be secrets.
impl fmt::Debug for NameValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=…", self.name.escape_debug())
    }
}

impl fmt::Debug for ApiBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiBody({} bytes)", self.content.len())
    }
}

impl fmt::Debug for ApiAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiAnswer({}, {} bytes)", self.status, self.body.len())
    }
}
