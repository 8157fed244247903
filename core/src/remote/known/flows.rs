//! Connects that were begun at a server which has no flows: what stood before is remembered, and the application is looked at
//! until something new stands there.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::convert::connections;
use crate::{
    Timestamp,
    backend::WaitFlow,
    error::{Code, Error, Result, Retry},
    ids,
    model::{AuthType, ConnectFlow, Connection, ConnectionStatus, FlowFailure, FlowStatus},
    plugin::{Clock, SystemClock},
    wire,
};

/// How often such a server is asked whether the user has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The first pause, which grows by a half each time. Default 1 s.
    pub first: Duration,
    /// The longest pause. Default 5 s.
    pub longest: Duration,
    /// When the user counts as gone: a flow ends as `expired` then. Default 10 minutes.
    pub give_up: Duration,
}

impl Default for Poll {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(5), give_up: Duration::from_secs(600) }
    }
}

struct Begun {
    flow: ConnectFlow,
    before: wire::Application,
    until: Instant,
}

/// Flows of this handle. They end with it: the server knows none of them.
pub(super) struct Flows {
    poll: Poll,
    begun: Mutex<BTreeMap<String, Begun>>,
}

impl Flows {
    pub(super) fn new(poll: Poll) -> Self {
        Self { poll, begun: Mutex::new(BTreeMap::new()) }
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<String, Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, account: String, application: String, before: wire::Application) -> Result<ConnectFlow> {
        let now = SystemClock::default().now();
        let flow = ConnectFlow {
            id: ids::new_id(now)?,
            account_id: account,
            application,
            status: FlowStatus::Pending,
            connection_id: None,
            error: None,
            return_to: None,
            return_url: None,
            created_at: now,
            expires_at: now.plus(self.poll.give_up),
        };
        let until = Instant::now() + self.poll.give_up;
        let mut begun = self.begun();
        // An ended flow is kept as long as it might have run, for those who ask late.
        let long_ago = now.minus(self.poll.give_up * 2);
        begun.retain(|_, begun| begun.flow.created_at > long_ago);
        begun.insert(flow.id.clone(), Begun { flow: flow.clone(), before, until });
        Ok(flow)
    }

    fn with<T>(&self, id: &str, account: &str, act: impl FnOnce(&mut Begun) -> T) -> Result<T> {
        let mut begun = self.begun();
        let own =
            begun.get_mut(id).filter(|begun| account.is_empty() || begun.flow.account_id.is_empty() || begun.flow.account_id == account);
        let found = own.ok_or_else(|| Error::code_only(Code::FlowNotFound).with("flow", id))?;
        if !found.flow.status.is_final() && Instant::now() >= found.until {
            end(&mut found.flow, FlowStatus::Expired, Code::FlowExpired);
        }
        Ok(act(found))
    }

    pub(super) fn get(&self, id: &str, account: &str) -> Result<ConnectFlow> {
        self.with(id, account, |begun| begun.flow.clone())
    }

    /// The page stays good at the server; nobody looks any more.
    pub(super) fn cancel(&self, id: &str, account: &str) -> Result<ConnectFlow> {
        self.with(id, account, |begun| {
            if !begun.flow.status.is_final() {
                end(&mut begun.flow, FlowStatus::Cancelled, Code::FlowCancelled);
            }
            begun.flow.clone()
        })
    }

    /// Looks until the flow has ended or the time is over, and once at the least.
    pub(super) async fn wait<F, L>(&self, request: &WaitFlow, look: L) -> Result<ConnectFlow>
    where
        L: Fn(String, String) -> F,
        F: Future<Output = Result<wire::Application>>,
    {
        let until = request.timeout.map(|timeout| Instant::now() + timeout);
        let mut pause = self.poll.first;
        loop {
            let flow = self.get(&request.flow, &request.account)?;
            if flow.status.is_final() {
                return Ok(flow);
            }
            match look(flow.account_id.clone(), flow.application.clone()).await {
                Ok(now) => {
                    let seen = self.with(&request.flow, &request.account, |begun| {
                        if !begun.flow.status.is_final()
                            && let Some(id) = connected(&begun.before, &now)
                        {
                            begun.flow.status = FlowStatus::Connected;
                            begun.flow.connection_id = Some(id);
                        }
                        begun.flow.clone()
                    })?;
                    if seen.status.is_final() {
                        return Ok(seen);
                    }
                }
                // A server that is away for a moment has not ended the flow.
                Err(error) if error.retry() == Retry::Later => tracing::debug!(code = error.code().as_str(), "a look failed"),
                Err(error) => return Err(error),
            }
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return self.get(&request.flow, &request.account);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = pause.mul_f64(1.5).min(self.poll.longest);
        }
    }
}

fn end(flow: &mut ConnectFlow, status: FlowStatus, code: Code) {
    flow.status = status;
    let (code, reason) = (code.as_str().to_owned(), Error::code_only(code).reason().to_owned());
    flow.error = Some(FlowFailure { code, reason });
}

/// The connection that the user has made since: an active OAuth connection that is new, newer, or was not active.
fn connected(before: &wire::Application, now: &wire::Application) -> Option<String> {
    let key = |connection: &Connection| (connection.id.clone(), connection.connected_at);
    let active = |app: &wire::Application| -> Vec<(String, Timestamp)> {
        let all = connections("", app).into_iter();
        let good = |one: &Connection| one.auth_type == AuthType::Oauth2 && one.status == ConnectionStatus::Active;
        all.filter(good).map(|one| key(&one)).collect()
    };
    let old = active(before);
    active(now).into_iter().find(|one| !old.contains(one)).map(|(id, _)| id)
}
