//! Authenticated calls: built from the manifest, sent, tried again where that is safe.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use url::Url;

use super::{Inner, apps::App, millis};
use crate::{
    backend::{ApiRequest, GetCredential},
    error::{Result, bail, err},
    http::protocol,
    manifest::{
        Placement, Placements,
        template::{self, Values},
    },
    model::{ApiAnswer, AuthType, Credential, NameValue},
    plugin::{ConnectorContext, ContextCaller, Fault, HttpRequest, HttpResponse, guarded, inside},
};

/// Waits longer than this are left to the caller.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
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

fn prepare(app: &App, credential: &Credential, method: &str, url: Url) -> Result<HttpRequest> {
    let values = values(app, credential);
    if method.is_empty() || method.len() > 32 || !method.bytes().all(|b| b.is_ascii_alphabetic()) {
        bail!(InvalidRequest, "`method` is not one that HTTP knows");
    }
    let mut request = HttpRequest::new(method, url);
    request.set_header("user-agent", concat!("smalt/", env!("CARGO_PKG_VERSION")))?;
    request.set_header("accept", "application/json")?;
    for (name, value) in &app.manifest.api.headers {
        request.set_header(name, &template::text(value, &values)?)?;
    }
    each_place(app, credential, |placement| protocol::place(&mut request, placement, &values))?;
    Ok(request)
}

/// Puts what goes into the body there, once the body is as the caller wants it.
pub(super) fn finish(app: &App, credential: &Credential, request: &mut HttpRequest) -> Result<()> {
    let values = values(app, credential);
    each_place(app, credential, |placement| protocol::place_in_body(request, placement, &values))
}

/// Whether each request is signed on its own.
fn signs(app: &App, credential: &Credential) -> Result<bool> {
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
    pub(super) async fn api_request(self: &Arc<Self>, request: ApiRequest) -> Result<ApiAnswer> {
        let selector = GetCredential {
            account: request.account.clone(),
            application: request.application.clone(),
            connection: request.connection.clone(),
        };
        let (app, mut row) = self.usable(&selector).await?;
        let mut renewed = false;
        let mut tries = 0;
        loop {
            let credential = self.open_credential(&row)?;
            let request_now = self.sign(&app, &credential, outgoing(&app, &credential, &request)?)?;
            let answer = self.transport.send(request_now).await?;
            tries += 1;
            // An endpoint that always answers 401 must not cost a refresh per call.
            let now = self.now().millis();
            let lately = |at: i64| (now - at).abs() < millis(self.timings.cooldown);
            let forced = self.forced.get(&row.id).filter(|(_, at, _)| lately(*at));
            let (count, same) = forced.map_or((0, false), |(count, _, version)| (count, version == row.secret_version));
            // Calls that were in flight with one token share one renewal, so they count once.
            if answer.status == 401 && !renewed && row.refresh_print.is_some() && (same || count < MOST_FORCED) {
                // A 401 means that nothing was done: the call is safe to send once more.
                renewed = true;
                self.forced.insert(row.id.clone(), (if same { count } else { count + 1 }, now, row.secret_version));
                row = self.renewed_now(&app, row).await?;
                continue;
            }
            let limits = &app.manifest.api.rate_limit;
            let limited =
                if limits.statuses.is_empty() { matches!(answer.status, 429 | 503) } else { limits.statuses.contains(&answer.status) };
            // 429 says that nothing was done; after anything else only what may be repeated is.
            let repeatable = answer.status == 429 || matches!(request.method.to_ascii_uppercase().as_str(), "GET" | "HEAD" | "OPTIONS");
            if !limited || !repeatable || tries >= TRIES {
                return Ok(answer.into());
            }
            match protocol::retry_after(&answer.headers, limits, self.now()) {
                Some(wait) if wait <= LONGEST_WAIT => tokio::time::sleep(wait).await,
                _ => return Ok(answer.into()),
            }
        }
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
    format!("connector {}", app.slug())
}

fn outgoing(app: &App, credential: &Credential, wanted: &ApiRequest) -> Result<HttpRequest> {
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
    request.timeout = wanted.timeout.unwrap_or(Duration::from_secs(30));
    request.max_body = usize::try_from(wanted.max_body.unwrap_or(8 * 1024 * 1024)).unwrap_or(usize::MAX);
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
