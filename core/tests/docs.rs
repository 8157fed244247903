//! The documentation says what the code does: pages are generated from tables, examples are run, links lead somewhere.
//! `SMALT_WRITE=1 cargo test -p smalt --test docs` writes the generated pages anew.
#![allow(clippy::unwrap_used)]

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use smalt::{
    Code, Kind, Retry,
    operations::{Operation, Scope},
};

#[allow(dead_code)] // its `main` reads arguments
#[path = "../../examples/acme-crm/acme_crm.rs"]
mod acme_crm;
#[path = "docs/applications.rs"]
mod applications;
#[path = "../examples/plugins.rs"]
mod plugins;
#[path = "../examples/ten_lines.rs"]
mod ten_lines;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The page must say this; with `SMALT_WRITE=1` it is made to.
fn generated(page: &str, text: &str) {
    if std::env::var_os("SMALT_WRITE").is_some() {
        fs::write(root().join(page), text).unwrap();
    }
    assert!(read(page) == text, "{page} differs from its table: run `SMALT_WRITE=1 cargo test -p smalt --test docs`");
}

fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "no",
        Retry::Later => "later",
        Retry::AfterReauth => "after the user has authorised again",
    }
}

#[test]
fn the_page_of_errors_is_the_table() {
    let mut kinds: Vec<Kind> = Vec::new();
    for code in Code::ALL {
        if !kinds.contains(&code.row().kind) {
            kinds.push(code.row().kind);
        }
    }
    let mut page =
        "# Errors\n\n<!-- Generated from core/src/error/codes.rs; `SMALT_WRITE=1 cargo test -p smalt --test docs` writes it. -->\n\n\
        Every error has a kind, and one record: a stable `code`, a `reason` for people that ends with what to do next, `retry`\n\
        (whether trying again can help), `retry_after` where it is known, the HTTP status that a server answers, and a `context` of\n\
        named facts. Branch on the code or the kind, never on the reason. No secret and no provider's body stands in an error.\n"
            .to_owned();
    for kind in kinds {
        let _ = write!(page, "\n## {}\n\n| code | status | retry | what happened | what to do |\n|---|---|---|---|---|\n", kind.as_str());
        for row in Code::ALL.iter().map(|code| code.row()).filter(|row| row.kind == kind) {
            let _ = writeln!(page, "| `{}` | {} | {} | {} | {} |", row.code, row.http_status, retry(row.retry), row.meaning, row.next);
        }
    }
    generated("docs/errors.md", &page);
}

#[test]
fn the_page_of_operations_is_the_table() {
    let mut page =
        "# Operations\n\n<!-- Generated from core/src/operations.rs; `SMALT_WRITE=1 cargo test -p smalt --test docs` writes it. -->\n\n\
        Everything that can be asked of Smalt, the same in every language and backend. *Who*: the organisation (an embedded handle, or\n\
        an API key), an account (a session token, for its own linked account only; the organisation as well), or anyone. *Ready*: it has\n\
        a synchronous twin that answers from memory.\n\n\
        | operation | who | ready | since | what it does |\n|---|---|---|---|---|\n"
            .to_owned();
    for row in Operation::ALL.iter().map(|operation| operation.row()) {
        let who = match row.scope {
            Scope::Public => "anyone",
            Scope::Account => "account",
            Scope::Organisation => "organisation",
        };
        let ready = if row.ready { "yes" } else { "" };
        let _ = writeln!(page, "| `{}` | {who} | {ready} | {} | {} |", row.name, row.since, row.about);
    }
    page.push_str("\n## Embedded engines only\n\nThese have no route; a server and a remote backend answer `unsupported`.\n\n");
    for operation in Operation::ALL {
        if let Some(why) = operation.embedded_only() {
            let _ = writeln!(page, "- `{}`: {why}.", operation.row().name);
        }
    }
    generated("docs/operations.md", &page);
}

/// What the README shows of an example: without the indentation that it has there.
fn shown(example: &str) -> String {
    let text = read(example);
    let (_, lines) = text.split_once("README: from here\n").unwrap();
    let (lines, _) = lines.split_once("README: to here").unwrap();
    // The mark's own line.
    let (lines, _) = lines.rsplit_once('\n').unwrap();
    let (indentation, _) = lines.split_at(lines.len() - lines.trim_start().len());
    lines.lines().map(|line| format!("{}\n", line.strip_prefix(indentation).unwrap())).collect()
}

