//! Three times what a server bears, for five minutes: what it takes is answered nearly as fast as ever, the rest is told so at once, and
//! soon after the end all is as before.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;

use super::{
    Requests, Served,
    load::{Wire, rate},
};
use crate::{
    report::{Row, percentile},
    small,
};

/// Requests that both servers answer at once (`server.requests`): some for each of two cores. The default is made for larger machines.
pub const PLACES: usize = 16;
/// Open connections of those who ask.
const CONNECTIONS: usize = 512;
/// Calls to find out what a server bears.
const CALLS: usize = 20_000;
/// How long the load lasts, in seconds.
const LASTS: usize = 300;
/// So many good answers in a row, and it has recovered.
const IN_A_ROW: usize = 20;

/// What became of a load.
#[derive(Default)]
struct Load {
    /// How long each took that was answered in full, in milliseconds.
    taken: Vec<f64>,
    /// Those that were told to come later.
    shed: usize,
    /// Those that were not sent, since their connection still waited.
    unsent: usize,
}

/// Asks at an even pace whatever comes of it: each connection has moments of its own, and leaves out those at which it still waits.
async fn paced(address: SocketAddr, requests: &Requests, rate: f64, lasts: Duration) -> Load {
    let mut wires = Vec::new();
    for _ in 0..CONNECTIONS {
        wires.push(Wire::open(address).await);
    }
    let (begin, each) = (tokio::time::Instant::now(), Duration::from_secs_f64(CONNECTIONS as f64 / rate));
    let tasks = wires.into_iter().enumerate().map(|(n, mut wire)| {
        let requests = requests.clone();
        tokio::spawn(async move {
            let mut load = Load::default();
            let mut moments = tokio::time::interval_at(begin + each.mul_f64(n as f64 / CONNECTIONS as f64), each);
            moments.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let (mut at, mut last) = (n, None::<tokio::time::Instant>);
            loop {
                let moment = moments.tick().await;
                if moment >= begin + lasts {
                    return load;
                }
                let passed = last.map_or(1.0, |last| (moment - last).as_secs_f64() / each.as_secs_f64());
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let skipped = (passed.round() as usize).saturating_sub(1);
                load.unsent += skipped;
                last = Some(moment);
                let from = Instant::now();
                match wire.answer(&requests[at % requests.len()]).await {
                    (200, _) => load.taken.push(from.elapsed().as_secs_f64() * 1e3),
                    (429 | 503, _) => load.shed += 1,
                    (status, body) => panic!("{status} {}", String::from_utf8_lossy(body)),
                }
                at += 1;
            }
        })
    });
    let mut all = Load::default();
    for task in tasks.collect::<Vec<_>>() {
        let load = task.await.unwrap();
        all.taken.extend(load.taken);
        all.shed += load.shed;
        all.unsent += load.unsent;
    }
    all
}

/// Seconds until so many calls in a row, over a connection each, are answered in full and within this time.
async fn recovery(address: SocketAddr, requests: &Requests, within: f64) -> f64 {
    let end = Instant::now();
    let (mut good, mut since) = (0, 0.0);
    while good < IN_A_ROW {
        assert!(end.elapsed() < Duration::from_secs(120), "it does not recover");
        let from = Instant::now();
        let mut wire = Wire::open(address).await;
        let (status, _) = wire.answer(&requests[0]).await;
        if status == 200 && from.elapsed().as_secs_f64() * 1e3 <= within {
            if good == 0 {
                since = end.elapsed().as_secs_f64();
            }
            good += 1;
        } else {
            good = 0;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    since
}

/// What was found out of one server.
struct Found {
    /// p99 at half of what it bears, in milliseconds.
    calm: f64,
    /// p99 of what it took of three times as much as it bears.
    taken: f64,
    /// Of these, so many in a second.
    rate: f64,
    recovery: f64,
}

async fn overloaded(role: &str, folder: &Path, requests: &Requests) -> Found {
    let server = Served::start_with(role, folder.to_str().unwrap(), true);
    // As many at once as there are places: none of these is refused. The first round warms up.
    rate(server.address, PLACES, requests.clone(), small(CALLS, 200)).await;
    let bears = rate(server.address, PLACES, requests.clone(), small(CALLS, 200)).await;
    let calm = paced(server.address, requests, bears / 2.0, Duration::from_secs(small(20, 1) as u64)).await;
    let calm = percentile(calm.taken, 0.99);
    let lasts = Duration::from_secs(small(LASTS, 2) as u64);
    let load = paced(server.address, requests, bears * 3.0, lasts).await;
    let recovery = recovery(server.address, requests, (calm * 3.0).max(20.0)).await;
    let all = load.taken.len() + load.shed + load.unsent;
    assert!(load.shed > 0 || std::env::var_os("SMALT_BENCH_SMALL").is_some(), "it was no overload: {all} asked, none refused");
    println!(
        "  {role}: bears {bears:.0} calls/s; of {all} moments {} answered, {} told to come later, {} let pass by who still waited",
        load.taken.len(),
        load.shed,
        load.unsent
    );
    let rate = load.taken.len() as f64 / lasts.as_secs_f64();
    Found { calm, taken: percentile(load.taken, 0.99), rate, recovery }
}

pub async fn measure(ours: (&Path, Requests), theirs: (&Path, Requests)) -> Vec<Row> {
    let mine = overloaded("http-shedding", ours.0, &ours.1).await;
    let other = overloaded("http-peer-shedding", theirs.0, &theirs.1).await;
    let peer = "axum + rusqlite";
    vec![
        Row::at_most(
            "overload-p99",
            "at 3x what it bears, p99 of what it takes",
            mine.taken,
            "the same at half of it",
            mine.calm,
            "ms",
            3.0,
        ),
        Row::at_most("overload-p99-peer", "the same beside a peer with as many places", mine.taken, peer, other.taken, "ms", 1.5),
        Row::at_least("overload-rate", "answered in full meanwhile", mine.rate, peer, other.rate, "calls/s", 0.7),
        Row::budget("overload-recovery", "until it answers as before", mine.recovery, 10.0, "s"),
    ]
}
