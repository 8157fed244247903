//! The device flow (RFC 8628): the user enters a code somewhere, and the engine asks the provider now and then whether that
//! was done. A flow is a row, so that any process goes on with it; a lease in the row keeps two from asking at once.
//! Waits are counted by the clock that nobody can set, from the moment when the last answer was there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    About, Inner,
    apps::App,
    connect::{self, Beginning},
    exchange, millis, outbox, registration, sealed,
    sealed::FlowSecrets,
};
use crate::{
    Error, Secret, Timestamp,
    backend::StartConnect,
    error::{Result, bail, err},
    http::protocol::{self, Pending, TokenFailure, TokenSet},
    ids,
    manifest::{Device, Oauth2, Pkce, template::Values},
    model::{DevicePrompt, Json, StartedConnect},
    plugin::BootTime,
    store::rows::FlowRow,
};

/// The stored status of flows that are polled; callers see `pending`.
pub(super) const POLLING: &str = "polling";
/// What `slow_down` adds (RFC 8628 section 3.5).
const SLOWER: i64 = 5_000;
/// Polls are never further apart.
const LONGEST: i64 = 120_000;
/// No poll is begun so short before the codes end: it would arrive when they are dead.
const MARGIN: Duration = Duration::from_secs(2);
/// No codes are believed to live longer.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);
/// How many flows are looked at in one go.
const AT_ONCE: u32 = 500;

/// When to ask next, and who is asking; milliseconds, of the clock that counts from boot.
#[derive(Clone, Serialize, Deserialize)]
struct Polls {
    interval: i64,
    boot: String,
    next: i64,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    until: Option<i64>,
}

impl Polls {
    fn of(row: &FlowRow) -> Option<(Json, Polls)> {
        let options: Json = serde_json::from_str(&row.options_json).ok()?;
        let polls = serde_json::from_value(options["device"].clone()).ok()?;
        Some((options, polls))
    }

    fn put(&self, row: &mut FlowRow, mut options: Json) {
        options["device"] = serde_json::json!(self);
        row.options_json = options.to_string();
    }

    /// Whether it is time to ask, and nobody does.
    fn due(&self, boot: &BootTime) -> bool {
        // Later, not at: both readings are cut off to whole milliseconds.
        self.boot != boot.boot_id || (boot.millis > self.next && self.until.is_none_or(|until| boot.millis >= until))
    }
}

/// What one look at a due flow came to.
enum Turn {
    Ours(Box<(FlowRow, FlowSecrets, String)>),
    NotNow,
}

/// What a poll came to.
enum Answer {
    Tokens(Box<(App, TokenSet)>),
    Again { interval: i64 },
    Ended(Error),
}

impl Inner {
    pub(super) async fn start_device(
        &self,
        actor: String,
        app: &App,
        request: &StartConnect,
        return_to: Option<String>,
        inputs: BTreeMap<String, Secret>,
        scopes: Vec<String>,
    ) -> Result<StartedConnect> {
        let (oauth, device) = device_of(app)?;
        let client = self.client(app)?;
        let (verifier, challenge) = match device.pkce {
            Pkce::S256 | Pkce::Plain => protocol::pkce().map(|(verifier, challenge)| (Some(verifier), Some(challenge)))?,
            Pkce::Off => (None, None),
        };
        let values = app.values(Values::new().secrets(&inputs));
        let mut ask = protocol::device_request(oauth, device, &values, &client, &scopes, challenge.as_deref())?;
        ask.timeout = self.timings.provider;
        // The codes began to live after this.
        let begun = self.now();
        let answer = self.transport.send(ask).await?;
        let answer = match protocol::parse_device_answer(oauth, &answer, self.now()) {
            Ok(answer) => answer,
            Err(failure) => {
                let error = start_error(app, failure);
                if let (Some(registered), true) = (app.registered().cloned(), exchange::is_client_gone(&error)) {
                    let about = self.about(self.owner.clone(), "", Some(app.slug()));
                    self.write(move |tx| registration::gone(tx, &about, about.application.as_deref().unwrap_or_default(), &registered))
                        .await?;
                }
                return Err(error);
            }
        };
        let boot = self.clock.boot();
        let interval = millis(answer.interval);
        let polls = Polls { interval, next: boot.millis + interval, boot: boot.boot_id, owner: None, until: None };
        let prompt = DevicePrompt {
            user_code: answer.user_code,
            verification_uri: answer.verification_uri.clone(),
            verification_uri_complete: answer.verification_uri_complete.clone(),
            interval: answer.interval.as_secs().max(1),
        };
        let beginning = Beginning {
            client_key: app.client_key().to_owned(),
            return_to,
            authorize_url: answer.verification_uri_complete.unwrap_or(answer.verification_uri),
            state: ids::new_token()?,
            scopes,
            secrets: FlowSecrets { verifier, inputs, device_code: Some(answer.device_code), ..FlowSecrets::default() },
            expires_at: Some(begun.plus(answer.expires_in.unwrap_or(self.timings.flow_lifetime).min(LONGEST_LIFE))),
            device: Some((prompt, serde_json::json!(polls))),
            ..Beginning::default()
        };
        let started = self.begin_flow(actor, request, beginning).await?;
        self.devices.notify_one();
        Ok(started)
    }

