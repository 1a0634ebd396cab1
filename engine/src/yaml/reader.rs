//! serde over a [`Node`] tree: every error gets the place of the key or value it is about, and a hint.
//!
//! Two leniences make such files pleasant to write: a section left empty is a section of defaults, and a variant without
//! options may be written as its bare name (`- refusal`).

use std::fmt;
use std::path::Path;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::node::{Content, Entry, Node, Origin};
use crate::error::{Error, nearest};

/// Reads a value from the tree.
pub fn read<T: DeserializeOwned>(node: &Node) -> Result<T, ReadError> {
    T::deserialize(node)
}

/// What is wrong, where, and what to do.
#[derive(Debug)]
pub struct ReadError {
    message: String,
    hint: Option<String>,
    origin: Option<Origin>,
}

impl ReadError {
    fn new(message: String) -> Self {
        Self { message, hint: None, origin: None }
    }

    fn hinted(message: String, hint: String) -> Self {
        Self { message, hint: Some(hint), origin: None }
    }

    /// As the user sees it: what `task` failed at, without a place.
    pub fn told(self, task: &str) -> Error {
        let error = Error::input(format!("failed to {task}: {}", self.message));
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// [`ReadError::told`], with its place in the document at `path`.
    pub fn located(mut self, task: &str, path: &Path) -> Error {
        match self.origin.take() {
            Some(origin) => origin.locate(self.told(task), path),
            None => self.told(task).at(path),
        }
    }

    /// Keeps the innermost place.
    fn at(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {found}", Plain(expected)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::hinted(format!("unknown key `{field}`"), nearest(field, known.iter().copied()))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::hinted(format!("unknown name `{variant}`"), nearest(variant, known.iter().copied()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is given twice"))
    }
}

/// Rust's names for types in a user's words.
struct Plain<'a>(&'a dyn Expected);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(match text.as_str() {
            "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number from 0",
            "isize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
            "f32" | "f64" => "a number",
            "a boolean" => "true or false",
            "a string" | "a borrowed string" | "path string" => "text",
            "a sequence" => "a list",
            other if other.starts_with("struct ") => "a section of keys",
            other => other,
        })
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let result = match &self.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Signed(value) => visitor.visit_i64(*value),
            Content::Unsigned(value) => visitor.visit_u64(*value),
            Content::Float(value) => visitor.visit_f64(*value),
            Content::Text(value) => visitor.visit_borrowed_str(value),
            Content::List(items) => visitor.visit_seq(Items(items.iter())),
            Content::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
        };
        result.map_err(|error| error.at(&self.origin))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor).map_err(|mut error| {
            let scalar = matches!(
                self.content,
                Content::Bool(_) | Content::Signed(_) | Content::Unsigned(_) | Content::Float(_)
            );
            if scalar && error.hint.is_none() {
                error.hint = Some("put it in quotes".into());
            }
            error
        })
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.content {
            Content::Null => {
                let empty = Entries { rest: [].iter(), value: None };
                visitor.visit_map(empty).map_err(|error| error.at(&self.origin))
            }
            // serde would read a list as the fields in order; a document with keys never means that.
            Content::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
        .map_err(|error: ReadError| error.at(&self.origin))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let variant = match &self.content {
            Content::Text(name) => Variant { name, origin: &self.origin, options: None },
            Content::Map(entries) if entries.len() == 1 => {
                let entry = &entries[0];
                Variant { name: &entry.key, origin: &entry.origin, options: Some(&entry.value) }
            }
            Content::Map(entries) => {
                let message = format!("expected one key, found {}", entries.len());
                let hint = "indent the options below the name they belong to".to_owned();
                return Err(ReadError::hinted(message, hint).at(&self.origin));
            }
            _ => return Err(ReadError::new("expected a name, or a name with options".into()).at(&self.origin)),
        };
        visitor.visit_enum(variant).map_err(|error| error.at(&self.origin))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        self.0.next().map(|node| seed.deserialize(node).map_err(|error| error.at(&node.origin))).transpose()
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, Entry>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        self.value = Some(&entry.value);
        let key = StrDeserializer::<ReadError>::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|error| error.at(&entry.origin))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let node = self.value.take().ok_or_else(|| ReadError::new("a value was read before its key".into()))?;
        seed.deserialize(node).map_err(|error| error.at(&node.origin))
    }
}

struct Variant<'de> {
    name: &'de str,
    origin: &'de Origin,
    options: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = ReadError;
    type Variant = Options<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Options<'de>), ReadError> {
        let name = StrDeserializer::<ReadError>::new(self.name);
        let value = seed.deserialize(name).map_err(|error| error.at(self.origin))?;
        Ok((value, Options { node: self.options, origin: self.origin }))
    }
}

struct Options<'de> {
    node: Option<&'de Node>,
    origin: &'de Origin,
}

impl<'de> VariantAccess<'de> for Options<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.node {
            None | Some(Node { content: Content::Null, .. }) => Ok(()),
            Some(node) => Err(ReadError::new("this name takes no options".into()).at(&node.origin)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        match self.node {
            Some(node) => seed.deserialize(node),
            None => seed.deserialize(Bare(self.origin)),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::new("lists of options are not used here".into()).at(self.origin))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.node {
            Some(node) => node.deserialize_struct("", fields, visitor),
            None => Bare(self.origin).deserialize_any(visitor),
        }
    }
}

/// The options of a bare name: none given.
struct Bare<'de>(&'de Origin);

impl<'de> Deserializer<'de> for Bare<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_map(Entries { rest: [].iter(), value: None }).map_err(|error| error.at(self.0))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
