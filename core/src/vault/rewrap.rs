//! Another master key: the data keys are wrapped anew, and no row is touched.

use std::sync::Arc;

use super::{CHECK, CHECKED, Master, decode_check, encode_check, wrap_aad};
use crate::{
    Result,
    error::err,
    plugin::{KeyProvider, Store, StoreExt},
};

/// What a change of the master key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// The master key under which everything is wrapped now.
    pub master_key_id: String,
    /// How many data keys were wrapped anew; 0 when nothing was left to do.
    pub data_keys: usize,
}

/// Wraps every data key of the store, of all organisations, and its check value under the master key that `keys` wraps with.
/// `keys` must also open what the earlier one wrapped: a [`super::KeyRing`] of both, or a provider that knows its own older keys.
/// Processes that run need nothing: they hold the data keys already. May be run again at any time, also after it was
/// interrupted: what is wrapped under either key opens with both.
///
/// # Errors
/// `key_wrong` when a data key is wrapped under a master key that is not among them; the provider's and the store's. Nothing
/// is half written.
pub async fn rewrap(store: &dyn Store, keys: Arc<dyn KeyProvider>) -> Result<Rewrapped> {
    let master = Master(keys);
    let new = master.id().await?;
    let mut data_keys = 0;
    loop {
        let (rows, check) = store.read_with(|tx| Ok((tx.all_data_keys()?, tx.meta(CHECK)?))).await?;
        let mut wrapped = Vec::new();
        for row in rows.into_iter().filter(|row| row.master_key_id != new) {
            let aad = wrap_aad("data key", &[&row.org, &row.key_id]);
            let plain = master.unwrap(row.master_key_id.clone(), row.wrapped.clone(), aad.clone()).await?;
            let again = master.wrap_surely(&new, &plain, aad).await?;
            wrapped.push((row, again));
        }
        let check = match check {
            Some(seen) => {
                let damaged = || err!(StoreCorrupt, "the vault's check value is damaged").with("table", "meta").with("row", CHECK);
                let (id, _) = decode_check(&seen).ok_or_else(damaged)?;
                let again = id != new;
                let aad = wrap_aad("check", &[]);
                if again { Some((seen, encode_check(&new, &master.wrap_surely(&new, CHECKED, aad).await?))) } else { None }
            }
            None => None,
        };
        if wrapped.is_empty() && check.is_none() {
            return Ok(Rewrapped { master_key_id: new, data_keys });
        }
        let id = new.clone();
        data_keys += store
            .write_with(move |tx| {
                let mut done = 0;
                for (row, again) in &wrapped {
                    // One that somebody else changed meanwhile is looked at in the next round.
                    done += usize::from(tx.rewrap_data_key(row, &id, again)?);
                }
                if let Some((seen, again)) = check
                    && tx.meta(CHECK)?.as_ref() == Some(&seen)
                {
                    tx.set_meta(CHECK, &again)?;
                }
                Ok(done)
            })
            .await?;
    }
}
