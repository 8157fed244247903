//! Disconnects: dead here at once, dead at the provider in the end, and nothing else with them.

use std::time::Duration;

use serde_json::json;
use smalt::{
    Code,
    backend::Disconnect,
    engine::Timings,
    model::{ConnectionStatus, RevocationOutcome},
    sandbox::{BodyKind, Endpoint, Misbehaviour, TokenState},
};
use smalt_tests::{
    counterpart::{Provider, User},
    size,
};

use crate::stage::{COUNTERPART, HOUR, SANDBOX, Stage, ask, connect, connect_sandbox, consent, sandbox, tell, timings, token, until};

fn at_once(application: &str) -> Disconnect {
    Disconnect { application: application.to_owned(), wait: Some(Duration::ZERO), ..Disconnect::default() }
}

/// Revocations outlive an unwilling provider and processes that are killed.
#[tokio::test(flavor = "multi_thread")]
async fn r40_every_revocation_arrives_in_the_end() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let smalt = stage.open().await;
    let (count, kills) = (size(10, 200), size(10, 20));
    let mut tokens = Vec::new();
    for n in 0..count {
        connect(&smalt, &format!("customer-{n}"), &user).await;
        tokens.push(token(&smalt.account(format!("customer-{n}")).credential(COUNTERPART).await.unwrap()));
    }
    smalt.close().await;
    // Down: some say when to come back, some cut the connection after the work.
    provider.fault(json!({"path": "/token/revocation", "status": 503, "headers": {"retry-after": "1"}, "times": count}));
    provider.fault(json!({"path": "/token/revocation", "drop": true, "times": 3}));
    let mut receipts = Vec::new();
    let mut child = stage.child(&[]);
    for n in 0..count {
        let order = json!({"do": "disconnect", "account": format!("customer-{n}"), "application": COUNTERPART});
        let answer = ask(&mut child, &order);
        if answer.is_none() {
            // It died at its failpoint while it answered: the rest is asked for again. What it had committed stands, and then there is
            // nothing left for the second one.
            child = stage.child(&[]);
            tell(&mut child, &order);
        }
        receipts.push(match answer.as_ref().and_then(|answer| answer["ok"].as_str()) {
            Some(receipt) => receipt.to_owned(),
            None => stage.receipt_of(&format!("customer-{n}")),
        });
        if n % count.div_ceil(kills) == 0 {
            child.kill();
            child = stage.child(&[("SMALT_FAILPOINT", if n % 2 == 0 { "revoke-answered:5" } else { "none" })]);
        }
    }
    child.kill();
    let smalt = stage.open().await;
    for (n, receipt) in receipts.iter().enumerate() {
        let account = smalt.account(format!("customer-{n}"));
        until("the grant is revoked", async || {
            // One that was refused often waits for long: each refusal doubles its wait.
            stage.clock.shift(30_000);
            account.receipt(receipt).await.unwrap().revocation == RevocationOutcome::Revoked
        })
        .await;
        assert!(account.receipt(receipt).await.unwrap().finished_at.is_some());
        assert!(!provider.is_active(&tokens[n]), "{n}");
    }
    assert_eq!(stage.count("SELECT count(*) FROM revocations WHERE length(sealed) > 0"), 0);
}

