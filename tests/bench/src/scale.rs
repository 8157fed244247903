//! Cold reads at 10^3 and 10^6 accounts with three connections each, and the memory of the process that serves them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

use serde_json::{Value, json};
use smalt::{
    Smalt,
    engine::Timings,
    model::{Environment, Tenant},
    plugin::{Store, StoreExt, SystemClock},
    project::Project,
    store::{
        SqliteStore, StoreOptions,
        rows::{AccountRow, ConfigRow, ConnectionRow},
    },
    vault::{Aad, LocalKey, Vault},
};

use crate::report::{Row, median};

const APP: &str = "github";
/// Of the smaller store's accounts each is asked for once in all rounds: on both sides, a first read in its minute is what is measured,
/// with its row of the audit.
const SAMPLES: usize = 200;
const ROUNDS: usize = 5;
const BATCH: usize = 2000;

/// The larger store's accounts; `SMALT_BENCH_ACCOUNTS` makes it smaller for a trial.
fn many() -> usize {
    std::env::var("SMALT_BENCH_ACCOUNTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000)
}

fn tenant() -> Tenant {
    Tenant { org: "default".into(), environment: Environment::Test }
}

fn project() -> Project {
    serde_json::from_value(json!({"version": 1, "apps": {APP: {"fields": [{"id": "channel", "name": "Channel"}]}}})).unwrap()
}

fn key(folder: &Path) -> LocalKey {
    LocalKey::from_file(folder.join("key")).unwrap()
}

fn account(n: usize) -> String {
    format!("account-{n:07}")
}

/// Fills a store row by row, sealed as the engine seals; whoever reads them afterwards proves it.
async fn seed(folder: &Path, accounts: usize) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.join("smalt.db"), StoreOptions::default()).unwrap());
    let vault = Arc::new(Vault::unlock(store.clone(), Arc::new(key(folder)), "default", Arc::new(SystemClock::default())).await.unwrap());
    for from in (0..accounts).step_by(BATCH) {
        let vault = vault.clone();
        let filled = store.write_with(move |tx| {
            for n in from..(from + BATCH).min(accounts) {
                let (tenant, id) = (tenant(), account(n));
                tx.put_account(
                    &tenant,
                    &AccountRow {
                        id: id.clone(),
                        record_id: format!("{n:024x}"),
                        name: Some(format!("Customer {n}")),
                        properties_json: "{}".into(),
                        created_at: n as i64,
                        updated_at: n as i64,
                    },
                )?;
                for c in 0..3 {
                    let connection = format!("{:024x}", n * 4 + c);
                    let grant = json!({"access_token": format!("gho_{connection}{connection}"), "token_type": "Bearer"});
                    let aad = Aad::new(&tenant, "connections").part(&id).part(APP).part(&connection).part("grant").version(1);
                    tx.put_connection(&tenant, &connection_row(&id, &connection, c == 0, vault.seal_json(&aad, &grant)?))?;
                }
                let aad = Aad::new(&tenant, "configs").part(&id).part(APP).part(&id).part(&format!("{n:024x}")).part("values").version(1);
                let values = json!({"v": 1, "fields": {"channel": "C024BE91L"}, "workflows": {}, "labels": {}});
                tx.put_config(
                    &tenant,
                    &ConfigRow {
                        id: format!("{n:024x}"),
                        account_id: id.clone(),
                        application: APP.into(),
                        config_id: id,
                        version: 1,
                        sealed: vault.seal_json(&aad, &values)?,
                        created_at: 0,
                        updated_at: 0,
                    },
                )?;
            }
            Ok(())
        });
        filled.await.unwrap();
    }
    store.close().await;
}

fn connection_row(account: &str, id: &str, is_default: bool, sealed: Vec<u8>) -> ConnectionRow {
    ConnectionRow {
        id: id.into(),
        account_id: account.into(),
        application: APP.into(),
        client_key: "default".into(),
        auth_type: "oauth2".into(),
        status: "active".into(),
        is_default,
        identity_id: Some(id.into()),
        identity_label: Some(format!("user {id}")),
        grant_key: Some(id.into()),
        scopes_json: r#"["read:user"]"#.into(),
        properties_json: "{}".into(),
        sealed,
        secret_version: 1,
        created_at: 0,
        connected_at: 0,
        expires_at: None,
        refreshed_at: 0,
        last_error_json: None,
        refresh_print: None,
        presented: None,
        lease_owner: None,
        lease_boot: None,
        lease_until: None,
        cooldown_until: None,
        renew_at: None,
        used_at: None,
        trouble: None,
        tries: 0,
        row_version: 1,
    }
}

