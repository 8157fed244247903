//! See `src/main.rs`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::HashSet, process::Command};

use serde_json::Value;

fn fork(role: &str, round: usize) -> Value {
    let ended = Command::new("timeout").args(["60", env!("CARGO_BIN_EXE_smalt-fork"), role]).output().unwrap();
    assert!(ended.status.success(), "round {round}: {} {}", ended.status, String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// The parent writes while it forks and closes its engine before the child is done: SQLite's notes about locks, which a child inherits without
/// the locks, would have the child wait for ever, or lose what it wrote.
#[test]
fn s80_parent_and_child_lose_nothing_of_each_other() {
    for round in 0..if std::env::var_os("SMALT_FULL").is_some() { 100 } else { 10 } {
        let said = fork("ends", round);
        assert_eq!((&said["status"], &said["child"]), (&0.into(), &"done".into()), "round {round}: {said}");
        assert_eq!((&said["found"], &said["missing"]), (&true.into(), &0.into()), "round {round}: {said}");
    }
}

/// Without the preparation the child cannot use the same store, and is told so.
#[test]
fn s80_a_fork_that_nobody_prepared_is_refused_in_words() {
    let said = fork("bare", 0);
    assert_eq!(said["child"]["error"][0], "closed", "{said}");
    assert!(said["child"]["error"][1].as_str().unwrap().contains("forked"), "{said}");
    assert_eq!((&said["status"], &said["child"]["other"], &said["parent"]), (&0.into(), &true.into(), &true.into()), "{said}");
}

/// Forks of a process with an open engine: no hang, the parent's handles answer, and nothing is made twice.
#[test]
fn s80_a_forked_child_makes_its_own_secrets() {
    let rounds = if std::env::var_os("SMALT_FULL").is_some() { 100 } else { 10 };
    for round in 0..rounds {
        let said = fork("secrets", round);
        assert_eq!(said["status"], 0, "round {round}: the child ended well");
        assert_eq!(said["child"]["stale"], "closed", "the parent's store says that it is not for the child");
        assert_eq!(said["child"]["account"], true, "the child's own engine works on the same file");
        let texts =
            |value: &Value| -> Vec<String> { value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect() };
        let (parent, child) = (texts(&said["parent"]), texts(&said["child"]["made"]));
        assert!(parent.len() >= 120 && parent.len() == child.len());
        let all: HashSet<&String> = parent.iter().chain(&child).collect();
        assert_eq!(all.len(), parent.len() + child.len(), "round {round}: something was made twice");
        let nonces = texts(&said["nonces"]);
        assert!(nonces.len() >= 60, "those of before the fork, and of both sides after it");
        assert_eq!(nonces.iter().collect::<HashSet<_>>().len(), nonces.len(), "round {round}: a nonce was used twice");
    }
}
