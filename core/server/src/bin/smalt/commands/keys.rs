//! `smalt keys`: master keys, the data keys under them, and API keys for backends.

use std::{sync::Arc, time::Duration};

use anstyle::Style;
use serde_json::json;
use smalt::{
    Result,
    backend::RotateKeys,
    model::{KeyRotation, RotationState},
    plugin::Store,
    store::{SqliteStore, StoreOptions, schema_info},
    vault::{KeyRing, LocalKey, rewrap},
};

use crate::{
    args::{ApiKeys, Keys},
    context::Context,
    output::{self, Answer, Table, note},
};

/// How often progress is shown.
const SHOWN: Duration = Duration::from_secs(1);

pub async fn run(context: &Context, args: Keys) -> Result<Answer> {
    match args {
        Keys::Create { out } => create(out),
        Keys::Rotate => rotate(context).await,
        Keys::Rewrap { from } => change_master(context, from).await,
        Keys::Api(args) => api(context, args).await,
    }
}

fn create(out: Option<std::path::PathBuf>) -> Result<Answer> {
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

async fn rotate(context: &Context) -> Result<Answer> {
    context
        .with(false, async |smalt| {
            let mut seen = smalt.rotate_keys(RotateKeys { watch: None, wait: Some(SHOWN) }).await?;
            while seen.state != RotationState::Done {
                if context.global.json {
                    output::print_json_line(&output::to_json(&seen));
                } else {
                    note(&progress(&seen));
                }
                seen = smalt.rotate_keys(RotateKeys { watch: Some(seen.key_id), wait: Some(SHOWN) }).await?;
            }
            let mut text = format!("Rotated to the data key {}: {} values were sealed anew.", seen.key_id, seen.resealed);
            // Where the store is at hand, for whoever still runs older programs on it.
            if let Some(store) = context.global.url.is_none().then(|| schema_info(&context.global.data).ok()).flatten() {
                let oldest = store.oldest_reader;
                text +=
                    &format!("\nFrom now on only programs that know schema {oldest} or more can open the store; older ones are refused.");
            }
            if seen.unreadable > 0 {
                text += &format!(
                    "\n{} values do not open and were left as they are, with the keys that they name ({}): {}",
                    seen.unreadable,
                    seen.kept.join(", "),
                    output::clean(&seen.unreadable_rows.join(", "))
                );
            }
            Ok(Answer::new(output::to_json(&seen), text).failed(seen.unreadable > 0))
        })
        .await
}

fn progress(seen: &KeyRotation) -> String {
    match seen.state {
        RotationState::Checking => format!("all are sealed anew ({}); looking once more …", seen.resealed),
        _ => format!("sealing anew: {} of about {} …", seen.resealed, seen.total),
    }
}

async fn change_master(context: &Context, from: Option<std::path::PathBuf>) -> Result<Answer> {
    context.needs_store("keys rewrap")?;
    let mut keys: KeyRing = context.keys()?;
    if let Some(path) = from {
        keys = keys.also(LocalKey::from_file(path)?);
    }
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&context.global.data, StoreOptions { create: false, ..StoreOptions::default() })?);
    let done = rewrap(&*store, Arc::new(keys)).await;
    store.close().await;
    let done = done?;
    let text = match done.data_keys {
        0 => format!("Everything is wrapped under the master key {} already.", done.master_key_id),
        n => format!("Wrapped {n} data keys under the master key {}. The other one is needed by backups only.", done.master_key_id),
    };
    Ok(Answer::new(json!({ "master_key_id": done.master_key_id, "data_keys": done.data_keys }), text))
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
