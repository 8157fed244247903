//! Credentials that are valid now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::OnceCell;

use super::{
    Inner, ahead,
    apps::App,
    cache::{CacheKey, Cached, Due, ReadWindow},
    connections, millis, sealed,
};
use crate::{
    Error, Timestamp,
    backend::{Caller, Found, GetCredential},
    error::{Result, err},
    model::{AuthType, ConnectionStatus, Credential},
    store::rows::ConnectionRow,
};

/// When a token is renewed before its end, where the manifest does not say.
const EARLY: u64 = 60;
/// The deed of the audit: a credential was given out.
const READ: &str = "credential";
/// The deed of the audit: a call was made with a credential.
pub(super) const CALL: &str = "request";
/// No suspended grant is left alone for longer; see `Timings::suspended`.
pub(super) const LONGEST_SUSPENSION: Duration = Duration::from_secs(24 * 3600);

/// How long before its end a token is renewed, in milliseconds.
pub(super) fn early(app: &App, auth_type: AuthType) -> i64 {
    let stated = match auth_type {
        AuthType::Oauth2 => app.oauth().ok().and_then(|oauth| oauth.refresh.early),
        AuthType::Keybased => app.key_token().and_then(|token| token.early),
    };
    millis(Duration::from_secs(stated.unwrap_or(EARLY)))
}

/// When the token should be renewed: somewhat early, but never in the first half of its life.
pub(super) fn due(app: &App, row: &ConnectionRow) -> i64 {
    let Some(expires_at) = row.expires_at else { return i64::MAX };
    let half_life = expires_at.saturating_sub(row.refreshed_at).max(0) / 2;
    expires_at - early(app, connections::auth_type(row)).min(half_life)
}

/// Whether the stored token can be given out without asking the provider. A clock that was set back to before the token
/// came says nothing about its end.
pub(super) fn is_fresh(app: &App, row: &ConnectionRow, now: Timestamp) -> bool {
    let clock_is_sane = row.expires_at.is_none() || now.millis() >= row.refreshed_at - 60_000;
    now.millis() < due(app, row) && clock_is_sane
}

pub(super) fn reauth(row: &ConnectionRow) -> Error {
    err!(ReauthRequired, "the connection with `{}` is no longer good", row.application)
        .with("application", &row.application)
        .with("connection", &row.id)
}

/// Whether the provider refuses the grant for now only.
pub(super) fn is_suspended(row: &ConnectionRow) -> bool {
    row.status != ConnectionStatus::Active.as_str() && row.trouble.as_deref() == Some(ahead::SUSPENDED)
}

/// How long a suspended grant is not tried again.
pub(super) fn suspended_for(row: &ConnectionRow, now: Timestamp) -> Option<Duration> {
    // One that is longer than any can be was written before the clock was set back.
    let longest = millis(LONGEST_SUSPENSION);
    let left = row.cooldown_until?.saturating_sub(now.millis());
    (1..=longest).contains(&left).then(|| Timestamp::from_millis(now.millis() + left).since(now))
}

/// Why a connection that is not active gives nothing out.
pub(super) fn standing(row: &ConnectionRow, now: Timestamp) -> Error {
    if !is_suspended(row) {
        return reauth(row);
    }
    let error = err!(GrantSuspended, "the connection with `{}` rests", row.application)
        .with("application", &row.application)
        .with("connection", &row.id);
    match suspended_for(row, now) {
        Some(wait) => error.retry_after(wait),
        None => error,
    }
}

impl Inner {
    fn cached(&self, caller: &Caller, request: &GetCredential) -> Option<Arc<Cached>> {
        let Caller::Organisation(actor) = caller else { return None };
        let key =
            CacheKey { actor, account: &request.account, application: &request.application, connection: request.connection.as_deref() };
        if self.is_closed() {
            return None;
        }
        self.cache.get(&key, self.now().millis(), self.clock.boot_millis())
    }

    /// From memory, without waiting.
    pub(super) fn try_credential(&self, caller: &Caller, request: &GetCredential) -> Option<Arc<Credential>> {
        Some(self.cached(caller, request)?.credential.clone())
    }

    /// As [`Self::try_credential`], to be asked for again.
    pub(super) fn find_credential(self: &Arc<Self>, caller: &Caller, request: &GetCredential) -> Option<(Arc<Credential>, Found)> {
        let cached = self.cached(caller, request)?;
        // It keeps nothing: what the cache drops is gone, and so is an engine that nobody holds.
        let (engine, entry) = (Arc::downgrade(self), Arc::downgrade(&cached));
        let found = Found::new(move || {
            let (Some(engine), Some(cached)) = (engine.upgrade(), entry.upgrade()) else { return false };
            !engine.is_closed() && engine.cache.counts(&cached, engine.now().millis(), engine.clock.boot_millis())
        });
        Some((cached.credential.clone(), found))
    }

    pub(super) async fn credential(self: &Arc<Self>, actor: String, request: GetCredential) -> Result<Arc<Credential>> {
        let generation = self.cache.generation(&request.account, &request.application);
        let (app, row) = self.usable(&request).await?;
        let window = self.note_use_of_secret(READ, &actor, &row).await?;
        let credential = Arc::new(self.open_credential(&row)?);
        let key = CacheKey {
            actor: &actor,
            account: &request.account,
            application: &request.application,
            connection: request.connection.as_deref(),
        };
        let boot = self.clock.boot_millis();
        let wall = due(&app, &row);
        let left = wall.saturating_sub(self.judged(&row).millis());
        self.cache.insert(&key, generation, credential.clone(), Due { wall, boot: boot.saturating_add(left) }, window);
        Ok(credential)
    }

