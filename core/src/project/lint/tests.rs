#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::manifest::{AppManifest, schema};

/// A project without a finding; every case below breaks one thing of it.
const GOOD: &str = r#"version = 1
[org]
id = "default"
public_url = "https://app.example.com"
return_to = ["https://app.example.com", "https://app.example.com/done?ok=1"]
redirect_uris = ["http://127.0.0.1/callback", "com.example.app:/oauth"]
[network]
allow = ["crm.internal:8443", "10.0.0.7"]
[sandbox]
enabled = true
listen = "127.0.0.1:0"
[apps.sandbox-oauth]
[apps.quickbooks]
variables = { api_host = "sandbox-quickbooks" }
[apps.quickbooks.client.test]
id = "abc"
secret = { env = "QUICKBOOKS_SECRET" }
[apps.quickbooks.brand.button.normal]
image = "https://app.example.com/quickbooks.svg"
[[apps.quickbooks.fields]]
id = "account"
name = "Account"
type = "select"
options = [{ value = "a" }, { value = "b" }]
default = "a"
[[apps.quickbooks.fields]]
id = "sub"
name = "Sub-account"
parent = "account"
[[apps.quickbooks.fields]]
id = "pairs"
name = "Pairs"
type = "map"
labels = [{ value = "x" }]
[[apps.quickbooks.workflows]]
id = "digest"
name = "Digest"
[[apps.quickbooks.workflows.fields]]
id = "hour"
name = "Hour"
type = "number"
default = 9
parent = "account"
[apps.twilio]
brand = { icon = "https://app.example.com/twilio.svg" }
"#;

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::builtin);

fn show(findings: &[Finding]) -> String {
    findings.iter().map(|f| format!("{f}\n")).collect()
}

#[test]
fn a_good_project_has_no_finding() {
    let findings = lint(GOOD, "smalt.toml", &CATALOG);
    assert!(findings.is_empty(), "{}", show(&findings));
    assert!(Project::parse(GOOD, "smalt.toml").unwrap().check().is_ok());
    assert!(Project::default().check().is_ok());
}

/// OAuth 1.0a needs a client as OAuth 2.0 does, and so does a token that the organisation's own client asks for.
#[test]
fn a_client_is_no_mistake_where_one_is_needed() {
    for (app, variables) in [("trello", "app_name = \"Acme\""), ("microsoft-graph-app", "")] {
        let client = format!("[apps.{app}.client.test]\nid = \"x\"\nsecret = {{ env = \"X\" }}\n");
        let text =
            format!("version = 1\n[apps.{app}]\nbrand = {{ icon = \"https://a.example.com/\" }}\n[apps.{app}.variables]\n{variables}\n");
        let found = show(&lint(&format!("{text}{client}"), "smalt.toml", &CATALOG));
        assert!(!found.contains("is not needed") && !found.contains("has no OAuth client"), "{app}: {found}");
        let found = show(&lint(&text, "smalt.toml", &CATALOG));
        assert!(found.contains("has no OAuth client"), "{app}: {found}");
    }
}

#[test]
fn a_brand_of_the_project_changes_what_it_names_and_nothing_else() {
    let project = Project::parse(GOOD, "smalt.toml").unwrap();
    let manifest = CATALOG.get("quickbooks").unwrap();
    let brand = project.apps["quickbooks"].brand_of(&manifest);
    let mut expected = manifest.brand.clone();
    expected.button.normal.image = Some("https://app.example.com/quickbooks.svg".to_owned());
    assert_eq!(brand, expected);
    assert!(brand.icon.is_some() && brand.button.mandated);
}

