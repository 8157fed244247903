//! Templates: whether each `{placeholder}` is provided, and stands where it may.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::{Report, inputs::BUILT_IN};
use crate::{
    manifest::{AppManifest, Placement, Placements, SANDBOX_SLUGS, Success, document::did_you_mean, template},
    model::Json,
};

/// Stands for a value while a URL is tried.
const SAMPLE: &str = "sample";

pub(super) fn check(report: &mut Report<'_>, m: &AppManifest) {
    let mut lint = Templates { report, m, used: BTreeSet::new() };
    lint.api();
    lint.oauth2();
    lint.keybased();
    lint.grants();
    lint.unused();
}

/// Where kept values come from.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    Callback,
    Token,
    Steps,
}

pub(super) struct Templates<'r, 't, 'm> {
    report: &'r mut Report<'t>,
    pub(super) m: &'m AppManifest,
    used: BTreeSet<String>,
}

impl Templates<'_, '_, '_> {
    fn api(&mut self) {
        let m = self.m;
        let names = self.everywhere();
        if let Some(url) = &m.api.base_url {
            self.url(&["api", "base_url"], url, &names, false);
            if !url.ends_with('/') {
                let cure = "end it with `/`; paths are resolved against it as in a browser";
                self.report.warn(&["api", "base_url"], "does not end with `/`, so its last part is dropped", cure);
            }
        }
        self.headers(&["api", "headers"], &m.api.headers, &with(&names, &["access_token", "client_id"]));
        if let Some(placement) = &m.api.placement {
            let names = with(&self.connected_names(), &["access_token", "client_id"]);
            self.placements(&["api", "placement"], placement, &with(&names, &["client_secret"]));
            self.keyed_only(&["api", "placement"], placement);
        }
    }

    /// The organisation's secret leaves with calls of the API as the key of an HMAC at most.
    fn keyed_only(&mut self, at: &[&str], placements: &Placements) {
        // What signs is not sent.
        let signs = |key: &str| matches!(key, "consumer_secret" | "token_secret");
        let mut texts = placements.all().iter().flat_map(Placement::templates).filter(|(key, _)| !signs(key));
        if texts.any(|(_, text)| text.replace("hmac:client_secret", "").contains("client_secret")) {
            let cure = "name it as a key only, e.g. `{access_token|hmac:client_secret}`";
            self.report.error(at, "sends the organisation's client secret with every call", cure);
        }
    }

    fn oauth2(&mut self) {
        let Some(o) = &self.m.oauth2 else { return };
        let before = with(&self.oauth2_names(&[]), &["client_id", "redirect_uri", "scope"]);
        let after = with(&self.oauth2_names(&[Kept::Callback, Kept::Token, Kept::Steps]), &["client_id", "client_secret"]);
        let renewal = with(&after, &["redirect_uri", "refresh_token", "scope"]);
        let known = with(&self.oauth2_names(&[Kept::Callback]), &["client_id", "redirect_uri", "scope"]);
        let exchange = with(&known, &["client_secret", "code", "code_verifier"]);
        if o.has_page() {
            self.url(&["oauth2", "authorize_url"], &o.authorize_url, &before, false);
        } else if o.device.is_none() {
            let cure = "write the page where the user consents, or `device` where the provider has none";
            self.report.error(&["oauth2"], "has no `authorize_url` and no `device`, so nobody could connect", cure);
        }
        self.url(&["oauth2", "token_url"], &o.token_url, &exchange, false);
        if let Some(url) = &o.refresh_url {
            self.url(&["oauth2", "refresh_url"], url, &renewal, false);
        }
        if let Some(issuer) = &o.issuer {
            self.url(&["oauth2", "issuer"], issuer, &before, false);
            if issuer.contains(['?', '#']) {
                self.report.error(
                    &["oauth2", "issuer"],
                    "has a query or fragment",
                    "write the issuer as the provider states it (RFC 9207)",
                );
            }
        }
        self.texts(&["oauth2", "authorize_params"], &o.authorize_params, &before);
        self.texts(&["oauth2", "token_params"], &o.token_params, &exchange);
        self.texts(&["oauth2", "refresh_params"], &o.refresh_params, &renewal);
        // Sent with revocations and swaps too, but those bring values of their own.
        self.headers(&["oauth2", "token_headers"], &o.token_headers, &exchange);
        self.steps();
        if let Some(r) = &o.revoke {
            let names = with(&after, &["token", "token_type_hint"]);
            self.url(&["oauth2", "revoke", "url"], &r.url, &names, false);
            self.texts(&["oauth2", "revoke", "params"], &r.params, &names);
            self.headers(&["oauth2", "revoke", "headers"], &r.headers, &names);
        }
        if let Some(identity) = &o.identity {
            let names = self.oauth2_names(&[Kept::Callback, Kept::Token, Kept::Steps]);
            if let Some(url) = &identity.url {
                self.url(&["oauth2", "identity", "url"], url, &names, true);
            }
            if identity.id.contains('{') {
                self.text(&["oauth2", "identity", "id"], &identity.id, &names);
            }
            if let Some(label) = identity.label.as_ref().filter(|label| label.contains('{')) {
                self.text(&["oauth2", "identity", "label"], label, &names);
            }
        }
    }

    /// Each step knows what those before it kept.
    fn steps(&mut self) {
        let Some(o) = &self.m.oauth2 else { return };
        let built_in = ["access_token", "refresh_token", "client_id", "client_secret"];
        let mut names = with(&self.oauth2_names(&[Kept::Callback, Kept::Token]), &built_in);
        for (index, step) in o.steps.iter().enumerate() {
            let index = index.to_string();
            let path = |key: &'static str| ["oauth2", "steps", index.as_str(), key];
            self.url(&path("url"), &step.url, &names, true);
            self.headers(&path("headers"), &step.headers, &names);
            self.texts(&path("params"), &step.params, &names);
            if let Some(Success { equals: Json::String(text), .. }) = step.pick.as_ref().and_then(|pick| pick.filter.as_ref()) {
                self.text(&["oauth2", "steps", &index, "pick", "where", "equals"], text, &names);
            }
            names.extend(step.copy.keys().cloned());
        }
    }

    fn keybased(&mut self) {
        let Some(k) = &self.m.keybased else { return };
        let names = self.key_names();
        self.placements(&["keybased", "placement"], &k.placement, &names);
        if let Some(verify) = &k.verify {
            self.url(&["keybased", "verify", "url"], &verify.url, &names, true);
            for (index, url) in verify.alternatives.iter().enumerate() {
                self.url(&["keybased", "verify", "alternatives", &index.to_string()], url, &names, true);
            }
            self.headers(&["keybased", "verify", "headers"], &verify.headers, &names);
            self.texts(&["keybased", "verify", "params"], &verify.params, &names);
        }
    }

    /// Variables and inputs that no template names are probably a mistake.
    fn unused(&mut self) {
        let m = self.m;
        for name in m.variables.keys().filter(|n| !self.used.contains(*n)) {
            self.report.warn(&["variables", name], "is named by no template", format!("use `{{{name}}}` somewhere, or remove it"));
        }
        let consent = m.oauth2.iter().map(|o| ("oauth2", &o.inputs)).chain(m.oauth1.iter().map(|o| ("oauth1", &o.inputs)));
        let inputs = consent.chain(m.keybased.iter().map(|k| ("keybased", &k.inputs)));
        for (method, fields) in inputs {
            for (index, field) in fields.iter().enumerate().filter(|(_, f)| !self.used.contains(&f.name)) {
                let path = [method, "inputs", &index.to_string(), "name"];
                let cure = "use it in a template, or remove it, unless a connector reads it";
                self.report.warn(&path, format!("`{}` is named by no template", field.name), cure);
            }
        }
    }

    /// Names that are there whichever way was used to connect.
    fn everywhere(&self) -> BTreeSet<String> {
        let consent = match (&self.m.oauth2, &self.m.oauth1) {
            (Some(_), _) => Some(self.connected_names()),
            (None, Some(_)) => Some(self.oauth1_names(true)),
            (None, None) => None,
        };
        match (consent, &self.m.keybased) {
            (Some(consent), Some(_)) => consent.intersection(&self.connected_keys()).cloned().collect(),
            (Some(consent), None) => consent,
            (None, _) => self.connected_keys(),
        }
    }

    /// What is known of a connection that OAuth 2.0 made.
    fn connected_names(&self) -> BTreeSet<String> {
        self.oauth2_names(&[Kept::Callback, Kept::Token, Kept::Steps])
    }

    /// What is known of a connection that keys made.
    pub(super) fn connected_keys(&self) -> BTreeSet<String> {
        let mut names = self.key_names();
        names.extend(self.m.keybased.iter().filter_map(|k| k.verify.as_ref()).flat_map(|verify| verify.copy.keys()).cloned());
        names
    }

    pub(super) fn oauth2_names(&self, kept: &[Kept]) -> BTreeSet<String> {
        let mut names = self.common();
        if let Some(o) = &self.m.oauth2 {
            names.extend(o.inputs.iter().map(|i| i.name.clone()));
            for kept in kept {
                match kept {
                    Kept::Callback => names.extend(o.copy_from_callback.keys().cloned()),
                    Kept::Token => names.extend(o.copy_from_token.keys().cloned()),
                    Kept::Steps => names.extend(o.steps.iter().flat_map(|step| step.copy.keys()).cloned()),
                }
            }
        }
        names
    }

    pub(super) fn oauth1_names(&self, copied: bool) -> BTreeSet<String> {
        let mut names = self.common();
        if let Some(o) = &self.m.oauth1 {
            names.extend(o.inputs.iter().map(|i| i.name.clone()));
            if copied {
                names.extend(o.copy_from_token.keys().cloned());
            }
        }
        names
    }

    /// Names that are used without standing in a template.
    pub(super) fn use_names<const N: usize>(&mut self, names: [&str; N]) {
        self.used.extend(names.map(str::to_owned));
    }

    pub(super) fn key_names(&self) -> BTreeSet<String> {
        let mut names = self.common();
        names.extend(self.m.keybased.iter().flat_map(|k| &k.inputs).map(|i| i.name.clone()));
        if let Some(token) = self.m.keybased.iter().find_map(|k| k.token.as_ref()) {
            names.extend(token.copy_from_token.keys().cloned().chain(["access_token".to_owned()]));
        }
        names
    }

    pub(super) fn common(&self) -> BTreeSet<String> {
        let sandbox = SANDBOX_SLUGS.contains(&self.m.slug.as_str()).then(|| "sandbox_origin".to_owned());
        self.m.variables.keys().cloned().chain(sandbox).collect()
    }

    fn placements(&mut self, at: &[&str], placements: &Placements, names: &BTreeSet<String>) {
        match placements {
            Placements::One(placement) => self.placement(at, placement, names),
            Placements::Several(placements) => {
                if placements.is_empty() {
                    self.report.error(at, "is empty, so calls would carry no credential", "name a place, e.g. a header");
                }
                for (index, placement) in placements.iter().enumerate() {
                    let index = index.to_string();
                    let path: Vec<&str> = at.iter().copied().chain([index.as_str()]).collect();
                    self.placement(&path, placement, names);
                }
            }
        }
    }

    pub(super) fn placement(&mut self, at: &[&str], placement: &Placement, names: &BTreeSet<String>) {
        let path = |key: &'static str| at.iter().copied().chain([key]).collect::<Vec<&str>>();
        match placement {
            Placement::Header { name, .. } => self.header_name(&path("name"), name),
            Placement::Query { name, .. } | Placement::Body { name, .. } if name.is_empty() => {
                self.report.error(&path("name"), "is empty", "write the parameter's name");
            }
            Placement::Xml { path: element, .. } => {
                let named = element.strip_prefix('/').is_some_and(|names| names.split('/').all(crate::xml::is_name));
                if !named {
                    let cure = "write the names that lead to it, e.g. `/request/session`";
                    self.report.error(&path("path"), "is no way to an element", cure);
                }
            }
            Placement::Query { .. } | Placement::Body { .. } | Placement::Basic { .. } | Placement::Oauth1 { .. } => {}
        }
        let texts = placement.templates();
        for (key, text) in &texts {
            self.text(&path(key), text, names);
        }
        if !texts.iter().any(|(_, text)| text.contains('{')) {
            self.report.error(at, "names no value, so every request would carry the same", "name an input, e.g. `{key}`");
        }
    }

    pub(super) fn headers(&mut self, at: &[&str], headers: &BTreeMap<String, String>, names: &BTreeSet<String>) {
        let mut seen = BTreeSet::new();
        for (name, value) in headers {
            let path: Vec<&str> = at.iter().copied().chain([name.as_str()]).collect();
            self.header_name(&path, name);
            if !seen.insert(name.to_ascii_lowercase()) {
                self.report.error(&path, "stands twice, in other letters", "remove one");
            }
            self.text(&path, value, names);
        }
    }

    fn header_name(&mut self, path: &[&str], name: &str) {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            self.report.error(path, "is not a header's name", "use letters, digits and `-`");
        } else if ["host", "content-length", "transfer-encoding", "connection", "cookie"].contains(&name.to_ascii_lowercase().as_str()) {
            self.report.error(path, "is a header that no manifest may set", "remove it");
        }
    }

    pub(super) fn texts(&mut self, at: &[&str], texts: &BTreeMap<String, String>, names: &BTreeSet<String>) {
        for (name, value) in texts {
            let path: Vec<&str> = at.iter().copied().chain([name.as_str()]).collect();
            self.text(&path, value, names);
        }
    }

    /// A text with placeholders; answers those it names.
    pub(super) fn text(&mut self, path: &[&str], text: &str, names: &BTreeSet<String>) -> Option<Vec<String>> {
        if text.chars().any(char::is_control) {
            self.report.error(path, "holds a control character", "remove it");
        }
        let found = match placeholders(text) {
            Ok(found) => found,
            Err((why, cure)) => {
                self.report.error(path, why, cure);
                return None;
            }
        };
        for name in &found {
            self.used.insert(name.clone());
            if names.contains(name) {
                continue;
            }
            let cure = if name == "sandbox_origin" {
                "only the sandbox's own manifests may use it; write the URL".to_owned()
            } else if BUILT_IN.contains(&name.as_str()) {
                "that value is not known at this point; use it elsewhere".to_owned()
            } else if let Some(near) = did_you_mean(name, names.iter().map(String::as_str)) {
                format!("did you mean `{{{near}}}`?")
            } else {
                format!("add an input, a copied value, or `[variables.{name}]`; here are known: {}", list(names))
            };
            self.report.error(path, format!("`{{{name}}}` is provided by nothing"), cure);
        }
        Some(found)
    }

    pub(super) fn url(&mut self, path: &[&str], text: &str, names: &BTreeSet<String>, relative: bool) {
        let Some(found) = self.text(path, text, names) else { return };
        for name in &found {
            let secret = |fields: &[crate::model::InputField]| fields.iter().any(|f| f.name == *name && f.secret);
            if name == "client_secret"
                || self.m.oauth2.iter().any(|o| secret(&o.inputs))
                || self.m.keybased.iter().any(|k| secret(&k.inputs))
            {
                self.report.warn(
                    path,
                    format!("carries the secret `{{{name}}}`, and URLs end up in logs"),
                    "use a header, if the provider takes one",
                );
            }
        }
        // The sandbox's origin is a whole origin, and http on loopback is its purpose.
        let sandboxed = text.strip_prefix("{sandbox_origin}").map(|rest| format!("https://sandbox.example.org{rest}"));
        let text = sandboxed.as_deref().unwrap_or(text);
        let Some((scheme, rest)) = text.split_once("://") else {
            if !relative {
                self.report.error(path, "is not an absolute URL", "write the whole URL, beginning with https://");
            } else if self.m.api.base_url.is_none() {
                self.report.error(path, "is relative, but there is no `api.base_url`", "write the whole URL, or add `api.base_url`");
            } else if text.starts_with('/') {
                let cure = "leave the first `/` out to stay below `api.base_url`";
                self.report.warn(path, "begins at the host's root, not at `api.base_url`", cure);
            }
            return;
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        self.host(path, host);
        if !self.report.names(path)
            && let Err(why) = template::lint_url(text, |_| true)
        {
            self.report.error(path, why, "see what URLs may hold under Templates in docs/adding-an-application.md");
        }
        for name in template::host_deciders(text) {
            if let Some((message, cure)) = self.m.host_trouble(&name) {
                self.report.error(path, message, cure);
            }
        }
        let tried = filled(text);
        match Url::parse(&tried) {
            Err(_) => self.report.error(path, "is not a URL", "write the whole URL, beginning with https://"),
            Ok(url) => match scheme {
                "https" => {}
                "http" if near(&url) => {
                    self.report.warn(path, "is plain http", "use https, or list the host under `network.allow` in the project file");
                }
                "http" => self.report.error(path, "is plain http, so that everyone on the way reads the tokens", "use https"),
                _ => self.report.error(path, "is neither https nor http", "use https"),
            },
        }
        if text.contains('#') {
            self.report.error(path, "has a fragment, which no server sees", "remove it");
        }
    }

    /// A placeholder in a host is one whole label, and never decides who owns the host.
    fn host(&mut self, path: &[&str], host: &str) {
        if host.contains('@') {
            self.report.error(path, "has a user name before the host", "remove it; credentials have their own place");
            return;
        }
        let colon = host.rfind(':').filter(|at| !host[*at..].ends_with('}') || host[*at..].starts_with(":{"));
        let (name, port) = colon.map_or((host, ""), |at| host.split_at(at));
        if port.contains('{') {
            self.report.error(path, "has a placeholder in the port", "write the port");
        }
        let labels: Vec<&str> = name.split('.').collect();
        let whole = |label: &str| label.strip_prefix('{').and_then(|l| l.strip_suffix('}')).map(str::to_owned);
        for label in labels.iter().filter(|l| l.contains(['{', '}']) && whole(l).is_none_or(|n| n.contains(['{', '}']))) {
            let cure = "let the placeholder be the whole part between two dots, and give it a `pattern`";
            self.report.error(path, format!("has a placeholder inside the host's part `{label}`"), cure);
        }
    }
}

