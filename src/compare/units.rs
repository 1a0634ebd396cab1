//! Paired differences by what was drawn: cases, or groups of cases.
//!
//! Several answers to one case, and cases of one group, hang together; counted one by one they would make chance look like
//! an effect. They are joined to one unit each. Where every unit is one pair, nothing changes.

use std::collections::BTreeMap;

use super::effect::{Magnitude, Significance, magnitude, permuted, significance};
use super::{Pair, PairedCounts};
use crate::stats::{Clusters, Differences, Resampling};

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
        if repeated.is_empty() && groups.is_empty() {
            return Drawn { differences: single, sums: None };
        }
        let mut clusters = Clusters::default();
        let zeros = single.pairs() - single.changed().len() as u64;
        single.changed().iter().for_each(|difference| clusters.push(*difference, 1));
        (0..zeros).for_each(|_| clusters.push(0.0, 1));
        repeated.into_iter().chain(groups.into_values()).for_each(|(sum, n)| clusters.push(sum, n));
        Drawn { differences: clusters.differences(), sums: Some(clusters.sums()) }
    }
}

/// Differences of units.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// One for each unit; their mean is the mean over all pairs.
    differences: Differences,
    /// By unit, the sum over its pairs; none where every unit is one pair.
    sums: Option<Differences>,
}

impl Drawn {
    /// Could the change of outcomes be chance? McNemar's test of pairs, a permutation of units where they are more.
    pub fn outcome_significance(&self, counts: &PairedCounts) -> Option<Significance> {
        match &self.sums {
            None => significance(counts),
            Some(sums) => permuted(sums),
        }
    }

    /// Could the change of the mean be chance?
    pub fn mean_significance(&self) -> Option<Significance> {
        permuted(self.sums.as_ref().unwrap_or(&self.differences))
    }

    /// How large is the difference of the pass rates? Of pairs it follows from their counts alone, wherever it is asked.
    pub fn outcome_magnitude(&self, counts: &PairedCounts, how: Resampling) -> Option<Magnitude> {
        match &self.sums {
            None => magnitude(&Differences::of_outcomes(counts.regressed, counts.improved, counts.pairs()), how),
            Some(_) => magnitude(&self.differences, how),
        }
    }

    /// How large is the difference of the means?
    pub fn mean_magnitude(&self, how: Resampling) -> Option<Magnitude> {
        magnitude(&self.differences, how)
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
        assert!(found.sums.is_none());
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
        let found = found.outcome_significance(&counts).unwrap();
        assert_eq!((found.p_value, found.significant), (1.0, false));
        assert!(significance(&counts).unwrap().significant, "what counting answers would have said");
    }

    #[test]
    fn groups_join_cases() {
        let found = drawn(&[(1, Some("x"), 1.0), (2, Some("y"), 0.0), (3, Some("x"), 1.0), (4, None, 0.5)]);
        assert_eq!(found.differences.pairs(), 3);
        assert_eq!(found.sums.as_ref().unwrap().changed().to_vec(), [0.5, 2.0]);
    }
}
