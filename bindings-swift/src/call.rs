//! Calls: operations, and what is made of several.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use smalt::{
    Code, Error, Exposed, Result, Secret,
    backend::{AnyAnswer, AnyRequest, ApiRequest, Caller},
    operations::Operation,
    plugin::Scope,
};
use smalt_bridge::{ConnectOptions, Engine, ResumeOptions, UploadOptions, context_request, misread};

use crate::{
    error::{Failed, quiet, raised, written},
    host::Home,
    packed,
    port::Port,
    ready::Seats,
    table::Table,
    upload::Uploads,
};

/// An engine, and where its calls end.
#[derive(Clone)]
pub struct Open {
    pub engine: Engine,
    pub port: Arc<Port>,
    /// Its plugins are called as long as it is open.
    pub _home: Arc<Home>,
    pub seats: Arc<Seats>,
    pub uploads: Uploads,
}

impl Open {
    pub fn new(engine: Engine, port: Arc<Port>, home: Arc<Home>) -> Self {
        Self { engine, port, _home: home, seats: Arc::default(), uploads: Uploads::default() }
    }
}

pub static ENGINES: Table<Open> = Table::new();

/// What stands before a request.
#[derive(Deserialize)]
pub struct Head {
    /// The operation's name; `connect`, `resume`, `upload` with `upload_part`, `context` (a connector's own call) and `close` are beside them.
    op: String,
    /// The session's token; absent: the organisation asks. Empty for a session whose tokens come from a provider.
    #[serde(default)]
    token: Option<Secret>,
    /// Who asks, for the audit.
    #[serde(default)]
    actor: Option<String>,
    /// The call into a plugin from inside which this one is made.
    #[serde(default)]
    within: Option<u64>,
    /// Seconds that it may take.
    #[serde(default)]
    timeout: Option<f64>,
    /// The number of the `upload` that an `upload_part` is for, whose bytes stand behind the head; none: the body is whole.
    #[serde(default)]
    upload: Option<u64>,
}

impl Head {
    pub fn caller(&mut self) -> Caller {
        match self.token.take() {
            Some(token) => Caller::Session(token),
            None => Caller::Organisation(self.actor.take().map_or_else(|| "organisation".into(), Into::into)),
        }
    }

    fn operation(&self) -> Result<Operation> {
        Operation::named(&self.op).ok_or_else(|| Error::new(Code::Unsupported, "there is no such operation"))
    }
}

pub fn mistake(what: &str) -> Error {
    Error::new(Code::InvalidRequest, format!("{what} is not in the form that it must have"))
}

/// The head of a call, and what stands behind it. Texts are taken apart before they are read: a reader of texts for every type would make the
/// library larger by a tenth.
fn parted(call: &[u8]) -> Result<(Head, &[u8])> {
    let mut texts = serde_json::Deserializer::from_slice(call).into_iter::<Value>();
    // What serde says of a mistake repeats what stood there.
    let head = texts.next().and_then(|head| Head::deserialize(head.ok()?).ok()).ok_or_else(|| mistake("the call's head"))?;
    Ok((head, call.get(texts.byte_offset()..).unwrap_or_default()))
}

fn request(text: &[u8]) -> Result<Value> {
    let mut texts = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    // `close` asks for nothing more.
    texts.next().unwrap_or(Ok(Value::Null)).map_err(|_| mistake("the request"))
}

/// The text of a call: its head, then its request.
pub fn read(call: &[u8]) -> Result<(Head, Value)> {
    let (head, rest) = parted(call)?;
    Ok((head, request(rest)?))
}

type Work = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send>>;

