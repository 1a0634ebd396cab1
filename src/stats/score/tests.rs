//! Tests of the score intervals.

use proptest::prelude::*;

use super::*;

const RATES: (f64, f64) = (-1.0, 1.0);

/// Roots of the score by scipy's `brentq`, at the maximum of the likelihood that the difference constrains, found by `brentq` as
/// well (scripts/stats_figures.py). 7 and 1 of 21 are published: -0.517 to -0.026 (M. W. Fagerland, S. Lydersen and P. Laake,
/// "Recommended tests and confidence intervals for paired binomial proportions", 2014).
#[test]
fn outcomes_agree_with_a_constrained_likelihood() {
    let known = [
        (12, 2, 50, 0.95, -0.34470874828214876, -0.06111240618634397),
        (0, 0, 50, 0.95, -0.07134759913336071, 0.07134759913336072),
        (0, 0, 5, 0.95, -0.43448246478317676, 0.43448246478317676),
        (1, 0, 50, 0.95, -0.10495443589637952, 0.05277455111602591),
        (9, 2, 380, 0.95, -0.039818729341193175, -0.0015922667609680754),
        (30, 12, 120, 0.95, -0.25327358344674145, -0.04588929643450964),
        (3, 40, 100, 0.99, 0.22595379090500464, 0.5074325009367538),
        (0, 12, 12, 0.95, 0.5150119866895193, 1.0),
        (5, 5, 10, 0.9, -0.46145635772346505, 0.4614563577234651),
        (121, 59, 1319, 0.95, -0.06721462270114444, -0.027383917146882923),
        (7, 1, 21, 0.95, -0.5172322764213775, -0.02600303248086856),
    ];
    for (regressed, improved, pairs, level, low, high) in known {
        let got = tango(regressed, improved, pairs, level).unwrap();
        let off = (got.low - low).abs().max((got.high - high).abs());
        assert!(off < 1e-9, "{regressed} {improved} {pairs}: {got:?} {low} {high}");
        let turned = tango(improved, regressed, pairs, level).unwrap();
        assert_eq!((turned.low, turned.high), (-got.high, -got.low));
    }
}

#[test]
fn pairs_that_are_all_equal_leave_something_open() {
    let z = normal_quantile(0.975).unwrap();
    for pairs in [1, 5, 100, 1_000_000] {
        let (got, n) = (tango(0, 0, pairs, 0.95).unwrap(), pairs as f64);
        assert!((got.high - z * z / (n + z * z)).abs() < 1e-12 && got.low == -got.high, "{pairs}: {got:?}");
    }
    // Of five no share below 1 - 0.025^(1/5) is ruled out.
    let five = with_unseen(tango(0, 0, 5, 0.95).unwrap(), 0.0, 5, RATES, 0.95).unwrap();
    assert!((five.high - (1.0 - 0.025_f64.powf(0.2))).abs() < 1e-12 && five.low == -five.high, "{five:?}");
}

#[test]
fn undefined_is_none() {
    assert_eq!((tango(0, 0, 0, 0.95), tango(3, 3, 5, 0.95), tango(1, 1, 5, 1.0)), (None, None, None));
    assert_eq!(tango(u64::MAX, 1, u64::MAX, 0.95), None);
    let of = |units: &[(f64, f64)], equal, bounds| score_of_units(units, equal, bounds, 0.95);
    assert_eq!((of(&[], 0, RATES), of(&[(-2.0, 1.0)], 9, RATES)), (None, None));
    assert_eq!(of(&[(-0.5, 1.0)], 9, (f64::NEG_INFINITY, f64::INFINITY)), None);
    assert_eq!(of(&[(f64::NAN, 1.0)], 9, RATES), None);
}

/// At -0.4 the multiplier of -0.6, where the search begins, is the pole itself but for rounding.
#[test]
fn a_search_that_begins_at_the_pole_leaves_it() {
    let units = [(-1.0, 1.0); 11];
    let (got, own) = (score_of_units(&units, 44, RATES, 0.95).unwrap(), tango(11, 0, 55, 0.95).unwrap());
    assert!((got.low - own.low).abs() < 1e-9 && (got.high - own.high).abs() < 1e-9, "{got:?} {own:?}");
}

/// The largest unit is what was not seen: a group that is half of all cases could have fallen.
#[test]
fn a_large_unit_leaves_more_open() {
    let even = score_of_units(&[(0.0, 2.0); 50], 0, RATES, 0.95).unwrap();
    let uneven = score_of_units(&[(0.0, 50.0)], 50, RATES, 0.95).unwrap();
    assert!(uneven.high > 2.0 * even.high, "{uneven:?} {even:?}");
}

proptest! {
    /// Of single outcomes the general interval is Tango's, and it holds the difference.
    #[test]
    fn units_of_outcomes_are_tangos(regressed in 0u64..40, improved in 0u64..40, same in 0u64..300) {
        let pairs = regressed + improved + same;
        prop_assume!(pairs > 0);
        let units = |count: u64, sum: f64| std::iter::repeat_n((sum, 1.0), count as usize);
        let units: Vec<_> = units(regressed, -1.0).chain(units(improved, 1.0)).collect();
        let mean = (improved as f64 - regressed as f64) / pairs as f64;
        let own = with_unseen(tango(regressed, improved, pairs, 0.95).unwrap(), mean, pairs, RATES, 0.95).unwrap();
        let got = score_of_units(&units, same, RATES, 0.95).unwrap();
        prop_assert!((got.low - own.low).abs() < 1e-7 && (got.high - own.high).abs() < 1e-7, "{:?} {:?}", got, own);
        prop_assert!(-1.0 <= own.low && own.low <= mean && mean <= own.high && own.high <= 1.0, "{:?}", own);
    }

    #[test]
    fn units_hold_their_mean(units in proptest::collection::vec((-1.0..1.0f64, 1u64..9), 1..40), equal in 0u64..50) {
        let units: Vec<_> = units.iter().map(|(share, n)| (share * *n as f64, *n as f64)).collect();
        let (sum, pairs) = units.iter().fold((0.0, equal as f64), |(s, p), (sum, n)| (s + sum, p + n));
        let got = score_of_units(&units, equal, RATES, 0.95).unwrap();
        prop_assert!(-1.0 - 1e-12 <= got.low && got.high <= 1.0 + 1e-12, "{:?}", got);
        prop_assert!(got.low < sum / pairs && sum / pairs < got.high, "{:?}", got);
    }
}
