//! A TOML text with the place of every key, and the findings made about it.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Finding, Severity};
use crate::model::Json;

/// Files larger than this are not read: a manifest or project of such a size is a mistake.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// Collects findings about one text, or about one and those that it extends.
pub(crate) struct Report<'a> {
    /// The text itself, then its bases, the nearest first.
    layers: Vec<Layer<'a>>,
    /// What they make together, where there are several.
    merged: Option<DeTable<'a>>,
    findings: Vec<Finding>,
}

struct Layer<'a> {
    file: &'a str,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    table: Option<Spanned<DeTable<'a>>>,
}

/// Where a path leads in one layer.
struct Place {
    span: Range<usize>,
    /// How many of its steps lead somewhere.
    depth: usize,
    /// Whether it leads into a list or a table that is never mixed with a base's.
    whole: bool,
}

impl<'a> Report<'a> {
    /// Parses the text; syntax errors become findings, and what could be read is kept.
    pub fn parse(text: &'a str, file: &'a str) -> Self {
        let mut report = Self { layers: Vec::new(), merged: None, findings: Vec::new() };
        report.add_base(text, file);
        report
    }

    /// Adds what the last layer extends.
    pub fn add_base(&mut self, text: &'a str, file: &'a str) {
        let at = self.layers.len();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.layers.push(Layer { file, text, lines, table: None });
        if text.len() as u64 > MAX_BYTES {
            self.error_in(at, &[], "the file is larger than 1 MiB", "split it, or take out what does not belong there");
            return;
        }
        match DeTable::parse(text) {
            Ok(table) => self.layers[at].table = Some(table),
            Err(error) => self.toml_in(at, &error),
        }
    }

    /// Makes one table of all layers; answers which keys of `without` do nothing: layer and place in its list.
    pub fn merge(&mut self) -> Vec<(usize, usize)> {
        let tables: Vec<&DeTable<'a>> = self.layers.iter().filter_map(|layer| layer.table.as_ref().map(Spanned::get_ref)).collect();
        let (merged, idle) = super::family::merge(&tables);
        self.merged = Some(merged);
        idle
    }

    /// The table of one layer.
    pub fn table_in(&self, layer: usize) -> Option<&DeTable<'a>> {
        self.layers.get(layer)?.table.as_ref().map(Spanned::get_ref)
    }

    /// For a value that has no text.
    pub fn of_value(file: &'a str) -> Self {
        Self { layers: vec![Layer { file, text: "", lines: vec![0], table: None }], merged: None, findings: Vec::new() }
    }

    /// The parsed table; absent after a syntax error.
    pub fn table(&self) -> Option<&DeTable<'a>> {
        self.merged.as_ref().or_else(|| self.layers[0].table.as_ref().map(Spanned::get_ref))
    }

    /// Adds an error at a key.
    pub fn error(&mut self, path: &[&str], message: impl Into<String>, cure: impl Into<String>) {
        self.add(Severity::Error, path, message.into(), cure.into());
    }

    /// Adds a warning at a key.
    pub fn warn(&mut self, path: &[&str], message: impl Into<String>, cure: impl Into<String>) {
        self.add(Severity::Warning, path, message.into(), cure.into());
    }

    /// Adds an error about the whole file.
    pub fn whole(&mut self, message: impl Into<String>, cure: impl Into<String>) {
        self.error(&[], message, cure);
    }

    /// Adds why a table is no value of the type that it should be.
    pub fn untyped(&mut self, error: &serde_json::Error) {
        self.whole(format!("cannot be read: {error}"), "correct the value");
    }

    fn toml_in(&mut self, layer: usize, error: &toml::de::Error) {
        // In a merged table spans lead nowhere.
        let (line, column) = error.span().filter(|_| self.merged.is_none()).map_or((0, 0), |span| self.layers[layer].place(span.start));
        self.findings.push(Finding {
            file: self.layers[layer].file.to_owned(),
            line,
            column,
            key: String::new(),
            severity: Severity::Error,
            message: error.message().trim().to_owned(),
            cure: "correct the TOML at this place (https://toml.io/en/v1.0.0)".to_owned(),
        });
    }

    /// Whether this very key has a finding already.
    pub fn names(&self, path: &[&str]) -> bool {
        let key = key(path);
        self.findings.iter().any(|f| f.key == key)
    }

    /// Whether an error was found.
    pub fn failed(&self) -> bool {
        self.findings.iter().any(Finding::is_error)
    }

    /// The findings in the text's order, errors first within a line.
    pub fn finish(mut self) -> Vec<Finding> {
        let files: Vec<&str> = self.layers.iter().map(|layer| layer.file).collect();
        let rank = |finding: &Finding| files.iter().position(|file| *file == finding.file);
        self.findings.sort_by_key(|f| (rank(f), f.line, f.severity, f.column));
        self.findings.dedup();
        self.findings
    }

    fn add(&mut self, severity: Severity, path: &[&str], message: String, cure: String) {
        let (layer, line, column) = match self.find(path) {
            Some((layer, span)) => {
                let (line, column) = self.layers[layer].place(span.start);
                (layer, line, column)
            }
            None => (0, 0, 0),
        };
        self.findings.push(Finding { file: self.layers[layer].file.to_owned(), line, column, key: key(path), severity, message, cure });
    }

    /// Adds an error at a key of one layer.
    pub fn error_in(&mut self, layer: usize, path: &[&str], message: impl Into<String>, cure: impl Into<String>) {
        let (line, column) = self.layers[layer].walk(path).map_or((0, 0), |place| self.layers[layer].place(place.span.start));
        let (file, key) = (self.layers[layer].file.to_owned(), key(path));
        self.findings.push(Finding { file, line, column, key, severity: Severity::Error, message: message.into(), cure: cure.into() });
    }

    /// Which layer says a key, and where; its nearest ancestor's place when it is missing.
    fn find(&self, path: &[&str]) -> Option<(usize, Range<usize>)> {
        let mut best: Option<(usize, Place)> = None;
        let mut path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
        // What is each file's own is never a base's.
        let own = path.first().is_some_and(|first| super::family::OWN.contains(&first.as_str()));
        for (layer, of) in self.layers.iter().enumerate().take(if own { 1 } else { usize::MAX }) {
            let steps: Vec<&str> = path.iter().map(String::as_str).collect();
            let Some(place) = of.walk(&steps) else { continue };
            let ends = place.depth == path.len() || (place.whole && path.first().is_some_and(|first| first != "facts"));
            if best.as_ref().is_none_or(|(_, best)| place.depth > best.depth) {
                best = Some((layer, place));
            }
            if ends {
                break;
            }
            // A base's facts stand behind its heirs'.
            if path.first().is_some_and(|first| first == "facts")
                && let Some(index) = path.get(1).and_then(|index| index.parse::<usize>().ok())
            {
                path[1] = index.saturating_sub(of.facts()).to_string();
            }
        }
        best.map(|(layer, place)| (layer, place.span))
    }
}

