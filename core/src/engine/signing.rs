//! The keys that sign session tokens. The newest one signs; one that was replaced is known until the last token that it signed has ended, and
//! is then erased. All processes on a store follow: a session is made under the key that is the newest in the same transaction, and
//! a token under a key that is not known here has the keys read again.

use std::sync::{Arc, PoisonError, RwLock};

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

/// Oldest first, as last read.
pub(super) struct Signing(RwLock<Arc<Vec<SigningKey>>>);

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
        Ok(Self(RwLock::new(Arc::new(opened(vault, tenant, rows)?))))
    }

    pub(super) fn keys(&self) -> Arc<Vec<SigningKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
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
        let rows = read(&*self.store, &self.vault, &self.tenant).await?;
        let keys = Arc::new(opened(&self.vault, &self.tenant, rows)?);
        *self.signing.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// What a token says, if it is one of ours. A key that another process brought is looked for.
    pub(super) async fn verified(&self, token: &Secret) -> Result<token::Verified> {
        if token::is_of_other_key(&self.signing.keys(), token) {
            self.read_signing_keys().await?;
        }
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
