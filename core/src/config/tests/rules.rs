//! Rule columns and what a saved rule says.

use super::{
    super::rules::{columns, evaluate},
    *,
};
use crate::{
    error::Code,
    model::{RuleColumn, RuleColumns},
    project::FieldDef,
};

fn def(body: Json) -> FieldDef {
    serde_json::from_value(body).unwrap()
}

#[test]
fn columns_come_from_the_connector_the_definition_or_the_defaults() {
    let declared = def(json!({"id": "r", "type": "rule_engine", "rules": [
        {"lhs": "stage", "operators": [{"value": "is"}], "rhs": [{"value": "won"}]},
        {"lhs": 1, "rhs": []},
        {"lhs": "text"},
    ]}));
    let all = def(
        json!({"id": "r", "type": "rule_engine", "rules": [{"operators": [{"value": "has"}]}, {"lhs": "own", "operators": [{"value": "mine"}]}]}),
    );
    let bare = def(json!({"id": "r", "type": "rule_engine"}));
    let defaults = ["eq", "neq", "start_with", "end_with", "greater_or_equal", "less_or_equal"].as_slice();
    let rows = [
        (&declared, json!("stage"), "select", 1, ["is"].as_slice()),
        (&declared, json!("1"), "select", 0, defaults),
        (&declared, json!("text"), "text", 0, defaults),
        (&declared, json!("other"), "text", 0, defaults),
        (&declared, Json::Null, "text", 0, defaults),
        (&all, json!("other"), "text", 0, ["has"].as_slice()),
        (&all, json!("own"), "text", 0, ["mine"].as_slice()),
        (&bare, json!("x"), "text", 0, defaults),
    ];
    for (def, lhs, rhs_type, rhs_count, operators) in rows {
        let found = columns(def, &lhs, None).unwrap();
        assert_eq!((found.rhs.column_type.as_str(), found.rhs.options.len()), (rhs_type, rhs_count), "{lhs}");
        assert_eq!(found.operator.column_type, "select");
        assert_eq!(found.operator.options.iter().map(|o| o.value.as_str().unwrap()).collect::<Vec<_>>(), operators, "{lhs}");
    }
    let column = |name: &str| RuleColumn { name: name.to_owned(), column_type: "select".to_owned(), options: options(&["q"]) };
    let dynamic = RuleColumns { rhs: column("theirs"), operator: column("theirs too") };
    assert_eq!(columns(&declared, &json!("stage"), Some(dynamic.clone())).unwrap(), dynamic);

    let error = columns(&def(json!({"id": "amount", "type": "number"})), &json!("x"), None).unwrap_err();
    assert_eq!((error.code(), error.info().http_status), (Code::InvalidConfig, Some(400)));
    assert!(error.reason().starts_with("Field with id amount is not of type rule engine"));
}

#[test]
fn operators_compare_as_a_table_says() {
    let facts = json!({"n": 5, "s": "hello", "zip": "0123", "d": "2026-03-01", "t": ["a", 1], "deal": {"amount": "1200.5", "x.y": 1}, "big": u64::MAX, "no": null, "b": true, "dot.ted": 1});
    let rows = [
        ("n", "eq", json!(5), true),
        ("n", "eq", json!("5"), true),
        ("n", "eq", json!("5.0"), true),
        ("n", "eq", json!("05x"), false),
        ("n", "neq", json!("5"), false),
        ("s", "eq", json!("Hello"), false),
        ("zip", "eq", json!("123"), false),
        ("zip", "eq", json!(123), true),
        ("zip", "less_or_equal", json!("99"), false),
        ("s", "neq", json!("Hello"), true),
        ("b", "eq", json!("true"), true),
        ("b", "eq", json!(true), true),
        ("t", "eq", json!(["a", 1]), true),
        ("s", "start_with", json!("he"), true),
        ("s", "end_with", json!("llo"), true),
        ("s", "start_with", json!("lo"), false),
        ("n", "start_with", json!("5"), true),
        ("t", "start_with", json!("a"), false),
        ("n", "greater_or_equal", json!("10"), false),
        ("n", "greater_or_equal", json!("5"), true),
        ("n", "less_or_equal", json!(4.9), false),
        ("n", "less_or_equal", json!("many"), false),
        ("d", "less_or_equal", json!("2026-03-02"), true),
        ("d", "greater_or_equal", json!("2026-03-02"), false),
        ("deal.amount", "greater_or_equal", json!(1200), true),
        ("deal.x.y", "eq", json!(1), true),
        ("dot.ted", "eq", json!(1), true),
        ("big", "greater_or_equal", json!((u64::MAX - 1).to_string()), true),
        ("big", "eq", json!(u64::MAX - 1), false),
        ("t", "includes", json!("a"), true),
        ("t", "includes", json!("1"), true),
        ("t", "includes", json!(["a", 1]), true),
        ("t", "includes", json!(["a", "z"]), false),
        ("s", "includes", json!("ell"), true),
        ("n", "includes", json!("5"), false),
        ("gone", "eq", json!(""), false),
        ("gone", "neq", json!("x"), true),
        ("gone", "less_or_equal", json!(1), false),
        ("no", "eq", json!(null), false),
        ("s.deeper", "eq", json!("x"), false),
    ];
    for (lhs, operator, rhs, expected) in rows {
        let rule = json!({"conditions": [{"lhs": lhs, "operator": operator, "rhs": rhs}]});
        assert_eq!(evaluate(&rule, facts.as_object().unwrap()).unwrap(), expected, "{lhs} {operator} {rhs}");
    }
}

#[test]
fn groups_combine_and_skip_what_is_unfinished() {
    let facts = json!({"n": 1});
    let yes = json!({"lhs": "n", "operator": "eq", "rhs": 1});
    let no = json!({"lhs": "n", "operator": "eq", "rhs": 2});
    let rows = [
        (json!({}), true),
        (json!({"logic": "OR", "conditions": []}), true),
        (json!({"conditions": [{}, {"lhs": "n"}, {"operator": "eq"}]}), true),
        (json!({"conditions": [yes, {}]}), true),
        (json!({"conditions": [yes, no]}), false),
        (json!({"logic": "AND", "conditions": [yes, yes]}), true),
        (json!({"logic": "OR", "conditions": [no, yes]}), true),
        (json!({"logic": "OR", "conditions": [no, {}]}), false),
        (json!({"logic": "OR", "conditions": [no, {"logic": "AND", "conditions": [yes, yes]}]}), true),
        (json!({"logic": "AND", "conditions": [yes, {"logic": "OR", "conditions": [{}]}]}), true),
        (json!({"logic": "OR", "conditions": [no, {"logic": "AND", "conditions": [{}]}]}), false),
        (json!({"logic": null, "conditions": [yes, {"conditions": [no]}]}), false),
    ];
    for (rule, expected) in rows {
        assert_eq!(evaluate(&rule, facts.as_object().unwrap()).unwrap(), expected, "{rule}");
    }
    let deep = (0..40).fold(json!({"conditions": []}), |inner, _| json!({"logic": "AND", "conditions": [inner]}));
    let own = json!({"conditions": [{"lhs": "n", "operator": "our_own", "rhs": 1}]});
    for bad in [json!(1), json!({"logic": "NOT"}), json!({"conditions": 1}), json!({"conditions": [1]}), deep, own] {
        assert_eq!(evaluate(&bad, facts.as_object().unwrap()).unwrap_err().code(), Code::InvalidConfig, "{bad}");
    }
}
