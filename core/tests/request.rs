//! Authenticated calls: when they are sent again, lists that come in pages, and streams whose token dies.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::json;
use smalt::{
    Account, Code, Smalt, Timestamp,
    backend::{ApiPageRequest, ApiRequest, Caller, ImportConnection, json_body},
    http::ScriptedTransport,
    model::Json,
    plugin::{Clock, FixedClock, HttpResponse, SystemClock, Upload},
    project::Project,
    vault::LocalKey,
};

struct Stage {
    smalt: Smalt,
    account: Account,
    transport: ScriptedTransport,
}

impl Stage {
    /// A connection with the application, whose API is as `api` says.
    async fn new(api: Json) -> Stage {
        Stage::with(api, SystemClock::default()).await
    }

    async fn with(api: Json, clock: impl Clock) -> Stage {
        let transport = ScriptedTransport::new();
        let mut manifest = json!({
            "manifest": 1, "slug": "crm", "name": "CRM", "description": "Customers", "categories": [],
            "api": {"base_url": "https://api.crm.example/v1/"},
            "oauth2": {"authorize_url": "https://crm.example/authorize", "token_url": "https://crm.example/token", "client_auth": "none",
                "refresh": {"errors": [{"error": "locked", "means": "suspended"}]}}
        });
        manifest["api"].as_object_mut().unwrap().extend(api.as_object().unwrap().clone());
        let project: Project = serde_json::from_value(json!({"version": 1, "apps": {"crm": {"client": {"test": {"id": "us"}}}}})).unwrap();
        let smalt = Smalt::in_memory()
            .keys(LocalKey::generate().unwrap())
            .transport(transport.clone())
            .clock(clock)
            .manifest(serde_json::from_value(manifest).unwrap())
            .project_value(project)
            .open()
            .await
            .unwrap();
        let account = smalt.account("a");
        account.ensure().await.unwrap();
        let mut import = ImportConnection { application: "crm".into(), expires_in: Some(86_400), ..ImportConnection::default() };
        import.values.insert("access_token".into(), "first".into());
        import.values.insert("refresh_token".into(), "refresh".into());
        account.import(import).await.unwrap();
        Stage { smalt, account, transport }
    }

    fn answers(&self, status: u16, headers: &[(&str, &str)], body: &Json) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.transport.push(Ok(HttpResponse { status, headers, body: body.to_string().into_bytes() }));
    }

    fn sent(&self) -> Vec<String> {
        self.transport.requests().iter().map(|request| format!("{} {}", request.method, request.url)).collect()
    }

    /// The access tokens that the API was shown.
    fn shown(&self) -> Vec<String> {
        let requests = self.transport.requests();
        let api = requests.iter().filter(|request| request.url.host_str() == Some("api.crm.example"));
        api.map(|r| r.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.trim_start_matches("Bearer ").to_owned())
            .collect()
    }
}

fn call(method: &str, path: &str) -> ApiRequest {
    ApiRequest { application: "crm".into(), method: method.into(), path: path.into(), ..ApiRequest::default() }
}

