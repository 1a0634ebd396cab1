//! A run or a comparison to bytes, one file per format. Pure: nothing is read, written or printed here.
//!
//! Whatever a model answered is hostile until shown to be text: terminals get no control characters, Markdown gets no
//! markup, HTML gets data that only its own script reads.

pub mod csv;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
mod page;
pub mod parquet;
pub mod ranking;
mod rows;
mod table;
pub mod terminal;
mod text;

use std::collections::BTreeMap;

use crate::compare::{Comparison, Verdict};
use crate::record::{Manifest, Performance, Summary};

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
}

impl<'a> Report<'a> {
    /// A run, with its own verdict where it has one. Comparison and missing cases can be set on top.
    pub fn of_run(manifest: &'a Manifest, summary: &'a Summary) -> Self {
        let verdict = summary.verdict.as_ref();
        let (suite, run_id) = (manifest.suite.as_str(), manifest.run_id.as_str());
        Self { suite, run_id, summary: Some(summary), verdict, manifest: Some(manifest), ..Self::default() }
    }

    /// A bare comparison.
    pub fn of_comparison(comparison: &'a Comparison) -> Self {
        let (suite, run_id) = (comparison.candidate.suite.as_str(), comparison.candidate.run_id.as_str());
        Self { suite, run_id, comparison: Some(comparison), ..Self::default() }
    }

    /// Number of selected cases without a result.
    fn missing_cases(&self) -> u64 {
        self.missing.map_or(0, |missing| missing.values().sum())
    }
}
