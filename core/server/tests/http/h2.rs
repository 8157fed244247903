//! What HTTP/2 adds to attack: streams, resets, heads in pieces, frames without end. Frames are written by hand, since no client would send these.

use std::time::Duration;

use smalt_server::{ApiOptions, Limits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    nodes::size,
    sockets::{HANG, Serving, serve},
    world::World,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header line as it is, into no table (RFC 7541 section 6.2.2).
fn line(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        let mut length = text.len();
        if length < 127 {
            bytes.push(u8::try_from(length).unwrap());
        } else {
            bytes.push(127);
            length -= 127;
            while length >= 128 {
                bytes.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            bytes.push(u8::try_from(length).unwrap());
        }
        bytes.extend(text.bytes());
    }
    bytes
}

fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let first = [(":method", method), (":scheme", "http"), (":authority", "smalt"), (":path", path)];
    first.iter().chain(more).flat_map(|(name, value)| line(name, value)).collect()
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The code of a reset, or of the connection's end.
    fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

struct Client(TcpStream);

impl Client {
    async fn open(serving: &Serving) -> Client {
        let mut client = Client(serving.open().await);
        let mut begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        begin.extend(frame(SETTINGS, 0, 0, &[]));
        client.0.write_all(&begin).await.unwrap();
        client
    }

    /// Whether the server still took it.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        tokio::time::timeout(HANG, self.0.write_all(bytes)).await.expect("the server reads on, or ends the connection").is_ok()
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap()) & (u32::MAX >> 1);
            Some(Frame { kind: head[3], flags: head[4], stream, payload })
        };
        tokio::time::timeout(HANG, read).await.expect("a frame, or the end")
    }

    /// Everything until the server ends the connection.
    async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// The frame of this sort on this stream.
    async fn until(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if (frame.kind, frame.stream) == (kind, stream) && !(kind == SETTINGS && frame.flags == 1) {
                return frame;
            }
        }
    }

    /// A whole request on this stream; the body of its answer.
    async fn get(&mut self, stream: u32, path: &str) -> String {
        assert!(self.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &head("GET", path, &[]))).await);
        let mut body = Vec::new();
        loop {
            let frame = self.until(DATA, stream).await;
            body.extend(&frame.payload);
            if frame.flags & END_STREAM != 0 {
                return String::from_utf8(body).unwrap();
            }
        }
    }
}

/// Whoever misbehaves harms nobody else, and nothing of it is left.
async fn others_are_served(serving: &Serving, world: &World) {
    let mut good = Client::open(serving).await;
    assert!(good.get(1, "/healthz").await.starts_with('{'));
    assert!(serving.get().await.starts_with("HTTP/1.1 200 OK\r\n"));
    drop(good);
    // A task that was dropped takes its count along in its own time.
    let idle = async {
        while !world.api.metrics().contains("smalt_http_requests_under_way 0\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANG, idle).await.expect("nothing is under way any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s62_a_connection_has_so_many_requests_at_once() {
    let world = World::new().await;
    let serving = serve(world.api.clone(), Limits { streams: Some(5), ..Limits::default() }).await;
    let mut client = Client::open(&serving).await;
    let settings = client.until(SETTINGS, 0).await;
    let said: Vec<_> = settings.payload.chunks(6).map(|one| (one[1], u32::from_be_bytes(one[2..6].try_into().unwrap()))).collect();
    assert!(said.contains(&(3, 5)), "it is said beforehand: {said:?}");
    // Requests whose bodies do not come.
    let begin = |stream| frame(HEADERS, END_HEADERS, stream, &head("POST", "/smalt/v1/events", &[("content-length", "2")]));
    for at in 0..8 {
        assert!(client.send(&begin(1 + 2 * at)).await);
    }
    for stream in [11, 13, 15] {
        assert_eq!(client.until(RST_STREAM, stream).await.error(), REFUSED_STREAM);
    }
    // Those before go on, and make room when they end.
    assert!(client.send(&frame(DATA, END_STREAM, 1, b"{}")).await);
    client.until(HEADERS, 1).await;
    assert!(client.send(&frame(HEADERS, END_STREAM | END_HEADERS, 17, &head("GET", "/healthz", &[]))).await);
    client.until(HEADERS, 17).await;
    drop(client);
    others_are_served(&serving, &world).await;
    serving.end().await;
}

/// CVE-2023-44487: a request and its end, over and over, so that the number at once never counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s62_requests_that_are_taken_back_at_once_end_the_connection() {
    let world = World::new().await;
    let serving = serve(world.api.clone(), Limits::default()).await;
    let mut client = Client::open(&serving).await;
    let flood = async {
        for round in 0..u32::try_from(size(1000, 20_000)).unwrap() {
            let mut bytes = Vec::new();
            for at in 0..100 {
                let stream = 1 + 2 * (round * 100 + at);
                bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &head("GET", "/api/v2/f-sdk/application", &[])));
                bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            }
            if !client.send(&bytes).await {
                return round;
            }
        }
        panic!("nobody ended it");
    };
    let rounds = flood.await;
    others_are_served(&serving, &world).await;
    let frames = client.rest().await;
    // The end may have been lost to the reset that bytes nobody reads bring.
    let goes: Vec<u32> = frames.iter().filter(|frame| frame.kind == GOAWAY).map(Frame::error).collect();
    assert!(goes.iter().all(|code| *code == ENHANCE_YOUR_CALM), "after {rounds} rounds: {goes:?}");
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s60_a_large_head_is_refused_on_http2_too() {
    let world = World::with(ApiOptions::default(), |project| project.server.head_size = 8192).await;
    let serving = serve(world.api.clone(), Limits { head_size: 8192, ..Limits::default() }).await;
    let mut client = Client::open(&serving).await;
    // Little larger than the limit: in words.
    let little = head("GET", "/healthz", &[("x-long", &"x".repeat(9000))]);
    assert!(client.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &little)).await);
    client.until(HEADERS, 1).await;
    let said = String::from_utf8(client.until(DATA, 1).await.payload).unwrap();
    assert!(said.contains("HEADERS_TOO_LARGE"), "{said}");
    // Eight times as large, in frames that are each small enough: its body, if any, is no answer of a route.
    let large: Vec<u8> =
        head("GET", "/healthz", &[]).into_iter().chain((0..8).flat_map(|at| line(&format!("x-{at}"), &"x".repeat(8000)))).collect();
    let mut pieces = large.chunks(16_000);
    assert!(client.send(&frame(HEADERS, END_STREAM, 3, pieces.next().unwrap())).await);
    let pieces: Vec<_> = pieces.collect();
    for (at, piece) in pieces.iter().enumerate() {
        let flags = if at + 1 == pieces.len() { END_HEADERS } else { 0 };
        client.send(&frame(CONTINUATION, flags, 3, piece)).await;
    }
    client.send(&frame(PING, 0, 0, &[7; 8])).await;
    let mut refused = false;
    while let Some(frame) = client.next().await {
        match frame.kind {
            PING if frame.flags == 1 => break,
            RST_STREAM | GOAWAY => refused = true,
            // 431, by number or by the table's 400 with other words: no 200, which is 0x88 alone.
            HEADERS if frame.stream == 3 => {
                assert_ne!(frame.payload.first(), Some(&0x88));
                refused = true;
            }
            DATA if frame.stream == 3 => assert!(!String::from_utf8_lossy(&frame.payload).contains("\"status\":\"")),
            _ => {}
        }
    }
    assert!(refused, "it was neither answered nor refused");
    others_are_served(&serving, &world).await;
    serving.end().await;
}

