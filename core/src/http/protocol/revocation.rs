use std::time::Duration;

use super::{
    RawAnswer,
    lifetime::{http_date, retry_after},
};
use crate::{
    manifest::{Oauth2, RateLimit},
    plugin::HttpResponse,
    time::Timestamp,
};

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// The token is dead, or the provider never knew it.
    Done,
    /// Not now; the token may still live.
    Later {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The provider will never do it this way.
    Refused,
}

/// Reads the answer to a revocation (RFC 7009 section 2.2), in the format of the token answers.
///
/// Done: every 2xx, whatever its body says (providers answer 200 with `invalid_token` for a token they no longer know),
/// and a 4xx with `invalid_token` or `invalid_grant`. Later: 408, 425, 429, 5xx, and 401, 403, `invalid_client` or
/// `unauthorized_client`, since those mean that the organisation's client is refused: the token lives, and the client can be mended.
/// Refused: everything else, e.g. `unsupported_token_type`, a redirect, 404.
///
/// What the manifest says goes first: its `gone_statuses` and `gone_errors` are as good as done, and where it states what
/// a good answer holds, a 2xx without that is not done yet.
pub fn parse_revoke_answer(oauth: &Oauth2, response: &HttpResponse) -> RevokeOutcome {
    let body = RawAnswer::read(oauth, response);
    let error = body.as_ref().and_then(|body| body.error(oauth));
    if let Some(revoke) = &oauth.revoke {
        if revoke.gone_statuses.contains(&response.status) || error.as_ref().is_some_and(|error| revoke.gone_errors.contains(error)) {
            return RevokeOutcome::Done;
        }
        let missed = |wanted: &crate::manifest::Success| !body.as_ref().is_some_and(|body| body.succeeds(wanted));
        if response.status < 300 && revoke.success.as_ref().is_some_and(missed) {
            return RevokeOutcome::Later { retry_after: None };
        }
    }
    match (response.status, error.as_deref()) {
        (200..=299, _) | (400..=499, Some("invalid_token" | "invalid_grant")) => RevokeOutcome::Done,
        (401 | 403 | 408 | 425 | 429 | 500..=599, _) | (400..=499, Some("invalid_client" | "unauthorized_client")) => {
            // A date is measured against the provider's own clock.
            let now = response.header("date").and_then(http_date);
            let wait = now.or_else(|| plain_seconds(response));
            RevokeOutcome::Later { retry_after: wait.and_then(|now| retry_after(&response.headers, &RateLimit::default(), now)) }
        }
        _ => RevokeOutcome::Refused,
    }
}

/// Without a clock only a plain number of seconds can be understood; any clock serves for those.
fn plain_seconds(response: &HttpResponse) -> Option<Timestamp> {
    response.header("retry-after")?.trim().parse::<f64>().is_ok().then(Timestamp::default)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{http::protocol::fixture::oauth, manifest::Catalog};

    fn outcome(status: u16, headers: &[(&str, &str)], body: &str) -> RevokeOutcome {
        answer(&oauth(), status, headers, body)
    }

    fn answer(oauth: &Oauth2, status: u16, headers: &[(&str, &str)], body: &str) -> RevokeOutcome {
        parse_revoke_answer(
            oauth,
            &HttpResponse {
                status,
                headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
                body: body.as_bytes().to_vec(),
            },
        )
    }

    #[test]
    fn revocations_end_in_one_of_three_ways() {
        use RevokeOutcome::{Done, Later, Refused};
        const NONE: RevokeOutcome = Later { retry_after: None };
        for (status, body, expected) in [
            (200, "", Done),
            (200, r#"{"error":"invalid_token"}"#, Done),
            (204, "<html>", Done),
            (400, r#"{"error":"invalid_token"}"#, Done),
            (400, r#"{"error":"invalid_grant"}"#, Done),
            (401, r#"{"error":"invalid_token"}"#, Done),
            (401, r#"{"error":"invalid_client"}"#, NONE),
            (401, "", NONE),
            (403, "<html>", NONE),
            (400, r#"{"error":"unauthorized_client"}"#, NONE),
            (429, "", NONE),
            (500, r#"{"error":"invalid_token"}"#, NONE),
            (503, "", NONE),
            (400, r#"{"error":"unsupported_token_type"}"#, Refused),
            (400, "", Refused),
            (404, "", Refused),
            (302, "", Refused),
        ] {
            assert_eq!(outcome(status, &[], body), expected, "{status} {body}");
        }
        let wait = |headers: &[(&str, &str)]| match outcome(503, headers, "") {
            Later { retry_after } => retry_after.map(|d| d.as_secs()),
            _ => None,
        };
        assert_eq!(wait(&[("retry-after", "7")]), Some(7));
        let date = ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(&[date]), None);
        assert_eq!(wait(&[date, ("date", "Sun, 06 Nov 1994 08:49:07 GMT")]), Some(30));
    }

    /// Slack answers 200 to everything, GitHub 404 for a token that is gone.
    #[test]
    fn a_manifest_says_what_a_good_answer_is() {
        let of = |slug: &str| Catalog::builtin().get(slug).unwrap().oauth2.clone().unwrap();
        let slack = of("slack");
        assert_eq!(answer(&slack, 200, &[], r#"{"ok":true,"revoked":true}"#), RevokeOutcome::Done);
        assert_eq!(answer(&slack, 200, &[], r#"{"ok":false,"error":"token_revoked"}"#), RevokeOutcome::Done);
        assert_eq!(answer(&slack, 200, &[], r#"{"ok":false,"error":"invalid_auth"}"#), RevokeOutcome::Later { retry_after: None });
        assert_eq!(answer(&slack, 200, &[], ""), RevokeOutcome::Later { retry_after: None });
        // What a login's answers are written in, those to its revocation are too.
        let mut speaks_xml = slack.clone();
        speaks_xml.answer.format = crate::manifest::AnswerFormat::Xml;
        speaks_xml.answer.error = Some("/r/error".to_owned());
        if let Some(success) = speaks_xml.revoke.as_mut().and_then(|revoke| revoke.success.as_mut()) {
            success.pointer = "/r/ok".to_owned();
        }
        assert_eq!(answer(&speaks_xml, 200, &[], "<r><ok>true</ok></r>"), RevokeOutcome::Done);
        assert_eq!(answer(&speaks_xml, 200, &[], "<r><ok>false</ok></r>"), RevokeOutcome::Later { retry_after: None });
        assert_eq!(answer(&speaks_xml, 200, &[], "<r><error>token_revoked</error><error>x</error></r>"), RevokeOutcome::Done);
        let github = of("github");
        assert_eq!(answer(&github, 404, &[], ""), RevokeOutcome::Done);
        assert_eq!(answer(&github, 204, &[], ""), RevokeOutcome::Done);
    }
}
