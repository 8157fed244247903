//! What webhooks are sent: out of the log into a queue of each webhook's own, and from there on its way, by whichever engine
//! on the store sends webhooks and finds it due. A delivery that was sent and not written down is sent again.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use url::Url;

use super::{
    About, Inner, ahead, millis,
    sealed::Target,
    upkeep::alive,
    webhooks::{self, events_of},
};
use crate::{
    Secret, Timestamp,
    error::{Code, Result, err},
    failpoint::failpoint,
    http::protocol,
    ids,
    model::{DeliveryStatus, EventType, Json, JsonMap, WebhookEvent, WebhookKind},
    plugin::{BootTime, HttpRequest, Tx},
    runtime,
    store::rows::{DeliveryRow, EventRow, WebhookRow},
    webhook,
};

/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(6 * 3600);
/// A webhook that was sent nothing for so long has not failed meanwhile.
const QUIET: i64 = 24 * 3600 * 1000;
/// Webhooks that are sent to at once. Each is sent one delivery after the other, so that first tries go in the log's order.
const AT_ONCE: usize = 16;
/// Events that are looked at in one transaction.
const BATCH: u32 = 200;
/// Answers are not read beyond this.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Sends until the engine is closed.
pub(super) fn start(inner: &Arc<Inner>) {
    let (weak, mut changed, poll) = (Arc::downgrade(inner), inner.changed.subscribe(), inner.timings.poll);
    let pause = inner.timings.webhook_backoff.min(Duration::from_secs(5));
    runtime::spawn(async move {
        while let Some(inner) = alive(&weak) {
            if let Err(error) = inner.run_deliveries().await {
                tracing::debug!(code = error.code().as_str(), "webhooks could not be looked at");
            }
            drop(inner);
            let _ = tokio::time::timeout(pause, changed.changed()).await;
            // A burst of changes is one look.
            tokio::time::sleep(poll).await;
        }
    });
}

/// What a webhook is told about this entry of the log, if anything.
fn told(row: &EventRow) -> Option<WebhookEvent> {
    let data = || serde_json::from_str::<Json>(&row.event.data_json).unwrap_or_default();
    match EventType::parse(&row.event.event_type)? {
        EventType::ConnectionCreated => Some(WebhookEvent::ConnectionCreated),
        // Whoever was told that it had expired must learn that it is good again.
        EventType::ConnectionRecovered => (data()["had_expired"] == true).then_some(WebhookEvent::ConnectionCreated),
        EventType::ConnectionExpired => Some(WebhookEvent::ConnectionExpired),
        EventType::ConnectionDeleted => Some(WebhookEvent::ConnectionDeleted),
        EventType::WorkflowCompleted => Some(WebhookEvent::WorkflowCompleted),
        EventType::WorkflowErrored => Some(WebhookEvent::WorkflowErrored),
        EventType::WorkflowTimedOut => Some(WebhookEvent::WorkflowTimedOut),
        _ => None,
    }
}

/// Whether a webhook that is narrowed to some workflows wants this one.
fn is_wanted(target: &Target, row: &EventRow) -> bool {
    let data: Json = serde_json::from_str(&row.event.data_json).unwrap_or_default();
    let is_listed = || data["workflow"].as_str().is_some_and(|id| target.workflows.iter().any(|wanted| wanted == id));
    (target.application.is_none() || target.application == row.event.application) && (target.workflows.is_empty() || is_listed())
}

