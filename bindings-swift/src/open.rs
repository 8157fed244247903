//! Opening engines, handles on servers, and sessions.

#[cfg(feature = "embedded")]
use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use smalt::Result;
#[cfg(feature = "embedded")]
use smalt::manifest::AppManifest;
use smalt_bridge::{Engine, Host, HostPresenter, HostTokens, RemoteOptions, SessionOptions, misread_json};

use crate::{
    call::{ENGINES, Open, begin},
    error::{Failed, raised},
    host::Home,
    port::Port,
};

/// A plugin of the host that behaves as an application.
#[cfg(feature = "embedded")]
#[derive(Deserialize)]
struct OwnConnector {
    slug: String,
    manifest: Option<AppManifest>,
    /// The methods that it has; the others are never asked for.
    methods: Vec<String>,
}

#[derive(Deserialize)]
struct OwnPresenter {
    name: String,
    redirect_uri: Option<String>,
}

/// What the host brings along.
#[derive(Default, Deserialize)]
#[serde(default)]
#[cfg_attr(not(feature = "embedded"), allow(dead_code))]
struct Own {
    /// How the host knows these plugins.
    home: u64,
    #[cfg(feature = "embedded")]
    connectors: Vec<OwnConnector>,
    presenter: Option<OwnPresenter>,
    keys: bool,
    runner: bool,
    tokens: bool,
    clock: Option<u64>,
}

impl Own {
    fn presenter(&mut self, host: &Host) -> Option<HostPresenter> {
        self.presenter.take().map(|own| HostPresenter::new(host.clone(), &own.name, own.redirect_uri))
    }
}

/// Options, then what the host brings along. What is said of a mistake repeats no value: a key may be among them.
fn read<T: DeserializeOwned>(text: &[u8]) -> Result<(T, Own)> {
    const OPTIONS: &str = "the options";
    let mut texts = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let mut next = || texts.next().unwrap_or(Ok(Value::Null)).map_err(|error| misread_json(OPTIONS, error));
    let (options, own) = (next()?, next()?);
    let options = T::deserialize(options).map_err(|error| misread_json(OPTIONS, error))?;
    Ok((options, Own::deserialize(own).map_err(|error| misread_json(OPTIONS, error))?))
}

/// Opens an embedded engine; its number is answered in the port.
///
/// # Errors
/// `closed` when there is no such port.
#[uniffi::export]
pub fn open_embedded(port: u64, number: u64, options: Vec<u8>) -> Result<(), Failed> {
    raised(|| {
        let port = Port::of(port)?;
        let opening = smalt_bridge::contained(|| engine(&port, &options));
        begin(&port, number, None, async move { opening?.await });
        Ok(())
    })
}

/// Opens it, and answers its number.
#[cfg(feature = "embedded")]
fn engine(port: &Arc<Port>, options: &[u8]) -> Result<impl Future<Output = Result<Vec<u8>>> + Send + use<>> {
    use smalt_bridge::{EmbeddedOptions, HostConnector, HostKeys, HostRunner, Plugins, What};
    let (options, mut own) = read::<EmbeddedOptions>(options)?;
    let (home, deadline) = (Home::new(port, own.home), options.timings.plugin);
    let (host, presenter) = (&home.host, own.presenter(&home.host));
    let connectors = own.connectors.into_iter().map(|own| {
        let methods = own.methods.iter().filter_map(|method| What::named(method));
        HostConnector::new(host.clone(), &own.slug, own.manifest, methods, deadline)
    });
    let plugins = Plugins {
        connectors: connectors.collect(),
        presenter,
        keys: own.keys.then(|| HostKeys::new(host.clone())),
        runner: own.runner.then(|| HostRunner::new(host.clone(), deadline)),
        clock: own.clock.map(|clock| crate::testing::CLOCKS.get(clock)).transpose()?,
    };
    let port = port.clone();
    Ok(async move {
        let engine = Engine::embedded(options, plugins).await?;
        crate::error::written(&ENGINES.put(Open::new(engine, port, home)))
    })
}

#[cfg(not(feature = "embedded"))]
fn engine(_: &Arc<Port>, _: &[u8]) -> Result<std::future::Ready<Result<Vec<u8>>>> {
    Err(smalt::Error::new(smalt::Code::Unsupported, "there is no engine in this build: speak to a server"))
}

/// A handle on a server: its number.
///
/// # Errors
/// `invalid_request`, `address_refused`; `closed` when there is no such port.
#[uniffi::export]
pub fn open_remote(port: u64, options: Vec<u8>) -> Result<u64, Failed> {
    raised(|| {
        let port = Port::of(port)?;
        let (options, mut own) = read::<RemoteOptions>(&options)?;
        let home = Home::new(&port, own.home);
        let engine = Engine::remote(options, own.presenter(&home.host))?;
        Ok(ENGINES.put(Open::new(engine, port, home)))
    })
}

/// A session at a server: its number. Its calls name its token, or an empty one where tokens come from the host.
///
/// # Errors
/// `invalid_request`, `address_refused`; `closed` when there is no such port.
#[uniffi::export]
pub fn open_session(port: u64, options: Vec<u8>) -> Result<u64, Failed> {
    raised(|| {
        let port = Port::of(port)?;
        let (options, mut own) = read::<SessionOptions>(&options)?;
        let home = Home::new(&port, own.home);
        let tokens = own.tokens.then(|| HostTokens::new(home.host.clone()));
        let (engine, _) = Engine::session(options, tokens, own.presenter(&home.host))?;
        Ok(ENGINES.put(Open::new(engine, port, home)))
    })
}
