use std::{collections::BTreeMap, fmt, time::Duration};

use url::form_urlencoded;

use super::lifetime::{lifetime, lifetime_in, retry_after};
use crate::{
    Error, Secret,
    error::err,
    manifest::{AnswerFormat, Copied, Oauth2, RateLimit, RefusalMeaning, RefusalRule, Success},
    model::Json,
    plugin::HttpResponse,
    secret::wipe,
    time::Timestamp,
    xml,
};

/// No token is larger than this, in bytes.
const LARGEST_TOKEN: usize = 64 * 1024;
/// No copied value is larger than this, in bytes.
const LARGEST_COPY: usize = 4 * 1024;
/// Errors of OAuth 2.0 that say "not now" (RFC 6749 section 4.1.2.1, RFC 8628 section 3.5).
const PASSING: [&str; 3] = ["temporarily_unavailable", "server_error", "slow_down"];
/// Token types that need more than being sent along; using one as a bearer token would fail or weaken it.
const PROOF_TYPES: [&str; 4] = ["mac", "pop", "dpop", "n_a"];

/// What a good token answer held. Debug shows nothing that the provider said beside type, time and scopes.
#[derive(Clone)]
pub struct TokenSet {
    /// The access token: visible ASCII, at most 64 KiB.
    pub access_token: Secret,
    /// The refresh token, when one came. Absent after a refresh means that the old one stays.
    pub refresh_token: Option<Secret>,
    /// `Bearer` in this spelling, or what the provider calls it; `Bearer` when absent.
    pub token_type: String,
    /// How long the access token lives; absent when unknown. Never more than ten years.
    pub expires_in: Option<Duration>,
    /// What the provider says it granted; absent when it says nothing, which means what was asked for (RFC 6749 section 5.1).
    pub scopes: Option<Vec<String>>,
    /// The values that the manifest's `copy_from_token` names.
    pub copied: Copies,
    /// The whole answer, for identity pointers.
    pub raw: RawAnswer,
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("token_type", &self.token_type)
            .field("expires_in", &self.expires_in)
            .field("scopes", &self.scopes)
            .field("refreshes", &self.refresh_token.is_some())
            .finish_non_exhaustive()
    }
}

/// A token answer as it came: private, never printed, cleared on drop.
#[derive(Clone, Default)]
pub struct RawAnswer {
    body: Json,
    format: AnswerFormat,
}

impl RawAnswer {
    /// One that was JSON or a form.
    pub(super) fn of(body: Json) -> Self {
        Self { body, format: AnswerFormat::Auto }
    }

    /// Reads one in the format that the manifest states; none where it is not written so.
    pub(super) fn read(oauth: &Oauth2, response: &HttpResponse) -> Option<Self> {
        let format = oauth.answer.format;
        let body = match format {
            AnswerFormat::Auto => read(response),
            AnswerFormat::Xml => std::str::from_utf8(&response.body).ok().and_then(|document| xml::read(document).ok()),
        };
        body.map(|body| Self { body, format })
    }

    /// The text at a pointer; numbers and booleans as text.
    pub fn text(&self, pointer: &str) -> Option<String> {
        scalar(self.one(pointer)?)
    }

    /// What a pointer leads to: a JSON pointer (RFC 6901), or in XML what [`xml::find`] makes of it.
    fn all(&self, pointer: &str) -> Option<&Json> {
        match self.format {
            AnswerFormat::Auto => self.body.pointer(pointer),
            AnswerFormat::Xml => xml::find(&self.body, pointer),
        }
    }

    /// The same where one value is meant: XML shows only in how often an element stands there that it could be several.
    fn one(&self, pointer: &str) -> Option<&Json> {
        self.said(self.all(pointer)?)
    }

    /// What a value says: in XML an element's text, also where it has attributes.
    fn said<'v>(&self, value: &'v Json) -> Option<&'v Json> {
        match self.format {
            AnswerFormat::Auto => Some(value),
            AnswerFormat::Xml => xml::said(value),
        }
    }

    /// The texts at a pointer, of a list or of one value. What is there and says none has none.
    fn texts(&self, pointer: &str) -> Option<Vec<&str>> {
        let one = |value| self.said(value).and_then(Json::as_str);
        match self.all(pointer)? {
            Json::Null => None,
            Json::Array(items) => Some(items.iter().filter_map(one).collect()),
            value => Some(one(value).into_iter().collect()),
        }
    }

    /// The error that it states where the manifest says.
    pub(super) fn error(&self, oauth: &Oauth2) -> Option<String> {
        self.one(oauth.answer.error.as_deref().unwrap_or("/error")).and_then(stated)
    }

    /// Whether it holds what a good answer does.
    pub(super) fn succeeds(&self, success: &Success) -> bool {
        self.one(&success.pointer).is_some_and(|value| match value {
            value if *value == success.equals => true,
            // Forms and XML hold text only.
            Json::String(text) => scalar(&success.equals).as_ref() == Some(text),
            _ => false,
        })
    }
}

