//! The threads that read: each job sees one snapshot.

use std::{cell::RefCell, time::Duration};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    process::Parking,
    queue::Queue,
    schema::patiently,
    writer::{Answered, run, step},
};
use crate::{Result, plugin::ReadJob};

/// What the threads are asked for.
pub(super) enum Request {
    /// A job.
    Job { job: ReadJob, answer: oneshot::Sender<Answered> },
    /// To close the connection while the process forks.
    Park(Parking),
}

/// Works until the queue is closed and empty. `again` opens a connection in the place of one that was closed.
pub(super) fn work(conn: Connection, queue: &Queue<Request>, lock_wait: Duration, again: impl Fn() -> Result<Connection>) {
    let mut held = Some(conn);
    while let Some(request) = queue.pop() {
        match request {
            Request::Park(parking) => {
                held = None;
                parking.wait();
            }
            // Nobody waits any more: reading has no effect that would be missed.
            Request::Job { answer, .. } if answer.is_closed() => {}
            Request::Job { job, answer } => {
                let answered = held.take().map_or_else(&again, Ok).and_then(|conn| {
                    let answered = read(&conn, job, lock_wait);
                    held = Some(conn);
                    answered
                });
                let _ = answer.send(answered);
            }
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
