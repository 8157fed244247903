//! What every language package of Smalt needs once, free of any language.
//!
//! A binding converts values and knows its language's futures; everything else is here or in core. It is built like this:
//!
//! 1. **Open.** Read [`EmbeddedOptions`] from the host's own objects (they are `Deserialize`; nothing needs a JSON text), put
//!    the host's plugins into [`Plugins`], and [`start`] `Engine::embedded(options, plugins)`. `Engine::remote(`[`RemoteOptions`]`, …)` makes a
//!    handle on a server, and [`Engine::over`] takes any other [`smalt::Smalt`].
//! 2. **Call.** [`AnyRequest::read`](smalt::backend::AnyRequest::read) reads an operation's request on the host's thread;
//!    [`Engine::call`] makes the future; [`start`] runs it on the process's runtime and hands its end to a closure, on a worker
//!    thread. `connect` is no operation but several: [`Engine::connect`]. A body that the host hands over in [`Parts`] goes with
//!    [`Engine::upload`]. For a *ready* operation ask [`Engine::try_credential`] first, on the host's thread: it never waits. Keep
//!    what it answers as the host's own object, and ask [`Ready::counts`] the next time: nothing of the request crosses again.
//! 3. **Complete.** That closure must not touch the host's objects. It puts `(number, Result<AnyAnswer>)` into a [`Port`], which
//!    wakes the host once per batch: by a [`Descriptor`] that an event loop watches, a thread-safe function, or a [`Bell`]. On its
//!    own thread the host takes the batch ([`Port::take`]) and writes each answer out as its own objects:
//!    `Exposed(&answer).serialize(host_serializer)`. See `core/src/expose.rs` for the names that a serializer can tell secrets,
//!    times and types by. A host whose futures may be polled anywhere (UniFFI) awaits [`run`] instead.
//! 4. **Cancel.** Each call has a [`Cancel`]: a latch. Cancelled before the start, nothing is sent; later, the waiter ends at once
//!    with `cancelled`, which the binding shows as the host's own cancellation. What has an effect outside goes on in core, and
//!    its end shows in flow, connection and events. A call that has a time-out of its own and meets it ends as `outcome_unknown`.
//! 5. **Block**, where the host has a synchronous API: [`Bell::ring`] as the closure's end, [`Bell::wait`] without the host's lock.
//! 6. **Host code.** [`Host`] carries calls into plugins of the host: numbered [`HostCall`]s come through the closure that
//!    `Host::new` was given (put them into the same port), with arguments, deadline and the scope in which calls of that
//!    plugin must run ([`Engine::call`] takes it); [`HostMessage::Cancel`] says that nobody waits for one any more.
//!    [`Host::answer`] answers by number. [`HostConnector`] and its like are the plugins themselves.
//! 7. **Forks and panics.** An engine that is used in a forked child answers `closed` in words, and the runtime is made anew there. A host whose
//!    children go on after a fork holds [`smalt::store::prepare_fork`]'s answer across it. A panic ends its own call as `internal`.
//!
//! Without the feature `embedded`, a default one, there is no engine: handles on servers and sessions are left, for phones.
//!
//! [`schema()`] describes errors, options and host calls; with [`smalt::backend::schema`] a package's types are made from it.
#![forbid(unsafe_code)]

mod bell;
mod call;
mod cancel;
#[cfg(feature = "embedded")]
mod embedded;
mod engine;
#[cfg(feature = "embedded")]
mod hidden;
pub mod host;
mod open;
mod port;
mod process;
#[cfg(feature = "embedded")]
mod schema;
mod sweep;
mod upload;

pub use bell::{Bell, Waited};
pub use call::{contained, misread, misread_json, run, start};
pub use cancel::Cancel;
#[cfg(feature = "embedded")]
pub use embedded::{EmbeddedOptions, Plugins, ProjectOption};
pub use engine::{ConnectOptions, Engine, Ready, ResumeOptions};
pub use host::{
    Host, HostAnswer, HostArguments, HostCall, HostConnector, HostKeys, HostMessage, HostPresenter, HostRunner, HostTokens, What,
    context_request,
};
pub use open::{PresenterOption, RemoteOptions, SessionOptions};
#[cfg(unix)]
pub use port::Descriptor;
pub use port::{Port, Wake};
pub use process::Process;
#[cfg(feature = "embedded")]
pub use schema::schema;
pub use sweep::Sweep;
pub use upload::{Parts, PartsSource, UploadOptions};
