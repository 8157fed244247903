//! Golden pairs of requests and answers, written from the contract of the hosted service's clients: `golden/*.json`, one file a
//! subject, in order, each in a world of its own. What an answer must hold is a matcher, as in the conformance cases.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use smalt::model::Json;
use smalt_server::Access;

use crate::{endpoints::ENDPOINTS, world::World};

#[path = "../../../../tests/conformance/matcher.rs"]
#[allow(dead_code)]
mod matcher;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "title")]
    _title: String,
    pairs: Vec<Pair>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    /// The contract's section.
    api: String,
    #[serde(default, rename = "note")]
    _note: Option<String>,
    /// `nobody`, `session` (of `ada`), `key`, or `key+ada` (that account in a header).
    who: String,
    method: String,
    path: String,
    /// What `{flavour}` stands for, one after the other: `f-sdk` and `public` answer the same.
    #[serde(default)]
    flavours: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A text is sent as it is.
    #[serde(default)]
    body: Json,
    status: u16,
    answer: Json,
    #[serde(default)]
    save: BTreeMap<String, String>,
}

fn files() -> BTreeMap<String, File> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/golden");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let file = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), file)
        })
        .collect()
}

/// Puts saved texts in the place of `${name}`.
fn fill(text: &str, saved: &BTreeMap<String, String>) -> String {
    saved.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

fn fill_all(value: &Json, saved: &BTreeMap<String, String>) -> Json {
    serde_json::from_str(&fill(&value.to_string(), saved)).unwrap()
}

struct Play {
    world: World,
    session: String,
    saved: BTreeMap<String, String>,
}

impl Play {
    async fn new() -> Play {
        let world = World::new().await;
        let session = world.account("ada").await;
        Play { world, session, saved: BTreeMap::new() }
    }

    /// What is wrong with the answer, if anything is.
    async fn pair(&mut self, pair: &Pair, flavour: &str) -> Result<(), String> {
        let path = fill(&pair.path.replace("{flavour}", flavour), &self.saved);
        let mut headers: Vec<(String, String)> =
            pair.headers.iter().map(|(name, value)| (name.clone(), fill(value, &self.saved))).collect();
        match &*pair.who {
            "session" => headers.push(("authorization".into(), self.session.clone())),
            "key" => headers.push(("x-api-key".into(), self.world.key.clone())),
            "key+ada" => {
                headers.push(("x-api-key".into(), self.world.key.clone()));
                headers.push(("linked_account_id".into(), "ada".into()));
            }
            "nobody" => {}
            who => return Err(format!("there is no `{who}`")),
        }
        // Backends of the hosted service send this with every request, whatever there is to send.
        headers.push(("content-type".into(), "application/json".into()));
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let body = match &pair.body {
            Json::Null => String::new(),
            Json::String(text) => text.clone(),
            body => fill_all(body, &self.saved).to_string(),
        };
        let said = self.world.send(&pair.method, &path, &headers, body.as_bytes()).await;
        if said.status != pair.status {
            return Err(format!("{} and not {}: {}", said.status, pair.status, said.text));
        }
        let answer = said.json();
        let wanted = fill_all(&pair.answer, &self.saved);
        matcher::matches(&wanted, &answer).map_err(|why| format!("{why}: {}", said.text))?;
        can_fail(&wanted, &answer)?;
        for (name, pointer) in &pair.save {
            let value = answer.pointer(pointer).and_then(Json::as_str).ok_or_else(|| format!("there is no `{pointer}` to save"))?;
            self.saved.insert(name.clone(), value.to_owned());
        }
        Ok(())
    }
}

/// Another expectation at any place of it does not hold for the same answer.
fn can_fail(wanted: &Json, answer: &Json) -> Result<(), String> {
    fn places(at: &str, value: &Json, found: &mut Vec<String>) {
        match value {
            Json::Object(map) if map.keys().any(|key| key.starts_with('$')) => {}
            Json::Object(map) => {
                map.iter().for_each(|(name, value)| places(&format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), value, found))
            }
            Json::Array(items) => items.iter().enumerate().for_each(|(n, value)| places(&format!("{at}/{n}"), value, found)),
            _ => found.push(at.to_owned()),
        }
    }
    let mut found = Vec::new();
    places("", wanted, &mut found);
    for place in found {
        let mut other = wanted.clone();
        *other.pointer_mut(&place).ok_or("a place that is none")? = "another value than any answer has".into();
        if matcher::matches(&other, answer).is_ok() {
            return Err(format!("what is expected at `{place}` is not compared"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_pair_holds() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, file) in files() {
        let mut play = Play::new().await;
        for (number, pair) in file.pairs.iter().enumerate() {
            let one = [String::new()];
            let flavours = if pair.flavours.is_empty() { &one[..] } else { &pair.flavours };
            for flavour in flavours {
                count += 1;
                if let Err(why) = play.pair(pair, flavour).await {
                    let path = pair.path.replace("{flavour}", flavour);
                    wrong.push(format!("{name} {} (section {}): {} {path} [{}]: {why}", number + 1, pair.api, pair.method, pair.who));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 200, "{count} pairs");
}

/// An endpoint without a good answer among the pairs, in each of its flavours, fails here; so does a new one.
#[test]
fn every_endpoint_has_a_pair() {
    let mut answered = BTreeSet::new();
    for pair in files().values().flat_map(|file| &file.pairs) {
        let one = [String::new()];
        let flavours = if pair.flavours.is_empty() { &one[..] } else { &pair.flavours };
        for flavour in flavours.iter().filter(|_| matches!(pair.status, 200 | 501)) {
            let path = pair.path.replace("{flavour}", flavour);
            let parts: Vec<&str> = path.split('?').next().unwrap().split('/').filter(|part| !part.is_empty()).collect();
            // The row with the most words of its own is the one that the router takes.
            let fits = ENDPOINTS.iter().filter(|(method, pattern, _)| {
                let pattern: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
                *method == pair.method
                    && pattern.len() == parts.len()
                    && pattern.iter().zip(&parts).all(|(a, b)| a.starts_with('{') || a == b)
            });
            answered
                .extend(fits.min_by_key(|(_, pattern, _)| pattern.matches('{').count()).map(|(method, pattern, _)| (*method, *pattern)));
        }
    }
    // Pages and what Smalt adds have tests of their own.
    let is_page =
        |path: &str, access: Access| path.starts_with("/smalt/v1/") || access == Access::Public && !path.contains("/auth-structure/");
    let missing: Vec<String> = ENDPOINTS
        .iter()
        .filter(|(method, path, access)| !is_page(path, *access) && !answered.contains(&(*method, *path)))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert!(missing.is_empty(), "no pair answers well:\n{}", missing.join("\n"));
}
