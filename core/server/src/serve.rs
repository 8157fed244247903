//! The server's own accept loop, with limits on connections, heads and time. A proxy in front is welcome, not needed.

mod connection;
mod io;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::FutureExt;
use smalt::project::{AddressRange, ServerSettings};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use crate::{
    Api, Peer,
    address::counted,
    settings::{most, time},
};

/// As many connections as anybody has file handles for.
const MOST: usize = 1 << 20;

/// How much one server bears. `None`, and the largest number, are no limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the operating system's queue.
    pub connections: usize,
    /// Connections at once from one address; more are closed.
    pub connections_per_address: usize,
    /// Whose connections are not counted by address.
    pub proxies: Vec<AddressRange>,
    /// How long a connection takes requests; twice that ends it whatever is under way.
    pub connection_time: Option<Duration>,
    /// How long a connection may be open with nothing under way.
    pub idle_time: Option<Duration>,
    /// How long a connection may take to send a request's head; on HTTP/1 also between two requests.
    pub head_time: Option<Duration>,
    /// How long a client may take nothing of its answer.
    pub write_time: Option<Duration>,
    /// The largest head, in bytes. One that is little larger is answered with words, a larger one without.
    pub head_size: usize,
    /// Header lines, in the same way.
    pub headers: usize,
    /// HTTP/2: requests at once on one connection.
    pub streams: Option<u32>,
    /// HTTP/2: requests that may be taken back before they were looked at.
    pub resets: Option<usize>,
    /// How long open requests may take to end when the server stops.
    pub stop_time: Duration,
}

impl From<&ServerSettings> for Limits {
    fn from(settings: &ServerSettings) -> Self {
        Self {
            connections: most(settings.connections).min(MOST),
            connections_per_address: most(settings.connections_per_address),
            proxies: settings.trusted(),
            connection_time: time(settings.connection_time),
            idle_time: time(settings.idle_time),
            head_time: time(settings.head_time),
            write_time: time(settings.write_time),
            head_size: most(settings.head_size),
            headers: most(settings.headers),
            streams: Some(settings.streams).filter(|streams| *streams > 0),
            resets: Some(settings.resets).filter(|resets| *resets > 0),
            stop_time: time(settings.stop_time).unwrap_or_default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(&ServerSettings::default())
    }
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    limits: Limits,
}

/// One connection among those that are open.
struct Place {
    _permit: OwnedSemaphorePermit,
    addresses: Arc<Addresses>,
    /// Counted by this address.
    address: Option<IpAddr>,
    api: Api,
}

#[derive(Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

impl Addresses {
    /// Whether there is room for one more of this address, which is counted then.
    fn enter(&self, address: IpAddr, most: usize) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= most {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, address: IpAddr) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.addresses.leave(address);
        }
        self.api.counters().connections.fetch_sub(1, Relaxed);
    }
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

    /// Serves until `stop` is ready, then lets open requests end.
    pub async fn serve(self, api: Api, stop: impl Future<Output = ()>) {
        let limits = Arc::new(self.limits);
        let places = Arc::new(Semaphore::new(limits.connections));
        let addresses = Arc::new(Addresses::default());
        let (ended, stopped) = watch::channel(());
        let take = |stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit| {
            let counters = api.counters();
            counters.connected.fetch_add(1, Relaxed);
            let is_proxy = limits.proxies.iter().any(|range| range.contains(peer.ip()));
            let address = Some(counted(peer.ip())).filter(|_| !is_proxy);
            if address.is_some_and(|address| !addresses.enter(address, limits.connections_per_address)) {
                counters.crowded.fetch_add(1, Relaxed);
                return;
            }
            counters.connections.fetch_add(1, Relaxed);
            let place = Place { _permit: permit, addresses: addresses.clone(), address, api: api.clone() };
            let (limits, stopped) = (limits.clone(), stopped.clone());
            tokio::spawn(async move {
                connection::serve(stream, Peer(peer.ip()), &place.api, &limits, stopped).await;
                drop(place);
            });
        };
        let mut stop = std::pin::pin!(stop);
        loop {
            let permit = tokio::select! {
                () = &mut stop => break,
                permit = places.clone().acquire_owned() => permit,
            };
            let Ok(permit) = permit else { break };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => take(stream, peer, permit),
                // Out of file handles, most likely: give others time to close theirs.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        // What the operating system has taken for us was told that we are there.
        while let Ok(permit) = places.clone().try_acquire_owned() {
            match self.listener.accept().now_or_never() {
                Some(Ok((stream, peer))) => take(stream, peer, permit),
                _ => break,
            }
        }
        drop(self.listener);
        api.end_waits();
        drop(ended);
        let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        // Who said nothing yet has half of the time more.
        let _ = tokio::time::timeout(limits.stop_time.mul_f32(1.5), places.acquire_many(all)).await;
    }
}
