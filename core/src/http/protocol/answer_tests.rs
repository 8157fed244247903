#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::{Code, http::protocol::fixture::oauth, manifest::Success};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn answer(status: u16, content_type: &str, body: &str) -> HttpResponse {
    HttpResponse { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: body.as_bytes().to_vec() }
}

fn parse(oauth: &Oauth2, status: u16, body: &str) -> Result<TokenSet, TokenFailure> {
    parse_token_answer(oauth, &answer(status, "application/json", body), NOW)
}

/// The failure in a word, for tables.
fn class(failure: Result<TokenSet, TokenFailure>) -> String {
    match failure {
        Ok(set) => format!("ok {}", set.access_token.expose()),
        Err(TokenFailure::Final { provider_error }) => format!("final {provider_error}"),
        Err(TokenFailure::Client { provider_error }) => format!("client {provider_error}"),
        Err(TokenFailure::Suspended { provider_error }) => format!("suspended {provider_error}"),
        Err(TokenFailure::Refused { provider_error }) => format!("refused {provider_error}"),
        Err(TokenFailure::Passing { error }) => format!("passing {}", error.code().as_str()),
    }
}

fn list(scopes: &[&str]) -> Option<Vec<String>> {
    Some(scopes.iter().map(|s| (*s).to_owned()).collect())
}

