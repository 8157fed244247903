//! Ways to authorise beside the authorization code: tokens of entered values, the device flow, OAuth 1.0a, signed JWTs.

use std::collections::BTreeSet;

use super::{
    Report, inputs, pointer,
    templates::{Templates, with},
};
use crate::manifest::{
    AppManifest, ClientAuth, Jwt, JwtAlgorithm, KeyGrant, KeyToken, Keybased, Oauth2, Pkce, Placement, Registration, TokenBody, TokenClient,
};

/// Parameters that the token request gets from Smalt itself.
const TOKEN: [&str; 6] = ["grant_type", "assertion", "client_id", "client_secret", "client_assertion", "client_assertion_type"];
/// Parameters that the device authorization request gets from Smalt itself.
const DEVICE: [&str; 6] =
    ["client_id", "client_secret", "client_assertion", "client_assertion_type", "code_challenge", "code_challenge_method"];
/// Claims that Smalt sets.
const CLAIMS: [&str; 3] = ["iat", "exp", "jti"];

/// The inputs of a customer's own client may be called so.
pub(super) fn is_client_input(m: &AppManifest, name: &str) -> bool {
    let token = m.keybased.as_ref().and_then(|keys| keys.token.as_ref());
    matches!(name, "client_id" | "client_secret") && token.is_some_and(|token| token.client() == TokenClient::Inputs)
}

pub(super) fn check(report: &mut Report<'_>, m: &AppManifest) {
    let by_certificate = m.oauth2.as_ref().is_some_and(|oauth| oauth.client_auth.is_mutual_tls())
        || m.keybased.iter().flat_map(|keys| &keys.token).any(|token| token.client_auth.is_mutual_tls());
    if m.api.client_certificate && !by_certificate {
        let cure = "write `client_auth = \"tls_client_auth\"` or \"self_signed_tls_client_auth\" where tokens are asked for, or remove it";
        report.error(&["api", "client_certificate"], "presents a certificate to which no token is bound", cure);
    }
    if let Some(oauth) = &m.oauth2
        && oauth.mtls_endpoint_aliases.is_some()
        && !oauth.client_auth.is_mutual_tls()
    {
        let cure = "remove it, or write `client_auth = \"tls_client_auth\"` or \"self_signed_tls_client_auth\"";
        report.error(&["oauth2", "mtls_endpoint_aliases"], "is for clients that prove themselves by a certificate", cure);
    }
    if m.oauth1.is_some() && m.oauth2.is_some() {
        report.error(&["oauth1"], "stands beside `[oauth2]`", "keep the one that the provider recommends");
    }
    if let Some(oauth) = &m.oauth2 {
        client_auth(report, &["oauth2", "client_auth"], oauth.client_auth, oauth.client_assertion.as_ref());
        if let Some(jwt) = &oauth.client_assertion {
            self::jwt(report, &["oauth2", "client_assertion"], jwt, false);
        }
        if let Some(device) = &oauth.device {
            if device.pkce == Pkce::Plain {
                report.error(&["oauth2", "device", "pkce"], "is `plain`, which protects nothing here", "write \"S256\" or \"off\"");
            }
            for name in device.params.keys().filter(|name| DEVICE.contains(&name.as_str())) {
                report.error(&["oauth2", "device", "params", name], "is set by Smalt", "remove it");
            }
        }
    }
    if let Some(oauth) = &m.oauth2
        && let Some(registration) = &oauth.registration
    {
        self::registration(report, oauth, registration);
    }
    if let Some(oauth) = &m.oauth1 {
        inputs(report, &["oauth1", "inputs"], &oauth.inputs);
        for (name, place) in &oauth.copy_from_token {
            super::auth::copied(report, &["oauth1", "copy_from_token", name], place, true);
        }
        for name in oauth.authorize_params.keys().filter(|name| name.starts_with("oauth_")) {
            report.error(&["oauth1", "authorize_params", name], "is set by Smalt", "remove it");
        }
        if let Some(revoke) = &oauth.revoke {
            super::auth::method(report, &["oauth1", "revoke", "method"], revoke.method.as_deref(), &["POST", "GET", "DELETE"]);
            super::auth::statuses(report, &["oauth1", "revoke", "gone_statuses"], &revoke.gone_statuses);
        }
        match &oauth.identity {
            None => report.warn(&["oauth1"], "says not who the user is at the provider", "add `[oauth1.identity]`"),
            Some(identity) if !identity.id.contains('{') => pointer(report, &["oauth1", "identity", "id"], &identity.id),
            Some(_) => {}
        }
    }
    if let Some(keys) = &m.keybased
        && let Some(token) = &keys.token
    {
        self::token(report, keys, token);
    }
}

