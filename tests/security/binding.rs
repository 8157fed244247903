//! Who begins is who ends: the browser and the linked account that began a flow are the only ones that can end it.

use smalt::{
    Code, Secret,
    backend::{ParkCallback, StartConnect},
    model::FlowStatus,
};
use smalt_tests::{counterpart::User, size};

use super::common::{World, consent, finish, param, to_app};

/// What the browser that came back sends as the cookie of its flow.
type Forge = fn(callback: &str, own: &Secret, older: &Secret, other: &Secret) -> Option<Secret>;

#[tokio::test(flavor = "multi_thread")]
async fn s03_only_the_cookie_of_the_browser_that_began_counts() {
    let world = World::new().await;
    let (account, other) = (world.account("customer-42").await, world.account("customer-43").await);
    let forges: [(&str, Forge); 8] = [
        ("none", |_, _, _, _| None),
        ("empty", |_, _, _, _| Some(Secret::default())),
        ("constant", |_, _, _, _| Some("1".into())),
        ("another browser's", |_, _, _, other| Some(other.clone())),
        ("of an older flow", |_, _, older, _| Some(older.clone())),
        ("the state", |callback, _, _, _| Some(param(callback, "state").unwrap().into())),
        ("rebuilt from the state", |callback, _, _, _| Some(hash(&param(callback, "state").unwrap()).into())),
        ("cut", |_, own, _, _| Some(own.expose()[..42].into())),
    ];
    let older = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
    let mut tried = 0;
    for round in 0..size(25, 25) {
        for (name, forge) in forges {
            let theirs = other.start_connect("sandbox-oauth", to_app()).await.unwrap();
            let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
            let callback = consent(&started).await;
            let cookie = forge(&callback, &started.cookie.value, &older.cookie.value, &theirs.cookie.value);
            let error = finish(&account, &world.smalt, &callback, cookie.clone()).await.unwrap_err();
            assert_eq!(error.code(), Code::BrowserMismatch, "{name}");
            // The try has cost the state: the right cookie comes too late.
            if round == 0 {
                let late = finish(&account, &world.smalt, &callback, Some(started.cookie.value.clone())).await.unwrap_err();
                assert_eq!(late.code(), Code::StateReplayed, "{name}");
            }
            if cookie.is_some() {
                let parked = ParkCallback { callback_url: callback.clone(), cookie };
                assert!(world.smalt.park_callback(parked).await.is_err(), "{name}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 200);
    assert_eq!(world.sandbox.control().stats().codes_redeemed, 0);
    assert_eq!(world.sandbox.control().stats().exchanges_refused, 0);
    assert_eq!(world.rows("connections"), 0);
}

/// What somebody would build who only sees public values.
fn hash(state: &str) -> String {
    state.chars().rev().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn s03_two_tabs_at_once_both_finish() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    for _ in 0..size(10, 25) {
        let first = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let second = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        assert_ne!(first.cookie.name, second.cookie.name, "the tabs must not overwrite each other's cookie");
        assert_ne!(first.cookie.value, second.cookie.value);
        let header = first.cookie.header();
        let safe = ["__Host-", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"];
        assert!(safe.iter().all(|part| header.contains(part)) && !header.contains("Domain"), "{header}");
        let (one, two) = (consent(&first).await, consent(&second).await);
        let two = account.finish_connect(two, second.cookie.value).await.unwrap();
        let one = account.finish_connect(one, first.cookie.value).await.unwrap();
        assert_eq!(one.id, two.id, "the same user at the provider is one connection");
    }
}

/// How the attacker tries to have the victim's consent end up at the attacker's account, or the attacker's at the victim's.
#[tokio::test(flavor = "multi_thread")]
async fn s04_whoever_did_not_begin_cannot_end() {
    let world = World::new().await;
    let (attacker, victim) = (world.account("attacker").await, world.account("victim").await);
    let rounds = size(10, 10);
    for _ in 0..rounds {
        // The victim's browser comes back to the host's route, where the victim is logged in and has no cookie of the flow.
        let minted = attacker.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let callback = consent(&minted).await;
        let error = finish(&victim, &world.smalt, &callback, None).await.unwrap_err();
        assert_eq!(error.code(), Code::FlowAccountMismatch);

        // The same, but the victim's jar holds a cookie of a flow of its own.
        let minted = attacker.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let own = victim.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let callback = consent(&minted).await;
        let error = victim.finish_connect(callback, own.cookie.value.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::FlowAccountMismatch);

        // Even where the attacker could plant the cookie too, the account is another one.
        let minted = attacker.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let callback = consent(&minted).await;
        let error = victim.finish_connect(callback, minted.cookie.value).await.unwrap_err();
        assert_eq!(error.code(), Code::FlowAccountMismatch);

        // The callback is parked for lack of a session; the victim's page hands in the claim that came to it.
        let minted = attacker.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let parked = world.smalt.park_callback(ParkCallback { callback_url: consent(&minted).await, cookie: None }).await.unwrap();
        let claim = parked.claim.unwrap();
        assert!(parked.return_to.unwrap().starts_with(super::common::RETURN_TO));
        let session = victim.session().await.unwrap();
        assert_eq!(session.claim_connect(claim.clone()).await.unwrap_err().code(), Code::ClaimInvalid);
        // It is spent now, for the attacker too.
        assert_eq!(attacker.claim_connect(claim).await.unwrap_err().code(), Code::ClaimInvalid);
        assert_eq!(attacker.flow(&minted.flow_id).status().await.unwrap().status, FlowStatus::Failed);

        // The victim is led to the authorize URL of a native flow: the callback goes to the victim's own machine, where
        // the attacker's presenter does not listen; what the victim's app would do with it is refused.
        let native = StartConnect { redirect_uri: Some("http://127.0.0.1:59999/callback".into()), ..StartConnect::default() };
        let minted = attacker.start_connect("sandbox-oauth", native).await.unwrap();
        let callback = consent(&minted).await;
        assert!(callback.starts_with("http://127.0.0.1:59999/callback?"));
        let session = victim.session().await.unwrap();
        let error = session.finish_connect(callback, own.cookie.value).await.unwrap_err();
        assert_eq!(error.code(), Code::FlowAccountMismatch);
    }
    let stats = world.sandbox.control().stats();
    assert_eq!(stats.codes_issued, 5 * rounds as u64, "the victim did consent");
    assert!(stats.answers.keys().all(|answer| !answer.starts_with("token")), "{:?}", stats.answers);
    assert_eq!(world.rows("connections"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s04_honest_claims_are_served() {
    let world = World::new().await;
    for n in 0..size(50, 50) {
        let account = world.account(&format!("customer-{n}")).await;
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let cookie = (n % 2 == 0).then(|| started.cookie.value.clone());
        let parked = world.smalt.park_callback(ParkCallback { callback_url: consent(&started).await, cookie }).await.unwrap();
        let back = parked.return_to.unwrap();
        assert_eq!(param(&back, "outcome").unwrap(), "claim");
        assert!(param(&back, "code").is_none() && param(&back, "state").is_none(), "{back}");
        let session = account.session().await.unwrap();
        session.claim_connect(param(&back, "claim").unwrap()).await.unwrap();
    }
    assert_eq!(world.rows("connections"), 50);
}

/// The victim is a person at Chromium, logged in at the provider before.
#[tokio::test(flavor = "multi_thread")]
async fn s04_a_victim_at_chromium_links_nothing() {
    let counterpart = super::life::Counterpart::start().await;
    let victim_browser = User::with_chromium();
    let (attacker, victim) = (counterpart.account("attacker").await, counterpart.account("victim").await);
    for _ in 0..size(10, 50) {
        let minted = attacker.start_connect("counterpart", StartConnect::default()).await.unwrap();
        let callback = victim_browser.visit(&minted.authorize_url, "victor", true, Some("victim"));
        let error = finish(&victim, &counterpart.smalt, &callback, None).await.unwrap_err();
        assert_eq!(error.code(), Code::FlowAccountMismatch);
    }
    let stats = counterpart.provider.stats();
    assert_eq!(stats.pointer("/token/authorization_code/received").and_then(serde_json::Value::as_u64).unwrap_or(0), 0, "{stats}");
    assert!(victim.connections(None).await.unwrap().is_empty() && attacker.connections(None).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_is_resumed_by_the_return_of_its_user_and_no_other() {
    let world = World::new().await;
    let (account, other) = (world.account("customer-42").await, world.account("customer-43").await);
    let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
    let parked = ParkCallback { callback_url: consent(&started).await, cookie: None };
    let returned = world.smalt.park_callback(parked).await.unwrap().return_to.unwrap();
    // The process that began is gone: what is left is the flow's id.
    let flow = account.session().await.unwrap().flow(&started.flow_id);
    let theirs = other.start_connect("sandbox-oauth", to_app()).await.unwrap().flow_id;
    for forged in ["nonsense".to_owned(), format!("app:/done?flow={theirs}&claim=x"), format!("app:/done?flow={}&claim=x", started.flow_id)]
    {
        assert_eq!(flow.resume(Some(&forged)).await.unwrap_err().code(), Code::ClaimInvalid, "{forged}");
    }
    assert_eq!(other.flow(&started.flow_id).resume(Some(&returned)).await.unwrap_err().code(), Code::FlowNotFound);
    assert_eq!(flow.status().await.unwrap().status, FlowStatus::Parked, "none of it has ended the flow");
    let connection = flow.resume(Some(&returned)).await.unwrap();
    // A device may deliver it twice, or not at all.
    assert_eq!(flow.resume(Some(&returned)).await.unwrap().id, connection.id);
    assert_eq!(flow.resume(None).await.unwrap().id, connection.id);
    account.flow(&theirs).cancel().await.unwrap_err();
    other.flow(&theirs).cancel().await.unwrap();
    assert_eq!(other.flow(&theirs).resume(None).await.unwrap_err().code(), Code::FlowCancelled);
}