    /// Asks for every flow whose time has come, each on its own. Answers whether there is any flow to poll.
    pub(super) async fn poll_devices(self: &Arc<Self>) -> Result<bool> {
        let tenant = self.tenant.clone();
        let mut rows = self.read(|tx| tx.flows_before(POLLING, i64::MAX, AT_ONCE)).await?;
        rows.retain(|(of, _)| *of == tenant);
        let (boot, now) = (self.clock.boot(), self.now().millis());
        for (_, row) in &rows {
            let over = now > row.expires_at;
            let due = Polls::of(row).is_none_or(|(_, polls)| polls.due(&boot));
            if over || due {
                let (engine, id) = (self.clone(), row.id.clone());
                // Nobody waits for it here: a provider that is slow holds up no other flow.
                drop(self.detached(async move {
                    if let Err(error) = engine.poll_device(&id).await {
                        tracing::debug!(code = error.code().as_str(), "a device flow could not be polled");
                    }
                    Ok(())
                }));
            }
        }
        Ok(!rows.is_empty())
    }

    async fn poll_device(self: &Arc<Self>, id: &str) -> Result<()> {
        let holder = format!("{}-{}", self.owner, ids::new_id(self.now())?);
        let Turn::Ours(ours) = self.take_turn(id, &holder).await? else { return Ok(()) };
        let (row, secrets, actor) = *ours;
        let about = self.about(actor, &row.account_id, Some(&row.application));
        crate::failpoint::failpoint!("device-leased");
        // The machine may have slept since: whoever took the lease over asks, and two must not.
        let (boot, provider) = (self.clock.boot(), millis(self.timings.provider));
        let lasts = Polls::of(&row).and_then(|(_, polls)| polls.until).is_some_and(|until| boot.millis + provider <= until);
        if !lasts {
            return Ok(());
        }
        let answer = self.ask_device(&row, &secrets).await;
        crate::failpoint::failpoint!("device-answered");
        match answer {
            Answer::Tokens(got) => {
                let (app, tokens) = *got;
                self.take_device_tokens(about, &app, row, secrets, tokens).await
            }
            Answer::Again { interval } => {
                let (clock, tenant) = (self.clock.clone(), self.tenant.clone());
                self.write_until_stored(move |tx| {
                    let Some(mut row) = tx.flow(&tenant, &row.id)?.filter(|row| row.status == POLLING) else { return Ok(()) };
                    let Some((options, mut polls)) = Polls::of(&row) else { return Ok(()) };
                    if polls.owner.as_ref() == Some(&holder) {
                        let boot = clock.boot();
                        (polls.owner, polls.until) = (None, None);
                        (polls.interval, polls.next, polls.boot) = (interval, boot.millis + interval, boot.boot_id);
                        polls.put(&mut row, options);
                        tx.put_flow(&tenant, &row)?;
                    }
                    Ok(())
                })
                .await
            }
            Answer::Ended(error) => {
                self.write_until_stored(move |tx| match tx.flow(&about.tenant, &row.id)?.filter(|row| row.status == POLLING) {
                    Some(mut row) => connect::fail(tx, &about, &mut row, &error),
                    None => Ok(()),
                })
                .await
            }
        }
    }

    /// Decides in one transaction whether this process asks now. A flow whose time is over ends here.
    async fn take_turn(&self, id: &str, holder: &str) -> Result<Turn> {
        let (tenant, clock, vault) = (self.tenant.clone(), self.clock.clone(), self.vault.clone());
        let (lease, id, holder) = (millis(self.timings.lease), id.to_owned(), holder.to_owned());
        self.write(move |tx| {
            // Read here: the job may have waited for the store.
            let (boot, now) = (clock.boot(), clock.now());
            let Some(mut row) = tx.flow(&tenant, &id)?.filter(|row| row.status == POLLING) else { return Ok(Turn::NotNow) };
            let ends = Timestamp::from_millis(row.expires_at);
            let actor = |options: &Json| options["actor"].as_str().unwrap_or("device").to_owned();
            let Some((options, mut polls)) = Polls::of(&row) else { bail!(StoreCorrupt, "flow {} cannot be polled", row.id) };
            if now > ends {
                let about = About {
                    tenant: tenant.clone(),
                    now,
                    actor: actor(&options),
                    account: row.account_id.clone(),
                    application: Some(row.application.clone()),
                };
                connect::fail(tx, &about, &mut row, &err!(FlowExpired, "the user entered no code in time"))?;
                return Ok(Turn::NotNow);
            }
            if polls.boot != boot.boot_id {
                // The machine was started anew: nobody knows how long ago the last poll was.
                (polls.owner, polls.until) = (None, None);
                (polls.next, polls.boot) = (boot.millis + polls.interval, boot.boot_id);
                polls.put(&mut row, options);
                tx.put_flow(&tenant, &row)?;
                return Ok(Turn::NotNow);
            }
            if !polls.due(&boot) || now.plus(MARGIN) > ends {
                return Ok(Turn::NotNow);
            }
            let secrets = sealed::open_flow(&vault, &tenant, &row)?;
            let actor = actor(&options);
            (polls.owner, polls.until) = (Some(holder), Some(boot.millis + lease));
            polls.put(&mut row, options);
            tx.put_flow(&tenant, &row)?;
            Ok(Turn::Ours(Box::new((row, secrets, actor))))
        })
        .await
    }

