use std::{collections::BTreeMap, fmt};

use super::{Json, model, words};
use crate::{Secret, expose::exposes, time::Timestamp};

words! {
    /// What a webhook can be told.
    pub enum WebhookEvent {
        /// A connection became active: new, authorised again, or good again after it had expired.
        ConnectionCreated = "connection.created",
        /// A connection was removed.
        ConnectionDeleted = "connection.deleted",
        /// A connection cannot be used.
        ConnectionExpired = "connection.expired",
        /// A workflow ran to its end.
        WorkflowCompleted = "workflow.completed",
        /// A workflow failed.
        WorkflowErrored = "workflow.errored",
        /// A workflow was stopped.
        WorkflowStopped = "workflow.stopped",
        /// A workflow's time was over.
        WorkflowTimedOut = "workflow.timed_out",
    }
    /// What a webhook is sent.
    #[derive(Default)]
    pub enum WebhookKind {
        /// The event.
        #[default]
        Default = "default",
        /// A message that Slack shows.
        Slack = "slack",
        /// What its own template makes of the event.
        Custom = "custom",
    }
    /// How a delivery stands.
    pub enum DeliveryStatus {
        /// It is to be sent, or sent again.
        Queued = "queued",
        /// The receiver took it.
        Delivered = "delivered",
        /// It is not tried any more.
        Failed = "failed",
    }
}

impl WebhookEvent {
    /// As the hosted service writes it, e.g. `Connection Created`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ConnectionCreated => "Connection Created",
            Self::ConnectionDeleted => "Connection Deleted",
            Self::ConnectionExpired => "Connection Expired",
            Self::WorkflowCompleted => "Workflow Completed",
            Self::WorkflowErrored => "Workflow Errored",
            Self::WorkflowStopped => "Workflow Stopped",
            Self::WorkflowTimedOut => "Workflow Timed Out",
        }
    }

    /// Reads every spelling that is about: `connection.created`, `Connection Created`, `connection-created`.
    pub fn read(text: &str) -> Option<Self> {
        let plain = |text: &str| text.trim().to_ascii_lowercase().replace(['.', '-', '_'], " ");
        Self::ALL.iter().copied().find(|event| plain(event.title()) == plain(text))
    }

    /// Whether it is about a workflow.
    pub const fn is_of_workflow(self) -> bool {
        !matches!(self, Self::ConnectionCreated | Self::ConnectionDeleted | Self::ConnectionExpired)
    }
}

/// A place of the organisation that is told what happens. Debug hides where it is: the URL may be a secret itself, as Slack's are.
#[derive(Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct Webhook {
    /// 24 hex digits.
    pub id: String,
    /// Where deliveries go.
    pub url: Secret,
    /// What it is told.
    pub events: Vec<WebhookEvent>,
    /// Whether it is told anything now. What happens while it is not is not sent later.
    pub enabled: bool,
    /// `POST`, `PUT` or `PATCH`.
    pub method: String,
    /// What it is sent.
    pub kind: WebhookKind,
    /// Further headers of its deliveries.
    pub headers: BTreeMap<String, Secret>,
    /// The template of a custom one.
    pub body: Option<Json>,
    /// For people.
    pub description: Option<String>,
    /// For people: several webhooks may have one.
    pub group: Option<String>,
    /// Workflows of this application only.
    pub application: Option<String>,
    /// These workflows only; empty: all.
    pub workflows: Vec<String>,
    /// Since when every try failed.
    pub failing_since: Option<Timestamp>,
    /// Why it was disabled, where that was not done by hand: `failing` or `gone`.
    pub disabled_because: Option<String>,
    /// When a replaced secret ends that still signs.
    pub old_secret_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A webhook with its new secret.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct NewWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// What its deliveries are signed with: `whsec_…`. It is never shown again.
    pub secret: Secret,
}

exposes! {
    Webhook {
        id, url, events, enabled, method, kind, headers, body, description, group, application, workflows, failing_since,
        disabled_because, old_secret_until, created_at, updated_at
    }
    NewWebhook { webhook, secret }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .field("events", &self.events)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

model! {
    /// One event on its way to a webhook, and what became of it.
    pub struct Delivery {
        /// The value of its header `webhook-id`, the same for all tries.
        pub id: String,
        /// Whose it is.
        pub webhook_id: String,
        /// What it tells.
        pub event: WebhookEvent,
        /// The event as it is told.
        pub payload: Json,
        /// How it stands.
        pub status: DeliveryStatus,
        /// How often it was sent.
        pub attempts: u64,
        /// When it is tried next.
        pub next_at: Option<Timestamp>,
        /// The status that the last try was answered.
        pub http_status: Option<u16>,
        /// Why the last try had no answer, or why it is not tried: a code of the error table.
        pub error: Option<String>,
        /// When it was queued.
        pub created_at: Timestamp,
        /// When it last changed.
        pub changed_at: Timestamp,
    }
}
