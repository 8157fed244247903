//! What an update changes and what it leaves, and how a config shows it.

use super::*;
use crate::{error::Code, model::FieldType};

fn settings() -> AppSettings {
    app(json!({
        "fields": [
            {"id": "a", "name": "A", "type": "json"},
            {"id": "b", "type": "select", "options": [{"name": "Zero", "value": 0}], "default": "std"},
            {"id": "secret", "type": "password", "hidden": true},
            {"id": "must", "type": "text", "required": true},
            {"id": "map", "type": "map", "labels": [{"name": "Mail", "value": "email"}], "label_object": "Contact", "options": [{"value": "x"}]},
        ],
        "workflows": [
            {"id": "auto", "enabled": true, "description": "d", "fields": [{"id": "hour", "type": "number", "default": 9}]},
            {"id": "off"},
            {"id": "draft", "published": false, "enabled": true},
            {"id": "silent", "hidden": true, "enabled": true},
        ],
    }))
}

#[test]
fn a_new_config_shows_definitions_and_starts_workflows() {
    let settings = settings();
    let created = create(&settings, None).unwrap();
    assert!(created.changed);
    assert_eq!(created.switched, [("auto".to_owned(), true), ("silent".to_owned(), true)]);
    let config = shown(&settings, &created.stored);
    assert_eq!((config.config_id.as_str(), config.version), ("customer-42", 3));
    let workflows: Vec<_> = config.workflows.iter().map(|w| (w.id.as_str(), w.name.as_str(), w.enabled, w.fields.len())).collect();
    assert_eq!(workflows, [("auto", "auto", true, 1), ("off", "off", false, 0)]);
    assert_eq!(codes(&config), [("fields.must", "required")]);
    assert!(field(&config, "fields.secret").hidden);
    assert_eq!(field(&config, "fields.b").options.as_ref().unwrap().len(), 1);
    assert_eq!(field(&config, "fields.b").default_value, Some(json!("std")));
    // Lists are always there, an unset value never.
    let wire = serde_json::to_value(&config).unwrap();
    assert!(wire["workflows"][1]["fields"].is_array() && wire["field_errors"].is_array());
    assert!(wire["fields"].as_array().unwrap().iter().all(|f| f.get("value").is_none()));
}

#[test]
fn seeds_count_only_when_they_fit() {
    let settings = settings();
    let seed = update(json!({"fields": {"a": 1}, "workflows": {"auto": false, "off": true}}));
    let created = create(&settings, Some(&seed)).unwrap();
    assert_eq!(created.switched, [("off".to_owned(), true), ("silent".to_owned(), true)]);
    assert_eq!(created.stored.fields["a"], json!(1));
    assert!(create(&settings, Some(&update(json!({"fields": {"must": 1}})))).is_err());
}

#[test]
fn falsy_values_are_values_and_null_clears() {
    let settings = settings();
    let mut stored = Stored::new(&settings);
    for value in [json!(0), json!(false), json!(""), json!([]), json!({})] {
        let applied = apply(&settings, &stored, &update(json!({"fields": {"a": value}}))).unwrap();
        assert!(applied.changed);
        stored = applied.stored;
        assert_eq!(field(&shown(&settings, &stored), "fields.a").value, Some(value));
    }
    let cleared = apply(&settings, &stored, &update(json!({"fields": {"a": null}}))).unwrap();
    assert!(cleared.changed && field(&shown(&settings, &cleared.stored), "fields.a").value.is_none());
    assert!(!apply(&settings, &cleared.stored, &update(json!({"fields": {"a": null}}))).unwrap().changed);
    let mut emptied = cleared.stored.clone();
    emptied.workflows.insert("off".to_owned(), StoredWorkflow::default());
    assert!(!apply(&settings, &emptied, &update(json!({}))).unwrap().changed);
    // Set to an empty text, a required field is set.
    let set = apply(&settings, &stored, &update(json!({"fields": {"must": ""}}))).unwrap();
    assert!(codes(&shown(&settings, &set.stored)).is_empty());
}

#[test]
fn what_is_not_listed_stays() {
    let settings = settings();
    let start = json!({"fields": {"a": 1, "b": 0}, "workflows": {"auto": {"fields": {"hour": 7}}}});
    let stored = apply(&settings, &Stored::new(&settings), &update(start)).unwrap().stored;
    let rows = [
        (json!({}), false, vec![]),
        (json!({"fields": {}, "workflows": {}}), false, vec![]),
        (json!({"fields": {"a": 1}}), false, vec![]),
        (json!({"workflows": {"auto": true}}), false, vec![]),
        (json!({"workflows": {"auto": {}, "off": {}}}), false, vec![]),
        (json!({"workflows": {"off": false}}), true, vec![]),
        (json!({"workflows": {"auto": false}}), true, vec![("auto", false)]),
        (json!({"workflows": {"auto": {"enabled": false}}}), true, vec![("auto", false)]),
        (json!({"workflows": {"off": true, "auto": {"enabled": null, "fields": {}}}}), true, vec![("off", true)]),
    ];
    for (body, changed, switched) in rows {
        let applied = apply(&settings, &stored, &update(body.clone())).unwrap();
        assert_eq!(applied.changed, changed, "{body}");
        let expected: Vec<_> = switched.into_iter().map(|(id, on)| (id.to_owned(), on)).collect();
        assert_eq!(applied.switched, expected, "{body}");
        assert_eq!(applied.stored.fields, stored.fields, "{body}");
        assert_eq!(applied.stored.workflows["auto"].fields["hour"], json!(7), "{body}");
    }
}

