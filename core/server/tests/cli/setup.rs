//! Before anything is connected: init, applications, lint, doctor, errors.

use std::{fs, path::Path};

use serde_json::Value;

use crate::folder::Folder;

/// Names, sizes and contents of a folder.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

#[test]
fn init_makes_a_project_once_and_overwrites_nothing() {
    let folder = Folder::new();
    folder.write(".gitignore", "target\n*.db");
    let said = folder.run(&["init"]).ok();
    assert!(said.out.contains("smalt doctor") && said.out.contains("smalt connect sandbox-oauth"), "{}", said.out);
    assert_eq!(folder.read(".gitignore"), "target\n*.db\nsmalt.key\n*.db-wal\n*.db-shm\n");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(folder.path("smalt.key")).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(!said.all().contains(folder.read("smalt.key").trim()));

    let before = contents(&folder.path(""));
    let again = folder.run(&["init"]);
    assert_eq!(again.code, 3);
    assert!(again.err.contains("smalt.toml") && again.err.contains("--force"), "{}", again.err);
    assert_eq!(contents(&folder.path("")), before);

    // By force it adds what is missing, and only that.
    fs::remove_file(folder.path("smalt.toml")).unwrap();
    folder.run(&["init", "--force"]).ok();
    assert_eq!(contents(&folder.path("")), before);
}

#[test]
fn a_key_file_of_another_name_is_kept_out_of_version_control_too() {
    let folder = Folder::new();
    folder.run(&["init", "--project", "sub/smalt.toml", "--key-file", "my.key"]).ok();
    assert_eq!(folder.read(".gitignore"), "my.key\n");
    assert!(folder.read("sub/.gitignore").contains("*.db\n") && !folder.path("sub/smalt.key").exists());
    folder.run(&["account", "create", "c1", "--project", "sub/smalt.toml", "--key-file", "my.key"]).ok();
}

#[test]
fn applications_are_listed_without_project_store_and_key() {
    let folder = Folder::new();
    let list = folder.run(&["apps", "list", "--json"]).ok().json();
    let slugs: Vec<_> = list.as_array().unwrap().iter().map(|app| app["slug"].as_str().unwrap()).collect();
    assert!(["github", "quickbooks", "slack", "twilio"].iter().all(|slug| slugs.contains(slug)), "{slugs:?}");
    assert!(folder.run(&["apps", "list"]).ok().out.contains("QuickBooks"));
    let slack = folder.run(&["apps", "show", "slack", "--json"]).ok().json();
    assert!(slack["oauth2"]["token_url"].as_str().unwrap().starts_with("https://slack.com/"));
    assert!(folder.run(&["apps", "show", "slack"]).ok().out.contains("https://slack.com/"));
    let typo = folder.run(&["apps", "show", "slak"]);
    assert!(typo.code == 3 && typo.err.contains("did you mean `slack`?"), "{}", typo.all());
    assert!(contents(&folder.path("")).is_empty());

    let folder = Folder::initialised();
    let list = folder.run(&["apps", "list", "--json"]).ok().json();
    let offered = |slug: &str| list.as_array().unwrap().iter().find(|app| app["slug"] == slug).unwrap()["offered"].clone();
    assert_eq!((offered("sandbox-oauth"), offered("slack")), (true.into(), false.into()));
}

#[test]
fn lint_names_file_line_key_and_cure() {
    let folder = Folder::initialised();
    assert_eq!(folder.run(&["apps", "lint"]).ok().err, "");
    let good =
        "manifest = 1\nslug = \"acme\"\nname = \"Acme\"\ndescription = \"Things.\"\n[api]\nbase_url = \"https://api.acme.example/\"\n";
    let keys = "[keybased]\nplacement = { in = \"header\", name = \"X-Key\", value = \"{key}\" }\n";
    let input = "[[keybased.inputs]]\nname = \"key\"\nlabel = \"Key\"\nsecret = true\n";
    folder.write("acme.toml", &format!("{good}{keys}plaecment = 1\n{input}"));
    let said = folder.run(&["apps", "lint", "acme.toml"]);
    assert_eq!(said.code, 1, "{}", said.all());
    assert!(said.out.contains("acme.toml:9:") && said.out.contains("plaecment") && said.out.contains("cure: "), "{}", said.out);
    let found = folder.run(&["apps", "lint", "acme.toml", "--json"]);
    assert_eq!((found.code, found.json()["findings"][0]["line"].clone()), (1, 9.into()));

    // The same through the project, which lists the folder; and mistakes of the project file itself.
    fs::create_dir(folder.path("own")).unwrap();
    fs::rename(folder.path("acme.toml"), folder.path("own/acme.toml")).unwrap();
    let project = folder.read("smalt.toml");
    folder.write("smalt.toml", &project.replace("version = 1\n", "version = 1\nmanifests = [\"own\"]\n"));
    let said = folder.run(&["apps", "lint"]);
    assert!(said.code == 1 && said.out.contains("acme.toml:9:"), "{}", said.all());
    folder.write("smalt.toml", &project.replace("enabled = true", "enabled = 7"));
    let said = folder.run(&["apps", "lint"]);
    assert!(said.code == 1 && said.out.contains("smalt.toml:") && said.out.contains("sandbox.enabled"), "{}", said.all());
    assert_eq!(folder.run(&["apps", "lint", "nowhere.toml"]).code, 1);
}

