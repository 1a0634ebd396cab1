//! The paged KV cache in host memory, laid out for the attention kernel.
//!
//! A block holds [`BLOCK_SIZE`] tokens of one sequence, and position p always lies at slot p % BLOCK_SIZE of the sequence's block
//! p / BLOCK_SIZE, so that key blocks start at absolute positions whatever the chunking. Keys lie transposed (`[size][BLOCK_SIZE]`):
//! the kernel multiplies one query value with sixteen keys at once. Values lie as rows padded to whole lanes. With bfloat16
//! weights keys and values are kept as bfloat16 too: half the memory, and half of what a decoding step reads of it.
#![expect(unsafe_code, reason = "kernel file: numbers are loaded through pointers")]

use rayon::prelude::*;

use super::rows::Rows;
use super::simd::{Lanes, WIDTH, to_bf16};
use crate::error::{Error, Result};
use crate::scheduler::backend::Segment;

/// Tokens per block, and keys per block of the attention kernel.
pub const BLOCK_SIZE: usize = 32;

/// A number as the cache keeps it.
pub trait Kept: Copy + Default + Send + Sync {
    /// Rounded to nearest even.
    fn keep(x: f32) -> Self;
    /// Reads 16 numbers.
    ///
    /// # Safety
    /// `from` must be valid for reading 16 numbers.
    unsafe fn load<L: Lanes>(from: *const Self) -> L;
}

impl Kept for f32 {
    #[inline(always)]
    fn keep(x: f32) -> Self {
        x
    }
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller promises 16 readable numbers.
        unsafe { L::load(from) }
    }
}

/// bfloat16 by its bits.
impl Kept for u16 {
    #[inline(always)]
    fn keep(x: f32) -> Self {
        to_bf16(x)
    }
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller promises 16 readable numbers.
        unsafe { L::load_bf16(from) }
    }
}

/// Heads and sizes of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Whether numbers are kept as bfloat16.
    pub bf16: bool,
    /// Layers.
    pub layers: usize,
    /// Key/value heads.
    pub heads: usize,
    /// Values per head.
    pub size: usize,
}

impl CacheShape {
    /// f32 values of one head's keys in one block.
    pub fn key_block(&self) -> usize {
        self.size * BLOCK_SIZE
    }

    /// Length of a value row, padded to whole lanes.
    pub fn value_stride(&self) -> usize {
        self.size.next_multiple_of(WIDTH)
    }

    /// f32 values of one head's values in one block.
    pub fn value_block(&self) -> usize {
        self.value_stride() * BLOCK_SIZE
    }

    /// Bytes of one block over all layers.
    pub fn block_bytes(&self) -> usize {
        let number = if self.bf16 { size_of::<u16>() } else { size_of::<f32>() };
        self.layers * self.heads * (self.key_block() + self.value_block()) * number
    }
}

/// Keys and values of one layer.
pub struct LayerCache {
    shape: CacheShape,
    blocks: usize,
    pub(crate) numbers: Numbers,
}

/// The numbers of a layer, as they are kept.
pub(crate) enum Numbers {
    F32(KeysValues<f32>),
    Bf16(KeysValues<u16>),
}

pub(crate) struct KeysValues<E> {
    /// `[heads][blocks][size][BLOCK_SIZE]`
    keys: Vec<E>,
    /// `[heads][blocks][BLOCK_SIZE][value_stride]`
    values: Vec<E>,
}

impl<E: Kept> KeysValues<E> {
    fn new(shape: CacheShape, blocks: usize) -> Result<Self> {
        let zeroed = |values: usize| -> Result<Vec<E>> {
            let len =
                (blocks * shape.heads).checked_mul(values).filter(|len| *len < isize::MAX as usize / size_of::<E>());
            let Some(len) = len else {
                return Err(Error::input("failed to reserve the KV cache").with_hint("lower --kv-gib"));
            };
            Ok(vec![E::default(); len])
        };
        Ok(Self { keys: zeroed(shape.key_block())?, values: zeroed(shape.value_block())? })
    }

    /// Keys and values of one head: `[blocks]` blocks each.
    pub fn head(&self, shape: &CacheShape, blocks: usize, head: usize) -> (&[E], &[E]) {
        let (key, value) = (blocks * shape.key_block(), blocks * shape.value_block());
        (&self.keys[head * key..(head + 1) * key], &self.values[head * value..(head + 1) * value])
    }

    fn copy(&mut self, shape: &CacheShape, blocks: usize, from: u32, to: u32) {
        for (values, len) in [(&mut self.keys, shape.key_block()), (&mut self.values, shape.value_block())] {
            for head in 0..shape.heads {
                let at = |block: u32| (head * blocks + block as usize) * len;
                values.copy_within(at(from)..at(from) + len, at(to));
            }
        }
    }

