//! The ways to authorise: what OAuth 2.0 and keys need beyond their shape.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, inputs, inputs::BUILT_IN, pointer};
use crate::{
    manifest::{
        AppManifest, ClientAuth, Copied, Keybased, Oauth2, PageStyle, Pagination, Pkce, RevokeToken, Rotation, StateIn, TokenAnswer,
        TokenBody, VerifyRequest, pattern::Pattern,
    },
    model::InputField,
};

/// Parameters that the authorize URL gets from Smalt itself, and whether a manifest may leave them out.
const AUTHORIZE: [(&str, bool); 7] = [
    ("client_id", true),
    ("redirect_uri", true),
    ("response_type", true),
    ("scope", true),
    ("state", false),
    ("code_challenge", false),
    ("code_challenge_method", false),
];
/// Parameters that token requests get from Smalt itself, and whether a manifest may leave them out.
const TOKEN: [(&str, bool); 6] = [
    ("code", true),
    ("redirect_uri", true),
    ("client_id", true),
    ("client_secret", true),
    ("code_verifier", false),
    ("refresh_token", true),
];
/// Likewise for refresh requests.
const REFRESH: [(&str, bool); 3] = [("client_id", true), ("client_secret", true), ("refresh_token", true)];
const PATTERN: &str = "see the pattern language in docs/adding-an-application.md";
/// More steps than these would keep the user waiting.
const MOST_STEPS: usize = 5;

pub(super) fn check(report: &mut Report<'_>, m: &AppManifest) {
    statuses(report, &["api", "rate_limit", "statuses"], &m.api.rate_limit.statuses);
    if let Some(at) = &m.api.rate_limit.error {
        pointer(report, &["api", "rate_limit", "error"], at);
        if m.api.rate_limit.errors.is_empty() {
            report.error(&["api", "rate_limit", "error"], "names a place and no codes", "list the codes under `errors`");
        }
    }
    if let Some(pages) = &m.api.pagination {
        pagination(report, pages);
    }
    for (name, variable) in &m.variables {
        if let Some(text) = &variable.pattern {
            match Pattern::new(text) {
                Ok(pattern) if variable.default.as_ref().is_some_and(|d| !pattern.matches(d)) => {
                    report.error(&["variables", name, "default"], "does not match the pattern", "correct one of them");
                }
                Ok(_) => {}
                Err(_) => report.error(&["variables", name, "pattern"], "cannot be read", PATTERN),
            }
        }
    }
    if let Some(oauth2) = &m.oauth2 {
        let nobody = m.facts.iter().flat_map(|fact| &fact.about).any(|key| key == "oauth2.identity");
        self::oauth2(report, oauth2, nobody);
    }
    if let Some(keybased) = &m.keybased {
        self::keybased(report, keybased);
    }
    names(report, m);
}

fn pagination(report: &mut Report<'_>, pages: &Pagination) {
    let path = |key| ["api", "pagination", key];
    for (key, at) in [("items", &pages.items), ("next", &pages.next), ("more", &pages.more)] {
        if let Some(at) = at {
            pointer(report, &path(key), at);
        }
    }
    if pages.style == PageStyle::Cursor && pages.next.is_none() {
        report.error(&path("next"), "is missing", "name the JSON pointer of the next page's cursor");
    }
    let numbered = matches!(pages.style, PageStyle::Offset | PageStyle::Page);
    if numbered && pages.next.is_some() {
        report.error(&path("next"), "means nothing with this style", "leave it out");
    }
    if !numbered && pages.start.is_some() {
        report.error(&path("start"), "means nothing with this style", "leave it out");
    }
    if pages.size_param.is_some() != pages.size.is_some() {
        report.error(&path("size"), "belongs to `size_param`", "give both or none");
    }
    if pages.size == Some(0) {
        report.error(&path("size"), "is nothing", "a page has at least one item");
    }
}

