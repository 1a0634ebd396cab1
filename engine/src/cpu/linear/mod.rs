//! Matrix products with packed weights: f32, bfloat16, or quantised as in GGUF files.
//!
//! Weights lie in panels of 32 outputs, each panel input by input, so that a product streams them once and in order
//! whatever the number of rows. One kernel per type computes one row and a thousand alike: see `tile` for the order of
//! every sum. With bfloat16 weights the inputs are rounded to bfloat16, with quantised ones to signed bytes with a scale for
//! every 32 (as ggml does); sums are f32.
#![expect(unsafe_code, reason = "kernel file: tiles take pointers, outputs start uninitialised")]

mod quantized;
#[cfg(test)]
mod tests;
mod tile;

use std::borrow::Cow;

use rayon::prelude::*;

use crate::cpu::rows::{Rows, rows_per_task};
use crate::cpu::simd::{DotKernel, Dots, InstructionSet, Lanes, WIDTH, dispatch_dots_on, to_bf16};
use quantized::Unpacked;
pub use quantized::{Kind, Quantized};
use tile::{Bf16Pair, ByteChunk, CHUNK_WORDS, Chunk, PANEL, SCALED, Single};

/// Rows that pass a panel's chunk at a time; their sums, 12 KB, stay in the first cache.
const PASS_ROWS: usize = 96;
/// Multiplications below which a second thread costs more than it saves.
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
            if input < inputs { u32::from(to_bf16(get(output, input))) } else { 0 }
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
    single: Cow<'a, [f32]>,
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

    /// Input width.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The bias.
    pub fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// The weights of consecutive outputs, `[outputs, inputs]`.
    pub fn rows(&self, outputs: std::ops::Range<usize>) -> Vec<f32> {
        let mut values = vec![0.0; outputs.len() * self.inputs];
        values.par_chunks_mut(self.inputs.max(1)).zip(outputs).for_each(|(to, output)| self.read_output(output, to));
        values
    }

    fn read_output(&self, mut output: usize, to: &mut [f32]) {
        for (count, weights) in &self.parts {
            if output < *count {
                to.copy_from_slice(&weights.output(self.inputs, output));
                return;
            }
            output -= count;
        }
    }

    /// `[tokens, inputs]` -> `[tokens, outputs]`.
    pub fn forward(&self, x: &Rows) -> Rows {
        self.whole(&From { x, make: None })
    }

    /// The product of inputs that are made from rows of `x` on the way: `make(row of x, row of inputs)`.
    pub fn forward_made(&self, x: &Rows, make: impl Fn(&[f32], &mut [f32]) + Sync) -> Rows {
        self.whole(&From { x, make: Some(&make) })
    }

    fn whole(&self, from: &From) -> Rows {
        let mut out = Vec::new();
        self.fill(from, &mut out);
        Rows::new(out, self.outputs)
    }

    /// [`Linear::forward`] into a buffer that is used again: a fresh one of many megabytes costs page faults.
    pub fn forward_into(&self, x: &Rows, out: &mut Vec<f32>) {
        self.fill(&From { x, make: None }, out);
    }

    fn fill(&self, from: &From, out: &mut Vec<f32>) {
        let len = from.x.rows() * self.outputs;
        out.clear();
        out.reserve(len);
        let output = Output { to: out.as_mut_ptr(), bias: self.bias.as_deref(), add: false };
        self.product(InstructionSet::detect(), from, output);
        // SAFETY: `reserve` made room and `product` wrote every one of `rows × outputs` values.
        unsafe { out.set_len(len) };
    }

    /// `to += x·W + b`, with `to` of shape `[tokens, outputs]`.
    pub fn forward_add(&self, x: &Rows, to: &mut Rows) {
        self.add(&From { x, make: None }, to);
    }

    /// [`Linear::forward_add`] of inputs that are made on the way.
    pub fn forward_made_add(&self, x: &Rows, make: impl Fn(&[f32], &mut [f32]) + Sync, to: &mut Rows) {
        self.add(&From { x, make: Some(&make) }, to);
    }

    fn add(&self, from: &From, to: &mut Rows) {
        assert_eq!((to.rows(), to.columns()), (from.x.rows(), self.outputs), "a product added to another shape");
        let output = Output { to: to.values_mut().as_mut_ptr(), bias: self.bias.as_deref(), add: true };
        self.product(InstructionSet::detect(), from, output);
    }

    /// The weights of each of these outputs, `[outputs, inputs]`: rows of an embedding table.
    pub fn gather(&self, outputs: &[u32]) -> Rows {
        let mut rows = Rows::zeros(outputs.len(), self.inputs);
        let each = rows.values_mut().par_chunks_mut(self.inputs).zip(outputs);
        each.for_each(|(to, output)| self.read_output(*output as usize, to));
        rows
    }

    /// Writes every output of every row.
    fn product(&self, set: InstructionSet, from: &From, output: Output) {
        let rows = from.x.rows();
        if rows == 0 {
            return;
        }
        let inputs = self.prepare(set, from);
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

    /// Makes the inputs in the forms that the weights need, rows in parallel.
    fn prepare<'a>(&self, set: InstructionSet, from: &From<'a>) -> Inputs<'a> {
        let (rows, width) = (from.x.rows(), self.inputs);
        let need = |what: fn(&Weights) -> bool| if self.parts.iter().any(|part| what(&part.1)) { rows } else { 0 };
        let singles = need(|w| matches!(w, Weights::F32(_)));
        let (pairs, bytes) = (need(|w| matches!(w, Weights::Bf16(_))), need(|w| matches!(w, Weights::Quantized(_))));
        let (mut single, make): (Cow<'_, [f32]>, &Make<'_>) = match (from.make, singles) {
            (Some(make), _) => (Cow::Owned(vec![0.0; singles * width]), make),
            (None, singles) if singles == rows && pairs + bytes == 0 => {
                assert_eq!(from.x.columns(), width, "inputs of another width");
                return Inputs {
                    rows,
                    width,
                    single: Cow::Borrowed(from.x.values()),
                    pairs: Vec::new(),
                    bytes: ByteRows::default(),
                };
            }
            (None, _) => (Cow::Owned(vec![0.0; singles * width]), &COPY),
        };
        let mut pairs = vec![0; pairs * width.div_ceil(2)];
        let mut bytes = ByteRows {
            words: vec![0; bytes * width / 4],
            scales: vec![0.0; bytes * width / SCALED],
            sums: vec![0; 2 * bytes * width / SCALED],
        };
        let per_task = rows_per_task(width);
        let mut singles = single.to_mut().chunks_mut(per_task * width);
        let mut pair_rows = pairs.chunks_mut(per_task * width.div_ceil(2));
        let mut words = bytes.words.chunks_mut((per_task * width / 4).max(1));
        let mut scales = bytes.scales.chunks_mut((per_task * width / SCALED).max(1));
        let mut sums = bytes.sums.chunks_mut((2 * per_task * width / SCALED).max(1));
        let tasks = from.x.values().chunks(per_task * from.x.columns()).map(|x| Prepare {
            x,
            make,
            width,
            single: singles.next().unwrap_or_default(),
            pairs: pair_rows.next().unwrap_or_default(),
            words: words.next().unwrap_or_default(),
            scales: scales.next().unwrap_or_default(),
            sums: sums.next().unwrap_or_default(),
        });
        let tasks: Vec<Prepare> = tasks.collect();
        tasks.into_par_iter().for_each(|task| dispatch_dots_on(set, task));
        Inputs { rows, width, single, pairs, bytes }
    }
}

