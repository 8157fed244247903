//! Opening the file: what is there, whose it is, and which version; making a new one and moving an old one on.

use std::{
    fs,
    io::{ErrorKind, Read},
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, config::DbConfig};

use super::{
    StoreOptions,
    fault::{busy, fault},
    process::Opening,
};
use crate::{
    Result,
    error::{Code, Error, bail, err},
    failpoint::failpoint,
    ids,
};

/// Marks our files in SQLite's header: `Smlt`.
const APPLICATION_ID: u32 = 0x536d_6c74;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// One step from the version before.
pub(super) struct Migration {
    pub(super) version: u32,
    /// The oldest version whose programs may open a store that has this one.
    pub(super) oldest_reader: u32,
    /// What it brings, for people.
    pub(super) about: &'static str,
    pub(super) sql: &'static str,
}

/// The last version that brought something sealed. Once a key was replaced, programs of an older one may not open the store any more:
/// they would not know of the new key, or would pass over rows that they do not know. A step with a new sealed column raises it.
pub(crate) const SEALED: u32 = 8;

/// In order. A released step never changes. Expand first; contract a minor release later.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, oldest_reader: 1, about: "accounts, connections, configs, the log", sql: include_str!("migrations/0001.sql") },
    Migration { version: 2, oldest_reader: 1, about: "keys of backends for the HTTP API", sql: include_str!("migrations/0002.sql") },
    Migration {
        version: 3,
        oldest_reader: 1,
        about: "renewal ahead, and how connections and clients stand",
        sql: include_str!("migrations/0003.sql"),
    },
    Migration { version: 4, oldest_reader: 1, about: "rotation of data keys", sql: include_str!("migrations/0004.sql") },
    Migration { version: 5, oldest_reader: 1, about: "webhooks", sql: include_str!("migrations/0005.sql") },
    Migration { version: 6, oldest_reader: 1, about: "links to the hosted page", sql: include_str!("migrations/0006.sql") },
    Migration { version: 7, oldest_reader: 1, about: "clients that were registered by protocol", sql: include_str!("migrations/0007.sql") },
    Migration {
        version: 8,
        oldest_reader: 1,
        about: "credentials for the organisation's own application, and runs of workflows",
        sql: include_str!("migrations/0008.sql"),
    },
];

/// The version that this program writes.
pub(super) const SCHEMA: u32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// Tries until it works, fails otherwise than by a lock, or the time is over.
pub(super) fn patiently<T>(wait: Duration, mut attempt: impl FnMut() -> rusqlite::Result<T>) -> Result<T> {
    let end = Instant::now() + wait;
    loop {
        match attempt() {
            Err(error) if busy(&error) && Instant::now() < end => nap(),
            ended => return ended.map_err(|e| fault(&e)),
        }
    }
}

/// A short sleep of random length, so that processes that wait for the same lock don't march in step.
pub(super) fn nap() {
    let spread = ids::random::<1>().map_or(128, |[byte]| u64::from(byte));
    std::thread::sleep(Duration::from_micros(200 + spread * 8));
}

/// Makes sure that there is a store of ours at the path, of this program's version or one that it may open.
/// Everything that is refused is left byte for byte as it was.
pub(super) fn ready(path: &Path, options: &StoreOptions, opening: &Opening) -> Result<()> {
    // It was looked at when it was opened, and must not be opened past SQLite now.
    let inspected = if opening.is_open() { look_inside(path, options) } else { inspect(path, options) };
    inspected.map_err(|e| e.with("path", path.display()))
}

fn unreadable(error: &std::io::Error) -> Error {
    err!(StoreUnavailable, "the store's file cannot be read: {}", error.kind())
}

fn inspect(path: &Path, options: &StoreOptions) -> Result<()> {
    let mut header = Vec::with_capacity(100);
    match fs::File::open(path) {
        Ok(file) => match file.take(100).read_to_end(&mut header) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::IsADirectory => bail!(StoreForeign, "the path names a directory"),
            Err(error) => return Err(unreadable(&error)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if !options.create {
                bail!(StoreUnavailable, "there is no store at this path and none may be made");
            }
            create_file(path)?;
        }
        Err(error) => return Err(unreadable(&error)),
    }
    if header.is_empty() {
        // A store is never empty while it has a log: this one lost its body.
        if log_bytes(path) > 0 {
            bail!(StoreCorrupt, "the store's file is empty, but its write-ahead log is not");
        }
        return Ok(());
    }
    check_header(&header)?;
    look_inside(path, options)
}

