//! What must not get slower: calls to others while one provider is dead, and starts while many flows are abandoned.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use smalt::{Smalt, backend::StartConnect, engine::Timings, project::Project, vault::LocalKey};

use crate::{
    provider::{Forward, Provider, client, grant, link, manifest, offered},
    report::{Row, median, percentile},
};

const ROUNDS: usize = 5;
/// Who waits for the dead provider.
const CALLERS: usize = 1000;
/// Who calls the living one, and how often each in a round.
const OTHERS: usize = 8;
const CALLS: usize = 250;
const STARTS: usize = 400;
const ABANDONED: usize = 100_000;

async fn open(folder: &Path, providers: &[(&str, &Provider)], clock: &Forward) -> Smalt {
    let key = folder.join("key");
    if !key.exists() {
        LocalKey::generate().unwrap().write_file(&key).unwrap();
    }
    let apps = providers.iter().map(|(slug, _)| ((*slug).to_owned(), offered(folder))).collect::<serde_json::Map<_, _>>();
    let hosts: Vec<&str> = providers.iter().map(|(_, provider)| provider.origin.trim_start_matches("http://")).collect();
    let project: Project = serde_json::from_value(json!({
        "version": 1,
        "org": {"redirect_uris": ["http://127.0.0.1/callback"]},
        "network": {"allow": hosts},
        "apps": apps
    }))
    .unwrap();
    let mut builder = Smalt::embedded(folder.join("smalt.db")).keys(LocalKey::from_file(key).unwrap()).project_value(project);
    for (slug, provider) in providers {
        builder = builder.manifest(manifest(slug, &provider.origin));
    }
    builder.clock(clock.clone()).timings(Timings { ahead: None, ..Timings::default() }).open().await.unwrap()
}

/// Milliseconds that 99 of 100 calls to the living provider take at most.
async fn others(smalt: &Smalt) -> f64 {
    let tasks = (0..OTHERS).map(|n| {
        let account = smalt.account(format!("other-{n}"));
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(CALLS);
            for _ in 0..CALLS {
                let from = Instant::now();
                assert_eq!(account.request("living", "GET", "items").await.unwrap().status, 200);
                times.push(from.elapsed().as_secs_f64() * 1e3);
            }
            times
        })
    });
    let mut times = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        times.extend(task.await.unwrap());
    }
    percentile(times, 0.99)
}

/// Callers of a provider that takes connections and never answers, each again when the error says so.
fn callers(smalt: &Smalt, over: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<()>> {
    let one = |n| {
        let (account, over) = (smalt.account(format!("caller-{n}")), over.clone());
        tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                let wait = match account.credential("dying").await {
                    Ok(_) => Duration::from_secs(1),
                    Err(error) => error.info().retry_after.unwrap_or(Duration::from_secs(1)),
                };
                let until = Instant::now() + wait;
                while Instant::now() < until && !over.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        })
    };
    (0..CALLERS).map(one).collect()
}