/// The event as it is told.
fn payload(about: &About, row: &EventRow, event: WebhookEvent) -> Json {
    let data: Json = serde_json::from_str(&row.event.data_json).unwrap_or_default();
    if event.is_of_workflow() {
        let status = event.as_str().rsplit('.').next().unwrap_or_default().to_ascii_uppercase();
        return serde_json::json!({
            "linked_account_id": row.event.account_id,
            "instance_id": data["execution"],
            "workflow_id": data["workflow"],
            "config_id": data["config_id"],
            "event": event.title(),
            "workflow_name": data["workflow"],
            "status": status,
            "environment": about.tenant.environment,
            "slug": row.event.application,
            "error": data["error"],
            "event_id": row.event.id,
        });
    }
    let mut payload = JsonMap::new();
    let mut put = |name: &str, value: Json| payload.insert(name.to_owned(), value);
    put("linked_account_id", row.event.account_id.clone().into());
    put("org_id", about.tenant.org.clone().into());
    put("environment", about.tenant.environment.as_str().into());
    put("type", "General".into());
    put("event", event.title().into());
    put("slug", row.event.application.clone().into());
    put("createdAt", Timestamp::from_millis(row.event.at).http_date().into());
    put("event_id", row.event.id.clone().into());
    put("connection_id", data.get("connection").cloned().unwrap_or_default());
    payload.into()
}

fn is_leased(row: &DeliveryRow, boot: &BootTime) -> bool {
    row.lease_owner.is_some() && row.lease_boot.as_ref() == Some(&boot.boot_id) && row.lease_until.is_some_and(|until| boot.millis < until)
}

/// How a try went.
#[derive(Clone, Copy, Default)]
struct Tried {
    http_status: Option<u16>,
    error: Option<Code>,
    /// The receiver asked to wait so long.
    wait: Option<Duration>,
}

