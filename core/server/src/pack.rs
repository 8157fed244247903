//! Answers packed (gzip, RFC 1952) for clients that ask for it.
//!
//! Only what comes whole, is worth it, and holds no credential: the length of a packed answer tells of what is in it, and what is unpacked
//! leaves copies in buffers that nobody clears.

use std::io::Write;

use axum::body::Body;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderValue, Response,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY},
};
use http_body::Body as _;
use http_body_util::BodyExt;
use smalt::operations::Operation;

use crate::routes::{CALLBACK, Route};

/// What is smaller fits into one packet anyway.
const WORTH_IT: u64 = 1024;

/// Whether a client takes gzip (RFC 9110 section 12.5.3): it names it, or everything, and not with a weight of 0.
pub(crate) fn asked_for(headers: &HeaderMap) -> bool {
    let text = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = None;
    for part in text.flat_map(|text| text.split(',')) {
        let mut pieces = part.split(';').map(str::trim);
        let name = pieces.next().unwrap_or_default();
        let weight = pieces.find_map(|piece| piece.strip_prefix("q=").or_else(|| piece.strip_prefix("Q=")));
        let is_wanted = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return is_wanted;
        }
        if name == "*" {
            any = Some(is_wanted);
        }
    }
    any.unwrap_or(false)
}

/// Whether an answer of this route may be packed.
pub(crate) fn allowed(route: &Route, operation: Option<Operation>) -> bool {
    use Operation as O;
    match operation {
        Some(operation) => matches!(
            operation,
            O::Account
                | O::ListAccounts
                | O::ListApps
                | O::App
                | O::ListConnections
                | O::ListApiKeys
                | O::Config
                | O::GetConfig
                | O::UpdateConfig
                | O::ListConfigs
                | O::ConfigField
                | O::SetConfigField
                | O::RuleColumns
                | O::Events
                | O::Audit
                | O::ListExecutions
                | O::ListWebhooks
                | O::ListDeliveries
                | O::Project
        ),
        None => match route.path {
            // They answer links with a ticket, or stand for one.
            path if path.ends_with("/integrate") || path.contains("/oauth-url/") || path == CALLBACK => false,
            path if path.starts_with("/connect") => path.starts_with("/connect/assets/"),
            path if path.contains("/config") => true,
            _ => route.method == "GET",
        },
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = content_type.split(';').next().unwrap_or_default().trim();
    name.starts_with("text/") && name != "text/event-stream" || matches!(name, "application/json" | "image/svg+xml")
}

/// The answer for a client that takes it packed or not, as `is_wanted` says.
pub(crate) async fn packed(mut response: Response<Body>, is_wanted: bool) -> Response<Body> {
    let is_fit = response.status().is_success() && is_text(response.headers()) && !response.headers().contains_key(CONTENT_ENCODING);
    // What comes piece by piece has no length, and goes on as it comes.
    if !is_fit || response.body().size_hint().exact().is_none_or(|length| length < WORTH_IT) {
        return response;
    }
    // Whoever keeps it keeps it for clients of the same sort.
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    if !is_wanted {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // It is in memory already, so nothing is waited for, and it cannot fail.
    let Ok(body) = body.collect().await else { return Response::from_parts(head, Body::empty()) };
    let bytes = body.to_bytes();
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    match encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
        Ok(packed) if packed.len() < bytes.len() => {
            head.headers.remove(CONTENT_LENGTH);
            head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Response::from_parts(head, Body::from(packed))
        }
        _ => Response::from_parts(head, Body::from(bytes)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_client_says_what_it_takes() {
        for (said, expected) in [
            (&["gzip"][..], true),
            (&["deflate, GZIP;q=0.5"], true),
            (&["br", "x-gzip"], true),
            (&["*"], true),
            (&["*;q=0, gzip"], true),
            (&["gzip; q=0"], false),
            (&["gzip;q=0.000, *"], false),
            (&["gzip;q=nonsense"], false),
            (&["*;q=0"], false),
            (&["br, deflate"], false),
            (&["identity"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for said in said {
                headers.append(ACCEPT_ENCODING, said.parse().unwrap());
            }
            assert_eq!(asked_for(&headers), expected, "{said:?}");
        }
    }
}
