//! serde to JavaScript values. Names of fields become camelCase; keys of maps are data and stay as they are, and so does all
//! that is a document in the form of its file. Timestamps are `Date`s, durations milliseconds, bytes `Buffer`s, and secrets
//! objects of the class that the package gives.

use std::{cell::RefCell, collections::HashMap, ffi::CStr};

use napi::{
    Env, JsValue, Unknown,
    bindgen_prelude::{BufferSlice, Function, JsObjectValue, Null, Object, ToNapiValue},
};
use serde::{Serialize, ser};

/// Types whose field names are those of a file: a project and a manifest are the same in TOML, JSON and here.
pub const DOCUMENTS: [&str; 2] = ["Project", "AppManifest"];

/// Why a value has no form in JavaScript.
#[derive(Debug)]
pub struct Failed(String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: std::fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl From<napi::Error> for Failed {
    fn from(error: napi::Error) -> Self {
        Self(error.reason.clone())
    }
}

type Answer<T> = Result<T, Failed>;

/// The package's classes that values are made of.
#[derive(Clone, Copy)]
pub struct Classes<'env> {
    /// `Secret`.
    pub secret: Function<'env, Unknown<'env>, Unknown<'env>>,
}

/// Writes one value.
#[derive(Clone, Copy)]
pub struct Writer<'a, 'env> {
    env: &'env Env,
    classes: &'a Classes<'env>,
    as_is: bool,
}

/// `created_at` to `createdAt`, remembered: names are few and live as long as the program.
fn camel(name: &'static str) -> &'static CStr {
    thread_local!(static NAMES: RefCell<HashMap<&'static str, &'static CStr>> = RefCell::default());
    NAMES.with_borrow_mut(|names| {
        *names.entry(name).or_insert_with(|| {
            let mut made = Vec::with_capacity(name.len() + 1);
            let mut up = false;
            for byte in name.bytes() {
                match byte {
                    b'_' => up = true,
                    byte if up => {
                        made.push(byte.to_ascii_uppercase());
                        up = false;
                    }
                    byte => made.push(byte),
                }
            }
            made.push(0);
            CStr::from_bytes_with_nul(made.leak()).unwrap_or_default()
        })
    })
}

impl<'a, 'env> Writer<'a, 'env> {
    pub fn new(env: &'env Env, classes: &'a Classes<'env>) -> Self {
        Self { env, classes, as_is: false }
    }

    /// Writes a value.
    pub fn write<T: Serialize + ?Sized>(self, value: &T) -> napi::Result<Unknown<'env>> {
        value.serialize(self).map_err(|failed| napi::Error::from_reason(failed.0))
    }

    fn null(self) -> Answer<Unknown<'env>> {
        Ok(Null.into_unknown(self.env)?)
    }

    fn number(self, number: f64) -> Answer<Unknown<'env>> {
        Ok(self.env.create_double(number)?.to_unknown())
    }

    fn put<T: Serialize + ?Sized>(self, object: &mut Object<'env>, name: &'static str, value: &T) -> Answer<()> {
        let value = value.serialize(self)?;
        if self.as_is {
            return Ok(object.set_named_property(name, value)?);
        }
        Ok(object.set_c_named_property(camel(name), value)?)
    }

    fn named(self, name: &str) -> Self {
        Self { as_is: self.as_is || DOCUMENTS.contains(&name), ..self }
    }

    /// `{name: value}`.
    fn single(self, name: &str, value: Unknown<'env>) -> Answer<Unknown<'env>> {
        let mut object = Object::new(self.env)?;
        object.set_named_property(name, value)?;
        Ok(object.to_unknown())
    }
}

/// A list on its way.
pub struct List<'a, 'env> {
    writer: Writer<'a, 'env>,
    array: Object<'env>,
    length: u32,
    variant: Option<&'static str>,
}

