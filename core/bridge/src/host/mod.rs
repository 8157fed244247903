//! Calls into host code, one way for all languages: numbered, with a deadline and a cancel, answered by number.

mod plugins;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use smalt::{
    Code, Error, Result, Secret,
    backend::ApiRequest,
    model::{ApiAnswer, DevicePrompt, FieldOption, Identity, Json, JsonMap, RuleColumns},
    plugin::{ConnectorContext, Fault, Scope},
};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

pub use plugins::{HostConnector, HostKeys, HostPresenter, HostRunner, HostTokens};

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $text:literal -> $answer:ty, $into:expr;)*) => {
        /// What a plugin of the host can be asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum What { $($(#[$doc])* $name,)* }

        impl What {
            /// All of them.
            pub const ALL: &'static [What] = &[$(What::$name,)*];

            /// The name of the plugin's method.
            pub const fn name(self) -> &'static str {
                match self { $(What::$name => $text,)* }
            }

            /// The question of this name.
            pub fn named(name: &str) -> Option<What> {
                match name { $($text => Some(What::$name),)* _ => None }
            }

            /// Reads the answer to it, in the form that the schema states.
            ///
            /// # Errors
            /// `plugin_answer` when it has another form.
            pub fn read<'de, D: Deserializer<'de>>(self, from: D) -> Result<HostAnswer> {
                match self { $(What::$name => <$answer>::deserialize(from).map($into).map_err(|_| nonsense(self)),)* }
            }

            #[cfg(feature = "embedded")]
            pub(crate) fn answer_schema(self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match self { $(What::$name => generator.subschema_for::<$answer>(),)* }
            }
        }
    };
}

calls! {
    /// A connector: who the context's credential belongs to; `null` leaves it to the manifest.
    Verify = "verify" -> Option<Identity>, |identity| identity.map_or(HostAnswer::NotMine, HostAnswer::Identity);
    /// A connector: the choices of a field.
    Options = "options" -> Option<Vec<FieldOption>>, |options| options.map_or(HostAnswer::NotMine, HostAnswer::Options);
    /// A connector: the columns of a rule.
    RuleColumns = "rule_columns" -> Option<RuleColumns>, |columns| columns.map_or(HostAnswer::NotMine, HostAnswer::RuleColumns);
    /// A connector: ends a grant at the provider; true means that it is dead now.
    Revoke = "revoke" -> Option<bool>, |dead| if dead == Some(true) { HostAnswer::Done } else { HostAnswer::NotMine };
    /// A presenter: shows an authorize page; the callback URL, or `null` when it is caught elsewhere.
    Present = "present" -> Option<String>, |url| url.map_or(HostAnswer::NotMine, HostAnswer::Text);
    /// A key provider: the id of the master key that wraps.
    KeyId = "key_id" -> String, HostAnswer::Text;
    /// A key provider: seals a data key.
    Wrap = "wrap" -> Bytes, |bytes| HostAnswer::Bytes(bytes.0);
    /// A key provider: opens a data key.
    Unwrap = "unwrap" -> Bytes, |bytes| HostAnswer::Bytes(bytes.0);
    /// A workflow runner: runs one; any JSON value.
    Run = "run" -> Json, HostAnswer::Json;
    /// A session's provider: a session token that is good now, from the user's own backend.
    SessionToken = "session_token" -> Secret, HostAnswer::Secret;
}

fn nonsense(what: What) -> Error {
    Error::new(Code::PluginAnswer, format!("the plugin answered `{}` with a value of another form than it asks for", what.name()))
}

/// What a plugin answered.
#[derive(Clone)]
#[non_exhaustive]
pub enum HostAnswer {
    /// Nothing: the default counts.
    NotMine,
    /// It is done.
    Done,
    /// `verify`.
    Identity(Identity),
    /// `options`.
    Options(Vec<FieldOption>),
    /// `rule_columns`.
    RuleColumns(RuleColumns),
    /// A URL, a key's id.
    Text(String),
    /// A data key, sealed or open.
    Bytes(Zeroizing<Vec<u8>>),
    /// `run`.
    Json(Json),
    /// A session token.
    Secret(Secret),
}

/// It may hold a key.
impl fmt::Debug for HostAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostAnswer(…)")
    }
}

