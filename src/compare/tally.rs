//! Adding pairs up: per dataset and scorer both rates, the paired counts, and the differences.

use std::collections::BTreeMap;

use serde::Serialize;

use super::effect::{Magnitude, Significance};
use super::units::{Unit, Units};
use super::{Pair, change};
use crate::dataset::Kind;
use crate::record::ResultLine;
use crate::score::Score;
use crate::stats::{CONFIDENCE, Interval, Resampling, wilson};

/// How the metric of whole cases is called.
pub const WHOLE: &str = "passed";

/// One dataset in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetComparison {
    /// Dataset name.
    pub dataset: String,
    /// What the dataset is for; danger where either run says so.
    pub kind: Kind,
    /// Whole cases: passed all scorers.
    pub cases: MetricComparison,
    /// By scorer, sorted by name.
    pub scorers: Vec<MetricComparison>,
}

/// One pass/fail metric, with its values, in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricComparison {
    /// Scorer name; [`WHOLE`] for whole cases.
    pub metric: String,
    /// All cases of the base run.
    pub base: MetricSide,
    /// All cases of the candidate.
    pub candidate: MetricSide,
    /// The cases that both runs hold, errored ones as not passing: what relative gates look at.
    pub common_base: MetricSide,
    /// The same cases in the candidate.
    pub common_candidate: MetricSide,
    /// Pairs in which neither side erred: what the paired statistics look at.
    pub pairs: PairedCounts,
    /// Could the change of outcomes be chance?
    pub significance: Option<Significance>,
    /// Difference of the pass rates over the pairs.
    pub rate_difference: Option<Magnitude>,
    /// Difference of the mean values over the pairs; none for whole cases.
    pub mean_difference: Option<Magnitude>,
    /// Could the change of the mean be chance? None for whole cases.
    pub mean_significance: Option<Significance>,
}

/// A metric over the cases of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MetricSide {
    /// Cases, errored ones included.
    pub cases: u64,
    /// Cases that passed and did not err.
    pub passed: u64,
    /// Cases that erred.
    pub errored: u64,
    /// `passed / cases`.
    pub rate: Option<f64>,
    /// Wilson's interval of the rate at 95 %.
    pub interval: Option<Interval>,
    /// Mean value over the cases that did not err.
    pub mean: Option<f64>,
}

/// Paired outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PairedCounts {
    /// Passed before and now.
    pub both_passed: u64,
    /// Passed before, fails now.
    pub regressed: u64,
    /// Failed before, passes now.
    pub improved: u64,
    /// Failed before and now.
    pub both_failed: u64,
}

impl PairedCounts {
    /// Number of pairs.
    pub fn pairs(&self) -> u64 {
        self.both_passed + self.regressed + self.improved + self.both_failed
    }

    /// Both added up.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            both_passed: self.both_passed + other.both_passed,
            regressed: self.regressed + other.regressed,
            improved: self.improved + other.improved,
            both_failed: self.both_failed + other.both_failed,
        }
    }

    fn add(&mut self, before: bool, after: bool) {
        let count = match (before, after) {
            (true, true) => &mut self.both_passed,
            (true, false) => &mut self.regressed,
            (false, true) => &mut self.improved,
            (false, false) => &mut self.both_failed,
        };
        *count += 1;
    }
}

/// Sums over some cases of one run.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    scored: u64,
    passed: u64,
    errored: u64,
    sum: f64,
}

impl Sums {
    fn add(&mut self, seen: Seen) {
        match seen {
            Seen::Scored(passed, value) => {
                self.scored += 1;
                self.passed += u64::from(passed);
                self.sum += value;
            }
            Seen::Errored => self.errored += 1,
            Seen::Absent => {}
        }
    }

    fn finish(self, with_mean: bool) -> MetricSide {
        let (cases, passed, errored) = (self.scored + self.errored, self.passed, self.errored);
        let rate = (cases > 0).then(|| passed as f64 / cases as f64);
        let mean =
            (with_mean && self.scored > 0).then(|| self.sum / self.scored as f64).filter(|mean| mean.is_finite());
        MetricSide { cases, passed, errored, rate, interval: wilson(passed, cases, CONFIDENCE), mean }
    }
}

/// What a metric says about a case of one run.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Scored(bool, f64),
    Errored,
    Absent,
}

impl Seen {
    fn whole(line: &ResultLine) -> Self {
        if line.error.is_some() { Self::Errored } else { Self::Scored(line.passed, 0.0) }
    }

    /// An errored case is errored for every scorer of its dataset.
    fn scorer(line: &ResultLine, score: Option<&Score>) -> Self {
        match score {
            _ if line.error.is_some() => Self::Errored,
            Some(score) => Self::Scored(score.passed, score.value),
            None => Self::Absent,
        }
    }
}

/// Sums of one metric over both runs.
#[derive(Clone, Debug, Default)]
struct MetricTally {
    base: Sums,
    candidate: Sums,
    common_base: Sums,
    common_candidate: Sums,
    pairs: PairedCounts,
    outcomes: Units,
    values: Units,
}

impl MetricTally {
    fn both(&mut self, unit: Unit<'_>, base: Seen, candidate: Seen) {
        self.base.add(base);
        self.candidate.add(candidate);
        if !matches!(base, Seen::Absent) && !matches!(candidate, Seen::Absent) {
            self.common_base.add(base);
            self.common_candidate.add(candidate);
        }
        if let (Seen::Scored(before, x), Seen::Scored(after, y)) = (base, candidate) {
            self.pairs.add(before, after);
            self.outcomes.push(unit, f64::from(u8::from(after)) - f64::from(u8::from(before)));
            self.values.push(unit, y - x);
        }
    }

