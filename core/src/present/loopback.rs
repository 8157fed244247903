use std::{
    future::Future,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::page;
use crate::{
    Result,
    error::{bail, err},
    listen::{self, Answer, Request, Server},
};

/// How long a connection may take to send a request's head.
const IDLE: Duration = Duration::from_secs(5);
/// How long the page waits for the outcome before it answers neutrally.
const OUTCOME_TIME: Duration = Duration::from_secs(30);
/// How long the page stays up after the outcome, for a browser that has not asked for it yet.
const LINGER: Duration = Duration::from_secs(5);
/// What follows the callback's path on the page without parameters.
const CLEAN: &str = "/done";

/// Catches one callback on a loopback address (RFC 8252 section 7.3). Only this machine can reach it; it ends when dropped.
pub struct LoopbackListener {
    server: Server,
    path: String,
    /// The state of the flow, once it is known.
    expected: Arc<OnceLock<String>>,
    /// Queries of callbacks; one at most.
    callbacks: mpsc::Receiver<String>,
    outcome: watch::Sender<Outcome>,
    /// Changes to true when the page with the outcome was given.
    shown: watch::Receiver<bool>,
}

/// A callback that was caught.
pub struct Callback {
    /// The whole URL that the browser was sent to. It holds code and state.
    pub url: String,
    /// Tells the user how it ended.
    pub responder: Responder,
}

/// Tells the page that waits in the browser how the flow ended. Dropped without a word, the page says that the app goes on.
pub struct Responder(Option<LoopbackListener>);

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    /// No callback yet.
    Waiting,
    /// The callback came; nobody said how it ended.
    Caught,
    Known(bool),
    /// Nobody will say.
    Untold,
}

/// What the handler of requests knows.
struct Desk {
    /// The only right `Host`, known once the port is.
    host: OnceLock<String>,
    expected: Arc<OnceLock<String>>,
    path: String,
    callbacks: mpsc::Sender<String>,
    outcome: watch::Sender<Outcome>,
    shown: watch::Sender<bool>,
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callback(…)")
    }
}

impl std::fmt::Debug for LoopbackListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoopbackListener({})", self.redirect_uri())
    }
}

impl LoopbackListener {
    /// Listens on a free port of 127.0.0.1, or of `[::1]` where there is no IPv4. `path` is where the callback is to come in,
    /// e.g. `/callback`.
    ///
    /// # Errors
    /// `invalid_request` for a path that is not one; `unsupported` when no loopback address can be bound.
    pub async fn bind(path: &str) -> Result<Self> {
        match Self::bind_at((Ipv4Addr::LOCALHOST, 0).into(), path).await {
            Err(e) if e.is(crate::Code::Unsupported) => Self::bind_at((Ipv6Addr::LOCALHOST, 0).into(), path).await,
            bound => bound,
        }
    }

    async fn bind_at(address: SocketAddr, path: &str) -> Result<Self> {
        let fits = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b));
        if !fits {
            bail!(InvalidRequest, "a callback path begins with `/` and holds letters, digits and `-._~/` only");
        }
        let expected = Arc::new(OnceLock::new());
        let (callback, callbacks) = mpsc::channel(1);
        let (outcome, _) = watch::channel(Outcome::Waiting);
        let (show, shown) = watch::channel(false);
        let desk = Arc::new(Desk {
            host: OnceLock::new(),
            expected: expected.clone(),
            path: path.to_owned(),
            callbacks: callback,
            outcome: outcome.clone(),
            shown: show,
        });
        let serving = desk.clone();
        let handler: listen::Handler = Arc::new(move |request| {
            let desk = serving.clone();
            Box::pin(async move { Some(desk.answer(request).await) })
        });
        let server = listen::serve(address, IDLE, handler).await?;
        let _ = desk.host.set(server.address().to_string());
        Ok(Self { server, path: path.to_owned(), expected, callbacks, outcome, shown })
    }

    /// Takes no callback but one with this state: another page could guess the port and end the wait.
    pub fn expect_state(&self, state: &str) {
        let _ = self.expected.set(state.to_owned());
    }

    /// The redirect URI to send with the authorize request.
    pub fn redirect_uri(&self) -> String {
        format!("http://{}{}", self.server.address(), self.path)
    }

    /// Waits for the callback. The page in the browser then waits for [`Responder::done`]. `cancel` ends the wait when it
    /// completes; pass `std::future::pending()` for none.
    ///
    /// # Errors
    /// `flow_expired` after `timeout`; `cancelled`.
    pub async fn wait(mut self, timeout: Duration, cancel: impl Future<Output = ()> + Send) -> Result<Callback> {
        // Timers belong to the process's runtime; the caller may be on none.
        let mut timer = crate::runtime::spawn(async move { tokio::time::sleep(timeout).await });
        tokio::pin!(cancel);
        let caught = tokio::select! {
            biased;
            () = &mut cancel => Err(err!(Cancelled, "the wait for the callback was cancelled")),
            caught = self.callbacks.recv() => caught.ok_or_else(|| err!(Internal, "the listener for the callback ended")),
            _ = &mut timer => Err(err!(FlowExpired, "no callback came within {timeout:?}")),
        };
        timer.abort();
        let query = caught?;
        Ok(Callback { url: format!("{}?{query}", self.redirect_uri()), responder: Responder(Some(self)) })
    }
}

