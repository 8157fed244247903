use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use napi::{
    Env, JsValue, Unknown,
    bindgen_prelude::{JsObjectValue, Object, ObjectRef, ToNapiValue},
};
use napi_derive::napi;
use serde::Deserialize;
use smalt::{
    Code, Error, Exposed, Result, Secret,
    backend::{AnyRequest, Caller, GetCredential},
    model::Credential,
    operations::Operation,
    plugin::Scope,
};
use smalt_bridge::{ConnectOptions, contained};

use crate::{
    panics,
    read::Reader,
    room::{End, Room, Shared, lock},
    write::{Classes, Writer},
};

/// How many credentials are kept as JavaScript objects.
const KEPT: usize = 4096;

/// Reads a value of the host. What is said of a mistake repeats no value.
pub fn read<'de, T: Deserialize<'de>>(what: &str, value: Unknown<'_>) -> Result<T> {
    T::deserialize(Reader::new(value)).map_err(|error| {
        let said = error.to_string();
        let names_a_field = ["unknown field `", "missing field `"].iter().any(|start| said.starts_with(start));
        match said.split('`').nth(1).filter(|field| names_a_field && field.len() <= 64) {
            Some(field) if said.starts_with("unknown") => {
                Error::new(Code::InvalidRequest, format!("{what} have no `{}`", field.escape_default()))
            }
            Some(field) => Error::new(Code::InvalidRequest, format!("{what} need `{}`", field.escape_default())),
            None => Error::new(Code::InvalidRequest, format!("{what} hold a value of another type than they take")),
        }
    })
}

/// Credentials as JavaScript objects, by where core has them. Core decides which one counts, and ours is used while core answers
/// the very same one; the weak reference keeps the place from being used again. The objects are frozen.
type Kept = HashMap<usize, (Weak<Credential>, ObjectRef<false>)>;

/// A credential as JavaScript has it: frozen, since the one that is kept is everybody's.
pub fn written<'env>(env: &'env Env, classes: &Classes<'env>, credential: &Credential) -> napi::Result<Object<'env>> {
    let mut whole = Writer::new(env, classes).write(&Exposed(credential))?.coerce_to_object()?;
    for part in ["scopes", "values", "properties"] {
        whole.get_named_property_unchecked::<Unknown<'env>>(part)?.coerce_to_object()?.freeze()?;
    }
    whole.freeze()?;
    Ok(whole)
}

/// An engine, and the authority on which it is asked.
#[napi]
pub struct NativeEngine {
    engine: smalt_bridge::Engine,
    caller: Caller,
    shared: Arc<Shared>,
    kept: Kept,
}

impl NativeEngine {
    pub fn of(engine: smalt_bridge::Engine, shared: Arc<Shared>) -> Self {
        Self { engine, caller: Caller::Organisation("organisation".into()), shared, kept: Kept::default() }
    }

    /// The handle of core.
    pub fn smalt(&self) -> Result<smalt::Smalt> {
        self.engine.smalt().cloned()
    }

    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    fn scope(&self, within: f64) -> Scope {
        lock(&self.shared.calls).scope(within)
    }

    /// The credential's object: the kept one, or a new one.
    fn object<'env>(&mut self, env: &'env Env, room: &Room, credential: &Arc<Credential>) -> napi::Result<Unknown<'env>> {
        let place = Arc::as_ptr(credential) as usize;
        if let Some((known, object)) = self.kept.get(&place)
            && std::ptr::eq(known.as_ptr(), Arc::as_ptr(credential))
        {
            return Ok(object.get_value(env)?.to_unknown());
        }
        let object = written(env, &room.classes(env)?, credential)?;
        // What core let go of goes here, too.
        let gone: Vec<usize> = self.kept.iter().filter(|(_, (known, _))| known.strong_count() == 0).map(|(place, _)| *place).collect();
        for place in gone {
            if let Some((_, dead)) = self.kept.remove(&place) {
                dead.unref(env)?;
            }
        }
        if self.kept.len() < KEPT {
            let kept = object.create_ref::<false>()?;
            if let Some((_, dead)) = self.kept.insert(place, (Arc::downgrade(credential), kept)) {
                dead.unref(env)?;
            }
        }
        Ok(object.to_unknown())
    }
}

