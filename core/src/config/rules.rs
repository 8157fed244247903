//! Rules: the columns that depend on a rule's left side, and what a saved rule says about facts.

use std::cmp::Ordering;

use super::{
    limits::DEPTH,
    lookup::{key, scalar},
    validate::{chosen, is_group},
};
use crate::{
    error::{Result, bail, err},
    model::{FieldOption, FieldType, Json, JsonMap, RuleColumn, RuleColumns},
    project::FieldDef,
};

/// The operators that are offered when a definition lists none, and their names.
const OPERATORS: [(&str, &str); 6] = [
    ("eq", "is equal to"),
    ("neq", "is not equal to"),
    ("start_with", "starts with"),
    ("end_with", "ends with"),
    ("greater_or_equal", "is greater than or equal to"),
    ("less_or_equal", "is less than or equal to"),
];

/// The columns for a left side: `dynamic` (a connector's answer) if given, else the definition's entry for this left
/// side, else its entry for all, else free text and the default operators.
///
/// # Errors
/// `invalid_config` when the field is no rule engine.
pub fn columns(def: &FieldDef, lhs: &Json, dynamic: Option<RuleColumns>) -> Result<RuleColumns> {
    if def.field_type != FieldType::RuleEngine {
        return Err(
            err!(InvalidConfig, "Field with id {} is not of type rule engine or has undefined columns", def.id).with("field", &def.id)
        );
    }
    if let Some(dynamic) = dynamic {
        return Ok(dynamic);
    }
    // Clients hold the chosen left side as text.
    let mine = def.rules.iter().find(|r| r.lhs.as_ref().is_some_and(|l| key(l) == key(lhs)));
    let rule = mine.or_else(|| def.rules.iter().find(|r| r.lhs.is_none()));
    let default = || OPERATORS.map(|(value, name)| FieldOption { name: Some(name.to_owned()), value: value.into() }).to_vec();
    let operators = rule.map(|r| r.operators.clone()).filter(|o| !o.is_empty()).unwrap_or_else(default);
    let right = rule.and_then(|r| r.rhs.clone());
    let rhs_type = if right.is_some() { "select" } else { "text" };
    let column =
        |name: &str, column_type: &str, options| RuleColumn { name: name.to_owned(), column_type: column_type.to_owned(), options };
    Ok(RuleColumns { rhs: column("Value", rhs_type, right.unwrap_or_default()), operator: column("Operator", "select", operators) })
}

/// Whether a saved rule holds for these facts, for runners of workflows. A condition's `lhs` names a fact, or a path like
/// `deal.amount` into one. A missing `logic` means AND; conditions without `lhs` or `operator` are skipped; a rule
/// without any condition left holds. Numbers compare with numeric strings as
/// numbers, for order two numeric strings do too; other scalars compare as text. A missing
/// fact only satisfies `neq`.
///
/// # Errors
/// `invalid_config` when the value is no group of conditions, is nested too deeply, or uses an operator other than the six
/// defaults and `includes`.
pub fn evaluate(group: &Json, facts: &JsonMap) -> Result<bool> {
    let Some(group) = group.as_object() else { bail!(InvalidConfig, "the rule is no group of conditions") };
    Ok(evaluate_group(group, facts, 1)?.unwrap_or(true))
}

/// `None` when it has no condition to judge by.
fn evaluate_group(group: &JsonMap, facts: &JsonMap, depth: usize) -> Result<Option<bool>> {
    if depth > DEPTH {
        bail!(InvalidConfig, "the rule's groups are more than {DEPTH} deep");
    }
    let any = match chosen(group.get("logic")).map(Json::as_str) {
        None | Some(Some("AND")) => false,
        Some(Some("OR")) => true,
        Some(_) => bail!(InvalidConfig, "the rule's `logic` is neither `AND` nor `OR`"),
    };
    let rows = match group.get("conditions") {
        None | Some(Json::Null) => &[][..],
        Some(Json::Array(rows)) => rows,
        Some(_) => bail!(InvalidConfig, "the rule's `conditions` are no array"),
    };
    let mut outcome = None;
    for row in rows {
        let Some(row) = row.as_object() else { bail!(InvalidConfig, "a member of the rule's `conditions` is no object") };
        let held = if is_group(row) { evaluate_group(row, facts, depth + 1)? } else { condition(row, facts)? };
        outcome = match (outcome, held) {
            (known, None) => known,
            (None, held) => held,
            (Some(a), Some(b)) => Some(if any { a || b } else { a && b }),
        };
    }
    Ok(outcome)
}

fn condition(row: &JsonMap, facts: &JsonMap) -> Result<Option<bool>> {
    let (Some(lhs), Some(operator)) = (chosen(row.get("lhs")), chosen(row.get("operator"))) else { return Ok(None) };
    let left = fact(facts, &key(lhs));
    let right = row.get("rhs").unwrap_or(&Json::Null);
    let texts = |test: fn(&str, &str) -> bool| left.filter(|l| scalar(l)).is_some_and(|l| scalar(right) && test(&key(l), &key(right)));
    let ordered = |fits: fn(Ordering) -> bool| left.and_then(|l| order(l, right)).is_some_and(fits);
    let held = match operator.as_str() {
        Some("eq") => left.is_some_and(|l| equal(l, right)),
        Some("neq") => !left.is_some_and(|l| equal(l, right)),
        Some("start_with") => texts(|l, r| l.starts_with(r)),
        Some("end_with") => texts(|l, r| l.ends_with(r)),
        Some("greater_or_equal") => ordered(Ordering::is_ge),
        Some("less_or_equal") => ordered(Ordering::is_le),
        Some("includes") => left.is_some_and(|l| includes(l, right)),
        _ => bail!(InvalidConfig, "a rule uses an operator that only its own application knows; evaluate it there"),
    };
    Ok(Some(held))
}

/// A fact by its whole name, else by a dotted path.
fn fact<'a>(facts: &'a JsonMap, name: &str) -> Option<&'a Json> {
    let found = facts.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        fact(facts.get(first)?.as_object()?, rest)
    });
    found.filter(|v| !v.is_null())
}

/// Two texts are equal as texts: `0123` and `123` are different codes.
fn equal(left: &Json, right: &Json) -> bool {
    if left.is_string() && right.is_string() {
        return left == right;
    }
    left == right || order(left, right) == Some(Ordering::Equal) || (scalar(left) && scalar(right) && key(left) == key(right))
}

/// Numbers by size, also when written as text; text by its characters, which fits ISO dates.
fn order(left: &Json, right: &Json) -> Option<Ordering> {
    let integer = |v: &Json| match v {
        Json::Number(n) => n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from)),
        Json::String(s) => s.trim().parse().ok(),
        _ => None,
    };
    let float = |v: &Json| match v {
        Json::Number(n) => n.as_f64(),
        Json::String(s) => s.trim().parse().ok().filter(|f: &f64| f.is_finite()),
        _ => None,
    };
    if let (Some(l), Some(r)) = (integer(left), integer(right)) {
        return Some(l.cmp(&r));
    }
    if let (Some(l), Some(r)) = (float(left), float(right)) {
        return l.partial_cmp(&r);
    }
    Some(left.as_str()?.cmp(right.as_str()?))
}

fn includes(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (_, Json::Array(wanted)) => wanted.iter().all(|w| includes(left, w)),
        (Json::Array(items), _) => items.iter().any(|i| equal(i, right)),
        (Json::String(text), _) => scalar(right) && text.contains(&key(right)),
        _ => false,
    }
}
