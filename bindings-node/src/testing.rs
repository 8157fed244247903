//! What tests of users need: a clock that they move, and the sandbox provider.

use napi_derive::napi;
use smalt::{Result, Timestamp, sandbox::SandboxOptions};

use crate::{panics, room::End};

/// A clock that moves only when told to.
#[napi]
pub struct FixedClock(pub(crate) smalt::plugin::FixedClock);

#[napi]
#[allow(clippy::cast_possible_truncation)]
impl FixedClock {
    /// Starts at this many milliseconds since 1970.
    #[napi(constructor, catch_unwind)]
    pub fn new(millis: f64) -> Self {
        panics::here();
        Self(smalt::plugin::FixedClock::at(Timestamp::from_millis(millis as i64)))
    }

    /// Moves it by so many milliseconds; negative ones move it back.
    #[napi(catch_unwind)]
    pub fn advance(&self, millis: f64) {
        panics::here();
        self.0.advance_millis(millis as i64);
    }

    /// Milliseconds since 1970.
    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)]
    pub fn now(&self) -> f64 {
        panics::here();
        smalt::plugin::Clock::now(&self.0).millis() as f64
    }
}

/// A running sandbox provider. It ends with this object.
#[napi]
pub struct Sandbox(Option<smalt::sandbox::Sandbox>);

impl Sandbox {
    pub fn of(sandbox: smalt::sandbox::Sandbox) -> Self {
        Self(Some(sandbox))
    }
}

#[napi]
impl Sandbox {
    /// Its origin; `null` when it was stopped.
    #[napi(catch_unwind)]
    pub fn origin(&self) -> Option<String> {
        panics::here();
        self.0.as_ref().map(smalt::sandbox::Sandbox::origin)
    }

    /// Stops it.
    #[napi(catch_unwind)]
    pub fn stop(&mut self) {
        panics::here();
        self.0 = None;
    }
}

pub async fn start() -> Result<End> {
    smalt::sandbox::Sandbox::start(SandboxOptions::default()).await.map(End::Sandbox)
}

pub async fn visit(url: String) -> Result<End> {
    smalt::sandbox::visit(&url).await.map(End::Text)
}
