//! Workflows and their runs as the hosted service's clients read them.

use crate::{
    model::{Environment, Execution, ExecutionStatus, Json},
    project::WorkflowDef,
};

/// A workflow that the project offers.
pub struct Offered<'a> {
    /// Its application's slug.
    pub slug: &'a str,
    /// Its application's name.
    pub app: &'a str,
    /// Its application's icon.
    pub icon: Option<String>,
    /// What the project says of it.
    pub def: &'a WorkflowDef,
}

/// A workflow of the organisation. When it was made is not known: it stands in a file.
pub fn workflow(org: &str, environment: Environment, offered: &Offered<'_>) -> Json {
    let Offered { slug, app, icon, def } = offered;
    serde_json::json!({
        "_id": def.id, "name": def.name, "description": def.description, "slug": slug, "published": def.published,
        "createdAt": null, "updatedAt": null,
        "org_id": org, "environment": environment, "linked_account_id": null, "public_access_workflow": false, "icon": def.icon,
        "associated_application": {"_id": slug, "name": app, "slug": slug, "icon": icon},
        "current_version": 1, "version": null, "is_v2": true, "nodes": [], "edges": [], "json_schema": null, "associated_app_slugs": [slug],
    })
}

fn status(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::Running => "RUNNING",
        ExecutionStatus::Completed => "COMPLETED",
        ExecutionStatus::Errored => "ERRORED",
        ExecutionStatus::TimedOut => "TIMED_OUT",
    }
}

/// A run of a workflow that is called so.
pub fn execution(org: &str, environment: Environment, run: &Execution, name: &str) -> Json {
    let application = serde_json::json!({"_id": run.application, "name": run.application});
    serde_json::json!({
        "_id": run.id, "id": run.id, "name": name, "org_id": org, "status": status(run.status),
        "associated_application": application,
        "associated_workflow": {"_id": run.workflow, "name": name},
        "associated_trigger_application": {
            "_id": run.application, "name": run.application, "app_type": run.application, "origin_trigger": {"_id": "api", "name": "API Call"},
        },
        "linked_account_id": run.account_id, "environment": environment, "config_id": run.config_id, "associated_event_id": "",
        "type_of_execution": if run.waited { "SYNC" } else { "ASYNC" },
        "completion_percentage": if run.ended_at.is_some() { 100 } else { 0 },
        "error_code": run.error,
        "createdAt": run.created_at,
    })
}
