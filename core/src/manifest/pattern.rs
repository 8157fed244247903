//! The pattern language of input fields: what an entered value must look like.
//!
//! It is the syntax of regular expressions without look-around and back-references: literals, classes (`[a-z0-9-]`, `\d`,
//! `\w`, `\s`, ASCII only), groups with alternatives (`(eu|us)`), and the quantifiers `?`, `*`, `+`, `{n}`, `{n,m}`. A pattern
//! always means the whole value: `^` and `$` are not needed. Matching takes time linear in the value's length.

use regex_lite::{Regex, RegexBuilder};

/// Patterns longer than this many bytes are refused.
pub const MAX_PATTERN: usize = 512;
/// Values longer than this many bytes never match.
pub const MAX_VALUE: usize = 8 * 1024;
/// What a compiled pattern may take, in bytes: bounds the time of a match.
const MAX_COMPILED: usize = 64 * 1024;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it, as a phrase.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN {
            return Err(format!("it is longer than {MAX_PATTERN} bytes"));
        }
        let build = |text: &str| RegexBuilder::new(text).size_limit(MAX_COMPILED).nest_limit(16).build().map_err(|e| e.to_string());
        // On its own first: `a)|(b` is only well-formed inside the anchoring group.
        build(pattern)?;
        build(&format!(r"\A(?:{pattern})\z")).map(Self)
    }

    /// Whether the whole value matches.
    pub fn matches(&self, value: &str) -> bool {
        value.len() <= MAX_VALUE && self.0.is_match(value)
    }

    /// What is kept of a value that matches: the group `value` where the pattern has one, else the whole.
    pub fn kept<'v>(&self, value: &'v str) -> Option<&'v str> {
        if value.len() > MAX_VALUE {
            return None;
        }
        let found = self.0.captures(value)?;
        Some(found.name("value").map_or(value, |group| group.as_str()))
    }
}

/// The part of a pattern that is kept: the group `value` where there is one, else the whole.
pub(crate) fn value_part(pattern: &str) -> &str {
    let Some((start, name)) = ["(?<value>", "(?P<value>"].iter().find_map(|name| Some((pattern.find(name)?, name))) else { return pattern };
    let inner = &pattern[start + name.len()..];
    let (mut depth, mut in_class, mut escaped) = (0_u32, false, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            '[' => in_class = true,
            '(' if !in_class => depth += 1,
            ')' if !in_class && depth == 0 => return &inner[..at],
            ')' if !in_class => depth -= 1,
            _ => {}
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(value)
    }

    #[test]
    fn a_pattern_means_the_whole_value() {
        assert!(matches("[a-z0-9-]{1,63}", "my-shop-1"));
        for other in ["", "a b", "shop.evil", "shop\n", "\nshop", "Shop", &"a".repeat(64)] {
            assert!(!matches("[a-z0-9-]{1,63}", other), "{other:?}");
        }
        assert!(matches("eu|us", "us") && !matches("eu|us", "eux"));
        assert!(!matches("(?m)^a$", "a\nb"));
        assert!(matches(r"AC[0-9a-f]{32}", "AC0123456789abcdef0123456789abcdef"));
    }

    #[test]
    fn a_part_can_be_kept() {
        let origin = r"https://(?<value>[a-z0-9-]+(\.my)?\.acme\.com)/?";
        let pattern = Pattern::new(origin).unwrap();
        assert_eq!(pattern.kept("https://eu-1.my.acme.com/"), Some("eu-1.my.acme.com"));
        assert_eq!(pattern.kept("https://eu.evil.com/"), None);
        assert_eq!(value_part(origin), r"[a-z0-9-]+(\.my)?\.acme\.com");
        assert_eq!(value_part(r"(?P<value>[)(]\)a)b"), r"[)(]\)a");
        assert_eq!((value_part("[a-z]+"), value_part("(?<value>")), ("[a-z]+", "(?<value>"));
        assert_eq!(Pattern::new("[0-9]+").unwrap().kept("42"), Some("42"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in [
            "a)|(b",
            "(",
            "[",
            "a{2,1}",
            "(?=a)",
            r"(a)\1",
            "*",
            &"a".repeat(MAX_PATTERN + 1),
            "((((((((a{99}){99}){99}){99}){99}){99}){99}){99})",
        ] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_an_error(pattern in ".{0,80}", value in ".{0,200}") {
            if let Ok(p) = Pattern::new(&pattern) {
                p.matches(&value);
            }
        }

        #[test]
        fn a_literal_matches_itself_only(value in "[a-z]{1,20}", other in "[a-z\n.]{0,20}") {
            prop_assert_eq!(matches(&value, &other), value == other);
        }
    }
}
