#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::error::Code;

fn form(bytes: &[u8]) -> Secret {
    Secret::new(format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(bytes)))
}

#[test]
fn a_key_survives_its_text_and_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let key = LocalKey::generate().unwrap();
    assert_eq!(key.text().expose().len(), PREFIX.len() + 43);
    key.write_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read = LocalKey::from_file(&path).unwrap();
    assert_eq!((read.id(), read.text()), (key.id(), key.text()));

    let before = fs::read(&path).unwrap();
    assert!(LocalKey::generate().unwrap().write_file(&path).unwrap_err().is(Code::InvalidRequest));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!format!("{key:?}").contains(&key.text().expose()[PREFIX.len()..]));
}

#[test]
fn the_environment_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let (one, two) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
    two.write_file(&path).unwrap();
    let text = one.text().expose().to_owned();
    let both = |name: &str| Some(if name == "SMALT_KEY" { text.clone().into() } else { path.clone().into_os_string() });
    assert_eq!(LocalKey::discover_in(both).unwrap().id(), one.id());
    let empty = |name: &str| Some(if name == "SMALT_KEY" { "".into() } else { path.clone().into_os_string() });
    assert_eq!(LocalKey::discover_in(empty).unwrap().id(), two.id());
    let error = LocalKey::discover_in(|_| None).unwrap_err();
    assert!(error.is(Code::KeyMissing));
    for word in ["SMALT_KEY", "SMALT_KEY_FILE", "smalt init"] {
        assert!(error.reason().contains(word), "{error}");
    }
}

#[test]
fn s31_ten_bad_keys_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let wide = dir.path().join("wide");
    LocalKey::generate().unwrap().write_file(&wide).unwrap();
    fs::set_permissions(&wide, fs::Permissions::from_mode(0o640)).unwrap();
    let good: Vec<u8> = (0..32u8).map(|i| i.wrapping_mul(i).wrapping_mul(7).wrapping_add(i << 3 ^ 0xa5)).collect();
    assert!(LocalKey::parse(&form(&good)).is_ok(), "the others fail for their own reason");
    let sequence: Vec<u8> = (0..32).collect();
    let texts = [
        ("zero", form(&[0; 32])),
        ("one byte", form(&[0x61; 32])),
        ("repeating", form(&b"\x01\x9a\xfe\x33\x80\x12\x77\xc4".repeat(4))),
        ("sequence", form(&sequence)),
        ("few bytes", form(&[1, 2, 2, 1, 1, 1, 2, 1, 2, 2, 2, 1, 1, 2, 1, 2, 1, 1, 2, 2, 1, 2, 1, 1, 2, 2, 2, 2, 1, 1, 2, 2])),
        ("passphrase", form(b"correct horse battery staple 123")),
        ("short", form(&good[..31])),
        ("long", form(&[&good[..], &[9]].concat())),
        ("the docs' sample", Secret::new(SAMPLE)),
        ("no prefix", Secret::new(&form(&good).expose()[PREFIX.len()..])),
        ("not base64url", Secret::new(form(&good).expose().replacen('_', "+", 4))),
        ("a word", Secret::new("changeme")),
    ];
    for (name, text) in texts {
        let error = LocalKey::parse(&text).expect_err(name);
        assert!(error.is(Code::KeyInvalid), "{name}: {error}");
        assert!(!error.reason().contains(text.expose()), "{name} is quoted");
    }
    let error = LocalKey::from_file(&wide).unwrap_err();
    assert!(error.is(Code::KeyInvalid) && error.reason().contains("0640"), "{error}");
    assert!(LocalKey::from_file(dir.path().join("none")).unwrap_err().is(Code::KeyMissing));
    assert!(LocalKey::from_file(dir.path()).unwrap_err().is(Code::KeyInvalid));
}

#[test]
fn the_sample_has_the_form_of_a_key() {
    let bytes = Base64UrlUnpadded::decode_vec(SAMPLE.strip_prefix(PREFIX).unwrap()).unwrap();
    assert_eq!(bytes.len(), KEY);
    assert!(LocalKey::parse(&Secret::new(SAMPLE)).unwrap_err().reason().contains("sample"));
}
