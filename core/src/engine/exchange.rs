//! From a code, from entered values or from imported tokens to a connection. Exchanges run detached: whoever waits may
//! go away, the outcome stands in flow, connection and events.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    About, Inner,
    ahead::Plan,
    apps::{App, CLIENT_KEY},
    connect,
    connections::{self, NewConnection},
    health::Place,
    millis, outbox, registration, request,
    sealed::{FlowSecrets, Grant},
};
use crate::{
    Code, Error, Secret, Timestamp,
    backend::{ConnectKey, ImportConnection},
    error::{Result, bail, err},
    http::protocol::{self, TokenFailure, TokenSet},
    ids::fingerprint,
    manifest::{
        VerifyRequest, inputs,
        template::{self, Values},
    },
    model::{AuthType, Connection, Credential, EventType, Identity, Json},
    plugin::{HttpResponse, JobAnswer, Tx, answered},
    store::rows::{ConnectionRow, FlowRow},
};

/// A job that may be tried again.
type Again = dyn Fn(&mut dyn Tx) -> Result<JobAnswer> + Send + Sync;

/// A code that may be exchanged, once.
pub(super) struct Redemption {
    pub(super) actor: String,
    pub(super) row: FlowRow,
    pub(super) secrets: FlowSecrets,
}

/// Why there is no connection, and the tokens that were issued all the same.
pub(super) struct Rejected {
    pub(super) error: Error,
    pub(super) orphan: Option<Box<NewConnection>>,
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Self { error, orphan: None }
    }
}

impl Inner {
    pub(super) async fn redeem(self: &Arc<Self>, redemption: Redemption) -> Result<Connection> {
        let engine = self.clone();
        self.detached(async move { engine.redeem_detached(redemption).await }).await
    }

    async fn redeem_detached(self: &Arc<Self>, redemption: Redemption) -> Result<Connection> {
        let Redemption { actor, row, secrets } = redemption;
        let about = self.about(actor, &row.account_id, Some(&row.application));
        let outcome = self.exchange(&row, &secrets).await;
        self.settle_flow(about, row, &secrets, outcome).await
    }

    /// Writes down how a flow that is exchanging ended: connection, event, audit row and the flow's end in one transaction.
    pub(super) async fn settle_flow(
        self: &Arc<Self>,
        about: About,
        row: FlowRow,
        secrets: &FlowSecrets,
        outcome: Result<NewConnection, Rejected>,
    ) -> Result<Connection> {
        let app = self.app_of_flow(&row, secrets).await.ok();
        let place = app.as_ref().map(|app| {
            let values = Values::new().map(&secrets.copied).secrets(&secrets.inputs);
            self.place_of(app, AuthType::Oauth2, &row.client_key, values)
        });
        let registered = app.as_ref().and_then(|app| app.registered().cloned());
        let vault = self.vault.clone();
        let ended = match outcome {
            Ok(new) => {
                self.write_until_stored(move |tx| {
                    let Some(mut flow) = connect::still_there(tx, &about.tenant, &row)? else {
                        // Deleted meanwhile, with the flow: what was just issued must not stay alive.
                        outbox::queue_orphan(tx, &about, &vault, &row.application, &new)?;
                        if let Err(gone) = super::require_account(tx, &about.tenant, &about.account) {
                            return Ok(Err(gone));
                        }
                        return Ok(Err(err!(FlowNotFound, "the linked account was deleted while the code was exchanged")));
                    };
                    if let Some(place) = &place {
                        // The code's exchange proved the client.
                        super::health::client_taken(tx, &about, place, None)?;
                    }
                    if let Some(registered) = &registered {
                        registration::proven(tx, &about, &flow.application, registered)?;
                    }
                    let saved = connections::save(tx, &about, &vault, &flow.application, new.clone())?;
                    crate::failpoint::failpoint!("connect-saved");
                    connect::succeed(tx, &about, &mut flow, &saved.id)?;
                    Ok(Ok(saved))
                })
                .await?
            }
            Err(Rejected { error, orphan }) => {
                self.write_until_stored(move |tx| {
                    if let Some(new) = &orphan {
                        outbox::queue_orphan(tx, &about, &vault, &row.application, new)?;
                    }
                    if let (Some(registered), true) = (&registered, is_client_gone(&error)) {
                        registration::gone(tx, &about, &row.application, registered)?;
                    }
                    if let Some(mut flow) = connect::still_there(tx, &about.tenant, &row)? {
                        connect::fail(tx, &about, &mut flow, &error)?;
                    }
                    Ok(Err(error.clone()))
                })
                .await?
            }
        };
        let row = ended.inspect_err(|_| self.outbox.notify_one())?;
        crate::failpoint::failpoint!("connect-committed");
        self.cache.forget(&row.account_id, &row.application);
        connections::to_model(&row)
    }

