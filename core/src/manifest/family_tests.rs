#![allow(clippy::unwrap_used)]
use std::{fs, path::Path};

use crate::manifest::{AppManifest, Catalog, Finding, Placements, lint_file};

const BASE: &str = r##"manifest = 1
slug = "acme"
name = "Acme"
description = "Things for coyotes."
categories = ["commerce", "desert"]

[links]
docs = "https://acme.example.com/docs"

[brand]
color = "#112233"

[api]
base_url = "https://api.acme.example.com/v1/"
headers = { X-Version = "1", X-More = "a" }
placement = { in = "query", name = "token", value = "{access_token}" }

[oauth2]
authorize_url = "https://acme.example.com/authorize"
token_url = "https://acme.example.com/token"

[oauth2.scopes]
default = ["read", "write"]

[oauth2.revoke]
url = "https://acme.example.com/revoke"

[[facts]]
about = ["oauth2", "api", "brand"]
source = "https://acme.example.com/docs"
date = "2026-11-22"
"##;

const HEIR: &str = r#"manifest = 1
extends = "acme"
without = ["oauth2.revoke", "api.headers.X-More"]
slug = "acme-rockets"
name = "Acme Rockets"
description = "Rockets only."

[links]
console = "https://acme.example.com/console"

[api]
headers = { X-Version = "2" }
placement = { in = "basic", username = "{access_token}", password = "" }

[oauth2.scopes]
default = ["rockets"]

[[facts]]
about = ["oauth2.scopes", "oauth2.revoke"]
source = "https://acme.example.com/rockets"
date = "2026-11-25"
"#;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
    folder
}

fn errors(findings: &[Finding]) -> Vec<(String, usize, String)> {
    let name = |file: &str| Path::new(file).file_name().unwrap().to_str().unwrap().to_owned();
    findings.iter().filter(|f| f.is_error()).map(|f| (name(&f.file), f.line, f.key.clone())).collect()
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap() + 1
}

#[test]
fn an_heir_says_what_differs() {
    let folder = folder(&[("acme.toml", BASE), ("acme-rockets.toml", HEIR)]);
    let heir = AppManifest::load(folder.path().join("acme-rockets.toml")).unwrap();
    let base = AppManifest::load(folder.path().join("acme.toml")).unwrap();
    assert_eq!((heir.slug.as_str(), heir.name.as_str(), heir.extends.as_deref()), ("acme-rockets", "Acme Rockets", Some("acme")));
    // What is not said is as the base says.
    let (of_heir, of_base) = (heir.oauth2.unwrap(), base.oauth2.unwrap());
    assert_eq!((of_heir.token_url, heir.brand, heir.categories), (of_base.token_url, base.brand, base.categories));
    // Tables are merged, lists are not; a placement is a whole, and facts are added.
    assert_eq!(heir.links.keys().collect::<Vec<_>>(), ["console", "docs"]);
    assert_eq!(of_heir.scopes.default, ["rockets"]);
    assert_eq!(heir.api.headers, [("X-Version".to_owned(), "2".to_owned())].into());
    assert!(matches!(heir.api.placement, Some(Placements::One(crate::manifest::Placement::Basic { .. }))));
    assert_eq!(heir.facts.iter().map(|fact| fact.date.as_str()).collect::<Vec<_>>(), ["2026-11-25", "2026-11-22"]);
    assert!(of_heir.revoke.is_none() && of_base.revoke.is_some());
    assert_eq!(errors(&lint_file(folder.path().join("acme-rockets.toml"))), []);
}

#[test]
fn a_finding_names_the_file_that_holds_the_mistake() {
    let lint = |base: &str, heir: &str| {
        let folder = folder(&[("acme.toml", base), ("acme-rockets.toml", heir)]);
        errors(&lint_file(folder.path().join("acme-rockets.toml")))
    };
    let at = |file: &str, text: &str, part: &str, key: &str| vec![(file.to_owned(), line_of(text, part), key.to_owned())];

    let wrong = BASE.replace("https://acme.example.com/authorize", "http://acme.example.com/authorize");
    assert_eq!(lint(&wrong, HEIR), at("acme.toml", &wrong, "authorize_url", "oauth2.authorize_url"));
    let wrong = HEIR.replace("[\"rockets\"]", "[\"rock ets\"]");
    assert_eq!(lint(BASE, &wrong), at("acme-rockets.toml", &wrong, "rock ets", "oauth2.scopes.default"));
    // A list is the heir's as a whole; a fact of the base stands behind the heir's.
    let wrong = BASE.replace("date = \"2026-11-22\"", "date = \"2026-13-22\"");
    assert_eq!(lint(&wrong, HEIR), at("acme.toml", &wrong, "2026-13-22", "facts[1].date"));
    let wrong = HEIR.replace("date = \"2026-11-25\"", "date = \"soon\"");
    assert_eq!(lint(BASE, &wrong), at("acme-rockets.toml", &wrong, "soon", "facts[0].date"));
    let wrong = BASE.replace("token_url", "token_uri");
    let found = lint(&wrong, HEIR);
    assert!(found.contains(&("acme.toml".to_owned(), line_of(&wrong, "token_uri"), "oauth2.token_uri".to_owned())), "{found:?}");
    // The TOML itself.
    let wrong = BASE.replace("[brand]", "[brand");
    assert_eq!(lint(&wrong, HEIR), at("acme.toml", &wrong, "[brand", ""));
    // What is each file's own is not inherited.
    let wrong = HEIR.replace("name = \"Acme Rockets\"\n", "");
    assert_eq!(lint(BASE, &wrong), [("acme-rockets.toml".to_owned(), 1, "name".to_owned())]);
    let wrong = HEIR.replace("\"oauth2.revoke\", \"api", "\"oauth2.revok\", \"api");
    assert_eq!(lint(BASE, &wrong), at("acme-rockets.toml", &wrong, "without", "without[0]"));
}

