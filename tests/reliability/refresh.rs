//! Renewing tokens: once, whoever asks and whatever dies.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use smalt::Code;
use smalt_tests::{
    counterpart::{Provider, User},
    size,
};

use crate::stage::{COUNTERPART, HOUR, Stage, answer, connect, open, refreshes, tell, timings, token, until};

/// Two processes with 64 callers each find one expired token.
#[tokio::test(flavor = "multi_thread")]
async fn r20_many_callers_one_refresh() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let smalt = stage.open().await;
    connect(&smalt, "customer-42", &user).await;
    let rounds = size(100, 1000) as u64;
    let mut children = [stage.child(&[]), stage.child(&[])];
    let mut last = String::new();
    for round in 1..=rounds {
        for child in &mut children {
            tell(child, &json!({"do": "shift", "millis": HOUR}));
        }
        for child in &mut children {
            child.say(&json!({"do": "credential", "account": "customer-42", "application": COUNTERPART, "callers": 64}).to_string());
        }
        let answers: Vec<_> = children.iter_mut().map(answer).collect();
        assert!(answers.iter().all(|answer| answer["errors"] == json!([])), "round {round}: {answers:?}");
        let tokens: BTreeSet<&str> =
            answers.iter().flat_map(|answer| answer["tokens"].as_array().unwrap()).map(|token| token.as_str().unwrap()).collect();
        assert_eq!(tokens.len(), 1, "round {round}: all callers get the same token");
        assert_eq!(refreshes(&provider), (round, round), "one refresh a round");
        let token = (*tokens.first().unwrap()).to_owned();
        assert_ne!(token, last, "round {round}: a new token");
        last = token;
    }
    assert!(provider.is_active(&last));
    assert_eq!(provider.stats()["grants_revoked"], json!(0));
}

/// The holder dies (a) before the token was sent, (b) after it was sent, at three places.
#[tokio::test(flavor = "multi_thread")]
async fn r21_a_dead_holder_is_told_apart() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let smalt = stage.open().await;
    const PLACES: [&str; 4] = ["refresh-leased", "refresh-presented", "refresh-answered", "held"];
    let rounds = size(12, 100);
    for batch in (0..rounds).collect::<Vec<_>>().chunks(12) {
        for n in batch {
            connect(&smalt, &format!("customer-{n}"), &user).await;
        }
        let before = refreshes(&provider).0;
        let holders: Vec<_> = batch
            .iter()
            .map(|n| {
                let place = PLACES[n % PLACES.len()];
                let mut child = stage.child(&[("SMALT_FAILPOINT", place)]);
                if place == "held" {
                    provider.fault(json!({"path": "/token", "grant_type": "refresh_token", "hold": true}));
                }
                let sent = refreshes(&provider).0;
                tell(&mut child, &json!({"do": "shift", "millis": HOUR}));
                child.say(&json!({"do": "credential", "account": format!("customer-{n}"), "application": COUNTERPART}).to_string());
                if place == "held" {
                    // Its answer is on the way and never arrives.
                    while refreshes(&provider).0 == sent {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    child.signal("KILL");
                }
                assert_eq!(child.line(), None, "the holder died at {place}");
                (*n, place)
            })
            .collect();
        provider.release();
        let sent = |place: &str| place == "refresh-answered" || place == "held";
        let wanted = holders.iter().filter(|(_, place)| sent(place)).count() as u64;
        assert_eq!(refreshes(&provider).0 - before, wanted);

        stage.clock.shift(HOUR);
        let takers: Vec<_> = holders
            .iter()
            .map(|(n, _)| {
                let account = smalt.account(format!("customer-{n}"));
                tokio::spawn(async move { account.credential(COUNTERPART).await })
            })
            .collect();
        for ((n, place), taker) in holders.iter().zip(takers) {
            match (taker.await.unwrap(), *place) {
                (Ok(credential), "refresh-leased") => assert!(provider.is_active(&token(&credential)), "{n}"),
                (Err(error), "refresh-presented" | "refresh-answered" | "held") => {
                    assert_eq!(error.code(), Code::ReauthRequired, "{n}");
                    assert_eq!(error.info().context.get("cause").map(String::as_str), Some("refresh_interrupted"), "{n}");
                }
                (ended, place) => panic!("{n} at {place}: {ended:?}"),
            }
        }
        // What may be spent was not presented again; what was never sent was sent once.
        let leased = holders.iter().filter(|(_, place)| *place == "refresh-leased").count() as u64;
        assert_eq!(refreshes(&provider).0 - before, wanted + leased);
        assert_eq!(provider.stats()["grants_revoked"], json!(0));
        stage.clock.shift(-HOUR);
    }
}

