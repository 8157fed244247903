//! What is wrong with a manifest, and what to do about it.

mod auth;
mod brand;
mod grants;
mod inputs;
mod templates;
mod xml;

use std::{borrow::Cow, path::Path, sync::LazyLock};

use toml::de::DeTable;
use url::Url;

pub(crate) use brand::brand;
pub(crate) use inputs::inputs;

use super::{
    AppManifest, Finding, Oauth2, SANDBOX_SLUGS,
    catalog::BUILT_IN,
    document::{self, Report},
    family::{self, Find, Source},
    file_finding, read_text, schema, shape,
};
use crate::model::Json;

/// Slugs that are parts of routes, or that mean something else in a path.
const RESERVED: &[&str] = &[
    "app",
    "application",
    "apps",
    "callback",
    "config",
    "custom",
    "default",
    "event",
    "execution",
    "integrate",
    "linked-acc",
    "linked-account",
    "oauth",
    "public",
    "session",
    "slug",
    "smalt",
    "trigger",
    "webhook",
    "workflow",
];

pub(crate) static SCHEMA: LazyLock<Json> = LazyLock::new(schema);

/// Everything that is wrong with a manifest's text. `file_name` stands in the findings; its stem must be the slug. What it
/// extends is looked for in the box.
pub fn lint(text: &str, file_name: &str) -> Vec<Finding> {
    read(text, file_name, &in_box).1
}

/// Everything that is wrong with a manifest file; a file that cannot be read is a finding too.
pub fn lint_file(path: impl AsRef<Path>) -> Vec<Finding> {
    let path = path.as_ref();
    match read_text(path) {
        Ok(text) => read(&text, &path.display().to_string(), &|slug, line| beside(path, slug, line)).1,
        Err(message) => vec![file_finding(path, "", &message, "name a manifest that can be read")],
    }
}

/// A base of the box.
pub(crate) fn in_box(slug: &str, line: &[&str]) -> Option<Source> {
    let (file, text) = BUILT_IN.iter().find(|(file, _)| file.strip_suffix(".toml") == Some(slug))?;
    (!line.contains(file)).then(|| Source { file: (*file).to_owned(), text: Cow::Borrowed(text) })
}

/// A base in the same folder, else one of the box.
pub(crate) fn beside(path: &Path, slug: &str, line: &[&str]) -> Option<Source> {
    in_folder(path.parent().unwrap_or(Path::new("")), slug, line).or_else(|| in_box(slug, line))
}

/// A base in a folder; a slug is never a path.
pub(crate) fn in_folder(folder: &Path, slug: &str, line: &[&str]) -> Option<Source> {
    if !is_slug(slug) {
        return None;
    }
    let path = folder.join(format!("{slug}.toml"));
    let file = path.display().to_string();
    if line.contains(&file.as_str()) {
        return None;
    }
    read_text(&path).ok().map(|text| Source { file, text: Cow::Owned(text) })
}

/// Everything that is wrong with a manifest that was made as a value.
pub fn lint_value(manifest: &AppManifest) -> Vec<Finding> {
    let file = format!("manifest `{}`", manifest.slug.chars().take(64).collect::<String>());
    let mut report = Report::of_value(&file);
    check(&mut report, manifest, None);
    report.finish()
}

/// The manifest, unless it has an error; and the findings.
pub(crate) fn read(text: &str, file_name: &str, find: Find<'_>) -> (Option<AppManifest>, Vec<Finding>) {
    let (bases, missing) = family::line(text, file_name, find);
    let mut report = Report::parse(text, file_name);
    if !bases.is_empty() || missing.is_some() {
        family::join(&mut report, &bases, missing);
    }
    if report.failed() {
        return (None, report.finish());
    }
    shape::check(&mut report, &SCHEMA);
    let Some(table) = report.table() else { return (None, report.finish()) };
    let manifest = match document::typed::<AppManifest>(table) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            // The shape check says the same with more help; this is for what it cannot see.
            if !report.failed() {
                report.untyped(&error);
            }
            None
        }
    };
    if let Some(manifest) = &manifest {
        check(&mut report, manifest, Path::new(file_name).file_stem().and_then(|s| s.to_str()));
    }
    let failed = report.failed();
    (manifest.filter(|_| !failed), report.finish())
}

