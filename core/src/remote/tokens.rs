//! The session token that calls carry: a fixed one, or the one that a provider gave last.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64ct::{Base64UrlUnpadded, Encoding};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use zeroize::Zeroizing;

use crate::{
    Error, Secret, Timestamp,
    error::{Code, Result, err},
    plugin::{Clock, SessionProvider, SystemClock, guarded},
    runtime,
};

/// How long a provider may take.
const LONGEST: Duration = Duration::from_secs(30);
/// A token that ends sooner than this is as good as ended: the call takes time, too.
const MARGIN: Duration = Duration::from_secs(5);

type Flight = Shared<BoxFuture<'static, Result<Secret>>>;

/// What a session token says of itself. Nobody checks it here; the server does.
#[derive(Default, serde::Deserialize)]
pub(super) struct Claims {
    /// The linked account.
    #[serde(default)]
    pub(super) linked_account_id: Option<String>,
    /// The session's id.
    #[serde(default)]
    pub(super) jti: Option<String>,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    pub(super) iat: Option<f64>,
    /// When it ends, in seconds since 1970.
    #[serde(default)]
    pub(super) exp: Option<f64>,
}

impl Claims {
    /// Of a token in the form of RFC 7519; of any other nothing is known.
    pub(super) fn of(token: &Secret) -> Self {
        let payload = token.expose().split('.').nth(1).map(|part| part.trim_end_matches('='));
        let decoded = payload.and_then(|part| Base64UrlUnpadded::decode_vec(part).ok()).map(Zeroizing::new);
        decoded.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
    }

    /// A claim in seconds as a point in time.
    pub(super) fn time(seconds: Option<f64>) -> Option<Timestamp> {
        #[allow(clippy::cast_possible_truncation)] // far beyond what a clock shows it is cut off
        seconds.filter(|seconds| seconds.is_finite()).map(|seconds| Timestamp::from_millis((seconds * 1000.0) as i64))
    }
}

struct Held {
    token: Secret,
    ends: Option<Timestamp>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    flight: Option<Flight>,
}

/// Tokens of a provider: one at a time, fetched once for all who wait.
pub(super) struct Tokens {
    provider: Arc<dyn SessionProvider>,
    clock: SystemClock,
    state: Mutex<State>,
}

impl Tokens {
    pub(super) fn new(provider: Arc<dyn SessionProvider>) -> Self {
        Self { provider, clock: SystemClock::default(), state: Mutex::new(State::default()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that is not `ended`, the one with which a call was just refused.
    pub(super) async fn token(self: &Arc<Self>, ended: Option<&Secret>) -> Result<Secret> {
        if FETCHING.try_with(|fetching| Arc::as_ptr(fetching) == Arc::as_ptr(self)).unwrap_or_default() {
            return Err(Error::code_only(Code::Reentrant).with("plugin", self.provider.name()));
        }
        let flight = {
            let mut state = self.state();
            let now = self.clock.now();
            let good = state.held.as_ref().filter(|held| held.ends.is_none_or(|ends| now.plus(MARGIN) < ends));
            match good.filter(|held| Some(&held.token) != ended) {
                Some(held) => return Ok(held.token.clone()),
                None => match &state.flight {
                    Some(flight) => flight.clone(),
                    None => {
                        state.held = None;
                        let flight = self.clone().begin(ended.cloned());
                        state.flight = Some(flight.clone());
                        flight
                    }
                },
            }
        };
        flight.await
    }

    /// Runs by itself: a caller that goes away takes nothing from the others.
    fn begin(self: Arc<Self>, refused: Option<Secret>) -> Flight {
        let running = runtime::spawn(async move {
            let fetched = self.fetch(refused).await;
            let now = self.clock.now();
            let mut state = self.state();
            state.flight = None;
            if let Ok(token) = &fetched {
                // One that has ended already by this machine's clock is tried: the clock may be wrong, and the server says so.
                let ends = Claims::time(Claims::of(token).exp).filter(|ends| now.plus(MARGIN) < *ends);
                state.held = Some(Held { token: token.clone(), ends });
            }
            fetched
        });
        async move { running.await.unwrap_or_else(|_| Err(err!(Internal, "the session provider's task was lost"))) }.boxed().shared()
    }

    async fn fetch(self: &Arc<Self>, refused: Option<Secret>) -> Result<Secret> {
        let (provider, tokens) = (self.provider.clone(), self.clone());
        let call = FETCHING.scope(tokens, async move { provider.session_token().await });
        let token = guarded(self.provider.name(), "session_token", LONGEST, call).await?;
        let fits = !token.is_empty() && token.expose().bytes().all(|byte| (0x21..0x7f).contains(&byte));
        let wrong = |what: &str| err!(PluginAnswer, "`{}` answered {what}", self.provider.name()).with("plugin", self.provider.name());
        if !fits {
            return Err(wrong("something that is no session token"));
        }
        if refused.as_ref() == Some(&token) {
            return Err(wrong("the session token that the server has just refused"));
        }
        Ok(token)
    }
}

tokio::task_local! {
    /// Set while the provider runs: a call of its own session would wait for itself.
    static FETCHING: Arc<Tokens>;
}
