//! Limits that are no ratios: the command's size and the number of crates in it.

use std::{collections::BTreeSet, process::Command};

use crate::report::Row;

fn cargo(arguments: &[&str]) -> String {
    let ran = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())).args(arguments).output().unwrap();
    assert!(ran.status.success(), "cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

pub fn measure() -> Vec<Row> {
    cargo(&["build", "-q", "--release", "-p", "smalt-server", "--bin", "smalt"]);
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let size = std::fs::metadata(format!("{target}/release/smalt")).unwrap().len() as f64 / (1024.0 * 1024.0);
    let tree = cargo(&["tree", "-p", "smalt-server", "-e", "normal", "--prefix", "none", "--no-dedupe"]);
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(" (").next()).collect();
    vec![
        Row::budget("binary-size", "release binary `smalt`, stripped", size, 12.0, "MiB"),
        Row::budget("crates", "crates in the tree of the binary", crates.len() as f64, 350.0, "crates"),
    ]
}
