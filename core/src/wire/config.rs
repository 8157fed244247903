//! Configs and fields, and the many forms in which clients send changes.

use std::collections::BTreeMap;

use super::{body, maybe_bool, text};
use crate::{
    error::{Result, err},
    model::{self, ConfigUpdate, FieldOption, FieldType, Json, Label, Labels, Mapping, WorkflowUpdate},
};

body! {
    /// A config. The three lists are always there.
    pub struct Config {
        /// The application's slug.
        pub slug: String,
        /// The config's id.
        pub config_id: String,
        /// The application's own fields.
        #[serde(default)]
        pub fields: Vec<Field>,
        /// The published workflows.
        #[serde(default)]
        pub workflows: Vec<ConfigWorkflow>,
        /// Trouble per field.
        #[serde(default)]
        pub field_errors: Vec<FieldError>,
        /// Grows by one with every change. Only Smalt's own clients know it.
        #[serde(default)]
        pub version: u64,
    }

    /// A workflow in a config.
    pub struct ConfigWorkflow {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// What it does.
        #[serde(default)]
        pub description: String,
        /// Its icon.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub icon: Option<String>,
        /// The switch.
        #[serde(default)]
        pub enabled: bool,
        /// The page that shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub associated_page: Option<String>,
        /// Its own fields.
        #[serde(default)]
        pub fields: Vec<Field>,
        /// The same, under the name that the toggle route is documented with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub data_slots: Option<Vec<Field>>,
    }

    /// One setting.
    pub struct Field {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// Its type.
        #[serde(deserialize_with = "field_type")]
        pub field_type: FieldType,
        /// Whether a value is wanted.
        #[serde(default, deserialize_with = "maybe_bool")]
        pub required: bool,
        /// Whether pages leave it out.
        #[serde(default)]
        pub hidden: bool,
        /// Whether several values may be chosen.
        #[serde(default)]
        pub multiple: bool,
        /// Help.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub help_text: Option<String>,
        /// An example.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub placeholder: Option<String>,
        /// The value; absent when unset, never null.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub value: Option<Json>,
        /// What counts at run time without a value.
        #[serde(default, rename = "defaultValue", skip_serializing_if = "Option::is_none")]
        pub default_value: Option<Json>,
        /// The choices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub options: Option<Vec<FieldOption>>,
        /// The left side of a `map`; empty for other types.
        #[serde(default)]
        pub labels: Vec<Label>,
        /// The field that this one depends on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub parent: Option<String>,
        /// The page that shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub associated_page: Option<String>,
        /// Whether its labels come with the config call.
        #[serde(default)]
        pub has_dynamic_map_fields: bool,
        /// The name under which they come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub dynamic_map_field_object_name: Option<String>,
        /// The two sides of a `map_v2`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub mapping: Option<Mapping>,
    }

    /// Trouble of one field.
    pub struct FieldError {
        /// The field's id.
        pub id: String,
        /// The field's name.
        pub name: String,
        /// What it is.
        pub error: FieldTrouble,
    }

    /// What is wrong with a field.
    pub struct FieldTrouble {
        /// For people.
        #[serde(default, deserialize_with = "text")]
        pub message: String,
        /// A code, and where the field stands.
        #[serde(default)]
        pub error: Json,
    }
}

/// A type that this version does not know is shown as a line of text, as old clients do.
fn field_type<'de, D: serde::Deserializer<'de>>(from: D) -> Result<FieldType, D::Error> {
    use serde::Deserialize;
    let name = String::deserialize(from)?;
    Ok(FieldType::parse(&name).unwrap_or(FieldType::Text))
}

impl From<Field> for model::Field {
    fn from(field: Field) -> Self {
        let is_map = field.field_type == FieldType::Map;
        Self {
            id: field.id,
            name: field.name,
            field_type: field.field_type,
            required: field.required,
            hidden: field.hidden,
            multiple: field.multiple,
            help_text: field.help_text,
            placeholder: field.placeholder,
            value: field.value,
            default_value: field.default_value,
            options: field.options,
            labels: Some(field.labels).filter(|labels| is_map || !labels.is_empty()),
            parent: field.parent,
            page: field.associated_page,
            label_object: field.dynamic_map_field_object_name,
            mapping: field.mapping,
        }
    }
}

impl From<ConfigWorkflow> for model::Workflow {
    fn from(workflow: ConfigWorkflow) -> Self {
        Self {
            id: workflow.id,
            name: workflow.name,
            description: workflow.description,
            icon: workflow.icon,
            enabled: workflow.enabled,
            page: workflow.associated_page,
            fields: workflow.fields.into_iter().map(model::Field::from).collect(),
        }
    }
}

