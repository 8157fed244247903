//! From entered values to an access token: client credentials (RFC 6749 section 4.4), JWT bearer (RFC 7523 section 2.1), and
//! login requests of an application's own form.

use super::{
    ClientCredentials, TokenFailure, TokenSet, assertion, parse_token_answer, place, place_in_body,
    requests::{Params, authenticate, begin, client_values},
};
use crate::{
    Timestamp,
    error::Result,
    manifest::{
        KeyGrant, KeyToken, Oauth2,
        template::{self, Values},
    },
    plugin::{HttpRequest, HttpResponse},
};

/// The request for a token. It may be made again at any time: nothing in it is spent.
///
/// # Errors
/// Those of [`template::url`] and [`template::text`]; `invalid_inputs` or `project_invalid` for a key that cannot sign.
pub fn key_token_request(
    token: &KeyToken,
    values: &Values<'_>,
    client: Option<&ClientCredentials>,
    scopes: &[String],
    now: Timestamp,
) -> Result<HttpRequest> {
    let rules = token.rules();
    let scope = scopes.join(rules.scopes.separator.as_deref().unwrap_or(" "));
    let mut values = values.clone().first("scope", &scope);
    if let Some(client) = client {
        values = client_values(&values, client);
    }
    let url = template::url(&token.url, &values)?;
    let assertion = match &token.assertion {
        Some(jwt) => Some(assertion::of_values(jwt, url.as_str(), &values, now)?),
        None => None,
    };
    if let Some(assertion) = &assertion {
        values = values.first("assertion", assertion.expose());
    }
    let method = token.method.as_deref().unwrap_or("POST");
    let mut request = begin(&rules, method, url, &values)?;
    let mut params = Params::default();
    let kind = match token.grant {
        KeyGrant::ClientCredentials => Some("client_credentials"),
        KeyGrant::JwtBearer => Some("urn:ietf:params:oauth:grant-type:jwt-bearer"),
        KeyGrant::Login => None,
    };
    if let Some(kind) = kind {
        params.set("grant_type", kind);
        if let Some(assertion) = assertion.as_ref().filter(|_| token.grant == KeyGrant::JwtBearer) {
            params.set("assertion", assertion.expose());
        }
        // Some say what they ask for in a claim.
        let claimed = token.assertion.iter().flat_map(|jwt| jwt.claims.values()).any(|claim| claim.contains("{scope}"));
        if !scope.is_empty() && !claimed {
            params.set(rules.scopes.param.as_deref().unwrap_or("scope"), &scope);
        }
    }
    if let Some(client) = client {
        authenticate(&mut request, &mut params, &rules, rules.client_auth, &values, client)?;
    }
    match &token.xml {
        Some(document) => {
            // The manifest's headers may name another sort of XML: SOAP 1.1 wants `text/xml`.
            let named = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
            let kind = named.map_or_else(|| "application/xml".to_owned(), |(_, kind)| kind.to_string());
            request.set_body(&kind, template::xml(document, &values)?.as_bytes());
        }
        None => {
            params.extend(&token.params, &values)?;
            params.put(&mut request, token.body)?;
        }
    }
    if let Some(placement) = &token.placement {
        place(&mut request, placement, &values)?;
        place_in_body(&mut request, placement, &values)?;
    }
    Ok(request)
}

/// Reads the answer. Where the values prove the request, a refused client is refused values: the user must enter them anew.
///
/// # Errors
/// [`TokenFailure`] says what the caller may conclude.
pub fn key_token_answer(token: &KeyToken, rules: &Oauth2, answer: &HttpResponse, now: Timestamp) -> Result<TokenSet, TokenFailure> {
    let by_values = token.proves_by_values();
    let rejected: &[u16] = match token.rejected.is_empty() {
        true if by_values => &[401, 403],
        _ => &token.rejected,
    };
    match parse_token_answer(rules, answer, now) {
        Err(TokenFailure::Client { provider_error }) if by_values => Err(TokenFailure::Final { provider_error }),
        Err(TokenFailure::Refused { .. } | TokenFailure::Passing { .. } | TokenFailure::Client { .. })
            if rejected.contains(&answer.status) =>
        {
            Err(TokenFailure::Final { provider_error: format!("http_{}", answer.status) })
        }
        read => read,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// SOAP 1.1 wants `text/xml`: what the manifest's headers say of the document stays.
    #[test]
    fn a_document_is_sent_as_the_headers_say() {
        for (headers, wanted) in [("{}", "application/xml"), ("{ Content-Type = 'text/xml; charset=utf-8' }", "text/xml; charset=utf-8")] {
            let token: KeyToken = toml::from_str(&format!(
                "grant = 'login'\nurl = 'https://acme.example.com/login'\nxml = '<login><key>{{key}}</key></login>'\nheaders = {headers}"
            ))
            .unwrap();
            let request = key_token_request(&token, &Values::new().one("key", "a&b"), None, &[], Timestamp::from_millis(0)).unwrap();
            let kinds: Vec<&str> = request
                .headers
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"))
                .map(|(_, kind)| kind.as_str())
                .collect();
            assert_eq!(kinds, [wanted]);
            assert_eq!(request.body.0.as_slice(), b"<login><key>a&amp;b</key></login>");
        }
    }
}
