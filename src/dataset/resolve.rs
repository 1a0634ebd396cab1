//! A record of a file to a [`Sample`]: spellings to fields, types checked, the id found.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value};

use super::content::content_id;
use super::fields::{Field, FieldMap};
use super::keys::UnknownKeys;
use super::message::{MESSAGE, fault_of_case};
use super::sample::{Input, Sample};
use crate::error::{Error, Result};

/// Keys and values of one case as the file has them.
pub(super) struct Record<'a> {
    /// Line on which the record starts, from 1.
    pub line: u64,
    /// In file order; keys are different.
    pub pairs: Vec<(Cow<'a, str>, Value)>,
    /// Which of its targets were numbers before they were made texts of what is written.
    pub numbers: Vec<usize>,
    /// From cells of a table: every value is text, and lists and objects are JSON inside that text.
    pub cells: bool,
}

/// The case in `record`, which stands in the file `path`.
pub(super) fn resolve(record: Record<'_>, fields: &FieldMap, path: &Path) -> Result<Sample> {
    let line = record.line;
    resolve_unplaced(record, fields).map_err(|error| error.at_line(path, line))
}

fn resolve_unplaced(record: Record<'_>, fields: &FieldMap) -> Result<Sample> {
    let mut sample = blank(&record, fields);
    let mut keys: [Option<Cow<'_, str>>; Field::ALL.len()] = Default::default();
    let (mut id, mut input, mut others) = (None, None, Vec::new());
    for (key, value) in record.pairs {
        let Some(field) = fields.field(&key) else {
            others.push((key, value));
            continue;
        };
        // A row of somebody else may have a key of this name that is something else: it is a variable of templates then.
        if fields.rows && !fits(field, &value) {
            others.push((key, value));
            continue;
        }
        // An explicit null is an absent field.
        if value.is_null() {
            continue;
        }
        let slot = &mut keys[field as usize];
        if let Some(first) = slot {
            let message = format!("`{first}` and `{key}` of the case both mean {}", field.name());
            return Err(Error::input(message).with_hint("keep one, or say which under `fields:` in the suite"));
        }
        let value = match value {
            Value::String(text) if record.cells => fields.cells.value(field, text, &key)?,
            value => value,
        };
        match field {
            Field::Id => id = Some(identifier(value, &key)?),
            Field::Input => input = Some(to_input(value, &key, fields.unknown_keys())?),
            Field::Target => {
                if sample.numeric_targets.is_empty() {
                    sample.numeric_targets = numbers(&value);
                }
                sample.target = texts(value, &key)?;
            }
            Field::Choices => sample.choices = list(value, &key)?,
            Field::Context => sample.context = Some(text(value, &key)?),
            Field::Tags => sample.tags = tags(value, &key)?,
            Field::Metadata => sample.metadata = object(value, &key)?,
            Field::Checks => sample.checks = checks(value, &key)?,
        }
        *slot = Some(key);
    }
    for (key, value) in others {
        if sample.metadata.contains_key(&*key) {
            return Err(Error::input(format!("the case has `{key}` both in `metadata` and beside it")));
        }
        sample.metadata.insert(key.into_owned(), value);
    }
    sample.input = match input {
        None if !fields.reads(Field::Input) => Input::Text(String::new()),
        input => input.ok_or_else(|| missing_input(&sample, fields))?,
    };
    sample.id = id.unwrap_or_else(|| content_id(&sample));
    Ok(sample)
}

/// A case without anything in it but its row, where that is kept.
fn blank(record: &Record<'_>, fields: &FieldMap) -> Sample {
    let row = || record.pairs.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
    Sample {
        id: String::new(),
        input: Input::Text(String::new()),
        target: Vec::new(),
        numeric_targets: record.numbers.clone(),
        choices: Vec::new(),
        context: None,
        tags: Vec::new(),
        metadata: Map::new(),
        checks: Vec::new(),
        line: record.line,
        row: fields.rows.then(row),
        gold: Vec::new(),
        shots: Vec::new(),
    }
}

/// Whether a value can be that of a field that is only kept, not judged.
fn fits(field: Field, value: &Value) -> bool {
    match field {
        Field::Context => value.is_null() || value.is_string(),
        Field::Metadata => value.is_null() || value.is_object(),
        Field::Id | Field::Input | Field::Target | Field::Choices | Field::Tags | Field::Checks => true,
    }
}

fn missing_input(sample: &Sample, fields: &FieldMap) -> Error {
    let expected = fields.expected(Field::Input);
    let error = Error::input(format!("the case has no `{expected}`"));
    let keys: Vec<String> = sample.metadata.keys().take(8).map(|key| format!("`{key}`")).collect();
    if keys.is_empty() {
        return error;
    }
    error.with_hint(format!("name the input under `fields:` in the suite; unused keys here are {}", keys.join(", ")))
}

fn wrong(key: &str, expected: &str, value: &Value) -> Error {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Error::input(format!("`{key}` of the case must be {expected}; it is {found}"))
}

fn identifier(value: Value, key: &str) -> Result<String> {
    match value {
        Value::String(text) if text.is_empty() => Err(Error::input(format!("`{key}` of the case is empty"))),
        Value::String(text) => Ok(text),
        Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
        other => Err(wrong(key, "text or a whole number", &other)),
    }
}

fn text(value: Value, key: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong(key, "text", &other)),
    }
}

