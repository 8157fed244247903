//! `smalt backup`, `smalt restore`, `smalt migrate`: the store as a file.

use std::path::Path;

use smalt::{
    Code, Error, Result,
    plugin::Store,
    store::{BackupInfo, SchemaInfo, SqliteStore, StoreOptions, backup, restore, schema_info, verify_backup},
};

use crate::{
    args::{Backup, Migrate, Restore},
    context::Context,
    output::{self, Answer, Table, told},
};

pub async fn make(context: &Context, args: Backup) -> Result<Answer> {
    let file = args.file;
    if args.check {
        is_there(&file)?;
        let info = blocking(move || verify_backup(file)).await?;
        return Ok(Answer::new(output::to_json(&info), facts("The backup is whole.", &info)));
    }
    let store = context.store_file()?;
    if file.exists() && !args.force {
        let reason = format!("`{}` is there already; nothing was written", file.display());
        return Err(told(Code::InvalidRequest, reason, "`--force` replaces it.").with("path", file.display()));
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        let reason = format!("there is no folder `{}`", folder.display());
        return Err(told(Code::InvalidRequest, reason, "Make it, or name another file.").with("path", file.display()));
    }
    let info = blocking(move || backup(store, file, args.force)).await?;
    Ok(Answer::new(
        output::to_json(&info),
        facts("Wrote the backup. Keep the master key elsewhere: without it, nobody can read it.", &info),
    ))
}

pub async fn put_back(context: &Context, args: Restore) -> Result<Answer> {
    let store = context.global.data.clone();
    is_there(&args.file)?;
    if !args.force && std::fs::metadata(&store).is_ok_and(|meta| meta.len() > 0) {
        let reason = format!("there is a store at `{}` already; nothing was changed", store.display());
        return Err(told(Code::InvalidRequest, reason, "`--force` replaces it; take a backup of it before.").with("path", store.display()));
    }
    let info = blocking(move || restore(args.file, store, args.force)).await?;
    let said = "Put the backup in place. Sessions are revoked; connections whose tokens were renewed since will ask to be connected again.";
    Ok(Answer::new(output::to_json(&info), facts(said, &info)))
}

/// A backup that is named must be there.
fn is_there(file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let reason = format!("there is no file `{}`", file.display());
    Err(told(Code::InvalidRequest, reason, "Name one that `smalt backup` wrote.").with("path", file.display()))
}

fn facts(said: &str, info: &BackupInfo) -> String {
    let mut table = Table::facts();
    table.fact("file", info.path.display().to_string());
    table.fact("of", info.taken_at.to_string());
    table.fact("schema", info.schema.to_string());
    table.fact("rows", info.rows.to_string());
    table.fact("bytes", info.bytes.to_string());
    table.fact("check", &info.check);
    format!("{said}\n{}", table.text())
}

pub async fn migrate(context: &Context, args: Migrate) -> Result<Answer> {
    let path = context.store_file()?;
    let before = blocking({
        let path = path.clone();
        move || schema_info(path)
    })
    .await?;
    if args.check {
        return Ok(Answer::new(output::to_json(&before), stands(&before)));
    }
    // Opening a store brings it up to date; the key is not needed.
    let opened = path.clone();
    let store = blocking(move || SqliteStore::open(opened, StoreOptions { create: false, ..StoreOptions::default() })).await?;
    store.close().await;
    let after = blocking(move || schema_info(path)).await?;
    let done = match before.pending.len() {
        0 => String::from("Nothing was to be done.\n"),
        n => format!("Ran {n} of {n} steps, from schema {} to {}.\n", before.schema, after.schema),
    };
    Ok(Answer::new(output::to_json(&after), done + &stands(&after)))
}

fn stands(info: &SchemaInfo) -> String {
    let mut table = Table::facts();
    table.fact("schema", info.schema.to_string());
    table.fact("this program", format!("knows {}", info.known));
    table.fact("may be opened by", format!("programs that know {} or more", info.oldest_reader));
    for step in &info.pending {
        table.fact(&format!("to {}", step.schema), format!("{}; then programs that know {} or more", step.about, step.oldest_reader));
    }
    if info.pending.is_empty() {
        table.fact("to do", "nothing");
    }
    table.text()
}

/// These wait for the disk, not for others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|_| Error::new(Code::Internal, "the work ended unexpectedly".to_owned()))?
}
