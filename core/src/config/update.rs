//! Changing a config.

use std::collections::BTreeMap;

use super::{
    labels,
    limits::{CONFIG_BYTES, KEYS, fits},
    lookup::{all, clear, effective, field_def, generation, identical, key, parent, short, value, workflow_def},
    options::{Ask, Resolved, ask, fixed, merged},
    path::FieldPath,
    render::trouble,
    stored::{Stored, StoredWorkflow},
    validate::{chosen, expected, is_group},
};
use crate::{
    error::{Error, Result, err},
    manifest::document::did_you_mean,
    model::{ConfigUpdate, FieldError, FieldOption, FieldType, Json, Label, WorkflowUpdate},
    project::{AppSettings, FieldDef},
};

/// What an update came to. Nothing is written yet.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The new state.
    pub stored: Stored,
    /// The workflows whose switch changed, and to what, by id.
    pub switched: Vec<(String, bool)>,
    /// What was ignored or looks stale; belongs into the config's `field_errors`.
    pub errors: Vec<FieldError>,
    /// Whether the new state differs from the old one in any byte; if not, nothing need be written.
    pub changed: bool,
    /// Fields with a set value and dynamic options whose parent's value changed: see [`settle`].
    pub recheck: Vec<FieldPath>,
}

/// A new config, with seed values.
///
/// # Errors
/// As [`apply`].
pub fn create(settings: &AppSettings, seed: Option<&ConfigUpdate>) -> Result<Applied> {
    let fresh = Stored::new(settings);
    let mut applied = match seed {
        Some(seed) => apply(settings, &fresh, seed)?,
        None => Applied { stored: fresh, switched: Vec::new(), errors: Vec::new(), changed: true, recheck: Vec::new() },
    };
    applied.changed = true;
    applied.switched = switched(&Stored::default(), &applied.stored);
    // Nothing was chosen for another value of a parent: all values came together.
    applied.recheck.clear();
    Ok(applied)
}

/// An update of one field's value; `null` clears. Check with [`field_def`] that the field exists, since an update only
/// reports unknown ones.
pub fn set_field(path: &FieldPath, value: Json) -> ConfigUpdate {
    let fields = BTreeMap::from([(path.field.clone(), value)]);
    match &path.workflow {
        None => ConfigUpdate { fields, ..ConfigUpdate::default() },
        Some(id) => ConfigUpdate {
            workflows: BTreeMap::from([(id.clone(), WorkflowUpdate::Change { enabled: None, fields })]),
            ..ConfigUpdate::default()
        },
    }
}

/// Refuses an update that was made for another version than the stored one. Call it in the transaction that writes.
///
/// # Errors
/// `config_conflict`.
pub fn expect_version(update: &ConfigUpdate, stored: u64) -> Result<()> {
    match update.version {
        Some(seen) if seen != stored => {
            Err(err!(ConfigConflict, "the update states version {seen}, the config is at version {stored}").with("version", stored))
        }
        _ => Ok(()),
    }
}

/// Merges an update into the stored state: listed fields are set, `null` clears, everything that is not listed stays.
/// Values are kept exactly as given. All or nothing: an error changes nothing.
///
/// # Errors
/// `workflow_not_found` for a workflow that the config does not show. `invalid_config` for values whose shape is
/// impossible or beyond a limit; its context has what was expected under every bad path, e.g. `fields.amount`.
pub fn apply(settings: &AppSettings, stored: &Stored, update: &ConfigUpdate) -> Result<Applied> {
    let mut new = stored.clone();
    let (mut wrong, mut errors) = (BTreeMap::new(), Vec::new());
    if let Some(labels) = &update.labels {
        labels::merge(&mut new.labels, labels, &mut wrong);
    }
    let mut scope = |workflow: Option<&str>, defs: &[FieldDef], listed: &BTreeMap<String, Json>, values: &mut BTreeMap<String, Json>| {
        if listed.len() > KEYS {
            let path = workflow.map_or("fields".to_owned(), |id| format!("workflows.{id}.fields"));
            wrong.insert(path, format!("at most {KEYS} fields"));
            return;
        }
        for (id, value) in listed {
            let path = FieldPath::new(workflow, id);
            let Some(def) = defs.iter().find(|d| d.id == *id) else {
                errors.push(unknown(workflow, id, defs));
                continue;
            };
            let labels = labels::of(def, &new.labels);
            if value.is_null() {
                values.remove(id);
            } else if let Some(expected) = expected(def, &labels, value) {
                wrong.insert(path.to_string(), expected);
            } else {
                errors.extend(stale_labels(&path, def, &labels, value));
                values.insert(id.clone(), value.clone());
            }
        }
    };
    scope(None, &settings.fields, &update.fields, &mut new.fields);
    let none = BTreeMap::new();
    for (id, change) in &update.workflows {
        let def = workflow_def(settings, id)?;
        let (enabled, listed) = match change {
            WorkflowUpdate::Switch(on) => (Some(*on), &none),
            WorkflowUpdate::Change { enabled, fields } => (*enabled, fields),
        };
        let state = new.workflows.entry(id.clone()).or_default();
        state.enabled = enabled.or(state.enabled);
        scope(Some(id), &def.fields, listed, &mut state.fields);
    }
    // A workflow that was listed without a change leaves no trace.
    new.workflows.retain(|id, w| stored.workflows.contains_key(id) || *w != StoredWorkflow::default());
    if wrong.is_empty() && !fits(&new, CONFIG_BYTES) {
        wrong.insert("config".to_owned(), format!("at most {CONFIG_BYTES} bytes of JSON in the whole config"));
    }
    if !wrong.is_empty() {
        return Err(invalid(wrong));
    }
    let switched = switched(stored, &new);
    let recheck = recheck(settings, stored, &new);
    let changed = !same(stored, &new);
    Ok(Applied { stored: new, switched, errors, changed, recheck })
}

