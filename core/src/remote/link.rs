//! One call to the server: its credential, its tries, and what became of it.

use std::{sync::Arc, time::Duration};

use base64ct::{Base64UrlUnpadded, Encoding};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::{
    answer::{Got, Verdict, judge, lost},
    places::{Place, Places},
    retry::{Effect, Retries},
    tokens::Tokens,
};
use crate::{
    Error, Secret,
    backend::Caller,
    error::{Code, Result, bail, err},
    expose::{Expose, Exposed},
    ids,
    operations::Operation,
    plugin::{BodySource, Clock, HttpRequest, HttpResponse, HttpStream, HttpTransport, StreamRequest, SystemClock, Upload},
};

/// The largest body of an answer to a streamed call that tells what went wrong.
const LARGEST_ERROR: usize = 64 * 1024;
/// How much longer than the provider the server itself may be silent.
const SILENCE: Duration = Duration::from_secs(15);

/// The header in which a port on this machine, opened by a program for itself, wants its secret.
pub const PORT_SECRET: &str = "smalt-port-secret";

/// A secret for such a port, from the operating system's generator: 256 bits.
///
/// # Errors
/// `internal` where the system gives no random bytes.
pub fn port_secret() -> Result<Secret> {
    ids::new_token().map(Secret::new)
}

/// The way to one server.
pub(super) struct Link {
    /// What paths of calls are put below.
    pub(super) base: Url,
    /// Host and port, for errors.
    pub(super) host: String,
    pub(super) transport: Arc<dyn HttpTransport>,
    pub(super) key: Option<Secret>,
    pub(super) tokens: Option<Arc<Tokens>>,
    /// What a port on this machine takes calls by.
    pub(super) port_secret: Option<Secret>,
    /// A whole call's time, tries and waits included.
    pub(super) timeout: Duration,
    /// One try's.
    pub(super) attempt: Duration,
    pub(super) retries: Retries,
    pub(super) max_answer: usize,
    /// What is under way.
    pub(super) calls: Places,
    /// Waits and streams.
    pub(super) waits: Places,
}

/// One call.
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) method: &'static str,
    /// Below the base, encoded.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    /// What a user entered, in the query.
    pub(super) inputs: Vec<(String, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    pub(super) effect: Effect,
    /// What the server itself is allowed to take, beyond the usual.
    pub(super) extra_time: Duration,
    pub(super) max_answer: usize,
    /// Statuses of 4xx are answers, too.
    pub(super) any_status: bool,
    /// Nobody's credential is sent.
    pub(super) anonymous: bool,
    /// The organisation's key is sent.
    pub(super) by_key: bool,
}

impl Call {
    /// A call without a body.
    pub(super) fn new(operation: Operation, method: &'static str, path: impl Into<String>) -> Self {
        Self {
            operation,
            method,
            path: path.into(),
            query: Vec::new(),
            inputs: Vec::new(),
            headers: Vec::new(),
            body: None,
            effect: Effect::of(operation),
            extra_time: Duration::ZERO,
            max_answer: 0,
            any_status: false,
            anonymous: false,
            by_key: false,
        }
    }

    /// With this body, secrets in the clear.
    pub(super) fn with_body(mut self, body: &(impl Expose + ?Sized)) -> Result<Self> {
        self.body = Some(json(&Exposed(body))?);
        Ok(self)
    }
}

/// JSON in memory that is cleared, written in one piece: a buffer that grows would leave copies behind.
pub(super) fn json(value: &impl serde::Serialize) -> Result<Zeroizing<Vec<u8>>> {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let unwritable = |_| err!(Internal, "a request has no JSON form");
    let mut count = Count(0);
    // One writer for both: each type is written by code of its own for each sort of writer.
    let write = |to: &mut dyn std::io::Write| serde_json::to_writer(to, value).map_err(unwritable);
    write(&mut count)?;
    let mut body = Zeroizing::new(Vec::with_capacity(count.0));
    write(&mut *body)?;
    Ok(body)
}

/// The id of a call until the server has one of its own, and the server's own: a random UUID (RFC 9562, version 4).
///
/// # Errors
/// `internal` where the system gives no random bytes.
pub fn call_id() -> Result<String> {
    ids::new_uuid()
}