/// Each way in which a call is refused before the application is asked, or instead of it, is in the operation's list.
#[tokio::test]
async fn what_calls_answer_is_in_their_lists() {
    let schema = smalt::backend::schema();
    let is_listed = |operation: &str, code: Code| {
        let errors = schema["operations"][operation]["errors"].as_array().unwrap();
        errors.iter().any(|one| one.as_str() == Some(code.as_str()))
    };
    let refused = async |stage: &Stage, request: ApiRequest, code: Code| {
        let caller = Caller::Organisation("test".into());
        let page = ApiPageRequest::of(request.clone());
        let asked = [
            ("request", stage.smalt.backend().request(&caller, request).await.err()),
            ("request_page", stage.smalt.backend().request_page(&caller, page).await.err()),
        ];
        for (operation, error) in asked {
            let error = error.unwrap();
            assert_eq!(error.code(), code, "{operation}: {error}");
            assert!(is_listed(operation, code), "{operation}: {code:?}");
        }
    };
    let stage = Stage::new(json!({"pagination": {"style": "link"}})).await;
    for (account, application, connection, code) in [
        ("nobody", "crm", None, Code::LinkedAccountNotFound),
        ("a", "nothing", None, Code::ApplicationNotFound),
        ("a", "crm", Some("65a000000000000000000001"), Code::ConnectionNotFound),
    ] {
        let of = call("GET", "things");
        let connection = connection.map(str::to_owned);
        let request = ApiRequest { account: account.into(), application: application.into(), connection, ..of };
        refused(&stage, request, code).await;
    }
    for (said, code) in [("locked", Code::GrantSuspended), ("busy", Code::RefreshFailed)] {
        let clock = FixedClock::at(Timestamp::from_millis(1_769_847_300_000));
        let stage = Stage::with(json!({"pagination": {"style": "link"}}), clock.clone()).await;
        // The token has ended, and what would renew it is refused, whoever asks first.
        clock.advance_millis(2 * 86_400_000);
        for _ in 0..4 {
            stage.transport.push_json(400, &json!({"error": said}));
        }
        refused(&stage, ApiRequest { account: "a".into(), ..call("GET", "things") }, code).await;
        assert!(stage.sent().iter().all(|sent| sent == "POST https://crm.example/token"), "{:?}", stage.sent());
    }
}

#[tokio::test]
async fn a_limit_is_waited_for_where_that_is_safe_and_short() {
    let rules = json!({"rate_limit": {"reset_at": "x-reset", "remaining": "x-left", "errors": ["ratelimited"]}});
    let stage = Stage::new(rules).await;
    let soon = [("retry-after", "0")];
    let used_up = |reset: &'static str| [("x-left", "0"), ("x-reset", reset)];
    let limited = json!({"ok": false, "error": "ratelimited"});
    // What comes first: method, status, headers, body; and whether it is sent again.
    #[allow(clippy::type_complexity)] // a table
    let cases: Vec<(&str, u16, Vec<(&str, &str)>, Json, bool)> = vec![
        ("GET", 429, soon.to_vec(), json!({}), true),
        ("POST", 429, soon.to_vec(), json!({}), true),
        ("GET", 503, soon.to_vec(), json!({}), true),
        ("PUT", 503, soon.to_vec(), json!({}), true),
        ("DELETE", 503, soon.to_vec(), json!({}), true),
        ("POST", 503, soon.to_vec(), json!({}), false),
        ("PATCH", 503, soon.to_vec(), json!({}), false),
        ("GET", 403, used_up("1").to_vec(), json!({}), true),
        ("GET", 403, used_up("1000000000000").to_vec(), json!({}), true),
        ("GET", 403, used_up("Sun, 06 Nov 1994 08:49:37 GMT").to_vec(), json!({}), true),
        ("GET", 403, used_up("1994-11-06T08:49:37Z").to_vec(), json!({}), true),
        ("POST", 403, used_up("1").to_vec(), json!({}), false),
        ("GET", 403, vec![("x-left", "3"), ("x-reset", "1")], json!({}), false),
        ("GET", 200, used_up("1").to_vec(), json!({}), false),
        ("POST", 200, soon.to_vec(), limited.clone(), true),
        ("POST", 200, soon.to_vec(), json!({"error": "other"}), false),
        ("GET", 500, soon.to_vec(), json!({}), false),
        ("GET", 429, vec![("retry-after", "3600")], json!({}), false),
        ("GET", 429, vec![], json!({}), false),
    ];
    for (method, status, headers, body, again) in cases {
        let before = stage.sent().len();
        stage.answers(status, &headers, &body);
        if again {
            stage.answers(200, &[], &json!({"done": true}));
        }
        let answer = stage.account.send(ApiRequest { timeout: Some(Duration::from_secs(20)), ..call(method, "things") }).await.unwrap();
        let what = format!("{method} {status} {headers:?} {body}");
        assert_eq!(stage.sent().len() - before, if again { 2 } else { 1 }, "{what}");
        assert_eq!(answer.status, if again { 200 } else { status }, "{what}");
    }
    // Not for ever.
    let before = stage.sent().len();
    for _ in 0..5 {
        stage.answers(429, &soon, &json!({}));
    }
    assert_eq!(stage.account.request("crm", "GET", "things").await.unwrap().status, 429);
    assert_eq!(stage.sent().len() - before, 3);
}

