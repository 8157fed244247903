//! Whether an answer says "too many calls", and whether it also says that nothing was done.

use crate::{manifest::RateLimit, model::Json, plugin::HttpResponse};

/// What an answer says about the rate of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Nothing.
    No,
    /// Too many; what was asked for may have been done all the same.
    Perhaps,
    /// Too many, and what was asked for was not done (RFC 6585 section 4, or as the manifest says).
    NotProcessed,
}

/// Reads an answer by the manifest's rules.
pub fn limited(rules: &RateLimit, answer: &HttpResponse) -> Limited {
    if answer.status == 429 || stated(rules, answer) {
        return Limited::NotProcessed;
    }
    let listed = if rules.statuses.is_empty() { answer.status == 503 } else { rules.statuses.contains(&answer.status) };
    // A limit that is used up means nothing on an answer that is good.
    let none_left = || {
        let left = rules.remaining.as_deref().and_then(|name| answer.header(name));
        left.and_then(|left| left.trim().parse::<f64>().ok()).is_some_and(|left| left <= 0.0)
    };
    if listed || (answer.status >= 400 && none_left()) { Limited::Perhaps } else { Limited::No }
}

/// Whether the body states one of the manifest's codes, whatever the status.
fn stated(rules: &RateLimit, answer: &HttpResponse) -> bool {
    if rules.errors.is_empty() {
        return false;
    }
    let pointer = rules.error.as_deref().unwrap_or("/error");
    let body = answer.json();
    match body.as_ref().and_then(|body| body.pointer(pointer)) {
        Some(Json::String(code)) => rules.errors.contains(code),
        Some(Json::Number(code)) => rules.errors.contains(&code.to_string()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &Json) -> HttpResponse {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HttpResponse { status, headers, body: body.to_string().into_bytes() }
    }

    #[test]
    fn limits_are_told_by_status_header_or_code() {
        let plain = RateLimit::default();
        let nothing = json!({});
        for (status, expected) in
            [(200, Limited::No), (403, Limited::No), (429, Limited::NotProcessed), (500, Limited::No), (503, Limited::Perhaps)]
        {
            assert_eq!(limited(&plain, &answer(status, &[("x-left", "0")], &nothing)), expected, "{status}");
        }
        let listed = RateLimit { statuses: vec![420], remaining: Some("x-left".to_owned()), ..RateLimit::default() };
        for (status, left, expected) in [
            (420, "5", Limited::Perhaps),
            (429, "5", Limited::NotProcessed),
            (503, "5", Limited::No),
            (403, "0", Limited::Perhaps),
            (403, "1", Limited::No),
            (403, "none", Limited::No),
            (200, "0", Limited::No),
        ] {
            assert_eq!(limited(&listed, &answer(status, &[("X-Left", left)], &nothing)), expected, "{status} {left}");
        }
        let coded = RateLimit { errors: vec!["ratelimited".to_owned(), "17".to_owned()], ..RateLimit::default() };
        for (status, body, expected) in [
            (200, json!({"error": "ratelimited"}), Limited::NotProcessed),
            (400, json!({"error": 17}), Limited::NotProcessed),
            (200, json!({"error": "other"}), Limited::No),
            (200, json!({"error": {"ratelimited": true}}), Limited::No),
            (200, json!("ratelimited"), Limited::No),
        ] {
            assert_eq!(limited(&coded, &answer(status, &[], &body)), expected, "{status} {body}");
        }
        let elsewhere = RateLimit { error: Some("/errors/0/code".to_owned()), ..coded };
        assert_eq!(limited(&elsewhere, &answer(400, &[], &json!({"errors": [{"code": "17"}]}))), Limited::NotProcessed);
    }
}
