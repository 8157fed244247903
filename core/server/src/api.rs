//! The service: routing, the proof of the caller, limits, and the headers that every answer has.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, Limited};
use matchit::Router;
use smalt::{
    Code, Error, Secret, Smalt,
    model::{Environment, Json},
    operations::Operation,
    project::ServerSettings,
    wire::Failure,
};
use tokio::sync::Mutex;

use crate::{
    address::{self, Peer},
    answer::{Trouble, failed},
    call::{Call, Upload},
    feed::Feeds,
    guard::Guard,
    metrics::{Metrics, Place},
    pack, path, port,
    project::in_force,
    rates::Rates,
    routes::{
        Access, PASSING, Route, asks_itself,
        pages::{Came, gone_on},
        routes,
    },
    settings::{Current, Settings, most, time},
    waits::Waits,
    who,
};

/// Headers that browsers may send. A `*` would not cover `authorization`.
const ALLOWED_HEADERS: &str = "authorization, content-type, x-api-key, linked_account_id, linked-account-id, slug, config_id, config-id, \
     sync_execution, sync-execution, disable_field_options, disable-field-options, include-headers, instance_tag, instance-tag, environment, last-event-id, x-request-id, traceparent, smalt-port-secret";
const ALLOWED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
/// How long the server is held to be ready after it was.
const READY: Duration = Duration::from_secs(1);

/// Settings of the service. Its limits stand in the project, under `[server]`.
#[derive(Clone, Default)]
pub struct ApiOptions {
    /// Where the service is reached from outside: generated URLs start with it, routes do not. Default: the project's `org.public_url`.
    pub public_url: Option<String>,
    /// Is told of every request.
    pub observer: Option<Arc<dyn Observer>>,
    /// For a port on this machine that a program opens for itself: every call must carry this in the header
    /// [`PORT_SECRET`](crate::PORT_SECRET), and none may come through a proxy. See [`port_secret`](crate::port_secret).
    pub port_secret: Option<Secret>,
}

/// Is told of every request, for logs and traces. It is called within the request, so it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// A request was answered.
    fn answered(&self, request: &Answered<'_>);
}

/// What is told of a request. No path, query, header or body is: they may hold secrets.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Also in the header `x-request-id`.
    pub request_id: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// The route's pattern, or the operation's path; absent where none was found.
    pub route: Option<&'a str>,
    /// The answer's status.
    pub status: u16,
    /// When it came.
    pub began: SystemTime,
    /// Until the answer's head was ready.
    pub took: Duration,
    /// Where it came from.
    pub client: Option<std::net::IpAddr>,
    /// The header `traceparent`, as it came.
    pub traceparent: Option<&'a str>,
}

/// The engines behind the service: one per environment.
pub(crate) struct Hosts(BTreeMap<Environment, Smalt>);

impl Hosts {
    pub(crate) fn get(&self, environment: Environment) -> Option<&Smalt> {
        self.0.get(&environment)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Environment, &Smalt)> {
        self.0.iter().map(|(environment, smalt)| (*environment, smalt))
    }
}

struct Inner {
    hosts: Hosts,
    options: ApiOptions,
    /// By pattern: the methods and their routes.
    router: Router<Served>,
    current: Current,
    rates: Rates,
    metrics: Arc<Metrics>,
    waits: Arc<Waits>,
    feeds: Feeds,
    /// When it was ready last.
    ready: Mutex<Option<Instant>>,
}

