//! The left side of `map` fields: fixed labels and those that the caller supplies.

use std::collections::BTreeMap;

use super::{
    limits::{KEYS, VALUE_BYTES, fits},
    lookup::{scalar, short},
    stored::StoredLabels,
};
use crate::{
    model::{FieldType, Label, Labels},
    project::FieldDef,
};

/// The labels of a `map` field: fixed ones, then those for its object, then those for every field. The first of equal
/// values counts.
pub(super) fn of(def: &FieldDef, supplied: &StoredLabels) -> Vec<Label> {
    if def.field_type != FieldType::Map {
        return Vec::new();
    }
    let mut labels: Vec<Label> = def.labels.clone();
    if let Some(object) = &def.label_object {
        let more = supplied.objects.get(object).into_iter().flatten().chain(&supplied.all);
        for label in more {
            if !labels.iter().any(|l| l.value == label.value) {
                labels.push(label.clone());
            }
        }
    }
    labels
}

/// Takes supplied labels over. No labels at all keeps the stored ones: clients send an empty list when they mean none to
/// change. An empty list under an object's name empties that object's labels.
pub(super) fn merge(stored: &mut StoredLabels, supplied: &Labels, wrong: &mut BTreeMap<String, String>) {
    match supplied {
        Labels::All(labels) => {
            check("labels", labels, wrong);
            if !labels.is_empty() {
                stored.all.clone_from(labels);
            }
        }
        Labels::ByObject(objects) => {
            for (object, labels) in objects {
                check(&format!("labels.{}", short(object)), labels, wrong);
                if labels.is_empty() {
                    stored.objects.remove(object);
                } else {
                    stored.objects.insert(object.clone(), labels.clone());
                }
            }
            if stored.objects.len() > KEYS {
                wrong.insert("labels".to_owned(), format!("labels for at most {KEYS} objects"));
            }
        }
    }
}

fn check(path: &str, labels: &[Label], wrong: &mut BTreeMap<String, String>) {
    let expected = if labels.len() > KEYS {
        format!("at most {KEYS} labels")
    } else if let Some(at) = labels.iter().position(|l| !scalar(&l.value)) {
        format!("a string, number or boolean as `value` of each label; that of label {at} is not")
    } else if !fits(&labels, VALUE_BYTES) {
        format!("at most {VALUE_BYTES} bytes of JSON")
    } else {
        return;
    };
    wrong.insert(path.to_owned(), expected);
}
