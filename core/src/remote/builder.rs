use std::{sync::Arc, time::Duration};

use url::{Host, Url};

use super::{
    Poll, Remote, Retries,
    link::Link,
    places::{MOST_CALLS, MOST_WAITS, Places},
    tokens::{Claims, Tokens},
};
use crate::{
    Secret, Session, Smalt,
    error::{Result, bail, err},
    http::{ServerOptions, ServerTransport},
    model::SessionInfo,
    plugin::{Clock, HttpTransport, Presenter, SessionProvider, SystemClock},
    time::Timestamp,
};

/// Where the hosted service answers backends, by its published API description.
const HOSTED: &str = "https://app.refold.ai";
/// Where it answers pages, by its published web SDK.
const HOSTED_FOR_PAGES: &str = "https://api.gocobalt.io";

/// The variable that an API key is taken from where none is passed.
const KEY_VARIABLE: &str = "SMALT_API_KEY";

/// What both builders share.
struct Settings {
    url: String,
    plain_http: bool,
    timeout: Duration,
    attempt: Duration,
    retries: Retries,
    max_answer: usize,
    transport: Option<Arc<dyn HttpTransport>>,
    server: ServerOptions,
    port_secret: Option<Secret>,
    presenter: Option<Arc<dyn Presenter>>,
    poll: Poll,
    /// It is known to have no `/smalt/v1`.
    hosted: bool,
}

impl Settings {
    fn new(url: String) -> Self {
        Self {
            url,
            plain_http: false,
            timeout: Duration::from_secs(60),
            attempt: Duration::from_secs(30),
            retries: Retries::default(),
            max_answer: 16 * 1024 * 1024,
            transport: None,
            server: ServerOptions::default(),
            port_secret: None,
            presenter: None,
            poll: Poll::default(),
            hosted: false,
        }
    }

    /// The base, and the host for errors.
    fn address(&self) -> Result<(Url, String)> {
        let text = self.url.trim();
        // Published SDKs take an address without a scheme, too.
        let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let Ok(url) = Url::parse(&text) else { bail!(InvalidRequest, "the server's address is no URL") };
        let Some(host) = url.host() else { bail!(InvalidRequest, "the server's address names no host") };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            bail!(InvalidRequest, "the server's address must hold nothing but scheme, host, port and path");
        }
        let loopback = match &host {
            Host::Domain(name) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback || self.plain_http => {}
            "http" => bail!(
                AddressRefused,
                "the server's address is plain http, over which anybody on the way reads keys and tokens; `plain_http()` allows it"
            ),
            _ => bail!(InvalidRequest, "the server's address is neither https nor http"),
        }
        let shown = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        Ok((url, shown))
    }

    fn link(&self, key: Option<Secret>, tokens: Option<Arc<Tokens>>) -> Result<Link> {
        let (base, host) = self.address()?;
        let transport = match &self.transport {
            Some(transport) => transport.clone(),
            None => Arc::new(ServerTransport::new(&self.server)?),
        };
        Ok(Link {
            base,
            host,
            transport,
            key,
            tokens,
            port_secret: self.port_secret.clone().map(|secret| sendable(secret, "port's secret")).transpose()?,
            timeout: self.timeout,
            attempt: self.attempt,
            retries: self.retries,
            max_answer: self.max_answer,
            calls: Places::new(MOST_CALLS),
            waits: Places::new(MOST_WAITS),
        })
    }
}

macro_rules! settings {
    () => {
        /// How long a call may take in all, tries and waits included. Default 60 s; an operation that is told how long to wait
        /// (`wait_flow`, `request`, …) has that time on top.
        #[must_use]
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.settings.timeout = timeout;
            self
        }

        /// How long one try may take. Default 30 s.
        #[must_use]
        pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
            self.settings.attempt = timeout;
            self
        }

        /// How often a call is sent again; see [`Retries`].
        #[must_use]
        pub fn retries(mut self, retries: Retries) -> Self {
            self.settings.retries = retries;
            self
        }

        /// The largest answer, in bytes. Default 16 MiB; an authenticated call with a larger `max_body` raises it for itself.
        #[must_use]
        pub fn max_answer(mut self, bytes: usize) -> Self {
            self.settings.max_answer = bytes;
            self
        }

        /// Allows plain http to an address that is not this machine. Whoever is on the way then reads keys and tokens.
        #[must_use]
        pub fn plain_http(mut self) -> Self {
            self.settings.plain_http = true;
            self
        }

        /// Trusts a certificate authority beside the platform's: PEM, with one or more certificates.
        #[must_use]
        pub fn certificate_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
            self.settings.server.authority = Some(pem.into());
            self
        }

        /// Leaves the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`, …) unused.
        #[must_use]
        pub fn no_proxy(mut self) -> Self {
            self.settings.server.no_proxy = true;
            self
        }

        /// The secret of a port that a program on this machine opened for itself (`smalt serve --local`). It goes with every call,
        /// beside the key or token.
        #[must_use]
        pub fn port_secret(mut self, secret: impl Into<Secret>) -> Self {
            self.settings.port_secret = Some(secret.into());
            self
        }

        /// The time to connect, within a try's. Default 5 s.
        #[must_use]
        pub fn connect_timeout(mut self, timeout: Duration) -> Self {
            self.settings.server.connect_timeout = Some(timeout);
            self
        }

        /// Another way to the server: for tests a [`ScriptedTransport`](crate::http::ScriptedTransport).
        #[must_use]
        pub fn transport(mut self, transport: impl HttpTransport) -> Self {
            self.settings.transport = Some(Arc::new(transport));
            self
        }

        /// Speaks the API of the hosted service, also where Smalt's own answers.
        #[must_use]
        pub fn compatible_routes(mut self) -> Self {
            self.settings.hosted = true;
            self
        }

        /// How often a server without `/smalt/v1` is asked whether the user has connected; see [`Poll`].
        #[must_use]
        pub fn poll(mut self, poll: Poll) -> Self {
            self.settings.poll = poll;
            self
        }

        /// Opens authorize pages in `connect`.
        #[must_use]
        pub fn presenter(mut self, presenter: impl Presenter) -> Self {
            self.settings.presenter = Some(Arc::new(presenter));
            self
        }
    };
}

