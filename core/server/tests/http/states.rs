//! How an application stands, through the whole life of a connection.

use serde_json::json;
use smalt::{
    model::Json,
    sandbox::{Control, Endpoint, Misbehaviour},
};
use smalt_server::ApiOptions;

use crate::world::{PUBLIC, World};

fn stands(connected: bool, reauth: bool, statuses: &[&str]) -> (bool, bool, Vec<String>) {
    (connected, reauth, statuses.iter().map(|&status| status.to_owned()).collect())
}

impl World {
    async fn use_it(&self, account: &str, slug: &str) -> u64 {
        let path = if slug == "sandbox-key" { "echo" } else { "items" };
        let body = json!({"account": account, "application": slug, "method": "GET", "path": path});
        let said = self.backend("POST", "/smalt/v1/request", body).await;
        said.json()["status"].as_u64().unwrap_or(said.status.into())
    }
}

#[tokio::test]
async fn an_oauth_application_from_never_to_disconnected() {
    let world = World::new().await;
    let session = world.account("ada@example.com").await;
    let slug = "sandbox-oauth";
    assert_eq!(world.state(&session, slug).await, stands(false, false, &[]));

    let ticket = world.integrate(&session).await;
    assert_eq!(world.state(&session, slug).await, stands(false, false, &[]), "in progress");
    let page = world.send("GET", &ticket, &[], b"").await.expect(200);
    assert!(page.text.contains("Name of ada@example.com") && page.text.contains("Sandbox (OAuth)"), "{}", page.text);
    assert!(!page.headers.contains_key("cross-origin-opener-policy"), "it would cut the popup off from its opener");
    let end = world.go_on(&ticket, "allow").await.expect(200);
    assert!(end.text.contains("window.close()"), "{}", end.text);
    assert_eq!(world.state(&session, slug).await, stands(true, false, &["active"]));
    world.call("POST", "/api/v2/f-sdk/config", &[("authorization", &session)], json!({"slug": slug})).await.expect(200);

    // The user withdraws consent at the provider; the next use finds out.
    world.sandbox.control().apply(Control::Withdraw { user: "ada".into(), client_id: None }).unwrap();
    world.use_it("ada@example.com", slug).await;
    assert_eq!(world.state(&session, slug).await, stands(true, true, &["expired"]));
    let ticket = world.integrate(&session).await;
    assert_eq!(world.state(&session, slug).await, stands(true, true, &["expired"]), "until the callback succeeds");
    let denied = world.go_on(&ticket, "deny").await.expect(200);
    assert!(denied.text.contains("This did not work") && denied.text.contains("user_denied"), "{}", denied.text);
    assert_eq!(world.state(&session, slug).await, stands(true, true, &["expired"]), "a refusal changes nothing");
    let ticket = world.integrate(&session).await;
    world.go_on(&ticket, "allow").await.expect(200);
    assert_eq!(world.state(&session, slug).await, stands(true, false, &["active"]));
    world.call("GET", "/api/v2/f-sdk/slug/sandbox-oauth/config", &[("authorization", &session)], Json::Null).await.expect(200);
    assert_eq!(world.use_it("ada@example.com", slug).await, 200);

    let path = "/api/v1/linked-acc/integration/sandbox-oauth";
    for _ in 0..2 {
        let gone = world.call("DELETE", path, &[("authorization", &session)], Json::Null).await.expect(200).json();
        assert_eq!((&gone["success"], &gone["integrations"]), (&json!(true), &json!([])));
    }
    assert_eq!(world.state(&session, slug).await, stands(false, false, &[]));
    world.call("GET", "/api/v2/f-sdk/slug/sandbox-oauth/config", &[("authorization", &session)], Json::Null).await.expect(404);
}

/// What stands in the address alone is told, in words of ours; a callback that is nobody's, of either method, leads there too.
#[tokio::test]
async fn s08_the_page_behind_a_callback_knows_its_address_only() {
    let world = World::new().await;
    for (query, heading) in [
        ("?outcome=connected", "Connected"),
        ("?outcome=waiting", "Almost done"),
        ("", "Almost done"),
        ("?error=user_denied", "This did not work"),
        ("?error=%3Cscript%3Ealert(1)%3C/script%3E", "This did not work"),
        ("?error=nothing_of_ours&code=canary&state=canary", "This did not work"),
    ] {
        let page = world.send("GET", &format!("/connect/done{query}"), &[], b"").await.expect(200);
        assert!(page.text.contains(&format!("<h1>{heading}</h1>")), "{query}: {}", page.text);
        assert!(
            !page.text.contains("alert(1)") && !page.text.contains("canary") && !page.text.contains("nothing_of_ours"),
            "{}",
            page.text
        );
        assert_eq!(page.text.contains("window.close()"), query == "?outcome=connected");
        assert!(page.header("content-security-policy").starts_with("default-src 'none'; "), "nothing is loaded");
    }
    let callback = format!("{PUBLIC}/api/v1/sandbox-oauth/callback?code=canary-code&state=canary-state");
    let path = callback.strip_prefix(PUBLIC).unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let (own, _) = path.split_once('?').unwrap();
    for came in [world.send("GET", path, &[], b"").await, world.send("POST", own, &form, b"code=canary-code&state=canary-state").await] {
        let page = world.ends_on(&callback, &came).await.expect(200);
        assert!(page.text.contains("invalid_state") && !page.text.contains("canary"), "{}", page.text);
    }
}

