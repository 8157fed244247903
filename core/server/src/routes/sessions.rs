//! Session tokens.

use smalt::{
    Code,
    backend::{CreateSession, RevokeSession},
    wire::{SessionRevoked, SessionToken},
};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
};

pub(super) async fn create(call: Call) -> Result<Answer, Trouble> {
    let missing = || Trouble::Plain(400, "INVALID_LINKED_ACCOUNT_ID", "linked_account_id is required".into());
    let account = call.text("linked_account_id").or_else(|| call.text("account_id")).ok_or_else(missing)?;
    let who = call.who()?;
    let request = CreateSession { account: account.clone(), force: call.query("force_refresh") == Some("true") };
    match call.backend()?.create_session(&who.caller, request).await {
        Ok(session) => json(SessionToken::new(&session.token, session.expires_in)),
        Err(error) if error.is(Code::LinkedAccountNotFound) => {
            let text = format!("No linked account found for account id : {account} in environment {}", who.environment);
            Err(Trouble::Known(Box::new(error), "INVALID_LINKED_ACCOUNT_ID", text))
        }
        Err(error) => Err(error.into()),
    }
}

/// The token that is shown is the one that ends.
pub(super) async fn revoke(call: Call) -> Result<Answer, Trouble> {
    let who = call.who()?;
    let token = who.session.as_ref().map(|session| session.token.clone()).unwrap_or_default();
    let revoked = call.backend()?.revoke_session(&who.caller, RevokeSession { token }).await?;
    json(SessionRevoked { success: true, revoked_count: u64::from(revoked) })
}
