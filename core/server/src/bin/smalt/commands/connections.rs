//! Connections: how they stand, and ending them.

use anstyle::Style;
use smalt::{
    Result,
    backend::Disconnect as Request,
    model::{Connection, ConnectionHealth, Receipt, RevocationOutcome},
};

use crate::{
    args::{self, Connections},
    context::Context,
    output::{Answer, BOLD, DIM, GREEN, RED, Table, YELLOW, to_json},
};

pub async fn run(context: &Context, args: Connections) -> Result<Answer> {
    match args {
        Connections::List { of, app } => {
            let found = context.with(false, async |smalt| smalt.account(of.account).connections(app.as_deref()).await).await?;
            Ok(Answer::new(to_json(&found), list(&found)))
        }
        Connections::Show { id, of } => {
            let found = context.with(false, async |smalt| smalt.account(of.account).connection(id).await).await?;
            Ok(Answer::new(to_json(&found), facts(&found).text()))
        }
    }
}

fn style(health: ConnectionHealth) -> Style {
    match health {
        ConnectionHealth::Healthy => GREEN,
        ConnectionHealth::Expiring | ConnectionHealth::Suspended => YELLOW,
        ConnectionHealth::ClientRejected | ConnectionHealth::Expired => RED,
    }
}

/// The status, and the health where it says more.
fn standing(connection: &Connection) -> String {
    match connection.health {
        ConnectionHealth::Healthy | ConnectionHealth::Expired => connection.status.to_string(),
        health => format!("{} ({health})", connection.status),
    }
}

fn who(connection: &Connection) -> &str {
    connection.identity.as_ref().map_or("", |identity| &identity.label)
}

/// What makes a connection good again.
fn cure(connection: &Connection) -> Option<String> {
    let again = || format!("smalt connect {} --account {} --connection {}", connection.application, connection.account_id, connection.id);
    match connection.health {
        ConnectionHealth::Healthy => None,
        ConnectionHealth::Expired => Some(again()),
        ConnectionHealth::Suspended => {
            Some("nothing here: it is tried again by itself; have the user let in again at the provider".to_owned())
        }
        // No user can do anything about it.
        ConnectionHealth::ClientRejected => Some(format!("set the right client of `{}`; see `smalt doctor`", connection.application)),
        // With trouble it is tried again; without, nothing renews it.
        ConnectionHealth::Expiring if connection.last_error.is_some() => Some("nothing here: it is tried again by itself".to_owned()),
        ConnectionHealth::Expiring => Some(again()),
    }
}

fn list(connections: &[Connection]) -> String {
    if connections.is_empty() {
        return "No connection.\n".to_owned();
    }
    let mut table = Table::new(&["connection", "application", "status", "default", "connected as", "trouble"]);
    for c in connections {
        let default = if c.is_default { "yes" } else { "no" };
        let trouble = c.last_error.as_ref().map_or("", |error| &error.code);
        table.row([
            (c.id.as_str(), DIM),
            (&c.application, BOLD),
            (&standing(c), style(c.health)),
            (default, Style::new()),
            (who(c), Style::new()),
            (trouble, YELLOW),
        ]);
    }
    let mut text = table.text();
    let mut said = std::collections::BTreeSet::new();
    for connection in connections {
        if let Some(cure) = cure(connection).filter(|cure| said.insert(cure.clone())) {
            let what = if cure.starts_with("smalt connect") { "Authorise again".to_owned() } else { connection.application.clone() };
            text.push_str(&format!("\n{}: {}\n", crate::output::clean(&what), crate::output::clean(&cure)));
        }
    }
    text
}

/// Everything about one connection but its secrets.
pub fn facts(connection: &Connection) -> Table {
    let mut facts = Table::facts();
    facts.fact("connection", &connection.id);
    facts.fact("account", &connection.account_id);
    facts.fact("application", &connection.application);
    facts.row([("status", DIM), (&standing(connection), style(connection.health))]);
    facts.fact("default", if connection.is_default { "yes" } else { "no" });
    facts.fact("authorised by", connection.auth_type.as_str());
    facts.maybe("connected as", Some(who(connection)));
    facts.maybe("scopes", Some(connection.scopes.join(" ")));
    for (name, value) in &connection.properties {
        facts.fact(name, value);
    }
    facts.fact("connected", connection.connected_at.to_string());
    facts.maybe("token ends", connection.expires_at.map(|at| at.to_string()));
    if let Some(error) = &connection.last_error {
        facts.row([("trouble", DIM), (&format!("{} ({}, {})", error.reason, error.code, error.at), YELLOW)]);
    }
    facts.maybe("cure", cure(connection));
    facts
}

pub async fn disconnect(context: &Context, args: args::Disconnect) -> Result<Answer> {
    let request = Request {
        application: args.app,
        connection: args.connection,
        siblings: Some(args.siblings),
        wait: Some(args.wait),
        ..Request::default()
    };
    let receipt = context.with(false, async |smalt| smalt.account(args.of.account).disconnect_with(request).await).await?;
    Ok(Answer::new(to_json(&receipt), describe(&receipt)))
}

pub async fn receipt(context: &Context, args: args::Receipt) -> Result<Answer> {
    let receipt = context.with(false, async |smalt| smalt.account(args.of.account).receipt(args.id).await).await?;
    Ok(Answer::new(to_json(&receipt), describe(&receipt)))
}

fn describe(receipt: &Receipt) -> String {
    let meaning = match receipt.revocation {
        RevocationOutcome::Revoked => "the provider confirmed the end of the grant",
        RevocationOutcome::Queued => "still being tried, by every process on this store; ask again with `smalt receipt`",
        RevocationOutcome::Unsupported => "the provider offers no revocation; the user can remove the app there",
        RevocationOutcome::KeptShared => "left alive, since other connections share it",
        RevocationOutcome::NothingToRevoke => "there was nothing to revoke",
        RevocationOutcome::Failed => "the provider did not confirm it; the secret is erased here, and the user can remove the app there",
    };
    let style = match receipt.revocation {
        RevocationOutcome::Revoked | RevocationOutcome::NothingToRevoke => GREEN,
        RevocationOutcome::Failed => RED,
        _ => YELLOW,
    };
    let mut facts = Table::facts();
    facts.fact("receipt", &receipt.id);
    facts.fact("account", &receipt.account_id);
    facts.fact("application", &receipt.application);
    facts.row([("revocation", DIM), (&format!("{}: {meaning}", receipt.revocation), style)]);
    for c in &receipt.connections {
        let who = c.identity.as_ref().map_or_else(String::new, |identity| format!(" ({})", identity.label));
        facts.fact("removed", format!("connection {}{who}: {}, asked {}", c.connection_id, c.revocation, times(c.attempts)));
    }
    if !receipt.deleted_configs.is_empty() {
        facts.fact("deleted", format!("{} configs", receipt.deleted_configs.len()));
    }
    facts.text()
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
