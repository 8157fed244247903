//! Applications: which are enabled, and how they stand for a linked account.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use super::{Inner, health, registration::Registered, require_account, sessions::Reader};
use crate::{
    Secret,
    backend::{GetAccount, GetApp},
    error::{Error, Result, bail, err},
    http::protocol::ClientCredentials,
    manifest::{
        AppManifest, KeyGrant, KeyToken, Keybased, Oauth1, Oauth2, Placement, Placements, Registration, SANDBOX_SLUGS,
        document::did_you_mean,
        template::{self, Values},
    },
    model::{AppStatus, Application, AuthType, Connection, ConnectionStatus, Credential, Environment, GrantKind, InputField},
    plugin::ClientIdentity,
    project::{AppSettings, LoadedProject},
    sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox, SandboxOptions},
};

/// The one client per application and environment that a project names so far; part of state and redirect path.
pub(super) const CLIENT_KEY: &str = "default";

/// An enabled application: what its manifest says and what the project set.
#[derive(Clone)]
pub(super) struct App {
    pub(super) manifest: Arc<AppManifest>,
    pub(super) project: Arc<LoadedProject>,
    settings: Arc<AppSettings>,
    /// The manifest's variables with the project's values.
    variables: Arc<BTreeMap<String, String>>,
    sandbox_origin: Option<String>,
    /// The organisation's client, where calls of the API name it.
    client: Option<ClientCredentials>,
    /// The client that the provider registered, where the project names none.
    registered: Option<Arc<Registered>>,
}

/// Whether calls of the API name the organisation's client, e.g. in a header.
fn names_client(manifest: &AppManifest) -> bool {
    let client = ["client_id", "client_secret"];
    let named = |text: &String| template::names(text, &client);
    let placed = |placement: &Placement| placement.names(&client);
    let api = &manifest.api;
    manifest.oauth2.is_some() && (api.headers.values().any(named) || api.placement.iter().flat_map(Placements::all).any(placed))
}

/// What stays the same of an application while project and manifest do: made once, not for every call.
#[derive(Clone)]
struct Known {
    manifest: Arc<AppManifest>,
    project: Arc<LoadedProject>,
    settings: Arc<AppSettings>,
    variables: Arc<BTreeMap<String, String>>,
    names_client: bool,
}

/// The applications that were used, by slug.
#[derive(Default)]
pub(super) struct Apps(RwLock<HashMap<String, Known>>);

impl Apps {
    fn known(&self, slug: &str, project: &Arc<LoadedProject>, manifest: &Arc<AppManifest>) -> Option<Known> {
        let apps = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = apps.get(slug)?;
        (Arc::ptr_eq(&known.project, project) && Arc::ptr_eq(&known.manifest, manifest)).then(|| known.clone())
    }

    /// An enabled application with a manifest: there are as many as the project names.
    fn remember(&self, slug: &str, known: &Known) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(slug.to_owned(), known.clone());
    }
}

/// The certificate that a customer entered.
pub(super) fn entered_identity(values: &BTreeMap<String, Secret>) -> Result<Option<ClientIdentity>> {
    let Some(certificate) = values.get("client_certificate") else { return Ok(None) };
    match ClientIdentity::from_pem(certificate, values.get("client_key")) {
        Ok(identity) => Ok(Some(identity)),
        Err(_) => {
            Err(err!(InvalidInputs, "what was entered is no certificate with its key in PEM form").with("fields", "client_certificate"))
        }
    }
}

/// Sandbox applications are those whose hosts are the sandbox's.
pub(super) fn is_sandbox(slug: &str) -> bool {
    SANDBOX_SLUGS.contains(&slug)
}

impl App {
    /// By its manifest alone.
    #[cfg(test)]
    pub(super) fn fixture(manifest: Arc<AppManifest>, project: crate::project::Project) -> Self {
        let project = crate::project::ProjectSource::value(project, ".").expect("the project is right").current();
        let variables = Arc::new(manifest.variable_values(&BTreeMap::new()));
        Self {
            manifest,
            project,
            settings: Arc::new(AppSettings::default()),
            variables,
            sandbox_origin: None,
            client: None,
            registered: None,
        }
    }

    pub(super) fn slug(&self) -> &str {
        &self.manifest.slug
    }

    pub(super) fn settings(&self) -> &AppSettings {
        &self.settings
    }

    pub(super) fn oauth(&self) -> Result<&Oauth2> {
        self.manifest.oauth2.as_ref().ok_or_else(|| err!(WrongAuthType, "`{}` offers no OAuth 2.0", self.slug()))
    }

