use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use url::{Host, Url};

use crate::{
    error::{Result, bail, err},
    project::Network,
};

/// A host, and one of its ports or all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

impl HostPort {
    /// Reads `host`, `host:port`, `10.0.0.1:8443`, `[::1]` or `[::1]:8443`. Without a port all of them are meant.
    ///
    /// # Errors
    /// `project_invalid` when it is none of these.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || err!(ProjectInvalid, "`{}` in `network.allow` is no `host` or `host:port`", text.escape_default());
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().map_err(|_| wrong())?)),
            _ => (text, None),
        };
        let host = Host::parse(host).map_err(|_| wrong())?;
        if matches!(&host, Host::Domain(name) if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))) {
            return Err(wrong());
        }
        Ok(Self { host: plain(&host), port })
    }

    /// Host and port of a URL.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self { host: plain(&url.host()?.to_owned()), port: url.port_or_known_default() })
    }

    /// Whether this covers the host and port.
    fn covers(&self, other: &HostPort) -> bool {
        self.host == other.host && (self.port.is_none() || self.port == other.port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// One spelling per host: lower case, no trailing dot.
fn plain(host: &Host<String>) -> String {
    let mut text = host.to_string().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// Which addresses may be called: public ones over https, and what the organisation lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Hosts that may be private and be called over plain http.
    pub allow: Vec<HostPort>,
}

impl AddressPolicy {
    /// The policy of a project.
    ///
    /// # Errors
    /// `project_invalid` names a malformed entry.
    pub fn new(network: &Network) -> Result<Self> {
        Ok(Self { allow: network.allow.iter().map(|text| HostPort::parse(text)).collect::<Result<_>>()? })
    }

    /// Adds a host, e.g. the sandbox's.
    #[must_use]
    pub fn with(mut self, host: HostPort) -> Self {
        self.allow.push(host);
        self
    }

    /// Whether the URL's host and port are on the list.
    pub fn lists(&self, url: &Url) -> bool {
        HostPort::of(url).is_some_and(|target| self.allow.iter().any(|entry| entry.covers(&target)))
    }

    /// Checks what can be seen before a name is resolved: scheme, user info, and addresses written as such. Names are
    /// checked when they are resolved, by the transport.
    ///
    /// # Errors
    /// `address_refused`.
    pub fn check(&self, url: &Url) -> Result<()> {
        if !url.username().is_empty() || url.password().is_some() {
            bail!(AddressRefused, "the URL holds user info");
        }
        if self.lists(url) && matches!(url.scheme(), "http" | "https") {
            return Ok(());
        }
        let Some(host) = url.host().filter(|_| url.scheme() == "https") else {
            bail!(AddressRefused, "the URL is not https");
        };
        let public = match host {
            Host::Ipv4(ip) => is_public(ip.into()),
            Host::Ipv6(ip) => is_public(ip.into()),
            Host::Domain(_) => true,
        };
        if public { Ok(()) } else { Err(refused(&host.to_string())) }
    }
}

/// The error for a host whose addresses may not be called.
pub(super) fn refused(host: &str) -> crate::Error {
    err!(AddressRefused, "`{host}` leads to an address that is private, loopback or reserved").with("host", host)
}

/// Whether an address belongs to the public internet. Everything else could be a machine of the organisation itself: see
/// the special-purpose registries of IANA (RFC 6890). Addresses that carry another one inside (v4-mapped, NAT64, 6to4,
/// Teredo) are refused whatever they carry.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => public_v4(ip),
        IpAddr::V6(ip) => public_v6(ip),
    }
}

fn public_v4(ip: Ipv4Addr) -> bool {
    /// Network, bits.
    const RESERVED: [([u8; 4], u32); 17] = [
        ([0, 0, 0, 0], 8),        // this network
        ([10, 0, 0, 0], 8),       // private
        ([100, 64, 0, 0], 10),    // carrier-grade NAT
        ([127, 0, 0, 0], 8),      // loopback
        ([168, 63, 129, 16], 32), // Azure's virtual public address, answered by the host machine
        ([169, 254, 0, 0], 16),   // link-local, cloud metadata
        ([172, 16, 0, 0], 12),    // private
        ([192, 0, 0, 0], 24),     // protocol assignments
        ([192, 0, 2, 0], 24),     // documentation
        ([192, 31, 196, 0], 24),  // AS112
        ([192, 52, 193, 0], 24),  // AMT
        ([192, 88, 99, 0], 24),   // 6to4 relay
        ([192, 168, 0, 0], 16),   // private
        ([198, 18, 0, 0], 15),    // benchmarking
        ([198, 51, 100, 0], 24),  // documentation
        ([203, 0, 113, 0], 24),   // documentation
        ([224, 0, 0, 0], 3),      // multicast, reserved, broadcast
    ];
    let bits = ip.to_bits();
    !RESERVED.iter().any(|(net, len)| bits >> (32 - len) == Ipv4Addr::from(*net).to_bits() >> (32 - len))
}

