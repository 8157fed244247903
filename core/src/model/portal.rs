use super::{Environment, JsonMap, SessionInfo};
use crate::{expose::exposes, secret::Secret, time::Timestamp};

/// A link to the hosted page. Whoever opens it acts for the linked account: redirect its user there, or embed it for them, and put
/// it nowhere else.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct PortalLink {
    /// The whole address; it holds the ticket.
    pub url: Secret,
    /// When it ends by itself; it ends sooner with its session.
    pub expires_at: Timestamp,
    /// Whether it works once.
    pub once: bool,
}

/// What the hosted page begins with.
#[derive(Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub struct Portal {
    /// The session that the page acts with.
    pub session: SessionInfo,
    /// The environment.
    pub environment: Environment,
    /// The config that the page edits; absent: the default one.
    pub config_id: Option<String>,
    /// What was stored for the page, as it was given.
    pub properties: JsonMap,
    /// Where the page leads back to, if that is on the project's list now.
    pub return_to: Option<String>,
    /// A ticket that the page may keep for a reload, where the link's own worked once.
    pub ticket: Option<Secret>,
}

exposes! {
    PortalLink { url, expires_at, once }
    Portal { session, environment, config_id, properties, return_to, ticket }
}

/// What was stored for the page may be a secret of its own.
impl std::fmt::Debug for Portal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portal")
            .field("session", &self.session)
            .field("environment", &self.environment)
            .field("config_id", &self.config_id)
            .finish_non_exhaustive()
    }
}
