//! Which values may stand in a URL's host.
//!
//! A bare DNS label always may where two fixed labels follow it. Anything longer must match what the manifest declares of
//! the value, and what it declares must end in a host that the manifest itself names, unless the value is the
//! organisation's own setting, or comes with the user's own key: then nothing of the organisation goes there.

use super::{
    AppManifest,
    pattern::{Pattern, value_part},
    template::{host_deciders, is_dns_label},
};
use crate::model::{InputField, InputOption};

/// What a manifest says of a value.
#[derive(Clone, Copy)]
pub(crate) struct Declared<'m> {
    pattern: Option<&'m str>,
    options: &'m [InputOption],
    /// Whether only the provider's own hosts may come of it.
    pinned: bool,
}

impl<'m> Declared<'m> {
    fn input(field: &'m InputField, pinned: bool) -> Self {
        Self { pattern: field.pattern.as_deref(), options: &field.options, pinned }
    }

    fn says_nothing(&self) -> bool {
        self.pattern.is_none() && self.options.is_empty()
    }

    fn fits(&self, value: &str) -> bool {
        let listed = self.options.is_empty() || self.options.iter().any(|option| option.value == value);
        let matches = self.pattern.is_none_or(|pattern| Pattern::new(value_part(pattern)).is_ok_and(|pattern| pattern.matches(value)));
        !self.says_nothing() && listed && matches
    }

    /// Whether every value that fits ends in a host that the manifest names.
    fn ends_known(&self) -> bool {
        match self.options {
            [] => self.pattern.is_some_and(|pattern| names_its_end(value_part(pattern))),
            some => some.iter().all(|option| option.value.split('.').count() >= 2 && is_host(&option.value)),
        }
    }
}

impl AppManifest {
    /// Everything that the manifest says of a name; several ways to connect may share one.
    pub(crate) fn declared(&self, name: &str) -> Vec<Declared<'_>> {
        let mut found = Vec::new();
        found.extend(self.variables.get(name).map(|v| Declared { pattern: v.pattern.as_deref(), options: &[], pinned: false }));
        if let Some(oauth2) = &self.oauth2 {
            // A client that was registered at the user's host is that host's: nothing of the organisation goes there.
            let pinned = oauth2.registration.is_none();
            found.extend(oauth2.inputs.iter().filter(|i| i.name == name).map(|i| Declared::input(i, pinned)));
            let copies = [&oauth2.copy_from_callback, &oauth2.copy_from_token].into_iter().chain(oauth2.steps.iter().map(|s| &s.copy));
            found.extend(copies.filter_map(|c| c.get(name)).map(|c| Declared { pattern: c.pattern(), options: &[], pinned: true }));
        }
        if let Some(keybased) = &self.keybased {
            found.extend(keybased.inputs.iter().filter(|i| i.name == name).map(|i| Declared::input(i, false)));
            let copy = keybased.verify.as_ref().and_then(|verify| verify.copy.get(name));
            found.extend(copy.map(|c| Declared { pattern: c.pattern(), options: &[], pinned: true }));
        }
        found
    }

    /// Whether a value that is more than one label may stand in a host.
    pub(crate) fn fits_host(&self, name: &str, value: &str) -> bool {
        let declared = self.declared(name);
        is_host(value) && !declared.is_empty() && declared.iter().all(|d| d.fits(value))
    }

    /// Whether a value is as everything that the manifest says of it demands.
    pub(crate) fn accepts(&self, name: &str, value: &str) -> bool {
        self.declared(name).iter().filter(|d| !d.says_nothing()).all(|d| d.fits(value))
    }

    /// Whether a user can name the host that tokens are asked of: no client of the organisation's own may go there.
    pub(crate) fn leads_anywhere(&self) -> bool {
        let Some(oauth2) = &self.oauth2 else { return false };
        host_deciders(&oauth2.token_url)
            .iter()
            .any(|name| oauth2.inputs.iter().any(|input| input.name == *name && !Declared::input(input, true).ends_known()))
    }

    /// Why a placeholder cannot decide about the end of a host, and the cure; nothing when it can.
    pub(crate) fn host_trouble(&self, name: &str) -> Option<(String, String)> {
        let declared = self.declared(name);
        if declared.iter().any(Declared::says_nothing) || declared.is_empty() {
            let cure = "fix at least the last two parts of the host, e.g. `{shop}.example.com`; or give the value a `pattern` that ends so";
            return Some(("lets a placeholder decide whose host is called".to_owned(), cure.to_owned()));
        }
        declared.iter().any(|d| d.pinned && !d.ends_known()).then(|| {
            (
                format!("lets `{{{name}}}` decide whose host is called, since its pattern takes any end"),
                r"end the pattern in the provider's own host, e.g. `[a-z0-9-]+\.example\.com`, with `\.` for each dot".to_owned(),
            )
        })
    }
}

