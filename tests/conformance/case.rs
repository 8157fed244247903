//! A case and its steps as they stand in the file. Unknown keys are refused.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use smalt::model::{Environment, Json, JsonMap};

/// The version of the form that this driver knows.
const VERSION: u32 = 1;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    version: u32,
    pub id: String,
    #[serde(rename = "title")]
    _title: String,
    #[serde(rename = "tags")]
    _tags: Vec<String>,
    #[serde(default)]
    pub environment: Option<Environment>,
    #[serde(default)]
    pub project: Json,
    #[serde(default)]
    pub manifests: Vec<Json>,
    #[serde(default)]
    pub clock: Option<String>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    #[serde(rename = "do")]
    pub verb: String,
    #[serde(default, rename = "note")]
    _note: Option<String>,
    #[serde(default, rename = "as")]
    pub authority: Option<Json>,
    #[serde(default)]
    pub args: JsonMap,
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "present")]
    pub expect: Option<Json>,
    #[serde(default)]
    pub error: Option<WantedError>,
    #[serde(default)]
    pub repeat: Option<usize>,
    #[serde(default)]
    pub parallel: Option<usize>,
    #[serde(default)]
    pub outcomes: Option<BTreeMap<String, usize>>,
    #[serde(default)]
    pub eventually: bool,
    /// Seconds in which it must have ended. The program of bad networks says so; cases of conformance have none.
    #[serde(default)]
    pub within: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedError {
    pub code: String,
    #[serde(default)]
    pub context: Option<Json>,
    #[serde(default)]
    pub retry_after: Option<Json>,
    /// Texts that must not stand anywhere in the error.
    #[serde(default)]
    pub without: Vec<String>,
}

/// `null` is something to expect.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(value).map(Some)
}

impl Case {
    pub fn read(path: &Path) -> Case {
        let name = path.display();
        let text = std::fs::read_to_string(path).unwrap();
        let case: Case = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(case.version, VERSION, "{name}: this driver knows version {VERSION} only");
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(&*case.id), "{name}: the id is another");
        // Most languages take a presenter when the engine opens only: it has one, or it has none.
        let presented = case.does("connect").filter(|step| step.args.contains_key("presenter")).count();
        assert!([0, case.does("connect").count()].contains(&presented), "{name}: some of its `connect` name a presenter, and some do not");
        case
    }

    /// Whether the store must be a file.
    pub fn needs_file(&self) -> bool {
        self.steps.iter().any(|step| matches!(&*step.verb, "restart" | "search_store"))
    }

    /// The steps with this verb.
    pub fn does(&self, verb: &str) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.verb == verb)
    }
}

/// RFC 7396: objects merge, everything else replaces, `null` removes.
pub fn merge(target: &mut Json, patch: Json) {
    let Json::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Json::Object(JsonMap::new());
    }
    let Json::Object(target) = target else { return };
    for (key, value) in patch {
        match value {
            Json::Null => drop(target.remove(&key)),
            value => merge(target.entry(key).or_insert(Json::Null), value),
        }
    }
}

/// Puts saved values in the place of `${name}`.
pub fn fill(value: &Json, saved: &BTreeMap<String, Json>) -> Result<Json, String> {
    Ok(match value {
        Json::String(text) => fill_text(text, saved)?,
        Json::Array(items) => Json::Array(items.iter().map(|item| fill(item, saved)).collect::<Result<_, _>>()?),
        Json::Object(map) => Json::Object(map.iter().map(|(k, v)| Ok((k.clone(), fill(v, saved)?))).collect::<Result<_, String>>()?),
        other => other.clone(),
    })
}

fn fill_text(text: &str, saved: &BTreeMap<String, Json>) -> Result<Json, String> {
    let find = |name: &str| saved.get(name).ok_or_else(|| format!("`${{{name}}}` was not saved"));
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("`{text}` opens a name and does not close it"))?;
        let value = find(name)?;
        if before.is_empty() && after.is_empty() && filled.is_empty() {
            return Ok(value.clone());
        }
        filled.push_str(before);
        match value {
            Json::String(value) => filled.push_str(value),
            other => filled.push_str(&other.to_string()),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(Json::String(filled))
}
