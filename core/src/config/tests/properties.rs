//! Whatever comes in: no panic, and what is taken comes back byte by byte.

use proptest::prelude::*;

use super::*;
use crate::model::FieldType;

fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(|f| json!(f)),
        ".{0,12}".prop_map(Json::from),
        "[0-9+.eE-]{1,8}".prop_map(Json::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{2,9}[Z+-]?[0-9:é]{0,5})?".prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        let key = prop_oneof![
            "[a-z]{0,4}",
            Just("logic".to_owned()),
            Just("conditions".to_owned()),
            Just("lhs".to_owned()),
            Just("l".to_owned())
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((key, inner.clone()), 0..6).prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
            prop::collection::vec(inner, 0..4).prop_map(|rows| json!({"conditions": rows})),
        ]
    })
}

/// One field of every type, single and multiple.
fn settings() -> AppSettings {
    let mut fields = Vec::new();
    for field_type in FieldType::ALL {
        for multiple in [false, true] {
            fields.push(json!({
                "id": format!("{field_type}-{multiple}"), "type": field_type, "multiple": multiple, "options_from": "s", "parent": "text-false",
                "labels": [{"value": "l"}], "mapping": {"lhs": {"name": "l"}, "rhs": {"name": "r", "multiple": multiple}},
            }));
        }
    }
    app(json!({"fields": fields}))
}

proptest! {
    #[test]
    fn accepted_values_come_back_byte_equal(value in anything()) {
        let settings = settings();
        let mut all = Stored::new(&settings);
        let mut taken = 0;
        for def in &settings.fields {
            let body = set_field(&FieldPath::app(&def.id), value.clone());
            let Ok(applied) = apply(&settings, &all, &body) else { continue };
            taken += 1;
            all = Stored::decode(&applied.stored.encode().unwrap()).unwrap();
            prop_assert_eq!(&all, &applied.stored);
            let config = shown(&settings, &all);
            let seen = config.fields.iter().find(|f| f.id == def.id).unwrap();
            let expected = (!value.is_null()).then(|| value.to_string());
            prop_assert_eq!(seen.value.as_ref().map(ToString::to_string), expected);
            let again = apply(&settings, &all, &body).unwrap();
            prop_assert!(!again.changed);
        }
        // A `json` field takes whatever is within the limits.
        prop_assert!(taken >= 2);

        // With any options, any parent: settling ends and panics nowhere.
        let mut applied = apply(&settings, &all, &set_field(&FieldPath::app("text-false"), json!("other"))).unwrap();
        let mut resolved = Resolved::new(Access::Live);
        for want in wanted_options(&settings, &applied.stored, Scope::All, &resolved) {
            resolved.insert(want, Ok(options(&["x"])));
        }
        settle(&settings, &mut applied, &resolved);
        prop_assert!(applied.recheck.is_empty());
        let bytes = applied.stored.encode().unwrap();
        prop_assert_eq!(Stored::decode(&bytes).unwrap().encode().unwrap(), bytes);
    }

    #[test]
    fn rules_and_blobs_of_any_form_never_panic(value in anything(), facts in anything()) {
        let empty = serde_json::Map::new();
        let _ = super::super::rules::evaluate(&value, facts.as_object().unwrap_or(&empty));
        let _ = Stored::decode(value.to_string().as_bytes());
        let _ = serde_json::from_value::<ConfigUpdate>(value.clone()).map(|u| apply(&settings(), &Stored::default(), &u));
        // A rule that was saved can be judged, unless an operator is foreign.
        let settings = settings();
        let saved = apply(&settings, &Stored::default(), &set_field(&FieldPath::app("rule_engine-false"), value.clone())).is_ok();
        if saved && !value.is_null() && !value.to_string().contains("operator") {
            prop_assert!(super::super::rules::evaluate(&value, &empty).is_ok());
        }
    }

    #[test]
    fn paths_never_panic(text in "(fields|workflows)?[.a-z]{0,20}(\\.fields\\.)?.{0,6}") {
        if let Ok(path) = text.parse::<FieldPath>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }
}
