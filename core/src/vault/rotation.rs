//! Another data key: how a rotation begins and ends, and what is written down of it. The rows in between are the engine's.
//!
//! 1. *Begin*: a new data key and the rotation's record, in one transaction. From its commit on every job seals under the new key.
//! 2. *Reseal*: all rows in batches. The record says how far, in the transaction of each batch.
//! 3. *Close*: under the replaced keys nothing is taken any more, so no row can come to refer to them.
//! 4. *Check*: all rows once more, for what was written late; then the replaced keys are dropped, unless something that cannot
//!    be read refers to them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{HEAD, KEY_ID, Key, Vault, current, head_of, parse_key_id, wrap_aad};
use crate::{
    Result,
    error::{bail, err},
    failpoint::failpoint,
    ids,
    model::RotationState,
    plugin::{Clock, Store, StoreExt, Tx},
    store::{
        SEALED,
        rows::{AuditRow, DataKeyRow},
    },
};

/// The record's own version.
const VERSION: u32 = 1;

/// A rotation, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    v: u32,
    /// The new key.
    pub(crate) key_id: String,
    /// The keys that it replaces.
    pub(crate) replaced: Vec<String>,
    pub(crate) state: RotationState,
    /// Which table is walked, and up to where it has been.
    pub(crate) table: usize,
    pub(crate) after: i64,
    pub(crate) resealed: u64,
    /// Rows with a sealed value when it began.
    pub(crate) total: u64,
    /// Rows that do not open, by table and name; a few of them.
    pub(crate) unreadable: Vec<String>,
    pub(crate) unreadable_rows: u64,
    /// Replaced keys to which such rows refer: they stay.
    pub(crate) kept: Vec<String>,
    pub(crate) started_at: i64,
    pub(crate) moved_at: i64,
}

fn record_name(org: &str) -> String {
    format!("rotation:{org}")
}

impl Record {
    /// The last rotation, if there ever was one.
    pub(crate) fn read(tx: &mut dyn Tx, org: &str) -> Result<Option<Self>> {
        let damaged = || err!(StoreCorrupt, "the record of the rotation is damaged").with("table", "meta").with("row", record_name(org));
        match tx.meta(&record_name(org))? {
            Some(bytes) => match serde_json::from_slice::<Self>(&bytes) {
                Ok(record) if record.v == VERSION => Ok(Some(record)),
                Ok(_) => bail!(StoreNewer, "the rotation that is under way was begun by a newer version"),
                Err(_) => Err(damaged()),
            },
            None => Ok(None),
        }
    }

    pub(crate) fn write(&self, tx: &mut dyn Tx, org: &str) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|_| err!(Internal, "the record of a rotation has no JSON form"))?;
        tx.set_meta(&record_name(org), &bytes)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == RotationState::Done
    }

    /// What values under the new key begin with.
    pub(crate) fn head(&self) -> Result<[u8; HEAD]> {
        head(&self.key_id)
    }

    /// Which of the replaced keys a value is sealed under.
    pub(crate) fn replaced_under(&self, sealed: &[u8]) -> Option<String> {
        self.replaced.iter().find(|id| head(id).is_ok_and(|head| sealed.starts_with(&head))).cloned()
    }
}

fn head(key_id: &str) -> Result<[u8; HEAD]> {
    let id = parse_key_id(key_id).ok_or_else(|| err!(StoreCorrupt, "a data key's id is damaged").with("row", key_id))?;
    Ok(head_of(&id))
}

