//! Webhooks: what the organisation wants to be told, where, and the secrets that sign it. What is sent is next door.

use std::collections::BTreeMap;

use url::Url;

use super::{
    About, Inner,
    sealed::{self, Signing, Target},
};
use crate::{
    Secret, Timestamp,
    backend::{GetWebhook, ListDeliveries, Redeliver, RotateWebhookSecret, UpdateWebhook, WebhookSettings},
    error::{Result, bail, err},
    ids,
    model::{Delivery, DeliveryStatus, EventType, Json, NewWebhook, Page, Webhook, WebhookEvent, WebhookKind},
    plugin::{HttpRequest, Tx},
    store::rows::{DeliveryRow, WebhookRow},
    vault::{Vault, demand_readers},
    webhook,
};

/// Webhooks of one organisation in one environment.
const MOST: usize = 50;
const LONGEST_URL: usize = 2048;
const MOST_HEADERS: usize = 20;
const LONGEST_HEADER: usize = 4096;
const LONGEST_TEMPLATE: usize = 16 * 1024;
const LONGEST_TEXT: usize = 500;
const MOST_WORKFLOWS: usize = 100;
/// Old secrets that still sign; a third one goes.
const MOST_OLD: usize = 2;
/// How long a replaced secret signs on.
const OVERLAP: std::time::Duration = std::time::Duration::from_secs(86_400);
const LONGEST_OVERLAP: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);
/// Headers that are ours.
const OURS: [&str; 5] = [webhook::ID, webhook::TIMESTAMP, webhook::SIGNATURE, webhook::COMPATIBLE, "content-length"];

fn not_found(id: &str) -> crate::Error {
    err!(WebhookNotFound, "no webhook `{}`", id.escape_debug())
}

fn find(tx: &mut dyn Tx, about: &About, id: &str) -> Result<WebhookRow> {
    tx.webhook(&about.tenant, id)?.ok_or_else(|| not_found(id))
}

pub(super) fn events_of(row: &WebhookRow) -> Vec<WebhookEvent> {
    serde_json::from_str(&row.events_json).unwrap_or_default()
}

fn to_model(row: &WebhookRow, target: Target) -> Webhook {
    let disabled: Option<Json> = row.disabled_json.as_deref().and_then(|text| serde_json::from_str(text).ok());
    Webhook {
        id: row.id.clone(),
        events: events_of(row),
        enabled: row.enabled,
        body: target.template(),
        url: target.url,
        method: target.method,
        kind: target.kind,
        headers: target.headers,
        description: target.description,
        group: target.group,
        application: target.application,
        workflows: target.workflows,
        failing_since: row.failing_since.map(Timestamp::from_millis),
        disabled_because: disabled.and_then(|why| Some(why.get("because")?.as_str()?.to_owned())),
        old_secret_until: target.secrets.iter().filter_map(|signing| signing.until).max().map(Timestamp::from_millis),
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
    }
}

pub(super) fn delivery_model(row: DeliveryRow) -> Result<Delivery> {
    let damaged = || err!(StoreCorrupt, "a delivery is damaged").with("table", "deliveries").with("row", row.id.clone());
    let status = DeliveryStatus::parse(&row.status).ok_or_else(damaged)?;
    Ok(Delivery {
        event: WebhookEvent::parse(&row.event).ok_or_else(damaged)?,
        payload: serde_json::from_str(&row.payload_json).map_err(|_| damaged())?,
        status,
        attempts: row.attempts.unsigned_abs(),
        next_at: (status == DeliveryStatus::Queued).then(|| Timestamp::from_millis(row.next_at)),
        http_status: row.http_status.and_then(|status| u16::try_from(status).ok()),
        error: row.error_code,
        created_at: Timestamp::from_millis(row.created_at),
        changed_at: Timestamp::from_millis(row.changed_at),
        id: row.id,
        webhook_id: row.webhook_id,
    })
}

/// A text for people; an empty one clears it.
fn text(name: &str, value: String) -> Result<Option<String>> {
    if value.len() > LONGEST_TEXT || value.chars().any(char::is_control) {
        bail!(InvalidRequest, "`{name}` must have at most {LONGEST_TEXT} printable bytes");
    }
    Ok(Some(value).filter(|value| !value.is_empty()))
}

