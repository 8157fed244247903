//! Backups while others write, and what becomes of a store that was put back.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use smalt::{
    Code, Smalt,
    backend::ListEvents,
    model::{AccountUpdate, ConnectionStatus},
    store::{backup, restore, verify_backup},
};
use smalt_tests::size;

use crate::stage::{HOUR, SANDBOX, Stage, connect_sandbox, sandbox, timings, token};

/// How many tasks write while a backup is made.
const TASKS: usize = 8;

/// Writers on one store, each with an account of its own, and what they were told was written.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<[AtomicU64; TASKS]>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

fn loaded(round: usize, task: usize) -> String {
    format!("load-{round}-{task}")
}

impl Load {
    fn on(smalt: &Smalt, round: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged: Arc<[AtomicU64; TASKS]> = Arc::default();
        let writer = |task: usize| {
            let (smalt, stopped, told) = (smalt.clone(), stop.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let mut n = 0;
                while !stopped.load(Ordering::SeqCst) {
                    n += 1;
                    let update = AccountUpdate { name: Some(n.to_string()), ..AccountUpdate::default() };
                    smalt.upsert_account(loaded(round, task), update).await.unwrap();
                    told[task].store(n, Ordering::SeqCst);
                }
            })
        };
        let writers = (0..TASKS).map(writer).collect();
        Load { stop, acknowledged, writers }
    }

    fn so_far(&self) -> [u64; TASKS] {
        std::array::from_fn(|task| self.acknowledged[task].load(Ordering::SeqCst))
    }

    /// Waits until each task has written more than it had then.
    async fn beyond(&self, then: [u64; TASKS]) -> [u64; TASKS] {
        loop {
            let now = self.so_far();
            if now.iter().zip(then).all(|(now, then)| *now > then) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for writer in self.writers {
            writer.await.unwrap();
        }
    }
}

/// what was acknowledged before a backup is in it; it opens by itself and its secrets with it; a refresh token that was
/// renewed since is tried once and the connection must be authorised again.
#[tokio::test(flavor = "multi_thread")]
async fn r10_a_backup_under_load_comes_back() {
    let (sandbox, control) = sandbox().await;
    for round in 0..size(10, 20) {
        let stage = Stage::sandbox(&sandbox);
        let smalt = stage.open().await;
        for account in ["stale", "fresh"] {
            connect_sandbox(&smalt, account).await;
        }
        smalt.account("fresh").connect("sandbox-key").input("key", smalt::sandbox::API_KEY).input("workspace", "acme").await.unwrap();
        let session = smalt.account("fresh").session().await.unwrap();
        let load = Load::on(&smalt, round);
        let before = load.beyond([round as u64; TASKS]).await;
        let file = stage.folder.path().join("backup.smalt");
        let (from, to) = (stage.store(), file.clone());
        let made = tokio::task::spawn_blocking(move || backup(from, to, false)).await.unwrap().unwrap();
        load.beyond(load.so_far()).await;
        assert_eq!(verify_backup(&file).unwrap(), made);
        // Life goes on, and one refresh token is spent.
        let first = smalt.events_page(ListEvents { limit: Some(1000), ..ListEvents::default() }).await.unwrap();
        stage.clock.shift(HOUR);
        token(&smalt.account("stale").credential(SANDBOX).await.unwrap());
        let late = smalt.events_page(ListEvents { since: first.next.clone(), limit: Some(1000), wait: None }).await.unwrap();
        load.end().await;
        // While a process has the store open it is not replaced.
        let (from, to) = (file.clone(), stage.store());
        let put = |force: bool| {
            let (from, to) = (from.clone(), to.clone());
            tokio::task::spawn_blocking(move || restore(from, to, force))
        };
        assert_eq!(put(false).await.unwrap().unwrap_err().code(), Code::InvalidRequest);
        assert_eq!(put(true).await.unwrap().unwrap_err().code(), Code::StoreBusy);
        smalt.close().await;
        drop(smalt);
        assert_eq!(put(true).await.unwrap().unwrap().check, made.check);
        assert_eq!(verify_backup(&file).unwrap(), made, "the backup itself stays");

        let smalt = stage.open().await;
        let ok: String = stage.sql().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(ok, "ok");
        for (task, before) in before.into_iter().enumerate() {
            let named: u64 = smalt.account(loaded(round, task)).get().await.unwrap().name.unwrap().parse().unwrap();
            assert!(named >= before, "task {task}: {named} is there, {before} was acknowledged before the backup");
        }
        assert!(!smalt.account("fresh").credential("sandbox-key").await.unwrap().values.is_empty());
        assert_eq!(smalt.verify_session(session.token().clone()).await.unwrap_err().code(), Code::InvalidToken);
        // The spent refresh token is presented once; nobody goes on asking.
        control.reset_stats();
        for _ in 0..20 {
            assert_eq!(smalt.account("stale").credential(SANDBOX).await.unwrap_err().code(), Code::ReauthRequired);
        }
        assert_eq!(control.stats().refresh_requests, 1);
        assert_eq!(smalt.account("stale").connections(None).await.unwrap()[0].status, ConnectionStatus::Expired);
        // One that was not renewed goes on.
        token(&smalt.account("fresh").credential(SANDBOX).await.unwrap());
        // A cursor that was given out after the backup misses nothing that happens now.
        let since = late.next.clone();
        connect_sandbox(&smalt, "stale").await;
        let seen = smalt.events_page(ListEvents { since, limit: Some(1000), wait: None }).await.unwrap();
        assert!(seen.items.iter().any(|event| json!(event.event_type) == "connection.created"), "{seen:?}");
        smalt.close().await;
    }
}

