//! Limits that are no matter of sockets: rates, bodies, health, request ids.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, Once},
};

use serde_json::json;
use smalt::{
    model::Json,
    project::{Project, RateSettings},
};
use smalt_server::{Answered, ApiOptions, Observer};

use crate::world::World;

const APPS: &str = "/api/v2/f-sdk/application";

fn rates(change: impl FnOnce(&mut RateSettings)) -> impl FnOnce(&mut Project) {
    |project| change(&mut project.server.rates)
}

/// How many statuses of each kind.
fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

/// Guesses stop being looked at; whoever was known before goes on at the same address, and others are not touched.
#[tokio::test]
async fn s28_guesses_are_limited_by_address_and_by_key_prefix() {
    let world = World::with(ApiOptions::default(), rates(|rates| rates.guesses = 50)).await;
    let session = world.account("ada").await;
    let (attacker, other) = (Some("192.0.2.1"), Some("192.0.2.2"));
    let good = [("authorization", &*session)];
    world.send_from(attacker, "GET", APPS, &good, b"").await.expect(200);

    let guesses = smalt_tests_size();
    let mut statuses = Vec::new();
    for guess in 0..guesses {
        let key = format!("tk{guess:08x}-0000-4000-8000-000000000000");
        let said = world.send_from(attacker, "GET", "/api/v2/public/linked-account", &[("x-api-key", &key)], b"").await;
        if said.status == 429 {
            assert!(said.header("retry-after").parse::<u64>().is_ok_and(|wait| wait >= 1), "{:?}", said.headers);
            assert_eq!(said.json()["error_code"], "RATE_LIMITED");
            assert_eq!((&said.json()["http_error_type"], &said.json()["code"]), (&json!("TOO_MANY_REQUESTS"), &json!("rate_limited")));
        }
        statuses.push(said.status);
        if guess % 10 == 0 {
            // A client at the same address whose token was good before, and one elsewhere.
            world.send_from(attacker, "GET", APPS, &good, b"").await.expect(200);
            world.send_from(other, "GET", APPS, &good, b"").await.expect(200);
        }
    }
    // The burst, and what the clock let through meanwhile: at a guess a millisecond that is next to nothing.
    let evaluated = count(&statuses, 401);
    assert!(evaluated >= 50 && count(&statuses, 429) == statuses.len() - evaluated, "{evaluated}");
    assert!(count(&statuses, 429) > 0);
    // A token that nobody has seen here before has to wait, too; elsewhere it need not.
    let fresh = world.account("fresh").await;
    let said = world.send_from(other, "GET", APPS, &[("authorization", &fresh)], b"").await;
    assert_eq!(said.status, 200, "{}", said.text);

    // From many addresses, keys that begin alike.
    let mut statuses = Vec::new();
    for guess in 0..200 {
        let (peer, key) = (format!("198.51.100.{guess}"), format!("tkaaaaaaaa-0000-4000-8000-{guess:012x}"));
        statuses.push(world.send_from(Some(&peer), "GET", APPS, &[("x-api-key", &key), ("linked_account_id", "ada")], b"").await.status);
    }
    assert!(count(&statuses, 401) >= 50 && count(&statuses, 429) > 0, "{statuses:?}");
}

fn smalt_tests_size() -> usize {
    if std::env::var_os("SMALT_FULL").is_some() { 10_000 } else { 500 }
}

/// A guess is paid for before it is looked at: many at once are no way around the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s28_many_guesses_at_once_are_no_way_around() {
    let world = Arc::new(World::with(ApiOptions::default(), rates(|rates| rates.guesses = 20)).await);
    let guess = |at: usize| {
        let world = world.clone();
        tokio::spawn(async move {
            let key = format!("tk{at:08x}-0000-4000-8000-000000000000");
            world.send_from(Some("192.0.2.1"), "GET", "/api/v2/public/linked-account", &[("x-api-key", &key)], b"").await.status
        })
    };
    let began = std::time::Instant::now();
    let mut statuses = Vec::new();
    for guess in (0..200).map(guess).collect::<Vec<_>>() {
        statuses.push(guess.await.unwrap());
    }
    // What the clock gave back while a slow machine worked is allowed for.
    let allowed = 20 + (began.elapsed().as_secs_f64() / 3.0).ceil() as usize;
    assert!((1..=allowed).contains(&count(&statuses, 401)), "{} of {allowed}", count(&statuses, 401));
    assert_eq!(count(&statuses, 401) + count(&statuses, 429), 200);
}

