//! What a sample could have shown, and what many tests at once cost.

use super::normal::cumulative;

/// The smallest true mean difference that a two-sided test at level `alpha` finds with probability `power`, where the
/// differences of `n` pairs have this variance (normal approximation; as statsmodels' `NormalIndPower` with `ratio=0`,
/// times the standard deviation).
///
/// `None` for no pairs, a variance that is negative or not a number, or probabilities outside (0, 1) and `power` not above
/// `alpha`.
pub fn smallest_detectable(variance: f64, n: u64, alpha: f64, power: f64) -> Option<f64> {
    let inside = |p: f64| p > 0.0 && p < 1.0;
    let defined = n > 0 && variance >= 0.0 && variance.is_finite() && inside(alpha) && inside(power) && power > alpha;
    if !defined {
        return None;
    }
    let critical = super::normal_quantile(1.0 - alpha / 2.0)?;
    // In standard errors: the chance to end beyond the critical value on either side grows with the shift.
    let found = |shift: f64| cumulative(shift - critical) + cumulative(-shift - critical);
    let (mut low, mut high) = (0.0, critical + 1.0);
    while found(high) < power {
        high *= 2.0;
    }
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return Some(middle * (variance / n as f64).sqrt());
        }
        if found(middle) < power { low = middle } else { high = middle }
    }
}

/// P-values corrected for their number (S. Holm, 1979; statsmodels' `multipletests(method="holm")`), in the order given:
/// rejecting those below a level keeps the chance of any false rejection below it. A p-value that is not a number stays
/// one and does not count.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|at| !p_values[*at].is_nan()).collect();
    order.sort_by(|one, two| p_values[*one].total_cmp(&p_values[*two]));
    let (mut corrected, mut largest) = (p_values.to_vec(), 0.0_f64);
    for (rank, at) in order.iter().enumerate() {
        largest = largest.max(p_values[*at] * (order.len() - rank) as f64).min(1.0);
        corrected[*at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The root of statsmodels.stats.power.NormalIndPower().power(effect, n, alpha, ratio=0) - power, times the deviation.
    #[test]
    fn detectable_effects_agree_with_statsmodels() {
        let known = [
            (0.25, 380, 0.05, 0.8, 0.07185905662679933),
            (0.01, 50, 0.05, 0.9, 0.04584194456977313),
            (1.0, 1000, 0.01, 0.8, 0.10806927476656235),
            (0.12, 24, 0.1, 0.5, 0.11621943454132055),
            (0.12, 24, 0.05, 0.06, 0.02083091504764742),
        ];
        for (variance, n, alpha, power, effect) in known {
            let got = smallest_detectable(variance, n, alpha, power).unwrap();
            assert!((got - effect).abs() <= 1e-9 * effect, "{got} {effect}");
        }
        assert_eq!(smallest_detectable(0.0, 10, 0.05, 0.8), Some(0.0));
        for (variance, n, alpha, power) in [
            (1.0, 0, 0.05, 0.8),
            (-1.0, 5, 0.05, 0.8),
            (f64::NAN, 5, 0.05, 0.8),
            (1.0, 5, 0.0, 0.8),
            (1.0, 5, 0.5, 0.4),
        ] {
            assert_eq!(smallest_detectable(variance, n, alpha, power), None);
        }
    }

    /// statsmodels.stats.multitest.multipletests(p, method="holm").
    #[test]
    fn holm_agrees_with_statsmodels() {
        let (p, corrected) = ([0.01, 0.04, 0.03, 0.005, 0.5, 0.03], [0.05, 0.12, 0.12, 0.03, 0.5, 0.12]);
        for (got, right) in holm(&p).into_iter().zip(corrected) {
            assert!((got - right).abs() < 1e-15, "{got} {right}");
        }
        assert_eq!(holm(&[]), Vec::<f64>::new());
        let with_none = holm(&[0.02, f64::NAN]);
        assert!(with_none[0] == 0.02 && with_none[1].is_nan());
    }

    proptest! {
        #[test]
        fn correcting_keeps_order_and_never_helps(p in proptest::collection::vec(0.0..=1.0f64, 0..30)) {
            let corrected = holm(&p);
            for (one, two) in (0..p.len()).flat_map(|i| (0..p.len()).map(move |j| (i, j))) {
                prop_assert!(p[one] > p[two] || corrected[one] <= corrected[two]);
            }
            prop_assert!(p.iter().zip(&corrected).all(|(p, corrected)| p <= corrected && *corrected <= 1.0));
        }
    }
}
