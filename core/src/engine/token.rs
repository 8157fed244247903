//! Session tokens: compact JWS, HS256 only (RFC 7515, 7519).
//!
//! The algorithm is fixed in code and the key is found in our own table: a token's header is never parsed, it is
//! compared byte for byte with the one that we would write for each known key. So `alg`, `jku`, `crit` and the rest
//! have nothing to steer.

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    Secret, Timestamp,
    error::{Result, err},
    ids,
    model::{Environment, Tenant},
    store::rows::SessionRow,
};

/// How far clocks of several machines may be apart, in seconds.
pub(crate) const LEEWAY: i64 = 30;
/// The longest text that is looked at.
const LONGEST: usize = 4096;
const ISSUER: &str = "smalt";
const AUDIENCE: &str = "session";

/// One signing key.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    header: String,
    secret: Zeroizing<Vec<u8>>,
    /// From when on it counts no more.
    retired_at: Option<Timestamp>,
}

fn header_of(kid: &str) -> String {
    Base64UrlUnpadded::encode_string(format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#).as_bytes())
}

impl SigningKey {
    pub(crate) fn new(kid: String, secret: Zeroizing<Vec<u8>>, retired_at: Option<Timestamp>) -> Self {
        let header = header_of(&kid);
        Self { kid, header, secret, retired_at }
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(signed.as_bytes());
        mac
    }
}

/// What a token says. Names and places as the hosted service's tokens have them, so that clients may read them.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    org_id: String,
    linked_account_id: String,
    environment: Environment,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Whose token it is, before the store is asked whether it still counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) session_id: String,
    pub(crate) account_id: String,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// The token of a session; the same row always gives the same token.
pub(crate) fn mint(tenant: &Tenant, key: &SigningKey, row: &SessionRow) -> Result<Secret> {
    let seconds = |ms: i64| Timestamp::from_millis(ms).seconds();
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        org_id: tenant.org.clone(),
        linked_account_id: row.account_id.clone(),
        environment: tenant.environment,
        jti: row.id.clone(),
        iat: seconds(row.issued_at),
        nbf: seconds(row.issued_at),
        exp: seconds(row.expires_at),
    };
    let claims = serde_json::to_vec(&claims).map_err(|_| err!(Internal, "claims could not be written"))?;
    let signed = format!("{}.{}", key.header, Base64UrlUnpadded::encode_string(&claims));
    let signature = Base64UrlUnpadded::encode_string(&key.mac(&signed).finalize().into_bytes());
    Ok(Secret::new(format!("{signed}.{signature}")))
}

/// Checks everything that a token says of itself. One answer for every way to be wrong (S-27).
pub(crate) fn verify(tenant: &Tenant, keys: &[SigningKey], now: Timestamp, token: &Secret) -> Result<Verified> {
    check(tenant, keys, now, token.expose()).ok_or_else(refused)
}

/// A token's first part, which names its key; nothing of what is too long to be one of ours.
pub(crate) fn header(token: &Secret) -> Option<&str> {
    token.expose().split_once('.').filter(|_| token.expose().len() <= LONGEST).map(|(header, _)| header)
}

/// Whether it says that it is under one of these keys.
pub(crate) fn is_of(keys: &[SigningKey], token: &Secret) -> bool {
    header(token).is_some_and(|header| keys.iter().any(|key| key.header == header))
}

/// Whether it looks like ours, under a key that is not among these.
pub(crate) fn is_of_other_key(keys: &[SigningKey], token: &Secret) -> bool {
    let Some(header) = header(token) else { return false };
    if is_of(keys, token) {
        return false;
    }
    let said = Base64UrlUnpadded::decode_vec(header).ok().and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    let kid = said.as_ref().and_then(|said| said["kid"].as_str());
    kid.is_some_and(|kid| ids::is_id(kid) && header_of(kid) == header)
}

/// The one answer.
pub(crate) fn refused() -> crate::Error {
    crate::Error::code_only(crate::Code::InvalidToken)
}

