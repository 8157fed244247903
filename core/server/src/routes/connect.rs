//! Connect and disconnect.

use std::{collections::BTreeMap, time::Duration};

use smalt::{
    Code, Secret,
    backend::{ConnectKey, Disconnect, GetApp, ImportConnection, ListConnections, StartConnect},
    model::{self, AuthType, Json, SiblingPolicy},
};

use super::accounts;
use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
};

async fn app(call: &Call, slug: &str) -> Result<model::Application, Trouble> {
    let request = GetApp { account: call.account()?, application: slug.to_owned() };
    Ok(call.backend()?.get_app(&call.who()?.caller, request).await?)
}

/// A value as text; clients send numbers and switches as they are.
fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The address of a page of ours, which sends the user on to the provider: whoever opens it has not begun the connect.
pub(super) async fn authorize_url(call: Call) -> Result<Answer, Trouble> {
    let slug = call.param("slug");
    let app = app(&call, &slug).await?;
    if !app.auth_types.contains(&AuthType::Oauth2) {
        return Err(Trouble::bad(format!("`{slug}` is not connected with OAuth: send its fields to /api/v2/app/{slug}/save")));
    }
    // What the application does not ask for is passed over, and with it every attempt to set what is ours.
    let names = app.inputs.get(&AuthType::Oauth2).into_iter().flatten().map(|input| input.name.as_str());
    let inputs = names.filter_map(|name| Some((name.to_owned(), call.query(name)?.to_owned()))).collect();
    let request = StartConnect { account: call.account()?, application: slug, inputs, ..StartConnect::default() };
    let handoff = call.backend()?.hand_off_connect(&call.who()?.caller, request).await?;
    let public = call.api.public_url(call.smalt()?).await?;
    json(serde_json::json!({"auth_url": format!("{public}/connect/go/{}", handoff.ticket.expose())}))
}

fn auth_type(call: &Call) -> Result<Option<AuthType>, Trouble> {
    match call.query("auth_type") {
        None => Ok(None),
        Some(text) => AuthType::parse(text).map(Some).ok_or_else(|| Trouble::bad("`auth_type` must be `oauth2` or `keybased`")),
    }
}

pub(super) async fn save(call: Call) -> Result<Answer, Trouble> {
    let slug = call.param("slug");
    let app = app(&call, &slug).await?;
    let wanted = auth_type(&call)?.unwrap_or(AuthType::Keybased);
    if wanted != AuthType::Keybased || !app.auth_types.contains(&AuthType::Keybased) {
        return Err(Trouble::bad(format!("`{slug}` is not connected with keys: open the page of /api/v1/{slug}/integrate")));
    }
    // Clients repeat ids in the body.
    let names = app.inputs.get(&AuthType::Keybased).into_iter().flatten().map(|input| input.name.as_str());
    let inputs: BTreeMap<_, _> = names.filter_map(|name| Some((name.to_owned(), Secret::new(text(call.body.get(name)?)?)))).collect();
    let request = ConnectKey { account: call.account()?, application: slug, inputs, connection: None };
    call.backend()?.connect_key(&call.who()?.caller, request).await?;
    json(serde_json::json!({"success": true}))
}

/// Nested under its auth type, or flat as older clients send it.
fn auth_object(body: &Json) -> Result<(Option<AuthType>, &serde_json::Map<String, Json>), Trouble> {
    let Some(object) = body.get("auth_object").and_then(Json::as_object) else {
        return Err(Trouble::bad("`auth_object` must be an object"));
    };
    let single = object.iter().next().filter(|_| object.len() == 1);
    if let Some((auth_type, values)) = single.and_then(|(name, values)| Some((AuthType::parse(name)?, values.as_object()?))) {
        return Ok((Some(auth_type), values));
    }
    Ok((None, object))
}

pub(super) async fn migrate(call: Call) -> Result<Answer, Trouble> {
    let slug = call.text("slug").ok_or_else(|| Trouble::bad("Missing Slug"))?;
    let app = app(&call, &slug).await?;
    let (named, values) = auth_object(&call.body)?;
    let looks_like_tokens = values.contains_key("access_token") || values.contains_key("refresh_token");
    let auth_type = named.unwrap_or(if looks_like_tokens { AuthType::Oauth2 } else { AuthType::Keybased });
    let mut secrets = BTreeMap::new();
    for (name, value) in values {
        let Some(value) = value.as_str() else { return Err(Trouble::bad(format!("`{name}` must be a string"))) };
        secrets.insert(name.clone(), Secret::new(value));
    }
    let request = ImportConnection {
        account: call.account()?,
        application: slug.clone(),
        auth_type: Some(auth_type),
        values: secrets,
        ..ImportConnection::default()
    };
    call.backend()?.import_connection(&call.who()?.caller, request).await?;
    let did = if app.connections.iter().any(|connection| connection.auth_type == auth_type) { "updated" } else { "created" };
    json(serde_json::json!({"success": true, "message": format!("Integration - {slug} {did}")}))
}

/// Removing what is not there is fine.
pub(super) async fn disconnect(call: Call) -> Result<Answer, Trouble> {
    let auth_type = auth_type(&call)?;
    let (slug, account) = (call.param("slug"), call.account()?);
    let caller = &call.who()?.caller;
    let request = ListConnections { account: account.clone(), application: Some(slug.clone()) };
    let there = call.backend()?.list_connections(caller, request).await?;
    if there.iter().any(|connection| auth_type.is_none_or(|auth_type| auth_type == connection.auth_type)) {
        let request = Disconnect {
            account: account.clone(),
            application: slug,
            connection: None,
            auth_type,
            // Nobody can be asked here, and others must not be harmed.
            siblings: Some(SiblingPolicy::Keep),
            wait: Some(Duration::ZERO),
        };
        match call.backend()?.disconnect(caller, request).await {
            // Somebody else was faster.
            Err(error) if [Code::NotConnected, Code::ConnectionNotFound].contains(&error.code()) => {}
            done => drop(done?),
        }
    }
    let mut answer = accounts::read(&call, account).await?;
    answer.success = Some(true);
    json(answer)
}