    /// The application with the client that a flow was begun with.
    pub(super) async fn app_of_flow(&self, row: &FlowRow, secrets: &FlowSecrets) -> Result<App> {
        let app = self.app(&row.application).await?;
        self.with_client_of(app, &row.client_key, Values::new().secrets(&secrets.inputs)).await
    }

    /// Writes what must not be lost because it cannot be had again: tries until the store takes it.
    pub(super) fn write_until_stored<T, F>(&self, job: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&mut dyn Tx) -> Result<T> + Send + Sync + 'static,
    {
        answered(self.try_until_stored(Arc::new(move |tx: &mut dyn Tx| job(tx).map(|answer| Box::new(answer) as JobAnswer))))
    }

    async fn try_until_stored(&self, job: Arc<Again>) -> Result<JobAnswer> {
        let mut wait = Duration::from_millis(50);
        loop {
            let attempt = job.clone();
            match self.do_write(Box::new(move |tx| attempt(tx))).await {
                // A store that was closed says so, and ends this.
                Err(error) if error.is(Code::StoreBusy) || error.is(Code::StoreUnavailable) => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(2));
                }
                ended => return ended,
            }
        }
    }

    async fn exchange(self: &Arc<Self>, row: &FlowRow, secrets: &FlowSecrets) -> Result<NewConnection, Rejected> {
        let app = self.app_of_flow(row, secrets).await?;
        if let Some(oauth) = app.oauth1() {
            let tokens = self.exchange_temporary(&app, oauth, row, secrets).await?;
            return self.accept_tokens(&app, row, secrets, tokens).await;
        }
        let oauth = app.oauth()?;
        let client = self.client(&app)?;
        let code = secrets.code.as_ref().ok_or_else(|| err!(Internal, "a flow without a code was redeemed"))?;
        let options: Json = serde_json::from_str(&row.options_json).unwrap_or_default();

        let asked: Vec<String> = serde_json::from_value(options["scopes"].clone()).unwrap_or_default();
        let scope = asked.join(oauth.scopes.separator.as_deref().unwrap_or(" "));
        let values = app.values(Values::new().one("scope", &scope).map(&secrets.copied).secrets(&secrets.inputs));
        let redirect_uri = secrets.redirect_uri.as_ref().map_or(row.redirect_uri.as_str(), Secret::expose);
        let mut request = protocol::exchange_request(oauth, &values, &client, code, redirect_uri, secrets.verifier.as_ref())?;
        request.timeout = self.timings.provider;
        self.hold_revocations(&row.account_id, &row.application).await?;
        crate::failpoint::failpoint!("exchange-before-send");
        let answer = self.transport.send(request).await?;
        crate::failpoint::failpoint!("exchange-after-send");
        let tokens = protocol::parse_token_answer(oauth, &answer, self.now()).map_err(|failure| exchange_error(&app, failure))?;
        self.accept_tokens(&app, row, secrets, tokens).await
    }

    /// From the tokens of a consent to a connection: the scopes that must be there, and who it is.
    pub(super) async fn accept_tokens(
        self: &Arc<Self>,
        app: &App,
        row: &FlowRow,
        secrets: &FlowSecrets,
        tokens: TokenSet,
    ) -> Result<NewConnection, Rejected> {
        let options: Json = serde_json::from_str(&row.options_json).unwrap_or_default();
        let asked: Vec<String> = serde_json::from_value(options["scopes"].clone()).unwrap_or_default();
        let renew = options["connection"].as_str().map(ToOwned::to_owned);
        let mut new = new_connection(app, &tokens, asked, self.now());
        new.renew = renew;
        new.client_key.clone_from(&row.client_key);
        let (plain, _) = connect::split_inputs(app, AuthType::Oauth2, secrets.inputs.clone());
        let from_token = std::mem::replace(&mut new.properties, plain);
        new.properties.extend(secrets.copied.clone());
        new.properties.extend(from_token);
        new.grant.values.clone_from(&secrets.inputs);
        if app.oauth1().is_some() {
            let secret = tokens.raw.text("/oauth_token_secret").unwrap_or_default();
            new.grant.values.insert(super::oauth1::TOKEN_SECRET.to_owned(), secret.into());
        }
        let required = app.oauth().map_or(&[][..], |oauth| &oauth.scopes.required);

        let rejected = |error: Error, new: &NewConnection| Rejected { error, orphan: Some(Box::new(new.clone())) };
        let missing: Vec<&str> = required.iter().filter(|s| !new.scopes.contains(s)).map(String::as_str).collect();
        if !missing.is_empty() {
            let error = err!(ScopeMissing, "the user did not grant {}", missing.join(", ")).with("scopes", missing.join(" "));
            return Err(rejected(error, &new));
        }
        if let Some(trouble) = &tokens.copied.trouble {
            return Err(rejected(err!(MalformedAnswer, "in the token answer of `{}` {trouble}", app.slug()), &new));
        }
        let client = match self.client(app) {
            Ok(client) => client,
            Err(error) => return Err(rejected(error, &new)),
        };
        if app.oauth1().is_none()
            && let Err(error) = self.take_steps(app, &client, &mut new).await
        {
            return Err(rejected(error, &new));
        }
        match self.identify(app, &row.account_id, &new, Some(&tokens)).await {
            Ok(identity) => new.identity = identity,
            Err(error) if error.is(Code::CredentialsRejected) => return Err(rejected(error, &new)),
            Err(error) if error.kind() == crate::Kind::Plugin => return Err(rejected(error, &new)),
            // The grant is good; a name that cannot be had now is no reason to lose it.
            Err(error) => {
                tracing::warn!(application = app.slug(), code = error.code().as_str(), "the identity of a new connection is unknown")
            }
        }
        new.grant_key = new.identity.as_ref().map(|identity| grant_key(&client.id, app.slug(), identity));
        Ok(new)
    }

    /// Who a new credential belongs to: the connector says, else the manifest's request, else nobody.
    async fn identify(
        self: &Arc<Self>,
        app: &App,
        account: &str,
        new: &NewConnection,
        tokens: Option<&TokenSet>,
    ) -> Result<Option<Identity>> {
        let credential = Arc::new(credential_of(app.slug(), "", new));
        if let Some(connector) = self.connectors.get(app.slug()).filter(|connector| connector.verifies()).cloned() {
            let ctx = self.context(app, account, Some(credential.clone()));
            let asking = async move { connector.verify(ctx).await };
            let identity = self.call_connector(app, account, Some(&credential), "verify", asking).await?;
            if let Some(identity) = &identity
                && (identity.id.is_empty() || identity.id.len() > 512 || identity.label.len() > 512)
            {
                let name = request::connector_name(app);
                bail!(PluginAnswer, "`{name}` answered an identity whose id is empty or longer than 512 bytes");
            }
            return Ok(identity);
        }
        let wanted = match (&app.manifest.oauth2, app.oauth1()) {
            (Some(oauth), _) => oauth.identity.as_ref(),
            (None, Some(oauth)) => oauth.identity.as_ref(),
            (None, None) => None,
        };
        let Some(wanted) = wanted.filter(|_| new.auth_type == AuthType::Oauth2) else {
            return Ok(None);
        };
        // Some providers name the user in the callback or the token answer: then the id is a template of copied values.
        let template_id = match wanted.id.starts_with('/') {
            true => None,
            false => Some(template::text(&wanted.id, &app.values(Values::new().map(&new.properties)))?),
        };
        // A label may be one of copied values too; it may name what is not there, since a connection can do without.
        let template_label = wanted
            .label
            .as_ref()
            .filter(|label| !label.starts_with('/'))
            .and_then(|label| template::text(label, &app.values(Values::new().map(&new.properties))).ok());
        let answer = match &wanted.url {
            None => {
                let said = |pointer: Option<&str>| tokens?.raw.text(pointer?);
                let label = template_label.or_else(|| said(wanted.label.as_deref()));
                return Ok(identity(template_id.or_else(|| said(Some(&wanted.id))), label));
            }
            Some(url) => {
                let mut request = request::build(app, &credential, wanted.method.as_deref().unwrap_or("GET"), url)?;
                request::finish(app, &credential, &mut request)?;
                request.timeout = self.timings.provider;
                let request = self.sign(app, &credential, request)?;
                let answer = self.transport.send(request).await?;
                if answer.status >= 400 {
                    bail!(ProviderError, "`{}` answered {} to the identity request", app.slug(), answer.status);
                }
                answer.json().unwrap_or_default()
            }
        };
        let id = template_id.or_else(|| text_at(&answer, Some(&wanted.id)));
        Ok(identity(id, template_label.or_else(|| text_at(&answer, wanted.label.as_deref()))))
    }

    /// Proves entered values at the application, as the connector or the manifest says.
    async fn prove(self: &Arc<Self>, app: &App, account: &str, new: &mut NewConnection) -> Result<Option<Identity>> {
        let connector = self.connectors.get(app.slug()).is_some_and(|connector| connector.verifies());
        if connector {
            return self.identify(app, account, new, None).await;
        }
        let Some(verify) = app.keybased()?.verify.as_ref().filter(|_| !app.settings().skip_verify) else { return Ok(None) };
        let mut outcome = self.try_keys(app, verify, &verify.url, new).await;
        for url in &verify.alternatives {
            if !outcome.as_ref().is_err_and(|error| error.is(Code::CredentialsRejected)) {
                break;
            }
            outcome = self.try_keys(app, verify, url, new).await;
        }
        outcome
    }

    async fn try_keys(&self, app: &App, verify: &VerifyRequest, url: &str, new: &mut NewConnection) -> Result<Option<Identity>> {
        let credential = credential_of(app.slug(), "", new);
        let mut request = request::build(app, &credential, verify.method.as_deref().unwrap_or("GET"), url)?;
        let values = request::values(app, &credential);
        protocol::fill_request(&mut request, &verify.headers, &verify.params, verify.body, &values)?;
        request::finish(app, &credential, &mut request)?;
        request.timeout = self.timings.provider;
        let answer = self.transport.send(self.sign(app, &credential, request)?).await?;
        let refused: &[u16] = if verify.rejected.is_empty() { &[401, 403] } else { &verify.rejected };
        if refused.contains(&answer.status) {
            bail!(CredentialsRejected, "`{}` refused the credentials", app.manifest.name);
        }
        if answer.status == 429 {
            return Err(limited(app, &answer, self.now()));
        }
        if answer.status >= 400 {
            return Err(
                err!(ProviderError, "`{}` answered {} to the verify request", app.slug(), answer.status).with("status", answer.status)
            );
        }
        let body = match answer.json() {
            // An answer that nobody can read refuses nothing.
            None if verify.success.is_some() => bail!(MalformedAnswer, "`{}` answered no JSON to the verify request", app.slug()),
            body => body.unwrap_or_default(),
        };
        if verify.success.as_ref().is_some_and(|success| body.pointer(&success.pointer) != Some(&success.equals)) {
            bail!(CredentialsRejected, "`{}` refused the credentials", app.manifest.name);
        }
        let copies = protocol::copy(&verify.copy, |pointer| body.pointer(pointer).and_then(protocol::scalar));
        if let Some(trouble) = copies.trouble {
            bail!(MalformedAnswer, "in the answer of `{}` to the verify request {trouble}", app.slug());
        }
        new.properties.extend(copies.values);
        let said = |what: Option<&str>| named(app, new, what, |pointer| text_at(&body, Some(pointer)));
        Ok(identity(said(verify.id.as_deref())?, said(verify.label.as_deref())?))
    }

    pub(super) async fn connect_key(self: &Arc<Self>, actor: String, request: ConnectKey) -> Result<Connection> {
        let app = self.app(&request.application).await?;
        app.keybased()?;
        let (tenant, account, slug) = (self.tenant.clone(), request.account.clone(), request.application.clone());
        let renew = request.connection.clone();
        self.read(move |tx| {
            super::require_account(tx, &tenant, &account)?;
            renew.map_or(Ok(()), |id| connections::choose(tx, &tenant, &account, &slug, Some(&id)).map(drop))
        })
        .await?;
        let values = inputs::check(app.inputs(AuthType::Keybased), &request.inputs)?;
        let (plain, values) = connect::split_inputs(&app, AuthType::Keybased, values);
        let mut new = NewConnection {
            auth_type: AuthType::Keybased,
            client_key: CLIENT_KEY.to_owned(),
            grant: Grant { values, by_values: app.key_token().is_some(), ..Grant::default() },
            identity: None,
            grant_key: None,
            scopes: Vec::new(),
            properties: plain,
            expires_at: None,
            shares_grants: false,
            plan: Plan::of(&app),
            renew: request.connection,
        };
        let told = match self.obtain(&app, &mut new).await {
            Ok(told) => told,
            Err(error) => return Err(self.refuse_token(actor, &request.account, &app, new, error).await),
        };
        // A token that came proves the client that asked for it.
        let place = self.place_of(&app, AuthType::Keybased, CLIENT_KEY, Values::new().map(&new.properties));
        let place = app.key_token().map(|_| place);
        let proven = self.prove(&app, &request.account, &mut new).await;
        new.identity = match proven {
            Ok(identity) => identity.or(told),
            Err(error) => return Err(self.refuse_token(actor, &request.account, &app, new, error).await),
        };
        match self.save_connection(actor.clone(), &request.account, &request.application, new.clone(), place).await {
            Ok(connection) => Ok(connection),
            Err(error) => Err(self.refuse_token(actor, &request.account, &app, new, error).await),
        }
    }

    pub(super) async fn import_connection(self: &Arc<Self>, actor: String, request: ImportConnection) -> Result<Connection> {
        let app = self.app(&request.application).await?;
        let auth_type = match request.auth_type.or_else(|| app.auth_types().first().copied()) {
            Some(auth_type) if app.auth_types().contains(&auth_type) => auth_type,
            _ => bail!(WrongAuthType, "`{}` does not offer this auth type", app.slug()),
        };
        if auth_type == AuthType::Keybased {
            let request =
                ConnectKey { account: request.account, application: request.application, inputs: request.values, connection: None };
            return self.connect_key(actor, request).await;
        }
        let mut values = request.values;
        let access_token = values.remove("access_token").filter(|token| !token.is_empty());
        let refresh_token = values.remove("refresh_token").filter(|token| !token.is_empty());
        let token_type = values.remove("token_type").map(|t| t.expose().to_owned());
        if access_token.is_none() && refresh_token.is_none() {
            bail!(CredentialMissing, "`access_token` or `refresh_token` must be given");
        }
        let token_secret = app.oauth1().and_then(|_| values.remove(super::oauth1::TOKEN_SECRET)).filter(|secret| !secret.is_empty());
        if app.oauth1().is_some() && (access_token.is_none() || token_secret.is_none() || refresh_token.is_some()) {
            bail!(CredentialMissing, "`access_token` and `token_secret` must be given, and nothing else can renew them");
        }
        // What a connect would have copied from the provider's answers can be handed over too.
        let names: Vec<&String> = match (&app.manifest.oauth2, app.oauth1()) {
            (Some(oauth), _) => oauth.copied_names().collect(),
            (None, oauth) => oauth.iter().flat_map(|oauth| oauth.copy_from_token.keys()).collect(),
        };
        let copied: BTreeMap<String, String> =
            names.into_iter().filter_map(|name| Some((name.clone(), values.remove(name)?.expose().to_owned()))).collect();
        if let Some((name, _)) = copied.iter().find(|(name, value)| !app.manifest.accepts(name, value)) {
            return Err(err!(InvalidInputs, "`{name}` has another form than the manifest states").with("fields", name));
        }
        let inputs = inputs::check(app.inputs(AuthType::Oauth2), &values)?;
        let (mut plain, mut inputs) = connect::split_inputs(&app, AuthType::Oauth2, inputs);
        inputs.extend(token_secret.map(|secret| (super::oauth1::TOKEN_SECRET.to_owned(), secret)));
        plain.extend(copied);
        let now = self.now();
        // Without an access token the first use renews.
        let expires_at = match (&access_token, request.expires_in) {
            (None, _) => Some(now),
            (Some(_), Some(seconds)) => Some(now.plus(Duration::from_secs(seconds))),
            // Nobody knows how old it is: renewed at the first use where that is possible.
            (Some(_), None) if refresh_token.is_some() => Some(now),
            (Some(_), None) => default_lifetime(&app).map(|lifetime| now.plus(lifetime)),
        };
        let mut new = NewConnection {
            auth_type,
            client_key: CLIENT_KEY.to_owned(),
            grant: Grant { access_token, refresh_token, token_type, values: inputs, by_values: false },
            identity: None,
            grant_key: None,
            scopes: request.scopes,
            properties: plain,
            expires_at,
            shares_grants: app.shares_grants(),
            plan: Plan::of(&app),
            renew: None,
        };
        if new.grant.access_token.is_some() {
            new.identity = self.identify(&app, &request.account, &new, None).await?;
        }
        new.grant_key = match (&new.identity, self.client(&app)) {
            (Some(identity), Ok(client)) => Some(grant_key(&client.id, app.slug(), identity)),
            _ => None,
        };
        self.save_connection(actor, &request.account, &request.application, new, None).await
    }

    /// `proven`: the client that was just taken, and where.
    async fn save_connection(
        &self,
        actor: String,
        account: &str,
        application: &str,
        new: NewConnection,
        proven: Option<Place>,
    ) -> Result<Connection> {
        let about = self.about(actor, account, Some(application));
        let (vault, slug) = (self.vault.clone(), application.to_owned());
        let row = self
            .write(move |tx| {
                if let Some(place) = &proven {
                    super::health::client_taken(tx, &about, place, None)?;
                }
                connections::save(tx, &about, &vault, &slug, new)
            })
            .await?;
        self.cache.forget(account, application);
        connections::to_model(&row)
    }

    /// Keeps revocations that a former disconnect queued from going out while a new grant is made, and waits for those
    /// that are out: a late one could kill the new grant.
    pub(super) async fn hold_revocations(&self, account: &str, application: &str) -> Result<()> {
        loop {
            let (tenant, account, application) = (self.tenant.clone(), account.to_owned(), application.to_owned());
            let (boot, until) = (self.clock.boot(), self.now().millis() + millis(self.exchange_limit()));
            let waiting = self.read({
                let (tenant, account, application) = (tenant.clone(), account.clone(), application.clone());
                move |tx| tx.queued_revocations(&tenant, &account, &application)
            });
            if waiting.await?.is_empty() {
                return Ok(());
            }
            let in_flight = self
                .write(move |tx| {
                    let mut in_flight = false;
                    for mut queued in tx.queued_revocations(&tenant, &account, &application)? {
                        if outbox::is_leased(&queued, &boot) {
                            in_flight = true;
                        } else {
                            queued.next_at = queued.next_at.max(until);
                            tx.put_revocation(&tenant, &queued)?;
                        }
                    }
                    Ok(in_flight)
                })
                .await?;
            if !in_flight {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Names a grant so that siblings can be found without storing who it is twice.
fn grant_key(client_id: &str, slug: &str, identity: &Identity) -> String {
    fingerprint(&format!("{slug}\n{client_id}\n{}", identity.id))
}

fn new_connection(app: &App, tokens: &TokenSet, asked: Vec<String>, now: Timestamp) -> NewConnection {
    let lifetime = tokens.expires_in.or_else(|| default_lifetime(app));
    NewConnection {
        auth_type: AuthType::Oauth2,
        client_key: app.client_key().to_owned(),
        grant: Grant {
            access_token: Some(tokens.access_token.clone()),
            refresh_token: tokens.refresh_token.clone(),
            token_type: Some(tokens.token_type.clone()),
            values: BTreeMap::new(),
            by_values: false,
        },
        identity: None,
        grant_key: None,
        // RFC 6749 section 5.1: an absent scope means "as asked".
        scopes: tokens.scopes.clone().unwrap_or(asked),
        properties: tokens.copied.values.clone(),
        expires_at: lifetime.map(|lifetime| now.plus(lifetime)),
        shares_grants: app.shares_grants(),
        plan: Plan::of(app),
        renew: None,
    }
}

pub(super) fn default_lifetime(app: &App) -> Option<Duration> {
    app.oauth().ok()?.answer.default_expires_in.map(Duration::from_secs)
}

/// The credential of a connection that is not saved yet.
pub(super) fn credential_of(application: &str, connection_id: &str, new: &NewConnection) -> Credential {
    Credential {
        connection_id: connection_id.to_owned(),
        application: application.to_owned(),
        auth_type: new.auth_type,
        access_token: new.grant.access_token.clone(),
        token_type: new.grant.token_type.clone(),
        expires_at: new.expires_at,
        scopes: new.scopes.clone(),
        values: new.grant.values.clone(),
        properties: new.properties.clone(),
    }
}

/// The text at an answer's pointer; ids may be numbers.
fn text_at(answer: &Json, pointer: Option<&str>) -> Option<String> {
    match answer.pointer(pointer?)? {
        Json::String(text) if !text.is_empty() && text.len() <= 512 => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a manifest names as an identity: the text at a pointer, or a template of what was entered and copied.
pub(super) fn named(app: &App, new: &NewConnection, what: Option<&str>, at: impl Fn(&str) -> Option<String>) -> Result<Option<String>> {
    match what {
        Some(text) if text.contains('{') => template::text(text, &app.values(Values::new().map(&new.properties))).map(Some),
        Some(pointer) => Ok(at(pointer)),
        None => Ok(None),
    }
}

pub(super) fn identity(id: Option<String>, label: Option<String>) -> Option<Identity> {
    id.map(|id| Identity { label: label.unwrap_or_else(|| id.clone()), id })
}

fn limited(app: &App, answer: &HttpResponse, now: Timestamp) -> Error {
    let error = err!(ProviderLimited, "`{}` limits the rate of calls", app.slug());
    match protocol::retry_after(&answer.headers, &app.manifest.api.rate_limit, now) {
        Some(wait) => error.retry_after(wait),
        None => error,
    }
}

pub(super) fn exchange_error(app: &App, failure: TokenFailure) -> Error {
    let named = |error: Error, provider_error: String| error.with("application", app.slug()).with("provider_error", provider_error);
    match failure {
        TokenFailure::Final { provider_error } | TokenFailure::Suspended { provider_error } | TokenFailure::Refused { provider_error } => {
            named(err!(ExchangeFailed, "`{}` refused the code with `{provider_error}`", app.slug()), provider_error)
        }
        TokenFailure::Client { provider_error } if app.registered().is_some() && provider_error == "invalid_client" => {
            let error =
                err!(ExchangeFailed, "`{}` no longer knows the client that it registered; the next flow has another one", app.slug());
            named(error.with("cause", CLIENT_GONE), provider_error)
        }
        TokenFailure::Client { provider_error } => {
            named(err!(ClientRejected, "`{}` refused the organisation's client with `{provider_error}`", app.slug()), provider_error)
        }
        TokenFailure::Passing { error } => error,
    }
}

/// What errors of a registered client's end name as their cause.
pub(super) const CLIENT_GONE: &str = "client_gone";

pub(super) fn is_client_gone(error: &Error) -> bool {
    error.info().context.get("cause").is_some_and(|cause| cause == CLIENT_GONE)
}

/// What the log says about a connection whose end came with an error.
pub(super) fn expire(tx: &mut dyn Tx, about: &About, row: &mut ConnectionRow, error: &Error) -> Result<()> {
    // One that was suspended ends for good: that is news too.
    let was_alive = row.status == crate::model::ConnectionStatus::Active.as_str() || super::credential::is_suspended(row);
    (row.trouble, row.renew_at) = (None, None);
    crate::model::ConnectionStatus::Expired.as_str().clone_into(&mut row.status);
    note_error(row, error, about.now);
    row.row_version += 1;
    tx.put_connection(&about.tenant, row)?;
    if was_alive {
        let data = serde_json::json!({"connection": row.id, "code": error.code().as_str(), "recoverable": false});
        about.event(tx, EventType::ConnectionExpired, &data)?;
    }
    Ok(())
}

/// Keeps the last trouble beside the connection.
pub(super) fn note_error(row: &mut ConnectionRow, error: &Error, now: Timestamp) {
    let noted = crate::model::ConnectionError { code: error.code().as_str().to_owned(), reason: error.reason().to_owned(), at: now };
    row.last_error_json = serde_json::to_string(&noted).ok();
}