impl Tried {
    fn is_taken(&self) -> bool {
        self.http_status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// How often, how long between, and for how long in all.
#[derive(Clone, Copy)]
struct Rules {
    backoff: Duration,
    attempts: u32,
    patience: Duration,
    draw: u32,
}

impl Inner {
    /// Queues what happened, then sends what is due, until nothing is.
    pub(super) async fn run_deliveries(self: &Arc<Self>) -> Result<()> {
        while self.queue_deliveries().await? {}
        let tenant = self.tenant.clone();
        let hooks = self.read(move |tx| tx.webhooks(&tenant)).await?;
        stream::iter(hooks.into_iter().filter(|hook| hook.enabled))
            .for_each_concurrent(AT_ONCE, |hook| async move {
                if let Err(error) = self.deliver_due(&hook.id).await {
                    tracing::debug!(code = error.code().as_str(), webhook = hook.id, "deliveries could not be sent");
                }
            })
            .await;
        Ok(())
    }

    /// From the log into the queues; true when there may be more.
    async fn queue_deliveries(&self) -> Result<bool> {
        let tenant = self.tenant.clone();
        let behind = self
            .read(move |tx| {
                let mut behind = false;
                for hook in tx.webhooks(&tenant)?.into_iter().filter(|hook| hook.enabled) {
                    let events = tx.events_after(&tenant, hook.seen, BATCH)?;
                    let wanted = events_of(&hook);
                    // What concerns nobody is passed over in large steps: each step is a write.
                    behind |= events.len() >= BATCH as usize / 2 || events.iter().filter_map(told).any(|event| wanted.contains(&event));
                }
                Ok(behind)
            })
            .await?;
        if !behind {
            return Ok(false);
        }
        let about = self.about("webhooks".to_owned(), "", None);
        let vault = self.vault.clone();
        self.write(move |tx| {
            let mut more = false;
            for mut hook in tx.webhooks(&about.tenant)?.into_iter().filter(|hook| hook.enabled) {
                let events = tx.events_after(&about.tenant, hook.seen, BATCH)?;
                let Some(last) = events.last() else { continue };
                let wanted = events_of(&hook);
                for row in &events {
                    let Some(event) = told(row).filter(|event| wanted.contains(event)) else { continue };
                    if event.is_of_workflow() && !is_wanted(&webhooks::target(&vault, &about.tenant, &hook)?, row) {
                        continue;
                    }
                    tx.put_delivery(&about.tenant, &queued(&about, &hook, row, event)?)?;
                }
                hook.seen = last.seq;
                tx.put_webhook(&about.tenant, &hook)?;
                more |= events.len() == BATCH as usize;
            }
            Ok(more)
        })
        .await
    }

    /// One after the other, what is due of one webhook.
    async fn deliver_due(self: &Arc<Self>, hook: &str) -> Result<()> {
        loop {
            let (tenant, now, boot, id) = (self.tenant.clone(), self.now().millis(), self.clock.boot(), hook.to_owned());
            let due = self.read(move |tx| tx.due_deliveries(&tenant, &id, now, 64)).await?;
            let mut moved = false;
            for row in due.into_iter().filter(|row| !is_leased(row, &boot)) {
                if self.is_closed() {
                    return Ok(());
                }
                let me = self.clone();
                moved |= self.detached(async move { me.deliver_one(&row.id).await }).await?;
            }
            if !moved {
                return Ok(());
            }
        }
    }

    /// Takes the lease, sends, writes down how that went. False when it was not ours to do.
    async fn deliver_one(self: Arc<Self>, id: &str) -> Result<bool> {
        let about = self.about("webhooks".to_owned(), "", None);
        let holder = format!("{}-{}", self.owner, ids::new_id(about.now)?);
        let leased = {
            let (about, id, holder) = (about.clone(), id.to_owned(), holder.clone());
            let (boot, lease) = (self.clock.boot(), millis(self.timings.lease));
            self.write(move |tx| self::lease(tx, &about, &id, &holder, &boot, lease)).await?
        };
        let Some((hook, row)) = leased else { return Ok(false) };
        let tried = match self.send_delivery(&hook, &row).await {
            Ok(tried) => tried,
            Err(error) => Tried { error: Some(error.code()), wait: error.info().retry_after, ..Tried::default() },
        };
        failpoint!("webhook-answered");
        let rules = Rules {
            backoff: self.timings.webhook_backoff,
            attempts: self.timings.webhook_attempts,
            patience: self.timings.webhook_patience,
            draw: ahead::draw(),
        };
        let about = self.about("webhooks".to_owned(), "", None);
        self.write_until_stored(move |tx| end_try(tx, &about, &row.id, &holder, tried, rules)).await?;
        Ok(true)
    }

    async fn send_delivery(&self, hook: &WebhookRow, row: &DeliveryRow) -> Result<Tried> {
        let target = webhooks::target(&self.vault, &self.tenant, hook)?;
        let payload: Json = serde_json::from_str(&row.payload_json).unwrap_or_default();
        let name = match (target.kind, payload["linked_account_id"].as_str()) {
            (WebhookKind::Custom, Some(account)) => {
                let (tenant, account) = (self.tenant.clone(), account.to_owned());
                self.read(move |tx| tx.account(&tenant, &account)).await?.and_then(|account| account.name)
            }
            _ => None,
        };
        let now = self.now();
        let message = Message { payload, account_name: name.unwrap_or_default() };
        let mut request = request(&target, &row.id, &message, now)?;
        request.timeout = self.timings.provider;
        let answer = self.transport.send(request).await?;
        let wait = protocol::retry_after(&answer.headers, &crate::manifest::RateLimit::default(), now);
        Ok(Tried { http_status: Some(answer.status), error: None, wait: wait.filter(|_| matches!(answer.status, 429 | 503)) })
    }
}

fn queued(about: &About, hook: &WebhookRow, row: &EventRow, event: WebhookEvent) -> Result<DeliveryRow> {
    Ok(DeliveryRow {
        id: ids::new_id(about.now)?,
        webhook_id: hook.id.clone(),
        seq: row.seq,
        event: event.as_str().to_owned(),
        payload_json: payload(about, row, event).to_string(),
        status: DeliveryStatus::Queued.as_str().to_owned(),
        attempts: 0,
        tries: 0,
        next_at: about.now.millis(),
        lease_owner: None,
        lease_boot: None,
        lease_until: None,
        http_status: None,
        error_code: None,
        created_at: about.now.millis(),
        changed_at: about.now.millis(),
    })
}

/// Takes a delivery that is due; nothing when it is not ours to do.
fn lease(tx: &mut dyn Tx, about: &About, id: &str, holder: &str, boot: &BootTime, lease: i64) -> Result<Option<(WebhookRow, DeliveryRow)>> {
    let due =
        |row: &DeliveryRow| row.status == DeliveryStatus::Queued.as_str() && !is_leased(row, boot) && row.next_at <= about.now.millis();
    let Some(mut row) = tx.delivery(&about.tenant, id)?.filter(due) else { return Ok(None) };
    let Some(hook) = tx.webhook(&about.tenant, &row.webhook_id)?.filter(|hook| hook.enabled) else { return Ok(None) };
    row.lease_owner = Some(holder.to_owned());
    row.lease_boot = Some(boot.boot_id.clone());
    row.lease_until = Some(boot.millis + lease);
    (row.attempts, row.tries) = (row.attempts + 1, row.tries + 1);
    tx.put_delivery(&about.tenant, &row)?;
    Ok(Some((hook, row)))
}

/// Writes down how a try went: for the delivery, and for its webhook.
fn end_try(tx: &mut dyn Tx, about: &About, id: &str, holder: &str, tried: Tried, rules: Rules) -> Result<()> {
    // It may have been deleted meanwhile.
    let Some(mut row) = tx.delivery(&about.tenant, id)? else { return Ok(()) };
    let Some(mut hook) = tx.webhook(&about.tenant, &row.webhook_id)? else { return Ok(()) };
    let now = about.now.millis();
    if row.lease_owner.as_deref() != Some(holder) {
        // Somebody else is at it since; that it was taken is true all the same.
        if !tried.is_taken() {
            return Ok(());
        }
    } else {
        (row.lease_owner, row.lease_boot, row.lease_until) = (None, None, None);
    }
    row.changed_at = now;
    row.http_status = tried.http_status.map(i64::from);
    row.error_code = tried.error.map(|code| code.as_str().to_owned());
    if tried.is_taken() {
        DeliveryStatus::Delivered.as_str().clone_into(&mut row.status);
        tx.put_delivery(&about.tenant, &row)?;
        if hook.failing_since.is_some() {
            (hook.failing_since, hook.failed_at) = (None, None);
            tx.put_webhook(&about.tenant, &hook)?;
        }
        return Ok(());
    }
    if row.status == DeliveryStatus::Queued.as_str() {
        if row.tries >= i64::from(rules.attempts) {
            DeliveryStatus::Failed.as_str().clone_into(&mut row.status);
        }
        let wait = ahead::backoff(rules.backoff, row.tries, LONGEST_BACKOFF, rules.draw).max(tried.wait.unwrap_or_default());
        row.next_at = about.now.plus(wait.min(LONGEST_BACKOFF * 2)).millis();
    }
    tx.put_delivery(&about.tenant, &row)?;
    if !hook.enabled {
        return Ok(());
    }
    let since = hook.failing_since.filter(|_| hook.failed_at.is_some_and(|at| now - at < QUIET)).unwrap_or(now);
    (hook.failing_since, hook.failed_at) = (Some(since), Some(now));
    if tried.http_status == Some(410) {
        webhooks::disable(tx, about, &mut hook, "gone")?;
    } else if now - since >= millis(rules.patience) {
        webhooks::disable(tx, about, &mut hook, "failing")?;
    }
    tx.put_webhook(&about.tenant, &hook)
}

/// What templates can name.
struct Message {
    payload: Json,
    account_name: String,
}

impl Message {
    fn value(&self, name: &str) -> Option<Json> {
        match name.split_once('.') {
            None if name == "event" => Some(self.payload.clone()),
            None if name == "linked_account_name" => Some(self.account_name.clone().into()),
            // Nothing that is told here has one yet.
            None if name == "workflow_response" => Some(self.payload.get("workflow_response").cloned().unwrap_or_default()),
            Some(("event", key)) => Some(self.payload.get(key).cloned().unwrap_or_default()),
            Some(("workflow_response", key)) => {
                Some(self.payload.get("workflow_response").and_then(|answer| answer.get(key)).cloned().unwrap_or_default())
            }
            _ => None,
        }
    }

    /// Fills `{{name}}` in. A text that is one name only becomes the value itself; what nobody knows stays as it is.
    fn fill(&self, text: &str) -> Json {
        let whole = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).filter(|name| !name.contains("{{"));
        if let Some(value) = whole.and_then(|name| self.value(name.trim())) {
            return value;
        }
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else { break };
            filled.push_str(before);
            match self.value(name.trim()) {
                Some(Json::String(value)) => filled.push_str(&value),
                Some(Json::Null) => {}
                Some(value) => filled.push_str(&value.to_string()),
                None => filled.push_str(&format!("{{{{{name}}}}}")),
            }
            rest = after;
        }
        filled.push_str(rest);
        filled.into()
    }

