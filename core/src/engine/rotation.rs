//! Rotation of data keys: all that is sealed, sealed anew, batch by batch, while everybody goes on working. Any process may
//! begin it, and any one that has the store open carries it on when that one dies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{About, Inner, end_of, open, sealed, signing};
use crate::{
    Timestamp,
    backend::RotateKeys,
    error::{Code, Result, err},
    failpoint::failpoint,
    model::{Environment, KeyRotation, RotationState, Tenant},
    plugin::Tx,
    store::rows::{SealedRow, SealedTable},
    vault::{Aad, Record, Vault, audit_row, close, finish},
};

/// Rows that are looked at in one transaction while most of them are sealed anew.
const BATCH: u32 = 200;
/// The same while hardly any is.
const CHECKED: u32 = 2000;
/// How many unreadable rows are named.
const NAMED: usize = 20;
/// A rotation that has not moved for so long was left by whoever carried it on.
const LEFT: Duration = Duration::from_secs(60);

impl Inner {
    /// Begins a rotation or joins the one under way; answers it as it stands at its end, or after the caller's wait.
    pub(super) async fn rotate_keys(self: &Arc<Self>, actor: String, request: RotateKeys) -> Result<KeyRotation> {
        let record = match &request.watch {
            Some(key_id) => self.rotation_to(key_id).await?,
            None => {
                let (about, vault, is_ours) = (self.about(actor, "", None), self.vault.clone(), Arc::new(AtomicBool::new(false)));
                let began = is_ours.clone();
                let begun = self.vault.begin_rotation(&*self.store, &*self.clock, move |tx, record| {
                    began.store(true, Ordering::Release);
                    // The key provider may have taken its time since the call came: the new keys and the record are of one moment.
                    let about = About { now: Timestamp::from_millis(record.started_at), ..about.clone() };
                    tx.append_audit(&about.tenant, &audit_row("keys.rotate", &about.actor, record, about.now.millis()))?;
                    // Whoever carries on a rotation looks at what is sealed only: a process that died after it began would otherwise
                    // leave the old keys signing.
                    signing::replace(tx, &vault, &about)
                });
                let record = begun.await?;
                if is_ours.load(Ordering::Acquire) {
                    self.read_signing_keys().await?;
                }
                record
            }
        };
        let until = request.wait.map(end_of);
        let mut record = record;
        while !record.is_over() {
            let walk = (!self.rotating.swap(true, Ordering::AcqRel)).then(|| {
                let me = self.clone();
                self.detached(async move {
                    let ended = me.walk().await;
                    me.rotating.store(false, Ordering::Release);
                    ended
                })
            });
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                // Whoever came to start it and not to wait leaves it running.
                break;
            }
            let pause = left.unwrap_or(Duration::from_secs(3600));
            match walk {
                Some(walk) => {
                    if let Ok(ended) = tokio::time::timeout(pause, walk).await {
                        ended?;
                    }
                }
                None => tokio::time::sleep(pause.min(Duration::from_millis(100))).await,
            }
            record = self.rotation_to(&record.key_id).await?;
        }
        Ok(told(record))
    }

    async fn rotation_to(&self, key_id: &str) -> Result<Record> {
        let (org, key_id) = (self.tenant.org.clone(), key_id.to_owned());
        let record = self.read(move |tx| Record::read(tx, &org)).await?;
        record
            .filter(|record| record.key_id == key_id)
            .ok_or_else(|| err!(InvalidRequest, "there is no rotation to the key `{}`", key_id.escape_debug()))
    }

    /// Goes on with a rotation that was left, by a process that died of it.
    pub(super) async fn carry_on(self: &Arc<Self>) -> Result<()> {
        self.vault.forget_dropped();
        let org = self.tenant.org.clone();
        let Some(record) = self.read(move |tx| Record::read(tx, &org)).await?.filter(|record| !record.is_over()) else { return Ok(()) };
        if record.moved_at > self.now().minus(LEFT).millis() {
            return Ok(());
        }
        self.rotate_keys("upkeep".to_owned(), RotateKeys { watch: Some(record.key_id), wait: Some(Duration::ZERO) }).await.map(drop)
    }

    /// Batch after batch, to the end.
    async fn walk(&self) -> Result<()> {
        loop {
            if self.is_closed() {
                return Err(err!(Closed, "the engine was closed; another one carries the rotation on"));
            }
            let (vault, tenant, now) = (self.vault.clone(), self.tenant.clone(), self.now());
            let step = self.vault.write(&*self.store, move |tx| step(tx, &vault, &tenant, now)).await;
            match step {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    failpoint!("rotate-batch");
                }
                // The lock will be free again.
                Err(error) if error.is(Code::StoreBusy) => {}
                Err(error) => return Err(error),
            }
            tokio::task::yield_now().await;
        }
    }
}

