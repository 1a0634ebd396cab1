//! Two pass rates over cases that are not the same.

use super::interval::beyond;
use super::normal::cumulative;
use super::two_sample::{SampleTest, TwoSample};
use super::{Interval, normal_quantile};

/// Steps of a bisection.
const STEPS: u32 = 54;
/// Expected counts below this are too few for the normal approximation.
const FEW: f64 = 1.0;

/// The N - 1 chi-squared test of two rates (I. Campbell, "Chi-squared and Fisher-Irwin tests of two-by-two tables with small
/// sample recommendations", 2007), and the interval of their difference, second minus first, that inverts it (O. Miettinen and
/// M. Nurminen, "Comparative analysis of two rates", 1985). Where a cell is expected to hold less than one case, Fisher's exact
/// p-value (R. A. Fisher, 1935; as scipy's `fisher_exact`) decides if it is the larger one, as Campbell recommends, and the
/// interval is widened to hold 0 where that is not significant.
///
/// 0 lies outside exactly where the p-value is below 1 - level (to 15 digits). `None` where a sample is empty or holds fewer
/// than `passed`, or for a level outside (0, 1).
pub fn two_rates(first: (u64, u64), second: (u64, u64), level: f64) -> Option<TwoSample> {
    let defined = |(passed, n): (u64, u64)| n > 0 && passed <= n;
    if !defined(first) || !defined(second) {
        return None;
    }
    let alpha = beyond(level)?;
    let z = normal_quantile(1.0 - alpha / 2.0)?;
    let as_counts = |(passed, n): (u64, u64)| (passed as f64, n as f64);
    let (one, two) = (as_counts(first), as_counts(second));
    let difference = two.0 / two.1 - one.0 / one.1;
    let normal = (2.0 * cumulative(-score(one, two, 0.0).abs())).min(1.0);
    let (all, passed) = (one.1 + two.1, one.0 + two.0);
    let expected = one.1.min(two.1) * passed.min(all - passed) / all;
    let (p_value, test) = if expected < FEW {
        match fisher(first, second) {
            exact if exact > normal => (exact, SampleTest::Fisher),
            _ => (normal, SampleTest::ChiSquared),
        }
    } else {
        (normal, SampleTest::ChiSquared)
    };
    let interval = Interval { low: low(one, two, z) + 0.0, high: 0.0 - low(two, one, z) };
    let interval = interval.agreeing(difference > 0.0, p_value < alpha);
    Some(TwoSample { difference, interval, p_value, test })
}

/// How many standard errors the difference is above `delta`, with the variance at the most likely rates that differ by
/// `delta`; 0 where they leave none and there is no distance either.
fn score(one: (f64, f64), two: (f64, f64), delta: f64) -> f64 {
    let distance = two.0 / two.1 - one.0 / one.1 - delta;
    let rate = most_likely(one, two, delta);
    let spread = |rate: f64, n: f64| (rate * (1.0 - rate)).max(0.0) / n;
    let all = one.1 + two.1;
    let variance = (spread(rate, one.1) + spread(rate + delta, two.1)) * all / (all - 1.0);
    if variance > 0.0 {
        distance / variance.sqrt()
    } else if distance.abs() < 1e-15 {
        0.0
    } else {
        f64::INFINITY.copysign(distance)
    }
}

/// The most likely first rate where the second is larger by `delta`: the root of the likelihood's slope, which falls.
fn most_likely(one: (f64, f64), two: (f64, f64), delta: f64) -> f64 {
    if delta == 0.0 {
        return (one.0 + two.0) / (one.1 + two.1);
    }
    let part = |count: f64, rate: f64| if count > 0.0 { count / rate } else { 0.0 };
    let slope = |rate: f64| {
        let other = rate + delta;
        part(one.0, rate) - part(one.1 - one.0, 1.0 - rate) + part(two.0, other) - part(two.1 - two.0, 1.0 - other)
    };
    let (mut low, mut high) = (f64::max(0.0, -delta), f64::min(1.0, 1.0 - delta));
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The lower end: where the score falls to `z`.
fn low(one: (f64, f64), two: (f64, f64), z: f64) -> f64 {
    let (mut low, mut high) = (-1.0, two.0 / two.1 - one.0 / one.1);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if score(one, two, middle) > z { low = middle } else { high = middle }
    }
    high
}

