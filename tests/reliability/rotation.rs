//! Keys that are replaced while everybody goes on working.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use smalt::{
    Secret, Smalt,
    backend::{Disconnect, RotateKeys, StartConnect},
    model::{ConfigUpdate, RotationState},
    sandbox::{BodyKind, Endpoint, Misbehaviour},
    vault::LocalKey,
};
use smalt_tests::size;

use crate::stage::{HOUR, SANDBOX, Stage, ask, connect_sandbox, sandbox, tell, timings, token, until};

const ACCOUNTS: usize = 12;
/// More than one batch of them.
const PENDING: usize = 450;

fn name(n: usize) -> String {
    format!("customer-{n}")
}

fn colour(text: &str) -> ConfigUpdate {
    serde_json::from_value(json!({"fields": {"colour": text}})).unwrap()
}

/// Something sealed in every table: grants of both sorts, configs, flows under way, revocations that cannot be sent yet.
async fn fill(stage: &Stage, smalt: &Smalt) -> HashMap<String, (String, Secret)> {
    for n in 0..ACCOUNTS {
        connect_sandbox(smalt, &name(n)).await;
        let account = smalt.account(name(n));
        account.connect("sandbox-key").input("key", smalt::sandbox::API_KEY).input("workspace", "acme").await.unwrap();
        account.config("sandbox-key").await.unwrap();
        account.update_config("sandbox-key", colour("green")).await.unwrap();
        account.session().await.unwrap();
    }
    let mut flows = HashMap::new();
    for n in 0..PENDING {
        let options = StartConnect { redirect_uri: Some("http://127.0.0.1/callback".to_owned()), ..StartConnect::default() };
        let started = smalt.account(name(n % ACCOUNTS)).start_connect(SANDBOX, options).await.unwrap();
        flows.insert(started.authorize_url, (name(n % ACCOUNTS), started.cookie.value));
    }
    for n in 0..3 {
        let gone = format!("gone-{n}");
        connect_sandbox(smalt, &gone).await;
        let options = Disconnect { application: SANDBOX.into(), wait: Some(Duration::ZERO), ..Disconnect::default() };
        smalt.account(gone).disconnect_with(options).await.unwrap();
    }
    assert_eq!(stage.count("SELECT count(*) FROM revocations WHERE status = 'queued' AND length(sealed) > 0"), 3);
    flows
}

