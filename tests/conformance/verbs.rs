//! One verb: JSON arguments to the request, the answer to JSON. Nothing is decided here.

use std::{collections::BTreeMap, future::IntoFuture, path::Path, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use smalt::{
    Code, Error, Exposed, Secret, Smalt, Timestamp,
    backend::*,
    manifest::AppManifest,
    model::{
        ApiAnswer, Credential, Json, JsonMap, NameValue, NewApiKey, NewWebhook, Portal, PortalLink, SessionInfo, StartedConnect,
        UpsertedAccount, Webhook,
    },
    operations::Operation,
    plugin::{Clock, FixedClock, SystemClock, Upload, UploadSource},
    vault::LocalKey,
};
use smalt_tests::counterpart::http;
use tokio::sync::Notify;
use url::Url;

use crate::{
    plugins::{Behaviour, ScriptedPresenter},
    search,
    world::{Embedded, World},
};

/// Why a verb has no answer.
pub enum Failure {
    /// What the operation answered.
    Smalt(Box<Error>),
    /// A mistake in the case, or something that this driver cannot do.
    Case(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Smalt(Box::new(error))
    }
}

impl From<String> for Failure {
    fn from(mistake: String) -> Self {
        Failure::Case(mistake)
    }
}

/// The arguments of a step; what nobody asked for is a mistake.
pub struct Args(pub JsonMap);

impl Args {
    /// An argument that may be left out; `null` is the same.
    fn maybe<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, String> {
        match self.0.remove(name) {
            None | Some(Json::Null) => Ok(None),
            Some(value) => serde_json::from_value(value).map(Some).map_err(|e| format!("`{name}`: {e}")),
        }
    }

    fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, String> {
        self.maybe(name)?.ok_or_else(|| format!("`{name}` is missing"))
    }

    fn some<T: DeserializeOwned + Default>(&mut self, name: &str) -> Result<T, String> {
        self.maybe(name).map(Option::unwrap_or_default)
    }

    fn seconds(&mut self, name: &str) -> Result<Option<Duration>, String> {
        Ok(self.maybe::<f64>(name)?.map(Duration::from_secs_f64))
    }

    fn pairs(&mut self, name: &str) -> Result<Vec<NameValue>, String> {
        self.some::<BTreeMap<String, String>>(name).map(|map| map.into_iter().map(NameValue::from).collect())
    }

    fn end(self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("there is no argument `{name}`")),
        }
    }
}

/// Does it on the caller's authority; `None` stands for "a session of the account in the arguments".
pub async fn perform(world: &World, verb: &str, caller: Option<Caller>, args: JsonMap) -> Result<Json, Failure> {
    let caller = match caller {
        Some(caller) => caller,
        None => session_of(world, args.get("account").and_then(Json::as_str).unwrap_or_default()).await?,
    };
    if let (World::Served(served), Some(operation)) = (world, Operation::named(verb))
        && let Some(why) = operation.embedded_only()
    {
        refused(world, verb, &caller, args.clone(), why).await?;
        // The case goes on where the engine is.
        return served.order(verb, Some(&caller), args).await;
    }
    let a = Args(args);
    match own(world, verb, a).await {
        Ok(answer) => answer,
        Err(a) => operation(world, verb, &caller, a).await,
    }
}

/// An operation that a server does not offer answers so in a remote backend, with the reason of the operations table.
async fn refused(world: &World, verb: &str, caller: &Caller, args: JsonMap, why: &str) -> Result<(), Failure> {
    match operation(world, verb, caller, Args(args)).await {
        Err(Failure::Smalt(error)) if error.is(Code::Unsupported) && error.reason().contains(why) => Ok(()),
        Err(Failure::Case(mistake)) => Err(Failure::Case(mistake)),
        Err(Failure::Smalt(error)) => Err(Failure::Case(format!("a remote `{verb}` must be unsupported because {why}, got {error:?}"))),
        Ok(answer) => Err(Failure::Case(format!("a remote `{verb}` must be unsupported because {why}, got {answer}"))),
    }
}

pub fn organisation() -> Caller {
    Caller::Organisation("organisation".into())
}

