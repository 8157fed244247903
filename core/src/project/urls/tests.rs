#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::Code;

fn org(return_to: &[&str], redirect_uris: &[&str]) -> Org {
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
    Org { return_to: texts(return_to), redirect_uris: texts(redirect_uris), ..Org::default() }
}

const ORIGIN: &str = "https://app.example.com";
const EXACT: &str = "https://other.example.com/done?ok=1";

/// 200 return URLs of the kinds that attackers send.
fn payloads() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let evil = "evil.example.net";
    // Prefixes that some parser takes for "same site".
    for start in [
        "//",
        "///",
        "////",
        "/\\",
        "\\/",
        "\\\\",
        "/%5c",
        "/%5C/",
        "%2f%2f",
        "/\t/",
        "/\n/",
        "/\r\n/",
        ".",
        "/./",
        "/..//",
        ";//",
        "?//",
        "#//",
        "http:",
        "https:",
        "https:/",
        "https:\\\\",
        "https:/\\",
        "https:///",
        "HTTPS:\\",
        "ftp://",
        "ws://",
        "blob:https://",
        "view-source:https://",
        "feed:https://",
    ] {
        out.insert(format!("{start}{evil}"));
        out.insert(format!("{start}{evil}/{ORIGIN}"));
    }
    // The listed origin in front, another host behind.
    for glue in [
        "@",
        ":@",
        ":x@",
        "%40",
        ".",
        "-",
        "\\@",
        "\\.",
        "%5c@",
        "%5c.",
        "%2e",
        "%00.",
        "\t.",
        "\r\n@",
        "\n@",
        " @",
        "%20@",
        ":443@",
        "%0d%0a@",
        "\u{ff0e}",
        "\u{3002}",
        "\u{ff61}",
        "\u{2024}",
        "\u{200b}.",
        "\u{202e}",
        ";@",
        "&@",
        "%23@",
        "%3f@",
        "[",
        "]@",
        "|@",
        "^@",
        "`@",
        "{@",
        "}@",
        "<@",
        ">@",
        "\"@",
    ] {
        out.insert(format!("{ORIGIN}{glue}{evil}"));
        out.insert(format!("{ORIGIN}{glue}{evil}/path?x=1#y"));
    }
    // Schemes that run or read things.
    for scheme in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        " javascript:alert(1)",
        "javascript://app.example.com/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "about:blank",
        "mailto:a@b.c",
        "intent://x#Intent;end",
        "com.example.app:/done",
        "chrome://settings",
        "jar:https://app.example.com!/",
        "filesystem:https://app.example.com/x",
    ] {
        out.insert(scheme.to_owned());
    }
    // Near misses of the host, IDN and look-alikes, other ports and schemes.
    for host in [
        "app.example.com.",
        "app.example.com.evil.net",
        "evil-app.example.com",
        "xapp.example.com",
        "app.example.comx",
        "app-example.com",
        "example.com",
        "sub.app.example.com",
        "app.example.co",
        "a\u{440}p.example.com",
        "xn--ap-6kc.example.com",
        "app.ex\u{0430}mple.com",
        "\u{ff41}pp.example.com",
        "app\u{ff0e}example\u{ff0e}com",
        "app\u{3002}example.com",
        "app.example.com:444",
        "app.example.com:80",
        "app.example.com:0443",
        "app.example.com:",
        "APP.example.com\u{0}",
        "[::1]",
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "localhost",
        "*.example.com",
        "app%2eexample.com",
        "app.example.com%2f",
        "app..example.com",
        "app.example.com\u{ad}",
    ] {
        out.insert(format!("https://{host}/"));
    }
    out.insert("http://app.example.com/".to_owned());
    out.insert("http://app.example.com:443/".to_owned());
    // Long ones, empty ones, and near misses of the full URL.
    out.insert(format!("{ORIGIN}/{}", "a".repeat(2048)));
    out.insert(format!("https://{}.example.com/", "a".repeat(3000)));
    for near in [
        "",
        " ",
        "/",
        "done",
        "https://",
        "https://other.example.com",
        "https://other.example.com/done",
        "https://other.example.com/done?ok=2",
        "https://other.example.com/done?ok=1&x=1",
        "https://other.example.com/done?ok=1#x",
        "https://other.example.com/x/../done?ok=1",
        "https://other.example.com/Done?ok=1",
        "https://other.example.com//done?ok=1",
        "https://other.example.com/done/?ok=1",
    ] {
        out.insert(near.to_owned());
    }
    // Control characters anywhere.
    for code in (0u8..0x20).chain([0x7f]) {
        out.insert(format!("{ORIGIN}/a{}b", char::from(code)));
    }
    out
}

