//! Which requests are looked at, and how often.

use std::net::IpAddr;

use http::HeaderMap;
use smalt::{Code, Error, operations::Operation, project::RateSettings};

use crate::{
    address::counted,
    answer::Trouble,
    api::is_health,
    metrics::Metrics,
    rates::{Counted, Credential, Rates},
    routes::{Access, Route},
    who::{Who, bearer, header},
};

/// How much of an API key is counted together: its prefix and 32 of its 128 bits.
const KEY_PREFIX: usize = 10;

/// What a call is, to the rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Usual,
    /// Asks how an application or a flow stands.
    Poll,
    /// Begins a connect, or tries a secret.
    Connect,
}

fn class(route: &Route, operation: Option<Operation>) -> Class {
    use Operation as O;
    match operation {
        Some(O::Flow | O::WaitFlow | O::App) => Class::Poll,
        Some(
            O::StartConnect
            | O::HandOffConnect
            | O::ConnectKey
            | O::VerifySession
            | O::VerifyApiKey
            | O::GetHandoff
            | O::TakeHandoff
            | O::OpenPortal
            | O::ParkCallback
            | O::FinishConnect,
        ) => Class::Connect,
        Some(_) => Class::Usual,
        None => match (route.method, route.path) {
            (_, "/api/v2/f-sdk/application/{slug}" | "/api/v2/public/application/{slug}" | "/smalt/v1/flows/{flow}/stream") => Class::Poll,
            (_, path) if path.contains("/integrate") || path.contains("/oauth-url/") || path.contains("/save") => Class::Connect,
            _ => Class::Usual,
        },
    }
}

/// The rates, for one request.
#[derive(Clone, Copy)]
pub(crate) struct Guard<'a> {
    pub(crate) rates: &'a Rates,
    pub(crate) metrics: &'a Metrics,
    pub(crate) limits: &'a RateSettings,
    pub(crate) client: Option<IpAddr>,
}

/// A credential that is about to be tried, and was counted as a guess.
pub(crate) struct Guess {
    credential: Credential,
    prefix: Option<String>,
    counted: bool,
}

impl Guard<'_> {
    fn take(&self, what: Counted, who: impl std::hash::Hash, per_minute: u32) -> Result<(), Trouble> {
        self.rates.take(what, who, per_minute).map_err(|wait| {
            self.metrics.refused(what);
            let reason = match what {
                Counted::GuessesFrom | Counted::GuessesOf => "too many credentials were wrong",
                _ => "too many calls",
            };
            Trouble::Smalt(Box::new(Error::new(Code::RateLimited, reason).retry_after(wait).with("rate", what.as_str())))
        })
    }

    /// Before anything is proved. Whoever presents a credential pays for a guess first, so that many at once are not looked
    /// at all; a good one gets it back.
    pub(crate) fn before(&self, route: &Route, headers: &HeaderMap) -> Result<Option<Guess>, Trouble> {
        let client = self.client.map(counted);
        if is_health(route.path) {
            return Ok(None);
        }
        let key = header(headers, "x-api-key");
        let token = bearer(headers).filter(|token| !token.is_empty());
        if route.access == Access::Public || (key.is_none() && token.is_none()) {
            return match client {
                Some(client) => self.take(Counted::Address, client, self.limits.address).map(|()| None),
                None => Ok(None),
            };
        }
        let credential = self.rates.credential((key, token));
        let prefix = key.map(|key| key.chars().take(KEY_PREFIX).collect::<String>());
        let mut guess = Guess { credential, prefix, counted: false };
        if self.rates.was_good(credential) {
            return Ok(Some(guess));
        }
        if let Some(client) = client {
            self.take(Counted::GuessesFrom, client, self.limits.guesses)?;
        }
        if let Some(prefix) = &guess.prefix
            && let Err(refused) = self.take(Counted::GuessesOf, prefix, self.limits.guesses)
        {
            if let Some(client) = client {
                self.rates.give_back(Counted::GuessesFrom, client, self.limits.guesses);
            }
            return Err(refused);
        }
        guess.counted = true;
        Ok(Some(guess))
    }

    /// What came of a guess.
    pub(crate) fn tried(&self, guess: Option<Guess>, is_good: bool) {
        let Some(guess) = guess else { return };
        // Renewed at each use.
        self.rates.note(guess.credential, is_good);
        if is_good {
            self.untried(Some(guess));
        }
    }

    /// The credential was good, or nobody looked at it.
    pub(crate) fn untried(&self, guess: Option<Guess>) {
        let Some(guess) = guess.filter(|guess| guess.counted) else { return };
        if let Some(client) = self.client.map(counted) {
            self.rates.give_back(Counted::GuessesFrom, client, self.limits.guesses);
        }
        if let Some(prefix) = &guess.prefix {
            self.rates.give_back(Counted::GuessesOf, prefix, self.limits.guesses);
        }
    }

    /// When the caller is known.
    pub(crate) fn proved(&self, route: &Route, operation: Option<Operation>, who: &Who) -> Result<(), Trouble> {
        let limits = self.limits;
        let tenant = who.environment;
        let class = class(route, operation);
        match (&who.session, who.is_organisation) {
            (Some(session), false) => {
                if class == Class::Poll {
                    self.take(Counted::Polls, &session.id, limits.polls)?;
                } else {
                    self.take(Counted::Session, &session.id, limits.session)?;
                }
                if class == Class::Connect {
                    self.take(Counted::Connects, (tenant, &session.account_id), limits.connects)?;
                }
            }
            _ => self.take(Counted::Key, &who.name, limits.key)?,
        }
        self.take(Counted::Tenant, tenant, limits.tenant)
    }
}