fn checked_headers(headers: BTreeMap<String, Secret>) -> Result<BTreeMap<String, Secret>> {
    if headers.len() > MOST_HEADERS {
        bail!(InvalidRequest, "`headers` may have {MOST_HEADERS} entries");
    }
    let mut probe = HttpRequest::new("POST", Url::parse("https://webhook.invalid").map_err(|_| err!(Internal, "no URL"))?);
    for (name, value) in &headers {
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) || value.expose().len() > LONGEST_HEADER {
            bail!(InvalidRequest, "the header `{}` cannot be set, or is longer than {LONGEST_HEADER} bytes", name.escape_debug());
        }
        probe.set_header(name, value.expose().trim())?;
    }
    Ok(headers)
}

/// Puts the settings into the target and the row; what they lack stays.
fn apply(settings: WebhookSettings, url: Option<Secret>, row: &mut WebhookRow, target: &mut Target) -> Result<()> {
    if let Some(url) = url {
        target.url = url;
    }
    if let Some(mut events) = settings.events {
        events.sort_unstable();
        events.dedup();
        row.events_json = serde_json::json!(events).to_string();
    }
    if let Some(method) = settings.method {
        target.method = method.to_ascii_uppercase();
        if !["POST", "PUT", "PATCH"].contains(&&*target.method) {
            bail!(InvalidRequest, "`method` must be POST, PUT or PATCH");
        }
    }
    target.kind = settings.kind.unwrap_or(target.kind);
    if let Some(headers) = settings.headers {
        target.headers = checked_headers(headers)?;
    }
    if let Some(body) = settings.body {
        let written = body.to_string();
        if written.len() > LONGEST_TEMPLATE {
            bail!(InvalidRequest, "`body` may have {LONGEST_TEMPLATE} bytes");
        }
        target.body = Some(Secret::new(written)).filter(|_| !body.is_null());
    }
    for (name, value, place) in [
        ("description", settings.description, &mut target.description),
        ("group", settings.group, &mut target.group),
        ("application", settings.application, &mut target.application),
    ] {
        if let Some(value) = value {
            *place = text(name, value)?;
        }
    }
    if let Some(workflows) = settings.workflows {
        if workflows.len() > MOST_WORKFLOWS || workflows.iter().any(|id| id.len() > LONGEST_TEXT) {
            bail!(InvalidRequest, "`workflows` may name {MOST_WORKFLOWS} workflows");
        }
        target.workflows = workflows;
    }
    if target.application.is_some() && !events_of(row).iter().all(|event| event.is_of_workflow()) {
        bail!(InvalidRequest, "a webhook with an application may be told of workflows only");
    }
    Ok(())
}

fn blank(now: Timestamp) -> Result<(WebhookRow, Target, Secret)> {
    let secret = webhook::new_secret()?;
    let row = WebhookRow {
        id: ids::new_id(now)?,
        enabled: true,
        events_json: String::new(),
        sealed: Vec::new(),
        secret_version: 0,
        seen: 0,
        failing_since: None,
        failed_at: None,
        disabled_json: None,
        created_at: now.millis(),
        updated_at: now.millis(),
    };
    let target = Target {
        url: Secret::default(),
        method: "POST".to_owned(),
        kind: WebhookKind::Default,
        headers: BTreeMap::new(),
        body: None,
        description: None,
        group: None,
        application: None,
        workflows: Vec::new(),
        secrets: vec![Signing { secret: secret.clone(), until: None }],
    };
    Ok((row, target, secret))
}

impl Inner {
    /// The URL is checked here as it is when something is sent: https, and no address that is written out and private.
    fn checked_url(&self, settings: &WebhookSettings) -> Result<Option<Secret>> {
        let Some(url) = &settings.url else { return Ok(None) };
        let parsed = Url::parse(url.trim()).ok().filter(|parsed| parsed.has_host() && url.len() <= LONGEST_URL);
        let Some(parsed) = parsed else { bail!(InvalidRequest, "`url` is no URL of at most {LONGEST_URL} bytes") };
        self.address_policy(&self.project.current())?.check(&parsed)?;
        Ok(Some(Secret::new(parsed)))
    }

    pub(super) async fn create_webhook(&self, actor: String, settings: WebhookSettings) -> Result<NewWebhook> {
        if settings.url.is_none() || settings.events.as_ref().is_none_or(Vec::is_empty) {
            bail!(InvalidRequest, "a webhook needs `url` and at least one of `events`");
        }
        let about = self.about(actor, "", None);
        let (mut row, mut target, secret) = blank(about.now)?;
        row.enabled = settings.enabled.unwrap_or(true);
        let url = self.checked_url(&settings)?;
        apply(settings, url, &mut row, &mut target)?;
        let vault = self.vault.clone();
        let webhook = self
            .write(move |tx| {
                if tx.webhooks(&about.tenant)?.len() >= MOST {
                    bail!(InvalidRequest, "there are {MOST} webhooks already: delete one first");
                }
                // Programs that do not know these rows would leave them behind when they rotate keys.
                demand_readers(tx)?;
                row.seen = tx.last_event()?;
                sealed::seal_webhook(&vault, &about.tenant, &mut row, &target)?;
                tx.put_webhook(&about.tenant, &row)?;
                note(tx, &about, &row.id, "create", EventType::WebhookCreated)?;
                Ok(to_model(&row, target))
            })
            .await?;
        Ok(NewWebhook { webhook, secret })
    }