async fn session_of(world: &World, account: &str) -> Result<Caller, Failure> {
    let request = CreateSession { account: account.to_owned(), force: false };
    let session = world.smalt().backend().create_session(&organisation(), request).await?;
    Ok(Caller::Session(session.token))
}

fn plain<T: Serialize>(value: T) -> Json {
    serde_json::to_value(value).unwrap()
}

fn nothing((): ()) -> Json {
    json!({})
}

fn text(secret: &Secret) -> Json {
    secret.expose().into()
}

fn upserted(upserted: UpsertedAccount) -> Json {
    let mut answer = plain(upserted.account);
    answer["is_new"] = upserted.is_new.into();
    answer
}

fn handoff(handoff: Handoff) -> Json {
    json!({"flow_id": handoff.flow_id, "ticket": text(&handoff.ticket), "expires_at": handoff.expires_at})
}

/// The ticket beside the address that it ends, so that a case can present it.
fn portal_link(link: PortalLink) -> Json {
    let url = link.url.expose();
    let ticket = url.rsplit('/').next().and_then(|last| last.split('?').next());
    json!({"url": url, "ticket": ticket, "once": link.once, "expires_at": link.expires_at})
}

fn portal(portal: Portal) -> Json {
    json!({
        "session": session(portal.session),
        "environment": portal.environment,
        "config_id": portal.config_id,
        "properties": portal.properties,
        "return_to": portal.return_to,
        "ticket": portal.ticket.as_ref().map(text),
    })
}

fn new_api_key(made: NewApiKey) -> Json {
    let mut answer = plain(made.info);
    answer["key"] = text(&made.key);
    answer
}

fn exposed<T: smalt::Expose>(answer: T) -> Json {
    serde_json::to_value(Exposed(&answer)).unwrap()
}

fn webhook(webhook: Webhook) -> Json {
    exposed(webhook)
}

fn new_webhook(made: NewWebhook) -> Json {
    let mut answer = webhook(made.webhook);
    answer["secret"] = text(&made.secret);
    answer
}

fn session(session: SessionInfo) -> Json {
    json!({
        "id": session.id,
        "account_id": session.account_id,
        "token": text(&session.token),
        "created_at": session.created_at,
        "expires_at": session.expires_at,
    })
}

fn started(started: StartedConnect) -> Json {
    json!({
        "flow_id": started.flow_id,
        "authorize_url": started.authorize_url,
        "redirect_uri": started.redirect_uri,
        "cookie": {"name": started.cookie.name, "value": text(&started.cookie.value), "max_age": started.cookie.max_age},
        "expires_at": started.expires_at,
        "device": started.device.map(|device| json!({
            "user_code": device.user_code,
            "verification_uri": device.verification_uri,
            "verification_uri_complete": device.verification_uri_complete,
            "interval": device.interval,
        })),
    })
}

fn parked(parked: ParkedCallback) -> Json {
    json!({
        "flow_id": parked.flow_id,
        "return_to": parked.return_to,
        "claim": parked.claim.as_ref().map(text),
        "error": parked.error,
    })
}

fn credential(credential: Arc<Credential>) -> Json {
    json!({
        "connection_id": credential.connection_id,
        "application": credential.application,
        "auth_type": credential.auth_type,
        "access_token": credential.access_token.as_ref().map(text),
        "token_type": credential.token_type,
        "expires_at": credential.expires_at,
        "scopes": credential.scopes,
        "values": credential.values.iter().map(|(name, value)| (name.clone(), text(value))).collect::<JsonMap>(),
        "properties": credential.properties,
    })
}

fn response(answer: ApiAnswer) -> Json {
    let headers: BTreeMap<&str, &str> = answer.headers.iter().map(|header| (&*header.name, &*header.value)).collect();
    json!({"status": answer.status, "headers": headers, "json": answer.json()})
}

/// A body in parts.
struct Texts(std::vec::IntoIter<String>);

#[async_trait::async_trait]
impl UploadSource for Texts {
    async fn next(&mut self) -> smalt::Result<Option<Vec<u8>>> {
        Ok(self.0.next().map(String::into_bytes))
    }
}

