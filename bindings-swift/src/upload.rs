//! Bodies that come in parts: each is there as long as the call that sends it, and is known by that call's number.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;
use serde_json::Value;
use smalt::Result;
use smalt_bridge::{Parts, PartsSource, host::Bytes, misread};

/// Those of one engine.
#[derive(Clone, Default)]
pub struct Uploads(Arc<Mutex<HashMap<u64, Parts>>>);

/// A body is known as long as this is there. What was not whole by then is cut off.
pub struct Known(Uploads, u64);

impl Drop for Known {
    fn drop(&mut self) {
        self.0.bodies().remove(&self.1);
    }
}

#[derive(Deserialize)]
struct Part {
    upload: u64,
    /// A part, as base64; absent: the body is whole.
    #[serde(default)]
    part: Option<Bytes>,
}

impl Uploads {
    fn bodies(&self) -> MutexGuard<'_, HashMap<u64, Parts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the call of this number.
    pub fn begin(&self, number: u64) -> (Known, PartsSource) {
        let (parts, source) = Parts::new();
        self.bodies().insert(number, parts);
        (Known(self.clone(), number), source)
    }

    /// Takes a part, or the end. False when no more is wanted: the call has ended, or reads no further.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn take(&self, request: Value) -> Result<impl Future<Output = bool> + Send + use<>> {
        let Part { upload, part } = Part::deserialize(request).map_err(|error| misread("`upload_part`", error))?;
        let parts = self.bodies().get(&upload).cloned();
        let pushed = match (parts, part) {
            (Some(parts), Some(mut part)) => Some(parts.push(std::mem::take(&mut *part.0))),
            (Some(parts), None) => {
                parts.end(true);
                None
            }
            (None, _) => None,
        };
        Ok(async move {
            match pushed {
                Some(pushed) => pushed.await,
                None => false,
            }
        })
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.bodies().is_empty()
    }
}
