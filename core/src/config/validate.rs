//! Whether a value has a shape that its field's type can hold. Nothing is coerced: the answer is yes or no.

use super::{
    limits::{DEPTH, beyond},
    lookup::{key, scalar},
};
use crate::{
    model::{FieldType, Json, JsonMap, Label},
    project::FieldDef,
};

/// What the value should have been, if its shape is impossible for the field. `labels` are those of a `map`.
pub(super) fn expected(def: &FieldDef, labels: &[Label], value: &Json) -> Option<String> {
    if let Some(limit) = beyond(value, def.field_type == FieldType::RuleEngine) {
        return Some(limit);
    }
    let wrong = match def.field_type {
        FieldType::Json => None,
        FieldType::Map => map(def, labels, value),
        FieldType::MapV2 => map_v2(def, value),
        FieldType::RuleEngine => group(value, 1),
        one => single(one, def.multiple, value).map(str::to_owned),
    };
    wrong.map(|what| format!("{what}; got {}", kind(value)))
}

/// The types whose value is one scalar, or an array of them.
fn single(field_type: FieldType, multiple: bool, value: &Json) -> Option<&'static str> {
    type Fits = fn(&Json) -> bool;
    let (fits, what, many): (Fits, _, _) = match field_type {
        FieldType::Number => (number, "a number or a numeric string", "an array of numbers or numeric strings"),
        FieldType::Date => (date, "a date `YYYY-MM-DD` or an ISO date-time", "an array of dates `YYYY-MM-DD` or ISO date-times"),
        FieldType::Boolean => (boolean, "a boolean, or the string `true` or `false`", "an array of booleans"),
        FieldType::Select => {
            (scalar, "one option's value: a string, number or boolean", "an array of option values: strings, numbers or booleans")
        }
        _ => (Json::is_string, "a string", "an array of strings"),
    };
    if multiple {
        let fit = value.as_array().is_some_and(|items| items.iter().all(fits));
        (!fit).then_some(many)
    } else {
        (!fits(value)).then_some(what)
    }
}

/// Browsers send what was typed; an emptied input is an empty string.
fn number(value: &Json) -> bool {
    let numeric = |text: &str| {
        let text = text.trim();
        // `parse` alone would take `inf` and `nan` too.
        text.is_empty() || text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) && text.parse::<f64>().is_ok()
    };
    value.is_number() || value.as_str().is_some_and(numeric)
}

fn boolean(value: &Json) -> bool {
    value.is_boolean() || matches!(value.as_str(), Some("true" | "false"))
}

fn date(value: &Json) -> bool {
    value.as_str().is_some_and(|text| text.is_empty() || date_text(text))
}

/// `YYYY-MM-DD`, optionally `Thh:mm[:ss[.f…]]` and `Z` or `±hh[:]mm` (RFC 3339 and what HTML's date inputs give).
fn date_text(text: &str) -> bool {
    let (day, time) = text.split_once(['T', 't']).map_or((text, None), |(d, t)| (d, Some(t)));
    let numbers = |text: &str, shape: &[usize], sep: char| -> Option<Vec<u32>> {
        let parts: Vec<_> = text.split(sep).collect();
        let fit =
            parts.len() == shape.len() && parts.iter().zip(shape).all(|(p, n)| p.len() == *n && p.bytes().all(|b| b.is_ascii_digit()));
        if fit { parts.iter().map(|p| p.parse().ok()).collect() } else { None }
    };
    let Some([year, month, day]) = numbers(day, &[4, 2, 2], '-').and_then(|n| <[u32; 3]>::try_from(n).ok()) else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    if day == 0 || day > days {
        return false;
    }
    let Some(time) = time else { return true };
    let (clock, zone) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(c, f)| (c, Some(f)));
    let clock = match (numbers(clock, &[2, 2, 2], ':'), fraction) {
        (Some(n), _) => n,
        (None, None) => match numbers(clock, &[2, 2], ':') {
            Some(n) => n,
            None => return false,
        },
        (None, Some(_)) => return false,
    };
    // 60 is a leap second.
    let in_range = |n: &[u32]| n[0] < 24 && n[1] < 60 && n.get(2).is_none_or(|s| *s <= 60);
    let digits = |f: &str| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit());
    let zone_fits = match zone {
        "" | "Z" | "z" => true,
        _ => {
            // The sign is one byte.
            let offset = &zone[1..];
            let parsed = !zone.starts_with(['Z', 'z']);
            parsed
                && [numbers(offset, &[2, 2], ':'), numbers(offset, &[4], ':').map(|n| vec![n[0] / 100, n[0] % 100])]
                    .into_iter()
                    .flatten()
                    .any(|n| in_range(&n))
        }
    };
    in_range(&clock) && fraction.is_none_or(digits) && zone_fits
}

