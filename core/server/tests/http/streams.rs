//! What comes piece by piece: the log, a flow, and bodies that pass through.

use std::time::Duration;

use axum::body::Body;
use base64ct::{Base64UrlUnpadded, Encoding};
use http_body_util::BodyExt;
use serde_json::json;
use smalt::model::Json;
use smalt_server::ApiOptions;

use crate::world::World;

/// Far longer than anything here takes, and so a hang.
const HANG: Duration = Duration::from_secs(60);

/// An open stream of server-sent events.
struct Stream {
    body: Body,
    text: String,
}

/// One event of it.
#[derive(Debug)]
struct Sent {
    id: String,
    name: String,
    data: Json,
}

impl World {
    async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        let mut request = http::Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.api.answer(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Stream { body: response.into_body(), text: String::new() }
    }

    async fn begin_flow(&self, account: &str) -> (String, Json) {
        let request = json!({"account": account, "application": "sandbox-oauth"});
        let started = self.backend("POST", "/smalt/v1/start_connect", request).await.expect(200).json();
        (started["flow_id"].as_str().unwrap().to_owned(), started)
    }
}

impl Stream {
    /// The next event; `None` at the end. Comments and the like are passed over.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
                let sent =
                    Sent { id: line("id: "), name: line("event: "), data: serde_json::from_str(&line("data: ")).unwrap_or_default() };
                self.text = rest.to_owned();
                if !sent.name.is_empty() {
                    return Some(sent);
                }
                continue;
            }
            let frame = tokio::time::timeout(HANG, self.body.frame()).await.expect("something comes")?;
            self.text += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
        }
    }

    /// Everything until this event, with it.
    async fn until(&mut self, name: &str) -> Vec<Sent> {
        let mut all = Vec::new();
        loop {
            let sent = self.next().await.unwrap_or_else(|| panic!("`{name}` comes: {all:?}"));
            let is_it = sent.name == name;
            all.push(sent);
            if is_it {
                return all;
            }
        }
    }
}

fn names(sent: &[Sent]) -> Vec<&str> {
    sent.iter().map(|sent| sent.name.as_str()).collect()
}

/// The end of a connect reaches whoever watches the flow, also one who was away when it ended.
#[tokio::test]
async fn a_flows_end_is_sent_and_can_be_had_again() {
    let world = World::new().await;
    let session = world.account("ada").await;
    let eve = world.account("eve").await;
    let (flow, started) = world.begin_flow("ada").await;
    let path = format!("/smalt/v1/flows/{flow}/stream");
    let own = [("authorization", &*session)];
    let mut stream = world.stream(&path, &own).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.id.as_str(), &first.data["status"]), ("flow", "pending", &json!("pending")));
    // Nobody else's.
    world.call("GET", &path, &[("authorization", &eve)], Json::Null).await.expect(404);
    world.call("GET", &path, &[], Json::Null).await.expect(401);

    let mut url = url::Url::parse(started["authorize_url"].as_str().unwrap()).unwrap();
    url.query_pairs_mut().append_pair("sandbox_user", "ada").append_pair("sandbox_decision", "allow");
    let callback = smalt::sandbox::visit(url.as_str()).await.unwrap();
    let finish = json!({"account": "ada", "callback_url": callback, "cookie": started["cookie"]["value"]});
    world.backend("POST", "/smalt/v1/finish_connect", finish).await.expect(200);
    let sent = stream.until("flow").await;
    let mut last = sent.into_iter().next_back().unwrap();
    // What lies between may be seen or not.
    while last.data["status"] == "exchanging" {
        last = stream.next().await.unwrap();
    }
    assert_eq!((last.id.as_str(), &last.data["status"]), ("connected", &json!("connected")));
    assert!(stream.next().await.is_none(), "that was its end");
    for known in ["pending", "connected"] {
        let mut again = world.stream(&path, &[own[0], ("last-event-id", known)]).await;
        assert_eq!(again.next().await.unwrap().data["status"], "connected", "{known}");
        assert!(again.next().await.is_none());
    }
    assert!(world.api.metrics().contains("smalt_http_waiters 0\n"));
}

