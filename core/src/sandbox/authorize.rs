//! The authorize page: RFC 6749 section 4.1.1, RFC 7636, RFC 9207.

use std::time::Duration;

use url::Url;

use super::{
    IssuerForm, Mistake,
    params::Params,
    refusal::Refusal,
    state::{Asked, Challenge, Client, Code, State, USERS, known_user, random_text},
};
use crate::{
    Result, ids,
    listen::Answer,
    present::{html_escape, page},
};

/// How long a consent page may stay open.
const PAGE_LIFE: Duration = Duration::from_secs(600);

impl State {
    /// Answers `GET /authorize`. `forced` is an error and its description that the user comes back with.
    pub fn authorize(&mut self, query: &str, forced: Option<(&str, Option<&str>)>) -> Result<Answer> {
        let params = Params::parse(query.as_bytes());
        // Until client and redirect URI are known to be right, nobody is sent anywhere (RFC 6749 section 4.1.2.1).
        let (Some(client_id), Some(redirect_uri)) = (params.one("client_id"), params.one("redirect_uri")) else {
            return Ok(refusal("The request names no client, or no redirect URI."));
        };
        let Some(client) = self.clients.get(client_id) else {
            return Ok(refusal("The client is not registered here."));
        };
        if !redirect_fits(client, redirect_uri) {
            return Ok(refusal("The redirect URI is not one of the client's."));
        }
        let asked = Asked {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            scope: params.one("scope").unwrap_or_default().split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
            state: params.one("state").map(str::to_owned),
            challenge: params
                .one("code_challenge")
                .map(|value| Challenge { value: value.to_owned(), plain: params.one("code_challenge_method") != Some("S256") }),
            browser: params.one("sandbox_browser").unwrap_or_default().to_owned(),
        };
        if let Some((error, text)) = forced {
            return Ok(self.come_back(&asked, &[("error", error), ("error_description", text.unwrap_or_default())]));
        }
        if let Some(refusal) = self.mistake(&params, &asked) {
            return Ok(self.refused(&asked, &refusal));
        }
        let user = params.one("sandbox_user").map(str::to_owned).or_else(|| self.ways.auto_consent.clone());
        match (params.one("sandbox_decision"), user.or_else(|| self.remembered(&params, &asked))) {
            (Some("deny"), _) => Ok(self.deny(&asked)),
            (Some("allow") | None, Some(user)) => self.consent(&asked, &user),
            _ if params.one("prompt") == Some("none") => Ok(self.refused(&asked, &Mistake::LoginRequired.into())),
            _ => self.show_page(asked),
        }
    }

    /// Who needs not be asked again.
    fn remembered(&self, params: &Params, asked: &Asked) -> Option<String> {
        if !self.ways.remembers_consent || asked.browser.is_empty() || params.one("prompt") == Some("consent") {
            return None;
        }
        self.remembered.get(&(asked.browser.clone(), asked.client_id.clone())).map(|user| (*user).to_owned())
    }

    fn mistake(&self, params: &Params, asked: &Asked) -> Option<Refusal> {
        let invalid = |text| Some(Refusal::plain(400, "invalid_request", text));
        if params.doubled() {
            return invalid("A parameter is included more than once");
        }
        match params.one("response_type") {
            Some("code") => {}
            Some(_) => return Some(Refusal::plain(400, "unsupported_response_type", "Only code is supported")),
            None => return invalid("Missing parameter: response_type"),
        }
        if self.ways.disabled_clients.contains(&asked.client_id) {
            return Some(Refusal::plain(400, "unauthorized_client", "The client is disabled"));
        }
        // RFC 7636 section 4.3: without a method it is plain.
        match (&asked.challenge, params.one("code_challenge_method")) {
            (None, None) if !self.ways.pkce_required => {}
            (None, _) => return Some(Mistake::NoPkce.into()),
            (Some(challenge), Some("S256")) if challenge.value.len() == 43 => {}
            (Some(_), Some("S256")) => return invalid("The code challenge is not a SHA-256 value"),
            (Some(_), None | Some("plain")) if self.ways.pkce_plain => {}
            (Some(_), _) => return Some(Mistake::PlainPkce.into()),
        }
        let known = self.ways.known_scopes.as_ref();
        if asked.scope.iter().any(|s| known.is_some_and(|known| !known.contains(s))) {
            return Some(Mistake::UnknownScope.into());
        }
        None
    }

    /// Sends the user back with an error, in this server's own form.
    fn refused(&self, asked: &Asked, refusal: &Refusal) -> Answer {
        let (_, error, text) = self.own_form(refusal);
        self.come_back(asked, &[("error", &error), ("error_description", &text)])
    }

    /// Answers the form of the consent page.
    pub fn decide(&mut self, body: &[u8]) -> Result<Answer> {
        let params = Params::parse(body);
        let open = params.one("nonce").and_then(|nonce| self.pages.remove(nonce));
        let Some((_, asked)) = open.filter(|(opened, _)| self.now().since(*opened) <= PAGE_LIFE) else {
            return Ok(refusal("This page was answered before, or is too old."));
        };
        let mut answer = match (params.one("decision"), params.one("user")) {
            (Some("allow"), Some(user)) => self.consent(&asked, user)?,
            _ => self.deny(&asked),
        };
        // The form came by POST; the redirect URI is to be visited with GET.
        answer.status = 303;
        Ok(answer)
    }

