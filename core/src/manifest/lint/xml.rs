//! XML: the documents that logins send, calls that carry a credential in theirs, and what cannot stand beside either.

use std::collections::BTreeMap;

use super::Report;
use crate::{
    manifest::{
        AnswerFormat, AppManifest, ClientAuth, KeyGrant, KeyToken, Keybased, Placement, Placements, TokenBody, TokenClient,
        template::{self, Values},
    },
    model::Json,
    xml,
};

pub(super) fn check(report: &mut Report<'_>, m: &AppManifest) {
    if let Some(oauth) = &m.oauth2 {
        answer(report, &["oauth2", "answer"], oauth.answer.format, oauth.answer.access_token.as_ref());
    }
    if let Some(placements) = &m.api.placement {
        self::placements(report, &["api", "placement"], placements);
        consent(report, m, placements);
    }
    let Some(keys) = &m.keybased else { return };
    self::placements(report, &["keybased", "placement"], &keys.placement);
    verify(report, keys);
    if let Some(token) = &keys.token {
        answer(report, &["keybased", "token", "answer"], token.answer.format, token.answer.access_token.as_ref());
        match &token.xml {
            Some(document) => {
                self::document(report, token, document);
                beside(report, token);
                client(report, token, document);
            }
            None if matches!(token.placement, Some(Placement::Xml { .. })) => {
                let cure = "write the document as `xml`, or use a header, the query, basic or body";
                report.error(&["keybased", "token", "placement"], "leads into an XML document, and the request sends none", cure);
            }
            None => {}
        }
    }
}

/// A document has one outermost element: that it should be called like RFC 6749's member, and hold nothing else, is a mistake.
fn answer(report: &mut Report<'_>, at: &[&str], format: AnswerFormat, access_token: Option<&String>) {
    if format == AnswerFormat::Xml && access_token.is_none() {
        let path: Vec<&str> = at.iter().copied().chain(["format"]).collect();
        let cure = "add `access_token` with the names that lead to it, e.g. \"/response/session\"";
        report.error(&path, "is XML, in which nothing says where the access token stands", cure);
    }
}

/// A document that a login sends must be one whatever its values hold.
fn document(report: &mut Report<'_>, token: &KeyToken, document: &str) {
    const AT: [&str; 3] = ["keybased", "token", "xml"];
    if token.grant != KeyGrant::Login {
        report.error(&AT, "belongs to `login`: no other grant speaks XML", "write `grant = \"login\"`, or `params`");
    }
    if document.contains("<!") {
        report.error(&AT, "has a comment, CDATA or a document type", "leave them out: values are escaped where they stand");
        return;
    }
    let declared = xml::declaration(document).ok().flatten();
    let is_declaration = |at: usize| at == 0 && declared.is_some();
    if document.match_indices("<?").any(|(at, _)| !is_declaration(at)) {
        let cure = "leave it out; a declaration (`<?xml … ?>`) is the first that a document holds";
        report.error(&AT, "has a processing instruction, or its declaration not at its very start", cure);
        return;
    }
    if let Some(Json::String(encoding)) = declared.as_ref().and_then(|declared| declared.get("encoding"))
        && !encoding.eq_ignore_ascii_case("utf-8")
    {
        report.error(&AT, "is declared in another encoding than UTF-8, in which it is sent", "write `encoding=\"UTF-8\"`");
    }
    // Malformed placeholders are a finding of their own.
    let Ok(names) = template::placeholders(document) else { return };
    let sample: BTreeMap<String, String> = names.into_iter().map(|name| (name, "<&'\">".to_owned())).collect();
    if let Some(trouble) = template::xml(document, &Values::new().map(&sample)).ok().and_then(|filled| xml::read(&filled).err()) {
        let cure = "write the document as the provider shows it, with `{placeholders}` where texts and attributes hold values";
        report.error(&AT, format!("cannot be read: {trouble}"), cure);
    }
}

/// The document is all that the request's body holds.
fn beside(report: &mut Report<'_>, token: &KeyToken) {
    let at = |key: &'static str| ["keybased", "token", key];
    if !token.params.is_empty() {
        report.error(&at("params"), "stands beside `xml`, which is all that is sent", "put the values into `xml`");
    }
    if token.body != TokenBody::default() {
        report.error(&at("body"), "stands beside `xml`, which is the body", "remove it");
    }
    if token.method.as_deref() == Some("GET") {
        report.error(&at("method"), "has no body for `xml`", "write \"POST\", or remove it");
    }
    match token.placement {
        Some(Placement::Body { .. }) => {
            let cure = "name the value in `xml`, or use a header, the query or basic";
            report.error(&at("placement"), "goes into a form or JSON, and `xml` is what is sent", cure);
        }
        Some(Placement::Xml { .. }) => {
            let cure = "remove it, and write its value into that element of `xml`";
            report.error(&at("placement"), "fills an element of `xml`, which is a template itself", cure);
        }
        _ => {}
    }
}

