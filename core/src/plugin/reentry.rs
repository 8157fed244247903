//! A connector that calls back into what is waiting for it would wait for itself. Each connector call runs inside a
//! scope that names the tenant, the account and the application it runs for; operations on those refuse to begin.

use std::future::Future;

use crate::{Code, Error, error::Result, model::Tenant};

/// What connector calls are under way around this task, the outermost first.
type Running = Vec<(Tenant, String, String)>;

tokio::task_local! {
    static RUNNING: Running;
}

fn running() -> Running {
    RUNNING.try_with(Clone::clone).unwrap_or_default()
}

/// The call, inside the scope of this tenant's account and application and of whatever runs around it.
pub(crate) fn inside<F: Future>(tenant: &Tenant, account: &str, application: &str, call: F) -> impl Future<Output = F::Output> + use<F> {
    let mut running = running();
    running.push((tenant.clone(), account.to_owned(), application.to_owned()));
    RUNNING.scope(running, call)
}

/// The work, inside the scope of whatever runs around its caller: for work that is spawned.
pub(crate) fn inherit<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    RUNNING.scope(running(), work)
}

/// Which plugin calls run around the current task. Host code of another language runs outside of it: its binding takes the
/// scope along, and calls that the host code makes run in it.
#[derive(Clone, Default)]
pub struct Scope(Running);

impl Scope {
    /// The scope of the current task.
    pub fn current() -> Self {
        Self(running())
    }

    /// The work, inside this scope.
    pub fn run<F: Future>(self, work: F) -> impl Future<Output = F::Output> + use<F> {
        RUNNING.scope(self.0, work)
    }
}

/// It names accounts only by their number.
impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scope({})", self.0.len())
    }
}

/// Whether the caller is a connector that runs for this account, and for this application where one is named: its
/// application.
fn reentry(tenant: &Tenant, account: &str, application: Option<&str>) -> Option<String> {
    let same =
        |(t, a, app): &&(Tenant, String, String)| t == tenant && a == account && application.is_none_or(|application| app == application);
    RUNNING.try_with(|running| running.iter().find(same).map(|(_, _, app)| app.clone())).ok().flatten()
}

/// Refuses a call of a connector that waits for the connector itself.
///
/// # Errors
/// `reentrant`.
pub(crate) fn refuse_reentry(tenant: &Tenant, account: &str, application: Option<&str>) -> Result<()> {
    match reentry(tenant, account, application) {
        None => Ok(()),
        Some(app) => Err(Error::code_only(Code::Reentrant).with("plugin", super::label::connector(&app))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::Environment;

    fn tenant(environment: Environment) -> Tenant {
        Tenant { org: "acme".into(), environment }
    }

    #[tokio::test]
    async fn only_what_runs_around_the_caller_counts() {
        let refused =
            |account: &str, app| refuse_reentry(&tenant(Environment::Test), account, app).is_err_and(|error| error.is(Code::Reentrant));
        let inner = async move {
            assert!(refused("a", Some("slack")) && refused("a", Some("notion")) && refused("a", None));
            assert!(refuse_reentry(&tenant(Environment::Production), "a", Some("slack")).is_ok(), "S-38: the same ids of another tenant");
            assert!(!refused("b", Some("slack")) && !refused("a", Some("google")));
            // Spawned work is outside, unless it inherits.
            let spawned = tokio::spawn(async move { refused("a", Some("slack")) });
            let inherited = tokio::spawn(inherit(async move { refused("a", Some("slack")) }));
            assert_eq!((spawned.await.unwrap(), inherited.await.unwrap()), (false, true));
            // So does what a binding takes elsewhere.
            let scope = Scope::current();
            assert!(tokio::spawn(scope.run(async move { refused("a", Some("slack")) })).await.unwrap());
        };
        let here = tenant(Environment::Test);
        inside(&here, "a", "slack", async { inside(&here, "a", "notion", inner).await }).await;
        assert!(!refused("a", Some("slack")));
    }
}
