//! Messages of dynamic client registration: RFC 7591, of RFC 7592 what reads and deletes a client, and the metadata that say where
//! clients are registered (RFC 8414, OpenID Connect Discovery).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::{
    USER_AGENT,
    answer::{RawAnswer, passing, read, stated},
};
use crate::{
    Error, Secret, Timestamp,
    error::{Result, bail, err},
    manifest::{
        ClientAuth, Oauth2, Registration, Rotation, TokenBody,
        template::{self, Values},
    },
    model::{Json, JsonMap},
    plugin::{HttpRequest, HttpResponse},
};

/// No id, secret or token of a client is longer, in bytes.
const LONGEST: usize = 4 * 1024;

/// What a client is to be able to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientWishes {
    /// Where users may be sent back to.
    pub redirect_uris: Vec<String>,
    /// What may be asked for.
    pub scopes: Vec<String>,
}

impl ClientWishes {
    /// Whether a client that was registered for this serves those too.
    pub fn serves(&self, others: &Self) -> bool {
        let all = |ours: &[String], theirs: &[String]| theirs.iter().all(|text| ours.contains(text));
        all(&self.redirect_uris, &others.redirect_uris) && all(&self.scopes, &others.scopes)
    }

    /// Both together, so that what served somebody goes on serving.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        for (ours, theirs) in [(&mut self.redirect_uris, &others.redirect_uris), (&mut self.scopes, &others.scopes)] {
            for text in theirs {
                if !ours.contains(text) {
                    ours.push(text.clone());
                }
            }
        }
        self
    }
}

/// A client as the provider registered it.
#[derive(Clone, Debug)]
pub struct RegisteredClient {
    /// Its id.
    pub client_id: String,
    /// Its secret; absent for a public client.
    pub client_secret: Option<Secret>,
    /// When the secret ends; absent: never.
    pub expires_at: Option<Timestamp>,
    /// Opens the client's own page at the provider (RFC 7592).
    pub access_token: Option<Secret>,
    /// That page.
    pub page: Option<Url>,
}

/// Why there is no client.
#[derive(Clone, Debug)]
pub enum RegistrationFailure {
    /// The provider registers none, or not this one.
    Refused {
        /// Its code.
        provider_error: String,
    },
    /// Trouble that may pass.
    Passing {
        /// What it was.
        error: Error,
    },
}

/// The request that asks where clients are registered.
///
/// # Errors
/// None that a URL could cause.
pub fn metadata_request(url: &Url) -> Result<HttpRequest> {
    begin("GET", url.clone())
}

/// Where the metadata say that clients are registered. It is of the same origin as they are: what stands there is not to send
/// anybody elsewhere.
///
/// # Errors
/// [`RegistrationFailure`] says what the caller may conclude.
pub fn registration_endpoint(asked: &Url, answer: &HttpResponse, now: Timestamp) -> Result<Url, RegistrationFailure> {
    let refused = |code: &str| RegistrationFailure::Refused { provider_error: code.to_owned() };
    if matches!(answer.status, 404 | 410) {
        return Err(refused("no_metadata"));
    }
    if answer.status != 200 {
        return Err(trouble(answer, now));
    }
    let malformed = |what: &str| RegistrationFailure::Passing { error: err!(MalformedAnswer, "the provider's metadata {what}") };
    let Some(metadata) = answer.json().filter(Json::is_object) else { return Err(malformed("are no JSON object")) };
    let text = |name: &str| metadata[name].as_str().and_then(|text| Url::parse(text).ok());
    // RFC 8414 section 3.3: whoever they are of must be who was asked.
    if text("issuer").is_none_or(|issuer| issuer.origin() != asked.origin()) {
        return Err(malformed("are another issuer's"));
    }
    match text("registration_endpoint") {
        None => Err(refused("no_registration_endpoint")),
        Some(endpoint) if endpoint.origin() != asked.origin() => Err(malformed("name a registration endpoint elsewhere")),
        Some(endpoint) => Ok(endpoint),
    }
}

/// The request that registers a client (RFC 7591 section 3.1). The manifest's `params` may name parameters otherwise and leave
/// some out; one that names a value which is not there is left out.
///
/// # Errors
/// Those of [`template::text`]; `invalid_request` when a header could not carry its value.
pub fn registration_request(
    oauth: &Oauth2,
    registration: &Registration,
    endpoint: Url,
    values: &Values<'_>,
    wishes: &ClientWishes,
    name: &str,
    initial_token: Option<&Secret>,
) -> Result<HttpRequest> {
    let scope = wishes.scopes.join(oauth.scopes.separator.as_deref().unwrap_or(" "));
    let redirect_uris = wishes.redirect_uris.join("\n");
    let values = values.clone().first("scope", &scope).first("redirect_uris", &redirect_uris).first("client_name", name);
    let mut grants = vec!["authorization_code"];
    grants.extend((oauth.refresh.rotation != Rotation::Never).then_some("refresh_token"));
    grants.extend(oauth.device.as_ref().map(|_| "urn:ietf:params:oauth:grant-type:device_code"));
    let mut body = JsonMap::new();
    body.insert("client_name".to_owned(), name.into());
    body.insert("redirect_uris".to_owned(), wishes.redirect_uris.clone().into());
    body.insert("grant_types".to_owned(), grants.into());
    body.insert("response_types".to_owned(), vec!["code"].into());
    body.insert("token_endpoint_auth_method".to_owned(), auth_method(oauth.client_auth)?.into());
    if !scope.is_empty() {
        body.insert("scope".to_owned(), scope.as_str().into());
    }
    if let Some(home) = values.get("public_url") {
        body.insert("client_uri".to_owned(), home.into());
    }
    for (name, text) in &registration.params {
        body.remove(name);
        let known = template::placeholders(text).is_ok_and(|names| names.iter().all(|name| values.get(name).is_some()));
        if !text.is_empty() && known {
            body.insert(name.clone(), template::text(text, &values)?.into());
        }
    }
    let mut request = begin("POST", endpoint)?;
    for (name, text) in &registration.headers {
        request.set_header(name, &Zeroizing::new(template::text(text, &values)?))?;
    }
    if let Some(token) = initial_token {
        request.set_header("authorization", &Zeroizing::new(format!("Bearer {}", token.expose())))?;
    }
    match registration.body {
        TokenBody::Json => request.set_body("application/json", Json::from(body).to_string()),
        TokenBody::Form | TokenBody::Query => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in &body {
                match value {
                    // A list is repeated, as forms have it.
                    Json::Array(items) => items.iter().filter_map(Json::as_str).for_each(|item| {
                        form.append_pair(name, item);
                    }),
                    other => drop(form.append_pair(name, other.as_str().unwrap_or_default())),
                }
            }
            request.set_body("application/x-www-form-urlencoded", form.finish());
        }
    }
    Ok(request)
}