/// A provider that says when to come back is not asked before, and is asked then, although the wait that doubles is much shorter.
#[tokio::test(flavor = "multi_thread")]
async fn r40_retry_after_is_waited_for() {
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    let count = size(10, 200);
    let busy = Misbehaviour::Status { status: 503, body: BodyKind::default(), retry_after: Some("600".to_owned()), after_work: false };
    control.misbehave(Endpoint::Revoke, Some(u32::try_from(count).unwrap()), busy);
    let name = |n: usize| format!("customer-{n}");
    let mut receipts = Vec::new();
    for n in 0..count {
        connect_sandbox(&smalt, &name(n)).await;
        receipts.push(smalt.account(name(n)).disconnect_with(at_once(SANDBOX)).await.unwrap().id);
    }
    let tried = |attempts: i64| {
        let rows = "SELECT count(*) FROM revocations WHERE account_id LIKE 'customer-%' AND status = 'queued' AND lease_owner IS NULL";
        stage.count(&format!("{rows} AND attempts = {attempts}")) == count as i64
    };
    until("each was tried once", async || tried(1)).await;
    stage.clock.shift(300_000);
    // Revocations that are due now are sent, again and again; what waits is not among them.
    for other in ["other-1", "other-2"] {
        connect_sandbox(&smalt, other).await;
        let receipt = smalt.account(other).disconnect_with(at_once(SANDBOX)).await.unwrap().id;
        until("another one is revoked", async || {
            smalt.account(other).receipt(&receipt).await.unwrap().revocation == RevocationOutcome::Revoked
        })
        .await;
    }
    assert!(tried(1), "nobody was asked again before the time");
    stage.clock.shift(301_000);
    for (n, receipt) in receipts.iter().enumerate() {
        let account = smalt.account(name(n));
        until("the grant is revoked", async || account.receipt(receipt).await.unwrap().revocation == RevocationOutcome::Revoked).await;
        assert_eq!(account.receipt(receipt).await.unwrap().connections[0].attempts, 2);
    }
    let live = control.tokens().into_iter().filter(|token| token.state == TokenState::Live).count();
    assert_eq!(live, 0, "no live token");
    smalt.close().await;
}

/// One engine refreshes while another one disconnects.
#[tokio::test(flavor = "multi_thread")]
async fn r41_a_refresh_revives_nothing() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let (smalt, other) = (stage.open().await, stage.open().await);
    let rounds = size(50, 1000) as u64;
    let mut tokens = Vec::new();
    for n in 0..rounds {
        let name = format!("customer-{n}");
        connect(&smalt, &name, &user).await;
        let account = smalt.account(&name);
        tokens.push(token(&account.credential(COUNTERPART).await.unwrap()));
        stage.clock.shift(HOUR);
        if n % 3 == 0 {
            provider.fault(json!({"path": "/token", "grant_type": "refresh_token", "delay_ms": n % 20}));
        }
        let call = tokio::spawn(async move { account.credential(COUNTERPART).await });
        tokio::time::sleep(Duration::from_micros(n * 613 % 25_000)).await;
        other.account(&name).disconnect_with(at_once(COUNTERPART)).await.unwrap();
        match call.await.unwrap() {
            Ok(credential) => tokens.push(token(&credential)),
            Err(error) => assert!([Code::NotConnected, Code::ReauthRequired].contains(&error.code()), "{error:?}"),
        }
        // An interrupted refresh must not hold up the next round's stale faults.
        provider.release();
    }
    until("nothing is queued", async || stage.count("SELECT count(*) FROM revocations WHERE status = 'queued'") == 0).await;
    assert_eq!(stage.count("SELECT count(*) FROM connections"), 0, "no revived row");
    let live = tokens.iter().filter(|token| provider.is_active(token)).count();
    assert_eq!(live, 0, "no live grant");
}

/// The same, where every token that was ever issued can be counted, and a revoked refresh token ends its own grant only.
#[tokio::test(flavor = "multi_thread")]
async fn r41_no_token_of_the_sandbox_survives() {
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let (smalt, other) = (stage.open().await, stage.open().await);
    for n in 0..size(50, 1000) as u64 {
        let name = format!("customer-{n}");
        connect_sandbox(&smalt, &name).await;
        let account = smalt.account(&name);
        account.credential(SANDBOX).await.unwrap();
        stage.clock.shift(HOUR);
        control.misbehave(Endpoint::Refresh, Some(1), Misbehaviour::Delay { millis: n % 15, after_work: n % 2 == 0 });
        let call = tokio::spawn(async move { account.credential(SANDBOX).await });
        tokio::time::sleep(Duration::from_micros(n * 613 % 20_000)).await;
        other.account(&name).disconnect_with(at_once(SANDBOX)).await.unwrap();
        let _ = call.await.unwrap();
        control.clear(None);
    }
    until("nothing is queued", async || stage.count("SELECT count(*) FROM revocations WHERE status = 'queued'") == 0).await;
    assert_eq!(stage.count("SELECT count(*) FROM connections"), 0);
    let live: Vec<_> = control.tokens().into_iter().filter(|token| token.state == TokenState::Live).collect();
    assert_eq!(live, [], "no live token");
}

