//! Workflows and their runs. Smalt runs none itself: what the project offers is described and handed to the organisation's
//! runner; workflows that linked accounts make themselves there are none of, and calls that would make or change one say so.

use smalt::{
    Code, Error,
    backend::{ExecuteWorkflow, GetAccount, GetApp, GetConfig, GetExecution, ListExecutions},
    model::{Json, JsonMap},
    project::WorkflowDef,
    wire::{Offered, execution, list_page, workflow},
};

use super::apps::Described;
use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
    project::in_force,
};

/// Runs that are looked through for one list.
const MOST_RUNS: usize = 10_000;

fn missing(id: &str) -> Trouble {
    let error = Error::new(Code::WorkflowNotFound, format!("no workflow `{}`", id.escape_debug()));
    Trouble::Known(Box::new(error), "RESOURCE_NOT_FOUND", format!("Workflow with id {id} not found"))
}

fn not_here(what: &str) -> Trouble {
    Error::new(Code::Unsupported, format!("{what}: workflows stand in the project file, and linked accounts have none of their own")).into()
}

/// The published workflows of enabled applications, with their application's slug.
async fn offered(call: &Call) -> Result<Vec<(String, WorkflowDef)>, Trouble> {
    let project = in_force(call.smalt()?).await?;
    let enabled = project.apps.iter().filter(|(_, app)| app.enabled);
    let published = enabled.flat_map(|(slug, app)| app.workflows.iter().filter(|def| def.published).map(move |def| (slug, def)));
    Ok(published.map(|(slug, def)| (slug.clone(), def.clone())).collect())
}

/// The one that is meant. Ids are those of an application: where several have the same, the header `slug` tells.
async fn find(call: &Call) -> Result<(String, WorkflowDef), Trouble> {
    let id = call.param("id");
    let slug = call.header("slug").or_else(|| call.query("slug")).map(ToOwned::to_owned);
    let mut found = offered(call).await?;
    found.retain(|(of, def)| def.id == id && slug.as_ref().is_none_or(|slug| slug == of));
    match (found.pop(), found.pop()) {
        (Some(found), None) => Ok(found),
        (Some(_), Some(_)) => Err(Trouble::bad("Workflow ID and slug are required")),
        (None, _) => Err(missing(&id)),
    }
}

async fn app_name(call: &Call, slug: &str) -> Result<(String, Option<String>), Trouble> {
    let request = GetApp { account: call.account()?, application: slug.to_owned() };
    let app = call.backend()?.get_app(&call.who()?.caller, request).await?;
    let icon = Described::new(call).await?.icon(&app);
    Ok((app.name, icon))
}

async fn account_exists(call: &Call) -> Result<(), Trouble> {
    call.backend()?.get_account(&call.who()?.caller, GetAccount { account: call.account()? }).await?;
    Ok(())
}

/// Linked accounts have no workflows of their own; without one, the organisation's are listed.
pub(super) async fn list(call: Call) -> Result<Answer, Trouble> {
    let (page, limit) = call.page();
    let mut docs = Vec::new();
    if call.account()?.is_empty() {
        let (org, environment) = (in_force(call.smalt()?).await?.org.id.clone(), call.who()?.environment);
        let slugs: Vec<&str> = call.query("slug").map(|slugs| slugs.split(',').map(str::trim).collect()).unwrap_or_default();
        let name = call.query("name").map(str::to_lowercase);
        for (slug, def) in offered(&call).await? {
            let fits = (slugs.is_empty() || slugs.contains(&&*slug))
                && name.as_ref().is_none_or(|part| def.name.to_lowercase().contains(part))
                && call.query("published") != Some("false")
                && call.query("application_id").is_none_or(|id| id == slug);
            if fits {
                docs.push(workflow(&org, environment, &Offered { slug: &slug, app: &slug, icon: None, def: &def }));
            }
        }
    } else {
        account_exists(&call).await?;
    }
    let (total, skip) = (docs.len() as u64, usize::try_from((page - 1).saturating_mul(limit)).unwrap_or(usize::MAX));
    let docs = docs.into_iter().skip(skip).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    let mut answer = list_page(docs, total, page, limit);
    answer["schema"] = Json::Null;
    Ok(Answer::Json(answer))
}

