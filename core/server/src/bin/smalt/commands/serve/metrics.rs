//! The address for metrics: one page, for one reader at a time or two.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper_util::rt::{TokioIo, TokioTimer};
use smalt_server::Api;
use tokio::{net::TcpListener, sync::Semaphore};

/// Readers at once.
const READERS: usize = 16;
/// How long one may stay.
const TIME: Duration = Duration::from_secs(30);

pub async fn serve(listener: TcpListener, api: Api) {
    let places = Arc::new(Semaphore::new(READERS));
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let api = api.clone();
        tokio::spawn(async move {
            let page = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let is_page = request.method() == http::Method::GET && request.uri().path() == "/metrics";
                let text = if is_page { api.metrics() } else { "there is nothing but GET /metrics\n".to_owned() };
                let mut response = Response::new(Full::new(hyper::body::Bytes::from(text)));
                *response.status_mut() = if is_page { StatusCode::OK } else { StatusCode::NOT_FOUND };
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(TIME);
            let _ = tokio::time::timeout(TIME, builder.serve_connection(TokioIo::new(stream), page)).await;
            drop(place);
        });
    }
}