/// What is replaced, by what, the key that is named, a part of the finding, and whether it is an error.
const CASES: &[(&str, &str, &str, &str, bool)] = &[
    ("version = 1", "version = 2", "version", "upgrade Smalt", true),
    ("version = 1\n", "", "version", "is missing", true),
    ("public_url", "publik_url", "org.publik_url", "did you mean `public_url`?", true),
    ("id = \"default\"", "id = \"a b\"", "org.id", "is not an id", true),
    ("\"https://app.example.com\"\nreturn_to", "\"app.example.com\"\nreturn_to", "org.public_url", "absolute http(s) URL", true),
    ("\"https://app.example.com\"\nreturn_to", "\"http://app.example.com\"\nreturn_to", "org.public_url", "plain http", false),
    ("\"https://app.example.com\"\nreturn_to", "\"https://app.example.com/?x=1\"\nreturn_to", "org.public_url", "has a query", true),
    ("[\"https://app.example.com\",", "[\"/done\",", "org.return_to[0]", "absolute http(s) URL", true),
    ("[\"https://app.example.com\",", "[\"https://*.example.com\",", "org.return_to[0]", "`*`", true),
    ("[\"https://app.example.com\",", "[\"https://APP.example.com\",", "org.return_to[0]", "write `https://app.example.com`", true),
    ("[\"https://app.example.com\",", "[\"javascript:alert(1)\",", "org.return_to[0]", "absolute http(s) URL", true),
    ("redirect_uris =", "origins = [\"*\"]\nredirect_uris =", "org.origins[0]", "is not an origin", true),
    ("redirect_uris =", "origins = [\"null\"]\nredirect_uris =", "org.origins[0]", "is not an origin", true),
    ("redirect_uris =", "origins = [\"https://*.example.com\"]\nredirect_uris =", "org.origins[0]", "is not an origin", true),
    ("[network]", "[portal]\nembed = [\"https://*.example.com\"]\n[network]", "portal.embed[0]", "is not an origin", true),
    ("com.example.app:/oauth", "acme://oauth", "org.redirect_uris[1]", "reverse-DNS", true),
    ("http://127.0.0.1/callback", "http://app.example.com/callback", "org.redirect_uris[0]", "plain http", true),
    ("http://127.0.0.1/callback", "https://app.example.com/cb#x", "org.redirect_uris[0]", "fragment", true),
    ("\"10.0.0.7\"", "\"https://10.0.0.7\"", "network.allow[1]", "is not a host", true),
    ("\"10.0.0.7\"", "\"*.internal\"", "network.allow[1]", "is not a host", true),
    ("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:80\"", "sandbox.listen", "this machine", true),
    ("listen = \"127.0.0.1:0\"", "url = \"https://sandbox.example.com\"", "sandbox.url", "this machine", true),
    ("enabled = true", "enabled = false", "apps.sandbox-oauth", "switched off", false),
    ("[org]", "[sessions]\nlifetime = 5\n[org]", "sessions.lifetime", "86400", true),
    // Applications and clients.
    ("[apps.twilio]", "[apps.twillio]", "apps.twillio", "did you mean `twilio`?", true),
    ("[apps.twilio]", "[apps.slack]", "apps.slack", "has no OAuth client for test — cure: add `[apps.slack.client.test]`", false),
    ("[apps.twilio]", "[apps.twilio]\nclient.test.id = \"x\"", "apps.twilio.client", "keys only", false),
    ("client.test]", "client.staging]", "apps.quickbooks.client.staging", "`test`, `production`", true),
    ("{ env = \"QUICKBOOKS_SECRET\" }", "\"hunter2\"", "apps.quickbooks.client.test.secret", "in clear", true),
    (
        "{ env = \"QUICKBOOKS_SECRET\" }",
        "{ env = \"hunter-2\" }",
        "apps.quickbooks.client.test.secret",
        "not the name of an environment variable",
        true,
    ),
    ("{ env = \"QUICKBOOKS_SECRET\" }", "{ vault = \"x\" }", "apps.quickbooks.client.test.secret.vault", "is not a key", true),
    ("id = \"abc\"", "id = \"\"", "apps.quickbooks.client.test.id", "is empty", true),
    (
        "id = \"abc\"",
        "id = \"abc\"\nredirect_uri = \"http://x.example.com/\"",
        "apps.quickbooks.client.test.redirect_uri",
        "plain http",
        true,
    ),
    ("\"sandbox-quickbooks\"", "\"evil.example.com/\"", "apps.quickbooks.variables.api_host", "for production keys", true),
    ("{ api_host", "{ api_hots", "apps.quickbooks.variables.api_hots", "did you mean `api_host`?", true),
    (
        "[apps.twilio]",
        "[apps.twilio]\ninputs = [{ name = \"sid\", label = \"SID\" }]",
        "apps.twilio.inputs",
        "leaves out what the application needs: token",
        true,
    ),
    ("[apps.twilio]", "[apps.trello]\nvariables.app_name = \"Acme\"", "apps.trello", "has no OAuth client for test", false),
    ("brand = { icon", "brand = { color = \"red\", icon", "apps.twilio.brand.color", "#rrggbb", true),
    ("brand = { icon = \"https://app.example.com/twilio.svg\" }\n", "", "apps.twilio.brand.icon", "is absent", false),
    (
        "image = \"https://app.example.com/quickbooks.svg\"",
        "label = \"Connect\"",
        "apps.quickbooks.brand.button.normal.image",
        "is mandated by the provider",
        false,
    ),
    ("[apps.twilio]", "[apps.twilio]\nscopes = [\"a b\"]", "apps.twilio.scopes", "text of its own", true),
    // Fields and workflows.
    ("id = \"sub\"", "id = \"account\"", "apps.quickbooks.fields[1].id", "stands twice", true),
    ("id = \"sub\"", "id = \"s.ub\"", "apps.quickbooks.fields[1].id", "is not an id", true),
    ("id = \"sub\"", "id = \"sub\"\ntype = \"strings\"", "apps.quickbooks.fields[1].type", "no known word", true),
    (
        "parent = \"account\"\n[[apps.quickbooks.fields]]",
        "parent = \"acount\"\n[[apps.quickbooks.fields]]",
        "apps.quickbooks.fields[1].parent",
        "did you mean `account`?",
        true,
    ),
    ("default = \"a\"", "default = \"a\"\nparent = \"sub\"", "apps.quickbooks.fields[0].parent", "leads back", true),
    (
        "options = [{ value = \"a\" }, { value = \"b\" }]\ndefault = \"a\"\n",
        "",
        "apps.quickbooks.fields[0].options",
        "nothing can be selected",
        true,
    ),
    ("{ value = \"b\" }", "{ value = \"a\" }", "apps.quickbooks.fields[0].options", "a value twice", true),
    ("{ value = \"b\" }", "{ value = [1] }", "apps.quickbooks.fields[0].options", "list or table", true),
    ("default = \"a\"", "default = \"c\"", "apps.quickbooks.fields[0].default", "one of the options' values", true),
    ("default = \"a\"", "default = \"a\"\nmultiple = true", "apps.quickbooks.fields[0].default", "a list", true),
    ("labels = [{ value = \"x\" }]\n", "", "apps.quickbooks.fields[2].labels", "no left side", true),
    ("labels = [{ value = \"x\" }]", "type_ = 1", "apps.quickbooks.fields[2].type_", "did you mean `type`?", true),
    ("type = \"map\"", "type = \"map_v2\"", "apps.quickbooks.fields[2].mapping", "is missing", true),
    ("id = \"sub\"", "id = \"sub\"\nhidden = true\nrequired = true", "apps.quickbooks.fields[1].required", "nobody can fill in", false),
    ("default = 9", "default = \"nine\"", "apps.quickbooks.workflows[0].fields[0].default", "write a number", true),
    (
        "name = \"Digest\"",
        "name = \"Digest\"\nenabled = true\npublished = false",
        "apps.quickbooks.workflows[0].enabled",
        "not published",
        false,
    ),
    ("id = \"digest\"", "id = \"\"", "apps.quickbooks.workflows[0].id", "is not an id", true),
];

