//! Finding definitions and values.

use super::{path::FieldPath, stored::Stored};
use crate::{
    error::{Error, Result, err},
    model::Json,
    project::{AppSettings, FieldDef, WorkflowDef},
};

/// The workflows that a config shows.
pub(super) fn offered(settings: &AppSettings) -> impl Iterator<Item = &WorkflowDef> {
    settings.workflows.iter().filter(|w| w.published && !w.hidden)
}

pub(super) fn no_workflow(id: &str) -> Error {
    let id = short(id);
    err!(WorkflowNotFound, "No workflow with id {id} exists on config").with("workflow", id)
}

/// The definition of a workflow that a config shows.
///
/// # Errors
/// `workflow_not_found`, also for unpublished and hidden ones.
pub fn workflow_def<'a>(settings: &'a AppSettings, id: &str) -> Result<&'a WorkflowDef> {
    offered(settings).find(|w| w.id == id).ok_or_else(|| no_workflow(id))
}

/// The definition of a field that a config shows.
///
/// # Errors
/// `workflow_not_found`, `field_not_found`.
pub fn field_def<'a>(settings: &'a AppSettings, path: &FieldPath) -> Result<&'a FieldDef> {
    let defs = match &path.workflow {
        None => &settings.fields,
        Some(id) => &workflow_def(settings, id)?.fields,
    };
    defs.iter().find(|d| d.id == path.field).ok_or_else(|| {
        let id = short(&path.field);
        err!(FieldNotFound, "Field with id {id} not found").with("field", id)
    })
}

/// The set value at a path.
pub(super) fn value<'a>(stored: &'a Stored, path: &FieldPath) -> Option<&'a Json> {
    match &path.workflow {
        None => stored.fields.get(&path.field),
        Some(id) => stored.workflows.get(id)?.fields.get(&path.field),
    }
}

/// Removes and returns the set value at a path.
pub(super) fn clear(stored: &mut Stored, path: &FieldPath) -> Option<Json> {
    match &path.workflow {
        None => stored.fields.remove(&path.field),
        Some(id) => stored.workflows.get_mut(id)?.fields.remove(&path.field),
    }
}

/// The value that counts: the set one, else the definition's default. `None` also for a field that is not defined.
pub fn effective<'a>(settings: &'a AppSettings, stored: &'a Stored, path: &FieldPath) -> Option<&'a Json> {
    let def = field_def(settings, path).ok()?;
    value(stored, path).or_else(|| default(def))
}

/// The default of a definition; `null` is none.
pub(super) fn default(def: &FieldDef) -> Option<&Json> {
    def.default.as_ref().filter(|v| !v.is_null())
}

/// All fields that a config shows, in the definitions' order.
pub(super) fn all(settings: &AppSettings) -> impl Iterator<Item = (FieldPath, &FieldDef)> {
    let own = settings.fields.iter().map(|d| (FieldPath::app(&d.id), d));
    own.chain(offered(settings).flat_map(|w| w.fields.iter().map(|d| (FieldPath::workflow(&w.id, &d.id), d))))
}

/// The field that this one depends on: one of the same workflow, else one of the application. A parent that is not
/// defined has a path too, and never a value.
pub(super) fn parent(settings: &AppSettings, path: &FieldPath, def: &FieldDef) -> Option<FieldPath> {
    let id = def.parent.as_deref()?;
    let near = FieldPath::new(path.workflow.as_deref(), id);
    let far = FieldPath::app(id);
    Some(if field_def(settings, &near).is_err() && field_def(settings, &far).is_ok() { far } else { near })
}

/// How many ancestors a field has; a cycle counts as its length.
pub(super) fn generation(settings: &AppSettings, path: &FieldPath) -> usize {
    let mut seen = vec![path.clone()];
    while let Some(last) = seen.last()
        && let Ok(def) = field_def(settings, last)
        && let Some(next) = parent(settings, last, def)
        && !seen.contains(&next)
    {
        seen.push(next);
    }
    seen.len() - 1
}

/// The label for people: the name, else the id.
pub(super) fn name<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}

/// A caller's id for a message; no defined id is longer than this.
pub(super) fn short(id: &str) -> String {
    const LONGEST: usize = 256;
    if id.chars().count() <= LONGEST { id.to_owned() } else { id.chars().take(LONGEST).chain(['…']).collect() }
}

/// The text form of a scalar: the key under which a map holds it.
pub(super) fn key(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether this can be an option's or label's value.
pub(super) fn scalar(value: &Json) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

/// Equal in every byte: `==` ignores the order of keys and the sign of zero.
pub(super) fn identical(a: &Json, b: &Json) -> bool {
    a == b && serde_json::to_vec(a).ok() == serde_json::to_vec(b).ok()
}
