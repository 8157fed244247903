//! The applications that are offered.

use std::collections::BTreeSet;

use super::{Report, fields, redirect_form};
use crate::{
    manifest::{AppManifest, Catalog, SANDBOX_SLUGS, TokenClient, document::did_you_mean, lint as manifest_lint, pattern::Pattern},
    model::Environment,
    project::{AppSettings, Client, Project, SecretRef},
};

pub(super) fn check(report: &mut Report<'_>, p: &Project, catalog: Option<&Catalog>) {
    // An environment is in use once any application has a client for it.
    let used: BTreeSet<Environment> = p.apps.values().flat_map(|app| app.client.keys().copied()).collect();
    for (slug, app) in &p.apps {
        let at = ["apps", slug.as_str()];
        settings(report, slug, app);
        let sandbox = SANDBOX_SLUGS.contains(&slug.as_str());
        if sandbox && app.enabled && !p.sandbox.enabled {
            report.warn(
                &at,
                "is offered, but the sandbox is switched off",
                "set `enabled = true` under `[sandbox]`, or remove the application",
            );
        }
        let Some(catalog) = catalog else { continue };
        let Some(manifest) = catalog.get(slug) else {
            let slugs = catalog.slugs();
            let cure = match did_you_mean(slug, slugs.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "correct the slug (`smalt apps list`), or add its manifest to a folder under `manifests`".to_owned(),
            };
            report.error(&at, "is an application that nobody knows", cure);
            continue;
        };
        against(report, slug, app, &manifest);
        if app.enabled {
            look(report, slug, app, &manifest);
        }
        if !manifest.takes_client() {
            if !app.client.is_empty() {
                report.warn(&["apps", slug, "client"], "is not needed: the application takes keys only", "remove it");
            }
        } else if app.enabled && !sandbox && manifest.needs_client() {
            let both = BTreeSet::from([Environment::Test, Environment::Production]);
            let wanted = if used.is_empty() { &both } else { &used };
            let missing: Vec<&str> = wanted.iter().filter(|e| !app.client.contains_key(e)).map(|e| e.as_str()).collect();
            if !missing.is_empty() {
                let console = manifest.links.get("console").map(|c| format!(" (made at {c})")).unwrap_or_default();
                let cure = format!("add `[apps.{slug}.client.{}]` with the id and secret of your OAuth client{console}", missing[0]);
                report.warn(&at, format!("has no OAuth client for {}", missing.join(" and ")), cure);
            }
        }
    }
}

fn settings(report: &mut Report<'_>, slug: &str, app: &AppSettings) {
    for (environment, client) in &app.client {
        self::client(report, &["apps", slug, "client", environment.as_str()], client);
    }
    secret(report, &["apps", slug, "registration_token"], app.registration_token.as_ref());
    if let Some(scopes) = &app.scopes {
        if scopes.iter().any(|s| s.is_empty() || s.chars().any(char::is_whitespace)) {
            report.error(&["apps", slug, "scopes"], "has an empty scope, or one with a space", "write each scope as a text of its own");
        }
        if scopes.iter().collect::<BTreeSet<_>>().len() < scopes.len() {
            report.warn(&["apps", slug, "scopes"], "has a scope twice", "remove one");
        }
    }
    if let Some(inputs) = &app.inputs {
        manifest_lint::inputs(report, &["apps", slug, "inputs"], inputs);
    }
    if let Some(brand) = &app.brand {
        manifest_lint::brand(report, &["apps", slug, "brand"], brand, false);
    }
    fields::check(report, &["apps", slug, "fields"], &app.fields, &[]);
    let mut seen = BTreeSet::new();
    for (index, workflow) in app.workflows.iter().enumerate() {
        let index = index.to_string();
        let at = ["apps", slug, "workflows", index.as_str()];
        let path = |key: &'static str| [at.as_slice(), &[key]].concat();
        fields::id(report, &path("id"), &workflow.id);
        if !seen.insert(&workflow.id) {
            report.error(&path("id"), format!("`{}` stands twice", workflow.id), "give each workflow its own id");
        }
        if workflow.name.trim().is_empty() {
            report.error(&path("name"), "is empty", "write the workflow's name for people");
        }
        if workflow.enabled && !workflow.published {
            report.warn(&path("enabled"), "is on for a workflow that is not published", "publish it, or remove `enabled`");
        }
        if let Some(icon) = &workflow.icon
            && !icon.starts_with("data:image/")
        {
            manifest_lint::https(report, &path("icon"), icon);
        }
        fields::check(report, &path("fields"), &workflow.fields, &app.fields);
    }
}

fn client(report: &mut Report<'_>, at: &[&str], client: &Client) {
    let path = |key: &'static str| at.iter().copied().chain([key]).collect::<Vec<&str>>();
    if client.id.trim().is_empty() || client.id.chars().any(char::is_control) {
        report.error(&path("id"), "is empty", "write the client id that the provider shows");
    }
    secret(report, &path("secret"), client.secret.as_ref());
    secret(report, &path("certificate"), client.certificate.as_ref());
    secret(report, &path("certificate_key"), client.certificate_key.as_ref());
    if client.certificate_key.is_some() && client.certificate.is_none() {
        report.error(&path("certificate"), "is missing, so that its key proves nothing", "add `certificate`, or remove `certificate_key`");
    }
    if let Some(uri) = &client.redirect_uri
        && let Err(why) = redirect_form(uri)
    {
        report.error(&path("redirect_uri"), why, "write the redirect URI exactly as it is registered at the provider");
    }
}

