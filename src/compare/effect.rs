//! Significance and magnitude: could it be chance, and how much is it. Two questions, one family of methods: an interval excludes
//! 0 exactly where its test's p-value is below 5 %.

use serde::{Serialize, Serializer};

use super::PairedCounts;
use crate::rule::McNemarKind;
use crate::stats::{
    ALPHA, CONFIDENCE, Clusters, Detectable as Power, Differences, Draws, Interval, McNemar, TwoSample, UnitTest,
    mcnemar_detectable, normal_quantile, pair_test, smallest_detectable, tango, unit_test, with_unseen,
};

/// The chance with which the smallest detectable difference is found.
const POWER: f64 = 0.8;
/// Draws of a sign-flip test, and how many signs they may take together.
const DRAWS: u32 = 9_999;
const SIGNS: usize = 200_000_000;
/// The differences of pass rates that are possible.
pub(super) const RATES: (f64, f64) = (-1.0, 1.0);

/// Which methods decide.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Method {
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
    /// The mid-p sign-flip test of means, each case a unit.
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
            Self::Permutation => "sign-flip",
            Self::SignFlip => "clustered sign-flip",
        }
    }
}

/// How large is a difference (candidate minus base)?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Magnitude {
    /// The mean difference over the pairs.
    pub difference: f64,
    /// Its interval at 95 %, of the family of the test that decides; none where no pair differs.
    pub interval: Option<Interval>,
    /// What the sample could have shown at 5 %.
    pub detectable: Detectable,
    /// What else gates ask.
    #[serde(skip)]
    pub sample: Sample,
}

/// What gates ask of a difference beside its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// The interval at 95 % in which what was not seen counts: non-inferiority is judged by it.
    pub covering: Option<Interval>,
    /// How many units fell, and how many rose.
    pub moved: (u64, u64),
    /// What the smallest detectable difference follows from.
    pub(super) design: Design,
}

/// What the smallest detectable difference follows from, at any level of the test.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Design {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Paired outcomes: how many pairs, how many of them differ, and the test.
    Outcomes(u64, u64, McNemar),
    /// Units: how many of them differ, the sum of the sizes of their sums, that of their squares, and how many pairs there are.
    Units { changed: u64, sizes: f64, squares: f64, pairs: f64 },
    /// Two samples: the standard error of the difference, and the largest difference possible.
    Samples(f64, f64),
}

impl Design {
    /// The smallest true difference that is significant at a level `alpha` with a chance of 80 %: by the exact power of McNemar's
    /// test, else by the normal approximation (of units, with the variance that the sign-flip test has), which is none where it
    /// is above what is attainable: all units that differ in one direction, or the bounds.
    pub fn detectable(self, alpha: f64) -> Detectable {
        let normal = |variance: f64, most: f64, beyond: Detectable| {
            let effect = smallest_detectable(variance, 1, alpha, POWER);
            effect.map_or(Detectable::Unknown, |effect| if effect > most { beyond } else { Detectable::Effect(effect) })
        };
        match self {
            Self::Unknown | Self::Units { changed: 0, .. } => Detectable::Unknown,
            Self::Outcomes(pairs, differing, test) => match mcnemar_detectable(pairs, differing, test, alpha, POWER) {
                Power::Effect(effect) => Detectable::Effect(effect),
                Power::Never => Detectable::Never,
                Power::Beyond => Detectable::Beyond,
                Power::Unknown => Detectable::Unknown,
            },
            // Mid-p of units that all change one way: 2^-units.
            Self::Units { changed, .. } if 0.5_f64.powf(changed as f64) >= alpha => Detectable::Never,
            Self::Units { sizes, squares, pairs, .. } => {
                normal(squares / (pairs * pairs), sizes / pairs, Detectable::Beyond)
            }
            Self::Samples(error, most) => normal(error * error, most, Detectable::TooFew),
        }
    }
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
    /// None: so few cases are compared that not even the largest change possible would be found with this chance.
    TooFew,
    /// Unknown: no pair differs, or nothing is compared.
    Unknown,
}

impl Detectable {
    /// The difference, where there is one.
    pub fn effect(self) -> Option<f64> {
        match self {
            Self::Effect(effect) => Some(effect),
            Self::Never | Self::Beyond | Self::TooFew | Self::Unknown => None,
        }
    }

