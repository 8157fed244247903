//! Webhooks as the hosted service's clients send and read them.

use std::collections::BTreeMap;

use crate::{
    Secret,
    backend::WebhookSettings,
    model::{Environment, Json, Webhook, WebhookEvent, WebhookKind},
};

/// A webhook as a body: the one place where its URL and its headers are written out. `secret` is that of a new one.
pub fn webhook(org: &str, environment: Environment, webhook: &Webhook, secret: Option<&Secret>) -> Json {
    let mut body = serde_json::json!({
        "_id": webhook.id,
        "org_id": org,
        "environment": environment,
        "webhook_url": webhook.url.expose(),
        "webhook_events": titles(webhook),
        "is_enabled": webhook.enabled,
        "method": webhook.method,
        "webhook_type": webhook.kind,
        "workflow_ids": webhook.workflows,
        "createdAt": webhook.created_at,
        "updatedAt": webhook.updated_at,
    });
    let headers: BTreeMap<&str, &str> = webhook.headers.iter().map(|(name, value)| (&**name, value.expose())).collect();
    let mut put = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    put("webhook_headers", (!headers.is_empty()).then(|| serde_json::json!(headers)));
    put("webhook_body", webhook.body.clone());
    put("webhook_description", webhook.description.clone().map(Json::from));
    put("description", webhook.description.clone().map(Json::from));
    put("slug", webhook.application.clone().map(Json::from));
    put("group", webhook.group.clone().map(Json::from));
    put("disabled_because", webhook.disabled_because.clone().map(Json::from));
    put("webhook_secret", secret.map(|secret| secret.expose().into()));
    body
}

/// Its events as the hosted service writes them.
pub fn titles(webhook: &Webhook) -> Vec<&'static str> {
    webhook.events.iter().map(|event| event.title()).collect()
}

/// Events in any of their spellings.
///
/// # Errors
/// `INVALID_EVENT` and a text.
pub fn webhook_events(sent: &Json) -> Result<Vec<WebhookEvent>, (&'static str, String)> {
    let Some(list) = sent.as_array() else { return Err(("SERVER_ERROR", "`webhook_events` must be a list of event names".into())) };
    let read = |event: &Json| {
        let text = event.as_str().unwrap_or_default();
        let known = || WebhookEvent::ALL.iter().map(|event| event.title()).collect::<Vec<_>>().join(", ");
        WebhookEvent::read(text).ok_or_else(|| ("INVALID_EVENT", format!("`{}` is no event; there are: {}", text.escape_debug(), known())))
    };
    list.iter().map(read).collect()
}

/// What a body sets; clients call the URL and the events by two names.
///
/// # Errors
/// A code that clients know and a text, for a value of another form.
pub fn webhook_settings(body: &Json) -> Result<WebhookSettings, (&'static str, String)> {
    let wrong = |name: &str, what: &str| ("SERVER_ERROR", format!("`{name}` must be {what}"));
    let sent = |name: &str| body.get(name).filter(|value| !value.is_null());
    let text = |name: &str| match sent(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| wrong(name, "a text")),
    };
    let either = |one: &str, other: &str| text(one).and_then(|found| if found.is_some() { Ok(found) } else { text(other) });
    let enabled = match sent("is_enabled") {
        None => None,
        Some(value) => Some(value.as_bool().ok_or_else(|| wrong("is_enabled", "true or false"))?),
    };
    let kind = match text("webhook_type")? {
        None => None,
        Some(kind) => Some(WebhookKind::parse(&kind).ok_or_else(|| wrong("webhook_type", "`default`, `slack` or `custom`"))?),
    };
    let headers = match sent("webhook_headers") {
        None => None,
        Some(Json::Object(map)) => {
            let plain = |value: &Json| match value {
                Json::String(text) => Ok(Secret::new(text.as_str())),
                Json::Number(_) | Json::Bool(_) => Ok(Secret::new(value.to_string())),
                _ => Err(wrong("webhook_headers", "an object of texts")),
            };
            Some(map.iter().map(|(name, value)| Ok((name.clone(), plain(value)?))).collect::<Result<_, _>>()?)
        }
        Some(_) => return Err(wrong("webhook_headers", "an object of texts")),
    };
    let workflows = match sent("workflow_ids") {
        None => None,
        Some(Json::Array(ids)) => Some(
            ids.iter()
                .map(|id| id.as_str().map(ToOwned::to_owned).ok_or_else(|| wrong("workflow_ids", "a list of ids")))
                .collect::<Result<_, _>>()?,
        ),
        Some(_) => return Err(wrong("workflow_ids", "a list of ids")),
    };
    Ok(WebhookSettings {
        url: either("webhook_url", "url")?,
        events: sent("webhook_events").or_else(|| sent("events")).map(webhook_events).transpose()?,
        enabled,
        method: text("method")?,
        kind,
        headers,
        body: sent("webhook_body").cloned(),
        description: either("webhook_description", "description")?,
        group: text("group")?,
        application: text("slug")?,
        workflows,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_events_is_read_and_a_wrong_one_is_named() {
        let events = webhook_events(&json!(["Connection Created", "connection-deleted", "workflow.timed_out"])).unwrap();
        assert_eq!(events, [WebhookEvent::ConnectionCreated, WebhookEvent::ConnectionDeleted, WebhookEvent::WorkflowTimedOut]);
        assert_eq!(webhook_events(&json!(["Connection Made"])).unwrap_err().0, "INVALID_EVENT");
        assert_eq!(webhook_events(&json!("Connection Created")).unwrap_err().0, "SERVER_ERROR");
    }

    #[test]
    fn settings_are_read_by_both_names_and_with_their_types() {
        let settings = webhook_settings(&json!({
            "url": "https://a.example", "events": ["Connection Created"], "is_enabled": false, "webhook_headers": {"x-n": 7},
            "webhook_type": "custom", "webhook_body": {"a": "{{event}}"}, "workflow_ids": ["w"], "group": null, "more": 1
        }))
        .unwrap();
        assert_eq!((settings.url.as_deref(), settings.enabled, settings.group), (Some("https://a.example"), Some(false), None));
        assert_eq!(settings.headers.unwrap()["x-n"].expose(), "7");
        for wrong in [
            json!({"webhook_url": 7}),
            json!({"is_enabled": "yes"}),
            json!({"webhook_type": "mail"}),
            json!({"webhook_headers": []}),
            json!({"webhook_headers": {"a": {}}}),
            json!({"workflow_ids": [1]}),
        ] {
            assert_eq!(webhook_settings(&wrong).unwrap_err().0, "SERVER_ERROR", "{wrong}");
        }
    }
}
