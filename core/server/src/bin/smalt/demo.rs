//! `smalt demo`: the whole life of two connections in one process, each claim checked. Engine, store, network and provider
//! are real; only the provider's users are played.

use std::{
    future::Future,
    io::{IsTerminal, Write},
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::json;
use smalt::{
    Account, Code, Secret, Smalt,
    backend::StartConnect,
    engine::Timings,
    http::{AddressPolicy, HostPort, ReqwestTransport},
    model::{ConfigUpdate, FlowStatus, Json, RevocationOutcome, WorkflowUpdate},
    plugin::{HttpRequest, HttpResponse, HttpTransport},
    project::Project,
    sandbox::{self, API_KEY, CLIENT_ID, CLIENT_SECRET, Sandbox, SandboxOptions, Stats, TokenInfo, TokenKind, TokenState},
    vault::LocalKey,
};
use url::Url;

use crate::exit::ExitCode;

/// A step that takes longer has failed.
const STEP_TIME: Duration = Duration::from_secs(20);
/// How many ask for a credential at once.
const CALLERS: usize = 64;
/// Typed by the user into a wrong connect form.
const WRONG_KEY: &str = "sandbox-key-wrong";
/// A setting; settings are sealed like credentials.
const GREETING: &str = "Hello & welcome, Ms Lovelace";

/// What a step found out, or why its claim does not hold.
type Claim = Result<String, Broken>;
type Claiming<'a> = Pin<Box<dyn Future<Output = Claim> + Send + 'a>>;

/// A claim that does not hold.
#[derive(Debug)]
struct Broken(String);

impl From<smalt::Error> for Broken {
    fn from(error: smalt::Error) -> Self {
        Self(error.to_string())
    }
}

struct Step {
    name: &'static str,
    /// The lines of Rust that do it; a test compares them with the step's own.
    code: &'static str,
    run: for<'a> fn(&'a mut Demo) -> Claiming<'a>,
}