async fn dead_provider(folder: &Path) -> Vec<Row> {
    let (living, dying, clock) = (Provider::start(), Provider::start(), Forward::default());
    let smalt = open(folder, &[("living", &living), ("dying", &dying)], &clock).await;
    let client = client();
    for n in 0..OTHERS {
        link(&smalt, &format!("other-{n}"), "living", grant(&client, &living.origin).await, 3600).await;
    }
    for n in 0..CALLERS {
        link(&smalt, &format!("caller-{n}"), "dying", ("a".to_owned(), "r".to_owned()), 1).await;
    }
    link(&smalt, "patient", "dying", grant(&client, &dying.origin).await, 1).await;
    clock.forward(2000);
    others(&smalt).await;
    let (mut quiet, mut coming, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        quiet.push(others(&smalt).await);
        // Past the pause that the failures of the round before have earned: each of the callers asks the provider again.
        clock.forward(31);
        dying.signal("STOP");
        let over = Arc::new(AtomicBool::new(false));
        let all = callers(&smalt, &over);
        coming.push(others(&smalt).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
        waiting.push(others(&smalt).await);
        over.store(true, Ordering::SeqCst);
        for caller in all {
            caller.await.unwrap();
        }
        dying.signal("CONT");
    }
    // It has been dead until now; somebody who asks as often as the errors allow learns that it is back.
    dying.signal("STOP");
    let patient = smalt.account("patient");
    for _ in 0..6 {
        assert!(patient.credential("dying").await.is_err());
    }
    dying.signal("CONT");
    let from = Instant::now();
    while let Err(error) = patient.credential("dying").await {
        assert!(from.elapsed() < Duration::from_secs(120), "{error}");
        tokio::time::sleep(error.info().retry_after.unwrap_or(Duration::from_secs(1))).await;
    }
    let back = from.elapsed().as_secs_f64();
    smalt.close().await;
    let (quiet, none) = (median(quiet), "none is dead");
    vec![
        Row::at_most("dead-provider", "calls to others, p99, 1,000 wait for a dead provider", median(waiting), none, quiet, "ms", 1.2),
        Row::at_most("dead-provider-coming", "the same in the moment in which the 1,000 come", median(coming), none, quiet, "ms", 1.2),
        Row::budget("dead-provider-back", "until a provider that is back is used again", back, 30.0, "s"),
    ]
}

async fn starts(smalt: &Smalt) -> f64 {
    let account = smalt.account("customer");
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let options = StartConnect { redirect_uri: Some("http://127.0.0.1/callback".to_owned()), ..StartConnect::default() };
        let from = Instant::now();
        account.start_connect("living", options).await.unwrap();
        times.push(from.elapsed().as_secs_f64() * 1e3);
    }
    percentile(times, 0.99)
}

/// Copies of the one flow that is there, each with an id and a state of its own.
fn abandon(store: &Path) {
    let sql = rusqlite::Connection::open(store).unwrap();
    let mut columns = sql.prepare("SELECT name FROM pragma_table_info('flows')").unwrap();
    let columns: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let copied = columns.iter().map(|name| match name.as_str() {
        "id" => "printf('%024x', n.i)".to_owned(),
        "state_hash" => "'abandoned-' || n.i".to_owned(),
        _ => format!("flow.{name}"),
    });
    let query = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
         INSERT INTO flows ({}) SELECT {} FROM (SELECT * FROM flows LIMIT 1) flow, n",
        columns.join(", "),
        copied.collect::<Vec<_>>().join(", ")
    );
    assert_eq!(sql.execute(&query, [i64::try_from(ABANDONED).unwrap()]).unwrap(), ABANDONED);
}

async fn abandoned_flows(folder: &Path) -> Row {
    let (provider, clock) = (Provider::start(), Forward::default());
    let mut engines = Vec::new();
    for name in ["few", "many"] {
        let one = folder.join(name);
        std::fs::create_dir(&one).unwrap();
        let smalt = open(&one, &[("living", &provider)], &clock).await;
        smalt.account("customer").ensure().await.unwrap();
        starts(&smalt).await;
        if name == "many" {
            smalt.close().await;
            let store = one.join("smalt.db");
            tokio::task::spawn_blocking(move || abandon(&store)).await.unwrap();
            engines.push(open(&one, &[("living", &provider)], &clock).await);
        } else {
            engines.push(smalt);
        }
    }
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (engine, times) in engines.iter().zip(&mut times) {
            times.push(starts(engine).await);
        }
    }
    let [few, many] = times.map(median);
    for engine in engines {
        engine.close().await;
    }
    Row::at_most("abandoned-flows", "a start among 100,000 abandoned flows, p99", many, "few flows", few, "ms", 1.2)
}

pub async fn measure() -> Vec<Row> {
    let folder = tempfile::Builder::new().tempdir_in("target").unwrap();
    let dead = folder.path().join("dead");
    std::fs::create_dir(&dead).unwrap();
    let mut rows = dead_provider(&dead).await;
    rows.push(abandoned_flows(folder.path()).await);
    rows
}
