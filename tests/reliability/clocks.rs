//! Times that providers state badly, and clocks that jump.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use smalt::{
    Code, Smalt, Timestamp,
    engine::Timings,
    plugin::{BootTime, Clock, FixedClock},
    project::Project,
    sandbox::{ExpiresForm, Sandbox, SandboxOptions},
    vault::LocalKey,
};
use smalt_tests::{counterpart::http, size};

use crate::stage::{HOUR, SANDBOX, connect_sandbox, consent, timings, token};

const START: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;

/// True time, which boot clocks follow, and a wall clock that somebody sets.
#[derive(Clone, Default)]
struct Wall {
    passed: Arc<AtomicI64>,
    set_by: Arc<AtomicI64>,
}

impl Wall {
    fn pass(&self, millis: i64) {
        self.passed.fetch_add(millis, Ordering::SeqCst);
    }

    fn jump(&self, millis: i64) {
        self.set_by.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START + self.passed.load(Ordering::SeqCst) + self.set_by.load(Ordering::SeqCst))
    }

    fn boot(&self) -> BootTime {
        BootTime { boot_id: "b".to_owned(), millis: self.passed.load(Ordering::SeqCst) }
    }
}

/// The provider's clock is right.
struct True(Wall);

impl Clock for True {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START + self.0.passed.load(Ordering::SeqCst))
    }

    fn boot(&self) -> BootTime {
        self.0.boot()
    }
}

async fn set_up(clock: impl Clock + Clone, provider: impl Clock, timings: Timings) -> (Sandbox, Smalt) {
    let sandbox = Sandbox::start(SandboxOptions { clock: Arc::new(provider), ..SandboxOptions::default() }).await.unwrap();
    sandbox.control().auto_consent(Some("ada"));
    let mut project = Project::default();
    project.sandbox.enabled = true;
    project.sandbox.url = Some(sandbox.origin());
    project.org.redirect_uris = vec!["http://127.0.0.1/callback".to_owned()];
    let builder = Smalt::in_memory().project_value(project).keys(LocalKey::generate().unwrap());
    (sandbox, builder.clock(clock).timings(timings).open().await.unwrap())
}

/// A flow lives for ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn s02_a_flow_lives_for_ten_minutes() {
    let clock = FixedClock::at(Timestamp::from_millis(START));
    let timings = Timings { poll: Duration::from_millis(50), ahead: None, ..Timings::default() };
    let (_sandbox, smalt) = set_up(clock.clone(), smalt::plugin::SystemClock::default(), timings).await;
    for (seconds, works) in [(599, true), (601, false)] {
        let mut flows = Vec::new();
        for n in 0..size(10, 100) {
            let name = format!("customer-{n}");
            let (flow, callback, cookie) = consent(&smalt, &name, None).await;
            flows.push((name, flow, callback, cookie));
        }
        clock.advance_millis(seconds * 1000);
        for (name, _, callback, cookie) in flows {
            let ended = smalt.account(name).finish_connect(callback, cookie).await;
            assert_eq!(ended.as_ref().err().map(smalt::Error::code), (!works).then_some(Code::FlowExpired), "{seconds} s");
        }
    }
}

/// Six hours, a look every minute, under each way to state a token's life and each way to set a clock.
#[tokio::test(flavor = "multi_thread")]
async fn r27_clocks_and_lifetimes_make_no_loop() {
    const JUMPS: [&[i64]; 6] = [&[], &[10], &[-10], &[-120], &[10, -10], &[-120, 120]];
    const FORMS: [ExpiresForm; 6] =
        [ExpiresForm::Number, ExpiresForm::String, ExpiresForm::Missing, ExpiresForm::Zero, ExpiresForm::Negative, ExpiresForm::Huge];
    for form in FORMS {
        for jumps in JUMPS {
            let clock = Wall::default();
            // Reads are looked at afresh every so often; jumps may fall within that time.
            let (sandbox, smalt) = set_up(clock.clone(), True(clock.clone()), timings()).await;
            let control = sandbox.control();
            control.change(|ways| ways.expires_form = form);
            connect_sandbox(&smalt, "customer-42").await;
            let account = smalt.account("customer-42");
            let is_stated = matches!(form, ExpiresForm::Number | ExpiresForm::String);
            let (mut hours, mut before) = (Vec::new(), 0);
            let mut jumps_left = jumps.iter();
            for step in 0..6 * 12 * 5 {
                clock.pass(MINUTE);
                if step % 85 == 50
                    && let Some(jump) = jumps_left.next()
                {
                    clock.jump(jump * MINUTE);
                }
                let credential = account.credential(SANDBOX).await.unwrap();
                let bearer = format!("Bearer {}", token(&credential));
                let me = http("GET", &format!("{}/userinfo", sandbox.origin()), &[("authorization", &bearer)], None);
                if is_stated {
                    assert!(me["sub"].is_string(), "{form:?} {jumps:?}: a token past its end at minute {step}");
                }
                if !me["sub"].is_string() {
                    // Nobody said when it ends: the call that finds out renews it.
                    assert_eq!(account.request(SANDBOX, "GET", "items").await.unwrap().status, 200);
                }
                if step % 60 == 59 {
                    let requests = control.stats().refresh_requests;
                    hours.push(requests - before);
                    before = requests;
                }
            }
            assert!(hours.iter().all(|refreshes| *refreshes <= 2), "{form:?} {jumps:?}: {hours:?}");
            assert!(hours.iter().sum::<u64>() >= 5, "{form:?} {jumps:?}: {hours:?}");
        }
    }
}

/// Between two looks at the row the cache answers; a clock that is set back must not lengthen a token's life there.
#[tokio::test(flavor = "multi_thread")]
async fn r27_a_cached_token_ends_when_it_ends() {
    let clock = Wall::default();
    let (sandbox, smalt) = set_up(clock.clone(), True(clock.clone()), timings()).await;
    connect_sandbox(&smalt, "customer-42").await;
    let account = smalt.account("customer-42");
    // Ten seconds before its end it is still good, and kept.
    clock.pass(HOUR - 10_000);
    account.credential(SANDBOX).await.unwrap();
    clock.jump(-10 * MINUTE);
    for step in 0..15 {
        clock.pass(900);
        // The cache answers only while the store is being watched.
        tokio::time::sleep(Duration::from_millis(120)).await;
        let bearer = format!("Bearer {}", token(&account.credential(SANDBOX).await.unwrap()));
        let me = http("GET", &format!("{}/userinfo", sandbox.origin()), &[("authorization", &bearer)], None);
        assert!(me["sub"].is_string(), "step {step}");
    }
}

/// A wait after a failure is one of seconds; a clock that is set back must not make hours of it.
#[tokio::test(flavor = "multi_thread")]
async fn r27_a_clock_set_back_prolongs_no_cooldown() {
    let clock = Wall::default();
    let (sandbox, smalt) = set_up(clock.clone(), True(clock.clone()), Timings { ahead: None, ..Timings::default() }).await;
    connect_sandbox(&smalt, "customer-42").await;
    let account = smalt.account("customer-42");
    clock.pass(61 * MINUTE);
    let fault =
        smalt::sandbox::Misbehaviour::Status { status: 503, body: smalt::sandbox::BodyKind::Empty, retry_after: None, after_work: false };
    sandbox.control().misbehave(smalt::sandbox::Endpoint::Refresh, Some(1), fault);
    assert_eq!(account.credential(SANDBOX).await.unwrap_err().code(), Code::RefreshFailed);
    clock.jump(-120 * MINUTE);
    clock.pass(MINUTE);
    account.credential(SANDBOX).await.unwrap();
}
