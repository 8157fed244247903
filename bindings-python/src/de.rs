//! Requests from Python's own objects. What is said of a mistake repeats no value: any of them may be a secret.

use std::fmt;

use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple},
};
use serde::{
    Deserialize,
    de::{self, IntoDeserializer, Visitor},
};
use smalt::{Code, Error, Result as SmaltResult};
use smalt_bridge::misread;

use crate::secret::Secret;

/// Objects in each other, at most.
const DEEPEST: usize = 64;

/// Reads a value from Python objects.
///
/// # Errors
/// `invalid_request`.
pub fn from_python<'de, T: Deserialize<'de>>(what: &str, value: &Bound<'_, PyAny>) -> SmaltResult<T> {
    T::deserialize(De { value: value.clone(), depth: 0 }).map_err(|error| match error {
        DeError::Own(words) => Error::new(Code::InvalidRequest, format!("{what}: {words}")),
        DeError::Said(said) => misread(what, said),
    })
}

/// The deserializer of a Python object, for readers that make their own errors.
pub fn reader<'py>(value: &Bound<'py, PyAny>) -> De<'py> {
    De { value: value.clone(), depth: 0 }
}

/// The mistake, in words.
#[derive(Debug)]
pub enum DeError {
    /// This file's own, which repeat nothing of the value.
    Own(String),
    /// What the reader of a type says. A part of the value may stand in it.
    Said(String),
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (DeError::Own(words) | DeError::Said(words)) = self;
        f.write_str(words)
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Said(message.to_string())
    }

    /// The usual words repeat the value.
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Own(format!("a value of another type than expected: {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Own(format!("another value than expected: {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Own(format!("another word than expected: one of {}", expected.join(", ")))
    }
}

impl From<PyErr> for DeError {
    fn from(_: PyErr) -> Self {
        Self::Own("a value that cannot be read".to_owned())
    }
}

fn other<T>(message: &str) -> Result<T, DeError> {
    Err(DeError::Own(message.to_owned()))
}

/// What conversions need again and again.
struct Known {
    datetime: Py<PyAny>,
    timedelta: Py<PyAny>,
    utc: Py<PyAny>,
    mapping: Py<PyAny>,
    model: Py<PyAny>,
    path: Py<PyAny>,
    enumeration: Py<PyAny>,
}

static KNOWN: PyOnceLock<Known> = PyOnceLock::new();

fn known(py: Python<'_>) -> PyResult<&Known> {
    KNOWN.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        Ok(Known {
            datetime: datetime.getattr("datetime")?.unbind(),
            timedelta: datetime.getattr("timedelta")?.unbind(),
            utc: datetime.getattr("timezone")?.getattr("utc")?.unbind(),
            mapping: py.import("collections.abc")?.getattr("Mapping")?.unbind(),
            model: py.import("smalt._model")?.getattr("Model")?.unbind(),
            path: py.import("os")?.getattr("PathLike")?.unbind(),
            enumeration: py.import("enum")?.getattr("Enum")?.unbind(),
        })
    })
}

/// One Python object.
pub struct De<'py> {
    value: Bound<'py, PyAny>,
    depth: usize,
}

impl<'py> De<'py> {
    fn inner(&self, value: Bound<'py, PyAny>) -> Result<Self, DeError> {
        if self.depth >= DEEPEST {
            return other("objects lie too deep in each other");
        }
        Ok(De { value, depth: self.depth + 1 })
    }

