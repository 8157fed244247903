//! JavaScript values to serde. camelCase names become those of the fields; keys of maps are data and stay as they are, and so
//! does all that is a document in the form of its file. Errors repeat no value: any of them may be a secret.

use napi::{
    JsValue, KeyCollectionMode, KeyConversion, KeyFilter, Unknown, ValueType,
    bindgen_prelude::{FromNapiValue, Function, JsObjectValue, Object, Uint8Array},
};
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Visitor, value::Error};
use smalt::backend::too_large;

use crate::write::DOCUMENTS;

/// How deep a value may be, as in JSON.
const DEPTH: u8 = 128;

type Answer<T> = Result<T, Error>;

/// Reads one value.
#[derive(Clone, Copy)]
pub struct Reader<'env> {
    value: Unknown<'env>,
    as_is: bool,
    depth: u8,
}

fn failed(_: napi::Error) -> Error {
    Error::custom("a value cannot be read")
}

/// `returnTo` to `return_to`.
fn snake(name: &str) -> String {
    let mut made = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            made.push('_');
        }
        made.push(letter.to_ascii_lowercase());
    }
    made
}

fn text(value: Unknown<'_>) -> Answer<String> {
    String::from_unknown(value).map_err(failed)
}

impl<'env> Reader<'env> {
    pub fn new(value: Unknown<'env>) -> Self {
        Self { value, as_is: false, depth: 0 }
    }

    fn kind(self) -> Answer<ValueType> {
        self.value.get_type().map_err(failed)
    }

    fn inner(self, value: Unknown<'env>) -> Self {
        Self { value, ..self }
    }

    fn deeper(self) -> Answer<Self> {
        if self.depth >= DEPTH {
            return Err(too_large(format_args!("a value is nested {DEPTH} deep at most")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn object(self) -> Answer<Object<'env>> {
        self.value.coerce_to_object().map_err(failed)
    }

    fn is_array(self) -> Answer<bool> {
        self.value.is_array().map_err(failed)
    }

    fn number(self) -> Answer<f64> {
        match self.kind()? {
            ValueType::Number => f64::from_unknown(self.value).map_err(failed),
            _ => Err(Error::custom("a number is expected")),
        }
    }

    fn string(self) -> Answer<String> {
        match self.kind()? {
            ValueType::String => text(self.value),
            _ => Err(Error::custom("a string is expected")),
        }
    }

    /// What the method of this name answers, where the object has one.
    fn asked(self, method: &str) -> Answer<Option<Self>> {
        let object = self.object()?;
        let found: Unknown<'env> = object.get_named_property_unchecked(method).map_err(failed)?;
        if found.get_type().map_err(failed)? != ValueType::Function {
            return Ok(None);
        }
        let function = Function::<'env, (), Unknown<'env>>::from_unknown(found).map_err(failed)?;
        function.apply(object, ()).map(|value| Some(self.inner(value))).map_err(failed)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn visit_number<'de, V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        const SAFE: f64 = 9_007_199_254_740_991.0;
        let number = self.number()?;
        match number {
            number if !number.is_finite() => Err(Error::custom("a finite number is expected")),
            number if number.fract() != 0.0 || number.abs() > SAFE => visitor.visit_f64(number),
            number if number >= 0.0 => visitor.visit_u64(number as u64),
            number => visitor.visit_i64(number as i64),
        }
    }

    fn bytes(self) -> Answer<Vec<u8>> {
        if self.kind()? == ValueType::String {
            return text(self.value).map(String::into_bytes);
        }
        if !self.value.is_typedarray().map_err(failed)? {
            return Err(Error::custom("bytes are expected"));
        }
        Uint8Array::from_unknown(self.value).map(|bytes| bytes.to_vec()).map_err(|_| Error::custom("bytes are expected"))
    }

    fn entries(self, fields: Option<&'static [&'static str]>) -> Answer<Entries<'env>> {
        let reader = self.deeper()?;
        if self.kind()? != ValueType::Object || self.is_array()? {
            return Err(Error::custom("an object is expected"));
        }
        let object = self.object()?;
        let names = object
            .get_all_property_names(KeyCollectionMode::OwnOnly, KeyFilter::Enumerable, KeyConversion::NumbersToStrings)
            .map_err(failed)?;
        let length = names.get_array_length().map_err(failed)?;
        Ok(Entries { reader, object, names, length, at: 0, value: None, fields })
    }

    fn items(self) -> Answer<Items<'env>> {
        let reader = self.deeper()?;
        if !self.is_array()? {
            return Err(Error::custom("an array is expected"));
        }
        let array = self.object()?;
        let length = array.get_array_length().map_err(failed)?;
        // An array can be as long as it says, and hold nothing.
        if length > MOST_ITEMS {
            return Err(too_large(format_args!("an array has {MOST_ITEMS} items at most")));
        }
        Ok(Items { reader, array, length, at: 0 })
    }
}

struct Entries<'env> {
    reader: Reader<'env>,
    object: Object<'env>,
    names: Object<'env>,
    length: u32,
    at: u32,
    value: Option<Unknown<'env>>,
    /// Those of the struct that is read, if it is one.
    fields: Option<&'static [&'static str]>,
}

