//! The way to a server over TLS: whose certificates are trusted, which HTTP is spoken, and through which proxy.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use smalt::{
    Code, Error, Smalt,
    model::{Application, Environment},
    remote::{RemoteSmalt, Retries},
    sandbox::{Sandbox, SandboxOptions},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions};
use smalt_tests::child::{Role, report, role};
use tokio_rustls::TlsAcceptor;

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }
}

/// A request as it came over TLS.
#[derive(Clone, Debug)]
struct Seen {
    version: http::Version,
    /// The answer's encoding.
    encoding: String,
}

/// The real API over TLS, with one application and one account.
struct Served {
    address: SocketAddr,
    key: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _sandbox: Sandbox,
}

impl Served {
    /// With a certificate for this name; with these versions of HTTP.
    async fn start(authority: &Authority, name: &str, change: impl Fn(&mut CertificateParams), protocols: &[&str]) -> Served {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let project = serde_json::from_value(serde_json::json!({
            "version": 1, "org": {"id": "acme", "public_url": "https://smalt.test"}, "sandbox": {"enabled": true, "url": sandbox.origin()},
        }));
        let smalt = Smalt::in_memory().keys(LocalKey::generate().unwrap()).project_value(project.unwrap()).open().await.unwrap();
        smalt.account("acme-1").ensure().await.unwrap();
        let key = smalt.create_api_key("backend").await.unwrap().key.expose().to_owned();
        let api = Api::new([(Environment::Test, smalt)], ApiOptions::default());

        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let own = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&own, &authority.issuer).unwrap().der().clone();
        let secret = PrivateKeyDer::try_from(own.serialize_der()).unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], secret)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let noted = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, api, noted) = (acceptor.clone(), api.clone(), noted.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let (api, noted) = (api.clone(), noted.clone());
                        async move {
                            let version = request.version();
                            let answer = api.answer(request).await;
                            let encoding = answer.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
                            noted.lock().unwrap().push(Seen { version, encoding: encoding.unwrap_or_default() });
                            Ok::<_, std::convert::Infallible>(answer)
                        }
                    });
                    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Served { address, key, seen, _sandbox: sandbox }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn remote(&self) -> RemoteSmalt {
        Smalt::remote(format!("https://{}", self.address)).api_key(&*self.key).no_proxy().retries(Retries::none())
    }
}

async fn apps(remote: RemoteSmalt) -> Result<Vec<Application>, Error> {
    remote.open()?.account("acme-1").apps().await
}

const BOTH: [&str; 2] = ["h2", "http/1.1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_authority_is_trusted_where_it_is_named_and_nowhere_else() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let served = Served::start(&authority, "127.0.0.1", |_| {}, &BOTH).await;
    assert!(!apps(served.remote().certificate_authority(&*authority.pem)).await.unwrap().is_empty());
    let both = format!("{}{}", stranger.pem, authority.pem);
    assert!(apps(served.remote().certificate_authority(both)).await.is_ok(), "several may stand in it");
    let before = served.seen().len();
    for remote in [served.remote(), served.remote().certificate_authority(&*stranger.pem)] {
        let error = apps(remote).await.unwrap_err();
        assert!(error.is(Code::ServerUnreachable), "{error:?}");
        assert!(error.reason().contains("certificate") && error.reason().contains("nobody trusts who issued it"), "{}", error.reason());
    }
    // Another name, and a time that is over.
    let over = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    };
    for served in [Served::start(&authority, "127.0.0.2", |_| {}, &BOTH).await, Served::start(&authority, "127.0.0.1", over, &BOTH).await] {
        let error = apps(served.remote().certificate_authority(&*authority.pem)).await.unwrap_err();
        assert!(error.is(Code::ServerUnreachable) && error.reason().contains("certificate"), "{error:?}");
        assert!(served.seen().is_empty());
    }
    assert_eq!(served.seen().len(), before, "no key was sent to whom nobody trusts");
    for wrong in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = served.remote().certificate_authority(wrong).open().err().expect("it is no authority");
        assert!(error.is(Code::InvalidRequest), "{wrong}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_spoken_where_the_server_does_and_answers_come_packed() {
    let authority = Authority::new();
    for (protocols, version) in [(&BOTH[..], http::Version::HTTP_2), (&["http/1.1"], http::Version::HTTP_11)] {
        let served = Served::start(&authority, "127.0.0.1", |_| {}, protocols).await;
        let smalt = served.remote().certificate_authority(&*authority.pem).open().unwrap();
        let plain = smalt.account("acme-1").get().await.unwrap();
        assert_eq!(plain.id, "acme-1");
        let calls = (0..20).map(|_| {
            let smalt = smalt.clone();
            tokio::spawn(async move { smalt.account("acme-1").apps().await.unwrap().len() })
        });
        for call in calls.collect::<Vec<_>>() {
            assert!(call.await.unwrap() >= 2);
        }
        let seen = served.seen();
        assert_eq!(seen.len(), 22, "what it can do, the account, the applications");
        assert!(seen.iter().all(|seen| seen.version == version), "{seen:?}");
        assert!(seen[2..].iter().all(|seen| seen.encoding == "gzip"), "{seen:?}");
        assert!(seen[..2].iter().any(|seen| seen.encoding.is_empty()), "{seen:?}");
    }
}

