//! Opens an engine, uses it, forks, and works on both sides. Prints one JSON line: what each side made and found.
//!
//! Hosts fork with an engine open (Python's multiprocessing, gunicorn's preload). The child must never make a nonce,
//! state, token or id that its parent makes, must not hang on the parent's handles, and must work with its own.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    io::{Read, Write},
    os::fd::FromRawFd,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use smalt::{
    Smalt,
    backend::StartConnect,
    project::Project,
    runtime::runtime,
    store::{Forking, prepare_fork},
    vault::LocalKey,
};

async fn open(store: &Path, key: &Path) -> Smalt {
    let mut project = Project::default();
    project.sandbox.enabled = true;
    project.org.redirect_uris = vec!["http://127.0.0.1/callback".to_owned()];
    Smalt::embedded(store).keys(LocalKey::from_file(key).unwrap()).project_value(project).open().await.unwrap()
}

/// Everything random that one side makes: ids, states, cookies, challenges, tokens, keys.
async fn make(smalt: &Smalt) -> Vec<String> {
    let account = smalt.account("customer-42");
    let mut made = Vec::new();
    for _ in 0..20 {
        let options = StartConnect { redirect_uri: Some("http://127.0.0.1/callback".to_owned()), ..StartConnect::default() };
        let started = account.start_connect("sandbox-oauth", options).await.unwrap();
        let query: Vec<_> = started.authorize_url.split(['?', '&']).collect();
        made.extend(query.iter().filter(|part| part.starts_with("state=") || part.starts_with("code_challenge=")).map(ToString::to_string));
        made.push(started.flow_id);
        made.push(started.cookie.value.expose().to_owned());
        made.push(account.session_with(true).await.unwrap().token().expose().to_owned());
        made.push(LocalKey::generate().unwrap().text().expose().to_owned());
    }
    made
}

/// The nonces of all that both sides sealed: bytes 10 to 33 of a sealed value (see `core/src/vault`).
fn nonces(store: &Path) -> Vec<String> {
    let sql = rusqlite::Connection::open(store).unwrap();
    let mut query = sql.prepare("SELECT hex(substr(sealed, 10, 24)) FROM flows").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn read_all(fd: i32) -> String {
    // SAFETY: the descriptor is the reading end of our own pipe, owned by nobody else.
    let mut pipe = unsafe { std::fs::File::from_raw_fd(fd) };
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

/// What the child answers, as JSON, and how it ended.
fn forked(prepare: bool, child: impl FnOnce() -> Value, parent: impl FnOnce()) -> (Value, i32) {
    let mut pipe = [0; 2];
    // SAFETY: `pipe` has room for the two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    let forking = prepare.then(prepare_fork);
    assert!(forking.as_ref().is_none_or(Forking::is_clean));
    // SAFETY: what the child does after this is what hosts do: it goes on as a program of one thread and makes its own.
    let pid = unsafe { libc::fork() };
    drop(forking);
    if pid == 0 {
        // SAFETY: the writing end is ours.
        let mut out = unsafe { std::fs::File::from_raw_fd(pipe[1]) };
        out.write_all(child().to_string().as_bytes()).unwrap();
        drop(out);
        // SAFETY: ends the child at once; the parent's threads and handles are not here to be cleaned up.
        unsafe { libc::_exit(0) }
    }
    assert!(pid > 0, "fork failed");
    // SAFETY: the parent's copy of the writing end; the child has its own.
    unsafe { libc::close(pipe[1]) };
    parent();
    let said = serde_json::from_str(&read_all(pipe[0])).unwrap_or(Value::Null);
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    (said, status)
}

/// Warm: whatever could be buffered or cached is, before the fork.
fn warm(store: &Path, key: &Path) -> Smalt {
    runtime().block_on(async {
        let smalt = open(store, key).await;
        smalt.account("customer-42").ensure().await.unwrap();
        make(&smalt).await;
        smalt
    })
}

/// Secrets that both sides make.
fn secrets(store: &Path, key: &Path) -> Value {
    let smalt = warm(store, key);
    let mut parent = Vec::new();
    let child = || {
        runtime().block_on(async {
            let stale = smalt.account("customer-42").get().await.err().map(|error| error.code().as_str());
            let own = open(store, key).await;
            let made = make(&own).await;
            let account = own.account("customer-42").get().await.is_ok();
            own.close().await;
            json!({"stale": stale, "account": account, "made": made})
        })
    };
    let (child, status) = forked(true, child, || parent = runtime().block_on(make(&smalt)));
    runtime().block_on(smalt.close());
    json!({"status": status, "parent": parent, "child": child, "nonces": nonces(store)})
}

/// A parent that goes on writing from several threads, and then closes its engine while the child works on: what each side wrote is there.
fn ends(store: &Path, key: &Path) -> Value {
    let smalt = warm(store, key);
    let (closed, written) = (store.with_extension("closed"), store.with_extension("written"));
    let until = |path: &Path| {
        while !path.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let writers: Vec<_> = (0..3)
        .map(|n| {
            let smalt = smalt.clone();
            std::thread::spawn(move || {
                let mut made = 0;
                while runtime().block_on(smalt.account(format!("parent-{n}-{made}")).ensure()).is_ok() {
                    made += 1;
                }
                made
            })
        })
        .collect();
    let child = || {
        runtime().block_on(async {
            let own = open(store, key).await;
            own.account("child-before").ensure().await.unwrap();
            std::fs::write(&written, "").unwrap();
            until(&closed);
            own.account("child-after").ensure().await.unwrap();
            own.close().await;
            json!("done")
        })
    };
    let mut made = 0;
    let parent = || {
        until(&written);
        runtime().block_on(smalt.close());
        made = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        std::fs::write(&closed, "").unwrap();
    };
    let (said, status) = forked(true, child, parent);
    let (count, found) = runtime().block_on(async {
        let again = open(store, key).await;
        let found = again.account("child-before").get().await.is_ok() && again.account("child-after").get().await.is_ok();
        let count = again.count_accounts(None).await.unwrap();
        again.close().await;
        (count, found)
    });
    json!({"status": status, "child": said, "found": found, "missing": 1 + 2 + made - i64::try_from(count).unwrap()})
}

/// A fork that nobody prepared: the child is told, and can open other stores.
fn bare(store: &Path, key: &Path) -> Value {
    let smalt = warm(store, key);
    let child = || {
        runtime().block_on(async {
            let refused = Smalt::embedded(store).keys(LocalKey::from_file(key).unwrap()).project_value(Project::default()).open().await;
            let error = refused.err().map(|error| (error.code().as_str(), error.to_string()));
            let other = open(&store.with_file_name("other.db"), key).await;
            let works = other.account("customer-42").ensure().await.is_ok();
            other.close().await;
            json!({"error": error, "other": works})
        })
    };
    let (child, status) = forked(false, child, || ());
    let goes_on = runtime().block_on(smalt.account("customer-42").get()).is_ok();
    runtime().block_on(smalt.close());
    json!({"status": status, "child": child, "parent": goes_on})
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (store, key) = (folder.path().join("smalt.db"), folder.path().join("key"));
    LocalKey::generate().unwrap().write_file(&key).unwrap();
    let said = match std::env::args().nth(1).as_deref() {
        Some("ends") => ends(&store, &key),
        Some("bare") => bare(&store, &key),
        _ => secrets(&store, &key),
    };
    println!("{said}");
}
