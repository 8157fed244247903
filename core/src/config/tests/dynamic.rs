//! Dynamic options, dependent fields, and what happens when a parent changes.

use super::*;
use crate::error::{Code, Error};

/// A chain of three, a map and a `map_v2` that live on the application, and a workflow field below the chain's top.
fn settings() -> AppSettings {
    app(json!({
        "fields": [
            {"id": "c", "type": "select", "options_from": "items", "parent": "b"},
            {"id": "b", "type": "select", "options_from": "lists", "parent": "a", "options": [{"value": "any"}]},
            {"id": "a", "type": "select", "options_from": "spaces"},
            {"id": "map", "type": "map", "options_from": "columns", "parent": "a", "labels": [{"value": "l", "multiple": true}]},
            {"id": "v2", "type": "map_v2", "options_from": "columns", "mapping": {"lhs": {"name": "L", "options": [{"value": 1}]}, "rhs": {"name": "R"}}},
        ],
        "workflows": [
            {"id": "w", "fields": [{"id": "many", "type": "select", "multiple": true, "options_from": "lists", "parent": "a"}]},
            {"id": "hidden", "hidden": true, "fields": [{"id": "x", "type": "select", "options_from": "never"}]},
        ],
    }))
}

fn wanted(settings: &AppSettings, stored: &Stored, resolved: &Resolved) -> Vec<(String, String, Option<Json>)> {
    wanted_options(settings, stored, Scope::All, resolved).into_iter().map(|w| (w.path.to_string(), w.source, w.parent_value)).collect()
}

fn set(settings: &AppSettings, stored: &Stored, body: Json) -> Applied {
    apply(settings, stored, &update(body)).unwrap()
}

/// The loop of the module's docs; answers with `<source>-<parent value>` unless told otherwise. Returns what was asked.
fn resolve(
    settings: &AppSettings,
    applied: &mut Applied,
    answer: impl Fn(&Wanted) -> Result<Vec<FieldOption>, Error>,
) -> (Resolved, Vec<String>) {
    let (mut resolved, mut asked) = (Resolved::new(Access::Live), Vec::new());
    loop {
        settle(settings, applied, &resolved);
        let wanted = wanted_options(settings, &applied.stored, Scope::All, &resolved);
        if wanted.is_empty() {
            return (resolved, asked);
        }
        for want in wanted {
            asked.push(format!("{}({})", want.path.field, want.parent_value.as_ref().map_or(String::new(), Json::to_string)));
            let options = answer(&want);
            resolved.insert(want, options);
        }
        assert!(asked.len() < 100, "no end: {asked:?}");
    }
}

fn below(want: &Wanted) -> Result<Vec<FieldOption>, Error> {
    let parent = want.parent_value.as_ref().map_or(String::new(), |v| v.as_str().unwrap().to_owned());
    Ok(options(&[&format!("{parent}1"), &format!("{parent}2")]))
}

#[test]
fn a_chain_of_three_is_asked_top_down_and_no_further_than_its_values_go() {
    let settings = settings();
    let mut stored = Stored::new(&settings);
    let nothing = Resolved::new(Access::Live);
    let row = |p: &str, s: &str, v: Option<Json>| (p.to_owned(), s.to_owned(), v);
    assert_eq!(wanted(&settings, &stored, &nothing), [row("fields.a", "spaces", None), row("fields.v2", "columns", None)]);

    stored = set(&settings, &stored, json!({"fields": {"a": 0}})).stored;
    let two = wanted(&settings, &stored, &nothing);
    assert_eq!(
        two.iter().map(|w| w.0.as_str()).collect::<Vec<_>>(),
        ["fields.a", "fields.v2", "fields.b", "fields.map", "workflows.w.fields.many"]
    );
    assert!(two[2..].iter().all(|w| w.2 == Some(json!(0))), "a value of 0 is a value");

    stored = set(&settings, &stored, json!({"fields": {"b": "b1"}})).stored;
    assert_eq!(wanted(&settings, &stored, &nothing).last(), Some(&row("fields.c", "items", Some(json!("b1")))));
}

