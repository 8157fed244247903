//! The pages around the provider's: one before it, which asks the user to go on, and one after it.
//!
//! They are plain: text, one button, no script but the one that closes the window. What others wrote (names, errors) is
//! escaped, and nothing that is secret stands in them.

use futures_util::{FutureExt, future::BoxFuture};
use smalt::{
    Code, Error, Smalt,
    backend::{Caller, FinishConnect, GetFlow, ParkCallback},
};

use super::DONE;
use crate::{
    answer::{Answer, Page, Trouble},
    api::Api,
    call::Call,
};

/// Text for HTML, in an element or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

pub(super) fn nonce() -> Result<String, Trouble> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| Trouble::Plain(500, "SERVER_ERROR", "the operating system gave no random bytes".into()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A page with a heading, paragraphs and what stands below them; all three are HTML.
pub(super) fn page(
    status: u16,
    heading: &str,
    text: &str,
    below: &str,
    script: &str,
    form_action: Option<String>,
) -> Result<Answer, Trouble> {
    let nonce = nonce()?;
    let script = if script.is_empty() { String::new() } else { format!("<script nonce=\"{nonce}\">{script}</script>") };
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{heading}</title><style nonce=\"{nonce}\">\
         *{{box-sizing:border-box}}\
         body{{font:16px/1.5 system-ui,sans-serif;color:#191c22;background:#f6f7f9;margin:0;padding:1rem;display:grid;min-height:100vh;place-items:center}}\
         main{{width:min(28rem,100%);padding:1.75rem;background:#fff;border:1px solid #dfe2e8;border-radius:12px;overflow-wrap:anywhere}}\
         h1{{font-size:1.4rem;line-height:1.3;margin:0 0 .6rem}}p{{margin:0 0 1rem}}main>:last-child{{margin-bottom:0}}\
         button{{font:inherit;font-weight:600;padding:.65rem 1.25rem;border:0;border-radius:8px;background:#1d4ed8;color:#fff;cursor:pointer}}\
         button:hover{{background:#1a3fae}}button:focus-visible{{outline:3px solid #1d4ed8;outline-offset:2px}}\
         @media(prefers-color-scheme:dark){{body{{color:#eceef3;background:#111318}}main{{background:#1a1d24;border-color:#2c313c}}\
         button{{background:#93b4ff;color:#0b1430}}button:hover{{background:#b9ceff}}button:focus-visible{{outline-color:#93b4ff}}}}\
         </style></head><body><main><h1>{heading}</h1>{text}{below}</main>{script}</body></html>"
    );
    Ok(Answer::Page(Page { status, html, form_action, nonce }))
}

fn trouble(error: &Error) -> Result<Answer, Trouble> {
    let status = match error.code().row().http_status {
        status @ 400..=499 => status,
        _ => 400,
    };
    did_not_work(status, Some(error))
}

fn did_not_work(status: u16, error: Option<&Error>) -> Result<Answer, Trouble> {
    let text = error.map(|error| format!("<p>{}</p><p>({})</p>", escaped(error.reason()), error.code().as_str())).unwrap_or_default();
    page(status, "This did not work", &text, "<p>You can close this window and try again.</p>", "", None)
}

