//! A thousand clients that begin a request and go no further, and one good client on new connections.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Requests, load::Wire};
use crate::report::{Row, percentile};

const STALLED: usize = 1000;
const CALLS: usize = 400;

pub async fn measure(address: SocketAddr, requests: &Requests) -> Row {
    let mut held = Vec::new();
    for n in 0..STALLED {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Nothing, one byte, a head without its end, a body that does not come.
        let begun: &[u8] = match n % 4 {
            0 => b"",
            1 => b"G",
            2 => b"GET /api/v2/f-sdk/application HTTP/1.1\r\nhost: a\r\n",
            _ => b"POST /smalt/v1/credential HTTP/1.1\r\nhost: a\r\ncontent-length: 40\r\n\r\n{",
        };
        stream.write_all(begun).await.unwrap();
        held.push(stream);
    }
    let mut times = Vec::new();
    let end = Instant::now() + Duration::from_secs(8);
    for n in 0..CALLS {
        let from = Instant::now();
        Wire::open(address).await.ask(&requests[n % requests.len()]).await;
        times.push(from.elapsed().as_secs_f64() * 1e3);
        assert!(Instant::now() < end, "the stalled clients are cut off after 10 s: only {n} calls before that");
    }
    drop(held);
    Row::budget("stalled", "1,000 stalled clients, a good one's p99", percentile(times, 0.99), 250.0, "ms")
}
