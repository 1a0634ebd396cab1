//! Sizes and coverage: how often the tests of paired outcomes are significant where nothing changed, and how often their
//! intervals hold the difference.

use super::{Clusters, CounterRng, Draws, Interval, McNemar, mcnemar_power, tango, two_rates, unit_test, with_unseen};

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

/// Mid-p: 0.04937 at 162 pairs of which 30 % differ. Exact: 0.04018 at 400 of which 30 % differ. (Mid-p where nearly all
/// differ: 0.0502 at 20 of which 80 % do, 0.0535 at 17 of which 90 % do, 0.0768 at 16 that all do.)
#[test]
fn sizes_over_the_grid() {
    let (mid, exact) = (worst(McNemar::MidP), worst(McNemar::Exact));
    assert!(mid.2 <= 0.055, "{mid:?}");
    assert!((mid.0, mid.1) == (162, 0.3) && (mid.2 - 0.04937).abs() < 1e-5, "{mid:?}");
    assert!((exact.0, exact.1) == (400, 0.3) && (exact.2 - 0.04018).abs() < 1e-5, "{exact:?}");
}

/// Regressed and improved of `n` pairs, of which a share `psi` differs, by chance, with this difference of the rates.
fn drawn(repeat: u64, n: u64, (psi, difference): (f64, f64)) -> (u64, u64) {
    let mut rng = CounterRng::new(5, repeat);
    let (mut regressed, mut improved) = (0, 0);
    for _ in 0..n {
        let unit = rng.next_unit();
        regressed += u64::from(unit <= (psi - difference) / 2.0);
        improved += u64::from(unit > 1.0 - (psi + difference) / 2.0);
    }
    (regressed, improved)
}

