//! Authenticated calls: built from the manifest, sent, tried again where that is safe.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use url::Url;
use zeroize::Zeroizing;

use super::{Inner, apps::App, credential::CALL, end_of, millis};
use crate::{
    backend::{ApiRequest, GetCredential},
    error::{Result, bail, err},
    http::protocol::{self, Limited},
    manifest::{
        Placement, Placements,
        template::{self, Values},
    },
    model::{ApiAnswer, AuthType, Credential, NameValue},
    plugin::{ConnectorContext, ContextCaller, Fault, HttpRequest, HttpResponse, guarded, inside, label},
    store::rows::ConnectionRow,
};

/// A call's time where the caller names none.
const DEFAULT_TIME: Duration = Duration::from_secs(30);
/// How often answers of 401 may have one connection renewed, until none came for a cool-down.
const MOST_FORCED: u32 = 5;
/// Tries of one call, the first included.
const TRIES: u32 = 3;

pub(super) fn values<'a>(app: &'a App, credential: &'a Credential) -> Values<'a> {
    let mut values = Values::new();
    if let Some(token) = &credential.access_token {
        values = values.one("access_token", token.expose());
    }
    if let Some(token_type) = &credential.token_type {
        values = values.one("token_type", token_type);
    }
    app.values(values.secrets(&credential.values).map(&credential.properties))
}

/// The full URL of a path; it stays on the application's own origin.
fn resolve(app: &App, values: &Values<'_>, path: &str) -> Result<Url> {
    let base = match &app.manifest.api.base_url {
        Some(base) => template::url(base, values)?,
        None => bail!(Unsupported, "the manifest of `{}` names no `api.base_url`", app.slug()),
    };
    let mut below = base.clone();
    if !below.path().ends_with('/') {
        below.set_path(&format!("{}/", base.path()));
    }
    let is_absolute = path.starts_with("https://") || path.starts_with("http://");
    let url = if is_absolute { Url::parse(path) } else { below.join(&format!("./{}", path.trim_start_matches('/'))) };
    let url = url.map_err(|_| err!(InvalidRequest, "the path is not one that a URL can hold"))?;
    if url.origin() != base.origin() || !url.username().is_empty() || url.password().is_some() {
        bail!(HostMismatch, "the path leads away from `{}`", base.host_str().unwrap_or_default());
    }
    Ok(url)
}

/// A request to the application with its headers and authentication in place. `url` is a template: a full URL, or a path
/// below the base URL.
pub(super) fn build(app: &App, credential: &Credential, method: &str, url: &str) -> Result<HttpRequest> {
    let url = template::url_below(app.manifest.api.base_url.as_deref(), url, &values(app, credential))?;
    prepare(app, credential, method, url)
}

/// Whether a header waits for a value that one of the manifest's `steps` has yet to find. Requests of the steps themselves
/// go without it; afterwards nothing is owed, since a connection without such a value is none.
fn steps_owe(app: &App, credential: &Credential, header: &str) -> bool {
    let Some(oauth) = app.manifest.oauth2.as_ref().filter(|oauth| !oauth.steps.is_empty()) else { return false };
    let owed = |name: &String| !credential.properties.contains_key(name) && oauth.steps.iter().any(|step| step.copy.contains_key(name));
    template::placeholders(header).is_ok_and(|names| names.iter().any(owed))
}

fn prepare(app: &App, credential: &Credential, method: &str, url: Url) -> Result<HttpRequest> {
    let values = values(app, credential);
    if method.is_empty() || method.len() > 32 || !method.bytes().all(|b| b.is_ascii_alphabetic()) {
        bail!(InvalidRequest, "`method` is not one that HTTP knows");
    }
    let mut request = HttpRequest::new(method, url);
    request.identity = app.identity(credential)?;
    request.set_header("user-agent", concat!("smalt/", env!("CARGO_PKG_VERSION")))?;
    request.set_header("accept", "application/json")?;
    for (name, value) in &app.manifest.api.headers {
        if !steps_owe(app, credential, value) {
            request.set_header(name, &Zeroizing::new(template::text(value, &values)?))?;
        }
    }
    each_place(app, credential, |placement| protocol::place(&mut request, placement, &values))?;
    Ok(request)
}

/// Puts what goes into the body there, once the body is as the caller wants it.
pub(super) fn finish(app: &App, credential: &Credential, request: &mut HttpRequest) -> Result<()> {
    let values = values(app, credential);
    each_place(app, credential, |placement| protocol::place_in_body(request, placement, &values))
}

