use super::AppManifest;
use crate::model::Json;

/// Where the schemas live; the last part is the language's version.
pub(crate) const SCHEMA_BASE: &str = "https://raw.githubusercontent.com/smalt-dev/smalt/main/docs/schema/";

/// The JSON Schema of a manifest, version 1, for editors: put `#:schema <url>` on the manifest's first line.
pub fn schema() -> Json {
    checked_in(include_str!(concat!(env!("OUT_DIR"), "/manifest-1.json")), || {
        with_id(schemars::schema_for!(AppManifest).to_value(), "manifest-1.json", "Smalt application manifest, version 1")
    })
}

/// The checked-in schema, which a test keeps equal to the one that is made of the types. Code that makes one is large: programs
/// have it only where the text is not at hand, and then `text` is empty.
pub(crate) fn checked_in(text: &str, make: impl FnOnce() -> Json) -> Json {
    if cfg!(test) || text.is_empty() {
        return make();
    }
    serde_json::from_str(text).expect("a test compares the text with a schema")
}

/// Gives a generated schema its id and title.
pub(crate) fn with_id(generated: Json, name: &str, title: &str) -> Json {
    let mut schema = crate::model::JsonMap::new();
    if let Json::Object(rest) = generated {
        if let Some(dialect) = rest.get("$schema") {
            schema.insert("$schema".to_owned(), dialect.clone());
        }
        schema.insert("$id".to_owned(), Json::from(format!("{SCHEMA_BASE}{name}")));
        schema.insert("title".to_owned(), Json::from(title));
        for (key, value) in rest {
            if !schema.contains_key(&key) {
                schema.insert(key, value);
            }
        }
    }
    let mut schema = Json::Object(schema);
    close(&mut schema);
    schema
}

