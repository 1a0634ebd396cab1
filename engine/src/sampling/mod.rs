//! How the next token is chosen: greedy or sampled, deterministic either way.
//!
//! A choice depends on one row of logits, the sampling options and the random number at (stream, position) of a
//! counter-based generator, so it is the same whatever slot, batch or order a request is computed in. Ties go to the
//! lowest id. Probabilities are added up in one order: by id, or by (logit descending, id ascending) for top-p.

pub mod processors;

use sha2::{Digest, Sha256};

use crate::cpu::simd::{self, Kernel, Lanes, WIDTH};
use crate::request::{CaseKey, Sampling};

/// Most probable tokens that top-p looks at first; it looks further only where their mass is not enough.
const TOP_P_FIRST: usize = 256;

/// The random stream of one answer.
pub fn stream_key(seed: u64, key: &CaseKey) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"karat-sample-1");
    hash.update(seed.to_le_bytes());
    for part in [&key.dataset, &key.case] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(key.repeat.to_le_bytes());
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Philox 4x32-10 (Salmon et al., SC 2011).
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let (mut k, mut c) = (key, counter);
    for _ in 0..10 {
        let a = u64::from(c[0]) * 0xD251_1F53;
        let b = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

/// The number in [0, 1) at a position of a stream.
pub fn uniform(stream: u64, position: u32) -> f64 {
    let bits = philox([stream as u32, (stream >> 32) as u32], [position, 0, 0, 0]);
    let word = u64::from(bits[0]) << 32 | u64::from(bits[1]);
    (word >> 11) as f64 / (1u64 << 53) as f64
}

/// The lowest id of the highest logit; `None` if any logit is NaN or the highest is not finite.
pub fn argmax(row: &[f32]) -> Option<u32> {
    let highest = simd::dispatch(Highest { row });
    if !highest.is_finite() {
        return None;
    }
    row.iter().position(|x| *x == highest).map(|id| id as u32)
}

/// The largest value of a row; NaN if any is NaN.
struct Highest<'a> {
    row: &'a [f32],
}

impl Kernel for Highest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(self) -> f32 {
        let mut best = L::splat(f32::NEG_INFINITY);
        // A NaN turns this sum into NaN for good; everything else leaves it at zero.
        let mut poison = L::splat(0.0);
        let mut at = 0;
        while at < self.row.len() {
            let x = simd::load_padded::<L>(self.row, at, f32::NEG_INFINITY);
            best = best.max(x);
            poison = poison.add(nan_or_zero(x));
            at += WIDTH;
        }
        if poison.sum().is_nan() { f32::NAN } else { best.largest() }
    }
}

/// NaN where `x` is NaN, 0 elsewhere, infinities included: min and max keep a NaN in their argument and bound the rest.
#[inline(always)]
fn nan_or_zero<L: Lanes>(x: L) -> L {
    let bounded = L::splat(-1.0).max(L::splat(1.0).min(x));
    bounded.sub(bounded)
}

/// exp((row - highest) · factor) into `out`.
struct Weights<'a> {
    row: &'a [f32],
    highest: f32,
    factor: f32,
    out: &'a mut [f32],
}

impl Kernel for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (highest, factor) = (L::splat(self.highest), L::splat(self.factor));
        simd::map_row::<L>(
            self.out,
            0.0,
            #[inline(always)]
            |at, _| simd::load_padded::<L>(self.row, at, f32::NEG_INFINITY).sub(highest).mul(factor).exp(),
        );
    }
}

/// Σ exp(row - highest): sixteen running f32 sums per 1024 values, those added up in f64 in order.
struct ExpSum<'a> {
    row: &'a [f32],
    highest: f32,
}

impl Kernel for ExpSum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<L: Lanes>(self) -> f64 {
        let highest = L::splat(self.highest);
        let mut total = 0.0f64;
        for chunk in self.row.chunks(1024) {
            let mut sum = L::splat(0.0);
            let mut at = 0;
            while at < chunk.len() {
                sum = sum.add(simd::load_padded::<L>(chunk, at, f32::NEG_INFINITY).sub(highest).exp());
                at += WIDTH;
            }
            total += f64::from(sum.sum());
        }
        total
    }
}

