//! What an operator does with a store, through the binary: other keys, copies, copies put back, a newer schema.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::folder::{CANARY, Folder};

/// A folder with a store in which `c1` has connected with the key that every sandbox knows.
fn with_connection() -> (Folder, crate::folder::Standing) {
    let folder = Folder::initialised();
    let sandbox = folder.sandbox();
    folder.run(&["account", "create", "c1"]).ok();
    let connect =
        ["connect", "sandbox-key", "--account", "c1", "--input", &format!("key={CANARY}"), "--input", "workspace=acme"].map(str::to_owned);
    folder.run(&connect.each_ref().map(String::as_str)).ok();
    (folder, sandbox)
}

/// The key that the store gives out for the connection.
fn credential(folder: &Folder) -> Value {
    folder.run(&["credential", "sandbox-key", "--account", "c1", "--json"]).ok().json()["values"]["key"].clone()
}

/// The last JSON value of an output with one value a line.
fn last(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap_or_else(|| panic!("nothing was said"))).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_rotate_seals_everything_anew_and_says_so() {
    let (folder, _sandbox) = with_connection();
    let first = last(&folder.run(&["keys", "rotate", "--json"]).ok().out);
    assert_eq!((&first["state"], &first["unreadable"], &first["kept"]), (&json!("done"), &json!(0), &json!([])), "{first}");
    assert!(first["resealed"].as_u64().unwrap() >= 1 && first["replaced"].as_array().unwrap().len() == 1, "{first}");
    assert_eq!(credential(&folder), json!(CANARY));
    // Each time another key takes the place of the last one.
    let again = last(&folder.run(&["keys", "rotate", "--json"]).ok().out);
    assert_eq!(again["replaced"], json!([first["key_id"]]), "{again}");
    let said = folder.run(&["keys", "rotate"]).ok();
    assert!(said.out.starts_with("Rotated to the data key ") && !said.all().contains(CANARY), "{}", said.all());
    let oldest = folder.run(&["migrate", "--check", "--json"]).ok().json()["oldest_reader"].clone();
    assert!(oldest.as_u64() > Some(1) && said.out.contains(&format!("only programs that know schema {oldest} or more")), "{}", said.out);
    assert_eq!(credential(&folder), json!(CANARY));
}

/// What does not open is named, left as it is, and makes the status 1.
#[test]
fn keys_rotate_names_what_does_not_open() {
    let (folder, _sandbox) = with_connection();
    let broken = rusqlite::Connection::open(folder.path("smalt.db")).unwrap();
    let id: String = broken.query_row("SELECT id FROM connections", [], |row| row.get(0)).unwrap();
    broken.execute("UPDATE connections SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE length(sealed) > 0", []).unwrap();
    drop(broken);
    let said = folder.run(&["keys", "rotate"]);
    assert!(
        said.code == 1 && said.out.contains(&format!("connections {id}")) && said.out.contains("1 values do not open"),
        "{}",
        said.all()
    );
    let said = folder.run(&["keys", "rotate", "--json"]);
    let ended = last(&said.out);
    assert_eq!((said.code, &ended["state"], &ended["unreadable"]), (1, &json!("done"), &json!(1)), "{ended}");
}

#[test]
fn keys_rewrap_changes_the_master_key_and_touches_no_row() {
    let (folder, _sandbox) = with_connection();
    let sealed = || -> Vec<u8> {
        let store = rusqlite::Connection::open(folder.path("smalt.db")).unwrap();
        store.query_row("SELECT sealed FROM connections", [], |row| row.get(0)).unwrap()
    };
    let before = sealed();
    let made = folder.run(&["keys", "create", "--out", "new.key", "--json"]).ok().json();
    assert_eq!(mode(&folder.path("new.key")), 0o600);
    // The new key alone does not open the store, and nothing happens to it.
    let early = folder.run(&["connections", "list", "--account", "c1", "--key-file", "new.key", "--json"]);
    assert_eq!((early.code, &early.json()["error"]["code"]), (6, &json!("key_wrong")));
    let without = folder.run(&["keys", "rewrap", "--key-file", "new.key", "--json"]);
    assert_eq!((without.code, &without.json()["error"]["code"]), (6, &json!("key_wrong")));

    let done = folder.run(&["keys", "rewrap", "--key-file", "new.key", "--from", "smalt.key", "--json"]).ok().json();
    assert_eq!(done, json!({"master_key_id": made["id"], "data_keys": 1}));
    assert_eq!(sealed(), before);
    let again = folder.run(&["keys", "rewrap", "--key-file", "new.key", "--from", "smalt.key"]).ok();
    assert!(again.out.contains("already"), "{}", again.out);
    // From now on the new one opens, and the old one does not.
    let shown = folder.run(&["credential", "sandbox-key", "--account", "c1", "--key-file", "new.key", "--json"]).ok().json();
    assert_eq!(shown["values"]["key"], CANARY);
    let late = folder.run(&["connections", "list", "--account", "c1", "--json"]);
    assert_eq!((late.code, &late.json()["error"]["code"]), (6, &json!("key_wrong")));
    for said in [&early, &without, &again, &late] {
        assert!(!said.all().contains(folder.read("new.key").trim()) && !said.all().contains(folder.read("smalt.key").trim()));
    }
}

