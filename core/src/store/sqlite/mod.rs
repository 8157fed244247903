//! SQLite: write-ahead log with full synchronisation, one writing thread that commits in groups, a few reading threads.

mod backup;
mod fault;
mod process;
mod queue;
mod reader;
mod record;
mod schema;
mod tx;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    any::Any,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::oneshot;

pub(crate) use self::schema::SEALED;
pub use self::{
    backup::{BackupInfo, backup, restore, verify_backup},
    process::{Forking, prepare_fork},
    schema::{PendingStep, SchemaInfo, schema_info},
};
use self::{
    process::{Lanes, Opening},
    queue::Queue,
    writer::Writer,
};
use crate::{
    Result,
    error::{bail, err},
    plugin::{ReadJob, Store, WriteJob},
};

/// How a store behaves.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How long a job waits for a lock that another process holds, until it answers `store_busy`. Default: 10 s.
    pub lock_wait: Duration,
    /// How long jobs may join a group before it is committed. Default: 4 ms.
    pub group_time: Duration,
    /// How long a group waits in all for jobs that are to be expected, since others were under way just now. Default: 1 ms.
    pub gather_time: Duration,
    /// How many jobs a group may have. Default: 256.
    pub group_max: usize,
    /// How many threads read, each with a connection. Default: 2.
    pub readers: usize,
    /// Whether a missing file is made. Default: yes.
    pub create: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            lock_wait: Duration::from_secs(10),
            group_time: Duration::from_millis(4),
            gather_time: Duration::from_millis(1),
            group_max: 256,
            readers: 2,
            create: true,
        }
    }
}

/// The store in an SQLite file, or in memory.
///
/// Several processes may have the same file open. A write whose caller goes away is finished all the same.
pub struct SqliteStore {
    path: Option<PathBuf>,
    options: StoreOptions,
    /// The process that has the threads; after a fork the child has none.
    pid: u32,
    writes: Arc<Queue<writer::Request>>,
    /// None in memory, where the writer reads too.
    reads: Option<Arc<Queue<reader::Request>>>,
    /// One per thread; ends when its connection is closed.
    ended: Mutex<Vec<oneshot::Receiver<()>>>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in this file and makes it where there is none (mode 0600). Blocks: call it where that is allowed.
    ///
    /// # Errors
    /// `store_foreign`, `store_newer` and `store_corrupt` for a file that can't be a store of this version: it is left as
    /// it was. `store_unavailable` when it can't be read or made, `store_busy` when another process holds it for too long.
    pub fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self> {
        // Absolute: the process may change its directory, and no name is taken for a `file:` URI.
        let path = std::path::absolute(path.as_ref()).map_err(|e| err!(StoreUnavailable, "the store's path is unusable: {}", e.kind()))?;
        let opening = Opening::of(&path)?;
        schema::ready(&path, &options, &opening)?;
        let mut conn = schema::connect(&path, &options, false)?;
        schema::prepare(&mut conn, &options).map_err(|e| e.with("path", path.display()))?;
        let readers = (0..options.readers.max(1)).map(|_| schema::connect(&path, &options, true)).collect::<Result<Vec<_>>>()?;
        Self::start(conn, readers, Some(path), options)
    }

    /// A store in memory, for tests and trials; it ends with this value.
    ///
    /// # Errors
    /// `store_unavailable` when there is no memory or no thread for it.
    pub fn memory(options: StoreOptions) -> Result<Self> {
        let mut conn = schema::connect_memory(&options)?;
        schema::prepare(&mut conn, &options)?;
        Self::start(conn, Vec::new(), None, options)
    }

    fn start(conn: Connection, readers: Vec<Connection>, path: Option<PathBuf>, options: StoreOptions) -> Result<Self> {
        let writes = Arc::new(Queue::new());
        let reads = path.is_some().then(|| Arc::new(Queue::new()));
        let mut store = Self { path, options, pid: std::process::id(), writes, reads, ended: Mutex::default() };
        let lanes = Lanes::new(store.path.as_deref(), &store.writes, store.reads.as_ref().map(|reads| (reads, readers.len())));
        let again = |reads_only: bool| {
            let (path, options) = (store.path.clone(), store.options.clone());
            path.map(|path| move || schema::connect(&path, &options, reads_only))
        };
        let (writer, reopen) = (Writer::new(store.writes.clone(), store.options.clone()), again(false));
        type Work = Box<dyn FnOnce() + Send>;
        let mut work: Vec<(&str, Work)> = vec![("smalt-writer", Box::new(move || writer.work(conn, reopen)))];
        for conn in readers {
            if let (Some(reads), Some(reopen)) = (store.reads.clone(), again(true)) {
                let lock_wait = store.options.lock_wait;
                work.push(("smalt-reader", Box::new(move || reader::work(conn, &reads, lock_wait, reopen))));
            }
        }
        for (name, work) in work {
            store.spawn(name, lanes.clone(), work)?;
        }
        Ok(store)
    }

    fn spawn(&mut self, name: &str, lanes: Arc<Lanes>, work: Box<dyn FnOnce() + Send>) -> Result<()> {
        let (alive, ended) = oneshot::channel::<()>();
        let body = move || {
            // Dropped last, after the connection that `work` owns.
            let (_alive, _lanes) = (alive, lanes);
            work();
        };
        thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|_| err!(StoreUnavailable, "no thread could be started"))?;
        self.ended.get_mut().unwrap_or_else(PoisonError::into_inner).push(ended);
        Ok(())
    }

    fn check_process(&self) -> Result<()> {
        if std::process::id() != self.pid {
            bail!(Closed, "this process was forked from the one that opened the store, whose handles don't work here");
        }
        Ok(())
    }

    async fn submit(&self, job: WriteJob, keep: bool) -> Result<Box<dyn Any + Send>> {
        let (answer, answered) = oneshot::channel();
        let until = Instant::now() + self.options.lock_wait;
        self.writes.push(writer::Request::Job { job, keep, until, answer }).map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn closed() -> crate::Error {
    err!(Closed, "the store was closed")
}

#[async_trait]
impl Store for SqliteStore {
    async fn write(&self, job: WriteJob) -> Result<Box<dyn Any + Send>> {
        self.check_process()?;
        self.submit(job, true).await
    }

    async fn read(&self, job: ReadJob) -> Result<Box<dyn Any + Send>> {
        self.check_process()?;
        let Some(reads) = &self.reads else {
            return self.submit(job, false).await;
        };
        let (answer, answered) = oneshot::channel();
        reads.push(reader::Request::Job { job, answer }).map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn foreign_version(&self) -> Result<i64> {
        self.check_process()?;
        let (answer, answered) = oneshot::channel();
        self.writes.push(writer::Request::Version(answer)).map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn close(&self) {
        if self.check_process().is_err() {
            return;
        }
        if let Some(reads) = &self.reads {
            reads.close();
        }
        let mut ended = std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        // The writer was started first and ends last: only its connection can take the log away with it.
        let readers = ended.split_off(ended.len().min(1));
        for thread in readers {
            let _ = thread.await;
        }
        self.writes.close();
        for thread in ended {
            let _ = thread.await;
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // In a forked child the locks may be held for ever by threads that don't exist there.
        if self.check_process().is_ok() {
            self.writes.close();
            if let Some(reads) = &self.reads {
                reads.close();
            }
        }
    }
}
