//! Calls into plugins that are written in Swift or Kotlin.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smalt::{Exposed, model::Credential, plugin::Fault};
use smalt_bridge::{Host, HostArguments, HostCall, HostMessage};

use crate::{
    error::{Failed, Received, raised, written},
    port::{Asked, Message, Port},
};

#[derive(Serialize)]
struct Ask<'a> {
    plugin: &'a str,
    what: &'static str,
    /// How errors name the plugin.
    label: String,
    deadline: f64,
    arguments: &'a HostArguments,
    context: Option<Context<'a>>,
}

#[derive(Serialize)]
struct Context<'a> {
    account_id: &'a str,
    application: &'a str,
    credential: Option<Exposed<'a, Credential>>,
}

fn ask(call: &HostCall) -> smalt::Result<Vec<u8>> {
    let context = call.context.as_ref().map(|context| Context {
        account_id: &context.account_id,
        application: &context.application,
        credential: context.credential.as_ref().map(Exposed),
    });
    written(&Ask {
        plugin: call.plugin(),
        what: call.what.name(),
        label: call.label().to_owned(),
        deadline: call.deadline.as_secs_f64(),
        arguments: &call.arguments,
        context,
    })
}

/// The plugins of one engine, as long as it is open.
pub struct Home {
    port: Arc<Port>,
    number: u64,
    pub host: Host,
}

impl Home {
    /// They are called through a port; `number` is how the host knows them.
    pub fn new(port: &Arc<Port>, number: u64) -> Arc<Home> {
        // The port has the host, so the host must not have the port.
        let sink = Arc::downgrade(port);
        let host = Host::new(move |message| {
            let Some(port) = sink.upgrade() else { return false };
            match message {
                HostMessage::Call(call) => {
                    let Ok(json) = ask(&call) else { return false };
                    let asked = call.number;
                    port.ask(Asked { home: number, call: *call });
                    let told = port.put(Message::Ask { home: number, number: asked, json });
                    if !told {
                        drop(port.done(asked));
                    }
                    told
                }
                HostMessage::Cancel(number) => port.put(Message::Forget { number }),
                _ => false,
            }
        });
        port.register(number, host.clone());
        Arc::new(Home { port: port.clone(), number, host })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.port.unregister(self.number);
    }
}

/// How a plugin ended; the value of one that answered follows.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
enum End {
    Value,
    Rejected { message: String },
    Failed { message: String, trace: Option<String> },
    Panicked { message: String, trace: Option<String> },
    Error { error: Received },
}

/// Answers a call into a plugin: how it ended, then its value. False when nobody waits any more.
///
/// # Errors
/// `closed` when there is no such port.
#[uniffi::export]
pub fn host_answer(port: u64, number: u64, answer: Vec<u8>) -> Result<bool, Failed> {
    raised(|| {
        let port = Port::of(port)?;
        let Some(Asked { home, call }) = port.done(number) else { return Ok(false) };
        let mut texts = serde_json::Deserializer::from_slice(&answer).into_iter::<Value>();
        let mut next = || texts.next().and_then(std::result::Result::ok);
        let ended = match next().and_then(|end| End::deserialize(end).ok()) {
            Some(End::Rejected { message }) => Err(Fault::Rejected(message)),
            Some(End::Failed { message, trace }) => Err(Fault::Failed { message, trace }),
            Some(End::Panicked { message, trace }) => Err(call.panicked(&message, trace)),
            Some(End::Error { error }) => Err(Fault::Smalt(error.into())),
            Some(End::Value) | None => match next() {
                Some(value) => call.read(value),
                None => Err(Fault::Failed { message: "what it answered is no JSON".into(), trace: None }),
            },
        };
        Ok(port.answer(home, number, ended))
    })
}
