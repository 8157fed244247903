//! Credentials of linked accounts for the organisation's own application ("your app" at the hosted service): what its
//! workflows call the organisation itself with, for one customer.

use std::collections::BTreeMap;

use super::{
    Inner, require_account,
    sealed::{self, OwnValues},
};
use crate::{
    Secret, Timestamp,
    backend::{GetAccount, PutOwnCredentials, SetOwnCredential},
    error::{Result, bail, err},
    model::{OwnChange, OwnCredentials},
    store::rows::OwnCredentialsRow,
    vault::demand_readers,
};

/// Values of one account.
const MOST: usize = 50;
const LONGEST_NAME: usize = 100;
const LONGEST_VALUE: usize = 8 * 1024;

fn check(values: &BTreeMap<String, Secret>) -> Result<()> {
    let name_fits = |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if values.len() > MOST {
        bail!(InvalidRequest, "an account may have {MOST} values");
    }
    match values.iter().find(|(name, value)| !name_fits(name) || value.expose().len() > LONGEST_VALUE) {
        Some((name, _)) => {
            let name: String = name.chars().take(LONGEST_NAME).collect();
            bail!(InvalidRequest, "`{}`: a name may have {LONGEST_NAME} printable bytes, a value {LONGEST_VALUE}", name.escape_debug())
        }
        None => Ok(()),
    }
}

fn missing(account: &str) -> crate::Error {
    err!(OwnCredentialsNotFound, "`{}` has no credentials for the organisation's own application", account.escape_debug())
}

impl Inner {
    /// Replaces all of them.
    pub(super) async fn put_own_credentials(&self, actor: String, request: PutOwnCredentials) -> Result<()> {
        check(&request.values)?;
        let about = self.about(actor, &request.account, None);
        let vault = self.vault.clone();
        self.write(move |tx| {
            require_account(tx, &about.tenant, &request.account)?;
            let now = about.now.millis();
            let mut row = match tx.own_credentials(&about.tenant, &request.account)? {
                Some(row) => row,
                None => {
                    // Programs that do not know these rows would leave them behind when they rotate keys.
                    demand_readers(tx)?;
                    let (account_id, created_at) = (request.account.clone(), now);
                    OwnCredentialsRow { account_id, sealed: Vec::new(), secret_version: 0, created_at, updated_at: now }
                }
            };
            row.updated_at = now;
            let names: Vec<String> = request.values.keys().cloned().collect();
            sealed::seal_own_credentials(&vault, &about.tenant, &mut row, &OwnValues { values: request.values })?;
            tx.put_own_credentials(&about.tenant, &row)?;
            about.audit(tx, "own_credentials", None, &serde_json::json!({"did": "replace", "names": names}))
        })
        .await
        .map(drop)
    }

    /// Sets one, or removes it.
    pub(super) async fn set_own_credential(&self, actor: String, request: SetOwnCredential) -> Result<OwnChange> {
        check(&request.value.iter().map(|value| (request.name.clone(), value.clone())).collect())?;
        let about = self.about(actor, &request.account, None);
        let vault = self.vault.clone();
        self.write(move |tx| {
            require_account(tx, &about.tenant, &request.account)?;
            let found = tx.own_credentials(&about.tenant, &request.account)?;
            let Some(mut row) = found else { return Err(missing(&request.account)) };
            let mut own = sealed::open_own_credentials(&vault, &about.tenant, &row)?;
            let change = match request.value {
                Some(value) => match own.values.insert(request.name.clone(), value) {
                    Some(_) => OwnChange::Updated,
                    None => OwnChange::Added,
                },
                None => match own.values.remove(&request.name) {
                    Some(_) => OwnChange::Removed,
                    None => bail!(OwnCredentialsNotFound, "there is no value `{}`", request.name.escape_debug()),
                },
            };
            if own.values.len() > MOST {
                bail!(InvalidRequest, "an account may have {MOST} values");
            }
            row.updated_at = about.now.millis();
            sealed::seal_own_credentials(&vault, &about.tenant, &mut row, &own)?;
            tx.put_own_credentials(&about.tenant, &row)?;
            about.audit(tx, "own_credentials", None, &serde_json::json!({"did": change.as_str(), "names": [request.name]}))?;
            Ok(change)
        })
        .await
    }

    pub(super) async fn own_credentials(&self, actor: String, request: GetAccount) -> Result<OwnCredentials> {
        let about = self.about(actor, &request.account, None);
        let account = request.account.clone();
        // Who reads them is written down before they leave.
        let row = self
            .write(move |tx| {
                require_account(tx, &about.tenant, &account)?;
                let row = tx.own_credentials(&about.tenant, &account)?.ok_or_else(|| missing(&account))?;
                about.audit(tx, "own_credentials", None, &serde_json::json!({"did": "read"}))?;
                Ok(row)
            })
            .await?;
        let own = sealed::open_own_credentials(&self.vault, &self.tenant, &row)?;
        Ok(OwnCredentials {
            account_id: request.account,
            values: own.values,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}