/// Whether a place that a secret is read from can be one.
fn secret(report: &mut Report<'_>, path: &[&str], secret: Option<&SecretRef>) {
    match secret {
        Some(SecretRef::Env(name)) => {
            // The name is not repeated: it may be the secret itself, put in the wrong place.
            let form = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.starts_with(|c: char| c.is_ascii_digit());
            if !form || name.is_empty() {
                report.error(
                    path,
                    "is not the name of an environment variable",
                    "write its name, e.g. `{ env = \"SLACK_CLIENT_SECRET\" }`, not its value",
                );
            }
        }
        Some(SecretRef::File(file)) if file.as_os_str().is_empty() => {
            report.error(path, "names no file", "write its path, relative to the project file");
        }
        _ => {}
    }
}

/// What only the project can bring, because its owner lets nobody else ship it.
fn look(report: &mut Report<'_>, slug: &str, app: &AppSettings, manifest: &AppManifest) {
    let brand = app.brand_of(manifest);
    if brand.button.mandated && brand.button.normal.image.is_none() {
        let at = brand.button.guidelines_url.as_deref().map(|url| format!(", as {url} demands")).unwrap_or_default();
        let cure = format!("put the provider's own artwork as `image` under `[apps.{slug}.brand.button.normal]`{at}");
        report.warn(&["apps", slug, "brand", "button", "normal", "image"], "is mandated by the provider and not shipped with Smalt", cure);
    }
    if brand.icon.is_none() && !manifest.is_sandbox() {
        let cure = format!("add `icon` under `[apps.{slug}.brand]`: an https URL or a `data:` URI of one that you may use");
        report.warn(&["apps", slug, "brand", "icon"], "is absent: none is shipped whose licence does not allow it", cure);
    }
}

/// What the manifest says about the settings.
fn against(report: &mut Report<'_>, slug: &str, app: &AppSettings, manifest: &AppManifest) {
    let by_certificate = manifest.oauth2.as_ref().is_some_and(|oauth| oauth.client_auth.is_mutual_tls())
        || manifest
            .keybased
            .iter()
            .flat_map(|keys| &keys.token)
            .any(|token| token.client_auth.is_mutual_tls() && token.client() == TokenClient::Project);
    for (environment, client) in app.client.iter().filter(|(_, client)| client.certificate.is_some() != by_certificate) {
        let path = ["apps", slug, "client", environment.as_str(), "certificate"];
        match client.certificate.is_some() {
            true => report.warn(&path, "is not needed: the application's clients prove themselves otherwise", "remove it"),
            false => report.error(&path, "is missing", "add the certificate that the provider knows, e.g. `{ file = \"client.pem\" }`"),
        }
    }
    let registers = manifest.oauth2.as_ref().is_some_and(|oauth| oauth.registration.is_some());
    if app.registration_token.is_some() && !registers {
        report.warn(&["apps", slug, "registration_token"], "is not needed: the application registers no clients", "remove it");
    }
    if manifest.leads_anywhere() {
        let cure = "remove it: a client is registered at each host by itself";
        let shown = "would be shown to any host that a user names";
        for environment in app.client.keys() {
            report.error(&["apps", slug, "client", environment.as_str()], shown, cure);
        }
        if app.registration_token.is_some() {
            report.error(&["apps", slug, "registration_token"], shown, cure);
        }
    }
    for (name, value) in &app.variables {
        let path = ["apps", slug, "variables", name.as_str()];
        let Some(variable) = manifest.variables.get(name) else {
            let cure = match did_you_mean(name, manifest.variables.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove it; the manifest names no such variable".to_owned(),
            };
            report.error(&path, "is not a variable of the application", cure);
            continue;
        };
        if let Some(Ok(pattern)) = variable.pattern.as_deref().map(Pattern::new)
            && !pattern.matches(value)
        {
            report.error(&path, "does not have the form that the manifest asks for", variable.description.clone());
        }
    }
    for (name, variable) in manifest.variables.iter().filter(|(n, v)| v.default.is_none() && !app.variables.contains_key(*n)) {
        let cure = format!("add `{name}` under `[apps.{slug}.variables]`: {}", variable.description);
        report.error(&["apps", slug, "variables", name], "is missing", cure);
    }
    let Some(inputs) = &app.inputs else { return };
    match &manifest.keybased {
        None => report.error(&["apps", slug, "inputs"], "replaces inputs that the application does not have", "remove it"),
        Some(keybased) => {
            let kept: BTreeSet<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
            let lost: Vec<&str> =
                keybased.inputs.iter().filter(|i| i.required).map(|i| i.name.as_str()).filter(|n| !kept.contains(n)).collect();
            if !lost.is_empty() {
                let message = format!("leaves out what the application needs: {}", lost.join(", "));
                report.error(&["apps", slug, "inputs"], message, "keep those names; labels and help may be your own");
            }
        }
    }
}
