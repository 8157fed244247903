use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use hyper::body::Bytes;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue},
};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, crypto::CryptoProvider};

use super::{
    body::{Body, Unfit},
    breaker::{Breaker, BreakerSettings, Pass},
    policy::{AddressPolicy, HostPort, is_public, refused},
    trust::platform,
};
use crate::{
    Error,
    error::{Result, bail, err},
    plugin::{ClientIdentity, HttpRequest, HttpResponse, HttpStream, HttpTransport, StreamRequest},
};

/// Headers that frame a message or belong to the connection: the client sets them itself (S-54).
const FRAMING: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "proxy-connection",
];

/// Values of headers that most calls have, and nobody need hide: they are neither copied nor kept out of HTTP/2's table of what was sent before.
const USUAL: [&str; 4] = ["application/json", "application/x-www-form-urlencoded", "gzip", concat!("smalt/", env!("CARGO_PKG_VERSION"))];

/// The largest header block of an answer over HTTP/2, in bytes; HTTP/1 has hyper's own limits (400 KiB, 100 headers).
pub(super) const LARGEST_HEAD: u32 = 64 * 1024;

/// The identities whose connections are kept. With more of them those that come again begin anew.
const MOST_IDENTITIES: usize = 64;

pub(crate) type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
pub(crate) type Lookup = Arc<dyn Fn(String) -> Looking + Send + Sync>;

/// What can be set about the transport.
#[derive(Clone)]
pub struct TransportOptions {
    /// When a host counts as dead.
    pub breaker: BreakerSettings,
    /// The time to resolve, connect and shake hands, within the call's own. Default 5 s.
    pub connect_timeout: Duration,
    /// Trusted in place of the platform's certificates.
    pub(crate) roots: Option<RootCertStore>,
    pub(crate) lookup: Lookup,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            breaker: BreakerSettings::default(),
            connect_timeout: Duration::from_secs(5),
            roots: None,
            lookup: Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|a| a.ip()).collect()) })),
        }
    }
}

impl fmt::Debug for TransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportOptions")
            .field("breaker", &self.breaker)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// The default transport: reqwest over rustls with ring and the platform's trusted certificates.
///
/// It speaks https only, and to public addresses only, except with the hosts on the policy's list; the policy is applied to
/// each address that is connected to. It never follows a redirect, never retries what may have been sent, keeps no
/// cookies, unpacks nothing, and caps time and bytes. Proxies of the environment are not used: behind one the policy could
/// not see where a call ends. A host that fails repeatedly is left alone for a while: see [`BreakerSettings`].
pub struct ReqwestTransport {
    policy: RwLock<Arc<AddressPolicy>>,
    options: TransportOptions,
    clients: Clients,
    /// Clients that prove themselves, by the identity's print. A connection belongs to one identity, or to none.
    proven: Mutex<HashMap<[u8; 32], Clients>>,
    breaker: Breaker,
    trusts_nobody: bool,
}

#[derive(Clone)]
struct Clients {
    /// For everything else: its resolver lets public addresses through only.
    public: reqwest::Client,
    /// For hosts on the list. A request gets here by its host and port, so the two never share a connection.
    listed: reqwest::Client,
}

impl Clients {
    fn new(options: &TransportOptions, identity: Option<&ClientIdentity>) -> Result<(Self, bool)> {
        let (tls, trusts_nobody) = tls(options.roots.as_ref(), identity)?;
        let client = |only_public: bool| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .https_only(only_public)
                .dns_resolver(Resolver { lookup: options.lookup.clone(), only_public })
                .connect_timeout(options.connect_timeout)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                // Short: a connection that died unseen swallows a refresh token whose fate is then unknown.
                .pool_idle_timeout(Duration::from_secs(15))
                .no_proxy()
                .http2_max_header_list_size(LARGEST_HEAD)
                .build()
                .map_err(|_| err!(Internal, "the HTTP client could not be set up"))
        };
        Ok((Self { public: client(true)?, listed: client(false)? }, trusts_nobody))
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").field("policy", &self.policy()).finish_non_exhaustive()
    }
}

impl ReqwestTransport {
    /// With the default options.
    ///
    /// # Errors
    /// `internal` when the TLS library cannot be set up.
    pub fn new(policy: AddressPolicy) -> Result<Self> {
        Self::with_options(policy, TransportOptions::default())
    }

