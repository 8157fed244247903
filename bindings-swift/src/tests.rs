//! The surface as a host uses it, without one.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::{call::*, error::Failed, host::host_answer, open::*, port::*, testing::*, tools::*};

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
    let ready = |application: &str| {
        let request = json!({"account": "a", "application": application});
        call_ready(engine, format!("{}{request}", json!({"op": "credential"})).into_bytes())
    };
    // The first one is audited, which waits; then it is in memory.
    host.call(engine, "credential", json!({"account": "a", "application": "sandbox-key"})).unwrap();
    let credential: Value = serde_json::from_slice(&ready("sandbox-key").unwrap().unwrap()).unwrap();
    assert_eq!(credential["values"]["key"], "sandbox-key-good");
    host.call(engine, "config", json!({"account": "a", "application": "sandbox-key"})).unwrap();
    let run = json!({"account": "a", "application": "sandbox-key", "workflow": "sync", "payload": {"n": 1}});
    assert_eq!(host.call(engine, "run_workflow", run).unwrap(), json!({"n": 1}));
    host.call(engine, "close", json!({})).unwrap();
    engine_release(engine);
    assert_eq!(code(&ready("sandbox-key").unwrap_err()), "closed");
    assert_eq!(code(&engine_capabilities(engine).unwrap_err()), "closed");
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
    call_cancel(host.0, 2).unwrap();
    assert_eq!(host.ended(2).unwrap_err()["code"], "cancelled");
    call_cancel(host.0, 2).unwrap();
    assert_eq!(host.call(engine, "count_accounts", json!({})).unwrap(), 0);
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
