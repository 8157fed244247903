//! Token, revocation and introspection endpoints: RFC 6749 sections 4.1.3 and 6, RFC 7009, RFC 7662.

use std::time::Duration;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::json;

use super::grants::JWT_BEARER;
use super::{
    ExpiresForm, Mistake, Rotation, ScopeForm, TokenForm, TokenKind, TokenState, Ways, params::Params, refusal::Refusal, state::State,
};
use crate::{
    Result, Secret, ids,
    listen::{Answer, Request},
    model::Json,
};

const fn invalid(text: &'static str) -> Refusal {
    Refusal::plain(400, "invalid_request", text)
}

impl State {
    /// Answers `POST /token`.
    pub fn token_endpoint(&mut self, request: &Request) -> Result<Answer> {
        let params = Params::parse(&request.body);
        let refreshing = params.one("grant_type") == Some("refresh_token");
        if refreshing {
            self.stats.refresh_requests += 1;
        }
        let is_jwt = params.one("grant_type") == Some(JWT_BEARER);
        if is_jwt && basic(request).is_none() && params.one("client_id").is_none() {
            // The JWT is the whole proof (RFC 7523 section 2.1).
            return Ok(match self.jwt_grant(None, &params)? {
                Ok(answer) => answer,
                Err(refusal) => self.refuse(refusal, request, &params),
            });
        }
        let done = self.client(request, &params).map(|client| match params.one("grant_type") {
            Some("client_credentials") => self.client_credentials(&client, &params),
            Some(JWT_BEARER) => self.jwt_grant(Some(&client), &params),
            Some(super::device::DEVICE_CODE) => self.device_poll(&client, &params),
            Some("authorization_code") => self.redeem(&client, &params),
            Some("refresh_token") => self.refresh(&client, &params),
            Some(_) => Ok(Err(Refusal::plain(400, "unsupported_grant_type", "The grant type is not supported"))),
            None => Ok(Err(invalid("Missing parameter: grant_type"))),
        });
        let refusal = match done {
            Ok(Ok(Ok(answer))) => return Ok(answer),
            Ok(Err(fault)) => return Err(fault),
            Ok(Ok(Err(refusal))) | Err(refusal) => refusal,
        };
        if params.one("grant_type") == Some("authorization_code") {
            self.stats.exchanges_refused += 1;
        }
        Ok(self.refuse(refusal, request, &params))
    }

    /// The client, authenticated by header or body (RFC 6749 section 2.3.1).
    pub(super) fn client(&mut self, request: &Request, params: &Params) -> Result<String, Refusal> {
        const UNKNOWN: Refusal = Refusal::plain(401, "invalid_client", "Client authentication failed");
        if params.doubled() {
            return Err(invalid("A parameter is included more than once"));
        }
        if params.one("client_assertion").is_some() {
            return self.asserted_client(request, params);
        }
        let (id, secret) = match basic(request) {
            Some(_) if params.one("client_secret").is_some() => {
                return Err(invalid("The client used more than one way to authenticate"));
            }
            Some((id, secret)) => (id, Some(secret)),
            None => (params.one("client_id").ok_or(UNKNOWN)?.to_owned(), params.one("client_secret").map(Secret::new)),
        };
        let client = self.clients.get(&id).filter(|client| client.key.is_none()).ok_or(UNKNOWN)?;
        if client.secret_expires_at.is_some_and(|end| end <= self.now()) {
            return Err(UNKNOWN);
        }
        let proven = match (&client.secret, secret) {
            (Some(right), Some(given)) => *right == given,
            (None, given) => given.is_none_or(|s| s.is_empty()),
            (Some(_), None) => false,
        };
        if self.ways.disabled_clients.contains(&id) {
            return Err(Mistake::DisabledClient.into());
        }
        if proven { Ok(id) } else { Err(Mistake::WrongSecret.into()) }
    }