#[test]
fn doctor_finds_a_missing_a_wrong_and_an_open_key_and_changes_nothing() {
    let folder = Folder::initialised();
    assert_eq!(folder.run(&["doctor", "--json"]).ok().json()["ok"], true);
    folder.run(&["account", "create", "c1"]).ok();
    let before = contents(&folder.path(""));
    let healthy = folder.run(&["doctor", "--json"]).ok().json();
    assert_eq!((&check(&healthy, "key")["status"], &check(&healthy, "store")["status"]), (&"ok".into(), &"ok".into()));
    assert_eq!(contents(&folder.path("")), before);

    let key = folder.read("smalt.key");
    fs::remove_file(folder.path("smalt.key")).unwrap();
    let said = folder.run(&["doctor"]);
    assert!(said.code == 1 && said.out.contains("smalt init"), "{}", said.all());
    let missing = folder.run(&["doctor", "--json"]).json();
    assert_eq!((&check(&missing, "key")["status"], &missing["ok"]), (&"fail".into(), &false.into()));

    folder.run(&["keys", "create", "--out", "smalt.key"]).ok();
    let wrong = folder.run(&["doctor", "--json"]);
    assert_eq!(wrong.code, 1);
    let wrong = wrong.json();
    let failed: Vec<_> = wrong["checks"].as_array().unwrap().iter().filter(|c| c["status"] == "fail").collect();
    assert!(failed.len() == 1 && failed[0]["name"] == "key" && failed[0]["cure"].as_str().unwrap().contains("made with"), "{wrong}");

    folder.write("smalt.key", &key);
    assert_eq!(contents(&folder.path("")), before);
    #[cfg(unix)]
    {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(folder.path("smalt.key"), open).unwrap();
        let said = folder.run(&["doctor"]);
        assert!(said.code == 1 && said.out.contains("chmod 600"), "{}", said.all());
    }
}

#[test]
fn doctor_finds_missing_clients_and_secrets_and_a_sandbox_that_is_away() {
    let folder = Folder::initialised();
    let project = folder.read("smalt.toml");
    folder.write("smalt.toml", &format!("{project}\n[apps.slack]\n"));
    let said = folder.run(&["doctor", "--offline"]);
    assert!(said.code == 1 && said.out.contains("apps.slack.client.test") && said.out.contains("/slack/callback"), "{}", said.all());
    let client = "[apps.slack.client.test]\nid = \"123\"\nsecret = { env = \"NO_SUCH_SECRET\" }\n";
    folder.write("smalt.toml", &format!("{project}\n[apps.slack]\n{client}"));
    let said = folder.run(&["doctor", "--offline"]);
    assert!(said.code == 1 && said.out.contains("NO_SUCH_SECRET"), "{}", said.all());
    assert_eq!(said.out.matches("client slack").count(), 1, "{}", said.out);
    // An empty file is not filled.
    folder.write("smalt.db", "");
    folder.run(&["doctor", "--offline"]);
    assert_eq!(folder.read("smalt.db"), "");
    // Port 9 of this machine: nobody is there.
    folder.write("smalt.toml", &project.replace("[sandbox]\n", "[sandbox]\nurl = \"http://127.0.0.1:9\"\n"));
    let said = folder.run(&["doctor"]);
    assert!(said.code == 1 && said.out.contains("smalt sandbox"), "{}", said.all());
}