#[tokio::test]
async fn a_token_that_died_in_flight_is_renewed_once() {
    let stage = Stage::new(json!({})).await;
    let token = |n: &str| json!({"access_token": n, "refresh_token": "refresh", "token_type": "Bearer", "expires_in": 86_400});
    let refused = || stage.answers(401, &[], &json!({"error": "invalid_token"}));

    // A stream without an upload is sent once more.
    refused();
    stage.answers(200, &[], &token("second"));
    stage.answers(200, &[], &json!({"n": 1}));
    let answer = stage.account.download(call("GET", "file")).await.unwrap();
    assert_eq!((answer.status, answer.rest(100).await.unwrap()), (200, br#"{"n":1}"#.to_vec()));

    // What an upload has sent is gone: the caller is told, and the new token is ready.
    refused();
    stage.answers(200, &[], &token("third"));
    let upload = || Upload::from_reader("text/plain", std::io::Cursor::new(b"hello".to_vec()));
    let error = stage.account.upload(call("PUT", "file"), upload()).await.unwrap_err();
    assert_eq!(error.code(), Code::UploadNotRepeated);
    stage.answers(201, &[], &json!({}));
    assert_eq!(stage.account.upload(call("PUT", "file"), upload()).await.unwrap().status, 201);
    assert_eq!(&*stage.transport.requests().last().unwrap().body.0, b"hello");
    assert_eq!(stage.shown(), ["first", "second", "second", "third"]);

    // Still refused with the new token: that is the answer.
    refused();
    stage.answers(200, &[], &token("fourth"));
    refused();
    assert_eq!(stage.account.download(call("GET", "file")).await.unwrap().status, 401);
    // Both a body and an upload are one too many.
    let both = ApiRequest { body: Some(json_body(&json!({}))), ..call("PUT", "file") };
    assert_eq!(stage.account.upload(both, upload()).await.unwrap_err().code(), Code::InvalidRequest);

    // A dead grant.
    refused();
    stage.answers(400, &[], &json!({"error": "invalid_grant"}));
    assert_eq!(stage.account.upload(call("PUT", "file"), upload()).await.unwrap_err().code(), Code::ReauthRequired);
    assert_eq!(stage.account.download(call("GET", "file")).await.unwrap_err().code(), Code::ReauthRequired);
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let stage =
        Stage::new(json!({"pagination": {"style": "cursor", "next": "/after", "param": "after", "size_param": "limit", "size": 2}})).await;
    stage.answers(200, &[], &json!({"items": [1, 2], "after": "c 2"}));
    stage.answers(200, &[], &json!({"items": [], "after": "c3"}));
    stage.answers(200, &[], &json!({"items": [3], "after": null}));
    assert_eq!(stage.account.pages(call("GET", "things")).all(10).await.unwrap(), [json!(1), json!(2), json!(3)]);
    let at = |rest: &str| format!("GET https://api.crm.example/v1/things?limit=2{rest}");
    assert_eq!(stage.sent(), [at(""), at("&after=c+2"), at("&after=c3")]);

    // Bounded, in pages and in items.
    for n in 0..3 {
        stage.answers(200, &[], &json!({"items": [1, 2], "after": n}));
    }
    let mut pages = stage.account.pages(call("GET", "things")).at_most(2);
    assert!(pages.next().await.unwrap().is_some() && pages.next().await.unwrap().is_some());
    assert_eq!(pages.next().await.unwrap_err().code(), Code::AnswerTooLarge);
    assert_eq!(stage.account.pages(call("GET", "things")).all(1).await.unwrap_err().code(), Code::AnswerTooLarge);

    // A failure is the provider's answer for who asks for pages, and an error for who asks for items.
    stage.answers(404, &[], &json!({"error": "no_such_list"}));
    let mut pages = stage.account.pages(call("GET", "nothing"));
    let page = pages.next().await.unwrap().unwrap();
    assert_eq!((page.answer.status, page.items.len()), (404, 0));
    assert!(pages.next().await.unwrap().is_none());
    stage.answers(500, &[], &json!({}));
    assert_eq!(stage.account.pages(call("GET", "x")).next_item().await.unwrap_err().code(), Code::ProviderError);

    // By a search whose cursor goes into the body, and another way of paging than the manifest's.
    stage.answers(200, &[], &json!({"items": [1, 2], "after": "c2"}));
    stage.answers(200, &[], &json!({"items": [3]}));
    let search = ApiRequest { body: Some(json_body(&json!({"q": "x"}))), ..call("POST", "search") };
    assert_eq!(stage.account.pages(search).all(10).await.unwrap().len(), 3);
    let last = stage.transport.requests().pop().unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&last.body.0).unwrap(), json!({"q": "x", "limit": 2, "after": "c2"}));
    stage.answers(200, &[], &json!([1, 2]));
    stage.answers(200, &[], &json!([3]));
    let pagination = serde_json::from_value(json!({"style": "offset", "size_param": "n", "size": 2})).unwrap();
    let request = ApiPageRequest { pagination: Some(pagination), ..ApiPageRequest::of(call("GET", "rows")) };
    assert_eq!(stage.account.pages_of(request).all(10).await.unwrap().len(), 3);
    assert!(stage.sent().last().unwrap().ends_with("rows?n=2&offset=2"));
    // Without any word about pages.
    let silent = Stage::new(json!({})).await;
    assert_eq!(silent.account.pages(call("GET", "x")).next().await.unwrap_err().code(), Code::Unsupported);
}

