//! Making a manifest and trying it out.

use std::process::Command;

use serde_json::{Value, json};

use crate::{folder::Folder, life::with_browser};

const DISCOVERY: &str = r#"{
    "issuer": "https://id.acme.example.com",
    "authorization_endpoint": "https://id.acme.example.com/authorize",
    "token_endpoint": "https://id.acme.example.com/token",
    "userinfo_endpoint": "https://id.acme.example.com/me",
    "scopes_supported": ["openid", "email"]
}"#;

#[test]
fn a_discovery_document_becomes_a_manifest_that_works() {
    let folder = Folder::initialised();
    folder.write("found.json", DISCOVERY);
    let said = folder.run(&["apps", "new", "acme-shop", "--discover", "found.json"]).ok();
    assert!(said.out.contains("Wrote apps/acme-shop.toml") && said.out.contains("manifests = [\"apps\"]"), "{}", said.out);
    // It says what only a person can find out.
    assert!(said.out.contains("says nothing about revocation") && said.out.contains("oauth2.refresh.rotation"), "{}", said.out);
    folder.write("smalt.toml", &format!("manifests = [\"apps\"]\n{}", folder.read("smalt.toml")));
    let shown = folder.run(&["apps", "show", "acme-shop", "--json"]).ok().json();
    assert_eq!((&shown["name"], &shown["oauth2"]["token_url"]), (&json!("Acme Shop"), &json!("https://id.acme.example.com/token")));
    folder.run(&["apps", "lint", "apps"]).ok();

    let again = folder.run(&["apps", "new", "acme-shop", "--discover", "found.json"]);
    assert!(again.code == 3 && again.err.contains("is there already"), "{}", again.all());
    let wrong = folder.run(&["apps", "new", "Acme Shop", "--discover", "found.json", "--out", "other"]);
    assert!(wrong.code == 3 && wrong.err.contains("lower-case") && !folder.path("other").exists(), "{}", wrong.all());
    folder.write("found.json", "{\"issuer\": \"https://x.example.com\"}");
    let empty = folder.run(&["apps", "new", "other", "--discover", "found.json"]);
    assert!(empty.code == 3 && empty.err.contains("authorization_endpoint"), "{}", empty.all());
    assert_eq!(folder.run(&["apps", "new", "other", "--discover", "missing.json"]).code, 3);
}

