//! One runtime per process, made when first needed. Work with an effect outside is spawned on it, so that a caller
//! who goes away tears nothing.

use std::{future::Future, pin::Pin, sync::OnceLock};

use tokio::{runtime::Runtime, task::JoinHandle};

/// A runtime and the process that made it; then that of a forked child, and of its child. No lock is held while one is looked up:
/// a lock that another thread holds while the process forks would never be released in the child.
struct Made {
    runtime: OnceLock<(u32, Runtime)>,
    child: OnceLock<Box<Made>>,
}

impl Made {
    const fn new() -> Self {
        Self { runtime: OnceLock::new(), child: OnceLock::new() }
    }
}

static FIRST: Made = Made::new();

/// The process's runtime. After a fork the child makes its own; the parent's threads do not exist there.
pub fn runtime() -> &'static Runtime {
    let pid = std::process::id();
    let mut made = &FIRST;
    loop {
        let (owner, runtime) = made.runtime.get_or_init(|| (pid, build()));
        if *owner == pid {
            return runtime;
        }
        made = made.child.get_or_init(|| Box::new(Made::new()));
    }
}

fn build() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("smalt-worker")
        .enable_all()
        .build()
        .expect("the operating system lets this process start threads")
}

/// Runs a future on the process's runtime, whatever becomes of the caller.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // The runtime's part of a task is made for each type of future anew, and is large.
    let future: Pin<Box<dyn Future<Output = F::Output> + Send>> = Box::pin(future);
    runtime().spawn(future)
}
