//! Renewal ahead: 10,000 connections whose tokens end in one second, beside bare reqwest calls to the same provider that
//! write the same rows, in groups, before and after each call; and at a provider with a limit.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use serde_json::json;
use smalt::{Smalt, engine::Timings, plugin::Clock, project::Project, vault::LocalKey};
use tokio::sync::oneshot;

use crate::{
    provider::{Forward, LIFE, Provider, client, grant, link, manifest, offered, tokens},
    report::{Row, median},
};

const ROUNDS: usize = 3;
const AT_ONCE: usize = 64;
/// How much of a token's life is left when the clock is set forward, in milliseconds.
const LEFT: i64 = 55_000;
/// The same where a limit makes it take longer: 10,000 need 100 s.
const LEFT_WITHIN_LIMIT: i64 = 160_000;
const PER_MINUTE: u32 = 6000;

/// `SMALT_BENCH_TOKENS` makes it smaller for a trial.
fn many() -> usize {
    std::env::var("SMALT_BENCH_TOKENS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

/// So many grants, and a store that holds them as connections. `per_minute` 0: no limit but the calls under way.
async fn seed(folder: &Path, provider: &Provider, many: usize, clock: &Forward, per_minute: u32) -> (Smalt, Vec<(String, String)>) {
    LocalKey::generate().unwrap().write_file(folder.join("key")).unwrap();
    let origin = &provider.origin;
    let project: Project = serde_json::from_value(json!({
        "version": 1,
        "network": {"allow": [origin.trim_start_matches("http://")]},
        "refresh": {"per_minute": per_minute, "at_once": AT_ONCE},
        "apps": {"bench": offered(folder)}
    }))
    .unwrap();
    let timings = Timings { ahead: Some(Duration::from_millis(50)), ..Timings::default() };
    let builder = Smalt::embedded(folder.join("smalt.db")).keys(LocalKey::from_file(folder.join("key")).unwrap());
    let builder = builder.project_value(project).manifest(manifest("bench", origin)).clock(clock.clone()).timings(timings);
    let smalt = builder.open().await.unwrap();
    let client = client();
    let mut held = Vec::new();
    for from in (0..many).step_by(AT_ONCE) {
        let made = (from..(from + AT_ONCE).min(many)).map(|n| {
            let (smalt, client, origin) = (smalt.clone(), client.clone(), origin.clone());
            tokio::spawn(async move {
                let (access, refresh) = grant(&client, &origin).await;
                let id = link(&smalt, &format!("account-{n}"), "bench", (access, refresh.clone()), LIFE).await;
                (id, refresh)
            })
        });
        for one in made.collect::<Vec<_>>() {
            held.push(one.await.unwrap());
        }
    }
    (smalt, held)
}

/// Renewals in a second, while somebody reads credentials; none of those that are handed out has ended.
async fn ours(smalt: &Smalt, clock: &Forward, provider: &Provider, many: usize) -> f64 {
    provider.ask("reset all");
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (smalt, clock, done) = (smalt.clone(), clock.clone(), done.clone());
        tokio::spawn(async move {
            let (mut handed, mut n) = (0_u64, 0);
            while !done.load(Ordering::SeqCst) {
                n = (n + 7919) % many;
                let asked_at = clock.now();
                let credential = smalt.account(format!("account-{n}")).credential("bench").await.unwrap();
                assert!(credential.expires_at.unwrap() > asked_at, "a token that had ended was handed out");
                handed += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            handed
        })
    };
    let from = Instant::now();
    clock.forward(i64::try_from(LIFE).unwrap() * 1000 - LEFT);
    while provider.refreshes() < many {
        assert!(from.elapsed() < Duration::from_secs(300), "{} of {many} were renewed", provider.refreshes());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rate = many as f64 / from.elapsed().as_secs_f64();
    done.store(true, Ordering::SeqCst);
    assert!(reader.await.unwrap() > 0);
    let stats = provider.ask("stats");
    // The reader may renew one itself, beside those under way.
    assert!(stats["concurrent_refreshes_max"].as_u64().unwrap() <= AT_ONCE as u64 + 1, "more at once than the limit");
    assert_eq!((stats["refreshes"].as_u64(), stats["refresh_reuse"].as_u64()), (Some(many as u64), Some(0)), "each once");
    rate
}

/// One write of the peer, answered when it is durable.
enum Job {
    Mark(String),
    Store(String, String, String),
}

type Jobs = mpsc::Sender<(Job, oneshot::Sender<()>)>;

/// The peer's writer: raw rusqlite on the same rows, with the same settings, in groups.
fn writer(path: &Path) -> Jobs {
    let mut db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;",
    )
    .unwrap();
    let (jobs, inbox) = mpsc::channel::<(Job, oneshot::Sender<()>)>();
    std::thread::spawn(move || {
        while let Ok(first) = inbox.recv() {
            let mut group = vec![first];
            let until = Instant::now() + Duration::from_millis(1);
            while group.len() < AT_ONCE
                && let Ok(more) = inbox.recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                group.push(more);
            }
            let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
            for (job, _) in &group {
                match job {
                    Job::Mark(id) => {
                        let sql = "UPDATE connections SET presented = refresh_print WHERE org = 'default' AND environment = 0 AND id = ?1";
                        tx.prepare_cached(sql).unwrap().execute([id]).unwrap();
                    }
                    Job::Store(id, access, refresh) => {
                        let sql = "UPDATE connections SET sealed = ?2, presented = NULL, secret_version = secret_version + 1,
                                   refreshed_at = refreshed_at + 1, expires_at = expires_at + 3600000, renew_at = renew_at + 3600000
                                   WHERE org = 'default' AND environment = 0 AND id = ?1";
                        let body = json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer"}).to_string();
                        tx.prepare_cached(sql).unwrap().execute(rusqlite::params![id, body.as_bytes()]).unwrap();
                        let sql = "INSERT INTO events (org, environment, id, event_type, account_id, application, data_json, at)
                                   VALUES ('default', 0, '6920f3a4c0ffee00c0ffee01', 'connection.refreshed', ?1, 'bench', '{}', 1767225600000)";
                        tx.prepare_cached(sql).unwrap().execute([id]).unwrap();
                        let sql = "INSERT INTO audit (org, environment, action, actor, account_id, application, connection_id, count, detail_json, at)
                                   VALUES ('default', 0, 'refresh', 'peer', ?1, 'bench', ?1, 1, '{}', 1767225600000)";
                        tx.prepare_cached(sql).unwrap().execute([id]).unwrap();
                    }
                }
            }
            tx.commit().unwrap();
            for (_, answer) in group {
                let _ = answer.send(());
            }
        }
    });
    jobs
}

async fn write(jobs: &Jobs, job: Job) {
    let (answer, done) = oneshot::channel();
    jobs.send((job, answer)).unwrap();
    done.await.unwrap();
}

/// The peer: as many calls under way, each with a mark before and its tokens after, both durable.
async fn theirs(jobs: &Jobs, client: &reqwest::Client, provider: &Provider, held: &Arc<Mutex<Vec<(String, String)>>>) -> f64 {
    let many = held.lock().unwrap().len();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let from = Instant::now();
    let tasks = (0..AT_ONCE).map(|_| {
        let (jobs, client, origin, held, next) = (jobs.clone(), client.clone(), provider.origin.clone(), held.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let at = next.fetch_add(1, Ordering::SeqCst);
                if at >= many {
                    return;
                }
                let (id, old) = held.lock().unwrap()[at].clone();
                write(&jobs, Job::Mark(id.clone())).await;
                let (access, refresh) = tokens(&client, &origin, &format!("grant_type=refresh_token&refresh_token={old}")).await;
                write(&jobs, Job::Store(id, access, refresh.clone())).await;
                held.lock().unwrap()[at].1 = refresh;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    many as f64 / from.elapsed().as_secs_f64()
}

/// Renewals at a provider that takes so many in a minute, while somebody calls it with what is handed out. Both clocks are set forward,
/// so the provider itself says which tokens have ended.
async fn within_the_limit(folder: &Path, many: usize) -> Vec<Row> {
    let (provider, clock) = (Provider::start(), Forward::default());
    let (smalt, _) = seed(folder, &provider, many, &clock, PER_MINUTE).await;
    provider.ask("reset all");
    let done = Arc::new(AtomicBool::new(false));
    let caller = {
        let (smalt, done, origin) = (smalt.clone(), done.clone(), provider.origin.clone());
        tokio::spawn(async move {
            let (client, mut ended, mut n) = (client(), 0, 0);
            while !done.load(Ordering::SeqCst) {
                n = (n + 7919) % many;
                let credential = smalt.account(format!("account-{n}")).credential("bench").await.unwrap();
                let token = credential.access_token.as_ref().unwrap().expose();
                let answer = client.get(format!("{origin}/api/items")).bearer_auth(token).send().await.unwrap();
                ended += usize::from(answer.status() == reqwest::StatusCode::UNAUTHORIZED);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            ended
        })
    };
    let set_forward = i64::try_from(LIFE).unwrap() * 1000 - LEFT_WITHIN_LIMIT;
    provider.ask(&format!("forward {set_forward}"));
    clock.forward(set_forward);
    let from = Instant::now();
    let mut seen = vec![(from, 0)];
    while seen.last().is_some_and(|(_, renewed)| *renewed < many) {
        assert!(from.elapsed() < Duration::from_secs(600), "{seen:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
        seen.push((Instant::now(), provider.refreshes()));
    }
    // Until every old token is over.
    tokio::time::sleep(Duration::from_millis(u64::try_from(LEFT_WITHIN_LIMIT).unwrap()).saturating_sub(from.elapsed())).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    done.store(true, Ordering::SeqCst);
    let ended = caller.await.unwrap();
    smalt.close().await;
    let minute = |at: usize| {
        let within = seen[at..].iter().take_while(|(time, _)| *time - seen[at].0 <= Duration::from_secs(60));
        within.last().unwrap().1 - seen[at].1
    };
    let most = (0..seen.len()).map(minute).max().unwrap();
    vec![
        Row::budget("renew-limit", "most of 10,000 renewals in any minute", most as f64, f64::from(PER_MINUTE), "calls"),
        Row::budget("renew-ended", "ended tokens handed out meanwhile, by the provider", ended as f64, 0.0, "tokens"),
    ]
}

pub async fn measure() -> Vec<Row> {
    let many = many();
    let folder = tempfile::Builder::new().tempdir_in("target").unwrap();
    let limited = folder.path().join("limited");
    std::fs::create_dir(&limited).unwrap();
    let mut rows = within_the_limit(&limited, many).await;
    let provider = Provider::start();
    let (mine, other) = (folder.path().join("ours"), folder.path().join("theirs"));
    std::fs::create_dir(&mine).unwrap();
    std::fs::create_dir(&other).unwrap();
    let clock = Forward::default();
    let (smalt, _) = seed(&mine, &provider, many, &clock, 0).await;
    let (theirs_seed, held) = seed(&other, &provider, many, &Forward::default(), 0).await;
    theirs_seed.close().await;
    let (held, jobs, client) = (Arc::new(Mutex::new(held)), writer(&other.join("smalt.db")), client());
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(ours(&smalt, &clock, &provider, many).await);
        b.push(theirs(&jobs, &client, &provider, &held).await);
    }
    smalt.close().await;
    rows.push(Row::at_least(
        "renew-ahead",
        "renewals ahead, 10,000 tokens ending together",
        median(a),
        "reqwest + rusqlite",
        median(b),
        "tokens/s",
        0.8,
    ));
    rows
}
