//! Many clients at once, good and bad ones.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use smalt::model::Json;
use smalt_server::{ApiOptions, Limits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
    task::JoinSet,
};

use crate::{
    sockets::{HANG, Serving, serve},
    world::World,
};

/// The first figure, or with `SMALT_FULL=1` the second.
fn size(first: usize, full: usize) -> usize {
    if std::env::var_os("SMALT_FULL").is_some() { full } else { first }
}

/// Both ends of each connection are in this process.
fn raise_handles(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let wanted = (connections * 2 + 512) as u64;
    if now.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: now.maximum }).expect("enough file handles: ulimit -n");
    }
}

/// The row's five ways to be slow, many of each, and one good client in the midst of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s61_a_thousand_stalled_clients_are_all_cut() {
    let count = size(50, 1000);
    raise_handles(count);
    let world = World::with(ApiOptions::default(), |project| project.server.body_time = 2.0).await;
    let limits = Limits { head_time: Some(Duration::from_secs(2)), connections_per_address: usize::MAX, ..Limits::default() };
    let serving = serve(world.api.clone(), limits).await;
    let ways: [&[u8]; 5] = [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nx: ",
        b"POST /smalt/v1/events HTTP/1.1\r\nhost: smalt\r\ncontent-length: 100\r\n\r\n{",
        b"POST /smalt/v1/events HTTP/1.1\r\nhost: smalt\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[",
    ];
    let mut stalled = Vec::new();
    for at in 0..count {
        let mut stream = serving.open().await;
        stream.write_all(ways[at % ways.len()]).await.unwrap();
        stalled.push(stream);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let good = {
        let (is_over, address) = (is_over.clone(), serving.address);
        tokio::spawn(async move {
            let mut answered = 0;
            while !is_over.load(Relaxed) || answered < 5 {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: smalt\r\nconnection: close\r\n\r\n").await.unwrap();
                assert!(Serving::rest(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
                answered += 1;
            }
            answered
        })
    };
    for (at, mut stream) in stalled.into_iter().enumerate() {
        let said = Serving::rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{at}: {said}");
    }
    is_over.store(true, Relaxed);
    assert!(good.await.unwrap() >= 5);
    serving.end().await;
}

/// More connections than there are places wait, nobody runs out of file handles, and when the flood is gone, all is as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s62_a_flood_of_connections_leaves_no_trace() {
    let count = size(250, 5000);
    raise_handles(count);
    let world = World::new().await;
    let places = count / 4;
    let limits = Limits { connections: places, connections_per_address: usize::MAX, ..Limits::default() };
    let serving = serve(world.api.clone(), limits).await;
    let mut flood = Vec::new();
    for _ in 0..count {
        // The system's own queue may be full: then a connect waits, and is given up here.
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(serving.address)).await {
            flood.push(stream);
        } else {
            break;
        }
    }
    assert!(flood.len() > places);
    let open = || {
        let text = world.api.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix("smalt_connections ")).unwrap().to_owned();
        line.parse::<usize>().unwrap()
    };
    assert!(open() <= places, "{}", open());
    drop(flood);
    let since = Instant::now();
    let answered = tokio::time::timeout(HANG, serving.get()).await.expect("it recovers");
    assert!(answered.starts_with("HTTP/1.1 200 OK\r\n"));
    // Shown, not asserted: how long it takes says more of the machine. `make reliability` prints it.
    eprintln!("S-62: {} ms after the flood until the first good answer", since.elapsed().as_millis());
    // All places are free again, not one of them alone.
    let empty = async {
        while open() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, empty).await.expect("nobody holds a place");
    serving.end().await;
}

