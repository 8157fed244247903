//! What a flow does beyond RFC 6749: odd callbacks, values that are kept, requests that follow the exchange.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Success, TokenBody, is_default, pattern::Pattern};

manifest! {
    /// How a provider's callback differs from RFC 6749 section 4.1.2.
    #[derive(Default)]
    pub struct AuthorizeCallback {
        /// The parameter with the code; default `code`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["auth_code"]))]
        pub code: Option<String>,
        /// The parameter with the error; default `error`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["error_reason"]))]
        pub error: Option<String>,
        /// Errors that mean that the user did not consent; default `access_denied`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(extend("examples" = [["user_cancelled_login"]]))]
        pub denied: Vec<String>,
        /// Where the state travels; default `param`.
        #[serde(default, skip_serializing_if = "is_default")]
        #[schemars(extend("default" = "param"))]
        pub state: StateIn,
        /// The parameter that proves the others: the hexadecimal HMAC-SHA256 of all others, sorted and joined as `name=value`
        /// with `&`, under the client's secret. Without a right one the callback is refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["hmac"]))]
        pub hmac: Option<String>,
    }

    /// A value that is kept: its place, or a place with a check.
    #[serde(untagged)]
    pub enum Copied {
        /// The place: a JSON pointer in an answer, a parameter's name in a callback. Kept when it is there.
        Place(String),
        /// A place with a check.
        Checked(CopiedFrom),
    }

    /// A value that is checked before it is kept.
    pub struct CopiedFrom {
        /// The place: a JSON pointer in an answer, a parameter's name in a callback.
        #[schemars(extend("examples" = ["/instance_url", "realmId"]))]
        pub from: String,
        /// What the value must look like. Where the pattern has a group `(?<value>…)`, that part is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("examples" = ["https://(?<value>[a-z0-9-]+\\.my\\.salesforce\\.com)"]))]
        pub pattern: Option<String>,
        /// Whether the connection may do without it; default false.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub optional: bool,
    }

    /// A request after the exchange. It carries the access token as calls of the API do, unless it swaps the token.
    pub struct Step {
        /// Template, or a path below the API's base URL.
        #[schemars(extend("examples" = ["https://api.example.com/accounts"]))]
        pub url: String,
        /// `GET` by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("enum" = ["GET", "POST", null]))]
        pub method: Option<String>,
        /// Templates: more headers.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub headers: BTreeMap<String, String>,
        /// Templates: the body's parameters, or the query's of a `GET`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub params: BTreeMap<String, String>,
        /// The body's form; default `form`.
        #[serde(default, skip_serializing_if = "is_default")]
        #[schemars(extend("default" = "form"))]
        pub body: TokenBody,
        /// The one item of a list that is meant; the places under `copy` then start there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pick: Option<Pick>,
        /// Values to keep from the answer: property name to JSON pointer, or with a check.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(extend("examples" = [{"cloud_id": "/0/id"}]))]
        pub copy: BTreeMap<String, Copied>,
        /// Whether the answer is a token answer whose tokens take the place of those before; default false. No token is placed
        /// into such a request: its parameters name `{access_token}` where it is needed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub token: bool,
        /// Whether the connection may do without an answer; default false.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub optional: bool,
    }

    /// The item of a list that is meant: the first that fits.
    pub struct Pick {
        /// JSON pointer of the list; the empty text is the whole answer.
        #[schemars(extend("examples" = ["/accounts", ""]))]
        pub list: String,
        /// What the item holds; a text may name values, e.g. `https://{site}.example.com`. Absent: the first item.
        #[serde(default, skip_serializing_if = "Option::is_none", rename = "where")]
        pub filter: Option<Success>,
    }
}

/// Where the state travels to the provider and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateIn {
    /// In the parameter `state`, as RFC 6749 says.
    #[default]
    Param,
    /// In the redirect URI's query, for providers that do not give `state` back.
    RedirectQuery,
    /// As the last part of the redirect URI's path, for providers that give neither `state` nor a query back.
    RedirectPath,
}

impl Copied {
    /// Its place.
    pub fn place(&self) -> &str {
        match self {
            Copied::Place(place) => place,
            Copied::Checked(checked) => &checked.from,
        }
    }

    /// What it must look like.
    pub fn pattern(&self) -> Option<&str> {
        match self {
            Copied::Place(_) => None,
            Copied::Checked(checked) => checked.pattern.as_deref(),
        }
    }

    /// The value to keep of what was found.
    ///
    /// # Errors
    /// What is wrong with it, in words that show no value.
    pub fn take(&self, found: Option<&str>) -> Result<Option<String>, &'static str> {
        let Copied::Checked(checked) = self else { return Ok(found.map(ToOwned::to_owned)) };
        let Some(found) = found.filter(|found| !found.is_empty()) else {
            return if checked.optional { Ok(None) } else { Err("is missing") };
        };
        match &checked.pattern {
            None => Ok(Some(found.to_owned())),
            Some(pattern) => match Pattern::new(pattern).ok().and_then(|pattern| pattern.kept(found)) {
                Some(kept) => Ok(Some(kept.to_owned())),
                None => Err("has another form than the manifest's pattern"),
            },
        }
    }
}

impl From<&str> for Copied {
    fn from(place: &str) -> Self {
        Copied::Place(place.to_owned())
    }
}
