#![allow(clippy::unwrap_used)]

use std::{collections::HashSet, path::Path};

use super::*;
use crate::{
    Secret, Timestamp,
    model::{Environment, Tenant},
    plugin::FixedClock,
    store::{SqliteStore, StoreOptions},
};

fn tenant(org: &str, environment: Environment) -> Tenant {
    Tenant { org: org.into(), environment }
}

fn here() -> Tenant {
    tenant("acme", Environment::Test)
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(FixedClock::at(Timestamp::from_millis(1_769_847_300_000)))
}

fn file(path: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(path, StoreOptions::default()).unwrap())
}

fn memory() -> Arc<dyn Store> {
    Arc::new(SqliteStore::memory(StoreOptions::default()).unwrap())
}

fn same(key: &LocalKey) -> Arc<dyn KeyProvider> {
    Arc::new(LocalKey::parse(&key.text()).unwrap())
}

async fn vault() -> Vault {
    Vault::unlock(memory(), Arc::new(LocalKey::generate().unwrap()), "acme", clock()).await.unwrap()
}

#[tokio::test]
async fn what_is_sealed_opens_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    let key = LocalKey::generate().unwrap();
    let aad = Aad::new(&here(), "connections").part("customer-42").part("slack").version(3);
    let store = file(&path);
    let sealed = Vault::unlock(store.clone(), same(&key), "acme", clock()).await.unwrap().seal_json(&aad, &["canary"]).unwrap();
    store.close().await;
    let vault = Vault::unlock(file(&path), same(&key), "acme", clock()).await.unwrap();
    assert_eq!(vault.open_json::<Vec<String>>(&aad, &sealed).unwrap(), ["canary"]);
    let error = vault.open(&aad.clone().part("x"), &sealed).unwrap_err();
    assert!(error.is(Code::StoreCorrupt) && error.reason().contains("customer-42/slack/x"), "{error}");
    assert_eq!(format!("{vault:?}"), "Vault(…)");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_end_with_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    let key = LocalKey::generate().unwrap();
    let opened: Vec<_> = (0..8).map(|_| tokio::spawn(Vault::unlock(file(&path), same(&key), "acme", clock()))).collect();
    let aad = Aad::new(&here(), "t");
    let mut vaults = Vec::new();
    for vault in opened {
        vaults.push(vault.await.unwrap().unwrap());
    }
    let sealed = vaults[0].seal(&aad, b"x").unwrap();
    assert!(vaults.iter().all(|v| v.open(&aad, &sealed).is_ok()));
    assert_eq!(file(&path).read_with(|tx| tx.data_keys("acme")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn s43_no_nonce_twice_and_no_plaintext_in_the_file() {
    const CANARY: &str = "canary-0123456789";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    let store = file(&path);
    let key = LocalKey::generate().unwrap();
    let vault = Vault::unlock(store.clone(), same(&key), "acme", clock()).await.unwrap();
    let aad = Aad::new(&here(), "connections").part("a");
    let mut nonces = HashSet::new();
    let mut kept = Vec::new();
    let seals = if std::env::var("SMALT_FULL").is_ok_and(|full| full == "1") { 1_000_000 } else { 100_000 };
    for n in 0..seals {
        let sealed = vault.seal(&aad, CANARY.as_bytes()).unwrap();
        assert!(nonces.insert(<[u8; 24]>::try_from(&sealed[HEAD..HEAD + 24]).unwrap()), "seal {n} repeats a nonce");
        if n % 100 == 0 {
            kept.push(sealed);
        }
    }
    store.write_with(move |tx| kept.iter().enumerate().try_for_each(|(n, sealed)| tx.set_meta(&format!("s43-{n}"), sealed))).await.unwrap();
    let loaded = vault.loaded();
    let raw_key = &loaded.keys[0].1.bytes()[..16];
    let mut searched = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        searched += bytes.len();
        for needle in [CANARY.as_bytes(), raw_key] {
            assert!(!bytes.windows(needle.len()).any(|w| w == needle));
        }
    }
    assert!(searched > 50_000, "the sealed values are there");
}

#[tokio::test]
async fn s44_a_ciphertext_opens_in_its_own_place_only() {
    let vault = vault().await;
    let mut places = Vec::new();
    for org in ["acme", "acm"] {
        for environment in [Environment::Test, Environment::Production] {
            for row in [&["ab", "c"][..], &["a", "bc"], &["abc"], &["abc", ""]] {
                for field in ["access", "refresh"] {
                    for version in [1, 2] {
                        let aad = row.iter().fold(Aad::new(&tenant(org, environment), "connections"), |aad, part| aad.part(part));
                        places.push(aad.part(field).version(version));
                    }
                }
            }
        }
    }
    places.push(Aad::new(&here(), "flows").part("ab").part("c").part("access").version(1));
    let sealed: Vec<_> = places.iter().map(|aad| vault.seal(aad, b"a refresh token").unwrap()).collect();
    let mut tried = 0;
    for (i, aad) in places.iter().enumerate() {
        for (j, bytes) in sealed.iter().enumerate() {
            assert_eq!(vault.open(aad, bytes).is_ok(), i == j, "{i} {j}");
            tried += usize::from(i != j);
        }
    }
    for at in 0..sealed[0].len() {
        assert!(vault.open(&places[0], &sealed[0][..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut flipped = sealed[0].clone();
            flipped[at] ^= 1 << bit;
            assert!(vault.open(&places[0], &flipped).is_err(), "flip at {at}");
            tried += 1;
        }
    }
    assert!(vault.open(&places[0], &[&sealed[0][..], &[0]].concat()).is_err());
    assert!(tried >= 500, "{tried}");
    // Another organisation's data key does not open it either, whatever the place says.
    assert!(self::vault().await.open(&places[0], &sealed[0]).is_err());
}

/// Settles the store, tries, and compares the file.
async fn refused(path: &Path, attempt: impl AsyncFnOnce(Arc<dyn Store>) -> Result<Vault>) -> Code {
    let before = std::fs::read(path).unwrap();
    let store = file(path);
    let error = attempt(store.clone()).await.unwrap_err();
    store.close().await;
    assert!(std::fs::read(path).unwrap() == before, "the file changed: {error}");
    assert!(!path.with_extension("db-wal").exists(), "a log was left: {error}");
    error.code()
}

#[tokio::test]
async fn s46_a_wrong_or_missing_key_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smalt.db");
    let key = LocalKey::generate().unwrap();
    let store = file(&path);
    Vault::unlock(store.clone(), same(&key), "acme", clock()).await.unwrap();
    store.close().await;

    let wrong: Arc<dyn KeyProvider> = Arc::new(LocalKey::generate().unwrap());
    let given = wrong.clone();
    assert_eq!(refused(&path, async |s| Vault::unlock(s, given, "acme", clock()).await).await, Code::KeyWrong);
    // An organisation that is new in this store has no data key to try: the check value tells.
    assert_eq!(refused(&path, async |s| Vault::unlock(s, wrong, "another", clock()).await).await, Code::KeyWrong);
    // The right id with other bytes, as a provider with a mistake would have it.
    struct Liar(LocalKey, String);
    #[async_trait::async_trait]
    impl KeyProvider for Liar {
        async fn key_id(&self) -> Result<String> {
            Ok(self.1.clone())
        }
        async fn wrap(&self, plain: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>> {
            self.0.wrap(plain, aad).await
        }
        async fn unwrap(&self, _: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
            self.0.unwrap(self.0.id().to_owned(), wrapped, aad).await
        }
    }
    let liar = Arc::new(Liar(LocalKey::generate().unwrap(), key.id().to_owned()));
    assert_eq!(refused(&path, async |s| Vault::unlock(s, liar, "acme", clock()).await).await, Code::KeyWrong);
    let nowhere = dir.path().join("no-key");
    let missing = async |s| Vault::unlock(s, Arc::new(LocalKey::from_file(&nowhere)?), "acme", clock()).await;
    assert_eq!(refused(&path, missing).await, Code::KeyMissing);
    let cut = Secret::new(&key.text().expose()[..40]);
    let invalid = async |s| Vault::unlock(s, Arc::new(LocalKey::parse(&cut)?), "acme", clock()).await;
    assert_eq!(refused(&path, invalid).await, Code::KeyInvalid);

    Vault::unlock(file(&path), same(&key), "acme", clock()).await.unwrap();
}

#[tokio::test]
async fn r07_a_damaged_data_key_is_named_and_the_others_serve() {
    let store = memory();
    let key = LocalKey::generate().unwrap();
    let first = Vault::unlock(store.clone(), same(&key), "acme", clock()).await.unwrap();
    let aad = Aad::new(&here(), "t").part("row");
    let sealed = first.seal(&aad, b"x").unwrap();
    let mut row = store.read_with(|tx| tx.data_keys("acme")).await.unwrap().remove(0);
    row.key_id = "00112233445566ff".into(); // its AAD no longer fits
    row.created_at += 1;
    store.write_with(move |tx| tx.insert_data_key(&row)).await.unwrap();
    let vault = Vault::unlock(store.clone(), same(&key), "acme", clock()).await.unwrap();
    assert!(vault.open(&aad, &sealed).is_ok());
    let mut foreign = sealed.clone();
    foreign[1..HEAD].copy_from_slice(&parse_key_id("00112233445566ff").unwrap());
    assert!(vault.open(&aad, &foreign).unwrap_err().is(Code::StoreCorrupt));
}

#[tokio::test]
async fn a_provider_that_loses_keys_is_not_trusted() {
    struct Forgetful;
    #[async_trait::async_trait]
    impl KeyProvider for Forgetful {
        async fn key_id(&self) -> Result<String> {
            Ok("kms".into())
        }
        async fn wrap(&self, _: Zeroizing<Vec<u8>>, _: Vec<u8>) -> Result<Vec<u8>> {
            Ok(vec![1, 2, 3])
        }
        async fn unwrap(&self, _: String, wrapped: Vec<u8>, _: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
            Ok(wrapped.into())
        }
    }
    let store = memory();
    let error = Vault::unlock(store.clone(), Arc::new(Forgetful), "acme", clock()).await.unwrap_err();
    let context = &error.info().context;
    assert!(error.is(Code::PluginAnswer) && context["plugin"] == "key provider" && context["call"] == "unwrap", "{error:?}");
    assert!(store.read_with(|tx| Ok(tx.data_keys("acme")?.is_empty() && tx.meta(CHECK)?.is_none())).await.unwrap());
}

#[tokio::test]
async fn a_providers_own_error_names_it() {
    /// Fails in this call.
    struct Down(&'static str);
    impl Down {
        fn refused(&self, call: &str) -> Result<()> {
            if self.0 == call { Err(crate::Error::new(Code::StoreUnavailable, "the service is down")) } else { Ok(()) }
        }
    }
    #[async_trait::async_trait]
    impl KeyProvider for Down {
        async fn key_id(&self) -> Result<String> {
            self.refused("key_id").map(|()| "kms".into())
        }
        async fn wrap(&self, plain: Zeroizing<Vec<u8>>, _: Vec<u8>) -> Result<Vec<u8>> {
            self.refused("wrap").map(|()| plain.to_vec())
        }
        async fn unwrap(&self, _: String, wrapped: Vec<u8>, _: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
            self.refused("unwrap").map(|()| wrapped.into())
        }
    }
    for call in ["key_id", "wrap", "unwrap"] {
        let error = Vault::unlock(memory(), Arc::new(Down(call)), "acme", clock()).await.unwrap_err();
        let context = &error.info().context;
        assert!(error.is(Code::StoreUnavailable) && context["plugin"] == "key provider" && context["call"] == call, "{error:?}");
    }
}