/// CVE-2024-27316 and its like: a head that never ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s60_a_head_without_end_ends_the_connection() {
    let world = World::new().await;
    let serving = serve(world.api.clone(), Limits { head_time: Some(Duration::from_secs(20)), ..Limits::default() }).await;
    let full: Vec<u8> = (0..100).flat_map(|at| line(&format!("x-{at}"), &"y".repeat(100))).collect();
    for piece in [full, line("x", "y"), Vec::new()] {
        let mut client = Client::open(&serving).await;
        assert!(client.send(&frame(HEADERS, END_STREAM, 1, &head("GET", "/healthz", &[]))).await);
        let more = frame(CONTINUATION, 0, 1, &piece);
        let burst = more.repeat(1 + 100_000 / more.len());
        let mut taken = 0_usize;
        while client.send(&burst).await {
            taken += burst.len();
            assert!(taken < 64 << 20, "{taken} bytes were taken, in pieces of {}", piece.len());
        }
        others_are_served(&serving, &world).await;
    }
    serving.end().await;
}

/// Frames that cost an answer each, from a client that reads none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s61_a_client_that_reads_no_answers_on_http2_is_cut() {
    let world = World::new().await;
    let serving = serve(world.api.clone(), Limits { write_time: Some(Duration::from_millis(300)), ..Limits::default() }).await;
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])] {
        let mut client = Client::open(&serving).await;
        let burst = flood.repeat(1000);
        let mut taken = 0_usize;
        while client.send(&burst).await {
            taken += burst.len();
            assert!(taken < 256 << 20, "{taken} bytes were taken");
        }
        others_are_served(&serving, &world).await;
    }
    serving.end().await;
}

/// A client that begins HTTP/2 and then says nothing, or asks for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s61_silent_clients_on_http2_are_cut() {
    let world = World::with(ApiOptions::default(), |project| project.server.body_time = 0.3).await;
    let short = Some(Duration::from_millis(300));
    let serving = serve(world.api.clone(), Limits { head_time: short, idle_time: short, ..Limits::default() }).await;
    let mut half = serving.open().await;
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut silent = Client::open(&serving).await;
    let mut dripping = Client::open(&serving).await;
    assert!(dripping.send(&frame(HEADERS, END_STREAM, 1, &head("GET", "/healthz", &[]))).await);
    let mut stalled = Client::open(&serving).await;
    let begun = head("POST", "/smalt/v1/events", &[("content-length", "100")]);
    assert!(stalled.send(&frame(HEADERS, END_HEADERS, 1, &begun)).await);
    Serving::rest(&mut half).await;
    silent.rest().await;
    dripping.rest().await;
    // What was begun is answered with the reason, and then the connection is idle.
    let frames = stalled.rest().await;
    let said: Vec<u8> = frames.iter().filter(|frame| frame.kind == DATA).flat_map(|frame| frame.payload.clone()).collect();
    assert!(String::from_utf8_lossy(&said).contains("did not come within"), "{frames:?}");
    others_are_served(&serving, &world).await;
    serving.end().await;
}
