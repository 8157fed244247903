//! What the source itself must hold.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

/// The files with one of these endings, without what was built or installed.
fn files_of(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
            files_of(&path, endings, found);
        } else if path.extension().is_some_and(|extension| endings.iter().any(|ending| extension == *ending)) {
            found.push(path);
        }
    }
}

pub fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    files_of(folder, &["rs"], found);
}

/// A line's words outside of comments.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    // A hyphen belongs to a word: policies of pages have `unsafe-inline`.
    code.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'))
}

/// The crates at a language's border, which alone may have the keyword, and how often each has it: whoever needs it there counts it here.
const BORDERS: [(&str, usize); 4] = [("bindings-node", 0), ("bindings-python", 0), ("bindings-swift", 0), ("core/bridge", 0)];

#[test]
fn s76_no_unsafe_code() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let lib = std::fs::read_to_string(root.join("core/src/lib.rs")).unwrap();
    assert!(lib.lines().any(|line| line == "#![forbid(unsafe_code)]"));
    let mut files = Vec::new();
    for folder in ["core", "tests", "examples", "bindings-node", "bindings-python", "bindings-swift"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 100, "{}", files.len());
    // A fork cannot be had otherwise; nothing depends on that program.
    let forks = root.join("tests/fork/src/main.rs");
    assert!(files.contains(&forks));
    let keyword = ["un", "safe"].concat();
    let mut counted = BORDERS.map(|(folder, _)| (folder, 0));
    for file in files.iter().filter(|file| **file != forks) {
        let border = BORDERS.iter().position(|(folder, _)| file.starts_with(root.join(folder)));
        let text = std::fs::read_to_string(file).unwrap();
        for (at, line) in text.lines().enumerate() {
            let count = words(line).filter(|word| *word == keyword).count();
            match border {
                Some(border) => counted[border].1 += count,
                None => assert_eq!(count, 0, "{}:{}: {line}", file.display(), at + 1),
            }
        }
    }
    for (folder, _) in BORDERS {
        assert!(files.iter().any(|file| file.starts_with(root.join(folder).join("src"))), "{folder} has sources");
    }
    // Past the runner, which keeps what tests print.
    writeln!(std::io::stderr(), "S-76: {} files; at the borders of languages: {counted:?}", files.len()).unwrap();
    assert_eq!(counted, BORDERS);
}

/// Whether it is named after a numbered requirement: `s76_…` in most languages, `s76: …` in JavaScript.
fn is_of_row(name: &str) -> bool {
    matches!(name.as_bytes(), [b'r' | b's', tens, ones, b'_' | b':' | b' ', _, ..] if tens.is_ascii_digit() && ones.is_ascii_digit())
}

/// The tests of rows that a file has: functions that it defines, and what JavaScript hands to its runner. What only speaks of one is none.
fn tests_in(text: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with(['/', '#', '*'])) {
        // What stands behind a word of the language.
        let behind = move |word: &'static str| {
            line.match_indices(word).filter(move |(at, _)| !line[..*at].ends_with(is_name)).map(move |(at, _)| &line[at + word.len()..])
        };
        for rest in ["fn ", "def ", "func ", "fun "].into_iter().flat_map(behind) {
            // Kotlin's are sentences.
            if let Some((name, _)) = rest.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
                found.push(name);
                continue;
            }
            // In Python a test's name has a word before.
            let rest = rest.strip_prefix("test_").unwrap_or(rest);
            found.push(&rest[..rest.find(|c: char| !is_name(c)).unwrap_or(rest.len())]);
        }
        for rest in ["test(", "it(", "describe("].into_iter().flat_map(behind) {
            let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"' | '`')) else { continue };
            found.extend(rest[1..].split_once(quote).map(|(name, _)| name));
        }
    }
    found.retain(|name| is_of_row(name));
    found
}

#[test]
fn tests_are_told_from_words_about_them() {
    let text = "// fn s01_a() is a comment\n  pub async fn s02_b(x: u8) {\n    call(s03_c); \"s04_d\"\n    def test_s05_e(self) -> None:\n  @Test func s06_f() {\n\
                fun s07_g() =\n  fun `s13 a sentence`() {\n\n fun `a sentence`()\ntest('s08: a b', async () => {\n  await t.test(\"s09: c\");\nwant(`s10: d`)\nlatest('s11: e')\nfn s1_f() {}\n* fn s12_g()";
    assert_eq!(tests_in(text), ["s02_b", "s05_e", "s06_f", "s07_g", "s13 a sentence", "s08: a b", "s09: c"]);
}

/// A test that the page names and nobody has would be a row that nobody runs.
#[test]
fn the_page_of_rows_names_tests_that_exist() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let mut files = Vec::new();
    for folder in ["core", "tests", "bindings-node", "bindings-python", "bindings-swift"] {
        files_of(&root.join(folder), &["rs", "py", "swift", "kt", "mjs", "ts"], &mut files);
    }
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let known: BTreeSet<&str> = texts.iter().flat_map(|text| tests_in(text)).collect();
    let page = std::fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let mut named = 0;
    for name in page.split('`').skip(1).step_by(2).filter(|name| is_of_row(name)) {
        named += 1;
        match name.strip_suffix('…') {
            Some(start) => assert!(known.iter().any(|word| word.starts_with(start)), "no test begins with {start}"),
            None => assert!(known.contains(name), "there is no test {name}"),
        }
    }
    assert!(named > 100, "{named}");
}
