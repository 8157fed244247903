//! OAuth 1.0a (RFC 5849): requests that are signed one by one.

use base64ct::{Base64, Encoding};
use ring::hmac;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::{
    Secret, Timestamp,
    error::{Result, bail},
    ids,
    manifest::{
        Oauth1Signature, Placement,
        template::{self, Values},
    },
    plugin::HttpRequest,
};

/// What signs: the client's half, and the token's where there is one.
#[derive(Clone, Debug, Default)]
pub struct Oauth1Keys {
    /// The client's key (`oauth_consumer_key`).
    pub consumer_key: String,
    /// The client's secret.
    pub consumer_secret: Secret,
    /// The token, or the temporary credentials' identifier.
    pub token: Option<Secret>,
    /// The token's secret.
    pub token_secret: Secret,
}

/// Signs a request where its placement says so, and does nothing elsewhere. It must be complete but for this: method, URL,
/// query and a form's fields are signed. Each call makes a nonce of its own.
///
/// # Errors
/// `invalid_inputs` names a missing value; `invalid_request` when a header cannot carry one.
pub fn sign_placed(request: &mut HttpRequest, placement: &Placement, values: &Values<'_>, now: Timestamp) -> Result<()> {
    let Placement::Oauth1 { consumer_key, consumer_secret, token, token_secret, signature, realm } = placement else { return Ok(()) };
    let secret = |text: &str| template::text(text, values).map(Secret::new);
    let keys = Oauth1Keys {
        consumer_key: template::text(consumer_key, values)?,
        consumer_secret: secret(consumer_secret)?,
        token: Some(secret(token)?),
        token_secret: secret(token_secret)?,
    };
    let realm = realm.as_deref().map(|realm| template::text(realm, values)).transpose()?;
    sign(request, &keys, *signature, realm.as_deref(), &[], now)
}

/// Puts the Authorization header of RFC 5849 section 3.5.1 into the request; `more` are further `oauth_` parameters.
///
/// # Errors
/// `invalid_request` when the header cannot carry a value.
pub fn sign(
    request: &mut HttpRequest,
    keys: &Oauth1Keys,
    signature: Oauth1Signature,
    realm: Option<&str>,
    more: &[(&str, &str)],
    now: Timestamp,
) -> Result<()> {
    sign_with(request, keys, signature, realm, more, now, &ids::new_token()?)
}

fn sign_with(
    request: &mut HttpRequest,
    keys: &Oauth1Keys,
    signature: Oauth1Signature,
    realm: Option<&str>,
    more: &[(&str, &str)],
    now: Timestamp,
    nonce: &str,
) -> Result<()> {
    let (method, algorithm) = match signature {
        Oauth1Signature::HmacSha1 => ("HMAC-SHA1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Oauth1Signature::HmacSha256 => ("HMAC-SHA256", hmac::HMAC_SHA256),
    };
    let timestamp = now.seconds().to_string();
    let mut own: Vec<(&str, Zeroizing<String>)> = [
        ("oauth_consumer_key", keys.consumer_key.as_str()),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", method),
        ("oauth_timestamp", &timestamp),
        ("oauth_version", "1.0"),
    ]
    .iter()
    .chain(more)
    .map(|(name, value)| (*name, encode(value)))
    .collect();
    if let Some(token) = &keys.token {
        own.push(("oauth_token", encode(token.expose())));
    }
    let base = base_string(request, &own);
    let key = Zeroizing::new(format!("{}&{}", *encode(keys.consumer_secret.expose()), *encode(keys.token_secret.expose())));
    let tag = hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), base.as_bytes());
    own.push(("oauth_signature", encode(&Base64::encode_string(tag.as_ref()))));
    let mut header = Zeroizing::new(String::from("OAuth "));
    if let Some(realm) = realm {
        if realm.contains(['"', '\\']) {
            bail!(InvalidRequest, "a realm holds no quotes");
        }
        header.push_str(&format!("realm=\"{realm}\", "));
    }
    for (at, (name, value)) in own.iter().enumerate() {
        header.push_str(if at == 0 { "" } else { ", " });
        header.push_str(&Zeroizing::new(format!("{name}=\"{}\"", **value)));
    }
    request.set_header("authorization", &header)
}

