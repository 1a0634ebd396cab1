//! Means of cases that hang together: questions on one text, turns of one conversation.

use std::collections::BTreeMap;

use ndarray::ArrayView1;

use super::{Differences, mean};

/// Paired differences by what was drawn: cases with several answers, groups of cases. In the order they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clusters {
    /// Sum and number of the differences of each.
    sums: Vec<(f64, u64)>,
    pairs: u64,
}

impl Clusters {
    /// Adds a cluster of `n` pairs whose differences have this sum; one without pairs is none.
    pub fn push(&mut self, sum: f64, n: u64) {
        if n > 0 {
            self.sums.push((sum, n));
            self.pairs += n;
        }
    }

    /// Number of clusters.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Number of pairs of all clusters.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// Sum and number of the differences of each, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (f64, u64)> {
        self.sums.iter().copied()
    }

    /// The mean difference over all pairs; `None` for no pairs.
    pub fn mean(&self) -> Option<f64> {
        let mut sum = 0.0;
        for (own, _) in &self.sums {
            sum += own;
        }
        (self.pairs > 0).then(|| sum / self.pairs as f64).filter(|mean| mean.is_finite())
    }

    /// One difference for each cluster: the mean, and how far the cluster moves it (its influence, scaled by their number).
    /// Their mean is the mean over all pairs, and the standard error of that mean is [`clustered_error`]; clusters of one pair
    /// each are their own differences. Empty where there are no pairs.
    pub fn differences(&self) -> Differences {
        let mut differences = Differences::default();
        let Some(mean) = self.mean() else { return differences };
        let scale = self.sums.len() as f64 / self.pairs as f64;
        let even = self.sums.iter().all(|(_, n)| *n == self.sums[0].1);
        for (sum, n) in &self.sums {
            // Of clusters of one size the mean drops out; a zero stays a zero then.
            let moved = if even { sum / *n as f64 } else { mean + (sum - mean * *n as f64) * scale };
            differences.push(moved);
        }
        differences
    }

    /// The sums of the clusters, for tests that flip the sign of what was drawn.
    pub fn sums(&self) -> Differences {
        let mut differences = Differences::default();
        self.sums.iter().for_each(|(sum, _)| differences.push(*sum));
        differences
    }
}

/// The standard error of the mean where values of one group may be alike (K.-Y. Liang and S. L. Zeger, 1986; as statsmodels'
/// `OLS(values, 1).fit(cov_type="cluster")`): groups are what was drawn, not values.
///
/// `None` below two groups, where lengths differ, or a sum is not finite.
pub fn clustered_error<G: Ord>(values: ArrayView1<'_, f64>, groups: &[G]) -> Option<f64> {
    if values.len() != groups.len() {
        return None;
    }
    let centre = mean(values)?;
    let mut sums = BTreeMap::<&G, f64>::new();
    for (value, group) in values.iter().zip(groups) {
        *sums.entry(group).or_default() += value - centre;
    }
    let (n, count) = (values.len() as f64, sums.len() as f64);
    if count < 2.0 {
        return None;
    }
    let squares: f64 = sums.values().map(|sum| sum * sum).sum();
    let error = (count / (count - 1.0) * squares).sqrt() / n;
    error.is_finite().then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::variance;
    use ndarray::Array1;

    fn values(n: i32) -> Array1<f64> {
        (0..n).map(|i| f64::from(i * 37 % 101) / 100.0).collect()
    }

    #[test]
    fn agrees_with_statsmodels() {
        let groups: Vec<i32> = (0..60).map(|i| i * i % 7).collect();
        let got = clustered_error(values(60).view(), &groups).unwrap();
        assert!((got - 0.02418306978440768).abs() < 1e-14, "{got}");
    }

    #[test]
    fn groups_of_one_are_the_plain_error() {
        let (values, groups) = (values(40), (0..40).collect::<Vec<i32>>());
        let plain = (variance(values.view()).unwrap() / 40.0).sqrt();
        assert!((clustered_error(values.view(), &groups).unwrap() - plain).abs() < 1e-15);
    }

    #[test]
    fn differences_of_clusters_have_their_error() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 101 - 47) / 100.0).collect();
        let groups: Vec<i32> = (0..60).map(|i| i * i % 7).collect();
        let mut sums = BTreeMap::<i32, (f64, u64)>::new();
        for (value, group) in values.iter().zip(&groups) {
            let (sum, n) = sums.entry(*group).or_default();
            (*sum, *n) = (*sum + value, *n + 1);
        }
        let mut clusters = Clusters::default();
        sums.values().for_each(|(sum, n)| clusters.push(*sum, *n));
        let differences = clusters.differences();
        let direct = mean(ndarray::aview1(&values)).unwrap();
        assert!((clusters.mean().unwrap() - direct).abs() < 1e-15);
        assert!((differences.mean().unwrap() - direct).abs() < 1e-15);
        let error = clustered_error(ndarray::aview1(&values), &groups).unwrap();
        let own = (differences.variance().unwrap() / differences.pairs() as f64).sqrt();
        assert!((own - error).abs() < 1e-15, "{own} {error}");
    }

    #[test]
    fn clusters_of_one_are_their_differences() {
        let (mut clusters, mut plain) = (Clusters::default(), Differences::default());
        for value in [0.5, 0.0, -1.0] {
            clusters.push(value, 1);
            plain.push(value);
        }
        clusters.push(9.0, 0);
        assert_eq!((clusters.differences(), clusters.sums()), (plain.clone(), plain));
        assert_eq!((clusters.len(), clusters.pairs(), clusters.is_empty()), (3, 3, false));
        assert_eq!(clusters.iter().collect::<Vec<_>>(), [(0.5, 1), (0.0, 1), (-1.0, 1)]);
        assert_eq!((Clusters::default().mean(), Clusters::default().differences().pairs()), (None, 0));
        clusters.push(f64::NAN, 1);
        assert_eq!(clusters.differences(), Differences::default());
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(clustered_error(values(3).view(), &[1, 1, 1]), None);
        assert_eq!(clustered_error(values(3).view(), &[1, 2]), None);
        assert_eq!(clustered_error::<i32>(values(0).view(), &[]), None);
    }
}