    fn write(&mut self, shape: &CacheShape, blocks: usize, rows: &[f32], queries: usize, runs: &[Run]) {
        let width = (queries + 2 * shape.heads) * shape.size;
        let head = |run: &Run, head: usize| {
            let rows = rows[run.row * width..].chunks(width).take(run.len);
            rows.map(move |row| &row[head * shape.size..][..shape.size])
        };
        let keys = || {
            self.keys.par_chunks_mut(blocks * shape.key_block()).enumerate().for_each(|(number, keys)| {
                for run in runs {
                    let block = &mut keys[run.block * shape.key_block()..][..shape.key_block()];
                    // Token by token within each line of a block, so that a line is written once.
                    for (i, line) in block.chunks_exact_mut(BLOCK_SIZE).enumerate() {
                        let slots = line[run.slot..].iter_mut().zip(head(run, queries + number));
                        slots.for_each(|(slot, key)| *slot = E::keep(key[i]));
                    }
                }
            });
        };
        let values = || {
            self.values.par_chunks_mut(blocks * shape.value_block()).enumerate().for_each(|(number, values)| {
                for run in runs {
                    let at = run.block * shape.value_block() + run.slot * shape.value_stride();
                    let slots = values[at..].chunks_mut(shape.value_stride());
                    for (slot, value) in slots.zip(head(run, queries + shape.heads + number)) {
                        slot.iter_mut().zip(value).for_each(|(slot, x)| *slot = E::keep(*x));
                    }
                }
            });
        };
        rayon::join(keys, values);
    }
}

impl LayerCache {
    fn new(shape: CacheShape, blocks: usize) -> Result<Self> {
        let numbers = if shape.bf16 {
            Numbers::Bf16(KeysValues::new(shape, blocks)?)
        } else {
            Numbers::F32(KeysValues::new(shape, blocks)?)
        };
        Ok(Self { shape, blocks, numbers })
    }

    /// Heads and sizes, and the number of blocks.
    pub fn shape(&self) -> (&CacheShape, usize) {
        (&self.shape, self.blocks)
    }

    /// Copies one block over another.
    fn copy(&mut self, from: u32, to: u32) {
        match &mut self.numbers {
            Numbers::F32(kept) => kept.copy(&self.shape, self.blocks, from, to),
            Numbers::Bf16(kept) => kept.copy(&self.shape, self.blocks, from, to),
        }
    }

    /// Stores the key and value heads of the fused rows `[tokens, (queries + 2·heads)·size]` of a step.
    pub fn write(&mut self, qkv: &Rows, queries: usize, segments: &[Segment]) {
        let runs = block_runs(segments);
        match &mut self.numbers {
            Numbers::F32(kept) => kept.write(&self.shape, self.blocks, qkv.values(), queries, &runs),
            Numbers::Bf16(kept) => kept.write(&self.shape, self.blocks, qkv.values(), queries, &runs),
        }
    }
}

/// Tokens of a step that lie side by side in one block.
struct Run {
    /// Matrix row of the first.
    row: usize,
    block: usize,
    /// Slot of the first.
    slot: usize,
    len: usize,
}

fn block_runs(segments: &[Segment]) -> Vec<Run> {
    let (mut runs, mut row) = (Vec::new(), 0);
    for segment in segments {
        let (mut at, end) = (segment.start, segment.start + segment.len);
        while at < end {
            let len = (BLOCK_SIZE - at % BLOCK_SIZE).min(end - at);
            runs.push(Run { row, block: segment.blocks[at / BLOCK_SIZE] as usize, slot: at % BLOCK_SIZE, len });
            (at, row) = (at + len, row + len);
        }
    }
    runs
}

/// The blocks of all layers.
pub struct KvCache {
    /// One per layer.
    pub layers: Vec<LayerCache>,
    /// Blocks of each layer.
    pub blocks: usize,
}

impl KvCache {
    /// Reserves address space for `blocks` blocks; memory is only used once a block is written.
    ///
    /// # Errors
    /// The size does not fit the address space.
    pub fn new(shape: CacheShape, blocks: usize) -> Result<Self> {
        let layers = (0..shape.layers).map(|_| LayerCache::new(shape, blocks)).collect::<Result<_>>()?;
        Ok(Self { layers, blocks })
    }

    /// Copies blocks, from, to, in all layers.
    pub fn copy(&mut self, copies: &[(u32, u32)]) {
        self.layers.par_iter_mut().for_each(|layer| copies.iter().for_each(|(from, to)| layer.copy(*from, *to)));
    }
}