impl Vault {
    /// Makes a new data key, which counts at once, and the record of the rotation to it; or answers the one that is under way. What
    /// else a new rotation brings is done in the same transaction, still under the keys that counted before.
    pub(crate) async fn begin_rotation(
        self: &Arc<Self>,
        store: &dyn Store,
        clock: &dyn Clock,
        also: impl Fn(&mut dyn Tx, &Record) -> Result<()> + Clone + Send + 'static,
    ) -> Result<Record> {
        loop {
            let org = self.org.clone();
            let (under_way, rows) = store.read_with(move |tx| Ok((Record::read(tx, &org)?, tx.data_keys(&org)?))).await?;
            if let Some(record) = under_way.filter(|record| !record.is_over()) {
                return Ok(record);
            }
            let org = self.org.clone();
            let total = store.read_with(move |tx| tx.count_sealed(&org)).await?;
            let key = Key::random()?;
            let key_id = ids::hex(&ids::random::<KEY_ID>()?);
            let master_key_id = self.master.id().await?;
            let wrapped = self.master.wrap_surely(&master_key_id, key.bytes(), wrap_aad("data key", &[&self.org, &key_id])).await?;
            let now = clock.now().millis();
            // The newest one counts, also where the clock was set back.
            let created_at = rows.iter().map(|row| row.created_at + 1).fold(now, i64::max);
            let row = DataKeyRow { org: self.org.clone(), key_id: key_id.clone(), master_key_id, wrapped, created_at };
            let record = Record {
                v: VERSION,
                key_id,
                replaced: rows.iter().map(|row| row.key_id.clone()).collect(),
                state: RotationState::Resealing,
                table: 0,
                after: 0,
                resealed: 0,
                total,
                unreadable: Vec::new(),
                unreadable_rows: 0,
                kept: Vec::new(),
                started_at: now,
                moved_at: now,
            };
            let also = also.clone();
            let begun = self
                .write(store, move |tx| {
                    let under_way = Record::read(tx, &row.org)?.is_some_and(|record| !record.is_over());
                    if under_way || tx.data_keys(&row.org)? != rows {
                        return Ok(None);
                    }
                    tx.insert_data_key(&row)?;
                    current::next_epoch(tx, &row.org)?;
                    demand_readers(tx)?;
                    record.write(tx, &row.org)?;
                    also(tx, &record)?;
                    failpoint!("rotate-middle");
                    Ok(Some(record))
                })
                .await?;
            failpoint!("rotate-begun");
            if let Some(record) = begun {
                return Ok(record);
            }
            // Somebody else was faster: theirs is looked at.
        }
    }
}

/// Raises the oldest version that may open the store.
pub(crate) fn demand_readers(tx: &mut dyn Tx) -> Result<()> {
    const NAME: &str = "oldest_reader";
    let Some(text) = tx.meta(NAME)?.and_then(|bytes| String::from_utf8(bytes).ok()) else { return Ok(()) };
    if text.parse::<u32>().is_ok_and(|oldest| oldest < SEALED) { tx.set_meta(NAME, SEALED.to_string().as_bytes()) } else { Ok(()) }
}

/// Nothing may be sealed under the replaced keys any more.
pub(crate) fn close(tx: &mut dyn Tx, org: &str, record: &Record, now: i64) -> Result<()> {
    record.replaced.iter().try_for_each(|id| tx.close_data_key(org, &head(id)?, now))
}

/// Drops the replaced keys that nothing refers to.
pub(crate) fn finish(tx: &mut dyn Tx, org: &str, record: &mut Record, audit: impl Fn(&mut dyn Tx, &Record) -> Result<()>) -> Result<()> {
    for id in record.replaced.iter().filter(|id| !record.kept.contains(id)) {
        tx.delete_data_key(org, id)?;
    }
    current::next_epoch(tx, org)?;
    record.state = RotationState::Done;
    audit(tx, record)
}

/// The row of the audit that says what became of a rotation.
pub(crate) fn audit_row(action: &str, actor: &str, record: &Record, now: i64) -> AuditRow {
    let detail = serde_json::json!({
        "key": record.key_id, "replaced": record.replaced, "resealed": record.resealed, "kept": record.kept,
        "unreadable": record.unreadable_rows,
    });
    AuditRow {
        seq: 0,
        action: action.to_owned(),
        actor: actor.to_owned(),
        account_id: None,
        application: None,
        connection_id: None,
        count: 1,
        detail_json: detail.to_string(),
        at: now,
    }
}
