//! The plugins of core that ask the host.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use smalt::{
    Code, Error, Result, Secret,
    manifest::AppManifest,
    model::{FieldOption, Identity, Json, RuleColumns},
    plugin::{
        Connector, ConnectorContext, Fault, KeyProvider, OptionsRequest, PresentRequest, Presenter, RevokeRequest, RuleRequest,
        SessionProvider, WorkflowRun, WorkflowRunner, label,
    },
};
use zeroize::Zeroizing;

use super::{Bytes, Host, HostAnswer, HostArguments, Plugin, What, nonsense};

/// Longer than any page stays open: core watches its flow, and the time that the caller of `connect` allows.
const PAGE_TIME: Duration = Duration::from_secs(86_400);
/// A session provider's time: that of core, which watches it.
const TOKEN_TIME: Duration = Duration::from_secs(30);
/// A key provider's time for one call: that of core, which watches it.
const KEY_TIME: Duration = Duration::from_secs(30);

fn strange<T>(what: What, plugin: &Plugin) -> Result<T, Fault> {
    Err(Fault::Smalt(plugin.blamed(what, nonsense(what))))
}

/// An application's behaviour in host code.
#[derive(Clone, Debug)]
pub struct HostConnector {
    host: Host,
    plugin: Plugin,
    manifest: Option<AppManifest>,
    methods: HashSet<What>,
    deadline: Duration,
}

impl HostConnector {
    /// `methods` are those that the host's connector has; the others are the manifest's matter and never asked for. `deadline` is that
    /// of [`Timings::plugin`](smalt::engine::Timings).
    pub fn new(host: Host, slug: &str, manifest: Option<AppManifest>, methods: impl IntoIterator<Item = What>, deadline: Duration) -> Self {
        Self { host, plugin: Plugin::new(slug, &label::connector(slug)), manifest, methods: methods.into_iter().collect(), deadline }
    }

    async fn ask(&self, what: What, arguments: HostArguments, context: ConnectorContext) -> Result<HostAnswer, Fault> {
        if !self.methods.contains(&what) {
            return Ok(HostAnswer::NotMine);
        }
        self.host.ask(&self.plugin, what, arguments, Some(context), self.deadline).await
    }
}

#[async_trait]
impl Connector for HostConnector {
    fn slug(&self) -> &str {
        &self.plugin.name
    }

    fn manifest(&self) -> Option<AppManifest> {
        self.manifest.clone()
    }

    fn verifies(&self) -> bool {
        self.methods.contains(&What::Verify)
    }

    async fn verify(&self, ctx: ConnectorContext) -> Result<Option<Identity>, Fault> {
        match self.ask(What::Verify, HostArguments::None {}, ctx).await? {
            HostAnswer::NotMine => Ok(None),
            HostAnswer::Identity(identity) => Ok(Some(identity)),
            _ => strange(What::Verify, &self.plugin),
        }
    }

    async fn options(&self, ctx: ConnectorContext, request: OptionsRequest) -> Result<Option<Vec<FieldOption>>, Fault> {
        let OptionsRequest { source, field, workflow, parent_value, search } = request;
        let arguments = HostArguments::Options { field, source, workflow, parent_value, search };
        match self.ask(What::Options, arguments, ctx).await? {
            HostAnswer::NotMine => Ok(None),
            HostAnswer::Options(options) => Ok(Some(options)),
            _ => strange(What::Options, &self.plugin),
        }
    }

    async fn rule_columns(&self, ctx: ConnectorContext, request: RuleRequest) -> Result<Option<RuleColumns>, Fault> {
        let RuleRequest { field, workflow, lhs } = request;
        match self.ask(What::RuleColumns, HostArguments::RuleColumns { field, workflow, lhs }, ctx).await? {
            HostAnswer::NotMine => Ok(None),
            HostAnswer::RuleColumns(columns) => Ok(Some(columns)),
            _ => strange(What::RuleColumns, &self.plugin),
        }
    }

    async fn revoke(&self, ctx: ConnectorContext, request: RevokeRequest) -> Result<Option<()>, Fault> {
        let RevokeRequest { connection_id, attempt } = request;
        match self.ask(What::Revoke, HostArguments::Revoke { connection_id, attempt }, ctx).await? {
            HostAnswer::NotMine => Ok(None),
            HostAnswer::Done => Ok(Some(())),
            _ => strange(What::Revoke, &self.plugin),
        }
    }
}

/// A presenter in host code.
#[derive(Clone, Debug)]
pub struct HostPresenter {
    host: Host,
    plugin: Plugin,
    name: Arc<str>,
    redirect_uri: Option<String>,
}

impl HostPresenter {
    /// `name` is for errors; `redirect_uri` where it catches the callback itself.
    pub fn new(host: Host, name: &str, redirect_uri: Option<String>) -> Self {
        Self { host, plugin: Plugin::new("presenter", &label::presenter(name)), name: name.into(), redirect_uri }
    }
}