/// The HTTP API as a tower service. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// What a request to one pattern may become, by the routes' places in the table.
type Served = Vec<(usize, &'static Route)>;

/// What stands in a pattern's places, decoded once; `None` where that is no text.
type Places = Option<BTreeMap<String, String>>;

impl Api {
    /// The API over these engines, one per environment.
    pub fn new(engines: impl IntoIterator<Item = (Environment, Smalt)>, options: ApiOptions) -> Self {
        let mut by_path: BTreeMap<&str, Served> = BTreeMap::new();
        for (at, route) in routes().iter().enumerate() {
            by_path.entry(route.path).or_default().push((at, route));
        }
        let mut router = Router::new();
        for (pattern, routes) in by_path {
            router.insert(pattern, routes).expect("no two patterns of the table stand in each other's way");
        }
        let metrics = Arc::new(Metrics::new());
        Self(Arc::new(Inner {
            hosts: Hosts(engines.into_iter().collect()),
            options,
            router,
            current: Current::default(),
            rates: Rates::new(),
            waits: Waits::new(metrics.clone()),
            feeds: Feeds::default(),
            metrics,
            ready: Mutex::new(None),
        }))
    }

    /// The project's limits, as they are now.
    pub async fn limits(&self) -> ServerSettings {
        self.settings().await.server.clone()
    }

    /// What was counted since it was made, as Prometheus reads it. Whoever may read it learns how much is going on, and no more.
    pub fn metrics(&self) -> String {
        self.0.metrics.text()
    }

    /// Ends what waits for events, and refuses to be ready, since the server is about to end. Other calls are answered as before.
    pub fn end_waits(&self) {
        self.0.waits.end();
    }

    /// Whether every engine can work now: looked at once a second at most, however often it is asked.
    pub(crate) async fn ready(&self) -> Result<(), Trouble> {
        if self.0.waits.is_ended() {
            return Err(Trouble::Plain(503, "SERVER_ERROR", "the server is about to end".into()));
        }
        let mut ready = self.0.ready.lock().await;
        if ready.is_some_and(|at| at.elapsed() < READY) {
            return Ok(());
        }
        for (_, smalt) in self.0.hosts.all() {
            smalt.ready().await?;
        }
        *ready = Some(Instant::now());
        Ok(())
    }

    /// More than so many at once would make all of them slow. Those that wait for an event have stepped aside.
    fn has_room(&self, limits: &ServerSettings) -> Result<(), Trouble> {
        let busy = self.0.metrics.under_way.load(Relaxed);
        if usize::try_from(busy).unwrap_or(0) <= most(limits.requests) {
            return Ok(());
        }
        let error = Error::new(Code::Overloaded, "too many requests are being answered");
        Err(error.retry_after(Duration::from_secs(1)).into())
    }

    pub(crate) fn counters(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    pub(crate) fn waits(&self) -> &Arc<Waits> {
        &self.0.waits
    }

    pub(crate) fn feeds(&self) -> &Feeds {
        &self.0.feeds
    }

    pub(crate) async fn settings(&self) -> Arc<Settings> {
        self.0.current.get(&self.0.hosts).await
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    /// Where this service is reached from outside, without a slash at the end.
    pub(crate) async fn public_url(&self, smalt: &Smalt) -> Result<String, Trouble> {
        let url = match &self.0.options.public_url {
            Some(url) => url.clone(),
            None => in_force(smalt).await?.org.public_url.clone().ok_or_else(|| {
                Trouble::Plain(
                    500,
                    "SERVER_ERROR",
                    "nobody said where this server is reached: set `org.public_url` in the project file, or `--public-url`".into(),
                )
            })?,
        };
        Ok(url.trim_end_matches('/').to_owned())
    }

    /// The same, where anybody said it.
    pub(crate) async fn home(&self) -> Option<String> {
        let smalt = self.0.hosts.all().next().map(|(_, smalt)| smalt.clone())?;
        self.public_url(&smalt).await.ok()
    }

    fn find(&self, target: &str) -> Option<(&Served, Places)> {
        let found = self.0.router.at(target.split('?').next().unwrap_or_default()).ok()?;
        let decoded = |(name, value): (&str, &str)| {
            let value = percent_encoding::percent_decode_str(value).decode_utf8().ok()?;
            Some((name.to_owned(), value.into_owned()))
        };
        Some((found.value, found.params.iter().map(decoded).collect()))
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let (began, started) = (SystemTime::now(), Instant::now());
        let metrics = &self.0.metrics;
        let _under_way = UnderWay::begin(metrics);
        let (head, body) = request.into_parts();
        let request_id = request_id(&head.headers);
        let origin = head.headers.get(header::ORIGIN).cloned();
        let settings = self.settings().await;
        let peer = head.extensions.get::<Peer>().copied();
        let client = address::client(peer, &head.headers, &settings.trusted);
        let observed = self.0.options.observer.as_ref().map(|observer| {
            let traceparent = head.headers.get("traceparent").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
            (observer, head.method.clone(), traceparent)
        });
        let mut place = Place::nowhere();
        let is_direct = self.0.options.port_secret.as_ref().map_or(Ok(()), |_| port::is_direct(&head));
        let target = path::normal(&head.uri);
        let from_provider = matches!(head.method, Method::GET | Method::POST) && path::is_callback(&target);
        let mut response = if let Err(trouble) = is_direct {
            refused(&trouble, None, &request_id)
        } else if head.method == Method::OPTIONS {
            preflight()
        } else {
            // A body that passes through has its own times; its answer begins when it has been sent.
            let is_passing = target.split('?').next() == Some(PASSING);
            let limits = &settings.server;
            let deadline = time(if is_passing { limits.stream_time } else { limits.request_time });
            let work = self.handle(&settings, client, &mut place, &target, head, body);
            let done = match deadline {
                Some(deadline) => tokio::time::timeout(deadline, work).await,
                None => Ok(work.await),
            };
            let done = done.unwrap_or_else(|_| {
                let seconds = deadline.unwrap_or_default().as_secs_f64();
                let text = format!("no answer within {seconds} s; what was begun goes on: read its outcome later");
                Err((Trouble::Plain(504, "SERVER_ERROR", text), None))
            });
            match done {
                Ok(response) => response,
                Err((trouble, _)) if from_provider => self.led_on(&target, &trouble, &request_id).await,
                Err((trouble, allow)) => refused(&trouble, allow.as_deref(), &request_id),
            }
        };
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        allow_origin(headers, origin, &settings.origins);
        let (status, took) = (response.status().as_u16(), started.elapsed());
        metrics.answered(place, status, took);
        if let Some((observer, method, traceparent)) = observed {
            let route = Some(place).filter(|place| *place != Place::nowhere()).map(|place| place.name().1);
            observer.answered(&Answered {
                request_id: &request_id,
                method: method.as_str(),
                route: route.as_deref(),
                status,
                began,
                took,
                client,
                traceparent: traceparent.as_deref(),
            });
        }
        response
    }

    /// A browser that comes back from a provider stays at no address with its code and state, refused or not (S-08).
    async fn led_on(&self, target: &str, trouble: &Trouble, request_id: &str) -> Response<Body> {
        let body = trouble.body(request_id);
        noted(&body, request_id);
        if body.status_code < 500 {
            tracing::info!(status = body.status_code, code = body.code, request_id, "a callback ended no connect");
        }
        let came = match trouble.code() {
            // What was begun goes on: whoever waits for the connect learns its end.
            Code::ServerTimeout => Came::Waiting,
            code => Came::Failed(code),
        };
        gone_on(self, target, came).await.into_response()
    }

    async fn handle<B>(
        &self,
        settings: &Arc<Settings>,
        client: Option<std::net::IpAddr>,
        place: &mut Place,
        target: &str,
        head: http::request::Parts,
        body: B,
    ) -> Result<Response<Body>, (Trouble, Option<String>)>
    where
        B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        head_fits(&head, &settings.server).map_err(|trouble| (trouble, None))?;
        if !is_health(target) {
            self.has_room(&settings.server).map_err(|trouble| (trouble, None))?;
        }
        let found = self.find(target);
        if let Some(secret) = &self.0.options.port_secret {
            let route = found.as_ref().and_then(|(routes, _)| routes.first()).map(|(_, route)| *route);
            port::knows(secret, &head.headers, route).map_err(|trouble| (trouble, None))?;
        }
        let Some((routes, params)) = found else {
            return Err((
                Trouble::Plain(404, "RESOURCE_NOT_FOUND", format!("there is nothing at {} {}", head.method, shown(&head.uri))),
                None,
            ));
        };
        let serves = |route: &Route| route.method == head.method.as_str() || (route.method == "GET" && head.method == Method::HEAD);
        let Some((at, route)) = routes.iter().find(|(_, route)| serves(route)).copied() else {
            let allow = routes.iter().map(|(_, route)| route.method).collect::<Vec<_>>().join(", ");
            return Err((
                Trouble::Plain(405, "METHOD_NOT_ALLOWED", format!("{} is not offered here, but {allow}", head.method)),
                Some(allow),
            ));
        };
        let Some(params) = params else { return Err((Trouble::bad("the path is no UTF-8"), None)) };
        let operation = params.get("operation").and_then(|name| Operation::named(name));
        *place = operation.map_or_else(|| Place::route(at), Place::operation);
        let found = Found { route, operation, target: target.to_owned(), params, client };
        self.run(settings, found, head, body).await.map_err(|trouble| (trouble, None))
    }

    async fn run<B>(&self, settings: &Arc<Settings>, found: Found, head: http::request::Parts, body: B) -> Result<Response<Body>, Trouble>
    where
        B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let Found { route, operation, target, params, client } = found;
        let guard = Guard { rates: &self.0.rates, metrics: &self.0.metrics, limits: &settings.server.rates, client };
        let mut guess = guard.before(route, &head.headers)?;
        let query = path::pairs(head.uri.query().unwrap_or_default());
        let (body, upload) = match route.path {
            PASSING => (Json::Null, Some(passing(body))),
            _ => match read_body(route, &head.headers, body, &settings.server).await {
                Ok(body) => (body, None),
                Err(trouble) => {
                    guard.untried(guess);
                    return Err(trouble);
                }
            },
        };
        let who = match route.access {
            Access::Public => None,
            _ => match who::prove(&self.0.hosts, route, &head.headers, &query, &body).await {
                Ok(who) => Some(who),
                Err(trouble) => {
                    guard.tried(guess, !trouble.is_wrong_credential());
                    return Err(trouble);
                }
            },
        };
        if let Some(who) = &who {
            if !asks_itself(route) {
                guard.tried(guess.take(), true);
            }
            if let Err(trouble) = guard.proved(route, operation, who) {
                guard.untried(guess);
                return Err(trouble);
            }
        }
        let settings = settings.clone();
        let is_packed = pack::asked_for(&head.headers);
        let (method, headers) = (head.method, head.headers);
        let call = Call { api: self.clone(), settings, method, target, params, query, headers, body, upload: Upload::new(upload), who };
        let (account, slug) = (call.who.as_ref().map(|who| (who.account.clone(), who.environment)), call.params.get("slug").cloned());
        let smalt = call.who.as_ref().map(|who| who.smalt.clone());
        let done = (route.run)(call).await;
        guard.tried(guess, !done.as_ref().is_err_and(Trouble::is_wrong_credential));
        match done {
            Ok(answer) if pack::allowed(route, operation) => Ok(pack::packed(answer.into_response(), is_packed).await),
            Ok(answer) => Ok(answer.into_response()),
            // Smalt's own routes answer in Smalt's own words.
            Err(trouble) if route.access == Access::Doorway => Err(trouble),
            Err(trouble) => Err(in_known_words(trouble, smalt, account, slug).await),
        }
    }
}

/// What a request is about.
struct Found {
    route: &'static Route,
    operation: Option<Operation>,
    target: String,
    params: BTreeMap<String, String>,
    client: Option<std::net::IpAddr>,
}

/// One request that is being answered.
struct UnderWay<'a>(&'a Metrics);

