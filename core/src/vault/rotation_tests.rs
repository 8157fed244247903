#![allow(clippy::unwrap_used)]

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use super::*;
use crate::{
    Timestamp,
    error::bail,
    model::{Environment, Tenant},
    plugin::FixedClock,
    store::{SqliteStore, StoreOptions},
};

/// A key management service as it would be far away: slow, at times out of order, and counting what it is asked. It changes
/// its own key when it is told to, and still knows the earlier ones.
#[derive(Clone)]
struct FakeKms(Arc<FakeKmsState>);

struct FakeKmsState {
    keys: Mutex<Vec<Arc<LocalKey>>>,
    asked: AtomicU32,
    down: AtomicBool,
}

impl FakeKms {
    fn new() -> Self {
        let keys = Mutex::new(vec![Arc::new(LocalKey::generate().unwrap())]);
        Self(Arc::new(FakeKmsState { keys, asked: AtomicU32::new(0), down: AtomicBool::new(false) }))
    }

    fn asked(&self) -> u32 {
        self.0.asked.swap(0, Ordering::SeqCst)
    }

    fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    fn next_key(&self) {
        self.0.keys.lock().unwrap().push(Arc::new(LocalKey::generate().unwrap()));
    }

    async fn call(&self) -> Result<Vec<Arc<LocalKey>>> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        if self.0.down.load(Ordering::SeqCst) {
            bail!(PluginFailed, "the service is out of order");
        }
        Ok(self.0.keys.lock().unwrap().clone())
    }
}

#[async_trait::async_trait]
impl KeyProvider for FakeKms {
    async fn key_id(&self) -> Result<String> {
        Ok(self.0.keys.lock().unwrap().last().unwrap().id().to_owned())
    }

    async fn wrap(&self, plain: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>> {
        self.call().await?.last().unwrap().wrap(plain, aad).await
    }

    async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
        let keys = self.call().await?;
        let Some(key) = keys.iter().find(|key| key.id() == key_id) else { bail!(KeyWrong, "the service has no key {key_id}") };
        key.unwrap(key_id, wrapped, aad).await
    }
}

const ORG: &str = "acme";

fn clock() -> Arc<dyn Clock> {
    Arc::new(FixedClock::at(Timestamp::from_millis(1_769_847_300_000)))
}

fn memory() -> Arc<dyn Store> {
    Arc::new(SqliteStore::memory(StoreOptions::default()).unwrap())
}

fn place(name: &str) -> Aad {
    Aad::new(&Tenant { org: ORG.into(), environment: Environment::Test }, "t").part(name)
}

async fn unlock(store: &Arc<dyn Store>, kms: &FakeKms) -> Result<Arc<Vault>> {
    Vault::unlock(store.clone(), Arc::new(kms.clone()), ORG, clock()).await.map(Arc::new)
}

async fn begin(vault: &Arc<Vault>, store: &Arc<dyn Store>) -> Result<Record> {
    vault.begin_rotation(&**store, &*clock(), |_, _| Ok(())).await
}

/// Closes and drops the replaced keys, as the engine does when all rows are sealed anew.
async fn end(store: &Arc<dyn Store>) {
    let ended = store.write_with(|tx| {
        let mut record = Record::read(tx, ORG)?.unwrap();
        close(tx, ORG, &record, 1)?;
        finish(tx, ORG, &mut record, |_, _| Ok(()))?;
        record.write(tx, ORG)
    });
    ended.await.unwrap();
}

/// The key id in a sealed value.
fn key_of(sealed: &[u8]) -> String {
    ids::hex(&sealed[1..HEAD])
}

