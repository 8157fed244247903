//! Where a request comes from. A header says so only where a listed proxy sent it (S-63).

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use smalt::project::AddressRange;

/// The other end of a request's connection. Whoever serves the API puts it into the request's extensions; without it, no limit
/// counts by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The address that limits count for: IPv6 by its network of 64 bits, which one customer of a provider has for itself.
pub(crate) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
        address => address,
    }
}

/// The client's address: the connection's, unless that is a trusted proxy's; then the last one in `X-Forwarded-For` that is none.
/// What stands left of it was written by the client, and counts for nothing.
pub(crate) fn client(peer: Option<Peer>, headers: &HeaderMap, trusted: &[AddressRange]) -> Option<IpAddr> {
    let trusts = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut client = peer?.0.to_canonical();
    if !trusts(client) {
        return Some(client);
    }
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // A hop that cannot be read ends the chain: what is left of it is no better known.
        let Some(hop) = hop_address(hop.trim()) else { break };
        client = hop;
        if !trusts(client) {
            break;
        }
    }
    Some(client)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:80`.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    address.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip())).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8", "::1"].map(|range| AddressRange::parse(range).unwrap());
        client(Some(Peer(peer.parse().unwrap())), &headers, &trusted).unwrap().to_string()
    }

    #[test]
    fn s63_a_forwarded_address_is_believed_from_listed_proxies_only() {
        for (peer, forwarded, expected) in [
            ("192.0.2.7", &["198.51.100.1"][..], "192.0.2.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // The left is the client's own word.
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1, 10.2.3.4"], "198.51.100.1"),
            ("10.0.0.1", &["10.9.9.9"], "10.9.9.9"),
            ("10.0.0.1", &["198.51.100.1, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.1.1.1"], "10.1.1.1"),
            ("::1", &["[2001:db8::5]:443"], "2001:db8::5"),
            ("::1", &["198.51.100.1:1234"], "198.51.100.1"),
        ] {
            assert_eq!(seen(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
        assert_eq!(client(None, &HeaderMap::new(), &[]), None);
    }

    #[test]
    fn a_network_of_one_customer_counts_as_one() {
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
