//! The innermost loops of a product: a few rows times a panel of 32 columns.
//!
//! One output is a sum over chunks of the inputs, each chunk summed in order by fused steps from zero, the chunks added in
//! order. Nothing in it depends on the other rows, on threads or on the instruction set, so equal inputs give equal bits
//! everywhere.
#![expect(unsafe_code, reason = "kernel file: lanes are loaded and stored through pointers")]
#![expect(clippy::needless_range_loop, reason = "indices of registers, counted by constants")]

use crate::cpu::simd::{Dots, WIDTH};

/// Columns of a panel: the unit in which weights are stored.
pub const PANEL: usize = 2 * WIDTH;

/// Words of a chunk of f32 or bfloat16 weights: a panel's chunk, 32 KB, stays in the first cache while rows pass.
pub const CHUNK_WORDS: usize = 256;

/// What the words of a float product hold.
pub trait Numbers {
    /// `sum + input·weight`.
    fn dot<L: Dots>(sum: L, input: L, weight: L) -> L;
}

/// One f32 in a word.
pub struct Single;

impl Numbers for Single {
    #[inline(always)]
    fn dot<L: Dots>(sum: L, input: L, weight: L) -> L {
        input.fma(weight, sum)
    }
}

/// Two bfloat16 in a word.
pub struct Bf16Pair;

impl Numbers for Bf16Pair {
    #[inline(always)]
    fn dot<L: Dots>(sum: L, input: L, weight: L) -> L {
        sum.dot_bf16(input, weight)
    }
}

/// Calls a tile with the number of rows as a constant; callers split rows into blocks of at most the last number.
macro_rules! with_rows {
    ($rows:expr, $($n:literal)*, |$constant:ident| $call:expr) => {
        match $rows {
            $($n => { const $constant: usize = $n; $call })*
            _ => {}
        }
    };
}

/// Rows of inputs for one chunk, and the sums of the panel for them.
#[derive(Clone, Copy)]
pub struct Chunk {
    /// First word of the chunk in the first row.
    pub inputs: *const f32,
    /// Words from row to row.
    pub stride: usize,
    /// Rows.
    pub rows: usize,
    /// The panel's words of the chunk, `[words, PANEL]`.
    pub weights: *const f32,
    /// Words of the chunk.
    pub words: usize,
    /// `[rows, PANEL]` sums so far.
    pub sums: *mut f32,
    /// Whether there are no sums yet.
    pub first: bool,
}

/// Splits rows into blocks of nearly equal size, at most `most`.
#[inline(always)]
fn blocks(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(most);
    (0..count).map(move |block| (block * rows / count, (block + 1) * rows / count))
}

