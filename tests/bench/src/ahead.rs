//! Renewal ahead: 10,000 connections whose tokens end in one second, beside bare reqwest calls to the same provider that
//! write the same rows, in groups, before and after each call. The provider runs in a process of its own.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use smalt::{
    Secret, Smalt, Timestamp,
    backend::ImportConnection,
    engine::Timings,
    manifest::AppManifest,
    plugin::{BootTime, Clock, SystemClock},
    project::Project,
    sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox, SandboxOptions, Ways},
    vault::LocalKey,
};
use tokio::sync::oneshot;

use crate::report::{Row, median};

const ROUNDS: usize = 3;
const AT_ONCE: usize = 64;
/// What a token lives, in seconds, and how much is left of it when the clock is set forward.
const LIFE: u64 = 3600;
const LEFT: i64 = 55_000;

/// `SMALT_BENCH_TOKENS` makes it smaller for a trial.
fn many() -> usize {
    std::env::var("SMALT_BENCH_TOKENS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

/// The child: a provider that says its origin, and its counters for every line that it reads.
pub async fn provide() {
    let ways = Ways { auto_consent: Some("ada".to_owned()), pkce_required: false, expires_in: LIFE, ..Ways::default() };
    let sandbox = Sandbox::start(SandboxOptions { ways, ..SandboxOptions::default() }).await.unwrap();
    println!("{}", sandbox.origin());
    let control = sandbox.control();
    tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines() {
            if line.unwrap() == "reset" {
                control.reset_stats();
            }
            println!("{}", json!(control.stats()));
        }
    })
    .await
    .unwrap();
}

struct Provider {
    child: Child,
    pipe: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    origin: String,
}

impl Provider {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["provide", "", ""])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut origin = String::new();
        output.read_line(&mut origin).unwrap();
        Self { pipe: Mutex::new((child.stdin.take().unwrap(), output)), child, origin: origin.trim().to_owned() }
    }

    fn ask(&self, order: &str) -> Value {
        let mut pipe = self.pipe.lock().unwrap();
        writeln!(pipe.0, "{order}").unwrap();
        let mut line = String::new();
        pipe.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn refreshes(&self) -> usize {
        usize::try_from(self.ask("stats")["refreshes"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The system's clock, set forward.
#[derive(Clone, Default)]
struct Forward(SystemClock, Arc<AtomicI64>);

impl Clock for Forward {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now().millis() + self.1.load(Ordering::SeqCst))
    }

    fn boot(&self) -> BootTime {
        self.0.boot()
    }
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// A token request, and the access and refresh token of its answer.
async fn tokens(client: &reqwest::Client, origin: &str, body: &str) -> (String, String) {
    let request = client.post(format!("{origin}/token")).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let said: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    (said["access_token"].as_str().unwrap().to_owned(), said["refresh_token"].as_str().unwrap().to_owned())
}

/// So many grants, and a store that holds them as connections.
async fn seed(folder: &Path, provider: &Provider, many: usize, clock: &Forward) -> (Smalt, Vec<(String, String)>) {
    LocalKey::generate().unwrap().write_file(folder.join("key")).unwrap();
    let origin = &provider.origin;
    let manifest: AppManifest = serde_json::from_value(json!({
        "manifest": 1, "slug": "bench", "name": "Bench", "description": "The sandbox.",
        "oauth2": {"authorize_url": format!("{origin}/authorize"), "token_url": format!("{origin}/token")}
    }))
    .unwrap();
    let secret = folder.join("secret");
    std::fs::write(&secret, CLIENT_SECRET).unwrap();
    let project: Project = serde_json::from_value(json!({
        "version": 1,
        "network": {"allow": [origin.trim_start_matches("http://")]},
        // The limit here is how many calls are under way; the rate is what is measured.
        "refresh": {"per_minute": 0, "at_once": AT_ONCE},
        "apps": {"bench": {"client": {"test": {"id": CLIENT_ID, "secret": {"file": secret}}}}}
    }))
    .unwrap();
    let timings = Timings { ahead: Some(Duration::from_millis(50)), ..Timings::default() };
    let builder = Smalt::embedded(folder.join("smalt.db")).keys(LocalKey::from_file(folder.join("key")).unwrap());
    let builder = builder.project_value(project).manifest(manifest).clock(clock.clone()).timings(timings);
    let smalt = builder.open().await.unwrap();
    let client = client();
    let mut held = Vec::new();
    for from in (0..many).step_by(AT_ONCE) {
        let made = (from..(from + AT_ONCE).min(many)).map(|n| {
            let (smalt, client, origin) = (smalt.clone(), client.clone(), origin.clone());
            tokio::spawn(async move {
                let query =
                    format!("response_type=code&client_id={CLIENT_ID}&redirect_uri=http://127.0.0.1/callback&scope=profile&state=s");
                let answer = client.get(format!("{origin}/authorize?{query}")).send().await.unwrap();
                let location = answer.headers()["location"].to_str().unwrap().to_owned();
                let code = location.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap();
                let body = format!("grant_type=authorization_code&code={code}&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback");
                let (access, refresh) = tokens(&client, &origin, &body).await;
                let account = smalt.account(format!("account-{n}"));
                account.ensure().await.unwrap();
                let values = [("access_token".to_owned(), Secret::new(access)), ("refresh_token".to_owned(), Secret::new(refresh.clone()))];
                let import = ImportConnection {
                    application: "bench".to_owned(),
                    values: values.into(),
                    expires_in: Some(LIFE),
                    ..ImportConnection::default()
                };
                (account.import(import).await.unwrap().id, refresh)
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
    provider.ask("reset");
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
    clock.1.fetch_add(i64::try_from(LIFE).unwrap() * 1000 - LEFT, Ordering::SeqCst);
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

pub async fn measure() -> Row {
    let many = many();
    let folder = tempfile::Builder::new().tempdir_in("target").unwrap();
    let provider = Provider::start();
    let (mine, other) = (folder.path().join("ours"), folder.path().join("theirs"));
    std::fs::create_dir(&mine).unwrap();
    std::fs::create_dir(&other).unwrap();
    let clock = Forward::default();
    let (smalt, _) = seed(&mine, &provider, many, &clock).await;
    let (theirs_seed, held) = seed(&other, &provider, many, &Forward::default()).await;
    theirs_seed.close().await;
    let (held, jobs, client) = (Arc::new(Mutex::new(held)), writer(&other.join("smalt.db")), client());
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(ours(&smalt, &clock, &provider, many).await);
        b.push(theirs(&jobs, &client, &provider, &held).await);
    }
    smalt.close().await;
    Row::at_least(
        "renew-ahead",
        "renewals ahead, 10,000 tokens ending together",
        median(a),
        "reqwest + rusqlite",
        median(b),
        "tokens/s",
        0.8,
    )
}
