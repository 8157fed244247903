//! Revocations: queued with the disconnect, sent by whichever process finds them due, tried again by the provider's
//! rules, and ended in the receipt.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};

use super::{About, Inner, apps::App, connections::NewConnection, disconnect, millis, sealed, sealed::Grant};
use crate::{
    Secret,
    error::Result,
    http::protocol::{self, ClientCredentials, RevokeOutcome},
    ids,
    manifest::template::Values,
    model::{AuthType, Credential, EventType, RevocationOutcome},
    plugin::{BootTime, RevokeRequest, Tx},
    store::rows::RevocationRow,
    vault::Vault,
};

/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(6 * 3600);
/// How many are sent at once.
const AT_ONCE: usize = 8;

/// What a revocation's templates may need stands sealed beside its tokens.
fn with_properties(mut grant: Grant, properties_json: &str) -> Grant {
    let properties: BTreeMap<String, String> = serde_json::from_str(properties_json).unwrap_or_default();
    for (name, value) in properties {
        grant.values.entry(name).or_insert_with(|| Secret::new(value));
    }
    grant
}

/// Whether somebody is at it now.
pub(super) fn is_leased(row: &RevocationRow, boot: &BootTime) -> bool {
    row.lease_owner.is_some() && row.lease_boot.as_ref() == Some(&boot.boot_id) && row.lease_until.is_some_and(|until| boot.millis < until)
}

/// Queues the end of tokens that no connection holds: refused after they were issued, or issued after a disconnect.
pub(super) fn queue_orphan(tx: &mut dyn Tx, about: &About, vault: &Vault, application: &str, orphan: &NewConnection) -> Result<()> {
    // A connection that stands for the same grant would die with them: its successor here always, as a queued
    // revocation gives way to it too; others where the manifest says that grants are shared.
    if let Some(key) = &orphan.grant_key {
        let same = tx.connections_by_grant(&about.tenant, key)?;
        if same.iter().any(|row| orphan.shares_grants || (row.account_id == about.account && row.application == application)) {
            return Ok(());
        }
    }
    let ending = Ending {
        receipt: "",
        application,
        client_key: &orphan.client_key,
        connection: orphan.renew.as_deref().unwrap_or_default(),
        grant_key: orphan.grant_key.as_deref(),
    };
    queue(tx, about, vault, &ending, orphan.grant.clone(), &serde_json::json!(orphan.properties).to_string())
}

/// Whose grant is to end, and for which receipt; the account is that of the deed.
pub(super) struct Ending<'a> {
    /// Empty where nobody holds one.
    pub(super) receipt: &'a str,
    pub(super) application: &'a str,
    pub(super) client_key: &'a str,
    pub(super) connection: &'a str,
    pub(super) grant_key: Option<&'a str>,
}

/// Queues a revocation, due at once. Part of the caller's transaction.
pub(super) fn queue(tx: &mut dyn Tx, about: &About, vault: &Vault, ending: &Ending<'_>, grant: Grant, properties_json: &str) -> Result<()> {
    let mut row = RevocationRow {
        id: ids::new_id(about.now)?,
        receipt_id: ending.receipt.to_owned(),
        account_id: about.account.clone(),
        application: ending.application.to_owned(),
        client_key: ending.client_key.to_owned(),
        connection_id: ending.connection.to_owned(),
        grant_key: ending.grant_key.map(ToOwned::to_owned),
        status: RevocationOutcome::Queued.as_str().to_owned(),
        sealed: Vec::new(),
        secret_version: 0,
        attempts: 0,
        next_at: about.now.millis(),
        lease_owner: None,
        lease_boot: None,
        lease_until: None,
        created_at: about.now.millis(),
    };
    sealed::seal_revocation(vault, &about.tenant, &mut row, &with_properties(grant, properties_json))?;
    tx.put_revocation(&about.tenant, &row)
}

/// Ends a revocation: the secret is erased, the receipt says how it went.
pub(super) fn finish(tx: &mut dyn Tx, about: &About, row: &mut RevocationRow, outcome: RevocationOutcome) -> Result<()> {
    outcome.as_str().clone_into(&mut row.status);
    row.sealed = Vec::new();
    (row.lease_owner, row.lease_boot, row.lease_until) = (None, None, None);
    tx.put_revocation(&about.tenant, row)?;
    note_in_receipt(tx, about, row, outcome)?;
    let about = About { account: row.account_id.clone(), application: Some(row.application.clone()), ..about.clone() };
    let data = serde_json::json!({"receipt": row.receipt_id, "connection": row.connection_id, "outcome": outcome.as_str()});
    about.event(tx, EventType::RevocationFinished, &data)
}

