use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::{
    error::{Result, err},
    model::Json,
    plugin::{BodySource, HttpRequest, HttpResponse, HttpStream, HttpTransport, StreamRequest},
};

type Script = dyn Fn(&HttpRequest) -> Result<HttpResponse> + Send + Sync;

/// A transport for tests: nothing leaves the process. It answers from a queue, then from a function, and keeps every
/// request. Clones share both.
#[derive(Clone, Default)]
pub struct ScriptedTransport(Arc<Inner>);

#[derive(Default)]
struct Inner {
    queue: Mutex<VecDeque<Result<HttpResponse>>>,
    script: Option<Box<Script>>,
    requests: Mutex<Vec<HttpRequest>>,
}

impl ScriptedTransport {
    /// With an empty queue; a call that finds it empty gets `provider_unreachable`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers with a function whatever the queue does not.
    pub fn answering(script: impl Fn(&HttpRequest) -> Result<HttpResponse> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { script: Some(Box::new(script)), ..Inner::default() }))
    }

    /// Puts an answer at the queue's end.
    pub fn push(&self, answer: Result<HttpResponse>) {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    /// Puts a JSON answer at the queue's end.
    pub fn push_json(&self, status: u16, body: &Json) {
        self.push(Ok(Self::json(status, body)));
    }

    /// A JSON answer, for scripts.
    pub fn json(status: u16, body: &Json) -> HttpResponse {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        HttpResponse { status, headers, body: body.to_string().into_bytes() }
    }

    /// Every request so far, secrets included.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScriptedTransport({} requests)", self.requests().len())
    }
}

#[async_trait]
impl HttpTransport for ScriptedTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let queued = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match (queued, &self.0.script) {
            (Some(answer), _) => answer,
            (None, Some(script)) => script(&request),
            (None, None) => Err(err!(ProviderUnreachable, "the script has no more answers")),
        }
    }

    /// As [`Self::send`], with the upload as the request's body.
    async fn stream(&self, request: StreamRequest) -> Result<HttpStream> {
        let StreamRequest { mut head, upload, .. } = request;
        if let Some(mut upload) = upload {
            let mut body = Vec::new();
            while let Some(piece) = upload.source.next().await? {
                body.extend(piece);
            }
            head.set_body(&upload.content_type, body);
        }
        let answer = self.send(head).await?;
        Ok(HttpStream::new(answer.status, answer.headers, Once(Some(answer.body))))
    }
}

/// A body in one piece.
struct Once(Option<Vec<u8>>);

#[async_trait]
impl BodySource for Once {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.0.take())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_queue_goes_before_the_script() {
        let transport = ScriptedTransport::answering(|request| Ok(ScriptedTransport::json(404, &Json::from(request.url.path()))));
        transport.push_json(200, &Json::from(1));
        let request = |path: &str| HttpRequest::new("get", format!("https://x.test{path}").parse().unwrap());
        assert_eq!(transport.send(request("/a")).await.unwrap().json(), Some(Json::from(1)));
        assert_eq!(transport.send(request("/b")).await.unwrap().json(), Some(Json::from("/b")));
        assert_eq!(transport.requests().iter().map(|r| r.url.path().to_owned()).collect::<Vec<_>>(), ["/a", "/b"]);
        assert!(ScriptedTransport::new().send(request("/")).await.unwrap_err().is(crate::Code::ProviderUnreachable));
    }
}
