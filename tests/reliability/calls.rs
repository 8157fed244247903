//! How calls begin, wait and end in Rust: see `docs/async-contract.md`.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::FutureExt as _;
use smalt::{
    Code, Secret, Smalt,
    backend::{Caller, GetCredential, ListEvents},
    model::Credential,
};
use smalt_tests::child::{Role, report, role};

/// What is in memory is answered at the first step, and by the synchronous twin; what is not there is pending.
#[tokio::test(flavor = "multi_thread")]
async fn a_ready_credential_is_answered_from_memory() {
    let smalt = Smalt::sandbox().await.unwrap();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    assert!(account.try_credential("sandbox-oauth").is_none(), "nothing is there yet");
    account.connect("sandbox-oauth").await.unwrap();
    let first = account.credential("sandbox-oauth").await.unwrap();
    let ready = account.try_credential("sandbox-oauth").unwrap().unwrap();
    assert_eq!(ready.access_token, first.access_token);
    let at_once = account.credential("sandbox-oauth").now_or_never().unwrap().unwrap();
    assert_eq!(at_once.access_token, first.access_token);
    smalt.close().await;
}

/// What a binding keeps of a credential that was in memory counts until the credential changes or goes, and keeps none in memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_counts_while_the_credential_does() {
    let smalt = Smalt::sandbox().await.unwrap();
    let caller = Caller::Organisation("tests".into());
    let ask = |account: &str, application: &str| GetCredential {
        account: account.to_owned(),
        application: application.to_owned(),
        connection: None,
    };
    // A process that did not come to look at the store for a second answers nothing from memory: then it is asked again.
    let found = async |account: &str, application: &str| {
        let until_it_counts = async {
            loop {
                let asked = smalt.backend().credential(&caller, ask(account, application)).await.unwrap();
                if let Some((credential, found)) = smalt.backend().find_credential(&caller, &ask(account, application))
                    && found.counts()
                    && found.counts()
                {
                    assert!(credential.access_token == asked.access_token && credential.values == asked.values);
                    return (credential, found);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), until_it_counts).await.expect("what is asked for is found in memory afterwards")
    };
    let is_gone = async |credential: Weak<Credential>, account: &str| {
        let until_it_is = async {
            while credential.strong_count() > 0 {
                // The cache tidies up when it is used.
                found(account, "sandbox-key").await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), until_it_is).await.expect("what is disconnected leaves the memory");
    };
    assert!(smalt.backend().find_credential(&caller, &ask("customer-0", "sandbox-oauth")).is_none(), "nothing is there yet");

    let mut of_its_own = false;
    for round in 0..5 {
        let id = format!("customer-{round}");
        let account = smalt.account(&id);
        account.ensure().await.unwrap();
        account.connect("sandbox-oauth").await.unwrap();
        let inputs = [("key", "sandbox-key-good"), ("workspace", "acme")].map(|(name, value)| (name.to_owned(), Secret::from(value)));
        account.connect("sandbox-key").inputs(inputs.into()).await.unwrap();
        let (credential, gone) = found(&id, "sandbox-oauth").await;
        let (key, other) = found(&id, "sandbox-key").await;
        let in_memory = Arc::downgrade(&credential);
        drop(credential);
        account.disconnect("sandbox-oauth").await.unwrap();
        assert!(!gone.counts(), "it is disconnected");
        // Two applications share a slot of the cache once in a thousand times; then the other is looked up again, too.
        of_its_own |= other.counts();
        let (again, _) = found(&id, "sandbox-key").await;
        assert!(again.values == key.values && !again.values.is_empty(), "the other application's credential is still to be had");
        is_gone(in_memory, &id).await;
        assert!(!gone.counts());
    }
    assert!(of_its_own, "the end of one credential is not that of another");

    let account = smalt.account("customer-0");
    account.connect("sandbox-oauth").await.unwrap();
    let (first, of_the_first) = found("customer-0", "sandbox-oauth").await;
    account.connect("sandbox-oauth").await.unwrap();
    assert!(!of_the_first.counts(), "it was connected anew");
    let (second, of_the_second) = found("customer-0", "sandbox-oauth").await;
    assert!(first.access_token != second.access_token && !of_the_first.counts());
    smalt.close().await;
    assert!(!of_the_second.counts(), "the engine is closed");
}

