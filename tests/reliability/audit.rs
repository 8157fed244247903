//! The audit: a row for every deed that was acknowledged, none with a secret.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use smalt::{
    backend::ApiRequest,
    sandbox::{Endpoint, Misbehaviour},
};
use smalt_tests::size;

use crate::stage::{HOUR, SANDBOX, Stage, connect_sandbox, sandbox, token};

/// Mixed deeds in processes that are killed: the rows of the audit are the deeds that were acknowledged, and at most the
/// one that a kill caught between its commit and its answer.
#[tokio::test(flavor = "multi_thread")]
async fn s70_the_audit_has_every_deed() {
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    let mut secrets = vec![smalt::sandbox::API_KEY.to_owned()];
    for n in 0..4 {
        connect_sandbox(&smalt, &format!("customer-{n}")).await;
        secrets.push(token(&smalt.account(format!("customer-{n}")).credential(SANDBOX).await.unwrap()));
    }
    smalt.close().await;
    let rows = |action: &str| stage.count(&format!("SELECT count(*) FROM audit WHERE action = '{action}'"));
    let start = ["connect", "disconnect", "refresh"].map(rows);
    let reads_before = stage.count("SELECT coalesce(sum(count), 0) FROM audit WHERE action = 'credential'");
    assert_eq!((start, reads_before), ([4, 0, 0], 4));
    let mut windows = BTreeSet::new();
    let (mut done, mut reads, mut kills, mut unknown) = ([0_i64; 3], 0_i64, 0_i64, 0_i64);
    let mut child = stage.child(&[]);
    let mut since_kill = 0;
    for n in 0..size(50, 1000) {
        let account = format!("customer-{}", n % 4);
        // A hard kill now and then, right after an order was given.
        let kill = n % 12 == 11;
        let order = match n % 5 {
            0 => json!({"do": "connect_key", "account": account}),
            1 => json!({"do": "credential", "account": account, "application": SANDBOX, "callers": 10}),
            2 => {
                child.say(&json!({"do": "shift", "millis": HOUR}).to_string());
                child.line();
                json!({"do": "credential", "account": account, "application": SANDBOX})
            }
            3 => json!({"do": "connect_key", "account": account}),
            _ => json!({"do": "disconnect", "account": format!("customer-{}", (n + 3) % 4), "application": "sandbox-key"}),
        };
        let refreshed = control.stats().refreshes;
        let removed = stage.count("SELECT count(*) FROM connections WHERE application = 'sandbox-key'");
        child.say(&order.to_string());
        if kill {
            std::thread::sleep(Duration::from_millis(n as u64 * 7 % 30));
            child.kill();
            child = stage.child(&[]);
            kills += 1;
            unknown += 1;
            since_kill = 0;
            continue;
        }
        let answer: Value = serde_json::from_str(&child.line().unwrap()).unwrap();
        since_kill += 1;
        assert!(answer["error"].is_null(), "{order}: {answer}");
        match n % 5 {
            0 | 3 => done[0] += 1,
            4 => {
                let left = stage.count("SELECT count(*) FROM connections WHERE application = 'sandbox-key'");
                done[1] += removed - left;
            }
            _ => {
                if answer["errors"] == json!([]) {
                    windows.insert((kills, account));
                    reads += i64::try_from(order["callers"].as_u64().unwrap_or(1)).unwrap();
                }
                done[2] += i64::try_from(control.stats().refreshes - refreshed).unwrap();
            }
        }
        for held in answer["tokens"].as_array().into_iter().flatten() {
            secrets.push(held.as_str().unwrap().to_owned());
        }
    }
    assert!(child.end(), "the last process closes its engine");
    assert!(kills >= 4 && since_kill >= 1);
    let mut over = 0;
    for (at, action) in ["connect", "disconnect", "refresh"].into_iter().enumerate() {
        let found = rows(action) - start[at];
        assert!(found >= done[at], "{action}: {found} rows for {} deeds", done[at]);
        over += found - done[at];
    }
    assert!(over <= unknown, "{over} rows too many for {kills} kills");
    // A kill loses counts of one interval at most, never the row; every read window that began has one.
    let counted = stage.count("SELECT coalesce(sum(count), 0) FROM audit WHERE action = 'credential'") - reads_before;
    assert!(counted <= reads + unknown * 10, "{counted} for {reads}");
    let found = stage.count("SELECT count(*) FROM audit WHERE action = 'credential'") - 4;
    assert!(found >= i64::try_from(windows.len()).unwrap(), "{found} rows for {} windows", windows.len());
    assert!(found <= counted);
    assert!(secrets.len() > 5);
    let mut rows = stage.sql();
    let rows = rows.transaction().unwrap();
    let mut query = rows.prepare("SELECT action || actor || coalesce(account_id, '') || detail_json FROM audit").unwrap();
    for row in query.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let row = row.unwrap();
        assert!(secrets.iter().all(|secret| !row.contains(secret)), "a secret in the audit");
    }
}

/// Without a kill every read is counted, whether a window ended in between or not.
#[tokio::test(flavor = "multi_thread")]
async fn s70_every_read_is_counted() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let timings = smalt::engine::Timings { read_window: Duration::from_millis(150), ..crate::stage::timings() };
    let smalt = stage.open_with(timings).await;
    connect_sandbox(&smalt, "customer-42").await;
    let mut calls = Vec::new();
    for caller in 0..4 {
        let account = smalt.acting_as(&format!("worker-{caller}")).account("customer-42");
        calls.push(tokio::spawn(async move {
            for n in 0..size(200, 2000) {
                account.credential(SANDBOX).await.unwrap();
                if n % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            }
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    smalt.close().await;
    let (rows, counted) = (
        stage.count("SELECT count(*) FROM audit WHERE action = 'credential'"),
        stage.count("SELECT sum(count) FROM audit WHERE action = 'credential'"),
    );
    assert_eq!(counted, 4 * size(200, 2000) as i64);
    assert!(rows > 4, "more than one window each: {rows}");
}

/// Calls with a credential are counted like reads of it, streams and pages included; the row of a window is durable before the
/// first of its calls goes out.
#[tokio::test(flavor = "multi_thread")]
async fn s70_every_call_is_counted() {
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    connect_sandbox(&smalt, "customer-42").await;
    let account = smalt.acting_as("worker").account("customer-42");
    // Before the first answer, its row is there.
    control.misbehave(Endpoint::Api, Some(1), Misbehaviour::Drop { after_work: true });
    assert!(account.request(SANDBOX, "GET", "items").await.is_err());
    let first = stage.count("SELECT count FROM audit WHERE action = 'request' AND actor = 'worker'");
    assert_eq!(first, 1);
    for _ in 0..size(20, 200) {
        assert_eq!(account.request(SANDBOX, "GET", "items").await.unwrap().status, 200);
    }
    let wanted = ApiRequest { application: SANDBOX.into(), method: "GET".into(), path: "items".into(), ..ApiRequest::default() };
    let mut download = account.download(wanted).await.unwrap();
    while download.next().await.unwrap().is_some() {}
    smalt.close().await;
    let rows = stage.count("SELECT count(*) FROM audit WHERE action = 'request'");
    let counted = stage.count("SELECT sum(count) FROM audit WHERE action = 'request' AND connection_id IS NOT NULL");
    assert_eq!(counted, 2 + i64::try_from(size(20, 200)).unwrap());
    assert!(rows < counted, "{rows} rows");
    assert_eq!(stage.count("SELECT count(*) FROM audit WHERE action = 'credential'"), 0);
}
