use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use napi::{
    Env, JsValue, Unknown,
    bindgen_prelude::{Function, FunctionRef, JavaScriptClassExt, JsObjectValue, ToNapiValue},
    threadsafe_function::ThreadsafeFunctionCallMode,
};
use napi_derive::napi;
use smalt::{Code, Error, Exposed, Result, backend::AnyAnswer, model};
use smalt_bridge::{Cancel, Host, HostMessage, Port, contained, start};

use crate::{
    engine::NativeEngine,
    failure::record,
    host::Calls,
    kept::Kept,
    panics,
    testing::Sandbox,
    upload::NativeUpload,
    write::{Classes, Writer},
};

/// What a call ended with.
#[allow(clippy::large_enum_variant)] // most are answers: boxing each would cost more than the room
pub enum End {
    Answer(AnyAnswer),
    Api(model::ApiAnswer),
    Connection(Box<model::Connection>),
    Engine(smalt_bridge::Engine),
    Sandbox(smalt::sandbox::Sandbox),
    Text(String),
    Bytes(Vec<u8>),
    Flag(bool),
    Http(Box<crate::http::Answered>),
    Nothing,
}

/// What comes through the port.
#[allow(clippy::large_enum_variant)] // as above
pub enum Item {
    Ended(u32, Result<End>),
    /// For the plugins of the engine that was opened under this number.
    Host(u32, HostMessage),
}

/// What every engine and call of one JavaScript environment shares.
pub struct Shared {
    port: Port<Item>,
    cancels: Mutex<HashMap<u32, Cancel>>,
    pub calls: Mutex<Calls>,
    hosts: Mutex<HashMap<u32, Host>>,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Where the plugins of an engine are called.
    pub fn host(self: &Arc<Self>, engine: u32) -> Host {
        // Plugins do not keep the environment.
        let own = Arc::downgrade(self);
        let host = Host::new(move |message| own.upgrade().is_some_and(|shared| shared.port.put(Item::Host(engine, message)).is_ok()));
        lock(&self.hosts).insert(engine, host.clone());
        host
    }

    /// Runs a call; its end comes out of the port under this number.
    pub fn run<W>(self: &Arc<Self>, id: u32, work: W)
    where
        W: Future<Output = Result<End>> + Send + 'static,
    {
        let (cancel, shared) = (Cancel::new(), self.clone());
        lock(&self.cancels).insert(id, cancel.clone());
        // Time limits are the host's own: `AbortSignal.timeout`.
        start(&cancel, None::<Duration>, work, move |ended| {
            // An environment that is gone waits for nothing.
            let _ = shared.port.put(Item::Ended(id, ended));
        });
    }

    /// Ends a call that was not begun, as any other.
    pub fn refuse(&self, id: u32, error: Error) {
        let _ = self.port.put(Item::Ended(id, Err(error)));
    }
}

/// One JavaScript environment, as the addon sees it: where completions and calls into plugins come out, many at a time.
#[napi]
pub struct Room {
    shared: Arc<Shared>,
    secret: FunctionRef<Unknown<'static>, Unknown<'static>>,
    kept: RefCell<Kept>,
}

