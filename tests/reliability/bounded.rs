//! How much memory an engine takes of providers that answer too much. Provider and engine are processes of their own, so that the
//! engine's peak is the engine's.
#![cfg(target_os = "linux")]

use std::sync::Mutex;

use serde_json::{Value, json};
use smalt_tests::child::{Role, report, role};

use crate::faults::{ALL, Counted, Counterpart, Fault, Provider, one};
use crate::stage::{answer, tell};

/// Memory may grow by less than that, in KiB.
const ROOM: u64 = 8 * 1024;

/// A provider in a process of its own.
struct Elsewhere {
    port: u16,
    child: Mutex<Role>,
}

impl Elsewhere {
    fn start() -> Elsewhere {
        let mut child = Role::start("bounded::as_a_provider", "faulty-provider", &[]);
        let port = u16::try_from(answer(&mut child)["port"].as_u64().unwrap()).unwrap();
        Elsewhere { port, child: Mutex::new(child) }
    }
}

impl Counterpart for Elsewhere {
    fn port(&self) -> u16 {
        self.port
    }

    fn set(&self, fault: Fault) {
        let which = ALL.iter().position(|one| *one == fault);
        tell(&mut self.child.lock().unwrap(), &json!({"set": which}));
    }

    fn counted(&self) -> Counted {
        let told = tell(&mut self.child.lock().unwrap(), &json!({}));
        let count = |name: &str| told[name].as_u64().unwrap();
        Counted { asked: count("asked"), sent: count("sent"), led_away: count("led_away") }
    }
}

/// A figure of this process, in KiB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Each fault that sends something, at each of the four calls: endless and packed answers, a head of 1 MiB, cut and unreadable ones.
#[test]
fn r30_no_answer_takes_memory() {
    let mut child = Role::start("bounded::as_an_engine", "bounded-engine", &[]);
    let usual = answer(&mut child)["peak"].as_u64().unwrap();
    let mut most = usual;
    let mut grown = Vec::new();
    while let Some(line) = child.line() {
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["wrong"], json!([]), "{told}");
        // The system counts in batches per thread: a peak may be told a little lower later.
        let peak = most.max(told["peak"].as_u64().unwrap());
        grown.push(format!("{}: {} KiB", told["fault"], peak - most));
        most = peak;
    }
    assert!(child.end());
    assert_eq!(grown.len(), 2 * (ALL.len() - 2), "each fault was tried: {grown:?}");
    assert!(most - usual < ROOM, "{usual} KiB became {most}: {grown:?}");
}

/// Not a test of its own: an engine after the other, first with a good provider, then with each fault, twice.
#[test]
fn as_an_engine() {
    if role().as_deref() != Some("bounded-engine") {
        return;
    }
    let provider = Elsewhere::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            assert_eq!(one(Fault::None, &provider).await, Vec::<String>::new());
        }
        report(&json!({"peak": status("VmHWM:")}).to_string());
        for fault in [ALL, ALL].concat() {
            // These two send nothing, or a byte a second.
            if !matches!(fault, Fault::Silent | Fault::Drip) {
                let wrong = one(fault, &provider).await;
                report(&json!({"fault": format!("{fault:?}"), "wrong": wrong, "peak": status("VmHWM:")}).to_string());
            }
        }
    });
}

/// Not a test of its own either: the provider. An order sets the fault, or none; the answer says what was counted.
#[test]
fn as_a_provider() {
    if role().as_deref() != Some("faulty-provider") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let provider = Provider::start().await;
        report(&json!({"port": provider.port()}).to_string());
        for line in std::io::stdin().lines() {
            let order: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if let Some(which) = order.get("set") {
                provider.set(which.as_u64().map_or(Fault::None, |which| ALL[usize::try_from(which).unwrap()]));
            }
            let Counted { asked, sent, led_away } = provider.counted();
            report(&json!({"asked": asked, "sent": sent, "led_away": led_away}).to_string());
        }
    });
}