fn told(record: Record) -> KeyRotation {
    KeyRotation {
        key_id: record.key_id,
        replaced: record.replaced,
        state: record.state,
        resealed: record.resealed,
        total: record.total,
        unreadable: record.unreadable_rows,
        unreadable_rows: record.unreadable,
        kept: record.kept,
        started_at: Timestamp::from_millis(record.started_at),
        moved_at: Timestamp::from_millis(record.moved_at),
    }
}

/// One batch, in one transaction; true when there is nothing left to do.
fn step(tx: &mut dyn Tx, vault: &Vault, tenant: &Tenant, now: Timestamp) -> Result<bool> {
    let org = &tenant.org;
    let Some(mut record) = Record::read(tx, org)?.filter(|record| !record.is_over()) else { return Ok(true) };
    match SealedTable::ALL.get(record.table) {
        Some(table) => stretch(tx, vault, org, &mut record, *table)?,
        None => {
            keys_of_others(tx, vault, org, &mut record)?;
            (record.table, record.after) = (0, 0);
            if record.state == RotationState::Resealing {
                close(tx, org, &record, now.millis())?;
                record.state = RotationState::Checking;
                // Those that do not open now are counted in the second round.
            } else {
                finish(tx, org, &mut record, |tx, record| {
                    tx.append_audit(tenant, &audit_row("keys.rotated", "engine", record, now.millis())).map(drop)
                })?;
            }
        }
    }
    // Time goes on for those who look, also where the clock was set back.
    record.moved_at = record.moved_at.max(now.millis());
    record.write(tx, org)?;
    failpoint!("rotate-written");
    Ok(record.is_over())
}

/// The next rows of a table.
fn stretch(tx: &mut dyn Tx, vault: &Vault, org: &str, record: &mut Record, table: SealedTable) -> Result<()> {
    let limit = if record.state == RotationState::Resealing { BATCH } else { CHECKED };
    let page = tx.sealed_otherwise(org, table, &record.head()?, record.after, limit)?;
    for (place, environment, row) in page.rows {
        let tenant = Tenant { org: org.to_owned(), environment };
        let (aad, name, sealed) = identity(&tenant, &row);
        if let Some(sealed) = anew(vault, record, &aad, || format!("{} {name}", table.name()), sealed)? {
            tx.reseal(table, place, &sealed)?;
        }
    }
    match page.end {
        Some(end) => record.after = end,
        None => (record.table, record.after) = (record.table + 1, 0),
    }
    Ok(())
}

fn identity<'r>(tenant: &Tenant, row: &'r SealedRow) -> (Aad, &'r str, &'r [u8]) {
    match row {
        SealedRow::Connection(row) => (sealed::connection_aad(tenant, row), &row.id, &row.sealed),
        SealedRow::Flow(row) => (sealed::flow_aad(tenant, row), &row.id, &row.sealed),
        SealedRow::Config(row) => (sealed::config_aad(tenant, row), &row.id, &row.sealed),
        SealedRow::Revocation(row) => (sealed::revocation_aad(tenant, row), &row.id, &row.sealed),
        SealedRow::OwnCredentials(row) => (sealed::own_credentials_aad(tenant, row), &row.account_id, &row.sealed),
        SealedRow::Webhook(row) => (sealed::webhook_aad(tenant, row), &row.id, &row.sealed),
        SealedRow::Registration(row) => (sealed::registration_aad(tenant, row), &row.client_key, &row.sealed),
    }
}

