//! Adding pairs up: per dataset and scorer both rates, the paired counts, and the differences.

use std::collections::BTreeMap;

use serde::Serialize;

use super::effect::{Magnitude, Method, Significance};
use super::paired_counts::PairedCounts;
use super::units::{Unit, UnitCounts, Units};
use super::{Pair, change};
use crate::dataset::Kind;
use crate::record::{AnswerOutcomes, ResultLine};
use crate::score::Score;
use crate::stats::{CONFIDENCE, Interval, wilson};

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
    /// What became of answers that are no plain ones, in the base run and in the candidate.
    #[serde(skip_serializing_if = "nothing_told")]
    pub outcomes: [AnswerOutcomes; 2],
}

fn nothing_told(outcomes: &[AnswerOutcomes; 2]) -> bool {
    outcomes.iter().all(AnswerOutcomes::is_empty)
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
    /// Pairs in which neither side erred: what tables and the paired statistics look at.
    pub pairs: PairedCounts,
    /// The base run over these pairs.
    pub paired_base: MetricSide,
    /// The candidate over the same pairs.
    pub paired_candidate: MetricSide,
    /// The pairs by what was drawn: cases, or groups of cases.
    pub units: UnitCounts,
    /// Could the change of outcomes be chance?
    pub significance: Option<Significance>,
    /// Difference of the pass rates over the pairs.
    pub rate_difference: Option<Magnitude>,
    /// Difference of the mean values over the pairs; none for whole cases.
    pub mean_difference: Option<Magnitude>,
    /// Could the change of the mean be chance? None for whole cases.
    pub mean_significance: Option<Significance>,
    /// What the figures would be, had the errored cases come out one way; none where no case of a pair erred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extremes: Option<Box<[Extreme; 2]>>,
}

/// The figures of a metric had every errored case of a pair come out one way: for the lowest difference those of the base run
/// passed and those of the candidate failed, for the highest the other way round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Extreme {
    /// The pairs.
    pub pairs: PairedCounts,
    /// Pass rates of base run and candidate.
    pub rates: Option<(f64, f64)>,
    /// Mean values of base run and candidate.
    pub means: Option<(f64, f64)>,
    /// Could the change of outcomes be chance?
    pub significance: Option<Significance>,
    /// Difference of the pass rates.
    pub rate_difference: Option<Magnitude>,
    /// Could the change of the mean be chance?
    pub mean_significance: Option<Significance>,
    /// Difference of the mean values.
    pub mean_difference: Option<Magnitude>,
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

/// The values that an errored case could have had: every scorer's lie between these.
pub(super) const VALUES: (f64, f64) = (-1.0, 1.0);

/// What a metric says about a case of one run.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Scored(bool, f64),
    Errored,
    Absent,
}

impl Seen {
    /// Had it come out as high, or as low, as it could, where it erred.
    fn settled(self, high: bool) -> Self {
        match self {
            Self::Errored => Self::Scored(high, if high { VALUES.1 } else { VALUES.0 }),
            other => other,
        }
    }

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
    paired: Paired,
    /// Had errored cases come out one way: the lowest difference and the highest; none until a case of a pair errs.
    extremes: Option<Box<[Paired; 2]>>,
}

/// Pairs in which both sides are scored.
#[derive(Clone, Debug, Default)]
struct Paired {
    base: Sums,
    candidate: Sums,
    counts: PairedCounts,
    outcomes: Units,
    values: Units,
    /// The least and the largest value of both sides, 0 and 1 among them.
    range: Range,
}

/// Where the values of a scorer lie.
#[derive(Clone, Copy, Debug)]
struct Range {
    least: f64,
    most: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self { least: 0.0, most: 1.0 }
    }
}

impl Range {
    fn add(&mut self, value: f64) {
        (self.least, self.most) = (self.least.min(value), self.most.max(value));
    }

    /// The least and the largest difference possible: of shares and probabilities a value is at least 0, of cosines -1. None is
    /// known of values outside [`VALUES`].
    fn differences(self) -> (f64, f64) {
        let width = match self {
            Self { least, most } if least < VALUES.0 - 1e-6 || most > VALUES.1 + 1e-6 => f64::INFINITY,
            Self { least, .. } if least < 0.0 => VALUES.1 - VALUES.0,
            _ => 1.0,
        };
        (-width, width)
    }
}

impl Paired {
    fn add(&mut self, unit: Unit<'_>, base: Seen, candidate: Seen) {
        let (Seen::Scored(before, x), Seen::Scored(after, y)) = (base, candidate) else { return };
        self.base.add(base);
        self.candidate.add(candidate);
        self.counts.add(before, after);
        self.outcomes.push(unit, f64::from(u8::from(after)) - f64::from(u8::from(before)));
        self.values.push(unit, y - x);
        [x, y].into_iter().for_each(|value| self.range.add(value));
    }

    fn extreme(self, with_mean: bool, how: Method) -> Extreme {
        let (counts, outcomes, values) = (self.counts, self.outcomes.finish(), self.values.finish());
        let bounds = self.range.differences();
        let (base, candidate) = (self.base.finish(with_mean), self.candidate.finish(with_mean));
        let (significance, rate_difference) = outcomes.outcomes(&counts, how);
        let (mean_significance, mean_difference) = if with_mean { values.means(bounds) } else { (None, None) };
        Extreme {
            pairs: counts,
            rates: base.rate.zip(candidate.rate),
            means: base.mean.zip(candidate.mean),
            significance,
            rate_difference,
            mean_significance,
            mean_difference,
        }
    }
}

