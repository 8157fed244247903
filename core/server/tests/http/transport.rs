//! The rules that every endpoint obeys, whatever it does.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::json;
use smalt::{Smalt, model::Json};
use smalt_server::{ApiOptions, routes};

use crate::world::{Said, World, is_page};

#[tokio::test]
async fn slashes_too_many_do_not_count() {
    let world = World::new().await;
    let session = world.account("u@e.com").await;
    let session = [("authorization", &*session)];
    let found = world.call("POST", "/api/v2/f-sdk/config", &session, json!({"slug": "sandbox-key"})).await.expect(200);
    for path in [
        "//api/v2/f-sdk/slug/sandbox-key/config",
        "/api/v2/public/slug/sandbox-key/config/",
        "//api//v2/public//slug/sandbox-key/config/u@e.com//",
        "/api/v2/public/slug/sandbox-key/config/u%40e.com",
    ] {
        assert_eq!(world.call("GET", path, &session, Json::Null).await.expect(200).text, found.text, "{path}");
    }
    world.backend("GET", "/api/v2/public/linked-account/?limit=1", Json::Null).await.expect(200);
}

#[tokio::test]
async fn bodies_where_nobody_expects_them() {
    let world = World::new().await;
    world.account("u@e.com").await;
    let key = [("x-api-key", &*world.key), ("linked_account_id", "u@e.com")];
    let body = json!({"linked_account_id": "u@e.com", "slug": "sandbox-key", "config_id": "one"});
    world.call("POST", "/api/v2/public/config", &key, body.clone()).await.expect(200);
    let path = "/api/v2/public/slug/sandbox-key/config/one";
    let plain = world.call("GET", path, &key, Json::Null).await.expect(200);
    assert_eq!(world.call("GET", path, &key, body.clone()).await.expect(200).text, plain.text);
    for odd in ["{", "[[[", "null", "7", "\"text\""] {
        assert_eq!(
            world.send("GET", path, &[&[("content-type", "application/json")][..], &key].concat(), odd.as_bytes()).await.text,
            plain.text
        );
    }
    // The account of a GET may stand in its body, if nowhere else; where it stands in the query, too, that one counts.
    let bare = [("x-api-key", &*world.key)];
    assert_eq!(world.call("GET", path, &bare, body.clone()).await.expect(200).text, plain.text);
    let elsewhere = json!({"linked_account_id": "nobody"});
    assert_eq!(world.call("GET", &format!("{path}?linked_account_id=u%40e.com"), &bare, elsewhere).await.expect(200).text, plain.text);
    for empty in ["", "linked_account_id="] {
        let said = world
            .call("GET", &format!("{path}?{empty}"), &[("x-api-key", &*world.key), ("linked_account_id", "")], Json::Null)
            .await
            .expect(400);
        assert_eq!(
            (said.message().as_str(), &said.json()["error_code"]),
            ("linked_account_id is required", &json!("INVALID_LINKED_ACCOUNT_ID"))
        );
    }
    world.call("DELETE", path, &key, body).await.expect(200);
    world.call("DELETE", "/api/v1/linked-acc/integration/sandbox-key", &key, Json::Null).await.expect(200);
    // No body at all, and the content type of one.
    let empty = world.call("POST", "/smalt/v1/list_api_keys", &bare, Json::Null).await.expect(200);
    assert_eq!(empty.json().as_array().unwrap().len(), 1);
    // Tools claim a form where nobody says otherwise. It is read as JSON, and not repeated.
    let form = [("content-type", "application/x-www-form-urlencoded"), ("x-api-key", &*world.key)];
    world.send("POST", "/smalt/v1/get_account", &form, br#"{"account": "u@e.com"}"#).await.expect(200);
    let said = world.send("POST", "/smalt/v1/get_account", &form, b"secret=text").await.expect(400);
    assert!(!said.text.contains("secret"), "{}", said.text);
}

#[tokio::test]
async fn paths_are_decoded_exactly_once() {
    let world = World::new().await;
    for (id, written) in
        [("a b", "a%20b"), ("a+b", "a+b"), ("50%25", "50%2525"), ("u@e.com:7", "u@e.com:7"), ("u@e.com:7", "u%40e.com%3A7")]
    {
        world.account(id).await;
        let said = world.backend("GET", &format!("/api/v2/public/linked-account/{written}"), Json::Null).await.expect(200);
        assert_eq!(said.json()["account_id"], id, "{written}");
        // A query is a form: there a plus is a space.
        let query = written.replace('+', "%2B");
        let said = world.backend("GET", &format!("/api/v2/public/application?linked_account_id={query}"), Json::Null).await.expect(200);
        assert_eq!(said.json().as_array().unwrap().len(), 2);
    }
    world.backend("GET", "/api/v2/public/linked-account/%ff", Json::Null).await.expect(400);
    for id in ["a/b", "a?b", "a#b", "a\u{7}b", " a", "a ", "ä"] {
        world.backend("POST", "/api/v2/public/linked-account", json!({"linked_account_id": id})).await.expect(400);
    }
}

#[tokio::test]
async fn what_is_not_there_not_offered_or_too_much() {
    let world = World::with(ApiOptions::default(), |project| project.server.body_size = 2000).await;
    let lost = world.call("GET", "/api/v2/nothing?secret=1", &[], Json::Null).await.expect(404);
    assert!(lost.message().contains("/api/v2/nothing") && !lost.text.contains("secret"), "{}", lost.text);
    world.call("GET", "/", &[], Json::Null).await.expect(404);
    let said = world.call("PATCH", "/api/v2/f-sdk/config", &[], Json::Null).await.expect(405);
    assert_eq!((said.header("allow"), said.json()["http_error_type"].as_str().unwrap()), ("POST, PUT", "METHOD_NOT_ALLOWED"));
    let key = [("x-api-key", &*world.key)];
    let said = world.call("POST", "/api/v2/public/linked-account", &key, json!({"name": "x".repeat(2000)})).await.expect(413);
    assert!(said.message().contains("2000") && said.json()["error_code"] == "PAYLOAD_TOO_LARGE", "{}", said.text);
    for deep in [33, 200, 900] {
        let body = format!("{{\"linked_account_id\":\"deep\",\"x\":{}{}}}", "[".repeat(deep), "]".repeat(deep));
        world.send("POST", "/api/v2/public/linked-account", &key, body.as_bytes()).await.expect(400);
    }
    for wrong in ["{", "{\"a\":}", "\u{feff}{}", "[] []"] {
        let said = world.send("POST", "/api/v2/public/linked-account", &key, wrong.as_bytes()).await.expect(400);
        assert!(said.message().contains("no JSON"), "{}", said.text);
    }
    for odd in ["[]", "7", "true", "\"text\"", "{}", ""] {
        let said = world.send("POST", "/api/v2/public/linked-account", &key, odd.as_bytes()).await;
        assert_eq!(said.status, 400, "{odd}: {}", said.text);
    }
}

#[tokio::test]
async fn unknown_input_is_ignored() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let headers = [("authorization", &*session), ("environment", "production"), ("instance_tag", "x"), ("x-what", "ever")];
    let body = json!({"slug": "sandbox-key", "labels": [], "what": {"ever": [1]}, "linked_account_id": "somebody-else"});
    world.call("POST", "/api/v2/f-sdk/config?what=ever&slug=other", &headers, body).await.expect(200);
    let apps = world.call("GET", "/api/v2/f-sdk/application?ecosystem=true&a[b]=c&&=", &headers, Json::Null).await.expect(200);
    assert_eq!(apps.json().as_array().unwrap().len(), 2);
    for page in ["page=0&limit=-1", "page=x&limit=", "page=99999999999999999999", ""] {
        let list = world.backend("GET", &format!("/api/v2/public/linked-account?{page}"), Json::Null).await.expect(200).json();
        assert_eq!((&list["limit"], &list["page"], &list["totalDocs"]), (&json!(10), &json!(1), &json!(1)), "{page}");
    }
}

