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
        // Blanks as XML 1.0 reads them: sections 2.11 and 3.3.3.
        ("<a>1\r\n2\r3\n4&#13;<![CDATA[\r\n]]>5</a>", json!({"a": "1\n2\n3\n4\r\n5"})),
        ("<a b='1\r\n2\r3\n4\t5&#10;&#9;&#13;6'/>", json!({"a": {"@b": "1 2 3 4 5\n\t\r6"}})),
        ("<a>\u{85}\u{2028}\u{1fffe}\u{7f}x</a>", json!({"a": "\u{85}\u{2028}\u{1fffe}\u{7f}x"})),
    ] {
        assert_eq!(read(document).unwrap(), wanted, "{document}");
    }
}

#[test]
fn what_is_no_document_is_refused() {
    let deep = format!("{}{}", "<a>".repeat(33), "</a>".repeat(33));
    let laughs = format!("<!DOCTYPE a [<!ENTITY b \"{}\"><!ENTITY c \"&b;&b;&b;\">]><a>&c;</a>", "ha".repeat(99));
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
        ("<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>", "document type"),
        ("<!DOCTYPE a SYSTEM \"https://evil.example/a.dtd\"><a/>", "document type"),
        ("<a><!ENTITY b \"c\"></a>", "document type"),
        (&laughs, "document type"),
        // What XML 1.0 does not have (section 2.2), as it is and as a number.
        ("<a>\0</a>", "does not have"),
        ("<a>\u{1b}</a>", "does not have"),
        ("<a b='\u{fffe}'/>", "does not have"),
        ("<a>&#0;</a>", "does not have"),
        ("<a>&#x1b;</a>", "does not have"),
        ("<a b='&#xFFFF;'/>", "does not have"),
        ("<a>&#x+41;</a>", "unknown"),
        ("<a>&#;</a>", "unknown"),
        ("<a b='1' b='2'/>", "stands twice"),
        ("<a/><![CDATA[x]]>", "beside"),
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
    assert_eq!(put("<?xml version='1.0'?><r><s k=\"/>\" /></r>").unwrap(), format!("<?xml version='1.0'?><r><s k=\"/>\">{value}</s></r>"));
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
    for value in ["a\0", "\u{1b}[2J", "\u{fffe}"] {
        assert_eq!(super::put("<r><s/></r>", "/r/s", value).unwrap_err(), "the credential holds a character that XML 1.0 does not have");
    }
    assert!(super::put("<!DOCTYPE r [<!ENTITY b SYSTEM \"x\">]><r><s/>&b;</r>", "/r/s", "v").unwrap_err().contains("document type"));
}

/// However often an element stands there, a pointer leads to the first, or to the one that it numbers.
#[test]
fn a_pointer_leads_to_the_first_of_several() {
    let one = read("<r><e><no>1</no></e></r>").unwrap();
    let two = read("<r><e><no>1</no><no>x</no></e><e><no k='v'>2</no></e><n k='v'/></r>").unwrap();
    let at = |document: &Json, pointer: &str| find(document, pointer).and_then(said).cloned();
    for document in [&one, &two] {
        for pointer in ["/r/e/no", "/r/e/0/no", "/r/e/no/0", "/r/0/e/0/no/0"] {
            assert_eq!(at(document, pointer), Some(json!("1")), "{pointer} in {document}");
        }
        for pointer in ["/r/e/7/no", "r/e", "/r/e/nothing", "/r/e/no/deeper", "/s", "/"] {
            assert_eq!(at(document, pointer), None, "{pointer} in {document}");
        }
        assert_eq!(find(document, ""), Some(document));
    }
    assert_eq!((at(&one, "/r/e/1/no"), at(&two, "/r/e/1/no")), (None, Some(json!("2"))));
    assert_eq!((at(&two, "/r/e/no/1"), at(&two, "/r/e/1/no/@k")), (Some(json!("x")), Some(json!("v"))));
    // An element without text says nothing, whatever its attributes do; a whole one stays one, and so does a list where it is asked for.
    assert_eq!(at(&two, "/r/n"), Some(json!("")));
    assert_eq!(at(&one, "/r/e"), Some(json!({"no": "1"})));
    assert_eq!(find(&two, "/r/e/no"), Some(&json!(["1", "x"])));
}

#[test]
fn a_declaration_is_read() {
    let encoding = |document: &str| declaration(document).map(|said| said.and_then(|said| said.get("encoding").cloned()));
    assert_eq!(encoding("<?xml version='1.0' encoding=\"UTF-16\"?><a/>"), Ok(Some(json!("UTF-16"))));
    for document in ["<a/>", " <?xml version='1.0' encoding='x'?><a/>", "<?xml-stylesheet href='x'?><a/>", "<?xml version='1.0'?><a/>"] {
        assert_eq!(encoding(document), Ok(None), "{document}");
    }
    assert!(encoding("<?xml version='1.0' <a/>").is_err() && encoding("<?xml version=1.0?><a/>").is_err());
}