    /// Whether ending one connection's grant ends those of the same user and client too.
    pub(super) fn shares_grants(&self) -> bool {
        self.oauth().is_ok_and(|oauth| oauth.revoke.as_ref().is_some_and(|revoke| revoke.shared_grant))
    }

    /// How entered values become a token, where they are not sent themselves.
    pub(super) fn key_token(&self) -> Option<&KeyToken> {
        self.manifest.keybased.as_ref().and_then(|keys| keys.token.as_ref())
    }

    /// The rules by which a connection's tokens are asked for, read and ended.
    pub(super) fn rules(&self, auth_type: AuthType) -> Result<Cow<'_, Oauth2>> {
        match (auth_type, self.key_token()) {
            (AuthType::Keybased, Some(token)) => Ok(Cow::Owned(token.rules())),
            (AuthType::Keybased, None) => bail!(WrongAuthType, "the keys of `{}` are sent themselves", self.slug()),
            (AuthType::Oauth2, _) => self.oauth().map(Cow::Borrowed),
        }
    }

    pub(super) fn registration(&self) -> Option<&Registration> {
        self.manifest.oauth2.as_ref().and_then(|oauth| oauth.registration.as_ref())
    }

    /// What a call of the API proves itself with below HTTP, where the manifest wants that.
    pub(super) fn identity(&self, credential: &Credential) -> Result<Option<ClientIdentity>> {
        if !self.manifest.api.client_certificate {
            return Ok(None);
        }
        let own = self.key_token().filter(|token| credential.auth_type == AuthType::Keybased && token.proves_by_own_certificate());
        let identity = match own {
            Some(_) => entered_identity(&credential.values)?,
            None => self.client.as_ref().and_then(|client| client.identity.clone()),
        };
        match identity {
            Some(identity) => Ok(Some(identity)),
            None => bail!(ProjectInvalid, "calls of `{}` present a certificate, and its client names none that can be read", self.slug()),
        }
    }

    /// Whether calls of the API name the client.
    pub(super) fn names_client(&self) -> bool {
        names_client(&self.manifest)
    }

    /// The client that the provider registered for us, once it is known which one is meant.
    pub(super) fn registered(&self) -> Option<&Registered> {
        self.registered.as_deref()
    }

    /// Names the client in flows and connections.
    pub(super) fn client_key(&self) -> &str {
        self.registered().map_or(CLIENT_KEY, |registered| &registered.key)
    }

    pub(super) fn oauth1(&self) -> Option<&Oauth1> {
        self.manifest.oauth1.as_ref()
    }

    pub(super) fn keybased(&self) -> Result<&Keybased> {
        self.manifest.keybased.as_ref().ok_or_else(|| err!(WrongAuthType, "`{}` is not connected with keys", self.slug()))
    }

    pub(super) fn auth_types(&self) -> Vec<AuthType> {
        let mut types = Vec::new();
        types.extend((self.manifest.oauth2.is_some() || self.manifest.oauth1.is_some()).then_some(AuthType::Oauth2));
        types.extend(self.manifest.keybased.as_ref().map(|_| AuthType::Keybased));
        types
    }

    /// How an auth type leads to a credential.
    fn grants(&self, auth_type: AuthType) -> Vec<GrantKind> {
        match auth_type {
            AuthType::Oauth2 => match &self.manifest.oauth2 {
                Some(oauth) => {
                    let device = oauth.device.as_ref().map(|_| GrantKind::DeviceCode);
                    let page = oauth.has_page().then_some(GrantKind::AuthorizationCode);
                    page.into_iter().chain(device).collect()
                }
                None => vec![GrantKind::Oauth1],
            },
            AuthType::Keybased => vec![match self.key_token().map(|token| token.grant) {
                None => GrantKind::Keys,
                Some(KeyGrant::ClientCredentials) => GrantKind::ClientCredentials,
                Some(KeyGrant::JwtBearer) => GrantKind::JwtBearer,
                Some(KeyGrant::Login) => GrantKind::Login,
            }],
        }
    }

    /// What the user must enter; the project may have redefined the key-based fields.
    pub(super) fn inputs(&self, auth_type: AuthType) -> &[InputField] {
        match auth_type {
            AuthType::Oauth2 => match (&self.manifest.oauth2, &self.manifest.oauth1) {
                (Some(oauth), _) => &oauth.inputs,
                (None, Some(oauth)) => &oauth.inputs,
                (None, None) => &[],
            },
            AuthType::Keybased => match &self.settings.inputs {
                Some(inputs) => inputs,
                None => self.manifest.keybased.as_ref().map_or(&[], |keys| &keys.inputs),
            },
        }
    }

    /// The values that every template of the application may use; more specific ones go in front.
    pub(super) fn values<'a>(&'a self, first: Values<'a>) -> Values<'a> {
        let mut values = first.map(&self.variables).declared_by(&self.manifest);
        if let Some(client) = &self.client {
            values = values.one("client_id", &client.id);
            if let Some(secret) = &client.secret {
                values = values.one("client_secret", secret.expose());
            }
        }
        match &self.sandbox_origin {
            Some(origin) => values.sandbox_origin(origin),
            None => values,
        }
    }

    fn describe(&self, connections: Vec<Connection>) -> Application {
        let manifest = &self.manifest;
        let status = match connections.iter().find(|c| c.is_default).or(connections.first()) {
            None => AppStatus::NotConnected,
            Some(c) if c.status == ConnectionStatus::Active => AppStatus::Connected,
            Some(_) => AppStatus::ReauthRequired,
        };
        let auth_types = self.auth_types();
        Application {
            slug: manifest.slug.clone(),
            name: manifest.name.clone(),
            description: manifest.description.clone(),
            categories: manifest.categories.clone(),
            grants: auth_types.iter().map(|t| (*t, self.grants(*t))).collect(),
            inputs: auth_types.iter().map(|t| (*t, self.inputs(*t).to_vec())).collect(),
            auth_types,
            brand: self.settings.brand_of(manifest),
            status,
            connections,
            help: manifest.help.clone(),
        }
    }
}