/// How often a simulated null is significant.
fn simulated(n: usize, psi: f64, how: McNemar) -> f64 {
    let significant = (0..REPEATS).filter(|repeat| {
        let (regressed, improved) = drawn(*repeat, n as u64, (psi, 0.0));
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

/// The size of the test of units over cases with as many answers.
fn of_units(answers: &[u64]) -> f64 {
    const REPEATS: u64 = 2_000;
    let mut significant = 0;
    for repeat in 0..REPEATS {
        let mut rng = CounterRng::new(17, repeat);
        let mut clusters = Clusters::default();
        answers.iter().for_each(|n| clusters.push(case(&mut rng, *n), *n));
        let got = unit_test(&clusters, Draws { draws: 999, seed: repeat, ..Draws::default() }, (-1.0, 1.0)).unwrap();
        assert_eq!(got.interval.is_none_or(|interval| interval.contains(0.0)), got.p_value >= ALPHA);
        significant += u64::from(got.p_value < ALPHA);
    }
    significant as f64 / REPEATS as f64
}

/// 0.0465 of 20 cases of 5 answers, 0.049 of 10, 0.058 of 50 of 10 answers, 0.044 of 30 of 1 to 10 (with 20,000 repeats of
/// another seed 0.0487, 0.0454, 0.0498 and 0.0488); a standard error is 0.005.
#[test]
fn sizes_of_units() {
    let uneven: Vec<u64> = (0..30).map(|at| 1 + at % 10).collect();
    for answers in [&[5; 20][..], &[5; 10], &[10; 50], &uneven] {
        let size = of_units(answers);
        assert!((0.02..=0.065).contains(&size), "{answers:?}: {size}");
    }
}

/// How often an interval at 95 % holds the true difference: Tango's, and that of McNemar's test, which takes the number of pairs
/// that differ as given, in 95.7, 91.1, 85.8, 67.5 and 92.2 %.
#[test]
fn intervals_of_outcomes_cover() {
    const REPEATS: u64 = 4_000;
    for (n, psi, difference, given) in [
        (50, 0.3, 0.0, 0.94),
        (100, 0.2, 0.1, 0.89),
        (400, 0.05, 0.03, 0.84),
        (100, 0.1, 0.08, 0.67),
        (400, 0.2, -0.1, 0.88),
    ] {
        let (mut covered, mut conditional) = (0, 0);
        for repeat in 0..REPEATS {
            let (regressed, improved) = drawn(repeat, n, (psi, difference));
            let holds = |interval: Option<Interval>| u64::from(interval.is_some_and(|own| own.contains(difference)));
            covered += holds(tango(regressed, improved, n, 0.95));
            conditional += holds(McNemar::MidP.interval(regressed, improved, n, 0.95));
        }
        let [covered, conditional] = [covered, conditional].map(|count| count as f64 / REPEATS as f64);
        assert!((0.94..0.975).contains(&covered), "{n} {psi} {difference}: {covered}");
        assert!((given..0.975).contains(&conditional), "{n} {psi} {difference}: {conditional}");
    }
}

/// The chance that `n` pairs pass a rule of non-inferiority with this margin where the true fall is the margin, and a share
/// `psi` of the pairs is expected to differ: by enumeration.
fn passing(n: u64, margin: f64, psi: f64, passes: &[(u64, u64)]) -> f64 {
    let ln_factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    let (worse, better) = ((psi + margin) / 2.0, ((psi - margin) / 2.0).max(0.0));
    let power = |rate: f64, count: u64| if count == 0 { 0.0 } else { count as f64 * rate.ln() };
    let chance = |(b, c): &(u64, u64)| {
        let same = n - b - c;
        let choose = ln_factorial(n) - ln_factorial(*b) - ln_factorial(*c) - ln_factorial(same);
        (choose + power(worse, *b) + power(better, *c) + power(1.0 - psi, same)).exp()
    };
    passes.iter().map(chance).sum()
}

/// The largest chance to pass at the margin over 1 to 30 % that differ, and at which share.
fn worst_passing(n: u64, margin: f64) -> (f64, f64) {
    let all = (0..=n).flat_map(|b| (0..=n - b).map(move |c| (b, c)));
    let passes: Vec<(u64, u64)> = all
        .filter(|(b, c)| {
            let mean = (*c as f64 - *b as f64) / n as f64;
            // Far above the margin in the wrong direction nothing passes.
            mean > -margin && {
                let covering = tango(*b, *c, n, 0.95).and_then(|own| with_unseen(own, mean, n, (-1.0, 1.0), 0.95));
                covering.unwrap().low >= -margin - 1e-9
            }
        })
        .collect();
    let shares = (1..=30).map(|percent| f64::from(percent) / 100.0).filter(|psi| *psi >= margin - 1e-12);
    let sizes = shares.map(|psi| (passing(n, margin, psi, &passes), psi));
    sizes.fold((0.0, 0.0), |worst, size| if size.0 > worst.0 { size } else { worst })
}

/// One-sided 2.5 % nominal; 3.02 % at most (30 pairs, margin 0.3), 2.87 % up to a margin of 0.15 (20 pairs, 0.05), and next to
/// nothing below ten pairs. `cargo test --release non_inferiority -- --nocapture` prints the table.
#[test]
fn sizes_of_non_inferiority() {
    let mut most = 0.0_f64;
    for n in [5, 10, 20, 30, 50, 100] {
        for margin in [0.03, 0.05, 0.1, 0.15, 0.3] {
            let (size, psi) = worst_passing(n, margin);
            eprintln!("{n} pairs, margin {margin}: {:.2} % at {:.0} % that differ", 100.0 * size, 100.0 * psi);
            most = most.max(size);
            assert!(size <= 0.035, "{n} {margin}: {size} at {psi}");
        }
    }
    assert!(most > 0.02, "{most}");
}

/// The same of units: cases of five answers, of which a share falls as a whole, or that wander besides: 2.2 % at most, by
/// simulation.
#[test]
fn sizes_of_non_inferiority_over_units() {
    const REPEATS: u64 = 2_000;
    for (n, margin) in [(20, 0.15), (50, 0.05), (50, 0.12), (100, 0.05), (100, 0.08)] {
        for (answers, wander) in [(1, 0.0), (5, 0.0), (5, 0.2)] {
            let mut passed = 0;
            for repeat in 0..REPEATS {
                let mut rng = CounterRng::new(23, repeat);
                let mut clusters = Clusters::default();
                for _ in 0..n {
                    let unit = rng.next_unit();
                    let turned = if rng.next_unit() < 0.5 { -1.0 } else { 1.0 };
                    let sum = if unit <= margin { -(answers as f64) } else { 0.0 };
                    let moved = if unit > margin && rng.next_unit() <= wander { turned } else { 0.0 };
                    clusters.push(sum + moved, answers);
                }
                let how = Draws { draws: 499, seed: repeat, ..Draws::default() };
                let got = unit_test(&clusters, how, (-1.0, 1.0)).unwrap();
                passed += u64::from(got.covering.unwrap().low >= -margin);
            }
            let size = passed as f64 / REPEATS as f64;
            eprintln!("{n} units of {answers}, margin {margin}, {wander} wander: {:.2} %", 100.0 * size);
            assert!(size <= 0.04, "{n} {answers} {margin} {wander}: {size}");
        }
    }
}

/// The chance that two samples of one rate are called different, by enumeration.
fn size_of_two(n: u64, m: u64, rate: f64) -> f64 {
    let chances = |n: u64| differing(n as usize, rate);
    let (one, two) = (chances(n), chances(m));
    let mut size = 0.0;
    for (k, chance) in one.iter().enumerate().filter(|(_, chance)| **chance > 1e-9) {
        for (l, other) in two.iter().enumerate().filter(|(_, other)| **other > 1e-9) {
            let found = two_rates((k as u64, n), (l as u64, m), 0.95).unwrap();
            size += if found.p_value < ALPHA { chance * other } else { 0.0 };
        }
    }
    size
}

/// Of samples of one size, and of arms of a canary that are far apart, near an end or not: 5.7 % at most (50 and 50 at 0.5), and
/// 4.9 % of arms that are far apart.
#[test]
fn sizes_of_two_samples() {
    let mut most = 0.0_f64;
    for (n, m) in [(10, 10), (20, 20), (50, 50), (17, 500), (30, 300)] {
        for rate in [0.01, 0.05, 0.1, 0.3, 0.5] {
            let size = size_of_two(n, m, rate);
            eprintln!("{n} and {m} at {rate}: {:.2} %", 100.0 * size);
            most = most.max(size);
        }
    }
    assert!(most <= 0.06, "{most}");
}
