//! Requests and their answers, written out: a change of what clients read shows as a change of `golden.txt`.
//! `SMALT_WRITE=1` writes it anew.

use std::fmt::Write;

use serde_json::json;
use smalt::model::Json;

use crate::world::World;

/// What is new with each run, by its form: ids, times, tokens, tickets.
pub fn steady(text: &str) -> String {
    let hex = |word: &str, len: usize| word.len() == len && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut steady = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.:".contains(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let uuid = word.len() >= 36 && word.split('-').count() == 5;
        // Facts of an account are named by it.
        let (word, tail) =
            if word.len() > 24 && hex(&word[..24], 24) && word[24..].starts_with(':') { word.split_at(24) } else { (word, "") };
        steady += match word {
            word if hex(word, 24) => "(id)",
            word if uuid && word.len() == 36 => "(uuid)",
            word if uuid && word.len() == 38 => "(api key)",
            word if word.starts_with("eyJ") => "(token)",
            word if word.len() == 24 && word.ends_with('Z') && word.contains('T') => "(time)",
            word if word.len() == 43 => "(ticket)",
            word => word,
        };
        steady += tail;
        let skip = after.chars().next().map_or(0, char::len_utf8);
        steady += &after[..skip];
        rest = &after[skip..];
    }
    steady
}