    fn consent(&mut self, asked: &Asked, user: &str) -> Result<Answer> {
        let Ok(user) = known_user(user) else {
            return Ok(self.come_back(asked, &[("error", "invalid_request"), ("error_description", "There is no such sandbox user")]));
        };
        if self.disabled(user) {
            return Ok(self.come_back(asked, &[("error", "access_denied"), ("error_description", "User disabled")]));
        }
        let mut asked = asked.clone();
        self.remembered.insert((asked.browser.clone(), asked.client_id.clone()), user);
        if let Some(granted) = &self.ways.granted_scopes {
            asked.scope.retain(|s| granted.contains(s));
        }
        let value = random_text(self.ways.code_length)?;
        let session = ids::new_id(self.now())?;
        let named = if self.ways.session_state { session.as_str() } else { "" };
        let answer = self.come_back(&asked, &[("session_state", named), ("code", &value)]);
        let expires_at = self.now().plus(Duration::from_secs(self.ways.code_lifetime));
        self.codes.insert(ids::fingerprint(&value), Code { asked, user, expires_at, session, spent: false, grant: None });
        self.stats.consents += 1;
        self.stats.codes_issued += 1;
        Ok(answer)
    }

    fn deny(&mut self, asked: &Asked) -> Answer {
        self.stats.denials += 1;
        self.refused(asked, &Mistake::Denied.into())
    }

    /// Sends the user back, with state and `iss` beside the given parameters; empty ones are left out.
    fn come_back(&self, asked: &Asked, with: &[(&str, &str)]) -> Answer {
        let Ok(mut url) = Url::parse(&asked.redirect_uri) else {
            return refusal("The redirect URI is not one of the client's.");
        };
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(with.iter().filter(|(_, value)| !value.is_empty()));
            if let Some(state) = &asked.state {
                query.append_pair("state", state);
            }
            let issuer = self.origin.as_str();
            match self.ways.issuer_form {
                IssuerForm::Right => query.append_pair("iss", issuer),
                IssuerForm::Missing => &mut query,
                IssuerForm::Wrong => query.append_pair("iss", "https://issuer.sandbox.example"),
                IssuerForm::Doubled => query.append_pair("iss", issuer).append_pair("iss", issuer),
                IssuerForm::TrailingSlash => query.append_pair("iss", &format!("{issuer}/")),
            };
        }
        Answer::redirect(302, url.as_str())
    }

    fn show_page(&mut self, asked: Asked) -> Result<Answer> {
        let now = self.now();
        self.pages.retain(|_, (opened, _)| now.since(*opened) <= PAGE_LIFE);
        let nonce = ids::new_token()?;
        let client = html_escape(&asked.client_id);
        let scopes: String = asked.scope.iter().map(|s| format!("<li>{}</li>", html_escape(s))).collect();
        let scopes = if scopes.is_empty() { "<li>your name and address</li>".to_owned() } else { scopes };
        let users: String =
            USERS.iter().map(|(user, _, name)| format!("<option value=\"{user}\">{name} ({user}@sandbox.example)</option>")).collect();
        self.pages.insert(nonce.clone(), (now, asked));
        Ok(page(
            200,
            "Smalt sandbox",
            &format!(
                "<p><strong>{client}</strong> asks for:</p><ul>{scopes}</ul>\
                 <form method=\"post\" action=\"/authorize/decide\"><input type=\"hidden\" name=\"nonce\" value=\"{nonce}\">\
                 <label for=\"user\">Continue as</label><select id=\"user\" name=\"user\">{users}</select>\
                 <div class=\"row\"><button name=\"decision\" value=\"deny\">Deny</button>\
                 <button class=\"yes\" name=\"decision\" value=\"allow\">Allow</button></div></form>\
                 <p class=\"note\">These are test users on this machine. Nothing leaves it.</p>"
            ),
        ))
    }
}

fn refusal(text: &str) -> Answer {
    page(400, "Smalt sandbox: request refused", &format!("<p>{}</p>", html_escape(text)))
}

/// Whether the client may be answered there. Any port of a loopback address fits a registered one (RFC 8252 section 7.3).
fn redirect_fits(client: &Client, redirect_uri: &str) -> bool {
    let Ok(url) = Url::parse(redirect_uri) else { return false };
    if url.fragment().is_some() {
        return false;
    }
    let loopback = loopback_http(&url);
    if client.redirect_uris.is_empty() {
        // Private-use schemes are reverse-DNS names (RFC 8252 section 7.1).
        return loopback || url.scheme() == "https" || url.scheme().contains('.');
    }
    client.redirect_uris.iter().any(|registered| {
        registered == redirect_uri
            || loopback
                && Url::parse(registered)
                    .is_ok_and(|r| loopback_http(&r) && r.host() == url.host() && r.path() == url.path() && r.query() == url.query())
    })
}

/// Whether the URL is plain http on this machine.
pub(super) fn loopback_http(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        }
}
