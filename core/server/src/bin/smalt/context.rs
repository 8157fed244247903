//! Where the store, the key and the project are, and an engine on them.

use std::path::{Path, PathBuf};

use smalt::{
    Code, Error, Result, Smalt, SmaltBuilder,
    engine::Timings,
    error,
    manifest::Catalog,
    model::Environment,
    project::Project,
    store::StoreOptions,
    vault::{KeyRing, LocalKey},
};

use crate::{args::Global, output};

/// The project file that is taken when none is named.
pub const PROJECT_FILE: &str = "smalt.toml";
/// The key file that is looked for beside the project file.
pub const KEY_FILE: &str = "smalt.key";

/// The global options, and what follows from them.
pub struct Context {
    /// The options themselves.
    pub global: Global,
}

impl Context {
    pub fn new(global: Global) -> Self {
        Self { global }
    }

    /// The project file: the named one, or `smalt.toml` where it is there.
    pub fn project_file(&self) -> Option<PathBuf> {
        self.global.project.clone().or_else(|| Some(PathBuf::from(PROJECT_FILE)).filter(|path| path.exists()))
    }

    /// The folder that relative paths of the project start from; empty for the current one.
    pub fn folder(&self) -> PathBuf {
        let named = self.global.project.as_deref().and_then(Path::parent);
        named.map(Path::to_owned).unwrap_or_default()
    }

    /// What the project says; absent when there is no file.
    ///
    /// # Errors
    /// `project_invalid`.
    pub fn project(&self) -> Result<Option<Project>> {
        self.project_file().map(Project::load).transpose()
    }

    /// The built-in applications and those of the project's folders.
    pub fn catalog(&self, project: Option<&Project>) -> Result<Catalog> {
        let folders = project.map_or_else(Vec::new, |project| project.manifests.iter().map(|folder| self.folder().join(folder)).collect());
        Catalog::new(folders, Vec::new())
    }

    /// The master key: `--key-file`, then `SMALT_KEY`, then `SMALT_KEY_FILE`, then `smalt.key` beside the project file.
    ///
    /// # Errors
    /// `key_missing`, `key_invalid`.
    pub fn key(&self) -> Result<LocalKey> {
        if let Some(path) = &self.global.key_file {
            return LocalKey::from_file(path);
        }
        let beside = self.key_file_beside();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("SMALT_KEY") || set("SMALT_KEY_FILE") || !beside.exists() { LocalKey::discover() } else { LocalKey::from_file(beside) }
    }

    /// The master key, and the one that it replaces if the environment names it.
    ///
    /// # Errors
    /// `key_missing`, `key_invalid`.
    pub fn keys(&self) -> Result<KeyRing> {
        KeyRing::new(self.key()?).and_old()
    }

    /// Where the key file is looked for, and made.
    pub fn key_file_beside(&self) -> PathBuf {
        self.folder().join(KEY_FILE)
    }

    /// Works on an engine, and closes it whatever came out. `create`: whether a missing store is made; a typo in `--data` must
    /// not look like an empty store.
    ///
    /// # Errors
    /// Those of opening, and the work's own.
    pub async fn with<T>(&self, create: bool, work: impl AsyncFnOnce(&Smalt) -> Result<T>) -> Result<T> {
        let smalt = match &self.global.url {
            Some(url) => self.remote(url)?,
            None => self.builder(create)?.open().await?.acting_as("command"),
        };
        let done = work(&smalt).await;
        smalt.close().await;
        done
    }

    /// The organisation's authority at a server, with the API key of the environment variable: on a command line others could read it.
    fn remote(&self, url: &str) -> Result<Smalt> {
        let is_test = std::env::var("SMALT_API_KEY").is_ok_and(|key| key.starts_with("tk"));
        if is_test && self.global.environment == Environment::Production {
            let reason = "the API key in SMALT_API_KEY is one of the test environment; at a server the key says which environment is meant";
            return Err(Error::new(Code::InvalidRequest, reason));
        }
        let remote = Smalt::remote(url);
        match std::env::var("SMALT_PORT_SECRET") {
            Ok(secret) if !secret.is_empty() => remote.port_secret(secret).open(),
            _ => remote.open(),
        }
    }

    /// For commands that work on the store's file itself.
    ///
    /// # Errors
    /// `unsupported` where a server was named.
    pub fn needs_store(&self, command: &str) -> Result<()> {
        if self.global.url.is_none() {
            return Ok(());
        }
        let reason = format!("`smalt {command}` works on the store itself: run it where the store is, without `--url` and SMALT_URL");
        Err(Error::new(Code::Unsupported, reason))
    }

    /// The store's file, which must be there.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub fn store_file(&self) -> Result<PathBuf> {
        let path = &self.global.data;
        if path.exists() {
            return Ok(path.clone());
        }
        let reason = format!("there is no store `{}`", path.display());
        Err(output::told(Code::StoreUnavailable, reason, "The first `smalt account create` makes it; `--data` names another one.")
            .with("path", path.display()))
    }

    /// An engine on the store, not open yet. `create` as for [`Self::with`].
    ///
    /// # Errors
    /// `store_unavailable` when the store is missing and may not be made; those of the key.
    pub fn builder(&self, create: bool) -> Result<SmaltBuilder> {
        if !create {
            self.store_file()?;
        }
        let mut builder = Smalt::embedded(&self.global.data)
            .environment(self.global.environment)
            .keys(self.keys()?)
            .store_options(StoreOptions { create, ..StoreOptions::default() })
            // A command does what it is told; renewing ahead is the work of engines that stay open.
            .timings(Timings { ahead: None, ..Timings::default() });
        if let Some(path) = self.project_file() {
            builder = builder.project(path);
        }
        Ok(builder)
    }

    /// Says so when the application's sandbox is one that no other command can reach.
    pub fn warn_of_private_sandbox(&self, app: &str) -> error::Result<()> {
        if self.global.url.is_some() {
            return Ok(());
        }
        let private = self.project()?.is_some_and(|project| project.sandbox.enabled && project.sandbox.url.is_none());
        if app.starts_with("sandbox-") && private && self.global.environment == Environment::Test {
            output::warn(
                "this sandbox lives in this command only, and forgets everything when it ends. To use it from one command to the \
                 next, run `smalt sandbox` and put the url that it prints under [sandbox] in the project file.",
            );
        }
        Ok(())
    }
}
