//! What users enter.

use std::collections::BTreeSet;

use super::Report;
use crate::{
    manifest::{document::did_you_mean, pattern::Pattern},
    model::InputField,
};

const TYPES: [&str; 6] = ["text", "password", "number", "boolean", "select", "textarea"];

/// Names that templates know already.
pub(super) const BUILT_IN: [&str; 14] = [
    "access_token",
    "client_id",
    "client_name",
    "client_secret",
    "code",
    "code_verifier",
    "public_url",
    "redirect_uri",
    "redirect_uris",
    "refresh_token",
    "sandbox_origin",
    "scope",
    "token",
    "token_type_hint",
];

/// Checks a list of input fields. `at` is the list's key.
pub(crate) fn inputs(report: &mut Report<'_>, at: &[&str], fields: &[InputField]) {
    let mut seen = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let index = index.to_string();
        let path = |key: &'static str| at.iter().copied().chain([index.as_str(), key]).collect::<Vec<&str>>();
        if !is_name(&field.name) {
            report.error(&path("name"), "is not a name", "use lower-case letters, digits and `_`, beginning with a letter, at most 64");
        }
        if !seen.insert(&field.name) {
            report.error(&path("name"), format!("`{}` stands twice", field.name), "give each input its own name");
        }
        if field.label.trim().is_empty() {
            report.error(&path("label"), "is empty", "write what people should read beside the input");
        }
        let kind = field.input_type.as_str();
        if !TYPES.contains(&kind) && !report.names(&path("type")) {
            let near =
                did_you_mean(kind, TYPES).map_or_else(|| format!("use one of: {}", TYPES.join(", ")), |n| format!("did you mean \"{n}\"?"));
            report.error(&path("type"), "is no known type", near);
        }
        let values: Vec<&str> = field.options.iter().map(|o| o.value.as_str()).collect();
        if kind == "select" && values.is_empty() {
            report.error(
                &path("options"),
                "is empty, so nothing can be selected",
                "add `options = [{ name = \"…\", value = \"…\" }]`, or use type \"text\"",
            );
        }
        if kind != "select" && !values.is_empty() {
            report.error(&path("options"), "belongs to type \"select\" only", "set `type = \"select\"`, or remove the options");
        }
        if values.iter().collect::<BTreeSet<_>>().len() < values.len() {
            report.error(&path("options"), "has a value twice", "give each option its own value");
        }
        if kind == "password" && !field.secret {
            report.warn(&path("type"), "is hidden while it is typed, but stored as plain text", "set `secret = true`");
        }
        if field.secret && matches!(kind, "text" | "number") {
            report.warn(&path("type"), "shows a secret while it is typed", "set `type = \"password\"`, or \"textarea\" for long keys");
        }
        let pattern = field.pattern.as_ref().and_then(|text| match Pattern::new(text) {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                let why = why.lines().last().unwrap_or_default().to_owned();
                report.error(
                    &path("pattern"),
                    format!("cannot be read: {why}"),
                    "see the pattern language in docs/adding-an-application.md",
                );
                None
            }
        });
        if field.hidden && field.required && field.default.is_none() {
            let cure = "give it a `default`, or set `required = false`; a host may pass it all the same";
            report.error(&path("hidden"), "hides what must be entered", cure);
        }
        if field.placeholder.as_ref().is_some_and(|example| pattern.as_ref().is_some_and(|p| !example_fits(p, field, example))) {
            let cure = "show a value as it should be entered, or correct the pattern";
            report.warn(&path("placeholder"), "is an example that the pattern refuses", cure);
        }
        let Some(default) = &field.default else { continue };
        if field.secret {
            report.error(&path("default"), "gives a secret to everyone", "remove it");
        }
        if pattern.is_some_and(|p| !p.matches(default)) {
            report.error(&path("default"), "does not match the pattern", "correct one of them");
        }
        if kind == "select" && !values.contains(&default.as_str()) {
            report.error(&path("default"), "is not one of the options", "use an option's value");
        }
    }
}

/// An example may show prefix and suffix; one that only shows the form, like `ACxxxx`, is none.
fn example_fits(pattern: &Pattern, field: &InputField, example: &str) -> bool {
    let bare = field.prefix.as_deref().and_then(|prefix| example.strip_prefix(prefix)).unwrap_or(example);
    let bare = field.suffix.as_deref().and_then(|suffix| bare.strip_suffix(suffix)).unwrap_or(bare);
    pattern.matches(bare) || ["xxx", "XXX", "...", "…", "000", "***"].iter().any(|form| example.contains(form))
}

/// Lower-case letters, digits and `_`, beginning with a letter.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
