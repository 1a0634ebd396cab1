//! Packed attention: every query row walks the key blocks of its own sequence in one fixed order.
//!
//! One row function serves prefill, chunks, decode and the encoder: online softmax (Milakov and Gimelshein, 2018) over
//! blocks of [`BLOCK_SIZE`] keys that start at absolute positions. Several rows are computed at once to reuse loaded keys, each
//! with that function's order of operations, so a row's bits depend on nothing but its own query and keys. Masked keys
//! are left out, whatever their values, and a fully masked block changes nothing. No matrix library is called: its order of summation
//! changes with the number of rows.
#![expect(unsafe_code, reason = "kernel file: lanes are loaded and stored through pointers")]

use rayon::prelude::*;

use super::activation::soft_cap;
use super::cache::{self, BLOCK_SIZE, CacheShape, Kept, KeysValues, LayerCache};
use super::relative::{Bias, HeadBias};
use super::rows::Rows;
use super::simd::{self, Kernel, Lanes, WIDTH};
use crate::scheduler::backend::Segment;

/// Most query rows computed at once.
const TILE: usize = 8;
/// Query rows (token × head of a group) that one parallel task computes.
const TASK_ROWS: usize = 64;

/// Heads, sizes and masks of one layer's attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub queries: usize,
    /// Key/value heads; divides `queries`.
    pub keys: usize,
    /// Values per head.
    pub size: usize,
    /// Factor of the scores, usually 1/√size.
    pub scale: f32,
    /// Scores are `cap · tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// A token sees itself and the `window - 1` tokens before it.
    pub window: Option<usize>,
}

impl AttentionShape {
    fn row_width(&self) -> usize {
        (self.queries + 2 * self.keys) * self.size
    }
}

/// The key blocks of one head of one sequence.
#[derive(Clone, Copy)]
struct Blocks<'a, E> {
    /// `[blocks][size][BLOCK_SIZE]`
    keys: &'a [E],
    /// `[blocks][BLOCK_SIZE][stride]`
    values: &'a [E],
    /// Where the sequence's n-th block lies.
    table: &'a [u32],
}

/// Up to [`TILE`] query rows of one key/value head with the keys that each may see.
struct Tile<'a, E> {
    blocks: Blocks<'a, E>,
    size: usize,
    scale: f32,
    soft_cap: Option<f32>,
    /// `rows` queries, `[rows][size]`.
    queries: &'a [f32],
    /// Visible keys `from..to` per row, absolute positions.
    visible: &'a [(usize, usize)],
    /// Relative-position biases of the scaled scores, `[rows][keys, to whole blocks]`, where the model has them.
    bias: Option<&'a [f32]>,
    /// `[TILE][stride]` results.
    out: &'a mut [f32],
}

impl<E: Kept> Kernel for Tile<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        match self.visible.len() {
            1 => self.rows::<L, 1>(),
            2 => self.rows::<L, 2>(),
            3 => self.rows::<L, 3>(),
            4 => self.rows::<L, 4>(),
            5 => self.rows::<L, 5>(),
            6 => self.rows::<L, 6>(),
            7 => self.rows::<L, 7>(),
            _ => self.rows::<L, 8>(),
        }
    }
}

