//! Sessions: made, reused, verified, revoked.

use std::{sync::Arc, time::Duration};

use super::{About, Inner, millis, require_account, token};
use crate::{
    Secret, Timestamp,
    backend::{Caller, CreateSession, RevokeSession, SessionProof},
    error::Result,
    ids,
    model::{EventType, SessionInfo, Tenant},
    operations::{Operation, Scope},
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
        self.standing(verified.session_id, verified.account_id).await
    }

    async fn standing(&self, session: String, account: String) -> Result<SessionRow> {
        let tenant = self.tenant.clone();
        self.read(move |tx| standing(tx, &tenant, &session, &account)).await
    }

    /// What a token says of its session, and the authority of it, if it is good as far as memory knows: whoever acts by it asks whether the
    /// session still counts.
    pub(super) fn try_session(&self, token: &Secret) -> Option<(SessionInfo, Caller)> {
        let said = self.try_verified(token)?;
        let expires_in = said.expires_at.since(self.now()).as_secs();
        let (created_at, expires_at) = (said.issued_at, said.expires_at);
        let session =
            SessionInfo { token: token.clone(), id: said.session_id, account_id: said.account_id, created_at, expires_at, expires_in };
        let caller = self.proved(&session, false);
        Some((session, caller))
    }

    /// As [`Self::authorize`], for an operation that reads, and that may do so by a session: what only the store knows of it is asked in the
    /// same transaction, by [`Reader::check`].
    pub(super) async fn reader(&self, operation: Operation, caller: &Caller, account: &str) -> Result<Reader> {
        let tenant = self.tenant.clone();
        if operation.row().scope != Scope::Organisation && !self.is_closed() {
            let said = match caller {
                Caller::Session(token) => Some(self.verified(token).await?).map(|said| (said.session_id, said.account_id)),
                Caller::Proved(proof) if !proof.asked && self.is_fresh(proof) => Some((proof.session_id.clone(), proof.account_id.clone())),
                Caller::Proved(_) | Caller::Organisation(_) => None,
            };
            if let Some(session) = said.filter(|(_, own)| own == account) {
                return Ok(Reader { tenant, session: Some(session) });
            }
        }
        self.authorize(operation, caller, account).await?;
        Ok(Reader { tenant, session: None })
    }

    pub(super) async fn verify_session(&self, token: &Secret) -> Result<SessionInfo> {
        let row = self.session_of(token).await?;
        // Only what was signed here passes, and the same row always gives the same token.
        Ok(self.session_info(token.clone(), row))
    }

    /// The session, and the authority of it for the calls that follow at once.
    pub(super) async fn prove_session(&self, token: &Secret) -> Result<(SessionInfo, Caller)> {
        let session = self.verify_session(token).await?;
        let caller = self.proved(&session, true);
        Ok((session, caller))
    }

    fn proved(&self, session: &SessionInfo, asked: bool) -> Caller {
        Caller::Proved(Arc::new(SessionProof {
            token: session.token.clone(),
            session_id: session.id.clone(),
            account_id: session.account_id.clone(),
            asked,
            by: self.owner.clone(),
            at: self.clock.boot_millis(),
        }))
    }

    fn is_fresh(&self, proof: &SessionProof) -> bool {
        proof.by == self.owner && (0..PROOF).contains(&(self.clock.boot_millis() - proof.at))
    }

    /// Id and account of a session that a caller has; a fresh proof of this engine's own stands for the look-up.
    pub(super) async fn session_behind(&self, token: &Secret, proof: Option<&SessionProof>) -> Result<(String, String)> {
        let row = match proof.filter(|proof| self.is_fresh(proof)) {
            Some(proof) if proof.asked => return Ok((proof.session_id.clone(), proof.account_id.clone())),
            Some(proof) => self.standing(proof.session_id.clone(), proof.account_id.clone()).await?,
            None => self.session_of(token).await?,
        };
        Ok((row.id, row.account_id))
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

/// Who reads, as far as that is known without the store.
pub(super) struct Reader {
    tenant: Tenant,
    /// A session that the store has not been asked about, and its account.
    session: Option<(String, String)>,
}

impl Reader {
    /// Part of the transaction that reads.
    ///
    /// # Errors
    /// `invalid_token` where the session was revoked, or its account is gone.
    pub(super) fn check(&self, tx: &mut dyn Tx) -> Result<()> {
        match &self.session {
            Some((session, account)) => standing(tx, &self.tenant, session, account).map(drop),
            None => Ok(()),
        }
    }
}

/// The row of a session that still counts.
fn standing(tx: &mut dyn Tx, tenant: &Tenant, session: &str, account: &str) -> Result<SessionRow> {
    let row = tx.session(tenant, session)?;
    row.filter(|row| row.revoked_at.is_none() && row.account_id == account).ok_or_else(token::refused)
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
