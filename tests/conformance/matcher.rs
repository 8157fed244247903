//! Whether an answer is what a case expects.

use smalt::model::{Json, JsonMap};

/// `Err` says where and how they differ.
pub fn matches(wanted: &Json, got: &Json) -> Result<(), String> {
    at("", wanted, Some(got))
}

fn at(path: &str, wanted: &Json, got: Option<&Json>) -> Result<(), String> {
    if let Json::Object(map) = wanted
        && map.keys().any(|key| key.starts_with('$'))
    {
        return map.iter().try_for_each(|(key, with)| special(path, key, with, got));
    }
    let Some(got) = got else { return Err(format!("{}: expected {wanted}, but there is nothing", place(path))) };
    let differs = || Err(format!("{}: expected {wanted}, got {got}", place(path)));
    match (wanted, got) {
        (Json::Object(wanted), Json::Object(got)) => {
            wanted.iter().try_for_each(|(key, wanted)| at(&format!("{path}/{key}"), wanted, got.get(key)))
        }
        (Json::Array(wanted), Json::Array(got)) if wanted.len() == got.len() => {
            wanted.iter().zip(got).enumerate().try_for_each(|(i, (wanted, got))| at(&format!("{path}/{i}"), wanted, Some(got)))
        }
        (Json::Number(a), Json::Number(b)) if a.as_f64() == b.as_f64() => Ok(()),
        (Json::String(_) | Json::Bool(_) | Json::Null, _) if wanted == got => Ok(()),
        _ => differs(),
    }
}

fn place(path: &str) -> &str {
    if path.is_empty() { "the answer" } else { path }
}

fn special(path: &str, key: &str, with: &Json, got: Option<&Json>) -> Result<(), String> {
    let wrong = |what: String| format!("{}: {what}", place(path));
    if key == "$absent" {
        return got.map_or(Ok(()), |got| Err(wrong(format!("expected nothing, got {got}"))));
    }
    let Some(got) = got else { return Err(wrong(format!("expected {{\"{key}\": {with}}}, but there is nothing"))) };
    let fits = match key {
        "$any" => true,
        "$type" => with.as_str() == Some(type_of(got)),
        "$match" => got.as_str().zip(with.as_str()).is_some_and(|(text, form)| fits_form(text, form)),
        "$len" => length(got) == with.as_u64(),
        "$contains" => return contains(with, got).map_err(wrong),
        "$exact" => {
            let keys = |value: &Json| value.as_object().map(|map| map.keys().cloned().collect::<std::collections::BTreeSet<_>>());
            let extra = with.is_object() && keys(with) != keys(got);
            return if extra { Err(wrong(format!("expected exactly {with}, got {got}"))) } else { at(path, with, Some(got)) };
        }
        "$not" => at(path, with, Some(got)).is_err(),
        unknown => return Err(wrong(format!("`{unknown}` is no matcher: a mistake in the case"))),
    };
    if fits { Ok(()) } else { Err(wrong(format!("expected {{\"{key}\": {with}}}, got {got}"))) }
}

fn contains(with: &Json, got: &Json) -> Result<(), String> {
    if let Json::String(text) = got {
        let parts = with.as_array().map_or(std::slice::from_ref(with), Vec::as_slice);
        let fits = |part: &Json| part.as_str().is_some_and(|part| text.contains(part));
        return if parts.iter().all(fits) { Ok(()) } else { Err(format!("expected a text with {with}, got {got}")) };
    }
    let Json::Array(items) = got else { return Err(format!("expected a list with {with}, got {got}")) };
    let wanted = with.as_array().map_or(std::slice::from_ref(with), Vec::as_slice);
    match wanted.iter().find(|wanted| items.iter().all(|item| matches(wanted, item).is_err())) {
        None => Ok(()),
        Some(missing) => Err(format!("no member matches {missing}: {got}")),
    }
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn length(value: &Json) -> Option<u64> {
    let length = match value {
        Json::String(text) => text.chars().count(),
        Json::Array(items) => items.len(),
        Json::Object(map) => JsonMap::len(map),
        _ => return None,
    };
    u64::try_from(length).ok()
}

/// `*` stands for any number of characters.
fn fits_form(text: &str, form: &str) -> bool {
    let Some((first, rest)) = form.split_once('*') else { return text == form };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(found) => text = &text[found + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[test]
fn matchers_match_what_the_readme_says() {
    use serde_json::json;
    let yes = [
        (json!(10), json!(10.0)),
        (json!({"a": 1}), json!({"a": 1, "b": 2})),
        (json!([1, {"$any": true}]), json!([1, null])),
        (json!({"a": {"$absent": true}}), json!({})),
        (json!({"$type": "null"}), json!(null)),
        (json!({"$match": "a*c*"}), json!("abcabc")),
        (json!({"$len": 2}), json!("äö")),
        (json!({"$contains": [2, 1]}), json!([1, 2, 3])),
        (json!({"$contains": {"a": 1}}), json!([{"a": 1, "b": 2}])),
        (json!({"$contains": "b"}), json!("abc")),
        (json!({"$exact": {"a": {"$any": true}}}), json!({"a": 1})),
        (json!({"$not": {"$len": 0}}), json!([1])),
        (json!({"$type": "string", "$len": 1}), json!("a")),
    ];
    for (wanted, got) in yes {
        assert_eq!(matches(&wanted, &got), Ok(()), "{wanted} and {got}");
    }
    let no = [
        (json!("10"), json!(10)),
        (json!({"a": null}), json!({})),
        (json!([1]), json!([1, 2])),
        (json!({"a": {"$absent": true}}), json!({"a": null})),
        (json!({"a": {"$any": true}}), json!({})),
        (json!({"a": {"$not": 1}}), json!({})),
        (json!({"$match": "a*c"}), json!("abd")),
        (json!({"$match": "aa*aa"}), json!("aaa")),
        (json!({"$contains": [1, 4]}), json!([1, 2])),
        (json!({"$exact": {"a": 1}}), json!({"a": 1, "b": 2})),
        (json!({"$not": 1}), json!(1)),
        (json!({"$type": "string", "$len": 2}), json!("a")),
        (json!({"$odd": 1}), json!(1)),
    ];
    for (wanted, got) in no {
        assert!(matches(&wanted, &got).is_err(), "{wanted} and {got}");
    }
}
