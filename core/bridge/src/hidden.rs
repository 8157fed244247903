//! What the packages do not print, the same in every language.

/// By a type's name in Rust: the members that hold, or stand for, a secret of a user's and are no [`smalt::Secret`] (S-41). They are there to
/// be read, and stand in what the value is serialised to. Core's own `Debug` hides the same, which the tests below see to.
pub(crate) const HIDDEN: [(&str, &[&str]); 18] = [
    ("ApiAnswer", &["headers", "body"]),
    ("ApiBody", &["content"]),
    ("ApiPage", &["items"]),
    ("ConfigUpdate", &["fields", "workflows"]),
    ("DevicePrompt", &["user_code", "verification_uri_complete"]),
    ("Executed", &["answer", "reason"]),
    ("Field", &["value", "default_value"]),
    ("NameValue", &["value"]),
    ("OptionsRequest", &["parent_value", "search"]),
    ("ParkedCallback", &["return_to"]),
    ("Portal", &["properties", "return_to"]),
    ("PresentRequest", &["authorize_url"]),
    ("RuleRequest", &["lhs"]),
    ("StartedConnect", &["authorize_url"]),
    ("Webhook", &["body"]),
    ("WebhookSettings", &["url", "body"]),
    ("WorkflowRun", &["fields", "workflow_fields", "payload"]),
    ("WorkflowUpdate", &["fields"]),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        collections::{BTreeMap, BTreeSet},
        fmt::Debug,
        path::Path,
    };

    use base64ct::{Base64, Encoding};
    use serde::de::DeserializeOwned;
    use serde_json::{Map, json};
    use smalt::{
        backend::WebhookSettings,
        model::{
            ApiAnswer, ApiBody, ApiPage, ConfigUpdate, DevicePrompt, Executed, Field, Json, NameValue, ParkedCallback, Portal,
            StartedConnect, Webhook, WorkflowUpdate,
        },
        plugin::{OptionsRequest, PresentRequest, RuleRequest, WorkflowRun},
    };

    use super::HIDDEN;

    /// What core's `Debug` leaves out for brevity, and packages print.
    const SHORT: [(&str, &[&str]); 7] = [
        ("ApiBody", &["content_type"]),
        ("ApiPage", &["next"]),
        ("ConfigUpdate", &["labels"]),
        ("Field", &["name", "hidden", "multiple", "help_text", "placeholder", "labels", "parent", "page", "label_object", "mapping"]),
        ("ParkedCallback", &["account_id", "handed_off"]),
        // Its parts hide themselves.
        ("StartedConnect", &["cookie", "device"]),
        (
            "Webhook",
            &[
                "method",
                "kind",
                "description",
                "group",
                "application",
                "workflows",
                "failing_since",
                "disabled_because",
                "old_secret_until",
                "created_at",
                "updated_at",
            ],
        ),
    ];

    /// What has a `Debug` by hand in the same folders and is in no package.
    const OF_RUST_ALONE: [&str; 8] =
        ["ClientIdentity", "HttpBody", "HttpRequest", "HttpResponse", "HttpStream", "Scope", "Upload", "WebhookRunner"];

    fn hidden(name: &str) -> &'static [&'static str] {
        HIDDEN.iter().find(|(own, _)| *own == name).map_or(&[], |(_, fields)| fields)
    }

    fn printed<T: DeserializeOwned + Debug>(sample: &Json) -> String {
        format!("{:?}", serde_json::from_value::<T>(sample.clone()).unwrap())
    }

    /// What core prints of a type that is read from JSON.
    fn debug(name: &str, sample: &Json) -> Option<String> {
        macro_rules! of {
            ($($known:ident),*) => {
                match name {
                    $(stringify!($known) => Some(printed::<$known>(sample)),)*
                    _ => None,
                }
            };
        }
        of!(
            ApiAnswer,
            ApiBody,
            ApiPage,
            ConfigUpdate,
            DevicePrompt,
            Executed,
            Field,
            NameValue,
            ParkedCallback,
            Portal,
            StartedConnect,
            Webhook,
            WebhookSettings,
            WorkflowUpdate
        )
    }

    /// What core prints of what a plugin is asked with; it is made in Rust only.
    fn debug_of_plugins(text: &dyn Fn(&str) -> String) -> BTreeMap<&'static str, (Vec<&'static str>, String)> {
        let value = |field: &str| json!({ "key": text(field) });
        let map = |field: &str| value(field).as_object().unwrap().clone();
        // All fields are named: one that is new does not compile without its place here.
        let options = OptionsRequest {
            source: text("source"),
            field: text("field"),
            workflow: Some(text("workflow")),
            parent_value: Some(value("parent_value")),
            search: Some(text("search")),
        };
        let rule = RuleRequest { field: text("field"), workflow: Some(text("workflow")), lhs: value("lhs") };
        let device = DevicePrompt {
            user_code: text("device"),
            verification_uri: "https://app.example".into(),
            verification_uri_complete: None,
            interval: 5,
        };
        let present = PresentRequest {
            authorize_url: text("authorize_url"),
            redirect_uri: text("redirect_uri"),
            application: text("application"),
            device: Some(device),
        };
        let run = WorkflowRun {
            account_id: text("account_id"),
            application: text("application"),
            config_id: text("config_id"),
            workflow: text("workflow"),
            fields: map("fields"),
            workflow_fields: map("workflow_fields"),
            payload: value("payload"),
        };
        BTreeMap::from([
            ("OptionsRequest", (vec!["source", "field", "workflow", "parent_value", "search"], format!("{options:?}"))),
            ("RuleRequest", (vec!["field", "workflow", "lhs"], format!("{rule:?}"))),
            ("PresentRequest", (vec!["authorize_url", "redirect_uri", "application"], format!("{present:?}"))),
            (
                "WorkflowRun",
                (vec!["account_id", "application", "config_id", "workflow", "fields", "workflow_fields", "payload"], format!("{run:?}")),
            ),
        ])
    }

    /// The form of a type that has names.
    fn properties(schema: &Json) -> &Map<String, Json> {
        let forms = schema["anyOf"].as_array().into_iter().flatten();
        forms.chain([schema]).find_map(|form| form["properties"].as_object()).unwrap()
    }

    /// A value of a schema that has everything which it can have; every text in it is `text`, every number `number`.
    fn sample(defs: &Json, schema: &Json, text: &str, number: u16) -> Json {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return match name {
                "Timestamp" => json!("2026-01-02T03:04:05.000Z"),
                "Bytes" => json!(Base64::encode_string(text.as_bytes())),
                name => sample(defs, &defs[name], text, number),
            };
        }
        if let Some(first) = schema["oneOf"][0].get("const") {
            return first.clone();
        }
        if let Some(forms) = schema["anyOf"].as_array() {
            let named = forms.iter().find(|form| form["properties"].is_object());
            let any = || forms.iter().find(|form| form["type"] != "null");
            return sample(defs, named.or_else(any).unwrap(), text, number);
        }
        let sort = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("any");
        match sort {
            "object" if schema["properties"].is_object() => {
                let parts = properties(schema).iter();
                parts.map(|(field, schema)| (field.clone(), sample(defs, schema, text, number))).collect()
            }
            "object" => {
                let inner = schema.get("additionalProperties").filter(|inner| inner.is_object()).unwrap_or(&Json::Null);
                json!({ "key": sample(defs, inner, text, number) })
            }
            "array" => json!([sample(defs, &schema["items"], text, number)]),
            "boolean" => json!(true),
            "integer" | "number" => json!(number),
            _ => json!(text),
        }
    }

    /// Whether whatever is in it prints itself without what is secret, one step deep.
    fn guards_itself(schema: &Json) -> bool {
        let text = schema.to_string();
        let names: Vec<_> = text.split("#/$defs/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        !names.is_empty() && names.iter().all(|name| *name == "Secret" || !hidden(name).is_empty())
    }

    /// The list against core's own `Debug`: both hide the same, but for what is left out for brevity.
    #[test]
    fn s41_core_hides_what_the_list_says_and_nothing_else() {
        let operations = smalt::backend::schema();
        let defs = &operations["$defs"];
        let text = |field: &str| format!("canary-{field}-");
        let seen = |shown: &str, field: &str, number: u16| {
            let bytes = format!("{:?}", text(field).as_bytes());
            shown.contains(&text(field)) || shown.contains(bytes.trim_matches(['[', ']'])) || shown.contains(&number.to_string())
        };
        let by_plugins = debug_of_plugins(&text);
        for (name, fields) in HIDDEN {
            let (known, shown) = match by_plugins.get(name) {
                Some((known, shown)) => (known.iter().map(|field| ((*field).to_owned(), Json::Null)).collect(), shown.clone()),
                None => {
                    let known = properties(&defs[name]).clone();
                    let parts = known.iter().zip(4001..).map(|((field, schema), number)| {
                        let value = sample(defs, schema, &text(field), number);
                        (field.clone(), value)
                    });
                    let sample: Json = parts.collect();
                    (known, debug(name, &sample).unwrap_or_else(|| panic!("`{name}` is not in the table above")))
                }
            };
            for field in fields {
                assert!(known.contains_key(*field), "`{name}` has no `{field}`");
            }
            let short = SHORT.iter().find(|(own, _)| *own == name).map_or(&[][..], |(_, fields)| fields);
            for field in short {
                assert!(known.contains_key(*field), "`{name}` has no `{field}` that could be left out");
            }
            for ((field, schema), number) in known.iter().zip(4001..) {
                let seen = seen(&shown, field, number);
                if fields.contains(&field.as_str()) {
                    assert!(!seen, "core prints `{field}` of `{name}`: {shown}");
                } else if !seen && !shown.contains(&format!("{field}: ")) && !guards_itself(schema) {
                    assert!(short.contains(&field.as_str()), "core hides `{field}` of `{name}`, and the list does not: {shown}");
                }
            }
        }
    }

    /// The names behind `impl … Debug for`.
    fn by_hand(folder: &str) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src").join(folder);
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|kind| kind != "rs") {
                continue;
            }
            for line in std::fs::read_to_string(path).unwrap().lines().filter(|line| line.starts_with("impl")) {
                if let Some((_, rest)) = line.split_once("Debug for ") {
                    found.insert(rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap().to_owned());
                }
            }
        }
        found
    }

    /// What has a `Debug` of its own in core is in the list, or in no package.
    #[test]
    fn s41_the_list_of_what_is_not_printed_is_whole() {
        let listed: BTreeSet<_> = HIDDEN.iter().map(|(name, _)| (*name).to_owned()).collect();
        let rust: BTreeSet<_> = OF_RUST_ALONE.iter().map(|name| (*name).to_owned()).collect();
        assert!(listed.is_disjoint(&rust) && HIDDEN.is_sorted() && listed.len() == HIDDEN.len());
        let found = &by_hand("model") | &by_hand("plugin");
        assert!(rust.is_subset(&found), "these have no such `Debug`: {:?}", &rust - &found);
        // The rest are requests, which say what they hide in another way.
        let requests = include_str!("../../src/backend/requests.rs");
        let operations = smalt::backend::schema();
        let whole: BTreeSet<_> = operations["operations"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|one| one["request"]["$ref"].as_str()?.rsplit('/').next())
            .collect();
        let parts: BTreeMap<_, _> = requests
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub struct ")?.split_once(" hides("))
            .filter_map(|(name, rest)| Some((name, rest.split_once(')')?.0.split(", ").collect::<Vec<_>>())))
            .collect();
        assert!(parts.len() > 10, "{parts:?}");
        let held = operations["$defs"].to_string();
        // One that is an operation's alone becomes arguments.
        let of_requests = parts.keys().filter(|name| !whole.contains(*name) || held.contains(&format!("#/$defs/{name}\"")));
        let found = &(&found - &rust) | &of_requests.map(|name| (*name).to_owned()).collect();
        assert_eq!(found, listed);
    }
}
