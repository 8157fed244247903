//! R-30 by names: what becomes of the four calls that the engine makes by itself when its provider's name is not to be had, or leads to where nobody
//! takes a connection.
#![allow(clippy::unwrap_used)]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::Timings;
use crate::{
    Account, Code, Error, Result, Smalt, Timestamp,
    backend::{Disconnect, StartConnect},
    http::{AddressPolicy, BreakerSettings, HostPort, Looking, ReqwestTransport, TransportOptions},
    manifest::AppManifest,
    model::{Connection, ConnectionStatus, FlowStatus, RevocationOutcome},
    plugin::{FixedClock, HttpRequest, HttpResponse, HttpTransport},
    sandbox::{API_KEY, Sandbox, SandboxOptions},
    vault::LocalKey,
};

/// The only name that the sandbox goes by; here it leads where the test says.
const NAME: &str = "localhost";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where a queue is full.
const FULL: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// What asking for the provider's name comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lookup {
    /// Its address.
    Good,
    /// There is no such name (`NXDOMAIN`).
    NoSuchName,
    /// The name server failed (`SERVFAIL`).
    Failed,
    /// The name server says nothing.
    Silent,
    /// An address at which a connect is not answered.
    Unanswered,
}

impl Lookup {
    /// In the words of `getaddrinfo`, which is who asks.
    fn answer(self) -> Looking {
        let failed = |what: &str| -> Looking {
            let error = std::io::Error::other(format!("failed to lookup address information: {what}"));
            Box::pin(async move { Err(error) })
        };
        match self {
            Lookup::Good => Box::pin(async { Ok(vec![HERE]) }),
            Lookup::NoSuchName => failed("Name or service not known"),
            Lookup::Failed => failed("Temporary failure in name resolution"),
            Lookup::Silent => Box::pin(std::future::pending()),
            Lookup::Unanswered => Box::pin(async { Ok(vec![FULL]) }),
        }
    }

    /// What the error says.
    fn cause(self) -> &'static str {
        if matches!(self, Lookup::NoSuchName | Lookup::Failed) { "dns" } else { "connect" }
    }
}

/// A listener whose queue is full: the system answers no further connection. It is so while this is kept.
async fn full(port: u16) -> (TcpListener, Vec<TcpStream>) {
    let address = SocketAddr::new(FULL, port);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let (listener, mut held) = (socket.listen(1).unwrap(), Vec::new());
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        held.push(stream.unwrap());
        assert!(held.len() <= 64, "this system's queues are never full");
    }
    (listener, held)
}

/// The sandbox's two applications, at a provider that has a name.
fn manifests(origin: &str) -> [AppManifest; 2] {
    let one = |slug: &str, rest: crate::model::Json| {
        let mut manifest = json!({
            "manifest": 1, "slug": slug, "name": slug, "description": "A provider with a name.", "api": {"base_url": format!("{origin}/api/")}
        });
        manifest.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(manifest).unwrap()
    };
    [
        one(
            "named-oauth",
            json!({"oauth2": {
                "authorize_url": format!("{origin}/authorize"), "token_url": format!("{origin}/token"), "client_auth": "none",
                "scopes": {"default": ["items.read"]}, "revoke": {"url": format!("{origin}/revoke")}
            }}),
        ),
        one(
            "named-key",
            json!({"keybased": {
                "inputs": [{"name": "key", "label": "Key", "type": "password", "secret": true}],
                "placement": {"in": "header", "name": "X-Api-Key", "value": "{key}"},
                "verify": {"url": format!("{origin}/api/key-check?workspace=acme"), "id": "/workspace/id"}
            }}),
        ),
    ]
}

/// The engine's transport, which can begin anew: without the connections that it keeps, so that each call asks for the name.
#[derive(Clone)]
struct Anew {
    options: TransportOptions,
    policy: AddressPolicy,
    now: Arc<Mutex<Arc<ReqwestTransport>>>,
}

