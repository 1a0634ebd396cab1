//! A case as data again: its JSON line, and the id of a case that names none.

use serde_json::{Map, Value};

use super::sample::{Input, Sample};

/// The case as one JSON object with karat's own field names, without empty fields.
///
/// Reading it back gives the same case, but for its line number; `metadata` is written as a field of its own.
pub fn to_json(sample: &Sample) -> Value {
    let mut object = Map::new();
    object.insert("id".into(), Value::String(sample.id.clone()));
    fill(&mut object, sample);
    Value::Object(object)
}

/// First 16 hex digits of BLAKE3 over the case's resolved content: everything but id and line, keys sorted.
///
/// Two files that say the same with other spellings or key orders give the same ids.
pub fn content_id(sample: &Sample) -> String {
    let mut object = Map::new();
    fill(&mut object, sample);
    let mut canonical = String::new();
    write_canonical(&Value::Object(object), &mut canonical);
    blake3::hash(canonical.as_bytes()).to_hex()[..16].to_owned()
}

fn fill(object: &mut Map<String, Value>, sample: &Sample) {
    let input = match &sample.input {
        Input::Text(text) => Value::String(text.clone()),
        Input::Messages(messages) => Value::Array(messages.iter().cloned().map(Value::Object).collect()),
    };
    object.insert("input".into(), input);
    for (name, texts) in [("target", &sample.target), ("choices", &sample.choices), ("tags", &sample.tags)] {
        if !texts.is_empty() {
            object.insert(name.into(), texts.iter().cloned().map(Value::String).collect());
        }
    }
    if let Some(context) = &sample.context {
        object.insert("context".into(), Value::String(context.clone()));
    }
    if !sample.metadata.is_empty() {
        object.insert("metadata".into(), Value::Object(sample.metadata.clone()));
    }
    if !sample.checks.is_empty() {
        object.insert("checks".into(), Value::Array(sample.checks.clone()));
    }
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}