/// Three times what it bears at once: what is taken is answered, the rest is told so at once, and afterwards nothing is left of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r71_overload_is_shed_and_passes() {
    let world = Arc::new(World::with(ApiOptions::default(), |project| project.server.requests = 4).await);
    let session = world.account("ada").await;
    let rounds = size(50, 2000);
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (gate, mut callers) = (Arc::new(Barrier::new(32)), JoinSet::new());
    for _ in 0..32 {
        let (world, session, counts, gate) = (world.clone(), session.clone(), counts.clone(), gate.clone());
        callers.spawn(async move {
            gate.wait().await;
            for _ in 0..rounds {
                let said = world.call("GET", "/api/v2/f-sdk/application", &[("authorization", &session)], Json::Null).await;
                match said.status {
                    200 => counts[0].fetch_add(1, Relaxed),
                    503 => {
                        assert!(said.header("retry-after") == "1" && said.json()["code"] == "overloaded", "{}", said.text);
                        counts[1].fetch_add(1, Relaxed)
                    }
                    status => panic!("{status}: {}", said.text),
                };
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let [answered, shed] = [counts[0].load(Relaxed), counts[1].load(Relaxed)];
    assert!(answered > 0 && shed > 0 && answered + shed == 32 * rounds, "{answered} {shed}");
    for _ in 0..20 {
        world.call("GET", "/api/v2/f-sdk/application", &[("authorization", &session)], Json::Null).await.expect(200);
    }
    assert!(world.api.metrics().contains("smalt_http_requests_under_way 0\n"));
}

/// A client that keeps its connection, and reads answers by their length.
struct Kept {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Kept {
    async fn open(address: SocketAddr) -> Kept {
        Kept { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    async fn send(&mut self, method: &str, target: &str, (name, value): (&str, &str), body: &str) {
        let length = body.len();
        let ask = format!("{method} {target} HTTP/1.1\r\nhost: smalt\r\n{name}: {value}\r\ncontent-length: {length}\r\n\r\n{body}");
        self.stream.write_all(ask.as_bytes()).await.unwrap();
    }

    /// The next answer, whole: status, `retry-after`, body.
    async fn answer(&mut self) -> (u16, Option<u64>, String) {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
                let line = |name: &str| {
                    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(|text| text.parse::<u64>().unwrap())
                };
                let length = usize::try_from(line("content-length").expect("a length")).unwrap();
                if self.buffer.len() >= end + 4 + length {
                    let body = String::from_utf8(self.buffer[end + 4..end + 4 + length].to_vec()).unwrap();
                    self.buffer.drain(..end + 4 + length);
                    return (head[9..12].parse().unwrap(), line("retry-after"), body);
                }
            }
            let read = tokio::time::timeout(HANG, self.stream.read_buf(&mut self.buffer)).await.expect("an answer").unwrap();
            assert!(read > 0, "the connection is closed without an answer");
        }
    }

    async fn ask(&mut self, target: &str, header: (&str, &str)) -> (u16, Option<u64>, String) {
        self.send("GET", target, header, "").await;
        self.answer().await
    }
}

const APPLICATION: &str = "/api/v2/f-sdk/application/sandbox-key";

/// What is refused is told when to come back, and is not done.
fn is_shed(said: &(u16, Option<u64>, String)) -> bool {
    let (status, retry_after, body) = said;
    let code = serde_json::from_str::<Json>(body).unwrap()["code"].clone();
    match status {
        200 => return false,
        429 => assert_eq!(code, "rate_limited"),
        503 => assert_eq!(code, "overloaded"),
        _ => panic!("{said:?}"),
    }
    assert!(retry_after.is_some_and(|seconds| seconds >= 1), "{said:?}");
    true
}

/// As many requests as are allowed hang: each that comes beside them is told 503, but for those that ask whether the server lives. Then they
/// go away, and the same connections are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r71_a_server_that_is_full_says_so_and_serves_again() {
    const MOST: usize = 4;
    let world = World::with(ApiOptions::default(), |project| project.server.requests = MOST).await;
    let session = world.account("ada").await;
    world.connect_key(&session).await.expect(200);
    let config = json!({"slug": "sandbox-key", "workflows": [{"id": "digest", "enabled": true}]});
    world.call("POST", "/api/v2/f-sdk/config", &[("authorization", &session)], config).await.expect(200);
    let serving = serve(world.api.clone(), Limits::default()).await;
    let run = json!({"account": "ada", "application": "sandbox-key", "workflow": "digest", "payload": {"hang": true}}).to_string();
    let under_way = async |count: usize| {
        let line = format!("smalt_http_requests_under_way {count}\n");
        let wait = async {
            while !world.api.metrics().contains(&line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANG, wait).await.unwrap_or_else(|_| panic!("{count} are under way"));
    };
    let own = ("authorization", &*session);
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(Kept::open(serving.address).await);
    }
    for _ in 0..size(3, 50) {
        let mut hanging = Vec::new();
        for _ in 0..MOST {
            let mut one = Kept::open(serving.address).await;
            one.send("POST", "/smalt/v1/run_workflow", ("x-api-key", &world.key), &run).await;
            hanging.push(one);
        }
        under_way(MOST).await;
        for other in &mut others {
            assert!(is_shed(&other.ask(APPLICATION, own).await), "there is no room");
            assert_eq!(other.ask("/healthz", own).await.0, 200);
        }
        drop(hanging);
        for other in &mut others {
            let served = async {
                while is_shed(&other.ask(APPLICATION, own).await) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(HANG, served).await.expect("it is served again");
        }
        // Else the next ones would find some of these in their places.
        under_way(0).await;
    }
    drop(others);
    serving.end().await;
}

/// Over sockets, more connections than there are places, more requests at once than are allowed, and one session that asks far more often than
/// it may: each request has one answer, a good one is the right one, and all others say when to come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r71_more_than_it_bears_is_answered_or_told_when_to_come_again() {
    const CALLERS: usize = 48;
    let world = World::with(ApiOptions::default(), |project| {
        project.server.requests = 4;
        // The reading of one application counts as a poll.
        project.server.rates.polls = 60;
    })
    .await;
    let (ada, eager) = (world.account("ada").await, world.account("eager").await);
    let right = world.call("GET", APPLICATION, &[("authorization", &ada)], Json::Null).await.expect(200).text;
    let places = Limits { connections: CALLERS / 2, ..Limits::default() };
    let serving = serve(world.api.clone(), places).await;
    let rounds = size(40, 1500);
    let (gate, mut callers) = (Arc::new(Barrier::new(CALLERS)), JoinSet::new());
    for n in 0..CALLERS {
        let (gate, address, right) = (gate.clone(), serving.address, right.clone());
        // A quarter are those of the eager one; the rest are the organisation's, whose rate has no limit here.
        let is_eager = n % 4 == 0;
        let header = if is_eager { ("authorization", eager.clone()) } else { ("x-api-key", world.key.clone()) };
        let target = format!("{APPLICATION}?linked_account_id={}", if is_eager { "eager" } else { "ada" });
        callers.spawn(async move {
            gate.wait().await;
            let mut kept = Kept::open(address).await;
            let mut counts = [0; 3];
            for _ in 0..rounds {
                let said = kept.ask(&target, (header.0, &header.1)).await;
                if !is_shed(&said) {
                    assert_eq!(said.2, right, "it is the right one");
                }
                assert!(is_eager || said.0 != 429, "one caller's rate is not another's: {said:?}");
                counts[match said.0 {
                    200 => 0,
                    429 => 1,
                    _ => 2,
                }] += 1;
            }
            counts
        });
    }
    let mut all = [0; 3];
    while let Some(counts) = callers.join_next().await {
        counts.unwrap().iter().zip(&mut all).for_each(|(count, all)| *all += count);
    }
    let [answered, limited, shed] = all;
    assert!(answered > 0 && limited > 0 && shed > 0 && answered + limited + shed == CALLERS * rounds, "{all:?}");
    // Nothing is left of it, without a restart.
    let metrics = world.api.metrics();
    assert!(metrics.contains("smalt_http_requests_under_way 0\n"), "{metrics}");
    let mut kept = Kept::open(serving.address).await;
    for _ in 0..20 {
        assert_eq!(kept.ask(&format!("{APPLICATION}?linked_account_id=ada"), ("x-api-key", &world.key)).await.2, right);
    }
    drop(kept);
    serving.end().await;
}

/// Whatever was asked before the stop is answered whole; who stalls, or comes later, does not hold it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r72_a_stop_under_load_drops_nothing() {
    for _ in 0..size(3, 50) {
        let world = World::new().await;
        let session = world.account("ada").await;
        let limits = Limits { stop_time: Duration::from_secs(3), ..Limits::default() };
        let serving = serve(world.api.clone(), limits).await;
        let mut stalled = Vec::new();
        for begun in [&b""[..], b"G", b"GET / HTTP/1.1\r\nx: "] {
            let mut stream = serving.open().await;
            stream.write_all(begun).await.unwrap();
            stalled.push(stream);
        }
        let asked = Arc::new(Barrier::new(33));
        let mut callers = JoinSet::new();
        for _ in 0..32 {
            let (address, session, asked) = (serving.address, session.clone(), asked.clone());
            callers.spawn(async move {
                let ask = format!(
                    "GET /api/v2/f-sdk/application HTTP/1.1\r\nhost: smalt\r\nauthorization: {session}\r\nconnection: close\r\n\r\n"
                );
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(ask.as_bytes()).await.unwrap();
                asked.wait().await;
                let mut said = Vec::new();
                tokio::time::timeout(HANG, stream.read_to_end(&mut said)).await.expect("an end").expect("a good one");
                let said = String::from_utf8(said).unwrap();
                assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with(']'), "{said}");
            });
        }
        asked.wait().await;
        serving.end().await;
        while let Some(done) = callers.join_next().await {
            done.unwrap();
        }
        drop(stalled);
    }
}
