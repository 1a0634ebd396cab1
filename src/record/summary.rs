//! Counts, rates and intervals of a run: `summary.json`.
//!
//! An errored case has no trustworthy score. It stays in every denominator of its dataset and in no numerator: it never
//! counts as passing, whichever of its scorers did work. Means are over the cases that did not err.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::{ResultLine, Verdict, round};
use crate::dataset::Kind;
use crate::error::{Error, Result};
use crate::score::Score;
use crate::stats::{CONFIDENCE, Interval, wilson};

/// How many ids of failing or errored cases a summary lists per dataset and scorer; counts are always exact.
pub const LISTED_IDS: usize = 50;

/// A run in figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Over all datasets.
    pub totals: Totals,
    /// By dataset, sorted by name.
    pub datasets: Vec<DatasetSummary>,
    /// What the gates said, where there were any.
    pub verdict: Option<Verdict>,
}

/// Cases over all datasets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Result lines.
    pub cases: u64,
    /// Cases that passed all their scorers.
    pub passed: u64,
    /// Cases that could not be answered or scored.
    pub errored: u64,
}

/// One dataset in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSummary {
    /// Dataset name.
    pub dataset: String,
    /// What the dataset is for.
    pub kind: Kind,
    /// Result lines.
    pub cases: u64,
    /// Cases that passed all their scorers.
    pub passed: u64,
    /// Cases that could not be answered or scored.
    pub errored: u64,
    /// `passed / cases`, rounded.
    pub rate: Option<f64>,
    /// Wilson's interval of the rate at 95 %.
    pub interval: Option<Interval>,
    /// The first errored cases.
    pub errored_ids: Vec<String>,
    /// By scorer, sorted by name.
    pub scorers: Vec<ScorerSummary>,
}

/// One scorer on one dataset in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorerSummary {
    /// Scorer name.
    pub scorer: String,
    /// Cases scored without error, plus the dataset's errored cases.
    pub cases: u64,
    /// Cases that passed this scorer and did not err.
    pub passed: u64,
    /// The dataset's errored cases.
    pub errored: u64,
    /// `passed / cases`, rounded.
    pub rate: Option<f64>,
    /// Wilson's interval of the rate at 95 %.
    pub interval: Option<Interval>,
    /// Mean value over the cases that did not err, rounded.
    pub mean: Option<f64>,
    /// The first cases that failed this scorer.
    pub failed_ids: Vec<String>,
}

impl Summary {
    /// The figures of one dataset.
    pub fn dataset(&self, name: &str) -> Option<&DatasetSummary> {
        self.datasets.iter().find(|dataset| dataset.dataset == name)
    }
}

impl DatasetSummary {
    /// The figures of one scorer.
    pub fn scorer(&self, name: &str) -> Option<&ScorerSummary> {
        self.scorers.iter().find(|scorer| scorer.scorer == name)
    }
}

/// What figures need of a result line, read without the rest.
#[derive(Debug, Deserialize)]
struct Outcomes<'a> {
    #[serde(borrow)]
    dataset: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    kind: Kind,
    scores: BTreeMap<Name<'a>, Outcome>,
    passed: bool,
    error: Option<IgnoredAny>,
}

/// A text that need not be copied, also as the key of a map.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What figures need of a score.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Outcome {
    passed: bool,
    value: f64,
}

/// Adds result lines up, in the order of `results.jsonl` (float sums depend on it).
#[derive(Debug, Default)]
pub struct SummaryBuilder {
    datasets: BTreeMap<String, DatasetTally>,
}

#[derive(Debug)]
struct DatasetTally {
    kind: Kind,
    cases: u64,
    passed: u64,
    errored: u64,
    errored_ids: Vec<String>,
    scorers: BTreeMap<String, ScorerTally>,
}

#[derive(Debug, Default)]
struct ScorerTally {
    scored: u64,
    passed: u64,
    sum: f64,
    failed_ids: Vec<String>,
}

impl SummaryBuilder {
    /// Adds one case.
    pub fn add(&mut self, line: &ResultLine) {
        let outcome = |score: &Score| Outcome { passed: score.passed, value: score.value };
        let scores = line.scores.iter().map(|(name, score)| (Name(name.into()), outcome(score)));
        self.add_outcomes(&Outcomes {
            dataset: (&line.dataset).into(),
            id: (&line.id).into(),
            kind: line.kind,
            scores: scores.collect(),
            passed: line.passed,
            error: line.error.as_ref().map(|_| IgnoredAny),
        });
    }

    /// Adds the cases in a piece of `results.jsonl`: what is written can be read.
    pub(super) fn add_lines(&mut self, piece: &[u8]) -> Result<()> {
        for line in serde_json::Deserializer::from_slice(piece).into_iter() {
            let line = line.map_err(|e| Error::internal("read back a line").caused_by(e))?;
            self.add_outcomes(&line);
        }
        Ok(())
    }

    fn add_outcomes(&mut self, line: &Outcomes<'_>) {
        let tally = match self.datasets.get_mut(&*line.dataset) {
            Some(tally) => tally,
            None => {
                self.datasets.entry(line.dataset.clone().into_owned()).or_insert_with(|| DatasetTally::new(line.kind))
            }
        };
        tally.add(line);
    }

