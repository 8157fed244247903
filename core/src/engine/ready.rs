//! Whether the engine can do its work now.

use super::Inner;
use crate::{
    error::{Result, bail, err},
    vault::Aad,
};

impl Inner {
    /// Writes one small row, which no statement but this one reads, and seals and opens a value that goes nowhere.
    pub(super) async fn ready(&self) -> Result<()> {
        if self.is_closed() {
            bail!(Closed, "the engine was closed");
        }
        let aad = Aad::new(&self.tenant, "meta").part("ready");
        let now = self.now().millis().to_be_bytes();
        let sealed = self.vault.seal(&aad, &now)?;
        if self.vault.open(&aad, &sealed)?.as_slice() != now {
            return Err(err!(StoreCorrupt, "a value that was just sealed does not open"));
        }
        let name = format!("ready/{}/{}", self.tenant.org, self.tenant.environment);
        // Nobody who waits for something need wake.
        self.vault.write(&*self.store, move |tx| tx.set_meta(&name, &now)).await
    }
}
