use std::{collections::BTreeMap, fmt};

use url::form_urlencoded;

use subtle::ConstantTimeEq;

use super::provider_code;
use crate::{
    Secret,
    error::{Result, bail},
    manifest::{AuthorizeCallback, template},
};

/// No callback is larger than this, in bytes.
const LARGEST: usize = 8 * 1024;
/// No callback has more parameters than this.
const MOST: usize = 64;

/// What the provider sent back with the browser (RFC 6749 section 4.1.2). Nothing in it is believed until the state is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Callback {
    /// The flow it claims to belong to.
    pub state: Option<Secret>,
    /// The code to exchange.
    pub code: Option<Secret>,
    /// The provider's short error code, cleaned: see [`provider_code`]. Descriptions are dropped.
    pub error: Option<String>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
    /// Every other parameter; of several with one name, the first.
    pub params: BTreeMap<String, String>,
}

impl Callback {
    /// Reads code and error where this provider puts them.
    pub fn adapt(&mut self, ways: &AuthorizeCallback) {
        if let Some(name) = &ways.code {
            self.code = self.params.remove(name).filter(|code| !code.is_empty()).map(Secret::new);
        }
        // Some state both, and the odd one says more.
        if let Some(value) = ways.error.as_ref().and_then(|name| self.params.remove(name)) {
            self.error = Some(provider_code(&value));
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.params.keys().collect();
        f.debug_struct("Callback").field("error", &self.error).field("iss", &self.iss).field("params", &names).finish_non_exhaustive()
    }
}

/// Reads a callback: a whole URL of any scheme, a path with a query, a bare query, or the body of a `form_post`.
///
/// # Errors
/// `invalid_request` when it is larger than 8 KiB, has more than 64 parameters, or `state`, `code`, `iss` or `error` twice.
pub fn callback(url_or_query: &str) -> Result<Callback> {
    if url_or_query.len() > LARGEST {
        bail!(InvalidRequest, "the callback is larger than 8 KiB");
    }
    let mut found = Callback::default();
    for (at, (name, value)) in form_urlencoded::parse(query(url_or_query).as_bytes()).enumerate() {
        if at == MOST {
            bail!(InvalidRequest, "the callback has more than {MOST} parameters");
        }
        let again = match &*name {
            "state" => found.state.replace(Secret::new(value)).is_some(),
            "code" => found.code.replace(Secret::new(value)).is_some(),
            "iss" => found.iss.replace(value.into_owned()).is_some(),
            "error" => found.error.replace(provider_code(&value)).is_some(),
            "error_description" | "error_uri" => false,
            _ => {
                found.params.entry(name.clone().into_owned()).or_insert_with(|| value.into_owned());
                false
            }
        };
        if again {
            bail!(InvalidRequest, "the callback holds `{name}` twice");
        }
    }
    found.state = found.state.filter(|state| !state.is_empty());
    found.code = found.code.filter(|code| !code.is_empty());
    Ok(found)
}

fn query(text: &str) -> &str {
    let text = text.split('#').next().unwrap_or_default();
    let Some(at) = text.find(['?', '=', '&']) else { return "" };
    let (head, tail) = text.split_at(at);
    match tail.strip_prefix('?') {
        Some(query) => query,
        None if head.contains([':', '/']) => "",
        None => text,
    }
}

/// The last part of a callback's path, decoded: where the state is when the provider gives nothing else back.
pub(crate) fn last_part(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let last =
        path.rsplit('/').next().filter(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)))?;
    Some(last.to_owned())
}

/// Checks that a callback is the provider's: the parameter `param` holds the hexadecimal HMAC-SHA256 of all others, sorted by
/// name, as `name=value` with `&` between them, under the client's secret.
///
/// # Errors
/// `authorize_failed` when it is missing, wrong, or there is no secret to check it with.
pub(crate) fn check_hmac(url_or_query: &str, param: &str, secret: Option<&Secret>) -> Result<()> {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query(url_or_query).as_bytes()).into_owned().collect();
    pairs.sort();
    let given = pairs.iter().position(|(name, _)| name == param).map(|at| pairs.remove(at).1);
    let message = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let (Some(given), Some(secret)) = (given, secret) else {
        bail!(AuthorizeFailed, "the callback is not signed as the provider signs it")
    };
    let mut expected = String::new();
    for byte in template::hmac(secret.expose().as_bytes(), message.as_bytes())? {
        expected.push_str(&format!("{byte:02x}"));
    }
    if bool::from(expected.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes())) {
        return Ok(());
    }
    bail!(AuthorizeFailed, "the callback's signature is wrong: somebody may have changed it on its way")
}

