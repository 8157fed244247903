//! Sealing what is secret: data keys per organisation, wrapped by a master key that is kept elsewhere.
//!
//! A sealed value is a version byte, the data key's id (8 bytes), a nonce (24 bytes), the ciphertext and its tag.

mod aad;
mod current;
mod keys;
mod provider;
mod rewrap;
mod ring;
mod rotation;

#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

pub use aad::Aad;
pub use provider::LocalKey;
pub use rewrap::{Rewrapped, rewrap};
pub use ring::KeyRing;
pub(crate) use rotation::{Record, audit_row, close, demand_readers, finish};

use self::keys::{KEY, Key};
use crate::{
    Result,
    error::{Code, err},
    ids,
    plugin::{Clock, Fault, KeyProvider, Store, StoreExt, guarded, label::KEY_PROVIDER},
    store::rows::DataKeyRow,
};

/// A sealed value begins with this byte.
const FORMAT: u8 = 1;
const KEY_ID: usize = 8;
const HEAD: usize = 1 + KEY_ID;
/// Where the check value stands in the store's meta rows: it shows a wrong master key before anything is written.
const CHECK: &str = "vault_check";
const CHECKED: &[u8; KEY] = b"smalt check value, 32 bytes long";
/// How long a key provider may take for one call.
const DEADLINE: Duration = Duration::from_secs(30);

/// Seals and opens the secrets of one organisation. Debug shows nothing; keys are cleared on drop.
pub struct Vault {
    org: String,
    master: Master,
    keys: RwLock<Arc<Loaded>>,
    /// Held while the keys are read again, with the time of the last failure.
    loading: tokio::sync::Mutex<Option<(Instant, crate::Error)>>,
}

/// A data key and its id.
type DataKey = ([u8; KEY_ID], Arc<Key>);

/// The data keys as they stood in the store at one moment.
struct Loaded {
    /// The store's own count of changes to the keys; see [`current`].
    epoch: Option<Vec<u8>>,
    /// Newest first; never empty.
    keys: Vec<DataKey>,
    /// Dropped from the store, and when that was noticed: they still open what was read before.
    dropped: Vec<(DataKey, Instant)>,
}

