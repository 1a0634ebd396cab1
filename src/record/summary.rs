//! Counts, rates and intervals of a run: `summary.json`.
//!
//! An errored case has no trustworthy score. It stays in every denominator of its dataset and in no numerator: it never
//! counts as passing, whichever of its scorers did work. Means are over the cases that did not err.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::likelihood_figures::{LikelihoodFigures, LikelihoodTally};
use super::sum::Sum;
use super::{AnswerOutcomes, Repeats, ResultLine, Verdict, round};
use crate::dataset::Kind;
use crate::score::Lacking;
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
    /// What the gates said: in older records alone, newer ones have `verdict.json` ([`super::RunReader::verdict`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// Wilson's interval of the rate at 95 %; over cases where they have several answers, over groups where they have groups.
    pub interval: Option<Interval>,
    /// What several answers to each case say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// What became of answers that are no plain ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<AnswerOutcomes>,
    /// What log-likelihoods come to, where the dataset asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihoods: Option<LikelihoodFigures>,
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
    /// Cases of which it extracted nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_extracted: u64,
    /// The first cases that failed this scorer.
    pub failed_ids: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Summary {
    /// The figures of one dataset.
    pub fn dataset(&self, name: &str) -> Option<&DatasetSummary> {
        named(&self.datasets, name, |dataset| &dataset.dataset)
    }
}

impl DatasetSummary {
    /// The figures of one scorer.
    pub fn scorer(&self, name: &str) -> Option<&ScorerSummary> {
        named(&self.scorers, name, |scorer| &scorer.scorer)
    }
}

/// The one of this name. Summaries are written in the order of names, in which one is found at once; others are looked through.
fn named<'a, T>(list: &'a [T], name: &str, of: impl Fn(&T) -> &str) -> Option<&'a T> {
    let found = list.binary_search_by(|one| of(one).cmp(name)).ok().and_then(|at| list.get(at));
    found.or_else(|| list.iter().find(|one| of(one) == name))
}

/// Adds result lines up, in any order and in any parts: counts and sums are of whole numbers.
#[derive(Debug, Default)]
pub struct SummaryBuilder {
    datasets: BTreeMap<String, DatasetTally>,
    /// Some lines hang together.
    dependent: bool,
    /// Some lines say what became of their answers.
    outcomes: bool,
}

#[derive(Debug)]
struct DatasetTally {
    kind: Kind,
    cases: u64,
    passed: u64,
    errored: u64,
    outcomes: AnswerOutcomes,
    likelihoods: LikelihoodTally,
    errored_ids: FirstIds,
    scorers: BTreeMap<String, ScorerTally>,
}

#[derive(Debug, Default)]
struct ScorerTally {
    scored: u64,
    passed: u64,
    sum: Sum,
    not_extracted: u64,
    failed_ids: FirstIds,
}

impl SummaryBuilder {
    /// Adds one case, settled by [`ResultLine::settle`].
    pub fn add(&mut self, line: &ResultLine) {
        let tally = match self.datasets.get_mut(&line.dataset) {
            Some(tally) => tally,
            None => self.datasets.entry(line.dataset.clone()).or_insert_with(|| DatasetTally::new(line.kind)),
        };
        tally.add(line);
        self.dependent |= line.repeat > 0 || line.group.is_some();
        self.outcomes |= line.has_outcomes();
    }

    /// Whether lines or figures have keys of the fourth format.
    pub(super) fn has_outcomes(&self) -> bool {
        self.outcomes || self.datasets.values().any(|dataset| !dataset.outcomes.is_empty())
    }

    /// Whether some lines hang together, so that intervals need the lines in order ([`super::dependence`]).
    pub(super) fn is_dependent(&self) -> bool {
        self.dependent
    }

    /// Adds what another has added up.
    pub fn merge(&mut self, other: Self) {
        self.dependent |= other.dependent;
        self.outcomes |= other.outcomes;
        for (name, tally) in other.datasets {
            self.datasets.entry(name).or_insert_with(|| DatasetTally::new(tally.kind)).merge(tally);
        }
    }

    /// The counts over all datasets.
    pub fn totals(&self) -> Totals {
        self.datasets.values().fold(Totals::default(), |sum, dataset| Totals {
            cases: sum.cases + dataset.cases,
            passed: sum.passed + dataset.passed,
            errored: sum.errored + dataset.errored,
        })
    }

    /// The figures.
    pub fn finish(self) -> Summary {
        let totals = self.totals();
        let datasets = self.datasets.into_iter().map(|(name, tally)| tally.finish(name)).collect();
        Summary { totals, datasets, verdict: None }
    }
}

impl DatasetTally {
    fn new(kind: Kind) -> Self {
        let (outcomes, likelihoods, errored_ids, scorers) = Default::default();
        Self { kind, cases: 0, passed: 0, errored: 0, outcomes, likelihoods, errored_ids, scorers }
    }

