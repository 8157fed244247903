//! What may go wrong between client and server, and how often a request is sent then.

use std::time::Duration;

use serde_json::json;
use smalt::{
    Code, Error, Smalt,
    backend::{Caller, GetCredential, ImportConnection},
    model::{Json, LinkedAccount},
    remote::Retries,
};
use smalt_tests::child::{Role, report, role};

use crate::server::{Fault, FaultServer, bomb};

/// Long enough for a busy machine, short enough to be waited for.
const TRY: Duration = Duration::from_secs(3);

fn account() -> Json {
    json!({
        "id": "acme-1", "record_id": "r", "environment": "test", "name": null, "properties": {},
        "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z"
    })
}

fn good() -> Fault {
    Fault::Good(account())
}

fn client(server: &FaultServer) -> Smalt {
    let retries = Retries { wait: Duration::from_millis(1), ..Retries::default() };
    Smalt::remote(&server.url).api_key("tk-canary").no_proxy().retries(retries).attempt_timeout(TRY).open().unwrap()
}

async fn read(smalt: &Smalt) -> Result<LinkedAccount, Error> {
    smalt.account("acme-1").get().await
}

async fn write(smalt: &Smalt) -> Error {
    let request = ImportConnection { application: "slack".into(), ..ImportConnection::default() };
    smalt.account("acme-1").import(request).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_survive_what_passes() {
    for trouble in [
        Fault::Reset,
        Fault::HalfBody,
        Fault::Silence,
        Fault::Status(503, None, "<html>"),
        Fault::Status(503, Some(0), "{}"),
        Fault::Status(429, Some(1), "{}"),
        Fault::Status(502, None, ""),
        Fault::Status(504, None, ""),
    ] {
        let server = FaultServer::start([trouble.clone(), good()]);
        assert_eq!(read(&client(&server)).await.unwrap().id, "acme-1", "{trouble:?}");
        assert_eq!(server.seen().len(), 2, "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_end_with_what_does_not_pass() {
    for (trouble, code) in [
        (Fault::Reset, Code::ServerError),
        (Fault::HalfBody, Code::ServerError),
        (Fault::Status(503, None, "<html>"), Code::ServerError),
        (Fault::Status(429, Some(0), "{}"), Code::RateLimited),
        (Fault::Status(504, None, ""), Code::ServerTimeout),
    ] {
        let server = FaultServer::start(vec![trouble.clone(); 9]);
        let error = read(&client(&server)).await.unwrap_err();
        assert_eq!(error.code(), code, "{trouble:?} {error:?}");
        assert_eq!(server.seen().len(), 3, "{trouble:?}: the call and two more");
        assert!(error.info().request_id.is_some(), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_none_are_not_asked_for_again() {
    for (trouble, code) in
        [(Fault::HalfJson, Code::ServerAnswer), (Fault::Page, Code::ServerAnswer), (Fault::Endless, Code::ServerAnswerTooLarge)]
    {
        let server = FaultServer::start([trouble.clone()]);
        let error = read(&client(&server)).await.unwrap_err();
        assert_eq!((error.code(), server.seen().len()), (code, 1), "{trouble:?} {error:?}");
        assert!(!format!("{error} {error:?}").contains("tk-canary"));
        // What the system's buffers take comes on top of the limit of 16 MiB.
        assert!(server.endless() < 64 * 1024 * 1024, "{} bytes were taken", server.endless());
    }
}

/// It asks for packed answers and reads them; what is packed wrongly, or stands for more than the limit, is no answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_answers_are_read_within_the_limits() {
    let server = FaultServer::start([Fault::Packed(account())]);
    assert_eq!(read(&client(&server)).await.unwrap().id, "acme-1");
    assert!(server.seen()[0].head.contains("accept-encoding: gzip\r\n"), "{}", server.seen()[0].head);
    // What stands for more than the limit is not asked for again; what broke is, as half a body is.
    let server = FaultServer::start([bomb(), good()]);
    let error = read(&client(&server)).await.unwrap_err();
    assert_eq!((error.code(), server.seen().len()), (Code::ServerAnswerTooLarge, 1), "{error:?}");
    for how in ["cut", "changed", "not at all"] {
        let server = FaultServer::start(vec![Fault::BadlyPacked(how); 9]);
        let error = read(&client(&server)).await.unwrap_err();
        assert_eq!((error.code(), server.seen().len()), (Code::ServerAnswer, 3), "{how}: {error:?}");
        let server = FaultServer::start([Fault::BadlyPacked(how), good()]);
        assert_eq!(read(&client(&server)).await.unwrap().id, "acme-1", "{how}");
        let server = FaultServer::start([Fault::BadlyPacked(how), good()]);
        let error = write(&client(&server)).await;
        assert_eq!((error.code(), server.seen().len()), (Code::OutcomeUnknown, 1), "{how}: {error:?}");
    }
}

/// Nothing that may have been done is sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_sent_once() {
    for (trouble, code) in [
        (Fault::Reset, Code::OutcomeUnknown),
        (Fault::HalfBody, Code::OutcomeUnknown),
        (Fault::Silence, Code::OutcomeUnknown),
        (Fault::Status(502, None, "<html>"), Code::OutcomeUnknown),
        (Fault::Status(504, Some(0), ""), Code::OutcomeUnknown),
        (Fault::Status(503, Some(0), ""), Code::ServerError),
        (Fault::Status(429, Some(0), "{}"), Code::RateLimited),
        (Fault::Page, Code::ServerAnswer),
        (Fault::HalfJson, Code::ServerAnswer),
    ] {
        let server = FaultServer::start([trouble.clone()]);
        let error = write(&client(&server)).await;
        assert_eq!(error.code(), code, "{trouble:?} {error:?}");
        assert_eq!(server.seen().len(), 1, "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_said_to_be() {
    // Bound, so that nobody else is given the port, and nobody listens.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = closed.local_addr().unwrap();
    let retries = Retries { wait: Duration::from_millis(1), ..Retries::default() };
    let smalt = Smalt::remote(format!("http://{address}")).api_key("tk").no_proxy().retries(retries).open().unwrap();
    let error = write(&smalt).await;
    assert!(error.is(Code::ServerUnreachable), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_sends_nothing_more() {
    let server = FaultServer::start([Fault::Silence, good()]);
    let smalt = client(&server);
    // Never polled: nothing is sent.
    drop(smalt.account("acme-1").get());
    assert!(server.seen().is_empty());
    let call = tokio::spawn({
        let smalt = smalt.clone();
        async move { read(&smalt).await }
    });
    while server.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(read(&smalt).await.unwrap().id, "acme-1");
    assert_eq!(server.seen().len(), 2, "the aborted call was not sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_has_its_time_and_no_more() {
    let server = FaultServer::start([Fault::Silence, Fault::Silence, Fault::Silence]);
    let smalt = Smalt::remote(&server.url).api_key("tk").no_proxy().timeout(Duration::from_secs(1)).open().unwrap();
    assert!(read(&smalt).await.unwrap_err().is(Code::ServerTimeout));
    // One try had all the time that there was.
    assert_eq!(server.seen().len(), 1);
    let caller = Caller::Organisation("organisation".into());
    let request = GetCredential { account: "a".into(), application: "slack".into(), connection: None };
    let error = smalt.backend().credential(&caller, request).await.unwrap_err();
    assert!(error.is(Code::OutcomeUnknown), "it may have been renewed: {error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_kept() {
    let server = FaultServer::start((0..20).map(|_| good()));
    let smalt = client(&server);
    for _ in 0..20 {
        read(&smalt).await.unwrap();
    }
    assert_eq!(server.seen().len(), 20);
    assert!(server.seen().iter().all(|seen| seen.head.contains("x-request-id: ") && seen.head.contains("user-agent: smalt/")));
}

/// The environment's proxy is used, and `no_proxy` leaves it unused. In a process of its own, since the environment is the process's.
#[test]
fn the_proxy_of_the_environment_is_used() {
    let proxy = FaultServer::start([good()]);
    let mut child = Role::start("faults::plays_behind_a_proxy", "proxied", &[("HTTP_PROXY", &proxy.url), ("http_proxy", &proxy.url)]);
    assert_eq!(child.line().as_deref(), Some("acme-1"));
    assert_eq!(child.line().as_deref(), Some("server_unreachable"));
    assert!(child.end());
    assert_eq!(proxy.seen()[0].path, "http://smalt.invalid/backend/smalt/v1/get_account");
}

#[test]
fn plays_behind_a_proxy() {
    if role().as_deref() != Some("proxied") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let open = || Smalt::remote("http://smalt.invalid/backend").plain_http().api_key("tk").retries(Retries::none());
        report(&read(&open().open().unwrap()).await.map_or_else(|error| format!("{error:?}"), |account| account.id));
        report(read(&open().no_proxy().open().unwrap()).await.unwrap_err().code().as_str());
    });
}