/// Everything beyond the shape.
fn check(report: &mut Report<'_>, m: &AppManifest, stem: Option<&str>) {
    if m.manifest != 1 {
        report.error(
            &["manifest"],
            "is a version of the manifest language that this version of Smalt does not know",
            "write 1, or upgrade Smalt",
        );
    }
    slug(report, &m.slug, stem);
    if m.extends.is_none() && !m.without.is_empty() {
        report.error(&["without"], "means nothing without `extends`", "remove it, or say what the manifest extends");
    }
    for (key, value) in [("name", &m.name), ("description", &m.description)] {
        if value.trim().is_empty() {
            report.error(&[key], "is empty", "write what people should read");
        }
    }
    for (name, url) in &m.links {
        if !matches!(name.as_str(), "docs" | "console" | "status") {
            report.warn(&["links", name], "is a link that nothing shows", "use `docs`, `console` or `status`");
        }
        https(report, &["links", name], url);
    }
    if m.oauth2.is_none() && m.oauth1.is_none() && m.keybased.is_none() && !m.is_abstract {
        report.whole("the application offers no way to authorise", "add `[oauth2]` or `[keybased]`");
    }
    brand(report, &["brand"], &m.brand, !m.is_abstract);
    auth::check(report, m);
    grants::check(report, m);
    xml::check(report, m);
    templates::check(report, m);
    facts(report, m);
}

