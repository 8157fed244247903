#![allow(clippy::unwrap_used)]
use std::collections::HashSet;

use ring::signature::{ECDSA_P256_SHA256_FIXED, EcdsaKeyPair, KeyPair, UnparsedPublicKey};

use super::*;
use crate::http::protocol::fixture::oauth;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn parts(jwt: &Secret) -> (Json, Json, String, Vec<u8>) {
    let (text, signature) = jwt.expose().rsplit_once('.').unwrap();
    let (header, claims) = text.split_once('.').unwrap();
    let json = |part: &str| serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap();
    (json(header), json(claims), text.to_owned(), Base64UrlUnpadded::decode_vec(signature).unwrap())
}

fn client(secret: &str) -> ClientCredentials {
    ClientCredentials { id: "client-1".to_owned(), secret: Some(secret.into()), identity: None, now: NOW }
}

/// A key as PKCS #8 in PEM form, and its public half.
fn p256() -> (String, Vec<u8>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &ring::rand::SystemRandom::new());
    (key.serialize_pem(), pair.unwrap().public_key().as_ref().to_vec())
}

#[test]
fn a_client_proves_itself_with_its_key() {
    let (pem, public) = p256();
    let mut oauth = oauth();
    oauth.client_assertion = Some(Jwt {
        algorithm: Some(JwtAlgorithm::Es256),
        header: [("kid".to_owned(), "key-7".to_owned())].into(),
        claims: [("aud".to_owned(), "https://issuer.example".to_owned()), ("org".to_owned(), "{org}".to_owned())].into(),
        lifetime: Some(60),
        ..Jwt::default()
    });
    let values = Values::new();
    // Signatures differ in length as DER and not as JWS: enough of them hold short numbers, too.
    for _ in 0..600 {
        let jwt = of_client(&oauth, ClientAuth::PrivateKeyJwt, &values, &client(&pem)).unwrap();
        let (header, claims, text, signature) = parts(&jwt);
        assert_eq!(header, serde_json::json!({"alg": "ES256", "typ": "JWT", "kid": "key-7"}));
        assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("client-1"), Some("client-1")));
        assert_eq!(claims["aud"], "https://issuer.example");
        assert_eq!((claims["iat"].as_i64(), claims["exp"].as_i64()), (Some(1_800_000_000), Some(1_800_000_060)));
        assert!(claims.get("org").is_none(), "a claim without its value is left out");
        assert_eq!(signature.len(), 64);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public).verify(text.as_bytes(), &signature).unwrap();
    }
}

#[test]
fn every_try_has_a_jti_of_its_own() {
    let (pem, _) = p256();
    let mut oauth = oauth();
    oauth.client_assertion = Some(Jwt { algorithm: Some(JwtAlgorithm::Es256), ..Jwt::default() });
    let made: HashSet<String> = (0..50)
        .map(|_| {
            let (_, claims, ..) = parts(&of_client(&oauth, ClientAuth::PrivateKeyJwt, &Values::new(), &client(&pem)).unwrap());
            assert_eq!(claims["aud"], "https://provider.example/token");
            claims["jti"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(made.len(), 50);
}

#[test]
fn a_secret_signs_too() {
    let jwt = of_client(&oauth(), ClientAuth::ClientSecretJwt, &Values::new(), &client("s3cret")).unwrap();
    let (header, _, text, signature) = parts(&jwt);
    assert_eq!(header["alg"], "HS256");
    ring::hmac::verify(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s3cret"), text.as_bytes(), &signature).unwrap();
}

#[test]
fn a_key_that_is_none_is_said_and_not_shown() {
    let oauth = oauth();
    for bad in ["", "canary", "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n", &p256().0] {
        let error = of_client(&oauth, ClientAuth::PrivateKeyJwt, &Values::new(), &client(bad)).unwrap_err();
        assert!(error.is(crate::Code::ProjectInvalid), "{error}");
        let shown = format!("{error:?}{error}");
        assert!(!shown.contains("canary") && !shown.contains("Y2FuYXJ5"));
    }
    let entered = std::collections::BTreeMap::from([("private_key".to_owned(), Secret::new("canary"))]);
    let rules = Jwt { key: Some("{private_key}".to_owned()), ..Jwt::default() };
    let error = of_values(&rules, "https://provider.example/token", &Values::new().secrets(&entered), NOW).unwrap_err();
    assert!(error.is(crate::Code::InvalidInputs) && !format!("{error:?}").contains("canary"));
    assert_eq!(error.info().context.get("fields").map(String::as_str), Some("private_key"));
}

#[test]
fn keys_out_of_json_files_are_understood() {
    let (pem, public) = p256();
    let rules = Jwt {
        algorithm: Some(JwtAlgorithm::Es256),
        key: Some("{private_key}".to_owned()),
        claims: [("iss".to_owned(), "{email}".to_owned())].into(),
        ..Jwt::default()
    };
    let entered = std::collections::BTreeMap::from([
        ("private_key".to_owned(), Secret::new(pem.replace('\n', "\\n"))),
        ("email".to_owned(), "a@b".into()),
    ]);
    let jwt = of_values(&rules, "https://provider.example/token", &Values::new().secrets(&entered), NOW).unwrap();
    let (_, claims, text, signature) = parts(&jwt);
    assert_eq!((claims["iss"].as_str(), claims["aud"].as_str()), (Some("a@b"), Some("https://provider.example/token")));
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public).verify(text.as_bytes(), &signature).unwrap();
}
