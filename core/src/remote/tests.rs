#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::{Retries, tokens::Claims};
use crate::{
    Code, Error, Secret, Session, Smalt,
    backend::*,
    error::err,
    http::{ScriptedTransport, ServerOptions, ServerTransport},
    model::*,
    operations::Operation,
    plugin::{Fault, HttpRequest, HttpResponse},
};

const BASE: &str = "https://smalt.test/backend";
const KEY: &str = "tk00000000-0000-4000-8000-canary000001";

fn capabilities() -> Json {
    let operations: Vec<_> = Operation::ALL.iter().filter(|o| o.embedded_only().is_none()).map(|o| o.row().name).collect();
    json!({"backend": "embedded", "version": "9.9.9", "operations": operations, "workflows": true, "presenter": false})
}

fn account() -> Json {
    json!({
        "id": "acme-1", "record_id": "r", "environment": "test", "name": null, "properties": {},
        "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z"
    })
}

fn config() -> Json {
    json!({
        "account_id": "acme-1", "application": "slack", "config_id": "acme-1", "version": 1, "fields": [], "workflows": [],
        "field_errors": [], "labels": null, "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z"
    })
}

fn fast() -> Retries {
    Retries { wait: Duration::from_millis(1), ..Retries::default() }
}

/// A Smalt server that knows its capabilities and answers the rest from a script, in order.
fn server(script: Vec<Result<HttpResponse, Error>>) -> (Smalt, ScriptedTransport) {
    let script = Mutex::new(script.into_iter());
    let transport = ScriptedTransport::answering(move |request| {
        if request.url.path().ends_with("/smalt/v1/capabilities") {
            return Ok(ScriptedTransport::json(200, &capabilities()));
        }
        script.lock().unwrap().next().unwrap_or_else(|| panic!("one call too many: {}", request.url))
    });
    (Smalt::remote(BASE).api_key(KEY).retries(fast()).transport(transport.clone()).open().unwrap(), transport)
}

fn ok(body: &Json) -> Result<HttpResponse, Error> {
    Ok(ScriptedTransport::json(200, body))
}

fn status(status: u16, headers: &[(&str, &str)], body: &str) -> Result<HttpResponse, Error> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Ok(HttpResponse { status, headers, body: body.as_bytes().to_vec() })
}

fn unreachable() -> Result<HttpResponse, Error> {
    Err(err!(ProviderUnreachable, "scripted"))
}

fn broken() -> Result<HttpResponse, Error> {
    Err(err!(ProviderError, "scripted"))
}

fn slow() -> Result<HttpResponse, Error> {
    Err(err!(ProviderTimeout, "scripted"))
}

