//! The remote backend: the operations of a server, over HTTP.
//!
//! [`Smalt::remote`](crate::Smalt::remote) takes an API key and has the organisation's authority,
//! [`Session::remote`](crate::Session::remote) a session token, or a provider of them, and has one linked account's. No I/O
//! happens before the first verb. It then asks once which API answers: Smalt's own (`/smalt/v1`), or that of the hosted
//! service.

mod answer;
mod builder;
mod doorway;
mod known;
mod link;
mod places;
mod retry;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

pub use builder::{RemoteSession, RemoteSmalt};
pub use known::Poll;
pub use link::{PORT_SECRET, call_id, port_secret};
pub use places::{MOST_CALLS, MOST_WAITING, MOST_WAITS};
pub use retry::Retries;

use self::{
    doorway::Doorway,
    known::Known,
    link::{Call, Link},
    retry::Effect,
};
use crate::{
    Secret,
    backend::*,
    error::{Code, Error, Result, err},
    model::*,
    operations::Operation,
    plugin::{HttpStream, Upload},
    project::Project,
};

/// A server as a backend.
pub(crate) struct Remote {
    link: Arc<Link>,
    /// What answers there, once it is known.
    side: OnceCell<Arc<dyn Backend>>,
    /// How often a server is asked that has no better way to tell that a user has connected.
    poll: Poll,
    presenter: bool,
}

impl Remote {
    fn new(link: Link, poll: Poll, hosted: bool, presenter: bool) -> Self {
        let link = Arc::new(link);
        let known = hosted.then(|| Arc::new(Known::new(link.clone(), poll)) as Arc<dyn Backend>);
        Self { link, side: OnceCell::new_with(known), poll, presenter }
    }

    /// Asks once, for all callers, which API answers. A failure is asked again next time.
    async fn side(&self, caller: &Caller) -> Result<&Arc<dyn Backend>> {
        // Behind a pointer: it is needed once, and each call would carry its room.
        self.side.get_or_try_init(|| Box::pin(self.look(caller))).await
    }

    async fn look(&self, caller: &Caller) -> Result<Arc<dyn Backend>> {
        let mut call = Call::new(Operation::Account, "GET", "/smalt/v1/capabilities");
        call.effect = Effect::Reads;
        (call.any_status, call.anonymous) = (true, true);
        let got = self.link.send(caller, &mut call).await?;
        if got.status == 200
            && let Ok(server) = got.json::<Capabilities>()
        {
            return Ok(Arc::new(Doorway::new(self.link.clone(), server)));
        }
        Ok(Arc::new(Known::new(self.link.clone(), self.poll)))
    }

    /// What the other side lacks is said by name.
    fn named(&self, operation: Operation, error: Error) -> Error {
        if !error.is(Code::Unsupported) || error.info().context.contains_key("server") {
            return error;
        }
        let (host, name) = (&self.link.host, operation.row().name);
        let why = error.info().context.get("why").map(|why| format!(": {why}")).unwrap_or_default();
        err!(Unsupported, "`{host}` has the API of the hosted service, which cannot do this with `{name}`{why}")
            .with("operation", name)
            .with("server", host)
    }
}

macro_rules! delegate {
    ($($(#[$doc:meta])* $name:ident: $operation:ident($request:ty) -> $answer:ty;)*) => {
        #[async_trait]
        impl Backend for Remote {
            fn capabilities(&self) -> Capabilities {
                let known = self.side.get().map(|side| side.capabilities());
                let all = || Operation::ALL.iter().filter(|operation| operation.embedded_only().is_none());
                let unknown = || Capabilities {
                    backend: "remote".to_owned(),
                    version: String::new(),
                    operations: all().map(|operation| operation.row().name.to_owned()).collect(),
                    workflows: false,
                    presenter: false,
                };
                Capabilities { presenter: self.presenter, ..known.unwrap_or_else(unknown) }
            }

            /// Whether the server answers.
            async fn ready(&self) -> Result<()> {
                self.look(&Caller::Session(Secret::default())).await.map(drop)
            }

            async fn request_stream(&self, caller: &Caller, request: ApiRequest, upload: Option<Upload>) -> Result<HttpStream> {
                let done = self.side(caller).await?.request_stream(caller, request, upload).await;
                done.map_err(|error| self.named(Operation::Request, error))
            }

            $(
                async fn $name(&self, caller: &Caller, request: $request) -> Result<$answer> {
                    Operation::$operation.offered_remotely()?;
                    self.side(caller).await?.$name(caller, request).await.map_err(|error| self.named(Operation::$operation, error))
                }
            )*
        }
    };
}

doorway!(delegate);