#[test]
fn a_parents_default_counts_as_its_value() {
    let settings = app(json!({"fields": [
        {"id": "a", "type": "select", "options": [{"value": "x"}], "default": "x"},
        {"id": "b", "type": "select", "options_from": "s", "parent": "a"},
    ]}));
    let asked = wanted(&settings, &Stored::default(), &Resolved::new(Access::Live));
    assert_eq!(asked, [("fields.b".to_owned(), "s".to_owned(), Some(json!("x")))]);
}

#[test]
fn scopes_and_overrides() {
    let settings = settings();
    let stored = Stored::new(&settings);
    let live = Resolved::new(Access::Live);
    let b = FieldPath::app("b");
    let one = |parent_value| wanted_options(&settings, &stored, Scope::One { path: &b, parent_value }, &live);
    assert!(one(None).is_empty());
    let typed = json!("not saved");
    let asked = one(Some(&typed));
    assert_eq!(asked[0].parent_value, Some(typed.clone()));
    let request = asked[0].request(Some("gen"));
    assert_eq!((request.source.as_str(), request.field.as_str(), request.search.as_deref()), ("lists", "b", Some("gen")));

    // The answer shows in the field it was asked for, and not in a config that holds another value.
    let mut resolved = live.clone();
    resolved.insert(asked[0].clone(), Ok(options(&["g"])));
    let (shown_alone, _) = render_field(&settings, &stored, &b, &resolved).unwrap();
    assert_eq!(shown_alone.options.unwrap().iter().map(|o| o.value.clone()).collect::<Vec<_>>(), [json!("any"), json!("g")]);
    let config = render(ids(), &settings, &stored, &resolved);
    assert_eq!(field(&config, "fields.b").options.as_ref().unwrap().len(), 1);

    let paths = [FieldPath::app("a"), FieldPath::app("gone"), FieldPath::workflow("hidden", "x")];
    assert_eq!(wanted_options(&settings, &stored, Scope::Fields(&paths), &live).len(), 1);
    for access in [Access::NotConnected, Access::ReauthRequired, Access::Skip] {
        assert!(wanted(&settings, &stored, &Resolved::new(access)).is_empty());
    }
    assert_eq!(wanted_options(&settings, &stored, Scope::Fields(&paths), &Resolved::new(Access::Skip)).len(), 1);
}

#[test]
fn live_choices_are_shown_where_they_belong() {
    let settings = settings();
    let mut applied = set(&settings, &Stored::new(&settings), json!({"fields": {"a": "1"}}));
    let (resolved, _) = resolve(&settings, &mut applied, |w| {
        let same = FieldOption { name: Some("again".to_owned()), value: json!("any") };
        below(w).map(|o| [vec![same], o].concat())
    });
    let config = render(ids(), &settings, &applied.stored, &resolved);
    let count = |path: &str| field(&config, path).options.as_ref().map(Vec::len);
    // `b` has `any` as a fixed choice already; `c` has a parent without a value and no `options` at all.
    assert_eq!((count("fields.a"), count("fields.b"), count("fields.c")), (Some(3), Some(3), None));
    assert!(serde_json::to_value(field(&config, "fields.c")).unwrap().get("options").is_none());
    let v2 = field(&config, "fields.v2");
    assert_eq!((v2.options.is_none(), v2.mapping.as_ref().unwrap().rhs.options.as_ref().map(Vec::len)), (true, Some(3)));
    assert_eq!(v2.mapping.as_ref().unwrap().lhs.options.as_ref().unwrap()[0].value, json!(1));
    assert!(codes(&config).is_empty());
}

