//! A store that takes no writes: a disk that is full, and one that nobody may write to. The engine is a process of its own, whose disk is a
//! small file system in a mount namespace; where the system gives none, a limit on the size of files takes its place.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use smalt::{Smalt, backend::StartConnect, engine::Timings, model::AccountUpdate, project::Project, store::StoreOptions};
use smalt_tests::{
    child::{Role, report, role},
    counterpart::{Provider, User},
    size,
};

use crate::stage::{COUNTERPART, HOUR, Shifted, Stage, exchanges, obey, open_at, refreshes, tell, timings, until};

/// What a child does before it becomes one: it outlives writes beyond its limit, and has 16 MiB of disk.
const PREPARE: &str = r#"
trap '' XFSZ
if [ "$SMALT_TEST_DISK" = own ]; then mount -t tmpfs -o size=16m,mode=0700 smalt "$SMALT_TEST_FOLDER/disk" || exit 1; fi
exec "$0" "$@"
"#;

/// Why nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    /// No space is left: SQLite undoes the transaction by itself.
    Full,
    /// No byte can be written anywhere, not even in place: as on a store that became read-only.
    Closed,
}

/// An engine in a process and on a disk of its own.
struct Machine {
    child: Role,
    own_disk: bool,
    store: PathBuf,
}

impl Machine {
    fn start(stage: &Stage) -> Machine {
        let disk = stage.folder.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let unshared = ["unshare", "--map-root-user", "--mount"];
        let own_disk = Command::new(unshared[0]).args(&unshared[1..]).arg("true").status().is_ok_and(|ended| ended.success());
        let by: Vec<&str> = unshared.into_iter().filter(|_| own_disk).chain(["sh", "-c", PREPARE]).collect();
        let environment =
            [("SMALT_TEST_FOLDER", stage.folder.path().to_str().unwrap()), ("SMALT_TEST_DISK", if own_disk { "own" } else { "shared" })];
        let mut child = Role::start_by(&by, "disk::as_a_child", "disk", &environment);
        assert_eq!(child.line().as_deref(), Some("ready"));
        Machine { child, own_disk, store: disk.join("smalt.db") }
    }

    fn tell(&mut self, order: Value) -> Value {
        tell(&mut self.child, &order)
    }

