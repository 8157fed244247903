//! Credentials as JavaScript has them: written once, and answered again.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use napi::{
    Env, JsValue, Unknown,
    bindgen_prelude::{JsObjectValue, Object, ObjectRef},
};
use smalt::{Exposed, model::Credential};
use smalt_bridge::Sweep;

use crate::write::{Classes, Writer};

/// Credentials as JavaScript objects, by where core has them. Core decides which one counts, and ours is used while core answers
/// the very same one; the weak reference keeps the place from being used again.
#[derive(Default)]
pub struct Kept(HashMap<usize, (Weak<Credential>, ObjectRef<false>)>, Sweep);

impl Kept {
    /// The credential's object: the kept one, or a new one.
    pub fn object<'env>(&mut self, env: &'env Env, classes: &Classes<'env>, credential: &Arc<Credential>) -> napi::Result<Unknown<'env>> {
        let place = Arc::as_ptr(credential) as usize;
        if let Some((known, object)) = self.0.get(&place)
            && std::ptr::eq(known.as_ptr(), Arc::as_ptr(credential))
        {
            return Ok(object.get_value(env)?.to_unknown());
        }
        let object = written(env, classes, credential)?;
        // Nobody else has it: a server's answer is asked for once.
        if Arc::strong_count(credential) == 1 {
            return Ok(object.to_unknown());
        }
        if self.1.is_due(self.0.len()) {
            // What core let go of goes here, too.
            for (_, (_, dead)) in self.0.extract_if(|_, (known, _)| known.strong_count() == 0) {
                dead.unref(env)?;
            }
            if self.1.done(self.0.len()) {
                self.clear(env)?;
            }
        }
        if let Some((_, dead)) = self.0.insert(place, (Arc::downgrade(credential), object.create_ref::<false>()?)) {
            dead.unref(env)?;
        }
        Ok(object.to_unknown())
    }

    /// Forgets them all.
    pub fn clear(&mut self, env: &Env) -> napi::Result<()> {
        std::mem::take(&mut self.0).into_values().try_for_each(|(_, object)| object.unref(env))
    }
}

/// Frozen, since the one that is kept is everybody's.
fn written<'env>(env: &'env Env, classes: &Classes<'env>, credential: &Credential) -> napi::Result<Object<'env>> {
    let mut whole = Writer::new(env, classes).write(&Exposed(credential))?.coerce_to_object()?;
    for part in ["scopes", "values", "properties"] {
        whole.get_named_property_unchecked::<Unknown<'env>>(part)?.coerce_to_object()?.freeze()?;
    }
    whole.freeze()?;
    Ok(whole)
}
