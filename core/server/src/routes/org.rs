//! What a page needs to know about the organisation and the account.

use smalt::{backend::GetAccount, wire::LinkedAccount};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
    project::in_force,
};

pub(super) async fn basics(call: Call) -> Result<Answer, Trouble> {
    let who = call.who()?;
    let project = in_force(&who.smalt).await?;
    let org = &project.org;
    let account = call.backend()?.get_account(&who.caller, GetAccount { account: who.account.clone() }).await?;
    let name = if org.name.is_empty() { org.id.clone() } else { org.name.clone() };
    json(serde_json::json!({
        "_id": org.id,
        "org_id": org.id,
        "name": name,
        "icon": null,
        "environment": who.environment,
        "linked_account_id": who.account,
        "linked_account": LinkedAccount::new(&org.id, account, None),
        "connect_portal": {"remove_branding": true},
    }))
}
