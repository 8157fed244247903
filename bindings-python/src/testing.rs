//! What tests of users need: a clock that they move, and the sandbox provider.

use pyo3::{exceptions::PyValueError, prelude::*};
use smalt::{
    Timestamp,
    sandbox::{SandboxOptions, visit as visit_page},
};

use crate::{
    panics::here,
    work::{Answer, Work},
};

/// A clock that moves only when told to.
#[pyclass(frozen, module = "smalt.testing")]
pub struct FixedClock(pub smalt::plugin::FixedClock);

#[pymethods]
impl FixedClock {
    /// Starts at this many milliseconds since 1970.
    #[new]
    fn new(millis: i64) -> Self {
        here();
        Self(smalt::plugin::FixedClock::at(Timestamp::from_millis(millis)))
    }

    /// Moves it by so many seconds; negative ones move it back.
    fn advance(&self, seconds: f64) -> PyResult<()> {
        here();
        if !seconds.is_finite() || seconds.abs() > 1e12 {
            return Err(PyValueError::new_err("a number of seconds is expected"));
        }
        #[allow(clippy::cast_possible_truncation)]
        self.0.advance_millis((seconds * 1000.0).round() as i64);
        Ok(())
    }

    /// Milliseconds since 1970.
    #[getter]
    fn millis(&self) -> i64 {
        here();
        smalt::plugin::Clock::now(&self.0).millis()
    }
}

/// A running sandbox provider. It ends with this object.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Sandbox(pub smalt::sandbox::Sandbox);

#[pymethods]
impl Sandbox {
    /// Its origin, e.g. `http://127.0.0.1:40123`.
    #[getter]
    fn origin(&self) -> String {
        here();
        self.0.origin()
    }
}

/// Starts a sandbox on a free loopback port.
#[pyfunction]
pub fn start_sandbox() -> Work {
    here();
    Work::new(async { smalt::sandbox::Sandbox::start(SandboxOptions::default()).await.map(Answer::Sandbox) })
}

/// Plays the user at a sandbox's authorize page; the callback URL, which is not requested.
#[pyfunction]
pub fn visit(url: String) -> Work {
    here();
    Work::new(async move { visit_page(&url).await.map(Answer::Text) })
}