#[test]
fn trouble_stands_in_field_errors_and_fixed_choices_stay() {
    let settings = settings();
    let applied = set(&settings, &Stored::new(&settings), json!({"fields": {"a": "1"}}));
    for (access, code) in [(Access::NotConnected, "not_connected"), (Access::ReauthRequired, "reauth_required")] {
        let config = render(ids(), &settings, &applied.stored, &Resolved::new(access));
        let expected: Vec<_> = ["fields.b", "fields.a", "fields.map", "fields.v2", "workflows.w.fields.many"].map(|p| (p, code)).into();
        assert_eq!(codes(&config), expected);
        assert!(config.field_errors.iter().all(|e| !e.message.is_empty()));
        assert_eq!(field(&config, "fields.b").options.as_ref().map(Vec::len), Some(1));
        // Free text would be wrong for a side that is live.
        assert_eq!(field(&config, "fields.v2").mapping.as_ref().unwrap().rhs.options, Some(vec![]));
    }
    let mut failing = applied.clone();
    let (resolved, _) = resolve(&settings, &mut failing, |_| Err(Error::code_only(Code::ProviderTimeout)));
    let config = render(ids(), &settings, &failing.stored, &resolved);
    assert_eq!(codes(&config).len(), 5);
    assert!(codes(&config).iter().all(|(_, code)| *code == "provider_timeout"));

    let (nonsense, _) = resolve(&settings, &mut failing, |_| Ok(vec![FieldOption { name: None, value: json!({"id": 1}) }]));
    assert!(codes(&render(ids(), &settings, &failing.stored, &nonsense)).iter().all(|(_, code)| *code == "plugin_answer"));
}

#[test]
fn skipping_leaves_every_options_key_out() {
    let settings = settings();
    let config = render(ids(), &settings, &Stored::new(&settings), &Resolved::new(Access::Skip));
    assert!(config.fields.iter().all(|f| f.options.is_none()) && config.field_errors.is_empty());
}

#[test]
fn a_changed_parent_clears_descendants_whose_choice_is_gone() {
    let settings = settings();
    let full = json!({
        "fields": {"a": "x", "b": "x1", "c": "x11", "map": {"l": ["x1", "x2"]}},
        "workflows": {"w": {"fields": {"many": ["x1", "x2"]}}},
    });
    let stored = set(&settings, &Stored::new(&settings), full.clone()).stored;

    // Everything below goes, the grandchild with it, though its own parent was never listed.
    let mut applied = set(&settings, &stored, json!({"fields": {"a": "y"}}));
    assert_eq!(applied.recheck.iter().map(ToString::to_string).collect::<Vec<_>>(), ["fields.b", "fields.map", "workflows.w.fields.many"]);
    resolve(&settings, &mut applied, below);
    assert_eq!(json!(applied.stored.fields), json!({"a": "y"}));
    assert!(applied.recheck.is_empty() && applied.stored.workflows["w"].fields.is_empty());

    // A client that sends back all it holds says nothing new about the children.
    let mut all = full.clone();
    all["fields"]["a"] = json!("y");
    let mut applied = set(&settings, &stored, all.clone());
    resolve(&settings, &mut applied, below);
    assert_eq!(json!(applied.stored.fields), json!({"a": "y"}));

    // One that sets a child anew is believed, whatever the list says.
    all["fields"]["b"] = json!("typed");
    let mut applied = set(&settings, &stored, all);
    resolve(&settings, &mut applied, below);
    assert_eq!(json!(applied.stored.fields), json!({"a": "y", "b": "typed"}));

    // What is still offered stays, and so does what depends on it.
    let mut applied = set(&settings, &stored, json!({"fields": {"a": "y"}}));
    resolve(&settings, &mut applied, |_| Ok(options(&["x1", "x2", "x11"])));
    let mut kept = full["fields"].clone();
    kept["a"] = json!("y");
    assert_eq!(json!(applied.stored.fields), kept);

    // A list that could not be had deletes nothing.
    let mut applied = set(&settings, &stored, json!({"fields": {"a": "y"}}));
    resolve(&settings, &mut applied, |_| Err(Error::code_only(Code::ProviderError)));
    assert_eq!(json!(applied.stored.fields), kept);

    // Without a parent's value only fixed choices are left.
    let fixed = set(&settings, &stored, json!({"fields": {"b": "any"}})).stored;
    for (from, b) in [(&stored, None), (&fixed, Some(&json!("any")))] {
        let mut applied = set(&settings, from, json!({"fields": {"a": null}}));
        settle(&settings, &mut applied, &Resolved::new(Access::NotConnected));
        assert_eq!(applied.stored.fields.get("b"), b);
        assert!(!applied.stored.fields.contains_key("map"));
    }
}

