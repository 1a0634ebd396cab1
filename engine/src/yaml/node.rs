//! A YAML document as a tree that knows where every key and value was written.
//!
//! The tree is what layers are laid over and what errors point into; a value is then read from it with serde (`reader`).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::error::{Error, Result};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the file.
    File {
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
    },
    /// On the command line, in these words.
    Option(Arc<str>),
}

impl Origin {
    /// Puts this place into an error about the document in `path`.
    pub fn locate(&self, error: Error, path: &Path) -> Error {
        match self {
            Self::File { line, column } => error.at_column(path, *line, *column),
            Self::Option(words) => {
                let hint = error.hint().map(str::to_owned);
                let located = Error::new(error.kind(), format!("{} (from `{words}`)", error.message())).at(path);
                match hint {
                    Some(hint) => located.with_hint(hint),
                    None => located,
                }
            }
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub content: Content,
    /// Where it was written.
    pub origin: Origin,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Content {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer below 0.
    Signed(i64),
    /// An integer from 0.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list, in its order.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub origin: Origin,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The tree of a YAML text; an empty text is null.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        let parsed: Result<Option<Spanned<Content>>, _> = serde_saphyr::from_str_with_options(text, options);
        match parsed {
            Ok(Some(spanned)) => Ok(spanned.into()),
            Ok(None) => Ok(Self { content: Content::Null, origin: Origin::File { line: 1, column: 1 } }),
            Err(error) => Err(yaml_error(&error, path)),
        }
    }

    /// The node at a dotted path of keys and list positions, or the deepest one on the way that exists.
    pub fn nearest(&self, path: &str) -> &Self {
        let mut node = self;
        for step in path.split('.') {
            let next = match &node.content {
                Content::Map(entries) => entries.iter().find(|entry| entry.key == step).map(|entry| &entry.value),
                Content::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text of a text node.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same tree written elsewhere.
    pub fn moved(self, origin: &Origin) -> Self {
        let content = match self.content {
            Content::List(items) => Content::List(items.into_iter().map(|item| item.moved(origin)).collect()),
            Content::Map(entries) => {
                let moved =
                    |entry: Entry| Entry { key: entry.key, origin: origin.clone(), value: entry.value.moved(origin) };
                Content::Map(entries.into_iter().map(moved).collect())
            }
            other => other,
        };
        Self { content, origin: origin.clone() }
    }
}

fn yaml_error(error: &serde_saphyr::Error, path: &Path) -> Error {
    let message = error.without_snippet().to_string();
    // The crate's own words start with a place, which karat shows its own way.
    let message = message.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or_default();
    let result = Error::input(format!("the YAML is not valid: {message}"));
    match error.location() {
        Some(at) if at.line() > 0 => result.at_column(path, at.line(), at.column()),
        _ => result.at(path),
    }
}

impl From<Spanned<Content>> for Node {
    fn from(spanned: Spanned<Content>) -> Self {
        Self { content: spanned.value, origin: origin(&spanned.referenced) }
    }
}

fn origin(location: &serde_saphyr::Location) -> Origin {
    Origin::File { line: location.line(), column: location.column() }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;

        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::Null)
            }

            fn visit_none<E>(self) -> Result<Content, E> {
                Ok(Content::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
                Ok(Content::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
                Ok(Content::Signed(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
                Ok(Content::Unsigned(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
                Ok(Content::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Content, E> {
                Ok(Content::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<Spanned<Content>>()? {
                    list.push(item.into());
                }
                Ok(Content::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    let value = map.next_value::<Spanned<Content>>()?.into();
                    entries.push(Entry { key: key.value, origin: origin(&key.referenced), value });
                }
                Ok(Content::Map(entries))
            }
        }

        deserializer.deserialize_any(ContentVisitor)
    }
}
