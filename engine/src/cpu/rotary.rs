//! Rotary position embedding of the query and key heads of a step.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;

use super::norm::Norm;
use super::rows::{Rows, rows_per_task};
use super::simd::{self, Kernel, Lanes, WIDTH};

/// A rotary embedding: how fast each pair of values turns.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Radians per position, one per pair.
    pub inverse_frequencies: Vec<f64>,
    /// Factor of cos and sin (the attention factor of YaRN and LongRoPE).
    pub factor: f64,
    /// Whether the speeds depend on how long the sequence may become.
    pub scaling: Scaling,
}

/// How the speeds of a [`Rope`] depend on the length of a sequence.
///
/// They are chosen once, from the prompt and all tokens that may follow; transformers chooses at every step from the tokens
/// so far, and so turns a sequence that grows past the limit otherwise in its middle.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all.
    Fixed,
    /// Sequences of more than `original` tokens have speeds of their own (LongRoPE, Ding et al., 2024).
    Long {
        /// The longest that have the usual ones.
        original: usize,
        /// Theirs.
        inverse_frequencies: Vec<f64>,
    },
    /// Sequences of more than `original` tokens have a base that grows with their length (dynamic NTK).
    Dynamic {
        /// The longest that have the usual base.
        original: usize,
        /// The usual base.
        theta: f64,
        /// By how much the base grows.
        factor: f64,
        /// Values that turn.
        size: usize,
    },
}

impl Rope {
    /// One of fixed speeds.
    pub fn fixed(inverse_frequencies: Vec<f64>) -> Self {
        Self { inverse_frequencies, factor: 1.0, scaling: Scaling::Fixed }
    }

    /// Values that turn together, in pairs.
    pub fn pairs(&self) -> usize {
        self.inverse_frequencies.len()
    }

    /// What the speeds of a sequence of at most `length` tokens depend on; 0 for the usual ones.
    pub fn rotation(&self, length: usize) -> usize {
        match &self.scaling {
            Scaling::Long { original, .. } if length > *original => 1,
            Scaling::Dynamic { original, .. } if length > *original => length,
            _ => 0,
        }
    }

    /// The speeds of a rotation.
    fn speeds(&self, rotation: usize) -> Cow<'_, [f64]> {
        match &self.scaling {
            Scaling::Long { inverse_frequencies, .. } if rotation > 0 => Cow::Borrowed(inverse_frequencies),
            Scaling::Dynamic { original, theta, factor, size } if rotation > *original => {
                // transformers' `_compute_dynamic_ntk_parameters`.
                let size = *size as f64;
                let grown = factor * rotation as f64 / *original as f64 - (factor - 1.0);
                let base = theta * libm::pow(grown, size / (size - 2.0));
                Cow::Owned((0..self.pairs()).map(|i| libm::pow(base, -((2 * i) as f64) / size)).collect())
            }
            _ => Cow::Borrowed(&self.inverse_frequencies),
        }
    }
}

/// cos and sin of the rotary angles of one step: `[tokens, pairs]` each.
pub struct RopeRows {
    cos: Vec<f32>,
    sin: Vec<f32>,
    pairs: usize,
}

impl RopeRows {
    /// Angles are position · inverse frequency, taken in f64 and rounded once; `libm` is plain Rust, so the bits do not
    /// depend on the C library. `rotations` says of each token what its sequence's speeds depend on.
    pub fn new(positions: &[usize], rotations: &[usize], rope: &Rope) -> Self {
        let pairs = rope.pairs();
        let speeds: BTreeMap<usize, Cow<'_, [f64]>> =
            rotations.iter().map(|rotation| (*rotation, rope.speeds(*rotation))).collect();
        let mut rows = Self { cos: vec![0.0; positions.len() * pairs], sin: vec![0.0; positions.len() * pairs], pairs };
        let per_task = rows_per_task(pairs * 8);
        let cos = rows.cos.par_chunks_mut(per_task * pairs);
        let sin = rows.sin.par_chunks_mut(per_task * pairs);
        let tokens = positions.par_chunks(per_task).zip(rotations.par_chunks(per_task));
        cos.zip(sin).zip(tokens).for_each(|((cos, sin), (positions, rotations))| {
            for (row, (position, rotation)) in positions.iter().zip(rotations).enumerate() {
                for (pair, frequency) in speeds[rotation].iter().enumerate() {
                    let angle = *position as f64 * frequency;
                    cos[row * pairs + pair] = (libm::cos(angle) * rope.factor) as f32;
                    sin[row * pairs + pair] = (libm::sin(angle) * rope.factor) as f32;
                }
            }
        });
        rows
    }
}

