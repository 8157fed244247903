//! The surface as a host uses it, without one.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "embedded")]
mod engine;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread::JoinHandle,
};

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

/// Says what it can do, answers one call with this, and tells what that was.
fn serves(operation: &'static str, answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let able =
        json!({"backend": "embedded", "version": "1", "operations": [operation], "workflows": false, "presenter": false}).to_string();
    let serving = std::thread::spawn(move || {
        let mut head = String::new();
        for body in [able.as_str(), answer] {
            let mut caller = BufReader::new(listener.accept().unwrap().0);
            head.clear();
            while !head.ends_with("\r\n\r\n") {
                assert!(caller.read_line(&mut head).unwrap() > 0, "the call has no end: {head}");
            }
            head.make_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            caller.read_exact(&mut vec![0; length]).unwrap();
            let length = body.len();
            let told =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
            caller.get_mut().write_all(told.as_bytes()).unwrap();
        }
        head
    });
    (url, serving)
}

#[test]
fn a_session_and_a_handle_speak_to_a_server() {
    let host = Host::new();
    let (url, serving) = serves("list_apps", "[]");
    let options = json!({"url": url, "token": "of-a-session", "proxy": false});
    let session = open_session(host.0, format!("{options}{{}}").into_bytes()).unwrap();
    let head = json!({"op": "list_apps", "token": "of-a-session"});
    call_start(session, 2, format!("{head}{}", json!({"account": ""})).into_bytes()).unwrap();
    assert_eq!(host.ended(2).unwrap(), json!([]));
    assert!(serving.join().unwrap().contains("authorization: bearer of-a-session"));
    engine_release(session);
    let (url, serving) = serves("count_accounts", "3");
    let options = json!({"url": url, "api_key": "of-an-organisation", "proxy": false});
    let engine = open_remote(host.0, format!("{options}{{}}").into_bytes()).unwrap();
    assert_eq!(host.call(engine, "count_accounts", json!({})).unwrap(), 3);
    assert!(serving.join().unwrap().contains("of-an-organisation"));
    engine_release(engine);
}

#[test]
fn s41_options_that_cannot_be_read_are_told_without_a_value() {
    let host = Host::new();
    let said = |options: Value| {
        let Err(Failed::Smalt { json }) = open_remote(host.0, options.to_string().into_bytes()) else { panic!("{options} was taken") };
        let error: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(error["code"], "invalid_request");
        error["reason"].as_str().unwrap().to_owned()
    };
    assert!(said(json!({"api_kye": "canary"})).starts_with("the options: there is no `api_kye`"));
    assert!(said(json!({"api_key": {"canary": "canary"}})).starts_with("the options: a value has another type"));
    let Err(Failed::Smalt { json }) = open_remote(host.0, br#"{"api_key": canary"#.to_vec()) else { panic!("broken JSON was taken") };
    let broken = String::from_utf8(json).unwrap();
    assert!(broken.contains("the options: this is no JSON") && !broken.contains("canary"), "{broken}");
    for wrong in [json!({"retries": "canary"}), json!({"presenter": "canary"}), json!("canary"), json!(["canary"])] {
        assert!(!said(wrong).contains("canary"));
    }
    assert!(said(json!({"x".repeat(65): 1})).contains("another type"), "the name of a field is short");
}

#[cfg(not(feature = "embedded"))]
#[test]
fn what_needs_the_engine_says_that_there_is_none() {
    let host = Host::new();
    assert_eq!(code(&make_key().unwrap_err()), "unsupported");
    assert_eq!(code(&load_manifest("/no/such/file.toml".into()).unwrap_err()), "unsupported");
    open_embedded(host.0, 2, b"{}{}".to_vec()).unwrap();
    assert_eq!(host.ended(2).unwrap_err()["code"], "unsupported");
    sandbox_start(host.0, 2).unwrap();
    assert_eq!(host.ended(2).unwrap_err()["code"], "unsupported");
    sandbox_visit(host.0, 2, "http://127.0.0.1:9/".into()).unwrap();
    assert_eq!(host.ended(2).unwrap_err()["code"], "unsupported");
}

#[test]
fn tools_need_no_engine() {
    assert!(!version().is_empty());
    #[cfg(feature = "embedded")]
    {
        assert!(!make_key().unwrap().is_empty());
        assert_eq!(code(&load_manifest("/no/such/file.toml".into()).unwrap_err()), "manifest_invalid");
    }
    let clock = clock_open(1_000);
    assert_eq!(clock_advance(clock, 500).unwrap(), 1_500);
    clock_release(clock);
    assert!(clock_advance(clock, 1).is_err());
    assert!(verify_webhook(b"{}".to_vec()).is_err());
}