/// The operations table.
#[allow(clippy::needless_update)] // some requests have no other fields
async fn operation(world: &World, verb: &str, caller: &Caller, mut a: Args) -> Result<Json, Failure> {
    let smalt = world.smalt();
    let backend = smalt.backend();
    /// Request fields are taken from the arguments of the same name, unless another one stands behind them.
    macro_rules! op {
        ($name:ident($request:ident { $($field:ident: $how:ident $(($arg:literal))?),* $(,)? }) -> $answer:expr) => {{
            let request = $request { $($field: a.$how(op!(@name $field $($arg)?))?,)* ..$request::default() };
            a.end()?;
            Ok($answer(backend.$name(caller, request).await?))
        }};
        (@name $field:ident $arg:literal) => { $arg };
        (@name $field:ident) => { stringify!($field) };
    }
    match verb {
        "create_account" => op!(create_account(PutAccount { id: need("account"), update: some }) -> plain),
        "upsert_account" => op!(upsert_account(PutAccount { id: need("account"), update: some }) -> upserted),
        "get_account" => op!(get_account(GetAccount { account: need }) -> plain),
        "list_accounts" => op!(list_accounts(ListAccounts { cursor: maybe, limit: maybe, search: maybe }) -> plain),
        "delete_account" => op!(delete_account(GetAccount { account: need }) -> nothing),
        "count_accounts" => op!(count_accounts(CountAccounts { search: maybe }) -> plain),
        "hand_off_connect" => {
            op!(hand_off_connect(StartConnect { account: need, application: need, redirect_uri: maybe }) -> handoff)
        }
        "get_handoff" => op!(get_handoff(TakeHandoff { ticket: need }) -> plain),
        "take_handoff" => op!(take_handoff(TakeHandoff { ticket: need }) -> started),
        "portal_url" => {
            op!(portal_url(GetPortalUrl { account: need, properties: maybe, config_id: maybe, return_to: maybe, once: some }) -> portal_link)
        }
        "open_portal" => op!(open_portal(OpenPortal { ticket: need }) -> portal),
        "portal_properties" => op!(portal_properties(GetPortalProperties { token: need }) -> plain),
        "create_api_key" => op!(create_api_key(CreateApiKey { name: need }) -> new_api_key),
        "list_api_keys" => {
            a.end()?;
            Ok(plain(backend.list_api_keys(caller, ListApiKeys {}).await?))
        }
        "revoke_api_key" => op!(revoke_api_key(RevokeApiKey { id: need }) -> plain),
        "verify_api_key" => op!(verify_api_key(VerifyApiKey { key: need }) -> plain),
        "create_session" => op!(create_session(CreateSession { account: need, force: some }) -> session),
        "verify_session" => op!(verify_session(VerifySession { token: need }) -> session),
        "revoke_session" => op!(revoke_session(RevokeSession { token: need }) -> plain),
        "list_apps" => op!(list_apps(GetAccount { account: need }) -> plain),
        "get_app" => op!(get_app(GetApp { account: need, application: need }) -> plain),
        "start_connect" => op!(start_connect(StartConnect {
            account: need, application: need, inputs: some, scopes: maybe, return_to: maybe, redirect_uri: maybe, connection: maybe, device: some
        }) -> started),
        "park_callback" => op!(park_callback(ParkCallback { callback_url: need, cookie: maybe }) -> parked),
        "finish_connect" => {
            op!(finish_connect(FinishConnect { account: need, callback_url: maybe, cookie: maybe, claim: maybe }) -> plain)
        }
        "get_flow" => op!(get_flow(GetFlow { account: need, flow: need }) -> plain),
        "wait_flow" => {
            let timeout = a.seconds("timeout")?.or(Some(Duration::from_secs(30)));
            let request = WaitFlow { account: a.need("account")?, flow: a.need("flow")?, timeout };
            a.end()?;
            Ok(plain(backend.wait_flow(caller, request).await?))
        }
        "cancel_flow" => op!(cancel_flow(GetFlow { account: need, flow: need }) -> plain),
        "connect_key" => op!(connect_key(ConnectKey { account: need, application: need, inputs: need, connection: maybe }) -> plain),
        "import_connection" => op!(import_connection(ImportConnection {
            account: need, application: need, auth_type: maybe, values: need, expires_in: maybe, scopes: some
        }) -> plain),
        "list_connections" => op!(list_connections(ListConnections { account: need, application: maybe }) -> plain),
        "get_connection" => op!(get_connection(GetConnection { account: need, connection: need }) -> plain),
        "set_default_connection" => op!(set_default_connection(GetConnection { account: need, connection: need }) -> plain),
        "credential" => {
            let request =
                GetCredential { account: a.need("account")?, application: a.need("application")?, connection: a.maybe("connection")? };
            a.end()?;
            // As handles do: the ready twin first.
            match backend.try_credential(caller, &request) {
                Some(ready) => Ok(credential(ready?)),
                None => Ok(credential(backend.credential(caller, request).await?)),
            }
        }
        "request" => {
            let body = a.maybe::<Json>("json")?;
            let request = ApiRequest {
                account: a.need("account")?,
                application: a.need("application")?,
                connection: a.maybe("connection")?,
                method: a.need("method")?,
                path: a.need("path")?,
                query: a.pairs("query")?,
                headers: a.pairs("headers")?,
                body: body.as_ref().map(json_body),
                timeout: a.seconds("timeout")?,
                max_body: a.maybe("max_body")?,
            };
            a.end()?;
            Ok(response(backend.request(caller, request).await?))
        }
        "upload" => {
            let upload = Upload::new(a.need::<String>("content_type")?, Texts(a.need::<Vec<String>>("parts")?.into_iter()));
            let upload = match a.maybe("length")? {
                Some(length) => upload.length(length),
                None => upload,
            };
            let request = ApiRequest {
                account: a.need("account")?,
                application: a.need("application")?,
                connection: a.maybe("connection")?,
                method: a.need("method")?,
                path: a.need("path")?,
                query: a.pairs("query")?,
                headers: a.pairs("headers")?,
                timeout: a.seconds("timeout")?,
                max_body: a.maybe("max_body")?,
                ..ApiRequest::default()
            };
            a.end()?;
            Ok(response(backend.request_stream(caller, request, Some(upload)).await?.whole(ApiAnswer::MOST).await?))
        }
        "request_page" => {
            let body = a.maybe::<Json>("json")?;
            let request = ApiPageRequest {
                account: a.need("account")?,
                application: a.need("application")?,
                connection: a.maybe("connection")?,
                method: a.need("method")?,
                path: a.need("path")?,
                query: a.pairs("query")?,
                headers: a.pairs("headers")?,
                body: body.as_ref().map(json_body),
                timeout: a.seconds("timeout")?,
                max_body: a.maybe("max_body")?,
                cursor: a.maybe("cursor")?,
                pagination: a.maybe("pagination")?,
            };
            a.end()?;
            let page = backend.request_page(caller, request).await?;
            Ok(json!({"answer": response(page.answer), "items": page.items, "next": page.next}))
        }
        "disconnect" => op!(disconnect(Disconnect {
            account: need, application: need, connection: maybe, auth_type: maybe, siblings: maybe, wait: seconds
        }) -> plain),
        "get_receipt" => op!(get_receipt(GetReceipt { account: need, receipt: need }) -> plain),
        "config" => op!(config(FindConfig {
            account: need, application: need, config_id: maybe, labels: maybe, seed: maybe, without_options: some
        }) -> plain),
        "get_config" => {
            op!(get_config(GetConfig { account: need, application: need, config_id: maybe, without_options: some }) -> plain)
        }
        "update_config" => op!(update_config(UpdateConfig {
            account: need, application: need, config_id: maybe, update: need, without_options: some
        }) -> plain),
        "delete_config" => op!(delete_config(GetConfig { account: need, application: need, config_id: maybe }) -> nothing),
        "list_configs" => op!(list_configs(GetApp { account: need, application: need }) -> plain),
        "config_field" => op!(config_field(ConfigField {
            account: need, application: need, config_id: maybe, workflow: maybe, field: need, parent_value: maybe, search: maybe
        }) -> plain),
        "set_config_field" => op!(set_config_field(SetConfigField {
            account: need, application: need, config_id: maybe, workflow: maybe, field: need, value: maybe
        }) -> plain),
        "rule_columns" => {
            op!(rule_columns(GetRuleColumns { account: need, application: need, workflow: maybe, field: need, lhs: need }) -> plain)
        }
        "run_workflow" => op!(run_workflow(RunWorkflow {
            account: need, application: need, config_id: maybe, workflow: need, payload: some
        }) -> plain),
        "events" => op!(events(ListEvents { since: maybe, limit: maybe, wait: seconds }) -> plain),
        "audit" => op!(audit(ListAudit { cursor: maybe, limit: maybe }) -> plain),
        "put_own_credentials" => op!(put_own_credentials(PutOwnCredentials { account: need, values: need }) -> nothing),
        "set_own_credential" => op!(set_own_credential(SetOwnCredential { account: need, name: need, value: maybe }) -> plain),
        "own_credentials" => op!(own_credentials(GetAccount { account: need }) -> exposed),
        "execute_workflow" => op!(execute_workflow(ExecuteWorkflow {
            account: need, application: need, config_id: maybe, workflow: need, payload: some, wait: some
        }) -> exposed),
        "list_executions" => op!(list_executions(ListExecutions { account: need, cursor: maybe, limit: maybe }) -> plain),
        "get_execution" => op!(get_execution(GetExecution { account: need, execution: need }) -> plain),
        "create_webhook" => op!(create_webhook(WebhookSettings {
            url: maybe, events: maybe, enabled: maybe, method: maybe, kind: maybe, headers: maybe, body: maybe, description: maybe, group: maybe,
            application: maybe, workflows: maybe
        }) -> new_webhook),
        "list_webhooks" => {
            a.end()?;
            Ok(backend.list_webhooks(caller, ListWebhooks {}).await?.into_iter().map(webhook).collect())
        }
        "update_webhook" => op!(update_webhook(UpdateWebhook { webhook: need, settings: need }) -> webhook),
        "delete_webhook" => op!(delete_webhook(GetWebhook { webhook: need }) -> nothing),
        "rotate_webhook_secret" => op!(rotate_webhook_secret(RotateWebhookSecret { webhook: need, overlap: seconds }) -> new_webhook),
        "list_deliveries" => op!(list_deliveries(ListDeliveries { webhook: need, cursor: maybe, limit: maybe }) -> plain),
        "redeliver" => op!(redeliver(Redeliver { delivery: need }) -> plain),
        "rotate_keys" => op!(rotate_keys(RotateKeys { watch: maybe, wait: seconds }) -> plain),
        "get_project" => {
            a.end()?;
            Ok(plain(backend.get_project(caller, GetProject {}).await?))
        }
        "set_project" => {
            let project = world.read_project(a.need("project")?)?;
            a.end()?;
            Ok(nothing(backend.set_project(caller, project).await?))
        }
        unknown => Err(format!("there is no verb `{unknown}`").into()),
    }
}