/// `X-Forwarded-For` is not believed, unless a listed proxy sends it; then it is the client's own share that counts.
#[tokio::test]
async fn s63_an_invented_address_is_no_way_around() {
    let public = "/api/v2/public/auth-structure/sandbox-key";
    let call = async |world: &World, peer: &str, forwarded: &str| {
        world.send_from(Some(peer), "GET", public, &[("x-forwarded-for", forwarded), ("forwarded", "for=203.0.113.9")], b"").await.status
    };
    let limits = |project: &mut Project| {
        project.server.rates.address = 60;
        project.server.trusted_proxies = vec!["10.0.0.0/8".into()];
    };
    let world = World::with(ApiOptions::default(), limits).await;
    let mut statuses = Vec::new();
    for at in 0..1000_u32 {
        statuses.push(call(&world, "192.0.2.1", &format!("203.0.{}.{}", at / 250, at % 250)).await);
    }
    assert!((10..500).contains(&count(&statuses, 200)), "{}", count(&statuses, 200));
    assert_eq!(count(&statuses, 200) + count(&statuses, 429), 1000);
    // Behind the proxy each has a share; inventing what stands left of it gives no other one.
    let mut statuses = Vec::new();
    for at in 0..1000_u32 {
        statuses.push(call(&world, "10.0.0.1", &format!("203.0.{}.{}, 198.51.100.7", at / 250, at % 250)).await);
    }
    assert!((10..500).contains(&count(&statuses, 200)), "{}", count(&statuses, 200));
    for at in 0..100_u32 {
        assert_eq!(call(&world, "10.0.0.1", &format!("198.51.101.{at}")).await, 200);
    }
}

#[tokio::test]
async fn s63_sessions_keys_and_tenants_have_rates_and_polls_are_relaxed() {
    let world = World::with(ApiOptions::default(), |project| {
        project.server.rates.session = 60;
        project.server.rates.polls = 6000;
        project.server.rates.connects = 6;
    })
    .await;
    let (ada, eve) = (world.account("ada").await, world.account("eve").await);
    let statuses = async |session: &str, method: &str, path: &str, body: Json, times: usize| {
        let mut statuses = Vec::new();
        for _ in 0..times {
            statuses.push(world.call(method, path, &[("authorization", session)], body.clone()).await.status);
        }
        statuses
    };
    let usual = statuses(&ada, "GET", APPS, Json::Null, 100).await;
    assert!(count(&usual, 200) >= 10 && count(&usual, 429) > 0, "{usual:?}");
    // The poll of a web SDK, in the midst of it.
    let polls = statuses(&ada, "GET", "/api/v2/f-sdk/application/sandbox-oauth", Json::Null, 100).await;
    assert_eq!(count(&polls, 200), 100, "{polls:?}");
    assert_eq!(statuses(&eve, "GET", APPS, Json::Null, 5).await, [200; 5], "each has its own");
    // Preflights are never counted.
    for _ in 0..100 {
        world.send_from(Some("192.0.2.1"), "OPTIONS", APPS, &[], b"").await.expect(200);
    }
    // Connects of one account have a rate of their own, whatever the route.
    let again = "/api/v2/public/session-token?force_refresh=true";
    let eve_too = world.backend("POST", again, json!({"linked_account_id": "eve"})).await.expect(200);
    let eve_too = format!("Bearer {}", eve_too.json()["token"].as_str().unwrap());
    let mut begun = Vec::new();
    for at in 0..20 {
        let session = if at % 2 == 0 { &eve } else { &eve_too };
        begun.extend(statuses(session, "GET", "/api/v1/sandbox-oauth/integrate?", Json::Null, 1).await);
    }
    assert!(count(&begun, 200) >= 5 && count(&begun, 429) > 0, "{begun:?}");

    let by_key = async |world: &World| {
        let mut statuses = Vec::new();
        for _ in 0..100 {
            statuses.push(world.backend("GET", "/api/v2/public/linked-account", Json::Null).await.status);
        }
        statuses
    };
    let world = World::with(ApiOptions::default(), rates(|rates| rates.key = 60)).await;
    let statuses = by_key(&world).await;
    assert!(count(&statuses, 200) >= 10 && count(&statuses, 429) > 0, "{statuses:?}");
    let other = world.call("GET", "/api/v2/public/linked-account", &[("x-api-key", &world.production_key)], Json::Null).await;
    assert_eq!(other.status, 200, "a key of its own");
    let world = World::with(ApiOptions::default(), rates(|rates| rates.tenant = 60)).await;
    let statuses = by_key(&world).await;
    assert!(count(&statuses, 200) >= 10 && count(&statuses, 429) > 0, "{statuses:?}");
    // What is refused says so with the headers that a browser needs to read it, and is counted.
    let said = world.backend("GET", "/api/v2/public/linked-account", Json::Null).await;
    if said.status == 429 {
        assert_eq!(said.header("access-control-allow-origin"), "*");
    }
    assert!(world.api.metrics().contains("smalt_http_refused_total{rate=\"tenant\"} "));
}

