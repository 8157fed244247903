use std::{ffi::OsString, fmt, fs, io::Read, io::Write, path::Path};

use async_trait::async_trait;
use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::keys::{KEY, Key};
use crate::{
    Result, Secret,
    error::{bail, err},
    ids,
    plugin::KeyProvider,
};

/// How the text form of a master key begins.
const PREFIX: &str = "smalt_mk_1_";
/// The key that the documentation shows. It is refused, like every other that somebody could guess.
const SAMPLE: &str = "smalt_mk_1_EXAMPLE-key-of-the-docs-do-not-use-it-EXAME";
/// A wrapped key begins with this byte.
const FORMAT: u8 = 1;

/// A master key that this process holds itself: from a file or an environment variable.
///
/// Its text form is `smalt_mk_1_` and 43 characters (32 bytes, base64url). Debug shows its public id only.
pub struct LocalKey {
    key: Key,
    id: String,
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why nobody would have drawn these bytes by chance.
fn guessable(bytes: &[u8]) -> Option<&'static str> {
    let distinct = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
    if (1..=bytes.len() / 2).any(|period| bytes.iter().skip(period).eq(&bytes[..bytes.len() - period])) {
        return Some("it repeats itself");
    }
    let step = bytes[1].wrapping_sub(bytes[0]);
    if bytes.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step) {
        return Some("it is a sequence");
    }
    if distinct < 12 {
        return Some("it uses too few different bytes");
    }
    // A random key is printable text once in 10^13 times.
    bytes.iter().all(|b| (b' '..=b'~').contains(b)).then_some("it is text, not random bytes")
}

impl LocalKey {
    fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Result<Self> {
        let Some(key) = Key::new(bytes) else {
            bail!(KeyInvalid, "the master key does not have {KEY} bytes");
        };
        if let Some(why) = guessable(key.bytes()) {
            bail!(KeyInvalid, "the master key can be guessed: {why}");
        }
        let id = Sha256::new().chain_update(b"smalt master key id 1\0").chain_update(key.bytes()).finalize();
        Ok(Self { id: format!("local_{}", ids::hex(&id[..8])), key })
    }

    /// Reads the text form; white space around it is ignored.
    ///
    /// # Errors
    /// `key_invalid` for another form, a known sample, or a key that can be guessed.
    pub fn parse(text: &Secret) -> Result<Self> {
        let text = text.expose().trim();
        if text == SAMPLE {
            bail!(KeyInvalid, "the master key is the sample from the documentation");
        }
        let Some(code) = text.strip_prefix(PREFIX) else {
            bail!(KeyInvalid, "a master key begins with `{PREFIX}`");
        };
        let mut bytes = Zeroizing::new(vec![0; code.len()]);
        let read = Base64UrlUnpadded::decode(code, &mut bytes).map(<[u8]>::len);
        let Ok(length) = read else {
            bail!(KeyInvalid, "after `{PREFIX}`, a master key has 43 base64url characters");
        };
        bytes.truncate(length);
        Self::from_bytes(bytes)
    }

    /// Reads the text form from an environment variable.
    ///
    /// # Errors
    /// `key_missing` when it is unset or empty; as [`LocalKey::parse`].
    pub fn from_env(name: &str) -> Result<Self> {
        Self::from_variable(name, std::env::var_os(name))
    }

    fn from_variable(name: &str, value: Option<OsString>) -> Result<Self> {
        let Some(value) = value.filter(|v| !v.is_empty()) else {
            bail!(KeyMissing, "the environment variable {name} is not set");
        };
        let Ok(text) = value.into_string() else {
            bail!(KeyInvalid, "the environment variable {name} is no text");
        };
        Self::parse(&Secret::new(text)).map_err(|e| e.with("variable", name))
    }

