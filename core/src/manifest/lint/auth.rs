//! The ways to authorise: what OAuth 2.0 and keys need beyond their shape.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, inputs, inputs::BUILT_IN, pointer};
use crate::{
    manifest::{AppManifest, ClientAuth, Keybased, Oauth2, Pkce, RevokeToken, Rotation, VerifyRequest, pattern::Pattern},
    model::InputField,
};

/// Parameters that the authorize URL gets from Smalt itself.
const AUTHORIZE: [&str; 7] = ["client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method"];
/// Parameters that token requests get from Smalt itself.
const TOKEN: [&str; 7] = ["grant_type", "code", "redirect_uri", "client_id", "client_secret", "code_verifier", "refresh_token"];

pub(super) fn check(report: &mut Report<'_>, m: &AppManifest) {
    statuses(report, &["api", "rate_limit", "statuses"], &m.api.rate_limit.statuses);
    for (name, variable) in &m.variables {
        if let Some(text) = &variable.pattern {
            match Pattern::new(text) {
                Ok(pattern) if variable.default.as_ref().is_some_and(|d| !pattern.matches(d)) => {
                    report.error(&["variables", name, "default"], "does not match the pattern", "correct one of them");
                }
                Ok(_) => {}
                Err(_) => report.error(
                    &["variables", name, "pattern"],
                    "cannot be read",
                    "see the pattern language in docs/adding-an-application.md",
                ),
            }
        }
    }
    if let Some(oauth2) = &m.oauth2 {
        self::oauth2(report, oauth2);
    }
    if let Some(keybased) = &m.keybased {
        self::keybased(report, keybased);
    }
    names(report, m);
}

/// One name, one meaning: inputs, variables and copied values share the templates' namespace.
fn names(report: &mut Report<'_>, m: &AppManifest) {
    let taken = |report: &mut Report<'_>, path: &[&str], name: &str| {
        if BUILT_IN.contains(&name) {
            // `token` is a natural name for an input; it only means something else in a revocation.
            let is_key = path.first() == Some(&"keybased");
            if !(is_key && (name == "token" || super::grants::is_client_input(m, name))) {
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
    for (key, names) in [("copy_from_token", &oauth2.copy_from_token), ("copy_from_callback", &oauth2.copy_from_callback)] {
        for name in names.keys() {
            if !inputs::is_name(name) {
                report.error(&["oauth2", key, name], "is not a name", "use lower-case letters, digits and `_`, beginning with a letter");
            }
            if oauth2.inputs.iter().any(|i| i.name == *name) {
                report.error(&["oauth2", key, name], "is the name of an input too", "choose another name");
            }
            taken(report, &["oauth2", key, name], name);
        }
    }
    for name in oauth2.copy_from_callback.keys().filter(|n| oauth2.copy_from_token.contains_key(*n)) {
        report.error(&["oauth2", "copy_from_callback", name], "is copied from the token answer too", "choose another name");
    }
}

fn oauth2(report: &mut Report<'_>, o: &Oauth2) {
    inputs(report, &["oauth2", "inputs"], &o.inputs);
    if o.pkce == Pkce::Off && o.client_auth == ClientAuth::None {
        report.error(
            &["oauth2", "pkce"],
            "is off for a public client, so that nothing protects the code",
            "remove `pkce = \"off\"` (RFC 9700 section 2.1.1)",
        );
    }
    reserved(report, "authorize_params", &o.authorize_params, &AUTHORIZE);
    reserved(report, "token_params", &o.token_params, &TOKEN);
    reserved(report, "refresh_params", &o.refresh_params, &TOKEN);

    let scopes = &o.scopes;
    for (key, list) in [("default", &scopes.default), ("required", &scopes.required)] {
        if list.iter().any(|s| s.is_empty() || s.chars().any(char::is_whitespace)) {
            report.error(&["oauth2", "scopes", key], "has an empty scope, or one with a space", "write each scope as a text of its own");
        }
        if list.iter().collect::<BTreeSet<_>>().len() < list.len() {
            report.warn(&["oauth2", "scopes", key], "has a scope twice", "remove one");
        }
    }
    let missing: Vec<&str> = scopes.required.iter().filter(|s| !scopes.default.contains(s)).map(String::as_str).collect();
    if !missing.is_empty() {
        let message = format!("has scopes that `default` lacks: {}", missing.join(", "));
        report.warn(&["oauth2", "scopes", "required"], message, "add them to `default`, which is what developers read");
    }
    if scopes.separator.as_deref() == Some("") {
        report.error(&["oauth2", "scopes", "separator"], "is empty", "remove it for one space, or write the provider's separator");
    }

    let a = &o.answer;
    let places = [
        ("access_token", &a.access_token),
        ("refresh_token", &a.refresh_token),
        ("expires_in", &a.expires_in),
        ("scope", &a.scope),
        ("token_type", &a.token_type),
        ("error", &a.error),
    ];
    for (key, place) in places {
        if let Some(place) = place {
            pointer(report, &["oauth2", "answer", key], place);
        }
    }
    if let Some(success) = &a.success {
        pointer(report, &["oauth2", "answer", "success", "pointer"], &success.pointer);
    }
    for (name, place) in &o.copy_from_token {
        pointer(report, &["oauth2", "copy_from_token", name], place);
    }
    refresh(report, o);
    revoke(report, o);
    match &o.identity {
        None => report.warn(
            &["oauth2"],
            "says not who the user is at the provider, so connections that share a grant cannot be told",
            "add `[oauth2.identity]`",
        ),
        Some(identity) => {
            if !identity.id.contains('{') {
                pointer(report, &["oauth2", "identity", "id"], &identity.id);
            }
            if let Some(label) = &identity.label {
                pointer(report, &["oauth2", "identity", "label"], label);
            }
            method(report, &["oauth2", "identity", "method"], identity.method.as_deref(), &["GET", "POST"]);
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
}

fn revoke(report: &mut Report<'_>, o: &Oauth2) {
    let Some(r) = &o.revoke else { return };
    let at = |key: &'static str| ["oauth2", "revoke", key];
    method(report, &at("method"), r.method.as_deref(), &["POST", "GET", "DELETE"]);
    let mut texts = r.params.values().chain(r.headers.values()).chain([&r.url]);
    if !r.params.is_empty() && !texts.any(|t| t.contains("{token}")) {
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
    if !k.inputs.is_empty() && !k.inputs.iter().any(|i| i.secret) {
        report.warn(&["keybased", "inputs"], "has no secret among them", "set `secret = true` on the key, so that it is stored sealed");
    }
    let Some(verify) = &k.verify else {
        if k.token.is_some() {
            return;
        }
        report.warn(&["keybased"], "saves what was entered without trying it", "add `[keybased.verify]` with a request that needs the key");
        return;
    };
    let VerifyRequest { method, rejected, success, id, label, .. } = verify;
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

fn reserved(report: &mut Report<'_>, key: &str, params: &BTreeMap<String, String>, words: &[&str]) {
    for name in params.keys().filter(|name| words.contains(&name.as_str())) {
        report.error(&["oauth2", key, name], "is set by Smalt", "remove it");
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
