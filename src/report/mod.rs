//! A run or a comparison to bytes, one file per format. Pure: nothing is read, written or printed here.
//!
//! Whatever a model answered is hostile until shown to be text: terminals get no control characters, Markdown gets no
//! markup, HTML gets data that only its own script reads.

pub mod csv;
pub mod html;
pub mod json;
pub mod junit;
mod likelihood_lines;
pub mod markdown;
mod page;
pub mod parquet;
pub mod ranking;
mod rows;
pub mod runs;
mod table;
pub mod terminal;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::compare::{Comparison, Verdict};
use crate::error::Result;
use crate::record::{Manifest, Performance, ResultLine, Summary};

pub use text::{visible, visible_json, visible_lines};

/// What there is to report. A run has a summary, a bare comparison has none; both may have a verdict.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report<'a> {
    /// Suite name.
    pub suite: &'a str,
    /// Run id of the candidate.
    pub run_id: &'a str,
    /// The run in figures.
    pub summary: Option<&'a Summary>,
    /// What changed since the base run.
    pub comparison: Option<&'a Comparison>,
    /// What the gates said.
    pub verdict: Option<&'a Verdict>,
    /// What ran.
    pub manifest: Option<&'a Manifest>,
    /// What ran as the base run.
    pub base_manifest: Option<&'a Manifest>,
    /// How the run went.
    pub performance: Option<&'a Performance>,
    /// How the base run went.
    pub base_performance: Option<&'a Performance>,
    /// Selected cases without a result, by dataset: the run is incomplete.
    pub missing: Option<&'a BTreeMap<String, u64>>,
    /// Cases that could not be answered or scored, with their reasons.
    pub errored: Option<&'a Errored>,
}

/// Cases that erred: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Errored {
    /// How many there are.
    pub total: u64,
    /// The first of them by dataset and id.
    pub cases: Vec<ErroredCase>,
}

/// A case that erred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErroredCase {
    /// Dataset name.
    pub dataset: String,
    /// Case id.
    pub id: String,
    /// Which of the case's answers, from 0.
    pub repeat: u32,
    /// Why.
    pub error: String,
}

impl Errored {
    /// Errored cases that are named.
    const LISTED: usize = 20;

    /// Those of a run, from its cases in order.
    ///
    /// # Errors
    /// Those of the cases.
    pub fn among(cases: impl Iterator<Item = Result<ResultLine>>) -> Result<Self> {
        let mut found = Self::default();
        for line in cases {
            let ResultLine { dataset, id, repeat, error, .. } = line?;
            let Some(error) = error else { continue };
            found.total += 1;
            if found.cases.len() < Self::LISTED {
                found.cases.push(ErroredCase { dataset, id, repeat, error });
            }
        }
        Ok(found)
    }
}

impl ErroredCase {
    /// Dataset and id, and which of several answers.
    pub(self) fn name(&self) -> String {
        let Self { dataset, id, repeat, .. } = self;
        if *repeat == 0 { format!("{dataset}/{id}") } else { format!("{dataset}/{id} #{}", repeat + 1) }
    }
}

impl<'a> Report<'a> {
    /// A run. Verdict, comparison and missing cases can be set on top.
    pub fn of_run(manifest: &'a Manifest, summary: &'a Summary) -> Self {
        let (suite, run_id) = (manifest.suite.as_str(), manifest.run_id.as_str());
        Self { suite, run_id, summary: Some(summary), manifest: Some(manifest), ..Self::default() }
    }

    /// A bare comparison.
    pub fn of_comparison(comparison: &'a Comparison) -> Self {
        let (suite, run_id) = (comparison.candidate.suite.as_str(), comparison.candidate.run_id.as_str());
        Self { suite, run_id, comparison: Some(comparison), ..Self::default() }
    }

    /// Datasets of which the call selected only some cases, in words; none where it selected all.
    fn partial(&self) -> Option<String> {
        let manifest = self.manifest?;
        let selected = manifest.selected.iter().filter(|(_, selected)| selected.partial);
        // What is recorded counts answers.
        let cases = |answers: u64| text::count(answers / u64::from(manifest.repeats().max(1)), "case");
        let told: Vec<String> =
            selected.map(|(name, selected)| format!("{} of {name}", cases(selected.cases))).collect();
        (!told.is_empty()).then(|| format!("partial: the call selected {}", told.join(", ")))
    }

    /// Number of selected cases without a result.
    fn missing_cases(&self) -> u64 {
        self.missing.map_or(0, |missing| missing.values().sum())
    }
}