/// Adds the products of a chunk to the sums.
///
/// # Safety
/// The pointers of `chunk` must be valid for its rows, words and a panel's columns.
#[inline(always)]
pub unsafe fn float_chunk<L: Dots, N: Numbers>(chunk: Chunk) {
    for (from, to) in blocks(chunk.rows, if L::WIDE { 12 } else { 6 }) {
        // SAFETY: a block lies within the rows, and half a panel within a panel.
        unsafe {
            let mut part = chunk;
            part.inputs = chunk.inputs.add(from * chunk.stride);
            part.sums = chunk.sums.add(from * PANEL);
            if L::WIDE {
                with_rows!(to - from, 1 2 3 4 5 6 7 8 9 10 11 12, |ROWS| float_tile::<L, N, ROWS, 2>(part));
            } else {
                for half in 0..2 {
                    let (weights, sums) = (part.weights.add(half * WIDTH), part.sums.add(half * WIDTH));
                    let part = Chunk { weights, sums, ..part };
                    with_rows!(to - from, 1 2 3 4 5 6, |ROWS| float_tile::<L, N, ROWS, 1>(part));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn float_tile<L: Dots, N: Numbers, const ROWS: usize, const LANES: usize>(chunk: Chunk) {
    let Chunk { inputs, stride, weights, words, sums, first, .. } = chunk;
    // SAFETY: the caller of `float_chunk` promises valid pointers.
    unsafe {
        let mut acc = [[L::splat(0.0); LANES]; ROWS];
        let mut row = [inputs; ROWS];
        for r in 1..ROWS {
            row[r] = inputs.add(r * stride);
        }
        for word in 0..words {
            let mut weight = [L::splat(0.0); LANES];
            for n in 0..LANES {
                weight[n] = L::load(weights.add(word * PANEL + n * WIDTH));
            }
            for r in 0..ROWS {
                let input = L::splat(*row[r].add(word));
                for n in 0..LANES {
                    acc[r][n] = N::dot(acc[r][n], input, weight[n]);
                }
            }
        }
        add_to_sums(&acc, sums, first);
    }
}

#[inline(always)]
unsafe fn add_to_sums<L: Dots, const ROWS: usize, const LANES: usize>(
    acc: &[[L; LANES]; ROWS],
    sums: *mut f32,
    first: bool,
) {
    for r in 0..ROWS {
        for n in 0..LANES {
            // SAFETY: the caller promises `ROWS` rows of sums.
            unsafe {
                let at = sums.add(r * PANEL + n * WIDTH);
                let sum = if first { acc[r][n] } else { L::load(at).add(acc[r][n]) };
                sum.store(at);
            }
        }
    }
}

/// A chunk of whole numbers: inputs as signed bytes with a scale for each [`SCALED`] of them, weights as unsigned bytes.
#[derive(Clone, Copy)]
pub struct ByteChunk {
    /// `inputs`, `weights`, `sums` and so on; words hold four bytes each and come in multiples of eight.
    pub words: Chunk,
    /// Scale of each block of 32 inputs, from the chunk's first.
    pub input_scales: *const f32,
    /// Sums of each half block of 16 inputs.
    pub input_sums: *const i32,
    /// Input scales from row to row; input sums stand twice as far apart.
    pub input_stride: usize,
    /// `[sub-blocks, PANEL]` scales of the weights.
    pub scales: *const f32,
    /// `[sub-blocks, PANEL]` summands of the weights, or null.
    pub minima: *const f32,
    /// What is taken from every unsigned weight.
    pub zero: i32,
    /// Whether weights have a scale for every 16 inputs, not 32.
    pub halves: bool,
}

/// Inputs that share a scale.
pub const SCALED: usize = 32;

/// Adds the products of a chunk to the sums.
///
/// # Safety
/// The pointers of `chunk` must be valid for its rows, words and a panel's columns.
#[inline(always)]
pub unsafe fn byte_chunk<L: Dots>(chunk: ByteChunk) {
    for (from, to) in blocks(chunk.words.rows, if L::WIDE { 6 } else { 3 }) {
        // SAFETY: a block lies within the rows, and half a panel within a panel.
        unsafe {
            let mut part = chunk;
            part.words.inputs = chunk.words.inputs.add(from * chunk.words.stride);
            part.words.sums = chunk.words.sums.add(from * PANEL);
            part.input_scales = chunk.input_scales.add(from * chunk.input_stride);
            part.input_sums = chunk.input_sums.add(2 * from * chunk.input_stride);
            if L::WIDE {
                with_rows!(to - from, 1 2 3 4 5 6, |ROWS| byte_tile::<L, ROWS, 2>(part));
            } else {
                for half in 0..2 {
                    let mut part = part;
                    part.words.weights = part.words.weights.add(half * WIDTH);
                    part.words.sums = part.words.sums.add(half * WIDTH);
                    part.scales = part.scales.add(half * WIDTH);
                    if !part.minima.is_null() {
                        part.minima = part.minima.add(half * WIDTH);
                    }
                    with_rows!(to - from, 1 2 3, |ROWS| byte_tile::<L, ROWS, 1>(part));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn byte_tile<L: Dots, const ROWS: usize, const LANES: usize>(chunk: ByteChunk) {
    const BLOCK_WORDS: usize = SCALED / 4;
    let Chunk { inputs, stride, weights, words, sums, first, .. } = chunk.words;
    // SAFETY: the caller of `byte_chunk` promises valid pointers.
    unsafe {
        let mut acc = [[L::splat(0.0); LANES]; ROWS];
        let subs = if chunk.halves { 2 } else { 1 };
        for block in 0..words / BLOCK_WORDS {
            for sub in 0..subs {
                let mut exact = [[L::sums(0); LANES]; ROWS];
                for r in 0..ROWS {
                    let at = chunk.input_sums.add(2 * (r * chunk.input_stride + block));
                    let sum = if subs == 2 { *at.add(sub) } else { *at + *at.add(1) };
                    exact[r] = [L::sums(-chunk.zero * sum); LANES];
                }
                let from = block * BLOCK_WORDS + sub * BLOCK_WORDS / 2;
                for word in from..from + BLOCK_WORDS / subs {
                    let mut weight = [L::splat(0.0); LANES];
                    for n in 0..LANES {
                        weight[n] = L::load(weights.add(word * PANEL + n * WIDTH));
                    }
                    for r in 0..ROWS {
                        let input = L::splat(*inputs.add(r * stride + word));
                        for n in 0..LANES {
                            exact[r][n] = L::dot_bytes(exact[r][n], input, weight[n]);
                        }
                    }
                }
                for n in 0..LANES {
                    let scale = L::load(chunk.scales.add((block * subs + sub) * PANEL + n * WIDTH));
                    for r in 0..ROWS {
                        let input_scale = L::splat(*chunk.input_scales.add(r * chunk.input_stride + block));
                        acc[r][n] = L::from_sums(exact[r][n]).fma(scale.mul(input_scale), acc[r][n]);
                    }
                }
                if !chunk.minima.is_null() {
                    for r in 0..ROWS {
                        let at = r * chunk.input_stride + block;
                        let half = chunk.input_sums.add(2 * at);
                        let sum = if subs == 2 { *half.add(sub) } else { *half + *half.add(1) };
                        let sum = L::splat(sum as f32 * *chunk.input_scales.add(at));
                        for n in 0..LANES {
                            let minimum = L::load(chunk.minima.add((block * subs + sub) * PANEL + n * WIDTH));
                            acc[r][n] = minimum.fma(sum, acc[r][n]);
                        }
                    }
                }
            }
        }
        add_to_sums(&acc, sums, first);
    }
}
