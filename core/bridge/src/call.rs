//! Running calls on the process's runtime, whatever way they end.

use std::{fmt::Display, future::Future, panic::AssertUnwindSafe, time::Duration};

use smalt::{Code, Error, Result, backend::Misread};
use tokio::sync::oneshot;

use crate::Cancel;

/// What a reader says of a value of the host, as an error that repeats no value: any of it may be a secret.
pub fn misread<E: Display>(what: &str, said: E) -> Error {
    let reason = match Misread::of(&said.to_string()) {
        Misread::Unknown(field) => format!("{what}: there is no `{}`", field.escape_default()),
        Misread::Needed(field) => format!("{what}: `{}` is needed once", field.escape_default()),
        Misread::TooLarge(limit) => format!("{what}: {limit}"),
        Misread::OtherType => format!("{what}: a value has another type than is asked for"),
    };
    Error::new(Code::InvalidRequest, reason)
}

/// As [`misread`], where the value comes as JSON, which may be none.
pub fn misread_json(what: &str, said: serde_json::Error) -> Error {
    if said.is_data() {
        return misread(what, said);
    }
    Error::new(Code::InvalidRequest, format!("{what}: this is no JSON, or lies too deep in itself"))
}

fn panicked() -> Error {
    Error::new(Code::Internal, "a call panicked; the process goes on")
}

/// Tells how a call ended, exactly once: also when its task was cancelled or panicked.
struct End<T, D: FnOnce(Result<T>)> {
    done: Option<D>,
    answer: std::marker::PhantomData<fn(T)>,
}

impl<T, D: FnOnce(Result<T>)> End<T, D> {
    fn with(mut self, ended: Result<T>) {
        if let Some(done) = self.done.take() {
            done(ended);
        }
    }
}

impl<T, D: FnOnce(Result<T>)> Drop for End<T, D> {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(if std::thread::panicking() { panicked() } else { Error::code_only(Code::Cancelled) }));
        }
    }
}

/// Runs a call on the process's runtime and hands its end to `done`, on one of the runtime's threads: `done` must not wait and not
/// call the host. A call whose token is cancelled already ends at once, on this thread, and nothing of it is begun.
///
/// It ends as `cancelled` when its token is cancelled, as `outcome_unknown` when its time is over, and as `internal` when it
/// panics.
pub fn start<T, W, D>(cancel: &Cancel, timeout: Option<Duration>, work: W, done: D)
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
    D: FnOnce(Result<T>) + Send + 'static,
{
    let end = End { done: Some(done), answer: std::marker::PhantomData };
    if cancel.is_cancelled() {
        return;
    }
    let task = smalt::runtime::runtime().spawn(async move {
        // Taken in, so that it is dropped with the task.
        let end = end;
        let ended = match timeout {
            None => work.await,
            Some(time) => match tokio::time::timeout(time, work).await {
                Ok(ended) => ended,
                Err(_) => Err(Error::new(Code::OutcomeUnknown, format!("the call took longer than its {time:?}"))),
            },
        };
        end.with(ended);
    });
    cancel.arm(task.abort_handle());
}

/// As [`start`], for hosts whose futures may be polled on any thread: the work itself runs on the process's runtime. Dropping the
/// future cancels the call.
///
/// # Errors
/// The call's own, and as [`start`].
pub async fn run<T, W>(cancel: &Cancel, timeout: Option<Duration>, work: W) -> Result<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    struct Dropped<'a>(&'a Cancel, bool);
    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            if !self.1 {
                self.0.cancel();
            }
        }
    }
    let (tell, told) = oneshot::channel();
    let mut dropped = Dropped(cancel, false);
    start(cancel, timeout, work, move |ended| {
        // Nobody is there when the future was dropped.
        let _ = tell.send(ended);
    });
    let ended = told.await;
    dropped.1 = true;
    ended.unwrap_or_else(|_| Err(Error::code_only(Code::Cancelled)))
}

/// Does something on the caller's own thread; a panic becomes an error.
///
/// # Errors
/// Its own; `internal` when it panicked.
pub fn contained<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    };

    use super::*;

    fn ended<T: Send + 'static>(
        cancel: &Cancel,
        timeout: Option<Duration>,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> mpsc::Receiver<Result<T>> {
        let (tell, told) = mpsc::channel();
        start(cancel, timeout, work, move |end| tell.send(end).unwrap());
        told
    }

    #[test]
    fn an_answer_comes_through() {
        assert_eq!(ended(&Cancel::new(), None, async { Ok(1) }).recv().unwrap().unwrap(), 1);
    }

    #[test]
    fn a_cancelled_token_sends_nothing() {
        let (cancel, begun) = (Cancel::new(), Arc::new(AtomicBool::new(false)));
        cancel.cancel();
        let seen = begun.clone();
        let told = ended(&cancel, None, async move {
            seen.store(true, Ordering::SeqCst);
            Ok(())
        });
        assert!(told.recv().unwrap().unwrap_err().is(Code::Cancelled));
        assert!(!begun.load(Ordering::SeqCst));
    }

    #[test]
    fn cancelling_ends_the_waiter_and_drops_the_work() {
        struct Gone(mpsc::Sender<()>);
        impl Drop for Gone {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (tell, gone) = mpsc::channel();
        let (cancel, held) = (Cancel::new(), Gone(tell));
        let told = ended(&cancel, None, async move {
            let _held = held;
            std::future::pending::<Result<()>>().await
        });
        cancel.cancel();
        cancel.cancel();
        assert!(told.recv().unwrap().unwrap_err().is(Code::Cancelled));
        gone.recv().unwrap();
    }

    #[test]
    fn cancelling_after_the_end_changes_nothing() {
        let cancel = Cancel::new();
        let told = ended(&cancel, None, async { Ok(1) });
        assert_eq!(told.recv().unwrap().unwrap(), 1);
        cancel.cancel();
        assert!(told.recv().is_err(), "it ends once");
        assert!(ended(&cancel, None, async { Ok(2) }).recv().unwrap().unwrap_err().is(Code::Cancelled), "a token is a latch");
    }

    #[test]
    fn a_late_call_does_not_know_its_outcome() {
        let told = ended(&Cancel::new(), Some(Duration::from_millis(1)), std::future::pending::<Result<()>>());
        assert!(told.recv().unwrap().unwrap_err().is(Code::OutcomeUnknown));
    }

    #[test]
    fn s77_a_panic_becomes_an_error() {
        let panics = || -> Result<()> { panic!("on purpose") };
        let told = ended(&Cancel::new(), None, async move { panics() });
        assert!(told.recv().unwrap().unwrap_err().is(Code::Internal));
        assert!(contained(panics).unwrap_err().is(Code::Internal));
        assert_eq!(ended(&Cancel::new(), None, async { Ok(2) }).recv().unwrap().unwrap(), 2, "the runtime goes on");
    }

    #[test]
    fn dropping_a_run_cancels_it() {
        let cancel = Cancel::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert_eq!(run(&cancel, None, async { Ok(3) }).await.unwrap(), 3);
            assert!(!cancel.is_cancelled());
            let hanging = run(&cancel, None, std::future::pending::<Result<()>>());
            tokio::select! { biased; _ = hanging => unreachable!(), () = std::future::ready(()) => {} }
        });
        assert!(cancel.is_cancelled());
    }
}