#[tokio::test]
async fn s60_bodies_are_bounded_in_size_depth_and_keys() {
    let world = World::new().await;
    let key = [("x-api-key", &*world.key)];
    let path = "/api/v2/public/linked-account";
    let padded = |len: usize| {
        let body = |fill: usize| json!({"linked_account_id": "a", "name": "A", "x": "x".repeat(fill)}).to_string();
        body(len - body(0).len())
    };
    assert_eq!(padded(64 * 1024).len(), 64 * 1024);
    world.send("PUT", path, &key, padded(64 * 1024).as_bytes()).await.expect(200);
    let said = world.send("PUT", path, &key, padded(64 * 1024 + 1).as_bytes()).await.expect(413);
    assert_eq!(said.json()["error_code"], "PAYLOAD_TOO_LARGE");
    let keys = |count: usize| {
        let map: serde_json::Map<_, _> = (0..count).map(|at| (format!("k{at}"), Json::Null)).collect();
        json!({"linked_account_id": "a", "x": map})
    };
    world.call("PUT", path, &key, keys(998)).await.expect(200);
    let said = world.call("PUT", path, &key, keys(999)).await.expect(400);
    assert!(said.message().contains("1000 keys"), "{}", said.text);
    let deep = |levels: usize| format!("{{\"linked_account_id\":\"a\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    world.send("PUT", path, &key, deep(31).as_bytes()).await.expect(200);
    world.send("PUT", path, &key, deep(32).as_bytes()).await.expect(400);
    // Off is off.
    let world = World::with(ApiOptions::default(), |project| {
        project.server.body_size = 0;
        project.server.body_keys = 0;
    })
    .await;
    let key = [("x-api-key", &*world.key)];
    world.call("PUT", path, &key, keys(5000)).await.expect(200);
    world.send("PUT", path, &key, padded(1 << 20).as_bytes()).await.expect(200);
}

#[tokio::test]
async fn health_and_readiness() {
    let world = World::with(ApiOptions::default(), rates(|rates| rates.address = 1)).await;
    for _ in 0..50 {
        let alive = world.send_from(Some("192.0.2.1"), "GET", "/healthz", &[], b"").await.expect(200);
        assert_eq!(alive.json(), json!({"status": "ok"}), "no rate counts for it");
        world.send_from(Some("192.0.2.1"), "GET", "/readyz", &[], b"").await.expect(200);
    }
    world.api.end_waits();
    let said = world.send("GET", "/readyz", &[], b"").await.expect(503);
    assert!(said.message().contains("about to end"), "{}", said.text);
    world.send("GET", "/healthz", &[], b"").await.expect(200);
    // An engine that is closed cannot work; the process lives.
    let world = World::new().await;
    world.test.close().await;
    world.send("GET", "/readyz", &[], b"").await.expect(503);
    world.send("GET", "/healthz", &[], b"").await.expect(200);
}

/// No handler goes on for ever, whatever it waits for: here the organisation's own runner, which never ends.
#[tokio::test]
async fn s62_a_handler_without_an_end_is_answered_at_its_deadline() {
    let world = World::with(ApiOptions::default(), |project| project.server.request_time = 3.0).await;
    let session = world.account("ada").await;
    world.connect_key(&session).await.expect(200);
    let on = json!({"slug": "sandbox-key", "workflows": [{"id": "digest", "enabled": true}]});
    world.call("POST", "/api/v2/f-sdk/config", &[("authorization", &session)], on).await.expect(200);
    let headers = [("authorization", &*session), ("sync_execution", "true"), ("slug", "sandbox-key")];
    let path = "/api/v2/public/workflow/digest/execute";
    world.call("POST", path, &headers, json!({"hang": false})).await.expect(200);
    let said = world.call("POST", path, &headers, json!({"hang": true})).await.expect(504);
    assert!(said.message().contains("no answer within 3 s"), "{}", said.text);
    assert!(world.api.metrics().contains("smalt_http_requests_under_way 0\n"), "nothing of it holds a place");
    world.call("GET", APPS, &headers[..1], Json::Null).await.expect(200);
}

/// How often something is tried that a clock decides.
const TRIES: usize = 2000;

thread_local! {
    /// What this thread logs, while somebody wants it.
    static LOGGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Keeps what this thread logs. One subscriber serves all threads: tracing asks once whether a line is wanted, and one that came and went with
/// a test would be asked on behalf of others.
struct Log;

struct Line;

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.as_mut().map(|logged| logged.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> Log {
        static ALL: Once = Once::new();
        ALL.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| Line).init());
        LOGGED.set(Some(Vec::new()));
        Log
    }

    /// What came since it was last asked.
    fn take(&self) -> String {
        String::from_utf8(LOGGED.with_borrow_mut(|logged| std::mem::take(logged.as_mut().unwrap()))).unwrap()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LOGGED.set(None);
    }
}

