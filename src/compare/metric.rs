//! Values of metrics in summaries and comparisons.

use super::effect::{self, Sample};
use super::tally::VALUES;
use super::{
    Comparison, DatasetComparison, Detectable, Extreme, Magnitude, MetricComparison, MetricSide, Significance,
    UnitCounts,
};
use crate::dataset::Kind;
use crate::error::nearest;
use crate::record::{CaseRef, Evidence, LISTED_IDS, Summary};
use crate::rule::{Metric, Statistic};
use crate::stats::{Interval, SampleTest, TwoSample, wilson};

/// A metric's value in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricValue {
    /// The value: errored cases do not pass, and have no value.
    pub value: f64,
    /// The value had all errored golden cases failed, with the lowest value; danger cases that err fail.
    pub lowest: f64,
    /// The value had all of them passed, with the highest value.
    pub highest: f64,
    /// How many erred.
    pub errored: u64,
    /// Answers behind it.
    pub cases: u64,
    /// What is behind it in words: `380 cases`, `12 cases (36 answers)`.
    pub told: String,
    /// Wilson's interval, for rates; over cases where they have several answers.
    pub interval: Option<Interval>,
    /// The first cases that do not pass, errored ones first.
    pub failed: Vec<CaseRef>,
    /// How many do not pass.
    pub failed_total: u64,
}

/// A metric in two runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    /// Its value in the base run.
    pub base: f64,
    /// Its value in the candidate.
    pub candidate: f64,
    /// Could the change be chance?
    pub p_value: Option<f64>,
    /// By which test.
    pub test: Option<&'static str>,
    /// Interval of the difference.
    pub interval: Option<Interval>,
    /// The interval that non-inferiority is judged by, and what the sample could have shown.
    pub sample: Sample,
}

impl Change {
    /// Candidate minus base.
    pub fn moved(&self) -> f64 {
        self.candidate - self.base
    }

    fn of_pairs((base, candidate): (f64, f64), found: Option<Significance>, size: Option<Magnitude>) -> Self {
        Self {
            base,
            candidate,
            p_value: found.map(|found| found.p_value),
            test: found.map(|found| found.test.name()),
            interval: size.and_then(|size| size.interval),
            sample: size.map(|size| size.sample).unwrap_or_default(),
        }
    }

    /// The change of one minus the metric: its values are turned already, what is said of their difference is not.
    pub fn turned(mut self) -> Self {
        let turned = |Interval { low, high }| Interval { low: -high, high: -low };
        self.interval = self.interval.map(turned);
        self.sample.covering = self.sample.covering.map(turned);
        self.sample.moved = (self.sample.moved.1, self.sample.moved.0);
        self
    }

    /// Of two samples that share no case, whose difference is at most so large.
    pub fn of_samples((base, candidate): (f64, f64), found: &TwoSample, most: f64) -> Self {
        let test = match found.test {
            SampleTest::Welch => "Welch",
            SampleTest::ChiSquared => "N-1 chi-squared",
            SampleTest::Fisher => "Fisher",
        };
        Self {
            base,
            candidate,
            p_value: Some(found.p_value),
            test: Some(test),
            interval: Some(found.interval),
            sample: effect::unpaired(found, most),
        }
    }
}

/// A metric on the cases that two runs share.
pub(super) struct PairedValue {
    pub(super) seen: Change,
    /// Had the errored cases come out for the lowest difference, and for the highest.
    pub(super) extremes: [Change; 2],
    pub(super) evidence: Evidence,
    pub(super) detectable: Detectable,
    /// What is behind it in words: `380 pairs`, `12 cases (36 answers)`.
    pub(super) told: String,
    /// Errored cases among them, on either side.
    pub(super) errored: u64,
    pub(super) regressed: Vec<CaseRef>,
    pub(super) regressed_total: u64,
}

