//! Authenticated calls whose bodies pass through piece by piece, for organisations. Nothing is kept of either body.

use axum::body::{Body, Bytes};
use base64ct::{Base64UrlUnpadded, Encoding};
use futures_util::{StreamExt, stream};
use http_body::Body as _;
use http_body_util::BodyExt;
use smalt::{
    Error,
    backend::ApiRequest,
    plugin::{HttpStream, Upload, UploadSource},
};

use crate::{
    answer::{Answer, Trouble},
    call::Call,
};

/// What the call is, beside its body: the JSON of `request`, as base64url.
pub(crate) const HEAD: &str = "smalt-request";
/// What the application answered, beside its body: `{"status": …, "headers": [[name, value], …]}`, in the same way.
const ANSWER: &str = "smalt-answer";

/// The incoming body as an upload's source.
struct Incoming(Body);

#[async_trait::async_trait]
impl UploadSource for Incoming {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            match self.0.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data.to_vec()));
                    }
                }
                Some(Err(_)) => return Err(Error::new(smalt::Code::InvalidRequest, "the upload was cut off")),
            }
        }
    }
}

fn head(call: &Call) -> Result<ApiRequest, Trouble> {
    let text = call.header(HEAD).ok_or_else(|| Trouble::bad(format!("the header `{HEAD}` is missing: the request's JSON as base64url")))?;
    let bytes = Base64UrlUnpadded::decode_vec(text.trim_end_matches('='));
    let bytes = bytes.map_err(|_| Trouble::bad(format!("the header `{HEAD}` is no base64url")))?;
    // What stands there may be secret, so no part of it is repeated.
    serde_json::from_slice(&bytes).map_err(|_| Trouble::bad(format!("the header `{HEAD}` holds no request: see the schema of `request`")))
}

/// Sends a call whose answer, and body if there is one, are streamed.
pub(super) async fn pass(call: Call) -> Result<Answer, Trouble> {
    let request = head(&call)?;
    let length = call.header("content-length").and_then(|text| text.parse::<u64>().ok());
    let content_type = call.header("content-type").unwrap_or("application/octet-stream").to_owned();
    let upload = call.upload.take().filter(|body| !body.is_end_stream()).map(|body| {
        let upload = Upload::new(content_type, Incoming(body));
        match length {
            Some(length) => upload.length(length),
            None => upload,
        }
    });
    let who = call.who()?;
    let answer = call.backend()?.request_stream(&who.caller, request, upload).await?;
    let told = serde_json::json!({"status": answer.status, "headers": answer.headers});
    let told = Base64UrlUnpadded::encode_string(told.to_string().as_bytes());
    Ok(Answer::Raw { content_type: "application/octet-stream", headers: vec![(ANSWER, told)], body: body(answer) })
}

fn body(answer: HttpStream) -> Body {
    let pieces = stream::unfold(Some(answer), |state| async move {
        let mut answer = state?;
        match answer.next().await {
            Ok(Some(piece)) => Some((Ok(Bytes::from(piece)), Some(answer))),
            Ok(None) => None,
            // The connection is cut, so that nobody takes a part for the whole.
            Err(error) => Some((Err(error), None)),
        }
    });
    Body::from_stream(pieces.boxed())
}
