//! What the environment says, told to the built binary: the variables of `smalt serve` and those that every command takes. `setup.rs` has
//! data, project, key and output.

use std::{collections::BTreeSet, net::TcpListener};

use serde_json::Value;

use crate::{
    folder::{Folder, Said},
    serve::{ask, first, text},
};

fn set(folder: &mut Folder, variables: &[(&str, &str)]) {
    folder.variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
}

/// Each variable that any help names: a new one fails here until a test sets it.
#[test]
fn every_variable_that_help_names_is_set_in_a_test() {
    let folder = Folder::new();
    let mut named = BTreeSet::new();
    for command in [&["--help"][..], &["serve", "--help"], &["connect", "--help"], &["keys", "rewrap", "--help"], &["sandbox", "--help"]] {
        let help = folder.run(command).ok().out;
        named.extend(help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap().to_owned()));
    }
    let tested = [
        // setup.rs
        "SMALT_DATA",
        "SMALT_JSON",
        "SMALT_PROJECT",
        // serve.rs
        "SMALT_URL",
        // here
        "SMALT_ACCOUNT",
        "SMALT_ENVIRONMENT",
        "SMALT_LISTEN",
        "SMALT_LOCAL",
        "SMALT_LOG",
        "SMALT_LOG_LEVEL",
        "SMALT_METRICS",
        "SMALT_PUBLIC_URL",
        "SMALT_TRACES",
    ];
    assert_eq!(named, tested.iter().map(|name| (*name).to_owned()).collect());
}

/// Without a key nothing is begun and nothing made, and what is said leads to a server that serves.
#[test]
fn a_first_start_without_a_key_says_how_to_make_one() {
    let folder = Folder::new();
    for json in [false, true] {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--json"];
        let said = folder.run(if json { &serve[..] } else { &serve[..3] });
        assert_eq!(said.code, 6, "{}", said.all());
        assert!(said.all().contains("key_missing") && said.all().contains("`smalt init` makes a key"), "{}", said.all());
        assert!(!said.all().contains("Serving at") && !said.all().contains("\"url\""), "{}", said.all());
    }
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 0, "no store under a key that there is not");
    folder.run(&["init"]).ok();
    let mut serving = folder.begin(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let url = text(&first(&mut serving), "url").to_owned();
    // And so does the first start without an API key.
    let advice = serving.line_with("There is no API key yet.");
    let (_, make) = advice.split_once("smalt ").unwrap();
    let made = folder.run(&[&make.split_whitespace().collect::<Vec<_>>()[..], &["--json"]].concat()).ok().json();
    let accounts = ask(&url, "GET", "/api/v2/public/linked-account", &[("x-api-key", made["key"].as_str().unwrap())], "");
    assert!(accounts.starts_with("HTTP/1.1 200 OK\r\n"), "{accounts}");
    serving.terminate();
    assert_eq!(serving.end().code, 0);
}

#[test]
fn serve_takes_its_options_from_the_environment() {
    let mut folder = Folder::initialised();
    let key = folder.run(&["keys", "api", "create", "--json"]).ok().json()["key"].as_str().unwrap().to_owned();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let traces = format!("http://{}", collector.local_addr().unwrap());
    let all = [
        ("SMALT_LISTEN", "127.0.0.1:0"),
        ("SMALT_PUBLIC_URL", "https://variable.example/backend"),
        ("SMALT_JSON", "1"),
        ("SMALT_LOG", "json"),
        ("SMALT_LOG_LEVEL", "info"),
        ("SMALT_METRICS", "127.0.0.1:0"),
        ("SMALT_TRACES", &*traces),
    ];
    set(&mut folder, &all);
    let link = |url: &str| {
        let account = r#"{"linked_account_id": "c1"}"#;
        let json = ("content-type", "application/json");
        ask(url, "PUT", "/api/v2/public/linked-account", &[("x-api-key", &key), json], account);
        ask(url, "POST", "/api/v2/public/connect-url", &[("x-api-key", &key), ("linked_account_id", "c1"), json], "{}")
    };
    let mut serving = folder.begin(&["serve"]);
    let said = first(&mut serving);
    assert!(!text(&said, "url").ends_with(":4500"), "the variable's port, not the default: {said}");
    assert_eq!(text(&said, "public_url"), "https://variable.example/backend");
    let made = link(text(&said, "url"));
    assert!(made.contains("\"https://variable.example/backend/connect/"), "{made}");
    assert!(ask(text(&said, "metrics"), "GET", "/metrics", &[], "").contains("smalt_http_requests_total"));
    let traced = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("x-request-id", "seen")];
    ask(text(&said, "url"), "GET", "/healthz", &traced, "");
    let line = std::iter::repeat_with(|| serving.line_with("{")).find(|line| line.contains("\"seen\"")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["level"], &line["route"]), (&"INFO".into(), &"/healthz".into()), "one JSON object a line");
    // It waits for the collector to call; no call is a hang.
    drop(collector.accept().unwrap());
    // From now on there is none, and that holds up nobody.
    drop(collector);
    serving.terminate();
    assert_eq!(serving.end().code, 0);

    // Options go before variables.
    let mut serving = folder.begin(&["serve", "--public-url", "https://option.example", "--log-level", "error"]);
    let said = first(&mut serving);
    assert_eq!(text(&said, "public_url"), "https://option.example");
    assert!(link(text(&said, "url")).contains("\"https://option.example/connect/"));
    serving.terminate();
    let ended = serving.end();
    assert!(ended.code == 0 && !ended.err.contains("INFO"), "{}", ended.all());

    set(&mut folder, &[("SMALT_LISTEN", "127.0.0.1:0"), ("SMALT_LOCAL", "true"), ("SMALT_JSON", "true")]);
    let mut serving = folder.begin(&["serve"]);
    let said = first(&mut serving);
    assert!(text(&said, "port_secret").len() >= 32);
    assert!(ask(text(&said, "url"), "GET", "/healthz", &[], "").starts_with("HTTP/1.1 400 "), "a port of its own");
    drop(serving);

    for (name, value) in [
        ("SMALT_LISTEN", "nowhere"),
        ("SMALT_LISTEN", "127.0.0.1"),
        ("SMALT_LOG", "loud"),
        ("SMALT_LOG_LEVEL", "all"),
        ("SMALT_METRICS", "9464"),
    ] {
        set(&mut folder, &[("SMALT_LISTEN", "127.0.0.1:0"), (name, value)]);
        let said = folder.run(&["serve"]);
        assert!(said.code == 2 && said.err.contains(value), "{name}={value}: {}", said.all());
    }
}

