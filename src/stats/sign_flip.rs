//! The sign-flip test of paired differences, in mid-p form, of values and of units (cases with several answers, groups of
//! cases), and the intervals that go with it.

use rayon::prelude::*;

use super::interval::beyond;
use super::score::score_of_units;
use super::{Clusters, CounterRng, Differences, Interval, normal_quantile};

/// Up to so many units, all signs are tried.
const EXACT: usize = 16;
/// Of more equal pairs than this the balance of signs is drawn from its normal limit instead of bit by bit.
const MANY: u64 = 1 << 17;

/// How to draw signs. The default is what reports use: 9,999 draws, seed 0, 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draws {
    /// Number of draws, where not all signs are tried.
    pub draws: u32,
    /// Seed of the counter-based generator.
    pub seed: u64,
    /// Confidence level of the interval.
    pub level: f64,
}

impl Default for Draws {
    fn default() -> Self {
        Self { draws: 9_999, seed: 0, level: super::CONFIDENCE }
    }
}

/// A test of "no difference" and the interval of the mean difference over all pairs: 0 lies outside exactly where the p-value
/// is below 1 - level (to 15 digits).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitTest {
    /// Two-sided mid-p-value, in (0, 1].
    pub p_value: f64,
    /// The mean differences that the same test at 1 - level does not reject; `None` where no unit differs, and for a level outside
    /// (0, 1).
    pub interval: Option<Interval>,
    /// The same, widened so that what was not seen counts: it holds the score interval whose units may also lie at a bound. This is
    /// what non-inferiority is judged by. `None` where no unit differs and no bounds are known.
    pub covering: Option<Interval>,
}

/// The two-sided test of the mean difference over the pairs of `units`, of which any could as well have the other sign (R. A.
/// Fisher, 1935; of means of groups, J. P. Romano, 1990), and its inversion into an interval (J. A. Hartigan, "Using subsample
/// values as typical values", 1969; P. H. Garthwaite, 1996).
///
/// With d and n the sum and the number of the differences of a unit, and fair signs s, p(δ) is the chance that |Σ s (d - δ n)|
/// is above |Σ (d - δ n)|, and half the chance that the two are equal (mid-p; H. O. Lancaster, 1961); the p-value is p(0), or 1
/// where the sum is 0. Of units of one pair with outcomes of -1, 0 and 1 this is [`super::mcnemar_mid_p`]. The interval holds
/// the δ with p(δ) >= 1 - level; where so few units never fall below that, its end is that of `bounds`, the least and the
/// largest difference possible, infinite where there is none.
///
/// All signs are tried for up to 16 units. All signs of the units whose sum is not 0 are, where they are no more than `draws`:
/// then the p-value is exact, and only the interval draws the signs of the others. Else all are drawn, and the data are counted
/// among the draws (B. Phipson and G. K. Smyth, 2010). Draw r is of stream r, and sums are added in the order of the units, so
/// nothing depends on the number of threads.
///
/// `None` for no units, sums that are not finite, or no draws where some are needed.
pub fn unit_test(units: &Clusters, how: Draws, bounds: (f64, f64)) -> Option<UnitTest> {
    let mut signed = Signed::default();
    units.iter().for_each(|(sum, n)| signed.push(sum, n));
    signed.test(how, bounds)
}

/// [`unit_test`] of pairs that are units each.
pub fn pair_test(pairs: &Differences, how: Draws, bounds: (f64, f64)) -> Option<UnitTest> {
    let changed = pairs.changed().to_vec();
    let signed = Signed { equal: pairs.pairs() - changed.len() as u64, single: changed, joined: Vec::new() };
    signed.test(how, bounds)
}

/// Units, of which those that are one pair without a difference are only counted.
#[derive(Clone, Debug, Default)]
struct Signed {
    /// Sum and number of the differences of units of several pairs.
    joined: Vec<(f64, f64)>,
    /// Differences of single pairs.
    single: Vec<f64>,
    /// Number of single pairs without one.
    equal: u64,
}

/// Σ s d and Σ s n of one choice of signs.
#[derive(Clone, Copy, Debug)]
struct Draw {
    sum: f64,
    n: f64,
}

impl Signed {
    fn push(&mut self, sum: f64, n: u64) {
        match n {
            0 => {}
            1 if sum == 0.0 => self.equal += 1,
            1 => self.single.push(sum),
            _ => self.joined.push((sum, n as f64)),
        }
    }

