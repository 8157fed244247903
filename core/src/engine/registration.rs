//! Clients that the provider registers by protocol (RFC 7591): one for each organisation, environment, application and host.
//!
//! The first who connects has it registered. A lease in the place's own row lets one caller among all processes ask, and what it
//! got counts for everybody from then on. A client is registered anew when its secret has ended, when it serves not what is wanted,
//! when the provider says that it does not know it, or when it lay there unused for longer than the provider keeps such. The
//! old one goes on serving the connections that were made with it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    About, Inner, ahead,
    apps::{App, CLIENT_KEY},
    millis,
    sealed::{self, RegisteredSecrets},
};
use crate::{
    Code, Error, Secret, Timestamp,
    error::{Result, bail, err},
    http::protocol::{self, ClientWishes, RegisteredClient, RegistrationFailure},
    ids,
    manifest::{
        Registration,
        template::{self, Values},
    },
    plugin::{BootTime, HttpRequest, Tx},
    store::rows::RegistrationRow,
};

/// No failure keeps a place from being asked again for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A registered client, ready for use.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    /// Names it in flows, connections and revocations.
    pub(super) key: String,
    pub(super) authority: String,
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
}

/// Where a client of an application is registered.
#[derive(Clone, Debug)]
struct Site {
    application: String,
    /// The origin of the registration endpoint.
    authority: String,
}

/// How a registration that failed is kept.
#[derive(Serialize, Deserialize)]
struct Noted {
    code: String,
    provider_error: Option<String>,
}

/// Whose turn it is.
enum Turn {
    /// There is a client.
    Have(Box<RegistrationRow>),
    /// Somebody registers one now.
    Wait,
    /// Nobody may ask yet, and why.
    NotNow(Error),
    /// It is ours. What counted before, if anything did.
    Ours(Box<(RegistrationRow, Option<RegistrationRow>)>),
}

/// What became of a client that was registered.
enum Stored {
    Ours(Box<RegistrationRow>),
    /// Another one came first: ours is one too many.
    Surplus(Box<RegistrationRow>),
}

/// What a client must be good for.
#[derive(Clone, Copy)]
struct Limits {
    /// How long a secret must still be good.
    margin: i64,
    /// How long the provider keeps a client that nobody uses.
    unused_life: Option<i64>,
}

fn is_usable(row: &RegistrationRow, wishes: &ClientWishes, limits: Limits, now: Timestamp) -> bool {
    let now = now.millis();
    // Short-lived secrets are good for half of their life at least.
    let margin = |end: i64| limits.margin.min((end - row.created_at).max(0) / 2);
    let lives = row.secret_expires_at.is_none_or(|end| now.saturating_add(margin(end)) < end);
    let kept = row.proven_at.is_some() || limits.unused_life.is_none_or(|life| now.saturating_sub(row.created_at) < life);
    row.ended_at.is_none() && lives && kept && made_for(row).serves(wishes)
}

fn made_for(row: &RegistrationRow) -> ClientWishes {
    serde_json::from_str(&row.made_json).unwrap_or_default()
}

/// The client that counts at a place.
fn current(tx: &mut dyn Tx, about: &About, site: &Site) -> Result<Option<RegistrationRow>> {
    let place = tx.registration(&about.tenant, &site.application, &site.authority, "")?;
    match place.and_then(|place| place.current) {
        Some(key) => tx.registration(&about.tenant, &site.application, &site.authority, &key),
        None => Ok(None),
    }
}

fn place_of(tx: &mut dyn Tx, about: &About, site: &Site) -> Result<RegistrationRow> {
    let known = tx.registration(&about.tenant, &site.application, &site.authority, "")?;
    Ok(known.unwrap_or_else(|| RegistrationRow {
        application: site.application.clone(),
        authority: site.authority.clone(),
        made_json: "{}".to_owned(),
        created_at: about.now.millis(),
        ..RegistrationRow::default()
    }))
}

fn is_leased(place: &RegistrationRow, boot: &BootTime) -> bool {
    place.lease_owner.is_some()
        && place.lease_boot.as_ref() == Some(&boot.boot_id)
        && place.lease_until.is_some_and(|until| boot.millis < until)
}