    fn finish(self, metric: String, with_mean: bool, how: Resampling) -> MetricComparison {
        let counts = self.pairs;
        let (outcomes, values) = (self.outcomes.finish(), self.values.finish());
        MetricComparison {
            metric,
            base: self.base.finish(with_mean),
            candidate: self.candidate.finish(with_mean),
            common_base: self.common_base.finish(with_mean),
            common_candidate: self.common_candidate.finish(with_mean),
            pairs: counts,
            significance: outcomes.outcome_significance(&counts),
            rate_difference: outcomes.outcome_magnitude(&counts, how),
            mean_difference: if with_mean { values.mean_magnitude(how) } else { None },
            mean_significance: if with_mean { values.mean_significance() } else { None },
        }
    }
}

/// Sums of one dataset over both runs.
#[derive(Debug)]
pub(super) struct DatasetTally {
    kind: Kind,
    seen: u64,
    cases: MetricTally,
    scorers: BTreeMap<String, MetricTally>,
    /// Cases errored in one run that said nothing about any scorer yet to be seen: added to every scorer at the end.
    silent: MetricTally,
}

impl DatasetTally {
    pub(super) fn new() -> Self {
        Self {
            kind: Kind::Golden,
            seen: 0,
            cases: MetricTally::default(),
            scorers: BTreeMap::new(),
            silent: MetricTally::default(),
        }
    }

    pub(super) fn add(&mut self, pair: &Pair, case: u64) {
        self.kind = self.kind.max(change::class(pair));
        self.seen += 1;
        let unit = Unit::of(pair, case);
        match pair {
            Pair::Both(base, candidate) => {
                self.cases.both(unit, Seen::whole(base), Seen::whole(candidate));
                for name in base.scores.keys().chain(candidate.scores.keys().filter(|n| !base.scores.contains_key(*n)))
                {
                    self.scorer(name, unit, (Some(base), Some(candidate)));
                }
                self.silence((Some(base), Some(candidate)));
            }
            Pair::Removed(base) => {
                self.cases.base.add(Seen::whole(base));
                base.scores.keys().for_each(|name| self.scorer(name, unit, (Some(base), None)));
                self.silence((Some(base), None));
            }
            Pair::Added(candidate) => {
                self.cases.candidate.add(Seen::whole(candidate));
                candidate.scores.keys().for_each(|name| self.scorer(name, unit, (None, Some(candidate))));
                self.silence((None, Some(candidate)));
            }
        }
    }

    /// One scorer's view of a case that has a score by it on at least one side. Errored sides are left to
    /// [`Self::silence`], except that a side errs in common with the other's score.
    fn scorer(&mut self, name: &str, unit: Unit<'_>, (base, candidate): (Option<&ResultLine>, Option<&ResultLine>)) {
        let tally = match self.scorers.get_mut(name) {
            Some(tally) => tally,
            None => self.scorers.entry(name.to_owned()).or_default(),
        };
        let see =
            |line: Option<&ResultLine>| line.map_or(Seen::Absent, |line| Seen::scorer(line, line.scores.get(name)));
        let (before, after) = (see(base), see(candidate));
        match (before, after) {
            // Counted for all scorers alike.
            (Seen::Errored, Seen::Errored | Seen::Absent) | (Seen::Absent, Seen::Errored) => {}
            (Seen::Errored, Seen::Scored(..)) => {
                tally.candidate.add(after);
                tally.common_base.add(before);
                tally.common_candidate.add(after);
            }
            (Seen::Scored(..), Seen::Errored) => {
                tally.base.add(before);
                tally.common_base.add(before);
                tally.common_candidate.add(after);
            }
            (Seen::Scored(..) | Seen::Absent, Seen::Scored(..) | Seen::Absent) => tally.both(unit, before, after),
        }
    }

    /// Errored sides count for every scorer of the dataset, known by now or not.
    fn silence(&mut self, (base, candidate): (Option<&ResultLine>, Option<&ResultLine>)) {
        let errored = |line: Option<&ResultLine>| line.is_some_and(|line| line.error.is_some());
        let (before, after) = (errored(base), errored(candidate));
        let silent = &mut self.silent;
        silent.base.errored += u64::from(before);
        silent.candidate.errored += u64::from(after);
        silent.common_base.errored += u64::from(before && after);
        silent.common_candidate.errored += u64::from(before && after);
    }

    /// Pairs seen, with one side or both.
    pub(super) fn pairs(&self) -> u64 {
        self.seen
    }

    pub(super) fn finish(self, dataset: String, how: Resampling) -> DatasetComparison {
        let silent = self.silent;
        let scorers = self.scorers.into_iter().map(|(name, mut tally)| {
            tally.base.errored += silent.base.errored;
            tally.candidate.errored += silent.candidate.errored;
            tally.common_base.errored += silent.common_base.errored;
            tally.common_candidate.errored += silent.common_candidate.errored;
            tally.finish(name, true, how)
        });
        let scorers = scorers.collect();
        DatasetComparison { dataset, kind: self.kind, cases: self.cases.finish(WHOLE.into(), false, how), scorers }
    }
}