fn public_v6(ip: Ipv6Addr) -> bool {
    /// First 32 bits, how many of them count.
    const RESERVED: [(u32, u32); 5] = [
        (0x2001_0000, 23), // protocol assignments: Teredo, benchmarking, ORCHID
        (0x2001_0db8, 32), // documentation
        (0x2002_0000, 16), // 6to4
        (0x3ffe_0000, 16), // the former 6bone
        (0x3fff_0000, 20), // documentation
    ];
    #[allow(clippy::cast_possible_truncation)] // the upper 32 of 128 bits
    let top = (ip.to_bits() >> 96) as u32;
    // Global unicast is 2000::/3; loopback, mapped, NAT64, ULA, link-local, site-local and multicast lie outside.
    top >> 29 == 1 && !RESERVED.iter().any(|(net, len)| top >> (32 - len) == net >> (32 - len))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Code;

    const REFUSED: &str = "
        0.0.0.0 0.1.2.3 0.255.255.255 10.0.0.0 10.1.2.3 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255
        127.0.0.1 127.0.0.53 127.1.2.3 127.255.255.254 168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2
        172.16.0.1 172.20.1.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255
        198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 :: ::1
        ::2 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1
        64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b:1::1 64:ff9b:1:ffff::1 100::1 2001::1
        2001:0:53aa:64c:0:7ffe:8080:8080 2001:2::1 2001:10::1 2001:20::1 2001:1ff::1 2001:db8::1 2001:db8:ffff::1
        2002:7f00:1:: 2002:a00:1::1 2002:808:808::1 3ffe::1 3fff::1 3fff:fff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254
        fdff:ffff::1 fe80::1 fe80::1:2:3:4 febf::1 fec0::1 feff::1 ff01::1 ff02::1 ff0e::1 ffff::1 4000::1 8000::1
        1fff::1
    ";
    const PUBLIC: &str = "
        1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 168.63.129.17
        169.253.255.255 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
        223.255.255.255 2000::1 2001:200::1 2001:4860:4860::8888 2001:db7::1 2003::1 2606:4700::1111 2a00:1450::1
        3fff:1000::1
    ";

    #[test]
    fn s51_only_public_addresses() {
        // Spellings that parsers of URLs take for 127.0.0.1 or 10.0.0.1.
        let odd = [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "127.0.1",
            "017700000001",
            "127.0.0.1.",
            "0xA000001",
            "10.1",
            "１２７.0.0.1",
            "127。0。0。1",
        ];
        assert!(REFUSED.split_whitespace().count() + odd.len() >= 80);
        let policy = AddressPolicy::default();
        for text in REFUSED.split_whitespace() {
            let ip: IpAddr = text.parse().unwrap();
            assert!(!is_public(ip), "{text}");
            let url = Url::parse(&if ip.is_ipv6() { format!("https://[{text}]/x") } else { format!("https://{text}/x") }).unwrap();
            assert!(policy.check(&url).unwrap_err().is(Code::AddressRefused), "{text}");
        }
        for text in odd {
            assert!(policy.check(&Url::parse(&format!("https://{text}/")).unwrap()).unwrap_err().is(Code::AddressRefused), "{text}");
        }
        for text in PUBLIC.split_whitespace() {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        assert!(policy.check(&"https://8.8.8.8/".parse().unwrap()).is_ok());
        assert!(policy.check(&"https://example.com/".parse().unwrap()).is_ok());
    }

    #[test]
    fn s53_plain_http_needs_the_list() {
        let network = Network { allow: ["intra.test", "10.0.0.5:8080", "[fd00::1]:99", "[fd00::2]"].map(str::to_owned).to_vec() };
        let policy = AddressPolicy::new(&network).unwrap();
        for (url, fits) in [
            ("http://intra.test/", true),
            ("https://INTRA.test.:444/", true),
            ("http://10.0.0.5:8080/", true),
            ("http://0xa000005:8080/", true),
            ("https://10.0.0.5/", false),
            ("http://[fd00::1]:99/", true),
            ("http://[fd00::1]/", false),
            ("http://[fd00::2]:7/", true),
            ("http://x.intra.test/", false),
            ("http://intra.test.evil/", false),
            ("http://u@intra.test/", false),
            ("https://u:p@example.com/", false),
            ("ftp://intra.test/", false),
            ("file:///etc/passwd", false),
            ("http://example.com/", false),
            ("data:text/plain,x", false),
        ] {
            assert_eq!(policy.check(&url.parse().unwrap()).is_ok(), fits, "{url}");
        }
        for bad in ["", "http://x", "a b", "x:99999", "x:y", "x/y", "a@b", "::1", "[::1", "*"] {
            let read = HostPort::parse(bad);
            assert!(read.is_err(), "{bad}: {read:?}");
        }
    }
}