impl Inner {
    /// The enabled application of this slug.
    pub(super) async fn app(&self, slug: &str) -> Result<App> {
        let project = self.project.current();
        if !is_enabled(&project, slug) {
            return Err(self.not_enabled(slug));
        }
        if is_sandbox(slug) && self.tenant.environment == Environment::Production {
            bail!(SandboxRefused, "`{slug}` is a sandbox application");
        }
        let Some(manifest) = self.catalog.get(slug) else {
            bail!(ApplicationNotFound, "the project enables `{}`, but there is no manifest for it", slug.escape_debug())
        };
        let known = self.apps.known(slug, &project, &manifest).unwrap_or_else(|| {
            let settings = project.project.apps.get(slug).cloned().unwrap_or_default();
            let variables = Arc::new(manifest.variable_values(&settings.variables));
            let names_client = names_client(&manifest) || manifest.api.client_certificate;
            let known = Known { manifest, project, settings: Arc::new(settings), variables, names_client };
            self.apps.remember(slug, &known);
            known
        });
        let Known { manifest, project, settings, variables, names_client } = known;
        let sandbox_origin = if is_sandbox(slug) { Some(self.sandbox_origin(&project).await?) } else { None };
        let mut app = App { manifest, settings, variables, project, sandbox_origin, client: None, registered: None };
        if names_client {
            // Without one, only what needs it fails.
            app.client = self.client(&app).ok();
        }
        Ok(app)
    }

    /// Why an application cannot be had: it is not enabled, mistyped, or nobody knows it.
    fn not_enabled(&self, slug: &str) -> Error {
        if self.catalog.get(slug).is_some() {
            return err!(ApplicationNotFound, "the project does not enable `{slug}`");
        }
        let enabled = self.enabled_slugs();
        match did_you_mean(slug, enabled.iter().map(String::as_str)) {
            Some(near) => err!(ApplicationNotFound, "no enabled application `{}`; did you mean `{near}`?", slug.escape_debug()),
            None => err!(ApplicationNotFound, "no enabled application `{}`", slug.escape_debug()),
        }
    }

    /// Where the sandbox listens; starts one in this process unless the project names one that runs.
    pub(super) async fn sandbox_origin(&self, project: &LoadedProject) -> Result<String> {
        if let Some(url) = &project.project.sandbox.url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        let was_running = self.sandbox.initialized();
        let sandbox = self
            .sandbox
            .get_or_try_init(|| async {
                let listen = project.project.sandbox.listen.as_deref().unwrap_or("127.0.0.1:0");
                let listen =
                    listen.parse().map_err(|_| err!(ProjectInvalid, "`sandbox.listen` is not an address like `127.0.0.1:4600`"))?;
                Sandbox::start(SandboxOptions { listen, clock: self.clock.clone(), ..SandboxOptions::default() }).await
            })
            .await?;
        if !was_running {
            self.apply_policy(project);
        }
        Ok(sandbox.origin())
    }

