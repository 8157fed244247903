//! Several servers on one store.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use smalt::{
    Secret, Smalt,
    model::{Environment, Json},
    plugin::Store,
    sandbox::{Sandbox, SandboxOptions},
    store::{SqliteStore, StoreOptions},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions};
use tokio::task::JoinSet;

use crate::world::{PUBLIC, World, project};

pub fn size(first: usize, full: usize) -> usize {
    if std::env::var_os("SMALT_FULL").is_some() { full } else { first }
}

struct Nodes {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    key: Secret,
    api_key: Option<String>,
}

impl Nodes {
    async fn new() -> Nodes {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        Nodes { folder: tempfile::tempdir().unwrap(), sandbox, key: LocalKey::generate().unwrap().text(), api_key: None }
    }

    /// One more server.
    async fn open(&mut self) -> World {
        // A handle of its own on the file, as another process has one.
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(self.folder.path().join("smalt.db"), StoreOptions::default()).unwrap());
        let builder = Smalt::on_store(store.clone()).keys(LocalKey::parse(&self.key).unwrap());
        let test = builder.project_value(project(&self.sandbox.origin())).environment(Environment::Test).open().await.unwrap();
        let api_key = match &self.api_key {
            Some(key) => key.clone(),
            None => test.create_api_key("backend").await.unwrap().key.expose().to_owned(),
        };
        self.api_key = Some(api_key.clone());
        let api = Api::new([(Environment::Test, test.clone())], ApiOptions::default());
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        // They serve one environment; nothing here asks for the other.
        let master = self.key.clone();
        World { store, master, sandbox, production: test.clone(), test, api, key: api_key, production_key: String::new() }
    }
}

/// The row's bound for servers that did not revoke it themselves.
const SOON: Duration = Duration::from_secs(1);

/// One call: when it began, when it had ended, and what came of it.
struct Called {
    began: Instant,
    ended: Instant,
    status: u16,
}

/// A session that several callers use at each of the servers without a pause, while it is revoked at one of them.
struct Used {
    session: String,
    /// How many each server has answered with 200.
    good: [AtomicUsize; 3],
    /// When the revocation was acknowledged.
    revoked: OnceLock<Instant>,
}

impl Used {
    /// Calls until a call was answered that began after the bound.
    async fn keep_calling(&self, world: &World, node: usize) -> Vec<Called> {
        let mut calls = Vec::new();
        loop {
            let began = Instant::now();
            let is_last = self.revoked.get().is_some_and(|revoked| began > *revoked + SOON);
            let said = world.call("GET", "/api/v2/f-sdk/application", &[("authorization", &self.session)], Json::Null).await;
            if said.status == 200 {
                self.good[node].fetch_add(1, SeqCst);
            }
            calls.push(Called { began, ended: Instant::now(), status: said.status });
            if is_last {
                return calls;
            }
        }
    }
}

/// A revoked session is refused by the server that revoked it from then on, and by the others after a second at most; each of the calls is one
/// of many at that moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_revocation_holds_at_once_here_and_soon_elsewhere() {
    /// Sessions that are in use at once, and callers of each at each server.
    const SESSIONS: usize = 25;
    const CALLERS: usize = 2;
    let mut nodes = Nodes::new().await;
    let worlds = Arc::new([nodes.open().await, nodes.open().await, nodes.open().await]);
    for round in 0..size(25, 500) / SESSIONS {
        let mut revocations = JoinSet::new();
        for at in 0..SESSIONS {
            let session = worlds[0].account(&format!("account-{round}-{at}")).await;
            let used = Arc::new(Used { session, good: Default::default(), revoked: OnceLock::new() });
            let worlds = worlds.clone();
            revocations.spawn(async move {
                let mut callers = Vec::new();
                for node in (0..worlds.len() * CALLERS).map(|caller| caller % 3) {
                    let (used, worlds) = (used.clone(), worlds.clone());
                    callers.push((node, tokio::spawn(async move { used.keep_calling(&worlds[node], node).await })));
                }
                // Every server has answered, in the midst of all the other sessions' calls.
                while used.good.iter().any(|good| good.load(SeqCst) < 2 * CALLERS) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                let (here, own) = (at % worlds.len(), [("authorization", &*used.session)]);
                worlds[here].call("POST", "/api/v2/public/session-token/revoke", &own, Json::Null).await.expect(200);
                let revoked = *used.revoked.get_or_init(Instant::now);
                let mut calls = [Vec::new(), Vec::new(), Vec::new()];
                for (node, caller) in callers {
                    calls[node].extend(caller.await.unwrap());
                }
                for (node, calls) in calls.iter().enumerate() {
                    let bound = if node == here { revoked } else { revoked + SOON };
                    assert!(calls.iter().any(|call| call.status == 200 && call.ended < revoked), "it was in use there");
                    assert!(calls.iter().any(|call| call.began > bound && call.status == 401), "and tried there afterwards");
                    let first_refusal = calls.iter().filter(|call| call.status == 401).map(|call| call.ended).min().unwrap();
                    for call in calls {
                        assert!(matches!(call.status, 200 | 401), "{}", call.status);
                        let is_late = call.began > bound || call.began > first_refusal;
                        assert!(
                            call.status == 401 || !is_late,
                            "{:?} after the revocation, at {node}, revoked at {here}",
                            call.began.saturating_duration_since(revoked)
                        );
                    }
                }
            });
        }
        while let Some(done) = revocations.join_next().await {
            done.unwrap();
        }
    }
}

/// The provider sends the user back to another server, and the one that began is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r50_a_connect_survives_its_server() {
    let mut nodes = Nodes::new().await;
    for round in 0..size(10, 100) {
        let first = nodes.open().await;
        let session = first.account(&format!("account-{round}")).await;
        let ticket = first.integrate(&session).await;
        first.test.close().await;

        let second = nodes.open().await;
        second.send("GET", &ticket, &[], b"").await.expect(200);
        let gone = second.send("POST", &ticket, &[("sec-fetch-site", "same-origin")], b"").await.expect(303);
        second.test.close().await;

        let third = nodes.open().await;
        let mut url = url::Url::parse(gone.header("location")).unwrap();
        url.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", "allow");
        let callback = smalt::sandbox::visit(url.as_str()).await.unwrap();
        let cookie = gone.header("set-cookie").split(';').next().unwrap().to_owned();
        let came = third.send("GET", callback.strip_prefix(PUBLIC).unwrap(), &[("cookie", &cookie)], b"").await;
        third.ends_on(&callback, &came).await.expect(200);
        assert_eq!(third.state(&session, "sandbox-oauth").await.2, ["active"]);
        third.test.close().await;
    }
}