impl Loaded {
    fn find(&self, id: &[u8]) -> Option<&Key> {
        let dropped = self.dropped.iter().map(|(key, _)| key);
        self.keys.iter().chain(dropped).find(|(known, _)| known == id).map(|(_, key)| &**key)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

/// The master key's side, with deadline and panics caught.
#[derive(Clone)]
struct Master(Arc<dyn KeyProvider>);

impl Master {
    /// Asks the provider. Whatever it ends with names it: its own errors have no other way to say whose they are.
    async fn ask<T, F>(&self, call: &str, asked: impl FnOnce(Arc<dyn KeyProvider>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let answer = asked(self.0.clone());
        let ended = guarded(KEY_PROVIDER, call, DEADLINE, async move { answer.await.map_err(Fault::from) }).await;
        ended.map_err(|error| error.with("plugin", KEY_PROVIDER).with("call", call))
    }

    async fn id(&self) -> Result<String> {
        let checked = |provider: Arc<dyn KeyProvider>| async move {
            let id = provider.key_id().await?;
            if id.is_empty() || id.len() > 256 {
                return Err(err!(PluginAnswer, "a key provider's `key_id` has 1 to 256 bytes"));
            }
            Ok(id)
        };
        self.ask("key_id", checked).await
    }

    async fn wrap(&self, plain: &[u8], aad: Vec<u8>) -> Result<Vec<u8>> {
        let plain = Zeroizing::new(plain.to_vec());
        self.ask("wrap", |provider| async move { provider.wrap(plain, aad).await }).await
    }

    async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
        self.ask("unwrap", |provider| async move { provider.unwrap(key_id, wrapped, aad).await }).await
    }

    /// Wraps, and makes sure that it opens again: a key that can't be had back would lose every secret under it.
    async fn wrap_surely(&self, id: &str, plain: &[u8], aad: Vec<u8>) -> Result<Vec<u8>> {
        let wrapped = self.wrap(plain, aad.clone()).await?;
        let (id, again, plain) = (id.to_owned(), wrapped.clone(), Zeroizing::new(plain.to_vec()));
        let compared = |provider: Arc<dyn KeyProvider>| async move {
            if *provider.unwrap(id, again, aad).await? != *plain {
                return Err(err!(PluginAnswer, "a key provider's `unwrap` answered something else than was wrapped"));
            }
            Ok(())
        };
        self.ask("unwrap", compared).await?;
        Ok(wrapped)
    }
}

/// What a wrapped key is bound to.
fn wrap_aad(purpose: &str, parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    aad::push(&mut bytes, b'w', purpose.as_bytes());
    for part in parts {
        aad::push(&mut bytes, b'p', part.as_bytes());
    }
    bytes
}

/// What the store holds of an organisation's keys, in one snapshot.
struct Stored {
    epoch: Option<Vec<u8>>,
    rows: Vec<DataKeyRow>,
    check: Option<Vec<u8>>,
}

/// What every value that is sealed under this key begins with.
fn head_of(id: &[u8; KEY_ID]) -> [u8; HEAD] {
    let mut head = [FORMAT; HEAD];
    head[1..].copy_from_slice(id);
    head
}

fn parse_key_id(text: &str) -> Option<[u8; KEY_ID]> {
    if text.len() != 2 * KEY_ID || !text.is_ascii() {
        return None;
    }
    let mut id = [0; KEY_ID];
    for (byte, at) in id.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(id)
}

/// The check value: the master key's id with its length, then what it wrapped.
fn encode_check(master_id: &str, wrapped: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + master_id.len() + wrapped.len());
    bytes.extend_from_slice(&(master_id.len() as u16).to_be_bytes());
    bytes.extend_from_slice(master_id.as_bytes());
    bytes.extend_from_slice(wrapped);
    bytes
}

fn decode_check(check: &[u8]) -> Option<(String, Vec<u8>)> {
    let (length, rest) = check.split_first_chunk::<2>()?;
    let (id, wrapped) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((String::from_utf8(id.to_vec()).ok()?, wrapped.to_vec()))
}

impl Vault {
    /// Loads the organisation's data keys, or makes its first one.
    ///
    /// # Errors
    /// `key_wrong` when the master key is not the store's: nothing was written then. `store_corrupt` when the rows of all
    /// data keys are damaged. Errors of the store and of the provider.
    pub async fn unlock(store: Arc<dyn Store>, provider: Arc<dyn KeyProvider>, org: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let master = Master(provider);
        let master_id = master.id().await?;
        loop {
            let state = Self::state(&*store, org).await?;
            if !state.rows.is_empty() {
                let keys = RwLock::new(Arc::new(Self::load(&master, state, None).await?));
                return Ok(Self { org: org.to_owned(), master, keys, loading: tokio::sync::Mutex::default() });
            }
            if let Some(check) = &state.check {
                Self::prove(&master, check).await?;
            }
            Self::make_first(&store, &master, &master_id, org, state.check, clock.as_ref()).await?;
            // Read again: whoever wrote first, everyone uses that key.
        }
    }

    async fn state(store: &dyn Store, org: &str) -> Result<Stored> {
        let org = org.to_owned();
        store
            .read_with(move |tx| {
                Ok(Stored { epoch: tx.meta(&current::epoch_name(&org))?, rows: tx.data_keys(&org)?, check: tx.meta(CHECK)? })
            })
            .await
    }

    async fn prove(master: &Master, check: &[u8]) -> Result<()> {
        let damaged = || err!(StoreCorrupt, "the vault's check value is damaged").with("table", "meta").with("row", CHECK);
        let (id, wrapped) = decode_check(check).ok_or_else(damaged)?;
        let plain = master.unwrap(id, wrapped, wrap_aad("check", &[])).await?;
        if plain.as_slice() == CHECKED { Ok(()) } else { Err(damaged()) }
    }

