//! McNemar's test for paired pass/fail outcomes, exact and mid-p, with the interval that goes with it.

use super::binomial::{at_least, ln_mass, mass};
use super::interval::{Interval, beyond};

/// Which of McNemar's tests, and which interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum McNemar {
    /// The outcome that was seen counts half: a false alarm rate near the level, where the exact test's is far below it.
    #[default]
    MidP,
    /// Never above the level, whatever the sample.
    Exact,
}

impl McNemar {
    /// The two-sided p-value, in [0, 1]: [`mcnemar_mid_p`] or [`mcnemar_exact`].
    pub fn p_value(self, regressed: u64, improved: u64) -> f64 {
        match self {
            Self::MidP => mcnemar_mid_p(regressed, improved),
            Self::Exact => mcnemar_exact(regressed, improved),
        }
    }

    /// Interval of the difference (improved - regressed) / `pairs` at a confidence `level`, in [-1, 1]: that of the share θ of
    /// improved among the pairs that differ, from the two one-sided binomial tests at (1 - level)/2 (C. J. Clopper and E. S.
    /// Pearson, 1934; of mid-p, H. O. Lancaster, 1961), as (2θ - 1)(regressed + improved) / pairs. The number of pairs that
    /// differ is taken as given: as an interval of the difference of two rates it is too narrow the more the pairs differ in one
    /// direction (at a tenth that differ, nine of ten in one direction, it covers two of three times where it says 95 %);
    /// [`super::tango`] has one that is not.
    ///
    /// 0 lies outside exactly where the p-value is below 1 - level (to 15 digits: 0.05 at 0.95). `None` where no pair
    /// differs, for more that differ than there are, or a level outside (0, 1).
    pub fn interval(self, regressed: u64, improved: u64, pairs: u64, level: f64) -> Option<Interval> {
        let alpha = beyond(level)?;
        let differing = regressed.checked_add(improved).filter(|n| *n > 0 && *n <= pairs)?;
        let scale = differing as f64 / pairs as f64;
        let low = (2.0 * self.least_share(improved, differing, alpha / 2.0) - 1.0) * scale;
        let high = (1.0 - 2.0 * self.least_share(regressed, differing, alpha / 2.0)) * scale;
        let significant = self.p_value(regressed, improved) < alpha;
        Some(Interval { low, high }.agreeing(improved > regressed, significant))
    }

    /// The θ at which `k` or more of `n` have the probability `tail` (mid-p: `k` itself half of it); 0 for a `k` of 0.
    fn least_share(self, k: u64, n: u64, tail: f64) -> f64 {
        if k == 0 {
            return 0.0;
        }
        let above = |theta: f64| {
            let chances = (theta, 1.0 - theta);
            let own = if self == Self::MidP { 0.5 * mass(k, n, chances) } else { 0.0 };
            at_least(k, n, chances) - own
        };
        let (mut low, mut high) = (0.0, 1.0);
        loop {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high || high - low < 1e-16 {
                return middle;
            }
            if above(middle) < tail { low = middle } else { high = middle }
        }
    }
}

/// The two-sided exact p-value for `regressed` pairs that passed before only and `improved` pairs that pass now only.
///
/// Under "no change" each pair that differs is a fair coin, so this is the exact two-sided binomial test with p = 1/2
/// (Q. McNemar, 1947; exact form as in statsmodels' `mcnemar(exact=True)`). Pairs that agree carry no information and
/// do not enter. No differing pair gives 1.
pub fn mcnemar_exact(regressed: u64, improved: u64) -> f64 {
    doubled_tail(regressed, improved, 1.0)
}

/// The two-sided mid-p-value of the same: 2 (P(X < k) + P(X = k) / 2) for X ~ Binomial(regressed + improved, 1/2) and the
/// smaller count k (M. W. Fagerland, S. Lydersen and P. Laake, "The McNemar test for binary matched-pairs data: mid-p and
/// asymptotic are better than exact conditional", 2013). Equal counts, none among them, give 1.
pub fn mcnemar_mid_p(regressed: u64, improved: u64) -> f64 {
    doubled_tail(regressed, improved, 0.5)
}

