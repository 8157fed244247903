//! A code is exchanged once or not at all.

use std::time::Duration;

use serde_json::json;
use smalt::{Code, engine::Timings, model::FlowStatus};
use smalt_tests::{
    counterpart::{Provider, User},
    size,
};

use crate::stage::{COUNTERPART, Stage, connect_sandbox, consent, exchanges, sandbox, timings, until};

/// The process dies before the code was sent, while the provider works, and after the answer came.
#[tokio::test(flavor = "multi_thread")]
async fn r51_r33_a_dead_exchange_leaves_nothing_half() {
    let (provider, user) = (Provider::start(&[]), User::without_browser());
    let stage = Stage::at(&provider);
    // An exchange counts as interrupted after four times this.
    let smalt = stage.open_with(Timings { provider: Duration::from_millis(500), ..timings() }).await;
    const PLACES: [(&str, u64); 5] =
        [("exchange-before-send", 0), ("held", 1), ("exchange-after-send", 1), ("connect-middle", 1), ("connect-saved", 1)];
    for batch in (0..size(10, 100)).collect::<Vec<_>>().chunks(10) {
        let mut flows = Vec::new();
        for n in batch {
            let (place, sent) = PLACES[n % PLACES.len()];
            let name = format!("customer-{n}");
            let (flow, callback, cookie) = consent(&smalt, &name, Some((&user, None))).await;
            let mut child = stage.child(&[("SMALT_FAILPOINT", place)]);
            let before = exchanges(&provider);
            if place == "held" {
                provider.fault(json!({"path": "/token", "hold": true}));
            }
            child.say(&json!({"do": "finish", "account": name, "url": callback, "cookie": cookie.expose()}).to_string());
            if place == "held" {
                until("the code is at the provider", async || exchanges(&provider) > before).await;
                child.signal("KILL");
            }
            assert_eq!(child.line(), None, "the process died at {place}");
            assert_eq!(exchanges(&provider) - before, sent, "{place}");
            flows.push((name, flow, callback, cookie, place));
        }
        provider.release();
        let before = exchanges(&provider);
        for (name, flow, callback, cookie, place) in &flows {
            let account = smalt.account(name);
            // Whoever watches sees it end; whoever comes again is told so; nobody sends the code again.
            let ended = account.flow(flow).wait(Some(Duration::from_secs(30))).await.unwrap();
            assert_eq!(ended.status, FlowStatus::Failed, "{place}");
            let error = ended.error.unwrap();
            assert_eq!(error.code, "exchange_failed", "{place}");
            assert!(error.reason.contains("try again"), "{}", error.reason);
            assert_eq!(account.finish_connect(callback.as_str(), cookie.clone()).await.unwrap_err().code(), Code::StateReplayed, "{place}");
            assert_eq!(account.connections(None).await.unwrap(), [], "{place}");
        }
        assert_eq!(exchanges(&provider), before, "no code was sent twice");
    }
    assert_eq!(stage.count("SELECT count(*) FROM flows WHERE length(sealed) > 0 AND status <> 'pending'"), 0, "no code is kept");
}

/// The answer to a code is lost on the way; the process lives.
#[tokio::test(flavor = "multi_thread")]
async fn r33_a_lost_answer_is_not_asked_for_again() {
    let (provider, user) = (Provider::start(&[]), User::without_browser());
    let stage = Stage::at(&provider);
    let smalt = stage.open_with(Timings { provider: Duration::from_millis(700), ..timings() }).await;
    for n in 0..size(10, 100) as u64 {
        let name = format!("customer-{n}");
        let (flow, callback, cookie) = consent(&smalt, &name, Some((&user, None))).await;
        let fault = if n % 2 == 0 { json!({"path": "/token", "drop": true}) } else { json!({"path": "/token", "hold": true}) };
        provider.fault(fault);
        let account = smalt.account(&name);
        let error = account.finish_connect(callback.as_str(), cookie.clone()).await.unwrap_err();
        assert_eq!(exchanges(&provider), n + 1, "one attempt a code");
        let flow = account.flow(&flow).status().await.unwrap();
        assert_eq!(flow.status, FlowStatus::Failed);
        assert_eq!(flow.error.unwrap().code, error.code().as_str());
        assert_eq!(account.finish_connect(callback, cookie).await.unwrap_err().code(), Code::StateReplayed);
        assert_eq!(exchanges(&provider), n + 1);
        assert_eq!(account.connections(Some(COUNTERPART)).await.unwrap(), []);
        provider.release();
    }
}

/// The linked account is deleted while its code is exchanged: what the provider issued is revoked, not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn r51_tokens_for_an_account_that_is_gone_are_revoked() {
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    connect_sandbox(&smalt, "somebody-else").await;
    for n in 0..size(10, 25) {
        let name = format!("customer-{n}");
        let (_, callback, cookie) = consent(&smalt, &name, None).await;
        let held = smalt::sandbox::Misbehaviour::Delay { millis: 1000, after_work: true };
        control.misbehave(smalt::sandbox::Endpoint::Token, Some(1), held);
        let redeemed = control.stats().codes_redeemed;
        let account = smalt.account(&name);
        let call = tokio::spawn(async move { account.finish_connect(callback, cookie).await });
        until("the code is redeemed", async || control.stats().codes_redeemed > redeemed).await;
        smalt.delete_account(&name).await.unwrap();
        assert_eq!(call.await.unwrap().unwrap_err().code(), Code::LinkedAccountNotFound);
        until("its tokens are dead", async || {
            control.tokens().iter().filter(|token| token.state == smalt::sandbox::TokenState::Live).count() == 2
        })
        .await;
    }
}
