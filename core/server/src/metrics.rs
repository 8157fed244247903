//! What is counted while the server works, and its text for Prometheus (exposition format 0.0.4). No name of an account, an
//! address or a credential stands in it.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use smalt::operations::Operation;

use crate::{rates::Counted, routes::routes};

/// Upper ends of the histogram, in milliseconds.
const ENDS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];
const COUNTED: [Counted; 7] =
    [Counted::GuessesFrom, Counted::Address, Counted::Session, Counted::Key, Counted::Tenant, Counted::Polls, Counted::Connects];

#[derive(Default)]
struct Row {
    /// By the status' first digit.
    answers: [AtomicU64; 6],
    micros: AtomicU64,
}

/// The counters of one server.
pub(crate) struct Metrics {
    /// One per route, one per operation, and the last for what is neither.
    rows: Vec<Row>,
    buckets: [AtomicU64; ENDS.len() + 1],
    refused: [AtomicU64; COUNTED.len()],
    /// Callbacks by what came of them: their status does not tell.
    callbacks: Mutex<BTreeMap<&'static str, u64>>,
    /// Requests under way.
    pub(crate) under_way: AtomicI64,
    /// Calls that wait for an event.
    pub(crate) waiters: AtomicI64,
    /// Connections that are open.
    pub(crate) connections: AtomicI64,
    /// Connections that were taken.
    pub(crate) connected: AtomicU64,
    /// Connections that were closed since their address had too many.
    pub(crate) crowded: AtomicU64,
}

/// Which row a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

impl Place {
    /// What is found nowhere.
    pub(crate) fn nowhere() -> Self {
        Place(routes().len() + Operation::ALL.len())
    }

    /// Of the route at this place in the table.
    pub(crate) fn route(at: usize) -> Self {
        Place(at)
    }

    /// Of an operation.
    pub(crate) fn operation(operation: Operation) -> Self {
        let at = Operation::ALL.iter().position(|one| *one == operation).unwrap_or_default();
        Place(routes().len() + at)
    }