impl fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawAnswer(…)")
    }
}

impl Drop for RawAnswer {
    fn drop(&mut self) {
        wipe(&mut self.body);
    }
}

/// Why there are no tokens. `provider_error` is a short machine code, see [`provider_code`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFailure {
    /// The grant is dead: `invalid_grant`, or what the manifest lists as `final_errors`.
    Final {
        /// The provider's code.
        provider_error: String,
    },
    /// The organisation's client is refused, which says nothing about the grant: status 401, `invalid_client`,
    /// `unauthorized_client`, or what the manifest lists as `client_errors`.
    Client {
        /// The provider's code, or `http_401`.
        provider_error: String,
    },
    /// The grant is refused for now and may be taken again, as a rule of the manifest's `refresh.errors` says.
    Suspended {
        /// The provider's code.
        provider_error: String,
    },
    /// Trouble that may pass: 429, 5xx, a redirect, or an answer that nobody can read.
    Passing {
        /// What it was.
        error: Error,
    },
    /// Any other error of OAuth 2.0, e.g. `invalid_request`.
    Refused {
        /// The provider's code.
        provider_error: String,
    },
}

/// A provider's error code made safe to show: what lies outside `[A-Za-z0-9_.-]` is dropped, at most 64 characters are
/// kept, and nothing left becomes `unknown_error`.
pub fn provider_code(text: &str) -> String {
    let code: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || "_.-".contains(*c)).take(64).collect();
    if code.is_empty() { "unknown_error".to_owned() } else { code }
}

/// Reads a token answer (RFC 6749 sections 5.1 and 5.2), whether JSON, form-encoded, or XML where the manifest says so.
///
/// A 408, 425, 429 or 5xx always passes; then an error in the body counts whatever the status, since some providers answer 200 with
/// an error. The rules of the manifest's `refresh.errors` go first; then its own error lists go before the defaults, its `final_errors` before its `client_errors`: with
/// `final_errors = ["unauthorized_client"]` a provider is understood that uses that code for everything.
///
/// # Errors
/// [`TokenFailure`] says what the caller may conclude.
pub fn parse_token_answer(oauth: &Oauth2, response: &HttpResponse, now: Timestamp) -> Result<TokenSet, TokenFailure> {
    let status = response.status;
    if matches!(status, 408 | 425 | 429 | 500..=599) {
        return Err(passing(response, now));
    }
    let body = RawAnswer::read(oauth, response);
    if let Some(body) = &body
        && let Some(code) = body.error(oauth).or_else(|| unsuccessful(oauth, body))
    {
        return Err(classify(oauth, body, code, response, now));
    }
    match (status, body) {
        (200..=299, Some(body)) => tokens(oauth, body, now).map_err(|trouble| malformed(status, trouble)),
        (200..=299, None) => Err(malformed(
            status,
            match oauth.answer.format {
                AnswerFormat::Auto => "the token answer is neither JSON nor form-encoded",
                AnswerFormat::Xml => "the token answer is no XML that can be read",
            },
        )),
        (401, _) => Err(TokenFailure::Client { provider_error: "http_401".to_owned() }),
        _ => Err(passing(response, now)),
    }
}

/// The failure that an answer of another sort than tokens states, by the same rules; none where it states none. It is JSON or a form,
/// as its RFC says, whatever the manifest says of token answers.
pub(super) fn classified(oauth: &Oauth2, response: &HttpResponse, now: Timestamp) -> Option<TokenFailure> {
    if matches!(response.status, 408 | 425 | 429 | 500..=599) {
        return Some(passing(response, now));
    }
    let body = read(response).map(RawAnswer::of);
    let code = body.as_ref().and_then(|body| body.error(oauth));
    match (body, code, response.status) {
        (Some(body), Some(code), _) => Some(classify(oauth, &body, code, response, now)),
        (_, _, 401) => Some(TokenFailure::Client { provider_error: "http_401".to_owned() }),
        _ => None,
    }
}

