//! The store against kills, damage, foreign files and other processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use rusqlite::Connection;
use smalt::{
    Code, Secret,
    model::{Environment, Tenant},
    plugin::{Store, StoreExt, SystemClock},
    store::{
        SqliteStore, StoreOptions,
        rows::{AccountRow, ConnectionRow, NewEvent},
        schema_info,
    },
    vault::{Aad, LocalKey, Vault},
};

/// Whether the rows of the reliability table run at their full size.
fn full() -> bool {
    std::env::var_os("SMALT_FULL").is_some()
}

/// Enough chance for a test; the seed stands in its messages.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Self(now.as_nanos() as u64 | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        // Xorshift (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn tenant() -> Tenant {
    Tenant { org: "acme".into(), environment: Environment::Test }
}

fn open(path: &Path) -> smalt::Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(path, StoreOptions::default())?))
}

fn account(id: &str) -> AccountRow {
    AccountRow { id: id.into(), record_id: id.into(), name: None, properties_json: "{}".into(), created_at: 1, updated_at: 1 }
}

fn connection(id: &str, sealed: Vec<u8>) -> ConnectionRow {
    ConnectionRow {
        id: id.into(),
        account_id: "customer-42".into(),
        application: "slack".into(),
        client_key: "main".into(),
        auth_type: "oauth2".into(),
        status: "active".into(),
        is_default: true,
        identity_id: Some("T1".into()),
        identity_label: Some("Acme".into()),
        grant_key: Some(format!("grant-{id}")),
        scopes_json: "[]".into(),
        properties_json: "{}".into(),
        sealed,
        secret_version: 1,
        created_at: 1,
        connected_at: 1,
        expires_at: None,
        refreshed_at: 1,
        last_error_json: None,
        refresh_print: None,
        presented: None,
        lease_owner: None,
        lease_boot: None,
        lease_until: None,
        cooldown_until: None,
        renew_at: None,
        used_at: None,
        trouble: None,
        tries: 0,
        row_version: 1,
    }
}

