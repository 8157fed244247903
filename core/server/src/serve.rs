//! The server's own accept loop, with limits on connections, heads and time. A proxy in front is welcome, not needed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, watch},
};

use crate::Api;

/// How much one server bears.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the operating system's queue. Default 4,096.
    pub connections: usize,
    /// How long a connection may take to send a request's head, also between two requests. Default 10 s.
    pub head_time: Duration,
    /// The largest head, in bytes. Default 16 KiB.
    pub head_size: usize,
    /// How long a connection may last. Default 10 minutes.
    pub connection_time: Duration,
    /// How long open connections may take to end when the server stops. Default 5 s.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            head_time: Duration::from_secs(10),
            head_size: 16 * 1024,
            connection_time: Duration::from_secs(600),
            stop_time: Duration::from_secs(5),
        }
    }
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    limits: Limits,
}

impl Server {
    /// Binds the address; port 0 takes any.
    ///
    /// # Errors
    /// The operating system's: the address is taken, or not ours.
    pub async fn bind(address: SocketAddr, limits: Limits) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, limits })
    }

    /// Where it listens, with the real port.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is ready, then lets open connections end.
    pub async fn serve(self, api: Api, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let (ended, stopped) = watch::channel(());
        let mut stop = std::pin::pin!(stop);
        loop {
            let place = tokio::select! {
                () = &mut stop => break,
                place = places.clone().acquire_owned() => place,
            };
            let Ok(place) = place else { break };
            let stream = tokio::select! {
                () = &mut stop => break,
                stream = self.listener.accept() => stream,
            };
            match stream {
                Ok((stream, _)) => {
                    let (api, limits, stopped) = (api.clone(), self.limits.clone(), stopped.clone());
                    tokio::spawn(async move {
                        connection(stream, api, &limits, stopped).await;
                        drop(place);
                    });
                }
                // Out of file handles, most likely: give others time to close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        drop(self.listener);
        drop(ended);
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(self.limits.stop_time, places.acquire_many(all)).await;
    }
}

async fn connection(stream: TcpStream, api: Api, limits: &Limits, mut stopped: watch::Receiver<()>) {
    let _ = stream.set_nodelay(true);
    let begun = Arc::new(Notify::new());
    let first = begun.clone();
    let service = hyper::service::service_fn(move |request| {
        let api = api.clone();
        first.notify_one();
        async move { Ok::<_, std::convert::Infallible>(api.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head_size.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head_size).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(20));
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    // While it is open which version the client speaks, no other time runs.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = begun.notified() => {}
        // Nothing was asked yet.
        _ = stopped.changed() => return,
        () = tokio::time::sleep(limits.head_time) => return,
    }
    tokio::select! {
        _ = serving.as_mut() => return,
        // The channel carries no value: it changes only by its sender's end.
        _ = stopped.changed() => {}
        () = tokio::time::sleep(limits.connection_time) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits.stop_time, serving).await;
}
