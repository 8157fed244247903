//! Authenticated calls whose bodies are streamed.

use std::{sync::Arc, time::Duration};

use super::{
    Inner,
    apps::App,
    credential::CALL,
    request::{fills_body, outgoing, selector, signs},
};
use crate::{
    backend::ApiRequest,
    error::{Result, bail, err},
    http::protocol,
    plugin::{HttpRequest, HttpStream, StreamRequest, Upload},
    store::rows::ConnectionRow,
};

/// How long either side may be silent where the caller does not say.
const SILENCE: Duration = Duration::from_secs(30);

impl Inner {
    /// Sends once; a token that died early is renewed once. Then a call without an upload is sent once more. What an
    /// upload has sent is gone, so its caller is told to send it again, and finds the new token ready.
    pub(super) async fn api_stream(self: &Arc<Self>, actor: &str, request: ApiRequest, upload: Option<Upload>) -> Result<HttpStream> {
        if upload.is_some() && request.body.is_some() {
            bail!(InvalidRequest, "a call has either a body or an upload");
        }
        let (app, row) = self.usable(&selector(&request)).await?;
        let (silence, most) = (request.timeout.unwrap_or(SILENCE), request.max_body.unwrap_or(StreamRequest::MOST));
        let streamed = upload.is_some();
        if streamed && fills_body(&app, &self.open_credential(&row)?)? {
            bail!(Unsupported, "`{}` takes its credential in the body, which an upload fills", app.slug());
        }
        let head = self.signed(&app, &row, &request)?;
        let is_form = upload.as_ref().is_some_and(|upload| protocol::is_form_type(&upload.content_type));
        if is_form && signs(&app, &self.open_credential(&row)?)? {
            bail!(Unsupported, "`{}` wants a form's fields signed, which are not known before an upload has been sent", app.slug());
        }
        self.note_use_of_secret(CALL, actor, &row).await?;
        let first = StreamRequest { head, upload, silence, most };
        let answer = self.transport.stream(first).await?;
        if answer.status != 401 || !self.may_force(&row) {
            return Ok(answer);
        }
        drop(answer);
        let row = self.renewed_now(&app, row).await?;
        if streamed {
            return Err(
                err!(UploadNotRepeated, "`{}` refused the token while the upload was sent", app.slug()).with("application", app.slug())
            );
        }
        let again = StreamRequest { head: self.signed(&app, &row, &request)?, upload: None, silence, most };
        self.transport.stream(again).await
    }

    /// The head of a call, signed where the application wants that.
    fn signed(&self, app: &App, row: &ConnectionRow, request: &ApiRequest) -> Result<HttpRequest> {
        let credential = self.open_credential(row)?;
        self.sign(app, &credential, outgoing(app, &credential, request)?)
    }
}
