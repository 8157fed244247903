//! Linked accounts and their sessions.

use std::io::{self, IsTerminal};

use anstyle::Style;
use serde_json::json;
use smalt::{
    Code, Error, Result,
    backend::ListAccounts,
    model::{AccountUpdate, AppStatus, LinkedAccount, UpsertedAccount},
};

use crate::{
    args::{Accounts, PutAccount, Session},
    context::Context,
    output::{Answer, BOLD, DIM, GREEN, Table, YELLOW, note, to_json, told},
    prompt,
};

pub async fn run(context: &Context, args: Accounts) -> Result<Answer> {
    match args {
        Accounts::Create(put) => {
            let (id, update) = update(put);
            let account = context.with(true, async |smalt| smalt.create_account(id, update).await).await?;
            Ok(Answer::new(to_json(&account), format!("Made {}.\n", named(&account))))
        }
        Accounts::Upsert(put) => {
            let (id, update) = update(put);
            let UpsertedAccount { account, is_new: new } = context.with(true, async |smalt| smalt.upsert_account(id, update).await).await?;
            let mut json = to_json(&account);
            json["created"] = json!(new);
            Ok(Answer::new(json, format!("{} {}.\n", if new { "Made" } else { "Changed" }, named(&account))))
        }
        Accounts::Show { id } => show(context, &id).await,
        Accounts::List { search, limit, cursor } => {
            list(context, ListAccounts { cursor, limit: Some(limit), search, ..ListAccounts::default() }).await
        }
        Accounts::Delete { id, yes } => delete(context, id, yes).await,
    }
}

fn update(put: PutAccount) -> (String, AccountUpdate) {
    let properties = (!put.properties.is_empty()).then(|| put.properties.into_iter().collect());
    (put.id, AccountUpdate { name: put.name, properties })
}

fn named(account: &LinkedAccount) -> String {
    let id = crate::output::clean(&account.id);
    match account.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => format!("the linked account {id} ({})", crate::output::clean(name)),
        None => format!("the linked account {id}"),
    }
}

async fn show(context: &Context, id: &str) -> Result<Answer> {
    let (account, apps) = context
        .with(false, async |smalt| {
            let handle = smalt.account(id);
            Ok((handle.get().await?, handle.apps().await?))
        })
        .await?;
    let mut facts = Table::facts();
    facts.fact("account", &account.id);
    facts.maybe("name", account.name.as_deref());
    for (name, value) in &account.properties {
        facts.fact(name, value);
    }
    facts.fact("environment", account.environment.as_str());
    facts.fact("made", account.created_at.to_string());
    let mut table = Table::new(&["application", "status", "connected as"]);
    for app in &apps {
        let style = match app.status {
            AppStatus::Connected => GREEN,
            AppStatus::ReauthRequired => YELLOW,
            AppStatus::NotConnected => DIM,
        };
        let who = app.connections.first().and_then(|c| c.identity.as_ref()).map_or("", |identity| &identity.label);
        table.row([(app.slug.as_str(), BOLD), (app.status.as_str(), style), (who, Style::new())]);
    }
    let statuses: serde_json::Map<_, _> = apps.iter().map(|app| (app.slug.clone(), json!(app.status))).collect();
    let mut json = to_json(&account);
    json["applications"] = statuses.into();
    let table = if apps.is_empty() { "The project offers no application.\n".to_owned() } else { table.text() };
    Ok(Answer::new(json, format!("{}\n{table}", facts.text())))
}

async fn list(context: &Context, request: ListAccounts) -> Result<Answer> {
    let page = context.with(false, async |smalt| smalt.list_accounts(request).await).await?;
    let mut table = Table::new(&["account", "name", "made"]);
    for account in &page.items {
        let name = account.name.as_deref().unwrap_or_default();
        table.row([(account.id.as_str(), BOLD), (name, Style::new()), (&account.created_at.to_string(), DIM)]);
    }
    let mut text = if page.items.is_empty() { "No linked account.\n".to_owned() } else { table.text() };
    if let Some(next) = &page.next {
        text.push_str(&format!("\nMore: --cursor {next}\n"));
    }
    Ok(Answer::new(to_json(&page), text))
}

async fn delete(context: &Context, id: String, yes: bool) -> Result<Answer> {
    if !yes {
        if !prompt::possible() {
            let reason = "deleting a linked account wants to be confirmed, and nobody can be asked here";
            return Err(told(Code::InvalidRequest, reason, "`--yes` confirms it."));
        }
        note(&format!("This deletes the linked account {} with all its connections and configs.", crate::output::clean(&id)));
        if prompt::ask("Type its id to go on: ")?.expose() != id {
            return Err(Error::new(Code::Cancelled, "that is another id; nothing was deleted"));
        }
    }
    context.with(false, async |smalt| smalt.delete_account(&id).await).await?;
    let text = format!("Deleted the linked account {}; its grants are being revoked.\n", crate::output::clean(&id));
    Ok(Answer::new(json!({ "deleted": id }), text))
}

/// Prints a session token: what it is for leaves no other way.
pub async fn session(context: &Context, args: Session) -> Result<Answer> {
    let (token, account, expires) = context
        .with(false, async |smalt| {
            let session = smalt.account(&args.account).session_with(args.force).await?;
            Ok((session.token().clone(), session.account_id().to_owned(), session.expires_at()))
        })
        .await?;
    if io::stdout().is_terminal() {
        note("This token is a secret: whoever has it acts as this linked account until it ends.");
    }
    if !context.global.json {
        note(&format!("It ends at {expires}."));
    }
    Ok(Answer::new(json!({ "account_id": account, "token": token.expose(), "expires_at": expires }), token.expose()))
}