/// What a GPU is told of them.
#[cfg(any(feature = "cuda", test))]
impl RopeRows {
    /// `[tokens, pairs]`.
    pub fn cosines(&self) -> &[f32] {
        &self.cos
    }

    /// `[tokens, pairs]`.
    pub fn sines(&self) -> &[f32] {
        &self.sin
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

/// The norm of the heads of one side, queries or keys.
pub enum HeadNorm {
    /// Each head by itself: no norm, one for all, or one for each.
    Each(Vec<Norm>),
    /// All heads as one row.
    Whole(Norm),
}

impl HeadNorm {
    fn rows(&self, heads: &mut [f32], size: usize) {
        match self {
            Self::Each(norms) if norms.is_empty() => {}
            Self::Each(norms) => {
                heads.chunks_exact_mut(size).zip(norms.iter().cycle()).for_each(|(head, norm)| norm.row(head));
            }
            Self::Whole(norm) => norm.row(heads),
        }
    }
}

/// How the fused q/k/v rows `[tokens, (queries + 2·keys)·size]` of one layer are laid out and prepared; the norms `N` are the
/// host's or a GPU's.
pub struct Heads<'a, N = HeadNorm> {
    /// Query heads.
    pub queries: usize,
    /// Key/value heads.
    pub keys: usize,
    /// Values per head.
    pub size: usize,
    /// Norm of the queries.
    pub query_norm: &'a N,
    /// Norm of the keys.
    pub key_norm: &'a N,
}

/// Normalises and rotates (where the model does) the query and key heads of `[tokens, (queries + 2·keys)·size]` in place.
pub fn prepare_heads(qkv: &mut Rows, heads: &Heads<'_>, rope: Option<&RopeRows>) {
    let size = heads.size;
    qkv.for_each(|token, row| {
        let (queries, rest) = row.split_at_mut(heads.queries * size);
        heads.query_norm.rows(queries, size);
        heads.key_norm.rows(&mut rest[..heads.keys * size], size);
        let Some(rope) = rope else { return };
        let range = token * rope.pairs..(token + 1) * rope.pairs;
        let (cos, sin) = (&rope.cos[range.clone()], &rope.sin[range]);
        for head in row[..(heads.queries + heads.keys) * size].chunks_exact_mut(size) {
            simd::dispatch(RotateHead { head, cos, sin });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_keeps_length_and_starts_at_identity() {
        let rope = RopeRows::new(&[0, 5], &[0, 0], &Rope::fixed(vec![1.0, 0.1, 0.01]));
        let before = Rows::new((0..2 * 3 * 8).map(|i| i as f32).collect(), 24);
        let mut after = before.clone();
        let none = HeadNorm::Each(Vec::new());
        let heads = Heads { queries: 1, keys: 1, size: 8, query_norm: &none, key_norm: &none };
        prepare_heads(&mut after, &heads, Some(&rope));
        let [before, after] = [&before, &after].map(|rows| rows.iter().collect::<Vec<_>>());
        assert_eq!(before[0], after[0]);
        assert_eq!(before[1][16..], after[1][16..], "values are not rotated");
        assert_eq!(before[1][6..8], after[1][6..8], "partial rotation leaves the rest");
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
        assert!((length(before[1]) - length(after[1])).abs() < 1e-2);
        assert_ne!(before[1][..6], after[1][..6]);
    }
}