/// Clears the values of [`Applied::recheck`] that are no longer among the choices resolved for their parent's present
/// value, and answers which. A cleared field's children with dynamic options are next: they join `recheck`, and
/// [`super::wanted_options`] asks for their choices if the cleared field has a default. Where the choices could not be
/// resolved the value stays: an outage deletes nothing.
pub fn settle(settings: &AppSettings, applied: &mut Applied, resolved: &Resolved) -> Vec<FieldPath> {
    let mut cleared = Vec::new();
    let mut waiting = Vec::new();
    let mut queue = std::mem::take(&mut applied.recheck);
    while !queue.is_empty() {
        queue.sort_by_cached_key(|p| generation(settings, p));
        let path = queue.remove(0);
        let Ok(def) = field_def(settings, &path) else { continue };
        let Some(held) = value(&applied.stored, &path) else { continue };
        let gone = match ask(settings, &applied.stored, &path, def) {
            Ask::NotYet => !among(def, held, fixed(def)),
            Ask::Now(parent) => match resolved.fresh(&path, parent) {
                Some(Ok(live)) => !among(def, held, &merged(fixed(def), live)),
                Some(Err(_)) => false,
                None => {
                    waiting.push(path);
                    continue;
                }
            },
        };
        if gone {
            let before = applied.stored.clone();
            clear(&mut applied.stored, &path);
            applied.changed = true;
            queue.extend(recheck(settings, &before, &applied.stored));
            cleared.push(path);
        }
    }
    applied.recheck = waiting;
    cleared
}

/// The fields with dynamic options that hold the same value as before while their parent's changed.
fn recheck(settings: &AppSettings, old: &Stored, new: &Stored) -> Vec<FieldPath> {
    let same = |a: Option<&Json>, b: Option<&Json>| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => identical(a, b),
        _ => false,
    };
    let moved = |path: &FieldPath| !same(effective(settings, old, path), effective(settings, new, path));
    let mut paths: Vec<_> = all(settings)
        .filter(|(path, def)| {
            let held = value(new, path);
            def.options_from.is_some()
                && held.is_some()
                && same(value(old, path), held)
                && parent(settings, path, def).is_some_and(|p| moved(&p))
        })
        .map(|(path, _)| path)
        .collect();
    paths.sort_by_cached_key(|p| generation(settings, p));
    paths
}

/// Whether every choice that the value holds is among the options.
fn among(def: &FieldDef, value: &Json, options: &[FieldOption]) -> bool {
    let known = |v: &Json| v.is_null() || options.iter().any(|o| o.value == *v);
    let each = |v: &Json| v.as_array().map_or_else(|| known(v), |items| items.iter().all(known));
    match def.field_type {
        FieldType::Map | FieldType::MapV2 => value.as_object().is_none_or(|map| map.values().all(each)),
        FieldType::RuleEngine => lefts(value).iter().all(|v| known(v)),
        // What a JSON value chose cannot be told.
        FieldType::Json => true,
        _ => each(value),
    }
}

/// The left sides that a rule uses. Its depth was checked when it was set.
fn lefts(rule: &Json) -> Vec<&Json> {
    let rows = rule.get("conditions").and_then(Json::as_array).into_iter().flatten();
    rows.flat_map(|row| match row.as_object() {
        Some(map) if is_group(map) => lefts(row),
        Some(map) => chosen(map.get("lhs")).into_iter().collect(),
        None => Vec::new(),
    })
    .collect()
}

/// The workflows that are on in one state and off in the other.
fn switched(old: &Stored, new: &Stored) -> Vec<(String, bool)> {
    new.workflows.keys().filter(|id| old.enabled(id) != new.enabled(id)).map(|id| (id.clone(), new.enabled(id))).collect()
}

fn same(a: &Stored, b: &Stored) -> bool {
    a == b && serde_json::to_vec(a).ok() == serde_json::to_vec(b).ok()
}

fn unknown(workflow: Option<&str>, id: &str, defs: &[FieldDef]) -> FieldError {
    let near = did_you_mean(id, defs.iter().map(|def| &*def.id)).map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
    let id = short(id);
    FieldError {
        path: FieldPath::new(workflow, &id).to_string(),
        name: id.clone(),
        id,
        code: "unknown_field".to_owned(),
        message: format!("There is no such field; the value was ignored.{near}"),
    }
}

fn stale_labels(path: &FieldPath, def: &FieldDef, labels: &[Label], value: &Json) -> Option<FieldError> {
    if def.field_type != FieldType::Map {
        return None;
    }
    let count = value.as_object()?.keys().filter(|k| !labels.iter().any(|l| key(&l.value) == **k)).count();
    let message = format!("{count} of its keys are no label's value; they were saved. Map them again, or pass the labels.");
    (count > 0).then(|| trouble(path, def, "stale_option", message))
}

fn invalid(wrong: BTreeMap<String, String>) -> Error {
    const NAMED: usize = 5;
    let named: Vec<_> = wrong.iter().take(NAMED).map(|(path, expected)| format!("`{path}`: expected {expected}")).collect();
    let more = if wrong.len() > NAMED { format!(", and {} more", wrong.len() - NAMED) } else { String::new() };
    let error = err!(InvalidConfig, "nothing was changed; {}{more}", named.join(", "));
    wrong.into_iter().fold(error, |e, (path, expected)| e.with(&path, expected))
}
