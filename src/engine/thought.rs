//! Thoughts of reasoning models: the markers around them, and whether a prompt has opened one.
//!
//! Chat templates of some models end the prompt with the start marker: the answer then begins within a thought, and nothing
//! in its own text says so.

use super::tokenizer::Tokenizer;

/// Start and end markers that models write: DeepSeek-R1, Qwen3, GLM, SmolLM3 and most others; then Granite and templates like it,
/// Magistral, Seed-OSS, OpenThinker.
pub const THOUGHT_MARKERS: [(&str, &str); 6] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
];

/// Tokens at a prompt's end that may spell a start marker with white space behind it.
const END: usize = 24;

/// Whether a prompt ends with one of these start markers, white space aside.
pub(super) fn is_opened(tokenizer: &Tokenizer, ids: &[u32], starts: &[String]) -> bool {
    if starts.is_empty() {
        return false;
    }
    let end = tokenizer.decode(&ids[ids.len().saturating_sub(END)..], false).unwrap_or_default();
    let end = end.trim_end();
    starts.iter().any(|start| end.ends_with(start.trim_end()))
}

/// The start markers that models write.
pub fn known_starts() -> Vec<String> {
    THOUGHT_MARKERS.iter().map(|(start, _)| (*start).to_owned()).collect()
}
