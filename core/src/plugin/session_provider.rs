use std::{future::Future, sync::Arc};

use async_trait::async_trait;

use super::Fault;
use crate::Secret;

/// Fetches a session token from the user's own backend, for a phone or a page that holds no API key. It is asked before the
/// first call and whenever the last token has ended, once for all callers that wait. Any async closure is one.
#[async_trait]
pub trait SessionProvider: Send + Sync + 'static {
    /// Its name, for errors.
    fn name(&self) -> &str {
        super::label::SESSION_PROVIDER
    }

    /// A session token that is good now. Whoever ends it should have made it anew: one that was handed out before counts as
    /// ended and is refused.
    async fn session_token(&self) -> Result<Secret, Fault>;
}

#[async_trait]
impl<F, W> SessionProvider for F
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = Result<Secret, Fault>> + Send + 'static,
{
    async fn session_token(&self) -> Result<Secret, Fault> {
        self().await
    }
}

#[async_trait]
impl SessionProvider for Arc<dyn SessionProvider> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn session_token(&self) -> Result<Secret, Fault> {
        (**self).session_token().await
    }
}