impl Layer<'_> {
    fn facts(&self) -> usize {
        let facts = self.table.as_ref().and_then(|table| table.get_ref().get("facts")?.get_ref().as_array());
        facts.map_or(0, |facts| facts.iter().count())
    }

    fn walk(&self, path: &[&str]) -> Option<Place> {
        let root = self.table.as_ref()?;
        let mut found = root.get_ref().iter().map(|(key, _)| key.span()).min_by_key(|span| span.start).unwrap_or(0..0);
        let (mut depth, mut whole) = (0, false);
        let mut table = Some(root.get_ref());
        let mut array = None;
        for step in path {
            let (span, value) = if let Some(items) = array.take() {
                let items: &toml::de::DeArray<'_> = items;
                let Some(item) = step.parse().ok().and_then(|i: usize| items.get(i)) else { break };
                (item.span(), item.get_ref())
            } else if let Some(entries) = table.take() {
                let entries: &DeTable<'_> = entries;
                let Some((key, value)) = entries.get_key_value(*step) else { break };
                (key.span(), value.get_ref())
            } else {
                break;
            };
            found = span;
            depth += 1;
            match value {
                DeValue::Table(t) => {
                    whole |= t.contains_key("in");
                    table = Some(t);
                }
                DeValue::Array(a) => {
                    whole = true;
                    array = Some(a);
                }
                _ => {}
            }
        }
        Some(Place { span: found, depth, whole })
    }

    /// Line and column of a byte, from 1.
    fn place(&self, byte: usize) -> (usize, usize) {
        let byte = byte.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        (line, self.text.get(start..byte).unwrap_or_default().chars().count() + 1)
    }
}

/// What a table says, as a value of a type. By way of JSON: most types are read from there too, and reading each from TOML as
/// well would make programs larger by a megabyte.
pub(crate) fn typed<T: DeserializeOwned>(table: &DeTable<'_>) -> Result<T, serde_json::Error> {
    serde_json::from_value(json_table(table))
}

fn json_table(table: &DeTable<'_>) -> Json {
    Json::Object(table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect())
}

fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Boolean(is) => Json::Bool(*is),
        DeValue::Integer(number) => {
            let (text, radix) = (number.as_str(), number.radix());
            let signed = || i64::from_str_radix(text, radix).map(Json::from);
            // No type takes what fits into neither.
            signed().or_else(|_| u64::from_str_radix(text, radix).map(Json::from)).unwrap_or(Json::Null)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        // No type takes a date: those that are kept are texts.
        DeValue::Datetime(at) => serde_json::json!({ "date": at.to_string() }),
        DeValue::Array(items) => Json::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => json_table(table),
    }
}

/// `["facts", "0", "date"]` as `facts[0].date`.
fn key(path: &[&str]) -> String {
    let mut out = String::new();
    for step in path {
        if step.bytes().all(|b| b.is_ascii_digit()) && !step.is_empty() && !out.is_empty() {
            out.push_str(&format!("[{step}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(step);
        }
    }
    out
}

/// The candidate that was probably meant, if one is near enough.
pub(crate) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates.into_iter().map(|c| (distance(word, c), c)).filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

/// The distance of two words in changed, missing, added and swapped letters; long words are only compared by their first 64.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (row[j] + usize::from(x != y)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}
