//! The HTTP API inside the user's own application, a server for tests, and the command.

use std::{ffi::OsString, net::SocketAddr, sync::Arc};

use http::Request;
use http_body_util::{BodyExt, Full};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use smalt::{
    Code, Error, Timestamp,
    model::Environment,
    plugin::{Clock, SystemClock},
};
use smalt_server::{ApiOptions, Limits, Peer};
use tokio::sync::{Mutex, oneshot};

use crate::{
    de::from_python,
    engine::Engine,
    errors::raised,
    panics::here,
    work::{Answer, Work},
};

type RawBody = axum::body::Body;
/// Names and values.
type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// Answers that are no longer than this come at once.
const WHOLE: u64 = 1024 * 1024;

/// One answer of the API.
pub struct Response {
    status: u16,
    headers: Headers,
    whole: Vec<u8>,
    rest: Option<RawBody>,
}

impl Response {
    /// `(status, headers, body, rest)`.
    pub fn into_python<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (PyBytes::new(py, name), PyBytes::new(py, value))).collect();
        let rest = self.rest.map(|rest| Body(Arc::new(Mutex::new(rest))));
        Ok((self.status, headers, PyBytes::new(py, &self.whole), rest).into_pyobject(py)?.into_any())
    }
}

/// The rest of a body that comes piece by piece.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Body(Arc<Mutex<RawBody>>);

#[pymethods]
impl Body {
    /// The next piece; empty at the end.
    fn next(&self) -> Work {
        here();
        let body = self.0.clone();
        Work::new(async move {
            let mut body = body.lock().await;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Error::new(Code::Internal, "the answer broke off"))?;
                if let Ok(piece) = frame.into_data()
                    && !piece.is_empty()
                {
                    return Ok(Answer::Bytes(piece.to_vec()));
                }
            }
            Ok(Answer::Bytes(Vec::new()))
        })
    }
}

fn environment(name: &str) -> PyResult<Environment> {
    Environment::parse(name).ok_or_else(|| PyValueError::new_err("an environment is `test` or `production`"))
}

/// The HTTP API over engines, one per environment.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Api(smalt_server::Api);

#[pymethods]
impl Api {
    #[new]
    #[pyo3(signature = (engines, public_url=None))]
    fn new(py: Python<'_>, engines: Vec<(String, Bound<'_, Engine>)>, public_url: Option<String>) -> PyResult<Self> {
        here();
        let options = ApiOptions { public_url, ..ApiOptions::default() };
        let mut hosts = Vec::new();
        for (name, engine) in engines {
            hosts.push((environment(&name)?, raised(py, engine.get().smalt())?));
        }
        Ok(Self(smalt_server::Api::new(hosts, options)))
    }

    /// Answers one request: `(status, headers, body, rest)`. `client` is the address at the other end of the connection.
    #[pyo3(signature = (method, target, headers, body, client=None))]
    fn answer(&self, method: &str, target: &str, headers: Headers, body: Vec<u8>, client: Option<&str>) -> PyResult<Work> {
        here();
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request =
            request.body(Full::<axum::body::Bytes>::from(body)).map_err(|_| PyValueError::new_err("this is no HTTP request"))?;
        if let Some(address) = client.and_then(|client| client.parse().ok()) {
            request.extensions_mut().insert(Peer(address));
        }
        let api = self.0.clone();
        Ok(Work::new(async move {
            let (head, body) = api.answer(request).await.into_parts();
            let mut headers: Headers = Vec::with_capacity(head.headers.len());
            for (name, value) in &head.headers {
                headers.push((name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()));
            }
            let short = http_body::Body::size_hint(&body).exact().is_some_and(|length| length <= WHOLE);
            let (whole, rest) = if short {
                let whole = body.collect().await.map_err(|_| Error::new(Code::Internal, "the answer broke off"))?;
                (whole.to_bytes().to_vec(), None)
            } else {
                (Vec::new(), Some(body))
            };
            Ok(Answer::Response(Response { status: head.status.as_u16(), headers, whole, rest }))
        }))
    }
}

/// A server on loopback, in this process.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Server {
    url: String,
    stop: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

/// What a server was started as.
pub struct Started {
    url: String,
    stop: oneshot::Sender<()>,
}

impl Started {
    pub fn object(self) -> Server {
        Server { url: self.url, stop: std::sync::Mutex::new(Some(self.stop)) }
    }
}

#[pymethods]
impl Server {
    /// Where it listens.
    #[getter]
    fn url(&self) -> &str {
        here();
        &self.url
    }

    /// Lets open connections end, and listens no more.
    fn stop(&self) {
        here();
        if let Ok(mut stop) = self.stop.lock() {
            drop(stop.take());
        }
    }
}

/// Serves the API of an engine on a free loopback port.
#[pyfunction]
pub fn serve(py: Python<'_>, engine: &Bound<'_, Engine>, name: &str) -> PyResult<Work> {
    here();
    let (environment, smalt) = (environment(name)?, raised(py, engine.get().smalt())?);
    Ok(Work::new(async move {
        let lost = |error: std::io::Error| Error::new(Code::Internal, format!("the server could not listen: {}", error.kind()));
        let server = smalt_server::Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Limits::default()).await.map_err(lost)?;
        let url = format!("http://{}", server.address().map_err(lost)?);
        let api = smalt_server::Api::new([(environment, smalt)], ApiOptions::default());
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            server
                .serve(api, async move {
                    let _ = stopped.await;
                })
                .await;
        });
        Ok(Answer::Server(Started { url, stop }))
    }))
}

/// Runs the `smalt` command with these arguments, its own name first; its exit status.
#[pyfunction]
pub fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    here();
    py.detach(|| smalt_server::command::run(arguments))
}

/// Checks a delivery of a webhook: `(id, milliseconds since 1970 when it was sent)`.
#[pyfunction]
#[pyo3(signature = (headers, body, secrets, tolerance, now=None))]
pub fn verify_webhook(
    py: Python<'_>,
    headers: Vec<(String, String)>,
    body: &[u8],
    secrets: Vec<Bound<'_, PyAny>>,
    tolerance: f64,
    now: Option<i64>,
) -> PyResult<(String, i64)> {
    here();
    let mut known = Vec::new();
    for secret in &secrets {
        known.push(raised(py, from_python("the secret", secret))?);
    }
    let now = now.map_or_else(|| SystemClock::default().now(), Timestamp::from_millis);
    let tolerance = crate::work::seconds(Some(tolerance))?.unwrap_or_default();
    let verified = raised(py, smalt::webhook::verify(&headers, body, &known, now, tolerance))?;
    Ok((verified.id, verified.sent_at.millis()))
}

/// Checks the signature that receivers of the hosted service know.
#[pyfunction]
pub fn verify_webhook_compatible(py: Python<'_>, signature: &str, body: &[u8], secrets: Vec<Bound<'_, PyAny>>) -> PyResult<()> {
    here();
    let mut known = Vec::new();
    for secret in &secrets {
        known.push(raised(py, from_python("the secret", secret))?);
    }
    raised(py, smalt::webhook::verify_compatible(signature, body, &known))
}
