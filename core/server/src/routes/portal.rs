//! The hosted page, on which users connect and set applications, and the browser client that it is made with.
//!
//! The page is the same for everybody: a frame of HTML. Its script trades the ticket in the address for a session that stays in
//! memory, and takes the ticket out of the address. It is an ordinary client of the API.

use futures_util::FutureExt;
use smalt::{
    Code, Error,
    backend::{Caller, GetAccount, GetPortalProperties, GetPortalUrl},
    model::{Json, JsonMap},
};

use super::pages::{escaped, first, is_own_form, nonce, page as plain_page};
use crate::{
    answer::{Answer, Cache, Hosted, Trouble, json},
    assets,
    call::Call,
    project::in_force,
};

/// A text of 256 bits in base64url, as tickets are.
fn is_ticket(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn no_such_link() -> Trouble {
    Error::code_only(Code::PortalLinkInvalid).into()
}

/// `POST connect-url`, as clients of the hosted service know it: the body is kept as it is.
pub(super) async fn link(call: Call) -> Result<Answer, Trouble> {
    let properties = match &call.body {
        Json::Null => JsonMap::new(),
        Json::Object(map) => map.clone(),
        _ => return Err(Trouble::bad("the body must be an object")),
    };
    let request = GetPortalUrl {
        account: call.account()?,
        properties: Some(properties),
        config_id: call.query("config_id").map(ToOwned::to_owned),
        return_to: None,
        once: call.query("once") == Some("true"),
    };
    let link = call.backend()?.portal_url(&call.who()?.caller, request).await?;
    json(serde_json::json!({"hosted_url": link.url.expose()}))
}

pub(super) async fn properties(call: Call) -> Result<Answer, Trouble> {
    let who = call.who()?;
    let token = who.session.as_ref().map(|session| session.token.clone()).unwrap_or_default();
    Ok(Answer::Json(call.backend()?.portal_properties(&who.caller, GetPortalProperties { token }).await?))
}

/// The path of a URL, without a slash at its end: what a proxy takes away before requests come here.
fn prefix(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| rest[at..].trim_end_matches('/'))
}

/// Nothing of it depends on the ticket, which its script alone reads.
pub(super) async fn page(call: Call) -> Result<Answer, Trouble> {
    if call.params.get("ticket").is_some_and(|ticket| !is_ticket(ticket)) {
        let text = "<p>This link is not complete, or it is no link to this page.</p><p>Go back to where you came from and try again.</p>";
        return plain_page(404, "Nothing here", text, "", "", None);
    }
    let (_, smalt) = call.api.hosts().all().next().ok_or_else(|| Trouble::Plain(503, "SERVER_ERROR", "no engine is open".into()))?;
    let public = call.api.public_url(smalt).await?;
    let (base, build, nonce) = (escaped(prefix(&public)), assets::build(), nonce()?);
    let html = format!(
        "<!doctype html><html lang=\"en\" data-base=\"{base}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"robots\" content=\"noindex\"><title>Connections</title>\
         <link rel=\"stylesheet\" nonce=\"{nonce}\" href=\"{base}/connect/assets/{build}/portal.css\">\
         <script type=\"module\" nonce=\"{nonce}\" src=\"{base}/connect/assets/{build}/portal.mjs\"></script></head>\
         <body><div id=\"portal\"><main><h1>Connections</h1><p class=\"quiet\">Loading…</p>\
         <noscript><p>This page needs JavaScript. Allow it for this site and load the page again.</p></noscript></main></div></body></html>"
    );
    let embed = in_force(smalt).await?.portal.embed.clone();
    Ok(Answer::Hosted(Hosted { html, nonce, embed }))
}

/// For our own page only: another site's has no business with a ticket.
pub(super) async fn open(call: Call) -> Result<Answer, Trouble> {
    if !is_own_form(&call) {
        return Err(Error::code_only(Code::Forbidden).into());
    }
    let ticket = call.text("ticket").filter(|ticket| is_ticket(ticket)).ok_or_else(no_such_link)?;
    let opened = first(&call, Code::PortalLinkInvalid, move |smalt| {
        let ticket = ticket.clone();
        async move { smalt.open_portal(ticket).await }.boxed()
    });
    let (smalt, portal) = opened.await?;
    let caller = Caller::Session(portal.session.token.clone());
    let account = smalt.backend().get_account(&caller, GetAccount { account: portal.session.account_id.clone() }).await?;
    let project = in_force(&smalt).await?;
    let org = &project.org;
    json(serde_json::json!({
        "token": portal.session.token.expose(),
        "expires_at": portal.session.expires_at,
        "account": {"id": account.id, "name": account.name},
        "organisation": {"id": org.id, "name": org.name},
        "environment": portal.environment,
        "config_id": portal.config_id,
        "properties": portal.properties,
        "return_to": portal.return_to,
        "ticket": portal.ticket.as_ref().map(smalt::Secret::expose),
    }))
}

fn no_file() -> Trouble {
    Trouble::Plain(404, "RESOURCE_NOT_FOUND", "there is no such file".into())
}

pub(super) async fn asset(call: Call) -> Result<Answer, Trouble> {
    let file = assets::of_page(&call.param("file")).ok_or_else(no_file)?;
    // A page of another build, while processes are replaced: it gets what there is, and keeps none of it.
    let cache = if call.param("build") == assets::build() { Cache::Forever } else { Cache::Briefly };
    Ok(Answer::File(file, cache))
}

pub(super) async fn client(call: Call) -> Result<Answer, Trouble> {
    let cache = match call.param("version").as_str() {
        "latest" => Cache::Briefly,
        assets::VERSION => Cache::Forever,
        _ => return Err(no_file()),
    };
    match call.param("file").as_str() {
        "index.json" => Ok(Answer::Json(assets::client_index())),
        name => Ok(Answer::File(assets::of_client(name).ok_or_else(no_file)?, cache)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_public_urls_path() {
        for (url, expected) in [
            ("https://a.example", ""),
            ("https://a.example/", ""),
            ("https://a.example/backend/", "/backend"),
            ("http://[::1]:80/a/b", "/a/b"),
        ] {
            assert_eq!(prefix(url), expected, "{url}");
        }
    }

    #[test]
    fn a_session_token_is_no_ticket() {
        assert!(is_ticket(&"aB-_".repeat(11)[..43]));
        assert!(!is_ticket("eyJhbGciOiJIUzI1NiJ9.e30.x") && !is_ticket("") && !is_ticket("go"));
    }
}
