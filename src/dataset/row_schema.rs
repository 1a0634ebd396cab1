//! The row schema of a dataset's header: which keys a row has, and what stands behind them.
//!
//! It is held against the rows as the file has them, under the file's own keys: `fields:` of a suite renames nothing here. A
//! null and an empty cell are absent keys, as they are for cases.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::rows::{Row, Written};
use crate::error::{nearest, similar};

/// Characters of a value that a message quotes.
const QUOTED: usize = 40;
/// Names that a message lists.
const LISTED: usize = 8;

/// What stands behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowType {
    /// Text; of a table every cell.
    Text,
    /// A number.
    Number,
    /// A number without a fraction.
    Integer,
    /// `true` or `false`.
    Bool,
    /// A list.
    List,
    /// An object.
    Object,
    /// Whatever it is.
    Any,
}

impl RowType {
    fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Integer => "a whole number",
            Self::Bool => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Any => "anything",
        }
    }

    /// Whether JSON, as it is written, is of this type.
    fn holds(self, json: &str) -> bool {
        let begins = |mark: char| json.starts_with(mark);
        match self {
            Self::Text => begins('"'),
            Self::Number => is_number(json),
            Self::Integer => is_number(json) && is_whole(json),
            Self::Bool => matches!(json, "true" | "false"),
            Self::List => begins('['),
            Self::Object => begins('{'),
            Self::Any => true,
        }
    }
}

fn is_number(json: &str) -> bool {
    json.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// `1.0` is whole: tables write so what has a gap somewhere.
fn is_whole(number: &str) -> bool {
    !number.contains(['.', 'e', 'E']) || number.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
}

/// What JSON is, in words.
fn found(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "text",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a bool",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// What the schema says of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct RowKey {
    /// What stands behind it.
    pub of: RowType,
    /// Whether every row has it.
    pub required: bool,
    /// The values that it may have, each text, a number or a bool; of a list, its items. Any where there are none.
    pub values: Vec<Value>,
    /// What it means.
    pub description: Option<String>,
}

impl RowKey {
    /// What is wrong with a value, behind the key.
    fn fault(&self, written: Written<'_>) -> Option<String> {
        let json = match written {
            Written::Json(json) => json,
            Written::Cell(cell) if matches!(self.of, RowType::Text | RowType::Any) => {
                return (!self.allows(written)).then(|| format!("is {}", self.not_allowed(cell)));
            }
            Written::Cell(cell) => match serde_json::from_str::<&RawValue>(cell) {
                Ok(json) => json.get(),
                Err(_) => return Some(format!("must be {}; it is {}", self.of.words(), quoted(cell))),
            },
        };
        if !self.of.holds(json) {
            let is = if self.of == RowType::Integer && is_number(json) { json } else { found(json) };
            return Some(format!("must be {}; it is {}", self.of.words(), shortened(is)));
        }
        if self.of != RowType::List {
            return (!self.allows(Written::Json(json))).then(|| format!("is {}", self.not_allowed(json)));
        }
        let items: Vec<&RawValue> =
            if self.values.is_empty() { Vec::new() } else { serde_json::from_str(json).ok()? };
        let odd = items.into_iter().find(|item| !self.allows(Written::Json(item.get())))?;
        Some(format!("holds {}", self.not_allowed(odd.get())))
    }

    fn allows(&self, written: Written<'_>) -> bool {
        self.values.is_empty() || self.values.iter().any(|value| is(value, written))
    }

    fn not_allowed(&self, text: &str) -> String {
        let shown = if text.starts_with('"') { shortened(text) } else { quoted(text) };
        let values: Vec<String> = self.values.iter().map(Value::to_string).collect();
        format!("{shown}, which is none of its `values`: {}", listed(&values, "values"))
    }

    /// What is wrong with the entry itself.
    fn wrong(&self) -> Option<String> {
        let scalar = |value: &&Value| !(value.is_string() || value.is_number() || value.is_boolean());
        if let Some(value) = self.values.iter().find(scalar) {
            return Some(format!("has {value} among its `values`: they are texts, numbers or bools"));
        }
        if self.of == RowType::Object && !self.values.is_empty() {
            return Some("is an object, which has no `values`".into());
        }
        let odd = |value: &&Value| self.of != RowType::List && !self.of.holds(&value.to_string());
        let value = self.values.iter().find(odd)?;
        Some(format!("must be {}, and has {value} among its `values`", self.of.words()))
    }
}

/// Whether a value of the schema is what is written.
fn is(value: &Value, written: Written<'_>) -> bool {
    match (value, written) {
        (Value::String(text), Written::Cell(cell)) => text == cell,
        (Value::String(text), Written::Json(json)) => {
            json.starts_with('"') && serde_json::from_str::<String>(json).is_ok_and(|other| other == *text)
        }
        (Value::Number(number), Written::Json(text) | Written::Cell(text)) => {
            number.to_string() == text || text.parse::<f64>().is_ok_and(|other| number.as_f64() == Some(other))
        }
        (Value::Bool(flag), Written::Json(text) | Written::Cell(text)) => text.parse() == Ok(*flag),
        _ => false,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text))
}

