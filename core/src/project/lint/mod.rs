//! What is wrong with a project, and what to do about it.

mod apps;
mod fields;

use std::{collections::BTreeSet, net::SocketAddr, path::Path, sync::LazyLock};

use toml::de::{DeTable, DeValue};
use url::{Host, Url};

use super::{
    AddressRange, Project, ServerSettings,
    urls::{is_origin, plain, private_use, redirect_form},
};
use crate::{
    manifest::{
        Catalog, Finding,
        document::{self, Report},
        file_finding, read_text,
        schema::{checked_in, with_id},
        shape,
    },
    model::{Environment, Json},
};

static SCHEMA: LazyLock<Json> = LazyLock::new(schema);

/// The JSON Schema of a project file, version 1, for editors: put `#:schema <url>` on the file's first line.
pub fn schema() -> Json {
    checked_in(include_str!(concat!(env!("OUT_DIR"), "/project-1.json")), made)
}

fn made() -> Json {
    let mut schema = with_id(schemars::schema_for!(Project).to_value(), "project-1.json", "Smalt project file, version 1");
    if let Some(client) = schema.pointer_mut("/$defs/AppSettings/properties/client").and_then(Json::as_object_mut) {
        // The generator does not look at what a map's keys may be.
        let names: Vec<&str> = Environment::ALL.iter().map(|e| e.as_str()).collect();
        client.insert("propertyNames".to_owned(), serde_json::json!({ "enum": names }));
    }
    schema
}

/// Everything that is wrong with a project's text, together with the applications that are known.
pub fn lint(text: &str, file_name: &str, catalog: &Catalog) -> Vec<Finding> {
    check_text(text, file_name, Some(catalog)).1
}

/// Everything that is wrong with a project file; a file that cannot be read is a finding too.
pub fn lint_file(path: impl AsRef<Path>, catalog: &Catalog) -> Vec<Finding> {
    let path = path.as_ref();
    match read_text(path) {
        Ok(text) => lint(&text, &path.display().to_string(), catalog),
        Err(message) => vec![file_finding(path, "", &message, "name a project file that can be read; `smalt init` writes one")],
    }
}

/// Everything that is wrong with a project that was made as a value.
pub(super) fn lint_value(project: &Project) -> Vec<Finding> {
    let mut report = Report::of_value("project");
    check(&mut report, project, None);
    report.finish()
}

/// The project, unless it has an error; and the findings.
pub(super) fn read(text: &str, file_name: &str) -> (Option<Project>, Vec<Finding>) {
    check_text(text, file_name, None)
}

fn check_text(text: &str, file_name: &str, catalog: Option<&Catalog>) -> (Option<Project>, Vec<Finding>) {
    let mut report = Report::parse(text, file_name);
    if report.failed() {
        return (None, report.finish());
    }
    // First, so that a secret in clear gets its own words and no other finding repeats them.
    for path in report.table().map(clear_secrets).unwrap_or_default() {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let cure = "take it out, replace it at the provider if the file was shared, and write `secret = { env = \"NAME\" }` or `{ file = \"path\" }`";
        report.error(&path, "stands in the file in clear", cure);
    }
    shape::check(&mut report, &SCHEMA);
    let Some(table) = report.table() else { return (None, report.finish()) };
    let project = match document::typed::<Project>(table) {
        Ok(project) => Some(project),
        Err(error) => {
            // The shape check says the same with more help; this is for what it cannot see.
            if !report.failed() {
                report.untyped(&error);
            }
            None
        }
    };
    if let Some(project) = &project {
        check(&mut report, project, catalog);
    }
    let failed = report.failed();
    (project.filter(|_| !failed), report.finish())
}