    /// Method and pattern: never the path itself, which may hold a ticket.
    pub(crate) fn name(self) -> (&'static str, String) {
        match routes().get(self.0) {
            Some(route) => (route.method, route.path.to_owned()),
            None => match Operation::ALL.get(self.0 - routes().len()) {
                Some(operation) => ("POST", format!("/smalt/v1/{}", operation.row().name)),
                None => ("", String::new()),
            },
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let count = routes().len() + Operation::ALL.len() + 1;
        Self {
            rows: (0..count).map(|_| Row::default()).collect(),
            buckets: Default::default(),
            refused: Default::default(),
            callbacks: Mutex::default(),
            under_way: AtomicI64::new(0),
            waiters: AtomicI64::new(0),
            connections: AtomicI64::new(0),
            connected: AtomicU64::new(0),
            crowded: AtomicU64::new(0),
        }
    }

    pub(crate) fn answered(&self, place: Place, status: u16, took: Duration) {
        let Some(row) = self.rows.get(place.0) else { return };
        row.answers[usize::from(status / 100).min(5)].fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        row.micros.fetch_add(micros, Relaxed);
        let bucket = ENDS.iter().position(|end| micros <= end * 1000).unwrap_or(ENDS.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self, what: Counted) {
        if let Some(at) = COUNTED.iter().position(|one| one.as_str() == what.as_str()) {
            self.refused[at].fetch_add(1, Relaxed);
        }
    }

    /// A browser came back from a provider: `connected`, `waiting`, `returned`, or the code of an error.
    pub(crate) fn came_back(&self, outcome: &'static str) {
        *self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
    }

    /// Everything as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = write!(text, "# HELP smalt_{name} {help}\n# TYPE smalt_{name} {kind}\n");
        };
        head(&mut text, "build_info", "gauge", "The version that runs.");
        let _ = writeln!(text, "smalt_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        let used = || self.rows.iter().enumerate().filter(|(_, row)| row.answers.iter().any(|count| count.load(Relaxed) > 0));
        head(&mut text, "http_requests_total", "counter", "Requests that were answered, by route and the status' first digit.");
        for (at, row) in used() {
            let (method, path) = Place(at).name();
            for (digit, count) in row.answers.iter().enumerate().filter(|(_, count)| count.load(Relaxed) > 0) {
                let count = count.load(Relaxed);
                let _ = writeln!(text, "smalt_http_requests_total{{method=\"{method}\",route=\"{path}\",status=\"{digit}xx\"}} {count}");
            }
        }
        head(&mut text, "http_request_seconds_total", "counter", "Time that requests took together, by route.");
        for (at, row) in used() {
            let (method, path) = Place(at).name();
            let seconds = Duration::from_micros(row.micros.load(Relaxed)).as_secs_f64();
            let _ = writeln!(text, "smalt_http_request_seconds_total{{method=\"{method}\",route=\"{path}\"}} {seconds}");
        }
        head(&mut text, "http_request_duration_seconds", "histogram", "How long requests took.");
        let mut sum = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            sum += bucket.load(Relaxed);
            #[allow(clippy::cast_precision_loss)]
            let end = ENDS.get(at).map_or_else(|| "+Inf".to_owned(), |end| (*end as f64 / 1000.0).to_string());
            let _ = writeln!(text, "smalt_http_request_duration_seconds_bucket{{le=\"{end}\"}} {sum}");
        }
        let micros = self.rows.iter().map(|row| row.micros.load(Relaxed)).sum();
        let _ = writeln!(text, "smalt_http_request_duration_seconds_sum {}", Duration::from_micros(micros).as_secs_f64());
        let _ = writeln!(text, "smalt_http_request_duration_seconds_count {sum}");
        head(&mut text, "http_refused_total", "counter", "Requests that a rate refused, by the rate.");
        for (what, count) in COUNTED.iter().zip(&self.refused) {
            let _ = writeln!(text, "smalt_http_refused_total{{rate=\"{}\"}} {}", what.as_str(), count.load(Relaxed));
        }
        let help = "Browsers that came back from a provider, by outcome: connected, waiting, returned, or the code of an error.";
        head(&mut text, "callbacks_total", "counter", help);
        for (outcome, count) in self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(text, "smalt_callbacks_total{{outcome=\"{outcome}\"}} {count}");
        }
        for (name, help, value) in [
            ("http_requests_under_way", "Requests that are being answered, without those that wait for an event.", &self.under_way),
            ("http_waiters", "Calls that wait for an event.", &self.waiters),
            ("connections", "Connections that are open.", &self.connections),
        ] {
            head(&mut text, name, "gauge", help);
            let _ = writeln!(text, "smalt_{name} {}", value.load(Relaxed));
        }
        for (name, help, value) in [
            ("connections_total", "Connections that were taken.", &self.connected),
            ("connections_refused_total", "Connections that were closed since their address had too many.", &self.crowded),
        ] {
            head(&mut text, name, "counter", help);
            let _ = writeln!(text, "smalt_{name} {}", value.load(Relaxed));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_counts_what_happened() {
        let metrics = Metrics::new();
        metrics.answered(Place::route(0), 200, Duration::from_millis(3));
        metrics.answered(Place::operation(Operation::Credential), 403, Duration::from_secs(60));
        metrics.answered(Place::nowhere(), 404, Duration::ZERO);
        metrics.refused(Counted::GuessesOf);
        metrics.came_back("user_denied");
        metrics.came_back("user_denied");
        let text = metrics.text();
        for line in [
            "smalt_http_requests_total{method=\"POST\",route=\"/smalt/v1/credential\",status=\"4xx\"} 1",
            "smalt_http_requests_total{method=\"\",route=\"\",status=\"4xx\"} 1",
            "smalt_http_request_duration_seconds_bucket{le=\"0.005\"} 2",
            "smalt_http_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "smalt_http_request_duration_seconds_count 3",
            "smalt_http_refused_total{rate=\"guesses\"} 1",
            "smalt_callbacks_total{outcome=\"user_denied\"} 2",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        // Each family is announced once, before its samples.
        for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("# TYPE ")) {
            assert_eq!(text.lines().position(|one| one == line), Some(at));
        }
    }
}
