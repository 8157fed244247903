//! Sessions: made, reused, verified, revoked.

use std::time::Duration;

use super::{Inner, millis, require_account, token};
use crate::{
    Secret, Timestamp,
    backend::{CreateSession, RevokeSession},
    error::{Result, err},
    ids,
    model::{EventType, SessionInfo},
    store::rows::SessionRow,
};

impl Inner {
    fn newest_key(&self) -> Result<&token::SigningKey> {
        self.signing.last().ok_or_else(|| err!(Internal, "there is no signing key"))
    }

    /// Reuses the newest session while half of its life remains, unless forced.
    pub(super) async fn create_session(&self, actor: String, request: CreateSession) -> Result<SessionInfo> {
        let lifetime = Duration::from_secs(self.project.current().project.sessions.lifetime);
        let about = self.about(actor, &request.account, None);
        let kid = self.newest_key()?.kid.clone();
        let row = self
            .write(move |tx| {
                require_account(tx, &about.tenant, &request.account)?;
                let now = about.now;
                if !request.force
                    && let Some(row) = tx.newest_session(&about.tenant, &request.account)?
                    && row.kid == kid
                    && Timestamp::from_millis(row.expires_at).since(now) >= lifetime / 2
                {
                    return Ok(row);
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
                Ok(row)
            })
            .await?;
        self.session_info(row)
    }

    pub(super) fn session_info(&self, row: SessionRow) -> Result<SessionInfo> {
        let key = self.signing.iter().find(|key| key.kid == row.kid).ok_or_else(token::refused)?;
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
        let verified = token::verify(&self.tenant, &self.signing, self.now(), token)?;
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
        let Ok(verified) = token::verify(&self.tenant, &self.signing, self.now(), &request.token) else { return Ok(false) };
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
