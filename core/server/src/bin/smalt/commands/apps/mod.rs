//! Applications: what is known about them, and whether their manifests are right. Needs neither store nor key.

mod new;
mod trial;
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anstyle::Style;
use serde_json::json;
use smalt::{
    Code, Error, Result,
    manifest::{self, AppManifest, Finding, SANDBOX_SLUGS},
    model::{Environment, InputField},
    project::{self, Project},
};

use crate::{
    args::Apps,
    context::Context,
    output::{Answer, BOLD, DIM, GREEN, RED, Table, YELLOW, clean, mark, paint, to_json, warn},
};

pub async fn run(context: &Context, args: Apps) -> Result<Answer> {
    match args {
        Apps::List => list(context),
        Apps::Show { slug } => show(context, &slug),
        Apps::Lint { files } => lint(context, &files),
        Apps::New(args) => new::run(context, args).await,
        Apps::Test(args) => trial::run(context, args).await,
    }
}

/// The project, or a warning where it cannot be read: the built-in applications can be shown all the same.
fn project(context: &Context) -> Option<Project> {
    context.project().unwrap_or_else(|error| {
        warn(&clean(error.reason()));
        None
    })
}

/// Whether the project offers it in this environment.
pub fn offered(project: &Project, slug: &str, environment: Environment) -> bool {
    let sandbox = SANDBOX_SLUGS.contains(&slug);
    let enabled = project.apps.get(slug).map_or(sandbox, |settings| settings.enabled);
    enabled && (!sandbox || (project.sandbox.enabled && environment == Environment::Test))
}

fn auth_types(manifest: &AppManifest) -> Vec<&'static str> {
    let mut types = Vec::new();
    // OAuth 1.0a asks the same of a user: a page opens.
    types.extend(manifest.opens_page().then_some("oauth2"));
    types.extend(manifest.keybased.as_ref().map(|_| "keybased"));
    types
}

fn list(context: &Context) -> Result<Answer> {
    let project = project(context);
    let catalog = context.catalog(project.as_ref())?;
    let mut table = Table::new(&["application", "name", "connects by", "offered"]);
    let mut items = Vec::new();
    for manifest in catalog.all() {
        let offered = project.as_ref().map(|project| offered(project, &manifest.slug, context.global.environment));
        let (word, style) = match offered {
            Some(true) => ("yes", GREEN),
            Some(false) => ("no", DIM),
            None => ("", DIM),
        };
        let types = auth_types(&manifest);
        table.row([(&*manifest.slug, BOLD), (&manifest.name, Style::new()), (&types.join(", "), Style::new()), (word, style)]);
        items.push(json!({
            "slug": manifest.slug,
            "name": manifest.name,
            "description": manifest.description,
            "categories": manifest.categories,
            "auth_types": types,
            "offered": offered,
        }));
    }
    let findings = catalog.findings().iter().filter(|f| f.is_error()).count();
    if findings > 0 {
        warn(&format!("{findings} mistakes in the project's own manifests: run `smalt apps lint`"));
    }
    let mut text = table.text();
    if project.is_none() {
        text.push_str("\nNone is offered yet: `smalt init` writes a project file.\n");
    }
    Ok(Answer::new(items, text))
}

