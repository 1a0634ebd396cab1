//! Score intervals of a paired difference that take into account what was not seen: of single outcomes (Tango), and of units
//! whose mean differences lie within bounds.

use super::interval::beyond;
use super::{Interval, normal_quantile};

/// Steps of a bisection: the ends are right to a part in 2^52 of the bounds' width.
const STEPS: u32 = 54;

/// Tango's score interval at a confidence `level` of the difference (improved - regressed) / `pairs` of two paired pass rates
/// (T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
/// 1998): the λ whose score (improved - regressed - pairs λ) / sqrt(variance at λ) is within the normal quantile, with the
/// variance at the most likely rates that have this difference. Of `pairs` that are all equal it is ±z² / (pairs + z²).
///
/// `None` for no pairs, more that differ than there are, or a level outside (0, 1).
pub fn tango(regressed: u64, improved: u64, pairs: u64, level: f64) -> Option<Interval> {
    regressed.checked_add(improved).filter(|changed| pairs > 0 && *changed <= pairs)?;
    let z = normal_quantile(1.0 - beyond(level)? / 2.0)?;
    let (worse, better, n) = (regressed as f64, improved as f64, pairs as f64);
    let low = |worse: f64, better: f64| {
        falling((-1.0, (better - worse) / n), z, |delta| {
            let b = -better - worse + (2.0 * n - better + worse) * delta;
            let c = -worse * delta * (1.0 - delta);
            let root = (b * b - 8.0 * n * c).max(0.0).sqrt();
            // The larger root, without cancellation: the most likely share of regressed pairs.
            let share = if b <= 0.0 { (root - b) / (4.0 * n) } else { -2.0 * c / (b + root) };
            standardised(better - worse - n * delta, n * (2.0 * share + delta * (1.0 - delta)))
        })
    };
    Some(Interval { low: low(worse, better) + 0.0, high: 0.0 - low(better, worse) })
}

/// The same of units with several pairs, or with values: sum and number of the differences of each, and how many units there
/// are besides of one pair without a difference. `bounds` are the least and the largest difference possible.
///
/// The most likely distribution is that over the units seen and one that was not, at the bound and as large as the largest
/// (A. B. Owen, "Empirical likelihood ratio confidence intervals for a single functional", 1988, with the bound as a further
/// point). Of single outcomes this is [`tango`]. The interval is widened by [`with_unseen`].
///
/// `None` for no units, bounds that are not finite or that a unit lies beyond, or a level outside (0, 1).
pub(super) fn score_of_units(units: &[(f64, f64)], equal: u64, bounds: (f64, f64), level: f64) -> Option<Interval> {
    let z = normal_quantile(1.0 - beyond(level)? / 2.0)?;
    let inside = |(sum, n): &(f64, f64)| {
        let slack = 1e-9 * n;
        bounds.0 * n - slack <= *sum && *sum <= bounds.1 * n + slack
    };
    let defined = equal + units.len() as u64 > 0 && bounds.0.is_finite() && bounds.1.is_finite();
    if !defined || !units.iter().all(inside) {
        return None;
    }
    let turned: Vec<(f64, f64)> = units.iter().map(|(sum, n)| (-sum, *n)).collect();
    let low = Sample::new(units, equal, bounds.0).low(z);
    let high = Sample::new(&turned, equal, -bounds.1).low(z);
    let (sum, pairs) = units.iter().fold((0.0, equal as f64), |(sum, pairs), (own, n)| (sum + own, pairs + n));
    let interval = Interval { low: low + 0.0, high: 0.0 - high };
    with_unseen(interval, sum / pairs, equal + units.len() as u64, bounds, level)
}

/// An interval of a mean difference over so many units, made to hold that units of a kind that was not seen lie at a bound: in
/// (1 - level)/2 of the samples a kind that is a share 1 - ((1 - level)/2)^(1/units) of all is not seen (of 95 % the "rule of
/// three and seven tenths"; J. A. Hanley and A. Lippman-Hand, 1983). It matters below twenty units.
///
/// `None` for a level outside (0, 1).
pub fn with_unseen(interval: Interval, mean: f64, units: u64, bounds: (f64, f64), level: f64) -> Option<Interval> {
    let share = 1.0 - (beyond(level)? / 2.0).powf(1.0 / units.max(1) as f64);
    let towards = |bound: f64| mean + share * (bound - mean);
    Some(Interval { low: interval.low.min(towards(bounds.0)), high: interval.high.max(towards(bounds.1)) })
}