/// Whoever asks proves itself beside the document, or in it.
fn client(report: &mut Report<'_>, token: &KeyToken, document: &str) {
    let at = |key: &'static str| ["keybased", "token", key];
    match token.client_auth {
        ClientAuth::Body => {
            let cure = "write \"none\", and `{client_id}` and `{client_secret}` where `xml` has their places";
            report.error(&at("client_auth"), "puts the client into a form or JSON, and `xml` is what is sent", cure);
        }
        ClientAuth::PrivateKeyJwt | ClientAuth::ClientSecretJwt => {
            let cure = "write \"none\", and what proves the client where `xml` has its place (a JWT of `assertion` is `{assertion}`); or \"basic\"";
            report.error(&at("client_auth"), "makes a JWT that goes into a form or JSON, and `xml` is what is sent", cure);
        }
        ClientAuth::None if token.client() != TokenClient::None => {
            let jwt = token.assertion.iter().flat_map(|jwt| jwt.key.iter().chain(jwt.header.values()).chain(jwt.claims.values()));
            let mut texts = token.headers.values().chain(jwt).map(String::as_str).chain([document, token.url.as_str()]);
            let names = ["client_id", "client_secret"];
            let is_placed = token.placement.as_ref().is_some_and(|placement| placement.names(&names));
            if !is_placed && !texts.any(|text| template::names(text, &names)) {
                let cure = "name `{client_id}` in `xml`, or remove `client`";
                report.error(&at("client"), "is a client that the request never names", cure);
            }
        }
        _ => {}
    }
}

/// Places in the body of one call: it is a document or it is not, and an element holds one credential.
fn placements(report: &mut Report<'_>, at: &[&str], placements: &Placements) {
    let elements: Vec<(usize, &String)> = placements.all().iter().enumerate().filter_map(element).collect();
    for (index, placement) in placements.all().iter().enumerate() {
        let index_text = index.to_string();
        let path: Vec<&str> = at.iter().copied().chain([index_text.as_str()]).collect();
        match placement {
            Placement::Body { .. } if !elements.is_empty() => {
                let cure = "keep the one that the provider's calls have; `xml` for each value of a document";
                report.error(&path, "goes into a form or JSON, and another place is in an XML document", cure);
            }
            Placement::Xml { path: this, .. } => {
                // Of two places in one element the latter is named.
                let holds_this = |(other, outer): &(usize, &String)| match this.strip_prefix(outer.as_str()) {
                    Some("") => *other < index,
                    Some(rest) => rest.starts_with('/'),
                    None => false,
                };
                if elements.iter().any(holds_this) {
                    let cure = "name elements that hold nothing but their value";
                    report.error(&path, "is in an element that another place fills", cure);
                }
            }
            _ => {}
        }
    }
}

fn element((index, placement): (usize, &Placement)) -> Option<(usize, &String)> {
    match placement {
        Placement::Xml { path, .. } => Some((index, path)),
        _ => None,
    }
}

/// A request that Smalt makes by itself sends no document: with a body it would be refused, and without one it carries no credential.
/// `texts`: what else of it may name the credential.
fn without_document<'a>(
    report: &mut Report<'_>,
    at: &[&str],
    placements: &Placements,
    method: Option<&str>,
    texts: impl IntoIterator<Item = &'a String>,
    credentials: &[&str],
    cure: &str,
) {
    let in_xml = |placement: &Placement| matches!(placement, Placement::Xml { .. });
    let all = placements.all();
    if !all.iter().any(in_xml) {
        return;
    }
    if !matches!(method.unwrap_or("GET"), "GET" | "HEAD") {
        report.error(at, "sends no XML document, in which the credential has its place", cure);
    } else if all.iter().all(in_xml) && !texts.into_iter().any(|text| template::names(text, credentials)) {
        report.error(at, "sends no XML document, so that it would carry no credential", cure);
    }
}

fn verify(report: &mut Report<'_>, keys: &Keybased) {
    let Some(verify) = &keys.verify else { return };
    let secrets = keys.inputs.iter().filter(|input| input.secret).map(|input| input.name.as_str());
    let credentials: Vec<&str> = secrets.chain(["access_token"]).collect();
    let texts = [&verify.url].into_iter().chain(&verify.alternatives).chain(verify.headers.values()).chain(verify.params.values());
    let cure = match &keys.token {
        Some(_) => "remove it: the login tries the values; or ask with GET, and name the credential in its `headers` or `params`",
        None => "ask with GET, and name the credential in its `headers` or `params`; or remove it, and write a connector that verifies",
    };
    without_document(report, &["keybased", "verify"], &keys.placement, verify.method.as_deref(), texts, &credentials, cure);
}

/// What follows a consent: who the user is, and the steps.
fn consent(report: &mut Report<'_>, m: &AppManifest, placements: &Placements) {
    let Some(oauth) = &m.oauth2 else { return };
    if let Some(identity) = &oauth.identity
        && let Some(url) = &identity.url
    {
        let cure = "take `id` from the token answer (without `url`), or write a connector that identifies";
        without_document(report, &["oauth2", "identity"], placements, identity.method.as_deref(), [url], &["access_token"], cure);
    }
    for (index, step) in oauth.steps.iter().enumerate().filter(|(_, step)| !step.token) {
        let texts = [&step.url].into_iter().chain(step.headers.values()).chain(step.params.values());
        let cure = "ask with GET, and name `{access_token}` in its `headers` or `params`";
        let at = ["oauth2", "steps", &index.to_string()];
        without_document(report, &at, placements, step.method.as_deref(), texts, &["access_token"], cure);
    }
}