/// A new file is its owner's alone; SQLite gives the files beside it the same mode.
fn create_file(path: &Path) -> Result<()> {
    let mut how = fs::OpenOptions::new();
    how.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    match how.open(path) {
        Ok(_) => Ok(()),
        // Another process was faster: whoever gets the lock fills it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(err!(StoreUnavailable, "the store's file cannot be made: {}", error.kind())),
    }
}

fn check_header(header: &[u8]) -> Result<()> {
    let marked = header.get(68..72) == Some(&APPLICATION_ID.to_be_bytes()[..]);
    if !header.starts_with(MAGIC) {
        if marked || (header.len() < MAGIC.len() && MAGIC.starts_with(header)) {
            bail!(StoreCorrupt, "the store's header is damaged");
        }
        bail!(StoreForeign, "the file is no SQLite database");
    }
    if header.len() < 100 {
        bail!(StoreCorrupt, "the store's file is cut off inside its header");
    }
    if !marked {
        bail!(StoreForeign, "the file is an SQLite database of another program");
    }
    Ok(())
}

pub(super) fn log_bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).map_or(0, |m| m.len())
}

/// Checks size and version without the right to write.
fn look_inside(path: &Path, options: &StoreOptions) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let look = || -> rusqlite::Result<Result<()>> {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(Duration::ZERO)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let snapshot = conn.unchecked_transaction()?;
        let versions = versions(&snapshot)?;
        let pages: u32 = snapshot.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let size: u32 = snapshot.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        // While there is a log, pages may stand there that the file does not have yet.
        let whole = log_bytes(path) > 0 || fs::metadata(path).is_ok_and(|m| m.len() >= u64::from(pages) * u64::from(size));
        Ok(if whole { versions.map(drop) } else { Err(err!(StoreCorrupt, "the store's file is cut off")) })
    };
    match patiently(options.lock_wait, look) {
        // A process died while it made the store, or the folder is read-only: the opening proper sorts it out.
        Err(error) if error.is(Code::StoreUnavailable) => Ok(()),
        ended => ended?,
    }
}

/// What a store's schema is, and what this program would do with it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SchemaInfo {
    /// The store's version.
    pub schema: u32,
    /// The oldest version whose programs may open the store.
    pub oldest_reader: u32,
    /// The version that this program knows.
    pub known: u32,
    /// What would run when this program opens it, in order.
    pub pending: Vec<PendingStep>,
}

/// A step that has not run yet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PendingStep {
    /// The version that it leads to.
    pub schema: u32,
    /// The oldest version whose programs may open the store afterwards.
    pub oldest_reader: u32,
    /// What it brings.
    pub about: String,
}

/// Says what schema the store has and what would run; changes nothing. Blocks.
///
/// # Errors
/// As [`super::SqliteStore::open`]; `store_newer` too when this program is too old for it.
pub fn schema_info(path: impl AsRef<Path>) -> Result<SchemaInfo> {
    let path = std::path::absolute(path.as_ref()).map_err(|e| unreadable(&e))?;
    let options = StoreOptions { create: false, ..StoreOptions::default() };
    let told = |e: Error| e.with("path", path.display());
    let opening = Opening::of(&path)?;
    ready(&path, &options, &opening)?;
    let conn = connect(&path, &options, true)?;
    let read = || -> rusqlite::Result<Result<SchemaInfo>> {
        if conn.query_row("PRAGMA application_id", [], |row| row.get::<_, u32>(0))? != APPLICATION_ID {
            return Ok(Err(err!(StoreForeign, "the file is empty")));
        }
        let oldest = number(&conn, "oldest_reader")?.unwrap_or(0);
        Ok(versions(&conn)?.map(|schema| SchemaInfo {
            schema,
            oldest_reader: oldest,
            known: SCHEMA,
            pending: MIGRATIONS
                .iter()
                .filter(|step| step.version > schema)
                .map(|step| PendingStep {
                    schema: step.version,
                    oldest_reader: step.oldest_reader.max(oldest),
                    about: step.about.to_owned(),
                })
                .collect(),
        }))
    };
    patiently(options.lock_wait, read).and_then(|info| info).map_err(told)
}

/// The version of a store that is ours and that this program may open.
pub(super) fn version_of(conn: &Connection) -> rusqlite::Result<Result<u32>> {
    versions(conn)
}

/// A number among the meta rows.
fn number(conn: &Connection, key: &str) -> rusqlite::Result<Option<u32>> {
    let text: Option<Vec<u8>> = conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    Ok(text.and_then(|t| String::from_utf8(t).ok()?.parse().ok()))
}

