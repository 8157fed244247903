//! SIGTERM to a server that is at work, as a service manager sends it.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::{
    folder::Folder,
    serve::{ask, first, text},
};

/// Requests of which the server has the head and waits for the body when it is stopped.
const HELD: usize = 16;
/// Clients that write one account after the other, half of them over a connection each time.
const WRITERS: usize = 8;
/// Far longer than anything here takes, and so a hang.
const HANG: Duration = Duration::from_secs(120);

fn connect(host: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(HANG))?;
    Ok(stream)
}

/// A request that writes an account, as far as its body.
fn head(id: &str, key: &str, more: &str) -> (String, String) {
    let body = format!("{{\"linked_account_id\":\"{id}\",\"name\":\"Name of {id}\"}}");
    let head = format!(
        "PUT /api/v2/public/linked-account HTTP/1.1\r\nhost: smalt\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n",
        body.len()
    );
    (head, body)
}

/// The answer: `None` where not one byte of it came; a part of one is a failure.
fn answer(stream: &mut TcpStream) -> Option<String> {
    let mut said = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&said).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() >= length.parse::<usize>().unwrap() {
                assert_eq!(body.len().to_string(), length, "{text}");
                return Some(text);
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => said.extend_from_slice(&piece[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break,
            Err(error) => panic!("no end: {error}"),
        }
    }
    assert!(said.is_empty(), "cut off: {}", String::from_utf8_lossy(&said));
    None
}

/// What the writers found out.
#[derive(Default)]
struct Seen {
    /// Accounts whose writing was answered with 200.
    acknowledged: Mutex<Vec<String>>,
    count: AtomicUsize,
    is_stopped: AtomicBool,
}

impl Seen {
    /// Writes until the server is gone.
    fn write(&self, host: &str, key: &str, writer: usize) {
        let keeps = writer.is_multiple_of(2);
        let mut kept: Option<TcpStream> = None;
        for at in 0.. {
            let id = format!("writer-{writer}-{at}");
            let is_new = kept.is_none();
            let opened = match kept.take() {
                Some(stream) => Ok(stream),
                None => connect(host),
            };
            let before = !self.is_stopped.load(SeqCst);
            let Ok(mut stream) = opened else {
                assert!(!before, "{id}: refused before anybody stopped it");
                return;
            };
            let (head, body) = head(&id, key, if keeps { "" } else { "connection: close\r\n" });
            let is_sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_ok();
            // Sent whole, over a connection of its own, before the signal was: it is under way, wherever it is by now.
            let is_under_way = is_sent && is_new && !self.is_stopped.load(SeqCst);
            let said = is_sent.then(|| answer(&mut stream)).flatten();
            match said {
                Some(said) => {
                    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{id}: {said}");
                    assert!(said.contains(&id), "{said}");
                    self.acknowledged.lock().unwrap().push(id);
                    self.count.fetch_add(1, SeqCst);
                    if keeps && !said.to_ascii_lowercase().contains("connection: close") {
                        kept = Some(stream);
                    }
                }
                None => {
                    assert!(!is_under_way, "{id} was sent before the signal and got no answer");
                    assert!(self.is_stopped.load(SeqCst), "{id} got no answer, and nobody stopped the server");
                }
            }
        }
    }
}

#[test]
fn r72_sigterm_under_load_loses_nothing() {
    let folder = Folder::initialised();
    let quick = "\n[server]\nstop_time = 12\n[server.rates]\nguesses = 0\naddress = 0\nkey = 0\ntenant = 0\n";
    folder.write("smalt.toml", &format!("{}{quick}", folder.read("smalt.toml")));
    let key = folder.run(&["keys", "api", "create", "--json"]).ok().json()["key"].as_str().unwrap().to_owned();
    let rounds = if std::env::var_os("SMALT_FULL").is_some() { 10 } else { 1 };
    let serve = ["serve", "--listen", "127.0.0.1:0", "--json"];
    for round in 0..rounds {
        let mut serving = folder.begin(&serve);
        let url = text(&first(&mut serving), "url").to_owned();
        let host = url.strip_prefix("http://").unwrap();

        let mut held = Vec::new();
        for at in 0..HELD {
            let id = format!("held-{round}-{at}");
            let mut stream = connect(host).unwrap();
            let (head, body) = head(&id, &key, "expect: 100-continue\r\nconnection: close\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let mut go_on = [0; 25];
            // The server reads the body now: the request is under way.
            stream.read_exact(&mut go_on).unwrap();
            assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
            held.push((id, stream, body));
        }
        let mut stalled = Vec::new();
        for begun in [&b""[..], b"G", b"GET / HTTP/1.1\r\nx: ", b"GET /healthz HTTP/1.1\r\nhost: smalt\r\n\r\n"] {
            let mut stream = connect(host).unwrap();
            stream.write_all(begun).unwrap();
            stalled.push(stream);
        }

        let seen = Seen::default();
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (seen, key) = (&seen, &key);
                scope.spawn(move || seen.write(host, key, round * WRITERS + writer));
            }
            while seen.count.load(SeqCst) < 10 * WRITERS {
                std::thread::sleep(Duration::from_millis(5));
            }
            seen.is_stopped.store(true, SeqCst);
            serving.terminate();
            // New ones are refused from then on, while those that were asked before are not answered yet.
            while TcpStream::connect(host).is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
            for (id, stream, body) in &mut held {
                stream.write_all(body.as_bytes()).unwrap_or_else(|error| panic!("{id}: {error}"));
                let said = answer(stream).unwrap_or_else(|| panic!("{id} was under way and got no answer"));
                assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains(id.as_str()), "{said}");
            }
        });
        let ended = serving.end();
        assert_eq!(ended.code, 0, "{}", ended.all());
        drop(stalled);

        // Another start, by the same words; what was acknowledged is there.
        let mut serving = folder.begin(&serve);
        let url = text(&first(&mut serving), "url").to_owned();
        let acknowledged = seen.acknowledged.into_inner().unwrap();
        assert!(acknowledged.len() >= 10 * WRITERS);
        for id in acknowledged.iter().chain(held.iter().map(|(id, _, _)| id)) {
            let said = ask(&url, "GET", &format!("/api/v2/public/linked-account/{id}"), &[("x-api-key", &key)], "");
            assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains(&format!("Name of {id}")), "{id} is lost: {said}");
        }
        serving.terminate();
        assert_eq!(serving.end().code, 0);
    }
}
