//! The ready operation (`credential`) without JSON. Who asks for what is told once and is a *seat* from then on, a number; as long as core
//! answers the very same credential, so does the host, with what it made of it. What is new crosses in the form of [`packed`].

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Deserialize;
use smalt::{
    Result,
    backend::{Caller, GetCredential},
    model::Credential,
};
use smalt_bridge::{Ready, misread};

use crate::{
    call::{ENGINES, read},
    error::{Failed, quiet, raised},
    packed,
};

/// What [`seat_ready`] answers where the call has to wait: then begin it.
pub const WAITS: u64 = 0;
/// What it answers where there is no such seat: then begin the call, and take another seat.
pub const GONE: u64 = u64::MAX;

/// Numbers of seats and of what was answered; never used again.
fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

struct Seat {
    caller: Caller,
    request: GetCredential,
    last: Mutex<Option<Last>>,
}

/// What was answered last.
struct Last {
    number: u64,
    /// Keeps its place in memory from being used again, and nothing else.
    credential: Weak<Credential>,
    ready: Ready,
}

impl Seat {
    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last answer, while it is the one to use.
    fn still(&self) -> Option<u64> {
        self.last().as_ref().filter(|last| last.ready.counts()).map(|last| last.number)
    }

    /// The number of this answer: that of the last one where it is the same.
    fn number(&self, credential: &Arc<Credential>, ready: Ready) -> u64 {
        let mut last = self.last();
        let known = last.as_ref().filter(|last| std::ptr::eq(last.credential.as_ptr(), Arc::as_ptr(credential)));
        let number = known.map_or_else(next, |last| last.number);
        *last = Some(Last { number, credential: Arc::downgrade(credential), ready });
        number
    }

    fn answered(&self, number: u64) -> Option<Arc<Credential>> {
        self.last().as_ref().filter(|last| last.number == number)?.credential.upgrade()
    }

    /// Whether core has let go of what was answered; said once.
    fn let_go(&self) -> bool {
        self.last().take_if(|last| last.credential.strong_count() == 0).is_some()
    }
}

/// The seats of one engine.
#[derive(Default)]
pub struct Seats(RwLock<HashMap<u64, Arc<Seat>>>);

impl Seats {
    fn get(&self, number: u64) -> Option<Arc<Seat>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    fn put(&self, seat: Seat) -> u64 {
        let number = next();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(seat));
        number
    }

    fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn let_go(&self) -> Vec<u64> {
        let seats = self.0.read().unwrap_or_else(PoisonError::into_inner);
        seats.iter().filter(|(_, seat)| seat.let_go()).map(|(number, _)| *number).collect()
    }
}

/// Takes a seat for one `credential`, whose text is that of a call.
///
/// # Errors
/// `invalid_request`; `closed` when there is no such engine.
#[uniffi::export]
pub fn seat_take(engine: u64, call: Vec<u8>) -> Result<u64, Failed> {
    raised(|| {
        let open = ENGINES.get(engine)?;
        let (mut head, request) = read(&call)?;
        let request = GetCredential::deserialize(request).map_err(|error| misread("`credential`", error))?;
        Ok(open.seats.put(Seat { caller: head.caller(), request, last: Mutex::default() }))
    })
}

/// The ready operation, from memory and without waiting: the number of what it answers, the same for as long as that is the same;
/// 0 when the call has to wait, and the largest number when there is no such seat or engine.
#[uniffi::export]
pub fn seat_ready(engine: u64, seat: u64) -> u64 {
    quiet(|| {
        let Ok(open) = ENGINES.get(engine) else { return GONE };
        let Some(seat) = open.seats.get(seat) else { return GONE };
        if let Some(number) = seat.still() {
            return number;
        }
        match open.engine.try_credential(&seat.caller, &seat.request) {
            // What is refused is refused in words, by the call.
            None | Some(Err(_)) => WAITS,
            Some(Ok((credential, ready))) => seat.number(&credential, ready),
        }
    })
}

/// What a seat was answered: first a list of seats of which core has let go what they were answered (so must whoever keeps it), then the
/// credential, both as [`packed`] has them. `None` when there is another answer by now, or none.
#[uniffi::export]
pub fn seat_answer(engine: u64, seat: u64, answer: u64) -> Option<Vec<u8>> {
    quiet(|| {
        let seats = ENGINES.get(engine).ok()?.seats;
        let credential = seats.get(seat)?.answered(answer)?;
        Some(packed::answer(&seats.let_go(), &credential))
    })
}

/// Gives up all seats of an engine.
#[uniffi::export]
pub fn seats_clear(engine: u64) {
    quiet(|| {
        if let Ok(open) = ENGINES.get(engine) {
            open.seats.clear();
        }
    });
}
