//! What follows an exchange before there is a connection: lookups whose values are kept, and tokens that are swapped.

use super::{Inner, apps::App, connections::NewConnection, exchange, request};
use crate::{
    error::{Result, bail, err},
    http::protocol::{self, ClientCredentials, TokenFailure},
    manifest::{
        Pick, Step,
        template::{self, Values},
    },
    model::Json,
};

impl Inner {
    /// Takes the manifest's steps, in order. One that fails ends the connect, unless the connection can do without it.
    pub(super) async fn take_steps(&self, app: &App, client: &ClientCredentials, new: &mut NewConnection) -> Result<()> {
        let steps = &app.oauth()?.steps;
        for (at, step) in steps.iter().enumerate() {
            // Together they take no longer than the exchange may.
            let time = self.timings.provider / u32::try_from(steps.len()).unwrap_or(u32::MAX);
            let taken = match step.token {
                true => self.swap(app, client, step, new, time).await,
                false => self.look_up(app, client, step, new, time).await,
            };
            match taken {
                Err(error) if step.optional => {
                    tracing::warn!(application = app.slug(), step = at, code = error.code().as_str(), "an optional step failed");
                }
                taken => taken?,
            }
        }
        Ok(())
    }

    async fn look_up(
        &self,
        app: &App,
        client: &ClientCredentials,
        step: &Step,
        new: &mut NewConnection,
        time: std::time::Duration,
    ) -> Result<()> {
        let credential = exchange::credential_of(app.slug(), "", new);
        let values = with_client(request::values(app, &credential), client);
        let mut request = request::build(app, &credential, step.method.as_deref().unwrap_or("GET"), &step.url)?;
        protocol::fill_request(&mut request, &step.headers, &step.params, step.body, &values)?;
        request::finish(app, &credential, &mut request)?;
        request.timeout = time;
        let answer = self.transport.send(request).await?;
        if answer.status >= 300 {
            let error = err!(ProviderError, "`{}` answered {} to a request of its `steps`", app.slug(), answer.status);
            return Err(error.with("status", answer.status));
        }
        let body = answer.json().unwrap_or_default();
        let item = match &step.pick {
            None => &body,
            Some(pick) => pick_item(pick, &body, &values)?,
        };
        let copies = protocol::copy(&step.copy, |pointer| item.pointer(pointer).and_then(protocol::scalar));
        if let Some(trouble) = copies.trouble {
            bail!(MalformedAnswer, "in the answer of `{}` to a request of its `steps` {trouble}", app.slug());
        }
        new.properties.extend(copies.values);
        Ok(())
    }

    async fn swap(
        &self,
        app: &App,
        client: &ClientCredentials,
        step: &Step,
        new: &mut NewConnection,
        time: std::time::Duration,
    ) -> Result<()> {
        let oauth = app.oauth()?;
        let credential = exchange::credential_of(app.slug(), "", new);
        let mut values = request::values(app, &credential);
        if let Some(token) = &new.grant.refresh_token {
            values = values.one("refresh_token", token.expose());
        }
        let mut request = protocol::token_step_request(oauth, step, app.manifest.api.base_url.as_deref(), &values, client)?;
        request.timeout = time;
        let answer = self.transport.send(request).await?;
        let now = self.now();
        let tokens = protocol::parse_token_answer(oauth, &answer, now).map_err(|failure| match failure {
            TokenFailure::Passing { error } => error,
            TokenFailure::Final { provider_error } | TokenFailure::Client { provider_error } | TokenFailure::Refused { provider_error } => {
                let error = err!(ExchangeFailed, "`{}` refused to swap the token with `{provider_error}`", app.slug());
                error.with("application", app.slug()).with("provider_error", provider_error)
            }
        })?;
        let copies = protocol::copy(&step.copy, |pointer| tokens.raw.text(pointer));
        new.expires_at = tokens.expires_in.or_else(|| exchange::default_lifetime(app)).map(|lifetime| now.plus(lifetime));
        new.grant.access_token = Some(tokens.access_token.clone());
        if let Some(token) = &tokens.refresh_token {
            new.grant.refresh_token = Some(token.clone());
        }
        new.grant.token_type = Some(tokens.token_type.clone());
        if let Some(scopes) = &tokens.scopes {
            new.scopes.clone_from(scopes);
        }
        if let Some(trouble) = copies.trouble {
            bail!(MalformedAnswer, "in the answer of `{}` to a request of its `steps` {trouble}", app.slug());
        }
        new.properties.extend(copies.values);
        Ok(())
    }
}

fn with_client<'a>(values: Values<'a>, client: &'a ClientCredentials) -> Values<'a> {
    let values = values.first("client_id", &client.id);
    match &client.secret {
        Some(secret) => values.first("client_secret", secret.expose()),
        None => values,
    }
}

/// The first item of the list that holds what is wanted.
fn pick_item<'a>(pick: &Pick, body: &'a Json, values: &Values<'_>) -> Result<&'a Json> {
    let Some(items) = body.pointer(&pick.list).and_then(Json::as_array) else {
        bail!(MalformedAnswer, "the answer holds no list where `steps` expects one");
    };
    let found = match &pick.filter {
        None => items.first(),
        Some(filter) => {
            let wanted = match &filter.equals {
                Json::String(text) => Json::String(template::text(text, values)?),
                other => other.clone(),
            };
            items.iter().find(|item| {
                let value = item.pointer(&filter.pointer);
                value == Some(&wanted) || value.and_then(protocol::scalar).is_some_and(|text| wanted == Json::String(text))
            })
        }
    };
    found.ok_or_else(|| err!(MalformedAnswer, "no item of the answer is the one that `steps` picks"))
}