impl Responder {
    /// Lets the page say whether it worked. The listener ends when the page was shown, or shortly after.
    pub fn done(mut self, ok: bool) {
        self.end(Outcome::Known(ok));
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(mut listener) = self.0.take() else { return };
        listener.outcome.send_replace(outcome);
        crate::runtime::spawn(async move {
            let _ = tokio::time::timeout(LINGER, listener.shown.wait_for(|shown| *shown)).await;
            drop(listener);
        });
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.end(Outcome::Untold);
    }
}

impl Desk {
    async fn answer(&self, request: Request) -> Answer {
        let lost = || page(404, "Nothing here", "<p>This address only takes the end of a sign-in.</p>");
        // A page of the web must not reach the listener under a name of its own (DNS rebinding).
        if self.host.get().is_none_or(|host| request.header("host") != Some(host)) {
            return lost();
        }
        if request.method != "GET" {
            return if request.path == self.path { Answer::empty(405).with("allow", "GET") } else { lost() };
        }
        if request.path == self.path {
            return self.catch(&request.query);
        }
        if request.path.strip_prefix(&self.path) == Some(CLEAN) { self.tell(lost).await } else { lost() }
    }

    /// Takes the first callback, and sends the browser on, so that code and state leave its address bar at once.
    fn catch(&self, query: &str) -> Answer {
        if query.is_empty() {
            return page(400, "Something is missing", "<p>This address takes the end of a sign-in, and its parameters are missing.</p>");
        }
        let state = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state").map(|(_, value)| value);
        if self.expected.get().is_some_and(|expected| state.as_deref() != Some(expected)) {
            return page(400, "Not this sign-in", "<p>This address waits for the end of another sign-in.</p>");
        }
        let first = self.outcome.send_if_modified(|now| {
            let first = *now == Outcome::Waiting;
            if first {
                *now = Outcome::Caught;
            }
            first
        });
        if first {
            // There is room for the only one; nobody listens any more when the wait was given up.
            let _ = self.callbacks.try_send(query.to_owned());
        }
        Answer::redirect(303, &format!("{}{CLEAN}", self.path))
    }

