#![allow(clippy::unwrap_used)]

mod definitions;
mod dynamic;
mod merge;
mod properties;
mod rules;
mod shapes;

use serde_json::json;

use super::*;
use crate::{
    model::{Config, ConfigUpdate, Field, FieldOption, Json},
    project::AppSettings,
    time::Timestamp,
};

fn app(settings: Json) -> AppSettings {
    serde_json::from_value(settings).unwrap()
}

fn update(body: Json) -> ConfigUpdate {
    serde_json::from_value(body).unwrap()
}

fn ids() -> Ids {
    Ids {
        application: "crm".to_owned(),
        account_id: "customer-42".to_owned(),
        config_id: "customer-42".to_owned(),
        version: 3,
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(2),
    }
}

fn shown(settings: &AppSettings, stored: &Stored) -> Config {
    render(ids(), settings, stored, &Resolved::new(Access::Live))
}

fn field<'a>(config: &'a Config, path: &str) -> &'a Field {
    let path: FieldPath = path.parse().unwrap();
    let fields = match &path.workflow {
        None => &config.fields,
        Some(id) => &config.workflows.iter().find(|w| w.id == *id).unwrap().fields,
    };
    fields.iter().find(|f| f.id == path.field).unwrap()
}

fn options(values: &[&str]) -> Vec<FieldOption> {
    values.iter().map(|v| FieldOption { name: Some(v.to_uppercase()), value: json!(v) }).collect()
}

/// Codes of `field_errors`, by path.
fn codes(config: &Config) -> Vec<(&str, &str)> {
    config.field_errors.iter().map(|e| (e.path.as_str(), e.code.as_str())).collect()
}