/// One name, one meaning: inputs, variables and copied values share the templates' namespace.
fn names(report: &mut Report<'_>, m: &AppManifest) {
    let taken = |report: &mut Report<'_>, path: &[&str], name: &str| {
        if BUILT_IN.contains(&name) {
            // Natural names for inputs, which mean something else with OAuth 2.0 only.
            let is_key = path.first() == Some(&"keybased");
            if !(is_key && (["token", "code", "scope"].contains(&name) || super::grants::is_client_input(m, name))) {
                report.error(path, format!("`{name}` means something else in templates"), "choose another name");
            }
        } else if m.variables.contains_key(name) {
            report.error(path, format!("`{name}` is a variable already"), "choose another name");
        }
    };
    for name in m.variables.keys() {
        if !inputs::is_name(name) {
            report.error(&["variables", name], "is not a name", "use lower-case letters, digits and `_`, beginning with a letter");
        } else if BUILT_IN.contains(&name.as_str()) {
            report.error(&["variables", name], "means something else in templates", "choose another name");
        }
    }
    let each = |report: &mut Report<'_>, method: &str, fields: &[InputField]| {
        for (index, field) in fields.iter().enumerate() {
            taken(report, &[method, "inputs", &index.to_string(), "name"], &field.name);
        }
    };
    if let Some(keybased) = &m.keybased {
        each(report, "keybased", &keybased.inputs);
    }
    if let Some(oauth1) = &m.oauth1 {
        each(report, "oauth1", &oauth1.inputs);
    }
    let Some(oauth2) = &m.oauth2 else { return };
    each(report, "oauth2", &oauth2.inputs);
    let mut copied: BTreeSet<&String> = BTreeSet::new();
    let steps =
        oauth2.steps.iter().enumerate().map(|(index, step)| (vec!["steps".to_owned(), index.to_string(), "copy".to_owned()], &step.copy));
    let answers = [("copy_from_token", &oauth2.copy_from_token), ("copy_from_callback", &oauth2.copy_from_callback)];
    let all = answers.into_iter().map(|(key, names)| (vec![key.to_owned()], names)).chain(steps);
    for (at, names) in all {
        for name in names.keys() {
            let path: Vec<&str> = std::iter::once("oauth2").chain(at.iter().map(String::as_str)).chain([name.as_str()]).collect();
            if !inputs::is_name(name) {
                report.error(&path, "is not a name", "use lower-case letters, digits and `_`, beginning with a letter");
            }
            if oauth2.inputs.iter().any(|i| i.name == *name) {
                report.error(&path, "is the name of an input too", "choose another name");
            }
            if !copied.insert(name) {
                report.error(&path, "is copied from elsewhere too", "choose another name");
            }
            taken(report, &path, name);
        }
    }
}