/// The first of many names, and how many more there are.
fn listed(names: &[String], of: &str) -> String {
    let shown: Vec<String> = names.iter().take(LISTED).map(|name| shortened(name)).collect();
    match names.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more {of}", shown.join(", ")),
    }
}

/// The keys of a dataset's rows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RowSchema(BTreeMap<String, RowKey>);

impl RowSchema {
    /// The first key whose entry contradicts itself, and how.
    pub(super) fn wrong(&self) -> Option<(&str, String)> {
        self.0.iter().find_map(|(key, entry)| Some((key.as_str(), entry.wrong()?)))
    }

    /// What is wrong with a row, one after another: values first, then keys that it lacks.
    pub fn faults(&self, row: &Row<'_>) -> Vec<String> {
        let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
        for (key, written) in row.values.iter().filter(|(_, written)| !written.is_null()) {
            let Some(entry) = self.0.get(&**key) else { continue };
            seen.insert(&**key);
            faults.extend(entry.fault(*written).map(|fault| format!("`{key}` {fault}")));
        }
        let lacking = self.0.iter().filter(|(key, entry)| entry.required && !seen.contains(key.as_str()));
        faults.extend(lacking.map(|(key, _)| format!("`{key}` is missing")));
        faults
    }

    /// The keys of a row that the schema does not have: which, and what may have been meant. None where it has all.
    pub fn unknown(&self, row: &Row<'_>) -> Option<(String, Option<String>)> {
        let unknown = row.values.iter().map(|(key, _)| key).filter(|key| !self.0.contains_key(&***key));
        let unknown: Vec<String> = unknown.map(|key| key.to_string()).collect();
        let first = unknown.first()?;
        let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
        let hint = similar(first, &known).map(|_| nearest(first, known.iter().copied()));
        let names: Vec<String> = unknown.iter().map(|key| quoted(key)).collect();
        Some((listed(&names, "keys"), hint))
    }
}

/// An entry with more than a type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "type")]
    of: Option<RowType>,
    required: Option<bool>,
    values: Option<Vec<Value>>,
    description: Option<String>,
}

