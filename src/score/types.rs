//! What a scorer asks for, what it is answered, and what it returns.

use std::sync::Arc;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::engine::{Length, Long, Reading};

/// A text that a scorer wants another model to look at. The driver collects, deduplicates and batches these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Its embedding.
    Embed(String, Long),
    /// Its toxicity classification.
    Classify(String, Long),
}

impl Need {
    /// The text.
    pub fn text(&self) -> &str {
        let (Self::Embed(text, _) | Self::Classify(text, _)) = self;
        text
    }

    /// What becomes of it where it is longer than the model reads.
    pub fn long(&self) -> Long {
        let (Self::Embed(_, long) | Self::Classify(_, long)) = self;
        *long
    }
}

/// What suites may say of [`Long`]: the engine's crate knows no schemas.
pub(super) fn long_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            {"const": Long::Windows, "description": "It is read in windows, and the worst one counts."},
            {"const": Long::Cut, "description": "Its beginning is read."},
            {"const": Long::Error, "description": "It is not read; that is an error of the case."},
        ],
    })
}

/// The answer to a [`Need`], in the same order as the needs were stated.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Vectors, normalised or not.
    Embedding(Arc<Reading<Vec<f32>>>),
    /// `(label, probability)` in the model's order.
    Labels(Arc<Reading<Vec<(String, f32)>>>),
    /// The text is longer than the model reads, and the need was for all of it at once.
    TooLong(Length),
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
    /// What the scorer could not look at; none where it saw the whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Lacking>,
}

/// What a score lacks. Reports count such scores apart: they say little of what the model knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lacking {
    /// The thought before the answer was cut off, so that no answer was given.
    NoAnswer,
    /// Nothing was found in the answer of what the scorer extracts (a number, a marker, a pattern).
    NotExtracted,
    /// A text was longer than the model behind the scorer reads, and a part of it was not read.
    Truncated,
}

impl Lacking {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NoAnswer, Self::NotExtracted, Self::Truncated];

    /// What gates call the share of such scores.
    pub fn rate(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer_rate",
            Self::NotExtracted => "not_extracted_rate",
            Self::Truncated => "truncated_rate",
        }
    }
}
