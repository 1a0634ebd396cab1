//! One case of a dataset, after aliases and fields have been resolved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a dataset is for; gates treat the two differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Expected behaviour; noise is tolerated and tested for significance.
    Golden,
    /// Cases that failed before, attacks, policy limits; nothing is tolerated.
    Danger,
}

impl Kind {
    /// The kind as suites and gates spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Golden => "golden",
            Self::Danger => "danger",
        }
    }
}

/// What the model is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Text, to be put into the suite's prompt template.
    Text(String),
    /// A conversation, each message a map with at least `role` and `content`.
    Messages(Vec<Map<String, Value>>),
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Unique within its dataset: the file's own, or one from the content's hash.
    pub id: String,
    /// What the model is asked.
    pub input: Input,
    /// Accepted answers; may be empty.
    pub target: Vec<String>,
    /// Which of them, by index, the file has as JSON numbers: those are numbers in JSON's own spelling, whatever the suite says of texts.
    pub numeric_targets: Vec<usize>,
    /// Options of a multiple-choice question; may be empty.
    pub choices: Vec<String>,
    /// Text that goes with the question.
    pub context: Option<String>,
    /// Labels to slice by.
    pub tags: Vec<String>,
    /// Everything else, for templates and slices.
    pub metadata: Map<String, Value>,
    /// Scorers of this case alone, as the suite spells them (`{"exact_match": {…}}`), beside those of its dataset.
    pub checks: Vec<Value>,
    /// Line in the file, from 1, for messages.
    pub line: u64,
    /// The row under its own keys, for templates that name them; none where no template of the dataset does.
    pub row: Option<Map<String, Value>>,
    /// Which of the choices are right, by index, where the dataset asks for a choice.
    pub gold: Vec<usize>,
    /// The few-shot examples that were drawn for this case, by their place in their file.
    pub shots: Vec<usize>,
}
