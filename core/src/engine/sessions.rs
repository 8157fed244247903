//! Sessions: made, reused, verified, revoked.

use std::time::Duration;

use super::{About, Inner, millis, require_account, token};
use crate::{
    Secret, Timestamp,
    backend::{CreateSession, RevokeSession},
    error::Result,
    ids,
    model::{EventType, SessionInfo},
    plugin::Tx,
    store::rows::SessionRow,
};

impl Inner {
    /// Reuses the newest session while half of its life remains, unless forced.
    pub(super) async fn create_session(&self, actor: String, request: CreateSession) -> Result<SessionInfo> {
        let lifetime = Duration::from_secs(self.project.current().project.sessions.lifetime);
        let about = self.about(actor, &request.account, None);
        loop {
            let (kid, about, request) = (self.newest_key()?, about.clone(), request.clone());
            let made = self.write(move |tx| make(tx, &about, &request, kid, lifetime)).await?;
            match made {
                Some(row) => return self.session_info(row),
                None => self.read_signing_keys().await?,
            }
        }
    }

    pub(super) fn session_info(&self, row: SessionRow) -> Result<SessionInfo> {
        let keys = self.signing.keys();
        let key = keys.iter().find(|key| key.kid == row.kid).ok_or_else(token::refused)?;
        Ok(SessionInfo {
            token: token::mint(&self.tenant, key, &row)?,
            id: row.id,
            account_id: row.account_id,
            created_at: Timestamp::from_millis(row.issued_at),
            expires_at: Timestamp::from_millis(row.expires_at),
        })
    }

    /// Whose token it is, if it is good and neither revoked nor its account gone.
    pub(super) async fn session_of(&self, token: &Secret) -> Result<token::Verified> {
        let verified = self.verified(token).await?;
        let (tenant, id) = (self.tenant.clone(), verified.session_id.clone());
        let row = self.read(move |tx| tx.session(&tenant, &id)).await?;
        match row {
            Some(row) if row.revoked_at.is_none() && row.account_id == verified.account_id => Ok(verified),
            _ => Err(token::refused()),
        }
    }

    pub(super) async fn verify_session(&self, token: &Secret) -> Result<SessionInfo> {
        let verified = self.session_of(token).await?;
        let tenant = self.tenant.clone();
        let row = self.read(move |tx| tx.session(&tenant, &verified.session_id)).await?.ok_or_else(token::refused)?;
        self.session_info(row)
    }

    pub(super) async fn revoke_session(&self, actor: String, request: RevokeSession) -> Result<bool> {
        let Ok(verified) = self.verified(&request.token).await else { return Ok(false) };
        let about = self.about(actor, &verified.account_id, None);
        self.write(move |tx| {
            let revoked = tx.revoke_session(&about.tenant, &verified.session_id, about.now.millis())?;
            if revoked {
                about.event(tx, EventType::SessionRevoked, &serde_json::json!({"session": verified.session_id}))?;
            }
            Ok(revoked)
        })
        .await
    }
}

/// The account's newest session while half of its life remains, or a new one. None where another key signs by now.
fn make(tx: &mut dyn Tx, about: &About, request: &CreateSession, kid: String, lifetime: Duration) -> Result<Option<SessionRow>> {
    require_account(tx, &about.tenant, &request.account)?;
    if tx.signing_keys(&about.tenant)?.first().is_none_or(|newest| newest.kid != kid) {
        return Ok(None);
    }
    let now = about.now;
    if !request.force
        && let Some(row) = tx.newest_session(&about.tenant, &request.account)?
        && row.kid == kid
        && Timestamp::from_millis(row.expires_at).since(now) >= lifetime / 2
    {
        return Ok(Some(row));
    }
    // Whole seconds, as the token states them.
    let issued = now.seconds() * 1000;
    let row = SessionRow {
        id: ids::new_id(now)?,
        account_id: request.account.clone(),
        kid,
        issued_at: issued,
        expires_at: issued + millis(lifetime),
        revoked_at: None,
    };
    tx.insert_session(&about.tenant, &row)?;
    Ok(Some(row))
}