/// An entry of a map: `null` is a row that is not mapped.
fn entry(value: &Json, one: bool, many: bool) -> bool {
    value.is_null() || (one && scalar(value)) || (many && value.as_array().is_some_and(|items| items.iter().all(scalar)))
}

fn map(def: &FieldDef, labels: &[Label], value: &Json) -> Option<String> {
    const WHAT: &str = "an object from label values to option values (an array of them where the label takes several)";
    let fits = |(at, value): (&String, &Json)| {
        // Of a label that is not known any more, neither is how many it takes.
        let many = labels.iter().find(|l| key(&l.value) == *at).map(|l| l.multiple || def.multiple);
        entry(value, many != Some(true), many != Some(false))
    };
    let fit = value.as_object().is_some_and(|map| map.iter().all(fits));
    (!fit).then(|| WHAT.to_owned())
}

fn map_v2(def: &FieldDef, value: &Json) -> Option<String> {
    let many = def.mapping.as_ref().is_some_and(|m| m.rhs.multiple);
    let fit = value.as_object().is_some_and(|map| map.values().all(|v| entry(v, !many, many)));
    let what = if many { "an object from left values to arrays of right values" } else { "an object from left values to right values" };
    (!fit).then(|| what.to_owned())
}

/// Whether a member of `conditions` is a group: it has `logic`, or conditions of its own.
pub(super) fn is_group(row: &JsonMap) -> bool {
    row.contains_key("logic") || row.contains_key("conditions")
}

/// Clients send `null` or an empty string for what is not chosen yet.
pub(super) fn chosen(value: Option<&Json>) -> Option<&Json> {
    value.filter(|v| !v.is_null() && v.as_str() != Some(""))
}

/// A group of conditions; blank rows and unfinished ones are kept.
fn group(value: &Json, depth: usize) -> Option<String> {
    let Some(map) = value.as_object() else { return Some("a group `{logic, conditions}` of rules".to_owned()) };
    if depth > DEPTH {
        return Some(format!("groups of rules at most {DEPTH} deep"));
    }
    // The top is a group by its place; an object with other keys only is something else.
    if depth == 1 && !map.is_empty() && !is_group(map) {
        return Some("a group `{logic, conditions}` of rules".to_owned());
    }
    if chosen(map.get("logic")).is_some_and(|v| !matches!(v.as_str(), Some("AND" | "OR"))) {
        return Some("`AND` or `OR` as `logic`".to_owned());
    }
    let rows = match map.get("conditions") {
        None | Some(Json::Null) => return None,
        Some(Json::Array(rows)) => rows,
        Some(_) => return Some("an array as `conditions`".to_owned()),
    };
    rows.iter().find_map(|row| match row.as_object() {
        None => Some("an object as each of `conditions`".to_owned()),
        Some(map) if is_group(map) => group(row, depth + 1),
        Some(map) => condition(map),
    })
}

fn condition(row: &JsonMap) -> Option<String> {
    let fits = |name: &str| row.get(name).is_none_or(|v| v.is_null() || scalar(v));
    if !fits("lhs") {
        Some("a string, number or boolean as a condition's `lhs`".to_owned())
    } else if row.get("operator").is_some_and(|v| !v.is_null() && !v.is_string()) {
        Some("a string as a condition's `operator`".to_owned())
    } else {
        None
    }
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}
