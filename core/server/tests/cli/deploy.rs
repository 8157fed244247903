//! The files in `deploy/` name what exists: options, variables, paths. Whether other programs take them is checked by hand.

use std::{collections::BTreeSet, fs, path::Path};

use crate::folder::Folder;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every variable of Smalt's that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    words.filter(|word| word.starts_with("SMALT_")).map(ToOwned::to_owned).collect()
}

#[test]
fn what_the_files_name_exists() {
    let folder = Folder::new();
    let help = folder.run(&["serve", "--help"]).ok().out;
    let mut known = variables(&help);
    known.extend(["SMALT_KEY".to_owned(), "SMALT_KEY_FILE".to_owned()]);
    for file in ["deploy/Containerfile", "deploy/smalt.service", "deploy/nginx.conf", "deploy/Caddyfile", "docs/deploying.md"] {
        let unknown: Vec<_> = variables(&read(file)).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    let container = read("deploy/Containerfile");
    for copied in container.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from")) {
        let sources: Vec<_> = copied.split_whitespace().collect();
        for source in &sources[..sources.len() - 1] {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(source).exists(), "{source}");
        }
    }
    // The user has no rights before the program runs, and the unit takes every capability away.
    assert!(container.find("USER 10001").unwrap() < container.find("ENTRYPOINT").unwrap());
    let unit = read("deploy/smalt.service");
    for line in ["CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes"] {
        assert!(unit.lines().any(|one| one == line), "{line}");
    }
    assert!(read("deploy/nginx.conf").contains("underscores_in_headers on;"));
}
