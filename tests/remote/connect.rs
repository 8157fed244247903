//! `connect` through a server: its page asks the user, the provider sends them back there, and the caller learns the end.

use std::{
    io::{Read, Write},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use smalt::{
    Code, Error, Session, Smalt,
    model::{Connection, ConnectionStatus, Environment},
    plugin::{Clock, Fault, FixedClock, PresentRequest, Presenter},
    remote::Poll,
    sandbox::{API_KEY, Sandbox, SandboxOptions},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions, Limits, Server};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
};
use url::Url;

/// A server with a sandbox behind it.
struct World {
    url: String,
    clock: FixedClock,
    smalt: Smalt,
    key: String,
    _sandbox: Sandbox,
}

impl World {
    async fn new() -> World {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).await.unwrap();
        let url = format!("http://{}", server.address().unwrap());
        let project = serde_json::from_value(json!({
            "version": 1,
            "org": {"id": "acme", "name": "Acme", "public_url": url},
            "sandbox": {"enabled": true, "url": sandbox.origin()},
        }))
        .unwrap();
        let clock = FixedClock::at(smalt::plugin::SystemClock::default().now());
        let smalt =
            Smalt::in_memory().keys(LocalKey::generate().unwrap()).project_value(project).clock(clock.clone()).open().await.unwrap();
        let key = smalt.create_api_key("backend").await.unwrap().key.expose().to_owned();
        smalt.account("acme-1").ensure().await.unwrap();
        let api = Api::new([(Environment::Test, smalt.clone())], ApiOptions::default());
        tokio::spawn(server.serve(api, std::future::pending()));
        World { url, clock, smalt, key, _sandbox: sandbox }
    }

    fn organisation(&self) -> Smalt {
        Smalt::remote(&self.url).no_proxy().api_key(&*self.key).open().unwrap()
    }

    async fn session(&self) -> Session {
        let token = self.smalt.account("acme-1").session().await.unwrap().token().clone();
        Session::remote(&self.url).no_proxy().token(token).open().unwrap()
    }

    /// The same by the routes of the hosted service.
    async fn known_session(&self) -> Session {
        let token = self.smalt.account("acme-1").session().await.unwrap().token().clone();
        let poll = Poll { first: Duration::from_millis(20), longest: Duration::from_millis(50), give_up: Duration::from_secs(60) };
        Session::remote(&self.url).no_proxy().token(token).compatible_routes().poll(poll).open().unwrap()
    }
}

