//! One device flow, several processes: it is asked for by one of them, never sooner than the interval.
#![allow(clippy::unwrap_used)]

use std::{future::IntoFuture, time::Duration};

use serde_json::json;
use smalt::{
    Code, Result, Smalt,
    backend::{ListEvents, StartConnect},
    engine::Timings,
    manifest::AppManifest,
    model::FlowStatus,
    plugin::{Fault, PresentRequest, Presenter},
    present::ScriptedConsent,
    project::Project,
    sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox, SandboxOptions, visit, visit_device},
    vault::LocalKey,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc::UnboundedReceiver};

struct Stage {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    key: smalt::Secret,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret.txt"), CLIENT_SECRET).unwrap();
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        Self { folder, sandbox, key: LocalKey::generate().unwrap().text() }
    }

    /// Another process, as far as the store can tell.
    /// Looks often, so that all of them see the flow due at once.
    async fn open(&self) -> Smalt {
        self.open_with(Timings { poll: Duration::from_millis(10), ahead: None, ..Timings::default() }).await
    }

    async fn open_with(&self, timings: Timings) -> Smalt {
        let at = |path: &str| format!("{}{path}", self.sandbox.origin());
        let manifest: AppManifest = serde_json::from_value(json!({
            "manifest": 1, "slug": "telly", "name": "Telly", "description": "On a device.", "api": {"base_url": at("/api/")},
            "oauth2": {
                "authorize_url": at("/authorize"), "token_url": at("/token"), "device": {"url": at("/device")},
                "scopes": {"default": ["profile", "items.read"]}, "identity": {"url": at("/userinfo"), "id": "/sub"},
            },
        }))
        .unwrap();
        let secret = self.folder.path().join("secret.txt");
        let project: Project = serde_json::from_value(json!({
            "version": 1, "network": {"allow": [self.sandbox.address().to_string()]},
            "org": {"public_url": "https://app.example"},
            "apps": {"telly": {"client": {"test": {"id": CLIENT_ID, "secret": {"file": secret}}}}},
        }))
        .unwrap();
        Smalt::embedded(self.folder.path().join("smalt.db"))
            .keys(LocalKey::parse(&self.key).unwrap())
            .manifest(manifest)
            .project_value(project)
            .timings(timings)
            .open()
            .await
            .unwrap()
    }
}

fn on_a_device() -> StartConnect {
    StartConnect { device: true, ..StartConnect::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_ask_for_one_flow_as_one() {
    let stage = Stage::new().await;
    let control = stage.sandbox.control();
    control.apply_json(json!({"do": "set_device", "ways": {"interval": 1}})).unwrap();
    let engines = [stage.open().await, stage.open().await, stage.open().await];
    let account = engines[0].account("a");
    account.ensure().await.unwrap();
    let mut flows = Vec::new();
    for _ in 0..4 {
        flows.push(account.start_connect("telly", on_a_device()).await.unwrap());
    }
    // Each is asked for at least three times before its user decides.
    while control.stats().device_polls < 12 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for started in &flows {
        let prompt = started.device.as_ref().unwrap();
        visit_device(&prompt.verification_uri, &prompt.user_code, "ada", true).await.unwrap();
    }
    for (at, started) in flows.iter().enumerate() {
        // Whoever watches is told, whichever process asked.
        let watching = engines[at % engines.len()].account("a");
        let ended = watching.flow(started.flow_id.as_str()).wait(Some(Duration::from_secs(60))).await.unwrap();
        assert_eq!(ended.status, FlowStatus::Connected, "{:?}", ended.error);
    }
    let stats = control.stats();
    assert_eq!((stats.device_polls_early, stats.device_tokens), (0, 4), "{stats:?}");
    // What was connected is good in every process.
    for engine in &engines {
        assert_eq!(engine.account("a").request("telly", "GET", "items").await.unwrap().status, 200);
    }
}

/// Shows a code as a window does: until it is closed. `shown` gets what it shows.
struct Window(tokio::sync::mpsc::UnboundedSender<PresentRequest>);

#[async_trait::async_trait]
impl Presenter for Window {
    fn name(&self) -> &'static str {
        "window"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        self.0.send(request).map_err(|_| Fault::failed("nobody looks"))?;
        std::future::pending().await
    }
}

/// The flow ends the window, not the other way round; and the caller's time ends both.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_shown_until_its_flow_ends() {
    let stage = Stage::new().await;
    stage.sandbox.control().apply_json(json!({"do": "set_device", "ways": {"interval": 1}})).unwrap();
    let smalt = stage.open().await;
    let account = smalt.account("a");
    account.ensure().await.unwrap();
    for decision in [Some(true), Some(false), None] {
        let (show, mut shown) = tokio::sync::mpsc::unbounded_channel();
        let connect = account.connect("telly").device().present(Window(show));
        let connect = if decision.is_none() { connect.timeout(Duration::from_secs(3)) } else { connect };
        let connect = tokio::spawn(connect.into_future());
        let prompt = shown.recv().await.unwrap().device.unwrap();
        if let Some(allow) = decision {
            visit_device(&prompt.verification_uri, &prompt.user_code, "ada", allow).await.unwrap();
        }
        let ended = connect.await.unwrap();
        match decision {
            Some(true) => assert_eq!(ended.unwrap().application, "telly"),
            Some(false) => assert_eq!(ended.unwrap_err().code(), Code::UserDenied),
            None => {
                assert_eq!(ended.unwrap_err().code(), Code::ConnectTimeout);
                let events = smalt.events_page(ListEvents::default()).await.unwrap().items;
                assert!(events.iter().any(|event| event.event_type.as_str() == "flow.cancelled"), "nobody can finish it any more");
            }
        }
        is_gone(shown).await;
    }
}

