//! `smalt keys`: master keys, and API keys for backends.

use std::path::PathBuf;

use anstyle::Style;
use serde_json::json;
use smalt::{Result, vault::LocalKey};

use crate::{
    args::{ApiKeys, Keys},
    context::Context,
    output::{Answer, Table, note},
};

pub async fn run(context: &Context, args: Keys) -> Result<Answer> {
    match args {
        Keys::Create { out } => create(out),
        Keys::Api(args) => api(context, args).await,
    }
}

async fn api(context: &Context, args: ApiKeys) -> Result<Answer> {
    match args {
        ApiKeys::Create { name } => {
            let made = context.with(true, async |smalt| smalt.create_api_key(name).await).await?;
            note("Shown this once. Keep it like a password: it has the organisation's authority.");
            Ok(Answer::new(json!({ "id": made.info.id, "name": made.info.name, "key": made.key.expose() }), made.key.expose()))
        }
        ApiKeys::List => {
            let keys = context.with(false, async |smalt| smalt.api_keys().await).await?;
            let mut table = Table::new(&["id", "name", "ends in", "made", "revoked"]);
            for key in &keys {
                let revoked = key.revoked_at.map_or_else(String::new, |at| at.to_string());
                let cells = [key.id.clone(), key.name.clone(), format!("…{}", key.ending), key.created_at.to_string(), revoked];
                table.row(cells.map(|cell| (cell, Style::new())));
            }
            Ok(Answer::new(json!(keys), table.text()))
        }
        ApiKeys::Revoke { id } => {
            let revoked = context.with(false, async |smalt| smalt.revoke_api_key(id.as_str()).await).await?;
            let text = if revoked { format!("The API key {id} has ended.") } else { format!("The API key {id} had ended before.") };
            Ok(Answer::new(json!({ "id": id, "revoked": revoked }), text))
        }
    }
}

fn create(out: Option<PathBuf>) -> Result<Answer> {
    let key = LocalKey::generate()?;
    match out {
        Some(path) => {
            key.write_file(&path)?;
            let text = format!(
                "Wrote the master key {} to {}. Keep a copy elsewhere: without it the store's secrets are lost.",
                key.id(),
                path.display()
            );
            Ok(Answer::new(json!({ "id": key.id(), "file": path }), text))
        }
        None => {
            note("This is a secret: give it to the processes as SMALT_KEY, and keep a copy elsewhere.");
            Ok(Answer::new(json!({ "id": key.id(), "key": key.text().expose() }), key.text().expose()))
        }
    }
}