/// What a call is made with.
#[derive(Default)]
struct Credential {
    header: Option<(&'static str, Zeroizing<String>)>,
    /// Set for a token of the provider.
    fetched: Option<Secret>,
    secret: Secret,
}

impl Link {
    async fn credential(&self, caller: &Caller, ended: Option<&Secret>) -> Result<Credential> {
        let bearer = |token: &Secret| Some(("authorization", Zeroizing::new(format!("Bearer {}", token.expose()))));
        match caller {
            Caller::Organisation(_) => match &self.key {
                Some(key) => {
                    let header = Some(("x-api-key", Zeroizing::new(key.expose().to_owned())));
                    Ok(Credential { header, fetched: None, secret: key.clone() })
                }
                None => bail!(Forbidden, "this handle has a session's authority, not the organisation's"),
            },
            Caller::Session(token) => match &self.tokens {
                Some(tokens) if token.is_empty() => {
                    // Behind a pointer, so that calls with a token of their own do not carry its room.
                    let token = Box::pin(tokens.token(ended)).await?;
                    Ok(Credential { header: bearer(&token), fetched: Some(token.clone()), secret: token })
                }
                _ => Ok(Credential { header: bearer(token), fetched: None, secret: token.clone() }),
            },
            Caller::Proved(proof) => Ok(Credential { header: bearer(&proof.token), fetched: None, secret: proof.token.clone() }),
        }
    }

    /// The token that a call of this caller carries; `None` for the organisation's.
    ///
    /// # Errors
    /// The session provider's.
    pub(super) async fn token(&self, caller: &Caller) -> Result<Option<Secret>> {
        Ok(match caller {
            Caller::Organisation(_) => None,
            Caller::Session(_) | Caller::Proved(_) => Some(self.credential(caller, None).await?.secret),
        })
    }