    async fn ask_device(&self, row: &FlowRow, secrets: &FlowSecrets) -> Answer {
        let interval = Polls::of(row).map_or(LONGEST, |(_, polls)| polls.interval);
        let later = Answer::Again { interval: (interval * 2).min(LONGEST) };
        let asked = async {
            let app = self.app_of_flow(row, secrets).await?;
            let (oauth, device) = device_of(&app)?;
            let client = self.client(&app)?;
            let code = secrets.device_code.as_ref().ok_or_else(|| err!(Internal, "a device flow has no device code"))?;
            let values = app.values(Values::new().secrets(&secrets.inputs));
            let mut request = protocol::poll_request(oauth, device, &values, &client, code, secrets.verifier.as_ref())?;
            request.timeout = self.timings.provider;
            Ok::<_, Error>((app.clone(), request))
        };
        // What is wrong with project or manifest may be mended while the codes live.
        let Ok((app, request)) = asked.await else { return later };
        let Ok(answer) = self.transport.send(request).await else { return later };
        let Ok(oauth) = app.oauth() else { return later };
        let failure = match protocol::parse_token_answer(oauth, &answer, self.now()) {
            Ok(tokens) => return Answer::Tokens(Box::new((app.clone(), tokens))),
            Err(failure) => failure,
        };
        match protocol::pending(answer.status, failure) {
            Pending::Wait => Answer::Again { interval },
            Pending::SlowDown => Answer::Again { interval: (interval + SLOWER).min(LONGEST) },
            Pending::Trouble => later,
            Pending::Denied => {
                Answer::Ended(err!(UserDenied, "the provider answered `access_denied`").with("provider_error", "access_denied"))
            }
            Pending::Expired => {
                Answer::Ended(err!(FlowExpired, "the provider answered `expired_token`").with("provider_error", "expired_token"))
            }
            Pending::Over(failure) => Answer::Ended(exchange::exchange_error(&app, failure)),
        }
    }

    /// The user consented. Whoever cancelled meanwhile wins: then the tokens are ended.
    async fn take_device_tokens(
        self: &Arc<Self>,
        about: About,
        app: &App,
        row: FlowRow,
        secrets: FlowSecrets,
        tokens: TokenSet,
    ) -> Result<()> {
        let begun = {
            let (about, id) = (about.clone(), row.id.clone());
            self.write_until_stored(move |tx| {
                let Some(mut row) = tx.flow(&about.tenant, &id)?.filter(|row| row.status == POLLING) else { return Ok(None) };
                row.changed_at = about.now.millis();
                connect::begin_exchange(tx, &about, &mut row)?;
                Ok(Some(row))
            })
            .await?
        };
        // With the application as it was asked with: what it became since must not lose the tokens.
        let outcome = self.accept_tokens(app, &row, &secrets, tokens).await;
        if let Some(row) = begun {
            return self.settle_flow(about, row, &secrets, outcome).await.map(drop);
        }
        let orphan = match outcome {
            Ok(new) => Some(new),
            Err(rejected) => rejected.orphan.map(|orphan| *orphan),
        };
        if let Some(orphan) = orphan {
            let (vault, slug) = (self.vault.clone(), row.application.clone());
            self.write_until_stored(move |tx| outbox::queue_orphan(tx, &about, &vault, &slug, &orphan)).await?;
            self.outbox.notify_one();
        }
        Ok(())
    }
}

fn device_of(app: &App) -> Result<(&Oauth2, &Device)> {
    let oauth = app.oauth()?;
    match &oauth.device {
        Some(device) => Ok((oauth, device)),
        None => bail!(WrongAuthType, "`{}` offers no device flow", app.slug()),
    }
}

/// Why there are no codes.
fn start_error(app: &App, failure: TokenFailure) -> Error {
    let said = |error: Error, provider_error: String| error.with("application", app.slug()).with("provider_error", provider_error);
    match failure {
        TokenFailure::Final { provider_error } | TokenFailure::Suspended { provider_error } | TokenFailure::Refused { provider_error } => {
            said(err!(AuthorizeFailed, "`{}` gave no user code: `{provider_error}`", app.slug()), provider_error)
        }
        TokenFailure::Client { provider_error } if app.registered().is_some() && provider_error == "invalid_client" => {
            let error =
                err!(AuthorizeFailed, "`{}` no longer knows the client that it registered; the next flow has another one", app.slug());
            said(error.with("cause", exchange::CLIENT_GONE), provider_error)
        }
        TokenFailure::Client { provider_error } => {
            said(err!(ClientRejected, "`{}` refused the organisation's client with `{provider_error}`", app.slug()), provider_error)
        }
        TokenFailure::Passing { error } => error,
    }
}
