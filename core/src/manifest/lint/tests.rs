#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::{
    mistakes::{CASES, XML_CASES},
    *,
};
use crate::manifest::Severity;

/// A manifest without a finding; every case below breaks one thing of it.
const GOOD: &str = r##"manifest = 1
slug = "acme"
name = "Acme"
description = "Things for coyotes."
links = { docs = "https://acme.example.com/docs" }
[brand]
icon = "https://acme.example.com/icon.svg"
color = "#112233"
[brand.button.normal]
label = "Connect Acme"
background = "#112233"
foreground = "#ffffff"
[brand.button.hover]
label = "Connect Acme"
background = "#223344"
foreground = "#ffffff"
[variables.region]
description = "Where the data is."
default = "eu"
[api]
base_url = "https://{region}.api.acme.example.com/v1/"
headers = { Accept = "application/json" }
[oauth2]
authorize_url = "https://{shop}.acme.example.com/authorize"
token_url = "https://{shop}.acme.example.com/token"
authorize_params = { audience = "api" }
copy_from_token = { tenant = "/tenant/id" }
[[oauth2.inputs]]
name = "shop"
label = "Shop"
pattern = "[a-z0-9-]{1,63}"
[oauth2.scopes]
default = ["read", "write"]
required = ["read"]
[oauth2.revoke]
url = "https://{shop}.acme.example.com/revoke"
params = { token = "{token}" }
[oauth2.identity]
url = "me"
id = "/id"
[keybased]
placement = { in = "header", name = "X-Key", value = "{key}" }
[[keybased.inputs]]
name = "key"
label = "API key"
type = "password"
secret = true
[keybased.verify]
url = "me"
[[facts]]
about = ["oauth2", "api", "keybased", "brand"]
source = "https://acme.example.com/docs"
date = "2026-11-22"
"##;

/// What stands in place of its keys in one whose login and calls speak XML.
const SPEAKS_XML: &str = r##"[keybased]
placement = { in = "xml", path = "/request/session", value = "{access_token}" }
[[keybased.inputs]]
name = "key"
label = "API key"
type = "password"
secret = true
[keybased.token]
grant = "login"
client = "project"
client_auth = "none"
url = "https://acme.example.com/login"
xml = '<request by="{client_id}"><key>{key}</key><proof>{client_secret}</proof></request>'
[keybased.token.answer]
format = "xml"
access_token = "/response/session"
default_expires_in = 600
"##;

fn speaks_xml() -> String {
    let (before, rest) = GOOD.split_once("[keybased]\n").unwrap();
    let (_, after) = rest.split_once("[[facts]]").unwrap();
    format!("{before}{SPEAKS_XML}[[facts]]{after}")
}

fn show(findings: &[Finding]) -> String {
    findings.iter().map(|f| format!("{f}\n")).collect()
}

#[test]
fn a_good_manifest_has_no_finding() {
    let findings = lint(GOOD, "apps/acme.toml");
    assert!(findings.is_empty(), "{}", show(&findings));
    assert!(lint_value(&AppManifest::parse(GOOD, "acme.toml").unwrap()).is_empty());
}

