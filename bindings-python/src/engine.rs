use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use pyo3::prelude::*;
use smalt::{
    Code, Error, Exposed, Secret,
    backend::{AnyRequest, Caller, GetCredential},
    manifest::AppManifest,
    model::Credential,
    operations::Operation,
    vault::LocalKey,
};
use smalt_bridge::{ConnectOptions, EmbeddedOptions, HostConnector, HostKeys, HostPresenter, HostRunner, Plugins, What};

use crate::{
    de::{from_python, reader},
    errors::{exception, raised},
    exit::Inside,
    panics::here,
    plugin::Scope,
    port::Port,
    ser::to_python,
    testing::FixedClock,
    work::{Answer, Work},
};

/// How many credentials are kept as Python objects.
const KEPT: usize = 4096;

/// Credentials as Python objects, by where core has them; core decides, and ours is used while core answers the very same one.
/// The weak reference keeps the place from being used again.
type Kept = HashMap<usize, (Weak<Credential>, Py<PyAny>)>;

/// An engine, and the authority in which it is asked.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Engine {
    engine: smalt_bridge::Engine,
    caller: Caller,
    kept: Arc<Mutex<Kept>>,
}

impl Engine {
    pub fn of(engine: smalt_bridge::Engine) -> Self {
        Self { engine, caller: Caller::Organisation("organisation".into()), kept: Arc::default() }
    }

    /// The handle of core.
    pub fn smalt(&self) -> smalt::Result<smalt::Smalt> {
        self.engine.smalt().cloned()
    }

    fn object<'py>(&self, py: Python<'py>, credential: &Arc<Credential>) -> PyResult<Bound<'py, PyAny>> {
        let place = Arc::as_ptr(credential) as usize;
        if let Ok(kept) = self.kept.lock()
            && let Some((known, object)) = kept.get(&place)
            && std::ptr::eq(known.as_ptr(), Arc::as_ptr(credential))
        {
            return Ok(object.bind(py).clone());
        }
        let object = to_python(py, &Exposed(&**credential))?;
        let dead: Vec<_> = match self.kept.lock() {
            Ok(mut kept) => {
                // What core let go of goes here, too: its secrets are wiped with the last reference.
                let gone: Vec<usize> = kept.iter().filter(|(_, (known, _))| known.strong_count() == 0).map(|(place, _)| *place).collect();
                let dead = gone.iter().filter_map(|place| kept.remove(place)).collect();
                if kept.len() < KEPT {
                    kept.insert(place, (Arc::downgrade(credential), object.clone().unbind()));
                }
                dead
            }
            Err(_) => Vec::new(),
        };
        // Dropping objects can run Python code, which must not meet the lock.
        drop(dead);
        Ok(object)
    }
}

fn scope(scope: Option<&Bound<'_, Scope>>) -> smalt::plugin::Scope {
    scope.map(|scope| scope.get().0.clone()).unwrap_or_default()
}

#[pymethods]
impl Engine {
    /// The same engine, asked by the holder of a session token.
    fn session(&self, token: &Bound<'_, PyAny>) -> PyResult<Engine> {
        here();
        let token: Secret = raised(token.py(), from_python("the session's token", token))?;
        Ok(Self { engine: self.engine.clone(), caller: Caller::Session(token), kept: Arc::default() })
    }

    /// The same engine, with another name for the audit.
    fn acting_as(&self, actor: &str) -> Engine {
        here();
        Self { engine: self.engine.clone(), caller: Caller::Organisation(actor.into()), kept: self.kept.clone() }
    }

    /// The ready operation: from memory, without waiting. `None` when it has to wait.
    #[pyo3(signature = (account, application, connection))]
    fn try_credential<'py>(
        &self,
        py: Python<'py>,
        account: &str,
        application: &str,
        connection: Option<&str>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        here();
        let request = GetCredential { account: account.into(), application: application.into(), connection: connection.map(Into::into) };
        match self.engine.try_credential(&self.caller, &request) {
            None => Ok(None),
            Some(Ok(credential)) => {
                let _inside = Inside::enter(py);
                self.object(py, &credential).map(Some)
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
        Ok(Work::new(async move { call.await.map(Answer::Operation) }))
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

    /// What the backend can do.
    fn capabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        here();
        let _inside = Inside::enter(py);
        to_python(py, &raised(py, self.engine.capabilities())?)
    }

    /// Writes what is outstanding and releases the store.
    fn close(&self) -> Work {
        here();
        let engine = self.engine.clone();
        Work::new(async move {
            engine.close().await;
            Ok(Answer::Nothing)
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
    raised(py, made).map(Engine::of)
}

/// A new master key's text.
#[pyfunction]
pub fn make_key(py: Python<'_>) -> PyResult<crate::secret::Secret> {
    here();
    raised(py, LocalKey::generate().map(|key| crate::secret::Secret(key.text())))
}
