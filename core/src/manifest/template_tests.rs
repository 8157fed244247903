#![allow(clippy::unwrap_used)]
use super::*;
use crate::Code;

#[test]
fn fills_and_escapes() {
    let map = BTreeMap::from([("a".to_owned(), "1 2".to_owned()), ("b".to_owned(), "under".to_owned())]);
    let secrets = BTreeMap::from([("key".to_owned(), Secret::new("s/e&c"))]);
    let values = Values::new().one("b", "over").map(&map).secrets(&secrets);
    assert_eq!(text("x {a}{b} {{a}} {key}", &values).unwrap(), "x 1 2over {a} s/e&c");
    assert_eq!(placeholders("{b}{a}{{c}}{b}").unwrap(), ["b", "a"]);
    let missing = text("{nope}", &values).unwrap_err();
    assert!(missing.is(Code::InvalidInputs) && missing.reason().contains("`nope`"));
    for bad in ["{", "}", "{}", "{a b}", "{a", "a}", "{a{b}}"] {
        assert!(placeholders(bad).is_err(), "{bad}");
        assert!(text(bad, &values).unwrap_err().is(Code::ManifestInvalid), "{bad}");
    }
    for (template, made) in [
        // Python: base64.b64encode(b"1 2:s/e&c"), and so on.
        ("Basic {a:key|base64}", "Basic MSAyOnMvZSZj"),
        ("{key|base64url}", "cy9lJmM"),
        ("{a|sha256}", "f71998fe363b9c29116c80b5eecf33a2fedca3b6159724384485804b71651029"),
        ("{a|hmac:key}", "2a46d6ac4831598e72e3564b0c485d0f5d024b84e816307ce80d4a9888eac1b3"),
        ("{a|hmac:key|base64}", "KkbWrEgxWY5y41ZLDEhdD10CS4ToFjB86A1KmIjqwbM="),
        ("{a|sha256|base64url}{{}}", "9xmY_jY7nCkRbIC17s8zov7co7YVlyQ4RIWAS3FlECk{}"),
    ] {
        assert_eq!(text(template, &values).unwrap(), made, "{template}");
    }
    assert_eq!(placeholders("{a:b|hmac:key|base64}").unwrap(), ["a", "b", "key"]);
    for bad in ["{a:b}", "{a|}", "{a|md5}", "{a|hmac}", "{a|hmac:}", "{|base64}", "{a|base64:b}", "{a |base64}", "{a:|base64}"] {
        assert!(placeholders(bad).is_err(), "{bad}");
    }
    assert!(placeholders("{a|bas64}").unwrap_err().contains("did you mean `base64`?"));
    assert_eq!(
        url("https://example.com/{a|base64}?k={a:b|base64}", &values).unwrap().as_str(),
        "https://example.com/MSAy?k=MSAyOm92ZXI%3D"
    );
    let built = url("https://{b}.example.com:8443/v1/{a}/{key}?q={key}&z={a}", &values).unwrap();
    assert_eq!(built.as_str(), "https://over.example.com:8443/v1/1%202/s%2Fe%26c?q=s%2Fe%26c&z=1+2");
}

#[test]
fn the_sandbox_origin_is_built_in() {
    let map = BTreeMap::from([(SANDBOX_ORIGIN.to_owned(), "https://evil.example".to_owned())]);
    let values = Values::new().map(&map);
    assert!(url("{sandbox_origin}/token", &values).unwrap_err().is(Code::InvalidInputs));
    let values = values.sandbox_origin("http://127.0.0.1:4711");
    assert_eq!(url("{sandbox_origin}/token", &values).unwrap().as_str(), "http://127.0.0.1:4711/token");
    assert_eq!(
        url_below(Some("{sandbox_origin}/api"), "/me?x={q}", &values.clone().one("q", "&")).unwrap().as_str(),
        "http://127.0.0.1:4711/api/me?x=%26"
    );
    for bad in
        ["{sandbox_origin}.example.com/", "{sandbox_origin}@example.com/", "https://a.example/{sandbox_origin}", "{sandbox_origin}:1/"]
    {
        assert!(lint_url(bad, |_| false).is_err(), "{bad}");
        assert!(url(bad, &values).is_err(), "{bad}");
    }
    let odd = Values::new().sandbox_origin("http://a@127.0.0.1:1");
    assert!(url("{sandbox_origin}/token", &odd).is_err());
}

