use async_trait::async_trait;

use super::Fault;
use crate::model::{Json, JsonMap};

/// Runs the organisation's own workflows. Smalt hosts none: it hands over the switch, the values and the account.
#[async_trait]
pub trait WorkflowRunner: Send + Sync + 'static {
    /// Runs it; the answer goes back to the caller of `run_workflow`.
    async fn run(&self, run: WorkflowRun) -> Result<Json, Fault>;
}

/// One run.
#[derive(Clone)]
pub struct WorkflowRun {
    /// The linked account.
    pub account_id: String,
    /// The application's slug.
    pub application: String,
    /// The config.
    pub config_id: String,
    /// The workflow's id.
    pub workflow: String,
    /// The application's own values, defaults filled in.
    pub fields: JsonMap,
    /// The workflow's values, defaults filled in.
    pub workflow_fields: JsonMap,
    /// What the caller passed along.
    pub payload: Json,
}

/// Values may be secrets.
impl std::fmt::Debug for WorkflowRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkflowRun")
            .field("account_id", &self.account_id)
            .field("application", &self.application)
            .field("config_id", &self.config_id)
            .field("workflow", &self.workflow)
            .finish_non_exhaustive()
    }
}
