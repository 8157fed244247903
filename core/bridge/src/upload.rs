//! Bodies that the host hands over in parts, no faster than they are sent.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use smalt::{Code, Error, Result, backend::ApiRequest, plugin::UploadSource};
use tokio::sync::mpsc;

/// How many parts wait to be sent.
const AHEAD: usize = 4;

/// How [`Engine::upload`](crate::Engine::upload) uploads.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadOptions {
    /// The call, without a body. Its `timeout` is how long either side may be silent (default 30 s), its `max_body` the most bytes that are sent,
    /// and that are answered (default 1 GiB, and 8 MiB of the answer).
    pub request: ApiRequest,
    /// The body's media type. Default `application/octet-stream`.
    #[serde(default)]
    pub content_type: Option<String>,
    /// How many bytes the body has, where that is known.
    #[serde(default)]
    pub length: Option<u64>,
}

/// Where the host puts a body's parts. Clones are the same. Dropped before [`Self::end`], the body is cut off.
#[derive(Clone)]
pub struct Parts(Arc<Inner>);

struct Inner {
    sender: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    whole: Arc<AtomicBool>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts")
    }
}

impl Parts {
    /// Both ends of a body.
    pub fn new() -> (Self, PartsSource) {
        let (sender, parts) = mpsc::channel(AHEAD);
        let whole = Arc::new(AtomicBool::new(false));
        let source = PartsSource { parts, whole: whole.clone() };
        (Self(Arc::new(Inner { sender: Mutex::new(Some(sender)), whole })), source)
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Vec<u8>>>> {
        self.0.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a part over, and ends when there is room for the next one; false when no more is wanted.
    pub fn push(&self, part: Vec<u8>) -> impl Future<Output = bool> + Send + use<> {
        let sender = self.sender().clone();
        async move {
            match sender {
                // In chunks (RFC 9112 section 7.1) an empty one would be the end.
                Some(sender) if part.is_empty() => !sender.is_closed(),
                Some(sender) => sender.send(part).await.is_ok(),
                None => false,
            }
        }
    }

    /// The body is whole; or was cut off, and must not look whole.
    pub fn end(&self, whole: bool) {
        self.0.whole.store(whole, Ordering::Release);
        *self.sender() = None;
    }
}

/// Where a body's parts come out.
pub struct PartsSource {
    parts: mpsc::Receiver<Vec<u8>>,
    whole: Arc<AtomicBool>,
}

impl fmt::Debug for PartsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartsSource")
    }
}

impl PartsSource {
    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// `invalid_request` when it was cut off.
    pub fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>>> {
        Poll::Ready(match ready!(self.parts.poll_recv(context)) {
            None if !self.whole.load(Ordering::Acquire) => Err(Error::new(Code::InvalidRequest, "the upload was cut off")),
            part => Ok(part),
        })
    }
}

#[async_trait]
impl UploadSource for PartsSource {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        std::future::poll_fn(|context| self.poll_part(context)).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that cannot get what it needs has failed
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_cut_off_does_not_look_whole() {
        for (whole, dropped) in [(true, false), (false, false), (false, true)] {
            let (parts, mut source) = Parts::new();
            assert!(parts.push(b"a".to_vec()).await && parts.push(Vec::new()).await && parts.push(b"b".to_vec()).await);
            if dropped {
                drop(parts);
            } else {
                parts.end(whole);
                assert!(!parts.push(b"late".to_vec()).await);
            }
            assert_eq!((source.next().await.unwrap(), source.next().await.unwrap()), (Some(b"a".to_vec()), Some(b"b".to_vec())));
            match source.next().await {
                Ok(end) => assert!(whole && end.is_none()),
                Err(error) => assert!(!whole && error.code() == Code::InvalidRequest),
            }
        }
    }

    #[tokio::test]
    async fn nothing_more_is_taken_when_nothing_more_is_wanted() {
        let (parts, source) = Parts::new();
        for n in 0..AHEAD {
            assert!(parts.push(vec![1]).await, "{n}");
        }
        let waits = tokio::spawn(parts.push(vec![1]));
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(source);
        assert!(!waits.await.unwrap() && !parts.push(vec![1]).await && !parts.push(Vec::new()).await);
    }
}
