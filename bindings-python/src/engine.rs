use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use pyo3::{
    prelude::*,
    types::{PyDict, PyString, PyTuple},
};
use smalt::{
    Code, Error, Exposed, Secret,
    backend::{AnyAnswer, AnyRequest, Caller, GetCredential},
    manifest::AppManifest,
    model::Credential,
    operations::Operation,
    vault::LocalKey,
};
use smalt_bridge::{ConnectOptions, EmbeddedOptions, HostConnector, HostKeys, HostPresenter, HostRunner, Plugins, Sweep, What};

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

/// By where core has them. The weak reference keeps the place from being used again.
type Objects = HashMap<usize, (Weak<Credential>, Py<PyAny>)>;

/// Credentials as Python objects; core decides, and ours is used while core answers the very same one.
#[derive(Clone, Default)]
pub struct Kept(Arc<(Mutex<Objects>, Sweep)>);

impl Kept {
    /// The credential's object: the kept one, or a new one.
    pub fn object<'py>(&self, py: Python<'py>, credential: &Arc<Credential>) -> PyResult<Bound<'py, PyAny>> {
        let place = Arc::as_ptr(credential) as usize;
        let (objects, sweep) = &*self.0;
        if let Ok(kept) = objects.lock()
            && let Some((known, object)) = kept.get(&place)
            && std::ptr::eq(known.as_ptr(), Arc::as_ptr(credential))
        {
            return Ok(object.bind(py).clone());
        }
        let object = to_python(py, &Exposed(&**credential))?;
        let mut dead = Vec::new();
        if let Ok(mut kept) = objects.lock() {
            if sweep.is_due(kept.len()) {
                // What core let go of goes here, too: its secrets are wiped with the last reference.
                dead.extend(kept.extract_if(|_, (known, _)| known.strong_count() == 0));
                if sweep.done(kept.len()) {
                    dead.extend(kept.drain());
                }
            }
            dead.extend(kept.insert(place, (Arc::downgrade(credential), object.clone().unbind())).map(|before| (place, before)));
        }
        // Dropping objects can run Python code, which must not meet the lock.
        drop(dead);
        Ok(object)
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

/// An engine, and the authority in which it is asked.
#[pyclass(frozen, module = "smalt._smalt")]
pub struct Engine {
    engine: smalt_bridge::Engine,
    caller: Caller,
    kept: Kept,
    /// By account, application and connection; asked by the package before this engine is.
    #[pyo3(get)]
    ready: Py<PyDict>,
    sweep: Sweep,
}

impl Engine {
    pub fn of(py: Python<'_>, engine: smalt_bridge::Engine) -> Self {
        Self::asked_by(py, engine, Caller::Organisation("organisation".into()))
    }

    fn asked_by(py: Python<'_>, engine: smalt_bridge::Engine, caller: Caller) -> Self {
        Self { engine, caller, kept: Kept::default(), ready: PyDict::new(py).unbind(), sweep: Sweep::default() }
    }

    /// The handle of core.
    pub fn smalt(&self) -> smalt::Result<smalt::Smalt> {
        self.engine.smalt().cloned()
    }

    /// Keeps what was in memory under its key.
    fn keep<'py>(&self, py: Python<'py>, key: Bound<'py, PyTuple>, ready: Ready) -> PyResult<()> {
        let known = self.ready.bind(py);
        if self.sweep.is_due(known.len()) {
            // A list of its own: dropping objects can run Python code.
            let gone = |value: &Bound<'py, PyAny>| value.cast::<Ready>().is_ok_and(|ready| ready.get().credential.strong_count() == 0);
            let gone: Vec<_> = known.iter().filter(|(_, value)| gone(value)).map(|(key, _)| key).collect();
            for key in gone {
                known.del_item(key)?;
            }
            if self.sweep.done(known.len()) {
                known.clear();
            }
        }
        known.set_item(key, ready)
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
        let py = token.py();
        let token: Secret = raised(py, from_python("the session's token", token))?;
        Ok(Self::asked_by(py, self.engine.clone(), Caller::Session(token)))
    }

    /// The same engine, with another name for the audit.
    fn acting_as(&self, py: Python<'_>, actor: &str) -> Engine {
        here();
        Self { kept: self.kept.clone(), ..Self::asked_by(py, self.engine.clone(), Caller::Organisation(actor.into())) }
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
                let object = self.kept.object(py, &credential)?;
                let ready = Ready { ready, credential: Arc::downgrade(&credential), object: object.clone().unbind() };
                self.keep(py, (account, application, connection).into_pyobject(py)?, ready)?;
                Ok(Some(object))
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
    raised(py, made).map(|engine| Engine::of(py, engine))
}

/// A new master key's text.
#[pyfunction]
pub fn make_key(py: Python<'_>) -> PyResult<crate::secret::Secret> {
    here();
    raised(py, LocalKey::generate().map(|key| crate::secret::Secret(key.text())))
}
