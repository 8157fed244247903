//! The surface as a host uses it, without one.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use smalt::{
    Secret, Timestamp,
    model::{AuthType, Credential},
};

use crate::{
    call::*,
    error::{Failed, PANIC},
    host::host_answer,
    open::*,
    packed,
    port::*,
    ready::*,
    testing::*,
    tools::*,
};

/// A host with one port, which takes what it waits for.
struct Host(u64);

impl Host {
    fn new() -> Self {
        Self(port_open())
    }

    fn ended(&self, number: u64) -> Result<Value, Value> {
        loop {
            for message in port_take(self.0, 60_000).unwrap() {
                match message {
                    Message::Answer { number: ended, json } if ended == number => return Ok(serde_json::from_slice(&json).unwrap()),
                    Message::Failure { number: ended, json } if ended == number => return Err(serde_json::from_slice(&json).unwrap()),
                    Message::Ask { number, json, home } => {
                        let ask: Value = serde_json::from_slice(&json).unwrap();
                        assert_eq!((home, &ask["what"]), (7, &json!("run")));
                        let answer = format!(r#"{{"end":"value"}}{}"#, ask["arguments"]["payload"]);
                        assert!(host_answer(self.0, number, answer.into_bytes()).unwrap());
                        assert!(!host_answer(self.0, number, b"{}".to_vec()).unwrap(), "an answer counts once");
                    }
                    _ => {}
                }
            }
        }
    }

    /// As it crosses.
    fn credential(&self, engine: u64, application: &str) -> Vec<u8> {
        let request = json!({"account": "a", "application": application});
        call_start(engine, 3, format!("{}{request}", json!({"op": "credential"})).into_bytes()).unwrap();
        loop {
            for message in port_take(self.0, 60_000).unwrap() {
                match message {
                    Message::Answer { number: 3, json } => return json,
                    Message::Failure { json, .. } => panic!("{}", String::from_utf8_lossy(&json)),
                    _ => {}
                }
            }
        }
    }

    fn open(&self) -> u64 {
        let project = json!({"version": 1, "apps": {"sandbox-key": {"workflows": [{"id": "sync", "name": "Sync", "enabled": true}]}}});
        let options = json!({"sandbox": true, "throwaway_key": true, "project": project});
        let own = json!({"home": 7, "runner": true});
        open_embedded(self.0, 1, format!("{options}{own}").into_bytes()).unwrap();
        self.ended(1).unwrap().as_u64().unwrap()
    }

    fn call(&self, engine: u64, op: &str, request: Value) -> Result<Value, Value> {
        call_start(engine, 2, format!("{}{request}", json!({"op": op})).into_bytes()).unwrap();
        self.ended(2)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        port_close(self.0);
    }
}

fn code(failed: &Failed) -> String {
    let Failed::Smalt { json } = failed;
    serde_json::from_slice::<Value>(json).unwrap()["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_life_in_numbers_and_bytes() {
    let host = Host::new();
    let engine = host.open();
    assert_eq!(host.call(engine, "upsert_account", json!({"id": "a"})).unwrap()["account"]["id"], "a");
    let inputs = json!({"key": "sandbox-key-good", "workspace": "acme"});
    let connect = json!({"account": "a", "application": "sandbox-key", "inputs": inputs});
    assert_eq!(host.call(engine, "connect", connect).unwrap()["application"], "sandbox-key");
    let seat = seat_take(engine, br#"{"op":"credential"}{"account":"a","application":"sandbox-key"}"#.to_vec()).unwrap();
    assert_eq!(seat_ready(engine, seat), WAITS, "the first one is audited, which waits");
    let waited = host.credential(engine, "sandbox-key");
    let number = seat_ready(engine, seat);
    assert!(![WAITS, GONE].contains(&number));
    assert_eq!(seat_ready(engine, seat), number, "it is the same one");
    let ready = seat_answer(engine, seat, number).unwrap();
    assert_eq!((&ready[..4], &ready[4..]), (&[0; 4][..], &waited[..]), "nobody let go of anything");
    assert!(waited.windows(16).any(|part| part == b"sandbox-key-good"));
    assert_eq!((seat_answer(engine, seat, number + 1), seat_answer(engine, seat + 1, number)), (None, None));
    assert_eq!(seat_ready(engine, seat + 1), GONE);
    host.call(engine, "config", json!({"account": "a", "application": "sandbox-key"})).unwrap();
    let run = json!({"account": "a", "application": "sandbox-key", "workflow": "sync", "payload": {"n": 1}});
    assert_eq!(host.call(engine, "run_workflow", run).unwrap(), json!({"n": 1}));
    call_start(engine, 2, br#"{"op":"close"}"#.to_vec()).unwrap();
    assert_eq!(host.ended(2).unwrap(), Value::Null);
    engine_release(engine);
    assert_eq!((seat_ready(engine, seat), seat_answer(engine, seat, number)), (GONE, None));
    assert_eq!(code(&seat_take(engine, Vec::new()).unwrap_err()), "closed");
    assert_eq!(code(&engine_capabilities(engine).unwrap_err()), "closed");
}

#[test]
fn a_seat_is_told_what_core_has_let_go_of() {
    let host = Host::new();
    let engine = host.open();
    host.call(engine, "upsert_account", json!({"id": "a"})).unwrap();
    let inputs = json!({"key": "sandbox-key-good", "workspace": "acme"});
    let connect = |inputs: &Value| {
        let connect = json!({"account": "a", "application": "sandbox-key", "inputs": inputs});
        host.call(engine, "connect", connect).unwrap()
    };
    connect(&inputs);
    let take = || seat_take(engine, br#"{"op":"credential"}{"account":"a","application":"sandbox-key"}"#.to_vec()).unwrap();
    let (one, other) = (take(), take());
    host.credential(engine, "sandbox-key");
    let number = seat_ready(engine, one);
    assert!(seat_answer(engine, one, number).is_some());
    host.call(engine, "disconnect", json!({"account": "a", "application": "sandbox-key"})).unwrap();
    assert_eq!(seat_ready(engine, one), WAITS);
    assert_eq!(seat_answer(engine, one, number), None, "what is gone is not handed out");
    connect(&inputs);
    host.credential(engine, "sandbox-key");
    let next = seat_ready(engine, other);
    assert_ne!(next, number);
    let mut told = seat_answer(engine, other, next).unwrap();
    told.truncate(12);
    assert_eq!(told, [&1u32.to_le_bytes()[..], &one.to_le_bytes()[..]].concat(), "the other seat's was let go of");
    seats_clear(engine);
    assert_eq!((seat_ready(engine, one), seat_ready(engine, other)), (GONE, GONE));
    assert!(seat_take(engine, b"{\"op\":\"credential\"}{}".to_vec()).is_err());
    engine_release(engine);
    seats_clear(engine);
}

/// Both languages read the same file.
#[test]
fn a_packed_credential_is_what_its_readers_read() {
    let text = |text: &str| text.to_owned();
    let credential = Credential {
        connection_id: text("conn_1"),
        application: text("acme"),
        auth_type: AuthType::Oauth2,
        access_token: Some(Secret::new("token")),
        token_type: None,
        expires_at: Some(Timestamp::from_millis(-1)),
        scopes: vec![text("read"), text(""), text("é😀")],
        values: [(text("key"), Secret::new("k\0\""))].into(),
        properties: [(text("a"), text("1")), (text("b"), text(""))].into(),
    };
    let hex: String = packed::credential(&credential).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("../packed.hex").replace('\n', ""));
}

#[test]
fn mistakes_name_no_value_and_end_their_own_call() {
    let host = Host::new();
    let engine = host.open();
    for text in ["", "{", "[]", r#"{"op":"no_such"}{}"#, r#"{"op":"get_account"}"#, r#"{"op":"get_account"}{"account":"hush","x":1}"#] {
        call_start(engine, 2, text.as_bytes().to_vec()).unwrap();
        let error = host.ended(2).unwrap_err();
        assert!(matches!(error["code"].as_str(), Some("invalid_request" | "unsupported")), "{text}: {error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    let options = json!({"key": {"hush": 1}, "pat": "x"});
    open_embedded(host.0, 3, format!("{options}{{}}").into_bytes()).unwrap();
    let error = host.ended(3).unwrap_err();
    assert_eq!((&error["code"], error.to_string().contains("hush")), (&json!("invalid_request"), false));
    assert!(open_remote(host.0, br#"{"url":"ftp://x","api_key":"tk"}{}"#.to_vec()).is_err());
    assert_eq!(host.call(engine, "count_accounts", json!({})).unwrap(), 0);
}

#[test]
fn s77_a_panic_and_a_cancel_end_their_own_call() {
    let host = Host::new();
    let engine = host.open();
    assert_eq!(host.call(engine, "panic", json!({})).unwrap_err()["code"], "internal");
    call_start(engine, 2, br#"{"op":"events"}{"since":"now","wait":600}"#.to_vec()).unwrap();
    let ended = port_ended(host.0).unwrap();
    call_cancel(host.0, 2).unwrap();
    assert_eq!(host.ended(2).unwrap_err()["code"], "cancelled");
    // It is counted behind what tells of it.
    while port_ended(host.0).unwrap() == ended {
        std::thread::yield_now();
    }
    call_cancel(host.0, 2).unwrap();
    assert_eq!(host.call(engine, "count_accounts", json!({})).unwrap(), 0);
}

/// Every function that the host can call, with arguments that mean nothing: a panic in it is an error or nothing, and passes no further.
#[test]
fn s77_a_panic_in_any_exported_function_ends_there() {
    type Function<T> = (&'static str, fn() -> T);
    fn failed<T>(ended: Result<T, Failed>) -> Option<Failed> {
        ended.err()
    }
    let raised: [Function<Option<Failed>>; 16] = [
        ("call_start", || failed(call_start(0, 0, Vec::new()))),
        ("engine_capabilities", || failed(engine_capabilities(0))),
        ("seat_take", || failed(seat_take(0, Vec::new()))),
        ("host_answer", || failed(host_answer(0, 0, Vec::new()))),
        ("open_embedded", || failed(open_embedded(0, 0, Vec::new()))),
        ("open_remote", || failed(open_remote(0, Vec::new()))),
        ("open_session", || failed(open_session(0, Vec::new()))),
        ("port_take", || failed(port_take(0, 0))),
        ("port_ended", || failed(port_ended(0))),
        ("call_cancel", || failed(call_cancel(0, 0))),
        ("clock_advance", || failed(clock_advance(0, 0))),
        ("sandbox_start", || failed(sandbox_start(0, 0))),
        ("sandbox_visit", || failed(sandbox_visit(0, 0, String::new()))),
        ("make_key", || failed(make_key())),
        ("load_manifest", || failed(load_manifest(String::new()))),
        ("verify_webhook", || failed(verify_webhook(Vec::new()))),
    ];
    let quiet: [Function<bool>; 10] = [
        ("engine_release", || matches!(engine_release(0), ())),
        ("seat_ready", || seat_ready(0, 0) == WAITS),
        ("seat_answer", || seat_answer(0, 0, 0).is_none()),
        ("seats_clear", || matches!(seats_clear(0), ())),
        ("port_open", || port_open() == 0),
        ("port_close", || matches!(port_close(0), ())),
        ("clock_open", || clock_open(0) == 0),
        ("clock_release", || matches!(clock_release(0), ())),
        ("sandbox_stop", || matches!(sandbox_stop(0), ())),
        ("version", || version().is_empty()),
    ];
    for (name, call) in raised {
        PANIC.set(true);
        let Some(Failed::Smalt { json }) = call() else { panic!("{name} went well") };
        let error: Value = serde_json::from_slice(&json).unwrap();
        assert!(error["code"] == "internal" && error["reason"].as_str().unwrap().contains("panicked"), "{name}: {error}");
        assert!(!PANIC.get(), "{name} was not reached");
    }
    for (name, call) in quiet {
        PANIC.set(true);
        assert!(call() && !PANIC.get(), "{name}");
    }
    let sources = ["call", "host", "open", "port", "ready", "testing", "tools"];
    let text = sources.map(|name| std::fs::read_to_string(format!("{}/src/{name}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap()).concat();
    let exported: Vec<&str> = text.split("#[uniffi::export]").skip(1).filter_map(|function| function.split(['(', ' ']).nth(2)).collect();
    let known: Vec<&str> = raised.iter().map(|(name, _)| *name).chain(quiet.iter().map(|(name, _)| *name)).collect();
    assert_eq!(exported.len(), known.len(), "{exported:?}");
    assert!(exported.iter().all(|name| known.contains(name)), "{exported:?}");
}

#[test]
fn a_closed_port_takes_nothing_and_holds_nobody() {
    let host = Host::new();
    let engine = host.open();
    call_start(engine, 2, br#"{"op":"events"}{"since":"now","wait":600}"#.to_vec()).unwrap();
    port_close(host.0);
    assert!(port_take(host.0, 60_000).is_err());
    assert!(call_cancel(host.0, 2).is_err());
    engine_release(engine);
}

#[test]
fn tools_need_no_engine() {
    assert!(!version().is_empty() && !make_key().unwrap().is_empty());
    assert_eq!(code(&load_manifest("/no/such/file.toml".into()).unwrap_err()), "manifest_invalid");
    let clock = clock_open(1_000);
    assert_eq!(clock_advance(clock, 500).unwrap(), 1_500);
    clock_release(clock);
    assert!(clock_advance(clock, 1).is_err());
    assert!(verify_webhook(b"{}".to_vec()).is_err());
}