    pub(super) async fn list_webhooks(&self) -> Result<Vec<Webhook>> {
        let tenant = self.tenant.clone();
        let rows = self.read(move |tx| tx.webhooks(&tenant)).await?;
        rows.iter().map(|row| Ok(to_model(row, sealed::open_webhook(&self.vault, &self.tenant, row)?))).collect()
    }

    pub(super) async fn update_webhook(&self, actor: String, request: UpdateWebhook) -> Result<Webhook> {
        let about = self.about(actor, "", None);
        // The project may be read from its file: not inside the transaction.
        let (vault, url) = (self.vault.clone(), self.checked_url(&request.settings)?);
        self.write(move |tx| {
            let mut row = find(tx, &about, &request.webhook)?;
            let mut target = sealed::open_webhook(&vault, &about.tenant, &row)?;
            let enabled = request.settings.enabled;
            apply(request.settings, url, &mut row, &mut target)?;
            match enabled {
                Some(true) if !row.enabled => {
                    // What happened meanwhile is not sent, and what went before does not count against it.
                    (row.enabled, row.seen) = (true, tx.last_event()?);
                    (row.failing_since, row.failed_at, row.disabled_json) = (None, None, None);
                }
                Some(false) if row.enabled => {
                    row.enabled = false;
                    tx.fail_deliveries(&about.tenant, &row.id, DISABLED, about.now.millis())?;
                }
                _ => {}
            }
            row.updated_at = about.now.millis();
            sealed::seal_webhook(&vault, &about.tenant, &mut row, &target)?;
            tx.put_webhook(&about.tenant, &row)?;
            note(tx, &about, &row.id, "update", EventType::WebhookUpdated)?;
            Ok(to_model(&row, target))
        })
        .await
    }

    pub(super) async fn delete_webhook(&self, actor: String, request: GetWebhook) -> Result<()> {
        let about = self.about(actor, "", None);
        self.write(move |tx| {
            if !tx.delete_webhook(&about.tenant, &request.webhook)? {
                return Err(not_found(&request.webhook));
            }
            note(tx, &about, &request.webhook, "delete", EventType::WebhookDeleted)
        })
        .await
    }

    pub(super) async fn rotate_webhook_secret(&self, actor: String, request: RotateWebhookSecret) -> Result<NewWebhook> {
        let overlap = request.overlap.unwrap_or(OVERLAP);
        if overlap > LONGEST_OVERLAP {
            bail!(InvalidRequest, "`overlap` may be 30 days");
        }
        let about = self.about(actor, "", None);
        let (vault, secret) = (self.vault.clone(), webhook::new_secret()?);
        let new = secret.clone();
        let webhook = self
            .write(move |tx| {
                let mut row = find(tx, &about, &request.webhook)?;
                let mut target = sealed::open_webhook(&vault, &about.tenant, &row)?;
                rotate(&mut target, new, about.now, overlap);
                row.updated_at = about.now.millis();
                sealed::seal_webhook(&vault, &about.tenant, &mut row, &target)?;
                tx.put_webhook(&about.tenant, &row)?;
                note(tx, &about, &row.id, "rotate_secret", EventType::WebhookUpdated)?;
                Ok(to_model(&row, target))
            })
            .await?;
        Ok(NewWebhook { webhook, secret })
    }

    pub(super) async fn list_deliveries(&self, request: ListDeliveries) -> Result<Page<Delivery>> {
        let limit = request.limit.unwrap_or(50).clamp(1, 500);
        let list = format!("deliveries:{}", request.webhook);
        let before = match &request.cursor {
            Some(cursor) => Some(self.open_cursor(&list, cursor)?.0),
            None => None,
        };
        let (tenant, id) = (self.tenant.clone(), request.webhook);
        let mut rows = self
            .read(move |tx| {
                tx.webhook(&tenant, &id)?.ok_or_else(|| not_found(&id))?;
                tx.deliveries(&tenant, &id, before, limit + 1)
            })
            .await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = match rows.last() {
            Some(last) if more => Some(self.make_cursor(&list, last.seq, "")?),
            _ => None,
        };
        Ok(Page { items: rows.into_iter().map(delivery_model).collect::<Result<_>>()?, next })
    }