pub(super) async fn create(call: Call) -> Result<Answer, Trouble> {
    if call.text("name").is_none() {
        return Err(Trouble::bad("name is required"));
    }
    match call.text("slug") {
        Some(slug) => drop(app_name(&call, &slug).await?),
        None => account_exists(&call).await?,
    }
    Err(not_here("no workflow is made here"))
}

pub(super) async fn get(call: Call) -> Result<Answer, Trouble> {
    let (slug, def) = find(&call).await?;
    let (name, icon) = app_name(&call, &slug).await?;
    let (org, environment) = (in_force(call.smalt()?).await?.org.id.clone(), call.who()?.environment);
    Ok(Answer::Json(workflow(&org, environment, &Offered { slug: &slug, app: &name, icon, def: &def })))
}

/// `edit`, `publish` and deleting: for one that is there it is not done, one that is not there is not found.
pub(super) async fn change(call: Call) -> Result<Answer, Trouble> {
    account_exists(&call).await?;
    find(&call).await?;
    Err(not_here("no workflow is changed here"))
}

/// A workflow of the project says nothing of what it takes.
pub(super) async fn structure(call: Call) -> Result<Answer, Trouble> {
    account_exists(&call).await?;
    find(&call).await?;
    json(serde_json::json!({"payload": null, "schema": null, "schema_interpreted": null}))
}

/// The project file is the only version.
pub(super) async fn versions(call: Call) -> Result<Answer, Trouble> {
    account_exists(&call).await?;
    find(&call).await?;
    let (page, limit) = call.page();
    Ok(Answer::Json(list_page(Vec::new(), 0, page, limit)))
}

/// Those that are on in any config of the account.
pub(super) async fn enabled(call: Call) -> Result<Answer, Trouble> {
    let (backend, caller, account) = (call.backend()?, &call.who()?.caller, call.account()?);
    let (described, mut found) = (Described::new(&call).await?, Vec::new());
    for app in backend.list_apps(caller, GetAccount { account: account.clone() }).await? {
        let icon = described.icon(&app);
        let request = GetApp { account: account.clone(), application: app.slug.clone() };
        for config_id in backend.list_configs(caller, request).await? {
            let (account, application) = (account.clone(), app.slug.clone());
            let request = GetConfig { account, application, config_id: Some(config_id.clone()), without_options: true, or_empty: false };
            for on in backend.get_config(caller, request).await?.workflows.into_iter().filter(|workflow| workflow.enabled) {
                found.push(serde_json::json!({
                    "id": on.id, "name": on.name, "description": on.description, "icon": on.icon, "createdAt": null, "updatedAt": null,
                    "config_id": config_id,
                    "application": {"_id": app.slug, "name": app.name, "icon": icon, "description": app.description},
                }));
            }
        }
    }
    json(found)
}

pub(super) async fn execute(call: Call) -> Result<Answer, Trouble> {
    let (slug, def) = find(&call).await?;
    let wait = call.header("sync_execution") == Some("true");
    let request = ExecuteWorkflow {
        account: call.account()?,
        application: slug,
        config_id: call.header("config_id").map(ToOwned::to_owned),
        workflow: def.id.clone(),
        payload: call.body.clone(),
        wait,
    };
    let done = call.backend()?.execute_workflow(&call.who()?.caller, request).await?;
    if !wait {
        return json(serde_json::json!({"execution_id": done.execution.id, "message": "Workflow execution started"}));
    }
    let mut answer = JsonMap::new();
    answer.insert("execution_id".into(), done.execution.id.into());
    answer.insert("errored".into(), done.execution.error.is_some().into());
    match done.execution.error {
        None => drop(answer.insert("return_value".into(), done.answer.unwrap_or_default())),
        Some(code) => drop(answer.insert("execution_error".into(), serde_json::json!({"code": code, "message": done.reason}))),
    }
    Ok(Answer::Json(answer.into()))
}

