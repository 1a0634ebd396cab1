//! The keys of a chat message: those that the chat templates of published models read.
//!
//! One that a model's own template reads beside them passes with `--allow-unknown-keys`, or `allow_unknown_keys` of a dataset.

use serde_json::{Map, Value};

use super::keys::Holds::{Anything, Each, Object};
use super::keys::Instead::{Key, Say};
use super::keys::Keys;

/// A message of a conversation.
pub static MESSAGE: Keys = Keys {
    of: "a message",
    known: &[
        ("role", Anything),
        ("content", Each(&PART)),
        ("name", Anything),
        ("reasoning_content", Anything),
        ("reasoning", Anything),
        ("thinking", Anything),
        ("tool_calls", Each(&TOOL_CALL)),
        ("tool_call_id", Anything),
        // Command R and its heirs, OLMo, Gemma.
        ("tool_plan", Anything),
        ("functions", Anything),
        ("function_calls", Anything),
        ("tool_responses", Anything),
    ],
    foreign: &[
        ("from", Key("role")),
        ("author", Key("role")),
        ("speaker", Key("role")),
        ("value", Key("content")),
        ("text", Key("content")),
        ("message", Key("content")),
        ("contents", Key("content")),
        ("parts", Key("content")),
        ("thoughts", Key("reasoning_content")),
        ("thinking_content", Key("reasoning_content")),
        ("function_call", Key("tool_calls")),
        ("call_id", Key("tool_call_id")),
        ("tools", Say("few chat templates look at the tools of a message: known are `role`, `content`, `tool_calls`")),
    ],
};

/// What a message is called by, and nothing that it says.
const LABELS: [&str; 4] = ["role", "name", "tool_call_id", "content"];

/// What is wrong with a message, to stand behind its number: it has no role, or nothing that a model could see of it. `content`
/// may be missing where something else is said (`tool_calls`, a thought, what a template of its own reads).
pub fn fault(message: &Map<String, Value>) -> Option<&'static str> {
    match message.get("role") {
        None | Some(Value::Null) => return Some("has no `role`"),
        Some(Value::String(role)) if role.is_empty() => return Some("has an empty `role`"),
        Some(Value::String(_)) => {}
        Some(_) => return Some("has a `role` that is not text"),
    }
    let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let says = || message.iter().any(|(key, value)| !LABELS.contains(&key.as_str()) && !empty(value));
    match message.get("content") {
        Some(Value::String(_) | Value::Array(_) | Value::Object(_)) => None,
        Some(Value::Number(_) | Value::Bool(_)) => Some("has a `content` that is not text"),
        // As in transformers: what a template makes of it is the template's.
        Some(Value::Null) => None,
        None if says() => None,
        None => Some("has no `content`, and nothing else that a model could see"),
    }
}

/// The same for a case of a dataset, whose conversations are held stricter: content is text or a list of parts, and where it is
/// null something else is said.
pub(super) fn fault_of_case(message: &Map<String, Value>) -> Option<&'static str> {
    let bare = || {
        let mut without = message.clone();
        without.remove("content");
        fault(&without)
    };
    match message.get("content") {
        Some(Value::Object(_)) => fault(message).or(Some("has a `content` that is not text")),
        Some(Value::Null) => {
            bare().map(|fault| if fault.contains("content") { "has a `content` of null" } else { fault })
        }
        _ => fault(message),
    }
}

/// A part of a message's content.
static PART: Keys = Keys {
    of: "a part of a message's content",
    known: &[
        ("type", Anything),
        ("text", Anything),
        ("thinking", Anything),
        ("reasoning", Anything),
        ("refusal", Anything),
        ("image", Anything),
        ("image_url", Anything),
        ("input_image", Anything),
        ("video", Anything),
        ("video_url", Anything),
        ("audio", Anything),
        ("audio_url", Anything),
        ("input_audio", Anything),
        ("file", Anything),
        ("url", Anything),
        ("path", Anything),
        ("base64", Anything),
        // What a tool gave.
        ("name", Anything),
        ("content", Anything),
        ("tool_call_id", Anything),
    ],
    foreign: &[("value", Key("text")), ("input_text", Key("text")), ("kind", Key("type"))],
};

/// A call of a tool, as OpenAI has it, or with the function's keys beside its own.
static TOOL_CALL: Keys = Keys {
    of: "a tool call",
    known: &[
        ("id", Anything),
        ("type", Anything),
        ("index", Anything),
        ("function", Object(&FUNCTION)),
        ("name", Anything),
        ("arguments", Anything),
    ],
    foreign: &[
        ("tool_call_id", Key("id")),
        ("call_id", Key("id")),
        ("input", Key("arguments")),
        ("args", Key("arguments")),
        ("parameters", Key("arguments")),
        ("tool", Key("name")),
        ("tool_name", Key("name")),
    ],
};

/// The function that is called.
static FUNCTION: Keys = Keys {
    of: "the function of a tool call",
    known: &[("name", Anything), ("arguments", Anything)],
    foreign: &[("input", Key("arguments")), ("args", Key("arguments")), ("parameters", Key("arguments"))],
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_has_a_role_and_says_something() {
        let fault = |value: Value| {
            let message = value.as_object().cloned().unwrap();
            (fault(&message).is_some(), fault_of_case(&message).is_some())
        };
        let both = |value: Value, wrong: bool| assert_eq!(fault(value.clone()), (wrong, wrong), "{value}");
        both(json!({"role": "user", "content": "a"}), false);
        both(json!({"role": "user", "content": ""}), false);
        both(json!({"role": "user", "content": [{"type": "text", "text": "a"}]}), false);
        both(json!({"role": "assistant", "tool_calls": [{"name": "f"}]}), false);
        both(json!({"role": "assistant", "content": null, "tool_calls": [{"name": "f"}]}), false);
        both(json!({"role": "assistant", "content": null, "reasoning_content": "h"}), false);
        both(json!({"role": "user", "mood": "glad"}), false);
        both(json!({"content": "a"}), true);
        both(json!({"role": null, "content": "a"}), true);
        both(json!({"role": "", "content": "a"}), true);
        both(json!({"role": 1, "content": "a"}), true);
        both(json!({"role": "user"}), true);
        both(json!({"role": "tool", "name": "f", "tool_call_id": "c"}), true);
        both(json!({"role": "assistant", "tool_calls": [], "reasoning": null}), true);
        both(json!({"role": "user", "content": 5}), true);
        // Templates of tools may take any result, and any of them decides about null.
        assert_eq!(fault(json!({"role": "tool", "content": {"any": "thing"}})), (false, true));
        assert_eq!(fault(json!({"role": "assistant", "content": null})), (false, true));
    }
}
