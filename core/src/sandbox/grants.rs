//! Tokens without a user at a page: client credentials (RFC 6749 section 4.4), JWTs as grants and as proof of a client
//! (RFC 7523), and a login of the sandbox's own form.

use std::collections::{HashMap, HashSet};

use base64ct::{Base64UrlUnpadded, Encoding};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::json;

use super::{
    Mistake, TokenKind, json_answer,
    params::Params,
    refusal::Refusal,
    state::{State, known_user},
    token::basic,
};
use crate::{
    Result, Secret,
    error::err,
    listen::{Answer, Request},
    model::Json,
};

/// The grant type of RFC 7523 section 2.1.
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The password of every user at the login.
pub const PASSWORD: &str = "sandbox-password";
/// The one who holds tokens that no user consented to.
const SERVICE: &str = "service";
/// A JWT may live for an hour at most.
const LONGEST: i64 = 3600;
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 30;
/// Why a JWT is refused whose `jti` came before.
const USED: &str = "The JWT was used before";

/// Whose JWTs count, and which were seen.
#[derive(Default)]
pub(super) struct Jwts {
    pub issuers: HashMap<String, PublicKey>,
    seen: HashSet<String>,
}

/// A public key.
pub(super) enum PublicKey {
    /// Modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
    /// A point on P-256, uncompressed.
    P256(Vec<u8>),
}

impl PublicKey {
    pub fn of_jwk(jwk: &Json) -> Result<Self> {
        let part = |name: &str| Base64UrlUnpadded::decode_vec(jwk[name].as_str()?).ok();
        let key = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("RSA"), _) => part("n").zip(part("e")).map(|(n, e)| Self::Rsa(n, e)),
            (Some("EC"), Some("P-256")) => part("x").zip(part("y")).map(|(x, y)| Self::P256([vec![4], x, y].concat())),
            _ => None,
        };
        key.ok_or_else(|| err!(InvalidRequest, "the sandbox takes public keys as JWKs of RSA or P-256"))
    }

    fn verifies(&self, algorithm: &str, text: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Rsa(n, e), "RS256") => RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, text, signature).is_ok(),
            (Self::P256(point), "ES256") => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text, signature).is_ok(),
            _ => false,
        }
    }
}

/// A JWT, taken apart and not believed.
struct Parts<'t> {
    algorithm: String,
    claims: Json,
    text: &'t [u8],
    signature: Vec<u8>,
}

fn parts(jwt: &str) -> Option<Parts<'_>> {
    let (text, signature) = jwt.rsplit_once('.')?;
    let (header, claims) = text.split_once('.')?;
    let json = |part: &str| serde_json::from_slice::<Json>(&Base64UrlUnpadded::decode_vec(part).ok()?).ok();
    let algorithm = json(header)?["alg"].as_str()?.to_owned();
    Some(Parts { algorithm, claims: json(claims)?, text: text.as_bytes(), signature: Base64UrlUnpadded::decode_vec(signature).ok()? })
}

impl State {
    /// Times, audience and `jti`; the last is taken once.
    fn timely(&mut self, claims: &Json) -> Result<(), &'static str> {
        let now = self.now().seconds();
        let (Some(issued), Some(ends)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else { return Err("iat or exp is missing") };
        if issued > now + LEEWAY || ends < now - LEEWAY || ends - issued > LONGEST {
            return Err("The JWT is not good at this time");
        }
        let audience = [self.origin.clone(), format!("{}/token", self.origin), format!("{}/device", self.origin)];
        if !claims["aud"].as_str().is_some_and(|aud| audience.iter().any(|ours| ours == aud)) {
            return Err("The audience is another one");
        }
        let Some(jti) = claims["jti"].as_str().filter(|jti| !jti.is_empty()) else { return Err("jti is missing") };
        if !self.jwts.seen.insert(jti.to_owned()) {
            self.stats.jti_replays += 1;
            return Err(USED);
        }
        Ok(())
    }