impl<'a> UnderWay<'a> {
    fn begin(metrics: &'a Metrics) -> Self {
        metrics.under_way.fetch_add(1, Relaxed);
        Self(metrics)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// Any origin without the browser's credentials, until a project lists origins: then exactly those.
fn allow_origin(headers: &mut HeaderMap, origin: Option<HeaderValue>, listed: &[String]) {
    if listed.is_empty() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|origin| listed.iter().any(|known| known == origin))) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-request-id, retry-after"));
}

/// Whoever asks whether the server lives is always answered.
pub(crate) fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// What is far too large does not come this far: the connection refuses it, without a body.
fn head_fits(head: &http::request::Parts, limits: &ServerSettings) -> Result<(), Trouble> {
    let lines = head.headers.len();
    let bytes = head.uri.path_and_query().map_or(0, |target| target.as_str().len())
        + head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    let (most_bytes, most_lines) = (most(limits.head_size), most(limits.headers));
    let text = match (bytes > most_bytes, lines > most_lines) {
        (true, _) => format!("the request's head is larger than {most_bytes} bytes"),
        (_, true) => format!("the request has more than {most_lines} header lines"),
        _ => return Ok(()),
    };
    Err(Trouble::Plain(431, "HEADERS_TOO_LARGE", text))
}