#[tokio::test]
async fn s50_a_link_to_the_next_page_leads_nowhere_else() {
    let placement = json!({"in": "query", "name": "key", "value": "{access_token}"});
    let stage = Stage::new(json!({"pagination": {"style": "link"}, "placement": placement})).await;
    let elsewhere = [
        "https://evil.example/v1/things?page=2",
        "//evil.example/x",
        "http://api.crm.example/v1/things?page=2",
        "https://api.crm.example:8443/v1/things",
        "https://user@api.crm.example/v1/things",
        "https://api.crm.example@evil.example/",
        "https://api.crm.example.evil.example/",
        "\\\\evil.example\\x",
        "file:///etc/passwd",
        "data:text/plain,x",
    ];
    for link in elsewhere {
        let before = stage.sent().len();
        stage.answers(200, &[("link", &format!("<{link}>; rel=\"next\""))], &json!([1]));
        let mut pages = stage.account.pages(call("GET", "things"));
        assert_eq!(pages.next().await.unwrap().unwrap().items, [json!(1)]);
        let error = pages.next().await.unwrap_err();
        assert!(matches!(error.code(), Code::HostMismatch | Code::InvalidRequest), "{link}: {error}");
        assert_eq!(stage.sent().len() - before, 1, "{link}: nothing more was sent");
    }
    // Its own links are followed; the key that they repeat stands in no cursor, and is put in anew.
    stage.answers(200, &[("link", "</v2/things?page=2&key=first>; rel=\"next\"")], &json!([1]));
    stage.answers(200, &[], &json!([2]));
    let mut pages = stage.account.pages(call("GET", "things"));
    let next = pages.next().await.unwrap().unwrap().next.unwrap();
    assert_eq!(pages.next().await.unwrap().unwrap().items, [json!(2)]);
    assert_eq!(stage.sent().last().unwrap(), "GET https://api.crm.example/v2/things?page=2&key=first");
    assert!(pages.next().await.unwrap().is_none());

    // S-36: a cursor is of one account's one application, and cannot be made up.
    let sent = stage.sent().len();
    let of = |account: &Account, cursor: &str| {
        let (account, cursor) = (account.clone(), cursor.to_owned());
        async move { account.page(ApiPageRequest { cursor: Some(cursor), ..ApiPageRequest::of(call("GET", "things")) }).await }
    };
    let other = Stage::new(json!({"pagination": {"style": "link"}})).await;
    assert_eq!(of(&other.account, &next).await.unwrap_err().code(), Code::InvalidCursor);
    for at in 0..next.len() {
        let mut forged = next.clone().into_bytes();
        forged[at] ^= 1;
        let error = of(&stage.account, std::str::from_utf8(&forged).unwrap()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidCursor);
    }
    assert_eq!(stage.sent().len(), sent);
    assert!(other.sent().is_empty());
}