/// Sums the probabilities of all tables with these margins that are no likelier than this one.
fn fisher(first: (u64, u64), second: (u64, u64)) -> f64 {
    /// Tables whose probabilities are equal but for rounding.
    const EQUAL: f64 = 1.0 + 1e-11;
    let (passed, failed_two) = (first.0 + second.0, second.1);
    let (least, most) = (passed.saturating_sub(failed_two), passed.min(first.1));
    // P(k + 1) / P(k) of the hypergeometric distribution of the first sample's passes.
    let ratio = |k: u64| {
        let (k, passed, n) = (k as f64, passed as f64, first.1 as f64);
        (n - k) * (passed - k) / ((k + 1.0) * (second.1 as f64 - passed + k + 1.0))
    };
    // From the likeliest table outwards, in units of its probability: nothing overflows.
    let mode = ((first.1 + 1) as u128 * (passed + 1) as u128 / (first.1 + second.1 + 2) as u128) as u64;
    let mode = mode.clamp(least, most);
    let mut terms = vec![(mode, 1.0)];
    let mut term = 1.0;
    for k in mode..most {
        term *= ratio(k);
        terms.push((k + 1, term));
    }
    term = 1.0;
    for k in (least..mode).rev() {
        term /= ratio(k);
        terms.push((k, term));
    }
    let seen = terms.iter().find(|(k, _)| *k == first.0).map_or(0.0, |(_, term)| *term);
    // The small ones first.
    let mut sizes: Vec<f64> = terms.into_iter().map(|(_, term)| term).collect();
    sizes.sort_by(f64::total_cmp);
    let likelier = sizes.partition_point(|term| *term <= seen * EQUAL);
    let total: f64 = sizes.iter().sum();
    (sizes[..likelier].iter().sum::<f64>() / total).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The p-value by scipy's normal distribution; the ends are roots of the score at the maximum of the likelihood by scipy's
    /// `brentq` (scripts/stats_figures.py). The last two pairs of ends are those of R. G. Newcombe, 1998 (method 6: 0.0528 to
    /// 0.3382, 0.1700 to 0.8406). statsmodels' `confint_proportions_2indep(method="score")` differs by up to 0.006: the rates
    /// that it takes the variance at are not the most likely ones.
    #[test]
    fn agrees_with_scipy() {
        let known = [
            ((10, 10), (6, 10), 0.02929829440455057, -0.6932422652793275, -0.05645847594315309),
            ((515, 1319), (286, 1319), 3.1858944692795523e-22, -0.20792133336334173, -0.13899580828027958),
            ((50, 100), (50, 100), 1.0, -0.13761625287964688, 0.13761625287964685),
            ((9000, 10000), (9100, 10000), 0.015886861701536092, 0.001873858146815384, 0.01813692533359505),
            ((7, 10), (2, 12), 0.013317056975969022, -0.7953565891603015, -0.11367878512355072),
            ((0, 20), (5, 20), 0.01825586058745929, 0.06559829471157558, 0.47156300971006354),
            ((3, 40), (12, 300), 0.3119940894873019, -0.16014268620860223, 0.022316544332247557),
            ((48, 80), (56, 70), 0.008258287929380758, 0.05282971324584467, 0.3381729400158684),
            ((3, 10), (9, 10), 0.007601641475220156, 0.1700250164243989, 0.840649543943328),
        ];
        for (first, second, p, low, high) in known {
            let got = two_rates(first, second, 0.95).unwrap();
            assert!((got.p_value - p).abs() <= 1e-9 * p, "{first:?} {second:?}: {:e} {p:e}", got.p_value);
            assert_eq!(got.test, SampleTest::ChiSquared);
            assert!((got.interval.low - low).abs() < 1e-9 && (got.interval.high - high).abs() < 1e-9, "{got:?}");
            let turned = two_rates(second, first, 0.95).unwrap().interval;
            assert!((turned.low + high).abs() < 1e-9 && (turned.high + low).abs() < 1e-9, "{turned:?}");
        }
    }

    /// scipy.stats.fisher_exact.
    #[test]
    fn few_expected_are_exact() {
        let known = [
            ((3, 4), (900, 1000), 0.3460792124151475),
            ((1, 30), (0, 2000), 0.014778325123152709),
            ((16, 17), (990, 1000), 0.17002034486456463),
        ];
        for (first, second, p) in known {
            let got = two_rates(first, second, 0.95).unwrap();
            assert!((got.p_value - p).abs() < 1e-12 && got.test == SampleTest::Fisher, "{got:?} {p}");
            assert_eq!(got.interval.contains(0.0), p >= 0.05);
        }
    }

    #[test]
    fn where_all_pass_nothing_differs() {
        for rate in [(30, 30), (0, 30)] {
            let got = two_rates(rate, rate, 0.95).unwrap();
            assert_eq!((got.p_value, got.difference), (1.0, 0.0));
            // The root of the score by scipy.
            assert!((got.interval.high - 0.11521567911449142).abs() < 1e-9, "{got:?}");
        }
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(two_rates((0, 0), (1, 2), 0.95), None);
        assert_eq!(two_rates((3, 2), (1, 2), 0.95), None);
        assert_eq!(two_rates((1, 2), (1, 2), 1.0), None);
        assert_eq!(two_rates((0, 3), (0, 9), 0.95).unwrap().p_value, 1.0);
    }

    fn rate() -> impl Strategy<Value = (u64, u64)> {
        prop_oneof![1u64..40, 1u64..3_000].prop_flat_map(|n| (0..=n, Just(n)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// 0 lies outside exactly where p is below 5 %, and the interval holds the difference.
        #[test]
        fn test_and_interval_agree(first in rate(), second in rate()) {
            let got = two_rates(first, second, 0.95).unwrap();
            prop_assert_eq!(got.interval.contains(0.0), got.p_value >= 0.05, "{:?}", got);
            prop_assert!(got.interval.low <= got.difference + 1e-12 && got.difference - 1e-12 <= got.interval.high);
            prop_assert!(-1.0 <= got.interval.low && got.interval.high <= 1.0);
        }
    }
}