/// Pictures are long, and an operation more is no change of the contract.
fn short(value: &mut Json) {
    match value {
        Json::Object(map) => {
            for (name, value) in map {
                match name.as_str() {
                    "icon" if value.is_string() => *value = json!("(picture)"),
                    "operations" => *value = json!("(names)"),
                    // What is left of its time, in seconds.
                    "expires_in" => *value = json!("(seconds)"),
                    "version" if value.as_str() == Some(env!("CARGO_PKG_VERSION")) => *value = json!("(version)"),
                    _ => short(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(short),
        _ => {}
    }
}

struct Script<'w> {
    world: &'w World,
    session: String,
    text: String,
}

impl Script<'_> {
    async fn call(&mut self, who: &str, method: &str, target: &str, headers: &[(&str, &str)], body: Json) {
        let mut all = headers.to_vec();
        match who {
            "key" => all.push(("x-api-key", &self.world.key)),
            "session" => all.push(("authorization", &self.session)),
            _ => {}
        }
        let said = self.world.call(method, target, &all, body.clone()).await;
        let mut answer = said.json();
        short(&mut answer);
        let named: Vec<String> = headers.iter().map(|(name, value)| format!(" {name}: {value};")).collect();
        writeln!(self.text, "## {method} {target} [{who}]{}", named.concat()).unwrap();
        if !body.is_null() {
            writeln!(self.text, "{body}").unwrap();
        }
        write!(self.text, "{}\n{}\n\n", said.status, steady(&serde_json::to_string_pretty(&answer).unwrap())).unwrap();
    }
}

#[tokio::test]
async fn answers_are_those_of_the_golden_file() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let mut script = Script { world: &world, session, text: String::new() };
    let none = Json::Null;
    macro_rules! calls {
        ($($who:literal $method:ident $target:literal [$($name:literal: $value:literal),*] $body:expr;)*) => {
            $(script.call($who, stringify!($method), $target, &[$(($name, $value)),*], $body).await;)*
        };
    }
    calls! {
        "key" POST "/api/v2/public/linked-account" [] json!({"linked_account_id": "bob", "name": "Bob", "udf": {"plan": "gold", "seats": 7}});
        "key" POST "/api/v2/public/linked-account" [] json!({"account_id": "bob"});
        "key" POST "/api/v2/public/linked-account" [] json!({"name": "Nobody"});
        "key" PUT "/api/v2/public/linked-account" [] json!({"linked_account_id": "bob", "payload": {"name": "Robert"}});
        "session" PUT "/api/v2/public/linked-account" [] json!({"linked_account_id": "bob", "name": "Ada"});
        "key" GET "/api/v2/public/linked-account?page=2&limit=1" [] none.clone();
        "key" GET "/api/v2/public/linked-account/nobody" [] none.clone();
        "session" GET "/api/v2/public/session/active-linked-account" [] none.clone();
        "key" POST "/api/v2/public/session-token" [] json!({"linked_account_id": "ada"});
        "key" POST "/api/v2/public/session-token" [] json!({"linked_account_id": "nobody"});
        "session" GET "/api/v3/org/basics" [] none.clone();
        "session" GET "/api/v2/public/hosted-properties" [] none.clone();
        "session" POST "/api/v2/public/connect-url?config_id=second" [] json!({"name": "Northwind", "color": "#123456", "own": [1, null]});
        "session" GET "/api/v2/public/hosted-properties" [] none.clone();
        "key" POST "/api/v2/public/connect-url" ["linked_account_id": "ada"] none.clone();
        "session" GET "/api/v2/public/hosted-properties" [] none.clone();
        "session" POST "/api/v2/public/connect-url" [] json!({"redirect_url": "https://elsewhere.example"});
        "key" POST "/api/v2/public/connect-url" [] none.clone();
        "key" POST "/api/v2/public/connect-url" ["linked_account_id": "nobody"] none.clone();
        "nobody" GET "/api/v2/public/hosted-properties" [] none.clone();
        "session" GET "/api/v2/f-sdk/application/sandbox-oauth" [] none.clone();
        "session" GET "/api/v2/f-sdk/application/nothing" [] none.clone();
        "key" GET "/api/v2/public/application/sandbox-key" ["linked_account_id": "nobody"] none.clone();
        "nobody" GET "/api/v2/public/auth-structure/sandbox-oauth" [] none.clone();
        "nobody" GET "/api/v2/public/auth-structure/nothing" [] none.clone();
        "session" GET "/api/v1/sandbox-oauth/integrate?client_id=evil&redirect_uri=https%3A%2F%2Fevil.example" [] none.clone();
        "session" GET "/api/v1/sandbox-key/integrate" [] none.clone();
        "session" POST "/api/v2/app/sandbox-oauth/save" [] json!({});
        "session" POST "/api/v2/app/sandbox-key/save" [] json!({"key": "sandbox-key-good"});
        "session" POST "/api/v2/app/sandbox-key/save" [] json!({"key": "sandbox-key-good", "workspace": "acme"});
        "session" GET "/api/v2/f-sdk/application/sandbox-key" [] none.clone();
        "key" PUT "/api/v2/public/migrate-token" ["linked_account_id": "bob"] json!({"slug": "sandbox-key", "auth_object": {"keybased": {"key": "sandbox-key-good", "workspace": "acme"}}});
        "key" PUT "/api/v2/public/migrate-token" ["linked_account_id": "bob"] json!({"slug": "sandbox-key", "auth_object": {"key": 7}});
        "session" POST "/api/v2/f-sdk/config" [] json!({"labels": []});
        "session" POST "/api/v2/f-sdk/config" [] json!({"slug": "sandbox-key", "labels": []});
        "session" PUT "/api/v2/f-sdk/config" [] json!({"slug": "sandbox-key", "fields": {"colour": "red", "amount": 0}, "workflows": [{"id": "digest", "enabled": true, "fields": {"hour": 9}}]});
        "session" PUT "/api/v2/f-sdk/config" [] json!({"slug": "sandbox-key", "workflows": [{"id": "nothing", "enabled": true}]});
        "session" GET "/api/v2/f-sdk/slug/sandbox-key/config/nothing" [] none.clone();
        "session" GET "/api/v2/public/slug/sandbox-key/configs" [] none.clone();
        "session" PATCH "/api/v2/public/slug/sandbox-key/config/ada/workflows/digest" [] json!({"enabled": false});
        "session" GET "/api/v2/public/config/field/colour" ["slug": "sandbox-key"] none.clone();
        "session" GET "/api/v2/public/config/field/nothing" ["slug": "sandbox-key"] none.clone();
        "session" GET "/api/v2/public/config/field/hour?workflow_id=nothing" ["slug": "sandbox-key"] none.clone();
        "session" PUT "/api/v2/public/config/field/colour" ["slug": "sandbox-key"] json!({"value": "blue"});
        "session" DELETE "/api/v2/public/config/field/colour" ["slug": "sandbox-key"] none.clone();
        "session" POST "/api/v2/public/config/rule-engine/filter" ["slug": "sandbox-key"] json!({"rule_column": {"lhs": "stage"}});
        "session" POST "/api/v2/public/config/rule-engine/colour" ["slug": "sandbox-key"] json!({"rule_column": {"lhs": "stage"}});
        "session" DELETE "/api/v2/f-sdk/slug/sandbox-key/config" [] none.clone();
        "key" POST "/smalt/v1/get_account" [] json!({"account": "ada"});
        "key" POST "/smalt/v1/credential" [] json!({"account": "ada", "application": "sandbox-key"});
        "session" POST "/smalt/v1/credential" [] json!({"account": "ada", "application": "sandbox-key"});
        "session" POST "/smalt/v1/list_connections" [] json!({"account": "bob"});
        "key" POST "/smalt/v1/nothing" [] json!({});
        "nobody" GET "/smalt/v1/capabilities" [] none.clone();
        "session" DELETE "/api/v1/linked-acc/integration/sandbox-key" [] none.clone();
        "key" DELETE "/api/v2/public/linked-account/bob" [] none.clone();
        "session" POST "/api/v2/public/session-token/revoke" [] none.clone();
        "session" GET "/api/v3/org/basics" [] none.clone();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/golden.txt");
    if std::env::var_os("SMALT_WRITE").is_some() {
        std::fs::write(path, &script.text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    for (said, golden) in script.text.split("## ").zip(golden.split("## ")) {
        assert_eq!(said, golden, "if that is meant, write golden.txt anew with SMALT_WRITE=1 and read the difference");
    }
    assert_eq!(script.text.len(), golden.len());
}
