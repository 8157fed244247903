//! Webhooks where time, several engines and lost answers matter; what they send is in the conformance cases.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use smalt::{
    Result, Secret, Smalt, Timestamp,
    backend::{ListDeliveries, WebhookSettings},
    engine::Timings,
    http::ScriptedTransport,
    manifest::AppManifest,
    model::{Delivery, DeliveryStatus, Json, Webhook, WebhookEvent},
    plugin::{FixedClock, HttpRequest, HttpResponse, HttpTransport},
    project::Project,
    vault::LocalKey,
    webhook,
};

/// An application that takes any key and asks nobody.
fn keys() -> AppManifest {
    serde_json::from_value(json!({
        "manifest": 1,
        "slug": "keys",
        "name": "Keys",
        "description": "Keys",
        "categories": [],
        "api": {"base_url": "https://api.keys.example"},
        "keybased": {
            "inputs": [{"name": "key", "label": "Key", "secret": true}],
            "placement": {"in": "header", "name": "x-api-key", "value": "{key}"}
        }
    }))
    .unwrap()
}

fn project() -> Project {
    serde_json::from_value(json!({"version": 1, "org": {"id": "acme"}, "apps": {"keys": {}}})).unwrap()
}

fn timings() -> Timings {
    Timings {
        poll: Duration::from_millis(5),
        webhook_backoff: Duration::from_millis(10),
        lease: Duration::from_millis(400),
        ahead: None,
        ..Timings::default()
    }
}

fn settings() -> WebhookSettings {
    WebhookSettings {
        url: Some("https://hooks.example/smalt".into()),
        events: Some(vec![WebhookEvent::ConnectionCreated, WebhookEvent::ConnectionDeleted]),
        ..WebhookSettings::default()
    }
}

async fn connect(smalt: &Smalt, account: &str) {
    let account = smalt.account(account);
    account.ensure().await.unwrap();
    account.connect("keys").input("key", "any").await.unwrap();
}

async fn deliveries(smalt: &Smalt, webhook: &Webhook) -> Vec<Delivery> {
    let request = ListDeliveries { webhook: webhook.id.clone(), limit: Some(500), ..ListDeliveries::default() };
    smalt.deliveries(request).await.unwrap().items
}

/// Looks until it holds; a test that waits for ever is ended by whoever runs it.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Answers every delivery with a status that the test sets.
fn answering(status: &Arc<AtomicU16>, retry_after: Option<&'static str>) -> ScriptedTransport {
    let status = status.clone();
    ScriptedTransport::answering(move |request| {
        let mut answer = ScriptedTransport::json(status.load(Ordering::SeqCst), &json!({}));
        if request.url.host_str() != Some("hooks.example") {
            answer.status = 200;
        }
        answer.headers.extend(retry_after.map(|wait| ("retry-after".to_owned(), wait.to_owned())));
        Ok(answer)
    })
}

async fn with_clock(status: &Arc<AtomicU16>, retry_after: Option<&'static str>, timings: Timings) -> (Smalt, FixedClock) {
    let clock = FixedClock::at("2026-01-31T08:00:00.000Z".parse().unwrap());
    let builder = Smalt::in_memory().keys(LocalKey::generate().unwrap()).project_value(project()).manifest(keys());
    let builder = builder.clock(clock.clone()).transport(answering(status, retry_after)).timings(timings).deliver_webhooks();
    (builder.open().await.unwrap(), clock)
}

async fn attempts(smalt: &Smalt, webhook: &Webhook, wanted: u64) -> Delivery {
    until(async || deliveries(smalt, webhook).await.pop().filter(|delivery| delivery.attempts >= wanted)).await
}

#[tokio::test]
async fn a_webhook_to_which_every_try_of_three_days_failed_is_disabled() {
    let status = Arc::new(AtomicU16::new(500));
    let (smalt, clock) =
        with_clock(&status, None, Timings { webhook_attempts: 1000, webhook_backoff: Duration::from_secs(5), ..timings() }).await;
    let webhook = smalt.create_webhook(settings()).await.unwrap().webhook;
    connect(&smalt, "a").await;
    attempts(&smalt, &webhook, 1).await;
    // Nothing is sent for four days: that is no failure of the receiver.
    clock.advance_millis(4 * 86_400_000);
    attempts(&smalt, &webhook, 2).await;
    let read = async || smalt.webhooks().await.unwrap().remove(0);
    let since = until(async || read().await.failing_since).await;
    assert!(read().await.enabled);
    let mut tries = 2;
    while read().await.enabled {
        // The longest wait, and the most that it is spread by.
        clock.advance_millis(6 * 3_600_000 * 9 / 8 + 1000);
        tries += 1;
        until(async || {
            let webhook = read().await;
            let sent = deliveries(&smalt, &webhook).await.remove(0);
            (!webhook.enabled || (sent.attempts >= tries && sent.next_at.is_some_and(|at| at > smalt_now(&clock)))).then_some(())
        })
        .await;
        assert!(tries < 20, "it goes on being tried for ever");
    }
    let disabled = read().await;
    assert_eq!(disabled.disabled_because.as_deref(), Some("failing"));
    assert!(smalt_now(&clock).since(since) >= Duration::from_secs(3 * 86_400) && tries >= 11, "after {tries} tries");
    let ended = deliveries(&smalt, &webhook).await.remove(0);
    assert_eq!((ended.status, ended.error.as_deref()), (DeliveryStatus::Failed, Some("webhook_disabled")));
    let log = smalt.events_page(Default::default()).await.unwrap().items;
    let told = log.iter().find(|event| event.event_type.as_str() == "webhook.disabled").unwrap();
    assert_eq!(told.data, json!({"webhook": webhook.id, "because": "failing", "unsent": 1}));
    let sent = ended.attempts;
    connect(&smalt, "b").await;
    clock.advance_millis(86_400_000);
    // Enabled again, it is told what happens from then on.
    status.store(204, Ordering::SeqCst);
    smalt.update_webhook(&webhook.id, WebhookSettings { enabled: Some(true), ..WebhookSettings::default() }).await.unwrap();
    connect(&smalt, "c").await;
    let all =
        until(async || Some(deliveries(&smalt, &webhook).await).filter(|all| all.len() == 2 && all[0].status == DeliveryStatus::Delivered))
            .await;
    assert_eq!((all[0].payload["linked_account_id"].clone(), all[1].attempts), (json!("c"), sent));
    assert_eq!(read().await.failing_since, None);
}