/// A backup whose bytes were changed anywhere is not put back, and what is there stays.
#[tokio::test(flavor = "multi_thread")]
async fn r10_a_damaged_backup_is_refused() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    connect_sandbox(&smalt, "customer-0").await;
    let path = |name: &str| stage.folder.path().join(name);
    let made = backup(stage.store(), path("good"), false).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path("good")).unwrap()) & 0o777, 0o600);
    assert_eq!(backup(stage.store(), path("good"), false).unwrap_err().code(), Code::InvalidRequest);
    assert_eq!(backup(stage.store(), stage.store(), true).unwrap_err().code(), Code::InvalidRequest);
    assert_eq!(backup(path("none"), path("new"), true).unwrap_err().code(), Code::StoreUnavailable);
    // Nothing happened meanwhile: the same rows, the same value, but for what an open engine writes by itself.
    smalt.close().await;
    assert_eq!(backup(stage.store(), path("good"), true).unwrap().rows, made.rows);
    let bytes = std::fs::read(path("good")).unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let to: PathBuf = path("put-back");
        std::fs::write(path(name), bytes).unwrap();
        let error = restore(path(name), &to, true).unwrap_err();
        assert!(!to.exists(), "{name}");
        error.code()
    };
    let mut flipped = 0;
    // Most of a small store is empty space.
    let used: Vec<usize> = (100..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    for at in used.iter().copied().step_by(used.len() / 60) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        std::fs::write(path("damaged"), &damaged).unwrap();
        // A byte that nobody reads may be changed: then everything is still there.
        match verify_backup(path("damaged")) {
            Ok(info) => assert_eq!(info.check, verify_backup(path("good")).unwrap().check),
            Err(error) => {
                assert!([Code::StoreCorrupt, Code::StoreNewer, Code::InvalidRequest].contains(&error.code()), "{at}: {error}");
                refused("damaged", &damaged);
                flipped += 1;
            }
        }
    }
    assert!(flipped > 30, "{flipped}");
    assert_eq!(refused("short", &bytes[..bytes.len() / 2]), Code::StoreCorrupt);
    assert_eq!(refused("text", b"no store at all, but some text that is long enough to be one"), Code::StoreForeign);
    assert_eq!(refused("empty", b""), Code::StoreForeign);
    assert_eq!(refused("plain", &std::fs::read(stage.store()).unwrap()), Code::InvalidRequest);
    // Into a place where nothing is, and over something that can no longer be opened; another program's file is left alone.
    restore(path("good"), path("put-back"), false).unwrap();
    std::fs::write(path("put-back"), &std::fs::read(path("put-back")).unwrap()[..5000]).unwrap();
    restore(path("good"), path("put-back"), true).unwrap();
    std::fs::write(path("theirs"), "somebody's notes, which are none of our business").unwrap();
    assert_eq!(restore(path("good"), path("theirs"), true).unwrap_err().code(), Code::StoreForeign);
    let left: Vec<_> = std::fs::read_dir(stage.folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.contains(".part")), "{left:?}");
    // By itself: no other file is needed.
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(path("put-back"), alone.path().join("smalt.db")).unwrap();
    let project = serde_json::from_slice(&std::fs::read(path("project.json")).unwrap()).unwrap();
    let opened = Smalt::embedded(alone.path().join("smalt.db"))
        .keys(smalt::vault::LocalKey::from_file(path("key")).unwrap())
        .project_value(project)
        .timings(timings())
        .open()
        .await
        .unwrap();
    token(&opened.account("customer-0").credential(SANDBOX).await.unwrap());
    opened.close().await;
}
