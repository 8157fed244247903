//! Bodies that are sent as they are read and read as they come. Memory holds a piece of either, however large they are.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

use super::transport::{ReqwestTransport, build, translate};
use crate::{
    Error,
    error::{Result, bail, err},
    plugin::{BodySource, HttpRequest, HttpStream, StreamRequest, Upload},
};

/// What became of an upload, beside what the connection says.
#[derive(Default)]
struct Sent {
    /// Pieces that were handed over; moves while the upload goes on.
    pieces: AtomicU64,
    /// Why the source, or the limit, ended it.
    trouble: Mutex<Option<Error>>,
}

impl Sent {
    fn trouble(&self) -> Option<Error> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: Error) -> io::Error {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        io::Error::other("the upload ended early")
    }
}

/// What a call showed of its host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It answered.
    Alive,
    /// It cannot be reached, or was silent.
    Dead,
}

impl ReqwestTransport {
    pub(super) async fn streamed(&self, request: StreamRequest) -> Result<HttpStream> {
        let (client, host) = self.way(&request.head.url, request.head.identity.as_ref())?;
        let pass = self.enter(&host)?;
        let silence = request.silence;
        let (done, shown) = carry(&client, request, &host).await;
        let is_silence = done.as_ref().is_err_and(|error| error.is(crate::Code::ProviderTimeout));
        match shown {
            Some(Shown::Alive) => pass.alive(),
            // Who waits for a moment only has learned nothing.
            Some(Shown::Dead) if !is_silence || silence >= self.shortest_timeout() => pass.dead(),
            _ => {}
        }
        done
    }
}

/// Sends a call as its body is read; answers what came, and what it showed of the host, if anything.
pub(super) async fn carry(client: &reqwest::Client, request: StreamRequest, host: &str) -> (Result<HttpStream>, Option<Shown>) {
    let StreamRequest { head, upload, silence, most } = request;
    let sent = Arc::new(Sent::default());
    let built = match with_upload(head, upload, &sent, most) {
        Ok(built) => built,
        Err(error) => return (Err(error), None),
    };
    let mut answering = Box::pin(client.execute(built));
    let response = loop {
        let seen = sent.pieces.load(Ordering::Acquire);
        match tokio::time::timeout(silence, &mut answering).await {
            Ok(ended) => break ended,
            // An upload that moves is not silent.
            Err(_) if sent.pieces.load(Ordering::Acquire) != seen => {}
            Err(_) => return (Err(silent(host, silence)), Some(Shown::Dead)),
        }
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => {
            let error = sent.trouble().unwrap_or_else(|| translate(&error, host));
            let shown = error.is(crate::Code::ProviderUnreachable).then_some(Shown::Dead);
            return (Err(error), shown);
        }
    };
    let status = response.status().as_u16();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let body = Body { response, host: host.to_owned(), silence, left: most, most };
    (Ok(HttpStream::new(status, headers, body)), Some(Shown::Alive))
}

fn with_upload(head: HttpRequest, upload: Option<Upload>, sent: &Arc<Sent>, most: u64) -> Result<reqwest::Request> {
    let mut built = build(head)?;
    if let Some(upload) = upload {
        if upload.length.is_some_and(|length| length > most) {
            bail!(InvalidRequest, "the upload is larger than {most} bytes");
        }
        let content_type = HeaderValue::from_str(&upload.content_type);
        let content_type = content_type.map_err(|_| err!(InvalidRequest, "the upload's content type cannot be sent"))?;
        built.headers_mut().insert(CONTENT_TYPE, content_type);
        if let Some(length) = upload.length {
            built.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        *built.body_mut() = Some(pieces(upload, sent.clone(), most));
    }
    Ok(built)
}

fn silent(host: &str, silence: Duration) -> Error {
    err!(ProviderTimeout, "nothing moved to or from `{host}` for {silence:?}").with("host", host)
}

/// The upload as the client takes it: the source is asked when the last piece has been taken.
fn pieces(upload: Upload, sent: Arc<Sent>, most: u64) -> reqwest::Body {
    let state = (upload.source, sent, upload.length, 0_u64);
    reqwest::Body::wrap_stream(stream::try_unfold(state, move |(mut source, sent, length, before)| async move {
        let ended = match source.next().await {
            Err(error) => Err(error),
            Ok(None) if length.is_some_and(|length| length != before) => {
                Err(err!(InvalidRequest, "the upload has {before} bytes and was to have another number"))
            }
            Ok(None) => Ok(None),
            Ok(Some(piece)) => {
                let now = before.saturating_add(piece.len() as u64);
                if now > length.unwrap_or(most) {
                    Err(err!(InvalidRequest, "the upload is larger than {} bytes", length.unwrap_or(most)))
                } else {
                    Ok(Some((piece, now)))
                }
            }
        };
        match ended {
            Err(error) => Err(sent.fail(error)),
            Ok(None) => Ok(None),
            Ok(Some((piece, now))) => {
                sent.pieces.fetch_add(1, Ordering::AcqRel);
                Ok(Some((piece, (source, sent, length, now))))
            }
        }
    }))
}

struct Body {
    response: reqwest::Response,
    host: String,
    silence: Duration,
    left: u64,
    most: u64,
}

#[async_trait]
impl BodySource for Body {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let next = tokio::time::timeout(self.silence, self.response.chunk()).await;
        let piece = next.map_err(|_| silent(&self.host, self.silence))?.map_err(|error| translate(&error, &self.host))?;
        let Some(piece) = piece else { return Ok(None) };
        match self.left.checked_sub(piece.len() as u64) {
            Some(left) => self.left = left,
            None => bail!(AnswerTooLarge, "the answer of `{}` is larger than {} bytes", self.host, self.most),
        }
        Ok(Some(piece.to_vec()))
    }
}

#[cfg(test)]
#[path = "streaming_tests.rs"]
mod tests;
