//! The rows, the groups and the refusals, in one process.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::{
    error::Code,
    model::{Environment, Tenant},
    plugin::StoreExt,
    store::rows::*,
};

fn tenant() -> Tenant {
    Tenant { org: "acme".into(), environment: Environment::Test }
}

fn account(id: &str, at: i64) -> AccountRow {
    AccountRow {
        id: id.into(),
        record_id: format!("r-{id}"),
        name: Some(format!("Name of {id}")),
        properties_json: "{}".into(),
        created_at: at,
        updated_at: at,
    }
}

#[tokio::test]
async fn writes_and_reads() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::memory(StoreOptions::default()).unwrap());
    store.write_with(|tx| tx.put_account(&tenant(), &account("a", 1))).await.unwrap();
    let read = store.read_with(|tx| tx.account(&tenant(), "a")).await.unwrap();
    assert_eq!(read, Some(account("a", 1)));
    assert!(store.read_with(|tx| tx.account(&tenant(), "b")).await.unwrap().is_none());
    let _ = Code::ALL;
}
