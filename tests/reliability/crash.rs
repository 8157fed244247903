//! Processes that are killed while they write.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};
use smalt::model::ConnectionStatus;
use smalt_tests::size;

use crate::stage::{SANDBOX, Stage, connect_sandbox, consent, sandbox, tell};

/// Writers are killed at any moment: what was acknowledged is there, whole, and the store opens at once.
#[tokio::test(flavor = "multi_thread")]
async fn r01_what_was_acknowledged_survives_a_kill() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    stage.open().await.close().await;
    let mut names: HashMap<String, u64> = HashMap::new();
    let mut colours: HashMap<String, u64> = HashMap::new();
    let mut step = 0_u64;
    for kill in 0..size(20, 200) as u64 {
        let mut child = stage.child(&[]);
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