proptest! {
    /// What is escaped is read again, letter by letter, and nothing else becomes of it (S-54: no value adds an element).
    #[test]
    fn s54_a_value_stays_a_value(value in "([^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]|[\r\n\t<&\"' ]){0,40}") {
        let document = put("<r k='1'><s/><t>x</t></r>", "/r/s", &value).unwrap();
        prop_assert_eq!(read(&document).unwrap(), json!({"r": {"@k": "1", "s": trim(&value), "t": "x"}}));
        let escaped = escape(&value).unwrap();
        for quote in ["'", "\""] {
            let document = format!("<r k={quote}{}{quote}/>", *escaped);
            prop_assert_eq!(read(&document).unwrap(), json!({"r": {"@k": value.as_str()}}));
        }
    }

    #[test]
    fn nothing_breaks_the_reader(document in "(<|>|/|a|b|&|;|#|x|\"|'|=| |!|-|\\[|CDATA|\\]|\\?){0,60}|.{0,60}") {
        let _ = read(&document);
        let _ = put(&document, "/a/b", "x");
    }
}

/// What is left in memory of a text that was read and written: nothing, also where a document breaks off or a value cannot be written.
/// A process of its own looks at its memory: in this one other tests would stand in the way.
#[cfg(target_os = "linux")]
#[test]
fn s47_nothing_of_a_document_stays_in_memory() {
    const ALONE: &str = "SMALT_XML_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return memory::check();
    }
    let alone = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "xml::tests::s47_nothing_of_a_document_stays_in_memory"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout) + String::from_utf8_lossy(&alone.stderr);
    assert!(alone.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(target_os = "linux")]
mod memory {
    use std::{
        collections::BTreeMap,
        io::{Read, Seek, SeekFrom},
    };

    use zeroize::{Zeroize, Zeroizing};

    use crate::{
        manifest::template::{self, Values},
        secret::wipe,
    };

    const MASK: u8 = 0x80;
    const LENGTH: usize = 48;

    /// The secret, which stands nowhere in the program: each letter is made when it is asked for.
    fn letter(at: usize) -> u8 {
        b'A' + ((at * 7 + at * at * 3) % 26) as u8
    }

    /// A document in one piece of memory: `!` stands for the secret.
    fn with_secret(text: &str) -> Zeroizing<String> {
        let mut whole = Zeroizing::new(String::with_capacity(text.len() + LENGTH * text.matches('!').count()));
        for c in text.chars() {
            match c {
                '!' => (0..LENGTH).for_each(|at| whole.push(char::from(letter(at)))),
                c => whole.push(c),
            }
        }
        whole
    }

    /// How often the secret's end stands in this process's memory. (The allocator writes over the beginning of what it gets back.)
    fn copies() -> usize {
        let wanted: Vec<u8> = (LENGTH / 2..LENGTH).map(|at| letter(at) ^ MASK).collect();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut found = 0;
        for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
            let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            let mut bytes = Zeroizing::new(vec![0; (to - from) as usize]);
            if memory.seek(SeekFrom::Start(from)).and_then(|_| memory.read_exact(&mut bytes)).is_err() {
                continue;
            }
            for at in 0..bytes.len().saturating_sub(wanted.len()) {
                // One comparison for nearly every byte.
                if bytes[at] ^ MASK == wanted[0] && bytes[at..].iter().zip(&wanted).all(|(is, wanted)| is ^ MASK == *wanted) {
                    found += 1;
                }
            }
        }
        found
    }

    pub(super) fn check() {
        let held = with_secret("!");
        assert!(copies() > 0, "while it is held it is there: this test can see");
        drop(held);
        assert_eq!(copies(), 0, "and when it is not");
        for text in [
            // Whole, and in each place where a text can stand.
            "<a><b>!</b><b> ! </b><c k='!'>!<d/></c><e><![CDATA[!]]></e></a>",
            // Pieces that make a text grow.
            "<a>&lt;<!-- -->!<!-- -->!<![CDATA[!]]>!<!-- -->!!!!<!-- -->!</a>",
            // They break off behind it: inside, in a tag, between elements, at the end.
            "<a><b>!</b><c k='!'><d>!&nbsp;</d></c></a>",
            "<a><b>!</b><c k='!' k='!'/></a>",
            "<a k='!' l='!&nbsp;'/>",
            "<a><b>!</b><c>!</c>",
            "<a>!</a><a>!</a>",
            "<a><b>!</b></c></a>",
        ] {
            let document = with_secret(text);
            let mut read = super::read(&document);
            drop(document);
            if let Ok(read) = &mut read {
                assert!(copies() > 0, "{text}: it was read");
                wipe(read);
            }
            drop(read);
            assert_eq!(copies(), 0, "{text}");
        }
        // Written: into a call's document, into one that cannot take it, into a template, and into one that fails behind it.
        for document in ["<r><s>old</s></r>", "<r><s/><s/></r>", "<r><s/>"] {
            drop(super::put(document, "/r/s", &with_secret("<!>")));
            assert_eq!(copies(), 0, "{document}");
        }
        drop(super::escape(&with_secret("!\0")));
        assert_eq!(copies(), 0, "escaped");
        for template in ["<r k='{key}'>{key}</r>", "{key}{key}{key}{key}{nobody}", "<r>{key:key|base64}</r>"] {
            let secrets = BTreeMap::from([("key".to_owned(), crate::Secret::new(std::mem::take(&mut *with_secret("!"))))]);
            let values = Values::new().secrets(&secrets);
            drop(template::xml(template, &values));
            let _ = template::text(template, &values).map(|mut text| text.zeroize());
            drop(secrets);
            assert_eq!(copies(), 0, "{template}");
        }
    }
}
