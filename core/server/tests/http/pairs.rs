//! Golden pairs of requests and answers, written from the contract of the hosted service's clients: `golden/*.json`, one file a
//! subject, in order, each in a world of its own. What an answer must hold is a matcher, as in the conformance cases.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use smalt::model::Json;

use crate::{
    endpoints::ENDPOINTS,
    world::{PUBLIC, World},
};

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
    /// Before the request a user decides so (`allow`, `deny`) at the provider, where `${authorize}` leads; what the browser brings back from
    /// there is `${callback}`, as a query.
    #[serde(default)]
    visit: Option<String>,
    status: u16,
    /// Of an answer that is no JSON, its text.
    answer: Json,
    /// By header; matchers, too.
    #[serde(default)]
    answer_headers: Json,
    #[serde(default)]
    save: BTreeMap<String, String>,
    /// From headers; of a cookie, its name and value.
    #[serde(default)]
    save_headers: BTreeMap<String, String>,
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
        if let Some(decision) = &pair.visit {
            self.visit(decision).await?;
        }
        let path = fill(&pair.path.replace("{flavour}", flavour), &self.saved).replace(PUBLIC, "");
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
        if !pair.headers.contains_key("content-type") {
            headers.push(("content-type".into(), "application/json".into()));
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let body = match &pair.body {
            Json::Null => String::new(),
            Json::String(text) => fill(text, &self.saved),
            body => fill_all(body, &self.saved).to_string(),
        };
        let said = self.world.send(&pair.method, &path, &headers, body.as_bytes()).await;
        if said.status != pair.status {
            return Err(format!("{} and not {}: {}", said.status, pair.status, said.text));
        }
        let is_json = said.header("content-type").starts_with("application/json");
        let answer = if is_json { said.json() } else { said.text.clone().into() };
        let named = said.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        for (wanted, answer) in [(&pair.answer, &answer), (&pair.answer_headers, &Json::Object(named.collect()))] {
            let wanted = fill_all(wanted, &self.saved);
            // Where a pair says nothing of headers, they may be any.
            if wanted.is_null() && answer.is_object() {
                continue;
            }
            matcher::matches(&wanted, answer).map_err(|why| format!("{why}: {answer}"))?;
            can_fail(&wanted, answer)?;
        }
        for (name, pointer) in &pair.save {
            let value = answer.pointer(pointer).and_then(Json::as_str).ok_or_else(|| format!("there is no `{pointer}` to save"))?;
            self.saved.insert(name.clone(), value.to_owned());
        }
        for (name, header) in &pair.save_headers {
            let value = said.header(header).split(';').next().filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| format!("there is no header `{header}` to save"))?;
            self.saved.insert(name.clone(), value.to_owned());
        }
        Ok(())
    }

    /// The user at the provider.
    async fn visit(&mut self, decision: &str) -> Result<(), String> {
        let authorize = self.saved.get("authorize").ok_or("nothing leads to the provider yet")?;
        let mut url = url::Url::parse(authorize).map_err(|error| error.to_string())?;
        url.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", decision);
        let callback = smalt::sandbox::visit(url.as_str()).await.map_err(|error| error.to_string())?;
        let (_, query) = callback.split_once('?').ok_or("the callback has no query")?;
        self.saved.insert("callback".to_owned(), query.to_owned());
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
        for flavour in flavours.iter().filter(|_| matches!(pair.status, 200 | 303 | 501)) {
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
    // What Smalt adds, and clients of the hosted service do not know, has tests of its own.
    let own = ["/smalt/v1/", "/connect", "/client/", "/healthz", "/readyz"];
    let missing: Vec<String> = ENDPOINTS
        .iter()
        .filter(|(method, path, _)| !own.iter().any(|own| path.starts_with(own)) && !answered.contains(&(*method, *path)))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert!(missing.is_empty(), "no pair answers well:\n{}", missing.join("\n"));
}
