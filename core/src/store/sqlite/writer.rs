//! The one thread that writes: jobs in groups, a commit per group, answers after it.

use std::{
    any::Any,
    cell::RefCell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    StoreOptions,
    fault::{busy, fault},
    process::Parking,
    queue::Queue,
    schema::nap,
    tx::{Meta, SqliteTx},
};
use crate::{
    Result,
    error::{Code, Error, err},
    plugin::{Tx, WriteJob},
};

/// What a job answers.
pub(super) type Answered = Result<Box<dyn Any + Send>>;

/// What the thread is asked for.
pub(super) enum Request {
    /// A job; its changes are undone when `keep` is false.
    Job { job: WriteJob, keep: bool, until: Instant, answer: oneshot::Sender<Answered> },
    /// `PRAGMA data_version`, which on the writing connection moves by the commits of others only.
    Version(oneshot::Sender<Result<i64>>),
    /// To close the connection while the process forks.
    Park(Parking),
}

pub(super) struct Writer {
    queue: Arc<Queue<Request>>,
    pending: VecDeque<Request>,
    options: StoreOptions,
    /// What the group has read of `meta`.
    meta: RefCell<Meta>,
    /// How many jobs are probably under way: those of the last group, and those that came while it was committed.
    expected: usize,
    /// How often the connection was opened again.
    opened: i64,
}

impl Drop for Writer {
    /// Nobody must wait for a thread that is gone.
    fn drop(&mut self) {
        self.queue.close();
        self.queue.drain(&mut self.pending);
    }
}

/// Runs a job; a panic becomes an error.
pub(super) fn run(conn: &Connection, meta: &RefCell<Meta>, job: WriteJob) -> Answered {
    catch_unwind(AssertUnwindSafe(|| job(&mut SqliteTx::new(conn, meta) as &mut dyn Tx)))
        .unwrap_or_else(|_| Err(err!(Internal, "a job of the store panicked; it was undone")))
}