#[napi]
impl Room {
    /// `wake` is called when there is something to take; the process is not kept alive for it. `secret` is the class of secrets.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: &Env, wake: Function<'_, (), ()>, secret: Function<'_, Unknown<'static>, Unknown<'static>>) -> napi::Result<Self> {
        panics::here();
        let wake = wake.build_threadsafe_function::<()>().callee_handled::<false>().weak::<true>().build_callback(|_| Ok(()))?;
        let wake = move || {
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        };
        let shared =
            Arc::new(Shared { port: Port::new(wake), cancels: Mutex::default(), calls: Mutex::default(), hosts: Mutex::default() });
        // A worker that ends leaves nobody waiting for its plugins.
        env.add_env_cleanup_hook(shared.clone(), |shared: Arc<Shared>| {
            shared.port.close();
            std::mem::take(&mut *lock(&shared.hosts)).into_values().for_each(|host| host.close());
        })?;
        Ok(Self { shared, secret: secret.create_ref()?, kept: RefCell::default() })
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The classes that values are written with.
    pub fn classes<'env>(&self, env: &'env Env) -> napi::Result<Classes<'env>> {
        Ok(Classes { secret: self.secret.borrow_back(env)? })
    }

    /// A credential's object; frozen, and everybody's.
    pub fn credential<'env>(&self, env: &'env Env, credential: &Arc<model::Credential>) -> napi::Result<Unknown<'env>> {
        self.kept.borrow_mut().object(env, &self.classes(env)?, credential)
    }

    /// Keeps no credential's object any more: an engine is closed.
    #[napi(catch_unwind)]
    pub fn forget_credentials(&self, env: &Env) -> napi::Result<()> {
        panics::here();
        self.kept.borrow_mut().clear(env)
    }

    /// An error as its record, else `undefined`.
    pub fn refusal<'env>(&self, env: &'env Env, done: Result<()>) -> napi::Result<Unknown<'env>> {
        match done {
            Ok(()) => ().into_unknown(env),
            Err(error) => record(env, &self.classes(env)?, &error),
        }
    }

    fn write<'env>(&self, env: &'env Env, classes: &Classes<'env>, end: End) -> napi::Result<Unknown<'env>> {
        let writer = Writer::new(env, classes);
        match end {
            End::Answer(AnyAnswer::Credential(credential)) => self.credential(env, &credential),
            End::Answer(answer) => writer.write(&Exposed(&answer)),
            End::Api(answer) => writer.write(&Exposed(&answer)),
            End::Connection(connection) => writer.write(&connection),
            End::Engine(engine) => Ok(NativeEngine::of(engine, self.shared.clone()).into_instance(env)?.to_unknown()),
            End::Sandbox(sandbox) => Ok(Sandbox::of(sandbox).into_instance(env)?.to_unknown()),
            End::Text(text) => writer.write(&text),
            End::Bytes(bytes) => writer.write(&Exposed(&bytes)),
            End::Flag(flag) => writer.write(&flag),
            End::Http(answered) => answered.write(env, classes, &self.shared),
            End::Nothing => ().into_unknown(env),
        }
    }

    /// What ended, and what plugins are asked, as triples in one list: a call's number, 0 and its answer, or 1 and its error; an
    /// engine's, 2 and a call into one of its plugins, or 3 and the number of one that nobody waits for any more.
    #[napi(catch_unwind)]
    pub fn take<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        panics::here();
        let items = self.shared.port.take();
        let classes = self.classes(env)?;
        let mut list = env.create_array(u32::try_from(items.len() * 3).unwrap_or_default())?.coerce_to_object()?;
        let mut at = 0;
        for item in items {
            let (id, what, value) = match item {
                Item::Ended(id, ended) => {
                    lock(&self.shared.cancels).remove(&id);
                    let written = match ended {
                        Ok(end) => self.write(env, &classes, end).map(|value| (0, value)).or_else(|_| {
                            let unwritable = Error::new(Code::Internal, "an answer has no form in JavaScript");
                            record(env, &classes, &unwritable).map(|value| (1, value))
                        }),
                        Err(error) => record(env, &classes, &error).map(|value| (1, value)),
                    };
                    let (what, value) = written?;
                    (id, what, value)
                }
                Item::Host(engine, HostMessage::Call(call)) => {
                    let host = lock(&self.shared.hosts).get(&engine).cloned();
                    let Some(host) = host else { continue };
                    (engine, 2, lock(&self.shared.calls).enter(env, &classes, host, *call)?)
                }
                Item::Host(engine, HostMessage::Cancel(number)) => {
                    lock(&self.shared.calls).leave(number);
                    (engine, 3, Writer::new(env, &classes).write(&number)?)
                }
                // Others are of a newer bridge than this crate.
                Item::Host(..) => continue,
            };
            list.set_element(at, env.create_uint32(id)?)?;
            list.set_element(at + 1, env.create_uint32(what)?)?;
            list.set_element(at + 2, value)?;
            at += 3;
        }
        Ok(list.to_unknown())
    }

    /// Ends a call: its waiter has gone.
    #[napi(catch_unwind)]
    pub fn cancel(&self, id: u32) {
        panics::here();
        let cancel = lock(&self.shared.cancels).remove(&id);
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
    }

    /// The engine of this number is closed: its plugins are called no more.
    #[napi(catch_unwind)]
    pub fn forget(&self, engine: u32) {
        panics::here();
        let host = lock(&self.shared.hosts).remove(&engine);
        if let Some(host) = host {
            host.close();
        }
    }

    /// A handle on a server, or an error's record in a list. No I/O.
    #[napi(catch_unwind)]
    pub fn remote<'env>(&self, env: &'env Env, engine: u32, options: Unknown<'env>, plugins: Unknown<'env>) -> napi::Result<Unknown<'env>> {
        panics::here();
        let made = contained(|| {
            let presenter = self.presenter(engine, plugins)?;
            smalt_bridge::Engine::remote(crate::engine::read("the options", options)?, presenter)
        });
        match made {
            Ok(made) => Ok(NativeEngine::of(made, self.shared.clone()).into_instance(env)?.to_unknown()),
            Err(error) => {
                let mut list = env.create_array(1)?.coerce_to_object()?;
                list.set_element(0, record(env, &self.classes(env)?, &error)?)?;
                Ok(list.to_unknown())
            }
        }
    }

    /// Opens an embedded engine, under the number of its plugins. Answers an error's record where the options are wrong.
    #[napi(catch_unwind)]
    pub fn embedded<'env>(
        &self,
        env: &'env Env,
        id: u32,
        options: Unknown<'env>,
        plugins: Unknown<'env>,
        clock: Option<&crate::testing::FixedClock>,
    ) -> napi::Result<Unknown<'env>> {
        panics::here();
        let done = contained(|| {
            let options = crate::engine::read("the options", options)?;
            let plugins = self.plugins(id, plugins, clock, &options)?;
            self.shared.run(id, async move { smalt_bridge::Engine::embedded(options, plugins).await.map(End::Engine) });
            Ok(())
        });
        self.refusal(env, done)
    }

    /// Starts a sandbox provider.
    #[napi(catch_unwind)]
    pub fn sandbox(&self, id: u32) {
        panics::here();
        self.shared.run(id, crate::testing::start());
    }

    /// Where the body of a call or a request that is about to begin is put.
    #[napi(catch_unwind)]
    pub fn upload(&self) -> NativeUpload {
        panics::here();
        NativeUpload::new(self.shared.clone())
    }

    /// Plays the user at a sandbox's authorize page.
    #[napi(catch_unwind)]
    pub fn visit(&self, id: u32, url: String) {
        panics::here();
        self.shared.run(id, crate::testing::visit(url));
    }

    /// Checks a delivery of a webhook: its id and time, or an error's record in a list.
    #[napi(catch_unwind)]
    pub fn verify_webhook<'env>(&self, env: &'env Env, delivery: Unknown<'env>) -> napi::Result<Unknown<'env>> {
        panics::here();
        let classes = self.classes(env)?;
        match contained(|| crate::webhook::verify(delivery)) {
            Ok(verified) => Writer::new(env, &classes).write(&verified),
            Err(error) => {
                let mut list = env.create_array(1)?.coerce_to_object()?;
                list.set_element(0, record(env, &classes, &error)?)?;
                Ok(list.to_unknown())
            }
        }
    }

    /// A new master key's text.
    #[napi(catch_unwind)]
    pub fn make_key<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        panics::here();
        let classes = self.classes(env)?;
        match smalt::vault::LocalKey::generate() {
            Ok(key) => Writer::new(env, &classes).write(&Exposed(&key.text())),
            Err(error) => record(env, &classes, &error),
        }
    }
}

/// Runs the `smalt` command with these arguments, the command's own name first, and answers its exit status. It blocks the thread.
#[napi(catch_unwind)]
pub fn command(arguments: Vec<String>) -> u32 {
    panics::here();
    smalt_server::command::run(arguments.into_iter().map(Into::into)).into()
}
