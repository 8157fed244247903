//! One case: its listener, what it is told to do, and what it counted.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
};

use crate::{
    Problem,
    cases::Case,
    door::Entrance,
    fault::{Fault, Next},
    upstream::Upstream,
    wire::Request,
};

/// An order, as `POST /control` of the origin takes it.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Order {
    /// What becomes of the next requests; those after them reach the server.
    Arm {
        #[serde(default = "once")]
        times: usize,
        #[serde(flatten)]
        fault: Fault,
    },
    /// Ends the server and starts it again; all connections are reset.
    Restart,
}

fn once() -> usize {
    1
}

/// What was counted, by operation.
#[derive(Default)]
struct Counted {
    armed: VecDeque<Fault>,
    /// Requests that came whole.
    seen: BTreeMap<String, u64>,
    /// Requests that went on to the server.
    reached: BTreeMap<String, u64>,
}

/// A case with its listener, and a second one that plays the sandbox of a conformance case: it takes orders and tells what was counted.
pub struct Place {
    /// What is called, and what must come of it.
    pub case: Case,
    upstream: Arc<Upstream>,
    entrance: Entrance,
    origin: String,
    counted: Mutex<Counted>,
}

impl Place {
    pub(crate) async fn open(case: Case, upstream: Arc<Upstream>) -> Result<Arc<Place>, Problem> {
        let mut entrance = case.door.open().await?;
        let (guests, orders) = (entrance.listener.take(), TcpListener::bind("127.0.0.1:0").await?);
        let origin = format!("http://{}", orders.local_addr()?);
        let place = Arc::new(Place { case, upstream, entrance, origin, counted: Mutex::default() });
        if let Some(guests) = guests {
            let place = place.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = guests.accept().await {
                    tokio::spawn(place.clone().guest(stream));
                }
            });
        }
        let taking = place.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = orders.accept().await {
                let place = taking.clone();
                tokio::spawn(async move { place.orders(stream).await });
            }
        });
        Ok(place)
    }

    /// What whoever runs the case must know.
    ///
    /// # Errors
    /// None that the data can cause.
    pub fn described(&self) -> Result<Value, Problem> {
        let mut steps = self.case.steps.clone();
        for (step, met) in steps.iter_mut().zip(self.case.meets()) {
            if met {
                step["within"] = json!(self.case.within());
            }
        }
        let steps = serde_json::to_string(&steps)?.replace("${key}", &self.upstream.api_key);
        Ok(json!({
            "id": self.case.id, "title": self.case.title, "url": self.entrance.url, "origin": self.origin, "key": self.upstream.api_key,
            "certificate_authority": self.entrance.authority, "client": self.case.client, "limit": self.case.limit(), "steps": serde_json::from_str::<Value>(&steps)?,
        }))
    }

    fn counted<T>(&self, look: impl FnOnce(&mut Counted) -> T) -> T {
        look(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One connection of the client.
    async fn guest(self: Arc<Self>, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        if !matches!(self.case.door.greet(&mut stream).await, Ok(true)) {
            return;
        }
        let (next, stream) = match &self.entrance.tls {
            None => {
                let mut stream = BufStream::new(stream);
                (self.serve(&mut stream).await, stream.into_inner())
            }
            Some(tls) => {
                let Ok(stream) = tls.accept(stream).await else { return };
                let mut stream = BufStream::new(stream);
                (self.serve(&mut stream).await, stream.into_inner().into_inner().0)
            }
        };
        if matches!(next, Ok(Next::Reset)) {
            let _ = stream.set_zero_linger();
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut BufStream<S>) -> std::io::Result<Next> {
        let mut upstream = self.upstream.watch();
        loop {
            if upstream.borrow_and_update().is_none() {
                return Ok(Next::Reset);
            }
            let request = tokio::select! {
                request = Request::read(stream) => request?,
                _ = upstream.changed() => return Ok(Next::Reset),
            };
            let Some(request) = request else { return Ok(Next::Close) };
            let next = self.answer(stream, request).await?;
            stream.flush().await?;
            if !matches!(next, Next::Go) {
                return Ok(next);
            }
        }
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut BufStream<S>, request: Request) -> std::io::Result<Next> {
        let name = request.path().rsplit('/').next().unwrap_or_default().to_owned();
        // What the client asks by itself is not what a case is about.
        let fault = self.counted(|counted| match &*name {
            "capabilities" => None,
            _ => {
                *counted.seen.entry(name.clone()).or_default() += 1;
                counted.armed.pop_front()
            }
        });
        let mut answer = Vec::new();
        if fault.as_ref().is_none_or(Fault::reaches) {
            let Some(address) = self.upstream.address() else { return Ok(Next::Reset) };
            if name != "capabilities" {
                self.counted(|counted| *counted.reached.entry(name).or_default() += 1);
            }
            match request.forward(address).await {
                Ok(said) => answer = said,
                Err(_) => return Ok(Next::Reset),
            }
        }
        match fault {
            None => {
                stream.write_all(&answer).await?;
                Ok(Next::Go)
            }
            Some(fault) => {
                match fault {
                    Fault::Latency { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
                    Fault::Restart { .. } => self.upstream.restart().await.map_err(std::io::Error::other)?,
                    _ => {}
                }
                let next = fault.play(stream, &answer).await;
                stream.flush().await?;
                next
            }
        }
    }

    /// One connection of whoever runs the case.
    async fn orders(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufStream::new(stream);
        let request = Request::read(&mut stream).await.ok()??;
        let (status, answer) = match request.path() {
            "/control" => match self.obey(&request.body).await {
                Ok(()) => (200, json!({"ok": true})),
                Err(why) => (400, json!({"ok": false, "error": why.to_string()})),
            },
            "/stats" => (200, json!({"stats": self.stats()})),
            _ => (404, json!({"error": "there are /control and /stats"})),
        };
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()
    }

    async fn obey(&self, order: &[u8]) -> Result<(), Problem> {
        match serde_json::from_slice(order)? {
            Order::Arm { times, fault } => self.counted(|counted| counted.armed.extend(std::iter::repeat_n(fault, times))),
            Order::Restart if !self.case.own_server => return Err("this case has no server of its own".into()),
            Order::Restart => self.upstream.restart().await?,
        }
        Ok(())
    }

    fn stats(&self) -> Value {
        let provider = self.case.own_server.then(|| self.upstream.provider());
        self.counted(|counted| json!({"seen": counted.seen, "reached": counted.reached, "left": counted.armed.len(), "provider": provider}))
    }
}
