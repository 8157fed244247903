//! Config fields. The application stands in a header here.

use smalt::{
    Code,
    backend::{ConfigField, GetConfig, GetRuleColumns, SetConfigField},
    model::Json,
    wire::{Config, Field},
};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
};

fn slug(call: &Call) -> Result<String, Trouble> {
    let found = call.header("slug").map(ToOwned::to_owned).or_else(|| call.text("slug"));
    found.ok_or_else(|| Trouble::bad("Missing Slug"))
}

fn config_id(call: &Call) -> Option<String> {
    call.query("config_id").or_else(|| call.header("config_id")).map(ToOwned::to_owned).or_else(|| call.text("config_id"))
}

fn workflow(call: &Call) -> Option<String> {
    call.query("workflow_id").map(ToOwned::to_owned)
}

/// The words that clients know for what is not there.
fn known(call: &Call, error: smalt::Error) -> Trouble {
    match error.code() {
        Code::FieldNotFound => Trouble::Known(Box::new(error), "SERVER_ERROR", format!("Field with id {} not found", call.param("field"))),
        Code::WorkflowNotFound => {
            let text = format!("No workflow with id {} exists on config", workflow(call).unwrap_or_default());
            Trouble::Known(Box::new(error), "SERVER_ERROR", text)
        }
        _ => error.into(),
    }
}

/// Makes no config: without one, the answer shows what it would hold.
pub(super) async fn all(call: Call) -> Result<Answer, Trouble> {
    let request = GetConfig {
        account: call.account()?,
        application: slug(&call)?,
        config_id: config_id(&call),
        without_options: call.without_options(),
        or_empty: true,
    };
    json(Config::from(call.backend()?.get_config(&call.who()?.caller, request).await?))
}

pub(super) async fn get(call: Call) -> Result<Answer, Trouble> {
    let request = ConfigField {
        account: call.account()?,
        application: slug(&call)?,
        config_id: config_id(&call),
        workflow: workflow(&call),
        field: call.param("field"),
        parent_value: call.body.get("value").filter(|value| !value.is_null()).cloned(),
        search: call.query("search").map(ToOwned::to_owned),
    };
    match call.backend()?.config_field(&call.who()?.caller, request).await {
        Ok(field) => json(Field::from(field)),
        Err(error) => Err(known(&call, error)),
    }
}

async fn put(call: Call, value: Option<Json>) -> Result<Answer, Trouble> {
    let request = SetConfigField {
        account: call.account()?,
        application: slug(&call)?,
        config_id: config_id(&call),
        workflow: workflow(&call),
        field: call.param("field"),
        value,
    };
    match call.backend()?.set_config_field(&call.who()?.caller, request).await {
        Ok(field) => json(Field::from(field)),
        Err(error) => Err(known(&call, error)),
    }
}

pub(super) async fn set(call: Call) -> Result<Answer, Trouble> {
    let Some(value) = call.body.get("value").cloned() else { return Err(Trouble::bad("`value` is missing; null clears the field")) };
    put(call, Some(value).filter(|value| !value.is_null())).await
}

pub(super) async fn clear(call: Call) -> Result<Answer, Trouble> {
    put(call, None).await
}

pub(super) async fn rule(call: Call) -> Result<Answer, Trouble> {
    let lhs = call.body.get("rule_column").and_then(|column| column.get("lhs").or_else(|| column.get("name"))).cloned();
    let request = GetRuleColumns {
        account: call.account()?,
        application: slug(&call)?,
        workflow: workflow(&call),
        field: call.param("field"),
        lhs: lhs.unwrap_or(Json::Null),
    };
    match call.backend()?.rule_columns(&call.who()?.caller, request).await {
        Ok(columns) => json(serde_json::json!({"rule_column": columns})),
        Err(error) if error.is(Code::InvalidConfig) => {
            Err(Trouble::bad(format!("Field with id {} is not of type rule engine or has undefined columns", call.param("field"))))
        }
        Err(error) => Err(known(&call, error)),
    }
}
