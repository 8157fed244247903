use std::collections::BTreeMap;

use super::{model, words};
use crate::{Secret, expose::exposes, time::Timestamp};

/// A linked account's credentials for the organisation's own application ("your app" at the hosted service).
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct OwnCredentials {
    /// Whose they are.
    pub account_id: String,
    /// The values by name.
    pub values: BTreeMap<String, Secret>,
    /// When the first of them came.
    pub created_at: Timestamp,
    /// When they last changed.
    pub updated_at: Timestamp,
}

exposes! {
    OwnCredentials { account_id, values, created_at, updated_at }
}

words! {
    /// What became of one value.
    pub enum OwnChange {
        /// It is new.
        Added = "added",
        /// It had another value.
        Updated = "updated",
        /// It is gone.
        Removed = "removed",
    }
    /// How a run of a workflow stands.
    pub enum ExecutionStatus {
        /// It has not ended.
        Running = "running",
        /// It ran to its end.
        Completed = "completed",
        /// It failed.
        Errored = "errored",
        /// Its time was over.
        TimedOut = "timed_out",
    }
}

model! {
    /// One run of a workflow. What it was given and what it answered is not kept.
    pub struct Execution {
        /// 24 hex digits.
        pub id: String,
        /// The linked account.
        pub account_id: String,
        /// The application's slug.
        pub application: String,
        /// The config.
        pub config_id: String,
        /// The workflow's id.
        pub workflow: String,
        /// Whether the caller waited for its end.
        pub waited: bool,
        /// How it stands.
        pub status: ExecutionStatus,
        /// Why it failed: a code of the error table.
        pub error: Option<String>,
        /// When it began.
        pub created_at: Timestamp,
        /// When it ended.
        pub ended_at: Option<Timestamp>,
    }
}

/// A run that was begun, with its answer where it was waited for. Debug hides what it answered.
#[derive(Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct Executed {
    /// The run.
    pub execution: Execution,
    /// What the workflow answered.
    pub answer: Option<super::Json>,
    /// Why it failed, for people.
    pub reason: Option<String>,
}

exposes! {
    Executed { execution, answer, reason }
}

impl std::fmt::Debug for Executed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executed").field("execution", &self.execution).finish_non_exhaustive()
    }
}