/// One or more DNS labels with dots between them, and no address.
pub(crate) fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(is_dns_label)
        && text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether everything that a pattern matches ends in one of some known hosts of at least two labels.
fn names_its_end(pattern: &str) -> bool {
    let Some(ends) = ends(pattern) else { return false };
    !ends.is_empty()
        && ends.iter().all(|end| {
            // What stands before the first dot may be the end of a longer label.
            let known = if end.whole { end.text.trim_start_matches('.') } else { end.text.split_once('.').map_or("", |(_, rest)| rest) };
            known.split('.').filter(|label| is_dns_label(label)).count() >= 2 && is_host(known)
        })
}

/// What a match ends with, and whether that is the whole of it.
#[derive(Clone, Debug, PartialEq)]
struct End {
    text: String,
    whole: bool,
}

/// More ends than these are not followed.
const MOST_ENDS: usize = 256;

/// The ends of everything that a pattern matches; nothing when it holds what is not understood here.
fn ends(pattern: &str) -> Option<Vec<End>> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    let found = alternatives(&chars, &mut at, 0)?;
    (at == chars.len()).then_some(found)
}

fn alternatives(chars: &[char], at: &mut usize, depth: usize) -> Option<Vec<End>> {
    if depth > 16 {
        return None;
    }
    let mut all = Vec::new();
    loop {
        let mut items: Vec<Vec<End>> = Vec::new();
        while let Some(&c) = chars.get(*at) {
            if matches!(c, '|' | ')') {
                break;
            }
            let item = item(chars, at, depth)?;
            items.push(quantified(chars, at, item)?);
        }
        let mut ends = vec![End { text: String::new(), whole: true }];
        for item in items.iter().rev() {
            let (mut next, open): (Vec<End>, Vec<End>) = ends.into_iter().partition(|end| !end.whole);
            for end in &open {
                next.extend(item.iter().map(|before| End { text: format!("{}{}", before.text, end.text), whole: before.whole }));
            }
            if next.len() > MOST_ENDS {
                return None;
            }
            ends = next;
        }
        all.extend(ends);
        if all.len() > MOST_ENDS {
            return None;
        }
        if chars.get(*at) != Some(&'|') {
            return Some(all);
        }
        *at += 1;
    }
}

