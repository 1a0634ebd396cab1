//! Tests of the sign-flip test of units.

use proptest::prelude::*;

use super::*;
use crate::stats::differences::tests::differences;
use crate::stats::mcnemar_mid_p;

const RATES: (f64, f64) = (-1.0, 1.0);

fn clusters(units: &[(f64, u64)]) -> Clusters {
    let mut clusters = Clusters::default();
    units.iter().for_each(|(sum, n)| clusters.push(*sum, *n));
    clusters
}

/// p(δ) by its definition.
fn plain(units: &[(f64, u64)], delta: f64) -> f64 {
    let moved: Vec<f64> = units.iter().map(|(sum, n)| sum - delta * *n as f64).collect();
    let seen = moved.iter().sum::<f64>().abs();
    let mut halves = 0;
    for signs in 0..1u32 << moved.len() {
        let one = |(at, value): (usize, &f64)| if signs >> at & 1 == 0 { *value } else { -value };
        let sum = moved.iter().enumerate().map(one).sum::<f64>().abs();
        halves += if (sum - seen).abs() < 1e-9 { 1 } else { 2 * u32::from(sum > seen) };
    }
    f64::from(halves) / f64::from(2u32 << moved.len())
}

/// Holds the test and the interval against the definition.
fn check(units: &[(f64, u64)], how: Draws) -> UnitTest {
    let got = unit_test(&clusters(units), how, (-20.0, 20.0)).unwrap();
    let total: f64 = units.iter().map(|(sum, _)| sum).sum();
    let right = if total.abs() < 1e-9 { 1.0 } else { plain(units, 0.0) };
    assert!((got.p_value - right).abs() < 1e-12, "{units:?}: {got:?} {right}");
    got
}

#[test]
fn intervals_are_the_inverted_test() {
    let all: [&[(f64, u64)]; 4] = [
        &[(1.0, 5), (-2.0, 5), (3.0, 5), (0.0, 5), (2.0, 5), (1.0, 5), (4.0, 5), (0.0, 5), (1.0, 5)],
        &[(0.5, 1), (1.25, 3), (-0.5, 2), (2.0, 7), (0.75, 1), (0.0, 4), (1.5, 2), (3.0, 6), (0.25, 1), (0.0, 1)],
        &[(-1.0, 1), (-1.0, 1), (-1.0, 2), (-3.0, 4), (-1.0, 1), (-2.0, 3), (-1.0, 1)],
        &[(1.0, 1), (0.0, 1), (0.0, 1), (1.0, 1), (0.0, 1), (-1.0, 1), (1.0, 1), (0.0, 1), (1.0, 1), (1.0, 1)],
    ];
    for units in all {
        for level in [0.95, 0.9, 0.8, 0.5] {
            let got = check(units, Draws { level, ..Draws::default() });
            let interval = got.interval.unwrap();
            for (end, outwards) in [(interval.low, -1e-6), (interval.high, 1e-6)] {
                let (inside, outside) = (plain(units, end - outwards), plain(units, end + outwards));
                assert!(inside >= 1.0 - level && outside < 1.0 - level, "{units:?} {level} {end}: {inside} {outside}");
            }
        }
    }
}

#[test]
fn few_units_leave_everything_open() {
    let open = Some(Interval { low: -1.0, high: 1.0 });
    assert_eq!(unit_test(&clusters(&[(-10.0, 10), (0.0, 1)]), Draws::default(), RATES).unwrap().interval, open);
    let four = pair_test(&Differences::of_outcomes(4, 0, 4), Draws::default(), RATES).unwrap();
    assert_eq!((four.p_value, four.interval), (0.0625, open));
}

