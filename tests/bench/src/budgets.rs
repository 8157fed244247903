//! Limits that are no ratios: the command's size and the number of crates in it.

use std::{collections::BTreeSet, process::Command, time::Instant};

use crate::report::{Row, median};

fn cargo(arguments: &[&str]) -> String {
    let ran = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())).args(arguments).output().unwrap();
    assert!(ran.status.success(), "cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// `smalt apps lint` over so many manifests, the process's start included.
const MANIFESTS: usize = 500;

/// Seconds for a folder of applications as long as the longer ones of the box.
fn lint(program: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let pattern = std::fs::read_to_string("core/apps/shopify.toml").unwrap();
    for n in 0..MANIFESTS {
        let slug = format!("shop-{n}");
        std::fs::write(folder.path().join(format!("{slug}.toml")), pattern.replace("slug = \"shopify\"", &format!("slug = \"{slug}\"")))
            .unwrap();
    }
    let times = (0..5).map(|_| {
        let from = Instant::now();
        let ran = Command::new(program).args(["apps", "lint", folder.path().to_str().unwrap()]).output().unwrap();
        let took = from.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.contains(&MANIFESTS.to_string()), "{said}");
        took
    });
    median(times.collect())
}

pub fn measure() -> Vec<Row> {
    cargo(&["build", "-q", "--release", "-p", "smalt-server", "--bin", "smalt"]);
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let size = std::fs::metadata(format!("{target}/release/smalt")).unwrap().len() as f64 / (1024.0 * 1024.0);
    let tree = cargo(&["tree", "-p", "smalt-server", "-e", "normal", "--prefix", "none", "--no-dedupe"]);
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(" (").next()).collect();
    let lint = lint(&format!("{target}/release/smalt"));
    vec![
        Row::budget("lint", "apps lint over 500 manifests", lint, 1.0, "s"),
        Row::budget("binary-size", "release binary `smalt`, stripped", size, 12.0, "MiB"),
        Row::budget("crates", "crates in the tree of the binary", crates.len() as f64, 350.0, "crates"),
    ]
}
