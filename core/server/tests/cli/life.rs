//! A whole OAuth life through the binary: every step is a process of its own, and the sandbox is another one.

use std::{fs, process::Command};

use serde_json::json;

use crate::folder::Folder;

/// A browser that consents by itself: it opens the page with the user and the decision added, and follows the redirects to the
/// command's own address.
const BROWSER: &str = "#!/bin/sh\nexec curl --silent --show-error --location --max-time 30 --output page.html \
                       \"$1&sandbox_user=ada&sandbox_decision=DECISION\"\n";

pub fn with_browser(decision: &str) -> Folder {
    let mut folder = Folder::initialised();
    let path = folder.path("browser");
    fs::write(&path, BROWSER.replace("DECISION", decision)).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    folder.variables.push(("BROWSER".to_owned(), path.to_str().unwrap().to_owned()));
    folder.run(&["account", "create", "c1"]).ok();
    folder
}

#[test]
fn a_whole_life_from_process_to_process() {
    let folder = with_browser("allow");
    let sandbox = folder.sandbox();
    let said = folder.run(&["connect", "sandbox-oauth", "--account", "c1"]).ok();
    assert!(said.out.contains("Connected sandbox-oauth as ada@") && said.err.contains("Opening the browser"), "{}", said.all());
    assert!(!said.err.contains("this sandbox lives in this command only") && !said.all().contains(&sandbox.url), "{}", said.all());
    assert!(folder.read("page.html").contains("<h1>Connected"));

    let list = folder.run(&["connections", "list", "--account", "c1", "--json"]).ok().json();
    assert_eq!((&list[0]["application"], &list[0]["status"]), (&json!("sandbox-oauth"), &json!("active")));
    let changed = folder
        .run(&[
            "config",
            "sandbox-oauth",
            "--account",
            "c1",
            "--set",
            "greeting=12",
            "--set",
            "columns={\"customer\": \"title\"}",
            "--enable",
            "digest",
            "--workflow-set",
            "digest.hour=7",
            "--json",
        ])
        .ok()
        .json();
    let field = |id: &str| changed["fields"].as_array().unwrap().iter().find(|f| f["id"] == id).unwrap().clone();
    assert_eq!((field("greeting")["value"].clone(), field("columns")["value"]["customer"].clone()), (json!("12"), json!("title")));
    assert!(!field("channel")["options"].as_array().unwrap().is_empty(), "{changed}");
    let digest = changed["workflows"].as_array().unwrap().iter().find(|w| w["id"] == "digest").unwrap();
    assert_eq!((&digest["enabled"], &digest["fields"][0]["value"]), (&json!(true), &json!(7)));
    let off = folder.run(&["config", "sandbox-oauth", "--account", "c1", "--disable", "digest", "--unset", "greeting"]).ok();
    assert!(off.out.contains("required"), "{}", off.out);
    let typo = folder.run(&["config", "sandbox-oauth", "--account", "c1", "--set", "greting=Hello"]);
    assert!(typo.code == 1 && typo.out.contains("unknown_field"), "{}", typo.all());
    let typo = folder.run(&["config", "sandbox-oath", "--account", "c1"]);
    assert!(typo.code == 3 && typo.err.contains("did you mean `sandbox-oauth`?"), "{}", typo.all());
    let off = folder.run(&["config", "slack", "--account", "c1"]);
    assert!(off.code == 3 && off.err.contains("does not enable `slack`"), "{}", off.all());

    let token = folder.run(&["credential", "sandbox-oauth", "--account", "c1", "--json"]).ok().json()["access_token"].clone();
    let token = token.as_str().unwrap();
    let hidden = folder.run(&["credential", "sandbox-oauth", "--account", "c1"]).ok();
    assert!(hidden.out.contains("hidden") && !hidden.all().contains(token), "{}", hidden.all());
    let items = folder.run(&["request", "sandbox-oauth", "GET", "items", "--account", "c1"]).ok();
    assert!(items.out.contains("\"items\"") && items.err.contains("status 200") && !items.all().contains(token), "{}", items.all());
    let lost = folder.run(&["request", "sandbox-oauth", "GET", "nowhere", "--account", "c1", "--json"]);
    assert_eq!((lost.code, lost.json()["status"].clone()), (1, json!(404)));

    let session = folder.run(&["session", "c1", "--json"]).ok().json();
    assert_eq!(
        (&session["account_id"], folder.run(&["session", "c1"]).ok().out.trim()),
        (&json!("c1"), session["token"].as_str().unwrap())
    );
    assert_ne!(folder.run(&["session", "c1", "--force"]).ok().out.trim(), session["token"].as_str().unwrap());

    let receipt = folder.run(&["disconnect", "sandbox-oauth", "--account", "c1", "--json"]).ok().json();
    assert_eq!((&receipt["revocation"], &receipt["deleted_configs"]), (&json!("revoked"), &json!(["c1"])));
    let again = folder.run(&["receipt", receipt["id"].as_str().unwrap(), "--account", "c1", "--json"]).ok().json();
    assert_eq!(again, receipt);
    assert_eq!(folder.run(&["connections", "list", "--account", "c1", "--json"]).ok().json(), json!([]));
    assert_eq!(folder.run(&["credential", "sandbox-oauth", "--account", "c1"]).code, 4);

    let log = folder.run(&["events", "--json"]).ok().json();
    let types: Vec<_> = log["items"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert!(["account.created", "flow.started", "connection.created", "connection.deleted"].iter().all(|t| types.contains(t)), "{types:?}");
    let rest = folder.run(&["events", "--since", log["next"].as_str().unwrap(), "--json"]).ok().json();
    assert_eq!((&rest["items"], &rest["next"]), (&json!([]), &log["next"]));
}

#[test]
fn a_user_who_denies_is_an_outcome_of_its_own() {
    let folder = with_browser("deny");
    let _sandbox = folder.sandbox();
    let said = folder.run(&["connect", "sandbox-oauth", "--account", "c1", "--json"]);
    assert_eq!((said.code, said.json()["error"]["code"].clone()), (4, json!("user_denied")));
    assert!(folder.read("page.html").contains("<h1>Not connected"));
    assert_eq!(folder.run(&["connections", "list", "--account", "c1", "--json"]).ok().json(), json!([]));
}

#[test]
fn without_a_browser_the_address_is_printed() {
    let folder = with_browser("allow");
    let _sandbox = folder.sandbox();
    let mut connecting = folder.begin(&["connect", "sandbox-oauth", "--account", "c1", "--no-browser", "--json"]);
    let page = connecting.line_with("http://");
    let url = format!("{page}&sandbox_user=grace&sandbox_decision=allow");
    let visited = Command::new("curl").args(["--silent", "--location", "--max-time", "30", &url]).output().unwrap();
    assert!(String::from_utf8(visited.stdout).unwrap().contains("<h1>Connected"));
    let said = connecting.end().ok();
    assert!(said.json()["identity"]["label"].as_str().unwrap().starts_with("grace@"), "{}", said.out);
}

#[test]
fn the_log_can_be_followed_from_another_process() {
    let folder = with_browser("allow");
    let mut following = folder.begin(&["events", "--follow", "--json"]);
    assert!(following.out_line().contains("account.created"));
    folder.run(&["account", "create", "c2"]).ok();
    let event: serde_json::Value = serde_json::from_str(&following.out_line()).unwrap();
    assert_eq!((&event["type"], &event["account_id"]), (&json!("account.created"), &json!("c2")));
}

#[test]
fn s42_what_a_failing_provider_echoes_is_not_repeated() {
    let folder = with_browser("allow");
    let sandbox = folder.sandbox();
    let order = |order: serde_json::Value| {
        let url = format!("{}/control", sandbox.url);
        let sent = Command::new("curl").args(["--silent", "--json", &order.to_string(), &url]).output().unwrap();
        assert_eq!(String::from_utf8(sent.stdout).unwrap(), "{\"ok\":true}");
    };
    order(json!({"do": "set", "ways": {"echo_secrets": true}}));
    let refusal = json!({"kind": "error", "error": "invalid_grant", "description": "canary-description"});
    order(json!({"do": "misbehave", "at": "token", "times": 1, "with": refusal}));
    let said = folder.run(&["connect", "sandbox-oauth", "--account", "c1", "--json"]);
    assert_eq!((said.code, said.json()["error"]["code"].clone()), (4, json!("exchange_failed")), "{}", said.all());
    let events = folder.run(&["events", "--json"]).ok();
    // The client's secret, in clear and as HTTP Basic carries it.
    for secret in ["canary-description", "sandbox-secret", "c2FuZGJveC1jbGllbnQ6c2FuZGJveC1zZWNyZXQ"] {
        assert!(!said.all().contains(secret) && !events.all().contains(secret), "{secret}: {} {}", said.all(), events.all());
    }
}

/// Tells the sandbox what to do; it must understand.
fn control(url: &str, order: &str) {
    let told = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--header",
            "content-type: application/json",
            "--data",
            order,
            &format!("{url}/control"),
        ])
        .output()
        .unwrap();
    assert!(told.status.success(), "{order}: {}", String::from_utf8_lossy(&told.stderr));
}

