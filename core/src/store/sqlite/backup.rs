//! Backups: a copy of one moment while others write, with a value that says whether it is whole; and putting one back.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, backup::Backup, backup::StepResult, types::ValueRef};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    StoreOptions,
    fault::{busy, fault},
    process::{Opening, same_file},
    schema,
};
use crate::{
    Result, Timestamp,
    error::{Code, Error, bail, err},
    ids,
    plugin::{Clock, SystemClock},
};

/// Under which name a backup says what it is, among its meta rows.
const LABEL: &str = "backup";
/// Pages per step: the lock on the source is let go in between.
const PAGES: i32 = 1000;
/// By how much the numbers of the log and of the audit jump when a backup is put back, so that no cursor that was given out
/// since the backup names a number that comes again.
const JUMP: i64 = 1 << 32;

/// What a backup is, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupInfo {
    /// The file.
    pub path: PathBuf,
    /// Of which moment it is.
    pub taken_at: Timestamp,
    /// The store's schema version.
    pub schema: u32,
    /// How many rows it holds.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 over every table and row, in hex. The same value stands in the file.
    pub check: String,
}

#[derive(Serialize, Deserialize)]
struct Label {
    v: u32,
    taken_at: Timestamp,
    rows: u64,
    check: String,
}

/// Copies the store into a new file (mode 0600) while others write: all of one moment, by SQLite's online backup. What was
/// acknowledged before the call is in it. The copy is compared with its check value before it gets its name. Blocks.
///
/// # Errors
/// `invalid_request` when there is a file already and `replace` is false; `store_unavailable`, `store_foreign`, `store_corrupt`.
pub fn backup(store: impl AsRef<Path>, to: impl AsRef<Path>, replace: bool) -> Result<BackupInfo> {
    let (store, to) = (absolute(store.as_ref())?, absolute(to.as_ref())?);
    if same_file(&store, &to) {
        bail!(InvalidRequest, "the backup cannot be the store itself");
    }
    if !replace && to.exists() {
        bail!(InvalidRequest, "`{}` is there already", to.display());
    }
    let options = StoreOptions { create: false, ..StoreOptions::default() };
    let opening = Opening::of(&store)?;
    schema::ready(&store, &options, &opening)?;
    let source = schema::connect(&store, &options, true)?;
    opening.opened();
    let part = Part::beside(&to)?;
    let taken_at = SystemClock::default().now();
    copy(&source, &part.path, options.lock_wait).map_err(|e| e.with("path", store.display()))?;
    let mut made = Connection::open(&part.path).map_err(|e| fault(&e))?;
    let (schema, rows, check) = finish(&mut made, taken_at).map_err(|e| fault(&e))?;
    close(made)?;
    let bytes = part.become_file(&to)?;
    Ok(BackupInfo { path: to, taken_at, schema, rows, bytes, check })
}

/// Compares a backup with its check value.
///
/// # Errors
/// `store_foreign` for another program's file, `store_newer` for a newer Smalt's, `store_corrupt` when it is not whole,
/// `invalid_request` when it is a store, but no backup.
pub fn verify_backup(path: impl AsRef<Path>) -> Result<BackupInfo> {
    let path = absolute(path.as_ref())?;
    let opening = Opening::of(&path)?;
    schema::ready(&path, &StoreOptions { create: false, ..StoreOptions::default() }, &opening)?;
    check(&path).map_err(|e| e.with("path", path.display()))
}

fn check(path: &Path) -> Result<BackupInfo> {
    let bytes = fs::metadata(path).map_err(|e| unusable("read", &e))?.len();
    if bytes == 0 {
        bail!(StoreForeign, "the file is empty");
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| fault(&e))?;
    let label: Option<Vec<u8>> = match conn.query_row("SELECT value FROM meta WHERE key = ?1", [LABEL], |row| row.get(0)) {
        Ok(label) => Some(label),
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        Err(error) => return Err(fault(&error)),
    };
    let Some(label) = label else {
        bail!(InvalidRequest, "this is a store, but no backup that was finished");
    };
    let damaged = || err!(StoreCorrupt, "the backup is not whole");
    let label: Label = serde_json::from_slice(&label).map_err(|_| damaged())?;
    let (rows, check) = digest(&conn).map_err(|e| fault(&e))?;
    if (rows, &check) != (label.rows, &label.check) || !sound(&conn).map_err(|e| fault(&e))? {
        return Err(damaged());
    }
    let schema = schema::version_of(&conn).map_err(|e| fault(&e))??;
    Ok(BackupInfo { path: path.to_owned(), taken_at: label.taken_at, schema, rows, bytes, check })
}