    async fn tell(&self, lost: impl Fn() -> Answer) -> Answer {
        let mut outcome = self.outcome.subscribe();
        if *outcome.borrow_and_update() == Outcome::Waiting {
            return lost();
        }
        let ended = tokio::time::timeout(OUTCOME_TIME, outcome.wait_for(|o| *o != Outcome::Caught)).await;
        let ended = match ended {
            Ok(Ok(ended)) => *ended,
            _ => Outcome::Untold,
        };
        self.shown.send_replace(true);
        match ended {
            Outcome::Known(true) => page(200, "Connected", "<p>You can close this window.</p>"),
            Outcome::Known(false) => {
                page(200, "Not connected", "<p>It did not work. The app that you came from says why. You can close this window.</p>")
            }
            _ => page(200, "Almost done", "<p>Go back to the app that you came from. You can close this window.</p>"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::pending;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    async fn send(listener: SocketAddr, method: &str, target: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(listener).await.unwrap();
        let request = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(listener: SocketAddr, target: &str) -> String {
        send(listener, "GET", target, &listener.to_string()).await
    }

    async fn life(listener: LoopbackListener, ok: Option<bool>, text: &str) {
        let at = listener.server.address();
        let uri = listener.redirect_uri();
        let waiting = tokio::spawn(listener.wait(MINUTE, pending()));
        let answer = get(at, "/callback?code=canary-code&state=canary-state").await;
        assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("\r\nlocation: /callback/done\r\n"), "{answer}");
        let callback = waiting.await.unwrap().unwrap();
        assert_eq!(callback.url, format!("{uri}?code=canary-code&state=canary-state"));
        let shown = tokio::spawn(async move { get(at, "/callback/done").await });
        match ok {
            Some(ok) => callback.responder.done(ok),
            None => drop(callback.responder),
        }
        let page = shown.await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200") && page.contains(text), "{page}");
        assert!(!page.contains("canary") && page.contains("default-src 'none'") && page.contains("referrer-policy: no-referrer"));
        assert!(page.contains("cache-control: no-store") && !page.contains("http://") && !page.contains("https://"), "{page}");
    }

    #[tokio::test]
    async fn s08_the_callback_is_caught_and_leaves_the_address_bar() {
        for (ok, text) in [(Some(true), "<h1>Connected"), (Some(false), "<h1>Not connected"), (None, "<h1>Almost done")] {
            life(LoopbackListener::bind("/callback").await.unwrap(), ok, text).await;
        }
    }

    #[tokio::test]
    async fn s11_the_callback_is_caught_over_ipv6_too() {
        match LoopbackListener::bind_at((Ipv6Addr::LOCALHOST, 0).into(), "/callback").await {
            Ok(listener) => {
                assert!(listener.redirect_uri().starts_with("http://[::1]:"));
                life(listener, Some(true), "<h1>Connected").await;
            }
            // A machine without IPv6 must say so, and cannot prove more.
            Err(e) => assert!(e.is(crate::Code::Unsupported) && std::net::TcpListener::bind("[::1]:0").is_err(), "{e}"),
        }
    }

    #[tokio::test]
    async fn s11_near_misses_are_not_caught() {
        let listener = LoopbackListener::bind("/callback").await.unwrap();
        let at = listener.server.address();
        let mut waiting = tokio::spawn(listener.wait(MINUTE, pending()));
        let here = at.to_string();
        let targets = [
            "/favicon.ico",
            "/",
            "/callback/?code=a",
            "/Callback?code=a",
            "/callback2?code=a",
            "//callback?code=a",
            "/callback%2f?code=a",
            "/callback/done",
            "/callback/done?code=a",
            "/%63allback?code=a",
            "/callback;x?code=a",
            "/x/../callback?code=a",
            "/callback",
            "/callback?",
        ];
        for target in targets {
            let answer = get(at, target).await;
            assert!(answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"), "{target}: {answer}");
        }
        let port = at.port();
        for host in
            ["evil.example".to_owned(), format!("localhost:{port}"), "127.0.0.1".to_owned(), format!("127.0.0.1.evil.example:{port}")]
        {
            assert!(send(at, "GET", "/callback?code=a", &host).await.starts_with("HTTP/1.1 404"), "{host}");
        }
        for method in ["POST", "HEAD", "PUT"] {
            assert!(send(at, method, "/callback?code=a", &here).await.starts_with("HTTP/1.1 405"), "{method}");
        }
        // A connection that says nothing stands in nobody's way.
        let _silent = TcpStream::connect(at).await.unwrap();
        assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
        get(at, "/callback?code=first").await;
        get(at, "/callback?code=second").await;
        assert!(waiting.await.unwrap().unwrap().url.ends_with("/callback?code=first"));
    }

    #[tokio::test]
    async fn a_wait_ends_by_time_and_by_cancel() {
        let listener = LoopbackListener::bind("/callback").await.unwrap();
        let error = listener.wait(Duration::from_millis(1), pending()).await.unwrap_err();
        assert!(error.is(crate::Code::FlowExpired));
        let listener = LoopbackListener::bind("/callback").await.unwrap();
        let error = listener.wait(MINUTE, std::future::ready(())).await.unwrap_err();
        assert!(error.is(crate::Code::Cancelled));
    }

    #[tokio::test]
    async fn odd_paths_are_refused() {
        for path in ["", "callback", "/a?b", "/a#b", "/a b", "/a\r\nx: y", "/a%2f"] {
            assert!(LoopbackListener::bind(path).await.is_err_and(|e| e.is(crate::Code::InvalidRequest)), "{path}");
        }
    }
}
