use pyo3::{
    prelude::*,
    types::{PyDict, PyString},
};
use smalt::{
    Code, Error, Secret,
    backend::{AnyAnswer, AnyRequest, Caller, GetCredential},
    manifest::AppManifest,
    operations::Operation,
    vault::LocalKey,
};
use smalt_bridge::{ConnectOptions, EmbeddedOptions, HostConnector, HostKeys, HostPresenter, HostRunner, Plugins, UploadOptions, What};

use crate::{
    de::{from_python, reader},
    errors::{exception, raised},
    exit::Inside,
    kept::Kept,
    panics::here,
    plugin::Scope,
    port::Port,
    ser::to_python,
    testing::FixedClock,
    upload::Upload,
    work::{Answer, Work},
};

/// An engine, and the authority in which it is asked.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Engine {
    engine: smalt_bridge::Engine,
    caller: Caller,
    /// The name for the audit, by which `ready` tells askers apart; `None` for the holder of a session token, who is given no credentials.
    #[pyo3(get)]
    actor: Option<Py<PyString>>,
    kept: Kept,
}

impl Engine {
    pub fn of(py: Python<'_>, engine: smalt_bridge::Engine) -> Self {
        Self::asked_by(py, engine, "organisation", Kept::new(py))
    }

    fn asked_by(py: Python<'_>, engine: smalt_bridge::Engine, actor: &str, kept: Kept) -> Self {
        Self { engine, caller: Caller::Organisation(actor.into()), actor: Some(PyString::new(py, actor).unbind()), kept }
    }

    /// The handle of core.
    pub fn smalt(&self) -> smalt::Result<smalt::Smalt> {
        self.engine.smalt().cloned()
    }
}

fn scope(scope: Option<&Bound<'_, Scope>>) -> smalt::plugin::Scope {
    scope.map(|scope| scope.get().0.clone()).unwrap_or_default()
}

#[pymethods]
impl Engine {
    /// Credentials that were in memory, by actor, account, application and connection; asked by the package before this engine is.
    #[getter]
    fn ready(&self, py: Python<'_>) -> Py<PyDict> {
        here();
        self.kept.ready(py)
    }

    /// The same engine, asked by the holder of a session token.
    fn session(&self, token: &Bound<'_, PyAny>) -> PyResult<Engine> {
        here();
        let py = token.py();
        let token: Secret = raised(py, from_python("the session's token", token))?;
        Ok(Self { engine: self.engine.clone(), caller: Caller::Session(token), actor: None, kept: Kept::new(py) })
    }

    /// The same engine, with another name for the audit.
    fn acting_as(&self, py: Python<'_>, actor: &str) -> Engine {
        here();
        Self::asked_by(py, self.engine.clone(), actor, self.kept.clone())
    }

    /// The ready operation: from memory, without waiting. `None` when it has to wait.
    /// It is in `ready` afterwards.
    #[pyo3(signature = (account, application, connection))]
    fn try_credential<'py>(
        &self,
        py: Python<'py>,
        account: &Bound<'py, PyString>,
        application: &Bound<'py, PyString>,
        connection: Option<&Bound<'py, PyString>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        here();
        let request = GetCredential {
            account: account.to_str()?.into(),
            application: application.to_str()?.into(),
            connection: connection.map(|connection| connection.to_str().map(Into::into)).transpose()?,
        };
        match self.engine.try_credential(&self.caller, &request) {
            None => Ok(None),
            Some(Ok((credential, ready))) => {
                let _inside = Inside::enter(py);
                let key = (&self.actor, account, application, connection).into_pyobject(py)?;
                self.kept.ready_object(py, key, &credential, ready).map(Some)
            }
            Some(Err(error)) => Err(exception(py, &error)),
        }
    }

    /// An operation, by its name.
    #[pyo3(signature = (name, request, within=None))]
    fn operation(&self, py: Python<'_>, name: &str, request: &Bound<'_, PyAny>, within: Option<&Bound<'_, Scope>>) -> PyResult<Work> {
        here();
        let _inside = Inside::enter(py);
        // Shows that a panic stays in its call; no wheel that is given away has it.
        #[cfg(debug_assertions)]
        if name == "panic" {
            return Ok(Work::new(async { crate::panics::in_a_call() }));
        }
        let made = smalt_bridge::contained(|| {
            let operation = Operation::named(name).ok_or_else(|| Error::new(Code::Unsupported, "there is no such operation"))?;
            self.engine.smalt()?;
            AnyRequest::read(operation, reader(request))
        });
        let call = self.engine.call(self.caller.clone(), raised(py, made)?, scope(within));
        let kept = self.kept.clone();
        Ok(Work::new(async move {
            call.await.map(|answer| match answer {
                AnyAnswer::Credential(credential) => Answer::Credential(credential, kept),
                answer => Answer::Operation(answer),
            })
        }))
    }

    /// Connects an application.
    #[pyo3(signature = (options, within=None))]
    fn connect(&self, py: Python<'_>, options: &Bound<'_, PyAny>, within: Option<&Bound<'_, Scope>>) -> PyResult<Work> {
        here();
        let _inside = Inside::enter(py);
        let options: ConnectOptions = raised(py, from_python("`connect`", options))?;
        let connect = self.engine.connect(self.caller.clone(), options, scope(within));
        Ok(Work::new(async move { connect.await.map(|connection| Answer::Connection(Box::new(connection))) }))
    }

    /// An authenticated call whose body comes in parts: they are handed over while it goes on.
    #[pyo3(signature = (options, body, within=None))]
    fn upload(
        &self,
        py: Python<'_>,
        options: &Bound<'_, PyAny>,
        body: &Bound<'_, Upload>,
        within: Option<&Bound<'_, Scope>>,
    ) -> PyResult<Work> {
        here();
        let _inside = Inside::enter(py);
        let options: UploadOptions = raised(py, from_python("`upload`", options))?;
        let upload = self.engine.upload(self.caller.clone(), options, body.get().take()?, scope(within));
        Ok(Work::new(async move { upload.await.map(Answer::Api) }))
    }

    /// What the backend can do.
    fn capabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        here();
        let _inside = Inside::enter(py);
        to_python(py, &raised(py, self.engine.capabilities())?)
    }

    /// Writes what is outstanding and releases the store.
    fn close(&self, py: Python<'_>) -> Work {
        here();
        let _inside = Inside::enter(py);
        // At once: the wait for the end may be given up.
        let closing = self.kept.close(py);
        let engine = self.engine.clone();
        Work::new(async move {
            closing.begins();
            engine.close().await;
            Ok(Answer::Closed)
        })
    }
}

