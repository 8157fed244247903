//! A Smalt server: `POST /smalt/v1/<operation>`, with the doorway's own JSON.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64ct::{Base64UrlUnpadded, Encoding};
use tokio::time::Instant;

use super::{
    link::{Call, Link, json},
    retry::Effect,
};
use crate::{
    Secret,
    backend::*,
    error::{Error, Result, err},
    expose::{Expose, Exposed, Received},
    model::*,
    operations::Operation,
    plugin::{HttpStream, StreamRequest, Upload},
    project::Project,
};

/// How long one request waits at the server. What takes longer is asked for again: proxies and servers end requests that last.
const PIECE: Duration = Duration::from_secs(25);

/// The operations of a Smalt server.
pub(super) struct Doorway {
    link: Arc<Link>,
    server: Capabilities,
    offered: BTreeSet<String>,
}

impl Doorway {
    pub(super) fn new(link: Arc<Link>, server: Capabilities) -> Self {
        Self { link, offered: server.operations.iter().cloned().collect(), server }
    }

    async fn call<A: Received>(&self, caller: &Caller, operation: Operation, request: &impl Expose) -> Result<A> {
        self.call_as(caller, operation, request, |_| {}).await
    }

    async fn call_as<A: Received>(
        &self,
        caller: &Caller,
        operation: Operation,
        request: &impl Expose,
        change: impl FnOnce(&mut Call),
    ) -> Result<A> {
        let mut call = self.begin(operation)?.with_body(request)?;
        change(&mut call);
        let named = |error: Error| error.with("server", &self.link.host).with("operation", operation.row().name);
        self.link.send(caller, &mut call).await?.read().map_err(named)
    }

    fn begin(&self, operation: Operation) -> Result<Call> {
        operation.offered_remotely()?;
        let name = operation.row().name;
        if !self.offered.contains(name) {
            let (host, version) = (&self.link.host, &self.server.version);
            return Err(err!(Unsupported, "the server at `{host}` (Smalt {version}) does not offer `{name}`")
                .with("operation", name)
                .with("server", host));
        }
        Ok(Call::new(operation, "POST", format!("/smalt/v1/{name}")))
    }

    /// What the call is stands in a header, since the body is the application's.
    async fn pass(&self, caller: &Caller, request: ApiRequest, upload: Option<Upload>) -> Result<HttpStream> {
        let mut call = self.begin(Operation::Request)?;
        call.path = "/smalt/v1/request/stream".to_owned();
        // Nobody knows what a body that broke midway has done.
        call.effect = if upload.is_some() { Effect::Once } else { Effect::of_method(&request.method) };
        let told = json(&Exposed(&request))?;
        call.headers.push(("smalt-request", Base64UrlUnpadded::encode_string(&told)));
        let (silence, most) = (provider_time(request.timeout), request.max_body.unwrap_or(StreamRequest::MOST));
        self.link.stream(caller, call, silence, most, upload).await
    }

    /// A session whose tokens come from a provider names none and means its own.
    async fn own(&self, caller: &Caller, token: Secret) -> Result<Secret> {
        match caller {
            Caller::Session(held) if held.is_empty() && token.is_empty() => Ok(self.link.token(caller).await?.unwrap_or(token)),
            _ => Ok(token),
        }
    }

    async fn wait_flow_in_pieces(&self, caller: &Caller, request: WaitFlow) -> Result<ConnectFlow> {
        let until = request.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let left = until.map_or(PIECE, |until| until.saturating_duration_since(Instant::now()));
            let piece = WaitFlow { timeout: Some(left.min(PIECE)), ..request.clone() };
            let flow: ConnectFlow = self.call_as(caller, Operation::WaitFlow, &piece, |call| call.extra_time = PIECE).await?;
            if flow.status.is_final() || left <= PIECE && until.is_some() {
                return Ok(flow);
            }
        }
    }

    async fn events_in_pieces(&self, caller: &Caller, request: ListEvents) -> Result<Page<Event>> {
        let until = request.wait.map(|wait| Instant::now() + wait);
        loop {
            let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            let piece = ListEvents { wait: request.wait.map(|_| left.min(PIECE)), ..request.clone() };
            let page: Page<Event> = self.call_as(caller, Operation::Events, &piece, |call| call.extra_time = left.min(PIECE)).await?;
            if !page.items.is_empty() || left <= PIECE {
                return Ok(page);
            }
        }
    }
}

/// Bytes travel as base64.
fn in_base64(max_body: Option<u64>) -> usize {
    usize::try_from(max_body.unwrap_or_default() / 3 * 4 + 64 * 1024).unwrap_or(usize::MAX)
}

/// The provider's time comes on top of the server's.
fn provider_time(timeout: Option<Duration>) -> Duration {
    timeout.unwrap_or(Duration::from_secs(30))
}

/// How an operation is called; by itself, or as one of these needs it.
macro_rules! called {
    ($self:ident $caller:ident $request:ident wait_flow $operation:ident) => {
        $self.wait_flow_in_pieces($caller, $request).await
    };
    ($self:ident $caller:ident $request:ident events $operation:ident) => {
        $self.events_in_pieces($caller, $request).await
    };
    ($self:ident $caller:ident $request:ident revoke_session $operation:ident) => {{
        let token = $self.own($caller, $request.token).await?;
        $self.call($caller, Operation::$operation, &RevokeSession { token }).await
    }};
    ($self:ident $caller:ident $request:ident verify_session $operation:ident) => {{
        let token = $self.own($caller, $request.token).await?;
        $self.call($caller, Operation::$operation, &VerifySession { token }).await
    }};
    ($self:ident $caller:ident $request:ident create_session $operation:ident) => {
        $self.call_as($caller, Operation::$operation, &$request, |call| call.effect = Effect::of_session(&$request)).await
    };
    ($self:ident $caller:ident $request:ident update_config $operation:ident) => {
        $self.call_as($caller, Operation::$operation, &$request, |call| call.effect = Effect::of_update(&$request)).await
    };
    ($self:ident $caller:ident $request:ident disconnect $operation:ident) => {
        $self.call_as($caller, Operation::$operation, &$request, |call| call.extra_time = $request.wait.unwrap_or_default()).await
    };
    ($self:ident $caller:ident $request:ident request $operation:ident) => {
        called!($self $caller $request provider $operation)
    };
    ($self:ident $caller:ident $request:ident request_page $operation:ident) => {
        called!($self $caller $request provider $operation)
    };
    ($self:ident $caller:ident $request:ident provider $operation:ident) => {
        $self
            .call_as($caller, Operation::$operation, &$request, |call| {
                call.effect = Effect::of_method(&$request.method);
                call.extra_time = provider_time($request.timeout);
                call.max_answer = in_base64($request.max_body);
            })
            .await
    };
    ($self:ident $caller:ident $request:ident $name:ident $operation:ident) => {
        $self.call($caller, Operation::$operation, &$request).await
    };
}

macro_rules! implement {
    ($($(#[$doc:meta])* $name:ident: $operation:ident($request:ty) -> $answer:ty;)*) => {
        #[async_trait]
        impl Backend for Doorway {
            fn capabilities(&self) -> Capabilities {
                Capabilities { backend: "remote".to_owned(), ..self.server.clone() }
            }

            async fn request_stream(&self, caller: &Caller, request: ApiRequest, upload: Option<Upload>) -> Result<HttpStream> {
                self.pass(caller, request, upload).await
            }

            $(
                async fn $name(&self, caller: &Caller, request: $request) -> Result<$answer> {
                    called!(self caller request $name $operation)
                }
            )*
        }
    };
}

doorway!(implement);
