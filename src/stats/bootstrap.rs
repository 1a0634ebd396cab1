//! The paired bootstrap: how sure is the mean of per-case differences.

use ndarray::{Array1, ArrayView1};
use rayon::prelude::*;

use super::normal::cumulative;
use super::{CounterRng, Interval, normal_quantile, quantile_sorted};

/// How to resample. The default is what reports use: 2,000 resamples, seed 0, 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Number of resamples.
    pub resamples: u32,
    /// Seed of the counter-based generator.
    pub seed: u64,
    /// Confidence level of the interval.
    pub level: f64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { resamples: 2_000, seed: 0, level: super::CONFIDENCE }
    }
}

/// Per-pair differences (candidate minus base), where the zeros are only counted: between two runs of the same model
/// most pairs are equal, and memory should follow what changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    changed: Vec<f64>,
    pairs: u64,
}

impl Differences {
    /// Adds one pair.
    pub fn push(&mut self, difference: f64) {
        self.pairs += 1;
        if difference != 0.0 {
            self.changed.push(difference);
        }
    }

    /// Differences of paired pass/fail outcomes: -1 for each regressed, +1 for each improved, 0 for the other pairs.
    pub fn of_outcomes(regressed: u64, improved: u64, pairs: u64) -> Self {
        let worse = std::iter::repeat_n(-1.0, regressed as usize);
        let better = std::iter::repeat_n(1.0, improved as usize);
        Self { changed: worse.chain(better).collect(), pairs }
    }

    /// Number of pairs, equal ones included.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The differences that are not zero, in the order they were added.
    pub fn changed(&self) -> ArrayView1<'_, f64> {
        ArrayView1::from(&self.changed[..])
    }

    /// The mean difference over all pairs; `None` for no pairs.
    pub fn mean(&self) -> Option<f64> {
        if self.pairs == 0 {
            return None;
        }
        let mut sum = 0.0;
        for difference in &self.changed {
            sum += difference;
        }
        let mean = sum / self.pairs as f64;
        mean.is_finite().then_some(mean)
    }

    /// Their variance, with n - 1 in the denominator; `None` below two pairs.
    pub fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        let variance = self.central_sum(mean, 2) / (self.pairs as f64 - 1.0);
        (self.pairs > 1).then_some(variance).filter(|variance| variance.is_finite())
    }

    /// Sum over all pairs of a power of the distance from `mean`.
    fn central_sum(&self, mean: f64, power: i32) -> f64 {
        let mut sum = (self.pairs - self.changed.len() as u64) as f64 * (-mean).powi(power);
        for difference in &self.changed {
            sum += (difference - mean).powi(power);
        }
        sum
    }
}

/// Interval of the mean difference by the bias-corrected and accelerated bootstrap (B. Efron, "Better bootstrap confidence
/// intervals", 1987; as scipy's `bootstrap(method="BCa")`): pairs are drawn with replacement, resample r from stream r. The
/// bias is that of the resampled means, ties counted half; the acceleration follows from the skewness of the differences.
///
/// `None` for fewer than two pairs, no resamples, or a level outside (0, 1). Where all pairs differ by the same the interval
/// is that difference; where the bias is beyond what so many resamples can tell it is the percentile interval. Resamples run
/// in parallel; each is added up in draw order, so the interval does not depend on the number of threads.
pub fn bootstrap_mean(differences: &Differences, how: Resampling) -> Option<Interval> {
    let pairs = differences.pairs;
    if pairs < 2 || how.resamples == 0 || !(how.level > 0.0 && how.level < 1.0) {
        return None;
    }
    let mean = differences.mean()?;
    let changed = &differences.changed;
    if changed.is_empty() {
        return Some(Interval { low: 0.0, high: 0.0 });
    }
    let one = |resample: u32| resampled_sum(differences, CounterRng::new(how.seed, u64::from(resample))) / pairs as f64;
    let mut means: Array1<f64> = (0..how.resamples).into_par_iter().map(one).collect::<Vec<f64>>().into();
    if means.iter().any(|mean| !mean.is_finite()) {
        return None;
    }
    let sorted = means.as_slice_mut()?;
    sorted.sort_by(f64::total_cmp);
    let (low, high) = shares(differences, mean, sorted, how.level);
    Some(Interval { low: quantile_sorted(sorted, low)?, high: quantile_sorted(sorted, high)? })
}

