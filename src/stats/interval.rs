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

    /// The interval of a difference made to hold 0 exactly where the test it belongs to is not significant: the two may differ
    /// in the last bit, and an open end is closed here. `up` says on which side of 0 the estimate lies.
    pub(super) fn agreeing(self, up: bool, significant: bool) -> Self {
        const LEAST: f64 = f64::MIN_POSITIVE;
        let Self { low, high } = self;
        match (significant, up) {
            (false, _) => Self { low: low.min(0.0), high: high.max(0.0) },
            (true, true) => Self { low: low.max(LEAST), high: high.max(LEAST) },
            (true, false) => Self { low: low.min(-LEAST), high: high.min(-LEAST) },
        }
    }
}

/// What lies outside a confidence `level`, 1 - level to 15 digits: of 0.95 it is the 0.05 that p-values are held against, and
/// not 0.05 + 4e-17. `None` outside (0, 1).
pub(super) fn beyond(level: f64) -> Option<f64> {
    (level > 0.0 && level < 1.0).then(|| ((1.0 - level) * 1e15).round() / 1e15)
}

/// Wilson's score interval of the rate `passed / n` at a confidence `level` (E. B. Wilson, 1927).
///
/// `None` for no cases, more passed than there are, or a level outside (0, 1). It stays inside [0, 1] and is honest at
/// rates of 0 and 1, where the textbook interval has no width.
pub fn wilson(passed: u64, n: u64, level: f64) -> Option<Interval> {
    if n == 0 || passed > n {
        return None;
    }
    wilson_of_rate(passed as f64 / n as f64, n as f64, level)
}

fn wilson_of_rate(rate: f64, n: f64, level: f64) -> Option<Interval> {
    let z = normal_quantile(0.5 + level / 2.0)?;
    let z2 = z * z;
    let centre = (rate + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the bound is exactly 0 or 1; rounding would leave 1e-17.
    let low = if rate == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if rate == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { low, high })
}

/// Pass/fail outcomes that come in clusters, in sums: exact, whatever the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterCounts {
    clusters: u64,
    passed: u64,
    n: u64,
    /// Sums of squares and of the product over clusters.
    passed_squared: u128,
    crossed: u128,
    n_squared: u128,
}

impl ClusterCounts {
    /// Adds a cluster; an empty one is none.
    pub fn push(&mut self, passed: u64, n: u64) {
        let (p, m) = (u128::from(passed), u128::from(n));
        self.clusters += u64::from(n > 0);
        self.passed += passed;
        self.n += n;
        self.passed_squared += p * p;
        self.crossed += p * m;
        self.n_squared += m * m;
    }

    /// The clusters of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            clusters: self.clusters + other.clusters,
            passed: self.passed + other.passed,
            n: self.n + other.n,
            passed_squared: self.passed_squared + other.passed_squared,
            crossed: self.crossed + other.crossed,
            n_squared: self.n_squared + other.n_squared,
        }
    }

    /// The clusters without those of another, which are among them.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self {
            clusters: self.clusters - other.clusters,
            passed: self.passed - other.passed,
            n: self.n - other.n,
            passed_squared: self.passed_squared - other.passed_squared,
            crossed: self.crossed - other.crossed,
            n_squared: self.n_squared - other.n_squared,
        }
    }

    /// Squared standard error of the rate, clusters being what was drawn ([`super::clustered_error`] in sums).
    fn squared_error(&self) -> Option<f64> {
        if self.clusters < 2 {
            return None;
        }
        let (rate, n, clusters) = (self.passed as f64 / self.n as f64, self.n as f64, self.clusters as f64);
        let (pp, pn, nn) = (self.passed_squared as f64, self.crossed as f64, self.n_squared as f64);
        let squares = (pp - 2.0 * rate * pn + rate * rate * nn).max(0.0);
        Some(clusters / (clusters - 1.0) * squares / (n * n))
    }
}

/// Wilson's interval of a rate over clusters: with as many independent cases as would give the same standard error (the
/// design effect of L. Kish, 1965), never more than there are cases. Where all outcomes are one, clusters count.
///
/// `None` below two clusters or for a level outside (0, 1).
pub fn wilson_clustered(counts: &ClusterCounts, level: f64) -> Option<Interval> {
    let error = counts.squared_error()?;
    let (n, rate) = (counts.n as f64, counts.passed as f64 / counts.n as f64);
    let spread = rate * (1.0 - rate);
    let effective = if spread > 0.0 { (spread / error).min(n) } else { counts.clusters as f64 };
    wilson_of_rate(rate, effective, level)
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
    fn clusters_count_by_their_error() {
        let counts = |clusters: &[(u64, u64)]| {
            let mut counts = ClusterCounts::default();
            clusters.iter().for_each(|(passed, n)| counts.push(*passed, *n));
            counts
        };
        let clusters = [(3, 4), (0, 2), (5, 5), (1, 4), (2, 3)];
        let outcomes = |(group, (passed, n)): (usize, &(u64, u64))| {
            (0..*n).map(|i| (f64::from(u8::from(i < *passed)), group)).collect::<Vec<_>>()
        };
        let (values, groups): (Vec<f64>, Vec<usize>) = clusters.iter().enumerate().flat_map(outcomes).unzip();
        let error = crate::stats::clustered_error(ndarray::aview1(&values), &groups).unwrap();
        assert!((counts(&clusters).squared_error().unwrap() - error * error).abs() < 1e-15);
        // Clusters of one mind count as one case each; independent ones never count for more than their cases.
        let one_mind = wilson_clustered(&counts(&[(9, 9), (0, 9), (9, 9), (0, 9)]), 0.95).unwrap();
        let few = wilson(2, 4, 0.95).unwrap();
        assert!(
            (one_mind.low - few.low).abs() < 0.06 && (one_mind.high - few.high).abs() < 0.06,
            "{one_mind:?} {few:?}"
        );
        assert_eq!(wilson_clustered(&counts(&[(1, 2), (1, 2), (1, 2)]), 0.95), wilson(3, 6, 0.95));
        assert_eq!(wilson_clustered(&counts(&[(2, 2), (2, 2), (2, 2)]), 0.95), wilson(3, 3, 0.95));
        assert_eq!(wilson_clustered(&counts(&[(1, 2)]), 0.95), None);
        let two = counts(&[(1, 2), (2, 2)]);
        assert_eq!(two.plus(&counts(&[(0, 5)])).minus(&counts(&[(0, 5)])), two);
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
