//! What this process has open, and how it forks.
//!
//! SQLite on Unix keeps in the memory of the process which file has which lock, since the locks of the operating system belong to the process
//! (POSIX `fcntl`). Two things follow (<https://sqlite.org/howtocorrupt.html>, sections 2.2 and 2.6):
//!
//! - Whoever opens a store's file past SQLite and closes it drops the locks of all connections of the process. So nobody does while it is open.
//! - A forked child inherits the notes, not the locks. What it opens may wait for a lock for ever that nobody holds; or it believes that it
//!   holds one, its parent closes as if it were the last, takes the log away, and what the child writes from then on is lost. So nothing is
//!   open while this process forks: [`prepare_fork`] has every thread of every store close its connection, which is opened again afterwards.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::{queue::Queue, reader, writer};
use crate::{Result, error::bail};

/// How long a fork waits for what is under way.
const PATIENCE: Duration = Duration::from_secs(10);

static HERE: Mutex<Here> = Mutex::new(Here { stores: Vec::new(), opening: Vec::new() });
static CHANGED: Condvar = Condvar::new();

struct Here {
    stores: Vec<Weak<Lanes>>,
    /// Files that are just being opened (true: nobody else opens them meanwhile), copied or looked at.
    opening: Vec<(PathBuf, bool)>,
}

fn here() -> MutexGuard<'static, Here> {
    // Lists only: no code of others runs under this lock.
    HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The threads of a store. Lives as long as one of them has a connection.
pub(super) struct Lanes {
    process: u32,
    /// None in memory.
    file: Option<PathBuf>,
    writes: Arc<Queue<writer::Request>>,
    reads: Option<(Arc<Queue<reader::Request>>, usize)>,
}

impl Lanes {
    pub(super) fn new(
        file: Option<&Path>,
        writes: &Arc<Queue<writer::Request>>,
        reads: Option<(&Arc<Queue<reader::Request>>, usize)>,
    ) -> Arc<Self> {
        let reads = reads.map(|(queue, threads)| (queue.clone(), threads));
        let lanes = Arc::new(Self { process: std::process::id(), file: file.map(named), writes: writes.clone(), reads });
        let mut here = here();
        here.stores.retain(|store| store.strong_count() > 0);
        here.stores.push(Arc::downgrade(&lanes));
        lanes
    }

    /// Asks each thread to close its connection, and to wait.
    fn park(&self, gate: &Arc<Gate>) {
        // A thread whose queue is closed is about to end.
        let _ = self.writes.push(writer::Request::Park(Parking::new(gate)));
        if let Some((queue, threads)) = &self.reads {
            for _ in 0..*threads {
                let _ = queue.push(reader::Request::Park(Parking::new(gate)));
            }
        }
    }
}

