//! McNemar's exact test for paired pass/fail outcomes.

/// The two-sided p-value for `regressed` pairs that passed before only and `improved` pairs that pass now only.
///
/// Under "no change" each pair that differs is a fair coin, so this is the exact two-sided binomial test with p = 1/2
/// (Q. McNemar, 1947; exact form as in statsmodels' `mcnemar(exact=True)`). Pairs that agree carry no information and
/// do not enter. No differing pair gives 1. Terms are added as ratios to the largest one, whose logarithm comes from
/// Loader's saddle-point form: nothing overflows and nothing cancels, whatever the counts.
pub fn mcnemar_exact(regressed: u64, improved: u64) -> f64 {
    let n = regressed + improved;
    let k = regressed.min(improved);
    if 2 * k == n {
        return 1.0;
    }
    let mut sum = 0.0;
    let mut term = 1.0;
    let mut i = k;
    // P(X = i - 1) / P(X = i) = i / (n - i + 1) < 1 below the middle: stop when nothing can change any more.
    while term > sum * 1e-18 {
        sum += term;
        if i == 0 {
            break;
        }
        term *= i as f64 / (n - i + 1) as f64;
        i -= 1;
    }
    (2.0 * libm::exp(ln_half_binomial(k, n)) * sum).min(1.0)
}

/// ln P(X = k) for X ~ Binomial(n, 1/2), by C. Loader, "Fast and Accurate Computation of Binomial Probabilities"
/// (2000).
fn ln_half_binomial(k: u64, n: u64) -> f64 {
    if k == 0 || k == n {
        return -(n as f64) * std::f64::consts::LN_2;
    }
    let (kf, nf) = (k as f64, n as f64);
    let rest = nf - kf;
    let half = nf / 2.0;
    let exponent =
        stirling_error(nf) - stirling_error(kf) - stirling_error(rest) - deviance(kf, half) - deviance(rest, half);
    exponent + 0.5 * libm::log(nf / (2.0 * std::f64::consts::PI * kf * rest))
}

/// ln n! minus Stirling's approximation.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        let stirling = 0.5 * libm::log(2.0 * std::f64::consts::PI * n) + n * libm::log(n) - n;
        return libm::lgamma(n + 1.0) - stirling;
    }
    let n2 = n * n;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / (1188.0 * n2)) / n2) / n2) / n2) / n
}

/// x ln(x/m) + m - x, by its series where x is near m.
fn deviance(x: f64, m: f64) -> f64 {
    if (x - m).abs() >= 0.1 * (x + m) {
        return x * libm::log(x / m) + m - x;
    }
    let v = (x - m) / (x + m);
    let mut sum = (x - m) * v;
    let mut power = 2.0 * x * v;
    let v2 = v * v;
    let mut odd = 3.0;
    loop {
        power *= v2;
        let next = sum + power / odd;
        if next == sum {
            return sum;
        }
        sum = next;
        odd += 2.0;
    }
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
