//! Credentials as Python has them: made once, and answered again. Core decides which one counts.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};
use smalt::{Exposed, model::Credential};
use smalt_bridge::Sweep;

use crate::{panics::here, ser::to_python};

/// By where core has them. The weak reference keeps the place from being used again.
type Objects = HashMap<usize, (Weak<Credential>, Py<PyAny>)>;

struct Inner {
    objects: Mutex<Objects>,
    objects_sweep: Sweep,
    ready: Py<PyDict>,
    ready_sweep: Sweep,
    /// How often it is being closed, or was.
    closes: Arc<AtomicUsize>,
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.closes.load(Ordering::SeqCst) > 0
    }
}

/// A close that was asked for. Nothing is kept from then on; one that is given up before it has begun never was.
pub struct Closing(Option<Arc<AtomicUsize>>);

impl Closing {
    /// It cannot be taken back any more.
    pub fn begins(mut self) {
        self.0 = None;
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(closes) = self.0.take() {
            closes.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// What is kept for one engine, whoever asks it.
///
/// Dropping an object can run Python code, which lets other threads run and may come back here: none is dropped under the lock.
#[derive(Clone)]
pub struct Kept(Arc<Inner>);

impl Kept {
    pub fn new(py: Python<'_>) -> Self {
        Self(Arc::new(Inner {
            objects: Mutex::default(),
            objects_sweep: Sweep::default(),
            ready: PyDict::new(py).unbind(),
            ready_sweep: Sweep::default(),
            closes: Arc::default(),
        }))
    }

    /// What was in memory, by who asked for what.
    pub fn ready(&self, py: Python<'_>) -> Py<PyDict> {
        self.0.ready.clone_ref(py)
    }

    /// The credential's object: the kept one while core answers the very same credential, or a new one.
    pub fn object<'py>(&self, py: Python<'py>, credential: &Arc<Credential>) -> PyResult<Bound<'py, PyAny>> {
        let Inner { objects, objects_sweep: sweep, .. } = &*self.0;
        let place = Arc::as_ptr(credential) as usize;
        if let Ok(kept) = objects.lock()
            && let Some((known, object)) = kept.get(&place)
            && std::ptr::eq(known.as_ptr(), Arc::as_ptr(credential))
        {
            return Ok(object.bind(py).clone());
        }
        let object = to_python(py, &Exposed(&**credential))?;
        // Nobody else has it: a server's answer is asked for once.
        if Arc::strong_count(credential) == 1 {
            return Ok(object);
        }
        let mut dead = Vec::new();
        if let Ok(mut kept) = objects.lock()
            && !self.0.is_closed()
        {
            if sweep.is_due(kept.len()) {
                // What core let go of goes here, too: its secrets are wiped with the last reference.
                dead.extend(kept.extract_if(|_, (known, _)| known.strong_count() == 0));
                if sweep.done(kept.len()) {
                    dead.extend(kept.drain());
                }
            }
            dead.extend(kept.insert(place, (Arc::downgrade(credential), object.clone().unbind())).map(|before| (place, before)));
        }
        drop(dead);
        Ok(object)
    }

    /// As [`Self::object`], and keeps it in `ready` under this key.
    pub fn ready_object<'py>(
        &self,
        py: Python<'py>,
        key: Bound<'py, PyTuple>,
        credential: &Arc<Credential>,
        ready: smalt_bridge::Ready,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Inner { ready: known, ready_sweep: sweep, .. } = &*self.0;
        let (known, object) = (known.bind(py), self.object(py, credential)?);
        if sweep.is_due(known.len()) {
            // A list of its own: dropping objects can run Python code.
            let gone = |value: &Bound<'py, PyAny>| value.cast::<Ready>().is_ok_and(|ready| ready.get().credential.strong_count() == 0);
            let gone: Vec<_> = known.iter().filter(|(_, value)| gone(value)).map(|(key, _)| key).collect();
            for key in gone {
                // Another thread may have done it meanwhile.
                let _ = known.del_item(key);
            }
            if sweep.done(known.len()) {
                known.clear();
            }
        }
        known.set_item(key, Ready { ready, credential: Arc::downgrade(credential), object: object.clone().unbind() })?;
        if self.0.is_closed() {
            // It was closed meanwhile, and cleared before this came.
            known.clear();
        }
        Ok(object)
    }

    /// Forgets them all, and keeps none any more, unless the close is given up before it begins.
    pub fn close(&self, py: Python<'_>) -> Closing {
        // First: whoever keeps one meanwhile looks at it afterwards, or under the lock.
        self.0.closes.fetch_add(1, Ordering::SeqCst);
        let closing = Closing(Some(self.0.closes.clone()));
        self.0.ready.bind(py).clear();
        let dead = self.0.objects.lock().map(|mut kept| std::mem::take(&mut *kept));
        drop(dead);
        closing
    }
}

/// A credential that was in memory, to be had again.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Ready {
    ready: smalt_bridge::Ready,
    credential: Weak<Credential>,
    object: Py<PyAny>,
}

#[pymethods]
impl Ready {
    /// The credential, while it is the one to use.
    fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        here();
        self.ready.counts().then(|| self.object.clone_ref(py))
    }
}
