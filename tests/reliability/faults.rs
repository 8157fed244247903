//! What providers do wrong, at each of the four calls that the engine makes by itself: exchange, refresh, revoke and the
//! trial of a key.

use std::{
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use smalt::{
    Code, Secret, Smalt,
    backend::{Disconnect, ImportConnection, StartConnect},
    engine::Timings,
    manifest::AppManifest,
    model::{ConnectionStatus, FlowStatus, RevocationOutcome},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::bomb::bomb;
use crate::stage::{HOUR, Stage, timings, until};

/// What the provider does instead of answering well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    Error500,
    Busy503,
    Limited429,
    /// The port is closed.
    Refused,
    /// A certificate is expected where there is no TLS.
    NoTls,
    /// The connection is closed before an answer.
    Closed,
    /// Nothing comes, ever.
    Silent,
    /// A byte a second.
    Drip,
    Html,
    BadJson,
    /// Fewer bytes than promised.
    Truncated,
    /// Reset in the middle of the body.
    Reset,
    Empty,
    /// A good answer, form-encoded.
    Form,
    /// 100 KiB that unpack to 16 MiB and a good answer.
    GzipBomb,
    /// 256 MiB.
    Huge,
    /// A head of 1 MiB.
    LongHead,
    /// Somewhere else.
    Redirect,
    /// No HTTP at all.
    Noise,
    /// A chunk whose size is no number.
    BadChunk,
}

pub const ALL: [Fault; 20] = [
    Fault::Error500,
    Fault::Busy503,
    Fault::Limited429,
    Fault::Refused,
    Fault::NoTls,
    Fault::Closed,
    Fault::Silent,
    Fault::Drip,
    Fault::Html,
    Fault::BadJson,
    Fault::Truncated,
    Fault::Reset,
    Fault::Empty,
    Fault::Form,
    Fault::GzipBomb,
    Fault::Huge,
    Fault::LongHead,
    Fault::Redirect,
    Fault::Noise,
    Fault::BadChunk,
];

/// A provider that speaks by hand.
pub struct Provider {
    port: u16,
    fault: Arc<Mutex<Fault>>,
    /// Requests that came in.
    asked: Arc<AtomicU64>,
    /// Bytes of answers that found a taker.
    sent: Arc<AtomicU64>,
    /// Whoever followed a redirect.
    led_away: Arc<AtomicU64>,
}

/// A provider as the test sees it: in this process, or in another one.
pub trait Counterpart {
    /// Where it listens.
    fn port(&self) -> u16;
    /// What it does from now on.
    fn set(&self, fault: Fault);
    /// What came so far.
    fn counted(&self) -> Counted;
}

/// See the fields of [`Provider`].
#[derive(Clone, Copy)]
pub struct Counted {
    pub asked: u64,
    pub sent: u64,
    pub led_away: u64,
}

impl Counterpart for Provider {
    fn port(&self) -> u16 {
        self.port
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn counted(&self) -> Counted {
        let [asked, sent, led_away] = [&self.asked, &self.sent, &self.led_away].map(|count| count.load(Ordering::SeqCst));
        Counted { asked, sent, led_away }
    }
}

fn head(status: &str, more: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{more}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

static TOKEN_BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| bomb(&good("/token")));
static OTHER_BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| bomb(&good("")));

const JSON: &str = "content-type: application/json\r\n";

fn good(path: &str) -> String {
    match path {
        "/token" => {
            json!({"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": 600, "token_type": "Bearer"}).to_string()
        }
        _ => json!({"ok": true, "id": "acme"}).to_string(),
    }
}

impl Provider {
    pub async fn start() -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Provider {
            port: listener.local_addr().unwrap().port(),
            fault: Arc::new(Mutex::new(Fault::None)),
            asked: Arc::default(),
            sent: Arc::default(),
            led_away: Arc::default(),
        };
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (away, led_away) = (elsewhere.local_addr().unwrap().port(), provider.led_away.clone());
        tokio::spawn(async move {
            while elsewhere.accept().await.is_ok() {
                led_away.fetch_add(1, Ordering::SeqCst);
            }
        });
        let (fault, asked, sent) = (provider.fault.clone(), provider.asked.clone(), provider.sent.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fault, asked, sent) = (*fault.lock().unwrap(), asked.clone(), sent.clone());
                tokio::spawn(async move {
                    let _ = answer(stream, fault, away, &asked, &sent).await;
                });
            }
        });
        provider
    }
}