    /// The client that a JWT proves (RFC 7523 section 2.2).
    pub(super) fn asserted_client(&mut self, request: &Request, params: &Params) -> Result<String, Refusal> {
        let refused = || Refusal::from(Mistake::WrongAssertion);
        if basic(request).is_some()
            || params.one("client_secret").is_some()
            || params.one("client_assertion_type") != Some(CLIENT_ASSERTION)
        {
            return Err(Refusal::plain(400, "invalid_request", "The client used more than one way to authenticate, or an unknown one"));
        }
        let jwt = params.one("client_assertion").and_then(parts).ok_or_else(refused)?;
        let id = jwt.claims["sub"].as_str().filter(|sub| jwt.claims["iss"].as_str() == Some(sub)).ok_or_else(refused)?.to_owned();
        if params.one("client_id").is_some_and(|stated| stated != id) || self.ways.disabled_clients.contains(&id) {
            return Err(refused());
        }
        let client = self.clients.get(&id).filter(|client| client.secret_expires_at.is_none_or(|end| end > self.now()));
        let client = client.ok_or_else(refused)?;
        let proven = match (&client.key, &client.secret) {
            (Some(key), _) => key.verifies(&jwt.algorithm, jwt.text, &jwt.signature),
            (None, Some(secret)) if jwt.algorithm == "HS256" => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.expose().as_bytes());
                ring::hmac::verify(&key, jwt.text, &jwt.signature).is_ok()
            }
            _ => false,
        };
        if !proven {
            return Err(refused());
        }
        self.timely(&jwt.claims).map_err(|why| if why == USED { Mistake::UsedAssertion.into() } else { refused().saying(why) })?;
        Ok(id)
    }

    /// An access token for somebody who is no user, without a refresh token (RFC 6749 section 4.4.3).
    fn issue_to(&mut self, client: &str, user: &'static str, params: &Params) -> Result<Result<Answer, Refusal>> {
        let scope: Vec<String> = params.one("scope").unwrap_or_default().split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        if self.ways.known_scopes.as_ref().is_some_and(|known| scope.iter().any(|s| !known.contains(s))) {
            return Ok(Err(Refusal::plain(400, "invalid_scope", "A requested scope does not exist")));
        }
        let grant = self.grant_in(client, user, "", "")?;
        let scope = self.effective(scope);
        let access = self.issue(TokenKind::Access, &grant, &scope)?;
        self.stats.key_tokens += 1;
        Ok(Ok(self.tokens_answer(&access, None, &scope)))
    }

    pub(super) fn client_credentials(&mut self, client: &str, params: &Params) -> Result<Result<Answer, Refusal>> {
        let is_public = self.clients.get(client).is_some_and(|client| client.secret.is_none() && client.key.is_none());
        if is_public {
            return Ok(Err(Refusal::plain(400, "unauthorized_client", "A public client has no credentials")));
        }
        self.issue_to(client, SERVICE, params)
    }

    /// A JWT of a trusted issuer for a token (RFC 7523 section 2.1).
    pub(super) fn jwt_grant(&mut self, client: Option<&str>, params: &Params) -> Result<Result<Answer, Refusal>> {
        let refused = |why: &'static str| Ok(Err(Refusal::plain(400, "invalid_grant", why)));
        let Some(jwt) = params.one("assertion").and_then(parts) else { return refused("The assertion is no JWT") };
        let Some(issuer) = jwt.claims["iss"].as_str().map(str::to_owned) else { return refused("iss is missing") };
        let Some(key) = self.jwts.issuers.get(&issuer) else { return refused("The issuer is not trusted") };
        if !key.verifies(&jwt.algorithm, jwt.text, &jwt.signature) {
            return refused("The signature does not fit");
        }
        if let Err(why) = self.timely(&jwt.claims) {
            return refused(why);
        }
        let user = match jwt.claims["sub"].as_str().map(known_user) {
            Some(Ok(user)) => user,
            _ => SERVICE,
        };
        if self.disabled(user) {
            return refused("User disabled");
        }
        self.issue_to(client.unwrap_or(&issuer), user, params)
    }

    /// Tokens that no client asked for are ended by whoever has them: the issuer or the login that they were given to.
    pub(super) fn holder_without_client(&self, request: &Request, params: &Params) -> Option<String> {
        if basic(request).is_some() || params.one("client_id").or(params.one("client_assertion")).is_some() {
            return None;
        }
        let grant = &self.token(params.one("token")?)?.grant;
        let holder = &self.grants.get(grant)?.client_id;
        (!self.clients.contains_key(holder)).then(|| holder.clone())
    }

    /// Answers `POST /login`: `{"user", "password"}` for `{"session": {"token", "ttl"}}`.
    pub(super) fn login(&mut self, request: &Request) -> Result<Answer> {
        let body: Json = serde_json::from_slice(&request.body).unwrap_or_default();
        let proof = basic(request).map(|(user, password)| (user, password.expose().to_owned()));
        let (user, password) = proof.unwrap_or_else(|| {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            (text("user"), text("password"))
        });
        let known = known_user(&user).ok().filter(|user| !self.disabled(user));
        let (Some(user), true) = (known, Secret::new(password) == Secret::new(PASSWORD)) else {
            return Ok(json_answer(401, &json!({"message": "User or password is wrong"})));
        };
        let grant = self.grant_in("login", user, "", "")?;
        let access = self.issue(TokenKind::Access, &grant, &["items.read".to_owned()])?;
        self.stats.key_tokens += 1;
        Ok(json_answer(200, &json!({"session": {"token": access, "ttl": self.ways.expires_in}, "user": {"id": user}})))
    }
}