    /// With these options.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_options(policy: AddressPolicy, options: TransportOptions) -> Result<Self> {
        let (clients, trusts_nobody) = Clients::new(&options, None)?;
        Ok(Self {
            policy: RwLock::new(Arc::new(policy)),
            clients,
            proven: Mutex::default(),
            breaker: Breaker::new(options.breaker),
            options,
            trusts_nobody,
        })
    }

    /// Replaces the policy, from the next call on.
    pub fn set_policy(&self, policy: AddressPolicy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Arc<AddressPolicy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The TLS settings, and whether they trust nobody because this machine has no certificates: plain http to listed hosts
/// must work there all the same.
fn tls(roots: Option<&RootCertStore>, identity: Option<&ClientIdentity>) -> Result<(ClientConfig, bool)> {
    let (config, trusts_nobody) = match roots {
        Some(roots) => (builder()?.with_root_certificates(roots.clone()), false),
        None => match platform() {
            Some(verifier) => (builder()?.dangerous().with_custom_certificate_verifier(verifier), false),
            None => (builder()?.with_root_certificates(RootCertStore::empty()), true),
        },
    };
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let unfit = || err!(ProjectInvalid, "the client's certificate and its key do not belong to each other");
            config.with_client_auth_cert(identity.chain(), identity.key().ok_or_else(unfit)?).map_err(|_| unfit())?
        }
    };
    Ok((spoken(config), trusts_nobody))
}

/// Named where it is used, never installed for the process: the host may have a provider of its own.
pub(super) fn crypto() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(crypto())
        .with_safe_default_protocol_versions()
        .map_err(|_| err!(Internal, "the TLS library offers no protocol version"))
}

/// HTTP/2 where the other side speaks it.
pub(super) fn spoken(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

pub(super) struct Resolver {
    pub(super) lookup: Lookup,
    pub(super) only_public: bool,
}

/// Every address of a name was refused.
#[derive(Debug)]
struct AllRefused;

impl fmt::Display for AllRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address of the host may be called")
    }
}

impl StdError for AllRefused {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = (self.lookup)(name.as_str().to_owned());
        let only_public = self.only_public;
        Box::pin(async move {
            let found = looking.await?;
            let some = !found.is_empty();
            let fit: Vec<_> = found.into_iter().filter(|ip| !only_public || is_public(*ip)).map(|ip| SocketAddr::new(ip, 0)).collect();
            if some && fit.is_empty() {
                return Err(AllRefused.into());
            }
            Ok(Box::new(fit.into_iter()) as Addrs)
        })
    }
}

#[async_trait]
impl HttpTransport for ReqwestTransport {
    async fn stream(&self, request: StreamRequest) -> Result<HttpStream> {
        self.streamed(request).await
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let (client, host) = self.way(&request.url, request.identity.as_ref())?;
        let (time, max_body) = (request.timeout, request.max_body);
        let built = build(request)?;
        let pass = self.enter(&host)?;
        let ended = tokio::time::timeout(time, exchange(&client, built, max_body, &host, false)).await;
        match ended {
            Err(_) => {
                if time >= self.breaker.shortest_timeout() {
                    pass.dead();
                }
                Err(err!(ProviderTimeout, "`{host}` did not answer within {time:?}").with("host", &host))
            }
            Ok(Err(error)) if error.is(crate::Code::ProviderUnreachable) => {
                pass.dead();
                Err(error)
            }
            // Nothing was tried, so nothing was learned.
            Ok(Err(error)) if error.is(crate::Code::AddressRefused) => Err(error),
            Ok(answer) => {
                pass.alive();
                answer
            }
        }
    }
}

pub(super) fn build(request: HttpRequest) -> Result<reqwest::Request> {
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).ok().filter(|m| !matches!(m.as_str(), "CONNECT" | "TRACE"));
    let Some(method) = method else { bail!(InvalidRequest, "the method is none that can be sent") };
    let sends_body = !request.body.0.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH");
    let mut built = reqwest::Request::new(method, request.url);
    for (name, value) in request.headers {
        // Checked again: the list can be filled without `set_header`.
        let value = match USUAL.iter().find(|usual| **usual == value.as_str()) {
            Some(usual) => Ok(HeaderValue::from_static(usual)),
            // The value's owner clears the memory when the request is gone.
            None => HeaderValue::from_maybe_shared(Bytes::from_owner(value)).map(|mut value| {
                value.set_sensitive(true);
                value
            }),
        };
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) else {
            bail!(InvalidRequest, "the header `{}` holds characters that no header can carry", name.escape_default());
        };
        if FRAMING.contains(&name.as_str()) {
            bail!(InvalidRequest, "the header `{name}` is set by the client itself");
        }
        built.headers_mut().append(name, value);
    }
    if sends_body {
        // The owner clears the memory when the last byte has gone out.
        *built.body_mut() = Some(Bytes::from_owner(request.body.0).into());
    }
    Ok(built)
}