impl<E: Kept> Tile<'_, E> {
    /// The row function, for `R` rows side by side.
    #[inline(always)]
    fn rows<L: Lanes, const R: usize>(mut self) {
        let stride = self.size.next_multiple_of(WIDTH);
        let (key_block, value_block) = (self.size * BLOCK_SIZE, stride * BLOCK_SIZE);
        let first = self.visible.iter().map(|v| v.0).min().unwrap_or(0);
        let last = self.visible.iter().map(|v| v.1).max().unwrap_or(0);
        let mut highest = [f32::NEG_INFINITY; WIDTH];
        let mut sums = [L::splat(0.0); R];
        let out = &mut std::mem::take(&mut self.out)[..R * stride];
        out.fill(0.0);
        let mut weights = [[0.0f32; BLOCK_SIZE]; R];
        for nth in first / BLOCK_SIZE..last.div_ceil(BLOCK_SIZE) {
            let block = self.blocks.table[nth] as usize;
            let keys = &self.blocks.keys[block * key_block..][..key_block];
            let values = &self.blocks.values[block * value_block..][..value_block];
            let base = nth * BLOCK_SIZE;
            let scores = self.scores::<L, R>(keys, base);
            // New maxima, and the factors that bring the old sums to them.
            let before = highest;
            for r in 0..R {
                let best = scores[r][0].max(scores[r][1]).largest();
                highest[r] = if best > before[r] { best } else { before[r] };
            }
            // A row that has seen no key yet keeps -inf as its maximum; zero stands in, so that -inf - -inf is never taken.
            let reference = highest.map(
                #[inline(always)]
                |x| if x == f32::NEG_INFINITY { 0.0 } else { x },
            );
            let factors = L::from_array(before).sub(L::from_array(reference)).exp().to_array();
            for r in 0..R {
                let low = scores[r][0].sub(L::splat(reference[r])).exp();
                let high = scores[r][1].sub(L::splat(reference[r])).exp();
                sums[r] = sums[r].fma(L::splat(factors[r]), low.add(high));
                // SAFETY: a row of weights has BLOCK_SIZE = 2 · WIDTH values.
                unsafe {
                    low.store(weights[r].as_mut_ptr());
                    high.store(weights[r].as_mut_ptr().add(WIDTH));
                }
            }
            let seen = VisibleKeys::of(self.visible, base);
            let mut at = 0;
            while at + 2 * WIDTH <= stride {
                seen.accumulate::<L, E, R, 2>(out, (stride, at), &factors, &weights, values);
                at += 2 * WIDTH;
            }
            if at < stride {
                seen.accumulate::<L, E, R, 1>(out, (stride, at), &factors, &weights, values);
            }
        }
        for r in 0..R {
            let inverse = L::splat(1.0 / sums[r].sum());
            // Adding zero turns a negative zero, which masked keys might or might not leave, into a positive one.
            simd::map_row::<L>(
                &mut out[r * stride..(r + 1) * stride],
                0.0,
                #[inline(always)]
                |_, x| x.fma(inverse, L::splat(0.0)),
            );
        }
    }

    /// Scaled scores of one block, two lanes per row; -inf for keys that the row does not see.
    #[inline(always)]
    fn scores<L: Lanes, const R: usize>(&self, keys: &[E], base: usize) -> [[L; 2]; R] {
        let mut scores = [[L::splat(0.0); 2]; R];
        for (i, key) in keys.chunks_exact(BLOCK_SIZE).enumerate() {
            // SAFETY: a chunk has BLOCK_SIZE = 2 · WIDTH values.
            let (low, high) = unsafe { (E::load::<L>(key.as_ptr()), E::load::<L>(key.as_ptr().add(WIDTH))) };
            for (r, score) in scores.iter_mut().enumerate() {
                let query = L::splat(self.queries[r * self.size + i]);
                score[0] = query.fma(low, score[0]);
                score[1] = query.fma(high, score[1]);
            }
        }
        let hidden = L::splat(f32::NEG_INFINITY);
        for (r, (score, (from, to))) in scores.iter_mut().zip(self.visible).enumerate() {
            let bias = self.bias.map(|bias| &bias[r * (bias.len() / R) + base..][..BLOCK_SIZE]);
            let whole = *from <= base && base + BLOCK_SIZE <= *to;
            // Slots within the block; f32 holds them exactly.
            let from = L::splat(from.saturating_sub(base).min(BLOCK_SIZE) as f32);
            let to = L::splat(to.saturating_sub(base).min(BLOCK_SIZE) as f32);
            for (half, score) in score.iter_mut().enumerate() {
                *score = score.mul(L::splat(self.scale));
                if let Some(cap) = self.soft_cap {
                    *score = soft_cap(*score, cap);
                }
                if let Some(bias) = bias {
                    *score = score.add(simd::load_padded::<L>(bias, half * WIDTH, 0.0));
                }
                if !whole {
                    let slots = L::from_array(std::array::from_fn(
                        #[inline(always)]
                        |i| (half * WIDTH + i) as f32,
                    ));
                    *score = slots.where_less(from, hidden, slots.where_less(to, *score, hidden));
                }
            }
        }
        scores
    }
}

/// The keys of a block that the rows of a tile see.
struct VisibleKeys<'a> {
    base: usize,
    visible: &'a [(usize, usize)],
    /// Those that all rows see.
    common: std::ops::Range<usize>,
    /// No row sees others.
    alike: bool,
}