    /// Under its own id, so that a receiver can tell that it had it before.
    pub(super) async fn redeliver(&self, actor: String, request: Redeliver) -> Result<Delivery> {
        let about = self.about(actor, "", None);
        let row = self
            .write(move |tx| {
                let found = tx.delivery(&about.tenant, &request.delivery)?;
                let Some(mut row) = found else { bail!(DeliveryNotFound, "no delivery `{}`", request.delivery.escape_debug()) };
                if !find(tx, &about, &row.webhook_id)?.enabled {
                    bail!(InvalidRequest, "its webhook is disabled: enable it first");
                }
                DeliveryStatus::Queued.as_str().clone_into(&mut row.status);
                (row.tries, row.next_at, row.changed_at) = (0, about.now.millis(), about.now.millis());
                tx.put_delivery(&about.tenant, &row)?;
                about.audit(
                    tx,
                    "webhook",
                    None,
                    &serde_json::json!({"webhook": row.webhook_id, "delivery": row.id, "did": "redeliver"}),
                )?;
                Ok(row)
            })
            .await?;
        delivery_model(row)
    }
}

/// What stands in the log of deliveries that were not sent since their webhook was disabled.
pub(super) const DISABLED: &str = "webhook_disabled";

/// The new secret signs from now on, the one before it until its time is over.
fn rotate(target: &mut Target, new: Secret, now: Timestamp, overlap: std::time::Duration) {
    let end = now.plus(overlap).millis();
    for signing in &mut target.secrets {
        signing.until = Some(signing.until.unwrap_or(end).min(end));
    }
    target.secrets.retain(|signing| signing.until.is_some_and(|until| now.millis() < until));
    target.secrets.truncate(MOST_OLD);
    target.secrets.insert(0, Signing { secret: new, until: None });
}

fn note(tx: &mut dyn Tx, about: &About, id: &str, did: &str, event: EventType) -> Result<()> {
    about.audit(tx, "webhook", None, &serde_json::json!({"webhook": id, "did": did}))?;
    about.event(tx, event, &serde_json::json!({"webhook": id}))
}

/// Ends a webhook that is of no use any more: the organisation's people are told by the log.
pub(super) fn disable(tx: &mut dyn Tx, about: &About, row: &mut WebhookRow, because: &str) -> Result<()> {
    row.enabled = false;
    row.disabled_json = Some(serde_json::json!({"because": because, "at": about.now}).to_string());
    row.updated_at = about.now.millis();
    let unsent = tx.fail_deliveries(&about.tenant, &row.id, DISABLED, about.now.millis())?;
    let data = serde_json::json!({"webhook": row.id, "because": because, "unsent": unsent});
    about.audit(tx, "webhook", None, &serde_json::json!({"webhook": row.id, "did": "disable", "because": because}))?;
    about.event(tx, EventType::WebhookDisabled, &data)
}

/// Opens what a delivery needs.
pub(super) fn target(vault: &Vault, tenant: &crate::model::Tenant, row: &WebhookRow) -> Result<Target> {
    sealed::open_webhook(vault, tenant, row)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_replaced_secret_signs_on_until_its_time_is_over() {
        let at = Timestamp::from_millis;
        let mut target = Target {
            url: "https://a.example".into(),
            method: "POST".into(),
            kind: WebhookKind::Default,
            headers: BTreeMap::new(),
            body: None,
            description: None,
            group: None,
            application: None,
            workflows: Vec::new(),
            secrets: vec![Signing { secret: "one".into(), until: None }],
        };
        let live = |target: &Target, ms| target.live(at(ms)).iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>();
        rotate(&mut target, "two".into(), at(0), Duration::from_millis(100));
        assert_eq!((live(&target, 99), live(&target, 100)), (vec!["two".into(), "one".into()], vec!["two".into()]));
        // An overlap is not made longer by the next rotation.
        rotate(&mut target, "three".into(), at(50), Duration::from_millis(100));
        assert_eq!(
            (live(&target, 60), live(&target, 120)),
            (vec!["three".into(), "two".into(), "one".into()], vec!["three".into(), "two".into()])
        );
        rotate(&mut target, "four".into(), at(60), Duration::ZERO);
        assert_eq!((live(&target, 60), target.secrets.len()), (vec!["four".into()], 1));
        for n in 0..5 {
            rotate(&mut target, format!("more-{n}").as_str().into(), at(70), Duration::from_millis(100));
        }
        assert_eq!(live(&target, 80), ["more-4", "more-3", "more-2"]);
    }
}
