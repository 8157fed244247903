use std::collections::BTreeMap;

use super::{Json, model, words};
use crate::time::Timestamp;

words! {
    /// What a field holds. A value is stored and answered exactly as it was given, never coerced.
    pub enum FieldType {
        /// One line.
        Text = "text",
        /// Several lines.
        Textarea = "textarea",
        /// A URL.
        Url = "url",
        /// An e-mail address.
        Email = "email",
        /// A secret line.
        Password = "password",
        /// A number, or a string that holds one.
        Number = "number",
        /// `YYYY-MM-DD`, or an ISO date-time.
        Date = "date",
        /// A switch.
        Boolean = "boolean",
        /// One option's value, or an array of them when `multiple`.
        Select = "select",
        /// Any JSON value, or a string that holds one.
        Json = "json",
        /// An object from label values to option values.
        Map = "map",
        /// An object from left values to right values, see `Mapping`.
        MapV2 = "map_v2",
        /// A tree of conditions.
        RuleEngine = "rule_engine",
    }
}

model! {
    /// What the user of one linked account has set for one application.
    pub struct Config {
        /// The application's slug.
        pub application: String,
        /// The linked account.
        pub account_id: String,
        /// The linked account's id unless another was given.
        pub config_id: String,
        /// Grows by one with every change; pass it to an update to detect a conflict.
        pub version: u64,
        /// The application's own fields.
        pub fields: Vec<Field>,
        /// The published workflows that are not hidden.
        pub workflows: Vec<Workflow>,
        /// Trouble per field; never makes the call fail.
        pub field_errors: Vec<FieldError>,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it last changed.
        pub updated_at: Timestamp,
    }
}

/// One setting.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Field {
    /// Unique within the application's fields or the workflow.
    pub id: String,
    /// The label for people.
    pub name: String,
    /// What it holds.
    pub field_type: FieldType,
    /// Whether it should be set; a missing value is reported in `field_errors`.
    pub required: bool,
    /// Whether user interfaces skip it.
    pub hidden: bool,
    /// Whether it holds several values.
    pub multiple: bool,
    /// Help for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help_text: Option<String>,
    /// An example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// The value, exactly as set; absent when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Used when no value is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<Json>,
    /// The choices; absent while they cannot be resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<FieldOption>>,
    /// The left side of a `map`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<Label>>,
    /// The id of the field whose value this one depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The page that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The object whose labels the caller supplies with `labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_object: Option<String>,
    /// Both sides of a `map_v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
}

/// Values are the user's, and may be secrets whatever the field's type: not shown.
impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Field");
        shown.field("id", &self.id).field("field_type", &self.field_type).field("required", &self.required).field("options", &self.options);
        shown.field("set", &self.value.is_some()).finish_non_exhaustive()
    }
}

model! {
    /// One choice.
    pub struct FieldOption {
        /// What people see.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// What is stored: a string, number or boolean.
        pub value: Json,
    }

    /// One left-hand entry of a `map`.
    pub struct Label {
        /// What people see.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// The key in the field's value.
        pub value: Json,
        /// Whether it takes several options.
        #[serde(default)]
        pub multiple: bool,
    }

    /// Both sides of a `map_v2`.
    pub struct Mapping {
        /// The organisation's side.
        pub lhs: MappingSide,
        /// The application's side.
        pub rhs: MappingSide,
    }

    /// One side of a `map_v2`.
    pub struct MappingSide {
        /// The column's heading.
        pub name: String,
        /// The choices; free text when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub options: Option<Vec<FieldOption>>,
        /// Whether several may be chosen.
        #[serde(default)]
        pub multiple: bool,
    }

    /// A workflow that the organisation offers, and its switch.
    pub struct Workflow {
        /// The workflow's id.
        pub id: String,
        /// The name for people.
        pub name: String,
        /// What it does.
        pub description: String,
        /// Its icon.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub icon: Option<String>,
        /// The switch.
        pub enabled: bool,
        /// The page that shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub page: Option<String>,
        /// Its own fields.
        pub fields: Vec<Field>,
    }

    /// Trouble with one field.
    pub struct FieldError {
        /// The field's id.
        pub id: String,
        /// The field's name.
        pub name: String,
        /// `fields.<id>`, or `workflows.<id>.fields.<id>`.
        pub path: String,
        /// An error code of the table, or `required`, `unknown_field`, `stale_option`.
        pub code: String,
        /// What to do.
        pub message: String,
    }
}

/// What to change; everything that is not listed stays.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigUpdate {
    /// Values by field id; `null` clears.
    pub fields: BTreeMap<String, Json>,
    /// Switches and values by workflow id.
    pub workflows: BTreeMap<String, WorkflowUpdate>,
    /// Labels for `map` fields; absent keeps the stored ones.
    pub labels: Option<Labels>,
    /// The version that the caller saw; another one in the store is a `config_conflict`.
    pub version: Option<u64>,
}

/// Values may be passwords: only their ids are shown.
impl std::fmt::Debug for ConfigUpdate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.fields.keys().collect();
        f.debug_struct("ConfigUpdate")
            .field("fields", &ids)
            .field("workflows", &self.workflows)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A workflow's change.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum WorkflowUpdate {
    /// Only the switch.
    Switch(bool),
    /// The switch, values, or both.
    Change {
        /// The switch; absent keeps it.
        #[serde(default)]
        enabled: Option<bool>,
        /// Values by field id; `null` clears.
        #[serde(default)]
        fields: BTreeMap<String, Json>,
    },
}

/// Values may be passwords: only their ids are shown.
impl std::fmt::Debug for WorkflowUpdate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Switch(on) => f.debug_tuple("Switch").field(on).finish(),
            Self::Change { enabled, fields } => {
                let ids: Vec<_> = fields.keys().collect();
                f.debug_struct("Change").field("enabled", enabled).field("fields", &ids).finish()
            }
        }
    }
}

model! {
    /// Left-hand entries of `map` fields, supplied by the caller.
    #[serde(untagged)]
    pub enum Labels {
        /// For every field with dynamic labels.
        All(Vec<Label>),
        /// By the field's `label_object`.
        ByObject(BTreeMap<String, Vec<Label>>),
    }

    /// The columns of a rule that depend on its left side.
    pub struct RuleColumns {
        /// The right side.
        pub rhs: RuleColumn,
        /// The operators.
        pub operator: RuleColumn,
    }

    /// One column of a rule.
    pub struct RuleColumn {
        /// The heading.
        pub name: String,
        /// `text` or `select`.
        #[serde(rename = "type")]
        pub column_type: String,
        /// The choices.
        pub options: Vec<FieldOption>,
    }
}
