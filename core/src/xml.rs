//! XML, as far as logins speak it: values go into a manifest's document and a caller's, answers are read as JSON.
//!
//! UTF-8 only, and no document type: there are no entities but the five of XML 1.0 (section 4.6) and numbers, so nothing in
//! an answer can grow or lead to a file. What was read takes no more memory than its elements and texts do, and no element stands
//! deeper than [`DEEPEST`]. Whatever held a text is cleared when it is dropped, also where the reading fails half-way.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::{
    model::{Json, JsonMap},
    secret::wipe,
};

/// No element stands deeper.
const DEEPEST: usize = 32;
const TOO_DEEP: Trouble = "its elements stand deeper than 32";
/// The member of an element that is its text, where it has attributes or inner elements too.
const TEXT: &str = "#text";
const UNKNOWN_CHARACTER: Trouble = "it holds a character that XML 1.0 does not have";

/// What is wrong with a document, in words that show nothing of it.
pub(crate) type Trouble = &'static str;

/// A piece of a document.
enum Piece<'a> {
    /// A start tag: `empty` where it is the end tag too (`<a/>`). The range is the tag's.
    Open { name: &'a str, attributes: &'a str, empty: bool, at: Range<usize> },
    /// An end tag.
    Close { name: &'a str, at: Range<usize> },
    /// Text with its escapes.
    Text(&'a str),
    /// Text that is meant as it is: CDATA.
    Plain(&'a str),
}

/// Takes a document apart, from the front to the end. Comments and processing instructions are passed over.
struct Pieces<'a> {
    document: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    /// # Errors
    /// That the document holds a character that XML 1.0 does not have.
    fn of(document: &'a str) -> Result<Self, Trouble> {
        match document.chars().all(is_character) {
            true => Ok(Self { document: document.strip_prefix('\u{feff}').unwrap_or(document), at: 0 }),
            false => Err(UNKNOWN_CHARACTER),
        }
    }

    /// What stands between here and `end`, which is passed over too.
    fn until(&mut self, skip: usize, end: &str) -> Result<&'a str, Trouble> {
        let from = self.at + skip;
        let length = self.document[from..].find(end).ok_or("something in it is never closed")?;
        self.at = from + length + end.len();
        Ok(&self.document[from..from + length])
    }

    fn next(&mut self) -> Result<Option<Piece<'a>>, Trouble> {
        loop {
            let rest = &self.document[self.at..];
            let start = self.at;
            if rest.is_empty() {
                return Ok(None);
            } else if rest.starts_with("<?") {
                self.until(2, "?>")?;
            } else if rest.starts_with("<!--") {
                self.until(4, "-->")?;
            } else if rest.starts_with("<![CDATA[") {
                return self.until(9, "]]>").map(|text| Some(Piece::Plain(text)));
            } else if rest.starts_with("<!") {
                return Err("it has a document type, which nobody reads");
            } else if rest.starts_with("</") {
                let name = self.until(2, ">")?.trim_end();
                return Ok(Some(Piece::Close { name, at: start..self.at }));
            } else if rest.starts_with('<') {
                return self.tag().map(Some);
            } else {
                let length = rest.find('<').unwrap_or(rest.len());
                self.at += length;
                return Ok(Some(Piece::Text(&rest[..length])));
            }
        }
    }

    /// A start tag. A `>` may stand in an attribute's value.
    fn tag(&mut self) -> Result<Piece<'a>, Trouble> {
        let start = self.at;
        let mut quote = None;
        let end = self.document[start..].char_indices().find(|(_, c)| match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(*c);
                false
            }
            (Some(open), c) if open == *c => {
                quote = None;
                false
            }
            (None, '>') => true,
            _ => false,
        });
        let length = end.ok_or("a tag in it is never closed")?.0;
        self.at = start + length + 1;
        let inner = &self.document[start + 1..start + length];
        let (inner, empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
        let (name, attributes) = inner.split_at(inner.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inner.len()));
        if !is_name(name) {
            return Err("a tag in it has no name that XML knows");
        }
        Ok(Piece::Open { name, attributes, empty, at: start..self.at })
    }
}