/// The log-probability of one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLogProb {
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// Whether it is the greedy choice (lowest id on ties).
    pub greedy: bool,
}

/// `ln softmax(row)[target]` and whether the target is the greedy choice; `None` for rows that are not finite.
pub fn score(row: &[f32], target: u32) -> Option<(f64, bool)> {
    let greedy = argmax(row)?;
    let highest = row[greedy as usize];
    let sum = simd::dispatch(ExpSum { row, highest });
    let logit = *row.get(target as usize)?;
    Some((f64::from(logit) - f64::from(highest) - libm::log(sum), greedy == target))
}

/// [`score`] of several tokens, with the same bits; what they share is computed once.
pub fn score_all(row: &[f32], targets: &[u32]) -> Option<Vec<TokenLogProb>> {
    let greedy = argmax(row)?;
    let highest = row[greedy as usize];
    let sum = libm::log(simd::dispatch(ExpSum { row, highest }));
    let one = |target: &u32| {
        let logit = *row.get(*target as usize)?;
        let logprob = f64::from(logit) - f64::from(highest) - sum;
        Some(TokenLogProb { logprob, greedy: greedy == *target })
    };
    targets.iter().map(one).collect()
}

/// The next token; `None` for rows that are not finite.
pub fn choose(row: &[f32], sampling: &Sampling, stream: u64, position: u32) -> Option<u32> {
    let best = argmax(row)?;
    if sampling.temperature <= 0.0 || sampling.top_k == 1 {
        return Some(best);
    }
    let mut weights = vec![0.0f32; row.len()];
    let highest = row[best as usize];
    let factor = (1.0 / sampling.temperature) as f32;
    simd::dispatch(Weights { row, highest, factor, out: &mut weights });
    let random = uniform(stream, position);
    if sampling.top_k == 0 && sampling.top_p >= 1.0 {
        return Some(pick((0..row.len() as u32).map(|id| (id, weights[id as usize])), random, best));
    }
    let kept = if sampling.top_k == 0 { row.len() } else { sampling.top_k.min(row.len()) };
    let candidates = most_probable(row, &weights, kept, sampling.top_p);
    Some(pick(candidates.into_iter().map(|id| (id, weights[id as usize])), random, best))
}

/// The ids kept by top-k and then top-p, by (logit descending, id ascending).
fn most_probable(row: &[f32], weights: &[f32], top_k: usize, top_p: f64) -> Vec<u32> {
    let before = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
    let mut ids: Vec<u32> = (0..row.len() as u32).collect();
    // top-p alone rarely needs more than a few hundred tokens sorted; the mass it is a share of needs no order but this.
    let alone = top_k == row.len() && top_p < 1.0;
    let total: Option<f64> = alone.then(|| weights.iter().map(|w| f64::from(*w)).sum());
    let mut sorted = if total.is_some() { TOP_P_FIRST.min(top_k) } else { top_k };
    loop {
        if sorted < ids.len() {
            ids.select_nth_unstable_by(sorted - 1, before);
        }
        ids[..sorted].sort_unstable_by(before);
        let head = &ids[..sorted];
        if top_p >= 1.0 {
            return head.to_vec();
        }
        let mass = |id: &u32| f64::from(weights[*id as usize]);
        let limit = top_p * total.unwrap_or_else(|| head.iter().map(mass).sum());
        let mut sum = 0.0;
        for (index, id) in head.iter().enumerate() {
            sum += mass(id);
            if sum >= limit {
                return head[..=index].to_vec();
            }
        }
        if sorted == top_k {
            return head.to_vec();
        }
        sorted = (sorted * 8).min(top_k);
    }
}