/// Under which data key each sealed value of the store stands.
pub fn keys_of_values(stage: &Stage) -> Vec<String> {
    let tables = ["connections", "flows", "configs", "revocations", "signing_keys"];
    let sealed = |table| format!("SELECT lower(hex(substr(sealed, 2, 8))) AS key FROM {table} WHERE length(sealed) > 0");
    let all = tables.map(sealed).join(" UNION ALL ");
    let cursors = "SELECT lower(hex(substr(value, 2, 8))) FROM meta WHERE key LIKE 'cursor_key:%'";
    let sql = stage.sql();
    let mut query = sql.prepare(&format!("{all} UNION ALL {cursors}")).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// How many values stand under another key than the store's only one.
fn under_other_keys(stage: &Stage) -> usize {
    assert_eq!(stage.count("SELECT count(*) FROM data_keys"), 1, "the replaced keys are dropped");
    let key: String = stage.sql().query_row("SELECT key_id FROM data_keys", [], |row| row.get(0)).unwrap();
    let keys = keys_of_values(stage);
    assert!(keys.len() > PENDING + 3 * ACCOUNTS, "{}", keys.len());
    keys.iter().filter(|one| **one != key).count()
}

/// S-45: rotations are begun and killed, again and again, while another process works. Then one goes to its end, the replaced
/// keys are dropped, and everything opens.
#[tokio::test(flavor = "multi_thread")]
async fn s45_a_killed_rotation_leaves_everything_readable() {
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    let down = Misbehaviour::Status { status: 503, body: BodyKind::default(), retry_after: Some("3600".to_owned()), after_work: false };
    control.misbehave(Endpoint::Revoke, None, down);
    let flows = fill(&stage, &smalt).await;
    let first_key: String = stage.sql().query_row("SELECT key_id FROM data_keys", [], |row| row.get(0)).unwrap();

    // Somebody who works all the while, and is told of no trouble.
    let (stop, worker) = (Arc::new(AtomicBool::new(false)), smalt.clone());
    let stopped = stop.clone();
    let work = tokio::spawn(async move {
        let mut written = 0_u64;
        while !stopped.load(Ordering::SeqCst) {
            written += 1;
            let account = worker.account(name(written as usize % ACCOUNTS));
            account.update_config("sandbox-key", colour(&written.to_string())).await.unwrap();
            assert!(account.credential(SANDBOX).await.unwrap().access_token.is_some());
            let config = json!(account.get_config("sandbox-key", None).await.unwrap());
            assert!(config.to_string().contains(&format!("\"{written}\"")), "{config}");
        }
        written
    });
    let (mut died, mut begun, mut tries) = (0, 0, 0);
    let kills = size(10, 100);
    // One that is at its end before its place comes, or before it is killed, is none of them.
    while died < kills {
        const PLACES: [&str; 6] =
            ["rotate-begun=kill", "rotate-written:1=kill", "rotate-batch:2=kill", "rotate-written:4=kill", "rotate-batch:6=kill", "none"];
        let place = PLACES[tries % PLACES.len()];
        let mut child = stage.child(&[("SMALT_FAILPOINT", place)]);
        child.say(&json!({"do": "rotate"}).to_string());
        if place == "none" {
            tokio::time::sleep(Duration::from_millis(tries as u64 * 7 % 60)).await;
            child.signal("KILL");
        }
        let has_ended = child.line().is_some();
        let signal = child.died_of();
        if !has_ended {
            assert_eq!(signal, Some(9), "killed at {place}");
            died += 1;
            begun += usize::from(stage.count("SELECT count(*) FROM data_keys") > 1);
        }
        tries += 1;
        assert!(tries <= 6 * kills, "{died} of {tries} died of it, and {kills} were to");
    }
    assert!(begun > 0, "some died in the middle");

    let ended = smalt.rotate_keys(RotateKeys::default()).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    assert!(work.await.unwrap() > 0);
    assert_eq!((ended.state, ended.unreadable, ended.kept.len()), (RotationState::Done, 0, 0), "{ended:?}");
    assert_eq!(under_other_keys(&stage), 0);
    assert_ne!(stage.sql().query_row("SELECT key_id FROM data_keys", [], |row| row.get::<_, String>(0)).unwrap(), first_key);

    // Everything opens: a further rotation has to read each value.
    let again = smalt.rotate_keys(RotateKeys::default()).await.unwrap();
    assert_eq!((again.state, again.unreadable), (RotationState::Done, 0));
    assert!(again.resealed >= again.total, "{again:?}");
    assert_eq!(under_other_keys(&stage), 0);
    smalt.close().await;
    let smalt = stage.open().await;
    for n in 0..ACCOUNTS {
        let account = smalt.account(name(n));
        token(&account.credential(SANDBOX).await.unwrap());
        assert!(!account.credential("sandbox-key").await.unwrap().values.is_empty());
        account.get_config("sandbox-key", None).await.unwrap();
    }
    // Flows that were under way end, and queued revocations are sent.
    for (url, (account, cookie)) in flows.iter().take(5) {
        let callback = smalt::sandbox::visit(url).await.unwrap();
        smalt.account(account).finish_connect(callback, cookie.clone()).await.unwrap();
    }
    control.clear(None);
    stage.sql().execute("UPDATE revocations SET next_at = 0", []).unwrap();
    crate::stage::until("the revocations are sent", async || stage.count("SELECT count(*) FROM revocations WHERE status = 'queued'") == 0)
        .await;
    assert_eq!(stage.count("SELECT count(*) FROM revocations WHERE status = 'revoked'"), 3);
    smalt.close().await;
}

/// A value that was sealed under a key before it was closed is refused whoever brings it, and nothing else of that write stays.
#[tokio::test(flavor = "multi_thread")]
async fn s45_nothing_new_comes_under_a_closed_key() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    connect_sandbox(&smalt, "customer-0").await;
    let sql = stage.sql();
    let old: Vec<u8> = sql.query_row("SELECT sealed FROM connections", [], |row| row.get(0)).unwrap();
    let ended = smalt.rotate_keys(RotateKeys::default()).await.unwrap();
    assert_eq!((ended.state, ended.replaced.len()), (RotationState::Done, 1));
    assert!(sql.execute("UPDATE connections SET sealed = ?1", [&old]).is_err(), "the schema itself refuses it");
    let other: Vec<u8> = sql.query_row("SELECT sealed FROM connections", [], |row| row.get(0)).unwrap();
    assert_ne!(old[..9], other[..9]);
    // S-44 holds for what was sealed anew: it opens in its own place only.
    connect_sandbox(&smalt, "customer-1").await;
    let swapped = "UPDATE connections SET sealed = (SELECT sealed FROM connections WHERE account_id = ?1) WHERE account_id = ?2";
    sql.execute(swapped, ["customer-0", "customer-1"]).unwrap();
    let fresh = stage.open().await;
    assert_eq!(fresh.account("customer-1").credential(SANDBOX).await.unwrap_err().code(), smalt::Code::StoreCorrupt);
    assert!(fresh.account("customer-0").credential(SANDBOX).await.unwrap().access_token.is_some());
    // Such a value names a key that must then stay, and the rotation says so.
    let ended = smalt.rotate_keys(RotateKeys::default()).await.unwrap();
    assert_eq!((ended.state, ended.unreadable, ended.kept.len()), (RotationState::Done, 1, 1), "{ended:?}");
    assert!(ended.unreadable_rows[0].starts_with("connections "), "{ended:?}");
    assert!(fresh.account("customer-0").credential(SANDBOX).await.is_ok());
    smalt.close().await;
    fresh.close().await;
}

