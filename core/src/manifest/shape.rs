//! Compares a TOML document with a JSON Schema, so that every wrong key is named at once, with its line.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::document::{Report, did_you_mean};
use crate::model::Json;

/// Adds a finding for every unknown key, missing key, wrong type and unknown word, except where the key has one already.
pub(crate) fn check(report: &mut Report<'_>, schema: &Json) {
    let mut walk = Walk { root: schema, path: Vec::new(), found: Vec::new() };
    if let Some(table) = report.table() {
        walk.table(table, schema);
    }
    for (path, message, cure) in walk.found {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if !report.names(&path) {
            report.error(&path, message, cure);
        }
    }
}

/// Whether a dotted key exists in the schema; entries of maps and lists may have any name.
pub(crate) fn knows(schema: &Json, key: &str) -> bool {
    let walk = Walk { root: schema, path: Vec::new(), found: Vec::new() };
    let mut at = schema;
    for step in key.split('.') {
        at = walk.resolve(at);
        if let Some(items) = at.get("items") {
            at = walk.resolve(items);
        }
        let named = at.get("properties").and_then(|p| p.get(step));
        let mut shapes = Vec::new();
        for choices in ["oneOf", "anyOf"] {
            walk.shapes(at.get(choices).and_then(Json::as_array).map_or(&[], Vec::as_slice), &mut shapes);
        }
        let variants = || shapes.iter().find_map(|v| v.get("properties")?.get(step));
        match named.or_else(variants).or_else(|| at.get("additionalProperties").filter(|a| a.is_object())) {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

type Found = Vec<(Vec<String>, String, String)>;

struct Walk<'s> {
    root: &'s Json,
    path: Vec<String>,
    found: Found,
}

impl<'s> Walk<'s> {
    fn add(&mut self, message: impl Into<String>, cure: impl Into<String>) {
        self.found.push((self.path.clone(), message.into(), cure.into()));
    }

    /// Follows references, and the one choice that is not null.
    fn resolve(&self, mut schema: &'s Json) -> &'s Json {
        // A schema that refers to itself without end does not come out of a type; the bound is for safety.
        for _ in 0..16 {
            if let Some(target) = schema.get("$ref").and_then(Json::as_str).and_then(|r| self.root.pointer(r.strip_prefix('#')?)) {
                schema = target;
            } else if let Some(only) = schema.get("anyOf").and_then(Json::as_array).and_then(|all| sole(all)) {
                schema = only;
            } else {
                break;
            }
        }
        schema
    }

    fn table(&mut self, table: &DeTable<'_>, schema: &'s Json) {
        let schema = self.resolve(schema);
        let none = crate::model::JsonMap::new();
        let known = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let open = schema.get("additionalProperties");
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            self.path.push(name.to_owned());
            let names = schema.pointer("/propertyNames/enum").and_then(Json::as_array);
            if names.is_some_and(|names| !names.iter().any(|n| n == name)) {
                let names = names.into_iter().flatten().filter_map(Json::as_str);
                self.add("is not a name that exists here", format!("use one of: {}", list(names)));
                self.path.pop();
                continue;
            }
            // Objects that name their properties are closed, whether the schema says so or not.
            match schema.get("properties").and_then(|p| p.get(name)).or(open.filter(|o| o.is_object())) {
                Some(next) => self.value(value, next),
                None if known.is_empty() && open.is_none() => {}
                None => {
                    let near = did_you_mean(name, known.keys().map(String::as_str));
                    let cure = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("remove it, or use one of: {}", list(known.keys())),
                    };
                    self.add("is not a key that exists here", cure);
                }
            }
            self.path.pop();
        }
        for name in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if !table.iter().any(|(key, _)| key.get_ref() == name) {
                self.path.push(name.to_owned());
                let about = known.get(name).and_then(|p| p.get("description")).and_then(Json::as_str).unwrap_or("it is needed");
                self.add("is missing", format!("add `{name}`: {}", about.trim_end_matches('.')));
                self.path.pop();
            }
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &'s Json) {
        let value = value.get_ref();
        let schema = self.resolve(schema);
        for choices in ["oneOf", "anyOf"] {
            if let Some(choices) = schema.get(choices).and_then(Json::as_array) {
                return self.choice(value, choices);
            }
        }
        if let Some(words) = words(std::slice::from_ref(schema)) {
            return self.word(value, &words);
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Json::String(one)) => vec![one],
            Some(Json::Array(some)) => some.iter().filter_map(Json::as_str).filter(|t| *t != "null").collect(),
            _ => return,
        };
        if !types.iter().any(|t| fits(value, t)) {
            let wanted = types.iter().map(|t| phrase(t)).collect::<Vec<_>>().join(" or ");
            let cure = match value {
                DeValue::Datetime(_) => "put it in quotes".to_owned(),
                _ => format!("write {wanted}"),
            };
            return self.add(format!("is {}, not {wanted}", phrase(value.type_str())), cure);
        }
        match value {
            DeValue::Table(table) => self.table(table, schema),
            DeValue::Array(items) => self.items(items, schema),
            DeValue::Integer(number) => {
                let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let bound = |name: &str| schema.get(name).and_then(Json::as_i64).map(i128::from);
                let low = bound("minimum").unwrap_or(i128::from(i64::MIN));
                let high = bound("maximum").unwrap_or(i128::from(i64::MAX));
                if number.is_none_or(|n| n < low || n > high) {
                    self.add("is out of range", format!("write a number from {low} to {high}"));
                }
            }
            // `inf` and `nan` have no JSON form, and no setting means them.
            DeValue::Float(number) if !number.as_str().parse::<f64>().is_ok_and(f64::is_finite) => {
                self.add("is not a number that can be counted with", "write a finite number");
            }
            _ => {}
        }
    }

    /// One of several shapes: words, tagged tables, tables with one key, or whatever fits best.
    fn choice(&mut self, value: &DeValue<'_>, choices: &'s [Json]) {
        if let Some(words) = words(choices) {
            return self.word(value, &words);
        }
        let mut shapes = Vec::new();
        self.shapes(choices, &mut shapes);
        if let DeValue::Table(table) = value
            && let Some(tag) = shapes.iter().find_map(|s| tag(s).map(|(key, _)| key))
        {
            let given = table.iter().find(|(key, _)| key.get_ref() == tag).and_then(|(_, v)| v.get_ref().as_str().map(str::to_owned));
            let tags: Vec<&str> = shapes.iter().filter_map(|s| tag_value(s)).collect();
            match given.as_deref().and_then(|given| shapes.iter().find(|s| tag_value(s) == Some(given))) {
                Some(shape) => self.table(table, shape),
                None => {
                    self.path.push(tag.to_owned());
                    self.add(if given.is_some() { "is no known word" } else { "is missing" }, format!("use one of: {}", list(tags)));
                    self.path.pop();
                }
            }
            return;
        }
        // Of those that are of the value's kind, the shape with the fewest findings is what was meant.
        let kind = |shape: &Json| shape.get("type").and_then(Json::as_str).map(str::to_owned);
        let fitting: Vec<&Json> = shapes.iter().copied().filter(|s| kind(s).is_none_or(|kind| fits(value, &kind))).collect();
        if fitting.is_empty() {
            let mut kinds: Vec<String> = shapes.iter().filter_map(|s| kind(s)).map(|kind| phrase(&kind).to_owned()).collect();
            kinds.dedup();
            return self.add(format!("is {}", phrase(value.type_str())), format!("write {}", kinds.join(" or ")));
        }
        let best = fitting
            .iter()
            .map(|shape| {
                let mut walk = Walk { root: self.root, path: self.path.clone(), found: Vec::new() };
                match value {
                    DeValue::Table(table) => walk.table(table, shape),
                    DeValue::Array(items) => walk.items(items, shape),
                    _ => {}
                }
                walk.found
            })
            .min_by_key(Vec::len);
        self.found.extend(best.unwrap_or_default());
    }

    /// The shapes that a choice offers, without null; a choice among its shapes adds its own.
    fn shapes(&self, choices: &'s [Json], into: &mut Vec<&'s Json>) {
        for choice in choices {
            let shape = self.resolve(choice);
            match ["oneOf", "anyOf"].iter().find_map(|key| shape.get(*key).and_then(Json::as_array)) {
                Some(inner) => self.shapes(inner, into),
                None if shape.get("type").is_some_and(|t| t == "null") => {}
                None => into.push(shape),
            }
        }
    }

    fn items(&mut self, items: &toml::de::DeArray<'_>, schema: &'s Json) {
        let Some(of) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.path.push(index.to_string());
            self.value(item, of);
            self.path.pop();
        }
    }

    fn word(&mut self, value: &DeValue<'_>, words: &[&str]) {
        match value.as_str() {
            Some(word) if words.contains(&word) => {}
            Some(word) => {
                let cure = match did_you_mean(word, words.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("use one of: {}", list(words)),
                };
                self.add(format!("\"{}\" is no known word", word.chars().take(40).collect::<String>()), cure);
            }
            None => self.add(format!("is {}, not a word", phrase(value.type_str())), format!("use one of: {}", list(words))),
        }
    }
}

