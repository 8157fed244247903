//! What the host knows by a number: it can be used after it is gone, and then that is an error in words.

use std::{
    collections::HashMap,
    sync::{
        LazyLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use smalt::{Code, Error, Result};

/// Things by number. Numbers are never used again.
pub struct Table<T>(LazyLock<RwLock<HashMap<u64, T>>>);

impl<T: Clone> Table<T> {
    pub const fn new() -> Self {
        Self(LazyLock::new(Default::default))
    }

    pub fn put(&self, thing: T) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(number, thing);
        number
    }

    /// # Errors
    /// `closed` when it was taken out.
    pub fn get(&self, number: u64) -> Result<T> {
        let things = self.0.read().unwrap_or_else(PoisonError::into_inner);
        things.get(&number).cloned().ok_or_else(|| Error::code_only(Code::Closed))
    }

    pub fn take(&self, number: u64) -> Option<T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}