/// Settings of a handle with the organisation's authority at a server; [`Self::open`] makes it.
pub struct RemoteSmalt {
    settings: Settings,
    key: Option<Secret>,
}

impl RemoteSmalt {
    settings!();

    /// The organisation's API key, which also says which environment is meant. Default: the variable `SMALT_API_KEY`.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Makes the handle. No I/O: whether the server is there shows with the first verb.
    ///
    /// # Errors
    /// `invalid_request` for an address or a key that cannot be one; `address_refused` for plain http to another machine.
    pub fn open(self) -> Result<Smalt> {
        let key = match self.key {
            Some(key) => key,
            None => std::env::var(KEY_VARIABLE)
                .map(Secret::new)
                .map_err(|_| err!(InvalidRequest, "no API key was given: pass `api_key`, or set `{KEY_VARIABLE}`"))?,
        };
        let link = self.settings.link(Some(sendable(key, "API key")?), None)?;
        let presenter = self.settings.presenter;
        Ok(Smalt::at(Arc::new(Remote::new(link, self.settings.poll, self.settings.hosted, presenter.is_some())), presenter))
    }
}

/// Settings of a session at a server; [`Self::open`] makes it.
pub struct RemoteSession {
    settings: Settings,
    source: Option<Source>,
}

enum Source {
    Token(Secret),
    Provider(Arc<dyn SessionProvider>),
}

impl RemoteSession {
    settings!();

    /// The session's token. When it ends, calls answer `invalid_token`.
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.source = Some(Source::Token(token.into()));
        self
    }

    /// Where tokens come from: asked before the first call, and again whenever one has ended.
    #[must_use]
    pub fn provider(mut self, provider: impl SessionProvider) -> Self {
        self.source = Some(Source::Provider(Arc::new(provider)));
        self
    }

    /// Makes the handle. No I/O: nothing is asked before the first verb.
    ///
    /// # Errors
    /// `invalid_request` for an address or a token that cannot be one, or without a token and a provider; `address_refused`
    /// for plain http to another machine.
    pub fn open(self) -> Result<Session> {
        let (token, tokens) = match self.source {
            None => bail!(InvalidRequest, "a session needs a `token`, or a `provider` of tokens"),
            Some(Source::Token(token)) => (sendable(token, "session token")?, None),
            Some(Source::Provider(provider)) => (Secret::default(), Some(Arc::new(Tokens::new(provider)))),
        };
        let link = self.settings.link(None, tokens)?;
        let presenter = self.settings.presenter;
        let claims = Claims::of(&token);
        let expires_at = Claims::time(claims.exp).unwrap_or(Timestamp::from_millis(i64::MAX));
        let info = SessionInfo {
            id: claims.jti.unwrap_or_default(),
            account_id: claims.linked_account_id.unwrap_or_default(),
            token,
            created_at: Claims::time(claims.iat).unwrap_or_default(),
            expires_at,
            expires_in: expires_at.since(SystemClock::default().now()).as_secs(),
        };
        Ok(Session::new(Arc::new(Remote::new(link, self.settings.poll, self.settings.hosted, presenter.is_some())), presenter, info))
    }
}

/// A credential that a header can carry.
fn sendable(secret: Secret, what: &str) -> Result<Secret> {
    let fits = !secret.is_empty() && secret.expose().bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if fits { Ok(secret) } else { Err(err!(InvalidRequest, "the {what} is empty, or holds characters that no header can carry")) }
}

impl Smalt {
    /// The organisation's authority at a server: `smalt serve`, or the hosted service. The address may end in a path.
    pub fn remote(url: impl Into<String>) -> RemoteSmalt {
        RemoteSmalt { settings: Settings::new(url.into()), key: None }
    }

    /// The organisation's authority at the hosted service.
    pub fn hosted() -> RemoteSmalt {
        RemoteSmalt { settings: Settings { hosted: true, ..Settings::new(HOSTED.to_owned()) }, key: None }
    }
}

impl Session {
    /// One linked account's authority at a server, with a token that the organisation's backend made.
    pub fn remote(url: impl Into<String>) -> RemoteSession {
        RemoteSession { settings: Settings::new(url.into()), source: None }
    }

    /// One linked account's authority at the hosted service.
    pub fn hosted() -> RemoteSession {
        RemoteSession { settings: Settings { hosted: true, ..Settings::new(HOSTED_FOR_PAGES.to_owned()) }, source: None }
    }
}
