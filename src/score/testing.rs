//! Samples for the unit tests of the scorers.

use serde_json::Map;

use crate::dataset::{Input, Sample};

/// A case with these targets and nothing else.
pub(crate) fn sample(targets: &[&str]) -> Sample {
    Sample {
        id: "case".to_owned(),
        input: Input::Text(String::new()),
        target: targets.iter().map(|target| (*target).to_owned()).collect(),
        numeric_targets: Vec::new(),
        choices: Vec::new(),
        context: None,
        tags: Vec::new(),
        metadata: Map::new(),
        checks: Vec::new(),
        line: 1,
        row: None,
        gold: Vec::new(),
        shots: Vec::new(),
    }
}