/// A provider's address with a slash too many is the same callback; it leads to the same page.
#[tokio::test]
async fn s08_slashes_too_many_lead_to_the_same_page() {
    let world = World::new().await;
    for path in ["/api//v1/sandbox-oauth/callback", "//api/v1/sandbox-oauth/callback", "/api/v1/sandbox-oauth/callback/"] {
        let target = format!("{path}?code=canary-code&state=canary-state");
        let came = world.send("GET", &target, &[], b"").await;
        world.ends_on(&format!("{PUBLIC}{target}"), &came).await.expect(200);
    }
}

/// What the server refuses before any flow is looked for leaves code and state in no address bar either.
#[tokio::test]
async fn s08_a_callback_that_is_refused_leads_to_the_page_too() {
    let limits = |project: &mut smalt::project::Project| {
        project.server.rates.address = 60;
        project.server.body_size = 100;
    };
    let world = World::with(ApiOptions::default(), limits).await;
    let path = "/api/v1/sandbox-oauth/callback";
    let target = format!("{path}?code=canary-code&state=canary-state");
    let error = |came: &crate::world::Said| {
        assert_eq!((came.status, came.text.as_str()), (303, ""));
        let page = came.header("location").strip_prefix(PUBLIC).unwrap();
        page.strip_prefix("/connect/done?error=").unwrap().to_owned()
    };
    let long = "x".repeat(20_000);
    assert_eq!(error(&world.send("GET", &target, &[("x-long", &long)], b"").await), "invalid_request", "a head too large");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("code=canary-code&state={long}");
    assert_eq!(error(&world.send("POST", path, &form, body.as_bytes()).await), "invalid_request", "a body too large");
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..200 {
        codes.insert(error(&world.send_from(Some("192.0.2.1"), "GET", &target, &[], b"").await));
    }
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["invalid_state", "rate_limited"]);
    world.send("DELETE", &target, &[], b"").await.expect(405);
    let metrics = world.api.metrics();
    assert!(metrics.contains("smalt_callbacks_total{outcome=\"invalid_request\"} 2\n"), "{metrics}");
}

/// A provider that is slow: the browser does not wait for longer than the server's time, and the connect goes on.
#[tokio::test]
async fn s08_a_callback_that_takes_too_long_goes_on() {
    let world = World::with(ApiOptions::default(), |project| project.server.request_time = 2.0).await;
    let session = world.account("ada").await;
    let ticket = world.integrate(&session).await;
    let slow = Control::Misbehave { at: Endpoint::Token, with: Misbehaviour::Delay { millis: 4_000, after_work: false }, times: Some(1) };
    world.sandbox.control().apply(slow).unwrap();
    let page = world.go_on(&ticket, "allow").await.expect(200);
    assert!(page.text.contains("Almost done"), "{}", page.text);
    while world.state(&session, "sandbox-oauth").await != stands(true, false, &["active"]) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_key_application_from_never_to_disconnected() {
    let world = World::new().await;
    let session = world.account("keys-1").await;
    let slug = "sandbox-key";
    assert_eq!(world.state(&session, slug).await, stands(false, false, &[]));
    let wrong = json!({"key": "wrong-key", "workspace": "acme"});
    let refused = world.call("POST", "/api/v2/app/sandbox-key/save", &[("authorization", &session)], wrong).await.expect(400);
    assert!(refused.message().starts_with("Failed to verify credentials: ") && !refused.text.contains("wrong-key"), "{}", refused.text);
    assert_eq!(world.state(&session, slug).await, stands(false, false, &[]), "nothing was saved");
    assert_eq!(world.connect_key(&session).await.expect(200).json(), json!({"success": true}));
    assert_eq!(world.state(&session, slug).await, stands(true, false, &["active"]));
    assert_eq!(world.use_it("keys-1", slug).await, 200);
    for path in
        ["/api/v1/linked-acc/integration/sandbox-key?auth_type=oauth2", "/api/v2/public/linked-account/integration/sandbox-key?auth_type="]
    {
        world.call("DELETE", path, &[("authorization", &session)], Json::Null).await.expect(200);
    }
    assert_eq!(world.state(&session, slug).await, stands(false, false, &[]));
}

/// A ticket is good once, a callback only in the browser that pressed the button, and not from another site's form.
#[tokio::test]
async fn who_begins_is_who_ends() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let ticket = world.integrate(&session).await;
    for headers in [[("sec-fetch-site", "cross-site")], [("sec-fetch-site", "same-site")], [("origin", "https://evil.example")]] {
        world.send("POST", &ticket, &headers, b"").await.expect(403);
    }
    let gone = world.send("POST", &ticket, &[], b"").await.expect(303);
    assert_eq!(world.send("POST", &ticket, &[], b"").await.expect(403).header("content-type"), "text/html; charset=utf-8");
    let mut url = url::Url::parse(gone.header("location")).unwrap();
    url.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", "allow");
    let callback = smalt::sandbox::visit(url.as_str()).await.unwrap();
    let stranger = world.send("GET", callback.strip_prefix(PUBLIC).unwrap(), &[], b"").await;
    let stranger = world.ends_on(&callback, &stranger).await.expect(200);
    assert!(stranger.text.contains("browser_mismatch"), "{}", stranger.text);
    assert_eq!(world.state(&session, "sandbox-oauth").await, stands(false, false, &[]));
}
