//! The device flow (RFC 8628), and a page where its users enter their codes.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Mistake, TokenKind, json_answer,
    params::Params,
    refusal::Refusal,
    state::{State, USERS, known_user},
};
use crate::{
    Result, Timestamp,
    error::bail,
    ids,
    listen::{Answer, Request},
    model::words,
    present::{html_escape, page},
};

/// The grant type of RFC 8628 section 3.4.
pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// What `slow_down` adds to the interval, in seconds.
const SLOWER: f64 = 5.0;

words! {
    /// The form of user codes.
    #[derive(Default)]
    pub enum UserCodeForm {
        /// Two groups of four letters with a dash between them, as Keycloak and oidc-provider give them.
        #[default]
        Dashed = "dashed",
        /// Eight letters and digits, as Django OAuth Toolkit gives them.
        Plain = "plain",
    }
}

/// The standing ways of the device flow. In JSON absent ones have their default, unknown ones are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceWays {
    /// Whether there is such a flow, as Gitea has none. Default true.
    pub offered: bool,
    /// The form of user codes.
    pub user_code_form: UserCodeForm,
    /// Seconds between two polls, fractions included. Default 5.
    pub interval: f64,
    /// Whether the first answer states it, as oidc-provider does not. Default true.
    pub state_interval: bool,
    /// The life of both codes in seconds. Default 600.
    pub lifetime: u64,
    /// Whether there is a `verification_uri_complete`, as Django OAuth Toolkit has none. Default true.
    pub complete: bool,
    /// Whether the first request must carry a PKCE challenge, as Keycloak may demand. Default false.
    pub pkce_required: bool,
    /// Whether a poll that comes too early is answered with `slow_down`. Default true.
    pub slow_down: bool,
    /// Whether an unknown code is answered with a bare 404, as Django OAuth Toolkit does. Default false.
    pub unknown_is_404: bool,
    /// Whether a code whose tokens were fetched gives others when it comes again, as Django OAuth Toolkit does. Default false.
    pub used_again: bool,
}

impl Default for DeviceWays {
    fn default() -> Self {
        Self {
            offered: true,
            user_code_form: UserCodeForm::default(),
            interval: 5.0,
            state_interval: true,
            lifetime: 600,
            complete: true,
            pkce_required: false,
            slow_down: true,
            unknown_is_404: false,
            used_again: false,
        }
    }
}

/// A device code that was given out.
struct Code {
    client_id: String,
    user_code: String,
    scope: Vec<String>,
    challenge: Option<String>,
    expires_at: Timestamp,
    interval: f64,
    polled_at: Option<Timestamp>,
    decision: Decision,
}

enum Decision {
    Open,
    Allowed(&'static str),
    Denied,
    Used,
}

/// All of them, by fingerprint.
#[derive(Default)]
pub(super) struct Devices {
    pub ways: DeviceWays,
    codes: HashMap<String, Code>,
}

impl Devices {
    fn open(&mut self, user_code: &str) -> Option<&mut Code> {
        let plain = |code: &str| code.replace(['-', ' '], "").to_ascii_uppercase();
        let wanted = plain(user_code);
        self.codes.values_mut().find(|code| plain(&code.user_code) == wanted && matches!(code.decision, Decision::Open))
    }
}

/// A code that people can read: consonants in two groups of four (RFC 8628 section 6.1), or with digits among them, which are never all.
fn user_code(form: UserCodeForm) -> Result<String> {
    const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
    const DIGITS: &[u8] = b"23456789";
    let pick = |from: &[u8], byte: u8| char::from(from[usize::from(byte) % from.len()]);
    let random = ids::random::<8>()?;
    let dashed = form == UserCodeForm::Dashed;
    let mut code = String::with_capacity(9);
    for (at, byte) in random.into_iter().enumerate() {
        if dashed && at == 4 {
            code.push('-');
        }
        code.push(pick(if !dashed && at % 3 == 1 { DIGITS } else { LETTERS }, byte));
    }
    Ok(code)
}

impl State {
    /// Answers `POST /device`.
    pub(super) fn device_start(&mut self, request: &Request) -> Result<Answer> {
        let params = Params::parse(&request.body);
        let client_id = match self.client(request, &params) {
            Ok(client) => client,
            Err(refusal) => return Ok(self.refuse(refusal, request, &params)),
        };
        let challenge = params.one("code_challenge").map(str::to_owned);
        let fits = challenge.as_ref().is_none_or(|c| c.len() == 43 && params.one("code_challenge_method") == Some("S256"));
        if (self.devices.ways.pkce_required && challenge.is_none()) || !fits {
            let refusal = Refusal::plain(400, "invalid_request", "Missing parameter: code_challenge_method");
            return Ok(self.refuse(refusal, request, &params));
        }
        let scope = params.one("scope").unwrap_or_default().split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        let ways = self.devices.ways.clone();
        let (device_code, user_code) = (ids::new_token()?, user_code(ways.user_code_form)?);
        let page = format!("{}/device", self.origin);
        let mut body = json!({"device_code": device_code, "user_code": user_code, "verification_uri": page, "expires_in": ways.lifetime});
        if ways.complete {
            body["verification_uri_complete"] = format!("{page}?user_code={user_code}").into();
        }
        if ways.state_interval {
            body["interval"] = ways.interval.into();
        }
        let code = Code {
            client_id,
            user_code,
            scope,
            challenge,
            expires_at: self.now().plus(Duration::from_secs(ways.lifetime)),
            interval: ways.interval,
            polled_at: None,
            decision: Decision::Open,
        };
        self.devices.codes.insert(ids::fingerprint(&device_code), code);
        self.stats.device_starts += 1;
        Ok(json_answer(200, &body).with("cache-control", "no-store"))
    }

