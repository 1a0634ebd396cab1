//! What a scorer asks for, what it is answered, and what it returns.

use serde::{Deserialize, Serialize};

/// A text that a scorer wants another model to look at. The driver collects, deduplicates and batches these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Its embedding.
    Embed(String),
    /// Its toxicity classification.
    Classify(String),
}

/// The answer to a [`Need`], in the same order as the needs were stated.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A vector, normalised or not.
    Embedding(std::sync::Arc<[f32]>),
    /// `(label, probability)` in the model's order.
    Labels(std::sync::Arc<[(String, f32)]>),
    /// The model could not answer; the score becomes an error, never a pass.
    Failed(String),
}

/// One metric's verdict on one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Pass or fail.
    pub passed: bool,
    /// The value behind it (1 or 0 for matches, a cosine, a probability).
    pub value: f64,
    /// A short reason in one line.
    pub explanation: String,
}