    /// All units but those that are only counted.
    fn listed(&self) -> impl Iterator<Item = (f64, f64)> {
        self.joined.iter().copied().chain(self.single.iter().map(|sum| (*sum, 1.0)))
    }

    fn test(&self, how: Draws, bounds: (f64, f64)) -> Option<UnitTest> {
        let units: Vec<(f64, f64)> = self.listed().collect();
        let score = score_of_units(&units, self.equal, bounds, how.level);
        if self.equal + units.len() as u64 > 0 && units.iter().all(|(sum, _)| *sum == 0.0) {
            return Some(UnitTest { p_value: 1.0, interval: None, covering: score });
        }
        let shown = self.shown(how)?;
        let p_value = shown.p_value();
        let interval = shown.interval(p_value, how.level, bounds);
        let both = |one: Interval, two: Interval| Interval { low: one.low.min(two.low), high: one.high.max(two.high) };
        let covering = interval.map(|own| score.map_or(own, |score| both(own, score)));
        Some(UnitTest { p_value, interval, covering })
    }

    fn shown(&self, how: Draws) -> Option<Shown> {
        let (mut sum, mut sizes, mut n) = (0.0, 0.0, self.equal as f64);
        for (own, pairs) in self.listed() {
            sum += own;
            sizes += f64::abs(own);
            n += pairs;
        }
        if n == 0.0 || !f64::is_finite(sizes) {
            return None;
        }
        // Sums that are equal but for rounding are equal.
        let slack = 1e-13 * sizes;
        let seen = if f64::abs(sum) <= slack { 0.0 } else { sum };
        let snap = |draw: Draw| {
            let equal = f64::abs(draw.sum.abs() - f64::abs(seen)) <= slack;
            Draw { sum: if equal { f64::abs(seen).copysign(draw.sum) } else { draw.sum }, ..draw }
        };
        let (draws, itself) = Plan::new(self.clone(), how.draws)?.draws(how.seed);
        Some(Shown { sum: seen, n, itself, draws: draws.into_iter().map(snap).collect() })
    }
}

/// Which signs are tried one by one and which are drawn.
#[derive(Debug)]
struct Plan {
    /// Units of which all signs are tried. The first keeps its own: turning all signs round changes nothing.
    tried: Vec<(f64, f64)>,
    drawn: Signed,
    /// Draws for each choice of the tried.
    repeats: u64,
}

impl Plan {
    fn new(mut units: Signed, draws: u32) -> Option<Self> {
        let listed = units.joined.len() + units.single.len();
        if listed as u64 + units.equal <= EXACT as u64 {
            let tried = units.listed().chain((0..units.equal).map(|_| (0.0, 1.0))).collect();
            return Some(Self { tried, drawn: Signed::default(), repeats: 1 });
        }
        if draws == 0 {
            return None;
        }
        let tried: Vec<_> = units.listed().filter(|(sum, _)| *sum != 0.0).collect();
        let Some(all) = all_signs(tried.len() as u64, draws) else {
            return Some(Self { tried: Vec::new(), drawn: units, repeats: u64::from(draws) });
        };
        units.joined.retain(|(sum, _)| *sum == 0.0);
        units.single.clear();
        Some(Self { tried, drawn: units, repeats: u64::from(draws).div_ceil(all) })
    }

    /// All draws in order, and how often the data themselves are counted beside them.
    fn draws(&self, seed: u64) -> (Vec<Draw>, u64) {
        let patterns = 1u64 << self.tried.len().saturating_sub(1);
        let one = |at: u64| {
            let mut draw = Draw { sum: 0.0, n: 0.0 };
            draw.add(self.tried.iter().copied(), (at / self.repeats) << 1);
            self.drawn.draw(&mut draw, CounterRng::new(seed, at));
            draw
        };
        let draws = (0..patterns * self.repeats).into_par_iter().map(one).collect();
        // Drawn signs are only some of all: the data belong to them. Where no sum is left to draw all are there.
        let some = self.drawn.listed().any(|(sum, _)| sum != 0.0);
        (draws, u64::from(some))
    }
}

/// How many choices of signs so many units have, turned round counted once; `None` where they are to be drawn.
fn all_signs(units: u64, draws: u32) -> Option<u64> {
    (units <= EXACT as u64).then(|| 1 << units.saturating_sub(1)).filter(|all| *all <= u64::from(draws))
}