fn note_in_receipt(tx: &mut dyn Tx, about: &About, row: &RevocationRow, outcome: RevocationOutcome) -> Result<()> {
    let Some(stored) = tx.receipt(&about.tenant, &row.receipt_id)? else { return Ok(()) };
    let mut receipt = disconnect::to_model(&stored)?;
    for connection in receipt.connections.iter_mut().filter(|c| c.connection_id == row.connection_id) {
        connection.revocation = outcome;
        connection.attempts = u32::try_from(row.attempts).unwrap_or(u32::MAX);
    }
    disconnect::sum_up(&mut receipt, about.now);
    tx.put_receipt(&about.tenant, &disconnect::to_row(&receipt))
}

impl Inner {
    /// Sends what is due, until nothing is.
    pub(super) async fn run_outbox(self: &Arc<Self>) -> Result<()> {
        loop {
            let (tenant, now, boot) = (self.tenant.clone(), self.now().millis(), self.clock.boot());
            let due = self.read(move |tx| tx.due_revocations(&tenant, now, 64)).await?;
            let due: Vec<_> = due.into_iter().filter(|row| !is_leased(row, &boot)).collect();
            if due.is_empty() {
                return Ok(());
            }
            let moved: Vec<bool> = stream::iter(due).map(|row| self.revoke_one(row)).buffer_unordered(AT_ONCE).collect().await;
            // All of them were another process's: no need to spin.
            if !moved.contains(&true) {
                return Ok(());
            }
        }
    }

    /// Takes the lease, asks the provider, writes the end down. False when it was not ours to do.
    async fn revoke_one(self: &Arc<Self>, row: RevocationRow) -> bool {
        match self.try_revoke(row).await {
            Ok(ours) => ours,
            Err(error) => {
                tracing::warn!(code = error.code().as_str(), "a revocation could not be tried");
                false
            }
        }
    }

    async fn try_revoke(self: &Arc<Self>, row: RevocationRow) -> Result<bool> {
        let about = self.about("outbox".to_owned(), &row.account_id, Some(&row.application));
        let holder = format!("{}-{}", self.owner, ids::new_id(about.now)?);
        let (boot, lease, id, tenant, owner) =
            (self.clock.boot(), millis(self.timings.lease), row.id.clone(), self.tenant.clone(), holder.clone());
        let now = about.now.millis();
        let leased = self.write(move |tx| self::lease(tx, &tenant, &id, &owner, &boot, lease, now)).await?;
        let Some(row) = leased else { return Ok(false) };
        let attempt = u32::try_from(row.attempts).unwrap_or(u32::MAX);
        let outcome = match sealed::open_revocation(&self.vault, &self.tenant, &row) {
            Ok(grant) => self.ask_provider(&row, &grant, attempt).await,
            Err(_) => Asked::Ended(RevocationOutcome::Failed),
        };
        crate::failpoint::failpoint!("revoke-answered");
        let (backoff, attempts) = (self.timings.revoke_backoff, self.timings.revoke_attempts);
        let tries = Tries { attempt, attempts, backoff };
        self.write_until_stored(move |tx| end_try(tx, &about, &row.id, &holder, &outcome, tries)).await?;
        Ok(true)
    }

    async fn ask_provider(self: &Arc<Self>, row: &RevocationRow, grant: &Grant, attempt: u32) -> Asked {
        let app = match self.app(&row.application).await {
            Ok(app) => app,
            // The project may enable it again.
            Err(_) => return Asked::Later(None),
        };
        if let Some(asked) = self.ask_connector(&app, row, grant, attempt).await {
            return asked;
        }
        let app = match self.with_client_of(app, &row.client_key, Values::new().secrets(&grant.values)).await {
            Ok(app) => app,
            Err(error) => return Asked::Later(error.info().retry_after),
        };
        self.send_revocation(&app, grant).await.unwrap_or_else(|error| Asked::Later(error.info().retry_after))
    }

    async fn ask_connector(self: &Arc<Self>, app: &App, row: &RevocationRow, grant: &Grant, attempt: u32) -> Option<Asked> {
        let connector = self.connectors.get(app.slug())?.clone();
        let auth_type = auth_type(grant);
        let credential = Credential {
            connection_id: row.connection_id.clone(),
            application: row.application.clone(),
            auth_type,
            access_token: grant.access_token.clone(),
            token_type: grant.token_type.clone(),
            expires_at: None,
            scopes: Vec::new(),
            values: grant.values.clone(),
            properties: BTreeMap::new(),
        };
        let ctx = self.context(app, &row.account_id, Some(Arc::new(credential)));
        let request = RevokeRequest { connection_id: row.connection_id.clone(), attempt };
        match self.call_connector(app, &row.account_id, None, "revoke", async move { connector.revoke(ctx, request).await }).await {
            Ok(Some(())) => Some(Asked::Ended(RevocationOutcome::Revoked)),
            Ok(None) => None,
            Err(error) => Some(Asked::Later(error.info().retry_after)),
        }
    }

