//! The connect flow itself: one-time states, issuers, PKCE, errors of providers, token answers.

use std::{collections::HashSet, time::Duration};

use serde_json::{Value, json};
use smalt::{
    Code, Smalt,
    backend::StartConnect,
    engine::Timings,
    model::{ConnectionStatus, FlowStatus},
    sandbox::{Endpoint, ExpiresForm, IssuerForm, Misbehaviour, ScopeForm, TokenForm, TokenState},
    vault::LocalKey,
};
use smalt_tests::{
    child::{self, Role},
    counterpart::{Provider, User},
    size,
};

use super::common::{World, consent, param, to_app, visit};

/// The child's part of [`s01_one_state_is_taken_once`]: for each line `account callback cookie`, 25 callbacks at once.
#[tokio::test(flavor = "multi_thread")]
async fn role_of_a_second_process() {
    let Some(role) = child::role() else { return };
    let order: Value = serde_json::from_str(&role).unwrap();
    let project = serde_json::from_value(order["project"].clone()).unwrap();
    let smalt = Smalt::embedded(order["file"].as_str().unwrap())
        .keys(LocalKey::parse(&order["key"].as_str().unwrap().into()).unwrap())
        .project_value(project)
        .manifest(serde_json::from_value(order["manifest"].clone()).unwrap())
        .open()
        .await
        .unwrap();
    child::report("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let [account, callback, cookie] = line.split(' ').collect::<Vec<_>>()[..] else { break };
        child::report(&storm(&smalt, account, callback, cookie).await.join(" "));
    }
    smalt.close().await;
}

