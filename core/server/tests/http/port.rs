//! S-30: a port that a program opens for itself on this machine.

use http::Request;
use http_body_util::BodyExt;
use serde_json::json;
use smalt::model::Json;
use smalt_server::{ApiOptions, PORT_SECRET, port_secret};

use crate::{
    endpoints::{described, document},
    world::{PUBLIC, World},
};

const HERE: &str = "127.0.0.1:4567";

struct Port {
    world: World,
    secret: String,
}

/// Status and body.
async fn ask(world: &World, method: &str, target: &str, headers: &[(&str, &str)], body: Json) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (head, body) = world.api.answer(request.body(axum::body::Body::from(body)).unwrap()).await.into_parts();
    (head.status.as_u16(), String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned())
}

impl Port {
    async fn new() -> Port {
        let secret = port_secret().unwrap();
        let text = secret.expose().to_owned();
        let options = ApiOptions { port_secret: Some(secret), ..ApiOptions::default() };
        Port { world: World::with(options, |project| project.server.stream_time = 0.1).await, secret: text }
    }

    async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: Json) -> (u16, String) {
        ask(&self.world, method, target, headers, body).await
    }
}

/// Every route of the document, and one that is none: nothing is told without the secret, with another, with two, through a proxy, or by
/// another name.
#[tokio::test]
async fn s30_a_port_of_ones_own_wants_its_secret_and_refuses_what_was_forwarded() {
    let port = Port::new().await;
    assert_eq!(port.secret.len(), 43, "256 bits");
    assert!(port_secret().unwrap().expose() != port.secret);
    let key = ("x-api-key", &*port.world.key);
    let good = [("host", HERE), (PORT_SECRET, &*port.secret), key];
    let wrong: String = port.secret.chars().rev().collect();
    let mut rows: Vec<(String, String)> = described(&document(&World::new().await).await).into_keys().collect();
    rows.push(("POST".into(), "/smalt/v1/list_accounts".into()));
    rows.push(("GET".into(), "/nothing".into()));
    let mut tried = 0;
    for (method, path) in &rows {
        let target = path.replace(['{', '}'], "");
        let is_opened = path.ends_with("/callback") || path.starts_with("/connect/go/") || path == "/connect/done";
        for (headers, refused) in [
            (vec![("host", HERE), key], 403),
            (vec![("host", HERE), (PORT_SECRET, ""), key], 403),
            (vec![("host", HERE), (PORT_SECRET, &wrong), key], 403),
            (vec![("host", HERE), (PORT_SECRET, &port.secret[..42]), key], 403),
            (vec![("host", HERE), (PORT_SECRET, &port.secret), (PORT_SECRET, &wrong), key], 403),
            (vec![("host", HERE), ("authorization", &*port.secret), key], 403),
            ([&good[..], &[("x-forwarded-for", "203.0.113.9")]].concat(), 400),
            ([&good[..], &[("x-forwarded-for", "127.0.0.1")]].concat(), 400),
            ([&good[..], &[("forwarded", "for=127.0.0.1")]].concat(), 400),
            ([&good[..], &[("x-forwarded-host", HERE)]].concat(), 400),
            ([&good[..], &[("x-real-ip", "127.0.0.1")]].concat(), 400),
            ([&good[..], &[("via", "1.1 proxy")]].concat(), 400),
            // A foreign page's name that leads here.
            (vec![("host", "rebound.example:4567"), good[1], key], 400),
            (vec![("host", "127.0.0.1.example"), good[1], key], 400),
            (vec![("host", "192.168.0.7:4567"), good[1], key], 400),
            (vec![good[1], key], 400),
        ] {
            let (status, said) = port.ask(method, &target, &headers, Json::Null).await;
            tried += 1;
            if is_opened && refused == 403 {
                // A browser brings a state or a ticket there, and these are wrong; a callback always leads to the page after it.
                let expected: &[u16] = match &**path {
                    "/connect/done" => &[200],
                    path if path.ends_with("/callback") => &[303],
                    _ => &[400, 403],
                };
                assert!(expected.contains(&status) && !said.contains("this port "), "{method} {target} {headers:?}: {status} {said}");
                continue;
            }
            assert_eq!(status, refused, "{method} {target} {headers:?}: {said}");
            let told: Json = serde_json::from_str(&said).unwrap();
            let words = if refused == 403 { "this port is for who opened it" } else { "this port " };
            assert!(told["message"].as_str().unwrap().starts_with(words) && !said.contains(&port.secret), "{said}");
        }
        let (status, said) = port.ask(method, &target, &good, Json::Null).await;
        assert!(!said.contains("this port "), "{method} {target}: {status} {said}");
    }
    assert!(tried > 1000, "{tried}");
    for host in ["localhost:1", "LOCALHOST", "[::1]:80", "127.8.7.6"] {
        assert_eq!(port.ask("GET", "/healthz", &[("host", host), good[1]], Json::Null).await.0, 200, "{host}");
    }
}

