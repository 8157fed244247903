//! three times what the server bears, and what becomes of its answers meanwhile and afterwards.
//!
//! The server is a process of its own with the limits that it has by default, but for the organisation's rate (one organisation stands for all that
//! are served here, and would be held to 2,000 calls a second). The generator is another process: prepared requests on open connections, and
//! of an answer it reads the status and the length.
//!
//! - **Capacity**: a closed loop of as many connections as requests may be under way; nothing is refused there.
//! - **Overload**: an open loop of three times that rate, on nearly as many connections as one address may have: whoever is due sends, whatever
//!   became of others. Times are from the moment of sending; what was sent later than it was due is told.
//! - **Recovery**: half of the capacity before and after, in windows of half a second, until one is as good as those before were.

use std::{
    io::Read,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Served, load::request, ours::APP, seed};
use crate::{
    report::{Row, percentile},
    small,
};

/// What may be under way at once by default.
const UNDER_WAY: usize = 1024;
/// One address may have 2,048.
const CONNECTIONS: usize = 2000;
const SESSIONS: usize = 500;
const TIMES: f64 = 3.0;
const WINDOW: Duration = Duration::from_millis(500);
/// The goal of the row: so long until it is as before.
const RECOVERY: f64 = 10.0;

/// What was answered, and when.
struct One {
    /// Since the phase began, in seconds.
    sent: f64,
    late: f64,
    /// `None`: the connection was closed without an answer.
    status: Option<u16>,
    took: f64,
}

/// A connection that takes any status.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8 * 1024) })
    }

    async fn ask(&mut self, request: &[u8]) -> Option<u16> {
        self.stream.write_all(request).await.ok()?;
        self.buffer.clear();
        let mut whole = None;
        loop {
            if whole.is_some_and(|whole| self.buffer.len() >= whole) {
                return std::str::from_utf8(&self.buffer[9..12]).ok()?.parse().ok();
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
            if whole.is_none()
                && let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let head = std::str::from_utf8(&self.buffer[..at]).ok()?.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
                whole = Some(at + 4 + length.trim().parse::<usize>().ok()?);
            }
        }
    }
}

