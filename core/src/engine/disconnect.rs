//! Disconnect: secrets unusable, configs deleted and the revocation queued, in one transaction. The answer is a receipt.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{About, Inner, connections, end_of, exchange, outbox, require_account, sealed};
use crate::{
    Code, Error,
    backend::{Disconnect, GetReceipt},
    error::{Result, bail, err},
    ids,
    model::{AuthType, EventType, Receipt, RevocationOutcome, RevokedConnection, SiblingPolicy},
    plugin::Tx,
    store::rows::{ConnectionRow, ReceiptRow},
    vault::Vault,
};

/// The longest that a disconnect waits for the provider's answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What can be done about an application's grants.
#[derive(Clone, Copy, Default)]
struct Powers {
    /// Grants of the user's consent.
    revokes: bool,
    /// Tokens that came of entered values, and keys where a connector ends them.
    revokes_keys: bool,
    shared_grant: bool,
}

/// Removes connections inside somebody's transaction.
pub(super) struct Remover {
    vault: Arc<Vault>,
    powers: HashMap<String, Powers>,
}

impl Inner {
    pub(super) fn remover(&self) -> Remover {
        let powers = self.catalog.all().into_iter().map(|manifest| {
            let revoke = manifest.oauth2.as_ref().and_then(|oauth| oauth.revoke.as_ref());
            let signed = manifest.oauth1.as_ref().is_some_and(|oauth| oauth.revoke.is_some());
            let keys = manifest.keybased.as_ref().and_then(|keys| keys.token.as_ref()).and_then(|token| token.revoke.as_ref());
            let by_code = self.connectors.contains_key(&manifest.slug);
            let powers = Powers {
                revokes: revoke.is_some() || signed || by_code,
                revokes_keys: keys.is_some() || by_code,
                shared_grant: revoke.is_some_and(|revoke| revoke.shared_grant),
            };
            (manifest.slug.clone(), powers)
        });
        Remover { vault: self.vault.clone(), powers: powers.collect() }
    }

    pub(super) async fn disconnect(&self, actor: String, request: Disconnect) -> Result<Receipt> {
        let about = self.about(actor, &request.account, Some(&request.application));
        let remover = self.remover();
        let (account, application) = (request.account.clone(), request.application.clone());
        if let Err(error) = self.app(&application).await
            && !error.is(Code::ApplicationNotFound)
        {
            // A disabled application can still be disconnected; a broken project file is said.
            tracing::warn!(application, code = error.code().as_str(), "disconnecting an application that cannot be used");
        }
        let is_known = self.catalog.get(&application).is_some();
        let receipt = self
            .write(move |tx| {
                require_account(tx, &about.tenant, &request.account)?;
                let mut rows = tx.connections(&about.tenant, &request.account, Some(&request.application))?;
                if rows.is_empty() && !is_known {
                    bail!(ApplicationNotFound, "there is no application `{}`", request.application.escape_debug());
                }
                if let Some(id) = &request.connection {
                    rows.retain(|row| &row.id == id);
                    if rows.is_empty() {
                        bail!(ConnectionNotFound, "no connection `{}`", id.escape_debug());
                    }
                }
                rows.retain(|row| request.auth_type.is_none_or(|t| row.auth_type == t.as_str()));
                remover.remove(tx, &about, rows, request.siblings.unwrap_or(SiblingPolicy::Ask))
            })
            .await?;
        crate::failpoint::failpoint!("disconnect-committed");
        self.cache.forget(&account, &application);
        self.outbox.notify_one();
        Ok(receipt)
    }

    /// Waits a little for the provider's answer.
    pub(super) async fn settled(&self, account: &str, mut receipt: Receipt, wait: Option<Duration>) -> Result<Receipt> {
        let until = end_of(wait.unwrap_or(Duration::from_secs(2)).min(LONGEST_WAIT));
        let mut changed = self.changed.subscribe();
        // The provider may have answered before this listened.
        changed.mark_changed();
        while receipt.finished_at.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let _ = tokio::time::timeout(left, changed.changed()).await;
            receipt = self.get_receipt(GetReceipt { account: account.to_owned(), receipt: receipt.id.clone() }).await?;
        }
        Ok(receipt)
    }

    pub(super) async fn get_receipt(&self, request: GetReceipt) -> Result<Receipt> {
        let tenant = self.tenant.clone();
        self.read(move |tx| {
            let row = tx.receipt(&tenant, &request.receipt)?.filter(|row| row.account_id == request.account);
            row.ok_or_else(|| err!(ReceiptNotFound, "no receipt `{}`", request.receipt.escape_debug())).and_then(|row| to_model(&row))
        })
        .await
    }
}