#[test]
fn a_line_has_an_end() {
    let near = |name: &str, extends: &str| {
        HEIR.replace("extends = \"acme\"", &format!("extends = \"{extends}\""))
            .replace("acme-rockets", name)
            .replace("without = [\"oauth2.revoke\", \"api.headers.X-More\"]\n", "")
    };
    let (a, b) = (near("a", "b"), near("b", "a"));
    let circle = folder(&[("a.toml", &a), ("b.toml", &b)]);
    let found = errors(&lint_file(circle.path().join("a.toml")));
    assert_eq!(found, [("b.toml".to_owned(), line_of(&b, "extends"), "extends".to_owned())]);

    let own = near("c", "c");
    let alone = folder(&[("c.toml", &own)]);
    assert_eq!(errors(&lint_file(alone.path().join("c.toml"))).len(), 1);

    let files: Vec<(String, String)> = (0..6).map(|n| (format!("d{n}.toml"), near(&format!("d{n}"), &format!("d{}", n + 1)))).collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let last = BASE.replace("acme\"", "d6\"");
    files.push(("d6.toml", &last));
    let long = folder(&files);
    assert_eq!(errors(&lint_file(long.path().join("d2.toml"))), []);
    let found = lint_file(long.path().join("d1.toml"));
    assert!(errors(&found).len() == 1 && found.iter().any(|f| f.key == "extends" && f.cure.contains("first of them")), "{found:?}");
    // A slug is never a path.
    let inside = folder(&[("e.toml", &near("e", "../acme"))]);
    fs::write(inside.path().parent().unwrap().join("never-read.toml"), BASE).ok();
    assert_eq!(errors(&lint_file(inside.path().join("e.toml"))).len(), 1);
    fs::remove_file(inside.path().parent().unwrap().join("never-read.toml")).ok();
}

#[test]
fn a_catalog_follows_bases_wherever_they_stand() {
    let (first, second) = (folder(&[("acme-rockets.toml", HEIR)]), folder(&[]));
    let catalog = Catalog::new(vec![first.path().to_owned(), second.path().to_owned()], vec![]).unwrap();
    assert!(catalog.get("acme-rockets").is_none() && catalog.findings().iter().any(|f| f.key == "extends"));

    // A base that comes later, in another folder, and is only a base.
    let hidden = BASE.replace("manifest = 1", "manifest = 1\nabstract = true");
    fs::write(second.path().join("acme.toml"), &hidden).unwrap();
    catalog.refresh();
    let token_url = |catalog: &Catalog| catalog.get("acme-rockets").unwrap().oauth2.clone().unwrap().token_url;
    assert_eq!(token_url(&catalog), "https://acme.example.com/token");
    assert!(catalog.get("acme").is_none() && !catalog.slugs().contains(&"acme".to_owned()));
    assert_eq!(errors(&catalog.findings()), []);

    // Its changes are its heirs', at once.
    fs::write(second.path().join("acme.toml"), hidden.replace("example.com/token", "example.com/new/token")).unwrap();
    catalog.refresh();
    assert_eq!(token_url(&catalog), "https://acme.example.com/new/token");

    // A mistake in it is named once, and leaves what was good in force.
    let wrong = hidden.replace("https://acme.example.com/token", "http://acme.example.com/token");
    fs::write(second.path().join("acme.toml"), &wrong).unwrap();
    catalog.refresh();
    assert_eq!(token_url(&catalog), "https://acme.example.com/new/token");
    assert_eq!(errors(&catalog.findings()), [("acme.toml".to_owned(), line_of(&wrong, "token_url"), "oauth2.token_url".to_owned())]);

    // The same folder goes before others.
    fs::write(first.path().join("acme.toml"), BASE.replace("example.com/token", "example.com/near")).unwrap();
    catalog.refresh();
    assert_eq!(token_url(&catalog), "https://acme.example.com/near");
}

#[test]
fn a_file_may_extend_the_one_that_it_replaces() {
    let own = "manifest = 1\nextends = \"google\"\nslug = \"google\"\nname = \"Google\"\ndescription = \"Ours.\"\n\
               [oauth2.scopes]\ndefault = [\"openid\", \"email\", \"profile\"]\n";
    let folder = folder(&[("google.toml", own)]);
    let catalog = Catalog::new(vec![folder.path().to_owned()], vec![]).unwrap();
    let (ours, boxed) = (catalog.get("google").unwrap(), Catalog::builtin().get("google").unwrap());
    assert_eq!(errors(&catalog.findings()), []);
    assert_eq!((ours.description.as_str(), ours.oauth2.as_ref().unwrap().scopes.default.len()), ("Ours.", 3));
    assert_eq!(ours.oauth2.as_ref().unwrap().token_url, boxed.oauth2.as_ref().unwrap().token_url);
}
