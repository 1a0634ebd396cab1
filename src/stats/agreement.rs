//! How far raters agree beyond chance.

use std::collections::BTreeMap;

/// Cohen's kappa of two raters over the same items (J. Cohen, 1960): agreement beyond that of two raters who draw from their
/// own frequencies. `None` for no items, or where both gave every item one and the same category.
pub fn cohen_kappa<T: Ord>(pairs: &[(T, T)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let (mut counts, mut agreed) = (BTreeMap::<&T, (f64, f64)>::new(), 0.0);
    for (one, two) in pairs {
        counts.entry(one).or_default().0 += 1.0;
        counts.entry(two).or_default().1 += 1.0;
        agreed += if one == two { 1.0 } else { 0.0 };
    }
    let by_chance: f64 = counts.values().map(|(one, two)| one * two).sum::<f64>() / n;
    // Of no items nothing is a number.
    (by_chance < n).then(|| (agreed - by_chance) / (n - by_chance))
}

/// What the distance of two ratings is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal or not.
    Nominal,
    /// The square of their difference.
    Interval,
}

/// Krippendorff's alpha of any number of raters, each of whom may have left items out (K. Krippendorff, "Computing
/// Krippendorff's alpha-reliability", 2011). `items` holds the ratings of each item; those with fewer than two say nothing.
///
/// `None` where no item has two ratings, where all ratings are equal, or one is not finite.
pub fn krippendorff_alpha(items: &[Vec<f64>], scale: Scale) -> Option<f64> {
    let paired: Vec<&[f64]> = items.iter().map(Vec::as_slice).filter(|ratings| ratings.len() > 1).collect();
    let all: Vec<f64> = paired.iter().flat_map(|ratings| ratings.iter().copied()).collect();
    if all.iter().any(|rating| !rating.is_finite()) {
        return None;
    }
    let distance = |ratings: &[f64]| match scale {
        Scale::Nominal => unequal(ratings),
        Scale::Interval => squares(ratings),
    };
    let observed: f64 = paired.iter().map(|ratings| distance(ratings) / (ratings.len() - 1) as f64).sum();
    let expected = distance(&all) / (all.len() as f64 - 1.0);
    (expected > 0.0).then(|| 1.0 - observed / expected)
}

/// Ordered pairs of unequal ratings.
fn unequal(ratings: &[f64]) -> f64 {
    let mut sorted = ratings.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = ratings.len();
    (n * n - sorted.chunk_by(|one, two| one == two).map(|equal| equal.len() * equal.len()).sum::<usize>()) as f64
}

/// The sum of the squared differences of all ordered pairs: twice the number times the sum of squares around the mean.
fn squares(ratings: &[f64]) -> f64 {
    let n = ratings.len() as f64;
    let mean = ratings.iter().sum::<f64>() / n;
    2.0 * n * ratings.iter().map(|rating| (rating - mean) * (rating - mean)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// sklearn.metrics.cohen_kappa_score.
    #[test]
    fn kappa_agrees_with_scikit_learn() {
        let pairs: Vec<(u32, u32)> =
            (0..60).map(|i| (i * 7 % 11 % 4, if i % 3 == 0 { i % 4 } else { i * 7 % 11 % 4 })).collect();
        assert!((cohen_kappa(&pairs).unwrap() - 0.5762081784386617).abs() < 1e-14);
        assert_eq!(cohen_kappa::<u32>(&[]), None);
        assert_eq!(cohen_kappa(&[(1, 1), (1, 1)]), None);
        assert_eq!(cohen_kappa(&[(1, 1), (2, 2)]), Some(1.0));
        assert_eq!(cohen_kappa(&[(1, 2), (2, 1)]), Some(-1.0));
    }

    /// The reliability data of Krippendorff (2011), section C: four observers, twelve units; 0.743 nominal, 0.849 interval.
    #[test]
    fn alpha_agrees_with_its_paper() {
        let none = f64::NAN;
        let observers = [
            [1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 4.0, 1.0, 2.0, none, none, none],
            [1.0, 2.0, 3.0, 3.0, 2.0, 2.0, 4.0, 1.0, 2.0, 5.0, none, 3.0],
            [none, 3.0, 3.0, 3.0, 2.0, 3.0, 4.0, 2.0, 2.0, 5.0, 1.0, none],
            [1.0, 2.0, 3.0, 3.0, 2.0, 4.0, 4.0, 1.0, 2.0, 5.0, 1.0, none],
        ];
        let unit = |at: usize| observers.iter().map(|ratings| ratings[at]).filter(|rating| !rating.is_nan()).collect();
        let items: Vec<Vec<f64>> = (0..12).map(unit).collect();
        let alpha = |scale| krippendorff_alpha(&items, scale).unwrap();
        assert!((alpha(Scale::Nominal) - 0.743).abs() < 5e-4, "{}", alpha(Scale::Nominal));
        assert!((alpha(Scale::Interval) - 0.849).abs() < 5e-4, "{}", alpha(Scale::Interval));
        assert!((alpha(Scale::Nominal) - 0.743421052631579).abs() < 1e-13);
        assert!((alpha(Scale::Interval) - 0.8491071428571428).abs() < 1e-13);
    }

    #[test]
    fn undefined_is_none() {
        for items in [vec![], vec![vec![1.0]], vec![vec![2.0, 2.0], vec![2.0, 2.0]], vec![vec![1.0, f64::NAN]]] {
            assert_eq!(krippendorff_alpha(&items, Scale::Nominal), None);
            assert_eq!(krippendorff_alpha(&items, Scale::Interval), None);
        }
    }

    proptest! {
        #[test]
        fn equals_all_pairs(items in proptest::collection::vec(proptest::collection::vec(-3..4i32, 0..5), 1..12)) {
            let items: Vec<Vec<f64>> = items.into_iter().map(|ratings| ratings.into_iter().map(f64::from).collect()).collect();
            type Delta = fn(f64, f64) -> f64;
            let pairs = |ratings: &[f64], delta: Delta| -> f64 {
                ratings.iter().flat_map(|a| ratings.iter().map(move |b| delta(*a, *b))).sum()
            };
            let deltas: [(Scale, Delta); 2] = [
                (Scale::Nominal, |a, b| if a == b { 0.0 } else { 1.0 }),
                (Scale::Interval, |a, b| (a - b) * (a - b)),
            ];
            for (scale, delta) in deltas {
                let paired: Vec<&Vec<f64>> = items.iter().filter(|ratings| ratings.len() > 1).collect();
                let all: Vec<f64> = paired.iter().flat_map(|ratings| ratings.iter().copied()).collect();
                let observed: f64 = paired.iter().map(|r| pairs(r, delta) / (r.len() - 1) as f64).sum();
                let expected = pairs(&all, delta) / (all.len() as f64 - 1.0);
                match krippendorff_alpha(&items, scale) {
                    Some(alpha) => prop_assert!((alpha - (1.0 - observed / expected)).abs() < 1e-10),
                    None => prop_assert!(paired.is_empty() || expected == 0.0),
                }
            }
        }
    }
}
