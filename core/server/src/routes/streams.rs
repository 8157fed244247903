//! Server-sent events (WHATWG HTML, section 9.2): the log, and one flow. Each goes on where the client says that it stopped.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use smalt::{
    Code, Error, Smalt,
    backend::{Caller, GetAccount, call_json},
    engine::event_position,
    model::{Event, EventType, Json},
    operations::Operation,
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};

use crate::{
    answer::{Answer, Trouble},
    call::Call,
    feed::{Feed, page},
    settings::time,
    waits::Waiting,
};

/// Something is sent at least so often, so that both sides notice when the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A flow also ends by the clock, which writes nothing.
const LOOK: Duration = Duration::from_secs(2);
/// What a session may read of an event of its own account: nothing that tells of others.
const FOR_SESSIONS: [&str; 11] =
    ["flow", "connection", "config", "workflow", "version", "code", "expires_at", "recoverable", "receipt", "auth_type", "session"];

fn piece(id: Option<&str>, name: &str, data: &Json) -> Bytes {
    // JSON has no line breaks, cursors and names neither.
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("{id}event: {name}\ndata: {data}\n\n").into()
}

/// Where the client stopped.
fn last_id(call: &Call) -> Option<String> {
    call.header("last-event-id").or_else(|| call.query("since")).map(ToOwned::to_owned)
}

/// Whom a stream is for, and how long it lasts.
struct Watcher {
    waiting: Waiting,
    /// Held, so that the feed goes on.
    _feed: Arc<Feed>,
    receiver: Receiver<Arc<Event>>,
    until: Instant,
    /// Only events of this account.
    account: Option<String>,
    /// The session or API key: with its end the stream ends.
    name: String,
    is_session: bool,
}

/// What a watcher saw.
enum Seen {
    Event(Arc<Event>),
    /// Too much happened: the log itself must be read.
    Lagged,
    /// For so long nothing happened.
    Nothing,
    End,
}

impl Watcher {
    async fn new(call: &Call, account: Option<String>) -> Result<Self, Trouble> {
        let who = call.who()?;
        let waiting = call.api.waits().enter(&who.waits_as(), &call.settings.server)?;
        let feed = call.api.feeds().of(who.environment, &who.smalt).await?;
        let receiver = feed.watch();
        let lasts = time(call.settings.server.stream_time).unwrap_or(Duration::from_secs(365 * 86_400));
        let lasts = match &who.session {
            Some(session) => lasts.min(session.expires_at.since(now())),
            None => lasts,
        };
        let until = Instant::now() + lasts;
        Ok(Self { waiting, _feed: feed, receiver, until, account, name: who.name.clone(), is_session: !who.is_organisation })
    }

    fn is_for(&self, event: &Event) -> bool {
        self.account.is_none() || self.account == event.account_id
    }

    /// Whether the caller's authority ends with this event.
    fn ends_with(&self, event: &Event) -> bool {
        let is_own =
            |kind: &str, key: &str| event.data.get(key).and_then(Json::as_str).is_some_and(|id| self.name.strip_prefix(kind) == Some(id));
        match event.event_type {
            EventType::SessionRevoked => is_own("session:", "session"),
            EventType::ApiKeyRevoked => is_own("api_key:", "api_key"),
            EventType::AccountDeleted => self.is_session && self.account == event.account_id,
            _ => false,
        }
    }

    async fn next(&mut self, patience: Duration) -> Seen {
        tokio::select! {
            biased;
            () = self.waiting.ended() => Seen::End,
            () = tokio::time::sleep_until(self.until) => Seen::End,
            received = self.receiver.recv() => match received {
                Ok(event) => Seen::Event(event),
                Err(RecvError::Lagged(_)) => Seen::Lagged,
                Err(RecvError::Closed) => Seen::End,
            },
            () = tokio::time::sleep(patience) => Seen::Nothing,
        }
    }
}

fn now() -> smalt::Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    smalt::Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

/// The log: of the organisation, or of one linked account.
pub(super) async fn events(call: Call) -> Result<Answer, Trouble> {
    let who = call.who()?;
    let account = Some(who.account.clone()).filter(|account| !account.is_empty());
    let smalt = who.smalt.clone();
    if let Some(account) = &account {
        call.backend()?.get_account(&who.caller, GetAccount { account: account.clone() }).await?;
    }
    let watcher = Watcher::new(&call, account).await?;
    // A cursor that is none is said now, with a status.
    let begin = match last_id(&call).filter(|id| id != "now") {
        Some(cursor) => Ok(cursor),
        None => page(&smalt, Some("now".to_owned()), None).await.map(|page| page.next.unwrap_or_default()),
    }?;
    let first = page(&smalt, Some(begin.clone()), None).await?;
    let position = event_position(&begin).unwrap_or(0);
    let ready = VecDeque::from(["retry: 1000\n\n".into()]);
    let mut log = Log { smalt, watcher, since: begin, position, ready, is_over: false, is_behind: true, is_ready: false };
    log.take(first.items.iter());
    Ok(stream(log, Log::next))
}

