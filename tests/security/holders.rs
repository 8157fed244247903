//! Which public types of core can hold a secret, read from its source: those with a part of type `Secret` or `Zeroizing`, and those
//! with a part that holds one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::sources::rust_files;

/// What holds a secret itself.
const SECRETS: [&str; 2] = ["Secret", "Zeroizing"];

#[derive(Debug, Default, PartialEq)]
struct Definition {
    is_public: bool,
    /// The words of its parts, types among them.
    words: BTreeSet<String>,
}

/// By name, then by file: a name can be defined in several.
type Definitions = BTreeMap<String, BTreeMap<String, Definition>>;

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// A definition's first line: whether it is public, whether it is an enum, its name, and what comes after that.
fn head(line: &str) -> Option<(bool, bool, &str, &str)> {
    let text = line.trim_start();
    let (is_public, text) = match text.strip_prefix("pub ") {
        Some(text) => (true, text),
        None => (false, text.strip_prefix("pub(").and_then(|text| text.split_once(") ")).map_or(text, |(_, text)| text)),
    };
    let (sort, text) = text.split_once(' ')?;
    // An indented alias is part of an implementation.
    let is_one = matches!(sort, "struct" | "enum") || (sort == "type" && !line.starts_with(' '));
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (is_one && end > 0).then(|| (is_public, sort == "enum", &text[..end], &text[end..]))
}

/// Reads a file as rustfmt leaves it: a definition ends in its first line, or in one with its own indentation.
fn read(file: &str, text: &str, found: &mut Definitions) {
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((is_public, is_enum, name, rest)) = head(line) else { continue };
        let definition = found.entry(name.to_owned()).or_default().entry(file.to_owned()).or_default();
        definition.is_public |= is_public;
        definition.words.extend(words(rest).map(ToOwned::to_owned));
        if line.ends_with([';', '}']) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        for line in lines.by_ref().take_while(|line| !line.strip_prefix(indent).is_some_and(|rest| rest.starts_with(['}', ')']))) {
            let part = line.trim_start();
            if part.starts_with("//") || part.starts_with("#[") {
                continue;
            }
            // The name of a variant is no type.
            let skipped = usize::from(is_enum);
            definition.words.extend(words(part.split("//").next().unwrap_or_default()).skip(skipped).map(ToOwned::to_owned));
        }
    }
}

/// The folder below `core/src`: a name means what it means there, if it is defined there.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

/// Which definitions hold a secret, by name and file.
fn holding(found: &Definitions) -> BTreeSet<(&str, &str)> {
    let mut holding = BTreeSet::new();
    loop {
        let before = holding.len();
        for (name, files) in found {
            for (file, definition) in files {
                let holds = |word: &String| {
                    if SECRETS.contains(&word.as_str()) {
                        return true;
                    }
                    let Some((word, files)) = found.get_key_value(word) else { return false };
                    let nearest = |is_near: &dyn Fn(&str) -> bool| -> Vec<&str> {
                        files.keys().map(String::as_str).filter(|other| is_near(other)).collect()
                    };
                    let meant = [nearest(&|other| other == file), nearest(&|other| room(other) == room(file)), nearest(&|_| true)];
                    let meant = meant.into_iter().find(|files| !files.is_empty()).unwrap_or_default();
                    meant.into_iter().any(|file| holding.contains(&(word.as_str(), file)))
                };
                if definition.words.iter().any(holds) {
                    holding.insert((name.as_str(), file.as_str()));
                }
            }
        }
        if holding.len() == before {
            return holding;
        }
    }
}

/// The names of core's public types that hold a secret.
pub fn public_holders() -> BTreeSet<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("core/src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut found = Definitions::new();
    for path in files {
        let file = path.strip_prefix(&root).unwrap_or(Path::new("")).to_string_lossy().into_owned();
        if !file.ends_with("tests.rs") && !file.contains("/tests/") {
            read(&file, &std::fs::read_to_string(path).unwrap(), &mut found);
        }
    }
    let is_public = |(name, file): &(&str, &str)| found[*name][*file].is_public;
    holding(&found).into_iter().filter(is_public).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn s41_the_scan_finds_what_it_is_for() {
    let mut found = Definitions::new();
    let one = "pub struct Key(Zeroizing<Vec<u8>>);\npub(crate) struct Inner {\n    // Secret\n    a: u8,\n    key: Option<Key>,\n}\n\
               pub struct Outer {\n    /// Secret\n    pub inner: Arc<Inner>,\n}\npub struct Plain { a: u8 }\ntype Short = (u8, Key);\n\
               pub struct Long {\n    a: Short,\n}\n";
    let two = "macro! {\n    pub struct In {\n        pub a: Secret,\n    }\n    pub struct Out {\n        a: u8,\n    }\n}\n\
               pub enum Named {\n    Secret,\n    Other { a: u8 },\n}\npub enum Holding {\n    A(Secret),\n}\npub enum Inside {\n    A { a: Secret },\n}\n\
               struct Plain(Secret);\nmod tests {\n    pub struct Unseen(Secret);\n}\n";
    read("a/one.rs", one, &mut found);
    read("b/two.rs", two, &mut found);
    read("a/three.rs", "pub struct Near(Plain);\n", &mut found);
    read("b/four.rs", "pub struct Near(Plain);\n", &mut found);
    let names: Vec<_> = holding(&found).into_iter().map(|(name, file)| format!("{name} {file}")).collect();
    let expected = [
        "Holding b/two.rs",
        "In b/two.rs",
        "Inner a/one.rs",
        "Inside b/two.rs",
        "Key a/one.rs",
        "Long a/one.rs",
        "Near b/four.rs",
        "Outer a/one.rs",
        "Plain b/two.rs",
        "Short a/one.rs",
    ];
    assert_eq!(names, expected);
}