    fn fill_all(&self, template: &Json) -> Json {
        match template {
            Json::String(text) => self.fill(text),
            Json::Array(items) => items.iter().map(|item| self.fill_all(item)).collect(),
            Json::Object(map) => Json::Object(map.iter().map(|(name, value)| (name.clone(), self.fill_all(value))).collect()),
            other => other.clone(),
        }
    }

    fn text(&self, template: &str) -> String {
        match self.fill(template) {
            Json::String(text) => text,
            Json::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// A line for people.
    fn line(&self) -> String {
        let part = |name: &str| self.payload[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {} of {} ({})", part("event"), part("slug"), part("linked_account_id"), part("environment"))
    }
}

/// The request of a delivery, signed by every secret that counts now.
fn request(target: &Target, id: &str, message: &Message, now: Timestamp) -> Result<HttpRequest> {
    let url = Url::parse(target.url.expose()).map_err(|_| err!(Internal, "a webhook's URL cannot be read any more"))?;
    let mut request = HttpRequest::new(&target.method, url);
    request.max_body = LARGEST_ANSWER;
    let body = match target.kind {
        WebhookKind::Default => message.payload.clone(),
        WebhookKind::Slack => serde_json::json!({"text": message.line()}),
        WebhookKind::Custom => target.template().map_or_else(|| message.payload.clone(), |template| message.fill_all(&template)),
    };
    let body = body.to_string().into_bytes();
    let secrets = target.live(now);
    request.set_body("application/json", body.clone());
    for (name, value) in &target.headers {
        let value = if target.kind == WebhookKind::Custom { Secret::new(message.text(value.expose())) } else { value.clone() };
        request.set_header(name, value.expose().trim())?;
    }
    request.set_header(webhook::ID, id)?;
    request.set_header(webhook::TIMESTAMP, &now.seconds().to_string())?;
    request.set_header(webhook::SIGNATURE, &webhook::sign(&secrets, id, now, &body)?)?;
    // It holds one signature: by the secret that receivers have who know nothing of a rotation.
    if let Some(oldest) = secrets.last() {
        request.set_header(webhook::COMPATIBLE, &webhook::sign_compatible(oldest, &body))?;
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let message = Message { payload: json!({"slug": "slack", "n": 7, "event": "Connection Created"}), account_name: "Ada".into() };
        for (template, filled) in [
            (json!("{{event}}"), message.payload.clone()),
            (
                json!({"a": "{{event.slug}}", "b": ["{{ event.n }}", 1], "c": "{{event.none}}"}),
                json!({"a": "slack", "b": [7, 1], "c": null}),
            ),
            (json!("{{event.slug}} of {{linked_account_name}}, {{event.n}}"), json!("slack of Ada, 7")),
            (json!("{{event.slug}}{{event.slug}}"), json!("slackslack")),
            (json!("{{other}} {{event.none}}. {{open"), json!("{{other}} . {{open")),
            (json!("{{workflow_response}}"), Json::Null),
        ] {
            assert_eq!(message.fill_all(&template), filled, "{template}");
        }
    }
}
