//! XML, as far as logins speak it: values go into a manifest's document and a caller's, answers are read as JSON.
//!
//! UTF-8 only, and no document type: there are no entities but the five of XML 1.0 (section 4.6) and numbers, so nothing in
//! an answer can grow or lead to a file.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::model::{Json, JsonMap};

/// No element stands deeper.
const DEEPEST: usize = 32;

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
    fn new(document: &'a str) -> Self {
        Self { document: document.strip_prefix('\u{feff}').unwrap_or(document), at: 0 }
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

/// Elements on the way to the one that is being read: tags must close in their order.
fn close<T>(open: &mut Vec<(&str, T)>, name: &str) -> Result<T, Trouble> {
    match open.pop() {
        Some((opened, element)) if opened == name => Ok(element),
        _ => Err("its tags close in another order than they open"),
    }
}

/// An element that is not closed yet.
#[derive(Default)]
struct Element {
    text: Zeroizing<String>,
    members: JsonMap,
}

impl Element {
    fn add(&mut self, name: &str, value: Json) {
        match self.members.get_mut(name) {
            None => drop(self.members.insert(name.to_owned(), value)),
            Some(Json::Array(items)) => items.push(value),
            Some(one) => *one = Json::Array(vec![one.take(), value]),
        }
    }

    fn value(mut self) -> Json {
        let blank = self.text.trim().is_empty();
        let text = if self.text.trim().len() == self.text.len() { std::mem::take(&mut *self.text) } else { self.text.trim().to_owned() };
        if self.members.is_empty() {
            return Json::String(text);
        }
        if !blank {
            self.members.insert("#text".to_owned(), Json::String(text));
        }
        Json::Object(self.members)
    }
}

/// A document as JSON, so that pointers lead into it: an element is a member of its parent, by its name; one that holds text
/// only is that text, without blanks around it. Elements of one name become a list, attributes are `@name`, and text beside
/// them is `#text`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(document: &str) -> Result<Json, Trouble> {
    let mut pieces = Pieces::new(document);
    let mut open: Vec<(&str, Element)> = Vec::new();
    let mut root = JsonMap::new();
    let end = |open: &mut Vec<(&str, Element)>, root: &mut JsonMap, name: &str| -> Result<(), Trouble> {
        let value = close(open, name)?.value();
        match open.last_mut() {
            Some((_, parent)) => parent.add(name, value),
            None if root.is_empty() => drop(root.insert(name.to_owned(), value)),
            None => return Err("it has more than one outermost element"),
        }
        Ok(())
    };
    while let Some(piece) = pieces.next()? {
        match piece {
            Piece::Open { name, attributes, empty, .. } => {
                if open.len() == DEEPEST {
                    return Err("its elements stand deeper than 32");
                }
                let mut element = Element::default();
                self::attributes(attributes, |name, value| element.add(&format!("@{name}"), Json::String(value)))?;
                open.push((name, element));
                if empty {
                    end(&mut open, &mut root, name)?;
                }
            }
            Piece::Close { name, .. } => end(&mut open, &mut root, name)?,
            Piece::Text(text) | Piece::Plain(text) if open.is_empty() => {
                if !text.trim().is_empty() {
                    return Err("text stands beside its outermost element");
                }
            }
            Piece::Text(text) => {
                if let Some((_, element)) = open.last_mut() {
                    unescape(text, &mut element.text)?;
                }
            }
            Piece::Plain(text) => {
                if let Some((_, element)) = open.last_mut() {
                    element.text.push_str(text);
                }
            }
        }
    }
    match (open.is_empty(), root.is_empty()) {
        (true, false) => Ok(Json::Object(root)),
        (false, _) => Err("an element in it is never closed"),
        (true, true) => Err("it holds no element"),
    }
}

fn attributes(text: &str, mut each: impl FnMut(&str, String)) -> Result<(), Trouble> {
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
        unescape(value, &mut plain)?;
        each(name.trim_end(), std::mem::take(&mut *plain));
        rest = after.trim_start();
    }
    Ok(())
}

/// Appends text whose escapes are resolved.
fn unescape(text: &str, into: &mut String) -> Result<(), Trouble> {
    // It never gets longer: one growth, before anything is in it that a copy would leave behind.
    into.reserve(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        into.push_str(&rest[..at]);
        let (name, after) = rest[at + 1..].split_once(';').ok_or("an `&` in it stands for nothing")?;
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
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
        into.push(meant.ok_or("an entity in it is unknown")?);
        rest = after;
    }
    into.push_str(rest);
    Ok(())
}

/// A value as it may stand in an element or in an attribute, whichever quotes that has. None where it holds what XML 1.0 has no
/// way to write (section 2.2).
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
            '\r' => escaped.push_str("&#13;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => return None,
            c => escaped.push(c),
        }
    }
    Some(escaped)
}