/// `nobody`: a fact shows that the provider does not tell who the user is.
fn oauth2(report: &mut Report<'_>, o: &Oauth2, nobody: bool) {
    inputs(report, &["oauth2", "inputs"], &o.inputs);
    if o.pkce == Pkce::Off && o.client_auth == ClientAuth::None {
        report.error(
            &["oauth2", "pkce"],
            "is off for a public client, so that nothing protects the code",
            "remove `pkce = \"off\"` (RFC 9700 section 2.1.1)",
        );
    }
    if o.pkce == Pkce::Plain {
        let cure = "remove it if the provider knows S256 (RFC 7636 section 4.2)";
        report.warn(&["oauth2", "pkce"], "shows the verifier in the authorize URL", cure);
    }
    reserved(report, "authorize_params", &o.authorize_params, &AUTHORIZE);
    reserved(report, "token_params", &o.token_params, &TOKEN);
    reserved(report, "refresh_params", &o.refresh_params, &REFRESH);
    method(report, &["oauth2", "token_method"], o.token_method.as_deref(), &["POST", "GET"]);
    if o.token_method.as_deref() == Some("GET") && o.token_body == TokenBody::Json {
        report.error(&["oauth2", "token_body"], "means nothing, since a GET has no body", "remove it, or `token_method`");
    }
    if o.client_auth == ClientAuth::Basic
        && ["client_id", "client_secret"].iter().any(|name| o.token_params.get(*name).is_some_and(String::is_empty))
    {
        let cure = "set `client_auth = \"body\"` or `\"none\"`, or remove the empty parameter";
        report.warn(&["oauth2", "token_params"], "leaves out what `client_auth = \"basic\"` does not send", cure);
    }
    callback(report, o);
    steps(report, o);

    let scopes = &o.scopes;
    for (key, list) in [("default", &scopes.default), ("required", &scopes.required)] {
        if list.iter().any(|s| s.is_empty() || s.chars().any(char::is_whitespace)) {
            report.error(&["oauth2", "scopes", key], "has an empty scope, or one with a space", "write each scope as a text of its own");
        }
        if list.iter().collect::<BTreeSet<_>>().len() < list.len() {
            report.warn(&["oauth2", "scopes", key], "has a scope twice", "remove one");
        }
    }
    for scope in scopes.reasons.keys() {
        let known = [&scopes.default, &scopes.required, &scopes.suggested].iter().any(|list| list.contains(scope));
        if !known {
            let cure = "add it to `default`, `required` or `suggested`, or correct it";
            report.warn(&["oauth2", "scopes", "reasons", scope], "explains a scope that is named nowhere", cure);
        }
    }
    if let Some(scope) = scopes.suggested.iter().find(|scope| scopes.default.contains(scope) || scopes.required.contains(scope)) {
        report.warn(&["oauth2", "scopes", "suggested"], format!("names `{scope}`, which is asked for anyway"), "remove it");
    }
    let missing: Vec<&str> = scopes.required.iter().filter(|s| !scopes.default.contains(s)).map(String::as_str).collect();
    if !missing.is_empty() {
        let message = format!("has scopes that `default` lacks: {}", missing.join(", "));
        report.warn(&["oauth2", "scopes", "required"], message, "add them to `default`, which is what developers read");
    }
    if scopes.separator.as_deref() == Some("") {
        report.error(&["oauth2", "scopes", "separator"], "is empty", "remove it for one space, or write the provider's separator");
    }

    answer(report, &["oauth2", "answer"], &o.answer);
    for (name, copied) in &o.copy_from_token {
        self::copied(report, &["oauth2", "copy_from_token", name], copied, true);
    }
    for (name, copied) in &o.copy_from_callback {
        self::copied(report, &["oauth2", "copy_from_callback", name], copied, false);
    }
    refresh(report, o);
    revoke(report, o);
    match &o.identity {
        None if nobody => {}
        None => report.warn(
            &["oauth2"],
            "says not who the user is at the provider, so connections that share a grant cannot be told",
            "add `[oauth2.identity]`, or a `[[facts]]` about `oauth2.identity` that shows that the provider does not tell",
        ),
        Some(identity) => {
            if !identity.id.contains('{') {
                pointer(report, &["oauth2", "identity", "id"], &identity.id);
            }
            if let Some(label) = identity.label.as_ref().filter(|label| !label.contains('{')) {
                pointer(report, &["oauth2", "identity", "label"], label);
            }
            method(report, &["oauth2", "identity", "method"], identity.method.as_deref(), &["GET", "POST"]);
        }
    }
}

/// Where the values stand in a token answer.
pub(super) fn answer(report: &mut Report<'_>, at: &[&str], a: &TokenAnswer) {
    let path = |key: &'static str| at.iter().copied().chain([key]).collect::<Vec<&str>>();
    let places = [
        ("access_token", &a.access_token),
        ("refresh_token", &a.refresh_token),
        ("expires_in", &a.expires_in),
        ("scope", &a.scope),
        ("token_type", &a.token_type),
        ("error", &a.error),
        ("error_description", &a.error_description),
    ];
    for (key, place) in places {
        if let Some(place) = place {
            pointer(report, &path(key), place);
        }
    }
    if let Some(success) = &a.success {
        let path: Vec<&str> = at.iter().copied().chain(["success", "pointer"]).collect();
        pointer(report, &path, &success.pointer);
    }
    if a.default_expires_in == Some(0) {
        report.error(&path("default_expires_in"), "is no lifetime", "write seconds, or remove it");
    }
}

/// A value that is kept: its place, and what it must look like.
pub(super) fn copied(report: &mut Report<'_>, at: &[&str], copied: &Copied, from_answer: bool) {
    let path = |key: &'static str| at.iter().copied().chain([key]).collect::<Vec<&str>>();
    let place = if matches!(copied, Copied::Place(_)) { at.to_vec() } else { path("from") };
    if from_answer {
        pointer(report, &place, copied.place());
    } else if copied.place().is_empty() {
        report.error(&place, "is empty", "write the parameter's name in the callback");
    } else if copied.place().starts_with('/') {
        report.error(&place, "is a place in an answer, but the callback has parameters", "write the parameter's name");
    }
    if let Some(Err(why)) = copied.pattern().map(Pattern::new) {
        let why = why.lines().last().unwrap_or_default().to_owned();
        report.error(&path("pattern"), format!("cannot be read: {why}"), PATTERN);
    }
}