/// A proxy that opens tunnels (RFC 9110 section 9.3.6) and notes where to.
fn tunnels() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let noted = Arc::new(Mutex::new(Vec::new()));
    let shared = noted.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let shared = shared.clone();
            std::thread::spawn(move || tunnel(client, &shared));
        }
    });
    (url, noted)
}

fn tunnel(mut client: TcpStream, noted: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    noted.lock().unwrap().push(head.lines().next().unwrap().to_owned());
    let target = head.split(' ').nth(1).unwrap();
    let Ok(mut server) = TcpStream::connect(target) else { return };
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut server, &mut client);
}

/// TLS goes through the proxy untouched, so the server's certificate is what counts; hosts of `NO_PROXY` are called directly. In processes of
/// their own, since the environment is the process's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_systems_proxy_is_a_tunnel_for_tls() {
    let authority = Authority::new();
    let served = Served::start(&authority, "127.0.0.1", |_| {}, &BOTH).await;
    let (proxy, noted) = tunnels();
    let url = format!("https://{}", served.address);
    let play = |more: &[(&'static str, &str)]| {
        let known = [("HTTPS_PROXY", &*proxy), ("SERVED", &*url), ("KEY", &*served.key), ("AUTHORITY", &*authority.pem)];
        // Neither this machine's own settings.
        let unset = [("NO_PROXY", ""), ("no_proxy", ""), ("https_proxy", ""), ("ALL_PROXY", ""), ("all_proxy", "")];
        let mut child = Role::start("tls::plays_behind_a_tunnel", "tunnelled", &[&unset[..], &known, more].concat());
        let said = child.line();
        assert!(child.end());
        said.unwrap()
    };
    let played = tokio::task::block_in_place(|| play(&[]));
    assert_eq!(played, "acme-1");
    assert_eq!(*noted.lock().unwrap(), [format!("CONNECT {} HTTP/1.1", served.address)], "one connection for all calls");
    let played = tokio::task::block_in_place(|| play(&[("NO_PROXY", "127.0.0.1")]));
    assert_eq!((&*played, noted.lock().unwrap().len()), ("acme-1", 1));
    // A proxy cannot speak for the server.
    let stranger = Authority::new();
    let played = tokio::task::block_in_place(|| play(&[("AUTHORITY", &stranger.pem)]));
    assert_eq!((&*played, noted.lock().unwrap().len()), ("server_unreachable", 2));
}

#[test]
fn plays_behind_a_tunnel() {
    if role().as_deref() != Some("tunnelled") {
        return;
    }
    let given = |name: &str| std::env::var(name).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let remote =
            Smalt::remote(given("SERVED")).api_key(given("KEY")).certificate_authority(given("AUTHORITY")).retries(Retries::none());
        let smalt = remote.open().unwrap();
        let got = smalt.account("acme-1").get().await;
        report(&got.map_or_else(|error| error.code().as_str().to_owned(), |account| account.id));
    });
}
