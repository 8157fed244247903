use std::{collections::BTreeMap, future::Future, sync::Arc};

use smalt::{
    Result, Secret, Smalt,
    backend::{AnyAnswer, AnyRequest, Caller, Capabilities, Found, GetCredential},
    model::{ApiAnswer, AuthType, Connection, Credential},
    plugin::{Scope, Upload},
};

use crate::{PartsSource, Process, UploadOptions, open::seconds};

/// One organisation in one environment, as a binding holds it. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    smalt: Smalt,
    process: Process,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({:?})", self.process)
    }
}

/// A credential that was in memory, as the host has it in a form of its own; see [`Engine::try_credential`].
#[derive(Debug)]
pub struct Ready {
    process: Process,
    found: Found,
}

impl Ready {
    /// Whether the credential is still the one to use; else ask for it anew. That is a read of it, counted in the audit.
    pub fn counts(&self) -> bool {
        self.process.is_still_here() && self.found.counts()
    }
}

/// How [`Engine::connect`] connects: what a builder of a connect takes in Rust.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectOptions {
    /// The linked account's id.
    pub account: String,
    /// The application's slug.
    pub application: String,
    /// What the user entered, by input name.
    pub inputs: BTreeMap<String, Secret>,
    /// Which way to authorise, where the application offers several; default its first.
    pub auth_type: Option<AuthType>,
    /// Scopes to ask for, in place of the project's; required ones are always added.
    pub scopes: Option<Vec<String>>,
    /// The connection to authorise again.
    pub connection: Option<String>,
    /// Takes the device flow (RFC 8628): the presenter shows a code, and the user enters it on any device.
    pub device: bool,
    /// Seconds that the user may take, above zero; then the flow is cancelled and the call ends as `connect_timeout`. Default, and
    /// at most: as long as the flow lives, which ends as `flow_expired`: 10 minutes for a page, and for a code what the provider says.
    pub timeout: Option<f64>,
}

/// What [`Engine::resume`] goes on with.
#[derive(Debug, serde::Deserialize)]
pub struct ResumeOptions {
    /// The linked account's id.
    pub account: String,
    /// The flow's id.
    pub flow: String,
    /// Where the user came back to: a URL with a one-time claim in it.
    pub returned: Option<Secret>,
}

impl Engine {
    /// Over any handle of core, e.g. a remote one.
    pub fn over(smalt: Smalt) -> Self {
        Self { smalt, process: Process::here() }
    }

    /// The handle itself.
    ///
    /// # Errors
    /// `closed` in a forked child.
    pub fn smalt(&self) -> Result<&Smalt> {
        self.process.check()?;
        Ok(&self.smalt)
    }

    /// What the backend can do.
    ///
    /// # Errors
    /// `closed` in a forked child.
    pub fn capabilities(&self) -> Result<Capabilities> {
        Ok(self.smalt()?.capabilities())
    }

    /// The ready operation, on the caller's own thread: from memory, without waiting. `None` when the call has to wait. Host code that
    /// runs inside a plugin's call must not ask it, but [`Engine::call`] with its scope.
    ///
    /// The host keeps the credential in its own form, and asks [`Ready::counts`] when it wants it again.
    pub fn try_credential(&self, caller: &Caller, request: &GetCredential) -> Option<Result<(Arc<Credential>, Ready)>> {
        if let Err(error) = self.process.check_still() {
            return Some(Err(error));
        }
        let (credential, found) = self.smalt.backend().find_credential(caller, request)?;
        Some(Ok((credential, Ready { process: self.process, found })))
    }

    /// An operation. The scope is that of the plugin's call from inside which it is made, else empty.
    pub fn call(&self, caller: Caller, request: AnyRequest, scope: Scope) -> impl Future<Output = Result<AnyAnswer>> + Send + use<> {
        let engine = self.clone();
        scope.run(async move { smalt::backend::call(&**engine.smalt()?.backend(), &caller, request).await })
    }

    /// Connects an application: shows the authorize page with the engine's presenter, or verifies and saves the inputs.
    pub fn connect(
        &self,
        caller: Caller,
        options: ConnectOptions,
        scope: Scope,
    ) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let engine = self.clone();
        scope.run(async move {
            let ConnectOptions { account, application, inputs, auth_type, scopes, connection, device, timeout } = options;
            let mut connect = engine.smalt()?.connect_as(caller, account, application).inputs(inputs);
            if let Some(auth_type) = auth_type {
                connect = connect.auth_type(auth_type);
            }
            if let Some(scopes) = scopes {
                connect = connect.scopes(scopes);
            }
            if let Some(connection) = connection {
                connect = connect.connection(connection);
            }
            if device {
                connect = connect.device();
            }
            if let Some(time) = timeout {
                connect = connect.timeout(seconds("timeout", time)?);
            }
            connect.await
        })
    }

    /// An authenticated call whose body comes in parts. Its answer comes whole, up to 8 MiB.
    ///
    /// A token that died meanwhile is renewed; what was sent is gone, so that ends as `upload_not_repeated`.
    pub fn upload(
        &self,
        caller: Caller,
        options: UploadOptions,
        body: PartsSource,
        scope: Scope,
    ) -> impl Future<Output = Result<ApiAnswer>> + Send + use<> {
        let engine = self.clone();
        scope.run(async move {
            let UploadOptions { request, content_type, length } = options;
            let mut upload = Upload::new(content_type.unwrap_or_else(|| "application/octet-stream".into()), body);
            upload.length = length;
            engine.smalt()?.backend().request_stream(&caller, request, Some(upload)).await?.whole(ApiAnswer::MOST).await
        })
    }

    /// The connection that a flow makes which was begun elsewhere, or in a process that is gone; `returned` is where its user came back to.
    pub fn resume(&self, caller: Caller, options: ResumeOptions, scope: Scope) -> impl Future<Output = Result<Connection>> + Send + use<> {
        let engine = self.clone();
        scope.run(async move {
            let ResumeOptions { account, flow, returned } = options;
            let flow = engine.smalt()?.flow_as(caller, account, flow);
            flow.resume(returned.as_ref().map(Secret::expose)).await
        })
    }

    /// Writes what is outstanding and releases the store. In a forked child there is nothing to do: the store is the parent's.
    pub async fn close(&self) {
        if self.process.is_here() {
            self.smalt.close().await;
        }
    }
}
