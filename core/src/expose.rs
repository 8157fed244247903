//! Values with their secrets in the clear, for a wire.
//!
//! A type that holds a secret, or what a user or a provider wrote, has no `Serialize`, so that none of it gets into a file
//! or a log by accident. Whoever must write one out says so by name: `serde_json::to_vec(&Exposed(&session))`.
//!
//! For bindings, which write the host language's own objects: a secret, a timestamp and a duration come as newtypes of these
//! names (`serialize_newtype_struct("Secret", …)`), structs and enums under the names that the schema has. To a serializer
//! that is not human readable a timestamp is a number of milliseconds, and bytes are bytes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap, ser::SerializeSeq};

use crate::{Secret, model};

/// A value that can be written with its secrets in the clear, by [`Exposed`] only.
pub trait Expose {
    /// Writes it.
    ///
    /// # Errors
    /// The serializer's own.
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// Serialises a value **with its secrets in the clear**. For the body of a message to whom they are meant, and nothing else.
pub struct Exposed<'a, T: ?Sized>(pub &'a T);

impl<T: Expose + ?Sized> Serialize for Exposed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write_exposed(serializer)
    }
}

/// The other way: what [`Exposed`] wrote, read from a message with its secrets in the clear. Whatever can be written out can
/// be read, since both backends answer it.
pub(crate) trait Received: Sized + Send + 'static {
    /// Reads it. From JSON that was taken apart already, as requests are read: a second reader of every type would make programs
    /// larger by much.
    ///
    /// # Errors
    /// When it is of another form. The error may repeat what stood there: say nothing of it.
    fn received(json: model::Json) -> serde_json::Result<Self>;

    /// Reads it from its text. The answers of the busiest calls have a reader for that, see `busy`; the others are taken apart first.
    ///
    /// # Errors
    /// As [`Self::received`], and where the text is no JSON.
    fn read(text: &[u8]) -> serde_json::Result<Self> {
        Self::received(serde_json::from_slice(text)?)
    }
}

impl<T: Received> Received for Arc<T>
where
    Arc<T>: Send,
{
    fn received(json: model::Json) -> serde_json::Result<Self> {
        T::received(json).map(Arc::new)
    }

    fn read(text: &[u8]) -> serde_json::Result<Self> {
        T::read(text).map(Arc::new)
    }
}

/// Nothing is answered as any JSON: servers write `{}`, which is more to some clients than an empty body.
impl Received for () {
    fn received(_: model::Json) -> serde_json::Result<Self> {
        Ok(())
    }
}

impl<T: serde::de::DeserializeOwned + Send + 'static> Received for model::Page<T> {
    fn received(json: model::Json) -> serde_json::Result<Self> {
        serde_json::from_value(json)
    }
}

impl<T: serde::de::DeserializeOwned + Send + 'static> Received for Vec<T> {
    fn received(json: model::Json) -> serde_json::Result<Self> {
        serde_json::from_value(json)
    }
}

impl Expose for Secret {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct("Secret", self.expose())
    }
}

/// Base64 (RFC 4648 section 4); bytes in a format that is not for people.
impl Expose for Vec<u8> {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(self);
        }
        serializer.serialize_str(&zeroize::Zeroizing::new(Base64::encode_string(self)))
    }
}

/// Seconds.
impl Expose for Duration {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct("Duration", &self.as_secs_f64())
    }
}

impl<T: Expose> Expose for Option<T> {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => serializer.serialize_some(&Exposed(value)),
            None => serializer.serialize_none(),
        }
    }
}

impl<T: Expose> Expose for Vec<T> {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|item| list.serialize_element(&Exposed(item)))?;
        list.end()
    }
}

impl<T: Expose> Expose for BTreeMap<String, T> {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        self.iter().try_for_each(|(name, value)| map.serialize_entry(name, &Exposed(value)))?;
        map.end()
    }
}

impl<T: Expose + ?Sized> Expose for Arc<T> {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).write_exposed(serializer)
    }
}

impl<T: Serialize> Expose for model::Page<T> {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize(serializer)
    }
}

/// Types that hold no secret of Smalt's are written as they always are.
macro_rules! plain {
    ($($type:ty),* $(,)? $(; busy $($busy:ty),*)?) => {
        $(
            plain!(@exposed $type);
            $crate::expose::received!($type);
        )*
        $($(
            plain!(@exposed $busy);
            $crate::expose::received!($busy, busy);
        )*)?
    };
    (@exposed $type:ty) => {
        impl Expose for $type {
            fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize(serializer)
            }
        }
    };
}

/// Reads a type. A `busy` one has a second reader, which goes through the text once and keeps nothing of it beside: a credential's token
/// stands in no memory but its own.
macro_rules! received {
    ($type:ty $(, $busy:ident)?) => {
        impl $crate::expose::Received for $type {
            fn received(json: $crate::model::Json) -> serde_json::Result<Self> {
                serde_json::from_value(json)
            }

            $($crate::expose::received!(@$busy);)?
        }
    };
    (@busy) => {
        fn read(text: &[u8]) -> serde_json::Result<Self> {
            serde_json::from_slice(text)
        }
    };
}
pub(crate) use received;