#[tokio::test]
async fn head_and_preflight() {
    let world = World::new().await;
    let head = world.send("HEAD", "/smalt/v1/capabilities", &[], b"").await;
    assert_eq!(head.status, 200);
    for route in routes() {
        let said = world
            .send("OPTIONS", route.path, &[("origin", "https://app.example"), ("authorization", "Bearer wrong")], b"")
            .await
            .expect(200);
        assert_eq!(said.header("access-control-allow-origin"), "*");
        let allowed: Vec<&str> = said.header("access-control-allow-headers").split(", ").collect();
        let known =
            ["authorization", "content-type", "x-api-key", "linked_account_id", "slug", "config_id", "sync_execution", "instance_tag"];
        for name in known.iter().chain(&["disable_field_options", "include-headers", "environment", "linked-account-id", "config-id"]) {
            assert!(allowed.contains(name), "{name}");
        }
        assert!(said.header("access-control-allow-methods").split(", ").any(|method| method == route.method));
        assert!(!said.header("access-control-max-age").is_empty());
    }
}

#[tokio::test]
async fn s64_listed_origins_are_the_only_ones() {
    let listed = ["https://app.example", "http://localhost:3000"];
    let world = World::with(ApiOptions::default(), |project| project.org.origins = listed.map(String::from).to_vec()).await;
    let strangers = [
        "https://evil.example",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "https://app.example/",
        "https://app.example:443",
        "https://app.example:8443",
        "http://app.example",
        "HTTPS://app.example",
        "https://APP.example",
        "https://app.example.",
        "https://app.example%00",
        "https://app.example#",
        "https://app.example?x",
        "https://app.example@evil.example",
        "https://user@app.example",
        "https://sub.app.example",
        "https://xapp.example",
        "https://app.examplex",
        "https://app-example",
        "https://app.example https://evil.example",
        "https://evil.example, https://app.example",
        "http://localhost",
        "http://localhost:3001",
        "https://localhost:3000",
        "http://localhost:3000.evil.example",
        "http://127.0.0.1:3000",
        "null",
        "*",
        "app.example",
        "//app.example",
        "file://",
    ];
    assert!(strangers.len() >= 30);
    for (origin, is_listed) in strangers.map(|origin| (origin, false)).into_iter().chain(listed.map(|origin| (origin, true))) {
        for (method, path) in [("OPTIONS", "/api/v2/f-sdk/application"), ("GET", "/api/v2/f-sdk/application"), ("GET", "/nowhere")] {
            let said = world.send(method, path, &[("origin", origin)], b"").await;
            let allowed = said.header("access-control-allow-origin");
            assert_eq!(allowed, if is_listed { origin } else { "" }, "{method} {path} {origin}");
            assert_eq!(said.header("vary"), "Origin");
            assert!(!said.headers.contains_key("access-control-allow-credentials"));
        }
    }
    // Until a project lists some, anybody may call, and no browser adds what it keeps.
    let world = World::new().await;
    for origin in strangers {
        let said = world.send("GET", "/api/v2/f-sdk/application", &[("origin", origin)], b"").await;
        assert_eq!(said.header("access-control-allow-origin"), "*", "never an origin that was sent");
        assert!(!said.headers.contains_key("access-control-allow-credentials"));
    }
}

