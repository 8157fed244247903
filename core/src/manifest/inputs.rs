//! What a user entered, checked against the fields that were asked for.

use std::collections::BTreeMap;

use super::pattern::Pattern;
use crate::{
    Secret,
    error::{Result, err},
    model::InputField,
};

/// The longest value, in bytes (S-16).
const LONGEST: usize = 8 * 1024;

/// The values to use: defaults filled in, empty optional ones left out, prefix and suffix removed where they were typed.
///
/// # Errors
/// `invalid_inputs`; the context's `fields` names each wrong one, and its entry says what was expected. No value is shown.
pub fn check(fields: &[InputField], given: &BTreeMap<String, Secret>) -> Result<BTreeMap<String, Secret>> {
    let mut wrong: BTreeMap<&str, String> = BTreeMap::new();
    let mut values = BTreeMap::new();
    for field in fields {
        let value = given.get(&field.name).map(|value| bare(field, value)).filter(|value| !value.is_empty());
        match value.or_else(|| field.default.as_deref().map(Secret::new)) {
            None if field.required => drop(wrong.insert(&field.name, "a value is required".to_owned())),
            None => {}
            Some(value) => match expected(field, value.expose()) {
                Some(expected) => drop(wrong.insert(&field.name, expected)),
                None => drop(values.insert(field.name.clone(), value)),
            },
        }
    }
    for name in given.keys().filter(|name| fields.iter().all(|field| &&field.name != name)) {
        wrong.insert(name, "there is no such field".to_owned());
    }
    if wrong.is_empty() {
        return Ok(values);
    }
    let names: Vec<String> = wrong.keys().map(|name| name.escape_debug().to_string()).collect();
    let list: Vec<String> = wrong.iter().map(|(name, expected)| format!("`{}`: {expected}", name.escape_debug())).collect();
    let error = err!(InvalidInputs, "{}", list.join("; ")).with("fields", names.join(","));
    Err(wrong.iter().fold(error, |error, (name, expected)| error.with(&format!("field.{}", name.escape_debug()), expected)))
}

/// People paste `acme.zendesk.com` where `acme` is asked for.
fn bare(field: &InputField, value: &Secret) -> Secret {
    let text = if field.secret { value.expose() } else { value.expose().trim() };
    let text = field.prefix.as_deref().and_then(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    Secret::new(field.suffix.as_deref().and_then(|suffix| text.strip_suffix(suffix)).unwrap_or(text))
}

fn expected(field: &InputField, value: &str) -> Option<String> {
    if value.len() > LONGEST {
        return Some(format!("at most {LONGEST} bytes"));
    }
    if value.chars().any(|c| c.is_control() && !(field.input_type == "textarea" && matches!(c, '\n' | '\r' | '\t'))) {
        return Some("no control characters".to_owned());
    }
    if !field.options.is_empty() && field.options.iter().all(|option| option.value != value) {
        return Some("one of the listed options".to_owned());
    }
    let fits = match field.input_type.as_str() {
        "number" => value.parse::<f64>().is_ok_and(f64::is_finite),
        "boolean" => matches!(value, "true" | "false"),
        _ => true,
    };
    if !fits {
        return Some(format!("a {}", field.input_type));
    }
    let pattern = Pattern::new(field.pattern.as_deref()?).ok()?;
    (!pattern.matches(value)).then(|| match &field.placeholder {
        Some(example) => format!("another form, like `{example}`"),
        None => "another form".to_owned(),
    })
}
