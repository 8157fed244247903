//! The way to one server that the caller named: a server of Smalt, or of the hosted service.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use url::Url;

use super::{
    streaming::carry,
    transport::{LARGEST_HEAD, Lookup, Resolver, build, builder, exchange, spoken},
    trust::{platform, with_authority},
};
use crate::{
    error::{Result, bail, err},
    plugin::{HttpRequest, HttpResponse, HttpStream, HttpTransport, StreamRequest},
};

/// What can be set about the way to a server.
#[derive(Clone, Default)]
pub struct ServerOptions {
    /// The time to resolve, connect and shake hands, within the call's own. Default 5 s.
    pub connect_timeout: Option<Duration>,
    /// A certificate authority that is trusted beside the platform's, as PEM; several certificates may stand in it. On Android these
    /// are all: the host reads the device's and names them here.
    pub authority: Option<Vec<u8>>,
    /// Leaves the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`, …) unused.
    pub no_proxy: bool,
}

/// The default transport of a remote backend: reqwest over rustls with ring.
///
/// Unlike the way to providers it goes wherever its owner says, through the environment's proxies, and is never asked to go
/// anywhere else: it follows no redirect. It keeps connections, speaks HTTP/2 where the server does, takes packed answers
/// (gzip), never sends anything twice by itself, and caps time and bytes: of a packed answer those that come of it.
pub struct ServerTransport {
    client: reqwest::Client,
    trusts_nobody: bool,
}

impl fmt::Debug for ServerTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTransport")
    }
}

impl ServerTransport {
    /// With these options.
    ///
    /// # Errors
    /// `invalid_request` for an authority that is no PEM.
    pub fn new(options: &ServerOptions) -> Result<Self> {
        Self::with_lookup(options, None)
    }

    /// The same, with names resolved otherwise than by the system.
    pub(crate) fn with_lookup(options: &ServerOptions, lookup: Option<Lookup>) -> Result<Self> {
        let verifier = match &options.authority {
            None => platform(),
            Some(pem) => Some(with_authority(pem)?),
        };
        let trusts_nobody = verifier.is_none();
        let tls = match verifier {
            Some(verifier) => builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth(),
            None => builder()?.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth(),
        };
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(spoken(tls))
            .connect_timeout(options.connect_timeout.unwrap_or(Duration::from_secs(5)))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            // Shorter than servers keep an idle connection: a call into one that dies is one whose fate is unknown.
            .pool_idle_timeout(Duration::from_secs(8))
            .http2_max_header_list_size(LARGEST_HEAD);
        if options.no_proxy {
            client = client.no_proxy();
        }
        if let Some(lookup) = lookup {
            client = client.dns_resolver(Resolver { lookup, only_public: false });
        }
        Ok(Self { client: client.build().map_err(|_| err!(Internal, "the HTTP client could not be set up"))?, trusts_nobody })
    }
}

fn named(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

impl ServerTransport {
    fn can_go(&self, url: &Url) -> Result<()> {
        if self.trusts_nobody && url.scheme() == "https" {
            bail!(ProviderUnreachable, "this machine has no trusted certificates; install its `ca-certificates`");
        }
        Ok(())
    }
}

#[async_trait]
impl HttpTransport for ServerTransport {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse> {
        self.can_go(&request.url)?;
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept-encoding")) {
            request.set_header("accept-encoding", "gzip")?;
        }
        let (time, max_body, host) = (request.timeout, request.max_body, named(&request.url));
        let built = build(request)?;
        // Behind a pointer, so that no block of a call is larger than those that allocators have at hand.
        match tokio::time::timeout(time, Box::pin(exchange(&self.client, built, max_body, &host, true))).await {
            Ok(answer) => answer,
            Err(_) => Err(err!(ProviderTimeout, "`{host}` did not answer within {time:?}").with("host", &host)),
        }
    }

    async fn stream(&self, request: StreamRequest) -> Result<HttpStream> {
        self.can_go(&request.head.url)?;
        let host = named(&request.head.url);
        carry(&self.client, request, &host).await.0
    }
}