    async fn send_revocation(&self, app: &App, grant: &Grant) -> Result<Asked> {
        if let Some(oauth) = app.oauth1().filter(|_| auth_type(grant) == AuthType::Oauth2) {
            return self.send_signed_revocation(app, oauth, grant).await;
        }
        let Some(rules) = app.rules(auth_type(grant)).ok().filter(|rules| rules.revoke.is_some()) else {
            let holds_token = grant.access_token.is_some() || grant.refresh_token.is_some();
            return Ok(Asked::Ended(if holds_token { RevocationOutcome::Unsupported } else { RevocationOutcome::NothingToRevoke }));
        };
        let client = match app.key_token().filter(|_| grant.by_values) {
            Some(_) => self.key_client(app, &grant.values)?.unwrap_or_else(|| ClientCredentials { now: self.now(), ..Default::default() }),
            None => self.client(app)?,
        };
        let (oauth, values) = (&*rules, app.values(Values::new().secrets(&grant.values)));
        let requests = protocol::revoke_requests(oauth, &values, &client, grant.access_token.as_ref(), grant.refresh_token.as_ref())?;
        if requests.is_empty() {
            return Ok(Asked::Ended(RevocationOutcome::NothingToRevoke));
        }
        // Together they stay within the lease.
        let time = self.timings.provider / u32::try_from(requests.len()).unwrap_or(1);
        for mut request in requests {
            request.timeout = time;
            match protocol::parse_revoke_answer(oauth, &self.transport.send(request).await?) {
                RevokeOutcome::Done => {}
                RevokeOutcome::Later { retry_after } => return Ok(Asked::Later(retry_after)),
                RevokeOutcome::Refused => return Ok(Asked::Ended(RevocationOutcome::Failed)),
            }
        }
        Ok(Asked::Ended(RevocationOutcome::Revoked))
    }
}

/// Takes a revocation that is due; nothing when it is not ours to do.
pub(super) fn lease(
    tx: &mut dyn Tx,
    tenant: &crate::model::Tenant,
    id: &str,
    owner: &str,
    boot: &BootTime,
    lease: i64,
    now: i64,
) -> Result<Option<RevocationRow>> {
    let queued = RevocationOutcome::Queued.as_str();
    let due = |row: &RevocationRow| row.status == queued && !is_leased(row, boot) && row.next_at <= now;
    let Some(mut row) = tx.revocation(tenant, id)?.filter(due) else { return Ok(None) };
    row.lease_owner = Some(owner.to_owned());
    row.lease_until = Some(boot.millis + lease);
    row.lease_boot = Some(boot.boot_id.clone());
    row.attempts += 1;
    tx.put_revocation(tenant, &row)?;
    Ok(Some(row))
}

/// Which try it was, of how many, and the first wait.
#[derive(Clone, Copy)]
pub(super) struct Tries {
    pub(super) attempt: u32,
    pub(super) attempts: u32,
    pub(super) backoff: Duration,
}

/// Writes down how a try went.
pub(super) fn end_try(tx: &mut dyn Tx, about: &About, id: &str, holder: &str, outcome: &Asked, tries: Tries) -> Result<()> {
    let Some(mut row) = tx.revocation(&about.tenant, id)? else { return Ok(()) };
    // Who asked after us may still be asking; that the grant is dead is true all the same.
    let revoked = matches!(outcome, Asked::Ended(RevocationOutcome::Revoked));
    if row.status != RevocationOutcome::Queued.as_str() || (row.lease_owner.as_deref() != Some(holder) && !revoked) {
        return Ok(());
    }
    match outcome {
        Asked::Ended(outcome) => finish(tx, about, &mut row, *outcome),
        Asked::Later(_) if tries.attempt >= tries.attempts => finish(tx, about, &mut row, RevocationOutcome::Failed),
        Asked::Later(wait) => {
            let doubled = tries.backoff.saturating_mul(2_u32.saturating_pow(tries.attempt.saturating_sub(1)));
            let wait = wait.unwrap_or_default().max(doubled).min(LONGEST_BACKOFF);
            row.next_at = about.now.plus(wait).millis();
            (row.lease_owner, row.lease_boot, row.lease_until) = (None, None, None);
            tx.put_revocation(&about.tenant, &row)?;
            note_in_receipt(tx, about, &row, RevocationOutcome::Queued)
        }
    }
}

/// How a grant was authorised, as its own parts tell.
fn auth_type(grant: &Grant) -> AuthType {
    let holds_token = grant.access_token.is_some() || grant.refresh_token.is_some();
    if holds_token && !grant.by_values { AuthType::Oauth2 } else { AuthType::Keybased }
}

/// What the provider said.
pub(super) enum Asked {
    Ended(RevocationOutcome),
    Later(Option<Duration>),
}