#[test]
fn every_mistake_is_named_with_its_line_and_cure() {
    for (from, to, key, part, error) in CASES {
        assert!(GOOD.contains(from), "the case no longer fits: {from}");
        let text = GOOD.replacen(from, to, 1);
        let findings = lint(&text, "smalt.toml", &CATALOG);
        let found = findings.iter().find(|f| f.key == *key && f.to_string().contains(part));
        let Some(found) = found else { panic!("{from} -> {to}: no finding at `{key}` with `{part}` in\n{}", show(&findings)) };
        assert_eq!(found.is_error(), *error, "{found}");
        assert!(!found.cure.is_empty() && found.line > 0 && found.line <= text.lines().count(), "{found}");
    }
}

#[test]
fn s41_a_secret_in_clear_is_found_and_never_repeated() {
    for line in [
        "secret = \"hunter2\"",
        "client_secret = \"hunter2\"",
        "secret = { env = \"hunter2=\" }",
        "secret = [\"hunter2\"]",
        "secret = { envv = \"hunter2\" }",
    ] {
        let text = GOOD.replace("secret = { env = \"QUICKBOOKS_SECRET\" }", line);
        let findings = lint(&text, "smalt.toml", &CATALOG);
        assert!(findings.iter().any(|f| f.is_error() && f.key.contains("client.test")), "{}", show(&findings));
        assert!(!show(&findings).contains("hunter2"), "{}", show(&findings));
        assert!(!Project::parse(&text, "smalt.toml").unwrap_err().to_string().contains("hunter2"));
    }
}

