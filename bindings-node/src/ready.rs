//! Credentials that were in memory, by number: calling a function with a number costs JavaScript a tenth of what a method of an object of
//! ours does, and that is most of what a ready call costs.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
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
    /// The numbers that each owner has.
    owned: HashMap<u64, HashSet<u32>>,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
    static OWNERS: Cell<u64> = const { Cell::new(0) };
}

impl Table {
    fn seat(&self, number: u32) -> Option<&Seat> {
        self.seats.get(number as usize)?.as_ref()
    }

    fn take(&mut self, seat: Seat) -> u32 {
        let owner = seat.owner;
        let number = match self.free.pop() {
            Some(number) => {
                self.seats[number as usize] = Some(seat);
                number
            }
            None => {
                self.seats.push(Some(seat));
                u32::try_from(self.seats.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.owned.entry(owner).or_default().insert(number);
        number
    }

    fn give_up(&mut self, number: u32) {
        if let Some(seat) = self.seats.get_mut(number as usize).and_then(Option::take) {
            self.free.push(number);
            if let Some(numbers) = self.owned.get_mut(&seat.owner) {
                numbers.remove(&number);
            }
        }
    }

    fn give_up_all(&mut self, owner: u64) {
        for number in self.owned.remove(&owner).into_iter().flatten() {
            self.give_up(number);
        }
    }
}

/// The seats of one engine, whoever asks it. Those that the package did not drop are given up with the last of its handles.
pub struct Seats(u64);

impl Default for Seats {
    fn default() -> Self {
        Self(OWNERS.replace(OWNERS.get() + 1))
    }
}

impl Seats {
    /// The number by which it is asked for from now on.
    pub fn take(&self, ready: Ready, credential: &Arc<Credential>) -> u32 {
        let seat = Seat { owner: self.0, ready, credential: Arc::downgrade(credential) };
        TABLE.with_borrow_mut(|table| table.take(seat))
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        // There is no table any more when the environment ends.
        let _ = TABLE.try_with(|table| table.borrow_mut().give_up_all(self.0));
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

/// How many are taken in this environment, for tests.
#[napi(catch_unwind)]
pub fn ready_seats() -> u32 {
    panics::here();
    TABLE.with_borrow(|table| u32::try_from(table.seats.len() - table.free.len()).unwrap_or(u32::MAX))
}
