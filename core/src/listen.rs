//! A tiny HTTP/1.1 server on a loopback address: an accept loop of our own with limits on connections, headers, body and
//! time. The sandbox and the loopback listener of native apps (RFC 8252 section 7.3) share it.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use http::{HeaderMap, Response, header::HeaderValue};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use crate::{
    Result,
    error::{bail, err},
};

/// The largest request body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// The largest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How long a request's body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Connections at once; more wait in the operating system's queue.
const MAX_CONNECTIONS: usize = 512;
/// How long open connections may take to end once the server was stopped.
const STOP_TIME: Duration = Duration::from_secs(2);
/// One piece of a filler body.
const PIECE: usize = 64 * 1024;

/// One request, read whole.
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// What follows the head.
pub(crate) enum Payload {
    /// The body.
    Whole(Vec<u8>),
    /// The body's beginning; the head promised more, and the connection is cut.
    Truncated(Vec<u8>),
    /// This many spaces, in pieces.
    Filler(usize),
}

/// One answer.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub payload: Payload,
}

impl Answer {
    /// An answer with a body of this type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], payload: Payload::Whole(body.into()) }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), payload: Payload::Whole(Vec::new()) }
    }

    /// A redirect; 303 makes the browser follow with GET.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::empty(status).with("location", location).with("cache-control", "no-store").with("referrer-policy", "no-referrer")
    }

    /// Adds a header. One that no header can carry is left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A handler's answer; `None` closes the connection without one.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;
/// What answers requests.
pub(crate) type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// A running server. Dropping it ends the accept loop at once and open connections shortly after.
pub(crate) struct Server {
    address: SocketAddr,
    _stop: watch::Sender<()>,
}

impl Server {
    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds and serves on the process's runtime, so that the caller's own runtime, if any, does not matter.
/// `idle` is how long a connection may take to send a request's head, also between two requests.
///
/// # Errors
/// `invalid_request` for an address that is not loopback; `unsupported` when it cannot be bound.
pub(crate) async fn serve(address: SocketAddr, idle: Duration, handler: Handler) -> Result<Server> {
    if !address.ip().is_loopback() {
        bail!(InvalidRequest, "`{address}` is not a loopback address; use 127.0.0.1 or [::1]");
    }
    crate::runtime::spawn(async move {
        let bound = TcpListener::bind(address).await.and_then(|l| Ok((l.local_addr()?, l)));
        let (address, listener) = bound.map_err(|e| err!(Unsupported, "cannot listen on {address}: {e}"))?;
        let (stop, stopped) = watch::channel(());
        crate::runtime::spawn(accept(listener, idle, handler, stopped));
        Ok(Server { address, _stop: stop })
    })
    .await
    .map_err(|_| err!(Internal, "the runtime ended while a listener was made"))?
}

async fn accept(listener: TcpListener, idle: Duration, handler: Handler, mut stopped: watch::Receiver<()>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The channel carries no value: it changes only by its sender's end.
        let stream = tokio::select! {
            _ = stopped.changed() => return,
            place = next(&listener, &places) => place,
        };
        match stream {
            Ok((stream, place)) => {
                let (handler, stopped) = (handler.clone(), stopped.clone());
                tokio::spawn(async move {
                    connection(stream, idle, handler, stopped).await;
                    drop(place);
                });
            }
            // Out of file handles, most likely: give others time to close theirs.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn connection(stream: TcpStream, idle: Duration, handler: Handler, mut stopped: watch::Receiver<()>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let handler = handler.clone();
        async move { answer(request, &handler).await.ok_or_else(|| io::Error::other("closed without an answer")) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = stopped.changed() => serving.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(STOP_TIME, serving).await;
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

async fn answer(request: http::Request<Incoming>, handler: &Handler) -> Option<Response<Body>> {
    let (head, body) = request.into_parts();
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await;
    let body = match read {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        // Too large, cut, or malformed: the connection cannot be used again.
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => return Some(build(Answer::empty(413).with("connection", "close"))),
        Ok(Err(_)) => return None,
        Err(_) => return Some(build(Answer::empty(408).with("connection", "close"))),
    };
    let request = Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    handler(request).await.map(build)
}

fn build(answer: Answer) -> Response<Body> {
    let mut promised = None;
    let body = match answer.payload {
        Payload::Whole(bytes) => Full::new(Bytes::from(bytes)).map_err(|never: Infallible| match never {}).boxed_unsync(),
        Payload::Truncated(bytes) => {
            promised = Some(bytes.len() + 1024);
            StreamBody::new(futures_util::stream::unfold(Some(bytes), cut)).boxed_unsync()
        }
        Payload::Filler(length) => {
            promised = Some(length);
            let pieces = futures_util::stream::unfold(length, |left| async move {
                let piece = left.min(PIECE);
                (piece > 0).then(|| (Ok(Frame::data(Bytes::from(vec![b' '; piece]))), left - piece))
            });
            StreamBody::new(pieces).boxed_unsync()
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    if let Some(length) = promised {
        response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
    }
    response
}

/// First the bytes, then a failure, once the bytes have had the time to leave.
async fn cut(bytes: Option<Vec<u8>>) -> Option<(io::Result<Frame<Bytes>>, Option<Vec<u8>>)> {
    match bytes {
        Some(bytes) => Some((Ok(Frame::data(Bytes::from(bytes))), None)),
        None => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Err(io::Error::other("cut")), None))
        }
    }
}

/// The pairs of a query or of a form body, decoded.
pub(crate) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}
