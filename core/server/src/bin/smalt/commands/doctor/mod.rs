//! `smalt doctor`: whether everything is in place. It changes nothing.

mod network;
mod store;

use serde::Serialize;
use serde_json::json;
use smalt::{
    Result, Timestamp,
    manifest::{AppManifest, Catalog, Finding, SANDBOX_SLUGS},
    model::Environment,
    plugin::{Clock, SystemClock},
    project::{self, Project},
    vault::KeyRing,
};

use super::apps::offered;
use crate::{
    args,
    context::Context,
    output::{Answer, BOLD, GREEN, RED, YELLOW, clean, mark, paint, to_json},
};

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Serialize)]
struct Check {
    name: String,
    status: Status,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cure: String,
}

impl Check {
    fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Ok, message: message.into(), cure: String::new() }
    }

    fn warn(name: impl Into<String>, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Warn, message: message.into(), cure: cure.into() }
    }

    fn fail(name: impl Into<String>, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Fail, message: message.into(), cure: cure.into() }
    }

    fn error(name: impl Into<String>, error: &smalt::Error) -> Self {
        let next = error.code().row().next;
        Self::fail(name, error.reason().strip_suffix(next).unwrap_or(error.reason()).trim_end(), next)
    }

    fn finding(name: &str, finding: &Finding) -> Self {
        let place = if finding.line > 0 { format!(":{}", finding.line) } else { String::new() };
        let key = if finding.key.is_empty() { String::new() } else { format!("{}: ", finding.key) };
        let status = if finding.is_error() { Status::Fail } else { Status::Warn };
        let message = format!("{}{place}: {key}{}", finding.file, finding.message);
        Self { name: name.to_owned(), status, message, cure: finding.cure.clone() }
    }
}

pub async fn run(context: &Context, args: &args::Doctor) -> Result<Answer> {
    if let Some(url) = &context.global.url {
        return Ok(ended(&[server(context, url).await]));
    }
    let mut checks = Vec::new();
    let project = project_file(context, &mut checks);
    let catalog = context.catalog(project.as_ref())?;
    manifests(&catalog, &mut checks);
    let key = key(context, &mut checks);
    let org = project.as_ref().map_or_else(|| Project::default().org.id, |project| project.org.id.clone());
    store::check(context, key, &org, &mut checks).await;
    // A key that can be read, but is not the store's, is not good.
    if checks.iter().any(|c| c.name == "key" && c.status == Status::Fail) {
        checks.retain(|c| c.name != "key" || c.status == Status::Fail);
    }
    let mut now = vec![clock()];
    if let Some(project) = &project {
        let apps: Vec<_> = catalog.all().into_iter().filter(|m| offered(project, &m.slug, context.global.environment)).collect();
        for app in &apps {
            client(context, project, app, &mut checks);
        }
        sandbox(context, project, &mut checks);
        if !args.offline {
            let (reached, seen) = network::check(project, &apps).await;
            checks.extend(reached);
            // A provider's clock is a better judge than the calendar.
            if let Some(seen) = seen {
                now = vec![compare(seen)];
            }
        }
    }
    checks.append(&mut now);
    Ok(ended(&checks))
}

fn ended(checks: &[Check]) -> Answer {
    let failed = checks.iter().any(|c| c.status == Status::Fail);
    Answer::new(json!({ "ok": !failed, "checks": to_json(&checks) }), describe(checks)).failed(failed)
}

/// Whether a server can be reached and takes the key. What stands behind it, its own `smalt doctor` checks.
async fn server(context: &Context, url: &str) -> Check {
    match context.with(false, async |smalt| smalt.count_accounts(None).await).await {
        Ok(accounts) => Check::ok("server", format!("{url} takes the API key; {accounts} linked accounts")),
        Err(error) => Check::error("server", &error),
    }
}

fn describe(checks: &[Check]) -> String {
    let width = checks.iter().map(|c| c.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let (style, sign, word) = match check.status {
            Status::Ok => (GREEN, "✓", "ok"),
            Status::Warn => (YELLOW, "!", "warn"),
            Status::Fail => (RED, "✗", "fail"),
        };
        let mark = mark(style, sign, word);
        let name = paint(BOLD, &check.name);
        let pad = width - check.name.chars().count();
        text.push_str(&format!("{mark}  {name}{:pad$}  {}\n", "", clean(&check.message)));
        if !check.cure.is_empty() {
            text.push_str(&format!("{:indent$}cure: {}\n", "", clean(&check.cure), indent = width + 8));
        }
    }
    text
}

fn project_file(context: &Context, checks: &mut Vec<Check>) -> Option<Project> {
    let Some(path) = context.project_file() else {
        checks.push(Check::warn(
            "project",
            "there is no smalt.toml here, so no application is offered",
            "run `smalt init`, or name one with --project",
        ));
        return None;
    };
    match Project::load(&path) {
        Ok(project) => {
            let catalog = context.catalog(Some(&project)).unwrap_or_else(|_| Catalog::builtin());
            let findings = project::lint_file(&path, &catalog);
            if findings.is_empty() {
                checks.push(Check::ok("project", format!("{} is right", path.display())));
            }
            // Missing clients get a check of their own, which says more.
            let rest = findings.iter().filter(|finding| finding.is_error() || !finding.message.starts_with("has no OAuth client"));
            checks.extend(rest.map(|finding| Check::finding("project", finding)));
            Some(project)
        }
        Err(error) => {
            let findings = project::lint_file(&path, &Catalog::builtin());
            if findings.is_empty() {
                checks.push(Check::error("project", &error));
            }
            checks.extend(findings.iter().map(|finding| Check::finding("project", finding)));
            None
        }
    }
}

