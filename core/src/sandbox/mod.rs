//! A real small OAuth 2.0 provider and key-checking API on a loopback address, for demos and tests without a network.
//! It is strict, keeps its state in memory, counts what happens, and can be told to misbehave: see [`Control`], [`Ways`]
//! and `docs/sandbox.md`. It shares no code with the engine's client side, so that a mistake there is not repeated here.

mod api;
mod authorize;
mod connector;
mod control;
mod device;
mod grants;
mod inbox;
mod oauth1;
mod params;
mod refusal;
mod register;
mod servers;
mod state;
mod stats;
#[cfg(test)]
mod tests;
mod token;
mod visit;
mod ways;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;

pub use connector::SandboxConnector;
pub use control::{BodyKind, Control, Endpoint, Misbehaviour, SandboxControl};
pub use device::{DeviceWays, UserCodeForm};
pub use grants::PASSWORD;
pub use oauth1::TBA_TOKEN;
pub use refusal::Mistake;
pub use servers::ServerKind;
pub use stats::{Stats, TokenInfo, TokenKind, TokenState};
pub use visit::{visit, visit_device};
pub use ways::{ErrorStyle, ExpiresForm, IssuerForm, Refused, Rotation, ScopeForm, TokenForm, Ways};

use crate::{
    Result,
    listen::{self, Answer, Payload, Request, Server},
    model::Json,
    plugin::{Clock, SystemClock},
};
use params::Params;
use state::State;

/// The client that every sandbox knows.
pub const CLIENT_ID: &str = "sandbox-client";
/// Its secret. It opens nothing but a sandbox.
pub const CLIENT_SECRET: &str = "sandbox-secret";
/// The API key that every sandbox knows.
pub const API_KEY: &str = "sandbox-key-good";

/// How long a connection may be silent between two requests.
const IDLE: Duration = Duration::from_secs(60);

/// How a sandbox starts.
#[derive(Clone)]
pub struct SandboxOptions {
    /// Where it listens; a loopback address. Default `127.0.0.1:0`, which takes a free port.
    pub listen: SocketAddr,
    /// Its time. Default: the system's.
    pub clock: Arc<dyn Clock>,
    /// Its ways. Default: a strict server that rotates refresh tokens.
    pub ways: Ways,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), clock: Arc::new(SystemClock::default()), ways: Ways::default() }
    }
}

/// A running sandbox. It ends when this is dropped.
pub struct Sandbox {
    server: Server,
    shared: Arc<Shared>,
}

impl Sandbox {
    /// Starts one.
    ///
    /// # Errors
    /// `invalid_request` for an address that is not loopback; `unsupported` when it cannot be bound.
    pub async fn start(options: SandboxOptions) -> Result<Sandbox> {
        let shared = Arc::new(Shared { state: Mutex::new(State::new(options.clock, options.ways)) });
        let serving = shared.clone();
        let handler: listen::Handler = Arc::new(move |request| Box::pin(serve(serving.clone(), request)));
        let server = listen::serve(options.listen, IDLE, handler).await?;
        shared.state().origin = format!("http://{}", server.address());
        Ok(Sandbox { server, shared })
    }