impl From<FieldError> for model::FieldError {
    fn from(error: FieldError) -> Self {
        let detail = |name: &str| error.error.error.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
        Self {
            path: detail("path").unwrap_or_else(|| format!("fields.{}", error.id)),
            code: detail("code").unwrap_or_else(|| "unknown".to_owned()),
            id: error.id,
            name: error.name,
            message: error.error.message,
        }
    }
}

/// What a client sends to find, make or change a config.
pub fn config_body(application: &str, config_id: Option<&str>, update: ConfigUpdate) -> Json {
    let mut body = serde_json::json!({"slug": application});
    if let Some(id) = config_id {
        body["config_id"] = id.into();
    }
    if !update.fields.is_empty() {
        body["fields"] = Json::Object(update.fields.into_iter().collect());
    }
    let workflows: Vec<Json> = update.workflows.into_iter().map(changed_workflow).collect();
    if !workflows.is_empty() {
        body["workflows"] = workflows.into();
    }
    if let Some(labels) = update.labels {
        body["labels"] = serde_json::to_value(labels).unwrap_or_default();
    }
    if let Some(version) = update.version {
        body["version"] = version.into();
    }
    body
}

fn changed_workflow((id, update): (String, WorkflowUpdate)) -> Json {
    let (enabled, fields) = match update {
        WorkflowUpdate::Switch(on) => (Some(on), BTreeMap::new()),
        WorkflowUpdate::Change { enabled, fields } => (enabled, fields),
    };
    let mut sent = serde_json::json!({"id": id});
    if let Some(enabled) = enabled {
        sent["enabled"] = enabled.into();
    }
    if !fields.is_empty() {
        sent["fields"] = Json::Object(fields.into_iter().collect());
    }
    sent
}

impl From<model::Config> for Config {
    fn from(config: model::Config) -> Self {
        Self {
            slug: config.application,
            config_id: config.config_id,
            fields: config.fields.into_iter().map(Field::from).collect(),
            workflows: config.workflows.into_iter().map(ConfigWorkflow::from).collect(),
            field_errors: config.field_errors.into_iter().map(FieldError::from).collect(),
            version: config.version,
        }
    }
}

impl From<model::Workflow> for ConfigWorkflow {
    fn from(workflow: model::Workflow) -> Self {
        Self {
            id: workflow.id,
            name: workflow.name,
            description: workflow.description,
            icon: workflow.icon,
            enabled: workflow.enabled,
            associated_page: workflow.page,
            fields: workflow.fields.into_iter().map(Field::from).collect(),
            data_slots: None,
        }
    }
}

impl From<model::Field> for Field {
    fn from(field: model::Field) -> Self {
        Self {
            id: field.id,
            name: field.name,
            field_type: field.field_type,
            required: field.required,
            hidden: field.hidden,
            multiple: field.multiple,
            help_text: field.help_text,
            placeholder: field.placeholder,
            value: field.value.filter(|value| !value.is_null()),
            default_value: field.default_value,
            options: field.options,
            labels: field.labels.unwrap_or_default(),
            parent: field.parent,
            associated_page: field.page,
            has_dynamic_map_fields: field.label_object.is_some(),
            dynamic_map_field_object_name: field.label_object,
            mapping: field.mapping,
        }
    }
}

impl From<model::FieldError> for FieldError {
    fn from(error: model::FieldError) -> Self {
        let detail = serde_json::json!({"code": error.code, "path": error.path});
        Self { id: error.id, name: error.name, error: FieldTrouble { message: error.message, error: detail } }
    }
}

/// Values by field id, out of a map, a list of fields, or nothing: clients send all three.
fn values(sent: Option<&Json>) -> Result<BTreeMap<String, Json>> {
    match sent {
        None | Some(Json::Null) => Ok(BTreeMap::new()),
        Some(Json::Object(map)) => Ok(map.iter().map(|(id, value)| (id.clone(), value.clone())).collect()),
        Some(Json::Array(fields)) => {
            let pair = |field: &Json| Some((field.get("id")?.as_str()?.to_owned(), field.get("value")?.clone()));
            Ok(fields.iter().filter_map(pair).collect())
        }
        Some(_) => Err(err!(InvalidRequest, "`fields` must be an object of values by field id, or a list of fields")),
    }
}

fn either<'a>(body: &'a Json, name: &str, synonym: &str) -> Option<&'a Json> {
    body.get(name).or_else(|| body.get(synonym))
}

fn workflow(sent: &Json) -> Result<(String, WorkflowUpdate)> {
    let Some(id) = sent.get("id").and_then(Json::as_str) else {
        return Err(err!(InvalidRequest, "each of `workflows` needs an `id`"));
    };
    let enabled = match sent.get("enabled") {
        None | Some(Json::Null) => None,
        Some(Json::Bool(enabled)) => Some(*enabled),
        Some(_) => return Err(err!(InvalidRequest, "`enabled` of workflow `{}` must be true or false", id.escape_debug())),
    };
    Ok((id.to_owned(), WorkflowUpdate::Change { enabled, fields: values(either(sent, "fields", "data_slots"))? }))
}