impl Signed {
    /// Adds all units with random signs.
    fn draw(&self, draw: &mut Draw, mut rng: CounterRng) {
        for units in self.joined.chunks(64) {
            draw.add(units.iter().copied(), rng.next_u64());
        }
        for units in self.single.chunks(64) {
            let signs = rng.next_u64();
            for (at, sum) in units.iter().enumerate() {
                draw.sum += signed(*sum, signs >> at);
            }
            draw.n += balance(signs, units.len() as u64);
        }
        draw.n += random_balance(&mut rng, self.equal);
    }
}

impl Draw {
    /// Adds up to 64 units, those at a bit of 1 with the other sign.
    fn add(&mut self, units: impl Iterator<Item = (f64, f64)>, signs: u64) {
        for (at, (sum, n)) in units.enumerate() {
            self.sum += signed(sum, signs >> at);
            self.n += signed(n, signs >> at);
        }
    }
}

/// The value, with the other sign where the last bit is 1.
fn signed(value: f64, bits: u64) -> f64 {
    f64::from_bits(value.to_bits() ^ (bits << 63))
}

/// How many more of the last `count` bits are 0 than 1.
fn balance(bits: u64, count: u64) -> f64 {
    let ones = u64::from((bits << (64 - count)).count_ones());
    count as f64 - 2.0 * ones as f64
}

/// How many more of `count` fair coins are heads than tails.
fn random_balance(rng: &mut CounterRng, count: u64) -> f64 {
    if count > MANY {
        return (count as f64).sqrt() * normal_quantile(rng.next_unit()).unwrap_or(0.0);
    }
    let (mut left, mut sum) = (count, 0.0);
    while left > 0 {
        let own = left.min(64);
        sum += balance(rng.next_u64(), own);
        left -= own;
    }
    sum
}

/// What was seen, and what could as well have been.
#[derive(Debug)]
struct Shown {
    sum: f64,
    n: f64,
    /// How often the data themselves are counted beside the draws.
    itself: u64,
    draws: Vec<Draw>,
}

impl Shown {
    fn interval(&self, p_value: f64, level: f64, bounds: (f64, f64)) -> Option<Interval> {
        let alpha = beyond(level)?;
        let (low, high) = self.ends(alpha, bounds);
        Some(Interval { low, high }.agreeing(self.sum > 0.0, p_value < alpha))
    }

    /// A share of the draws and the data, in halves.
    fn share(&self, halves: u64) -> f64 {
        halves as f64 / (2 * (self.draws.len() as u64 + self.itself)) as f64
    }

    fn p_value(&self) -> f64 {
        if self.sum == 0.0 {
            return 1.0;
        }
        let halves =
            |draw: &Draw| u64::from(draw.sum.abs() > self.sum.abs()) + u64::from(draw.sum.abs() >= self.sum.abs());
        self.share(self.draws.iter().map(halves).sum::<u64>() + self.itself)
    }

    /// A draw is at least as extreme as what was seen for δ between the mean differences of its two halves, the units that keep
    /// their sign and those that do not: the mean over all lies between these two. One without two halves is always equal. So
    /// p(δ) falls outwards, by steps at these means.
    fn ends(&self, alpha: f64, bounds: (f64, f64)) -> (f64, f64) {
        let (mut lows, mut highs) = (Vec::new(), Vec::new());
        for Draw { sum, n } in &self.draws {
            let (kept, turned) = (self.n + n, self.n - n);
            if kept > 0.0 && turned > 0.0 {
                let (kept, turned) = ((self.sum + sum) / kept, (self.sum - sum) / turned);
                lows.push(kept.min(turned));
                highs.push(kept.max(turned));
            }
        }
        lows.sort_by(f64::total_cmp);
        highs.sort_by(|one, two| two.total_cmp(one));
        let always = (self.draws.len() - lows.len()) as u64 + self.itself;
        let end = |outside_in: &[f64], bound: f64| {
            let inside = (0..=outside_in.len()).find(|count| self.share(2 * *count as u64 + always) >= alpha);
            match inside {
                Some(0) => bound,
                Some(count) => outside_in[count - 1],
                // Of next to no units and a level near 0.
                None => self.sum / self.n,
            }
        };
        let (low, high) = (end(&lows, bounds.0), end(&highs, bounds.1));
        (low.max(bounds.0) + 0.0, high.min(bounds.1) + 0.0)
    }
}

#[cfg(test)]
mod tests;