/// The driver's own verbs; `Err` gives the arguments of all others back.
async fn own(world: &World, verb: &str, a: Args) -> Result<Result<Json, Failure>, Args> {
    let done = match verb {
        "sandbox" => control(world, a).await,
        "stats" => stats(world, a).await,
        "inbox" => inbox(world, a).await,
        "verify_webhook" => return Ok(verify_webhook(world, a)),
        "visit" => return Ok(visit(a).await),
        "open" => return Ok(open(a).await),
        "connect" => return Ok(connect(world, a).await),
        "tamper_url" => tamper_url(a),
        "advance" | "restart" | "register_connector" | "register_runner" | "search_store" => match world {
            World::Embedded(world) => host(world, verb, a).await,
            World::Served(served) => return Ok(served.order(verb, None, a.0).await),
            World::Reached { .. } => Err(format!("`{verb}` is done where the engine is, which is somewhere else")),
        },
        _ => return Err(a),
    };
    Ok(done.map_err(Failure::Case))
}

/// What the process that has the engine does.
async fn host(world: &Embedded, verb: &str, a: Args) -> Result<Json, String> {
    match verb {
        "advance" => advance(world.clock.as_ref(), a),
        "restart" => {
            a.end()?;
            world.restart().await.map(nothing)
        }
        "register_connector" => register_connector(world, a),
        "register_runner" => register_runner(world, a),
        "search_store" => search_store(world, a),
        other => Err(format!("there is no verb `{other}`")),
    }
}

