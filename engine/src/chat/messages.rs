//! Messages as templates see them: values of minijinja, without nulls, with reasoning under all its names.

use minijinja::Value;
use serde_json::{Map, Value as Json};

use crate::request::Message;

/// JSON as template values: order kept, integers and floats kept apart.
pub(super) fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (None, Some(number), _) => Value::from(number),
            (None, None, number) => Value::from(number.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(to_value).collect(),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), to_value(value)))),
    }
}

/// A message without the keys whose value is null: templates print them as `None`, or trip over them.
pub(super) fn without_nulls(message: &Message) -> Message {
    message.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Names of a message's reasoning.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A message's reasoning under the names that templates know it by, as transformers 5 fills them in.
pub(super) fn with_reasoning(message: Message) -> Message {
    let Some(reasoning) = REASONING.iter().find_map(|name| message.get(*name)).cloned() else { return message };
    let mut filled = Map::new();
    filled.insert("thinking".into(), reasoning.clone());
    filled.extend(message);
    filled.insert("reasoning_content".into(), reasoning);
    filled
}
