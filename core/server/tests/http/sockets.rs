//! What only shows over a socket: slow clients, heads that are too large, and the end.

use std::{net::SocketAddr, time::Duration};

use smalt_server::{Api, ApiOptions, Limits, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use crate::world::World;

/// Far longer than any limit of these tests, and so a hang, not a slow machine.
pub const HANG: Duration = Duration::from_secs(60);

pub struct Serving {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
}

pub async fn serve(api: Api, limits: Limits) -> Serving {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(server.serve(api, async {
        let _ = stopped.await;
    }));
    Serving { address, stop, done }
}

fn short() -> Limits {
    Limits { head_time: Some(Duration::from_millis(300)), stop_time: Duration::from_secs(5), ..Limits::default() }
}

impl Serving {
    pub async fn open(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Everything that comes until the server ends the connection.
    pub async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(HANG, stream.read_to_end(&mut bytes)).await.expect("the server ends the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub async fn get(&self) -> String {
        let mut stream = self.open().await;
        stream.write_all(b"GET /smalt/v1/capabilities HTTP/1.1\r\nhost: smalt\r\nconnection: close\r\n\r\n").await.unwrap();
        Self::rest(&mut stream).await
    }

    pub async fn end(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(HANG, self.done).await.expect("the server ends").unwrap();
        assert!(TcpStream::connect(self.address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn s61_slow_clients_are_cut_and_others_are_served_meanwhile() {
    let world = World::with(ApiOptions::default(), |project| project.server.body_time = 0.3).await;
    let serving = serve(world.api.clone(), short()).await;
    let mut silent = serving.open().await;
    let mut one_byte = serving.open().await;
    one_byte.write_all(b"G").await.unwrap();
    let mut dripping = serving.open().await;
    dripping.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut stalled = serving.open().await;
    stalled.write_all(b"POST /smalt/v1/events HTTP/1.1\r\nhost: smalt\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    let mut chunks = serving.open().await;
    chunks.write_all(b"POST /smalt/v1/events HTTP/1.1\r\nhost: smalt\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    assert!(serving.get().await.starts_with("HTTP/1.1 200 OK\r\n"));

    let drip = async |stream: &mut TcpStream, drop: &[u8]| {
        // Each drop comes well within any limit on silence; only a limit on the whole ends this.
        for _ in 0..10_000 {
            if stream.write_all(drop).await.is_err() {
                return;
            }
            let mut answer = [0; 1];
            match tokio::time::timeout(Duration::from_millis(20), stream.peek(&mut answer)).await {
                Ok(_) => return,
                Err(_) => continue,
            }
        }
        panic!("nobody ended it");
    };
    drip(&mut dripping, b"x: y\r\n").await;
    drip(&mut chunks, b"1\r\n \r\n").await;
    for stream in [&mut silent, &mut one_byte, &mut dripping] {
        Serving::rest(stream).await;
    }
    for stream in [&mut stalled, &mut chunks] {
        let said = Serving::rest(stream).await;
        assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n") && said.contains("\"message\""), "{said}");
    }
    assert!(serving.get().await.starts_with("HTTP/1.1 200 OK\r\n"));
    serving.end().await;
}

/// A head that is a little too large is answered in words; one that nobody reads to its end without.
#[tokio::test]
async fn s60_a_head_that_is_too_large_is_refused() {
    let world = World::with(ApiOptions::default(), |project| project.server.head_size = 8192).await;
    let serving = serve(world.api.clone(), Limits { head_size: 8192, ..Limits::default() }).await;
    let lines: String = (0..90).map(|at| format!("x-{at}: y\r\n")).collect();
    for (more, in_words) in
        [(format!("x-long: {}\r\n", "x".repeat(9000)), true), (lines, true), (format!("x-long: {}\r\n", "x".repeat(64 * 1024)), false)]
    {
        let mut stream = serving.open().await;
        let head = format!("GET /smalt/v1/capabilities HTTP/1.1\r\nhost: smalt\r\nconnection: close\r\n{more}\r\n");
        // The server may close while the head is still being written.
        let _ = stream.write_all(head.as_bytes()).await;
        let said = Serving::rest(&mut stream).await;
        if in_words {
            assert!(said.starts_with("HTTP/1.1 431 ") && said.contains("HEADERS_TOO_LARGE") && said.contains("\"message\""), "{said}");
        } else {
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
        }
    }
    assert!(serving.get().await.starts_with("HTTP/1.1 200 OK\r\n"));
    serving.end().await;
}

#[tokio::test]
async fn idle_and_old_connections_are_closed_and_a_new_one_is_served() {
    let world = World::new().await;
    for limits in [
        Limits { idle_time: Some(Duration::from_millis(200)), ..Limits::default() },
        Limits { connection_time: Some(Duration::from_millis(200)), ..Limits::default() },
    ] {
        let serving = serve(world.api.clone(), limits).await;
        let mut stream = serving.open().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: smalt\r\n\r\n").await.unwrap();
        let said = Serving::rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.matches("HTTP/1.1").count() == 1, "{said}");
        assert!(serving.get().await.starts_with("HTTP/1.1 200 OK\r\n"));
        serving.end().await;
    }
}

/// Somebody who asks and never reads has taken a place until the write's time is over.
#[tokio::test]
async fn s61_a_client_that_takes_nothing_of_its_answers_is_cut() {
    let world = World::new().await;
    let limits = Limits { write_time: Some(Duration::from_millis(300)), ..Limits::default() };
    let serving = serve(world.api.clone(), limits).await;
    let mut stream = serving.open().await;
    // Far more answers than the sockets' buffers hold; the server stops reading, so that writing fails in the end.
    let ask = b"GET /smalt/v1/openapi.json HTTP/1.1\r\nhost: smalt\r\n\r\n".repeat(64);
    let cut = async {
        while stream.write_all(&ask).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, cut).await.expect("the server ends the connection");
    assert!(serving.get().await.starts_with("HTTP/1.1 200 OK\r\n"));
    serving.end().await;
}

#[tokio::test]
async fn s62_one_address_cannot_take_all_places() {
    let world = World::new().await;
    let limits = Limits { connections_per_address: 3, ..Limits::default() };
    let serving = serve(world.api.clone(), limits.clone()).await;
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: smalt\r\n\r\n").await.ok()?;
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.ok()
    };
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = serving.open().await;
        ask(&mut stream).await.expect("there is room");
        open.push(stream);
    }
    let mut crowded = serving.open().await;
    assert_eq!(ask(&mut crowded).await, None, "closed without an answer");
    assert!(world.api.metrics().lines().any(|line| line == "smalt_connections_refused_total 1"), "{}", world.api.metrics());
    // One that ends makes room; the server notices that in its own time.
    drop(open.pop());
    loop {
        let mut stream = serving.open().await;
        if ask(&mut stream).await.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(open);
    serving.end().await;
    // A listed proxy speaks for many.
    let proxies = vec![smalt::project::AddressRange::parse("127.0.0.0/8").unwrap()];
    let serving = serve(world.api.clone(), Limits { proxies, ..limits }).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut stream = serving.open().await;
        ask(&mut stream).await.expect("there is room");
        open.push(stream);
    }
    drop(open);
    serving.end().await;
}

/// Messages that two readers could read in two ways (S-69). One is answered at most, and then the connection ends.
#[tokio::test]
async fn s69_ambiguous_messages_are_refused() {
    let world = World::new().await;
    let serving = serve(world.api.clone(), short()).await;
    let post = "POST /smalt/v1/nothing HTTP/1.1\r\nhost: smalt\r\n";
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: smalt\r\n\r\n";
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n");
    // Refused before anything is answered as a request of ours.
    for message in [
        format!("{post}x-folded: a\r\n b\r\n\r\n"),
        format!("{post}content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
        format!("{post}content-length: 5, 6\r\n\r\nhello!"),
        format!("{post}content-length: +5\r\n\r\nhello"),
        format!("{post}content-length: -1\r\n\r\n{smuggled}"),
        format!("{post}transfer-encoding: identity, x\r\n\r\n{smuggled}"),
        "POST /x HTTP/1.1\r\nhost : smalt\r\n\r\n".to_owned(),
        format!("{chunked}zz\r\n{smuggled}"),
        format!("{chunked}fffffffffffffffff\r\n{smuggled}"),
        format!("{chunked}2\r\nabcdef\r\n0\r\n\r\n{smuggled}"),
    ] {
        let mut stream = serving.open().await;
        let _ = stream.write_all(message.as_bytes()).await;
        let said = Serving::rest(&mut stream).await;
        let refused = said.is_empty() || said.starts_with("HTTP/1.1 400 ") || said.starts_with("HTTP/1.1 408 ");
        assert!(refused && said.matches("HTTP/1.1 ").count() <= 1, "{message:?}: {said}");
    }
    // Hyper's own way with these: read as the strict one would, or answered once and closed.
    for message in [
        format!("{post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST /smalt/v1/nothing HTTP/1.1\nhost: smalt\ncontent-length: 0\n\n{smuggled}"),
    ] {
        let mut stream = serving.open().await;
        let _ = stream.write_all(message.as_bytes()).await;
        let said = Serving::rest(&mut stream).await;
        let answers: Vec<&str> = said.match_indices("HTTP/1.1 ").map(|(at, _)| &said[at + 9..at + 12]).collect();
        let is_once = answers.len() <= 1;
        // The strict reading: both are whole requests, the second of them ours.
        let is_strict = answers == ["401", "200"];
        assert!(is_once || is_strict, "{message:?}: {answers:?} {said}");
    }
    assert!(serving.get().await.starts_with("HTTP/1.1 200 OK\r\n"));
    serving.end().await;
}

/// What can be read as a request is answered as any error is, with all of its keys; what cannot never comes to us, and is answered by the HTTP
/// library with a status alone. The connection ends with it. `docs/http-api.md` says so.
#[tokio::test]
async fn what_is_no_request_is_refused_as_the_page_says() {
    let world = World::new().await;
    let serving = serve(world.api.clone(), Limits::default()).await;
    let get = |line: &str, headers: &str| format!("{line}\r\nhost: smalt\r\nconnection: close\r\n{headers}\r\n").into_bytes();
    let post = |headers: &str, body: &str| {
        let head = "POST /smalt/v1/get_account HTTP/1.1\r\nhost: smalt\r\nconnection: close\r\n";
        format!("{head}x-api-key: {}\r\ncontent-type: application/json\r\n{headers}\r\n{body}", world.key).into_bytes()
    };
    let below = [
        b"hello\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client that speaks TLS \r\n\r\n".to_vec(),
        get("GET /healthz", ""),
        get("GET /healthz HTTP/9.9", ""),
        get("GET /heal thz HTTP/1.1", ""),
        get("G\u{1}T /healthz HTTP/1.1", ""),
        get("GET http://[ HTTP/1.1", ""),
        get("GET /healthz HTTP/1.1", "no colon\r\n"),
        get("GET /healthz HTTP/1.1", "x-folded: a\r\n b\r\n"),
        get("GET /healthz HTTP/1.1", "x-nul: a\u{0}b\r\n"),
        get("GET /healthz HTTP/1.1", ": no name\r\n"),
        get(&format!("GET /{} HTTP/1.1", "x".repeat(70_000)), ""),
        post("content-length: 2\r\ncontent-length: 3\r\n", "{}"),
        post("content-length: two\r\n", "{}"),
        post("transfer-encoding: identity, x\r\n", "{}"),
    ];
    for message in below {
        let mut stream = serving.open().await;
        let _ = stream.write_all(&message).await;
        let said = Serving::rest(&mut stream).await;
        let shown = String::from_utf8_lossy(&message[..message.len().min(80)]).into_owned();
        // The end of a connection takes an answer away from who goes on sending.
        if said.is_empty() && message.len() > 60_000 {
            continue;
        }
        let status = said.get(9..12).unwrap_or_default();
        assert!(matches!(status, "400" | "414" | "431"), "{shown:?}: {said:?}");
        assert!(said.ends_with("\r\n\r\n") && said.contains("content-length: 0\r\n"), "{shown:?}: {said:?}");
    }
    let ours = [
        (get("BREW /healthz HTTP/1.1", ""), 405),
        (get("GET /nowhere HTTP/1.1", ""), 404),
        (get("GET /api/v2/public/application/%ff/icon HTTP/1.1", ""), 400),
        (post("content-length: 2\r\n", "{]"), 400),
        (post("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked\r\n", "2\r\n{}{}\r\n0\r\n\r\n"), 400),
        (get("GET /healthz HTTP/1.1", &format!("x-long: {}\r\n", "x".repeat(17_000))), 431),
    ];
    for (message, expected) in ours {
        let mut stream = serving.open().await;
        let _ = stream.write_all(&message).await;
        let said = Serving::rest(&mut stream).await;
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {said:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "not {expected}: {said}");
        let body: smalt::model::Json = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(body["status_code"], expected, "{said}");
        for name in ["http_error_type", "error_type", "error_code", "error", "message", "code", "request_id"] {
            assert!(body[name].as_str().is_some_and(|text| !text.is_empty()), "`{name}`: {said}");
        }
    }
    // A body that its sender breaks off.
    let mut stream = serving.open().await;
    stream.write_all(&post("content-length: 100\r\n", "{\"account\":")).await.unwrap();
    stream.shutdown().await.unwrap();
    let said = Serving::rest(&mut stream).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 ") && said.contains("cut off"), "{said}");
    assert!(serving.get().await.starts_with("HTTP/1.1 200 OK\r\n"));
    serving.end().await;
}

/// One request is under way and one connection is idle when the server is stopped: the one is answered, the other closed.
#[tokio::test]
async fn a_stop_lets_requests_end() {
    let world = World::new().await;
    let serving = serve(world.api.clone(), Limits::default()).await;
    let mut idle = serving.open().await;
    idle.write_all(b"GET /smalt/v1/capabilities HTTP/1.1\r\nhost: smalt\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let mut busy = serving.open().await;
    let head = "POST /smalt/v1/nothing HTTP/1.1\r\nhost: smalt\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    busy.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    // The server reads the body now: the request is under way.
    busy.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let ended = tokio::spawn(serving.end());
    Serving::rest(&mut idle).await;
    busy.write_all(b"{}").await.unwrap();
    let said = Serving::rest(&mut busy).await;
    assert!(said.starts_with("HTTP/1.1 401 Unauthorized\r\n") && said.contains("Authorization Token Missing"), "{said}");
    ended.await.unwrap();
}