pub(super) fn to_model(row: &ReceiptRow) -> Result<Receipt> {
    serde_json::from_str(&row.body_json)
        .map_err(|_| err!(StoreCorrupt, "receipt {} cannot be read", row.id).with("row", format!("receipts/{}", row.id)))
}

pub(super) fn to_row(receipt: &Receipt) -> ReceiptRow {
    ReceiptRow {
        id: receipt.id.clone(),
        account_id: receipt.account_id.clone(),
        application: receipt.application.clone(),
        body_json: serde_json::json!(receipt).to_string(),
        created_at: receipt.created_at.millis(),
        finished_at: receipt.finished_at.map(crate::Timestamp::millis),
    }
}

/// What a session is told of a disconnect: that a grant is shared, but not with whom. Siblings are other linked
/// accounts' connections (S-35).
pub(super) fn for_session(answer: Result<Receipt>) -> Result<Receipt> {
    match answer {
        Ok(mut receipt) => {
            receipt.connections.iter_mut().for_each(|connection| connection.siblings.clear());
            Ok(receipt)
        }
        Err(error) if error.is(Code::SharedGrant) => Err(Error::code_only(Code::SharedGrant)),
        Err(error) => Err(error),
    }
}

/// What to show for all connections together, and whether all have ended.
pub(super) fn sum_up(receipt: &mut Receipt, now: crate::Timestamp) {
    use RevocationOutcome::{Failed, KeptShared, NothingToRevoke, Queued, Revoked, Unsupported};
    let worst = [Queued, Failed, Unsupported, KeptShared, Revoked, NothingToRevoke];
    let has = |outcome: RevocationOutcome| receipt.connections.iter().any(|c| c.revocation == outcome);
    receipt.revocation = worst.into_iter().find(|outcome| has(*outcome)).unwrap_or(NothingToRevoke);
    if receipt.revocation != Queued && receipt.finished_at.is_none() {
        receipt.finished_at = Some(now);
    }
}

impl Remover {
    /// For one application whose grants can be revoked.
    #[cfg(test)]
    pub(super) fn revoking(vault: Arc<Vault>, slug: &str) -> Self {
        Self { vault, powers: HashMap::from([(slug.to_owned(), Powers { revokes: true, revokes_keys: false, shared_grant: false })]) }
    }

    /// Removes these connections of one application: all or, on `ask` with siblings, none.
    pub(super) fn remove(&self, tx: &mut dyn Tx, about: &About, rows: Vec<ConnectionRow>, policy: SiblingPolicy) -> Result<Receipt> {
        let application = about.application.clone().unwrap_or_default();
        let powers = self.powers.get(&application).copied().unwrap_or_default();
        let siblings = siblings(tx, about, &rows)?;
        if powers.shared_grant && policy == SiblingPolicy::Ask && siblings.values().any(|found| !found.is_empty()) {
            return Err(shared(&application, &siblings));
        }
        let mut receipt = Receipt {
            id: ids::new_id(about.now)?,
            account_id: about.account.clone(),
            application: application.clone(),
            revocation: RevocationOutcome::NothingToRevoke,
            connections: Vec::new(),
            deleted_configs: Vec::new(),
            created_at: about.now,
            finished_at: None,
        };
        for row in rows {
            let found = siblings.get(&row.id).map_or(&[][..], Vec::as_slice);
            let revocation = self.end_grant(tx, about, &receipt.id, &row, powers, policy, found)?;
            tx.delete_connection(&about.tenant, &row.id)?;
            let data = serde_json::json!({"connection": row.id, "receipt": receipt.id, "revocation": revocation});
            about.event(tx, EventType::ConnectionDeleted, &data)?;
            about.audit(tx, "disconnect", Some(&row.id), &serde_json::json!({"receipt": receipt.id}))?;
            crate::failpoint::failpoint!("disconnect-row");
            receipt.connections.push(RevokedConnection {
                identity: connections::identity(&row),
                connection_id: row.id,
                revocation,
                attempts: 0,
                siblings: found.iter().map(|sibling| sibling.id.clone()).collect(),
            });
        }
        let left = tx.connections(&about.tenant, &about.account, Some(&application))?;
        match left.first() {
            None => {
                receipt.deleted_configs = tx.delete_configs(&about.tenant, &about.account, &application)?;
                for id in &receipt.deleted_configs {
                    about.event(tx, EventType::ConfigDeleted, &serde_json::json!({"config": id}))?;
                }
            }
            Some(first) if !left.iter().any(|row| row.is_default) => connections::make_default(tx, about, &application, &first.id)?,
            Some(_) => {}
        }
        sum_up(&mut receipt, about.now);
        crate::failpoint::failpoint!("disconnect-middle");
        tx.put_receipt(&about.tenant, &to_row(&receipt))?;
        Ok(receipt)
    }