/// Sends a request and reads its answer whole. Where `unpacks`, a body that came packed is unpacked: the limit is on what comes of it.
pub(super) async fn exchange(
    client: &reqwest::Client,
    request: reqwest::Request,
    max_body: usize,
    host: &str,
    unpacks: bool,
) -> Result<HttpResponse> {
    let unfit = |unfit| match unfit {
        Unfit::TooLarge => err!(AnswerTooLarge, "the answer of `{host}` is larger than {max_body} bytes").with("host", host),
        Unfit::Unreadable => err!(MalformedAnswer, "the answer of `{host}` is not packed as it says").with("host", host),
    };
    let head_only = request.method() == reqwest::Method::HEAD;
    let mut response = client.execute(request).await.map_err(|error| translate(&error, host))?;
    if !head_only && response.content_length().is_some_and(|length| length > max_body as u64) {
        return Err(unfit(Unfit::TooLarge));
    }
    let status = response.status().as_u16();
    let is_packed = unpacks && !head_only && response.headers().get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    if is_packed {
        // They are about the body as it came.
        response.headers_mut().remove(CONTENT_ENCODING);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = Body::new(max_body, expected, is_packed);
    while let Some(chunk) = response.chunk().await.map_err(|error| translate(&error, host))? {
        body.take(&chunk).map_err(unfit)?;
    }
    let mut body = body.end().map_err(unfit)?;
    Ok(HttpResponse { status, headers, body: std::mem::take(&mut *body) })
}

impl ReqwestTransport {
    /// Which client a request may use, after the policy was asked; and the host's name in words.
    pub(super) fn way(&self, url: &url::Url, identity: Option<&ClientIdentity>) -> Result<(reqwest::Client, String)> {
        let policy = self.policy();
        policy.check(url)?;
        let clients = match identity {
            Some(identity) => self.proven_by(identity)?,
            None => self.clients.clone(),
        };
        let client = if policy.lists(url) { clients.listed } else { clients.public };
        if self.trusts_nobody && url.scheme() == "https" {
            bail!(ProviderUnreachable, "this machine has no trusted certificates; install its `ca-certificates`");
        }
        Ok((client, HostPort::of(url).map(|host| host.to_string()).unwrap_or_default()))
    }

    fn proven_by(&self, identity: &ClientIdentity) -> Result<Clients> {
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clients) = proven.get(&identity.print()) {
            return Ok(clients.clone());
        }
        let (clients, _) = Clients::new(&self.options, Some(identity))?;
        if proven.len() >= MOST_IDENTITIES {
            proven.clear();
        }
        proven.insert(identity.print(), clients.clone());
        Ok(clients)
    }

    pub(super) fn shortest_timeout(&self) -> Duration {
        self.breaker.shortest_timeout()
    }

    /// Leave to call a host.
    pub(super) fn enter<'a>(&'a self, host: &'a str) -> Result<Pass<'a>> {
        self.breaker.enter(host).map_err(|wait| {
            err!(ProviderUnreachable, "`{host}` has not answered for a while and is left alone for a moment")
                .with("host", host)
                .retry_after(wait)
        })
    }
}

/// Says what went wrong without a word of the URL, the headers or the body.
pub(super) fn translate(error: &reqwest::Error, host: &str) -> Error {
    let mut certificate = false;
    let mut unreadable = false;
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<AllRefused>() {
            return refused(host);
        }
        certificate |= matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)));
        unreadable |= cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        // What an I/O error wraps is not its `source`.
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    let error = if error.is_connect() {
        match (certificate, error.is_dns()) {
            (true, _) => err!(ProviderUnreachable, "the certificate of `{host}` is not valid for it").with("cause", "certificate"),
            (_, true) => err!(ProviderUnreachable, "the name of `{host}` could not be resolved").with("cause", "dns"),
            _ => err!(ProviderUnreachable, "no connection to `{host}` could be made").with("cause", "connect"),
        }
    } else if unreadable {
        err!(MalformedAnswer, "`{host}` answered with something that is not HTTP")
    } else {
        err!(ProviderError, "the connection to `{host}` broke before the answer was complete")
    };
    error.with("host", host)
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