/// The window is gone.
async fn is_gone(mut shown: UnboundedReceiver<PresentRequest>) {
    let last = tokio::time::timeout(Duration::from_secs(60), shown.recv()).await;
    assert!(last.expect("the window stays").is_none());
}

/// Where the callback comes to this process, it is caught while the page still stands open.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_shown_until_its_callback_has_come() {
    let stage = Stage::new().await;
    let smalt = stage.open().await;
    let account = smalt.account("a");
    account.ensure().await.unwrap();
    let (show, mut shown) = tokio::sync::mpsc::unbounded_channel();
    let connect = tokio::spawn(account.connect("telly").present(Window(show)).into_future());
    let page = shown.recv().await.unwrap();
    let callback = visit(&format!("{}&sandbox_user=ada&sandbox_decision=allow", page.authorize_url)).await.unwrap();
    let callback = url::Url::parse(&callback).unwrap();
    let mut browser = TcpStream::connect((callback.host_str().unwrap(), callback.port().unwrap())).await.unwrap();
    let target = &callback[url::Position::BeforePath..];
    browser.write_all(format!("GET {target} HTTP/1.1\r\nhost: {}\r\n\r\n", callback.authority()).as_bytes()).await.unwrap();
    assert_eq!(connect.await.unwrap().unwrap().application, "telly");
    is_gone(shown).await;
}

/// The user's time ends with the flow's, by its own code; what they came back with in time is exchanged to the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_with_its_flow_but_no_exchange_does() {
    let stage = Stage::new().await;
    let smalt = stage.open_with(Timings { flow_lifetime: Duration::from_secs(3), ahead: None, ..Timings::default() }).await;
    let account = smalt.account("a");
    account.ensure().await.unwrap();
    let (show, mut shown) = tokio::sync::mpsc::unbounded_channel();
    let error = account.connect("telly").present(Window(show)).await.unwrap_err();
    assert_eq!(error.code(), Code::FlowExpired, "{error}");
    shown.recv().await.unwrap();
    is_gone(shown).await;
    let slow = json!({"do": "misbehave", "at": "token", "with": {"kind": "delay", "millis": 6000, "after_work": true}, "times": 1});
    stage.sandbox.control().apply_json(slow).unwrap();
    let connection = account.connect("telly").present(ScriptedConsent::allow("ada")).await.unwrap();
    assert_eq!(connection.application, "telly");
}

/// No browser is sent anywhere by a device flow, so there is nothing to hand off; the provider is not even asked.
#[tokio::test]
async fn a_device_flow_is_not_handed_off() {
    let stage = Stage::new().await;
    let smalt = stage.open().await;
    let account = smalt.account("a");
    account.ensure().await.unwrap();
    let refused = account.hand_off_connect("telly", on_a_device()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidRequest, "{refused}");
    assert!(refused.reason().contains("start_connect"), "{refused}");
    assert_eq!(stage.sandbox.control().stats().device_starts, 0);
    // Without `device` the same application is.
    let handoff = account.hand_off_connect("telly", StartConnect::default()).await.unwrap();
    assert_eq!(account.flow(handoff.flow_id).status().await.unwrap().status, FlowStatus::Pending);
}
