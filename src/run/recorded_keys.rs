//! The keys of recorded answers: those of an answer, and those of a saved run's lines beside them.

use crate::dataset::Holds::Anything;
use crate::dataset::Instead::{Key, Say};
use crate::dataset::{Instead, Keys};

const COMPUTED: Instead =
    Say("karat computes the scores itself: take it out, or write what is not for karat under `metadata`");
const OWN: Instead = Say("write what is not for karat under `metadata`");

/// An answer, as its writer or `karat generate` gives it.
pub(super) static ANSWER: Keys = Keys {
    of: "a recorded answer",
    known: &[
        ("dataset", Anything),
        ("id", Anything),
        ("repeat", Anything),
        ("output", Anything),
        ("output_ids", Anything),
        ("text", Anything),
        ("ids", Anything),
        ("finish", Anything),
        ("prompt_tokens", Anything),
        ("thought_opened", Anything),
        ("timestamp", Anything),
        ("error", Anything),
        ("metadata", Anything),
    ],
    foreign: FOREIGN,
};

/// A line of a saved run's `results.jsonl`: only what an answer has of it is read.
pub(super) static RESULT: Keys = Keys {
    of: "a recorded answer",
    known: &[
        ("dataset", Anything),
        ("id", Anything),
        ("repeat", Anything),
        ("kind", Anything),
        ("tags", Anything),
        ("metadata", Anything),
        ("group", Anything),
        ("timestamp", Anything),
        ("prompt_hash", Anything),
        ("output", Anything),
        ("output_ids", Anything),
        ("finish", Anything),
        ("prompt_tokens", Anything),
        ("thought_opened", Anything),
        ("thought", Anything),
        ("empty", Anything),
        ("likelihoods", Anything),
        ("scores", Anything),
        ("passed", Anything),
        ("error", Anything),
    ],
    foreign: FOREIGN,
};

const FOREIGN: &[(&str, Instead)] = &[
    ("completion", Key("output")),
    ("response", Key("output")),
    ("answer", Key("output")),
    ("generated_text", Key("output")),
    ("generation", Key("output")),
    ("prediction", Key("output")),
    ("predicted", Key("output")),
    ("model_output", Key("output")),
    ("output_text", Key("output")),
    ("content", Key("output")),
    ("result", Key("output")),
    ("reply", Key("output")),
    ("case", Key("id")),
    ("case_id", Key("id")),
    ("custom_id", Key("id")),
    ("sample_id", Key("id")),
    ("question_id", Key("id")),
    ("finish_reason", Key("finish")),
    ("stop_reason", Key("finish")),
    ("token_ids", Key("output_ids")),
    ("tokens", Key("output_ids")),
    ("input_tokens", Key("prompt_tokens")),
    ("created", Key("timestamp")),
    ("created_at", Key("timestamp")),
    ("time", Key("timestamp")),
    ("date", Key("timestamp")),
    ("attempt", Key("repeat")),
    ("trial", Key("repeat")),
    ("epoch", Key("repeat")),
    ("exception", Key("error")),
    ("task", Key("dataset")),
    ("score", COMPUTED),
    ("scores", COMPUTED),
    ("passed", COMPUTED),
    ("correct", COMPUTED),
    ("is_correct", COMPUTED),
    ("verdict", COMPUTED),
    ("metrics", COMPUTED),
    ("model", OWN),
    ("input", OWN),
    ("prompt", OWN),
    ("question", OWN),
    ("messages", OWN),
    ("target", OWN),
    ("tags", OWN),
    ("usage", OWN),
    ("latency", OWN),
];

/// Whether a line has the keys that only a saved run's lines have. Within a text, quotes are written with a backslash before them.
pub(super) fn is_result(line: &str) -> bool {
    ["\"prompt_hash\"", "\"kind\"", "\"scores\"", "\"passed\""].iter().all(|key| line.contains(key))
}