/// A URL whose placeholders are filled in somehow.
fn filled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push_str(SAMPLE);
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// Hosts on one's own machine or network, by name or address.
fn near(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => {
            !name.contains('.') || [".local", ".internal", ".test", ".localhost"].iter().any(|s| name.ends_with(s))
        }
        Some(_) => true,
        None => false,
    }
}

/// The names of a template's placeholders, in order, each once. `{{` and `}}` stand for the braces themselves.
fn placeholders(text: &str) -> Result<Vec<String>, (String, &'static str)> {
    const FORM: &str = "write placeholders as `{name}`, in lower-case letters, digits and `_`";
    let names = template::placeholders(text).map_err(|why| {
        let cure = if why.contains("function") || why.contains("hmac") {
            "see the functions of templates in docs/adding-an-application.md"
        } else {
            FORM
        };
        (why, cure)
    })?;
    match names.iter().find(|name| !super::inputs::is_name(name)) {
        Some(name) => Err((format!("`{{{}}}` is not a placeholder", name.chars().take(40).collect::<String>()), FORM)),
        None => Ok(names),
    }
}

pub(super) fn with(names: &BTreeSet<String>, more: &[&str]) -> BTreeSet<String> {
    names.iter().cloned().chain(more.iter().map(|n| (*n).to_owned())).collect()
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().map(|n| format!("`{{{n}}}`")).collect::<Vec<_>>().join(", ") }
}