impl Metric {
    /// The value in a run; `None` where there are no data.
    pub fn observe(&self, summary: &Summary) -> Option<MetricValue> {
        let rows = self.select(summary.datasets.iter().flat_map(|dataset| {
            dataset
                .scorers
                .iter()
                .map(move |scorer| (&*dataset.dataset, dataset.kind, &*scorer.scorer, (dataset, scorer)))
        }));
        let sides = rows.iter().map(|(_, s)| MetricSide {
            cases: s.cases,
            passed: s.passed,
            errored: s.errored,
            mean: s.mean,
            ..MetricSide::default()
        });
        let side = pooled(sides);
        let value = self.of(&side)?;
        let danger = rows.iter().all(|(dataset, _)| dataset.kind == Kind::Danger);
        let errored = if danger { 0 } else { side.errored };
        let (lowest, highest) = self.range(&side, value, errored);
        // Cases with several answers, and groups, are what was drawn: their interval is the summary's own.
        let interval = match (self.statistic, rows.as_slice()) {
            (Statistic::Mean, _) => None,
            (_, [(_, scorer)]) => scorer.interval,
            (_, rows) if rows.iter().any(|(dataset, _)| dataset.repeats.is_some()) => None,
            _ => side.interval,
        };
        let interval = match self.statistic {
            Statistic::OutcomeRate(_) => {
                interval.map(|Interval { low, high }| Interval { low: 1.0 - high, high: 1.0 - low })
            }
            Statistic::PassRate | Statistic::Mean => interval,
        };
        let units: u64 = rows
            .iter()
            .map(|(dataset, scorer)| {
                dataset.repeats.as_ref().map_or(scorer.cases, |repeats| repeats.cases.min(scorer.cases))
            })
            .sum();
        let told = if units == side.cases {
            format!("{units} cases")
        } else {
            format!("{units} cases ({} answers)", side.cases)
        };
        let mut failed = Vec::new();
        for (dataset, scorer) in rows {
            let ids = dataset.errored_ids.iter().chain(&scorer.failed_ids);
            failed.extend(ids.map(|id| CaseRef::new(&dataset.dataset, id)));
        }
        failed.truncate(LISTED_IDS);
        let (cases, failed_total) = (side.cases, side.cases - side.passed);
        Some(MetricValue { value, lowest, highest, errored, cases, told, interval, failed, failed_total })
    }

    /// The value had all errored cases failed, with the lowest value, and had they passed, with the highest.
    fn range(&self, side: &MetricSide, value: f64, errored: u64) -> (f64, f64) {
        match (errored, self.statistic) {
            (0, _) => (value, value),
            (_, Statistic::PassRate) => (value, (side.passed + errored) as f64 / side.cases as f64),
            (_, Statistic::OutcomeRate(_)) => (value - errored as f64 / side.cases as f64, value),
            (_, Statistic::Mean) => {
                let scored = (side.cases - side.errored) as f64;
                let with = |each: f64| (value * scored + each * errored as f64) / (scored + errored as f64);
                (with(VALUES.0), with(VALUES.1))
            }
        }
    }

    /// Whether it is a metric of danger cases alone.
    pub(super) fn is_danger(&self, summary: &Summary) -> bool {
        let kinds = summary.datasets.iter().flat_map(|dataset| {
            dataset.scorers.iter().map(move |s| (&*dataset.dataset, dataset.kind, &*s.scorer, dataset.kind))
        });
        self.select(kinds).into_iter().all(|kind| kind == Kind::Danger)
    }

