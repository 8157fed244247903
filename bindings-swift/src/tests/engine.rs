//! With the engine in the library.

use super::*;

impl Host {
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

/// A body in parts is known by its call's number, to its own engine, and as long as that call.
#[test]
fn a_body_in_parts_goes_with_its_call() {
    let host = Host::new();
    let (engine, other) = (host.open(), host.open());
    let begin = |number: u64, application: &str| {
        let request = json!({"account": "a", "application": application, "method": "PUT", "path": "echo"});
        let upload = json!({"request": request, "content_type": "text/plain"});
        call_start(engine, number, format!("{}{upload}", json!({"op": "upload"})).into_bytes()).unwrap();
    };
    let part = |number: u64, part: &[u8]| [json!({"op": "upload_part", "upload": number}).to_string().as_bytes(), part].concat();
    let give = |engine: u64, number: u64, bytes: &[u8]| {
        call_start(engine, 2, part(number, bytes)).unwrap();
        host.ended(2).unwrap()
    };
    let left = || ENGINES.get(engine).unwrap().uploads.is_empty();
    host.call(engine, "upsert_account", json!({"id": "a"})).unwrap();
    begin(9, "sandbox-key");
    assert_eq!(host.ended(9).unwrap_err()["code"], "not_connected");
    assert_eq!((give(engine, 9, b"hel"), left()), (json!(false), true), "nobody takes it");
    let inputs = json!({"key": "sandbox-key-good", "workspace": "acme"});
    host.call(engine, "connect", json!({"account": "a", "application": "sandbox-key", "inputs": inputs})).unwrap();
    begin(10, "sandbox-key");
    assert_eq!(give(other, 10, b"xxx"), false, "it is another engine's");
    assert_eq!((give(engine, 10, b"hel"), give(engine, 10, b" \0{\"\xff")), (json!(true), json!(true)));
    assert!(!left());
    call_start(engine, 2, br#"{"op":"upload_part"}hush"#.to_vec()).unwrap();
    let error = host.ended(2).unwrap_err();
    assert!(error["code"] == "invalid_request" && !error.to_string().contains("hush"), "{error}");
    // The answer may come before that of the end.
    call_start(engine, 2, part(10, b"")).unwrap();
    let answer = host.ended(10).unwrap();
    let body: smalt_bridge::host::Bytes = serde_json::from_value(answer["body"].clone()).unwrap();
    let body: Value = serde_json::from_slice(&body.0).unwrap();
    assert_eq!((&answer["status"], &body["body"]), (&json!(200), &json!("hel \0{\"\u{fffd}")));
    assert!(left());
    // Cancelled, it is gone with its call.
    begin(11, "sandbox-key");
    assert_eq!((give(engine, 11, b"hel"), left()), (json!(true), false));
    call_cancel(host.0, 11).unwrap();
    assert_eq!(host.ended(11).unwrap_err()["code"], "cancelled");
    while !left() {
        std::thread::yield_now();
    }
    assert_eq!(give(engine, 11, b"lo"), false);
    begin(12, "");
    assert!(host.ended(12).is_err() && left());
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
