//! Everything that may differ between two equal runs: `performance.json`. Never byte-compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Counter of answers that came from the cache.
pub const CACHED: &str = "generator.cached";
/// Counter of answers for which the baseline's answer was the draft.
pub const BASELINE_DRAFTS: &str = "generator.baseline_drafts";

/// Counters of what stood in the journal of the interrupted run: answers, and what encoders made of texts.
pub const RESUMED: [&str; 3] = ["generator.resumed", "embedder.resumed", "toxicity.resumed"];

/// Times, throughput, memory and how the work was cut.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Performance {
    /// Seconds from start to the last result.
    pub wall_seconds: f64,
    /// Seconds by phase, in the order they began; phases may overlap.
    pub phases: Vec<Phase>,
    /// Prompt tokens of all cases.
    pub prompt_tokens: u64,
    /// Generated tokens of all cases.
    pub generated_tokens: u64,
    /// Generated tokens per second of the generating phase.
    pub tokens_per_second: Option<f64>,
    /// Peak resident memory of the process.
    pub peak_memory_bytes: Option<u64>,
    /// The machine in words.
    pub device: String,
    /// Threads used.
    pub threads: u64,
    /// Settings that shape the work but never the result (batch tokens, chunking, sequences in flight, …).
    pub settings: BTreeMap<String, Value>,
    /// Counts that depend on them (steps, pages, deduplicated needs, cache and draft hits, truncated texts, …).
    pub counters: BTreeMap<String, u64>,
    /// What it cost to hash the models, by role.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hashing: BTreeMap<String, Hashing>,
    /// Cases answered once more, one at a time, where the suite asks for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

/// What it cost to hash a model: the bytes that were computed with are those that were hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hashing {
    /// Seconds of all threads together.
    pub seconds: f64,
    /// Bytes that were hashed; those that were read and held against their hash again count again.
    pub bytes: u64,
}

/// Latency: cases answered one at a time, without a batch, a cache or drafts beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// In the order in which they were asked.
    pub cases: Vec<ProbedCase>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbedCase {
    /// Dataset name.
    pub dataset: String,
    /// Case id.
    pub id: String,
    /// Seconds to the first generated token.
    pub first_token_seconds: f64,
    /// Seconds to the last.
    pub total_seconds: f64,
    /// Generated tokens.
    pub tokens: u64,
}

/// One phase of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name (`load`, `generate`, `embed`, …).
    pub name: String,
    /// Seconds from its begin to its end; where it works in pieces beside another, those of the pieces.
    pub seconds: f64,
}

impl Performance {
    /// How much was not computed, because the journal of an interrupted run had it. Times are those of the last part then.
    pub fn resumed(&self) -> u64 {
        RESUMED.iter().filter_map(|name| self.counters.get(*name)).sum()
    }
}