const STEPS: [Step; 12] = [
    Step { name: "session", code: "account.session().await?; session.revoke().await?", run: |demo| Box::pin(session(demo)) },
    Step {
        name: "oauth connect",
        code: r#"account.start_connect("sandbox-oauth", options).await?; account.finish_connect(callback, cookie).await?"#,
        run: |demo| Box::pin(oauth_connect(demo)),
    },
    Step { name: "waiting caller", code: "flow.wait(None).await", run: |demo| Box::pin(waiting_caller(demo)) },
    Step { name: "replay", code: "account.finish_connect(callback, cookie).await", run: |demo| Box::pin(replay(demo)) },
    Step {
        name: "key connect",
        code: r#"account.connect("sandbox-key").input("key", API_KEY).input("workspace", "acme").await?"#,
        run: |demo| Box::pin(key_connect(demo)),
    },
    Step {
        name: "wrong key",
        code: r#"account.connect("sandbox-key").input("key", WRONG_KEY).input("workspace", "acme").await"#,
        run: |demo| Box::pin(wrong_key(demo)),
    },
    Step { name: "config", code: r#"account.update_config("sandbox-oauth", update).await?"#, run: |demo| Box::pin(config(demo)) },
    Step { name: "bad setting", code: r#"account.update_config("sandbox-oauth", bad).await"#, run: |demo| Box::pin(bad_setting(demo)) },
    Step { name: "one refresh", code: r#"account.credential("sandbox-oauth").await"#, run: |demo| Box::pin(one_refresh(demo)) },
    Step { name: "request", code: r#"account.request("sandbox-oauth", "GET", "items").await?"#, run: |demo| Box::pin(request(demo)) },
    Step {
        name: "at rest",
        code: "Smalt::embedded(path).keys(key).project_value(project).transport(wire).timings(asked()).open().await",
        run: |demo| Box::pin(at_rest(demo)),
    },
    Step { name: "disconnect", code: r#"account.disconnect("sandbox-oauth").await?"#, run: |demo| Box::pin(disconnect(demo)) },
];

/// How a step ended.
struct Ended {
    name: &'static str,
    code: &'static str,
    ok: bool,
    detail: String,
}

/// Runs the demo and prints it. The exit status is 1 when a claim does not hold.
pub async fn run(json: bool) -> ExitCode {
    let began = Instant::now();
    let style = Style::of(std::io::stdout().is_terminal());
    let mut out = std::io::stdout();
    let mut say = |text: &str| {
        // A reader that went away is no reason to stop checking.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    };
    if !json {
        say("Smalt: a sandbox provider on loopback, a throw-away key, a new database. Every line below is checked.\n\n");
    }
    let mut ended = Vec::new();
    match Demo::open().await {
        Ok(mut demo) => {
            for step in &STEPS {
                let step = demo.play(step).await;
                if !json {
                    say(&style.step(&step));
                }
                ended.push(step);
            }
            demo.smalt.close().await;
        }
        Err(Broken(detail)) => {
            let step = Ended { name: "open", code: STEPS[10].code, ok: false, detail };
            if !json {
                say(&style.step(&step));
            }
            ended.push(step);
        }
    }
    let failed = ended.iter().filter(|step| !step.ok).count();
    if json {
        let steps: Vec<Json> = ended.iter().map(|s| json!({"name": s.name, "ok": s.ok, "detail": s.detail, "code": s.code})).collect();
        say(&format!("{:#}\n", json!({"steps": steps, "ok": failed == 0})));
    } else if failed == 0 {
        say(&format!("\nAll {} hold, in {:.1} s. Next:\n", ended.len(), began.elapsed().as_secs_f64()));
        say("  smalt init         a project file and a key of your own\n");
        say("  smalt apps list    the applications that can be connected\n");
        say("  docs/README.md     how it works, and how to add to it\n");
    } else {
        say(&format!("\n{failed} of {} claims do not hold. Please report it with the lines above.\n", ended.len()));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How lines look: plain where nobody sees colours.
struct Style {
    terminal: bool,
    colour: bool,
}

impl Style {
    fn of(terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Self { terminal: terminal && !dumb, colour: terminal && !dumb && set("NO_COLOR").is_none() }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What happened, and below it the code that did it.
    fn step(&self, step: &Ended) -> String {
        let mark = match (step.ok, self.terminal) {
            (true, true) => self.paint("32", " ✓  "),
            (true, false) => "ok  ".to_owned(),
            (false, true) => self.paint("1;31", " ✗  "),
            (false, false) => "FAIL".to_owned(),
        };
        let code = self.paint("2", step.code);
        format!("{mark} {:15} {}\n{:20} {code}\n", step.name, step.detail, "")
    }
}

/// The way out, watched: every secret that travels is remembered, so that the store can be searched for it.
struct Wire {
    way: ReqwestTransport,
    seen: Arc<Mutex<Vec<Secret>>>,
}

#[async_trait]
impl HttpTransport for Wire {
    async fn send(&self, request: HttpRequest) -> smalt::Result<HttpResponse> {
        for (name, value) in url::form_urlencoded::parse(&request.body.0) {
            if matches!(&*name, "code" | "code_verifier" | "refresh_token" | "token" | "client_secret") {
                remember(&self.seen, &value);
            }
        }
        let answer = self.way.send(request).await?;
        if let Some(body) = answer.json() {
            for name in ["access_token", "refresh_token", "id_token"] {
                remember(&self.seen, body[name].as_str().unwrap_or_default());
            }
        }
        Ok(answer)
    }
}

fn remember(seen: &Mutex<Vec<Secret>>, secret: &str) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if !secret.is_empty() && !seen.iter().any(|known| known.expose() == secret) {
        seen.push(secret.into());
    }
}

/// What came back from the provider, and the cookie of the browser that began.
#[derive(Clone)]
struct Returned {
    flow: String,
    connection: String,
    callback: String,
    cookie: Secret,
    waited: Option<Waited>,
}

/// What a caller learned who had waited in another task.
#[derive(Clone)]
struct Waited {
    after: Duration,
    status: FlowStatus,
    connection: Option<String>,
}

/// What the steps share.
struct Demo {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    /// The demo's own way to ask the provider.
    way: ReqwestTransport,
    seen: Arc<Mutex<Vec<Secret>>>,
    smalt: Smalt,
    account: Account,
    returned: Option<Returned>,
}

/// The demo shows what happens when a token is asked for, so nothing is renewed before.
fn asked() -> Timings {
    Timings { ahead: None, ..Timings::default() }
}

impl Demo {
    async fn open() -> Result<Demo, Broken> {
        let folder = tempfile::tempdir().map_err(|e| Broken(format!("no temporary folder: {}", e.kind())))?;
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        // Access tokens live a second, so that they run out while the demo runs.
        sandbox.control().apply_json(json!({"do": "set", "ways": {"expires_in": 1}}))?;
        let policy = AddressPolicy::default().with(HostPort::parse(&sandbox.address().to_string())?);
        let seen = Arc::default();
        let wire = Wire { way: ReqwestTransport::new(policy.clone())?, seen: Arc::clone(&seen) };
        let key = LocalKey::generate()?;
        for secret in [key.text().expose(), CLIENT_SECRET, API_KEY, WRONG_KEY, GREETING] {
            remember(&seen, secret);
        }
        let project = project(&sandbox.origin()).map_err(|e| Broken(format!("the demo's project: {e}")))?;
        let path = folder.path().join("smalt.db");
        let smalt = Smalt::embedded(path).keys(key).project_value(project).transport(wire).timings(asked()).open().await?;
        let account = smalt.account("customer-42");
        account.ensure().await?;
        Ok(Demo { folder, way: ReqwestTransport::new(policy)?, sandbox, seen, smalt, account, returned: None })
    }

    async fn play(&mut self, step: &Step) -> Ended {
        let ended = match tokio::time::timeout(STEP_TIME, (step.run)(self)).await {
            Ok(ended) => ended,
            Err(_) => Err(Broken(format!("nothing happened for {STEP_TIME:?}"))),
        };
        let (ok, detail) = match ended {
            Ok(detail) => (true, detail),
            Err(Broken(detail)) => (false, detail),
        };
        Ended { name: step.name, code: step.code, ok, detail }
    }

    fn stats(&self) -> Stats {
        self.sandbox.control().stats()
    }

    fn secrets(&self) -> Vec<Secret> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn returned(&self) -> Result<Returned, Broken> {
        self.returned.clone().ok_or_else(|| Broken("there is no connection to go on with".to_owned()))
    }

    async fn connections(&self) -> Result<usize, Broken> {
        Ok(self.account.connections(None).await?.len())
    }

    /// What the provider says of a token (RFC 7662).
    async fn is_active(&self, token: &Secret) -> Result<bool, Broken> {
        let url = format!("{}/introspect", self.sandbox.origin()).parse().map_err(|_| Broken("the sandbox has no address".to_owned()))?;
        let mut request = HttpRequest::new("POST", url);
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("token", token.expose())])
            .finish();
        request.set_body("application/x-www-form-urlencoded", form);
        let answer = self.way.send(request).await?.json().unwrap_or_default();
        answer["active"].as_bool().ok_or_else(|| Broken("the provider does not say whether the token is active".to_owned()))
    }
}

fn project(sandbox: &str) -> serde_json::Result<Project> {
    serde_json::from_value(json!({
        "version": 1,
        "org": {"public_url": "http://localhost:8000"},
        "sandbox": {"enabled": true, "url": sandbox},
        "apps": {
            "sandbox-oauth": {
                "fields": [
                    {"id": "channel", "name": "Channel", "type": "select", "options_from": "channels"},
                    {"id": "greeting", "name": "Greeting"}
                ],
                "workflows": [{"id": "digest", "name": "Digest", "fields": [{"id": "hour", "name": "Hour", "type": "number", "default": 9}]}]
            },
            "sandbox-key": {"workflows": [{"id": "sync", "name": "Sync", "enabled": true}]}
        }
    }))
}

fn must(holds: bool, otherwise: impl Into<String>) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(otherwise.into())) }
}

/// The call must have been refused with this code.
fn refused<T>(ended: smalt::Result<T>, code: Code) -> Result<smalt::Error, Broken> {
    match ended {
        Err(error) if error.is(code) => Ok(error),
        Err(error) => Err(Broken(format!("refused with {} instead of {}", error.code().as_str(), code.as_str()))),
        Ok(_) => Err(Broken(format!("it was let through instead of refused with {}", code.as_str()))),
    }
}

// The claims.

async fn session(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let session = account.session().await?;
    remember(&demo.seen, session.token().expose());
    let hours = session.expires_at().since(now()).as_secs_f64() / 3600.0;
    must((23.9..24.1).contains(&hours), format!("the token lives {hours:.1} h"))?;
    let apps = session.apps().await?.len();
    must(apps == 2, format!("the session sees {apps} applications"))?;
    refused(demo.smalt.account("customer-43").session().await, Code::LinkedAccountNotFound)?;
    must(session.revoke().await?, "there was nothing to revoke")?;
    let error = refused(session.apps().await, Code::InvalidToken)?;
    Ok(format!("customer-42 has a token for {hours:.0} h; revoked, it is refused at once ({})", error.code().as_str()))
}

async fn oauth_connect(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let options = StartConnect::default();
    let started = account.start_connect("sandbox-oauth", options).await?;
    let mut page = Url::parse(&started.authorize_url).map_err(|_| Broken("the authorize URL is not a URL".to_owned()))?;
    let query = |name: &str| page.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned()).unwrap_or_default();
    let (state, challenge) = (query("state"), query("code_challenge"));
    must(state.len() >= 22, "the state is too short to be unguessable")?;
    must(challenge.len() == 43 && query("code_challenge_method") == "S256", "the authorize URL carries no S256 challenge")?;
    remember(&demo.seen, &state);
    let cookie = started.cookie.value.clone();
    remember(&demo.seen, cookie.expose());

    // The user: looks at the page, and allows it.
    page.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", "allow");
    let callback = sandbox::visit(page.as_str()).await?;

    let flow = account.flow(&started.flow_id);
    let waiting = tokio::spawn(async move { (flow.wait(None).await, Instant::now()) });
    // Long enough that it does wait; what is claimed does not hang on it.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let arrived = Instant::now();
    let connection = account.finish_connect(&callback, cookie.clone()).await?;
    let (flow, resolved) = waiting.await.map_err(|_| Broken("the waiting caller panicked".to_owned()))?;
    let flow = flow?;
    demo.returned = Some(Returned {
        flow: started.flow_id,
        connection: connection.id,
        callback,
        cookie,
        waited: Some(Waited { after: resolved.duration_since(arrived), status: flow.status, connection: flow.connection_id }),
    });
    let who = connection.identity.map(|identity| identity.label).unwrap_or_default();
    must(who == "ada@sandbox.example", "the connection is not the one of the user who consented")?;
    let stats = demo.stats();
    must(stats.consents == 1 && stats.codes_redeemed == 1, "the provider counts other consents or codes")?;
    Ok(format!("{who} consented; state of {} characters, PKCE S256 challenge; 1 code exchanged", state.len()))
}

async fn waiting_caller(demo: &mut Demo) -> Claim {
    let returned = demo.returned()?;
    let waited = returned.waited.ok_or_else(|| Broken("nobody waited".to_owned()))?;
    must(waited.status == FlowStatus::Connected, format!("the waiting caller saw the flow {}", waited.status))?;
    must(waited.connection.as_ref() == Some(&returned.connection), "the waiting caller was told of another connection")?;
    Ok(format!("a caller in another task knew {:.1} ms after the callback came in", waited.after.as_secs_f64() * 1000.0))
}

async fn replay(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let Returned { flow, callback, cookie, .. } = demo.returned()?;
    let before = demo.stats();
    let ended = account.finish_connect(callback, cookie).await;
    let error = refused(ended, Code::StateReplayed)?;
    let after = demo.stats();
    must(after.code_replays == 0 && after.answers == before.answers, "the replayed code reached the provider")?;
    let status = account.flow(flow).status().await?.status;
    must(status == FlowStatus::Connected, format!("the replay left the flow {status}"))?;
    Ok(format!("the same callback again is refused ({}); the provider saw nothing of it", error.code().as_str()))
}

async fn key_connect(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let connection = account.connect("sandbox-key").input("key", API_KEY).input("workspace", "acme").await?;
    let who = connection.identity.map(|identity| identity.id).unwrap_or_default();
    must(who == "acme", "the key's workspace was not recognised")?;
    must(demo.stats().key_checks == 1, "the key was not checked exactly once")?;
    Ok(format!("the key was tried at the application before it was saved: workspace {who}"))
}

async fn wrong_key(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let before = demo.connections().await?;
    let ended = account.connect("sandbox-key").input("key", WRONG_KEY).input("workspace", "acme").await;
    let error = refused(ended, Code::CredentialsRejected)?;
    let after = demo.connections().await?;
    must(before == after, format!("there were {before} connections, now there are {after}"))?;
    Ok(format!("refused ({}), nothing saved: {before} connections before, {after} after", error.code().as_str()))
}

async fn config(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let found = account.config("sandbox-oauth").await?;
    let choices = found.fields.iter().find(|field| field.id == "channel").and_then(|field| field.options.clone()).unwrap_or_default();
    let channel = choices.first().ok_or_else(|| Broken("the application offers no channels".to_owned()))?.value.clone();
    let update = ConfigUpdate {
        fields: [("channel".to_owned(), channel.clone()), ("greeting".to_owned(), json!(GREETING))].into(),
        workflows: [("digest".to_owned(), WorkflowUpdate::Switch(true))].into(),
        ..ConfigUpdate::default()
    };
    account.update_config("sandbox-oauth", update).await?;
    let stored = account.get_config("sandbox-oauth", None).await?;
    let value = |id: &str| stored.fields.iter().find(|field| field.id == id).and_then(|field| field.value.clone());
    must(value("channel") == Some(channel) && value("greeting") == Some(json!(GREETING)), "the values did not come back as they were set")?;
    must(stored.workflows.iter().any(|workflow| workflow.id == "digest" && workflow.enabled), "the workflow is not on")?;
    let other = account.config("sandbox-key").await?;
    must(other.workflows.iter().any(|workflow| workflow.id == "sync" && workflow.enabled), "the other application's workflow is not on")?;
    Ok(format!("sandbox-oauth: one of {} live channels, greeting, digest on; sandbox-key: sync on", choices.len()))
}

async fn bad_setting(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let path = "workflows.digest.fields.hour";
    let before = account.get_config("sandbox-oauth", None).await?.version;
    let hour = WorkflowUpdate::Change { enabled: None, fields: [("hour".to_owned(), json!("nine"))].into() };
    let bad = ConfigUpdate { workflows: [("digest".to_owned(), hour)].into(), ..ConfigUpdate::default() };
    let error = refused(account.update_config("sandbox-oauth", bad).await, Code::InvalidConfig)?;
    let expected = error.info().context.get(path).ok_or_else(|| Broken(format!("the error does not name `{path}`")))?;
    let after = account.get_config("sandbox-oauth", None).await?.version;
    must(before == after, format!("version {before} became {after}"))?;
    Ok(format!("refused ({}): {path}: {expected}", error.code().as_str()))
}

async fn one_refresh(demo: &mut Demo) -> Claim {
    let id = demo.returned()?.connection;
    let ends = demo.account.connection(&id).await?.expires_at.ok_or_else(|| Broken("the token never ends".to_owned()))?;
    tokio::time::sleep(ends.since(now()) + Duration::from_millis(20)).await;
    let is_live = |token: &TokenInfo| token.kind == TokenKind::Access && token.state == TokenState::Live;
    must(!demo.sandbox.control().tokens().iter().any(is_live), "the token has not expired at the provider")?;
    demo.sandbox.control().apply_json(json!({"do": "set", "ways": {"expires_in": 3600}}))?;
    let before = demo.stats();
    let gate = Arc::new(tokio::sync::Barrier::new(CALLERS));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (account, gate) = (demo.account.clone(), gate.clone());
        callers.spawn(async move {
            gate.wait().await;
            account.credential("sandbox-oauth").await
        });
    }
    let mut tokens: Vec<Option<Secret>> = Vec::new();
    while let Some(credential) = callers.join_next().await {
        let credential = credential.map_err(|_| Broken("a caller panicked".to_owned()))??;
        tokens.push(credential.access_token.clone());
    }
    let after = demo.stats();
    let (asked, done) = (after.refresh_requests - before.refresh_requests, after.refreshes - before.refreshes);
    must((asked, done) == (1, 1), format!("the provider counts {asked} requests to refresh and {done} refreshes, not 1"))?;
    must(tokens.len() == CALLERS && tokens.iter().all(|token| token.is_some() && *token == tokens[0]), "the callers got different tokens")?;
    Ok(format!("token expired, {CALLERS} callers at once: the provider counts {done} refresh, all got the same token"))
}

async fn request(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let before = demo.stats();
    let answer = account.request("sandbox-oauth", "GET", "items").await?;
    let after = demo.stats();
    must(answer.status == 200, format!("the application answered {}", answer.status))?;
    let items = answer.json().and_then(|body| body["items"].as_array().map(Vec::len)).unwrap_or_default();
    must(items > 0, "the application answered no items")?;
    must(after.api_refused == before.api_refused && after.refreshes == before.refreshes, "the fresh credential was not good at once")?;
    Ok(format!("the fresh token in use: GET items answers {} with {items} items", answer.status))
}

async fn at_rest(demo: &mut Demo) -> Claim {
    let secrets = demo.secrets();
    must(secrets.len() >= 12, format!("only {} secrets were seen", secrets.len()))?;
    let files = read_all(demo.folder.path()).map_err(|e| Broken(format!("the store cannot be read: {}", e.kind())))?;
    must(["smalt.db", "smalt.db-wal"].iter().all(|name| files.iter().any(|(file, _)| file == name)), "database or log are missing")?;
    // What is no secret is found: the search works.
    must(leaks(&files, "customer-42"), "the search does not even find the account's id")?;
    let found = secrets.iter().filter(|secret| leaks(&files, secret.expose())).count();
    must(found == 0, format!("{found} of {} secrets stand in the store", secrets.len()))?;
    Ok(format!("{} secrets sought in database and log (raw, base64, hex and URL form): {found} found", secrets.len()))
}

async fn disconnect(demo: &mut Demo) -> Claim {
    let account = demo.account.clone();
    let credential = account.credential("sandbox-oauth").await?;
    let token = credential.access_token.clone().ok_or_else(|| Broken("there is no token".to_owned()))?;
    must(demo.is_active(&token).await?, "the provider says that the token was dead before")?;
    let receipt = account.disconnect("sandbox-oauth").await?;
    must(receipt.revocation == RevocationOutcome::Revoked, format!("the receipt says {}", receipt.revocation))?;
    must(receipt.deleted_configs == ["customer-42"], "the receipt names other configs")?;
    refused(account.get_config("sandbox-oauth", None).await, Code::ConfigNotFound)?;
    refused(account.credential("sandbox-oauth").await, Code::NotConnected)?;
    must(!demo.is_active(&token).await?, "the provider says that the token is still active")?;
    let left = demo.connections().await?;
    must(left == 1, format!("{left} connections are left instead of the other one"))?;
    Ok(format!("receipt: {}; config gone; the provider says that the token is inactive", receipt.revocation))
}

fn now() -> smalt::Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    smalt::Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Every file of a folder: its name, and its bytes as text. What is no text is replaced; text beside it stays as it was.
fn read_all(folder: &Path) -> std::io::Result<Vec<(String, String)>> {
    let read = |entry: std::fs::DirEntry| {
        let bytes = std::fs::read(entry.path())?;
        Ok((entry.file_name().to_string_lossy().into_owned(), String::from_utf8_lossy(&bytes).into_owned()))
    };
    std::fs::read_dir(folder)?.map(|entry| entry.and_then(read)).collect()
}

/// Whether a secret stands somewhere in the files, in any form.
fn leaks(files: &[(String, String)], secret: &str) -> bool {
    forms(secret).iter().any(|form| files.iter().any(|(_, text)| text.contains(form)))
}

/// A text as it is, in URL form, in hex, and in base64 wherever in a longer text it begins.
fn forms(text: &str) -> Vec<String> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![text.to_owned(), url::form_urlencoded::byte_serialize(text.as_bytes()).collect(), hex.to_uppercase(), hex];
    for before in 0..3 {
        let padded = [&[0; 2][..before.min(2)], text.as_bytes()].concat();
        let code = Base64UrlUnpadded::encode_string(&padded);
        // Digits that hold bits of what stands before or behind are left out.
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        let code = code[from..to].to_owned();
        forms.push(code.replace('-', "+").replace('_', "/"));
        forms.push(code);
    }
    forms.sort();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Plays the steps up to the named one, which is answered; those before must hold.
    async fn play(demo: &mut Demo, name: &str) -> Ended {
        for step in &STEPS {
            let ended = demo.play(step).await;
            if step.name == name {
                return ended;
            }
            assert!(ended.ok, "{}: {}", ended.name, ended.detail);
        }
        panic!("no step `{name}`")
    }

    fn misbehave(demo: &Demo, at: &str, status: u16) {
        let order = json!({"do": "misbehave", "at": at, "with": {"kind": "status", "status": status}});
        demo.sandbox.control().apply_json(order).unwrap();
    }

    #[tokio::test]
    async fn no_step_says_a_secret() {
        let mut demo = Demo::open().await.unwrap();
        let mut said = String::new();
        for step in &STEPS {
            let ended = demo.play(step).await;
            assert!(ended.ok, "{}: {}", ended.name, ended.detail);
            said.push_str(&Style { terminal: false, colour: false }.step(&ended));
        }
        let output = [("output".to_owned(), said)];
        assert!(demo.secrets().iter().all(|secret| !leaks(&output, secret.expose())));
    }

    #[tokio::test]
    async fn a_secret_in_the_store_breaks_the_claim() {
        let mut demo = Demo::open().await.unwrap();
        // Not sealed, so it stands there.
        remember(&demo.seen, "customer-42");
        let ended = play(&mut demo, "at rest").await;
        assert!(!ended.ok && ended.detail.starts_with("1 of "), "{}", ended.detail);
    }

    #[tokio::test]
    async fn a_refresh_that_fails_breaks_the_claim() {
        let mut demo = Demo::open().await.unwrap();
        play(&mut demo, "bad setting").await;
        misbehave(&demo, "refresh", 500);
        let ended = play_one(&mut demo, "one refresh").await;
        assert!(!ended.ok, "{}", ended.detail);
    }

    #[tokio::test]
    async fn a_revocation_that_is_only_queued_breaks_the_claim() {
        let mut demo = Demo::open().await.unwrap();
        play(&mut demo, "at rest").await;
        misbehave(&demo, "revoke", 503);
        let ended = play_one(&mut demo, "disconnect").await;
        assert!(!ended.ok && ended.detail.contains("queued"), "{}", ended.detail);
    }

    #[tokio::test]
    async fn steps_without_a_connection_fail_instead_of_passing() {
        for name in ["waiting caller", "replay", "bad setting", "one refresh", "request", "disconnect"] {
            let mut demo = Demo::open().await.unwrap();
            assert!(!play_one(&mut demo, name).await.ok, "{name}");
        }
    }

    async fn play_one(demo: &mut Demo, name: &str) -> Ended {
        demo.play(STEPS.iter().find(|step| step.name == name).unwrap()).await
    }

    #[test]
    fn every_form_of_a_secret_is_found() {
        let secret = "s3cret & ümlaut?";
        let found = |bytes: &[u8]| leaks(&[("file".to_owned(), String::from_utf8_lossy(bytes).into_owned())], secret);
        assert!(!found(b"nothing of it") && found(b"\xff\xe2s3cret & \xc3\xbcmlaut?\xc3"));
        assert!(found(b"s3cret+%26+%C3%BCmlaut%3F") && found(b"733363726574202620c3bc6d6c6175743f"));
        for before in 0..7 {
            for behind in 0..4 {
                let text = format!("{}{secret}{}", "<".repeat(before), ">".repeat(behind));
                assert!(found(Base64UrlUnpadded::encode_string(text.as_bytes()).as_bytes()), "{before} {behind}");
                assert!(found(base64ct::Base64::encode_string(text.as_bytes()).as_bytes()), "{before} {behind}");
            }
        }
    }

    /// The code that is shown is the code that runs.
    #[test]
    fn the_lines_shown_stand_in_the_steps() {
        let source = include_str!("demo.rs").split_once("/// What the steps share.").unwrap().1;
        let source = source.split_once("#[cfg(test)]").unwrap().0;
        for step in &STEPS {
            for line in step.code.split("; ") {
                assert!(source.contains(line.trim_end_matches('?')), "{line}");
            }
        }
    }

    #[test]
    fn plain_output_has_no_escapes_and_a_terminal_has() {
        let step = Ended { name: "name", code: "code()", ok: false, detail: "why".to_owned() };
        let plain = Style { terminal: false, colour: false }.step(&step);
        assert!(plain.is_ascii() && plain.starts_with("FAIL name") && !plain.contains('\x1b'), "{plain}");
        assert!(Style { terminal: true, colour: true }.step(&step).contains("\x1b[2mcode()\x1b[0m"));
        let no_colour = Style { terminal: true, colour: false }.step(&step);
        assert!(no_colour.contains('✗') && !no_colour.contains('\x1b'), "{no_colour}");
    }
}
