//! Session tokens against the whole engine: forged, flipped, revoked, foreign. One answer for all of them.

use smalt::{
    Code, Error, Smalt,
    backend::{Caller, GetAccount, GetApp, RevokeSession},
    model::Environment,
    vault::LocalKey,
};
use smalt_tests::size;

use super::common::{World, engine, project};

/// What everybody is told whose token is no good, byte for byte.
fn told(error: &Error) -> String {
    format!("{error:?} {error} {:?}", error.info().context)
}

/// Why the token may not read an application.
async fn application(smalt: &Smalt, account: &str, token: &str, application: &str) -> Option<Error> {
    let request = GetApp { account: account.to_owned(), application: application.to_owned() };
    smalt.backend().get_app(&Caller::Session(token.into()), request).await.err()
}

/// The token at three doors: asked about, and used; where it is looked at before anything else, and where with what is read.
async fn refusals(smalt: &Smalt, account: &str, token: &str) -> [Option<Error>; 3] {
    let (caller, request) = (Caller::Session(token.into()), GetAccount { account: account.to_owned() });
    let used = smalt.backend().get_account(&caller, request.clone()).await;
    let listed = smalt.backend().list_apps(&caller, request).await;
    [smalt.verify_session(token).await.err(), used.err(), listed.err()]
}

async fn refused(smalt: &Smalt, token: &str) -> String {
    let mut refusals = Vec::from(refusals(smalt, "customer-42", token).await);
    // Nor does it learn which applications there are.
    for slug in ["sandbox-oauth", "nobody-knows-it"] {
        refusals.push(application(smalt, "customer-42", token, slug).await);
    }
    let refusals: Vec<Error> = refusals.into_iter().map(|error| error.expect("it is refused")).collect();
    assert_eq!(refusals[0].code(), Code::InvalidToken);
    let told: Vec<String> = refusals.iter().map(told).collect();
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    told[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn s20_s21_s27_every_bad_token_gets_the_same_answer() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    let session = account.session().await.unwrap();
    let good = session.token().expose().to_owned();
    assert!(refusals(&world.smalt, "customer-42", &good).await.iter().all(Option::is_none));
    let expected = told(&Error::code_only(Code::InvalidToken));

    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let none = "eyJhbGciOiJub25lIn0";
    let mut bad = vec![
        String::new(),
        "x".to_owned(),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{signature}="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("Bearer {good}"),
        format!("{good}{}", "A".repeat(100_000)),
        good.to_uppercase(),
        "\u{0}".repeat(50),
        "ä.ö.ü".to_owned(),
    ];
    let step = size(20, 1);
    for at in (0..good.len()).step_by(step) {
        for bit in 0..7 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            bad.push(String::from_utf8(bytes).unwrap());
        }
    }
    // Another store's token, made for the same organisation and account; and a revoked one.
    let other = World::new().await;
    bad.push(other.account("customer-42").await.session().await.unwrap().token().expose().to_owned());
    let revoked = account.session_with(true).await.unwrap();
    assert!(revoked.revoke().await.unwrap());
    bad.push(revoked.token().expose().to_owned());
    for token in bad {
        assert_eq!(refused(&world.smalt, &token).await, expected, "{token:.80}");
        assert!(
            !world
                .smalt
                .backend()
                .revoke_session(&Caller::Organisation("test".into()), RevokeSession { token: token.as_str().into() })
                .await
                .unwrap()
        );
    }
    assert!(refusals(&world.smalt, "customer-42", &good).await.iter().all(Option::is_none));
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_revoked_session_ends_at_once_here_and_elsewhere() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    let elsewhere = world.another().await;
    for _ in 0..size(25, 500) {
        let session = account.session_with(true).await.unwrap();
        let token = session.token().expose();
        assert!(elsewhere.verify_session(token).await.is_ok());
        assert!(session.revoke().await.unwrap());
        assert_eq!(refused(&world.smalt, token).await, refused(&elsewhere, token).await);
        assert!(session.apps().await.is_err());
    }
    // The one that is handed out next is another one.
    assert!(account.session().await.unwrap().apps().await.is_ok());
}