    /// Decides what becomes of one grant, and queues its revocation where there is something to do.
    #[allow(clippy::too_many_arguments)] // one transaction's facts
    fn end_grant(
        &self,
        tx: &mut dyn Tx,
        about: &About,
        receipt: &str,
        row: &ConnectionRow,
        powers: Powers,
        policy: SiblingPolicy,
        siblings: &[ConnectionRow],
    ) -> Result<RevocationOutcome> {
        // A damaged row can be removed all the same; its grant is lost to us.
        let Ok(grant) = sealed::open_grant(&self.vault, &about.tenant, row) else { return Ok(RevocationOutcome::Failed) };
        let is_key = row.auth_type == AuthType::Keybased.as_str();
        let holds_token = grant.access_token.is_some() || grant.refresh_token.is_some();
        if !(if is_key { powers.revokes_keys } else { powers.revokes }) {
            return Ok(if is_key && !holds_token { RevocationOutcome::NothingToRevoke } else { RevocationOutcome::Unsupported });
        }
        if !is_key && grant.access_token.is_none() && grant.refresh_token.is_none() {
            return Ok(RevocationOutcome::NothingToRevoke);
        }
        if powers.shared_grant && !siblings.is_empty() {
            if policy == SiblingPolicy::Keep {
                return Ok(RevocationOutcome::KeptShared);
            }
            for sibling in siblings {
                let mut sibling = sibling.clone();
                let error = super::credential::reauth(&sibling).with("cause", "shared_grant_revoked");
                let about = About { account: sibling.account_id.clone(), ..about.clone() };
                exchange::expire(tx, &about, &mut sibling, &error)?;
            }
        }
        let ending = outbox::Ending {
            receipt,
            application: &row.application,
            client_key: &row.client_key,
            connection: &row.id,
            grant_key: row.grant_key.as_deref(),
        };
        outbox::queue(tx, about, &self.vault, &ending, grant, &row.properties_json)?;
        Ok(RevocationOutcome::Queued)
    }
}

type Siblings = BTreeMap<String, Vec<ConnectionRow>>;

/// Per connection, the others that stand for the same grant and stay.
fn siblings(tx: &mut dyn Tx, about: &About, rows: &[ConnectionRow]) -> Result<Siblings> {
    let mut found = Siblings::new();
    for row in rows {
        let Some(key) = &row.grant_key else { continue };
        let mut others = tx.connections_by_grant(&about.tenant, key)?;
        others.retain(|other| rows.iter().all(|row| row.id != other.id));
        found.insert(row.id.clone(), others);
    }
    Ok(found)
}

fn shared(application: &str, siblings: &Siblings) -> Error {
    let names: Vec<String> = siblings.values().flatten().map(|row| format!("{} of `{}`", row.id, row.account_id)).collect();
    err!(SharedGrant, "`{application}` would end the grant of other connections too: {}", names.join(", "))
        .with("siblings", names.join(", "))
}