/// A browser that comes from a provider is led on whatever fails; that it failed stands in the log once, as that of any other request.
#[tokio::test]
async fn what_fails_stands_in_the_log_also_where_a_browser_is_led_on() {
    // Many requests are answered before a clock looks at so short a time, some are not.
    let world = World::with(ApiOptions::default(), |project| {
        (project.server.request_time, project.server.rates) = (1e-6, RateSettings::off());
    })
    .await;
    let log = Log::begin();
    let told = || {
        let text = log.take();
        assert!(!text.contains("of-a-test"), "{text}");
        text.matches("a request failed").count()
    };
    let mut failed = 0;
    for _ in 0..TRIES {
        let said =
            world.send("GET", "/api/v1/sandbox-oauth/callback?state=state-of-a-test&code=code-of-a-test", &[], b"").await.expect(303);
        assert!(said.header("location").contains("connect/done"), "{}", said.header("location"));
        failed = told();
        assert!(failed <= 1);
        if failed == 1 {
            break;
        }
    }
    assert_eq!(failed, 1, "none of {TRIES} ran out of time");
    for _ in 0..TRIES {
        let said = world.backend("POST", "/smalt/v1/count_accounts", json!({})).await;
        failed = told();
        assert_eq!(failed, usize::from(said.status == 504), "{}", said.text);
        if failed == 1 {
            break;
        }
    }
    assert_eq!(failed, 1, "none of {TRIES} ran out of time");
    // Its caller's fault is none of the server's.
    world.send("PUT", "/api/v1/sandbox-oauth/callback", &[], b"").await.expect(405);
    assert_eq!(told(), 0);
}

