//! Two engines behind one server: a session's call goes to its own, and leaves the other's store alone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::json;
use smalt::{
    Smalt,
    engine::Timings,
    model::{Environment, Json},
    plugin::{JobAnswer, ReadJob, Store, WriteJob},
    sandbox::{Sandbox, SandboxOptions},
    store::{SqliteStore, StoreOptions},
    vault::LocalKey,
};
use smalt_server::{Api, ApiOptions};

use crate::world::{World, project};

/// How often the test calls, and how much an engine's own upkeep may read meanwhile.
const CALLS: usize = 200;
const UPKEEP: usize = CALLS / 2;

/// A store that counts what is read from it.
struct Counting(SqliteStore, Arc<AtomicUsize>);

#[async_trait::async_trait]
impl Store for Counting {
    async fn write(&self, job: WriteJob) -> smalt::Result<JobAnswer> {
        self.0.write(job).await
    }

    async fn read(&self, job: ReadJob) -> smalt::Result<JobAnswer> {
        self.1.fetch_add(1, Ordering::AcqRel);
        self.0.read(job).await
    }

    async fn foreign_version(&self) -> smalt::Result<i64> {
        self.0.foreign_version().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

/// The test environment is asked first, and its keys are others: it must not look for the key of each production call in its store, nor may
/// a token that anybody can write have either engine read its keys again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sessions_calls_read_their_own_environments_store_only() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let reads = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let master = LocalKey::generate().unwrap().text();
    let stores = reads
        .each_ref()
        .map(|reads| -> Arc<dyn Store> { Arc::new(Counting(SqliteStore::memory(StoreOptions::default()).unwrap(), reads.clone())) });
    let open = async |environment, store: &Arc<dyn Store>| {
        // What looks at the store each second would be counted, too.
        let timings = Timings { ahead: None, ..Timings::default() };
        let builder = Smalt::on_store(store.clone()).keys(LocalKey::parse(&master).unwrap()).timings(timings);
        builder.project_value(project(&sandbox.origin())).environment(environment).open().await.unwrap()
    };
    let test = open(Environment::Test, &stores[0]).await;
    let production = open(Environment::Production, &stores[1]).await;
    let api_key = async |smalt: &Smalt| smalt.create_api_key("backend").await.unwrap().key.expose().to_owned();
    let (key, production_key) = (api_key(&test).await, api_key(&production).await);
    let api = Api::new([(Environment::Test, test.clone()), (Environment::Production, production.clone())], ApiOptions::default());
    let [store, _] = stores;
    let world = World { store, master, sandbox, test, production, api, key, production_key };

    world.production.account("customer-42").ensure().await.unwrap();
    let begun = [("x-api-key", world.production_key.as_str())];
    let begun = world.call("POST", "/api/v2/public/session-token", &begun, json!({"linked_account_id": "customer-42"})).await.expect(200);
    let session = format!("Bearer {}", begun.json()["token"].as_str().unwrap());
    let ask = async |session: &str| world.call("GET", "/api/v2/f-sdk/application", &[("authorization", session)], Json::Null).await.status;
    let counted = || reads.each_ref().map(|reads| reads.swap(0, Ordering::AcqRel));

    counted();
    for _ in 0..CALLS {
        assert_eq!(ask(&session).await, 200);
    }
    let [of_test, of_production] = counted();
    assert!(of_production >= CALLS, "each call looks its session up: {of_production}");
    assert!(of_test < UPKEEP, "{of_test} reads in the test environment for {CALLS} calls of the other");

    let header = Base64UrlUnpadded::encode_string(br#"{"alg":"HS256","typ":"JWT","kid":"65a000000000000000000001"}"#);
    let (_, rest) = session.split_once('.').unwrap();
    for _ in 0..CALLS {
        assert_eq!(ask(&format!("Bearer {header}.{rest}")).await, 401);
    }
    let read = counted();
    assert!(read.iter().all(|read| *read < UPKEEP), "{read:?} reads for {CALLS} calls with a token of nobody");
    // Whoever has a good one is served as before.
    assert_eq!(ask(&session).await, 200);
    world.test.close().await;
    world.production.close().await;
}
