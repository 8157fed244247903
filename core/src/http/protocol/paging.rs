//! Lists that come in pages: where the next one is, and how it is asked for.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    error::{Result, bail, err},
    manifest::{PageStyle, Pagination},
    model::{ApiAnswer, Json, NameValue},
};

/// Where a page stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// At the beginning.
    First,
    /// What the provider named.
    Cursor(String),
    /// A number of items to skip, or of a page.
    Number(u64),
    /// A whole URL.
    Url(String),
}

/// The query and body of a call for a page.
pub struct Asked<'a> {
    /// The path, or a full URL.
    pub path: &'a mut String,
    /// Query parameters.
    pub query: &'a mut Vec<NameValue>,
    /// The body when it is a JSON object.
    pub body: Option<&'a mut Json>,
}

/// Puts a place into a call. The parameter goes into the body of a call that has a JSON object there, else into the query.
pub fn ask(rules: &Pagination, place: &Place, mut call: Asked<'_>) {
    if let Place::Url(url) = place {
        // The provider's link is whole.
        call.path.clone_from(url);
        call.query.clear();
        return;
    }
    if let (Some(name), Some(size)) = (&rules.size_param, rules.size) {
        put(&mut call, name, Json::from(size), false);
    }
    match place {
        Place::Cursor(cursor) => put(&mut call, param(rules), Json::from(cursor.as_str()), true),
        Place::Number(number) => put(&mut call, param(rules), Json::from(*number), true),
        Place::First | Place::Url(_) => {}
    }
}

fn param(rules: &Pagination) -> &str {
    match (&rules.param, rules.style) {
        (Some(name), _) => name,
        (None, PageStyle::Cursor | PageStyle::Link) => "cursor",
        (None, PageStyle::Offset) => "offset",
        (None, PageStyle::Page) => "page",
    }
}

/// Sets a parameter; the caller's own stays unless it is replaced.
fn put(call: &mut Asked<'_>, name: &str, value: Json, replace: bool) {
    if let Some(Json::Object(body)) = call.body.as_deref_mut() {
        if replace || !body.contains_key(name) {
            body.insert(name.to_owned(), value);
        }
        return;
    }
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    match call.query.iter().position(|pair| pair.name == name) {
        Some(_) if !replace => {}
        found => {
            if found.is_some() {
                call.query.retain(|pair| pair.name != name);
            }
            call.query.push((name, text).into());
        }
    }
}

/// The items of a good answer, and where the next page is; `None` at the end. `asked` is the URL that was called.
///
/// # Errors
/// `malformed_answer` when the list is not where it should be, or the next page is the one that was just given.
pub fn read(rules: &Pagination, place: &Place, asked: &Url, answer: &ApiAnswer) -> Result<(Vec<Json>, Option<Place>)> {
    if !(200..300).contains(&answer.status) || answer.body.is_empty() {
        return Ok((Vec::new(), None));
    }
    let Some(body) = answer.json() else { bail!(MalformedAnswer, "a page that is not JSON holds no items") };
    let items = items(rules, &body)?;
    let ended = rules.more.as_deref().and_then(|pointer| body.pointer(pointer)).is_some_and(|more| *more == Json::Bool(false));
    let next = if ended { None } else { next(rules, place, asked, answer, &body, items.len()) };
    if next.as_ref().is_some_and(|next| next == place) {
        bail!(MalformedAnswer, "the provider names the page that it just gave as the next one");
    }
    Ok((items, next))
}

fn items(rules: &Pagination, body: &Json) -> Result<Vec<Json>> {
    let list = match &rules.items {
        Some(pointer) => body.pointer(pointer),
        // Where nobody said: the body itself, or the only list in it.
        None => match body {
            Json::Object(map) => {
                let mut lists = map.values().filter(|value| value.is_array());
                let only = lists.next();
                if lists.next().is_some() {
                    bail!(MalformedAnswer, "the page holds several lists; name the one that is meant as `items`");
                }
                only
            }
            other => Some(other),
        },
    };
    match list {
        Some(Json::Array(items)) => Ok(items.clone()),
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(_) => Err(err!(MalformedAnswer, "there is no list where the page's items should be")),
    }
}

