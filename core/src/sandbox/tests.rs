#![allow(clippy::unwrap_used)]
mod servers;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

use super::*;
use crate::{Timestamp, ids, plugin::FixedClock};

const REDIRECT: &str = "http://127.0.0.1:9/callback";
const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// What came back: status, head, body. Status 0: nothing came.
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap().to_owned()
    }
}

struct Bench {
    sandbox: Sandbox,
    control: SandboxControl,
    clock: FixedClock,
}

impl Bench {
    async fn new() -> Self {
        let clock = FixedClock::at(Timestamp::from_millis(1_700_000_000_000));
        let ways = Ways { auto_consent: Some("ada".to_owned()), ..Ways::default() };
        let options = SandboxOptions { clock: Arc::new(clock.clone()), ways, ..SandboxOptions::default() };
        let sandbox = Sandbox::start(options).await.unwrap();
        Self { control: sandbox.control(), sandbox, clock }
    }

    async fn call(&self, method: &str, target: &str, headers: &str, body: &str) -> Got {
        let mut stream = TcpStream::connect(self.sandbox.address()).await.unwrap();
        let host = self.sandbox.address();
        let length = body.len();
        let request =
            format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Got { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn order(&self, order: Value) -> Got {
        self.call("POST", "/control", "content-type: application/json\r\n", &order.to_string()).await
    }

    fn authorize_url(&self, verifier: &str, more: &[(&str, &str)]) -> String {
        let mut url = Url::parse(&format!("{}/authorize", self.sandbox.origin())).unwrap();
        let challenge = ids::fingerprint(verifier);
        let pairs = [
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", REDIRECT),
            ("scope", "items.read items.write"),
            ("state", "the-state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in pairs.iter().filter(|(name, _)| more.iter().all(|(n, _)| n != name)).chain(more).filter(|(_, v)| !v.is_empty())
        {
            url.query_pairs_mut().append_pair(name, value);
        }
        url.into()
    }

    async fn code(&self, verifier: &str, more: &[(&str, &str)]) -> Value {
        let callback = Url::parse(&visit(&self.authorize_url(verifier, more)).await.unwrap()).unwrap();
        Value::Object(callback.query_pairs().map(|(n, v)| (n.into_owned(), Value::from(v.into_owned()))).collect())
    }

    async fn token(&self, pairs: &[(&str, &str)]) -> Got {
        let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(client.iter().filter(|(n, _)| pairs.iter().all(|(p, _)| p != n)).chain(pairs));
        self.call("POST", "/token", FORM, &form.finish()).await
    }

    async fn redeem(&self, code: &str, verifier: &str) -> Got {
        self.token(&[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT), ("code_verifier", verifier)]).await
    }

    async fn refresh(&self, token: &str) -> Got {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// A whole connect: access and refresh token.
    async fn connect(&self) -> (String, String) {
        let verifier = ids::new_token().unwrap();
        let code = self.code(&verifier, &[]).await;
        let got = self.redeem(code["code"].as_str().unwrap(), &verifier).await;
        assert_eq!(got.status, 200, "{}", got.body);
        (got.text("access_token"), got.text("refresh_token"))
    }

    async fn userinfo(&self, access: &str) -> Got {
        self.call("GET", "/userinfo", &format!("authorization: Bearer {access}\r\n"), "").await
    }
}

#[tokio::test]
async fn the_whole_life_of_a_grant() {
    let bench = Bench::new().await;
    let verifier = ids::new_token().unwrap();
    let callback = bench.code(&verifier, &[]).await;
    assert_eq!((callback["state"].as_str(), callback["iss"].as_str()), (Some("the-state"), Some(&*bench.sandbox.origin())));
    let got = bench.redeem(callback["code"].as_str().unwrap(), &verifier).await;
    assert!(got.head.contains("cache-control: no-store"));
    assert_eq!((got.json()["expires_in"].as_i64(), got.text("token_type")), (Some(3600), "Bearer".to_owned()));
    assert_eq!(got.text("scope"), "items.read items.write");
    let (access, refresh) = (got.text("access_token"), got.text("refresh_token"));
    assert_eq!(bench.userinfo(&access).await.text("email"), "ada@sandbox.example");
    bench.clock.advance_millis(3_600_000);
    assert_eq!(bench.userinfo(&access).await.status, 401);
    let got = bench.refresh(&refresh).await;
    let (access, next) = (got.text("access_token"), got.text("refresh_token"));
    assert_ne!(next, refresh);
    let bearer = format!("authorization: Bearer {access}\r\n");
    assert_eq!(bench.call("GET", "/api/items", &bearer, "").await.json()["items"].as_array().unwrap().len(), 3);
    let revoked = bench.call("POST", "/revoke", FORM, &format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&token={next}")).await;
    assert_eq!(revoked.status, 200);
    assert_eq!((bench.userinfo(&access).await.status, bench.refresh(&next).await.status), (401, 400));
    let stats = bench.control.stats();
    assert_eq!((stats.codes_issued, stats.codes_redeemed, stats.refreshes, stats.revocations), (1, 1, 1, 1));
    assert_eq!((stats.grants_made, stats.grants_ended, stats.refresh_reuse), (1, 1, 0));
    assert_eq!((stats.concurrent_refreshes, stats.concurrent_refreshes_max), (0, 1));
    let tokens = bench.control.tokens();
    assert!(tokens.len() == 4 && tokens.iter().all(|t| t.state == TokenState::Revoked));
    assert_eq!(tokens[0].fingerprint.len(), 43);
}

#[tokio::test]
async fn a_used_refresh_token_kills_the_family() {
    let bench = Bench::new().await;
    let (_, first) = bench.connect().await;
    let got = bench.refresh(&first).await;
    let (access, second) = (got.text("access_token"), got.text("refresh_token"));
    let reuse = bench.refresh(&first).await;
    assert_eq!((reuse.status, reuse.text("error")), (400, "invalid_grant".to_owned()));
    assert_eq!((bench.refresh(&second).await.status, bench.userinfo(&access).await.status), (400, 401));
    assert_eq!(bench.control.stats().refresh_reuse, 1);
    // Within the grace it still works; Gitea lets the family live.
    bench.control.change(|w| w.rotation_grace = 30);
    let (_, first) = bench.connect().await;
    bench.refresh(&first).await;
    bench.clock.advance_millis(29_000);
    assert_eq!(bench.refresh(&first).await.status, 200);
    bench.clock.advance_millis(1_000);
    bench.control.change(|w| w.reuse_kills = false);
    assert_eq!(bench.refresh(&first).await.status, 400);
    assert_eq!((bench.control.stats().refresh_grace, bench.control.stats().grants_ended), (1, 1));
}

#[tokio::test]
async fn a_replayed_code_kills_the_grant() {
    let bench = Bench::new().await;
    let verifier = ids::new_token().unwrap();
    let code = bench.code(&verifier, &[]).await["code"].as_str().unwrap().to_owned();
    let access = bench.redeem(&code, &verifier).await.text("access_token");
    assert_eq!(bench.redeem(&code, &verifier).await.text("error"), "invalid_grant");
    assert_eq!((bench.userinfo(&access).await.status, bench.control.stats().code_replays), (401, 1));
}

#[tokio::test]
async fn exchanges_are_strict() {
    let bench = Bench::new().await;
    let verifier = ids::new_token().unwrap();
    let code = bench.code(&verifier, &[]).await["code"].as_str().unwrap().to_owned();
    let other = ids::new_token().unwrap();
    let base = [("grant_type", "authorization_code"), ("code", code.as_str())];
    let with = |more: &[(&'static str, &'static str)]| base.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    assert_eq!(bench.redeem(&code, &other).await.text("error"), "invalid_grant");
    assert_eq!(bench.token(&with(&[("redirect_uri", REDIRECT)])).await.text("error"), "invalid_grant");
    assert_eq!(bench.token(&with(&[("redirect_uri", "http://127.0.0.1:9/other")])).await.text("error"), "invalid_grant");
    let wrong = bench.token(&with(&[("client_secret", "wrong")])).await;
    assert_eq!((wrong.status, wrong.text("error")), (401, "invalid_client".to_owned()));
    assert!(wrong.head.contains("www-authenticate: basic"));
    assert_eq!(bench.token(&with(&[("code", "twice")])).await.text("error"), "invalid_request");
    assert_eq!(bench.token(&[("grant_type", "password")]).await.text("error"), "unsupported_grant_type");
    bench.control.change(|w| w.error_style = ErrorStyle::UnauthorizedClient);
    let gitea = bench.redeem(&code, &other).await;
    assert_eq!((gitea.status, gitea.text("error")), (400, "unauthorized_client".to_owned()));
    bench.control.change(|w| w.error_style = ErrorStyle::Standard);
    // None of this used the code up, and the header authenticates as well as the body.
    use base64ct::Encoding;
    let basic = base64ct::Base64::encode_string(format!("{CLIENT_ID}:{CLIENT_SECRET}").as_bytes());
    let form = format!("grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}&code_verifier={verifier}");
    assert_eq!(bench.call("POST", "/token", &format!("{FORM}authorization: Basic {basic}\r\n"), &form).await.status, 200);
    bench.clock.advance_millis(1);
    let late = bench.code(&verifier, &[]).await["code"].as_str().unwrap().to_owned();
    bench.clock.advance_millis(60_000);
    assert_eq!(bench.redeem(&late, &verifier).await.text("error"), "invalid_grant");
}

#[tokio::test]
async fn the_authorize_page_is_strict() {
    let bench = Bench::new().await;
    let v = ids::new_token().unwrap();
    for wrong in [[("client_id", "nobody")], [("redirect_uri", "http://evil.example/cb")], [("redirect_uri", "javascript:alert(1)")]] {
        let error = visit(&bench.authorize_url(&v, &wrong)).await.unwrap_err();
        assert_eq!(error.info().context["status"], "400", "{wrong:?}");
    }
    for (wrong, code) in [
        ([("response_type", "token")], "unsupported_response_type"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("sandbox_decision", "deny")], "access_denied"),
        ([("sandbox_user", "mallory")], "invalid_request"),
    ] {
        let callback = bench.code(&v, &wrong).await;
        assert_eq!((callback["error"].as_str(), callback["state"].as_str()), (Some(code), Some("the-state")), "{wrong:?}");
        assert_eq!(callback["iss"].as_str(), Some(&*bench.sandbox.origin()));
    }
    let origin = bench.sandbox.origin();
    for (form, values) in [
        (IssuerForm::Missing, vec![]),
        (IssuerForm::Wrong, vec!["https://issuer.sandbox.example".to_owned()]),
        (IssuerForm::Doubled, vec![origin.clone(), origin.clone()]),
        (IssuerForm::TrailingSlash, vec![format!("{origin}/")]),
    ] {
        bench.control.change(|w| w.issuer_form = form);
        let callback = Url::parse(&visit(&bench.authorize_url(&v, &[])).await.unwrap()).unwrap();
        let found: Vec<String> = callback.query_pairs().filter(|(n, _)| n == "iss").map(|(_, v)| v.into_owned()).collect();
        assert_eq!(found, values);
    }
    assert!(visit("https://example.com/authorize").await.is_err_and(|e| e.is(crate::Code::InvalidRequest)));
}

#[tokio::test]
async fn the_consent_page_escapes_and_is_answered_once() {
    let bench = Bench::new().await;
    bench.control.auto_consent(None);
    let verifier = ids::new_token().unwrap();
    let url = bench.authorize_url(&verifier, &[("scope", "<script>alert(1)</script> a\"b")]);
    assert!(visit(&url).await.is_err_and(|e| e.is(crate::Code::AuthorizeFailed)));
    let page = bench.call("GET", url.strip_prefix(&bench.sandbox.origin()).unwrap(), "", "").await;
    assert!(page.status == 200 && !page.body.contains("<script") && page.body.contains("&lt;script&gt;") && page.body.contains("a&quot;b"));
    assert!(page.head.contains("default-src 'none'"));
    let nonce = page.body.split("name=\"nonce\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let form = format!("nonce={nonce}&user=grace&decision=allow");
    let answer = bench.call("POST", "/authorize/decide", FORM, &form).await;
    assert_eq!((answer.status, bench.control.stats().codes_issued), (303, 1));
    assert_eq!(bench.call("POST", "/authorize/decide", FORM, &form).await.status, 400);
}

#[tokio::test]
async fn every_misbehaviour_can_be_reached_at_every_endpoint() {
    let bench = Bench::new().await;
    let targets = |at: Endpoint| match at {
        Endpoint::Authorize => {
            ("GET", bench.authorize_url(&"v".repeat(43), &[]).strip_prefix(&bench.sandbox.origin()).unwrap().to_owned(), "")
        }
        Endpoint::Token => ("POST", "/token".to_owned(), "grant_type=authorization_code"),
        Endpoint::Refresh => ("POST", "/token".to_owned(), "grant_type=refresh_token"),
        Endpoint::Revoke => ("POST", "/revoke".to_owned(), "token=x"),
        Endpoint::Introspect => ("POST", "/introspect".to_owned(), "token=x"),
        Endpoint::Userinfo => ("GET", "/userinfo".to_owned(), ""),
        Endpoint::Api => ("GET", "/api/items".to_owned(), ""),
        Endpoint::KeyCheck => ("GET", "/api/key-check".to_owned(), ""),
        Endpoint::Device => ("POST", "/device".to_owned(), ""),
        Endpoint::Oauth1 => ("POST", "/oauth1/access_token".to_owned(), ""),
        Endpoint::Login => ("POST", "/login".to_owned(), "{}"),
        Endpoint::Inbox => ("POST", "/inbox/a".to_owned(), "{}"),
        Endpoint::Register => ("POST", "/register".to_owned(), "{}"),
    };
    for at in Endpoint::ALL {
        let (method, target, body) = targets(*at);
        for (with, status, text) in [
            (json!({"kind": "status", "status": 503, "retry_after": "7"}), 503, ""),
            (json!({"kind": "status", "status": 200, "body": "html"}), 200, "<h1>"),
            (json!({"kind": "status", "status": 200, "body": "bad_json"}), 200, "cut"),
            (json!({"kind": "status", "status": 200, "body": "truncated"}), 200, "{\"access_token\""),
            (json!({"kind": "drop"}), 0, ""),
            (json!({"kind": "drop", "after_work": true}), 0, ""),
        ] {
            let order = json!({"do": "misbehave", "at": at, "times": 1, "with": with});
            assert_eq!(bench.order(order).await.status, 200, "{with}");
            let got = bench.call(method, &target, FORM, body).await;
            assert!(
                got.status == status && got.body.starts_with(text) || got.body.contains(text),
                "{at} {with}: {} {}",
                got.status,
                got.body
            );
            assert_eq!(got.status, status, "{at} {with}");
            assert_eq!(got.head.contains("retry-after: 7"), status == 503);
        }
        let error = json!({"do": "misbehave", "at": at, "times": 1, "with": {"kind": "error", "error": "slow_down", "status": 200}});
        bench.order(error).await;
        let got = bench.call(method, &target, FORM, body).await;
        assert!(got.head.contains("error=slow_down") || got.text("error") == "slow_down" && got.status == 200, "{at}");
        let usual = bench.call(method, &target, FORM, body).await;
        bench.order(json!({"do": "misbehave", "at": at, "times": 1, "with": {"kind": "delay", "millis": 1}})).await;
        assert_eq!(bench.call(method, &target, FORM, body).await.status, usual.status, "{at}");
    }
}

#[tokio::test]
async fn an_oversized_answer_and_one_that_never_comes() {
    let bench = Bench::new().await;
    bench.control.misbehave(
        Endpoint::KeyCheck,
        Some(1),
        Misbehaviour::Status { status: 200, body: BodyKind::Oversize, retry_after: None, after_work: false },
    );
    assert_eq!(bench.call("GET", "/api/key-check", "", "").await.body.len(), 64 * 1024 * 1024);
    bench.control.misbehave(Endpoint::KeyCheck, None, Misbehaviour::Hang { after_work: true });
    {
        let hanging = bench.call("GET", "/api/key-check", "", "");
        tokio::pin!(hanging);
        let answered = async {
            while !bench.control.stats().answers.contains_key("key_check lost") {
                tokio::task::yield_now().await
            }
        };
        tokio::select! {
            _ = &mut hanging => panic!("it answered"),
            () = answered => {}
        }
    }
    assert_eq!(bench.control.stats().key_checks, 1);
    bench.control.clear(Some(Endpoint::KeyCheck));
    assert_eq!(bench.call("GET", "/api/key-check", "", "").await.status, 401);
}

#[tokio::test]
async fn a_lost_answer_has_had_its_effect() {
    let bench = Bench::new().await;
    let (_, first) = bench.connect().await;
    bench.control.misbehave(Endpoint::Refresh, Some(1), Misbehaviour::Drop { after_work: true });
    assert_eq!(bench.refresh(&first).await.status, 0);
    assert_eq!((bench.control.stats().refreshes, bench.control.stats().answers["refresh lost"]), (1, 1));
    assert_eq!(bench.refresh(&first).await.status, 400);
    assert_eq!(bench.control.stats().refresh_reuse, 1);
}

#[tokio::test]
async fn racing_refreshes_are_counted() {
    let bench = Bench::new().await;
    let (_, first) = bench.connect().await;
    bench.control.misbehave(Endpoint::Refresh, None, Misbehaviour::Delay { millis: 100, after_work: false });
    let all = futures_util::future::join_all((0..8).map(|_| bench.refresh(&first))).await;
    let worked = all.iter().filter(|got| got.status == 200).count();
    let stats = bench.control.stats();
    assert_eq!((worked, stats.refreshes, stats.refresh_requests, stats.refresh_reuse), (1, 1, 8, 7));
    assert!(stats.concurrent_refreshes == 0 && stats.concurrent_refreshes_max >= 1);
}

#[tokio::test]
async fn token_answers_take_every_form() {
    let bench = Bench::new().await;
    let (_, mut refresh) = bench.connect().await;
    for (ways, pointer, value) in [
        (json!({"expires_form": "missing"}), "/expires_in", Value::Null),
        (json!({"expires_form": "string"}), "/expires_in", json!("3600")),
        (json!({"expires_form": "short"}), "/expires_in", json!(3599)),
        (json!({"expires_form": "zero"}), "/expires_in", json!(0)),
        (json!({"expires_form": "negative"}), "/expires_in", json!(-1)),
        (json!({"expires_form": "huge"}), "/expires_in", json!(1_000_000_000_000_u64)),
        (json!({"expires_form": "number", "token_type": "bEARER"}), "/token_type", json!("bEARER")),
        (json!({"token_type": null}), "/token_type", Value::Null),
        (json!({"scope_form": "missing"}), "/scope", Value::Null),
        (json!({"scope_form": "narrower"}), "/scope", json!("items.read")),
        (json!({"scope_form": "wider"}), "/scope", json!("items.read items.write sandbox.extra")),
        (json!({"scope_form": "granted", "refresh_expires_in": 9999}), "/refresh_expires_in", json!(9999)),
    ] {
        assert_eq!(bench.order(json!({"do": "set", "ways": ways})).await.status, 200);
        let got = bench.refresh(&refresh).await;
        assert_eq!(*got.json().pointer(pointer).unwrap_or(&Value::Null), value, "{ways}");
        refresh = got.text("refresh_token");
    }
    bench.control.change(|w| w.rotation = Rotation::Same);
    assert_eq!(bench.refresh(&refresh).await.text("refresh_token"), refresh);
    bench.control.change(|w| w.rotation = Rotation::Omit);
    assert!(bench.refresh(&refresh).await.json().get("refresh_token").is_none());
    bench.control.change(|w| w.token_form = TokenForm::Nested);
    assert!(bench.refresh(&refresh).await.json()["authed_user"]["access_token"].is_string());
    bench.control.change(|w| w.token_form = TokenForm::Form);
    let got = bench.refresh(&refresh).await;
    assert!(got.body.starts_with("access_token=") && got.head.contains("x-www-form-urlencoded"));
}

#[tokio::test]
async fn clients_users_and_shared_grants() {
    let bench = Bench::new().await;
    let (access, refresh) = bench.connect().await;
    let set = |ways: Value| bench.control.apply_json(json!({"do": "set", "ways": ways})).unwrap();
    set(json!({"disabled_clients": [CLIENT_ID]}));
    let got = bench.refresh(&refresh).await;
    assert_eq!((got.status, got.text("error")), (401, "invalid_client".to_owned()));
    set(json!({"disabled_clients": [], "disabled_users": ["ada"]}));
    let got = bench.refresh(&refresh).await;
    assert_eq!((got.status, got.text("error"), got.text("error_description")), (400, "invalid_grant".into(), "User disabled".into()));
    assert_eq!(bench.userinfo(&access).await.status, 401);
    set(json!({"disabled_users": [], "echo_secrets": true}));
    let echoed = bench.token(&[("grant_type", "refresh_token"), ("refresh_token", &refresh), ("scope", "more")]).await.body;
    assert!(echoed.contains(CLIENT_SECRET) && echoed.contains(&refresh));
    let kept = bench.refresh(&refresh).await;
    assert_eq!(kept.status, 200);
    set(json!({"shared_grants": true, "refresh_ends_access": true}));
    let (_, second) = bench.connect().await;
    assert_eq!(bench.control.stats().grants_made, 1);
    let access = kept.text("access_token");
    assert_eq!(bench.refresh(&second).await.status, 200);
    assert_eq!(bench.userinfo(&access).await.status, 401);
    bench.control.apply(Control::Withdraw { user: "ada".to_owned(), client_id: None }).unwrap();
    assert_eq!(bench.refresh(&kept.text("refresh_token")).await.status, 400);
    set(json!({"shared_grants": false, "one_refresh_token": true}));
    let (access, first) = bench.connect().await;
    bench.connect().await;
    assert_eq!((bench.userinfo(&access).await.status, bench.refresh(&first).await.status), (200, 400));
}

#[tokio::test]
async fn keys_channels_and_echo() {
    let bench = Bench::new().await;
    let key = format!("x-api-key: {API_KEY}\r\n");
    let check = bench.call("GET", "/api/key-check?workspace=acme", &key, "").await;
    assert_eq!(check.json(), json!({"workspace": {"id": "acme", "name": "Workspace acme"}}));
    let channels = bench.call("GET", "/api/channels?search=GENER", &key, "").await;
    assert_eq!(channels.json()["items"][0], json!({"id": "C000", "name": "general"}));
    let echo = bench.call("POST", "/api/echo", &format!("{key}x-mine: yes\r\n"), "{\"a\": 1}").await;
    assert!(echo.json()["body"]["a"] == 1 && echo.json()["headers"]["x-mine"] == "yes" && !echo.body.contains(API_KEY));
    bench.order(json!({"do": "add_key", "key": "bound", "workspace": "acme"})).await;
    assert_eq!(bench.call("GET", "/api/key-check?workspace=other", "x-api-key: bound\r\n", "").await.status, 403);
    bench.order(json!({"do": "revoke_key", "key": API_KEY})).await;
    assert_eq!(bench.call("GET", "/api/key-check", &key, "").await.status, 401);
    assert_eq!((bench.control.stats().key_checks, bench.control.stats().key_checks_refused), (3, 2));
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let bench = Bench::new().await;
    for order in [
        json!({"do": "dance"}),
        json!({"do": "set", "ways": {"expires": 1}}),
        json!({"do": "set", "ways": {"auto_consent": "mallory"}}),
        json!({"do": "reset", "now": true}),
        json!({"do": "misbehave", "at": "nowhere", "with": {"kind": "drop"}}),
        json!({"do": "misbehave", "at": "token", "with": {"kind": "drop", "after": 1}}),
        json!({"do": "misbehave", "at": "token", "with": {"kind": "status", "status": 99}}),
        json!({"do": "revoke_key", "key": "unknown"}),
    ] {
        assert_eq!(bench.order(order.clone()).await.status, 400, "{order}");
    }
    assert_eq!(bench.call("POST", "/control", "content-type: text/plain\r\n", "{\"do\":\"reset\"}").await.status, 415);
    assert_eq!(bench.call("GET", "/stats", "", "").await.json()["ways"]["auto_consent"], "ada");
    assert_eq!(bench.order(json!({"do": "reset"})).await.status, 200);
    assert_eq!(bench.call("GET", "/stats", "", "").await.json()["ways"]["auto_consent"], Value::Null);
}

#[tokio::test]
async fn it_listens_on_loopback_only_under_its_own_name_and_within_limits() {
    let options = SandboxOptions { listen: "0.0.0.0:0".parse().unwrap(), ..SandboxOptions::default() };
    assert!(Sandbox::start(options).await.is_err_and(|e| e.is(crate::Code::InvalidRequest)));
    let bench = Bench::new().await;
    let mut stream = TcpStream::connect(bench.sandbox.address()).await.unwrap();
    stream.write_all(b"GET /stats HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    assert_eq!(bench.call("POST", "/api/echo", "", &"x".repeat(64 * 1024 + 1)).await.status, 413);
    let address = bench.sandbox.address();
    drop(bench);
    // The accept loop ends soon after the drop; until then connections may still be taken.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn the_docs_name_everything() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sandbox.md")).unwrap();
    let keys = |value: Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut names = keys(serde_json::to_value(Ways::default()).unwrap());
    names.extend(keys(serde_json::to_value(Stats::default()).unwrap()));
    let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    names.extend(Endpoint::ALL.iter().map(|e| e.to_string()));
    names.extend(BodyKind::ALL.iter().map(|e| e.to_string()));
    names.extend(ExpiresForm::ALL.iter().map(|e| e.to_string()));
    names.extend(ScopeForm::ALL.iter().map(|e| e.to_string()));
    names.extend(TokenForm::ALL.iter().map(|e| e.to_string()));
    names.extend(Rotation::ALL.iter().map(|e| e.to_string()));
    names.extend(IssuerForm::ALL.iter().map(|e| e.to_string()));
    names.extend(ErrorStyle::ALL.iter().map(|e| e.to_string()));
    names.extend(Mistake::ALL.iter().map(|e| e.to_string()));
    names.extend(ServerKind::ALL.iter().map(|e| e.to_string()));
    names.extend(TokenState::ALL.iter().map(|e| e.to_string()));
    names.extend(words(&[
        "status",
        "error",
        "delay",
        "drop",
        "hang",
        "set",
        "behave_as",
        "misbehave",
        "clear",
        "register_client",
        "add_key",
        "revoke_key",
    ]));
    names.extend(words(&["withdraw", "expire_access_tokens", "reset_stats", "reset", "after_work", "retry_after", "millis", "times"]));
    names.extend(words(&[CLIENT_ID, CLIENT_SECRET, API_KEY]));
    let missing: Vec<_> = names.iter().filter(|name| !docs.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/sandbox.md does not name {missing:?}");
}
