use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

use crate::{
    Result,
    error::{bail, err},
};

/// How long the sandbox may take.
const TIME: Duration = Duration::from_secs(30);
/// The most that is read of an answer.
const MAX_ANSWER: u64 = 64 * 1024;

/// Plays the user's browser for scripted consent: visits a sandbox's authorize page and answers the callback URL that it
/// redirects to, without going there. The page must answer at once: see [`super::Ways::auto_consent`], or add
/// `sandbox_user` and `sandbox_decision` to the query.
///
/// # Errors
/// `invalid_request` for a URL that is not plain http on this machine; `provider_unreachable`, `provider_timeout`;
/// `authorize_failed` when the answer is a page; `malformed_answer`.
pub async fn visit(authorize_url: &str) -> Result<String> {
    let url = Url::parse(authorize_url).map_err(|_| err!(InvalidRequest, "the authorize URL is not a URL"))?;
    if !super::authorize::loopback_http(&url) {
        bail!(InvalidRequest, "only a sandbox on this machine can be visited, over plain http");
    }
    let visited = crate::runtime::spawn(async move { tokio::time::timeout(TIME, get(&url)).await }).await;
    match visited {
        Ok(Ok(answer)) => callback(&answer?),
        Ok(Err(_)) => bail!(ProviderTimeout, "the sandbox did not answer within {TIME:?}"),
        Err(_) => bail!(Internal, "the runtime ended while the sandbox was visited"),
    }
}

/// Plays the user who enters a code at a sandbox's page of the device flow, as `user`.
///
/// # Errors
/// As [`visit`]; `authorize_failed` when no device waits with this code.
pub async fn visit_device(verification_uri: &str, user_code: &str, user: &str, allow: bool) -> Result<()> {
    let mut url = Url::parse(verification_uri).map_err(|_| err!(InvalidRequest, "the page is no URL"))?;
    if !super::authorize::loopback_http(&url) {
        bail!(InvalidRequest, "only a sandbox on this machine can be visited, over plain http");
    }
    let decision = if allow { "allow" } else { "deny" };
    url.query_pairs_mut().clear().extend_pairs([("user_code", user_code), ("sandbox_user", user), ("sandbox_decision", decision)]);
    let visited = crate::runtime::spawn(async move { tokio::time::timeout(TIME, get(&url)).await }).await;
    let answer = match visited {
        Ok(Ok(answer)) => answer?,
        Ok(Err(_)) => bail!(ProviderTimeout, "the sandbox did not answer within {TIME:?}"),
        Err(_) => bail!(Internal, "the runtime ended while the sandbox was visited"),
    };
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!(AuthorizeFailed, "no device waits at the sandbox with this code");
    }
    Ok(())
}

async fn get(url: &Url) -> Result<Vec<u8>> {
    let unreachable = |e: std::io::Error| err!(ProviderUnreachable, "the sandbox cannot be reached: {e}");
    let addresses = url.socket_addrs(|| None).map_err(unreachable)?;
    let mut stream = TcpStream::connect(&*addresses).await.map_err(unreachable)?;
    let request = format!(
        "GET {}?{} HTTP/1.1\r\nhost: {}\r\naccept: text/html\r\nconnection: close\r\n\r\n",
        url.path(),
        url.query().unwrap_or_default(),
        url.authority()
    );
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let mut answer = Vec::new();
    let _ = stream.take(MAX_ANSWER).read_to_end(&mut answer).await.map_err(unreachable)?;
    Ok(answer)
}

/// The `Location` of a redirect.
fn callback(answer: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse::<u16>().ok());
    let location = lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("location"));
    match (status, location) {
        (Some(302 | 303), Some((_, value))) => Ok(value.trim().to_owned()),
        (Some(200), None) => bail!(AuthorizeFailed, "the sandbox shows its consent page; set `auto_consent`, or name a `sandbox_user`"),
        (Some(status), _) => Err(err!(AuthorizeFailed, "the sandbox answered the authorize page with {status}").with("status", status)),
        (None, _) => bail!(MalformedAnswer, "the sandbox did not answer in HTTP"),
    }
}
