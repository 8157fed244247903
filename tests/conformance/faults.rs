//! The Rust driver of the cases of bad networks: see `tests/faults/README.md`.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use smalt::Smalt;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{case::Step, steps, world::World};

/// Runs a case with a client whose times are so many times as long as they should be.
async fn run(place: &smalt_faults::Place, longer: f64) -> Result<(), String> {
    let told = place.described().map_err(|error| error.to_string())?;
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let seconds = |name: &str| Duration::from_secs_f64(told["client"][name].as_f64().unwrap() * longer);
    let mut remote = Smalt::remote(text("url")).api_key(text("key")).no_proxy().timeout(seconds("timeout"));
    remote = remote.attempt_timeout(seconds("attempt_timeout")).connect_timeout(seconds("connect_timeout"));
    if let Some(authority) = told["certificate_authority"].as_str() {
        remote = remote.certificate_authority(authority);
    }
    let smalt = remote.open().map_err(|error| error.to_string())?;
    let world = Arc::new(World::Reached { smalt, sandbox: text("origin") });
    let list: Vec<Step> = serde_json::from_value(told["steps"].clone()).map_err(|error| format!("the steps: {error}"))?;
    let (begun, limit) = (Instant::now(), Duration::from_secs_f64(place.case.limit()));
    let ended = tokio::time::timeout(limit, steps(&world, &list)).await;
    let took = begun.elapsed();
    world.close().await;
    ended.unwrap_or_else(|_| Err(format!("did not end within {limit:?}")))?;
    // What a call can't but last is what its limit is made of, so it must be true.
    let least: f64 = place.case.meets().into_iter().filter(|met| *met).map(|_| place.case.takes).sum();
    if took.as_secs_f64() < least { Err(format!("ended after {took:?}: `takes` promises {least} s")) } else { Ok(()) }
}

/// Each case ends in its code, inside its time-outs, and sends as much as it may. `CASE=<part of an id>` chooses some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_ends_as_it_should() {
    let places = smalt_faults::open(&std::env::var("CASE").unwrap_or_default()).await.unwrap();
    let (free, mut running) = (Arc::new(Semaphore::new(16)), JoinSet::new());
    for place in &places {
        let (free, place) = (free.clone(), place.clone());
        running.spawn(async move {
            let _place = free.acquire_owned().await;
            (place.case.id.clone(), run(&place, 1.0).await)
        });
    }
    let mut failed = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        let (id, ended) = ended.unwrap();
        if let Err(why) = ended {
            failed.insert(id, why);
        }
    }
    assert!(failed.is_empty(), "{} of {} failed:\n{failed:#?}", failed.len(), places.len());
    if std::env::var_os("CASE").is_none() {
        assert!(places.len() >= 80, "{} cases", places.len());
    }
}

/// Only that a call ends is not enough: the limits of the cases are what their time-outs are held against.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_keep_to_its_times_fails() {
    let places = smalt_faults::open("read-ends-timeout").await.unwrap();
    let place = places.iter().find(|place| place.case.id == "read-ends-timeout").unwrap();
    let why = run(place, 60.0).await.unwrap_err();
    assert_eq!(why, format!("step 2 (get_account): did not end within {:?}", Duration::from_secs_f64(place.case.within())));
}
