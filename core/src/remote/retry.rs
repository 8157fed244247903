//! What may be sent again, how often, and after how long.

use std::time::Duration;

use crate::{backend, error::Result, ids, operations::Operation};

/// How often a call is sent again, by what went wrong. The budgets are separate: a server that cannot be reached does not
/// use up the tries for answers that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// When no connection could be made, so that nothing was sent: any call. Default 2.
    pub connect: u32,
    /// When the connection broke or nothing came in time: calls that may be repeated. Default 2.
    pub read: u32,
    /// When the server answered 429, 502, 503, 504 or 408: calls that may be repeated. Default 2.
    pub status: u32,
    /// The first wait, doubled with each try and shortened by chance to between a half and the whole. Default 100 ms.
    pub wait: Duration,
    /// The longest wait. A server that asks for more (`Retry-After`) ends the call with an error that says so. Default 10 s.
    pub longest_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { connect: 2, read: 2, status: 2, wait: Duration::from_millis(100), longest_wait: Duration::from_secs(10) }
    }
}

impl Retries {
    /// None at all.
    pub const fn none() -> Self {
        Self { connect: 0, read: 0, status: 0, wait: Duration::ZERO, longest_wait: Duration::ZERO }
    }

    /// The wait before the try with this number, from 0.
    pub(super) fn pause(&self, before: u32) -> Result<Duration> {
        let whole = self.wait.saturating_mul(1 << before.min(16)).min(self.longest_wait);
        let [chance] = ids::random::<1>()?;
        Ok(whole.mul_f64(0.5 + f64::from(chance) / 510.0))
    }
}

/// What sending a call twice would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: it only reads.
    Reads,
    /// The same as once, by its contract.
    Idempotent,
    /// Something else: once it may have left, it is not sent again.
    Once,
}

impl Effect {
    /// Of an operation whose request does not say more.
    pub(super) fn of(operation: Operation) -> Self {
        match operation {
            Operation::Account
            | Operation::ListAccounts
            | Operation::CountAccounts
            | Operation::VerifySession
            | Operation::ListApiKeys
            | Operation::VerifyApiKey
            | Operation::ListApps
            | Operation::App
            | Operation::GetHandoff
            | Operation::PortalProperties
            | Operation::Flow
            | Operation::WaitFlow
            | Operation::ListConnections
            | Operation::Connection
            | Operation::Receipt
            | Operation::GetConfig
            | Operation::ListConfigs
            | Operation::ConfigField
            | Operation::RuleColumns
            | Operation::Events
            | Operation::Audit
            | Operation::OwnCredentials
            | Operation::ListExecutions
            | Operation::GetExecution
            | Operation::ListWebhooks
            | Operation::ListDeliveries
            | Operation::Project => Effect::Reads,
            // They state what shall be, or (`credential`) renew at most once whoever asks.
            Operation::UpsertAccount
            | Operation::CancelFlow
            | Operation::SetDefaultConnection
            | Operation::Credential
            | Operation::Config
            | Operation::PutOwnCredentials
            | Operation::UpdateWebhook
            | Operation::SetConfigField => Effect::Idempotent,
            _ => Effect::Once,
        }
    }

    /// Of a session that is made: one that is wanted anew each time is another each time.
    pub(super) fn of_session(request: &backend::CreateSession) -> Self {
        if request.force { Effect::Once } else { Effect::Idempotent }
    }

    /// Of a change to a config: one that names the version it starts from would meet its own.
    pub(super) fn of_update(request: &backend::UpdateConfig) -> Self {
        if request.update.version.is_some() { Effect::Once } else { Effect::Idempotent }
    }

    /// Of a call to a provider, by its method (RFC 9110 section 9.2).
    pub(super) fn of_method(method: &str) -> Self {
        match &*method.to_ascii_uppercase() {
            "GET" | "HEAD" | "OPTIONS" => Effect::Reads,
            _ => Effect::Once,
        }
    }
}