#[test]
fn a_backup_is_whole_guarded_and_put_back() {
    let (folder, _sandbox) = with_connection();
    let made = folder.run(&["backup", "nightly.smalt", "--json"]).ok().json();
    assert!(made["rows"].as_u64().unwrap() > 0 && made["check"].as_str().unwrap().len() >= 32, "{made}");
    assert_eq!(mode(&folder.path("nightly.smalt")), 0o600);
    let checked = folder.run(&["backup", "--check", "nightly.smalt", "--json"]).ok().json();
    assert_eq!((&checked["check"], &checked["rows"], &checked["schema"]), (&made["check"], &made["rows"], &made["schema"]));
    // Nothing is overwritten unless that is said.
    let before = fs::read(folder.path("nightly.smalt")).unwrap();
    let refused = folder.run(&["backup", "nightly.smalt"]);
    assert!(refused.code != 0 && refused.err.contains("is there already"), "{}", refused.all());
    assert_eq!(fs::read(folder.path("nightly.smalt")).unwrap(), before);
    folder.run(&["backup", "nightly.smalt", "--force"]).ok();

    let session = folder.run(&["session", "c1", "--json"]).ok().json();
    folder.run(&["account", "create", "c2"]).ok();
    let refused = folder.run(&["restore", "nightly.smalt"]);
    assert!(refused.code != 0 && refused.err.contains("smalt.db"), "{}", refused.all());
    folder.run(&["account", "show", "c2"]).ok();
    folder.run(&["restore", "nightly.smalt", "--force"]).ok();
    // As it was then: with the connection, without what came since.
    assert_eq!(credential(&folder), json!(CANARY));
    assert_ne!(folder.run(&["account", "show", "c2"]).code, 0);
    assert!(session["token"].is_string(), "the session is shown");
    assert_ne!(folder.run(&["session", "c1", "--json"]).ok().json()["token"], session["token"]);

    // Damaged, it is none: not checked, not put back. Here and there, since unused room in a page is part of no row.
    let mut damaged = before;
    damaged.iter_mut().skip(4096).step_by(61).for_each(|byte| *byte ^= 0x40);
    fs::write(folder.path("damaged.smalt"), damaged).unwrap();
    let checked = folder.run(&["backup", "--check", "damaged.smalt", "--json"]);
    assert_ne!(checked.code, 0, "{}", checked.all());
    assert_ne!(folder.run(&["restore", "damaged.smalt", "--force"]).code, 0);
    assert_eq!(credential(&folder), json!(CANARY));
}

/// A store that a process has open is never replaced.
#[test]
fn restore_refuses_a_store_that_is_open() {
    let (folder, _sandbox) = with_connection();
    folder.run(&["backup", "nightly.smalt"]).ok();
    let mut serving = folder.begin(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    serving.out_line();
    let refused = folder.run(&["restore", "nightly.smalt", "--force", "--json"]);
    assert!(refused.code != 0, "{}", refused.all());
    drop(serving);
    folder.run(&["restore", "nightly.smalt", "--force"]).ok();
    assert_eq!(credential(&folder), json!(CANARY));
}

#[test]
fn migrate_says_what_would_run_and_runs_it() {
    let folder = Folder::initialised();
    let sql = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/store/schema-2.sql")).unwrap();
    rusqlite::Connection::open(folder.path("smalt.db")).unwrap().execute_batch(&sql).unwrap();
    let bytes = || fs::read(folder.path("smalt.db")).unwrap();
    let before = bytes();
    let would = folder.run(&["migrate", "--check", "--json"]).ok().json();
    let (known, pending) = (would["known"].as_u64().unwrap(), would["pending"].as_array().unwrap().clone());
    assert_eq!(
        (&would["schema"], &pending[0]["schema"], &pending.last().unwrap()["schema"]),
        (&json!(2), &json!(3), &json!(known)),
        "{would}"
    );
    assert!(bytes() == before, "a look changes nothing");
    let told = folder.run(&["migrate", "--check"]).ok().out;
    assert!(pending.iter().all(|step| told.contains(step["about"].as_str().unwrap())), "{told}");

    let done = folder.run(&["migrate"]).ok().out;
    assert!(done.contains(&format!("from schema 2 to {known}")), "{done}");
    let after = folder.run(&["migrate", "--check", "--json"]).ok().json();
    assert_eq!((&after["schema"], &after["pending"]), (&json!(known), &json!([])), "{after}");
    assert!(folder.run(&["migrate"]).ok().out.contains("Nothing was to be done"));

    // One that is too new is refused, by its own word, and stays as it is.
    let newer = rusqlite::Connection::open(folder.path("smalt.db")).unwrap();
    newer.execute("UPDATE meta SET value = CAST('99' AS BLOB) WHERE key IN ('schema_version', 'oldest_reader')", []).unwrap();
    drop(newer);
    for args in [&["migrate", "--check", "--json"][..], &["migrate", "--json"]] {
        let refused = folder.run(args);
        assert_eq!((refused.code, &refused.json()["error"]["code"]), (6, &json!("store_newer")), "{}", refused.all());
    }
    let nowhere = folder.run(&["migrate", "--check", "--data", "nowhere.db", "--json"]);
    assert_ne!(nowhere.code, 0);
    assert!(!folder.path("nowhere.db").exists());
}
