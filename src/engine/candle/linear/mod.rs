//! Matrix products with packed weights: f32, bfloat16, or quantised as in GGUF files.
//!
//! Weights lie in panels of 32 outputs, each panel input by input, so that a product streams them once and in order
//! whatever the number of rows. One kernel per type computes one row and a thousand alike: see [`tile`] for the order of
//! every sum. With bfloat16 weights the inputs are rounded to bfloat16, with quantised ones to signed bytes with a scale for
//! every 32 (as ggml does); sums are f32.
#![expect(unsafe_code, reason = "kernel file: tiles take pointers, outputs start uninitialised")]

mod quantized;
#[cfg(test)]
mod tests;
mod tile;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor};
use half::bf16;
use rayon::prelude::*;

use super::ops;
use crate::engine::simd::{DotKernel, Dots, InstructionSet, WIDTH, dispatch_dots_on};
use crate::error::Result;
use quantized::Unpacked;
pub use quantized::{Kind, Quantized};
use tile::{Bf16Pair, ByteChunk, CHUNK_WORDS, Chunk, PANEL, SCALED, Single};

/// Rows that pass a panel's chunk at a time; their sums, 12 KB, stay in the first cache.
const PASS_ROWS: usize = 96;
/// Products of numbers below which a second thread costs more than it saves.
const MIN_PARALLEL: usize = 1 << 17;
/// Tasks per thread, so that one that is interrupted does not hold up the others.
const TASKS_PER_THREAD: usize = 4;

/// Weights of some outputs of a layer, packed.
pub enum Weights {
    /// `[panels, inputs, PANEL]`.
    F32(Vec<f32>),
    /// `[panels, inputs / 2, PANEL]` words, the lower half the input that comes first.
    Bf16(Vec<u32>),
    /// See [`Quantized`].
    Quantized(Quantized),
}

impl Weights {
    /// Packs `outputs × inputs` values that `get(output, input)` gives.
    pub fn f32(inputs: usize, outputs: usize, get: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        Self::F32(pack(inputs, outputs, get))
    }

    /// The same, rounded to bfloat16.
    pub fn bf16(inputs: usize, outputs: usize, get: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let half = |output: usize, input: usize| {
            if input < inputs { u32::from(bf16::from_f32(get(output, input)).to_bits()) } else { 0 }
        };
        let pair = |output: usize, word: usize| half(output, 2 * word) | half(output, 2 * word + 1) << 16;
        Self::Bf16(pack(inputs.div_ceil(2), outputs, pair))
    }

    /// The weights of one output.
    fn output(&self, inputs: usize, output: usize) -> Vec<f32> {
        let at = |words: usize, word: usize| (output / PANEL * words + word) * PANEL + output % PANEL;
        match self {
            Self::F32(values) => (0..inputs).map(|i| values[at(inputs, i)]).collect(),
            Self::Bf16(pairs) => {
                let words = inputs.div_ceil(2);
                let half = |i: usize| pairs[at(words, i / 2)] >> (16 * (i % 2)) & 0xffff;
                (0..inputs).map(|i| f32::from_bits(half(i) << 16)).collect()
            }
            Self::Quantized(weights) => weights.output(output),
        }
    }
}

/// `[panels, words, PANEL]` from `get(output, word)`, panels in parallel; columns past the outputs stay zero.
fn pack<T: Copy + Default + Send>(words: usize, outputs: usize, get: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    let mut packed = vec![T::default(); outputs.div_ceil(PANEL) * words * PANEL];
    packed.par_chunks_mut((words * PANEL).max(1)).enumerate().for_each(|(panel, to)| {
        for column in 0..PANEL.min(outputs - panel * PANEL) {
            for word in 0..words {
                to[word * PANEL + column] = get(panel * PANEL + column, word);
            }
        }
    });
    packed
}

/// `y = x·W + b`.
pub struct Linear {
    /// Side by side: their numbers of outputs and weights.
    parts: Vec<(usize, Weights)>,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

/// Inputs of a product in the forms that its weights need.
struct Inputs<'a> {
    rows: usize,
    width: usize,
    single: &'a [f32],
    /// `[rows, width / 2]` words.
    pairs: Vec<u32>,
    bytes: ByteRows,
}

/// Rows as signed bytes.
#[derive(Default)]
struct ByteRows {
    /// `[rows, width / 4]` words.
    words: Vec<u32>,
    /// `[rows, width / 32]`.
    scales: Vec<f32>,
    /// `[rows, width / 16]`.
    sums: Vec<i32>,
}

/// Where a product goes.
#[derive(Clone, Copy)]
struct Output<'a> {
    to: *mut f32,
    bias: Option<&'a [f32]>,
    /// Whether it is added to what is there.
    add: bool,
}