/// The engine that knows the ticket or the state, and what it said. Each secret is random: at most one knows it.
pub(super) async fn first<T>(
    call: &Call,
    unknown: Code,
    ask: impl Fn(Smalt) -> BoxFuture<'static, Result<T, Error>>,
) -> Result<(Smalt, T), Error> {
    let mut refused = Error::code_only(unknown);
    let engines: Vec<Smalt> = call.api.hosts().all().map(|(_, smalt)| smalt.clone()).collect();
    for smalt in engines {
        match ask(smalt.clone()).await {
            Ok(found) => return Ok((smalt, found)),
            Err(error) if error.is(unknown) => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

/// Names whose connect it is, so that nobody is sent through silently.
pub(super) async fn confirm(call: Call) -> Result<Answer, Trouble> {
    let ticket = call.param("ticket");
    let found = first(&call, Code::ClaimInvalid, move |smalt| {
        let ticket = ticket.clone();
        async move { smalt.handoff(ticket).await }.boxed()
    });
    let preview = match found.await {
        Ok((_, preview)) => preview,
        Err(error) => return trouble(&error),
    };
    let (app, account) = (escaped(&preview.application_name), escaped(preview.account_name.as_deref().unwrap_or(&preview.account_id)));
    let text = format!(
        "<p>You are about to connect your <b>{app}</b> account to <b>{account}</b>.</p><p>Go on only if you asked for this: whoever began it can use what you connect.</p>"
    );
    let button = format!("<form method=\"post\"><button type=\"submit\">Continue to {app}</button></form>");
    // Whoever pressed the button on the hosted page need not press another: that page is of our own origin, so that nobody
    // else's can say so, and it names the flow that it began.
    let script = format!(
        "try{{var o=window.opener;if(o&&o.location.origin===location.origin&&o.smaltFlow==={:?})document.forms[0].submit()}}catch(e){{}}",
        preview.flow_id
    );
    page(200, &format!("Connect {app}"), &text, &button, &script, Some(preview.authorize_origin))
}

/// A form of another site must not press the button.
pub(super) fn is_own_form(call: &Call) -> bool {
    match call.header("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        // Older browsers: the origin must be the one that the request was sent to.
        None => match (call.header("origin"), call.header("host")) {
            (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, rest)| rest == host),
            (None, _) => true,
            _ => false,
        },
    }
}

pub(super) async fn go(call: Call) -> Result<Answer, Trouble> {
    if !is_own_form(&call) {
        return Err(Error::code_only(Code::Forbidden).into());
    }
    let ticket = call.param("ticket");
    let taken = first(&call, Code::ClaimInvalid, move |smalt| {
        let ticket = ticket.clone();
        async move { smalt.take_handoff(ticket).await }.boxed()
    });
    match taken.await {
        Ok((_, started)) => Ok(Answer::Redirect { location: started.authorize_url, cookie: Some(started.cookie.header().into()) }),
        Err(error) => trouble(&error),
    }
}

/// What came of a callback.
pub(crate) enum Came {
    Connected,
    /// Whoever began it finishes it.
    Waiting,
    Failed(Code),
}

/// Sends the browser on to a page whose address holds nothing of the callback's, so that code and state are in no address bar, history or
/// referrer (S-08). `target` is what was asked for.
pub(crate) async fn gone_on(api: &Api, target: &str, came: Came) -> Answer {
    let (name, outcome) = match came {
        Came::Connected => ("outcome", "connected"),
        Came::Waiting => ("outcome", "waiting"),
        Came::Failed(code) => ("error", code.as_str()),
    };
    api.counters().came_back(outcome);
    let page = match api.home().await {
        Some(base) => format!("{base}{DONE}"),
        // Nobody said where we are: relative to the folder in which the callback stands.
        None => {
            let path = target.split('?').next().unwrap_or_default();
            format!("{}{}", "../".repeat(path.matches('/').count().saturating_sub(1)), DONE.trim_start_matches('/'))
        }
    };
    Answer::Redirect { location: format!("{page}?{name}={outcome}"), cookie: None }
}

/// The page behind a callback. It knows what stands in its address, and no flow: anybody may open it and learns nothing.
pub(super) async fn done(call: Call) -> Result<Answer, Trouble> {
    if let Some(code) = call.query("error") {
        return did_not_work(200, Code::parse(code).map(Error::code_only).as_ref());
    }
    if call.query("outcome") == Some("connected") {
        let script = "setTimeout(function(){window.close()},300)";
        return page(200, "Connected", "<p>You can close this window.</p>", "", script, None);
    }
    page(200, "Almost done", "<p>Go back to the app that you came from; it finishes the connection.</p>", "", "", None)
}

/// The provider's answer. It is kept before anything is shown: a web SDK that polls must see it before the window closes. An error leads the
/// browser on too, as one does that ends the call before it comes here.
pub(super) async fn callback(call: Call) -> Result<Answer, Trouble> {
    let target = match call.body.as_object().filter(|_| call.method == http::Method::POST) {
        Some(form) => {
            let pairs = form.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            let query: Vec<_> = pairs.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
            format!("{}?{}", call.target.split('?').next().unwrap_or_default(), query.join("&"))
        }
        None => call.target.clone(),
    };
    let cookie = call.header("cookie").map(smalt::Secret::new);
    let api = call.api.clone();
    let found = first(&call, Code::InvalidState, move |smalt| {
        let (api, target, cookie) = (api.clone(), target.clone(), cookie.clone());
        async move {
            // The public URL may have a path that a proxy took away before the request came here.
            let base = api.public_url(&smalt).await.unwrap_or_default();
            smalt.park_callback(ParkCallback { callback_url: format!("{base}{target}"), cookie }).await
        }
        .boxed()
    });
    let (smalt, parked) = found.await?;
    if let (true, Some(claim)) = (parked.handed_off, &parked.claim) {
        let request = FinishConnect { account: parked.account_id.clone(), callback_url: None, cookie: None, claim: Some(claim.clone()) };
        let caller = Caller::Organisation("callback".into());
        let finished = smalt.backend().finish_connect(&caller, request).await;
        let of = GetFlow { account: parked.account_id.clone(), flow: parked.flow_id.clone() };
        let flow = smalt.backend().get_flow(&caller, of).await;
        if let Some(location) = flow.ok().and_then(|flow| flow.return_url) {
            call.api.counters().came_back("returned");
            return Ok(Answer::Redirect { location, cookie: None });
        }
        finished?;
        return Ok(gone_on(&call.api, &call.target, Came::Connected).await);
    }
    let Some(location) = parked.return_to else { return Ok(gone_on(&call.api, &call.target, Came::Waiting).await) };
    call.api.counters().came_back("returned");
    Ok(Answer::Redirect { location, cookie: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_escaped() {
        assert_eq!(escaped("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
    }
}