/// The version of a store that is ours, or why it can't be opened.
fn versions(conn: &Connection) -> rusqlite::Result<Result<u32>> {
    let number = |key: &str| number(conn, key);
    let tables: u32 = conn.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Err(err!(StoreCorrupt, "the store has lost its tables")));
    }
    let (Some(version), Some(oldest)) = (number("schema_version")?, number("oldest_reader")?) else {
        return Ok(Err(err!(StoreCorrupt, "the store does not say its version").with("table", "meta").with("row", "schema_version")));
    };
    if oldest > SCHEMA {
        return Ok(Err(err!(StoreNewer, "the store has schema {version}, which needs at least {oldest}; this program knows {SCHEMA}")
            .with("schema", version)
            .with("known", SCHEMA)));
    }
    Ok(Ok(version))
}

/// A connection with our settings.
pub(super) fn connect(path: &Path, options: &StoreOptions, reads_only: bool) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    patiently(options.lock_wait, || {
        let conn = Connection::open_with_flags(path, flags)?;
        settle(&conn, reads_only)?;
        Ok(conn)
    })
    .map_err(|e| e.with("path", path.display()))
}

/// A store in memory: one connection, gone with it.
pub(super) fn connect_memory(options: &StoreOptions) -> Result<Connection> {
    patiently(options.lock_wait, || {
        let conn = Connection::open_in_memory()?;
        settle(&conn, false)?;
        Ok(conn)
    })
}

fn settle(conn: &Connection, reads_only: bool) -> rusqlite::Result<()> {
    // We wait ourselves, with jitter; SQLite's own handler favours whoever came last.
    conn.busy_timeout(Duration::ZERO)?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // A plan is made once: otherwise a statement whose value could change it (a LIMIT) is made anew at each use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // FULL: an acknowledged commit survives a power cut. Nothing temporary on disk; what is deleted is overwritten.
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8192;",
    )?;
    if reads_only {
        conn.execute_batch("PRAGMA query_only = ON")?;
    }
    Ok(())
}

/// Fills a new store, or brings an older one up to date, in one transaction; then switches to the write-ahead log.
pub(super) fn prepare(conn: &mut Connection, options: &StoreOptions) -> Result<()> {
    let marked = |conn: &Connection| conn.query_row("PRAGMA application_id", [], |row| row.get::<_, u32>(0));
    let known = patiently(options.lock_wait, || Ok(if marked(conn)? == APPLICATION_ID { Some(versions(conn)?) } else { None }))?;
    if known.transpose()?.is_none_or(|version| version < SCHEMA) {
        let end = Instant::now() + options.lock_wait;
        // Exclusive: in a file without a write-ahead log, a reader could otherwise stand in the way of the commit.
        let tx = loop {
            match rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Exclusive) {
                Err(error) if busy(&error) && Instant::now() < end => nap(),
                ended => break ended.map_err(|e| fault(&e))?,
            }
        };
        let ours = marked(&tx).map_err(|e| fault(&e))? == APPLICATION_ID;
        let from = if ours { versions(&tx).map_err(|e| fault(&e))?? } else { 0 };
        migrate(&tx, from).map_err(|e| fault(&e))?;
        failpoint!("migrate-last");
        tx.commit().map_err(|e| fault(&e))?;
        failpoint!("migrate-committed");
    }
    let mode: String = patiently(options.lock_wait, || conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)))?;
    if mode != "wal" && mode != "memory" {
        bail!(StoreUnavailable, "the file system allows no write-ahead log");
    }
    // The switch alone does not open the log, and only a connection that has it open takes it away when it closes last.
    patiently(options.lock_wait, || conn.query_row("SELECT 1 FROM meta LIMIT 1", [], |_| Ok(())))
}

fn migrate(conn: &Connection, from: u32) -> rusqlite::Result<()> {
    if from == 0 {
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    for step in MIGRATIONS.iter().filter(|step| step.version > from) {
        conn.execute_batch(step.sql)?;
        failpoint!("migrate-step");
        // A store may demand more than its schema does, e.g. since its keys were rotated.
        let oldest = if from == 0 { step.oldest_reader } else { number(conn, "oldest_reader")?.unwrap_or(0).max(step.oldest_reader) };
        for (key, value) in [("schema_version", step.version), ("oldest_reader", oldest)] {
            conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (key, value.to_string().into_bytes()))?;
        }
    }
    Ok(())
}
