#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
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

fn show(findings: &[Finding]) -> String {
    findings.iter().map(|f| format!("{f}\n")).collect()
}

#[test]
fn a_good_manifest_has_no_finding() {
    let findings = lint(GOOD, "apps/acme.toml");
    assert!(findings.is_empty(), "{}", show(&findings));
    assert!(lint_value(&AppManifest::parse(GOOD, "acme.toml").unwrap()).is_empty());
}

/// Findings: a mark that its owner does not let be shipped, a colour that no source names, and artwork that only the project
/// may bring.
#[test]
fn built_in_manifests_have_only_the_findings_that_licences_force() {
    let catalog = crate::manifest::Catalog::builtin();
    for manifest in catalog.all() {
        let file = format!("{}.toml", manifest.slug);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps").join(&file);
        let findings = lint(&std::fs::read_to_string(path).unwrap(), &file);
        let mut expected = Vec::new();
        expected.extend(manifest.brand.icon.is_none().then_some("brand.icon"));
        expected.extend(manifest.brand.color.is_none().then_some("brand.color"));
        expected.extend(manifest.brand.button.mandated.then_some("brand.button.normal.image"));
        let keys: Vec<&str> = findings.iter().map(|f| f.key.as_str()).collect();
        assert_eq!(keys, expected, "{}", show(&findings));
        assert!(findings.iter().all(|f| f.severity == Severity::Warning));
    }
    let shipped = catalog.all().iter().filter(|manifest| manifest.brand.icon.is_some()).count();
    assert!(shipped > catalog.all().len() / 3, "only {shipped} icons");
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

/// What is replaced, by what, the key that is named, a part of the finding, and whether it is an error.
const CASES: &[(&str, &str, &str, &str, bool)] = &[
    // The TOML itself, and the shape.
    ("[api]", "[api", "", "cure: correct the TOML", true),
    ("name = \"Acme\"", "name = \"Acme\"\nname = \"Acme\"", "", "duplicate", true),
    ("token_url", "token_uri", "oauth2.token_uri", "did you mean `token_url`?", true),
    ("token_url = \"https://{shop}.acme.example.com/token\"\n", "", "oauth2.token_url", "is missing — cure: add `token_url`", true),
    ("color =", "colour =", "brand.colour", "did you mean `color`?", true),
    ("manifest = 1", "manifest = \"1\"", "manifest", "not a whole number", true),
    ("manifest = 1", "manifest = 2", "manifest", "upgrade Smalt", true),
    ("date = \"2026-11-22\"", "date = 2026-11-22", "facts[0].date", "put it in quotes", true),
    (
        "[oauth2.scopes]",
        "[oauth2.refresh]\nrotation = \"rotate\"\n[oauth2.scopes]",
        "oauth2.refresh.rotation",
        "did you mean \"rotates\"?",
        true,
    ),
    ("in = \"header\"", "in = \"haeder\"", "keybased.placement.in", "use one of: `header`, `query`, `basic`", true),
    ("url = \"me\"\n[[facts]]", "url = \"me\"\nrejected = [401, 70000]\n[[facts]]", "keybased.verify.rejected[1]", "out of range", true),
    ("default = [\"read\", \"write\"]", "default = \"read write\"", "oauth2.scopes.default", "not a list", true),
    // Names.
    ("slug = \"acme\"", "slug = \"Acme\"", "slug", "lower-case", true),
    ("slug = \"acme\"", "slug = \"acme-two\"", "slug", "name the file `<slug>.toml`", true),
    ("slug = \"acme\"", "slug = \"callback\"", "slug", "reserved", true),
    ("name = \"Acme\"", "name = \" \"", "name", "is empty", true),
    ("docs =", "manual =", "links.manual", "`docs`, `console` or `status`", false),
    ("docs = \"https", "docs = \"http", "links.docs", "not an https URL", true),
    ("[variables.region]", "[variables.Region]", "variables.Region", "is not a name", true),
    ("name = \"shop\"", "name = \"client_id\"", "oauth2.inputs[0].name", "means something else", true),
    ("{ tenant =", "{ shop =", "oauth2.copy_from_token.shop", "name of an input", true),
    // Looks.
    ("color = \"#112233\"", "color = \"blue\"", "brand.color", "#rrggbb", true),
    (
        "foreground = \"#ffffff\"\n[brand.button.hover]",
        "foreground = \"#333333\"\n[brand.button.hover]",
        "brand.button.normal.foreground",
        "contrast",
        false,
    ),
    (
        "[brand.button.hover]\nlabel = \"Connect Acme\"\nbackground = \"#223344\"\nforeground = \"#ffffff\"\n",
        "",
        "brand.button.hover",
        "cannot be drawn",
        false,
    ),
    ("[brand.button.normal]", "[brand.button]\nmandated = true\n[brand.button.normal]", "brand.button.mandated", "guidelines_url", true),
    ("icon = \"https://acme.example.com/icon.svg\"\n", "", "brand.icon", "apps.<slug>.brand.icon", false),
    ("icon = \"https", "icon = \"javascript", "brand.icon", "not an https URL", true),
    // URLs and templates.
    ("authorize_url = \"https", "authorize_url = \"http", "oauth2.authorize_url", "use https", true),
    (
        "authorize_url = \"https://{shop}.acme.example.com",
        "authorize_url = \"http://localhost:8080",
        "oauth2.authorize_url",
        "network.allow",
        false,
    ),
    (
        "authorize_url = \"https://{shop}.",
        "authorize_url = \"https://shop-{shop}.",
        "oauth2.authorize_url",
        "whole part between two dots",
        true,
    ),
    ("base_url = \"https://{region}.api.acme.example.com", "base_url = \"https://acme.{region}", "api.base_url", "decide whose host", true),
    ("base_url = \"https://{region}.api.acme.example.com", "base_url = \"https://{region}", "api.base_url", "decide whose host", true),
    (
        "base_url = \"https://{region}.api.acme.example.com/v1/\"",
        "base_url = \"https://{region}.api.acme.example.com/v1\"",
        "api.base_url",
        "last part is dropped",
        false,
    ),
    ("base_url = \"https://{region}", "base_url = \"https://user@{region}", "api.base_url", "user name", true),
    (
        "base_url = \"https://{region}.api.acme.example.com/",
        "base_url = \"https://{region}.api.acme.example.com:{region}/",
        "api.base_url",
        "in the port",
        true,
    ),
    ("/v1/\"", "/v1/{regoin}/\"", "api.base_url", "did you mean `{region}`?", true),
    ("/v1/\"", "/v1/{shop}/\"", "api.base_url", "provided by nothing", true),
    ("/v1/\"", "/v1/{/\"", "api.base_url", "is never closed", true),
    ("/v1/\"", "/v1/{A b}/\"", "api.base_url", "cannot stand in a placeholder's name", true),
    ("/authorize\"", "/authorize?t={access_token}\"", "oauth2.authorize_url", "not known at this point", true),
    ("/authorize\"", "/{sandbox_origin}\"", "oauth2.authorize_url", "only the sandbox's own", true),
    ("/authorize\"", "/authorize#x\"", "oauth2.authorize_url", "fragment", true),
    ("url = \"me\"\n[[facts]]", "url = \"/me\"\n[[facts]]", "keybased.verify.url", "host's root", false),
    ("url = \"me\"\n[[facts]]", "url = \"me?key={key}\"\n[[facts]]", "keybased.verify.url", "logs", false),
    ("value = \"{key}\"", "value = \"key\"", "keybased.placement", "every request would carry the same", true),
    ("name = \"X-Key\"", "name = \"X Key\"", "keybased.placement.name", "not a header's name", true),
    ("Accept = ", "Host = ", "api.headers.Host", "no manifest may set", true),
    ("Accept = \"application/json\"", "Accept = \"a\\nb\"", "api.headers.Accept", "control character", true),
    (
        "[variables.region]",
        "[variables.unused]\ndescription = \"x\"\n[variables.region]",
        "variables.unused",
        "named by no template",
        false,
    ),
    // OAuth 2.0.
    ("audience = ", "state = ", "oauth2.authorize_params.state", "set by Smalt", true),
    ("required = [\"read\"]", "required = [\"admin\"]", "oauth2.scopes.required", "`default` lacks: admin", false),
    ("default = [\"read\", \"write\"]", "default = [\"read write\"]", "oauth2.scopes.default", "text of its own", true),
    ("[oauth2.scopes]", "[oauth2.scopes]\nseparator = \"\"", "oauth2.scopes.separator", "is empty", true),
    ("\"/tenant/id\"", "\"tenant.id\"", "oauth2.copy_from_token.tenant", "`/tenant/id`", true),
    ("id = \"/id\"", "id = \"$.id\"", "oauth2.identity.id", "JSON pointer", true),
    ("id = \"/id\"", "id = \"{nobody}\"", "oauth2.identity.id", "provided by nothing", true),
    ("params = { token = \"{token}\" }", "params = { t = \"x\" }", "oauth2.revoke.params", "never names the token", true),
    (
        "[oauth2.revoke]\nurl = \"https://{shop}.acme.example.com/revoke\"\nparams = { token = \"{token}\" }\n[oauth2.identity]\nurl = \"me\"\nid = \"/id\"\n",
        "",
        "oauth2",
        "who the user is",
        false,
    ),
    (
        "[[oauth2.inputs]]",
        "[oauth2.refresh]\nrotation = \"never\"\ngrace = 5\n[[oauth2.inputs]]",
        "oauth2.refresh.rotation",
        "one or the other",
        false,
    ),
    ("authorize_params", "pkce = \"off\"\nclient_auth = \"none\"\nauthorize_params", "oauth2.pkce", "nothing protects the code", true),
    // Keys and inputs.
    ("[keybased.verify]\nurl = \"me\"\n", "", "keybased", "without trying it", false),
    ("pattern = \"[a-z0-9-]{1,63}\"", "pattern = \"[a-z\"", "oauth2.inputs[0].pattern", "cannot be read", true),
    ("pattern = \"[a-z0-9-]{1,63}\"", "type = \"select\"", "oauth2.inputs[0].options", "nothing can be selected", true),
    ("pattern = \"[a-z0-9-]{1,63}\"", "type = \"txt\"", "oauth2.inputs[0].type", "did you mean \"text\"?", true),
    ("pattern = \"[a-z0-9-]{1,63}\"", "pattern = \"[a-z]+\"\ndefault = \"A1\"", "oauth2.inputs[0].default", "does not match", true),
    (
        "[oauth2.scopes]",
        "[[oauth2.inputs]]\nname = \"shop\"\nlabel = \"Again\"\n[oauth2.scopes]",
        "oauth2.inputs[1].name",
        "stands twice",
        true,
    ),
    ("secret = true", "secret = true\ndefault = \"x\"", "keybased.inputs[0].default", "secret to everyone", true),
    ("secret = true\n", "", "keybased.inputs[0].type", "stored as plain text", false),
    ("type = \"password\"\n", "", "keybased.inputs[0].type", "shows a secret", false),
    // Facts.
    ("date = \"2026-11-22\"", "date = \"2026-02-30\"", "facts[0].date", "YYYY-MM-DD", true),
    ("source = \"https", "source = \"http", "facts[0].source", "not an https URL", true),
    ("\"keybased\", \"brand\"", "\"keybassed\", \"brand\"", "facts[0].about", "not a key of a manifest", true),
    ("about = [\"oauth2\", ", "about = [", "oauth2.authorize_url", "has no source", false),
    ("about = [\"oauth2\", ", "about = [", "oauth2.token_url", "has no source", false),
];

#[test]
fn every_mistake_is_named_with_its_line_and_cure() {
    for (from, to, key, part, error) in CASES {
        assert!(GOOD.contains(from), "the case no longer fits: {from}");
        let text = GOOD.replacen(from, to, 1);
        let findings = lint(&text, "acme.toml");
        let found = findings.iter().find(|f| f.key == *key && f.to_string().contains(part));
        let Some(found) = found else { panic!("{from} -> {to}: no finding at `{key}` with `{part}` in\n{}", show(&findings)) };
        assert_eq!(found.is_error(), *error, "{found}");
        assert!(!found.cure.is_empty() && found.line > 0 && found.line <= text.lines().count(), "{found}");
        assert_eq!(AppManifest::parse(&text, "acme.toml").is_err(), findings.iter().any(Finding::is_error), "{from} -> {to}");
    }
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