fn classify(oauth: &Oauth2, body: &RawAnswer, provider_error: String, response: &HttpResponse, now: Timestamp) -> TokenFailure {
    let status = response.status;
    match ruled(oauth, body, &provider_error) {
        Some(RefusalMeaning::Final) => return TokenFailure::Final { provider_error },
        Some(RefusalMeaning::Client) => return TokenFailure::Client { provider_error },
        Some(RefusalMeaning::Suspended) => return TokenFailure::Suspended { provider_error },
        Some(RefusalMeaning::Passing) => return named_passing(response, now, provider_error),
        None => {}
    }
    let listed = |list: &[String]| list.iter().any(|code| provider_code(code) == provider_error);
    let (finals, clients) = (&oauth.refresh.final_errors, &oauth.refresh.client_errors);
    let default_final = finals.is_empty() && provider_error == "invalid_grant";
    let default_client = clients.is_empty() && matches!(provider_error.as_str(), "invalid_client" | "unauthorized_client");
    if listed(finals) {
        TokenFailure::Final { provider_error }
    } else if listed(clients) {
        TokenFailure::Client { provider_error }
    } else if default_final {
        TokenFailure::Final { provider_error }
    } else if default_client || status == 401 {
        TokenFailure::Client { provider_error }
    } else if PASSING.contains(&provider_error.as_str()) {
        named_passing(response, now, provider_error)
    } else {
        TokenFailure::Refused { provider_error }
    }
}

/// What the first fitting rule of the manifest says. The description is looked at here and goes nowhere else (S-42).
fn ruled(oauth: &Oauth2, body: &RawAnswer, provider_error: &str) -> Option<RefusalMeaning> {
    let rules = &oauth.refresh.errors;
    if rules.is_empty() {
        return None;
    }
    let pointer = oauth.answer.error_description.as_deref().unwrap_or("/error_description");
    let said = zeroize::Zeroizing::new(body.one(pointer).and_then(Json::as_str).unwrap_or_default().to_lowercase());
    let fits = |rule: &&RefusalRule| {
        rule.error.as_ref().is_none_or(|code| provider_code(code) == provider_error)
            && rule.description.as_ref().is_none_or(|part| said.contains(&part.to_lowercase()))
    };
    rules.iter().find(fits).map(|rule| rule.means)
}

fn named_passing(response: &HttpResponse, now: Timestamp, provider_error: String) -> TokenFailure {
    match passing(response, now) {
        TokenFailure::Passing { error } => TokenFailure::Passing { error: error.with("provider_error", provider_error) },
        other => other,
    }
}

pub(super) fn passing(response: &HttpResponse, now: Timestamp) -> TokenFailure {
    let status = response.status;
    let error = match status {
        429 => err!(ProviderLimited, "the token URL answered {status}"),
        300..=399 => err!(MalformedAnswer, "the token URL answered with a redirect, which is never followed"),
        _ => err!(ProviderError, "the token URL answered {status}"),
    }
    .with("status", status);
    let error = match retry_after(&response.headers, &RateLimit::default(), now) {
        Some(wait) => error.retry_after(wait),
        None => error,
    };
    TokenFailure::Passing { error }
}

fn malformed(status: u16, trouble: &str) -> TokenFailure {
    TokenFailure::Passing { error: err!(MalformedAnswer, "{trouble}").with("status", status) }
}

/// The body as a JSON object; a form becomes one of strings.
pub(super) fn read(response: &HttpResponse) -> Option<Json> {
    if let Some(object @ Json::Object(_)) = response.json() {
        return Some(object);
    }
    let text = std::str::from_utf8(&response.body).ok()?.trim();
    let name_end = text.find('=')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-%+".contains(c);
    if name_end == 0 || !text[..name_end].chars().all(is_name) || text.contains(['<', '{', '\n']) {
        return None;
    }
    Some(Json::Object(form_urlencoded::parse(text.as_bytes()).map(|(name, value)| (name.into_owned(), Json::from(&*value))).collect()))
}

/// The error code in a value that says whether there is an error. Null, false, 0 and what is empty are none.
pub(super) fn stated(value: &Json) -> Option<String> {
    fn code(value: &Json) -> Option<String> {
        match value {
            Json::String(text) if text.is_empty() => None,
            Json::String(text) => Some(provider_code(text)),
            Json::Number(number) if number.as_f64() == Some(0.0) => None,
            Json::Number(number) => Some(provider_code(&number.to_string())),
            Json::Bool(true) => Some(provider_code("")),
            _ => None,
        }
    }
    match value {
        Json::Object(map) if map.is_empty() => None,
        // Some providers put an object there; its machine code goes by one of these names.
        Json::Object(map) => {
            Some(["code", "type", "status"].iter().find_map(|key| code(map.get(*key)?)).unwrap_or_else(|| provider_code("")))
        }
        Json::Array(items) if items.is_empty() => None,
        Json::Array(_) => Some(provider_code("")),
        value => code(value),
    }
}

