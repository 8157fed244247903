//! Webhooks, as backends of the hosted service subscribe to them.

use smalt::{
    Code,
    backend::{GetWebhook, ListWebhooks, UpdateWebhook, WebhookSettings},
    model::{Json, Webhook},
    wire::{titles, webhook as body, webhook_events, webhook_settings},
};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
    project::in_force,
};

fn mistaken((code, text): (&'static str, String)) -> Trouble {
    Trouble::Plain(400, code, text)
}

/// What clients of the hosted service are told, with the status that they are told it by.
fn known(error: smalt::Error) -> Trouble {
    match error.code() {
        Code::WebhookNotFound => Trouble::Plain(400, "RESOURCE_NOT_FOUND", "Webhook not found".into()),
        _ => error.into(),
    }
}

async fn shown(call: &Call, webhooks: &[Webhook]) -> Result<Vec<Json>, Trouble> {
    let (org, environment) = (in_force(call.smalt()?).await?.org.id.clone(), call.who()?.environment);
    Ok(webhooks.iter().map(|webhook| body(&org, environment, webhook, None)).collect())
}

async fn one(call: &Call, webhook: Webhook) -> Result<Answer, Trouble> {
    json(shown(call, &[webhook]).await?.pop())
}

async fn all(call: &Call) -> Result<Vec<Webhook>, Trouble> {
    Ok(call.backend()?.list_webhooks(&call.who()?.caller, ListWebhooks {}).await?)
}

async fn find(call: &Call, id: &str) -> Result<Webhook, Trouble> {
    let found = all(call).await?.into_iter().find(|webhook| webhook.id == id);
    found.ok_or_else(|| known(smalt::Error::code_only(Code::WebhookNotFound)))
}

/// Calls that name no webhook are older than having several: they mean the oldest.
async fn oldest(call: &Call) -> Result<Webhook, Trouble> {
    let missing = || Trouble::Plain(404, "RESOURCE_NOT_FOUND", "Webhook not found".into());
    all(call).await?.into_iter().next().ok_or_else(missing)
}

async fn change(call: &Call, webhook: String, settings: WebhookSettings) -> Result<Webhook, Trouble> {
    call.backend()?.update_webhook(&call.who()?.caller, UpdateWebhook { webhook, settings }).await.map_err(known)
}

async fn remove(call: &Call, webhook: String) -> Result<(), Trouble> {
    call.backend()?.delete_webhook(&call.who()?.caller, GetWebhook { webhook }).await.map_err(known)
}

pub(super) async fn list(call: Call) -> Result<Answer, Trouble> {
    let webhooks = all(&call).await?;
    json(shown(&call, &webhooks).await?)
}

/// The secret that signs is in this answer, and in no other.
pub(super) async fn create(call: Call) -> Result<Answer, Trouble> {
    let settings = webhook_settings(&call.body).map_err(mistaken)?;
    if settings.url.as_deref().unwrap_or_default().is_empty() {
        return Err(Trouble::bad("webhook_url is required"));
    }
    if settings.events.as_deref().unwrap_or_default().is_empty() {
        return Err(Trouble::Plain(400, "INVALID_EVENT", "webhook_events must name at least one event".into()));
    }
    let made = call.backend()?.create_webhook(&call.who()?.caller, settings).await?;
    let (org, environment) = (in_force(call.smalt()?).await?.org.id.clone(), call.who()?.environment);
    Ok(Answer::Json(body(&org, environment, &made.webhook, Some(&made.secret))))
}

pub(super) async fn get(call: Call) -> Result<Answer, Trouble> {
    let webhook = find(&call, &call.param("id")).await?;
    one(&call, webhook).await
}

pub(super) async fn update(call: Call) -> Result<Answer, Trouble> {
    let settings = webhook_settings(&call.body).map_err(mistaken)?;
    let webhook = change(&call, call.param("id"), settings).await?;
    one(&call, webhook).await
}

/// Answers those that are left.
pub(super) async fn delete(call: Call) -> Result<Answer, Trouble> {
    remove(&call, call.param("id")).await?;
    list(call).await
}

pub(super) async fn delete_oldest(call: Call) -> Result<Answer, Trouble> {
    let webhook = oldest(&call).await?;
    remove(&call, webhook.id.clone()).await?;
    one(&call, webhook).await
}

async fn with_events(call: &Call, change_events: impl FnOnce(&mut Vec<smalt::model::WebhookEvent>)) -> Result<Answer, Trouble> {
    let mut webhook = oldest(call).await?;
    change_events(&mut webhook.events);
    let settings = WebhookSettings { events: Some(webhook.events), ..WebhookSettings::default() };
    let changed = change(call, webhook.id, settings).await?;
    json(serde_json::json!({"_id": changed.id, "webhook_url": changed.url.expose(), "webhook_events": titles(&changed)}))
}

pub(super) async fn subscribe(call: Call) -> Result<Answer, Trouble> {
    let sent = call.body.get("webhook_events").or_else(|| call.body.get("events")).unwrap_or(&Json::Null);
    let events = webhook_events(sent).map_err(mistaken)?;
    with_events(&call, |all| all.extend(events)).await
}

pub(super) async fn unsubscribe(call: Call) -> Result<Answer, Trouble> {
    let sent = call.body.get("webhook_event").or_else(|| call.body.get("event")).cloned().unwrap_or_default();
    let events = webhook_events(&Json::Array(vec![sent])).map_err(mistaken)?;
    with_events(&call, |all| all.retain(|event| !events.contains(event))).await
}

/// An empty group clears it.
pub(super) async fn group(call: Call) -> Result<Answer, Trouble> {
    let ids: Option<Vec<&str>> =
        call.body.get("webhookIds").and_then(Json::as_array).map(|ids| ids.iter().filter_map(Json::as_str).collect());
    let Some(ids) = ids.filter(|ids| !ids.is_empty()) else { return Err(Trouble::bad("webhookIds is required")) };
    let group = call.text("group").unwrap_or_default();
    // All of them are there, or none is changed.
    for id in &ids {
        find(&call, id).await?;
    }
    let mut changed = Vec::new();
    for id in ids {
        let settings = WebhookSettings { group: Some(group.clone()), ..WebhookSettings::default() };
        changed.push(change(&call, id.to_owned(), settings).await?);
    }
    json(shown(&call, &changed).await?)
}