/// What may stand beside XML.
#[test]
fn a_good_manifest_of_xml_has_no_finding() {
    let good = speaks_xml();
    for (from, to) in [
        ("", ""),
        ("client_auth = \"none\"\n", ""),
        ("client_auth = \"none\"", "client_auth = \"basic\""),
        ("client_auth = \"none\"", "client_auth = \"tls_client_auth\""),
        ("'<request by", "'<?xml version=\"1.0\" encoding=\"utf-8\"?><request by"),
        ("[keybased.token.answer]", "headers = { Content-Type = \"text/xml\" }\n[keybased.token.answer]"),
        (
            "[keybased.token.answer]",
            "placement = { in = \"basic\", username = \"{region}\", password = \"{key}\" }\n[keybased.token.answer]",
        ),
        (
            "placement = { in = \"xml\", path = \"/request/session\", value = \"{access_token}\" }",
            "placement = [{ in = \"xml\", path = \"/request/session\", value = \"{access_token}\" }, { in = \"xml\", path = \"/request/session2\", value = \"{region}\" }, { in = \"header\", name = \"X-Key\", value = \"{access_token}\" }]",
        ),
        ("[keybased.token]\n", "[keybased.verify]\nurl = \"me\"\nheaders = { X-Key = \"{access_token}\" }\n[keybased.token]\n"),
        (
            "headers = { Accept = \"application/json\" }",
            "placement = [{ in = \"xml\", path = \"/r/s\", value = \"{access_token}\" }, { in = \"query\", name = \"t\", value = \"{access_token}\" }]",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let findings = lint(&good.replacen(from, to, 1), "apps/acme.toml");
        assert!(findings.is_empty(), "{to}: {}", show(&findings));
    }
}

/// Findings: a colour that no source names, and artwork that only the project may bring.
#[test]
fn built_in_manifests_have_only_the_findings_that_licences_force() {
    let catalog = crate::manifest::Catalog::builtin();
    for manifest in catalog.all() {
        let file = format!("{}.toml", manifest.slug);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps").join(&file);
        let findings = lint(&std::fs::read_to_string(path).unwrap(), &file);
        let mut expected = Vec::new();
        expected.extend(manifest.brand.color.is_none().then_some("brand.color"));
        expected.extend(manifest.brand.button.mandated.then_some("brand.button.normal.image"));
        let keys: Vec<&str> = findings.iter().map(|f| f.key.as_str()).collect();
        assert_eq!(keys, expected, "{}", show(&findings));
        assert!(findings.iter().all(|f| f.severity == Severity::Warning));
    }
    let shipped = catalog.all().iter().filter(|manifest| manifest.brand.icon.is_some()).count();
    assert!(shipped > catalog.all().len() / 3, "only {shipped} icons");
}

/// Where a note says how long a refresh token lives that nobody uses, the manifest says so too, in a number that keeps connections alive.
#[test]
fn what_notes_say_of_unused_refresh_tokens_is_stated() {
    // Ends that using the token does not put off: of Google's family, LinkedIn and Slack (which is about public clients; none of ours is).
    const OTHERWISE: [&str; 3] = ["An app in testing", "from the consent", "a public client"];
    let life = regex_lite::Regex::new(r"[Rr]efresh tokens?[^.;:]*? (\d+) (hours|days|weeks|months|years)\b").unwrap();
    let mut stated = std::collections::BTreeSet::new();
    for manifest in crate::manifest::Catalog::builtin().all() {
        let unused_life = manifest.oauth2.as_ref().and_then(|oauth2| oauth2.refresh.unused_life);
        let notes = manifest.facts.iter().filter(|fact| fact.about.iter().any(|about| about.starts_with("oauth2")));
        let notes = notes.filter_map(|fact| fact.note.as_deref()).filter(|note| !OTHERWISE.iter().any(|words| note.contains(words)));
        for found in notes.filter_map(|note| life.captures(note)) {
            let unit = match &found[2] {
                "hours" => 3_600,
                "days" => 86_400,
                "weeks" => 7 * 86_400,
                "months" => 30 * 86_400,
                _ => 365 * 86_400,
            };
            assert_eq!(unused_life, Some(found[1].parse::<u64>().unwrap() * unit), "{}: `{}`", manifest.slug, &found[0]);
            stated.insert(manifest.slug.clone());
        }
    }
    let all = ["airtable", "box", "docusign", "github", "greenhouse", "pipedrive", "quickbooks", "xero", "zoom"];
    assert!(all.iter().all(|slug| stated.contains(*slug)), "{stated:?}");
}

/// The first block of TOML in a page of the docs.
fn example(page: &str) -> &str {
    page.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0
}

#[test]
fn the_examples_of_the_docs_have_no_finding() {
    let findings = lint(example(include_str!("../../../../docs/adding-an-application.md")), "acme.toml");
    assert!(findings.is_empty(), "{}", show(&findings));
    let project = example(include_str!("../../../../docs/project-file.md"));
    let findings = crate::project::lint(project, "smalt.toml", &crate::manifest::Catalog::builtin());
    assert!(findings.is_empty(), "{}", show(&findings));
}

#[test]
fn the_docs_name_every_key() {
    let manifest = include_str!("../../../../docs/adding-an-application.md").to_owned();
    // Inputs and looks are explained on the first page only.
    let both = format!("{manifest}{}", include_str!("../../../../docs/project-file.md"));
    for (schema, page) in [(schema(), manifest), (crate::project::schema(), both)] {
        let types = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        let keys = types.filter_map(|t| t["properties"].as_object()).flat_map(|p| p.keys());
        let missing: Vec<&String> = keys.filter(|key| !page.contains(key.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

/// Whether a finding's line is where its key stands, or what should hold it where it is missing.
fn stands_there(text: &str, finding: &Finding) -> bool {
    let line = text.lines().nth(finding.line - 1).unwrap_or_default();
    let mut parts: Vec<&str> = finding.key.split(['.', '[', ']']).filter(|p| p.parse::<usize>().is_err() && !p.is_empty()).collect();
    if finding.message == "is missing" {
        parts.pop();
    }
    let names = |line: &str, part: &str| [" =", "]", "."].iter().any(|after| line.contains(&format!("{part}{after}")));
    match parts.iter().rev().find(|part| names(text, part)) {
        Some(part) => names(line, part),
        None => finding.line == 1 || finding.key.is_empty(),
    }
}

#[test]
fn every_mistake_is_named_with_its_line_and_cure() {
    let changes: std::collections::BTreeSet<_> = CASES.iter().map(|(from, to, ..)| (from, to)).collect();
    assert!(changes.len() >= 100, "{} different mistakes", changes.len());
    planted(GOOD, CASES);
    planted(&speaks_xml(), XML_CASES);
}

fn planted(good: &str, cases: &[(&str, &str, &str, &str, bool)]) {
    let mut trouble = Vec::new();
    for (from, to, key, part, error) in cases {
        assert!(good.contains(from), "the case no longer fits: {from}");
        let text = good.replacen(from, to, 1);
        let findings = lint(&text, "acme.toml");
        let found = findings.iter().find(|f| f.key == *key && f.to_string().contains(part));
        let Some(found) = found else {
            trouble.push(format!("{from} -> {to}: no finding at `{key}` with `{part}` in\n{}", show(&findings)));
            continue;
        };
        let placed = found.file == "acme.toml" && found.line > 0 && stands_there(&text, found);
        if found.is_error() != *error || found.cure.len() <= 5 || !placed {
            trouble.push(format!("{from} -> {to}: {found}"));
        }
        assert_eq!(AppManifest::parse(&text, "acme.toml").is_err(), findings.iter().any(Finding::is_error), "{from} -> {to}");
    }
    assert!(trouble.is_empty(), "{} of {}:\n{}", trouble.len(), cases.len(), trouble.join("\n"));
}

#[test]
fn a_finding_stands_on_the_line_of_its_key() {
    let text = GOOD.replace("[oauth2.scopes]\n", "[oauth2.scopes]\nseparator = \"\"\n");
    let line = text.lines().position(|l| l.starts_with("separator")).unwrap() + 1;
    let findings = lint(&text, "apps/acme.toml");
    assert_eq!((findings[0].line, findings[0].column), (line, 1));
    assert_eq!(
        findings[0].to_string(),
        format!(
            "apps/acme.toml:{line}: oauth2.scopes.separator: is empty — cure: remove it for one space, or write the provider's separator"
        )
    );
}

#[test]
fn several_mistakes_are_all_named() {
    let text = GOOD.replace("token_url", "token_uri").replace("color =", "colour =").replace("manifest = 1", "manifest = 1.5");
    let keys: Vec<String> = lint(&text, "acme.toml").into_iter().filter(|f| f.severity == Severity::Error).map(|f| f.key).collect();
    for key in ["manifest", "brand.colour", "oauth2.token_uri", "oauth2.token_url"] {
        assert!(keys.iter().any(|k| k == key), "{key} in {keys:?}");
    }
}

/// Pieces of manifests, right and wrong, in any order.
fn toml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(GOOD.lines().map(str::to_owned).collect::<Vec<_>>()),
        proptest::sample::select(CASES.iter().map(|c| c.1.to_owned()).collect::<Vec<_>>()),
        "[a-z.]{1,12} = (\"[^\"\\\\\r\n]{0,20}\"|[0-9]{1,25}|true|\\[\\]|\\{\\}|1979-05-27)",
        "\\[{1,2}[a-z0-9.\" ]{0,16}\\]{0,2}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_linted_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(AppManifest::parse(&text, "x.toml").is_err(), lint(&text, "x.toml").iter().any(Finding::is_error));
    }

    #[test]
    fn any_toml_is_linted_without_a_panic(text in toml_like()) {
        let findings = lint(&text, "acme.toml");
        prop_assert_eq!(AppManifest::parse(&text, "acme.toml").is_err(), findings.iter().any(Finding::is_error));
        for finding in findings {
            prop_assert!(finding.line <= text.lines().count() + 1 && !finding.cure.is_empty());
        }
    }

    #[test]
    fn one_changed_character_never_panics(at in 0..GOOD.len(), with in any::<char>()) {
        let mut text: Vec<char> = GOOD.chars().collect();
        text[at] = with;
        lint(&text.into_iter().collect::<String>(), "acme.toml");
    }
}