fn is_slug(slug: &str) -> bool {
    slug.len() <= 64
        && slug.starts_with(|c: char| c.is_ascii_lowercase())
        && !slug.ends_with('-')
        && !slug.contains("--")
        && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn slug(report: &mut Report<'_>, slug: &str, stem: Option<&str>) {
    if !is_slug(slug) {
        report.error(
            &["slug"],
            "is not in the form of a slug",
            "use lower-case letters, digits and single `-`, beginning with a letter, at most 64",
        );
    } else if RESERVED.contains(&slug) {
        report.error(&["slug"], format!("`{slug}` is a reserved word"), "choose another slug, e.g. with the maker's name before it");
    }
    if let Some(stem) = stem.filter(|stem| *stem != slug) {
        report.error(&["slug"], format!("is not the file's name, which is `{stem}`"), "name the file `<slug>.toml`");
    }
}

/// An https URL without placeholders.
pub(crate) fn https(report: &mut Report<'_>, path: &[&str], url: &str) {
    if !Url::parse(url).is_ok_and(|u| u.scheme() == "https" && u.has_host()) {
        report.error(path, "is not an https URL", "write the whole URL, beginning with https://");
    }
}

/// A JSON pointer (RFC 6901).
fn pointer(report: &mut Report<'_>, path: &[&str], text: &str) {
    let mut tildes = text.split('~').skip(1);
    if !(text.is_empty() || text.starts_with('/')) || !tildes.all(|rest| rest.starts_with(['0', '1'])) {
        let cure = format!("write `/{}`; inner values as `/user/id`", text.trim_start_matches("$.").replace('.', "/").replace('~', "~0"));
        report.error(path, "is not a JSON pointer (RFC 6901)", cure);
    }
}

/// Where the facts come from: each URL, colour and unusual setting wants a source that was read.
fn facts(report: &mut Report<'_>, m: &AppManifest) {
    for (index, fact) in m.facts.iter().enumerate() {
        let index = index.to_string();
        let path = |key| ["facts", index.as_str(), key];
        if fact.about.is_empty() {
            report.error(&path("about"), "is empty", "list the keys that the source speaks of");
        }
        for key in &fact.about {
            if !shape::knows(&SCHEMA, key) {
                report.error(&path("about"), format!("`{key}` is not a key of a manifest"), "name keys such as `oauth2.token_url`");
            }
        }
        https(report, &path("source"), &fact.source);
        if !is_date(&fact.date) {
            report.error(&path("date"), "is not a date", "write the day you read the source, as `YYYY-MM-DD`");
        }
    }
    if SANDBOX_SLUGS.contains(&m.slug.as_str()) {
        return;
    }
    let covered = |key: &str| {
        let about = |known: &str| key == known || key.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'));
        m.facts.iter().flat_map(|f| &f.about).any(|known| about(known))
    };
    let oauth2 = m.oauth2.as_ref();
    let stated = [
        ("oauth2.authorize_url", oauth2.is_some_and(Oauth2::has_page)),
        ("oauth2.token_url", oauth2.is_some()),
        ("oauth2.refresh_url", oauth2.is_some_and(|o| o.refresh_url.is_some())),
        ("oauth2.issuer", oauth2.is_some_and(|o| o.issuer.is_some())),
        ("oauth2.revoke.url", oauth2.is_some_and(|o| o.revoke.is_some())),
        ("oauth2.identity.url", oauth2.is_some_and(|o| o.identity.as_ref().is_some_and(|i| i.url.is_some()))),
        ("oauth2.refresh.rotation", oauth2.is_some()),
        ("api.base_url", m.api.base_url.is_some()),
        ("oauth2.device.url", oauth2.is_some_and(|o| o.device.is_some())),
        ("oauth1.request_token_url", m.oauth1.is_some()),
        ("keybased.token.url", m.keybased.as_ref().is_some_and(|k| k.token.is_some())),
        ("keybased.verify.url", m.keybased.as_ref().is_some_and(|k| k.verify.is_some())),
        ("brand.color", m.brand.color.is_some()),
        ("brand.icon", m.brand.icon.is_some()),
    ];
    let mut wanting: Vec<Vec<String>> = stated
        .iter()
        .filter(|(key, present)| *present && !covered(key))
        .map(|(key, _)| key.split('.').map(str::to_owned).collect())
        .collect();
    // And so is whatever else is written there.
    let partly =
        |key: &str| m.facts.iter().flat_map(|f| &f.about).any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));
    for path in report.table().map(|root| written(root, partly)).unwrap_or_default() {
        if !covered(&path.join(".")) && !wanting.iter().any(|known| path.starts_with(known) || known.starts_with(&path)) {
            wanting.push(path);
        }
    }
    for path in wanting {
        let cure = format!("add a `[[facts]]` with `about = [\"{}\"]`, the provider's page and the day you read it", path.join("."));
        report.warn(&path.iter().map(String::as_str).collect::<Vec<_>>(), "has no source", cure);
    }
    if oauth2.is_some_and(|o| o.pkce == super::Pkce::Off) && !covered("oauth2.pkce") {
        report.warn(
            &["oauth2", "pkce"],
            "is off without a reason",
            "remove it, or add a `[[facts]]` about `oauth2.pkce` that shows why the provider refuses PKCE",
        );
    }
    if oauth2.is_some_and(|o| o.revoke.is_none()) && !covered("oauth2.revoke") {
        report.warn(
            &["oauth2"],
            "says nothing about revocation",
            "add `[oauth2.revoke]`, or a `[[facts]]` about `oauth2.revoke` that shows that the provider offers none",
        );
    }
}

/// What a manifest's text says of the provider: the keys of the parts that do, and of tables of which facts speak in `partly`.
fn written(root: &DeTable<'_>, partly: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for part in ["api", "oauth2", "oauth1", "keybased"] {
        for (key, value) in root.get(part).and_then(|part| part.get_ref().as_table()).into_iter().flatten() {
            let path = vec![part.to_owned(), key.get_ref().to_string()];
            match value.get_ref().as_table().filter(|_| partly(&path.join("."))) {
                Some(table) => found.extend(table.keys().map(|name| [path.as_slice(), &[name.get_ref().to_string()]].concat())),
                None => found.push(path),
            }
        }
    }
    found
}

/// Whether the text is a day that exists, as `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) || !text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return false;
    }
    let number = |t: &str| t.parse::<u32>().unwrap_or(0);
    let (year, month, day) = (number(year), number(month), number(day));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod grants_tests;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod tests;
