use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use url::Url;

use super::{Fault, HttpRequest, HttpTransport, SystemClock, WorkflowRun, WorkflowRunner, clock::Clock};
use crate::{
    Result, Secret,
    error::err,
    http::{AddressPolicy, ReqwestTransport},
    ids,
    model::Json,
    webhook,
};

/// The largest answer, in bytes.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// Runs a workflow by telling a server of the organisation: one signed POST, whose JSON answer is the workflow's. It is not
/// sent again. The server checks it with [`webhook::verify`], and finds what a [`WorkflowRun`] holds in the body.
pub struct WebhookRunner {
    url: Url,
    secret: Secret,
    transport: Option<Arc<dyn HttpTransport>>,
    timeout: Duration,
}

impl WebhookRunner {
    /// Tells this URL, signed with this secret (`whsec_…`, or any text that both sides have).
    ///
    /// # Errors
    /// `invalid_request` for a URL or a secret that is none.
    pub fn new(url: &str, secret: Secret) -> Result<Self> {
        let url = Url::parse(url).map_err(|_| err!(InvalidRequest, "the workflow runner's URL is none"))?;
        webhook::sign(std::slice::from_ref(&secret), "", crate::Timestamp::default(), b"")?;
        Ok(Self { url, secret, transport: None, timeout: Duration::from_secs(10) })
    }

    /// Another way out. Default: one of its own, to public https addresses.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn HttpTransport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The receiver's time. Default 10 s; the engine's own limit for plugins holds besides.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl std::fmt::Debug for WebhookRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRunner").finish_non_exhaustive()
    }
}

#[async_trait]
impl WorkflowRunner for WebhookRunner {
    async fn run(&self, run: WorkflowRun) -> Result<Json, Fault> {
        let transport: Arc<dyn HttpTransport> = match &self.transport {
            Some(transport) => transport.clone(),
            None => Arc::new(ReqwestTransport::new(AddressPolicy::default())?),
        };
        let body = serde_json::json!({
            "type": "workflow.run",
            "account_id": run.account_id,
            "application": run.application,
            "config_id": run.config_id,
            "workflow": run.workflow,
            "fields": run.fields,
            "workflow_fields": run.workflow_fields,
            "payload": run.payload,
        });
        let (now, body) = (SystemClock::default().now(), body.to_string().into_bytes());
        let id = ids::new_id(now)?;
        let mut request = HttpRequest::new("POST", self.url.clone());
        (request.timeout, request.max_body) = (self.timeout, LARGEST_ANSWER);
        request.set_body("application/json", body.clone());
        request.set_header(webhook::ID, &id)?;
        request.set_header(webhook::TIMESTAMP, &now.seconds().to_string())?;
        request.set_header(webhook::SIGNATURE, &webhook::sign(std::slice::from_ref(&self.secret), &id, now, &body)?)?;
        let answer = transport.send(request).await?;
        if !(200..300).contains(&answer.status) {
            return Err(Fault::failed(format!("the receiver answered {}", answer.status)));
        }
        if answer.body.is_empty() {
            return Ok(Json::Null);
        }
        answer.json().ok_or_else(|| Fault::failed("the receiver's answer is no JSON"))
    }
}
