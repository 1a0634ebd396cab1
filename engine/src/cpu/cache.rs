//! The paged KV cache in host memory, laid out for the attention kernel.
//!
//! A page holds [`PAGE`] tokens of one sequence, and position p always lies at slot p % PAGE of the sequence's page
//! p / PAGE, so that key blocks start at absolute positions whatever the chunking. Keys lie transposed (`[size][PAGE]`):
//! the kernel multiplies one query value with sixteen keys at once. Values lie as rows padded to whole lanes. With bfloat16
//! weights keys and values are kept as bfloat16 too: half the memory, and half of what a decoding step reads of it.
#![expect(unsafe_code, reason = "kernel file: numbers are loaded through pointers")]

use rayon::prelude::*;

use super::rows::Rows;
use super::simd::{Lanes, WIDTH, to_bf16};
use crate::error::{Error, Result};
use crate::scheduler::backend::Segment;

/// Tokens per page, and keys per block of the attention kernel.
pub const PAGE: usize = 32;

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
    /// f32 values of one head's keys in one page.
    pub fn key_block(&self) -> usize {
        self.size * PAGE
    }

    /// Length of a value row, padded to whole lanes.
    pub fn value_stride(&self) -> usize {
        self.size.next_multiple_of(WIDTH)
    }

    /// f32 values of one head's values in one page.
    pub fn value_block(&self) -> usize {
        self.value_stride() * PAGE
    }

    /// Bytes of one page over all layers.
    pub fn page_bytes(&self) -> usize {
        let number = if self.bf16 { size_of::<u16>() } else { size_of::<f32>() };
        self.layers * self.heads * (self.key_block() + self.value_block()) * number
    }
}

/// Keys and values of one layer.
pub struct LayerCache {
    shape: CacheShape,
    pages: usize,
    pub(crate) blocks: Blocks,
}

/// The numbers of a layer, as they are kept.
pub(crate) enum Blocks {
    F32(KeysValues<f32>),
    Bf16(KeysValues<u16>),
}

pub(crate) struct KeysValues<E> {
    /// `[heads][pages][size][PAGE]`
    keys: Vec<E>,
    /// `[heads][pages][PAGE][value_stride]`
    values: Vec<E>,
}

impl<E: Kept> KeysValues<E> {
    fn new(shape: CacheShape, pages: usize) -> Result<Self> {
        let zeroed = |block: usize| -> Result<Vec<E>> {
            let len =
                (pages * shape.heads).checked_mul(block).filter(|len| *len < isize::MAX as usize / size_of::<E>());
            let Some(len) = len else {
                return Err(Error::input("failed to reserve the KV cache").with_hint("lower --kv-gib"));
            };
            Ok(vec![E::default(); len])
        };
        Ok(Self { keys: zeroed(shape.key_block())?, values: zeroed(shape.value_block())? })
    }

    /// Keys and values of one head: `[pages]` blocks each.
    pub fn head(&self, shape: &CacheShape, pages: usize, head: usize) -> (&[E], &[E]) {
        let (key, value) = (pages * shape.key_block(), pages * shape.value_block());
        (&self.keys[head * key..(head + 1) * key], &self.values[head * value..(head + 1) * value])
    }

    fn copy(&mut self, shape: &CacheShape, pages: usize, from: u32, to: u32) {
        for (values, block) in [(&mut self.keys, shape.key_block()), (&mut self.values, shape.value_block())] {
            for head in 0..shape.heads {
                let at = |page: u32| (head * pages + page as usize) * block;
                values.copy_within(at(from)..at(from) + block, at(to));
            }
        }
    }

    fn write(&mut self, shape: &CacheShape, pages: usize, rows: &[f32], queries: usize, runs: &[Run]) {
        let width = (queries + 2 * shape.heads) * shape.size;
        let head = |run: &Run, head: usize| {
            let rows = rows[run.row * width..].chunks(width).take(run.len);
            rows.map(move |row| &row[head * shape.size..][..shape.size])
        };
        let keys = || {
            self.keys.par_chunks_mut(pages * shape.key_block()).enumerate().for_each(|(number, keys)| {
                for run in runs {
                    let block = &mut keys[run.page * shape.key_block()..][..shape.key_block()];
                    // Token by token within each line of a block, so that a line is written once.
                    for (i, line) in block.chunks_exact_mut(PAGE).enumerate() {
                        let slots = line[run.slot..].iter_mut().zip(head(run, queries + number));
                        slots.for_each(|(slot, key)| *slot = E::keep(key[i]));
                    }
                }
            });
        };
        let values = || {
            self.values.par_chunks_mut(pages * shape.value_block()).enumerate().for_each(|(number, values)| {
                for run in runs {
                    let at = run.page * shape.value_block() + run.slot * shape.value_stride();
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
    fn new(shape: CacheShape, pages: usize) -> Result<Self> {
        let blocks = if shape.bf16 {
            Blocks::Bf16(KeysValues::new(shape, pages)?)
        } else {
            Blocks::F32(KeysValues::new(shape, pages)?)
        };
        Ok(Self { shape, pages, blocks })
    }

    /// Heads and sizes, and the number of pages.
    pub fn shape(&self) -> (&CacheShape, usize) {
        (&self.shape, self.pages)
    }

    /// Copies one page over another.
    fn copy(&mut self, from: u32, to: u32) {
        match &mut self.blocks {
            Blocks::F32(kept) => kept.copy(&self.shape, self.pages, from, to),
            Blocks::Bf16(kept) => kept.copy(&self.shape, self.pages, from, to),
        }
    }

    /// Stores the key and value heads of the fused rows `[tokens, (queries + 2·heads)·size]` of a step.
    pub fn write(&mut self, qkv: &Rows, queries: usize, segments: &[Segment]) {
        let runs = page_runs(segments);
        match &mut self.blocks {
            Blocks::F32(kept) => kept.write(&self.shape, self.pages, qkv.values(), queries, &runs),
            Blocks::Bf16(kept) => kept.write(&self.shape, self.pages, qkv.values(), queries, &runs),
        }
    }
}

/// Tokens of a step that lie side by side in one page.
struct Run {
    /// Matrix row of the first.
    row: usize,
    page: usize,
    /// Slot of the first.
    slot: usize,
    len: usize,
}

fn page_runs(segments: &[Segment]) -> Vec<Run> {
    let (mut runs, mut row) = (Vec::new(), 0);
    for segment in segments {
        let (mut at, end) = (segment.start, segment.start + segment.len);
        while at < end {
            let len = (PAGE - at % PAGE).min(end - at);
            runs.push(Run { row, page: segment.pages[at / PAGE] as usize, slot: at % PAGE, len });
            (at, row) = (at + len, row + len);
        }
    }
    runs
}

/// The pages of all layers.
pub struct KvCache {
    /// One per layer.
    pub layers: Vec<LayerCache>,
    /// Pages of each layer.
    pub pages: usize,
}

impl KvCache {
    /// Reserves address space for `pages` pages; memory is only used once a page is written.
    ///
    /// # Errors
    /// The size does not fit the address space.
    pub fn new(shape: CacheShape, pages: usize) -> Result<Self> {
        let layers = (0..shape.layers).map(|_| LayerCache::new(shape, pages)).collect::<Result<_>>()?;
        Ok(Self { layers, pages })
    }

    /// Copies pages, from, to, in all layers.
    pub fn copy(&mut self, copies: &[(u32, u32)]) {
        self.layers.par_iter_mut().for_each(|layer| copies.iter().for_each(|(from, to)| layer.copy(*from, *to)));
    }
}
