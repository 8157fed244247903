//! Sessions: made, reused, verified, revoked.

use std::{sync::Arc, time::Duration};

use super::{About, Inner, millis, require_account, token};
use crate::{
    Secret, Timestamp,
    backend::{Caller, CreateSession, RevokeSession, SessionProof},
    error::Result,
    ids,
    model::{EventType, SessionInfo},
    plugin::Tx,
    store::rows::SessionRow,
};

/// How long a proof stands for a look-up, in milliseconds: as long as one request goes on.
const PROOF: i64 = 1000;

impl Inner {
    /// Reuses the newest session while half of its life remains, unless forced.
    pub(super) async fn create_session(&self, actor: String, request: CreateSession) -> Result<SessionInfo> {
        let lifetime = Duration::from_secs(self.project.current().project.sessions.lifetime);
        let about = self.about(actor, &request.account, None);
        loop {
            let (kid, about, request) = (self.newest_key()?, about.clone(), request.clone());
            let made = self.write(move |tx| make(tx, &about, &request, kid, lifetime)).await?;
            match made {
                Some(row) => return self.with_token(row),
                None => self.read_signing_keys().await?,
            }
        }
    }

    /// The session with its token; the same row always gives the same one.
    pub(super) fn with_token(&self, row: SessionRow) -> Result<SessionInfo> {
        let keys = self.signing.keys();
        let key = keys.iter().find(|key| key.kid == row.kid).ok_or_else(token::refused)?;
        Ok(self.session_info(token::mint(&self.tenant, key, &row)?, row))
    }

    fn session_info(&self, token: Secret, row: SessionRow) -> SessionInfo {
        let expires_at = Timestamp::from_millis(row.expires_at);
        SessionInfo {
            token,
            id: row.id,
            account_id: row.account_id,
            created_at: Timestamp::from_millis(row.issued_at),
            expires_at,
            expires_in: expires_at.since(self.now()).as_secs(),
        }
    }

    /// The row of a token, if that is good and neither revoked nor its account gone.
    pub(super) async fn session_of(&self, token: &Secret) -> Result<SessionRow> {
        let verified = self.verified(token).await?;
        let (tenant, id) = (self.tenant.clone(), verified.session_id);
        let row = self.read(move |tx| tx.session(&tenant, &id)).await?;
        row.filter(|row| row.revoked_at.is_none() && row.account_id == verified.account_id).ok_or_else(token::refused)
    }

    pub(super) async fn verify_session(&self, token: &Secret) -> Result<SessionInfo> {
        let row = self.session_of(token).await?;
        // Only what was signed here passes, and the same row always gives the same token.
        Ok(self.session_info(token.clone(), row))
    }

    /// The session, and the authority of it for the calls that follow at once.
    pub(super) async fn prove_session(&self, token: &Secret) -> Result<(SessionInfo, Caller)> {
        let session = self.verify_session(token).await?;
        let proof = SessionProof {
            token: token.clone(),
            session_id: session.id.clone(),
            account_id: session.account_id.clone(),
            by: self.owner.clone(),
            at: self.clock.boot_millis(),
        };
        Ok((session, Caller::Proved(Arc::new(proof))))
    }

    /// Id and account of a session that a caller has; a fresh proof of this engine's own stands for the look-up.
    pub(super) async fn session_behind(&self, token: &Secret, proof: Option<&SessionProof>) -> Result<(String, String)> {
        let is_fresh = |proof: &&SessionProof| proof.by == self.owner && (0..PROOF).contains(&(self.clock.boot_millis() - proof.at));
        match proof.filter(is_fresh) {
            Some(proof) => Ok((proof.session_id.clone(), proof.account_id.clone())),
            None => self.session_of(token).await.map(|row| (row.id, row.account_id)),
        }
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
