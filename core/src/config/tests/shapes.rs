//! Every type, what it holds and what it cannot.

use super::*;
use crate::error::Code;

/// A rule of this many groups, one in the other.
fn rule(groups: usize) -> Json {
    (1..groups).fold(json!({"conditions": [{}]}), |inner, _| json!({"logic": "AND", "conditions": [inner]}))
}

fn nested(depth: usize) -> Json {
    (0..depth).fold(json!("x"), |inner, _| json!([inner]))
}

#[test]
fn every_type_keeps_what_fits_and_refuses_what_cannot() {
    let text =
        (vec![json!("x"), json!(""), json!("1"), json!("é\u{0}\n")], vec![json!(1), json!(true), json!([]), json!(["x"]), json!({})]);
    let labels = json!([{"value": "email"}, {"value": "tags", "multiple": true}, {"value": 7}]);
    let mapping = |multiple: bool| json!({"lhs": {"name": "Ours"}, "rhs": {"name": "Theirs", "multiple": multiple}});
    let rows: Vec<(Json, Vec<Json>, Vec<Json>)> = vec![
        (json!({"type": "text"}), text.0.clone(), text.1.clone()),
        (json!({"type": "textarea"}), text.0.clone(), text.1.clone()),
        (json!({"type": "url"}), text.0.clone(), text.1.clone()),
        (json!({"type": "email"}), text.0.clone(), text.1.clone()),
        (json!({"type": "password"}), text.0.clone(), text.1.clone()),
        (json!({"type": "text", "multiple": true}), vec![json!([]), json!(["a", ""])], vec![json!("a"), json!([1])]),
        (
            json!({"type": "number"}),
            vec![json!(0), json!(-1.5), json!(1e300), json!(u64::MAX), json!("0"), json!("1.50"), json!("-2e3"), json!(" 7 "), json!("")],
            vec![
                json!("seven"),
                json!("1,000"),
                json!("inf"),
                json!("NaN"),
                json!("0x10"),
                json!("1 2"),
                json!("e"),
                json!(true),
                json!([1]),
                json!({}),
            ],
        ),
        (json!({"type": "number", "multiple": true}), vec![json!([1, "2"])], vec![json!(1), json!(["two"])]),
        (
            json!({"type": "date"}),
            vec![
                json!("2026-01-31"),
                json!("2024-02-29"),
                json!("2000-02-29"),
                json!("2026-01-31T08:15"),
                json!("2026-01-31T08:15:00Z"),
                json!("2026-01-31T08:15:00.123Z"),
                json!("2026-01-31T23:59:60+05:30"),
                json!("2026-01-31T08:15-0800"),
                json!(""),
            ],
            vec![
                json!("31.01.2026"),
                json!("2026-1-31"),
                json!("2026-02-29"),
                json!("1900-02-29"),
                json!("2026-13-01"),
                json!("2026-00-01"),
                json!("2026-01-00"),
                json!("2026-01-31T"),
                json!("2026-01-31T24:00"),
                json!("2026-01-31T08:60"),
                json!("2026-01-31T08:15:00.Z"),
                json!("2026-01-31T08:15.5"),
                json!("2026-01-31T08:15Zx"),
                json!("2026-01-31T08:15+25:00"),
                json!("2026-01-31T08:15é"),
                json!("tomorrow"),
                json!("２026-01-31"),
                json!(1_769_847_300),
                json!(["2026-01-31"]),
            ],
        ),
        (
            json!({"type": "boolean"}),
            vec![json!(true), json!(false), json!("true"), json!("false")],
            vec![json!("yes"), json!(1), json!(""), json!([])],
        ),
        (
            json!({"type": "select", "options": [{"value": 0}, {"value": "a"}]}),
            vec![json!(0), json!("0"), json!("a"), json!(""), json!(false), json!("not among them")],
            vec![json!([]), json!(["a"]), json!({"value": "a"})],
        ),
        (
            json!({"type": "select", "multiple": true, "options": [{"value": "a"}]}),
            vec![json!([]), json!(["a"]), json!(["a", 1, false, "gone"])],
            vec![json!("a"), json!([["a"]]), json!([null]), json!({})],
        ),
        (
            json!({"type": "json"}),
            vec![json!({"b": 1, "a": [null]}), json!("{\"a\":1}"), json!("not json"), json!(0), json!([])],
            vec![nested(33)],
        ),
        (
            json!({"type": "map", "labels": labels, "options": [{"value": "x"}]}),
            vec![
                json!({}),
                json!({"email": "x"}),
                json!({"email": null}),
                json!({"tags": ["x", 1]}),
                json!({"7": "x"}),
                json!({"gone": "x"}),
                json!({"gone": ["x"]}),
            ],
            vec![json!("x"), json!([]), json!({"email": ["x"]}), json!({"tags": "x"}), json!({"email": {}}), json!({"gone": {}})],
        ),
        (
            json!({"type": "map_v2", "mapping": mapping(false)}),
            vec![json!({}), json!({"a": "x", "b": 1, "c": null})],
            vec![json!([]), json!({"a": ["x"]}), json!({"a": {}})],
        ),
        (
            json!({"type": "map_v2", "mapping": mapping(true)}),
            vec![json!({"a": ["x", 1], "b": []})],
            vec![json!({"a": "x"}), json!({"a": [{}]})],
        ),
        (
            json!({"type": "rule_engine", "options": [{"value": "amount"}]}),
            vec![
                json!({}),
                json!({"conditions": []}),
                json!({"conditions": [{}, {"lhs": "amount"}, {"lhs": "amount", "operator": "our_own", "rhs": {"any": [1]}, "type": "text", "extra": 1}]}),
                json!({"logic": "OR", "conditions": [{"logic": "AND", "conditions": [{}]}, {"conditions": []}]}),
                json!({"logic": null, "conditions": [{"lhs": null, "operator": ""}]}),
                json!({"logic": "", "conditions": []}),
                rule(32),
            ],
            vec![
                json!([]),
                json!("amount eq 1"),
                json!({"lhs": "amount", "operator": "eq"}),
                json!({"logic": "XOR", "conditions": []}),
                json!({"logic": "and", "conditions": []}),
                json!({"conditions": {}}),
                json!({"conditions": [null]}),
                json!({"conditions": [{"lhs": {}}]}),
                json!({"conditions": [{"lhs": "a", "operator": 1}]}),
                json!({"conditions": [{"logic": "AND", "conditions": "x"}]}),
                rule(33),
                json!({"conditions": [{"lhs": "a", "operator": "eq", "rhs": nested(97)}]}),
            ],
        ),
    ];
    for (def, good, bad) in rows {
        let mut inner = def.clone();
        inner["id"] = json!("it");
        let settings = app(json!({"fields": [inner], "workflows": [{"id": "w", "fields": [inner]}]}));
        for value in good {
            let body = json!({"fields": {"it": value}, "workflows": {"w": {"fields": {"it": value}}}});
            let applied = apply(&settings, &Stored::new(&settings), &update(body)).unwrap_or_else(|e| panic!("{def} refused {value}: {e}"));
            let config = shown(&settings, &applied.stored);
            for path in ["fields.it", "workflows.w.fields.it"] {
                // Compared as text: `==` would overlook the order of keys.
                assert_eq!(field(&config, path).value.as_ref().unwrap().to_string(), value.to_string(), "{def}");
            }
        }
        for value in bad {
            let error = apply(&settings, &Stored::new(&settings), &update(json!({"fields": {"it": value}})))
                .expect_err(&format!("{def} took {value}"));
            assert_eq!(error.code(), Code::InvalidConfig, "{def} {value}");
            assert!(error.info().context.contains_key("fields.it"), "{def} {value}: {:?}", error.info().context);
        }
    }
}