/// Whether an element or attribute may be called so: a stricter reading of XML 1.0 section 2.3.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
}

/// A text without the blanks around it that XML 1.0 takes for such (section 2.3).
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// Whether XML 1.0 has this character (section 2.2). What it does not have cannot be written as a number either (section 4.1).
fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Closes the innermost of the elements that are open, which must be the one of this name.
fn close<T>(open: &mut Vec<(&str, T)>, name: &str) -> Result<T, Trouble> {
    match open.pop() {
        Some((opened, element)) if opened == name => Ok(element),
        _ => Err("its tags close in another order than they open"),
    }
}

/// An element that is not closed yet, or what stands around the outermost one.
#[derive(Default)]
struct Element {
    text: Zeroizing<String>,
    members: JsonMap,
}

impl Element {
    /// Adds an inner element: those of one name become a list.
    fn add(&mut self, name: &str, value: Json) {
        match self.members.get_mut(name) {
            None => drop(self.members.insert(name.to_owned(), value)),
            Some(Json::Array(items)) => items.push(value),
            Some(one) => *one = Json::Array(vec![one.take(), value]),
        }
    }

    /// Adds an attribute, which stands once (section 3.1).
    fn attribute(&mut self, name: &str, value: String) -> Result<(), Trouble> {
        match self.members.insert(format!("@{name}"), Json::String(value)) {
            None => Ok(()),
            Some(mut before) => {
                wipe(&mut before);
                Err("an attribute stands twice in one of its tags")
            }
        }
    }

    /// What it is as JSON.
    fn value(mut self) -> Json {
        let text = match trim(&self.text).len() == self.text.len() {
            true => std::mem::take(&mut *self.text),
            false => trim(&self.text).to_owned(),
        };
        if self.members.is_empty() {
            return Json::String(text);
        }
        if !text.is_empty() {
            self.members.insert(TEXT.to_owned(), Json::String(text));
        }
        Json::Object(std::mem::take(&mut self.members))
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        self.members.values_mut().for_each(wipe);
    }
}

/// A document as JSON, so that [`find`] leads into it: an element is a member of its parent, by its name; one that holds text
/// only is that text, without blanks around it. Elements of one name become a list, attributes are `@name`, and text beside
/// them is [`TEXT`]. Whoever takes it clears its texts.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(document: &str) -> Result<Json, Trouble> {
    let mut pieces = Pieces::of(document)?;
    let mut open: Vec<(&str, Element)> = Vec::new();
    let mut around = Element::default();
    let end = |open: &mut Vec<(&str, Element)>, around: &mut Element, name: &str| -> Result<(), Trouble> {
        let element = close(open, name)?;
        if open.is_empty() && !around.members.is_empty() {
            return Err("it has more than one outermost element");
        }
        open.last_mut().map_or(around, |(_, parent)| parent).add(name, element.value());
        Ok(())
    };
    while let Some(piece) = pieces.next()? {
        match piece {
            Piece::Open { name, attributes, empty, .. } => {
                if open.len() == DEEPEST {
                    return Err(TOO_DEEP);
                }
                let mut element = Element::default();
                self::attributes(attributes, |name, value| element.attribute(name, value))?;
                open.push((name, element));
                if empty {
                    end(&mut open, &mut around, name)?;
                }
            }
            Piece::Close { name, .. } => end(&mut open, &mut around, name)?,
            Piece::Text(text) => match open.last_mut() {
                Some((_, element)) => unescape(text, &mut element.text, Blanks::Lines)?,
                None if trim(text).is_empty() => {}
                None => return Err("text stands beside its outermost element"),
            },
            Piece::Plain(text) => match open.last_mut() {
                Some((_, element)) => push(&mut element.text, text, Blanks::Lines),
                None => return Err("text stands beside its outermost element"),
            },
        }
    }
    match (open.is_empty(), around.members.is_empty()) {
        (true, false) => Ok(Json::Object(std::mem::take(&mut around.members))),
        (false, _) => Err("an element in it is never closed"),
        (true, true) => Err("it holds no element"),
    }
}

