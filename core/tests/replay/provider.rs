//! The provider of a replay: it takes exactly the requests that are written down, in their order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use smalt::{
    Code, Error,
    http::ScriptedTransport,
    model::Json,
    plugin::{HttpRequest, HttpResponse},
};

use crate::{
    form::{Answer, Exchange, Request},
    signing,
};

#[derive(Clone, Default)]
pub struct Provider(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    expected: VecDeque<Exchange>,
    /// And whether it is the verifier itself.
    challenge: Option<(String, bool)>,
    /// The `oauth_callback` that came last.
    called_back: Option<String>,
    trouble: Option<String>,
    /// After a life's last step: what the engine still tries on its own is no part of the replay.
    over: bool,
    /// It is over once everything that is expected has come.
    ending: bool,
}

impl Provider {
    pub fn transport(&self) -> ScriptedTransport {
        let state = self.0.clone();
        ScriptedTransport::answering(move |request| state.lock().unwrap().answer(request))
    }

    pub fn expect(&self, exchanges: impl IntoIterator<Item = Exchange>) {
        self.0.lock().unwrap().expected.extend(exchanges);
    }

    /// Before everything that is expected already.
    pub fn expect_first(&self, exchanges: impl IntoIterator<Item = Exchange>) {
        let mut state = self.0.lock().unwrap();
        let later = std::mem::take(&mut state.expected);
        state.expected = exchanges.into_iter().chain(later).collect();
    }

    pub fn challenge(&self, challenge: Option<String>, plain: bool) {
        self.0.lock().unwrap().challenge = challenge.map(|challenge| (challenge, plain));
    }

    pub fn called_back(&self) -> Option<String> {
        self.0.lock().unwrap().called_back.clone()
    }

    pub fn over(&self) {
        self.0.lock().unwrap().over = true;
    }

    /// What is expected now is the life's last step: the engine ends issued tokens in the background, at once or later.
    pub fn over_after_this(&self) {
        self.0.lock().unwrap().ending = true;
    }

    /// The first thing that went wrong so far.
    pub fn trouble(&self) -> Result<(), String> {
        self.0.lock().unwrap().trouble.clone().map_or(Ok(()), Err)
    }

    /// Nothing went wrong, and everything that was expected came.
    pub fn satisfied(&self, step: &str) -> Result<(), String> {
        self.trouble().map_err(|trouble| format!("{step}: {trouble}"))?;
        match self.0.lock().unwrap().expected.front() {
            Some(missing) => Err(format!("{step}: {} {} was never asked for", missing.request.method, missing.request.url)),
            None => Ok(()),
        }
    }
}

impl State {
    fn answer(&mut self, request: &HttpRequest) -> smalt::Result<HttpResponse> {
        if self.over || (self.ending && self.expected.is_empty()) {
            return Err(Error::code_only(Code::ProviderUnreachable));
        }
        if let Some(back) = signing::params(request).and_then(|params| params.get("oauth_callback").cloned()) {
            self.called_back = Some(back);
        }
        let checked = match self.expected.pop_front() {
            None => Err("it is not written down".to_owned()),
            Some(exchange) => check(&exchange.request, request, self.challenge.as_ref()).map(|()| exchange.answer),
        };
        match checked {
            Ok(answer) => Ok(response(&answer)),
            Err(what) => {
                self.trouble.get_or_insert(format!("{} {}: {what}", request.method, request.url));
                Err(Error::code_only(Code::ProviderUnreachable))
            }
        }
    }
}

