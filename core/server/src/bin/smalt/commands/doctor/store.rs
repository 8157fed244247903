//! Whether the store can be opened, and whether the key is its own.

use std::{path::Path, sync::Arc};

use smalt::{
    Code, Timestamp,
    model::{Environment, Json, Tenant},
    plugin::{Store, StoreExt, SystemClock},
    store::{SqliteStore, StoreOptions},
    vault::{KeyRing, Vault},
};

use super::Check;
use crate::context::Context;

/// Opens the file without making one, and unlocks it only where there are keys to be read.
pub async fn check(context: &Context, key: Option<KeyRing>, org: &str, checks: &mut Vec<Check>) {
    let path = &context.global.data;
    if !path.exists() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        checks.push(if folder.is_dir() {
            Check::ok("store", format!("{} is not there yet; the first `smalt account create` makes it", path.display()))
        } else {
            Check::fail("store", format!("the folder {} does not exist", folder.display()), "make it, or name another file with --data")
        });
        return;
    }
    if let Some(check) = readable_by_others(path) {
        checks.push(check);
    }
    if std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == 0) {
        // Opening it would fill it.
        checks.push(Check::ok("store", format!("{} is empty; the first command fills it", path.display())));
        return;
    }
    let store: Arc<dyn Store> = match SqliteStore::open(path, StoreOptions { create: false, ..StoreOptions::default() }) {
        Ok(store) => Arc::new(store),
        Err(error) => {
            checks.push(Check::error("store", &error));
            return;
        }
    };
    checks.push(unlock(&store, key, org, path).await);
    checks.extend(clients(&store, org, context.global.environment).await);
    store.close().await;
}

/// Clients that their providers refuse: the organisation's to mend, whatever its users see.
async fn clients(store: &Arc<dyn Store>, org: &str, environment: Environment) -> Vec<Check> {
    let tenant = Tenant { org: org.to_owned(), environment };
    let rows = match store.read_with(move |tx| tx.clients(&tenant, None)).await {
        Ok(rows) => rows,
        Err(error) => return vec![Check::error("store", &error)],
    };
    let refused = rows.into_iter().filter_map(|row| Some((Timestamp::from_millis(row.rejected_at?), row)));
    refused
        .map(|(since, row)| {
            let said: Json = row.error_json.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
            let code = said["provider_error"].as_str().unwrap_or("an error");
            let message =
                format!("refused with `{code}` by {} since {since}, so no token of `{}` is renewed", row.authority, row.application);
            let cure = format!(
                "compare id and secret of [apps.{}.client.{environment}] with the provider's console; a change is tried at once, and users \
                 need not connect again",
                row.application
            );
            Check::fail(format!("client {}", row.application), message, cure)
        })
        .collect()
}

async fn unlock(store: &Arc<dyn Store>, key: Option<KeyRing>, org: &str, path: &Path) -> Check {
    let owned = org.to_owned();
    let known = match store.read_with(move |tx| tx.data_keys(&owned)).await {
        Ok(rows) => !rows.is_empty(),
        Err(error) => return Check::error("store", &error),
    };
    let Some(key) = key else {
        return Check::warn("store", format!("{} can be read; whether a key opens it is not known", path.display()), "see the key above");
    };
    if !known {
        // Unlocking would make the organisation's first key, and doctor changes nothing.
        return Check::ok("store", format!("{} can be read; it holds nothing of the organisation `{org}` yet", path.display()));
    }
    match Vault::unlock(store.clone(), Arc::new(key), org, Arc::new(SystemClock::default())).await {
        Ok(_) => Check::ok("store", format!("{} opens with the key", path.display())),
        Err(error) if error.is(Code::KeyWrong) => Check::error("key", &error),
        Err(error) => Check::error("store", &error),
    }
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<Check> {
    use std::os::unix::fs::MetadataExt;
    let mode = std::fs::metadata(path).ok()?.mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        let message = format!("{} has mode {mode:04o}: others than its owner have rights on it", path.display());
        Check::warn("store", message, format!("chmod 600 {}", path.display()))
    })
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> Option<Check> {
    None
}
