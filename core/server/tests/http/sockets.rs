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
const HANG: Duration = Duration::from_secs(60);

struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
}

async fn serve(api: Api, limits: Limits) -> Serving {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(server.serve(api, async {
        let _ = stopped.await;
    }));
    Serving { address, stop, done }
}

fn short() -> Limits {
    Limits { head_time: Duration::from_millis(300), stop_time: Duration::from_secs(5), ..Limits::default() }
}

impl Serving {
    async fn open(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Everything that comes until the server ends the connection.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(HANG, stream.read_to_end(&mut bytes)).await.expect("the server ends the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    async fn get(&self) -> String {
        let mut stream = self.open().await;
        stream.write_all(b"GET /smalt/v1/capabilities HTTP/1.1\r\nhost: smalt\r\nconnection: close\r\n\r\n").await.unwrap();
        Self::rest(&mut stream).await
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(HANG, self.done).await.expect("the server ends").unwrap();
        assert!(TcpStream::connect(self.address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn s61_slow_clients_are_cut_and_others_are_served_meanwhile() {
    let world = World::with(ApiOptions { body_time: Duration::from_millis(300), ..ApiOptions::default() }, |_| {}).await;
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

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let world = World::new().await;
    let serving = serve(world.api.clone(), Limits { head_size: 8192, ..Limits::default() }).await;
    let mut stream = serving.open().await;
    let head = format!("GET /smalt/v1/capabilities HTTP/1.1\r\nhost: smalt\r\nx-long: {}\r\n\r\n", "x".repeat(64 * 1024));
    // The server may close while the head is still being written.
    let _ = stream.write_all(head.as_bytes()).await;
    let said = Serving::rest(&mut stream).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
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
