use async_trait::async_trait;
use url::Url;

use crate::{
    plugin::{Fault, PresentRequest, Presenter},
    sandbox,
};

/// Consents at the sandbox without a browser, for demos and tests. It visits loopback addresses only.
#[derive(Clone, Debug)]
pub struct ScriptedConsent {
    user: String,
    allow: bool,
}

impl ScriptedConsent {
    /// Allows as this user: `ada`, `grace` or `linus`.
    pub fn allow(user: &str) -> Self {
        Self { user: user.to_owned(), allow: true }
    }

    /// Denies as this user.
    pub fn deny(user: &str) -> Self {
        Self { user: user.to_owned(), allow: false }
    }
}

#[async_trait]
impl Presenter for ScriptedConsent {
    fn name(&self) -> &str {
        "scripted-consent"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        let mut url = Url::parse(&request.authorize_url).map_err(|_| Fault::failed("the authorize URL is not a URL"))?;
        let decision = if self.allow { "allow" } else { "deny" };
        url.query_pairs_mut().append_pair("sandbox_user", &self.user).append_pair("sandbox_decision", decision);
        Ok(Some(sandbox::visit(url.as_str()).await?))
    }

    /// Nobody listens there, and nobody goes there: the callback is read from the redirect itself.
    fn redirect_uri(&self) -> Option<String> {
        Some("http://127.0.0.1/smalt/scripted-consent".to_owned())
    }
}
