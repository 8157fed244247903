//! Processes that are killed while they write.

use std::{
    collections::HashMap,
    io::Write,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use smalt::model::ConnectionStatus;
use smalt_tests::size;

use crate::{
    rotation::keys_of_values,
    stage::{SANDBOX, Stage, ask, connect_sandbox, consent, sandbox, tell},
};

/// Writers are killed at any moment: what was acknowledged is there, whole, and the store opens at once.
#[tokio::test(flavor = "multi_thread")]
async fn r01_what_was_acknowledged_survives_a_kill() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    stage.open().await.close().await;
    let mut names: HashMap<String, u64> = HashMap::new();
    let mut colours: HashMap<String, u64> = HashMap::new();
    let mut step = 0_u64;
    let mut slowest = Duration::ZERO;
    for kill in 0..size(20, 200) as u64 {
        let began = Instant::now();
        let mut child = stage.child(&[]);
        slowest = slowest.max(began.elapsed());
        let pid = child.pid().to_string();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(kill * 37 % 120));
            std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        });
        loop {
            step += 1;
            let account = format!("customer-{}", step % 7);
            let orders = [
                json!({"do": "upsert", "account": account, "name": step.to_string()}),
                json!({"do": "connect_key", "account": account}),
                json!({"do": "set_colour", "account": account, "colour": step.to_string()}),
            ];
            let mut answers = orders.iter().map_while(|order| {
                child.say(&order.to_string());
                let answer: Value = serde_json::from_str(&child.line()?).ok()?;
                Some(answer)
            });
            let Some(named) = answers.next() else { break };
            assert!(named["ok"].is_null() && named["error"].is_null(), "{named}");
            names.insert(account.clone(), step);
            let (Some(connected), Some(coloured)) = (answers.next(), answers.next()) else { break };
            assert!(connected["ok"].is_string(), "{connected}");
            assert!(coloured["ok"].is_i64(), "{coloured}");
            colours.insert(account, step);
        }
        killer.join().unwrap();
        drop(child);
    }
    assert!(step > 20, "the children did some work: {step}");
    // A figure and no assertion, past the runner that keeps what tests print: see docs/reliability.md.
    writeln!(std::io::stderr(), "R-01: the slowest start of a process after a kill took {} ms", slowest.as_millis()).unwrap();
    let smalt = stage.open().await;
    let at_least = |text: Option<&str>, step: u64| text.and_then(|text| text.parse::<u64>().ok()).is_some_and(|found| found >= step);
    for (account, step) in &names {
        let found = smalt.account(account).get().await.unwrap();
        assert!(at_least(found.name.as_deref(), *step), "{account}: {found:?}, acknowledged {step}");
    }
    for (account, step) in &colours {
        let account = smalt.account(account);
        let config = json!(account.get_config("sandbox-key", None).await.unwrap());
        let colour = config["fields"].as_array().unwrap().iter().find(|field| field["id"] == "colour").unwrap();
        assert!(at_least(colour["value"].as_str(), *step), "{colour}, acknowledged {step}");
        assert_eq!(account.connections(None).await.unwrap()[0].status, ConnectionStatus::Active);
    }
    let ok: String = stage.sql().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(ok, "ok");
}

/// What the rows of one account say.
#[derive(Debug, PartialEq)]
struct State {
    account: i64,
    connections: i64,
    configs: i64,
    receipts: i64,
    revocations: i64,
    connected_flows: i64,
    deletions: i64,
}

fn state(stage: &Stage, name: &str) -> State {
    let count = |query: &str| stage.count(&query.replace("{}", &format!("'{name}'")));
    State {
        account: count("SELECT count(*) FROM accounts WHERE id = {}"),
        connections: count("SELECT count(*) FROM connections WHERE account_id = {}"),
        configs: count("SELECT count(*) FROM configs WHERE account_id = {}"),
        receipts: count("SELECT count(*) FROM receipts WHERE account_id = {}"),
        revocations: count("SELECT count(*) FROM revocations WHERE account_id = {}"),
        connected_flows: count("SELECT count(*) FROM flows WHERE status = 'connected' AND account_id = {}"),
        deletions: count("SELECT count(*) FROM audit WHERE action = 'delete_account' AND account_id = {}"),
    }
}

/// Processes die at the worst places of changes that touch several rows: each change is there wholly or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn r03_no_half_states() {
    // The place, and whether the change holds after it.
    const PLACES: [(&str, bool); 10] = [
        ("connect-middle", false),
        ("connect-saved", false),
        ("connect-committed", true),
        ("disconnect-row", false),
        ("disconnect-middle", false),
        ("disconnect-committed", true),
        ("delete-middle", false),
        ("delete-last", false),
        ("delete-committed", true),
        ("disconnect-row", false),
    ];
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    for n in 0..size(20, 300) {
        let (place, holds) = PLACES[n % PLACES.len()];
        let name = format!("customer-{n}");
        let smalt = stage.open().await;
        let connecting = place.starts_with("connect");
        let order = if connecting {
            let (_, callback, cookie) = consent(&smalt, &name, None).await;
            json!({"do": "finish", "account": name, "url": callback, "cookie": cookie.expose()})
        } else {
            connect_sandbox(&smalt, &name).await;
            smalt.account(&name).config(SANDBOX).await.unwrap();
            json!({"do": if place.starts_with("delete") { "delete_account" } else { "disconnect" }, "account": name, "application": SANDBOX})
        };
        smalt.close().await;
        let mut child = stage.child(&[("SMALT_FAILPOINT", place)]);
        child.say(&order.to_string());
        assert_eq!(child.line(), None, "the process died at {place}");
        let before = if connecting {
            State { account: 1, connections: 0, configs: 0, receipts: 0, revocations: 0, connected_flows: 0, deletions: 0 }
        } else {
            State { account: 1, connections: 1, configs: 1, receipts: 0, revocations: 0, connected_flows: 1, deletions: 0 }
        };
        let expected = match (holds, place) {
            (false, _) => before,
            (true, "connect-committed") => State { connections: 1, connected_flows: 1, ..before },
            (true, "disconnect-committed") => State { connections: 0, configs: 0, receipts: 1, revocations: 1, ..before },
            (true, _) => State { account: 0, connections: 0, configs: 0, receipts: 1, revocations: 1, connected_flows: 0, deletions: 1 },
        };
        assert_eq!(state(&stage, &name), expected, "{n}: {place}");
        if !holds && !connecting {
            // What was undone can be done.
            let mut child = stage.child(&[]);
            assert!(tell(&mut child, &order)["error"].is_null(), "{place}");
        }
    }
}

