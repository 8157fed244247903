//! What is shown, and what never is.

use crate::folder::{CANARY, Folder};

#[test]
fn a_wrong_key_is_refused_and_saves_nothing() {
    let folder = Folder::initialised();
    folder.run(&["account", "create", "c1"]).ok();
    let said = folder.run(&["connect", "sandbox-key", "--account", "c1", "--input", "key=canary-wrong", "--input", "workspace=acme"]);
    assert!(said.code == 4 && said.err.contains("credentials_rejected"), "{}", said.all());
    assert!(!said.all().contains("canary-wrong"));
    let said = folder.run(&["connect", "sandbox-key", "--account", "c1", "--input", "canary-misplaced"]);
    assert!(said.code == 2 && said.err.contains("--input") && !said.all().contains("canary"), "{}", said.all());
    let said = folder.run(&["connect", "sandbox-key", "--account", "c1", "--input", "key=canary-wrong", "--input", "workspace=acme"]);
    // Its sandbox ends with it, which people are told.
    assert!(said.err.contains("smalt sandbox"), "{}", said.err);
    assert_eq!(folder.run(&["connections", "list", "--account", "c1", "--json"]).ok().json(), serde_json::json!([]));
    // Nobody can be asked here, so what is missing is named.
    let said = folder.run(&["connect", "sandbox-key", "--account", "c1", "--input", "workspace=acme"]);
    assert!(said.code == 3 && said.err.contains("invalid_inputs") && said.err.contains("key"), "{}", said.all());
}

#[test]
fn s41_secrets_are_shown_on_request_only() {
    let folder = Folder::initialised();
    let sandbox = folder.sandbox();
    folder.run(&["account", "create", "c1", "--name", "Ada", "--property", "plan=gold"]).ok();
    let mut said = Vec::new();
    let connect = ["connect", "sandbox-key", "--account", "c1", "--input", "key=-", "--input", "workspace=acme"];
    said.push(folder.run_with(&connect, &format!("{CANARY}\n")).ok());
    let connection = folder.run(&["connections", "list", "--account", "c1", "--json"]).ok();
    let id = connection.json()[0]["id"].as_str().unwrap().to_owned();
    said.push(connection);
    // What a newcomer tries first works with a key, too.
    assert!(folder.run(&["request", "sandbox-key", "GET", "items", "--account", "c1"]).ok().out.contains("Item 1 of sandbox"));
    for args in [
        &["connections", "list", "--account", "c1"][..],
        &["connections", "show", &id, "--account", "c1"],
        &["connections", "show", &id, "--account", "c1", "--json"],
        &["credential", "sandbox-key", "--account", "c1"],
        &["request", "sandbox-key", "GET", "channels", "--account", "c1"],
        &["request", "sandbox-key", "POST", "echo", "--account", "c1", "--json-body", "{\"a\": 1}", "--json"],
        &["config", "sandbox-key", "--account", "c1", "--json"],
        &["account", "show", "c1"],
        &["account", "list", "--json"],
        &["account", "upsert", "c1", "--name", "Grace"],
        &["events"],
        &["events", "--json"],
        &["doctor"],
        &["apps", "list"],
    ] {
        said.push(folder.run(args).ok());
    }
    let shown = folder.run(&["credential", "sandbox-key", "--account", "c1", "--show"]).ok();
    assert!(shown.out.contains(CANARY) && shown.err.contains("secret"), "{}", shown.all());
    assert_eq!(folder.run(&["credential", "sandbox-key", "--account", "c1", "--json"]).ok().json()["values"]["key"], CANARY);
    said.push(folder.run(&["disconnect", "sandbox-key", "--account", "c1"]).ok());
    said.push(folder.run(&["account", "delete", "c1", "--yes"]).ok());
    drop(sandbox);
    let master = folder.read("smalt.key");
    for said in said {
        assert!(!said.all().contains(CANARY) && !said.all().contains(master.trim()), "{}", said.all());
        assert!(!said.all().contains('\u{1b}'), "colours where nobody sees them: {}", said.all());
    }
}

/// A key that its application ended is known by its 401: what to do is said.
#[test]
fn a_credential_that_is_refused_can_be_replaced() {
    let folder = Folder::initialised();
    let sandbox = folder.sandbox();
    folder.run(&["account", "create", "c1"]).ok();
    folder.run(&["connect", "sandbox-key", "--account", "c1", "--input", &format!("key={CANARY}"), "--input", "workspace=acme"]).ok();
    assert!(folder.run(&["config", "sandbox-key", "--account", "c1"]).ok().out.contains("No settings."));
    let order = serde_json::json!({"do": "revoke_key", "key": CANARY}).to_string();
    let sent = std::process::Command::new("curl").args(["--silent", "--json", &order, &format!("{}/control", sandbox.url)]).output();
    assert_eq!(String::from_utf8(sent.unwrap().stdout).unwrap(), "{\"ok\":true}");
    let said = folder.run(&["request", "sandbox-key", "GET", "items", "--account", "c1"]);
    assert!(said.code == 1 && said.err.contains("smalt connect sandbox-key --account c1"), "{}", said.all());
}

#[test]
fn a_key_on_the_standard_output_can_be_used() {
    let mut folder = Folder::new();
    let made = folder.run(&["keys", "create", "--json"]).ok().json();
    folder.variables.push(("SMALT_KEY".to_owned(), made["key"].as_str().unwrap().to_owned()));
    let said = folder.run(&["account", "create", "c1"]).ok();
    assert!(!said.all().contains(made["key"].as_str().unwrap()));
    folder.run(&["keys", "create", "--out", "k"]).ok();
    assert_eq!(folder.run(&["keys", "create", "--out", "k"]).code, 3);
}
