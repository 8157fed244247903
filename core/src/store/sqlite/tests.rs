//! The rows, the groups and the threads, in one process.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::{
    error::Code,
    model::{Environment, Tenant},
    plugin::{StoreExt, Tx},
    store::rows::*,
};

fn tenant() -> Tenant {
    Tenant { org: "acme".into(), environment: Environment::Test }
}

fn neighbours() -> [Tenant; 2] {
    [Tenant { org: "acme".into(), environment: Environment::Production }, Tenant { org: "other".into(), environment: Environment::Test }]
}

fn memory() -> Arc<dyn Store> {
    Arc::new(SqliteStore::memory(StoreOptions::default()).unwrap())
}

fn file(dir: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(dir.path().join("smalt.db"), StoreOptions::default()).unwrap())
}

fn account(id: &str, at: i64) -> AccountRow {
    AccountRow {
        id: id.into(),
        record_id: format!("r-{id}"),
        name: Some(format!("Name of {id}")),
        properties_json: "{}".into(),
        created_at: at,
        updated_at: at + 1,
    }
}

fn session(id: &str, ends: i64) -> SessionRow {
    SessionRow { id: id.into(), account_id: "a".into(), kid: "k".into(), issued_at: 1, expires_at: ends, revoked_at: None }
}

fn flow(id: &str, at: i64) -> FlowRow {
    FlowRow {
        id: id.into(),
        account_id: "a".into(),
        application: "slack".into(),
        client_key: "main".into(),
        status: "waiting".into(),
        state_hash: format!("state-{id}"),
        state_used: false,
        cookie_hash: "cookie".into(),
        claim_hash: Some(format!("claim-{id}")),
        redirect_uri: "https://example.test/cb".into(),
        return_to: None,
        sealed: vec![1, 2, 3],
        options_json: "{}".into(),
        connection_id: None,
        error_code: None,
        error_reason: Some("why".into()),
        created_at: at,
        expires_at: at + 10,
        changed_at: at + 1,
    }
}

fn connection(id: &str, application: &str, at: i64) -> ConnectionRow {
    ConnectionRow {
        id: id.into(),
        account_id: "a".into(),
        application: application.into(),
        client_key: "main".into(),
        auth_type: "oauth2".into(),
        status: "active".into(),
        is_default: false,
        identity_id: Some("T1".into()),
        identity_label: None,
        grant_key: Some("grant".into()),
        scopes_json: "[]".into(),
        properties_json: "{}".into(),
        sealed: vec![9; 40],
        secret_version: 1,
        created_at: at,
        connected_at: at,
        expires_at: Some(99),
        refreshed_at: at,
        last_error_json: None,
        refresh_print: Some("print".into()),
        presented: None,
        lease_owner: None,
        lease_boot: None,
        lease_until: None,
        cooldown_until: None,
        renew_at: None,
        used_at: None,
        trouble: None,
        tries: 0,
        row_version: 1,
    }
}

fn config(id: &str, at: i64) -> ConfigRow {
    ConfigRow {
        id: format!("i-{id}"),
        account_id: "a".into(),
        application: "slack".into(),
        config_id: id.into(),
        version: 1,
        sealed: vec![7],
        created_at: at,
        updated_at: at,
    }
}

fn revocation(id: &str, next_at: i64) -> RevocationRow {
    RevocationRow {
        id: id.into(),
        receipt_id: "r".into(),
        account_id: "a".into(),
        application: "slack".into(),
        client_key: "main".into(),
        connection_id: "c".into(),
        grant_key: None,
        status: "queued".into(),
        sealed: vec![4],
        secret_version: 1,
        attempts: 0,
        next_at,
        lease_owner: None,
        lease_boot: None,
        lease_until: None,
        created_at: 1,
    }
}

fn event(id: &str, at: i64) -> NewEvent {
    NewEvent { id: id.into(), event_type: "x".into(), account_id: None, application: None, data_json: "{}".into(), at }
}