    /// The values on the shared cases of a comparison; `None` where there are none.
    pub(super) fn paired(&self, comparison: &Comparison) -> Option<PairedValue> {
        let rows = |datasets: &'_ [DatasetComparison]| {
            let rows = datasets.iter().flat_map(|dataset| {
                let row = move |scorer| (dataset, scorer);
                dataset.scorers.iter().map(move |s| (&*dataset.dataset, dataset.kind, &*s.metric, row(s)))
            });
            let row = self.select(rows).into_iter().next();
            row.map(|(dataset, scorer)| (dataset.dataset.clone(), dataset.kind, scorer.clone()))
        };
        // A dataset of that name, or else all datasets of that class together.
        let scores = self.row();
        let named = |dataset: &DatasetComparison| {
            dataset.dataset == self.scope && dataset.scorers.iter().any(|scorer| scorer.metric == scores)
        };
        let has = comparison.datasets.iter().any(named);
        let (scope, kind, scorer) = rows(if has { &comparison.datasets } else { &comparison.classes })?;
        let inside =
            |dataset: &&DatasetComparison| if has { dataset.dataset == scope } else { dataset.kind.name() == scope };
        let datasets = comparison.datasets.iter().filter(inside);
        let regressed = datasets.flat_map(|dataset| comparison.regressed(&dataset.dataset, &scorer.metric));
        let regressed = regressed.take(super::LISTED_CASES).map(|case| CaseRef::new(&case.dataset, &case.id)).collect();
        let danger = kind == Kind::Danger;
        let (_, magnitude) = self.test(&scorer);
        let (seen, extremes) = self.changes(&scorer, danger)?;
        let UnitCounts { worse, better, units, .. } = scorer.units;
        Some(PairedValue {
            evidence: Evidence {
                pairs: units,
                regressed: worse,
                improved: better,
                p_value: seen.p_value,
                interval: seen.interval,
            },
            seen,
            extremes,
            detectable: magnitude.map_or(Detectable::Unknown, |magnitude| magnitude.detectable),
            told: scorer.units.told(scorer.pairs.pairs()),
            errored: if danger { 0 } else { scorer.common_base.errored + scorer.common_candidate.errored },
            regressed,
            regressed_total: scorer.pairs.regressed,
        })
    }

    /// What the pairs say of its change.
    fn test(&self, scorer: &MetricComparison) -> (Option<Significance>, Option<Magnitude>) {
        match self.statistic {
            Statistic::PassRate | Statistic::OutcomeRate(_) => (scorer.significance, scorer.rate_difference),
            Statistic::Mean => (scorer.mean_significance, scorer.mean_difference),
        }
    }

    /// Its change as it was seen, and had the errored cases come out for the lowest difference, and for the highest.
    fn changes(&self, scorer: &MetricComparison, danger: bool) -> Option<(Change, [Change; 2])> {
        let (significance, magnitude) = self.test(scorer);
        // Over the pairs that both runs answered; danger cases that err fail.
        let (base, candidate) = if danger {
            (scorer.common_base, scorer.common_candidate)
        } else {
            (scorer.paired_base, scorer.paired_candidate)
        };
        let seen = self.of(&base).zip(self.of(&candidate));
        let of_pairs = |values, found, size| {
            let change = Change::of_pairs(values, found, size);
            if self.counts_failures() { change.turned() } else { change }
        };
        let extreme = |extreme: &Extreme| {
            let (values, found, size) = match self.statistic {
                Statistic::PassRate => (extreme.rates, extreme.significance, extreme.rate_difference),
                Statistic::Mean => (extreme.means, extreme.mean_significance, extreme.mean_difference),
                Statistic::OutcomeRate(_) => {
                    let turned = extreme.rates.map(|(base, candidate)| (1.0 - base, 1.0 - candidate));
                    (turned, extreme.significance, extreme.rate_difference)
                }
            };
            values.map(|values| of_pairs(values, found, size))
        };
        let extremes = scorer.extremes.as_ref().filter(|_| !danger);
        match (seen, extremes) {
            (Some(seen), None) => {
                let change = of_pairs(seen, significance, magnitude);
                Some((change, [change, change]))
            }
            (seen, Some(extremes)) => {
                let [lowest, highest] = &**extremes;
                let extremes = [extreme(lowest)?, extreme(highest)?];
                // Where every pair erred, nothing was seen.
                let seen = seen.map_or(extremes[0], |seen| of_pairs(seen, significance, magnitude));
                Some((seen, extremes))
            }
            (None, None) => None,
        }
    }

    /// It is a share of answers that do not pass: the lower the better.
    pub(super) fn counts_failures(&self) -> bool {
        matches!(self.statistic, Statistic::OutcomeRate(_))
    }

    /// What its scores are called among those of a case.
    fn row(&self) -> String {
        match (&self.scorer, self.statistic) {
            (Some(scorer), Statistic::OutcomeRate(rate)) => format!("{scorer}.{rate}"),
            (None, Statistic::OutcomeRate(rate)) => rate.to_owned(),
            (scorer, Statistic::PassRate | Statistic::Mean) => scorer.clone().unwrap_or_default(),
        }
    }

    /// Datasets and scorers that the metric covers in a run.
    pub(super) fn covers(&self, summary: &Summary) -> Vec<(String, String)> {
        let rows = summary.datasets.iter().flat_map(|dataset| {
            let name = |scorer: &str| (dataset.dataset.clone(), scorer.to_owned());
            dataset.scorers.iter().map(move |s| (&*dataset.dataset, dataset.kind, &*s.scorer, name(&s.scorer)))
        });
        self.select(rows)
    }

    /// What to ask instead, where there are no data.
    pub(super) fn hint(&self, summary: &Summary) -> String {
        let names: Vec<String> = summary
            .datasets
            .iter()
            .flat_map(|dataset| dataset.scorers.iter().map(|s| format!("{}.{}", dataset.dataset, s.scorer)))
            .collect();
        if names.is_empty() {
            "the run has no scores".into()
        } else {
            nearest(&format!("{}.{}", self.scope, self.row()), names.iter().map(String::as_str))
        }
    }

    fn of(&self, side: &MetricSide) -> Option<f64> {
        match self.statistic {
            Statistic::PassRate => side.rate,
            Statistic::Mean => side.mean,
            Statistic::OutcomeRate(_) => {
                (side.cases > 0).then(|| (side.cases - side.passed) as f64 / side.cases as f64)
            }
        }
    }

    fn select<'a, T>(&self, rows: impl Iterator<Item = (&'a str, Kind, &'a str, T)>) -> Vec<T> {
        let scores = self.row();
        let (mut by_name, mut by_kind) = (Vec::new(), Vec::new());
        for (dataset, kind, _, row) in rows.filter(|(_, _, scorer, _)| *scorer == scores) {
            if dataset == self.scope {
                by_name.push(row);
            } else if kind.name() == self.scope {
                by_kind.push(row);
            }
        }
        if by_name.is_empty() { by_kind } else { by_name }
    }
}