#[test]
fn a_change_of_key_order_alone_is_a_change() {
    let settings = settings();
    let stored = apply(&settings, &Stored::default(), &update(json!({"fields": {"a": {"x": 1, "y": 2}}}))).unwrap().stored;
    let turned = apply(&settings, &stored, &update(json!({"fields": {"a": {"y": 2, "x": 1}}}))).unwrap();
    assert!(turned.changed);
    assert_eq!(turned.stored.fields["a"].to_string(), r#"{"y":2,"x":1}"#);
}

#[test]
fn unknown_fields_are_reported_and_unknown_workflows_refused() {
    let settings = settings();
    let long = "x".repeat(1000);
    let body = json!({"fields": {"a": 1, "gone": {"deep": nest(500)}, long: 1}, "workflows": {"auto": {"fields": {"gone": 1}}}});
    let applied = apply(&settings, &Stored::new(&settings), &update(body)).unwrap();
    let named: Vec<_> = applied.errors.iter().map(|e| (e.path.chars().take(24).collect::<String>(), e.code.as_str())).collect();
    assert_eq!(
        named,
        [
            ("fields.gone".to_owned(), "unknown_field"),
            (format!("fields.{}", "x".repeat(17)), "unknown_field"),
            ("workflows.auto.fields.go".to_owned(), "unknown_field"),
        ]
    );
    assert!(applied.errors[1].path.len() < 300);
    assert_eq!(applied.stored.fields.len(), 1);
    for id in ["nope", "draft", "silent"] {
        let error = apply(&settings, &Stored::new(&settings), &update(json!({"workflows": {id: true}}))).unwrap_err();
        assert_eq!(error.code(), Code::WorkflowNotFound, "{id}");
    }
}

fn nest(depth: usize) -> Json {
    (0..depth).fold(json!(1), |v, _| json!([v]))
}

#[test]
fn labels_are_kept_added_and_replaced() {
    let settings = settings();
    let values = |stored: &Stored| -> Vec<String> {
        let config = shown(&settings, stored);
        field(&config, "fields.map").labels.as_ref().unwrap().iter().map(|l| l.value.to_string()).collect()
    };
    let label = |v: Json| json!({"name": "L", "value": v});
    let rows = [
        (json!(null), vec![r#""email""#]),
        (json!({"Contact": [label(json!("phone")), label(json!("email"))]}), vec![r#""email""#, r#""phone""#]),
        (json!([]), vec![r#""email""#, r#""phone""#]),
        (json!({}), vec![r#""email""#, r#""phone""#]),
        (json!([label(json!(1)), label(json!("phone"))]), vec![r#""email""#, r#""phone""#, "1"]),
        (json!({"Deal": [label(json!("stage"))]}), vec![r#""email""#, r#""phone""#, "1"]),
        (json!({"Contact": []}), vec![r#""email""#, "1", r#""phone""#]),
        (json!([label(json!(true))]), vec![r#""email""#, "true"]),
    ];
    let mut stored = Stored::new(&settings);
    for (labels, expected) in rows {
        let applied = apply(&settings, &stored, &update(json!({"labels": labels}))).unwrap();
        assert_eq!(values(&applied.stored), expected, "{labels}");
        stored = Stored::decode(&applied.stored.encode().unwrap()).unwrap();
    }
    let bad = apply(&settings, &stored, &update(json!({"labels": {"Contact": [{"value": {}}]}}))).unwrap_err();
    assert!(bad.info().context.contains_key("labels.Contact"));
    assert!(field(&shown(&settings, &stored), "fields.a").labels.is_none());
}

#[test]
fn map_keys_are_judged_by_the_labels_of_the_same_update() {
    let settings = settings();
    let with = update(json!({"fields": {"map": {"phone": "x"}}, "labels": {"Contact": [{"value": "phone"}]}}));
    assert!(apply(&settings, &Stored::default(), &with).unwrap().errors.is_empty());
    let without = apply(&settings, &Stored::default(), &update(json!({"fields": {"map": {"phone": "x"}}}))).unwrap();
    assert_eq!(without.errors[0].code, "stale_option");
    assert_eq!(without.stored.fields["map"], json!({"phone": "x"}));
}

#[test]
fn what_the_project_drops_is_kept_for_its_return() {
    let settings = settings();
    let body = json!({"fields": {"a": 1}, "workflows": {"auto": {"fields": {"hour": 7}}}});
    let stored = apply(&settings, &Stored::new(&settings), &update(body)).unwrap().stored;
    let mut without = settings.clone();
    without.fields.remove(0);
    without.workflows[0].published = false;
    let later = apply(&without, &stored, &update(json!({"fields": {"must": "x"}}))).unwrap().stored;
    assert!(shown(&without, &later).workflows.iter().all(|w| w.id != "auto"));
    let back = shown(&settings, &later);
    assert_eq!(field(&back, "fields.a").value, Some(json!(1)));
    assert!(back.workflows[0].enabled);
    assert_eq!(field(&back, "workflows.auto.fields.hour").value, Some(json!(7)));
}

#[test]
fn a_workflow_added_later_starts_off() {
    let mut settings = settings();
    let stored = Stored::new(&settings);
    settings.workflows.push(serde_json::from_value(json!({"id": "new", "enabled": true})).unwrap());
    assert!(!shown(&settings, &stored).workflows.last().unwrap().enabled);
    assert!(shown(&settings, &Stored::new(&settings)).workflows.last().unwrap().enabled);
}

#[test]
fn one_field_is_set_and_read() {
    let settings = settings();
    let path = FieldPath::workflow("auto", "hour");
    let stored = apply(&settings, &Stored::new(&settings), &set_field(&path, json!("7"))).unwrap().stored;
    let (read, errors) = render_field(&settings, &stored, &path, &Resolved::new(Access::Live)).unwrap();
    assert_eq!((read.value, read.default_value, read.field_type), (Some(json!("7")), Some(json!(9)), FieldType::Number));
    assert!(errors.is_empty() && stored.enabled("auto"));
    let cleared = apply(&settings, &stored, &set_field(&path, Json::Null)).unwrap().stored;
    assert_eq!(cleared, Stored::new(&settings));
    let missing = |path| render_field(&settings, &stored, &path, &Resolved::new(Access::Live)).unwrap_err().code();
    assert_eq!(missing(FieldPath::app("gone")), Code::FieldNotFound);
    assert_eq!(missing(FieldPath::workflow("auto", "gone")), Code::FieldNotFound);
    assert_eq!(missing(FieldPath::workflow("draft", "x")), Code::WorkflowNotFound);
}

#[test]
fn versions_conflict_only_when_stated() {
    assert!(expect_version(&update(json!({})), 7).is_ok());
    assert!(expect_version(&update(json!({"version": 7})), 7).is_ok());
    assert_eq!(expect_version(&update(json!({"version": 6})), 7).unwrap_err().code(), Code::ConfigConflict);
}

#[test]
fn a_run_gets_values_and_defaults() {
    let settings = settings();
    let body = json!({"fields": {"a": {"k": 0}, "must": ""}, "workflows": {"off": true}});
    let mut stored = apply(&settings, &Stored::new(&settings), &update(body)).unwrap().stored;
    stored.fields.insert("removed".to_owned(), json!(1));
    let (own, workflow) = values(&settings, &stored, "auto").unwrap();
    assert_eq!(json!(own).to_string(), r#"{"a":{"k":0},"b":"std","must":""}"#);
    assert_eq!(json!(workflow), json!({"hour": 9}));
    assert!(values(&settings, &stored, "off").unwrap().1.is_empty());
    assert!(values(&settings, &stored, "silent").is_ok());
    let code = |id: &str, stored: &Stored| values(&settings, stored, id).unwrap_err().code();
    assert_eq!(code("off", &Stored::new(&settings)), Code::WorkflowDisabled);
    assert_eq!(code("draft", &stored), Code::WorkflowNotFound);
    assert_eq!(code("nope", &stored), Code::WorkflowNotFound);
}

#[test]
fn s41_stored_values_do_not_print() {
    let settings = settings();
    let body = json!({"fields": {"secret": "canary", "a": {"k": "canary"}}, "workflows": {"auto": {"fields": {"hour": "77123"}}}});
    let applied = apply(&settings, &Stored::new(&settings), &update(body)).unwrap();
    let printed = format!("{applied:?}");
    assert!(printed.contains("secret") && !printed.contains("canary") && !printed.contains("77123"));
}

#[test]
fn stored_forms_are_versioned() {
    assert_eq!(Stored::decode(br#"{"v":2,"fields":7}"#).unwrap_err().code(), Code::StoreNewer);
    for damaged in [&b""[..], b"{}", b"[]", br#"{"v":1,"fields":"canary"}"#, b"\xff"] {
        let error = Stored::decode(damaged).unwrap_err();
        assert_eq!(error.code(), Code::StoreCorrupt);
        assert!(!error.to_string().contains("canary"));
    }
    assert_eq!(Stored::decode(br#"{"v":1}"#).unwrap(), Stored::default());
}
