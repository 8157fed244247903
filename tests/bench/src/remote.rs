//! The remote backend: beside a bare client that sends the same and reads the same types, and what waiting calls cost.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use serde_json::json;
use smalt::{
    Smalt,
    backend::{GetAccount, WaitFlow},
    model::LinkedAccount,
    remote::{MOST_CALLS, Retries},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use crate::{
    http::Served,
    report::{Row, median},
    small,
};

const AT_ONCE: usize = 64;
const ROUNDS: usize = 7;

fn calls() -> usize {
    small(20_000, 500)
}

fn waiting() -> usize {
    small(10_000, 200)
}

/// Calls in a second, by so many tasks at once.
async fn rate<F: Future<Output = LinkedAccount> + Send>(call: impl Fn(usize) -> F + Clone + Send + 'static) -> f64 {
    let count = calls();
    let from = Instant::now();
    let tasks = (0..AT_ONCE).map(|task| {
        let call = call.clone();
        tokio::spawn(async move {
            for n in (task..count).step_by(AT_ONCE) {
                assert!(call(n).await.id.starts_with("account-"));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    count as f64 / from.elapsed().as_secs_f64()
}

/// Against the same server, which is a process of its own; `account` names its linked accounts.
pub async fn beside_reqwest(address: SocketAddr, key: &str, accounts: usize, account: fn(usize) -> String) -> Row {
    let url = format!("http://{address}");
    let smalt = Smalt::remote(&url).api_key(key).no_proxy().open().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bare = reqwest::Client::builder().no_proxy().tcp_nodelay(true).redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let (target, key) = (Arc::<str>::from(format!("{url}/smalt/v1/get_account")), Arc::<str>::from(key));
    let ours = move |n: usize| {
        let account = smalt.account(account(n % accounts));
        async move { account.get().await.unwrap() }
    };
    let theirs = move |n: usize| {
        let (bare, target, key, body) = (bare.clone(), target.clone(), key.clone(), json!({"account": account(n % accounts)}).to_string());
        async move {
            let request = bare.post(&*target).header("x-api-key", &*key).header("content-type", "application/json").body(body);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
        }
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    // The first turn warms both up.
    for round in 0..=small(ROUNDS, 1) {
        let (mine, other) = (rate(ours.clone()).await, rate(theirs.clone()).await);
        if round > 0 {
            a.push(mine);
            b.push(other);
        }
    }
    Row::at_least("remote-calls", "remote reads, 64 at once", median(a), "reqwest + serde", median(b), "calls/s", 0.9)
}

/// Serves what a remote backend asks first, and lets everything else wait. Says how many wait, a line each time that somebody asks.
pub async fn serve_silence() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let waiting = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let waiting = waiting.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let head = String::from_utf8_lossy(&head);
            let body = match head.split(' ').nth(1).unwrap_or_default() {
                "/smalt/v1/capabilities" => {
                    let names: Vec<&str> = smalt::operations::Operation::ALL.iter().map(|operation| operation.row().name).collect();
                    json!({"backend": "embedded", "version": "0", "operations": names, "workflows": false, "presenter": false}).to_string()
                }
                "/waiting" => waiting.load(std::sync::atomic::Ordering::SeqCst).to_string(),
                _ => {
                    waiting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    // Until the client goes.
                    while stream.read_u8().await.is_ok() {}
                    return;
                }
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

/// Resident memory of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

async fn asked(address: &str, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said.rsplit("\r\n\r\n").next().unwrap().to_owned()
}

/// The child that waits: so many calls at once, to a server that does not answer. Says how much memory they took.
/// `remote-calls` are such as wait for a place once so many are under way, `remote-waits` such as have a connection each, `remote-bare` the
/// latter by the peer.
pub async fn wait(role: &str, address: &str) {
    let smalt = Smalt::remote(format!("http://{address}")).api_key("tk").no_proxy().retries(Retries::none()).open().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bare = reqwest::Client::builder().no_proxy().build().unwrap();
    let target = format!("http://{address}/smalt/v1/wait_flow");
    let begin = |n: usize| {
        let (backend, caller) = (smalt.backend().clone(), smalt::backend::Caller::Organisation("bench".into()));
        let account = format!("account-{n}");
        match role {
            "remote-calls" => tokio::spawn(async move { backend.get_account(&caller, GetAccount { account }).await.map(drop).is_ok() }),
            "remote-waits" => {
                let request = WaitFlow { account, flow: "0123456789abcdef01234567".into(), timeout: None };
                tokio::spawn(async move { backend.wait_flow(&caller, request).await.map(drop).is_ok() })
            }
            _ => {
                let body = json!({"account": account, "flow": "0123456789abcdef01234567"}).to_string();
                let request = bare.post(&target).header("x-api-key", "tk").header("content-type", "application/json").body(body);
                tokio::spawn(async move { request.send().await.map(drop).is_ok() })
            }
        }
    };
    // What a first call brings along is not what a call costs.
    let first = begin(0);
    while asked(address, "/waiting").await != "1" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let before = resident();
    let calls: Vec<_> = (1..=waiting()).map(begin).collect();
    let sent = if role == "remote-calls" { waiting().min(MOST_CALLS - 1) } else { waiting() };
    while asked(address, "/waiting").await.parse::<usize>().unwrap() <= sent {
        assert!(!calls.iter().any(tokio::task::JoinHandle::is_finished), "a call has ended");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    println!("{}", resident() - before);
    calls.into_iter().for_each(|call| call.abort());
    first.abort();
}

pub async fn memory() -> Vec<Row> {
    let calls = format!("memory of {} calls at once, {MOST_CALLS} of them sent", waiting());
    let waits = format!("memory of {} waits at once, a connection each", waiting());
    let (ours, bare) = (taken("remote-waits").await, taken("remote-bare").await);
    vec![
        Row::budget("remote-waiting", &calls, taken("remote-calls").await, 40.0, "MiB"),
        Row::budget("remote-waits", &waits, ours, 40.0, "MiB"),
        Row::at_most("remote-waits-beside", &waits, ours, "reqwest", bare, "MiB", 1.5),
    ]
}

/// What the calls of this role take, in MiB. Each side is a process of its own with file handles for all: a wait holds a connection over HTTP/1.
async fn taken(role: &str) -> f64 {
    let server = Served::start_with("remote-silence", "-", true);
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", "ulimit -n 65536 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([role, &server.address.to_string(), ""])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).await.unwrap();
    assert!(child.wait().await.unwrap().success());
    said.trim().parse().unwrap()
}