/// A lease is released by its owner only.
fn release(place: &mut RegistrationRow, holder: &str) {
    if place.lease_owner.as_deref() == Some(holder) {
        (place.lease_owner, place.lease_boot, place.lease_until) = (None, None, None);
    }
}

/// Decides in one transaction who asks the provider.
#[allow(clippy::too_many_arguments)] // what a transaction sees is all here, and no two belong together
fn take_turn(
    tx: &mut dyn Tx,
    about: &About,
    site: &Site,
    wishes: &ClientWishes,
    limits: Limits,
    holder: &str,
    boot: &BootTime,
    lease: i64,
) -> Result<Turn> {
    let now = about.now;
    let mut place = place_of(tx, about, site)?;
    let known = current(tx, about, site)?;
    if let Some(row) = known.as_ref().filter(|row| is_usable(row, wishes, limits, now)) {
        return Ok(Turn::Have(Box::new(row.clone())));
    }
    if is_leased(&place, boot) {
        return Ok(Turn::Wait);
    }
    // One that is longer than any can be was written before the clock was set back.
    let wait = place.next_at.saturating_sub(now.millis());
    if (1..=millis(LONGEST_WAIT)).contains(&wait) && place.error_json.is_some() {
        return Ok(Turn::NotNow(noted(&place, Timestamp::from_millis(place.next_at).since(now))));
    }
    place.lease_owner = Some(holder.to_owned());
    place.lease_boot = Some(boot.boot_id.clone());
    place.lease_until = Some(boot.millis + lease);
    place.next_at = now.millis();
    tx.put_registration(&about.tenant, &place)?;
    Ok(Turn::Ours(Box::new((place, known))))
}

fn refused(authority: &str, provider_error: &str) -> Error {
    err!(RegistrationRefused, "`{authority}` registers no client for this: `{provider_error}`").with("provider_error", provider_error)
}

/// The last failure, in the words of whoever met it.
fn noted(place: &RegistrationRow, wait: Duration) -> Error {
    let noted = place.error_json.as_deref().and_then(|json| serde_json::from_str::<Noted>(json).ok());
    let error = match noted {
        Some(Noted { code, provider_error: Some(error) }) if code == Code::RegistrationRefused.as_str() => {
            refused(&place.authority, &error)
        }
        noted => {
            let cause = noted.map_or_else(|| Code::ProviderError.as_str().to_owned(), |noted| noted.code);
            err!(ProviderError, "the last try to register a client at `{}` failed", place.authority).with("cause", cause)
        }
    };
    error.with("application", &place.application).retry_after(wait)
}

/// Writes down that a try brought no client.
fn fail(tx: &mut dyn Tx, about: &About, site: &Site, holder: &str, error: &Error, first: Duration) -> Result<()> {
    let mut place = place_of(tx, about, site)?;
    if place.lease_owner.as_deref() != Some(holder) {
        return Ok(());
    }
    release(&mut place, holder);
    place.tries += 1;
    let spread = if place.tries == 1 { 0 } else { ahead::draw() };
    let wait = ahead::backoff(first, place.tries, LONGEST_WAIT, spread).max(error.info().retry_after.unwrap_or_default()).min(LONGEST_WAIT);
    place.next_at = about.now.plus(wait).millis();
    let noted = Noted { code: error.code().as_str().to_owned(), provider_error: error.info().context.get("provider_error").cloned() };
    place.error_json = serde_json::to_string(&noted).ok();
    tx.put_registration(&about.tenant, &place)
}

