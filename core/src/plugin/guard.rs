use std::{future::Future, time::Duration};

use crate::error::{Code, Error, Result};

/// Why a plugin did not do what it was asked.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The application refused the credentials: the user's fault, not the plugin's.
    Rejected(String),
    /// The plugin failed: its own message, and its trace where the host language has one.
    Failed {
        /// The plugin's own message.
        message: String,
        /// The host language's trace.
        trace: Option<String>,
    },
    /// An error of Smalt passes through unchanged, e.g. of a request that the plugin made.
    Smalt(Error),
}

impl Fault {
    /// A failure with a message.
    pub fn failed(message: impl Into<String>) -> Self {
        Fault::Failed { message: message.into(), trace: None }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Smalt(error)
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs host code in a task of its own with a deadline, and turns every way it can end into a result.
/// A hanging plugin is dropped at the deadline; a panic stays in its task.
pub async fn guarded<T, F>(plugin: &str, what: &str, deadline: Duration, call: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Fault>> + Send + 'static,
{
    let mut task = crate::runtime::spawn(call);
    // Also when the caller goes away: nothing of a plugin runs on unwatched.
    let _abort = AbortOnDrop(task.abort_handle());
    let ended = tokio::time::timeout(deadline, &mut task).await;
    let named = |error: Error| error.with("plugin", plugin).with("call", what);
    match ended {
        Err(_) => Err(named(Error::new(Code::PluginTimeout, format!("`{plugin}` did not answer `{what}` within {deadline:?}")))),
        Ok(Err(_)) => Err(named(Error::new(Code::PluginPanicked, format!("`{plugin}` panicked in `{what}`")))),
        Ok(Ok(Err(Fault::Rejected(reason)))) => Err(named(Error::new(Code::CredentialsRejected, reason))),
        Ok(Ok(Err(Fault::Failed { message, trace }))) => {
            let error = named(Error::new(Code::PluginFailed, format!("`{plugin}` failed in `{what}`: {message}")));
            Err(match trace {
                Some(trace) => error.trace(trace),
                None => error,
            })
        }
        Ok(Ok(Err(Fault::Smalt(error)))) => Err(error),
        Ok(Ok(Ok(value))) => Ok(value),
    }
}
