//! Relative-position biases: what is added to an attention score for how far query and key are apart: MPNet's buckets, DeBERTa's disentangled
//! attention.
//!
//! The biases of a head are prepared once per sequence and filled in row by row. The biases of a row come from its own query and
//! its own sequence's keys, each product in one order, so its bits are batch-invariant. What is only a matter of
//! the weights, the projected position vectors, is computed once, at load.

use super::cache::BLOCK_SIZE;
use super::simd::{self, Kernel, Lanes, WIDTH};

/// Rows of [`Products`] computed at once.
const ROWS: usize = 4;
/// Distances beyond this share MPNet's last bucket.
const FARTHEST: f32 = 128.0;
/// Buckets of MPNet, both directions together; `relative_attention_num_buckets` only sizes the table there.
pub const BUCKETS: usize = 32;

/// What a model adds to its scaled scores.
#[derive(Clone, Debug, PartialEq)]
pub enum RelativeBias {
    /// Nothing.
    None,
    /// A learned number per bucket of distances and head, shared by the layers (T5, MPNet); the rows of its table.
    Buckets(usize),
    /// Products with learned position vectors (He et al., 2021).
    Disentangled(Disentangled),
}

/// Options of disentangled attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Disentangled {
    /// Queries meet position keys.
    pub content_to_position: bool,
    /// Keys meet position queries.
    pub position_to_content: bool,
    /// Position vectors go through the layer's own query and key projections.
    pub shared: bool,
    /// A LayerNorm on the position vectors.
    pub norm: bool,
    /// Position vectors for each direction: the table has twice as many.
    pub span: usize,
    /// Largest distance that the logarithmic buckets are made for; without it every distance has its own vector.
    pub bucketed_to: Option<usize>,
}

impl Disentangled {
    /// The position vector of a distance, query minus key.
    pub(crate) fn row(&self, distance: i64) -> usize {
        let bucket = self.bucketed_to.map_or(distance, |farthest| log_bucket(distance, self.span, farthest));
        (bucket.saturating_add(self.span as i64)).clamp(0, 2 * self.span as i64 - 1) as usize
    }
}

/// transformers' `make_log_bucket_position`: near distances for themselves, far ones in logarithmic steps. In f32, as there:
/// at an exact step one rounding decides the bucket.
fn log_bucket(distance: i64, buckets: usize, farthest: usize) -> i64 {
    let middle = (buckets / 2) as i64;
    let magnitude = distance.abs();
    if magnitude <= middle {
        return distance;
    }
    let log = |x: f32| libm::log(f64::from(x)) as f32;
    let reach = log(((farthest as f64 - 1.0) / middle as f64) as f32);
    let steps = (log(magnitude as f32 / middle as f32) / reach * (middle - 1) as f32).ceil();
    distance.signum() * (steps as i64).saturating_add(middle)
}

/// transformers' `relative_position_bucket` of MPNet for a distance, key minus query; in f32, as there.
pub(crate) fn bucket(distance: i64) -> usize {
    let half = BUCKETS / 2;
    let exact = half / 2;
    let behind = if distance > 0 { half } else { 0 };
    let magnitude = distance.unsigned_abs() as usize;
    if magnitude < exact {
        return behind + magnitude;
    }
    let log = |x: f32| libm::log(f64::from(x)) as f32;
    let reach = libm::log(f64::from(FARTHEST) / exact as f64) as f32;
    let steps = (log(magnitude as f32 / exact as f32) / reach * (half - exact) as f32) as usize;
    behind + (exact + steps).min(half - 1)
}

/// Position vectors of every head, `[heads][blocks][size][BLOCK_SIZE]`: the layout of key blocks.
pub struct PositionBlocks {
    values: Vec<f32>,
    blocks: usize,
    size: usize,
}