// SAFETY: tasks write disjoint columns and rows through the pointer.
unsafe impl Send for Output<'_> {}
// SAFETY: as above.
unsafe impl Sync for Output<'_> {}

impl Linear {
    /// From weights side by side, each with its number of outputs.
    pub fn new(parts: Vec<(usize, Weights)>, inputs: usize, bias: Option<Vec<f32>>) -> Self {
        let outputs = parts.iter().map(|part| part.0).sum();
        Self { parts, bias, inputs, outputs }
    }

    /// Output width.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `[tokens, inputs]` -> `[tokens, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dims2().map_err(ops::tensor_error)?.0;
        let mut out = Vec::new();
        self.forward_into(x, &mut out)?;
        ops::matrix(out, rows, self.outputs)
    }

    /// The same into a buffer that is used again: a fresh one of many megabytes costs page faults.
    pub fn forward_into(&self, x: &Tensor, out: &mut Vec<f32>) -> Result<()> {
        let rows = x.dims2().map_err(ops::tensor_error)?.0;
        let len = rows * self.outputs;
        out.clear();
        out.reserve(len);
        let output = Output { to: out.as_mut_ptr(), bias: self.bias.as_deref(), add: false };
        ops::with_values(x, |x| self.product(InstructionSet::detect(), x, rows, output))?;
        // SAFETY: `reserve` made room and `product` wrote every one of `rows × outputs` values.
        unsafe { out.set_len(len) };
        Ok(())
    }

    /// `to += x·W + b`, with `to` of shape `[tokens, outputs]`.
    pub fn forward_add(&self, x: &Tensor, to: &Tensor) -> Result<()> {
        to.inplace_op1(&Add { linear: self, x }).map_err(ops::tensor_error)
    }

    /// The weights of each of these outputs, `[outputs, inputs]`: rows of an embedding table.
    pub fn gather(&self, outputs: &[u32]) -> Result<Tensor> {
        let mut values = vec![0.0; outputs.len() * self.inputs];
        values.par_chunks_mut(self.inputs).zip(outputs).for_each(|(values, output)| {
            let mut output = *output as usize;
            for (count, weights) in &self.parts {
                if output < *count {
                    values.copy_from_slice(&weights.output(self.inputs, output));
                    break;
                }
                output -= count;
            }
        });
        ops::matrix(values, outputs.len(), self.inputs)
    }

    fn product(&self, set: InstructionSet, x: &[f32], rows: usize, output: Output) {
        assert_eq!(x.len(), rows * self.inputs);
        let inputs = self.prepare(set, x, rows);
        let threads = rayon::current_num_threads().max(1);
        // A task takes one panel and, where there are few panels, a part of the rows.
        let panels: usize = self.parts.iter().map(|(outputs, _)| outputs.div_ceil(PANEL)).sum();
        let splits = (TASKS_PER_THREAD * threads).div_ceil(panels.max(1)).min(rows.div_ceil(PASS_ROWS));
        let task = |index: usize| {
            let (panel, split) = (index / splits, index % splits);
            let rows = (split * rows / splits, (split + 1) * rows / splits);
            dispatch_dots_on(set, Panel { linear: self, inputs: &inputs, panel, rows, output });
        };
        if threads == 1 || rows * self.inputs * self.outputs < MIN_PARALLEL {
            (0..panels * splits).for_each(task);
        } else {
            (0..panels * splits).into_par_iter().for_each(task);
        }
    }

    fn prepare<'a>(&self, set: InstructionSet, x: &'a [f32], rows: usize) -> Inputs<'a> {
        let mut inputs = Inputs { rows, width: self.inputs, single: x, pairs: Vec::new(), bytes: ByteRows::default() };
        let has = |what: fn(&Weights) -> bool| self.parts.iter().any(|part| what(&part.1));
        let width = self.inputs;
        let per_task = ops::rows_per_task(width);
        if has(|w| matches!(w, Weights::Bf16(_))) {
            inputs.pairs = vec![0; rows * width.div_ceil(2)];
            let to = inputs.pairs.par_chunks_mut(per_task * width.div_ceil(2));
            to.zip(x.par_chunks(per_task * width)).for_each(|(to, x)| dispatch_dots_on(set, ToPairs { x, width, to }));
        }
        if has(|w| matches!(w, Weights::Quantized(_))) {
            let ByteRows { words, scales, sums } = &mut inputs.bytes;
            *words = vec![0; rows * width / 4];
            *scales = vec![0.0; rows * width / SCALED];
            *sums = vec![0; 2 * rows * width / SCALED];
            let words = words.par_chunks_mut(per_task * width / 4);
            let scales = scales.par_chunks_mut(per_task * width / SCALED);
            let sums = sums.par_chunks_mut(2 * per_task * width / SCALED);
            let tasks = words.zip(scales).zip(sums).zip(x.par_chunks(per_task * width));
            tasks.for_each(|(((words, scales), sums), x)| dispatch_dots_on(set, ToBytes { x, words, scales, sums }));
        }
        inputs
    }
}

