//! Connections as callers see them: listed, chosen, made the default one, and saved.

use std::collections::BTreeMap;

use super::{
    About, Inner,
    ahead::{self, Plan},
    health, require_account,
    sealed::Grant,
};
use crate::{
    Timestamp,
    backend::{GetConnection, ListConnections},
    error::{Result, bail, err},
    ids,
    model::{AuthType, Connection, ConnectionStatus, EventType, Identity, RevocationOutcome, Tenant},
    plugin::Tx,
    store::rows::{ClientRow, ConnectionRow},
    vault::Vault,
};

/// A row as callers see it.
pub(super) fn to_model(row: &ConnectionRow) -> Result<Connection> {
    let corrupt =
        |what: &str| err!(StoreCorrupt, "connection {} has no readable {what}", row.id).with("row", format!("connections/{}", row.id));
    Ok(Connection {
        id: row.id.clone(),
        account_id: row.account_id.clone(),
        application: row.application.clone(),
        auth_type: AuthType::parse(&row.auth_type).ok_or_else(|| corrupt("auth type"))?,
        status: ConnectionStatus::parse(&row.status).ok_or_else(|| corrupt("status"))?,
        health: health::of_row(row),
        is_default: row.is_default,
        identity: identity(row),
        scopes: serde_json::from_str(&row.scopes_json).map_err(|_| corrupt("scopes"))?,
        properties: serde_json::from_str(&row.properties_json).map_err(|_| corrupt("properties"))?,
        created_at: Timestamp::from_millis(row.created_at),
        connected_at: Timestamp::from_millis(row.connected_at),
        expires_at: row.expires_at.map(Timestamp::from_millis),
        last_error: row.last_error_json.as_deref().and_then(|json| serde_json::from_str(json).ok()),
    })
}

pub(super) fn identity(row: &ConnectionRow) -> Option<Identity> {
    let id = row.identity_id.clone()?;
    Some(Identity { label: row.identity_label.clone().unwrap_or_else(|| id.clone()), id })
}

/// The connection that a call means: the named one, or the default one.
pub(super) fn choose(
    tx: &mut dyn Tx,
    tenant: &Tenant,
    account: &str,
    application: &str,
    connection: Option<&str>,
) -> Result<ConnectionRow> {
    let found = match connection {
        // Another account's connection answers as an unknown one does.
        Some(id) => {
            let row = tx.connection(tenant, id)?.filter(|row| row.account_id == account && row.application == application);
            row.ok_or_else(|| unknown(id))
        }
        None => match tx.connections(tenant, account, Some(application))?.into_iter().next() {
            Some(row) => Ok(row),
            None => Err(not_connected(account, application)),
        },
    };
    if found.is_err() {
        require_account(tx, tenant, account)?;
    }
    found
}

pub(super) fn not_connected(account: &str, application: &str) -> crate::Error {
    err!(NotConnected, "`{}` has not connected `{}`", account.escape_debug(), application.escape_debug())
        .with("application", application.escape_debug())
}

fn unknown(id: &str) -> crate::Error {
    err!(ConnectionNotFound, "no connection `{}`", id.escape_debug())
}

/// What a successful connect brings.
#[derive(Clone)]
pub(super) struct NewConnection {
    pub(super) auth_type: AuthType,
    /// The client that it was made with.
    pub(super) client_key: String,
    pub(super) grant: Grant,
    pub(super) identity: Option<Identity>,
    /// Names the grant at the provider, equal for siblings; absent where nobody can tell.
    pub(super) grant_key: Option<String>,
    /// Whether ending one connection's grant ends those of other accounts with the same key, as the manifest says.
    pub(super) shares_grants: bool,
    pub(super) scopes: Vec<String>,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) expires_at: Option<Timestamp>,
    /// When the background looks at it.
    pub(super) plan: Plan,
    /// The connection that the caller wants authorised again.
    pub(super) renew: Option<String>,
}

