//! Sizes: how often the tests of paired outcomes are significant where nothing changed.

use super::{Clusters, CounterRng, Draws, McNemar, mcnemar_power, unit_test};

/// The level of the tests.
const ALPHA: f64 = 0.05;
const REPEATS: u64 = 20_000;

/// The chance of a rejection given each number of differing pairs up to `most`, by adding up the outcomes that are rejected.
fn rejections(how: McNemar, most: usize) -> Vec<f64> {
    let mut row = vec![1.0];
    let mut chances = Vec::new();
    for m in 0..=most as u64 {
        let rejected = (0..=m).filter(|k| how.p_value(*k, m - k) < ALPHA);
        chances.push(rejected.map(|k| row[k as usize]).sum());
        // Pascal's triangle, in probabilities.
        let mut next = vec![0.0; row.len() + 1];
        for (k, chance) in row.iter().enumerate() {
            next[k] += chance / 2.0;
            next[k + 1] += chance / 2.0;
        }
        row = next;
    }
    chances
}

/// The probabilities of 0 to n differing pairs.
fn differing(n: usize, psi: f64) -> Vec<f64> {
    let ln_factorial = |n: usize| libm::lgamma(n as f64 + 1.0);
    let ln = |m: usize| {
        let choose = ln_factorial(n) - ln_factorial(m) - ln_factorial(n - m);
        choose + m as f64 * psi.ln() + (n - m) as f64 * (1.0 - psi).ln()
    };
    (0..=n).map(|m| ln(m).exp()).collect()
}

/// The size over `n` pairs of which a share `psi` is expected to differ, by enumeration.
fn size(n: usize, psi: f64, rejections: &[f64]) -> f64 {
    differing(n, psi).iter().zip(rejections).map(|(weight, chance)| weight * chance).sum()
}

/// The largest size over 6 to 400 pairs and 1 % to 30 % expected to differ, with where it is.
fn worst(how: McNemar) -> (usize, f64, f64) {
    let rejections = rejections(how, 400);
    let mut worst = (0, 0.0, 0.0);
    for n in 6..=400 {
        for psi in (1..=30).map(|percent| f64::from(percent) / 100.0) {
            let size = size(n, psi, &rejections);
            if size > worst.2 {
                worst = (n, psi, size);
            }
        }
    }
    worst
}

#[test]
fn sizes_over_the_grid() {
    let (mid, exact) = (worst(McNemar::MidP), worst(McNemar::Exact));
    println!("{mid:?} {exact:?}");
    assert!(mid.2 <= 0.055, "{mid:?}");
    assert!(exact.2 <= 0.05, "{exact:?}");
}

/// How often a simulated null is significant.
fn simulated(n: usize, psi: f64, how: McNemar) -> f64 {
    let significant = (0..REPEATS).filter(|repeat| {
        let mut rng = CounterRng::new(5, *repeat);
        let (mut regressed, mut improved) = (0, 0);
        for _ in 0..n {
            let unit = rng.next_unit();
            regressed += u64::from(unit <= psi / 2.0);
            improved += u64::from(unit > 1.0 - psi / 2.0);
        }
        how.p_value(regressed, improved) < ALPHA
    });
    significant.count() as f64 / REPEATS as f64
}

#[test]
fn simulated_sizes_are_those_enumerated() {
    let (n, psi, _) = worst(McNemar::MidP);
    for how in [McNemar::MidP, McNemar::Exact] {
        let rejections = rejections(how, 400);
        for (n, psi) in [(n, psi), (100, 0.1), (400, 0.05)] {
            let size = size(n, psi, &rejections);
            let (share, error) = (simulated(n, psi, how), (size * (1.0 - size) / REPEATS as f64).sqrt());
            println!("{how:?} {n} {psi}: {size:.5} {share:.5}");
            assert!((share - size).abs() < 3.0 * error, "{how:?} {n} {psi}: {share} {size}");
            let power = mcnemar_power(n as u64, psi, 0.0, how, ALPHA).unwrap();
            assert!((power - size).abs() < 1e-11, "{how:?} {n} {psi}: {power} {size}");
        }
    }
}

/// Cases with answers that are alike: a chance to pass of each case, moved by chance for each of the two runs, which is what
/// makes the differences of a case hang together.
fn case(rng: &mut CounterRng, answers: u64) -> f64 {
    let (base, spread) = (rng.next_unit(), 0.6);
    let mut passed = || {
        let chance = base + spread * (rng.next_unit() - 0.5);
        (0..answers).filter(|_| rng.next_unit() <= chance).count() as f64
    };
    let (before, after) = (passed(), passed());
    after - before
}

/// The size of the test of units, and of McNemar's test had it counted answers, over cases with as many answers.
fn of_units(answers: &[u64]) -> (f64, f64) {
    const REPEATS: u64 = 2_000;
    let (mut units, mut outside) = (0, 0);
    for repeat in 0..REPEATS {
        let mut rng = CounterRng::new(17, repeat);
        let mut clusters = Clusters::default();
        answers.iter().for_each(|n| clusters.push(case(&mut rng, *n), *n));
        let got = unit_test(&clusters, Draws { draws: 999, seed: repeat, ..Draws::default() }, (-1.0, 1.0)).unwrap();
        units += u64::from(got.p_value < ALPHA);
        outside += u64::from(!got.interval.unwrap().contains(0.0));
    }
    assert_eq!(units, outside, "test and interval agree");
    (units as f64 / REPEATS as f64, outside as f64 / REPEATS as f64)
}

#[test]
fn sizes_of_units() {
    let uneven: Vec<u64> = (0..30).map(|at| 1 + at % 10).collect();
    for answers in [&[5; 20][..], &[5; 10], &[10; 50], &uneven] {
        let (size, _) = of_units(answers);
        println!("{} cases: {size}", answers.len());
        assert!((0.02..=0.065).contains(&size), "{answers:?}: {size}");
    }
}
