//! Calls into plugins that are written in Python.

use std::sync::Mutex;

use pyo3::prelude::*;
use smalt::{
    Exposed,
    backend::ApiRequest,
    manifest::AppManifest,
    plugin::{ConnectorContext, Fault},
};
use smalt_bridge::{Host, context_request};

use crate::{
    de::{from_python, reader},
    errors::{error, raised},
    exit::Inside,
    panics::here,
    ser::to_python,
    work::{Answer, Work},
};

/// The scope in which calls of a plugin run, and the plugin's name in errors.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Scope(pub smalt::plugin::Scope, String);

#[pymethods]
impl Scope {
    /// The plugin's name in errors, e.g. `connector slack`.
    #[getter]
    fn plugin(&self) -> &str {
        here();
        &self.1
    }
}

/// A call into a plugin.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct HostCall {
    call: smalt_bridge::HostCall,
    host: Host,
    answered: Mutex<bool>,
}

impl HostCall {
    pub fn new(call: smalt_bridge::HostCall, host: Host) -> Self {
        Self { call, host, answered: Mutex::new(false) }
    }

    fn end(&self, answer: Result<smalt_bridge::HostAnswer, Fault>) -> bool {
        if let Ok(mut answered) = self.answered.lock() {
            *answered = true;
        }
        self.host.answer(self.call.number, answer)
    }
}

#[pymethods]
impl HostCall {
    /// Its number; a cancel names it.
    #[getter]
    fn number(&self) -> u64 {
        here();
        self.call.number
    }

    /// The connector's slug, or `presenter`, `keys`, `runner`.
    #[getter]
    fn plugin(&self) -> &str {
        here();
        self.call.plugin()
    }

    /// The method's name.
    #[getter]
    fn what(&self) -> &'static str {
        here();
        self.call.what.name()
    }

    /// The method's arguments, by name.
    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        here();
        let _inside = Inside::enter(py);
        to_python(py, &self.call.arguments)
    }

    /// What a connector is given.
    #[getter]
    fn context(&self) -> Option<Context> {
        here();
        self.call.context.clone().map(Context)
    }

    #[getter]
    fn scope(&self) -> Scope {
        here();
        Scope(self.call.scope.clone(), self.call.label().to_owned())
    }

    /// Seconds.
    #[getter]
    fn deadline(&self) -> f64 {
        here();
        self.call.deadline.as_secs_f64()
    }

    /// Hands the answer in. False when nobody waits any more.
    fn answer(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> bool {
        here();
        let _inside = Inside::enter(py);
        self.end(self.call.read(reader(value)))
    }

    /// The plugin refuses the credentials.
    fn reject(&self, reason: String) -> bool {
        here();
        self.end(Err(Fault::Rejected(reason)))
    }

    /// The plugin failed.
    #[pyo3(signature = (message, trace=None))]
    fn fail(&self, message: String, trace: Option<String>) -> bool {
        here();
        self.end(Err(Fault::Failed { message, trace }))
    }

    /// The plugin ended in a way that is not meant to be caught.
    #[pyo3(signature = (message, trace=None))]
    fn panicked(&self, message: &str, trace: Option<String>) -> bool {
        here();
        self.end(Err(self.call.panicked(message, trace)))
    }

    /// An error of Smalt passed through the plugin.
    fn pass_on(&self, exception: &Bound<'_, PyAny>) -> PyResult<bool> {
        here();
        let _inside = Inside::enter(exception.py());
        Ok(self.end(Err(Fault::Smalt(error(exception)?))))
    }

    fn __repr__(&self) -> String {
        here();
        format!("<call {} of {}.{}>", self.call.number, self.call.plugin(), self.call.what.name())
    }
}

/// What a connector is given: the credential, and an authenticated way to the application.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Context(ConnectorContext);

#[pymethods]
impl Context {
    /// The linked account.
    #[getter]
    fn account_id(&self) -> &str {
        here();
        &self.0.account_id
    }

    /// The application's slug.
    #[getter]
    fn application(&self) -> &str {
        here();
        &self.0.application
    }

    /// The credential; `None` while the application is not connected.
    #[getter]
    fn credential<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        here();
        let _inside = Inside::enter(py);
        to_python(py, &self.0.credential.as_ref().map(Exposed))
    }

    /// An authenticated call.
    fn request(&self, py: Python<'_>, request: &Bound<'_, PyAny>) -> PyResult<Work> {
        here();
        let _inside = Inside::enter(py);
        let (context, request) = (self.0.clone(), raised(py, from_python::<ApiRequest>("the request", request))?);
        Ok(Work::new(async move { context_request(context, request).await.map(Answer::Api) }))
    }
}

/// Reads a manifest file into plain values: `(slug, manifest)`.
#[pyfunction]
pub fn load_manifest<'py>(py: Python<'py>, path: std::path::PathBuf) -> PyResult<(String, Bound<'py, PyAny>)> {
    here();
    let _inside = Inside::enter(py);
    let manifest = raised(py, AppManifest::load(path))?;
    Ok((manifest.slug.clone(), to_python(py, &manifest)?))
}
