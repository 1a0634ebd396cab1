//! Two samples whose cases are not the same: arms of a canary, two weeks of traffic.

use ndarray::ArrayView1;

use super::{Interval, mean, student_bound, student_two_sided, variance, wilson};

/// The difference of two means or rates, the second minus the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoSample {
    /// Second minus first.
    pub difference: f64,
    /// Its interval.
    pub interval: Interval,
    /// Two-sided p-value of "no difference".
    pub p_value: f64,
}

/// Welch's test of two means, which may have different variances (B. L. Welch, 1947; as scipy's `ttest_ind` with
/// `equal_var=False`), and the interval that goes with it.
///
/// `None` below two values in either sample, where neither varies, or for a level outside (0, 1).
pub fn welch(first: ArrayView1<'_, f64>, second: ArrayView1<'_, f64>, level: f64) -> Option<TwoSample> {
    let of_mean = |values: ArrayView1<'_, f64>| {
        let n = values.len() as f64;
        Some((mean(values)?, variance(values)? / n, n - 1.0))
    };
    let ((mean_one, error_one, free_one), (mean_two, error_two, free_two)) = (of_mean(first)?, of_mean(second)?);
    let square = error_one + error_two;
    if square <= 0.0 {
        return None;
    }
    // Satterthwaite's degrees of freedom.
    let degrees = square * square / (error_one * error_one / free_one + error_two * error_two / free_two);
    let (difference, error) = (mean_two - mean_one, square.sqrt());
    let half = student_bound(level, degrees)? * error;
    let interval = Interval { low: difference - half, high: difference + half };
    Some(TwoSample { difference, interval, p_value: student_two_sided(difference / error, degrees)? })
}

/// Fisher's exact test of two rates (R. A. Fisher, 1935; as scipy's `fisher_exact`), and Newcombe's interval of their
/// difference from Wilson's two (R. G. Newcombe, 1998, method 10; statsmodels' `newcomb`).
///
/// `None` where a sample is empty or holds fewer than `passed`, or for a level outside (0, 1).
pub fn two_rates(first: (u64, u64), second: (u64, u64), level: f64) -> Option<TwoSample> {
    let (one, two) = (wilson(first.0, first.1, level)?, wilson(second.0, second.1, level)?);
    let rate = |(passed, n): (u64, u64)| passed as f64 / n as f64;
    let (rate_one, rate_two) = (rate(first), rate(second));
    let difference = rate_two - rate_one;
    let below = libm::hypot(rate_two - two.low, one.high - rate_one);
    let above = libm::hypot(two.high - rate_two, rate_one - one.low);
    let interval = Interval { low: difference - below, high: difference + above };
    Some(TwoSample { difference, interval, p_value: fisher(first, second) })
}