fn callback(report: &mut Report<'_>, o: &Oauth2) {
    let c = &o.callback;
    for (key, name) in [("code", &c.code), ("error", &c.error), ("hmac", &c.hmac)] {
        match name.as_deref() {
            Some("") => report.error(&["oauth2", "callback", key], "is empty", "write the parameter's name, or remove it"),
            Some(name) if name == "state" || name == "iss" => {
                report.error(
                    &["oauth2", "callback", key],
                    format!("cannot be `{name}`, which means something else"),
                    "write the parameter's name",
                );
            }
            Some(name) if name == key && key != "hmac" => report.warn(&["oauth2", "callback", key], "is what it is anyway", "remove it"),
            _ => {}
        }
    }
    if c.state != StateIn::Param && o.authorize_params.get("redirect_uri").is_some_and(String::is_empty) {
        let cure = "remove `redirect_uri = \"\"` from `authorize_params`";
        report.error(&["oauth2", "callback", "state"], "travels in the redirect URI, which is not sent", cure);
    }
    if c.hmac.is_some() && o.client_auth == ClientAuth::None {
        let cure = "remove it, or set `client_auth` to how the client proves itself";
        report.error(&["oauth2", "callback", "hmac"], "needs the client's secret, and a public client has none", cure);
    }
}

fn steps(report: &mut Report<'_>, o: &Oauth2) {
    if o.steps.len() > MOST_STEPS {
        let cure = format!("keep to {MOST_STEPS}, or write a connector");
        report.error(&["oauth2", "steps"], "makes the user wait for many requests", cure);
    }
    for (index, step) in o.steps.iter().enumerate() {
        let index = index.to_string();
        let path = |key: &'static str| ["oauth2", "steps", index.as_str(), key];
        method(report, &path("method"), step.method.as_deref(), &["GET", "POST"]);
        if step.copy.is_empty() && !step.token {
            report.error(
                &path("copy"),
                "is empty, so the step is for nothing",
                "name what to keep, set `token = true`, or remove the step",
            );
        }
        if step.token && step.pick.is_some() {
            report.error(&path("pick"), "means nothing in a token answer", "remove it; `copy` starts at the whole answer");
        }
        if step.body != TokenBody::Form && step.params.is_empty() {
            report.warn(&path("body"), "is the form of nothing, since there are no `params`", "remove it");
        }
        for (name, copied) in &step.copy {
            self::copied(report, &["oauth2", "steps", &index, "copy", name], copied, true);
        }
        if let Some(pick) = &step.pick {
            pointer(report, &["oauth2", "steps", &index, "pick", "list"], &pick.list);
            if let Some(filter) = &pick.filter {
                pointer(report, &["oauth2", "steps", &index, "pick", "where", "pointer"], &filter.pointer);
            }
        }
    }
}

fn refresh(report: &mut Report<'_>, o: &Oauth2) {
    let never = o.refresh.rotation == Rotation::Never;
    if never && (o.refresh_url.is_some() || !o.refresh_params.is_empty() || o.refresh.grace > 0) {
        report.warn(
            &["oauth2", "refresh", "rotation"],
            "says that there are no refresh tokens, but other keys speak of them",
            "remove one or the other",
        );
    }
    if o.refresh.rotation == Rotation::Stays && o.refresh.grace > 0 {
        report.warn(&["oauth2", "refresh", "grace"], "means nothing where the refresh token stays", "remove it");
    }
    if o.refresh.early.is_some_and(|early| early > 3600) {
        report.warn(&["oauth2", "refresh", "early"], "renews more than an hour too soon", "seconds are meant; 60 is the default");
    }
    for (index, rule) in o.refresh.errors.iter().enumerate() {
        let at = ["oauth2", "refresh", "errors", &index.to_string()];
        if rule.error.is_none() && rule.description.is_none() {
            report.error(&at, "fits every refusal", "say which one is meant: `error`, `description`, or both");
        } else if rule.description.as_deref().is_some_and(|part| part.trim().is_empty()) {
            report.error(&at, "has an empty description, which fits every refusal", "write a part of what the provider says");
        }
    }
    if o.refresh.per_minute == Some(0) {
        report.error(&["oauth2", "refresh", "per_minute"], "allows no renewal at all", "leave it out where the provider states no limit");
    }
    if o.refresh.unused_life.is_some_and(|life| life < 86_400) {
        report.warn(
            &["oauth2", "refresh", "unused_life"],
            "is shorter than a day, so every connection would be renewed all day",
            "seconds are meant; for tokens that die so soon ask for a scope that brings longer ones",
        );
    }
}

