//! Runs of workflows: each is a row from before the runner is called until its retention is over. What a workflow was given and
//! what it answered is not kept.

use std::{sync::Arc, time::Duration};

use super::{About, Inner};
use crate::{
    Code, Error, Timestamp,
    backend::{ExecuteWorkflow, GetExecution, ListExecutions, RunWorkflow},
    error::{Result, bail, err},
    ids,
    model::{EventType, Executed, Execution, ExecutionStatus, Json, Page},
    plugin::{Tx, WorkflowRun, WorkflowRunner, guarded, label},
    store::rows::ExecutionRow,
};

fn to_model(row: ExecutionRow) -> Result<Execution> {
    let damaged = || err!(StoreCorrupt, "an execution is damaged").with("table", "executions").with("row", row.id.clone());
    Ok(Execution {
        status: ExecutionStatus::parse(&row.status).ok_or_else(damaged)?,
        id: row.id,
        account_id: row.account_id,
        application: row.application,
        config_id: row.config_id,
        workflow: row.workflow,
        waited: row.waited,
        error: row.error_code,
        created_at: Timestamp::from_millis(row.created_at),
        ended_at: row.ended_at.map(Timestamp::from_millis),
    })
}

/// How a run ended, as a status and an event.
fn ending(ended: &Result<Json>) -> (ExecutionStatus, EventType) {
    match ended {
        Ok(_) => (ExecutionStatus::Completed, EventType::WorkflowCompleted),
        Err(error) if matches!(error.code(), Code::PluginTimeout | Code::ProviderTimeout) => {
            (ExecutionStatus::TimedOut, EventType::WorkflowTimedOut)
        }
        Err(_) => (ExecutionStatus::Errored, EventType::WorkflowErrored),
    }
}

/// Writes the end of a run down, and tells it.
fn end(tx: &mut dyn Tx, about: &About, mut row: ExecutionRow, status: ExecutionStatus, event: EventType, code: Option<Code>) -> Result<()> {
    status.as_str().clone_into(&mut row.status);
    row.error_code = code.map(|code| code.as_str().to_owned());
    row.ended_at = Some(about.now.millis());
    // The account, and the row with it, may be gone meanwhile.
    if tx.execution(&about.tenant, &row.id)?.is_none_or(|now| now.status != ExecutionStatus::Running.as_str()) {
        return Ok(());
    }
    tx.put_execution(&about.tenant, &row)?;
    let about = About { account: row.account_id.clone(), application: Some(row.application.clone()), ..about.clone() };
    let data = serde_json::json!({"execution": row.id, "workflow": row.workflow, "config_id": row.config_id, "error": row.error_code});
    about.event(tx, event, &data)
}

impl Inner {
    /// The host's own, or the one that the project names.
    fn workflow_runner(&self) -> Result<Arc<dyn WorkflowRunner>> {
        if let Some(runner) = &self.runner {
            return Ok(runner.clone());
        }
        let project = self.project.current();
        let Some(receiver) = &project.project.workflow_runner else {
            bail!(
                Unsupported,
                "nothing runs workflows here: pass a runner when opening the engine, or name `workflow_runner` in the project file"
            )
        };
        let secret = receiver.secret.resolve(&project.base_dir)?;
        Ok(Arc::new(
            crate::plugin::WebhookRunner::new(&receiver.url, secret)?.transport(self.transport.clone()).timeout(self.timings.provider),
        ))
    }

    pub(super) fn has_runner(&self) -> bool {
        self.runner.is_some() || self.project.peek().project.workflow_runner.is_some()
    }

    /// Everything that must hold before a run begins.
    async fn ready_to_run(self: &Arc<Self>, request: RunWorkflow) -> Result<(Arc<dyn WorkflowRunner>, WorkflowRun)> {
        let runner = self.workflow_runner()?;
        Ok((runner, self.workflow_run(request).await?))
    }

    async fn begin(&self, about: &About, run: &WorkflowRun, waited: bool) -> Result<ExecutionRow> {
        let row = ExecutionRow {
            id: ids::new_id(about.now)?,
            account_id: run.account_id.clone(),
            application: run.application.clone(),
            config_id: run.config_id.clone(),
            workflow: run.workflow.clone(),
            waited,
            status: ExecutionStatus::Running.as_str().to_owned(),
            error_code: None,
            created_at: about.now.millis(),
            ended_at: None,
        };
        let about = about.clone();
        self.write(move |tx| {
            super::require_account(tx, &about.tenant, &row.account_id)?;
            tx.put_execution(&about.tenant, &row)?;
            Ok(row)
        })
        .await
    }