#[test]
fn a_variable_without_default_must_be_set() {
    let manifest = AppManifest::parse(
        "manifest = 1\nslug = \"acme\"\nname = \"A\"\ndescription = \"A.\"\nvariables.zone.description = \"The zone.\"\n\
         [api]\nbase_url = \"https://{zone}.acme.example.com/\"\n[keybased]\ninputs = [{ name = \"key\", label = \"Key\", secret = true }]\n\
         placement = { in = \"header\", name = \"X\", value = \"{key}\" }\n",
        "acme.toml",
    )
    .unwrap();
    let catalog = Catalog::new(vec![], vec![manifest]).unwrap();
    let findings = lint("version = 1\n[apps.acme]\n", "smalt.toml", &catalog);
    assert!(findings.iter().any(|f| f.key == "apps.acme.variables.zone" && f.is_error()), "{}", show(&findings));
    let whole = "version = 1\n[apps.acme]\nvariables.zone = \"eu\"\nbrand.icon = \"https://app.example.com/acme.svg\"\n";
    assert!(lint(whole, "smalt.toml", &catalog).is_empty());
}

#[test]
fn the_checked_in_schema_is_the_generated_one() {
    schema::assert_checked_in("project-1.json", &super::schema());
}

/// Pieces of projects, right and wrong, in any order.
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
        let failed = read(&text, "x.toml").1.iter().any(Finding::is_error);
        prop_assert_eq!(Project::parse(&text, "x.toml").is_err(), failed);
    }

    #[test]
    fn any_toml_is_linted_without_a_panic(text in toml_like()) {
        for finding in lint(&text, "x.toml", &CATALOG) {
            prop_assert!(finding.line <= text.lines().count() + 1 && !finding.cure.is_empty());
        }
        if let Ok(project) = Project::parse(&text, "x.toml") {
            prop_assert!(project.check().is_ok());
        }
    }

    #[test]
    fn one_changed_character_never_panics(at in 0..GOOD.len(), with in any::<char>()) {
        let mut text: Vec<char> = GOOD.chars().collect();
        text[at] = with;
        lint(&text.into_iter().collect::<String>(), "x.toml", &CATALOG);
    }
}