/// A sum in standard errors; without a variance it is beyond every limit, or 0.
fn standardised(sum: f64, variance: f64) -> f64 {
    match (sum > 0.0, variance > 0.0) {
        (_, true) => sum / variance.sqrt(),
        (true, false) => f64::INFINITY,
        (false, false) => 0.0,
    }
}

/// Where a function that falls from above `z` at the low end to below it at the high end crosses it.
fn falling((mut low, mut high): (f64, f64), z: f64, mut of: impl FnMut(f64) -> f64) -> f64 {
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if of(middle) > z { low = middle } else { high = middle }
    }
    high
}

/// Units with the bound below which no difference lies.
struct Sample<'a> {
    units: &'a [(f64, f64)],
    equal: f64,
    bound: f64,
    sum: f64,
    pairs: f64,
    count: f64,
    largest: f64,
}

impl<'a> Sample<'a> {
    fn new(units: &'a [(f64, f64)], equal: u64, bound: f64) -> Self {
        let equal = equal as f64;
        let (mut sum, mut pairs, mut largest) = (0.0, equal, 1.0);
        for (own, n) in units {
            sum += own;
            pairs += n;
            largest = f64::max(largest, *n);
        }
        Self { units, equal, bound, sum, pairs, count: equal + units.len() as f64, largest }
    }

    /// The lower end.
    fn low(&self, z: f64) -> f64 {
        let mean = self.sum / self.pairs;
        if mean <= self.bound {
            return self.bound;
        }
        let mut slope = 0.0;
        falling((self.bound, mean), z, |delta| {
            let (found, variance) = self.variance(delta, slope);
            slope = found;
            standardised(self.sum - delta * self.pairs, self.count * variance)
        })
    }

    /// Adds up a function of the distances from `delta`.
    fn total(&self, delta: f64, of: impl Fn(f64) -> f64) -> f64 {
        let listed: f64 = self.units.iter().map(|(sum, n)| of(sum - delta * n)).sum();
        if self.equal > 0.0 { listed + self.equal * of(-delta) } else { listed }
    }

    /// The variance of a unit's distance from `delta` under the most likely distribution of which that is the mean, with its
    /// Lagrange multiplier; a unit at distance x has the weight 1 / (count (1 + multiplier x)).
    fn variance(&self, delta: f64, start: f64) -> (f64, f64) {
        let unseen = (self.bound - delta) * self.largest;
        let most = -1.0 / unseen;
        let imbalance = |slope: f64| self.total(delta, |x| x / (1.0 + slope * x));
        let at_most = imbalance(most * (1.0 - 1e-12));
        if at_most >= 0.0 {
            // What the units seen leave over is at the bound.
            let seen = self.total(delta, |x| 1.0 / (1.0 + most * x)) / self.count;
            let squares = self.total(delta, |x| x * x / (1.0 + most * x)) / self.count;
            return (most, squares + (1.0 - seen).max(0.0) * unseen * unseen);
        }
        // Newton's steps, kept inside what is known. Beside the pole at `most` they are short without being near the root.
        let balanced = 1e-9 * self.total(delta, f64::abs);
        let (mut low, mut high) = (0.0, most);
        let mut slope = if start > low && start < high { start } else { f64::midpoint(low, high) };
        for _ in 0..200 {
            let value = imbalance(slope);
            if value > 0.0 {
                low = slope
            } else {
                high = slope
            }
            let fall = self.total(delta, |x| (x / (1.0 + slope * x)).powi(2));
            let next = slope + value / fall;
            let next = if next > low && next < high { next } else { f64::midpoint(low, high) };
            let done = (next - slope).abs() <= 1e-13 * most && value.abs() <= balanced;
            slope = next;
            if done {
                break;
            }
        }
        (slope, self.total(delta, |x| x * x / (1.0 + slope * x)) / self.count)
    }
}

#[cfg(test)]
mod tests;
