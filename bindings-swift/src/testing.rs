//! What tests of users need: a clock that they move, and the sandbox provider.

use smalt::{
    Timestamp,
    plugin::{Clock, FixedClock},
};

use crate::{
    call::begin,
    error::{Failed, quiet, raised},
    port::Port,
    table::Table,
};

pub static CLOCKS: Table<FixedClock> = Table::new();
#[cfg(feature = "embedded")]
static SANDBOXES: Table<std::sync::Arc<smalt::sandbox::Sandbox>> = Table::new();

#[cfg(feature = "embedded")]
mod provider {
    use smalt::{
        Result,
        sandbox::{Sandbox, SandboxOptions},
    };

    use crate::error::written;

    pub async fn start() -> Result<Vec<u8>> {
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        let origin = sandbox.origin();
        written(&(super::SANDBOXES.put(sandbox.into()), origin))
    }

    pub async fn visit(url: String) -> Result<Vec<u8>> {
        written(&smalt::sandbox::visit(&url).await?)
    }
}

#[cfg(not(feature = "embedded"))]
mod provider {
    use smalt::{Code, Error, Result};

    fn none() -> Error {
        Error::new(Code::Unsupported, "there is no sandbox in this build")
    }

    pub async fn start() -> Result<Vec<u8>> {
        Err(none())
    }

    pub async fn visit(_: String) -> Result<Vec<u8>> {
        Err(none())
    }
}

/// A clock that stands still at this many milliseconds since 1970: its number.
#[uniffi::export]
pub fn clock_open(millis: i64) -> u64 {
    quiet(|| CLOCKS.put(FixedClock::at(Timestamp::from_millis(millis))))
}

/// Moves it by so many milliseconds, and answers where it stands.
///
/// # Errors
/// `closed`.
#[uniffi::export]
pub fn clock_advance(clock: u64, millis: i64) -> Result<i64, Failed> {
    raised(|| {
        let clock = CLOCKS.get(clock)?;
        clock.advance_millis(millis);
        Ok(clock.now().millis())
    })
}

/// Lets go of a clock.
#[uniffi::export]
pub fn clock_release(clock: u64) {
    quiet(|| drop(CLOCKS.take(clock)));
}

/// Starts a sandbox on a free loopback port; its number and origin are answered in the port.
///
/// # Errors
/// `closed` when there is no such port.
#[uniffi::export]
pub fn sandbox_start(port: u64, number: u64) -> Result<(), Failed> {
    raised(|| {
        begin(&Port::of(port)?, number, None, provider::start());
        Ok(())
    })
}

/// Ends a sandbox.
#[uniffi::export]
pub fn sandbox_stop(sandbox: u64) {
    quiet(|| {
        #[cfg(feature = "embedded")]
        drop(SANDBOXES.take(sandbox));
        #[cfg(not(feature = "embedded"))]
        let _ = sandbox;
    });
}

/// Plays the user at a sandbox's authorize page; the callback URL, which is not requested, is answered in the port.
///
/// # Errors
/// `closed` when there is no such port.
#[uniffi::export]
pub fn sandbox_visit(port: u64, number: u64, url: String) -> Result<(), Failed> {
    raised(|| {
        begin(&Port::of(port)?, number, None, provider::visit(url));
        Ok(())
    })
}