impl PositionBlocks {
    /// From rows `[positions, heads · size]`.
    pub fn new(rows: &[f32], heads: usize, size: usize) -> Self {
        let width = heads * size;
        let blocks = (rows.len() / width).div_ceil(BLOCK_SIZE);
        let mut values = vec![0.0; heads * blocks * size * BLOCK_SIZE];
        for (position, row) in rows.chunks_exact(width).enumerate() {
            for (i, x) in row.iter().enumerate() {
                let block = i / size * blocks + position / BLOCK_SIZE;
                values[(block * size + i % size) * BLOCK_SIZE + position % BLOCK_SIZE] = *x;
            }
        }
        Self { values, blocks, size }
    }

    /// Products of rows `[_, size]` with the position vectors of some blocks of a head, `[rows, blocks · BLOCK_SIZE]`.
    fn products(&self, rows: &[f32], head: usize, blocks: &std::ops::Range<usize>) -> Vec<f32> {
        let block = self.size * BLOCK_SIZE;
        let first = head * self.blocks;
        let positions = &self.values[(first + blocks.start) * block..(first + blocks.end) * block];
        let mut out = vec![0.0; rows.len() / self.size * blocks.len() * BLOCK_SIZE];
        simd::dispatch(Products { rows, size: self.size, positions, out: &mut out });
        out
    }
}

/// Products of rows with blocks of position vectors, each summed in index order.
struct Products<'a> {
    /// `[rows][size]`
    rows: &'a [f32],
    size: usize,
    /// `[blocks][size][BLOCK_SIZE]`
    positions: &'a [f32],
    /// `[rows][blocks · BLOCK_SIZE]`
    out: &'a mut [f32],
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let width = self.positions.len() / self.size;
        let mut rows = self.rows.chunks_exact(ROWS * self.size);
        let mut out = self.out.chunks_exact_mut(ROWS * width);
        for (rows, out) in rows.by_ref().zip(out.by_ref()) {
            products::<L, ROWS>(rows, self.size, self.positions, out);
        }
        let left = rows.remainder().chunks_exact(self.size);
        for (row, out) in left.zip(out.into_remainder().chunks_exact_mut(width)) {
            products::<L, 1>(row, self.size, self.positions, out);
        }
    }
}

#[inline(always)]
fn products<L: Lanes, const R: usize>(rows: &[f32], size: usize, positions: &[f32], out: &mut [f32]) {
    let width = positions.len() / size;
    for (index, block) in positions.chunks_exact(size * BLOCK_SIZE).enumerate() {
        let mut sums = [[L::splat(0.0); BLOCK_SIZE / WIDTH]; R];
        for (i, values) in block.chunks_exact(BLOCK_SIZE).enumerate() {
            let values: [L; BLOCK_SIZE / WIDTH] = std::array::from_fn(
                #[inline(always)]
                |half| simd::load_padded::<L>(values, half * WIDTH, 0.0),
            );
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = L::splat(rows[r * size + i]);
                for (sum, values) in sums.iter_mut().zip(values) {
                    *sum = x.fma(values, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (half, sum) in sums.iter().enumerate() {
                let at = r * width + index * BLOCK_SIZE + half * WIDTH;
                out[at..at + WIDTH].copy_from_slice(&sum.to_array());
            }
        }
    }
}

/// The biases of one layer.
pub enum Bias {
    /// `[rows][heads]` numbers per bucket.
    Buckets {
        /// The numbers.
        table: Vec<f32>,
        /// Heads.
        heads: usize,
    },
    /// Position vectors.
    Disentangled {
        /// Which vector belongs to which distance.
        options: Disentangled,
        /// Projected position keys.
        keys: Option<PositionBlocks>,
        /// Projected position queries.
        queries: Option<PositionBlocks>,
        /// Factor of the biases: that of the scores.
        scale: f32,
    },
}

/// The biases of one head over one sequence.
pub struct HeadBias<'a> {
    len: usize,
    kind: OfHead<'a>,
}

enum OfHead<'a> {
    /// Of every distance, key minus query, from `1 - len` on.
    Distances(Vec<f32>),
    Positions {
        /// Column of every distance, query minus key, from `1 - len` on.
        columns: Vec<usize>,
        blocks: std::ops::Range<usize>,
        head: usize,
        keys: Option<&'a PositionBlocks>,
        /// Products of the sequence's keys with the position queries, `[len][columns]`.
        met: Option<Vec<f32>>,
        scale: f32,
    },
}