/// Makes a row of inputs from a row of something else.
type Make<'a> = dyn Fn(&[f32], &mut [f32]) + Sync + 'a;

/// The row as it is.
const COPY: fn(&[f32], &mut [f32]) = |from, to| to.copy_from_slice(from);

/// What inputs are made from.
struct From<'a> {
    /// Rows, of the width of the inputs where nothing is made.
    x: &'a Rows,
    make: Option<&'a Make<'a>>,
}

/// Some rows of inputs on their way into the forms that are needed; the others are empty.
struct Prepare<'a> {
    x: &'a [f32],
    make: &'a Make<'a>,
    width: usize,
    single: &'a mut [f32],
    pairs: &'a mut [u32],
    words: &'a mut [u32],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl DotKernel for Prepare<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Dots>(self) {
        let Self { x, make, width, single, pairs, words, scales, sums } = self;
        let rows = [single.len() / width, pairs.len() / width.div_ceil(2), scales.len() * SCALED / width];
        let rows = rows.into_iter().max().unwrap_or(0);
        let mut space = vec![0.0; if single.is_empty() { width } else { 0 }];
        for (row, x) in x.chunks_exact(x.len() / rows.max(1)).enumerate() {
            let made = if single.is_empty() { &mut space[..] } else { &mut single[row * width..(row + 1) * width] };
            make(x, made);
            if !pairs.is_empty() {
                let words = width.div_ceil(2);
                to_pairs(made, &mut pairs[row * words..(row + 1) * words]);
            }
            if !scales.is_empty() {
                let blocks = width / SCALED;
                let words = &mut words[row * width / 4..(row + 1) * width / 4];
                let sums = &mut sums[2 * row * blocks..2 * (row + 1) * blocks];
                to_bytes::<L>(made, words, &mut scales[row * blocks..(row + 1) * blocks], sums);
            }
        }
    }
}