/// Keeps a client and lets it count, unless another one does by now.
#[allow(clippy::too_many_arguments)] // a transaction's
fn store(
    tx: &mut dyn Tx,
    about: &About,
    vault: &crate::vault::Vault,
    site: &Site,
    holder: &str,
    before: Option<&str>,
    client: &RegisteredClient,
    made: &ClientWishes,
    limits: Limits,
) -> Result<Stored> {
    let mut place = place_of(tx, about, site)?;
    release(&mut place, holder);
    if place.current.as_deref() != before
        && let Some(other) = current(tx, about, site)?.filter(|row| is_usable(row, made, limits, about.now))
    {
        tx.put_registration(&about.tenant, &place)?;
        return Ok(Stored::Surplus(Box::new(other)));
    }
    let key = key_of(&site.authority, &client.client_id);
    let known = tx.registration(&about.tenant, &site.application, &site.authority, &key)?;
    let mut row = RegistrationRow {
        application: site.application.clone(),
        authority: site.authority.clone(),
        client_key: key.clone(),
        secret_version: known.map_or(0, |known| known.secret_version),
        made_json: serde_json::to_string(made).unwrap_or_default(),
        secret_expires_at: client.expires_at.map(Timestamp::millis),
        created_at: about.now.millis(),
        ..RegistrationRow::default()
    };
    let secrets = RegisteredSecrets {
        client_id: client.client_id.clone(),
        client_secret: client.client_secret.clone(),
        access_token: client.access_token.clone(),
        page: client.page.as_ref().map(Url::to_string),
    };
    sealed::seal_registration(vault, &about.tenant, &mut row, &secrets)?;
    tx.put_registration(&about.tenant, &row)?;
    place.current = Some(key);
    (place.tries, place.next_at, place.error_json) = (0, 0, None);
    tx.put_registration(&about.tenant, &place)?;
    told(tx, about, site, "registered")?;
    Ok(Stored::Ours(Box::new(row)))
}

/// A client's secret, renewed on its own page: the client stays, and with it whatever was granted to it.
fn renew(
    tx: &mut dyn Tx,
    about: &About,
    vault: &crate::vault::Vault,
    site: &Site,
    holder: &str,
    seen: &RegistrationRow,
    client: &RegisteredClient,
) -> Result<RegistrationRow> {
    let mut place = place_of(tx, about, site)?;
    release(&mut place, holder);
    (place.tries, place.next_at, place.error_json) = (0, 0, None);
    tx.put_registration(&about.tenant, &place)?;
    let Some(mut row) = tx.registration(&about.tenant, &site.application, &site.authority, &seen.client_key)? else {
        bail!(StoreCorrupt, "a client that was registered at `{}` is gone", site.authority)
    };
    let old = sealed::open_registration(vault, &about.tenant, &row)?;
    let secrets = RegisteredSecrets {
        client_id: old.client_id,
        client_secret: client.client_secret.clone().or(old.client_secret),
        // Some hand out another one with each look (RFC 7592 section 3).
        access_token: client.access_token.clone().or(old.access_token),
        page: client.page.as_ref().map(Url::to_string).or(old.page),
    };
    row.secret_expires_at = client.expires_at.map(Timestamp::millis);
    sealed::seal_registration(vault, &about.tenant, &mut row, &secrets)?;
    tx.put_registration(&about.tenant, &row)?;
    told(tx, about, site, "renewed")?;
    Ok(row)
}

/// The provider exchanged something for it: it keeps the client from now on.
pub(super) fn proven(tx: &mut dyn Tx, about: &About, application: &str, registered: &Registered) -> Result<()> {
    let known = tx.registration(&about.tenant, application, &registered.authority, &registered.key)?;
    match known.filter(|row| row.proven_at.is_none()) {
        Some(mut row) => {
            row.proven_at = Some(about.now.millis());
            tx.put_registration(&about.tenant, &row)
        }
        None => Ok(()),
    }
}

/// The provider does not know it any more: the next who connects has another one registered.
pub(super) fn gone(tx: &mut dyn Tx, about: &About, application: &str, registered: &Registered) -> Result<()> {
    let site = Site { application: application.to_owned(), authority: registered.authority.clone() };
    let known = tx.registration(&about.tenant, application, &registered.authority, &registered.key)?;
    let Some(mut row) = known.filter(|row| row.ended_at.is_none()) else { return Ok(()) };
    row.ended_at = Some(about.now.millis());
    tx.put_registration(&about.tenant, &row)?;
    let mut place = place_of(tx, about, &site)?;
    if place.current.as_ref() == Some(&registered.key) {
        place.current = None;
        tx.put_registration(&about.tenant, &place)?;
    }
    told(tx, about, &site, "gone")
}

fn told(tx: &mut dyn Tx, about: &About, site: &Site, change: &str) -> Result<()> {
    let about = About { account: String::new(), application: Some(site.application.clone()), ..about.clone() };
    about.audit(tx, "client", None, &serde_json::json!({"change": change, "at": site.authority})).map(drop)
}

