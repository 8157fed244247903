use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{ClientCredentials, USER_AGENT, assertion};
use crate::{
    Secret,
    error::{Result, bail},
    manifest::{
        AnswerFormat, ClientAuth, Oauth2, RevokeToken, Step, TokenBody,
        template::{self, Values},
    },
    plugin::HttpRequest,
};

/// The parameters of one request; the first that sets a name wins, so the flow's own go in before the manifest's. The manifest
/// may leave one of the flow's own out, and names the grant as its provider does; it never sets another code, token or client.
#[derive(Default)]
pub(super) struct Params(BTreeMap<String, Zeroizing<String>>);

impl Params {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.entry(name.to_owned()).or_insert_with(|| Zeroizing::new(value.to_owned()));
    }

    pub(super) fn extend(&mut self, templates: &BTreeMap<String, String>, values: &Values<'_>) -> Result<()> {
        for (name, value) in templates {
            if value.is_empty() || name == "grant_type" {
                self.0.remove(name);
            }
            if !value.is_empty() {
                let value = Zeroizing::new(template::text(value, values)?);
                self.set(name, &value);
            }
        }
        Ok(())
    }

    fn form(&self) -> Zeroizing<String> {
        // Enough room for every value escaped: growing would leave copies of secrets behind.
        let room = self.0.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
        form.extend_pairs(self.0.iter().map(|(name, value)| (name, value.as_str())));
        Zeroizing::new(form.finish())
    }

    /// Puts them into the body; into the query where the request has none.
    pub(super) fn put(&self, request: &mut HttpRequest, body: TokenBody) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let body = if request.method == "GET" { TokenBody::Query } else { body };
        match body {
            TokenBody::Query => {
                request.url.query_pairs_mut().extend_pairs(self.0.iter().map(|(name, value)| (name, value.as_str())));
            }
            TokenBody::Form => request.set_body("application/x-www-form-urlencoded", self.form().as_bytes()),
            TokenBody::Json => {
                let plain: BTreeMap<&str, &str> = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                match serde_json::to_vec(&plain) {
                    Ok(body) => request.set_body("application/json", body),
                    Err(_) => bail!(Internal, "a token request could not be written"),
                }
            }
        }
        Ok(())
    }
}

/// Puts the client's proof into the request (RFC 6749 section 2.3, RFC 7523 section 2.2). A client without secret states its id only.
pub(super) fn authenticate(
    request: &mut HttpRequest,
    params: &mut Params,
    oauth: &Oauth2,
    how: ClientAuth,
    values: &Values<'_>,
    client: &ClientCredentials,
) -> Result<()> {
    match (how, &client.secret) {
        (ClientAuth::PrivateKeyJwt | ClientAuth::ClientSecretJwt, _) => {
            params.set("client_id", &client.id);
            params.set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            params.set("client_assertion", assertion::of_client(oauth, how, values, client)?.expose());
        }
        (ClientAuth::Basic, Some(secret)) => {
            let encode = |text: &str| Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
            let pair = Zeroizing::new(format!("{}:{}", *encode(&client.id), *encode(secret.expose())));
            let header = Zeroizing::new(format!("Basic {}", *Zeroizing::new(Base64::encode_string(pair.as_bytes()))));
            request.set_header("authorization", &header)?;
        }
        (ClientAuth::Body, Some(secret)) => {
            params.set("client_id", &client.id);
            params.set("client_secret", secret.expose());
        }
        (ClientAuth::TlsClientAuth | ClientAuth::SelfSignedTlsClientAuth, _) => {
            params.set("client_id", &client.id);
            let Some(identity) = &client.identity else {
                bail!(ProjectInvalid, "the client names no certificate, by which it would prove itself")
            };
            request.identity = Some(identity.clone());
        }
        // Values that prove themselves come without a client.
        (ClientAuth::None, _) | (_, None) if client.id.is_empty() => {}
        (ClientAuth::None, _) | (_, None) => params.set("client_id", &client.id),
    }
    Ok(())
}

pub(super) fn client_values<'a>(values: &Values<'a>, client: &'a ClientCredentials) -> Values<'a> {
    let values = values.clone().first("client_id", &client.id);
    match &client.secret {
        Some(secret) => values.first("client_secret", secret.expose()),
        None => values,
    }
}