/// Over HTTP, as drivers of other languages do.
async fn ask_sandbox(world: &World, method: &'static str, path: &str, body: Option<Json>) -> Result<Json, String> {
    let url = format!("{}{path}", world.sandbox());
    let asked = tokio::task::spawn_blocking(move || http(method, &url, &[], body.map(|body| ("application/json", body.to_string()))));
    asked.await.map_err(|e| e.to_string())
}

async fn control(world: &World, mut a: Args) -> Result<Json, String> {
    let control = a.need("control")?;
    a.end()?;
    let answer = ask_sandbox(world, "POST", "/control", Some(control)).await?;
    if answer["ok"] == true { Ok(json!({})) } else { Err(format!("the sandbox refused the order: {answer}")) }
}

async fn stats(world: &World, a: Args) -> Result<Json, String> {
    a.end()?;
    Ok(ask_sandbox(world, "GET", "/stats", None).await?["stats"].take())
}

/// What came to an inbox of the sandbox, oldest first.
async fn inbox(world: &World, mut a: Args) -> Result<Json, String> {
    let name: String = a.need("name")?;
    a.end()?;
    Ok(ask_sandbox(world, "GET", &format!("/inbox/{name}"), None).await?["received"].take())
}

/// The helper that receivers have.
fn verify_webhook(world: &World, mut a: Args) -> Result<Json, Failure> {
    let headers: BTreeMap<String, String> = a.need("headers")?;
    let (body, secrets): (String, Vec<Secret>) = (a.need("body")?, a.need("secrets")?);
    let (now, tolerance) = (a.maybe::<Timestamp>("now")?, a.seconds("tolerance")?.unwrap_or(smalt::webhook::TOLERANCE));
    let compatible: bool = a.some("compatible")?;
    a.end()?;
    if compatible {
        let signature = headers.get(smalt::webhook::COMPATIBLE).ok_or("there is no compatible signature".to_owned())?;
        smalt::webhook::verify_compatible(signature, body.as_bytes(), &secrets)?;
        return Ok(json!({}));
    }
    // A server's clock is not here: a case with a clock of its own states `now`.
    let clock = match world {
        World::Embedded(world) => world.clock.as_ref(),
        World::Served(_) | World::Reached { .. } => None,
    };
    let system = || clock.map_or_else(|| SystemClock::default().now(), Clock::now);
    let headers: Vec<(String, String)> = headers.into_iter().collect();
    let verified = smalt::webhook::verify(&headers, body.as_bytes(), &secrets, now.unwrap_or_else(system), tolerance)?;
    Ok(json!({"id": verified.id, "sent_at": verified.sent_at}))
}