#[test]
fn errors_have_one_shape_and_a_code_each() {
    let folder = Folder::initialised();
    let error = |args: &[&str], code: i32, name: &str| {
        let said = folder.run(args);
        assert_eq!(said.code, code, "{args:?}: {}", said.all());
        let error = said.json()["error"].clone();
        let mut keys: Vec<_> = error.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        assert_eq!(keys, ["code", "context", "kind", "reason", "retry"], "{error}");
        assert_eq!(error["code"], name);
        // People get the same: what happened, what to do, the code.
        assert!(said.err.contains(name) || code == 2, "{}", said.err);
    };
    error(&["account", "show", "c1", "--json"], 7, "store_unavailable");
    folder.run(&["account", "create", "c1"]).ok();
    error(&["account", "show", "nobody", "--json"], 3, "linked_account_not_found");
    error(&["account", "create", "c1", "--json"], 3, "linked_account_exists");
    error(&["account", "delete", "c1", "--json"], 3, "invalid_request");
    error(&["credential", "sandbox-key", "--account", "c1", "--json"], 4, "not_connected");
    error(&["connect", "slack", "--account", "c1", "--json"], 3, "application_not_found");
    error(&["account", "show", "c1", "--json", "--project", "nowhere.toml"], 6, "project_invalid");
    error(&["account", "show", "c1", "--json", "--key-file", "nowhere.key"], 6, "key_missing");
    error(&["connect", "sandbox-key", "--account", "c1", "--environment", "production", "--json"], 6, "sandbox_refused");
    error(&["sandbox", "--environment", "production", "--json"], 6, "sandbox_refused");
    error(&["disconnect", "--json"], 2, "invalid_request");
    let plain = folder.run(&["account", "show", "nobody"]);
    assert!(plain.out.is_empty() && plain.err.lines().count() == 2, "{}", plain.all());
    // A store that a typo names is not made.
    assert_eq!(folder.run(&["account", "list", "--data", "typo.db"]).code, 7);
    assert!(!folder.path("typo.db").exists());
}

/// What to do next is something that can be typed here.
#[test]
fn cures_are_in_the_words_of_a_shell() {
    let folder = Folder::initialised();
    let told = |args: &[&str], code: i32, cure: &str| {
        let said = folder.run(args);
        assert_eq!(said.code, code, "{args:?}: {}", said.all());
        let next = said.err.lines().skip_while(|line| !line.starts_with("error:")).nth(1).unwrap_or_default();
        assert!(next.contains(cure), "{args:?}: {}", said.err);
        let json = folder.run(&[args, &["--json"]].concat()).json();
        assert!(json["error"]["reason"].as_str().unwrap().contains(cure), "{json}");
    };
    // Without a store.
    for args in [&["account", "list"][..], &["migrate", "--check"], &["migrate"], &["backup", "b.smalt"]] {
        told(args, 7, "smalt account create");
    }
    told(&["restore", "b.smalt"], 3, "smalt backup");
    told(&["backup", "--check", "b.smalt"], 3, "smalt backup");
    told(&["init"], 3, "--force");
    assert!(!folder.path("smalt.db").exists());

    folder.run(&["account", "create", "c1"]).ok();
    folder.run(&["backup", "b.smalt"]).ok();
    told(&["backup", "b.smalt"], 3, "--force");
    told(&["restore", "b.smalt"], 3, "--force");
    told(&["backup", "nope/b.smalt"], 3, "Make it");
    told(&["account", "delete", "c1"], 3, "--yes");
    told(&["account", "show", "nobody"], 3, "smalt account upsert");
    told(&["connect", "sandbox-key", "--account", "c1", "--input", "workspace=acme"], 3, "--input");
}

#[test]
fn what_is_right_is_said_without_noise() {
    let folder = Folder::initialised();
    let report = folder.run(&["doctor", "--offline", "--json"]).ok().json();
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["status"] == "ok"), "{report}");
    // A base's warning is said once, not once for each heir.
    let apps = concat!(env!("CARGO_MANIFEST_DIR"), "/../apps");
    let lint = folder.run(&["apps", "lint", apps, "--json"]).ok().json();
    let found = lint["findings"].as_array().unwrap();
    assert!(found.iter().enumerate().all(|(at, one)| !found[..at].contains(one)), "{lint}");
    assert!(found.len() < 20, "{} findings", found.len());

    folder.run(&["account", "create", "c1"]).ok();
    folder.run(&["account", "create", "c2"]).ok();
    let log = folder.run(&["events", "--limit", "1", "--json"]).ok().json();
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
    let rest = folder.run(&["events", "--since", log["next"].as_str().unwrap(), "--json"]).ok().json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
}

#[test]
fn options_come_from_the_environment_too() {
    let mut folder = Folder::initialised();
    fs::rename(folder.path("smalt.key"), folder.path("other.key")).unwrap();
    fs::rename(folder.path("smalt.toml"), folder.path("other.toml")).unwrap();
    assert_eq!(folder.run(&["account", "create", "c1"]).code, 6);
    let set = [("SMALT_DATA", "other.db"), ("SMALT_PROJECT", "other.toml"), ("SMALT_KEY_FILE", "other.key"), ("SMALT_JSON", "1")];
    folder.variables = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(folder.run(&["account", "create", "c1"]).ok().json()["id"], "c1");
    assert!(folder.path("other.db").exists() && !folder.path("smalt.db").exists());
    // The key itself goes before the file; the option before both.
    let key = folder.read("other.key").trim().to_owned();
    folder.variables.push(("SMALT_KEY".to_owned(), key));
    folder.variables.push(("SMALT_KEY_FILE".to_owned(), "nowhere.key".to_owned()));
    folder.run(&["account", "show", "c1"]).ok();
    assert_eq!(folder.run(&["account", "show", "c1", "--key-file", "nowhere.key"]).code, 6);
}

