//! The HTTP API of `smalt_server` in the process of a user, behind whatever server they have. Bodies pass through in both directions.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use napi::{
    Env, JsValue, Unknown,
    bindgen_prelude::{JavaScriptClassExt, JsObjectValue, Object},
};
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use smalt::{Code, Error, Result, model::Environment};
use smalt_bridge::{PartsSource, contained};
use smalt_server::{Api, ApiOptions, Peer};

use crate::{
    engine::{NativeEngine, read},
    panics,
    read::Reader,
    room::{End, Room, Shared, lock},
    upload::{Bytes, NativeUpload},
    write::{Classes, Writer},
};

type Body = axum::body::Body;

/// Answers up to this size come in one piece.
const SMALL: u64 = 256 * 1024;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    environment: Option<Environment>,
    public_url: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    /// Path and query.
    target: String,
    headers: Vec<(String, String)>,
    /// The other end of the connection.
    peer: Option<String>,
}

/// A request's body on its way from JavaScript.
struct Incoming(PartsSource);

impl http_body::Body for Incoming {
    type Data = axum::body::Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Self::Data>>>> {
        Poll::Ready(match ready!(self.0.poll_part(context)) {
            Ok(part) => part.map(|part| Ok(Frame::data(part.into()))),
            Err(_) => Some(Err(std::io::ErrorKind::ConnectionReset.into())),
        })
    }
}

/// What the API answered: with its body, or with the rest of one that is long or has no end.
#[derive(Serialize)]
pub struct Answered {
    status: u16,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
    #[serde(skip)]
    rest: Option<Body>,
}

impl Answered {
    pub fn write<'env>(self, env: &'env Env, classes: &Classes<'env>, shared: &Arc<Shared>) -> napi::Result<Unknown<'env>> {
        let mut object: Object<'env> = Writer::new(env, classes).write(&self)?.coerce_to_object()?;
        if let Some(rest) = self.rest {
            let body = NativeBody { rest: Arc::new(Mutex::new(Some(rest))), stopped: Arc::default(), shared: shared.clone() };
            object.set_named_property("rest", body.into_instance(env)?.to_unknown())?;
        }
        Ok(object.to_unknown())
    }
}

/// A body that JavaScript reads as it comes.
#[napi]
pub struct NativeBody {
    /// Taken out while a part of it is awaited.
    rest: Arc<Mutex<Option<Body>>>,
    /// Read and written with the lock of `rest` held.
    stopped: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

#[napi]
impl NativeBody {
    /// The next part; nothing at the end.
    #[napi(catch_unwind)]
    pub fn next(&self, id: u32) {
        panics::here();
        let (rest, stopped) = (self.rest.clone(), self.stopped.clone());
        let taken = lock(&rest).take();
        self.shared.run(id, async move {
            let Some(mut body) = taken else { return Ok(End::Nothing) };
            loop {
                match body.frame().await {
                    None => return Ok(End::Nothing),
                    Some(Err(_)) => return Err(Error::new(Code::ProviderUnreachable, "the answer was cut off")),
                    Some(Ok(frame)) => {
                        if let Ok(part) = frame.into_data() {
                            let mut place = lock(&rest);
                            if !stopped.load(Ordering::Acquire) {
                                *place = Some(body);
                            }
                            return Ok(End::Bytes(part.to_vec()));
                        }
                    }
                }
            }
        });
    }

    /// Nobody reads on.
    #[napi(catch_unwind)]
    pub fn stop(&self) {
        panics::here();
        let mut place = lock(&self.rest);
        self.stopped.store(true, Ordering::Release);
        drop(place.take());
    }
}

/// The API over one engine.
#[napi]
pub struct NativeApi {
    api: Api,
    shared: Arc<Shared>,
}

async fn answer(api: Api, asked: Asked, incoming: Option<Incoming>) -> Result<End> {
    let malformed = |_| Error::new(Code::InvalidRequest, "the request is no HTTP request");
    let mut request = http::Request::builder().method(asked.method.as_str()).uri(asked.target);
    for (name, value) in &asked.headers {
        // Header values are bytes, which JavaScript reads as Latin-1.
        let value: Option<Vec<u8>> = value.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
        request = request.header(name.as_str(), value.unwrap_or_default());
    }
    let body = incoming.map_or_else(Body::empty, Body::new);
    let mut request = request.body(body).map_err(malformed)?;
    if let Some(peer) = asked.peer.and_then(|peer| peer.parse::<IpAddr>().ok()) {
        request.extensions_mut().insert(Peer(peer));
    }
    let (head, rest) = api.answer(request).await.into_parts();
    let text = |value: &http::HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
    let mut answered = Answered {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: None,
        rest: None,
    };
    if rest.size_hint().exact().is_some_and(|size| size <= SMALL) {
        let whole = rest.collect().await.map_err(|_| Error::new(Code::Internal, "an answer's body cannot be read"))?;
        answered.body = Some(Bytes(whole.to_bytes().to_vec()));
    } else {
        answered.rest = Some(rest);
    }
    Ok(End::Http(Box::new(answered)))
}

#[napi]
impl NativeApi {
    /// Answers a request. Answers an error's record where it is none.
    #[napi(catch_unwind)]
    pub fn answer<'env>(
        &self,
        env: &'env Env,
        room: &Room,
        id: u32,
        request: Unknown<'env>,
        upload: Option<&mut NativeUpload>,
    ) -> napi::Result<Unknown<'env>> {
        panics::here();
        let done = contained(|| {
            let asked = Asked::deserialize(Reader::new(request)).map_err(|_| Error::new(Code::InvalidRequest, "the request is none"))?;
            let incoming = upload.and_then(NativeUpload::take).map(Incoming);
            self.shared.run(id, answer(self.api.clone(), asked, incoming));
            Ok(())
        });
        room.refusal(env, done)
    }
}

#[napi]
impl NativeEngine {
    /// The HTTP API over this engine.
    #[napi(catch_unwind)]
    pub fn http(&self, options: Unknown<'_>) -> napi::Result<NativeApi> {
        panics::here();
        let api = contained(|| {
            let Options { environment, public_url } = read("the options", options)?;
            let options = ApiOptions { public_url, ..ApiOptions::default() };
            Ok(Api::new([(environment.unwrap_or(Environment::Test), self.smalt()?)], options))
        });
        let api = api.map_err(|error| napi::Error::from_reason(error.to_string()))?;
        Ok(NativeApi { api, shared: self.shared() })
    }
}