/// Rounds a row to bfloat16; one of odd width ends with a zero.
#[inline(always)]
fn to_pairs(x: &[f32], to: &mut [u32]) {
    // Two numbers after each other are a word: the lower half comes first.
    const { assert!(cfg!(target_endian = "little")) };
    // SAFETY: as many bytes, which any numbers may be, and a weaker alignment.
    let to = unsafe { std::slice::from_raw_parts_mut(to.as_mut_ptr().cast::<u16>(), 2 * to.len()) };
    to.iter_mut().zip(x).for_each(|(to, x)| *to = to_bf16(*x));
    to[x.len()..].fill(0);
}

/// Rounds blocks of 32 to signed bytes: the scale is the largest size over 127, a number its quotient to nearest even.
#[inline(always)]
fn to_bytes<L: Dots>(x: &[f32], words: &mut [u32], scales: &mut [f32], sums: &mut [i32]) {
    // SAFETY: as many bytes, which any numbers may be, and a weaker alignment.
    let bytes = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<i8>(), 4 * words.len()) };
    let blocks = x.chunks_exact(SCALED).zip(bytes.chunks_exact_mut(SCALED)).zip(sums.chunks_exact_mut(2));
    for (((x, bytes), sums), scale) in blocks.zip(scales) {
        // SAFETY: a block has two times 16 values.
        let (low, high) = unsafe { (L::load(x.as_ptr()), L::load(x.as_ptr().add(WIDTH))) };
        let size = |x: L| L::splat(0.0).sub(x).max(x);
        // Half by half, for a maximum over lanes may lose a NaN.
        let (a, b) = (size(low).largest(), size(high).largest());
        let largest = if a > b || a.is_nan() { a } else { b };
        *scale = largest / 127.0;
        let inverse = L::splat(if largest == 0.0 { 0.0 } else { 127.0 / largest });
        for ((bytes, sum), x) in bytes.chunks_exact_mut(WIDTH).zip(sums).zip([low, high]) {
            let numbers = x.mul(inverse).round().to_array().map(|x| x as i32);
            *sum = numbers.iter().sum();
            bytes.iter_mut().zip(numbers).for_each(|(byte, number)| *byte = number as i8);
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
                        unsafe { finish::<L>(&sums[..width], bias, to, output.add) };
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
unsafe fn finish<L: Lanes>(sums: &[f32], bias: Option<&[f32]>, to: *mut f32, add: bool) {
    let whole = sums.len() / WIDTH * WIDTH;
    for at in (0..whole).step_by(WIDTH) {
        // SAFETY: 16 values from `at` on lie within the sums, the bias and what the caller promises.
        unsafe {
            let mut sum = L::load(sums.as_ptr().add(at));
            if let Some(bias) = bias {
                sum = sum.add(L::load(bias.as_ptr().add(at)));
            }
            if add {
                sum = L::load(to.add(at)).add(sum);
            }
            sum.store(to.add(at));
        }
    }
    for at in whole..sums.len() {
        let sum = bias.map_or(sums[at], |bias| sums[at] + bias[at]);
        // SAFETY: the caller promises that `to` is valid for every sum.
        unsafe { to.add(at).write(if add { to.add(at).read() + sum } else { sum }) };
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
