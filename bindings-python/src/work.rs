//! Work that was asked for and not begun, and how a thread waits for it.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use pyo3::{exceptions::PyRuntimeError, prelude::*, types::PyBytes};
use smalt::{
    Exposed, Result,
    backend::AnyAnswer,
    model::{ApiAnswer, Connection, Credential},
};
use smalt_bridge::{Bell, Cancel, Process, Waited};

use crate::{
    engine::Engine,
    errors::raised,
    exit::Inside,
    kept::Kept,
    panics::here,
    ser::to_python,
    server::{Response, Started},
    testing::Sandbox,
};

/// How any work ends.
#[allow(clippy::large_enum_variant)] // most are of operations: boxing each would cost more than the room
pub enum Answer {
    /// An operation's.
    Operation(AnyAnswer),
    /// A credential, and where its object is if it was made before.
    Credential(Arc<Credential>, Kept),
    Connection(Box<Connection>),
    Api(ApiAnswer),
    Engine(smalt_bridge::Engine),
    Sandbox(smalt::sandbox::Sandbox),
    Server(Started),
    Response(Response),
    Bytes(Vec<u8>),
    Text(String),
    Flag(bool),
    /// An engine's that was closed.
    Closed,
}

impl Answer {
    /// As Python objects.
    pub fn into_python<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Self::Operation(answer) => to_python(py, &Exposed(&answer))?,
            Self::Credential(credential, kept) => kept.object(py, &credential)?,
            Self::Connection(connection) => to_python(py, &connection)?,
            Self::Api(answer) => to_python(py, &Exposed(&answer))?,
            Self::Engine(engine) => Engine::of(py, engine).into_pyobject(py)?.into_any(),
            Self::Sandbox(sandbox) => Sandbox(sandbox).into_pyobject(py)?.into_any(),
            Self::Server(started) => started.object().into_pyobject(py)?.into_any(),
            Self::Response(response) => response.into_python(py)?,
            Self::Bytes(bytes) => PyBytes::new(py, &bytes).into_any(),
            Self::Text(text) => text.into_pyobject(py)?.into_any(),
            Self::Flag(flag) => to_python(py, &flag)?,
            Self::Closed => py.None().into_bound(py),
        })
    }
}

type Boxed = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

/// Work that was asked for and not begun. It is done once: by `Port.submit` or `run`.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Work(Mutex<Option<Boxed>>);

impl Work {
    pub fn new(work: impl Future<Output = Result<Answer>> + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::pin(work))))
    }

    pub fn take(&self) -> PyResult<Boxed> {
        let work = self.0.lock().ok().and_then(|mut work| work.take());
        work.ok_or_else(|| PyRuntimeError::new_err("this work was begun already"))
    }
}

/// A number of seconds; `None` is no limit.
pub fn seconds(time: Option<f64>) -> PyResult<Option<Duration>> {
    let read = |time| {
        Duration::try_from_secs_f64(time).map_err(|_| pyo3::exceptions::PyValueError::new_err("a time of zero or more seconds is expected"))
    };
    time.map(read).transpose()
}

/// Does the work and waits for it without holding the interpreter. A signal's handler runs at once; when it raises, the work is
/// cancelled.
#[pyfunction]
#[pyo3(signature = (work, timeout=None))]
pub fn run<'py>(py: Python<'py>, work: &Bound<'py, Work>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
    here();
    thread_local! {
        // A forked child would share its parent's, and take its rings away.
        static BELL: RefCell<(Process, Bell)> = RefCell::new((Process::here(), Bell::new()));
    }
    let (work, timeout) = (work.get().take()?, seconds(timeout)?);
    let mut inside = Inside::enter(py);
    let cancel = Cancel::new();
    let bell = BELL.with_borrow_mut(|(process, bell)| {
        if !process.is_here() {
            (*process, *bell) = (Process::here(), Bell::new());
        }
        bell.clone()
    });
    // A ring that an interrupted call left behind.
    while bell.wait(Duration::ZERO) == Waited::Rung {}
    let slot: Arc<Mutex<Option<Result<Answer>>>> = Arc::default();
    let (tell, ringer) = (slot.clone(), bell.clone());
    smalt_bridge::start(&cancel, timeout, work, move |ended| {
        if let Ok(mut slot) = tell.lock() {
            *slot = Some(ended);
        }
        ringer.ring();
    });
    loop {
        let ended = |slot: &Mutex<Option<Result<Answer>>>| slot.lock().ok().and_then(|mut slot| slot.take());
        let (back, ended) = inside.away(py, || {
            bell.wait(Duration::from_secs(3600));
            ended(&slot)
        });
        inside = back;
        if let Some(ended) = ended {
            let answer = raised(py, ended)?.into_python(py);
            drop(inside);
            return answer;
        }
        if let Err(raised) = py.check_signals() {
            cancel.cancel();
            return Err(raised);
        }
    }
}