async fn visit(mut a: Args) -> Result<Json, Failure> {
    let mut url: Url = a.need::<String>("url")?.parse().map_err(|e| format!("`url`: {e}"))?;
    let user = a.maybe::<String>("user")?.unwrap_or_else(|| "ada".to_owned());
    let decision = a.maybe::<String>("decision")?.unwrap_or_else(|| "allow".to_owned());
    let browser = a.maybe::<String>("browser")?;
    a.end()?;
    url.query_pairs_mut().append_pair("sandbox_user", &user).append_pair("sandbox_decision", &decision);
    if let Some(browser) = browser {
        url.query_pairs_mut().append_pair("sandbox_browser", &browser);
    }
    let callback = smalt::sandbox::visit(url.as_str()).await?;
    let params: BTreeMap<String, String> = match Url::parse(&callback) {
        Ok(url) => url.query_pairs().into_owned().collect(),
        Err(e) => return Err(format!("the callback is no URL: {e}").into()),
    };
    Ok(json!({"callback_url": callback, "params": params}))
}

/// An engine of this process, beside the case's, and closed at once: whether it opens.
async fn open(mut a: Args) -> Result<Json, Failure> {
    let (key, manifests): (Option<Secret>, Vec<AppManifest>) = (a.maybe("key")?, a.some("manifests")?);
    let store: Option<String> = a.maybe("store")?;
    a.end()?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut builder = match store {
        None => Smalt::in_memory(),
        Some(name) => {
            let file = folder.path().join(&name);
            std::fs::copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/stores")).join(&name), &file)
                .map_err(|e| e.to_string())?;
            Smalt::embedded(file)
        }
    };
    if let Some(key) = key {
        builder = builder.keys(LocalKey::parse(&key)?);
    }
    for manifest in manifests {
        builder = builder.manifest(manifest);
    }
    builder.open().await?.close().await;
    Ok(json!({}))
}

