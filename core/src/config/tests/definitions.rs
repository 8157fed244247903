//! Mistakes that `check` finds.

use super::*;

#[test]
fn good_definitions_have_no_findings() {
    let settings = app(json!({
        "fields": [
            {"id": "a", "type": "select", "options": [{"value": 1}], "default": 1},
            {"id": "b", "type": "select", "options_from": "x", "parent": "a"},
            {"id": "m", "type": "map", "options_from": "x", "label_object": "Contact", "default": {"any": ["x"]}},
            {"id": "r", "type": "rule_engine", "options": [{"value": "n"}], "rules": [{"lhs": "n"}]},
            {"id": "v", "type": "map_v2", "mapping": {"lhs": {"name": "l"}, "rhs": {"name": "r"}}},
        ],
        "workflows": [{"id": "w", "fields": [{"id": "a", "parent": "b"}]}],
    }));
    assert_eq!(check(&settings), []);
}

#[test]
fn every_mistake_is_named_with_its_place_and_cure() {
    let text = |extra: Json| {
        let mut field = json!({"id": "x"});
        field.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"fields": [field]})
    };
    let rows = [
        (json!({"fields": [{"id": "x"}, {"id": "x"}]}), "fields[1].id", "twice"),
        (json!({"fields": [{}]}), "fields[0].id", "missing"),
        (json!({"fields": [{"id": "a/b"}]}), "fields[0].id", "URL"),
        (json!({"workflows": [{"id": "w"}, {"id": "w"}]}), "workflows[1].id", "twice"),
        (json!({"workflows": [{"id": "a.fields"}]}), "workflows[0].id", "ambiguous"),
        (json!({"workflows": [{"id": "w", "fields": [{"id": "x"}, {"id": "x"}]}]}), "workflows[0].fields[1].id", "twice"),
        (text(json!({"parent": "gone"})), "fields[0].parent", "no field `gone`"),
        (text(json!({"parent": "x"})), "fields[0].parent", "itself"),
        (text(json!({"type": "select"})), "fields[0].options", "nothing to choose"),
        (text(json!({"type": "rule_engine"})), "fields[0].options", "nothing to choose"),
        (text(json!({"type": "map", "label_object": "C"})), "fields[0].options", "nothing to choose"),
        (text(json!({"type": "map", "options_from": "s"})), "fields[0].labels", "empty"),
        (text(json!({"type": "map_v2"})), "fields[0].mapping", "missing"),
        (
            text(json!({"type": "map_v2", "options": [{"value": 1}], "mapping": {"lhs": {"name": ""}, "rhs": {"name": ""}}})),
            "fields[0].options",
            "mapping",
        ),
        (text(json!({"labels": [{"value": "l"}]})), "fields[0].labels", "only a `map`"),
        (text(json!({"label_object": "l"})), "fields[0].labels", "only a `map`"),
        (text(json!({"mapping": {"lhs": {"name": ""}, "rhs": {"name": ""}}})), "fields[0].mapping", "only a `map_v2`"),
        (text(json!({"rules": [{}]})), "fields[0].rules", "only a `rule_engine`"),
        (text(json!({"options": [{"value": {}}]})), "fields[0].options", "no string"),
        (text(json!({"type": "number", "default": "many"})), "fields[0].default", "wrong shape"),
        (text(json!({"type": "select", "multiple": true, "options_from": "s", "default": "a"})), "fields[0].default", "wrong shape"),
    ];
    for (body, key, message) in rows {
        let found = check(&app(body.clone()));
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert!(found[0].key == key && found[0].message.contains(message) && !found[0].cure.is_empty(), "{body}: {found:?}");
    }
    let circle = check(&app(json!({"fields": [{"id": "a", "parent": "b"}, {"id": "b", "parent": "a"}, {"id": "c", "parent": "a"}]})));
    assert_eq!(circle.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(), ["fields[0].parent", "fields[1].parent"]);
}

#[test]
fn the_docs_example_is_a_project_without_mistakes() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configs.md")).unwrap();
    let example = page.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let project: crate::project::Project = toml::from_str(&format!("version = 1\n{example}")).unwrap();
    let slack = &project.apps["slack"];
    assert_eq!(check(slack), []);
    assert!(Stored::new(slack).enabled("digest") && slack.workflows[0].fields[0].default == Some(json!(9)));
}
