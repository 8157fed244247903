//! Paths as clients send them: with a slash too many, in the middle or at the end.

use http::Uri;

use crate::routes::CALLBACK;

/// The path and query with duplicate slashes as one and without a slash at the end.
pub(crate) fn normal(uri: &Uri) -> String {
    let mut path = String::with_capacity(uri.path().len());
    for part in uri.path().split('/').filter(|part| !part.is_empty()) {
        path.push('/');
        path.push_str(part);
    }
    if path.is_empty() {
        path.push('/');
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    path
}

/// Whether a provider sends browsers to what `normal` answered.
pub(crate) fn is_callback(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let (before, after) = CALLBACK.split_once("{slug}").unwrap_or((CALLBACK, ""));
    path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(|slug| !slug.is_empty() && !slug.contains('/'))
}

/// The pairs of a query or of a form.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_encoding::percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (decode(name), decode(value)),
        None => (decode(pair), String::new()),
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn slashes_too_many_do_not_count() {
        for (sent, read) in
            [("/", "/"), ("//", "/"), ("//api/v2//x/", "/api/v2/x"), ("/a/b?x=//y/", "/a/b?x=//y/"), ("/a/?", "/a?"), ("/u%2Fe", "/u%2Fe")]
        {
            assert_eq!(normal(&sent.parse().unwrap()), read, "{sent}");
        }
    }

    #[test]
    fn callbacks_are_known_by_their_path() {
        assert!(is_callback("/api/v1/slack/callback?code=a/b") && is_callback("/api/v1/slack/callback"));
        assert!(!is_callback("/api/v1/callback") && !is_callback("/api/v1/a/b/callback") && !is_callback("/x?/api/v1/slack/callback"));
    }

    #[test]
    fn pairs_are_those_of_a_form() {
        assert_eq!(
            pairs("a=1+2&b=%2B&c&=&d=%ff"),
            [("a", "1 2"), ("b", "+"), ("c", ""), ("", ""), ("d", "\u{fffd}")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
    }
}