/// The one schema that is not `null`.
fn sole(all: &[Json]) -> Option<&Json> {
    let mut some = all.iter().filter(|s| s.get("type").is_none_or(|t| t != "null"));
    some.next().filter(|_| some.next().is_none())
}

/// The words, when every choice is one.
fn words(choices: &[Json]) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    for choice in choices {
        match (choice.get("const"), choice.get("enum")) {
            (Some(Json::String(word)), _) => words.push(word.as_str()),
            (_, Some(Json::Array(some))) => words.extend(some.iter().filter_map(Json::as_str)),
            _ => return None,
        }
    }
    (!words.is_empty()).then_some(words)
}

/// The key and value that tell a tagged table.
fn tag(shape: &Json) -> Option<(&str, &str)> {
    shape.get("properties")?.as_object()?.iter().find_map(|(key, p)| Some((key.as_str(), p.get("const")?.as_str()?)))
}

fn tag_value(shape: &Json) -> Option<&str> {
    tag(shape).map(|(_, value)| value)
}

fn fits(value: &DeValue<'_>, kind: &str) -> bool {
    match kind {
        "string" => value.is_str(),
        "integer" => value.is_integer(),
        "number" => value.is_integer() || value.is_float(),
        "boolean" => value.is_bool(),
        "array" => value.is_array(),
        "object" => value.is_table(),
        _ => true,
    }
}

fn phrase(kind: &str) -> &str {
    match kind {
        "string" => "a text in quotes",
        "integer" => "a whole number",
        "number" | "float" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" | "table" => "a table",
        "datetime" => "a date without quotes",
        other => other,
    }
}

fn list(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    words.into_iter().map(|w| format!("`{}`", w.as_ref())).collect::<Vec<_>>().join(", ")
}
