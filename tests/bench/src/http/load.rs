//! A client that costs little, so that servers are measured and not it: prepared requests on open connections, one after
//! the other on each.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request's bytes.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Arc<[u8]> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes().into()
}

/// One open connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(16 * 1024) }
    }

    /// Sends a request and reads its answer whole: the body of a 200.
    pub async fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).await.unwrap();
        self.buffer.clear();
        let mut end = None;
        loop {
            if let Some((head, all)) = end
                && self.buffer.len() >= all
            {
                assert!(self.buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.buffer));
                return &self.buffer[head..all];
            }
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the server closed the connection: {}", String::from_utf8_lossy(&self.buffer));
            if end.is_none()
                && let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let head = std::str::from_utf8(&self.buffer[..at]).unwrap().to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
                end = Some((at + 4, at + 4 + length.trim().parse::<usize>().unwrap()));
            }
        }
    }
}

/// Answers in a second: on each connection one request after the other, drawn from all of them, until so many were answered.
pub async fn rate(address: SocketAddr, connections: usize, requests: Arc<Vec<Arc<[u8]>>>, count: usize) -> f64 {
    let mut wires = Vec::new();
    for _ in 0..connections {
        wires.push(Wire::open(address).await);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let from = Instant::now();
    let tasks = wires.into_iter().map(|mut wire| {
        let (requests, next) = (requests.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return;
                }
                wire.ask(&requests[at % requests.len()]).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    count as f64 / from.elapsed().as_secs_f64()
}