    /// The figures.
    pub fn finish(self) -> Summary {
        let datasets: Vec<_> = self.datasets.into_iter().map(|(name, tally)| tally.finish(name)).collect();
        let totals = datasets.iter().fold(Totals::default(), |sum, dataset| Totals {
            cases: sum.cases + dataset.cases,
            passed: sum.passed + dataset.passed,
            errored: sum.errored + dataset.errored,
        });
        Summary { totals, datasets, verdict: None }
    }
}

impl DatasetTally {
    fn new(kind: Kind) -> Self {
        Self { kind, cases: 0, passed: 0, errored: 0, errored_ids: vec![], scorers: BTreeMap::new() }
    }

    fn add(&mut self, line: &Outcomes<'_>) {
        self.kind = self.kind.max(line.kind);
        self.cases += 1;
        self.passed += u64::from(line.passed);
        if line.error.is_some() {
            self.errored += 1;
            list(&mut self.errored_ids, &line.id);
        }
        for (Name(name), score) in &line.scores {
            // Also for errored cases: the scorer was meant to run here, so it must have a row.
            let tally = match self.scorers.get_mut(&**name) {
                Some(tally) => tally,
                None => self.scorers.entry(name.clone().into_owned()).or_default(),
            };
            if line.error.is_some() {
                continue;
            }
            tally.scored += 1;
            tally.passed += u64::from(score.passed);
            tally.sum += score.value;
            if !score.passed {
                list(&mut tally.failed_ids, &line.id);
            }
        }
    }

    fn finish(self, dataset: String) -> DatasetSummary {
        let errored = self.errored;
        let scorers = self.scorers.into_iter().map(|(name, tally)| tally.finish(name, errored)).collect();
        let (rate, interval) = rate(self.passed, self.cases);
        let (kind, cases, passed, errored_ids) = (self.kind, self.cases, self.passed, self.errored_ids);
        DatasetSummary { dataset, kind, cases, passed, errored, rate, interval, errored_ids, scorers }
    }
}

impl ScorerTally {
    fn finish(self, scorer: String, errored: u64) -> ScorerSummary {
        let (cases, passed) = (self.scored + errored, self.passed);
        let (rate, interval) = rate(passed, cases);
        let mean = (self.scored > 0).then(|| self.sum / self.scored as f64).and_then(round);
        ScorerSummary { scorer, cases, passed, errored, rate, interval, mean, failed_ids: self.failed_ids }
    }
}

/// A rate and its interval, rounded as records are.
fn rate(passed: u64, cases: u64) -> (Option<f64>, Option<Interval>) {
    let rate = (cases > 0).then(|| passed as f64 / cases as f64).and_then(round);
    let interval = wilson(passed, cases, CONFIDENCE)
        .and_then(|interval| Some(Interval { low: round(interval.low)?, high: round(interval.high)? }));
    (rate, interval)
}

/// Keeps the first ids.
fn list(ids: &mut Vec<String>, id: &str) {
    if ids.len() < LISTED_IDS {
        ids.push(id.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::line::tests::line;

    #[test]
    fn errored_cases_count_and_never_pass() {
        let mut builder = SummaryBuilder::default();
        builder.add(&line("a", "1", true));
        builder.add(&line("a", "2", false));
        let mut broken = line("a", "3", false);
        (broken.error, broken.finish) = (Some("no answer".into()), None);
        broken.scores.clear();
        builder.add(&broken);
        // One scorer worked, another did not: the case is errored for both.
        let mut half = line("a", "4", false);
        half.error = Some("embed: truncated".into());
        half.scores.get_mut("match").unwrap().passed = true;
        builder.add(&half);
        builder.add(&line("b", "1", true));
        let summary = builder.finish();
        assert_eq!(summary.totals, Totals { cases: 5, passed: 2, errored: 2 });
        let a = summary.dataset("a").unwrap();
        assert_eq!((a.cases, a.passed, a.errored, a.rate), (4, 1, 2, Some(0.25)));
        assert_eq!(a.errored_ids, ["3", "4"]);
        let scorer = a.scorer("match").unwrap();
        assert_eq!((scorer.cases, scorer.passed, scorer.errored, scorer.mean), (4, 1, 2, Some(0.5)));
        assert_eq!(scorer.failed_ids, ["2"]);
        assert_eq!(scorer.interval.map(|i| (i.low, i.high)), Some((0.045587, 0.699358)));
    }

    #[test]
    fn a_scorer_that_never_worked_has_a_row_without_mean() {
        let mut builder = SummaryBuilder::default();
        let mut broken = line("a", "1", false);
        broken.error = Some("x".into());
        builder.add(&broken);
        let summary = builder.finish();
        let scorer = &summary.datasets[0].scorers[0];
        assert_eq!((scorer.cases, scorer.passed, scorer.rate, scorer.mean), (1, 0, Some(0.0), None));
        assert_eq!(SummaryBuilder::default().finish(), Summary::default());
    }
}