#[test]
fn s09_no_return_url_leaves_the_list() {
    let org = org(&[ORIGIN, EXACT], &[]);
    let payloads = payloads();
    assert!(payloads.len() >= 200, "{}", payloads.len());
    let mut refused = 0;
    for payload in &payloads {
        match return_to_allowed(&org, payload) {
            // Some stay on the listed origin; what leaves is what counts.
            Ok(url) => assert_eq!(url.origin().ascii_serialization(), ORIGIN, "{payload:?}"),
            Err(error) => {
                assert!(error.is(Code::ReturnToNotAllowed), "{payload:?}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 200, "{refused} of {} refused", payloads.len());
    for good in [
        ORIGIN,
        EXACT,
        "https://app.example.com/",
        "https://app.example.com/a/b?c=d#e",
        "https://app.example.com?x",
        "https://app.example.com/?next=//evil.example.net",
    ] {
        assert_eq!(return_to_allowed(&org, good).unwrap().as_str(), Url::parse(good).unwrap().as_str());
    }
}

#[test]
fn s09_an_empty_list_allows_nothing_and_a_slash_changes_nothing() {
    assert!(return_to_allowed(&org(&[], &[]), "https://app.example.com/").is_err());
    for entry in ["http://localhost:3000", "http://localhost:3000/"] {
        let org = org(&[entry], &[]);
        assert!(return_to_allowed(&org, "http://localhost:3000/done").is_ok());
        assert!(return_to_allowed(&org, "http://localhost:3001/done").is_err());
        assert!(return_to_allowed(&org, "http://localhost:30000/done").is_err());
    }
}

/// What looks like the listed URIs of native apps, and is none of them.
const NEAR_MISSES: &[&str] = &[
    // Names and spellings that mean loopback to somebody.
    "http://localhost:51004/cb",
    "http://localhost/cb",
    "http://LOCALHOST:51004/cb",
    "http://localhost.:51004/cb",
    "http://app.localhost:51004/cb",
    "http://127.0.0.1.:51004/cb",
    "http://127.0.0.2:51004/cb",
    "http://127.1:51004/cb",
    "http://0x7f.0.0.1:51004/cb",
    "http://2130706433:51004/cb",
    "http://0177.0.0.1:51004/cb",
    "http://0.0.0.0:51004/cb",
    "http://[::]:51004/cb",
    "http://[::ffff:127.0.0.1]:51004/cb",
    "http://[0:0:0:0:0:0:0:1]:51004/cb",
    "http://127.0.0.1.evil.example.net:51004/cb",
    "http://127.0.0.1@evil.example.net/cb",
    "http://127.0.0.1:51004@evil.example.net/cb",
    "http://user@127.0.0.1:51004/cb",
    "http://127.0.0.1\\@evil.example.net/cb",
    // Ports that are none, and another scheme.
    "http://127.0.0.1:0/cb",
    "http://127.0.0.1:65536/cb",
    "http://127.0.0.1:051004/cb",
    "http://127.0.0.1:/cb",
    "http://127.0.0.1:port/cb",
    "https://127.0.0.1:51004/cb",
    "HTTP://127.0.0.1:51004/cb",
    // Other paths.
    "http://127.0.0.1:51004",
    "http://127.0.0.1:51004/",
    "http://127.0.0.1:51004/cb/",
    "http://127.0.0.1:51004/CB",
    "http://127.0.0.1:51004/cb?x=1",
    "http://127.0.0.1:51004/cb#x",
    "http://127.0.0.1:51004/x/../cb",
    "http://127.0.0.1:51004//cb",
    // Private-use schemes.
    "com.example.app:/oauth/",
    "com.example.app://oauth",
    "com.example.app2:/oauth",
    "COM.EXAMPLE.APP:/oauth",
    "example:/oauth",
    "acme://oauth",
    // Public ones.
    "https://app.example.com/smalt/callback/",
    "https://app.example.com:444/smalt/callback",
    "http://app.example.com/smalt/callback",
];

#[test]
fn s11_loopback_and_private_schemes_by_rfc_8252() {
    let org = org(&[], &["http://127.0.0.1/cb", "com.example.app:/oauth", "https://app.example.com/smalt/callback"]);
    let right = ["http://127.0.0.1:51004/cb", "http://[::1]:61023/cb", "com.example.app:/oauth", "https://app.example.com/smalt/callback"];
    for uri in right {
        assert!(redirect_allowed(&org, None, uri).is_ok(), "{uri}");
    }
    assert!(NEAR_MISSES.len() >= 40);
    for uri in NEAR_MISSES {
        let error = redirect_allowed(&org, None, uri).unwrap_err();
        assert!(error.is(Code::RedirectNotAllowed), "{uri}");
    }
}

#[test]
fn s11_a_native_app_is_returned_to_by_the_same_rules() {
    let org = org(&["http://127.0.0.1/cb", "com.example.app:/oauth", "https://app.example.com/smalt/callback"], &[]);
    let right = ["http://127.0.0.1:51004/cb", "http://[::1]:61023/cb", "com.example.app:/oauth", "https://app.example.com/smalt/callback"];
    for uri in right {
        assert!(return_to_allowed(&org, uri).is_ok(), "{uri}");
    }
    for uri in NEAR_MISSES {
        assert!(return_to_allowed(&org, uri).unwrap_err().is(Code::ReturnToNotAllowed), "{uri}");
    }
    // Without a list nothing is free, and no list frees a scheme that anybody may register.
    for uri in right {
        assert!(return_to_allowed(&Org::default(), uri).is_err(), "{uri}");
    }
    let listed = Org { return_to: vec!["acme://done".to_owned(), "javascript:alert(1)".to_owned()], ..Org::default() };
    for uri in &listed.return_to {
        assert!(return_to_allowed(&listed, uri).is_err(), "{uri}");
    }
}

#[test]
fn s11_what_is_free_without_a_list_and_what_a_list_cannot_free() {
    let none = org(&[], &[]);
    assert!(redirect_allowed(&none, None, "http://127.0.0.1:8123/callback").is_ok());
    assert!(redirect_allowed(&none, None, "http://[::1]:8123/callback").is_ok());
    assert!(redirect_allowed(&none, None, "http://localhost:8123/callback").is_err());
    // Listed word for word, `localhost` is what the organisation chose; no other port comes with it.
    let listed = org(&[], &["http://localhost:8000/callback", "acme://x", "http://app.example.com/cb"]);
    assert!(redirect_allowed(&listed, None, "http://localhost:8000/callback").is_ok());
    assert!(redirect_allowed(&listed, None, "http://localhost:8001/callback").is_err());
    assert!(redirect_allowed(&listed, None, "acme://x").is_err());
    assert!(redirect_allowed(&listed, None, "http://app.example.com/cb").is_err());
    let client = Client {
        id: "1".to_owned(),
        secret: None,
        certificate: None,
        certificate_key: None,
        redirect_uri: Some("https://x.example.com/cb".to_owned()),
    };
    assert!(redirect_allowed(&none, Some(&client), "https://x.example.com/cb").is_ok());
    assert!(redirect_allowed(&none, None, "https://x.example.com/cb").is_err());
}

proptest! {
    #[test]
    fn s09_any_text_is_refused_or_stays_on_the_list(text in "\\PC{0,60}", glue in "[@:/\\\\.%#?a-z\u{ff0e}]{0,6}") {
        let org = org(&[ORIGIN], &[]);
        for url in [text.clone(), format!("{ORIGIN}{text}"), format!("{ORIGIN}{glue}{text}")] {
            if let Ok(allowed) = return_to_allowed(&org, &url) {
                prop_assert_eq!(allowed.origin().ascii_serialization(), ORIGIN);
                prop_assert!(allowed.username().is_empty() && allowed.password().is_none());
            }
        }
    }

    #[test]
    fn s11_any_text_is_refused_or_a_loopback_address(text in "\\PC{0,40}") {
        for uri in [text.clone(), format!("http://127.0.0.1{text}"), format!("http://[::1]{text}")] {
            if let Ok(allowed) = redirect_allowed(&org(&[], &[]), None, &uri) {
                prop_assert!(matches!(allowed.host_str(), Some("127.0.0.1" | "[::1]")) && allowed.path() == LOOPBACK_PATH);
            }
        }
    }
}
