//! OAuth 1.0a (RFC 5849): three legs, and an API whose every request is signed.

use std::collections::{HashMap, HashSet};

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;

use super::{
    json_answer,
    params::Params,
    state::{State, known_user},
};
use crate::{
    Result, Secret, ids,
    listen::{Answer, Request},
};

/// The token of the sandbox's own integration, and its secret: for token-based authentication, where all four values are entered.
pub const TBA_TOKEN: (&str, &str) = ("sandbox-token", "sandbox-token-secret");
/// How far the client's clock may be off, in seconds.
const LEEWAY: i64 = 300;

/// Temporary credentials.
struct Temporary {
    client: String,
    secret: String,
    callback: String,
    /// User and verifier, once the user consented.
    allowed: Option<(&'static str, String)>,
}

/// A token.
struct Token {
    client: String,
    secret: String,
    user: &'static str,
}

/// All of them, by identifier.
pub(super) struct Oauth1 {
    temporary: HashMap<String, Temporary>,
    tokens: HashMap<String, Token>,
    nonces: HashSet<String>,
}

impl Default for Oauth1 {
    fn default() -> Self {
        let own = Token { client: super::CLIENT_ID.to_owned(), secret: TBA_TOKEN.1.to_owned(), user: "ada" };
        Self { temporary: HashMap::new(), tokens: HashMap::from([(TBA_TOKEN.0.to_owned(), own)]), nonces: HashSet::new() }
    }
}

/// The parameters of an `Authorization: OAuth` header, decoded, without the realm.
fn header(request: &Request) -> Option<HashMap<String, String>> {
    let text = request.header("authorization")?.strip_prefix("OAuth ")?;
    let mut found = HashMap::new();
    for part in text.split(',') {
        let (name, value) = part.trim().split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        if name != "realm" && found.insert(name.to_owned(), percent_decode(value)?).is_some() {
            return None;
        }
    }
    Some(found)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(tail.get(..2)?).ok()?, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// The signature over a request, by the secrets of client and token (RFC 5849 section 3.4).
fn signature(origin: &str, request: &Request, own: &HashMap<String, String>, client_secret: &str, token_secret: &str) -> Option<String> {
    let own = own.iter().filter(|(name, _)| *name != "oauth_signature").map(|(name, value)| (name.clone(), value.clone()));
    let form = request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let fields = if form { crate::listen::pairs(&request.body) } else { Vec::new() };
    let mut all: Vec<(String, String)> = own
        .chain(crate::listen::pairs(request.query.as_bytes()))
        .chain(fields)
        .map(|(name, value)| (percent_encode(&name), percent_encode(&value)))
        .collect();
    all.sort();
    let joined = all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let base = format!("{}&{}&{}", request.method, percent_encode(&format!("{origin}{}", request.path)), percent_encode(&joined));
    let key = format!("{}&{}", percent_encode(client_secret), percent_encode(token_secret));
    let bytes = match request.header("authorization")? {
        header if header.contains("HMAC-SHA256") => {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).ok()?;
            mac.update(base.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        header if header.contains("HMAC-SHA1") => {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
            ring::hmac::sign(&key, base.as_bytes()).as_ref().to_vec()
        }
        _ => return None,
    };
    Some(Base64::encode_string(&bytes))
}

fn refused(problem: &str) -> Answer {
    json_answer(401, &json!({"oauth_problem": problem})).with("www-authenticate", "OAuth realm=\"sandbox\"")
}

fn form(pairs: &[(&str, &str)]) -> Answer {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(pairs);
    Answer::new(200, "application/x-www-form-urlencoded", body.finish()).with("cache-control", "no-store")
}

impl State {
    /// Who signed: the client, and the header's parameters. Signature, time and nonce are right.
    fn signed(
        &mut self,
        request: &Request,
        token_secret: impl Fn(&Oauth1, &str) -> Option<String>,
    ) -> Result<(String, HashMap<String, String>), Answer> {
        let own = header(request).ok_or_else(|| refused("parameter_absent"))?;
        let of = |name: &str| own.get(name).cloned().unwrap_or_default();
        let client = of("oauth_consumer_key");
        let client_secret = self.clients.get(&client).and_then(|client| client.secret.as_ref()).map(|secret| secret.expose().to_owned());
        let Some(client_secret) = client_secret.filter(|_| !self.ways.disabled_clients.contains(&client)) else {
            return Err(refused("consumer_key_rejected"));
        };
        let token_secret = match own.get("oauth_token") {
            None => String::new(),
            Some(token) => token_secret(&self.oauth1, token).ok_or_else(|| refused("token_rejected"))?,
        };
        let wanted = signature(&self.origin, request, &own, &client_secret, &token_secret);
        if wanted.is_none_or(|wanted| Secret::new(wanted) != Secret::new(of("oauth_signature"))) {
            return Err(refused("signature_invalid"));
        }
        let at = of("oauth_timestamp").parse::<i64>().unwrap_or_default();
        if (self.now().seconds() - at).abs() > LEEWAY {
            return Err(refused("timestamp_refused"));
        }
        if of("oauth_nonce").is_empty() || !self.oauth1.nonces.insert(format!("{client} {at} {}", of("oauth_nonce"))) {
            return Err(refused("nonce_used"));
        }
        Ok((client, own))
    }

    /// Answers `POST /oauth1/request_token`.
    pub(super) fn oauth1_request(&mut self, request: &Request) -> Result<Answer> {
        let (client, own) = match self.signed(request, |_, _| None) {
            Ok(signed) => signed,
            Err(answer) => return Ok(answer),
        };
        let Some(callback) = own.get("oauth_callback").filter(|callback| url::Url::parse(callback).is_ok()) else {
            return Ok(refused("parameter_absent"));
        };
        let (token, secret) = (ids::new_token()?, ids::new_token()?);
        let answer = form(&[("oauth_token", &token), ("oauth_token_secret", &secret), ("oauth_callback_confirmed", "true")]);
        self.oauth1.temporary.insert(token, Temporary { client, secret, callback: callback.clone(), allowed: None });
        Ok(answer)
    }

    /// Answers `GET /oauth1/authorize`: the user decides at once, as `sandbox_user` and `sandbox_decision` say, or `auto_consent`.
    pub(super) fn oauth1_authorize(&mut self, query: &str) -> Result<Answer> {
        let params = Params::parse(query.as_bytes());
        let user = params.one("sandbox_user").or(self.ways.auto_consent.as_deref()).and_then(|user| known_user(user).ok());
        let token = params.one("oauth_token").unwrap_or_default();
        let (Some(temporary), Some(user)) = (self.oauth1.temporary.get_mut(token), user) else {
            return Ok(json_answer(400, &json!({"oauth_problem": "token_rejected"})));
        };
        let Ok(mut back) = url::Url::parse(&temporary.callback) else { return Ok(Answer::empty(500)) };
        if params.one("sandbox_decision") == Some("deny") {
            self.stats.denials += 1;
            back.query_pairs_mut().append_pair("denied", token);
            return Ok(Answer::redirect(302, back.as_str()));
        }
        let verifier = ids::new_token()?;
        back.query_pairs_mut().append_pair("oauth_token", token).append_pair("oauth_verifier", &verifier);
        temporary.allowed = Some((user, verifier));
        self.stats.consents += 1;
        Ok(Answer::redirect(302, back.as_str()))
    }

    /// Answers `POST /oauth1/access_token`. Temporary credentials work once.
    pub(super) fn oauth1_access(&mut self, request: &Request) -> Result<Answer> {
        let signed = self.signed(request, |state, token| state.temporary.get(token).map(|temporary| temporary.secret.clone()));
        let (client, own) = match signed {
            Ok(signed) => signed,
            Err(answer) => return Ok(answer),
        };
        let Some(temporary) = own.get("oauth_token").and_then(|token| self.oauth1.temporary.remove(token)) else {
            return Ok(refused("token_rejected"));
        };
        let user = match &temporary.allowed {
            Some((user, verifier)) if temporary.client == client && own.get("oauth_verifier") == Some(verifier) => *user,
            _ => return Ok(refused("verifier_invalid")),
        };
        let (token, secret) = (ids::new_token()?, ids::new_token()?);
        let answer = form(&[("oauth_token", &token), ("oauth_token_secret", &secret), ("screen_name", user)]);
        self.oauth1.tokens.insert(token, Token { client, secret, user });
        self.stats.oauth1_tokens += 1;
        Ok(answer)
    }

    /// Whose token signed the request.
    fn signer(&mut self, request: &Request) -> Result<(String, &'static str), Answer> {
        let (client, own) = self.signed(request, |state, token| state.tokens.get(token).map(|token| token.secret.clone()))?;
        let name = own.get("oauth_token").cloned().unwrap_or_default();
        match self.oauth1.tokens.get(&name) {
            Some(token) if token.client == client => Ok((name, token.user)),
            _ => Err(refused("token_rejected")),
        }
    }

    /// Answers `/oauth1/api/me`, any method: who signed it, and what was signed; and `/oauth1/api/items`: five items, from `offset`, at
    /// most `limit`.
    pub(super) fn oauth1_api(&mut self, request: &Request) -> Answer {
        self.stats.api_calls += 1;
        match self.signer(request) {
            Ok(_) if request.path.ends_with("/items") => {
                let params = Params::parse(request.query.as_bytes());
                let number = |name: &str, default: usize| params.one(name).and_then(|text| text.parse().ok()).unwrap_or(default);
                let items = (1..=5).map(|n| json!({"id": n})).skip(number("offset", 0)).take(number("limit", 5));
                json_answer(200, &json!({"items": items.collect::<Vec<_>>()}))
            }
            Ok((_, user)) => json_answer(200, &json!({"id": user, "email": format!("{user}@sandbox.example"), "query": request.query})),
            Err(answer) => {
                self.stats.api_refused += 1;
                answer
            }
        }
    }

    /// Answers `POST /oauth1/revoke`: ends the token that signed it.
    pub(super) fn oauth1_revoke(&mut self, request: &Request) -> Answer {
        self.stats.revoke_requests += 1;
        match self.signer(request) {
            Ok((name, _)) => {
                self.oauth1.tokens.remove(&name);
                self.stats.revocations += 1;
                Answer::empty(200)
            }
            Err(answer) => answer,
        }
    }
}