/// A session sees its own account's events and nothing of others; the organisation sees all. Who comes back misses nothing
/// and gets nothing twice.
#[tokio::test]
async fn the_log_is_sent_to_whom_it_concerns_and_goes_on_where_one_stopped() {
    let world = World::new().await;
    let (ada, eve) = (world.account("ada").await, world.account("eve").await);
    let path = "/smalt/v1/events/stream";
    let own = [("authorization", &*ada)];
    let mut mine = world.stream(path, &own).await;
    let mut all = world.stream(path, &[("x-api-key", &world.key)]).await;
    let mut hers = world.stream(path, &[("x-api-key", &world.key), ("linked_account_id", "eve")]).await;
    for stream in [&mut mine, &mut all, &mut hers] {
        assert_eq!(stream.next().await.unwrap().name, "ready", "the past is not sent");
    }
    world.connect_key(&eve).await.expect(200);
    world.connect_key(&ada).await.expect(200);
    let sent = mine.until("connection.created").await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].data["account_id"], "ada");
    assert_eq!(hers.until("connection.created").await[0].data["account_id"], "eve");
    let both = [all.until("connection.created").await, all.until("connection.created").await].concat_accounts();
    assert_eq!(both, ["eve", "ada"]);

    // The connection breaks; meanwhile three things happen, and one of somebody else.
    let last = sent[0].id.clone();
    drop(mine);
    let change = async |colour: &str| {
        let body = json!({"slug": "sandbox-key", "fields": {"colour": colour}});
        world.call("PUT", "/api/v2/f-sdk/config", &own, body).await.expect(200);
    };
    world.call("POST", "/api/v2/f-sdk/config", &own, json!({"slug": "sandbox-key"})).await.expect(200);
    change("red").await;
    world.connect_key(&eve).await.expect(200);
    change("blue").await;
    let mut mine = world.stream(path, &[own[0], ("last-event-id", &last)]).await;
    let missed = mine.until("ready").await;
    assert_eq!(names(&missed), ["config.created", "config.updated", "config.updated", "ready"], "{missed:?}");
    // By the query, for those who cannot set the header; and now what comes is new.
    let mut again = world.stream(&format!("{path}?since={}", missed[2].id), &own).await;
    assert_eq!(names(&again.until("ready").await), ["ready"]);
    for stream in [&mut mine, &mut again] {
        // Nothing twice: the next one is the next one.
        change("green").await;
        let next = stream.next().await.unwrap();
        assert_eq!((next.name.as_str(), &next.data["application"]), ("config.updated", &json!("sandbox-key")));
    }
    // What tells of others is left out.
    world.call("DELETE", "/api/v1/linked-acc/integration/sandbox-key", &own, Json::Null).await.expect(200);
    let ended = mine.until("connection.deleted").await;
    let data = ended.last().unwrap().data["data"].as_object().unwrap();
    assert!(data.contains_key("receipt") && !data.contains_key("revocation"), "{data:?}");
    world.call("GET", path, &[own[0], ("last-event-id", "nonsense")], Json::Null).await.expect(400);
}

trait Accounts {
    fn concat_accounts(&self) -> Vec<String>;
}

impl Accounts for [Vec<Sent>; 2] {
    fn concat_accounts(&self) -> Vec<String> {
        let created = self.iter().flatten().filter(|sent| sent.name == "connection.created");
        created.map(|sent| sent.data["account_id"].as_str().unwrap().to_owned()).collect()
    }
}