/// Whether a credential goes into the body.
pub(super) fn fills_body(app: &App, credential: &Credential) -> Result<bool> {
    let mut fills = false;
    each_place(app, credential, |placement| {
        fills |= matches!(placement, Placement::Body { .. } | Placement::Xml { .. });
        Ok(())
    })?;
    Ok(fills)
}

/// Whether each request is signed on its own.
pub(super) fn signs(app: &App, credential: &Credential) -> Result<bool> {
    Ok(match credential.auth_type {
        AuthType::Oauth2 => app.oauth1().is_some(),
        AuthType::Keybased => app.keybased()?.placement.all().iter().any(|placement| matches!(placement, Placement::Oauth1 { .. })),
    })
}

fn each_place(app: &App, credential: &Credential, put: impl FnMut(&Placement) -> Result<()>) -> Result<()> {
    let bearer = protocol::bearer();
    let places = match credential.auth_type {
        // Signed, not placed.
        AuthType::Oauth2 if app.oauth1().is_some() => return Ok(()),
        AuthType::Oauth2 => app.manifest.api.placement.as_ref().map_or(std::slice::from_ref(&bearer), Placements::all),
        AuthType::Keybased => app.keybased()?.placement.all(),
    };
    places.iter().try_for_each(put)
}

impl Inner {
    /// Sends an authenticated call. The provider's answer is returned whatever its status; a token that died early is
    /// renewed once, and a dead grant is `reauth_required`.
    pub(super) async fn api_request(self: &Arc<Self>, actor: &str, request: ApiRequest) -> Result<ApiAnswer> {
        self.api_call(actor, request).await.map(|(answer, _)| answer.into())
    }

    /// The same, with the URL that was called. All tries and the waits between them have the caller's time together.
    pub(super) async fn api_call(self: &Arc<Self>, actor: &str, request: ApiRequest) -> Result<(HttpResponse, Url)> {
        let until = end_of(request.timeout.unwrap_or(DEFAULT_TIME));
        let (app, mut row) = self.usable(&selector(&request)).await?;
        self.note_use_of_secret(CALL, actor, &row).await?;
        let mut renewed = false;
        let mut tries = 0;
        loop {
            let credential = self.open_credential(&row)?;
            let mut outgoing = self.sign(&app, &credential, outgoing(&app, &credential, &request)?)?;
            outgoing.timeout = until.saturating_duration_since(Instant::now());
            let url = outgoing.url.clone();
            let answer = self.transport.send(outgoing).await?;
            tries += 1;
            if answer.status == 401 && !renewed && self.may_force(&row) {
                // A 401 means that nothing was done: the call is safe to send once more.
                renewed = true;
                row = self.renewed_now(&app, row).await?;
                continue;
            }
            let rules = &app.manifest.api.rate_limit;
            let repeatable = match protocol::limited(rules, &answer) {
                Limited::No => false,
                Limited::NotProcessed => true,
                Limited::Perhaps => is_idempotent(&request.method),
            };
            if !repeatable || tries >= TRIES {
                return Ok((answer, url));
            }
            let left = until.saturating_duration_since(Instant::now());
            match protocol::retry_after(&answer.headers, rules, self.now()) {
                Some(wait) if wait < left => tokio::time::sleep(wait).await,
                _ => return Ok((answer, url)),
            }
        }
    }

    /// Whether an answer of 401 may have this connection renewed. An endpoint that always answers 401 must not cost a
    /// refresh per call. Counts itself.
    pub(super) fn may_force(&self, row: &ConnectionRow) -> bool {
        let now = self.now().millis();
        let lately = |at: i64| (now - at).abs() < millis(self.timings.cooldown);
        let forced = self.forced.get(&row.id).filter(|(_, at, _)| lately(*at));
        let (count, same) = forced.map_or((0, false), |(count, _, version)| (count, version == row.secret_version));
        // Calls that were in flight with one token share one renewal, so they count once.
        let may = row.refresh_print.is_some() && (same || count < MOST_FORCED);
        if may {
            self.forced.insert(row.id.clone(), (if same { count } else { count + 1 }, now, row.secret_version));
        }
        may
    }

    /// Signs a request that is complete, where the application wants each one signed.
    pub(super) fn sign(&self, app: &App, credential: &Credential, mut request: HttpRequest) -> Result<HttpRequest> {
        let known = values(app, credential);
        match (credential.auth_type, app.oauth1()) {
            (AuthType::Oauth2, Some(oauth)) => {
                let client = self.client(app)?;
                let keys = protocol::Oauth1Keys {
                    consumer_key: client.id,
                    consumer_secret: client.secret.unwrap_or_default(),
                    token: credential.access_token.clone(),
                    token_secret: credential.values.get(super::oauth1::TOKEN_SECRET).cloned().unwrap_or_default(),
                };
                let realm = oauth.realm.as_deref().map(|realm| template::text(realm, &known)).transpose()?;
                protocol::sign(&mut request, &keys, oauth.signature, realm.as_deref(), &[], self.now())?;
            }
            (AuthType::Keybased, _) => {
                for placement in app.keybased()?.placement.all() {
                    protocol::sign_placed(&mut request, placement, &known, self.now())?;
                }
            }
            (AuthType::Oauth2, None) => {}
        }
        Ok(request)
    }

