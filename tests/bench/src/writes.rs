//! Durable writes: the engine's, beside raw rusqlite that writes the same rows in groups.

use std::{path::Path, time::Instant};

use smalt::{Smalt, model::AccountUpdate, vault::LocalKey};

use crate::report::{Row, median};

const TASKS: usize = 64;
const EACH: usize = 100;
const ROUNDS: usize = 7;

async fn ours(path: &Path, round: usize) -> f64 {
    let smalt = Smalt::embedded(path).keys(LocalKey::generate().unwrap()).open().await.unwrap();
    let from = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let smalt = smalt.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    smalt.upsert_account(format!("account-{round}-{task}-{n}"), AccountUpdate::default()).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rate = (TASKS * EACH) as f64 / from.elapsed().as_secs_f64();
    smalt.close().await;
    rate
}

/// The same two rows per write (account and event), in groups of as many as there are tasks, with the same settings.
fn theirs(path: &Path, round: usize) -> f64 {
    let mut db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;",
    )
    .unwrap();
    let from = Instant::now();
    for n in 0..EACH {
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        {
            let mut account = tx
                .prepare_cached(
                    "INSERT INTO accounts (org, environment, id, record_id, name, properties_json, created_at, updated_at)
                     VALUES ('default', 0, ?1, '6920f3a4c0ffee00c0ffee00', NULL, '{}', 1767225600000, 1767225600000)",
                )
                .unwrap();
            let mut event = tx
                .prepare_cached(
                    "INSERT INTO events (org, environment, id, event_type, account_id, application, data_json, at)
                     VALUES ('default', 0, '6920f3a4c0ffee00c0ffee01', 'account.created', ?1, NULL, '{}', 1767225600000)",
                )
                .unwrap();
            for task in 0..TASKS {
                let id = format!("account-{round}-{task}-{n}");
                account.execute([&id]).unwrap();
                event.execute([&id]).unwrap();
            }
        }
        tx.commit().unwrap();
    }
    (TASKS * EACH) as f64 / from.elapsed().as_secs_f64()
}

/// An empty store, made by the engine, so that both write into the same schema.
async fn fresh(path: &Path) {
    Smalt::embedded(path).keys(LocalKey::generate().unwrap()).open().await.unwrap().close().await;
}

pub async fn measure() -> Row {
    let folder = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (mine, raw) = (folder.path().join(format!("ours-{round}.db")), folder.path().join(format!("raw-{round}.db")));
        fresh(&raw).await;
        a.push(ours(&mine, round).await);
        b.push(tokio::task::spawn_blocking(move || theirs(&raw, round)).await.unwrap());
    }
    Row::at_least("durable-writes", "durable writes, 64 tasks, synchronous FULL", median(a), "rusqlite", median(b), "writes/s", 0.8)
}