#[tokio::test]
async fn headers_have_hyphens_for_proxies_that_drop_the_others() {
    let world = World::new().await;
    world.account("ada").await;
    let body = json!({"slug": "sandbox-key"});
    let headers = [("x-api-key", &*world.key), ("Linked-Account-Id", "ada"), ("config-id", "second")];
    let config = world.call("POST", "/api/v2/public/config", &headers, body).await.expect(200).json();
    assert_eq!(config["config_id"], "second");
    let headers = [&headers[..], &[("slug", "sandbox-key"), ("disable-field-options", "true")]].concat();
    let field = world.call("PUT", "/api/v2/public/config/field/colour", &headers, json!({"value": "red"})).await.expect(200).json();
    assert_eq!(field["value"], "red");
}

#[tokio::test]
async fn values_and_labels_are_kept_as_they_were_sent() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let session = [("authorization", &*session), ("slug", "sandbox-key")];
    let path = "/api/v2/f-sdk/config";
    let value = |config: &Json, id: &str| {
        config["fields"].as_array().unwrap().iter().find(|field| field["id"] == id).unwrap().get("value").cloned()
    };
    let labels = |config: &Json| config["fields"].as_array().unwrap().iter().find(|field| field["id"] == "map").unwrap()["labels"].clone();

    let given = json!({"slug": "sandbox-key", "labels": [{"name": "Left", "value": "left"}]});
    let first = labels(&world.call("POST", path, &session, given).await.expect(200).json());
    assert_eq!(first[0]["value"], "left");
    for empty in [json!([]), json!({}), json!(null)] {
        let config = world.call("POST", path, &session, json!({"slug": "sandbox-key", "labels": empty})).await.expect(200).json();
        assert_eq!(labels(&config), first);
    }
    for (id, values) in [
        ("amount", vec![json!(0), json!("0"), json!(7.5)]),
        ("sync", vec![json!(false), json!(true)]),
        ("colour", vec![json!(""), json!("red"), json!("0"), json!(" ")]),
    ] {
        for sent in values {
            let config = world.call("PUT", path, &session, json!({"slug": "sandbox-key", "fields": {id: sent}})).await.expect(200).json();
            assert_eq!(value(&config, id), Some(sent.clone()), "{id}");
            // A list that is empty changes nothing, and neither does a read.
            let same =
                world.call("PUT", path, &session, json!({"slug": "sandbox-key", "fields": [], "workflows": []})).await.expect(200).json();
            assert_eq!(same, config);
            let field = world.call("GET", &format!("/api/v2/public/config/field/{id}"), &session, Json::Null).await.expect(200).json();
            assert_eq!(field["value"], sent);
        }
    }
    for (method, body) in [("PUT", json!({"value": null})), ("DELETE", Json::Null)] {
        world.call("PUT", "/api/v2/public/config/field/amount", &session, json!({"value": 0})).await.expect(200);
        world.call(method, "/api/v2/public/config/field/amount", &session, body).await.expect(200);
        let config = world.call("GET", "/api/v2/f-sdk/slug/sandbox-key/config", &session, Json::Null).await.expect(200).json();
        assert_eq!(value(&config, "amount"), None, "{method}");
    }
    world.call("PUT", "/api/v2/public/config/field/amount", &session, json!({})).await.expect(400);
}