/// Objects that name their properties take no others: a typo is a mistake that an editor should show. The word by which a table's kind is chosen is described as
/// the table is, so that an editor has something to show for it.
fn close(schema: &mut Json) {
    match schema {
        Json::Object(map) => {
            if map.get("properties").is_some_and(Json::is_object) && map.get("type").is_some_and(|t| t == "object") {
                map.entry("additionalProperties").or_insert(Json::Bool(false));
                let about = map.get("description").cloned();
                for property in map.get_mut("properties").and_then(Json::as_object_mut).into_iter().flat_map(|all| all.values_mut()) {
                    if let (Json::Object(property), Some(about)) = (property, &about)
                        && property.contains_key("const")
                    {
                        property.entry("description").or_insert_with(|| about.clone());
                    }
                }
            }
            map.values_mut().for_each(close);
        }
        Json::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Compares a checked-in schema with the generated one; `SMALT_WRITE=1` rewrites it.
#[cfg(test)]
pub(crate) fn assert_checked_in(name: &str, generated: &Json) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(generated).expect("a schema is JSON"));
    if std::env::var_os("SMALT_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
        std::fs::write(&path, &text).expect("the schema can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is out of date: run the tests once with SMALT_WRITE=1", path.display());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Json;

    /// Every property below a schema, with the path that leads to it.
    fn properties<'s>(schema: &'s Json, at: &str, into: &mut Vec<(String, &'s Json)>) {
        match schema {
            Json::Object(map) => {
                for (name, property) in map.get("properties").and_then(Json::as_object).into_iter().flatten() {
                    into.push((format!("{at}.{name}"), property));
                }
                map.iter().for_each(|(key, inner)| properties(inner, &format!("{at}/{key}"), into));
            }
            Json::Array(items) => items.iter().enumerate().for_each(|(i, item)| properties(item, &format!("{at}/{i}"), into)),
            _ => {}
        }
    }

    /// An editor shows a description under the pointer, offers the words of an enumeration, and knows what is there anyway.
    #[test]
    fn every_property_is_described_and_every_word_explained() {
        let schema = super::schema();
        let mut all = Vec::new();
        properties(&schema, "", &mut all);
        assert!(all.len() > 100, "{}", all.len());
        let silent: Vec<&String> = all
            .iter()
            .filter(|(_, property)| property["description"].as_str().is_none_or(|text| text.len() <= 5))
            .map(|(path, _)| path)
            .collect();
        assert!(silent.is_empty(), "{silent:?}");
        for (name, kind) in schema["$defs"].as_object().unwrap() {
            for word in kind["oneOf"].as_array().into_iter().flatten() {
                assert!(word["description"].is_string(), "{name}: {word}");
            }
        }
        for words in ["Pkce", "ClientAuth", "TokenBody", "Rotation", "RevokeToken", "ExpiresUnit", "AnswerFormat", "StateIn"] {
            assert!(schema["$defs"][words]["oneOf"].as_array().is_some_and(|words| words.len() > 1), "{words}");
        }
        let with = |key: &str| all.iter().filter(|(_, property)| property.get(key).is_some()).count();
        assert!(with("examples") >= 20 && with("default") >= 40, "{} examples, {} defaults", with("examples"), with("default"));
        // Examples are right ones: each passes the schema's own type.
        for (path, property) in &all {
            for example in property["examples"].as_array().into_iter().flatten() {
                let kind = property["type"].as_str().or(property["type"][0].as_str());
                let fits = match kind {
                    Some("string") => example.is_string(),
                    Some("array") => example.is_array(),
                    Some("object") => example.is_object(),
                    _ => true,
                };
                assert!(fits, "{path}: {example}");
            }
        }
    }

    /// All that a place in the schema may be, through references and alternatives.
    fn all_of<'s>(schema: &'s Json, place: &'s Json) -> Vec<&'s Json> {
        let (mut found, mut open) = (Vec::new(), vec![place]);
        while let Some(place) = open.pop() {
            found.push(place);
            if let Some(name) = place["$ref"].as_str() {
                open.push(schema.pointer(name.strip_prefix('#').unwrap()).unwrap());
            }
            for alternatives in ["anyOf", "oneOf", "allOf"] {
                open.extend(place[alternatives].as_array().into_iter().flatten());
            }
        }
        found
    }

    /// Looks each key of a manifest up as an editor does that has the pointer on it, or completes it: it is one of the names that the schema offers there, and it
    /// has something to show.
    fn look_up(schema: &Json, place: &Json, value: &toml::Value, at: &str, seen: &mut std::collections::BTreeSet<String>) {
        let here = all_of(schema, place);
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    let at = format!("{at}.{key}");
                    let named: Vec<&Json> = here.iter().filter_map(|place| place["properties"].get(key)).collect();
                    let free = here.iter().filter_map(|place| place.get("additionalProperties")).filter(|free| free.is_object());
                    let free: Vec<&Json> = free.collect();
                    assert!(!named.is_empty() || !free.is_empty(), "an editor would offer no `{at}`");
                    if !named.is_empty() {
                        let shown = named.iter().flat_map(|place| all_of(schema, place)).any(|place| place["description"].is_string());
                        assert!(shown, "an editor has nothing to show for `{at}`");
                        seen.insert(at.clone());
                    }
                    for place in named.into_iter().chain(free) {
                        look_up(schema, place, value, &at, seen);
                    }
                }
            }
            toml::Value::Array(items) => {
                for item in items {
                    here.iter().filter_map(|place| place.get("items")).for_each(|place| look_up(schema, place, item, at, seen));
                }
            }
            _ => {}
        }
    }

    /// Each shipped manifest names its schema on the first line, by a path that leads to the checked-in one; and an editor that follows it knows each key.
    #[test]
    fn editors_find_the_schema_of_each_manifest_and_each_key_in_it() {
        let apps = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("apps");
        let (mut seen, mut manifests) = (std::collections::BTreeSet::new(), 0);
        for entry in std::fs::read_dir(&apps).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|end| end != "toml") {
                continue;
            }
            let (text, name) = (std::fs::read_to_string(&path).unwrap(), path.display());
            let place = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap_or_else(|| panic!("{name}: no schema"));
            let schema: Json = serde_json::from_str(&std::fs::read_to_string(apps.join(place)).unwrap()).unwrap();
            assert_eq!(schema["$id"], format!("{}manifest-1.json", super::SCHEMA_BASE), "{name}");
            look_up(&schema, &schema, &toml::Value::Table(toml::from_str(&text).unwrap()), "", &mut seen);
            manifests += 1;
        }
        assert!(manifests >= 60 && seen.len() >= 120, "{manifests} manifests, {} keys", seen.len());
    }

    #[test]
    fn the_checked_in_schema_is_the_generated_one() {
        super::assert_checked_in("manifest-1.json", &super::schema());
    }
}