fn check(tenant: &Tenant, keys: &[SigningKey], now: Timestamp, token: &str) -> Option<Verified> {
    if token.len() > LONGEST {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let key = keys.iter().find(|key| key.header == header && key.retired_at.is_none_or(|at| now < at))?;
    // The decoder takes the canonical alphabet only, without padding and without spare bits (S-21).
    let signature = Base64UrlUnpadded::decode_vec(signature).ok()?;
    key.mac(signed).verify_slice(&signature).ok()?;
    let claims: Claims = serde_json::from_slice(&Base64UrlUnpadded::decode_vec(payload).ok()?).ok()?;
    let ours = claims.iss == ISSUER && claims.aud == AUDIENCE && claims.org_id == tenant.org && claims.environment == tenant.environment;
    let now = now.seconds();
    let in_time = claims.iat <= now + LEEWAY && claims.nbf <= now + LEEWAY && now <= claims.exp + LEEWAY;
    let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
    (ours && in_time).then(|| Verified {
        session_id: claims.jti,
        account_id: claims.linked_account_id,
        issued_at: at(claims.iat),
        expires_at: at(claims.exp),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn tenant() -> Tenant {
        Tenant { org: "acme".into(), environment: Environment::Test }
    }

    fn key(kid: &str) -> SigningKey {
        SigningKey::new(kid.into(), Zeroizing::new(vec![7; 32]), None)
    }

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
    const DAY: i64 = 86_400_000;

    fn row() -> SessionRow {
        SessionRow {
            id: "65a000000000000000000001".into(),
            account_id: "customer-42".into(),
            kid: "k1".into(),
            issued_at: NOW.millis(),
            expires_at: NOW.millis() + DAY,
            revoked_at: None,
        }
    }

    fn accepted(token: &str, at: Timestamp) -> bool {
        verify(&tenant(), &[key("k1")], at, &Secret::new(token)).is_ok()
    }

    fn good() -> String {
        mint(&tenant(), &key("k1"), &row()).unwrap().expose().to_owned()
    }

    fn signed(header: &str, payload: &str) -> String {
        let signed =
            format!("{}.{}", Base64UrlUnpadded::encode_string(header.as_bytes()), Base64UrlUnpadded::encode_string(payload.as_bytes()));
        let signature = Base64UrlUnpadded::encode_string(&key("k1").mac(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    /// Even with the right key and a right payload, no other header is taken.
    #[test]
    fn s20_forged_headers() {
        let token = good();
        assert!(accepted(&token, NOW));
        let payload = String::from_utf8(Base64UrlUnpadded::decode_vec(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
        assert!(accepted(&signed(r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#, &payload), NOW), "the test's own signer is right");
        let long = format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{}"}}"#, "k".repeat(1 << 20));
        let mut headers: Vec<String> = [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None","kid":"k1"}"#,
            r#"{"alg":"NONE","kid":"k1"}"#,
            r#"{"alg":"NoNe","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"none","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":null,"typ":"JWT","kid":"k1"}"#,
            r#"{"alg":["HS256"],"typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"HS384","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"HS512","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"PS256","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"ES256","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"ES256K","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"EdDSA","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"hs256","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"HS256 ","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"HS256","kid":"k1"}"#,
            r#"{"typ":"JWT","alg":"HS256","kid":"k1"}"#,
            r#"{"alg":"HS256","typ":"JWE","kid":"k1"}"#,
            r#"{"alg":"HS256","typ":"at+jwt","kid":"k1"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"K1"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"../../k1"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"/dev/null"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1' OR '1'='1"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1\u0000"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":["k1"]}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":{"k1":1}}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":1}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":null}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":""}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","jku":"https://evil.example/k"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","x5u":"https://evil.example/k"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","x5c":["AA"]}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","jwk":{"kty":"oct","k":"AA"}}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","crit":["exp"]}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","b64":false,"crit":["b64"]}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","zip":"DEF"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1","cty":"JWT"}"#,
            r#"{"alg":"HS256","alg":"none","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"none","alg":"HS256","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k2","kid":"k1"}"#,
            r#" {"alg":"HS256","typ":"JWT","kid":"k1"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"k1"} "#,
            r#"{ "alg":"HS256","typ":"JWT","kid":"k1"}"#,
            r#"[{"alg":"HS256","typ":"JWT","kid":"k1"}]"#,
            r#""HS256""#,
            "null",
            "",
            "{}",
            "HS256",
            r#"{"alg":"dir","enc":"A256GCM","kid":"k1"}"#,
            r#"{"alg":"A128KW","enc":"A128CBC-HS256","kid":"k1"}"#,
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        headers.push(long);
        let mut forged: Vec<String> = headers.iter().map(|header| signed(header, &payload)).collect();
        let parts: Vec<&str> = token.split('.').collect();
        let [h, p, s] = parts[..] else { panic!("three parts") };
        forged.extend([
            format!("{h}.{p}."),
            format!("{h}.{p}"),
            format!("{h}.{p}.{s}."),
            format!("{h}.{p}.{s}.{s}"),
            format!(".{p}.{s}"),
            format!("{h}..{s}"),
            format!("{h}.{p}.{s}{}", "A".repeat(1 << 20)),
            format!("{{\"payload\":\"{p}\",\"protected\":\"{h}\",\"signature\":\"{s}\"}}"),
            format!("Bearer {token}"),
            String::new(),
            "..".to_owned(),
            "....".to_owned(),
        ]);
        assert!(forged.len() >= 60, "{}", forged.len());
        for token in &forged {
            assert!(!accepted(token, NOW), "{token:.120}");
        }
    }

    #[test]
    fn s21_canonical_only() {
        let token = good();
        let mut tried = 0;
        for byte in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[byte] ^= 1 << bit;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert!(!accepted(&changed, NOW), "bit {bit} of byte {byte}");
                    tried += 1;
                }
            }
        }
        for changed in [
            format!("{token}="),
            format!("{token}=="),
            format!(" {token}"),
            format!("{token} "),
            format!("{token}\n"),
            token.replace('.', ". "),
        ] {
            assert!(!accepted(&changed, NOW));
        }
        assert!(tried > 1500, "{tried}");
    }

    #[test]
    fn s25_a_retired_key_counts_until_its_time() {
        let at = |ms: i64| Timestamp::from_millis(NOW.millis() + ms);
        let until = at(1_500);
        let retired = SigningKey::new("k1".into(), Zeroizing::new(vec![7; 32]), Some(until));
        let token = Secret::new(good());
        let verified = |now: Timestamp| verify(&tenant(), std::slice::from_ref(&retired), now, &token).is_ok();
        assert!(verified(at(1_499)) && !verified(until));
        assert!(!is_of_other_key(std::slice::from_ref(&retired), &token), "it is known");
    }

    #[test]
    fn s25_only_what_looks_like_ours_has_keys_read_again() {
        let known = key("0123456789abcdef01234567");
        let other = Secret::new(mint(&tenant(), &key("76543210fedcba9876543210"), &row()).unwrap().expose());
        assert!(is_of_other_key(std::slice::from_ref(&known), &other));
        let own = mint(&tenant(), &known, &row()).unwrap();
        let short = mint(&tenant(), &key("k2"), &row()).unwrap();
        let spaced = Base64UrlUnpadded::encode_string(br#"{"typ":"JWT","alg":"HS256","kid":"76543210fedcba9876543210"}"#);
        for text in [own.expose(), short.expose(), "", ".", "a.b.c", &format!("{spaced}.e30.AA")] {
            assert!(!is_of_other_key(std::slice::from_ref(&known), &Secret::new(text)), "{text}");
        }
    }

    #[test]
    fn s22_times() {
        // A hundred tokens, of other sessions and other moments.
        for n in 0..100 {
            let issued = NOW.millis() + n * 77_777;
            let (id, account_id) = (format!("65a{n:021x}"), format!("customer-{n}"));
            let token = mint(&tenant(), &key("k1"), &SessionRow { id, account_id, issued_at: issued, expires_at: issued + DAY, ..row() });
            let token = token.unwrap().expose().to_owned();
            let at = |seconds: i64| Timestamp::from_millis(issued + seconds * 1000);
            for seconds in [-30, 0, 43_200, 86_400, 86_400 + 30] {
                assert!(accepted(&token, at(seconds)), "{n} after {seconds} s");
            }
            for seconds in [-86_400, -31, 86_400 + 31, 2 * 86_400] {
                assert!(!accepted(&token, at(seconds)), "{n} after {seconds} s");
            }
        }
        let token = good();
        let payload = String::from_utf8(Base64UrlUnpadded::decode_vec(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
        let header = r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#;
        for name in ["exp", "nbf", "iat", "jti", "iss", "aud", "org_id", "environment", "linked_account_id"] {
            let mut claims: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&payload).unwrap();
            claims.remove(name).unwrap();
            assert!(!accepted(&signed(header, &serde_json::to_string(&claims).unwrap()), NOW), "without {name}");
        }
        for (name, value) in [
            ("exp", serde_json::json!("9999999999")),
            ("exp", serde_json::json!(1e300)),
            ("aud", serde_json::json!(["session"])),
            ("iss", serde_json::json!("other")),
            ("environment", serde_json::json!("production")),
            ("org_id", serde_json::json!("other")),
        ] {
            let mut claims: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&payload).unwrap();
            claims.insert(name.into(), value);
            assert!(!accepted(&signed(header, &serde_json::to_string(&claims).unwrap()), NOW), "{name}");
        }
    }

    /// Two deployments, each with its key. A token of the one, with any set of its parts taken from the other, signed by
    /// either: only the whole token of a deployment counts there, and only for what it names.
    #[test]
    fn s24_the_swap_matrix_of_two_deployments() {
        const PARTS: [(&str, &str); 7] = [
            ("iss", "other-issuer"),
            ("aud", "api"),
            ("typ", "at+jwt"),
            ("org_id", "globex"),
            ("environment", "production"),
            ("linked_account_id", "customer-43"),
            ("jti", "65b000000000000000000002"),
        ];
        let ours = || key("k1");
        let theirs = |kid: &str| SigningKey::new(kid.into(), Zeroizing::new(vec![9; 32]), None);
        let payload = String::from_utf8(Base64UrlUnpadded::decode_vec(good().split('.').nth(1).unwrap()).unwrap()).unwrap();
        let (mut tried, mut taken) = (0, 0);
        for swapped in 0..1_u32 << PARTS.len() {
            for (signer, kid) in [(ours(), "k1"), (ours(), "k2"), (theirs("k1"), "k1"), (theirs("k2"), "k2")] {
                let mut claims: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&payload).unwrap();
                let mut typ = "JWT";
                for (n, (name, value)) in PARTS.iter().enumerate().filter(|(n, _)| swapped >> n & 1 == 1) {
                    let _ = n;
                    match *name {
                        "typ" => typ = value,
                        name => drop(claims.insert(name.to_owned(), serde_json::Value::from(*value))),
                    }
                }
                let header = Base64UrlUnpadded::encode_string(format!(r#"{{"alg":"HS256","typ":"{typ}","kid":"{kid}"}}"#).as_bytes());
                let signed = format!("{header}.{}", Base64UrlUnpadded::encode_string(&serde_json::to_vec(&claims).unwrap()));
                let token = format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signer.mac(&signed).finalize().into_bytes()));
                let verified = verify(&tenant(), &[ours()], NOW, &Secret::new(token));
                tried += 1;
                // Account and session may differ: then it is another account's own token, and speaks for that one only.
                let may_differ = 0b110_0000;
                let whole = swapped & !may_differ == 0
                    && kid == "k1"
                    && signer.mac("x").finalize().into_bytes() == ours().mac("x").finalize().into_bytes();
                assert_eq!(verified.is_ok(), whole, "{swapped:#b} by {kid}");
                if let Ok(verified) = verified {
                    taken += 1;
                    assert_eq!(verified.account_id, claims["linked_account_id"].as_str().unwrap());
                    assert_eq!(verified.session_id, claims["jti"].as_str().unwrap());
                }
            }
        }
        assert_eq!((tried, taken), (512, 4));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,300}") {
            prop_assert!(!accepted(&text, NOW));
        }
    }
}