    /// A poll at the token endpoint.
    pub(super) fn device_poll(&mut self, client: &str, params: &Params) -> Result<Result<Answer, Refusal>> {
        self.stats.device_polls += 1;
        let (now, ways) = (self.now(), self.devices.ways.clone());
        let fingerprint = params.one("device_code").map(ids::fingerprint).unwrap_or_default();
        let Some(code) = self.devices.codes.get_mut(&fingerprint).filter(|code| code.client_id == client) else {
            return Ok(if ways.unknown_is_404 { Ok(Answer::empty(404)) } else { Err(Mistake::UnknownDeviceCode.into()) });
        };
        let early = code.polled_at.is_some_and(|at| now.since(at).as_secs_f64() < code.interval);
        code.polled_at = Some(now);
        if code.expires_at <= now {
            self.stats.device_polls_late += 1;
            return Ok(Err(Refusal::plain(400, "expired_token", "The device code has expired")));
        }
        if early {
            self.stats.device_polls_early += 1;
            if ways.slow_down {
                code.interval += SLOWER;
                return Ok(Err(Refusal::plain(400, "slow_down", "Slow down")));
            }
        }
        let user = match code.decision {
            Decision::Open => return Ok(Err(Refusal::plain(400, "authorization_pending", "The authorization request is still pending"))),
            Decision::Denied => return Ok(Err(Refusal::plain(400, "access_denied", "The end user denied the authorization request"))),
            Decision::Used => return Ok(Err(Mistake::UsedDeviceCode.into())),
            Decision::Allowed(user) => user,
        };
        let proven = match (&code.challenge, params.one("code_verifier")) {
            (None, _) => true,
            (Some(challenge), Some(verifier)) => ids::fingerprint(verifier) == *challenge,
            (Some(_), None) => false,
        };
        if !proven {
            return Ok(Err(Refusal::plain(400, "invalid_grant", "PKCE verification failed")));
        }
        if !ways.used_again {
            code.decision = Decision::Used;
        }
        let scope = code.scope.clone();
        let grant = self.grant_in(client, user, "", "")?;
        let scope = self.effective(scope);
        let access = self.issue(TokenKind::Access, &grant, &scope)?;
        let refresh = if self.ways.refresh_tokens { Some(self.issue(TokenKind::Refresh, &grant, &scope)?) } else { None };
        self.stats.device_tokens += 1;
        Ok(Ok(self.tokens_answer(&access, refresh.as_deref(), &scope)))
    }

    /// The user's decision about a user code, also over `POST /control`.
    pub(super) fn decide_device(&mut self, user_code: &str, user: &str, allow: bool) -> Result<()> {
        let user = known_user(user)?;
        let now = self.now();
        let Some(code) = self.devices.open(user_code).filter(|code| code.expires_at > now) else {
            bail!(InvalidRequest, "no device waits with this user code")
        };
        code.decision = if allow { Decision::Allowed(user) } else { Decision::Denied };
        if allow {
            self.stats.consents += 1;
        } else {
            self.stats.denials += 1;
        }
        Ok(())
    }

    /// Answers `GET /device`, the page for user codes; with `sandbox_user` and `sandbox_decision` at once.
    pub(super) fn device_page(&mut self, query: &str) -> Answer {
        let params = Params::parse(query.as_bytes());
        if let (Some(code), Some(user)) = (params.one("user_code"), params.one("sandbox_user")) {
            return self.device_decided(code, user, params.one("sandbox_decision") != Some("deny"));
        }
        let code = html_escape(params.one("user_code").unwrap_or_default());
        let users: String =
            USERS.iter().map(|(user, _, name)| format!("<option value=\"{user}\">{name} ({user}@sandbox.example)</option>")).collect();
        page(
            200,
            "Smalt sandbox",
            &format!(
                "<form method=\"post\" action=\"/device/decide\"><label for=\"code\">Code</label>\
                 <input id=\"code\" name=\"user_code\" value=\"{code}\" autocomplete=\"off\">\
                 <label for=\"user\">Continue as</label><select id=\"user\" name=\"user\">{users}</select>\
                 <div class=\"row\"><button name=\"decision\" value=\"deny\">Deny</button>\
                 <button class=\"yes\" name=\"decision\" value=\"allow\">Allow</button></div></form>\
                 <p class=\"note\">These are test users on this machine. Nothing leaves it.</p>"
            ),
        )
    }

    /// Answers the page's form.
    pub(super) fn device_form(&mut self, body: &[u8]) -> Answer {
        let params = Params::parse(body);
        let (code, user) = (params.one("user_code").unwrap_or_default(), params.one("user").unwrap_or_default());
        self.device_decided(code, user, params.one("decision") == Some("allow"))
    }

    fn device_decided(&mut self, code: &str, user: &str, allow: bool) -> Answer {
        match self.decide_device(code, user, allow) {
            Ok(()) => page(200, "Smalt sandbox", "<p>Done. You can close this page.</p>"),
            Err(_) => page(400, "Smalt sandbox: request refused", "<p>No device waits with this code, or there is no such user.</p>"),
        }
    }
}