/// The caller of a disconnect goes away before it is written: this process still forgets the credential with it.
#[tokio::test(flavor = "multi_thread")]
async fn r41_a_caller_that_goes_away_leaves_no_cached_credential() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    for n in 0..size(10, 50) {
        let name = format!("customer-{n}");
        connect_sandbox(&smalt, &name).await;
        let account = smalt.account(&name);
        account.credential(SANDBOX).await.unwrap();
        let writer = stage.sql();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let gone = tokio::time::timeout(Duration::from_millis(30), async {
            if n % 2 == 0 { account.disconnect_with(at_once(SANDBOX)).await.map(drop) } else { smalt.delete_account(&name).await }
        });
        gone.await.unwrap_err();
        writer.execute_batch("COMMIT").unwrap();
        until("it is written", async || stage.count("SELECT count(*) FROM connections") == 0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let code = account.credential(SANDBOX).await.unwrap_err().code();
        assert!([Code::NotConnected, Code::LinkedAccountNotFound].contains(&code), "{n}: {code:?}");
    }
}

/// The user connects again, in the same browser, while the revocation of the former connection is still queued. At this
/// provider both share a grant.
#[tokio::test(flavor = "multi_thread")]
async fn r42_a_queued_revocation_spares_the_new_grant() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let (smalt, _other) = (stage.open().await, stage.open().await);
    let mut tokens = Vec::new();
    for n in 0..size(25, 500) as u64 {
        let (name, browser) = (format!("customer-{n}"), format!("browser-{n}"));
        let account = smalt.account(&name);
        let (_, callback, cookie) = consent(&smalt, &name, Some((&user, Some(&browser)))).await;
        account.finish_connect(callback, cookie).await.unwrap();
        // The provider is down until somewhere in the middle of the new flow.
        provider.fault(json!({"path": "/token/revocation", "status": 503, "times": 1000}));
        let receipt = account.disconnect_with(at_once(COUNTERPART)).await.unwrap();
        assert_eq!(receipt.revocation, RevocationOutcome::Queued);
        let (_, callback, cookie) = consent(&smalt, &name, Some((&user, Some(&browser)))).await;
        let up = tokio::time::sleep(Duration::from_micros(n * 1777 % 40_000));
        let finish = account.finish_connect(callback, cookie);
        let (ended, ()) = tokio::join!(finish, async {
            up.await;
            provider.reset();
        });
        match ended {
            Ok(connection) => assert_eq!(connection.status, ConnectionStatus::Active),
            // The revocation was faster than the new code.
            Err(error) => {
                assert_eq!(error.code(), Code::ExchangeFailed);
                let (_, callback, cookie) = consent(&smalt, &name, Some((&user, Some(&browser)))).await;
                account.finish_connect(callback, cookie).await.unwrap();
            }
        }
        tokens.push(token(&account.credential(COUNTERPART).await.unwrap()));
        provider.reset();
    }
    until("nothing is queued", async || stage.count("SELECT count(*) FROM revocations WHERE status = 'queued'") == 0).await;
    let dead = tokens.iter().filter(|token| !provider.is_active(token)).count();
    assert_eq!(dead, 0, "new grants that were revoked");
}

