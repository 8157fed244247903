//! How a client gets in, or does not.

use std::{sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::Problem;

/// How a client gets in, or does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Door {
    /// Over plain HTTP.
    #[default]
    Http,
    /// Nobody listens.
    Refused,
    /// Whoever listens takes nobody in: a queue that is full.
    Full,
    /// A name that does not exist (RFC 2606).
    Nowhere,
    /// TLS with a certificate of an authority that the client is told of; the handshake waits for 700 ms.
    TlsSlow,
    /// TLS with a certificate of an authority that nobody knows.
    TlsUntrusted,
    /// TLS with a certificate whose time is over, of an authority that the client is told of.
    TlsExpired,
    /// TLS with a certificate of such an authority for another address.
    TlsWrongName,
    /// TLS that never answers.
    TlsSilent,
    /// A TLS answer that comes byte by byte, one a second.
    TlsTrickle,
    /// No TLS at all.
    TlsGarbage,
}

/// An open door.
pub(crate) struct Entrance {
    /// Whoever comes in; `None` where nobody ever does.
    pub(crate) listener: Option<TcpListener>,
    pub(crate) url: String,
    pub(crate) tls: Option<TlsAcceptor>,
    /// What the client is to trust, as PEM.
    pub(crate) authority: Option<String>,
    /// Kept while the door is.
    _held: Vec<TcpStream>,
    _full: Option<TcpListener>,
    _closed: Option<TcpSocket>,
}

impl Entrance {
    /// Where nobody comes in.
    fn to_nobody(url: String) -> Self {
        Self { listener: None, url, tls: None, authority: None, _held: Vec::new(), _full: None, _closed: None }
    }
}

impl Door {
    pub(crate) async fn open(self) -> Result<Entrance, Problem> {
        match self {
            Door::Nowhere => return Ok(Entrance::to_nobody("https://smalt.invalid".to_owned())),
            Door::Full => return full().await,
            Door::Refused => {
                // Bound, so that no other server is given the port, and nobody listens.
                let socket = TcpSocket::new_v4()?;
                socket.bind(([127, 0, 0, 1], 0).into())?;
                let url = format!("http://{}", socket.local_addr()?);
                return Ok(Entrance { _closed: Some(socket), ..Entrance::to_nobody(url) });
            }
            _ => {}
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut entrance = Entrance::to_nobody(format!("{}://{address}", if self == Door::Http { "http" } else { "https" }));
        entrance.listener = Some(listener);
        if let Door::TlsSlow | Door::TlsUntrusted | Door::TlsExpired | Door::TlsWrongName = self {
            let (acceptor, authority) = self.tls()?;
            entrance.tls = Some(acceptor);
            entrance.authority = Some(authority).filter(|_| self != Door::TlsUntrusted);
        }
        Ok(entrance)
    }

    /// What this door does to a connection before anything is read of it; whether it comes in.
    pub(crate) async fn greet(self, stream: &mut TcpStream) -> std::io::Result<bool> {
        match self {
            Door::TlsSilent => drop(tokio::io::copy(stream, &mut tokio::io::sink()).await),
            Door::TlsTrickle => {
                // The head of a handshake record, and what could be a long answer.
                for byte in [0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc].into_iter().chain(std::iter::repeat_n(3, 0x3fff)) {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Door::TlsGarbage => stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?,
            Door::TlsSlow => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                return Ok(true);
            }
            _ => return Ok(true),
        }
        Ok(false)
    }

    /// The certificate of this door, by an authority made for it; and the authority.
    fn tls(self) -> Result<(TlsAcceptor, String), Problem> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate()?;
        let name = if self == Door::TlsWrongName { "127.0.0.2" } else { "127.0.0.1" };
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        if self == Door::TlsExpired {
            (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
        }
        let certificate = params.signed_by(&own, &issuer)?.der().clone();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(own.serialize_der())?)?;
        Ok((TlsAcceptor::from(Arc::new(config)), authority))
    }
}

/// A listener whose queue is full: the system answers no further connection.
async fn full() -> Result<Entrance, Problem> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1)?;
    let address = listener.local_addr()?;
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        held.push(stream?);
        if held.len() > 64 {
            return Err("this system's queues are never full".into());
        }
    }
    let url = format!("http://{address}");
    Ok(Entrance { _held: held, _full: Some(listener), ..Entrance::to_nobody(url) })
}