/// A holder is stopped with the answer in its hands, past its lease. Either the user connects again meanwhile, and that
/// grant stays; or nobody does, and the late answer is stored.
#[tokio::test(flavor = "multi_thread")]
async fn r22_a_paused_holder_overwrites_nothing_newer() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let smalt = stage.open().await;
    for batch in (0..size(10, 200)).collect::<Vec<_>>().chunks(10) {
        for n in batch {
            connect(&smalt, &format!("customer-{n}"), &user).await;
        }
        let mut holders = Vec::new();
        for n in batch {
            let mut child = stage.child(&[("SMALT_FAILPOINT", "refresh-answered=pause:1500")]);
            let done = refreshes(&provider).1;
            tell(&mut child, &json!({"do": "shift", "millis": HOUR}));
            child.say(&json!({"do": "credential", "account": format!("customer-{n}"), "application": COUNTERPART}).to_string());
            until("the provider has answered", async || refreshes(&provider).1 > done).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            child.signal("STOP");
            holders.push((*n, child));
        }
        stage.clock.shift(HOUR);
        let takers: Vec<_> = batch
            .iter()
            .map(|n| {
                let account = smalt.account(format!("customer-{n}"));
                tokio::spawn(async move { account.credential(COUNTERPART).await })
            })
            .collect();
        for taker in takers {
            assert_eq!(taker.await.unwrap().unwrap_err().code(), Code::ReauthRequired, "a token that may be spent is not presented");
        }
        let mut newer = Vec::new();
        for n in batch {
            if n % 2 == 0 {
                connect(&smalt, &format!("customer-{n}"), &user).await;
                newer.push(token(&smalt.account(format!("customer-{n}")).credential(COUNTERPART).await.unwrap()));
            }
        }
        for (_, child) in &holders {
            child.signal("CONT");
        }
        let mut newer = newer.into_iter();
        for (n, mut child) in holders {
            let told = answer(&mut child);
            let held = token(&smalt.account(format!("customer-{n}")).credential(COUNTERPART).await.unwrap());
            if n % 2 == 0 {
                assert_eq!(Some(held), newer.next(), "{n}: the newer token stays");
            } else {
                assert_eq!(told["tokens"], json!([held]), "{n}: the late answer is stored");
                assert!(provider.is_active(&held), "{n}");
            }
        }
        stage.clock.shift(-HOUR);
    }
}

/// Callers go away in mid-refresh; the refresh goes on without them.
#[tokio::test(flavor = "multi_thread")]
async fn r23_callers_that_go_away_lose_no_token() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let smalt = stage.open().await;
    connect(&smalt, "customer-42", &user).await;
    let account = smalt.account("customer-42");
    let rounds = size(25, 500) as u64;
    for round in 1..=rounds {
        stage.clock.shift(HOUR);
        let _ = tokio::time::timeout(Duration::from_micros(round * 977 % 24_000), account.credential(COUNTERPART)).await;
        let credential = account.credential(COUNTERPART).await.unwrap();
        assert!(provider.is_active(&token(&credential)), "round {round}");
    }
    assert_eq!(refreshes(&provider), (rounds, rounds));
    assert_eq!(provider.stats()["grants_revoked"], json!(0));
}

/// The engine is closed while the provider answers: what the provider rotated is stored before the store goes.
#[tokio::test(flavor = "multi_thread")]
async fn r23_close_waits_for_what_is_under_way() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    for round in 0..size(10, 25) {
        let smalt = stage.open().await;
        if round == 0 {
            connect(&smalt, "customer-42", &user).await;
        }
        stage.clock.shift(HOUR);
        provider.fault(json!({"path": "/token", "grant_type": "refresh_token", "delay_ms": 150}));
        let done = refreshes(&provider).1;
        let account = smalt.account("customer-42");
        let call = tokio::spawn(async move { account.credential(COUNTERPART).await });
        until("the provider has rotated the token", async || refreshes(&provider).1 > done).await;
        smalt.close().await;
        let _ = call.await;
        let next = stage.open().await;
        let credential = next.account("customer-42").credential(COUNTERPART).await.unwrap();
        assert!(provider.is_active(&token(&credential)), "round {round}");
        assert_eq!(refreshes(&provider).0, done + 1, "round {round}");
        next.close().await;
    }
}

/// The store takes no write for much longer than anybody waits, just when the provider has answered.
#[tokio::test(flavor = "multi_thread")]
async fn r24_an_answer_waits_for_the_store() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let options = smalt::store::StoreOptions { lock_wait: Duration::from_millis(100), ..smalt::store::StoreOptions::default() };
    let smalt = open(stage.folder.path(), stage.clock.clone(), timings(), options).await;
    let count = size(10, 50);
    for n in 0..count {
        connect(&smalt, &format!("customer-{n}"), &user).await;
    }
    stage.clock.shift(HOUR);
    provider.fault(json!({"path": "/token", "grant_type": "refresh_token", "hold": true, "times": count}));
    let calls: Vec<_> = (0..count)
        .map(|n| {
            let account = smalt.account(format!("customer-{n}"));
            tokio::spawn(async move { account.credential(COUNTERPART).await })
        })
        .collect();
    until("all tokens are presented", async || refreshes(&provider).1 == count as u64).await;
    let other = stage.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    provider.release();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(smalt.upsert_account("new", Default::default()).await.unwrap_err().code(), Code::StoreBusy, "nothing can be written");
    other.execute_batch("COMMIT").unwrap();
    for (n, call) in calls.into_iter().enumerate() {
        let held = token(&call.await.unwrap().unwrap());
        assert!(provider.is_active(&held), "{n}");
    }
    let again = stage.open().await;
    for n in 0..count {
        assert!(provider.is_active(&token(&again.account(format!("customer-{n}")).credential(COUNTERPART).await.unwrap())), "{n}");
    }
    assert_eq!(refreshes(&provider), (count as u64, count as u64));
}