/// How often the operation was asked for.
fn sent(transport: &ScriptedTransport) -> usize {
    transport.requests().iter().filter(|request| !request.url.path().ends_with("capabilities")).count()
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

async fn read(smalt: &Smalt) -> Result<LinkedAccount, Error> {
    smalt.account("acme-1").get().await
}

/// A write that must not be sent twice.
async fn write(smalt: &Smalt) -> Result<Connection, Error> {
    let request = ImportConnection { application: "slack".into(), ..ImportConnection::default() };
    smalt.account("acme-1").import(request).await
}

#[tokio::test]
async fn a_call_is_one_request_below_the_base_with_the_key() {
    let (smalt, transport) = server(vec![ok(&account()), ok(&account())]);
    assert_eq!(smalt.capabilities().backend, "remote");
    assert_eq!(read(&smalt).await.unwrap().id, "acme-1");
    read(&smalt).await.unwrap();
    let requests = transport.requests();
    let paths: Vec<_> = requests.iter().map(|request| format!("{} {}", request.method, request.url)).collect();
    let expected = ["GET /smalt/v1/capabilities", "POST /smalt/v1/get_account", "POST /smalt/v1/get_account"];
    assert_eq!(paths, expected.map(|path| path.replacen(" ", &format!(" {BASE}"), 1)));
    assert_eq!(header(&requests[1], "x-api-key"), Some(KEY));
    assert_eq!(*requests[1].body.0, br#"{"account":"acme-1"}"#);
    assert_ne!(header(&requests[1], "x-request-id"), header(&requests[2], "x-request-id"));
    let known = smalt.capabilities();
    assert_eq!((known.backend.as_str(), known.version.as_str(), known.workflows), ("remote", "9.9.9", true));
}

#[tokio::test]
async fn errors_of_the_engine_come_whole() {
    let body = json!({
        "status_code": 503, "message": "The provider could not renew the token. Try again.", "code": "refresh_failed", "retry": "later",
        "retry_after": 30.0, "context": {"application": "slack"}, "request_id": "r-1", "error": "SERVER_ERROR"
    });
    let (smalt, transport) = server(vec![Ok(ScriptedTransport::json(503, &body))]);
    let error = smalt.account("acme-1").credential("slack").await.unwrap_err();
    let info = error.info();
    assert_eq!((error.code(), info.http_status, info.request_id.as_deref()), (Code::RefreshFailed, Some(503), Some("r-1")));
    assert_eq!((info.retry_after, &*info.context["application"]), (Some(Duration::from_secs(30)), "slack"));
    assert_eq!(error.reason(), "The provider could not renew the token. Try again.");
    assert_eq!(sent(&transport), 1, "the engine has said what helps");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_by_everyone() {
    let (smalt, transport) = server(vec![unreachable(), unreachable(), ok(&account())]);
    assert!(read(&smalt).await.is_ok());
    assert_eq!(sent(&transport), 3);
    // A write, too: nothing left this machine.
    let (smalt, transport) = server(vec![unreachable(), unreachable(), unreachable()]);
    let error = write(&smalt).await.unwrap_err();
    assert!(error.is(Code::ServerUnreachable), "{error:?}");
    assert!(error.info().request_id.is_some());
    assert_eq!(sent(&transport), 3);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    for (script, code) in [
        (broken(), Code::OutcomeUnknown),
        (slow(), Code::OutcomeUnknown),
        (status(502, &[], "<html>bad gateway"), Code::OutcomeUnknown),
        (status(504, &[], ""), Code::OutcomeUnknown),
        (status(503, &[("retry-after", "1")], ""), Code::ServerError),
        (status(429, &[("retry-after", "1")], ""), Code::RateLimited),
        (status(500, &[], "{}"), Code::ServerError),
    ] {
        let (smalt, transport) = server(vec![script]);
        let error = write(&smalt).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        assert_eq!(sent(&transport), 1, "{code:?}");
        if code == Code::RateLimited {
            assert_eq!(error.info().retry_after, Some(Duration::from_secs(1)));
        }
    }
}

#[tokio::test]
async fn reads_are_tried_again_within_their_budgets() {
    // Each sort of trouble has a budget of its own.
    let (smalt, transport) =
        server(vec![unreachable(), broken(), slow(), unreachable(), status(503, &[], ""), status(429, &[], ""), ok(&account())]);
    assert!(read(&smalt).await.is_ok());
    assert_eq!(sent(&transport), 7);
    for (trouble, code) in [
        (broken(), Code::ServerError),
        (slow(), Code::ServerTimeout),
        (status(503, &[], ""), Code::ServerError),
        (status(429, &[], ""), Code::RateLimited),
    ] {
        let (smalt, transport) = server(vec![trouble.clone(), trouble.clone(), trouble]);
        let error = read(&smalt).await.unwrap_err();
        assert_eq!((error.code(), sent(&transport)), (code, 3), "{error:?}");
    }
    // A server that is full has done nothing, and says so in its own words.
    let full = || status(503, &[("retry-after", "0")], r#"{"code":"overloaded","message":"Too many calls.","retry":"later"}"#);
    let (smalt, transport) = server(vec![full(), ok(&account()), full(), full(), full()]);
    assert!(read(&smalt).await.is_ok());
    assert!(read(&smalt).await.unwrap_err().is(Code::Overloaded));
    assert_eq!(sent(&transport), 5);
    let transport = ScriptedTransport::answering(|_| broken());
    let smalt = Smalt::remote(BASE).api_key(KEY).retries(Retries::none()).transport(transport.clone()).open().unwrap();
    assert!(read(&smalt).await.unwrap_err().is(Code::ServerError));
    assert_eq!(transport.requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_for_a_long_wait_is_not_waited_for() {
    let (smalt, transport) = server(vec![status(429, &[("retry-after", "3600")], r#"{"message":"slow down"}"#)]);
    let error = read(&smalt).await.unwrap_err();
    assert_eq!((error.code(), error.info().retry_after), (Code::RateLimited, Some(Duration::from_secs(3600))));
    assert!(error.reason().contains("slow down"));
    assert_eq!(sent(&transport), 1);
}

#[tokio::test]
async fn idempotent_writes_are_tried_again_and_others_are_not() {
    let (smalt, transport) = server(vec![broken(), ok(&json!({"account": account(), "is_new": false}))]);
    assert!(smalt.upsert_account("acme-1", AccountUpdate::default()).await.is_ok());
    assert_eq!(sent(&transport), 2);
    let (smalt, transport) = server(vec![broken(), ok(&config())]);
    let update = ConfigUpdate::default();
    assert!(smalt.account("acme-1").update_config("slack", update.clone()).await.is_ok());
    assert_eq!(sent(&transport), 2);
    // It would meet the version that it made itself.
    let (smalt, transport) = server(vec![broken()]);
    let update = ConfigUpdate { version: Some(3), ..update };
    assert!(smalt.account("acme-1").update_config("slack", update).await.unwrap_err().is(Code::OutcomeUnknown));
    assert_eq!(sent(&transport), 1);
    let (smalt, transport) = server(vec![broken()]);
    assert!(smalt.account("acme-1").request("slack", "POST", "x").await.unwrap_err().is(Code::OutcomeUnknown));
    assert_eq!(sent(&transport), 1);
    let (smalt, transport) = server(vec![broken(), ok(&json!({"status": 200, "headers": [], "body": "e30="}))]);
    assert_eq!(smalt.account("acme-1").request("slack", "GET", "x").await.unwrap().body, b"{}");
    assert_eq!(sent(&transport), 2);
}

#[tokio::test]
async fn what_is_no_answer_says_what_it_is() {
    let json = [("content-type", "application/json")];
    let too_large = Err(err!(AnswerTooLarge, "scripted"));
    for (script, code, text) in [
        (status(200, &[("content-type", "text/html")], "<!doctype html><p>canary"), Code::ServerAnswer, "a page"),
        (status(200, &json, ""), Code::ServerAnswer, "ends too early"),
        (status(200, &json, r#"{"id": "canary"#), Code::ServerAnswer, "ends too early"),
        (status(200, &json, r#"{"id": {"canary": 1}}"#), Code::ServerAnswer, "another form"),
        (status(200, &json, "canary"), Code::ServerAnswer, "no JSON"),
        (status(302, &[("location", "https://login.test/canary?x=canary")], ""), Code::ServerAnswer, "https://login.test"),
        (too_large, Code::ServerAnswerTooLarge, "larger than"),
        (status(404, &json, r#"{"message":"nothing here"}"#), Code::Unsupported, "nothing here"),
        (status(401, &json, r#"{"message":"Invalid Credentials"}"#), Code::InvalidApiKey, "Invalid"),
        (status(403, &json, "{}"), Code::Forbidden, "403"),
    ] {
        let (smalt, transport) = server(vec![script]);
        let error = read(&smalt).await.unwrap_err();
        assert_eq!((error.code(), sent(&transport)), (code, 1), "{error:?}");
        assert!(error.reason().contains(text), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert!(error.info().request_id.is_some() && error.info().context["operation"] == "get_account", "{error:?}");
    }
}

#[tokio::test]
async fn no_error_repeats_the_key() {
    let (smalt, _) = server(vec![status(400, &[], &json!({"message": format!("key {KEY} is odd")}).to_string())]);
    let error = read(&smalt).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn what_the_server_lacks_is_unsupported_by_name() {
    let transport = ScriptedTransport::answering(|_| {
        let mut known = capabilities();
        known["operations"] = json!(["get_account"]);
        Ok(ScriptedTransport::json(200, &known))
    });
    let smalt = Smalt::remote(BASE).api_key(KEY).transport(transport.clone()).open().unwrap();
    let error = smalt.account("a").credential("slack").await.unwrap_err();
    assert!(error.is(Code::Unsupported) && error.reason().contains("credential") && error.reason().contains("smalt.test"), "{error}");
    for operation in Operation::ALL.iter().filter(|operation| operation.embedded_only().is_some()) {
        let caller = Caller::Organisation("o".into());
        let request = match operation {
            Operation::SetProject => json!({"version": 1}),
            _ => json!({}),
        };
        let error = call_json(&**smalt.backend(), &caller, *operation, request).await.unwrap_err();
        assert!(error.is(Code::Unsupported) && error.reason().contains(operation.embedded_only().unwrap()), "{error}");
    }
    assert_eq!(transport.requests().len(), 1, "nothing was asked for in vain");
}

#[tokio::test]
async fn which_api_answers_is_asked_once_for_all() {
    let (smalt, transport) = server((0..16).map(|_| ok(&account())).collect());
    let calls: Vec<_> = (0..16).map(|_| smalt.clone()).map(|smalt| tokio::spawn(async move { read(&smalt).await })).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(transport.requests().len() - sent(&transport), 1);
}

fn token(account: &str, exp: i64, nonce: usize) -> Secret {
    use base64ct::{Base64UrlUnpadded, Encoding};
    let claims = json!({"linked_account_id": account, "exp": exp, "iat": 1, "jti": format!("s{nonce}")}).to_string();
    Secret::new(format!("e30.{}.c2ln", Base64UrlUnpadded::encode_string(claims.as_bytes())))
}

/// A server that takes the tokens that `good` names.
fn guarded_server(good: impl Fn(&str) -> bool + Send + Sync + 'static) -> ScriptedTransport {
    ScriptedTransport::answering(move |request| {
        if request.url.path().ends_with("capabilities") {
            assert!(header(request, "authorization").is_none(), "nobody knows yet whose server it is");
            return Ok(ScriptedTransport::json(200, &capabilities()));
        }
        let bearer = header(request, "authorization").unwrap().strip_prefix("Bearer ").unwrap();
        if good(bearer) {
            ok(&account())
        } else {
            Ok(ScriptedTransport::json(401, &json!({"code": "invalid_token", "message": "Invalid token"})))
        }
    })
}

async fn own(session: &Session) -> Result<Json, Error> {
    let caller = Caller::Session(session.token().clone());
    let request = json!({"account": ""});
    call_json(&**session.backend(), &caller, Operation::Account, request).await
}

#[tokio::test]
async fn a_fixed_token_tells_its_account_and_ends_as_it_ends() {
    let transport = guarded_server(|_| false);
    let fixed = token("acme-1", 4_000_000_000, 1);
    let session = Session::remote(BASE).token(fixed.clone()).transport(transport).open().unwrap();
    assert_eq!((session.account_id(), session.expires_at().seconds()), ("acme-1", 4_000_000_000));
    assert!(own(&session).await.unwrap_err().is(Code::InvalidToken));
    assert!(Session::remote(BASE).open().is_err() && Session::remote(BASE).token("a b").open().is_err());
    assert!(Claims::of(&Secret::new("opaque")).exp.is_none());
}

#[tokio::test]
async fn a_provider_is_asked_once_for_all_who_wait_and_again_when_its_token_has_ended() {
    let (asked, revoked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let ended = revoked.clone();
    // Tokens up to the number in `revoked` are refused.
    let transport = guarded_server(move |bearer| {
        let number: usize = Claims::of(&Secret::new(bearer)).jti.unwrap()[1..].parse().unwrap();
        number > ended.load(Ordering::SeqCst)
    });
    let count = asked.clone();
    let provider = move || {
        let count = count.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Fault>(token("acme-1", 4_000_000_000, count.fetch_add(1, Ordering::SeqCst) + 1))
        }
    };
    let session = Session::remote(BASE).provider(provider).transport(transport).open().unwrap();
    let all = async || {
        let calls: Vec<_> = (0..32).map(|_| session.clone()).map(|session| tokio::spawn(async move { own(&session).await })).collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
    };
    all().await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    revoked.store(1, Ordering::SeqCst);
    all().await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "one token for all whose token was refused");
    // A fresh token that is refused as well ends the call.
    revoked.store(usize::MAX, Ordering::SeqCst);
    assert!(own(&session).await.unwrap_err().is(Code::InvalidToken));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_token_that_ends_soon_is_replaced_before_it_is_sent() {
    let transport = guarded_server(|_| true);
    let now = crate::plugin::Clock::now(&crate::plugin::SystemClock::default()).seconds();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let provider = move || {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        // Seven seconds are enough to count as good when it comes, whatever of this second is over, and too few two seconds later.
        let ends = if number == 1 { now + 7 } else { now + 86_400 };
        async move { Ok::<_, Fault>(token("acme-1", ends, number)) }
    };
    let session = Session::remote(BASE).provider(provider).transport(transport.clone()).open().unwrap();
    own(&session).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    own(&session).await.unwrap();
    own(&session).await.unwrap();
    assert!(transport.requests().len() >= 4);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_provider_that_fails_is_named() {
    let transport = guarded_server(|_| false);
    let open = |fault: fn() -> Result<Secret, Fault>| {
        Session::remote(BASE).provider(move || async move { fault() }).transport(transport.clone()).open().unwrap()
    };
    let failed = own(&open(|| Err(Fault::failed("the backend is away")))).await.unwrap_err();
    assert!(failed.is(Code::PluginFailed) && failed.reason().contains("the backend is away"), "{failed:?}");
    assert_eq!(failed.info().context["plugin"], "session provider");
    assert!(own(&open(|| panic!("on purpose"))).await.unwrap_err().is(Code::PluginPanicked));
    for nonsense in ["", "a\r\nb"] {
        let provider = move || async move { Ok::<_, Fault>(Secret::new(nonsense)) };
        let session = Session::remote(BASE).provider(provider).transport(transport.clone()).open().unwrap();
        assert!(own(&session).await.unwrap_err().is(Code::PluginAnswer));
    }
    // The same token again after it was refused.
    let same = || async { Ok::<_, Fault>(token("acme-1", 4_000_000_000, 1)) };
    let session = Session::remote(BASE).provider(same).transport(transport.clone()).open().unwrap();
    assert!(own(&session).await.unwrap_err().is(Code::PluginAnswer));
}

#[tokio::test]
async fn a_provider_that_calls_its_own_session_is_told_so() {
    let slot: Arc<Mutex<Option<Session>>> = Arc::new(Mutex::new(None));
    let later = slot.clone();
    let provider = move || {
        let session = later.lock().unwrap().clone().unwrap();
        async move { own(&session).await.map(|_| token("acme-1", 4_000_000_000, 1)).map_err(Fault::Smalt) }
    };
    let session = Session::remote(BASE).provider(provider).transport(guarded_server(|_| true)).open().unwrap();
    *slot.lock().unwrap() = Some(session.clone());
    assert!(own(&session).await.unwrap_err().is(Code::Reentrant));
    slot.lock().unwrap().take();
}

#[test]
fn addresses_are_read_once_and_strictly() {
    let open = |url: &str| Smalt::remote(url).api_key(KEY).open().map(drop).map_err(|error| error.code());
    for good in [
        "https://smalt.test",
        "smalt.test/backend/",
        "http://127.0.0.1:4500",
        "http://localhost:1/x",
        "http://[::1]:4500/",
        "https://u.test:8443",
    ] {
        assert_eq!(open(good), Ok(()), "{good}");
    }
    for (bad, code) in [
        ("http://smalt.test", Code::AddressRefused),
        ("http://10.0.0.1:4500", Code::AddressRefused),
        ("ftp://smalt.test", Code::InvalidRequest),
        ("https://u:p@smalt.test", Code::InvalidRequest),
        ("https://smalt.test/?key=1", Code::InvalidRequest),
        ("https://smalt.test/#x", Code::InvalidRequest),
        ("", Code::InvalidRequest),
        ("https://", Code::InvalidRequest),
    ] {
        assert_eq!(open(bad), Err(code), "{bad}");
    }
    assert!(Smalt::remote("http://smalt.internal:4500").plain_http().api_key(KEY).open().is_ok());
    for key in ["", "a b", "a\r\nx: y"] {
        assert!(Smalt::remote(BASE).api_key(key).open().is_err(), "{key:?}");
    }
    assert!(Smalt::remote(BASE).api_key(KEY).certificate_authority("no pem").open().is_err());
}

/// A remote account whose name server answers like this, and how often it was asked.
fn named_by(
    answer: impl Fn() -> crate::http::Looking + Send + Sync + 'static,
    connect_timeout: Duration,
    change: impl FnOnce(super::RemoteSmalt) -> super::RemoteSmalt,
) -> (crate::Account, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let lookup: crate::http::Lookup = Arc::new(move |name| {
        assert_eq!(name, "smalt.test");
        counted.fetch_add(1, Ordering::SeqCst);
        answer()
    });
    let options = ServerOptions { connect_timeout: Some(connect_timeout), no_proxy: true, ..ServerOptions::default() };
    let transport = ServerTransport::with_lookup(&options, Some(lookup)).unwrap();
    let smalt = change(Smalt::remote(BASE).api_key(KEY).retries(fast())).transport(transport).open().unwrap();
    (smalt.account("acme-1"), asked)
}

/// Nothing was sent, so a write may be tried again as a read is; and the call's code is that of a server that cannot be reached, never that nobody knows how a
/// write ended.
async fn is_unreachable(account: &crate::Account, asked: &AtomicUsize) -> Vec<Error> {
    let mut errors = Vec::new();
    // The first verb asks what the server is; it never learns that, so each asks anew.
    for tries in [3, 6] {
        let error = match tries {
            3 => account.get().await.map(drop),
            _ => account.import(ImportConnection { application: "slack".into(), ..ImportConnection::default() }).await.map(drop),
        }
        .unwrap_err();
        assert!(error.is(Code::ServerUnreachable), "{error:?}");
        assert_eq!(error.info().context.get("server").map(String::as_str), Some("smalt.test"), "{error:?}");
        assert_eq!(asked.load(Ordering::SeqCst), tries, "the call and two more");
        errors.push(error);
    }
    errors
}

/// A name server that never answers: each try has its time.
#[tokio::test]
async fn r30_a_silent_name_server_ends_in_time() {
    let silent = || -> crate::http::Looking { Box::pin(std::future::pending()) };
    let (account, asked) = named_by(silent, Duration::from_millis(200), |remote| remote);
    is_unreachable(&account, &asked).await;
    // A connect that has more time than the try: the try's end is what counts.
    let once = |remote: super::RemoteSmalt| remote.retries(Retries { read: 0, ..fast() }).attempt_timeout(Duration::from_millis(300));
    let (account, _) = named_by(silent, Duration::from_secs(3600), once);
    let error = account.get().await.unwrap_err();
    assert!(error.is(Code::ServerTimeout), "{error:?}");
}

/// A name server that answers that it failed (`SERVFAIL`): a resolver tells it as a failure that may pass, not as "no such name".
#[tokio::test]
async fn r30_a_failing_name_server_is_a_server_that_cannot_be_reached() {
    // What `getaddrinfo` makes of it: EAI_AGAIN.
    let failing = || -> crate::http::Looking {
        Box::pin(async { Err(std::io::Error::other("failed to lookup address information: Temporary failure in name resolution")) })
    };
    let (account, asked) = named_by(failing, Duration::from_secs(10), |remote| remote);
    for error in is_unreachable(&account, &asked).await {
        assert!(error.to_string().contains("could not be resolved"), "{error}");
    }
}