/// Saves a connection: authorises the same identity again where there is one, adds another one otherwise. The first of
/// an application is its default one. Part of the caller's transaction.
pub(super) fn save(tx: &mut dyn Tx, about: &About, vault: &Vault, application: &str, new: NewConnection) -> Result<ConnectionRow> {
    require_account(tx, &about.tenant, &about.account)?;
    let now = about.now.millis();
    let siblings = tx.connections(&about.tenant, &about.account, Some(application))?;
    let same_type = || siblings.iter().filter(|row| row.auth_type == new.auth_type.as_str());
    let identity_id = new.identity.as_ref().map(|identity| &identity.id);
    // The connection that was asked for, if it is of the same person or never had an identity.
    let asked_for = new
        .renew
        .as_ref()
        .and_then(|id| same_type().find(|row| &row.id == id && (row.identity_id.is_none() || row.identity_id.as_ref() == identity_id)));
    let found = asked_for.or_else(|| match identity_id {
        Some(_) => same_type().find(|row| row.identity_id.as_ref() == identity_id),
        // Nobody can tell who it is: the one connection of this sort is authorised again.
        None if new.renew.is_none() => same_type().find(|row| row.identity_id.is_none()),
        None => None,
    });
    let mut row = match found {
        Some(row) => row.clone(),
        None => ConnectionRow {
            id: ids::new_id(about.now)?,
            account_id: about.account.clone(),
            application: application.to_owned(),
            client_key: String::new(),
            auth_type: new.auth_type.as_str().to_owned(),
            status: String::new(),
            is_default: siblings.is_empty(),
            identity_id: None,
            identity_label: None,
            grant_key: None,
            scopes_json: String::new(),
            properties_json: String::new(),
            sealed: Vec::new(),
            secret_version: 0,
            created_at: now,
            connected_at: now,
            expires_at: None,
            refreshed_at: now,
            last_error_json: None,
            refresh_print: None,
            presented: None,
            lease_owner: None,
            lease_boot: None,
            lease_until: None,
            cooldown_until: None,
            renew_at: None,
            used_at: None,
            trouble: None,
            tries: 0,
            row_version: 0,
        },
    };
    row.status = ConnectionStatus::Active.as_str().to_owned();
    row.client_key = new.client_key;
    if let Some(identity) = new.identity {
        row.identity_id = Some(identity.id);
        row.identity_label = Some(identity.label);
    }
    row.grant_key.clone_from(&new.grant_key);
    row.scopes_json = serde_json::json!(new.scopes).to_string();
    row.properties_json = serde_json::json!(new.properties).to_string();
    row.connected_at = now;
    row.refreshed_at = now;
    row.expires_at = new.expires_at.map(Timestamp::millis);
    row.last_error_json = None;
    (row.presented, row.cooldown_until, row.trouble, row.tries) = (None, None, None, 0);
    row.used_at = Some(now);
    // A refresh that is under way belongs to the old grant: it finds another refresh token here and keeps out.
    (row.lease_owner, row.lease_boot, row.lease_until) = (None, None, None);
    row.row_version += 1;
    super::sealed::seal_grant(vault, &about.tenant, &mut row, &new.grant)?;
    row.renew_at = new.plan.first_look(&row, ahead::draw());
    tx.put_connection(&about.tenant, &row)?;
    // Whoever connects anew wants it to be used: a dead default one gives way.
    let active = ConnectionStatus::Active.as_str();
    if siblings.iter().any(|other| other.is_default && other.id != row.id && other.status != active) {
        make_default(tx, about, application, &row.id)?;
        row.is_default = true;
    }
    crate::failpoint::failpoint!("connect-middle");
    if let Some(key) = &row.grant_key {
        // A queued revocation of the same grant would kill the new one too: one of this account always, since
        // providers tie grants to the user's session; those of others where the manifest says that grants are shared.
        for mut queued in tx.queued_revocations_by_grant(&about.tenant, key)? {
            if new.shares_grants || (queued.account_id == about.account && queued.application == application) {
                super::outbox::finish(tx, about, &mut queued, RevocationOutcome::KeptShared)?;
            }
        }
    }
    let data = serde_json::json!({"connection": row.id, "auth_type": row.auth_type});
    about.event(tx, EventType::ConnectionCreated, &data)?;
    about.audit(tx, "connect", Some(&row.id), &serde_json::json!({"auth_type": row.auth_type}))?;
    Ok(row)
}