    /// Sends a call until it has an answer, within its time and its tries.
    ///
    /// # Errors
    /// What the server said; `server_unreachable`, `server_timeout`, `server_error`, `server_answer`,
    /// `server_answer_too_large`, `rate_limited`; `outcome_unknown` when a change may have been made; `overloaded` when too much is under
    /// way here; the session provider's.
    pub(super) async fn send(&self, caller: &Caller, call: &mut Call) -> Result<Got> {
        call.by_key = matches!(caller, Caller::Organisation(_));
        let id = call_id()?;
        let (mut credential, mut renewed) = match call.anonymous {
            true => (Credential::default(), false),
            false => (self.credential(caller, None).await?, false),
        };
        let url = self.url(call);
        let until = Instant::now() + self.timeout + call.extra_time;
        let (mut connects, mut reads, mut statuses) = (0, 0, 0);
        let finished = |error: Error, credential: &Credential| {
            let info = error.info();
            let error = if info.request_id.is_none() { error.request_id(&id) } else { error };
            error
                .without(std::iter::once(credential.secret.expose()))
                .with("server", &self.host)
                .with("operation", call.operation.row().name)
        };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let places = if matches!(call.operation, Operation::WaitFlow | Operation::Events) { &self.waits } else { &self.calls };
            let place = places.take(left).await.map_err(|error| finished(error, &credential))?;
            let time = until.saturating_duration_since(Instant::now()).min(self.attempt + call.extra_time);
            let request = self.request(call, &url, &credential, &id, time)?;
            let sent = self.transport.send(request).await;
            // Whoever pauses before the next try needs none.
            drop(place);
            let (error, budget, tried, wait) = match sent {
                Ok(response) => match judge(response, call, &id, SystemClock::default().now()) {
                    Verdict::Good(got) => return Ok(got),
                    Verdict::Failed(error) => return Err(finished(error, &credential)),
                    Verdict::Refused(error) => {
                        // Refused before anything was done: with another token it is another call.
                        let Some(ended) = credential.fetched.clone().filter(|_| !renewed) else {
                            return Err(finished(error, &credential));
                        };
                        renewed = true;
                        credential = self.credential(caller, Some(&ended)).await.map_err(|error| finished(error, &credential))?;
                        continue;
                    }
                    Verdict::Again(error, wait) => {
                        let budget = if call.effect == Effect::Once { 0 } else { self.retries.status };
                        (error, budget, &mut statuses, wait)
                    }
                },
                Err(error) => {
                    let Some((code, text)) = lost(&error, call, &self.host) else { return Err(finished(error, &credential)) };
                    let (budget, tried) = match code {
                        Code::ServerUnreachable => (self.retries.connect, &mut connects),
                        Code::ServerAnswerTooLarge => (0, &mut reads),
                        _ if call.effect == Effect::Once => (0, &mut reads),
                        _ => (self.retries.read, &mut reads),
                    };
                    (Error::new(code, text), budget, tried, None)
                }
            };
            if *tried >= budget {
                return Err(finished(error, &credential));
            }
            let pause = wait.unwrap_or(self.retries.pause(*tried)?);
            *tried += 1;
            let left = until.saturating_duration_since(Instant::now());
            // Whoever would have to wait longer is told for how long.
            if pause > self.retries.longest_wait || pause >= left {
                return Err(finished(error, &credential));
            }
            tracing::debug!(operation = call.operation.row().name, code = error.code().as_str(), ?pause, "sent again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends an authenticated call whose bodies pass through the server. It is sent once; without an upload also again while no
    /// connection could be made.
    ///
    /// # Errors
    /// As [`Self::send`]; the upload's own.
    pub(super) async fn stream(
        &self,
        caller: &Caller,
        mut call: Call,
        silence: Duration,
        most: u64,
        mut upload: Option<Upload>,
    ) -> Result<HttpStream> {
        call.by_key = matches!(caller, Caller::Organisation(_));
        let id = call_id()?;
        let credential = self.credential(caller, None).await?;
        let finished = |error: Error| {
            let error = if error.info().request_id.is_none() { error.request_id(&id) } else { error };
            let error = error.without(std::iter::once(credential.secret.expose()));
            error.with("server", &self.host).with("operation", call.operation.row().name)
        };
        let url = self.url(&call);
        let place = self.waits.take(self.timeout).await.map_err(&finished)?;
        let can_repeat = upload.is_none();
        let mut tries = 0;
        let answer = loop {
            let mut head = self.request(&call, &url, &credential, &id, silence)?;
            head.headers.retain(|(name, _)| name != "accept");
            let request = StreamRequest { head, upload: upload.take(), silence: silence + SILENCE, most };
            match self.transport.stream(request).await {
                Ok(answer) => break answer,
                Err(error) => {
                    let Some((code, text)) = lost(&error, &call, &self.host) else { return Err(finished(error)) };
                    if code != Code::ServerUnreachable || !can_repeat || tries >= self.retries.connect {
                        return Err(finished(Error::new(code, text)));
                    }
                    tokio::time::sleep(self.retries.pause(tries)?).await;
                    tries += 1;
                }
            }
        };
        let told = answer.header("smalt-answer").and_then(|text| Base64UrlUnpadded::decode_vec(text).ok());
        match told.and_then(|told| serde_json::from_slice::<Told>(&told).ok()).filter(|_| answer.status == 200) {
            Some(told) => {
                let body = Passed { answer, host: self.host.clone(), name: call.operation.row().name, id, _place: place };
                Ok(HttpStream::new(told.status, told.headers, body))
            }
            None => Err(finished(self.refusal(answer, &call, &id).await)),
        }
    }

    /// Why a streamed call has no answer of the application's.
    async fn refusal(&self, answer: HttpStream, call: &Call, id: &str) -> Error {
        let (status, headers) = (answer.status, answer.headers.clone());
        let body = answer.rest(LARGEST_ERROR).await.unwrap_or_default();
        match judge(HttpResponse { status, headers, body }, call, id, SystemClock::default().now()) {
            Verdict::Good(_) => err!(ServerAnswer, "the server does not say what the application answered"),
            Verdict::Failed(error) | Verdict::Refused(error) | Verdict::Again(error, _) => error,
        }
    }

    /// Where a call goes, at each try.
    fn url(&self, call: &Call) -> Url {
        // The host was read once, when the handle was opened.
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), call.path));
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        if !call.inputs.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.inputs);
        }
        url
    }

    fn request(&self, call: &Call, url: &Url, credential: &Credential, id: &str, time: Duration) -> Result<HttpRequest> {
        let mut request = HttpRequest::new(call.method, url.clone());
        if let Some((name, value)) = &credential.header {
            request.set_header(name, value)?;
        }
        if let Some(secret) = &self.port_secret {
            request.set_header(PORT_SECRET, secret.expose())?;
        }
        request.set_header("accept", "application/json")?;
        request.set_header("user-agent", concat!("smalt/", env!("CARGO_PKG_VERSION")))?;
        request.set_header("x-request-id", id)?;
        for (name, value) in &call.headers {
            request.set_header(name, value)?;
        }
        if let Some(body) = &call.body {
            request.set_body("application/json", body.to_vec());
        }
        request.timeout = time;
        request.max_body = self.max_answer.max(call.max_answer);
        Ok(request)
    }
}

/// What the application answered, beside its body.
#[derive(serde::Deserialize)]
struct Told {
    status: u16,
    headers: Vec<(String, String)>,
}

/// The application's body as it comes through the server.
struct Passed {
    answer: HttpStream,
    host: String,
    name: &'static str,
    id: String,
    _place: Place,
}

#[async_trait::async_trait]
impl BodySource for Passed {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.answer.next().await.map_err(|error| {
            let host = &self.host;
            let error = match error.code() {
                Code::AnswerTooLarge => err!(ServerAnswerTooLarge, "more came through `{host}` than `max_body` allows"),
                Code::ProviderTimeout => err!(ServerTimeout, "nothing more came through `{host}` in time"),
                // The server cuts the connection where the application's broke.
                _ => err!(ServerError, "the answer that came through `{host}` broke off"),
            };
            error.with("server", host).with("operation", self.name).request_id(&self.id)
        })
    }
}
