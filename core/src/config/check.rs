//! Mistakes in an application's field and workflow definitions, for `smalt doctor` and `smalt apps lint`.

use std::collections::HashSet;

use super::{
    lookup::{default, scalar},
    validate::expected,
};
use crate::{
    model::{FieldOption, FieldType},
    project::{AppSettings, FieldDef},
};

/// A mistake in the definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: `fields[2].parent`, below `apps.<slug>`.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub cure: String,
}

/// The mistakes in the fields and workflows of an application's settings; empty when there are none.
pub fn check(settings: &AppSettings) -> Vec<Finding> {
    let mut found = Vec::new();
    fields("fields", &settings.fields, &[], &mut found);
    let mut seen = HashSet::new();
    for (i, workflow) in settings.workflows.iter().enumerate() {
        let at = format!("workflows[{i}]");
        id(&at, &workflow.id, &mut seen, &mut found);
        if workflow.id.contains(".fields") {
            add(
                &mut found,
                format!("{at}.id"),
                "the id holds `.fields`, which makes the paths of its fields ambiguous",
                "choose an id without it",
            );
        }
        fields(&format!("{at}.fields"), &workflow.fields, &settings.fields, &mut found);
    }
    found
}

fn add(found: &mut Vec<Finding>, key: String, message: impl Into<String>, cure: impl Into<String>) {
    found.push(Finding { key, message: message.into(), cure: cure.into() });
}

/// An id stands in URL paths and headers.
fn id<'a>(at: &str, id: &'a str, seen: &mut HashSet<&'a str>, found: &mut Vec<Finding>) {
    let key = format!("{at}.id");
    let carried = id.len() <= 256 && id.bytes().all(|b| (b' '..=b'~').contains(&b) && !b"/?#".contains(&b)) && id.trim() == id;
    if id.is_empty() {
        add(found, key, "the id is missing", "give it a short, stable id");
    } else if !carried {
        add(
            found,
            key,
            "the id holds characters that no URL can carry, or is too long",
            "use up to 256 printable ASCII characters without `/`, `?`, `#`",
        );
    } else if !seen.insert(id) {
        add(found, key, format!("the id `{id}` is used twice"), "rename one of them; the first one counts");
    }
}

fn fields(at: &str, defs: &[FieldDef], outer: &[FieldDef], found: &mut Vec<Finding>) {
    let mut seen = HashSet::new();
    for (i, def) in defs.iter().enumerate() {
        let at = format!("{at}[{i}]");
        id(&at, &def.id, &mut seen, found);
        lineage(&at, def, defs, outer, found);
        shape(&at, def, found);
    }
}

fn lineage(at: &str, def: &FieldDef, defs: &[FieldDef], outer: &[FieldDef], found: &mut Vec<Finding>) {
    let Some(parent) = def.parent.as_deref() else { return };
    let key = format!("{at}.parent");
    let near = |id: &str| defs.iter().find(|d| d.id == id);
    if near(parent).is_none() && !outer.iter().any(|d| d.id == parent) {
        add(found, key, format!("there is no field `{parent}`"), "name a field of the same workflow or of the application");
        return;
    }
    // Outer fields never depend on inner ones: a cycle lies within one list.
    let mut seen = HashSet::new();
    let mut next = near(parent);
    while let Some(ancestor) = next {
        if ancestor.id == def.id {
            add(found, key, format!("field `{}` depends on itself", def.id), "remove one `parent` of the circle");
            return;
        }
        if !seen.insert(&ancestor.id) {
            return; // a circle further up, reported there
        }
        next = ancestor.parent.as_deref().and_then(near);
    }
}

fn shape(at: &str, def: &FieldDef, found: &mut Vec<Finding>) {
    let live = def.options_from.is_some();
    let mut say = |key: &str, message: &str, cure: &str| add(found, format!("{at}.{key}"), message, cure);
    match def.field_type {
        FieldType::Select | FieldType::RuleEngine if def.options.is_empty() && !live => {
            say("options", "there is nothing to choose from", "list `options`, or name their source with `options_from`");
        }
        FieldType::Map => {
            if def.options.is_empty() && !live {
                say("options", "the right side has nothing to choose from", "list `options`, or name their source with `options_from`");
            }
            if def.labels.is_empty() && def.label_object.is_none() {
                say("labels", "the left side is empty", "list `labels`, or name the object whose labels are passed with `label_object`");
            }
        }
        FieldType::MapV2 if def.mapping.is_none() => say("mapping", "both sides are missing", "add `mapping` with `lhs` and `rhs`"),
        FieldType::MapV2 if !def.options.is_empty() => {
            say("options", "a `map_v2` takes its choices from `mapping`", "move them to `mapping.rhs.options`");
        }
        _ => {}
    }
    if def.field_type != FieldType::Map && (!def.labels.is_empty() || def.label_object.is_some()) {
        say("labels", "only a `map` has labels", "remove them, or set `type = \"map\"`");
    }
    if def.field_type != FieldType::MapV2 && def.mapping.is_some() {
        say("mapping", "only a `map_v2` has a mapping", "remove it, or set `type = \"map_v2\"`");
    }
    if def.field_type != FieldType::RuleEngine && !def.rules.is_empty() {
        say("rules", "only a `rule_engine` has rules", "remove them, or set `type = \"rule_engine\"`");
    }
    let odd = |options: &[FieldOption]| options.iter().any(|o| !scalar(&o.value));
    if odd(&def.options) {
        say("options", "an option's `value` is no string, number or boolean", "use one of those");
    }
    if let Some(mapping) = &def.mapping {
        for (side, name) in [(&mapping.lhs, "mapping.lhs.options"), (&mapping.rhs, "mapping.rhs.options")] {
            if side.options.as_deref().is_some_and(odd) {
                say(name, "an option's `value` is no string, number or boolean", "use one of those");
            }
        }
    }
    if def.rules.iter().any(|r| odd(&r.operators) || r.rhs.as_deref().is_some_and(odd)) {
        say("rules", "an option's `value` is no string, number or boolean", "use one of those");
    }
    if def.labels.iter().any(|l| !scalar(&l.value)) {
        say("labels", "a label's `value` is no string, number or boolean", "use one of those");
    }
    if let Some(expected) = default(def).and_then(|value| expected(def, &def.labels, value)) {
        say("default", &format!("the default has the wrong shape: expected {expected}"), "correct the default, or the field's `type`");
    }
}