/// What Keycloak and Gitea answer: one code for several faults, told apart by the description.
#[test]
fn rules_tell_whose_fault_it_is() {
    let rule = |error: &str, description: &str, means: RefusalMeaning| RefusalRule {
        error: (!error.is_empty()).then(|| error.to_owned()),
        description: (!description.is_empty()).then(|| description.to_owned()),
        means,
    };
    let mut oauth = oauth();
    oauth.refresh.errors = vec![
        rule("invalid_grant", "User disabled", RefusalMeaning::Suspended),
        rule("unauthorized_client", "invalid client secret", RefusalMeaning::Client),
        rule("unauthorized_client", "maintenance", RefusalMeaning::Passing),
        rule("unauthorized_client", "", RefusalMeaning::Final),
    ];
    let said = |oauth: &Oauth2, status: u16, error: &str, text: &str| {
        class(parse(oauth, status, &json!({"error": error, "error_description": text}).to_string()))
    };
    for (status, error, text, expected) in [
        (400, "invalid_grant", "User disabled", "suspended invalid_grant"),
        (400, "invalid_grant", "the USER DISABLED itself", "suspended invalid_grant"),
        (400, "invalid_grant", "Session not active", "final invalid_grant"),
        (400, "invalid_grant", "", "final invalid_grant"),
        (400, "unauthorized_client", "invalid client secret", "client unauthorized_client"),
        (400, "unauthorized_client", "down for Maintenance", "passing provider_error"),
        (400, "unauthorized_client", "token was already used", "final unauthorized_client"),
        (401, "unauthorized_client", "unable to parse refresh token", "final unauthorized_client"),
        (401, "invalid_client", "User disabled", "client invalid_client"),
        (503, "invalid_grant", "User disabled", "passing provider_error"),
    ] {
        assert_eq!(said(&oauth, status, error, text), expected, "{status} {error} {text}");
    }
    // Without rules the codes alone count.
    oauth.refresh.errors.clear();
    assert_eq!(said(&oauth, 400, "invalid_grant", "User disabled"), "final invalid_grant");
    assert_eq!(said(&oauth, 400, "unauthorized_client", "token was already used"), "client unauthorized_client");
    // A provider may say it elsewhere.
    oauth.answer.error_description = Some("/message".to_owned());
    oauth.refresh.errors = vec![rule("", "switched off", RefusalMeaning::Suspended)];
    assert_eq!(class(parse(&oauth, 400, r#"{"error":"x","message":"Switched off"}"#)), "suspended x");
}

#[test]
fn s15_token_answers_are_read_right() {
    let oauth = oauth();
    let read = |body: Json| parse(&oauth, 200, &body.to_string()).unwrap();

    // 1: the plain case; 2: the type in any case.
    for kind in ["Bearer", "bearer", "BEARER"] {
        let set = read(json!({"access_token": "at", "refresh_token": "rt", "token_type": kind, "expires_in": 60, "scope": "a b"}));
        assert_eq!((set.access_token.expose(), set.token_type.as_str()), ("at", "Bearer"));
        assert_eq!(set.refresh_token, Some("rt".into()));
        assert_eq!(set.expires_in, Some(Duration::from_secs(60)));
        assert_eq!(set.scopes, list(&["a", "b"]));
    }
    // 3: no type, or the provider's own word; 4: a type that needs a proof.
    assert_eq!(read(json!({"access_token": "at"})).token_type, "Bearer");
    assert_eq!(read(json!({"access_token": "at", "token_type": "bot"})).token_type, "bot");
    for kind in ["mac", "DPoP", "pop", "N_A"] {
        assert_eq!(class(parse(&oauth, 200, &json!({"access_token": "at", "token_type": kind}).to_string())), "passing malformed_answer");
    }
    // 5 to 8: the lifetime missing, a string, senseless, endless.
    assert_eq!(read(json!({"access_token": "at"})).expires_in, None);
    assert_eq!(read(json!({"access_token": "at", "expires_in": "3600"})).expires_in, Some(Duration::from_secs(3600)));
    for nonsense in [json!(0), json!(-1), json!(null), json!("x"), json!({})] {
        assert_eq!(read(json!({"access_token": "at", "expires_in": nonsense})).expires_in, None);
    }
    assert_eq!(read(json!({"access_token": "at", "expires_in": 1e12})).expires_in, Some(Duration::from_secs(315_576_000)));
    // 9 to 11: the scope absent, fewer or wider, in any form.
    assert_eq!(read(json!({"access_token": "at"})).scopes, None);
    for scope in [json!("a b:c"), json!("a,b:c"), json!("a, b:c"), json!("a;b:c a"), json!(["a", "b:c"]), json!(["a b:c"])] {
        assert_eq!(read(json!({"access_token": "at", "scope": scope})).scopes, list(&["a", "b:c"]), "{scope}");
    }
    assert_eq!(read(json!({"access_token": "at", "scope": ""})).scopes, list(&[]));
    // 12: an error with status 200.
    assert_eq!(class(parse(&oauth, 200, r#"{"error":"invalid_grant","access_token":"x"}"#)), "final invalid_grant");
}

#[test]
fn r25_dead_is_told_from_passing() {
    let oauth = oauth();
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_grant","error_description":"secret"}"#, "final invalid_grant"),
        (401, r#"{"error":"invalid_grant"}"#, "final invalid_grant"),
        (200, r#"{"error":"invalid_grant"}"#, "final invalid_grant"),
        (400, "error=invalid_grant", "final invalid_grant"),
        (400, r#"{"error":"invalid_client"}"#, "client invalid_client"),
        (401, r#"{"error":"unauthorized_client"}"#, "client unauthorized_client"),
        (200, r#"{"error":"invalid_client"}"#, "client invalid_client"),
        (401, "", "client http_401"),
        (401, "<html>", "client http_401"),
        (401, r#"{"error":"odd"}"#, "client odd"),
        (400, r#"{"error":"invalid_request"}"#, "refused invalid_request"),
        (400, r#"{"error":"invalid_scope"}"#, "refused invalid_scope"),
        (400, r#"{"error":"<b>x</b>\r\ny"}"#, "refused bxby"),
        (400, r#"{"error":{"code":"bad_code","message":"m"}}"#, "refused bad_code"),
        (400, r#"{"error":{"message":"m","code":190}}"#, "refused 190"),
        (400, r#"{"error":{"message":"m"}}"#, "refused unknown_error"),
        (400, r#"{"error":true}"#, "refused unknown_error"),
        (400, r#"{"error":["x"]}"#, "refused unknown_error"),
        (200, r#"{"error":"","access_token":"at"}"#, "ok at"),
        (200, r#"{"error":null,"access_token":"at"}"#, "ok at"),
        (200, r#"{"error":false,"access_token":"at"}"#, "ok at"),
        (200, r#"{"error":0,"access_token":"at"}"#, "ok at"),
        (201, r#"{"access_token":"at"}"#, "ok at"),
        (400, r#"{"error":"temporarily_unavailable"}"#, "passing provider_error"),
        (400, r#"{"error":"server_error"}"#, "passing provider_error"),
        (429, r#"{"error":"invalid_grant"}"#, "passing provider_limited"),
        (500, r#"{"error":"invalid_grant"}"#, "passing provider_error"),
        (503, "", "passing provider_error"),
        (400, "<html>400</html>", "passing provider_error"),
        (400, "", "passing provider_error"),
        (404, "{}", "passing provider_error"),
        (302, "", "passing malformed_answer"),
        (200, "<html><a href=\"?a=b\">", "passing malformed_answer"),
        (200, "", "passing malformed_answer"),
        (200, "{", "passing malformed_answer"),
        (200, "null", "passing malformed_answer"),
        (200, "[1]", "passing malformed_answer"),
        (200, "{}", "passing malformed_answer"),
        (200, r#"{"access_token":""}"#, "passing malformed_answer"),
        (200, r#"{"access_token":7}"#, "passing malformed_answer"),
        (200, r#"{"access_token":"a\r\nb"}"#, "passing malformed_answer"),
        (200, r#"{"access_token":"ü"}"#, "passing malformed_answer"),
        (200, r#"{"access_token":"at","refresh_token":["x"]}"#, "passing malformed_answer"),
    ] {
        assert_eq!(class(parse(&oauth, status, body)), expected, "{status} {body}");
    }
}

#[test]
fn a_wait_is_kept_and_nothing_else_of_the_body() {
    let mut response = answer(429, "application/json", r#"{"error":"canary","error_description":"canary"}"#);
    response.headers.push(("retry-after".to_owned(), "17".to_owned()));
    let Err(TokenFailure::Passing { error }) = parse_token_answer(&oauth(), &response, NOW) else { panic!("expected to pass") };
    assert_eq!(error.info().retry_after, Some(Duration::from_secs(17)));
    assert!(error.is(Code::ProviderLimited) && !format!("{error:?} {error}").contains("canary"));
    let set = parse(&oauth(), 200, r#"{"access_token":"canary","x":"canary"}"#).unwrap();
    assert!(!format!("{set:?}").contains("canary"));
}

#[test]
fn the_manifest_says_what_errors_mean() {
    let mut oauth = oauth();
    // A server that answers `unauthorized_client` for every failure.
    oauth.refresh.final_errors = vec!["unauthorized_client".to_owned()];
    assert_eq!(class(parse(&oauth, 400, r#"{"error":"unauthorized_client"}"#)), "final unauthorized_client");
    assert_eq!(class(parse(&oauth, 400, r#"{"error":"invalid_client"}"#)), "client invalid_client");
    assert_eq!(class(parse(&oauth, 400, r#"{"error":"invalid_grant"}"#)), "refused invalid_grant");
    // The careful reading of the same server: nothing is ever discarded.
    oauth.refresh.final_errors = vec!["never".to_owned()];
    oauth.refresh.client_errors = vec!["unauthorized_client".to_owned(), "invalid_grant".to_owned()];
    assert_eq!(class(parse(&oauth, 400, r#"{"error":"unauthorized_client"}"#)), "client unauthorized_client");
    assert_eq!(class(parse(&oauth, 400, r#"{"error":"invalid_grant"}"#)), "client invalid_grant");
    // Its own list of client errors goes before the default of final ones.
    oauth.refresh.final_errors.clear();
    assert_eq!(class(parse(&oauth, 400, r#"{"error":"invalid_grant"}"#)), "client invalid_grant");
}

#[test]
fn values_stand_where_the_manifest_says() {
    let mut oauth = oauth();
    oauth.answer.access_token = Some("/data/user/token".to_owned());
    oauth.answer.expires_in = Some("/data/ttl".to_owned());
    oauth.answer.scope = Some("/data/scopes".to_owned());
    oauth.answer.error = Some("/fault/name".to_owned());
    oauth.answer.success = Some(Success { pointer: "/ok".to_owned(), equals: json!(true) });
    oauth.answer.default_expires_in = Some(7200);
    oauth.scopes.separator = Some("|".to_owned());
    oauth.copy_from_token = [("team", "/data/team/id"), ("n", "/data/n"), ("none", "/data/none"), ("odd", "/data"), ("big", "/data/big")]
        .map(|(a, b)| (a.to_owned(), Copied::from(b)))
        .into();
    let body = json!({"ok": true, "access_token": "wrong", "data": {
        "user": {"token": "right"}, "scopes": "a|b", "team": {"id": "T1"}, "n": 7, "big": "x".repeat(LARGEST_COPY + 1)}});
    let set = parse(&oauth, 200, &body.to_string()).unwrap();
    assert_eq!(set.access_token.expose(), "right");
    assert_eq!(set.scopes, list(&["a", "b"]));
    assert_eq!(set.expires_in, Some(Duration::from_secs(7200)));
    assert_eq!(set.copied.values, [("n", "7"), ("team", "T1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    assert_eq!(set.copied.trouble, None);
    assert_eq!(set.raw.text("/data/team/id").as_deref(), Some("T1"));
    assert_eq!(set.raw.text("/data/team"), None);

    assert_eq!(class(parse(&oauth, 200, r#"{"ok":false,"data":{"user":{"token":"t"}}}"#)), "refused unknown_error");
    assert_eq!(class(parse(&oauth, 200, r#"{"ok":true,"fault":{"name":"invalid_grant"}}"#)), "final invalid_grant");
    oauth.answer.success = Some(Success { pointer: "/status".to_owned(), equals: json!(0) });
    assert_eq!(class(parse(&oauth, 200, r#"{"status":601,"data":{"user":{"token":"t"}}}"#)), "refused 601");
    assert_eq!(class(parse(&oauth, 200, r#"{"status":0,"data":{"user":{"token":"t"}}}"#)), "ok t");
}

#[test]
fn values_are_checked_before_they_are_kept() {
    let kept = |wanted: Json, body: Json| {
        let mut oauth = oauth();
        oauth.copy_from_token = serde_json::from_value(wanted).unwrap();
        let mut body = body;
        body["access_token"] = "t".into();
        let copies = parse(&oauth, 200, &body.to_string()).unwrap().copied;
        (copies.values.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" "), copies.trouble)
    };
    let instance = json!({"instance": {"from": "/instance_url", "pattern": r"https://(?<value>[a-z0-9-]+\.my\.acme\.com)/?"}});
    assert_eq!(kept(instance.clone(), json!({"instance_url": "https://eu7.my.acme.com"})), ("instance=eu7.my.acme.com".to_owned(), None));
    for bad in [
        "https://evil.com",
        "https://evil.com/.my.acme.com",
        "http://eu7.my.acme.com",
        "https://eu7.my.acme.com.evil.com",
        "x https://a.my.acme.com",
    ] {
        let (values, trouble) = kept(instance.clone(), json!({"instance_url": bad}));
        assert!(values.is_empty() && trouble.unwrap() == "`instance` has another form than the manifest's pattern", "{bad}");
    }
    assert_eq!(kept(instance.clone(), json!({})).1.unwrap(), "`instance` is missing");
    let optional = json!({"plan": {"from": "/plan", "pattern": "free|paid", "optional": true}, "n": {"from": "/n"}});
    assert_eq!(kept(optional.clone(), json!({"n": 7})), ("n=7".to_owned(), None));
    assert_eq!(kept(optional, json!({"n": 7, "plan": "other"})).1.unwrap(), "`plan` has another form than the manifest's pattern");
}

#[test]
fn forms_are_read_too() {
    let oauth = oauth();
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "text/html; charset=utf-8", ""] {
        let response = answer(200, content_type, "access_token=a%2Bb&scope=x%2Cy&token_type=bearer&expires_in=60\n");
        let set = parse_token_answer(&oauth, &response, NOW).unwrap();
        assert_eq!((set.access_token.expose(), set.token_type.as_str()), ("a+b", "Bearer"));
        assert_eq!(set.scopes, list(&["x", "y"]));
        assert_eq!(set.expires_in, Some(Duration::from_secs(60)));
    }
}

#[test]
fn tokens_have_a_largest_size() {
    let oauth = oauth();
    let body = |size: usize| json!({"access_token": "a".repeat(size)}).to_string();
    assert!(parse(&oauth, 200, &body(LARGEST_TOKEN)).is_ok());
    assert_eq!(class(parse(&oauth, 200, &body(LARGEST_TOKEN + 1))), "passing malformed_answer");
    assert_eq!(provider_code(&"x".repeat(100)).len(), 64);
}

proptest::proptest! {
    #[test]
    fn never_panics(status in 100u16..600, body in proptest::collection::vec(proptest::num::u8::ANY, 0..200), text in "[\\[\\]{}\":,a-z0-9=&%\\\\ ]{0,80}") {
        for body in [body, text.into_bytes()] {
            let response = HttpResponse { status, headers: Vec::new(), body };
            if let Ok(set) = parse_token_answer(&oauth(), &response, NOW) {
                proptest::prop_assert!((200..300).contains(&status) && !set.access_token.is_empty());
            }
            let _ = crate::http::protocol::parse_revoke_answer(&oauth(), &response);
        }
    }

    #[test]
    fn codes_are_always_safe(text in ".{0,100}") {
        let code = provider_code(&text);
        proptest::prop_assert!((1..=64).contains(&code.len()));
        proptest::prop_assert!(code.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)));
    }
}

/// How often an element stands there makes no difference to a pointer, nor do its attributes.
#[test]
fn xml_is_read_whatever_stands_there_twice() {
    let mut oauth = oauth();
    oauth.answer = crate::manifest::TokenAnswer {
        format: AnswerFormat::Xml,
        access_token: Some("/r/session/id".to_owned()),
        scope: Some("/r/scope".to_owned()),
        error: Some("/r/errors/error/no".to_owned()),
        error_description: Some("/r/errors/error/text".to_owned()),
        success: Some(Success { pointer: "/r/status".to_owned(), equals: json!(true) }),
        ..Default::default()
    };
    oauth.refresh.final_errors = vec!["X1".to_owned()];
    oauth.refresh.errors = vec![RefusalRule { error: None, description: Some("locked".to_owned()), means: RefusalMeaning::Suspended }];
    let said = |body: &str| class(parse(&oauth, 200, body));
    let error = |no: &str| format!("<error><no>{no}</no><text>t</text></error>");
    for (body, expected) in [
        ("<r><status>true</status><session><id>t1</id></session></r>".to_owned(), "ok t1"),
        ("<r><status k='v'>true</status><session><id type='s'>t1</id></session></r>".to_owned(), "ok t1"),
        (
            "<r><status>true</status><status>false</status><session><id>t1</id></session><session><id>t2</id></session></r>".to_owned(),
            "ok t1",
        ),
        ("<r><status>true</status><errors nil='true'/><session><id>t1</id></session></r>".to_owned(), "ok t1"),
        (format!("<r><status>false</status><errors>{}</errors></r>", error("X1")), "final X1"),
        (format!("<r><status>false</status><errors>{}{}</errors></r>", error("X1"), error("X2")), "final X1"),
        (format!("<r><status>false</status><errors>{}{}</errors></r>", error("X2"), error("X1")), "refused X2"),
        (
            "<r><errors><error><no>X1</no><text>it is Locked</text></error><error><text>b</text></error></errors></r>".to_owned(),
            "suspended X1",
        ),
        ("<r><status>failed</status><session><id>t1</id></session></r>".to_owned(), "refused failed"),
        ("<r><session><id>t1</id></session></r>".to_owned(), "refused unknown_error"),
        ("{\"r\":{\"status\":true}}".to_owned(), "passing malformed_answer"),
        (
            "<!DOCTYPE r [<!ENTITY t SYSTEM 'file:///etc/passwd'>]><r><status>true</status><session><id>&t;</id></session></r>".to_owned(),
            "passing malformed_answer",
        ),
    ] {
        assert_eq!(said(&body), expected, "{body}");
    }
    let tokens = |body: &str| parse(&oauth, 200, body).unwrap();
    let one = "<r><status>true</status><session><id>t1</id></session><scope>a b</scope></r>";
    let several = "<r><status>true</status><session><id>t1</id></session><scope>a</scope><scope>b</scope></r>";
    assert_eq!((tokens(one).scopes, tokens(several).scopes), (list(&["a", "b"]), list(&["a", "b"])));
    assert_eq!(tokens(several).raw.text("/r/scope/1").as_deref(), Some("b"));
    // Without what it grants, an answer grants all that was asked for: attributes must not make it one of those.
    for (scope, granted) in [
        ("<scope k='v'>a b</scope>", list(&["a", "b"])),
        ("<scope k='v'>a</scope><scope>b</scope>", list(&["a", "b"])),
        ("<scope>a</scope><scope k='v'>b</scope>", list(&["a", "b"])),
        ("<scope k='v'/>", list(&[])),
        ("<scope/>", list(&[])),
        ("<scope><name>a</name></scope>", list(&[])),
        ("", None),
    ] {
        let body = format!("<r><status>true</status><session><id>t1</id></session>{scope}</r>");
        assert_eq!(tokens(&body).scopes, granted, "{body}");
    }
    // In JSON a list is a list, as RFC 6901 has it.
    let raw = RawAnswer::of(json!({"e": [{"no": 1}]}));
    assert_eq!((raw.text("/e/no"), raw.text("/e/0/no").as_deref()), (None, Some("1")));
}
