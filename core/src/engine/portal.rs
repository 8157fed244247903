//! Links to the hosted page: made, opened, and what the page is told.
//!
//! A link carries a ticket of its own, never a token (S-30): random, kept as a hash, good for the page only. The page trades
//! it for the session that it stands for, with which it ends. A link that works once is spent by that trade; what the page
//! gets instead is for its own reloads.

use std::time::Duration;

use super::{About, Inner, accounts, require_account, token};
use crate::{
    Error, Secret, Timestamp,
    backend::{CreateSession, GetPortalProperties, GetPortalUrl, OpenPortal},
    error::{Result, bail, err},
    ids::{self, fingerprint},
    model::{Json, JsonMap, Portal, PortalLink, Tenant},
    plugin::Tx,
    project::{Org, urls},
    store::rows::{PortalLinkRow, PortalPropertiesRow, SessionRow},
};

/// How long a link that works once may be on its way.
const ONCE: Duration = Duration::from_secs(60);
/// The most that is kept for a page, in bytes of JSON.
const LARGEST: usize = 16 * 1024;
/// Longer texts are no tickets.
const LONGEST_TICKET: usize = 128;

/// The one answer for every way in which a link can be wrong.
fn refused() -> Error {
    Error::code_only(crate::Code::PortalLinkInvalid)
}

/// Where the page leads back to, if the list has it.
fn return_to(org: &Org, properties: &JsonMap) -> Result<Option<String>> {
    match properties.get("redirect_url") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(url)) if url.is_empty() => Ok(None),
        Some(Json::String(url)) => urls::return_to_allowed(org, url).map(|url| Some(url.into())),
        Some(_) => Err(err!(InvalidRequest, "`redirect_url` must be a text")),
    }
}

fn read(row: Option<PortalPropertiesRow>) -> Result<JsonMap> {
    row.map_or_else(
        || Ok(JsonMap::new()),
        |row| {
            serde_json::from_str(&row.properties_json).map_err(|_| err!(StoreCorrupt, "what was stored for a hosted page cannot be read"))
        },
    )
}

/// The session of a link, while both are good.
fn session(tx: &mut dyn Tx, tenant: &Tenant, link: &PortalLinkRow, now: Timestamp) -> Result<SessionRow> {
    let good =
        |session: &SessionRow| session.revoked_at.is_none() && now.millis() <= session.expires_at && session.account_id == link.account_id;
    tx.session(tenant, &link.session_id)?.filter(|session| now.millis() <= link.expires_at && good(session)).ok_or_else(refused)
}

impl Inner {
    /// Where this engine's server is reached from outside, without a slash at the end.
    pub(super) fn public_base<'a>(&'a self, org: &'a Org) -> Option<&'a str> {
        self.public_url.as_deref().or(org.public_url.as_deref()).map(|base| base.trim_end_matches('/'))
    }

    /// The page's own address, to which its flows come back.
    pub(super) fn portal_page(&self, org: &Org) -> Option<String> {
        self.public_base(org).map(|base| format!("{base}/connect"))
    }

    pub(super) async fn portal_url(&self, actor: String, of: Option<String>, request: GetPortalUrl) -> Result<PortalLink> {
        let project = self.project.current();
        let org = &project.project.org;
        let Some(page) = self.portal_page(org) else {
            bail!(ProjectInvalid, "`org.public_url` is not set, so there is no address of the hosted page");
        };
        if let Some(config_id) = &request.config_id {
            accounts::check_id("config_id", config_id)?;
        }
        let properties = match (request.properties, request.return_to) {
            (properties, Some(url)) => {
                let mut properties = properties.unwrap_or_default();
                properties.insert("redirect_url".to_owned(), url.into());
                Some(properties)
            }
            (properties, None) => properties,
        };
        let stored = match &properties {
            Some(properties) => {
                return_to(org, properties)?;
                let text = Json::Object(properties.clone()).to_string();
                if text.len() > LARGEST {
                    bail!(InvalidRequest, "`properties` are larger than {LARGEST} bytes");
                }
                Some(text)
            }
            None => None,
        };
        let session_id = match of {
            Some(id) => id,
            None => self.create_session(actor.clone(), CreateSession { account: request.account.clone(), force: false }).await?.id,
        };
        let ticket = ids::new_token()?;
        let about = self.about(actor, &request.account, None);
        let (hash, once) = (fingerprint(&ticket), request.once);
        let config_id = request.config_id.clone();
        let expires_at = self.write(move |tx| portal_link(tx, &about, session_id, hash, config_id, once, stored)).await?;
        let mut url = format!("{page}/{ticket}");
        if let Some(config_id) = &request.config_id {
            url.push_str("?config_id=");
            url.extend(url::form_urlencoded::byte_serialize(config_id.as_bytes()));
        }
        Ok(PortalLink { url: Secret::new(url), expires_at, once })
    }

