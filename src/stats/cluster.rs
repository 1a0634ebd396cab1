//! Means of cases that hang together: questions on one text, turns of one conversation.

use std::collections::BTreeMap;

use ndarray::ArrayView1;

use super::mean;

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
    fn undefined_is_none() {
        assert_eq!(clustered_error(values(3).view(), &[1, 1, 1]), None);
        assert_eq!(clustered_error(values(3).view(), &[1, 2]), None);
        assert_eq!(clustered_error::<i32>(values(0).view(), &[]), None);
    }
}
