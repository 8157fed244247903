//! One runtime per process, made when first needed. Work with an effect outside is spawned on it, so that a caller
//! who goes away tears nothing.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use tokio::{runtime::Runtime, task::JoinHandle};

static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// The process's runtime. After a fork the child makes its own; the parent's threads do not exist there.
pub fn runtime() -> &'static Runtime {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    match *slot {
        Some((owner, runtime)) if owner == pid => runtime,
        _ => {
            let made = tokio::runtime::Builder::new_multi_thread()
                .thread_name("smalt-worker")
                .enable_all()
                .build()
                .expect("the operating system lets this process start threads");
            let leaked: &'static Runtime = Box::leak(Box::new(made));
            *slot = Some((pid, leaked));
            leaked
        }
    }
}

/// Runs a future on the process's runtime, whatever becomes of the caller.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime().spawn(future)
}