impl<'env> List<'_, 'env> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Answer<()> {
        self.array.set_element(self.length, value.serialize(self.writer)?)?;
        self.length += 1;
        Ok(())
    }

    fn done(self) -> Answer<Unknown<'env>> {
        match self.variant {
            None => Ok(self.array.to_unknown()),
            Some(variant) => self.writer.single(variant, self.array.to_unknown()),
        }
    }
}

/// A struct or map on its way.
pub struct Fields<'a, 'env> {
    writer: Writer<'a, 'env>,
    object: Object<'env>,
    key: Option<Unknown<'env>>,
    variant: Option<&'static str>,
}

impl<'env> Fields<'_, 'env> {
    fn done(self) -> Answer<Unknown<'env>> {
        match self.variant {
            None => Ok(self.object.to_unknown()),
            Some(variant) => self.writer.single(variant, self.object.to_unknown()),
        }
    }
}

impl<'a, 'env> ser::Serializer for Writer<'a, 'env> {
    type Ok = Unknown<'env>;
    type Error = Failed;
    type SerializeSeq = List<'a, 'env>;
    type SerializeTuple = List<'a, 'env>;
    type SerializeTupleStruct = List<'a, 'env>;
    type SerializeTupleVariant = List<'a, 'env>;
    type SerializeMap = Fields<'a, 'env>;
    type SerializeStruct = Fields<'a, 'env>;
    type SerializeStructVariant = Fields<'a, 'env>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, v: bool) -> Answer<Self::Ok> {
        Ok(v.into_unknown(self.env)?)
    }
    fn serialize_i8(self, v: i8) -> Answer<Self::Ok> {
        self.number(v.into())
    }
    fn serialize_i16(self, v: i16) -> Answer<Self::Ok> {
        self.number(v.into())
    }
    fn serialize_i32(self, v: i32) -> Answer<Self::Ok> {
        self.number(v.into())
    }
    /// As JSON numbers are in JavaScript: beyond 2^53 the nearest that there is.
    #[allow(clippy::cast_precision_loss)]
    fn serialize_i64(self, v: i64) -> Answer<Self::Ok> {
        self.number(v as f64)
    }
    fn serialize_u8(self, v: u8) -> Answer<Self::Ok> {
        self.number(v.into())
    }
    fn serialize_u16(self, v: u16) -> Answer<Self::Ok> {
        self.number(v.into())
    }
    fn serialize_u32(self, v: u32) -> Answer<Self::Ok> {
        self.number(v.into())
    }
    #[allow(clippy::cast_precision_loss)]
    fn serialize_u64(self, v: u64) -> Answer<Self::Ok> {
        self.number(v as f64)
    }
    fn serialize_f32(self, v: f32) -> Answer<Self::Ok> {
        self.number(v.into())
    }
    fn serialize_f64(self, v: f64) -> Answer<Self::Ok> {
        self.number(v)
    }
    fn serialize_char(self, v: char) -> Answer<Self::Ok> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, v: &str) -> Answer<Self::Ok> {
        Ok(self.env.create_string(v)?.to_unknown())
    }
    fn serialize_bytes(self, v: &[u8]) -> Answer<Self::Ok> {
        Ok(BufferSlice::copy_from(self.env, v)?.into_unknown(self.env)?)
    }
    fn serialize_none(self) -> Answer<Self::Ok> {
        self.null()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Answer<Self::Ok> {
        value.serialize(self)
    }
    /// The `null` of JSON.
    fn serialize_unit(self) -> Answer<Self::Ok> {
        self.null()
    }
    fn serialize_unit_struct(self, _: &'static str) -> Answer<Self::Ok> {
        self.null()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Answer<Self::Ok> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Answer<Self::Ok> {
        let plain = value.serialize(self)?;
        match name {
            "Secret" => Ok(self.classes.secret.new_instance(plain)?),
            "Timestamp" => Ok(self.env.create_date(plain.coerce_to_number()?.get_double()?)?.to_unknown()),
            "Duration" => self.number(plain.coerce_to_number()?.get_double()? * 1000.0),
            _ => Ok(plain),
        }
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Answer<Self::Ok> {
        let value = value.serialize(self)?;
        self.single(variant, value)
    }
    fn serialize_seq(self, length: Option<usize>) -> Answer<Self::SerializeSeq> {
        let length = u32::try_from(length.unwrap_or_default()).unwrap_or_default();
        let array = self.env.create_array(length)?.coerce_to_object()?;
        Ok(List { writer: self, array, length: 0, variant: None })
    }
    fn serialize_tuple(self, length: usize) -> Answer<Self::SerializeTuple> {
        self.serialize_seq(Some(length))
    }
    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Answer<Self::SerializeTupleStruct> {
        self.serialize_seq(Some(length))
    }
    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, length: usize) -> Answer<List<'a, 'env>> {
        Ok(List { variant: Some(variant), ..self.serialize_seq(Some(length))? })
    }
    fn serialize_map(self, _: Option<usize>) -> Answer<Self::SerializeMap> {
        Ok(Fields { writer: self, object: Object::new(self.env)?, key: None, variant: None })
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Answer<Self::SerializeStruct> {
        self.named(name).serialize_map(None)
    }
    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Answer<Fields<'a, 'env>> {
        Ok(Fields { variant: Some(variant), ..self.serialize_map(None)? })
    }
}

impl<'env> ser::SerializeSeq for List<'_, 'env> {
    type Ok = Unknown<'env>;
    type Error = Failed;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Answer<()> {
        self.push(value)
    }
    fn end(self) -> Answer<Self::Ok> {
        self.done()
    }
}

impl<'env> ser::SerializeTuple for List<'_, 'env> {
    type Ok = Unknown<'env>;
    type Error = Failed;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Answer<()> {
        self.push(value)
    }
    fn end(self) -> Answer<Self::Ok> {
        self.done()
    }
}