/// Several datasets as one: counts add up, means weigh by their scored cases.
fn pooled(sides: impl Iterator<Item = MetricSide>) -> MetricSide {
    let mut sum = MetricSide::default();
    let (mut values, mut scored) = (0.0, 0u64);
    for side in sides {
        sum.cases += side.cases;
        sum.passed += side.passed;
        sum.errored += side.errored;
        if let Some(mean) = side.mean {
            let n = side.cases - side.errored;
            // One dataset keeps its mean to the last bit.
            values = if scored == 0 { mean } else { (values * scored as f64 + mean * n as f64) / (scored + n) as f64 };
            scored += n;
        }
    }
    sum.rate = (sum.cases > 0).then(|| sum.passed as f64 / sum.cases as f64);
    sum.interval = wilson(sum.passed, sum.cases, crate::stats::CONFIDENCE);
    sum.mean = (scored > 0).then_some(values);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::tests::{broken, line};
    use crate::record::SummaryBuilder;

    #[test]
    fn datasets_win_over_kinds_and_kinds_pool() {
        let summary = |names: &[&str]| {
            let mut builder = SummaryBuilder::default();
            for name in names {
                builder.add(&line(name, "1", name.ends_with('a')));
                builder.add(&line(name, "2", false));
            }
            builder.add(&broken(names[0], "3"));
            builder.finish()
        };
        let observe = |summary: &Summary, text| Metric::parse(text).unwrap().observe(summary);
        let pool = summary(&["sets-a", "sets-b"]);
        let value = observe(&pool, "golden.match").unwrap();
        assert_eq!((value.value, value.cases, value.failed_total), (0.2, 5, 4));
        assert_eq!(value.failed[0], CaseRef::new("sets-a", "3"));
        assert_eq!(observe(&pool, "golden.match.mean").unwrap().value, 0.25);
        assert_eq!(observe(&pool, "sets-b.match").unwrap().value, 0.0);
        assert_eq!(observe(&pool, "danger.match"), None);
        assert_eq!(observe(&pool, "sets-b.other"), None);
        let named = summary(&["golden", "sets-a"]);
        assert_eq!(observe(&named, "golden.match").unwrap().cases, 3);
        assert_eq!(Metric::parse("golden.mach").unwrap().hint(&named), "did you mean `golden.match`?");
    }
}