    /// Calls an application's connector: guarded, and where it cannot call back into what is waiting for it. What it says
    /// of a failure is shown without the credential that it was given.
    pub(super) async fn call_connector<T, F>(
        &self,
        app: &App,
        account: &str,
        credential: Option<&Credential>,
        what: &str,
        call: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let ended = guarded(&connector_name(app), what, self.timings.plugin, inside(&self.tenant, account, app.slug(), call)).await;
        ended.map_err(|error| match credential {
            Some(credential) => credential.scrub(error),
            None => error,
        })
    }

    /// What a connector is given.
    pub(super) fn context(self: &Arc<Self>, app: &App, account: &str, credential: Option<Arc<Credential>>) -> ConnectorContext {
        ConnectorContext {
            account_id: account.to_owned(),
            application: app.slug().to_owned(),
            credential: credential.as_deref().cloned(),
            caller: Arc::new(Calls { engine: self.clone(), app: app.clone(), credential }),
        }
    }
}

/// How errors name an application's connector.
pub(super) fn connector_name(app: &App) -> String {
    label::connector(app.slug())
}

/// Which connection a call means.
pub(super) fn selector(request: &ApiRequest) -> GetCredential {
    GetCredential { account: request.account.clone(), application: request.application.clone(), connection: request.connection.clone() }
}

/// Methods that do the same however often they are sent (RFC 9110 section 9.2.2).
fn is_idempotent(method: &str) -> bool {
    matches!(method.to_ascii_uppercase().as_str(), "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
}

/// The query parameters that bear the credential.
pub(super) fn secret_params(app: &App) -> Vec<String> {
    let places = [app.manifest.api.placement.as_ref(), app.manifest.keybased.as_ref().map(|keys| &keys.placement)];
    let names = places.into_iter().flatten().flat_map(Placements::all).filter_map(|placement| match placement {
        Placement::Query { name, .. } => Some(name.clone()),
        _ => None,
    });
    names.collect()
}

pub(super) fn outgoing(app: &App, credential: &Credential, wanted: &ApiRequest) -> Result<HttpRequest> {
    let mut url = resolve(app, &values(app, credential), &wanted.path)?;
    if !wanted.query.is_empty() {
        url.query_pairs_mut().extend_pairs(wanted.query.iter().map(|pair| (&pair.name, &pair.value)));
    }
    let mut request = prepare(app, credential, &wanted.method, url)?;
    let mut placed: Vec<String> = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    if signs(app, credential)? {
        // The signature comes last.
        placed.push("authorization".to_owned());
    }
    for NameValue { name, value } in &wanted.headers {
        let name = name.to_ascii_lowercase();
        let ours = placed.contains(&name) && name != "accept" && name != "user-agent";
        if ours || matches!(name.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
            bail!(InvalidRequest, "the header `{}` is not the caller's to set", name.escape_default());
        }
        request.set_header(&name, value)?;
    }
    if let Some(body) = &wanted.body {
        request.set_body(&body.content_type, body.content.clone());
    }
    finish(app, credential, &mut request)?;
    request.timeout = wanted.timeout.unwrap_or(DEFAULT_TIME);
    request.max_body = usize::try_from(wanted.max_body.unwrap_or(ApiAnswer::MOST as u64)).unwrap_or(usize::MAX);
    Ok(request)
}

/// A connector's way to the application: with the credential that it was given.
struct Calls {
    engine: Arc<Inner>,
    app: App,
    credential: Option<Arc<Credential>>,
}

#[async_trait]
impl ContextCaller for Calls {
    fn request(&self, method: &str, path: &str) -> Result<HttpRequest> {
        let Some(credential) = &self.credential else {
            bail!(NotConnected, "the application is not connected, so the connector has no credential to call it with")
        };
        let url = resolve(&self.app, &values(&self.app, credential), path)?;
        prepare(&self.app, credential, method, url)
    }

    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse> {
        if let Some(credential) = &self.credential {
            finish(&self.app, credential, &mut request)?;
            request = self.engine.sign(&self.app, credential, request)?;
        }
        self.engine.transport.send(request).await
    }
}