#[test]
fn templates_that_promise_nothing_are_refused() {
    for bad in [
        "https://{a}",
        "https://{a}.com/",
        "https://{a|base64}.example.com/",
        "https://{a:b|base64}.example.com/",
        "https://x-{a}.example.com/",
        "https://{a}x.example.com",
        "https://{a}{b}.example.com/",
        "https://api.example.{a}/",
        "https://{a}@example.com/",
        "https://u:p@example.com/",
        "https://example.com:{a}/",
        "ftp://example.com",
        "//example.com",
        "https:///x",
        "{a}",
        "https://example.com/#x",
        "https://ex ample.com/",
        "https://exa%6dple.com/",
        "https://example.com\\x",
        "https://:1/",
    ] {
        assert!(lint_url(bad, |_| false).is_err(), "{bad}");
    }
    for good in [
        "https://{a}.example.com",
        "https://{a}.{b}.example.com/x",
        "https://api.{a}.example.com?x={b}",
        "http://127.0.0.1:80/x",
        "https://[::1]:4/x",
    ] {
        assert_eq!(lint_url(good, |_| false), Ok(()), "{good}");
    }
}

/// At least 150 different values that try to lead a request elsewhere.
pub(crate) fn payloads() -> Vec<String> {
    let mut all: Vec<String> = [
        "",
        "-",
        "-a",
        "a-",
        ".",
        "..",
        "...",
        "a.",
        ".a",
        "%2e",
        "%2e%2e",
        "%2E%2e",
        "\u{0}",
        "ä",
        "xn--",
        "xn--a",
        "localhost.",
        "*",
        "_",
        "a_b",
    ]
    .iter()
    .map(|s| (*s).to_owned())
    .collect();
    all.push("a".repeat(64));
    all.push("a".repeat(4096));
    for core in ["evil.test", "127.0.0.1", "evil"] {
        for mark in [
            "/", "//", "@", "#", "?", ":", "\\", "\\\\", "%2f", "%2F", "%5c", "%40", "%23", "%3f", "%00", "\u{0}", "\r\n", "\n", "\r",
            "\t", " ", "..", "/../", "/..;/", ":443", ":80@", "\u{ff0e}", "\u{3002}", "\u{ff0f}", "\u{2044}", "\u{feff}", "\u{200d}",
            "\u{ad}", "\u{202e}", "[::1]", "%0d%0a", "&", "=", "+", ";", ",", "|", "'", "\"", "<", ">",
        ] {
            all.push(format!("{core}{mark}"));
            all.push(format!("{mark}{core}"));
        }
    }
    all
}

#[test]
fn s50_no_value_leads_elsewhere() {
    let payloads = payloads();
    assert!(payloads.len() >= 150, "{}", payloads.len());
    // authorize, token, revoke and API URL; host, path and query.
    let templates = [
        "https://{v}.zendesk.com/oauth/authorizations/new",
        "https://{v}.zendesk.com/oauth/tokens?tenant={v}",
        "https://login.example.com/{v}/oauth2/revoke",
        "https://api.example.com/v1/{v}/x/{v}?q={v}",
    ];
    let mut made = 0;
    for payload in &payloads {
        let values = Values::new().one("v", payload);
        for template in templates {
            let Ok(url) = url(template, &values) else { continue };
            made += 1;
            let host = url.host_str().unwrap();
            let fixed = template.split('/').nth(2).unwrap();
            let right = match fixed.strip_prefix("{v}") {
                Some(suffix) => host.strip_suffix(suffix).is_some_and(is_dns_label),
                None => host == fixed,
            };
            assert!(right, "{payload:?} in {template} leads to {host}");
            assert!(
                url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none(),
                "{payload:?}"
            );
            assert_eq!(
                url.path().matches('/').count(),
                template.split('?').next().unwrap().matches('/').count() - 2,
                "{payload:?} in {template}: {}",
                url.path()
            );
            let pairs = template.split_once('?').map_or(0, |(_, q)| q.split('&').count());
            assert_eq!(url.query_pairs().count(), pairs, "{payload:?} in {template}");
            assert!(url.fragment().is_none());
        }
        // In a host, whatever is no label is refused.
        if !is_dns_label(payload) {
            assert!(url(templates[0], &values).unwrap_err().is(Code::HostMismatch), "{payload:?}");
        }
    }
    assert!(made > payloads.len(), "the test must reach its own checks");
    assert_eq!(url(templates[0], &Values::new().one("v", "Acme-1")).unwrap().host_str(), Some("acme-1.zendesk.com"));
}

/// A manifest whose values may be more than one label of a host.
fn declaring() -> AppManifest {
    let text = r#"
manifest = 1
slug = "acme"
name = "Acme"
description = "Things for coyotes."

[oauth2]
authorize_url = "https://{instance}/authorize"
token_url = "https://accounts.{domain}/token"
copy_from_callback = { domain = { from = "dc", pattern = 'https://accounts\.(?<value>zoho\.(com|eu|com\.au))' } }

[[oauth2.inputs]]
name = "instance"
label = "Your host"
pattern = '[a-z0-9-]+(\.[a-z0-9-]+)*\.my\.salesforce\.com'

[[oauth2.inputs]]
name = "tenant"
label = "Tenant"
pattern = '.*'

[[oauth2.inputs]]
name = "bare"
label = "Bare"
"#;
    AppManifest::parse(text, "acme.toml").unwrap()
}

