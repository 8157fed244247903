//! What the source itself must hold.

use std::path::{Path, PathBuf};

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A line's words outside of comments.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    // A hyphen belongs to a word: policies of pages have `unsafe-inline`.
    code.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'))
}

#[test]
fn s76_no_unsafe_code() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let lib = std::fs::read_to_string(root.join("core/src/lib.rs")).unwrap();
    assert!(lib.lines().any(|line| line == "#![forbid(unsafe_code)]"));
    let mut files = Vec::new();
    for folder in ["core", "tests"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 100, "{}", files.len());
    // A fork cannot be had otherwise; nothing depends on that program.
    let forks = root.join("tests/fork/src/main.rs");
    assert!(files.contains(&forks));
    let keyword = ["un", "safe"].concat();
    for file in files.into_iter().filter(|file| *file != forks) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (at, line) in text.lines().enumerate() {
            assert!(words(line).all(|word| word != keyword), "{}:{}: {line}", file.display(), at + 1);
        }
    }
}