/// Some errors have texts that users of the hosted service know.
async fn in_known_words(trouble: Trouble, smalt: Option<Smalt>, account: Option<(String, Environment)>, slug: Option<String>) -> Trouble {
    let Some(smalt) = smalt else { return trouble };
    let error = match trouble {
        Trouble::Smalt(error) => error,
        other => return other,
    };
    let org = in_force(&smalt).await.map(|project| project.org.id.clone()).unwrap_or_default();
    match (error.code(), account, slug) {
        (Code::LinkedAccountNotFound, Some((account, environment)), _) => {
            let text = format!("Linked Account with account id {account} for org {org} in environment {environment} not found");
            Trouble::Known(error, "SERVER_ERROR", text)
        }
        (Code::ApplicationNotFound, _, Some(slug)) => {
            Trouble::Known(error, "INVALID_APP_ID", format!("Application with app_type '{slug}' not found for org {org}"))
        }
        _ => Trouble::Smalt(error),
    }
}

/// The path without its query, which may hold what nobody should see again.
fn shown(uri: &http::Uri) -> String {
    uri.path().chars().take(200).collect()
}

/// A body of any sort as one of ours, unread.
fn passing<B>(body: B) -> Body
where
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    if body.is_end_stream() {
        return Body::empty();
    }
    let whole = |mut data: B::Data| -> Bytes {
        use bytes::Buf;
        let len = data.remaining();
        data.copy_to_bytes(len)
    };
    Body::new(body.map_frame(move |frame: Frame<B::Data>| frame.map_data(whole)))
}

