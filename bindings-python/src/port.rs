//! How what ended comes to an event loop: in batches, with one wake-up, onto the loop's own futures.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pyo3::{prelude::*, types::PyList};
use smalt::{Code, Result};
use smalt_bridge::{Bell, Cancel, Host, HostMessage, Waited};

use crate::{
    errors::exception,
    exit::Inside,
    panics::here,
    plugin::HostCall,
    work::{Answer, Work, seconds},
};

/// What comes through.
#[allow(clippy::large_enum_variant)] // most are answers: boxing each would cost more than the room
enum Item {
    Done(u64, Result<Answer>),
    Host(HostMessage),
}

type Queue = Arc<smalt_bridge::Port<Item>>;

enum Bringer {
    #[cfg(unix)]
    Descriptor(smalt_bridge::Descriptor),
    Bell(Bell),
}

/// The way of completions and calls of plugins into one event loop.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Port {
    queue: Queue,
    bringer: Bringer,
    host: Host,
    /// The loop's futures, by number: threads of the runtime only know the number.
    futures: Mutex<HashMap<u64, Py<PyAny>>>,
    next: AtomicU64,
}

/// One call that is under way.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Call {
    cancel: Cancel,
    number: u64,
}

impl Call {
    pub fn of(number: u64) -> Self {
        Self { cancel: Cancel::new(), number }
    }

    /// What ends it.
    pub fn cancelled_by(&self) -> &Cancel {
        &self.cancel
    }
}

#[pymethods]
impl Call {
    /// Ends it: nothing more is sent for it.
    fn cancel(&self) {
        here();
        self.cancel.cancel();
    }

    fn __repr__(&self) -> String {
        here();
        format!("<call {}>", self.number)
    }
}

#[pymethods]
impl Port {
    /// With a descriptor, for loops that can watch one; without, for a thread that waits.
    #[new]
    fn new(descriptor: bool) -> PyResult<Self> {
        here();
        let bell = Bell::new();
        let ringer = bell.clone();
        let (bringer, queue) = match descriptor {
            #[cfg(unix)]
            true => {
                let descriptor = smalt_bridge::Descriptor::new()?;
                (Bringer::Descriptor(descriptor.clone()), Arc::new(smalt_bridge::Port::new(descriptor)))
            }
            _ => (Bringer::Bell(bell), Arc::new(smalt_bridge::Port::new(move || ringer.ring()))),
        };
        let messages = queue.clone();
        let host = Host::new(move |message| messages.put(Item::Host(message)).is_ok());
        Ok(Self { queue, bringer, host, futures: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// What the loop watches for reading.
    fn fileno(&self) -> PyResult<i32> {
        here();
        match &self.bringer {
            #[cfg(unix)]
            Bringer::Descriptor(descriptor) => Ok(descriptor.number()),
            Bringer::Bell(_) => Err(pyo3::exceptions::PyOSError::new_err("this port has no descriptor")),
        }
    }

    /// Waits for something to take; false when it was closed. Only for a port without a descriptor.
    fn wait(&self, py: Python<'_>) -> bool {
        here();
        let Bringer::Bell(bell) = &self.bringer else { return false };
        let inside = Inside::enter(py);
        let (_inside, ()) = inside.away(py, || while bell.wait(Duration::from_secs(3600)) != Waited::Rung {});
        self.queue.put(Item::Host(HostMessage::Cancel(0))).is_ok()
    }

    /// Begins the work; the loop's future gets its end. What is begun for a loop that is gone ends nowhere.
    #[pyo3(signature = (work, future, timeout=None))]
    fn submit(&self, work: &Bound<'_, Work>, future: Py<PyAny>, timeout: Option<f64>) -> PyResult<Call> {
        here();
        let (work, timeout) = (work.get().take()?, seconds(timeout)?);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut futures) = self.futures.lock() {
            futures.insert(number, future);
        }
        let (call, queue) = (Call::of(number), self.queue.clone());
        smalt_bridge::start(&call.cancel, timeout, work, move |ended| {
            let _ = queue.put(Item::Done(number, ended));
        });
        Ok(call)
    }

    /// Ends futures with what came, and answers what plugins are asked: calls, and numbers that nobody waits for any more.
    /// `None` when there is nothing of that.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        here();
        let _inside = Inside::enter(py);
        #[cfg(unix)]
        if let Bringer::Descriptor(descriptor) = &self.bringer {
            descriptor.clear();
        }
        let mut messages: Option<Bound<'py, PyList>> = None;
        let mut strange = None;
        for item in self.queue.take() {
            match item {
                Item::Done(number, ended) => {
                    let future = self.futures.lock().ok().and_then(|mut futures| futures.remove(&number));
                    // A future that is none is told in the end: the others have their ends first.
                    if let Some(future) = future
                        && let Err(error) = end(py, future.bind(py), ended)
                    {
                        strange.get_or_insert(error);
                    }
                }
                Item::Host(HostMessage::Call(call)) => {
                    let call = HostCall::new(*call, self.host.clone());
                    messages.get_or_insert_with(|| PyList::empty(py)).append(call)?;
                }
                Item::Host(HostMessage::Cancel(number)) if number > 0 => {
                    messages.get_or_insert_with(|| PyList::empty(py)).append(number)?;
                }
                Item::Host(_) => {}
            }
        }
        match strange {
            Some(error) if messages.is_none() => Err(error),
            _ => Ok(messages),
        }
    }

    /// The loop is gone.
    fn close(&self) {
        here();
        drop(self.queue.close());
        self.host.close();
        if let Bringer::Bell(bell) = &self.bringer {
            bell.ring();
        }
        if let Ok(mut futures) = self.futures.lock() {
            futures.clear();
        }
    }

    /// How many calls are under way.
    #[getter]
    fn pending(&self) -> usize {
        here();
        self.futures.lock().map_or(0, |futures| futures.len())
    }
}

impl Port {
    pub fn host(&self) -> Host {
        self.host.clone()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.queue.close();
        self.host.close();
    }
}

/// Ends one future, unless it has ended: whoever cancelled it hears nothing more.
fn end(py: Python<'_>, future: &Bound<'_, PyAny>, ended: Result<Answer>) -> PyResult<()> {
    if future.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    let made = match ended {
        Ok(answer) => answer.into_python(py),
        Err(error) if error.is(Code::Cancelled) => {
            future.call_method0(pyo3::intern!(py, "cancel"))?;
            return Ok(());
        }
        Err(error) => Err(exception(py, &error)),
    };
    match made {
        Ok(value) => future.call_method1(pyo3::intern!(py, "set_result"), (value,))?,
        Err(error) => future.call_method1(pyo3::intern!(py, "set_exception"), (error.into_value(py),))?,
    };
    Ok(())
}
