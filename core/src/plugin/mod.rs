//! Every seam: a trait, registered explicitly, with a working default. A plugin that throws, hangs, panics or answers
//! nonsense becomes an error of kind `plugin` that names it; others are unharmed.

mod clock;
mod connector;
mod guard;
mod identity;
mod key_provider;
pub mod label;
mod presenter;
mod reentry;
mod session_provider;
#[cfg(feature = "embedded")]
mod store;
mod stream;
mod transport;
mod webhook_runner;
mod workflow;

pub use clock::{BootTime, Clock, FixedClock, SystemClock};
pub(crate) use connector::ContextCaller;
pub use connector::{Connector, ConnectorContext, OptionsRequest, RevokeRequest, RuleRequest};
pub use guard::{Fault, guarded};
pub use identity::ClientIdentity;
pub use key_provider::KeyProvider;
pub use presenter::{PresentRequest, Presenter};
pub use reentry::Scope;
pub(crate) use reentry::{inherit, inside, refuse_reentry};
pub use session_provider::SessionProvider;
#[cfg(feature = "embedded")]
pub use store::{JobAnswer, ReadJob, Store, StoreExt, Tx, WriteJob};
#[cfg(feature = "embedded")]
pub(crate) use store::{answered, boxed, typed};
pub use stream::{BodySource, HttpStream, StreamRequest, Upload, UploadSource};
pub use transport::{HttpBody, HttpRequest, HttpResponse, HttpTransport};
pub use webhook_runner::WebhookRunner;
pub use workflow::{WorkflowRun, WorkflowRunner};
