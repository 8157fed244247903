use std::{rc::Rc, sync::Arc};

use napi::{
    Env, JsValue, Unknown,
    bindgen_prelude::{JsObjectValue, ToNapiValue},
};
use napi_derive::napi;
use serde::Deserialize;
use smalt::{
    Result, Secret,
    backend::{Caller, GetCredential},
};
use smalt_bridge::{ConnectOptions, contained, misread};

use crate::{
    ask::{Asker, Place},
    panics,
    read::Reader,
    ready::Seats,
    room::{End, Room, Shared},
    write::Writer,
};

/// Reads a value of the host. What is said of a mistake repeats no value.
pub fn read<'de, T: Deserialize<'de>>(what: &str, value: Unknown<'_>) -> Result<T> {
    T::deserialize(Reader::new(value)).map_err(|error| misread(what, error))
}

/// An engine, and the authority on which it is asked.
#[napi]
pub struct NativeEngine {
    asker: Arc<Asker>,
    place: Place,
    seats: Rc<Seats>,
}

impl NativeEngine {
    pub fn of(engine: smalt_bridge::Engine, shared: Arc<Shared>) -> Self {
        Self::asked(engine, Caller::Organisation("organisation".into()), shared, Rc::default())
    }

    fn asked(engine: smalt_bridge::Engine, caller: Caller, shared: Arc<Shared>, seats: Rc<Seats>) -> Self {
        let asker = Arc::new(Asker { engine, caller, shared });
        Self { place: Place::of(&asker), asker, seats }
    }

    /// The same engine, asked by somebody else. The package keeps what everybody was answered in one place, so the seats have one owner.
    fn by(&self, caller: Caller) -> Self {
        Self::asked(self.asker.engine.clone(), caller, self.asker.shared.clone(), self.seats.clone())
    }

    /// Who asks it, and on whose authority.
    pub fn asker(&self) -> &Asker {
        &self.asker
    }

    /// The handle of core.
    pub fn smalt(&self) -> Result<smalt::Smalt> {
        self.asker.engine.smalt().cloned()
    }

    pub fn shared(&self) -> Arc<Shared> {
        self.asker.shared.clone()
    }
}

#[napi]
impl NativeEngine {
    /// The number by which operations are asked for.
    #[napi(catch_unwind)]
    pub fn number(&self) -> u32 {
        panics::here();
        self.place.number()
    }

    /// The same engine, asked by the holder of a session token.
    #[napi(catch_unwind)]
    pub fn session(&self, token: Unknown<'_>) -> napi::Result<NativeEngine> {
        panics::here();
        let token: Secret = read("the session's token", token).map_err(|error| napi::Error::from_reason(error.to_string()))?;
        Ok(self.by(Caller::Session(token)))
    }

    /// The same engine, with another name for the audit.
    #[napi(catch_unwind)]
    pub fn acting_as(&self, actor: String) -> NativeEngine {
        panics::here();
        self.by(Caller::Organisation(actor.into()))
    }

    /// The ready operation, from memory: a list of the credential and the number by which it is asked for again; a list with an error's
    /// record; or `undefined` when it has to wait.
    #[napi(catch_unwind)]
    pub fn try_credential<'env>(
        &self,
        env: &'env Env,
        room: &Room,
        account: String,
        application: String,
        connection: Option<String>,
    ) -> napi::Result<Unknown<'env>> {
        panics::here();
        let request = GetCredential { account, application, connection };
        let found = match self.asker.engine.try_credential(&self.asker.caller, &request) {
            None => return ().into_unknown(env),
            Some(found) => found,
        };
        let mut list = env.create_array(0)?.coerce_to_object()?;
        match found {
            Ok((credential, ready)) => {
                list.set_element(0, room.credential(env, &credential)?)?;
                list.set_element(1, env.create_uint32(self.seats.take(ready, &credential))?)?;
            }
            Err(error) => list.set_element(0, room.refusal(env, Err(error))?)?,
        }
        Ok(list.to_unknown())
    }

    /// Connects an application; `within` is the number of the plugin's call from inside which it is made, else 0. Answers an error's record
    /// when nothing was begun.
    #[napi(catch_unwind)]
    pub fn connect<'env>(&self, env: &'env Env, room: &Room, id: u32, options: Unknown<'env>, within: f64) -> napi::Result<Unknown<'env>> {
        panics::here();
        let done = contained(|| {
            let options: ConnectOptions = read("the options", options)?;
            let connect = self.asker.engine.connect(self.asker.caller.clone(), options, self.asker.scope(within));
            self.asker.shared.run(id, async move { connect.await.map(|connection| End::Connection(Box::new(connection))) });
            Ok(())
        });
        room.refusal(env, done)
    }

    /// What the backend can do; a list with an error's record where it is gone.
    #[napi(catch_unwind)]
    pub fn capabilities<'env>(&self, env: &'env Env, room: &Room) -> napi::Result<Unknown<'env>> {
        panics::here();
        match self.asker.engine.capabilities() {
            Ok(capabilities) => Writer::new(env, &room.classes(env)?).write(&capabilities),
            Err(error) => Err(napi::Error::from_reason(error.to_string())),
        }
    }

    /// Writes what is outstanding and releases the store.
    #[napi(catch_unwind)]
    pub fn close(&self, id: u32) -> napi::Result<()> {
        panics::here();
        let engine = self.asker.engine.clone();
        self.asker.shared.run(id, async move {
            engine.close().await;
            Ok(End::Nothing)
        });
        Ok(())
    }
}