/// The organisation's client is switched off at the provider: nobody is sent to the consent page, and doctor names the client.
#[test]
fn a_refused_client_is_the_organisations_to_mend() {
    let folder = with_browser("allow");
    let sandbox = folder.sandbox();
    folder.run(&["connect", "sandbox-oauth", "--account", "c1"]).ok();
    let quiet = folder.run(&["connections", "list", "--account", "c1"]).ok();
    assert!(quiet.out.contains("active") && !quiet.out.contains("client_rejected"), "{}", quiet.out);
    control(&sandbox.url, r#"{"do": "expire_access_tokens"}"#);
    control(&sandbox.url, r#"{"do": "set", "ways": {"disabled_clients": ["sandbox-client"]}}"#);
    let refused = folder.run(&["request", "sandbox-oauth", "GET", "items", "--account", "c1"]);
    assert!(refused.code != 0 && refused.err.contains("invalid_client"), "{}", refused.all());
    let shown = folder.run(&["connections", "list", "--account", "c1", "--json"]).ok().json();
    assert_eq!((&shown[0]["status"], &shown[0]["health"]), (&json!("active"), &json!("client_rejected")));
    let text = folder.run(&["connections", "list", "--account", "c1"]).ok().out;
    assert!(text.contains("client_rejected") && text.contains("smalt doctor") && !text.contains("Authorise again"), "{text}");
    let id = shown[0]["id"].as_str().unwrap();
    let facts = folder.run(&["connections", "show", id, "--account", "c1"]).ok().out;
    assert!(facts.contains("client_rejected") && facts.contains("set the right client of `sandbox-oauth`"), "{facts}");
    let doctor = folder.run(&["doctor", "--offline"]);
    assert!(
        doctor.code == 1 && doctor.out.contains("invalid_client") && doctor.out.contains("users need not connect again"),
        "{}",
        doctor.all()
    );
    // A user who connects proves that it is taken again.
    control(&sandbox.url, r#"{"do": "set", "ways": {"disabled_clients": []}}"#);
    folder.run(&["account", "create", "c2"]).ok();
    folder.run(&["connect", "sandbox-oauth", "--account", "c2"]).ok();
    let shown = folder.run(&["connections", "list", "--account", "c1", "--json"]).ok().json();
    assert_eq!(shown[0]["health"], json!("healthy"));
    folder.run(&["doctor", "--offline"]).ok();
    folder.run(&["request", "sandbox-oauth", "GET", "items", "--account", "c1"]).ok();
}