/// Runs the body in one writing transaction of a store in memory that has account `a`.
async fn within(body: impl FnOnce(&mut dyn Tx, &Tenant) -> Result<()> + Send + 'static) {
    memory()
        .write_with(move |tx| {
            tx.put_account(&tenant(), &account("a", 1))?;
            body(tx, &tenant())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn keys_and_meta() {
    within(|tx, t| {
        tx.set_meta("k", b"1")?;
        tx.set_meta("k", b"2")?;
        assert_eq!((tx.meta("k")?, tx.meta("none")?), (Some(b"2".to_vec()), None));
        let key = |id: &str, at| DataKeyRow {
            org: "acme".into(),
            key_id: id.into(),
            master_key_id: "m".into(),
            wrapped: vec![1],
            created_at: at,
        };
        tx.insert_data_key(&key("old", 1))?;
        tx.insert_data_key(&key("new", 2))?;
        assert!(tx.insert_data_key(&key("new", 3)).unwrap_err().is(Code::Internal));
        assert_eq!(tx.data_keys("acme")?, [key("new", 2), key("old", 1)]);
        assert!(tx.data_keys("other")?.is_empty());
        let signing = |id: &str, at| SigningKeyRow { kid: id.into(), sealed: vec![1], created_at: at, retired_at: Some(5) };
        tx.insert_signing_key(t, &signing("old", 1))?;
        tx.insert_signing_key(t, &signing("new", 2))?;
        assert_eq!(tx.signing_keys(t)?, [signing("new", 2), signing("old", 1)]);
        assert!(neighbours().iter().all(|n| tx.signing_keys(n).unwrap().is_empty()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn accounts_by_page_and_search() {
    within(|tx, t| {
        tx.delete_account(t, "a")?;
        for (n, id) in ["one", "two", "t%ree", "four"].into_iter().enumerate() {
            tx.put_account(t, &account(id, n as i64 / 2))?;
        }
        let ids = |rows: Vec<AccountRow>| rows.into_iter().map(|r| r.id).collect::<Vec<_>>();
        let first = tx.accounts(t, None, 0, 2, None)?;
        let after = first.last().map(|r| (r.created_at, r.id.clone()));
        assert_eq!(ids(first), ["t%ree", "four"]);
        assert_eq!(ids(tx.accounts(t, after.clone(), 0, 9, None)?), ["two", "one"]);
        assert_eq!(ids(tx.accounts(t, after, 0, 9, Some("NAME OF O"))?), ["one"]);
        assert_eq!(ids(tx.accounts(t, None, 0, 9, Some("%"))?), ["t%ree"]);
        assert!(tx.accounts(t, None, 0, 9, Some("_"))?.is_empty());

        tx.put_account(t, &AccountRow { name: None, updated_at: 9, ..account("one", 0) })?;
        assert_eq!(tx.account(t, "one")?.unwrap().name, None);
        assert!(neighbours().iter().all(|n| tx.account(n, "one").unwrap().is_none()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_account_takes_its_own_along_and_nothing_comes_after() {
    within(|tx, t| {
        tx.insert_session(t, &session("s", 9))?;
        tx.put_flow(t, &flow("f", 1))?;
        tx.put_connection(t, &connection("c", "slack", 1))?;
        tx.put_config(t, &config("main", 1))?;
        let receipt = ReceiptRow {
            id: "r".into(),
            account_id: "a".into(),
            application: "slack".into(),
            body_json: "{}".into(),
            created_at: 1,
            finished_at: None,
        };
        tx.put_receipt(t, &receipt)?;
        tx.put_revocation(t, &revocation("v", 1))?;
        assert!(neighbours().iter().all(|n| !tx.delete_account(n, "a").unwrap()));
        assert!(tx.delete_account(t, "a")? && !tx.delete_account(t, "a")?);
        assert!(tx.session(t, "s")?.is_none() && tx.flow(t, "f")?.is_none() && tx.connection(t, "c")?.is_none());
        assert!(tx.config(t, "a", "slack", "main")?.is_none());
        assert!(tx.receipt(t, "r")? == Some(receipt) && tx.revocation(t, "v")?.is_some());
        assert!(tx.put_connection(t, &connection("c", "slack", 1)).unwrap_err().is(Code::LinkedAccountNotFound));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn sessions() {
    within(|tx, t| {
        for (id, ends) in [("s1", 10), ("s2", 30), ("s3", 20)] {
            tx.insert_session(t, &session(id, ends))?;
        }
        assert_eq!(tx.newest_session(t, "a")?, Some(session("s2", 30)));
        assert!(tx.revoke_session(t, "s2", 5)? && !tx.revoke_session(t, "s2", 6)? && !tx.revoke_session(t, "none", 5)?);
        assert_eq!(tx.session(t, "s2")?, Some(SessionRow { revoked_at: Some(5), ..session("s2", 30) }));
        assert_eq!(tx.newest_session(t, "a")?, Some(session("s3", 20)));
        assert_eq!(tx.delete_sessions_before(30, 1)?, 1);
        assert!(tx.session(t, "s1")?.is_none(), "the one that ended first goes first");
        assert_eq!(tx.delete_sessions_before(30, 9)?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn flows() {
    within(|tx, t| {
        for (id, at) in [("f1", 1), ("f2", 2), ("f3", 3)] {
            tx.put_flow(t, &flow(id, at))?;
        }
        assert_eq!(tx.flow_by_state(t, "state-f2")?, Some(flow("f2", 2)));
        assert!(neighbours().iter().all(|n| tx.consume_state(n, "state-f2").unwrap().is_none()));
        assert_eq!(tx.consume_state(t, "state-f2")?, Some(flow("f2", 2)));
        assert_eq!(tx.consume_state(t, "state-f2")?, None);
        assert!(tx.flow(t, "f2")?.unwrap().state_used);
        assert_eq!(tx.consume_claim(t, "claim-f1")?, Some(flow("f1", 1)));
        assert_eq!(tx.consume_claim(t, "claim-f1")?, None);
        assert_eq!(tx.flow(t, "f1")?.unwrap().claim_hash, None);
        let done = FlowRow { status: "done".into(), connection_id: Some("c".into()), ..flow("f3", 3) };
        tx.put_flow(t, &done)?;
        let ids: Vec<_> = tx.flows_before("waiting", 3, 9)?.into_iter().map(|(tenant, f)| (tenant, f.id)).collect();
        assert_eq!(ids, [(t.clone(), "f1".to_owned())]);
        assert_eq!(tx.flow(t, "f3")?, Some(done));
        assert_eq!(tx.delete_flows_before(3, 9)?, 2);
        assert!(tx.flow(t, "f3")?.is_some());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn connections_and_configs() {
    within(|tx, t| {
        for row in [connection("c1", "slack", 3), connection("c2", "slack", 2), connection("c3", "gmail", 1)] {
            tx.put_connection(t, &row)?;
        }
        tx.put_connection(t, &ConnectionRow { is_default: true, grant_key: None, ..connection("c1", "slack", 3) })?;
        let ids = |rows: Vec<ConnectionRow>| rows.into_iter().map(|r| r.id).collect::<Vec<_>>();
        assert_eq!(ids(tx.connections(t, "a", None)?), ["c3", "c1", "c2"]);
        assert_eq!(ids(tx.connections(t, "a", Some("slack"))?), ["c1", "c2"]);
        assert_eq!(ids(tx.connections_by_grant(t, "grant")?), ["c3", "c2"]);
        assert_eq!(tx.connection(t, "c2")?, Some(connection("c2", "slack", 2)));
        assert!(neighbours().iter().all(|n| tx.connection(n, "c2").unwrap().is_none() && !tx.delete_connection(n, "c2").unwrap()));
        assert!(tx.delete_connection(t, "c2")? && !tx.delete_connection(t, "c2")?);

        for row in [config("one", 1), config("two", 2), config("three", 3)] {
            tx.put_config(t, &row)?;
        }
        let changed = ConfigRow { version: 2, sealed: vec![8], updated_at: 9, ..config("one", 1) };
        tx.put_config(t, &changed)?;
        assert_eq!(tx.configs(t, "a", "slack")?, [config("three", 3), config("two", 2), changed]);
        assert!(tx.delete_config(t, "a", "slack", "two")? && !tx.delete_config(t, "a", "slack", "two")?);
        let mut gone = tx.delete_configs(t, "a", "slack")?;
        gone.sort();
        assert_eq!(gone, ["one", "three"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn revocations_events_and_audit() {
    within(|tx, t| {
        for (id, at) in [("late", 30), ("second", 20), ("first", 10)] {
            tx.put_revocation(t, &revocation(id, at))?;
        }
        let due = |tx: &mut dyn Tx| tx.due_revocations(&tenant(), 20, 9).unwrap().into_iter().map(|r| r.id).collect::<Vec<_>>();
        assert_eq!(due(tx), ["first", "second"]);
        tx.put_revocation(t, &RevocationRow { status: "revoked".into(), sealed: vec![], ..revocation("first", 10) })?;
        assert_eq!(due(tx), ["second"]);

        assert_eq!(tx.last_event()?, 0);
        let numbers: Vec<i64> = (1..=4).map(|n| tx.append_event(t, &event(&format!("e{n}"), n)).unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(tx.events_after(t, 2, 1)?, [EventRow { seq: 3, event: event("e3", 3) }]);
        assert!(neighbours().iter().all(|n| tx.events_after(n, 0, 9).unwrap().is_empty()));
        assert_eq!((tx.delete_events_before(3, 1)?, tx.delete_events_before(9, 9)?), (1, 3));
        assert_eq!(tx.last_event()?, 4, "the count goes on");
        assert_eq!(tx.append_event(t, &event("e5", 5))?, 5);

        let audit = |seq| AuditRow {
            seq,
            action: "credential".into(),
            actor: "org".into(),
            account_id: Some("a".into()),
            application: None,
            connection_id: Some("c".into()),
            count: 1,
            detail_json: "{}".into(),
            at: 7,
        };
        assert_eq!((tx.append_audit(t, &audit(0))?, tx.append_audit(t, &audit(0))?), (1, 2));
        tx.add_audit_count(1, 4)?;
        assert_eq!(tx.audit_before(t, None, 9)?, [audit(2), AuditRow { count: 5, ..audit(1) }]);
        assert_eq!(tx.audit_before(t, Some(2), 9)?.len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_failed_or_panicking_job_undoes_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    for store in [memory(), file(&dir)] {
        let jobs = (0..30).map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write_with(move |tx| {
                        tx.put_account(&tenant(), &account(&format!("a{n}"), n))?;
                        match n % 3 {
                            0 => Ok(()),
                            1 => Err(err!(Cancelled, "not this one")),
                            _ => panic!("nor this one"),
                        }
                    })
                    .await
            })
        });
        for (n, answer) in futures_util::future::join_all(jobs).await.into_iter().enumerate() {
            match (n % 3, answer.unwrap()) {
                (0, answer) => answer.unwrap(),
                (1, answer) => assert!(answer.unwrap_err().is(Code::Cancelled)),
                (_, answer) => assert!(answer.unwrap_err().is(Code::Internal)),
            }
        }
        let kept = store.read_with(|tx| tx.accounts(&tenant(), None, 0, 99, None)).await.unwrap();
        assert_eq!(kept.len(), 10);
        let panicked = store.read_with(|_| -> Result<()> { panic!("a reader's job") }).await;
        assert!(panicked.unwrap_err().is(Code::Internal));
        assert!(store.read_with(|tx| tx.account(&tenant(), "a0")).await.unwrap().is_some(), "the thread lives on");
    }
}

#[tokio::test]
async fn a_reading_job_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for store in [memory(), file(&dir)] {
        let _ = store.read_with(|tx| tx.put_account(&tenant(), &account("a", 1))).await;
        assert!(store.read_with(|tx| tx.account(&tenant(), "a")).await.unwrap().is_none());
    }
}

/// Readings that wait share one snapshot; what is asked for later has one of its own, or somebody could miss what they wrote.
#[tokio::test]
async fn a_snapshot_is_shared_with_what_was_asked_for_before_it() {
    use std::sync::mpsc::{Sender, channel};

    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { readers: 1, ..StoreOptions::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(dir.path().join("smalt.db"), options).unwrap());
    let count = |tx: &mut dyn Tx| tx.count_accounts(&tenant(), None);
    // Counts, says so, and keeps the one reader until it is let go.
    let held = || {
        let (began, is_in) = oneshot::channel();
        let (go, gate): (Sender<()>, _) = channel();
        let job = move |tx: &mut dyn Tx| {
            let found = count(tx)?;
            let _ = began.send(());
            gate.recv().unwrap();
            Ok(found)
        };
        (Box::pin(store.read_with(job)), is_in, go)
    };
    let put = |id: &'static str| store.write_with(move |tx| tx.put_account(&tenant(), &account(id, 1)));
    // What is polled once is in the queue.
    macro_rules! asked {
        ($work:ident) => {
            tokio::select! { biased; _ = &mut $work => unreachable!(), () = std::future::ready(()) => {} }
        };
    }
    let (mut first, is_in, go_first) = held();
    asked!(first);
    is_in.await.unwrap();
    put("a").await.unwrap();
    let (mut second, is_in, go_second) = held();
    asked!(second);
    let mut broken = Box::pin(store.read_with(|_| -> Result<u64> { panic!("a job that panics") }));
    asked!(broken);
    let mut third = Box::pin(store.read_with(count));
    asked!(third);
    go_first.send(()).unwrap();
    assert_eq!(first.await.unwrap(), 0);
    is_in.await.unwrap();
    put("b").await.unwrap();
    let mut fourth = Box::pin(store.read_with(count));
    asked!(fourth);
    go_second.send(()).unwrap();
    assert_eq!(second.await.unwrap(), 1);
    assert!(broken.await.unwrap_err().is(Code::Internal));
    assert_eq!(third.await.unwrap(), 1, "on the snapshot of the second");
    assert_eq!(fourth.await.unwrap(), 2, "what was written before it was asked for");
}

#[tokio::test]
async fn a_write_is_finished_when_its_caller_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = file(&dir);
    let mut job = Box::pin(store.write_with(|tx| tx.put_account(&tenant(), &account("a", 1))));
    // Polled once, so it is under way; then dropped.
    tokio::select! { biased; _ = &mut job => {} () = std::future::ready(()) => {} }
    drop(job);
    store.write_with(|_| Ok(())).await.unwrap();
    assert!(store.read_with(|tx| tx.account(&tenant(), "a")).await.unwrap().is_some());
}

#[tokio::test]
async fn only_others_writes_move_the_foreign_version() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (file(&dir), file(&dir));
    let before = one.foreign_version().await.unwrap();
    one.write_with(|tx| tx.set_meta("x", b"1")).await.unwrap();
    assert_eq!(one.foreign_version().await.unwrap(), before);
    two.write_with(|tx| tx.set_meta("x", b"2")).await.unwrap();
    assert_ne!(one.foreign_version().await.unwrap(), before);
}

#[tokio::test]
async fn a_lock_held_for_too_long_answers_busy_and_then_writes_resume() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    let options = StoreOptions { lock_wait: Duration::from_millis(80), ..StoreOptions::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, options).unwrap());
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.write_with(|tx| tx.set_meta("x", b"1")).await.unwrap_err();
    assert!(error.is(Code::StoreBusy), "{error}");
    assert!(store.foreign_version().await.is_ok() && store.read_with(|tx| tx.meta("x")).await.unwrap().is_none());
    holder.execute_batch("COMMIT").unwrap();
    store.write_with(|tx| tx.set_meta("x", b"2")).await.unwrap();
}

#[tokio::test]
async fn a_full_store_refuses_writes_and_resumes() {
    // In memory, where the writer's own connection can be told how many pages there may be.
    let mut conn = schema::connect_memory(&StoreOptions::default()).unwrap();
    schema::prepare(&mut conn, &StoreOptions::default()).unwrap();
    let pages: i64 = conn.query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
    conn.pragma_update(None, "max_page_count", pages + 8).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::start(conn, Vec::new(), None, StoreOptions::default()).unwrap());
    store.write_with(|tx| tx.set_meta("small", b"1")).await.unwrap();
    let error = store.write_with(|tx| tx.set_meta("large", &[0; 100_000])).await.unwrap_err();
    assert!(error.is(Code::StoreUnavailable) && error.reason().contains("full"), "{error}");
    assert_eq!(store.read_with(|tx| tx.meta("small")).await.unwrap(), Some(b"1".to_vec()));
    store.write_with(|tx| tx.set_meta("small", b"2")).await.unwrap();
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for store in [memory(), file(&dir)] {
        store.close().await;
        assert!(store.write_with(|_| Ok(())).await.unwrap_err().is(Code::Closed));
        assert!(store.read_with(|_| Ok(())).await.unwrap_err().is(Code::Closed));
        assert!(store.foreign_version().await.unwrap_err().is(Code::Closed));
        store.close().await;
    }
    assert!(!dir.path().join("smalt.db-wal").exists(), "everything is in the file itself");
}

#[tokio::test]
async fn a_forked_child_is_told_so() {
    let mut store = SqliteStore::memory(StoreOptions::default()).unwrap();
    store.pid = store.pid.wrapping_add(1);
    let (writes, store) = (store.writes.clone(), Arc::new(store) as Arc<dyn Store>);
    for error in [
        store.write_with(|_| Ok(())).await.unwrap_err(),
        store.read_with(|_| Ok(())).await.unwrap_err(),
        store.foreign_version().await.unwrap_err(),
    ] {
        assert!(error.is(Code::Closed) && error.reason().contains("forked"), "{error}");
    }
    store.close().await;
    drop(store);
    assert!(writes.push(writer::Request::Version(oneshot::channel().0)).is_ok(), "the parent's queue is left alone");
    writes.close();
}

#[test]
fn s01_a_state_is_consumed_once() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stores = [file(&dir), file(&dir)];
    for round in 0..20 {
        let state = format!("state-f{round}");
        runtime
            .block_on(stores[0].write_with(move |tx| {
                tx.put_account(&tenant(), &account("a", 1))?;
                tx.put_flow(&tenant(), &flow(&format!("f{round}"), 1))
            }))
            .unwrap();
        let won: usize = thread::scope(|scope| {
            let racers: Vec<_> = (0..50)
                .map(|n| {
                    let (store, state, runtime) = (&stores[n % 2], state.clone(), &runtime);
                    scope.spawn(move || {
                        let taken = runtime.block_on(store.write_with(move |tx| tx.consume_state(&tenant(), &state))).unwrap();
                        usize::from(taken.is_some())
                    })
                })
                .collect();
            racers.into_iter().map(|r| r.join().unwrap()).sum()
        });
        assert_eq!(won, 1, "round {round}");
    }
}

/// The statements that many rows must not slow down use an index, and nothing is sorted that an index has in order.
#[test]
fn hot_statements_use_an_index() {
    let mut conn = schema::connect_memory(&StoreOptions::default()).unwrap();
    schema::prepare(&mut conn, &StoreOptions::default()).unwrap();
    let tenant = "WHERE org = ?1 AND environment = ?2";
    for (index, sql) in [
        (
            "accounts_by_age",
            format!("SELECT * FROM accounts {tenant} AND (created_at, id) < (?4, ?5) ORDER BY created_at DESC, id DESC LIMIT 9"),
        ),
        ("PRIMARY KEY", format!("SELECT * FROM accounts {tenant} AND id = ?3")),
        (
            "sessions_by_account",
            format!("SELECT * FROM sessions {tenant} AND account_id = ?3 AND revoked_at IS NULL ORDER BY expires_at DESC LIMIT 1"),
        ),
        ("sessions_by_end", "SELECT * FROM sessions WHERE expires_at < ?1 ORDER BY expires_at LIMIT 9".into()),
        ("flows_by_state", format!("UPDATE flows SET state_used = 1 {tenant} AND state_hash = ?3 AND state_used = 0")),
        ("flows_by_claim", format!("UPDATE flows SET claim_hash = NULL {tenant} AND claim_hash = ?3")),
        ("flows_by_status", "SELECT * FROM flows WHERE status = ?1 AND changed_at < ?2 ORDER BY changed_at LIMIT 9".into()),
        ("flows_by_age", "SELECT rowid FROM flows WHERE created_at < ?1 ORDER BY created_at LIMIT 9".into()),
        ("connections_by_account", format!("DELETE FROM connections {tenant} AND account_id = ?3")),
        ("connections_by_grant", format!("SELECT * FROM connections {tenant} AND grant_key = ?3")),
        (
            "revocations_due",
            format!("SELECT * FROM revocations {tenant} AND status = 'queued' AND next_at <= ?3 ORDER BY next_at, rowid LIMIT 9"),
        ),
        ("events_by_tenant", format!("SELECT * FROM events {tenant} AND seq > ?3 ORDER BY seq LIMIT 9")),
        ("audit_by_tenant", format!("SELECT * FROM audit {tenant} AND seq < ?3 ORDER BY seq DESC LIMIT 9")),
    ] {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let mut plan = String::new();
        while let Some(row) = rows.next().unwrap() {
            plan += &row.get::<_, String>(3).unwrap();
            plan += "; ";
        }
        assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

/// Whoever brings another table of secrets keeps programs away that would not seal it anew.
#[test]
fn the_last_schema_with_something_new_that_is_sealed_is_known() {
    let last = schema::MIGRATIONS.iter().rfind(|step| step.sql.lines().any(|line| line.trim_start().starts_with("sealed ")));
    assert_eq!(last.unwrap().version, schema::SEALED);
}

/// Writes down, under `SMALT_WRITE=1` and once per released schema, what the programs of this schema ask of a store: for
/// `core/tests/store.rs`, which plays them against newer schemas.
#[test]
fn write_statements() {
    use crate::store::{
        rows::*,
        sqlite::record::{Put, Record},
    };
    if std::env::var_os("SMALT_WRITE").is_none() {
        return;
    }
    let mut lines = Vec::new();
    fn put<T: Put>(lines: &mut Vec<String>) {
        lines.push(format!("{0}\tSELECT org, environment, {1} FROM {0}", T::TABLE, T::COLUMNS));
        lines.push(format!("{}\t{}", T::TABLE, T::PUT));
    }
    put::<AccountRow>(&mut lines);
    put::<SessionRow>(&mut lines);
    put::<ApiKeyRow>(&mut lines);
    put::<FlowRow>(&mut lines);
    put::<ConnectionRow>(&mut lines);
    put::<ClientRow>(&mut lines);
    put::<RegistrationRow>(&mut lines);
    put::<ConfigRow>(&mut lines);
    put::<ReceiptRow>(&mut lines);
    put::<RevocationRow>(&mut lines);
    put::<WebhookRow>(&mut lines);
    put::<OwnCredentialsRow>(&mut lines);
    put::<ExecutionRow>(&mut lines);
    put::<DeliveryRow>(&mut lines);
    put::<PortalLinkRow>(&mut lines);
    put::<PortalPropertiesRow>(&mut lines);
    for (table, columns, insert) in [
        (DataKeyRow::TABLE, DataKeyRow::COLUMNS, DataKeyRow::INSERT),
        (SigningKeyRow::TABLE, SigningKeyRow::COLUMNS, SigningKeyRow::INSERT),
        (NewEvent::TABLE, NewEvent::COLUMNS, NewEvent::INSERT),
        (AuditRow::TABLE, AuditRow::COLUMNS, AuditRow::INSERT),
    ] {
        lines.push(format!("{table}\tSELECT {columns} FROM {table}"));
        lines.push(format!("{table}\t{insert}"));
    }
    let path = format!("{}/tests/fixtures/store/statements-{}.sql", env!("CARGO_MANIFEST_DIR"), schema::SCHEMA);
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// The statements whose texts are made by the compiler are those that the columns give.
#[test]
fn texts_that_are_made_once_name_each_column() {
    use super::record::{Put, Record};
    use crate::store::rows::{ApiKeyRow, ClientRow, ConnectionRow, SessionRow};
    fn select<T: Record>(rest: &str) -> String {
        format!("SELECT {} FROM {} WHERE org = ?1 AND environment = ?2{rest}", T::COLUMNS, T::TABLE)
    }
    let order = "ORDER BY application, is_default DESC, created_at, id";
    assert_eq!(SessionRow::BY_ID, select::<SessionRow>(" AND id = ?3"));
    assert_eq!(ConnectionRow::BY_ID, select::<ConnectionRow>(" AND id = ?3"));
    assert_eq!(ApiKeyRow::BY_HASH, select::<ApiKeyRow>(" AND hash = ?3"));
    assert_eq!(ConnectionRow::OF_ACCOUNT, select::<ConnectionRow>(&format!(" AND account_id = ?3 {order}")));
    assert_eq!(ConnectionRow::OF_APPLICATION, select::<ConnectionRow>(&format!(" AND account_id = ?3 AND application = ?4 {order}")));
    assert_eq!(ClientRow::OF_TENANT, select::<ClientRow>(""));
    assert_eq!(ClientRow::OF_APPLICATION, select::<ClientRow>(" AND application = ?3"));
}