impl Expose for () {
    fn write_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

plain! {
bool, u16, u32, u64, String, crate::Timestamp, model::Json, model::JsonMap, model::Environment, crate::manifest::Pagination, crate::project::Project, model::AccountUpdate, model::ApiKey, model::Application, model::AuthType, model::Config, model::ConfigUpdate, model::ConnectFlow, model::Connection, model::Field, model::HandoffPreview, model::KeyRotation, model::Labels, model::Receipt, model::RuleColumns, model::SiblingPolicy, model::UpsertedAccount, model::Delivery, model::WebhookEvent, model::WebhookKind, model::Execution, model::OwnChange;
busy model::LinkedAccount
}

/// The fields of a struct, each exposed; a field that is forgotten here does not compile. `=> busy`: see [`received`].
macro_rules! exposes {
    ($($name:ident { $($field:ident),* $(,)? } $(=> $busy:ident)?)*) => { $(
        impl $crate::expose::Expose for $name {
            fn write_exposed<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;
                const FIELDS: &[&str] = &[$(stringify!($field)),*];
                let Self { $($field),* } = self;
                #[allow(unused_mut)] // a struct without fields
                let mut out = serializer.serialize_struct(stringify!($name), FIELDS.len())?;
                $(out.serialize_field(stringify!($field), &$crate::expose::Exposed($field))?;)*
                out.end()
            }
        }

        $crate::expose::received!($name $(, $busy)?);
    )* };
}
pub(crate) use exposes;

/// How a [`Duration`] stands in JSON: a number of seconds. Read as a newtype of the name that it is written with, so that a binding
/// can take what its language measures time in.
pub(crate) struct Seconds;

#[derive(Deserialize)]
#[serde(rename = "Duration")]
struct Number(f64);

impl Seconds {
    /// Reads one, or `null`.
    pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let seconds: Option<Number> = Option::deserialize(from)?;
        let read = |Number(seconds)| Duration::try_from_secs_f64(seconds).map_err(|_| D::Error::custom("a number of seconds is expected"));
        seconds.map(read).transpose()
    }

    /// Reads one that must be there.
    pub(crate) fn read_some<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Self::read(from)?.ok_or_else(|| D::Error::custom("a number of seconds is expected"))
    }
}

impl schemars::JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "description": "Seconds."})
    }
}

/// How bytes stand in JSON: base64 with padding (RFC 4648 section 4). In a format that is not for people they are bytes.
pub(crate) struct Bytes;

/// Takes bytes as they are.
struct Raw;

impl<'de> serde::de::Visitor<'de> for Raw {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

impl Bytes {
    /// Reads them. The error does not repeat what stood there.
    pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        if !from.is_human_readable() {
            return from.deserialize_byte_buf(Raw).map_err(|_| D::Error::custom("bytes are expected"));
        }
        let text = zeroize::Zeroizing::new(String::deserialize(from).map_err(|_| D::Error::custom("a string is expected"))?);
        Base64::decode_vec(&text).map_err(|_| D::Error::custom("base64 is expected"))
    }
}

impl schemars::JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "contentEncoding": "base64", "description": "Base64 with padding."})
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::backend::{ApiRequest, ConnectKey, json_body};

    #[test]
    fn what_is_exposed_reads_back() {
        let mut request = ConnectKey { account: "a".into(), ..ConnectKey::default() };
        request.inputs.insert("key".into(), Secret::new("canary"));
        let text = serde_json::to_string(&Exposed(&request)).unwrap();
        assert_eq!(text, r#"{"account":"a","application":"","inputs":{"key":"canary"},"connection":null}"#);
        assert_eq!(serde_json::from_str::<ConnectKey>(&text).unwrap().inputs["key"].expose(), "canary");
    }

    #[test]
    fn bytes_are_base64_and_durations_are_seconds() {
        let request = ApiRequest {
            body: Some(json_body(&serde_json::json!([1]))),
            timeout: Some(Duration::from_millis(1500)),
            ..ApiRequest::default()
        };
        let json = serde_json::to_value(Exposed(&request)).unwrap();
        assert_eq!(json["body"], serde_json::json!({"content_type": "application/json", "content": "WzFd"}));
        assert_eq!(json["timeout"], 1.5);
        let read: ApiRequest = serde_json::from_value(json).unwrap();
        assert_eq!(read.timeout, request.timeout);
        assert_eq!(read.body.unwrap().content, b"[1]");
        for wrong in ["-1", "1e300", "\"1\""] {
            let text = format!(r#"{{"account":"a","application":"b","method":"GET","path":"x","timeout":{wrong}}}"#);
            assert!(serde_json::from_str::<ApiRequest>(&text).is_err(), "{wrong}");
        }
    }
}