/// OAuth 1.0a: whoever does what doctor says, ends with a project that works.
#[test]
fn oauth1_is_shown_and_its_client_is_wanted() {
    let folder = Folder::initialised();
    let trello = |command: &[&str]| folder.run(command).ok().json();
    let list = trello(&["apps", "list", "--json"]);
    let row = list.as_array().unwrap().iter().find(|app| app["slug"] == "trello").unwrap();
    assert_eq!(row["auth_types"], serde_json::json!(["oauth2"]));
    let shown = folder.run(&["apps", "show", "trello"]).ok().out;
    for part in ["OAuthGetRequestToken", "OAuthAuthorizeToken", "OAuthGetAccessToken", "tokens/{token}", "variable app_name"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let project = folder.read("smalt.toml");
    let without = format!("{project}\n[apps.trello]\nvariables.app_name = \"Acme\"\n");
    folder.write("smalt.toml", &without);
    let said = folder.run(&["doctor", "--offline"]);
    assert!(said.code == 1 && said.out.contains("apps.trello.client.test") && said.out.contains("/trello/callback"), "{}", said.all());
    folder.run(&["account", "create", "c1"]).ok();
    let refused = folder.run(&["connect", "trello", "--account", "c1"]);
    assert!(refused.code == 6 && refused.err.contains("client_missing"), "{}", refused.all());
    assert!(refused.err.contains("[apps.trello.client.test]") && !refused.err.contains("<slug>"), "{}", refused.err);
    folder.write("smalt.toml", &format!("{without}[apps.trello.client.test]\nid = \"key\"\nsecret = {{ env = \"PATH\" }}\n"));
    let report = folder.run(&["doctor", "--offline", "--json"]).ok().json();
    assert_eq!(
        (&check(&report, "client trello")["status"], &check(&report, "project")["status"]),
        (&"ok".into(), &"ok".into()),
        "{report}"
    );
    let lint = folder.run(&["apps", "lint", "--json"]).ok().json();
    assert_eq!(lint["findings"], serde_json::json!([]));
}

/// Artwork that a provider mandates is not shipped, and doctor says so as lint does.
#[test]
fn doctor_and_lint_ask_for_mandated_artwork() {
    let folder = Folder::initialised();
    let project = format!("{}\n[apps.google.client.test]\nid = \"x\"\nsecret = {{ env = \"PATH\" }}\n", folder.read("smalt.toml"));
    folder.write("smalt.toml", &project);
    let wanted = |report: &Value| {
        let mut checks = report["checks"].as_array().unwrap().iter();
        checks.any(|c| c["status"] == "warn" && c["message"].as_str().unwrap().contains("apps.google.brand.button.normal.image"))
    };
    let report = folder.run(&["doctor", "--offline", "--json"]).ok().json();
    assert!(wanted(&report), "{report}");
    let lint = folder.run(&["apps", "lint", "--json"]).ok().json();
    assert_eq!((&lint["warnings"], lint["findings"][0]["line"].as_u64() > Some(0)), (&1.into(), true), "{lint}");
    folder.write("smalt.toml", &format!("{project}[apps.google.brand.button.normal]\nimage = \"https://app.example.com/google.svg\"\n"));
    let report = folder.run(&["doctor", "--offline", "--json"]).ok().json();
    assert!(!wanted(&report), "{report}");
}

#[test]
fn doctor_wants_no_client_where_the_provider_registers_one() {
    let folder = Folder::initialised();
    let project = folder.read("smalt.toml");
    folder.write("smalt.toml", &format!("{project}\n[apps.mastodon]\n"));
    let report = folder.run(&["doctor", "--offline", "--json"]).json();
    assert_eq!(check(&report, "client mastodon")["status"], "ok", "{report}");
    // One of one's own would be shown to any host: that is a mistake.
    let client = "[apps.mastodon.client.test]\nid = \"ours\"\nsecret = { env = \"NOWHERE\" }\n";
    folder.write("smalt.toml", &format!("{project}\n[apps.mastodon]\n{client}"));
    let said = folder.run(&["apps", "lint"]);
    assert!(said.code != 0 && said.out.contains("would be shown to any host"), "{}", said.all());
}
