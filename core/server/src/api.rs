//! The service: routing, the proof of the caller, limits, and the headers that every answer has.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, rejection::RawPathParamsRejection},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use smalt::{
    Code, Smalt,
    model::{Environment, Json},
};

use crate::{
    answer::{Trouble, failed},
    call::Call,
    path,
    routes::{Access, Route, routes},
    who,
};

/// Headers that browsers may send. A `*` would not cover `authorization`.
const ALLOWED_HEADERS: &str = "authorization, content-type, x-api-key, linked_account_id, linked-account-id, slug, config_id, config-id, \
     sync_execution, sync-execution, disable_field_options, disable-field-options, include-headers, instance_tag, instance-tag, environment";
const ALLOWED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
/// Arrays and objects in each other, at most.
const MAX_DEPTH: usize = 32;

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Where the service is reached from outside: generated URLs start with it, routes do not. Default: the project's `org.public_url`.
    pub public_url: Option<String>,
    /// The largest request body, in bytes. Default 64 KiB.
    pub max_body: usize,
    /// How long a request's body may take to come, whole; then it is answered with 408. Default 10 s.
    pub body_time: Duration,
    /// How long a request may take before it is answered with 504; work that it began goes on. Default 60 s.
    pub deadline: Duration,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self { public_url: None, max_body: 64 * 1024, body_time: Duration::from_secs(10), deadline: Duration::from_secs(60) }
    }
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
    router: Router,
}