    /// The time of day by which the row's token must be judged.
    pub(super) fn judged(&self, row: &ConnectionRow) -> Timestamp {
        self.lives.time_for(row, self.now(), self.clock.boot_millis())
    }

    /// The connection that a call means, with a token that is valid now.
    pub(super) async fn usable(self: &Arc<Self>, request: &GetCredential) -> Result<(App, ConnectionRow)> {
        let app = self.app(&request.application).await?;
        let (tenant, wanted) = (self.tenant.clone(), request.clone());
        let row = self
            .read(move |tx| connections::choose(tx, &tenant, &wanted.account, &wanted.application, wanted.connection.as_deref()))
            .await?;
        let app = if app.names_client() { self.with_client_of_row(app, &row).await? } else { app };
        self.note_use(&row);
        if row.status != ConnectionStatus::Active.as_str() {
            let now = self.now();
            if !is_suspended(&row) || suspended_for(&row, now).is_some() {
                return Err(standing(&row, now));
            }
            let row = self.renewed(&app, row).await?;
            return Ok((app, row));
        }
        let is_key = row.auth_type == AuthType::Keybased.as_str();
        // One that was saved before the manifest asked for a token has none yet.
        let lacks_token = is_key && row.refresh_print.is_none();
        if (is_key && app.key_token().is_none()) || (!lacks_token && is_fresh(&app, &row, self.judged(&row))) {
            return Ok((app, row));
        }
        let row = self.renewed(&app, row).await?;
        Ok((app, row))
    }

    /// The secrets of a row, for the one who asked.
    pub(super) fn open_credential(&self, row: &ConnectionRow) -> Result<Credential> {
        let grant = sealed::open_grant(&self.vault, &self.tenant, row)?;
        let connection = connections::to_model(row)?;
        Ok(Credential {
            connection_id: connection.id,
            application: connection.application,
            auth_type: connection.auth_type,
            access_token: grant.access_token,
            token_type: grant.token_type,
            expires_at: connection.expires_at,
            scopes: connection.scopes,
            values: grant.values,
            properties: connection.properties,
        })
    }

    /// Before a secret is given out or used for a call, a durable row per deed, connection, caller and window; the others of the
    /// window are counted in memory and added to it.
    pub(super) async fn note_use_of_secret(&self, deed: &'static str, actor: &str, row: &ConnectionRow) -> Result<Arc<ReadWindow>> {
        let boot = self.clock.boot_millis();
        let key = (row.id.clone(), format!("{deed}\0{actor}"));
        let window = {
            let mut windows = self.cache.windows();
            match windows.get(&key).filter(|window| boot < window.until) {
                Some(window) => window.clone(),
                None => {
                    let until = boot + millis(self.timings.read_window);
                    let window = Arc::new(ReadWindow { row: OnceCell::new(), until, count: AtomicU64::new(0) });
                    // What the former window still counts is kept until it is flushed.
                    if let Some(old) = windows.insert(key, window.clone()).filter(|old| old.count.load(Ordering::Relaxed) > 0) {
                        windows.insert((row.id.clone(), format!("{deed}\0{actor}\0{}", old.until)), old);
                    }
                    window
                }
            }
        };
        let mut first = false;
        window
            .row
            .get_or_try_init(|| async {
                first = true;
                let about = self.about(actor.to_owned(), &row.account_id, Some(&row.application));
                let id = row.id.clone();
                self.store_audit(move |tx| about.audit(tx, deed, Some(&id), &serde_json::json!({}))).await
            })
            .await?;
        if !first {
            window.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(window)
    }

    /// Audit rows of reads wake nobody.
    async fn store_audit<F>(&self, job: F) -> Result<i64>
    where
        F: FnOnce(&mut dyn crate::plugin::Tx) -> Result<i64> + Send + 'static,
    {
        use crate::plugin::StoreExt;
        self.store.write_with(job).await
    }

    /// Adds what was counted in memory to the audit rows, and drops windows that are over.
    pub(super) async fn flush_reads(&self) -> Result<()> {
        let boot = self.clock.boot_millis();
        let counted: Vec<(i64, u64, Arc<ReadWindow>)> = {
            let mut windows = self.cache.windows();
            let counted: Vec<(i64, u64, Arc<ReadWindow>)> = windows
                .values()
                .filter_map(|window| {
                    let row = *window.row.get()?;
                    let count = window.count.swap(0, Ordering::AcqRel);
                    (count > 0).then(|| (row, count, window.clone()))
                })
                .collect();
            // What is over and was not opened, or counts nothing more, has nothing left to say.
            windows.retain(|_, window| boot < window.until || counted.iter().any(|(_, _, kept)| Arc::ptr_eq(kept, window)));
            counted
        };
        if counted.is_empty() {
            return Ok(());
        }
        let rows: Vec<(i64, u64)> = counted.iter().map(|(row, count, _)| (*row, *count)).collect();
        let flushed = {
            use crate::plugin::StoreExt;
            self.store.write_with(move |tx| rows.iter().try_for_each(|(row, count)| tx.add_audit_count(*row, *count))).await
        };
        if flushed.is_err() {
            for (_, count, window) in counted {
                window.count.fetch_add(count, Ordering::AcqRel);
            }
        }
        flushed
    }
}