fn integrity(path: &Path) -> String {
    Connection::open(path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

// ---- Child processes: this same program, told by the environment what to do.

fn child(role: &str, path: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_a_child", "--nocapture", "--test-threads=1"])
        .envs([("SMALT_CHILD", role), ("SMALT_CHILD_NAME", name)])
        .env("SMALT_CHILD_STORE", path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn tell(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Not a test of its own: what the children of the others run.
#[test]
fn as_a_child() {
    let Ok(role) = std::env::var("SMALT_CHILD") else { return };
    let path = PathBuf::from(std::env::var_os("SMALT_CHILD_STORE").unwrap());
    let name = std::env::var("SMALT_CHILD_NAME").unwrap();
    if role == "old-program" {
        return old_program(&path, name.parse().unwrap());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if role == "migrate" {
            tell("begin");
        }
        let store = open(&path).unwrap();
        match role.as_str() {
            "until-killed" => write_on(&store, &name, None).await,
            "migrate" => std::future::pending().await,
            "migrate-and-end" => store.close().await,
            "for-a-while" => {
                write_on(&store, &name, Some(Duration::from_secs(if full() { 60 } else { 3 }))).await;
                store.close().await;
            }
            other => panic!("unknown role {other}"),
        }
    });
}

/// Four writers; each write is an account and an event, and is told when it is acknowledged.
async fn write_on(store: &Arc<dyn Store>, name: &str, time: Option<Duration>) {
    let (began, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let writers = (0..4).map(|_| {
        let (store, next, name) = (store.clone(), next.clone(), name.to_owned());
        tokio::spawn(async move {
            while time.is_none_or(|time| began.elapsed() < time) {
                let id = format!("{name}-{}", next.fetch_add(1, Ordering::Relaxed));
                let row = account(&id);
                let event = NewEvent {
                    id: id.clone(),
                    event_type: "account.created".into(),
                    account_id: Some(id.clone()),
                    application: None,
                    data_json: "{}".into(),
                    at: 1,
                };
                let answer = store
                    .write_with(move |tx| {
                        tx.put_account(&tenant(), &row)?;
                        tx.append_event(&tenant(), &event)
                    })
                    .await;
                tell(&answer.map_or_else(|e| format!("error {e}"), |_| format!("ack {id}")));
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// What a child told, until its end.
fn told(child: &mut Child) -> (Vec<String>, Vec<String>) {
    let (mut acks, mut others) = (Vec::new(), Vec::new());
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        match line.strip_prefix("ack ") {
            Some(id) => acks.push(id.to_owned()),
            None => others.push(line),
        }
    }
    (acks, others)
}

fn names(path: &Path, sql: &str) -> std::collections::HashSet<String> {
    let conn = Connection::open(path).unwrap();
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn r01_a_kill_loses_no_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    let mut chance = Chance::new();
    let (mut acknowledged, mut rounds_with_writes) = (Vec::new(), 0);
    let kills = if full() { 1000 } else { 200 };
    for round in 0..kills {
        let mut process = child("until-killed", &path, &format!("r{round}"));
        // From the first acknowledgement on, so that the kill comes in the middle of writing.
        let mut out = process.stderr.take().unwrap();
        let mut text = vec![0; 64];
        let read = out.read(&mut text).unwrap();
        text.truncate(read);
        std::thread::sleep(Duration::from_micros(chance.below(60_000)));
        process.kill().unwrap();
        out.read_to_end(&mut text).unwrap();
        process.wait().unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("error") && !text.contains("panicked"), "{text}");
        // The last line may be cut off by the kill: only whole ones count.
        let lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        let acks: Vec<_> = lines.filter_map(|l| Some(l.trim().strip_prefix("ack ")?.to_owned())).collect();
        rounds_with_writes += usize::from(!acks.is_empty());
        acknowledged.extend(acks);

        drop(open(&path).unwrap());
        assert_eq!(integrity(&path), "ok", "round {round}");
        let accounts = names(&path, "SELECT id FROM accounts");
        let lost: Vec<_> = acknowledged.iter().filter(|id| !accounts.contains(*id)).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
        assert_eq!(accounts, names(&path, "SELECT id FROM events"), "round {round}: half a transaction");
    }
    assert_eq!(rounds_with_writes, kills, "every kill came while writing");
}

#[test]
fn r09_two_processes_write_and_nobody_sees_a_lock() {
    let dir = tempfile::tempdir().unwrap();
    // New: both open it at once, and one makes it.
    let path = dir.path().join("smalt.db");
    let mut children: Vec<_> = ["one", "two"].map(|name| child("for-a-while", &path, name)).into();
    let ended: Vec<_> = std::thread::scope(|s| {
        children.iter_mut().map(|c| s.spawn(|| told(c))).collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut all = 0;
    for (acks, others) in &ended {
        assert!(others.is_empty(), "{others:?}");
        assert!(!acks.is_empty(), "a process never got the lock");
        all += acks.len();
    }
    assert!(children.iter_mut().all(|c| c.wait().unwrap().success()));
    assert_eq!(names(&path, "SELECT id FROM accounts").len(), all);
    assert_eq!(integrity(&path), "ok");
}

#[tokio::test]
async fn s48_the_files_are_their_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("smalt.db")).unwrap();
    store.write_with(|tx| tx.set_meta("x", b"1")).await.unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        seen += 1;
    }
    assert_eq!(seen, 3, "the file, its log and the log's index");
}

// ---- Files that are no store.

/// A settled store with a few rows.
async fn sample(path: &Path) {
    let store = open(path).unwrap();
    store
        .write_with(|tx| {
            tx.put_account(&tenant(), &account("customer-42"))?;
            (0..50).try_for_each(|n| tx.put_connection(&tenant(), &connection(&format!("c{n}"), vec![0; 200])))
        })
        .await
        .unwrap();
    store.close().await;
}

#[tokio::test]
async fn r08_what_is_no_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good.db");
    sample(&good).await;
    let bytes = fs::read(&good).unwrap();
    let path = |name: &str| dir.path().join(name);

    fs::write(path("text"), "the quick brown fox\n".repeat(50)).unwrap();
    fs::write(path("tiny"), "x").unwrap();
    Connection::open(path("foreign")).unwrap().execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    fs::write(path("half"), &bytes[..bytes.len() / 2 / 4096 * 4096]).unwrap();
    fs::write(path("cut-in-page"), &bytes[..bytes.len() - 1000]).unwrap();
    fs::write(path("cut-in-header"), &bytes[..60]).unwrap();
    let mut damaged = bytes.clone();
    damaged[3] ^= 0xff;
    fs::write(path("damaged-header"), damaged).unwrap();
    let mut garbled = bytes.clone();
    garbled[100..200].fill(0xaa);
    fs::write(path("damaged-root"), garbled).unwrap();
    fs::write(path("newer"), &bytes).unwrap();
    let newer = Connection::open(path("newer")).unwrap();
    let settle =
        "UPDATE meta SET value = CAST('9' AS BLOB) WHERE key IN ('schema_version', 'oldest_reader'); PRAGMA wal_checkpoint(TRUNCATE)";
    newer.execute_batch(settle).unwrap();
    drop(newer);
    for (name, code) in [
        ("text", Code::StoreForeign),
        ("tiny", Code::StoreForeign),
        ("foreign", Code::StoreForeign),
        ("half", Code::StoreCorrupt),
        ("cut-in-page", Code::StoreCorrupt),
        ("cut-in-header", Code::StoreCorrupt),
        ("damaged-header", Code::StoreCorrupt),
        ("damaged-root", Code::StoreCorrupt),
        ("newer", Code::StoreNewer),
    ] {
        let before = fs::read(path(name)).unwrap();
        let error = open(&path(name)).err().expect(name);
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(fs::read(path(name)).unwrap() == before, "{name} was changed");
    }
    assert_eq!(open(dir.path()).err().unwrap().code(), Code::StoreForeign, "a directory");
    assert_eq!(open(&path("no/such/folder.db")).err().unwrap().code(), Code::StoreUnavailable);
    let never = StoreOptions { create: false, ..StoreOptions::default() };
    assert_eq!(SqliteStore::open(path("missing"), never.clone()).err().unwrap().code(), Code::StoreUnavailable);
    assert!(!path("missing").exists());
    drop(SqliteStore::open(&good, never).unwrap());
}

#[tokio::test]
async fn r08_a_log_without_its_body_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    fs::write(&path, "").unwrap();
    fs::write(dir.path().join("smalt.db-wal"), [7; 4096]).unwrap();
    assert_eq!(open(&path).err().unwrap().code(), Code::StoreCorrupt);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[tokio::test]
async fn a_newer_store_that_lets_us_in_is_opened_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    sample(&path).await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("UPDATE meta SET value = CAST('9' AS BLOB) WHERE key = 'schema_version'").unwrap();
    let store = open(&path).unwrap();
    assert_eq!(store.read_with(|tx| tx.meta("schema_version")).await.unwrap(), Some(b"9".to_vec()));
    store.close().await;
    // The same, while the news stands only in the write-ahead log of a process that is still there.
    other.execute_batch("UPDATE meta SET value = CAST('9' AS BLOB) WHERE key = 'oldest_reader'").unwrap();
    assert_eq!(open(&path).err().unwrap().code(), Code::StoreNewer);
}

// ---- Damage.

#[tokio::test]
async fn r07_damage_is_named_and_the_rest_is_served() {
    const ROWS: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good.db");
    let key = LocalKey::generate().unwrap();
    let unlock = async |store: &Arc<dyn Store>| {
        let key = Arc::new(LocalKey::parse(&key.text()).unwrap());
        Vault::unlock(store.clone(), key, "acme", Arc::new(SystemClock::default())).await
    };
    let aad = |id: &str| Aad::new(&tenant(), "connections").part("customer-42").part("slack").part(id).version(1);
    let store = open(&good).unwrap();
    let vault = unlock(&store).await.unwrap();
    let rows: BTreeMap<String, String> = (0..ROWS).map(|n| (format!("c{n:03}"), format!("token of c{n:03}").repeat(20))).collect();
    let sealed: Vec<_> = rows.iter().map(|(id, token)| connection(id, vault.seal(&aad(id), token.as_bytes()).unwrap())).collect();
    store
        .write_with(move |tx| {
            tx.put_account(&tenant(), &account("customer-42"))?;
            sealed.iter().try_for_each(|row| tx.put_connection(&tenant(), row))
        })
        .await
        .unwrap();
    store.close().await;
    let bytes = fs::read(&good).unwrap();
    let pages = bytes.len() / 4096;

    let mut chance = Chance::new();
    let rounds = if full() { 100 } else { 10 };
    let (mut served, mut damaged) = (0, 0);
    for round in 0..rounds {
        let seed = chance.0;
        let mut copy = bytes.clone();
        let page = chance.below(pages as u64) as usize;
        for _ in 0..16 {
            let at = page * 4096 + chance.below(4096) as usize;
            copy[at] ^= 1 << chance.below(8);
        }
        let path = dir.path().join(format!("damaged-{round}.db"));
        fs::write(&path, copy).unwrap();
        let place = format!("seed {seed}, page {page}");
        let damage = [Code::StoreCorrupt, Code::StoreForeign, Code::StoreNewer];
        let store = match open(&path) {
            Ok(store) => store,
            Err(error) => {
                assert!(damage.contains(&error.code()), "{place}: {error}");
                damaged += 1;
                continue;
            }
        };
        for (id, token) in &rows {
            let wanted = id.clone();
            match store.read_with(move |tx| tx.connection(&tenant(), &wanted)).await {
                Ok(Some(row)) => match vault.open(&aad(id), &row.sealed) {
                    Ok(plain) => {
                        assert_eq!(plain.as_slice(), token.as_bytes(), "{place}: wrong plaintext");
                        served += 1;
                    }
                    Err(error) => {
                        assert!(error.is(Code::StoreCorrupt) && error.reason().contains(id.as_str()), "{place}: {error}");
                        damaged += 1;
                    }
                },
                Ok(None) => damaged += 1, // its key is not its key any more
                Err(error) => {
                    assert!(error.is(Code::StoreCorrupt) && error.info().context.contains_key("row"), "{place}: {error}");
                    damaged += 1;
                }
            }
        }
        let _ = store.write_with(|tx| tx.put_account(&tenant(), &account("new"))).await;
        let _ = unlock(&store).await;
        store.close().await;
    }
    assert!(served > rounds * ROWS / 2, "{served} of {} rows were served", rounds * ROWS);
    assert!(damaged > 0, "no page of {rounds} was of any use");

    // One ciphertext alone.
    let other = Connection::open(&good).unwrap();
    other.execute("UPDATE connections SET sealed = zeroblob(120) WHERE id = 'c007'", []).unwrap();
    drop(other);
    let store = open(&good).unwrap();
    let listed = store.read_with(|tx| tx.connections(&tenant(), "customer-42", None)).await.unwrap();
    let failed: Vec<_> = listed.iter().filter_map(|row| vault.open(&aad(&row.id), &row.sealed).err()).collect();
    assert_eq!((listed.len(), failed.len()), (ROWS, 1));
    assert!(failed[0].is(Code::StoreCorrupt) && failed[0].reason().contains("c007"), "{}", failed[0]);
}

// ---- Stores of older versions.

/// Keeps the fixture's secret readable; of no use elsewhere.
const FIXTURE_KEY: &str = "smalt_mk_1_q7mXh2c0vJk9TtYw3LzRb8NfUeSgDaPiOx5HnQ4C1Mw";

async fn fixture_vault(store: &Arc<dyn Store>) -> Vault {
    let key = Arc::new(LocalKey::parse(&Secret::new(FIXTURE_KEY)).unwrap());
    Vault::unlock(store.clone(), key, "acme", Arc::new(SystemClock::default())).await.unwrap()
}

fn fixture_aad() -> Aad {
    Aad::new(&tenant(), "connections").part("customer-42").part("c1").version(1)
}

/// Writes the fixture of the current schema under `SMALT_WRITE=1`: once, when a schema is released.
#[test]
fn write_fixture() {
    if std::env::var_os("SMALT_WRITE").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = open(&path).unwrap();
        let sealed = fixture_vault(&store).await.seal(&fixture_aad(), b"the token").unwrap();
        store
            .write_with(move |tx| {
                tx.put_account(&tenant(), &account("customer-42"))?;
                tx.put_connection(&tenant(), &connection("c1", sealed))
            })
            .await
            .unwrap();
        store.close().await;
    });
    let conn = Connection::open(&path).unwrap();
    let number = |pragma: &str| conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0)).unwrap();
    let mut dump = format!("PRAGMA application_id = {};\n", number("application_id"));
    let all = |sql: &str| -> Vec<String> {
        conn.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    for sql in all("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid") {
        dump += &format!("{sql};\n");
    }
    for table in all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid") {
        let columns: Vec<_> =
            all(&format!("SELECT name FROM pragma_table_info('{table}')")).iter().map(|c| format!("quote({c})")).collect();
        for row in all(&format!("SELECT {} FROM {table}", columns.join(" || ', ' || "))) {
            dump += &format!("INSERT INTO {table} VALUES ({row});\n");
        }
    }
    let version =
        String::from_utf8(conn.query_row("SELECT value FROM meta WHERE key = 'schema_version'", [], |r| r.get(0)).unwrap()).unwrap();
    fs::write(format!("{}/tests/fixtures/store/schema-{version}.sql", env!("CARGO_MANIFEST_DIR")), dump).unwrap();
}

/// The stores of all schemas that ever were: a version, and the SQL that makes one.
fn fixtures() -> Vec<(u32, String)> {
    let folder = format!("{}/tests/fixtures/store", env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Some(version) = name.strip_prefix("schema-").and_then(|rest| rest.strip_suffix(".sql")) {
            found.push((version.parse().unwrap(), fs::read_to_string(path).unwrap()));
        }
    }
    found.sort();
    // Whoever adds a schema keeps a store of it, and the statements of its programs.
    let versions: Vec<u32> = found.iter().map(|(version, _)| *version).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    make(&path, &found[0].1);
    let known = schema_info(&path).unwrap().known;
    assert_eq!(
        versions,
        (1..=known).collect::<Vec<_>>(),
        "`SMALT_WRITE=1 cargo test -p smalt` with `write_fixture` and `write_statements`"
    );
    for version in versions {
        assert!(!statements(version).is_empty());
    }
    found
}

/// The statements that the programs of a schema run: they must go on working while old and new ones run side by side.
fn statements(version: u32) -> Vec<String> {
    let path = format!("{}/tests/fixtures/store/statements-{version}.sql", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn make(path: &Path, sql: &str) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    conn.execute_batch(sql).unwrap();
}

/// Everything of the fixture is there and opens, and the store can be written.
async fn holds(path: &Path, place: &str) {
    let store = open(path).unwrap();
    let row = store.read_with(|tx| tx.connection(&tenant(), "c1")).await.unwrap().expect(place);
    assert_eq!(fixture_vault(&store).await.open(&fixture_aad(), &row.sealed).unwrap().as_slice(), b"the token", "{place}");
    store.write_with(move |tx| tx.put_connection(&tenant(), &ConnectionRow { row_version: 2, ..row })).await.unwrap();
    store.close().await;
    assert_eq!(integrity(path), "ok", "{place}");
    let info = schema_info(path).unwrap();
    assert_eq!((info.schema, info.pending.len()), (info.known, 0), "{place}");
}

#[tokio::test]
async fn r11_a_store_of_every_schema_opens() {
    for (version, sql) in fixtures() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("smalt.db");
        make(&path, &sql);
        let before = fs::read(&path).unwrap();
        let info = schema_info(&path).unwrap();
        assert_eq!(info.schema, version);
        assert!(info.pending.iter().all(|step| step.schema > version && !step.about.is_empty()));
        assert_eq!(info.pending.is_empty(), version == info.known, "{info:?}");
        assert!(fs::read(&path).unwrap() == before, "looking changes nothing");
        holds(&path, &format!("schema {version}")).await;
    }
}

/// Killed at any moment of the way, the store is as it was or as it should be, and the next one brings it there.
#[tokio::test]
async fn r11_a_killed_migration_loses_nothing() {
    let mut chance = Chance::new();
    let kills = if full() { 50 } else { 10 };
    for (version, sql) in fixtures() {
        for kill in 0..kills {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("smalt.db");
            make(&path, &sql);
            let mut process = child("migrate", &path, "x");
            let mut out = process.stderr.take().unwrap();
            let mut began = [0; 1];
            let _ = out.read(&mut began).unwrap();
            std::thread::sleep(Duration::from_micros(chance.below(4000)));
            process.kill().unwrap();
            process.wait().unwrap();
            let info = schema_info(&path).unwrap();
            assert!(info.schema == version || info.schema == info.known, "{info:?}");
            holds(&path, &format!("schema {version}, kill {kill}")).await;
        }
    }
}

#[tokio::test]
async fn r11_of_several_starters_one_migrates() {
    for (version, sql) in fixtures() {
        for round in 0..if full() { 50 } else { 10 } {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("smalt.db");
            make(&path, &sql);
            let mut starters: Vec<_> = (0..3).map(|_| child("migrate-and-end", &path, "x")).collect();
            for starter in &mut starters {
                let (_, said) = told(starter);
                assert!(starter.wait().unwrap().success(), "schema {version}, round {round}: {said:?}");
            }
            holds(&path, &format!("schema {version}, round {round}")).await;
        }
    }
}

/// What ends an old program, beside its store.
fn stop_of(path: &Path) -> PathBuf {
    path.with_file_name("stop")
}

/// A program of an old schema, under load: two connections do over and over all that such a program does, and make accounts by its own statements, each told when it is
/// acknowledged; until it is stopped. At its end it says how many accounts of the new program it sees. All that it knows of the schema are those statements.
fn old_program(path: &Path, version: u32) {
    let (statements, path, stop) = (&statements(version), &path, &stop_of(path));
    let open = || {
        let conn = Connection::open(path).unwrap();
        conn.busy_timeout(Duration::from_secs(60)).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        conn
    };
    std::thread::scope(|threads| {
        for worker in 0..2 {
            threads.spawn(move || {
                let conn = open();
                for round in 0.. {
                    if stop.exists() {
                        return;
                    }
                    let id = format!("old-{worker}-{round}");
                    assert!(play(&conn, statements, &id) >= 2, "an account and a connection were put");
                    tell(&format!("ack {id}"));
                }
            });
        }
    });
    let sees: i64 = open().query_row("SELECT count(*) FROM accounts WHERE id LIKE 'new-%'", [], |row| row.get(0)).unwrap();
    tell(&format!("sees {sees}"));
}

/// Every statement of the program, once: each is understood, what reads answers, and what puts rows puts back some of those that were read. An account is
/// put under a new id. How many were put back.
fn play(conn: &Connection, statements: &[String], id: &str) -> usize {
    let mut put_back = 0;
    for statement in statements {
        let (table, sql) = statement.split_once('\t').unwrap();
        let mut prepared = conn.prepare(sql).unwrap_or_else(|error| panic!("{table}: {error}: {sql}"));
        if !sql.starts_with("SELECT") {
            continue;
        }
        let names: Vec<String> = prepared.column_names().map(str::to_owned).collect();
        let read = |row: &rusqlite::Row<'_>| (0..names.len()).map(|at| row.get(at)).collect::<Result<Vec<rusqlite::types::Value>, _>>();
        let rows: Vec<Vec<rusqlite::types::Value>> = prepared.query_map([], read).unwrap().take(3).collect::<Result<_, _>>().unwrap();
        drop(prepared);
        let put = statements
            .iter()
            .find_map(|s| s.strip_prefix(&format!("{table}\t")).filter(|s| s.starts_with("INSERT") && s.contains("ON CONFLICT")));
        let Some(put) = put else { continue };
        if table == "accounts" {
            let mut row = rows[0].clone();
            for (value, name) in row.iter_mut().zip(&names).filter(|(_, name)| ["id", "record_id"].contains(&name.as_str())) {
                assert!(matches!(value, rusqlite::types::Value::Text(_)), "{name}");
                *value = id.to_owned().into();
            }
            conn.execute(put, rusqlite::params_from_iter(row)).unwrap();
        }
        for row in rows {
            conn.execute(put, rusqlite::params_from_iter(row)).unwrap();
            put_back += 1;
        }
    }
    put_back
}

/// A rolling restart: a process with a program of the old schema is under load, a new one comes, migrates, and is under load too; both work on, and neither loses a
/// write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_old_and_new_programs_work_side_by_side() {
    let enough = if full() { 400 } else { 20 };
    for (version, sql) in fixtures() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("smalt.db");
        make(&path, &sql);
        let mut process = child("old-program", &path, &version.to_string());
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = said.clone();
        let listener = std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line)));
        let old_acks = || said.lock().unwrap().iter().filter(|line| line.starts_with("ack ")).count();
        let until = async |count: usize| {
            for _ in 0..12_000 {
                if old_acks() >= count || listener.is_finished() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("schema {version}: the old program hangs: {:?}", said.lock().unwrap());
        };
        until(10).await;
        // In the middle of it the new one comes.
        let options = StoreOptions { lock_wait: Duration::from_secs(60), ..StoreOptions::default() };
        let new: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, options).unwrap());
        let (came, stop, next) = (old_acks(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (new, stop, next) = (new.clone(), stop.clone(), next.clone());
                tokio::spawn(async move {
                    let mut acks = Vec::new();
                    while acks.len() < enough || !stop.load(Ordering::SeqCst) {
                        let id = format!("new-{}", next.fetch_add(1, Ordering::SeqCst));
                        let row = account(&id);
                        new.write_with(move |tx| tx.put_account(&tenant(), &row)).await.unwrap();
                        acks.push(id);
                    }
                    acks
                })
            })
            .collect();
        until(came + enough).await;
        stop.store(true, Ordering::SeqCst);
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        // The new one sees what the old one wrote, and the other way round.
        let seen = new.read_with(|tx| tx.account(&tenant(), "old-0-0")).await.unwrap();
        assert!(seen.is_some(), "schema {version}");
        fs::write(stop_of(&path), "").unwrap();
        listener.join().unwrap();
        let said = std::mem::take(&mut *said.lock().unwrap());
        assert!(process.wait().unwrap().success(), "schema {version}: {said:?}");
        let (acks, others): (Vec<_>, Vec<_>) = said.iter().partition(|line| line.starts_with("ack "));
        let written = acknowledged.len();
        assert_eq!(others, [&format!("sees {written}")], "schema {version}");
        assert!(acks.len() >= came + enough, "schema {version}: the old program did {} beside the new one", acks.len() - came);
        acknowledged.extend(acks.iter().map(|line| line["ack ".len()..].to_owned()));
        let there = names(&path, "SELECT id FROM accounts");
        let lost: Vec<_> = acknowledged.iter().filter(|id| !there.contains(*id)).collect();
        assert!(lost.is_empty(), "schema {version} lost {lost:?}");
        // The store still lets them in, as long as nothing that they cannot know was done.
        let info = schema_info(&path).unwrap();
        assert!(info.oldest_reader <= version && info.schema == info.known, "{info:?}");
        new.close().await;
        holds(&path, &format!("schema {version}, side by side")).await;
    }
}

/// Programs below the store's stated minimum are refused, and a rotation of keys raises it to those that know of rotation.
#[tokio::test]
async fn r11_a_rotation_demands_programs_that_know_it() {
    use smalt::{Smalt, backend::RotateKeys};
    let (_, sql) = fixtures().remove(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    make(&path, &sql);
    assert_eq!(schema_info(&path).unwrap().oldest_reader, 1);
    let project = serde_json::from_value(serde_json::json!({"version": 1, "org": {"id": "acme"}})).unwrap();
    let key = LocalKey::parse(&Secret::new(FIXTURE_KEY)).unwrap();
    let smalt = Smalt::embedded(&path).keys(key).project_value(project).open().await.unwrap();
    let ended = smalt.rotate_keys(RotateKeys::default()).await.unwrap();
    // The fixture's connection is sealed under a place of its own, which no engine knows: it is named, and its key stays.
    assert_eq!((ended.unreadable, ended.kept.len()), (1, 1), "{ended:?}");
    smalt.close().await;
    let info = schema_info(&path).unwrap();
    assert_eq!((info.oldest_reader, info.schema), (8, info.known));
    holds(&path, "after a rotation").await;
}
