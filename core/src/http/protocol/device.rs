//! The device flow's messages (RFC 8628).

use std::time::Duration;

use url::Url;

use super::{
    ClientCredentials, TokenFailure,
    answer::{classified, passing, read},
    lifetime::lifetime,
    requests::{Params, authenticate, begin, begin_for, client_values},
};
use crate::{
    Secret, Timestamp,
    error::{Result, err},
    manifest::{
        AnswerFormat, Device, Oauth2,
        template::{self, Values},
    },
    model::Json,
    plugin::{HttpRequest, HttpResponse},
};

/// The wait between two polls where the provider states none (RFC 8628 section 3.2).
const INTERVAL: Duration = Duration::from_secs(5);
/// No provider can have a flow polled more seldom.
const LONGEST_INTERVAL: Duration = Duration::from_secs(120);
/// No user code is longer.
const LONGEST_CODE: usize = 64;

/// What the provider answers to the first request.
#[derive(Clone)]
pub struct DeviceAnswer {
    /// What the polls name.
    pub device_code: Secret,
    /// What the user enters.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it, if the provider has one.
    pub verification_uri_complete: Option<String>,
    /// How long both codes live, if it says.
    pub expires_in: Option<Duration>,
    /// The least wait between two polls.
    pub interval: Duration,
}

/// Both codes stand for the user's consent.
impl std::fmt::Debug for DeviceAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceAnswer").field("expires_in", &self.expires_in).field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// The first request (RFC 8628 section 3.1). A `challenge` is for providers that demand PKCE here.
///
/// # Errors
/// Those of [`template::url`] and [`template::text`].
pub fn device_request(
    oauth: &Oauth2,
    device: &Device,
    values: &Values<'_>,
    client: &ClientCredentials,
    scopes: &[String],
    challenge: Option<&str>,
) -> Result<HttpRequest> {
    let values = client_values(values, client);
    // Its answer is JSON (section 3.2), whatever tokens come in.
    let endpoint = template::url(oauth.device_endpoint(device), &values)?;
    let mut request = begin_for(AnswerFormat::Auto, oauth, "POST", endpoint, &values)?;
    let mut params = Params::default();
    authenticate(&mut request, &mut params, oauth, device.client_auth.unwrap_or(oauth.client_auth), &values, client)?;
    // RFC 8628 section 3.1 wants the id in the body, also where a header proves it.
    params.set("client_id", &client.id);
    let scope = scopes.join(oauth.scopes.separator.as_deref().unwrap_or(" "));
    if !scope.is_empty() {
        params.set(oauth.scopes.param.as_deref().unwrap_or("scope"), &scope);
    }
    if let Some(challenge) = challenge {
        params.set("code_challenge", challenge);
        params.set("code_challenge_method", "S256");
    }
    params.extend(&device.params, &values)?;
    params.put(&mut request, oauth.token_body)?;
    Ok(request)
}