impl<'de> Deserialize<'de> for RowKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = RowKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type, or keys with `type` among them")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<RowKey, E> {
                let of = RowType::deserialize(StrDeserializer::new(name))?;
                Ok(RowKey { of, required: true, values: Vec::new(), description: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RowKey, A::Error> {
                let Entry { of, required, values, description } = Entry::deserialize(MapAccessDeserializer::new(map))?;
                let (of, required) = (of.unwrap_or(RowType::Any), required.unwrap_or(true));
                Ok(RowKey { of, required, values: values.unwrap_or_default(), description })
            }
        }

        deserializer.deserialize_any(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Node, read};
    use std::path::Path;

    fn schema(yaml: &str) -> RowSchema {
        read(&Node::parse(yaml, Path::new("x")).unwrap()).unwrap()
    }

    fn row<'a>(values: &[(&'a str, Written<'a>)]) -> Row<'a> {
        Row { line: 1, values: values.iter().map(|(key, written)| ((*key).into(), *written)).collect() }
    }

    #[test]
    fn json_is_held_by_its_type() {
        for (of, good, bad) in [
            ("text", &["\"a\"", "null"][..], &["1", "[]", "{}", "true"][..]),
            ("number", &["1", "-1.5", "1e400", "12345678901234567890123"], &["\"1\"", "true"]),
            ("integer", &["1", "-3", "1.0", "1e2", "12345678901234567890123"], &["1.5", "1e400", "\"1\""]),
            ("bool", &["true", "false"], &["\"true\"", "1"]),
            ("list", &["[]", "[1]"], &["\"[]\"", "{}"]),
            ("object", &["{}"], &["[]"]),
            ("any", &["1", "[]", "\"a\""], &[]),
        ] {
            let schema = schema(&format!("a: {{type: {of}, required: false}}"));
            for (values, fits) in [(good, true), (bad, false)] {
                for json in values {
                    let faults = schema.faults(&row(&[("a", Written::Json(json))]));
                    assert_eq!(faults.is_empty(), fits, "{of} {json}: {faults:?}");
                }
            }
        }
    }

    #[test]
    fn cells_hold_what_they_read_like() {
        let schema = schema("a: text\nb: number\nc: bool\nd: list\ne: {type: integer, values: [1, 2]}\n");
        let cells = |a, b, c, d, e| {
            let values =
                [("a", a), ("b", b), ("c", c), ("d", d), ("e", e)].map(|(key, cell)| (key, Written::Cell(cell)));
            schema.faults(&row(&values))
        };
        assert_eq!(cells("1", "1.5", "true", "[1]", "2"), Vec::<String>::new());
        let expected = [
            "`b` must be a number; it is `x`",
            "`c` must be true or false; it is `True`",
            "`d` must be a list; it is an object",
            "`e` is `3`, which is none of its `values`: 1, 2",
        ];
        assert_eq!(cells("", "x", "True", "{}", "3"), expected);
    }

    #[test]
    fn values_and_missing_keys_are_told() {
        let schema =
            schema("id: text\nkind: {values: [easy, hard, 3]}\ntags: {type: list, values: [a, b], required: false}\n");
        let faults = |values: &[(&'static str, &'static str)]| {
            let values: Vec<_> = values.iter().map(|(key, json)| (*key, Written::Json(json))).collect();
            schema.faults(&row(&values))
        };
        assert_eq!(faults(&[("id", "\"x\""), ("kind", "3.0"), ("tags", "[\"a\"]")]), Vec::<String>::new());
        let expected = [
            "`kind` is \"medium\", which is none of its `values`: \"easy\", \"hard\", 3",
            "`tags` holds \"c\", which is none of its `values`: \"a\", \"b\"",
            "`id` is missing",
        ];
        assert_eq!(faults(&[("kind", "\"medium\""), ("tags", "[\"a\",\"c\"]"), ("id", "null")]), expected);
        let unknown = schema.unknown(&row(&[("ids", Written::Json("1")), ("z", Written::Json("1"))]));
        assert_eq!(unknown, Some(("`ids`, `z`".into(), Some("did you mean `id`?".into()))));
        assert_eq!(schema.unknown(&row(&[("id", Written::Json("1"))])), None);
    }

    #[test]
    fn entries_that_contradict_themselves_are_wrong() {
        for (yaml, told) in [
            ("a: {type: text, values: [1]}", "must be text, and has 1 among its `values`"),
            ("a: {type: object, values: [x]}", "is an object, which has no `values`"),
            ("a: {values: [[x]]}", "has [\"x\"] among its `values`: they are texts, numbers or bools"),
        ] {
            assert_eq!(schema(yaml).wrong(), Some(("a", told.to_owned())));
        }
        assert_eq!(schema("a: {type: list, values: [1, x]}\nb: any").wrong(), None);
    }
}