/// The HTTP API as a tower service. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// What a request to one pattern may become, and what stands in the pattern's places; `None` where that is no text.
#[derive(Clone)]
struct Matched(Arc<Vec<&'static Route>>, Option<BTreeMap<String, String>>);

impl Api {
    /// The API over these engines, one per environment.
    pub fn new(engines: impl IntoIterator<Item = (Environment, Smalt)>, options: ApiOptions) -> Self {
        let mut by_path: BTreeMap<&str, Vec<&'static Route>> = BTreeMap::new();
        for route in routes() {
            by_path.entry(route.path).or_default().push(route);
        }
        let mut router = Router::new();
        for (pattern, routes) in by_path {
            let routes = Arc::new(routes);
            // The router only finds the pattern; what it found comes back with the response.
            // It has decoded the segments, exactly once; bytes that are no UTF-8 it refuses.
            let found = move |params: Result<RawPathParams, RawPathParamsRejection>| {
                let routes = routes.clone();
                async move {
                    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                    let decoded = params.ok().map(|params| params.iter().map(own).collect());
                    let mut response = Response::new(Body::empty());
                    response.extensions_mut().insert(Matched(routes, decoded));
                    response
                }
            };
            router = router.route(pattern, axum::routing::any(found));
        }
        Self(Arc::new(Inner { hosts: Hosts(engines.into_iter().collect()), options, router }))
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    /// Where this service is reached from outside, without a slash at the end.
    pub(crate) async fn public_url(&self, smalt: &Smalt) -> Result<String, Trouble> {
        let url = match &self.0.options.public_url {
            Some(url) => url.clone(),
            None => smalt.project().await?.org.public_url.ok_or_else(|| {
                Trouble::Plain(
                    500,
                    "SERVER_ERROR",
                    "nobody said where this server is reached: set `org.public_url` in the project file, or `--public-url`".into(),
                )
            })?,
        };
        Ok(url.trim_end_matches('/').to_owned())
    }

    async fn find(&self, target: &str) -> Option<Matched> {
        use tower_service::Service;
        let request = Request::builder().uri(target).body(Body::empty()).ok()?;
        let Ok(mut response) = self.0.router.clone().call(request).await;
        response.extensions_mut().remove()
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
    {
        let request_id = request_id();
        let (head, body) = request.into_parts();
        let origin = head.headers.get(header::ORIGIN).cloned();
        let mut response = if head.method == Method::OPTIONS {
            preflight()
        } else {
            let deadline = self.0.options.deadline;
            match tokio::time::timeout(deadline, self.handle(head, body)).await {
                Ok(Ok(response)) => response,
                Ok(Err((trouble, allow))) => refused(&trouble, allow.as_deref(), &request_id),
                Err(_) => {
                    let text = format!("no answer within {} s; what was begun goes on: read its outcome later", deadline.as_secs());
                    refused(&Trouble::Plain(504, "SERVER_ERROR", text), None, &request_id)
                }
            }
        };
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.allow_origin(headers, origin).await;
        response
    }

    /// Any origin without the browser's credentials, until a project lists origins: then exactly those.
    async fn allow_origin(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>) {
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        let mut listed: Vec<String> = Vec::new();
        for (_, smalt) in self.0.hosts.all() {
            listed.extend(smalt.project().await.map(|project| project.org.origins).unwrap_or_default());
        }
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

    async fn handle<B>(&self, head: http::request::Parts, body: B) -> Result<Response<Body>, (Trouble, Option<String>)>
    where
        B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
    {
        let target = path::normal(&head.uri);
        let Some(Matched(routes, params)) = self.find(&target).await else {
            return Err((
                Trouble::Plain(404, "RESOURCE_NOT_FOUND", format!("there is nothing at {} {}", head.method, shown(&head.uri))),
                None,
            ));
        };
        let Some(route) =
            routes.iter().find(|route| route.method == head.method.as_str() || (route.method == "GET" && head.method == Method::HEAD))
        else {
            let allow = routes.iter().map(|route| route.method).collect::<Vec<_>>().join(", ");
            return Err((
                Trouble::Plain(405, "METHOD_NOT_ALLOWED", format!("{} is not offered here, but {allow}", head.method)),
                Some(allow),
            ));
        };
        let Some(params) = params else { return Err((Trouble::bad("the path is no UTF-8"), None)) };
        self.run(route, target, params, head, body).await.map_err(|trouble| (trouble, None))
    }

    async fn run<B>(
        &self,
        route: &'static Route,
        target: String,
        params: BTreeMap<String, String>,
        head: http::request::Parts,
        body: B,
    ) -> Result<Response<Body>, Trouble>
    where
        B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
    {
        let query = path::pairs(head.uri.query().unwrap_or_default());
        let body = read_body(route, &head.headers, body, &self.0.options).await?;
        let who = match route.access {
            Access::Public => None,
            access => Some(who::prove(&self.0.hosts, access, &head.headers, &query, &body).await?),
        };
        let call = Call { api: self.clone(), method: head.method, target, params, query, headers: head.headers, body, who };
        let (account, slug) = (call.who.as_ref().map(|who| (who.account.clone(), who.environment)), call.params.get("slug").cloned());
        let smalt = call.who.as_ref().map(|who| who.smalt.clone());
        match (route.run)(call).await {
            Ok(answer) => Ok(answer.into_response()),
            // Smalt's own routes answer in Smalt's own words.
            Err(trouble) if route.access == Access::Doorway => Err(trouble),
            Err(trouble) => Err(in_known_words(trouble, smalt, account, slug).await),
        }
    }
}

/// Some errors have texts that users of the hosted service know.
async fn in_known_words(trouble: Trouble, smalt: Option<Smalt>, account: Option<(String, Environment)>, slug: Option<String>) -> Trouble {
    let Some(smalt) = smalt else { return trouble };
    let error = match trouble {
        Trouble::Smalt(error) => error,
        other => return other,
    };
    let org = smalt.project().await.map(|project| project.org.id).unwrap_or_default();
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

async fn read_body<B>(route: &Route, headers: &HeaderMap, body: B, options: &ApiOptions) -> Result<Json, Trouble>
where
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    let limit = options.max_body;
    let too_large = || Trouble::Plain(413, "PAYLOAD_TOO_LARGE", format!("the body is larger than {limit} bytes"));
    let body = std::pin::pin!(Limited::new(body, limit));
    // All of it has one time: what comes drop by drop is as bad as what does not come.
    let Ok(collected) = tokio::time::timeout(options.body_time, body.collect()).await else {
        let text = format!("the body did not come within {} s", options.body_time.as_secs_f32());
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
        Ok(body) if depth(&body) <= MAX_DEPTH => Ok(body),
        _ if matches!(route.method, "GET" | "DELETE") => Ok(Json::Null),
        Ok(_) => Err(Trouble::bad(format!("the body nests deeper than {MAX_DEPTH}"))),
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

fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::from("{}"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

fn refused(trouble: &Trouble, allow: Option<&str>, request_id: &str) -> Response<Body> {
    let body = trouble.body(request_id);
    if body.status_code >= 500 {
        tracing::warn!(status = body.status_code, code = body.code, request_id, "a request failed");
    }
    let mut response = failed(&body);
    if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// A random UUID (RFC 9562, version 4).
fn request_id() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        return "00000000-0000-4000-8000-000000000000".to_owned();
    }
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
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
