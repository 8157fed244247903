//! Who is asking: an organisation by its API key, a linked account by its session token, or both.

use http::HeaderMap;
use smalt::{
    Secret, Smalt,
    backend::Caller,
    model::{Environment, Json, SessionInfo},
};

use crate::{
    answer::Trouble,
    api::Hosts,
    routes::{Access, Route, asks_itself},
};

/// A caller that has proved who it is.
pub(crate) struct Who {
    /// The engine of its organisation and environment.
    pub(crate) smalt: Smalt,
    /// Its authority.
    pub(crate) caller: Caller,
    /// The linked account that the call is about; empty where the route is about none.
    pub(crate) account: String,
    /// Whether it has the organisation's authority.
    pub(crate) is_organisation: bool,
    /// The session, if it came with a token.
    pub(crate) session: Option<SessionInfo>,
    pub(crate) environment: Environment,
    /// Who it is, for limits: the API key or the session by its id.
    pub(crate) name: String,
}

impl Who {
    /// Whose waits are counted together: those of one linked account. Organisations may wait for as many as they like, of what
    /// there is.
    pub(crate) fn waits_as(&self) -> String {
        if self.is_organisation { String::new() } else { format!("{}/{}", self.environment, self.account) }
    }
}

/// A header under its name with underscores, or with hyphens for proxies that drop the others. An empty one counts as none.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty());
    text(name).or_else(|| text(&name.replace('_', "-")))
}

/// The bearer token; some clients leave the scheme out, some send the scheme alone.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.trim();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
        _ if text.eq_ignore_ascii_case("bearer") => Some(""),
        _ => Some(text),
    }
}

fn missing_token() -> Trouble {
    Trouble::Plain(401, "INVALID_TOKEN", "Authorization Token Missing".into())
}

fn invalid_key() -> Trouble {
    Trouble::Smalt(Box::new(smalt::Error::code_only(smalt::Code::InvalidApiKey)))
}

/// Where a linked account is named: header, then query, then body.
fn named(headers: &HeaderMap, query: &[(String, String)], body: &Json) -> Option<String> {
    let in_query = || query.iter().find(|(name, value)| name == "linked_account_id" && !value.is_empty()).map(|(_, value)| value.clone());
    let in_body = |name: &str| body.get(name).and_then(Json::as_str).filter(|id| !id.is_empty()).map(ToOwned::to_owned);
    let in_header = header(headers, "linked_account_id").map(ToOwned::to_owned);
    in_header.or_else(in_query).or_else(|| in_body("linked_account_id")).or_else(|| in_body("account_id"))
}

/// Proves the caller as the route asks for it. Of a session it may be left to the route's operation whether it still counts.
pub(crate) async fn prove(
    hosts: &Hosts,
    route: &Route,
    headers: &HeaderMap,
    query: &[(String, String)],
    body: &Json,
) -> Result<Who, Trouble> {
    let access = route.access;
    let key = header(headers, "x-api-key");
    let token = bearer(headers);
    match (key, token) {
        (Some(key), token) if access != Access::Session => {
            let (smalt, environment, caller) = by_key(hosts, key).await?;
            // A token beside the key must be one of the same organisation and environment.
            let session = match token.filter(|token| !token.is_empty()) {
                Some(token) => Some(smalt.verify_session(token).await?),
                None => None,
            };
            let mut account = String::new();
            if !matches!(access, Access::Organisation | Access::Doorway) {
                let found = named(headers, query, body).or_else(|| session.as_ref().map(|session| session.account_id.clone()));
                account = match found {
                    Some(account) => account,
                    None if access == Access::Own => String::new(),
                    None => return Err(Trouble::Plain(400, "INVALID_LINKED_ACCOUNT_ID", "linked_account_id is required".into())),
                };
            }
            let name = named_caller(&caller, session.as_ref());
            Ok(Who { smalt, caller, account, is_organisation: true, session, environment, name })
        }
        (_, Some("")) => Err(missing_token()),
        (_, Some(token)) => {
            let in_query = query.iter().find(|(name, _)| name == "linked_account_id").map(|(_, value)| value.as_str());
            let claimed = header(headers, "linked_account_id").or(in_query.filter(|id| !id.is_empty()));
            // Whoever means another account is to be told first if the session has ended.
            let said = if asks_itself(route) { said(hosts, token) } else { None };
            let said = said.filter(|(_, _, session, _)| claimed.is_none_or(|claimed| claimed == session.account_id));
            let (smalt, environment, session, caller) = match said {
                Some(said) => said,
                None => by_token(hosts, token).await?,
            };
            if matches!(access, Access::Organisation | Access::Backend) {
                return Err(smalt::Error::code_only(smalt::Code::Forbidden).into());
            }
            let account = session.account_id.clone();
            if access == Access::Doorway {
                // The operation's own request names the account, and the engine compares.
                let name = named_caller(&caller, Some(&session));
                return Ok(Who { smalt, caller, account, is_organisation: false, session: Some(session), environment, name });
            }
            if claimed.is_some_and(|claimed| claimed != session.account_id) {
                return Err(smalt::Error::code_only(smalt::Code::Forbidden).into());
            }
            let name = named_caller(&caller, Some(&session));
            Ok(Who { smalt, caller, account, is_organisation: false, session: Some(session), environment, name })
        }
        (_, None) if matches!(access, Access::Organisation | Access::Backend) => Err(invalid_key()),
        (Some(_), None) | (None, None) => Err(missing_token()),
    }
}

fn named_caller(caller: &Caller, session: Option<&SessionInfo>) -> String {
    match (caller, session) {
        (Caller::Organisation(name), _) => name.to_string(),
        (_, session) => session.map(|session| format!("session:{}", session.id)).unwrap_or_default(),
    }
}

async fn by_key(hosts: &Hosts, key: &str) -> Result<(Smalt, Environment, Caller), Trouble> {
    let environment = if key.starts_with("pk") { Environment::Production } else { Environment::Test };
    let smalt = hosts.get(environment).ok_or_else(invalid_key)?;
    let known = smalt.verify_api_key(key).await?;
    let name: std::sync::Arc<str> = format!("api_key:{}", known.id).into();
    Ok((smalt.acting_as(&name), environment, Caller::Organisation(name)))
}

/// What a token says, where its signature is good. Its operation asks whether the session still counts.
fn said(hosts: &Hosts, token: &str) -> Option<(Smalt, Environment, SessionInfo, Caller)> {
    let token = Secret::new(token);
    hosts.all().find_map(|(environment, smalt)| {
        let (session, caller) = smalt.try_session(&token)?;
        Some((smalt.clone(), environment, session, caller))
    })
}

/// Each environment signs with keys of its own: at most one knows the token. One that knows the token's key is asked alone; the others would
/// look for that key in their stores.
async fn by_token(hosts: &Hosts, token: &str) -> Result<(Smalt, Environment, SessionInfo, Caller), Trouble> {
    let token = Secret::new(token);
    let all: Vec<_> = hosts.all().map(|(environment, smalt)| (environment, smalt, smalt.knows_key_of(&token))).collect();
    let is_known = all.iter().any(|(.., knows)| *knows);
    let mut refused = Trouble::Smalt(Box::new(smalt::Error::code_only(smalt::Code::InvalidToken)));
    for (environment, smalt, _) in all.into_iter().filter(|(.., knows)| *knows == is_known) {
        match smalt.prove_session(token.clone()).await {
            Ok((session, caller)) => return Ok((smalt.clone(), environment, session, caller)),
            Err(error) if error.is(smalt::Code::InvalidToken) => {}
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}
