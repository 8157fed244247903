use url::Url;

use crate::{
    Secret,
    error::Result,
    ids,
    manifest::{
        Oauth2, Pkce, StateIn,
        template::{self, Values},
    },
};

/// Parameters that no manifest can set: they carry the flow's own security.
const RESERVED: [&str; 7] = ["client_id", "redirect_uri", "state", "response_type", "code_challenge", "code_challenge_method", "scope"];

/// Parameters that a manifest may leave out, to send them under the provider's own names.
const LEAVABLE: [&str; 4] = ["client_id", "redirect_uri", "response_type", "scope"];

/// A fresh verifier of 43 characters and its S256 challenge (RFC 7636 sections 4.1 and 4.2).
///
/// # Errors
/// `internal` when the operating system gives no random bytes.
pub fn pkce() -> Result<(Secret, String)> {
    let verifier = ids::new_token()?;
    let challenge = ids::fingerprint(&verifier);
    Ok((Secret::new(verifier), challenge))
}

/// The URL that the user's browser opens (RFC 6749 section 4.1.1). No `challenge` means no PKCE; no `scopes`, no scope
/// parameter. Templates may also name `{client_id}`.
///
/// # Errors
/// Those of [`template::url`].
pub fn authorize_url(
    oauth: &Oauth2,
    values: &Values<'_>,
    client_id: &str,
    redirect_uri: &str,
    state: &str,
    challenge: Option<&str>,
    scopes: &[String],
) -> Result<Url> {
    let scope = scopes.join(oauth.scopes.separator.as_deref().unwrap_or(" "));
    let values = values.clone().first("client_id", client_id).first("redirect_uri", redirect_uri).first("scope", &scope);
    let mut url = template::url(&oauth.authorize_url, &values)?;
    let scope_param = oauth.scopes.param.as_deref().unwrap_or("scope");
    let ours = |name: &str| RESERVED.contains(&name) || name == scope_param;

    let mut params: Vec<(String, String)> =
        url.query_pairs().filter(|(name, _)| !ours(name)).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    for (name, value) in &oauth.authorize_params {
        if !ours(name) && !value.is_empty() {
            params.retain(|(n, _)| n != name);
            params.push((name.clone(), template::text(value, &values)?));
        }
    }
    // What carries the flow's security is always there; the rest may go by another name.
    let left_out = |name: &str| LEAVABLE.contains(&name) && oauth.authorize_params.get(name).is_some_and(String::is_empty);
    let mut query = url.query_pairs_mut();
    query.clear();
    for (name, value) in [("response_type", "code"), ("client_id", client_id), ("redirect_uri", redirect_uri)] {
        if !left_out(name) {
            query.append_pair(name, value);
        }
    }
    // Elsewhere it stands in the redirect URI.
    if oauth.callback.state == StateIn::Param {
        query.append_pair("state", state);
    }
    if let Some(challenge) = challenge {
        let method = if oauth.pkce == Pkce::Plain { "plain" } else { "S256" };
        query.append_pair("code_challenge", challenge).append_pair("code_challenge_method", method);
    }
    if !scope.is_empty() && !left_out("scope") {
        query.append_pair(scope_param, &scope);
    }
    query.extend_pairs(params);
    drop(query);
    Ok(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::http::protocol::fixture::oauth;

    fn pairs(url: &Url) -> Vec<(String, String)> {
        url.query_pairs().into_owned().collect()
    }

    #[test]
    fn s07_each_flow_has_its_own_verifier() {
        let made: Vec<_> = (0..100).map(|_| pkce().unwrap()).collect();
        assert_eq!(made.iter().map(|(v, _)| v.expose().to_owned()).collect::<HashSet<_>>().len(), 100);
        assert!(made.iter().all(|(v, c)| v.expose().len() == 43 && c.len() == 43 && v.expose() != c));
        // RFC 7636 appendix B.
        assert_eq!(ids::fingerprint("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_manifest_overrides_nothing_of_the_flow() {
        let mut oauth = oauth();
        oauth.authorize_url =
            "https://{shop}.example.com/authorize?state=x&client_id=x&keep=1&redirect_uri=https://evil.test&user_scope=evil".to_owned();
        oauth.scopes.param = Some("user_scope".to_owned());
        oauth.scopes.separator = Some(",".to_owned());
        for name in RESERVED.iter().chain(&["user_scope"]) {
            oauth.authorize_params.insert((*name).to_owned(), "evil".to_owned());
        }
        oauth.authorize_params.insert("audience".to_owned(), "for {shop} & {client_id}".to_owned());
        let inputs = BTreeMap::from([("shop".to_owned(), "acme".to_owned()), ("client_id".to_owned(), "evil".to_owned())]);
        let url = authorize_url(
            &oauth,
            &Values::new().map(&inputs),
            "id&1",
            "https://app.test/cb?a=b",
            "st",
            Some("ch"),
            &["a".to_owned(), "b:c".to_owned()],
        )
        .unwrap();
        assert!(url.as_str().starts_with("https://acme.example.com/authorize?"));
        let expected = [
            ("response_type", "code"),
            ("client_id", "id&1"),
            ("redirect_uri", "https://app.test/cb?a=b"),
            ("state", "st"),
            ("code_challenge", "ch"),
            ("code_challenge_method", "S256"),
            ("user_scope", "a,b:c"),
            ("keep", "1"),
            ("audience", "for acme & id&1"),
        ];
        assert_eq!(pairs(&url), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn parameters_go_by_the_providers_names() {
        let mut oauth = oauth();
        oauth.pkce = Pkce::Plain;
        oauth.callback.state = StateIn::RedirectQuery;
        for (name, value) in [
            ("client_id", ""),
            ("client_key", "{client_id}"),
            ("code_challenge", ""),
            ("response_type", ""),
            ("scope", ""),
            ("perms", "x {scope}"),
        ] {
            oauth.authorize_params.insert(name.to_owned(), value.to_owned());
        }
        let url = authorize_url(&oauth, &Values::new(), "id", "https://app.test/cb?state=st", "st", Some("ch"), &["a".to_owned()]).unwrap();
        let expected = [
            ("redirect_uri", "https://app.test/cb?state=st"),
            ("code_challenge", "ch"),
            ("code_challenge_method", "plain"),
            ("client_key", "id"),
            ("perms", "x a"),
        ];
        assert_eq!(pairs(&url), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn nothing_is_sent_that_is_not_there() {
        let url = authorize_url(&oauth(), &Values::new(), "id", "https://app.test/cb", "st", None, &[]).unwrap();
        let names: Vec<_> = pairs(&url).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["response_type", "client_id", "redirect_uri", "state"]);
    }
}