/// One request of a browser that follows nothing: status, and the headers in lower case.
fn browse(method: &str, url: &str, cookie: Option<&str>) -> (u16, Vec<(String, String)>) {
    let url = Url::parse(url).unwrap();
    let mut stream = std::net::TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
    let (target, host) = (&url[url::Position::BeforePath..], &url[url::Position::BeforeHost..url::Position::AfterPort]);
    let cookie = cookie.map(|cookie| format!("cookie: {cookie}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nsec-fetch-site: same-origin\r\ncontent-length: 0\r\n{cookie}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let mut lines = answer.split("\r\n\r\n").next().unwrap().lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    (status, headers.collect())
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> &'h str {
    headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// Looks at the server's page, presses its button, decides at the provider, and comes back.
fn go_through(page: &str, decision: &str) {
    assert_eq!(browse("GET", page, None).0, 200);
    let (status, headers) = browse("POST", page, None);
    assert_eq!(status, 303);
    let mut provider = Url::parse(header(&headers, "location")).unwrap();
    provider.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", decision);
    let (_, at_provider) = browse("GET", provider.as_str(), None);
    let cookie = header(&headers, "set-cookie").split(';').next().unwrap().to_owned();
    browse("GET", header(&at_provider, "location"), Some(&cookie));
}

/// What a presenter does in a test.
enum Window {
    /// Opens, and the user decides so.
    Decides(&'static str),
    /// Opens, the user decides, and the window is closed before anybody has looked.
    DecidesAndCloses,
    /// Opens, and stays as it is.
    Stays(Arc<Notify>),
    Closed,
    Blocked,
    /// Opens, and says which page.
    Tells(mpsc::UnboundedSender<String>),
}

#[async_trait]
impl Presenter for Window {
    fn name(&self) -> &str {
        "window"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        let page = request.authorize_url.clone();
        let through = |decision| tokio::task::spawn_blocking(move || go_through(&page, decision));
        match self {
            Window::Decides(decision) => {
                through(decision).await.map_err(|_| Fault::failed("the user got lost"))?;
                Ok(None)
            }
            Window::DecidesAndCloses => {
                through("allow").await.map_err(|_| Fault::failed("the user got lost"))?;
                Err(Fault::Smalt(Error::code_only(Code::UserCancelled)))
            }
            Window::Stays(shown) => {
                shown.notify_one();
                Ok(None)
            }
            Window::Tells(pages) => {
                pages.send(request.authorize_url.clone()).map_err(|_| Fault::failed("nobody looks"))?;
                Ok(None)
            }
            Window::Closed => Err(Fault::Smalt(Error::code_only(Code::UserCancelled))),
            Window::Blocked => Err(Fault::Smalt(Error::code_only(Code::WindowBlocked))),
        }
    }
}

fn is_ada(connection: &Connection) {
    assert_eq!(connection.status, ConnectionStatus::Active);
    assert!(connection.identity.as_ref().unwrap().label.contains("ada"), "{connection:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smalt_server_tells_how_a_connect_ends() {
    let world = World::new().await;
    let organisation = world.organisation();
    is_ada(&organisation.account("acme-1").connect("sandbox-oauth").present(Window::Decides("allow")).await.unwrap());
    let session = world.session().await;
    is_ada(&session.connect("sandbox-oauth").present(Window::DecidesAndCloses).await.unwrap());
    for (window, code) in
        [(Window::Decides("deny"), Code::UserDenied), (Window::Closed, Code::UserCancelled), (Window::Blocked, Code::WindowBlocked)]
    {
        let error = session.connect("sandbox-oauth").present(window).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
    }
    assert!(session.connect("sandbox-oauth").await.unwrap_err().is(Code::PresenterRequired));
    // Keys need no window.
    let keys = session.connect("sandbox-key").input("key", API_KEY).input("workspace", "acme").await.unwrap();
    assert_eq!(keys.application, "sandbox-key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_ends_a_connect_at_the_caller_and_at_the_server() {
    let world = World::new().await;
    let session = world.session().await;
    let shown = Arc::new(Notify::new());
    let window = Window::Stays(shown.clone());
    let error = session.connect("sandbox-oauth").present(window).timeout(Duration::from_millis(300)).await.unwrap_err();
    assert!(error.is(Code::ConnectTimeout), "{error:?}");
    let events = world.smalt.events_page(smalt::backend::ListEvents::default()).await.unwrap();
    assert!(events.items.iter().any(|event| event.event_type.as_str() == "flow.cancelled"), "nobody can finish it any more");
    // The engine's time moves while the caller waits.
    shown.notified().await;
    let waiting = tokio::spawn({
        let (session, window) = (session.clone(), Window::Stays(shown.clone()));
        async move { session.connect("sandbox-oauth").present(window).await }
    });
    shown.notified().await;
    world.clock.advance_millis(601_000);
    let error = waiting.await.unwrap().unwrap_err();
    assert!(error.is(Code::FlowExpired), "{error:?}");
}

/// A way to a server that can be cut: what is open ends, and what comes is not let in.
async fn way_to(url: &str) -> (String, watch::Sender<bool>) {
    let server = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = format!("http://{}", listener.local_addr().unwrap());
    let (cut, is_cut) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (server, mut is_cut) = (server.clone(), is_cut.clone());
            tokio::spawn(async move {
                if *is_cut.borrow() {
                    return;
                }
                let mut stream = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut stream) => {}
                    _ = is_cut.wait_for(|is_cut| *is_cut) => {}
                }
            });
        }
    });
    (way, cut)
}

/// The user is done with the page while its caller cannot ask: a phone's network, a server that is started anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_outlives_a_server_that_cannot_be_asked() {
    let world = World::new().await;
    let (way, cut) = way_to(&world.url).await;
    let token = world.smalt.account("acme-1").session().await.unwrap().token().clone();
    let session = Session::remote(way).no_proxy().token(token).open().unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let connect = tokio::spawn(async move { session.connect("sandbox-oauth").present(Window::Tells(tell)).await });
    let page = told.recv().await.unwrap();
    cut.send(true).unwrap();
    tokio::task::spawn_blocking(move || go_through(&page, "allow")).await.unwrap();
    // Longer than one call tries again by itself.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!connect.is_finished());
    cut.send(false).unwrap();
    is_ada(&connect.await.unwrap().unwrap());
}

