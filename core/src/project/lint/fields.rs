//! Settings that users make: ids, parents, choices, defaults.

use std::collections::BTreeSet;

use url::Url;

use super::Report;
use crate::{
    manifest::document::did_you_mean,
    model::{FieldType, Json},
    project::FieldDef,
};

/// Checks a list of fields; a parent may stand in the list or in `outer`.
pub(super) fn check(report: &mut Report<'_>, at: &[&str], fields: &[FieldDef], outer: &[FieldDef]) {
    let mut seen = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let index = index.to_string();
        let path = |key: &'static str| at.iter().copied().chain([index.as_str(), key]).collect::<Vec<&str>>();
        id(report, &path("id"), &field.id);
        if !seen.insert(&field.id) {
            report.error(&path("id"), format!("`{}` stands twice", field.id), "give each field its own id");
        }
        if field.name.trim().is_empty() {
            report.error(&path("name"), "is empty", "write the field's label for people");
        }
        if let Some(parent) = &field.parent {
            let known = fields.iter().chain(outer).map(|f| f.id.as_str());
            if !known.clone().any(|id| id == parent) {
                let near = did_you_mean(parent, known)
                    .map_or("write another field's id, or remove it".to_owned(), |n| format!("did you mean `{n}`?"));
                report.error(&path("parent"), format!("`{parent}` is no field here"), near);
            } else if in_circle(field, fields) {
                report.error(&path("parent"), "leads back to the field itself", "let one of them stand without a parent");
            }
        }
        choices(report, &path, field);
        if let Some(default) = &field.default {
            if let Err(wanted) = default_fits(field, default) {
                report.error(&path("default"), "does not fit the field", format!("write {wanted}"));
            }
        } else if field.hidden && field.required {
            report.warn(
                &path("required"),
                "is on for a hidden field that nobody can fill in",
                "add a `default`, or set it by `update_config`",
            );
        }
    }
}

/// Ids stand in paths such as `workflows.<id>.fields.<id>`.
pub(super) fn id(report: &mut Report<'_>, path: &[&str], id: &str) {
    if id.is_empty() || id.len() > 64 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        report.error(path, "is not an id", "use letters, digits, `-` and `_`, at most 64");
    }
}

/// Whether following the parents within the list comes back to the field.
fn in_circle(field: &FieldDef, fields: &[FieldDef]) -> bool {
    let mut at = field;
    for _ in 0..=fields.len() {
        let Some(next) = at.parent.as_ref().and_then(|p| fields.iter().find(|f| f.id == *p)) else { return false };
        if next.id == field.id {
            return true;
        }
        at = next;
    }
    false
}

fn choices<'p>(report: &mut Report<'_>, path: &dyn Fn(&'static str) -> Vec<&'p str>, field: &FieldDef) {
    use FieldType::{Map, MapV2, RuleEngine, Select};
    let kind = field.field_type;
    if kind == Select && field.options.is_empty() && field.options_from.is_none() {
        report.error(
            &path("options"),
            "is empty, so nothing can be selected",
            "add `options = [{ name = \"…\", value = \"…\" }]`, or `options_from`, which the connector answers",
        );
    }
    if !field.options.is_empty() && field.options_from.is_some() {
        report.error(&path("options_from"), "stands beside fixed options", "keep one of them");
    }
    let belongs: [(&'static str, bool, &[FieldType]); 6] = [
        ("options", !field.options.is_empty(), &[Select, Map, RuleEngine]),
        ("options_from", field.options_from.is_some(), &[Select, Map, RuleEngine]),
        ("labels", !field.labels.is_empty(), &[Map]),
        ("label_object", field.label_object.is_some(), &[Map]),
        ("mapping", field.mapping.is_some(), &[MapV2]),
        ("rules", !field.rules.is_empty(), &[RuleEngine]),
    ];
    for (key, present, types) in belongs {
        if present && !types.contains(&kind) {
            let types: Vec<&str> = types.iter().map(|t| t.as_str()).collect();
            report.error(
                &path(key),
                format!("means nothing for type `{kind}`"),
                format!("remove it, or set the type to `{}`", types.join("` or `")),
            );
        }
    }
    if kind == Map && field.labels.is_empty() && field.label_object.is_none() {
        report.error(
            &path("labels"),
            "is empty, so the map has no left side",
            "add `labels`, or `label_object` for labels that the caller passes",
        );
    }
    if kind == MapV2 && field.mapping.is_none() {
        report.error(&path("mapping"), "is missing", "add `mapping = { lhs = { name = \"…\" }, rhs = { name = \"…\" } }`");
    }
    let values: Vec<&Json> = field.options.iter().map(|o| &o.value).collect();
    if values.iter().any(|v| !(v.is_string() || v.is_number() || v.is_boolean())) {
        report.error(&path("options"), "has a value that is a list or table", "values are texts, numbers or booleans");
    }
    if (1..values.len()).any(|i| values[..i].contains(&values[i])) {
        report.error(&path("options"), "has a value twice", "give each option its own value");
    }
    if (1..field.labels.len()).any(|i| field.labels[..i].iter().any(|l| l.value == field.labels[i].value)) {
        report.error(&path("labels"), "has a value twice", "give each label its own value");
    }
}

/// Whether a default may stand in the field; else what may.
fn default_fits(field: &FieldDef, value: &Json) -> Result<(), &'static str> {
    let ok = |fits: bool, wanted| if fits { Ok(()) } else { Err(wanted) };
    if field.multiple {
        let Json::Array(items) = value else { return Err("a list, since the field is `multiple`") };
        let one = FieldDef { multiple: false, ..field.clone() };
        return items.iter().try_for_each(|item| default_fits(&one, item));
    }
    let text = value.as_str();
    match field.field_type {
        FieldType::Text | FieldType::Textarea | FieldType::Password => ok(text.is_some(), "a text in quotes"),
        FieldType::Url => ok(text.is_some_and(|t| Url::parse(t).is_ok()), "an absolute URL in quotes"),
        FieldType::Email => ok(text.is_some_and(|t| t.contains('@')), "an e-mail address in quotes"),
        FieldType::Date => {
            ok(text.is_some_and(|t| t.len() >= 10 && t.is_char_boundary(10) && is_day(&t[..10])), "a date in quotes, `YYYY-MM-DD`")
        }
        FieldType::Number => ok(value.is_number() || text.is_some_and(|t| t.parse::<f64>().is_ok()), "a number"),
        FieldType::Boolean => ok(value.is_boolean(), "true or false"),
        FieldType::Select if field.options.is_empty() => ok(!(value.is_array() || value.is_object()), "one option's value"),
        FieldType::Select => ok(field.options.iter().any(|o| o.value == *value), "one of the options' values"),
        FieldType::Json => Ok(()),
        FieldType::Map | FieldType::MapV2 | FieldType::RuleEngine => ok(value.is_object(), "a table"),
    }
}

fn is_day(text: &str) -> bool {
    text.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
}