    /// Its origin, e.g. `http://127.0.0.1:40123`; also its issuer.
    pub fn origin(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What steers it.
    pub fn control(&self) -> SandboxControl {
        SandboxControl { shared: self.shared.clone() }
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox({})", self.origin())
    }
}

/// The state behind its lock. The lock is held for memory work only.
struct Shared {
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a request.
enum End {
    Answer(Answer),
    Drop,
    Hang,
}

/// Counts a request to refresh while it is being answered.
struct Refreshing(Arc<Shared>);

impl Refreshing {
    fn begin(shared: &Arc<Shared>) -> Self {
        let mut state = shared.state();
        let stats = &mut state.stats;
        stats.concurrent_refreshes += 1;
        stats.concurrent_refreshes_max = stats.concurrent_refreshes_max.max(stats.concurrent_refreshes);
        Self(shared.clone())
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.state().stats.concurrent_refreshes -= 1;
    }
}

async fn serve(shared: Arc<Shared>, request: Request) -> Option<Answer> {
    // A page of the web must not reach the sandbox under a name of its own (DNS rebinding).
    if !host_is_loopback(&request) {
        return Some(Answer::empty(421));
    }
    // A client that goes away stops nothing: real servers finish their work, too.
    let end = crate::runtime::spawn(end(shared, request)).await;
    match end {
        Ok(End::Answer(answer)) => Some(answer),
        Ok(End::Drop) | Err(_) => None,
        Ok(End::Hang) => std::future::pending().await,
    }
}

async fn end(shared: Arc<Shared>, request: Request) -> End {
    let Some(endpoint) = endpoint(&request) else { return End::Answer(plain(&shared, &request)) };
    let _refreshing = (endpoint == Endpoint::Refresh).then(|| Refreshing::begin(&shared));
    let fault = shared.state().next_fault(endpoint);
    let end = match fault {
        None => End::Answer(work(&shared, endpoint, &request)),
        Some(fault) => misbehave(&shared, endpoint, &request, fault).await,
    };
    let outcome = match &end {
        End::Answer(answer) => answer.status.to_string(),
        End::Drop | End::Hang => "lost".to_owned(),
    };
    *shared.state().stats.answers.entry(format!("{endpoint} {outcome}")).or_default() += 1;
    end
}

async fn misbehave(shared: &Arc<Shared>, endpoint: Endpoint, request: &Request, fault: Misbehaviour) -> End {
    let first = |wanted: bool| {
        if wanted {
            work(shared, endpoint, request);
        }
    };
    match fault {
        Misbehaviour::Status { status, body, retry_after, after_work } => {
            first(after_work);
            let answer = odd_body(status, body);
            End::Answer(match retry_after {
                Some(wait) => answer.with("retry-after", wait),
                None => answer,
            })
        }
        Misbehaviour::Error { error, description, .. } if endpoint == Endpoint::Authorize => {
            let answer = shared.state().authorize(&request.query, Some((&error, description.as_deref())));
            End::Answer(answer.unwrap_or_else(|_| Answer::empty(500)))
        }
        Misbehaviour::Error { error, status, description } => {
            let mut body = json!({"error": error});
            if let Some(description) = description {
                body["error_description"] = description.into();
            }
            if shared.state().ways.echo_secrets {
                body["request"] = String::from_utf8_lossy(&request.body).into();
                body["authorization"] = request.header("authorization").unwrap_or_default().into();
            }
            End::Answer(json_answer(status, &body).with("cache-control", "no-store"))
        }
        Misbehaviour::Delay { millis, after_work } => {
            let wait = tokio::time::sleep(Duration::from_millis(millis));
            if after_work {
                let answer = work(shared, endpoint, request);
                wait.await;
                End::Answer(answer)
            } else {
                wait.await;
                End::Answer(work(shared, endpoint, request))
            }
        }
        Misbehaviour::Drop { after_work } => {
            first(after_work);
            End::Drop
        }
        Misbehaviour::Hang { after_work } => {
            first(after_work);
            End::Hang
        }
    }
}

/// Does what the endpoint is for.
fn work(shared: &Shared, endpoint: Endpoint, request: &Request) -> Answer {
    let mut state = shared.state();
    let done = match endpoint {
        Endpoint::Authorize => state.authorize(&request.query, None),
        Endpoint::Token | Endpoint::Refresh => state.token_endpoint(request),
        Endpoint::Revoke if !state.ways.revocation => Ok(nowhere()),
        Endpoint::Revoke => Ok(state.revoke(request)),
        Endpoint::Introspect => Ok(state.introspect(request)),
        Endpoint::Userinfo => Ok(state.userinfo(request)),
        Endpoint::Api => Ok(state.api(request)),
        Endpoint::KeyCheck => Ok(state.key_check(request)),
        Endpoint::Login => state.login(request),
        Endpoint::Device if !state.devices.ways.offered => Ok(nowhere()),
        Endpoint::Device => state.device_start(request),
        Endpoint::Oauth1 => state.oauth1_access(request),
        Endpoint::Inbox => Ok(state.receive(request)),
        Endpoint::Register => state.register(request),
    };
    done.unwrap_or_else(|_| Answer::empty(500))
}

/// Which endpoint it is, if it is one that can misbehave.
fn endpoint(request: &Request) -> Option<Endpoint> {
    Some(match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/authorize") => Endpoint::Authorize,
        ("POST", "/token") if Params::parse(&request.body).one("grant_type") == Some("refresh_token") => Endpoint::Refresh,
        ("POST", "/token") => Endpoint::Token,
        ("POST", "/login") => Endpoint::Login,
        ("POST", "/device") => Endpoint::Device,
        ("POST", "/oauth1/access_token") => Endpoint::Oauth1,
        ("POST", "/register") => Endpoint::Register,
        ("POST", "/revoke") => Endpoint::Revoke,
        ("POST", "/introspect") => Endpoint::Introspect,
        ("GET" | "POST", "/userinfo") => Endpoint::Userinfo,
        ("GET", "/api/items" | "/api/channels") | (_, "/api/echo") => Endpoint::Api,
        ("GET", "/api/key-check") => Endpoint::KeyCheck,
        ("POST" | "PUT" | "PATCH", path) if inbox::name(path).is_some() => Endpoint::Inbox,
        _ => return None,
    })
}

/// Everything that never misbehaves.
fn plain(shared: &Arc<Shared>, request: &Request) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/authorize/decide") => shared.state().decide(&request.body).unwrap_or_else(|_| Answer::empty(500)),
        ("GET", "/device") => shared.state().device_page(&request.query),
        ("POST", "/device/decide") => shared.state().device_form(&request.body),
        ("POST", "/oauth1/request_token") => shared.state().oauth1_request(request).unwrap_or_else(|_| Answer::empty(500)),
        ("GET", "/oauth1/authorize") => shared.state().oauth1_authorize(&request.query).unwrap_or_else(|_| Answer::empty(500)),
        (_, "/oauth1/api/me") | ("GET", "/oauth1/api/items") => shared.state().oauth1_api(request),
        ("POST", "/oauth1/revoke") => shared.state().oauth1_revoke(request),
        ("GET" | "DELETE", path) if path.starts_with("/register/") => {
            shared.state().client_page(request).unwrap_or_else(|_| Answer::empty(500))
        }
        ("GET", "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server") => shared.state().metadata(),
        ("GET", "/stats") => {
            let state = shared.state();
            json_answer(200, &json!({"stats": state.stats, "ways": state.ways, "tokens": state.tokens()}))
        }
        ("GET", path) if inbox::name(path).is_some() => shared.state().inbox(path),
        ("POST", "/control") => control_over_http(shared, request),
        _ => nowhere(),
    }
}

