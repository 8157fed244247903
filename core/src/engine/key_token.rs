//! Tokens that come of what the user entered: client credentials, JWT bearer, logins. Nothing is spent by asking, so a new
//! token is asked for whenever the old one ends.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Inner,
    apps::{App, entered_identity},
    connections::NewConnection,
    exchange, outbox,
};
use crate::{
    Error, Secret, Timestamp,
    error::{Result, bail, err},
    http::protocol::{self, ClientCredentials, TokenFailure, TokenSet},
    manifest::{KeyToken, TokenClient, template::Values},
    model::{AuthType, Identity},
    plugin::{HttpRequest, HttpResponse},
};

/// Reads the answer to a request for a token by the rules of the connection's auth type.
pub(super) fn read_answer(app: &App, auth_type: AuthType, answer: &HttpResponse, now: Timestamp) -> Result<Result<TokenSet, TokenFailure>> {
    let rules = app.rules(auth_type)?;
    Ok(match app.key_token().filter(|_| auth_type == AuthType::Keybased) {
        Some(token) => protocol::key_token_answer(token, &rules, answer, now),
        None => protocol::parse_token_answer(&rules, answer, now),
    })
}

/// What is asked for: the project's choice where it cannot mean the consent of users, and always what is required.
fn scopes(app: &App) -> Vec<String> {
    let Some(declared) = app.key_token().map(|token| &token.scopes) else { return Vec::new() };
    let project = app.settings().scopes.clone().filter(|_| app.oauth().is_err());
    let mut scopes = project.unwrap_or_else(|| declared.default.clone());
    scopes.extend(declared.required.iter().filter(|required| !declared.default.contains(required)).cloned());
    scopes.dedup();
    scopes
}

impl Inner {
    /// The client that asks for the token, if there is one.
    pub(super) fn key_client(&self, app: &App, values: &BTreeMap<String, Secret>) -> Result<Option<ClientCredentials>> {
        match app.key_token().map(|token| token.client()) {
            None | Some(TokenClient::None) => Ok(None),
            Some(TokenClient::Project) => self.client(app).map(Some),
            Some(TokenClient::Inputs) => {
                let Some(id) = values.get("client_id") else { bail!(InvalidInputs, "the value `client_id` is missing") };
                let secret = values.get("client_secret").cloned();
                let identity =
                    if app.key_token().is_some_and(KeyToken::proves_by_own_certificate) { entered_identity(values)? } else { None };
                Ok(Some(ClientCredentials { id: id.expose().to_owned(), secret, identity, now: self.now() }))
            }
        }
    }

    /// The request for a token, made anew for every try.
    pub(super) fn key_token_request(&self, app: &App, values: &BTreeMap<String, Secret>) -> Result<HttpRequest> {
        let Some(token) = app.key_token() else { bail!(WrongAuthType, "the keys of `{}` are sent themselves", app.slug()) };
        let client = self.key_client(app, values)?;
        let known = app.values(Values::new().secrets(values));
        let mut request = protocol::key_token_request(token, &known, client.as_ref(), &scopes(app), self.now())?;
        request.timeout = self.timings.provider;
        Ok(request)
    }

    /// Asks for the first token, where the manifest wants one, and keeps what came of it. Answers who it is, if the answer says.
    pub(super) async fn obtain(&self, app: &App, new: &mut NewConnection) -> Result<Option<Identity>> {
        let Some(token) = app.key_token() else { return Ok(None) };
        let answer = self.transport.send(self.key_token_request(app, &new.grant.values)?).await?;
        let now = self.now();
        let tokens = read_answer(app, AuthType::Keybased, &answer, now)?.map_err(|failure| refusal(app, failure))?;
        // From here on there is a token, which must not be forgotten whatever else is wrong.
        new.grant.token_type = Some(tokens.token_type.clone());
        new.grant.access_token = Some(tokens.access_token.clone());
        let missing: Vec<&str> = match &tokens.scopes {
            Some(granted) => token.scopes.required.iter().filter(|scope| !granted.contains(scope)).map(String::as_str).collect(),
            None => Vec::new(),
        };
        if !missing.is_empty() {
            return Err(err!(ScopeMissing, "`{}` did not grant {}", app.slug(), missing.join(", ")).with("scopes", missing.join(" ")));
        }
        new.scopes = tokens.scopes.clone().unwrap_or_else(|| scopes(app));
        new.expires_at = tokens.expires_in.map(|lifetime| now.plus(lifetime));
        if let Some(trouble) = &tokens.copied.trouble {
            bail!(MalformedAnswer, "in the token answer of `{}` {trouble}", app.slug());
        }
        new.properties.extend(tokens.copied.values.clone());
        let said = |what: Option<&str>| exchange::named(app, new, what, |pointer| tokens.raw.text(pointer));
        Ok(exchange::identity(said(token.id.as_deref())?, said(token.label.as_deref())?))
    }

    /// There is no connection after a token had come: it must not stay alive where it can be ended.
    pub(super) async fn refuse_token(self: &Arc<Self>, actor: String, account: &str, app: &App, new: NewConnection, error: Error) -> Error {
        if new.grant.access_token.is_none() || app.key_token().is_none_or(|token| token.revoke.is_none()) {
            return error;
        }
        let (about, vault, slug) = (self.about(actor, account, Some(app.slug())), self.vault.clone(), app.slug().to_owned());
        let queued = self.write_until_stored(move |tx| outbox::queue_orphan(tx, &about, &vault, &slug, &new)).await;
        if let Err(error) = queued {
            tracing::warn!(code = error.code().as_str(), "a refused connection's token could not be queued for revocation");
        }
        self.outbox.notify_one();
        error
    }
}

/// Why there is no first token.
fn refusal(app: &App, failure: TokenFailure) -> Error {
    match failure {
        TokenFailure::Final { provider_error } | TokenFailure::Suspended { provider_error } => {
            err!(CredentialsRejected, "`{}` refused the credentials", app.manifest.name).with("provider_error", provider_error)
        }
        TokenFailure::Client { provider_error } => {
            err!(ClientRejected, "`{}` refused the organisation's client with `{provider_error}`", app.slug())
                .with("provider_error", provider_error)
        }
        TokenFailure::Refused { provider_error } => {
            err!(ProviderError, "`{}` answered `{provider_error}` to the request for a token", app.slug())
                .with("provider_error", provider_error)
        }
        TokenFailure::Passing { error } => error,
    }
}