/// Runs a statement without parameters and answer.
pub(super) fn step(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue<Request>>, options: StoreOptions) -> Self {
        Self { queue, pending: VecDeque::new(), options, meta: RefCell::default(), expected: 0, opened: 0 }
    }

    /// Works until the queue is closed and empty. `again` opens a connection in the place of one that was closed; without it, as in
    /// memory, the connection stays open.
    pub(super) fn work(mut self, conn: Connection, again: Option<impl Fn() -> Result<Connection>>) {
        let mut held = Some(conn);
        loop {
            if self.pending.is_empty() {
                match self.queue.pop() {
                    Some(request) => self.pending.push_back(request),
                    None => return,
                }
            }
            if self.pending.iter().any(|request| matches!(request, Request::Park(_))) {
                if again.is_some() {
                    held = None;
                }
                self.park();
                continue;
            }
            let conn = match (&held, &again) {
                (Some(conn), _) => conn,
                (None, Some(again)) => match again() {
                    Ok(conn) => {
                        self.opened += 1;
                        held.insert(conn)
                    }
                    Err(error) => {
                        self.refuse(&error);
                        continue;
                    }
                },
                (None, None) => return,
            };
            self.answer_versions(conn);
            if self.pending.is_empty() {
                continue;
            }
            match step(conn, "BEGIN IMMEDIATE") {
                Ok(()) => self.group(conn),
                Err(error) if busy(&error) => {
                    nap();
                    self.queue.drain(&mut self.pending);
                    self.give_up();
                }
                Err(error) => self.refuse(&fault(&error)),
            }
        }
    }

    /// Waits, without a transaction, until the process has forked.
    fn park(&mut self) {
        for request in std::mem::take(&mut self.pending) {
            match request {
                Request::Park(parking) => parking.wait(),
                other => self.pending.push_back(other),
            }
        }
    }

    /// These need no lock and no place in the queue.
    fn answer_versions(&mut self, conn: &Connection) {
        for request in std::mem::take(&mut self.pending) {
            match request {
                Request::Version(answer) => drop(answer.send(self.version(conn))),
                other => self.pending.push_back(other),
            }
        }
    }

    /// Versions of two connections say nothing about each other: that of another connection is another one.
    fn version(&self, conn: &Connection) -> Result<i64> {
        let read = conn.prepare_cached("PRAGMA data_version").and_then(|mut s| s.query_row([], |row| row.get::<_, i64>(0)));
        read.map(|version| (self.opened << 32) + version).map_err(|e| fault(&e))
    }

    /// Another process holds the lock: those who waited long enough are told so.
    fn give_up(&mut self) {
        let now = Instant::now();
        for request in std::mem::take(&mut self.pending) {
            match request {
                Request::Job { answer, until, .. } if until <= now => {
                    let wait = self.options.lock_wait;
                    let _ = answer.send(Err(err!(StoreBusy, "another process held the store's write lock for {wait:?}")));
                }
                other => self.pending.push_back(other),
            }
        }
    }

    /// No transaction can be begun: everyone who waits gets the reason.
    fn refuse(&mut self, error: &Error) {
        for request in std::mem::take(&mut self.pending) {
            match request {
                Request::Job { answer, .. } => drop(answer.send(Err(error.clone()))),
                Request::Version(answer) => drop(answer.send(Err(error.clone()))),
                park @ Request::Park(_) => self.pending.push_back(park),
            }
        }
    }

    /// Jobs until there are no more or the group's time is over, then the commit, then the answers.
    ///
    /// Callers that were just answered come back one by one: a group that is smaller than the number of jobs that are under way
    /// waits a moment for them, since each commit costs as much as many jobs. A lone caller is never kept waiting.
    fn group(&mut self, conn: &Connection) {
        let began = Instant::now();
        self.meta.borrow_mut().clear();
        let mut done: Vec<(oneshot::Sender<Answered>, Answered)> = Vec::new();
        let mut lost = false;
        // Only waiting wears it out, not work.
        let mut patience = self.options.gather_time;
        while !lost && done.len() < self.options.group_max && (done.is_empty() || began.elapsed() < self.options.group_time) {
            if self.pending.is_empty() {
                self.queue.drain(&mut self.pending);
            }
            match self.pending.pop_front() {
                Some(Request::Job { job, keep, answer, .. }) => {
                    done.push((answer, self.one(conn, job, keep)));
                    // On a full disk and the like, SQLite undoes the whole transaction by itself.
                    lost = conn.is_autocommit();
                }
                Some(Request::Version(answer)) => drop(answer.send(self.version(conn))),
                Some(park @ Request::Park(_)) => {
                    self.pending.push_front(park);
                    break;
                }
                None => {
                    if done.len() >= self.expected || patience.is_zero() {
                        break;
                    }
                    let from = Instant::now();
                    self.queue.gather(self.expected - done.len(), patience, &mut self.pending);
                    patience = patience.saturating_sub(from.elapsed());
                }
            }
        }
        let ended = if lost {
            let cause = done.pop();
            let error = err!(StoreUnavailable, "the transaction was undone");
            if let Some((answer, result)) = cause {
                let _ = answer.send(result.and(Err(error.clone())));
            }
            Err(error)
        } else {
            commit(conn)
        };
        self.queue.drain(&mut self.pending);
        self.expected = done.len() + self.pending.len();
        for (answer, result) in done {
            // An answer may rest on what a neighbour wrote: when the commit failed, none of them holds.
            let _ = answer.send(ended.clone().and(result));
        }
    }

    /// One job in a savepoint of its own, so that its failure undoes nobody else's work.
    fn one(&self, conn: &Connection, job: WriteJob, keep: bool) -> Answered {
        step(conn, "SAVEPOINT job").map_err(|e| fault(&e))?;
        let result = run(conn, &self.meta, job);
        if conn.is_autocommit() {
            return result;
        }
        let kept = if keep && result.is_ok() { step(conn, "RELEASE job").map_err(|e| fault(&e)) } else { Ok(()) };
        if keep && result.is_ok() && kept.is_ok() {
            return result;
        }
        self.meta.borrow_mut().clear();
        if step(conn, "ROLLBACK TO job").and_then(|()| step(conn, "RELEASE job")).is_err() {
            // What the job left can't be told from what others did: give all of it up.
            let _ = conn.execute_batch("ROLLBACK");
        }
        kept.and(result)
    }
}

fn commit(conn: &Connection) -> Result<()> {
    step(conn, "COMMIT").map_err(|error| {
        if !conn.is_autocommit() {
            let _ = conn.execute_batch("ROLLBACK");
        }
        match fault(&error) {
            told if told.is(Code::StoreCorrupt) || told.is(Code::StoreUnavailable) => told,
            _ => err!(StoreUnavailable, "the commit failed"),
        }
    })
}