    /// What it says about a change that was not found, where it says anything.
    pub fn told(self, figure: impl Fn(f64) -> String) -> Option<String> {
        match self {
            Self::Effect(effect) => Some(format!("a change of {} would have been found with 80 %", figure(effect))),
            Self::Never => Some("so few pairs differ that no change could be significant".into()),
            Self::Beyond => Some("so few pairs differ that no change would have been found with 80 %".into()),
            Self::TooFew => Some("so few cases are compared that no change would have been found with 80 %".into()),
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

/// The difference of paired pass rates with the conditional interval that goes with [`significance`], Tango's score interval for
/// non-inferiority, and the exact power of that test; `None` where there are no pairs.
pub fn outcome_magnitude(counts: &PairedCounts, how: Method) -> Option<Magnitude> {
    let PairedCounts { regressed, improved, .. } = *counts;
    let (pairs, test) = (counts.pairs(), how.test());
    if pairs == 0 {
        return None;
    }
    let difference = (improved as f64 - regressed as f64) / pairs as f64;
    let covering = tango(regressed, improved, pairs, CONFIDENCE);
    let covering = covering.and_then(|score| with_unseen(score, difference, pairs, RATES, CONFIDENCE));
    let design = Design::Outcomes(pairs, regressed + improved, test);
    Some(Magnitude {
        difference,
        interval: test.interval(regressed, improved, pairs, CONFIDENCE),
        detectable: design.detectable(ALPHA),
        sample: Sample { covering, moved: (regressed, improved), design },
    })
}

/// The mid-p sign-flip test of units and the intervals that go with it; nothing where there are no pairs. `bounds` are the least
/// and the largest difference possible.
pub fn clustered(clusters: &Clusters, bounds: (f64, f64)) -> (Option<Significance>, Option<Magnitude>) {
    let found = unit_test(clusters, draws(clusters.len()), bounds);
    let sums: Vec<f64> = clusters.iter().map(|(sum, _)| sum).collect();
    told(found, clusters.mean(), &sums, clusters.pairs(), TestKind::SignFlip)
}

/// The same of values, each pair a unit.
pub fn valued(differences: &Differences, bounds: (f64, f64)) -> (Option<Significance>, Option<Magnitude>) {
    let changed = differences.changed().to_vec();
    let found = pair_test(differences, draws(changed.len()), bounds);
    told(found, differences.mean(), &changed, differences.pairs(), TestKind::Permutation)
}

/// So many draws that the p-value is sharp near 5 %, fewer where each is long.
fn draws(signs: usize) -> Draws {
    let draws = (SIGNS / signs.max(1)).clamp(499, DRAWS as usize) as u32;
    Draws { draws, seed: 0, level: CONFIDENCE }
}

fn told(
    found: Option<UnitTest>,
    mean: Option<f64>,
    sums: &[f64],
    pairs: u64,
    test: TestKind,
) -> (Option<Significance>, Option<Magnitude>) {
    let (Some(UnitTest { p_value, interval, covering }), Some(difference)) = (found, mean) else {
        return (None, None);
    };
    // Without bounds few units leave an end open, and an open end is none.
    let closed = |interval: &Interval| interval.low.is_finite() && interval.high.is_finite();
    let (interval, covering) = (interval.filter(closed), covering.filter(closed));
    let count = |holds: fn(&f64) -> bool| sums.iter().filter(|sum| holds(sum)).count() as u64;
    let moved = (count(|sum| *sum < 0.0), count(|sum| *sum > 0.0));
    let design = Design::Units {
        changed: moved.0 + moved.1,
        sizes: sums.iter().map(|sum| sum.abs()).sum(),
        squares: sums.iter().map(|sum| sum * sum).sum(),
        pairs: pairs as f64,
    };
    let sample = Sample { covering, moved, design };
    let size = Magnitude { difference, interval, detectable: design.detectable(ALPHA), sample };
    (Some(Significance { p_value, significant: p_value < ALPHA, test }), Some(size))
}

/// Of two samples that share no cases: from the interval of their difference at 95 %, and the largest difference possible.
pub(super) fn unpaired(found: &TwoSample, most: f64) -> Sample {
    let design = normal_quantile(1.0 - ALPHA / 2.0).map_or(Design::Unknown, |quantile| {
        Design::Samples((found.interval.high - found.interval.low) / 2.0 / quantile, most)
    });
    Sample { covering: Some(found.interval), moved: (0, 0), design }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_paired_says_nothing() {
        assert_eq!(significance(&PairedCounts::default(), Method::default()), None);
        assert_eq!(outcome_magnitude(&PairedCounts::default(), Method::default()), None);
        assert_eq!(valued(&Differences::default(), RATES), (None, None));
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

    /// Five units that differ: 2^-5 is below 5 %, but not even all of them in one direction would be found with 80 %; at a third
    /// of 5 %, Holm's first level of three rules, nothing could be significant.
    #[test]
    fn few_units_are_told_at_the_level_that_decides() {
        let mut clusters = Clusters::default();
        (0..12).for_each(|at| clusters.push(if at < 5 { -3.0 } else { 0.0 }, 3));
        let design = clustered(&clusters, RATES).1.unwrap().sample.design;
        assert_eq!((design.detectable(ALPHA), design.detectable(ALPHA / 3.0)), (Detectable::Beyond, Detectable::Never));
        let outcomes = Design::Outcomes(100, 12, McNemar::MidP);
        let (alone, tenth) = (outcomes.detectable(ALPHA), outcomes.detectable(ALPHA / 10.0));
        assert!(matches!(alone, Detectable::Effect(effect) if (effect - 0.0914).abs() < 1e-3), "{alone:?}");
        assert!(tenth.effect().is_none_or(|effect| effect > 0.1), "{tenth:?}");
        // Two samples: never more than the rates leave room for.
        let few = unpaired(&crate::stats::two_rates((1, 2), (1, 2), 0.95).unwrap(), 1.0).design.detectable(ALPHA);
        assert_eq!(few, Detectable::TooFew);
        assert!(few.told(|effect| effect.to_string()).unwrap().contains("no change would have been found"));
    }

    /// Five unchanged cases, and one of 50 that fell, say nothing of small margins.
    #[test]
    fn little_evidence_covers_little() {
        let low = |regressed, both_passed| {
            let counts = PairedCounts { both_passed, regressed, ..PairedCounts::default() };
            outcome_magnitude(&counts, Method::default()).unwrap().sample.covering.unwrap().low
        };
        assert!(low(0, 5) < -0.5 && low(1, 49) < -0.1 && low(0, 80) > -0.05, "{} {}", low(0, 5), low(1, 49));
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
            let how = Method { mcnemar };
            if let (Some(found), Some(size)) = (significance(&counts, how), outcome_magnitude(&counts, how)) {
                prop_assert_eq!(size.interval.is_none(), regressed + improved == 0);
                let Some(interval) = size.interval else { return Ok(()) };
                prop_assert_eq!(found.significant, !interval.contains(0.0), "{:?} {:?}", found, interval);
                prop_assert!(interval.low <= size.difference && size.difference <= interval.high);
            }
        }

        #[test]
        fn agrees_for_means(values in proptest::collection::vec(-100i32..=60, 1..40), same in 0u64..20) {
            let mut differences = Differences::default();
            values.iter().for_each(|value| differences.push(f64::from(*value) / 100.0));
            (0..same).for_each(|_| differences.push(0.0));
            let (found, size) = valued(&differences, RATES);
            let (found, size) = (found.unwrap(), size.unwrap());
            prop_assert_eq!(size.interval.is_none(), differences.changed().is_empty());
            if let Some(interval) = size.interval {
                prop_assert_eq!(found.significant, !interval.contains(0.0), "{:?} {:?}", found, interval);
            }
            prop_assert!(size.sample.moved.0 + size.sample.moved.1 == differences.changed().len() as u64);
        }

        /// What could have been found is attainable: all units that differ, in one direction.
        #[test]
        fn what_is_detectable_is_attainable(units in proptest::collection::vec((-5i32..=5, 5u64..6), 1..30)) {
            let mut clusters = Clusters::default();
            units.iter().for_each(|(sum, n)| clusters.push(f64::from(*sum), *n));
            let most: f64 = clusters.iter().map(|(sum, _)| sum.abs()).sum::<f64>() / clusters.pairs() as f64;
            let changed = clusters.iter().filter(|(sum, _)| *sum != 0.0).count();
            let design = clustered(&clusters, RATES).1.unwrap().sample.design;
            for alpha in [0.05, 0.05 / 3.0, 0.005] {
                match design.detectable(alpha) {
                    Detectable::Effect(effect) => prop_assert!(effect <= most && 0.5_f64.powf(changed as f64) < alpha),
                    Detectable::Never => prop_assert!(0.5_f64.powf(changed as f64) >= alpha),
                    Detectable::Unknown => prop_assert_eq!(changed, 0),
                    other => prop_assert_eq!(other, Detectable::Beyond),
                }
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