/// One poll (RFC 8628 section 3.4).
///
/// # Errors
/// As [`device_request`].
pub fn poll_request(
    oauth: &Oauth2,
    device: &Device,
    values: &Values<'_>,
    client: &ClientCredentials,
    device_code: &Secret,
    verifier: Option<&Secret>,
) -> Result<HttpRequest> {
    let values = client_values(values, client);
    let mut request = begin(oauth, "POST", template::url(oauth.token_endpoint(), &values)?, &values)?;
    let mut params = Params::default();
    params.set("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    params.set("device_code", device_code.expose());
    if let Some(verifier) = verifier {
        params.set("code_verifier", verifier.expose());
    }
    authenticate(&mut request, &mut params, oauth, device.client_auth.unwrap_or(oauth.client_auth), &values, client)?;
    params.set("client_id", &client.id);
    params.extend(&oauth.token_params, &values)?;
    params.put(&mut request, oauth.token_body)?;
    Ok(request)
}

/// Reads the answer to the first request (RFC 8628 section 3.2). `interval` and `verification_uri_complete` may be absent, and
/// `verification_url` is what some wrote before the RFC.
///
/// # Errors
/// [`TokenFailure`] says what the caller may conclude.
pub fn parse_device_answer(oauth: &Oauth2, response: &HttpResponse, now: Timestamp) -> Result<DeviceAnswer, TokenFailure> {
    if let Some(failure) = classified(oauth, response, now) {
        return Err(failure);
    }
    let body = read(response).filter(|_| (200..300).contains(&response.status)).ok_or_else(|| passing(response, now))?;
    let malformed = |what: &str| TokenFailure::Passing { error: err!(MalformedAnswer, "{what}").with("status", response.status) };
    let text = |names: &[&str]| names.iter().find_map(|name| body[*name].as_str()).filter(|text| !text.is_empty());
    let shown = |text: &str| text.len() <= LONGEST_CODE && text.chars().all(|c| !c.is_control());
    let device_code = text(&["device_code"]).ok_or_else(|| malformed("the answer holds no device code"))?;
    let user_code = text(&["user_code"]).filter(|code| shown(code)).ok_or_else(|| malformed("the answer holds no user code"))?;
    let page =
        |text: &str| Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host()).map(String::from);
    let verification_uri = text(&["verification_uri", "verification_url"]).and_then(page);
    let interval = body["interval"].as_f64().or_else(|| body["interval"].as_str()?.parse().ok()).filter(|seconds| *seconds > 0.0);
    Ok(DeviceAnswer {
        device_code: Secret::new(device_code),
        user_code: user_code.to_owned(),
        verification_uri: verification_uri.ok_or_else(|| malformed("the answer names no page for the user code"))?,
        verification_uri_complete: text(&["verification_uri_complete", "verification_url_complete"]).and_then(page),
        expires_in: lifetime(Some(&body["expires_in"]).filter(|value| **value != Json::Null), now),
        interval: interval.map_or(INTERVAL, |seconds| Duration::from_secs_f64(seconds.min(LONGEST_INTERVAL.as_secs_f64()))),
    })
}

/// What a poll that brought no tokens means (RFC 8628 section 3.5).
#[derive(Debug, PartialEq, Eq)]
pub enum Pending {
    /// The user has not decided yet.
    Wait,
    /// Poll more seldom: five seconds more from now on.
    SlowDown,
    /// Trouble that may pass: poll again, more seldom for now.
    Trouble,
    /// The user refused.
    Denied,
    /// The codes' time is over.
    Expired,
    /// It is over, for this reason.
    Over(TokenFailure),
}