/// Of one place: another host that answers the same id gets another key.
fn key_of(authority: &str, client_id: &str) -> String {
    let print = ids::fingerprint(&format!("{authority}\n{client_id}"));
    format!("reg-{}", &print[..22.min(print.len())])
}

/// What serves a redirect URI. Any port of a loopback address fits one that is registered without (RFC 8252 section 7.3).
fn without_port(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(mut url) if url.scheme() == "http" && url.host_str().is_some_and(|host| host == "127.0.0.1" || host == "[::1]") => {
            let _ = url.set_port(None);
            url.into()
        }
        _ => uri.to_owned(),
    }
}

impl Inner {
    /// The place, and the registration endpoint there or the metadata that name it.
    fn site(&self, app: &App, registration: &Registration, values: Values<'_>) -> Result<(Site, Url)> {
        let Some(template) = registration.url.as_ref().or(registration.discovery.as_ref()) else {
            bail!(ManifestInvalid, "`{}` says not where clients are registered", app.slug())
        };
        let url = template::url(template, &app.values(values))?;
        Ok((Site { application: app.slug().to_owned(), authority: url.origin().ascii_serialization() }, url))
    }

    /// The application with the client that a connect is to use. Where the project names none, and the provider registers clients,
    /// that is a registered one.
    pub(super) async fn with_client_to_connect(
        self: &Arc<Self>,
        app: App,
        inputs: &BTreeMap<String, Secret>,
        redirect_uri: Option<&str>,
        scopes: &[String],
    ) -> Result<App> {
        let Some(registration) = app.registration().filter(|_| !self.names_own_client(&app)) else { return Ok(app) };
        let mut wishes = ClientWishes { redirect_uris: Vec::new(), scopes: scopes.to_vec() };
        let own = self.redirect_uri(&app, None).ok();
        for uri in own.iter().map(String::as_str).chain(redirect_uri).map(without_port) {
            if !wishes.redirect_uris.contains(&uri) {
                wishes.redirect_uris.push(uri);
            }
        }
        let declared =
            app.settings().scopes.clone().unwrap_or_else(|| app.oauth().map(|oauth| oauth.scopes.default.clone()).unwrap_or_default());
        wishes = wishes.and(&ClientWishes { redirect_uris: Vec::new(), scopes: declared });
        let (site, url) = self.site(&app, registration, Values::new().secrets(inputs))?;
        let (engine, asking) = (self.clone(), app.clone());
        // What was registered is kept, also when nobody waits any more.
        let registered = self.detached(async move { engine.ensure(&asking, site, url, wishes).await }).await?;
        self.bind(app, registered)
    }

    /// The application with the client that a flow, connection or revocation was made with.
    pub(super) async fn with_client_of(&self, app: App, client_key: &str, values: Values<'_>) -> Result<App> {
        let Some(registration) = app.registration().filter(|_| client_key != CLIENT_KEY) else { return Ok(app) };
        let (site, url) = self.site(&app, registration, values)?;
        let Some(row) = self.registered_row(&site, client_key).await? else { return Ok(app) };
        let now = self.now().millis();
        if row.ended_at.is_none() && row.secret_expires_at.is_some_and(|end| end <= now) {
            // Its page may have a new secret for it. If not, it is for the provider to say what it is worth.
            if let Err(error) = self.ensure(&app, site.clone(), url, made_for(&row)).await {
                tracing::debug!(application = app.slug(), code = error.code().as_str(), "a client's secret could not be renewed");
            }
        }
        match self.registered_row(&site, client_key).await? {
            Some(row) => {
                let registered = self.opened(&row)?;
                self.bind(app, registered)
            }
            None => Ok(app),
        }
    }

    async fn registered_row(&self, site: &Site, client_key: &str) -> Result<Option<RegistrationRow>> {
        let (tenant, site, key) = (self.tenant.clone(), site.clone(), client_key.to_owned());
        self.read(move |tx| tx.registration(&tenant, &site.application, &site.authority, &key)).await
    }

    fn opened(&self, row: &RegistrationRow) -> Result<Registered> {
        let secrets = sealed::open_registration(&self.vault, &self.tenant, row)?;
        Ok(Registered {
            key: row.client_key.clone(),
            authority: row.authority.clone(),
            id: secrets.client_id,
            secret: secrets.client_secret,
        })
    }

