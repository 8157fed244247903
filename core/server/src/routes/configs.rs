//! Configs.

use smalt::{
    Code,
    backend::{FindConfig, GetApp, GetConfig, UpdateConfig},
    model::{ConfigUpdate, Json, WorkflowUpdate},
    wire::{Config, ConfigWorkflow, config_update, labels},
};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
};

/// The application is named in the body here.
fn slug(call: &Call) -> Result<String, Trouble> {
    call.text("slug").ok_or_else(|| Trouble::bad("Missing Slug"))
}

fn config_id(call: &Call) -> Option<String> {
    match call.params.get("config") {
        Some(id) => Some(id.clone()),
        None => call.text("config_id").or_else(|| call.header("config_id").map(ToOwned::to_owned)),
    }
}

fn key(call: &Call) -> Result<GetConfig, Trouble> {
    Ok(GetConfig {
        account: call.account()?,
        application: call.param("slug"),
        config_id: call.params.get("config").cloned(),
        without_options: call.without_options(),
        or_empty: false,
    })
}

pub(super) async fn find(call: Call) -> Result<Answer, Trouble> {
    let seed = config_update(&call.body)?;
    let request = FindConfig {
        account: call.account()?,
        application: slug(&call)?,
        config_id: config_id(&call),
        labels: labels(&call.body),
        seed: Some(ConfigUpdate { labels: None, version: None, ..seed }),
        without_options: call.without_options(),
    };
    json(Config::from(call.backend()?.config(&call.who()?.caller, request).await?))
}

pub(super) async fn update(call: Call) -> Result<Answer, Trouble> {
    let request = UpdateConfig {
        account: call.account()?,
        application: slug(&call)?,
        config_id: config_id(&call),
        update: config_update(&call.body)?,
        without_options: call.without_options(),
    };
    match call.backend()?.update_config(&call.who()?.caller, request).await {
        Err(error) if error.is(Code::WorkflowNotFound) => {
            let id = error.info().context.get("workflow").cloned().unwrap_or_default();
            Err(no_workflow(error, &id))
        }
        done => json(Config::from(done?)),
    }
}

fn no_workflow(error: smalt::Error, id: &str) -> Trouble {
    Trouble::Known(Box::new(error), "SERVER_ERROR", format!("No workflow with id {id} exists on config"))
}

pub(super) async fn get(call: Call) -> Result<Answer, Trouble> {
    json(Config::from(call.backend()?.get_config(&call.who()?.caller, key(&call)?).await?))
}

pub(super) async fn delete(call: Call) -> Result<Answer, Trouble> {
    call.backend()?.delete_config(&call.who()?.caller, key(&call)?).await?;
    json(serde_json::json!({"message": "Installation Deleted Success"}))
}

pub(super) async fn ids(call: Call) -> Result<Answer, Trouble> {
    let request = GetApp { account: call.account()?, application: call.param("slug") };
    let ids = call.backend()?.list_configs(&call.who()?.caller, request).await?;
    json(ids.into_iter().map(|id| serde_json::json!({"config_id": id, "_id": id})).collect::<Vec<_>>())
}

/// Unlike an update, a switch needs a connection.
pub(super) async fn switch(call: Call) -> Result<Answer, Trouble> {
    let Some(enabled) = call.body.get("enabled").and_then(Json::as_bool) else {
        return Err(Trouble::bad("`enabled` must be true or false"));
    };
    let (account, application, workflow) = (call.account()?, call.param("slug"), call.param("workflow"));
    let (backend, caller) = (call.backend()?, &call.who()?.caller);
    let app = backend.get_app(caller, GetApp { account: account.clone(), application: application.clone() }).await?;
    if app.connections.is_empty() {
        return Err(Trouble::bad(format!("{} is not connected: connect it before a workflow is switched", app.name)));
    }
    let mut update = ConfigUpdate::default();
    update.workflows.insert(workflow.clone(), WorkflowUpdate::Switch(enabled));
    let request = UpdateConfig { account, application, config_id: config_id(&call), update, without_options: true };
    let config = match backend.update_config(caller, request).await {
        Err(error) if error.is(Code::WorkflowNotFound) => return Err(no_workflow(error, &workflow)),
        done => done?,
    };
    let workflows = config.workflows.into_iter().map(|workflow| {
        let mut workflow = ConfigWorkflow::from(workflow);
        workflow.data_slots = Some(workflow.fields.clone());
        workflow
    });
    json(serde_json::json!({"workflows": workflows.collect::<Vec<_>>()}))
}
