//! A port on this machine that a program opens for itself (S-30): for its own pages and processes, and for nobody else who can reach it.
//!
//! Every page that a user looks at, and every program of theirs, reaches the ports of this machine. So each call carries a secret of the
//! port, beside its usual credential; none came through a proxy; and none names another host, to which a foreign page's name could lead.

use http::{HeaderMap, HeaderName, Uri, header::HOST, request::Parts};
pub use smalt::remote::{PORT_SECRET, port_secret};
use smalt::{Code, Error, Secret};

use crate::{
    answer::Trouble,
    routes::{CALLBACK, DONE, Route},
};

/// What proxies add, and no program on this machine does.
const FORWARDED: [&str; 7] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip", "via"];

/// Whether a browser opens this by itself, following a link: it sends no header of ours, and brings a proof of its own. A provider sends
/// the user back with a state and a cookie; the page that asks before has a ticket that works once; the one after it says what stands in
/// its address.
fn is_opened(route: Option<&Route>) -> bool {
    route.is_some_and(|route| matches!(route.path, CALLBACK | "/connect/go/{ticket}" | DONE))
}

fn is_here(headers: &HeaderMap, uri: &Uri) -> bool {
    let named = uri.authority().map(|authority| authority.as_str()).or_else(|| headers.get(HOST)?.to_str().ok());
    let Some(authority) = named.and_then(|text| text.parse::<http::uri::Authority>().ok()) else { return false };
    let host = authority.host().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses what was not sent from this machine, to this machine.
///
/// # Errors
/// 400.
pub(crate) fn is_direct(head: &Parts) -> Result<(), Trouble> {
    if let Some(name) = FORWARDED.iter().find(|name| head.headers.contains_key(HeaderName::from_static(name))) {
        return Err(Trouble::bad(format!("this port takes no calls that were forwarded (`{name}`)")));
    }
    if !is_here(&head.headers, &head.uri) {
        return Err(Trouble::bad("this port is called by an address of this machine, and by no other name"));
    }
    Ok(())
}

/// Refuses whoever does not know the port's secret: with the same words for none, another, and two.
///
/// # Errors
/// 403.
pub(crate) fn knows(secret: &Secret, headers: &HeaderMap, route: Option<&Route>) -> Result<(), Trouble> {
    let mut said = headers.get_all(PORT_SECRET).iter();
    // Equality of secrets takes as long wherever they differ.
    let is_known =
        said.next().and_then(|value| value.to_str().ok()).is_some_and(|said| Secret::new(said) == *secret) && said.next().is_none();
    if is_known || is_opened(route) {
        return Ok(());
    }
    let text = format!("this port is for who opened it: send its secret in the header `{PORT_SECRET}`");
    // The usual cure of the code is another one.
    Err(Error::received(Code::Forbidden, text).into())
}