/// Bytes on their way to host code or back; base64 in a format for people. They may be a key.
#[derive(Clone)]
pub struct Bytes(pub Zeroizing<Vec<u8>>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&Zeroizing::new(Base64::encode_string(&self.0)));
        }
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Raw;
        impl serde::de::Visitor<'_> for Raw {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(Zeroizing::new(bytes.to_vec())))
            }
            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(Zeroizing::new(bytes)))
            }
        }
        // The usual errors would repeat what stood there.
        if !from.is_human_readable() {
            return from.deserialize_byte_buf(Raw).map_err(|_| D::Error::custom("bytes are expected"));
        }
        let text = String::deserialize(from).map(Zeroizing::new).map_err(|_| D::Error::custom("base64 is expected"))?;
        Base64::decode_vec(&text).map(|bytes| Bytes(Zeroizing::new(bytes))).map_err(|_| D::Error::custom("base64 is expected"))
    }
}

impl schemars::JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "contentEncoding": "base64", "description": "Base64 with padding."})
    }
}

/// What a plugin is asked with: its fields are the method's arguments. Written out with whatever secrets are in it, for the
/// plugin and nobody else.
#[derive(Clone, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
#[allow(missing_docs)] // said where core asks: `smalt::plugin`
#[non_exhaustive]
pub enum HostArguments {
    /// Nothing but the context.
    None {},
    Options {
        field: String,
        source: String,
        workflow: Option<String>,
        parent_value: Option<Json>,
        search: Option<String>,
    },
    RuleColumns {
        field: String,
        workflow: Option<String>,
        lhs: Json,
    },
    Revoke {
        connection_id: String,
        attempt: u32,
    },
    Present {
        authorize_url: String,
        redirect_uri: String,
        application: String,
        device: Option<Device>,
    },
    Wrap {
        data_key: Bytes,
        aad: Bytes,
    },
    Unwrap {
        key_id: String,
        wrapped: Bytes,
        aad: Bytes,
    },
    Run {
        account_id: String,
        application: String,
        config_id: String,
        workflow: String,
        fields: JsonMap,
        workflow_fields: JsonMap,
        payload: Json,
    },
}

/// What the user of the device flow (RFC 8628) must be shown.
#[derive(Clone, Serialize, schemars::JsonSchema)]
pub struct Device {
    /// What the user enters.
    pub user_code: String,
    /// Where, on any device.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
}

impl From<DevicePrompt> for Device {
    fn from(prompt: DevicePrompt) -> Self {
        let DevicePrompt { user_code, verification_uri, verification_uri_complete, .. } = prompt;
        Self { user_code, verification_uri, verification_uri_complete }
    }
}

impl fmt::Debug for HostArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostArguments(…)")
    }
}

/// A call into host code.
#[derive(Clone)]
pub struct HostCall {
    /// Answer with it; unique in the process.
    pub number: u64,
    plugin: Plugin,
    /// Which method.
    pub what: What,
    /// Its arguments.
    pub arguments: HostArguments,
    /// Connectors: the credential, and the way to the application. See [`context_request`].
    pub context: Option<ConnectorContext>,
    /// Calls that this plugin makes meanwhile run in it, so that one that would wait for itself is refused as `reentrant`.
    pub scope: Scope,
    /// How long it may take; then nobody waits any more.
    pub deadline: Duration,
}

/// A plugin of the host.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    /// How the host knows it.
    name: Arc<str>,
    /// How errors name it.
    label: Arc<str>,
}

impl Plugin {
    fn new(name: &str, label: &str) -> Self {
        Self { name: name.into(), label: label.into() }
    }

    /// The error, with the plugin whose fault it is.
    fn blamed(&self, what: What, error: Error) -> Error {
        error.with("plugin", &self.label).with("call", what.name())
    }
}

impl HostCall {
    /// How errors name the plugin, e.g. `connector slack`.
    pub fn label(&self) -> &str {
        &self.plugin.label
    }

    /// How the host knows the plugin: the connector's slug, else the seam's name (`presenter`, `keys`, `runner`, `session`).
    pub fn plugin(&self) -> &str {
        &self.plugin.name
    }

    /// Reads the answer; see [`What::read`]. What is wrong with it names the plugin.
    ///
    /// # Errors
    /// `plugin_answer` when it has another form.
    pub fn read<'de, D: Deserializer<'de>>(&self, from: D) -> Result<HostAnswer, Fault> {
        self.what.read(from).map_err(|error| Fault::Smalt(self.plugin.blamed(self.what, error)))
    }

    /// The answer when host code did what comes closest to a panic: it ended in a way that is not meant to be caught.
    pub fn panicked(&self, message: &str, trace: Option<String>) -> Fault {
        let (label, what) = (self.label(), self.what.name());
        let error = Error::new(Code::PluginPanicked, format!("`{label}` panicked in `{what}`: {message}"));
        let error = self.plugin.blamed(self.what, error);
        Fault::Smalt(match trace {
            Some(trace) => error.trace(trace),
            None => error,
        })
    }
}