fn response(answer: &Answer) -> HttpResponse {
    let (content_type, body) = match (&answer.json, &answer.text) {
        (Some(json), _) => ("application/json", json.to_string()),
        (None, Some(text)) => ("text/plain", text.clone()),
        (None, None) => ("text/plain", String::new()),
    };
    let mut headers: BTreeMap<String, String> = BTreeMap::from([("content-type".to_owned(), content_type.to_owned())]);
    headers.extend(answer.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
    HttpResponse { status: answer.status, headers: headers.into_iter().collect(), body: body.into_bytes() }
}

fn check(wanted: &Request, got: &HttpRequest, challenge: Option<&(String, bool)>) -> Result<(), String> {
    same("the method", &wanted.method, &got.method)?;
    let mut plain = got.url.clone();
    plain.set_query(None);
    same("the URL", &wanted.url, plain.as_str())?;
    pairs("the query", &wanted.query, got.url.query_pairs())?;
    if wanted.query.contains_key("code_verifier") {
        let verifier = got.url.query_pairs().find(|(name, _)| name == "code_verifier");
        proves(verifier.map(|(_, verifier)| verifier.into_owned()), challenge, true)?;
    }
    headers(wanted, got)?;
    if let Some(signed) = &wanted.signed {
        signing::check(signed, got)?;
    }
    for (field, jwt) in &wanted.jwt {
        signing::check_jwt(field, jwt, &got.body.0)?;
    }
    let body = &got.body.0;
    if let Some(document) = &wanted.xml {
        return same("the body", document, &String::from_utf8_lossy(body));
    }
    match (&wanted.form, &wanted.json) {
        (Some(form), _) => {
            pairs("the form", form, url::form_urlencoded::parse(body))?;
            let verifier = url::form_urlencoded::parse(body).find(|(name, _)| name == "code_verifier");
            proves(verifier.map(|(_, verifier)| verifier.into_owned()), challenge, form.contains_key("code_verifier"))
        }
        (None, Some(json)) => {
            let got: Json = serde_json::from_slice(body).map_err(|_| "the body is no JSON".to_owned())?;
            let mut filled = json.clone();
            for (name, value) in filled.as_object_mut().into_iter().flatten().filter(|(_, value)| *value == "*") {
                got.get(name).unwrap_or(&Json::Null).clone_into(value);
            }
            if filled != got {
                return Err(format!("the body should be {json}, not {got}"));
            }
            proves(got["code_verifier"].as_str().map(ToOwned::to_owned), challenge, json.get("code_verifier").is_some())
        }
        (None, None) if body.is_empty() => Ok(()),
        (None, None) => Err("it should have no body".to_owned()),
    }
}

/// The verifier belongs to the challenge of the authorize URL (RFC 7636).
fn proves(verifier: Option<String>, challenge: Option<&(String, bool)>, wanted: bool) -> Result<(), String> {
    let plain = challenge.is_some_and(|(_, plain)| *plain);
    let proof = verifier.map(|verifier| match plain {
        true => verifier,
        false => Base64UrlUnpadded::encode_string(&Sha256::digest(verifier.as_bytes())),
    });
    if wanted && (proof.is_none() || proof.as_ref() != challenge.map(|(challenge, _)| challenge)) {
        Err("the verifier is not the challenge's".to_owned())
    } else {
        Ok(())
    }
}

fn headers(wanted: &Request, got: &HttpRequest) -> Result<(), String> {
    let mut expected: BTreeMap<String, String> = BTreeMap::from([("accept".to_owned(), "application/json".to_owned())]);
    if wanted.form.is_some() {
        expected.insert("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    } else if wanted.json.is_some() {
        expected.insert("content-type".to_owned(), "application/json".to_owned());
    } else if wanted.xml.is_some() {
        expected.insert("content-type".to_owned(), "application/xml".to_owned());
    }
    expected.extend(wanted.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
    let mut actual = BTreeMap::new();
    for (name, value) in &got.headers {
        let name = name.to_ascii_lowercase();
        // What a signature is made of is looked at by itself.
        if wanted.signed.is_some() && name == "authorization" {
            continue;
        }
        let basic = value.strip_prefix("Basic ").filter(|_| name == "authorization" && wanted.basic.is_some());
        match basic.and_then(|pair| Base64::decode_vec(pair).ok()).and_then(|pair| String::from_utf8(pair).ok()) {
            Some(pair) => drop(actual.insert("basic".to_owned(), pair)),
            None => drop(actual.insert(name, value.to_string())),
        }
    }
    expected.extend(wanted.basic.iter().map(|pair| ("basic".to_owned(), pair.clone())));
    if !expected.contains_key("user-agent") {
        actual.remove("user-agent");
    }
    if expected == actual { Ok(()) } else { Err(format!("the headers should be {expected:?}, not {actual:?}")) }
}

/// Exactly these names, once each; `*` stands for any value.
pub fn pairs<N: AsRef<str>, V: AsRef<str>>(
    what: &str,
    wanted: &BTreeMap<String, String>,
    got: impl Iterator<Item = (N, V)>,
) -> Result<(), String> {
    let mut found = BTreeMap::new();
    for (name, value) in got {
        if found.insert(name.as_ref().to_owned(), value.as_ref().to_owned()).is_some() {
            return Err(format!("{what} names `{}` twice", name.as_ref()));
        }
    }
    let fits = |(name, value): (&String, &String)| found.get(name).is_some_and(|got| got == value || (value == "*" && !got.is_empty()));
    if wanted.len() == found.len() && wanted.iter().all(fits) { Ok(()) } else { Err(format!("{what} should be {wanted:?}, not {found:?}")) }
}

pub fn same(what: &str, wanted: &str, got: &str) -> Result<(), String> {
    if wanted == got { Ok(()) } else { Err(format!("{what} should be {wanted:?}, not {got:?}")) }
}