pub(super) fn begin(oauth: &Oauth2, method: &str, url: url::Url, values: &Values<'_>) -> Result<HttpRequest> {
    begin_for(oauth.answer.format, oauth, method, url, values)
}

/// The same where the answer has a form of its own.
pub(super) fn begin_for(format: AnswerFormat, oauth: &Oauth2, method: &str, url: url::Url, values: &Values<'_>) -> Result<HttpRequest> {
    let mut request = HttpRequest::new(method, url);
    let answers = match format {
        AnswerFormat::Auto => "application/json",
        AnswerFormat::Xml => "application/xml",
    };
    request.set_header("accept", answers)?;
    request.set_header("user-agent", USER_AGENT)?;
    for (name, value) in &oauth.token_headers {
        request.set_header(name, &Zeroizing::new(template::text(value, values)?))?;
    }
    Ok(request)
}

fn token_method(oauth: &Oauth2) -> &str {
    oauth.token_method.as_deref().unwrap_or("POST")
}

/// Headers and parameters of a manifest's own request, such as a step or a verification.
///
/// # Errors
/// Those of [`template::text`]; `invalid_request` when a header could not carry its value.
pub fn fill_request(
    request: &mut HttpRequest,
    headers: &BTreeMap<String, String>,
    params: &BTreeMap<String, String>,
    body: TokenBody,
    values: &Values<'_>,
) -> Result<()> {
    for (name, value) in headers {
        request.set_header(name, &Zeroizing::new(template::text(value, values)?))?;
    }
    let mut filled = Params::default();
    filled.extend(params, values)?;
    filled.put(request, body)
}

/// A step whose answer is a token answer: nothing but what the manifest names goes into it.
///
/// # Errors
/// As [`exchange_request`].
pub fn token_step_request(
    oauth: &Oauth2,
    step: &Step,
    base_url: Option<&str>,
    values: &Values<'_>,
    client: &ClientCredentials,
) -> Result<HttpRequest> {
    let values = client_values(values, client);
    let url = template::url_below(base_url, &step.url, &values)?;
    let mut request = begin(oauth, step.method.as_deref().unwrap_or("GET"), url, &values)?;
    fill_request(&mut request, &step.headers, &step.params, step.body, &values)?;
    Ok(request)
}

/// The request that exchanges a code (RFC 6749 section 4.1.3). Send it once: a code whose bytes went out is spent.
///
/// # Errors
/// Those of [`template::url`] and [`template::text`]; `invalid_request` when a header could not carry its value.
pub fn exchange_request(
    oauth: &Oauth2,
    values: &Values<'_>,
    client: &ClientCredentials,
    code: &Secret,
    redirect_uri: &str,
    verifier: Option<&Secret>,
) -> Result<HttpRequest> {
    let mut values = client_values(values, client).first("code", code.expose()).first("redirect_uri", redirect_uri);
    if let Some(verifier) = verifier {
        values = values.first("code_verifier", verifier.expose());
    }
    let mut request = begin(oauth, token_method(oauth), template::url(oauth.token_endpoint(), &values)?, &values)?;
    let mut params = Params::default();
    params.set("grant_type", "authorization_code");
    params.set("code", code.expose());
    params.set("redirect_uri", redirect_uri);
    if let Some(verifier) = verifier {
        params.set("code_verifier", verifier.expose());
    }
    authenticate(&mut request, &mut params, oauth, oauth.client_auth, &values, client)?;
    params.extend(&oauth.token_params, &values)?;
    params.put(&mut request, oauth.token_body)?;
    Ok(request)
}

/// The request that renews tokens (RFC 6749 section 6). No `scopes`: the grant's own.
///
/// # Errors
/// As [`exchange_request`].
pub fn refresh_request(
    oauth: &Oauth2,
    values: &Values<'_>,
    client: &ClientCredentials,
    refresh_token: &Secret,
    scopes: &[String],
) -> Result<HttpRequest> {
    let values = client_values(values, client).first("refresh_token", refresh_token.expose());
    let url = oauth.refresh_endpoint();
    let mut request = begin(oauth, token_method(oauth), template::url(url, &values)?, &values)?;
    let mut params = Params::default();
    params.set("grant_type", "refresh_token");
    params.set("refresh_token", refresh_token.expose());
    if !scopes.is_empty() {
        params.set("scope", &scopes.join(oauth.scopes.separator.as_deref().unwrap_or(" ")));
    }
    authenticate(&mut request, &mut params, oauth, oauth.client_auth, &values, client)?;
    params.extend(&oauth.refresh_params, &values)?;
    params.put(&mut request, oauth.token_body)?;
    Ok(request)
}