/// The keys of client secrets that are texts.
fn clear_secrets(root: &DeTable<'_>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let apps = root.get("apps").and_then(|a| a.get_ref().as_table());
    for (slug, app) in apps.into_iter().flatten() {
        let token = app.get_ref().as_table().and_then(|a| a.get("registration_token"));
        if token.is_some_and(|token| matches!(token.get_ref(), DeValue::String(_))) {
            found.push(["apps", slug.get_ref(), "registration_token"].map(str::to_owned).to_vec());
        }
        let clients = app.get_ref().as_table().and_then(|a| a.get("client")).and_then(|c| c.get_ref().as_table());
        for (environment, client) in clients.into_iter().flatten() {
            let client = client.get_ref().as_table();
            for key in ["secret", "client_secret", "certificate", "certificate_key"] {
                if client.and_then(|c| c.get(key)).is_some_and(|s| matches!(s.get_ref(), DeValue::String(_))) {
                    found.push(["apps", slug.get_ref(), "client", environment.get_ref(), key].map(str::to_owned).to_vec());
                }
            }
        }
    }
    found
}

/// Everything beyond the shape.
fn check(report: &mut Report<'_>, p: &Project, catalog: Option<&Catalog>) {
    if p.version != 1 {
        report.error(
            &["version"],
            "is a version of the project file that this version of Smalt does not know",
            "write 1, or upgrade Smalt",
        );
    }
    org(report, p);
    if p.sessions.lifetime < 60 {
        report.error(&["sessions", "lifetime"], "is shorter than a minute", "seconds are meant; 86400 is the default");
    } else if p.sessions.lifetime > 30 * 86_400 {
        let cure = "make it shorter; `account.session()` makes new tokens at any time";
        report.warn(&["sessions", "lifetime"], "lets tokens live in browsers for more than a month", cure);
    }
    if !(1..=256).contains(&p.refresh.at_once) {
        report.error(&["refresh", "at_once"], "is not between 1 and 256", "8 is the default; `ahead = false` switches it off");
    }
    if p.refresh.window > 86_400 {
        report.warn(&["refresh", "window"], "spreads renewals over more than a day", "seconds are meant; 600 is the default");
    }
    for (index, host) in p.network.allow.iter().enumerate() {
        if !is_host(host) {
            let cure = "write `host` or `host:port`, without a scheme, path or `*`";
            report.error(&["network", "allow", &index.to_string()], "is not a host", cure);
        }
    }
    if let Some(receiver) = &p.workflow_runner
        && !Url::parse(&receiver.url).is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
    {
        report.error(&["workflow_runner", "url"], "is not a URL", "write e.g. `https://app.example.com/run`");
    }
    let sandbox = &p.sandbox;
    if let Some(url) = &sandbox.url {
        let loopback = Url::parse(url).is_ok_and(|u| is_loopback(&u));
        if !is_origin(url) || !loopback {
            report.error(
                &["sandbox", "url"],
                "is not an origin on this machine",
                "write what `smalt sandbox` printed, e.g. `http://127.0.0.1:4600`",
            );
        }
    }
    if let Some(listen) = &sandbox.listen
        && !listen.parse::<SocketAddr>().is_ok_and(|a| a.ip().is_loopback())
    {
        report.error(&["sandbox", "listen"], "is not an address on this machine", "write e.g. `127.0.0.1:4600`; port 0 takes a free one");
    }
    server(report, &p.server);
    apps::check(report, p, catalog);
}

fn server(report: &mut Report<'_>, server: &ServerSettings) {
    for (name, seconds) in server.times() {
        if !(seconds.is_finite() && (0.0..=86_400.0).contains(&seconds)) {
            report.error(&["server", name], "is not a number of seconds between 0 and a day", "0 switches the limit off");
        }
    }
    for (index, proxy) in server.trusted_proxies.iter().enumerate() {
        match AddressRange::parse(proxy) {
            None => {
                let cure = "write an address or a range, e.g. `127.0.0.1` or `10.0.0.0/8`; names are not looked up";
                report.error(&["server", "trusted_proxies", &index.to_string()], "is not an address", cure);
            }
            Some(range) if range.is_everything() => {
                let cure = "list your proxies only: any client could otherwise choose the address that its limits count for";
                report.error(&["server", "trusted_proxies", &index.to_string()], "trusts every address", cure);
            }
            Some(_) => {}
        }
    }
}