impl<'a> VisibleKeys<'a> {
    #[inline(always)]
    fn of(visible: &'a [(usize, usize)], base: usize) -> Self {
        let slot = |position: usize| position.saturating_sub(base).min(BLOCK_SIZE);
        let (mut from, mut to) = ((BLOCK_SIZE, 0), (BLOCK_SIZE, 0));
        for (first, last) in visible {
            let (first, last) = (slot(*first), slot(*last));
            from = (from.0.min(first), from.1.max(first));
            to = (to.0.min(last), to.1.max(last));
        }
        Self { base, visible, common: from.1..to.0.max(from.1), alike: from.0 == from.1 && to.0 == to.1 }
    }

    /// Adds the values that each row sees, in ascending order. What a row does not see is left out, not multiplied by zero: it may
    /// be no finite number, and 0 · NaN is NaN.
    #[inline(always)]
    fn accumulate<L: Lanes, E: Kept, const R: usize, const C: usize>(
        &self,
        out: &mut [f32],
        (stride, at): (usize, usize),
        factors: &[f32; WIDTH],
        weights: &[[f32; BLOCK_SIZE]; R],
        values: &[E],
    ) {
        if self.alike {
            return accumulate::<L, E, R, C>(out, (stride, at), factors, weights, values, self.common.clone());
        }
        let slot = |position: usize| position.saturating_sub(self.base).min(BLOCK_SIZE);
        let ones = [1.0; WIDTH];
        for (r, (first, last)) in self.visible.iter().enumerate() {
            let (first, last) = (slot(*first), slot(*last));
            let before = first..last.min(self.common.start).max(first);
            let (out, weights) = (&mut out[r * stride..], std::array::from_ref(&weights[r]));
            accumulate::<L, E, 1, C>(out, (stride, at), &[factors[r]; WIDTH], weights, values, before);
        }
        accumulate::<L, E, R, C>(out, (stride, at), &ones, weights, values, self.common.clone());
        for (r, (first, last)) in self.visible.iter().enumerate() {
            let (first, last) = (slot(*first).max(self.common.end), slot(*last));
            let (out, weights) = (&mut out[r * stride..], std::array::from_ref(&weights[r]));
            if first < last {
                accumulate::<L, E, 1, C>(out, (stride, at), &ones, weights, values, first..last);
            }
        }
    }
}

/// `out = out · factor + Σ weight · value` over the keys of a block, for `C` lanes of every row from column `at`.
#[inline(always)]
fn accumulate<L: Lanes, E: Kept, const R: usize, const C: usize>(
    out: &mut [f32],
    (stride, at): (usize, usize),
    factors: &[f32; WIDTH],
    weights: &[[f32; BLOCK_SIZE]; R],
    values: &[E],
    keys: std::ops::Range<usize>,
) {
    debug_assert!(at + C * WIDTH <= stride && keys.end * stride <= values.len() && R * stride <= out.len());
    let mut sums: [[L; C]; R] = std::array::from_fn(
        #[inline(always)]
        |r| {
            std::array::from_fn(
                #[inline(always)]
                |c| {
                    // SAFETY: `at + C · WIDTH <= stride`, and `out` has R rows of `stride`.
                    let old = unsafe { L::load(out.as_ptr().add(r * stride + at + c * WIDTH)) };
                    old.mul(L::splat(factors[r]))
                },
            )
        },
    );
    for key in keys {
        // SAFETY: `values` has BLOCK_SIZE rows of `stride`.
        let value: [L; C] = std::array::from_fn(
            #[inline(always)]
            |c| unsafe { E::load::<L>(values.as_ptr().add(key * stride + at + c * WIDTH)) },
        );
        for (sums, weights) in sums.iter_mut().zip(weights) {
            let weight = L::splat(weights[key]);
            for (sum, value) in sums.iter_mut().zip(value) {
                *sum = weight.fma(value, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (c, sum) in sums.iter().enumerate() {
            // SAFETY: as for the loads from `out`.
            unsafe { sum.store(out.as_mut_ptr().add(r * stride + at + c * WIDTH)) };
        }
    }
}

/// Where the results of parallel tasks go; each task writes other rows or other heads.
struct Output(*mut f32);
// SAFETY: tasks write disjoint ranges, see `Task`.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// Copies `from` to `at..`.
    ///
    /// # Safety
    /// The range lies inside the output, and no other task writes it.
    unsafe fn write(&self, at: usize, from: &[f32]) {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.0.add(at), from.len()) };
    }
}