/// An engine belongs to no runtime: it is opened in one that ends, and used from others at the same time.
#[test]
fn several_runtimes_and_threads_use_one_engine() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let smalt = runtime().block_on(Smalt::sandbox()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let smalt = &smalt;
            scope.spawn(move || {
                for round in 0..3 {
                    runtime().block_on(async {
                        for number in 0..10 {
                            smalt.account(format!("c-{thread}-{round}-{number}")).ensure().await.unwrap();
                        }
                    });
                }
            });
        }
        // Runtimes that are dropped with calls under way harm nobody.
        for _ in 0..20 {
            let runtime = runtime();
            let waiting = smalt.clone();
            runtime.spawn(async move { wait(&waiting).await });
            runtime.block_on(tokio::task::yield_now());
        }
    });
    runtime().block_on(async {
        assert_eq!(smalt.count_accounts(None).await.unwrap(), 240);
        smalt.close().await;
        assert!(smalt.account("late").ensure().await.unwrap_err().is(Code::Closed));
    });
}

/// Waits until it is cancelled: nothing happens after the last event.
async fn wait(smalt: &Smalt) {
    let mut since = None;
    loop {
        let wait = Some(Duration::from_secs(600));
        let page = smalt.events_page(ListEvents { since: since.clone(), limit: Some(1000), wait }).await;
        match page {
            Ok(page) => since = page.items.last().map(|event| event.cursor.clone()).or(since),
            Err(_) => return,
        }
    }
}

/// A process ends while calls wait: with the status that it chose, and without a word.
#[test]
fn a_process_exits_with_calls_in_flight() {
    let mut child = Role::start("calls::plays_a_process", "exits", &[]);
    assert_eq!(child.line().as_deref(), Some("in flight"));
    assert_eq!(child.line(), None);
    assert!(child.end());
}

/// Signals, limits and the panic hook are those of the program.
#[test]
fn nothing_is_changed_in_the_process() {
    let mut child = Role::start("calls::plays_a_process", "looks", &[]);
    assert_eq!(child.line().as_deref(), Some("as it was"));
    assert!(child.end());
}

/// Of this thread: the mask of the process's first one is the system's own while a thread begins (1 of 600 times on a busy machine).
fn state() -> Vec<String> {
    let lines = |file: &str| std::fs::read_to_string(file).unwrap_or_default().lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    let signals = lines("/proc/thread-self/status").into_iter().filter(|line| line.starts_with("Sig") && !line.starts_with("SigQ"));
    signals.chain(lines("/proc/self/limits")).collect()
}

/// Not a test by itself.
#[test]
fn plays_a_process() {
    let Some(role) = role() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let before = state();
    std::panic::set_hook(Box::new(|_| report("as it was")));
    let smalt = runtime.block_on(async {
        let smalt = Smalt::sandbox().await.unwrap();
        let account = smalt.account("customer-42");
        account.ensure().await.unwrap();
        account.connect("sandbox-oauth").await.unwrap();
        smalt
    });
    if role == "looks" {
        let during = state();
        runtime.block_on(smalt.close());
        assert_eq!((&before, &before), (&during, &state()));
        // The program's own hook is the one that is told.
        let _ = std::panic::catch_unwind(|| panic!("on purpose"));
        return;
    }
    for _ in 0..200 {
        let (waiting, reading) = (smalt.clone(), smalt.clone());
        runtime.spawn(async move { wait(&waiting).await });
        runtime.spawn(async move { reading.count_accounts(None).await });
    }
    report("in flight");
    std::process::exit(0);
}
