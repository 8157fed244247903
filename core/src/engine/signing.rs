//! The keys that sign session tokens. The newest one signs; one that was replaced is known until the last token that it signed has ended, and
//! is then erased. All processes on a store follow: a session is made under the key that is the newest in the same transaction, and
//! a token under a key that is not known here has the keys read again. Anybody can write such a token, so that those readings are few: one at a
//! time, shared by whoever asked before it began, and none for a key that was just looked for in vain.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    About, Inner,
    token::{self, SigningKey},
};
use crate::{
    Secret, Timestamp,
    error::{Result, err},
    ids,
    model::{Environment, Tenant},
    plugin::{Clock, Store, Tx},
    store::rows::SigningKeyRow,
    vault::{Aad, Vault},
};

/// What a signing key is bound to.
pub(super) fn aad(tenant: &Tenant, kid: &str) -> Aad {
    Aad::new(tenant, "signing_keys").part(kid)
}

/// How long a key that is not in the store is not looked for again.
const MISSED: Duration = Duration::from_secs(10);
/// How many of those are remembered.
const REMEMBERED: usize = 1024;
/// The least time between the beginnings of two readings that tokens brought about.
const REST: Duration = Duration::from_millis(20);

/// The keys as they are known here.
pub(super) struct Signing {
    /// Oldest first, as last read.
    keys: RwLock<Arc<Vec<SigningKey>>>,
    /// The first parts of tokens whose key is not in the store, and since when that is known.
    missed: Mutex<HashMap<String, Instant>>,
    /// Held while the keys are read again, so that an older reading never follows a newer one.
    reading: tokio::sync::Mutex<Reading>,
}

/// The last reading that a token brought about.
#[derive(Default)]
struct Reading {
    /// When the last one began, whether or not it came to its end.
    began: Option<Instant>,
    /// When the last one began that came to its end, and how it ended.
    ended: Option<(Instant, Result<()>)>,
}

impl Signing {
    /// The first key is made here.
    pub(super) async fn open(store: &dyn Store, vault: &Arc<Vault>, tenant: &Tenant, clock: &dyn Clock) -> Result<Self> {
        let now = clock.now();
        let mut rows = read(store, vault, tenant).await?;
        if rows.is_empty() {
            let (own, row) = (tenant.clone(), made(vault, tenant, now)?);
            rows = vault
                .write(store, move |tx| {
                    // Another process may have made one meanwhile.
                    if tx.signing_keys(&own)?.is_empty() {
                        tx.insert_signing_key(&own, &row)?;
                    }
                    tx.signing_keys(&own)
                })
                .await?;
        }
        let keys = RwLock::new(Arc::new(opened(vault, tenant, rows)?));
        Ok(Self { keys, missed: Mutex::default(), reading: tokio::sync::Mutex::default() })
    }

    pub(super) fn keys(&self) -> Arc<Vec<SigningKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the token says that it is under one of the keys that are known here. Nothing is read, and nothing proved.
    pub(super) fn knows(&self, token: &Secret) -> bool {
        token::is_of(&self.keys(), token)
    }

