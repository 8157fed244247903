//! Linked accounts.

use std::collections::BTreeMap;

use super::{Inner, require_account};
use crate::{
    Timestamp,
    backend::{GetAccount, ListAccounts, PutAccount},
    error::{Result, bail},
    ids,
    model::{EventType, LinkedAccount, Page, SiblingPolicy, Tenant, UpsertedAccount},
    store::rows::AccountRow,
};

/// Ids travel in URL paths and headers that SDKs do not encode.
pub(super) fn check_id(what: &str, id: &str) -> Result<()> {
    let fits = !id.is_empty()
        && id.len() <= 256
        && id.trim() == id
        && id.bytes().all(|b| (0x20..0x7f).contains(&b) && !matches!(b, b'/' | b'?' | b'#'));
    if !fits {
        bail!(InvalidId, "`{what}` cannot be used as an id");
    }
    Ok(())
}

fn to_model(tenant: &Tenant, row: AccountRow) -> LinkedAccount {
    LinkedAccount {
        id: row.id,
        record_id: row.record_id,
        environment: tenant.environment,
        name: row.name,
        properties: serde_json::from_str(&row.properties_json).unwrap_or_default(),
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
    }
}

fn check_properties(properties: Option<&BTreeMap<String, String>>) -> Result<()> {
    let size: usize = properties.into_iter().flatten().map(|(k, v)| k.len() + v.len()).sum();
    if size > 64 * 1024 {
        bail!(InvalidRequest, "`properties` holds more than 64 KiB");
    }
    Ok(())
}

impl Inner {
    /// Makes or changes; `only_new` refuses an existing one.
    pub(super) async fn put_account(&self, actor: String, request: PutAccount, only_new: bool) -> Result<UpsertedAccount> {
        check_id("account", &request.id)?;
        check_properties(request.update.properties.as_ref())?;
        let about = self.about(actor, &request.id, None);
        self.write(move |tx| {
            let now = about.now.millis();
            let found = tx.account(&about.tenant, &request.id)?;
            let is_new = found.is_none();
            if only_new && !is_new {
                bail!(
                    LinkedAccountExists,
                    "a linked account `{}` exists already in the {} environment",
                    request.id,
                    about.tenant.environment
                );
            }
            let mut row = match found {
                Some(row) => row,
                None => AccountRow {
                    id: request.id.clone(),
                    record_id: ids::new_id(about.now)?,
                    name: None,
                    properties_json: "{}".to_owned(),
                    created_at: now,
                    updated_at: now,
                },
            };
            let before = row.clone();
            if let Some(name) = request.update.name {
                row.name = Some(name);
            }
            if let Some(properties) = request.update.properties {
                row.properties_json = serde_json::json!(properties).to_string();
            }
            if is_new || row != before {
                row.updated_at = now;
                tx.put_account(&about.tenant, &row)?;
            }
            if is_new {
                about.event(tx, EventType::AccountCreated, &serde_json::json!({}))?;
            }
            Ok(UpsertedAccount { account: to_model(&about.tenant, row), is_new })
        })
        .await
    }

    pub(super) async fn get_account(&self, request: GetAccount) -> Result<LinkedAccount> {
        let tenant = self.tenant.clone();
        self.read(move |tx| Ok(to_model(&tenant, require_account(tx, &tenant, &request.account)?))).await
    }

    pub(super) async fn list_accounts(&self, request: ListAccounts) -> Result<Page<LinkedAccount>> {
        let limit = request.limit.unwrap_or(50).clamp(1, 500);
        let after = match request.cursor {
            Some(cursor) => Some(self.open_cursor("accounts", &cursor)?),
            None => None,
        };
        let tenant = self.tenant.clone();
        let mut rows = self.read(move |tx| tx.accounts(&tenant, after, limit + 1, request.search.as_deref())).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = match rows.last() {
            Some(last) if more => Some(self.make_cursor("accounts", last.created_at, &last.id)?),
            _ => None,
        };
        Ok(Page { items: rows.into_iter().map(|row| to_model(&self.tenant, row)).collect(), next })
    }

    /// Everything of the account goes in one transaction; its grants are queued for revocation.
    pub(super) async fn delete_account(&self, actor: String, request: GetAccount) -> Result<()> {
        let about = self.about(actor, &request.account, None);
        let remover = self.remover();
        let account = request.account.clone();
        self.write(move |tx| {
            require_account(tx, &about.tenant, &request.account)?;
            let rows = tx.connections(&about.tenant, &request.account, None)?;
            let mut by_app: BTreeMap<String, Vec<_>> = BTreeMap::new();
            for row in rows {
                by_app.entry(row.application.clone()).or_default().push(row);
            }
            for (application, rows) in by_app {
                let mut about = about.clone();
                about.application = Some(application);
                let mut receipt = remover.remove(tx, &about, rows, SiblingPolicy::Keep)?;
                // Who it was at the provider goes with the account.
                receipt.connections.iter_mut().for_each(|connection| connection.identity = None);
                tx.put_receipt(&about.tenant, &super::disconnect::to_row(&receipt))?;
            }
            crate::failpoint::failpoint!("delete-middle");
            tx.delete_account(&about.tenant, &request.account)?;
            crate::failpoint::failpoint!("delete-last");
            about.audit(tx, "delete_account", None, &serde_json::json!({}))?;
            about.event(tx, EventType::AccountDeleted, &serde_json::json!({}))
        })
        .await?;
        crate::failpoint::failpoint!("delete-committed");
        self.cache.forget_account(&account);
        self.outbox.notify_one();
        Ok(())
    }
}