impl Bias {
    /// Prepares a head for a sequence with these keys, `[len, size]`.
    pub fn head(&self, head: usize, keys: &[f32], len: usize) -> HeadBias<'_> {
        let distances = 1 - len as i64..len as i64;
        let kind = match self {
            Self::Buckets { table, heads } => {
                OfHead::Distances(distances.map(|distance| table[bucket(distance) * heads + head]).collect())
            }
            Self::Disentangled { options, keys: position_keys, queries, scale } => {
                let rows: Vec<usize> = distances.map(|distance| options.row(distance)).collect();
                let lowest = rows.iter().min().copied().unwrap_or(0) / BLOCK_SIZE;
                let blocks = lowest..rows.iter().max().copied().unwrap_or(0) / BLOCK_SIZE + 1;
                OfHead::Positions {
                    columns: rows.iter().map(|row| row - lowest * BLOCK_SIZE).collect(),
                    head,
                    keys: position_keys.as_ref(),
                    met: queries.as_ref().map(|queries| queries.products(keys, head, &blocks)),
                    scale: *scale,
                    blocks,
                }
            }
        };
        HeadBias { len, kind }
    }
}

impl HeadBias<'_> {
    /// Values between the rows that [`HeadBias::fill`] writes.
    pub fn stride(&self) -> usize {
        self.len.next_multiple_of(BLOCK_SIZE)
    }

    /// Writes the biases of the rows of some tokens, `[tokens][stride]`, given their queries, `[tokens, size]`.
    pub fn fill(&self, tokens: std::ops::Range<usize>, queries: &[f32], out: &mut [f32]) {
        let len = self.len;
        match &self.kind {
            OfHead::Distances(values) => {
                for (token, out) in tokens.zip(out.chunks_exact_mut(self.stride())) {
                    out[..len].copy_from_slice(&values[len - 1 - token..][..len]);
                }
            }
            OfHead::Positions { columns, blocks, head, keys, met, scale } => {
                let width = blocks.len() * BLOCK_SIZE;
                let own = keys.map(|keys| keys.products(queries, *head, blocks));
                for (index, (token, out)) in tokens.zip(out.chunks_exact_mut(self.stride())).enumerate() {
                    for (key, out) in out[..len].iter_mut().enumerate() {
                        let column = columns[token + len - 1 - key];
                        let own = own.as_ref().map_or(0.0, |own| own[index * width + column]);
                        let met = met.as_ref().map_or(0.0, |met| met[key * width + column]);
                        *out = (own + met) * scale;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_are_exact_and_far_ones_share_buckets() {
        let options = Disentangled {
            content_to_position: true,
            position_to_content: true,
            shared: true,
            norm: false,
            span: 16,
            bucketed_to: Some(130),
        };
        assert_eq!([-8, -1, 0, 5, 8].map(|d| options.row(d)), [8, 15, 16, 21, 24]);
        assert_eq!([9, 129, 100_000].map(|d| options.row(d)), [25, 31, 31]);
        assert_eq!([-9, -129, -100_000].map(|d| options.row(d)), [7, 1, 0]);
        let plain = Disentangled { bucketed_to: None, ..options };
        assert_eq!([-100, -16, 0, 15, 16].map(|d| plain.row(d)), [0, 0, 16, 31, 31]);
    }

    #[test]
    fn buckets_of_mpnet() {
        assert_eq!([0, -1, -7, -8, -16, -64, -127, -500].map(bucket), [0, 1, 7, 8, 10, 14, 15, 15]);
        assert_eq!([1, 7, 8, 16, 127].map(bucket), [17, 23, 24, 26, 31]);
    }
}