/// The same server, spoken to as if it were the hosted service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_known_routes_tell_what_they_can() {
    let world = World::new().await;
    let session = world.known_session().await;
    is_ada(&session.connect("sandbox-oauth").present(Window::Decides("allow")).await.unwrap());
    // Again: only a newer connection counts, and there is one.
    world.clock.advance_millis(1000);
    is_ada(&session.connect("sandbox-oauth").present(Window::DecidesAndCloses).await.unwrap());
    for (window, code) in [(Window::Closed, Code::UserCancelled), (Window::Blocked, Code::WindowBlocked)] {
        let error = session.connect("sandbox-oauth").present(window).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
    }
    // Nobody tells of a denial there: the caller's own time ends it.
    let denied = session.connect("sandbox-oauth").present(Window::Decides("deny")).timeout(Duration::from_millis(500)).await.unwrap_err();
    assert!(denied.is(Code::ConnectTimeout), "{denied:?}");
    let keys = session.connect("sandbox-key").input("key", API_KEY).input("workspace", "acme").await.unwrap();
    assert_eq!(keys.application, "sandbox-key");
    assert!(
        session.connect("sandbox-key").input("key", "wrong").input("workspace", "acme").await.unwrap_err().is(Code::CredentialsRejected)
    );
    let receipt = session.disconnect("sandbox-oauth").await.unwrap();
    assert_eq!(receipt.connections.len(), 1);
    assert!(session.connections(Some("sandbox-oauth")).await.unwrap().is_empty());
}

/// The life of an account by the routes of the hosted service, against the real server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_known_routes_carry_accounts_and_configs() {
    use smalt::{
        backend::ListAccounts,
        model::{AccountUpdate, ConfigUpdate},
    };
    let world = World::new().await;
    let smalt = Smalt::remote(&world.url).no_proxy().api_key(&*world.key).compatible_routes().open().unwrap();
    let named = AccountUpdate { name: Some("Two".into()), ..AccountUpdate::default() };
    assert_eq!(smalt.create_account("acme 2@x", named.clone()).await.unwrap().id, "acme 2@x");
    assert!(smalt.create_account("acme 2@x", named.clone()).await.unwrap_err().is(Code::LinkedAccountExists));
    assert!(!smalt.upsert_account("acme 2@x", named).await.unwrap().is_new);
    let page = smalt.list_accounts(ListAccounts { limit: Some(1), ..ListAccounts::default() }).await.unwrap();
    let rest = smalt.list_accounts(ListAccounts { limit: Some(1), cursor: page.next, ..ListAccounts::default() }).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (1, 1, None));
    assert_eq!(smalt.count_accounts(None).await.unwrap(), 2);
    assert!(smalt.account("nobody").apps().await.unwrap_err().is(Code::LinkedAccountNotFound));
    let account = smalt.account("acme 2@x");
    assert!(account.app("nothing").await.unwrap_err().is(Code::ApplicationNotFound));
    assert!(account.get_config("sandbox-key", None).await.unwrap_err().is(Code::ConfigNotFound));
    assert_eq!(account.config("sandbox-key").await.unwrap().config_id, "acme 2@x");
    account.update_config("sandbox-key", ConfigUpdate::default()).await.unwrap();
    assert_eq!(account.configs("sandbox-key").await.unwrap(), ["acme 2@x"]);
    account.delete_config("sandbox-key", None).await.unwrap();
    let session = account.session().await.unwrap();
    assert_eq!(session.info().await.unwrap().account_id, "acme 2@x");
    assert!(session.revoke().await.unwrap());
    assert!(session.info().await.unwrap_err().is(Code::InvalidToken));
    smalt.delete_account("acme 2@x").await.unwrap();
    assert!(account.get().await.unwrap_err().is(Code::LinkedAccountNotFound));
}