/// The port's secret is no credential, and a credential is not the port's secret.
#[tokio::test]
async fn s30_the_secret_opens_the_port_and_nothing_else() {
    let port = Port::new().await;
    let secret = (PORT_SECRET, &*port.secret);
    let host = ("host", HERE);
    assert_eq!(port.ask("GET", "/api/v2/public/linked-account", &[host, secret], Json::Null).await.0, 401);
    assert_eq!(port.ask("GET", "/api/v2/public/linked-account", &[host, secret, ("x-api-key", &port.secret)], Json::Null).await.0, 401);
    let key = ("x-api-key", &*port.world.key);
    assert_eq!(port.ask("GET", "/api/v2/public/linked-account", &[host, secret, key], Json::Null).await.0, 200);
    // A page of the program's own may ask whether it may call, and then with the header.
    let request = Request::builder().method("OPTIONS").uri("/api/v2/f-sdk/application").header("host", HERE);
    let may = port.world.api.answer(request.body(axum::body::Body::empty()).unwrap()).await;
    let allowed = may.headers()["access-control-allow-headers"].to_str().unwrap();
    assert!(may.status() == 200 && allowed.split(", ").any(|name| name == PORT_SECRET), "{allowed}");
}

/// A connect through the port: the browser, which knows no secret, opens the page that asks and comes back to the callback.
#[tokio::test]
async fn s30_a_connect_goes_through_a_port_of_ones_own() {
    let port = Port::new().await;
    let (host, secret) = (("host", HERE), (PORT_SECRET, &*port.secret));
    let account = port.world.test.account("ada");
    account.ensure().await.unwrap();
    let session = format!("Bearer {}", account.session().await.unwrap().token().expose());
    let token = ("authorization", &*session);
    let (status, begun) = port.ask("GET", "/api/v1/sandbox-oauth/integrate", &[host, secret, token], Json::Null).await;
    assert_eq!(status, 200, "{begun}");
    let page = serde_json::from_str::<Json>(&begun).unwrap()["auth_url"].as_str().unwrap().strip_prefix(PUBLIC).unwrap().to_owned();
    assert_eq!(port.ask("GET", &page, &[host], Json::Null).await.0, 200);
    let request = Request::builder().method("POST").uri(&page).header("host", HERE).header("sec-fetch-site", "same-origin");
    let gone = port.world.api.answer(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(gone.status(), 303);
    let header = |name: &str| gone.headers()[name].to_str().unwrap().to_owned();
    let mut url = url::Url::parse(&header("location")).unwrap();
    url.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", "allow");
    let callback = smalt::sandbox::visit(url.as_str()).await.unwrap();
    let cookie = header("set-cookie").split(';').next().unwrap().to_owned();
    let (status, said) = port.ask("GET", callback.strip_prefix(PUBLIC).unwrap(), &[host, ("cookie", &cookie)], Json::Null).await;
    assert_eq!(status, 303, "{said}");
    let (status, said) = port.ask("GET", "/connect/done?outcome=connected", &[host], Json::Null).await;
    assert!(status == 200 && said.contains("Connected"), "{said}");
    let body = json!({"account": "ada", "application": "sandbox-oauth"});
    let (status, said) = port.ask("POST", "/smalt/v1/list_connections", &[host, secret, token], body).await;
    assert!(status == 200 && said.contains("\"active\""), "{said}");
}