    /// Whether the project names a client for it.
    pub(super) fn names_own_client(&self, app: &App) -> bool {
        app.settings().client.contains_key(&self.tenant.environment)
    }

    /// The application with a client that the provider registered.
    pub(super) fn bind(&self, mut app: App, registered: Registered) -> Result<App> {
        app.registered = Some(Arc::new(registered));
        if app.names_client() {
            app.client = Some(self.client(&app)?);
        }
        Ok(app)
    }

    /// The organisation's client for an application in this environment.
    pub(super) fn client(&self, app: &App) -> Result<ClientCredentials> {
        if let Some(registered) = app.registered() {
            let (id, secret) = (registered.id.clone(), registered.secret.clone());
            return Ok(ClientCredentials { id, secret, identity: None, now: self.now() });
        }
        match app.settings().client.get(&self.tenant.environment) {
            Some(_) if app.manifest.leads_anywhere() => {
                bail!(ProjectInvalid, "`apps.{}.client` would be shown to any host that a user names; remove it", app.slug())
            }
            Some(client) => Ok(ClientCredentials {
                id: client.id.clone(),
                secret: client.secret.as_ref().map(|secret| self.secrets.resolve(secret, &app.project.base_dir)).transpose()?,
                identity: client.identity(&app.project.base_dir)?,
                now: self.now(),
            }),
            None if is_sandbox(app.slug()) => {
                Ok(ClientCredentials { id: CLIENT_ID.to_owned(), secret: Some(CLIENT_SECRET.into()), identity: None, now: self.now() })
            }
            None => {
                let (slug, environment) = (app.slug(), self.tenant.environment);
                let table = format!("the project has no `[apps.{slug}.client.{environment}]`");
                // Connecting again registers one.
                let registered = if app.registration().is_some() { "no client is registered for this connection, and " } else { "" };
                Err(err!(ClientMissing, "{registered}{table}").with("application", slug))
            }
        }
    }

    pub(super) fn enabled_slugs(&self) -> Vec<String> {
        let project = self.project.current();
        let own = project.project.apps.keys().map(String::as_str);
        let slugs: BTreeSet<&str> = own.chain(SANDBOX_SLUGS).filter(|slug| is_enabled(&project, slug)).collect();
        let may_be = |slug: &str| !(is_sandbox(slug) && self.tenant.environment == Environment::Production);
        slugs.into_iter().filter(|slug| may_be(slug) && self.catalog.has(slug)).map(ToOwned::to_owned).collect()
    }

    pub(super) async fn list_apps(&self, reader: Reader, request: GetAccount) -> Result<Vec<Application>> {
        let tenant = self.tenant.clone();
        let (rows, refused) = self
            .read(move |tx| {
                reader.check(tx)?;
                require_account(tx, &tenant, &request.account)?;
                Ok((tx.connections(&tenant, &request.account, None)?, health::refused(tx, &tenant, None)?))
            })
            .await?;
        let mut by_app: BTreeMap<String, Vec<Connection>> = BTreeMap::new();
        for connection in self.shown(&rows, &refused).await? {
            by_app.entry(connection.application.clone()).or_default().push(connection);
        }
        let mut described = Vec::new();
        for slug in self.enabled_slugs() {
            match self.app(&slug).await {
                Ok(app) => described.push(app.describe(by_app.remove(&slug).unwrap_or_default())),
                // One that cannot be used now hides no others.
                Err(error) => tracing::warn!(application = slug, code = error.code().as_str(), "an application cannot be described"),
            }
        }
        Ok(described)
    }

    pub(super) async fn get_app(&self, reader: Reader, request: GetApp) -> Result<Application> {
        let app = match self.app(&request.application).await {
            Ok(app) => app,
            // Whoever has no authority learns nothing of the project.
            Err(error) => return self.read(move |tx| reader.check(tx)).await.and(Err(error)),
        };
        let tenant = self.tenant.clone();
        let (rows, refused) = self
            .read(move |tx| {
                reader.check(tx)?;
                require_account(tx, &tenant, &request.account)?;
                let application = Some(request.application.as_str());
                Ok((tx.connections(&tenant, &request.account, application)?, health::refused(tx, &tenant, application)?))
            })
            .await?;
        Ok(app.describe(self.shown(&rows, &refused).await?))
    }
}

/// Whether the project offers it. The sandbox's own two need no entry.
fn is_enabled(project: &LoadedProject, slug: &str) -> bool {
    let entry = project.project.apps.get(slug);
    let offered = entry.map_or(is_sandbox(slug), |settings| settings.enabled);
    offered && (!is_sandbox(slug) || project.project.sandbox.enabled)
}