    fn limits(&self, app: &App) -> Limits {
        let unused_life = app.registration().and_then(|registration| registration.unused_life);
        Limits { margin: millis(self.timings.flow_lifetime), unused_life: unused_life.map(|life| millis(Duration::from_secs(life))) }
    }

    /// A client that serves the wishes, registered now if need be.
    async fn ensure(&self, app: &App, site: Site, url: Url, wishes: ClientWishes) -> Result<Registered> {
        let limits = self.limits(app);
        let about = self.about(self.owner.clone(), "", Some(app.slug()));
        let known = {
            let (about, site) = (about.clone(), site.clone());
            self.read(move |tx| current(tx, &about, &site)).await?
        };
        if let Some(row) = known.filter(|row| is_usable(row, &wishes, limits, about.now)) {
            return self.opened(&row);
        }
        let holder = format!("{}-{}", self.owner, ids::new_id(about.now)?);
        let patience = Instant::now() + self.timings.lease + self.timings.provider;
        loop {
            let about = self.about(self.owner.clone(), "", Some(app.slug()));
            let lease = millis(self.timings.lease);
            let turn = {
                let (about, site, wishes, holder, clock) =
                    (about.clone(), site.clone(), wishes.clone(), holder.clone(), self.clock.clone());
                self.write(move |tx| take_turn(tx, &about, &site, &wishes, limits, &holder, &clock.boot(), lease)).await?
            };
            let (place, before) = match turn {
                Turn::Have(row) => return self.opened(&row),
                Turn::NotNow(error) => return Err(error),
                Turn::Wait if Instant::now() > patience => {
                    bail!(ProviderTimeout, "a client is being registered at `{}`, and it takes long", site.authority)
                }
                Turn::Wait => {
                    // Another process's write is noticed by looking.
                    tokio::time::sleep(Duration::from_millis(40 + u64::from(ids::random::<1>()?[0]) / 4)).await;
                    continue;
                }
                Turn::Ours(ours) => *ours,
            };
            // The machine may have slept since: what is sent must be answered within the lease.
            let boot = self.clock.boot();
            if place.lease_until.is_none_or(|until| boot.millis + millis(self.timings.provider) > until) {
                if Instant::now() > patience {
                    bail!(ProviderTimeout, "no lease for a registration at `{}` lasted", site.authority);
                }
                continue;
            }
            crate::failpoint::failpoint!("registration-leased");
            return self.register(app, &about, (&site, &url), &holder, before, &wishes, limits).await;
        }
    }

    /// Asks the provider, with the place's lease.
    #[allow(clippy::too_many_arguments)] // one after the other
    async fn register(
        &self,
        app: &App,
        about: &About,
        (site, url): (&Site, &Url),
        holder: &str,
        before: Option<RegistrationRow>,
        wishes: &ClientWishes,
        limits: Limits,
    ) -> Result<Registered> {
        // What somebody needed goes on being served.
        let made = match &before {
            Some(row) if row.ended_at.is_none() => made_for(row).and(wishes),
            _ => wishes.clone(),
        };
        // At most three requests follow each other within the lease.
        let discovers = app.registration().is_some_and(|registration| registration.url.is_none());
        let renewable =
            before.as_ref().filter(|row| row.ended_at.is_none() && row.secret_expires_at.is_some() && made_for(row).serves(wishes));
        let time = self.timings.provider / (1 + u32::from(discovers) + u32::from(renewable.is_some()));
        if let Some(row) = renewable
            && let Some(client) = self.look_at_page(row, limits, time).await
        {
            let (about, vault, site, holder, row) = (about.clone(), self.vault.clone(), site.clone(), holder.to_owned(), row.clone());
            let row = self.write_until_stored(move |tx| renew(tx, &about, &vault, &site, &holder, &row, &client)).await?;
            return self.opened(&row);
        }
        let asked = self.ask_for_client(app, (site, url), &made, time).await;
        crate::failpoint::failpoint!("registration-answered");
        let client = match asked {
            Ok(client) => client,
            Err(error) => {
                let error = error.with("application", app.slug());
                let (about, site, holder, noted, first) = (
                    self.about(self.owner.clone(), "", Some(app.slug())),
                    site.clone(),
                    holder.to_owned(),
                    error.clone(),
                    self.timings.cooldown,
                );
                self.write_until_stored(move |tx| fail(tx, &about, &site, &holder, &noted, first)).await?;
                return Err(error);
            }
        };
        let key = before.map(|row| row.client_key);
        let stored = {
            let (about, vault, site, holder, client) =
                (self.about(self.owner.clone(), "", Some(app.slug())), self.vault.clone(), site.clone(), holder.to_owned(), client.clone());
            self.write_until_stored(move |tx| store(tx, &about, &vault, &site, &holder, key.as_deref(), &client, &made, limits)).await?
        };
        match stored {
            Stored::Ours(row) => self.opened(&row),
            Stored::Surplus(row) => {
                self.delete_surplus(&client).await;
                self.opened(&row)
            }
        }
    }