/// Where the store's rotation stands: its data keys, its signing keys and those of them that sign, what the audit says of rotations, and
/// how many values the record says were sealed anew beside how many are.
#[derive(Debug, PartialEq)]
struct Rotation {
    data_keys: i64,
    signing_keys: i64,
    signing: i64,
    begun: i64,
    replaced: i64,
    ended: i64,
    closed: i64,
    state: Option<String>,
    resealed: u64,
}

fn rotation(stage: &Stage) -> Rotation {
    let count = |query: &str| stage.count(&format!("SELECT count(*) FROM {query}"));
    let audited = |action: &str| count(&format!("audit WHERE action = '{action}'"));
    let record: Option<Value> = stage
        .sql()
        .query_row("SELECT CAST(value AS TEXT) FROM meta WHERE key LIKE 'rotation:%'", [], |row| row.get::<_, String>(0))
        .ok()
        .map(|text| serde_json::from_str(&text).unwrap());
    let text = |name: &str| record.as_ref().and_then(|record| record[name].as_str()).map(ToOwned::to_owned);
    let resealed = record.as_ref().map_or(0, |record| record["resealed"].as_u64().unwrap());
    if let Some(new) = text("key_id") {
        let anew = keys_of_values(stage).iter().filter(|key| **key == new).count();
        assert_eq!(anew as u64, resealed, "a batch of rows and what the record says of it are one: {record:?}");
    }
    Rotation {
        data_keys: count("data_keys"),
        signing_keys: count("signing_keys"),
        signing: count("signing_keys WHERE retired_at IS NULL"),
        begun: audited("keys.rotate"),
        replaced: audited("keys.signing"),
        ended: audited("keys.rotated"),
        closed: count("closed_keys WHERE lower(hex(substr(head, 2))) IN (SELECT key_id FROM data_keys)"),
        state: text("state"),
        resealed,
    }
}

/// The same of a rotation of keys, which changes many rows in many steps: each step is there wholly or not at all, and what was begun can
/// be ended by another process.
#[tokio::test(flavor = "multi_thread")]
async fn r03_a_rotation_leaves_no_half_step() {
    // The place; whether the rotation has begun, the replaced key is closed, all is over.
    const PLACES: [(&str, bool, bool); 8] = [
        ("rotate-middle", false, false),
        ("rotate-begun", true, false),
        ("rotate-written:2", true, false),
        ("rotate-batch:2", true, false),
        // The steps that close the replaced key, and that drop it.
        ("rotate-written:11", true, false),
        ("rotate-batch:11", true, true),
        ("rotate-written:22", true, true),
        ("rotate-batch:21", true, true),
    ];
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    for n in 0..3 {
        let account = smalt.account(format!("customer-{n}"));
        connect_sandbox(&smalt, account.id()).await;
        account.config(SANDBOX).await.unwrap();
        account.session().await.unwrap();
    }
    smalt.close().await;
    for n in 0..size(8, 100) {
        let (place, begun, closed) = PLACES[n % PLACES.len()];
        // A signing key that signed nothing is erased as soon as it is replaced.
        let smalt = stage.open().await;
        smalt.account("customer-0").session_with(true).await.unwrap();
        smalt.close().await;
        let before = rotation(&stage);
        assert_eq!((before.data_keys, before.signing, before.closed), (1, 1, 0));
        let mut child = stage.child(&[("SMALT_FAILPOINT", place)]);
        assert_eq!(ask(&mut child, &json!({"do": "rotate"})), None, "the process died at {place}");
        let after = rotation(&stage);
        if begun {
            let state = if closed { "checking" } else { "resealing" };
            let expected = Rotation {
                data_keys: 2,
                signing_keys: before.signing_keys + 1,
                begun: before.begun + 1,
                replaced: before.replaced + 1,
                closed: i64::from(closed),
                state: Some(state.to_owned()),
                resealed: after.resealed,
                ..before
            };
            assert_eq!(after, expected, "{n}: {place}");
            assert_eq!(after.resealed > 0, place != "rotate-begun", "{n}: {place}");
        } else {
            assert_eq!(after, before, "{n}: {place}");
        }
        let mut child = stage.child(&[]);
        assert_eq!(tell(&mut child, &json!({"do": "rotate"})), json!({"ok": "done"}), "{n}: {place}");
        drop(child);
        let ended = rotation(&stage);
        assert_eq!((ended.data_keys, ended.signing, ended.closed), (1, 1, 0), "{n}: {place}");
        assert_eq!((ended.begun, ended.ended), (before.begun + 1, before.ended + 1), "{n}: {place}");
    }
    let smalt = stage.open().await;
    for n in 0..3 {
        let account = smalt.account(format!("customer-{n}"));
        assert!(account.credential(SANDBOX).await.unwrap().access_token.is_some());
        account.get_config(SANDBOX, None).await.unwrap();
        account.session().await.unwrap();
    }
    smalt.close().await;
}
