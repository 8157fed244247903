use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// The cancel token of one call: a latch. Clones are the same token.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    task: Option<AbortHandle>,
}

impl Cancel {
    /// One that is not cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels: the call's waiter ends at once, and a call that has not begun never sends anything. Again is nothing.
    pub fn cancel(&self) {
        let task = {
            let mut state = self.state();
            state.cancelled = true;
            state.task.take()
        };
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Names the task that is to end; one that was cancelled meanwhile ends now.
    pub(crate) fn arm(&self, task: AbortHandle) {
        let mut state = self.state();
        if state.cancelled {
            drop(state);
            task.abort();
        } else {
            state.task = Some(task);
        }
    }
}