    fn number<'de, V: Visitor<'de>>(&self, number: &Bound<'py, PyInt>, visitor: V) -> Result<V::Value, DeError> {
        if let Ok(number) = number.extract::<i64>() {
            return visitor.visit_i64(number);
        }
        match number.extract::<u64>() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => other("a number beyond 64 bits"),
        }
    }

    fn seconds(&self) -> PyResult<Option<f64>> {
        let known = known(self.value.py())?;
        if !self.value.is_instance(known.timedelta.bind(self.value.py()))? {
            return Ok(None);
        }
        self.value.call_method0("total_seconds")?.extract().map(Some)
    }

    /// `2026-01-31T08:15:00.000Z`; one without a zone is refused, since nobody knows what it means.
    fn timestamp(&self) -> Result<String, DeError> {
        let py = self.value.py();
        if self.value.getattr("tzinfo")?.is_none() {
            return other("a datetime without a time zone");
        }
        let utc = self.value.call_method1("astimezone", (known(py)?.utc.bind(py),))?;
        let text: String = utc.call_method1("isoformat", ("T", "milliseconds"))?.extract()?;
        Ok(text.replace("+00:00", "Z"))
    }

    /// Everything that is no plain type of Python's.
    fn special<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let py = self.value.py();
        let known = known(py)?;
        let is = |class: &Py<PyAny>| self.value.is_instance(class.bind(py));
        if let Ok(secret) = self.value.cast::<Secret>() {
            return visitor.visit_str(secret.get().0.expose());
        }
        if is(&known.model)? {
            let fields = self.value.call_method0("_given")?;
            return self.inner(fields)?.any(visitor);
        }
        if let Some(seconds) = self.seconds()? {
            return visitor.visit_f64(seconds);
        }
        if is(&known.datetime)? {
            return visitor.visit_string(self.timestamp()?);
        }
        if is(&known.mapping)? {
            let dict = PyDict::new(py);
            for item in self.value.call_method0("items")?.try_iter()? {
                let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
                dict.set_item(name, value)?;
            }
            return self.inner(dict.into_any())?.any(visitor);
        }
        if is(&known.enumeration)? {
            let value = self.value.getattr("value")?;
            return self.inner(value)?.any(visitor);
        }
        if is(&known.path)? {
            let text = py.import("os")?.call_method1("fsdecode", (&self.value,))?;
            return self.inner(text)?.any(visitor);
        }
        other("an object of a type that has no place here")
    }

    fn any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let value = &self.value;
        if value.is_none() {
            return visitor.visit_unit();
        }
        if let Ok(text) = value.cast::<PyString>() {
            return match text.to_str() {
                Ok(text) => visitor.visit_str(text),
                Err(_) => other("a text with half of a surrogate pair"),
            };
        }
        if let Ok(flag) = value.cast::<PyBool>() {
            return visitor.visit_bool(flag.is_true());
        }
        if let Ok(number) = value.cast::<PyInt>() {
            return self.number(number, visitor);
        }
        if let Ok(number) = value.cast::<PyFloat>() {
            let number = number.value();
            return if number.is_finite() { visitor.visit_f64(number) } else { other("a number that is not finite") };
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            let items: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)> = dict.iter().collect();
            return visitor.visit_map(Pairs { items: items.into_iter(), value: None, of: &self });
        }
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return visitor.visit_bytes(bytes.as_bytes());
        }
        if let Ok(bytes) = value.cast::<PyByteArray>() {
            return visitor.visit_byte_buf(bytes.to_vec());
        }
        if value.is_instance_of::<PyList>()
            || value.is_instance_of::<PyTuple>()
            || value.is_instance_of::<PySet>()
            || value.is_instance_of::<PyFrozenSet>()
        {
            let items = value.try_iter()?.collect::<PyResult<Vec<_>>>()?;
            return visitor.visit_seq(Items { items: items.into_iter(), of: &self });
        }
        self.special(visitor)
    }
}

struct Items<'a, 'py> {
    items: std::vec::IntoIter<Bound<'py, PyAny>>,
    of: &'a De<'py>,
}

impl<'de> de::SeqAccess<'de> for Items<'_, '_> {
    type Error = DeError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DeError> {
        match self.items.next() {
            Some(item) => seed.deserialize(self.of.inner(item)?).map(Some),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Pairs<'a, 'py> {
    items: std::vec::IntoIter<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    value: Option<Bound<'py, PyAny>>,
    of: &'a De<'py>,
}

impl<'de> de::MapAccess<'de> for Pairs<'_, '_> {
    type Error = DeError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DeError> {
        let Some((key, value)) = self.items.next() else { return Ok(None) };
        self.value = Some(value);
        if !key.is_instance_of::<PyString>() {
            return other("a key that is no text");
        }
        seed.deserialize(self.of.inner(key)?).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DeError> {
        match self.value.take() {
            Some(value) => seed.deserialize(self.of.inner(value)?),
            None => other("a value without a key"),
        }
    }
}

impl<'de> de::Deserializer<'de> for De<'_> {
    type Error = DeError;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        if self.value.is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, DeError> {
        if let Ok(text) = self.value.cast::<PyString>() {
            let text = text.to_str()?.to_owned();
            return visitor.visit_enum(text.into_deserializer());
        }
        match self.value.cast::<PyDict>() {
            Ok(dict) if dict.len() == 1 => {
                let items: Vec<_> = dict.iter().collect();
                let pairs = Pairs { items: items.into_iter(), value: None, of: &self };
                visitor.visit_enum(de::value::MapAccessDeserializer::new(pairs))
            }
            _ => other("a word is expected"),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
