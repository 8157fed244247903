//! A queue between async callers and the store's threads.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Unbounded, many to many. A closed queue takes nothing more, but gives what it holds.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    /// How many items were taken out one by one so far.
    taken: u64,
    closed: bool,
    /// How many items a waiting consumer wants before it is woken.
    wanted: usize,
}

/// A place among what was pushed.
#[derive(Clone, Copy)]
pub(super) struct Mark(u64);

impl<T> State<T> {
    fn next(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.taken += 1;
        Some(item)
    }
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { items: VecDeque::new(), taken: 0, closed: false, wanted: 1 }), filled: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No code of others runs under this lock: it can't be left half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the item back when the queue is closed.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.state();
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        let enough = state.items.len() >= state.wanted;
        drop(state);
        if enough {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for an item; `None` when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        self.pop_marked().map(|(item, _)| item)
    }

    /// As [`Self::pop`], with a mark behind whatever was pushed so far. For queues from which nothing is gathered or drained.
    pub(super) fn pop_marked(&self) -> Option<(T, Mark)> {
        let mut state = self.state();
        loop {
            if let Some(item) = state.next() {
                let mark = Mark(state.taken + state.items.len() as u64);
                return Some((item, mark));
            }
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next item, if it was pushed before this mark was set. Does not wait.
    pub(super) fn pop_before(&self, mark: Mark) -> Option<T> {
        let mut state = self.state();
        if state.taken < mark.0 { state.next() } else { None }
    }

    /// Waits until so many items are there or the time is over, then appends what is there to `into`. For a queue with
    /// one consumer.
    pub(super) fn gather(&self, wanted: usize, time: Duration, into: &mut VecDeque<T>) {
        let mut state = self.state();
        state.wanted = wanted;
        let few = |state: &mut State<T>| state.items.len() < wanted && !state.closed;
        let (mut state, _) = self.filled.wait_timeout_while(state, time, few).unwrap_or_else(PoisonError::into_inner);
        state.wanted = 1;
        into.append(&mut state.items);
    }

    /// What is there now, appended to `into`.
    pub(super) fn drain(&self, into: &mut VecDeque<T>) {
        into.append(&mut self.state().items);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }
}
