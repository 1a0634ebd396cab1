//! The JSON Schema of suite.yaml, from the types that a suite is read into: their doc comments are its descriptions.
//!
//! It says which keys there are and of which type they are, for editors and for the reference in `docs/suite.md`. What only karat
//! can know (whether a file is there, whether a gate names a scorer) it leaves to `karat lint`.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::plan::Plan;

/// The schema, in draft 2020-12.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Plan>().to_value();
    tidy(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("A suite of karat"));
        // Who opens the file reads these first.
        let first = ["$schema", "title", "description"].map(|key| (key.to_owned(), root.shift_remove(key)));
        let first: Map<String, Value> = first.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        *root = first.into_iter().chain(std::mem::take(root)).collect();
    }
    if let Some(Value::Object(parts)) = schema.get_mut("$defs") {
        parts.values_mut().for_each(may_be_empty);
        if let Some(scorer) = parts.get_mut("ScorerSpec") {
            bare_or_with_options(scorer);
        }
        // The same bytes, whatever order the generator came upon them in.
        parts.sort_keys();
    }
    schema
}

/// The schema as `docs/suite.schema.json` holds it.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// Takes out what says nothing to a reader: Rust's number types, defaults that are the absence of a value, line breaks of comments.
fn tidy(schema: &mut Value) {
    let children = match schema {
        Value::Object(map) => {
            if map.get("format").is_some_and(Value::is_string) {
                map.remove("format");
            }
            if map.get("default").is_some_and(is_nothing) {
                map.remove("default");
            }
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            map.values_mut().collect::<Vec<_>>()
        }
        Value::Array(list) => list.iter_mut().collect(),
        _ => return,
    };
    children.into_iter().for_each(tidy);
}

/// Whole sections are no default to show either: their keys have their own.
fn is_nothing(default: &Value) -> bool {
    match default {
        Value::Null | Value::Object(_) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// A section left empty is one of defaults, where no key of it has to be there.
fn may_be_empty(part: &mut Value) {
    if let Value::Object(map) = part
        && map.contains_key("properties")
        && !map.contains_key("required")
    {
        map.insert("type".into(), json!(["object", "null"]));
    }
}

/// A scorer is its bare kind, or a map of one kind to its options; serde's derived form, from which `scorer` comes, knows only maps.
/// One map with all kinds in place of one map for each: an editor then says what is wrong in the kind that was written.
fn bare_or_with_options(scorer: &mut Value) {
    let Some(Value::Array(kinds)) = scorer.get_mut("oneOf").map(Value::take) else { return };
    let mut properties = Map::new();
    for mut kind in kinds {
        let description = kind.get("description").cloned();
        let Some(Value::Object(of_kind)) = kind.get_mut("properties").map(Value::take) else { continue };
        for (name, mut options) in of_kind {
            if let (Value::Object(options), Some(description)) = (&mut options, &description) {
                options.insert("description".into(), description.clone());
            }
            properties.insert(name, options);
        }
    }
    let names: Vec<&String> = properties.keys().collect();
    let map = json!({
        "type": "object", "properties": properties, "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
    });
    let description =
        "A scorer: its kind alone (`- exact_match`), or its kind with options (`- exact_match: {trim: true}`).";
    *scorer = json!({"description": description, "anyOf": [{"enum": names}, map]});
}
