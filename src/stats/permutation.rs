//! The paired permutation test: could the mean difference be chance.

use rayon::prelude::*;

use super::{CounterRng, Differences};

/// Up to so many differences that are not zero, all signs are tried.
const EXACT: usize = 16;

/// The two-sided p-value of "each difference could as well have the other sign" for the mean of paired differences (R. A.
/// Fisher, 1935; as scipy's `permutation_test` with `permutation_type="samples"`), exact for few differences, else from
/// `permutations` draws, the data themselves counted among them (B. Phipson and G. K. Smyth, 2010).
///
/// `None` for no pairs, a sum that is not finite, or no permutations where some are needed. Zeros have no sign and do not
/// enter. Draw r is of stream r, so the value does not depend on the number of threads.
pub fn sign_flip(differences: &Differences, permutations: u32, seed: u64) -> Option<f64> {
    let changed = differences.changed();
    let seen = differences.mean()?.abs() * differences.pairs() as f64;
    // Sums that are equal but for rounding.
    let limit = seen * (1.0 - 1e-14) - f64::MIN_POSITIVE;
    if changed.len() <= EXACT {
        let signs = 1u32 << changed.len();
        let sum = |signs: u32| -> f64 {
            changed.iter().enumerate().map(|(at, value)| if signs >> at & 1 == 0 { *value } else { -value }).sum()
        };
        let extreme = (0..signs).filter(|signs| sum(*signs).abs() >= limit).count();
        return Some(extreme as f64 / f64::from(signs));
    }
    if permutations == 0 {
        return None;
    }
    let extreme = |draw: &u32| {
        let mut rng = CounterRng::new(seed, u64::from(*draw));
        let (mut sum, mut signs) = (0.0, 0);
        for (at, value) in changed.iter().enumerate() {
            if at % 64 == 0 {
                signs = rng.next_u64();
            }
            sum += if signs >> (at % 64) & 1 == 0 { *value } else { -value };
        }
        f64::abs(sum) >= limit
    };
    let extreme = (0..permutations).into_par_iter().filter(extreme).count();
    Some((extreme + 1) as f64 / (f64::from(permutations) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap::tests::differences;
    use super::*;
    use crate::stats::mcnemar_exact;
    use proptest::prelude::*;

    /// scipy.stats.permutation_test((x,), numpy.mean, permutation_type="samples", n_resamples=numpy.inf).
    #[test]
    fn few_differences_are_exact() {
        for (data, p) in [
            (&[0.3, -0.1, 0.25, 0.4, 0.0, 0.15, -0.05, 0.2][..], 0.078125),
            (&[0.5, 0.5, -0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5][..], 0.109375),
        ] {
            assert!((sign_flip(&differences(data.iter().copied()), 0, 0).unwrap() - p).abs() < 1e-15);
        }
    }

    #[test]
    fn many_differences_come_near() {
        // scipy with 10 million resamples: 0.1436.
        let data = differences((0..200).map(|i| f64::from(i * 37 % 101 - 47) / 100.0));
        let p = sign_flip(&data, 50_000, 1).unwrap();
        assert!((p - 0.1436).abs() < 5.0 * (0.1436_f64 * (1.0 - 0.1436) / 5e4).sqrt(), "{p}");
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sign_flip(&data, 999, 7))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(sign_flip(&differences([]), 10, 0), None);
        assert_eq!(sign_flip(&differences([f64::NAN]), 10, 0), None);
        assert_eq!(sign_flip(&differences((0..30).map(|i| f64::from(i) + 1.0)), 0, 0), None);
        assert_eq!(sign_flip(&differences([0.0, 0.0]), 10, 0), Some(1.0));
    }

    proptest! {
        #[test]
        fn of_outcomes_it_is_mcnemar(regressed in 0u64..9, improved in 0u64..8, same in 0u64..50) {
            let data = Differences::of_outcomes(regressed, improved, regressed + improved + same + 1);
            prop_assert!((sign_flip(&data, 0, 0).unwrap() - mcnemar_exact(regressed, improved)).abs() < 1e-12);
        }
    }
}
