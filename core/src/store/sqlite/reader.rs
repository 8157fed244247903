//! The threads that read: each job sees one snapshot.

use std::{cell::RefCell, sync::Arc, time::Duration};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    queue::Queue,
    schema::patiently,
    writer::{Answered, run, step},
};
use crate::plugin::ReadJob;

pub(super) struct Request {
    pub(super) job: ReadJob,
    pub(super) answer: oneshot::Sender<Answered>,
}

/// Works until the queue is closed and empty.
pub(super) fn work(conn: &Connection, queue: &Arc<Queue<Request>>, lock_wait: Duration) {
    while let Some(Request { job, answer }) = queue.pop() {
        // Nobody waits any more: reading has no effect that would be missed.
        if !answer.is_closed() {
            let _ = answer.send(read(conn, job, lock_wait));
        }
    }
}

fn read(conn: &Connection, job: ReadJob, lock_wait: Duration) -> Answered {
    // The first row read takes the snapshot; only that can find the file locked (by recovery, or by a last closer).
    patiently(lock_wait, || {
        step(conn, "BEGIN DEFERRED")?;
        let looked = conn.prepare_cached("SELECT 1 FROM meta LIMIT 1").and_then(|mut s| s.query([])?.next().map(drop));
        if looked.is_err() {
            let _ = conn.execute_batch("ROLLBACK");
        }
        looked
    })?;
    let result = run(conn, &RefCell::default(), job);
    if !conn.is_autocommit() && step(conn, "COMMIT").is_err() {
        let _ = conn.execute_batch("ROLLBACK");
    }
    result
}