/// A connector of Python's: its slug, its manifest, and the methods that it has.
type Connector<'py> = (String, Option<Bound<'py, PyAny>>, Vec<String>);

/// Opens an embedded engine. Plugins are called through the port: connectors, a presenter (its name and redirect URI), a key
/// provider and a runner.
#[pyfunction]
#[pyo3(signature = (options, port=None, connectors=Vec::new(), presenter=None, keys=false, runner=false, clock=None))]
#[allow(clippy::too_many_arguments)]
pub fn open_embedded<'py>(
    py: Python<'py>,
    options: &Bound<'py, PyAny>,
    port: Option<&Bound<'py, Port>>,
    connectors: Vec<Connector<'py>>,
    presenter: Option<(String, Option<String>)>,
    keys: bool,
    runner: bool,
    clock: Option<&Bound<'py, FixedClock>>,
) -> PyResult<Work> {
    here();
    let _inside = Inside::enter(py);
    let options: EmbeddedOptions = raised(py, from_python("the options", options))?;
    let mut plugins = Plugins { clock: clock.map(|clock| clock.get().0.clone()), ..Plugins::default() };
    let deadline = options.timings.plugin;
    if let Some(port) = port {
        let host = port.get().host();
        for (slug, manifest, methods) in connectors {
            let manifest: Option<AppManifest> = match manifest {
                Some(manifest) => Some(raised(py, from_python("the manifest", &manifest))?),
                None => None,
            };
            let methods = methods.iter().filter_map(|method| What::named(method));
            plugins.connectors.push(HostConnector::new(host.clone(), &slug, manifest, methods, deadline));
        }
        plugins.presenter = presenter.map(|(name, redirect_uri)| HostPresenter::new(host.clone(), &name, redirect_uri));
        plugins.keys = keys.then(|| HostKeys::new(host.clone()));
        plugins.runner = runner.then(|| HostRunner::new(host, deadline));
    }
    Ok(Work::new(async move { smalt_bridge::Engine::embedded(options, plugins).await.map(Answer::Engine) }))
}

/// A handle on a server.
#[pyfunction]
#[pyo3(signature = (options, port=None, presenter=None))]
pub fn open_remote(
    py: Python<'_>,
    options: &Bound<'_, PyAny>,
    port: Option<&Bound<'_, Port>>,
    presenter: Option<(String, Option<String>)>,
) -> PyResult<Engine> {
    here();
    let _inside = Inside::enter(py);
    let presenter = port.zip(presenter).map(|(port, (name, redirect_uri))| HostPresenter::new(port.get().host(), &name, redirect_uri));
    let made = smalt_bridge::contained(|| smalt_bridge::Engine::remote(from_python("the options", options)?, presenter));
    raised(py, made).map(|engine| Engine::of(py, engine))
}

/// A new master key's text.
#[pyfunction]
pub fn make_key(py: Python<'_>) -> PyResult<crate::secret::Secret> {
    here();
    raised(py, LocalKey::generate().map(|key| crate::secret::Secret(key.text())))
}