    fn redeem(&mut self, client_id: &str, params: &Params) -> Result<Result<Answer, Refusal>> {
        let Some(value) = params.one("code") else { return Ok(Err(invalid("Missing parameter: code"))) };
        let fingerprint = ids::fingerprint(value);
        let Some(code) = self.codes.get(&fingerprint).filter(|c| c.asked.client_id == client_id) else {
            return Ok(Err(Mistake::UnknownCode.into()));
        };
        if let Some(grant) = code.grant.clone() {
            self.stats.code_replays += 1;
            if self.ways.replay_kills {
                self.end_grant(&grant);
            }
            return Ok(Err(Mistake::UsedCode.into()));
        }
        if code.spent {
            return Ok(Err(Mistake::UnknownCode.into()));
        }
        if code.expires_at <= self.now() {
            return Ok(Err(Mistake::ExpiredCode.into()));
        }
        match params.one("redirect_uri") {
            Some(uri) if uri == code.asked.redirect_uri => {}
            Some(_) => return Ok(Err(Mistake::WrongRedirect.into())),
            None if self.ways.redirect_uri_required => return Ok(Err(Mistake::NoRedirect.into())),
            None => {}
        }
        match (&code.asked.challenge, params.one("code_verifier")) {
            (None, None) => {}
            (None, Some(_)) => return Ok(Err(Refusal::plain(400, "invalid_grant", "PKCE code verifier given without a challenge"))),
            (Some(_), None) => return Ok(Err(Mistake::NoVerifier.into())),
            (Some(challenge), Some(verifier)) if challenge.fits(verifier) => {}
            (Some(_), Some(_)) => {
                let spent = self.ways.wrong_verifier_spends;
                if let Some(code) = self.codes.get_mut(&fingerprint) {
                    code.spent = spent;
                }
                return Ok(Err(Mistake::WrongVerifier.into()));
            }
        }
        let (user, scope, browser, session) = (code.user, code.asked.scope.clone(), code.asked.browser.clone(), code.session.clone());
        if self.disabled(user) {
            return Ok(Err(Mistake::DisabledUser.into()));
        }
        let grant = self.grant_in(client_id, user, &browser, &session)?;
        if let Some(code) = self.codes.get_mut(&fingerprint) {
            code.grant = Some(grant.clone());
        }
        self.stats.codes_redeemed += 1;
        let scope = self.effective(scope);
        let access = self.issue(TokenKind::Access, &grant, &scope)?;
        let refresh = if self.ways.refresh_tokens { Some(self.issue(TokenKind::Refresh, &grant, &scope)?) } else { None };
        Ok(Ok(self.tokens_answer(&access, refresh.as_deref(), &scope)))
    }

    fn refresh(&mut self, client_id: &str, params: &Params) -> Result<Result<Answer, Refusal>> {
        let dead = || Ok(Err(Mistake::DeadRefreshToken.into()));
        let Some(old) = params.one("refresh_token") else {
            return Ok(Err(invalid("Missing parameter: refresh_token")));
        };
        let Some(token) = self.token(old).filter(|t| t.kind == TokenKind::Refresh) else { return dead() };
        let (grant, full, rotated_at) = (token.grant.clone(), token.scope.clone(), token.rotated_at);
        let standing = self.standing(token);
        let Some(owner) = self.grants.get(&grant).filter(|g| g.client_id == client_id) else { return dead() };
        let (user, live) = (owner.user, owner.live);
        if let Some(rotated_at) = rotated_at {
            let grace = Duration::from_secs(self.ways.rotation_grace);
            if !live || self.now().since(rotated_at) >= grace {
                self.stats.refresh_reuse += 1;
                if self.ways.reuse_kills {
                    self.end_grant(&grant);
                }
                return Ok(Err(Mistake::UsedRefreshToken.into()));
            }
        }
        if !live || matches!(standing, TokenState::Revoked | TokenState::Expired) {
            return dead();
        }
        if self.disabled(user) {
            return Ok(Err(Mistake::DisabledUser.into()));
        }
        let scope: Vec<String> = match params.one("scope").filter(|_| !self.ways.refresh_scope_ignored) {
            None => full.clone(),
            Some(asked) => asked.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
        };
        if scope.iter().any(|s| !full.contains(s)) {
            return Ok(Err(Mistake::WiderScope.into()));
        }
        if rotated_at.is_some() {
            self.stats.refresh_grace += 1;
        }
        if self.ways.refresh_ends_access {
            self.end_access(&grant);
        }
        let scope = self.effective(scope);
        let access = self.issue(TokenKind::Access, &grant, &scope)?;
        let refresh = match self.ways.rotation {
            Rotation::Rotate => {
                let now = self.now();
                if let Some(token) = self.token_mut(old) {
                    // The grace counts from the first use.
                    token.rotated_at.get_or_insert(now);
                }
                Some(self.issue(TokenKind::Refresh, &grant, &full)?)
            }
            Rotation::Same => Some(old.to_owned()),
            Rotation::Omit => None,
        };
        self.stats.refreshes += 1;
        Ok(Ok(self.tokens_answer(&access, refresh.as_deref(), &scope)))
    }

