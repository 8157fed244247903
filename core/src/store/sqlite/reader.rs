//! The threads that read: each job sees one snapshot, which it may share with those that waited beside it.

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

type Answer = oneshot::Sender<Answered>;

/// What the threads are asked for.
pub(super) enum Request {
    /// A job.
    Job { job: ReadJob, answer: Answer },
    /// To close the connection while the process forks.
    Park(Parking),
}

/// Works until the queue is closed and empty. `again` opens a connection in the place of one that was closed.
pub(super) fn work(conn: Connection, queue: &Queue<Request>, lock_wait: Duration, again: impl Fn() -> Result<Connection>) {
    let mut held = Some(conn);
    // What was taken while a snapshot was read, and is not for it.
    let mut next = None;
    while let Some((request, mark)) = next.take().or_else(|| queue.pop_marked()) {
        match request {
            Request::Park(parking) => {
                held = None;
                parking.wait();
            }
            // Nobody waits any more: reading has no effect that would be missed.
            Request::Job { answer, .. } if answer.is_closed() => {}
            Request::Job { job, answer } => match held.take().map_or_else(&again, Ok) {
                Ok(conn) => {
                    next = read(&conn, (job, answer), lock_wait, || queue.pop_before(mark)).map(|request| (request, mark));
                    held = Some(conn);
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                }
            },
        }
    }
}

/// Takes a snapshot for this job, and runs those on it, too, that `more` gives: they were asked for before it was taken, so it holds whatever
/// their callers had written. Answers what `more` gave and what is none of them.
fn read(conn: &Connection, first: (ReadJob, Answer), lock_wait: Duration, more: impl Fn() -> Option<Request>) -> Option<Request> {
    let (mut job, mut answer) = first;
    // The first row read takes the snapshot; only that can find the file locked (by recovery, or by a last closer).
    let begun = patiently(lock_wait, || {
        step(conn, "BEGIN DEFERRED")?;
        let looked = conn.prepare_cached("SELECT 1 FROM meta LIMIT 1").and_then(|mut s| s.query([])?.next().map(drop));
        if looked.is_err() {
            let _ = conn.execute_batch("ROLLBACK");
        }
        looked
    });
    if let Err(error) = begun {
        let _ = answer.send(Err(error));
        return None;
    }
    let meta = RefCell::default();
    loop {
        let answered = run(conn, &meta, job);
        // Some faults end the transaction: then there is no snapshot for others.
        let next = if conn.is_autocommit() { None } else { wanted(&more) };
        if let Some(Request::Job { job: next_job, answer: next_answer }) = next {
            let _ = answer.send(answered);
            (job, answer) = (next_job, next_answer);
            continue;
        }
        if !conn.is_autocommit() && step(conn, "COMMIT").is_err() {
            let _ = conn.execute_batch("ROLLBACK");
        }
        let _ = answer.send(answered);
        return next;
    }
}

/// The next one that somebody waits for.
fn wanted(more: impl Fn() -> Option<Request>) -> Option<Request> {
    loop {
        match more() {
            Some(Request::Job { answer, .. }) if answer.is_closed() => {}
            next => return next,
        }
    }
}