/// The same for all ways to write a path.
fn named(path: &Path) -> PathBuf {
    match (path.parent().map(fs::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Whether both are there, and one file.
#[cfg(unix)]
pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    matches!((fs::metadata(a), fs::metadata(b)), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Whether both are there, and one file.
#[cfg(not(unix))]
pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// A store's file that is being opened. One at a time for each file, and none while this process forks.
pub(super) struct Opening {
    file: PathBuf,
    is_open: bool,
}

impl Opening {
    /// Waits for its turn.
    ///
    /// # Errors
    /// `closed` in a child that was forked, past [`prepare_fork`], while its parent had the file open.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let file = named(path);
        let alone = |here: &mut Here| here.opening.iter().any(|(other, alone)| *alone && *other == file);
        let mut here = CHANGED.wait_while(here(), alone).unwrap_or_else(PoisonError::into_inner);
        let same = |other: &Path| other == file || same_file(other, &file);
        let mut is_open = here.opening.iter().any(|(other, _)| same(other));
        for store in here.stores.iter().filter_map(Weak::upgrade) {
            if store.file.as_deref().is_some_and(same) {
                if store.process != std::process::id() {
                    bail!(
                        Closed,
                        "this process was forked while its parent had the store open, and SQLite would lose writes here: open it after the fork \
                         only, or fork between `smalt::store::prepare_fork` and the end of what it answers"
                    );
                }
                is_open = true;
            }
        }
        here.opening.push((file.clone(), true));
        Ok(Self { file, is_open })
    }

    /// It was opened: others may follow, while this one goes on.
    pub(super) fn opened(&self) {
        let mut here = here();
        if let Some(it) = here.opening.iter_mut().find(|(file, alone)| *alone && *file == self.file) {
            it.1 = false;
        }
        drop(here);
        CHANGED.notify_all();
    }

    /// Whether this process has the file open already.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut here = here();
        if let Some(at) = here.opening.iter().position(|(file, _)| *file == self.file) {
            here.opening.swap_remove(at);
        }
        drop(here);
        CHANGED.notify_all();
    }
}

/// Where threads wait while the process forks.
struct Gate {
    state: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    /// Threads that were asked and have not closed yet.
    busy: usize,
    is_over: bool,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thread is given that shall close its connection.
pub(super) struct Parking(Arc<Gate>);

impl Parking {
    fn new(gate: &Arc<Gate>) -> Self {
        gate.state().busy += 1;
        Self(gate.clone())
    }

    /// To be called without a connection. Returns when the fork is over.
    pub(super) fn wait(self) {
        let gate = self.0.clone();
        drop(self);
        drop(gate.changed.wait_while(gate.state(), |state| !state.is_over).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Parking {
    /// Also where a thread ended instead.
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.changed.notify_all();
    }
}

/// While it lives, no store of this process has a connection open. To be dropped on both sides of the fork, by the thread that forked.
#[must_use = "the stores stay closed as long as this lives"]
pub struct Forking {
    process: u32,
    gate: Arc<Gate>,
    is_clean: bool,
    here: Option<MutexGuard<'static, Here>>,
}

impl fmt::Debug for Forking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forking").field("is_clean", &self.is_clean).finish_non_exhaustive()
    }
}

impl Forking {
    /// Whether all was closed in time (10 s). Otherwise the child cannot open the stores that its parent has: they answer `closed` there, in words.
    pub fn is_clean(&self) -> bool {
        self.is_clean
    }
}

/// Has every open store of this process close its connections until what is answered is dropped: for hosts that fork and go on in the
/// child, such as Python's `os.fork`. Calls wait meanwhile and are then served; a child opens what it needs by itself. Where a process
/// is only forked to run another program, nothing need be done.
pub fn prepare_fork() -> Forking {
    let until = Instant::now() + PATIENCE;
    let left = || until.saturating_duration_since(Instant::now());
    let (here, timeout) =
        CHANGED.wait_timeout_while(here(), left(), |here| !here.opening.is_empty()).unwrap_or_else(PoisonError::into_inner);
    let gate = Arc::new(Gate { state: Mutex::new(Waiting { busy: 0, is_over: false }), changed: Condvar::new() });
    let process = std::process::id();
    let mut ending = Vec::new();
    for store in here.stores.iter().filter_map(Weak::upgrade).filter(|store| store.process == process) {
        store.park(&gate);
        if store.writes.is_closed() {
            ending.push(Arc::downgrade(&store));
        }
    }
    let (state, late) =
        gate.changed.wait_timeout_while(gate.state(), left(), |state| state.busy > 0).unwrap_or_else(PoisonError::into_inner);
    drop(state);
    // Their threads took nothing from their queues any more.
    while ending.iter().any(|store| store.strong_count() > 0) && !left().is_zero() {
        std::thread::sleep(Duration::from_micros(200));
    }
    let is_clean = !timeout.timed_out() && !late.timed_out() && ending.iter().all(|store| store.strong_count() == 0);
    Forking { process, gate, is_clean, here: Some(here) }
}

impl Drop for Forking {
    fn drop(&mut self) {
        if std::process::id() == self.process {
            self.gate.state().is_over = true;
            self.gate.changed.notify_all();
        } else if let Some(here) = &mut self.here {
            // The threads of the parent are not here, and neither is what they were about to open.
            here.opening.clear();
            if self.is_clean {
                here.stores.clear();
            }
        }
        self.here = None;
        CHANGED.notify_all();
    }
}