/// 25 callbacks at once; how each ended.
async fn storm(smalt: &Smalt, account: &str, callback: &str, cookie: &str) -> Vec<String> {
    let calls: Vec<_> = (0..25)
        .map(|_| {
            let (account, callback, cookie) = (smalt.account(account), callback.to_owned(), cookie.to_owned());
            tokio::spawn(async move { account.finish_connect(callback, cookie).await })
        })
        .collect();
    let mut ends = Vec::new();
    for call in calls {
        ends.push(match call.await.unwrap() {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.code().as_str().to_owned(),
        });
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_one_state_is_taken_once() {
    let provider = Provider::start(&[]);
    let user = User::without_browser();
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("smalt.db"), LocalKey::generate().unwrap());
    let project = provider.project(folder.path());
    let order = json!({"file": file, "key": key.text().expose(), "project": project, "manifest": provider.manifest()});
    let smalt = Smalt::embedded(&file).keys(key).project_value(project).manifest(provider.manifest()).open().await.unwrap();
    let mut second = Role::start("flow::role_of_a_second_process", &order.to_string(), &[]);
    assert_eq!(second.line().as_deref(), Some("ready"));
    let rounds = size(10, 20);
    for round in 1..=rounds {
        let id = format!("customer-{round}");
        let account = smalt.account(&id);
        account.ensure().await.unwrap();
        let started = account.start_connect("counterpart", StartConnect::default()).await.unwrap();
        let callback = user.visit(&started.authorize_url, &format!("user-{round}"), true, None);
        let cookie = started.cookie.value.expose();
        second.say(&format!("{id} {callback} {cookie}"));
        let mut ends = storm(&smalt, &id, &callback, cookie).await;
        let theirs = tokio::task::block_in_place(|| second.line()).unwrap();
        ends.extend(theirs.split(' ').map(str::to_owned));
        let accepted = ends.iter().filter(|end| *end == "accepted").count();
        let replayed = ends.iter().filter(|end| *end == "state_replayed").count();
        assert_eq!((accepted, replayed), (1, 49), "{ends:?}");
        let stats = provider.stats();
        assert_eq!(stats["codes"]["consumed"], round);
        assert_eq!(stats["token"]["authorization_code"]["received"], round);
        assert_eq!(stats["grants_revoked"], 0, "a replayed code kills its grant");
        let credential = account.credential("counterpart").await.unwrap();
        assert!(provider.is_active(credential.access_token.as_ref().unwrap().expose()));
    }
    assert!(second.end());
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_states_are_random_and_stored_hashed() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    let mut states = HashSet::new();
    for _ in 0..size(50, 500) {
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let state = param(&started.authorize_url, "state").unwrap();
        assert_eq!(state.len(), 43, "256 bits");
        let kept = world.count(&format!("SELECT count(*) FROM flows WHERE state_hash = '{state}'"));
        assert_eq!(kept, 0);
        assert!(states.insert(state));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s06_the_issuer_is_compared_byte_for_byte() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    let control = world.sandbox.control();
    let wrong = [IssuerForm::Missing, IssuerForm::Wrong, IssuerForm::Doubled, IssuerForm::TrailingSlash];
    for n in 0..size(52, 52) {
        let form = wrong[n % wrong.len()];
        control.change(|ways| ways.issuer_form = form);
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let callback = consent(&started).await;
        let error = account.finish_connect(callback, started.cookie.value).await.unwrap_err();
        let expected = if form == IssuerForm::Doubled { Code::InvalidRequest } else { Code::IssuerMismatch };
        assert_eq!(error.code(), expected, "{form}");
    }
    assert_eq!(control.stats().codes_redeemed, 0);
    assert_eq!(world.rows("connections"), 0);
}

/// Providers with an issuer per customer: it is made of what the user entered when the flow began.
#[tokio::test(flavor = "multi_thread")]
async fn s06_the_issuer_may_depend_on_inputs() {
    let sandbox = smalt::sandbox::Sandbox::start(smalt::sandbox::SandboxOptions::default()).await.unwrap();
    let origin = sandbox.origin();
    let manifest = json!({
        "manifest": 1, "slug": "tenanted", "name": "Tenanted", "description": "An issuer per tenant.",
        "oauth2": {
            "authorize_url": format!("{origin}/authorize"), "token_url": format!("{origin}/token"),
            "issuer": format!("{origin}/{{realm}}"),
            "inputs": [{"name": "realm", "label": "Realm", "pattern": "[a-z]+"}],
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, smalt::sandbox::CLIENT_SECRET).unwrap();
    let mut project = super::common::project(&origin);
    let client = json!({"client": {"test": {"id": smalt::sandbox::CLIENT_ID, "secret": {"file": secret}}}});
    project.apps.insert("tenanted".into(), serde_json::from_value(client).unwrap());
    let key = LocalKey::generate().unwrap().text();
    let smalt = super::common::engine(&folder.path().join("smalt.db"), key.expose(), &origin)
        .project_value(project)
        .manifest(serde_json::from_value(manifest).unwrap())
        .open()
        .await
        .unwrap();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    for (realm, fits) in [("acme", true), ("other", false)] {
        let options = StartConnect { inputs: [("realm".to_owned(), realm.to_owned())].into(), ..to_app() };
        let started = account.start_connect("tenanted", options).await.unwrap();
        let mut callback = url::Url::parse(&consent(&started).await).unwrap();
        let kept: Vec<_> = callback.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
        callback.query_pairs_mut().clear().extend_pairs(kept).append_pair("iss", &format!("{origin}/acme"));
        let ended = account.finish_connect(callback.as_str(), started.cookie.value.clone()).await;
        assert_eq!(ended.as_ref().err().map(smalt::Error::code), (!fits).then_some(Code::IssuerMismatch), "{ended:?}");
        let again = account.finish_connect(callback, started.cookie.value).await.unwrap_err();
        assert_eq!(again.code(), Code::StateReplayed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s07_every_flow_has_its_own_challenge() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    let mut challenges = HashSet::new();
    for n in 0..size(100, 100) {
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        assert_eq!(param(&started.authorize_url, "code_challenge_method").unwrap(), "S256");
        assert!(param(&started.authorize_url, "code_verifier").is_none());
        assert!(challenges.insert(param(&started.authorize_url, "code_challenge").unwrap()));
        let callback = visit(&started.authorize_url, ["ada", "grace", "linus"][n % 3], "allow").await;
        account.finish_connect(callback, started.cookie.value).await.unwrap();
    }
    assert_eq!((challenges.len(), world.sandbox.control().stats().codes_redeemed), (100, 100));
}

/// The challenge is another one than that of the flow's verifier, as when a code is injected into another flow.
#[tokio::test(flavor = "multi_thread")]
async fn s07_a_foreign_challenge_gives_no_connection() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    for _ in 0..size(10, 50) {
        let (one, other) = (
            account.start_connect("sandbox-oauth", to_app()).await.unwrap(),
            account.start_connect("sandbox-oauth", to_app()).await.unwrap(),
        );
        let (mine, stolen) = (consent(&one).await, consent(&other).await);
        let injected = mine.replace(&param(&mine, "code").unwrap(), &param(&stolen, "code").unwrap());
        let error = account.finish_connect(injected, one.cookie.value).await.unwrap_err();
        assert_eq!(error.code(), Code::ExchangeFailed);
        assert_eq!(error.info().context["provider_error"], "invalid_grant");
    }
    assert_eq!(world.sandbox.control().stats().codes_redeemed, 0);
}

const PAYLOADS: [&str; 10] = [
    "<script>alert('canary-1')</script>",
    "canary-2\" onerror=\"alert(1)",
    "canary-3\r\nSet-Cookie: a=b",
    "javascript:canary-4",
    "canary-5\u{202e}txt.exe",
    "{{canary-6}}",
    "${canary-7}",
    "canary-8' OR '1'='1",
    "canary-9\u{0}\u{7f}",
    "%3Cb%3Ecanary-10",
];

#[tokio::test(flavor = "multi_thread")]
async fn s13_errors_of_the_provider_pass_the_same_checks() {
    let world = World::new().await;
    let (account, other) = (world.account("customer-42").await, world.account("customer-43").await);
    let control = world.sandbox.control();
    for payload in PAYLOADS {
        let with = Misbehaviour::Error { error: "server_error".into(), status: 400, description: Some(payload.into()) };
        control.misbehave(Endpoint::Authorize, None, with);
        // Whose flow it is comes first: neither cookie nor account of somebody else learn what the provider said.
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let callback = consent(&started).await;
        let error = account.finish_connect(&*callback, "x").await.unwrap_err();
        assert_eq!(error.code(), Code::BrowserMismatch);
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let callback = consent(&started).await;
        let error = other.finish_connect(&*callback, started.cookie.value.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::FlowAccountMismatch);

        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let callback = consent(&started).await;
        assert!(param(&callback, "error_description").is_some());
        let error = account.finish_connect(&*callback, started.cookie.value.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::AuthorizeFailed);
        assert_eq!(error.info().context["provider_error"], "server_error");
        let again = account.finish_connect(&*callback, started.cookie.value.clone()).await.unwrap_err();
        assert_eq!(again.code(), Code::StateReplayed);
        let flow = account.flow(&started.flow_id).status().await.unwrap();
        assert_eq!(flow.status, FlowStatus::Failed);
        let events = world.smalt.events_page(smalt::backend::ListEvents { limit: Some(1000), ..Default::default() }).await.unwrap();
        let shown = format!("{error} {error:?} {:?} {flow:?} {} {:?}", error.info().context, json!(flow), json!(events.items));
        assert!(!shown.contains("canary") && !shown.contains("alert"), "{shown}");

        // The code of the error itself is anybody's text, too.
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let mut forged = url::Url::parse(&callback).unwrap();
        forged.query_pairs_mut().clear().append_pair("error", payload).append_pair("error_description", payload);
        forged.query_pairs_mut().append_pair("state", &param(&started.authorize_url, "state").unwrap());
        forged.query_pairs_mut().append_pair("iss", &world.sandbox.origin());
        let error = account.finish_connect(forged.as_str(), started.cookie.value).await.unwrap_err();
        let shown = &error.info().context["provider_error"];
        assert!(shown.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) && shown.len() <= 64, "{shown}");
        control.clear(None);
    }
}

/// A way of the token endpoint, and how the connection must stand afterwards: scopes, seconds until its end.
type Variant = (&'static str, fn(&mut smalt::sandbox::Ways), Result<(&'static [&'static str], Option<i64>), Code>);

#[tokio::test(flavor = "multi_thread")]
async fn s15_token_answers_are_classed_right() {
    const ALL: &[&str] = &["profile", "items.read"];
    const DECADE: i64 = 10 * 86_400 * 1461 / 4;
    let variants: [Variant; 12] = [
        ("plain", |_| {}, Ok((ALL, Some(3600)))),
        ("lower case type", |w| w.token_type = Some("bearer".into()), Ok((ALL, Some(3600)))),
        ("no type", |w| w.token_type = None, Ok((ALL, Some(3600)))),
        ("a type that needs a proof", |w| w.token_type = Some("DPoP".into()), Err(Code::MalformedAnswer)),
        ("no expiry", |w| w.expires_form = ExpiresForm::Missing, Ok((ALL, None))),
        ("expiry as text", |w| w.expires_form = ExpiresForm::String, Ok((ALL, Some(3600)))),
        ("expiry in the past", |w| w.expires_form = ExpiresForm::Negative, Ok((ALL, None))),
        ("expiry beyond sense", |w| w.expires_form = ExpiresForm::Huge, Ok((ALL, Some(DECADE)))),
        ("fewer scopes", |w| w.scope_form = ScopeForm::Narrower, Ok((&["profile"], Some(3600)))),
        ("more scopes", |w| w.scope_form = ScopeForm::Wider, Ok((&["profile", "items.read", "sandbox.extra"], Some(3600)))),
        ("scopes not said", |w| w.scope_form = ScopeForm::Missing, Ok((ALL, Some(3600)))),
        ("in a place of its own", |w| w.token_form = TokenForm::Nested, Err(Code::MalformedAnswer)),
    ];
    for (name, change, expected) in variants {
        let world = World::new().await;
        let account = world.account("customer-42").await;
        world.sandbox.control().change(change);
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        assert_eq!(param(&started.authorize_url, "scope").unwrap(), ALL.join(" "), "only what is needed is asked for");
        let callback = consent(&started).await;
        let ended = account.finish_connect(callback, started.cookie.value).await;
        match (ended, expected) {
            (Ok(connection), Ok((scopes, life))) => {
                assert_eq!(connection.status, ConnectionStatus::Active, "{name}");
                assert_eq!(connection.scopes, scopes, "{name}");
                let stated = connection.expires_at.map(|end| end.since(connection.connected_at).as_secs().cast_signed());
                match life {
                    None => assert!(stated.is_none(), "{name}: {stated:?}"),
                    Some(life) => assert!((life - 10..=life + 10).contains(&stated.unwrap()), "{name}: {stated:?}"),
                }
            }
            (Err(error), Err(code)) => {
                assert_eq!(error.code(), code, "{name}");
                assert_eq!(world.rows("connections"), 0, "{name}");
            }
            (ended, expected) => panic!("{name}: {ended:?}, expected {expected:?}"),
        }
    }
}

/// The customer is deleted (and perhaps made anew) while the code is being exchanged: the tokens belong to nobody, so
/// they are revoked, and no connection appears.
#[tokio::test(flavor = "multi_thread")]
async fn s04_tokens_that_come_after_the_account_went_are_revoked() {
    for anew in [false, true] {
        let timings = Timings { revoke_backoff: Duration::from_millis(50), ..Timings::default() };
        let world = World::with(|builder| builder.timings(timings)).await;
        let account = world.account("customer-42").await;
        let control = world.sandbox.control();
        let started = account.start_connect("sandbox-oauth", to_app()).await.unwrap();
        let callback = consent(&started).await;
        control.misbehave(Endpoint::Token, Some(1), Misbehaviour::Delay { millis: 700, after_work: true });
        let finishing = tokio::spawn({
            let account = account.clone();
            async move { account.finish_connect(callback, started.cookie.value).await }
        });
        while control.stats().codes_redeemed == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.smalt.delete_account("customer-42").await.unwrap();
        if anew {
            account.ensure().await.unwrap();
        }
        assert!(finishing.await.unwrap().is_err());
        assert_eq!(world.rows("connections"), 0, "made anew: {anew}");
        let ended = async {
            while control.tokens().iter().any(|token| token.state == TokenState::Live) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the tokens that nobody holds are revoked");
    }
}
