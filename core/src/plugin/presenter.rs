use async_trait::async_trait;

use super::Fault;
use crate::model::DevicePrompt;

/// Opens the authorize page for the user. There is no default: without one `connect` answers `presenter_required`.
#[async_trait]
pub trait Presenter: Send + Sync + 'static {
    /// Its name, for errors.
    fn name(&self) -> &str;

    /// Shows `authorize_url`. Answers the callback URL when the presenter catches it itself (as the session of a phone
    /// does), or `None` when the redirect URI is caught elsewhere (a loopback listener, a route of the host). It may answer as soon as the page
    /// is open, or keep it open: the call is dropped when that of `connect` ends, and what it shows is to go then.
    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault>;

    /// The redirect URI that this presenter catches; `None` lets Smalt listen on the loopback address (RFC 8252 section 7.3).
    fn redirect_uri(&self) -> Option<String> {
        None
    }
}

/// What is to be shown.
#[derive(Clone)]
pub struct PresentRequest {
    /// The provider's page.
    pub authorize_url: String,
    /// Where the provider sends the user back; empty in the device flow.
    pub redirect_uri: String,
    /// The application's name, for people.
    pub application: String,
    /// The device flow: the code that the user must enter there. Nothing comes back: answer `None`.
    pub device: Option<DevicePrompt>,
}

/// The authorize URL holds the state.
impl std::fmt::Debug for PresentRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PresentRequest")
            .field("redirect_uri", &self.redirect_uri)
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}
