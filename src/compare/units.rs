//! Paired differences by what was drawn: cases, or groups of cases.
//!
//! Several answers to one case, and cases of one group, hang together; counted one by one they would make chance look like
//! an effect. They are joined to one unit each. Where every unit is one pair, nothing changes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::effect::{Magnitude, Method, RATES, Significance, clustered, outcome_magnitude, significance, valued};
use super::{Pair, PairedCounts};
use crate::stats::{Clusters, Differences};

/// Whose difference it is. Pairs come in order of case, so the answers to one case come one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit<'a> {
    /// The number of the case: names would have to be kept for every metric.
    pub case: u64,
    pub dataset: &'a str,
    pub group: Option<&'a str>,
}

impl<'a> Unit<'a> {
    /// The unit of a pair of this case: as the candidate has it, where it is there.
    pub fn of(pair: &'a Pair, case: u64) -> Self {
        let (Pair::Both(_, line) | Pair::Added(line) | Pair::Removed(line)) = pair;
        Self { case, dataset: &line.dataset, group: line.group.as_deref() }
    }
}

/// Differences of one metric, on their way into units.
#[derive(Clone, Debug, Default)]
pub(super) struct Units {
    /// Units of one pair.
    single: Differences,
    /// The case whose answers come.
    open: Option<Open>,
    /// Cases with several answers: sum and number.
    repeated: Vec<(f64, u64)>,
    /// By dataset and name.
    groups: BTreeMap<(String, String), (f64, u64)>,
}

/// A case with the sum and the number of its differences.
#[derive(Clone, Copy, Debug)]
struct Open {
    case: u64,
    sum: f64,
    n: u64,
}

impl Units {
    /// Adds the difference of a pair.
    pub fn push(&mut self, unit: Unit<'_>, difference: f64) {
        if let Some(group) = unit.group {
            let (sum, n) = self.groups.entry((unit.dataset.to_owned(), group.to_owned())).or_default();
            (*sum, *n) = (*sum + difference, *n + 1);
            return;
        }
        match &mut self.open {
            Some(open) if open.case == unit.case => {
                (open.sum, open.n) = (open.sum + difference, open.n + 1);
            }
            open => {
                let closed = open.replace(Open { case: unit.case, sum: difference, n: 1 });
                self.close(closed);
            }
        }
    }

    fn close(&mut self, case: Option<Open>) {
        match case {
            Some(Open { sum, n: 1, .. }) => self.single.push(sum),
            Some(Open { sum, n, .. }) => self.repeated.push((sum, n)),
            None => {}
        }
    }

    /// No more differences.
    pub fn finish(mut self) -> Drawn {
        let open = self.open.take();
        self.close(open);
        let Self { single, repeated, groups, .. } = self;
        let unit = match (groups.is_empty(), repeated.is_empty()) {
            (false, _) => UnitKind::Group,
            (true, false) => UnitKind::RepeatedCase,
            (true, true) => return Drawn { clusters: None, differences: single },
        };
        let mut clusters = Clusters::default();
        let zeros = single.pairs() - single.changed().len() as u64;
        single.changed().iter().for_each(|difference| clusters.push(*difference, 1));
        (0..zeros).for_each(|_| clusters.push(0.0, 1));
        repeated.into_iter().chain(groups.into_values()).for_each(|(sum, n)| clusters.push(sum, n));
        Drawn { differences: clusters.differences(), clusters: Some((clusters, unit)) }
    }
}

/// What was drawn, and what statistics therefore count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// A case with one answer: the unit is the pair.
    #[default]
    Case,
    /// A case with several answers.
    RepeatedCase,
    /// A group of cases.
    Group,
}

/// How many units there are, and which way they changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnitCounts {
    /// What a unit is.
    pub kind: UnitKind,
    /// Units.
    pub units: u64,
    /// Units whose pass rate fell.
    pub worse: u64,
    /// Units whose pass rate rose.
    pub better: u64,
}

impl UnitCounts {
    /// So many units in words: `380 cases`, `12 cases (36 answers)`, `5 groups (40 cases)`.
    pub fn told(&self, pairs: u64) -> String {
        let plural = |n: u64, noun: &str| if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") };
        match self.kind {
            UnitKind::Case => plural(self.units, "pair"),
            UnitKind::RepeatedCase => format!("{} ({})", plural(self.units, "case"), plural(pairs, "answer")),
            UnitKind::Group => format!("{} ({})", plural(self.units, "group"), plural(pairs, "case")),
        }
    }
}

