#![allow(clippy::unwrap_used)]
use serde_json::json;

use super::*;
use crate::{http::protocol::fixture::oauth, plugin::HttpBody};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn registration() -> Registration {
    serde_json::from_value(json!({"url": "https://provider.example/register"})).unwrap()
}

fn endpoint() -> Url {
    "https://provider.example/register".parse().unwrap()
}

fn wishes(redirect_uris: &[&str], scopes: &[&str]) -> ClientWishes {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    ClientWishes { redirect_uris: list(redirect_uris), scopes: list(scopes) }
}

fn answer(status: u16, body: &Json) -> HttpResponse {
    HttpResponse { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

fn body(request: &HttpRequest) -> Json {
    let HttpBody(body) = &request.body;
    serde_json::from_slice(body).unwrap()
}

fn refused_with(failure: &RegistrationFailure) -> &str {
    match failure {
        RegistrationFailure::Refused { provider_error } => provider_error,
        RegistrationFailure::Passing { error } => panic!("{error}"),
    }
}

#[test]
fn asks_as_rfc_7591_says() {
    let mut oauth = oauth();
    let wanted = wishes(&["https://app.test/cb", "http://127.0.0.1/cb"], &["a", "b"]);
    let values = Values::new().one("public_url", "https://app.test");
    let token = Secret::new("initial");
    let request = registration_request(&oauth, &registration(), endpoint(), &values, &wanted, "Acme", Some(&token)).unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://provider.example/register"));
    let expected = json!({
        "client_name": "Acme", "redirect_uris": ["https://app.test/cb", "http://127.0.0.1/cb"], "client_uri": "https://app.test",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "scope": "a b",
        "token_endpoint_auth_method": "client_secret_basic",
    });
    assert_eq!(body(&request), expected);
    let authorization = request.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.as_str());
    assert_eq!(authorization, Some("Bearer initial"));

    // A dialect: other names, nothing that is not known, a form.
    oauth.client_auth = ClientAuth::None;
    oauth.refresh.rotation = Rotation::Never;
    let mut odd = registration();
    odd.body = TokenBody::Form;
    for (name, text) in [("scope", ""), ("scopes", "{scope}"), ("website", "{public_url}"), ("redirect_uris", "{redirect_uris}")] {
        odd.params.insert(name.to_owned(), text.to_owned());
    }
    let request = registration_request(&oauth, &odd, endpoint(), &Values::new(), &wanted, "Acme", None).unwrap();
    let mut form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body.0).into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        pair("client_name", "Acme"),
        pair("grant_types", "authorization_code"),
        pair("redirect_uris", "https://app.test/cb\nhttp://127.0.0.1/cb"),
        pair("response_types", "code"),
        pair("scopes", "a b"),
        pair("token_endpoint_auth_method", "none"),
    ];
    form.sort();
    assert_eq!(form, expected);
    // Never the shape of the app's own key.
    oauth.client_auth = ClientAuth::PrivateKeyJwt;
    assert!(registration_request(&oauth, &odd, endpoint(), &Values::new(), &wanted, "Acme", None).is_err());
}

