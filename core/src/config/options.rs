//! Choices: fixed ones, and those that are resolved at the application.

use std::collections::BTreeMap;

use super::{
    lookup::{all, effective, field_def, generation, identical, key, parent, scalar},
    path::FieldPath,
    stored::Stored,
};
use crate::{
    error::{Error, Result, err},
    model::{FieldOption, FieldType, Json},
    plugin::OptionsRequest,
    project::{AppSettings, FieldDef},
};

/// Whether the application could be asked for choices; explains the ones that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// There is a working connection.
    Live,
    /// The linked account has none: dynamic fields report `not_connected`.
    NotConnected,
    /// The grant is dead: dynamic fields report `reauth_required`.
    ReauthRequired,
    /// The caller wants no choices: `options` is left out everywhere, and nothing is reported for it.
    Skip,
}

/// What the application answered, by field.
#[derive(Clone, Debug)]
pub struct Resolved {
    access: Access,
    answers: BTreeMap<FieldPath, Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    parent_value: Option<Json>,
    result: Result<Vec<FieldOption>>,
}

/// A list of choices that must be resolved now.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The field.
    pub path: FieldPath,
    /// What the project's field names as `options_from`.
    pub source: String,
    /// The value of the field it depends on.
    pub parent_value: Option<Json>,
}

/// Which fields' choices are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// All that a config shows.
    All,
    /// Only these, e.g. [`super::Applied::recheck`].
    Fields(&'a [FieldPath]),
    /// One, fresh.
    One {
        /// The field.
        path: &'a FieldPath,
        /// Taken instead of the parent's stored value, for this time only: what the user chose and did not save yet.
        parent_value: Option<&'a Json>,
    },
}

impl Wanted {
    /// The question for a connector; `search` is what the user typed.
    pub fn request(&self, search: Option<&str>) -> OptionsRequest {
        OptionsRequest {
            source: self.source.clone(),
            field: self.path.field.clone(),
            workflow: self.path.workflow.clone(),
            parent_value: self.parent_value.clone(),
            search: search.map(str::to_owned),
        }
    }
}

impl Resolved {
    /// Nothing is resolved yet.
    pub fn new(access: Access) -> Self {
        Self { access, answers: BTreeMap::new() }
    }

    /// Keeps the answer to a question. An option whose value is no string, number or boolean turns it into `plugin_answer`.
    pub fn insert(&mut self, wanted: Wanted, answer: Result<Vec<FieldOption>>) {
        let Wanted { path, source, parent_value } = wanted;
        let result = answer.and_then(|options| {
            if options.iter().all(|o| scalar(&o.value)) {
                Ok(options)
            } else {
                Err(err!(PluginAnswer, "the options of `{source}` must have a string, number or boolean as value"))
            }
        });
        self.answers.insert(path, Answer { parent_value, result });
    }

    /// The answer for a field, if it was given for this value of its parent.
    pub(super) fn fresh(&self, path: &FieldPath, parent_value: Option<&Json>) -> Option<&Result<Vec<FieldOption>>> {
        let answer = self.answers.get(path)?;
        let same = match (&answer.parent_value, parent_value) {
            (None, None) => true,
            (Some(a), Some(b)) => identical(a, b),
            _ => false,
        };
        same.then_some(&answer.result)
    }

    /// The answer for a field, whatever its parent's value was.
    fn any(&self, path: &FieldPath) -> Option<&Result<Vec<FieldOption>>> {
        self.answers.get(path).map(|a| &a.result)
    }

    pub(super) fn skips(&self) -> bool {
        self.access == Access::Skip
    }
}

/// What a field's parent says about its choices.
pub(super) enum Ask<'a> {
    /// They can be asked for, with this parent value.
    Now(Option<&'a Json>),
    /// The parent has no value.
    NotYet,
}

pub(super) fn ask<'a>(settings: &'a AppSettings, stored: &'a Stored, path: &FieldPath, def: &FieldDef) -> Ask<'a> {
    match parent(settings, path, def) {
        None => Ask::Now(None),
        Some(parent) => effective(settings, stored, &parent).map_or(Ask::NotYet, |v| Ask::Now(Some(v))),
    }
}