fn registration(report: &mut Report<'_>, oauth: &Oauth2, registration: &Registration) {
    let at = |key: &'static str| ["oauth2", "registration", key];
    match (&registration.url, &registration.discovery) {
        (None, None) => report.error(&["oauth2", "registration"], "says not where clients are registered", "add `url` or `discovery`"),
        (Some(_), Some(_)) => report.error(&at("discovery"), "stands beside `url`", "keep one of them"),
        _ => {}
    }
    if registration.body == TokenBody::Query {
        report.error(&at("body"), "would put the registration into a URL", "write \"json\" or \"form\"");
    }
    if oauth.client_auth == ClientAuth::PrivateKeyJwt || oauth.client_auth.is_mutual_tls() {
        let cure = "write a `client_auth` whose secret the provider makes: \"basic\", \"body\" or \"client_secret_jwt\"";
        report.error(&["oauth2", "client_auth"], "proves a client by a key that no registration brings", cure);
    }
    for name in registration.headers.keys().filter(|name| name.eq_ignore_ascii_case("authorization")) {
        let cure = "remove it; the project's `registration_token` goes there";
        report.error(&["oauth2", "registration", "headers", name], "is set by Smalt", cure);
    }
    if registration.unused_life == Some(0) {
        report.error(&at("unused_life"), "lets no client live", "write seconds, or leave it out where clients stay");
    }
    for (name, text) in &registration.params {
        let path = ["oauth2", "registration", "params", name.as_str()];
        if name.is_empty() {
            report.error(&path, "has no name", "write the parameter's name");
        }
        if name == "redirect_uris" && text.is_empty() && !registration.params.values().any(|text| text.contains("{redirect_uris}")) {
            report.error(&path, "is left out, so that nobody could be sent back", "name `{redirect_uris}` in another parameter");
        }
    }
}

fn token(report: &mut Report<'_>, keys: &Keybased, token: &KeyToken) {
    let at = |key: &'static str| ["keybased", "token", key];
    super::auth::method(report, &at("method"), token.method.as_deref(), &["POST", "GET", "PUT"]);
    super::auth::statuses(report, &at("rejected"), &token.rejected);
    if token.grant != KeyGrant::Login {
        for name in token.params.keys().filter(|name| TOKEN.contains(&name.as_str())) {
            report.error(&["keybased", "token", "params", name], "is set by Smalt", "remove it");
        }
    }
    match (&token.assertion, token.grant) {
        (None, KeyGrant::JwtBearer) => {
            report.error(
                &["keybased", "token"],
                "exchanges a JWT that nothing describes",
                "add `[keybased.token.assertion]` with `key` and `claims`",
            );
        }
        (Some(_), KeyGrant::ClientCredentials) => {
            report.error(&at("assertion"), "belongs to `jwt_bearer` and `login`", "a client's own JWT is `client_assertion`");
        }
        (Some(jwt), _) => self::jwt(report, &at("assertion"), jwt, true),
        (None, _) => {}
    }
    if token.client() == TokenClient::Inputs {
        let named = |name: &str| keys.inputs.iter().any(|input| input.name == name);
        let by_key = token.client_assertion.as_ref().is_some_and(|jwt| jwt.key.is_some());
        if token.client_auth.is_mutual_tls() {
            if !named("client_id") || !named("client_certificate") {
                let cure = "add both to `keybased.inputs`, the latter secret; `client_key` too where the key is entered by itself";
                report.error(&at("client"), "asks for the inputs `client_id` and `client_certificate`", cure);
            }
            let certificate = ["client_certificate", "client_key"];
            for (index, input) in keys.inputs.iter().enumerate().filter(|(_, i)| certificate.contains(&i.name.as_str()) && !i.secret) {
                let path = ["keybased", "inputs", &index.to_string(), "secret"];
                report.error(&path, format!("is not set, but `{}` may hold a private key", input.name), "write `secret = true`");
            }
        } else if !named("client_id") || !(named("client_secret") || by_key || token.client_auth == ClientAuth::None) {
            report.error(&at("client"), "asks for the inputs `client_id` and `client_secret`", "add both to `keybased.inputs`");
        }
    }
    if token.grant == KeyGrant::ClientCredentials && token.client() == TokenClient::None {
        report.error(&at("client"), "is `none`, but client credentials are those of a client", "write \"project\" or \"inputs\"");
    }
    client_auth(report, &at("client_auth"), token.client_auth, token.client_assertion.as_ref());
    if let Some(jwt) = &token.client_assertion {
        self::jwt(report, &at("client_assertion"), jwt, false);
    }
    if matches!(token.placement, Some(Placement::Oauth1 { .. })) {
        report.error(&at("placement"), "cannot sign a request for a token", "use a header, the query or basic");
    }
    super::auth::answer(report, &["keybased", "token", "answer"], &token.answer);
    if token.answer.refresh_token.is_some() {
        report.warn(&["keybased", "token", "answer", "refresh_token"], "means nothing: the request is made again", "remove it");
    }
    for (key, place) in [("id", &token.id), ("label", &token.label)] {
        if let Some(place) = place.as_ref().filter(|place| !place.contains('{')) {
            pointer(report, &at(key), place);
        }
    }
    for (name, place) in &token.copy_from_token {
        super::auth::copied(report, &["keybased", "token", "copy_from_token", name], place, true);
        if !inputs::is_name(name) || keys.inputs.iter().any(|input| input.name == *name) {
            report.error(&["keybased", "token", "copy_from_token", name], "is no name, or an input's", "choose another name");
        }
    }
    if !keys.placement.all().iter().any(|placement| placement.names(&["access_token"])) {
        report.error(
            &["keybased", "placement"],
            "never names the token that is asked for",
            "name `{access_token}`, e.g. `Bearer {access_token}`",
        );
    }
}