/// Sums the probabilities of all tables with these margins that are no likelier than this one.
fn fisher(first: (u64, u64), second: (u64, u64)) -> f64 {
    /// Tables whose probabilities are equal but for rounding.
    const EQUAL: f64 = 1.0 + 1e-11;
    let (passed, failed_two) = (first.0 + second.0, second.1);
    let (least, most) = (passed.saturating_sub(failed_two), passed.min(first.1));
    // P(k + 1) / P(k) of the hypergeometric distribution of the first sample's passes.
    let ratio = |k: u64| {
        let (k, passed, n) = (k as f64, passed as f64, first.1 as f64);
        (n - k) * (passed - k) / ((k + 1.0) * (second.1 as f64 - passed + k + 1.0))
    };
    // From the likeliest table outwards, in units of its probability: nothing overflows.
    let mode = ((first.1 + 1) as u128 * (passed + 1) as u128 / (first.1 + second.1 + 2) as u128) as u64;
    let mode = mode.clamp(least, most);
    let mut terms = vec![(mode, 1.0)];
    let mut term = 1.0;
    for k in mode..most {
        term *= ratio(k);
        terms.push((k + 1, term));
    }
    term = 1.0;
    for k in (least..mode).rev() {
        term /= ratio(k);
        terms.push((k, term));
    }
    let seen = terms.iter().find(|(k, _)| *k == first.0).map_or(0.0, |(_, term)| *term);
    // The small ones first.
    let mut sizes: Vec<f64> = terms.into_iter().map(|(_, term)| term).collect();
    sizes.sort_by(f64::total_cmp);
    let likelier = sizes.partition_point(|term| *term <= seen * EQUAL);
    let total: f64 = sizes.iter().sum();
    (sizes[..likelier].iter().sum::<f64>() / total).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;

    fn ramp(n: i32, step: i32, modulus: i32, shift: f64) -> Array1<f64> {
        (0..n).map(|i| f64::from(i * step % modulus) / f64::from(modulus) + shift).collect()
    }

    /// scipy.stats.ttest_ind(second, first, equal_var=False) and its confidence_interval(level).
    #[test]
    fn welch_agrees_with_scipy() {
        let cases = [
            (
                (12, 5, 11, 0.0),
                (15, 7, 13, 0.25),
                0.95,
                0.2692307692307692,
                0.03493252174189154,
                0.020748032174517927,
                0.5177135062870205,
            ),
            (
                (200, 37, 101, 0.0),
                (150, 41, 97, 0.05),
                0.95,
                0.05086233881120078,
                0.10655555650214925,
                -0.010967238517277829,
                0.11269191613967938,
            ),
            (
                (5, 3, 7, 0.0),
                (400, 11, 31, -0.5),
                0.99,
                -0.4743202764976958,
                0.035505669063935416,
                -1.1712743545623372,
                0.22263380156694568,
            ),
        ];
        for ((n, step, modulus, shift), (n2, step2, modulus2, shift2), level, difference, p, low, high) in cases {
            let (first, second) = (ramp(n, step, modulus, shift), ramp(n2, step2, modulus2, shift2));
            let got = welch(first.view(), second.view(), level).unwrap();
            for (got, right) in
                [(got.difference, difference), (got.p_value, p), (got.interval.low, low), (got.interval.high, high)]
            {
                assert!((got - right).abs() <= 1e-10 * right.abs().max(1e-3), "{got:e} {right:e}");
            }
        }
    }

    /// scipy.stats.fisher_exact and statsmodels' confint_proportions_2indep(method="newcomb").
    #[test]
    fn rates_agree_with_scipy_and_statsmodels() {
        let cases = [
            ((7, 10), (2, 12), 0.027421494913754976, -0.7597679858244781, -0.11967973137267784),
            ((0, 20), (5, 20), 0.04712404712404713, 0.03776544556663031, 0.4687008776187441),
            ((515, 1319), (286, 1319), 2.901584464403456e-22, -0.20776318772512936, -0.1388940387023399),
            ((50, 100), (50, 100), 1.0, -0.13600275402907416, 0.13600275402907416),
            ((9000, 10000), (9100, 10000), 0.016947123525998774, 0.0018718978325375276, 0.01813302616533809),
            ((3, 4), (900, 1000), 0.3460792124151475, -0.05540367466018725, 0.5996830447726893),
        ];
        for (first, second, p, low, high) in cases {
            let got = two_rates(first, second, 0.95).unwrap();
            assert!((got.p_value - p).abs() <= 1e-9 * p, "{first:?} {second:?}: {:e} {p:e}", got.p_value);
            assert!((got.interval.low - low).abs() < 1e-12 && (got.interval.high - high).abs() < 1e-12, "{got:?}");
        }
    }

    #[test]
    fn undefined_is_none() {
        let (one, two) = (ramp(5, 1, 7, 0.0), ramp(1, 1, 7, 0.0));
        assert_eq!(welch(one.view(), two.view(), 0.95), None);
        let constant = Array1::from_elem(5, 0.5);
        assert_eq!(welch(constant.view(), constant.view(), 0.95), None);
        assert!(welch(one.view(), constant.view(), 0.95).is_some());
        assert_eq!(welch(one.view(), one.view(), 1.0), None);
        assert_eq!(two_rates((0, 0), (1, 2), 0.95), None);
        assert_eq!(two_rates((3, 2), (1, 2), 0.95), None);
        assert_eq!(two_rates((0, 3), (0, 9), 0.95).unwrap().p_value, 1.0);
    }
}