/// Which shares of the sorted resampled means lie below the ends of the interval.
fn shares(differences: &Differences, mean: f64, sorted: &[f64], level: f64) -> (f64, f64) {
    let tail = (1.0 - level) / 2.0;
    let corrected = || {
        // Equal but for rounding: sums of the same numbers in another order.
        let slack = 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
        let below = sorted.partition_point(|other| *other < mean - slack);
        let to = sorted.partition_point(|other| *other <= mean + slack);
        let bias = normal_quantile((below + to) as f64 / 2.0 / sorted.len() as f64)?;
        let squares = differences.central_sum(mean, 2);
        let acceleration = differences.central_sum(mean, 3) / (6.0 * squares.powf(1.5));
        let share = |tail: f64| {
            let shifted = bias + normal_quantile(tail)?;
            let share = cumulative(bias + shifted / (1.0 - acceleration * shifted));
            share.is_finite().then_some(share)
        };
        Some((share(tail)?, share(1.0 - tail)?))
    };
    corrected().unwrap_or((tail, 1.0 - tail))
}

/// The sum over as many draws with replacement as there are pairs.
///
/// A draw hits a changed pair with probability changed/pairs. Where that is rare, the geometric gaps between hits are
/// drawn instead of every single draw: the same distribution, at a cost that follows what changed.
fn resampled_sum(differences: &Differences, mut rng: CounterRng) -> f64 {
    let (changed, pairs) = (&differences.changed, differences.pairs);
    let density = changed.len() as f64 / pairs as f64;
    let mut sum = 0.0;
    if density > RARE {
        for _ in 0..pairs {
            // The zeros are the pairs behind the changed ones.
            if let Some(difference) = changed.get(rng.below(pairs) as usize) {
                sum += difference;
            }
        }
        return sum;
    }
    let scale = 1.0 / libm::log1p(-density);
    let mut draws = 0;
    loop {
        // The gap is at most ln(2^-53) * scale: far below 2^63 for any number of pairs that fits a machine.
        draws += (libm::log(rng.next_unit()) * scale) as u64 + 1;
        if draws > pairs {
            return sum;
        }
        if let Some(difference) = changed.get(rng.below(changed.len() as u64) as usize) {
            sum += difference;
        }
    }
}