/// Where no unit differs there is no interval of the change; what was not seen has one, where values have bounds.
#[test]
fn without_a_change_only_what_was_not_seen_is_open() {
    let none = |pairs, bounds| pair_test(&Differences::of_outcomes(0, 0, pairs), Draws::default(), bounds).unwrap();
    for pairs in [3, 100] {
        let got = none(pairs, RATES);
        assert_eq!((got.p_value, got.interval), (1.0, None));
        let (covering, unseen) = (got.covering.unwrap(), 1.0 - 0.025_f64.powf(1.0 / pairs as f64));
        assert!((covering.high >= unseen - 1e-12) && covering.high < 1.1 * unseen && covering.low == -covering.high);
        let unbounded = none(pairs, (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!(unbounded, UnitTest { p_value: 1.0, interval: None, covering: None });
    }
    let turns = unit_test(&clusters(&[(0.0, 4); 20]), Draws::default(), RATES).unwrap();
    assert_eq!((turns.p_value, turns.interval), (1.0, None));
    assert!(turns.covering.unwrap().low < -0.1);
}

/// One of 50 that fell says little of a margin of 0.05: at a true fall of that size 28 % of samples have at most one.
#[test]
fn what_is_rare_is_covered() {
    let one = pair_test(&Differences::of_outcomes(1, 0, 50), Draws::default(), RATES).unwrap();
    let covering = one.covering.unwrap();
    assert!(covering.low < -0.08 && covering.low > -0.12, "{one:?}");
    assert!(one.interval.unwrap().low >= -0.05, "what the inverted test alone says: {one:?}");
}

/// 0.143209... is the mid-p of all signs, by convolution; (-0.01042, 0.07132) scipy's Student interval of the mean.
#[test]
fn many_units_come_near() {
    let even: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 101 - 47) / 100.0).collect();
    let how = Draws { draws: 50_000, ..Draws::default() };
    let got = pair_test(&differences(even.iter().copied()), how, RATES).unwrap();
    let p = 0.14320907130701171_f64;
    assert!((got.p_value - p).abs() < 3.0 * (p * (1.0 - p) / 5e4).sqrt(), "{got:?}");
    let interval = got.interval.unwrap();
    assert!((interval.low + 0.01042).abs() < 1e-3 && (interval.high - 0.07132).abs() < 1e-3, "{interval:?}");
}

/// The roots in δ of p(δ), summed over how many of the regressed, of the improved and of the equal pairs keep their sign
/// (scripts/stats_figures.py).
#[test]
fn outcomes_have_the_interval_of_all_signs() {
    let known = [
        (0, 5, 12, 0.0, 0.750000000),
        (5, 0, 50, -0.185185185, 0.0),
        (1, 9, 60, 0.034482759, 0.233333333),
        (9, 1, 200, -0.070707071, -0.009900990),
        (12, 9, 100, -0.120689655, 0.061224490),
        (30, 12, 120, -0.254237288, -0.047619048),
    ];
    for (regressed, improved, pairs, low, high) in known {
        let outcomes = Differences::of_outcomes(regressed, improved, pairs);
        let got = pair_test(&outcomes, Draws { draws: 40_000, ..Draws::default() }, RATES).unwrap();
        assert!((got.p_value - mcnemar_mid_p(regressed, improved)).abs() < 0.01);
        let interval = got.interval.unwrap();
        let off = (interval.low - low).abs().max((interval.high - high).abs());
        assert!(off < 0.02 * (high - low), "{regressed} {improved} {pairs}: {interval:?} {low} {high}");
    }
}

/// Beyond the border a normal number stands for the balance of the signs.
#[test]
fn many_equal_pairs_are_alike_on_either_side() {
    let of = |equal| {
        let outcomes = Differences::of_outcomes(300, 200, equal + 500);
        pair_test(&outcomes, Draws::default(), RATES).unwrap().interval.unwrap()
    };
    let (bits, normal) = (of(MANY), of(MANY + 1));
    let width = bits.high - bits.low;
    assert!((bits.low - normal.low).abs() < 0.03 * width && (bits.high - normal.high).abs() < 0.03 * width);
}

#[test]
fn does_not_depend_on_threads() {
    let units: Vec<(f64, u64)> = (0..120).map(|i| (f64::from(i * 37 % 11) / 7.0 - 0.6, 1 + i as u64 % 4)).collect();
    for units in [&units[..], &units[..10], &[&units[..9], &[(0.0, 1); 900], &[(0.0, 3); 70]].concat()] {
        let units = clusters(units);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| unit_test(&units, Draws::default(), RATES).unwrap())
        };
        assert_eq!(with(1), with(3));
    }
}

#[test]
fn undefined_is_none() {
    let of = |units: &[(f64, u64)], how| unit_test(&clusters(units), how, RATES);
    assert_eq!(of(&[], Draws::default()), None);
    assert_eq!(of(&[(f64::NAN, 1)], Draws::default()), None);
    assert_eq!(of(&[(f64::INFINITY, 2)], Draws::default()), None);
    let none = Draws { draws: 0, ..Draws::default() };
    assert_eq!(of(&[(1.0, 1); 17], none), None);
    assert!(of(&[(1.0, 1); 16], none).is_some());
    let level = Draws { level: 1.0, ..Draws::default() };
    assert_eq!(of(&[(1.0, 1); 3], level), Some(UnitTest { p_value: 0.125, interval: None, covering: None }));
}

