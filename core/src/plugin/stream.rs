use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::HttpRequest;
use crate::{
    Result,
    error::{bail, err},
    model::{ApiAnswer, NameValue},
};

/// One piece of an upload that is read from a reader.
const PIECE: usize = 64 * 1024;

/// Where an upload's bytes come from, piece by piece. It is asked for the next piece when the last one has gone out.
#[async_trait]
pub trait UploadSource: Send + 'static {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Its own: the call ends with it.
    async fn next(&mut self) -> Result<Option<Vec<u8>>>;
}

/// A body that is sent as it is read, and cannot be sent twice.
pub struct Upload {
    /// The media type.
    pub content_type: String,
    /// How many bytes there are, where that is known: stated as `content-length`. Absent: sent in chunks (RFC 9112 section 7.1).
    pub length: Option<u64>,
    pub(crate) source: Box<dyn UploadSource>,
}

impl Upload {
    /// From a source.
    pub fn new(content_type: impl Into<String>, source: impl UploadSource) -> Self {
        Self { content_type: content_type.into(), length: None, source: Box::new(source) }
    }

    /// From a reader, e.g. a file.
    pub fn from_reader(content_type: impl Into<String>, reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self::new(content_type, Reader(reader))
    }

    /// States how many bytes there are. An upload that turns out to have more or fewer is cut.
    #[must_use]
    pub fn length(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("content_type", &self.content_type).field("length", &self.length).finish_non_exhaustive()
    }
}

struct Reader<R>(R);

#[async_trait]
impl<R: AsyncRead + Send + Unpin + 'static> UploadSource for Reader<R> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut piece = vec![0; PIECE];
        let read = self.0.read(&mut piece).await.map_err(|error| err!(InvalidRequest, "the upload could not be read: {}", error.kind()))?;
        piece.truncate(read);
        Ok((read > 0).then_some(piece))
    }
}

/// A request whose answer, and body if it has an upload, are streamed.
pub struct StreamRequest {
    /// Method, URL and headers; its `timeout` and `max_body` do not count.
    pub head: HttpRequest,
    /// The body; absent: that of `head`.
    pub upload: Option<Upload>,
    /// How long either side may be silent.
    pub silence: Duration,
    /// How many bytes may be sent, and how many received.
    pub most: u64,
}

impl StreamRequest {
    /// How many bytes go either way where the caller does not say: 1 GiB.
    pub(crate) const MOST: u64 = 1 << 30;
}

/// What an answer's body comes from.
#[async_trait]
pub trait BodySource: Send + 'static {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `provider_timeout` after silence, `provider_error` when the connection breaks, `answer_too_large` beyond the limit.
    async fn next(&mut self) -> Result<Option<Vec<u8>>>;
}

/// An answer whose body is read as it comes. What is not read is not fetched; dropping it ends the call. Debug shows the status only.
pub struct HttpStream {
    /// The status.
    pub status: u16,
    /// Name (lower case) and value.
    pub headers: Vec<(String, String)>,
    body: Box<dyn BodySource>,
}

impl HttpStream {
    /// Made by a transport.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: impl BodySource) -> Self {
        Self { status, headers, body: Box::new(body) }
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The next piece of the body; `None` at the end.
    ///
    /// # Errors
    /// As [`BodySource::next`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.body.next().await
    }

    /// The rest of the body at once, at most so many bytes.
    ///
    /// # Errors
    /// As [`Self::next`]; `answer_too_large`.
    pub async fn rest(mut self, most: usize) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > most {
                bail!(AnswerTooLarge, "the answer is larger than {most} bytes");
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// The whole answer at once, its body at most so many bytes.
    ///
    /// # Errors
    /// As [`Self::rest`].
    pub async fn whole(mut self, most: usize) -> Result<ApiAnswer> {
        let headers = std::mem::take(&mut self.headers).into_iter().map(NameValue::from).collect();
        Ok(ApiAnswer { status: self.status, headers, body: self.rest(most).await? })
    }
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpStream({})", self.status)
    }
}