/// One literal, class or group.
fn item(chars: &[char], at: &mut usize, depth: usize) -> Option<Vec<End>> {
    let literal = |c: char| Some(vec![End { text: c.to_string(), whole: true }]);
    let any = || Some(vec![End { text: String::new(), whole: false }]);
    let c = *chars.get(*at)?;
    *at += 1;
    match c {
        '\\' => {
            let escaped = *chars.get(*at)?;
            *at += 1;
            if escaped.is_ascii_alphanumeric() { any() } else { literal(escaped) }
        }
        '.' => any(),
        '[' => {
            // `]` is a literal at the very start.
            let start = *at;
            while let Some(&inner) = chars.get(*at) {
                *at += if inner == '\\' { 2 } else { 1 };
                if inner == ']' && *at > start + 1 {
                    return match &chars[start..*at - 1] {
                        [one] if *one != '^' => literal(*one),
                        _ => any(),
                    };
                }
            }
            None
        }
        '(' => {
            if chars.get(*at) == Some(&'?') {
                let close = (*at..chars.len()).find(|i| matches!(chars[*i], ':' | '>' | ')'))?;
                // Flags change what everything else means.
                let head: String = chars[*at..=close].iter().collect();
                if head != "?:" && !head.ends_with('>') {
                    return None;
                }
                *at = close + 1;
            }
            let found = alternatives(chars, at, depth + 1)?;
            (chars.get(*at) == Some(&')')).then(|| *at += 1)?;
            Some(found)
        }
        '^' | '$' => Some(vec![End { text: String::new(), whole: true }]),
        '*' | '+' | '?' | '{' | '|' | ')' => None,
        other => literal(other),
    }
}

fn quantified(chars: &[char], at: &mut usize, mut item: Vec<End>) -> Option<Vec<End>> {
    match chars.get(*at) {
        Some('?') => {
            *at += 1;
            item.push(End { text: String::new(), whole: true });
        }
        Some('*' | '+') => {
            *at += 1;
            item = vec![End { text: String::new(), whole: false }];
        }
        Some('{') => {
            *at += chars[*at..].iter().position(|c| *c == '}')? + 1;
            item = vec![End { text: String::new(), whole: false }];
        }
        _ => return Some(item),
    }
    // `+?` and its like match the same texts.
    if chars.get(*at) == Some(&'?') {
        *at += 1;
    }
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_names_its_end_is_told_from_one_that_does_not() {
        for good in [
            r"[a-z0-9-]+\.my\.salesforce\.com",
            r"[a-z0-9-]+(\.[a-z0-9-]+)*\.(salesforce|force)\.com",
            r"zoho\.(com|eu|in|com\.au)",
            r"accounts\.zoho\.com|accounts\.zoho\.eu",
            r"(?:eu|us)?\.api\.acme\.com",
            r"[a-z]{2,5}[.]acme[.]com",
        ] {
            assert!(names_its_end(good), "{good}");
        }
        for bad in [
            "",
            r"[a-z0-9-]+(\.[a-z0-9-]+)+",
            r".*\.com",
            r"[a-z]+acme\.com",
            r"[a-z]+\.acme.com",
            r"acme\.com(\.[a-z]+)?",
            r"acme\.com|.*",
            r"[a-z]+\.(acme\.com|[a-z.]+)",
            r"(?i)acme\.com",
            r"acme\.com[a-z]*",
            r"acme\.com.{0,9}",
            r"acme\.co[m|n]",
            r"(acme\.)+com",
            r"acme",
            r"\d+\.1\.1",
        ] {
            assert!(!names_its_end(bad), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_ends_or_not(pattern in ".{0,60}", odd in r"[a-z.\\()\[\]|?*+{}^$:<>]{0,40}") {
            names_its_end(&pattern);
            names_its_end(&odd);
        }

        /// What the analysis vouches for holds of every text that the pattern takes.
        #[test]
        fn known_ends_hold(labels in "[a-z]{1,5}(\\.[a-z]{1,5}){0,3}", pattern in proptest::sample::select(vec![
            r"[a-z]+(\.[a-z]+)*\.acme\.com", r"([a-z]+\.)?acme\.(com|net)", r"([a-z]+\.)*acme\.com",
        ])) {
            for end in ["", ".acme.com", ".acme.net", ".evil.com", "acme.com"] {
                let value = format!("{labels}{end}");
                if names_its_end(pattern) && Pattern::new(pattern).is_ok_and(|p| p.matches(&value)) {
                    proptest::prop_assert!(value == "acme.com" || value == "acme.net" || value.ends_with(".acme.com") || value.ends_with(".acme.net"));
                }
            }
        }
    }
}