fn org(report: &mut Report<'_>, p: &Project) {
    let org = &p.org;
    if org.id.is_empty() || org.id.len() > 64 || !org.id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        report.error(&["org", "id"], "is not an id", "use letters, digits, `-`, `_` and `.`, at most 64; it can't be changed later");
    }
    if let Some(text) = &org.public_url {
        let path = ["org", "public_url"];
        match Url::parse(text).ok().filter(|u| plain(text) && matches!(u.scheme(), "http" | "https")) {
            None => report.error(
                &path,
                "is not an absolute http(s) URL",
                "write e.g. `https://app.example.com`, with a path if your backend is below one",
            ),
            Some(url) if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() => {
                report.error(&path, "has a query, fragment or user name", "write only scheme, host, port and path");
            }
            Some(url) if url.scheme() == "http" && !is_loopback(&url) => {
                report.warn(&path, "is plain http, so that codes can be read on the way, and most providers refuse it", "use https");
            }
            Some(_) => {}
        }
    }
    let mut seen = BTreeSet::new();
    for (index, text) in org.return_to.iter().enumerate() {
        let index = index.to_string();
        let path = ["org", "return_to", index.as_str()];
        let cure = "write an origin such as `https://app.example.com`, a full URL, or `com.example.app:/path`; `*` does not exist";
        let is_web = |u: &Url| matches!(u.scheme(), "http" | "https") && u.has_host();
        match Url::parse(text).ok().filter(|u| plain(text) && (is_web(u) || private_use(u.scheme()))) {
            None => report.error(&path, "is not an absolute http(s) URL, and has no scheme in reverse-DNS form", cure),
            // Compared as text, so it must be written as it is sent.
            Some(url) if !is_origin(text) && url.as_str() != text.as_str() => {
                report.error(&path, "is not written in the usual form", format!("write `{}`", url.as_str().trim_end_matches('/')));
            }
            Some(url) if !url.username().is_empty() || url.password().is_some() || text.contains('*') => {
                report.error(&path, "has a user name or `*`", cure)
            }
            Some(url) if url.scheme() == "http" && !is_loopback(&url) => report.warn(&path, "is plain http", "use https"),
            Some(_) => {}
        }
        if !seen.insert(text) {
            report.warn(&path, "stands twice", "remove one");
        }
    }
    for (list, origins) in [(["org", "origins"], &org.origins), (["portal", "embed"], &p.portal.embed)] {
        for (index, origin) in origins.iter().enumerate() {
            // To the parser a host may have a `*`, and to a policy's list of frames it would mean any.
            let is_written = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if !plain(origin) || !is_origin(origin) || !is_written || origin.contains('*') {
                let cure =
                    "write scheme, host and port as a browser sends them, e.g. `https://app.example.com`; `*` and `null` do not exist";
                report.error(&[list[0], list[1], &index.to_string()], "is not an origin", cure);
            }
        }
    }
    for (index, uri) in org.redirect_uris.iter().enumerate() {
        if let Err(why) = redirect_form(uri) {
            report.error(
                &["org", "redirect_uris", &index.to_string()],
                why,
                "write an https URL, `http://127.0.0.1/path`, or `com.example.app:/path`",
            );
        }
    }
}

/// Whether the URL leads to this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// `host` or `host:port`.
fn is_host(text: &str) -> bool {
    let url = Url::parse(&format!("http://{text}/"));
    plain(text)
        && !text.contains(['/', '?', '#', '@', '*'])
        && url.is_ok_and(|u| {
            let port = u.port().map(|p| format!(":{p}")).unwrap_or_default();
            // Port 80 is the scheme's own, so the parser leaves it out.
            u.host_str().is_some_and(|h| text.eq_ignore_ascii_case(&format!("{h}{port}")) || text.eq_ignore_ascii_case(&format!("{h}:80")))
        })
}

#[cfg(test)]
mod tests;
