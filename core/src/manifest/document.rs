//! A TOML text with the place of every key, and the findings made about it.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Finding, Severity};

/// Files larger than this are not read: a manifest or project of such a size is a mistake.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// Collects findings about one text.
pub(crate) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    table: Option<Spanned<DeTable<'a>>>,
    findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    /// Parses the text; syntax errors become findings, and what could be read is kept.
    pub fn parse(text: &'a str, file: &'a str) -> Self {
        let mut report = Self { file, text, table: None, findings: Vec::new() };
        if text.len() as u64 > MAX_BYTES {
            report.whole("the file is larger than 1 MiB", "split it, or take out what does not belong there");
            return report;
        }
        match DeTable::parse(text) {
            Ok(table) => report.table = Some(table),
            Err(error) => report.toml(&error),
        }
        report
    }

    /// For a value that has no text.
    pub fn of_value(file: &'a str) -> Self {
        Self { file, text: "", table: None, findings: Vec::new() }
    }

    /// The parsed table; absent after a syntax error.
    pub fn table(&self) -> Option<&DeTable<'a>> {
        self.table.as_ref().map(Spanned::get_ref)
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

    /// Adds what the TOML reader says.
    pub fn toml(&mut self, error: &toml::de::Error) {
        let (line, column) = error.span().map_or((0, 0), |span| self.place(span.start));
        self.findings.push(Finding {
            file: self.file.to_owned(),
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
        self.findings.sort_by_key(|f| (f.line, f.severity, f.column));
        self.findings.dedup();
        self.findings
    }

    fn add(&mut self, severity: Severity, path: &[&str], message: String, cure: String) {
        let (line, column) = self.span(path).map_or((0, 0), |span| self.place(span.start));
        self.findings.push(Finding { file: self.file.to_owned(), line, column, key: key(path), severity, message, cure });
    }

    /// Where a key stands; its nearest ancestor's place when it is missing.
    fn span(&self, path: &[&str]) -> Option<Range<usize>> {
        let root = self.table.as_ref()?;
        let mut found = root.get_ref().iter().next().map_or(0..0, |(key, _)| key.span());
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
            match value {
                DeValue::Table(t) => table = Some(t),
                DeValue::Array(a) => array = Some(a),
                _ => {}
            }
        }
        Some(found)
    }

    /// Line and column of a byte, from 1.
    fn place(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
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

/// Levenshtein's distance; long words are only compared by their first 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