/// Puts a backup in the place of a store, or where there is none; the backup itself stays as it is. Blocks.
///
/// What would be wrong after a step back in time is put right: sessions are revoked, since one that was revoked after the backup
/// would count again; connect flows under way are over; leases are free; the log's numbers jump ahead of all that were given
/// out. Refresh tokens that were renewed since the backup are spent: each such connection asks its provider once, and is then
/// `reauth_required`.
///
/// # Errors
/// Those of [`verify_backup`]. `invalid_request` when there is a store already and `replace` is false; `store_busy` when another
/// process has it open; `store_foreign` when what is there is no store.
pub fn restore(backup: impl AsRef<Path>, store: impl AsRef<Path>, replace: bool) -> Result<BackupInfo> {
    let (from, to) = (absolute(backup.as_ref())?, absolute(store.as_ref())?);
    let info = verify_backup(&from)?;
    if same_file(&from, &to) {
        bail!(InvalidRequest, "the store cannot be the backup itself");
    }
    let there = fs::metadata(&to).is_ok_and(|meta| !meta.is_file() || meta.len() > 0) || schema::log_bytes(&to) > 0;
    if there && !replace {
        bail!(InvalidRequest, "there is a store at `{}` already", to.display());
    }
    let part = Part::beside(&to)?;
    let copied = fs::File::open(&from).and_then(|mut from| {
        let mut to = fs::OpenOptions::new().write(true).truncate(true).open(&part.path)?;
        std::io::copy(&mut from, &mut to)
    });
    copied.map_err(|e| unusable("copied", &e))?;
    // What was read a moment ago may have been changed since.
    check(&part.path)?;
    let mut made = Connection::open(&part.path).map_err(|e| fault(&e))?;
    put_right(&mut made).map_err(|e| fault(&e))?;
    close(made)?;
    let held = if there { hold(&to).map_err(|e| e.with("path", to.display()))? } else { None };
    if held.is_none() {
        // The log of a store that cannot be opened any more must not be taken for that of the new one.
        for end in ["-wal", "-shm", "-journal"] {
            match fs::remove_file(beside(&to, end)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable("removed", &error)),
                _ => {}
            }
        }
    }
    let bytes = part.become_file(&to)?;
    drop(held);
    Ok(BackupInfo { path: to, bytes, ..info })
}

/// Makes sure that nobody else has the store open, and holds it until it is replaced. None when it cannot be opened at all.
fn hold(path: &Path) -> Result<Option<(Connection, Opening)>> {
    let in_use = || err!(StoreBusy, "other processes have the store open; stop them first");
    let opening = Opening::of(path)?;
    let look = schema::ready(path, &StoreOptions { create: false, lock_wait: Duration::from_secs(2), ..StoreOptions::default() }, &opening);
    match look {
        Err(error) if error.is(Code::StoreCorrupt) => return Ok(None),
        Err(error) if error.is(Code::StoreNewer) => {}
        ended => ended?,
    }
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let alone = conn.and_then(|conn| {
        conn.busy_timeout(Duration::from_secs(2))?;
        // The log can be left by its only connection only.
        let mode: String = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        if mode == "delete" {
            conn.execute_batch("BEGIN EXCLUSIVE")?;
        }
        Ok((conn, mode))
    });
    match alone {
        Ok((conn, mode)) if mode == "delete" => Ok(Some((conn, opening))),
        Ok(_) => Err(in_use()),
        Err(error) if busy(&error) => Err(in_use()),
        Err(error) => match fault(&error) {
            damaged if damaged.is(Code::StoreCorrupt) => Ok(None),
            told => Err(told),
        },
    }
}

/// Copies all pages as they are at this moment.
fn copy(source: &Connection, to: &Path, wait: Duration) -> Result<()> {
    // An open snapshot: without it, SQLite begins anew after each commit of another connection.
    schema::patiently(wait, || {
        source.execute_batch("BEGIN")?;
        let looked = source.query_row("SELECT 1 FROM meta LIMIT 1", [], |_| Ok(()));
        if looked.is_err() {
            let _ = source.execute_batch("ROLLBACK");
        }
        looked
    })?;
    let mut made = Connection::open(to).map_err(|e| fault(&e))?;
    let copying = Backup::new(source, &mut made).map_err(|e| fault(&e))?;
    while copying.step(PAGES).map_err(|e| fault(&e))? != StepResult::Done {}
    drop(copying);
    // One file that needs no other: not the source's log.
    let mode: String = made.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).map_err(|e| fault(&e))?;
    if mode != "delete" {
        bail!(StoreUnavailable, "the backup could not leave the write-ahead log");
    }
    close(made)
}

