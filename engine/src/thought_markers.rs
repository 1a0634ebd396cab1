//! The markers around the thoughts of reasoning models, as models write them.

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
pub(crate) fn is_part_of_a_marker(token: &str) -> bool {
    token.len() > 2 && THOUGHT_MARKERS.iter().any(|(start, end)| start.contains(token) || end.contains(token))
}
