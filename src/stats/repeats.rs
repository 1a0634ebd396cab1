//! Cases that are answered several times: what sampling alone changes.

/// The chance that at least one of `k` answers is right, from `right` of `n` that were (M. Chen et al., "Evaluating large
/// language models trained on code", 2021: the unbiased estimator 1 - C(n - right, k) / C(n, k)). `None` for k = 0, more
/// than there are answers, or more right ones.
pub fn pass_at_k(n: u64, right: u64, k: u64) -> Option<f64> {
    none_of(n, n.checked_sub(right)?, k).map(|none| 1.0 - none)
}

/// The chance that all of `k` answers are right (pass^k of S. Yao et al., "τ-bench", 2024: C(right, k) / C(n, k)). `None` as
/// for [`pass_at_k`].
pub fn pass_hat_k(n: u64, right: u64, k: u64) -> Option<f64> {
    none_of(n, right, k)
}

/// C(some, k) / C(n, k): the chance that `k` of `n`, drawn without replacement, are all among `some` of them.
fn none_of(n: u64, some: u64, k: u64) -> Option<f64> {
    if k == 0 || k > n || some > n {
        return None;
    }
    Some((0..k).map(|i| some.saturating_sub(i) as f64 / (n - i) as f64).product())
}

/// The mean over cases of the variance within a case, from (answers, right ones) of each: what the outcome of a single
/// answer owes to sampling. Cases with one answer say nothing; `None` where no case has two.
pub fn within_case_variance(cases: impl IntoIterator<Item = (u64, u64)>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for (n, right) in cases.into_iter().filter(|(n, right)| *n > 1 && right <= n) {
        let rate = right as f64 / n as f64;
        sum += rate * (1.0 - rate) * n as f64 / (n - 1) as f64;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By Python's math.comb and fractions.Fraction.
    #[test]
    fn agrees_with_binomials() {
        for (n, right, k, any, all) in [
            (10, 3, 1, 0.3, 0.3),
            (10, 3, 5, 0.9166666666666666, 0.0),
            (200, 13, 100, 0.9999194971988055, 0.0),
            (5, 5, 2, 1.0, 1.0),
            (8, 0, 3, 0.0, 0.0),
            (20, 18, 3, 1.0, 0.7157894736842105),
        ] {
            assert!((pass_at_k(n, right, k).unwrap() - any).abs() < 1e-14, "{n} {right} {k}");
            assert!((pass_hat_k(n, right, k).unwrap() - all).abs() < 1e-14, "{n} {right} {k}");
        }
        assert_eq!(within_case_variance([(4, 2), (3, 3), (1, 1)]), Some((0.25 * 4.0 / 3.0 + 0.0) / 2.0));
    }

    #[test]
    fn undefined_is_none() {
        for (n, right, k) in [(3, 1, 0), (3, 1, 4), (3, 4, 1)] {
            assert_eq!((pass_at_k(n, right, k), pass_hat_k(n, right, k)), (None, None));
        }
        assert_eq!(within_case_variance([(1, 1)]), None);
    }

    proptest! {
        #[test]
        fn one_answer_is_the_rate_and_more_are_apart(n in 1u64..60, share in 0.0..=1.0f64, k in 1u64..20) {
            let (right, k) = ((n as f64 * share) as u64, k.min(n));
            let rate = right as f64 / n as f64;
            prop_assert!((pass_at_k(n, right, 1).unwrap() - rate).abs() < 1e-12);
            prop_assert!((pass_hat_k(n, right, 1).unwrap() - rate).abs() < 1e-12);
            prop_assert!(pass_at_k(n, right, k).unwrap() >= rate - 1e-12);
            prop_assert!(pass_hat_k(n, right, k).unwrap() <= rate + 1e-12);
        }
    }
}