/// Share of changed pairs up to which gaps are cheaper than draws.
const RARE: f64 = 0.25;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stats::mean;
    use ndarray::aview1;
    use proptest::prelude::*;

    pub fn differences(values: impl IntoIterator<Item = f64>) -> Differences {
        let mut differences = Differences::default();
        values.into_iter().for_each(|value| differences.push(value));
        differences
    }

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.bootstrap, method="BCa", 200,000 resamples (scripts/stats_figures.py).
        let wide = Resampling { resamples: 20_000, ..Resampling::default() };
        let agrees = |data: &Differences, how, (low, high): (f64, f64), within: f64| {
            let interval = bootstrap_mean(data, how).unwrap();
            assert!((interval.low - low).abs() < within && (interval.high - high).abs() < within, "{interval:?}");
        };
        let even = differences((0..200).map(|i| f64::from(i * 37 % 101 - 47) / 100.0));
        assert!((even.mean().unwrap() - 0.03045).abs() < 1e-12);
        agrees(&even, wide, (-0.0101, 0.0710), 2e-3);
        // Skewed: the percentile interval is (0.1265, 0.2740).
        let skewed = differences((0..40).map(|i| f64::from(i % 10).powi(3) / 1000.0));
        agrees(&skewed, wide, (0.1370, 0.2866), 3e-3);
        // 30 worse, 12 better of 500.
        agrees(&Differences::of_outcomes(30, 12, 500), Resampling::default(), (-0.062, -0.012), 3e-3);
    }

    #[test]
    fn an_interval_of_equal_differences_is_a_point() {
        let same = differences([0.25; 7]);
        assert_eq!(bootstrap_mean(&same, Resampling::default()), Some(Interval { low: 0.25, high: 0.25 }));
        assert_eq!(same.variance(), Some(0.0));
        assert_eq!(differences([0.0, 1.0]).variance(), Some(0.5));
        assert_eq!(differences([1.0]).variance(), None);
    }

    proptest! {
        /// Turned round, the interval turns round: within what the resamples' own error allows.
        #[test]
        fn lies_around_the_mean(values in proptest::collection::vec(-10.0..10.0f64, 8..60), scale in 0.1..100.0f64) {
            let of = |factor: f64| differences(values.iter().map(|value| value * factor));
            let interval = |data: &Differences| bootstrap_mean(data, Resampling::default()).unwrap();
            let (plain, scaled) = (interval(&of(1.0)), interval(&of(scale)));
            let mean = of(1.0).mean().unwrap();
            prop_assert!(plain.low <= mean && mean <= plain.high, "{:?} {}", plain, mean);
            let width = plain.high - plain.low;
            prop_assert!((scaled.low / scale - plain.low).abs() <= 1e-9 * (1.0 + width));
            prop_assert!((scaled.high / scale - plain.high).abs() <= 1e-9 * (1.0 + width));
        }
    }

    #[test]
    fn zeros_are_only_counted() {
        let data = differences([0.0, 0.5, 0.0, -0.25]);
        assert_eq!((data.pairs(), data.changed().len()), (4, 2));
        assert_eq!(data.mean(), mean(aview1(&[0.0, 0.5, 0.0, -0.25])));
        assert_eq!(differences([-0.0]).changed().len(), 0);
    }

    #[test]
    fn does_not_depend_on_threads() {
        let data = differences((0..300).map(|i| f64::from(i % 7) / 7.0));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap_mean(&data, Resampling::default()).unwrap())
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn gaps_and_draws_have_the_same_distribution() {
        // Either side of the border: means and spreads of 4,000 resamples agree with theory within five standard
        // errors.
        for changed in [240u64, 260] {
            let data = Differences::of_outcomes(changed / 4, changed - changed / 4, 1_000);
            let mean = data.mean().unwrap();
            let variance = changed as f64 / 1e3 - mean * mean;
            let sums: Vec<f64> = (0..4_000).map(|r| resampled_sum(&data, CounterRng::new(3, r)) / 1e3).collect();
            let seen = crate::stats::mean(aview1(&sums)).unwrap();
            let spread = crate::stats::variance(aview1(&sums)).unwrap() * 1e3;
            assert!((seen - mean).abs() < 5.0 * (variance / 1e3 / 4e3).sqrt(), "{seen} {mean}");
            assert!((spread / variance - 1.0).abs() < 5.0 * (2.0f64 / 4e3).sqrt(), "{spread} {variance}");
        }
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(bootstrap_mean(&differences([]), Resampling::default()), None);
        assert_eq!(bootstrap_mean(&differences([1.0]), Resampling::default()), None);
        assert_eq!(bootstrap_mean(&differences([1.0, f64::NAN]), Resampling::default()), None);
        let none = Resampling { resamples: 0, ..Resampling::default() };
        assert_eq!(bootstrap_mean(&differences([1.0, 2.0]), none), None);
        assert_eq!(bootstrap_mean(&differences([0.0, 0.0]), none), None);
        let zero = Some(Interval { low: 0.0, high: 0.0 });
        assert_eq!(bootstrap_mean(&differences([0.0, 0.0]), Resampling::default()), zero);
        assert_eq!(Differences::default().mean(), None);
    }
}