    /// Runs to the end, whoever waits, and writes that down.
    async fn run_to_end(self: Arc<Self>, runner: Arc<dyn WorkflowRunner>, run: WorkflowRun, row: ExecutionRow) -> Result<Json> {
        // A runner works on the application: it may call whatever it needs.
        let ended = guarded(label::WORKFLOW_RUNNER, "run", self.timings.plugin, async move { runner.run(run).await }).await;
        let about = self.about("workflows".to_owned(), &row.account_id, Some(&row.application));
        let (status, event) = ending(&ended);
        let code = ended.as_ref().err().map(Error::code);
        self.write_until_stored(move |tx| end(tx, &about, row.clone(), status, event, code)).await?;
        ended
    }

    pub(super) async fn run_workflow(self: &Arc<Self>, actor: String, request: RunWorkflow) -> Result<Json> {
        let (runner, run) = self.ready_to_run(request).await?;
        let row = self.begin(&self.about(actor, &run.account_id, Some(&run.application)), &run, true).await?;
        self.detached(self.clone().run_to_end(runner, run, row)).await
    }

    /// As `run_workflow`, with the run itself as the answer; a runner that fails is no error of the call.
    pub(super) async fn execute_workflow(self: &Arc<Self>, actor: String, request: ExecuteWorkflow) -> Result<Executed> {
        let ExecuteWorkflow { account, application, config_id, workflow, payload, wait } = request;
        let (runner, run) = self.ready_to_run(RunWorkflow { account: account.clone(), application, config_id, workflow, payload }).await?;
        let row = self.begin(&self.about(actor, &run.account_id, Some(&run.application)), &run, wait).await?;
        let id = row.id.clone();
        let running = self.detached(self.clone().run_to_end(runner, run, row));
        let (answer, reason) = match wait {
            true => match running.await {
                Ok(answer) => (Some(answer), None),
                Err(error) => (None, Some(error.reason().to_owned())),
            },
            // It runs on by itself.
            false => {
                drop(running);
                (None, None)
            }
        };
        let execution = self.get_execution(GetExecution { account, execution: id }).await?;
        Ok(Executed { execution, answer, reason })
    }

    pub(super) async fn list_executions(&self, request: ListExecutions) -> Result<Page<Execution>> {
        let limit = request.limit.unwrap_or(50).clamp(1, 500);
        let list = format!("executions:{}", request.account);
        let before = match &request.cursor {
            Some(cursor) => Some(self.open_cursor(&list, cursor)?),
            None => None,
        };
        let tenant = self.tenant.clone();
        let mut rows = self
            .read(move |tx| {
                super::require_account(tx, &tenant, &request.account)?;
                tx.executions(&tenant, &request.account, before, limit + 1)
            })
            .await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = match rows.last() {
            Some(last) if more => Some(self.make_cursor(&list, last.created_at, &last.id)?),
            _ => None,
        };
        Ok(Page { items: rows.into_iter().map(to_model).collect::<Result<_>>()?, next })
    }

    /// Another account's is one that is not there.
    pub(super) async fn get_execution(&self, request: GetExecution) -> Result<Execution> {
        let (tenant, account, id) = (self.tenant.clone(), request.account, request.execution);
        let row = self
            .read(move |tx| {
                super::require_account(tx, &tenant, &account)?;
                let found = tx.execution(&tenant, &id)?.filter(|row| row.account_id == account);
                found.ok_or_else(|| err!(ExecutionNotFound, "no execution `{}`", id.escape_debug()))
            })
            .await?;
        to_model(row)
    }

    /// Runs whose process died: nobody will say how they ended.
    pub(super) async fn end_lost_executions(&self) -> Result<()> {
        let lost = self.now().minus(self.timings.plugin.saturating_mul(2) + Duration::from_secs(60)).millis();
        let about = self.about("upkeep".to_owned(), "", None);
        let found = self.read(move |tx| tx.lost_executions(lost, 200)).await?;
        if found.is_empty() {
            return Ok(());
        }
        self.write(move |tx| {
            for (tenant, row) in tx.lost_executions(lost, 200)? {
                let about = About { tenant, ..about.clone() };
                end(tx, &about, row, ExecutionStatus::Errored, EventType::WorkflowErrored, Some(Code::OutcomeUnknown))?;
            }
            Ok(())
        })
        .await
    }
}