/// The whole connect, with a presenter of the case's choice or none.
async fn connect(world: &World, mut a: Args) -> Result<Json, Failure> {
    let (account, application, presenter): (String, String, Option<String>) =
        (a.need("account")?, a.need("application")?, a.maybe("presenter")?);
    let (timeout, cancel): (_, bool) = (a.seconds("timeout")?, a.some("cancel")?);
    a.end()?;
    let mut connect = world.smalt().account(account).connect(application);
    if let Some(timeout) = timeout {
        connect = connect.timeout(timeout);
    }
    let shown = Arc::new(Notify::new());
    match presenter {
        None => {}
        Some(behaviour) if ScriptedPresenter::KNOWN.contains(&&*behaviour) => {
            connect = connect.present(ScriptedPresenter(behaviour, shown.clone()));
        }
        Some(other) => return Err(format!("there is no behaviour `{other}`").into()),
    }
    if !cancel {
        return Ok(plain(connect.await?));
    }
    // Whoever goes away in Rust drops the future.
    let mut caller = tokio::spawn(connect.into_future());
    let ended = tokio::select! {
        () = shown.notified() => {
            caller.abort();
            caller.await
        }
        early = &mut caller => early,
    };
    match ended {
        Err(gone) if gone.is_cancelled() => Err(Error::code_only(Code::Cancelled).into()),
        other => Err(format!("whoever went away was told {other:?}").into()),
    }
}

fn advance(clock: Option<&FixedClock>, mut a: Args) -> Result<Json, String> {
    let seconds: i64 = a.need("seconds")?;
    a.end()?;
    clock.ok_or("`advance` needs a `clock`")?.advance_millis(seconds * 1000);
    Ok(json!({}))
}

fn choose(behaviour: Option<&Behaviour>, chosen: String, known: &[&str]) -> Result<Json, String> {
    if !known.contains(&&*chosen) {
        return Err(format!("there is no behaviour `{chosen}`"));
    }
    *behaviour.ok_or("nothing was prepared for this plugin")?.lock().unwrap() = Some(chosen);
    Ok(json!({}))
}

fn register_connector(world: &Embedded, mut a: Args) -> Result<Json, String> {
    let (slug, behaviour): (String, _) = (a.need("application")?, a.need("behaviour")?);
    a.end()?;
    choose(world.connectors.get(&slug), behaviour, &["ok", "throws", "hangs", "nonsense", "panics", "reenters", "rejects"])
}

fn register_runner(world: &Embedded, mut a: Args) -> Result<Json, String> {
    let behaviour = a.need("behaviour")?;
    a.end()?;
    choose(world.runner.as_ref(), behaviour, &["echo", "throws"])
}

fn tamper_url(mut a: Args) -> Result<Json, String> {
    let mut url: Url = a.need::<String>("url")?.parse().map_err(|e| format!("`url`: {e}"))?;
    let set: BTreeMap<String, Option<String>> = a.need("set")?;
    a.end()?;
    let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(name, _)| !set.contains_key(name)).collect();
    let added = set.into_iter().filter_map(|(name, value)| Some((name, value?)));
    url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(added);
    Ok(json!({"url": url.as_str()}))
}

fn search_store(world: &Embedded, mut a: Args) -> Result<Json, String> {
    let secrets: Vec<String> = a.need("secrets")?;
    a.end()?;
    let folder = world.folder.as_ref().ok_or("there is no file to search")?;
    Ok(json!({"hits": search::hits(folder.path(), &secrets)}))
}
