//! Significance and magnitude: could it be chance, and how much is it. Two questions, two functions.

use serde::Serialize;

use super::PairedCounts;
use crate::stats::{ALPHA, Differences, Interval, Resampling, bootstrap_mean, mcnemar_exact};

/// Could the change of paired outcomes be chance?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Significance {
    /// McNemar's exact two-sided p-value.
    pub p_value: f64,
    /// Whether it is below 5 %.
    pub significant: bool,
}

/// How large is a difference (candidate minus base)?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Magnitude {
    /// The mean difference over the pairs.
    pub difference: f64,
    /// Its paired bootstrap interval at 95 %; none below two pairs.
    pub interval: Option<Interval>,
}

/// McNemar's exact test over the pairs; `None` where there are none.
pub fn significance(counts: &PairedCounts) -> Option<Significance> {
    if counts.pairs() == 0 {
        return None;
    }
    let p_value = mcnemar_exact(counts.regressed, counts.improved);
    Some(Significance { p_value, significant: p_value < ALPHA })
}

/// The mean difference with its interval; `None` where there are no pairs.
pub fn magnitude(differences: &Differences, how: Resampling) -> Option<Magnitude> {
    let difference = differences.mean()?;
    Some(Magnitude { difference, interval: bootstrap_mean(differences, how) })
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
