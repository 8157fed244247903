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
    closed: bool,
    /// How many items a waiting consumer wants before it is woken.
    wanted: usize,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { items: VecDeque::new(), closed: false, wanted: 1 }), filled: Condvar::new() }
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
        let mut state = self.state();
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
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
