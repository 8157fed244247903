//! What a workflow is run with.

use std::collections::BTreeMap;

use super::{
    lookup::{default, no_workflow, short},
    stored::Stored,
};
use crate::{
    error::{Result, err},
    model::{Json, JsonMap},
    project::{AppSettings, FieldDef},
};

/// The application's values and the workflow's, in the definitions' order, with defaults for what is not set; a field
/// with neither is left out. A hidden workflow can be run, an unpublished one cannot.
///
/// # Errors
/// `workflow_not_found`, `workflow_disabled`.
pub fn values(settings: &AppSettings, stored: &Stored, workflow: &str) -> Result<(JsonMap, JsonMap)> {
    let def = settings.workflows.iter().find(|w| w.published && w.id == workflow).ok_or_else(|| no_workflow(workflow))?;
    if !stored.enabled(workflow) {
        let id = short(workflow);
        return Err(err!(WorkflowDisabled, "workflow `{id}` is switched off in this config").with("workflow", id));
    }
    let none = BTreeMap::new();
    let own = stored.workflows.get(workflow).map_or(&none, |w| &w.fields);
    Ok((filled(&settings.fields, &stored.fields), filled(&def.fields, own)))
}

fn filled(defs: &[FieldDef], values: &BTreeMap<String, Json>) -> JsonMap {
    let value = |d: &FieldDef| values.get(&d.id).or_else(|| default(d)).cloned();
    defs.iter().filter_map(|d| Some((d.id.clone(), value(d)?))).collect()
}
