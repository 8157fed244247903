//! Looks for secrets in a store's raw bytes.

use std::path::Path;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How often the texts stand in the folder's files, in any of their forms.
pub fn hits(folder: &Path, secrets: &[String]) -> usize {
    let files: Vec<Vec<u8>> = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.iter().any(|file| !file.is_empty()), "there is nothing to search in {}", folder.display());
    let forms = secrets.iter().flat_map(|secret| forms(secret.as_bytes()));
    forms.map(|form| files.iter().map(|file| count(file, &form)).sum::<usize>()).sum()
}

fn count(bytes: &[u8], form: &[u8]) -> usize {
    assert!(form.len() >= 6, "too short a text to search for");
    bytes.windows(form.len()).filter(|window| *window == form).count()
}

/// As it is, in hex, and in both alphabets of base64 wherever it may begin in the encoded text.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for alphabet in [STANDARD, URL] {
        forms.extend((0..3).map(|before| base64(secret, before, alphabet)));
    }
    forms.sort();
    forms.dedup();
    forms
}

/// The digits that depend on the secret alone, when `before` other bytes stand in front of it.
fn base64(secret: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |at: usize| at.checked_sub(before * 8).and_then(|at| Some(secret.get(at / 8)? >> (7 - at % 8) & 1));
    let digits = (before + secret.len()) * 8 / 6;
    let first = (before * 8).div_ceil(6);
    let digit = |at: usize| (0..6).fold(0, |sum, i| sum << 1 | usize::from(bit(at * 6 + i).unwrap_or(0)));
    (first..digits).map(|at| alphabet[digit(at)]).collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "canary-4b1d77e2?>".to_owned();
    for text in ["xxcanary-4b1d77e2?>xx", "Y2FuYXJ5LTRiMWQ3N2UyPz4=", "eGNhbmFyeS00YjFkNzdlMj8-", "63616E6172792D34623164373765323F3E"] {
        std::fs::write(folder.path().join("store"), text).unwrap();
        assert_eq!(hits(folder.path(), std::slice::from_ref(&secret)), 1, "{text}");
    }
    std::fs::write(folder.path().join("store"), "canary-4b1d77e3?>").unwrap();
    assert_eq!(hits(folder.path(), &[secret]), 0);
}