#[napi]
impl NativeEngine {
    /// The same engine, asked by the holder of a session token.
    #[napi(catch_unwind)]
    pub fn session(&self, token: Unknown<'_>) -> napi::Result<NativeEngine> {
        panics::here();
        let token: Secret = read("the session's token", token).map_err(|error| napi::Error::from_reason(error.to_string()))?;
        Ok(Self { caller: Caller::Session(token), ..Self::of(self.engine.clone(), self.shared.clone()) })
    }

    /// The same engine, with another name for the audit.
    #[napi(catch_unwind)]
    pub fn acting_as(&self, actor: String) -> NativeEngine {
        panics::here();
        Self { caller: Caller::Organisation(actor.into()), ..Self::of(self.engine.clone(), self.shared.clone()) }
    }

    /// The ready operation, from memory: the credential; a list with an error's record; or `undefined` when it has to wait.
    #[napi(catch_unwind)]
    pub fn try_credential<'env>(
        &mut self,
        env: &'env Env,
        room: &Room,
        account: String,
        application: String,
        connection: Option<String>,
    ) -> napi::Result<Unknown<'env>> {
        panics::here();
        let request = GetCredential { account, application, connection };
        match self.engine.try_credential(&self.caller, &request) {
            None => ().into_unknown(env),
            Some(Ok(credential)) => self.object(env, room, &credential),
            Some(Err(error)) => {
                let mut list = env.create_array(1)?.coerce_to_object()?;
                list.set_element(0, room.refusal(env, Err(error))?)?;
                Ok(list.to_unknown())
            }
        }
    }

    /// An operation by its name; `within` is the number of the plugin's call from inside which it is made, else 0. Answers an error's
    /// record when nothing was begun.
    #[napi(catch_unwind)]
    pub fn call<'env>(
        &self,
        env: &'env Env,
        room: &Room,
        id: u32,
        name: String,
        request: Unknown<'env>,
        within: f64,
    ) -> napi::Result<Unknown<'env>> {
        panics::here();
        let done = contained(|| {
            let operation = Operation::named(&name).ok_or_else(|| Error::new(Code::Unsupported, "there is no such operation"))?;
            self.engine.smalt()?;
            let request = AnyRequest::read(operation, Reader::new(request))?;
            let call = self.engine.call(self.caller.clone(), request, self.scope(within));
            self.shared.run(id, async move { call.await.map(End::Answer) });
            Ok(())
        });
        room.refusal(env, done)
    }

    /// Connects an application, as [`NativeEngine::call`].
    #[napi(catch_unwind)]
    pub fn connect<'env>(&self, env: &'env Env, room: &Room, id: u32, options: Unknown<'env>, within: f64) -> napi::Result<Unknown<'env>> {
        panics::here();
        let done = contained(|| {
            let options: ConnectOptions = read("the options", options)?;
            let connect = self.engine.connect(self.caller.clone(), options, self.scope(within));
            self.shared.run(id, async move { connect.await.map(|connection| End::Connection(Box::new(connection))) });
            Ok(())
        });
        room.refusal(env, done)
    }

    /// What the backend can do; a list with an error's record where it is gone.
    #[napi(catch_unwind)]
    pub fn capabilities<'env>(&self, env: &'env Env, room: &Room) -> napi::Result<Unknown<'env>> {
        panics::here();
        match self.engine.capabilities() {
            Ok(capabilities) => Writer::new(env, &room.classes(env)?).write(&capabilities),
            Err(error) => Err(napi::Error::from_reason(error.to_string())),
        }
    }

    /// Writes what is outstanding and releases the store.
    #[napi(catch_unwind)]
    pub fn close(&mut self, env: &Env, id: u32) -> napi::Result<()> {
        panics::here();
        for (_, object) in std::mem::take(&mut self.kept).into_values() {
            object.unref(env)?;
        }
        let engine = self.engine.clone();
        self.shared.run(id, async move {
            engine.close().await;
            Ok(End::Nothing)
        });
        Ok(())
    }
}