/// As filters write words: in any case, with spaces or underscores; nothing and `All` filter nothing.
fn says(filter: Option<&str>, value: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace([' ', '_'], "");
    filter.is_none_or(|filter| plain(filter) == "all" || plain(filter) == plain(value))
}

/// The first and the last moment of a filter's date, which is a day or a time.
fn moment(text: &str, is_end: bool) -> Option<smalt::Timestamp> {
    match text.len() {
        10 => format!("{text}T{}Z", if is_end { "23:59:59.999" } else { "00:00:00.000" }).parse().ok(),
        20 => format!("{}.{}Z", text.strip_suffix('Z')?, if is_end { "999" } else { "000" }).parse().ok(),
        _ => text.parse().ok(),
    }
}

pub(super) async fn executions(call: Call) -> Result<Answer, Trouble> {
    let (page, limit) = call.page();
    let (backend, caller, account) = (call.backend()?, &call.who()?.caller, call.account()?);
    let names = offered(&call).await?;
    let name = |of: &str, id: &str| names.iter().find(|(slug, def)| slug == of && def.id == id).map_or(id, |(_, def)| &def.name).to_owned();
    let slugs: Vec<&str> = call.query("slug").map(|slugs| slugs.split(',').map(str::trim).collect()).unwrap_or_default();
    let part = call.query("workflow_name").map(str::to_lowercase);
    let since = call.query("start_date").and_then(|text| moment(text, false));
    let until = call.query("end_date").and_then(|text| moment(text, true));
    let (mut found, mut cursor, mut looked) = (Vec::new(), None, 0);
    loop {
        let request = ListExecutions { account: account.clone(), cursor, limit: Some(500) };
        let runs = backend.list_executions(caller, request).await?;
        looked += runs.items.len();
        for run in runs.items {
            let called = name(&run.application, &run.workflow);
            let fits = says(call.query("status"), run.status.as_str())
                && says(call.query("execution_type"), if run.waited { "SYNC" } else { "ASYNC" })
                && says(call.query("execution_source"), "API Call")
                && call.query("workflow_id").is_none_or(|id| id == run.workflow)
                && call.query("execution_id").is_none_or(|id| id == run.id)
                && (slugs.is_empty() || slugs.contains(&&*run.application))
                && part.as_ref().is_none_or(|part| called.to_lowercase().contains(part))
                && since.is_none_or(|since| since <= run.created_at)
                && until.is_none_or(|until| run.created_at <= until);
            if fits {
                found.push((run, called));
            }
        }
        cursor = runs.next;
        if cursor.is_none() || looked >= MOST_RUNS {
            break;
        }
    }
    if call.query("sortAsc") == Some("true") {
        found.reverse();
    }
    let (org, environment) = (in_force(call.smalt()?).await?.org.id.clone(), call.who()?.environment);
    let total = found.len() as u64;
    let skip = usize::try_from((page - 1).saturating_mul(limit)).unwrap_or(usize::MAX);
    let docs = found.iter().skip(skip).take(usize::try_from(limit).unwrap_or(usize::MAX));
    let docs = docs.map(|(run, called)| execution(&org, environment, run, called)).collect();
    Ok(Answer::Json(list_page(docs, total, page, limit)))
}

pub(super) async fn execution_of(call: Call) -> Result<Answer, Trouble> {
    let request = GetExecution { account: call.account()?, execution: call.param("id") };
    let run = call.backend()?.get_execution(&call.who()?.caller, request).await?;
    let called = offered(&call).await?.into_iter().find(|(slug, def)| *slug == run.application && def.id == run.workflow);
    let called = called.map_or_else(|| run.workflow.clone(), |(_, def)| def.name);
    let mut answer = execution(&in_force(call.smalt()?).await?.org.id, call.who()?.environment, &run, &called);
    // What happens inside of a run is the runner's alone.
    answer["nodes"] = serde_json::json!([]);
    Ok(Answer::Json(answer))
}