/// What ends a callback inside its route stands in the log as what ends it before: one line, with the request's id and what a caller would be
/// told.
#[tokio::test]
async fn a_callback_that_fails_in_its_route_is_logged_once_with_its_request() {
    let world = World::new().await;
    let log = Log::begin();
    let callback = "/api/v1/sandbox-oauth/callback?state=state-of-a-test&code=code-of-a-test";
    let told = async |id: &str| {
        let said = world.send("GET", callback, &[("x-request-id", id)], b"").await.expect(303);
        let location = said.header("location").to_owned();
        let text = log.take();
        assert!(!text.contains("of-a-test"), "{text}");
        let lines: Vec<_> = text.lines().filter(|line| line.contains(" smalt_server")).map(ToOwned::to_owned).collect();
        let [line] = &lines[..] else { panic!("{text}") };
        assert!(line.contains(id), "{line}");
        (location, line.clone())
    };
    let (location, line) = told("nobody-began").await;
    assert!(location.ends_with("connect/done?error=invalid_state"), "{location}");
    assert!(line.contains(" INFO ") && line.contains("a callback ended no connect"), "{line}");
    world.test.close().await;
    world.production.close().await;
    let (location, line) = told("nobody-serves").await;
    assert!(location.contains("connect/done?error="), "{location}");
    assert!(line.contains(" WARN ") && line.contains("a request failed"), "{line}");
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Observer for Seen {
    fn answered(&self, request: &Answered<'_>) {
        let line = format!("{} {} {} {}", request.method, request.route.unwrap_or("-"), request.status, request.request_id);
        self.0.lock().unwrap().push(line);
    }
}

/// A plain id of the caller's is taken over, anything else is replaced. What an observer is told holds no path and no query.
#[tokio::test]
async fn request_ids_go_through_and_observers_learn_no_secret() {
    let seen = Arc::new(Seen::default());
    let options = ApiOptions { observer: Some(seen.clone()), ..ApiOptions::default() };
    let world = World::with(options, |_| {}).await;
    for id in ["a", "01J-x_y.z:7", &"x".repeat(128)] {
        let said = world.send("GET", "/nowhere", &[("x-request-id", id)], b"").await.expect(404);
        assert_eq!((said.header("x-request-id"), said.json()["request_id"].as_str().unwrap()), (id, id));
    }
    for id in ["", "a b", "a\"b", "<x>", &"x".repeat(129)] {
        let said = world.send("GET", "/healthz", &[("x-request-id", id)], b"").await.expect(200);
        assert_eq!(said.header("x-request-id").len(), 36, "{id:?}");
    }
    seen.0.lock().unwrap().clear();
    for (path, route) in [
        ("/connect/go/canary-1", "GET /connect/go/{ticket} 403 r"),
        ("/api/v1/sandbox-oauth/callback?code=canary-2&state=canary-3", "GET /api/v1/{slug}/callback 303 r"),
        ("/canary-4?x=canary-5", "GET - 404 r"),
    ] {
        world.send("GET", path, &[("x-request-id", "r"), ("cookie", "canary-6")], b"").await;
        assert_eq!(seen.0.lock().unwrap().pop().unwrap(), route);
    }
    world.backend("POST", "/smalt/v1/count_accounts", json!({})).await.expect(200);
    assert!(seen.0.lock().unwrap().pop().unwrap().starts_with("POST /smalt/v1/count_accounts 200 "));
    assert!(!world.api.metrics().contains("canary"));
}

/// A wait over HTTP ends before the request's own time does, takes a place, and ends when the server does.
#[tokio::test]
async fn waits_are_bounded_and_end_with_the_server() {
    let world = World::with(ApiOptions::default(), |project| {
        project.server.request_time = 2.0;
        project.server.waiters_per_account = 2;
    })
    .await;
    let session = world.account("ada").await;
    let began = json!({"account": "ada", "application": "sandbox-oauth"});
    let started = world.backend("POST", "/smalt/v1/start_connect", began).await.expect(200);
    let flow = started.json()["flow_id"].as_str().unwrap().to_owned();
    let wait = async || {
        let body = json!({"account": "ada", "flow": flow});
        world.call("POST", "/smalt/v1/wait_flow", &[("authorization", &session)], body).await
    };
    // Nobody comes back: it is answered as it stands, in time.
    assert_eq!(wait().await.expect(200).json()["status"], "pending");
    // All of them begin before the first one ends: two find a place.
    let (a, b, c) = tokio::join!(wait(), wait(), wait());
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503]);
    let (waiting, ()) = tokio::join!(wait(), async {
        while !world.api.metrics().contains("smalt_http_waiters 1\n") {
            tokio::task::yield_now().await;
        }
        world.api.end_waits();
    });
    assert!(waiting.status == 503 && waiting.json()["code"] == "overloaded", "{}", waiting.text);
    assert!(world.api.metrics().contains("smalt_http_waiters 0\n"));
}
