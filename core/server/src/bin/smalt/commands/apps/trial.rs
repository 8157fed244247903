//! `smalt apps test`: one whole life of a connection with the user's own client, and what the provider answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use smalt::{
    Account, Code, Error, Result, Smalt, Timestamp,
    backend::Disconnect,
    engine::Timings,
    http::{AddressPolicy, HostPort, ReqwestTransport},
    manifest::SANDBOX_SLUGS,
    model::{AccountUpdate, Connection, RevocationOutcome, SiblingPolicy},
    plugin::{BootTime, Clock, SystemClock},
    project::Project,
    vault::LocalKey,
};

use super::watch::{Exchange, Watch};
use crate::{
    args::TestApp,
    commands::connect::{Shown, ask_for_missing, entered},
    context::Context,
    output::{Answer, BOLD, DIM, GREEN, RED, clean, mark, paint, to_json},
};

/// The one linked account of the engine that the test runs on.
const ACCOUNT: &str = "apps-test";
/// How long the provider may take to answer the revocation.
const REVOCATION: Duration = Duration::from_secs(15);

/// The system's clock, some time ahead: a token's end can be visited without waiting for it.
#[derive(Clone, Default)]
struct AheadClock {
    clock: SystemClock,
    ahead: Arc<AtomicI64>,
}

impl Clock for AheadClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now().millis() + self.ahead.load(Ordering::SeqCst))
    }

    fn boot(&self) -> BootTime {
        let boot = self.clock.boot();
        BootTime { millis: boot.millis + self.ahead.load(Ordering::SeqCst), ..boot }
    }
}

/// How a step went.
struct Step {
    name: &'static str,
    /// Absent: it was not tried.
    went_well: Option<bool>,
    told: String,
}

impl Step {
    fn good(name: &'static str, told: impl Into<String>) -> Self {
        Self { name, went_well: Some(true), told: told.into() }
    }

    fn skipped(name: &'static str, told: impl Into<String>) -> Self {
        Self { name, went_well: None, told: told.into() }
    }

    fn bad(name: &'static str, told: impl Into<String>) -> Self {
        Self { name, went_well: Some(false), told: told.into() }
    }

    fn of(name: &'static str, error: &Error) -> Self {
        Self::bad(name, format!("{} ({})", error.reason(), error.code().as_str()))
    }
}

pub async fn run(context: &Context, args: TestApp) -> Result<Answer> {
    let Some(project) = context.project()? else {
        return Err(Error::new(
            Code::ProjectInvalid,
            "there is no project file, so there is no client to test with: `smalt init` writes one",
        ));
    };
    if SANDBOX_SLUGS.contains(&&*args.slug) && project.sandbox.url.is_none() {
        let reason = "run `smalt sandbox` in another terminal and put the url that it prints under [sandbox] in the project file";
        return Err(Error::new(Code::ProjectInvalid, reason));
    }
    let mut given = entered(&args.inputs)?;
    let clock = AheadClock::default();
    // Whoever reads the report must not find what was entered.
    let hidden = given.values().cloned().collect();
    let watch = Watch::new(ReqwestTransport::new(policy(&project)?)?, hidden);
    let mut builder = Smalt::in_memory()
        .environment(context.global.environment)
        .keys(LocalKey::generate()?)
        .clock(clock.clone())
        .timings(Timings { ahead: None, ..Timings::default() })
        .transport(watch.clone());
    if let Some(path) = context.project_file() {
        builder = builder.project(path);
    }
    let smalt = builder.open().await?;
    smalt.create_account(ACCOUNT, AccountUpdate::default()).await?;
    let account = smalt.account(ACCOUNT);
    let app = account.app(&args.slug).await?;
    ask_for_missing(&app, args.auth_type, &mut given)?;

    watch.begin("connect");
    let mut connect = account.connect(&args.slug).inputs(given).present(Shown { browser: !args.no_browser });
    if let Some(auth_type) = args.auth_type {
        connect = connect.auth_type(auth_type);
    }
    if !args.scopes.is_empty() {
        connect = connect.scopes(args.scopes.clone());
    }
    let steps = match connect.await {
        Ok(connection) => {
            let mut steps = vec![connected(&connection)];
            steps.push(renew(&account, &args.slug, &connection, &clock, &watch).await);
            steps.push(read(&account, &args.slug, args.get.as_deref(), &watch).await);
            steps.push(end(&account, &args.slug, &watch).await);
            steps
        }
        Err(error) => vec![Step::of("connect", &error)],
    };
    smalt.close().await;
    let seen = watch.seen();
    let failed = steps.iter().any(|step| step.went_well == Some(false));
    let json = json!({
        "application": args.slug,
        "steps": steps.iter().map(|s| json!({ "step": s.name, "ok": s.went_well, "told": s.told })).collect::<Vec<_>>(),
        "exchanges": seen.iter().map(to_json).collect::<Vec<_>>(),
    });
    Ok(Answer::new(json, report(&steps, &seen)).failed(failed))
}

