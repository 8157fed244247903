//! What a process still holds of secrets that are gone: its memory, read from outside.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use smalt::{
    model::{Environment, Tenant},
    plugin::{Store, StoreExt, SystemClock},
    store::{SqliteStore, StoreOptions},
    vault::{Aad, LocalKey, Vault},
};
use smalt_tests::{child::Role, size};

use crate::stage::{HOUR, SANDBOX, Stage, connect_sandbox, sandbox, tell};

/// Whose memory a secret stands in.
const HTTP: &str = "buffer of the HTTP library";
const OURS: &str = "engine";

/// Where a secret was found, and what stands around it.
fn seek(pid: u32, secrets: &[(&'static str, String)]) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    let mut bytes = Vec::new();
    let mut guard = None;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let place = words.nth(3).unwrap_or("anonymous");
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        // A thread's stack lies above a guard of one page. Ciphers spill onto it what nobody can clear: see `docs/security.md`.
        let is_stack = guard == Some(from) || place == "[stack]";
        guard = (rights.starts_with("---") && to - from == 4096).then_some(to);
        // What nobody can write is the program itself.
        if !rights.starts_with("rw") || place.starts_with("[v") || is_stack {
            continue;
        }
        bytes.resize((to - from) as usize, 0);
        if memory.seek(SeekFrom::Start(from)).and_then(|_| memory.read_exact(&mut bytes)).is_err() {
            continue;
        }
        for (name, secret) in secrets {
            // The allocator writes over the first bytes of what it gets back.
            let needle = &secret.as_bytes()[secret.len() - 20.min(secret.len())..];
            for at in bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle).map(|(at, _)| at) {
                let around = &bytes[at.saturating_sub(secret.len() + 60)..(at + needle.len() + 20).min(bytes.len())];
                let text = String::from_utf8_lossy(around).replace(|c: char| c.is_control() || c == '\u{fffd}', ".");
                // The message as the HTTP library read or wrote it, in its own buffer; see `docs/security.md`.
                let near = String::from_utf8_lossy(&bytes[at.saturating_sub(600)..(at + 600).min(bytes.len())]).to_lowercase();
                let message = [
                    "\"token_type\":\"bearer\",\"expires_in\"",
                    "\"scope\":\"profile",
                    "content-length:",
                    "authorization: bearer",
                    "grant_type=",
                ];
                let owner = if message.iter().any(|part| near.contains(part)) { HTTP } else { OURS };
                found.push(format!("{owner}: {name} in {place}: {}", text.replace(secret, "<SECRET>")));
            }
        }
    }
    found
}

/// The secrets of a connection as they stand in the store.
async fn grant(stage: &Stage, account: &str) -> BTreeMap<String, Value> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(stage.store(), StoreOptions::default()).unwrap());
    let key = LocalKey::from_file(stage.folder.path().join("key")).unwrap();
    let vault = Vault::unlock(store.clone(), Arc::new(key), "default", Arc::new(SystemClock::default())).await.unwrap();
    let tenant = Tenant { org: "default".into(), environment: Environment::Test };
    let (here, of) = (tenant.clone(), account.to_owned());
    let row = store.read_with(move |tx| tx.connections(&here, &of, Some(SANDBOX))).await.unwrap().remove(0);
    let aad = Aad::new(&tenant, "connections").part(account).part(SANDBOX).part(&row.id).part("grant").version(row.secret_version);
    let grant = vault.open_json(&aad, &row.sealed).unwrap();
    store.close().await;
    grant
}

fn text(grant: &BTreeMap<String, Value>, name: &str) -> String {
    grant[name].as_str().unwrap().to_owned()
}

/// One life of a process that uses, renews and disconnects: what it still holds a second later that is no message of the HTTP
/// library's.
async fn left_after_a_life() -> Vec<String> {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let smalt = stage.open().await;
    connect_sandbox(&smalt, "customer-0").await;
    let first = grant(&stage, "customer-0").await;
    let mut child: Role = stage.child(&[("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=4096")]);
    let order = |what: &str, application: &str| json!({"do": what, "account": "customer-0", "application": application});
    assert_eq!(tell(&mut child, &order("use", SANDBOX)), json!({"ok": 200}));
    let held = [("the first access token", text(&first, "access_token"))];
    assert!(!seek(child.pid(), &held).is_empty(), "while it is in use it is there: this test can see");
    tell(&mut child, &json!({"do": "shift", "millis": HOUR}));
    assert_eq!(tell(&mut child, &order("use", SANDBOX)), json!({"ok": 200}));
    let second = grant(&stage, "customer-0").await;
    assert_ne!(first, second, "the child renewed it");
    let disconnect = json!({"do": "disconnect", "account": "customer-0", "application": SANDBOX, "wait": 10_000});
    assert!(tell(&mut child, &disconnect)["ok"].is_string());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let secrets = [
        ("the first access token", text(&first, "access_token")),
        ("the first refresh token", text(&first, "refresh_token")),
        ("the second access token", text(&second, "access_token")),
        ("the second refresh token", text(&second, "refresh_token")),
    ];
    let mut found = seek(child.pid(), &secrets);
    found.retain(|line| line.starts_with(OURS));
    smalt.close().await;
    found
}

/// S-47: a second after its disconnect, a process holds none of the secrets, but for messages in the buffers of the HTTP library. So it is in each life.
///
/// A freed buffer of the library's that is used again in part loses what it can be told by. So the children's allocator gives blocks of a page and more back
/// to the system at once, which takes their pages away, and the library's buffers are such blocks (8 KiB from the beginning). What is smaller stays where it was when it is
/// freed, with all that nobody cleared: the engine's own secrets, headers and bodies are that small.
#[tokio::test(flavor = "multi_thread")]
async fn s47_a_disconnected_secret_is_not_in_memory() {
    let mut left = Vec::new();
    for life in 0..size(5, 20) {
        left.extend(left_after_a_life().await.into_iter().map(|copy| format!("life {life}: {copy}")));
    }
    assert!(left.is_empty(), "{} copies: {left:#?}", left.len());
}