/// What a config call's body changes.
///
/// # Errors
/// `invalid_request` for a body that has the wrong shape.
pub fn config_update(body: &Json) -> Result<ConfigUpdate> {
    let workflows = match body.get("workflows") {
        None | Some(Json::Null) => BTreeMap::new(),
        Some(Json::Array(list)) => list.iter().map(workflow).collect::<Result<_>>()?,
        Some(_) => return Err(err!(InvalidRequest, "`workflows` must be a list")),
    };
    Ok(ConfigUpdate {
        fields: values(either(body, "fields", "application_data_slots"))?,
        workflows,
        labels: labels(body),
        version: body.get("version").and_then(Json::as_u64),
    })
}

fn label_list(sent: &Json) -> Option<Vec<Label>> {
    let label = |label: &Json| {
        let value = label.get("value").filter(|value| !value.is_null() && !value.is_object() && !value.is_array())?;
        Some(Label {
            name: label.get("name").and_then(Json::as_str).map(ToOwned::to_owned),
            value: value.clone(),
            multiple: label.get("multiple").and_then(Json::as_bool).unwrap_or(false),
        })
    };
    Some(sent.as_array()?.iter().filter_map(label).collect())
}

/// The labels of a config call's body. Absent, null, `[]` and `{}` all mean "as stored": some clients send `[]` with
/// every call. Values that are no lists of labels are passed over.
pub fn labels(body: &Json) -> Option<Labels> {
    let legacy = body.get("map_fields_object").and_then(Json::as_object);
    match body.get("labels") {
        Some(list @ Json::Array(_)) => label_list(list).filter(|labels| !labels.is_empty()).map(Labels::All),
        Some(Json::Object(map)) if !map.is_empty() => by_object(map.iter()),
        _ => by_object(legacy?.iter().filter_map(|(name, object)| Some((name, object.get("fields")?)))),
    }
}

fn by_object<'a>(pairs: impl Iterator<Item = (&'a String, &'a Json)>) -> Option<Labels> {
    let map: BTreeMap<_, _> = pairs.filter_map(|(name, list)| Some((name.clone(), label_list(list)?))).collect();
    (!map.is_empty()).then_some(Labels::ByObject(map))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_fields_is_read() {
        let map = BTreeMap::from([("a".to_owned(), json!(0)), ("b".to_owned(), json!(null))]);
        for fields in [json!({"a": 0, "b": null}), json!([{"id": "a", "value": 0}, {"id": "b", "value": null}, {"id": "c"}])] {
            assert_eq!(config_update(&json!({"fields": fields})).unwrap().fields, map);
            assert_eq!(config_update(&json!({"application_data_slots": fields})).unwrap().fields, map);
        }
        for nothing in [json!({}), json!({"fields": []}), json!({"fields": null}), json!({"fields": {}}), json!({"workflows": []})] {
            assert_eq!(config_update(&nothing).unwrap(), ConfigUpdate::default());
        }
        assert!(config_update(&json!({"fields": "x"})).is_err());
        let update = config_update(&json!({"workflows": [{"id": "w", "enabled": true, "data_slots": {"h": 9}}, {"id": "v"}]})).unwrap();
        let change = |enabled, fields| WorkflowUpdate::Change { enabled, fields };
        assert_eq!(update.workflows["w"], change(Some(true), BTreeMap::from([("h".to_owned(), json!(9))])));
        assert_eq!(update.workflows["v"], change(None, BTreeMap::new()));
        assert!(config_update(&json!({"workflows": [{"enabled": true}]})).is_err());
        assert!(config_update(&json!({"workflows": [{"id": "w", "enabled": "yes"}]})).is_err());
    }

    #[test]
    fn every_form_of_labels_is_read() {
        for none in [json!({}), json!({"labels": null}), json!({"labels": []}), json!({"labels": {}}), json!({"labels": {"k": "v"}})] {
            assert_eq!(labels(&none), None, "{none}");
        }
        let list = json!([{"name": "Mail", "value": "email"}, {"value": 7, "multiple": true}]);
        let read = vec![
            Label { name: Some("Mail".into()), value: json!("email"), multiple: false },
            Label { name: None, value: json!(7), multiple: true },
        ];
        assert_eq!(labels(&json!({"labels": list})), Some(Labels::All(read.clone())));
        let by_object = Some(Labels::ByObject(BTreeMap::from([("Contact".to_owned(), read)])));
        assert_eq!(labels(&json!({"labels": {"Contact": list, "k": "v"}})), by_object);
        assert_eq!(labels(&json!({"map_fields_object": {"Contact": {"fields": list}}})), by_object);
    }
}