fn nowhere() -> Answer {
    json_answer(404, &json!({"error": "not_found", "message": "The sandbox has no such page; see docs/sandbox.md"}))
}

fn control_over_http(shared: &Arc<Shared>, request: &Request) -> Answer {
    // A browser sends this type to a foreign origin only after a preflight, which is never answered.
    let json = request.header("content-type").is_some_and(|t| t.split(';').next().is_some_and(|t| t.trim() == "application/json"));
    if !json {
        return json_answer(415, &json!({"error": "invalid_request", "message": "Send application/json"}));
    }
    let Ok(order) = serde_json::from_slice(&request.body) else {
        return json_answer(400, &json!({"error": "invalid_request", "message": "The body is not JSON"}));
    };
    match (SandboxControl { shared: shared.clone() }).apply_json(order) {
        Ok(()) => json_answer(200, &json!({"ok": true})),
        Err(error) => json_answer(400, &json!({"error": error.code().as_str(), "message": error.reason()})),
    }
}

/// How the sandbox names a user to clients.
fn subject(user: &str) -> &'static str {
    state::USERS.iter().find(|(name, ..)| *name == user).unwrap_or(&state::USERS[0]).1
}

fn json_answer(status: u16, body: &Json) -> Answer {
    Answer::new(status, "application/json", body.to_string())
}

fn odd_body(status: u16, body: BodyKind) -> Answer {
    match body {
        BodyKind::Empty => Answer::empty(status),
        BodyKind::Html => {
            Answer::new(status, "text/html; charset=utf-8", "<!doctype html><title>Oops</title><h1>Something went wrong</h1>")
        }
        BodyKind::BadJson => Answer::new(status, "application/json", "{\"access_token\": \"cut"),
        BodyKind::Truncated => {
            Answer { payload: Payload::Truncated(b"{\"access_token\": \"".to_vec()), ..json_answer(status, &Json::Null) }
        }
        BodyKind::Oversize => Answer { payload: Payload::Filler(64 * 1024 * 1024), ..json_answer(status, &Json::Null) },
    }
}

fn host_is_loopback(request: &Request) -> bool {
    let host = request.header("host").and_then(|h| url::Url::parse(&format!("http://{h}/")).ok());
    host.is_some_and(|url| authorize::loopback_http(&url))
}
