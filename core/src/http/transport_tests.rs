#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::{
    Code,
    manifest::template::{self, Values},
};

/// A server on loopback; each connection is given to `serve`. Counts connections, and keeps what `serve` reports.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(serve: impl Fn(TcpStream) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counter, sink, serve) = (connections.clone(), seen.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                let (sink, serve) = (sink.clone(), serve.clone());
                std::thread::spawn(move || {
                    if let Some(request) = serve(stream) {
                        sink.lock().unwrap().push(request);
                    }
                });
            }
        });
        Self { port, connections, seen }
    }

    /// Answers every request with these bytes, then closes.
    fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut stream| {
            let request = read_request(&mut stream)?;
            let _ = stream.write_all(&answer);
            Some(request)
        })
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests so far; a server's thread may report a moment after the client has its answer.
    async fn seen(&self, at_least: usize) -> Vec<String> {
        loop {
            let seen = self.seen.lock().unwrap().clone();
            if seen.len() >= at_least {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn url(&self, path: &str) -> url::Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    fn listed(&self) -> AddressPolicy {
        AddressPolicy::default().with(HostPort::of(&self.url("/")).unwrap())
    }
}

/// Head and body of one request, as text; None when the client left before sending one.
fn read_request(stream: &mut impl Read) -> Option<String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Mixed: Yes\r\nconnection: close\r\n\r\nok";

/// Never opens the breaker, and gives up soon.
fn patient() -> TransportOptions {
    let breaker = BreakerSettings { failures: u32::MAX, ..BreakerSettings::default() };
    TransportOptions { breaker, connect_timeout: Duration::from_secs(2), ..TransportOptions::default() }
}

fn resolving(answer: impl Fn() -> Vec<IpAddr> + Send + Sync + 'static) -> Lookup {
    Arc::new(move |_| {
        let found = answer();
        Box::pin(async move { Ok(found) })
    })
}

fn loopback() -> IpAddr {
    [127, 0, 0, 1].into()
}

fn transport(policy: AddressPolicy, options: TransportOptions) -> ReqwestTransport {
    ReqwestTransport::with_options(policy, options).unwrap()
}

fn get(url: &str) -> HttpRequest {
    HttpRequest::new("GET", url.parse().unwrap())
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let server = Server::answering(OK);
    let transport = ReqwestTransport::new(server.listed()).unwrap();
    let mut request = HttpRequest::new("POST", server.url("/a?b=c"));
    request.set_header("authorization", "Bearer t").unwrap();
    request.set_body("application/json", "{}");
    let answer = transport.send(request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice(), answer.header("x-mixed")), (200, b"ok".as_slice(), Some("Yes")));
    assert!(answer.headers.iter().all(|(name, _)| *name == name.to_ascii_lowercase()));
    let seen = server.seen(1).await.remove(0);
    let head = seen.to_ascii_lowercase();
    assert!(
        head.starts_with("post /a?b=c http/1.1\r\n") && head.contains("\r\nauthorization: bearer t\r\n") && seen.ends_with("\r\n\r\n{}"),
        "{seen}"
    );
    assert!(!head.contains("accept-encoding") && !head.contains("cookie") && !head.contains("referer"), "{seen}");
    transport.set_policy(AddressPolicy::default());
    let again = transport.send(HttpRequest::new("GET", server.url("/"))).await.unwrap_err();
    assert!(again.is(Code::AddressRefused));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn s51_the_address_connected_to_decides() {
    let server = Server::answering(OK);
    let url = format!("https://rebind.test:{}/", server.port);
    // An address of the public internet that nobody was given: it can't be reached from anywhere.
    let public: IpAddr = "2d00::1".parse().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let flip = resolving(move || match counter.fetch_add(1, Ordering::SeqCst) % 10 {
        0 => vec![public],
        1 => vec![public, loopback()],
        _ => vec![loopback()],
    });
    let options = TransportOptions { connect_timeout: Duration::from_millis(50), lookup: flip, ..patient() };
    let guarded = transport(AddressPolicy::default(), options);
    let mut refused = 0;
    for _ in 0..100 {
        let error = guarded.send(get(&url)).await.unwrap_err();
        assert!(error.is(Code::AddressRefused) || error.is(Code::ProviderUnreachable), "{error}");
        refused += usize::from(error.is(Code::AddressRefused));
    }
    assert_eq!((refused, server.connections()), (80, 0));
    assert_eq!(calls.load(Ordering::SeqCst), 100);

    // The same name on the list does get there: the test could have failed.
    let policy = AddressPolicy::default().with(HostPort::parse("rebind.test").unwrap());
    let listed = transport(policy, TransportOptions { lookup: resolving(|| vec![loopback()]), ..patient() });
    assert!(listed.send(get(&url.replace("https", "http"))).await.is_ok());
    assert_eq!(server.connections(), 1);

    // A listed port does not open the host's others.
    let other = AddressPolicy::default().with(HostPort::parse("rebind.test:1").unwrap());
    listed.set_policy(other);
    assert!(listed.send(get(&url)).await.unwrap_err().is(Code::AddressRefused));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn s52_redirects_are_not_followed() {
    let second = Server::answering(OK);
    for status in [301, 302, 303, 307, 308] {
        let location = second.url("/stolen");
        let first =
            Server::answering(format!("HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        let policy = first.listed().with(HostPort::of(&location).unwrap());
        let transport = transport(policy, patient());
        for method in ["GET", "POST"] {
            let mut request = HttpRequest::new(method, first.url("/"));
            request.set_header("authorization", "Bearer secret").unwrap();
            if method == "POST" {
                request.set_body("text/plain", "secret");
            }
            let answer = transport.send(request).await.unwrap();
            assert_eq!((answer.status, answer.header("location")), (status, Some(location.as_str())));
        }
        assert_eq!(first.connections(), 2);
    }
    assert_eq!(second.connections(), 0);
}

/// A certificate authority and what it signs.
struct Authority(Issuer<'static, KeyPair>, CertificateDer<'static>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self(Issuer::new(params, key), certificate)
    }

    fn sign(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().der().clone(), key.serialize_der().try_into().unwrap())
    }
}

fn tls_server((certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>)) -> Server {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    Server::start(move |stream| {
        let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream);
        let request = read_request(&mut stream)?;
        let _ = stream.write_all(OK);
        stream.conn.send_close_notify();
        let _ = stream.flush();
        Some(request)
    })
}

#[tokio::test]
async fn s53_only_https_with_a_right_certificate() {
    let authority = Authority::new();
    let self_signed = || {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["good.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.der().clone(), key.serialize_der().try_into().unwrap())
    };
    let mut roots = RootCertStore::empty();
    roots.add(authority.1.clone()).unwrap();
    // The private address is on the list, so that nothing but the certificate decides.
    let policy = AddressPolicy::default().with(HostPort::parse("good.test").unwrap());
    let options = TransportOptions { roots: Some(roots), lookup: resolving(|| vec![loopback()]), ..patient() };
    let guarded = transport(policy.clone(), options.clone());
    let call = |server: &Server| get(&format!("https://good.test:{}/", server.port));

    let good = tls_server(authority.sign("good.test", |_| {}));
    assert_eq!(guarded.send(call(&good)).await.unwrap().body, b"ok");
    assert_eq!(good.seen(1).await.len(), 1);

    for (what, certificate) in [
        ("self-signed", self_signed()),
        ("wrong name", authority.sign("other.test", |_| {})),
        ("expired", authority.sign("good.test", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1))),
        ("not yet", authority.sign("good.test", |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1))),
        ("other authority", Authority::new().sign("good.test", |_| {})),
    ] {
        let server = tls_server(certificate);
        let error = guarded.send(call(&server)).await.unwrap_err();
        assert!(error.is(Code::ProviderUnreachable), "{what}: {error}");
        assert_eq!(error.info().context.get("cause").map(String::as_str), Some("certificate"), "{what}: {error:?}");
        assert_eq!(server.connections(), 1, "{what}");
        assert!(server.seen.lock().unwrap().is_empty(), "{what}");
    }

    // The platform's own certificates do not vouch for it either.
    let platform = transport(policy, TransportOptions { roots: None, ..options.clone() });
    assert!(platform.send(call(&good)).await.unwrap_err().is(Code::ProviderUnreachable));

    // Plain http to a host that is not on the list.
    let plain = Server::answering(OK);
    let strict = transport(AddressPolicy::default(), options);
    for url in [format!("http://good.test:{}/", plain.port), plain.url("/").to_string()] {
        assert!(strict.send(get(&url)).await.unwrap_err().is(Code::AddressRefused));
    }
    assert_eq!(plain.connections(), 0);
    // TLS to a server that speaks none.
    assert!(guarded.send(call(&plain)).await.unwrap_err().is(Code::ProviderUnreachable));
}

#[tokio::test]
async fn s54_no_value_adds_a_header_or_a_field() {
    let server = Server::answering(OK);
    let transport = transport(server.listed(), patient());
    let marks = [
        "\r\n",
        "\n",
        "\r",
        "\0",
        "\r\n ",
        "\r\n\r\nGET /evil HTTP/1.1\r\n",
        "ü\r\n",
        "\u{2028}",
        "\u{85}",
        "%0d%0a",
        "\t",
        "\u{7f}",
        "č",
        "嘊嘍",
    ];
    let tails = ["x-evil: 1", "&evil=1", "evil=1#", "Host: evil", "Content-Length: 0\r\n\r\n", "; evil=1", "evil", "%26evil=1"];
    let mut payloads: Vec<String> = marks.iter().flat_map(|mark| tails.map(|tail| format!("a{mark}{tail}"))).collect();
    payloads.truncate(100);
    assert_eq!(payloads.len(), 100);

    let names = |request: &str| -> Vec<String> {
        let head = request.split("\r\n\r\n").next().unwrap();
        head.split(['\r', '\n']).skip(1).filter(|l| !l.is_empty()).map(|l| l.split(':').next().unwrap().to_ascii_lowercase()).collect()
    };
    let mut sent = 0;
    for payload in &payloads {
        // Past `set_header`, in a header's value, in its name, and in every place of URL and body that takes values.
        let values = Values::new().one("v", payload);
        let url = template::url(&format!("http://127.0.0.1:{}/p/{{v}}?q={{v}}", server.port), &values).unwrap();
        let mut request = HttpRequest::new("POST", url.clone());
        let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("f", payload).finish();
        request.set_body("application/x-www-form-urlencoded", form);
        let mut in_value = request.clone();
        in_value.headers.push(("x-value".to_owned(), zeroize::Zeroizing::new(payload.clone())));
        let mut in_name = request.clone();
        in_name.headers.push((payload.clone(), zeroize::Zeroizing::new("1".to_owned())));
        let named = payload.to_ascii_lowercase();
        let mut in_type = request.clone();
        in_type.set_body(payload, "x");

        transport.send(request).await.unwrap();
        sent += 1;
        let seen = server.seen(sent).await.pop().unwrap();
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        assert_eq!(names(&seen), ["content-type", "accept", "host", "content-length"], "{payload:?}");
        assert_eq!(head.lines().next().unwrap().split(' ').count(), 3, "{payload:?}");
        assert_eq!(url.query_pairs().count(), 1, "{payload:?}");
        let fields: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        assert_eq!(fields, [("f".to_owned(), payload.clone())]);

        for (mut odd, extra) in [(in_value, Some("x-value")), (in_type, None), (in_name, Some(named.as_str()))] {
            odd.url.set_query(None);
            match transport.send(odd).await {
                Err(error) => {
                    assert!(error.is(Code::InvalidRequest) && (extra == Some(&named) || !error.to_string().contains(payload.as_str())))
                }
                Ok(_) => {
                    sent += 1;
                    let mut found = names(&server.seen(sent).await.pop().unwrap());
                    found.retain(|name| !["content-type", "accept", "host", "content-length"].contains(&name.as_str()));
                    assert_eq!(found, extra.into_iter().collect::<Vec<_>>(), "{payload:?}");
                }
            }
        }
    }
    for name in FRAMING {
        let mut request = HttpRequest::new("GET", server.url("/"));
        request.set_header(name, "1").unwrap();
        assert!(transport.send(request).await.unwrap_err().is(Code::InvalidRequest), "{name}");
    }
    for method in ["CONNECT", "TRACE", "GET /evil HTTP/1.1\r\nx:", "", "G T"] {
        assert!(transport.send(HttpRequest::new(method, server.url("/"))).await.unwrap_err().is(Code::InvalidRequest), "{method}");
    }
    assert_eq!(server.connections(), sent);
}

/// A server that answers with these bytes and then stays silent without closing.
fn stalling(answer: &'static [u8]) -> Server {
    Server::start(move |mut stream| {
        let request = read_request(&mut stream)?;
        let _ = stream.write_all(answer);
        let _ = stream.read(&mut [0; 1]);
        Some(request)
    })
}

#[tokio::test]
async fn r30_bad_servers_get_the_right_class() {
    const CANARY: &str = "canary";
    let drip = || {
        Server::start(|mut stream| {
            let request = read_request(&mut stream)?;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
            Some(request)
        })
    };
    let endless = || {
        Server::start(|mut stream| {
            let request = read_request(&mut stream)?;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunk = [b"1000\r\n".as_slice(), &[b'x'; 0x1000], b"\r\n"].concat();
            while stream.write_all(&chunk).is_ok() {}
            Some(request)
        })
    };
    let large_head =
        [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"x-pad: "[..], &vec![b'a'; 1024 * 1024], b"\r\ncontent-length: 0\r\n\r\n"].concat();
    let cases: Vec<(&str, Server, Code)> = vec![
        ("silent", stalling(b""), Code::ProviderTimeout),
        ("head then silence", stalling(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"), Code::ProviderTimeout),
        ("drip", drip(), Code::ProviderTimeout),
        ("announced too large", Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 268435456\r\n\r\n"), Code::AnswerTooLarge),
        ("endless", endless(), Code::AnswerTooLarge),
        ("truncated", Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"), Code::ProviderError),
        ("truncated chunk", Server::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nab"), Code::ProviderError),
        ("closed at once", Server::answering(""), Code::ProviderError),
        ("no http", Server::answering("SSH-2.0-canary\r\n\r\n"), Code::MalformedAnswer),
        ("1 MiB of header", Server::answering(large_head), Code::MalformedAnswer),
    ];
    for (what, server, code) in cases {
        let transport = transport(server.listed(), patient());
        let mut request = HttpRequest::new("POST", server.url(&format!("/{CANARY}?q={CANARY}")));
        request.set_header("x-secret", CANARY).unwrap();
        request.set_body("text/plain", CANARY);
        // Whoever answers has the time for it.
        request.timeout = if code == Code::ProviderTimeout { Duration::from_millis(300) } else { Duration::from_secs(30) };
        request.max_body = 100_000;
        let error = transport.send(request).await.unwrap_err();
        assert!(error.is(code), "{what}: {error}");
        assert!(!format!("{error:?} {error}").contains(CANARY), "{what}: {error:?}");
        assert_eq!(server.connections(), 1, "{what}: sent once");
    }

    // Bound, so that nobody else is given the port, and nobody listens.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind((loopback(), 0).into()).unwrap();
    let policy = AddressPolicy::default().with(HostPort::parse("dead.test").unwrap());
    let url = format!("http://dead.test:{}/", closed.local_addr().unwrap().port());
    let unresolved: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("NXDOMAIN")) }));
    let hanging: Lookup = Arc::new(|_| Box::pin(std::future::pending()));
    for (what, lookup, cause) in [
        ("refused", resolving(|| vec![loopback()]), "connect"),
        ("unresolved", unresolved, "dns"),
        ("nothing", resolving(Vec::new), "connect"),
        ("silent DNS", hanging, "connect"),
    ] {
        let options = TransportOptions { lookup, connect_timeout: Duration::from_millis(100), ..patient() };
        let error = transport(policy.clone(), options).send(get(&url)).await.unwrap_err();
        assert!(error.is(Code::ProviderUnreachable), "{what}: {error}");
        assert_eq!(error.info().context["cause"], cause, "{what}");
    }
}

#[tokio::test]
async fn r31_a_dead_host_fails_at_once_and_comes_back() {
    let server = Server::answering(OK);
    let (port, alive) = (server.port, Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let (looks, up) = (Arc::new(AtomicUsize::new(0)), alive.clone());
    let counter = looks.clone();
    let lookup: Lookup = Arc::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let up = up.load(Ordering::SeqCst);
        Box::pin(async move { if up { Ok(vec![loopback()]) } else { Err(io::Error::other("down")) } })
    });
    let cool_down = Duration::from_millis(200);
    let breaker = BreakerSettings { failures: 3, cool_down, ..BreakerSettings::default() };
    let policy = AddressPolicy::default().with(HostPort::parse("flaky.test").unwrap());
    let transport = transport(policy, TransportOptions { lookup, breaker, ..TransportOptions::default() });
    let url = format!("http://flaky.test:{port}/");
    for _ in 0..50 {
        let error = transport.send(get(&url)).await.unwrap_err();
        assert!(error.is(Code::ProviderUnreachable));
    }
    let tried = looks.load(Ordering::SeqCst);
    assert!((3..50).contains(&tried), "{tried} of 50 calls went out");
    alive.store(true, Ordering::SeqCst);
    loop {
        match transport.send(get(&url)).await {
            Ok(answer) => break assert_eq!(answer.status, 200),
            Err(error) => tokio::time::sleep(error.info().retry_after.expect("it says when")).await,
        }
    }
    for _ in 0..10 {
        assert!(transport.send(get(&url)).await.is_ok());
    }
}

#[path = "mutual_tls_tests.rs"]
mod mutual_tls;