#[tokio::test]
async fn the_provider_is_asked_at_open_and_at_rotation_only() {
    let (store, kms) = (memory(), FakeKms::new());
    let vault = unlock(&store, &kms).await.unwrap();
    assert!(kms.asked() > 0, "a data key was made and tried");
    let other = unlock(&store, &kms).await.unwrap();
    assert_eq!(kms.asked(), 1, "one data key, one question");
    for n in 0..200 {
        let vault = vault.clone();
        let sealed = vault.clone().write(&*store, move |_| vault.seal(&place("x"), &[n; 40])).await.unwrap();
        assert_eq!(
            *other
                .read(&*store, {
                    let other = other.clone();
                    move |_| other.open(&place("x"), &sealed)
                })
                .await
                .unwrap(),
            [n; 40]
        );
    }
    assert_eq!(kms.asked(), 0);
    begin(&vault, &store).await.unwrap();
    assert_eq!(kms.asked(), 2, "wrapped, and tried");
    // Each process asks once, for the new key only, however many of its jobs come at once.
    for known in [&vault, &other] {
        let jobs: Vec<_> = (0..20)
            .map(|_| {
                let (known, store) = (known.clone(), store.clone());
                tokio::spawn(async move { known.read(&*store, |_| Ok(())).await })
            })
            .collect();
        for job in jobs {
            job.await.unwrap().unwrap();
        }
        assert_eq!(kms.asked(), 1);
    }
}