/// A share of the work: one key/value head of one sequence, for some of its query rows (token-major, head-minor).
struct Task {
    sequence: usize,
    head: usize,
    rows: std::ops::Range<usize>,
}

/// The query rows of one sequence inside the packed matrix.
struct Queries<'a> {
    shape: &'a AttentionShape,
    /// Fused q/k/v rows of the whole step.
    qkv: &'a [f32],
    /// Matrix row of the sequence's first token in this step.
    offset: usize,
    /// Visible keys of the n-th token of this step.
    visible: &'a (dyn Fn(usize) -> (usize, usize) + Sync),
    /// Relative-position biases, of models with as many query heads as key heads.
    bias: Option<&'a HeadBias<'a>>,
}

impl Queries<'_> {
    /// Computes the query rows `rows` of key/value head `head`.
    fn compute<E: Kept>(&self, head: usize, rows: std::ops::Range<usize>, blocks: Blocks<'_, E>, out: &Output) {
        let shape = self.shape;
        let (group, size) = (shape.queries / shape.keys, shape.size);
        let stride = size.next_multiple_of(WIDTH);
        let mut queries = vec![0.0f32; TILE * size];
        let mut results = vec![0.0f32; TILE * stride];
        let mut visible = Vec::with_capacity(TILE);
        let mut biases = vec![0.0f32; self.bias.map_or(0, |bias| TILE * bias.stride())];
        let mut start = rows.start;
        while start < rows.end {
            let count = TILE.min(rows.end - start);
            visible.clear();
            for (r, row) in (start..start + count).enumerate() {
                let (token, query_head) = (row / group, head * group + row % group);
                let at = (self.offset + token) * shape.row_width() + query_head * size;
                queries[r * size..(r + 1) * size].copy_from_slice(&self.qkv[at..at + size]);
                visible.push((self.visible)(token));
            }
            let (queries, out_rows) = (&queries[..count * size], &mut results[..]);
            let AttentionShape { scale, soft_cap, .. } = *shape;
            let bias = self.bias.map(|bias| {
                let biases = &mut biases[..count * bias.stride()];
                bias.fill(start..start + count, queries, biases);
                &*biases
            });
            simd::dispatch(Tile { blocks, size, scale, soft_cap, queries, visible: &visible, bias, out: out_rows });
            for (r, row) in (start..start + count).enumerate() {
                let (token, query_head) = (row / group, head * group + row % group);
                let at = (self.offset + token) * shape.queries * size + query_head * size;
                // SAFETY: row and head lie inside the output, which has a row for each of `qkv`; tasks differ in sequence, head or rows.
                unsafe { out.write(at, &results[r * stride..r * stride + size]) };
            }
            start += count;
        }
    }
}

/// Tasks for sequences of the given lengths.
fn tasks(shape: &AttentionShape, lengths: impl Iterator<Item = usize>, rows_per_task: usize) -> Vec<Task> {
    let group = shape.queries / shape.keys;
    let mut tasks = Vec::new();
    for (sequence, len) in lengths.enumerate() {
        let total = len * group;
        for head in 0..shape.keys {
            for start in (0..total).step_by(rows_per_task) {
                tasks.push(Task { sequence, head, rows: start..(start + rows_per_task).min(total) });
            }
        }
    }
    tasks
}

fn offsets(lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut at = 0;
    lengths
        .map(|len| {
            at += len;
            at - len
        })
        .collect()
}

/// Causal attention of a step over the paged cache, which already holds the step's own keys and values.
/// `[tokens, (queries + 2·keys)·size]` -> `[tokens, queries·size]`.
pub fn paged(qkv: &Rows, cache: &LayerCache, segments: &[Segment], shape: &AttentionShape) -> Rows {
    match &cache.numbers {
        cache::Numbers::F32(kept) => over(qkv, kept, cache.shape(), segments, shape),
        cache::Numbers::Bf16(kept) => over(qkv, kept, cache.shape(), segments, shape),
    }
}

