use std::collections::{BTreeMap, HashMap};

use napi::{Env, JsValue, Unknown, bindgen_prelude::JsObjectValue};
use napi_derive::napi;
use serde::Deserialize;
use smalt::{
    Code, Error, Exposed, Result,
    backend::ApiRequest,
    manifest::AppManifest,
    plugin::{Fault, Scope},
};
use smalt_bridge::{
    EmbeddedOptions, Host, HostAnswer, HostCall, HostConnector, HostKeys, HostPresenter, HostRunner, Plugins, What, contained,
    context_request,
};

use crate::{
    engine::read,
    panics,
    read::Reader,
    room::{End, Room, lock},
    testing::FixedClock,
    write::{Classes, Writer},
};

/// Calls into plugins that are not answered yet, by their numbers.
#[derive(Default)]
pub struct Calls(HashMap<u64, Running>);

struct Running {
    host: Host,
    call: HostCall,
}

/// Numbers that are counted up in JavaScript's own kind of number; they stay exact for longer than any process runs.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn number(number: f64) -> u64 {
    number as u64
}

impl Calls {
    /// Takes a call up and describes it for JavaScript.
    pub fn enter<'env>(&mut self, env: &'env Env, classes: &Classes<'env>, host: Host, call: HostCall) -> napi::Result<Unknown<'env>> {
        let writer = Writer::new(env, classes);
        let mut object = napi::bindgen_prelude::Object::new(env)?;
        object.set_named_property("number", writer.write(&call.number)?)?;
        object.set_named_property("plugin", writer.write(call.plugin())?)?;
        object.set_named_property("what", writer.write(call.what.name())?)?;
        object.set_named_property("arguments", writer.write(&call.arguments)?)?;
        if let Some(context) = &call.context {
            object.set_named_property("accountId", writer.write(&context.account_id)?)?;
            object.set_named_property("application", writer.write(&context.application)?)?;
            object.set_named_property("credential", writer.write(&context.credential.as_ref().map(Exposed))?)?;
        }
        self.0.insert(call.number, Running { host, call });
        Ok(object.to_unknown())
    }

    /// Nobody waits for it any more.
    pub fn leave(&mut self, number: u64) {
        self.0.remove(&number);
    }

    /// The scope in which a plugin's own calls run.
    pub fn scope(&self, within: f64) -> Scope {
        self.0.get(&number(within)).map(|running| running.call.scope.clone()).unwrap_or_default()
    }
}

/// What JavaScript registers.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Registered {
    connectors: Vec<Connector>,
    presenter: Option<Presenter>,
    keys: bool,
    runner: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Connector {
    slug: String,
    #[serde(default)]
    manifest: Option<AppManifest>,
    methods: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Presenter {
    name: String,
    #[serde(default)]
    redirect_uri: Option<String>,
}

/// An error of Smalt that passed through a plugin.
#[derive(Deserialize)]
struct Passed {
    code: String,
    reason: String,
    #[serde(default)]
    context: BTreeMap<String, String>,
}

impl Room {
    /// The plugins of an engine that is about to be opened.
    pub fn plugins(&self, engine: u32, registered: Unknown<'_>, clock: Option<&FixedClock>, options: &EmbeddedOptions) -> Result<Plugins> {
        let Registered { connectors, presenter, keys, runner } = read("the plugins", registered)?;
        let (host, deadline) = (self.shared().host(engine), options.timings.plugin);
        let connector = |connector: Connector| {
            let methods: Vec<What> = connector.methods.iter().filter_map(|method| What::named(method)).collect();
            HostConnector::new(host.clone(), &connector.slug, connector.manifest, methods, deadline)
        };
        Ok(Plugins {
            connectors: connectors.into_iter().map(connector).collect(),
            presenter: presenter.map(|own| HostPresenter::new(host.clone(), &own.name, own.redirect_uri)),
            keys: keys.then(|| HostKeys::new(host.clone())),
            runner: runner.then(|| HostRunner::new(host.clone(), deadline)),
            clock: clock.map(|clock| clock.0.clone()),
        })
    }

    /// The presenter of a handle on a server, where there is one.
    pub fn presenter(&self, engine: u32, registered: Unknown<'_>) -> Result<Option<HostPresenter>> {
        let Registered { presenter, .. } = read("the plugins", registered)?;
        Ok(presenter.map(|own| HostPresenter::new(self.shared().host(engine), &own.name, own.redirect_uri)))
    }

    fn end(&self, of: f64, answer: impl FnOnce(&HostCall) -> Result<HostAnswer, Fault>) {
        let running = lock(&self.shared().calls).0.remove(&number(of));
        if let Some(running) = running {
            running.host.answer(number(of), answer(&running.call));
        }
    }
}

#[napi]
impl Room {
    /// A plugin's answer to the call of this number.
    #[napi(catch_unwind)]
    pub fn answer(&self, call: f64, value: Unknown<'_>) {
        panics::here();
        self.end(call, |call| contained(|| Ok(call.read(Reader::new(value)))).map_err(Fault::Smalt).flatten());
    }

    /// The plugin refuses the credentials.
    #[napi(catch_unwind)]
    pub fn reject(&self, call: f64, reason: String) {
        panics::here();
        self.end(call, |_| Err(Fault::Rejected(reason)));
    }

    /// The plugin failed.
    #[napi(catch_unwind)]
    pub fn fail(&self, call: f64, message: String, trace: Option<String>) {
        panics::here();
        self.end(call, |_| Err(Fault::Failed { message, trace }));
    }

    /// The plugin threw what is no error: the closest that there is to a panic.
    #[napi(catch_unwind)]
    pub fn panicked(&self, call: f64, message: String) {
        panics::here();
        let running = lock(&self.shared().calls).0.remove(&number(call));
        if let Some(Running { host, call: asked, .. }) = running {
            host.answer(number(call), Err(asked.panicked(&message, None)));
        }
    }

    /// An error of Smalt passed through the plugin.
    #[napi(catch_unwind)]
    pub fn pass_on(&self, call: f64, error: Unknown<'_>) {
        panics::here();
        self.end(call, |_| {
            let Passed { code, reason, context } = read("an error", error)?;
            let error = Error::received(Code::parse(&code).unwrap_or(Code::Internal), reason);
            Err(Fault::Smalt(context.iter().fold(error, |error, (name, value)| error.with(name, value))))
        });
    }

    /// An authenticated call of a connector to its application.
    #[napi(catch_unwind)]
    pub fn context_request<'env>(&self, env: &'env Env, id: u32, call: f64, request: Unknown<'env>) -> napi::Result<Unknown<'env>> {
        panics::here();
        let done = contained(|| {
            let request: ApiRequest = read("the request", request)?;
            let context = lock(&self.shared().calls).0.get(&number(call)).and_then(|running| running.call.context.clone());
            let context = context.ok_or_else(|| Error::new(Code::Closed, "the call that this context belongs to has ended"))?;
            self.shared().run(id, async move { context_request(context, request).await.map(End::Api) });
            Ok(())
        });
        self.refusal(env, done)
    }
}
