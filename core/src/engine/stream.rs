//! Authenticated calls whose bodies are streamed.

use std::{sync::Arc, time::Duration};

use super::{
    Inner,
    request::{outgoing, selector},
};
use crate::{
    backend::ApiRequest,
    error::{Result, bail, err},
    plugin::{HttpStream, StreamRequest, Upload},
};

/// How long either side may be silent where the caller does not say.
const SILENCE: Duration = Duration::from_secs(30);
/// How many bytes go either way where the caller does not say.
const MOST: u64 = 1024 * 1024 * 1024;

impl Inner {
    /// Sends once; a token that died early is renewed once. Then a call without an upload is sent once more. What an
    /// upload has sent is gone, so its caller is told to send it again, and finds the new token ready.
    pub(super) async fn api_stream(self: &Arc<Self>, request: ApiRequest, upload: Option<Upload>) -> Result<HttpStream> {
        if upload.is_some() && request.body.is_some() {
            bail!(InvalidRequest, "a call has either a body or an upload");
        }
        let (app, row) = self.usable(&selector(&request)).await?;
        let (silence, most) = (request.timeout.unwrap_or(SILENCE), request.max_body.unwrap_or(MOST));
        let streamed = upload.is_some();
        let head = outgoing(&app, &self.open_credential(&row)?, &request)?;
        if streamed && !head.body.0.is_empty() {
            bail!(Unsupported, "`{}` takes its credential in the body, which an upload fills", app.slug());
        }
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
        let again = StreamRequest { head: outgoing(&app, &self.open_credential(&row)?, &request)?, upload: None, silence, most };
        self.transport.stream(again).await
    }
}
