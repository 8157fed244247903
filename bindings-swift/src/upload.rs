//! Bodies that come in parts: each is there as long as the call that sends it, and is known by that call's number.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use smalt_bridge::{Parts, PartsSource};

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

    /// Takes a part, or where that is empty the end. False when no more is wanted: the call has ended, or reads no further.
    pub fn take(&self, number: u64, part: Vec<u8>) -> impl Future<Output = bool> + Send + use<> {
        let parts = self.bodies().get(&number).cloned();
        let pushed = match parts {
            Some(parts) if part.is_empty() => {
                parts.end(true);
                None
            }
            parts => parts.map(|parts| parts.push(part)),
        };
        async move {
            match pushed {
                Some(pushed) => pushed.await,
                None => false,
            }
        }
    }

    #[cfg(all(test, feature = "embedded"))]
    pub fn is_empty(&self) -> bool {
        self.bodies().is_empty()
    }
}
