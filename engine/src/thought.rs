//! Thoughts of reasoning models: the markers around them, and whether a prompt has opened one.
//!
//! Chat templates of some models end the prompt with the start marker: the answer then begins within a thought, and nothing
//! in its own text says so.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::request::{ChatOptions, Prompt, Turn};
pub use crate::thought_markers::{Markers, THOUGHT_MARKERS, known_markers};
use crate::tokenizer::Tokenizer;

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