impl<'env> Entries<'env> {
    /// The next key with something behind it: what is undefined is not there.
    fn next(&mut self) -> Answer<Option<String>> {
        while self.at < self.length {
            let name: Unknown<'env> = self.names.get_element(self.at).map_err(failed)?;
            self.at += 1;
            if name.get_type().map_err(failed)? != ValueType::String {
                continue;
            }
            let value: Unknown<'env> = self.object.get_property(name).map_err(failed)?;
            if value.get_type().map_err(failed)? == ValueType::Undefined {
                continue;
            }
            self.value = Some(value);
            let name = text(name)?;
            let Some(fields) = self.fields.filter(|_| !self.reader.as_is) else { return Ok(Some(name)) };
            if name.contains('_') {
                return Err(Error::custom(format!("unknown field `{name}`")));
            }
            let own = snake(&name);
            return Ok(Some(if fields.contains(&&*own) { own } else { name }));
        }
        Ok(None)
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Answer<Option<K::Value>> {
        match self.next()? {
            Some(name) => seed.deserialize(name.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Answer<V::Value> {
        let value = self.value.take().ok_or_else(|| Error::custom("a value without a key"))?;
        seed.deserialize(self.reader.inner(value))
    }
}

/// More than any request has a use for, and soon read.
const MOST_ITEMS: u32 = 1 << 20;

struct Items<'env> {
    reader: Reader<'env>,
    array: Object<'env>,
    length: u32,
    at: u32,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Answer<Option<T::Value>> {
        if self.at >= self.length {
            return Ok(None);
        }
        let value = self.array.get_element(self.at).map_err(failed)?;
        self.at += 1;
        seed.deserialize(self.reader.inner(value)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        // What stands in an array's `length` is the caller's word, and not a size to reserve.
        Some(self.length.saturating_sub(self.at).min(1024) as usize)
    }
}

/// `{name: value}`, a variant with something in it.
struct Variant<'env>(String, Reader<'env>);

impl<'de, 'env> de::EnumAccess<'de> for Variant<'env> {
    type Error = Error;
    type Variant = Reader<'env>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Answer<(V::Value, Reader<'env>)> {
        Ok((seed.deserialize(self.0.into_deserializer())?, self.1))
    }
}

impl<'de> de::VariantAccess<'de> for Reader<'_> {
    type Error = Error;

    fn unit_variant(self) -> Answer<()> {
        Err(Error::custom("a name is expected"))
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Answer<T::Value> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Answer<V::Value> {
        self.deserialize_seq(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Answer<V::Value> {
        visitor.visit_map(self.entries(Some(fields))?)
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    /// As `JSON.stringify` sees it.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        match self.kind()? {
            ValueType::Undefined | ValueType::Null => visitor.visit_unit(),
            ValueType::Boolean => self.deserialize_bool(visitor),
            ValueType::Number => self.visit_number(visitor),
            ValueType::String => visitor.visit_string(text(self.value)?),
            ValueType::Object if self.is_array()? => self.deserialize_seq(visitor),
            ValueType::Object => match self.asked("toJSON")? {
                Some(plain) => plain.deeper()?.deserialize_any(visitor),
                None => self.deserialize_map(visitor),
            },
            _ => Err(Error::custom("a value that JSON can hold is expected")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        match self.kind()? {
            ValueType::Boolean => visitor.visit_bool(bool::from_unknown(self.value).map_err(failed)?),
            _ => Err(Error::custom("true or false is expected")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_f64(self.number()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_string(self.string()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_byte_buf(self.bytes()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        match self.kind()? {
            ValueType::Undefined | ValueType::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        match self.kind()? {
            ValueType::Undefined | ValueType::Null => visitor.visit_unit(),
            _ => Err(Error::custom("nothing is expected")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Answer<V::Value> {
        match name {
            "Duration" => visitor.visit_newtype_struct((self.number()? / 1000.0).into_deserializer()),
            "Secret" if self.kind()? == ValueType::Object => match self.asked("reveal")? {
                Some(plain) => visitor.visit_newtype_struct(plain),
                None => Err(Error::custom("a secret is expected")),
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_seq(self.items()?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_map(self.entries(None)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, name: &'static str, fields: &'static [&'static str], visitor: V) -> Answer<V::Value> {
        let reader = Self { as_is: self.as_is || DOCUMENTS.contains(&name), ..self };
        visitor.visit_map(reader.entries(Some(fields))?)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Answer<V::Value> {
        if self.kind()? == ValueType::String {
            return visitor.visit_enum(text(self.value)?.into_deserializer());
        }
        let mut entries = self.entries(None)?;
        let name = entries.next()?.ok_or_else(|| Error::custom("a variant is expected"))?;
        let value = entries.value.take().ok_or_else(|| Error::custom("a variant is expected"))?;
        match entries.next()? {
            None => visitor.visit_enum(Variant(name, entries.reader.inner(value))),
            Some(_) => Err(Error::custom("one variant is expected")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.visit_number(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Answer<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Answer<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Answer<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.visit_number(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.visit_number(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.visit_number(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.visit_number(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.visit_number(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.visit_number(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.visit_number(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Answer<V::Value> {
        self.deserialize_str(visitor)
    }
}