/// The few sealed values that stand in no such table: the keys of session tokens and of cursors.
fn keys_of_others(tx: &mut dyn Tx, vault: &Vault, org: &str, record: &mut Record) -> Result<()> {
    let head = record.head()?;
    for environment in Environment::ALL {
        let tenant = Tenant { org: org.to_owned(), environment: *environment };
        for row in tx.signing_keys(&tenant)?.into_iter().filter(|row| !row.sealed.starts_with(&head)) {
            let name = || format!("signing_keys {}", row.kid);
            if let Some(sealed) = anew(vault, record, &signing::aad(&tenant, &row.kid), name, &row.sealed)? {
                tx.reseal_signing_key(&tenant, &row.kid, &sealed)?;
            }
        }
        let name = open::cursor_key_name(&tenant);
        if let Some(known) = tx.meta(&name)?.filter(|sealed| !sealed.starts_with(&head))
            && let Some(sealed) = anew(vault, record, &open::cursor_key_aad(&tenant), || format!("meta {name}"), &known)?
        {
            tx.set_meta(&name, &sealed)?;
        }
    }
    Ok(())
}

/// The value under the new key; none when it does not open, which is written down at the second look.
fn anew(vault: &Vault, record: &mut Record, aad: &Aad, name: impl FnOnce() -> String, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
    let plain: Zeroizing<Vec<u8>> = match vault.open(aad, sealed) {
        Ok(plain) => plain,
        Err(error) if error.is(Code::StoreCorrupt) => {
            if record.state == RotationState::Checking {
                record.unreadable_rows += 1;
                if record.unreadable.len() < NAMED {
                    record.unreadable.push(name());
                }
                if let Some(id) = record.replaced_under(sealed).filter(|id| !record.kept.contains(id)) {
                    record.kept.push(id);
                }
            }
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    record.resealed += 1;
    vault.seal(aad, &plain).map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use async_trait::async_trait;

    use super::*;
    use crate::{
        Smalt,
        backend::ListAudit,
        plugin::{FixedClock, KeyProvider},
        vault::LocalKey,
    };

    /// A key service that takes a minute to wrap a key.
    struct Slow(LocalKey, FixedClock);

    #[async_trait]
    impl KeyProvider for Slow {
        async fn key_id(&self) -> Result<String> {
            self.0.key_id().await
        }

        async fn wrap(&self, plain: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>> {
            self.1.advance_millis(60_000);
            self.0.wrap(plain, aad).await
        }

        async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
            self.0.unwrap(key_id, wrapped, aad).await
        }
    }

    #[tokio::test]
    async fn what_a_rotation_brings_is_of_one_moment() {
        let clock = FixedClock::at(Timestamp::from_millis(1_769_847_300_000));
        let project = serde_json::from_value(serde_json::json!({"version": 1, "org": {"id": "acme"}})).unwrap();
        let keys = Slow(LocalKey::generate().unwrap(), clock.clone());
        let smalt = Smalt::in_memory().keys(keys).clock(clock.clone()).project_value(project).open().await.unwrap();
        let ended = smalt.rotate_keys(RotateKeys::default()).await.unwrap();
        assert_eq!(ended.state, RotationState::Done);
        let audit = smalt.audit(ListAudit::default()).await.unwrap();
        for action in ["keys.rotate", "keys.signing"] {
            let entry = audit.items.iter().find(|entry| entry.action == action).unwrap();
            assert_eq!(entry.at, ended.started_at, "{action}");
        }
        smalt.close().await;
    }
}