/// The candidate in whose share of the mass the random number falls.
fn pick(candidates: impl Iterator<Item = (u32, f32)> + Clone, random: f64, fallback: u32) -> u32 {
    let total: f64 = candidates.clone().map(|c| f64::from(c.1)).sum();
    let target = random * total;
    let mut sum = 0.0;
    let mut last = fallback;
    for (id, weight) in candidates {
        if weight > 0.0 {
            sum += f64::from(weight);
            last = id;
            if sum > target {
                return id;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn philox_gives_the_published_vectors() {
        // kat_vectors of Random123.
        assert_eq!(philox([0, 0], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn not_finite_rows_are_refused() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut row = vec![0.5f32; 40];
            row[37] = bad;
            assert_eq!(argmax(&row), None);
            assert_eq!(score(&row, 0), None);
            assert_eq!(choose(&row, &Sampling { temperature: 1.0, ..Sampling::default() }, 1, 0), None);
        }
        let mut row = vec![f32::NEG_INFINITY; 40];
        assert_eq!(argmax(&row), None);
        row[20] = -3.0;
        assert_eq!(argmax(&row), Some(20));
    }

    #[test]
    fn frequencies_follow_probabilities() {
        let row: Vec<f32> = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln).to_vec();
        let count = |sampling: Sampling| {
            let mut counts = [0usize; 4];
            for position in 0..20_000 {
                counts[choose(&row, &sampling, 7, position).unwrap() as usize] += 1;
            }
            counts.map(|c| c as f64 / 20_000.0)
        };
        let near = |got: [f64; 4], want: [f64; 4]| {
            for (g, w) in got.iter().zip(want) {
                assert!((g - w).abs() < 0.015, "{got:?} is not {want:?}");
            }
        };
        let all = Sampling { temperature: 1.0, ..Sampling::default() };
        near(count(all), [0.4, 0.3, 0.2, 0.1]);
        near(count(Sampling { top_k: 2, ..all }), [4.0 / 7.0, 3.0 / 7.0, 0.0, 0.0]);
        near(count(Sampling { top_p: 0.65, ..all }), [4.0 / 7.0, 3.0 / 7.0, 0.0, 0.0]);
        near(count(Sampling { top_p: 0.71, ..all }), [4.0 / 9.0, 3.0 / 9.0, 2.0 / 9.0, 0.0]);
        near(count(Sampling { temperature: 0.5, ..all }), [16.0 / 30.0, 9.0 / 30.0, 4.0 / 30.0, 1.0 / 30.0]);
    }

    #[test]
    fn top_k_as_wide_as_the_vocabulary_keeps_all_of_it() {
        let row = vec![0.0f32; 4 * TOP_P_FIRST];
        for top_k in [row.len(), row.len() + 1, usize::MAX] {
            let sampling = Sampling { temperature: 1.0, top_k, ..Sampling::default() };
            let chosen = (0..200).filter_map(|position| choose(&row, &sampling, 3, position));
            // Equal logits stand by id, so a choice is the random number's share of the row.
            let right = (0..200).map(|position| (uniform(3, position) * row.len() as f64) as u32);
            assert!(chosen.eq(right), "{top_k}");
        }
    }

    proptest! {
        #[test]
        fn scores_match_the_definition(row in prop::collection::vec(-20.0f32..20.0, 1..3000), pick in any::<prop::sample::Index>()) {
            let target = pick.index(row.len());
            let (logprob, greedy) = score(&row, target as u32).unwrap();
            let sum: f64 = row.iter().map(|x| libm::exp(f64::from(*x))).sum();
            let right = f64::from(row[target]) - libm::log(sum);
            prop_assert!((logprob - right).abs() < 1e-5, "{} is not {}", logprob, right);
            let first_best = row.iter().enumerate().fold(0, |best, (i, x)| if *x > row[best] { i } else { best });
            prop_assert_eq!(greedy, first_best == target);
        }

        #[test]
        fn top_p_keeps_the_smallest_sufficient_prefix(row in prop::collection::vec(-6.0f32..6.0, 2..2000), top_p in 0.01f64..0.99) {
            let mut weights = vec![0.0; row.len()];
            let best = argmax(&row).unwrap();
            simd::dispatch(Weights { row: &row, highest: row[best as usize], factor: 1.0, out: &mut weights });
            let kept = most_probable(&row, &weights, row.len(), top_p);
            let mut all: Vec<u32> = (0..row.len() as u32).collect();
            all.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
            prop_assert_eq!(&kept[..], &all[..kept.len()]);
            let mass = |ids: &[u32]| ids.iter().map(|id| f64::from(weights[*id as usize])).sum::<f64>();
            prop_assert!(mass(&kept) >= top_p * mass(&all) * (1.0 - 1e-9));
            prop_assert!(mass(&kept[..kept.len() - 1]) <= top_p * mass(&all) * (1.0 + 1e-9));
        }
    }
}
