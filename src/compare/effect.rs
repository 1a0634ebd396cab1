//! Significance and magnitude: could it be chance, and how much is it. Two questions, two functions, one family of methods: an
//! interval of pass rates excludes 0 exactly where its test's p-value is below 5 %.

use serde::{Serialize, Serializer};

use super::PairedCounts;
use crate::rule::McNemarKind;
use crate::stats::{
    ALPHA, CONFIDENCE, Clusters, Detectable as Power, Differences, Draws, Interval, McNemar, Resampling,
    bootstrap_mean, mcnemar_detectable, normal_quantile, sign_flip, smallest_detectable, unit_test,
};

/// The chance with which the smallest detectable difference is found.
const POWER: f64 = 0.8;
/// Draws of a permutation test, and how many signs they may take together.
const PERMUTATIONS: u32 = 9_999;
const SIGNS: usize = 200_000_000;

/// Which methods decide.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Method {
    /// How bootstrap intervals of means are drawn.
    pub resampling: Resampling,
    /// The variant of McNemar's test.
    pub mcnemar: McNemarKind,
}

impl Method {
    fn test(self) -> McNemar {
        match self.mcnemar {
            McNemarKind::MidP => McNemar::MidP,
            McNemarKind::Exact => McNemar::Exact,
        }
    }
}

/// Could the change of paired outcomes be chance?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Significance {
    /// Two-sided p-value.
    pub p_value: f64,
    /// Whether it is below 5 %.
    pub significant: bool,
    /// Which test it is of.
    pub test: TestKind,
}

/// A test of paired differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// McNemar's mid-p test of outcomes.
    McNemar,
    /// McNemar's exact test of outcomes.
    McNemarExact,
    /// The permutation of signs of means.
    Permutation,
    /// The mid-p sign-flip test of units of several pairs: cases with several answers, groups of cases.
    SignFlip,
}

impl TestKind {
    /// The test in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::McNemar => "mid-p McNemar",
            Self::McNemarExact => "exact McNemar",
            Self::Permutation => "permutation",
            Self::SignFlip => "clustered sign-flip",
        }
    }
}

/// How large is a difference (candidate minus base)?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Magnitude {
    /// The mean difference over the pairs.
    pub difference: f64,
    /// Its interval at 95 %, of the family of the test that decides; none where it is undefined.
    pub interval: Option<Interval>,
    /// What the sample could have shown.
    pub detectable: Detectable,
}

/// The smallest true difference that such a sample shows as significant with a chance of 80 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Detectable {
    /// This one.
    Effect(f64),
    /// None: so few pairs differ that no change of them could be significant.
    Never,
    /// None: not even all pairs that differ, in one direction, would be found with this chance.
    Beyond,
    /// Unknown: no pair differs, or nothing is compared.
    Unknown,
}

impl Detectable {
    /// The difference, where there is one.
    pub fn effect(self) -> Option<f64> {
        match self {
            Self::Effect(effect) => Some(effect),
            Self::Never | Self::Beyond | Self::Unknown => None,
        }
    }

    /// What it says about a change that was not found, where it says anything.
    pub fn told(self, number: impl Fn(f64) -> String) -> Option<String> {
        match self {
            Self::Effect(effect) => Some(format!("a change of {} would have been found with 80 %", number(effect))),
            Self::Never => Some("so few pairs differ that no change could be significant".into()),
            Self::Beyond => Some("so few pairs differ that no change would have been found with 80 %".into()),
            Self::Unknown => None,
        }
    }
}

impl Serialize for Detectable {
    /// A number, or null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.effect().serialize(serializer)
    }
}

/// McNemar's test over the pairs; `None` where there are none.
pub fn significance(counts: &PairedCounts, how: Method) -> Option<Significance> {
    if counts.pairs() == 0 {
        return None;
    }
    let p_value = how.test().p_value(counts.regressed, counts.improved);
    let test = match how.mcnemar {
        McNemarKind::MidP => TestKind::McNemar,
        McNemarKind::Exact => TestKind::McNemarExact,
    };
    Some(Significance { p_value, significant: p_value < ALPHA, test })
}

/// The difference of paired pass rates with the conditional interval that goes with [`significance`], and the exact power of
/// that test; `None` where there are no pairs.
pub fn outcome_magnitude(counts: &PairedCounts, how: Method) -> Option<Magnitude> {
    let PairedCounts { regressed, improved, .. } = *counts;
    let (pairs, test) = (counts.pairs(), how.test());
    if pairs == 0 {
        return None;
    }
    let difference = (improved as f64 - regressed as f64) / pairs as f64;
    let interval = test.interval(regressed, improved, pairs, CONFIDENCE);
    let detectable = match mcnemar_detectable(pairs, regressed + improved, test, ALPHA, POWER) {
        Power::Effect(effect) => Detectable::Effect(effect),
        Power::Never => Detectable::Never,
        Power::Beyond => Detectable::Beyond,
        Power::Unknown => Detectable::Unknown,
    };
    Some(Magnitude { difference, interval, detectable })
}

/// The mid-p sign-flip test of units and the interval that goes with it, within bounds; nothing where there are no pairs.
pub fn clustered(clusters: &Clusters, bounds: (f64, f64)) -> (Option<Significance>, Option<Magnitude>) {
    let draws = Draws { draws: permutations(clusters.len()), seed: 0, level: CONFIDENCE };
    let (Some(found), Some(difference)) = (unit_test(clusters, draws, bounds), clusters.mean()) else {
        return (None, None);
    };
    let p_value = found.p_value;
    let significance = Significance { p_value, significant: p_value < ALPHA, test: TestKind::SignFlip };
    let detectable = match clusters.sums().changed().len() {
        0 => Detectable::Unknown,
        // Mid-p of units that all change one way: 2^-units.
        few @ 1..=4 if 0.5_f64.powi(few as i32) >= ALPHA => Detectable::Never,
        _ => approximate(&clusters.differences()),
    };
    (Some(significance), Some(Magnitude { difference, interval: found.interval, detectable }))
}

