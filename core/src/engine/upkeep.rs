//! What goes on in the background: looking for other processes' changes, sending revocations, ending what is over.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use super::{About, Inner, connect, device};
use crate::{
    Timestamp,
    error::{Result, err},
    model::FlowStatus,
    plugin::{StoreExt, Tx},
    runtime,
};

/// How often old rows are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// How many rows go in one transaction.
const BATCH: u32 = 500;

/// Starts the tasks. They end when the engine is dropped or closed.
pub(super) fn start(inner: &Arc<Inner>) {
    let (weak, poll) = (Arc::downgrade(inner), inner.timings.poll);
    runtime::spawn(async move {
        let mut seen = Seen::default();
        while let Some(inner) = alive(&weak) {
            if let Err(error) = inner.look(&mut seen).await {
                tracing::debug!(code = error.code().as_str(), "the store could not be looked at");
            }
            drop(inner);
            tokio::time::sleep(poll).await;
        }
    });
    let (weak, wake) = (Arc::downgrade(inner), inner.outbox.clone());
    let pause = inner.timings.revoke_backoff.min(Duration::from_secs(5));
    runtime::spawn(async move {
        while let Some(inner) = alive(&weak) {
            if let Err(error) = inner.run_outbox().await {
                tracing::debug!(code = error.code().as_str(), "the outbox could not be read");
            }
            drop(inner);
            let _ = tokio::time::timeout(pause, wake.notified()).await;
        }
    });
    let (weak, wake) = (Arc::downgrade(inner), inner.devices.clone());
    let (often, seldom) = (inner.timings.poll, inner.timings.poll.max(Duration::from_secs(1)));
    runtime::spawn(async move {
        while let Some(inner) = alive(&weak) {
            let busy = inner.poll_devices().await.unwrap_or_else(|error| {
                tracing::debug!(code = error.code().as_str(), "device flows could not be looked at");
                false
            });
            drop(inner);
            let _ = tokio::time::timeout(if busy { often } else { seldom }, wake.notified()).await;
        }
    });
    if inner.delivers {
        super::deliveries::start(inner);
    }
    let weak = Arc::downgrade(inner);
    runtime::spawn(async move {
        while let Some(inner) = alive(&weak) {
            for ended in [
                inner.sweep().await,
                inner.flush_reads().await,
                inner.flush_uses().await,
                inner.carry_on().await,
                inner.end_lost_executions().await,
            ] {
                if let Err(error) = ended {
                    tracing::debug!(code = error.code().as_str(), "upkeep could not be done");
                }
            }
            drop(inner);
            tokio::time::sleep(SWEEP).await;
        }
    });
}

pub(super) fn alive(weak: &Weak<Inner>) -> Option<Arc<Inner>> {
    weak.upgrade().filter(|inner| !inner.is_closed())
}

/// How far the store was read.
#[derive(Default)]
struct Seen {
    version: Option<i64>,
    event: Option<i64>,
    /// The project's generation.
    project: u64,
}

impl Inner {
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Notices what other processes wrote: cached credentials of changed accounts stop counting, waiters look again.
    async fn look(&self, seen: &mut Seen) -> Result<()> {
        let project = self.project.current();
        if seen.project != project.generation {
            self.apply_policy(&project);
            self.cache.forget_all();
            seen.project = project.generation;
        }
        let boot = self.clock.boot_millis();
        let version = self.store.foreign_version().await?;
        if seen.version != Some(version) {
            let tenant = self.tenant.clone();
            let after = match seen.event {
                Some(after) => after,
                None => {
                    let last = self.read(|tx| tx.last_event()).await?;
                    // Events up to here are not read: whatever was cached before they were written must not count.
                    self.cache.forget_all();
                    last
                }
            };
            let events = self.read(move |tx| tx.events_after(&tenant, after, 1000)).await?;
            if events.len() == 1000 {
                self.cache.forget_all();
            }
            for row in &events {
                match (&row.event.account_id, &row.event.application) {
                    (Some(account), Some(application)) => self.cache.forget(account, application),
                    _ => self.cache.forget_all(),
                }
            }
            seen.event = Some(events.last().map_or(after, |row| row.seq));
            // More than a page: look again at once.
            seen.version = (events.len() < 1000).then_some(version);
            self.changed.send_modify(|n| *n += 1);
        }
        self.cache.mark_checked(boot);
        Ok(())
    }

    /// Ends flows whose time is over or whose exchange was interrupted, and deletes what is old.
    pub(super) async fn sweep(&self) -> Result<()> {
        let now = self.now();
        let limit = self.exchange_limit();
        let mut more = true;
        while more {
            more = self.store.write_with(move |tx| expire_flows(tx, now, limit)).await?;
        }
        let (flows, events) = (now.minus(self.timings.flow_retention).millis(), now.minus(self.timings.event_retention).millis());
        loop {
            let deleted = self
                .store
                .write_with(move |tx| {
                    tx.delete_signing_keys_before(now.millis())?;
                    Ok(tx.delete_flows_before(flows, BATCH)?
                        + tx.delete_sessions_before(flows, BATCH)?
                        + tx.delete_events_before(events, BATCH)?
                        + tx.delete_deliveries_before(events, BATCH)?
                        + tx.delete_registrations_before(flows, BATCH)?
                        + tx.delete_executions_before(events, BATCH)?)
                })
                .await?;
            if deleted < u64::from(BATCH) {
                return Ok(());
            }
        }
    }
}

/// Ends what is over, a batch at a time; answers whether there may be more of it.
fn expire_flows(tx: &mut dyn Tx, now: Timestamp, limit: Duration) -> Result<bool> {
    let mut ended = [0; 4];
    for (count, status) in ended.iter_mut().zip([FlowStatus::Pending.as_str(), device::POLLING, FlowStatus::Parked.as_str()]) {
        for (tenant, mut row) in tx.flows_before(status, now.millis(), BATCH)? {
            if row.expires_at < now.millis() {
                row.status = FlowStatus::Expired.as_str().to_owned();
                row.sealed = Vec::new();
                row.claim_hash = None;
                row.changed_at = now.millis();
                tx.put_flow(&tenant, &row)?;
                *count += 1;
            }
        }
    }
    for (tenant, mut row) in tx.flows_before(FlowStatus::Exchanging.as_str(), now.minus(limit).millis(), BATCH)? {
        let about =
            About { tenant, now, actor: "upkeep".to_owned(), account: row.account_id.clone(), application: Some(row.application.clone()) };
        connect::fail(tx, &about, &mut row, &err!(ExchangeFailed, "the exchange was interrupted; try again"))?;
        ended[3] += 1;
    }
    Ok(ended.contains(&BATCH))
}