/// A stream outlives neither its credential, nor its account, nor the server.
#[tokio::test]
async fn streams_end_with_what_they_hang_on() {
    let world = World::new().await;
    let path = "/smalt/v1/events/stream";
    let session = world.account("ada").await;
    let mut stream = world.stream(path, &[("authorization", &session)]).await;
    stream.until("ready").await;
    world.call("POST", "/api/v2/public/session-token/revoke", &[("authorization", &session)], Json::Null).await.expect(200);
    assert_eq!(names(&stream.until("session.revoked").await), ["session.revoked"]);
    assert!(stream.next().await.is_none());

    let key = world.test.create_api_key("short-lived").await.unwrap();
    let mut stream = world.stream(path, &[("x-api-key", key.key.expose())]).await;
    world.test.revoke_api_key(key.info.id).await.unwrap();
    stream.until("api_key.revoked").await;
    assert!(stream.next().await.is_none());

    let session = world.account("gone").await;
    let mut stream = world.stream(path, &[("authorization", &session)]).await;
    world.backend("DELETE", "/api/v2/public/linked-account/gone", Json::Null).await.expect(200);
    stream.until("account.deleted").await;
    assert!(stream.next().await.is_none());

    let session = world.account("eve").await;
    let (flow, _) = world.begin_flow("eve").await;
    let mut log = world.stream(path, &[("authorization", &session)]).await;
    let mut one = world.stream(&format!("/smalt/v1/flows/{flow}/stream"), &[("authorization", &session)]).await;
    log.until("ready").await;
    one.until("flow").await;
    world.api.end_waits();
    assert!(log.next().await.is_none() && one.next().await.is_none());
    world.call("GET", path, &[("authorization", &session)], Json::Null).await.expect(503);
}

#[tokio::test]
async fn streams_are_bounded_in_number_and_time() {
    let world = World::with(ApiOptions::default(), |project| {
        project.server.waiters_per_account = 2;
        project.server.waiters = 3;
    })
    .await;
    let path = "/smalt/v1/events/stream";
    let session = world.account("ada").await;
    let own = [("authorization", &*session)];
    let first = world.stream(path, &own).await;
    let _second = world.stream(path, &own).await;
    let said = world.call("GET", path, &own, Json::Null).await.expect(503);
    assert!(!said.header("retry-after").is_empty() && said.json()["code"] == "overloaded", "{}", said.text);
    let _third = world.stream(path, &[("x-api-key", &world.key)]).await;
    world.call("GET", path, &[("x-api-key", &world.key)], Json::Null).await.expect(503);
    drop(first);
    world.stream(path, &own).await;

    let world = World::with(ApiOptions::default(), |project| project.server.stream_time = 0.2).await;
    let session = world.account("ada").await;
    let mut stream = world.stream(path, &[("authorization", &session)]).await;
    stream.until("ready").await;
    assert!(stream.next().await.is_none(), "its time is over");
}

/// Both bodies pass through; the credential is the application's, and never a session's to use.
#[tokio::test]
async fn bodies_pass_through_for_organisations_only() {
    let world = World::with(ApiOptions::default(), |project| project.server.body_size = 1000).await;
    let session = world.account("ada").await;
    world.connect_key(&session).await.expect(200);
    let path = "/smalt/v1/request/stream";
    let head = |method: &str| {
        let call = json!({"account": "ada", "application": "sandbox-key", "method": method, "path": "echo"});
        Base64UrlUnpadded::encode_string(call.to_string().as_bytes())
    };
    let answered = |said: &crate::world::Said| -> Json {
        serde_json::from_slice(&Base64UrlUnpadded::decode_vec(said.header("smalt-answer")).unwrap()).unwrap()
    };
    let (get, post) = (head("GET"), head("POST"));
    let said = world.send("POST", path, &[("x-api-key", &world.key), ("smalt-request", &get)], b"").await.expect(200);
    assert_eq!((&answered(&said)["status"], &said.json()["method"]), (&json!(200), &json!("GET")));
    // More than any other route takes.
    let body = "x".repeat(60_000);
    let headers = [("x-api-key", &*world.key), ("smalt-request", &post), ("content-type", "text/plain")];
    let said = world.send("POST", path, &headers, body.as_bytes()).await.expect(200);
    assert_eq!(answered(&said)["status"], 200);
    assert!(said.json().to_string().contains(&body[..1000]), "{}", &said.text[..200]);

    world.send("POST", path, &[("authorization", &session), ("smalt-request", &get)], b"").await.expect(403);
    world.send("POST", path, &[("smalt-request", &get)], b"").await.expect(401);
    for wrong in ["", "%%%", "bm90IGpzb24", &Base64UrlUnpadded::encode_string(b"{\"canary\": 1}")] {
        let said = world.send("POST", path, &[("x-api-key", &world.key), ("smalt-request", wrong)], b"").await.expect(400);
        assert!(said.message().contains("smalt-request") && !said.text.contains("canary"), "{}", said.text);
    }
}