/// Differences of units.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// One for each unit; their mean is the mean over all pairs.
    differences: Differences,
    /// Sum and number of pairs of each unit; none where every unit is one pair.
    clusters: Option<(Clusters, UnitKind)>,
}

impl Drawn {
    /// The units of outcomes, and which way they changed.
    pub fn counts(&self, counts: &PairedCounts) -> UnitCounts {
        match &self.clusters {
            None => {
                let PairedCounts { regressed: worse, improved: better, .. } = *counts;
                UnitCounts { kind: UnitKind::Case, units: counts.pairs(), worse, better }
            }
            Some((clusters, kind)) => {
                let sums = clusters.sums();
                let (worse, better): (Vec<f64>, Vec<f64>) = sums.changed().iter().partition(|sum| **sum < 0.0);
                UnitCounts { kind: *kind, units: sums.pairs(), worse: worse.len() as u64, better: better.len() as u64 }
            }
        }
    }

    /// Could the change of outcomes be chance, and how large is it: McNemar's test and its interval of pairs, the sign-flip test
    /// of units and its interval where they are more.
    pub fn outcomes(&self, counts: &PairedCounts, how: Method) -> (Option<Significance>, Option<Magnitude>) {
        match &self.clusters {
            None => (significance(counts, how), outcome_magnitude(counts, how)),
            Some((clusters, _)) => clustered(clusters, RATES),
        }
    }

    /// The same of the mean, whose differences lie within `bounds`: the sign-flip test of cases or units and its interval.
    pub fn means(&self, bounds: (f64, f64)) -> (Option<Significance>, Option<Magnitude>) {
        match &self.clusters {
            None => valued(&self.differences, bounds),
            Some((clusters, _)) => clustered(clusters, bounds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(pairs: &[(u64, Option<&str>, f64)]) -> Drawn {
        let mut units = Units::default();
        pairs.iter().for_each(|(case, group, difference)| {
            units.push(Unit { case: *case, dataset: "a", group: *group }, *difference)
        });
        units.finish()
    }

    #[test]
    fn single_pairs_stay_what_they_are() {
        let found = drawn(&[(1, None, 0.5), (2, None, 0.0), (3, None, -1.0)]);
        assert!(found.clusters.is_none());
        assert_eq!((found.differences.pairs(), found.differences.mean()), (3, Some(-0.5 / 3.0)));
    }

    #[test]
    fn ten_answers_to_one_case_are_one_unit() {
        let answers: Vec<_> = (0..10).map(|_| (1, None, -1.0)).chain([(2, None, 0.0)]).collect();
        let found = drawn(&answers);
        assert_eq!(found.differences.pairs(), 2);
        assert!((found.differences.mean().unwrap() + 10.0 / 11.0).abs() < 1e-12);
        // One unit changed: either sign is as likely.
        let counts = PairedCounts { regressed: 10, both_passed: 1, ..PairedCounts::default() };
        let (significant, magnitude) = found.outcomes(&counts, Method::default());
        assert_eq!(significant.map(|s| s.significant), Some(false));
        let interval = magnitude.unwrap().interval.unwrap();
        assert!(interval.contains(0.0), "{interval:?}");
        let units = found.counts(&counts);
        assert_eq!((units.units, units.worse, units.better, units.kind), (2, 1, 0, UnitKind::RepeatedCase));
        assert_eq!(units.told(11), "2 cases (11 answers)");
        let answers = significance(&counts, Method::default()).unwrap();
        assert!(answers.significant, "what counting answers would have said");
    }

    #[test]
    fn groups_join_cases() {
        let found = drawn(&[(1, Some("x"), 1.0), (2, Some("y"), 0.0), (3, Some("x"), 1.0), (4, None, 0.5)]);
        assert_eq!(found.differences.pairs(), 3);
        let (clusters, kind) = found.clusters.as_ref().unwrap();
        assert_eq!((clusters.sums().changed().to_vec(), *kind), (vec![0.5, 2.0], UnitKind::Group));
    }
}