#[test]
fn the_lines_of_the_readme_are_the_examples_that_run() {
    let page = read("README.md");
    let examples = [
        ("rust", "core/examples/ten_lines.rs"),
        ("python", "examples/ten-lines/ten_lines.py"),
        ("js", "examples/ten-lines/ten-lines.mjs"),
        ("swift", "examples/ten-lines/TenLines.swift"),
        ("kotlin", "examples/ten-lines/TenLines.kt"),
    ];
    for (language, example) in examples {
        let lines = shown(example);
        assert!(lines.lines().count() <= 10, "ten lines:\n{lines}");
        assert!(page.contains(&format!("```{language}\n{lines}```\n")), "the README does not show these lines of {example}:\n{lines}");
    }
}

#[test]
fn the_examples_run() {
    ten_lines::main().unwrap();
    plugins::main().unwrap();
}

#[tokio::test]
async fn acme_crm_says_what_it_says_in_every_language() {
    let mut said = String::new();
    let project = root().join("examples/acme-crm/smalt.toml");
    acme_crm::run(project.to_str().unwrap(), |line| said += &format!("{line}\n")).await.unwrap();
    assert_eq!(said, read("examples/acme-crm/expected.txt"));
}

#[test]
fn the_page_of_acme_crm_shows_the_files_that_are_tested() {
    let mut page = "# One small product in five languages\n\n\
        <!-- Generated from examples/acme-crm; `SMALT_WRITE=1 cargo test -p smalt --test docs` writes it. -->\n\n\
        Acme CRM lists the applications that its customers can connect, connects one, shows its settings and saves what the\n\
        customer chooses, fetches the customer's contacts, and disconnects. Each language runs its file against the sandbox in its\n\
        tests, and all must say the same.\n"
        .to_owned();
    let files = [
        ("The project", "toml", "smalt.toml"),
        ("What it says", "text", "expected.txt"),
        ("Rust", "rust", "acme_crm.rs"),
        ("Python", "python", "acme_crm.py"),
        ("Node", "js", "acme-crm.mjs"),
        ("Swift", "swift", "AcmeCrm.swift"),
        ("Kotlin", "kotlin", "AcmeCrm.kt"),
    ];
    for (title, language, file) in files {
        let path = format!("examples/acme-crm/{file}");
        let _ = write!(page, "\n## {title}\n\n[{file}](../{path})\n\n```{language}\n{}```\n", read(&path));
    }
    generated("docs/acme-crm.md", &page);
}

/// What the page of plugins shows stands in the example, line by line.
#[test]
fn the_page_of_plugins_shows_the_example() {
    let example = include_str!("../examples/plugins.rs");
    let page = read("docs/adding-a-plugin.md");
    let mut shown = 0;
    for block in page.split("```rust\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        assert!(example.contains(block), "not in core/examples/plugins.rs:\n{block}");
        shown += 1;
    }
    assert!(shown >= 4, "the page shows {shown} blocks");
}

#[test]
fn the_page_of_applications_is_the_manifests() {
    generated("docs/applications.md", &applications::page());
    assert!(read("README.md").contains("](docs/applications.md)"), "the README does not lead to the applications");
}

fn pages() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].iter().map(|page| root().join(page)).collect();
    below(&root().join("docs"), &mut found);
    found.push(root().join("tests/conformance/README.md"));
    found.push(root().join("tests/faults/README.md"));
    found.push(root().join("tests/counterparts/README.md"));
    found
}

/// The name under which GitHub links to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}

/// The text of a page outside of code.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let (mut links, mut broken) = (0, Vec::new());
    for page in pages() {
        let text = prose(&fs::read_to_string(&page).unwrap());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let found = target.exists() && {
                let headings = if heading.is_empty() { String::new() } else { prose(&fs::read_to_string(&target).unwrap_or_default()) };
                heading.is_empty()
                    || headings.lines().any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#').trim()) == heading)
            };
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(links > 40, "{links} links were looked at");
}

/// The index names every page.
#[test]
fn the_index_lists_every_page() {
    let index = read("docs/README.md");
    let docs = root().join("docs");
    for page in pages().iter().filter_map(|page| page.strip_prefix(&docs).ok()).filter(|page| *page != Path::new("README.md")) {
        assert!(index.contains(&format!("({})", page.display())), "docs/README.md does not list {}", page.display());
    }
}
