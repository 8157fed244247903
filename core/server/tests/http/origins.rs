//! What a browser adds by itself is no proof (S-67), and what a request says about its host changes nothing (S-10).

use serde_json::json;
use smalt::model::Json;
use smalt_server::Access;

use crate::{
    endpoints::{document, endpoints},
    world::{PUBLIC, World},
};

/// Forms and fetches of other sites, as browsers mark them; old ones send the origin alone.
const HOSTILE: [&[(&str, &str)]; 8] = [
    &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("origin", "https://evil.example")],
    &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("origin", "https://evil.example")],
    &[("sec-fetch-site", "same-site"), ("origin", "https://other.smalt.example")],
    &[("sec-fetch-site", "cross-site"), ("origin", "null")],
    &[("origin", "https://evil.example"), ("host", "smalt.example")],
    &[("origin", "null"), ("host", "smalt.example")],
    &[("origin", "https://smalt.example.evil.example"), ("host", "smalt.example")],
    &[("origin", "https://evil.example"), ("host", "smalt.example"), ("referer", "https://smalt.example/connect/go/x")],
];

#[tokio::test]
async fn s67_other_sites_press_no_button() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let ticket = world.integrate(&session).await;
    let link = world.call("POST", "/api/v2/public/connect-url", &[("authorization", &session)], Json::Null).await.expect(200).json();
    let hosted = link["hosted_url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    for headers in HOSTILE {
        for form in ["application/x-www-form-urlencoded", "text/plain", "application/json"] {
            let all = [headers, &[("content-type", form), ("cookie", "__Host-smalt=anything")]].concat();
            let said = world.send("POST", &ticket, &all, b"").await;
            assert!(said.status == 403 && said.header("set-cookie").is_empty(), "{all:?}: {} {}", said.status, said.text);
        }
        let said = world.call("POST", "/connect/open", headers, json!({"ticket": hosted})).await;
        assert!(said.status == 403 && !said.text.contains("token\""), "{headers:?}: {} {}", said.status, said.text);
    }
    // Nothing of that had an effect: both are as good as before.
    world.call("POST", "/connect/open", &[("sec-fetch-site", "same-origin")], json!({"ticket": hosted})).await.expect(200);
    let page = world.go_on(&ticket, "allow").await.expect(200);
    assert!(page.text.contains("Connected"), "{}", page.text);
}

/// A cookie, whatever stands in it, is nobody's credential: each endpoint answers as it does to nobody.
#[tokio::test]
async fn s67_a_cookie_is_no_credential() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let token = session.strip_prefix("Bearer ").unwrap();
    let cookies = format!("__Host-smalt={token}; session={token}; token={token}; authorization={token}; x-api-key={}", world.key);
    let rows = endpoints(&document(&world).await);
    let mut tried = 0;
    for row in rows.iter().filter(|row| row.access != Access::Public) {
        let target = row.path.replace(['{', '}'], "");
        for headers in HOSTILE {
            let all = [headers, &[("cookie", cookies.as_str()), ("linked_account_id", "ada")]].concat();
            world.call(row.method, &target, &all, Json::Null).await.expect(401);
            tried += 1;
        }
    }
    assert!(tried > 500, "{tried}");
}

#[tokio::test]
async fn s10_what_a_request_says_about_its_host_changes_nothing() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let without = |text: &str| -> String {
        // A ticket is new with each link.
        text.split('"')
            .map(|part| if part.starts_with(PUBLIC) { &part[..part.rfind('/').unwrap()] } else { part })
            .collect::<Vec<_>>()
            .join("\"")
    };
    let mut good = Vec::new();
    for path in ["/api/v1/sandbox-oauth/integrate", "/api/v2/public/linked-account/integration/oauth-url/sandbox-oauth"] {
        good.push(("GET", path, without(&world.call("GET", path, &[("authorization", &session)], Json::Null).await.expect(200).text)));
    }
    let path = "/api/v2/public/connect-url";
    good.push(("POST", path, without(&world.call("POST", path, &[("authorization", &session)], Json::Null).await.expect(200).text)));
    assert!(good.iter().all(|(.., text)| text.contains(PUBLIC)));

    let values = [
        "evil.example",
        "evil.example:443",
        "https://evil.example",
        "smalt.example.evil.example",
        "127.0.0.1",
        "",
        "a b",
        "evil.example, smalt.example",
    ];
    let names = [
        "host",
        "x-forwarded-host",
        "x-forwarded-server",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-original-host",
        "x-original-url",
        "x-rewrite-url",
        "x-host",
        "forwarded",
        "origin",
        "referer",
    ];
    let mut tried = 0;
    for name in names {
        for value in values {
            let forwarded = format!("host={value};proto=http");
            let value = if name == "forwarded" { &*forwarded } else { value };
            for (method, path, expected) in &good {
                let said = world.call(method, path, &[("authorization", &session), (name, value)], Json::Null).await.expect(200);
                assert_eq!(without(&said.text), *expected, "{method} {path} {name}: {value}");
            }
            // And where the user is sent: the redirect URI that the provider is told.
            if value == "evil.example" || name == "forwarded" {
                let ticket = world.integrate(&session).await;
                let gone = world.send("POST", &ticket, &[("sec-fetch-site", "same-origin"), (name, value)], b"").await.expect(303);
                let location = url::Url::parse(gone.header("location")).unwrap();
                let redirect = location.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
                assert_eq!(redirect, format!("{PUBLIC}/api/v1/sandbox-oauth/callback"), "{name}: {value}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 100, "{tried}");
}