struct Log {
    smalt: Smalt,
    watcher: Watcher,
    /// How far the log was read, or heard.
    since: String,
    position: i64,
    ready: VecDeque<Bytes>,
    is_over: bool,
    is_behind: bool,
    /// Whether the client was told that it has everything so far.
    is_ready: bool,
}

impl Log {
    fn go_to(&mut self, cursor: &str) {
        cursor.clone_into(&mut self.since);
        self.position = event_position(cursor).unwrap_or(self.position);
    }

    fn take<'e>(&mut self, events: impl Iterator<Item = &'e Event>) {
        for event in events {
            if self.is_over || event_position(&event.cursor).is_some_and(|at| at <= self.position) {
                continue;
            }
            self.go_to(&event.cursor);
            if self.watcher.is_for(event) {
                let mut shown = serde_json::to_value(event).unwrap_or_default();
                if let (true, Some(data)) = (self.watcher.is_session, shown["data"].as_object_mut()) {
                    data.retain(|name, _| FOR_SESSIONS.contains(&name.as_str()));
                }
                self.ready.push_back(piece(Some(&event.cursor), event.event_type.as_str(), &shown));
            }
            self.is_over = self.watcher.ends_with(event);
        }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some((piece, self));
            }
            if self.is_over {
                return None;
            }
            if self.is_behind {
                let page = page(&self.smalt, Some(self.since.clone()), None).await.ok()?;
                self.is_behind = !page.items.is_empty();
                self.take(page.items.iter());
                if !self.is_behind && !self.is_ready {
                    self.is_ready = true;
                    // From here a client that heard nothing else can go on.
                    self.ready.push_back(piece(Some(&self.since), "ready", &serde_json::json!({})));
                }
                continue;
            }
            match self.watcher.next(HEARTBEAT).await {
                Seen::Event(event) => self.take(std::iter::once(&*event)),
                Seen::Lagged => self.is_behind = true,
                Seen::Nothing => return Some((":\n\n".into(), self)),
                Seen::End => return None,
            }
        }
    }
}

/// One flow, until it has ended.
pub(super) async fn flow(call: Call) -> Result<Answer, Trouble> {
    let who = call.who()?;
    let (smalt, caller) = (who.smalt.clone(), who.caller.clone());
    let request = serde_json::json!({"account": who.account, "flow": call.param("flow")});
    let watcher = Watcher::new(&call, Some(who.account.clone())).await?;
    let mut one = One { smalt, caller, request, watcher, known: last_id(&call), ready: VecDeque::new(), is_over: false };
    one.ready.push_back("retry: 1000\n\n".into());
    // One that is not there is said now, with a status.
    one.look().await?;
    Ok(stream(one, One::next))
}

struct One {
    smalt: Smalt,
    caller: Caller,
    request: Json,
    watcher: Watcher,
    /// The status that the client knows.
    known: Option<String>,
    ready: VecDeque<Bytes>,
    is_over: bool,
}

impl One {
    async fn look(&mut self) -> Result<(), Error> {
        let flow = call_json(&**self.smalt.backend(), &self.caller, Operation::Flow, self.request.clone()).await?;
        let status = flow["status"].as_str().unwrap_or_default().to_owned();
        self.is_over = !matches!(&*status, "pending" | "parked" | "exchanging");
        // The end is said to whoever comes back for it.
        if self.is_over || self.known.as_ref() != Some(&status) {
            self.ready.push_back(piece(Some(&status), "flow", &flow));
            self.known = Some(status);
        }
        Ok(())
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut quiet = Duration::ZERO;
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some((piece, self));
            }
            if self.is_over {
                return None;
            }
            let concerns = match self.watcher.next(LOOK).await {
                Seen::Event(event) if self.watcher.ends_with(&event) => return None,
                Seen::Event(event) => self.watcher.is_for(&event),
                Seen::Lagged => true,
                Seen::Nothing => {
                    quiet += LOOK;
                    true
                }
                Seen::End => return None,
            };
            if !concerns {
                continue;
            }
            match self.look().await {
                Ok(()) => {}
                // It may pass; the client is not cut off for it.
                Err(error) if error.is(Code::StoreBusy) || error.is(Code::StoreUnavailable) => {}
                Err(_) => return None,
            }
            if self.ready.is_empty() && quiet >= HEARTBEAT {
                return Some((":\n\n".into(), self));
            }
        }
    }
}

fn stream<S, F>(state: S, next: impl Fn(S) -> F + Send + 'static) -> Answer
where
    S: Send + 'static,
    F: Future<Output = Option<(Bytes, S)>> + Send + 'static,
{
    use futures_util::StreamExt;
    let pieces = futures_util::stream::unfold(state, next).map(Ok::<_, std::convert::Infallible>);
    // Some proxies hold answers back until they are whole.
    let headers = vec![("x-accel-buffering", "no".to_owned())];
    Answer::Raw { content_type: "text/event-stream; charset=utf-8", headers, body: Body::from_stream(pieces) }
}