/// The key that signs session tokens is replaced again and again while two engines make sessions and check each other's: no good one is refused;
/// when the last token of a replaced key has ended, the key is gone.
#[tokio::test(flavor = "multi_thread")]
async fn s25_replaced_signing_keys_count_until_their_last_token_ends() {
    const ROTATIONS: usize = 10;
    let checks = size(1_000, 10_000);
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let engines = [stage.open().await, stage.open().await];
    for n in 0..4 {
        engines[0].account(name(n)).ensure().await.unwrap();
    }
    let first = engines[0].account("customer-0").session().await.unwrap();
    let (checked, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let workers: Vec<_> = (0..4)
        .map(|n| {
            let (engines, checked, is_over) = (engines.clone(), checked.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut refused = Vec::new();
                let mut tokens = Vec::new();
                while !is_over.load(Ordering::Acquire) {
                    let session = engines[n % 2].account(name(n)).session_with(true).await.unwrap();
                    tokens.push(session.token().clone());
                    // The newest and an older one, at the other engine.
                    for token in [tokens.last().unwrap(), &tokens[tokens.len() / 2]] {
                        refused.extend(engines[(n + 1) % 2].verify_session(token.clone()).await.err());
                        checked.fetch_add(1, Ordering::AcqRel);
                    }
                }
                (refused, tokens)
            })
        })
        .collect();
    let mut seen = 0;
    for round in 1..=ROTATIONS {
        while checked.load(Ordering::Acquire) < checks * round / ROTATIONS || checked.load(Ordering::Acquire) < seen + 8 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        seen = checked.load(Ordering::Acquire);
        assert_eq!(engines[round % 2].rotate_keys(RotateKeys::default()).await.unwrap().state, RotationState::Done);
    }
    is_over.store(true, Ordering::Release);
    let mut all = Vec::new();
    for worker in workers {
        let (refused, tokens) = worker.await.unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        all.extend(tokens);
    }
    let kids = |query: &str| stage.count(&format!("SELECT count(*) FROM signing_keys {query}"));
    assert_eq!((kids(""), kids("WHERE retired_at IS NULL")), (ROTATIONS as i64 + 1, 1));
    // A session that could go on is made anew under the key that signs now.
    let again = engines[1].account("customer-0").session().await.unwrap();
    assert!(again.token().expose().split('.').next() != first.token().expose().split('.').next());
    for engine in &engines {
        for token in [first.token(), again.token()] {
            engine.verify_session(token.clone()).await.unwrap();
        }
    }
    // A day later all of them have ended, and so have the keys; whoever has one of those can make no token.
    stage.clock.shift(24 * HOUR + 60_000);
    let now = engines[0].account("customer-0").session().await.unwrap();
    for token in all.iter().chain([first.token(), again.token()]) {
        assert!(engines[0].verify_session(token.clone()).await.unwrap_err().is(smalt::Code::InvalidToken));
    }
    // Whoever opens the store tidies up; the others do so each minute.
    let last = stage.open().await;
    until("the replaced keys are erased", async || kids("") == 1).await;
    for engine in engines.iter().chain([&last]) {
        engine.verify_session(now.token().clone()).await.unwrap();
        engine.close().await;
    }
}

