use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::{exceptions::PyTypeError, prelude::*};

use crate::panics::here;

/// A value that is not shown, logged, pickled or copied to JSON by accident. ``reveal()`` gives it.
#[pyclass(frozen, module = "smalt")]
pub struct Secret(pub smalt::Secret);

#[pymethods]
impl Secret {
    #[new]
    fn new(value: &str) -> Self {
        here();
        Self(smalt::Secret::new(value))
    }

    /// The value itself. Every call is a place where it can leak: keep them few.
    fn reveal(&self) -> &str {
        here();
        self.0.expose()
    }

    fn __repr__(&self) -> &'static str {
        here();
        "Secret('…')"
    }

    fn __str__(&self) -> &'static str {
        here();
        "…"
    }

    fn __format__(&self, _spec: &str) -> &'static str {
        here();
        "…"
    }

    fn __bool__(&self) -> bool {
        here();
        !self.0.is_empty()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        here();
        other.cast::<Secret>().is_ok_and(|other| other.get().0 == self.0)
    }

    fn __hash__(&self) -> u64 {
        here();
        let mut hasher = DefaultHasher::new();
        self.0.expose().hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__(&self) -> PyResult<()> {
        here();
        Err(PyTypeError::new_err("a secret is not pickled: pass on what `reveal()` answers, if you must"))
    }
}