/// What stands where a good answer says that it is one.
fn unsuccessful(oauth: &Oauth2, body: &RawAnswer) -> Option<String> {
    let success = oauth.answer.success.as_ref().filter(|success| !body.succeeds(success))?;
    match body.one(&success.pointer) {
        Some(value @ (Json::String(_) | Json::Number(_))) => Some(provider_code(&scalar(value).unwrap_or_default())),
        _ => Some(provider_code("")),
    }
}

fn tokens(oauth: &Oauth2, raw: RawAnswer, now: Timestamp) -> Result<TokenSet, &'static str> {
    let answer = &oauth.answer;
    let at = |pointer: &Option<String>, default: &str| raw.one(pointer.as_deref().unwrap_or(default));
    let token = |value: Option<&Json>| match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if text.is_empty() => Ok(None),
        Some(Json::String(text)) if text.len() > LARGEST_TOKEN => Err("a token in the answer is larger than 64 KiB"),
        // RFC 6749 appendix A.12: anything else could not travel in a header.
        Some(Json::String(text)) if text.bytes().all(|b| (0x20..0x7f).contains(&b)) && text.trim() == text => {
            Ok(Some(Secret::new(text.as_str())))
        }
        Some(Json::String(_)) => Err("a token in the answer holds characters that no token may"),
        Some(_) => Err("a token in the answer is no string"),
    };
    let Some(access_token) = token(at(&answer.access_token, "/access_token"))? else {
        return Err("the token answer holds no access token");
    };
    let refresh_token = token(at(&answer.refresh_token, "/refresh_token"))?;
    let token_type = match at(&answer.token_type, "/token_type").and_then(Json::as_str).unwrap_or_default() {
        kind if PROOF_TYPES.iter().any(|needs| kind.eq_ignore_ascii_case(needs)) => {
            return Err("the token's type needs a proof that Smalt does not make");
        }
        kind if kind.is_empty() || kind.eq_ignore_ascii_case("bearer") => "Bearer".to_owned(),
        kind => provider_code(kind),
    };
    let stated = lifetime_in(answer.expires_unit, at(&answer.expires_in, "/expires_in"), now);
    let default = || lifetime(Some(&Json::from(answer.default_expires_in?)), now);
    let copied = copy(&oauth.copy_from_token, |pointer| raw.text(pointer));
    let scopes = raw.texts(answer.scope.as_deref().unwrap_or("/scope")).map(|texts| scopes(&texts, oauth.scopes.separator.as_deref()));
    let expires_in = stated.or_else(default);
    Ok(TokenSet { access_token, refresh_token, token_type, expires_in, scopes, copied, raw })
}

/// The values that a manifest keeps of an answer, and the first that it cannot do without and that is not there as it should be.
pub(crate) fn copy(wanted: &BTreeMap<String, Copied>, found: impl Fn(&str) -> Option<String>) -> Copies {
    let mut copies = Copies::default();
    for (name, copied) in wanted {
        let found = found(copied.place()).filter(|value| value.len() <= LARGEST_COPY);
        match copied.take(found.as_deref()) {
            Ok(Some(value)) => drop(copies.values.insert(name.clone(), value)),
            Ok(None) => {}
            Err(trouble) => drop(copies.trouble.get_or_insert_with(|| format!("`{name}` {trouble}"))),
        }
    }
    copies
}

/// What was kept of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Name to value.
    pub values: BTreeMap<String, String>,
    /// Why the answer cannot be used: a value that must be there is not, or has another form.
    pub trouble: Option<String>,
}

/// Granted scopes, as a list or as text: parted by spaces, commas, semicolons or the manifest's separator, without doubles.
fn scopes(texts: &[&str], separator: Option<&str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for text in texts {
        let text = match separator {
            Some(separator) if !separator.is_empty() => text.replace(separator, " "),
            _ => (*text).to_owned(),
        };
        for scope in text.split([' ', ',', ';', '\t', '\r', '\n']).filter(|scope| !scope.is_empty()) {
            if seen.insert(scope.to_owned()) {
                found.push(scope.to_owned());
            }
        }
    }
    found
}

/// A text, number or truth as text.
pub(crate) fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
