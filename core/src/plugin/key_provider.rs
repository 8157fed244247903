use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::Result;

/// Master keys: wraps and unwraps data keys, at open and at rotation only. Defaults: a key file, an environment variable.
#[async_trait]
pub trait KeyProvider: Send + Sync + 'static {
    /// Names the master key that `wrap` uses; kept beside each wrapped key. Not a secret.
    async fn key_id(&self) -> Result<String>;
    /// Seals a data key. `aad` names the row and must be bound into the result.
    async fn wrap(&self, data_key: Zeroizing<Vec<u8>>, aad: Vec<u8>) -> Result<Vec<u8>>;
    /// Opens a data key that was sealed under the master key of this id.
    ///
    /// # Errors
    /// `key_wrong` when it does not open.
    async fn unwrap(&self, key_id: String, wrapped: Vec<u8>, aad: Vec<u8>) -> Result<Zeroizing<Vec<u8>>>;
}