    /// The scope that a token gets of what was granted.
    pub(super) fn effective(&self, mut scope: Vec<String>) -> Vec<String> {
        match self.ways.scope_form {
            ScopeForm::Granted | ScopeForm::Missing => {}
            ScopeForm::Narrower => drop(scope.pop()),
            ScopeForm::Wider if scope.iter().any(|s| s == "sandbox.extra") => {}
            ScopeForm::Wider => scope.push("sandbox.extra".to_owned()),
        }
        for added in &self.ways.default_scopes {
            if !scope.contains(added) {
                scope.push(added.clone());
            }
        }
        scope
    }

    pub(super) fn tokens_answer(&self, access: &str, refresh: Option<&str>, scope: &[String]) -> Answer {
        let ways = &self.ways;
        let mut body = ways.answer_extras.clone();
        body.insert("access_token".to_owned(), access.into());
        if let Some(kind) = &ways.token_type {
            body.insert("token_type".to_owned(), kind.clone().into());
        }
        let expires: Option<Json> = match ways.expires_form {
            ExpiresForm::Number => Some(ways.expires_in.into()),
            ExpiresForm::Missing => None,
            ExpiresForm::Short => Some(ways.expires_in.saturating_sub(1).into()),
            ExpiresForm::String => Some(ways.expires_in.to_string().into()),
            ExpiresForm::Zero => Some(0.into()),
            ExpiresForm::Negative => Some((-1).into()),
            ExpiresForm::Huge => Some(1_000_000_000_000_u64.into()),
        };
        if let Some(expires) = expires {
            body.insert("expires_in".to_owned(), expires);
        }
        if let Some(refresh) = refresh {
            body.insert("refresh_token".to_owned(), refresh.into());
            if ways.refresh_expires_in.is_some() {
                body.insert("refresh_expires_in".to_owned(), ways.refresh_life(scope).unwrap_or(0).into());
            }
        }
        if let Some(grant) = self.token(access).and_then(|token| self.grants.get(&token.grant)) {
            if ways.session_state {
                body.insert("session_state".to_owned(), grant.session.clone().into());
            }
            if ways.id_tokens {
                body.insert("id_token".to_owned(), self.id_token(&grant.client_id, grant.user).into());
            }
        }
        if ways.scope_form != ScopeForm::Missing {
            body.insert("scope".to_owned(), scope.join(" ").into());
        }
        let answer = match ways.token_form {
            TokenForm::Json => super::json_answer(200, &Json::Object(body)),
            TokenForm::Nested => super::json_answer(200, &json!({"ok": true, "authed_user": body})),
            TokenForm::Form => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, value) in &body {
                    form.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
                Answer::new(200, "application/x-www-form-urlencoded", form.finish())
            }
        };
        answer.with("cache-control", &ways.cache_control).with("pragma", "no-cache")
    }

    /// Says who the user is, in the form of OpenID Connect. Nobody signed it: Smalt does not read it.
    fn id_token(&self, client_id: &str, user: &str) -> String {
        let part = |value: &Json| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let now = self.now().seconds();
        let claims = json!({"iss": self.origin, "sub": super::subject(user), "aud": client_id, "iat": now, "exp": now + 300});
        format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims))
    }

    /// The error answer in the style that the ways say.
    pub fn refuse(&self, refusal: Refusal, request: &Request, params: &Params) -> Answer {
        let (status, error, text) = self.own_form(&refusal);
        let mut body = json!({"error": error});
        if !text.is_empty() {
            body["error_description"] = text.clone().into();
        }
        if self.ways.echo_secrets {
            let secret = basic(request).map(|(_, s)| s.expose().to_owned());
            let secret = secret.or_else(|| params.one("client_secret").map(str::to_owned)).unwrap_or_default();
            let token = params.one("refresh_token").or(params.one("token")).or(params.one("code")).unwrap_or_default();
            body["error_description"] = format!("{text}: client_secret={secret} token={token}").into();
            body["request"] = String::from_utf8_lossy(&request.body).into();
        }
        let answer = super::json_answer(status, &body).with("cache-control", "no-store").with("pragma", "no-cache");
        match self.ways.challenge.as_ref().filter(|_| status == 401) {
            Some(scheme) => answer.with("www-authenticate", format!("{scheme} realm=\"sandbox\", error=\"{error}\"")),
            None => answer,
        }
    }

    /// Answers `POST /revoke`. An unknown token is a success (RFC 7009 section 2.2).
    pub fn revoke(&mut self, request: &Request) -> Answer {
        self.stats.revoke_requests += 1;
        let params = Params::parse(&request.body);
        let client = match self.holder_without_client(request, &params).map_or_else(|| self.client(request, &params), Ok) {
            Ok(client) => client,
            Err(refusal) => return self.refuse(refusal, request, &params),
        };
        let Some(value) = params.one("token") else {
            return self.refuse(invalid("Missing parameter: token"), request, &params);
        };
        let mut ended = false;
        if let Some(token) = self.token(value) {
            let (kind, grant, live) = (token.kind, token.grant.clone(), self.standing(token) == TokenState::Live);
            if self.grants.get(&grant).is_some_and(|g| g.client_id == client) {
                self.stats.revocations += u64::from(live);
                ended = live;
                match kind {
                    TokenKind::Refresh => self.end_grant(&grant),
                    TokenKind::Access if self.ways.access_revocation_kills => self.end_grant(&grant),
                    TokenKind::Access => {
                        if let Some(token) = self.token_mut(value) {
                            token.revoked = true;
                        }
                    }
                }
            }
        }
        let answer = match ended || !self.ways.revoke_tells_unknown {
            true => Answer::empty(200),
            false => super::json_answer(200, &json!({"error": "invalid_token", "error_description": "Invalid token"})),
        };
        answer.with("cache-control", "no-store")
    }

    /// Answers `POST /introspect`.
    pub fn introspect(&mut self, request: &Request) -> Answer {
        let params = Params::parse(&request.body);
        let client = match self.client(request, &params) {
            Ok(client) => client,
            Err(refusal) => return self.refuse(refusal, request, &params),
        };
        let found = params.one("token").and_then(|value| self.token(value));
        let live = found.filter(|t| self.standing(t) == TokenState::Live);
        let body = match live.and_then(|t| Some((t, self.grants.get(&t.grant)?))) {
            Some((token, grant)) if grant.client_id == client && !self.disabled(grant.user) => json!({
                "active": true,
                "client_id": grant.client_id,
                "username": grant.user,
                "scope": token.scope.join(" "),
                "token_type": token.kind.as_str(),
                "exp": token.expires_at.map(crate::Timestamp::seconds),
            }),
            _ => json!({"active": false}),
        };
        super::json_answer(200, &body).with("cache-control", "no-store")
    }
}

impl Ways {
    /// The life of a refresh token with this scope, in seconds; none: no end.
    pub(super) fn refresh_life(&self, scope: &[String]) -> Option<u64> {
        let offline = self.offline_access && scope.iter().any(|s| s == "offline_access");
        self.refresh_expires_in.filter(|_| !offline)
    }
}

/// Id and secret of an `Authorization: Basic` header, form-decoded (RFC 6749 section 2.3.1).
pub(super) fn basic(request: &Request) -> Option<(String, Secret)> {
    let (scheme, value) = request.header("authorization")?.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| Base64::decode_vec(value.trim()).ok())??;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| crate::listen::pairs(format!("v={part}").as_bytes()).pop().map(|(_, v)| v);
    Some((decode(id)?, Secret::new(decode(secret)?)))
}