    fn add(&mut self, line: &ResultLine) {
        self.kind = self.kind.max(line.kind);
        self.cases += 1;
        self.passed += u64::from(line.passed);
        self.outcomes.add(line);
        if line.error.is_some() {
            self.errored += 1;
            self.errored_ids.add(&line.id);
        } else if let Some(likelihoods) = &line.likelihoods {
            self.likelihoods.add(likelihoods);
        }
        for (name, score) in &line.scores {
            // Also for errored cases: the scorer was meant to run here, so it must have a row.
            let tally = match self.scorers.get_mut(name) {
                Some(tally) => tally,
                None => self.scorers.entry(name.clone()).or_default(),
            };
            if line.error.is_some() {
                continue;
            }
            tally.scored += 1;
            tally.passed += u64::from(score.passed);
            tally.sum.add(score.value);
            tally.not_extracted += u64::from(score.outcome == Some(Lacking::NotExtracted));
            if !score.passed {
                tally.failed_ids.add(&line.id);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.kind = self.kind.max(other.kind);
        self.cases += other.cases;
        self.passed += other.passed;
        self.errored += other.errored;
        self.outcomes.merge(&other.outcomes);
        self.likelihoods.merge(other.likelihoods);
        self.errored_ids.merge(&other.errored_ids);
        for (name, theirs) in other.scorers {
            let tally = self.scorers.entry(name).or_default();
            tally.scored += theirs.scored;
            tally.passed += theirs.passed;
            tally.sum.merge(theirs.sum);
            tally.not_extracted += theirs.not_extracted;
            tally.failed_ids.merge(&theirs.failed_ids);
        }
    }

    fn finish(self, dataset: String) -> DatasetSummary {
        let errored = self.errored;
        let scorers = self.scorers.into_iter().map(|(name, tally)| tally.finish(name, errored)).collect();
        let (rate, interval) = rate(self.passed, self.cases);
        let (kind, cases, passed, errored_ids) = (self.kind, self.cases, self.passed, self.errored_ids.0);
        let repeats = None;
        let outcomes = Some(self.outcomes).filter(|outcomes| !outcomes.is_empty());
        DatasetSummary {
            dataset,
            kind,
            cases,
            passed,
            errored,
            rate,
            interval,
            repeats,
            outcomes,
            likelihoods: self.likelihoods.finish(),
            errored_ids,
            scorers,
        }
    }
}

impl ScorerTally {
    fn finish(self, scorer: String, errored: u64) -> ScorerSummary {
        let (cases, passed) = (self.scored + errored, self.passed);
        let (rate, interval) = rate(passed, cases);
        let (mean, failed_ids) = (self.sum.mean(self.scored), self.failed_ids.0);
        let not_extracted = self.not_extracted;
        ScorerSummary { scorer, cases, passed, errored, rate, interval, mean, not_extracted, failed_ids }
    }
}

/// The first ids in the order of texts, not more than a summary lists.
#[derive(Debug, Default)]
struct FirstIds(Vec<String>);

impl FirstIds {
    fn add(&mut self, id: &str) {
        if self.0.len() >= LISTED_IDS && self.0.last().is_some_and(|last| last.as_str() <= id) {
            return;
        }
        let place = self.0.partition_point(|other| other.as_str() < id);
        self.0.insert(place, id.to_owned());
        self.0.truncate(LISTED_IDS);
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|id| self.add(id));
    }
}

/// A rate and its interval, rounded as records are.
fn rate(passed: u64, cases: u64) -> (Option<f64>, Option<Interval>) {
    let rate = (cases > 0).then(|| passed as f64 / cases as f64).and_then(round);
    let interval = wilson(passed, cases, CONFIDENCE)
        .and_then(|interval| Some(Interval { low: round(interval.low)?, high: round(interval.high)? }));
    (rate, interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::line::tests::line;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn neither_order_nor_parts_count(
            cases in proptest::collection::vec((0..3u8, 0..400u16, -2.0..2.0f64, any::<bool>(), 0..20u8), 0..300),
            seed in any::<u64>(),
            part in 1usize..80,
        ) {
            let mut lines: Vec<ResultLine> = cases.into_iter().map(|(dataset, id, value, passed, error)| {
                let mut line = line(&format!("d{dataset}"), &id.to_string(), passed);
                line.scores.get_mut("match").unwrap().value = value;
                line.error = (error == 0).then(|| "no".to_owned());
                line.settle().unwrap();
                line
            }).collect();
            let summary = |lines: &[ResultLine], part: usize| {
                let mut whole = SummaryBuilder::default();
                for part in lines.chunks(part) {
                    let mut builder = SummaryBuilder::default();
                    part.iter().for_each(|line| builder.add(line));
                    whole.merge(builder);
                }
                whole.finish()
            };
            let expected = summary(&lines, 1000);
            let mut rng = crate::stats::CounterRng::new(seed, 0);
            for i in (1..lines.len()).rev() {
                lines.swap(i, rng.below(i as u64 + 1) as usize);
            }
            prop_assert_eq!(summary(&lines, part), expected.clone());
            for dataset in &expected.datasets {
                let mut ids: Vec<String> = lines.iter()
                    .filter(|line| line.dataset == dataset.dataset && line.error.is_some())
                    .map(|line| line.id.clone()).collect();
                ids.sort_unstable();
                ids.truncate(LISTED_IDS);
                prop_assert_eq!(&dataset.errored_ids, &ids);
            }
        }
    }
}
