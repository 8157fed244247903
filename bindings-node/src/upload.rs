//! Bodies that JavaScript hands over part by part: of requests to the HTTP API, and of calls to applications.

use std::sync::Arc;

use napi::{Env, Unknown};
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use smalt::{Code, Error, Result};
use smalt_bridge::{Parts, PartsSource, UploadOptions, contained};

use crate::{
    engine::{NativeEngine, read},
    panics,
    read::Reader,
    room::{End, Room, Shared},
};

/// Where JavaScript puts the parts of a body.
#[napi]
pub struct NativeUpload {
    parts: Parts,
    source: Option<PartsSource>,
    shared: Arc<Shared>,
}

impl NativeUpload {
    pub fn new(shared: Arc<Shared>) -> Self {
        let (parts, source) = Parts::new();
        Self { parts, source: Some(source), shared }
    }

    /// What reads the body; it can be taken once.
    pub fn take(&mut self) -> Option<PartsSource> {
        self.source.take()
    }
}

#[napi]
impl NativeUpload {
    /// Hands a part over, and ends when there is room for the next one; `false` when no more is wanted.
    #[napi(catch_unwind)]
    pub fn push(&self, id: u32, part: Unknown<'_>) -> napi::Result<()> {
        panics::here();
        let part = Bytes::deserialize(Reader::new(part)).map_err(|_| napi::Error::from_reason("bytes are expected"))?;
        let taken = self.parts.push(part.0);
        self.shared.run(id, async move { Ok(End::Flag(taken.await)) });
        Ok(())
    }

    /// The body is whole; or was cut off. One that nobody reads is let go of.
    #[napi(catch_unwind)]
    pub fn end(&mut self, whole: bool) {
        panics::here();
        self.parts.end(whole);
        self.source = None;
    }
}

#[napi]
impl NativeEngine {
    /// An authenticated call whose body comes in parts; `within` as for `connect`. Answers an error's record when nothing was begun.
    #[napi(catch_unwind)]
    pub fn upload<'env>(
        &self,
        env: &'env Env,
        room: &Room,
        id: u32,
        options: Unknown<'env>,
        body: &mut NativeUpload,
        within: f64,
    ) -> napi::Result<Unknown<'env>> {
        panics::here();
        room.refusal(env, contained(|| self.begin_upload(id, options, body, within)))
    }

    fn begin_upload(&self, id: u32, options: Unknown<'_>, body: &mut NativeUpload, within: f64) -> Result<()> {
        let options: UploadOptions = read("the options", options)?;
        let source = body.take().ok_or_else(|| Error::new(Code::InvalidRequest, "this body was sent already"))?;
        let asker = self.asker();
        let upload = asker.engine.upload(asker.caller.clone(), options, source, asker.scope(within));
        asker.shared.run(id, async move { upload.await.map(End::Api) });
        Ok(())
    }
}

/// Bytes as they are.
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Raw;
        impl serde::de::Visitor<'_> for Raw {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> std::result::Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        from.deserialize_byte_buf(Raw)
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}
