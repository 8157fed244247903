use std::{collections::BTreeMap, sync::Arc};

use super::{ConnectBuilder, ConnectHandle, Smalt, verbs::account_verbs};
use crate::{
    Result, Secret, Timestamp,
    backend::{
        Backend, Caller, ConfigField, Disconnect, ExecuteWorkflow, FindConfig, FinishConnect, GetAccount, GetApp, GetConfig, GetConnection,
        GetExecution, GetPortalUrl, GetReceipt, GetRuleColumns, Handoff, ListConnections, ListExecutions, PutOwnCredentials, RevokeSession,
        SetConfigField, SetOwnCredential, StartConnect, UpdateConfig, VerifySession,
    },
    model::{
        Application, Config, ConfigUpdate, Connection, Executed, Execution, Field, OwnChange, Page, PortalLink, Receipt, RuleColumns,
        SessionInfo, StartedConnect,
    },
    plugin::Presenter,
};

/// A session token of one linked account, and the verbs that it may use.
#[derive(Clone)]
pub struct Session {
    backend: Arc<dyn Backend>,
    presenter: Option<Arc<dyn Presenter>>,
    caller: Caller,
    id: String,
    info: SessionInfo,
}

impl Session {
    pub(crate) fn new(backend: Arc<dyn Backend>, presenter: Option<Arc<dyn Presenter>>, info: SessionInfo) -> Self {
        Self { backend, presenter, caller: Caller::Session(info.token.clone()), id: info.account_id.clone(), info }
    }

    /// The doorway itself, for servers and bindings.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The handle behind it, for bindings, which name the caller with each call: [`Caller::Session`] with this session's token.
    pub fn handle(&self) -> Smalt {
        Smalt::at(self.backend.clone(), self.presenter.clone())
    }

    /// The bearer token; give it to the user's browser or phone. Empty for a session whose tokens come from a provider.
    pub fn token(&self) -> &Secret {
        &self.info.token
    }

    /// When it ends by itself; far away for a session whose tokens come from a provider.
    pub fn expires_at(&self) -> Timestamp {
        self.info.expires_at
    }

    /// The linked account that it speaks for. Empty where only the server knows it: for a session whose tokens come from a
    /// provider, or with a token that does not say. [`Self::info`] asks.
    pub fn account_id(&self) -> &str {
        &self.id
    }

    /// What is known of the session now.
    ///
    /// # Errors
    /// `invalid_token` when it is not good any more.
    pub async fn info(&self) -> Result<SessionInfo> {
        self.backend.verify_session(&self.caller, VerifySession { token: self.info.token.clone() }).await
    }

    /// Ends it at once, everywhere. False when it had ended already.
    ///
    /// # Errors
    /// `invalid_token` when it is not good any more.
    pub async fn revoke(&self) -> Result<bool> {
        self.backend.revoke_session(&self.caller, RevokeSession { token: self.info.token.clone() }).await
    }

    account_verbs!();
}
