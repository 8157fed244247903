//! Renewal ahead of the end, and how connections stand while providers, users and clients come and go. Two engines on one
//! file stand for two processes: each has a writer, caches and a background of its own.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use smalt::{
    Code, Secret, Smalt, Timestamp,
    backend::{ImportConnection, ListEvents},
    engine::Timings,
    manifest::AppManifest,
    model::{ConnectionHealth, ConnectionStatus},
    plugin::{BootTime, Clock, HttpRequest, HttpResponse, HttpTransport},
    project::Project,
    sandbox::{Control, Endpoint, Misbehaviour},
    vault::LocalKey,
};
use smalt_tests::size;

use crate::stage::{HOUR, SANDBOX, Stage, connect_sandbox, sandbox, timings, token, until};

/// A clock that stands until it is let go, and then runs faster than time.
#[derive(Clone)]
struct Fast(Arc<(AtomicBool, AtomicI64, i64, Mutex<Instant>)>);

const START: i64 = 1_800_000_000_000;

impl Fast {
    fn new(factor: i64) -> Self {
        Self(Arc::new((AtomicBool::new(false), AtomicI64::new(START), factor, Mutex::new(Instant::now()))))
    }

    fn shift(&self, millis: i64) {
        self.0.1.fetch_add(millis, Ordering::SeqCst);
    }

    fn go(&self) {
        *self.0.3.lock().unwrap() = Instant::now();
        self.0.0.store(true, Ordering::SeqCst);
    }

    fn millis(&self) -> i64 {
        let base = self.0.1.load(Ordering::SeqCst);
        if !self.0.0.load(Ordering::SeqCst) {
            return base;
        }
        base + i64::try_from(self.0.3.lock().unwrap().elapsed().as_millis()).unwrap() * self.0.2
    }
}

impl Clock for Fast {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis())
    }

    fn boot(&self) -> BootTime {
        BootTime { boot_id: "fast".to_owned(), millis: self.millis() - START }
    }
}

/// A provider with a limit: what comes above it in any minute is refused and counted. Refresh tokens work once.
#[derive(Clone)]
struct Limited(Arc<Inside>);

struct Inside {
    clock: Fast,
    per_minute: usize,
    life: i64,
    state: Mutex<Grants>,
    over: AtomicU64,
    reused: AtomicU64,
}

#[derive(Default)]
struct Grants {
    /// Refresh token to connection.
    live: HashMap<String, usize>,
    /// Access token to its end.
    ends: HashMap<String, i64>,
    asked: Vec<i64>,
    renewed: HashMap<usize, u64>,
    serial: u64,
}

#[async_trait::async_trait]
impl HttpTransport for Limited {
    async fn send(&self, request: HttpRequest) -> smalt::Result<HttpResponse> {
        let provider = &self.0;
        let now = provider.clock.millis();
        let given: HashMap<String, String> = url::form_urlencoded::parse(&request.body.0).into_owned().collect();
        let mut state = provider.state.lock().unwrap();
        state.asked.push(now);
        let lately = state.asked.iter().rev().take_while(|at| **at > now - 60_000).count();
        let answer = |status: u16, body: Value| HttpResponse {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        };
        if lately > provider.per_minute {
            provider.over.fetch_add(1, Ordering::SeqCst);
            return Ok(answer(429, json!({})));
        }
        let Some(connection) = given.get("refresh_token").and_then(|token| state.live.remove(token)) else {
            provider.reused.fetch_add(1, Ordering::SeqCst);
            return Ok(answer(400, json!({"error": "invalid_grant"})));
        };
        state.serial += 1;
        let (access, refresh) = (format!("access-{}", state.serial), format!("refresh-{}", state.serial));
        state.live.insert(refresh.clone(), connection);
        state.ends.insert(access.clone(), now + provider.life);
        *state.renewed.entry(connection).or_default() += 1;
        let body = json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": provider.life / 1000});
        Ok(answer(200, body))
    }
}

