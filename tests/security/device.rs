//! The device flow against a provider that others wrote (RFC 8628).

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use smalt::{
    Smalt,
    backend::StartConnect,
    manifest::AppManifest,
    model::{FlowStatus, StartedConnect},
    vault::LocalKey,
};
use smalt_tests::{
    counterpart::{Provider, User},
    size,
};

/// The wait that must be kept where a provider states none, as this one (RFC 8628 section 3.2), in milliseconds.
const INTERVAL: f64 = 5000.0;

struct Stage {
    provider: Provider,
    smalt: Smalt,
    _folder: tempfile::TempDir,
}

async fn stage(flags: &[&str]) -> Stage {
    let provider = Provider::start(flags);
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = serde_json::to_value(provider.manifest()).unwrap();
    manifest["oauth2"]["device"] = json!({"url": format!("{}/device/auth", provider.issuer)});
    let manifest: AppManifest = serde_json::from_value(manifest).unwrap();
    let smalt = Smalt::embedded(folder.path().join("smalt.db"))
        .keys(LocalKey::generate().unwrap())
        .project_value(provider.project(folder.path()))
        .manifest(manifest)
        .open()
        .await
        .unwrap();
    Stage { provider, smalt, _folder: folder }
}

impl Stage {
    async fn begin(&self, account: &str) -> StartedConnect {
        let account = self.smalt.account(account);
        account.ensure().await.unwrap();
        account.start_connect("counterpart", StartConnect { device: true, ..StartConnect::default() }).await.unwrap()
    }

    /// When each code was asked for, in the order of the provider's clock.
    fn polls(&self) -> BTreeMap<String, Vec<f64>> {
        let mut polls = BTreeMap::<String, Vec<f64>>::new();
        for poll in self.provider.stats()["polls"].as_array().unwrap() {
            polls.entry(poll["code"].as_str().unwrap().to_owned()).or_default().push(poll["at"].as_f64().unwrap());
        }
        polls
    }
}

fn early(polls: &BTreeMap<String, Vec<f64>>) -> Vec<f64> {
    polls.values().flat_map(|times| times.windows(2)).map(|pair| pair[1] - pair[0]).filter(|gap| *gap < INTERVAL).collect()
}

/// 20 runs: consented and refused ones, and ones that nobody comes to; all at once.
#[tokio::test(flavor = "multi_thread")]
async fn s14_the_interval_is_kept_and_polling_stops_at_expiry() {
    let runs = size(20, 20);
    let user = User::without_browser();
    let (visited, left) = (stage(&[]).await, stage(&["--device-code-ttl", "12"]).await);
    let answered = runs * 3 / 4;
    let mut flows = Vec::new();
    for n in 0..answered {
        flows.push((n, visited.begin(&format!("customer-{n}")).await));
    }
    let mut abandoned = Vec::new();
    for n in answered..runs {
        abandoned.push((n, left.begin(&format!("customer-{n}")).await));
    }
    // Everybody is asked for at least once before the user comes.
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    while visited.polls().len() < answered {
        assert!(std::time::Instant::now() < deadline, "only {} of {answered} flows were polled", visited.polls().len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (n, started) in &flows {
        let page = started.device.as_ref().unwrap().verification_uri_complete.clone().unwrap();
        assert_eq!(page, started.authorize_url);
        assert_eq!(started.device.as_ref().unwrap().interval, 5);
        user.visit(&page, &format!("user-{n}"), n % 5 != 4, None);
    }
    for (n, started) in &flows {
        let account = visited.smalt.account(format!("customer-{n}"));
        let flow = account.flow(&started.flow_id).wait(Some(Duration::from_secs(120))).await.unwrap();
        if n % 5 == 4 {
            assert_eq!((flow.status, flow.error.unwrap().code.as_str()), (FlowStatus::Failed, "user_denied"));
            continue;
        }
        assert_eq!(flow.status, FlowStatus::Connected, "{:?}", flow.error);
        let connection = account.connection(flow.connection_id.unwrap()).await.unwrap();
        assert_eq!(connection.identity.unwrap().id, format!("user-{n}"));
        let credential = account.credential("counterpart").await.unwrap();
        assert!(visited.provider.is_active(credential.access_token.as_ref().unwrap().expose()));
    }
    let polls = visited.polls();
    assert_eq!(polls.len(), answered);
    assert_eq!(early(&polls), Vec::<f64>::new(), "polls that came too early, by their distance");
    let stats: Value = visited.provider.stats();
    assert_eq!(stats["token"]["urn:ietf:params:oauth:grant-type:device_code"]["success"], json!(answered - answered / 5));

    for (n, started) in &abandoned {
        let flow = left.smalt.account(format!("customer-{n}")).flow(&started.flow_id).wait(Some(Duration::from_secs(120))).await.unwrap();
        assert_eq!(flow.status, FlowStatus::Expired);
    }
    // All of them are over: whatever comes from here on would come too late.
    let before = left.provider.stats()["polls"].clone();
    tokio::time::sleep(Duration::from_millis(2 * 5000 + 500)).await;
    assert_eq!(left.provider.stats()["polls"], before, "polls after expiry");
    let polls = left.polls();
    assert_eq!((polls.len(), early(&polls)), (runs - answered, Vec::new()));
    // The provider itself takes an expired code for an unknown one.
    let errors = left.provider.stats()["token"]["urn:ietf:params:oauth:grant-type:device_code"].clone();
    assert_eq!(errors["error"], errors["received"]);
    assert!(polls.values().all(|times| times.last().unwrap() - times[0] < 12_000.0), "a poll came when its code was dead");
}
