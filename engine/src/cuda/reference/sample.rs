//! `sample.cu`, by sorting: its masses are integers, so the way to a sum does not matter.

use crate::request::Sampling;
use crate::sampling::philox;
use crate::scheduler::backend::{OutputKind, StepOutput};

/// The mass of the highest logit.
const ONE: f32 = (1u64 << 44) as f32;
/// How far below the highest a logit has no mass any more.
const LEAST: f32 = -32.0;

/// e to the power of `x`, as `simd::Lanes::exp` has it between [`LEAST`] and 0.
fn exp(x: f32) -> f32 {
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let p = 1.987_569_1e-4f32;
    let p = p.mul_add(r, 1.398_2e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 0.5);
    let y = p.mul_add(r * r, r) + 1.0;
    y * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

/// The mass of a logit `t` below the highest after scaling.
fn mass(t: f32) -> u64 {
    if t >= LEAST { (exp(t) * ONE).round_ties_even() as u64 } else { 0 }
}

/// The masses of a row.
fn masses(row: &[f32], highest: f32, factor: f32) -> Vec<u64> {
    row.iter().map(|x| mass((x - highest) * factor)).collect()
}

/// The lowest id of the highest logit; nothing if a logit is NaN or the highest is not finite.
fn best(row: &[f32]) -> Option<u32> {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !highest.is_finite() || row.iter().any(|x| x.is_nan()) {
        return None;
    }
    row.iter().position(|x| *x == highest).map(|id| id as u32)
}

/// The whole part of `random · total`, for the random number that the first 53 bits are.
fn share(bits: u64, total: u64) -> u64 {
    ((u128::from(bits >> 11) * u128::from(total)) >> 53) as u64
}

/// The index of the first mass at which the running sum exceeds a goal, and the sum with it.
fn reach(masses: impl Iterator<Item = u64>, goal: u64) -> Option<(usize, u64)> {
    let running = masses.scan(0u64, |sum, mass| {
        *sum += mass;
        Some(*sum)
    });
    running.enumerate().find(|(_, sum)| *sum > goal)
}

/// `sample` of a row that is finite: the next token, chosen with the first 64 bits of Philox.
pub fn choose(row: &[f32], best: u32, sampling: &Sampling, bits: u64) -> u32 {
    if sampling.temperature <= 0.0 || sampling.top_k == 1 {
        return best;
    }
    let masses = masses(row, row[best as usize], (1.0 / sampling.temperature) as f32);
    let mut ids: Vec<u32> = (0..row.len() as u32).collect();
    if sampling.top_k != 0 || sampling.top_p < 1.0 {
        // Stable, so equal logits stay by id.
        ids.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
    }
    if sampling.top_k != 0 {
        ids.truncate(sampling.top_k);
    }
    let in_order = ids.iter().map(|id| masses[*id as usize]);
    let mut total: u64 = in_order.clone().sum();
    if sampling.top_p < 1.0 && total > 0 {
        let limit = (sampling.top_p * total as f64).ceil().max(1.0) as u64;
        total = reach(in_order.clone(), limit.min(total) - 1).map_or(total, |(_, sum)| sum);
    }
    reach(in_order, share(bits, total)).map_or(best, |(index, _)| ids[index])
}

/// `sample` of a row; nothing where logits are wanted whole.
pub fn sample(row: &[f32], kind: &OutputKind) -> Option<StepOutput> {
    let best = best(row);
    match *kind {
        OutputKind::Candidates { .. } | OutputKind::Logits => None,
        OutputKind::Next { sampling, key, position } => Some(best.map_or(StepOutput::NotFinite, |best| {
            let bits = philox([key as u32, (key >> 32) as u32], [position, 0, 0, 0]);
            let bits = u64::from(bits[0]) << 32 | u64::from(bits[1]);
            StepOutput::Next(choose(row, best, &sampling, bits))
        })),
        OutputKind::Score { target } => {
            let score = |best: u32| {
                let highest = row[best as usize];
                let logit = *row.get(target as usize)?;
                let sum: u64 = masses(row, highest, 1.0).iter().sum();
                let logprob = f64::from(logit) - f64::from(highest) - libm::log(sum as f64 / f64::from(ONE));
                Some(StepOutput::Score { logprob, greedy: best == target })
            };
            Some(best.and_then(score).unwrap_or(StepOutput::NotFinite))
        }
    }
}

/// Rows for tests: as logits are, all equal, of few values, without most, with one far above, and ones that are not finite.
pub fn some_row(width: usize, kind: usize, seed: u64) -> Vec<f32> {
    let normal = |seed| -> Vec<f32> {
        let sums = crate::cuda::reference::numbers::numbers::<f32>(6 * width, seed);
        sums.chunks_exact(6).map(|six| 3.0 * six.iter().sum::<f32>()).collect()
    };
    let mut row = normal(seed);
    let place = seed as usize * 7919 % width;
    match kind {
        0 => {}
        1 => row.fill(-1.25),
        2 => row.iter_mut().for_each(|x| *x = x.round() / 2.0),
        3 => row.iter_mut().enumerate().filter(|(id, _)| id % 17 != 3).for_each(|(_, x)| *x = f32::NEG_INFINITY),
        4 => row[place] = 200.0,
        5 => row.iter_mut().for_each(|x| *x = if *x > 0.0 { 0.0 } else { -0.0 }),
        6 => row[place] = f32::NAN,
        7 => row[place] = f32::INFINITY,
        8 => row.fill(f32::NEG_INFINITY),
        _ => row.iter_mut().for_each(|x| *x *= 1e-3),
    }
    row
}

/// How many kinds [`some_row`] knows.
pub const KINDS: usize = 10;

/// Ways to choose, for tests.
pub fn samplings() -> Vec<Sampling> {
    let mut all = Vec::new();
    for temperature in [0.0, 0.3, 1.0, 1.7, 50.0] {
        for top_k in [0, 1, 2, 40, 5000] {
            for top_p in [1.0, 0.95, 0.3, 1e-9] {
                all.push(Sampling { temperature, top_p, top_k });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cpu::simd::{self, Kernel, Lanes};
    use crate::sampling;

    fn next(sampling: Sampling, key: u64, position: u32) -> OutputKind {
        OutputKind::Next { sampling, key, position }
    }

    /// All choices by sums in f64 with the random number and top-p's limit moved by as little as may be.
    fn allowed(row: &[f32], best: u32, sampling: &Sampling, random: f64) -> Vec<u32> {
        let factor = (1.0 / sampling.temperature) as f32;
        let highest = row[best as usize];
        let weight = |id: &u32| {
            let t = (row[*id as usize] - highest) * factor;
            if t > -87.0 { f64::from(exp(t)) } else { 0.0 }
        };
        let mut ids: Vec<u32> = (0..row.len() as u32).collect();
        if sampling.top_k != 0 || sampling.top_p < 1.0 {
            ids.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
        }
        if sampling.top_k != 0 {
            ids.truncate(sampling.top_k);
        }
        let all: f64 = ids.iter().map(weight).sum();
        let mut choices = Vec::new();
        for move_limit in [-1e-9, 0.0, 1e-9] {
            let limit = if sampling.top_p < 1.0 { sampling.top_p * all + move_limit * all } else { f64::INFINITY };
            let mut sum = 0.0;
            let kept = ids.iter().position(|id| {
                sum += weight(id);
                sum >= limit
            });
            let kept = &ids[..kept.map_or(ids.len(), |index| index + 1)];
            let total: f64 = kept.iter().map(weight).sum();
            for move_random in [-1e-9, 0.0, 1e-9] {
                let mut sum = 0.0;
                let chosen = kept.iter().find(|id| {
                    sum += weight(id);
                    sum > (random + move_random) * total
                });
                choices.extend(chosen.or(kept.last()));
            }
        }
        choices
    }

    /// Whether both choose the same; a different choice must be next to a boundary.
    fn same(row: &[f32], sampling: Sampling, key: u64, position: u32) -> bool {
        let ours = sample(row, &next(sampling, key, position)).unwrap();
        let theirs = sampling::choose(row, &sampling, key, position);
        if ours == theirs.map_or(StepOutput::NotFinite, StepOutput::Next) {
            return true;
        }
        let (StepOutput::Next(ours), Some(theirs)) = (&ours, theirs) else { panic!("{ours:?} is not {theirs:?}") };
        let allowed = allowed(row, best(row).unwrap(), &sampling, sampling::uniform(key, position));
        assert!(allowed.contains(ours) && allowed.contains(&theirs), "{ours} is not {theirs}: {sampling:?}");
        false
    }

    #[test]
    fn choices_are_those_of_the_cpu() {
        let (mut all, mut different) = (0, 0);
        for width in [1, 2, 31, 1000, 3001] {
            for kind in 0..KINDS {
                let row = some_row(width, kind, 5 + kind as u64);
                for (position, sampling) in samplings().into_iter().enumerate() {
                    all += 1;
                    different += usize::from(!same(&row, sampling, 77, position as u32));
                }
            }
        }
        assert!(different * 500 <= all, "{different} of {all}");
    }

    #[test]
    fn scores_are_those_of_the_cpu() {
        for width in [1, 2, 31, 1000, 3001] {
            for kind in 0..KINDS {
                let row = some_row(width, kind, 5 + kind as u64);
                for target in [0, width / 2, width - 1, width, best(&row).unwrap_or(0) as usize] {
                    let target = target as u32;
                    let output = sample(&row, &OutputKind::Score { target }).unwrap();
                    match (output, sampling::score(&row, target)) {
                        (StepOutput::NotFinite, None) => {}
                        (StepOutput::Score { logprob, greedy }, Some((right, choice))) => {
                            assert!((logprob - right).abs() < 1e-6 || logprob == right, "{logprob} is not {right}");
                            assert_eq!(greedy, choice);
                        }
                        (output, right) => panic!("{output:?} is not {right:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn shares_are_those_of_the_random_number() {
        for position in 0..1000 {
            let bits = philox([9, 0], [position, 0, 0, 0]);
            let bits = u64::from(bits[0]) << 32 | u64::from(bits[1]);
            // 2^50 steps are exact in f64.
            let right = sampling::uniform(9, position) * (1u64 << 50) as f64;
            assert_eq!(share(bits, 1 << 50), right as u64);
            // As the GPU does it.
            let high = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 64) as u64;
            for total in [1, 3, (1 << 44) + 1, (1 << 63) - 1, u64::MAX] {
                assert_eq!(share(bits, total), high(bits & !0x7ff, total));
                assert!(share(u64::MAX, total) < total);
            }
        }
    }

    #[test]
    fn weights_have_the_bits_of_the_cpu() {
        struct Exp<'a>(&'a mut [f32]);
        impl Kernel for Exp<'_> {
            type Output = ();
            #[inline(always)]
            fn run<L: Lanes>(self) {
                for part in self.0.chunks_exact_mut(simd::WIDTH) {
                    let lanes: [f32; simd::WIDTH] = std::array::from_fn(|i| part[i]);
                    part.copy_from_slice(&L::from_array(lanes).exp().to_array());
                }
            }
        }
        let x: Vec<f32> = (0..simd::WIDTH * 10_000).map(|i| -(i as f32) / 5000.0).collect();
        let mut right = x.clone();
        simd::dispatch(Exp(&mut right));
        for (x, right) in x.iter().zip(right) {
            assert_eq!(exp(*x), right);
        }
        assert_eq!((mass(0.0), mass(-0.0), mass(-31.9), mass(-33.0), mass(f32::NAN)), (1 << 44, 1 << 44, 0, 0, 0));
    }

    proptest! {
        #[test]
        fn any_choice_is_that_of_the_cpu(
            row in prop::collection::vec(-12.0f32..12.0, 1..600),
            coarse in 0u32..3,
            (temperature, top_p, top_k) in (0.0f64..3.0, 0.01f64..1.3, 0usize..700),
            (key, position) in (any::<u64>(), any::<u32>()),
        ) {
            let row: Vec<f32> = row.iter().map(|x| if coarse == 0 { x.round() } else { *x }).collect();
            same(&row, Sampling { temperature, top_p: top_p.min(1.0), top_k: top_k.saturating_sub(100) }, key, position);
        }
    }
}
