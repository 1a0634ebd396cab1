//! Significance and magnitude: could it be chance, and how much is it. Two questions, two functions.

use serde::Serialize;

use super::PairedCounts;
use crate::stats::{
    ALPHA, Differences, Interval, Resampling, bootstrap_mean, mcnemar_exact, normal_quantile, sign_flip,
    smallest_detectable,
};

/// The chance with which the smallest detectable difference is found.
const POWER: f64 = 0.8;
/// Draws of a permutation test, and how many signs they may take together.
const PERMUTATIONS: u32 = 9_999;
const SIGNS: usize = 200_000_000;

/// Could the change of paired outcomes be chance?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Significance {
    /// Two-sided p-value: of McNemar's exact test for outcomes, of a paired permutation for means and for units of several
    /// answers.
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
    /// McNemar's exact test of outcomes.
    McNemar,
    /// The permutation of signs: of means, and of units of several answers.
    Permutation,
}

/// How large is a difference (candidate minus base)?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Magnitude {
    /// The mean difference over the pairs.
    pub difference: f64,
    /// Its paired bootstrap interval at 95 %; none below two pairs.
    pub interval: Option<Interval>,
    /// The smallest true difference that as many such pairs show as significant with a chance of 80 %; none where no pair
    /// differs.
    pub detectable: Option<f64>,
}

/// McNemar's exact test over the pairs; `None` where there are none.
pub fn significance(counts: &PairedCounts) -> Option<Significance> {
    if counts.pairs() == 0 {
        return None;
    }
    let p_value = mcnemar_exact(counts.regressed, counts.improved);
    Some(Significance { p_value, significant: p_value < ALPHA, test: TestKind::McNemar })
}

/// The paired permutation test of a mean difference; `None` where there are no pairs.
pub fn permuted(differences: &Differences) -> Option<Significance> {
    // So many draws that the p-value is sharp near 5 %, fewer where each is long.
    let draws = (SIGNS / differences.changed().len().max(1)).clamp(499, PERMUTATIONS as usize) as u32;
    let p_value = sign_flip(differences, draws, 0)?;
    Some(Significance { p_value, significant: p_value < ALPHA, test: TestKind::Permutation })
}

/// The mean difference with its interval; `None` where there are no pairs.
pub fn magnitude(differences: &Differences, how: Resampling) -> Option<Magnitude> {
    let difference = differences.mean()?;
    let detectable = differences
        .variance()
        .filter(|variance| *variance > 0.0)
        .and_then(|variance| smallest_detectable(variance, differences.pairs(), ALPHA, POWER));
    Some(Magnitude { difference, interval: bootstrap_mean(differences, how), detectable })
}

/// The same for two samples that share no cases, from the interval of their difference at 95 %.
pub fn detectable_unpaired(interval: &Interval) -> Option<f64> {
    let error = (interval.high - interval.low) / 2.0 / normal_quantile(1.0 - ALPHA / 2.0)?;
    smallest_detectable(error * error, 1, ALPHA, POWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_paired_says_nothing() {
        assert_eq!(significance(&PairedCounts::default()), None);
        assert_eq!(magnitude(&Differences::default(), Resampling::default()), None);
    }

    #[test]
    fn significance_and_magnitude_are_independent() {
        // Many pairs: a tiny change that is certain. Few pairs: a large one that may be chance.
        let many = PairedCounts { both_passed: 99_000, regressed: 40, improved: 5, both_failed: 955 };
        let few = PairedCounts { both_passed: 2, regressed: 2, improved: 0, both_failed: 0 };
        let size = |c: &PairedCounts| {
            magnitude(&Differences::of_outcomes(c.regressed, c.improved, c.pairs()), Resampling::default()).unwrap()
        };
        assert!(significance(&many).unwrap().significant && size(&many).difference.abs() < 0.001);
        assert!(!significance(&few).unwrap().significant && size(&few).difference == -0.5);
    }
}
