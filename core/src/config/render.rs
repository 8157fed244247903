//! A config as callers see it.

use super::{
    labels,
    lookup::{default, field_def, name, offered, value},
    options::{Resolved, choices},
    path::FieldPath,
    stored::Stored,
};
use crate::{
    error::Result,
    model::{Config, Field, FieldError, FieldType, Mapping, Workflow},
    project::{AppSettings, FieldDef},
    time::Timestamp,
};

/// What the row says beside the values.
#[derive(Clone, Debug)]
pub struct Ids {
    /// The application's slug.
    pub application: String,
    /// The linked account.
    pub account_id: String,
    /// The config's id.
    pub config_id: String,
    /// The row's version; 0 for a skeleton that is not stored.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The config as callers see it. Never fails: trouble with a field stands in `field_errors`. Only answers in `resolved`
/// that were given for the present value of a field's parent are shown.
pub fn render(ids: Ids, settings: &AppSettings, stored: &Stored, resolved: &Resolved) -> Config {
    let mut field_errors = Vec::new();
    let mut fields = |workflow: Option<&str>, defs: &[FieldDef]| -> Vec<Field> {
        defs.iter().map(|def| one(settings, stored, &FieldPath::new(workflow, &def.id), def, resolved, true, &mut field_errors)).collect()
    };
    let own = fields(None, &settings.fields);
    let workflows = offered(settings)
        .map(|w| Workflow {
            id: w.id.clone(),
            name: name(&w.name, &w.id).to_owned(),
            description: w.description.clone(),
            icon: w.icon.clone(),
            enabled: stored.enabled(&w.id),
            page: w.page.clone(),
            fields: fields(Some(&w.id), &w.fields),
        })
        .collect();
    Config {
        application: ids.application,
        account_id: ids.account_id,
        config_id: ids.config_id,
        version: ids.version,
        fields: own,
        workflows,
        field_errors,
        created_at: ids.created_at,
        updated_at: ids.updated_at,
    }
}

/// One field as callers see it, with whatever choices `resolved` has for it, also those for a parent's value that is not
/// saved; and the trouble with it.
///
/// # Errors
/// `workflow_not_found`, `field_not_found`.
pub fn render_field(settings: &AppSettings, stored: &Stored, path: &FieldPath, resolved: &Resolved) -> Result<(Field, Vec<FieldError>)> {
    let def = field_def(settings, path)?;
    let mut errors = Vec::new();
    let field = one(settings, stored, path, def, resolved, false, &mut errors);
    Ok((field, errors))
}

fn one(
    settings: &AppSettings,
    stored: &Stored,
    path: &FieldPath,
    def: &FieldDef,
    resolved: &Resolved,
    fresh: bool,
    errors: &mut Vec<FieldError>,
) -> Field {
    let value = value(stored, path).cloned();
    if def.required && value.is_none() && default(def).is_none() {
        errors.push(trouble(path, def, "required", "A value is required. Set one.".to_owned()));
    }
    let (mut options, mut mapping) = (None, def.mapping.clone().filter(|_| def.field_type == FieldType::MapV2));
    if !resolved.skips() {
        let choices = choices(settings, stored, path, def, resolved, fresh);
        if let Some(error) = choices.error {
            errors.push(trouble(path, def, error.code().as_str(), error.reason().to_owned()));
        }
        options = choices.options;
    }
    if let Some(Mapping { rhs, .. }) = &mut mapping {
        // Without `options` the right side would be free text, which a live side is not, even while it is empty.
        let live = def.options_from.is_some() || rhs.options.is_some();
        rhs.options = if live { options.take().or(rhs.options.take()).or(Some(Vec::new())) } else { None };
        options = None;
    }
    Field {
        id: def.id.clone(),
        name: name(&def.name, &def.id).to_owned(),
        field_type: def.field_type,
        required: def.required,
        hidden: def.hidden,
        multiple: def.multiple,
        help_text: def.help.clone(),
        placeholder: def.placeholder.clone(),
        value,
        default_value: default(def).cloned(),
        options,
        labels: (def.field_type == FieldType::Map).then(|| labels::of(def, &stored.labels)),
        parent: def.parent.clone(),
        page: def.page.clone(),
        label_object: def.label_object.clone(),
        mapping,
    }
}

/// Trouble with one field.
pub(super) fn trouble(path: &FieldPath, def: &FieldDef, code: &str, message: String) -> FieldError {
    FieldError { id: def.id.clone(), name: name(&def.name, &def.id).to_owned(), path: path.to_string(), code: code.to_owned(), message }
}
