//! `smalt demo` as people run it.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smalt")).arg("demo").args(arguments).output().unwrap()
}

/// Neither a known secret nor anything that looks like a random one.
fn assert_no_secret(text: &str) {
    for known in ["sandbox-secret", "sandbox-key-good", "sandbox-key-wrong", "smalt_mk_", "eyJ", "Lovelace"] {
        assert!(!text.contains(known), "{known} in {text}");
    }
    let random = |word: &&str| word.len() >= 20 && word.contains(|c: char| c.is_ascii_digit());
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
    assert_eq!(words.clone().find(random), None);
    assert!(words.count() > 50, "the output has words to look at: {text}");
}

#[test]
fn every_claim_holds_and_the_piped_output_is_plain() {
    let ended = demo(&[]);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{text}");
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 12, "{text}");
    assert!(text.contains("smalt init") && text.contains("smalt apps list"), "{text}");
    assert_no_secret(&text);
}

#[test]
fn json_is_one_object_with_every_step() {
    let ended = demo(&["--json"]);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{text}");
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(said["ok"], true);
    let steps = said["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 12);
    for step in steps {
        assert_eq!(step["ok"], true, "{step}");
        assert!(["name", "detail", "code"].iter().all(|key| step[key].as_str().is_some_and(|text| !text.is_empty())), "{step}");
    }
    assert_no_secret(&text);
}

/// The README shows what is really printed; figures differ from run to run.
#[test]
fn the_readme_shows_this_output() {
    let form = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let (_, shown) = readme.split_once("```text\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let printed = String::from_utf8(demo(&[]).stdout).unwrap();
    assert_eq!(form(shown), form(&printed), "paste the output of `smalt demo` into the README");
}