/// From a provider's own address: what it publishes there is fetched, becomes a manifest that lint reads back, and that manifest connects, renews and ends at the
/// provider.
#[test]
fn a_providers_address_becomes_a_manifest_that_connects() {
    let mut folder = with_browser("allow");
    let sandbox = folder.sandbox();
    let new = |slug: &str, place: &str| folder.run(&["apps", "new", slug, "--discover", place]);
    // A provider on a private address is asked where the project says so, and nowhere else.
    let refused = new("acme", &sandbox.url);
    assert!(refused.code == 3 && refused.err.contains("network.allow") && !folder.path("apps/acme.toml").exists(), "{}", refused.all());
    let port = sandbox.url.rsplit(':').next().unwrap().trim_end_matches('/');
    let allowed = format!("\n[network]\nallow = [\"127.0.0.1:{port}\"]\n");
    folder.write("smalt.toml", &format!("manifests = [\"apps\"]\n{}{allowed}", folder.read("smalt.toml")));
    let nothing = new("acme", &format!("{}/.well-known/nothing", sandbox.url));
    assert!(nothing.code == 3 && nothing.err.contains("status 404"), "{}", nothing.all());
    let said = folder.run(&["apps", "new", "acme", "--discover", &sandbox.url, "--json"]).ok().json();
    let errors = said["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "error");
    // A provider on this machine has no address that others can look at.
    let errors: Vec<_> = errors.map(|finding| finding["key"].as_str().unwrap()).collect();
    assert_eq!((&said["written"], errors.as_slice()), (&json!("apps/acme.toml"), ["facts[0].source"].as_slice()), "{said}");
    let text = folder.read("apps/acme.toml");
    let source = format!("source = \"{}/.well-known/openid-configuration\"", sandbox.url);
    assert!(text.contains(&source), "{text}");
    folder.write("apps/acme.toml", &text.replace(&source, "source = \"https://acme.example/.well-known/openid-configuration\""));

    let lint = folder.run(&["apps", "lint", "apps/acme.toml", "--json"]).ok().json();
    assert_eq!(lint["errors"], 0, "{lint}");
    let shown = folder.run(&["apps", "show", "acme", "--json"]).ok().json();
    let oauth2 = &shown["oauth2"];
    let at = |path: &str| json!(format!("{}{path}", sandbox.url));
    assert_eq!((&oauth2["authorize_url"], &oauth2["token_url"], &oauth2["issuer"]), (&at("/authorize"), &at("/token"), &at("")));
    assert_eq!((&oauth2["revoke"]["url"], &oauth2["identity"]["url"]), (&at("/revoke"), &at("/userinfo")), "{oauth2}");

    let client = "\n[apps.acme.client.test]\nid = \"sandbox-client\"\nsecret = { env = \"ACME_SECRET\" }\n";
    folder.write("smalt.toml", &format!("{}{client}", folder.read("smalt.toml")));
    folder.variables.push(("ACME_SECRET".to_owned(), "sandbox-secret".to_owned()));
    let report = folder.run(&["apps", "test", "acme", "--json"]).ok().json();
    for name in ["connect", "renew", "disconnect"] {
        assert_eq!(step(&report, name)["ok"], true, "{name}: {report}");
    }
    assert_eq!(exchange(&report, "disconnect", "/revoke")["status"], 200);
}

#[test]
fn answers_become_a_manifest_and_may_come_from_a_pipe() {
    let folder = Folder::new();
    let answers =
        "Acme\nSupplies for deserts.\nhttps://acme.example.com/docs\nhttps://api.acme.example.com/v1\nkey\nkeys\nX-Acme-Key\n\nme\n";
    let said = folder.run_with(&["apps", "new", "acme", "--json"], answers).ok();
    assert_eq!(said.json()["written"], "apps/acme.toml");
    assert!(said.err.contains("Please answer"), "{}", said.err);
    let lint = folder.run(&["apps", "lint", "apps/acme.toml", "--json"]).ok().json();
    assert_eq!(lint["errors"], 0);
    let text = folder.read("apps/acme.toml");
    assert!(text.contains("value = \"{key}\"") && text.contains("url = \"me\""), "{text}");

    let short = folder.run_with(&["apps", "new", "acme-two"], "Acme\n");
    assert!(short.code == 3 && !folder.path("apps/acme-two.toml").exists(), "{}", short.all());
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["steps"].as_array().unwrap().iter().find(|s| s["step"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

fn exchange<'a>(report: &'a Value, step: &str, path: &str) -> &'a Value {
    let mut all = report["exchanges"].as_array().unwrap().iter();
    all.find(|e| e["step"] == step && e["url"].as_str().unwrap().ends_with(path)).unwrap_or_else(|| panic!("{step} {path}: {report}"))
}

#[test]
fn a_trial_shows_what_the_provider_answers_without_its_secrets() {
    let folder = with_browser("allow");
    let sandbox = folder.sandbox();
    let report = folder.run(&["apps", "test", "sandbox-oauth", "--get", "items", "--json"]).ok().json();
    for name in ["connect", "renew", "call", "disconnect"] {
        assert_eq!(step(&report, name)["ok"], true, "{name}: {report}");
    }
    let token = exchange(&report, "connect", "/token");
    assert_eq!((&token["method"], &token["status"], &token["answer"]["token_type"]), (&json!("POST"), &json!(200), &json!("Bearer")));
    assert!(token["sent"].as_array().unwrap().contains(&json!("code_verifier")), "{token}");
    assert!(token["answer"]["access_token"].as_str().unwrap().ends_with("characters)"), "{token}");
    assert_eq!(exchange(&report, "disconnect", "/revoke")["status"], 200);
    let text = folder.run(&["apps", "test", "sandbox-oauth"]).ok();
    assert!(text.out.contains("disconnect") && text.out.contains("not tried: `--get PATH`"), "{}", text.out);
    for secret in ["sandbox-secret", "c2FuZGJveC1jbGllbnQ6c2FuZGJveC1zZWNyZXQ"] {
        assert!(!report.to_string().contains(secret) && !text.all().contains(secret), "{secret}");
    }
    // Nothing was kept, not even in a store that is there.
    let log = folder.run(&["events", "--json"]).ok().json();
    assert!(log["items"].as_array().unwrap().iter().all(|event| event["type"] == "account.created"), "{log}");

    // A provider that refuses and echoes what it was sent.
    let order = |order: Value| {
        let sent = Command::new("curl").args(["--silent", "--json", &order.to_string(), &format!("{}/control", sandbox.url)]).output();
        assert_eq!(String::from_utf8(sent.unwrap().stdout).unwrap(), "{\"ok\":true}");
    };
    order(json!({"do": "set", "ways": {"echo_secrets": true}}));
    order(
        json!({"do": "misbehave", "at": "token", "times": 1, "with": {"kind": "error", "error": "invalid_grant", "description": "no such code"}}),
    );
    let refused = folder.run(&["apps", "test", "sandbox-oauth", "--json"]);
    let report = refused.json();
    assert_eq!((refused.code, &step(&report, "connect")["ok"]), (1, &json!(false)), "{}", refused.all());
    let answer = &exchange(&report, "connect", "/token")["answer"];
    assert!(answer["error"] == "invalid_grant" && answer["error_description"].as_str().unwrap().contains("no such code"), "{answer}");
    assert!(!refused.all().contains("sandbox-secret"), "{}", refused.all());
}

#[test]
fn a_trial_with_a_wrong_key_says_so_and_shows_no_key() {
    let folder = Folder::initialised();
    let _sandbox = folder.sandbox();
    let said = folder.run_with(&["apps", "test", "sandbox-key", "--input", "key=-", "--json"], "sandbox-key-wrong-123\n");
    let report = said.json();
    assert_eq!((said.code, &step(&report, "connect")["ok"]), (1, &json!(false)), "{}", said.all());
    assert!(!said.all().contains("sandbox-key-wrong-123"), "{}", said.all());
    assert_eq!(Folder::new().run(&["apps", "test", "slack"]).code, 6);
}
