//! Families: a manifest that `extends` another says only what differs.
//!
//! Tables are merged key by key, at any depth; everything else, lists too, takes the place of what the base says. A table
//! that says where something goes (`in = "header"`) is a whole and never mixed with another. Facts are added to the base's.
//! What names the one file is its own: version, slug, name, description, and what this module is about.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    AppManifest,
    document::{Report, typed},
};

/// How long a family's line may be: a base may extend another one.
const LONGEST_LINE: usize = 4;

/// Keys that are never taken from a base.
pub(super) const OWN: [&str; 7] = ["manifest", "slug", "name", "description", "extends", "without", "abstract"];

/// A manifest's text and the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) text: Cow<'static, str>,
}

/// Finds a base: its slug, and the files that are in the line already and so cannot be meant.
pub(crate) type Find<'f> = &'f dyn Fn(&str, &[&str]) -> Option<Source>;

/// The bases of a manifest, the nearest first; and in whose file a base is named that there is not, with its slug.
pub(crate) fn line(text: &str, file: &str, find: Find<'_>) -> (Vec<Source>, Option<(usize, String)>) {
    let mut bases: Vec<Source> = Vec::new();
    loop {
        let Some(slug) = extends(bases.last().map_or(text, |source| &source.text)) else { return (bases, None) };
        let line: Vec<&str> = std::iter::once(file).chain(bases.iter().map(|source| source.file.as_str())).collect();
        match find(&slug, &line).filter(|_| bases.len() < LONGEST_LINE) {
            Some(base) => bases.push(base),
            None => {
                let at = bases.len();
                return (bases, Some((at, slug)));
            }
        }
    }
}

/// What a text says that it extends; the quick look spares the many that extend nothing.
fn extends(text: &str) -> Option<String> {
    if !text.contains("extends") {
        return None;
    }
    let table = DeTable::parse(text).ok()?;
    table.get_ref().get("extends")?.get_ref().as_str().map(str::to_owned)
}

/// The manifest that a line of tables makes, the nearest first, and the keys of `without` that take nothing away: in which
/// table, and at which place of its list.
pub(crate) fn merge<'a>(line: &[&DeTable<'a>]) -> (DeTable<'a>, Vec<(usize, usize)>) {
    let mut merged = DeTable::new();
    let mut idle = Vec::new();
    for (at, table) in line.iter().enumerate().rev() {
        OWN.iter().for_each(|key| drop(merged.remove(*key)));
        let without = table.get("without").and_then(|list| list.get_ref().as_array()).into_iter().flatten();
        for (index, key) in without.enumerate() {
            if !key.get_ref().as_str().is_some_and(|key| remove(&mut merged, key)) {
                idle.push((at, index));
            }
        }
        let facts = merged.remove("facts");
        overlay(&mut merged, table);
        if let Some(facts) = facts {
            add_facts(&mut merged, facts);
        }
    }
    (merged, idle)
}

/// Takes a dotted key away; answers whether it was there.
fn remove(table: &mut DeTable<'_>, key: &str) -> bool {
    match key.split_once('.') {
        None => table.remove(key).is_some(),
        Some((first, rest)) => match table.get_mut(first).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => remove(inner, rest),
            _ => false,
        },
    }
}

/// Whether a table is a whole that is never mixed with another.
fn is_whole(table: &DeTable<'_>) -> bool {
    table.contains_key("in")
}

fn overlay<'a>(base: &mut DeTable<'a>, over: &DeTable<'a>) {
    for (key, value) in over {
        match (base.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.get_ref()) {
            (Some(DeValue::Table(inner)), DeValue::Table(with)) if !is_whole(with) && !is_whole(inner) => overlay(inner, with),
            _ => {
                base.remove(key.get_ref().as_ref());
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn add_facts<'a>(table: &mut DeTable<'a>, inherited: Spanned<DeValue<'a>>) {
    match (table.get_mut("facts").map(Spanned::get_mut), inherited.get_ref()) {
        (Some(DeValue::Array(own)), DeValue::Array(facts)) => facts.iter().for_each(|fact| own.push(fact.clone())),
        (Some(_), _) => {}
        (None, _) => drop(table.insert(Spanned::new(0..0, Cow::Borrowed("facts")), inherited)),
    }
}

/// A manifest of the box, without lint: a test keeps those free of errors.
pub(crate) fn read_unchecked(text: &str, file: &str, find: Find<'_>) -> Option<AppManifest> {
    let (bases, None) = line(text, file, find) else { return None };
    let texts = std::iter::once(text).chain(bases.iter().map(|source| source.text.as_ref()));
    let tables: Vec<_> = texts.map(DeTable::parse).collect::<Result<_, _>>().ok()?;
    let tables: Vec<&DeTable<'_>> = tables.iter().map(Spanned::get_ref).collect();
    match &tables[..] {
        [own] => typed(own),
        _ => typed(&merge(&tables).0),
    }
    .ok()
}

/// Adds the bases to a report about a text, and says what is wrong with the line itself.
pub(crate) fn join<'a>(report: &mut Report<'a>, bases: &'a [Source], missing: Option<(usize, String)>) {
    for base in bases {
        report.add_base(&base.text, &base.file);
    }
    if let Some((at, slug)) = missing {
        let cure = match bases.len() < LONGEST_LINE {
            true => "write the slug of a manifest of the box, or of one in the same folder or another of the project's",
            false => "let it extend the first of them",
        };
        report.error_in(at, &["extends"], format!("there is no manifest `{}` that it could extend", slug.escape_debug()), cure);
    }
    if report.failed() {
        return;
    }
    for at in 1..=bases.len() {
        if report.table_in(at).and_then(|table| table.get("manifest")?.get_ref().as_integer()).is_none_or(|version| version.as_str() != "1")
        {
            report.error_in(at, &["manifest"], "is not the version 1 of the manifest language", "write `manifest = 1`");
        }
    }
    for (at, index) in report.merge() {
        let path = ["without".to_owned(), index.to_string()];
        report.error_in(at, &[&path[0], &path[1]], "takes nothing away, since the base does not say it", "remove it, or correct the key");
    }
}

#[cfg(test)]
#[path = "family_tests.rs"]
mod tests;