async fn answer(mut stream: TcpStream, fault: Fault, away: u16, asked: &AtomicU64, sent: &AtomicU64) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    // The whole request: the head, and as much body as it promises.
    let path = loop {
        let count = stream.read(&mut piece).await?;
        request.extend_from_slice(&piece[..count]);
        // Somebody begins with TLS.
        if request.first() == Some(&0x16) {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").and_then(|n| n.parse().ok()));
            if body.len() >= length.unwrap_or(0) {
                break head.split(' ').nth(1).unwrap_or_default().to_owned();
            }
        }
        if count == 0 {
            return Ok(());
        }
    };
    asked.fetch_add(1, Ordering::SeqCst);
    let body = good(&path);
    let bytes = match fault {
        Fault::None | Fault::Refused | Fault::NoTls => head("200 OK", JSON, &body),
        Fault::Error500 => head("500 Internal Server Error", "content-type: text/html\r\n", "<h1>Oops</h1>"),
        Fault::Busy503 => head("503 Service Unavailable", "retry-after: 1\r\n", ""),
        Fault::Limited429 => head("429 Too Many Requests", "retry-after: 1\r\n", ""),
        Fault::Closed => return Ok(()),
        Fault::Silent => return std::future::pending().await,
        Fault::Drip => {
            for byte in head("200 OK", JSON, &body) {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return Ok(());
        }
        Fault::Html => head("200 OK", "content-type: text/html\r\n", "<!doctype html><h1>Sign in</h1>"),
        Fault::BadJson => head("200 OK", JSON, "{\"access_token\": \"cut"),
        Fault::Truncated => format!("HTTP/1.1 200 OK\r\n{JSON}content-length: 9999\r\n\r\n{body}").into_bytes(),
        Fault::Reset => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{JSON}content-length: 9999\r\n\r\n{{").as_bytes()).await?;
            // Unread bytes at the close make a reset of it.
            stream.set_zero_linger()?;
            return Ok(());
        }
        Fault::Empty => head("200 OK", JSON, ""),
        Fault::Form => {
            let form = match path.as_str() {
                "/token" => "access_token=new-access&refresh_token=new-refresh&expires_in=600&token_type=Bearer",
                _ => "ok=true&id=acme",
            };
            head("200 OK", "content-type: application/x-www-form-urlencoded\r\n", form)
        }
        Fault::GzipBomb => {
            let body = if path == "/token" { &TOKEN_BOMB } else { &OTHER_BOMB };
            let about =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{JSON}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
            [about.as_bytes(), body.as_slice()].concat()
        }
        Fault::Huge => {
            let length = 256 * 1024 * 1024;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{JSON}content-length: {length}\r\n\r\n").as_bytes()).await?;
            let filler = vec![b' '; 64 * 1024];
            for _ in 0..length / filler.len() {
                stream.write_all(&filler).await?;
                sent.fetch_add(filler.len() as u64, Ordering::SeqCst);
            }
            return Ok(());
        }
        Fault::LongHead => head("200 OK", &format!("{JSON}x-long: {}\r\n", "a".repeat(1024 * 1024)), &body),
        Fault::Redirect => head("307 Temporary Redirect", &format!("location: http://127.0.0.1:{away}{path}\r\n"), ""),
        Fault::Noise => b"220 mail.example ESMTP ready\r\n".to_vec(),
        Fault::BadChunk => format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n").into_bytes(),
    };
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

/// Two applications at one origin: one with OAuth, one with a key.
fn manifests(origin: &str) -> [AppManifest; 2] {
    let one = |slug: &str, rest: Value| {
        let mut manifest = json!({
            "manifest": 1, "slug": slug, "name": slug, "description": "A provider with faults.",
            "api": {"base_url": format!("{origin}/api/")}
        });
        manifest.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(manifest).unwrap()
    };
    [
        one(
            "faulty-oauth",
            json!({"oauth2": {
                "authorize_url": format!("{origin}/authorize"), "token_url": format!("{origin}/token"), "client_auth": "none",
                "scopes": {"default": ["read"]}, "revoke": {"url": format!("{origin}/revoke")}
            }}),
        ),
        one(
            "faulty-key",
            json!({"keybased": {
                "inputs": [{"name": "key", "label": "Key", "type": "password", "secret": true}],
                "placement": {"in": "header", "name": "x-api-key", "value": "{key}"},
                "verify": {"url": format!("{origin}/verify"), "id": "/id", "success": {"pointer": "/ok", "equals": true}}
            }}),
        ),
    ]
}

/// How each call must end: the code of the exchange, of the refresh, of the trial (`None`: it is good), and the revocation.
fn expected(fault: Fault) -> (Option<Code>, Option<Code>, Option<Code>, RevocationOutcome) {
    use RevocationOutcome::{Failed, Queued, Revoked};
    let passing = |code: Code, revocation| (Some(code), Some(Code::RefreshFailed), Some(code), revocation);
    match fault {
        Fault::None => (None, None, None, Revoked),
        Fault::Error500 | Fault::Busy503 | Fault::Closed | Fault::Truncated | Fault::Reset | Fault::BadChunk => {
            passing(Code::ProviderError, Queued)
        }
        Fault::Limited429 => passing(Code::ProviderLimited, Queued),
        Fault::Refused | Fault::NoTls => passing(Code::ProviderUnreachable, Queued),
        Fault::Silent | Fault::Drip => passing(Code::ProviderTimeout, Queued),
        // RFC 7009 section 2.2: 200 is the end of a token, whatever stands in it.
        Fault::Html | Fault::BadJson | Fault::Empty | Fault::GzipBomb => passing(Code::MalformedAnswer, Revoked),
        // A token answer may be a form; the trial of a key is JSON.
        Fault::Form => (None, None, Some(Code::MalformedAnswer), Revoked),
        Fault::Huge => passing(Code::AnswerTooLarge, Queued),
        Fault::LongHead | Fault::Noise => passing(Code::MalformedAnswer, Queued),
        Fault::Redirect => passing(Code::MalformedAnswer, Failed),
    }
}

/// A port of loopback that refuses. It is bound while this lives, so that nobody else is given it, and nobody listens.
fn closed_port() -> (TcpSocket, u16) {
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = closed.local_addr().unwrap().port();
    (closed, port)
}

/// With what keeps the port closed, where it is.
async fn open(provider: &impl Counterpart, fault: Fault) -> (Stage, Smalt, Option<TcpSocket>) {
    let (closed, port) = match fault {
        Fault::Refused => {
            let (closed, port) = closed_port();
            (Some(closed), port)
        }
        _ => (None, provider.port()),
    };
    let scheme = if fault == Fault::NoTls { "https" } else { "http" };
    let project = json!({
        "version": 1,
        "org": {"redirect_uris": ["http://127.0.0.1/callback"]},
        "network": {"allow": [format!("127.0.0.1:{port}")]},
        "apps": {"faulty-oauth": {"client": {"test": {"id": "client"}}}, "faulty-key": {}}
    });
    let [oauth, key] = manifests(&format!("{scheme}://127.0.0.1:{port}"));
    let stage = Stage::new(tempfile::tempdir().unwrap(), &serde_json::from_value(project).unwrap(), &[&oauth, &key]);
    let times = Timings { provider: Duration::from_secs(3), lease: Duration::from_secs(4), ..timings() };
    let smalt = stage.open_with(times).await;
    (stage, smalt, closed)
}

/// Each fault at each call: the right class of error, the right state in the store, and a good end when the fault is over.
/// Five at once, each with an engine and a provider of its own.
#[tokio::test(flavor = "multi_thread")]
async fn r30_every_fault_at_every_call_is_told_apart() {
    let mut wrong = Vec::new();
    for some in ALL.chunks_exact(5) {
        let alone = async |fault| one(fault, &Provider::start().await).await;
        let (a, b, c, d, e) = tokio::join!(alone(some[0]), alone(some[1]), alone(some[2]), alone(some[3]), alone(some[4]));
        wrong.extend([a, b, c, d, e].concat());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What went another way than it must.
pub async fn one(fault: Fault, provider: &impl Counterpart) -> Vec<String> {
    let before = provider.counted();
    let (stage, smalt, _closed) = open(provider, fault).await;
    let (exchange, refresh, trial, revocation) = expected(fault);
    let mut wrong = Vec::new();
    let mut see = |what: &str, good: bool, seen: String| {
        if !good {
            wrong.push(format!("{fault:?}: {what}: {seen}"));
        }
    };

    // Exchange.
    let account = smalt.account("exchanges");
    account.ensure().await.unwrap();
    let options = StartConnect { redirect_uri: Some("http://127.0.0.1/callback".to_owned()), ..StartConnect::default() };
    let started = account.start_connect("faulty-oauth", options).await.unwrap();
    let url = url::Url::parse(&started.authorize_url).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    provider.set(fault);
    let asked = provider.counted().asked;
    let ended = account.finish_connect(format!("http://127.0.0.1/callback?code=c&state={state}"), started.cookie.value).await;
    see("exchange", ended.as_ref().err().map(smalt::Error::code) == exchange, format!("{ended:?}"));
    see("exchange", provider.counted().asked - asked <= 1, "a code was sent twice".to_owned());
    let flow = account.flow(&started.flow_id).status().await.unwrap().status;
    let wanted = if exchange.is_some() { FlowStatus::Failed } else { FlowStatus::Connected };
    see("exchange", flow == wanted, format!("the flow is {flow:?}"));
    let linked = account.connections(None).await.unwrap().len();
    see("exchange", linked == usize::from(exchange.is_none()), format!("{linked} connections"));

    // Refresh.
    let account = smalt.account("refreshes");
    account.ensure().await.unwrap();
    let values = [("access_token", "a"), ("refresh_token", "r")].map(|(name, value)| (name.to_owned(), Secret::new(value)));
    let import = ImportConnection {
        application: "faulty-oauth".to_owned(),
        values: values.into(),
        expires_in: Some(60),
        ..ImportConnection::default()
    };
    account.import(import).await.unwrap();
    stage.clock.shift(HOUR);
    let ended = account.credential("faulty-oauth").await.map(drop);
    see("refresh", ended.as_ref().err().map(smalt::Error::code) == refresh, format!("{ended:?}"));
    let status = account.connections(None).await.unwrap()[0].status;
    see("refresh", status == ConnectionStatus::Active, format!("the connection is {status:?}"));

    // The trial of a key.
    let account = smalt.account("tries");
    account.ensure().await.unwrap();
    let ended = account.connect("faulty-key").input("key", "k-12345678").await;
    see("trial", ended.as_ref().err().map(smalt::Error::code) == trial, format!("{ended:?}"));
    let linked = account.connections(None).await.unwrap().len();
    see("trial", linked == usize::from(trial.is_none()), format!("{linked} connections"));

    // Revoke.
    let account = smalt.account("revokes");
    account.ensure().await.unwrap();
    let values = [("access_token", "b"), ("refresh_token", "s")].map(|(name, value)| (name.to_owned(), Secret::new(value)));
    let import = ImportConnection {
        application: "faulty-oauth".to_owned(),
        values: values.into(),
        expires_in: Some(60),
        ..ImportConnection::default()
    };
    account.import(import).await.unwrap();
    let options = Disconnect { application: "faulty-oauth".to_owned(), wait: Some(Duration::ZERO), ..Disconnect::default() };
    let receipt = account.disconnect_with(options).await.unwrap().id;
    until("the revocation was tried", async || account.receipt(&receipt).await.unwrap().connections[0].attempts > 0).await;
    let tried = account.receipt(&receipt).await.unwrap().connections[0].revocation;
    see("revoke", tried == revocation, format!("{tried:?}"));

    // When it is over, what was kept for later ends well.
    provider.set(Fault::None);
    if !matches!(fault, Fault::Refused | Fault::NoTls) {
        let wanted = if revocation == RevocationOutcome::Failed { RevocationOutcome::Failed } else { RevocationOutcome::Revoked };
        until("the revocation ends", async || account.receipt(&receipt).await.unwrap().connections[0].revocation == wanted).await;
        let account = smalt.account("refreshes");
        until("the token is renewed", async || account.credential("faulty-oauth").await.is_ok()).await;
    }
    smalt.close().await;
    let counted = provider.counted();
    see("redirect", counted.led_away == 0, "it was followed".to_owned());
    // Of 256 MiB a call takes what fits into its limit and the sockets' buffers.
    let taken = (counted.sent - before.sent) / (1024 * 1024);
    let answers = (counted.asked - before.asked).max(1);
    see("an endless answer", taken < 32 * answers, format!("{taken} MiB were taken of {answers}"));
    wrong
}
