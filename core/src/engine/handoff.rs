//! Connect flows that are handed off: begun by one party (a web SDK, a backend) for a browser that it does not hold.
//!
//! The one who begins gets a one-time ticket instead of the provider's page. A page of ours shows whose connect it is, and
//! when the user agrees, the ticket is spent: that browser gets the cookie, and only that browser can come back (S-03). It
//! stops victims that are sent there silently, not those who are talked into it.

use super::{Inner, connect, sealed};
use crate::{
    Secret, Timestamp,
    backend::{Handoff, HandoffPreview, StartConnect, TakeHandoff},
    error::{Result, bail, err},
    ids::{self, fingerprint},
    model::{FlowStatus, StartedConnect, StateCookie},
    store::rows::FlowRow,
};

/// Whether the flow was handed off: its callback counts with the cookie only.
pub(super) fn is_handed_off(row: &FlowRow) -> bool {
    serde_json::from_str::<serde_json::Value>(&row.options_json).is_ok_and(|options| options["handoff"] == true)
}

fn unknown() -> crate::Error {
    err!(ClaimInvalid, "the ticket is unknown, used or late")
}

fn open(row: Option<FlowRow>, now: Timestamp) -> Result<FlowRow> {
    let open = row.filter(|row| row.status == FlowStatus::Pending.as_str() && is_handed_off(row) && now.millis() <= row.expires_at);
    open.ok_or_else(unknown)
}

impl Inner {
    pub(super) async fn hand_off_connect(self: &std::sync::Arc<Self>, actor: String, request: StartConnect) -> Result<Handoff> {
        if request.device {
            bail!(InvalidRequest, "a device flow sends no browser anywhere, so there is nothing to hand off: call `start_connect`");
        }
        let started = self.start_connect(actor, request).await?;
        let ticket = Secret::new(ids::new_token()?);
        let (tenant, vault, hash, id) = (self.tenant.clone(), self.vault.clone(), fingerprint(ticket.expose()), started.flow_id.clone());
        let (url, cookie) = (Secret::new(started.authorize_url), started.cookie.value);
        self.write(move |tx| {
            let Some(mut row) = tx.flow(&tenant, &id)? else { bail!(FlowNotFound, "the connect flow went with its account") };
            let mut secrets = sealed::open_flow(&vault, &tenant, &row)?;
            (secrets.authorize_url, secrets.cookie) = (Some(url), Some(cookie));
            let mut options: serde_json::Value = serde_json::from_str(&row.options_json).unwrap_or_default();
            options["handoff"] = true.into();
            row.options_json = options.to_string();
            row.claim_hash = Some(hash);
            sealed::seal_flow(&vault, &tenant, &mut row, &secrets)?;
            tx.put_flow(&tenant, &row)
        })
        .await?;
        Ok(Handoff { flow_id: started.flow_id, ticket, page: None, expires_at: started.expires_at })
    }

    /// What the page shows before anybody agrees. Nothing is spent.
    pub(super) async fn get_handoff(&self, request: TakeHandoff) -> Result<HandoffPreview> {
        let (tenant, hash, now) = (self.tenant.clone(), fingerprint(request.ticket.expose()), self.now());
        let (row, account) = self
            .read(move |tx| {
                let row = open(tx.flow_by_claim(&tenant, &hash)?, now)?;
                let account = tx.account(&tenant, &row.account_id)?.ok_or_else(unknown)?;
                Ok((row, account))
            })
            .await?;
        let app = self.app(&row.application).await?;
        let page = sealed::open_flow(&self.vault, &self.tenant, &row)?.authorize_url.unwrap_or_default();
        let origin = url::Url::parse(page.expose()).map(|url| url.origin().ascii_serialization());
        Ok(HandoffPreview {
            authorize_origin: origin.unwrap_or_default(),
            flow_id: row.id,
            account_id: account.id,
            account_name: account.name,
            application: row.application,
            application_name: app.manifest.name.clone(),
            expires_at: Timestamp::from_millis(row.expires_at),
        })
    }

    /// Spends the ticket: the browser that the answer goes to is the one that may come back.
    pub(super) async fn take_handoff(&self, request: TakeHandoff) -> Result<StartedConnect> {
        let (tenant, vault, hash, now) = (self.tenant.clone(), self.vault.clone(), fingerprint(request.ticket.expose()), self.now());
        let (row, secrets) = self
            .write(move |tx| {
                // A claim of a parked callback is not ours to spend.
                open(tx.flow_by_claim(&tenant, &hash)?, now)?;
                let Some(mut row) = tx.consume_claim(&tenant, &hash)? else { return Err(unknown()) };
                let mut secrets = sealed::open_flow(&vault, &tenant, &row)?;
                let mut kept = secrets.clone();
                (kept.authorize_url, kept.cookie) = (None, None);
                row.claim_hash = None;
                sealed::seal_flow(&vault, &tenant, &mut row, &kept)?;
                tx.put_flow(&tenant, &row)?;
                secrets.verifier = None;
                Ok((row, secrets))
            })
            .await?;
        let (Some(url), Some(cookie)) = (secrets.authorize_url, secrets.cookie) else {
            bail!(StoreCorrupt, "flow {} was handed off without its page", row.id)
        };
        let expires_at = Timestamp::from_millis(row.expires_at);
        Ok(StartedConnect {
            cookie: StateCookie { name: StateCookie::name_of(&row.id), value: cookie, max_age: connect::seconds_left(expires_at, now) },
            flow_id: row.id,
            authorize_url: url.expose().to_owned(),
            redirect_uri: row.redirect_uri,
            expires_at,
            device: None,
        })
    }
}