#[test]
fn s50_a_declared_host_stays_the_providers() {
    let manifest = declaring();
    // Whose host each of these must be, whatever stands in the placeholder.
    let templates = [
        ("https://{instance}/oauth/authorize?x={instance}", "instance", ".my.salesforce.com"),
        ("https://accounts.{domain}/oauth/token", "domain", ""),
        ("https://{tenant}.zendesk.com/oauth/revoke", "tenant", ".zendesk.com"),
        ("https://{bare}.zendesk.com/api", "bare", ".zendesk.com"),
    ];
    let mut all = payloads();
    for core in ["eu1.my.salesforce.com", "zoho.eu", "acme.my"] {
        for mark in [
            "/",
            "@",
            "#",
            "?",
            ":",
            "\\",
            "%2f",
            "%00",
            "\r\n",
            "\t",
            " ",
            ".",
            "..",
            ":80@",
            "\u{3002}",
            ".evil.test",
            "@evil.test",
            "#.evil.test",
            "/.evil.test",
            "\\.evil.test",
            "%2eevil.test",
        ] {
            all.push(format!("{core}{mark}"));
            all.push(format!("{mark}{core}"));
            all.push(format!("evil.test{mark}.{core}"));
            all.push(format!("{core}{mark}evil.test"));
        }
        all.push(core.to_owned());
        all.push(core.to_uppercase());
    }
    all.extend(
        ["1.2.3.4", "127.1", "0x7f.1", "2130706433", "[::1]", "localhost", "my.salesforce.com", "xn--a.my.salesforce.com"]
            .map(str::to_owned),
    );
    let mut made = 0;
    for payload in &all {
        for (template, name, suffix) in templates {
            let values = Values::new().one(name, payload).declared_by(&manifest);
            let Ok(url) = url(template, &values) else { continue };
            made += 1;
            let host = url.host_str().unwrap();
            let right = match name {
                "domain" => ["accounts.zoho.com", "accounts.zoho.eu", "accounts.zoho.com.au"].contains(&host),
                "bare" => host.strip_suffix(suffix).is_some_and(is_dns_label),
                _ => host.ends_with(suffix) && host.len() > suffix.len(),
            };
            assert!(right, "{payload:?} in {template} leads to {host}");
            assert!(
                host.eq_ignore_ascii_case(&template.split('/').nth(2).unwrap().replace(&format!("{{{name}}}"), payload)),
                "{payload:?}"
            );
            let plain = url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none();
            assert!(
                plain
                    && url.fragment().is_none()
                    && url.path() == template[8 + template[8..].find('/').unwrap()..].split('?').next().unwrap(),
                "{payload:?}"
            );
        }
    }
    assert!(made > 20, "the test must reach its own checks: {made}");
    // Nobody vouches for a value that the manifest does not declare, or when there is no manifest.
    let open = "https://{v}/x";
    assert!(url(open, &Values::new().one("v", "eu1.my.salesforce.com")).unwrap_err().is(Code::HostMismatch));
    assert!(url(open, &Values::new().one("v", "eu1.my.salesforce.com").declared_by(&manifest)).unwrap_err().is(Code::HostMismatch));
    assert!(url("https://{bare}/x", &Values::new().one("bare", "example.com").declared_by(&manifest)).is_err());
}

proptest::proptest! {
    #[test]
    fn never_panics(template in ".{0,60}", value in ".{0,40}") {
        let values = Values::new().one("a", &value);
        let _ = placeholders(&template);
        let _ = text(&template, &values);
        let _ = url(&template, &values);
        let _ = url(&format!("https://{{a}}.example.com/{{a}}?{template}"), &values);
    }
}

#[test]
fn a_document_takes_values_as_they_are() {
    let map = BTreeMap::from([("a".to_owned(), "1\n2\t3\r\n<&\"'>".to_owned()), ("odd".to_owned(), "x\u{0}y".to_owned())]);
    let values = Values::new().map(&map);
    let document = xml("<r k=\"{a}\"><s>|{a}|</s><t>{a|base64}</t></r>", &values).unwrap();
    let read = crate::xml::read(&document).unwrap();
    assert_eq!(read["r"]["@k"], map["a"].as_str());
    assert_eq!(read["r"]["s"], format!("|{}|", map["a"]));
    assert_eq!(read["r"]["t"], "MQoyCTMNCjwmIic+");
    let refused = xml("<r>{a}{odd}</r>", &values).unwrap_err();
    assert!(refused.is(Code::InvalidInputs) && refused.reason().contains("`odd`"), "{refused}");
    assert!(!format!("{refused:?}").contains("x\u{0}y"));
}

#[test]
fn names_are_found_in_functions_too() {
    assert!(names("a {user:key|base64}", &["key"]) && names("{user|hmac:key}", &["other", "key"]));
    assert!(!names("key {{key}}", &["key"]) && !names("{key", &["key"]));
}