/// Where a pointer leads in what [`read`] answered. It is a JSON pointer (RFC 6901), but how often an element stands there makes no
/// difference to it: the first of several is meant, unless a number follows that counts from 0, and `0` of one that stands there once
/// is itself. (No name of XML begins with a digit.)
pub(crate) fn find<'a>(document: &'a Json, pointer: &str) -> Option<&'a Json> {
    let steps = match pointer {
        "" => return Some(document),
        pointer => pointer.strip_prefix('/')?.split('/'),
    };
    steps.into_iter().try_fold(document, |here, step| match (here, step.parse::<usize>()) {
        (Json::Array(several), Ok(number)) => several.get(number),
        (Json::Array(several), Err(_)) => several.first()?.get(step),
        (one, Ok(0)) => Some(one),
        (_, Ok(_)) => None,
        (one, Err(_)) => one.get(step),
    })
}

/// What an element says that a pointer led to: the first one of several; its text where it has attributes beside that alone.
pub(crate) fn said(element: &Json) -> Option<&Json> {
    static NOTHING: Json = Json::String(String::new());
    match element {
        Json::Array(several) => said(several.first()?),
        Json::Object(members) if members.keys().all(|name| name == TEXT || name.starts_with('@')) => {
            Some(members.get(TEXT).unwrap_or(&NOTHING))
        }
        element => Some(element),
    }
}

/// What a declaration at the document's start says beside the version (section 2.8), e.g. `encoding`; none where it has none.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn declaration(document: &str) -> Result<Option<JsonMap>, Trouble> {
    let Some(after) = document.strip_prefix("<?xml").filter(|after| after.starts_with(|c: char| c.is_ascii_whitespace())) else {
        return Ok(None);
    };
    let (inner, _) = after.split_once("?>").ok_or("its declaration is never closed")?;
    let mut said = JsonMap::new();
    attributes(inner, |name, value| {
        said.insert(name.to_owned(), Json::String(value));
        Ok(())
    })?;
    Ok(Some(said))
}

fn attributes(text: &str, mut each: impl FnMut(&str, String) -> Result<(), Trouble>) -> Result<(), Trouble> {
    const WRONG: Trouble = "an attribute in it is written wrongly";
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(WRONG)?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(WRONG)?;
        let (value, after) = after[1..].split_once(quote).ok_or(WRONG)?;
        if !is_name(name.trim_end()) || value.contains('<') {
            return Err(WRONG);
        }
        let mut plain = Zeroizing::new(String::new());
        unescape(value, &mut plain, Blanks::Spaces)?;
        each(name.trim_end(), std::mem::take(&mut *plain))?;
        rest = after.trim_start();
    }
    Ok(())
}

/// How blanks are read that stand there as they are.
#[derive(Clone, Copy, PartialEq)]
enum Blanks {
    /// In a text: each end of a line is one `\n` (section 2.11).
    Lines,
    /// In an attribute: each is a space (section 3.3.3).
    Spaces,
}

/// Appends text as it is, but for its blanks.
fn push(into: &mut Zeroizing<String>, text: &str, blanks: Blanks) {
    make_room(into, text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let c = match c {
            '\r' => {
                characters.next_if_eq(&'\n');
                '\n'
            }
            c => c,
        };
        into.push(if blanks == Blanks::Spaces && matches!(c, '\n' | '\t') { ' ' } else { c });
    }
}