/// The requests that end a grant (RFC 7009 section 2.1), in the order to send them; none where the manifest states no
/// revocation or there is no token of the wanted sort.
///
/// Parameters go into the query of a `GET` and into the body of everything else. Without `params` they are `token` and
/// `token_type_hint`, unless the URL or a header names `{token}`.
///
/// # Errors
/// As [`exchange_request`].
pub fn revoke_requests(
    oauth: &Oauth2,
    values: &Values<'_>,
    client: &ClientCredentials,
    access: Option<&Secret>,
    refresh: Option<&Secret>,
) -> Result<Vec<HttpRequest>> {
    let Some(revoke) = &oauth.revoke else { return Ok(Vec::new()) };
    let access = access.map(|token| (token, "access_token"));
    let refresh = refresh.map(|token| (token, "refresh_token"));
    let tokens: Vec<_> = match revoke.token {
        RevokeToken::Refresh => refresh.or(access).into_iter().collect(),
        RevokeToken::Access => access.into_iter().collect(),
        RevokeToken::Both => refresh.into_iter().chain(access).collect(),
    };
    let method = revoke.method.as_deref().unwrap_or("POST");
    let names_token = |text: &String| template::placeholders(text).is_ok_and(|names| names.iter().any(|name| name == "token"));
    // What `Authorization: Bearer {token}` says already needs no body; some providers refuse one there.
    let stated = std::iter::once(&revoke.url).chain(revoke.headers.values()).any(names_token);
    let mut requests = Vec::new();
    for (token, hint) in tokens {
        let values = client_values(values, client).first("token", token.expose()).first("token_type_hint", hint);
        let mut request = begin(oauth, method, template::url(oauth.revoke_endpoint(revoke), &values)?, &values)?;
        for (name, value) in &revoke.headers {
            request.set_header(name, &Zeroizing::new(template::text(value, &values)?))?;
        }
        let mut params = Params::default();
        match revoke.client_auth.unwrap_or(oauth.client_auth) {
            // Where the manifest lists the parameters itself, nothing is added that proves nothing.
            ClientAuth::None if stated || !revoke.params.is_empty() => {}
            how => authenticate(&mut request, &mut params, oauth, how, &values, client)?,
        }
        if !revoke.params.is_empty() {
            params.extend(&revoke.params, &values)?;
        } else if !stated {
            params.set("token", token.expose());
            params.set("token_type_hint", hint);
        }
        params.put(&mut request, revoke.body)?;
        requests.push(request);
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{http::protocol::fixture::oauth, manifest::Revoke};

    fn client(secret: Option<&str>) -> ClientCredentials {
        ClientCredentials { id: "id:1".to_owned(), secret: secret.map(Secret::new), identity: None, now: crate::Timestamp::default() }
    }

    fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
        request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    fn form(request: &HttpRequest) -> BTreeMap<String, String> {
        form_urlencoded::parse(&request.body.0).into_owned().collect()
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn exchanges_with_basic() {
        let mut oauth = oauth();
        oauth.token_params = map(&[("code", "evil"), ("redirect_uri", "evil"), ("client_id", "{client_id}"), ("extra", "{client_secret}")]);
        oauth.token_headers = map(&[("authorization", "evil"), ("x-version", "{v}"), ("accept", "application/vnd.x+json")]);
        let client = client(Some("p&ss ü"));
        let values = Values::new().one("v", "7");
        let verifier = Secret::new("ver");
        let request = exchange_request(&oauth, &values, &client, &"c&d".into(), "https://app.test/cb", Some(&verifier)).unwrap();
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://provider.example/token"));
        // RFC 6749 section 2.3.1: id and secret are form-encoded before they are joined.
        let expected = format!("Basic {}", Base64::encode_string(b"id%3A1:p%26ss+%C3%BC"));
        assert_eq!(header(&request, "authorization"), Some(expected.as_str()));
        assert_eq!(header(&request, "accept"), Some("application/vnd.x+json"));
        assert_eq!(header(&request, "user-agent"), Some(USER_AGENT));
        assert_eq!(header(&request, "x-version"), Some("7"));
        assert_eq!(header(&request, "content-type"), Some("application/x-www-form-urlencoded"));
        let wanted = map(&[
            ("grant_type", "authorization_code"),
            ("code", "c&d"),
            ("redirect_uri", "https://app.test/cb"),
            ("code_verifier", "ver"),
            ("client_id", "id:1"),
            ("extra", "p&ss ü"),
        ]);
        assert_eq!(form(&request), wanted);
    }

    #[test]
    fn parameters_go_by_the_providers_names() {
        let mut oauth = oauth();
        oauth.client_auth = ClientAuth::Body;
        let renamed = [("client_id", ""), ("client_key", "{client_id}"), ("code", ""), ("auth_code", "{code}"), ("redirect_uri", "")];
        oauth.token_params = map(&renamed);
        oauth.token_params.insert("sign".to_owned(), "{client_id:code|hmac:client_secret}".to_owned());
        let request = exchange_request(&oauth, &Values::new(), &client(Some("s")), &"c".into(), "https://app.test/cb", None).unwrap();
        let wanted = map(&[
            ("grant_type", "authorization_code"),
            ("client_key", "id:1"),
            ("client_secret", "s"),
            ("auth_code", "c"),
            // Python: hmac.new(b"s", b"id:1:c", "sha256").hexdigest()
            ("sign", "6f01d85552fcca2a5964ed570c7c602dc0be894998911d81adae4659af3d9d15"),
        ]);
        assert_eq!(form(&request), wanted);

        oauth.token_method = Some("GET".to_owned());
        oauth.refresh_params = map(&[("grant_type", "ig_refresh_token"), ("refresh_token", ""), ("access_token", "{refresh_token}")]);
        let request = refresh_request(&oauth, &Values::new(), &client(Some("s")), &"r&t".into(), &[]).unwrap();
        let query = "access_token=r%26t&client_id=id%3A1&client_secret=s&grant_type=ig_refresh_token";
        assert_eq!((request.method.as_str(), request.url.query(), request.body.0.is_empty()), ("GET", Some(query), true));
        oauth.token_method = None;
        oauth.token_body = TokenBody::Query;
        let request = refresh_request(&oauth, &Values::new(), &client(Some("s")), &"r&t".into(), &[]).unwrap();
        assert_eq!((request.method.as_str(), request.url.query(), request.body.0.is_empty()), ("POST", Some(query), true));
    }

    #[test]
    fn refreshes_with_body_and_json() {
        let mut oauth = oauth();
        oauth.client_auth = ClientAuth::Body;
        oauth.token_body = TokenBody::Json;
        oauth.refresh_url = Some("https://provider.example/refresh".to_owned());
        let request =
            refresh_request(&oauth, &Values::new(), &client(Some("s")), &"r\"t".into(), &["a".to_owned(), "b".to_owned()]).unwrap();
        assert_eq!(request.url.path(), "/refresh");
        assert_eq!(header(&request, "authorization"), None);
        let body: crate::model::Json = serde_json::from_slice(&request.body.0).unwrap();
        let wanted = serde_json::json!({"grant_type": "refresh_token", "refresh_token": "r\"t", "scope": "a b", "client_id": "id:1", "client_secret": "s"});
        assert_eq!(body, wanted);
    }

    #[test]
    fn a_public_client_states_its_id() {
        for how in [ClientAuth::Basic, ClientAuth::Body, ClientAuth::None] {
            let mut oauth = oauth();
            oauth.client_auth = how;
            let request = refresh_request(&oauth, &Values::new(), &client(None), &"rt".into(), &[]).unwrap();
            assert_eq!(header(&request, "authorization"), None);
            assert_eq!(form(&request), map(&[("grant_type", "refresh_token"), ("refresh_token", "rt"), ("client_id", "id:1")]));
        }
    }

    #[test]
    fn revokes_what_the_manifest_names() {
        let (access, refresh) = (Secret::new("at"), Secret::new("rt"));
        let mut oauth = oauth();
        let client = client(Some("s"));
        assert!(revoke_requests(&oauth, &Values::new(), &client, Some(&access), Some(&refresh)).unwrap().is_empty());
        let revoke = |token| Revoke {
            url: "https://provider.example/revoke".to_owned(),
            token,
            method: None,
            params: BTreeMap::new(),
            client_auth: None,
            body: TokenBody::Form,
            headers: BTreeMap::new(),
            success: None,
            gone_errors: Vec::new(),
            gone_statuses: Vec::new(),
            shared_grant: false,
        };
        let sent = |oauth: &Oauth2, access: Option<&Secret>, refresh: Option<&Secret>| -> Vec<String> {
            let requests = revoke_requests(oauth, &Values::new(), &client, access, refresh).unwrap();
            requests.iter().map(|r| String::from_utf8(r.body.0.to_vec()).unwrap()).collect()
        };
        let (a, r) = ("token=at&token_type_hint=access_token", "token=rt&token_type_hint=refresh_token");
        for (token, both, only_access, only_refresh) in [
            (RevokeToken::Refresh, vec![r], vec![a], vec![r]),
            (RevokeToken::Access, vec![a], vec![a], vec![]),
            (RevokeToken::Both, vec![r, a], vec![a], vec![r]),
        ] {
            oauth.revoke = Some(revoke(token));
            assert_eq!(sent(&oauth, Some(&access), Some(&refresh)), both);
            assert_eq!(sent(&oauth, Some(&access), None), only_access);
            assert_eq!(sent(&oauth, None, Some(&refresh)), only_refresh);
        }

        let mut odd = revoke(RevokeToken::Access);
        odd.url = "https://provider.example/apps/{client_id}/grant".to_owned();
        odd.method = Some("delete".to_owned());
        odd.params = map(&[("access_token", "{token}")]);
        odd.body = TokenBody::Json;
        oauth.revoke = Some(odd.clone());
        let request = revoke_requests(&oauth, &Values::new(), &client, Some(&access), None).unwrap().remove(0);
        assert_eq!((request.method.as_str(), request.url.path()), ("DELETE", "/apps/id%3A1/grant"));
        assert_eq!(*request.body.0, br#"{"access_token":"at"}"#);
        assert!(header(&request, "authorization").is_some());

        odd.method = Some("GET".to_owned());
        odd.client_auth = Some(ClientAuth::None);
        oauth.revoke = Some(odd.clone());
        let request = revoke_requests(&oauth, &Values::new(), &client, Some(&access), None).unwrap().remove(0);
        assert_eq!(request.url.query(), Some("access_token=at"));
        assert!(header(&request, "authorization").is_none() && request.body.0.is_empty());

        odd.method = None;
        odd.params.clear();
        odd.headers = map(&[("Authorization", "Bearer {token}")]);
        oauth.revoke = Some(odd.clone());
        let request = revoke_requests(&oauth, &Values::new(), &client, Some(&access), None).unwrap().remove(0);
        assert_eq!((request.method.as_str(), header(&request, "authorization")), ("POST", Some("Bearer at")));
        assert!(request.body.0.is_empty() && header(&request, "content-type").is_none() && request.url.query().is_none());

        odd.url = "https://provider.example/revoke?t={token}".to_owned();
        odd.params.clear();
        oauth.revoke = Some(odd);
        let request = revoke_requests(&oauth, &Values::new(), &client, Some(&access), None).unwrap().remove(0);
        assert_eq!(request.url.query(), Some("t=at"));
    }

    #[test]
    fn s54_a_form_has_only_its_own_fields() {
        for payload in ["a&grant_type=evil", "a=b", "a\r\nx: y", "%26b=c", "+", "\u{0}", "ü&", ";b=c", "a#b"] {
            let request = refresh_request(&oauth(), &Values::new(), &client(None), &payload.into(), &[payload.to_owned()]).unwrap();
            let form = form(&request);
            assert_eq!(form.len(), 4, "{payload:?}");
            assert_eq!(form["refresh_token"], payload);
            assert_eq!(form["grant_type"], "refresh_token");
        }
    }
}
