//! Confidence intervals of rates.

use serde::{Deserialize, Serialize};

use super::normal_quantile;

/// A closed interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies inside.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// Wilson's score interval of the rate `passed / n` at a confidence `level` (E. B. Wilson, 1927).
///
/// `None` for no cases, more passed than there are, or a level outside (0, 1). It stays inside [0, 1] and is honest at
/// rates of 0 and 1, where the textbook interval has no width.
pub fn wilson(passed: u64, n: u64, level: f64) -> Option<Interval> {
    if n == 0 || passed > n {
        return None;
    }
    let z = normal_quantile(0.5 + level / 2.0)?;
    let (k, n) = (passed as f64, n as f64);
    let rate = k / n;
    let z2 = z * z;
    let centre = (rate + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the bound is exactly 0 or 1; rounding would leave 1e-17.
    let low = if passed == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if k == n { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_statsmodels() {
        let known = [
            (0, 10, 0.95, 0.0, 0.2775327998628892),
            (10, 10, 0.95, 0.7224672001371107, 1.0),
            (7, 10, 0.95, 0.39677814746114537, 0.8922087325936989),
            (515, 1319, 0.95, 0.3644740968441599, 0.4170567902678588),
            (286, 1319, 0.95, 0.1954313944055889, 0.23987508543066718),
            (1, 100_000, 0.95, 1.7652477303783126e-06, 5.664709659040966e-05),
            (7, 10, 0.99, 0.32002467920110245, 0.9204336834769341),
            (30_000, 70_000, 0.9, 0.42549764896879166, 0.4316507294779169),
        ];
        for (k, n, level, low, high) in known {
            let got = wilson(k, n, level).unwrap();
            assert!((got.low - low).abs() < 1e-12 && (got.high - high).abs() < 1e-12, "{k}/{n}: {got:?}");
        }
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(wilson(0, 0, 0.95), None);
        assert_eq!(wilson(2, 1, 0.95), None);
        assert_eq!(wilson(1, 2, 1.0), None);
        assert_eq!(wilson(1, 2, f64::NAN), None);
    }

    proptest! {
        #[test]
        fn holds_the_rate_and_stays_inside(n in 1u64..100_000, share in 0.0f64..=1.0) {
            let k = ((n as f64) * share) as u64;
            let interval = wilson(k, n, 0.95).unwrap();
            prop_assert!(interval.contains(k as f64 / n as f64));
            prop_assert!(interval.low >= 0.0 && interval.high <= 1.0 && interval.low < interval.high);
        }
    }
}
