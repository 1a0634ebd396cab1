//! What McNemar's test could have shown: its exact power, and the smallest difference that it finds.

use super::McNemar;
use super::binomial::{at_most, mass};

/// Numbers of differing pairs less likely than this are left out; all of them together are below 1e-12.
const NEGLIGIBLE: f64 = 1e-14;

/// The chance that McNemar's test at level `alpha` finds a true `difference` of pass rates, of either sign, between runs of
/// which a share `discordance` of all pairs is expected to differ: the number M of pairs that differ is
/// Binomial(`pairs`, discordance), and of them Binomial(M, (1 + |difference| / discordance) / 2) differ in its direction (the
/// unconditional exact power; S. W. Duffy, "Asymptotic and exact power for the McNemar test", 1984). Summed exactly but for
/// 1e-12; finding the difference with the wrong sign counts, as the size of a two-sided test does.
///
/// `None` for no pairs, a discordance outside [0, 1], a difference beyond it, or an `alpha` outside (0, 1).
pub fn mcnemar_power(pairs: u64, discordance: f64, difference: f64, how: McNemar, alpha: f64) -> Option<f64> {
    let defined = pairs > 0 && (0.0..=1.0).contains(&discordance) && difference.abs() <= discordance;
    if !(defined && alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let lean = if discordance > 0.0 { (difference.abs() / discordance).min(1.0) } else { 0.0 };
    Some(Design::new(pairs, discordance, how, alpha).power(lean))
}

/// What a sample of pairs could have shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Detectable {
    /// The smallest |difference| of pass rates, in (0, 1], that is found with the power asked for at the discordance observed.
    Effect(f64),
    /// As many pairs that differ, all in one direction, would not be significant: no change could be.
    Never,
    /// It could be significant, but even a change of all of them in one direction is not found with that power.
    Beyond,
    /// No pair differs: nothing is known.
    Unknown,
}

/// The smallest true difference of pass rates that McNemar's test at level `alpha` finds with the chance `power`, where
/// `discordant` of the `pairs` differ: [`mcnemar_power`] at the discordance observed, solved for the difference to 1e-9 of
/// the power.
///
/// `Unknown` also where there are fewer pairs than differ, or not 0 < `alpha` < `power` < 1.
pub fn mcnemar_detectable(pairs: u64, discordant: u64, how: McNemar, alpha: f64, power: f64) -> Detectable {
    let defined = alpha > 0.0 && alpha < power && power < 1.0;
    if discordant == 0 || discordant > pairs || !defined {
        return Detectable::Unknown;
    }
    if how.p_value(discordant, 0) >= alpha {
        return Detectable::Never;
    }
    let discordance = discordant as f64 / pairs as f64;
    let design = Design::new(pairs, discordance, how, alpha);
    match root(|lean| design.power(lean) - power) {
        Some(lean) => Detectable::Effect(lean * discordance),
        None => Detectable::Beyond,
    }
}

/// The root in [0, 1] of a function that grows from below 0, by the Illinois variant of regula falsi (M. Dowell and P.
/// Jarratt, 1971); `None` where it stays below.
fn root(of: impl Fn(f64) -> f64) -> Option<f64> {
    let (mut low, mut high) = ((0.0, of(0.0)), (1.0, of(1.0)));
    if high.1 < 0.0 {
        return None;
    }
    let mut side = 0;
    while high.0 - low.0 > 1e-13 {
        let inside = (high.0 * low.1 - low.0 * high.1) / (low.1 - high.1);
        let at = if inside > low.0 && inside < high.0 { inside } else { f64::midpoint(low.0, high.0) };
        let value = of(at);
        if value.abs() < 1e-9 {
            return Some(at);
        }
        // An end that stays twice counts half, so that both close in.
        if value < 0.0 {
            low = (at, value);
            high.1 *= if side == -1 { 0.5 } else { 1.0 };
            side = -1;
        } else {
            high = (at, value);
            low.1 *= if side == 1 { 0.5 } else { 1.0 };
            side = 1;
        }
    }
    Some(high.0)
}

