//! The durable log and the audit, and the cursors of all lists.

use std::time::Instant;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Inner, end_of};
use crate::{
    Timestamp,
    backend::{ListAudit, ListEvents},
    error::{Result, err},
    model::{AuditEntry, Event, EventType, Page},
    store::rows::{AuditRow, EventRow},
};

/// The longest text that is looked at as a cursor.
pub(super) const LONGEST_CURSOR: usize = 8 * 1024;
/// In a cursor's place: from now on.
const NOW: &str = "now";
/// Bytes of the authentication tag of a cursor.
const TAG: usize = 16;

/// The place in the log that a cursor of `events` names, to tell which of two is later. It is not proved: only the store that
/// made it can do that, when the cursor is handed in.
pub fn event_position(cursor: &str) -> Option<i64> {
    let bytes = Base64UrlUnpadded::decode_vec(cursor).ok().filter(|bytes| bytes.len() == 8 + TAG)?;
    bytes.first_chunk::<8>().map(|at| i64::from_be_bytes(*at))
}

impl Inner {
    fn cursor_mac(&self, list: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.cursor_key).expect("HMAC takes keys of any length");
        for part in [b"cursor-1".as_slice(), self.tenant.org.as_bytes(), self.tenant.environment.as_str().as_bytes(), list.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.update(body);
        mac
    }

    /// Tells one set of values from another, under the store's own key and for this tenant.
    pub(super) fn keyed_print(&self, what: &str, parts: &[&[u8]]) -> String {
        let mut mac = self.cursor_mac(what, b"");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes()[..TAG])
    }

    /// A cursor that only this store takes, for this tenant and this list (S-36).
    pub(super) fn make_cursor(&self, list: &str, at: i64, id: &str) -> Result<String> {
        let mut body = at.to_be_bytes().to_vec();
        body.extend_from_slice(id.as_bytes());
        let tag = self.cursor_mac(list, &body).finalize().into_bytes();
        body.extend_from_slice(&tag[..TAG]);
        Ok(Base64UrlUnpadded::encode_string(&body))
    }

    pub(super) fn open_cursor(&self, list: &str, cursor: &str) -> Result<(i64, String)> {
        self.read_cursor(list, cursor).ok_or_else(|| err!(InvalidCursor, "the cursor is not one of this list"))
    }

    fn read_cursor(&self, list: &str, cursor: &str) -> Option<(i64, String)> {
        if cursor.len() > LONGEST_CURSOR {
            return None;
        }
        let bytes = Base64UrlUnpadded::decode_vec(cursor).ok()?;
        let (body, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        self.cursor_mac(list, body).verify_truncated_left(tag).ok()?;
        let (at, id) = body.split_first_chunk::<8>()?;
        Some((i64::from_be_bytes(*at), String::from_utf8(id.to_vec()).ok()?))
    }

    fn event_model(&self, row: EventRow) -> Result<Event> {
        let event = row.event;
        Ok(Event {
            event_type: EventType::parse(&event.event_type).ok_or_else(|| err!(StoreCorrupt, "event {} is of no known type", row.seq))?,
            id: event.id,
            account_id: event.account_id,
            application: event.application,
            data: serde_json::from_str(&event.data_json).unwrap_or_default(),
            at: Timestamp::from_millis(event.at),
            cursor: self.make_cursor("events", row.seq, "")?,
        })
    }

    /// Waits for the first event when there is none yet: woken by writes here, by polling for those of other processes.
    pub(super) async fn list_events(&self, request: ListEvents) -> Result<Page<Event>> {
        let limit = request.limit.unwrap_or(100).clamp(1, 1000);
        let seq = match request.since.as_deref() {
            Some(NOW) => self.read(|tx| tx.last_event()).await?,
            Some(cursor) => self.open_cursor("events", cursor)?.0,
            None => 0,
        };
        let until = request.wait.map(end_of);
        let mut changed = self.changed.subscribe();
        loop {
            let tenant = self.tenant.clone();
            let rows = self.read(move |tx| tx.events_after(&tenant, seq, limit)).await?;
            let left = until.and_then(|until| until.checked_duration_since(Instant::now()));
            match left {
                Some(left) if rows.is_empty() => {
                    let _ = tokio::time::timeout(left, changed.changed()).await;
                }
                _ => {
                    let next = match rows.last() {
                        Some(last) => Some(self.make_cursor("events", last.seq, "")?),
                        None if request.since.is_some() => Some(self.make_cursor("events", seq, "")?),
                        None => None,
                    };
                    // A newer process on the same store may write types that this one does not know.
                    let known = rows.into_iter().filter(|row| EventType::parse(&row.event.event_type).is_some());
                    let items = known.map(|row| self.event_model(row)).collect::<Result<Vec<_>>>()?;
                    return Ok(Page { items, next });
                }
            }
        }
    }

    pub(super) async fn list_audit(&self, request: ListAudit) -> Result<Page<AuditEntry>> {
        self.flush_reads().await?;
        let limit = request.limit.unwrap_or(50).clamp(1, 500);
        let before = match request.cursor {
            Some(cursor) => Some(self.open_cursor("audit", &cursor)?.0),
            None => None,
        };
        let tenant = self.tenant.clone();
        let mut rows = self.read(move |tx| tx.audit_before(&tenant, before, limit + 1)).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = match rows.last() {
            Some(last) if more => Some(self.make_cursor("audit", last.seq, "")?),
            _ => None,
        };
        Ok(Page { items: rows.into_iter().map(audit_model).collect(), next })
    }
}

fn audit_model(row: AuditRow) -> AuditEntry {
    AuditEntry {
        action: row.action,
        actor: row.actor,
        account_id: row.account_id,
        application: row.application,
        connection_id: row.connection_id,
        count: row.count.unsigned_abs(),
        detail: serde_json::from_str(&row.detail_json).unwrap_or_default(),
        at: Timestamp::from_millis(row.at),
    }
}