/// Writes the check value into the copy: schema version, rows, value.
fn finish(conn: &mut Connection, taken_at: Timestamp) -> rusqlite::Result<(u32, u64, String)> {
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")?;
    conn.execute("DELETE FROM meta WHERE key = ?1", [LABEL])?;
    let (rows, check) = digest(conn)?;
    let label = Label { v: 1, taken_at, rows, check };
    let text = serde_json::to_vec(&label).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    conn.execute("INSERT INTO meta (key, value) VALUES (?1, ?2)", (LABEL, text))?;
    let schema = schema::version_of(conn)?.unwrap_or(0);
    if !sound(conn)? {
        return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), None));
    }
    Ok((schema, rows, label.check))
}

fn put_right(conn: &mut Connection) -> rusqlite::Result<()> {
    let now = SystemClock::default().now().millis();
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")?;
    let tx = conn.transaction()?;
    tx.execute("DELETE FROM meta WHERE key = ?1", [LABEL])?;
    tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('restored_at', ?1)", [now.to_string().into_bytes()])?;
    tx.execute("UPDATE sessions SET revoked_at = ?1 WHERE revoked_at IS NULL", [now])?;
    tx.execute(
        "UPDATE flows SET status = 'expired', state_used = 1, claim_hash = NULL, sealed = x'', changed_at = ?1
         WHERE status IN ('pending', 'parked', 'exchanging', 'polling')",
        [now],
    )?;
    tx.execute_batch(
        "UPDATE connections SET lease_owner = NULL, lease_boot = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL;
         UPDATE revocations SET lease_owner = NULL, lease_boot = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL;",
    )?;
    // A backup may be older than they are.
    let registers: bool = tx.query_row("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'registrations'", [], |row| row.get(0))?;
    if registers {
        tx.execute_batch(
            "UPDATE registrations SET lease_owner = NULL, lease_boot = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL",
        )?;
    }
    tx.execute("UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name IN ('events', 'audit')", [JUMP])?;
    tx.commit()
}

fn sound(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0)).map(|said| said == "ok")
}

/// How many rows there are, and SHA-256 over all of them, table by table; without the backup's own label.
fn digest(conn: &Connection) -> rusqlite::Result<(u64, String)> {
    let mut sum = Sha256::new();
    let mut rows = 0;
    let tables: Vec<(String, String)> = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let part = |sum: &mut Sha256, kind: u8, bytes: &[u8]| {
        sum.update([kind]);
        sum.update((bytes.len() as u64).to_be_bytes());
        sum.update(bytes);
    };
    for (table, sql) in tables {
        part(&mut sum, b't', table.as_bytes());
        part(&mut sum, b'd', sql.as_bytes());
        let rest = if table == "meta" { format!(" WHERE key <> '{LABEL}'") } else { String::new() };
        // In the order of the table itself.
        let mut statement = conn.prepare(&format!("SELECT * FROM \"{}\" NOT INDEXED{rest}", table.replace('"', "\"\"")))?;
        let columns = statement.column_count();
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            rows += 1;
            sum.update(b"r");
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Null => part(&mut sum, b'n', &[]),
                    ValueRef::Integer(number) => part(&mut sum, b'i', &number.to_be_bytes()),
                    ValueRef::Real(number) => part(&mut sum, b'f', &number.to_bits().to_be_bytes()),
                    ValueRef::Text(text) => part(&mut sum, b's', text),
                    ValueRef::Blob(bytes) => part(&mut sum, b'b', bytes),
                }
            }
        }
    }
    Ok((rows, ids::hex(&sum.finalize())))
}

fn close(conn: Connection) -> Result<()> {
    conn.close().map_err(|(_, e)| fault(&e))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| unusable("named", &e))
}

fn unusable(done: &str, error: &std::io::Error) -> Error {
    err!(StoreUnavailable, "a file could not be {done}: {}", error.kind())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// A file that is being made, its owner's alone; gone when it is not finished.
struct Part {
    path: PathBuf,
    done: bool,
}

impl Part {
    fn beside(target: &Path) -> Result<Self> {
        let path = beside(target, &format!(".{}.part", ids::hex(&ids::random::<6>()?)));
        let mut how = fs::OpenOptions::new();
        how.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        how.open(&path).map_err(|e| unusable("made", &e).with("path", target.display()))?;
        Ok(Self { path, done: false })
    }

    /// Gives the file its name once it is on the disk; answers its size.
    fn become_file(mut self, target: &Path) -> Result<u64> {
        let on_disk = || -> std::io::Result<u64> {
            let file = fs::File::open(&self.path)?;
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            fs::rename(&self.path, target)?;
            #[cfg(unix)]
            if let Some(folder) = target.parent() {
                fs::File::open(folder)?.sync_all()?;
            }
            Ok(bytes)
        };
        let bytes = on_disk().map_err(|e| unusable("put in its place", &e))?;
        self.done = true;
        Ok(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.done {
            for end in ["", "-journal", "-wal", "-shm"] {
                let _ = fs::remove_file(beside(&self.path, end));
            }
        }
    }
}