impl fmt::Debug for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostCall({} {}.{})", self.number, self.plugin(), self.what.name())
    }
}

/// What the host is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HostMessage {
    /// Do this, and answer by its number.
    Call(Box<HostCall>),
    /// Nobody waits for this number any more: end it if that can be done. An answer is ignored.
    Cancel(u64),
}

type Waiting = HashMap<u64, oneshot::Sender<Result<HostAnswer, Fault>>>;
/// Takes a message to the host's thread; false when that thread or loop is gone.
type Sink = dyn Fn(HostMessage) -> bool + Send + Sync;

/// One place of the host that runs plugins: an event loop, a thread, a pool. Clones are the same.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    sink: Box<Sink>,
    waiting: Mutex<Waiting>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({} calls)", self.waiting().len())
    }
}

impl Host {
    /// `sink` takes messages to the host, from any thread and without waiting (put them into a [`Port`](crate::Port)); it answers
    /// false when the host's thread or loop is gone.
    pub fn new(sink: impl Fn(HostMessage) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { sink: Box::new(sink), waiting: Mutex::default() }))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call. A plugin that refuses the credentials is [`Fault::Rejected`], one that failed [`Fault::Failed`] with its own
    /// message and trace, and an error of Smalt that passed through it [`Fault::Smalt`]. False when nobody waited any more.
    pub fn answer(&self, number: u64, answer: Result<HostAnswer, Fault>) -> bool {
        let waiter = self.waiting().remove(&number);
        waiter.is_some_and(|waiter| waiter.send(answer).is_ok())
    }

    /// The host's thread or loop is gone: whoever waits for it ends with a fault.
    pub fn close(&self) {
        let waiting = std::mem::take(&mut *self.waiting());
        for waiter in waiting.into_values() {
            let _ = waiter.send(Err(gone()));
        }
    }

    /// Calls into the host and waits for its answer, at most so long.
    pub(crate) async fn ask(
        &self,
        plugin: &Plugin,
        what: What,
        arguments: HostArguments,
        context: Option<ConnectorContext>,
        deadline: Duration,
    ) -> Result<HostAnswer, Fault> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.waiting().insert(number, tell);
        // Dropped by an answer, at the deadline, and when whoever asked goes away.
        let asked = Asked { host: self, number };
        let call = HostCall { number, plugin: plugin.clone(), what, arguments, context, scope: Scope::current(), deadline };
        if !(self.0.sink)(HostMessage::Call(Box::new(call))) {
            return Err(gone());
        }
        // Core watches the deadline itself, and drops this: the time here is for whoever asks without that.
        let answer = tokio::time::timeout(deadline * 2, told).await;
        drop(asked);
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(gone()),
            Err(_) => {
                let late = format!("`{}` did not answer `{}` within {deadline:?}", plugin.label, what.name());
                Err(Fault::Smalt(plugin.blamed(what, Error::new(Code::PluginTimeout, late))))
            }
        }
    }
}

fn gone() -> Fault {
    Fault::failed("the thread or event loop that the plugin was registered on has ended")
}

struct Asked<'a> {
    host: &'a Host,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // Still there: nobody answered.
        if self.host.waiting().remove(&self.number).is_some() {
            (self.host.0.sink)(HostMessage::Cancel(self.number));
        }
    }
}

/// An authenticated call that a connector makes through its context. The request's account, application and connection do not count:
/// they are the context's own.
///
/// # Errors
/// As [`ConnectorContext::send`]; `invalid_request`.
pub async fn context_request(context: ConnectorContext, request: ApiRequest) -> Result<ApiAnswer> {
    let ApiRequest { method, path, query, headers, body, timeout, max_body, .. } = request;
    let mut call = context.request(&method, &path)?;
    if !query.is_empty() {
        call.url.query_pairs_mut().extend_pairs(query.iter().map(|pair| (&pair.name, &pair.value)));
    }
    for header in headers {
        // The credential's own place stays its own.
        if call.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(&header.name)) {
            return Err(Error::new(Code::InvalidRequest, format!("the header `{}` is set already", header.name.escape_default())));
        }
        call.set_header(&header.name, &header.value)?;
    }
    if let Some(body) = body {
        call.set_body(&body.content_type, body.content);
    }
    if let Some(timeout) = timeout {
        call.timeout = timeout;
    }
    if let Some(most) = max_body {
        call.max_body = usize::try_from(most).unwrap_or(usize::MAX);
    }
    context.send(call).await.map(ApiAnswer::from)
}

#[cfg(test)]
mod tests;