impl Anew {
    fn new(policy: AddressPolicy, options: TransportOptions) -> Anew {
        let first = ReqwestTransport::with_options(policy.clone(), options.clone()).unwrap();
        Anew { options, policy, now: Arc::new(Mutex::new(Arc::new(first))) }
    }

    fn begin(&self) {
        *self.now.lock().unwrap() = Arc::new(ReqwestTransport::with_options(self.policy.clone(), self.options.clone()).unwrap());
    }

    fn now(&self) -> Arc<ReqwestTransport> {
        self.now.lock().unwrap().clone()
    }
}

#[async_trait]
impl HttpTransport for Anew {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        self.now().send(request).await
    }
}

struct Subject {
    transport: Anew,
    smalt: Smalt,
    sandbox: Sandbox,
    clock: FixedClock,
    lookup: Arc<Mutex<Lookup>>,
    asked: Arc<AtomicUsize>,
}

impl Subject {
    async fn open() -> Subject {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        sandbox.control().auto_consent(Some("ada"));
        sandbox.control().apply_json(json!({"do": "register_client", "client_id": "public"})).unwrap();
        let named = format!("{NAME}:{}", sandbox.address().port());
        let (lookup, asked) = (Arc::new(Mutex::new(Lookup::Good)), Arc::new(AtomicUsize::new(0)));
        let (now, counted) = (lookup.clone(), asked.clone());
        let options = TransportOptions {
            breaker: BreakerSettings { failures: u32::MAX, ..BreakerSettings::default() },
            connect_timeout: Duration::from_secs(4),
            lookup: Arc::new(move |name| {
                assert_eq!(name, NAME);
                counted.fetch_add(1, Ordering::SeqCst);
                now.lock().unwrap().answer()
            }),
            ..TransportOptions::default()
        };
        let policy = AddressPolicy::default().with(HostPort::parse(&named).unwrap());
        let clock = FixedClock::at(Timestamp::from_millis(1_800_000_000_000));
        let project = json!({
            "version": 1, "org": {"redirect_uris": ["http://127.0.0.1/callback"]}, "network": {"allow": [named]},
            "apps": {"named-oauth": {"client": {"test": {"id": "public"}}}, "named-key": {}}
        });
        let [oauth, key] = manifests(&format!("http://{named}"));
        let timings = Timings {
            provider: Duration::from_secs(20),
            lease: Duration::from_secs(30),
            poll: Duration::from_millis(50),
            revoke_backoff: Duration::from_millis(50),
            revoke_attempts: 10_000,
            ahead: None,
            ..Timings::default()
        };
        let transport = Anew::new(policy, options);
        let smalt = Smalt::in_memory()
            .keys(LocalKey::generate().unwrap())
            .transport(transport.clone())
            .clock(clock.clone())
            .timings(timings)
            .manifest(oauth)
            .manifest(key)
            .project_value(serde_json::from_value(project).unwrap())
            .open()
            .await
            .unwrap();
        Subject { transport, smalt, sandbox, clock, lookup, asked }
    }

    /// From here on the name is answered so.
    fn set(&self, lookup: Lookup) {
        *self.lookup.lock().unwrap() = lookup;
    }

    async fn account(&self, id: &str) -> Account {
        let account = self.smalt.account(id);
        account.ensure().await.unwrap();
        account
    }

    /// A connect up to its callback: the flow, the callback, and what the browser brings.
    async fn consented(&self, account: &Account) -> (String, String, crate::Secret) {
        let options = StartConnect { redirect_uri: Some("http://127.0.0.1/callback".to_owned()), ..StartConnect::default() };
        let started = account.start_connect("named-oauth", options).await.unwrap();
        let page = started.authorize_url.replacen(NAME, &HERE.to_string(), 1);
        let callback = crate::sandbox::visit(&page).await.unwrap();
        (started.flow_id, callback, started.cookie.value)
    }

