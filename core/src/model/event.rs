use super::{Json, model, words};
use crate::time::Timestamp;

words! {
    /// What happened.
    pub enum EventType {
        /// A linked account was made.
        AccountCreated = "account.created",
        /// A linked account and everything of it was deleted.
        AccountDeleted = "account.deleted",
        /// A connection became active: new, or authorised again.
        ConnectionCreated = "connection.created",
        /// A connection's token is about to end: it could not be renewed ahead, or nothing can renew it.
        ConnectionExpiring = "connection.expiring",
        /// A connection cannot be used: it must be authorised again, or, where `recoverable` is true, is refused for now.
        ConnectionExpired = "connection.expired",
        /// A connection that was expiring or expired is good again, by itself.
        ConnectionRecovered = "connection.recovered",
        /// A connection was removed.
        ConnectionDeleted = "connection.deleted",
        /// A connection became the default one.
        ConnectionDefault = "connection.default",
        /// A token was renewed.
        ConnectionRefreshed = "connection.refreshed",
        /// The provider refuses the organisation's own client. Once for all of its connections.
        ClientRejected = "application.client_rejected",
        /// The provider takes the organisation's client again.
        ClientRecovered = "application.client_recovered",
        /// A connect flow began.
        FlowStarted = "flow.started",
        /// A connect flow ended without a connection.
        FlowFailed = "flow.failed",
        /// A connect flow was cancelled.
        FlowCancelled = "flow.cancelled",
        /// A revocation at the provider ended.
        RevocationFinished = "revocation.finished",
        /// A config was made.
        ConfigCreated = "config.created",
        /// A config's values or switches changed.
        ConfigUpdated = "config.updated",
        /// A config was deleted.
        ConfigDeleted = "config.deleted",
        /// A workflow was switched on.
        WorkflowEnabled = "workflow.enabled",
        /// A workflow was switched off.
        WorkflowDisabled = "workflow.disabled",
        /// An API key was made.
        ApiKeyCreated = "api_key.created",
        /// An API key was revoked.
        ApiKeyRevoked = "api_key.revoked",
        /// A session was revoked.
        SessionRevoked = "session.revoked",
        /// A workflow ran to its end.
        WorkflowCompleted = "workflow.completed",
        /// A workflow failed.
        WorkflowErrored = "workflow.errored",
        /// A workflow's time was over.
        WorkflowTimedOut = "workflow.timed_out",
        /// A webhook was made.
        WebhookCreated = "webhook.created",
        /// A webhook was changed.
        WebhookUpdated = "webhook.updated",
        /// A webhook was deleted.
        WebhookDeleted = "webhook.deleted",
        /// A webhook was disabled, since it took nothing for too long, or said that it is gone.
        WebhookDisabled = "webhook.disabled",
    }
}

model! {
    /// One entry of the durable log.
    pub struct Event {
        /// 24 hex digits, unique.
        pub id: String,
        /// What happened.
        #[serde(rename = "type")]
        pub event_type: EventType,
        /// The linked account.
        pub account_id: Option<String>,
        /// The application's slug.
        pub application: Option<String>,
        /// Ids and words about it; never a secret.
        pub data: Json,
        /// When it happened.
        pub at: Timestamp,
        /// Pass it as `since` to get what came after.
        pub cursor: String,
    }

    /// Who did what with secrets; written in the same transaction as the deed.
    pub struct AuditEntry {
        /// What was done: `connect`, `refresh`, `disconnect`, `credential` (given out), `request` (a call was made with it), `key`, `client`, `webhook`, `own_credentials`.
        pub action: String,
        /// Who asked.
        pub actor: String,
        /// The linked account.
        pub account_id: Option<String>,
        /// The application's slug.
        pub application: Option<String>,
        /// The connection.
        pub connection_id: Option<String>,
        /// How often, for reads and calls that are counted together.
        pub count: u64,
        /// Ids and words about it; never a secret.
        pub detail: Json,
        /// When it was first done.
        pub at: Timestamp,
    }

    /// One page of a list.
    pub struct Page<T> {
        /// The entries.
        pub items: Vec<T>,
        /// Pass it to get the next page; absent on the last one.
        pub next: Option<String>,
    }
}
