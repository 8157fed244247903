//! An engine on a SQLite file, with a sandbox that the test holds in its hand.

use std::path::PathBuf;

use serde_json::json;
use smalt::{
    Account, Result, Secret, Smalt, SmaltBuilder,
    backend::{Caller, FinishConnect, StartConnect},
    model::{Connection, StartedConnect},
    project::Project,
    sandbox::{Sandbox, SandboxOptions},
    vault::LocalKey,
};
use tempfile::TempDir;

pub const CALLBACK: &str = "http://127.0.0.1/callback";
pub const RETURN_TO: &str = "https://app.example/integrations";

pub struct World {
    pub sandbox: Sandbox,
    pub folder: TempDir,
    pub key: String,
    pub smalt: Smalt,
}

impl World {
    pub async fn new() -> World {
        Self::with(|builder| builder).await
    }

    /// An engine whose settings the test changes.
    pub async fn with(change: impl FnOnce(SmaltBuilder) -> SmaltBuilder) -> World {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = LocalKey::generate().unwrap().text().expose().to_owned();
        let smalt = change(engine(&folder.path().join("smalt.db"), &key, &sandbox.origin())).open().await.unwrap();
        World { sandbox, folder, key, smalt }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("smalt.db")
    }

    /// Another engine on the same file, as another process would open it.
    pub async fn another(&self) -> Smalt {
        engine(&self.file(), &self.key, &self.sandbox.origin()).open().await.unwrap()
    }

    pub async fn account(&self, id: &str) -> Account {
        let account = self.smalt.account(id);
        account.ensure().await.unwrap();
        account
    }

    /// How many rows a table of the file has.
    pub fn rows(&self, table: &str) -> i64 {
        self.count(&format!("SELECT count(*) FROM {table}"))
    }

    pub fn count(&self, query: &str) -> i64 {
        let file = rusqlite::Connection::open_with_flags(self.file(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        file.query_row(query, [], |row| row.get(0)).unwrap()
    }
}

/// Settings of an engine that offers the sandbox applications.
pub fn engine(file: &std::path::Path, key: &str, sandbox: &str) -> SmaltBuilder {
    Smalt::embedded(file).keys(LocalKey::parse(&key.into()).unwrap()).project_value(project(sandbox))
}

pub fn project(sandbox: &str) -> Project {
    serde_json::from_value(json!({
        "version": 1,
        "org": {"return_to": ["https://app.example"], "redirect_uris": [CALLBACK]},
        "sandbox": {"enabled": true, "url": sandbox},
        "apps": {"sandbox-oauth": {"fields": [{"id": "hook", "name": "Hook", "type": "password"}, {"id": "note", "name": "Note"}]}}
    }))
    .unwrap()
}

/// The options of most flows here.
pub fn to_app() -> StartConnect {
    StartConnect { return_to: Some(RETURN_TO.to_owned()), redirect_uri: Some(CALLBACK.to_owned()), ..StartConnect::default() }
}

/// The sandbox's user opens the page and decides; answers the callback that the browser is sent to.
pub async fn consent(started: &StartedConnect) -> String {
    visit(&started.authorize_url, "ada", "allow").await
}

pub async fn visit(authorize_url: &str, user: &str, decision: &str) -> String {
    let mut url = url::Url::parse(authorize_url).unwrap();
    url.query_pairs_mut().append_pair("sandbox_user", user).append_pair("sandbox_decision", decision);
    smalt::sandbox::visit(url.as_str()).await.unwrap()
}

/// A parameter of a URL.
pub fn param(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

/// A whole connect as the sandbox's `user`.
pub async fn connect(account: &Account, user: &str) -> Connection {
    let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
    let callback = visit(&started.authorize_url, user, "allow").await;
    account.finish_connect(callback, started.cookie.value).await.unwrap()
}

/// `finish_connect` with whatever cookie the browser has, if any.
pub async fn finish(account: &Account, smalt: &Smalt, callback: &str, cookie: Option<Secret>) -> Result<Connection> {
    let request = FinishConnect { account: account.id().to_owned(), callback_url: Some(callback.to_owned()), cookie, claim: None };
    smalt.backend().finish_connect(&Caller::Organisation("test".into()), request).await
}