fn over<E: Kept>(
    qkv: &Rows,
    kept: &KeysValues<E>,
    (cache, blocks): (&CacheShape, usize),
    segments: &[Segment],
    shape: &AttentionShape,
) -> Rows {
    assert_eq!(qkv.columns(), shape.row_width(), "rows of another shape");
    let offsets = offsets(segments.iter().map(|s| s.len));
    let mut attended = Rows::zeros(qkv.rows(), shape.queries * shape.size);
    let (qkv, out) = (qkv.values(), Output(attended.values_mut().as_mut_ptr()));
    tasks(shape, segments.iter().map(|s| s.len), TASK_ROWS).into_par_iter().for_each(|task| {
        let segment = &segments[task.sequence];
        let (keys, values) = kept.head(cache, blocks, task.head);
        let visible = |token: usize| {
            let position = segment.start + token;
            (shape.window.map_or(0, |w| (position + 1).saturating_sub(w)), position + 1)
        };
        let queries = Queries { shape, qkv, offset: offsets[task.sequence], visible: &visible, bias: None };
        queries.compute(task.head, task.rows, Blocks { keys, values, table: &segment.blocks }, &out);
    });
    attended
}

/// Attention of whole sequences in both directions, without a cache. With a window, a token sees the `window / 2` tokens
/// on either side, as ModernBERT's local layers do.
///
/// `bias` is added to the scaled scores, in models in which every query head has its own key head.
pub fn bidirectional(qkv: &Rows, lengths: &[usize], shape: &AttentionShape, bias: Option<&Bias>) -> Rows {
    assert_eq!(qkv.columns(), shape.row_width(), "rows of another shape");
    debug_assert!(bias.is_none() || shape.queries == shape.keys);
    let offsets = offsets(lengths.iter().copied());
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let table: Vec<u32> = (0..longest.div_ceil(BLOCK_SIZE) as u32).collect();
    let mut attended = Rows::zeros(qkv.rows(), shape.queries * shape.size);
    let (qkv, out) = (qkv.values(), Output(attended.values_mut().as_mut_ptr()));
    // A task builds its head's key blocks itself, so it takes all query rows of them.
    tasks(shape, lengths.iter().copied(), usize::MAX).into_par_iter().for_each(|task| {
        let (offset, len) = (offsets[task.sequence], lengths[task.sequence]);
        let (keys, values) = head_blocks(qkv, offset, len, task.head, shape);
        let visible = |token: usize| match shape.window {
            None => (0, len),
            Some(w) => (token.saturating_sub(w / 2), (token + w / 2 + 1).min(len)),
        };
        let bias = bias.map(|bias| bias.head(task.head, &head_keys(qkv, offset, len, task.head, shape), len));
        let queries = Queries { shape, qkv, offset, visible: &visible, bias: bias.as_ref() };
        queries.compute(task.head, task.rows, Blocks { keys: &keys, values: &values, table: &table }, &out);
    });
    attended
}

/// Keys of one head of one whole sequence, `[len, size]`.
fn head_keys(qkv: &[f32], offset: usize, len: usize, head: usize, shape: &AttentionShape) -> Vec<f32> {
    let rows = qkv[offset * shape.row_width()..].chunks_exact(shape.row_width()).take(len);
    rows.flat_map(|row| &row[(shape.queries + head) * shape.size..][..shape.size]).copied().collect()
}

/// Key and value blocks of one head of one whole sequence, in the cache's layout.
fn head_blocks(qkv: &[f32], offset: usize, len: usize, head: usize, shape: &AttentionShape) -> (Vec<f32>, Vec<f32>) {
    let (size, stride) = (shape.size, shape.size.next_multiple_of(WIDTH));
    let blocks = len.div_ceil(BLOCK_SIZE);
    let mut keys = vec![0.0; blocks * size * BLOCK_SIZE];
    let mut values = vec![0.0; blocks * stride * BLOCK_SIZE];
    for position in 0..len {
        let row = &qkv[(offset + position) * shape.row_width()..][..shape.row_width()];
        let key = &row[(shape.queries + head) * size..][..size];
        let value = &row[(shape.queries + shape.keys + head) * size..][..size];
        let at = position / BLOCK_SIZE * size * BLOCK_SIZE + position % BLOCK_SIZE;
        for (i, x) in key.iter().enumerate() {
            keys[at + i * BLOCK_SIZE] = *x;
        }
        values[position * stride..position * stride + size].copy_from_slice(value);
    }
    (keys, values)
}