fn units(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(f64, u64)>> {
    let unit = (1..6u64).prop_flat_map(|n| (-(n as i32)..=n as i32).prop_map(move |sum| (f64::from(sum), n)));
    proptest::collection::vec(unit, count)
}

/// 0 lies outside exactly where the p-value is below 5 %, and the mean inside.
fn agrees(units: &Clusters, how: Draws) -> Result<(), TestCaseError> {
    let got = unit_test(units, how, RATES).unwrap();
    prop_assert_eq!(got.interval.is_some(), units.iter().any(|(sum, _)| sum != 0.0));
    let Some(interval) = got.interval else { return Ok(()) };
    let covering = got.covering.unwrap();
    prop_assert!(covering.low <= interval.low && interval.high <= covering.high, "{:?} {:?}", units, got);
    prop_assert_eq!(interval.contains(0.0), got.p_value >= 0.05, "{:?} {:?}", units, got);
    prop_assert!(-1.0 <= interval.low && interval.high <= 1.0);
    let mean = units.mean().unwrap();
    prop_assert!(interval.low <= mean + 1e-12 && mean - 1e-12 <= interval.high, "{:?} {} {:?}", units, mean, got);
    Ok(())
}

proptest! {
    #[test]
    fn of_outcomes_it_is_mcnemar(regressed in 0u64..9, improved in 0u64..8, same in 1u64..50, draws in 5_000u32..70_000) {
        let pairs = regressed + improved + same;
        let how = Draws { draws, ..Draws::default() };
        // With 14 changes and few draws the signs are drawn.
        prop_assume!(pairs <= 16 || 1 << (regressed + improved).saturating_sub(1) <= draws);
        let got = pair_test(&Differences::of_outcomes(regressed, improved, pairs), how, RATES).unwrap();
        prop_assert!((got.p_value - mcnemar_mid_p(regressed, improved)).abs() < 1e-12);
    }

    #[test]
    fn few_units_are_as_defined(units in units(1..11)) {
        check(&units, Draws::default());
    }

    #[test]
    fn test_and_interval_agree(few in units(1..17), many in units(17..60), seed in 0u64..1_000, same in 0u64..200) {
        let how = Draws { seed, draws: 199, ..Draws::default() };
        agrees(&clusters(&few), how)?;
        agrees(&clusters(&many), how)?;
        let mut mixed = clusters(&few);
        (0..same).for_each(|_| mixed.push(0.0, 1));
        agrees(&mixed, how)?;
        // Leaning to one side, so that p is near 5 %.
        let lean: Vec<_> = many.iter().map(|(sum, n)| ((sum + 0.8).min(*n as f64), *n)).collect();
        agrees(&clusters(&lean), how)?;
    }

    /// A worse unit never makes a fall look more like chance: of all signs, and of the same drawn ones.
    #[test]
    fn worse_is_never_less_significant(few in units(1..15), many in units(20..50), at in 0usize..14, by in 0.1..3.0f64) {
        for units in [few, many.iter().map(|(sum, n)| (*sum, n + 1)).collect()] {
            let total: f64 = units.iter().map(|(sum, _)| sum).sum();
            prop_assume!(total <= 0.0);
            let at = at % units.len();
            let mut worse = units.clone();
            worse[at].0 -= by;
            let p = |units: &[(f64, u64)]| {
                unit_test(&clusters(units), Draws { draws: 499, ..Draws::default() }, (-9.0, 9.0)).unwrap().p_value
            };
            prop_assert!(p(&worse) <= p(&units) + 1e-12, "{:?} {} {}", units, at, by);
        }
    }

    /// Turned round, the test stays and the interval turns.
    #[test]
    fn sides_are_alike(units in units(1..30)) {
        let turned: Vec<_> = units.iter().map(|(sum, n)| (-sum, *n)).collect();
        let of = |units: &[(f64, u64)]| unit_test(&clusters(units), Draws::default(), RATES).unwrap();
        let (one, two) = (of(&units), of(&turned));
        prop_assert_eq!(one.p_value, two.p_value);
        for (own, other) in [(one.interval, two.interval), (one.covering, two.covering)] {
            prop_assert_eq!(own.map(|own| (own.low, own.high)), other.map(|other| (-other.high, -other.low)));
        }
    }
}