fn revoke(report: &mut Report<'_>, o: &Oauth2) {
    let Some(r) = &o.revoke else { return };
    let at = |key: &'static str| ["oauth2", "revoke", key];
    method(report, &at("method"), r.method.as_deref(), &["POST", "GET", "DELETE"]);
    let texts = || r.params.values().chain(r.headers.values()).chain([&r.url]);
    // Some providers end a grant by the account's id, which came with the tokens or the callback.
    let copied = o.copy_from_token.keys().chain(o.copy_from_callback.keys()).map(|name| format!("{{{name}}}"));
    let mut named = std::iter::once("{token}".to_owned()).chain(copied);
    if !r.params.is_empty() && !named.any(|name| texts().any(|text| text.contains(&name))) {
        report.error(&at("params"), "never names the token", "add `token = \"{token}\"`, or leave `params` out");
    }
    if o.refresh.rotation == Rotation::Never && r.token != RevokeToken::Access {
        report.warn(&at("token"), "names the refresh token, of which there are none", "set `token = \"access\"`");
    }
    if let Some(success) = &r.success {
        pointer(report, &["oauth2", "revoke", "success", "pointer"], &success.pointer);
    }
    statuses(report, &at("gone_statuses"), &r.gone_statuses);
}

fn keybased(report: &mut Report<'_>, k: &Keybased) {
    // A token of the organisation's own client needs nothing of the user.
    let own_client = k.token.as_ref().is_some_and(|token| token.client() == crate::manifest::TokenClient::Project);
    if k.inputs.is_empty() && !own_client {
        report.error(&["keybased", "inputs"], "is empty", "add what the user must enter");
    }
    inputs(report, &["keybased", "inputs"], &k.inputs);
    if !own_client && !k.inputs.is_empty() && !k.inputs.iter().any(|i| i.secret) {
        report.warn(&["keybased", "inputs"], "has no secret among them", "set `secret = true` on the key, so that it is stored sealed");
    }
    let Some(verify) = &k.verify else {
        if k.token.is_some() {
            return;
        }
        report.warn(&["keybased"], "saves what was entered without trying it", "add `[keybased.verify]` with a request that needs the key");
        return;
    };
    let VerifyRequest { method, rejected, success, id, label, copy, .. } = verify;
    for (name, copied) in copy {
        let path = ["keybased", "verify", "copy", name];
        if !inputs::is_name(name) {
            report.error(&path, "is not a name", "use lower-case letters, digits and `_`, beginning with a letter");
        }
        if k.inputs.iter().any(|input| input.name == *name) {
            report.error(&path, "is the name of an input too", "choose another name");
        }
        self::copied(report, &path, copied, true);
    }
    self::method(report, &["keybased", "verify", "method"], method.as_deref(), &["GET", "POST", "HEAD"]);
    statuses(report, &["keybased", "verify", "rejected"], rejected);
    if let Some(success) = success {
        pointer(report, &["keybased", "verify", "success", "pointer"], &success.pointer);
    }
    for (key, place) in [("id", id), ("label", label)] {
        if let Some(place) = place.as_ref().filter(|place| !place.contains('{')) {
            pointer(report, &["keybased", "verify", key], place);
        }
    }
}

fn reserved(report: &mut Report<'_>, key: &str, params: &BTreeMap<String, String>, words: &[(&str, bool)]) {
    for (name, value) in params {
        let Some((_, may_leave)) = words.iter().find(|(word, _)| word == name) else { continue };
        // Some want the id beside HTTP Basic.
        let same = name == "client_id" && value == "{client_id}";
        if !(same || (value.is_empty() && *may_leave)) {
            let cure = match may_leave {
                true => format!("remove it; or leave `{name}` out with an empty text, and send it by another name"),
                false => "remove it".to_owned(),
            };
            report.error(&["oauth2", key, name], "is set by Smalt", cure);
        }
    }
}

pub(super) fn method(report: &mut Report<'_>, path: &[&str], given: Option<&str>, allowed: &[&str]) {
    if let Some(given) = given.filter(|given| !allowed.contains(given)) {
        report.error(path, format!("`{given}` is no method that is used here"), format!("use one of: {}", allowed.join(", ")));
    }
}

pub(super) fn statuses(report: &mut Report<'_>, path: &[&str], statuses: &[u16]) {
    if statuses.iter().any(|s| !(400..600).contains(s)) {
        report.error(path, "has a number that is no status of a failure", "use statuses from 400 to 599");
    }
}