/// What memory says of a token is no proof that its session still counts: whatever is done with it asks.
#[tokio::test(flavor = "multi_thread")]
async fn s23_a_session_that_nobody_asked_about_is_asked_about_at_each_use() {
    let world = World::new().await;
    let session = world.account("customer-42").await.session().await.unwrap();
    let token = session.token().clone();
    let (said, early) = world.smalt.try_session(&token).unwrap();
    let known = world.smalt.verify_session(token.clone()).await.unwrap();
    assert_eq!((&said.id, &said.account_id), (&known.id, &known.account_id));
    assert_eq!((said.created_at, said.expires_at), (known.created_at, known.expires_at));
    assert!(world.smalt.try_session(&format!("{}x", token.expose()).into()).is_none());
    let backend = world.smalt.backend();
    let account = |id: &str| GetAccount { account: id.to_owned() };
    assert_eq!(backend.get_account(&early, account("customer-42")).await.unwrap().id, "customer-42");
    assert!(backend.list_apps(&early, account("customer-42")).await.is_ok());
    for refused in [
        backend.get_account(&early, account("customer-43")).await.err(),
        backend.list_apps(&early, account("customer-43")).await.err(),
        backend.list_accounts(&early, Default::default()).await.err(),
    ] {
        assert_eq!(refused.unwrap().code(), Code::Forbidden);
    }
    assert!(session.revoke().await.unwrap());
    let (_, late) = world.smalt.try_session(&token).expect("memory knows nothing of it");
    for caller in [early, late] {
        let own = RevokeSession { token: token.clone() };
        let app = GetApp { account: "customer-42".to_owned(), application: "sandbox-oauth".to_owned() };
        for refused in [
            backend.get_account(&caller, account("customer-42")).await.err(),
            backend.list_apps(&caller, account("customer-42")).await.err(),
            backend.list_apps(&caller, account("customer-43")).await.err(),
            backend.get_app(&caller, app).await.err(),
            backend.revoke_session(&caller, own).await.err(),
        ] {
            assert_eq!(refused.unwrap().code(), Code::InvalidToken);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_sessions_end_with_their_account() {
    let world = World::new().await;
    let account = world.account("customer-42").await;
    let elsewhere = world.another().await;
    let session = account.session().await.unwrap();
    let token = session.token().expose();
    elsewhere.delete_account("customer-42").await.unwrap();
    assert_eq!(refused(&world.smalt, token).await, refused(&elsewhere, token).await);
    // An account of the same name is another customer.
    account.ensure().await.unwrap();
    refused(&world.smalt, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s24_environments_organisations_and_accounts_never_mix() {
    let world = World::new().await;
    let open = |environment, org: &str| {
        let mut project = project(&world.sandbox.origin());
        org.clone_into(&mut project.org.id);
        project.sandbox.enabled = false;
        project.apps.clear();
        let key = LocalKey::parse(&world.key.as_str().into()).unwrap();
        Smalt::embedded(world.file()).keys(key).project_value(project).environment(environment).open()
    };
    let engines = [
        engine(&world.file(), &world.key, &world.sandbox.origin()).open().await.unwrap(),
        open(Environment::Production, "default").await.unwrap(),
        open(Environment::Test, "other").await.unwrap(),
        open(Environment::Production, "other").await.unwrap(),
    ];
    let mut tokens = Vec::new();
    for smalt in &engines {
        let account = smalt.account("customer-42");
        account.ensure().await.unwrap();
        smalt.account("customer-43").ensure().await.unwrap();
        tokens.push(account.session().await.unwrap().token().expose().to_owned());
    }
    for (at, smalt) in engines.iter().enumerate() {
        for (from, token) in tokens.iter().enumerate() {
            if at == from {
                assert!(refusals(smalt, "customer-42", token).await.iter().all(Option::is_none));
                // Another account answers the same whether it exists or not.
                let [_, there, listed] = refusals(smalt, "customer-43", token).await;
                let [_, nowhere, unlisted] = refusals(smalt, "customer-99", token).await;
                for (there, nowhere) in [(there.unwrap(), nowhere.unwrap()), (listed.unwrap(), unlisted.unwrap())] {
                    assert_eq!(there.code(), Code::Forbidden);
                    assert_eq!(told(&there), told(&nowhere));
                }
            } else {
                refused(smalt, token).await;
            }
        }
    }
}
