//! Where browsers may be sent: back to the product (`return_to`), and from the provider to the callback (`redirect_uri`).
//! Both are compared with stored lists as text, so that no difference between URL parsers can be used.

use url::Url;

use super::{Client, Org};
use crate::{Result, error::err};

/// URLs longer than this are refused.
const MAX_URL: usize = 2048;

/// The path of loopback redirect URIs that need not be listed (RFC 8252 section 7.3); other paths must be on the list.
pub const LOOPBACK_PATH: &str = "/callback";

/// Whether a user may be sent back to this URL: its origin, or the whole URL, stands in `org.return_to`. For native apps (RFC 8252)
/// that may be a URL with a private-use scheme in reverse-DNS form, or one on `127.0.0.1` or `[::1]`, whose port is then free.
///
/// # Errors
/// `return_to_not_allowed`.
pub fn return_to_allowed(org: &Org, url: &str) -> Result<Url> {
    let refused = |why: &str| err!(ReturnToNotAllowed, "the return URL {why}");
    if !plain(url) {
        return Err(refused("is longer than 2048 characters, or holds a character that no URL may hold"));
    }
    let parsed = Url::parse(url).map_err(|_| refused("is not an absolute URL"))?;
    let native = private_use(parsed.scheme());
    if !native && !matches!(parsed.scheme(), "http" | "https") {
        return Err(refused("is neither https nor http, nor has it a scheme in reverse-DNS form, e.g. `com.example.app`"));
    }
    if org.return_to.iter().any(|entry| covers(entry, url)) {
        return Ok(parsed);
    }
    if native {
        return Err(refused("has a scheme of a native app, and does not stand on the list as it is"));
    }
    let origin = parsed.origin().ascii_serialization();
    Err(refused(&format!("leads to `{origin}`, which is not on the list")).with("origin", origin))
}

/// Whether an entry of the list covers the URL: an origin covers all its paths, a full URL covers itself, and one on a loopback
/// address itself with any port.
fn covers(entry: &str, url: &str) -> bool {
    match is_origin(entry) {
        true => url.strip_prefix(entry.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#'])),
        false => entry == url || loopback(entry).is_some_and(|path| loopback(url) == Some(path)),
    }
}

/// Whether the text is nothing but `scheme://host[:port]`, with at most a slash after it.
pub(crate) fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        url.has_host() && url.origin().is_tuple() && url.origin().ascii_serialization() == text.strip_suffix('/').unwrap_or(text)
    })
}

/// Whether the text has only characters that a URL may hold (RFC 3986), and a bearable length. No backslash, no space, no
/// control character, nothing outside ASCII: those are what URL parsers disagree about.
pub(crate) fn plain(url: &str) -> bool {
    url.len() <= MAX_URL
        && url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}'))
}

/// Whether a provider may send the user to this redirect URI: it stands in `org.redirect_uris` or is the client's own; or it
/// is `http://127.0.0.1` or `http://[::1]` with any port and the path of a listed loopback URI, or [`LOOPBACK_PATH`].
/// `localhost` is a name that may resolve to something else, so its port is never free (RFC 8252 section 8.3).
///
/// # Errors
/// `redirect_not_allowed`.
pub fn redirect_allowed(org: &Org, client: Option<&Client>, uri: &str) -> Result<Url> {
    let refused = |why: &str| err!(RedirectNotAllowed, "the redirect URI {why}");
    redirect_form(uri).map_err(refused)?;
    let parsed = Url::parse(uri).map_err(|_| refused("is not an absolute URI"))?;
    let mut listed = org.redirect_uris.iter().map(String::as_str).chain(client.and_then(|c| c.redirect_uri.as_deref()));
    let loopback_path = loopback(uri);
    let allowed = listed.any(|entry| entry == uri || (loopback_path.is_some() && loopback(entry) == loopback_path))
        || loopback_path.is_some_and(|path| path == LOOPBACK_PATH);
    if allowed { Ok(parsed) } else { Err(refused("is not on the list")) }
}

/// What is wrong with a redirect URI's form, whether it is listed or not.
pub(crate) fn redirect_form(uri: &str) -> Result<(), &'static str> {
    if !plain(uri) {
        return Err("is longer than 2048 characters, or holds a character that no URI may hold");
    }
    let parsed = Url::parse(uri).map_err(|_| "is not an absolute URI")?;
    if parsed.fragment().is_some() || uri.contains('#') {
        return Err("has a fragment (RFC 6749 section 3.1.2)");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || authority(uri).contains('@') {
        return Err("has a user name");
    }
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if loopback(uri).is_some() || parsed.host_str() == Some("localhost") => Ok(()),
        "http" => Err("is plain http to another machine"),
        scheme if private_use(scheme) && uri.starts_with(scheme) => Ok(()),
        _ => Err("has a scheme that is not in reverse-DNS form, e.g. `com.example.app` (RFC 8252 section 7.1)"),
    }
}

/// The authority part as written.
fn authority(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// A private-use scheme in reverse-DNS form: at least two labels of letters, digits and `-`, each starting with a letter.
pub(crate) fn private_use(scheme: &str) -> bool {
    let label = |l: &str| {
        l.starts_with(|c: char| c.is_ascii_lowercase()) && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    scheme.contains('.') && scheme.split('.').all(label)
}

/// Path and query of `http://127.0.0.1[:port]/…` or `http://[::1][:port]/…`, by text; absent for everything else.
fn loopback(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("http://127.0.0.1").or_else(|| uri.strip_prefix("http://[::1]"))?;
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    let port = &rest[..rest.len() - path.len()];
    let port_fits = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0') && digits.parse::<u16>().is_ok_and(|p| p > 0)
        }
    };
    (port_fits && !path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests;