    /// Reads the text form from a file that nobody but its owner can read.
    ///
    /// # Errors
    /// `key_missing` when there is no such file; `key_invalid` when group or others have any right on it, or for its content.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::read_file(path).map_err(|e| e.with("path", path.display()))
    }

    fn read_file(path: &Path) -> Result<Self> {
        let file = fs::File::open(path).map_err(|e| err!(KeyMissing, "the key file cannot be opened: {}", e.kind()))?;
        let facts = file.metadata().map_err(|e| err!(KeyInvalid, "the key file cannot be examined: {}", e.kind()))?;
        if !facts.is_file() {
            bail!(KeyInvalid, "the path of the key file names something else");
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&facts) & 0o777;
            if mode & 0o077 != 0 {
                bail!(KeyInvalid, "the key file has mode {mode:04o}: others than its owner have rights on it");
            }
        }
        // A fixed buffer: growing would leave copies of the key behind.
        let mut text = Zeroizing::new([0; 1024]);
        let mut length = 0;
        let mut from = file;
        while length < text.len() {
            match from.read(&mut text[length..]).map_err(|e| err!(KeyInvalid, "the key file cannot be read: {}", e.kind()))? {
                0 => break,
                more => length += more,
            }
        }
        let Ok(text) = std::str::from_utf8(&text[..length]) else {
            bail!(KeyInvalid, "the key file holds no text");
        };
        Self::parse(&Secret::from(text))
    }

    /// The key that the environment names: `SMALT_KEY`, else the file that `SMALT_KEY_FILE` names.
    ///
    /// # Errors
    /// `key_missing` when neither is set; as [`LocalKey::from_env`] and [`LocalKey::from_file`].
    pub fn discover() -> Result<Self> {
        Self::discover_in(|name| std::env::var_os(name))
    }

    /// The earlier key, while another one replaces it: `SMALT_OLD_KEY`, else the file that `SMALT_OLD_KEY_FILE` names.
    ///
    /// # Errors
    /// As [`LocalKey::discover`]; none when neither is set.
    pub fn discover_old() -> Result<Option<Self>> {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        match (set("SMALT_OLD_KEY"), set("SMALT_OLD_KEY_FILE")) {
            (Some(text), _) => Self::from_variable("SMALT_OLD_KEY", Some(text)).map(Some),
            (None, Some(path)) => Self::from_file(Path::new(&path)).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn discover_in(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|v| !v.is_empty());
        match (set("SMALT_KEY"), set("SMALT_KEY_FILE")) {
            (Some(text), _) => Self::from_variable("SMALT_KEY", Some(text)),
            (None, Some(path)) => Self::from_file(Path::new(&path)),
            (None, None) => bail!(KeyMissing, "neither SMALT_KEY nor SMALT_KEY_FILE is set; `smalt init` makes a key"),
        }
    }

    /// A new key from the operating system's generator.
    ///
    /// # Errors
    /// `internal` when the operating system gives no random bytes.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new(vec![0; KEY]);
        ids::fill(&mut bytes)?;
        Self::from_bytes(bytes)
    }

    /// The public id: a fingerprint of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text form.
    pub fn text(&self) -> Secret {
        let code = Zeroizing::new(Base64UrlUnpadded::encode_string(self.key.bytes()));
        let mut text = String::with_capacity(PREFIX.len() + code.len());
        text.push_str(PREFIX);
        text.push_str(&code);
        Secret::new(text)
    }

    /// Writes the text form to a new file that only its owner can read (mode 0600).
    ///
    /// # Errors
    /// `invalid_request` when there is a file already: it is not touched. `store_unavailable` when it can't be written.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut how = fs::OpenOptions::new();
        how.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        let mut file = match how.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(err!(InvalidRequest, "there is a file already where the key should go; it was not touched")
                    .with("path", path.display()));
            }
            Err(error) => return Err(unwritable(&error, path)),
        };
        let text = self.text();
        file.write_all(text.expose().as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all())
            .map_err(|e| unwritable(&e, path))
    }
}

fn unwritable(error: &std::io::Error, path: &Path) -> crate::Error {
    err!(StoreUnavailable, "the key file cannot be written: {}", error.kind()).with("path", path.display())
}

#[async_trait]
impl KeyProvider for LocalKey {
    async fn key_id(&self) -> Result<String> {
        Ok(self.id.clone())
    }

    async fn wrap(&self, data_key: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>> {
        self.key.seal(&[FORMAT], &aad, &data_key)
    }

    async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
        if key_id != self.id {
            return Err(err!(KeyWrong, "the store needs the master key {key_id}, but {} was given", self.id));
        }
        let plain = if wrapped.first() == Some(&FORMAT) { self.key.unseal(1, &aad, &wrapped) } else { None };
        plain.ok_or_else(|| err!(KeyWrong, "the master key {key_id} does not open a data key"))
    }
}

#[cfg(test)]
mod tests;