/// Reads a poll that brought no tokens. An unknown code may be a bare 404.
pub fn pending(status: u16, failure: TokenFailure) -> Pending {
    let said = match &failure {
        TokenFailure::Final { provider_error }
        | TokenFailure::Suspended { provider_error }
        | TokenFailure::Client { provider_error }
        | TokenFailure::Refused { provider_error } => provider_error.as_str(),
        TokenFailure::Passing { error } => error.info().context.get("provider_error").map_or("", String::as_str),
    };
    match (said, &failure) {
        ("authorization_pending", _) => Pending::Wait,
        ("slow_down", _) => Pending::SlowDown,
        ("access_denied" | "authorization_declined", _) => Pending::Denied,
        ("expired_token" | "code_expired", _) => Pending::Expired,
        (_, TokenFailure::Passing { .. }) => match status {
            429 => Pending::SlowDown,
            404 => Pending::Over(TokenFailure::Refused { provider_error: "http_404".to_owned() }),
            _ => Pending::Trouble,
        },
        _ => Pending::Over(failure),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::http::protocol::{fixture::oauth, parse_token_answer};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.into() }
    }

    /// Tokens may come as XML; the first answer is JSON all the same.
    #[test]
    fn each_request_accepts_what_its_answer_is_read_as() {
        let device: Device = serde_json::from_value(serde_json::json!({"url": "https://p.example/device"})).unwrap();
        let client = ClientCredentials::default();
        for (format, of_tokens) in [(AnswerFormat::Auto, "application/json"), (AnswerFormat::Xml, "application/xml")] {
            let mut oauth = oauth();
            oauth.answer.format = format;
            let first = device_request(&oauth, &device, &Values::new(), &client, &[], None).unwrap();
            let poll = poll_request(&oauth, &device, &Values::new(), &client, &Secret::new("d"), None).unwrap();
            for (request, accepted) in [(first, "application/json"), (poll, of_tokens)] {
                let accept = request.headers.iter().find(|(name, _)| name == "accept").map(|(_, value)| value.to_string());
                assert_eq!(accept.as_deref(), Some(accepted), "{}", request.url);
            }
        }
    }

    #[test]
    fn first_answers_take_many_forms() {
        let read = |body: &str| parse_device_answer(&oauth(), &answer(200, body), NOW);
        let full = read(
            r#"{"device_code":"d","user_code":"AB-CD","verification_uri":"https://p.example/device",
                "verification_uri_complete":"https://p.example/device?user_code=AB-CD","expires_in":900,"interval":7}"#,
        )
        .unwrap();
        assert_eq!((full.user_code.as_str(), full.interval.as_secs(), full.expires_in.unwrap().as_secs()), ("AB-CD", 7, 900));
        assert!(full.verification_uri_complete.is_some() && !format!("{full:?}").contains("AB-CD"));
        // oidc-provider states no interval, Django OAuth Toolkit no complete URI; Google calls the page a URL.
        let bare =
            read(r#"{"device_code":"d","user_code":"ABCD","verification_url":"https://p.example/device","expires_in":"1800"}"#).unwrap();
        assert_eq!((bare.interval.as_secs(), bare.expires_in.unwrap().as_secs()), (5, 1800));
        assert_eq!(bare.verification_uri_complete, None);
        for (interval, wanted) in [("0", 5.0), ("-1", 5.0), ("\"2\"", 2.0), ("0.5", 0.5), ("1e9", 120.0), ("null", 5.0)] {
            let body = format!(r#"{{"device_code":"d","user_code":"A","verification_uri":"https://p.example","interval":{interval}}}"#);
            assert!((read(&body).unwrap().interval.as_secs_f64() - wanted).abs() < 1e-9, "{interval}");
        }
        for bad in [
            "{}",
            "<html>",
            r#"{"device_code":"","user_code":"A","verification_uri":"https://p.example"}"#,
            r#"{"device_code":"d","verification_uri":"https://p.example"}"#,
            r#"{"device_code":"d","user_code":"A\n","verification_uri":"https://p.example"}"#,
            r#"{"device_code":"d","user_code":"A","verification_uri":"javascript:alert(1)"}"#,
        ] {
            assert!(matches!(read(bad), Err(TokenFailure::Passing { .. })), "{bad}");
        }
        let error = r#"{"error":"unauthorized_client"}"#;
        assert!(matches!(parse_device_answer(&oauth(), &answer(400, error), NOW), Err(TokenFailure::Client { .. })));
    }

    #[test]
    fn s14_polls_are_classed() {
        let class = |status: u16, body: &str| pending(status, parse_token_answer(&oauth(), &answer(status, body), NOW).unwrap_err());
        let error = |code: &str| format!(r#"{{"error":"{code}"}}"#);
        assert_eq!(class(400, &error("authorization_pending")), Pending::Wait);
        // GitHub answers 200 to everything.
        assert_eq!(class(200, &error("authorization_pending")), Pending::Wait);
        assert_eq!(class(400, &error("slow_down")), Pending::SlowDown);
        assert_eq!(class(429, &error("slow_down")), Pending::SlowDown);
        assert_eq!(class(400, &error("access_denied")), Pending::Denied);
        assert_eq!(class(401, &error("access_denied")), Pending::Denied);
        assert_eq!(class(400, &error("expired_token")), Pending::Expired);
        for (status, body) in [(503, "".to_owned()), (500, error("server_error")), (302, "".to_owned()), (200, "<html>".to_owned())] {
            assert_eq!(class(status, &body), Pending::Trouble, "{status}");
        }
        for (status, body) in
            [(404, "".to_owned()), (404, error("device_not_found")), (400, error("invalid_grant")), (401, error("invalid_client"))]
        {
            assert!(matches!(class(status, &body), Pending::Over(_)), "{status} {body}");
        }
    }
}
