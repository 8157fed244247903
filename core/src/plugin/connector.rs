use async_trait::async_trait;

use super::{Fault, HttpRequest, HttpResponse};
use crate::{
    manifest::AppManifest,
    model::{Credential, FieldOption, Identity, Json, RuleColumns},
};

/// An application's behaviour as code. Every method answers `None` for "not mine": then the manifest decides.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// The application it belongs to.
    fn slug(&self) -> &str;

    /// The application as data, when the connector brings it along.
    fn manifest(&self) -> Option<AppManifest> {
        None
    }

    /// Who the credential belongs to; [`Fault::Rejected`] refuses it, and nothing is saved.
    async fn verify(&self, ctx: ConnectorContext) -> Result<Option<Identity>, Fault> {
        let _ = ctx;
        Ok(None)
    }

    /// Whether `verify` is this connector's own; false leaves it to the manifest.
    fn verifies(&self) -> bool {
        false
    }

    /// The choices of a field with dynamic options.
    async fn options(&self, ctx: ConnectorContext, request: OptionsRequest) -> Result<Option<Vec<FieldOption>>, Fault> {
        let _ = (ctx, request);
        Ok(None)
    }

    /// The columns of a rule that depend on its left side.
    async fn rule_columns(&self, ctx: ConnectorContext, request: RuleRequest) -> Result<Option<RuleColumns>, Fault> {
        let _ = (ctx, request);
        Ok(None)
    }

    /// Ends the grant at the provider. `Some(())` means that it is dead now.
    async fn revoke(&self, ctx: ConnectorContext, request: RevokeRequest) -> Result<Option<()>, Fault> {
        let _ = (ctx, request);
        Ok(None)
    }
}

/// What a connector is given: the credential, and an authenticated way to call the application.
#[derive(Clone)]
pub struct ConnectorContext {
    /// The linked account.
    pub account_id: String,
    /// The application's slug.
    pub application: String,
    /// The credential; absent while the application is not connected.
    pub credential: Option<Credential>,
    pub(crate) caller: std::sync::Arc<dyn ContextCaller>,
}

/// How a context reaches the application; the engine's part.
#[async_trait]
pub(crate) trait ContextCaller: Send + Sync {
    async fn call(&self, request: HttpRequest) -> crate::Result<HttpResponse>;
    fn request(&self, method: &str, path: &str) -> crate::Result<HttpRequest>;
}

impl ConnectorContext {
    /// A request to the application's base URL with its authentication in place; pass it to [`Self::send`].
    ///
    /// # Errors
    /// `host_mismatch` when the path leads to another host.
    pub fn request(&self, method: &str, path: &str) -> crate::Result<HttpRequest> {
        self.caller.request(method, path)
    }

    /// Sends it.
    ///
    /// # Errors
    /// `provider_unreachable`, `provider_timeout`, `address_refused`, `answer_too_large`.
    pub async fn send(&self, request: HttpRequest) -> crate::Result<HttpResponse> {
        self.caller.call(request).await
    }
}

/// Which choices are wanted.
#[derive(Clone, Default)]
pub struct OptionsRequest {
    /// What the project's field names as `options_from`, or the field's id.
    pub source: String,
    /// The field's id.
    pub field: String,
    /// The workflow it belongs to.
    pub workflow: Option<String>,
    /// The value of the field it depends on.
    pub parent_value: Option<Json>,
    /// What the user typed.
    pub search: Option<String>,
}

/// Values may be secrets.
impl std::fmt::Debug for OptionsRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OptionsRequest")
            .field("source", &self.source)
            .field("field", &self.field)
            .field("workflow", &self.workflow)
            .finish_non_exhaustive()
    }
}

/// Which columns are wanted.
#[derive(Clone)]
pub struct RuleRequest {
    /// The field's id.
    pub field: String,
    /// The workflow it belongs to.
    pub workflow: Option<String>,
    /// The chosen left side.
    pub lhs: Json,
}

/// Values may be secrets.
impl std::fmt::Debug for RuleRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleRequest").field("field", &self.field).field("workflow", &self.workflow).finish_non_exhaustive()
    }
}

/// Which grant is to end.
#[derive(Clone, Debug)]
pub struct RevokeRequest {
    /// The connection's id.
    pub connection_id: String,
    /// How often it was tried before.
    pub attempt: u32,
}
