//! Answers as Python's own objects: structs and enums become the classes of `smalt.types` that have their name.

use std::{collections::HashMap, fmt, sync::Mutex};

use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyDict, PyList, PyString, PyTuple},
};
use serde::ser::{self, Serialize};

use crate::secret::Secret;

/// What conversions need again and again.
struct Types {
    named: Py<PyAny>,
    classes: Mutex<HashMap<&'static str, Option<Py<PyAny>>>>,
    members: Mutex<HashMap<(&'static str, &'static str), Py<PyAny>>>,
    epoch: Py<PyAny>,
    timedelta: Py<PyAny>,
}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();

fn types(py: Python<'_>) -> PyResult<&Types> {
    TYPES.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        let none = PyDict::new(py);
        none.set_item("tzinfo", utc)?;
        Ok(Types {
            named: py.import("smalt.types")?.getattr("_classes")?.unbind(),
            classes: Mutex::default(),
            members: Mutex::default(),
            epoch: datetime.getattr("datetime")?.call((1970, 1, 1), Some(&none))?.unbind(),
            timedelta: datetime.getattr("timedelta")?.unbind(),
        })
    })
}

impl Types {
    fn class<'py>(&self, py: Python<'py>, name: &'static str) -> Option<Bound<'py, PyAny>> {
        let mut classes = self.classes.lock().ok()?;
        let found = classes.entry(name).or_insert_with(|| self.named.bind(py).get_item(name).ok().map(Bound::unbind));
        found.as_ref().map(|class| class.bind(py).clone())
    }

    fn member<'py>(&self, py: Python<'py>, name: &'static str, value: &'static str) -> Option<Bound<'py, PyAny>> {
        if let Some(known) = self.members.lock().ok()?.get(&(name, value)) {
            return Some(known.bind(py).clone());
        }
        let made = self.class(py, name)?.call1((value,)).ok()?;
        self.members.lock().ok()?.insert((name, value), made.clone().unbind());
        Some(made)
    }
}

/// Writes a value as Python objects.
pub fn to_python<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    value.serialize(Ser { py, types: types(py)? }).map_err(|error| error.0)
}

/// An exception on its way through serde.
#[derive(Debug)]
pub struct SerError(PyErr);

impl fmt::Display for SerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SerError {}

impl ser::Error for SerError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(PyValueError::new_err(message.to_string()))
    }
}

impl From<PyErr> for SerError {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

#[derive(Clone, Copy)]
struct Ser<'py, 't> {
    py: Python<'py>,
    types: &'t Types,
}

type Made<'py> = Result<Bound<'py, PyAny>, SerError>;

macro_rules! numbers {
    ($($method:ident: $ty:ty),*) => { $(
        fn $method(self, value: $ty) -> Made<'py> {
            Ok(value.into_pyobject(self.py).map_err(PyErr::from)?.into_any())
        }
    )* };
}

impl<'py, 't> ser::Serializer for Ser<'py, 't> {
    type Ok = Bound<'py, PyAny>;
    type Error = SerError;
    type SerializeSeq = Seq<'py, 't>;
    type SerializeTuple = Seq<'py, 't>;
    type SerializeTupleStruct = Seq<'py, 't>;
    type SerializeTupleVariant = Seq<'py, 't>;
    type SerializeMap = Map<'py, 't>;
    type SerializeStruct = Map<'py, 't>;
    type SerializeStructVariant = Map<'py, 't>;