async fn read_body<B>(route: &Route, headers: &HeaderMap, body: B, limits: &ServerSettings) -> Result<Json, Trouble>
where
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let limit = most(limits.body_size);
    let too_large = || Trouble::Plain(413, "PAYLOAD_TOO_LARGE", format!("the body is larger than {limit} bytes"));
    let body = std::pin::pin!(Limited::new(body, limit));
    // All of it has one time: what comes drop by drop is as bad as what does not come.
    let collected = match time(limits.body_time) {
        Some(time) => tokio::time::timeout(time, body.collect()).await,
        None => Ok(body.collect().await),
    };
    let Ok(collected) = collected else {
        let text = format!("the body did not come within {} s", limits.body_time);
        return Err(Trouble::Plain(408, "REQUEST_TIMEOUT", text));
    };
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => return Err(too_large()),
        Err(_) => return Err(Trouble::Plain(400, "SERVER_ERROR", "the body was cut off".into())),
    };
    if bytes.is_empty() {
        return Ok(Json::Null);
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Providers and pages of ours send forms. Everybody else sends JSON, whatever the content type says: tools claim a form by default.
    if route.access == Access::Public && content_type.starts_with("application/x-www-form-urlencoded") {
        let text = String::from_utf8_lossy(&bytes);
        return Ok(Json::Object(path::pairs(&text).into_iter().map(|(name, value)| (name, Json::String(value))).collect()));
    }
    // Where no body is expected, whatever stands there is passed over: some clients send one with every request.
    match serde_json::from_slice(&bytes) {
        Ok(body) if depth(&body) <= most(limits.body_depth) && keys(&body) <= most(limits.body_keys) => Ok(body),
        _ if matches!(route.method, "GET" | "DELETE") => Ok(Json::Null),
        Ok(body) if depth(&body) > most(limits.body_depth) => {
            Err(Trouble::bad(format!("the body nests deeper than {}", limits.body_depth)))
        }
        Ok(_) => Err(Trouble::bad(format!("the body has more than {} keys", limits.body_keys))),
        Err(error) => Err(Trouble::bad(format!("the body is no JSON: line {}, column {}", error.line(), error.column()))),
    }
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn keys(value: &Json) -> usize {
    match value {
        Json::Array(items) => items.iter().map(keys).sum(),
        Json::Object(map) => map.len() + map.values().map(keys).sum::<usize>(),
        _ => 0,
    }
}

fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::from("{}"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

/// What is no fault of the caller's stands in the log.
fn noted(body: &Failure, request_id: &str) {
    if body.status_code >= 500 {
        tracing::warn!(status = body.status_code, code = body.code, request_id, "a request failed");
    }
}

fn refused(trouble: &Trouble, allow: Option<&str>, request_id: &str) -> Response<Body> {
    let body = trouble.body(request_id);
    noted(&body, request_id);
    let mut response = failed(&body);
    if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The caller's own id where it is a plain one, else a random UUID (RFC 9562, version 4).
fn request_id(headers: &HeaderMap) -> String {
    let is_plain = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    if let Some(id) = headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(is_plain) {
        return id.to_owned();
    }
    smalt::remote::call_id().unwrap_or_else(|_| "00000000-0000-4000-8000-000000000000".to_owned())
}

impl<B> tower_service::Service<Request<B>> for Api
where
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(request).await) })
    }
}
