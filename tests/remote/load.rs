//! Many calls of one handle at once.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use smalt::{
    Code, Smalt,
    remote::{MOST_CALLS, MOST_WAITING, Retries},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::server::capabilities;

/// What a server counts that answers each call, or none until it is told to.
#[derive(Default)]
struct Counted {
    open: AtomicUsize,
    most: AtomicUsize,
    /// The accounts that were asked for, as they came.
    order: Mutex<Vec<usize>>,
}

struct Server {
    url: String,
    counted: Arc<Counted>,
    answers: watch::Sender<bool>,
}

impl Server {
    async fn start(answers: bool) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (counted, answers) = (Arc::new(Counted::default()), watch::Sender::new(answers));
        let (noted, told) = (counted.clone(), answers.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, told) = (noted.clone(), told.subscribe());
                tokio::spawn(async move {
                    noted.most.fetch_max(noted.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let _ = serve(stream, &noted, told).await;
                    noted.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Server { url, counted, answers }
    }

    fn client(&self, timeout: Duration) -> Smalt {
        let remote = Smalt::remote(&self.url).api_key("tk").no_proxy().retries(Retries::none());
        remote.timeout(timeout).attempt_timeout(timeout).open().unwrap()
    }

    fn order(&self) -> Vec<usize> {
        self.counted.order.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, counted: &Counted, mut told: watch::Receiver<bool>) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    loop {
        let (mut first, mut length, mut line) = (String::new(), 0, String::new());
        stream.read_line(&mut first).await?;
        while stream.read_line(&mut line).await? > 2 {
            length = line.to_ascii_lowercase().strip_prefix("content-length: ").map_or(length, |text| text.trim().parse().unwrap());
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let answer = if first.contains("/capabilities") {
            capabilities()
        } else {
            let asked: Value = serde_json::from_slice(&body)?;
            let id = asked["account"].as_str().unwrap_or_default();
            counted.order.lock().unwrap().push(id.parse().unwrap());
            if told.wait_for(|answers| *answers).await.is_err() {
                return Ok(());
            }
            json!({
                "id": id, "record_id": "r", "environment": "test", "name": null, "properties": {},
                "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z"
            })
        }
        .to_string();
        let head = format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all(format!("{head}{answer}").as_bytes()).await?;
        stream.flush().await?;
    }
}

fn get(smalt: &Smalt, number: usize) -> impl Future<Output = Result<String, Code>> + Send + use<> {
    let account = smalt.account(number.to_string());
    async move { account.get().await.map(|account| account.id).map_err(|error| error.code()) }
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The sockets are bounded, nobody is lost, and nobody is overtaken by many who came later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_of_one_handle() {
    let server = Server::start(true).await;
    let smalt = server.client(Duration::from_secs(300));
    assert_eq!(get(&smalt, 0).await.unwrap(), "0");
    let mut calls = JoinSet::new();
    let count = 10_000;
    // Polled once each, in this order, by one task; so they come in this order.
    let (mut begun, mut ids) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let mut call = Box::pin(get(&smalt, number));
        tokio::select! { biased; ended = &mut call => ids.push(ended), () = std::future::ready(()) => begun.push(call) }
    }
    for call in begun {
        calls.spawn(call);
    }
    while let Some(ended) = calls.join_next().await {
        ids.push(ended.unwrap());
    }
    let mut ids: Vec<usize> = ids.into_iter().map(|id| id.unwrap().parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=count).collect::<Vec<_>>());
    let most = server.counted.most.load(Ordering::SeqCst);
    assert!(most <= 2 * MOST_CALLS, "{most} connections at once");
    for (at, number) in server.order().into_iter().enumerate() {
        assert!(at.abs_diff(number) <= 4 * MOST_CALLS, "number {number} came as number {at}");
    }
}

/// Those who go away free their places, whether they had one or waited for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_free_their_places() {
    let server = Server::start(false).await;
    let smalt = server.client(Duration::from_secs(300));
    let mut calls = JoinSet::new();
    let handles: Vec<_> = (0..10 * MOST_CALLS).map(|number| calls.spawn(get(&smalt, number))).collect();
    until(|| server.order().len() == MOST_CALLS).await;
    // Those who wait go first: a place that comes free while they are there is theirs.
    let sent = server.order();
    handles.iter().enumerate().filter(|(number, _)| !sent.contains(number)).for_each(|(_, handle)| handle.abort());
    for _ in sent.len()..handles.len() {
        assert!(calls.join_next().await.unwrap().unwrap_err().is_cancelled());
    }
    calls.shutdown().await;
    // Nobody who waited was sent.
    assert_eq!(server.order(), sent);
    server.answers.send_replace(true);
    for number in 0..MOST_CALLS {
        calls.spawn(get(&smalt, number));
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap().unwrap();
    }
    assert_eq!(server.order().len(), 2 * MOST_CALLS);
    // Connections of calls that were cancelled are closed.
    until(|| server.counted.open.load(Ordering::SeqCst) <= MOST_CALLS).await;
}

/// The queue has an end: who would be behind it is told so at once. And a wait ends with the call's time; it was not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_has_an_end() {
    let server = Server::start(false).await;
    let smalt = server.client(Duration::from_secs(300));
    let full = MOST_CALLS + MOST_WAITING;
    let mut calls = JoinSet::new();
    for number in 0..full + 10 {
        calls.spawn(get(&smalt, number));
    }
    for _ in 0..10 {
        assert_eq!(calls.join_next().await.unwrap().unwrap(), Err(Code::Overloaded));
    }
    until(|| server.order().len() == MOST_CALLS).await;
    server.answers.send_replace(true);
    let mut good = 0;
    while let Some(ended) = calls.join_next().await {
        good += usize::from(ended.unwrap().is_ok());
    }
    assert_eq!(good, full);

    let server = Server::start(false).await;
    let smalt = server.client(Duration::from_secs(5));
    for number in 0..2 * MOST_CALLS {
        calls.spawn(get(&smalt, number));
    }
    let mut codes = Vec::new();
    while let Some(ended) = calls.join_next().await {
        codes.push(ended.unwrap().unwrap_err());
    }
    let sent = server.order().len();
    assert!(sent >= 1 && codes.iter().filter(|code| **code == Code::ServerTimeout).count() >= sent.min(MOST_CALLS), "{sent}: {codes:?}");
    assert!(codes.iter().all(|code| [Code::ServerTimeout, Code::Overloaded].contains(code)), "{codes:?}");
}
