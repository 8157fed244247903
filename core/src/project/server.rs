//! How much the HTTP API bears, and whom it believes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

project! {
    /// How much the HTTP API bears. A limit of 0 is none. Times are seconds and may have fractions.
    #[serde(default)]
    pub struct ServerSettings {
        /// Connections at once; more wait in the operating system's queue. Counts from the next start. Default 4,096.
        pub connections: usize,
        /// Connections at once from one address (IPv6: one /64 network); more are closed. Trusted proxies are exempt. Counts from
        /// the next start. Default 2,048.
        pub connections_per_address: usize,
        /// How long a connection takes requests; twice that ends it whatever is under way. Counts from the next start. Default 600.
        pub connection_time: f64,
        /// How long a connection may be open with nothing under way. On HTTP/1 `head_time` ends it too. Counts from the next start.
        /// Default 60.
        pub idle_time: f64,
        /// How long a request's head may take to come. Counts from the next start. Default 10.
        pub head_time: f64,
        /// How long a client may take nothing of its answer. Counts from the next start. Default 30.
        pub write_time: f64,
        /// The largest head, in bytes, at least 8,192. Counts from the next start. Default 16,384.
        pub head_size: usize,
        /// Header lines of one request. Counts from the next start. Default 80.
        pub headers: usize,
        /// How long a request's body may take to come, whole. Default 10.
        pub body_time: f64,
        /// The largest body, in bytes. Default 65,536.
        pub body_size: usize,
        /// Arrays and objects in each other. Default 32.
        pub body_depth: usize,
        /// Keys of all objects of one body together. Default 1,000.
        pub body_keys: usize,
        /// How long a request may take before it is answered with 504; what it began goes on. Default 60.
        pub request_time: f64,
        /// Requests that are answered at once, without those that wait for an event; more are answered with 503. Default 1,024.
        pub requests: usize,
        /// HTTP/2: requests at once on one connection. Counts from the next start. Default 100.
        pub streams: u32,
        /// HTTP/2: requests that a client may take back before they were looked at; more end the connection. Counts from the next
        /// start. Default 20.
        pub resets: usize,
        /// Calls that wait for an event at once: `wait_flow`, `events` with `wait`, event streams. Default 10,000.
        pub waiters: usize,
        /// The same for one linked account. Default 100.
        pub waiters_per_account: usize,
        /// How long an event stream lasts; then the client comes back and goes on where it was. Default 300.
        pub stream_time: f64,
        /// How long open requests may take to end when the server is stopped; 0 waits for none. Counts from the next start. Default 5.
        pub stop_time: f64,
        /// Addresses or ranges (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed. Default none: the address of the
        /// connection counts, whatever a header says.
        pub trusted_proxies: Vec<String>,
        /// How often somebody may call.
        pub rates: RateSettings,
    }

    /// How often somebody may call, per minute; 0 is no limit. Who was quiet may make the calls of ten seconds at once.
    #[serde(default)]
    pub struct RateSettings {
        /// Credentials that are tried and wrong, from one address, and of API keys with the same first ten characters. Credentials
        /// that were good a while ago are not held up by it; the whole minute's may come at once. Default 100.
        pub guesses: u32,
        /// Calls without a credential, from one address. Default 1,200.
        pub address: u32,
        /// Calls with one session token. Default 1,200.
        pub session: u32,
        /// Calls with one API key. Default 30,000.
        pub key: u32,
        /// Calls of the organisation and its sessions in one environment, all together. Default 120,000.
        pub tenant: u32,
        /// Calls that ask how an application or a flow stands, with one session token: web SDKs do while a user is at the
        /// provider. They count here only. Default 6,000.
        pub polls: u32,
        /// Connects that are begun, or keys that are tried, for one linked account with a session token. They count here
        /// beside `session`. Default 120.
        pub connects: u32,
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 2048,
            connection_time: 600.0,
            idle_time: 60.0,
            head_time: 10.0,
            write_time: 30.0,
            head_size: 16 * 1024,
            headers: 80,
            body_time: 10.0,
            body_size: 64 * 1024,
            body_depth: 32,
            body_keys: 1000,
            request_time: 60.0,
            requests: 1024,
            streams: 100,
            resets: 20,
            waiters: 10_000,
            waiters_per_account: 100,
            stream_time: 300.0,
            stop_time: 5.0,
            trusted_proxies: Vec::new(),
            rates: RateSettings::default(),
        }
    }
}

impl Default for RateSettings {
    fn default() -> Self {
        Self { guesses: 100, address: 1200, session: 1200, key: 30_000, tenant: 120_000, polls: 6000, connects: 120 }
    }
}

impl RateSettings {
    /// No limit at all.
    pub const fn off() -> Self {
        Self { guesses: 0, address: 0, session: 0, key: 0, tenant: 0, polls: 0, connects: 0 }
    }
}

impl ServerSettings {
    /// Its times, by name.
    pub(crate) fn times(&self) -> [(&'static str, f64); 8] {
        [
            ("connection_time", self.connection_time),
            ("idle_time", self.idle_time),
            ("head_time", self.head_time),
            ("write_time", self.write_time),
            ("body_time", self.body_time),
            ("request_time", self.request_time),
            ("stream_time", self.stream_time),
            ("stop_time", self.stop_time),
        ]
    }

    /// The ranges of trusted proxies.
    pub fn trusted(&self) -> Vec<AddressRange> {
        self.trusted_proxies.iter().filter_map(|text| AddressRange::parse(text)).collect()
    }
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    bits: u8,
}

impl AddressRange {
    /// `10.0.0.0/8`, `fd00::/8`, or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= width)?
            }
            Some(_) => return None,
            None => width,
        };
        Some(Self { first: masked(address, bits), bits })
    }

    /// Whether the address is one of them. An IPv4 address in the form of IPv6 is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.bits == 0
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::project::Project;

    #[test]
    fn ranges_hold_what_they_say() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
            ("10.9.9.9/8", "10.0.0.1", "::1"),
            ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("::1", "::1", "127.0.0.1"),
            ("192.168.1.128/25", "192.168.1.200", "192.168.1.1"),
        ] {
            let range = AddressRange::parse(range).unwrap();
            assert!(range.contains(inside.parse().unwrap()) && !range.contains(outside.parse().unwrap()), "{range:?}");
        }
        for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "::/129", "10.0.0/8"] {
            assert_eq!(AddressRange::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_limit_and_no_proxy_is_named() {
        let refused = |line: &str| Project::parse(&format!("version = 1\n[server]\n{line}\n"), "smalt.toml").unwrap_err().to_string();
        for (line, key) in [
            ("body_time = -1.0", "server.body_time"),
            ("idle_time = inf", "server.idle_time"),
            ("trusted_proxies = [\"proxy\"]", "server.trusted_proxies"),
            ("trusted_proxies = [\"0.0.0.0/0\"]", "trusts every address"),
            ("body_sice = 1", "body_size"),
        ] {
            assert!(refused(line).contains(key), "{line}: {}", refused(line));
        }
        let project = Project::parse("version = 1\n[server]\nbody_time = 2\nheaders = 0\n[server.rates]\nkey = 0\n", "smalt.toml").unwrap();
        assert!(project.server.body_time == 2.0 && project.server.headers == 0 && project.server.rates.key == 0);
        assert_eq!(project.server.rates.guesses, 100);
    }
}
