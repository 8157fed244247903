//! Bodies that Python hands over part by part.

use std::sync::Mutex;

use pyo3::{exceptions::PyRuntimeError, prelude::*, pybacked::PyBackedBytes};
use smalt::{Code, Error};
use smalt_bridge::{Parts, PartsSource};
use tokio::sync::oneshot;

use crate::{
    panics::here,
    port::Call,
    work::{Answer, Work, seconds},
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

/// Begins work at once, on whose end the work that is answered waits: a thread that blocks hands a body over meanwhile. The call ends it.
#[pyfunction]
#[pyo3(signature = (work, timeout=None))]
pub fn begin(work: &Bound<'_, Work>, timeout: Option<f64>) -> PyResult<(Work, Call)> {
    here();
    let (work, timeout) = (work.get().take()?, seconds(timeout)?);
    let (tell, ended) = oneshot::channel();
    let call = Call::of(0);
    smalt_bridge::start(call.cancelled_by(), timeout, work, move |ended| {
        // Nobody waits any more.
        let _ = tell.send(ended);
    });
    let end = async move { ended.await.unwrap_or_else(|_| Err(Error::new(Code::Internal, "a call ended without an answer"))) };
    Ok((Work::new(end), call))
}