fn client_auth(report: &mut Report<'_>, path: &[&str], how: ClientAuth, jwt: Option<&Jwt>) {
    let by_jwt = matches!(how, ClientAuth::PrivateKeyJwt | ClientAuth::ClientSecretJwt);
    if jwt.is_some() && !by_jwt {
        report.error(path, "does not use the `client_assertion`", "write \"private_key_jwt\" or \"client_secret_jwt\", or remove it");
    }
    let hmac = jwt.and_then(|jwt| jwt.algorithm) == Some(JwtAlgorithm::Hs256);
    if how == ClientAuth::PrivateKeyJwt && hmac {
        report.error(path, "is a private key's, but HS256 signs with a secret", "write \"client_secret_jwt\", or another algorithm");
    }
}

fn jwt(report: &mut Report<'_>, at: &[&str], jwt: &Jwt, needs_key: bool) {
    let path = |key: &'static str| at.iter().copied().chain([key]).collect::<Vec<&str>>();
    if needs_key && jwt.key.is_none() {
        report.error(&path("key"), "is missing", "name the input that holds the key, e.g. `key = \"{private_key}\"`");
    }
    for name in jwt.claims.keys().filter(|name| CLAIMS.contains(&name.as_str())) {
        let path: Vec<&str> = at.iter().copied().chain(["claims", name.as_str()]).collect();
        report.error(&path, "is set by Smalt, each time anew", "remove it; `lifetime` says when it ends");
    }
    for name in jwt.header.keys().filter(|name| matches!(name.as_str(), "alg" | "typ")) {
        let path: Vec<&str> = at.iter().copied().chain(["header", name.as_str()]).collect();
        report.error(&path, "is set by Smalt", "remove it; `algorithm` says how it is signed");
    }
    if jwt.lifetime.is_some_and(|seconds| !(1..=3600).contains(&seconds)) {
        report.error(&path("lifetime"), "is not between a second and an hour", "write seconds from 1 to 3600; 300 is the default");
    }
}