/// [`Linear::forward_add`].
struct Add<'a> {
    linear: &'a Linear,
    x: &'a Tensor,
}

impl InplaceOp1 for Add<'_> {
    fn name(&self) -> &'static str {
        "add a product"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(values), Some((from, to))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("{} needs contiguous f32 rows", self.name());
        };
        let rows = self.x.dims2()?.0;
        let to = &mut values[from..to];
        if to.len() != rows * self.linear.outputs {
            candle_core::bail!("{} of {rows} rows to {} values", self.name(), to.len());
        }
        let output = Output { to: to.as_mut_ptr(), bias: self.linear.bias.as_deref(), add: true };
        ops::with_values(self.x, |x| self.linear.product(InstructionSet::detect(), x, rows, output))
            .map_err(candle_core::Error::wrap)
    }
}

/// Rounds rows to bfloat16, to nearest even; a row of odd width ends with a zero.
struct ToPairs<'a> {
    x: &'a [f32],
    width: usize,
    to: &'a mut [u32],
}

impl DotKernel for ToPairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Dots>(self) {
        let round = |x: f32| {
            let bits = x.to_bits();
            let rounded = (bits.wrapping_add(0x7fff + (bits >> 16 & 1))) >> 16;
            if x.is_nan() { 0x7fc0 } else { rounded }
        };
        let rows = self.x.chunks_exact(self.width).zip(self.to.chunks_exact_mut(self.width.div_ceil(2)));
        for (x, to) in rows {
            for (pair, to) in x.chunks_exact(2).zip(to.iter_mut()) {
                *to = round(pair[0]) | round(pair[1]) << 16;
            }
            if let ([last], Some(to)) = (x.chunks_exact(2).remainder(), to.last_mut()) {
                *to = round(*last);
            }
        }
    }
}

/// Rounds blocks of 32 to signed bytes: the scale is the largest size over 127, a number its quotient to nearest even.
struct ToBytes<'a> {
    x: &'a [f32],
    words: &'a mut [u32],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl DotKernel for ToBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Dots>(self) {
        let words = self.words.chunks_exact_mut(SCALED / 4);
        let blocks = self.x.chunks_exact(SCALED).zip(words).zip(self.sums.chunks_exact_mut(2));
        for (((x, words), sums), scale) in blocks.zip(self.scales) {
            // SAFETY: a block has two times 16 values.
            let (low, high) = unsafe { (L::load(x.as_ptr()), L::load(x.as_ptr().add(WIDTH))) };
            let size = |x: L| L::splat(0.0).sub(x).max(x);
            // Half by half, for a maximum over lanes may lose a NaN.
            let (a, b) = (size(low).largest(), size(high).largest());
            let largest = if a > b || a.is_nan() { a } else { b };
            *scale = largest / 127.0;
            let inverse = L::splat(if largest == 0.0 { 0.0 } else { 127.0 / largest });
            for (half, x) in [low, high].into_iter().enumerate() {
                let numbers = x.mul(inverse).round().to_array().map(|x| x as i32);
                sums[half] = numbers.iter().sum();
                for (word, four) in words[4 * half..].iter_mut().zip(numbers.chunks_exact(4)) {
                    *word = u32::from_le_bytes([four[0] as u8, four[1] as u8, four[2] as u8, four[3] as u8]);
                }
            }
        }
    }
}

/// The product of some rows with one panel.
struct Panel<'a> {
    linear: &'a Linear,
    inputs: &'a Inputs<'a>,
    /// Counted over all parts.
    panel: usize,
    /// From and to.
    rows: (usize, usize),
    output: Output<'a>,
}

impl DotKernel for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Dots>(self) {
        let Self { linear, inputs, rows: (from, to), output, mut panel } = self;
        let mut column = 0;
        for (outputs, weights) in &linear.parts {
            let panels = outputs.div_ceil(PANEL);
            if panel < panels {
                column += panel * PANEL;
                let width = PANEL.min(outputs - panel * PANEL);
                let mut sums = Sums([0.0; PASS_ROWS * PANEL]);
                for from in (from..to).step_by(PASS_ROWS) {
                    let rows = PASS_ROWS.min(to - from);
                    sums.compute::<L>(inputs, weights, panel, (from, rows));
                    for (row, sums) in sums.0.chunks_exact(PANEL).take(rows).enumerate() {
                        // SAFETY: this task alone writes these columns of these rows, which lie within the output.
                        let to = unsafe { output.to.add((from + row) * linear.outputs + column) };
                        let bias = output.bias.map(|bias| &bias[column..column + width]);
                        // SAFETY: as above.
                        unsafe { finish(&sums[..width], bias, to, output.add) };
                    }
                }
                return;
            }
            panel -= panels;
            column += outputs;
        }
    }
}