    /// The largest file that the process may write; none: any.
    fn limit(&self, bytes: Option<u64>) {
        let soft = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let (pid, limit) = (self.child.pid().to_string(), format!("--fsize={soft}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    }

    /// From now on writes are refused.
    fn refuse(&mut self, cause: Cause) {
        match cause {
            Cause::Closed => self.limit(Some(0)),
            Cause::Full if self.own_disk => drop(self.tell(json!({"do": "fill"}))),
            Cause::Full => {
                let log = std::fs::metadata(self.store.with_extension("db-wal")).map_or(0, |log| log.len());
                self.limit(Some(log));
            }
        }
        self.exhaust(cause);
    }

    /// What is left of room is used up.
    fn exhaust(&mut self, cause: Cause) {
        let told = self.tell(json!({"do": "exhaust"}));
        assert!(told["stored"].as_u64().is_some(), "{cause:?}: {told}");
    }

    /// And now no longer.
    fn allow(&mut self, cause: Cause) {
        match cause {
            Cause::Full if self.own_disk => drop(self.tell(json!({"do": "free"}))),
            _ => self.limit(None),
        }
    }

    fn upsert(&mut self, account: &str) -> Value {
        self.tell(json!({"do": "upsert", "account": account, "name": "somebody"}))
    }

    /// Begins without waiting for the end.
    fn begin(&mut self, order: Value) {
        self.tell(json!({"do": "begin", "order": order}));
    }

    fn accounts(&mut self) -> u64 {
        self.tell(json!({"do": "count"})).as_u64().unwrap()
    }

    /// A flow up to its callback.
    fn consent(&mut self, account: &str, user: &User) -> Value {
        let started = self.tell(json!({"do": "start", "account": account}));
        let callback = user.visit(started["url"].as_str().unwrap(), "ada", true, None);
        json!({"do": "finish", "account": account, "url": callback, "cookie": started["cookie"]})
    }

    fn connect(&mut self, account: &str, user: &User) {
        let finish = self.consent(account, user);
        let told = self.tell(finish);
        assert!(told["ok"].is_string(), "{told}");
    }
}

fn credential(account: &str) -> Value {
    json!({"do": "credential", "account": account, "application": COUNTERPART})
}

/// So often a log that begins anew may make room for one write.
const MADE_ROOM: usize = 3;

fn refused() -> Value {
    json!({"error": "store_unavailable"})
}

/// Writes are refused in words, reads go on, and writes do as soon as there is room; what was acknowledged is there.
#[test]
fn r04_a_full_disk_stops_writes_and_nothing_else() {
    let project: Project = serde_json::from_value(json!({"version": 1})).unwrap();
    let stage = Stage::new(tempfile::tempdir().unwrap(), &project, &[]);
    let mut machine = Machine::start(&stage);
    let mut stored = 0;
    for round in 0..size(3, 30) {
        for n in 0..20 {
            assert_eq!(machine.upsert(&format!("account-{round}-{n}")), json!({"ok": null}));
            stored += 1;
        }
        machine.refuse(Cause::Full);
        let mut with_fillers = machine.accounts();
        assert!(with_fillers >= stored, "round {round}: {with_fillers} of {stored} are there");
        for n in 0..20 {
            let mut told = machine.upsert(&format!("refused-{round}-{n}"));
            // SQLite begins its log anew once no reader needs it, and then there is room: rare, and what it took must be there.
            for again in 0..MADE_ROOM {
                if told != json!({"ok": null}) {
                    break;
                }
                machine.exhaust(Cause::Full);
                let more = machine.accounts();
                assert!(more > with_fillers, "round {round}: {more} after {with_fillers} and one more");
                with_fillers = more;
                told = machine.upsert(&format!("refused-{round}-{n}-{again}"));
            }
            assert_eq!(told, refused(), "round {round}");
        }
        assert_eq!(machine.accounts(), with_fillers, "round {round}: what was refused is not there");
        machine.allow(Cause::Full);
        assert_eq!(machine.upsert(&format!("after-{round}")), json!({"ok": null}), "round {round}: without a restart");
        stored = with_fillers + 1;
        assert_eq!(machine.accounts(), stored, "round {round}");
    }
    assert_eq!(machine.tell(json!({"do": "reopen"})), json!("ok"), "the file is whole");
    assert_eq!(machine.accounts(), stored);
}

/// So many connections whose tokens have ended, `old-…`, and as many consents of `new-…`: the orders that finish them.
fn due_and_consented(machine: &mut Machine, user: &User, count: usize) -> Vec<Value> {
    for n in 0..count {
        machine.connect(&format!("old-{n}"), user);
    }
    machine.tell(json!({"do": "shift", "millis": HOUR}));
    (0..count).map(|n| machine.consent(&format!("new-{n}"), user)).collect()
}

/// What cannot be stored is not asked for: no refresh token and no code leaves, and both are good afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn r05_a_store_that_takes_no_write_spends_nothing() {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let mut machine = Machine::start(&stage);
    let count = size(5, 25);
    let finishes = due_and_consented(&mut machine, &user, count);
    let before = (refreshes(&provider), exchanges(&provider));
    machine.refuse(Cause::Closed);
    for (n, finish) in finishes.iter().enumerate() {
        assert_eq!(machine.tell(credential(&format!("old-{n}")))["errors"], json!(["store_unavailable"]), "{n}");
        assert_eq!(machine.tell(finish.clone()), refused(), "{n}");
    }
    assert!(machine.accounts() >= 2 * count as u64, "reads go on");
    assert_eq!((refreshes(&provider), exchanges(&provider)), before, "nothing was sent");
    machine.allow(Cause::Closed);
    for (n, finish) in finishes.iter().enumerate() {
        let told = machine.tell(credential(&format!("old-{n}")));
        assert!(provider.is_active(told["tokens"][0].as_str().unwrap()), "{n}: {told}");
        assert!(machine.tell(finish.clone())["ok"].is_string(), "{n}: the callback is good still");
    }
    let ((asked, renewed), exchanged) = before;
    assert_eq!(refreshes(&provider), (asked + count as u64, renewed + count as u64));
    assert_eq!(exchanges(&provider), exchanged + count as u64);
    assert_eq!(provider.stats()["grants_revoked"], json!(0));
}

/// The store takes no write from the moment on at which the provider answers: the answers are kept, and stored when it does again.
async fn answers_outlast(cause: Cause) {
    let (provider, user) = (Provider::start(&["--access-token-ttl", "3000"]), User::without_browser());
    let stage = Stage::at(&provider);
    let mut machine = Machine::start(&stage);
    let count = size(5, 25);
    let finishes = due_and_consented(&mut machine, &user, count);
    let (renewed, exchanged) = (refreshes(&provider).0, exchanges(&provider));
    for grant in ["refresh_token", "authorization_code"] {
        provider.fault(json!({"path": "/token", "grant_type": grant, "hold": true, "times": count}));
    }
    for (n, finish) in finishes.into_iter().enumerate() {
        machine.begin(credential(&format!("old-{n}")));
        machine.begin(finish);
    }
    let all = count as u64;
    until("all tokens and codes are presented", async || {
        refreshes(&provider).0 == renewed + all && exchanges(&provider) == exchanged + all
    })
    .await;
    machine.refuse(cause);
    provider.release();
    until("the provider has answered all", async || refreshes(&provider).1 == renewed + all).await;
    // Time for each to be refused at least once; however long it is, none of them gives up.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(machine.upsert("nobody"), refused(), "{cause:?}");
    let waiting = machine.tell(json!({"do": "waiting"})).as_u64().unwrap();
    // A transaction that is smaller than the one that was refused may still have found room.
    let least = if cause == Cause::Closed { 2 * all } else { all };
    assert!(waiting >= least, "{cause:?}: {waiting} of {} wait for the store", 2 * all);
    machine.allow(cause);
    let ended = machine.tell(json!({"do": "ended"}));
    for told in ended.as_array().unwrap() {
        assert!(told["ok"].is_string() || told["errors"] == json!([]), "{cause:?}: {told}");
    }
    assert_eq!(ended.as_array().unwrap().len(), 2 * count);
    // Another engine reads what was stored.
    assert_eq!(machine.tell(json!({"do": "reopen"})), json!("ok"));
    for n in 0..count {
        for account in [format!("old-{n}"), format!("new-{n}")] {
            let told = machine.tell(credential(&account));
            let token = told["tokens"][0].as_str().unwrap_or_else(|| panic!("{cause:?}, {account}: {told}"));
            assert!(provider.is_active(token), "{cause:?}: {account}");
        }
    }
    assert_eq!(refreshes(&provider), (renewed + all, renewed + all), "{cause:?}: each token was presented once");
    assert_eq!(exchanges(&provider), exchanged + all, "{cause:?}: each code was exchanged once");
    assert_eq!(provider.stats()["grants_revoked"], json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn r24_an_answer_waits_for_room_on_the_disk() {
    answers_outlast(Cause::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r24_an_answer_waits_for_a_store_that_takes_no_byte() {
    answers_outlast(Cause::Closed).await;
}

/// Not a test of its own: an engine on the disk that [`PREPARE`] made.
#[test]
fn as_a_child() {
    if role().as_deref() != Some("disk") {
        return;
    }
    let folder = PathBuf::from(std::env::var_os("SMALT_TEST_FOLDER").unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work(&folder));
}

async fn open(folder: &Path, clock: &Shifted) -> Smalt {
    // What is held up here is held up for as long as the test wants.
    let timings = Timings { provider: Duration::from_secs(90), lease: Duration::from_secs(120), ..timings() };
    open_at(folder, &folder.join("disk/smalt.db"), clock.clone(), timings, StoreOptions::default()).await
}

async fn work(folder: &Path) {
    let clock = Shifted::default();
    let mut smalt = open(folder, &clock).await;
    let (ballast, mut under_way, mut fillers) = (folder.join("disk/ballast"), Vec::new(), 0_u64);
    report("ready");
    for line in std::io::stdin().lines() {
        let order: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let told = match order["do"].as_str().unwrap() {
            "fill" => {
                let mut file = std::fs::File::create(&ballast).unwrap();
                while file.write_all(&[0x55; 4096]).is_ok() {}
                json!("full")
            }
            "free" => json!(std::fs::remove_file(&ballast).is_ok()),
            "exhaust" => {
                let (mut stored, mut refused) = (0, 0);
                let mut other = None;
                while refused < 3 && other.is_none() {
                    fillers += 1;
                    match smalt.upsert_account(format!("filler-{fillers}"), AccountUpdate::default()).await {
                        Ok(_) => (stored, refused) = (stored + 1, 0),
                        Err(error) if error.is(smalt::Code::StoreUnavailable) => refused += 1,
                        Err(error) => other = Some(error.code().as_str()),
                    }
                }
                match other {
                    Some(code) => json!({"error": code}),
                    None => json!({"stored": stored}),
                }
            }
            "count" => json!(smalt.count_accounts(None).await.unwrap()),
            "reopen" => {
                smalt.close().await;
                let file = rusqlite::Connection::open(folder.join("disk/smalt.db")).unwrap();
                let whole: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
                drop(file);
                smalt = open(folder, &clock).await;
                json!(whole)
            }
            "start" => {
                let account = smalt.account(order["account"].as_str().unwrap());
                account.ensure().await.unwrap();
                let options = StartConnect { redirect_uri: Some("http://127.0.0.1/callback".to_owned()), ..StartConnect::default() };
                let started = account.start_connect(COUNTERPART, options).await.unwrap();
                json!({"url": started.authorize_url, "cookie": started.cookie.value.expose()})
            }
            "begin" => {
                let (smalt, clock, order) = (smalt.clone(), clock.clone(), order["order"].clone());
                under_way.push(tokio::spawn(async move { obey(&smalt, &clock, &order).await }));
                json!(null)
            }
            "waiting" => json!(under_way.iter().filter(|call| !call.is_finished()).count()),
            "ended" => {
                let mut ended = Vec::new();
                for call in under_way.drain(..) {
                    ended.push(call.await.unwrap());
                }
                json!(ended)
            }
            _ => obey(&smalt, &clock, &order).await,
        };
        report(&told.to_string());
    }
    smalt.close().await;
}
