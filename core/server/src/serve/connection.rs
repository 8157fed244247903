//! One connection: its times, and its end.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use http::Response;
use http_body::{Frame, SizeHint};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::Instant,
};

use super::{Limits, io::Paced};
use crate::{Api, Peer};

/// The library keeps the headers of so many lines without asking for memory.
const FREE_HEADERS: usize = 100;

/// What is under way on a connection.
struct Work {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    under_way: usize,
    /// When the last request came or ended.
    at: Instant,
    /// Whether any came.
    begun: bool,
}

/// A request, until the last byte of its answer was handed on.
struct Request(Arc<Work>);

impl Work {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>) -> Request {
        let mut state = self.state();
        state.under_way += 1;
        state.begun = true;
        state.at = Instant::now();
        drop(state);
        self.changed.notify_one();
        Request(self.clone())
    }

    /// Resolves once a request has come.
    async fn begun(&self) {
        while !self.state().begun {
            self.changed.notified().await;
        }
    }

    /// Resolves when nothing has been under way for this time.
    async fn idle(&self, time: Option<Duration>) {
        let Some(time) = time else { return std::future::pending().await };
        loop {
            let (is_idle, at) = {
                let state = self.state();
                (state.under_way == 0, state.at)
            };
            if is_idle && at.elapsed() >= time {
                return;
            }
            // What begins and ends in between moves `at`.
            let until = if is_idle { at + time } else { Instant::now() + time };
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        state.at = Instant::now();
    }
}

/// A body that holds its request open.
struct Held(Body, #[allow(dead_code)] Request);

impl http_body::Body for Held {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Up to twice the limit the service answers, in words; what is larger the library refuses.
    let head = limits.head_size.saturating_mul(2).clamp(16 * 1024, 1 << 30);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(head);
    if limits.headers >= FREE_HEADERS {
        builder.http1().max_headers(limits.headers.saturating_mul(2).min(1 << 16));
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(limits.resets)
        // A client that is gone without a word is noticed.
        .keep_alive_interval(Duration::from_secs(20));
    builder
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn serve(stream: TcpStream, peer: Peer, api: &Api, limits: &Limits, mut stopped: watch::Receiver<()>) {
    let _ = stream.set_nodelay(true);
    let work = Arc::new(Work { state: Mutex::new(State { under_way: 0, at: Instant::now(), begun: false }), changed: Notify::new() });
    let (of_service, api) = (work.clone(), api.clone());
    let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        let (api, held) = (api.clone(), of_service.begin());
        request.extensions_mut().insert(peer);
        async move { Ok::<_, Infallible>(api.answer(request).await.map(|body| Held(body, held))) as Result<Response<Held>, Infallible> }
    });
    let builder = builder(limits);
    let serving = builder.serve_connection(TokioIo::new(Paced::new(stream, limits.write_time)), service);
    let mut serving = std::pin::pin!(serving);
    let mut is_stopping = false;
    // While it is open which version the client speaks, no other time runs.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = work.begun() => {}
        () = after(limits.head_time) => return,
        // A request that was sent before we said anything is taken.
        _ = stopped.changed() => is_stopping = true,
    }
    if is_stopping {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = work.begun() => {}
            () = tokio::time::sleep(limits.stop_time / 2) => return,
        }
    } else {
        tokio::select! {
            _ = serving.as_mut() => return,
            // The channel carries no value: it changes only by its sender's end.
            _ = stopped.changed() => is_stopping = true,
            () = work.idle(limits.idle_time) => {}
            () = after(limits.connection_time) => {}
        }
    }
    serving.as_mut().graceful_shutdown();
    if !is_stopping {
        tokio::select! {
            _ = serving.as_mut() => return,
            _ = stopped.changed() => {}
            () = after(limits.connection_time) => return,
        }
    }
    let _ = tokio::time::timeout(limits.stop_time, serving).await;
}