    async fn read(&self, store: &dyn Store, vault: &Arc<Vault>, tenant: &Tenant) -> Result<()> {
        let rows = read(store, vault, tenant).await?;
        let keys = Arc::new(opened(vault, tenant, rows)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Reads the keys if the token is under one that is not known here and that may have been made meanwhile.
    async fn look_for(&self, store: &dyn Store, vault: &Arc<Vault>, tenant: &Tenant, token: &Secret) -> Result<()> {
        // Taken before anything is looked at: a reading that began later knows the token's key, if anyone does.
        let asked = Instant::now();
        let Some(header) = token::header(token).filter(|header| !self.is_missed(header)) else { return Ok(()) };
        if !token::is_of_other_key(&self.keys(), token) {
            return Ok(());
        }
        let mut reading = self.reading.lock().await;
        let shared = reading.ended.as_ref().filter(|(began, _)| *began >= asked).map(|(_, ended)| ended.clone());
        match shared {
            Some(ended) => ended?,
            None => {
                if let Some(began) = reading.began {
                    tokio::time::sleep_until(began + REST).await;
                }
                let began = Instant::now();
                reading.began = Some(began);
                let ended = self.read(store, vault, tenant).await;
                reading.ended = Some((began, ended.clone()));
                ended?;
            }
        }
        drop(reading);
        if !self.knows(token) {
            self.miss(header);
        }
        Ok(())
    }

    fn is_missed(&self, header: &str) -> bool {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.get(header).is_some_and(|since| since.elapsed() < MISSED)
    }

    fn miss(&self, header: &str) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.len() >= REMEMBERED {
            missed.retain(|_, since| since.elapsed() < MISSED);
        }
        // Who fills it with keys that nobody has only has them looked for again.
        if missed.len() >= REMEMBERED {
            missed.clear();
        }
        missed.insert(header.to_owned(), Instant::now());
    }
}

async fn read(store: &dyn Store, vault: &Arc<Vault>, tenant: &Tenant) -> Result<Vec<SigningKeyRow>> {
    let tenant = tenant.clone();
    vault.read(store, move |tx| tx.signing_keys(&tenant)).await
}

fn made(vault: &Vault, tenant: &Tenant, now: Timestamp) -> Result<SigningKeyRow> {
    let kid = ids::new_id(now)?;
    let sealed = vault.seal(&aad(tenant, &kid), &*Zeroizing::new(ids::random::<32>()?))?;
    Ok(SigningKeyRow { kid, sealed, created_at: now.millis(), retired_at: None })
}

fn opened(vault: &Vault, tenant: &Tenant, mut rows: Vec<SigningKeyRow>) -> Result<Vec<SigningKey>> {
    rows.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
    let open = |row: SigningKeyRow| {
        let secret = vault.open(&aad(tenant, &row.kid), &row.sealed)?;
        Ok(SigningKey::new(row.kid, secret, row.retired_at.map(Timestamp::from_millis)))
    };
    rows.into_iter().map(open).collect()
}

impl Inner {
    /// The id of the key that signs, as far as is known here.
    pub(super) fn newest_key(&self) -> Result<String> {
        self.signing.keys().last().map(|key| key.kid.clone()).ok_or_else(|| err!(Internal, "there is no signing key"))
    }

    pub(super) async fn read_signing_keys(&self) -> Result<()> {
        let _turn = self.signing.reading.lock().await;
        self.signing.read(&*self.store, &self.vault, &self.tenant).await
    }

    /// Whether the token says that it is under one of the keys that are known here. Nothing is read, and nothing proved.
    pub(super) fn knows_key_of(&self, token: &Secret) -> bool {
        self.signing.knows(token)
    }

    /// [`Self::verified`] from memory: absent also where the token's key would have to be looked for.
    pub(super) fn try_verified(&self, token: &Secret) -> Option<token::Verified> {
        token::verify(&self.tenant, &self.signing.keys(), self.now(), token).ok()
    }