/// The master key changes under running processes, and no row is touched.
#[tokio::test(flavor = "multi_thread")]
async fn s45_another_master_key_touches_no_row() {
    use smalt::{
        plugin::Store,
        store::{SqliteStore, StoreOptions},
        vault::{KeyRing, rewrap},
    };
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    connect_sandbox(&smalt, "customer-0").await;
    let sealed = || -> Vec<u8> { stage.sql().query_row("SELECT sealed FROM connections", [], |row| row.get(0)).unwrap() };
    let before = sealed();
    let key_file = stage.folder.path().join("key");
    let (old, new) = (|| LocalKey::from_file(&key_file).unwrap(), LocalKey::generate().unwrap());
    let same = || LocalKey::parse(&new.text()).unwrap();

    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(stage.store(), StoreOptions::default()).unwrap());
    // The new key alone opens nothing, and nothing is changed by trying.
    assert_eq!(rewrap(&*store, Arc::new(same())).await.unwrap_err().code(), smalt::Code::KeyWrong);
    let done = rewrap(&*store, Arc::new(KeyRing::new(same()).also(old()))).await.unwrap();
    assert_eq!((done.master_key_id.as_str(), done.data_keys), (new.id(), 1));
    assert_eq!(rewrap(&*store, Arc::new(KeyRing::new(same()).also(old()))).await.unwrap().data_keys, 0);
    store.close().await;
    assert_eq!(sealed(), before);
    assert_eq!(stage.count("SELECT count(DISTINCT master_key_id) FROM data_keys"), 1);

    // Who runs goes on; who comes needs the new key.
    assert!(smalt.account("customer-0").credential(SANDBOX).await.is_ok());
    connect_sandbox(&smalt, "customer-1").await;
    smalt.close().await;
    let open = async |keys: KeyRing| {
        let project = serde_json::from_slice(&std::fs::read(stage.folder.path().join("project.json")).unwrap()).unwrap();
        Smalt::embedded(stage.store()).keys(keys).project_value(project).timings(timings()).open().await
    };
    assert_eq!(open(KeyRing::new(old())).await.err().unwrap().code(), smalt::Code::KeyWrong);
    for keys in [KeyRing::new(same()), KeyRing::new(same()).also(old())] {
        let smalt = open(keys).await.unwrap();
        assert!(smalt.account("customer-1").credential(SANDBOX).await.is_ok());
        smalt.close().await;
    }
}

/// A child that begins a rotation and is killed leaves it; an engine that is open carries it on.
#[tokio::test(flavor = "multi_thread")]
async fn s45_a_rotation_that_was_left_is_carried_on() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    connect_sandbox(&smalt, "customer-0").await;
    let mut child = stage.child(&[("SMALT_FAILPOINT", "rotate-begun")]);
    assert!(ask(&mut child, &json!({"do": "rotate"})).is_none());
    assert_eq!(stage.count("SELECT count(*) FROM data_keys"), 2);
    // It was left a long time ago.
    let moved = "UPDATE meta SET value = CAST(json_set(CAST(value AS TEXT), '$.moved_at', 1) AS BLOB) WHERE key LIKE 'rotation:%'";
    stage.sql().execute(moved, []).unwrap();
    // A new engine looks after what is left as soon as it is open.
    let other = stage.open().await;
    crate::stage::until("the rotation ends", async || stage.count("SELECT count(*) FROM data_keys") == 1).await;
    assert!(smalt.account("customer-0").credential(SANDBOX).await.is_ok());
    // A finished one can be looked at; another key's cannot.
    let key: String = stage.sql().query_row("SELECT key_id FROM data_keys", [], |row| row.get(0)).unwrap();
    let seen = other.rotate_keys(RotateKeys { watch: Some(key), wait: None }).await.unwrap();
    assert_eq!(seen.state, RotationState::Done);
    assert!(other.rotate_keys(RotateKeys { watch: Some("0011223344556677".into()), wait: None }).await.is_err());
    let mut child = stage.child(&[]);
    assert_eq!(tell(&mut child, &json!({"do": "rotate"})), json!({"ok": "done"}));
    smalt.close().await;
    other.close().await;
}