    pub(super) async fn open_portal(&self, request: OpenPortal) -> Result<Portal> {
        if request.ticket.expose().len() > LONGEST_TICKET {
            return Err(refused());
        }
        let (tenant, now, hash) = (self.tenant.clone(), self.now(), fingerprint(request.ticket.expose()));
        let kept = {
            let (tenant, hash) = (tenant.clone(), hash.clone());
            self.read(move |tx| {
                let link = tx.portal_link(&tenant, &hash)?.ok_or_else(refused)?;
                let session = session(tx, &tenant, &link, now)?;
                let properties = tx.portal_properties(&tenant, &session.id)?;
                Ok((link, session, properties))
            })
            .await?
        };
        let (link, row, properties) = kept;
        let ticket = match link.once {
            true => Some(self.spend_link(tenant, now, hash).await?),
            false => None,
        };
        let properties = read(properties)?;
        Ok(Portal {
            session: self.with_token(row)?,
            environment: self.tenant.environment,
            config_id: link.config_id,
            return_to: return_to(&self.project.current().project.org, &properties).ok().flatten(),
            properties,
            ticket,
        })
    }

    /// Spends a link that works once: whoever deletes its row has it. The page gets a ticket of its own.
    async fn spend_link(&self, tenant: Tenant, now: Timestamp, hash: String) -> Result<Secret> {
        let ticket = Secret::new(ids::new_token()?);
        let own = fingerprint(ticket.expose());
        self.write(move |tx| {
            let link = tx.portal_link(&tenant, &hash)?.ok_or_else(refused)?;
            if !tx.delete_portal_link(&tenant, &hash)? {
                return Err(refused());
            }
            let session = session(tx, &tenant, &link, now)?;
            tx.insert_portal_link(
                &tenant,
                &PortalLinkRow { hash: own, once: false, expires_at: session.expires_at, created_at: now.millis(), ..link },
            )
        })
        .await?;
        Ok(ticket)
    }

    pub(super) async fn portal_properties(&self, request: GetPortalProperties) -> Result<Json> {
        let session = self.session_of(&request.token).await?.id;
        let tenant = self.tenant.clone();
        read(self.read(move |tx| tx.portal_properties(&tenant, &session)).await?).map(Json::Object)
    }
}

/// Writes a link down; answers when it ends.
fn portal_link(
    tx: &mut dyn Tx,
    about: &About,
    session_id: String,
    hash: String,
    config_id: Option<String>,
    once: bool,
    properties: Option<String>,
) -> Result<Timestamp> {
    require_account(tx, &about.tenant, &about.account)?;
    let good = |session: &SessionRow| session.revoked_at.is_none() && session.account_id == about.account;
    let session = tx.session(&about.tenant, &session_id)?.filter(good).ok_or_else(token::refused)?;
    let (now, account_id) = (about.now, about.account.clone());
    if let Some(properties_json) = properties {
        let row = PortalPropertiesRow {
            session_id: session_id.clone(),
            account_id: account_id.clone(),
            properties_json,
            changed_at: now.millis(),
        };
        tx.put_portal_properties(&about.tenant, &row)?;
    }
    let session_ends = Timestamp::from_millis(session.expires_at);
    let expires_at = if once { session_ends.min(now.plus(ONCE)) } else { session_ends };
    let row = PortalLinkRow { hash, account_id, session_id, config_id, once, created_at: now.millis(), expires_at: expires_at.millis() };
    tx.insert_portal_link(&about.tenant, &row)?;
    Ok(expires_at)
}