/// 2 (P(X < k) + `own` P(X = k)), at most 1. Terms are added as ratios to the largest one, whose logarithm comes from Loader's
/// saddle-point form: nothing overflows and nothing cancels, whatever the counts.
fn doubled_tail(regressed: u64, improved: u64, own: f64) -> f64 {
    let n = regressed + improved;
    let k = regressed.min(improved);
    if 2 * k == n {
        return 1.0;
    }
    let mut sum = own;
    let mut term = 1.0;
    let mut i = k;
    // P(X = i - 1) / P(X = i) = i / (n - i + 1) < 1 below the middle: stop when nothing can change any more.
    while i > 0 && term > sum * 1e-18 {
        term *= i as f64 / (n - i + 1) as f64;
        sum += term;
        i -= 1;
    }
    (2.0 * libm::exp(ln_mass(k, n, (0.5, 0.5))) * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_scipy_and_statsmodels() {
        let known = [
            (0, 0, 1.0),
            (1, 0, 1.0),
            (5, 1, 0.21875),
            (10, 10, 1.0),
            (10, 11, 1.0),
            (121, 59, 4.4344492637551645e-06),
            (25, 60, 0.00018679938527835335),
            (9_800, 10_100, 0.034040990688418996),
            (0, 40, 1.8189894035458565e-12),
            (20_000, 20_700, 0.0005304435788066954),
            (3, 1_000, 3.923720417925807e-294),
            (30_000, 20_000, 0.0),
        ];
        for (b, c, p) in known {
            for got in [mcnemar_exact(b, c), mcnemar_exact(c, b)] {
                assert!((got - p).abs() <= 1e-11 * p, "{b} {c}: {got:e} {p:e}");
            }
        }
    }

    /// 2 * (scipy.stats.binom.cdf(k, n, 0.5) - 0.5 * scipy.stats.binom.pmf(k, n, 0.5)).
    #[test]
    fn mid_p_agrees_with_scipy() {
        let known = [
            (0, 0, 1.0),
            (1, 0, 0.5),
            (10, 10, 1.0),
            (5, 0, 0.03125000000000003),
            (5, 1, 0.12499999999999997),
            (10, 11, 0.8318119049072265),
            (121, 59, 3.2666467957745733e-06),
            (25, 60, 0.00013037942991199578),
            (9800, 10100, 0.0334515402833643),
            (0, 40, 9.09494701772929e-13),
            (20000, 20700, 0.000520832500055972),
        ];
        for (b, c, p) in known {
            for got in [mcnemar_mid_p(b, c), McNemar::default().p_value(c, b)] {
                assert!((got - p).abs() <= 1e-11 * p, "{b} {c}: {got:e} {p:e}");
            }
        }
        // Half of the probability of the counts themselves apart from the exact test, at any size.
        let (exact, mid) = (mcnemar_exact(5_000_000, 5_004_000), mcnemar_mid_p(5_000_000, 5_004_000));
        let own = mass(5_000_000, 10_004_000, (0.5, 0.5));
        assert!((exact - mid - own).abs() < 1e-12 && own > 1e-4, "{exact} {mid} {own}");
    }

    /// The roots of the tails by scipy.optimize.brentq.
    #[test]
    fn intervals_agree_with_scipy() {
        let known = [
            (McNemar::MidP, 5, 0, 12, 0.95, -0.4166666666666667, -0.04106689304421568),
            (McNemar::Exact, 5, 0, 12, 0.95, -0.4166666666666667, 0.01818645842081787),
            (McNemar::MidP, 0, 5, 12, 0.95, 0.04106689304421568, 0.4166666666666667),
            (McNemar::Exact, 0, 5, 12, 0.95, -0.01818645842081787, 0.4166666666666667),
            (McNemar::MidP, 3, 3, 40, 0.95, -0.10601016010959806, 0.10601016010959806),
            (McNemar::Exact, 3, 3, 40, 0.95, -0.11456482537289242, 0.11456482537289242),
            (McNemar::MidP, 30, 12, 500, 0.95, -0.05628831314811499, -0.01089498614558302),
            (McNemar::Exact, 30, 12, 500, 0.95, -0.05759183358335478, -0.009099081044261229),
            (McNemar::MidP, 121, 59, 1319, 0.95, -0.06491287931175505, -0.027596698418730307),
            (McNemar::Exact, 121, 59, 1319, 0.95, -0.06556212201746843, -0.02687044890767241),
            (McNemar::MidP, 25, 60, 100, 0.99, 0.11730569487456217, 0.5444648119295431),
            (McNemar::Exact, 25, 60, 100, 0.99, 0.10820618160957704, 0.5513706244559534),
            (McNemar::MidP, 9800, 10100, 1000000, 0.95, 2.351071036821495e-05, 0.0005764020297791253),
            (McNemar::Exact, 9800, 10100, 1000000, 0.95, 2.2517594105523656e-05, 0.000577394728573289),
            (McNemar::MidP, 0, 1, 1, 0.9, -0.8, 1.0),
            (McNemar::Exact, 0, 1, 1, 0.9, -0.9, 1.0),
            (McNemar::MidP, 2, 40, 400, 0.5, 0.08855890829892503, 0.09862822792869644),
            (McNemar::Exact, 2, 40, 400, 0.5, 0.08584286663057136, 0.10019114654188471),
        ];
        for (kind, b, c, pairs, level, low, high) in known {
            let got = kind.interval(b, c, pairs, level).unwrap();
            assert!(
                (got.low - low).abs() < 1e-9 && (got.high - high).abs() < 1e-9,
                "{kind:?} {b} {c}: {got:?} {low} {high}"
            );
            let turned = kind.interval(c, b, pairs, level).unwrap();
            assert_eq!((turned.low, turned.high), (-got.high, -got.low));
        }
        for kind in [McNemar::MidP, McNemar::Exact] {
            let wide = kind.interval(3_000_000, 3_010_000, 10_000_000, 0.95).unwrap();
            // The normal approximation is good to a part in a thousand here.
            let half = 1.959964 * 6_010_000f64.sqrt() / 1e7;
            assert!(((wide.high - 0.001) / half - 1.0).abs() < 1e-3 && ((0.001 - wide.low) / half - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn undefined_is_none() {
        for (b, c, pairs, level) in [(0, 0, 0, 0.95), (2, 2, 3, 0.95), (u64::MAX, 1, u64::MAX, 0.95), (1, 1, 5, 1.0)] {
            assert_eq!(McNemar::MidP.interval(b, c, pairs, level), None);
        }
        assert_eq!(McNemar::MidP.interval(1, 1, 5, f64::NAN), None);
        assert_eq!(McNemar::Exact.interval(0, 0, 5, 0.95), None);
    }

    /// 0 lies outside exactly where the test is significant, at any level.
    #[test]
    fn interval_and_test_agree() {
        for kind in [McNemar::MidP, McNemar::Exact] {
            for differing in 0..=60 {
                for b in 0..=differing {
                    let (c, p) = (differing - b, kind.p_value(b, differing - b));
                    for alpha in [0.05, 0.1, 0.01, (p / 1.5 * 1e9).round() / 1e9] {
                        let level = 1.0 - alpha;
                        let Some(interval) = kind.interval(b, c, 60, level) else { continue };
                        let agrees = interval.contains(0.0) == (p >= alpha);
                        assert!(agrees, "{kind:?} {b} {c} {level} {p}: {interval:?}");
                        let estimate = (c as f64 - b as f64) / 60.0;
                        assert!(interval.contains(estimate), "{kind:?} {b} {c} {level}: {interval:?}");
                        assert!(interval.low >= -1.0 && interval.high <= 1.0);
                    }
                }
            }
        }
    }

    #[test]
    fn huge_counts_stay_defined() {
        let p = mcnemar_exact(5_000_000, 5_004_000);
        assert!(p > 0.1 && p < 0.5, "{p}");
        assert_eq!(mcnemar_exact(0, u64::from(u32::MAX)), 0.0);
    }

    proptest! {
        #[test]
        fn equals_the_plain_sum(b in 0u64..25, c in 0u64..25) {
            let n = b + c;
            let mut choose = 1.0f64;
            let mut sum = 0.0;
            for i in 0..=b.min(c) {
                sum += choose;
                choose = choose * (n - i) as f64 / (i + 1) as f64;
            }
            let plain = (2.0 * sum / 2f64.powi(n as i32)).min(1.0);
            let p = mcnemar_exact(b, c);
            prop_assert!((p - plain).abs() < 1e-12, "{p} {plain}");
        }
    }
}