/// Everything that tells one answer from another, but for what is new with each.
fn face(said: &Said) -> String {
    let mut headers: Vec<String> = said.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    format!("{} {headers:?} {}", said.status, said.text).replace(said.header("x-request-id"), "(id)")
}

#[tokio::test]
async fn s27_whatever_is_wrong_with_a_key_or_token_the_answer_is_the_same() {
    let world = World::new().await;
    let other = World::new().await;
    let session = world.account("ada").await;
    let foreign = other.account("ada").await;
    let revoked = world.account("gone").await;
    world.call("POST", "/api/v2/public/session-token/revoke", &[("authorization", &revoked)], Json::Null).await.expect(200);
    let deleted = world.account("deleted").await;
    world.backend("DELETE", "/api/v2/public/linked-account/deleted", Json::Null).await.expect(200);
    let last = if session.ends_with('A') { "B" } else { "A" };
    let flipped = format!("{}{last}", &session[..session.len() - 1]);
    let parts: Vec<&str> = session.split('.').collect();
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    let none = format!("Bearer eyJhbGciOiJub25lIn0.{}.", parts[1]);
    let long = format!("Bearer {}", "x".repeat(9000));
    let (doubled, swapped) =
        (format!("{session}{}", &session[7..]), format!("{}.{}.{}", parts[0], foreign.split('.').nth(1).unwrap(), parts[2]));
    // Of this account, made by this organisation, and older than a day by a little more than the leeway.
    let made = async |ago: u64| {
        let smalt = world.earlier(Duration::from_secs(ago)).await;
        format!("Bearer {}", smalt.account("ada").session_with(true).await.unwrap().token().expose())
    };
    let (old, expired, long_expired) = (made(23 * 3600).await, made(24 * 3600 + 31).await, made(48 * 3600).await);
    world.call("GET", "/api/v2/f-sdk/application", &[("authorization", &old)], Json::Null).await.expect(200);
    // A good one, too, but of another organisation on the same store.
    let umbrella = world.beside(|builder| builder.organisation("umbrella")).await;
    let issued = async |smalt: &Smalt| {
        smalt.account("ada").ensure().await.unwrap();
        format!("Bearer {}", smalt.account("ada").session().await.unwrap().token().expose())
    };
    let of_umbrella = issued(&umbrella).await;
    let tokens = [
        "Bearer x",
        "x",
        "Basic eDp5",
        &foreign,
        &of_umbrella,
        &revoked,
        &deleted,
        &expired,
        &long_expired,
        &flipped,
        &unsigned,
        &none,
        &long,
        &doubled,
        &swapped,
    ];
    let mut faces = std::collections::BTreeSet::new();
    for token in tokens {
        let said = world.call("GET", "/api/v2/f-sdk/application", &[("authorization", token)], Json::Null).await.expect(401);
        assert_eq!((said.message().as_str(), &said.json()["error_code"]), ("Invalid token", &json!("INVALID_TOKEN")));
        faces.insert(face(&said));
    }
    assert_eq!(faces.len(), 1, "{faces:?}");
    world.call("GET", "/api/v2/f-sdk/application", &[("authorization", &session)], Json::Null).await.expect(200);

    let ended = world.test.create_api_key("ended").await.unwrap();
    world.test.revoke_api_key(ended.info.id).await.unwrap();
    let flipped = format!("{}{}", &world.key[..world.key.len() - 1], if world.key.ends_with('0') { "1" } else { "0" });
    let (cut, upper, swapped) = (&world.key[..20], world.key.to_uppercase(), format!("pk{}", &world.key[2..]));
    let long = "t".repeat(9000);
    let of_umbrella = umbrella.create_api_key("backend").await.unwrap();
    let of_umbrella = of_umbrella.key.expose();
    let keys =
        ["x", "tk", "pk", &other.key, &other.production_key, of_umbrella, ended.key.expose(), &flipped, cut, &upper, &swapped, &long];
    let mut faces = std::collections::BTreeSet::new();
    for key in keys {
        let headers = [("x-api-key", key), ("linked_account_id", "ada")];
        let said = world.call("GET", "/api/v2/public/application", &headers, Json::Null).await.expect(401);
        assert_eq!((said.message().as_str(), &said.json()["error_code"]), ("Invalid Credentials", &json!("SERVER_ERROR")));
        faces.insert(face(&said));
    }
    assert_eq!(faces.len(), 1, "{faces:?}");
    // None at all.
    for headers in [vec![], vec![("authorization", "Bearer ")], vec![("authorization", "bearer")]] {
        let said = world.call("GET", "/api/v2/f-sdk/application", &headers, Json::Null).await.expect(401);
        assert_eq!(said.message(), "Authorization Token Missing");
    }
    assert_eq!(world.call("GET", "/api/v2/public/linked-account", &[], Json::Null).await.expect(401).message(), "Invalid Credentials");
    // A key and a token of another tenant beside it.
    let both = [("x-api-key", &*world.key), ("authorization", &*foreign), ("linked_account_id", "ada")];
    world.call("GET", "/api/v2/public/application", &both, Json::Null).await.expect(401);
    // Without a scheme, and in other letters.
    for token in [&session[7..], &session.replace("Bearer", "bEARER")] {
        world.call("GET", "/api/v2/f-sdk/application", &[("authorization", token)], Json::Null).await.expect(200);
    }
}