/// Compares the callback's issuer with the one that the manifest states, byte for byte (RFC 9207 section 2.4). Where the
/// manifest states none, none is required.
///
/// # Errors
/// `issuer_mismatch`.
pub fn check_issuer(expected: Option<&str>, got: Option<&str>) -> Result<()> {
    match expected {
        Some(expected) if got != Some(expected) => {
            bail!(IssuerMismatch, "the callback's issuer is {}", if got.is_some() { "another one" } else { "missing" })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Code;

    #[test]
    fn callbacks_come_in_many_forms() {
        for text in [
            "https://app.test/smalt/cb/x?code=a%2Fb&state=s+t&iss=https%3A%2F%2Fi&hd=acme&hd=evil#_=_",
            "com.acme.app:/cb?code=a/b&state=s%20t&iss=https://i&hd=acme",
            "acme://cb?code=a/b&state=s%20t&iss=https://i&hd=acme",
            "/cb?code=a/b&state=s%20t&iss=https://i&hd=acme",
            "cb?code=a/b&state=s%20t&iss=https://i&hd=acme",
            "?code=a/b&state=s%20t&iss=https://i&hd=acme",
            "code=a/b&state=s%20t&iss=https://i&hd=acme&error_description=%3Cscript%3E",
        ] {
            let read = callback(text).unwrap();
            assert_eq!(read.code, Some("a/b".into()), "{text}");
            assert_eq!(read.state, Some("s t".into()), "{text}");
            assert_eq!(read.iss.as_deref(), Some("https://i"), "{text}");
            assert_eq!(read.params, BTreeMap::from([("hd".to_owned(), "acme".to_owned())]), "{text}");
            assert!(!format!("{read:?}").contains("a/b"));
        }
        for text in ["", "https://app.test/cb", "/cb", "acme:/a=b", "https://app.test/cb?", "state=&code=", "#code=a&state=b"] {
            let read = callback(text).unwrap();
            assert_eq!((read.code, read.state), (None, None), "{text}");
        }
        assert_eq!(callback("state=a?b").unwrap().state, Some("a?b".into()));
    }

    #[test]
    fn s13_an_error_is_a_short_code() {
        assert_eq!(callback("error=access_denied&state=s").unwrap().error.as_deref(), Some("access_denied"));
        let hostile = callback("error=%3Cscript%3Ealert(1)%3C%2Fscript%3E&error_description=x&state=s").unwrap();
        assert_eq!(hostile.error.as_deref(), Some("scriptalert1script"));
        assert!(hostile.params.is_empty());
    }

    #[test]
    fn odd_names_are_read_where_the_manifest_says() {
        let ways = AuthorizeCallback { code: Some("auth_code".into()), error: Some("error_reason".into()), ..AuthorizeCallback::default() };
        let mut read = callback("auth_code=a&state=s&x=y").unwrap();
        read.adapt(&ways);
        assert_eq!((read.code, read.params.len()), (Some("a".into()), 1));
        let mut read = callback("error_reason=user denied&state=s").unwrap();
        read.adapt(&ways);
        assert_eq!(read.error.as_deref(), Some("userdenied"));
        assert_eq!(last_part("https://app.test/cb/x/St-a_te9?code=a/b").as_deref(), Some("St-a_te9"));
        assert_eq!((last_part("https://app.test/cb/"), last_part("/cb/a%2Fb?x")), (None, None));
    }

    #[test]
    fn a_signed_callback_is_checked() {
        // Python: hmac.new(b"hush", b"code=…&shop=…&state=…&timestamp=…", "sha256").hexdigest()
        let secret = Secret::new("hush");
        let signed = "code=0907a61c0c8d55e99db179b68161bc00&hmac=700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf&shop=some-shop.myshopify.com&state=0.6784241404160823&timestamp=1337178173";
        check_hmac(&format!("https://app.test/cb?{signed}"), "hmac", Some(&secret)).unwrap();
        for (from, to) in [
            ("some-shop", "evil"),
            ("code=0", "code=1"),
            ("&state=0.6", "&state=0.7"),
            ("hmac=", "hmac=0"),
            ("hmac=", "other="),
            ("timestamp", "more=1&timestamp"),
        ] {
            assert!(check_hmac(&signed.replace(from, to), "hmac", Some(&secret)).unwrap_err().is(Code::AuthorizeFailed), "{from}");
        }
        assert!(check_hmac(signed, "hmac", Some(&Secret::new("other"))).is_err() && check_hmac(signed, "hmac", None).is_err());
    }

    #[test]
    fn doubled_and_large_are_refused() {
        for text in ["state=a&state=a", "code=a&code=b", "iss=a&state=s&iss=a", "error=a&error=b", "state=&state=a", "st%61te=a&state=b"] {
            assert!(callback(text).unwrap_err().is(Code::InvalidRequest), "{text}");
        }
        assert!(callback(&format!("state={}", "a".repeat(LARGEST))).is_err());
        assert!(callback(&format!("state={}", "a".repeat(LARGEST - 6))).is_ok());
        assert!(callback(&"a=b&".repeat(MOST + 1)).is_err());
    }

    #[test]
    fn s06_the_issuer_is_compared_byte_for_byte() {
        let issuer = "https://id.example/realms/a";
        let wrong = [
            "",
            "https://id.example/realms/a/",
            "https://id.example/realms/A",
            "HTTPS://id.example/realms/a",
            "http://id.example/realms/a",
            "https://id.example:443/realms/a",
            "https://id.example/realms/b",
            " https://id.example/realms/a",
            "https://id.example/realms/a ",
            "https://id.example/realms/%61",
            "https://id.example/realms/a?",
            "https://id.example/realms/a#",
            "https://evil.example/realms/a",
        ];
        for got in wrong {
            assert!(check_issuer(Some(issuer), Some(got)).unwrap_err().is(Code::IssuerMismatch), "{got}");
        }
        assert!(check_issuer(Some(issuer), None).unwrap_err().is(Code::IssuerMismatch));
        assert!(check_issuer(Some(issuer), Some(issuer)).is_ok());
        assert!(check_issuer(None, Some("https://any.example")).is_ok() && check_issuer(None, None).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,200}", more in "(state|code|iss|error|[?&=#%:/]){0,20}") {
            let _ = callback(&text);
            let _ = callback(&more);
        }
    }
}