/// Where this project may call: its own list, and its sandbox.
fn policy(project: &Project) -> Result<AddressPolicy> {
    let sandbox = project.sandbox.url.as_deref().filter(|_| project.sandbox.enabled);
    let port = sandbox.and_then(|url| HostPort::of(&url::Url::parse(url).ok()?));
    Ok(port.into_iter().fold(AddressPolicy::new(&project.network)?, AddressPolicy::with))
}

fn connected(connection: &Connection) -> Step {
    let who = connection.identity.as_ref().map_or_else(|| "nobody can say who".to_owned(), |i| format!("{} ({})", i.label, i.id));
    let end = connection.expires_at.map_or_else(|| "no end of the token is stated".to_owned(), |at| format!("the token ends {at}"));
    let scopes = if connection.scopes.is_empty() { "not stated".to_owned() } else { connection.scopes.join(" ") };
    let mut told = format!("connected as {who}; granted scopes: {scopes}; {end}");
    if !connection.properties.is_empty() {
        told.push_str(&format!("; kept: {}", connection.properties.keys().cloned().collect::<Vec<_>>().join(", ")));
    }
    Step::good("connect", told)
}

/// Moves the clock past the token's end, so that the next credential is a renewed one.
async fn renew(account: &Account, slug: &str, connection: &Connection, clock: &AheadClock, watch: &Watch) -> Step {
    const NAME: &str = "renew";
    let Some(end) = connection.expires_at else {
        return Step::skipped(NAME, "not tried: no end of the credential is stated");
    };
    watch.begin(NAME);
    let before = watch.seen().len();
    clock.ahead.fetch_add(end.millis() - clock.now().millis() + 1000, Ordering::SeqCst);
    match account.credential(slug).await {
        Ok(_) if watch.seen().len() > before => Step::good(NAME, "the provider renewed the token"),
        Ok(_) => Step::bad(NAME, "the token was due, but nothing was sent"),
        Err(error) if error.is(Code::ReauthRequired) && watch.seen().len() == before => {
            Step::skipped(NAME, "not tried: the provider gave no refresh token; ask for the scope that brings one, if there is one")
        }
        Err(error) => Step::of(NAME, &error),
    }
}

async fn read(account: &Account, slug: &str, path: Option<&str>, watch: &Watch) -> Step {
    const NAME: &str = "call";
    let Some(path) = path else { return Step::skipped(NAME, "not tried: `--get PATH` reads something") };
    watch.begin(NAME);
    match account.request(slug, "GET", path).await {
        Ok(answer) if answer.status < 400 => Step::good(NAME, format!("answered with status {}", answer.status)),
        Ok(answer) => Step::bad(NAME, format!("answered with status {}", answer.status)),
        Err(error) => Step::of(NAME, &error),
    }
}

async fn end(account: &Account, slug: &str, watch: &Watch) -> Step {
    const NAME: &str = "disconnect";
    watch.begin(NAME);
    let request =
        Disconnect { application: slug.to_owned(), siblings: Some(SiblingPolicy::Kill), wait: Some(REVOCATION), ..Disconnect::default() };
    match account.disconnect_with(request).await {
        Ok(receipt) => match receipt.revocation {
            RevocationOutcome::Revoked => Step::good(NAME, "the provider confirmed the end of the grant"),
            RevocationOutcome::NothingToRevoke => Step::good(NAME, "there was nothing to revoke"),
            RevocationOutcome::Unsupported => {
                Step::good(NAME, "the provider offers no revocation: end the grant on its own pages, and add a fact that says so")
            }
            RevocationOutcome::Queued | RevocationOutcome::KeptShared | RevocationOutcome::Failed => {
                Step::bad(NAME, format!("the grant may still be alive ({}): end it on the provider's own pages", receipt.revocation))
            }
        },
        Err(error) => Step::of(NAME, &error),
    }
}

fn report(steps: &[Step], seen: &[Exchange]) -> String {
    let mut text = String::new();
    for step in steps {
        let sign = match step.went_well {
            Some(true) => mark(GREEN, "✓", "ok"),
            Some(false) => mark(RED, "✗", "bad"),
            None => mark(DIM, "–", "-"),
        };
        text.push_str(&format!("{sign} {}: {}\n", paint(BOLD, step.name), clean(&step.told)));
        for exchange in seen.iter().filter(|exchange| exchange.step == step.name) {
            let sent = if exchange.sent.is_empty() { String::new() } else { format!("  sent {}", exchange.sent.join(", ")) };
            text.push_str(&format!("    {} {}{}\n", exchange.method, clean(&exchange.url), paint(DIM, &clean(&sent))));
            let kind = exchange.content_type.as_deref().unwrap_or("no content type");
            match (exchange.status, exchange.failed) {
                (Some(status), _) => text.push_str(&format!("    {status} {}  {}\n", clean(kind), clean(&exchange.answer.to_string()))),
                (None, failed) => text.push_str(&format!("    no answer ({})\n", failed.unwrap_or("cancelled"))),
            }
        }
    }
    text
}