/// What would let everybody hear or call is no setting: the server does not start (S-12, S-64, S-65).
#[test]
fn s12_a_star_is_no_origin_and_no_server_starts_with_one() {
    let folder = Folder::initialised();
    let plain = folder.read("smalt.toml");
    let bad = ["*", "null", "https://*.example.com", "https://app.example.com/path"];
    for (table, key) in [("org", "origins"), ("portal", "embed"), ("org", "return_to")] {
        for origin in bad.iter().filter(|origin| key != "return_to" || !origin.ends_with("/path")) {
            let line = format!("{key} = [\"{origin}\"]\n");
            let project: String = if plain.lines().any(|line| line == format!("[{table}]")) {
                plain.replace(&format!("[{table}]\n"), &format!("[{table}]\n{line}"))
            } else {
                format!("{plain}\n[{table}]\n{line}")
            };
            // The template's own line, where it has one, would stand twice.
            let once: Vec<&str> = project.lines().filter(|one| !one.starts_with(&format!("{key} =")) || *one == line.trim_end()).collect();
            folder.write("smalt.toml", &once.join("\n"));
            let mut serving = folder.begin(&["serve", "--listen", "127.0.0.1:0", "--json"]);
            let line = serving.out_line();
            assert!(!line.contains("\"url\""), "it serves with {key} {origin}");
            let said = serving.end();
            assert_ne!(said.code, 0, "{key} {origin}");
            assert!(line.contains("project_invalid"), "{key} {origin}: {line}{}", said.all());
            let said = Said { out: line + &said.out, ..said };
            assert!(said.all().contains(key), "{}", said.all());
        }
    }
    assert!(!folder.path("smalt.db").exists(), "nothing was made");
}

#[test]
fn environment_account_and_an_earlier_key_come_from_variables() {
    let mut folder = Folder::initialised();
    set(&mut folder, &[("SMALT_ENVIRONMENT", "production")]);
    folder.run(&["account", "create", "c1", "--name", "Real"]).ok();
    assert_eq!(folder.run(&["account", "show", "c1", "--json"]).ok().json()["name"], "Real");
    assert_ne!(folder.run(&["account", "show", "c1", "--environment", "test"]).code, 0, "the option goes before the variable");
    set(&mut folder, &[]);
    assert_ne!(folder.run(&["account", "show", "c1"]).code, 0, "they share nothing");
    folder.run(&["account", "create", "c2"]).ok();
    assert_eq!(folder.run(&["connections", "list"]).code, 2, "an account must be named");
    set(&mut folder, &[("SMALT_ACCOUNT", "c2")]);
    assert_eq!(folder.run(&["connections", "list", "--json"]).ok().json(), serde_json::json!([]));

    // Another master key: the earlier one opens what it wrapped, by either variable, until it is replaced for good.
    set(&mut folder, &[]);
    folder.run(&["keys", "create", "--out", "new.key"]).ok();
    let old = folder.read("smalt.key").trim().to_owned();
    let new = ("SMALT_KEY_FILE", "new.key");
    set(&mut folder, &[new]);
    assert_eq!(folder.run(&["account", "show", "c2", "--json"]).json()["error"]["code"], "key_wrong");
    for earlier in [("SMALT_OLD_KEY", &*old), ("SMALT_OLD_KEY_FILE", "smalt.key")] {
        set(&mut folder, &[new, earlier]);
        folder.run(&["account", "show", "c2"]).ok();
    }
    folder.run(&["keys", "rewrap"]).ok();
    set(&mut folder, &[new]);
    folder.run(&["account", "show", "c2"]).ok();
}