fn prepare(open: &Open, number: u64, call: &[u8]) -> Result<(Work, Option<Duration>)> {
    let (mut head, rest) = parted(call)?;
    if head.op == "upload_part" {
        // Bytes as they are: as a text a large body would take longer to read than to send.
        let upload = head.upload.ok_or_else(|| mistake("`upload`"))?;
        let taken = open.uploads.take(upload, rest.to_vec());
        return Ok((Box::pin(async move { written(&taken.await) }), None));
    }
    let request = request(rest)?;
    let time = head.timeout.map(|time| Duration::try_from_secs_f64(time).map_err(|_| mistake("`timeout`"))).transpose()?;
    let asked = head.within.map(|number| {
        let gone = || Error::new(Code::PluginTimeout, "nobody waits any more for the plugin that makes this call");
        open.port.asked(number).ok_or_else(gone)
    });
    let asked = asked.transpose()?;
    let scope = asked.as_ref().map_or_else(Scope::default, |asked| asked.call.scope.clone());
    let engine = open.engine.clone();
    let work: Work = match &*head.op {
        "connect" => {
            let options = ConnectOptions::deserialize(request).map_err(|error| misread("`connect`", error))?;
            let connect = engine.connect(head.caller(), options, scope);
            Box::pin(async move { written(&connect.await?) })
        }
        "resume" => {
            let options = ResumeOptions::deserialize(request).map_err(|error| misread("`resume_connect`", error))?;
            let resume = engine.resume(head.caller(), options, scope);
            Box::pin(async move { written(&resume.await?) })
        }
        "upload" => {
            let options = UploadOptions::deserialize(request).map_err(|error| misread("`upload`", error))?;
            let (known, source) = open.uploads.begin(number);
            let upload = engine.upload(head.caller(), options, source, scope);
            Box::pin(async move {
                let _known = known;
                written(&Exposed(&upload.await?))
            })
        }
        "context" => {
            let request = ApiRequest::deserialize(request).map_err(|error| misread("the request", error))?;
            let context = asked.and_then(|asked| asked.call.context).ok_or_else(|| mistake("a connector's call"))?;
            Box::pin(async move { written(&Exposed(&context_request(context, request).await?)) })
        }
        "close" => Box::pin(async move {
            engine.close().await;
            Ok(b"null".to_vec())
        }),
        // Shows that a panic stays in its call; no library that is given away has it.
        #[cfg(debug_assertions)]
        "panic" => Box::pin(async move { panic!("on purpose") }),
        _ => {
            let operation = head.operation()?;
            open.engine.smalt()?;
            let request = AnyRequest::read(operation, request)?;
            let call = engine.call(head.caller(), request, scope);
            Box::pin(async move {
                match call.await? {
                    // The one answer that a product asks for with each of its own calls.
                    AnyAnswer::Credential(credential) => Ok(packed::credential(&credential)),
                    answer => written(&Exposed(&answer)),
                }
            })
        }
    };
    Ok((work, time))
}

/// Begins a call. It ends in the port of its engine, by its number, whatever comes of it.
///
/// # Errors
/// `closed` when there is no such engine.
#[uniffi::export]
pub fn call_start(engine: u64, number: u64, call: Vec<u8>) -> Result<(), Failed> {
    raised(|| {
        // By it the packages' tests see that a panic in whatever function is called next, by the same thread, stays in it. The glue is that of
        // every library, so this is no function of its own.
        #[cfg(debug_assertions)]
        if call == b"panic next" {
            crate::error::PANIC.set(true);
            return Ok(());
        }
        let open = ENGINES.get(engine)?;
        let port = open.port.clone();
        match smalt_bridge::contained(|| prepare(&open, number, &call)) {
            Err(error) => port.ended(number, Err(error)),
            Ok((work, time)) => begin(&port, number, time, work),
        }
        Ok(())
    })
}

/// Runs work whose end is a message.
pub fn begin(port: &Arc<Port>, number: u64, time: Option<Duration>, work: impl Future<Output = Result<Vec<u8>>> + Send + 'static) {
    let (cancel, port) = (port.began(number), port.clone());
    smalt_bridge::start(&cancel, time, work, move |ended| port.ended(number, ended));
}

/// What the backend can do, as JSON.
///
/// # Errors
/// `closed`.
#[uniffi::export]
pub fn engine_capabilities(engine: u64) -> Result<Vec<u8>, Failed> {
    raised(|| written(&ENGINES.get(engine)?.engine.capabilities()?))
}

/// Lets go of an engine: its number means nothing any more. Begin `close` before, where what is outstanding should be written.
#[uniffi::export]
pub fn engine_release(engine: u64) {
    quiet(|| drop(ENGINES.take(engine)));
}