impl<'env> ser::SerializeTupleStruct for List<'_, 'env> {
    type Ok = Unknown<'env>;
    type Error = Failed;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Answer<()> {
        self.push(value)
    }
    fn end(self) -> Answer<Self::Ok> {
        self.done()
    }
}

impl<'env> ser::SerializeTupleVariant for List<'_, 'env> {
    type Ok = Unknown<'env>;
    type Error = Failed;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Answer<()> {
        self.push(value)
    }
    fn end(self) -> Answer<Self::Ok> {
        self.done()
    }
}

impl<'env> ser::SerializeMap for Fields<'_, 'env> {
    type Ok = Unknown<'env>;
    type Error = Failed;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Answer<()> {
        self.key = Some(key.serialize(self.writer)?);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Answer<()> {
        let value = value.serialize(self.writer)?;
        let Some(key) = self.key.take() else { return Err(ser::Error::custom("a value without a key")) };
        let text = key.coerce_to_string()?.into_utf8()?;
        if text.as_str()? == "__proto__" {
            // Assigned, it would be the object's prototype and no property.
            let own = napi::Property::new().with_utf8_name("__proto__")?.with_value(&value);
            return Ok(self.object.define_properties(&[own.with_property_attributes(napi::PropertyAttributes::default())])?);
        }
        Ok(self.object.set_property(key, value)?)
    }
    fn end(self) -> Answer<Self::Ok> {
        self.done()
    }
}

impl<'env> ser::SerializeStruct for Fields<'_, 'env> {
    type Ok = Unknown<'env>;
    type Error = Failed;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Answer<()> {
        self.writer.put(&mut self.object, name, value)
    }
    fn end(self) -> Answer<Self::Ok> {
        self.done()
    }
}

impl<'env> ser::SerializeStructVariant for Fields<'_, 'env> {
    type Ok = Unknown<'env>;
    type Error = Failed;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Answer<()> {
        self.writer.put(&mut self.object, name, value)
    }
    fn end(self) -> Answer<Self::Ok> {
        self.done()
    }
}