/// A refresh of the old connection is still on its way when the user has disconnected and connected again: what it
/// brings belongs to the grant that the new connection shares, and is not revoked.
#[tokio::test(flavor = "multi_thread")]
async fn r42_a_late_refresh_does_not_revoke_the_new_grant() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let smalt = stage.open().await;
    for n in 0..size(10, 50) {
        let (name, browser) = (format!("customer-{n}"), format!("browser-{n}"));
        let account = smalt.account(&name);
        let (_, callback, cookie) = consent(&smalt, &name, Some((&user, Some(&browser)))).await;
        account.finish_connect(callback, cookie).await.unwrap();
        stage.clock.shift(HOUR);
        provider.fault(json!({"path": "/token", "grant_type": "refresh_token", "hold": true}));
        let sent = crate::stage::refreshes(&provider).1;
        let late = tokio::spawn({
            let account = account.clone();
            async move { account.credential(COUNTERPART).await }
        });
        until("the refresh is at the provider", async || crate::stage::refreshes(&provider).1 > sent).await;
        // The revocation waits; then the new connection takes it back.
        provider.fault(json!({"path": "/token/revocation", "status": 503, "times": 1000}));
        account.disconnect_with(at_once(COUNTERPART)).await.unwrap();
        let (_, callback, cookie) = consent(&smalt, &name, Some((&user, Some(&browser)))).await;
        account.finish_connect(callback, cookie).await.unwrap();
        let held = token(&account.credential(COUNTERPART).await.unwrap());
        // Back up, and the held answer goes.
        provider.reset();
        let _ = late.await.unwrap();
        until("nothing is queued", async || stage.count("SELECT count(*) FROM revocations WHERE status = 'queued'") == 0).await;
        assert!(provider.is_active(&held), "{n}: the new grant lives");
    }
}

/// What cannot be revoked is said, and its secret is erased.
#[tokio::test(flavor = "multi_thread")]
async fn r43_what_cannot_be_revoked_is_flagged() {
    let (provider, user) = (Provider::start(&[]), User::without_browser());
    let mut manifest = provider.manifest();
    manifest.oauth2.as_mut().unwrap().revoke = None;
    let stage = Stage::with(&manifest, &provider);
    let smalt = stage.open().await;
    for n in 0..size(10, 50) {
        let name = format!("customer-{n}");
        connect(&smalt, &name, &user).await;
        let receipt = smalt.account(&name).disconnect(COUNTERPART).await.unwrap();
        assert_eq!(receipt.revocation, RevocationOutcome::Unsupported);
        assert_eq!(receipt.connections[0].revocation, RevocationOutcome::Unsupported);
        assert!(receipt.finished_at.is_some());
    }
    assert_eq!(stage.count("SELECT count(*) FROM revocations"), 0);

    let stage = Stage::at(&provider);
    let few = Timings { revoke_attempts: 3, revoke_backoff: Duration::from_millis(20), ..timings() };
    let smalt = stage.open_with(few).await;
    provider.fault(json!({"path": "/token/revocation", "status": 503, "times": 100_000}));
    for n in 0..size(10, 50) {
        let name = format!("customer-{n}");
        connect(&smalt, &name, &user).await;
        let receipt = smalt.account(&name).disconnect_with(at_once(COUNTERPART)).await.unwrap();
        until("the tries are spent", async || {
            smalt.account(&name).receipt(&receipt.id).await.unwrap().revocation == RevocationOutcome::Failed
        })
        .await;
        let receipt = smalt.account(&name).receipt(&receipt.id).await.unwrap();
        assert_eq!(receipt.connections[0].attempts, 3);
        assert!(receipt.finished_at.is_some());
    }
    assert_eq!(stage.count("SELECT count(*) FROM revocations WHERE status = 'failed'"), size(10, 50) as i64, "the dead letters stay");
    assert_eq!(stage.count("SELECT count(*) FROM revocations WHERE length(sealed) > 0"), 0, "without their secrets");
}
