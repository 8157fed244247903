//! Signed JWTs: a client's proof (RFC 7523 section 2.2), and grants (section 2.1). Each is made for one request: `jti` and
//! times are its own, since providers take a `jti` once.

use base64ct::{Base64UrlUnpadded, Encoding};
use rustls::{
    SignatureScheme,
    crypto::ring::sign::any_supported_type,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

use super::ClientCredentials;
use crate::{
    Secret, Timestamp,
    error::{Result, bail, err},
    ids,
    manifest::{
        ClientAuth, Jwt, JwtAlgorithm, Oauth2,
        template::{self, Values},
    },
    model::{Json, JsonMap},
};

/// How long a JWT is good for, in seconds, where the manifest does not say.
const LIFETIME: u64 = 300;

/// The JWT by which a client proves itself.
pub(super) fn of_client(oauth: &Oauth2, how: ClientAuth, values: &Values<'_>, client: &ClientCredentials) -> Result<Secret> {
    let usual = Jwt::default();
    let rules = oauth.client_assertion.as_ref().unwrap_or(&usual);
    let named = rules.key.as_deref().map(|key| template::text(key, values).map(Secret::new)).transpose()?;
    let Some(key) = named.as_ref().or(client.secret.as_ref()) else {
        bail!(ProjectInvalid, "the client has no `secret`, which holds the key that signs for it")
    };
    let algorithm = rules.algorithm.unwrap_or(match how {
        ClientAuth::ClientSecretJwt => JwtAlgorithm::Hs256,
        _ => JwtAlgorithm::Rs256,
    });
    let audience = template::url(&oauth.token_url, values)?;
    let mut claims = JsonMap::new();
    for (name, value) in [("iss", client.id.as_str()), ("sub", &client.id), ("aud", audience.as_str())] {
        claims.insert(name.to_owned(), value.into());
    }
    signed(rules, algorithm, key, claims, values, client.now)
        .map_err(|trouble| trouble.unwrap_or_else(|| err!(ProjectInvalid, "the client's secret is no key for {}", name(algorithm))))
}

/// The JWT that is exchanged for a token, or that a login request names.
pub(super) fn of_values(rules: &Jwt, token_url: &str, values: &Values<'_>, now: Timestamp) -> Result<Secret> {
    let algorithm = rules.algorithm.unwrap_or_default();
    let template = rules.key.as_deref().unwrap_or_default();
    let key = Secret::new(template::text(template, values)?);
    let claims = JsonMap::from_iter([("aud".to_owned(), Json::from(token_url))]);
    signed(rules, algorithm, &key, claims, values, now).map_err(|trouble| {
        let named = || template::placeholders(template).unwrap_or_default().join(",");
        trouble.unwrap_or_else(|| err!(InvalidInputs, "what was entered is no key for {}", name(algorithm)).with("fields", named()))
    })
}

fn name(algorithm: JwtAlgorithm) -> &'static str {
    match algorithm {
        JwtAlgorithm::Rs256 => "RS256: an RSA private key in PEM form is expected",
        JwtAlgorithm::Rs384 => "RS384: an RSA private key in PEM form is expected",
        JwtAlgorithm::Rs512 => "RS512: an RSA private key in PEM form is expected",
        JwtAlgorithm::Ps256 => "PS256: an RSA private key in PEM form is expected",
        JwtAlgorithm::Es256 => "ES256: a P-256 private key in PEM form is expected",
        JwtAlgorithm::Es384 => "ES384: a P-384 private key in PEM form is expected",
        JwtAlgorithm::Hs256 => "HS256: a text is expected",
    }
}

