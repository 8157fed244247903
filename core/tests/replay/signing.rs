//! Signatures, checked without the engine's code: OAuth 1.0a headers (RFC 5849) and JWTs (RFC 7515).

use std::collections::BTreeMap;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use ring::{hmac, signature};
use smalt::{model::Json, plugin::HttpRequest};

use crate::{
    form::{Jwt, Signed},
    provider::pairs,
};

/// The parameters of an `Authorization: OAuth` header, decoded.
pub fn params(request: &HttpRequest) -> Option<BTreeMap<String, String>> {
    let (_, header) = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    let decode = |text: &str| url::form_urlencoded::parse(format!("v={text}").as_bytes()).next().map(|(_, v)| v.into_owned());
    let part = |part: &str| {
        let (name, value) = part.trim().split_once('=')?;
        Some((name.to_owned(), decode(value.trim_matches('"'))?))
    };
    header.strip_prefix("OAuth ")?.split(',').map(part).collect()
}

pub fn check(wanted: &Signed, got: &HttpRequest) -> Result<(), String> {
    let Some(mut found) = params(got) else { return Err("it is not signed".to_owned()) };
    let signed = signature_of(got, &found, &wanted.key)?;
    let own = ["oauth_nonce", "oauth_timestamp", "oauth_signature"].map(|name| found.remove(name).filter(|value| !value.is_empty()));
    if own.iter().any(Option::is_none) {
        return Err("nonce, time or signature is missing".to_owned());
    }
    pairs("the OAuth header", &wanted.params, found.into_iter())?;
    if own[2].as_ref() == Some(&signed) { Ok(()) } else { Err("the signature does not fit".to_owned()) }
}

fn signature_of(got: &HttpRequest, header: &BTreeMap<String, String>, key: &str) -> Result<String, String> {
    let encode = |text: &str| -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    let is_form =
        got.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("content-type") && value.contains("x-www-form-urlencoded"));
    let fields = url::form_urlencoded::parse(if is_form { &got.body.0 } else { b"" }).into_owned();
    let own = header.iter().filter(|(name, _)| !matches!(name.as_str(), "realm" | "oauth_signature"));
    let own = own.map(|(name, value)| (name.clone(), value.clone()));
    let mut all: Vec<(String, String)> =
        own.chain(got.url.query_pairs().into_owned()).chain(fields).map(|(name, value)| (encode(&name), encode(&value))).collect();
    all.sort();
    let joined = all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let mut plain = got.url.clone();
    plain.set_query(None);
    let base = format!("{}&{}&{}", got.method, encode(plain.as_str()), encode(&joined));
    let algorithm = match header.get("oauth_signature_method").map(String::as_str) {
        Some("HMAC-SHA1") => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Some("HMAC-SHA256") => hmac::HMAC_SHA256,
        other => return Err(format!("{other:?} is no signature method")),
    };
    Ok(Base64::encode_string(hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), base.as_bytes()).as_ref()))
}

/// Header, claims and signature of a JWT that stands in a form's field; the key is `rsa.pem` of the conformance cases.
pub fn check_jwt(field: &str, wanted: &Jwt, body: &[u8]) -> Result<(), String> {
    let sent = url::form_urlencoded::parse(body).find(|(name, _)| name == field).map(|(_, value)| value.into_owned());
    let sent = sent.ok_or_else(|| format!("`{field}` is missing"))?;
    let (text, signed) = sent.rsplit_once('.').ok_or("it is no JWT")?;
    let (header, claims) = text.split_once('.').ok_or("it is no JWT")?;
    let decode = |part: &str| Base64UrlUnpadded::decode_vec(part).map_err(|_| "it is no JWT".to_owned());
    let json = |part: &str| serde_json::from_slice::<Json>(&decode(part)?).map_err(|_| "it is no JWT".to_owned());
    let (header, mut claims) = (json(header)?, json(claims)?);
    let mut own = |name: &str| claims.as_object_mut().and_then(|claims| claims.remove(name)).unwrap_or_default();
    let (issued, ends, jti) = (own("iat"), own("exp"), own("jti"));
    let lifetime = ends.as_i64().zip(issued.as_i64()).map(|(ends, issued)| ends - issued);
    if header != wanted.header || claims != wanted.claims || lifetime != Some(wanted.lifetime) || !jti.is_string() {
        return Err(format!("the JWT says {header} {claims}, good for {lifetime:?} s"));
    }
    let pem = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance/keys/rsa.pem")).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let pair = signature::RsaKeyPair::from_pkcs8(&Base64::decode_vec(&der).unwrap()).unwrap();
    let algorithm = match header["alg"].as_str() {
        Some("PS256") => &signature::RSA_PSS_2048_8192_SHA256,
        _ => &signature::RSA_PKCS1_2048_8192_SHA256,
    };
    let public = signature::UnparsedPublicKey::new(algorithm, pair.public().as_ref());
    public.verify(text.as_bytes(), &decode(signed)?).map_err(|_| "the JWT's signature does not fit".to_owned())
}
