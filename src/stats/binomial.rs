//! The binomial distribution: probabilities and tails, accurate for counts to tens of millions.

use super::beta::fraction;

/// P(X = k) for X ~ Binomial(n, p); `rest` is 1 - p, which the caller may know better than the difference.
pub(super) fn mass(k: u64, n: u64, (p, rest): (f64, f64)) -> f64 {
    libm::exp(ln_mass(k, n, (p, rest)))
}

/// P(X >= k) for X ~ Binomial(n, p): I_p(k, n - k + 1) (Abramowitz and Stegun 26.5.24), whose factor before the
/// continued fraction is P(X = k)(1 - p).
pub(super) fn at_least(k: u64, n: u64, (p, rest): (f64, f64)) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if k > n || p == 0.0 {
        return 0.0;
    }
    let (kf, nf) = (k as f64, n as f64);
    if p < (kf + 1.0) / (nf + 3.0) {
        return (mass(k, n, (p, rest)) * rest * fraction(kf, nf - kf + 1.0, p)).min(1.0);
    }
    // P(X < k), as the upper tail of the failures.
    let below = mass(k - 1, n, (p, rest)) * p * fraction(nf - kf + 1.0, kf, rest);
    (1.0 - below).max(0.0)
}

/// P(X <= k) for X ~ Binomial(n, p).
pub(super) fn at_most(k: u64, n: u64, (p, rest): (f64, f64)) -> f64 {
    if k >= n { 1.0 } else { at_least(n - k, n, (rest, p)) }
}

/// ln P(X = k), by C. Loader, "Fast and Accurate Computation of Binomial Probabilities" (2000).
pub(super) fn ln_mass(k: u64, n: u64, (p, rest): (f64, f64)) -> f64 {
    if k == 0 || k == n {
        let (chance, other) = if k == 0 { (rest, p) } else { (p, rest) };
        // ln 0 times nothing is nothing.
        let ln = if other < 0.5 { libm::log1p(-other) } else { libm::log(chance) };
        return if n == 0 { 0.0 } else { n as f64 * ln };
    }
    if p == 0.0 || rest == 0.0 {
        return f64::NEG_INFINITY;
    }
    let (kf, nf) = (k as f64, n as f64);
    let failed = nf - kf;
    let errors = stirling_error(nf) - stirling_error(kf) - stirling_error(failed);
    let exponent = errors - deviance(kf, nf * p) - deviance(failed, nf * rest);
    exponent + 0.5 * libm::log(nf / (2.0 * std::f64::consts::PI * kf * failed))
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

    /// scipy.stats.binom.pmf, .sf(k - 1) and .cdf.
    #[test]
    fn agrees_with_scipy() {
        let known = [
            (0, 7, 0.2, 0.20971519999999996, 1.0, 0.20971519999999996),
            (3, 7, 0.2, 0.11468799999999997, 0.14803200000000005, 0.966656),
            (7, 7, 0.9, 0.4782969000000001, 0.4782969000000001, 1.0),
            (1, 400, 0.0001, 0.03843534423231335, 0.03921248255274813, 0.9992228616795652),
            (50, 400, 0.1, 0.016452935410157053, 0.06009736360795153, 0.9563555718022053),
            (210, 400, 0.5, 0.0242071389611345, 0.17106119804202563, 0.8531459409191088),
            (5100, 10000, 0.5, 0.0010798643294333704, 0.023292763852473225, 0.9777871004769597),
            (70, 100000, 0.001, 0.0003092735250424157, 0.9993424807901062, 0.0009667927349361395),
            (501500, 1000000, 0.5, 8.863674664600326e-06, 0.001354327653029687, 0.9986545360216347),
            (4999, 10000000, 0.0005, 0.005643212219627537, 0.5075252571154167, 0.4981179551042118),
        ];
        for (k, n, p, equal, upper, lower) in known {
            let chances = (p, 1.0 - p);
            for (got, right) in
                [(mass(k, n, chances), equal), (at_least(k, n, chances), upper), (at_most(k, n, chances), lower)]
            {
                assert!((got - right).abs() <= 1e-10 * right, "{k} {n} {p}: {got:e} {right:e}");
            }
        }
    }

    #[test]
    fn certain_outcomes() {
        assert_eq!((mass(0, 0, (0.3, 0.7)), mass(0, 5, (0.0, 1.0)), mass(5, 5, (1.0, 0.0))), (1.0, 1.0, 1.0));
        assert_eq!((mass(1, 5, (0.0, 1.0)), mass(4, 5, (1.0, 0.0)), mass(0, 5, (1.0, 0.0))), (0.0, 0.0, 0.0));
        assert_eq!(
            (at_least(1, 5, (0.0, 1.0)), at_least(5, 5, (1.0, 0.0)), at_least(6, 5, (0.5, 0.5))),
            (0.0, 1.0, 0.0)
        );
        assert_eq!((at_most(4, 5, (1.0, 0.0)), at_most(0, 5, (0.0, 1.0)), at_most(5, 5, (0.5, 0.5))), (0.0, 1.0, 1.0));
    }

    #[test]
    fn tails_add_up() {
        for (n, p) in [(1, 0.5), (7, 0.013), (100, 0.37), (3_000, 0.5), (10_000_000, 0.21)] {
            let centre = (n as f64 * p) as u64;
            for k in centre.saturating_sub(5)..=(centre + 5).min(n - 1) {
                let chances = (p, 1.0 - p);
                let total = at_most(k, n, chances) + at_least(k + 1, n, chances);
                assert!((total - 1.0).abs() < 1e-12, "{k} {n} {p}: {total}");
                let step = at_most(k + 1, n, chances) - at_most(k, n, chances);
                let off = (step - mass(k + 1, n, chances)).abs();
                assert!(off < 1e-11, "{k} {n} {p}: {off:e}");
            }
        }
    }
}