    fn is_human_readable(&self) -> bool {
        false
    }

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_f32: f32, serialize_f64: f64, serialize_char: char, serialize_str: &str
    }

    fn serialize_bool(self, value: bool) -> Made<'py> {
        Ok(value.into_pyobject(self.py).map_err(PyErr::from)?.to_owned().into_any())
    }

    fn serialize_bytes(self, value: &[u8]) -> Made<'py> {
        Ok(PyBytes::new(self.py, value).into_any())
    }

    fn serialize_none(self) -> Made<'py> {
        Ok(self.py.None().into_bound(self.py))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Made<'py> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Made<'py> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Made<'py> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, variant: &'static str) -> Made<'py> {
        match self.types.member(self.py, name, variant) {
            Some(member) => Ok(member),
            None => self.serialize_str(variant),
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Made<'py> {
        let inner = value.serialize(self)?;
        Ok(match name {
            "Secret" => {
                let text: &Bound<'py, PyString> = inner.cast().map_err(PyErr::from)?;
                Secret(smalt::Secret::new(text.to_str()?)).into_pyobject(self.py)?.into_any()
            }
            "Timestamp" => {
                let millis: i64 = inner.extract()?;
                let since = self.types.timedelta.bind(self.py).call1((0, millis.div_euclid(1000), millis.rem_euclid(1000) * 1000))?;
                self.types.epoch.bind(self.py).call_method1("__add__", (since,))?
            }
            "Duration" => self.types.timedelta.bind(self.py).call1((0, inner))?,
            _ => inner,
        })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, variant: &'static str, value: &T) -> Made<'py> {
        let one = PyDict::new(self.py);
        one.set_item(variant, value.serialize(self)?)?;
        Ok(one.into_any())
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Seq<'py, 't>, SerError> {
        Ok(Seq { ser: self, items: Vec::with_capacity(length.unwrap_or(0)), variant: None, tuple: false })
    }

    fn serialize_tuple(self, length: usize) -> Result<Seq<'py, 't>, SerError> {
        Ok(Seq { tuple: true, ..self.serialize_seq(Some(length))? })
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Seq<'py, 't>, SerError> {
        self.serialize_tuple(length)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, length: usize) -> Result<Seq<'py, 't>, SerError> {
        Ok(Seq { variant: Some(variant), ..self.serialize_tuple(length)? })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'py, 't>, SerError> {
        Ok(Map { ser: self, dict: PyDict::new(self.py), key: None, class: None, variant: None })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Map<'py, 't>, SerError> {
        Ok(Map { class: self.types.class(self.py, name), ..self.serialize_map(None)? })
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Map<'py, 't>, SerError> {
        Ok(Map { variant: Some(variant), ..self.serialize_map(None)? })
    }
}

/// A list on its way.
struct Seq<'py, 't> {
    ser: Ser<'py, 't>,
    items: Vec<Bound<'py, PyAny>>,
    variant: Option<&'static str>,
    tuple: bool,
}

impl<'py> Seq<'py, '_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerError> {
        self.items.push(value.serialize(self.ser)?);
        Ok(())
    }

    fn finish(self) -> Made<'py> {
        let py = self.ser.py;
        let all = if self.tuple { PyTuple::new(py, self.items)?.into_any() } else { PyList::new(py, self.items)?.into_any() };
        wrapped(py, self.variant, all)
    }
}

fn wrapped<'py>(py: Python<'py>, variant: Option<&'static str>, value: Bound<'py, PyAny>) -> Made<'py> {
    let Some(variant) = variant else { return Ok(value) };
    let one = PyDict::new(py);
    one.set_item(variant, value)?;
    Ok(one.into_any())
}

macro_rules! sequences {
    ($($of:ident.$method:ident),*) => { $(
        impl<'py> ser::$of for Seq<'py, '_> {
            type Ok = Bound<'py, PyAny>;
            type Error = SerError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerError> {
                self.push(value)
            }

            fn end(self) -> Made<'py> {
                self.finish()
            }
        }
    )* };
}

sequences! { SerializeSeq.serialize_element, SerializeTuple.serialize_element, SerializeTupleStruct.serialize_field, SerializeTupleVariant.serialize_field }

/// A dict, or an object of a class, on its way.
struct Map<'py, 't> {
    ser: Ser<'py, 't>,
    dict: Bound<'py, PyDict>,
    key: Option<Bound<'py, PyAny>>,
    class: Option<Bound<'py, PyAny>>,
    variant: Option<&'static str>,
}

impl<'py> Map<'py, '_> {
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), SerError> {
        let value = value.serialize(self.ser)?;
        Ok(self.dict.set_item(PyString::intern(self.ser.py, key), value)?)
    }

    fn finish(self) -> Made<'py> {
        let made = match self.class {
            Some(class) => class.call((), Some(&self.dict))?,
            None => self.dict.into_any(),
        };
        wrapped(self.ser.py, self.variant, made)
    }
}

impl<'py> ser::SerializeMap for Map<'py, '_> {
    type Ok = Bound<'py, PyAny>;
    type Error = SerError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerError> {
        self.key = Some(key.serialize(self.ser)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerError> {
        let value = value.serialize(self.ser)?;
        match self.key.take() {
            Some(key) => Ok(self.dict.set_item(key, value)?),
            None => Err(ser::Error::custom("a value without a key")),
        }
    }

    fn end(self) -> Made<'py> {
        self.finish()
    }
}

macro_rules! structs {
    ($($of:ident),*) => { $(
        impl<'py> ser::$of for Map<'py, '_> {
            type Ok = Bound<'py, PyAny>;
            type Error = SerError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), SerError> {
                self.field(key, value)
            }

            fn end(self) -> Made<'py> {
                self.finish()
            }
        }
    )* };
}

structs! { SerializeStruct, SerializeStructVariant }