#[tokio::test]
async fn new_values_have_the_new_key_at_once_in_every_process() {
    let (store, kms) = (memory(), FakeKms::new());
    let (one, two) = (unlock(&store, &kms).await.unwrap(), unlock(&store, &kms).await.unwrap());
    let old = one.seal(&place("row"), b"secret").unwrap();
    let record = begin(&one, &store).await.unwrap();
    assert_eq!(record.replaced, [key_of(&old)]);
    // Who joins gets the same rotation.
    assert_eq!(begin(&two, &store).await.unwrap().key_id, record.key_id);
    let vault = two.clone();
    let new = two.write(&*store, move |_| vault.seal(&place("row"), b"secret")).await.unwrap();
    assert_eq!(key_of(&new), record.key_id);
    let (vault, sealed) = (one.clone(), [old.clone(), new.clone()]);
    let opened = one.read(&*store, move |_| sealed.iter().map(|s| vault.open(&place("row"), s)).collect::<Result<Vec<_>>>()).await.unwrap();
    assert!(opened.iter().all(|plain| ***plain == *b"secret"));
    // What was read before the old key was dropped still opens; whoever comes afterwards has it no more.
    end(&store).await;
    two.read(&*store, |_| Ok(())).await.unwrap();
    assert!(two.open(&place("row"), &old).is_ok());
    let late = unlock(&store, &kms).await.unwrap();
    assert!(late.open(&place("row"), &old).unwrap_err().is(Code::StoreCorrupt));
    assert!(late.open(&place("row"), &new).is_ok());
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_older_key_the_newest() {
    let (store, kms) = (memory(), FakeKms::new());
    let vault = unlock(&store, &kms).await.unwrap();
    let early = Arc::new(FixedClock::at(Timestamp::from_millis(5)));
    let record = vault.begin_rotation(&*store, &*early, |_, _| Ok(())).await.unwrap();
    vault.reload(&*store).await.unwrap();
    assert_eq!(key_of(&vault.seal(&place("x"), b"x").unwrap()), record.key_id);
}

#[tokio::test]
async fn a_service_that_is_down_changes_nothing_and_is_awaited() {
    let (store, kms) = (memory(), FakeKms::new());
    let (one, two) = (unlock(&store, &kms).await.unwrap(), unlock(&store, &kms).await.unwrap());
    kms.set_down(true);
    assert!(unlock(&store, &kms).await.unwrap_err().is(Code::PluginFailed));
    assert!(begin(&one, &store).await.unwrap_err().is(Code::PluginFailed));
    assert_eq!(store.read_with(|tx| Ok((tx.data_keys(ORG)?.len(), Record::read(tx, ORG)?.is_none()))).await.unwrap(), (1, true));
    // Nobody needs the service while no key is new.
    two.read(&*store, |_| Ok(())).await.unwrap();

    kms.set_down(false);
    begin(&one, &store).await.unwrap();
    kms.set_down(true);
    // The second process cannot learn of the new key: its jobs do not run, rather than to run with the old one.
    let ran = Arc::new(AtomicBool::new(false));
    let mark = ran.clone();
    let refused = two
        .write(&*store, move |_| {
            mark.store(true, Ordering::SeqCst);
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(refused.is(Code::PluginFailed) && !ran.load(Ordering::SeqCst), "{refused}");
    kms.set_down(false);
    let mut left = 100;
    while two.read(&*store, |_| Ok(())).await.is_err() {
        left -= 1;
        assert!(left > 0, "it is asked again when some time has passed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_service_that_changed_its_own_key_wraps_everything_anew() {
    let (store, kms) = (memory(), FakeKms::new());
    let vault = unlock(&store, &kms).await.unwrap();
    let sealed = vault.seal(&place("x"), b"x").unwrap();
    kms.next_key();
    // Another organisation's key comes under the new one; nothing is wrong with a mixture.
    Vault::unlock(store.clone(), Arc::new(kms.clone()), "other", clock()).await.unwrap();
    let done = rewrap(&*store, Arc::new(kms.clone())).await.unwrap();
    assert_eq!(done.data_keys, 1);
    let rows = store.read_with(|tx| tx.all_data_keys()).await.unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row.master_key_id == done.master_key_id));
    kms.0.keys.lock().unwrap().remove(0);
    assert!(unlock(&store, &kms).await.unwrap().open(&place("x"), &sealed).is_ok());
    assert_eq!(rewrap(&*store, Arc::new(kms.clone())).await.unwrap().data_keys, 0);
}

#[tokio::test]
async fn a_ring_opens_with_each_key_and_wraps_with_the_first() {
    let (one, two, three) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
    let same = |key: &LocalKey| LocalKey::parse(&key.text()).unwrap();
    let ring = KeyRing::new(same(&one)).also(same(&two));
    assert_eq!(ring.key_id().await.unwrap(), one.id());
    let plain = || Zeroizing::new(vec![7; KEY]);
    for key in [&one, &two] {
        let wrapped = key.wrap(plain(), b"aad".to_vec()).await.unwrap();
        assert_eq!(*ring.unwrap(key.id().to_owned(), wrapped.clone(), b"aad".to_vec()).await.unwrap(), *plain());
        assert!(ring.unwrap(key.id().to_owned(), wrapped, b"other".to_vec()).await.unwrap_err().is(Code::KeyWrong));
    }
    let wrapped = three.wrap(plain(), Vec::new()).await.unwrap();
    let refused = ring.unwrap(three.id().to_owned(), wrapped, Vec::new()).await.unwrap_err();
    assert!(refused.is(Code::KeyWrong) && refused.reason().contains(three.id()), "{refused}");
    let wrapped = ring.wrap(plain(), Vec::new()).await.unwrap();
    assert!(one.unwrap(one.id().to_owned(), wrapped, Vec::new()).await.is_ok());
}

#[tokio::test]
async fn a_closed_key_takes_nothing_new() {
    let (store, kms) = (memory(), FakeKms::new());
    let vault = unlock(&store, &kms).await.unwrap();
    let tenant = Tenant { org: ORG.into(), environment: Environment::Test };
    let row = |kid: &str, sealed: Vec<u8>| crate::store::rows::SigningKeyRow { kid: kid.into(), sealed, created_at: 1, retired_at: None };
    let early = row("early", vault.seal(&place("early"), b"x").unwrap());
    let late = row("late", vault.seal(&place("late"), b"x").unwrap());
    begin(&vault, &store).await.unwrap();
    let here = tenant.clone();
    store.write_with(move |tx| tx.insert_signing_key(&here, &early)).await.unwrap();
    end(&store).await;
    let here = tenant.clone();
    let refused = store.write_with(move |tx| tx.insert_signing_key(&here, &late)).await.unwrap_err();
    assert!(refused.is(Code::KeyRotated), "{refused}");
    assert_eq!(store.read_with(move |tx| tx.signing_keys(&tenant)).await.unwrap().len(), 1);
}