    async fn ask_for_client(&self, app: &App, (site, url): (&Site, &Url), made: &ClientWishes, time: Duration) -> Result<RegisteredClient> {
        let oauth = app.oauth()?;
        let Some(registration) = &oauth.registration else { bail!(Internal, "a client was to be registered where none is") };
        let org = &app.project.project.org;
        let home = self.public_url.as_ref().or(org.public_url.as_ref());
        let mut values = app.values(Values::new());
        if let Some(home) = home {
            values = values.one("public_url", home);
        }
        let name = if org.name.is_empty() { &org.id } else { &org.name };
        let initial = match &app.settings().registration_token {
            Some(_) if app.manifest.leads_anywhere() => {
                bail!(ProjectInvalid, "`apps.{}.registration_token` would be shown to any host that a user names", app.slug())
            }
            Some(token) => Some(token.resolve(&app.project.base_dir)?),
            None => None,
        };
        let told = |failure: RegistrationFailure| match failure {
            RegistrationFailure::Refused { provider_error } => refused(&site.authority, &provider_error),
            RegistrationFailure::Passing { error } => error,
        };
        let endpoint = match &registration.url {
            Some(_) => url.clone(),
            None => {
                let answer = self.sent(protocol::metadata_request(url)?, time).await?;
                protocol::registration_endpoint(url, &answer, self.now()).map_err(told)?
            }
        };
        let request = protocol::registration_request(oauth, registration, endpoint.clone(), &values, made, name, initial.as_ref())?;
        let answer = self.sent(request, time).await?;
        protocol::parse_registration(&endpoint, &answer, self.now()).map_err(told)
    }

    /// What a client's own page says of a secret that has ended; nothing where it says nothing better.
    async fn look_at_page(&self, row: &RegistrationRow, limits: Limits, time: Duration) -> Option<RegisteredClient> {
        let now = self.now();
        row.secret_expires_at.filter(|end| now.millis().saturating_add(limits.margin) >= *end)?;
        let secrets = sealed::open_registration(&self.vault, &self.tenant, row).ok()?;
        let page = Url::parse(secrets.page.as_deref()?).ok()?;
        let answer = self.sent(protocol::client_page_request("GET", &page, secrets.access_token.as_ref()?).ok()?, time).await.ok()?;
        let client = protocol::parse_registration(&page, &answer, self.now()).ok()?;
        let lives = client.expires_at.is_none_or(|end| end > now) && client.client_secret.is_some();
        (client.client_id == secrets.client_id && lives).then_some(client)
    }

    /// Ends a client that nobody needs (RFC 7592 section 2.3). Where that cannot be, it lies there.
    async fn delete_surplus(&self, client: &RegisteredClient) {
        let (Some(page), Some(token)) = (&client.page, &client.access_token) else { return };
        let Ok(request) = protocol::client_page_request("DELETE", page, token) else { return };
        if let Err(error) = self.sent(request, self.timings.provider).await {
            tracing::debug!(code = error.code().as_str(), "a client that is one too many could not be deleted");
        }
    }

    async fn sent(&self, mut request: HttpRequest, time: Duration) -> Result<crate::plugin::HttpResponse> {
        request.timeout = time;
        self.transport.send(request).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        model::{Environment, Tenant},
        plugin::{Store, StoreExt, SystemClock},
        store::{SqliteStore, StoreOptions},
        vault::{LocalKey, Vault},
    };

