//! Prompts as people read and compare them.

use std::fmt::Write;

use serde_json::Value;

use crate::engine::Prompt;

/// A prompt in one text: as it is, or the turns of a conversation one behind the other, each below its role. Token ids are
/// shown as numbers. Content that is not text, and whatever else a message holds, stands as JSON.
pub fn transcript(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Ids(ids) => format!("{ids:?}"),
        Prompt::Messages { messages, .. } => {
            let mut text = String::new();
            for message in messages {
                let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
                let content = match message.get("content") {
                    Some(Value::String(content)) => content.clone(),
                    Some(content) => content.to_string(),
                    None => String::new(),
                };
                let gap = if text.is_empty() { "" } else { "\n\n" };
                // Writing to a String cannot fail.
                let _ = write!(text, "{gap}[{role}]\n{content}");
                for (key, value) in message.iter().filter(|(key, _)| *key != "role" && *key != "content") {
                    let _ = write!(text, "\n[{key}] {value}");
                }
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ChatOptions;
    use serde_json::json;

    #[test]
    fn turns_stand_below_their_roles() {
        let message = |value: Value| value.as_object().cloned().unwrap();
        let messages = vec![
            message(json!({"role": "system", "content": "Be kind."})),
            message(json!({"role": "user", "content": [{"text": "hi"}], "name": "ann"})),
        ];
        let prompt = Prompt::Messages { messages, chat: ChatOptions::default() };
        assert_eq!(transcript(&prompt), "[system]\nBe kind.\n\n[user]\n[{\"text\":\"hi\"}]\n[name] \"ann\"");
        assert_eq!(transcript(&Prompt::Text("a".into())), "a");
        assert_eq!(transcript(&Prompt::Ids(vec![1, 2])), "[1, 2]");
    }
}