/// Ten thousand tokens end in one second. Two engines renew them before, each once, within the provider's limit, while callers
/// ask for them all the time.
#[tokio::test(flavor = "multi_thread")]
async fn r26_tokens_that_end_together_are_renewed_apart() {
    let (many, window) = (size(500, 10_000), size(60, 600) as i64 * 1000);
    let per_minute = many * 60_000 / usize::try_from(window).unwrap() * 6 / 5;
    let clock = Fast::new(10);
    let early = 60_000;
    let life = 2 * (window + early);
    let end = START + life;
    let provider = Limited(Arc::new(Inside {
        clock: clock.clone(),
        per_minute,
        life: 24 * HOUR,
        state: Mutex::default(),
        over: AtomicU64::new(0),
        reused: AtomicU64::new(0),
    }));
    let folder = tempfile::tempdir().unwrap();
    LocalKey::generate().unwrap().write_file(folder.path().join("key")).unwrap();
    let manifest: AppManifest = serde_json::from_value(json!({
        "manifest": 1, "slug": "limited", "name": "Limited", "description": "It has a limit.",
        "oauth2": {
            "authorize_url": "https://limited.example/authorize", "token_url": "https://limited.example/token",
            "refresh": {"per_minute": per_minute}
        }
    }))
    .unwrap();
    let project: Project = serde_json::from_value(json!({
        "version": 1, "refresh": {"window": window / 1000, "at_once": 32},
        "apps": {"limited": {"client": {"test": {"id": "client"}}}}
    }))
    .unwrap();
    // The boot clock is fast too; what a lease may take on a busy machine is not.
    let timings = Timings {
        ahead: Some(Duration::from_millis(50)),
        lease: Duration::from_secs(600),
        provider: Duration::from_secs(60),
        poll: Duration::from_millis(20),
        ..timings()
    };
    let mut engines = Vec::new();
    for _ in 0..2 {
        let builder = Smalt::embedded(folder.path().join("smalt.db"))
            .keys(LocalKey::from_file(folder.path().join("key")).unwrap())
            .project_value(project.clone())
            .manifest(manifest.clone())
            .clock(clock.clone())
            .transport(provider.clone())
            .timings(timings.clone());
        engines.push(builder.open().await.unwrap());
    }
    for from in (0..many).step_by(100) {
        let added = (from..(from + 100).min(many)).map(|n| {
            let (account, provider) = (engines[0].account(format!("customer-{n}")), provider.clone());
            tokio::spawn(async move {
                let (access, refresh) = (format!("access-of-{n}"), format!("refresh-of-{n}"));
                {
                    let mut state = provider.0.state.lock().unwrap();
                    state.live.insert(refresh.clone(), n);
                    state.ends.insert(access.clone(), end);
                }
                account.ensure().await.unwrap();
                let values = [("access_token".to_owned(), Secret::new(access)), ("refresh_token".to_owned(), Secret::new(refresh))].into();
                let expires_in = Some(u64::try_from(life / 1000).unwrap());
                let import = ImportConnection { application: "limited".to_owned(), values, expires_in, ..ImportConnection::default() };
                account.import(import).await.unwrap();
            })
        });
        for one in added.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    }
    assert!(provider.0.state.lock().unwrap().asked.is_empty(), "nothing is renewed in the first half of its life");
    clock.shift(life / 2 - 1000);
    clock.go();

    let ended = Arc::new(AtomicBool::new(false));
    let callers = (0..4).map(|caller| {
        let (smalt, provider, clock, ended) = (engines[caller % 2].clone(), provider.clone(), clock.clone(), ended.clone());
        tokio::spawn(async move {
            let (mut handed, mut expired, mut n) = (0_u64, 0_u64, caller * 7919);
            while !ended.load(Ordering::SeqCst) {
                n = (n + 104_729) % many;
                let asked_at = clock.millis();
                let credential = smalt.account(format!("customer-{n}")).credential("limited").await.unwrap();
                let ends = provider.0.state.lock().unwrap().ends[&token(&credential)];
                handed += 1;
                expired += u64::from(ends <= asked_at);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (handed, expired)
        })
    });
    let callers: Vec<_> = callers.collect();
    let renewed = || provider.0.state.lock().unwrap().renewed.len();
    for _ in 0..6000 {
        if renewed() == many || clock.millis() > end + 600_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(renewed(), many, "all are renewed, at {} s from the end", (end - clock.millis()) / 1000);
    // Callers go on across the common end.
    until("the old tokens have ended", async || clock.millis() > end + 5000).await;
    ended.store(true, Ordering::SeqCst);
    let (mut handed, mut expired) = (0, 0);
    for caller in callers {
        let (some, late) = caller.await.unwrap();
        (handed, expired) = (handed + some, expired + late);
    }
    assert!(handed > 100, "{handed} credentials were handed out");
    assert_eq!(expired, 0, "expired tokens that were handed out, of {handed}");
    assert_eq!(provider.0.over.load(Ordering::SeqCst), 0, "requests above the provider's limit");
    assert_eq!(provider.0.reused.load(Ordering::SeqCst), 0, "refresh tokens that were sent twice");
    {
        let state = provider.0.state.lock().unwrap();
        assert!(state.renewed.values().all(|count| *count == 1), "each once");
    }
    for engine in engines {
        engine.close().await;
    }
}

/// Two engines that renew ahead, on a store with the sandbox.
async fn two(stage: &Stage) -> [Smalt; 2] {
    let timings = || Timings {
        ahead: Some(Duration::from_millis(30)),
        suspended: Duration::from_secs(300),
        cooldown: Duration::from_secs(30),
        ..timings()
    };
    [stage.open_with(timings()).await, stage.open_with(timings()).await]
}

/// How often each type stands in the log.
async fn counted(smalt: &Smalt) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    let mut since = None;
    loop {
        let page = smalt.events_page(ListEvents { since: since.clone(), limit: Some(1000), wait: None }).await.unwrap();
        if page.items.is_empty() {
            return counted;
        }
        for event in page.items {
            *counted.entry(event.event_type.as_str().to_owned()).or_default() += 1;
        }
        since = page.next;
    }
}

async fn health(smalt: &Smalt, account: &str) -> ConnectionHealth {
    smalt.account(account).connections(Some(SANDBOX)).await.unwrap()[0].health
}

/// A user is switched off at the provider and on again, while nobody asks for a token.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_rests_comes_back_without_anybody() {
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let engines = two(&stage).await;
    connect_sandbox(&engines[0], "customer-42").await;
    control.change(|ways| ways.disabled_users = vec!["ada".to_owned()]);
    stage.clock.shift(HOUR - 4000);
    until("the grant rests", async || health(&engines[1], "customer-42").await == ConnectionHealth::Suspended).await;
    let asked = control.stats().refresh_requests;
    assert_eq!(asked, 1, "one engine asked once");
    assert_eq!(engines[1].account("customer-42").credential(SANDBOX).await.unwrap_err().code(), Code::GrantSuspended);
    // Later and later: 300 s, then at least 600.
    stage.clock.shift(301_000);
    until("it is tried again", async || control.stats().refresh_requests == 2).await;
    stage.clock.shift(301_000);
    control.change(|ways| ways.disabled_users.clear());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(control.stats().refresh_requests, 2, "not yet");
    stage.clock.shift(600_000);
    until("it is back", async || health(&engines[0], "customer-42").await == ConnectionHealth::Healthy).await;
    let connection = &engines[0].account("customer-42").connections(Some(SANDBOX)).await.unwrap()[0];
    assert_eq!((connection.status, connection.last_error.clone()), (ConnectionStatus::Active, None));
    let counted = counted(&engines[0]).await;
    assert_eq!((counted["connection.expired"], counted["connection.recovered"]), (1, 1), "{counted:?}");
    engines[0].account("customer-42").credential(SANDBOX).await.unwrap();
}