#[tokio::test]
async fn another_accounts_id_is_refused_alike_whether_or_not_it_exists() {
    let world = World::new().await;
    let session = world.account("ada").await;
    world.account("other").await;
    let mut faces = std::collections::BTreeSet::new();
    for id in ["other", "absent"] {
        let said =
            world.call("GET", &format!("/api/v2/public/linked-account/{id}"), &[("authorization", &session)], Json::Null).await.expect(403);
        faces.insert(face(&said));
        let headers = [("authorization", &*session), ("linked_account_id", id)];
        faces.insert(face(&world.call("GET", "/api/v2/f-sdk/application", &headers, Json::Null).await.expect(403)));
    }
    assert_eq!(faces.len(), 1, "{faces:?}");
}

#[tokio::test]
async fn it_can_be_mounted_below_a_prefix() {
    let world = World::new().await;
    let mut router = axum::Router::new().nest_service("/backend", world.api.clone());
    for (path, status) in [
        ("/backend/smalt/v1/capabilities", 200),
        ("/backend//smalt/v1/capabilities/", 200),
        ("/backend/nothing", 404),
        ("/smalt/v1/capabilities", 404),
    ] {
        use tower_service::Service;
        let response = router.call(http::Request::get(path).body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        if path == "/backend/smalt/v1/capabilities" {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(serde_json::from_slice::<Json>(&body).unwrap()["backend"], "embedded");
        }
    }
}

/// Without a public URL there is no address to send anybody to, and the answer says what to set.
#[tokio::test]
async fn a_server_that_does_not_know_where_it_is_says_so() {
    let world = World::with(ApiOptions::default(), |project| project.org.public_url = None).await;
    let session = world.account("ada").await;
    let said = world.call("GET", "/api/v1/sandbox-oauth/integrate", &[("authorization", &session)], Json::Null).await;
    assert!(said.status >= 400 && said.message().contains("public_url"), "{}", said.text);
    assert!(!is_page("/api/v1/sandbox-oauth/integrate"));
    Smalt::close(&world.test).await;
}