/// The child: reads random accounts and says what it took.
pub async fn serve(reading: &str, folder: &str, accounts: usize) {
    let folder = PathBuf::from(folder);
    let round = reading.strip_prefix("cold").map(|round| round.parse::<usize>().unwrap());
    let mut timings = Timings::default();
    if round.is_some() {
        timings.cached_credentials = 0;
    }
    let from = Instant::now();
    let smalt = Smalt::embedded(folder.join("smalt.db")).keys(key(&folder)).project_value(project()).timings(timings).open().await.unwrap();
    let opened = from.elapsed().as_secs_f64() * 1e3;
    let mut state = u64::from(std::process::id()) | 1;
    // Any spread does; this is Knuth's MMIX generator.
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    // Each number once: the factor shares no divisor with a power of ten.
    let spread = |n: usize| n * 600_011;
    let samples = if round.is_some() { SAMPLES } else { 20_000 };
    let (mut credentials, mut configs) = (Vec::new(), Vec::new());
    for n in 0..samples {
        let (one, other) = match round {
            Some(round) => (spread(round * SAMPLES + n), spread(ROUNDS * SAMPLES - 1 - round * SAMPLES - n)),
            None => (random(), random()),
        };
        let one = smalt.account(account(one % accounts));
        let from = Instant::now();
        assert!(one.credential(APP).await.unwrap().access_token.is_some());
        credentials.push(from.elapsed().as_secs_f64() * 1e6);
        let other = smalt.account(account(other % accounts));
        let from = Instant::now();
        assert_eq!(other.config(APP).await.unwrap().fields.len(), 1);
        configs.push(from.elapsed().as_secs_f64() * 1e6);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse::<f64>().unwrap();
    println!("{}", json!({"credential": median(credentials), "config": median(configs), "peak_mib": peak / 1024.0, "opened_ms": opened}));
    smalt.close().await;
}

fn child(reading: &str, folder: &Path, accounts: usize) -> Value {
    let ran = Command::new(std::env::current_exe().unwrap())
        .args([&format!("serve-{reading}"), folder.to_str().unwrap(), &accounts.to_string()])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

pub async fn measure() -> Vec<Row> {
    let folder = tempfile::Builder::new().tempdir_in("target").unwrap();
    let mut stores = Vec::new();
    for accounts in [1000, many()] {
        let one = folder.path().join(accounts.to_string());
        std::fs::create_dir(&one).unwrap();
        LocalKey::generate().unwrap().write_file(one.join("key")).unwrap();
        seed(&one, accounts).await;
        stores.push((one, accounts));
    }
    let mut read = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    let mut opened = Vec::new();
    for round in 0..ROUNDS {
        for (at, (store, accounts)) in stores.iter().enumerate() {
            let said = child(&format!("cold{round}"), store, *accounts);
            read[at][0].push(said["credential"].as_f64().unwrap());
            read[at][1].push(said["config"].as_f64().unwrap());
            if at == 1 {
                opened.push(said["opened_ms"].as_f64().unwrap());
            }
        }
    }
    let peak = child("warm", &stores[1].0, stores[1].1)["peak_mib"].as_f64().unwrap();
    let [[small_credential, small_config], [large_credential, large_config]] = read.map(|side| side.map(median));
    vec![
        Row::at_most(
            "cold-credential",
            "cold credential p50, 10^6 accounts",
            large_credential,
            "10^3 accounts",
            small_credential,
            "us",
            1.5,
        ),
        Row::at_most("cold-config", "config p50, 10^6 accounts", large_config, "10^3 accounts", small_config, "us", 1.5),
        Row::budget("open", "opening an engine on 10^6 accounts", median(opened), 100.0, "ms"),
        Row::budget("memory", "peak memory serving 10^6 accounts", peak, 150.0, "MiB"),
    ]
}