#[test]
fn a_cleared_field_with_a_default_has_its_children_asked_again() {
    let settings = app(json!({"fields": [
        {"id": "a", "type": "select", "options_from": "s"},
        {"id": "b", "type": "select", "options_from": "t", "parent": "a", "default": "d"},
        {"id": "c", "type": "select", "options_from": "u", "parent": "b"},
    ]}));
    let stored = set(&settings, &Stored::default(), json!({"fields": {"a": "x", "b": "x1", "c": "x11"}})).stored;
    let mut applied = set(&settings, &stored, json!({"fields": {"a": "y"}}));
    let (resolved, asked) = resolve(&settings, &mut applied, below);
    assert_eq!(asked, ["a()", r#"b("y")"#, r#"c("x1")"#, r#"c("d")"#]);
    assert_eq!(json!(applied.stored.fields), json!({"a": "y"}));
    let config = render(ids(), &settings, &applied.stored, &resolved);
    assert_eq!(field(&config, "fields.c").options, Some(options(&["d1", "d2"])));
}

#[test]
fn without_resolving_a_recheck_waits() {
    let settings = settings();
    let stored = set(&settings, &Stored::default(), json!({"fields": {"a": "x", "b": "x1"}})).stored;
    let mut applied = set(&settings, &stored, json!({"fields": {"a": "y"}}));
    assert!(settle(&settings, &mut applied, &Resolved::new(Access::NotConnected)).is_empty());
    assert_eq!(applied.recheck, [FieldPath::app("b")]);
    assert_eq!(applied.stored.fields["b"], json!("x1"));
}

#[test]
fn circles_end() {
    let settings = app(json!({"fields": [
        {"id": "a", "type": "select", "options_from": "s", "parent": "b"},
        {"id": "b", "type": "select", "options_from": "s", "parent": "a"},
        {"id": "self", "type": "select", "options_from": "s", "parent": "self"},
        {"id": "orphan", "type": "select", "options_from": "s", "parent": "gone"},
    ]}));
    assert!(wanted(&settings, &Stored::default(), &Resolved::new(Access::Live)).is_empty());
    let stored = set(&settings, &Stored::default(), json!({"fields": {"a": "1", "b": "2", "self": "3", "orphan": "4"}})).stored;
    let mut applied = set(&settings, &stored, json!({"fields": {"a": "x", "self": "x"}}));
    resolve(&settings, &mut applied, below);
    assert!(render(ids(), &settings, &applied.stored, &Resolved::new(Access::Live)).field_errors.is_empty());
}

#[test]
fn a_rules_left_sides_are_its_choices() {
    let settings = app(json!({"fields": [
        {"id": "a", "type": "text"},
        {"id": "r", "type": "rule_engine", "options_from": "s", "parent": "a"},
    ]}));
    let rule = json!({"logic": "OR", "conditions": [{}, {"lhs": "x1"}, {"logic": "AND", "conditions": [{"lhs": "x2"}]}]});
    let stored = set(&settings, &Stored::default(), json!({"fields": {"a": "x", "r": rule}})).stored;
    for (offered, kept) in [(vec!["x1", "x2"], true), (vec!["x1"], false), (vec!["x2"], false)] {
        let mut applied = set(&settings, &stored, json!({"fields": {"a": "y"}}));
        resolve(&settings, &mut applied, |_| Ok(options(&offered)));
        assert_eq!(applied.stored.fields.contains_key("r"), kept, "{offered:?}");
    }
}

#[test]
fn search_is_by_name_or_value_in_any_case() {
    let all = vec![
        FieldOption { name: Some("General".to_owned()), value: json!("C1") },
        FieldOption { name: Some("Ärzte".to_owned()), value: json!(42) },
        FieldOption { name: None, value: json!("random") },
    ];
    let found = |search: &str| filter_options(all.clone(), search).len();
    for (search, count) in [("", 3), (" ", 3), ("GENER", 1), ("ärz", 1), ("ÄRZ", 1), ("4", 1), ("c1", 1), ("ran", 1), ("a", 2), ("zzz", 0)]
    {
        assert_eq!(found(search), count, "{search}");
    }
}