    async fn connected(&self, id: &str) -> (Account, Connection) {
        let account = self.account(id).await;
        let (_, callback, cookie) = self.consented(&account).await;
        let connection = account.finish_connect(callback, cookie).await.unwrap();
        (account, connection)
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to this: {what}");
}

/// Exchange, refresh, the trial of a key, and revocation: the right class of error, nothing is sent, the state in the store is right, and all ends well when names are
/// answered again.
async fn one(lookup: Lookup) {
    let subject = Subject::open().await;
    let _queue = if lookup == Lookup::Unanswered { Some(full(subject.sandbox.address().port()).await) } else { None };
    let (refreshes, _) = subject.connected("refreshes").await;
    let (revokes, _) = subject.connected("revokes").await;
    let (exchanges, tries) = (subject.account("exchanges").await, subject.account("tries").await);
    subject.clock.advance_millis(2 * 3_600_000);
    let (flow, callback, cookie) = subject.consented(&exchanges).await;
    let control = subject.sandbox.control();
    control.reset_stats();
    subject.transport.begin();
    subject.set(lookup);
    subject.asked.store(0, Ordering::SeqCst);

    let trial = tries.connect("named-key").input("key", API_KEY);
    let ended = tokio::join!(exchanges.finish_connect(callback, cookie), refreshes.credential("named-oauth"), trial.into_future());
    let unreachable = |what: &str, error: &Error, code: Code| {
        assert!(error.is(code), "{lookup:?}, {what}: {error:?}");
        if code == Code::ProviderUnreachable {
            assert_eq!(error.info().context.get("cause").map(String::as_str), Some(lookup.cause()), "{lookup:?}, {what}: {error:?}");
        }
    };
    unreachable("exchange", &ended.0.unwrap_err(), Code::ProviderUnreachable);
    unreachable("refresh", &ended.1.unwrap_err(), Code::RefreshFailed);
    unreachable("trial", &ended.2.unwrap_err(), Code::ProviderUnreachable);
    assert_eq!(exchanges.flow(&flow).status().await.unwrap().status, FlowStatus::Failed, "{lookup:?}");
    for account in [&exchanges, &tries] {
        assert!(account.connections(None).await.unwrap().is_empty(), "{lookup:?}");
    }
    assert_eq!(refreshes.connections(None).await.unwrap()[0].status, ConnectionStatus::Active, "{lookup:?}");

    let options = Disconnect { application: "named-oauth".to_owned(), wait: Some(Duration::ZERO), ..Disconnect::default() };
    let receipt = revokes.disconnect_with(options).await.unwrap().id;
    // The engine's clock stands still unless somebody moves it.
    let revocation = async || {
        subject.clock.advance_millis(60_000);
        revokes.receipt(&receipt).await.unwrap().connections.remove(0)
    };
    until("the revocation was tried", async || revocation().await.attempts > 0).await;
    assert_eq!(revocation().await.revocation, RevocationOutcome::Queued, "{lookup:?}");
    assert!(subject.asked.load(Ordering::SeqCst) >= 4, "{lookup:?}: each call asked for the name");
    let stats = control.stats();
    let sent = stats.codes_redeemed + stats.exchanges_refused + stats.refresh_requests + stats.key_checks + stats.revoke_requests;
    assert_eq!(sent, 0, "{lookup:?}: {stats:?}");

    subject.set(Lookup::Good);
    until("the revocation ends", async || revocation().await.revocation == RevocationOutcome::Revoked).await;
    until("the token is renewed", async || refreshes.credential("named-oauth").await.is_ok()).await;
    assert_eq!(control.stats().refreshes, 1, "{lookup:?}");
    subject.smalt.close().await;
}

#[cfg(target_os = "linux")] // where all of 127/8 is this machine
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r30_a_provider_whose_name_is_not_to_be_had_is_one_that_is_away() {
    tokio::join!(one(Lookup::NoSuchName), one(Lookup::Failed), one(Lookup::Silent), one(Lookup::Unanswered));
}
