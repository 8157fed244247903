//! A connector that calls back into what is waiting for it would wait for itself. Each connector call runs inside a
//! scope that names the account and the application it runs for; operations on those refuse to begin.

use std::future::Future;

use crate::{Code, Error, error::Result};

/// What connector calls are under way around this task, the outermost first.
type Running = Vec<(String, String)>;

tokio::task_local! {
    static RUNNING: Running;
}

fn running() -> Running {
    RUNNING.try_with(Clone::clone).unwrap_or_default()
}

/// The call, inside the scope of this account and application and of whatever runs around it.
pub(crate) fn inside<F: Future>(account: &str, application: &str, call: F) -> impl Future<Output = F::Output> + use<F> {
    let mut running = running();
    running.push((account.to_owned(), application.to_owned()));
    RUNNING.scope(running, call)
}

/// The work, inside the scope of whatever runs around its caller: for work that is spawned.
pub(crate) fn inherit<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    RUNNING.scope(running(), work)
}

/// Whether the caller is a connector that runs for this account, and for this application where one is named: its
/// application.
fn reentry(account: &str, application: Option<&str>) -> Option<String> {
    let same = |(a, app): &&(String, String)| a == account && application.is_none_or(|application| app == application);
    RUNNING.try_with(|running| running.iter().find(same).map(|(_, app)| app.clone())).ok().flatten()
}

/// Refuses a call of a connector that waits for the connector itself.
///
/// # Errors
/// `reentrant`.
pub(crate) fn refuse_reentry(account: &str, application: Option<&str>) -> Result<()> {
    match reentry(account, application) {
        None => Ok(()),
        Some(app) => Err(Error::code_only(Code::Reentrant).with("plugin", format_args!("connector {app}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn only_what_runs_around_the_caller_counts() {
        let refused = |account: &str, app| refuse_reentry(account, app).is_err_and(|error| error.is(Code::Reentrant));
        let inner = async move {
            assert!(refused("a", Some("slack")) && refused("a", Some("notion")) && refused("a", None));
            assert!(!refused("b", Some("slack")) && !refused("a", Some("google")));
            // Spawned work is outside, unless it inherits.
            let spawned = tokio::spawn(async move { refused("a", Some("slack")) });
            let inherited = tokio::spawn(inherit(async move { refused("a", Some("slack")) }));
            assert_eq!((spawned.await.unwrap(), inherited.await.unwrap()), (false, true));
        };
        inside("a", "slack", async { inside("a", "notion", inner).await }).await;
        assert!(!refused("a", Some("slack")));
    }
}