fn manifests(catalog: &Catalog, checks: &mut Vec<Check>) {
    let findings = catalog.findings();
    if findings.is_empty() {
        checks.push(Check::ok("manifests", format!("{} applications are known", catalog.all().len())));
    }
    checks.extend(findings.iter().map(|finding| Check::finding("manifests", finding)));
}

fn key(context: &Context, checks: &mut Vec<Check>) -> Option<KeyRing> {
    match context.key() {
        Ok(key) => {
            checks.push(Check::ok("key", format!("the master key {} can be used", key.id())));
            match KeyRing::new(key).and_old() {
                Ok(keys) => Some(keys),
                Err(error) => {
                    checks.push(Check::error("old key", &error));
                    None
                }
            }
        }
        Err(error) => {
            checks.push(Check::error("key", &error));
            None
        }
    }
}

/// The organisation's client in this environment, and where its secret comes from.
fn client(context: &Context, project: &Project, app: &AppManifest, checks: &mut Vec<Check>) {
    if !app.takes_client() || SANDBOX_SLUGS.contains(&app.slug.as_str()) {
        return;
    }
    let name = format!("client {}", app.slug);
    let environment = context.global.environment;
    let settings = project.apps.get(&app.slug);
    let Some(client) = settings.and_then(|settings| settings.client.get(&environment)) else {
        if app.oauth2.as_ref().is_some_and(|oauth| oauth.registration.is_some()) {
            checks.push(Check::ok(name, "registered by protocol when the first user connects"));
            return;
        }
        let console = app.links.get("console").map_or_else(String::new, |url| format!("make one at {url} and "));
        let redirect = redirect_uri(project, app).map_or_else(String::new, |uri| format!("; its redirect URI is {uri}"));
        let message = format!("no OAuth client for the {environment} environment");
        let cure = format!("{console}add [apps.{}.client.{environment}] to the project file{redirect}", app.slug);
        checks.push(match app.needs_client() {
            true => Check::fail(name, message, cure),
            false => Check::warn(name, format!("{message}, so users can connect with keys only"), cure),
        });
        return;
    };
    let secrets = [&client.secret, &client.certificate, &client.certificate_key];
    match secrets.into_iter().flatten().find_map(|secret| secret.resolve(&context.folder()).err()) {
        Some(error) => {
            let message = Check::error("", &error).message;
            checks.push(Check::fail(name, message, "set it for this command and for every process that uses the store"));
        }
        None => {
            let redirect = client.redirect_uri.clone().or_else(|| redirect_uri(project, app));
            let redirect = redirect.map_or_else(String::new, |uri| format!("; redirect URI {uri}"));
            checks.push(Check::ok(name, format!("{}{redirect}", client.id)));
        }
    }
    let other = if environment == Environment::Test { Environment::Production } else { Environment::Test };
    let secret = settings.and_then(|s| s.client.get(&other)).and_then(|c| c.secret.as_ref());
    if let Some(Err(error)) = secret.map(|secret| secret.resolve(&context.folder())) {
        checks.push(Check::warn(
            format!("client {} ({other})", app.slug),
            error.reason(),
            format!("needed where the environment is {other}; here it is {environment}"),
        ));
    }
}

/// The project's own redirect URI for an application that has one.
fn redirect_uri(project: &Project, app: &AppManifest) -> Option<String> {
    let base = project.org.public_url.as_ref().filter(|_| app.opens_page())?;
    Some(format!("{}/api/v1/{}/callback", base.trim_end_matches('/'), app.slug))
}

fn sandbox(context: &Context, project: &Project, checks: &mut Vec<Check>) {
    if !project.sandbox.enabled {
        return;
    }
    if context.global.environment == Environment::Production {
        checks.push(Check::ok("sandbox", "not offered in the production environment"));
    } else if project.sandbox.url.is_none() {
        let message = "each process makes its own, which forgets everything at its end; `smalt sandbox` runs one that stays";
        checks.push(Check::ok("sandbox", message));
    }
}

/// Without anybody to ask, only what cannot be is noticed.
fn clock() -> Check {
    /// 2026-01-01 and 2100-01-01.
    const PLAUSIBLE: std::ops::Range<i64> = 1_767_225_600_000..4_102_444_800_000;
    let now = SystemClock::default().now();
    if PLAUSIBLE.contains(&now.millis()) {
        Check::ok("clock", format!("it is {now}"))
    } else {
        Check::fail("clock", format!("it cannot be {now}"), "set the clock; tokens and sessions end by it")
    }
}

/// How far this machine's clock is from a provider's.
fn compare(theirs: Timestamp) -> Check {
    const MINUTE: u64 = 60;
    let now = SystemClock::default().now();
    let apart = now.since(theirs).max(theirs.since(now)).as_secs();
    if apart <= MINUTE {
        Check::ok("clock", format!("it is {now}, as at the providers"))
    } else {
        Check::fail(
            "clock",
            format!("it is {now}, which is {apart} s away from a provider's clock"),
            "let the clock be set over the network (NTP)",
        )
    }
}
