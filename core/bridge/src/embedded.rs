//! The engine in the host's own process.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use smalt::{
    Code, Error, Result, Secret, Smalt,
    engine::Timings,
    manifest::AppManifest,
    model::Environment,
    plugin::{FixedClock, KeyProvider},
    project::Project,
    vault::{KeyRing, LocalKey},
};
use zeroize::Zeroizing;

use crate::{
    Engine, PresenterOption,
    host::{HostConnector, HostKeys, HostPresenter, HostRunner},
    open::chosen,
};

/// What an embedded engine is opened with: values only. What is left out keeps its default.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedOptions {
    /// The store's file, made when it is missing. Absent: in memory, gone when the engine is closed.
    pub path: Option<PathBuf>,
    /// The project: its file's path, which is read again when it changes, or the project itself. Absent: an empty project.
    pub project: Option<ProjectOption>,
    /// The organisation, in the place of the project's `org.id`.
    pub organisation: Option<String>,
    /// Test (the default) or production.
    pub environment: Option<Environment>,
    /// The master key's text. Absent: the key provider, `key_file`, then `SMALT_KEY` and `SMALT_KEY_FILE`.
    pub key: Option<Secret>,
    /// The file that holds the master key.
    pub key_file: Option<PathBuf>,
    /// Makes a new master key that nobody keeps, for stores in memory.
    pub throwaway_key: bool,
    /// Enables the sandbox applications in the project.
    pub sandbox: bool,
    /// Applications as data, beside the built-in ones and the project's folders.
    pub manifests: Vec<AppManifest>,
    /// Where the engine is reached from outside, in the place of the project's `org.public_url`.
    pub public_url: Option<String>,
    /// Sends the organisation's webhooks from this engine.
    pub deliver_webhooks: bool,
    /// How long things take.
    pub timings: Timings,
    /// Opens authorize pages, where no presenter of the host does.
    pub presenter: Option<PresenterOption>,
    /// Who asks, for the audit; default `organisation`.
    pub actor: Option<String>,
}

/// The project, by its file or as it is.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum ProjectOption {
    /// The project file's path.
    File(PathBuf),
    /// The project itself.
    Value(Box<Project>),
}

/// The host's own code, and its clock in tests.
#[derive(Default)]
pub struct Plugins {
    /// Behaviour of applications.
    pub connectors: Vec<HostConnector>,
    /// Opens authorize pages.
    pub presenter: Option<HostPresenter>,
    /// Master keys.
    pub keys: Option<HostKeys>,
    /// Runs workflows.
    pub runner: Option<HostRunner>,
    /// A clock that the host moves; absent: the system's.
    pub clock: Option<FixedClock>,
}

/// One of several, as one type.
struct Keys(Arc<dyn KeyProvider>);

#[async_trait]
impl KeyProvider for Keys {
    async fn key_id(&self) -> Result<String> {
        self.0.key_id().await
    }

    async fn wrap(&self, data_key: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>> {
        self.0.wrap(data_key, aad).await
    }

    async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
        self.0.unwrap(key_id, wrapped, aad).await
    }
}

fn keys(options: &EmbeddedOptions, own: Option<HostKeys>) -> Result<Keys> {
    let given = [own.is_some(), options.key.is_some(), options.key_file.is_some(), options.throwaway_key];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(Error::new(Code::InvalidRequest, "name one source of the master key: `key`, `key_file`, or a key provider"));
    }
    let local = |key: LocalKey| -> Result<Keys> { Ok(Keys(Arc::new(KeyRing::new(key).and_old()?))) };
    match (own, &options.key, &options.key_file, options.throwaway_key) {
        (Some(own), ..) => Ok(Keys(Arc::new(own))),
        (_, Some(key), ..) => local(LocalKey::parse(key)?),
        (_, _, Some(file), _) => local(LocalKey::from_file(file)?),
        (.., true) => Ok(Keys(Arc::new(LocalKey::generate()?))),
        _ => Ok(Keys(Arc::new(KeyRing::discover()?))),
    }
}

impl Engine {
    /// Opens an embedded engine.
    ///
    /// # Errors
    /// As [`SmaltBuilder::open`](smalt::SmaltBuilder::open); `invalid_request` for options that exclude each other.
    pub async fn embedded(options: EmbeddedOptions, plugins: Plugins) -> Result<Self> {
        let keys = keys(&options, plugins.keys)?;
        let mut builder = match options.path {
            Some(path) => Smalt::embedded(path),
            None => Smalt::in_memory(),
        };
        builder = builder.keys(keys).environment(options.environment.unwrap_or(Environment::Test)).timings(options.timings);
        builder = match (options.project, options.sandbox) {
            (None, false) => builder,
            (None, true) => {
                let mut project = Project::default();
                project.sandbox.enabled = true;
                builder.project_value(project)
            }
            (Some(ProjectOption::File(file)), false) => builder.project(file),
            (Some(ProjectOption::File(_)), true) => {
                return Err(Error::new(Code::InvalidRequest, "a project file enables the sandbox itself, with `[sandbox] enabled = true`"));
            }
            (Some(ProjectOption::Value(mut project)), sandbox) => {
                project.sandbox.enabled |= sandbox;
                builder.project_value(*project)
            }
        };
        if let Some(organisation) = options.organisation {
            builder = builder.organisation(organisation);
        }
        if let Some(url) = options.public_url {
            builder = builder.public_url(url);
        }
        if options.deliver_webhooks {
            builder = builder.deliver_webhooks();
        }
        if let Some(clock) = plugins.clock {
            builder = builder.clock(clock);
        }
        builder = options.manifests.into_iter().fold(builder, smalt::SmaltBuilder::manifest);
        builder = plugins.connectors.into_iter().fold(builder, smalt::SmaltBuilder::connector);
        if let Some(presenter) = chosen(plugins.presenter, options.presenter)? {
            builder = builder.presenter(presenter);
        }
        if let Some(runner) = plugins.runner {
            builder = builder.workflow_runner(runner);
        }
        let smalt = builder.open().await?;
        Ok(Engine::over(match options.actor {
            Some(actor) => smalt.acting_as(&actor),
            None => smalt,
        }))
    }
}