/// Text, or a number or bool as JSON writes it.
fn scalar(value: Value, key: &str, expected: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(bool) => Ok(bool.to_string()),
        other => Err(wrong(key, expected, &other)),
    }
}

/// Accepted answers: text, or a list of texts; numbers and bools as JSON writes them.
///
/// # Errors
/// Another value; `key` is where it stands.
pub fn texts(value: Value, key: &str) -> Result<Vec<String>> {
    const EXPECTED: &str = "text, a number, a bool or a list of these";
    match value {
        Value::Array(items) => items.into_iter().map(|item| scalar(item, key, EXPECTED)).collect(),
        other => Ok(vec![scalar(other, key, EXPECTED)?]),
    }
}

/// Which items are numbers, by index: of a list, or of one value.
pub fn numbers(value: &Value) -> Vec<usize> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().enumerate().filter(|(_, item)| item.is_number()).map(|(index, _)| index).collect()
}

/// Choices: a list of texts; numbers and bools as JSON writes them.
///
/// # Errors
/// Another value; `key` is where it stands.
pub fn list(value: Value, key: &str) -> Result<Vec<String>> {
    const EXPECTED: &str = "a list of text, numbers or bools";
    match value {
        Value::Array(items) => items.into_iter().map(|item| scalar(item, key, EXPECTED)).collect(),
        other => Err(wrong(key, EXPECTED, &other)),
    }
}

fn tags(value: Value, key: &str) -> Result<Vec<String>> {
    match value {
        Value::String(tag) => Ok(vec![tag]),
        Value::Array(items) => items.into_iter().map(|item| text(item, key)).collect(),
        other => Err(wrong(key, "text or a list of texts", &other)),
    }
}

fn object(value: Value, key: &str) -> Result<Map<String, Value>> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(wrong(key, "an object", &other)),
    }
}

fn checks(value: Value, key: &str) -> Result<Vec<Value>> {
    let Value::Array(items) = value else { return Err(wrong(key, "a list of scorers", &value)) };
    for item in &items {
        if item.as_object().is_none_or(|map| map.len() != 1) {
            let error = Error::input(format!("every entry of `{key}` must be a map with one key"));
            return Err(error.with_hint("write [{\"exact_match\": {}}]"));
        }
    }
    Ok(items)
}

fn to_input(value: Value, key: &str, unknown: UnknownKeys) -> Result<Input> {
    match value {
        Value::String(text) => Ok(Input::Text(text)),
        Value::Array(items) if items.is_empty() => {
            Err(Error::input(format!("`{key}` of the case is a conversation without messages")))
        }
        Value::Array(items) => {
            let messages = items.into_iter().enumerate().map(|(index, item)| {
                MESSAGE.check_value(&item, unknown)?;
                message(item, key, index + 1)
            });
            Ok(Input::Messages(messages.collect::<Result<_>>()?))
        }
        other => Err(wrong(key, "text or a list of messages", &other)),
    }
}

/// One message.
fn message(value: Value, key: &str, number: usize) -> Result<Map<String, Value>> {
    let Value::Object(map) = value else {
        return Err(wrong(&format!("message {number} of {key}"), "an object", &value));
    };
    match fault_of_case(&map) {
        None => Ok(map),
        Some(fault) => Err(Error::input(format!("message {number} of `{key}` {fault}"))),
    }
}
