//! Manifests that are wrong in one place. A replay that passes with one of them shows nothing about that place.

use serde_json::{Value as Json, json};

/// Keys that no request shows: forms for people, times, what concerns other connections, and the sort of grant.
const UNSEEN: [&str; 13] = [
    "inputs",
    "rate_limit",
    "rotation",
    "grace",
    "early",
    "per_minute",
    "unused_life",
    "shared_grant",
    "description",
    "pattern",
    "suggested",
    "reasons",
    "optional",
];

/// Every place that a request or an answer depends on, with another value: pointer and the whole manifest.
pub fn mutants(manifest: &Json) -> Vec<(String, Json)> {
    let mut places = Vec::new();
    for part in ["api", "oauth2", "oauth1", "keybased", "variables"] {
        collect(&manifest[part], &format!("/{part}"), &mut places);
    }
    let changed = |(pointer, value): (String, Json)| {
        let mut mutant = manifest.clone();
        *mutant.pointer_mut(&pointer)? = value;
        Some((pointer, mutant))
    };
    places.into_iter().filter_map(changed).collect()
}

fn collect(value: &Json, at: &str, places: &mut Vec<(String, Json)>) {
    let key = at.rsplit('/').next().unwrap_or_default();
    if UNSEEN.contains(&key) {
        return;
    }
    match value {
        Json::Object(map) => {
            for (name, value) in map {
                collect(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        Json::Array(items) => items.iter().enumerate().for_each(|(i, item)| collect(item, &format!("{at}/{i}"), places)),
        Json::String(text) => places.extend(other(key, text).map(|other| (at.to_owned(), other.into()))),
        Json::Number(number) => places.extend(number.as_i64().map(|number| (at.to_owned(), json!(number + 1)))),
        Json::Bool(truth) => places.push((at.to_owned(), json!(!truth))),
        Json::Null => {}
    }
}

fn other(key: &str, text: &str) -> Option<String> {
    let choice = match (key, text) {
        // Another sort of placement has other keys.
        ("in", _) => return None,
        ("pkce", "S256") => "off",
        ("token_method", "GET") => "POST",
        ("token_method", _) => "GET",
        ("state", "param") => "redirect_query",
        ("state", _) => "param",
        ("expires_unit", "milliseconds") => "minutes",
        ("expires_unit", _) => "milliseconds",
        ("token_body" | "body", "query") => "json",
        // A parameter that is left out is sent again, or by another name.
        (_, "") => return None,
        ("pkce", _) => "S256",
        ("client_auth", "basic") => "body",
        ("client_auth", _) => "basic",
        ("token_body" | "body", "form") => "json",
        ("token_body" | "body", "json") => "form",
        ("signature", "HMAC-SHA1") => "HMAC-SHA256",
        ("signature", "HMAC-SHA256") => "HMAC-SHA1",
        ("algorithm", "RS256") => "PS256",
        ("algorithm", _) => "RS256",
        ("grant", "login") => "client_credentials",
        ("grant", _) => "login",
        ("client", "inputs") => "project",
        ("client", _) => "inputs",
        ("method", "GET") => "POST",
        ("method", _) => "GET",
        ("token", "access") => "refresh",
        ("token", "refresh" | "both") => "access",
        ("separator", " ") => ",",
        ("separator", _) => " ",
        // Stays a folder, as base URLs must.
        _ if text.ends_with('/') => return Some(format!("{}x/", &text[..text.len() - 1])),
        _ => return Some(format!("{text}x")),
    };
    Some(choice.to_owned())
}