/// Appends text whose escapes are resolved.
fn unescape(text: &str, into: &mut Zeroizing<String>, blanks: Blanks) -> Result<(), Trouble> {
    // It never gets longer.
    make_room(into, text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        push(into, &rest[..at], blanks);
        let (name, after) = rest[at + 1..].split_once(';').ok_or("an `&` in it stands for nothing")?;
        let number = |digits: &str, radix| {
            let is_number = digits.chars().all(|c| c.is_digit(radix));
            u32::from_str_radix(digits, radix).ok().filter(|_| is_number).and_then(char::from_u32)
        };
        let meant = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
                (Some(digits), _) => number(digits, 16),
                (None, Some(digits)) => number(digits, 10),
                (None, None) => None,
            },
        };
        let meant = meant.ok_or("an entity in it is unknown")?;
        if !is_character(meant) {
            return Err(UNKNOWN_CHARACTER);
        }
        into.push(meant);
        rest = after;
    }
    push(into, rest, blanks);
    Ok(())
}

/// Room for so many bytes more. A text that grew by itself would leave copies of tokens behind.
fn make_room(text: &mut Zeroizing<String>, more: usize) {
    if text.capacity() - text.len() < more {
        let mut larger = Zeroizing::new(String::with_capacity((text.len() + more).max(2 * text.capacity())));
        larger.push_str(text);
        *text = larger;
    }
}

/// A value as it may stand in an element or in an attribute, whichever quotes that has; whoever reads it gets it as it was. None
/// where it holds what XML 1.0 has no way to write (section 2.2).
pub(crate) fn escape(value: &str) -> Option<Zeroizing<String>> {
    // `&quot;` and `&apos;` are the longest.
    let mut escaped = Zeroizing::new(String::with_capacity(6 * value.len()));
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // As they are, readers would make `\n` (section 2.11) or spaces (section 3.3.3) of them.
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            c if is_character(c) => escaped.push(c),
            _ => return None,
        }
    }
    Some(escaped)
}

/// The same document with a value as all that the element at `path` (`/request/sessionid`) holds.
///
/// # Errors
/// What is wrong with the document or the value, or that there is not exactly one such element.
pub(crate) fn put(document: &str, path: &str, value: &str) -> Result<Zeroizing<String>, Trouble> {
    let value = escape(value).ok_or("the credential holds a character that XML 1.0 does not have")?;
    let mut pieces = Pieces::of(document)?;
    let document = pieces.document;
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut found: Option<(Range<usize>, &str, bool)> = None;
    while let Some(piece) = pieces.next()? {
        let at_path = |open: &[(&str, usize)]| path.strip_prefix('/').is_some_and(|path| path.split('/').eq(open.iter().map(|(n, _)| *n)));
        let place = match piece {
            Piece::Open { name, empty, at, .. } => {
                if open.len() == DEEPEST {
                    return Err(TOO_DEEP);
                }
                open.push((name, at.end));
                let place = (empty && at_path(&open)).then_some((at, name, true));
                if empty {
                    open.pop();
                }
                place
            }
            Piece::Close { name, at } => {
                let hit = at_path(&open);
                let start = close(&mut open, name)?;
                hit.then_some((start..at.start, name, false))
            }
            Piece::Text(_) | Piece::Plain(_) => None,
        };
        if place.is_some() && found.is_some() {
            return Err("it holds that element more than once");
        }
        found = found.or(place);
    }
    if !open.is_empty() {
        return Err("an element in it is never closed");
    }
    let Some((at, name, empty)) = found else { return Err("it holds no such element") };
    let mut filled = Zeroizing::new(String::with_capacity(document.len() + value.len() + name.len() + 4));
    filled.push_str(&document[..at.start]);
    if empty {
        let tag = document[at.clone()].trim_end_matches("/>").trim_end();
        for part in [tag, ">", &value, "</", name, ">"] {
            filled.push_str(part);
        }
    } else {
        filled.push_str(&value);
    }
    filled.push_str(&document[at.end..]);
    Ok(filled)
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