/// For so long on so many connections: each sends its next request when it has its answer, or, with a rate, when the next one is due.
async fn phase(address: SocketAddr, requests: &Arc<Vec<Arc<[u8]>>>, connections: usize, rate: Option<f64>, lasts: Duration) -> Vec<One> {
    let mut wires = Vec::new();
    for _ in 0..connections {
        wires.push(Wire::open(address).await.expect("a connection"));
    }
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let tasks = wires.into_iter().map(|mut wire| {
        let (requests, next) = (requests.clone(), next.clone());
        tokio::spawn(async move {
            let mut all = Vec::new();
            loop {
                let n = next.fetch_add(1, Relaxed);
                let due = rate.map(|rate| began + Duration::from_secs_f64(n as f64 / rate));
                if due.unwrap_or_else(Instant::now) >= began + lasts {
                    return all;
                }
                if let Some(due) = due {
                    tokio::time::sleep_until(due.into()).await;
                }
                let sent = Instant::now();
                // What nobody could send before the end is not sent after it.
                if sent >= began + lasts + RUNNING_OVER {
                    return all;
                }
                let status = wire.ask(&requests[n % requests.len()]).await;
                let late = due.map_or(0.0, |due| sent.duration_since(due).as_secs_f64());
                all.push(One { sent: sent.duration_since(began).as_secs_f64(), late, status, took: sent.elapsed().as_secs_f64() });
                if status.is_none() {
                    match Wire::open(address).await {
                        Ok(again) => wire = again,
                        Err(_) => return all,
                    }
                }
            }
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    all
}

const RUNNING_OVER: Duration = Duration::from_millis(250);

fn share(all: &[One], of: impl Fn(&One) -> bool) -> f64 {
    all.iter().filter(|one| of(one)).count() as f64 / all.len().max(1) as f64
}

/// Of those that were served, in milliseconds.
fn p99(all: &[One]) -> f64 {
    let times: Vec<f64> = all.iter().filter(|one| one.status == Some(200)).map(|one| one.took * 1e3).collect();
    if times.is_empty() { f64::INFINITY } else { percentile(times, 0.99) }
}

/// Processor time of this process so far, in seconds.
fn spent() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // `utime` and `stime`, in hundredths on every Linux that there is.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The generator: `address` of the server, and the requests beside it in a file. Answers a line of JSON.
pub async fn generate(argument: &str) {
    let (address, file) = argument.split_once(' ').unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let tokens: Vec<String> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let target = format!("/api/v2/f-sdk/application/{APP}");
    let requests: Arc<Vec<Arc<[u8]>>> =
        Arc::new(tokens.iter().map(|token| request("GET", &target, &[("authorization", &format!("Bearer {token}"))], "")).collect());
    // Each session is known before many come at once, or they would count as guesses.
    let mut one = Wire::open(address).await.unwrap();
    for request in requests.iter() {
        assert_eq!(one.ask(request).await, Some(200));
    }
    let seconds = |full| Duration::from_secs_f64(small(full, 1) as f64);
    // The first second warms both up.
    phase(address, &requests, UNDER_WAY, None, Duration::from_secs(1)).await;
    let at_capacity = phase(address, &requests, UNDER_WAY, None, seconds(4)).await;
    let took = at_capacity.iter().map(|one| one.sent + one.took).fold(0.0, f64::max);
    let capacity = at_capacity.iter().filter(|one| one.status == Some(200)).count() as f64 / took;

    let half = capacity / 2.0;
    let before = phase(address, &requests, 256, Some(half), seconds(3)).await;
    let windows = |all: Vec<One>| {
        let mut windows: Vec<Vec<One>> = Vec::new();
        for one in all {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let at = (one.sent / WINDOW.as_secs_f64()) as usize;
            while windows.len() <= at {
                windows.push(Vec::new());
            }
            windows[at].push(one);
        }
        windows
    };
    let normal = windows(before).iter().map(|window| p99(window)).filter(|p99| p99.is_finite()).fold(0.0, f64::max);

    let (from, used) = (Instant::now(), spent());
    let over = phase(address, &requests, CONNECTIONS, Some(capacity * TIMES), seconds(8)).await;
    let generator = (spent() - used) / from.elapsed().as_secs_f64();
    let ended = Instant::now();

    let mut recovered = f64::INFINITY;
    while ended.elapsed().as_secs_f64() < RECOVERY * 2.0 {
        let window = phase(address, &requests, 256, Some(half), WINDOW).await;
        if p99(&window) <= normal && window.iter().all(|one| one.status == Some(200)) {
            recovered = ended.elapsed().as_secs_f64();
            break;
        }
    }
    let statuses = |status: u16| share(&over, |one| one.status == Some(status));
    let lasted = over.iter().map(|one| one.sent).fold(0.0, f64::max);
    println!(
        "{}",
        json!({
            "capacity": capacity, "refused_at_capacity": share(&at_capacity, |one| one.status != Some(200)), "p99_at_capacity": p99(&at_capacity),
            "normal": normal, "offered": over.len() as f64 / lasted, "served": statuses(200), "told_503": statuses(503), "told_429": statuses(429),
            "lost": over.iter().filter(|one| !matches!(one.status, Some(200 | 429 | 503))).count(),
            "p99": p99(&over), "late": percentile(over.iter().map(|one| one.late * 1e3).collect(), 0.99), "generator": generator,
            "recovered": if recovered.is_finite() { recovered } else { RECOVERY * 2.0 },
        })
    );
}

pub async fn measure() -> Vec<Row> {
    let folder = tempfile::Builder::new().tempdir_in("target").unwrap();
    let asked = seed(folder.path(), SESSIONS).await;
    let tokens: Vec<&String> = asked.sessions.iter().map(|(_, token, _)| token).collect();
    let file = folder.path().join("tokens");
    std::fs::write(&file, serde_json::to_vec(&tokens).unwrap()).unwrap();
    let server = Served::start_with("http-limited", folder.path().to_str().unwrap(), true);
    let said = run(server.address, &file);
    let number = |name: &str| said[name].as_f64().unwrap_or_else(|| panic!("`{name}`: {said}"));
    println!(
        "  capacity {:.0} calls/s with {UNDER_WAY} under way ({:.1} % refused), p99 {:.0} ms; half of it, p99 {:.1} ms",
        number("capacity"),
        number("refused_at_capacity") * 100.0,
        number("p99_at_capacity"),
        number("normal"),
    );
    println!(
        "  offered {:.0} calls/s ({:.1} times the capacity; due ones went out at most {:.0} ms late, p99): {:.1} % served, {:.1} % told 503, {:.1} % told 429; \
         the generator took {:.2} of a core",
        number("offered"),
        number("offered") / number("capacity"),
        number("late"),
        number("served") * 100.0,
        number("told_503") * 100.0,
        number("told_429") * 100.0,
        number("generator"),
    );
    let shed = (number("told_503") + number("told_429")) * 100.0;
    vec![
        Row::at_most(
            "overload-p99",
            "p99 of what is served above the capacity",
            number("p99"),
            "at capacity",
            number("p99_at_capacity"),
            "ms",
            3.0,
        ),
        Row::floor("overload-shed", "told 429 or 503 meanwhile", shed, 1.0, "%"),
        Row::budget("overload-lost", "neither served nor told so", number("lost"), 0.0, "calls"),
        Row::budget("overload-recovery", "until p99 is as before, after its end", number("recovered"), RECOVERY, "s"),
    ]
}

/// The generator, with file handles for its connections.
fn run(address: SocketAddr, file: &Path) -> Value {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 65536 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["http-generator", &format!("{address} {}", file.display()), ""])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    serde_json::from_str(said.trim()).unwrap()
}