/// The provider is away when tokens are due, stays away past their end, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_announced_once_for_each_connection() {
    const MANY: usize = 10;
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let engines = two(&stage).await;
    for n in 0..MANY {
        connect_sandbox(&engines[n % 2], &format!("customer-{n}")).await;
    }
    let away = Misbehaviour::Error { error: "temporarily_unavailable".to_owned(), status: 503, description: None };
    control.misbehave(Endpoint::Refresh, None, away);
    stage.clock.shift(HOUR - 3000);
    let all = async |wanted: ConnectionHealth| {
        for n in 0..MANY {
            if health(&engines[0], &format!("customer-{n}")).await != wanted {
                return false;
            }
        }
        true
    };
    until("all are announced", async || all(ConnectionHealth::Expiring).await).await;
    for _ in 0..5 {
        stage.clock.shift(60_000);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(counted(&engines[1]).await["connection.expiring"], MANY);
    assert!(all(ConnectionHealth::Expiring).await);
    assert_eq!(engines[0].account("customer-0").credential(SANDBOX).await.unwrap_err().code(), Code::RefreshFailed);
    control.clear(None);
    stage.clock.shift(HOUR * 2);
    until("all are back", async || all(ConnectionHealth::Healthy).await).await;
    let counted = counted(&engines[1]).await;
    assert_eq!((counted["connection.expiring"], counted["connection.recovered"]), (MANY, MANY), "{counted:?}");
    assert!(!counted.contains_key("connection.expired"), "{counted:?}");
}

