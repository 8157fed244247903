//! Answers for clients that take gzip.

use std::io::Read;

use flate2::read::GzDecoder;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::json;
use smalt::model::Json;

use crate::world::World;

struct Raw {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Raw {
    fn is_packed(&self) -> bool {
        self.headers.get("content-encoding").is_some_and(|value| value == "gzip")
    }

    fn varies(&self) -> bool {
        self.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().to_ascii_lowercase().contains("accept-encoding"))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        match self.is_packed() {
            true => GzDecoder::new(&self.bytes[..]).read_to_string(&mut text).unwrap(),
            false => (&self.bytes[..]).read_to_string(&mut text).unwrap(),
        };
        text
    }
}

async fn ask(world: &World, method: &str, target: &str, headers: &[(&str, &str)], body: Json) -> Raw {
    let mut request = Request::builder().method(method).uri(target).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (head, body) = world.api.answer(request.body(axum::body::Body::from(body)).unwrap()).await.into_parts();
    Raw { status: head.status.as_u16(), headers: head.headers, bytes: body.collect().await.unwrap().to_bytes().to_vec() }
}

const TAKES: (&str, &str) = ("accept-encoding", "br, gzip;q=0.8");

#[tokio::test]
async fn large_answers_are_packed_for_who_asks_and_say_the_same() {
    let world = World::new().await;
    let session = world.account("ada").await;
    world.connect_key(&session).await.expect(200);
    let (token, key) = (("authorization", &*session), ("x-api-key", &*world.key));
    let config = json!({"slug": "sandbox-key", "fields": {"colour": "blue"}});
    let account = json!({"account": "ada"});
    for (method, target, who, body) in [
        ("GET", "/api/v2/f-sdk/application", token, Json::Null),
        ("POST", "/api/v2/f-sdk/config", token, config),
        ("POST", "/smalt/v1/list_apps", key, account),
        ("GET", "/smalt/v1/openapi.json", token, Json::Null),
        ("GET", "/smalt/v1/openapi", token, Json::Null),
        ("GET", "/client/latest/smalt.mjs", token, Json::Null),
    ] {
        let plain = ask(&world, method, target, &[who], body.clone()).await;
        assert!(plain.status == 200 && !plain.is_packed() && plain.varies() && plain.bytes.len() > 1024, "{method} {target}");
        let packed = ask(&world, method, target, &[who, TAKES], body.clone()).await;
        assert!(packed.status == 200 && packed.is_packed() && packed.varies(), "{method} {target}: {:?}", packed.headers);
        assert!(packed.bytes.len() < plain.bytes.len() && packed.text() == plain.text(), "{method} {target}");
        let refused = ask(&world, method, target, &[who, ("accept-encoding", "gzip;q=0")], body).await;
        assert!(!refused.is_packed(), "{method} {target}");
    }
    // Beside the origin, which the answer also depends on.
    let listed = World::with(smalt_server::ApiOptions::default(), |project| project.org.origins = vec!["https://app.example".into()]).await;
    let session = listed.account("ada").await;
    let said = ask(&listed, "GET", "/api/v2/f-sdk/application", &[("authorization", &session), TAKES], Json::Null).await;
    let vary: Vec<_> = said.headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_ascii_lowercase()).collect();
    assert!(vary.contains(&"origin".to_owned()) && said.varies(), "{vary:?}");
}

/// What holds a credential has its own length on the wire, and no copies in buffers.
#[tokio::test]
async fn credentials_small_answers_errors_and_streams_are_not_packed() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let long = "x".repeat(6000);
    let save = json!({"key": smalt::sandbox::API_KEY, "workspace": "acme"});
    ask(&world, "POST", "/api/v2/app/sandbox-key/save", &[("authorization", &session)], save).await;
    let own = json!({"linked_account_id": "ada", "your_app": {"auth_credentials": {"token": long}}});
    world.backend("PUT", "/api/v2/public/linked-account", own).await.expect(200);
    let key = ("x-api-key", &*world.key);
    let echo = json!({"account": "ada", "application": "sandbox-key", "method": "POST", "path": "echo",
                      "body": {"content_type": "text/plain", "content": "eHh4".repeat(2000)}});
    for (method, target, body) in [
        ("POST", "/smalt/v1/own_credentials", json!({"account": "ada"})),
        ("POST", "/smalt/v1/request", echo),
        ("POST", "/smalt/v1/credential", json!({"account": "ada", "application": "sandbox-key"})),
        ("POST", "/smalt/v1/create_session", json!({"account": "ada"})),
        ("POST", "/api/v2/public/session-token", json!({"linked_account_id": "ada"})),
        // Smaller than what it is worth for.
        ("GET", "/healthz", Json::Null),
    ] {
        let said = ask(&world, method, target, &[key, TAKES], body).await;
        assert_eq!((said.status, said.is_packed(), said.varies()), (200, false, false), "{target}: {}", said.text());
    }
    let long_name = format!("/{}", "a".repeat(3000));
    let missing = ask(&world, "GET", &long_name, &[key, TAKES], Json::Null).await;
    assert!(missing.status == 404 && !missing.is_packed());
    let request = Request::builder().uri("/smalt/v1/events/stream").header("x-api-key", &world.key).header(TAKES.0, TAKES.1);
    let stream = world.api.answer(request.body(axum::body::Body::empty()).unwrap()).await;
    assert!(stream.status() == 200 && !stream.headers().contains_key("content-encoding"));
}
