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
        if let Some(device) = &request.device {
            sandbox::visit_device(&device.verification_uri, &device.user_code, &self.user, self.allow).await?;
            return Ok(None);
        }
        url.query_pairs_mut().append_pair("sandbox_user", &self.user).append_pair("sandbox_decision", decision);
        Ok(Some(sandbox::visit(url.as_str()).await?))
    }

    /// Nobody listens there, and nobody goes there: the callback is read from the redirect itself.
    fn redirect_uri(&self) -> Option<String> {
        Some(format!("http://127.0.0.1{}", crate::project::urls::LOOPBACK_PATH))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::{CLIENT_ID, Sandbox, SandboxOptions};

    #[tokio::test]
    async fn it_answers_the_callback_of_a_sandbox_and_visits_nothing_else() {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let redirect_uri = ScriptedConsent::allow("ada").redirect_uri().unwrap();
        let mut url = Url::parse(&format!("{}/authorize", sandbox.origin())).unwrap();
        url.query_pairs_mut()
            .extend_pairs([("response_type", "code"), ("client_id", CLIENT_ID), ("redirect_uri", &redirect_uri), ("state", "s")])
            .extend_pairs([("code_challenge", &*"c".repeat(43)), ("code_challenge_method", "S256")]);
        let request = |url: &str| PresentRequest {
            device: None,
            authorize_url: url.to_owned(),
            redirect_uri: redirect_uri.clone(),
            application: "Sandbox".to_owned(),
        };
        let allowed = ScriptedConsent::allow("ada").present(request(url.as_str())).await.unwrap().unwrap();
        assert!(allowed.starts_with(&format!("{redirect_uri}?code=")) && allowed.contains("&state=s&iss="), "{allowed}");
        let denied = ScriptedConsent::deny("ada").present(request(url.as_str())).await.unwrap().unwrap();
        assert!(denied.contains("error=access_denied"), "{denied}");
        let elsewhere = ScriptedConsent::allow("ada").present(request("https://example.com/authorize?state=s")).await;
        assert!(matches!(elsewhere, Err(Fault::Smalt(e)) if e.is(crate::Code::InvalidRequest)));
    }
}
