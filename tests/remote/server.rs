//! A server that answers as it is told, and remembers what it was sent.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use smalt::{model::Json, operations::Operation};

/// What becomes of one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// 200 with this body.
    Good(Json),
    /// The same, packed.
    Packed(Json),
    /// 200 with these bytes as its packed body.
    Bomb(Arc<Vec<u8>>),
    /// 200 whose packed body ends early, is changed, or is none.
    BadlyPacked(&'static str),
    /// The connection is cut before anything is answered.
    Reset,
    /// The head promises more than comes.
    HalfBody,
    /// A whole answer whose JSON ends early.
    HalfJson,
    /// 200 with a page.
    Page,
    /// JSON that never ends.
    Endless,
    /// This status, `retry-after` in seconds, and this body.
    Status(u16, Option<u64>, &'static str),
    /// Nothing, until the client goes away.
    Silence,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub head: String,
}

#[derive(Default)]
struct State {
    script: VecDeque<Fault>,
    seen: Vec<Seen>,
    endless: u64,
}

/// It listens until the test ends.
pub struct FaultServer {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl FaultServer {
    /// Answers with these, in order; what comes after them gets 599.
    pub fn start(script: impl IntoIterator<Item = Fault>) -> FaultServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { script: script.into_iter().collect(), ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        FaultServer { url, state }
    }

    /// What was asked for, without the question what the server can do.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.iter().filter(|seen| !seen.path.ends_with("/capabilities")).cloned().collect()
    }

    /// How many bytes of an endless answer were taken.
    pub fn endless(&self) -> u64 {
        self.state.lock().unwrap().endless
    }
}

/// What a server says that can do everything.
pub fn capabilities() -> Json {
    let operations: Vec<_> = Operation::ALL.iter().map(|operation| operation.row().name).collect();
    json!({"backend": "embedded", "version": "0.1.0", "operations": operations, "workflows": false, "presenter": false})
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    while let Some(head) = read_head(&mut stream) {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let fault = {
            let mut state = state.lock().unwrap();
            state.seen.push(Seen { path: path.clone(), head: head.clone() });
            match path.ends_with("/smalt/v1/capabilities") {
                true => Fault::Good(capabilities()),
                false => state.script.pop_front().unwrap_or(Fault::Status(599, None, "{}")),
            }
        };
        // Bytes that nobody has read make the system answer with a reset.
        if matches!(fault, Fault::Reset) {
            return;
        }
        read_body(&mut stream, &head);
        if !answer(&mut stream, fault, state) {
            return;
        }
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn read_body(stream: &mut TcpStream, head: &str) {
    let length = head.to_ascii_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
}

fn whole(stream: &mut TcpStream, status: u16, content_type: &str, more: &str, body: &str) -> bool {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n{more}x-request-id: at-the-server\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).is_ok()
}

fn pack(pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    pieces.iter().for_each(|piece| encoder.write_all(piece).unwrap());
    encoder.finish().unwrap()
}

/// Less than 2 MB that unpack to 256 MiB of blanks. Made beforehand: it takes a while.
pub fn bomb() -> Fault {
    let blanks = vec![b' '; 1 << 20];
    let bytes = pack(&vec![&blanks[..]; 256]);
    assert!(bytes.len() < 2 << 20);
    Fault::Bomb(Arc::new(bytes))
}

fn packed(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let head =
        format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes)).is_ok()
}

/// Whether the connection goes on.
fn answer(stream: &mut TcpStream, fault: Fault, state: &Mutex<State>) -> bool {
    match fault {
        Fault::Good(body) => whole(stream, 200, "application/json", "", &body.to_string()),
        Fault::Packed(body) => packed(stream, &pack(&[body.to_string().as_bytes()])),
        Fault::Bomb(bytes) => packed(stream, &bytes),
        Fault::BadlyPacked(how) => {
            let mut bytes = pack(&[br#"{"id": "acme-1", "record_id": "r"}"#]);
            match how {
                "cut" => bytes.truncate(bytes.len() - 10),
                "changed" => *bytes.iter_mut().rev().nth(5).unwrap() ^= 1,
                _ => bytes = b"{\"id\": \"acme-1\"}".to_vec(),
            }
            packed(stream, &bytes)
        }
        Fault::HalfJson => whole(stream, 200, "application/json", "", r#"{"id": "acme-1", "rec"#),
        Fault::Page => whole(stream, 200, "text/html", "", "<!doctype html><title>Please log in</title>"),
        Fault::Status(status, wait, body) => {
            let more = wait.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
            whole(stream, status, "application/json", &more, body)
        }
        Fault::HalfBody => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"id\": ");
            false
        }
        Fault::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
            let piece = [b' '; 64 * 1024];
            // 1 GiB is as good as endless.
            for _ in 0..16 * 1024 {
                let sent = stream.write_all(b"10000\r\n").and_then(|()| stream.write_all(&piece)).and_then(|()| stream.write_all(b"\r\n"));
                if sent.is_err() {
                    break;
                }
                state.lock().unwrap().endless += piece.len() as u64;
            }
            false
        }
        Fault::Silence => {
            let _ = stream.read(&mut [0]);
            false
        }
        Fault::Reset => false,
    }
}