fn show(context: &Context, slug: &str) -> Result<Answer> {
    let project = project(context);
    let catalog = context.catalog(project.as_ref())?;
    let Some(manifest) = catalog.get(slug) else {
        let near = catalog.near(slug).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let reason = format!("no application `{}` is known{near}", slug.escape_debug());
        return Err(Error::new(Code::ApplicationNotFound, reason).with("application", slug.escape_debug()));
    };
    let offered = project.as_ref().map(|project| offered(project, slug, context.global.environment));
    let mut facts = Table::facts();
    facts.fact("application", &manifest.slug);
    facts.fact("name", &manifest.name);
    facts.fact("about", &manifest.description);
    facts.fact("categories", manifest.categories.join(", "));
    facts.fact("connects by", auth_types(&manifest).join(", "));
    facts.maybe("offered", offered.map(|offered| if offered { "yes" } else { "no; add it to the project file" }));
    facts.maybe("API", manifest.api.base_url.as_deref());
    if let Some(oauth) = &manifest.oauth2 {
        facts.maybe("authorize URL", oauth.has_page().then_some(&oauth.authorize_url));
        facts.maybe("device URL", oauth.device.as_ref().map(|device| &device.url));
        facts.fact("token URL", &oauth.token_url);
        facts.maybe("default scopes", Some(oauth.scopes.default.join(" ")));
        facts.maybe("required scopes", Some(oauth.scopes.required.join(" ")));
        facts.fact("revocation", oauth.revoke.as_ref().map_or("not offered by the provider", |revoke| &revoke.url));
    }
    if let Some(oauth) = &manifest.oauth1 {
        facts.fact("request token URL", &oauth.request_token_url);
        facts.fact("authorize URL", &oauth.authorize_url);
        facts.fact("token URL", &oauth.access_token_url);
        facts.fact("revocation", oauth.revoke.as_ref().map_or("not offered by the provider", |revoke| &revoke.url));
    }
    for (name, variable) in &manifest.variables {
        let default = variable.default.as_ref().map_or_else(|| "must be set".to_owned(), |value| format!("default `{value}`"));
        facts.fact(&format!("variable {name}"), format!("{} ({default})", variable.description));
    }
    for (name, url) in &manifest.links {
        facts.fact(name, url);
    }
    facts.maybe("help", manifest.help.as_deref());
    let mut text = facts.text();
    let inputs: Vec<&InputField> = (manifest.oauth2.iter().flat_map(|o| &o.inputs))
        .chain(manifest.oauth1.iter().flat_map(|o| &o.inputs))
        .chain(manifest.keybased.iter().flat_map(|k| &k.inputs))
        .collect();
    if !inputs.is_empty() {
        let mut table = Table::new(&["input", "label", "kind", "example"]);
        for input in inputs {
            let kind = match (input.secret, input.required) {
                (true, _) => "secret",
                (false, true) => "required",
                (false, false) => "optional",
            };
            let example = input.placeholder.as_deref().unwrap_or_default();
            table.row([(&*input.name, BOLD), (&input.label, Style::new()), (kind, Style::new()), (example, DIM)]);
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    let mut json = to_json(&*manifest);
    json["offered"] = json!(offered);
    Ok(Answer::new(json, text))
}

fn lint(context: &Context, files: &[PathBuf]) -> Result<Answer> {
    let (checked, findings) = if files.is_empty() { everything(context)? } else { named(context, files)? };
    let errors = findings.iter().filter(|f| f.is_error()).count();
    let mut text = String::new();
    for finding in &findings {
        text.push_str(&describe(finding));
    }
    let warnings = findings.len() - errors;
    let sum = match (errors, warnings) {
        (0, 0) => format!("{} {checked} checked, nothing found", mark(GREEN, "✓", "ok")),
        _ => format!("{checked} checked: {errors} errors, {warnings} warnings"),
    };
    text.push_str(&format!("{sum}\n"));
    Ok(Answer::new(json!({ "checked": checked, "errors": errors, "warnings": warnings, "findings": findings }), text).failed(errors > 0))
}

/// A finding on two lines: where and what, then the cure.
pub fn describe(finding: &Finding) -> String {
    let place = if finding.line > 0 { format!(":{}:{}", finding.line, finding.column) } else { String::new() };
    let word = if finding.is_error() { paint(RED, "error") } else { paint(YELLOW, "warning") };
    let key = if finding.key.is_empty() { String::new() } else { format!("{}: ", finding.key) };
    let head = paint(BOLD, &clean(&format!("{}{place}", finding.file)));
    format!("{head}: {word}: {}\n    cure: {}\n", clean(&format!("{key}{}", finding.message)), clean(&finding.cure))
}

/// The built-in manifests, the project's folders, and the project file itself.
fn everything(context: &Context) -> Result<(usize, Vec<Finding>)> {
    let path = context.project_file();
    // A broken project file is what lint is for: its mistakes are found below.
    let project = context.project().ok().flatten();
    let catalog = context.catalog(project.as_ref())?;
    let mut findings = catalog.findings();
    // Files were checked when the folders were read. What is built in nobody here can correct; what it wants of the project, the
    // project's own lint says.
    for manifest in manifest::Catalog::builtin().all() {
        findings.extend(manifest::lint::lint_value(&manifest).into_iter().filter(Finding::is_error));
    }
    findings.extend(path.iter().flat_map(|path| project::lint_file(path, &catalog)));
    Ok((catalog.all().len() + usize::from(path.is_some()), findings))
}

fn named(context: &Context, files: &[PathBuf]) -> Result<(usize, Vec<Finding>)> {
    let mut paths = Vec::new();
    for file in files {
        if file.is_dir() {
            let entries = fs::read_dir(file).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut inside: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
            inside.sort();
            paths.extend(inside);
        } else {
            paths.push(file.clone());
        }
    }
    let mut findings = Vec::new();
    for path in &paths {
        if is_project(path) {
            let folder = path.parent().map(Path::to_owned).unwrap_or_default();
            let folders = Project::load(path).map(|p| p.manifests.iter().map(|f| folder.join(f)).collect()).unwrap_or_default();
            let catalog = manifest::Catalog::new(folders, Vec::new()).or_else(|_| context.catalog(None))?;
            findings.extend(catalog.findings());
            findings.extend(project::lint_file(path, &catalog));
        } else {
            // What is wrong with a base is found with each heir as well; once is enough.
            for finding in manifest::lint_file(path) {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
    }
    Ok((paths.len(), findings))
}

/// A project file is told from a manifest by its version's key.
fn is_project(path: &Path) -> bool {
    let top = |text: &str, key: &str| {
        let mut lines = text.lines().map(str::trim_start).take_while(|line| !line.starts_with('['));
        lines.any(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')))
    };
    let text = fs::read_to_string(path).unwrap_or_default();
    path.file_name().is_some_and(|name| name == crate::context::PROJECT_FILE) || (top(&text, "version") && !top(&text, "manifest"))
}
