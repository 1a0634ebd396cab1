//! Thoughts of reasoning models: the markers around them, and whether a prompt has opened one.
//!
//! Chat templates of some models end the prompt with the start marker: the answer then begins within a thought, and nothing
//! in its own text says so.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::request::{ChatOptions, Prompt, Turn};
use crate::tokenizer::Tokenizer;

/// Start and end markers that models write: DeepSeek-R1, Qwen3, GLM, SmolLM3 and most others; then Granite and templates like it,
/// Magistral, Seed-OSS, OpenThinker, MiniMax M3, Kimi-VL and Kimi-Dev, Kimi K3, Cohere's Command, Apertus, Gemma 4, and gpt-oss, whose
/// analysis ends where its final channel begins.
pub const THOUGHT_MARKERS: [(&str, &str); 14] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<mm:think>", "</mm:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
];

/// Start and end markers, owned.
pub type Markers = Vec<(String, String)>;

/// The markers that models write.
pub fn known_markers() -> Markers {
    THOUGHT_MARKERS.iter().map(|(start, end)| ((*start).to_owned(), (*end).to_owned())).collect()
}

/// Whether a token is the marker of a thought, or a part of one.
pub(super) fn is_part_of_a_marker(token: &str) -> bool {
    token.len() > 2 && THOUGHT_MARKERS.iter().any(|(start, end)| start.contains(token) || end.contains(token))
}

/// Holds that answers show these markers.
///
/// # Errors
/// A marker has a special token in it, which answers leave out: a thought could not be told from the answer.
pub fn check(tokenizer: &Tokenizer, markers: &[(String, String)]) -> Result<()> {
    for marker in markers.iter().flat_map(|(start, end)| [start, end]) {
        let Ok(ids) = tokenizer.encode(marker, false) else { continue };
        if ids.iter().any(|id| tokenizer.is_special(*id)) {
            let error = Error::input(format!(
                "`{marker}` cannot mark reasoning: it is a special token, which answers leave out"
            ));
            return Err(
                error.with_hint("`reasoning: auto` knows the markers of the usual models and keeps their tokens")
            );
        }
    }
    Ok(())
}

/// Tokens at a prompt's end that may spell a start marker with white space behind it.
const END: usize = 24;

/// Whether the answer to a prompt begins within a thought: the prompt ends with a start marker, white space aside, or it is a
/// message that the model goes on with, in which the last thought has not ended.
pub(super) fn is_opened(tokenizer: &Tokenizer, (prompt, ids): (&Prompt, &[u32]), markers: &[(String, String)]) -> bool {
    if markers.is_empty() {
        return false;
    }
    if let Prompt::Messages { messages, chat: ChatOptions { turn: Turn::Continued(field), .. } } = prompt {
        let text = messages.last().and_then(|message| message.get(field)).map(text_of).unwrap_or_default();
        // To go on with a thought is to be in one.
        if field != Turn::CONTENT || is_open(&text, markers) {
            return true;
        }
    }
    let end = tokenizer.decode(&ids[ids.len().saturating_sub(END)..], false).unwrap_or_default();
    let end = end.trim_end();
    markers.iter().any(|(start, _)| end.ends_with(start.trim_end()))
}

/// Whether a start marker has no end behind it.
fn is_open(text: &str, markers: &[(String, String)]) -> bool {
    markers.iter().any(|(start, end)| text.rfind(start.as_str()).is_some_and(|at| !text[at..].contains(end.as_str())))
}

/// The text of a message's field: itself, or that of its parts.
fn text_of(field: &Value) -> String {
    match field {
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thought_is_open_until_its_end() {
        let open = |text: &str| is_open(text, &known_markers());
        assert!(open("<think>\nOkay, delivery takes") && open("<think>a</think> <think>b") && open("[THINK]"));
        assert!(!open("<think>a</think> 3 days") && !open("3 days") && !open("a</think>"));
        let parts = serde_json::json!([{"type": "text", "text": "<think>"}, {"type": "image"}]);
        assert_eq!(text_of(&parts), "<think>");
    }
}