/// Writes the sums of a row, or adds them to what is there.
///
/// # Safety
/// `to` must be valid for writing as many values as there are sums, and for reading them if `add`.
#[inline(always)]
unsafe fn finish(sums: &[f32], bias: Option<&[f32]>, to: *mut f32, add: bool) {
    for (i, sum) in sums.iter().enumerate() {
        let sum = bias.map_or(*sum, |bias| sum + bias[i]);
        // SAFETY: the caller promises that `to` is valid for every sum.
        unsafe { to.add(i).write(if add { to.add(i).read() + sum } else { sum }) };
    }
}

/// Sums of a pass, `[rows, PANEL]`.
#[repr(C, align(64))]
struct Sums([f32; PASS_ROWS * PANEL]);

impl Sums {
    /// The products of `rows` rows from `from` on with a panel.
    #[inline(always)]
    fn compute<L: Dots>(&mut self, inputs: &Inputs, weights: &Weights, panel: usize, (from, rows): (usize, usize)) {
        debug_assert!(rows <= PASS_ROWS && from + rows <= inputs.rows);
        let width = inputs.width;
        match weights {
            Weights::F32(weights) => {
                let weights = &weights[panel * width * PANEL..(panel + 1) * width * PANEL];
                self.floats::<L, Single>(
                    &inputs.single[from * width..(from + rows) * width],
                    weights.as_ptr(),
                    width,
                    rows,
                );
            }
            Weights::Bf16(weights) => {
                let words = width.div_ceil(2);
                let weights = &weights[panel * words * PANEL..(panel + 1) * words * PANEL];
                let inputs = &inputs.pairs[from * words..(from + rows) * words];
                // SAFETY: f32 and u32 have the same size and alignment, and every word is a valid f32.
                let inputs = unsafe { std::slice::from_raw_parts(inputs.as_ptr().cast(), inputs.len()) };
                self.floats::<L, Bf16Pair>(inputs, weights.as_ptr().cast(), words, rows);
            }
            Weights::Quantized(weights) => self.bytes::<L>(inputs, weights, panel, (from, rows)),
        }
    }

    /// `inputs` holds `rows` rows of `words` words, `weights` points to a panel of as many.
    #[inline(always)]
    fn floats<L: Dots, N: tile::Numbers>(&mut self, inputs: &[f32], weights: *const f32, words: usize, rows: usize) {
        for from in (0..words).step_by(CHUNK_WORDS) {
            // SAFETY: `compute` cut inputs and weights to `rows` rows and a panel; there are sums for `PASS_ROWS` rows.
            unsafe {
                tile::float_chunk::<L, N>(Chunk {
                    inputs: inputs.as_ptr().add(from),
                    stride: words,
                    rows,
                    weights: weights.add(from * PANEL),
                    words: CHUNK_WORDS.min(words - from),
                    sums: self.0.as_mut_ptr(),
                    first: from == 0,
                });
            }
        }
    }

    #[inline(always)]
    fn bytes<L: Dots>(&mut self, inputs: &Inputs, weights: &Quantized, panel: usize, (from, rows): (usize, usize)) {
        let (width, kind) = (inputs.width, weights.kind());
        let words = &inputs.bytes.words[from * width / 4..(from + rows) * width / 4];
        let scales = &inputs.bytes.scales[from * width / SCALED..(from + rows) * width / SCALED];
        let sums = &inputs.bytes.sums[2 * from * width / SCALED..2 * (from + rows) * width / SCALED];
        let mut unpacked = Unpacked::new();
        for at in (0..width).step_by(quantized::CHUNK) {
            weights.unpack(panel, at, &mut unpacked);
            // SAFETY: the inputs were cut to `rows` rows of `width`, a multiple of 32, of which the chunk from `at` on is
            // unpacked; there are sums for `PASS_ROWS` rows.
            unsafe {
                tile::byte_chunk::<L>(ByteChunk {
                    words: Chunk {
                        inputs: words.as_ptr().cast::<f32>().add(at / 4),
                        stride: width / 4,
                        rows,
                        weights: unpacked.numbers.as_ptr().cast(),
                        words: quantized::CHUNK.min(width - at) / 4,
                        sums: self.0.as_mut_ptr(),
                        first: at == 0,
                    },
                    input_scales: scales.as_ptr().add(at / SCALED),
                    input_sums: sums.as_ptr().add(2 * at / SCALED),
                    input_stride: width / SCALED,
                    scales: unpacked.scales.as_ptr().cast(),
                    minima: if kind.minimum() { unpacked.minima.as_ptr().cast() } else { std::ptr::null() },
                    zero: kind.zero(),
                    halves: kind.halves(),
                });
            }
        }
    }
}