#[async_trait]
impl Presenter for HostPresenter {
    fn name(&self) -> &str {
        &self.name
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        let PresentRequest { authorize_url, redirect_uri, application, device } = request;
        let arguments = HostArguments::Present { authorize_url, redirect_uri, application, device: device.map(Into::into) };
        match self.host.ask(&self.plugin, What::Present, arguments, None, PAGE_TIME).await? {
            HostAnswer::NotMine => Ok(None),
            HostAnswer::Text(url) => Ok(Some(url)),
            _ => strange(What::Present, &self.plugin),
        }
    }

    fn redirect_uri(&self) -> Option<String> {
        self.redirect_uri.clone()
    }
}

/// Master keys in host code, e.g. of a key management service.
#[derive(Clone, Debug)]
pub struct HostKeys {
    host: Host,
    plugin: Plugin,
}

impl HostKeys {
    /// Asks this host as the plugin `keys`.
    pub fn new(host: Host) -> Self {
        Self { host, plugin: Plugin::new("keys", label::KEY_PROVIDER) }
    }

    fn strange(&self, what: What) -> Error {
        self.plugin.blamed(what, nonsense(what))
    }

    async fn ask(&self, what: What, arguments: HostArguments) -> Result<HostAnswer> {
        self.host.ask(&self.plugin, what, arguments, None, KEY_TIME).await.map_err(|fault| match fault {
            Fault::Smalt(error) => error,
            Fault::Rejected(reason) => self.plugin.blamed(what, Error::new(Code::KeyWrong, reason)),
            Fault::Failed { message, trace } => {
                let said = format!("`{}` failed in `{}`: {message}", self.plugin.label, what.name());
                let error = self.plugin.blamed(what, Error::new(Code::PluginFailed, said));
                match trace {
                    Some(trace) => error.trace(trace),
                    None => error,
                }
            }
        })
    }
}

#[async_trait]
impl KeyProvider for HostKeys {
    async fn key_id(&self) -> Result<String> {
        match self.ask(What::KeyId, HostArguments::None {}).await? {
            HostAnswer::Text(id) if !id.is_empty() => Ok(id),
            _ => Err(self.strange(What::KeyId)),
        }
    }

    async fn wrap(&self, data_key: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>> {
        match self.ask(What::Wrap, HostArguments::Wrap { data_key: Bytes(data_key), aad: Bytes(Zeroizing::new(aad)) }).await? {
            HostAnswer::Bytes(sealed) => Ok(sealed.to_vec()),
            _ => Err(self.strange(What::Wrap)),
        }
    }

    async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
        let arguments = HostArguments::Unwrap { key_id, wrapped: Bytes(Zeroizing::new(wrapped)), aad: Bytes(Zeroizing::new(aad)) };
        match self.ask(What::Unwrap, arguments).await? {
            HostAnswer::Bytes(open) => Ok(open),
            _ => Err(self.strange(What::Unwrap)),
        }
    }
}

/// A workflow runner in host code.
#[derive(Clone, Debug)]
pub struct HostRunner {
    host: Host,
    plugin: Plugin,
    deadline: Duration,
}

impl HostRunner {
    /// Asks this host as the plugin `runner`.
    pub fn new(host: Host, deadline: Duration) -> Self {
        Self { host, plugin: Plugin::new("runner", label::WORKFLOW_RUNNER), deadline }
    }
}

#[async_trait]
impl WorkflowRunner for HostRunner {
    async fn run(&self, run: WorkflowRun) -> Result<Json, Fault> {
        let WorkflowRun { account_id, application, config_id, workflow, fields, workflow_fields, payload } = run;
        let arguments = HostArguments::Run { account_id, application, config_id, workflow, fields, workflow_fields, payload };
        match self.host.ask(&self.plugin, What::Run, arguments, None, self.deadline).await? {
            HostAnswer::Json(answer) => Ok(answer),
            _ => strange(What::Run, &self.plugin),
        }
    }
}

/// Session tokens from host code, which asks the user's own backend.
#[derive(Clone, Debug)]
pub struct HostTokens {
    host: Host,
    plugin: Plugin,
}

impl HostTokens {
    /// Asks this host as the plugin `session`.
    pub fn new(host: Host) -> Self {
        Self { host, plugin: Plugin::new("session", label::SESSION_PROVIDER) }
    }
}

#[async_trait]
impl SessionProvider for HostTokens {
    async fn session_token(&self) -> Result<Secret, Fault> {
        match self.host.ask(&self.plugin, What::SessionToken, HostArguments::None {}, None, TOKEN_TIME).await? {
            HostAnswer::Secret(token) => Ok(token),
            _ => strange(What::SessionToken, &self.plugin),
        }
    }
}