impl MetricTally {
    fn both(&mut self, unit: Unit<'_>, base: Seen, candidate: Seen) {
        self.base.add(base);
        self.candidate.add(candidate);
        self.common(unit, base, candidate);
    }

    /// A case that both runs hold.
    fn common(&mut self, unit: Unit<'_>, base: Seen, candidate: Seen) {
        if matches!(base, Seen::Absent) || matches!(candidate, Seen::Absent) {
            return;
        }
        self.common_base.add(base);
        self.common_candidate.add(candidate);
        self.pair(unit, base, candidate);
    }

    /// A pair for the statistics; one of which a side erred has its place in the extremes alone.
    fn pair(&mut self, unit: Unit<'_>, base: Seen, candidate: Seen) {
        if matches!(base, Seen::Errored) || matches!(candidate, Seen::Errored) {
            let sofar = &self.paired;
            self.extremes.get_or_insert_with(|| Box::new([sofar.clone(), sofar.clone()]));
        }
        self.paired.add(unit, base, candidate);
        if let Some(extremes) = &mut self.extremes {
            let [lowest, highest] = &mut **extremes;
            lowest.add(unit, base.settled(true), candidate.settled(false));
            highest.add(unit, base.settled(false), candidate.settled(true));
        }
    }

    fn finish(self, metric: String, with_mean: bool, how: Method) -> MetricComparison {
        let Paired { base, candidate, counts, outcomes, values, range } = self.paired;
        let (outcomes, values, bounds) = (outcomes.finish(), values.finish(), range.differences());
        let (significance, rate_difference) = outcomes.outcomes(&counts, how);
        let (mean_significance, mean_difference) = if with_mean { values.means(bounds) } else { (None, None) };
        let extremes = self.extremes.map(|extremes| Box::new(extremes.map(|paired| paired.extreme(with_mean, how))));
        MetricComparison {
            metric,
            base: self.base.finish(with_mean),
            candidate: self.candidate.finish(with_mean),
            common_base: self.common_base.finish(with_mean),
            common_candidate: self.common_candidate.finish(with_mean),
            pairs: counts,
            paired_base: base.finish(with_mean),
            paired_candidate: candidate.finish(with_mean),
            units: outcomes.counts(&counts),
            significance,
            rate_difference,
            mean_difference,
            mean_significance,
            extremes,
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
    /// Numbers and groups of the pairs that erred in both runs, for scorers yet to be seen.
    both_errored: Vec<(u64, Option<String>)>,
    /// Of the base run and of the candidate.
    outcomes: [AnswerOutcomes; 2],
}

impl DatasetTally {
    pub(super) fn new() -> Self {
        Self {
            kind: Kind::Golden,
            seen: 0,
            cases: MetricTally::default(),
            scorers: BTreeMap::new(),
            silent: MetricTally::default(),
            both_errored: Vec::new(),
            outcomes: Default::default(),
        }
    }

    pub(super) fn add(&mut self, pair: &Pair, case: u64) {
        self.kind = self.kind.max(change::class(pair));
        self.seen += 1;
        let unit = Unit::of(pair, case);
        let [of_base, of_candidate] = &mut self.outcomes;
        if let Pair::Both(base, _) | Pair::Removed(base) = pair {
            of_base.add(base);
        }
        if let Pair::Both(_, candidate) | Pair::Added(candidate) = pair {
            of_candidate.add(candidate);
        }
        match pair {
            Pair::Both(base, candidate) => {
                self.cases.both(unit, Seen::whole(base), Seen::whole(candidate));
                for name in base.scores.keys().chain(candidate.scores.keys().filter(|n| !base.scores.contains_key(*n)))
                {
                    self.scorer(name, unit, (Some(base), Some(candidate)));
                }
                if base.error.is_some() && candidate.error.is_some() {
                    self.both_errored.push((case, unit.group.map(str::to_owned)));
                    self.scorers.values_mut().for_each(|tally| tally.pair(unit, Seen::Errored, Seen::Errored));
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
            None => {
                let tally = self.scorers.entry(name.to_owned()).or_default();
                // In order of case, so that the answers to one case stay together.
                for (case, group) in &self.both_errored {
                    let unit = Unit { case: *case, group: group.as_deref(), ..unit };
                    tally.pair(unit, Seen::Errored, Seen::Errored);
                }
                tally
            }
        };
        let see =
            |line: Option<&ResultLine>| line.map_or(Seen::Absent, |line| Seen::scorer(line, line.scores.get(name)));
        let (before, after) = (see(base), see(candidate));
        match (before, after) {
            // Counted for all scorers alike.
            (Seen::Errored, Seen::Errored | Seen::Absent) | (Seen::Absent, Seen::Errored) => {}
            (Seen::Errored, Seen::Scored(..)) => {
                tally.candidate.add(after);
                tally.common(unit, before, after);
            }
            (Seen::Scored(..), Seen::Errored) => {
                tally.base.add(before);
                tally.common(unit, before, after);
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

    pub(super) fn finish(self, dataset: String, how: Method) -> DatasetComparison {
        let silent = self.silent;
        let scorers = self.scorers.into_iter().map(|(name, mut tally)| {
            tally.base.errored += silent.base.errored;
            tally.candidate.errored += silent.candidate.errored;
            tally.common_base.errored += silent.common_base.errored;
            tally.common_candidate.errored += silent.common_candidate.errored;
            tally.finish(name, true, how)
        });
        let scorers = scorers.collect();
        let cases = self.cases.finish(WHOLE.into(), false, how);
        DatasetComparison { dataset, kind: self.kind, cases, scorers, outcomes: self.outcomes }
    }
}