/// What RFC 7591 section 2 calls the way in which the client proves itself.
fn auth_method(how: ClientAuth) -> Result<&'static str> {
    Ok(match how {
        ClientAuth::Basic => "client_secret_basic",
        ClientAuth::Body => "client_secret_post",
        ClientAuth::None => "none",
        ClientAuth::ClientSecretJwt => "client_secret_jwt",
        ClientAuth::PrivateKeyJwt | ClientAuth::TlsClientAuth | ClientAuth::SelfSignedTlsClientAuth => {
            bail!(ManifestInvalid, "a client with a key of its own cannot be registered")
        }
    })
}

/// Reads what was registered (RFC 7591 section 3.2), or what a client's own page says of it (RFC 7592 section 3).
///
/// # Errors
/// [`RegistrationFailure`] says what the caller may conclude.
pub fn parse_registration(endpoint: &Url, answer: &HttpResponse, now: Timestamp) -> Result<RegisteredClient, RegistrationFailure> {
    if matches!(answer.status, 408 | 425 | 429 | 500..=599) {
        return Err(trouble(answer, now));
    }
    let body = read(answer);
    if !(200..300).contains(&answer.status) {
        // Some say it in a sentence: that is no code.
        let code = body.as_ref().and_then(|body| stated(&body["error"])).filter(|code| code.chars().all(|c| c.is_lowercase() || c == '_'));
        return match answer.status {
            300..=399 => Err(trouble(answer, now)),
            status => Err(RegistrationFailure::Refused { provider_error: code.unwrap_or_else(|| format!("http_{status}")) }),
        };
    }
    let malformed = |what: &str| RegistrationFailure::Passing { error: err!(MalformedAnswer, "the answer to a registration {what}") };
    let Some(body) = body.map(RawAnswer::of) else { return Err(malformed("is no JSON")) };
    let text = |name: &str| body.text(&format!("/{name}")).filter(|text| !text.is_empty());
    let fits = |text: &String| text.len() <= LONGEST && text.bytes().all(|b| (0x20..0x7f).contains(&b)) && text.trim() == text;
    let Some(client_id) = text("client_id").filter(fits) else { return Err(malformed("holds no client id")) };
    let secret = |name: &str| match text(name) {
        None => Ok(None),
        Some(text) if fits(&text) => Ok(Some(Secret::new(text))),
        Some(_) => Err(malformed("holds a secret of a form that none has")),
    };
    // 0: never.
    let seconds = text("client_secret_expires_at").and_then(|text| text.parse::<i64>().ok()).filter(|seconds| *seconds > 0);
    let page = text("registration_client_uri").and_then(|text| Url::parse(&text).ok()).filter(|page| page.origin() == endpoint.origin());
    Ok(RegisteredClient {
        client_id,
        client_secret: secret("client_secret")?,
        expires_at: seconds.and_then(|seconds| seconds.checked_mul(1000)).map(Timestamp::from_millis),
        access_token: secret("registration_access_token")?.filter(|_| page.is_some()),
        page,
    })
}

/// A request to a client's own page: `GET` reads it, `DELETE` ends it (RFC 7592 sections 2.1 and 2.3).
///
/// # Errors
/// `invalid_request` when a header could not carry the token.
pub fn client_page_request(method: &str, page: &Url, token: &Secret) -> Result<HttpRequest> {
    let mut request = begin(method, page.clone())?;
    request.set_header("authorization", &Zeroizing::new(format!("Bearer {}", token.expose())))?;
    Ok(request)
}

fn begin(method: &str, url: Url) -> Result<HttpRequest> {
    let mut request = HttpRequest::new(method, url);
    request.set_header("accept", "application/json")?;
    request.set_header("user-agent", USER_AGENT)?;
    request.max_body = 256 * 1024;
    Ok(request)
}

fn trouble(answer: &HttpResponse, now: Timestamp) -> RegistrationFailure {
    match passing(answer, now) {
        super::TokenFailure::Passing { error } => {
            let status = answer.status;
            let said = match error.info().retry_after {
                Some(wait) => {
                    err!(ProviderError, "the registration was answered with {status}").retry_after(wait.min(Duration::from_secs(3600)))
                }
                None => err!(ProviderError, "the registration was answered with {status}"),
            };
            RegistrationFailure::Passing { error: said.with("status", status) }
        }
        _ => RegistrationFailure::Passing { error: err!(ProviderError, "the registration was answered with {}", answer.status) },
    }
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