fn next(rules: &Pagination, place: &Place, asked: &Url, answer: &ApiAnswer, body: &Json, count: usize) -> Option<Place> {
    let named = rules.next.as_deref().and_then(|pointer| body.pointer(pointer));
    let text = |value: &Json| match value {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match rules.style {
        PageStyle::Cursor => named.and_then(text).map(Place::Cursor),
        PageStyle::Link => {
            let link = match &rules.next {
                Some(_) => named.and_then(text),
                None => answer
                    .headers
                    .iter()
                    .filter(|header| header.name.eq_ignore_ascii_case("link"))
                    .find_map(|header| next_link(&header.value)),
            }?;
            asked.join(&link).ok().map(|url| Place::Url(url.into()))
        }
        PageStyle::Offset | PageStyle::Page => {
            // A page that is not full is the last one, where its size is known.
            let short = rules.size.is_some_and(|size| (count as u64) < size);
            if count == 0 || short {
                return None;
            }
            let first = rules.start.unwrap_or(u64::from(rules.style == PageStyle::Page));
            let here = if let Place::Number(number) = place { *number } else { first };
            let step = if rules.style == PageStyle::Page { 1 } else { count as u64 };
            here.checked_add(step).map(Place::Number)
        }
    }
}

/// The target of `rel="next"` in a `Link` header (RFC 8288 section 3).
fn next_link(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some(start) = rest.find('<') {
        let (target, after) = rest[start + 1..].split_once('>')?;
        // The parameters end at a comma outside of quotes.
        let mut quoted = false;
        let end = after.find(|c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let (params, following) = end.map_or((after, ""), |at| (&after[..at], &after[at..]));
        let is_next = params.split(';').filter_map(|param| param.trim().split_once('=')).any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = following;
    }
    None
}

/// Takes a query parameter out of a URL.
pub fn strip(url: &mut Url, name: &str) {
    if url.query_pairs().any(|(n, _)| n == name) {
        let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(n, _)| n != name).collect();
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn rules(style: &str, more: Json) -> Pagination {
        let mut rules = json!({"style": style});
        rules.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(rules).unwrap()
    }

    fn page(rules: &Pagination, place: &Place, headers: &[(&str, &str)], body: &Json) -> Result<(usize, Option<Place>)> {
        let headers = headers.iter().map(|(name, value)| NameValue::from((*name, *value))).collect();
        let answer = ApiAnswer { status: 200, headers, body: body.to_string().into_bytes() };
        let url = Url::parse("https://api.example/v1/things?x=1").unwrap();
        read(rules, place, &url, &answer).map(|(items, next)| (items.len(), next))
    }

    #[test]
    fn the_next_page_is_found() {
        let cursor = rules("cursor", json!({"next": "/meta/after", "more": "/more"}));
        for (body, next) in [
            (json!({"items": [1, 2], "meta": {"after": "c2"}}), Some(Place::Cursor("c2".into()))),
            (json!({"items": [1, 2], "meta": {"after": 7}}), Some(Place::Cursor("7".into()))),
            (json!({"items": [1, 2], "meta": {"after": "c2"}, "more": false}), None),
            (json!({"items": [1, 2], "meta": {"after": ""}}), None),
            (json!({"items": [1, 2], "meta": {"after": null}}), None),
            (json!({"items": [1, 2]}), None),
        ] {
            assert_eq!(page(&cursor, &Place::First, &[], &body).unwrap(), (2, next), "{body}");
        }
        let same = json!({"items": [1], "meta": {"after": "c2"}});
        assert!(page(&cursor, &Place::Cursor("c2".into()), &[], &same).unwrap_err().is(crate::Code::MalformedAnswer), "no circle");

        let link = rules("link", json!({"items": ""}));
        for (header, next) in [
            ("<https://api.example/v1/things?page=2>; rel=\"next\"", Some("https://api.example/v1/things?page=2")),
            ("<https://api.example/a>; rel=\"prev\", </b?c=1,2>; title=\"a, b\"; REL=\"last next\"", Some("https://api.example/b?c=1,2")),
            ("<?page=2>; rel=next", Some("https://api.example/v1/things?page=2")),
            ("<//evil.example/x>; rel=next", Some("https://evil.example/x")),
            ("<https://api.example/a>; rel=\"prev\"", None),
            ("<https://api.example/a", None),
            ("", None),
        ] {
            let next = next.map(|url| Place::Url(url.to_owned()));
            assert_eq!(page(&link, &Place::First, &[("link", header)], &json!([1])).unwrap(), (1, next), "{header}");
        }

        let offset = rules("offset", json!({"size": 2, "size_param": "limit"}));
        assert_eq!(page(&offset, &Place::First, &[], &json!([1, 2])).unwrap().1, Some(Place::Number(2)));
        assert_eq!(page(&offset, &Place::Number(2), &[], &json!([1, 2])).unwrap().1, Some(Place::Number(4)));
        assert_eq!(page(&offset, &Place::Number(4), &[], &json!([1])).unwrap().1, None);
        let numbered = rules("page", json!({}));
        assert_eq!(page(&numbered, &Place::First, &[], &json!([1])).unwrap().1, Some(Place::Number(2)));
        assert_eq!(page(&numbered, &Place::Number(2), &[], &json!([])).unwrap().1, None);
        assert_eq!(page(&rules("page", json!({"start": 0})), &Place::First, &[], &json!([1])).unwrap().1, Some(Place::Number(1)));

        assert!(page(&numbered, &Place::First, &[], &json!({"a": [], "b": []})).unwrap_err().is(crate::Code::MalformedAnswer));
        assert!(
            page(&rules("page", json!({"items": "/a"})), &Place::First, &[], &json!({"a": 1}))
                .unwrap_err()
                .is(crate::Code::MalformedAnswer)
        );
    }

    #[test]
    fn a_place_goes_into_the_body_or_the_query() {
        let rules = rules("cursor", json!({"param": "after", "size": 50, "size_param": "limit"}));
        let asked = |place: &Place, mut query: Vec<NameValue>, mut body: Option<Json>| {
            let mut path = "things".to_owned();
            ask(&rules, place, Asked { path: &mut path, query: &mut query, body: body.as_mut() });
            (path, query.into_iter().map(|pair| format!("{}={}", pair.name, pair.value)).collect::<Vec<_>>().join("&"), body)
        };
        let next = Place::Cursor("c2".into());
        assert_eq!(asked(&next, Vec::new(), None).1, "limit=50&after=c2");
        assert_eq!(asked(&next, vec![("limit", "9").into(), ("after", "old").into()], None).1, "limit=9&after=c2");
        assert_eq!(asked(&Place::First, Vec::new(), Some(json!({"q": 1}))).2, Some(json!({"q": 1, "limit": 50})));
        assert_eq!(asked(&next, Vec::new(), Some(json!({}))).2, Some(json!({"limit": 50, "after": "c2"})));
        let link = asked(&Place::Url("https://api.example/x?y".into()), vec![("a", "b").into()], None);
        assert_eq!((link.0.as_str(), link.1.as_str()), ("https://api.example/x?y", ""));
    }
}