/// `Err(None)`: the key does not fit.
fn signed(
    rules: &Jwt,
    algorithm: JwtAlgorithm,
    key: &Secret,
    mut claims: JsonMap,
    values: &Values<'_>,
    now: Timestamp,
) -> Result<Secret, Option<crate::Error>> {
    let mut header = JsonMap::new();
    header.insert("alg".to_owned(), serde_json::to_value(algorithm).unwrap_or_default());
    header.insert("typ".to_owned(), "JWT".into());
    fill(&mut header, &rules.header, values)?;
    fill(&mut claims, &rules.claims, values)?;
    let issued = now.seconds();
    let lifetime = i64::try_from(rules.lifetime.unwrap_or(LIFETIME)).unwrap_or(i64::MAX);
    claims.insert("iat".to_owned(), issued.into());
    claims.insert("exp".to_owned(), issued.saturating_add(lifetime).into());
    claims.insert("jti".to_owned(), ids::new_token()?.into());
    let encode = |map: &JsonMap| Base64UrlUnpadded::encode_string(Json::from(map.clone()).to_string().as_bytes());
    let text = format!("{}.{}", encode(&header), encode(&claims));
    let signature = sign(algorithm, key, text.as_bytes()).ok_or(None)?;
    Ok(Secret::new(format!("{text}.{}", Base64UrlUnpadded::encode_string(&signature))))
}

/// Templates into a map; one that names a value which is not there is left out.
fn fill(map: &mut JsonMap, templates: &std::collections::BTreeMap<String, String>, values: &Values<'_>) -> Result<()> {
    for (name, text) in templates {
        let known = template::placeholders(text).is_ok_and(|names| names.iter().all(|name| values.get(name).is_some()));
        if known {
            map.insert(name.clone(), template::text(text, values)?.into());
        }
    }
    Ok(())
}

fn sign(algorithm: JwtAlgorithm, key: &Secret, text: &[u8]) -> Option<Vec<u8>> {
    let (scheme, half) = match algorithm {
        JwtAlgorithm::Rs256 => (SignatureScheme::RSA_PKCS1_SHA256, None),
        JwtAlgorithm::Rs384 => (SignatureScheme::RSA_PKCS1_SHA384, None),
        JwtAlgorithm::Rs512 => (SignatureScheme::RSA_PKCS1_SHA512, None),
        JwtAlgorithm::Ps256 => (SignatureScheme::RSA_PSS_SHA256, None),
        JwtAlgorithm::Es256 => (SignatureScheme::ECDSA_NISTP256_SHA256, Some(32)),
        JwtAlgorithm::Es384 => (SignatureScheme::ECDSA_NISTP384_SHA384, Some(48)),
        JwtAlgorithm::Hs256 => {
            use hmac::{Hmac, KeyInit, Mac};
            if key.is_empty() {
                return None;
            }
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.expose().as_bytes()).ok()?;
            mac.update(text);
            return Some(mac.finalize().into_bytes().to_vec());
        }
    };
    // Keys are copied out of JSON files, where a line break is written `\n`.
    let pem = Zeroizing::new(key.expose().replace("\\n", "\n"));
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    let signer = any_supported_type(&der).ok()?.choose_scheme(&[scheme])?;
    let signature = signer.sign(text).ok()?;
    match half {
        None => Some(signature),
        Some(half) => joined(&signature, half),
    }
}

/// The two numbers of an ECDSA signature in DER (RFC 3279 section 2.2.3), as JWS wants them: of fixed length, one after
/// the other (RFC 7518 section 3.4).
fn joined(der: &[u8], half: usize) -> Option<Vec<u8>> {
    fn number(der: &[u8]) -> Option<(&[u8], &[u8])> {
        let (head, rest) = der.split_first_chunk::<2>()?;
        let length = usize::from(head[1]);
        (head[0] == 0x02 && length < 0x80 && length <= rest.len()).then(|| rest.split_at(length))
    }
    let (head, body) = der.split_first_chunk::<2>()?;
    let body = match head {
        [0x30, length] if *length < 0x80 => body,
        [0x30, 0x81] => body.get(1..)?,
        _ => return None,
    };
    let (r, rest) = number(body)?;
    let (s, _) = number(rest)?;
    let mut joined = vec![0; 2 * half];
    for (number, place) in [(r, half), (s, 2 * half)] {
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        joined.get_mut(place.checked_sub(number.len())?..place)?.copy_from_slice(number);
    }
    Some(joined)
}

#[cfg(test)]
#[path = "assertion_tests.rs"]
mod tests;