fn smalt_now(clock: &FixedClock) -> Timestamp {
    smalt::plugin::Clock::now(clock)
}

#[tokio::test]
async fn a_receiver_says_how_long_to_wait() {
    let status = Arc::new(AtomicU16::new(503));
    let (smalt, clock) = with_clock(&status, Some("120"), timings()).await;
    let webhook = smalt.create_webhook(settings()).await.unwrap().webhook;
    connect(&smalt, "a").await;
    let waiting = until(async || deliveries(&smalt, &webhook).await.pop().filter(|one| one.http_status == Some(503))).await;
    assert_eq!(waiting.next_at.unwrap().since(smalt_now(&clock)), Duration::from_secs(120));
    // Any other answer says nothing of that kind: the first wait, spread by an eighth.
    status.store(500, Ordering::SeqCst);
    clock.advance_millis(120_000);
    let waiting = until(async || deliveries(&smalt, &webhook).await.pop().filter(|one| one.http_status == Some(500))).await;
    let wait = waiting.next_at.unwrap().since(smalt_now(&clock));
    assert!((Duration::from_millis(20)..=Duration::from_millis(23)).contains(&wait), "{wait:?}");
}

fn on_file(path: &std::path::Path, key: &Secret, transport: impl HttpTransport) -> smalt::SmaltBuilder {
    let builder = Smalt::embedded(path).keys(LocalKey::parse(key).unwrap()).project_value(project()).manifest(keys());
    builder.transport(transport).timings(timings()).deliver_webhooks()
}

fn id_of(request: &HttpRequest) -> Option<String> {
    request.headers.iter().find(|(name, _)| name == webhook::ID).map(|(_, value)| value.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_engines_on_one_store_send_each_delivery_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("smalt.db"), LocalKey::generate().unwrap().text());
    let transport = answering(&Arc::new(AtomicU16::new(200)), None);
    let engines = [
        on_file(&path, &key, transport.clone()).timings(Timings { lease: Duration::from_secs(60), ..timings() }).open().await.unwrap(),
        on_file(&path, &key, transport.clone()).timings(Timings { lease: Duration::from_secs(60), ..timings() }).open().await.unwrap(),
    ];
    let made = [engines[0].create_webhook(settings()).await.unwrap(), engines[1].create_webhook(settings()).await.unwrap()];
    for n in 0..20 {
        connect(&engines[n % 2], &format!("account-{n}")).await;
    }
    for made in &made {
        until(async || {
            let all = deliveries(&engines[0], &made.webhook).await;
            (all.len() == 20 && all.iter().all(|one| one.status == DeliveryStatus::Delivered && one.attempts == 1)).then_some(())
        })
        .await;
    }
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for request in transport.requests() {
        if let Some(id) = id_of(&request) {
            let headers: Vec<(String, String)> = request.headers.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
            let secrets: Vec<Secret> = made.iter().map(|made| made.secret.clone()).collect();
            let now = smalt::plugin::Clock::now(&smalt::plugin::SystemClock::default());
            assert_eq!(webhook::verify(&headers, &request.body.0, &secrets, now, webhook::TOLERANCE).unwrap().id, id);
            *sent.entry(id).or_default() += 1;
        }
    }
    assert_eq!((sent.len(), sent.values().sum::<usize>()), (40, 40));
}

/// Takes the first delivery and never answers; or, as its twin, answers all of them.
#[derive(Clone, Default)]
struct Lost {
    hangs: bool,
    came: Arc<AtomicUsize>,
    ids: Arc<std::sync::Mutex<Vec<String>>>,
    stuck: Arc<AtomicBool>,
}

#[async_trait]
impl HttpTransport for Lost {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        self.came.fetch_add(1, Ordering::SeqCst);
        self.ids.lock().unwrap().extend(id_of(&request));
        if self.hangs {
            self.stuck.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        Ok(ScriptedTransport::json(200, &Json::Null))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_whose_sender_is_gone_is_sent_by_another_one_under_the_same_id() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("smalt.db"), LocalKey::generate().unwrap().text());
    let (dead, alive) = (Lost { hangs: true, ..Lost::default() }, Lost::default());
    let one = on_file(&path, &key, dead.clone()).open().await.unwrap();
    let webhook = one.create_webhook(settings()).await.unwrap().webhook;
    connect(&one, "a").await;
    until(async || dead.stuck.load(Ordering::SeqCst).then_some(())).await;
    let other = on_file(&path, &key, alive.clone()).open().await.unwrap();
    let taken = until(async || deliveries(&other, &webhook).await.pop().filter(|one| one.status == DeliveryStatus::Delivered)).await;
    assert_eq!((dead.came.load(Ordering::SeqCst), alive.came.load(Ordering::SeqCst), taken.attempts), (1, 1, 2));
    assert_eq!(*dead.ids.lock().unwrap(), *alive.ids.lock().unwrap());
}