#[test]
fn all_bad_paths_are_named_and_nothing_is_changed() {
    let settings = app(json!({
        "fields": [{"id": "amount", "type": "number"}, {"id": "name", "type": "text"}],
        "workflows": [{"id": "digest", "fields": [{"id": "day", "type": "date"}]}],
    }));
    let body =
        json!({"fields": {"amount": {"canary": 1}, "name": "ok"}, "workflows": {"digest": {"enabled": true, "fields": {"day": "canary"}}}});
    let stored = Stored::new(&settings);
    let error = apply(&settings, &stored, &update(body)).unwrap_err();
    let context = &error.info().context;
    assert_eq!(context["fields.amount"], "a number or a numeric string; got an object");
    assert_eq!(context["workflows.digest.fields.day"], "a date `YYYY-MM-DD` or an ISO date-time; got a string");
    assert_eq!(context.len(), 2);
    assert!(
        error.reason().contains("`fields.amount`") && !error.to_string().contains("canary") && !format!("{error:?}").contains("canary")
    );
}

#[test]
fn limits_of_value_config_and_keys() {
    let defs: Vec<_> = (0..12).map(|i| json!({"id": format!("f{i}"), "type": "json"})).collect();
    let settings = app(json!({"fields": defs}));
    let one = |value: Json| apply(&settings, &Stored::default(), &update(json!({"fields": {"f0": value}})));
    assert!(one(json!("x".repeat(VALUE_BYTES - 2))).is_ok());
    assert!(one(json!("x".repeat(VALUE_BYTES))).unwrap_err().info().context["fields.f0"].contains("65536 bytes"));
    assert!(one(Json::Object((0..=KEYS).map(|i| (i.to_string(), json!(1))).collect())).unwrap_err().reason().contains("1000 keys"));

    // Each fits, all together do not.
    let all: serde_json::Map<_, _> = (0..9).map(|i| (format!("f{i}"), json!("x".repeat(60_000)))).collect();
    let error = apply(&settings, &Stored::default(), &update(json!({"fields": all}))).unwrap_err();
    assert!(error.info().context["config"].contains("524288 bytes"));

    let many: serde_json::Map<_, _> = (0..=KEYS).map(|i| (format!("u{i}"), json!(1))).collect();
    assert!(apply(&settings, &Stored::default(), &update(json!({"fields": many}))).unwrap_err().info().context.contains_key("fields"));
}