    /// Unwraps what the store holds; a key that is known already is not asked for again.
    async fn load(master: &Master, state: Stored, known: Option<&Loaded>) -> Result<Loaded> {
        let (mut keys, mut failed, mut proved) = (Vec::new(), None, None);
        for row in state.rows {
            let damaged = || err!(StoreCorrupt, "a data key is damaged").with("table", "data_keys").with("row", &row.key_id);
            let Some(id) = parse_key_id(&row.key_id) else {
                failed = Some(damaged());
                continue;
            };
            if let Some((_, key)) = known.and_then(|known| known.keys.iter().find(|(known, _)| *known == id)) {
                keys.push((id, key.clone()));
                continue;
            }
            match Self::unwrap_row(master, &row).await {
                Ok(Some(key)) => keys.push((id, Arc::new(key))),
                Ok(None) => failed = Some(damaged()),
                Err(error) if error.is(Code::KeyWrong) => {
                    if proved.is_none() {
                        proved = Some(match &state.check {
                            Some(check) => Self::prove(master, check).await.is_ok(),
                            None => false,
                        });
                    }
                    // The master key is the right one, so it is the row that is damaged: the other keys still serve.
                    if proved != Some(true) {
                        return Err(error);
                    }
                    failed = Some(damaged());
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = failed {
            if keys.is_empty() {
                return Err(error);
            }
            tracing::error!(%error, "what was sealed under this data key can't be read");
        }
        Ok(Loaded { epoch: state.epoch, keys, dropped: Vec::new() })
    }

    async fn unwrap_row(master: &Master, row: &DataKeyRow) -> Result<Option<Key>> {
        let aad = wrap_aad("data key", &[&row.org, &row.key_id]);
        Ok(Key::new(master.unwrap(row.master_key_id.clone(), row.wrapped.clone(), aad).await?))
    }

    /// Writes the first data key and the check value, unless somebody else was faster with either.
    async fn make_first(
        store: &Arc<dyn Store>,
        master: &Master,
        master_id: &str,
        org: &str,
        seen: Option<Vec<u8>>,
        clock: &dyn Clock,
    ) -> Result<()> {
        let key = Key::random()?;
        let key_id = ids::hex(&ids::random::<KEY_ID>()?);
        let wrapped = master.wrap_surely(master_id, key.bytes(), wrap_aad("data key", &[org, &key_id])).await?;
        let check = match &seen {
            Some(check) => check.clone(),
            None => encode_check(master_id, &master.wrap_surely(master_id, CHECKED, wrap_aad("check", &[])).await?),
        };
        let row =
            DataKeyRow { org: org.to_owned(), key_id, master_key_id: master_id.to_owned(), wrapped, created_at: clock.now().millis() };
        store
            .write_with(move |tx| {
                if tx.data_keys(&row.org)?.is_empty() && tx.meta(CHECK)? == seen {
                    tx.set_meta(CHECK, &check)?;
                    tx.insert_data_key(&row)?;
                }
                Ok(())
            })
            .await
    }

    /// Seals for this place under the newest data key, with a fresh nonce.
    ///
    /// # Errors
    /// `internal` when the operating system gives no random bytes.
    pub fn seal(&self, aad: &Aad, plain: &[u8]) -> Result<Vec<u8>> {
        let loaded = self.loaded();
        let (id, key) = loaded.keys.first().ok_or_else(|| err!(Internal, "the vault has no key"))?;
        key.seal(&head_of(id), aad.bytes(), plain)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// `store_corrupt`, naming table and row, when anything differs from what was sealed.
    pub fn open(&self, aad: &Aad, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let loaded = self.loaded();
        let key = match sealed.get(..HEAD) {
            Some([FORMAT, id @ ..]) => loaded.find(id),
            _ => None,
        };
        key.and_then(|key| key.unseal(HEAD, aad.bytes(), sealed)).ok_or_else(|| corrupt(aad))
    }

    fn loaded(&self) -> Arc<Loaded> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Seals a value's JSON form.
    ///
    /// # Errors
    /// As [`Vault::seal`]; `internal` when the value has no JSON form.
    pub fn seal_json<T: Serialize + ?Sized>(&self, aad: &Aad, value: &T) -> Result<Vec<u8>> {
        let unserialisable = |_| err!(Internal, "a value to be sealed has no JSON form");
        // Measured first: a buffer that grows would leave copies of the secret behind.
        let write = |to: &mut dyn std::io::Write| serde_json::to_writer(to, value).map_err(unserialisable);
        let mut length = Length(0);
        write(&mut length)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(length.0));
        write(&mut *plain)?;
        self.seal(aad, &plain)
    }

    /// Opens a value that was sealed as JSON.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open_json<T: DeserializeOwned>(&self, aad: &Aad, sealed: &[u8]) -> Result<T> {
        serde_json::from_slice(&self.open(aad, sealed)?).map_err(|_| corrupt(aad))
    }
}

fn corrupt(aad: &Aad) -> crate::Error {
    let (table, row) = aad.place();
    err!(StoreCorrupt, "the secret of row `{row}` of `{table}` does not open").with("table", table).with("row", row)
}

/// Counts what is written.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
