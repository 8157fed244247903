//! Bodies that Python hands over part by part.

use std::{future::Future, sync::Mutex, time::Duration};

use pyo3::{exceptions::PyRuntimeError, prelude::*, pybacked::PyBackedBytes};
use smalt::{Code, Error, model::ApiAnswer};
use smalt_bridge::{Cancel, Parts, PartsSource};
use tokio::sync::oneshot;

use crate::{
    panics::here,
    work::{Answer, Work},
};

/// Where Python puts the parts of a body.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Upload {
    parts: Parts,
    source: Mutex<Option<PartsSource>>,
}

impl Upload {
    /// What reads the body, once.
    pub fn take(&self) -> PyResult<PartsSource> {
        let source = self.source.lock().ok().and_then(|mut source| source.take());
        source.ok_or_else(|| PyRuntimeError::new_err("this body was sent already"))
    }
}

#[pymethods]
impl Upload {
    #[new]
    fn new() -> Self {
        here();
        let (parts, source) = Parts::new();
        Self { parts, source: Mutex::new(Some(source)) }
    }

    /// Hands a part over, and ends when there is room for the next one; false when no more is wanted.
    #[allow(clippy::needless_pass_by_value)] // Python's arguments
    fn push(&self, part: PyBackedBytes) -> Work {
        here();
        let taken = self.parts.push(part.to_vec());
        Work::new(async move { Ok(Answer::Flag(taken.await)) })
    }

    /// The body is whole; or was cut off.
    fn end(&self, whole: bool) {
        here();
        self.parts.end(whole);
    }
}

/// A call that goes on beside Python; when nobody waits for it any more, it ends.
struct Begun {
    cancel: Cancel,
    ended: oneshot::Receiver<smalt::Result<Answer>>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Begins a call at once; the work waits for its end.
pub fn begun(timeout: Option<Duration>, call: impl Future<Output = smalt::Result<ApiAnswer>> + Send + 'static) -> Work {
    let (tell, ended) = oneshot::channel();
    let begun = Begun { cancel: Cancel::new(), ended };
    smalt_bridge::start(&begun.cancel, timeout, async move { call.await.map(Answer::Api) }, move |ended| {
        // Nobody waits any more.
        let _ = tell.send(ended);
    });
    Work::new(async move {
        let mut begun = begun;
        (&mut begun.ended).await.unwrap_or_else(|_| Err(Error::new(Code::Internal, "an upload ended without an answer")))
    })
}