impl Inner {
    pub(super) async fn list_connections(&self, request: ListConnections) -> Result<Vec<Connection>> {
        let tenant = self.tenant.clone();
        let (rows, refused) = self
            .read(move |tx| {
                require_account(tx, &tenant, &request.account)?;
                let application = request.application.as_deref();
                Ok((tx.connections(&tenant, &request.account, application)?, health::refused(tx, &tenant, application)?))
            })
            .await?;
        self.shown(&rows, &refused).await
    }

    pub(super) async fn get_connection(&self, request: GetConnection) -> Result<Connection> {
        let tenant = self.tenant.clone();
        let (row, refused) = self
            .read(move |tx| {
                require_account(tx, &tenant, &request.account)?;
                let row = tx.connection(&tenant, &request.connection)?.filter(|row| row.account_id == request.account);
                let row = row.ok_or_else(|| unknown(&request.connection))?;
                let refused = health::refused(tx, &tenant, Some(&row.application))?;
                Ok((row, refused))
            })
            .await?;
        self.shown_one(&row, &refused).await
    }

    pub(super) async fn set_default_connection(&self, actor: String, request: GetConnection) -> Result<Connection> {
        let mut about = self.about(actor, &request.account, None);
        let (row, refused) = self
            .write(move |tx| {
                require_account(tx, &about.tenant, &request.account)?;
                let Some(chosen) = tx.connection(&about.tenant, &request.connection)?.filter(|row| row.account_id == request.account)
                else {
                    bail!(ConnectionNotFound, "no connection `{}`", request.connection.escape_debug())
                };
                about.application = Some(chosen.application.clone());
                make_default(tx, &about, &chosen.application, &chosen.id)?;
                about.event(tx, EventType::ConnectionDefault, &serde_json::json!({"connection": chosen.id}))?;
                let refused = health::refused(tx, &about.tenant, Some(&chosen.application))?;
                Ok((ConnectionRow { is_default: true, ..chosen }, refused))
            })
            .await?;
        self.cache.forget(&row.account_id, &row.application);
        self.shown_one(&row, &refused).await
    }

    async fn shown_one(&self, row: &ConnectionRow, refused: &[ClientRow]) -> Result<Connection> {
        match self.shown(std::slice::from_ref(row), refused).await?.pop() {
            Some(connection) => Ok(connection),
            None => to_model(row),
        }
    }
}

/// How the connection was authorised; OAuth where nobody can read it.
pub(super) fn auth_type(row: &ConnectionRow) -> AuthType {
    AuthType::parse(&row.auth_type).unwrap_or(AuthType::Oauth2)
}

/// Makes one connection the default one and no other.
pub(super) fn make_default(tx: &mut dyn Tx, about: &About, application: &str, id: &str) -> Result<()> {
    for mut row in tx.connections(&about.tenant, &about.account, Some(application))? {
        let is_default = row.id == id;
        if row.is_default != is_default {
            row.is_default = is_default;
            row.row_version += 1;
            tx.put_connection(&about.tenant, &row)?;
        }
    }
    Ok(())
}

/// A connection's row for tests: a token that came now, and lives so long.
#[cfg(test)]
pub(super) fn fixture(now: i64, life: Option<i64>, refreshes: bool) -> ConnectionRow {
    ConnectionRow {
        id: "c".repeat(24),
        account_id: "a".to_owned(),
        application: "sandbox-oauth".to_owned(),
        client_key: super::apps::CLIENT_KEY.to_owned(),
        auth_type: AuthType::Oauth2.as_str().to_owned(),
        status: ConnectionStatus::Active.as_str().to_owned(),
        is_default: true,
        identity_id: None,
        identity_label: None,
        grant_key: None,
        scopes_json: "[]".to_owned(),
        properties_json: "{}".to_owned(),
        sealed: Vec::new(),
        secret_version: 0,
        created_at: now,
        connected_at: now,
        expires_at: life.map(|life| now + life),
        refreshed_at: now,
        last_error_json: None,
        refresh_print: refreshes.then(|| "print".to_owned()),
        presented: None,
        lease_owner: None,
        lease_boot: None,
        lease_until: None,
        cooldown_until: None,
        renew_at: None,
        used_at: Some(now),
        trouble: None,
        tries: 0,
        row_version: 0,
    }
}