impl Templates<'_, '_, '_> {
    /// The templates of all of them.
    pub(super) fn grants(&mut self) {
        let m = self.m;
        if let Some(oauth) = &m.oauth2 {
            let names = with(&self.oauth2_names(&[]), &["client_id", "client_secret"]);
            if let Some(jwt) = &oauth.client_assertion {
                self.jwt(&["oauth2", "client_assertion"], jwt, &names);
            }
            if let Some(aliases) = &oauth.mtls_endpoint_aliases {
                let names = with(&names, &["token", "token_type_hint"]);
                for (key, url) in
                    [("token_url", &aliases.token_url), ("revoke_url", &aliases.revoke_url), ("device_url", &aliases.device_url)]
                {
                    if let Some(url) = url {
                        self.url(&["oauth2", "mtls_endpoint_aliases", key], url, &names, false);
                    }
                }
            }
            if let Some(registration) = &oauth.registration {
                // What stays readable beside a connection: the client is found by it again.
                let mut names = self.common();
                names.extend(oauth.inputs.iter().filter(|input| !input.secret).map(|input| input.name.clone()));
                for (key, url) in [("url", &registration.url), ("discovery", &registration.discovery)] {
                    if let Some(url) = url {
                        self.url(&["oauth2", "registration", key], url, &names, false);
                    }
                }
                let names = with(&names, &["client_name", "redirect_uris", "scope", "public_url"]);
                self.texts(&["oauth2", "registration", "params"], &registration.params, &names);
                self.headers(&["oauth2", "registration", "headers"], &registration.headers, &names);
            }
            if let Some(device) = &oauth.device {
                self.url(&["oauth2", "device", "url"], &device.url, &names, false);
                self.texts(&["oauth2", "device", "params"], &device.params, &names);
            }
        }
        if let Some(oauth) = &m.oauth1 {
            let before = with(&self.oauth1_names(false), &["client_id"]);
            let after = with(&self.oauth1_names(true), &["client_id"]);
            self.url(&["oauth1", "request_token_url"], &oauth.request_token_url, &before, false);
            self.url(&["oauth1", "authorize_url"], &oauth.authorize_url, &before, false);
            self.url(&["oauth1", "access_token_url"], &oauth.access_token_url, &before, false);
            self.texts(&["oauth1", "authorize_params"], &oauth.authorize_params, &before);
            if let Some(realm) = &oauth.realm {
                self.text(&["oauth1", "realm"], realm, &before);
            }
            if let Some(revoke) = &oauth.revoke {
                self.url(&["oauth1", "revoke", "url"], &revoke.url, &with(&after, &["token"]), false);
            }
            if let Some(identity) = &oauth.identity {
                if let Some(url) = &identity.url {
                    self.url(&["oauth1", "identity", "url"], url, &after, true);
                }
                if identity.id.contains('{') {
                    self.text(&["oauth1", "identity", "id"], &identity.id, &after);
                }
            }
        }
        self.identities();
        let Some(token) = m.keybased.as_ref().and_then(|keys| keys.token.as_ref()) else { return };
        let mut names = with(&self.common(), &["scope"]);
        names.extend(m.keybased.iter().flat_map(|keys| &keys.inputs).map(|input| input.name.clone()));
        if token.client() != TokenClient::None {
            names = with(&names, &["client_id", "client_secret"]);
            self.use_names(["client_id", "client_secret"]);
        }
        if token.proves_by_own_certificate() {
            self.use_names(["client_certificate", "client_key"]);
        }
        for (key, jwt) in [("assertion", &token.assertion), ("client_assertion", &token.client_assertion)] {
            if let Some(jwt) = jwt {
                self.jwt(&["keybased", "token", key], jwt, &names);
            }
        }
        let names = if token.assertion.is_some() { with(&names, &["assertion"]) } else { names };
        self.url(&["keybased", "token", "url"], &token.url, &names, false);
        self.texts(&["keybased", "token", "params"], &token.params, &names);
        if let Some(document) = &token.xml {
            // A document has lines.
            self.text(&["keybased", "token", "xml"], &document.replace(['\n', '\t'], " "), &names);
        }
        self.headers(&["keybased", "token", "headers"], &token.headers, &names);
        if let Some(placement) = &token.placement {
            self.placement(&["keybased", "token", "placement"], placement, &names);
        }
        if let Some(revoke) = &token.revoke {
            let names = with(&self.key_names(), &["token", "token_type_hint", "client_id", "client_secret"]);
            self.url(&["keybased", "token", "revoke", "url"], &revoke.url, &names, false);
            self.texts(&["keybased", "token", "revoke", "params"], &revoke.params, &names);
            self.headers(&["keybased", "token", "revoke", "headers"], &revoke.headers, &names);
        }
    }

    /// Ids and labels that are made of what was entered; secrets stay out of them.
    fn identities(&mut self) {
        let Some(keys) = &self.m.keybased else { return };
        let mut names = self.common();
        names.extend(keys.inputs.iter().filter(|input| !input.secret).map(|input| input.name.clone()));
        let token = keys.token.as_ref();
        names.extend(token.iter().flat_map(|token| token.copy_from_token.keys().cloned()));
        let verify = keys.verify.as_ref();
        let places = [
            (&["keybased", "verify", "id"][..], verify.and_then(|verify| verify.id.as_ref())),
            (&["keybased", "verify", "label"], verify.and_then(|verify| verify.label.as_ref())),
            (&["keybased", "token", "id"], token.and_then(|token| token.id.as_ref())),
            (&["keybased", "token", "label"], token.and_then(|token| token.label.as_ref())),
        ];
        for (path, text) in places {
            if let Some(text) = text.filter(|text| text.contains('{')) {
                self.text(path, text, &names);
            }
        }
    }

    fn jwt(&mut self, at: &[&str], jwt: &Jwt, names: &BTreeSet<String>) {
        if let Some(key) = &jwt.key {
            let path: Vec<&str> = at.iter().copied().chain(["key"]).collect();
            self.text(&path, key, names);
        }
        for (key, texts) in [("header", &jwt.header), ("claims", &jwt.claims)] {
            let path: Vec<&str> = at.iter().copied().chain([key]).collect();
            self.texts(&path, texts, names);
        }
    }
}