    /// What a token says, if it is one of ours. A key that another process brought is looked for.
    pub(super) async fn verified(&self, token: &Secret) -> Result<token::Verified> {
        self.signing.look_for(&*self.store, &self.vault, &self.tenant, token).await?;
        token::verify(&self.tenant, &self.signing.keys(), self.now(), token)
    }
}

/// From this transaction on new keys sign, in both environments; the old ones are good until the last of their tokens has ended.
pub(super) fn replace(tx: &mut dyn Tx, vault: &Vault, about: &About) -> Result<()> {
    for environment in Environment::ALL {
        let tenant = Tenant { org: about.tenant.org.clone(), environment: *environment };
        // One that was never used has none yet.
        let newest = tx.signing_keys(&tenant)?.first().map(|row| row.created_at);
        let Some(newest) = newest else { continue };
        tx.retire_signing_keys(&tenant, about.now.millis(), token::LEEWAY * 1000)?;
        let row = made(vault, &tenant, about.now)?;
        // The newest one counts, also where the clock was set back.
        tx.insert_signing_key(&tenant, &SigningKeyRow { created_at: row.created_at.max(newest + 1), ..row })?;
    }
    about.audit(tx, "keys.signing", None, &serde_json::json!({})).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use base64ct::{Base64UrlUnpadded, Encoding};

    use super::*;
    use crate::{
        plugin::{JobAnswer, ReadJob, StoreExt, SystemClock, WriteJob},
        store::{SqliteStore, StoreOptions},
        vault::LocalKey,
    };

    /// A store that counts what is read from it, and that can be out of order.
    struct Counting {
        store: SqliteStore,
        reads: AtomicUsize,
        broken: AtomicBool,
    }

    #[async_trait]
    impl Store for Counting {
        async fn write(&self, job: WriteJob) -> Result<JobAnswer> {
            self.store.write(job).await
        }

        async fn read(&self, job: ReadJob) -> Result<JobAnswer> {
            self.reads.fetch_add(1, Ordering::AcqRel);
            if self.broken.load(Ordering::Acquire) {
                return Err(err!(StoreUnavailable, "out of order"));
            }
            self.store.read(job).await
        }

        async fn foreign_version(&self) -> Result<i64> {
            self.store.foreign_version().await
        }

        async fn close(&self) {
            self.store.close().await;
        }
    }

    struct Stage {
        store: Arc<Counting>,
        vault: Arc<Vault>,
        tenant: Tenant,
        signing: Signing,
    }

    impl Stage {
        async fn new() -> Self {
            let store = SqliteStore::memory(StoreOptions::default()).unwrap();
            let store = Arc::new(Counting { store, reads: AtomicUsize::new(0), broken: AtomicBool::new(false) });
            let keys = Arc::new(LocalKey::generate().unwrap());
            let vault = Arc::new(Vault::unlock(store.clone(), keys, "acme", Arc::new(SystemClock::default())).await.unwrap());
            let tenant = Tenant { org: "acme".into(), environment: Environment::Production };
            let signing = Signing::open(&*store, &vault, &tenant, &SystemClock::default()).await.unwrap();
            Self { store, vault, tenant, signing }
        }

        async fn look_for(&self, token: &Secret) -> Result<()> {
            self.signing.look_for(&*self.store, &self.vault, &self.tenant, token).await
        }

        fn reads(&self) -> usize {
            self.store.reads.swap(0, Ordering::AcqRel)
        }
    }

    /// A token under a key that looks like one of ours.
    fn under(kid: &str) -> Secret {
        let header = format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#);
        Secret::new(format!("{}.e30.AAAA", Base64UrlUnpadded::encode_string(header.as_bytes())))
    }

    fn foreign(n: usize) -> Secret {
        under(&format!("65a0{n:020x}"))
    }

    #[tokio::test]
    async fn a_key_that_nobody_has_is_looked_for_once() {
        let stage = Stage::new().await;
        assert!(stage.reads() > 0);
        for _ in 0..100 {
            stage.look_for(&foreign(1)).await.unwrap();
        }
        // The clock of the test goes on: on a machine that takes longer than that for the loop it may be looked for again.
        let reads = stage.reads();
        assert!((1..=10).contains(&reads), "{reads}");
        // Nothing that is known, or that is no token of ours, is looked for.
        let own = under(&stage.signing.keys().last().unwrap().kid);
        for token in [&own, &Secret::new("x"), &Secret::new("eyJhbGciOiJub25lIn0.e30."), &Secret::new("")] {
            stage.look_for(token).await.unwrap();
        }
        assert_eq!(stage.reads(), 0);
        assert!(stage.signing.knows(&own) && !stage.signing.knows(&foreign(1)));
    }

    #[tokio::test]
    async fn many_that_ask_at_once_share_a_reading_and_its_error() {
        let stage = Stage::new().await;
        for broken in [false, true] {
            stage.store.broken.store(broken, Ordering::Release);
            stage.reads();
            let tokens: Vec<Secret> = (0..200).map(|n| foreign(n + if broken { 1_000 } else { 0 })).collect();
            // On one thread almost all of them have asked before the second reading begins, and share it.
            let ended = futures_util::future::join_all(tokens.iter().map(|token| stage.look_for(token))).await;
            let reads = stage.reads();
            assert!((1..=10).contains(&reads), "{reads} readings for 200 that asked at once");
            let failed = ended.iter().filter(|ended| ended.as_ref().is_err_and(|error| error.is(crate::Code::StoreUnavailable))).count();
            assert_eq!(failed, if broken { 200 } else { 0 });
        }
        // What could not be read was not missed: it is looked for when the store is back.
        stage.store.broken.store(false, Ordering::Release);
        stage.look_for(&foreign(1_000)).await.unwrap();
        assert_eq!(stage.reads(), 1);
    }

    #[tokio::test]
    async fn a_key_of_another_process_is_found_at_once_in_the_midst_of_foreign_ones() {
        let stage = Stage::new().await;
        for n in 0..20 {
            stage.look_for(&foreign(n)).await.unwrap();
            let row = made(&stage.vault, &stage.tenant, SystemClock::default().now()).unwrap();
            let (tenant, token) = (stage.tenant.clone(), under(&row.kid));
            let store: Arc<dyn Store> = stage.store.clone();
            store.write_with(move |tx| tx.insert_signing_key(&tenant, &row)).await.unwrap();
            assert!(!stage.signing.knows(&token));
            stage.look_for(&token).await.unwrap();
            assert!(stage.signing.knows(&token), "the key of round {n}");
        }
    }

    #[tokio::test]
    async fn what_is_remembered_of_foreign_keys_is_bounded() {
        let stage = Stage::new().await;
        for n in 0..3 * REMEMBERED {
            stage.signing.miss(token::header(&foreign(n)).unwrap());
        }
        assert!(stage.signing.missed.lock().unwrap().len() <= REMEMBERED);
    }
}