/// The same document with a value as all that the element at `path` (`/request/sessionid`) holds.
///
/// # Errors
/// What is wrong with the document, or that there is not exactly one such element.
pub(crate) fn put(document: &str, path: &str, value: &str) -> Result<Zeroizing<String>, Trouble> {
    let value = escape(value).ok_or("the value holds what XML cannot")?;
    let mut pieces = Pieces::new(document);
    let document = pieces.document;
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut found: Option<(Range<usize>, &str, bool)> = None;
    while let Some(piece) = pieces.next()? {
        let at_path = |open: &[(&str, usize)]| path.strip_prefix('/').is_some_and(|path| path.split('/').eq(open.iter().map(|(n, _)| *n)));
        let place = match piece {
            Piece::Open { name, empty, at, .. } => {
                if open.len() == DEEPEST {
                    return Err("its elements stand deeper than 32");
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_reads_as_json() {
        for (document, wanted) in [
            ("<a/>", json!({"a": ""})),
            ("\u{feff}<?xml version=\"1.0\"?>\n<a> x\n</a>\n<!-- end -->", json!({"a": "x"})),
            ("<a><b>1</b><b>2</b><c/><b>3</b></a>", json!({"a": {"b": ["1", "2", "3"], "c": ""}})),
            ("<a k='1' l=\"&lt;>\">t<b/></a>", json!({"a": {"@k": "1", "@l": "<>", "#text": "t", "b": ""}})),
            ("<a>&amp;&#65;&#x42;<![CDATA[<&amp;>]]>c</a>", json!({"a": "&AB<&amp;>c"})),
            ("<s:a xmlns:s=\"urn:x\"><s:b>1</s:b></s:a >", json!({"s:a": {"@xmlns:s": "urn:x", "s:b": "1"}})),
        ] {
            assert_eq!(read(document).unwrap(), wanted, "{document}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(33), "</a>".repeat(33));
        for (document, trouble) in [
            ("", "no element"),
            ("x", "beside"),
            ("{\"a\":1}", "beside"),
            ("<a>", "never closed"),
            ("<a><b></a></b>", "another order"),
            ("</a>", "another order"),
            ("<a/><b/>", "more than one"),
            ("<a>&nbsp;</a>", "unknown"),
            ("<a>&amp</a>", "stands for nothing"),
            ("<a>&#xd800;</a>", "unknown"),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "document type"),
            ("<a b=c/>", "attribute"),
            ("<a b/>", "attribute"),
            ("< a/>", "no name"),
            ("<a b=\"", "never closed"),
            ("<a><![CDATA[</a>", "never closed"),
            (&deep, "deeper"),
        ] {
            let found = read(document).unwrap_err();
            assert!(found.contains(trouble), "{document}: {found}");
        }
    }

    #[test]
    fn a_value_takes_the_place_of_what_an_element_held() {
        let put = |document: &str| put(document, "/r/s", "a<&\"'>").map(|text| text.to_string());
        let value = "a&lt;&amp;&quot;&apos;&gt;";
        assert_eq!(put("<r><t/><s/></r>").unwrap(), format!("<r><t/><s>{value}</s></r>"));
        assert_eq!(
            put("<?xml version='1.0'?><r><s k=\"/>\" /></r>").unwrap(),
            format!("<?xml version='1.0'?><r><s k=\"/>\">{value}</s></r>")
        );
        assert_eq!(put("<r><s>old<x/></s></r>").unwrap(), format!("<r><s>{value}</s></r>"));
        for (document, trouble) in [
            ("<r><s/><s/></r>", "more than once"),
            ("<r><t><s/></t></r>", "no such element"),
            ("<s/>", "no such element"),
            ("<r><!-- <s/> --></r>", "no such element"),
            ("<r><s/>", "never closed"),
            ("{}", "no such element"),
        ] {
            assert!(put(document).unwrap_err().contains(trouble), "{document}");
        }
        assert_eq!(super::put("<r><s/></r>", "/r/s", "a\0").unwrap_err(), "the value holds what XML cannot");
    }

    proptest! {
        /// What is escaped is read again, and nothing else becomes of it (S-54: no value adds an element).
        #[test]
        fn s54_a_value_stays_a_value(value in "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{7f}-\u{9f}\u{fffe}\u{ffff}]{0,40}") {
            let document = put("<r k='1'><s/><t>x</t></r>", "/r/s", &value).unwrap();
            prop_assert_eq!(read(&document).unwrap(), json!({"r": {"@k": "1", "s": value.trim(), "t": "x"}}));
        }

        #[test]
        fn nothing_breaks_the_reader(document in "(<|>|/|a|b|&|;|#|x|\"|'|=| |!|-|\\[|CDATA|\\]|\\?){0,60}|.{0,60}") {
            let _ = read(&document);
            let _ = put(&document, "/a/b", "x");
        }
    }
}
