//! Errors on their way to Python and back.

use std::{collections::BTreeMap, time::Duration};

use pyo3::{prelude::*, sync::PyOnceLock, types::PyDict};
use smalt::{Code, Error};

static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception of an error.
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    raise(py, error).unwrap_or_else(|broken| broken)
}

fn raise(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let make = MAKE.get_or_try_init(py, || py.import("smalt.errors")?.getattr("_made").map(Bound::unbind))?;
    let info = error.info();
    let context = PyDict::new(py);
    for (name, value) in &info.context {
        context.set_item(name, value)?;
    }
    let retry = match info.retry {
        smalt::Retry::Never => "never",
        smalt::Retry::Later => "later",
        smalt::Retry::AfterReauth => "after_reauth",
    };
    let after = info.retry_after.map(|wait| wait.as_secs_f64());
    let parts =
        (error.kind().as_str(), info.code.as_str(), &info.reason, retry, after, info.http_status, &info.request_id, context, &info.trace);
    Ok(PyErr::from_value(make.bind(py).call1(parts)?))
}

/// The error that an exception of this package stands for, e.g. one that passed through a plugin.
pub fn error(exception: &Bound<'_, PyAny>) -> PyResult<Error> {
    let code: String = exception.getattr("code")?.extract()?;
    let reason: String = exception.getattr("reason")?.extract()?;
    let mut error = Error::received(Code::parse(&code).unwrap_or(Code::PluginFailed), reason);
    for (name, value) in exception.getattr("context")?.extract::<BTreeMap<String, String>>()? {
        error = error.with(&name, value);
    }
    if let Ok(seconds) = exception.getattr("_retry_after_seconds")?.extract::<f64>()
        && let Ok(wait) = Duration::try_from_secs_f64(seconds)
    {
        error = error.retry_after(wait);
    }
    Ok(match exception.getattr("trace")?.extract::<Option<String>>()? {
        Some(trace) => error.trace(trace),
        None => error,
    })
}

/// What can go wrong on the way: an error of Smalt, or an exception of Python's own.
pub fn raised<T>(py: Python<'_>, result: smalt::Result<T>) -> PyResult<T> {
    result.map_err(|error| exception(py, &error))
}