    const LIMITS: Limits = Limits { margin: 600_000, unused_life: None };
    const LEASE: i64 = 14_000;

    fn about(now: i64) -> About {
        let tenant = Tenant { org: "acme".to_owned(), environment: Environment::Test };
        About {
            tenant,
            now: Timestamp::from_millis(now),
            actor: "a".to_owned(),
            account: String::new(),
            application: Some("club".to_owned()),
        }
    }

    fn boot(millis: i64) -> BootTime {
        BootTime { boot_id: "boot".to_owned(), millis }
    }

    fn client(id: &str) -> RegisteredClient {
        RegisteredClient { client_id: id.to_owned(), client_secret: Some("s".into()), expires_at: None, access_token: None, page: None }
    }

    /// A holder whose lease ran out while it asked has a client too many; whichever is stored first counts.
    #[tokio::test]
    async fn of_two_registrations_one_counts_and_the_other_is_known_to_be_surplus() {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::memory(StoreOptions::default()).unwrap());
        let clock = Arc::new(SystemClock::default());
        let vault = Arc::new(Vault::unlock(store.clone(), Arc::new(LocalKey::generate().unwrap()), "acme", clock).await.unwrap());
        let site = Site { application: "club".to_owned(), authority: "https://club.example".to_owned() };
        let wishes = ClientWishes { redirect_uris: vec!["https://app.example/cb".to_owned()], scopes: Vec::new() };
        let turn = async |holder: &'static str, at: i64| {
            let (site, wishes) = (site.clone(), wishes.clone());
            store.write_with(move |tx| take_turn(tx, &about(at), &site, &wishes, LIMITS, holder, &boot(at), LEASE)).await.unwrap()
        };
        let keep = async |holder: &'static str, id: &'static str, at: i64| {
            let (site, wishes, vault) = (site.clone(), wishes.clone(), vault.clone());
            store
                .write_with(move |tx| self::store(tx, &about(at), &vault, &site, holder, None, &client(id), &wishes, LIMITS))
                .await
                .unwrap()
        };
        assert!(matches!(turn("slow", 1).await, Turn::Ours(_)));
        assert!(matches!(turn("fast", 2).await, Turn::Wait));
        assert!(matches!(turn("fast", LEASE + 2).await, Turn::Ours(_)));
        // The slow one's failure says nothing while the other is at it.
        let (failing, error) = (site.clone(), refused(&site.authority, "late"));
        store.write_with(move |tx| fail(tx, &about(LEASE + 3), &failing, "slow", &error, Duration::from_secs(30))).await.unwrap();
        assert!(matches!(turn("third", LEASE + 4).await, Turn::Wait));
        let Stored::Ours(fast) = keep("fast", "fast", LEASE + 5).await else { panic!("the first to be stored counts") };
        let Stored::Surplus(kept) = keep("slow", "slow", LEASE + 6).await else { panic!("there is one already") };
        assert_eq!(kept.client_key, fast.client_key);
        let Turn::Have(found) = turn("anybody", LEASE + 7).await else { panic!("it counts from then on") };
        assert_eq!((&found.client_key, found.client_key.starts_with("reg-")), (&fast.client_key, true));
        // Of another place, the same id is another client.
        assert_ne!(key_of("https://other.example", "fast"), key_of("https://club.example", "fast"));
    }

    #[test]
    fn secrets_that_end_soon_are_not_begun_with() {
        let made = ClientWishes::default();
        let row = |life: i64| RegistrationRow {
            created_at: 0,
            secret_expires_at: Some(life),
            made_json: "{}".to_owned(),
            ..RegistrationRow::default()
        };
        let usable = |row: &RegistrationRow, at: i64| is_usable(row, &made, LIMITS, Timestamp::from_millis(at));
        // Ten minutes before a day is over, but a minute's life is used to its half.
        assert!(usable(&row(86_400_000), 86_400_000 - 600_001) && !usable(&row(86_400_000), 86_400_000 - 600_000));
        assert!(usable(&row(60_000), 29_999) && !usable(&row(60_000), 30_000));
        let ended = RegistrationRow { ended_at: Some(1), ..row(i64::MAX) };
        assert!(!usable(&ended, 2));
    }
}