#[test]
fn reads_what_was_registered() {
    let whole = json!({
        "client_id": "c1", "client_secret": "s1", "client_secret_expires_at": 1_800_000_600, "registration_access_token": "r1",
        "registration_client_uri": "https://provider.example/register/c1",
    });
    let client = parse_registration(&endpoint(), &answer(201, &whole), NOW).unwrap();
    assert_eq!((client.client_id.as_str(), client.client_secret.as_ref().unwrap().expose()), ("c1", "s1"));
    assert_eq!(client.expires_at, Some(Timestamp::from_millis(1_800_000_600_000)));
    assert_eq!((client.access_token.unwrap().expose(), client.page.unwrap().path()), ("r1", "/register/c1"));
    // No end, no page, no secret.
    let bare = parse_registration(&endpoint(), &answer(200, &json!({"client_id": "c1", "client_secret_expires_at": 0})), NOW).unwrap();
    assert!(bare.client_secret.is_none() && bare.expires_at.is_none() && bare.access_token.is_none() && bare.page.is_none());
    // A page elsewhere is none, and its token goes nowhere.
    let mut elsewhere = whole.clone();
    elsewhere["registration_client_uri"] = "https://evil.example/register/c1".into();
    let client = parse_registration(&endpoint(), &answer(201, &elsewhere), NOW).unwrap();
    assert!(client.page.is_none() && client.access_token.is_none());
    for (name, value) in
        [("client_id", json!("")), ("client_id", json!("a\nb")), ("client_secret", json!("ü")), ("client_id", json!("x".repeat(5000)))]
    {
        let mut bad = whole.clone();
        bad[name] = value;
        assert!(matches!(parse_registration(&endpoint(), &answer(201, &bad), NOW), Err(RegistrationFailure::Passing { .. })), "{bad}");
    }
    assert!(!format!("{client:?}").contains("s1"));
}

#[test]
fn a_refusal_is_told_from_what_passes() {
    for (status, body, code) in [
        (400, json!({"error": "invalid_redirect_uri", "error_description": "…"}), "invalid_redirect_uri"),
        (401, json!({}), "http_401"),
        (403, json!({"error": "access_denied"}), "access_denied"),
        (404, Json::Null, "http_404"),
        // A sentence is no code.
        (422, json!({"error": "Validation failed: Redirect URI must be an absolute URI."}), "http_422"),
    ] {
        assert_eq!(refused_with(&parse_registration(&endpoint(), &answer(status, &body), NOW).unwrap_err()), code);
    }
    for status in [302, 408, 429, 500, 503] {
        assert!(
            matches!(parse_registration(&endpoint(), &answer(status, &json!({})), NOW), Err(RegistrationFailure::Passing { .. })),
            "{status}"
        );
    }
    assert!(matches!(parse_registration(&endpoint(), &answer(200, &json!("no")), NOW), Err(RegistrationFailure::Passing { .. })));
}

#[test]
fn s50_metadata_lead_nowhere_else() {
    let asked: Url = "https://provider.example/.well-known/oauth-authorization-server".parse().unwrap();
    let good = json!({"issuer": "https://provider.example", "registration_endpoint": "https://provider.example/register"});
    assert_eq!(registration_endpoint(&asked, &answer(200, &good), NOW).unwrap(), endpoint());
    for (name, value) in [
        ("issuer", "https://evil.example"),
        ("registration_endpoint", "https://evil.example/register"),
        ("registration_endpoint", "http://provider.example/register"),
        ("registration_endpoint", "https://provider.example.evil.example/register"),
    ] {
        let mut bad = good.clone();
        bad[name] = value.into();
        assert!(matches!(registration_endpoint(&asked, &answer(200, &bad), NOW), Err(RegistrationFailure::Passing { .. })), "{bad}");
    }
    let none = json!({"issuer": "https://provider.example"});
    assert_eq!(refused_with(&registration_endpoint(&asked, &answer(200, &none), NOW).unwrap_err()), "no_registration_endpoint");
    assert_eq!(refused_with(&registration_endpoint(&asked, &answer(404, &none), NOW).unwrap_err()), "no_metadata");
    assert!(matches!(registration_endpoint(&asked, &answer(503, &none), NOW), Err(RegistrationFailure::Passing { .. })));
}

#[test]
fn wishes_are_served_or_not() {
    let made = wishes(&["https://app.test/cb"], &["a", "b"]);
    assert!(made.serves(&wishes(&["https://app.test/cb"], &["b"])) && made.serves(&wishes(&[], &[])));
    assert!(!made.serves(&wishes(&["https://app.test/other"], &[])) && !made.serves(&wishes(&[], &["c"])));
    let both = made.and(&wishes(&["https://app.test/other"], &["b", "c"]));
    assert_eq!(both, wishes(&["https://app.test/cb", "https://app.test/other"], &["a", "b", "c"]));
}
