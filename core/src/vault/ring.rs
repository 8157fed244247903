use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::LocalKey;
use crate::{
    Result,
    error::{Code, err},
    plugin::KeyProvider,
};

/// Several master keys at once, while one replaces another: the first wraps, and each opens what is its own.
pub struct KeyRing {
    /// Never empty.
    providers: Vec<Arc<dyn KeyProvider>>,
}

impl KeyRing {
    /// With the key that wraps.
    pub fn new(first: impl KeyProvider) -> Self {
        Self { providers: vec![Arc::new(first)] }
    }

    /// With one more key, which only opens.
    #[must_use]
    pub fn also(mut self, other: impl KeyProvider) -> Self {
        self.providers.push(Arc::new(other));
        self
    }

    /// The keys that the environment names: `SMALT_KEY` or `SMALT_KEY_FILE` wraps; `SMALT_OLD_KEY` or `SMALT_OLD_KEY_FILE`,
    /// if one is set, only opens.
    ///
    /// # Errors
    /// As [`LocalKey::discover`].
    pub fn discover() -> Result<Self> {
        Self::new(LocalKey::discover()?).and_old()
    }

    /// Adds the key that `SMALT_OLD_KEY` or `SMALT_OLD_KEY_FILE` names, if one is set.
    ///
    /// # Errors
    /// `key_missing`, `key_invalid`.
    pub fn and_old(self) -> Result<Self> {
        Ok(match LocalKey::discover_old()? {
            Some(old) => self.also(old),
            None => self,
        })
    }
}

#[async_trait]
impl KeyProvider for KeyRing {
    async fn key_id(&self) -> Result<String> {
        self.first().key_id().await
    }

    async fn wrap(&self, data_key: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>> {
        self.first().wrap(data_key, aad).await
    }

    async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>> {
        let mut others = Vec::new();
        for provider in &self.providers {
            if provider.key_id().await? == key_id {
                return provider.unwrap(key_id, wrapped, aad).await;
            }
            others.push(provider);
        }
        // A provider may know more keys than the one that it wraps with now.
        let mut refused = err!(KeyWrong, "the store needs the master key {key_id}, which is none of those that were given");
        for provider in others {
            match provider.unwrap(key_id.clone(), wrapped.clone(), aad.clone()).await {
                Err(error) if error.is(Code::KeyWrong) => {
                    if self.providers.len() == 1 {
                        refused = error;
                    }
                }
                ended => return ended,
            }
        }
        Err(refused)
    }
}

impl KeyRing {
    fn first(&self) -> &Arc<dyn KeyProvider> {
        &self.providers[0]
    }
}