/// Numbers of pairs that may differ, with what is rejected: all that does not depend on the effect.
#[derive(Debug)]
pub(super) struct Design {
    /// The first number of differing pairs at which anything is rejected.
    first: u64,
    /// From there on: the probability of the number, and the largest smaller count that is rejected.
    steps: Vec<(f64, u64)>,
}

impl Design {
    pub fn new(pairs: u64, discordance: f64, how: McNemar, alpha: f64) -> Self {
        let (from, weights) = likely(pairs, discordance);
        let none = Self { first: 0, steps: Vec::new() };
        // Ever more pairs in one direction: 2^-1074 is the smallest number there is.
        let Some(least) = (1..1_100).find(|n| how.p_value(0, *n) < alpha) else { return none };
        let first = from.max(least);
        let Some(weights) = weights.get((first - from) as usize..) else { return none };
        let rejected = critical(first, weights.len(), how, alpha);
        Self { first, steps: weights.iter().copied().zip(rejected).collect() }
    }

    /// The chance of a rejection where the differing pairs lean to one side: with (1 + lean) / 2 of them there on average.
    pub fn power(&self, lean: f64) -> f64 {
        let Some((_, rejected)) = self.steps.first() else { return 0.0 };
        let (more, less) = ((1.0 + lean) / 2.0, (1.0 - lean) / 2.0);
        let mut right = Tail::new(*rejected, self.first, (less, more));
        let mut wrong = Tail::new(*rejected, self.first, (more, less));
        let mut power = 0.0;
        for (weight, rejected) in &self.steps {
            if *rejected as f64 > right.k {
                right.raise();
                wrong.raise();
            }
            power += weight * (right.sum + wrong.sum);
            right.grow();
            wrong.grow();
        }
        power.min(1.0)
    }
}

/// The first number of differing pairs that is not negligible, and the probabilities from there on.
fn likely(pairs: u64, discordance: f64) -> (u64, Vec<f64>) {
    let rest = 1.0 - discordance;
    let mode = ((pairs as f64 * discordance) as u64).min(pairs);
    let centre = mass(mode, pairs, (discordance, rest));
    let mut weights = Vec::new();
    let (mut from, mut weight) = (mode, centre);
    while from > 0 {
        weight *= from as f64 * rest / ((pairs - from + 1) as f64 * discordance);
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push(weight);
        from -= 1;
    }
    weights.reverse();
    let (mut to, mut weight) = (mode, centre);
    while weight >= NEGLIGIBLE {
        weights.push(weight);
        weight *= (pairs - to) as f64 * discordance / ((to + 1) as f64 * rest);
        to += 1;
        if to > pairs {
            break;
        }
    }
    (from, weights)
}

/// The largest smaller count that is rejected, of each of `count` numbers of differing pairs from `first` on, at which some
/// is. From one number to the next it stays or grows by one.
fn critical(first: u64, count: usize, how: McNemar, alpha: f64) -> Vec<u64> {
    let rejects = |k: u64, n: u64| how.p_value(k, n - k) < alpha;
    let (mut rejected, mut not) = (0, first / 2 + 1);
    while not - rejected > 1 {
        let middle = u64::midpoint(rejected, not);
        if rejects(middle, first) { rejected = middle } else { not = middle }
    }
    let own = if how == McNemar::MidP { 0.5 } else { 0.0 };
    let mut next = Tail::new(rejected + 1, first, (0.5, 0.5));
    let mut all = Vec::with_capacity(count);
    for n in (first..).take(count) {
        let p = 2.0 * (next.sum - own * next.mass);
        // Near the level the test itself decides.
        let sure = (p - alpha).abs() > 1e-9 * alpha;
        if n > first && if sure { p < alpha } else { rejects(rejected + 1, n) } {
            rejected += 1;
            next.raise();
        }
        all.push(rejected);
        next.grow();
    }
    all
}

