//! Two samples whose cases are not the same: arms of a canary, two weeks of traffic.

use ndarray::ArrayView1;

use super::interval::beyond;
use super::{Interval, mean, student_bound, student_two_sided, variance};

/// The difference of two means or rates, the second minus the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoSample {
    /// Second minus first.
    pub difference: f64,
    /// Its interval.
    pub interval: Interval,
    /// Two-sided p-value of "no difference".
    pub p_value: f64,
    /// Which test decided.
    pub test: SampleTest,
}

/// A test of two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleTest {
    /// Welch's, of means.
    Welch,
    /// The N - 1 chi-squared test, of rates.
    ChiSquared,
    /// Fisher's exact test, of rates where few cases pass, or few fail.
    Fisher,
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
    let p_value = student_two_sided(difference / error, degrees)?;
    let interval = interval.agreeing(difference > 0.0, p_value < beyond(level)?);
    Some(TwoSample { difference, interval, p_value, test: SampleTest::Welch })
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

    #[test]
    fn undefined_is_none() {
        let (one, two) = (ramp(5, 1, 7, 0.0), ramp(1, 1, 7, 0.0));
        assert_eq!(welch(one.view(), two.view(), 0.95), None);
        let constant = Array1::from_elem(5, 0.5);
        assert_eq!(welch(constant.view(), constant.view(), 0.95), None);
        assert!(welch(one.view(), constant.view(), 0.95).is_some());
        assert_eq!(welch(one.view(), one.view(), 1.0), None);
    }
}