/// The paired permutation test of a mean difference; `None` where there are no pairs.
pub fn permuted(differences: &Differences) -> Option<Significance> {
    let p_value = sign_flip(differences, permutations(differences.changed().len()), 0)?;
    Some(Significance { p_value, significant: p_value < ALPHA, test: TestKind::Permutation })
}

/// So many draws that the p-value is sharp near 5 %, fewer where each is long.
fn permutations(signs: usize) -> u32 {
    (SIGNS / signs.max(1)).clamp(499, PERMUTATIONS as usize) as u32
}

/// The mean difference with its bootstrap interval; `None` where there are no pairs.
pub fn magnitude(differences: &Differences, how: Resampling) -> Option<Magnitude> {
    let difference = differences.mean()?;
    Some(Magnitude { difference, interval: bootstrap_mean(differences, how), detectable: approximate(differences) })
}

/// By the normal approximation.
fn approximate(differences: &Differences) -> Detectable {
    let variance = differences.variance().filter(|variance| *variance > 0.0);
    let effect = variance.and_then(|variance| smallest_detectable(variance, differences.pairs(), ALPHA, POWER));
    effect.map_or(Detectable::Unknown, Detectable::Effect)
}

/// The same for two samples that share no cases, from the interval of their difference at 95 %.
pub fn detectable_unpaired(interval: &Interval) -> Detectable {
    let effect = normal_quantile(1.0 - ALPHA / 2.0).and_then(|quantile| {
        let error = (interval.high - interval.low) / 2.0 / quantile;
        smallest_detectable(error * error, 1, ALPHA, POWER)
    });
    effect.map_or(Detectable::Unknown, Detectable::Effect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_paired_says_nothing() {
        assert_eq!(significance(&PairedCounts::default(), Method::default()), None);
        assert_eq!(outcome_magnitude(&PairedCounts::default(), Method::default()), None);
        assert_eq!(magnitude(&Differences::default(), Resampling::default()), None);
        assert_eq!(clustered(&Clusters::default(), (-1.0, 1.0)), (None, None));
    }

    #[test]
    fn significance_and_magnitude_are_independent() {
        // Many pairs: a tiny change that is certain. Few pairs: a large one that may be chance.
        let many = PairedCounts { both_passed: 99_000, regressed: 40, improved: 5, both_failed: 955 };
        let few = PairedCounts { both_passed: 2, regressed: 2, improved: 0, both_failed: 0 };
        let significant = |counts| significance(counts, Method::default()).unwrap().significant;
        let size = |counts| outcome_magnitude(counts, Method::default()).unwrap();
        assert!(significant(&many) && size(&many).difference.abs() < 0.001);
        assert!(!significant(&few) && size(&few).difference == -0.5);
    }

    /// What the README of version 0.1 showed: -0.0184 (-0.0390 to -0.0053) with p = 0.0654.
    #[test]
    fn interval_and_p_value_never_contradict_each_other() {
        let readme = PairedCounts { both_passed: 366, regressed: 9, improved: 2, both_failed: 3 };
        let (found, size) = (significance(&readme, Method::default()), outcome_magnitude(&readme, Method::default()));
        assert_eq!(found.unwrap().significant, !size.unwrap().interval.unwrap().contains(0.0));
    }

    #[test]
    fn few_cases_say_that_no_change_could_be_significant() {
        let counts = PairedCounts { both_passed: 11, regressed: 1, ..PairedCounts::default() };
        let detectable = outcome_magnitude(&counts, Method::default()).unwrap().detectable;
        assert_eq!(detectable, Detectable::Never);
        let told = detectable.told(|effect| effect.to_string()).unwrap();
        assert!(told.contains("no change could be significant"), "{told}");
    }

    proptest! {
        #[test]
        fn agrees_everywhere(regressed in 0u64..60, improved in 0u64..60, same in 0u64..400, exact in any::<bool>()) {
            let mcnemar = if exact { McNemarKind::Exact } else { McNemarKind::MidP };
            let counts = PairedCounts { both_passed: same, regressed, improved, both_failed: 0 };
            let how = Method { mcnemar, ..Method::default() };
            if let (Some(found), Some(size)) = (significance(&counts, how), outcome_magnitude(&counts, how)) {
                let interval = size.interval.unwrap();
                prop_assert_eq!(found.significant, !interval.contains(0.0), "{:?} {:?}", found, interval);
                prop_assert!(interval.low <= size.difference && size.difference <= interval.high);
            }
        }

        #[test]
        fn agrees_for_units(units in proptest::collection::vec((-5i32..=5, 1u64..6), 1..14)) {
            let mut clusters = Clusters::default();
            units.iter().for_each(|(sum, n)| clusters.push(f64::from(*sum).clamp(-(*n as f64), *n as f64), *n));
            let (found, size) = clustered(&clusters, (-1.0, 1.0));
            if let Some(interval) = size.unwrap().interval {
                prop_assert_eq!(found.unwrap().significant, !interval.contains(0.0), "{:?} {:?}", found, interval);
            }
        }
    }
}
