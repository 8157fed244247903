//! The HTTP API beside axum routes that do the same work: each server in a process of its own, asked in turns.

mod callback;
mod load;
mod ours;
mod overload;
mod peer;
mod stalled;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use serde_json::{Value, json};
use smalt::{Secret, Smalt, backend::ImportConnection, vault::LocalKey};

use self::{
    load::{Wire, rate, request},
    ours::APP,
};
pub use self::{
    ours::{Sort, serve as serve_ours},
    overload::{generate, measure as measure_overload},
    peer::serve as serve_peer,
};
use crate::{
    report::{Row, median},
    small,
};

const ACCOUNTS: usize = 500;
const READERS: usize = 32;
const READS: usize = 6000;
const WRITERS: usize = 64;
const WRITES: usize = 4000;
const ROUNDS: usize = 7;

/// A server in a child process, ended with this value.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
}

impl Served {
    fn start(role: &str, folder: &Path) -> Self {
        Self::start_with(role, folder.to_str().unwrap(), false)
    }

    /// With file handles for many connections where `many`.
    pub fn start_with(role: &str, argument: &str, many: bool) -> Self {
        let handles = if many { "ulimit -n 65536 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"; " } else { "" };
        let mut child = Command::new("sh")
            .args(["-c", &format!("{handles}exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args([role, argument, ""])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().expect("the address that it listens on"), child }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is asked of a server.
struct Asked {
    key: String,
    /// Per session: the token for ours, and what the peer makes its own of.
    sessions: Vec<(String, String, String)>,
}

fn account(n: usize) -> String {
    format!("account-{n:04}")
}

/// Accounts with a connection each, sessions for some, and an API key.
async fn seed(folder: &Path, sessions: usize) -> Asked {
    LocalKey::generate().unwrap().write_file(folder.join("key")).unwrap();
    std::fs::write(folder.join("secret"), "not asked for here").unwrap();
    let keys = LocalKey::from_file(folder.join("key")).unwrap();
    let smalt = Smalt::embedded(folder.join("smalt.db"))
        .keys(keys)
        .project_value(ours::project(folder, ours::NOWHERE, Sort::Usual))
        .open()
        .await
        .unwrap();
    let made = (0..ACCOUNTS).map(|n| {
        let account = smalt.account(account(n));
        tokio::spawn(async move {
            account.ensure().await.unwrap();
            let values = [("access_token".to_owned(), Secret::new(format!("xoxb-{n:060}")))];
            let import = ImportConnection { application: APP.to_owned(), values: values.into(), ..ImportConnection::default() };
            account.import(import).await.unwrap();
        })
    });
    for one in made.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    let mut made = Vec::new();
    for n in 0..sessions {
        let session = smalt.account(account(n)).session().await.unwrap();
        let id = smalt.verify_session(session.token().clone()).await.unwrap().id;
        made.push((account(n), session.token().expose().to_owned(), id));
    }
    let key = smalt.create_api_key("bench").await.unwrap().key.expose().to_owned();
    smalt.close().await;
    Asked { key, sessions: made }
}

/// A copy for the peer, so that neither disturbs the other.
fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

type Requests = Arc<Vec<Arc<[u8]>>>;

/// Rates in turns, medians; the first turn warms both up and is not counted.
async fn compare(ours: (SocketAddr, Requests), theirs: (SocketAddr, Requests), connections: usize, count: usize) -> (f64, f64) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for round in 0..=small(ROUNDS, 1) {
        let mine = rate(ours.0, connections, ours.1.clone(), count).await;
        let other = rate(theirs.0, connections, theirs.1.clone(), count).await;
        if round > 0 {
            a.push(mine);
            b.push(other);
        }
    }
    (median(a), median(b))
}

/// Both answer the same, or what is compared is not the same work.
async fn same(ours: (SocketAddr, &[u8]), theirs: (SocketAddr, &[u8])) {
    let (mut mine, mut other) = (Wire::open(ours.0).await, Wire::open(theirs.0).await);
    let (mine, other) = (mine.ask(ours.1).await.to_vec(), other.ask(theirs.1).await.to_vec());
    assert_eq!(String::from_utf8_lossy(&mine), String::from_utf8_lossy(&other));
}

/// The rows that are wanted, by their ids.
pub async fn measure(wanted: &dyn Fn(&str) -> bool) -> Vec<Row> {
    let folder = tempfile::Builder::new().tempdir_in("target").unwrap();
    let (mine, other) = (folder.path().join("ours"), folder.path().join("theirs"));
    std::fs::create_dir(&mine).unwrap();
    std::fs::create_dir(&other).unwrap();
    let asked = seed(&mine, READERS).await;
    copy(&mine, &other);
    let (ours, theirs) = (Served::start("http-ours", &mine), Served::start("http-peer", &other));
    let mut rows = Vec::new();

    let target = format!("/api/v2/f-sdk/application/{APP}");
    let with = |token: &str| request("GET", &target, &[("authorization", &format!("Bearer {token}"))], "");
    let mine: Requests = Arc::new(asked.sessions.iter().map(|(_, token, _)| with(token)).collect());
    if wanted("http-application") {
        let other: Requests = Arc::new(asked.sessions.iter().map(|(account, _, id)| with(&peer::token(account, id))).collect());
        same((ours.address, &mine[0]), (theirs.address, &other[0])).await;
        let (a, b) = compare((ours.address, mine.clone()), (theirs.address, other), READERS, small(READS, 200)).await;
        let what = "GET application with a session, 32 connections";
        rows.push(Row::at_least("http-application", what, a, "axum + rusqlite", b, "calls/s", 0.7));
    }

    let key = ("x-api-key", asked.key.as_str());
    let read = |n| request("POST", "/smalt/v1/credential", &[key], &json!({"account": account(n), "application": APP}).to_string());
    let reads: Requests = Arc::new((0..ACCOUNTS).map(read).collect());
    same((ours.address, &reads[0]), (theirs.address, &reads[0])).await;
    if wanted("http-credential") {
        let (a, b) = compare((ours.address, reads.clone()), (theirs.address, reads.clone()), READERS, small(READS, 200)).await;
        let warm = "a credential with an API key, ours from memory after the first, 32 connections";
        rows.push(Row::at_least("http-credential", warm, a, "axum + rusqlite", b, "calls/s", 0.7));
    }

    if wanted("http-credential-cold") {
        // The peer reads and opens each one: the same work is ours without the memory.
        let cold = Served::start("http-cold", &folder.path().join("ours"));
        same((cold.address, &reads[0]), (theirs.address, &reads[0])).await;
        let (a, b) = compare((cold.address, reads.clone()), (theirs.address, reads), READERS, small(READS, 200)).await;
        drop(cold);
        let read = "a credential with an API key, each read from the store, 32 connections";
        rows.push(Row::at_least("http-credential-cold", read, a, "axum + rusqlite", b, "calls/s", 0.7));
    }

    let create = |n| {
        let body = json!({"linked_account_id": account(n)}).to_string();
        request("POST", "/api/v2/public/session-token?force_refresh=true", &[key], &body)
    };
    if wanted("http-session") {
        let creates: Requests = Arc::new((0..ACCOUNTS).map(create).collect());
        let (a, b) = compare((ours.address, creates.clone()), (theirs.address, creates), WRITERS, small(WRITES, 200)).await;
        rows.push(Row::at_least("http-session", "durable sessions made, 64 connections", a, "axum + rusqlite", b, "calls/s", 0.7));
    }
    if wanted("http-callback") {
        rows.extend(callback::measure(ours.address, &asked).await);
    }
    if wanted("http-stalled") {
        rows.push(stalled::measure(ours.address, &mine).await);
    }
    rows
}

/// The remote backend against a server of its own, and its memory; what is wanted of it.
pub async fn measure_remote(wanted: &dyn Fn(&str) -> bool) -> Vec<Row> {
    let mut rows = Vec::new();
    if wanted("remote-calls") {
        let folder = tempfile::Builder::new().tempdir_in("target").unwrap();
        let asked = seed(folder.path(), READERS).await;
        let ours = Served::start("http-ours", folder.path());
        rows.push(crate::remote::beside_reqwest(ours.address, &asked.key, ACCOUNTS, account).await);
    }
    if wanted("remote-memory") {
        rows.extend(crate::remote::memory().await);
    }
    rows
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}