/// The lists of choices that must be resolved now, ancestors first: those not in `resolved` yet, or there for another
/// value of their parent. A field whose parent has no value (set or default) is not asked for.
/// Nothing is wanted without a working connection; with [`Access::Skip`] only what the scope names itself.
pub fn wanted_options(settings: &AppSettings, stored: &Stored, scope: Scope<'_>, resolved: &Resolved) -> Vec<Wanted> {
    match (resolved.access, scope) {
        (Access::NotConnected | Access::ReauthRequired, _) | (Access::Skip, Scope::All) => return Vec::new(),
        _ => {}
    }
    let one = |path: FieldPath, def: &FieldDef, instead: Option<&Json>| {
        let source = def.options_from.clone()?;
        let parent_value = match (instead, ask(settings, stored, &path, def)) {
            (Some(value), _) => Some(value),
            (None, Ask::Now(value)) => value,
            (None, Ask::NotYet) => return None,
        };
        let known = resolved.fresh(&path, parent_value).is_some();
        (!known).then(|| Wanted { path, source, parent_value: parent_value.cloned() })
    };
    let mut wanted: Vec<_> = match scope {
        Scope::All => all(settings).filter_map(|(path, def)| one(path, def, None)).collect(),
        Scope::Fields(paths) => paths.iter().filter_map(|p| one(p.clone(), field_def(settings, p).ok()?, None)).collect(),
        Scope::One { path, parent_value } => {
            field_def(settings, path).ok().and_then(|def| one(path.clone(), def, parent_value)).into_iter().collect()
        }
    };
    wanted.sort_by_cached_key(|w| generation(settings, &w.path));
    wanted
}

/// A field's choices as they are shown.
pub(super) struct Choices {
    /// Fixed ones and resolved ones; absent while they cannot be resolved and there are no fixed ones.
    pub options: Option<Vec<FieldOption>>,
    /// Why some are missing.
    pub error: Option<Error>,
}

/// The choices of a field. `fresh` takes only an answer that was given for the parent's present value.
pub(super) fn choices(
    settings: &AppSettings,
    stored: &Stored,
    path: &FieldPath,
    def: &FieldDef,
    resolved: &Resolved,
    fresh: bool,
) -> Choices {
    let fixed = fixed(def);
    let partly = |error| Choices { options: (!fixed.is_empty()).then(|| fixed.to_vec()), error };
    if def.options_from.is_none() {
        // A choice without any choice is still a choice; other types have `options` only when there are some.
        let shown = !fixed.is_empty() || matches!(def.field_type, FieldType::Select | FieldType::Map);
        return Choices { options: shown.then(|| fixed.to_vec()), error: None };
    }
    let answer = match (ask(settings, stored, path, def), fresh) {
        (_, false) if resolved.any(path).is_some() => resolved.any(path),
        (Ask::NotYet, _) => return partly(None),
        (Ask::Now(value), _) => resolved.fresh(path, value),
    };
    match answer {
        Some(Ok(live)) => Choices { options: Some(merged(fixed, live)), error: None },
        Some(Err(error)) => partly(Some(error.clone())),
        None => partly(match resolved.access {
            Access::Live | Access::Skip => None,
            Access::NotConnected => Some(err!(NotConnected, "its choices come from the application, which is not connected")),
            Access::ReauthRequired => Some(err!(ReauthRequired, "its choices come from the application, whose connection is dead")),
        }),
    }
}

/// The fixed choices: of a `map_v2`, those of its right side.
pub(super) fn fixed(def: &FieldDef) -> &[FieldOption] {
    match (&def.mapping, def.field_type) {
        (Some(mapping), FieldType::MapV2) => mapping.rhs.options.as_deref().unwrap_or_default(),
        _ => &def.options,
    }
}

/// Fixed choices first; a resolved one with the same value is not repeated.
pub(super) fn merged(fixed: &[FieldOption], live: &[FieldOption]) -> Vec<FieldOption> {
    let known = |o: &&FieldOption| !fixed.iter().any(|f| f.value == o.value);
    fixed.iter().chain(live.iter().filter(known)).cloned().collect()
}

/// The options whose name or value holds the text, upper and lower case alike: for connectors that ignore `search`.
/// An empty text keeps all.
pub fn filter_options(options: Vec<FieldOption>, search: &str) -> Vec<FieldOption> {
    let search = search.trim().to_lowercase();
    let holds = |text: &str| text.to_lowercase().contains(&search);
    options.into_iter().filter(|o| o.name.as_deref().is_some_and(holds) || holds(&key(&o.value))).collect()
}