/// The lower tail of a binomial distribution, followed from one number and size to the next.
#[derive(Clone, Copy, Debug)]
struct Tail {
    k: f64,
    n: f64,
    chance: f64,
    rest: f64,
    odds: f64,
    /// P(X = k).
    mass: f64,
    /// P(X <= k).
    sum: f64,
}

impl Tail {
    fn new(k: u64, n: u64, (chance, rest): (f64, f64)) -> Self {
        // Of a certain outcome nothing is below n.
        let odds = if rest > 0.0 { chance / rest } else { 0.0 };
        let (mass, sum) = (mass(k, n, (chance, rest)), at_most(k, n, (chance, rest)));
        Self { k: k as f64, n: n as f64, chance, rest, odds, mass, sum }
    }

    /// The same k of one more: P(X <= k) loses chance * P(X = k).
    fn grow(&mut self) {
        self.sum -= self.chance * self.mass;
        self.mass *= self.rest * (self.n + 1.0) / (self.n + 1.0 - self.k);
        self.n += 1.0;
    }

    /// One more of the same n.
    fn raise(&mut self) {
        self.mass *= (self.n - self.k) / (self.k + 1.0) * self.odds;
        self.k += 1.0;
        self.sum += self.mass;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::CounterRng;

    #[test]
    fn power_agrees_with_scipy() {
        let known = [
            (12, 0.5, 0.4, McNemar::MidP, 0.05, 0.4811740200647732),
            (12, 0.5, 0.4, McNemar::Exact, 0.05, 0.3201293656306911),
            (60, 0.3, 0.2, McNemar::MidP, 0.05, 0.851163382745233),
            (60, 0.3, 0.2, McNemar::Exact, 0.05, 0.7972957088990866),
            (200, 0.1, 0.05, McNemar::MidP, 0.05, 0.61669081733605),
            (200, 0.1, 0.05, McNemar::Exact, 0.05, 0.5432963571965507),
            (380, 0.05, 0.05, McNemar::MidP, 0.05, 0.9999722198702083),
            (380, 0.05, 0.05, McNemar::Exact, 0.05, 0.9998832045905687),
            (1000, 0.2, 0.0, McNemar::MidP, 0.01, 0.009821947989285238),
            (1000, 0.2, 0.0, McNemar::Exact, 0.01, 0.008125055350337635),
            (2000, 0.3, 0.06, McNemar::MidP, 0.1, 0.9994886291944796),
            (2000, 0.3, 0.06, McNemar::Exact, 0.1, 0.9994116213634044),
        ];
        for (pairs, discordance, difference, how, alpha, power) in known {
            for difference in [difference, -difference] {
                let got = mcnemar_power(pairs, discordance, difference, how, alpha).unwrap();
                assert!((got - power).abs() < 1e-10, "{pairs} {discordance} {difference} {how:?}: {got} {power}");
            }
        }
    }

    #[test]
    fn critical_counts_are_those_of_the_test() {
        for how in [McNemar::MidP, McNemar::Exact] {
            for alpha in [0.05, 0.001, 0.5] {
                let Design { first, steps } = Design::new(300, 0.5, how, alpha);
                for (n, (_, k)) in (first..).zip(&steps) {
                    assert!(how.p_value(*k, n - k) < alpha, "{how:?} {alpha} {n} {k}");
                    assert!(how.p_value(*k + 1, n - k - 1) >= alpha, "{how:?} {alpha} {n} {k}");
                }
            }
        }
        let Design { first, steps } = Design::new(4_000_000, 0.5, McNemar::MidP, 0.05);
        for at in [0, steps.len() / 2, steps.len() - 1] {
            let (n, k) = (first + at as u64, steps[at].1);
            assert!(mcnemar_p(k, n) < 0.05 && mcnemar_p(k + 1, n) >= 0.05, "{n} {k}");
        }
    }

    fn mcnemar_p(k: u64, n: u64) -> f64 {
        McNemar::MidP.p_value(k, n - k)
    }

    #[test]
    fn power_agrees_with_a_simulation() {
        const REPEATS: u64 = 20_000;
        for (pairs, discordance, difference) in [(60, 0.3, 0.2), (200, 0.1, 0.05), (380, 0.05, 0.03)] {
            for how in [McNemar::MidP, McNemar::Exact] {
                let power = mcnemar_power(pairs, discordance, difference, how, 0.05).unwrap();
                let found = (0..REPEATS).filter(|repeat| {
                    let mut rng = CounterRng::new(11, *repeat);
                    let (mut regressed, mut improved) = (0, 0);
                    for _ in 0..pairs {
                        let unit = rng.next_unit();
                        regressed += u64::from(unit <= (discordance + difference) / 2.0);
                        improved += u64::from(unit > 1.0 - (discordance - difference) / 2.0);
                    }
                    how.p_value(regressed, improved) < 0.05
                });
                let (share, error) =
                    (found.count() as f64 / REPEATS as f64, (power * (1.0 - power) / REPEATS as f64).sqrt());
                assert!((share - power).abs() < 3.0 * error, "{pairs} {how:?}: {share} {power}");
            }
        }
    }

    #[test]
    fn the_detectable_difference_has_the_power() {
        for (pairs, discordant) in [(50, 20), (400, 12), (400, 40), (400, 400), (30_000, 600), (1_000_000, 500_000)] {
            for how in [McNemar::MidP, McNemar::Exact] {
                let Detectable::Effect(effect) = mcnemar_detectable(pairs, discordant, how, 0.05, 0.8) else {
                    panic!("{pairs} {discordant}")
                };
                let discordance = discordant as f64 / pairs as f64;
                let power = mcnemar_power(pairs, discordance, effect, how, 0.05).unwrap();
                assert!((power - 0.8).abs() < 1e-8, "{pairs} {discordant} {how:?}: {effect} {power}");
                // Of large samples it is what the normal approximation says.
                let normal = crate::stats::smallest_detectable(discordance, pairs, 0.05, 0.8).unwrap();
                assert!(pairs < 1_000_000 || (effect / normal - 1.0).abs() < 0.005, "{effect} {normal}");
            }
        }
    }

    #[test]
    fn what_could_not_be_shown_is_said() {
        let of = |pairs, discordant| mcnemar_detectable(pairs, discordant, McNemar::MidP, 0.05, 0.8);
        assert_eq!((of(12, 1), of(12, 4), of(1_000_000, 4)), (Detectable::Never, Detectable::Never, Detectable::Never));
        assert_eq!((of(12, 5), of(400, 5)), (Detectable::Beyond, Detectable::Beyond));
        assert_eq!((of(12, 0), of(0, 0), of(3, 5)), (Detectable::Unknown, Detectable::Unknown, Detectable::Unknown));
        assert_eq!(mcnemar_detectable(400, 5, McNemar::Exact, 0.05, 0.8), Detectable::Never);
        for (alpha, power) in [(0.0, 0.8), (0.05, 0.05), (0.05, 1.0), (f64::NAN, 0.8)] {
            assert_eq!(mcnemar_detectable(100, 50, McNemar::MidP, alpha, power), Detectable::Unknown);
        }
    }

    #[test]
    fn undefined_is_none() {
        let of =
            |pairs, discordance, difference, alpha| mcnemar_power(pairs, discordance, difference, McNemar::MidP, alpha);
        assert_eq!((of(0, 0.1, 0.0, 0.05), of(9, 1.1, 0.0, 0.05), of(9, f64::NAN, 0.0, 0.05)), (None, None, None));
        assert_eq!((of(9, 0.1, 0.2, 0.05), of(9, 0.1, 0.0, 0.0), of(9, 0.1, f64::NAN, 0.05)), (None, None, None));
        assert_eq!((of(9, 0.0, 0.0, 0.05), of(3, 0.5, 0.5, 0.05)), (Some(0.0), Some(0.0)));
        assert!((of(9, 1.0, 1.0, 0.05).unwrap() - 1.0).abs() < 1e-12);
    }
}
