//! The API behind the tokens and keys.

use serde_json::json;

use super::{
    IssuerForm, TokenKind, TokenState, json_answer,
    params::Params,
    state::{State, USERS},
};
use crate::{
    listen::{Answer, Request},
    model::{Json, JsonMap},
};

/// Headers that bear secrets and are never repeated.
const SECRET_HEADERS: [&str; 4] = ["authorization", "x-api-key", "cookie", "proxy-authorization"];

impl State {
    /// User and scope of a live Bearer token.
    fn bearer(&self, request: &Request) -> Result<(&'static str, Vec<String>), Answer> {
        let refused = || {
            let body = json!({"error": "invalid_token", "error_description": "The access token is missing, unknown or dead"});
            let answer = json_answer(401, &body);
            match self.ways.api_challenge {
                true => answer.with("www-authenticate", "Bearer realm=\"sandbox\", error=\"invalid_token\""),
                false => answer,
            }
        };
        let (scheme, value) = request.header("authorization").and_then(|v| v.split_once(' ')).ok_or_else(refused)?;
        let token = Some(value.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer")).and_then(|v| self.token(v)).ok_or_else(refused)?;
        let grant = self.grants.get(&token.grant).ok_or_else(refused)?;
        if token.kind != TokenKind::Access || self.standing(token) != TokenState::Live || self.disabled(grant.user) {
            return Err(refused());
        }
        Ok((grant.user, token.scope.clone()))
    }

    /// Whether an API key is there and good, and for which workspace only.
    fn api_key(&self, request: &Request) -> Result<Option<&str>, Answer> {
        let refused = || json_answer(401, &json!({"error": "invalid_key", "message": "The API key is missing, unknown or revoked"}));
        request.header("x-api-key").and_then(|value| self.key(value)).ok_or_else(refused)
    }

    fn either(&self, request: &Request) -> Result<(), Answer> {
        if request.headers.contains_key("x-api-key") { self.api_key(request).map(drop) } else { self.bearer(request).map(drop) }
    }

    /// Answers `GET /userinfo`.
    pub fn userinfo(&mut self, request: &Request) -> Answer {
        self.stats.userinfo_calls += 1;
        let user = match self.bearer(request) {
            Ok((user, _)) => user,
            Err(answer) => return answer,
        };
        let (_, sub, name) = USERS.iter().find(|(u, ..)| *u == user).unwrap_or(&USERS[0]);
        json_answer(200, &json!({"sub": sub, "email": format!("{user}@sandbox.example"), "email_verified": true, "name": name}))
            .with("cache-control", "no-store")
    }

    /// Answers `/api/…` but for the key check.
    pub fn api(&mut self, request: &Request) -> Answer {
        self.stats.api_calls += 1;
        let done = match request.path.as_str() {
            "/api/items" => self.items(request),
            "/api/channels" => self.either(request).map(|()| self.channels(&request.query)),
            _ => self.either(request).map(|()| echo(request)),
        };
        done.unwrap_or_else(|answer| {
            self.stats.api_refused += 1;
            answer
        })
    }

    /// All channels, or with `limit` a page of them: from `offset`, or from the `cursor` of the page before.
    fn channels(&self, query: &str) -> Answer {
        let params = Params::parse(query.as_bytes());
        let number = |name: &str| params.one(name).and_then(|text| text.parse::<usize>().ok());
        let all = all_channels(params.one("search").unwrap_or_default());
        let Some(limit) = number("limit").filter(|limit| *limit > 0) else { return json_answer(200, &json!({"items": all})) };
        let after = params.one("cursor").and_then(|cursor| cursor.strip_prefix("after-")?.parse().ok());
        let from = after.or(number("offset")).unwrap_or(0).min(all.len());
        let to = from.saturating_add(limit).min(all.len());
        let more = to < all.len();
        let cursor = more.then(|| format!("after-{to}"));
        let answer = json_answer(200, &json!({"items": all[from..to], "next_cursor": cursor}));
        match more {
            true => answer.with("link", format!("<{}/api/channels?limit={limit}&offset={to}>; rel=\"next\"", self.origin)),
            false => answer,
        }
    }

    fn items(&self, request: &Request) -> Result<Answer, Answer> {
        if request.headers.contains_key("x-api-key") {
            // A key may read everything of its workspace.
            let workspace = self.api_key(request)?.unwrap_or("sandbox");
            return Ok(items_of(workspace));
        }
        let (user, scope) = self.bearer(request)?;
        if !scope.iter().any(|s| s == "items.read") {
            return Err(json_answer(403, &json!({"error": "insufficient_scope", "scope": "items.read"}))
                .with("www-authenticate", "Bearer realm=\"sandbox\", error=\"insufficient_scope\", scope=\"items.read\""));
        }
        Ok(items_of(user))
    }

    /// Answers `GET /api/key-check`.
    pub fn key_check(&mut self, request: &Request) -> Answer {
        self.stats.key_checks += 1;
        let params = Params::parse(request.query.as_bytes());
        let asked = params.one("workspace");
        let done = self.api_key(request).and_then(|bound| match (bound, asked) {
            (Some(bound), Some(asked)) if bound != asked => {
                Err(json_answer(403, &json!({"error": "wrong_workspace", "message": "The API key opens another workspace"})))
            }
            (bound, asked) => Ok(bound.or(asked).unwrap_or("sandbox").to_owned()),
        });
        match done {
            Ok(id) => json_answer(200, &json!({"workspace": {"id": id, "name": format!("Workspace {id}")}})),
            Err(answer) => {
                self.stats.key_checks_refused += 1;
                answer
            }
        }
    }

    /// The metadata (RFC 8414, OpenID Connect Discovery).
    pub fn metadata(&self) -> Answer {
        let at = |path: &str| format!("{}{path}", self.origin);
        let methods: &[&str] = if self.ways.pkce_plain { &["S256", "plain"] } else { &["S256"] };
        let mut metadata = json!({
                "issuer": self.origin,
                "authorization_endpoint": at("/authorize"),
                "token_endpoint": at("/token"),
                "introspection_endpoint": at("/introspect"),
                "userinfo_endpoint": at("/userinfo"),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", super::grants::JWT_BEARER, super::device::DEVICE_CODE],
                "code_challenge_methods_supported": methods,
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt", "client_secret_jwt", "none"],
                "authorization_response_iss_parameter_supported": self.ways.issuer_form != IssuerForm::Missing,
        });
        if self.devices.ways.offered {
            metadata["device_authorization_endpoint"] = at("/device").into();
        }
        if self.ways.registration {
            metadata["registration_endpoint"] = at("/register").into();
        }
        if self.ways.revocation {
            metadata["revocation_endpoint"] = at("/revoke").into();
        }
        json_answer(200, &metadata)
    }
}

fn items_of(owner: &str) -> Answer {
    let items: Vec<Json> = (1..=3).map(|n| json!({"id": format!("item-{n}"), "title": format!("Item {n} of {owner}")})).collect();
    json_answer(200, &json!({"items": items}))
}

/// Forty channels, or those whose name holds the searched text.
fn all_channels(search: &str) -> Vec<Json> {
    const NAMES: [&str; 5] = ["general", "random", "sales", "support", "team"];
    let search = search.to_lowercase();
    (0..40_usize)
        .map(|n| (n, if n < NAMES.len() { NAMES[n].to_owned() } else { format!("{}-{}", NAMES[n % NAMES.len()], n / NAMES.len()) }))
        .filter(|(_, name)| name.contains(&search))
        .map(|(n, name)| json!({"id": format!("C{n:03}"), "name": name}))
        .collect()
}

fn echo(request: &Request) -> Answer {
    let mut headers = JsonMap::new();
    for (name, value) in &request.headers {
        if !SECRET_HEADERS.contains(&name.as_str()) {
            headers.insert(name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into());
        }
    }
    let body: Json = match serde_json::from_slice(&request.body) {
        Ok(json) => json,
        Err(_) if request.body.is_empty() => Json::Null,
        Err(_) => String::from_utf8_lossy(&request.body).into(),
    };
    json_answer(200, &json!({"method": request.method, "query": request.query, "headers": headers, "body": body}))
}
