//! Linked accounts.

use smalt::{
    Code, Secret,
    backend::{CountAccounts, GetAccount, ListAccounts, ListConnections, PutAccount, PutOwnCredentials, SetOwnCredential},
    model::{self, OwnChange},
    wire::{LinkedAccount, Written, list_page},
};

use crate::{
    answer::{Answer, Trouble, json},
    call::Call,
    project::in_force,
};

async fn org(call: &Call) -> Result<String, Trouble> {
    Ok(in_force(call.smalt()?).await?.org.id.clone())
}

/// With its integrations.
async fn whole(call: &Call, account: model::LinkedAccount) -> Result<LinkedAccount, Trouble> {
    let request = ListConnections { account: account.id.clone(), application: None };
    let connections = call.backend()?.list_connections(&call.who()?.caller, request).await?;
    Ok(LinkedAccount::new(&org(call).await?, account, Some(&connections)))
}

/// The account of the call, with its integrations.
pub(super) async fn read(call: &Call, account: String) -> Result<LinkedAccount, Trouble> {
    let account = call.backend()?.get_account(&call.who()?.caller, GetAccount { account }).await?;
    whole(call, account).await
}

fn written(call: &Call) -> Result<Written, Trouble> {
    if call.body.is_null() {
        return Ok(Written::default());
    }
    let written: Written = serde_json::from_value(call.body.clone())
        .map_err(|_| Trouble::bad("the body must be an object with `linked_account_id`, `name` (text) and `udf` (object)"))?;
    written.own_credentials().map_err(Trouble::bad)?;
    Ok(written)
}

fn required(id: Option<&str>) -> Result<String, Trouble> {
    let missing = || Trouble::Plain(400, "INVALID_LINKED_ACCOUNT_ID", "linked_account_id is required".into());
    id.map(ToOwned::to_owned).ok_or_else(missing)
}

pub(super) async fn create(call: Call) -> Result<Answer, Trouble> {
    let written = written(&call)?;
    let id = required(written.id())?;
    let environment = call.who()?.environment;
    let request = PutAccount { id: id.clone(), update: written.update() };
    match call.backend()?.create_account(&call.who()?.caller, request).await {
        Ok(account) => {
            keep_own(&call, &call.who()?.caller, &id, &written).await?;
            json(LinkedAccount::new(&org(&call).await?, account, Some(&[])))
        }
        Err(error) if error.is(Code::LinkedAccountExists) => {
            let text = format!("Linked account with id {id} already exists in the {environment} environment");
            Err(Trouble::Known(Box::new(error), "SERVER_ERROR", text))
        }
        Err(error) => Err(error.into()),
    }
}

/// A session changes its own account only, whatever id the body names.
pub(super) async fn upsert(call: Call) -> Result<Answer, Trouble> {
    let written = written(&call)?;
    let who = call.who()?;
    if !who.is_organisation {
        // The organisation's authority for one narrow deed: name and facts of the session's own account.
        let request = PutAccount { id: who.account.clone(), update: written.update() };
        let caller =
            smalt::backend::Caller::Organisation(format!("session:{}", who.session.as_ref().map_or("", |session| &session.id)).into());
        return upserted(&call, &caller, request, &written).await;
    }
    let request = PutAccount { id: required(written.id())?, update: written.update() };
    upserted(&call, &who.caller, request, &written).await
}

/// What the body brings of the organisation's own application; it replaces what was there.
async fn keep_own(call: &Call, caller: &smalt::backend::Caller, account: &str, written: &Written) -> Result<(), Trouble> {
    if let Some(values) = written.own_credentials().map_err(Trouble::bad)? {
        call.backend()?.put_own_credentials(caller, PutOwnCredentials { account: account.to_owned(), values }).await?;
    }
    Ok(())
}

async fn change_own(call: &Call, value: Option<Secret>) -> Result<OwnChange, Trouble> {
    let request = SetOwnCredential { account: call.account()?, name: call.param("key"), value };
    Ok(call.backend()?.set_own_credential(&call.who()?.caller, request).await?)
}

pub(super) async fn set_own(call: Call) -> Result<Answer, Trouble> {
    let Some(value) = call.body.get("value").filter(|value| !value.is_null()) else { return Err(Trouble::bad("value is required")) };
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let change = change_own(&call, Some(Secret::new(text))).await?;
    json(serde_json::json!({"success": true, "message": format!("Auth credential {change}"), "action": change}))
}

pub(super) async fn remove_own(call: Call) -> Result<Answer, Trouble> {
    change_own(&call, None).await?;
    json(serde_json::json!({"success": true, "message": "Auth credential removed"}))
}

async fn upserted(call: &Call, caller: &smalt::backend::Caller, request: PutAccount, written: &Written) -> Result<Answer, Trouble> {
    let account = request.id.clone();
    let upserted = call.backend()?.upsert_account(caller, request).await?;
    keep_own(call, caller, &account, written).await?;
    let mut answer = LinkedAccount::new(&org(call).await?, upserted.account, None);
    answer.new_account = Some(upserted.is_new);
    json(answer)
}

pub(super) async fn list(call: Call) -> Result<Answer, Trouble> {
    let (page, limit) = call.page();
    let search = call.query("search").map(ToOwned::to_owned);
    let (backend, caller) = (call.backend()?, &call.who()?.caller);
    let total = backend.count_accounts(caller, CountAccounts { search: search.clone() }).await?;
    let request =
        ListAccounts { search, limit: u32::try_from(limit).ok(), skip: Some((page - 1).saturating_mul(limit)), ..ListAccounts::default() };
    let mut docs = Vec::new();
    for account in backend.list_accounts(caller, request).await?.items {
        let doc = serde_json::to_value(whole(&call, account).await?);
        docs.extend(doc.ok());
    }
    Ok(Answer::Json(list_page(docs, total, page, limit)))
}

pub(super) async fn get(call: Call) -> Result<Answer, Trouble> {
    let id = call.param("id");
    let who = call.who()?;
    // Byte-equal whether or not the other account exists.
    if !who.is_organisation && who.account != id {
        return Err(smalt::Error::code_only(Code::Forbidden).into());
    }
    match read(&call, id.clone()).await {
        Err(Trouble::Smalt(error)) if error.is(Code::LinkedAccountNotFound) => Err(unknown(&call, error, &id).await?),
        found => json(found?),
    }
}

pub(super) async fn delete(call: Call) -> Result<Answer, Trouble> {
    let id = call.param("id");
    match call.backend()?.delete_account(&call.who()?.caller, GetAccount { account: id.clone() }).await {
        Ok(()) => json(serde_json::json!({"message": "User deleted successfully"})),
        Err(error) if error.is(Code::LinkedAccountNotFound) => Err(unknown(&call, Box::new(error), &id).await?),
        Err(error) => Err(error.into()),
    }
}

/// The account of the path, not that of the caller.
async fn unknown(call: &Call, error: Box<smalt::Error>, id: &str) -> Result<Trouble, Trouble> {
    let (org, environment) = (org(call).await?, call.who()?.environment);
    let text = format!("Linked Account with account id {id} for org {org} in environment {environment} not found");
    Ok(Trouble::Known(error, "SERVER_ERROR", text))
}

pub(super) async fn active(call: Call) -> Result<Answer, Trouble> {
    json(read(&call, call.account()?).await?)
}
