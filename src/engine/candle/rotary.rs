//! Rotary position embedding of the query and key heads of a step.

use candle_core::Tensor;
use rayon::prelude::*;

use super::norm::Norm;
use super::ops;
use crate::engine::simd::{self, Kernel, Lanes, WIDTH};
use crate::error::Result;

/// cos and sin of the rotary angles of one step: `[tokens, pairs]` each.
pub struct RopeRows {
    cos: Vec<f32>,
    sin: Vec<f32>,
    pairs: usize,
}

impl RopeRows {
    /// Angles are position · inverse frequency, taken in f64 and rounded once; `libm` is plain Rust, so the bits do not
    /// depend on the C library.
    pub fn new(positions: &[usize], inverse_frequencies: &[f64]) -> Self {
        let pairs = inverse_frequencies.len();
        let mut rows = Self { cos: vec![0.0; positions.len() * pairs], sin: vec![0.0; positions.len() * pairs], pairs };
        let per_task = ops::rows_per_task(pairs * 8);
        let cos = rows.cos.par_chunks_mut(per_task * pairs);
        let sin = rows.sin.par_chunks_mut(per_task * pairs);
        cos.zip(sin).zip(positions.par_chunks(per_task)).for_each(|((cos, sin), positions)| {
            for (row, position) in positions.iter().enumerate() {
                for (pair, frequency) in inverse_frequencies.iter().enumerate() {
                    let angle = *position as f64 * frequency;
                    cos[row * pairs + pair] = libm::cos(angle) as f32;
                    sin[row * pairs + pair] = libm::sin(angle) as f32;
                }
            }
        });
        rows
    }
}

struct RotateHead<'a> {
    head: &'a mut [f32],
    cos: &'a [f32],
    sin: &'a [f32],
}

impl Kernel for RotateHead<'_> {
    type Output = ();

    /// The half-split rotation of Su et al. (2021) as transformers lays it out: pairs are (i, i + n/2).
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (first, second) = self.head[..2 * self.cos.len()].split_at_mut(self.cos.len());
        let mut turned = [0.0f32; WIDTH];
        let mut at = 0;
        while at < first.len() {
            let width = WIDTH.min(first.len() - at);
            let (cos, sin) = (simd::load_padded::<L>(self.cos, at, 0.0), simd::load_padded::<L>(self.sin, at, 0.0));
            let a = simd::load_padded::<L>(first, at, 0.0);
            let b = simd::load_padded::<L>(second, at, 0.0);
            let low = a.mul(cos).sub(b.mul(sin));
            let high = b.mul(cos).add(a.mul(sin));
            turned.copy_from_slice(&low.to_array());
            first[at..at + width].copy_from_slice(&turned[..width]);
            turned.copy_from_slice(&high.to_array());
            second[at..at + width].copy_from_slice(&turned[..width]);
            at += WIDTH;
        }
    }
}

/// How the fused q/k/v rows of one layer are laid out and prepared.
pub struct Heads<'a> {
    /// Query heads.
    pub queries: usize,
    /// Key/value heads.
    pub keys: usize,
    /// Values per head.
    pub size: usize,
    /// Per-head norm of the queries.
    pub query_norm: Option<&'a Norm>,
    /// Per-head norm of the keys.
    pub key_norm: Option<&'a Norm>,
}

/// Normalises (where the model does) and rotates the query and key heads of `[tokens, (queries + 2·keys)·size]` in place.
pub fn prepare_heads(qkv: &Tensor, heads: &Heads<'_>, rope: &RopeRows) -> Result<()> {
    let size = heads.size;
    ops::for_rows("rotate heads", qkv, |token, row| {
        let range = token * rope.pairs..(token + 1) * rope.pairs;
        let (cos, sin) = (&rope.cos[range.clone()], &rope.sin[range]);
        for (index, head) in row[..(heads.queries + heads.keys) * size].chunks_exact_mut(size).enumerate() {
            if let Some(norm) = if index < heads.queries { heads.query_norm } else { heads.key_norm } {
                norm.row(head);
            }
            simd::dispatch(RotateHead { head, cos, sin });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::candle::ops::matrix;

    #[test]
    fn rotation_keeps_length_and_starts_at_identity() {
        let rope = RopeRows::new(&[0, 5], &[1.0, 0.1, 0.01]);
        let x = matrix((0..2 * 3 * 8).map(|i| i as f32).collect(), 2, 24).unwrap();
        let before = x.to_vec2::<f32>().unwrap();
        let x = x.copy().unwrap();
        let heads = Heads { queries: 1, keys: 1, size: 8, query_norm: None, key_norm: None };
        prepare_heads(&x, &heads, &rope).unwrap();
        let after = x.to_vec2::<f32>().unwrap();
        assert_eq!(before[0], after[0]);
        assert_eq!(before[1][16..], after[1][16..], "values are not rotated");
        assert_eq!(before[1][6..8], after[1][6..8], "partial rotation leaves the rest");
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
        assert!((length(&before[1]) - length(&after[1])).abs() < 1e-2);
        assert_ne!(before[1][..6], after[1][..6]);
    }
}