/// The organisation's client is switched off, and its secret is another one: ten connections, two engines, one event.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_client_is_told_once_and_probed_by_one() {
    const MANY: usize = 10;
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let engines = two(&stage).await;
    for n in 0..MANY {
        connect_sandbox(&engines[n % 2], &format!("customer-{n}")).await;
    }
    let secret = |secret: &str| Control::RegisterClient {
        client_id: smalt::sandbox::CLIENT_ID.to_owned(),
        client_secret: Some(secret.into()),
        redirect_uris: Vec::new(),
        public_key: None,
    };
    for (round, off) in [true, false].into_iter().enumerate() {
        let before = counted(&engines[0]).await;
        if off {
            control.change(|ways| ways.disabled_clients = vec![smalt::sandbox::CLIENT_ID.to_owned()]);
        } else {
            control.apply(secret("another")).unwrap();
        }
        control.reset_stats();
        stage.clock.shift(HOUR);
        let all = async |wanted: ConnectionHealth| {
            for n in 0..MANY {
                if health(&engines[n % 2], &format!("customer-{n}")).await != wanted {
                    return false;
                }
            }
            true
        };
        until("all show it", async || all(ConnectionHealth::ClientRejected).await).await;
        // Everybody asks at once: nobody hammers, and nobody is told to connect again.
        let calls = (0..MANY).map(|n| {
            let account = engines[n % 2].account(format!("customer-{n}"));
            tokio::spawn(async move { account.credential(SANDBOX).await.map(|_| ()).map_err(|error| error.code()) })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap(), Err(Code::ClientRejected));
        }
        // Those that were under way together when it showed, and then one try a wait.
        let mut first = control.stats().refresh_requests;
        until("what was under way has ended", async || {
            let before = std::mem::replace(&mut first, control.stats().refresh_requests);
            tokio::time::sleep(Duration::from_millis(100)).await;
            before == first && control.stats().concurrent_refreshes == 0
        })
        .await;
        assert!(first <= 16, "{first} tries at first");
        stage.clock.shift(31_000);
        until("one tries again", async || control.stats().refresh_requests > first).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(control.stats().refresh_requests, first + 1, "one try, by one engine");
        if off {
            control.change(|ways| ways.disabled_clients.clear());
        } else {
            control.apply(secret(smalt::sandbox::CLIENT_SECRET)).unwrap();
        }
        stage.clock.shift(HOUR);
        until("all are well again", async || all(ConnectionHealth::Healthy).await).await;
        until("all have good tokens", async || {
            let mut good = true;
            for n in 0..MANY {
                good &= engines[0].account(format!("customer-{n}")).credential(SANDBOX).await.is_ok();
            }
            good
        })
        .await;
        let counted = counted(&engines[1]).await;
        assert_eq!(counted["application.client_rejected"], round + 1, "{before:?} {counted:?}");
        assert_eq!(counted["application.client_recovered"], round + 1, "{counted:?}");
        assert!(!counted.contains_key("connection.expired") && !counted.contains_key("connection.expiring"), "{counted:?}");
    }
}

/// What nobody uses is left alone, until somebody does; and what nothing renews is announced, and ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_uses_is_left_alone() {
    const DAY: i64 = 24 * HOUR;
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let engines = two(&stage).await;
    connect_sandbox(&engines[0], "customer-42").await;
    stage.clock.shift(HOUR);
    until("it is renewed while it is used", async || control.stats().refreshes == 1).await;
    stage.clock.shift(31 * DAY);
    until("it is out of the background's sight", async || stage.count("SELECT count(*) FROM connections WHERE renew_at IS NOT NULL") == 0)
        .await;
    assert_eq!(control.stats().refreshes, 1);
    assert_eq!(health(&engines[0], "customer-42").await, ConnectionHealth::Healthy);
    engines[1].account("customer-42").credential(SANDBOX).await.unwrap();
    assert_eq!(control.stats().refreshes, 2);
    stage.clock.shift(HOUR);
    until("from then on it is renewed ahead again", async || control.stats().refreshes == 3).await;

    control.change(|ways| ways.refresh_tokens = false);
    connect_sandbox(&engines[0], "customer-43").await;
    stage.clock.shift(HOUR * 4 / 5);
    until("its end is announced", async || health(&engines[1], "customer-43").await == ConnectionHealth::Expiring).await;
    stage.clock.shift(HOUR / 4);
    until("it has ended", async || health(&engines[1], "customer-43").await == ConnectionHealth::Expired).await;
    let counted = counted(&engines[0]).await;
    assert_eq!((counted["connection.expiring"], counted["connection.expired"]), (1, 1), "{counted:?}");
}
