//! What a provider's refusal means: the end of a grant, or trouble that passes.

use std::time::Duration;

use serde_json::json;
use smalt::{
    Code, Secret, Smalt,
    backend::ImportConnection,
    engine::Timings,
    model::ConnectionStatus,
    plugin::{HttpRequest, HttpResponse, HttpTransport},
    sandbox::{BodyKind, Endpoint, Misbehaviour},
};
use smalt_tests::size;

use crate::stage::{HOUR, SANDBOX, Stage, connect_sandbox, sandbox, timings, until};

fn error(error: &str, status: u16) -> Misbehaviour {
    Misbehaviour::Error { error: error.to_owned(), status, description: None }
}

fn status(status: u16, body: BodyKind) -> Misbehaviour {
    Misbehaviour::Status { status, body, retry_after: None, after_work: false }
}

/// Final answers end the connection, with one call; passing ones do not, with one call a cool-down.
#[tokio::test(flavor = "multi_thread")]
async fn r25_only_final_errors_end_a_connection() {
    let finals = || [error("invalid_grant", 400), error("invalid_grant", 200), error("invalid_grant", 401)];
    let passing = || {
        [
            status(429, BodyKind::Empty),
            status(500, BodyKind::Html),
            status(502, BodyKind::Empty),
            status(503, BodyKind::BadJson),
            status(504, BodyKind::Empty),
            status(200, BodyKind::Html),
            status(200, BodyKind::BadJson),
            status(200, BodyKind::Truncated),
            status(200, BodyKind::Empty),
            status(404, BodyKind::Html),
            error("invalid_client", 401),
            error("invalid_client", 400),
            error("unauthorized_client", 400),
            error("temporarily_unavailable", 400),
            error("invalid_request", 400),
            error("invalid_grant", 503),
            Misbehaviour::Hang { after_work: false },
            Misbehaviour::Drop { after_work: false },
        ]
    };
    let (sandbox, control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let wait = Duration::from_secs(20);
    let timings = Timings { cooldown: wait, ..timings() };
    let smalt = stage.open_with(timings).await;
    let mut ended = 0;
    for n in 0..size(20, 200) {
        let name = format!("customer-{n}");
        connect_sandbox(&smalt, &name).await;
        let account = smalt.account(&name);
        let faults = passing();
        let fault = faults[n % faults.len()].clone();
        stage.clock.shift(HOUR);
        control.misbehave(Endpoint::Refresh, None, fault.clone());
        let before = control.stats().answers.iter().filter(|(what, _)| what.starts_with("refresh ")).map(|(_, n)| n).sum::<u64>();
        let code = account.credential(SANDBOX).await.unwrap_err().code();
        assert!([Code::RefreshFailed, Code::ClientRejected].contains(&code), "{fault:?}: {code:?}");
        for _ in 0..5 {
            account.credential(SANDBOX).await.unwrap_err();
        }
        control.clear(None);
        let hung = fault == Misbehaviour::Hang { after_work: false };
        until("one call a cool-down", async || {
            let after = control.stats().answers.iter().filter(|(what, _)| what.starts_with("refresh ")).map(|(_, n)| n).sum::<u64>();
            assert!(after - before <= 1 || hung, "{fault:?}");
            after - before == 1 || hung
        })
        .await;
        let connection = &account.connections(Some(SANDBOX)).await.unwrap()[0];
        ended += usize::from(connection.status != ConnectionStatus::Active);
        assert!(connection.last_error.is_some());
        // It passes.
        stage.clock.shift(i64::try_from(wait.as_millis()).unwrap());
        account.credential(SANDBOX).await.unwrap();
        smalt.delete_account(&name).await.unwrap();
    }
    assert_eq!(ended, 0, "wrongly ended");

    for n in 0..size(9, 90) {
        let name = format!("dead-{n}");
        connect_sandbox(&smalt, &name).await;
        let account = smalt.account(&name);
        let faults = finals();
        let fault = faults[n % faults.len()].clone();
        stage.clock.shift(HOUR);
        control.misbehave(Endpoint::Refresh, None, fault.clone());
        control.reset_stats();
        for _ in 0..10 {
            assert_eq!(account.credential(SANDBOX).await.unwrap_err().code(), Code::ReauthRequired, "{fault:?}");
            stage.clock.shift(i64::try_from(wait.as_millis()).unwrap());
        }
        let asked: u64 = control.stats().answers.iter().filter(|(what, _)| what.starts_with("refresh ")).map(|(_, n)| n).sum();
        assert_eq!(asked, 1, "{fault:?}: a dead grant is not asked for again");
        control.clear(None);
        assert_eq!(account.connections(Some(SANDBOX)).await.unwrap()[0].status, ConnectionStatus::Expired);
        // Authorised again, it is the same connection.
        let connection = connect_sandbox(&smalt, &name).await;
        assert_eq!(connection.status, ConnectionStatus::Active);
        smalt.delete_account(&name).await.unwrap();
    }
}

/// Panics once, then answers.
struct Faulty(std::sync::atomic::AtomicU32);

#[async_trait::async_trait]
impl HttpTransport for Faulty {
    async fn send(&self, _request: HttpRequest) -> smalt::Result<HttpResponse> {
        assert!(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0, "broken on purpose");
        let body = json!({"access_token": "a", "token_type": "Bearer", "expires_in": 3600}).to_string().into_bytes();
        Ok(HttpResponse { status: 200, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body })
    }
}

/// A refresh that panics ends for its callers, and does not stand in the way of later ones.
#[tokio::test(flavor = "multi_thread")]
async fn r23_a_panic_holds_up_nobody_for_ever() {
    let (sandbox, _control) = sandbox().await;
    let mut project = smalt::project::Project::default();
    project.sandbox.enabled = true;
    project.sandbox.url = Some(sandbox.origin());
    let smalt = Smalt::in_memory()
        .keys(smalt::vault::LocalKey::generate().unwrap())
        .project_value(project)
        .transport(Faulty(0.into()))
        .timings(Timings { provider: Duration::from_millis(300), lease: Duration::from_millis(600), ..timings() })
        .open()
        .await
        .unwrap();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    let values = [("refresh_token".to_owned(), Secret::new("r"))].into();
    let import = ImportConnection { application: SANDBOX.to_owned(), values, ..ImportConnection::default() };
    account.import(import).await.unwrap();
    assert_eq!(account.credential(SANDBOX).await.unwrap_err().code(), Code::Internal);
    // The token may have gone out: it is not presented again.
    assert_eq!(account.credential(SANDBOX).await.unwrap_err().code(), Code::ReauthRequired);
}

/// A lease that is shorter than a provider's time shortens that time, rather than keeping everybody waiting for ever.
#[tokio::test(flavor = "multi_thread")]
async fn r21_a_call_fits_into_its_lease() {
    let (sandbox, _control) = sandbox().await;
    let stage = Stage::sandbox(&sandbox);
    let short = Timings { provider: Duration::from_secs(10), lease: Duration::from_secs(4), ..timings() };
    let smalt = stage.open_with(short).await;
    connect_sandbox(&smalt, "customer-42").await;
    stage.clock.shift(HOUR);
    let account = smalt.account("customer-42");
    tokio::time::timeout(Duration::from_secs(60), account.credential(SANDBOX)).await.unwrap().unwrap();
}
