//! Credentials that were in memory, by number: calling a function with a number costs JavaScript a tenth of what a method of an object of
//! ours does, and that is most of what a ready call costs.

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, Weak},
};

use napi_derive::napi;
use smalt::model::Credential;
use smalt_bridge::Ready;

use crate::panics;

struct Seat {
    owner: u64,
    ready: Ready,
    credential: Weak<Credential>,
}

/// All seats of a JavaScript environment, which is a thread. Numbers of those that are given up are given out again.
#[derive(Default)]
struct Table {
    seats: Vec<Option<Seat>>,
    free: Vec<u32>,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
    static OWNERS: Cell<u64> = const { Cell::new(0) };
}

impl Table {
    fn seat(&self, number: u32) -> Option<&Seat> {
        self.seats.get(number as usize)?.as_ref()
    }

    fn give_up(&mut self, number: u32) {
        if self.seats.get_mut(number as usize).is_some_and(|seat| seat.take().is_some()) {
            self.free.push(number);
        }
    }
}

/// The seats of one engine; given up with it.
pub struct Seats(u64);

impl Default for Seats {
    fn default() -> Self {
        Self(OWNERS.replace(OWNERS.get() + 1))
    }
}

impl Seats {
    /// The number by which it is asked for from now on.
    pub fn take(&self, ready: Ready, credential: &Arc<Credential>) -> u32 {
        let seat = Some(Seat { owner: self.0, ready, credential: Arc::downgrade(credential) });
        TABLE.with_borrow_mut(|table| match table.free.pop() {
            Some(number) => {
                table.seats[number as usize] = seat;
                number
            }
            None => {
                table.seats.push(seat);
                u32::try_from(table.seats.len() - 1).unwrap_or(u32::MAX)
            }
        })
    }

    /// Gives them all up.
    pub fn clear(&self) {
        // There is no table any more when the environment ends.
        let _ = TABLE.try_with(|table| {
            let mut table = table.borrow_mut();
            let own = |seat: &Option<Seat>| seat.as_ref().is_some_and(|seat| seat.owner == self.0);
            let own: Vec<usize> = table.seats.iter().enumerate().filter(|(_, seat)| own(seat)).map(|(number, _)| number).collect();
            own.into_iter().filter_map(|number| u32::try_from(number).ok()).for_each(|number| table.give_up(number));
        });
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whether the credential is still the one to use; that is a read of it.
#[napi(catch_unwind)]
pub fn ready_counts(number: u32) -> bool {
    panics::here();
    TABLE.with_borrow(|table| table.seat(number).is_some_and(|seat| seat.ready.counts()))
}

/// Whether core has let go of it.
#[napi(catch_unwind)]
pub fn ready_is_gone(number: u32) -> bool {
    panics::here();
    TABLE.with_borrow(|table| table.seat(number).is_none_or(|seat| seat.credential.strong_count() == 0))
}

/// It is asked for no more.
#[napi(catch_unwind)]
pub fn ready_drop(number: u32) {
    panics::here();
    TABLE.with_borrow_mut(|table| table.give_up(number));
}