/// What is signed (RFC 5849 section 3.4.1). `own` values are encoded already.
fn base_string(request: &HttpRequest, own: &[(&str, Zeroizing<String>)]) -> Zeroizing<String> {
    let mut params: Vec<(Zeroizing<String>, Zeroizing<String>)> =
        own.iter().map(|(name, value)| (Zeroizing::new((*name).to_owned()), value.clone())).collect();
    params.extend(request.url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))));
    if is_form(request) {
        params.extend(form_urlencoded::parse(&request.body.0).map(|(name, value)| (encode(&name), encode(&value))));
    }
    params.sort_by(|a, b| (a.0.as_str(), a.1.as_str()).cmp(&(b.0.as_str(), b.1.as_str())));
    let mut joined = Zeroizing::new(String::new());
    for (at, (name, value)) in params.iter().enumerate() {
        joined.push_str(if at == 0 { "" } else { "&" });
        joined.push_str(&Zeroizing::new(format!("{}={}", **name, **value)));
    }
    Zeroizing::new(format!("{}&{}&{}", request.method.to_ascii_uppercase(), *encode(&base_uri(&request.url)), *encode(&joined)))
}

/// Whether the body is a form, whose fields are signed too.
fn is_form(request: &HttpRequest) -> bool {
    request.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("content-type") && is_form_type(value))
}

/// Whether a media type is a form's.
pub(crate) fn is_form_type(media_type: &str) -> bool {
    media_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Scheme, host, and port where it is no usual one; then the path (RFC 5849 section 3.4.1.2).
fn base_uri(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// RFC 5849 section 3.6: everything but RFC 3986's unreserved characters.
fn encode(text: &str) -> Zeroizing<String> {
    use std::fmt::Write;
    // Enough room for every byte escaped: growing would leave copies of secrets behind.
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header(request: &HttpRequest) -> String {
        request.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.to_string()
    }

    /// The example of RFC 5849 section 3.4.1.1, with its keys of section 1.2 as far as they are stated.
    #[test]
    fn the_base_string_is_that_of_the_rfc() {
        let mut request = HttpRequest::new("post", "http://example.com/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b".parse().unwrap());
        request.set_body("application/x-www-form-urlencoded", "c2&a3=2+q");
        let own = [
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
        ];
        let own: Vec<_> = own.iter().map(|(name, value)| (*name, encode(value))).collect();
        let wanted = "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26\
                      oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26\
                      oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7";
        assert_eq!(*base_string(&request, &own), wanted);
    }

    /// The example of OAuth Core 1.0a, appendix A.5, to which RFC 5849 goes back.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let mut request = HttpRequest::new("GET", "http://photos.example.net/photos?file=vacation.jpg&size=original".parse().unwrap());
        let keys = Oauth1Keys {
            consumer_key: "dpf43f3p2l4k3l03".to_owned(),
            consumer_secret: "kd94hf93k423kf44".into(),
            token: Some("nnch734d00sl2jdk".into()),
            token_secret: "pfkkdhi9sl3r4s00".into(),
        };
        let at = Timestamp::from_millis(1_191_242_096_000);
        sign_with(&mut request, &keys, Oauth1Signature::HmacSha1, None, &[], at, "kllo9940pd9333jh").unwrap();
        assert!(header(&request).ends_with("oauth_signature=\"tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D\""), "{}", header(&request));
    }

    #[test]
    fn each_request_is_signed_on_its_own() {
        let keys = Oauth1Keys {
            consumer_key: "ck".to_owned(),
            consumer_secret: "cs".into(),
            token: Some("t&k".into()),
            token_secret: "ts".into(),
        };
        let signed = |signature| {
            let mut request = HttpRequest::new("GET", "https://api.example:8443/a%20b?x=1".parse().unwrap());
            sign(&mut request, &keys, signature, Some("123_SB1"), &[("oauth_verifier", "v")], Timestamp::default()).unwrap();
            header(&request)
        };
        let (first, second) = (signed(Oauth1Signature::HmacSha256), signed(Oauth1Signature::HmacSha256));
        assert_ne!(first, second);
        assert!(first.starts_with("OAuth realm=\"123_SB1\", oauth_consumer_key=\"ck\", oauth_nonce=\""), "{first}");
        assert!(first.contains("oauth_token=\"t%26k\"") && first.contains("oauth_verifier=\"v\"") && first.contains("HMAC-SHA256"));
        let mut request = HttpRequest::new("GET", "https://api.example/".parse().unwrap());
        assert!(sign(&mut request, &keys, Oauth1Signature::HmacSha1, Some("a\"b"), &[], Timestamp::default()).is_err());
    }

    #[test]
    fn usual_ports_are_left_out() {
        assert_eq!(base_uri(&"HTTPS://EXAMPLE.com:443/r%20v/X?id=123".parse().unwrap()), "https://example.com/r%20v/X");
        assert_eq!(base_uri(&"http://example.com:8080/".parse().unwrap()), "http://example.com:8080/");
    }
}
